//! The shapes of a graph, one operator after the other, before tract looks at all of them together.
//!
//! tract takes sizes that do not fit each other for one that is still to be found out, and carries the term along.
//! Every operator behind it may repeat the term, so a file of 400 bytes could keep it busy for good. Here each shape
//! is looked at before the next operator sees it.

use tract_onnx::tract_hir::infer::InferenceModel;
use tract_onnx::tract_hir::infer::{Factoid, GenericFactoid, InferenceFact};
use tract_onnx::tract_hir::internal::{OutletId, TDim, TVec, TractResult, tvec};

use super::super::error::Problems;

/// Parts of a sum or product that make up a dimension: the rows times a number, plus another, say.
const MAX_TERMS: usize = 4;

/// Sums within products within quotients that make up a dimension.
const MAX_NESTING: usize = 4;

/// Infers the shapes of the graph's tensors in the order of its operators, which is the order tract takes them in,
/// those included that no output depends on.
///
/// # Errors
/// The first operator whose output has a size that is no plain number of rows or columns. What tract itself has to
/// say against an operator it says when it infers everything, and gets no further than here.
pub(super) fn infer(model: &mut InferenceModel) -> Result<(), Problems> {
    let mut problems = Problems::default();
    // Inputs and constants come before the operators that use them: the file's order has been checked.
    for id in 0..model.nodes().len() {
        let Ok(facts) = outputs(model, id) else { break };
        let odd = facts.iter().find(|fact| !fact.shape.dims().all(is_plain));
        if let Some(odd) = odd {
            let node = model.node(id);
            problems.push(
                format!("node `{}` ({})", node.name, node.op.name()),
                format!(
                    "makes a tensor of shape {:?}: the sizes of its inputs do not fit each other",
                    odd.shape
                ),
            );
            break;
        }
        for (slot, fact) in facts.into_iter().enumerate() {
            if model.set_outlet_fact(OutletId::new(id, slot), fact).is_err() {
                break;
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// What is known of the outputs of an operator when that of its inputs is.
fn outputs(model: &mut InferenceModel, id: usize) -> TractResult<TVec<InferenceFact>> {
    let (inputs, outputs) = model.node_facts(id)?;
    let inputs: TVec<InferenceFact> = inputs.into_iter().cloned().collect();
    let outputs: TVec<InferenceFact> = outputs.into_iter().cloned().collect();
    let (_, inferred, _) =
        model.node_mut(id).op.infer(inputs.iter().collect(), outputs.iter().collect(), tvec!())?;
    outputs.iter().zip(inferred).map(|(known, inferred)| known.unify(&inferred)).collect()
}

fn is_plain(dim: &GenericFactoid<TDim>) -> bool {
    match dim {
        GenericFactoid::Only(dim) => is_plain_term(dim, MAX_NESTING),
        GenericFactoid::Any => true,
    }
}

fn is_plain_term(dim: &TDim, nesting: usize) -> bool {
    let within = |dim: &TDim| nesting > 0 && is_plain_term(dim, nesting - 1);
    match dim {
        TDim::Val(_) | TDim::Sym(_) => true,
        TDim::MulInt(_, inner) | TDim::Div(inner, _) => within(inner),
        TDim::Add(terms) | TDim::Mul(terms) => terms.len() <= MAX_TERMS && terms.iter().all(within),
        _ => false,
    }
}
