"""What the trained models are worth: REPORT.md and its plots."""

import io
from collections import namedtuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

# Faults a twin should notice, as `cooltwin simulate` names them; drifts are in severity x 5 K.
FAULTS = {
    "fouled-coil:0.3": "coil conductance -30 %",
    "clogged-filter:0.1": "air flow -10 %",
    "belt-slip:0.3": "fan speed -30 %",
    "drift-UCAOT:0.1": "UCAOT sensor +0.5 K",
    "drift-UCWIT:0.2": "UCWIT sensor +1 K",
    "stuck-valve:0.3": "valve stuck open at 30 %",
}
DAY_FAULT = "fouled-coil:0.3"
# Residuals are averaged this long before they are judged.
SMOOTH_S = 1800
PERSISTENCE = {"30 s": 30, "5 min": 300, "15 min": 900}
# Importances below this share are summed up.
LEAST_GAIN = 0.001
PLOT_POINTS = 2500
COLOURS = 32

Score = namedtuple("Score", "rows r2 mae persistence")


def evaluate(runs, manifest, models, tail_share, step_s):
    """All numbers of the report. `bars` holds the sets on which the models must reach the required R2."""
    sets = {"unseen tail": [(run, run.place >= 1 - tail_share) for run in runs["clean"]]}
    if "independent" in runs:
        sets["independent seed"] = [(runs["independent"], np.ones(len(runs["independent"].unit), bool))]
    bars = {name: score_targets(parts, manifest, models, step_s) for name, parts in sets.items()}
    extra = {}
    if "worn" in runs:
        worn = runs["worn"]
        extra["unseen tail, sensors missing"] = score_targets(
            [(worn, worn.place >= 1 - tail_share)], manifest, models, step_s)
    results = {"bars": bars, "extra": extra}
    if "faults" in runs:
        spread = {
            target["name"]: np.concatenate([
                run.y[target["name"]][rows] - models[target["name"]].predict(run.x[rows])
                for run, rows in sets["unseen tail"]]).std()
            for target in manifest["targets"]
        }
        results["faults"] = separations(runs["faults"], models, spread, int(SMOOTH_S / step_s))
    return results


def score_targets(parts, manifest, models, step_s):
    return {target["name"]: score(parts, target["name"], models[target["name"]], step_s) for target in manifest["targets"]}


def score(parts, name, model, step_s):
    y = np.concatenate([run.y[name][rows] for run, rows in parts])
    error = y - np.concatenate([model.predict(run.x[rows]) for run, rows in parts])
    known = np.isfinite(y)
    y, error = y[known], error[known]
    persistence = {}
    for label, seconds in PERSISTENCE.items():
        back = max(1, round(seconds / step_s))
        change = np.concatenate([(run.y[name] - run.earlier(name, back))[rows] for run, rows in parts])
        persistence[label] = float(np.nanmean(np.abs(change)))
    r2 = 1 - np.mean(error**2) / np.var(y)
    return Score(len(y), float(r2), float(np.mean(np.abs(error))), persistence)


def separations(faults, models, spread, window):
    """How well the largest smoothed residual tells each fault from a healthy unit, row by row."""
    healthy = np.concatenate(list(suspicion(faults[""], models, spread, window)))
    limit = np.quantile(healthy, 0.99)
    out = {}
    for fault in FAULTS:
        faulty = np.concatenate(list(suspicion(faults[fault], models, spread, window)))
        out[fault] = (area_under_curve(healthy, faulty), float(np.mean(faulty > limit)))
    return out


def suspicion(run, models, spread, window):
    """Largest of the smoothed residuals in units of their spread, for each unit."""
    for unit in np.unique(run.unit):
        rows = run.unit == unit
        residuals = [(run.y[n][rows] - m.predict(run.x[rows])) / spread[n] for n, m in models.items()]
        yield np.max([np.abs(smooth(residual, window)) for residual in residuals], axis=0)


def smooth(values, window):
    """Mean of the last `window` values, of fewer at the start."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    end = np.arange(1, len(values) + 1)
    begin = np.maximum(0, end - window)
    return (total[end] - total[begin]) / (end - begin)


def area_under_curve(low, high):
    """Probability that a value of `high` is above one of `low`; 0.5 is guessing."""
    ranks = np.argsort(np.argsort(np.concatenate([low, high]), kind="stable"), kind="stable")
    return float((ranks[len(low):].sum() - len(high) * (len(high) - 1) / 2) / (len(low) * len(high)))


def write(folder, runs, manifest, models, results, bundle, parameters, trees):
    """REPORT.md and plots/*.png."""
    plots = folder / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    for old in plots.glob("*.png"):
        old.unlink()
    pictures = [plot_scatter(plots, runs, manifest, models, target) for target in manifest["targets"]]
    if "day" in runs:
        pictures.append(plot_day(plots, runs["day"], manifest, models))
    parts = [
        f"# How good the models of `{manifest['id']}` {manifest['version']} are",
        manifest["description"].strip(),
        "Written by the training pipeline; see README.md beside it for how to repeat it.",
        *accuracy(results, manifest),
        *fault_section(results),
        *importance(manifest, models),
        *making(runs, manifest, models, bundle, parameters, trees),
        "## Plots",
        *(f"![{text}](plots/{name})" for name, text in pictures),
    ]
    (folder / "REPORT.md").write_text("\n\n".join(parts) + "\n")


def accuracy(results, manifest):
    units = {target["name"]: target["unit"] for target in manifest["targets"]}
    head = "| data | target | rows | R2 | MAE | " + " | ".join(f"persistence {p}" for p in PERSISTENCE) + " |"
    lines = [head, "|---|---|---" + "|---" * (2 + len(PERSISTENCE)) + "|"]
    for label, scores in {**results["bars"], **results["extra"]}.items():
        for name, s in scores.items():
            beside = " | ".join(f"{s.persistence[p]:.3g}" for p in PERSISTENCE)
            lines.append(f"| {label} | {name} | {s.rows} | {s.r2:.4f} | {s.mae:.3g} {units[name]} | {beside} |")
    return [
        "## Accuracy",
        "\n".join(lines),
        "The split is by time: the last part of each unit's readings was never trained on. *Persistence* is the mean "
        "absolute error of saying that the target is what was measured that long ago, in the same unit as MAE. It needs a "
        "working sensor and follows every fault; the models see none of the targets. Over 30 s persistence is hard to "
        "beat, since little changes in 30 s; what the models are for is the missing, slow or failing outlet sensor, and "
        "the residual.",
    ]


def fault_section(results):
    if "faults" not in results:
        return []
    lines = ["| fault | what it is | AUC | rows above the healthy 99 % |", "|---|---|---|---|"]
    for fault, (auc, above) in results["faults"].items():
        lines.append(f"| `{fault}` | {FAULTS[fault]} | {auc:.3f} | {above:.0%} |")
    return [
        "## Telling faults from health",
        "\n".join(lines),
        f"One score a row: the largest of the residuals, each averaged over {SMOOTH_S // 60} minutes and divided by its "
        "spread on healthy data. AUC 1.0 separates perfectly, 0.5 is guessing. All rows count, also those in which a fault "
        "cannot show: a fouled coil with the water off, a slipping belt with the fan at rest.",
    ]


def importance(manifest, models):
    names = [feature["name"] for feature in manifest["features"]]
    gains = np.array([model.gain for model in models.values()])
    order = sorted(range(len(names)), key=lambda i: (-gains[:, i].max(), i))
    lines = ["| feature | " + " | ".join(models) + " |", "|---" * (1 + len(models)) + "|"]
    shown = [i for i in order if gains[:, i].max() >= LEAST_GAIN]
    lines += [f"| {names[i]} | " + " | ".join(f"{g:.1%}" for g in gains[:, i]) + " |" for i in shown]
    rest = gains[:, [i for i in order if i not in shown]].sum(axis=1)
    lines.append(f"| the other {len(names) - len(shown)} | " + " | ".join(f"{g:.1%}" for g in rest) + " |")
    return ["## Which features count", "Share of the gain of all splits.", "\n".join(lines)]


def making(runs, manifest, models, bundle, parameters, trees):
    rows = sum(len(run.unit) for run in runs["train"])
    sizes = ["| file | bytes |", "|---|---|"]
    files = sorted(bundle.iterdir())
    sizes += [f"| {path.name} | {path.stat().st_size} |" for path in files]
    sizes.append(f"| all | {sum(path.stat().st_size for path in files)} |")
    settings = ", ".join(f"{key} = {value}" for key, value in parameters.items())
    return [
        "## How they were made",
        f"LightGBM, {trees} trees a target, {settings}. {rows} rows of training data, of which the last part is held back.",
        "\n".join(sizes),
    ]


def plot_scatter(plots, runs, manifest, models, target):
    """Predicted against measured, on data the model has not seen."""
    name = target["name"]
    if "independent" in runs:
        run, rows, where = runs["independent"], slice(None), "independent seed"
    else:
        run = runs["clean"][0]
        rows, where = run.place >= 0.8, "unseen tail"
    y, prediction = run.y[name][rows], models[name].predict(run.x[rows])
    every = max(1, len(y) // PLOT_POINTS)
    y, prediction = y[::every], prediction[::every]
    figure, axes = plt.subplots(figsize=(4.6, 4.4), dpi=90)
    ends = [np.nanmin(y), np.nanmax(y)]
    axes.plot(ends, ends, color="0.7", linewidth=1)
    axes.plot(y, prediction, ".", markersize=2, color="tab:blue")
    axes.set_xlabel(f"measured {name}, {target['unit']}")
    axes.set_ylabel(f"predicted {name}, {target['unit']}")
    axes.set_title(f"{name}, {where}", fontsize=10)
    return save(figure, plots, f"predicted-{name.lower()}.png"), f"{name}: predicted against measured"


def plot_day(plots, day, manifest, models):
    """Residuals over a day, healthy and with a fault from noon on."""
    healthy, faulty = day
    hours = 24 * np.arange(len(healthy.unit)) / len(healthy.unit)
    targets = manifest["targets"]
    figure, rows = plt.subplots(len(targets), 1, figsize=(7.5, 1.9 * len(targets)), dpi=90, sharex=True, squeeze=False)
    window = max(1, round(SMOOTH_S / 86_400 * len(hours)))
    for axes, target in zip(rows[:, 0], targets):
        name = target["name"]
        for run, colour, label in ((faulty, "tab:red", f"{DAY_FAULT} from noon"), (healthy, "tab:blue", "healthy")):
            residual = run.y[name] - models[name].predict(run.x)
            axes.plot(hours, smooth(residual, window), color=colour, linewidth=1, label=label)
        axes.axvline(12, color="0.7", linewidth=1)
        axes.set_ylabel(f"{name}, {target['unit']}", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.set_xlim(0, 24)
    rows[0, 0].set_title("measured minus predicted, mean of 30 minutes", fontsize=10)
    rows[0, 0].legend(fontsize=8, loc="upper left")
    rows[-1, 0].set_xlabel("hour", fontsize=8)
    return save(figure, plots, "residual-day.png"), "Residuals over a day, healthy and with a fouled coil from noon on"


def save(figure, folder, name):
    """A small PNG without metadata: the same bytes for the same picture."""
    figure.tight_layout()
    raw = io.BytesIO()
    figure.savefig(raw, format="png", metadata={"Software": None})
    plt.close(figure)
    picture = Image.open(raw).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    picture.save(folder / name, optimize=True)
    return name
