//! cooltwin itself, and the loops without a model that show what the machine and the harness add.

use std::fs;
use std::hint::black_box;

use cooltwin::inference::{Model, ModelSet, ModelSource, TargetSource};

use crate::Error;
use crate::competitor::{Agreement, Competitor, Runner, Task};
use crate::data::ModelFiles;

/// In tables.
pub const NAME: &str = "cooltwin";

/// cooltwin's library, called as the engine calls it.
pub fn cooltwin() -> Competitor {
    Competitor::new(NAME, "Model and ModelSet of the library", Agreement::Exact, |task| {
        let files = task.models().into_iter().map(|model| read(&task.suite.models[model]));
        let files = files.collect::<Result<Vec<_>, Error>>()?;
        let outputs = vec![0.0; task.batch * files.len()];
        Ok(match files.as_slice() {
            [(name, bytes)] => Box::new(One {
                model: Model::from_onnx(name, bytes, task.features)?,
                batch: task.batch,
                outputs,
            }),
            _ => Box::new(All { set: load_set(&files, task.features)?, batch: task.batch, outputs }),
        })
    })
}

/// What the library says about a model: kernel, trees, thresholds.
pub fn describe(task: &Task<'_>, model: usize) -> Result<String, Error> {
    let (name, bytes) = read(&task.suite.models[model])?;
    Ok(serde_json::to_string(&Model::from_onnx(&name, &bytes, task.features)?.describe().ensembles)?)
}

fn read(files: &ModelFiles) -> Result<(String, Vec<u8>), Error> {
    Ok((files.name.clone(), fs::read(&files.onnx)?))
}

fn load_set(files: &[(String, Vec<u8>)], features: usize) -> Result<ModelSet, Error> {
    let sources: Vec<ModelSource<'_>> =
        files.iter().map(|(name, bytes)| ModelSource { name, bytes }).collect();
    let targets = (0..files.len()).map(|model| TargetSource { model, column: 0 }).collect();
    Ok(ModelSet::load(&sources, targets, features)?)
}

struct One {
    model: Model,
    batch: usize,
    outputs: Vec<f32>,
}

impl Runner for One {
    fn run(&mut self, rows: &[f32]) -> Result<(), Error> {
        if self.batch == 1 {
            self.model.predict(rows, &mut self.outputs)?;
        } else {
            self.model.predict_batch(rows, &mut self.outputs)?;
        }
        Ok(())
    }

    fn output(&self, row: usize, _: usize) -> f64 {
        f64::from(self.outputs[row])
    }
}

struct All {
    set: ModelSet,
    batch: usize,
    outputs: Vec<f32>,
}

impl Runner for All {
    fn run(&mut self, rows: &[f32]) -> Result<(), Error> {
        if self.batch == 1 {
            self.set.predict(rows, &mut self.outputs)?;
        } else {
            self.set.predict_batch(rows, &mut self.outputs)?;
        }
        Ok(())
    }

    fn output(&self, row: usize, model: usize) -> f64 {
        f64::from(self.outputs[row * self.set.n_targets() + model])
    }
}

/// In tables.
pub const EMPTY: &str = "empty loop";

/// Nothing at all: what the clock and the harness take.
pub fn empty() -> Competitor {
    Competitor::new(EMPTY, "clock and row rotation alone", Agreement::None, |_| {
        Ok(Box::new(Spin { turns: 0 }))
    })
}

/// Arithmetic in registers alone, the same at every call, so that whatever its times scatter is the machine's doing.
/// Independent chains fill the processor's units as a kernel does: where two threads share a core, a loop that waits
/// for one multiplication after the other would not notice the neighbour.
pub struct Spin {
    /// How many times round.
    pub turns: u32,
}

/// Enough independent chains to keep four or more units busy.
const CHAINS: usize = 8;

impl Runner for Spin {
    fn run(&mut self, rows: &[f32]) -> Result<(), Error> {
        black_box(rows);
        let mut values = black_box([3_u64; CHAINS]);
        for turn in 0..u64::from(self.turns) {
            for (chain, value) in (0_u64..).zip(&mut values) {
                *value = (*value ^ (*value >> 3)).wrapping_add(turn ^ chain);
            }
        }
        black_box(values);
        Ok(())
    }

    fn output(&self, _: usize, _: usize) -> f64 {
        f64::NAN
    }
}
