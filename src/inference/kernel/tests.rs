use proptest::prelude::*;

use super::super::ensemble::Ensemble;
use super::super::info::Walk;
use super::super::testing::{Arrays, FEATURES, MODES, Tree, bits, branch, ensemble, expected, leaf, rows};
use super::*;

fn build(arrays: &Arrays) -> Ensemble {
    arrays.build().unwrap()
}

/// What each walk makes of a row; the fast one only where it fits.
fn both(ensemble: &Ensemble, row: &[f32]) -> (Vec<f32>, Option<Vec<f32>>) {
    let mut scored = vec![false; ensemble.n_targets];
    // Buffers start dirty: no result may depend on what was there.
    let mut plain = vec![7.0; ensemble.n_targets];
    reference::predict(ensemble, &Finish::new(ensemble), row, &mut plain, &mut scored);
    let packed = Packed::new(ensemble).map(|packed| {
        let mut out = vec![9.0; ensemble.n_targets];
        packed.predict(row, &mut out, &mut scored, &mut Slots::default());
        out
    });
    (plain, packed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn walks_equal_the_definition_to_the_bit(((arrays, trees), rows) in (ensemble(&MODES), rows())) {
        let ensemble = build(&arrays);
        for row in &rows {
            let (plain, packed) = both(&ensemble, row);
            let wanted = bits(&expected(&arrays, &trees, row));
            prop_assert_eq!(bits(&plain), wanted.clone(), "plain walk on {:?}", row);
            if let Some(packed) = packed {
                prop_assert_eq!(bits(&packed), wanted, "packed walk on {:?}", row);
            }
        }
    }

    #[test]
    fn ordered_comparisons_fit_the_fast_layout(((arrays, trees), rows) in (ensemble(&MODES[..4]), rows())) {
        let ensemble = build(&arrays);
        let strict = trees_use(&trees, &|mode, threshold| {
            matches!(mode, "BRANCH_LT" | "BRANCH_GTE") && threshold == f32::NEG_INFINITY
        });
        // Nothing lies below -inf, so such tests have no equivalent; all others must fit.
        prop_assert_eq!(Packed::new(&ensemble).is_some(), !strict);
        for row in &rows {
            if let (_, Some(packed)) = both(&ensemble, row) {
                prop_assert_eq!(bits(&packed), bits(&expected(&arrays, &trees, row)), "on {:?}", row);
            }
        }
    }
}

fn trees_use(trees: &[Tree], test: &dyn Fn(&str, f32) -> bool) -> bool {
    trees.iter().any(|tree| match tree {
        Tree::Leaf(_) => false,
        Tree::Branch { mode, threshold, children, .. } => {
            test(mode, *threshold) || trees_use(children.as_slice(), test)
        }
    })
}

#[test]
fn slots_follow_the_row_that_is_given() {
    let tree = |missing| Tree::Branch {
        mode: "BRANCH_LEQ",
        feature: 1,
        threshold: 0.5,
        missing,
        children: Box::new([leaf(1.0), leaf(10.0)]),
    };
    let kernel = Kernel::new(build(&Arrays::new(1, "SUM", &[], &[tree(false), tree(true)])));
    let mut scratch = kernel.scratch();
    let mut predict = |x: f32| {
        let mut out = [0.0];
        kernel.predict(&[f32::NAN, x], &mut out, &mut scratch);
        out[0]
    };
    // The same scratch over and over: nothing of the row before may remain.
    assert_eq!([0.5, 0.6, f32::NAN, 0.5, f32::NEG_INFINITY].map(&mut predict), [2.0, 20.0, 11.0, 2.0, 2.0]);
}

#[test]
fn more_than_255_slots_take_the_plain_walk() {
    let trees = |n: i64| -> Vec<Tree> {
        (0..n).map(|feature| branch("BRANCH_LEQ", feature, 0.0, leaf(1.0), leaf(feature as f32))).collect()
    };
    let fits = Kernel::new(build(&Arrays::new(1, "SUM", &[], &trees(255))));
    assert_eq!(fits.info().walk, Walk::Packed);
    let too_many = Kernel::new(build(&Arrays::new(1, "SUM", &[], &trees(256))));
    assert_eq!(too_many.info().walk, Walk::Plain);
    let row: Vec<f32> = (0..256).map(|i| i as f32 - 128.0).collect();
    for kernel in [fits, too_many] {
        let mut out = [0.0];
        kernel.predict(&row, &mut out, &mut kernel.scratch());
        let n = kernel.info().trees;
        let wanted: f32 = (0..n).map(|i| if i <= 128 { 1.0 } else { i as f32 }).sum();
        assert_eq!(out[0], wanted);
    }
}

#[test]
fn every_number_of_trees_fills_its_groups() {
    for n in 1..40 {
        let trees: Vec<Tree> = (0..n)
            .map(|i| {
                (0..i % 5).fold(leaf(1.0), |tree, level| {
                    branch("BRANCH_GT", level % FEATURES, 0.0, tree, leaf(100.0))
                })
            })
            .collect();
        let ensemble = build(&Arrays::new(1, "SUM", &[0.5], &trees));
        let (plain, packed) = both(&ensemble, &[1.0; FEATURES as usize]);
        assert_eq!(plain, [n as f32 + 0.5]);
        assert_eq!(packed, Some(plain));
    }
}

#[test]
fn a_shared_node_takes_the_plain_walk() {
    // One of 1, 2 or 3: the way exporters write a category test.
    let mut arrays = Arrays::new(1, "SUM", &[], &[]);
    arrays.nodes = vec![
        [0, 0, 0, 3, 1, 0],
        [0, 1, 0, 3, 2, 0],
        [0, 2, 0, 3, 4, 0],
        [0, 3, 0, 0, 0, 0],
        [0, 4, 0, 0, 0, 0],
    ];
    arrays.modes = vec!["BRANCH_EQ", "BRANCH_EQ", "BRANCH_EQ", "LEAF", "LEAF"];
    arrays.values = vec![1.0, 2.0, 3.0, 0.0, 0.0];
    arrays.targets = vec![[0, 3, 0], [0, 4, 0]];
    arrays.weights = vec![10.0, 20.0];
    let ensemble = build(&arrays);
    assert!(ensemble.shared);
    let answers = [0.0, 1.0, 1.5, 2.0, 3.0, f32::NAN].map(|x| {
        let (plain, packed) = both(&ensemble, &[x]);
        assert_eq!(packed, None);
        plain[0]
    });
    assert_eq!(answers, [20.0, 10.0, 20.0, 10.0, 10.0, 20.0]);
}
