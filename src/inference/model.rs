//! One loaded model.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tract_onnx::prelude::{IntoTValue, IntoTensor, Tensor, TractError, TractResult, TypedSimplePlan, tvec};

use super::error::ModelError;
use super::info::ModelInfo;
use super::kernel::{Kernel, KernelKind, Scratch};
use super::limits::PLAN_BATCH_ROWS;
use super::onnx::{Loaded, Runnable, load, panic_text};

/// One loaded ONNX regressor: a fixed number of input features, a fixed number of outputs.
///
/// It is `Send` and owns its buffers, so a worker can own it; predictions take `&mut self`. A clone has buffers of its
/// own and shares everything else.
#[derive(Clone)]
pub struct Model {
    info: ModelInfo,
    engine: Engine,
}

#[derive(Clone)]
enum Engine {
    Kernel {
        kernel: Arc<Kernel>,
        scratch: Scratch,
        /// The operator, for errors.
        place: String,
    },
    Plan(Arc<TypedSimplePlan>),
}

impl Model {
    /// Parses, validates and optimises an ONNX file held in memory.
    ///
    /// The graph takes one FLOAT tensor `[rows, n_features]` and gives one FLOAT tensor `[rows]`,
    /// `[rows, 1]` or `[rows, outputs]`. `name` stands in errors and descriptions.
    ///
    /// # Errors
    /// [`ModelError::Refused`] with every problem found: a damaged or oversized file, external data,
    /// other shapes, operators that are not supported, tree ensembles that are not sound. No bytes,
    /// however malformed, make it panic, hang or exhaust the memory.
    pub fn from_onnx(name: &str, bytes: &[u8], n_features: usize) -> Result<Model, ModelError> {
        Model::with_kernel(name, bytes, n_features, None)
    }

    /// The same with the kernel that its tree ensembles are to be evaluated by; `None` for the fastest.
    ///
    /// # Errors
    /// As [`Model::from_onnx`], and if the kernel cannot evaluate an ensemble of the model or this
    /// processor cannot run it.
    pub fn with_kernel(
        name: &str,
        bytes: &[u8],
        n_features: usize,
        kernel: Option<KernelKind>,
    ) -> Result<Model, ModelError> {
        let mut model = Model::undecided(name, bytes, n_features, kernel)?;
        model.decide(|undecided| undecided.with(kernel))?;
        Ok(model)
    }

    /// The same, but that the kernel of a model that is nothing but a tree ensemble waits for [`Model::decide`].
    pub(super) fn undecided(
        name: &str,
        bytes: &[u8],
        n_features: usize,
        kernel: Option<KernelKind>,
    ) -> Result<Model, ModelError> {
        let Loaded { runnable, info } = load(name, bytes, n_features, kernel)?;
        let engine = match runnable {
            Runnable::Kernel(kernel, place) => {
                Engine::Kernel { scratch: kernel.scratch(), kernel: kernel.into(), place }
            }
            Runnable::Plan(plan) => Engine::Plan(plan),
        };
        Ok(Model { info, engine })
    }

    /// Gives a model that is nothing but a tree ensemble the kernel that `choose` makes of its undecided one.
    ///
    /// # Errors
    /// Why the ensemble has no such kernel.
    pub(super) fn decide(
        &mut self,
        choose: impl FnOnce(&Kernel) -> Result<Kernel, String>,
    ) -> Result<(), ModelError> {
        let Engine::Kernel { kernel, scratch, place } = &mut self.engine else { return Ok(()) };
        let chosen = choose(kernel);
        *kernel =
            Arc::new(chosen.map_err(|why| ModelError::refused(&self.info.name, std::mem::take(place), why))?);
        *scratch = kernel.scratch();
        self.info.ensembles = vec![kernel.info().clone()];
        Ok(())
    }

    /// The name given at load.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// Features of a row.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.info.features
    }

    /// Outputs of a row.
    #[must_use]
    pub fn n_outputs(&self) -> usize {
        self.info.outputs
    }

    /// What the model is made of.
    #[must_use]
    pub fn describe(&self) -> &ModelInfo {
        &self.info
    }

    /// Predicts one row: `row` is `[n_features]`, `out` is `[n_outputs]`. Missing features are NaN.
    ///
    /// Allocates nothing if the model is a bare tree ensemble.
    ///
    /// # Errors
    /// [`ModelError::Length`] if a slice has another length; [`ModelError::Run`] if a network's
    /// operators fail. `out` then holds no meaningful values.
    pub fn predict(&mut self, row: &[f32], out: &mut [f32]) -> Result<(), ModelError> {
        self.check_length("the feature row", self.info.features, row.len())?;
        self.check_length("the output row", self.info.outputs, out.len())?;
        match &mut self.engine {
            Engine::Kernel { kernel, scratch, .. } => {
                kernel.predict(row, self.info.features, out, scratch);
                Ok(())
            }
            Engine::Plan(plan) => run(&self.info, plan, row, out),
        }
    }

    /// Predicts any number of rows: `rows` is `[n, n_features]`, `out` is `[n, n_outputs]`, both row
    /// after row.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn predict_batch(&mut self, rows: &[f32], out: &mut [f32]) -> Result<(), ModelError> {
        let (features, outputs) = (self.info.features, self.info.outputs);
        let n = rows.len() / features;
        self.check_length("the feature matrix", n * features, rows.len())?;
        self.check_length("the output matrix", n * outputs, out.len())?;
        match &mut self.engine {
            Engine::Kernel { kernel, scratch, .. } => {
                kernel.predict(rows, features, out, scratch);
                Ok(())
            }
            Engine::Plan(plan) => rows
                .chunks(PLAN_BATCH_ROWS * features)
                .zip(out.chunks_mut(PLAN_BATCH_ROWS * outputs))
                .try_for_each(|(rows, out)| run(&self.info, plan, rows, out)),
        }
    }

    /// The kernel, if the model is nothing but a tree ensemble.
    pub(super) fn kernel(&self) -> Option<&Kernel> {
        match &self.engine {
            Engine::Kernel { kernel, .. } => Some(kernel),
            Engine::Plan(_) => None,
        }
    }

    /// Forgets what is only needed to evaluate models together.
    pub(super) fn release_source(&mut self) {
        if let Engine::Kernel { kernel, .. } = &mut self.engine {
            // At load nobody else has it yet.
            if let Some(kernel) = Arc::get_mut(kernel) {
                kernel.release_source();
            }
        }
    }

    fn check_length(&self, what: &'static str, expected: usize, found: usize) -> Result<(), ModelError> {
        if expected == found {
            return Ok(());
        }
        Err(ModelError::Length { model: self.info.name.clone(), what, expected, found })
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("info", &self.info).finish_non_exhaustive()
    }
}

/// Runs the plan on whole rows.
fn run(
    info: &ModelInfo,
    plan: &Arc<TypedSimplePlan>,
    rows: &[f32],
    out: &mut [f32],
) -> Result<(), ModelError> {
    let failed = |reason: String| ModelError::Run { model: info.name.clone(), reason };
    let answer = || -> TractResult<Tensor> {
        let input = Tensor::from_shape(&[rows.len() / info.features, info.features], rows)?;
        let mut outputs = plan.run(tvec!(input.into_tvalue()))?;
        Ok(outputs.remove(0).into_tensor())
    };
    // A panic in an operator must not take the daemon with it. The plan is immutable and each run has
    // a state of its own, so nothing half-done is left behind.
    let answer = catch_unwind(AssertUnwindSafe(answer))
        .unwrap_or_else(|panic| Err(TractError::msg(panic_text(panic.as_ref()))))
        .map_err(|error| failed(format!("{error:#}")))?;
    let values = answer.try_as_plain_ram().and_then(|plain| plain.as_slice::<f32>().map(<[f32]>::to_vec));
    let values = values.map_err(|error| failed(format!("{error:#}")))?;
    if values.len() != out.len() {
        return Err(failed(format!("it gave {} values where {} are expected", values.len(), out.len())));
    }
    out.copy_from_slice(&values);
    Ok(())
}
