//! Every kernel on every model, in turns within one run.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use anyhow::Context;
use serde::Serialize;

use super::measure::Workload;
use crate::bundle::{Bundle, BundleFiles};
use crate::cli::stats::Summary;
use crate::inference::{KernelKind, Model, ModelError, ModelSet};

/// Rows predicted between two readings of the clock, so that the clock's own time vanishes.
const WINDOW: usize = 64;
/// Rows of a batch.
const BATCH: usize = 1024;

/// What was measured of one model, or of all together.
#[derive(Debug, Serialize)]
pub(super) struct Table {
    /// The model's file, or what the models together are called.
    pub(super) name: String,
    /// Its shape.
    pub(super) shape: String,
    /// The kernel it gets by itself.
    pub(super) chosen: Option<KernelKind>,
    /// Why that one.
    pub(super) reason: String,
    pub(super) kernels: Vec<Line>,
}

/// One kernel on one model.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub(super) kernel: KernelKind,
    /// Why it cannot evaluate the model here.
    pub(super) refused: Option<String>,
    /// Nanoseconds for a row, row by row.
    pub(super) single_ns: Option<f64>,
    /// Nanoseconds for a row in batches of [`BATCH`], or of all rows if there are fewer.
    pub(super) batch_ns: Option<f64>,
    /// Bytes of its tables.
    pub(super) table_bytes: Option<usize>,
}

/// Measures all kernels on all models of the bundle, `runs` rows each.
pub(super) fn measure(
    bundle: &mut Bundle,
    files: &BundleFiles,
    workload: &Workload,
    runs: u32,
) -> anyhow::Result<Vec<Table>> {
    let width = bundle.manifest.features.len();
    let mut rows = workload.features(bundle).concat();
    rows.truncate((runs as usize).max(WINDOW) * width);
    let set = bundle.evaluator.predictor.models();
    let mut tables = Vec::new();
    for loaded in set.models() {
        let bytes = files.0.get(loaded.name()).context("the model's file is missing")?;
        let Some(info) = loaded.describe().ensembles.first() else { continue };
        let load = |kind| Model::with_kernel(loaded.name(), bytes, width, Some(kind));
        let contenders = KernelKind::ALL.map(|kind| (kind, load(kind).map(Contender::model)));
        tables.push(Table {
            name: loaded.name().to_owned(),
            shape: format!(
                "{} trees, at most {} leaves and {} branches deep",
                info.trees, info.max_leaves, info.max_depth
            ),
            chosen: Some(info.kernel),
            reason: info.reason.clone(),
            kernels: race(contenders.into(), &rows, width, runs)?,
        });
    }
    if set.models().len() > 1 && !tables.is_empty() {
        let load = |kind| together(set, files, width, kind);
        let contenders = KernelKind::ALL.map(|kind| (kind, load(kind)));
        tables.push(Table {
            name: "all models".to_owned(),
            shape: format!("{} targets of a row", set.n_targets()),
            chosen: None,
            reason: if set.is_joint() {
                "the row is ranked once for all of them".to_owned()
            } else {
                "each model for itself".to_owned()
            },
            kernels: race(contenders.into(), &rows, width, runs)?,
        });
    }
    Ok(tables)
}

/// All models of the bundle with one kernel.
fn together(
    set: &ModelSet,
    files: &BundleFiles,
    width: usize,
    kind: KernelKind,
) -> Result<Contender, ModelError> {
    let mut models = Vec::new();
    for model in set.models() {
        let bytes = files.0.get(model.name()).map_or(&[][..], Vec::as_slice);
        models.push(Model::with_kernel(model.name(), bytes, width, Some(kind))?);
    }
    let bytes = models.iter().flat_map(|model| &model.describe().ensembles).map(|e| e.table_bytes).sum();
    let mut set = ModelSet::with_targets(models, set.targets().to_vec())
        .map_err(|mut errors| errors.0.swap_remove(0))?;
    let outputs = set.n_targets();
    let predict = move |rows: &[f32], out: &mut [f32]| {
        if rows.len() == width { set.predict(rows, out) } else { set.predict_batch(rows, out) }
    };
    Ok(Contender { outputs, bytes, predict: Box::new(predict), single: Vec::new(), batch: Vec::new() })
}

type Predict = Box<dyn FnMut(&[f32], &mut [f32]) -> Result<(), ModelError>>;

/// A kernel that takes part.
struct Contender {
    outputs: usize,
    bytes: usize,
    predict: Predict,
    single: Vec<f64>,
    batch: Vec<f64>,
}

impl Contender {
    fn model(mut model: Model) -> Contender {
        let (outputs, width) = (model.n_outputs(), model.n_features());
        let bytes = model.describe().ensembles.iter().map(|ensemble| ensemble.table_bytes).sum();
        let predict = move |rows: &[f32], out: &mut [f32]| {
            if rows.len() == width { model.predict(rows, out) } else { model.predict_batch(rows, out) }
        };
        Contender { outputs, bytes, predict: Box::new(predict), single: Vec::new(), batch: Vec::new() }
    }

    /// Nanoseconds a row for `rows` in portions of `portion`.
    fn time(&mut self, rows: &[f32], width: usize, portion: usize) -> anyhow::Result<f64> {
        let n = rows.len() / width;
        let mut out = vec![0.0; portion * self.outputs];
        let start = Instant::now();
        for rows in rows.chunks(portion * width) {
            let out = out.get_mut(..rows.len() / width * self.outputs).unwrap_or_default();
            (self.predict)(black_box(rows), black_box(out))?;
        }
        Ok(start.elapsed().as_secs_f64() * 1e9 / n.max(1) as f64)
    }
}

/// Lets the kernels take turns: whatever else the machine does hits all of them.
fn race(
    contenders: Vec<(KernelKind, Result<Contender, ModelError>)>,
    rows: &[f32],
    width: usize,
    runs: u32,
) -> anyhow::Result<Vec<Line>> {
    let mut contenders = contenders;
    let rounds = (runs as usize / (rows.len() / width).max(1)).max(1);
    for _ in 0..rounds {
        for (_, contender) in &mut contenders {
            let Ok(contender) = contender else { continue };
            for rows in rows.chunks(WINDOW * width) {
                let single = contender.time(rows, width, 1)?;
                contender.single.push(single);
            }
            let batch = contender.time(rows, width, BATCH)?;
            contender.batch.push(batch);
        }
    }
    let median = |samples: &[f64]| Summary::of(samples).map(|summary| summary.p50);
    let lines = contenders.into_iter().map(|(kernel, contender)| match contender {
        Ok(contender) => Line {
            kernel,
            refused: None,
            single_ns: median(&contender.single),
            batch_ns: median(&contender.batch),
            table_bytes: Some(contender.bytes),
        },
        Err(error) => Line {
            kernel,
            refused: Some(why(kernel, &error.to_string())),
            single_ns: None,
            batch_ns: None,
            table_bytes: None,
        },
    });
    Ok(lines.collect())
}

/// The reason out of an error that also names model and kernel, which stand beside it anyway.
fn why(kernel: KernelKind, error: &str) -> String {
    let marker = format!("kernel {kernel} does not fit: ");
    error.split_once(&marker).map_or(error, |(_, reason)| reason).to_owned()
}

/// The tables as text.
pub(super) fn text(tables: &[Table]) -> String {
    let mut text = String::new();
    for table in tables {
        let _ = writeln!(text, "\n{}: {}", table.name, table.shape);
        if let Some(chosen) = table.chosen {
            let _ = writeln!(text, "  chosen: {chosen}: {}", table.reason);
        } else {
            let _ = writeln!(text, "  {}", table.reason);
        }
        let _ = writeln!(text, "  {:<20} {:>10} {:>10} {:>9}", "times in us", "single", "batch", "table kB");
        for line in &table.kernels {
            let _ = write!(text, "  {:<20}", line.kernel.name());
            match (&line.refused, line.single_ns, line.batch_ns, line.table_bytes) {
                (None, Some(single), Some(batch), Some(bytes)) => {
                    let (single, batch, bytes) = (single / 1e3, batch / 1e3, bytes as f64 / 1e3);
                    let _ = writeln!(text, " {single:>10.2} {batch:>10.2} {bytes:>9.0}");
                }
                (refused, ..) => {
                    let _ = writeln!(text, " {}", refused.as_deref().unwrap_or("not measured"));
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::model;
    use crate::simulator::{Simulator, SimulatorConfig};

    #[test]
    fn all_kernels_are_listed_for_all_models() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/unit-cooler");
        let files = model::files(&path).unwrap();
        let mut bundle = Bundle::load(&files).unwrap();
        let workload = Workload::new(&bundle, Simulator::new(SimulatorConfig::default()).unwrap());
        let tables = measure(&mut bundle, &files, &workload, 1).unwrap();
        let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names, ["ucaot.onnx", "ucwot.onnx", "ucaf.onnx", "all models"]);
        for table in &tables {
            assert_eq!(table.kernels.len(), KernelKind::ALL.len());
            for line in &table.kernels {
                match line.kernel.unavailable() {
                    Some(why) => assert_eq!(line.refused.as_deref(), Some(why.as_str())),
                    None => assert!(line.single_ns > Some(0.0) && line.batch_ns > Some(0.0), "{line:?}"),
                }
            }
        }
        let text = text(&tables);
        assert!(text.contains("ucaot.onnx: 180 trees, at most 31 leaves"), "{text}");
        assert!(text.contains("the processor has no"), "{text}");
    }
}
