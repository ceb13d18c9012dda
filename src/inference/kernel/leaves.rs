//! What the leaves of an ensemble are worth, reduced to one number a leaf.

use super::super::ensemble::{Ensemble, Node, Weight};
use super::fold::Fold;

/// What the number of a leaf means.
#[derive(Debug, Clone)]
pub(super) enum Leaves {
    /// The weight for the only target.
    Single,
    /// A weight for the target its tree belongs to.
    PerTree(Vec<u32>),
    /// The index of a row of weights: `rows[i]..rows[i + 1]`.
    Rows { rows: Vec<u32>, weights: Vec<Weight> },
}

/// Whole numbers up to this one are exact in a float.
const MAX_ROWS: usize = 1 << 24;

impl Leaves {
    /// The simplest kind that fits the ensemble, without leaves yet.
    pub(super) fn kind_of(ensemble: &Ensemble) -> Leaves {
        if ensemble.n_targets == 1 {
            return Leaves::Single;
        }
        tree_targets(ensemble)
            .map_or_else(|| Leaves::Rows { rows: vec![0], weights: Vec::new() }, Leaves::PerTree)
    }

    /// The number of a leaf with `count` weights from `first`.
    pub(super) fn add(&mut self, ensemble: &Ensemble, first: u32, count: u32) -> Option<f32> {
        let own = ensemble.weights.get(first as usize..(first + count) as usize)?;
        match self {
            Leaves::Single | Leaves::PerTree(_) => own.first().map(|weight| weight.value),
            Leaves::Rows { rows, weights } => {
                let row = rows.len() - 1;
                weights.extend_from_slice(own);
                rows.push(weights.len() as u32);
                (row < MAX_ROWS).then_some(row as f32)
            }
        }
    }

    /// Adds the leaf with this number, reached in this tree.
    #[inline]
    pub(super) fn fold(&self, fold: &mut Fold<'_>, tree: usize, number: f32) {
        match self {
            Leaves::Single => fold.add(0, number),
            Leaves::PerTree(targets) => fold.add(targets.get(tree).copied().unwrap_or(0) as usize, number),
            Leaves::Rows { rows, weights } => {
                let row = number as usize;
                if let Some([from, to]) = rows.get(row..row + 2)
                    && let Some(own) = weights.get(*from as usize..*to as usize)
                {
                    for weight in own {
                        fold.add(weight.target as usize, weight.value);
                    }
                }
            }
        }
    }
}

/// The target of each tree, where each leaf has one weight and all leaves of a tree the same target.
fn tree_targets(ensemble: &Ensemble) -> Option<Vec<u32>> {
    let ends = ensemble.roots.iter().skip(1).copied().chain([ensemble.nodes.len() as u32]);
    ensemble
        .roots
        .iter()
        .zip(ends)
        .map(|(start, end)| {
            let mut target = None;
            // A tree's nodes stand together, its root first.
            for node in ensemble.nodes.get(*start as usize..end as usize)? {
                let Node::Leaf { first, count } = *node else { continue };
                let weight = ensemble.weights.get(first as usize)?;
                if count != 1 || target.is_some_and(|t| t != weight.target) {
                    return None;
                }
                target = Some(weight.target);
            }
            target
        })
        .collect()
}
