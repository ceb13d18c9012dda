//! Any bytes as an ONNX model: refused with an error or loaded and run, never a crash.
#![no_main]

use cooltwin::inference::Model;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(mut model) = Model::from_onnx("fuzz.onnx", bytes, 4) {
        let mut out = vec![0.0; model.n_outputs()];
        let _ = model.predict(&[0.5, -1.0, f32::NAN, 1e30], &mut out);
    }
});
