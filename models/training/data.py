"""Readings and feature matrices, by way of the cooltwin program: training sees exactly what the daemon computes."""

import csv
import io
import json
import subprocess

import numpy as np

# Rows of the golden file that follow one another.
GOLDEN_FRAMES = 520


class Cooltwin:
    """The program, with a folder for intermediate files."""

    def __init__(self, program, work):
        self.program, self.work = program, work

    def run(self, *arguments):
        done = subprocess.run([str(self.program), *map(str, arguments)], stdout=subprocess.PIPE)
        if done.returncode != 0:
            raise SystemExit(f"cooltwin {arguments[0]} failed with exit code {done.returncode}")
        return done.stdout.decode()

    def simulate(self, seed, units, rows, step, faults=()):
        """Readings of simulated units as CSV text."""
        faults = [part for fault in faults for part in ("--fault", fault)]
        return self.run(
            "simulate", "--seed", seed, "--units", units, "--rows", rows, "--step", step, *faults, "--format", "csv")

    def features(self, bundle, readings):
        """Readings as CSV text to the feature matrix as CSV text."""
        path = self.work / "readings.csv"
        path.write_text(readings)
        return self.run("features", "--bundle", bundle, path)


def number(cell):
    return float(cell) if cell else np.nan


class Table:
    """CSV with `time` and `unit`, then numbers."""

    def __init__(self, text):
        lines = csv.reader(io.StringIO(text))
        header = next(lines)
        time, unit = header.index("time"), header.index("unit")
        places = [place for place, name in enumerate(header) if name not in ("time", "unit", "quality")]
        self.names = [header[place] for place in places]
        self.keys, rows = [], []
        for line in lines:
            self.keys.append((line[time], line[unit]))
            rows.append([number(line[place]) for place in places])
        self.values = np.array(rows, np.float64).reshape(len(rows), len(self.names))

    def column(self, name):
        return self.values[:, self.names.index(name)]

    def measured(self, name):
        """The last column of that name: measured targets stand behind the features. NaN without one."""
        places = [place for place, known in enumerate(self.names) if known == name]
        return self.values[:, places[-1]] if places else np.full(len(self.keys), np.nan)

    def to_csv(self):
        out = [",".join(["time", "unit", *self.names])]
        for (time, unit), row in zip(self.keys, self.values):
            cells = ["" if np.isnan(value) else repr(float(value)) for value in row]
            out.append(",".join([time, unit, *cells]))
        return "\n".join(out) + "\n"


class Run:
    """Readings of some units with their features and measured targets, unit after unit, in time order."""

    def __init__(self, cooltwin, bundle, manifest, readings):
        matrix = Table(cooltwin.features(bundle, readings))
        names = [feature["name"] for feature in manifest["features"]]
        missing = [name for name in names if name not in matrix.names]
        if missing:
            raise SystemExit(f"`cooltwin features` gave no column {', '.join(missing)}")
        # A stable sort by unit keeps the time order within each.
        order = sorted(range(len(matrix.keys)), key=lambda row: matrix.keys[row][1])
        self.unit = np.array([matrix.keys[row][1] for row in order])
        self.x = np.stack([matrix.column(name)[order] for name in names], axis=1).astype(np.float32)
        self.y = {
            target["name"]: matrix.measured(target.get("measured_by", target["name"]))[order]
            for target in manifest["targets"]
        }
        # Place of each row in its unit's time, 0..1.
        self.place = np.empty(len(self.unit))
        for unit in np.unique(self.unit):
            rows = np.flatnonzero(self.unit == unit)
            self.place[rows] = np.arange(len(rows)) / len(rows)

    def earlier(self, target, rows):
        """The target as measured `rows` rows earlier in the same unit."""
        out = np.full(len(self.unit), np.nan)
        same = self.unit[rows:] == self.unit[:-rows]
        out[rows:][same] = self.y[target][:-rows][same]
        return out


def wear_and_tear(readings, manifest, rows_a_day, seed):
    """What real feeds do and the simulator does not: sensors silent for hours, gaps, negative flows at rest.

    Models learn from it what to do without a sensor.
    """
    table = Table(readings)
    random = np.random.default_rng(seed)
    optional = [sensor["name"] for sensor in manifest["sensors"] if sensor["missing"] == "nan"]
    flows = [name for name in ("UCWF", "CPCF") if name in table.names]
    keep = np.ones(len(table.keys), bool)
    units = np.array([unit for _, unit in table.keys])
    for unit in sorted(set(units)):
        rows = np.flatnonzero(units == unit)
        for name in optional:
            for silent in spells(random, len(rows), rows_a_day, (0.02, 0.2)):
                table.values[rows[silent], table.names.index(name)] = np.nan
        for silent in spells(random, len(rows), rows_a_day, (0.005, 0.05)):
            keep[rows[silent]] = False
    for name in flows:
        column = table.values[:, table.names.index(name)]
        rest = column == 0.0
        # A magnetic flow meter at rest shows a few litres an hour in either direction.
        column[rest] = np.minimum(np.round(random.uniform(-0.006, 0.004, rest.sum()), 4), 0.0)
    table.keys = [key for key, kept in zip(table.keys, keep) if kept]
    table.values = table.values[keep]
    return table.to_csv()


def spells(random, rows, rows_a_day, days):
    """One spell for every two days, each of a length between the two given, in days."""
    for _ in range(int(np.ceil(rows / rows_a_day / 2))):
        length = int(random.uniform(*days) * rows_a_day)
        start = int(random.integers(0, max(rows - length, 1)))
        yield slice(start, start + length)


def golden_readings(readings, manifest, step_s):
    """Frames for `cooltwin seal`: a unit's ordinary life, then a unit for each kind of trouble. JSON lines."""
    table = Table(readings)
    sensors = [sensor for sensor in manifest["sensors"] if sensor["name"] in table.names]
    units = sorted({unit for _, unit in table.keys})
    rows = [row for row, (_, unit) in enumerate(table.keys) if unit == units[0]][:GOLDEN_FRAMES]
    if len(rows) < GOLDEN_FRAMES:
        raise SystemExit(f"golden frames want {GOLDEN_FRAMES} readings of unit {units[0]}, found {len(rows)}")

    def frame(row):
        values = table.values[row]
        return {s["name"]: plain(values[table.names.index(s["name"])]) for s in sensors}

    start = np.datetime64(table.keys[rows[0]][0].rstrip("Z"), "ms")
    at = lambda seconds: str(start + np.timedelta64(int(seconds * 1000), "ms")) + "Z"
    lines = []

    def emit(time, unit, data):
        lines.append(json.dumps({"time": time, "unit": unit, "data": data}, separators=(",", ":")))

    for row in rows:
        emit(table.keys[row][0], "steady", {k: v for k, v in frame(row).items() if v is not None})

    base = [frame(row) for row in rows[200:216]]
    required = {s["name"] for s in sensors if s["missing"] == "required"}
    # One sensor after the other is not there from the start: the required ones withhold the prediction.
    for place, sensor in enumerate(sensors):
        emit(at(0), f"without-{sensor['name']}", {k: v for k, v in base[place % 8].items() if k != sensor["name"]})
    emit(at(0), "only-required", {k: v for k, v in base[0].items() if k in required})
    # Null and an empty frame say nothing; what was held before counts.
    emit(at(0), "null", base[0])
    emit(at(step_s), "null", {k: None for k in base[1]})
    emit(at(2 * step_s), "null", {})
    emit(at(3 * step_s), "null", base[2])
    # Rejected: beyond the accepted range, a logger's all-ones for "no value".
    emit(at(0), "sentinel", base[0])
    emit(at(step_s), "sentinel", {k: 65535 for k in base[1]})
    emit(at(2 * step_s), "sentinel", {**base[2], sensors[0]["name"]: 65534})
    # The ends of the accepted ranges, all together and one sensor at a time.
    for end, side in ((0, "low"), (1, "high")):
        emit(at(0), f"extreme-{side}", {s["name"]: s["accept"][end] for s in sensors})
        emit(at(step_s), f"extreme-{side}", base[1])
    for place, sensor in enumerate(sensors):
        emit(at(place * step_s), "extreme-one", {**base[place % 8], sensor["name"]: sensor["accept"][place % 2]})
    # A frame that goes on after a gap: shorter than max_age, longer, longer than every window; half a frame then.
    time = 0
    for place, gap in enumerate((0, step_s, 240, 1200, 7200, 200_000)):
        time += gap
        emit(at(time), "gaps", base[place])
        half = dict(list(base[place].items())[:: 2])
        time += step_s
        emit(at(time), "gaps", half)
    # Off the grid, twice in one grid step, twice at the same time.
    for place, seconds in enumerate((0.25, 7, 29.999, 30, 44.5, 44.5, 61.125, 90)):
        emit(at(seconds), "off-grid", base[place])
    # Fan, water and heater change state at every frame.
    for place in range(8):
        on = place % 2 == 1
        switched = {"UCFMS": 1395.0 * on, "UCFS": 976.5 * on, "UCWF": 0.4 * on, "UCHC": 2.9 * (not on),
                    "UCHV": 400.0 * (not on), "UCOM": float(on)}
        emit(at(place * step_s), "switching", {**base[place], **{k: v for k, v in switched.items() if k in base[place]}})
    # Standing water and a stopped fan divide by zero where they can.
    emit(at(0), "all-zero", {s["name"]: 0.0 for s in sensors})
    emit(at(step_s), "all-zero", {s["name"]: 0.0 for s in sensors})
    return "\n".join(lines) + "\n"


def plain(value):
    return None if np.isnan(value) else float(value)
