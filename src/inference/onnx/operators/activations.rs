//! Functions of one number. tract's vectorised ones give a number for NaN (Relu, Sigmoid, Tanh, Clip ...), so that a
//! missing feature would look like a prediction; and they differ between processors in the last digits. Here NaN stays
//! NaN, and transcendental functions are computed in double precision by the same code everywhere.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::attributes::Reader;
use super::refusal;
use super::rows::{RowFunction, RowOperator, Shape, map_rows, operator};
use super::{Built, describe};

/// The functions, with their parameters.
#[derive(Debug, Clone, Copy)]
enum Activation {
    Celu(f32),
    Clip(f64, f64),
    Cos,
    Elu(f32),
    Erf,
    Exp,
    Gelu,
    GeluTanh,
    HardSigmoid(f32, f32),
    HardSwish,
    Log,
    Relu,
    Selu(f32, f32),
    Sigmoid,
    Sin,
    Softplus,
    Tanh,
}

/// Parameters that the specification sets where the file does not.
const SELU_ALPHA: f32 = 1.673_263_2;
const SELU_GAMMA: f32 = 1.050_701;
const HARD_SIGMOID_ALPHA: f32 = 0.2;
const HARD_SIGMOID_BETA: f32 = 0.5;
/// Cubic coefficient of the approximation of Gelu by Tanh.
const GELU_CUBIC: f64 = 0.044_715;

/// The operator of a node whose name says which function it is.
pub(super) fn activation(_: &ParsingContext, node: &NodeProto) -> Built {
    let mut reader = Reader::new(node);
    let function = match node.op_type.as_str() {
        "Celu" => Activation::Celu(reader.float("alpha").unwrap_or(1.0)),
        "Cos" => Activation::Cos,
        "Elu" => Activation::Elu(reader.float("alpha").unwrap_or(1.0)),
        "Erf" => Activation::Erf,
        "Exp" => Activation::Exp,
        "Gelu" => match reader.string("approximate") {
            None | Some("none") => Activation::Gelu,
            Some("tanh") => Activation::GeluTanh,
            Some(_) => {
                reader.refuse("approximate", "must be none or tanh");
                Activation::Gelu
            }
        },
        "HardSigmoid" => Activation::HardSigmoid(
            reader.float("alpha").unwrap_or(HARD_SIGMOID_ALPHA),
            reader.float("beta").unwrap_or(HARD_SIGMOID_BETA),
        ),
        "HardSwish" => Activation::HardSwish,
        "Log" => Activation::Log,
        "Relu" => Activation::Relu,
        "Selu" => Activation::Selu(
            reader.float("alpha").unwrap_or(SELU_ALPHA),
            reader.float("gamma").unwrap_or(SELU_GAMMA),
        ),
        "Sigmoid" => Activation::Sigmoid,
        "Sin" => Activation::Sin,
        "Softplus" => Activation::Softplus,
        "Tanh" => Activation::Tanh,
        other => bail!("{other} is no function of one number"),
    };
    reader.finish()?;
    Ok(operator(node, function))
}

/// Between `low` and `high`, or NaN.
fn clamp<T: PartialOrd>(x: T, low: T, high: T) -> T {
    if x > high {
        high
    } else if x < low {
        low
    } else {
        x
    }
}

impl Activation {
    fn name(self) -> &'static str {
        match self {
            Activation::Celu(_) => "Celu",
            Activation::Clip(..) => "Clip",
            Activation::Cos => "Cos",
            Activation::Elu(_) => "Elu",
            Activation::Erf => "Erf",
            Activation::Exp => "Exp",
            Activation::Gelu | Activation::GeluTanh => "Gelu",
            Activation::HardSigmoid(..) => "HardSigmoid",
            Activation::HardSwish => "HardSwish",
            Activation::Log => "Log",
            Activation::Relu => "Relu",
            Activation::Selu(..) => "Selu",
            Activation::Sigmoid => "Sigmoid",
            Activation::Sin => "Sin",
            Activation::Softplus => "Softplus",
            Activation::Tanh => "Tanh",
        }
    }

    /// In single precision where it is plain arithmetic, else rounded once.
    #[allow(clippy::cast_possible_truncation)]
    fn single(self, x: f32) -> f32 {
        match self {
            Activation::Relu => {
                if x < 0.0 {
                    0.0
                } else {
                    x
                }
            }
            Activation::HardSigmoid(alpha, beta) => clamp(alpha * x + beta, 0.0, 1.0),
            Activation::HardSwish => x * clamp(x * (1.0 / 6.0) + 0.5, 0.0, 1.0),
            _ => self.double(f64::from(x)) as f32,
        }
    }

    fn double(self, x: f64) -> f64 {
        match self {
            Activation::Celu(alpha) => {
                let alpha = f64::from(alpha);
                if x < 0.0 { alpha * libm::expm1(x / alpha) } else { x }
            }
            Activation::Clip(low, high) => clamp(x, low, high),
            Activation::Cos => libm::cos(x),
            Activation::Elu(alpha) => {
                if x < 0.0 {
                    f64::from(alpha) * libm::expm1(x)
                } else {
                    x
                }
            }
            Activation::Erf => libm::erf(x),
            Activation::Exp => libm::exp(x),
            Activation::Gelu => 0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2)),
            Activation::GeluTanh => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + GELU_CUBIC * x * x * x);
                0.5 * x * (1.0 + libm::tanh(inner))
            }
            Activation::HardSigmoid(alpha, beta) => clamp(f64::from(alpha) * x + f64::from(beta), 0.0, 1.0),
            Activation::HardSwish => x * clamp(x / 6.0 + 0.5, 0.0, 1.0),
            Activation::Log => libm::log(x),
            Activation::Relu => {
                if x < 0.0 {
                    0.0
                } else {
                    x
                }
            }
            Activation::Selu(alpha, gamma) => {
                f64::from(gamma) * if x > 0.0 { x } else { f64::from(alpha) * libm::expm1(x) }
            }
            Activation::Sigmoid => 1.0 / (1.0 + libm::exp(-x)),
            Activation::Sin => libm::sin(x),
            // Without overflow at either end.
            Activation::Softplus if x > 0.0 => x + libm::log1p(libm::exp(-x)),
            Activation::Softplus => libm::log1p(libm::exp(x)),
            Activation::Tanh => libm::tanh(x),
        }
    }
}

impl RowFunction for Activation {
    fn name(&self) -> &'static str {
        Activation::name(*self)
    }

    fn output(&self, input: DatumType, _: Option<usize>) -> Result<(DatumType, Shape), String> {
        if [DatumType::F32, DatumType::F64].contains(&input) {
            return Ok((input, Shape::Same));
        }
        Err(format!("takes FLOAT or DOUBLE, its input holds {input:?}"))
    }

    fn eval(&self, input: &Tensor, shape: &[usize]) -> TractResult<Tensor> {
        if input.datum_type() == DatumType::F64 {
            return map_rows(input, shape, |row: &[f64], out: &mut [f64]| {
                row.iter().zip(out).for_each(|(x, y)| *y = self.double(*x));
            });
        }
        map_rows(input, shape, |row: &[f32], out: &mut [f32]| {
            row.iter().zip(out).for_each(|(x, y)| *y = self.single(*x));
        })
    }
}

/// Clip, with its bounds as constant inputs or, before operator set 11, as attributes.
#[derive(Debug, Clone)]
struct Clip {
    /// Bounds of the old form.
    bounds: [Option<f32>; 2],
    /// Which bounds are inputs.
    given: [bool; 2],
    place: String,
}

pub(super) fn clip(_: &ParsingContext, node: &NodeProto) -> Built {
    let mut reader = Reader::new(node);
    let bounds = [reader.float("min"), reader.float("max")];
    reader.finish()?;
    let given = [1, 2].map(|at| node.input.get(at).is_some_and(|name| !name.is_empty()));
    Ok((expand(Clip { bounds, given, place: describe(node) }), vec![]))
}

impl Expansion for Clip {
    fn name(&self) -> StaticName {
        "Clip".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        let ([input, ..], [output]) = (inputs, outputs) else {
            return Err(refusal(&self.place, "gives one output"));
        };
        s.equals(&output.datum_type, &input.datum_type)?;
        s.equals(&output.shape, &input.shape)
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let Some((input, rest)) = inputs.split_first() else { bail!("{} has no input", self.place) };
        let mut rest = rest.iter();
        let mut bounds = self.bounds.map(|bound| bound.map(f64::from));
        for (bound, _) in bounds.iter_mut().zip(self.given).filter(|(_, given)| *given) {
            let tensor = rest.next().and_then(|outlet| model.outlet_fact(*outlet).ok()?.konst.clone());
            let tensor = tensor.ok_or_else(|| refusal(&self.place, "its bounds are no constants"))?;
            *bound = Some(tensor.cast_to_scalar::<f64>()?);
        }
        let [low, high] = bounds;
        // The standard's defaults are the limits of the type, so that infinities become finite.
        let limit =
            if model.outlet_fact(*input)?.datum_type == DatumType::F32 { f32::MAX.into() } else { f64::MAX };
        let (low, high) = (low.unwrap_or(-limit), high.unwrap_or(limit));
        if low.is_nan() || high.is_nan() || low > high {
            return Err(refusal(&self.place, format!("{low} to {high} is no range")));
        }
        model.wire_node(prefix, RowOperator::new(self.place.clone(), Activation::Clip(low, high)), &[*input])
    }
}
