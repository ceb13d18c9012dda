//! Scaler, Normalizer, Imputer and Binarizer of ai.onnx.ml: one column in, one column out.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::Built;
use super::attributes::Reader;
use super::rows::{RowFunction, Shape, fixed, map_rows, number, operator};

/// One value for each column, or one for all.
fn check_columns(values: usize, attribute: &str, columns: Option<usize>) -> Result<(), String> {
    let columns = fixed(columns)?;
    if values == 1 || values == columns {
        return Ok(());
    }
    Err(format!(
        "{attribute} has {values} values, its input has {columns} columns; give one each, or one for all"
    ))
}

/// `values[column]`, or the only value.
fn of_column<T: Copy>(values: &[T], column: usize) -> Option<T> {
    values.get(column).or(values.first().filter(|_| values.len() == 1)).copied()
}

/// `(x - offset) * scale`, feature by feature.
#[derive(Debug)]
struct Scaler {
    offset: Vec<f32>,
    scale: Vec<f32>,
}

pub(super) fn scaler(_: &ParsingContext, node: &NodeProto) -> Built {
    let mut reader = Reader::new(node);
    let (offset, scale) = (reader.finite("offset").to_vec(), reader.finite("scale").to_vec());
    if reader.is_sound() && (offset.is_empty() || offset.len() != scale.len()) {
        let reason =
            format!("has {} values, scale has {}; give one each per feature", offset.len(), scale.len());
        reader.refuse("offset", reason);
    }
    reader.finish()?;
    Ok(operator(node, Scaler { offset, scale }))
}

impl RowFunction for Scaler {
    fn name(&self) -> &'static str {
        "Scaler"
    }

    fn output(&self, input: DatumType, columns: Option<usize>) -> Result<(DatumType, Shape), String> {
        number(input)?;
        check_columns(self.offset.len(), "offset", columns)?;
        Ok((DatumType::F32, Shape::Same))
    }

    // Doubles are scaled as such and rounded once, everything else as floats: as ONNX Runtime does.
    #[allow(clippy::cast_possible_truncation)]
    fn eval(&self, input: &Tensor, shape: &[usize]) -> TractResult<Tensor> {
        let pairs = |column| of_column(&self.offset, column).zip(of_column(&self.scale, column));
        if input.datum_type() == DatumType::F64 {
            return map_rows(input, shape, |row: &[f64], out: &mut [f32]| {
                for (column, (x, y)) in row.iter().zip(out).enumerate() {
                    let (offset, scale) = pairs(column).unwrap_or((0.0, 1.0));
                    *y = ((x - f64::from(offset)) * f64::from(scale)) as f32;
                }
            });
        }
        map_rows(&*input.cast_to::<f32>()?, shape, |row: &[f32], out: &mut [f32]| {
            for (column, (x, y)) in row.iter().zip(out).enumerate() {
                let (offset, scale) = pairs(column).unwrap_or((0.0, 1.0));
                *y = (x - offset) * scale;
            }
        })
    }
}

/// The norms a row can be divided by.
#[derive(Debug, Clone, Copy)]
enum Normalizer {
    Max,
    L1,
    L2,
}

pub(super) fn normalizer(_: &ParsingContext, node: &NodeProto) -> Built {
    let mut reader = Reader::new(node);
    let norm = match reader.string("norm") {
        None | Some("MAX") => Normalizer::Max,
        Some("L1") => Normalizer::L1,
        Some("L2") => Normalizer::L2,
        Some(other) => {
            let other: String = other.chars().take(40).collect();
            reader.refuse("norm", format!("is `{other}`, must be MAX, L1 or L2"));
            Normalizer::Max
        }
    };
    reader.finish()?;
    Ok(operator(node, norm))
}

impl Normalizer {
    /// A row whose norm is zero stays as it is.
    fn row(self, row: &[f32], out: &mut [f32]) {
        let pairs = row.iter().zip(out);
        match self {
            // The greatest value, not the greatest magnitude: so ONNX Runtime, and scikit-learn's exporter
            // expects it.
            Normalizer::Max => {
                let max = row.iter().fold(f32::MIN, |max, x| if max < *x { *x } else { max });
                pairs.for_each(|(x, y)| *y = if max == 0.0 { *x } else { x / max });
            }
            Normalizer::L1 => {
                let sum = row.iter().fold(0.0_f32, |sum, x| sum + x.abs());
                pairs.for_each(|(x, y)| *y = if sum == 0.0 { *x } else { x / sum });
            }
            Normalizer::L2 => {
                let sum = row.iter().fold(0.0_f32, |sum, x| sum + x * x);
                pairs.for_each(|(x, y)| {
                    let root = (x * x / sum).sqrt();
                    *y = match sum == 0.0 {
                        true => *x,
                        false if *x < 0.0 => -root,
                        false => root,
                    };
                });
            }
        }
    }
}

impl RowFunction for Normalizer {
    fn name(&self) -> &'static str {
        "Normalizer"
    }

    fn output(&self, input: DatumType, columns: Option<usize>) -> Result<(DatumType, Shape), String> {
        number(input)?;
        fixed(columns)?;
        Ok((DatumType::F32, Shape::Same))
    }

    fn eval(&self, input: &Tensor, shape: &[usize]) -> TractResult<Tensor> {
        map_rows(&*input.cast_to::<f32>()?, shape, |row: &[f32], out: &mut [f32]| self.row(row, out))
    }
}

/// Puts a value in place of each missing one.
#[derive(Debug)]
enum Imputer {
    Floats { imputed: Vec<f32>, replaced: f32 },
    Whole { imputed: Vec<i64>, replaced: i64 },
}

pub(super) fn imputer(_: &ParsingContext, node: &NodeProto) -> Built {
    let mut reader = Reader::new(node);
    let floats = reader.finite("imputed_value_floats").to_vec();
    let whole = reader.ints("imputed_value_int64s").to_vec();
    let replaced = reader.float("replaced_value_float").unwrap_or(0.0);
    let replaced_whole = reader.int("replaced_value_int64").unwrap_or(0);
    if reader.is_sound() && floats.is_empty() == whole.is_empty() {
        reader.refuse(
            "imputed_value_floats",
            format!(
                "has {} values, imputed_value_int64s has {}; give one of the two",
                floats.len(),
                whole.len()
            ),
        );
    }
    reader.finish()?;
    let imputer = if whole.is_empty() {
        Imputer::Floats { imputed: floats, replaced }
    } else {
        Imputer::Whole { imputed: whole, replaced: replaced_whole }
    };
    Ok(operator(node, imputer))
}

impl RowFunction for Imputer {
    fn name(&self) -> &'static str {
        "Imputer"
    }

    fn output(&self, input: DatumType, columns: Option<usize>) -> Result<(DatumType, Shape), String> {
        let (wanted, attribute, values) = match self {
            Imputer::Floats { imputed, .. } => (DatumType::F32, "imputed_value_floats", imputed.len()),
            Imputer::Whole { imputed, .. } => (DatumType::I64, "imputed_value_int64s", imputed.len()),
        };
        if input != wanted {
            return Err(format!(
                "{attribute} stand for {wanted:?} values, its input holds {input:?}; cast it before"
            ));
        }
        check_columns(values, attribute, columns)?;
        Ok((wanted, Shape::Same))
    }

    // The value that stands for "missing" is compared as it is written, to the bit.
    #[allow(clippy::float_cmp)]
    fn eval(&self, input: &Tensor, shape: &[usize]) -> TractResult<Tensor> {
        match self {
            Imputer::Floats { imputed, replaced } => {
                map_rows(input, shape, |row: &[f32], out: &mut [f32]| {
                    for (column, (x, y)) in row.iter().zip(out).enumerate() {
                        let missing = x == replaced || (x.is_nan() && replaced.is_nan());
                        *y = of_column(imputed, column).filter(|_| missing).unwrap_or(*x);
                    }
                })
            }
            Imputer::Whole { imputed, replaced } => map_rows(input, shape, |row: &[i64], out: &mut [i64]| {
                for (column, (x, y)) in row.iter().zip(out).enumerate() {
                    *y = of_column(imputed, column).filter(|_| x == replaced).unwrap_or(*x);
                }
            }),
        }
    }
}

/// 1 above the threshold, else 0.
#[derive(Debug)]
struct Binarizer {
    threshold: f32,
}

pub(super) fn binarizer(_: &ParsingContext, node: &NodeProto) -> Built {
    let mut reader = Reader::new(node);
    let threshold = reader.float("threshold").unwrap_or(0.0);
    if threshold.is_nan() {
        reader.refuse("threshold", "is NaN: no value is above it");
    }
    reader.finish()?;
    Ok(operator(node, Binarizer { threshold }))
}

impl RowFunction for Binarizer {
    fn name(&self) -> &'static str {
        "Binarizer"
    }

    fn output(&self, input: DatumType, _: Option<usize>) -> Result<(DatumType, Shape), String> {
        if input != DatumType::F32 {
            return Err(format!("takes FLOAT, its input holds {input:?}; cast it before"));
        }
        Ok((DatumType::F32, Shape::Same))
    }

    fn eval(&self, input: &Tensor, shape: &[usize]) -> TractResult<Tensor> {
        let mut missing = false;
        let output = map_rows(input, shape, |row: &[f32], out: &mut [f32]| {
            for (x, y) in row.iter().zip(out) {
                missing |= x.is_nan();
                *y = if *x > self.threshold { 1.0 } else { 0.0 };
            }
        });
        // Neither side of the threshold would be an answer.
        if missing {
            bail!("its input is NaN; put an Imputer before it");
        }
        output
    }
}
