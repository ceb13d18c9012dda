//! Times single-row predictions of one ONNX model, rotating through the rows of a matrix.
//!
//! ```text
//! time_onnx MODEL.onnx N_FEATURES ROWS.f32
//! ```
//!
//! The rows are raw little-endian 32-bit floats, as for `predict_onnx`. They should be real ones, some
//! hundreds at least: a row that is repeated teaches the processor its path and flatters any kernel.
//! Build with `--release`. Prints the median and the extremes of [`ROUNDS`] rounds.

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;
use std::{env, fs};

use cooltwin::inference::Model;

/// Rounds to take the median of.
const ROUNDS: usize = 41;
/// Predictions a round, so that one round takes some milliseconds.
const PREDICTIONS: usize = 5000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [model, features, rows] = arguments.as_slice() else {
        return Err("usage: time_onnx MODEL.onnx N_FEATURES ROWS.f32".into());
    };
    let file = fs::read(model)?;
    let started = Instant::now();
    let mut model = Model::from_onnx(model, &file, features.parse()?)?;
    let load = started.elapsed();
    let bytes = fs::read(rows)?;
    let (values, _) = bytes.as_chunks::<4>();
    let values: Vec<f32> = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let rows: Vec<&[f32]> = values.chunks_exact(model.n_features()).collect();
    let mut out = vec![0.0; model.n_outputs()];
    let mut next = rows.iter().cycle();
    let mut nanoseconds: Vec<f64> = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for row in next.by_ref().take(PREDICTIONS) {
            model.predict(black_box(row), &mut out)?;
            black_box(&out);
        }
        nanoseconds.push(started.elapsed().as_secs_f64() * 1e9 / PREDICTIONS as f64);
    }
    nanoseconds.sort_by(f64::total_cmp);
    let at = |share: usize| nanoseconds.get((ROUNDS - 1) * share / 100).copied().unwrap_or(f64::NAN);
    println!("{}", serde_json::to_string(model.describe())?);
    println!(
        "load {load:.1?}; one row of {}: median {:.0} ns, fastest round {:.0}, slowest {:.0}",
        rows.len(),
        at(50),
        at(0),
        at(100)
    );
    Ok(())
}
