//! The plain walk: every kind of ensemble, one node after the other. It is the twin the fast kernels
//! are tested against to the bit, and runs what does not fit their layouts.

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::testing::{Five, MODES, bits, ensemble, rows, trees_of_five};
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn version_5_equals_the_definition((n, trees) in trees_of_five(), rows in rows()) {
            let ensemble = Five::new(n, 1, &trees).build().unwrap();
            let finish = Finish::new(&ensemble);
            for row in &rows {
                let mut wanted = vec![0.0_f32; n];
                for (target, weight) in trees.iter().flat_map(|tree| tree.evaluate(row)) {
                    wanted[*target] += weight;
                }
                let (mut found, mut scored) = (vec![7.0; n], vec![true; n]);
                predict(&ensemble, &finish, row, &mut found, &mut scored);
                prop_assert_eq!(bits(&found), bits(&wanted), "on {:?}", row);
            }
        }

        #[test]
        fn double_precision_takes_the_same_leaves((arrays, trees) in ensemble(&MODES), rows in rows()) {
            let narrow = arrays.build().unwrap();
            if narrow.aggregate != super::super::super::ensemble::Aggregate::Sum {
                return Ok(());
            }
            let wide = narrow.widen();
            let finish = Finish::new(&wide);
            for row in &rows {
                let mut wanted = vec![0.0_f64; wide.n_targets];
                for (target, weight) in trees.iter().flat_map(|tree| tree.evaluate(row)) {
                    wanted[*target] += f64::from(*weight);
                }
                for (wanted, base) in wanted.iter_mut().zip(&wide.base_values) {
                    *wanted += base;
                }
                let (mut found, mut scored) = (vec![7.0; wide.n_targets], vec![true; wide.n_targets]);
                predict(&wide, &finish, row, &mut found, &mut scored);
                prop_assert_eq!(&found, &wanted, "on {:?}", row);
            }
        }
    }
}
