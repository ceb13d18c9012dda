//! The plain walk: every kind of ensemble, one node after the other. It is the twin the fast kernel
//! is tested against to the bit, and runs what does not fit the fast kernel's layout.

use super::super::ensemble::{Ensemble, Mode, Node, Number, Weight};
use super::fold::{Finish, Fold};

/// Predicts one row, in the precision of the ensemble. A row of lower precision is widened.
///
/// Shapes: `row` has at least `ensemble.min_features` values, `scores` and `scored` have
/// `ensemble.n_targets`; the outputs are left in `scores`.
pub(crate) fn predict<T: Number, X: Copy + Into<T>>(
    ensemble: &Ensemble<T>,
    finish: &Finish<T>,
    row: &[X],
    scores: &mut [T],
    scored: &mut [bool],
) {
    let mut fold = Fold::new(ensemble.aggregate, scores, scored);
    for root in &ensemble.roots {
        for weight in leaf(ensemble, *root, row) {
            fold.add(weight.target as usize, weight.value);
        }
    }
    fold.finish(finish);
}

/// The weights of the leaf that `row` reaches from `root`.
fn leaf<'a, T: Number, X: Copy + Into<T>>(
    ensemble: &'a Ensemble<T>,
    root: u32,
    row: &[X],
) -> &'a [Weight<T>] {
    let mut at = root;
    // The build has shown that there is no cycle and no index out of range, so this ends at a leaf.
    // The defaults below cannot be reached; they stand where an index could otherwise panic.
    while let Some(node) = ensemble.nodes.get(at as usize) {
        match *node {
            Node::Leaf { first, count } => {
                return ensemble.weights.get(first as usize..(first + count) as usize).unwrap_or_default();
            }
            Node::Branch { mode, feature, threshold, missing_true, on_true, on_false } => {
                let x = row.get(feature as usize).map_or(T::from(f32::NAN), |x| (*x).into());
                let goes = match mode {
                    Mode::Member(set) => ensemble.sets.get(set as usize).is_some_and(|set| is_member(set, x)),
                    mode => holds(mode, x, threshold),
                };
                at = if goes || (missing_true && x.is_nan()) { on_true } else { on_false };
            }
        }
    }
    &[]
}

/// Whether `x` equals one of the ascending `set`. NaN equals nothing.
fn is_member<T: Number>(set: &[T], x: T) -> bool {
    let at = set.partition_point(|member| *member < x);
    set.get(at).is_some_and(|member| *member == x)
}

/// IEEE comparisons: -0.0 equals 0.0, and NaN satisfies only `!=`.
fn holds<T: Number>(mode: Mode, x: T, threshold: T) -> bool {
    match mode {
        Mode::Leq => x <= threshold,
        Mode::Lt => x < threshold,
        Mode::Gte => x >= threshold,
        Mode::Gt => x > threshold,
        Mode::Eq => x == threshold,
        Mode::Neq => x != threshold,
        // Has no threshold; answered by [`is_member`].
        Mode::Member(_) => false,
    }
}
