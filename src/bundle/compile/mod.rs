//! Expressions to a [`Program`]: resolves names, places windows on the grid, shares equal sub-expressions.

mod calls;

use std::collections::HashMap;
use std::time::Duration;

use super::expression::{self, BinaryOp, ExpressionError, Node, NodeKind};
use super::program::{FeatureFacts, Function, Op, Program, Register};
use crate::domain::ZoneSpec;

/// Most instructions of a program. The reference bundle has about 200; registers are numbered in 16 bits.
pub const MAX_INSTRUCTIONS: usize = 16_384;
/// Most samples a window may reach back: a day at a step of 30 s. Times signals, it bounds the memory of a unit.
pub const MAX_WINDOW_SAMPLES: u32 = 2_880;
/// Most samples kept of one unit, all signals together: 1 MiB, so that 256 units fit into a small computer.
/// The reference bundle keeps about 300.
pub const MAX_HISTORY_SAMPLES: usize = 131_072;
/// Deepest tree that is followed, features that windows refer to included: bounds the compiler's recursion.
const MAX_TREE_DEPTH: usize = 256;

/// One feature as the manifest declares it.
#[derive(Debug, Clone)]
pub struct FeatureSource<'a> {
    /// Name.
    pub name: &'a str,
    /// Expression; `None` for the raw sensor of the feature's name.
    pub expr: Option<&'a str>,
    /// Value in place of a missing one.
    pub missing: Option<f64>,
}

/// An error in one feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureError {
    /// The feature.
    pub feature: String,
    /// Column in the expression, from 1; `None` when the feature has no expression.
    pub column: Option<usize>,
    /// What is wrong and what was expected.
    pub message: String,
}

/// Compiles the features of a bundle.
///
/// # Errors
/// Everything that is wrong with any of them.
pub fn compile(
    sensors: &[&str],
    features: &[FeatureSource<'_>],
    step: Duration,
    zone: ZoneSpec,
) -> Result<Program, Vec<FeatureError>> {
    let (trees, mut errors) = parse_all(sensors, features);
    let mut compiler = Compiler {
        sensors,
        names: features.iter().map(|feature| feature.name).collect(),
        defaults: features.iter().map(|feature| feature.missing).collect(),
        trees: &trees,
        step,
        main: Code::default(),
        signal: Code::default(),
        signals: Vec::new(),
        feature_registers: Vec::new(),
        facts: Vec::new(),
        sampled_features: vec![None; features.len()],
        in_signal: false,
        depth: 0,
    };
    for (index, feature) in features.iter().enumerate() {
        if let Err(error) = compiler.feature(index, feature) {
            errors.push(located(feature, error));
            // Later features may name this one; a register of its own keeps their errors apart from this.
            compiler.feature_registers.push(0);
            compiler.facts.push(FeatureFacts::default());
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let capacity = capacity(&compiler, features).map_err(|error| vec![error])?;
    Ok(Program {
        sensors: sensors.len(),
        step,
        zone,
        capacity,
        signal_code: compiler.signal.ops,
        signals: compiler.signals,
        code: compiler.main.ops,
        features: compiler.feature_registers,
        facts: compiler.facts,
    })
}

/// Samples to keep of each signal: those of the longest window.
fn capacity(compiler: &Compiler<'_>, features: &[FeatureSource<'_>]) -> Result<usize, FeatureError> {
    let longest = |facts: &FeatureFacts| facts.windows.iter().map(|(_, samples)| *samples).max();
    let Some((index, capacity)) = compiler
        .facts
        .iter()
        .enumerate()
        .filter_map(|(index, facts)| Some((index, longest(facts)?)))
        .max_by_key(|(_, samples)| *samples)
    else {
        return Ok(1);
    };
    let signals = compiler.signals.len();
    if signals.saturating_mul(capacity) > MAX_HISTORY_SAMPLES {
        return Err(FeatureError {
            feature: features.get(index).map_or(String::new(), |feature| feature.name.to_owned()),
            column: None,
            message: format!(
                "its window, the longest, keeps {capacity} samples of each of {signals} signals; at most {MAX_HISTORY_SAMPLES} are kept in all: shorten it or choose a longer step"
            ),
        });
    }
    Ok(capacity)
}

fn located(feature: &FeatureSource<'_>, error: ExpressionError) -> FeatureError {
    FeatureError {
        feature: feature.name.to_owned(),
        column: feature.expr.map(|_| error.column),
        message: error.message,
    }
}

/// The tree of every feature that has one, and what is wrong with the others.
fn parse_all(sensors: &[&str], features: &[FeatureSource<'_>]) -> (Vec<Option<Node>>, Vec<FeatureError>) {
    let mut errors = Vec::new();
    let trees = features
        .iter()
        .map(|feature| {
            let tree = match feature.expr {
                Some(text) => expression::parse(text),
                None if sensors.contains(&feature.name) => {
                    Ok(Node { column: 1, kind: NodeKind::Name(feature.name.to_owned()) })
                }
                None => {
                    let hint = nearest(feature.name, sensors);
                    Err(fail(
                        1,
                        format!("there is no sensor `{}`; give the feature an `expr`{hint}", feature.name),
                    ))
                }
            };
            tree.map_err(|error| errors.push(located(feature, error))).ok()
        })
        .collect();
    (trees, errors)
}

fn fail(column: usize, message: String) -> ExpressionError {
    ExpressionError { column, message }
}

/// ` (did you mean ...?)` for the nearest of `known`, or nothing when none is near.
pub(super) fn nearest(name: &str, known: &[&str]) -> String {
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .min()
        .filter(|(distance, _)| *distance <= 1 + name.len() / 4)
        .map_or(String::new(), |(_, candidate)| format!(" (did you mean `{candidate}`?)"))
}

/// Key under which equal instructions are found; floats by their bits.
type OpKey = String;

/// Code under construction; equal instructions share a register.
#[derive(Debug, Default)]
struct Code {
    ops: Vec<Op>,
    facts: Vec<FeatureFacts>,
    known: HashMap<OpKey, Register>,
}

impl Code {
    fn push(&mut self, column: usize, op: Op, facts: FeatureFacts) -> Result<Register, ExpressionError> {
        let key = match op {
            Op::Constant(value) => format!("Constant({:x})", value.to_bits()),
            Op::OrElse(a, value) => format!("OrElse({a},{:x})", value.to_bits()),
            other => format!("{other:?}"),
        };
        if let Some(register) = self.known.get(&key) {
            return Ok(*register);
        }
        if self.ops.len() >= MAX_INSTRUCTIONS {
            return Err(fail(
                column,
                format!("the bundle's expressions need more than {MAX_INSTRUCTIONS} instructions"),
            ));
        }
        let register = Register::try_from(self.ops.len()).unwrap_or(Register::MAX);
        self.ops.push(op);
        self.facts.push(facts);
        self.known.insert(key, register);
        Ok(register)
    }

    /// What the operands together depend on.
    fn join(&self, operands: &[Register]) -> FeatureFacts {
        let mut joined = FeatureFacts::default();
        for facts in operands.iter().filter_map(|register| self.facts.get(usize::from(*register))) {
            joined.sensors.extend(&facts.sensors);
            joined.windows.extend(&facts.windows);
        }
        joined.sensors.sort_unstable();
        joined.sensors.dedup();
        joined.windows.sort_unstable();
        joined.windows.dedup();
        joined
    }
}

struct Compiler<'a> {
    sensors: &'a [&'a str],
    names: Vec<&'a str>,
    /// What each feature is when it is missing.
    defaults: Vec<Option<f64>>,
    trees: &'a [Option<Node>],
    step: Duration,
    main: Code,
    signal: Code,
    signals: Vec<Register>,
    feature_registers: Vec<Register>,
    facts: Vec<FeatureFacts>,
    /// Registers of the features that stand inside windows, each compiled once.
    sampled_features: Vec<Option<Register>>,
    /// Whether the code of a window's signal is being compiled.
    in_signal: bool,
    /// Depth in trees, those of features inside windows included.
    depth: usize,
}

impl Compiler<'_> {
    fn feature(&mut self, index: usize, feature: &FeatureSource<'_>) -> Result<(), ExpressionError> {
        // A feature that did not parse is reported already; it still takes its place for those after it.
        let Some(tree) = self.trees.get(index).and_then(Option::as_ref) else {
            self.feature_registers.push(0);
            self.facts.push(FeatureFacts::default());
            return Ok(());
        };
        let register = self.with_default(tree, feature.missing)?;
        self.feature_registers.push(register);
        self.facts.push(self.main.facts.get(usize::from(register)).cloned().unwrap_or_default());
        Ok(())
    }

    /// A feature's tree, and what it is when it is missing.
    fn with_default(&mut self, tree: &Node, missing: Option<f64>) -> Result<Register, ExpressionError> {
        let register = self.node(tree)?;
        match missing {
            Some(default) => self.emit(tree.column, Op::OrElse(register, default), &[register]),
            None => Ok(register),
        }
    }

    fn code(&mut self) -> &mut Code {
        if self.in_signal { &mut self.signal } else { &mut self.main }
    }

    fn emit(&mut self, column: usize, op: Op, operands: &[Register]) -> Result<Register, ExpressionError> {
        let code = self.code();
        let facts = code.join(operands);
        code.push(column, op, facts)
    }

    fn node(&mut self, node: &Node) -> Result<Register, ExpressionError> {
        if self.depth >= MAX_TREE_DEPTH {
            return Err(fail(
                node.column,
                format!(
                    "nested deeper than {MAX_TREE_DEPTH} levels, features inside windows included; write it shorter"
                ),
            ));
        }
        self.depth += 1;
        let register = self.node_inside(node);
        self.depth -= 1;
        register
    }

    fn node_inside(&mut self, node: &Node) -> Result<Register, ExpressionError> {
        let column = node.column;
        match &node.kind {
            NodeKind::Number(value) => self.emit(column, Op::Constant(*value), &[]),
            NodeKind::Span(_) => Err(fail(
                column,
                "a time span stands only as the second argument of a window, as in mean(x, 5m)".into(),
            )),
            NodeKind::Name(name) => self.name(column, name),
            NodeKind::Negate(inner) => self.function(column, Function::Negate, inner),
            NodeKind::Binary(op, left, right) => {
                let left = self.node(left)?;
                if let (BinaryOp::Power, NodeKind::Number(2.0)) = (op, &right.kind) {
                    return self.emit(column, Op::Binary(BinaryOp::Multiply, left, left), &[left]);
                }
                let right = self.node(right)?;
                self.emit(column, Op::Binary(*op, left, right), &[left, right])
            }
            NodeKind::Call(name, arguments) => self.call(column, name, arguments),
        }
    }

    fn name(&mut self, column: usize, name: &str) -> Result<Register, ExpressionError> {
        let compiled = self.feature_registers.len();
        if let Some(sensor) = self.sensors.iter().position(|known| *known == name) {
            return self.sensor_op(column, sensor, Op::Sensor);
        }
        match self.names.iter().position(|known| *known == name) {
            Some(index) if index < compiled && !self.in_signal => {
                Ok(self.feature_registers.get(index).copied().unwrap_or(0))
            }
            Some(index) if index < compiled => self.sampled_feature(column, name, index),
            Some(_) => Err(fail(
                column,
                format!(
                    "`{name}` is this feature or a later one; a feature may use earlier ones only: move it up"
                ),
            )),
            None if name == "pi" => self.emit(column, Op::Constant(std::f64::consts::PI), &[]),
            None => {
                let known: Vec<&str> =
                    self.sensors.iter().chain(self.names.iter().take(compiled)).copied().collect();
                Err(fail(
                    column,
                    format!(
                        "unknown name `{name}`, expected a sensor or an earlier feature{}",
                        nearest(name, &known)
                    ),
                ))
            }
        }
    }

    /// A feature inside a window: its own expression is sampled, so it is compiled once more there.
    fn sampled_feature(
        &mut self,
        column: usize,
        name: &str,
        index: usize,
    ) -> Result<Register, ExpressionError> {
        if let Some(Some(register)) = self.sampled_features.get(index) {
            return Ok(*register);
        }
        let Some(tree) = self.trees.get(index).and_then(Option::as_ref) else {
            return Err(fail(column, format!("`{name}` has errors of its own")));
        };
        let missing = self.defaults.get(index).copied().flatten();
        let register = self.with_default(tree, missing).map_err(|error| {
            fail(column, format!("`{name}` cannot stand inside a window: {}", error.message))
        })?;
        if let Some(slot) = self.sampled_features.get_mut(index) {
            *slot = Some(register);
        }
        Ok(register)
    }

    fn sensor_op(
        &mut self,
        column: usize,
        sensor: usize,
        op: fn(u16) -> Op,
    ) -> Result<Register, ExpressionError> {
        let index = u16::try_from(sensor).unwrap_or(u16::MAX);
        let facts = FeatureFacts { sensors: vec![index], windows: Vec::new() };
        self.code().push(column, op(index), facts)
    }

    fn function(
        &mut self,
        column: usize,
        function: Function,
        argument: &Node,
    ) -> Result<Register, ExpressionError> {
        let a = self.node(argument)?;
        self.emit(column, Op::Call(function, a), &[a])
    }
}

#[cfg(test)]
mod tests;
