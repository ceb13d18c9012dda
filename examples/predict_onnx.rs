//! Runs one ONNX model on a matrix, for comparison with other runtimes (see `tests/python`).
//!
//! ```text
//! predict_onnx MODEL.onnx N_FEATURES ROWS.f32 OUT.f32
//! ```
//!
//! Both matrices are raw little-endian 32-bit floats, row after row: `[n, N_FEATURES]` in and
//! `[n, outputs]` out. What the model is made of is printed as JSON. Every row is predicted twice,
//! alone and in a batch; the program fails if the two differ by a bit. The environment variable `COOLTWIN_KERNEL`
//! names the kernel to evaluate tree ensembles with, if not the fastest.

use std::error::Error;
use std::process::ExitCode;
use std::{env, fs};

use cooltwin::inference::Model;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [model, features, rows, out] = arguments.as_slice() else {
        eprintln!("usage: predict_onnx MODEL.onnx N_FEATURES ROWS.f32 OUT.f32");
        return ExitCode::from(64);
    };
    match run(model, features, rows, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(model: &str, features: &str, rows: &str, out: &str) -> Result<(), Box<dyn Error>> {
    let kernel = env::var("COOLTWIN_KERNEL").ok().map(|name| name.parse()).transpose()?;
    let mut model = Model::with_kernel(model, &fs::read(model)?, features.parse()?, kernel)?;
    println!("{}", serde_json::to_string(model.describe())?);
    let bytes = fs::read(rows)?;
    let (values, _) = bytes.as_chunks::<4>();
    let rows: Vec<f32> = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let width = model.n_outputs();
    let mut batch = vec![0.0; rows.len() / model.n_features() * width];
    model.predict_batch(&rows, &mut batch)?;
    let mut single = vec![0.0; width];
    for (n, (row, expected)) in rows.chunks(model.n_features()).zip(batch.chunks(width)).enumerate() {
        model.predict(row, &mut single)?;
        let same = single.iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits());
        // Matrix products may be rounded differently in a batch; trees may not.
        if !same && !model.describe().ensembles.is_empty() {
            return Err(format!("row {n}: {single:?} alone, {expected:?} in a batch").into());
        }
    }
    let bytes: Vec<u8> = batch.iter().flat_map(|value| value.to_le_bytes()).collect();
    fs::write(out, bytes)?;
    Ok(())
}
