//! ONNX files for tests, made of tract's protobuf types.

use prost::Message;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::type_proto::{self, Tensor};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto,
};

use super::super::ensemble::Kind;
use super::{Arrays, Five};

/// Operators of ai.onnx.ml; what is not listed is of the default domain.
const ML: &[&str] = &[
    "ArrayFeatureExtractor",
    "Binarizer",
    "FeatureVectorizer",
    "Imputer",
    "LabelEncoder",
    "LinearRegressor",
    "Normalizer",
    "OneHotEncoder",
    "SVMRegressor",
    "Scaler",
    "TreeEnsemble",
    "TreeEnsembleClassifier",
    "TreeEnsembleRegressor",
    "ZipMap",
];

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: kind as i32, ..AttributeProto::default() }
}

pub(in super::super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: value, ..attribute(name, AttributeType::Int) }
}

pub(in super::super) fn ints(name: &str, values: impl IntoIterator<Item = i64>) -> AttributeProto {
    AttributeProto { ints: values.into_iter().collect(), ..attribute(name, AttributeType::Ints) }
}

pub(in super::super) fn floats(name: &str, values: impl IntoIterator<Item = f32>) -> AttributeProto {
    AttributeProto { floats: values.into_iter().collect(), ..attribute(name, AttributeType::Floats) }
}

pub(in super::super) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { f: value, ..attribute(name, AttributeType::Float) }
}

pub(in super::super) fn string(name: &str, value: &str) -> AttributeProto {
    AttributeProto { s: value.as_bytes().to_vec(), ..attribute(name, AttributeType::String) }
}

pub(in super::super) fn strings<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> AttributeProto {
    let strings = values.into_iter().map(|v| v.as_bytes().to_vec()).collect();
    AttributeProto { strings, ..attribute(name, AttributeType::Strings) }
}

pub(in super::super) fn tensor_attribute(name: &str, tensor: TensorProto) -> AttributeProto {
    AttributeProto { t: Some(tensor), ..attribute(name, AttributeType::Tensor) }
}

pub(in super::super) fn tensor(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: dims.to_vec(),
        data_type: DataType::Float as i32,
        float_data: values.to_vec(),
        ..TensorProto::default()
    }
}

pub(in super::super) fn index_tensor(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: vec![values.len() as i64],
        data_type: DataType::Int64 as i32,
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

pub(in super::super) fn node(
    operator: &str,
    inputs: &[&str],
    output: &str,
    attribute: Vec<AttributeProto>,
) -> NodeProto {
    let ml = ML.contains(&operator);
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
pub(in super::super) fn value(name: &str, dims: &[i64]) -> ValueInfoProto {
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
pub(in super::super) fn model(
    n_features: i64,
    initializer: Vec<TensorProto>,
    nodes: Vec<NodeProto>,
) -> ModelProto {
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

pub(in super::super) fn bytes(model: &ModelProto) -> Vec<u8> {
    model.encode_to_vec()
}

impl Arrays {
    pub(in super::super) fn attributes(&self) -> Vec<AttributeProto> {
        let column = |at: usize| self.nodes.iter().map(move |node| node[at]);
        let target = |at: usize| self.targets.iter().map(move |target| target[at]);
        let leaves = |name: &str| self.kind.attribute(name);
        let mut attributes = vec![
            string("post_transform", &self.post_transform),
            ints("nodes_treeids", column(0)),
            ints("nodes_nodeids", column(1)),
            ints("nodes_featureids", column(2)),
            ints("nodes_truenodeids", column(3)),
            ints("nodes_falsenodeids", column(4)),
            ints("nodes_missing_value_tracks_true", column(5)),
            strings("nodes_modes", self.modes.iter().copied()),
            floats("nodes_values", self.values.iter().copied()),
            ints(&leaves("treeids"), target(0)),
            ints(&leaves("nodeids"), target(1)),
            ints(&leaves("ids"), target(2)),
            floats(&leaves("weights"), self.weights.iter().copied()),
        ];
        match self.kind {
            Kind::Regressor => attributes
                .extend([int("n_targets", self.n_targets), string("aggregate_function", &self.aggregate)]),
            Kind::Classifier => attributes.push(ints("classlabels_int64s", 0..self.n_targets)),
        }
        if !self.base_values.is_empty() {
            attributes.push(floats("base_values", self.base_values.iter().copied()));
        }
        attributes
    }

    pub(in super::super) fn node(&self, input: &str, output: &str) -> NodeProto {
        match self.kind {
            Kind::Regressor => node("TreeEnsembleRegressor", &[input], output, self.attributes()),
            Kind::Classifier => {
                let mut node = node("TreeEnsembleClassifier", &[input], "label", self.attributes());
                node.output.push(output.to_owned());
                node
            }
        }
    }

    /// The bytes of a model that is nothing but this ensemble.
    pub(in super::super) fn bytes(&self, n_features: i64) -> Vec<u8> {
        bytes(&model(n_features, vec![], vec![self.node("X", "Y")]))
    }
}

impl Five {
    pub(in super::super) fn node(&self, input: &str, output: &str) -> NodeProto {
        let column = |at: usize| self.nodes.iter().map(move |node| node[at]);
        let list = |values: &[f32]| tensor("", &[values.len() as i64], values);
        let modes = TensorProto {
            dims: vec![self.modes.len() as i64],
            data_type: DataType::Uint8 as i32,
            raw_data: self.modes.clone(),
            ..TensorProto::default()
        };
        let mut attributes = vec![
            int("n_targets", self.n_targets),
            int("aggregate_function", self.aggregate),
            int("post_transform", self.post_transform),
            ints("tree_roots", self.roots.iter().copied()),
            ints("nodes_featureids", column(0)),
            ints("nodes_truenodeids", column(1)),
            ints("nodes_trueleafs", column(2)),
            ints("nodes_falsenodeids", column(3)),
            ints("nodes_falseleafs", column(4)),
            ints("nodes_missing_value_tracks_true", column(5)),
            tensor_attribute("nodes_modes", modes),
            tensor_attribute("nodes_splits", list(&self.splits)),
            ints("leaf_targetids", self.targets.iter().copied()),
            tensor_attribute("leaf_weights", list(&self.weights)),
        ];
        if !self.members.is_empty() {
            attributes.push(tensor_attribute("membership_values", list(&self.members)));
        }
        node("TreeEnsemble", &[input], output, attributes)
    }
}
