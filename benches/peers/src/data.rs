//! What `prepare.py` has laid out: models, rows, the libraries of the peers, and who is missing and why.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::Error;

/// `peers.json`.
#[derive(Debug, Deserialize)]
pub struct Setup {
    /// Program or library and its version, as the report shows them.
    pub versions: BTreeMap<String, String>,
    /// Peers that could not be installed or made, with the reason.
    pub missing: BTreeMap<String, String>,
    /// Features of a row.
    pub features: usize,
    /// Raw little-endian 32-bit floats, `[n, features]`.
    pub rows: PathBuf,
    /// How the rows were made.
    pub rows_from: String,
    /// ONNX Runtime's shared library.
    pub onnxruntime: PathBuf,
    /// LightGBM's shared library.
    pub lightgbm: PathBuf,
    /// Interpreter and script that time ONNX Runtime from Python.
    pub python: Vec<PathBuf>,
    /// Groups of three models that read the same row.
    pub suites: Vec<Suite>,
}

/// Three models that read the same row.
#[derive(Debug, Deserialize)]
pub struct Suite {
    /// `reference` or `large`.
    pub name: String,
    /// A line for the report.
    pub description: String,
    /// The models, in target order.
    pub models: Vec<ModelFiles>,
}

/// One model in the formats of the competitors.
#[derive(Debug, Deserialize)]
pub struct ModelFiles {
    /// The target.
    pub name: String,
    /// For ONNX Runtime and cooltwin.
    pub onnx: PathBuf,
    /// LightGBM's model text.
    pub lightgbm: PathBuf,
    /// Shared library out of tl2cgen's C code.
    pub treelite: Option<PathBuf>,
    /// Shared library out of lleaves' object file.
    pub lleaves: Option<PathBuf>,
    /// The same without AVX-512, which callgrind does not know.
    pub lleaves_counted: Option<PathBuf>,
}

impl Setup {
    /// Reads `peers.json` in `folder`.
    pub fn read(folder: &Path) -> Result<Setup, Error> {
        let path = folder.join("peers.json");
        let text = fs::read(&path).map_err(|error| format!("{}: {error}; run run.sh", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }
}

/// The feature rows, read in a circle so that every stretch of them is one slice.
pub struct Rows {
    values: Vec<f32>,
    features: usize,
    count: usize,
}

impl Rows {
    /// Reads the matrix; stretches may be up to `longest` rows long.
    pub fn read(path: &Path, features: usize, longest: usize) -> Result<Rows, Error> {
        let bytes = fs::read(path)?;
        let (values, rest) = bytes.as_chunks::<4>();
        let mut values: Vec<f32> = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let count = values.len() / features;
        if !rest.is_empty() || count * features != values.len() || count < longest {
            return Err(
                format!("{}: not at least {longest} rows of {features} floats", path.display()).into()
            );
        }
        values.extend_from_within(..longest * features);
        Ok(Rows { values, features, count })
    }

    /// Number of different rows.
    pub fn len(&self) -> usize {
        self.count
    }

    /// `length` rows from row `start` on, which may be any number.
    pub fn stretch(&self, start: usize, length: usize) -> &[f32] {
        let start = start % self.count * self.features;
        &self.values[start..start + length * self.features]
    }

    /// Share of rows with a missing value.
    pub fn share_with_nan(&self) -> f64 {
        let rows = self.values.chunks_exact(self.features).take(self.count);
        rows.filter(|row| row.iter().any(|value| value.is_nan())).count() as f64 / self.count as f64
    }
}
