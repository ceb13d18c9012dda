//! From nodes in any order to the table the kernels walk: each tree's nodes together, its root first,
//! nothing that no row can reach.

use super::super::limits::{MAX_DEPTH, MAX_NODES};
use super::{Aggregate, Classifier, Ensemble, Node, Number, PostTransform, Weight};

/// Nodes whose children are indices in range, in any order, some perhaps unreachable.
pub(super) struct Draft<T> {
    pub(super) nodes: Vec<Node<T>>,
    pub(super) weights: Vec<Weight<T>>,
    pub(super) sets: Vec<Box<[T]>>,
    pub(super) roots: Vec<u32>,
}

/// What applies to the ensemble as a whole.
pub(super) struct Whole<T> {
    pub(super) n_targets: usize,
    pub(super) aggregate: Aggregate,
    pub(super) base_values: Vec<T>,
    pub(super) post_transform: PostTransform,
    pub(super) classifier: Option<Classifier>,
}

/// Why a tree cannot be laid out.
pub(super) enum Fault {
    /// The node of this index is its own ancestor.
    Cycle(u32),
    /// The longest path has this many branches.
    Depth(u32),
    /// With this tree there would be more than [`MAX_NODES`]: nodes that several trees share are
    /// copied for each.
    Size,
}

/// The nodes below the roots, laid out.
pub(super) struct Laid<T> {
    nodes: Vec<Node<T>>,
    weights: Vec<Weight<T>>,
    roots: Vec<u32>,
    shared: bool,
    depths: Vec<u32>,
    max_leaves: usize,
    /// For each node of the draft, whether some root reaches it.
    pub(super) reached: Vec<bool>,
}

impl<T: Number> Draft<T> {
    /// Lays out the trees; a tree with a fault is left out and reported by its number.
    pub(super) fn lay_out(&self, mut fault: impl FnMut(usize, &Fault)) -> Laid<T> {
        let mut laid = Laid {
            nodes: Vec::with_capacity(self.nodes.len()),
            weights: Vec::with_capacity(self.weights.len()),
            roots: Vec::with_capacity(self.roots.len()),
            shared: false,
            depths: Vec::with_capacity(self.roots.len()),
            max_leaves: 0,
            reached: vec![false; self.nodes.len()],
        };
        let mut heights = vec![Height::Unseen; self.nodes.len()];
        let mut places = vec![Place::default(); self.nodes.len()];
        for (tree, root) in self.roots.iter().enumerate() {
            match height(&self.nodes, *root, &mut heights) {
                Err(at) => fault(tree, &Fault::Cycle(at)),
                Ok(depth) if depth as usize > MAX_DEPTH => fault(tree, &Fault::Depth(depth)),
                Ok(depth) => {
                    if !laid.copy(self, *root, tree as u32, &mut places) {
                        fault(tree, &Fault::Size);
                        break;
                    }
                    laid.depths.push(depth);
                }
            }
        }
        for (reached, height) in laid.reached.iter_mut().zip(&heights) {
            *reached = *height != Height::Unseen;
        }
        laid
    }
}

/// Where a node of the draft stands in the table, for the last tree that reached it.
#[derive(Clone, Copy)]
struct Place {
    tree: u32,
    at: u32,
}

impl Default for Place {
    fn default() -> Place {
        Place { tree: u32::MAX, at: 0 }
    }
}

impl<T: Number> Laid<T> {
    /// Copies one tree in preorder, the true child first. Tells whether it fits the limits.
    fn copy(&mut self, draft: &Draft<T>, root: u32, tree: u32, places: &mut [Place]) -> bool {
        self.roots.push(self.nodes.len() as u32);
        let mut leaves = 0;
        // (node of the draft, the node of the table whose child it is, whether its true child)
        let mut stack: Vec<(u32, Option<(u32, bool)>)> = vec![(root, None)];
        while let Some((source, parent)) = stack.pop() {
            let (Some(node), Some(place)) =
                (draft.nodes.get(source as usize), places.get_mut(source as usize))
            else {
                continue;
            };
            let seen = place.tree == tree;
            self.shared |= seen;
            if !seen {
                *place = Place { tree, at: self.nodes.len() as u32 };
            }
            let at = place.at;
            if let Some((parent, is_true)) = parent
                && let Some(Node::Branch { on_true, on_false, .. }) = self.nodes.get_mut(parent as usize)
            {
                *(if is_true { on_true } else { on_false }) = at;
            }
            if seen {
                continue;
            }
            if self.nodes.len() == MAX_NODES {
                return false;
            }
            match *node {
                Node::Leaf { first, count } => {
                    leaves += 1;
                    let own = draft.weights.get(first as usize..(first + count) as usize);
                    let first = self.weights.len() as u32;
                    self.weights.extend_from_slice(own.unwrap_or_default());
                    self.nodes.push(Node::Leaf { first, count });
                }
                Node::Branch { on_true, on_false, .. } => {
                    self.nodes.push(*node);
                    stack.push((on_false, Some((at, false))));
                    stack.push((on_true, Some((at, true))));
                }
            }
        }
        self.max_leaves = self.max_leaves.max(leaves);
        true
    }

    /// For each target, whether every row meets a weight for it: some tree has one in each leaf.
    pub(super) fn always_scored(&self, n_targets: usize) -> Vec<bool> {
        let mut always = vec![false; n_targets];
        let ends = self.roots.iter().skip(1).copied().chain([self.nodes.len() as u32]);
        for (start, end) in self.roots.iter().zip(ends) {
            let nodes = self.nodes.get(*start as usize..end as usize).unwrap_or_default();
            let mut leaves = 0_u32;
            // For each target, the leaves of this tree that hold it, and the last of them.
            let mut held = vec![(0_u32, u32::MAX); n_targets];
            for node in nodes {
                let Node::Leaf { first, count } = *node else { continue };
                for weight in self.weights.get(first as usize..(first + count) as usize).unwrap_or_default() {
                    if let Some((holds, last)) = held.get_mut(weight.target as usize)
                        && *last != leaves
                    {
                        (*holds, *last) = (*holds + 1, leaves);
                    }
                }
                leaves += 1;
            }
            for (always, (holds, _)) in always.iter_mut().zip(&held) {
                *always |= *holds == leaves;
            }
        }
        always
    }

    pub(super) fn ensemble(self, sets: Vec<Box<[T]>>, whole: Whole<T>) -> Ensemble<T> {
        let features = self.nodes.iter().map(|node| match node {
            Node::Branch { feature, .. } => *feature as usize + 1,
            Node::Leaf { .. } => 0,
        });
        Ensemble {
            min_features: features.max().unwrap_or(0),
            nodes: self.nodes,
            roots: self.roots,
            weights: self.weights,
            sets,
            n_targets: whole.n_targets,
            aggregate: whole.aggregate,
            base_values: whole.base_values,
            post_transform: whole.post_transform,
            classifier: whole.classifier,
            shared: self.shared,
            depths: self.depths,
            max_leaves: self.max_leaves,
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Height {
    Unseen,
    /// On the path that is being walked: meeting it again is a cycle.
    Open,
    /// Branches on the longest path below.
    Known(u32),
}

/// The height of a tree, or the index of a node on a cycle. Depth-first with an explicit stack: a file
/// must not be able to exhaust the thread's stack.
fn height<T>(nodes: &[Node<T>], root: u32, heights: &mut [Height]) -> Result<u32, u32> {
    let children = |i: u32| match nodes.get(i as usize) {
        Some(Node::Branch { on_true, on_false, .. }) => Some([*on_true, *on_false]),
        _ => None,
    };
    let known = |heights: &[Height], i: u32| match heights.get(i as usize) {
        Some(Height::Known(height)) => Some(*height),
        _ => None,
    };
    // (node, its children already visited)
    let mut stack = vec![(root, false)];
    while let Some((i, done)) = stack.pop() {
        let below = children(i);
        let height = below.map(|below| {
            let below = below.map(|child| known(heights, child).unwrap_or(0));
            1 + below.into_iter().max().unwrap_or(0)
        });
        let Some(slot) = heights.get_mut(i as usize) else { continue };
        match (*slot, below) {
            (Height::Known(_), _) => {}
            (Height::Open, Some(_)) if done => *slot = Height::Known(height.unwrap_or(0)),
            (Height::Open, _) => return Err(i),
            (Height::Unseen, None) => *slot = Height::Known(0),
            (Height::Unseen, Some(below)) => {
                *slot = Height::Open;
                stack.push((i, true));
                stack.extend(below.map(|child| (child, false)));
            }
        }
    }
    known(heights, root).ok_or(root)
}
