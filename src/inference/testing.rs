//! ONNX files for tests, made of tract's protobuf types, and strategies for random tree ensembles.

use proptest::prelude::*;
use prost::Message;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::type_proto::{self, Tensor};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto,
};

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: kind as i32, ..AttributeProto::default() }
}

pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: value, ..attribute(name, AttributeType::Int) }
}

pub(super) fn ints(name: &str, values: impl IntoIterator<Item = i64>) -> AttributeProto {
    AttributeProto { ints: values.into_iter().collect(), ..attribute(name, AttributeType::Ints) }
}

pub(super) fn floats(name: &str, values: impl IntoIterator<Item = f32>) -> AttributeProto {
    AttributeProto { floats: values.into_iter().collect(), ..attribute(name, AttributeType::Floats) }
}

pub(super) fn string(name: &str, value: &str) -> AttributeProto {
    AttributeProto { s: value.as_bytes().to_vec(), ..attribute(name, AttributeType::String) }
}

pub(super) fn strings<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> AttributeProto {
    let strings = values.into_iter().map(|v| v.as_bytes().to_vec()).collect();
    AttributeProto { strings, ..attribute(name, AttributeType::Strings) }
}

pub(super) fn tensor_attribute(name: &str, tensor: TensorProto) -> AttributeProto {
    AttributeProto { t: Some(tensor), ..attribute(name, AttributeType::Tensor) }
}

pub(super) fn tensor(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: dims.to_vec(),
        data_type: DataType::Float as i32,
        float_data: values.to_vec(),
        ..TensorProto::default()
    }
}

pub(super) fn index_tensor(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: vec![values.len() as i64],
        data_type: DataType::Int64 as i32,
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

pub(super) fn node(
    operator: &str,
    inputs: &[&str],
    output: &str,
    attribute: Vec<AttributeProto>,
) -> NodeProto {
    let ml = ["TreeEnsembleRegressor", "Scaler", "LinearRegressor", "Normalizer"].contains(&operator);
    NodeProto {
        name: format!("make {output}"),
        op_type: operator.to_owned(),
        domain: if ml { "ai.onnx.ml" } else { "" }.to_owned(),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute,
        ..NodeProto::default()
    }
}

/// A FLOAT value; a negative dimension is one without a value.
pub(super) fn value(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = dims
        .iter()
        .map(|d| Dimension {
            value: (*d >= 0).then_some(dimension::Value::DimValue(*d)),
            ..Dimension::default()
        })
        .collect();
    let tensor = Tensor { elem_type: DataType::Float as i32, shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

/// A model from input `X` of `[rows, n_features]` to output `Y`.
pub(super) fn model(n_features: i64, initializer: Vec<TensorProto>, nodes: Vec<NodeProto>) -> ModelProto {
    let opset = |domain: &str, version| OperatorSetIdProto { domain: domain.to_owned(), version };
    ModelProto {
        ir_version: 8,
        producer_name: "tests".to_owned(),
        producer_version: "1".to_owned(),
        opset_import: vec![opset("", 17), opset("ai.onnx.ml", 3)],
        graph: Some(GraphProto {
            name: "graph".to_owned(),
            node: nodes,
            initializer,
            input: vec![value("X", &[-1, n_features])],
            output: vec![value("Y", &[-1, -1])],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}

pub(super) fn bytes(model: &ModelProto) -> Vec<u8> {
    model.encode_to_vec()
}

/// A tree as a test thinks of it.
#[derive(Debug, Clone)]
pub(super) enum Tree {
    Leaf(Vec<(usize, f32)>),
    Branch { mode: &'static str, feature: i64, threshold: f32, missing: bool, children: Box<[Tree; 2]> },
}

pub(super) fn leaf(weight: f32) -> Tree {
    Tree::Leaf(vec![(0, weight)])
}

pub(super) fn branch(mode: &'static str, feature: i64, threshold: f32, yes: Tree, no: Tree) -> Tree {
    Tree::Branch { mode, feature, threshold, missing: false, children: Box::new([yes, no]) }
}

impl Tree {
    /// The weights `row` reaches, read off the definition of the operator.
    pub(super) fn evaluate(&self, row: &[f32]) -> &[(usize, f32)] {
        match self {
            Tree::Leaf(weights) => weights,
            Tree::Branch { mode, feature, threshold, missing, children } => {
                let x = row[*feature as usize];
                let yes = match *mode {
                    "BRANCH_LEQ" => x <= *threshold,
                    "BRANCH_LT" => x < *threshold,
                    "BRANCH_GTE" => x >= *threshold,
                    "BRANCH_GT" => x > *threshold,
                    "BRANCH_EQ" => x == *threshold,
                    _ => x != *threshold,
                };
                children[usize::from(!(yes || x.is_nan() && *missing))].evaluate(row)
            }
        }
    }
}

/// The arrays of a `TreeEnsembleRegressor`, to be filled from trees or spoilt by hand.
#[derive(Debug, Clone, Default)]
pub(super) struct Arrays {
    pub(super) n_targets: i64,
    pub(super) aggregate: String,
    pub(super) post_transform: String,
    pub(super) base_values: Vec<f32>,
    /// tree, node, feature, true child, false child, missing
    pub(super) nodes: Vec<[i64; 6]>,
    pub(super) modes: Vec<&'static str>,
    pub(super) values: Vec<f32>,
    /// tree, node, target
    pub(super) targets: Vec<[i64; 3]>,
    pub(super) weights: Vec<f32>,
}

impl Arrays {
    pub(super) fn new(n_targets: usize, aggregate: &str, base_values: &[f32], trees: &[Tree]) -> Arrays {
        let mut arrays = Arrays {
            n_targets: n_targets as i64,
            aggregate: aggregate.to_owned(),
            post_transform: "NONE".to_owned(),
            base_values: base_values.to_vec(),
            ..Arrays::default()
        };
        for (id, tree) in trees.iter().enumerate() {
            arrays.push(id as i64, &mut 0, tree);
        }
        arrays
    }

    fn push(&mut self, tree: i64, next: &mut i64, source: &Tree) -> i64 {
        let id = *next;
        *next += 1;
        match source {
            Tree::Leaf(weights) => {
                self.nodes.push([tree, id, 0, 0, 0, 0]);
                self.modes.push("LEAF");
                self.values.push(0.0);
                for (target, weight) in weights {
                    self.targets.push([tree, id, *target as i64]);
                    self.weights.push(*weight);
                }
            }
            Tree::Branch { mode, feature, threshold, missing, children } => {
                let at = self.nodes.len();
                self.nodes.push([tree, id, *feature, 0, 0, i64::from(*missing)]);
                self.modes.push(mode);
                self.values.push(*threshold);
                for (slot, child) in children.iter().enumerate() {
                    self.nodes[at][3 + slot] = self.push(tree, next, child);
                }
            }
        }
        id
    }

    pub(super) fn attributes(&self) -> Vec<AttributeProto> {
        let column = |at: usize| self.nodes.iter().map(move |node| node[at]);
        let target = |at: usize| self.targets.iter().map(move |target| target[at]);
        let mut attributes = vec![
            int("n_targets", self.n_targets),
            string("aggregate_function", &self.aggregate),
            string("post_transform", &self.post_transform),
            ints("nodes_treeids", column(0)),
            ints("nodes_nodeids", column(1)),
            ints("nodes_featureids", column(2)),
            ints("nodes_truenodeids", column(3)),
            ints("nodes_falsenodeids", column(4)),
            ints("nodes_missing_value_tracks_true", column(5)),
            strings("nodes_modes", self.modes.iter().copied()),
            floats("nodes_values", self.values.iter().copied()),
            ints("target_treeids", target(0)),
            ints("target_nodeids", target(1)),
            ints("target_ids", target(2)),
            floats("target_weights", self.weights.iter().copied()),
        ];
        if !self.base_values.is_empty() {
            attributes.push(floats("base_values", self.base_values.iter().copied()));
        }
        attributes
    }

    pub(super) fn node(&self, input: &str, output: &str) -> NodeProto {
        node("TreeEnsembleRegressor", &[input], output, self.attributes())
    }

    /// The bytes of a model that is nothing but this ensemble.
    pub(super) fn bytes(&self, n_features: i64) -> Vec<u8> {
        bytes(&model(n_features, vec![], vec![self.node("X", "Y")]))
    }
}

/// Features of the random ensembles.
pub(super) const FEATURES: i64 = 4;

pub(super) const MODES: [&str; 6] =
    ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"];

/// Thresholds of the random ensembles, so few that rows often meet them exactly.
const THRESHOLDS: [f32; 12] = [
    0.0,
    -0.0,
    1.0,
    -1.5,
    0.1,
    1e-45,
    -1e-45,
    f32::MIN_POSITIVE,
    f32::MAX,
    f32::MIN,
    f32::INFINITY,
    f32::NEG_INFINITY,
];

fn threshold() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => prop::sample::select(&THRESHOLDS[..]),
        1 => any::<f32>().prop_filter("not NaN", |t| !t.is_nan()),
    ]
}

/// A value at, just below or just above a threshold, or a special one.
fn cell() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => (prop::sample::select(&THRESHOLDS[..]), -1..=1_i8).prop_map(|(t, step)| match step {
            -1 => t.next_down(),
            0 => t,
            _ => t.next_up(),
        }),
        1 => Just(f32::NAN),
        1 => any::<f32>(),
    ]
}

pub(super) fn rows() -> impl Strategy<Value = Vec<Vec<f32>>> {
    prop::collection::vec(prop::collection::vec(cell(), FEATURES as usize), 1..24)
}

/// A random ensemble with its trees: any aggregate, up to three targets, base values or none.
pub(super) fn ensemble(modes: &'static [&'static str]) -> impl Strategy<Value = (Arrays, Vec<Tree>)> {
    (1..=3_usize, 0..3_u8).prop_flat_map(move |(targets, leaves)| {
        let weight = || prop_oneof![-1e3_f32..1e3, Just(-0.0), Just(1e-40), Just(3e38)];
        let weights = match (targets, leaves) {
            (1, _) => weight().prop_map(|w| vec![(0, w)]).boxed(),
            // Several weights a leaf, for any targets, repeated or none at all.
            (_, 0) => prop::collection::vec((0..targets, weight()), 0..4).boxed(),
            // One weight a leaf for any target.
            (_, 1) => (0..targets, weight()).prop_map(|w| vec![w]).boxed(),
            _ => weight().prop_map(|w| vec![(1, w)]).boxed(),
        };
        let tree = weights.prop_map(Tree::Leaf).prop_recursive(6, 40, 2, move |inner| {
            (
                prop::sample::select(modes),
                0..FEATURES,
                threshold(),
                any::<bool>(),
                [inner.clone(), inner].prop_map(Box::new),
            )
                .prop_map(|(mode, feature, threshold, missing, children)| Tree::Branch {
                    mode,
                    feature,
                    threshold,
                    missing,
                    children,
                })
        });
        let aggregate = prop::sample::select(&["SUM", "AVERAGE", "MIN", "MAX"][..]);
        let base = prop_oneof![Just(vec![]), prop::collection::vec(weight(), targets)];
        (Just(targets), aggregate, base, prop::collection::vec(tree, 1..30)).prop_filter_map(
            "at least one weight",
            |(targets, aggregate, base, trees)| {
                let arrays = Arrays::new(targets, aggregate, &base, &trees);
                (!arrays.weights.is_empty()).then_some((arrays, trees))
            },
        )
    })
}

/// What the operator's definition and ONNX Runtime's order of operations make of `row`.
pub(super) fn expected(arrays: &Arrays, trees: &[Tree], row: &[f32]) -> Vec<f32> {
    let targets = arrays.n_targets as usize;
    let mut scores: Vec<Option<f32>> = vec![None; targets];
    for (target, weight) in trees.iter().flat_map(|tree| tree.evaluate(row)) {
        let score = &mut scores[*target];
        *score = Some(match (arrays.aggregate.as_str(), *score) {
            ("MIN", Some(old)) if *weight < old => *weight,
            ("MAX", Some(old)) if *weight > old => *weight,
            ("MIN" | "MAX", Some(old)) => old,
            ("MIN" | "MAX", None) => *weight,
            (_, old) => old.unwrap_or(0.0) + weight,
        });
    }
    let extreme = matches!(arrays.aggregate.as_str(), "MIN" | "MAX");
    let finish = |(target, score): (usize, Option<f32>)| {
        let mut score = score.unwrap_or(0.0);
        if arrays.aggregate == "AVERAGE" {
            score /= trees.len() as f32;
        }
        match arrays.base_values.get(target) {
            Some(base) => score + base,
            None if targets == 1 || extreme => score + 0.0,
            None => score,
        }
    };
    scores.into_iter().enumerate().map(finish).collect()
}

/// Bits, with every NaN the same: its payload is not part of the result.
pub(super) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() }).collect()
}
