//! The lists of the tree operators, past the general decoder.
//!
//! A tree ensemble is some ten lists of one number or name for each node, and most exporters write every entry as a
//! field of its own. Decoding them one by one into a general message took a third of the time of loading a
//! model. So the attributes that are lists are put aside as they are, in the bytes of a text attribute of the
//! same name, and read from there in one go.

use tract_onnx::pb::AttributeProto;
use tract_onnx::pb::attribute_proto::AttributeType;

use super::trees;
use super::wire::{self, Value, Writer};

/// Tags of onnx.proto.
mod tag {
    pub(super) const MODEL_GRAPH: u64 = 7;
    pub(super) const GRAPH_NODE: u64 = 1;
    pub(super) const NODE_OPERATOR: u64 = 4;
    pub(super) const NODE_ATTRIBUTE: u64 = 5;
    pub(super) const NAME: u64 = 1;
    pub(super) const TEXT: u64 = 4;
    pub(super) const FLOATS: u64 = 7;
    pub(super) const INTS: u64 = 8;
    pub(super) const STRINGS: u64 = 9;
    pub(super) const TYPE: u64 = 20;
}

/// The file with the lists of its tree operators put aside: each list attribute keeps its name and type, and has
/// the whole of what it was in its text.
pub(super) fn put_aside(bytes: &[u8]) -> Vec<u8> {
    // Beside the lists, lengths are written longer and names twice.
    let mut writer = Writer(Vec::with_capacity(bytes.len() + bytes.len() / 64 + 1024));
    rewrite(bytes, &mut writer, tag::MODEL_GRAPH, |graph, writer| {
        rewrite(graph, writer, tag::GRAPH_NODE, |node, writer| {
            if !is_tree(node) {
                return writer.0.extend_from_slice(node);
            }
            rewrite(node, writer, tag::NODE_ATTRIBUTE, attribute);
        });
    });
    writer.0
}

/// Writes `message`, its fields `tag` as `change` writes them.
fn rewrite(message: &[u8], writer: &mut Writer, tag: u64, change: impl Fn(&[u8], &mut Writer)) {
    let mut rest = message;
    while let Some((found, value, next)) = wire::field(rest) {
        match value {
            Value::Bytes(body) if found == tag => writer.message(tag, |writer| change(body, writer)),
            _ => writer.0.extend_from_slice(rest.get(..rest.len() - next.len()).unwrap_or_default()),
        }
        rest = next;
    }
    // What is no field stays, for the decoder to refuse.
    writer.0.extend_from_slice(rest);
}

fn is_tree(node: &[u8]) -> bool {
    let operator = wire::fields(node).filter(|(tag, _)| *tag == tag::NODE_OPERATOR).last();
    let names = [trees::REGRESSOR, trees::CLASSIFIER, trees::FIVE];
    matches!(operator, Some((_, Value::Bytes(name))) if names.iter().any(|tree| tree.as_bytes() == name))
}

fn attribute(body: &[u8], writer: &mut Writer) {
    let (mut name, mut kind) = (None, None);
    let mut rest = body;
    while let Some((tag, value, next)) = wire::field(rest) {
        match (tag, value) {
            (tag::NAME, Value::Bytes(text)) => name = Some(text),
            // As the decoder reads it, which takes the low half.
            (tag::TYPE, Value::Varint(number)) => kind = Some(number as i32),
            _ => {}
        }
        rest = next;
    }
    let lists = [AttributeType::Ints, AttributeType::Floats, AttributeType::Strings];
    match kind.filter(|kind| lists.iter().any(|list| *list as i32 == *kind)) {
        Some(kind) => {
            writer.bytes(tag::NAME, name.unwrap_or_default());
            writer.number(tag::TYPE, kind as u64);
            writer.bytes(tag::TEXT, body);
        }
        None => writer.0.extend_from_slice(body),
    }
}

/// What is said of a list that is not one on the wire.
const DAMAGED: &str = "cannot be decoded: the list is damaged";

/// Hands the entries with `tag` of a list that was put aside to `take`.
fn each_entry<'a>(
    attribute: &'a AttributeProto,
    tag: u64,
    mut take: impl FnMut(Value<'a>) -> Result<(), String>,
) -> Result<(), String> {
    let mut rest = attribute.s.as_slice();
    while !rest.is_empty() {
        let (found, value, next) = wire::field(rest).ok_or(DAMAGED)?;
        if found == tag {
            take(value)?;
        }
        rest = next;
    }
    Ok(())
}

/// The whole numbers of an INTS attribute that was put aside.
pub(super) fn ints(attribute: &AttributeProto) -> Result<Vec<i64>, String> {
    const SMALL: u8 = (tag::INTS as u8) << 3;
    // An entry has two bytes at least.
    let mut values = Vec::with_capacity(attribute.s.len() / 2);
    let mut rest = attribute.s.as_slice();
    while !rest.is_empty() {
        // Most entries are below 128: a run of them is read without a look at anything else.
        while let [SMALL, value @ ..0x80, next @ ..] = rest {
            values.push(i64::from(*value));
            rest = next;
        }
        let (tag, value, next) = wire::field(rest).ok_or(DAMAGED)?;
        rest = next;
        match value {
            _ if tag != tag::INTS => {}
            Value::Varint(value) => values.push(value as i64),
            Value::Bytes(mut packed) => {
                while !packed.is_empty() {
                    let (value, rest) = wire::varint(packed).ok_or(DAMAGED)?;
                    values.push(value as i64);
                    packed = rest;
                }
            }
            Value::Four(_) | Value::Eight(_) => return Err(DAMAGED.to_owned()),
        }
    }
    Ok(values)
}

/// The numbers of a FLOATS attribute that was put aside.
pub(super) fn floats(attribute: &AttributeProto) -> Result<Vec<f32>, String> {
    let mut values = Vec::with_capacity(attribute.s.len() / 5);
    each_entry(attribute, tag::FLOATS, |entry| {
        match entry {
            Value::Four(bytes) => values.push(f32::from_le_bytes(bytes)),
            Value::Bytes(packed) => {
                let (chunks, rest) = packed.as_chunks();
                if !rest.is_empty() {
                    return Err(DAMAGED.to_owned());
                }
                values.extend(chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)));
            }
            Value::Varint(_) | Value::Eight(_) => return Err(DAMAGED.to_owned()),
        }
        Ok(())
    })?;
    Ok(values)
}

/// The texts of a STRINGS attribute that was put aside.
pub(super) fn strings(attribute: &AttributeProto) -> Result<Vec<&[u8]>, String> {
    // The shortest name, LEAF, takes six bytes.
    let mut texts = Vec::with_capacity(attribute.s.len() / 6);
    each_entry(attribute, tag::STRINGS, |entry| {
        let Value::Bytes(text) = entry else { return Err(DAMAGED.to_owned()) };
        texts.push(text);
        Ok(())
    })?;
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use tract_onnx::pb::ModelProto;

    use super::super::super::testing::{bytes, int, model, node, string, tensor, tensor_attribute};
    use super::super::super::testing::{
        floats as floats_attribute, ints as ints_attribute, strings as strings_attribute,
    };
    use super::*;

    fn decoded(model: &ModelProto) -> ModelProto {
        ModelProto::decode(put_aside(&bytes(model)).as_slice()).unwrap()
    }

    /// One attribute in a tree operator, with `body` as it stands in the file.
    fn given(kind: AttributeType, body: &[u8]) -> AttributeProto {
        let mut writer = Writer(Vec::new());
        writer.number(tag::TYPE, kind as u64);
        writer.0.extend_from_slice(body);
        AttributeProto { s: writer.0, r#type: kind as i32, ..AttributeProto::default() }
    }

    #[test]
    fn the_lists_of_tree_operators_are_put_aside_and_all_else_stays() {
        let attributes = || {
            vec![
                ints_attribute("nodes_treeids", [0, 127, 128, -1, i64::MAX]),
                floats_attribute("nodes_values", [0.5, f32::INFINITY, -0.0]),
                strings_attribute("nodes_modes", ["LEAF", "BRANCH_LEQ", ""]),
                string("aggregate_function", "SUM"),
                int("n_targets", 1),
                tensor_attribute("base_values_as_tensor", tensor("", &[1], &[1.0])),
            ]
        };
        let nodes = ["TreeEnsembleRegressor", "Scaler"].map(|name| node(name, &["X"], "Y", attributes()));
        let model = model(2, vec![tensor("W", &[1], &[3.0])], nodes.into());
        let found = decoded(&model);
        let [trees, scaler] = &found.graph.as_ref().unwrap().node[..] else { panic!("{found:?}") };
        let [ids, values, modes, rest @ ..] = &trees.attribute[..] else { panic!("{trees:?}") };
        assert_eq!((ids.name.as_str(), ids.ints.len()), ("nodes_treeids", 0));
        assert_eq!(ints(ids).unwrap(), [0, 127, 128, -1, i64::MAX]);
        let bits: Vec<u32> = floats(values).unwrap().iter().map(|value| value.to_bits()).collect();
        assert_eq!(bits, [0.5, f32::INFINITY, -0.0].map(f32::to_bits));
        assert_eq!(strings(modes).unwrap(), [&b"LEAF"[..], b"BRANCH_LEQ", b""]);
        assert_eq!(rest, &attributes()[3..]);
        assert_eq!(scaler, &model.graph.as_ref().unwrap().node[1]);
        let without = |mut model: ModelProto| {
            model.graph.as_mut().unwrap().node.remove(0);
            model
        };
        assert_eq!(without(found), without(model));
    }

    #[test]
    fn lists_may_be_packed_and_in_pieces() {
        let body = [8 << 3, 5, 8 << 3 | 2, 3, 1, 0x80, 1, 8 << 3, 0x81, 1];
        assert_eq!(ints(&given(AttributeType::Ints, &body)).unwrap(), [5, 1, 128, 129]);
        let body =
            [&[7 << 3 | 2, 4][..], &1.5_f32.to_le_bytes(), &[7 << 3 | 5], &2.5_f32.to_le_bytes()].concat();
        assert_eq!(floats(&given(AttributeType::Floats, &body)).unwrap(), [1.5, 2.5]);
    }

    #[test]
    fn a_type_is_read_as_the_decoder_reads_it() {
        let mut writer = Writer(Vec::new());
        writer.bytes(tag::NAME, b"nodes_modes");
        // STRINGS, beyond the 32 bits that a type has; and a text of its own, which must not pass for the list.
        writer.number(tag::TYPE, (1 << 32) + AttributeType::Strings as u64);
        writer.bytes(tag::TEXT, &[9 << 3 | 2, 0]);
        let mut found = Writer(Vec::new());
        attribute(&writer.0, &mut found);
        let found = AttributeProto::decode(found.0.as_slice()).unwrap();
        assert_eq!(found.r#type, AttributeType::Strings as i32);
        assert!(strings(&found).unwrap().is_empty());
    }

    #[test]
    fn a_damaged_list_is_an_error() {
        // The file's own bytes were fields when they were put aside; nothing else passes for them.
        let cut = AttributeProto { s: vec![8 << 3], ..AttributeProto::default() };
        assert_eq!(ints(&cut).unwrap_err(), DAMAGED);
        assert_eq!(floats(&cut).unwrap_err(), DAMAGED);
        assert_eq!(strings(&cut).unwrap_err(), DAMAGED);
        for body in [&[8 << 3 | 2, 1, 0x80][..], &[8 << 3 | 5, 1, 2, 3, 4]] {
            assert_eq!(ints(&given(AttributeType::Ints, body)).unwrap_err(), DAMAGED);
        }
        for body in [&[7 << 3, 1][..], &[7 << 3 | 2, 3, 1, 2, 3]] {
            assert_eq!(floats(&given(AttributeType::Floats, body)).unwrap_err(), DAMAGED);
        }
        assert_eq!(strings(&given(AttributeType::Strings, &[9 << 3, 1])).unwrap_err(), DAMAGED);
    }
}
