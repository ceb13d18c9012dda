//! Changes that keep a model a model: libFuzzer's own flip bytes, after which most files are no
//! protobuf message any more and are refused at once.

use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension;
use tract_onnx::pb::type_proto::Value;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto};

use crate::build::{self, domain};
use crate::random::Random;
use crate::seeds::{Part, parts};

/// Names that stand in string attributes.
const WORDS: &[&str] = &[
    "BRANCH_LEQ",
    "BRANCH_LT",
    "BRANCH_GTE",
    "BRANCH_GT",
    "BRANCH_EQ",
    "BRANCH_NEQ",
    "BRANCH_MEMBER",
    "LEAF",
    "SUM",
    "AVERAGE",
    "MIN",
    "MAX",
    "NONE",
    "LOGISTIC",
    "SOFTMAX",
    "SOFTMAX_ZERO",
    "PROBIT",
    "L1",
    "L2",
    "",
];

/// Models to take parts of, made once.
pub struct Mutator {
    parts: Vec<Part>,
    operators: Vec<String>,
    attributes: Vec<AttributeProto>,
}

impl Mutator {
    /// A mutator that knows every part of [`parts`].
    pub fn new() -> Mutator {
        let parts = parts();
        let nodes = || parts.iter().flat_map(|(_, nodes)| nodes);
        let mut operators: Vec<String> = nodes().map(|node| node.op_type.clone()).collect();
        operators.sort();
        operators.dedup();
        let attributes = nodes().flat_map(|node| node.attribute.clone()).collect();
        Mutator { operators, attributes, parts }
    }

    /// Another model made of `bytes` by a few changes; none if they are no model.
    pub fn mutate(&self, bytes: &[u8], seed: u64) -> Option<Vec<u8>> {
        let mut model = ModelProto::decode(bytes).ok()?;
        let mut random = Random::new(seed);
        for _ in 0..=random.below(3) {
            self.change(&mut model, &mut random);
        }
        Some(model.encode_to_vec())
    }

    fn change(&self, model: &mut ModelProto, random: &mut Random) {
        if random.below(24) == 0 {
            let version = random.int(13);
            let domain = random.pick(&["", "ai.onnx", "ai.onnx.ml"]).to_string();
            match model.opset_import.iter_mut().find(|set| set.domain == domain) {
                Some(set) => set.version = version,
                None => model.opset_import.push(OperatorSetIdProto { domain, version }),
            }
            return;
        }
        let Some(graph) = &mut model.graph else { return };
        match random.below(12) {
            0 | 1 => self.append(graph, random),
            2 => interface(graph, random),
            3 => {
                if graph.node.len() > 1 {
                    let at = random.below(graph.node.len());
                    graph.node.remove(at);
                }
            }
            4 => rewire(graph, random),
            5 if !graph.initializer.is_empty() => {
                let at = random.below(graph.initializer.len());
                change_tensor(&mut graph.initializer[at], random);
            }
            6 => {
                if let Some(node) = some(&mut graph.node, random) {
                    node.op_type.clone_from(random.pick(&self.operators));
                    node.domain = domain(&node.op_type).to_owned();
                }
            }
            _ => {
                if let Some(node) = some(&mut graph.node, random) {
                    self.change_attributes(node, random);
                }
            }
        }
    }

    /// Lets another part work on the result.
    fn append(&self, graph: &mut GraphProto, random: &mut Random) {
        let (constants, nodes) = random.pick(&self.parts).clone();
        let tag = random.below(10_000);
        let Some(end) = graph.output.first().map(|output| output.name.clone()) else { return };
        let joint = format!("j{tag}");
        for node in &mut graph.node {
            node.input
                .iter_mut()
                .chain(&mut node.output)
                .filter(|name| **name == end)
                .for_each(|name| name.clone_from(&joint));
        }
        let rename = |name: &mut String| match name.as_str() {
            "X" => name.clone_from(&joint),
            "Y" => name.clone_from(&end),
            _ => *name = format!("{name}{tag}"),
        };
        for mut constant in constants {
            rename(&mut constant.name);
            graph.initializer.push(constant);
        }
        for mut node in nodes {
            node.input.iter_mut().chain(&mut node.output).for_each(rename);
            graph.node.push(node);
        }
    }

    fn change_attributes(&self, node: &mut NodeProto, random: &mut Random) {
        match random.below(8) {
            0 => node.attribute.push(random.pick(&self.attributes).clone()),
            1 if !node.attribute.is_empty() => {
                let at = random.below(node.attribute.len());
                node.attribute.remove(at);
            }
            2 => lengthen(node, random),
            _ => {
                if let Some(attribute) = some(&mut node.attribute, random) {
                    if random.below(20) == 0 {
                        attribute.name.clone_from(&random.pick(&self.attributes).name);
                    } else {
                        change_attribute(attribute, random);
                    }
                }
            }
        }
    }
}

impl Default for Mutator {
    fn default() -> Mutator {
        Mutator::new()
    }
}

fn some<'a, T>(items: &'a mut [T], random: &mut Random) -> Option<&'a mut T> {
    let at = random.below(items.len());
    items.get_mut(at)
}

/// Type and shape of the input, number of outputs.
fn interface(graph: &mut GraphProto, random: &mut Random) {
    if random.below(4) == 0 {
        graph.output.extend(graph.output.first().cloned());
        return;
    }
    let Some(input) = graph.input.first_mut() else { return };
    let Some(Value::TensorType(tensor)) = input.r#type.as_mut().and_then(|t| t.value.as_mut()) else {
        return;
    };
    match (random.below(4), &mut tensor.shape) {
        (0, _) => tensor.elem_type = random.int(1) as i32,
        (1, shape) => *shape = None,
        (_, Some(shape)) => {
            if let Some(dim) = some(&mut shape.dim, random) {
                dim.value = Some(dimension::Value::DimValue(random.int(4)));
            }
        }
        (_, None) => *input = build::model(3, vec![], vec![]).graph.unwrap_or_default().input.remove(0),
    }
}

/// A node reads or writes another value.
fn rewire(graph: &mut GraphProto, random: &mut Random) {
    let mut names: Vec<String> = graph.node.iter().flat_map(|node| node.output.clone()).collect();
    names.extend(graph.input.iter().map(|input| input.name.clone()));
    names.extend(graph.initializer.iter().map(|tensor| tensor.name.clone()));
    names.push(String::new());
    let name = random.pick(&names).clone();
    let Some(node) = some(&mut graph.node, random) else { return };
    match random.below(6) {
        0 => node.input.push(name),
        1 => drop(node.input.pop()),
        2 => node.output.push(name),
        3 => drop(node.output.pop()),
        _ => {
            if let Some(input) = some(&mut node.input, random) {
                *input = name;
            }
        }
    }
}

/// The arrays of a tree ensemble get one element more or less, all of them: so they stay consistent.
fn lengthen(node: &mut NodeProto, random: &mut Random) {
    let prefix = *random.pick(&["nodes_", "target_", "class_", "leaf_"]);
    let more = random.below(3) != 0;
    let at = random.below(16);
    for attribute in node.attribute.iter_mut().filter(|a| a.name.starts_with(prefix)) {
        fn change<T: Clone>(items: &mut Vec<T>, at: usize, more: bool) {
            if items.is_empty() {
                return;
            }
            let at = at % items.len();
            if more { items.insert(at, items[at].clone()) } else { drop(items.remove(at)) }
        }
        change(&mut attribute.ints, at, more);
        change(&mut attribute.floats, at, more);
        change(&mut attribute.strings, at, more);
        if let Some(tensor) = &mut attribute.t {
            change(&mut tensor.float_data, at, more);
            change(&mut tensor.double_data, at, more);
            if tensor.dims.len() == 1 {
                let values = tensor.float_data.len() + tensor.double_data.len();
                tensor.dims[0] = if values > 0 { values } else { tensor.raw_data.len() } as i64;
            }
        }
    }
}

fn change_attribute(attribute: &mut AttributeProto, random: &mut Random) {
    if let Some(tensor) = &mut attribute.t {
        change_tensor(tensor, random);
    } else if !attribute.ints.is_empty() {
        change_list(&mut attribute.ints, random, |value, random| *value = random.int(*value));
    } else if !attribute.floats.is_empty() {
        change_list(&mut attribute.floats, random, |value, random| *value = random.float(*value));
    } else if !attribute.strings.is_empty() {
        change_list(&mut attribute.strings, random, |value, random| {
            *value = random.pick(WORDS).as_bytes().to_vec()
        });
    } else if !attribute.s.is_empty() {
        attribute.s = random.pick(WORDS).as_bytes().to_vec();
    } else if attribute.f != 0.0 {
        attribute.f = random.float(attribute.f);
    } else {
        attribute.i = random.int(attribute.i);
    }
}

/// One element other, more, less, or two swapped.
fn change_list<T: Clone>(items: &mut Vec<T>, random: &mut Random, change: impl Fn(&mut T, &mut Random)) {
    let (at, other) = (random.below(items.len()), random.below(items.len()));
    match random.below(8) {
        0 => items.insert(other, items[at].clone()),
        1 => drop(items.remove(at)),
        2 => items.swap(at, other),
        3 => items[at] = items[other].clone(),
        _ => change(&mut items[at], random),
    }
}

fn change_tensor(tensor: &mut TensorProto, random: &mut Random) {
    match random.below(8) {
        0 => {
            // A type with its data: the most frequent ones as raw bytes.
            let (kind, width) = *random.pick(&[
                (DataType::Float, 4),
                (DataType::Double, 8),
                (DataType::Int32, 4),
                (DataType::Int64, 8),
                (DataType::Bool, 1),
                (DataType::Uint8, 1),
            ]);
            let volume =
                tensor.dims.iter().fold(1_i64, |volume, dim| volume.saturating_mul(*dim)).clamp(0, 64)
                    as usize;
            *tensor = TensorProto {
                data_type: kind as i32,
                raw_data: (0..volume * width).map(|_| random.bits() as u8).collect(),
                ..TensorProto {
                    name: tensor.name.clone(),
                    dims: tensor.dims.clone(),
                    ..TensorProto::default()
                }
            };
        }
        1 => tensor.dims.insert(0, 1),
        2 => drop(tensor.dims.pop()),
        3 if !tensor.dims.is_empty() => {
            change_list(&mut tensor.dims, random, |dim, random| *dim = random.int(*dim))
        }
        4 => tensor.dims.reverse(),
        _ if !tensor.int64_data.is_empty() => {
            if let Some(value) = some(&mut tensor.int64_data, random) {
                *value = random.int(*value);
            }
        }
        _ => {
            if let Some(value) = some(&mut tensor.float_data, random) {
                *value = random.float(*value);
            }
        }
    }
}
