//! Every ordered comparison in one form.

use super::super::ensemble::{Mode, Node};

/// A branch as `x <= threshold`: to `low` where that holds, to `high` where it does not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Condition {
    pub(super) feature: u32,
    /// Never -0.0, so that equal thresholds have equal bits.
    pub(super) threshold: f32,
    /// NaN goes to `low`.
    pub(super) nan_is_low: bool,
    pub(super) low: u32,
    pub(super) high: u32,
}

impl Condition {
    /// The condition of a branch; `None` for leaves and for branches that have no such form: tests of
    /// equality, and strict tests below the very end of the number line.
    pub(super) fn of(node: &Node) -> Option<Condition> {
        let Node::Branch { mode, feature, threshold, missing_true, on_true, on_false } = *node else {
            return None;
        };
        // There is no float between a number and the next one below it, so `x < t` is `x <= below(t)`.
        let below = (threshold != f32::NEG_INFINITY).then(|| threshold.next_down());
        let (threshold, swap) = match mode {
            Mode::Leq => (threshold, false),
            Mode::Lt => (below?, false),
            Mode::Gt => (threshold, true),
            Mode::Gte => (below?, true),
            Mode::Eq | Mode::Neq | Mode::Member(_) => return None,
        };
        let (low, high) = if swap { (on_false, on_true) } else { (on_true, on_false) };
        // Adding zero makes a positive zero of a negative one and leaves all else as it is.
        Some(Condition { feature, threshold: threshold + 0.0, nan_is_low: missing_true != swap, low, high })
    }
}
