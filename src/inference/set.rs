//! All models of a bundle.

use super::error::{ModelError, ModelErrors};
use super::kernel::{Joint, Kernel, KernelKind};
use super::model::Model;

/// Rows evaluated between two scatterings of model outputs to target columns: the buffer stays small.
const CHUNK_ROWS: usize = 64;

/// An ONNX file for [`ModelSet::load`].
#[derive(Debug, Clone, Copy)]
pub struct ModelSource<'a> {
    /// Stands in errors, usually the file name.
    pub name: &'a str,
    /// The file.
    pub bytes: &'a [u8],
}

/// Which output of which model a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetSource {
    /// Index of the model.
    pub model: usize,
    /// Column of its output.
    pub column: usize,
}

/// Which rows the targets are predicted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// One row serves all: [`ModelSet::predict`] and [`ModelSet::predict_batch`]. The models may then have no fast
    /// kernel of their own, and [`ModelSet::predict_target`] be slow.
    Shared,
    /// Each target has its own, scaled for it, say: [`ModelSet::predict_target`].
    Own,
}

/// All models of a bundle; one output column per target, in target order. A clone has buffers of its own and shares
/// the tables of the models.
#[derive(Debug, Clone)]
pub struct ModelSet {
    models: Vec<Model>,
    targets: Vec<TargetSource>,
    /// For each target, which of the outputs of all models is the first of its own model.
    firsts: Vec<usize>,
    n_features: usize,
    /// Outputs of all models for a row.
    n_outputs: usize,
    /// All models evaluated together, where they are tree ensembles that one kernel can rank rows for.
    joint: Option<Joint>,
    /// Outputs of all models, [`CHUNK_ROWS`] times.
    buffer: Vec<f32>,
}

impl ModelSet {
    /// One model per target, each with the output column that is the target.
    ///
    /// # Errors
    /// As [`ModelSet::with_targets`].
    pub fn new(models: Vec<(Model, usize)>) -> Result<ModelSet, ModelErrors> {
        let targets = models.iter().enumerate();
        let targets = targets.map(|(model, (_, column))| TargetSource { model, column: *column }).collect();
        ModelSet::with_targets(models.into_iter().map(|(model, _)| model).collect(), targets)
    }

    /// Targets that may share a model; each model is evaluated once.
    ///
    /// # Errors
    /// If there is no target, if models differ in their number of features, or if a target names a
    /// model or column that does not exist; all such errors together.
    pub fn with_targets(models: Vec<Model>, targets: Vec<TargetSource>) -> Result<ModelSet, ModelErrors> {
        check(&models, &targets)?;
        let kernels: Option<Vec<&Kernel>> = models.iter().map(Model::kernel).collect();
        let joint = kernels.filter(|kernels| kernels.len() > 1).and_then(|kernels| {
            let kind = kernels.first()?.info().kernel;
            let same = kernels.iter().all(|kernel| kernel.info().kernel == kind);
            if same { Joint::new(&kernels, Some(kind)) } else { None }
        });
        Ok(ModelSet::of(models, targets, joint))
    }

    /// Loads all models, or none; their tree ensembles evaluated by `kernel`, or by the fastest.
    ///
    /// # Errors
    /// The errors of all models, or those of [`ModelSet::with_targets`].
    pub fn load(
        sources: &[ModelSource<'_>],
        targets: Vec<TargetSource>,
        n_features: usize,
        kernel: Option<KernelKind>,
        rows: Rows,
    ) -> Result<ModelSet, ModelErrors> {
        let mut models = Vec::with_capacity(sources.len());
        let mut errors = Vec::new();
        for source in sources {
            match Model::undecided(source.name, source.bytes, n_features, kernel) {
                Ok(model) => models.push(model),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            // What else is wrong, for one report of all.
            errors.extend(models.iter_mut().filter_map(|model| model.decide(|kind| kind.with(kernel)).err()));
            return Err(ModelErrors(errors));
        }
        check(&models, &targets)?;
        let kernels: Option<Vec<&Kernel>> = models.iter().map(Model::kernel).collect();
        let joint = kernels
            .filter(|kernels| kernels.len() > 1 && rows == Rows::Shared)
            .and_then(|kernels| Joint::new(&kernels, kernel));
        for (part, model) in models.iter_mut().enumerate() {
            let decided = match &joint {
                Some(joint) => model.decide(|undecided| undecided.behind(joint, part)),
                None => model.decide(|undecided| undecided.with(kernel)),
            };
            errors.extend(decided.err());
        }
        if errors.is_empty() { Ok(ModelSet::of(models, targets, joint)) } else { Err(ModelErrors(errors)) }
    }

    fn of(mut models: Vec<Model>, targets: Vec<TargetSource>, joint: Option<Joint>) -> ModelSet {
        models.iter_mut().for_each(Model::release_source);
        let n_features = models.first().map_or(0, Model::n_features);
        let before = |model| models.iter().take(model).map(Model::n_outputs).sum();
        let firsts = targets.iter().map(|target| before(target.model)).collect();
        let n_outputs = before(models.len());
        let buffer = vec![0.0; n_outputs * CHUNK_ROWS];
        ModelSet { models, targets, firsts, n_features, n_outputs, joint, buffer }
    }

    /// The models.
    #[must_use]
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// Which output of which model each target is.
    #[must_use]
    pub fn targets(&self) -> &[TargetSource] {
        &self.targets
    }

    /// Features of a row.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Whether all models are evaluated together, the row ranked once for all.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        self.joint.is_some()
    }

    /// Number of targets.
    #[must_use]
    pub fn n_targets(&self) -> usize {
        self.targets.len()
    }

    /// Predicts one row: `row` is `[n_features]`, `out` is `[n_targets]`.
    ///
    /// Allocates nothing if all models are bare tree ensembles.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn predict(&mut self, row: &[f32], out: &mut [f32]) -> Result<(), ModelError> {
        self.check_length("the feature row", self.n_features, row.len())?;
        self.check_length("the output row", self.targets.len(), out.len())?;
        self.chunk(row, out, 1)
    }

    /// Predicts one target of one row, for targets whose models want rows of their own (scaled
    /// differently, say): `row` is `[n_features]`.
    ///
    /// # Errors
    /// As [`Model::predict`]; a target that does not exist is a [`ModelError::Length`].
    pub fn predict_target(&mut self, target: usize, row: &[f32]) -> Result<f32, ModelError> {
        let Some(source) = self.targets.get(target).copied() else {
            return Err(self.length_error("the target list", target + 1, self.targets.len()));
        };
        let ModelSet { models, buffer, .. } = self;
        // Both lookups hold for every target that `check` has accepted.
        let (Some(model), outputs) = (models.get_mut(source.model), buffer) else { return Ok(f32::NAN) };
        let outputs = outputs.get_mut(..model.n_outputs()).unwrap_or_default();
        model.predict(row, outputs)?;
        Ok(outputs.get(source.column).copied().unwrap_or(f32::NAN))
    }

    /// Predicts any number of rows: `rows` is `[n, n_features]`, `out` is `[n, n_targets]`.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn predict_batch(&mut self, rows: &[f32], out: &mut [f32]) -> Result<(), ModelError> {
        let (features, targets) = (self.n_features, self.targets.len());
        let n = rows.len() / features;
        self.check_length("the feature matrix", n * features, rows.len())?;
        self.check_length("the output matrix", n * targets, out.len())?;
        rows.chunks(CHUNK_ROWS * features)
            .zip(out.chunks_mut(CHUNK_ROWS * targets))
            .try_for_each(|(rows, out)| self.chunk(rows, out, rows.len() / features))
    }

    /// At most [`CHUNK_ROWS`] rows: each model once, its columns to their targets.
    fn chunk(&mut self, rows: &[f32], out: &mut [f32], n: usize) -> Result<(), ModelError> {
        let ModelSet { models, targets, firsts, n_features, n_outputs, joint, buffer } = self;
        let outputs = buffer.get_mut(..n * *n_outputs).unwrap_or_default();
        if let Some(joint) = joint {
            joint.predict(rows, *n_features, outputs);
        } else {
            let mut rest = &mut *outputs;
            for model in &mut *models {
                let (own, after) = rest.split_at_mut((n * model.n_outputs()).min(rest.len()));
                rest = after;
                if n == 1 {
                    model.predict(rows, own)?;
                } else {
                    model.predict_batch(rows, own)?;
                }
            }
        }
        for (place, (target, first)) in targets.iter().zip(firsts).enumerate() {
            let Some(model) = models.get(target.model) else { continue };
            // Together the models' outputs stand row by row, one by one they stand model by model.
            let (from, stride) = match joint {
                Some(_) => (*first, *n_outputs),
                None => (n * *first, model.n_outputs()),
            };
            let column = outputs.iter().skip(from + target.column).step_by(stride);
            for (value, out) in column.zip(out.chunks_exact_mut(targets.len())) {
                if let Some(slot) = out.get_mut(place) {
                    *slot = *value;
                }
            }
        }
        Ok(())
    }

    fn check_length(&self, what: &'static str, expected: usize, found: usize) -> Result<(), ModelError> {
        if expected == found { Ok(()) } else { Err(self.length_error(what, expected, found)) }
    }

    fn length_error(&self, what: &'static str, expected: usize, found: usize) -> ModelError {
        let model = self.models.iter().map(Model::name).collect::<Vec<_>>().join(", ");
        ModelError::Length { model, what, expected, found }
    }
}

/// There are targets, all models take the same number of features, and every target is an output of one.
fn check(models: &[Model], targets: &[TargetSource]) -> Result<(), ModelErrors> {
    let mut errors = Vec::new();
    let n_features = models.first().map_or(0, Model::n_features);
    for model in models.iter().filter(|model| model.n_features() != n_features) {
        let reason = format!("are {}, those of the first model {n_features}", model.n_features());
        errors.push(ModelError::refused(model.name(), "features", reason));
    }
    if targets.is_empty() {
        errors.push(ModelError::refused("set", "targets", "there are none; declare at least one"));
    }
    for (i, target) in targets.iter().enumerate() {
        let place = format!("target {i}");
        match models.get(target.model) {
            None => {
                let reason = format!("names model {}, there are {}", target.model, models.len());
                errors.push(ModelError::refused("set", place, reason));
            }
            Some(model) if target.column >= model.n_outputs() => {
                let reason = format!("is column {}, the model has {}", target.column, model.n_outputs());
                errors.push(ModelError::refused(model.name(), place, reason));
            }
            Some(_) => {}
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(ModelErrors(errors)) }
}
