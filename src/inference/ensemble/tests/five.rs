//! Version 5 of the operator.

use super::super::super::limits::MAX_DEPTH;
use super::super::super::testing::{Five, MEMBER, branch, leaf};
use super::*;

/// A set test above a comparison.
fn five() -> Five {
    let below = branch("BRANCH_LT", 2, 0.5, leaf(2.0), leaf(3.0));
    Five::new(1, 1, &[branch(MEMBER, 1, 1.0, leaf(1.0), below)])
}

#[track_caller]
fn assert_refused(wanted: &str, spoil: impl FnOnce(&mut Five)) {
    let mut arrays = five();
    spoil(&mut arrays);
    let found = arrays.build().expect_err("must be refused").to_string();
    assert!(found.contains(wanted), "expected `{wanted}` in `{found}`");
}

#[test]
fn arrays_become_trees() {
    let ensemble = five().build().unwrap();
    assert_eq!(ensemble.sets, [Box::from([-1.5, 0.1, 1.0])]);
    assert_eq!((ensemble.n_targets, ensemble.aggregate), (1, Aggregate::Sum));
    assert_eq!((ensemble.min_features, ensemble.max_leaves, ensemble.max_depth()), (3, 3, 2));
    let Node::Branch { mode: Mode::Member(0), on_true: 1, on_false: 2, .. } = ensemble.nodes[0] else {
        panic!("{:?}", ensemble.nodes[0])
    };
    assert_eq!(ensemble.weights.iter().map(|w| w.value).collect::<Vec<_>>(), [1.0, 2.0, 3.0]);
}

#[test]
fn a_tree_may_be_a_leaf() {
    let ensemble = Five::new(2, 0, &[leaf(7.0), Tree::Leaf(vec![(1, 8.0)])]).build().unwrap();
    assert_eq!(ensemble.nodes, [Node::Leaf { first: 0, count: 1 }, Node::Leaf { first: 1, count: 1 }]);
    assert_eq!((ensemble.roots, ensemble.aggregate), (vec![0, 1], Aggregate::Average));
}

#[test]
fn trees_that_share_nodes_get_their_own() {
    let mut arrays = five();
    arrays.roots = vec![0, 1, 0];
    let ensemble = arrays.build().unwrap();
    assert_eq!((ensemble.roots, ensemble.nodes.len(), ensemble.shared), (vec![0, 5, 8], 13, false));
}

#[test]
fn sharing_cannot_grow_beyond_the_limit() {
    // 2^25 nodes, were every path written out.
    let mut arrays =
        Five::new(1, 1, &[(0..24).fold(leaf(1.0), |tree, _| branch("BRANCH_LT", 0, 0.0, tree, leaf(2.0)))]);
    for node in &mut arrays.nodes {
        (node[3], node[4]) = (node[1], node[2]);
    }
    let ensemble = arrays.build().unwrap();
    assert_eq!((ensemble.nodes.len(), ensemble.shared), (25, true));
    arrays.roots = vec![0; 50_000];
    let message = arrays.build().unwrap_err().to_string();
    assert!(message.contains("up to this tree there are more than 1048576 nodes"), "{message}");
}

#[test]
fn numbers_name_aggregates_and_transforms_as_onnx_runtime_reads_them() {
    use PostTransform::{Logistic, None, Probit, Softmax, SoftmaxZero};
    let build = |aggregate, post_transform| Five { aggregate, post_transform, ..five() }.build();
    let aggregates = [0, 1, 2, 3].map(|number| build(number, 0).unwrap().aggregate);
    assert_eq!(aggregates, [Aggregate::Average, Aggregate::Sum, Aggregate::Min, Aggregate::Max]);
    let transforms = [0, 1, 2, 3, 4].map(|number| build(1, number).unwrap().post_transform);
    assert_eq!(transforms, [None, Logistic, Softmax, SoftmaxZero, Probit]);
    let message = build(4, 5).unwrap_err().to_string();
    assert!(message.contains("aggregate_function: is 4, must be 0 (AVERAGE), 1 (SUM)"), "{message}");
    assert!(message.contains("post_transform: is 5, must be 0 to 4"), "{message}");
}

#[test]
fn lengths_must_agree() {
    assert_refused("nodes_modes: has 1 entries, nodes_featureids has 2", |a| a.modes.truncate(1));
    assert_refused("nodes_splits: has 3 entries", |a| a.splits.push(0.0));
    assert_refused("leaf_weights: has 2 entries, leaf_targetids has 3", |a| a.weights.truncate(2));
    assert_refused("tree_roots: has 0 entries", |a| a.roots.clear());
    assert_refused("nodes_featureids: has 0 entries, leaf_targetids 3", |a| a.nodes.clear());
    assert_refused("n_targets: is 0", |a| a.n_targets = 0);
}

#[test]
fn nodes_and_leaves_are_checked() {
    assert_refused("nodes_modes[1]: is 7, must be 0 (BRANCH_LEQ)", |a| a.modes[1] = 7);
    assert_refused("nodes_featureids[0]: is -1", |a| a.nodes[0][0] = -1);
    assert_refused("nodes_truenodeids[0]: is 3: there is no such leaf, they are 0 to 2", |a| {
        a.nodes[0][1] = 3;
    });
    assert_refused("nodes_falsenodeids[0]: is -1: there is no such node", |a| a.nodes[0][3] = -1);
    assert_refused("nodes_falseleafs[0]: is 2, must be 0 or 1", |a| a.nodes[0][4] = 2);
    assert_refused("nodes_missing_value_tracks_true[1]: is -1, must be 0 or 1", |a| a.nodes[1][5] = -1);
    assert_refused("leaf_targetids[2]: is 1, must be 0 to 0", |a| a.targets[2] = 1);
    assert_refused("leaf_weights[0]: is NaN, must be finite", |a| a.weights[0] = f32::NAN);
    assert_refused("tree_roots[0]: is 2, must be 0 to 1", |a| a.roots[0] = 2);
    assert_refused("nodes_truenodeids[0]: tree 0 has a cycle through this node", |a| {
        a.nodes[1][1..3].copy_from_slice(&[0, 0]);
    });
}

#[test]
fn sets_belong_to_the_membership_tests() {
    let found = "membership_values: holds 0 sets, nodes_modes has 1 BRANCH_MEMBER (6) nodes";
    assert_refused(found, |a| a.members.clear());
    assert_refused("holds 2 sets", |a| a.members.push(4.0));
    assert_refused("membership_values: set 1 is empty", |a| a.members.push(f32::NAN));
    // The last set needs no NaN at its end.
    let mut arrays = five();
    arrays.members.pop();
    assert_eq!(arrays.build().unwrap(), five().build().unwrap());
}

#[test]
fn depth_is_bounded() {
    let tree = (0..=MAX_DEPTH).fold(leaf(1.0), |tree, _| branch("BRANCH_LT", 0, 0.0, tree, leaf(2.0)));
    let message = Five::new(1, 1, &[tree]).build().unwrap_err().to_string();
    assert!(message.contains("tree_roots[0]: the tree is 1025 branches deep, at most 1024"), "{message}");
}
