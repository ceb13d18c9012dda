//! What a loaded model is made of, for `cooltwin check`, logs and the health document.

use serde::Serialize;

use super::kernel::KernelKind;

/// Description of a loaded model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelInfo {
    /// Name the caller gave the model.
    pub name: String,
    /// Program that wrote the file, with its version; empty where the file does not say.
    pub producer: String,
    /// Operator sets the file asks for: (domain, version), the default domain as `ai.onnx`.
    pub opsets: Vec<(String, i64)>,
    /// Features of a row.
    pub features: usize,
    /// Outputs of a row.
    pub outputs: usize,
    /// Operators of the graph, in the order they run.
    pub operators: Vec<String>,
    /// The tree ensembles among them.
    pub ensembles: Vec<EnsembleInfo>,
    /// How predictions are made.
    pub path: Path,
}

/// How a model's predictions are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Path {
    /// The model is one tree ensemble; its kernel is called directly.
    Kernel,
    /// The operators run as a tract plan.
    Plan,
}

/// Size and kind of a tree ensemble.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnsembleInfo {
    /// Number of trees.
    pub trees: usize,
    /// Number of nodes, leaves included.
    pub nodes: usize,
    /// Number of leaves.
    pub leaves: usize,
    /// Most leaves of one tree.
    pub max_leaves: usize,
    /// Branches on the longest path.
    pub max_depth: usize,
    /// Number of targets.
    pub targets: usize,
    /// SUM, AVERAGE, MIN or MAX.
    pub aggregate: &'static str,
    /// The kernel that evaluates it.
    pub kernel: KernelKind,
    /// Why this kernel.
    pub reason: String,
    /// Bytes of the kernel's tables, which a prediction reads much of; the ranking that several ensembles share is not
    /// counted.
    pub table_bytes: usize,
}
