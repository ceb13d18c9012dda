//! Every bound of the inference layer, with its reason.

/// Largest ONNX file, bytes. The reference bundle is 1.6 MB in all; 32 MiB leaves room for forests
/// twenty times as large and keeps the decoded form within the memory of a 1 GB gateway.
pub const MAX_MODEL_BYTES: usize = 32 << 20;

/// Most protobuf messages in a file. A decoded message takes hundreds of bytes where the file may
/// spend two, so a small file could otherwise ask for gigabytes. Real regressors have some hundreds.
pub const MAX_MESSAGES: usize = 1 << 15;

/// Most strings and byte fields in a file: one mode name for each of [`MAX_NODES`], and some.
pub const MAX_FIELDS: usize = MAX_NODES + (1 << 16);

/// Most operators in a graph, and most inputs. A pipeline of scaler, network and reshapes has about twenty; exporters of
/// bins and polynomials write some for each column, 368 for bins of 52 features. A thousand load in a third of a second.
pub const MAX_OPERATORS: usize = 1024;

/// Most attributes of an operator; a tree ensemble has about twenty. Each is compared with those before it.
pub const MAX_ATTRIBUTES: usize = 64;

/// Most trees in an ensemble. Published gradient-boosting models stay below a few thousand.
pub const MAX_TREES: usize = 1 << 16;

/// Most nodes in an ensemble, leaves included: 8 MB of tables for the walk; up to 45 MB for the quickscorer, which
/// lays out each of [`MAX_TREES`] like the largest, of 64 leaves. It also bounds the time of one
/// prediction, since no walk visits a node twice: a few milliseconds at worst.
pub const MAX_NODES: usize = 1 << 20;

/// Most leaf weights in an ensemble: every node a leaf with four targets.
pub const MAX_WEIGHTS: usize = 4 * MAX_NODES;

/// Deepest path from a root to a leaf. Trainers stay below 64; chains of equality tests that stand
/// for categories can reach some hundreds.
pub const MAX_DEPTH: usize = 1024;

/// Most outputs of a model. A bundle has three targets; a forest that predicts a day by the minute
/// would need more, and would be no daemon's hot path.
pub const MAX_OUTPUTS: usize = 256;

/// Most input features of a model. The reference bundle has 52.
pub const MAX_FEATURES: usize = 4096;

/// Most axes of a tensor. Networks on feature vectors use two; broadcasting helpers use up to four.
pub const MAX_RANK: usize = 8;

/// Most elements of one intermediate tensor for a single row. Broadcasting can multiply sizes, so a
/// small file could otherwise ask for terabytes; dense layers of regressors have up to some thousands.
pub const MAX_ROW_ELEMENTS: i64 = 1 << 16;

/// Rows an operator plan is run on at once: enough to amortise the cost of a run, few enough that its
/// intermediate tensors stay small whatever the caller's batch is.
pub const PLAN_BATCH_ROWS: usize = 256;

/// Problems described in full before the rest is only counted: a screenful.
pub const MAX_PROBLEMS: usize = 16;
