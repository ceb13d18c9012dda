use proptest::prelude::*;

use super::super::ensemble::Ensemble;
use super::super::testing::{Arrays, FEATURES, MODES, Tree, bits, branch, ensemble, expected, leaf, rows};
use super::*;

fn build(arrays: &Arrays) -> Ensemble {
    arrays.build().unwrap()
}

/// Every kernel that this processor has and that fits the ensemble, the reference first.
fn kernels(ensemble: &Ensemble) -> Vec<Kernel> {
    let all = KernelKind::ALL.into_iter().filter(|kind| kind.unavailable().is_none());
    all.filter_map(|kind| Kernel::undecided(ensemble.clone()).with(Some(kind)).ok()).collect()
}

/// The outputs of rows of `width` features.
fn predict(kernel: &Kernel, rows: &[f32], width: usize) -> Vec<f32> {
    // Buffers start dirty: no result may depend on what was there.
    let mut out = vec![7.0; rows.len() / width * kernel.n_targets()];
    kernel.predict(rows, width, &mut out, &mut kernel.scratch());
    out
}

/// Whether a kernel gives what the definition does, row by row and in a batch.
fn check(kernel: &Kernel, arrays: &Arrays, trees: &[Tree], rows: &[Vec<f32>]) -> Result<(), TestCaseError> {
    let kind = kernel.info().kernel;
    let wanted: Vec<u32> = rows.iter().flat_map(|row| bits(&expected(arrays, trees, row))).collect();
    let alone: Vec<f32> = rows.iter().flat_map(|row| predict(kernel, row, row.len())).collect();
    prop_assert_eq!(&bits(&alone), &wanted, "{} on {:?}", kind, rows);
    // Three times over: more rows than are scored together.
    let batch = predict(kernel, &rows.concat().repeat(3), FEATURES as usize);
    prop_assert_eq!(&bits(&batch), &wanted.repeat(3), "{}, in a batch, on {:?}", kind, rows);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn kernels_equal_the_definition_to_the_bit(((arrays, trees), rows) in (ensemble(&MODES), rows())) {
        for kernel in kernels(&build(&arrays)) {
            check(&kernel, &arrays, &trees, &rows)?;
        }
    }

    #[test]
    fn ordered_comparisons_fit_the_fast_layouts(((arrays, trees), rows) in (ensemble(&MODES[..4]), rows())) {
        let strict = trees_use(&trees, &|mode, threshold| {
            matches!(mode, "BRANCH_LT" | "BRANCH_GTE") && threshold == f32::NEG_INFINITY
        });
        let kernels = kernels(&build(&arrays));
        // Nothing lies below -inf, so such tests have no equivalent; all others must fit.
        prop_assert_eq!(kernels.iter().any(|kernel| kernel.info().kernel == KernelKind::Walk), !strict);
        prop_assert_eq!(kernels.iter().any(|kernel| kernel.info().kernel == KernelKind::Quickscorer), !strict);
        for kernel in kernels {
            check(&kernel, &arrays, &trees, &rows)?;
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
fn missing_values_go_where_each_node_sends_them() {
    let tree = |missing| Tree::Branch {
        mode: "BRANCH_LEQ",
        feature: 1,
        threshold: 0.5,
        missing,
        children: Box::new([leaf(1.0), leaf(10.0)]),
    };
    let rows = [0.5, 0.6, f32::NAN, 0.5, f32::NEG_INFINITY].map(|x| [f32::NAN, x]).concat();
    for (trees, at_nan) in [([false, true], 11.0), ([false, false], 20.0), ([true, true], 2.0)] {
        let ensemble = build(&Arrays::new(1, "SUM", &[], &trees.map(tree)));
        let kernels = kernels(&ensemble);
        assert!(kernels.len() >= 3);
        for kernel in kernels {
            // The same scratch over and over: nothing of the row before may remain.
            let mut scratch = kernel.scratch();
            for _ in 0..2 {
                let mut out = [0.0; 5];
                kernel.predict(&rows, 2, &mut out, &mut scratch);
                assert_eq!(out, [2.0, 20.0, at_nan, 2.0, 2.0], "{}", kernel.info().kernel);
            }
        }
    }
}

/// The kernel an ensemble gets, with the reason.
fn chosen(ensemble: Ensemble) -> (KernelKind, String) {
    let kernel = Kernel::undecided(ensemble).with(None).unwrap();
    (kernel.info().kernel, kernel.info().reason.clone())
}

fn has_instructions() -> bool {
    KernelKind::ALL[3..].iter().any(|kind| kind.unavailable().is_none())
}

#[test]
fn the_kernel_follows_from_the_shape_and_the_processor() {
    let trees = |n: i64| -> Vec<Tree> {
        (0..n).map(|feature| branch("BRANCH_LEQ", feature, 0.0, leaf(1.0), leaf(feature as f32))).collect()
    };
    let row: Vec<f32> = (0..256).map(|i| i as f32 - 128.0).collect();
    for (n, wanted, why) in [
        (64, None, "at most 2 leaves a tree"),
        (65, Some(KernelKind::Walk), "its features and thresholds take 65 slots, at most 64 fit"),
        (255, Some(KernelKind::Walk), "take 255 slots"),
        (256, Some(KernelKind::Reference), "more than 255 slots"),
    ] {
        let ensemble = build(&Arrays::new(1, "SUM", &[], &trees(n)));
        let (kind, reason) = chosen(ensemble.clone());
        if has_instructions() {
            assert_eq!(wanted.unwrap_or(kind), kind);
            assert!(reason.contains(why), "{reason}");
            assert!(wanted.is_some() || kind.instructions().is_some());
        }
        let wanted: f32 = (0..n).map(|i| if i <= 128 { 1.0 } else { i as f32 }).sum();
        for kernel in kernels(&ensemble) {
            assert_eq!(predict(&kernel, &row, 256), [wanted], "{}", kernel.info().kernel);
        }
    }
}

#[test]
fn every_number_of_thresholds_is_ranked() {
    // Around full blocks of 16 thresholds and full slots of 254. Feature 1 is ranked after feature 0, by
    // thresholds far below: what is read beyond the end of feature 0 would count.
    for n in [1, 15, 16, 17, 32, 239, 240, 241, 253, 254, 255, 270, 494, 495, 508, 509] {
        let stump = |feature, threshold| branch("BRANCH_LEQ", feature, threshold, leaf(1.0), leaf(0.0));
        let own = (0..n).map(|i| stump(0, i as f32));
        let trees: Vec<Tree> = own.chain((0..16).map(|i| stump(1, i as f32 - 1e6))).collect();
        let ensemble = build(&Arrays::new(1, "SUM", &[], &trees));
        let inputs = || (0..=2 * n + 1).map(|i| (i - 1) as f32 * 0.5);
        let rows: Vec<f32> = inputs().flat_map(|x| [x, 0.0]).collect();
        let wanted: Vec<f32> = inputs().map(|x| (0..n).filter(|i| x <= *i as f32).count() as f32).collect();
        let kernels = kernels(&ensemble);
        assert!(kernels.iter().any(|kernel| kernel.info().kernel == KernelKind::Quickscorer));
        for kernel in kernels {
            assert_eq!(predict(&kernel, &rows, 2), wanted, "{}, {n} thresholds", kernel.info().kernel);
        }
    }
}

/// A tree of so many leaves, each test on a threshold of its own.
fn comb(leaves: i64) -> Tree {
    (1..leaves).fold(leaf(0.5), |tree, i| branch("BRANCH_LEQ", 0, -i as f32, leaf(i as f32), tree))
}

#[test]
fn large_trees_are_walked() {
    let with = |leaves| build(&Arrays::new(1, "SUM", &[], &[comb(leaves)]));
    assert_eq!(chosen(with(65)).0, KernelKind::Walk);
    if has_instructions() {
        assert!(chosen(with(64)).0.instructions().is_some());
    }
    let error = Kernel::undecided(with(65)).with(Some(KernelKind::Quickscorer)).unwrap_err();
    assert_eq!(error, "kernel quickscorer does not fit: a tree has 65 leaves, at most 64 fit");
    // The largest that fits, and every leaf of it.
    let ensemble = with(64);
    let rows: Vec<f32> = (0..140).map(|i| -i as f32 + 0.5).collect();
    let all = kernels(&ensemble);
    assert!(all.iter().any(|kernel| kernel.info().kernel == KernelKind::Quickscorer));
    for kernel in &all {
        assert_eq!(predict(kernel, &rows, 1), predict(&all[0], &rows, 1), "{}", kernel.info().kernel);
    }
}

#[test]
fn one_large_tree_among_many_small_ones_is_walked() {
    let with = |stumps: i64| {
        let stump = |i: i64| branch("BRANCH_LEQ", 0, -i as f32, leaf(1.0), leaf(2.0));
        let trees: Vec<Tree> = (0..stumps).map(stump).chain([comb(64)]).collect();
        chosen(build(&Arrays::new(1, "SUM", &[], &trees)))
    };
    let (kind, reason) = with(1000);
    assert_eq!(kind, KernelKind::Walk);
    if has_instructions() {
        assert_eq!(reason, "the largest tree has 64 leaves, the average 2");
        assert!(with(3).0.instructions().is_some());
    }
}

#[test]
fn a_kernel_the_processor_lacks_is_refused() {
    let missing = KernelKind::ALL.into_iter().find(|kind| kind.unavailable().is_some()).unwrap();
    let error =
        Kernel::undecided(build(&Arrays::new(1, "SUM", &[], &[leaf(1.0)]))).with(Some(missing)).unwrap_err();
    assert!(error.starts_with(&format!("kernel {missing} does not fit: the processor has no")), "{error}");
}

#[test]
fn every_number_of_trees_fills_its_groups() {
    for n in (1..40).chain(60..70).chain(125..131) {
        let trees: Vec<Tree> = (0..n)
            .map(|i| {
                (0..i % 5).fold(leaf(1.0), |tree, level| {
                    branch("BRANCH_GT", level % FEATURES, 0.0, tree, leaf(100.0))
                })
            })
            .collect();
        let ensemble = build(&Arrays::new(1, "SUM", &[0.5], &trees));
        for kernel in kernels(&ensemble) {
            // Batches around the numbers of rows that are taken together.
            for rows in [1, 3, 4, 5, 33] {
                let out = predict(&kernel, &vec![1.0; FEATURES as usize * rows], FEATURES as usize);
                assert_eq!(out, vec![n as f32 + 0.5; rows], "{}", kernel.info().kernel);
            }
        }
    }
}

#[test]
fn each_tree_may_have_a_target_of_its_own() {
    // As of a model of three classes: more trees than are asked side by side, in turns for each target.
    let own = |tree: usize, weight: usize| Tree::Leaf(vec![(tree % 3, weight as f32)]);
    let trees: Vec<Tree> =
        (0..100).map(|i| branch("BRANCH_LEQ", 0, i as f32, own(i, 1), own(i, 1000 + i))).collect();
    let ensemble = build(&Arrays::new(3, "SUM", &[], &trees));
    let rows: Vec<f32> = (0..37).map(|row| row as f32 * 3.0 - 0.5).collect();
    let weight = |x: f32, tree: usize| if x <= tree as f32 { 1.0 } else { 1000.0 + tree as f32 };
    let sum = |x: f32, target: usize| (target..100).step_by(3).map(|tree| weight(x, tree)).sum::<f32>();
    let wanted: Vec<f32> = rows.iter().flat_map(|x| [0, 1, 2].map(|target| sum(*x, target))).collect();
    let kernels = kernels(&ensemble);
    assert!(kernels.len() >= 3);
    for kernel in kernels {
        assert_eq!(predict(&kernel, &rows, 1), wanted, "{}", kernel.info().kernel);
    }
}

#[test]
fn several_ensembles_share_the_ranks_of_a_row() {
    let tree = |feature, missing, low, high| Tree::Branch {
        mode: "BRANCH_LEQ",
        feature,
        threshold: 0.5,
        missing,
        children: Box::new([leaf(low), leaf(high)]),
    };
    let one = build(&Arrays::new(1, "SUM", &[], &[tree(0, false, 1.0, 2.0), tree(1, false, 10.0, 20.0)]));
    let two = build(&Arrays::new(1, "MAX", &[], &[tree(0, false, 3.0, 4.0), tree(1, true, 5.0, 1.0)]));
    let three = build(&Arrays::new(2, "SUM", &[7.0, 8.0], &[Tree::Leaf(vec![(0, 0.0), (1, 1.0)])]));
    let kernels =
        [one, two, three].map(|e| Kernel::undecided(e).with(Some(KernelKind::Quickscorer)).unwrap());
    let mut joint = Joint::new(&kernels.each_ref(), Some(KernelKind::Quickscorer)).unwrap();
    let rows = [0.0, 0.0, 1.0, 1.0, 1.0, f32::NAN, f32::NAN, 1.0, 0.0, 1.0];
    let mut out = [0.0; 20];
    joint.predict(&rows, 2, &mut out);
    // Feature 1 has a test that NaN passes and one that it fails; feature 0 has not.
    let wanted = [
        [11.0, 5.0, 7.0, 9.0],
        [22.0, 4.0, 7.0, 9.0],
        [22.0, 5.0, 7.0, 9.0],
        [22.0, 4.0, 7.0, 9.0],
        [21.0, 3.0, 7.0, 9.0],
    ];
    assert_eq!(out.as_chunks::<4>().0, wanted);
}

#[test]
fn a_shared_node_takes_the_reference_walk() {
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
    let kernel = Kernel::undecided(ensemble).with(None).unwrap();
    assert_eq!(kernel.info().kernel, KernelKind::Reference);
    assert_eq!(kernel.info().reason, "some node has two parents");
    let answers = predict(&kernel, &[0.0, 1.0, 1.5, 2.0, 3.0, f32::NAN], 1);
    assert_eq!(answers, [20.0, 10.0, 20.0, 10.0, 10.0, 20.0]);
}

#[test]
fn shared_nodes_are_not_copied_into_tables() {
    // Six tests and one leaf, to which 64 paths lead; beside a tree of 64 leaves there were room for copies.
    let mut arrays = Arrays::new(1, "SUM", &[], &[comb(64)]);
    for node in 0..6 {
        arrays.nodes.push([1, node, 0, node + 1, node + 1, 0]);
        arrays.modes.push("BRANCH_LEQ");
        arrays.values.push(node as f32);
    }
    arrays.nodes.push([1, 6, 0, 0, 0, 0]);
    arrays.modes.push("LEAF");
    arrays.values.push(0.0);
    arrays.targets.push([1, 6, 0]);
    arrays.weights.push(3.0);
    let ensemble = build(&arrays);
    assert!(ensemble.shared);
    for kind in [KernelKind::Quickscorer, KernelKind::Walk] {
        let error = Kernel::undecided(ensemble.clone()).with(Some(kind)).unwrap_err();
        assert_eq!(error, format!("kernel {kind} does not fit: some node has two parents"));
    }
    assert_eq!(chosen(ensemble).0, KernelKind::Reference);
}
