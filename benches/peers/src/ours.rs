//! cooltwin itself, and the loops without a model that show what the machine and the harness add.

use std::hint::black_box;
use std::{env, fs};

use cooltwin::inference::{EnsembleInfo, KernelKind, Model, ModelSet, ModelSource, Rows, TargetSource};

use crate::Error;
use crate::competitor::{Agreement, Competitor, Runner};
use crate::data::ModelFiles;

/// In tables: the kernel that the library chooses, or the one that [`KERNEL_VARIABLE`] names.
pub const NAME: &str = "cooltwin";
/// Environment variable that names a kernel, as for the daemon.
pub const KERNEL_VARIABLE: &str = "COOLTWIN_KERNEL";
/// What the names of single kernels begin with in tables.
const KERNEL_PREFIX: &str = "cooltwin, ";

/// cooltwin's library, called as the engine calls it. None if it goes by another name.
pub fn cooltwin(name: &str) -> Result<Option<Competitor>, Error> {
    let kernel = match name.strip_prefix(KERNEL_PREFIX) {
        Some(kernel) => Some(kernel.parse()?),
        None if name == NAME => forced_kernel()?,
        None => return Ok(None),
    };
    // Names live as long as the program; there are a handful.
    let name = String::leak(name.to_owned());
    Ok(Some(Competitor::new(name, "Model and ModelSet of the library", Agreement::Exact, move |task| {
        let files = task.models().into_iter().map(|model| read(&task.suite.models[model]));
        let files = files.collect::<Result<Vec<_>, Error>>()?;
        let (batch, outputs) = (task.batch, vec![0.0; task.batch * files.len()]);
        Ok(match files.as_slice() {
            [(name, bytes)] => {
                let model = Model::with_kernel(name, bytes, task.features, kernel)?;
                Box::new(One { model, batch, outputs })
            }
            _ => Box::new(All { set: load_set(&files, task.features, kernel)?, batch, outputs }),
        })
    })))
}

fn forced_kernel() -> Result<Option<KernelKind>, Error> {
    let kernel = env::var(KERNEL_VARIABLE).ok().filter(|kernel| !matches!(kernel.as_str(), "" | "auto"));
    Ok(kernel.map(|kernel| kernel.parse()).transpose()?)
}

/// The names of all kernels that this processor can run, but for the plain one that the others are tested against.
pub fn kernels() -> Vec<String> {
    let kinds = KernelKind::ALL.into_iter().filter(|kind| *kind != KernelKind::Reference);
    let kinds = kinds.filter(|kind| kind.unavailable().is_none());
    kinds.map(|kind| format!("{KERNEL_PREFIX}{kind}")).collect()
}

/// What the library says about a model's ensembles, trees and kernel, by the way it goes by [`NAME`].
pub fn describe(files: &ModelFiles, features: usize) -> Result<Vec<EnsembleInfo>, Error> {
    let (name, bytes) = read(files)?;
    Ok(Model::with_kernel(&name, &bytes, features, forced_kernel()?)?.describe().ensembles.clone())
}

fn read(files: &ModelFiles) -> Result<(String, Vec<u8>), Error> {
    Ok((files.name.clone(), fs::read(&files.onnx)?))
}

fn load_set(
    files: &[(String, Vec<u8>)],
    features: usize,
    kernel: Option<KernelKind>,
) -> Result<ModelSet, Error> {
    let sources: Vec<ModelSource<'_>> =
        files.iter().map(|(name, bytes)| ModelSource { name, bytes }).collect();
    let targets = (0..files.len()).map(|model| TargetSource { model, column: 0 }).collect();
    Ok(ModelSet::load(&sources, targets, features, kernel, Rows::Shared)?)
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
