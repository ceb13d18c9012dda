//! A look at the raw protobuf before it is decoded: a decoded message takes hundreds of bytes where
//! the file may spend two, so a hostile file is counted first and decoded only if it is small.

use super::super::limits::{MAX_FIELDS, MAX_MESSAGES};
use super::wire::{self, Value};

/// The messages of onnx.proto that a regressor is made of.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    Annotation,
    /// Holds no further message.
    Flat,
}

/// What stands in a length-delimited field.
enum Content {
    Message(Message),
    /// A string, bytes, a packed array, or a field that is skipped.
    Plain,
    /// Something no feed-forward regressor has.
    Refused(&'static str),
}

impl Message {
    fn content(self, tag: u64) -> Content {
        use Message::{
            Annotation, Attribute, Flat, Graph, Model, Node, Shape, Tensor, TensorType, Type, ValueInfo,
        };
        Content::Message(match (self, tag) {
            (Model, 7) => Graph,
            (Model, 8 | 14) | (Tensor, 3 | 13) | (Shape, 1) | (Annotation, 2) => Flat,
            (Graph, 1) => Node,
            (Graph, 5) | (Attribute, 5 | 10) => Tensor,
            (Graph, 11..=13) => ValueInfo,
            (Graph, 14) => Annotation,
            (Node, 5) => Attribute,
            (ValueInfo, 2) | (Attribute, 15) => Type,
            (Type, 1) => TensorType,
            (TensorType, 2) => Shape,
            (Model, 20) => return Content::Refused("training information; export the inference graph only"),
            (Model, 25) => return Content::Refused("local functions; export with functions inlined"),
            (Graph, 15) | (Attribute, 22 | 23) => {
                return Content::Refused("sparse tensors; export dense ones");
            }
            (Attribute, 6 | 11) => {
                return Content::Refused(
                    "control flow (If, Loop, Scan), as exporters of nearest neighbours and Gaussian processes write \
                     it; a regressor is a plain graph, train another kind",
                );
            }
            _ => return Content::Plain,
        })
    }
}

/// Most levels of messages within messages; a regressor without subgraphs has nine.
const MAX_NESTING: usize = 32;

/// Counts the messages and fields of an ONNX file.
///
/// # Errors
/// The reason, if the bytes are no protobuf message, or one with more than [`MAX_MESSAGES`] messages
/// or [`MAX_FIELDS`] strings, byte fields and packed arrays, or with parts that no regressor has.
pub(super) fn prescan(bytes: &[u8]) -> Result<(), String> {
    let mut messages = 1_usize;
    let mut fields = 0_usize;
    let mut open = vec![(bytes, Message::Model)];
    while let Some((mut rest, kind)) = open.pop() {
        while !rest.is_empty() {
            let Some((tag, value, next)) = wire::field(rest) else {
                return Err(
                    "the bytes are no protobuf message; the file is damaged or no ONNX file".to_owned()
                );
            };
            rest = next;
            let Value::Bytes(body) = value else { continue };
            fields += 1;
            let inner = match kind.content(tag) {
                Content::Message(inner) => Some(inner),
                Content::Plain => None,
                Content::Refused(what) => return Err(format!("the file holds {what}")),
            };
            if let Some(inner) = inner {
                messages += 1;
                // The rest of this message waits below the inner one, so the stack's height is the nesting.
                open.push((std::mem::take(&mut rest), kind));
                open.push((body, inner));
            }
            if messages > MAX_MESSAGES || fields > MAX_FIELDS || open.len() > MAX_NESTING {
                return Err(format!(
                    "more than {MAX_MESSAGES} messages, {MAX_FIELDS} fields or {MAX_NESTING} levels; \
                     no regressor needs as many"
                ));
            }
        }
    }
    Ok(())
}
