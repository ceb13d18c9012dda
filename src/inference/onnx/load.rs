//! The way of a file through its checks and through tract.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use prost::Message;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::{Framework, SpecialOps, TypedSimplePlan};
use tract_onnx::tract_core::ops::array::TypedConcat;
use tract_onnx::tract_core::ops::cast::{Cast, cast};
use tract_onnx::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_core::ops::nn::{Reduce, Softmax};
use tract_onnx::tract_core::ops::source::TypedSource;
use tract_onnx::tract_hir::internal::{
    Datum, DatumExt, DimLike, InferenceModelExt, OutletId, Symbol, SymbolValues, ToDim, TractError,
    TractResult, TypedModel, TypedNode,
};

use super::super::error::{ModelError, Problems};
use super::super::info::{EnsembleInfo, ModelInfo, Path};
use super::super::kernel::{Kernel, KernelKind};
use super::super::limits::{MAX_FEATURES, MAX_MODEL_BYTES, MAX_OUTPUTS, MAX_ROW_ELEMENTS};
use super::operators::framework;
use super::trees::{self, TreeEnsemble};
use super::{guard, lists, prescan, shapes};

/// A model ready to run.
pub(in super::super) struct Loaded {
    pub(in super::super) runnable: Runnable,
    pub(in super::super) info: ModelInfo,
}

/// How it runs.
pub(in super::super) enum Runnable {
    /// The graph is one tree ensemble, without the plan around it: its kernel, still undecided, and the place
    /// that stands in errors.
    Kernel(Box<Kernel>, String),
    /// Anything else.
    Plan(Arc<TypedSimplePlan>),
}

/// Loads a model of `n_features` inputs. The trees in a plan are evaluated by `kernel` or the fastest; that of a lone
/// ensemble is left to the caller, who may want to evaluate several models together. `name` stands in errors.
pub(in super::super) fn load(
    name: &str,
    bytes: &[u8],
    n_features: usize,
    kernel: Option<KernelKind>,
) -> Result<Loaded, ModelError> {
    if !(1..=MAX_FEATURES).contains(&n_features) {
        return Err(ModelError::refused(
            name,
            "features",
            format!("are {n_features}, must be 1 to {MAX_FEATURES}"),
        ));
    }
    if bytes.is_empty() || bytes.len() > MAX_MODEL_BYTES {
        let reason = format!("the file has {} bytes, must be 1 to {MAX_MODEL_BYTES}", bytes.len());
        return Err(ModelError::refused(name, "", reason));
    }
    prescan::prescan(bytes).map_err(|reason| ModelError::refused(name, "", reason))?;
    // tract asserts and indexes in many places that a damaged file can reach, so a panic while loading
    // is one more way for it to say no. Nothing it was working on outlives the closure.
    catch_unwind(AssertUnwindSafe(|| load_guarded(name, bytes, n_features, kernel)))
        .unwrap_or_else(|panic| Err(ModelError::refused(name, "", panic_text(panic.as_ref()))))
}

/// What a caught panic of tract is reported as.
pub(in super::super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the graph makes tract fail: {}", text.unwrap_or("no message"))
}

fn load_guarded(
    name: &str,
    bytes: &[u8],
    n_features: usize,
    kernel: Option<KernelKind>,
) -> Result<Loaded, ModelError> {
    let refuse = |error: TractError| refusal(name, &error);
    let refused = |problems: Problems| ModelError::Refused { model: name.to_owned(), problems };
    let onnx = framework();
    let mut proto = ModelProto::decode(lists::put_aside(bytes).as_slice())
        .map_err(|e| ModelError::refused(name, "", format!("cannot be decoded: {e:#}")))?;
    let operators: Vec<String> =
        proto.graph.iter().flat_map(|graph| &graph.node).map(|node| node.op_type.clone()).collect();
    guard::check(&mut proto, n_features).map_err(refused)?;
    let mut model = onnx.model_for_proto_model(&proto).map_err(refuse)?;
    let rows = model.symbols.sym("rows");
    let fact = f32::fact([rows.to_dim(), n_features.to_dim()]);
    model.set_input_fact(0, fact.into()).map_err(refuse)?;
    shapes::infer(&mut model).map_err(refused)?;
    let mut typed = model.into_typed().map_err(refuse)?;
    output_as_float(&mut typed, &rows).map_err(refuse)?;
    check_sizes(&typed, &rows).map_err(refused)?;
    let outputs =
        output_columns(&typed, &rows).map_err(|reason| ModelError::refused(name, "graph outputs", reason))?;
    let mut typed = typed.into_optimized().map_err(refuse)?;
    let lone = lone_ensemble(&typed, &rows, n_features, outputs);
    let lone = lone.map(|op| (Arc::clone(&op.kernel), op.place.clone()));
    if lone.is_none() {
        trees::decide(&mut typed, kernel).map_err(refused)?;
    }
    let ensembles = typed.nodes().iter().filter_map(|n| n.op_as::<TreeEnsemble>());
    let ensembles: Vec<EnsembleInfo> = ensembles.map(|op| op.kernel.info().clone()).collect();
    let (runnable, path) = match lone {
        Some((kernel, place)) => {
            // The graph was the other owner.
            drop(typed);
            (Runnable::Kernel(Box::new(Arc::unwrap_or_clone(kernel)), place), Path::Kernel)
        }
        None => (Runnable::Plan(TypedSimplePlan::new(typed).map_err(refuse)?), Path::Plan),
    };
    Ok(Loaded { runnable, info: describe(name, &proto, operators, n_features, outputs, ensembles, path) })
}

/// Problems that travelled through tract as they were; anything else as tract words it.
fn refusal(name: &str, error: &TractError) -> ModelError {
    match error.downcast_ref::<Problems>() {
        Some(problems) => ModelError::Refused { model: name.to_owned(), problems: problems.clone() },
        None => ModelError::refused(name, "", format!("{error:#}")),
    }
}

/// A DOUBLE output is rounded to FLOAT, the type of all predictions. One that has been reshaped from `[rows, outputs]` to
/// a single column, as scikit-learn's exporter does with networks of several outputs, is taken before that.
fn output_as_float(model: &mut TypedModel, rows: &Symbol) -> TractResult<()> {
    let &[mut output] = model.output_outlets()? else { return Ok(()) };
    let of_rows = |outlet: OutletId| {
        Ok::<_, TractError>(model.outlet_fact(outlet)?.shape.first() == Some(&rows.to_dim()))
    };
    let mut source = output;
    while !of_rows(source)? {
        let node = model.node(source.node);
        match (node.op_as::<AxisOp>(), node.inputs.as_slice()) {
            // Any other shape operator keeps the order of the values.
            (Some(op), &[from]) if !matches!(op, AxisOp::Move(..)) => source = from,
            _ => break,
        }
    }
    if of_rows(source)? {
        output = source;
        model.select_output_outlets(&[output])?;
    }
    if model.outlet_fact(output)?.datum_type == f64::datum_type() {
        let output = model.wire_node("output as FLOAT", cast(f32::datum_type()), &[output])?;
        model.select_output_outlets(&output)?;
    }
    Ok(())
}

/// No tensor of the graph may grow beyond [`MAX_ROW_ELEMENTS`] a row, and each must hold every row's values apart:
/// what depends on the features is proportional to the rows, and no operator works across them.
fn check_sizes(model: &TypedModel, rows: &Symbol) -> Result<(), Problems> {
    let mut problems = Problems::default();
    let mut dependent = vec![false; model.nodes().len()];
    for id in model.eval_order().unwrap_or_default() {
        let node = model.node(id);
        let depends = node.inputs.is_empty() && node.op_is::<TypedSource>()
            || node.inputs.iter().any(|input| dependent.get(input.node) == Some(&true));
        if let Some(slot) = dependent.get_mut(id) {
            *slot = depends;
        }
        let place = || format!("node `{}` ({})", node.name, node.op.name());
        if let Some(axis) = axis_across_rows(model, node, rows) {
            problems.push(
                place(),
                format!("works along axis {axis}, that of the rows; each row is predicted by itself"),
            );
        }
        for outlet in &node.outputs {
            let volume = |n: i64| -> Option<i64> {
                let values = SymbolValues::default().with(rows, n);
                outlet.fact.shape.iter().try_fold(1_i64, |volume, dim| {
                    volume.checked_mul(dim.eval(&values).to_i64().ok().filter(|d| *d >= 0)?)
                })
            };
            let small = match (volume(1), volume(2)) {
                // Constants were bounded by the file's size.
                (Some(one), Some(two)) if one == two && !depends => {
                    outlet.fact.konst.is_some() || one <= MAX_ROW_ELEMENTS
                }
                (Some(one), Some(two)) => one <= MAX_ROW_ELEMENTS && one.checked_mul(2) == Some(two),
                _ => false,
            };
            if !small {
                problems.push(
                    place(),
                    format!(
                        "makes a tensor of shape {:?}; at most {MAX_ROW_ELEMENTS} values a row are supported, \
                         in proportion to the rows",
                        outlet.fact.shape
                    ),
                );
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// The axis of the rows, if `node` joins or compares values along it.
fn axis_across_rows(model: &TypedModel, node: &TypedNode, rows: &Symbol) -> Option<usize> {
    let concat = node.op_as::<TypedConcat>().map(|op| vec![op.axis]);
    let reduce = node.op_as::<Reduce>().map(|op| op.axes.to_vec());
    let softmax = node.op_as::<Softmax>().map(|op| op.axes.to_vec());
    let axes = concat.or(reduce).or(softmax)?;
    let shape = &model.outlet_fact(*node.inputs.first()?).ok()?.shape;
    axes.into_iter().find(|axis| shape.get(*axis).is_some_and(|dim| dim.symbols().contains(rows)))
}

/// Outputs of a row, from the shape `[rows, outputs]` or `[rows]`.
fn output_columns(model: &TypedModel, rows: &Symbol) -> Result<usize, String> {
    let &[output] = model.output_outlets().map_err(|e| format!("{e:#}"))? else {
        return Err("exactly one is expected".to_owned());
    };
    let fact = model.outlet_fact(output).map_err(|e| format!("{e:#}"))?;
    if fact.datum_type != f32::datum_type() {
        return Err(format!("the output holds {:?} values; FLOAT is expected", fact.datum_type));
    }
    let columns = match fact.shape.as_ref() {
        [first] if *first == rows.to_dim() => Some(1),
        [first, second] if *first == rows.to_dim() => second.to_usize().ok(),
        _ => None,
    };
    match columns {
        Some(columns) if (1..=MAX_OUTPUTS).contains(&columns) => Ok(columns),
        _ => Err(format!(
            "the output has shape {:?}; [rows], [rows, 1] or [rows, up to {MAX_OUTPUTS}] is expected",
            fact.shape
        )),
    }
}

/// The ensemble, if the graph is nothing but that on the input: what stands around it only arranges the same
/// values in another shape, or widens and narrows them as the kernel does by itself, from the rows' single precision
/// to its own and back.
fn lone_ensemble<'a>(
    model: &'a TypedModel,
    rows: &Symbol,
    n_features: usize,
    outputs: usize,
) -> Option<&'a TreeEnsemble> {
    let &[input] = model.input_outlets().ok()? else { return None };
    let &[output] = model.output_outlets().ok()? else { return None };
    let node = behind_passages(model, output)?;
    let op = node.op_as::<TreeEnsemble>()?;
    let &[from] = node.inputs.as_slice() else { return None };
    let matrix = model.outlet_fact(from).ok()?.shape.as_ref() == [rows.to_dim(), n_features.to_dim()];
    let first = behind_passages(model, from)?;
    (matrix && first.id == input.node && op.kernel.n_targets() == outputs).then_some(op)
}

/// The node that makes the values of `outlet`, behind operators that leave them and their order as they are.
fn behind_passages(model: &TypedModel, outlet: OutletId) -> Option<&TypedNode> {
    let float = |outlet: OutletId| {
        let datum_type = model.outlet_fact(outlet).ok().map(|fact| fact.datum_type);
        datum_type == Some(f32::datum_type()) || datum_type == Some(f64::datum_type())
    };
    let mut node = model.nodes().get(outlet.node)?;
    while let &[from] = node.inputs.as_slice() {
        let arranges = node.op_as::<AxisOp>().is_some_and(|op| !matches!(op, AxisOp::Move(..)));
        let widens = node.op_is::<Cast>() && float(from) && float(node.id.into());
        if !(arranges || widens) {
            break;
        }
        node = model.nodes().get(from.node)?;
    }
    Some(node)
}

fn describe(
    name: &str,
    proto: &ModelProto,
    operators: Vec<String>,
    features: usize,
    outputs: usize,
    ensembles: Vec<EnsembleInfo>,
    path: Path,
) -> ModelInfo {
    let producer = format!("{} {}", proto.producer_name, proto.producer_version);
    let domain = |domain: &str| if domain.is_empty() { "ai.onnx".to_owned() } else { domain.to_owned() };
    ModelInfo {
        name: name.to_owned(),
        producer: producer.trim().to_owned(),
        opsets: proto.opset_import.iter().map(|set| (domain(&set.domain), set.version)).collect(),
        features,
        outputs,
        operators,
        ensembles,
        path,
    }
}
