//! Tree ensembles made of any bytes: each loads, and every way of evaluating it gives the bits of a plain walk.
#![no_main]

use cooltwin::inference::Model;
use cooltwin_fuzz::judge::Case;
use libfuzzer_sys::fuzz_target;
use prost::Message;

fuzz_target!(|case: Case| {
    if case.is_empty() {
        return;
    }
    let bytes = case.model().encode_to_vec();
    let mut model = match Model::from_onnx("ensemble.onnx", &bytes, case.features) {
        Ok(model) => model,
        Err(error) => panic!("a sound ensemble is refused: {error}"),
    };
    let expected: Vec<f32> =
        case.rows.chunks_exact(case.features).flat_map(|row| case.expected(row)).collect();
    let mut single = vec![0.0_f32; expected.len()];
    for (row, out) in case.rows.chunks_exact(case.features).zip(single.chunks_exact_mut(case.targets())) {
        if let Err(error) = model.predict(row, out) {
            panic!("a row is refused: {error}");
        }
    }
    same(&expected, &single, "row by row");
    let mut batch = vec![0.0_f32; expected.len()];
    if let Err(error) = model.predict_batch(&case.rows, &mut batch) {
        panic!("rows are refused: {error}");
    }
    same(&expected, &batch, "as a batch");
});

/// Equal bits, or NaN both: its payload is not part of the result.
fn same(expected: &[f32], found: &[f32], how: &str) {
    let same =
        expected.iter().zip(found).all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan());
    assert!(same, "{how}: {found:?} where {expected:?} is expected");
}
