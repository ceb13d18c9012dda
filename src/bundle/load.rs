//! Loading: files to a checked, compiled, proven bundle. All or nothing.

use std::collections::BTreeSet;

use super::compile::FeatureError;
use super::evaluate::{Evaluator, Predictor};
use super::golden::{self, GOLDEN_FILE};
use super::manifest::{MANIFEST_FILE, Manifest};
use super::reference::{REFERENCE_FILE, Reference};
use super::seal::sha256_hex;
use super::vector::Assembler;
use super::{Bundle, BundleErrors, BundleFiles, LoadOptions, LoadTimes};
use crate::domain::ModelIdentity;
use crate::inference::{KernelKind, ModelSet, ModelSource, Rows, TargetSource};

/// Hex digits of the bundle's hash that stand in every prediction.
const IDENTITY_DIGITS: usize = 16;

/// A bundle compiled from its files, not yet checked against hashes and golden vectors.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) manifest: Manifest,
    pub(super) reference: Option<Reference>,
    pub(super) evaluator: Evaluator,
}

/// A file as text.
pub(super) fn file_text<'f>(files: &'f BundleFiles, name: &str) -> Result<&'f str, BundleErrors> {
    let problem = |problem: String| BundleErrors(vec![problem]);
    let bytes = files
        .0
        .get(name)
        .ok_or_else(|| problem(format!("{name}: the file is missing from the bundle's folder")))?;
    std::str::from_utf8(bytes).map_err(|error| problem(format!("{name}: is not UTF-8 text: {error}")))
}

impl Parts {
    /// Compiles features and loads models: everything that sealing needs too. `problems` are those found
    /// before; they are reported with what is found here. Gives the time the models took as well.
    pub(super) fn compile(
        files: &BundleFiles,
        manifest: Manifest,
        mut problems: Vec<String>,
        options: LoadOptions,
    ) -> Result<(Self, u64), BundleErrors> {
        let reference = load_reference(files, &manifest).unwrap_or_else(|found| {
            problems.extend(found);
            None
        });
        let assembler = Assembler::new(&manifest, reference.as_ref())
            .map_err(|errors| problems.extend(errors.iter().map(describe)))
            .ok();
        let begin = (options.stopwatch)();
        let models =
            load_models(files, &manifest, options.kernel).map_err(|found| problems.extend(found)).ok();
        let took = (options.stopwatch)().saturating_sub(begin);
        match (assembler, models) {
            (Some(assembler), Some(models)) if problems.is_empty() => {
                let predictor = Predictor::new(&manifest, models);
                let evaluator = Evaluator::new(assembler, predictor);
                Ok((Self { manifest, reference, evaluator }, took))
            }
            _ => Err(BundleErrors(problems)),
        }
    }
}

/// The files beside the manifest that make up the bundle, sorted.
pub(super) fn file_names(files: &BundleFiles, manifest: &Manifest) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = manifest.targets.iter().map(|target| target.model.clone()).collect();
    names.insert(GOLDEN_FILE.to_owned());
    if files.0.contains_key(REFERENCE_FILE) {
        names.insert(REFERENCE_FILE.to_owned());
    }
    names
}

fn describe(error: &FeatureError) -> String {
    let place = error.column.map_or(String::new(), |column| format!(", expr column {column}"));
    format!("{MANIFEST_FILE}: feature `{}`{place}: {}", error.feature, error.message)
}

fn load_reference(files: &BundleFiles, manifest: &Manifest) -> Result<Option<Reference>, Vec<String>> {
    let Some(bytes) = files.0.get(REFERENCE_FILE) else { return Ok(None) };
    let features: Vec<&str> = manifest.features.iter().map(|feature| feature.name.as_str()).collect();
    let targets: Vec<&str> = manifest.targets.iter().map(|target| target.name.as_str()).collect();
    Reference::parse(bytes, &features, &targets).map(Some)
}

fn load_models(
    files: &BundleFiles,
    manifest: &Manifest,
    kernel: Option<KernelKind>,
) -> Result<ModelSet, Vec<String>> {
    let (mut names, mut targets, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for target in &manifest.targets {
        let model = names.iter().position(|name| *name == target.model.as_str()).unwrap_or_else(|| {
            names.push(target.model.as_str());
            names.len() - 1
        });
        targets.push(TargetSource { model, column: target.output });
    }
    let mut sources = Vec::new();
    for name in names {
        match files.0.get(name) {
            Some(bytes) => sources.push(ModelSource { name, bytes }),
            None => problems.push(format!("{name}: the file is missing from the bundle's folder")),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let scaled = manifest.targets.iter().any(|target| target.input_scaler.is_some());
    let rows = if scaled { Rows::Own } else { Rows::Shared };
    ModelSet::load(&sources, targets, manifest.features.len(), kernel, rows)
        .map_err(|errors| errors.0.iter().map(ToString::to_string).collect())
}

/// Compiles the features of a bundle alone: models, hashes and golden vectors need not be there yet, as when
/// the training matrix is built.
///
/// # Errors
/// All that is wrong with manifest, reference and features.
pub fn compile_features(files: &BundleFiles) -> Result<(Manifest, Assembler), BundleErrors> {
    let manifest = Manifest::parse(file_text(files, MANIFEST_FILE)?).map_err(BundleErrors)?;
    let reference = load_reference(files, &manifest).map_err(BundleErrors)?;
    let assembler = Assembler::new(&manifest, reference.as_ref())
        .map_err(|errors| BundleErrors(errors.iter().map(describe).collect()))?;
    Ok((manifest, assembler))
}

/// Compares every file with the hash the manifest states for it.
pub(super) fn check_hashes(files: &BundleFiles, manifest: &Manifest) -> Vec<String> {
    let mut problems = Vec::new();
    let stated = &manifest.hashes;
    let names = file_names(files, manifest);
    for name in &names {
        match (stated.get(name), files.0.get(name)) {
            // Models that are not there are named where they are loaded.
            (_, None) if name != GOLDEN_FILE => {}
            (_, None) => problems.push(format!("{name}: the file is missing from the bundle's folder")),
            (None, Some(_)) => {
                problems.push(format!(
                    "{MANIFEST_FILE}: hashes has no entry for `{name}`; run `cooltwin seal` on the folder"
                ));
            }
            (Some(hash), Some(bytes)) => {
                let found = sha256_hex(bytes);
                if *hash != found {
                    problems.push(format!(
                        "{name}: its SHA-256 is {found}, {MANIFEST_FILE} states {hash}; the file was changed after sealing: restore it, or run `cooltwin seal` if the change is meant"
                    ));
                }
            }
        }
    }
    for name in stated.keys().filter(|name| !names.contains(*name)) {
        problems.push(format!("{MANIFEST_FILE}: hashes names `{name}`, which is no file of this bundle"));
    }
    problems
}

/// Features that are computed from a measured target: with them a model sees the answer.
fn leaking_features(parts: &Parts) -> Vec<String> {
    let measured: Vec<usize> = parts
        .manifest
        .targets
        .iter()
        .flat_map(|target| [Some(target.name.as_str()), target.measured_by.as_deref()])
        .flatten()
        .filter_map(|name| parts.manifest.sensors.iter().position(|sensor| sensor.name == name))
        .collect();
    let facts = &parts.evaluator.assembler.program().facts;
    parts
        .manifest
        .features
        .iter()
        .zip(facts)
        .filter(|(_, facts)| facts.sensors.iter().any(|sensor| measured.contains(&usize::from(*sensor))))
        .map(|(feature, _)| feature.name.clone())
        .collect()
}

pub(super) fn load(files: &BundleFiles, options: LoadOptions) -> Result<Bundle, BundleErrors> {
    let stopwatch = options.stopwatch;
    let begin = stopwatch();
    let manifest = Manifest::parse(file_text(files, MANIFEST_FILE)?).map_err(BundleErrors)?;
    let parsed = stopwatch();
    let problems = check_hashes(files, &manifest);
    let hashed = stopwatch();
    let (mut parts, models) = Parts::compile(files, manifest, problems, options)?;
    let compiled = stopwatch();
    let golden_text = file_text(files, GOLDEN_FILE)?;
    let golden_frames =
        golden::verify(&mut parts.evaluator, &parts.manifest, golden_text).map_err(BundleErrors)?;
    let proven = stopwatch();
    let mut sha256 = sha256_hex(files.0.get(MANIFEST_FILE).map_or(&[][..], Vec::as_slice));
    sha256.truncate(IDENTITY_DIGITS);
    let leaking = leaking_features(&parts);
    Ok(Bundle {
        identity: ModelIdentity {
            id: parts.manifest.id.clone(),
            version: parts.manifest.version.clone(),
            sha256,
        },
        leaking_features: leaking,
        golden_frames,
        load_times: LoadTimes {
            hashes: hashed.saturating_sub(parsed),
            models,
            features: (parsed.saturating_sub(begin) + compiled.saturating_sub(hashed)).saturating_sub(models),
            golden: proven.saturating_sub(compiled),
        },
        manifest: parts.manifest,
        reference: parts.reference,
        evaluator: parts.evaluator,
    })
}
