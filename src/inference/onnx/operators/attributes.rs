//! Attributes of a node, read from the protobuf and type-checked: every problem of the node at once.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, NodeProto};

use super::describe;
use crate::inference::error::Problems;

/// Reads the attributes of one node. What is absent reads as `None` or as an empty list; what is
/// malformed as well, and is a problem that [`Reader::finish`] gives.
pub(super) struct Reader<'a> {
    node: &'a NodeProto,
    known: Vec<&'static str>,
    problems: Problems,
}

impl<'a> Reader<'a> {
    pub(super) fn new(node: &'a NodeProto) -> Reader<'a> {
        Reader { node, known: Vec::new(), problems: Problems::default() }
    }

    /// The attribute, if it is there and of the type that is expected.
    fn find(&mut self, name: &'static str, wanted: AttributeType) -> Option<&'a AttributeProto> {
        self.known.push(name);
        let attribute = self.node.attribute.iter().find(|attribute| attribute.name == name)?;
        if attribute.r#type == wanted as i32 {
            return Some(attribute);
        }
        let found = AttributeType::try_from(attribute.r#type).map_or("unknown", |t| t.as_str_name());
        self.refuse(name, format!("has type {found} where {} is expected", wanted.as_str_name()));
        None
    }

    pub(super) fn int(&mut self, name: &'static str) -> Option<i64> {
        self.find(name, AttributeType::Int).map(|attribute| attribute.i)
    }

    pub(super) fn float(&mut self, name: &'static str) -> Option<f32> {
        self.find(name, AttributeType::Float).map(|attribute| attribute.f)
    }

    pub(super) fn ints(&mut self, name: &'static str) -> &'a [i64] {
        self.find(name, AttributeType::Ints).map_or(&[], |attribute| &attribute.ints)
    }

    pub(super) fn floats(&mut self, name: &'static str) -> &'a [f32] {
        self.find(name, AttributeType::Floats).map_or(&[], |attribute| &attribute.floats)
    }

    /// Numbers that take part in sums: NaN and infinity among them would spoil every prediction.
    pub(super) fn finite(&mut self, name: &'static str) -> &'a [f32] {
        let values = self.floats(name);
        for (i, value) in values.iter().enumerate().filter(|(_, value)| !value.is_finite()) {
            self.refuse(format!("{name}[{i}]"), format!("is {value}, must be finite"));
        }
        values
    }

    pub(super) fn string(&mut self, name: &'static str) -> Option<&'a str> {
        let attribute = self.find(name, AttributeType::String)?;
        let text = std::str::from_utf8(&attribute.s);
        if text.is_err() {
            self.refuse(name, "is not UTF-8");
        }
        text.ok()
    }

    /// The values of a tensor of one axis, whole numbers or floats.
    pub(super) fn tensor(&mut self, name: &'static str) -> Option<Numbers> {
        let attribute = self.find(name, AttributeType::Tensor)?;
        let tensor = attribute.t.as_ref()?;
        let raw = &tensor.raw_data;
        let numbers = match DataType::try_from(tensor.data_type) {
            Ok(DataType::Int64) if raw.is_empty() => Numbers::Whole(tensor.int64_data.clone()),
            Ok(DataType::Int64) => {
                Numbers::Whole(raw.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)).collect())
            }
            Ok(DataType::Float) if raw.is_empty() => Numbers::Single(tensor.float_data.clone()),
            Ok(DataType::Float) => {
                Numbers::Single(raw.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
            }
            Ok(DataType::Double) if raw.is_empty() => Numbers::Double(tensor.double_data.clone()),
            Ok(DataType::Double) => {
                Numbers::Double(raw.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect())
            }
            other => {
                let found = other.map_or("unknown", |t| t.as_str_name());
                self.refuse(name, format!("holds {found} values; INT64, FLOAT and DOUBLE are supported"));
                return None;
            }
        };
        Some(numbers)
    }

    /// An attribute that may only say what is the default anyway.
    pub(super) fn only(&mut self, name: &'static str, default: &str, reason: &str) {
        if let Some(found) = self.string(name).filter(|found| *found != default) {
            let found: String = found.chars().take(40).collect();
            self.refuse(name, format!("is `{found}`, only {default} is supported: {reason}"));
        }
    }

    /// An attribute of the texts variant of an operator.
    pub(super) fn no_texts(&mut self, names: &[&'static str]) {
        for name in names {
            self.known.push(name);
            if self.node.attribute.iter().any(|attribute| attribute.name == *name) {
                self.refuse(*name, "holds texts; encode categories as numbers before the model");
            }
        }
    }

    pub(super) fn refuse(&mut self, place: impl Into<String>, reason: impl Into<String>) {
        self.problems.push(place, reason);
    }

    pub(super) fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    /// All problems, unknown and repeated attributes among them, placed at the node.
    pub(super) fn finish(mut self) -> Result<(), Problems> {
        let mut seen: Vec<&str> = Vec::new();
        for attribute in &self.node.attribute {
            let name = attribute.name.as_str();
            let shown: String = name.chars().take(80).collect();
            if seen.contains(&name) {
                self.problems.push(shown, "is given twice");
            } else if !self.known.contains(&name) {
                self.problems.push(shown, format!("is not an attribute of {}", self.node.op_type));
            }
            seen.push(name);
        }
        if self.problems.is_empty() { Ok(()) } else { Err(self.problems.within(&describe(self.node))) }
    }
}

/// The values of a tensor, by their type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Numbers {
    Whole(Vec<i64>),
    Single(Vec<f32>),
    Double(Vec<f64>),
}

impl Numbers {
    pub(super) fn len(&self) -> usize {
        match self {
            Numbers::Whole(values) => values.len(),
            Numbers::Single(values) => values.len(),
            Numbers::Double(values) => values.len(),
        }
    }
}
