//! What a graph takes. Exporters write one matrix of all features or an input a column,
//! FLOAT or DOUBLE; behind this module there is one FLOAT matrix, and nodes that cut it up and widen it.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;
use tract_onnx::pb::type_proto::{self, Value as TypeValue};
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TypeProto, ValueInfoProto};

use super::super::error::Problems;
use super::super::limits::MAX_OPERATORS;
use super::guard::clip;

/// One input of the file.
pub(super) struct Input {
    name: String,
    double: bool,
    /// `None`: the file leaves it open.
    columns: Option<usize>,
}

/// Inputs of `[rows, columns]`, FLOAT or DOUBLE, `n_features` columns in all.
///
/// Gives the inputs, or `None` if something is wrong with them.
pub(super) fn check(graph: &GraphProto, n_features: usize, problems: &mut Problems) -> Option<Vec<Input>> {
    let given = |input: &&ValueInfoProto| graph.initializer.iter().all(|t| t.name != input.name);
    let infos: Vec<&ValueInfoProto> = graph.input.iter().filter(given).collect();
    if infos.is_empty() || infos.len() > MAX_OPERATORS {
        problems.push("graph inputs", format!("there are {}, must be 1 to {MAX_OPERATORS}", infos.len()));
        return None;
    }
    let inputs: Vec<Input> = infos.iter().filter_map(|info| check_input(info, problems)).collect();
    if inputs.len() != infos.len() {
        return None;
    }
    let columns: Option<Vec<usize>> = inputs.iter().map(|input| input.columns).collect();
    match (inputs.as_slice(), columns) {
        // No shape at all: the feature count of the caller stands, and the operators are checked against it.
        ([_], None) => {}
        (_, None) => {
            let open = inputs.iter().find(|input| input.columns.is_none()).map_or("", |input| &input.name);
            problems.push(
                format!("input `{}`", clip(open)),
                "leaves its number of columns open; with several inputs each must say it",
            );
            return None;
        }
        (inputs, Some(columns)) => {
            let found = columns.iter().fold(0_usize, |sum, columns| sum.saturating_add(*columns));
            if found != n_features {
                let place = match inputs {
                    [only] => format!("input `{}`", clip(&only.name)),
                    _ => "graph inputs".to_owned(),
                };
                problems.push(place, format!("has {found} features, the bundle declares {n_features}"));
                return None;
            }
        }
    }
    Some(inputs)
}

fn check_input(info: &ValueInfoProto, problems: &mut Problems) -> Option<Input> {
    let place = format!("input `{}`", clip(&info.name));
    let Some(TypeValue::TensorType(tensor)) = info.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
        problems.push(place, "is not a tensor; sequences and maps are not supported");
        return None;
    };
    let double = tensor.elem_type == DataType::Double as i32;
    if !double && tensor.elem_type != DataType::Float as i32 {
        let found = DataType::try_from(tensor.elem_type).map_or("unknown", |t| t.as_str_name());
        problems.push(place, format!("holds {found} values; export the model with FLOAT or DOUBLE input"));
        return None;
    }
    let columns = match tensor.shape.as_ref().map(|shape| shape.dim.as_slice()) {
        None => None,
        Some([_, columns]) => match columns.value {
            Some(Dim::DimValue(found)) => Some(usize::try_from(found).unwrap_or(usize::MAX)),
            _ => None,
        },
        Some(dims) => {
            problems.push(place, format!("has {} axes; [rows, features] is expected", dims.len()));
            return None;
        }
    };
    Some(Input { name: info.name.clone(), double, columns })
}

/// Replaces the inputs by one FLOAT matrix, from which nodes make what they were.
pub(super) fn unify(graph: &mut GraphProto, inputs: &[Input], n_features: usize) {
    if let [Input { double: false, .. }] = inputs {
        return;
    }
    let taken = |name: &str, graph: &GraphProto| {
        graph.input.iter().any(|input| input.name == name)
            || graph.initializer.iter().any(|tensor| tensor.name == name)
            || graph.node.iter().flat_map(|node| &node.output).any(|output| output == name)
    };
    // A name that nothing in the file has.
    let fresh = |wanted: &str| {
        let mut name = wanted.to_owned();
        while taken(&name, graph) {
            name.push('_');
        }
        name
    };
    let all = fresh("features");
    let mut nodes = Vec::new();
    let mut first = 0;
    for (position, input) in inputs.iter().enumerate() {
        let end = first + input.columns.unwrap_or(n_features);
        let mut from = all.clone();
        if inputs.len() > 1 {
            let to = if input.double { fresh(&format!("features_{position}")) } else { input.name.clone() };
            let list = |name: &str, value: usize| AttributeProto {
                name: name.to_owned(),
                r#type: AttributeType::Ints as i32,
                ints: vec![value as i64],
                ..AttributeProto::default()
            };
            let attributes = vec![list("starts", first), list("ends", end), list("axes", 1)];
            nodes.push(node("Slice", &from, &to, attributes));
            from = to;
        }
        if input.double {
            let to = AttributeProto {
                name: "to".to_owned(),
                r#type: AttributeType::Int as i32,
                i: DataType::Double as i64,
                ..AttributeProto::default()
            };
            nodes.push(node("Cast", &from, &input.name, vec![to]));
        }
        first = end;
    }
    nodes.append(&mut graph.node);
    graph.node = nodes;
    graph.input.retain(|info| inputs.iter().all(|input| input.name != info.name));
    graph.input.insert(0, float_matrix(all));
}

fn node(operator: &str, input: &str, output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        name: format!("{output} of the features"),
        op_type: operator.to_owned(),
        input: vec![input.to_owned()],
        output: vec![output.to_owned()],
        attribute,
        ..NodeProto::default()
    }
}

/// The loader gives it its shape.
fn float_matrix(name: String) -> ValueInfoProto {
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape: None };
    ValueInfoProto {
        name,
        r#type: Some(TypeProto { value: Some(TypeValue::TensorType(tensor)), ..TypeProto::default() }),
        ..ValueInfoProto::default()
    }
}
