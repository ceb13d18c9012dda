//! Tree ensembles made of any bytes: each loads, and every kernel gives the bits of a plain walk.
#![no_main]

use cooltwin::inference::{KernelKind, Model, ModelSet};
use cooltwin_fuzz::judge::Case;
use cooltwin_fuzz::watchdog;
use libfuzzer_sys::fuzz_target;
use prost::Message;

fuzz_target!(init: watchdog::start(), |input: (u8, Case)| {
    watchdog::next_input();
    let (choice, case) = input;
    if case.is_empty() {
        return;
    }
    let bytes = case.model().encode_to_vec();
    let expected: Vec<f32> =
        case.rows.chunks_exact(case.features).flat_map(|row| case.expected(row)).collect();
    let (kernel, share) = match KernelKind::ALL.get(usize::from(choice % 16)) {
        Some(kernel) => (Some(*kernel), false),
        None => (None, choice > 127),
    };
    let load = || Model::with_kernel("ensemble.onnx", &bytes, case.features, kernel);
    let mut model = match load() {
        Ok(model) => model,
        // Every ensemble has a kernel, not every kernel takes every ensemble.
        Err(_) if kernel.is_some() => return,
        Err(error) => panic!("a sound ensemble is refused: {error}"),
    };
    let kind = model.describe().ensembles.first().map(|ensemble| ensemble.kernel.name()).unwrap_or_default();
    let mut single = vec![0.0_f32; expected.len()];
    for (row, out) in case.rows.chunks_exact(case.features).zip(single.chunks_exact_mut(case.targets())) {
        if let Err(error) = model.predict(row, out) {
            panic!("a row is refused: {error}");
        }
    }
    same(&expected, &single, kind, "row by row");
    let mut batch = vec![0.0_f32; expected.len()];
    if let Err(error) = model.predict_batch(&case.rows, &mut batch) {
        panic!("rows are refused: {error}");
    }
    same(&expected, &batch, kind, "as a batch");
    if share && let Ok(again) = load() {
        shared(vec![model, again], &case, &expected, kind);
    }
});

/// Two models of one bundle, which share the ranks of a row where their kernel has such.
fn shared(models: Vec<Model>, case: &Case, expected: &[f32], kind: &str) {
    let last = case.targets() - 1;
    let mut set = match ModelSet::new(models.into_iter().map(|model| (model, last)).collect()) {
        Ok(set) => set,
        Err(errors) => panic!("sound models are refused together: {errors}"),
    };
    let wanted: Vec<f32> = expected.chunks_exact(case.targets()).flat_map(|row| [row[last]; 2]).collect();
    let mut found = vec![0.0_f32; wanted.len()];
    if let Err(error) = set.predict_batch(&case.rows, &mut found) {
        panic!("rows are refused: {error}");
    }
    same(&wanted, &found, kind, "as a set, in a batch");
    let mut row = [0.0_f32; 2];
    if let Err(error) = set.predict(&case.rows[..case.features], &mut row) {
        panic!("a row is refused: {error}");
    }
    same(&wanted[..2], &row, kind, "as a set, one row");
}

/// Equal bits, or NaN both: its payload is not part of the result.
fn same(expected: &[f32], found: &[f32], kind: &str, how: &str) {
    let same =
        expected.iter().zip(found).all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan());
    assert!(same, "{kind}, {how}: {found:?} where {expected:?} is expected");
}
