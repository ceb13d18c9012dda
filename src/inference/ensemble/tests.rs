mod five;

use proptest::prelude::*;

use super::super::error::Problems;
use super::super::limits::{MAX_DEPTH, MAX_FEATURES, MAX_OUTPUTS};
use super::super::testing::{Arrays, MODES, Tree, branch, ensemble, leaf};
use super::*;

fn build(arrays: &Arrays) -> Result<Ensemble, Problems> {
    arrays.build()
}

fn stump() -> Arrays {
    Arrays::new(1, "SUM", &[], &[branch("BRANCH_LEQ", 0, 0.5, leaf(1.0), leaf(2.0))])
}

/// The places and reasons of a refusal, after `spoil` has done its worst.
#[track_caller]
fn refused(spoil: impl FnOnce(&mut Arrays)) -> String {
    let mut arrays = stump();
    spoil(&mut arrays);
    build(&arrays).expect_err("must be refused").to_string()
}

#[track_caller]
fn assert_refused(wanted: &str, spoil: impl FnOnce(&mut Arrays)) {
    let found = refused(spoil);
    assert!(found.contains(wanted), "expected `{wanted}` in `{found}`");
}

#[test]
fn arrays_become_a_tree() {
    let ensemble = build(&stump()).unwrap();
    assert_eq!(ensemble.roots, [0]);
    assert_eq!(ensemble.depths, [1]);
    assert_eq!((ensemble.max_leaves, ensemble.min_features, ensemble.shared), (2, 1, false));
    assert_eq!(
        ensemble.nodes[0],
        Node::Branch {
            mode: Mode::Leq,
            feature: 0,
            threshold: 0.5,
            missing_true: false,
            on_true: 1,
            on_false: 2
        }
    );
    assert_eq!(ensemble.weights.iter().map(|w| w.value).collect::<Vec<_>>(), [1.0, 2.0]);
}

#[test]
fn ids_may_be_sparse_and_trees_in_any_order() {
    let mut arrays = stump();
    arrays.nodes =
        vec![[9, 500, 3, 70_000, 2, 0], [9, 2, 0, 0, 0, 0], [9, 70_000, 0, 0, 0, 0], [4, 8, 0, 0, 0, 0]];
    arrays.modes = vec!["BRANCH_GT", "LEAF", "LEAF", "LEAF"];
    arrays.values = vec![0.5, 0.0, 0.0, 0.0];
    arrays.targets = vec![[4, 8, 0], [9, 70_000, 0], [9, 2, 0]];
    arrays.weights = vec![1.0, 2.0, 3.0];
    let ensemble = build(&arrays).unwrap();
    assert_eq!(ensemble.roots, [0, 3]);
    assert_eq!(ensemble.min_features, 4);
    let Node::Branch { on_true, on_false, .. } = ensemble.nodes[0] else { panic!() };
    // True children first, wherever the file put them; weights in the order of their leaves.
    assert_eq!((on_true, on_false), (1, 2));
    assert_eq!(ensemble.weights.iter().map(|w| w.value).collect::<Vec<_>>(), [2.0, 3.0, 1.0]);
}

#[test]
fn scalars_are_checked_together() {
    let message = refused(|a| {
        a.n_targets = 0;
        a.aggregate = "MEDIAN".to_owned();
        a.post_transform = "LOGIT".to_owned();
        a.base_values = vec![1.0, f32::NAN];
    });
    for part in [
        "n_targets: is 0, must be 1 to 256",
        "aggregate_function: is `MEDIAN`",
        "post_transform: is `LOGIT`, must be NONE, LOGISTIC",
        "base_values: has 2 values for 0 targets",
        "base_values[1]: is not finite",
    ] {
        assert!(message.contains(part), "expected `{part}` in `{message}`");
    }
    assert_refused("n_targets: is 257", |a| a.n_targets = MAX_OUTPUTS as i64 + 1);
    assert_refused("n_targets: is -9223372036854775808", |a| a.n_targets = i64::MIN);
}

#[test]
fn lengths_must_agree() {
    assert_refused("nodes_modes: has 2 entries, nodes_treeids has 3", |a| a.modes.truncate(2));
    assert_refused("nodes_values: has 2 entries", |a| a.values.truncate(2));
    assert_refused("target_ids: has 1 entries, target_weights has 2", |a| a.targets.truncate(1));
    assert_refused("target_weights: has 0 entries", |a| {
        a.targets.clear();
        a.weights.clear();
    });
    assert_refused("nodes_treeids: has 0 entries", |a| *a = Arrays::new(1, "SUM", &[], &[]));
}

#[test]
fn nodes_are_checked() {
    assert_refused("nodes_modes[0]: is `branch_leq`, must be BRANCH_LEQ", |a| a.modes[0] = "branch_leq");
    assert_refused("nodes_modes[2]: is `BRANCH_MEMBER`", |a| a.modes[2] = "BRANCH_MEMBER");
    assert_refused("nodes_featureids[0]: is -1", |a| a.nodes[0][2] = -1);
    assert_refused("nodes_featureids[0]: is 4096", |a| a.nodes[0][2] = MAX_FEATURES as i64);
    assert_refused("nodes_nodeids[1]: is -7, must not be negative", |a| a.nodes[1][1] = -7);
    assert_refused("nodes_missing_value_tracks_true[1]: is 2, must be 0 or 1", |a| a.nodes[1][5] = 2);
    assert_refused("nodes_treeids[2]: is -1, must not be negative", |a| a.nodes[2][0] = -1);
    // A leaf's feature and value mean nothing.
    let mut arrays = stump();
    arrays.nodes[1][2] = -5;
    arrays.values[1] = f32::NAN;
    assert!(build(&arrays).is_ok());
}

#[test]
fn trees_are_checked() {
    assert_refused("nodes_nodeids[2]: repeats node 1 of tree 0", |a| a.nodes[2][1] = 1);
    assert_refused("nodes_truenodeids[0]: is 9: tree 0 has no such node", |a| a.nodes[0][3] = 9);
    assert_refused("nodes_falsenodeids[0]: is -1: tree 0", |a| a.nodes[0][4] = -1);
    assert_refused("nodes_nodeids[0]: is its own ancestor: tree 0 has a cycle", |a| a.nodes[0][3] = 0);
    assert_refused("list each tree's nodes together", |a| {
        a.nodes.extend([[1, 0, 0, 0, 0, 0], [0, 7, 0, 0, 0, 0]]);
        a.modes.extend(["LEAF", "LEAF"]);
        a.values.extend([0.0, 0.0]);
    });
    // A cycle that the root does not reach is unreachable; one further down is a cycle.
    assert_refused("has a cycle", |a| {
        a.modes[2] = "BRANCH_LEQ";
        a.nodes[2][3] = 1;
        a.nodes[2][4] = 0;
    });
}

#[test]
fn nodes_that_pruning_has_cut_off_are_left_out() {
    let mut arrays = stump();
    arrays.nodes.extend([[0, 3, 7, 4, 1, 0], [0, 4, 0, 0, 0, 0]]);
    arrays.modes.extend(["BRANCH_LEQ", "LEAF"]);
    arrays.values.extend([0.0, 0.0]);
    arrays.targets.push([0, 4, 0]);
    arrays.weights.push(5.0);
    assert_eq!(build(&arrays).unwrap(), build(&stump()).unwrap());
}

#[test]
fn the_first_node_of_a_tree_is_its_root() {
    assert_refused("nodes_nodeids[2]: cannot be reached from node 0, the first of tree 0; list", |a| {
        a.nodes.rotate_left(1);
        a.modes.rotate_left(1);
    });
    // Also where the first node is a branch below the root.
    assert_refused("nodes_nodeids[1]: cannot be reached from node 0", |a| {
        *a = Arrays::new(
            1,
            "SUM",
            &[],
            &[branch("BRANCH_GT", 0, 0.0, branch("BRANCH_LT", 1, 0.0, leaf(1.0), leaf(2.0)), leaf(3.0))],
        );
        a.nodes.swap(0, 1);
    });
}

#[test]
fn a_comparison_with_nan_holds_for_no_number_but_unequal() {
    for (mode, missing, wanted) in [
        ("BRANCH_LEQ", 0, (Mode::Lt, false)),
        ("BRANCH_GTE", 1, (Mode::Lt, true)),
        ("BRANCH_EQ", 1, (Mode::Lt, true)),
        ("BRANCH_NEQ", 0, (Mode::Gte, true)),
    ] {
        let mut arrays = stump();
        (arrays.modes[0], arrays.values[0], arrays.nodes[0][5]) = (mode, f32::NAN, missing);
        let Node::Branch { mode, threshold, missing_true, .. } = build(&arrays).unwrap().nodes[0] else {
            panic!()
        };
        assert_eq!(((mode, missing_true), threshold), (wanted, f32::NEG_INFINITY));
    }
}

#[test]
fn a_leaf_without_a_weight_counts_as_zero_where_that_is_what_it_means() {
    let without = |aggregate: &str, value| {
        let mut arrays = stump();
        arrays.targets.pop();
        arrays.weights.pop();
        arrays.values[2] = value;
        arrays.aggregate = aggregate.to_owned();
        build(&arrays)
    };
    for aggregate in ["SUM", "AVERAGE"] {
        assert_eq!(without(aggregate, 0.0).unwrap().weights[1], Weight { target: 0, value: 0.0 });
    }
    for refused in [without("SUM", 7.0), without("MIN", 0.0), without("MAX", 0.0)] {
        assert!(refused.unwrap_err().to_string().contains("nodes_nodeids[2]: is a leaf without a weight"));
    }
}

#[test]
fn base_values_are_for_targets_that_every_row_meets() {
    let trees = |low: Tree| [branch("BRANCH_LEQ", 0, 0.5, low, Tree::Leaf(vec![(0, 1.0), (1, 2.0)]))];
    let base = |low, base: [f32; 2]| build(&Arrays::new(2, "SUM", &base, &trees(low)));
    assert!(base(Tree::Leaf(vec![(1, 0.0), (0, 1.0)]), [1.0, 2.0]).is_ok());
    assert!(base(leaf(1.0), [1.0, 0.0]).is_ok());
    let message = base(leaf(1.0), [1.0, 2.0]).unwrap_err().to_string();
    assert!(message.contains("base_values[1]: is 2, but some rows meet no weight for target 1"), "{message}");
}

#[test]
fn children_belong_to_their_own_tree() {
    let tree = || branch("BRANCH_LEQ", 0, 0.5, leaf(1.0), leaf(2.0));
    let mut arrays = Arrays::new(1, "SUM", &[], &[tree(), leaf(3.0)]);
    arrays.nodes[3][1] = 77;
    arrays.targets[2][1] = 77;
    assert!(build(&arrays).is_ok());
    arrays.nodes[0][3] = 77;
    assert!(build(&arrays).unwrap_err().to_string().contains("is 77: tree 0 has no such node"));
}

#[test]
fn depth_is_bounded_without_recursion() {
    let chain = |depth: usize| {
        let mut arrays = Arrays::new(1, "SUM", &[], &[]);
        for level in 0..depth as i64 {
            let next = 2 * level;
            arrays.nodes.extend([[0, next, 0, next + 1, next + 2, 0], [0, next + 1, 0, 0, 0, 0]]);
            arrays.modes.extend(["BRANCH_LEQ", "LEAF"]);
            arrays.targets.push([0, next + 1, 0]);
        }
        arrays.nodes.push([0, 2 * depth as i64, 0, 0, 0, 0]);
        arrays.modes.push("LEAF");
        arrays.targets.push([0, 2 * depth as i64, 0]);
        arrays.values = vec![0.0; arrays.nodes.len()];
        arrays.weights = vec![1.0; arrays.targets.len()];
        build(&arrays)
    };
    assert_eq!(chain(MAX_DEPTH).unwrap().max_depth() as usize, MAX_DEPTH);
    let message = chain(100_000).unwrap_err().to_string();
    assert!(message.contains("tree 0 is 100000 branches deep, at most 1024"), "{message}");
}

#[test]
fn weights_are_checked() {
    assert_refused("target_treeids[1]: is 5: there is no such tree", |a| a.targets[1][0] = 5);
    assert_refused("target_nodeids[0]: is 8: tree 0 has no such node", |a| a.targets[0][1] = 8);
    assert_refused("target_ids[0]: is 1, must be 0 to 0", |a| a.targets[0][2] = 1);
    assert_refused("target_ids[0]: is -1, must be 0 to 0", |a| a.targets[0][2] = -1);
    assert_refused("target_weights[1]: is inf, must be finite", |a| a.weights[1] = f32::INFINITY);
    assert_refused("nodes_nodeids[1]: is a leaf with 2 weights", |a| a.targets[1][1] = 1);
    // Weights on inner nodes are ignored, as other runtimes do.
    let mut arrays = stump();
    arrays.targets.push([0, 0, 0]);
    arrays.weights.push(1000.0);
    assert_eq!(build(&arrays).unwrap().weights.len(), 2);
}

#[test]
fn with_several_targets_a_leaf_may_have_any_number_of_weights() {
    let leaves = [Tree::Leaf(vec![(1, 1.0), (0, 2.0), (1, 4.0)]), Tree::Leaf(vec![])];
    let tree = Tree::Branch {
        mode: "BRANCH_LT",
        feature: 2,
        threshold: 0.0,
        missing: true,
        children: Box::new(leaves),
    };
    let ensemble = build(&Arrays::new(2, "AVERAGE", &[], &[tree])).unwrap();
    assert_eq!(ensemble.nodes[1], Node::Leaf { first: 0, count: 3 });
    assert_eq!(ensemble.nodes[2], Node::Leaf { first: 3, count: 0 });
}

#[test]
fn equality_chains_with_mixed_missing_flags_are_refused() {
    let spoil = |a: &mut Arrays| {
        a.nodes = vec![[0, 0, 0, 2, 1, 0], [0, 1, 0, 2, 3, 1], [0, 2, 0, 0, 0, 0], [0, 3, 0, 0, 0, 0]];
        a.modes = vec!["BRANCH_EQ", "BRANCH_EQ", "LEAF", "LEAF"];
        a.values = vec![1.0, 2.0, 0.0, 0.0];
        a.targets = vec![[0, 2, 0], [0, 3, 0]];
    };
    assert_refused("nodes_missing_value_tracks_true[0]: differs from the next BRANCH_EQ", spoil);
}

#[test]
fn a_flood_of_problems_is_counted() {
    let trees: Vec<Tree> = (0..500).map(|_| branch("BRANCH_LEQ", 0, 0.0, leaf(1.0), leaf(2.0))).collect();
    let mut arrays = Arrays::new(1, "SUM", &[], &trees);
    arrays.nodes.iter_mut().for_each(|node| node[3] = 9);
    let problems = build(&arrays).unwrap_err();
    assert_eq!((problems.listed().len(), problems.more()), (16, 484));
    assert!(problems.to_string().ends_with("and 484 more"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn neither_order_nor_names_of_nodes_matter((arrays, _) in ensemble(&MODES), seed in any::<u64>()) {
        let mut shuffled = arrays.clone();
        let mut state = seed | 1;
        let mut random = move |n: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % n
        };
        // Below the root of each tree, any two may change places.
        for at in 0..shuffled.nodes.len() {
            let other = random(shuffled.nodes.len());
            let [a, b] = [at, other].map(|i| shuffled.nodes[i]);
            if a[0] == b[0] && a[1] != 0 && b[1] != 0 {
                shuffled.nodes.swap(at, other);
                shuffled.modes.swap(at, other);
                shuffled.values.swap(at, other);
            }
        }
        for node in &mut shuffled.nodes {
            for id in [1, 3, 4] {
                node[id] = 1_000_000 - 7 * node[id];
            }
            node[0] = 50_000 - node[0];
        }
        for target in &mut shuffled.targets {
            (target[0], target[1]) = (50_000 - target[0], 1_000_000 - 7 * target[1]);
        }
        prop_assert_eq!(build(&shuffled).unwrap(), build(&arrays).unwrap());
    }
}

/// A classifier of one stump whose leaves hold these weights.
fn classifier(classes: i64, low: &[(usize, f32)], high: &[(usize, f32)]) -> Arrays {
    let tree = branch("BRANCH_LEQ", 0, 0.5, Tree::Leaf(low.to_vec()), Tree::Leaf(high.to_vec()));
    Arrays { kind: Kind::Classifier, n_targets: classes, ..Arrays::new(1, "SUM", &[], &[tree]) }
}

#[test]
fn classifiers_of_two_classes_may_have_one_score() {
    let kind = |arrays: Arrays| build(&arrays).unwrap().classifier;
    let binary = |positive| Some(Classifier::Binary { weights_are_all_positive: positive });
    assert_eq!(kind(classifier(2, &[(0, 0.0)], &[(0, 0.7)])), binary(true));
    assert_eq!(kind(classifier(2, &[(0, -0.1)], &[(0, 0.7)])), binary(false));
    assert_eq!(kind(classifier(2, &[(1, 0.2)], &[(1, 0.7)])), Some(Classifier::PerClass));
    assert_eq!(kind(classifier(2, &[(0, 0.2), (1, 0.8)], &[(1, 0.7)])), Some(Classifier::PerClass));
    assert_eq!(kind(classifier(3, &[(0, 0.2)], &[(1, 0.7)])), Some(Classifier::PerClass));
    assert_eq!(kind(classifier(1, &[(0, 0.2)], &[(0, 0.7)])), Some(Classifier::PerClass));
}

#[test]
fn classifiers_that_mean_different_things_by_row_are_refused() {
    let refused = |mut arrays: Arrays, base: &[f32], transform: &str| {
        arrays.base_values = base.to_vec();
        arrays.post_transform = transform.to_owned();
        build(&arrays).expect_err("must be refused").to_string()
    };
    let message = refused(classifier(2, &[(0, 1.0)], &[(1, 1.0)]), &[], "NONE");
    assert!(message.contains("class_ids: holds class 1, but some rows meet no weight for it"), "{message}");
    let message = refused(classifier(2, &[(1, 1.0)], &[(1, 1.0)]), &[0.5], "NONE");
    assert!(
        message.contains("base_values: has a value for class 0, which some rows meet no weight"),
        "{message}"
    );
    let message = refused(classifier(2, &[(0, 1.0)], &[(0, 1.0)]), &[0.5, 0.5], "PROBIT");
    assert!(message.contains("base_values: has 2 values for two classes"), "{message}");
    assert!(message.contains("post_transform: is PROBIT, which is not defined for two classes"), "{message}");
    let message = refused(classifier(3, &[(0, 1.0)], &[(5, 1.0)]), &[], "NONE");
    assert!(message.contains("class_ids[1]: is 5, must be 0 to 2"), "{message}");
}
