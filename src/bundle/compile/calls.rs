//! Calls in expressions: plain functions, windows over the unit's history, times.

use super::super::expression::{BinaryOp, ExpressionError, Node, NodeKind};
use super::super::program::{FeatureFacts, Function, Op, Pair, Register, Window};
use super::{Compiler, MAX_WINDOW_SAMPLES, fail, nearest};

impl Compiler<'_> {
    pub(super) fn call(
        &mut self,
        column: usize,
        name: &str,
        arguments: &[Node],
    ) -> Result<Register, ExpressionError> {
        let function = match name {
            "abs" => Some(Function::Abs),
            "sqrt" => Some(Function::Sqrt),
            "exp" => Some(Function::Exp),
            "ln" => Some(Function::Ln),
            "sin" => Some(Function::Sin),
            "cos" => Some(Function::Cos),
            "not" => Some(Function::Not),
            "isnan" => Some(Function::IsNan),
            _ => None,
        };
        let pair = match name {
            "min" => Some(Pair::Min),
            "max" => Some(Pair::Max),
            "and" => Some(Pair::And),
            "or" => Some(Pair::Or),
            _ => None,
        };
        let window = match name {
            "lag" => Some(Window::Lag),
            "mean" => Some(Window::Mean),
            "std" => Some(Window::Std),
            "slope" => Some(Window::Slope),
            _ => None,
        };
        match (name, arguments) {
            (_, [a]) if function.is_some() => self.function(column, function.unwrap_or(Function::Abs), a),
            (_, [a, b]) if pair.is_some() => {
                let (a, b) = (self.node(a)?, self.node(b)?);
                self.emit(column, Op::Pair(pair.unwrap_or(Pair::Min), a, b), &[a, b])
            }
            (_, [signal, span]) if window.is_some() => {
                self.window(column, name, window.unwrap_or(Window::Mean), signal, span)
            }
            ("pow", [a, b]) => {
                let (a, b) = (self.node(a)?, self.node(b)?);
                self.emit(column, Op::Binary(BinaryOp::Power, a, b), &[a, b])
            }
            ("clip", [x, low, high]) => {
                let (x, low, high) = (self.node(x)?, self.node(low)?, self.node(high)?);
                self.emit(column, Op::Clip(x, low, high), &[x, low, high])
            }
            ("if", [condition, yes, no]) => {
                let (condition, yes, no) = (self.node(condition)?, self.node(yes)?, self.node(no)?);
                self.emit(column, Op::If(condition, yes, no), &[condition, yes, no])
            }
            ("since_change", [signal]) => self.since_change(column, signal),
            ("age" | "hour", _) if self.in_signal => {
                Err(fail(column, format!("`{name}` cannot stand inside a window")))
            }
            ("age", [Node { kind: NodeKind::Name(sensor), column }]) => {
                match self.sensors.iter().position(|known| known == sensor) {
                    Some(index) => self.sensor_op(*column, index, Op::Age),
                    None => Err(fail(
                        *column,
                        format!("`age` wants a sensor; `{sensor}` is none{}", nearest(sensor, self.sensors)),
                    )),
                }
            }
            ("hour", []) => self.emit(column, Op::Hour, &[]),
            _ => Err(wrong_call(column, name, arguments.len())),
        }
    }

    /// Compiles the signal a window looks at; gives its number.
    fn signal(&mut self, column: usize, signal: &Node) -> Result<(u16, FeatureFacts), ExpressionError> {
        if self.in_signal {
            return Err(fail(column, "a window cannot stand inside a window".into()));
        }
        self.in_signal = true;
        let register = self.node(signal);
        self.in_signal = false;
        let register = register?;
        let facts = self.signal.facts.get(usize::from(register)).cloned().unwrap_or_default();
        let number = self.signals.iter().position(|known| *known == register).unwrap_or_else(|| {
            self.signals.push(register);
            self.signals.len() - 1
        });
        Ok((u16::try_from(number).unwrap_or(u16::MAX), facts))
    }

    fn window(
        &mut self,
        column: usize,
        name: &str,
        window: Window,
        signal: &Node,
        span: &Node,
    ) -> Result<Register, ExpressionError> {
        let NodeKind::Span(length) = span.kind else {
            return Err(fail(
                span.column,
                format!("`{name}` wants a time span such as 5m as its second argument"),
            ));
        };
        let (span_us, step_us) = (length.as_micros(), self.step.as_micros().max(1));
        if span_us == 0 || !span_us.is_multiple_of(step_us) {
            let step = self.step.as_secs_f64();
            return Err(fail(
                span.column,
                format!("the span must be a multiple of the bundle's step ({step} s)"),
            ));
        }
        let samples = u32::try_from(span_us / step_us).unwrap_or(u32::MAX);
        if samples > MAX_WINDOW_SAMPLES {
            return Err(fail(
                span.column,
                format!("the span needs {samples} samples; at most {MAX_WINDOW_SAMPLES} are kept"),
            ));
        }
        let (signal, mut facts) = self.signal(column, signal)?;
        // A lag of n steps needs the sample n instants before the present one: n + 1 in all.
        facts.windows = vec![(signal, samples as usize + usize::from(window == Window::Lag))];
        self.main.push(column, Op::Window(window, signal, samples), facts)
    }

    fn since_change(&mut self, column: usize, signal: &Node) -> Result<Register, ExpressionError> {
        let (signal, facts) = self.signal(column, signal)?;
        self.main.push(column, Op::SinceChange(signal), facts)
    }
}

/// What each function takes, for the message about a wrong call.
const SIGNATURES: [(&str, &str); 21] = [
    ("abs", "abs(x)"),
    ("sqrt", "sqrt(x)"),
    ("exp", "exp(x)"),
    ("ln", "ln(x)"),
    ("sin", "sin(x)"),
    ("cos", "cos(x)"),
    ("not", "not(x)"),
    ("isnan", "isnan(x)"),
    ("min", "min(a, b)"),
    ("max", "max(a, b)"),
    ("and", "and(a, b)"),
    ("or", "or(a, b)"),
    ("pow", "pow(x, y)"),
    ("clip", "clip(x, low, high)"),
    ("if", "if(condition, then, else)"),
    ("lag", "lag(x, 1m)"),
    ("mean", "mean(x, 5m)"),
    ("std", "std(x, 5m)"),
    ("slope", "slope(x, 5m)"),
    ("age", "age(SENSOR)"),
    ("since_change", "since_change(x)"),
];

fn wrong_call(column: usize, name: &str, arguments: usize) -> ExpressionError {
    if name == "hour" {
        return fail(column, format!("`hour()` takes no argument, found {arguments}"));
    }
    if let Some((_, signature)) = SIGNATURES.iter().find(|(known, _)| *known == name) {
        return fail(column, format!("`{name}` is called as {signature}, found {arguments} argument(s)"));
    }
    let known: Vec<&str> = SIGNATURES.iter().map(|(known, _)| *known).chain(["hour"]).collect();
    let hint = nearest(name, &known);
    fail(column, format!("unknown function `{name}`{hint}; there are {}", known.join(" ")))
}
