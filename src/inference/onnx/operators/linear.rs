//! `LinearRegressor` and `SVMRegressor` of ai.onnx.ml. Sums are made in double precision, one after the
//! other, so that every processor gives the same bits; runtimes that sum in single precision differ
//! in the last digits.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::Built;
use super::attributes::Reader;
use super::rows::{RowFunction, Shape, fixed, map_rows, number, operator};
use crate::inference::limits::MAX_OUTPUTS;

/// Why no transformation of the result is taken.
const NO_TRANSFORM: &str = "runtimes disagree about it here; apply it by an operator of its own";

fn dot(a: &[f64], b: &[f32]) -> f64 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * f64::from(*b))
}

/// `coefficients` is `[targets, features]`; one intercept a target.
#[derive(Debug)]
struct LinearRegressor {
    coefficients: Vec<f32>,
    intercepts: Vec<f32>,
}

pub(super) fn linear_regressor(_: &ParsingContext, node: &NodeProto) -> Built {
    let mut reader = Reader::new(node);
    let coefficients = reader.finite("coefficients").to_vec();
    let mut intercepts = reader.finite("intercepts").to_vec();
    let targets = reader.int("targets").unwrap_or(1);
    reader.only("post_transform", "NONE", NO_TRANSFORM);
    let targets = usize::try_from(targets).ok().filter(|targets| (1..=MAX_OUTPUTS).contains(targets));
    let Some(targets) = targets else {
        reader.refuse("targets", format!("must be 1 to {MAX_OUTPUTS}"));
        return Err(reader.finish().err().unwrap_or_default().into());
    };
    if coefficients.is_empty() || !coefficients.len().is_multiple_of(targets) {
        reader.refuse(
            "coefficients",
            format!(
                "has {} values for {targets} targets; give one each per feature and target",
                coefficients.len()
            ),
        );
    }
    if intercepts.is_empty() {
        intercepts = vec![0.0; targets];
    } else if intercepts.len() != targets {
        reader.refuse("intercepts", format!("has {} values for {targets} targets", intercepts.len()));
    }
    reader.finish()?;
    Ok(operator(node, LinearRegressor { coefficients, intercepts }))
}

impl RowFunction for LinearRegressor {
    fn name(&self) -> &'static str {
        "LinearRegressor"
    }

    fn output(&self, input: DatumType, columns: Option<usize>) -> Result<(DatumType, Shape), String> {
        number(input)?;
        let (columns, targets) = (fixed(columns)?, self.intercepts.len());
        if columns * targets != self.coefficients.len() {
            return Err(format!(
                "coefficients has {} values, its input has {columns} columns for {targets} targets",
                self.coefficients.len()
            ));
        }
        Ok((DatumType::F32, Shape::Columns(targets)))
    }

    #[allow(clippy::cast_possible_truncation)] // the result is a float by definition
    fn eval(&self, input: &Tensor, shape: &[usize]) -> TractResult<Tensor> {
        map_rows(&*input.cast_to::<f64>()?, shape, |row: &[f64], out: &mut [f32]| {
            let targets = self.coefficients.chunks_exact(row.len()).zip(&self.intercepts);
            for ((coefficients, intercept), y) in targets.zip(out) {
                *y = (dot(row, coefficients) + f64::from(*intercept)) as f32;
            }
        })
    }
}

/// How alike a row and a support vector are.
#[derive(Debug, Clone, Copy)]
enum SimilarityKernel {
    Linear,
    Poly,
    Rbf,
    Sigmoid,
}

/// `vectors` is `[coefficients, features]`, or empty: then the coefficients are those of the features.
#[derive(Debug)]
struct SvmRegressor {
    kernel: SimilarityKernel,
    gamma: f64,
    coef0: f64,
    degree: f64,
    vectors: Vec<f32>,
    coefficients: Vec<f32>,
    rho: f64,
}

pub(super) fn svm_regressor(_: &ParsingContext, node: &NodeProto) -> Built {
    let mut reader = Reader::new(node);
    let kernel = match reader.string("kernel_type") {
        None | Some("LINEAR") => SimilarityKernel::Linear,
        Some("POLY") => SimilarityKernel::Poly,
        Some("RBF") => SimilarityKernel::Rbf,
        Some("SIGMOID") => SimilarityKernel::Sigmoid,
        Some(other) => {
            let other: String = other.chars().take(40).collect();
            reader.refuse("kernel_type", format!("is `{other}`, must be LINEAR, POLY, RBF or SIGMOID"));
            SimilarityKernel::Linear
        }
    };
    let (gamma, coef0, degree) = match *reader.finite("kernel_params") {
        [] => (0.0, 0.0, 0.0),
        [gamma, coef0, degree] => (gamma, coef0, degree),
        ref other => {
            let found = other.len();
            reader
                .refuse("kernel_params", format!("has {found} values; gamma, coef0 and degree are expected"));
            (0.0, 0.0, 0.0)
        }
    };
    let vectors = reader.finite("support_vectors").to_vec();
    let coefficients = reader.finite("coefficients").to_vec();
    let rho = reader.finite("rho").to_vec();
    let supports = reader.int("n_supports").unwrap_or(0);
    reader.only("post_transform", "NONE", NO_TRANSFORM);
    if reader.int("one_class").unwrap_or(0) != 0 {
        reader.refuse("one_class", "is set: the model tells outliers, it predicts no quantity");
    }
    let supports = usize::try_from(supports).unwrap_or(usize::MAX);
    let fits = match supports {
        0 => vectors.is_empty() && !coefficients.is_empty(),
        n => coefficients.len() == n && !vectors.is_empty() && vectors.len().is_multiple_of(n),
    };
    if !fits {
        reader.refuse(
            "support_vectors",
            format!(
                "has {} values, coefficients has {}, n_supports is {supports}, which do not match",
                vectors.len(),
                coefficients.len()
            ),
        );
    }
    if rho.len() != 1 {
        reader.refuse("rho", format!("has {} values where one is expected", rho.len()));
    }
    reader.finish()?;
    let rho = rho.first().copied().map_or(0.0, f64::from);
    let [gamma, coef0, degree] = [gamma, coef0, degree].map(f64::from);
    Ok(operator(node, SvmRegressor { kernel, gamma, coef0, degree, vectors, coefficients, rho }))
}

impl SvmRegressor {
    fn features(&self) -> usize {
        match self.vectors.len() {
            0 => self.coefficients.len(),
            values => values / self.coefficients.len().max(1),
        }
    }

    fn similarity(&self, row: &[f64], vector: &[f32]) -> f64 {
        match self.kernel {
            SimilarityKernel::Linear => dot(row, vector),
            SimilarityKernel::Poly => libm::pow(self.gamma * dot(row, vector) + self.coef0, self.degree),
            SimilarityKernel::Rbf => {
                let distance = row.iter().zip(vector).fold(0.0, |sum, (a, b)| {
                    let difference = a - f64::from(*b);
                    sum + difference * difference
                });
                libm::exp(-self.gamma * distance)
            }
            SimilarityKernel::Sigmoid => libm::tanh(self.gamma * dot(row, vector) + self.coef0),
        }
    }

    fn row(&self, row: &[f64]) -> f64 {
        if self.vectors.is_empty() {
            return dot(row, &self.coefficients) + self.rho;
        }
        let vectors = self.vectors.chunks_exact(row.len()).zip(&self.coefficients);
        vectors.fold(0.0, |sum, (vector, c)| sum + f64::from(*c) * self.similarity(row, vector)) + self.rho
    }
}

impl RowFunction for SvmRegressor {
    fn name(&self) -> &'static str {
        "SVMRegressor"
    }

    fn output(&self, input: DatumType, columns: Option<usize>) -> Result<(DatumType, Shape), String> {
        number(input)?;
        let (columns, features) = (fixed(columns)?, self.features());
        if columns != features {
            return Err(format!("is made for {features} features, its input has {columns} columns"));
        }
        Ok((DatumType::F32, Shape::Columns(1)))
    }

    #[allow(clippy::cast_possible_truncation)] // the result is a float by definition
    fn eval(&self, input: &Tensor, shape: &[usize]) -> TractResult<Tensor> {
        map_rows(&*input.cast_to::<f64>()?, shape, |row: &[f64], out: &mut [f32]| {
            for y in out {
                *y = self.row(row) as f32;
            }
        })
    }
}
