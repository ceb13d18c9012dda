"""Trains a cooltwin bundle: readings -> features -> LightGBM -> exact ONNX -> histograms -> seal -> report.

Called by train.sh, which sets up the environment. Without --readings it makes the reference bundle from simulated
units; with --readings it trains on a site's own recordings.
"""

import argparse
import json
import shutil
import sys
import tomllib
from pathlib import Path

import lightgbm as lgb
import numpy as np

import report
from data import Cooltwin, Run, golden_readings, wear_and_tear
from exact_onnx import booster_of, snap, to_onnx

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# The last share of each unit's time is never trained on.
TAIL = 0.2
TREES = 180
# 31 leaves and at most 250 thresholds a feature keep the models within reach of cooltwin's fastest kernel.
PARAMETERS = {
    "objective": "l2",
    "num_leaves": 31,
    "learning_rate": 0.1,
    "min_data_in_leaf": 20,
    "lambda_l2": 1.0,
    "max_bin": 250,
    "seed": 1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,  # sums of several threads would depend on their number
    "verbosity": -1,
}
# Edges of a histogram: enough for drift statistics, few enough to stay small.
HISTOGRAM_EDGES = 20
SIZE_LIMIT = 1_600_000
R2_BAR = 0.993

# Simulated data: (seed, units, rows a unit).
HEALTHY = [(1, 2, 16_000), (2, 2, 16_000), (3, 2, 16_000)]
WORN = (4, 2, 16_000)
INDEPENDENT = (999, 2, 10_000)
FAULTS = (77, 4, 2_880)
DAY = (78, 1, 2_880)
GOLDEN = (4242, 1, 520)


def main():
    options = arguments()
    work = options.work
    work.mkdir(parents=True, exist_ok=True)
    template = options.template.read_text()
    manifest = tomllib.loads(template)
    cooltwin = Cooltwin(options.cooltwin, work)
    draft = work / "draft"
    fresh_folder(draft)
    (draft / "bundle.toml").write_text(template)

    say("readings and features")
    if options.readings:
        runs = site_runs(cooltwin, draft, manifest, options.readings.read_text())
    else:
        runs = simulated_runs(cooltwin, draft, manifest)
    say(f"training {len(manifest['targets'])} models on {sum((r.place < 1 - TAIL).sum() for r in runs['train'])} rows")
    models = {target["name"]: train(runs["train"], target, len(manifest["features"])) for target in manifest["targets"]}

    say("exporting and sealing")
    for target in manifest["targets"]:
        model = models[target["name"]]
        (draft / target["model"]).write_bytes(to_onnx(model.text, len(manifest["features"]), target["name"]))
    (draft / "bundle.toml").write_text(with_scalers(template, manifest, models))
    (draft / "reference.json").write_text(reference(runs, manifest, models))
    golden = work / "golden-readings.jsonl"
    golden.write_text(golden_readings(runs["golden"], manifest, step_seconds(manifest)))
    cooltwin.run("seal", draft, "--golden", golden)

    say("report")
    results = report.evaluate(runs, manifest, models, TAIL, step_seconds(manifest))
    size = sum(path.stat().st_size for path in draft.iterdir())
    deliver(draft, options.out)
    lightgbm = options.report / "lightgbm"
    fresh_folder(lightgbm)
    for target in manifest["targets"]:
        (lightgbm / f"{target['name'].lower()}.txt").write_text(models[target["name"]].text)
    report.write(options.report, runs, manifest, models, results, draft, PARAMETERS, TREES)
    worst = min(score.r2 for scores in results["bars"].values() for score in scores.values())
    say(f"worst R2 {worst:.4f}, bundle {size} bytes, in {options.out}")
    if not options.readings and (worst < R2_BAR or size > SIZE_LIMIT):
        sys.exit(f"the reference bundle wants R2 >= {R2_BAR} and at most {SIZE_LIMIT} bytes")


def arguments():
    parser = argparse.ArgumentParser(
        prog="train.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readings", type=Path, metavar="CSV",
                        help="a site's own readings, `time,unit,SENSOR,...` with the measured targets; default: simulate")
    parser.add_argument("--template", type=Path, metavar="TOML", default=HERE / "bundle.template.toml",
                        help="sensors, features and targets; needed with --readings, with a description of its own")
    parser.add_argument("--out", type=Path, metavar="DIR", default=ROOT / "models" / "unit-cooler", help="the bundle")
    parser.add_argument("--report", type=Path, metavar="DIR", default=HERE,
                        help="where REPORT.md, plots and LightGBM's models go")
    parser.add_argument("--cooltwin", type=Path, required=True, help="the program (train.sh gives it)")
    parser.add_argument("--work", type=Path, required=True, help="folder for intermediate files (train.sh gives it)")
    options = parser.parse_args()
    if options.readings:
        for name in ("template", "out", "report"):
            if getattr(options, name) == parser.get_default(name):
                parser.error(f"--readings also wants --{name}, so that the reference bundle stays as it is")
    return options


def simulated_runs(cooltwin, bundle, manifest):
    """Everything the reference bundle needs, from the simulator."""
    step = manifest["step"]
    run = lambda readings: Run(cooltwin, bundle, manifest, readings)
    healthy = [run(cooltwin.simulate(*size, step)) for size in HEALTHY]
    rows_a_day = int(86_400 / step_seconds(manifest))
    worn = run(wear_and_tear(cooltwin.simulate(*WORN, step), manifest, rows_a_day, seed=WORN[0]))
    faulty = lambda size, *faults: run(cooltwin.simulate(*size, step, faults))
    return {
        "train": [*healthy, worn],
        "clean": healthy,
        "independent": run(cooltwin.simulate(*INDEPENDENT, step)),
        "worn": worn,
        "faults": {fault: faulty(FAULTS, *([f"{fault}:0"] if fault else [])) for fault in ("", *report.FAULTS)},
        "day": (faulty(DAY), faulty(DAY, f"{report.DAY_FAULT}:{DAY[2] // 2}")),
        "golden": cooltwin.simulate(*GOLDEN, step),
    }


def site_runs(cooltwin, bundle, manifest, readings):
    """The same from a site's recordings: the tail is all there is to test on."""
    run = Run(cooltwin, bundle, manifest, readings)
    return {"train": [run], "clean": [run], "golden": readings}


class Model:
    """One trained, snapped model; predictions in the target's unit."""

    def __init__(self, text, mean, scale, gain):
        self.text, self.mean, self.scale, self.gain = text, mean, scale, gain
        self.booster = booster_of(text)

    def predict(self, x):
        return self.booster.predict(x, num_threads=1) * self.scale + self.mean


def train(runs, target, n_features):
    """A model of one target on the first part of all runs."""
    x = np.concatenate([run.x[run.place < 1 - TAIL] for run in runs])
    y = np.concatenate([run.y[target["name"]][run.place < 1 - TAIL] for run in runs])
    known = np.isfinite(y)
    if known.sum() < 1000:
        raise SystemExit(f"{target['name']}: only {known.sum()} measured rows to train on")
    x, y = x[known], y[known]
    # Rounded, so that the manifest shows the very numbers.
    mean, scale = (float(f"{value:.6g}") for value in (y.mean(), y.std()))
    data = lgb.Dataset(x, (y - mean) / scale, params=PARAMETERS)
    booster = lgb.train(PARAMETERS, data, num_boost_round=TREES)
    gain = booster.feature_importance("gain")
    text = snap(booster)
    model = Model(text, mean, scale, gain / gain.sum())
    # Snapping must not change the model beyond half a grid step a tree.
    shift = np.abs(model.booster.predict(x[:10_000]) - booster.predict(x[:10_000])).max()
    if shift > TREES * 2.0**-21:
        raise SystemExit(f"{target['name']}: snapping moved a prediction by {shift}")
    return model


def with_scalers(template, manifest, models):
    """The template with each target's output scaler after its model line."""
    text = template
    for target in manifest["targets"]:
        model = models[target["name"]]
        line = f'model = "{target["model"]}"\n'
        if text.count(line) != 1:
            raise SystemExit(f"the template must have exactly one line {line.strip()}")
        text = text.replace(line, f"{line}output_scaler = {{ mean = {model.mean!r}, scale = {model.scale!r} }}\n")
    return text


def reference(runs, manifest, models):
    """Histograms of the features in training and of the residuals on the unseen tail."""
    x = np.concatenate([run.x[run.place < 1 - TAIL] for run in runs["train"]]).astype(np.float64)
    features = [histogram(f["name"], x[:, i]) for i, f in enumerate(manifest["features"])]
    residuals = []
    for target in manifest["targets"]:
        name = target["name"]
        tails = [(run, run.place >= 1 - TAIL) for run in runs["clean"]]
        parts = [run.y[name][tail] - models[name].predict(run.x[tail]) for run, tail in tails]
        residuals.append(histogram(name, np.concatenate(parts)))
    lines = ",\n".join(json.dumps(entry) for entry in features)
    ends = ",\n".join(json.dumps(entry) for entry in residuals)
    return f'{{"schema": 1, "rows": {len(x)},\n"features": [\n{lines}\n],\n"residuals": [\n{ends}\n]}}\n'


def histogram(name, values):
    """Range, and counts between edges near the quantiles; both ends are open."""
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return {"name": name, "min": None, "max": None, "edges": [], "counts": [0]}
    distinct = np.unique(values)
    places = np.unique(np.searchsorted(distinct, np.quantile(values, np.linspace(0, 1, HISTOGRAM_EDGES + 2)[1:-1])))
    places = places[places < len(distinct) - 1]
    # Between two values, so that no value lies on an edge and it does not matter to which side an edge belongs.
    edges = sorted({float(f"{(distinct[p] + distinct[p + 1]) / 2:.7g}") for p in places})
    counts = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)
    return {"name": name, "min": float(values.min()), "max": float(values.max()), "edges": edges, "counts": counts.tolist()}


def step_seconds(manifest):
    text = manifest["step"]
    return float(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]]


def fresh_folder(path):
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)


def deliver(draft, out):
    """Replaces the bundle in one go, after everything has worked."""
    fresh_folder(out)
    for path in sorted(draft.iterdir()):
        shutil.copyfile(path, out / path.name)


def say(text):
    print(f"== {text}", flush=True)


if __name__ == "__main__":
    main()
