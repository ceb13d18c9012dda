//! The feature program: what a bundle's expressions become. Flat code over registers, evaluated without
//! allocation; the same code serves streaming, batch and golden replay, so they agree to the bit.
//!
//! Windows look at a fixed grid of instants (`step` apart, counted from the epoch). At each instant the
//! held values are sampled. At a time that lies on the grid, the values held at that very time are the newest
//! sample. So a feature depends on readings and their times only, not on when somebody looked.

use std::time::Duration;

use super::expression::BinaryOp;
use crate::domain::state::{grid_number, grid_time};
use crate::domain::{History, Timestamp, UnitState, ZoneSpec};

/// Index of a register.
pub(super) type Register = u16;

/// Functions of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Function {
    Abs,
    Sqrt,
    Exp,
    Ln,
    Sin,
    Cos,
    Negate,
    Not,
    IsNan,
}

/// Functions of two numbers beyond the operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Pair {
    Min,
    Max,
    And,
    Or,
}

/// Functions of a signal's recent samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Window {
    Lag,
    Mean,
    Std,
    Slope,
}

/// One instruction; its result goes to the register of its own index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Op {
    Constant(f64),
    Sensor(u16),
    Age(u16),
    Hour,
    Binary(BinaryOp, Register, Register),
    Pair(Pair, Register, Register),
    Call(Function, Register),
    Clip(Register, Register, Register),
    If(Register, Register, Register),
    OrElse(Register, f64),
    Window(Window, u16, u32),
    SinceChange(u16),
}

/// What is known of one feature beside its code.
#[derive(Debug, Clone, Default)]
pub(super) struct FeatureFacts {
    /// Sensors it depends on, by index.
    pub(super) sensors: Vec<u16>,
    /// Its windows: signal and samples wanted.
    pub(super) windows: Vec<(u16, usize)>,
}

/// The compiled features of a bundle. Immutable; each evaluation works in a [`Scratch`].
#[derive(Debug, Clone)]
pub struct Program {
    pub(super) sensors: usize,
    pub(super) step: Duration,
    pub(super) zone: ZoneSpec,
    pub(super) capacity: usize,
    /// Instantaneous expressions that windows look at, and the register of each.
    pub(super) signal_code: Vec<Op>,
    pub(super) signals: Vec<Register>,
    /// The features' code, and the register of each feature.
    pub(super) code: Vec<Op>,
    pub(super) features: Vec<Register>,
    pub(super) facts: Vec<FeatureFacts>,
}

/// Working memory of a program, sized once.
#[derive(Debug, Clone)]
pub struct Scratch {
    registers: Vec<f64>,
    signals: Vec<f64>,
    held: Vec<f64>,
    /// Whether the last evaluation lay on the grid, so that `signals` is the newest sample.
    has_current: bool,
}

/// Gives the value a stale or missing sensor has at a grid instant, by sensor index: see
/// `Assembler`.
pub(super) type GridValue<'a> = &'a dyn Fn(usize, &UnitState, Timestamp) -> f64;

impl Program {
    /// Number of features.
    #[must_use]
    pub fn features(&self) -> usize {
        self.features.len()
    }

    /// Number of instructions, signals' and features' together.
    #[must_use]
    pub fn instructions(&self) -> usize {
        self.code.len() + self.signal_code.len()
    }

    /// Number of signals sampled on the grid and samples kept of each.
    #[must_use]
    pub fn history_shape(&self) -> (usize, usize) {
        (self.signals.len(), self.capacity)
    }

    /// Distance of the grid's instants.
    #[must_use]
    pub fn step(&self) -> Duration {
        self.step
    }

    /// Working memory for this program.
    #[must_use]
    pub fn scratch(&self) -> Scratch {
        Scratch {
            registers: vec![f64::NAN; self.code.len().max(self.signal_code.len())],
            signals: vec![f64::NAN; self.signals.len()],
            held: vec![f64::NAN; self.sensors],
            has_current: false,
        }
    }

    /// Samples every grid instant before `until` (and not yet sampled) with the values held now. Called
    /// before a reading of that time is applied. Costs at most `capacity` samples however long the gap.
    pub(super) fn advance(
        &self,
        state: &mut UnitState,
        until: Timestamp,
        scratch: &mut Scratch,
        value: GridValue,
    ) {
        let Some(known_since) = state.event_time().filter(|_| !self.signals.is_empty()) else { return };
        let (number, on_grid) = grid_number(until, self.step);
        let last = if on_grid { number.saturating_sub(1) } else { number };
        let first = state.history.newest().map_or_else(
            || {
                let (number, on_grid) = grid_number(known_since, self.step);
                if on_grid { number } else { number.saturating_add(1) }
            },
            |newest| newest.saturating_add(1),
        );
        let first = first.max(last.saturating_sub(self.capacity as i64 - 1));
        for number in first..=last {
            let at = grid_time(number, self.step);
            for (sensor, slot) in scratch.held.iter_mut().enumerate() {
                *slot = value(sensor, state, at);
            }
            self.sample_signals(state, at, scratch);
            state.history.push(number, at, &scratch.signals);
        }
    }

    /// Evaluates all features at `at`, which is not before any held reading and up to which the grid has
    /// been sampled. `values[sensor]` is what each sensor counts as now; `grid_value` is what windows see of
    /// the instant `at` itself, as they see all others. Missing features are NaN.
    pub(super) fn evaluate(
        &self,
        state: &UnitState,
        at: Timestamp,
        values: &[f64],
        grid_value: GridValue,
        scratch: &mut Scratch,
        row: &mut [f32],
    ) {
        let (_, on_grid) = grid_number(at, self.step);
        scratch.has_current = on_grid || state.history.is_empty();
        if scratch.has_current {
            for (sensor, slot) in scratch.held.iter_mut().enumerate() {
                *slot = grid_value(sensor, state, at);
            }
            self.sample_signals(state, at, scratch);
        }
        let view = View {
            history: &state.history,
            current: scratch.has_current.then_some(&scratch.signals),
            at,
            step_s: seconds(self.step),
        };
        run(&self.code, values, state, &view, &self.zone, &mut scratch.registers);
        for (slot, register) in row.iter_mut().zip(&self.features) {
            let value = scratch.registers.get(usize::from(*register)).copied().unwrap_or(f64::NAN) as f32;
            *slot = if value.is_finite() { value } else { f32::NAN };
        }
    }

    /// Whether every window of the feature has a sample with a value at each of its instants, that of the
    /// last evaluation included. Right after that evaluation, with the same `scratch`.
    pub(super) fn has_full_windows(facts: &FeatureFacts, state: &UnitState, scratch: &Scratch) -> bool {
        facts.windows.iter().all(|(signal, samples)| {
            let signal = usize::from(*signal);
            let current = scratch.signals.get(signal).filter(|_| scratch.has_current);
            let is_broken = current.is_some_and(|value| value.is_nan());
            !is_broken && state.history.unbroken(signal) + usize::from(scratch.has_current) >= *samples
        })
    }

    fn sample_signals(&self, state: &UnitState, at: Timestamp, scratch: &mut Scratch) {
        let view = View { history: &state.history, current: None, at, step_s: seconds(self.step) };
        run(&self.signal_code, &scratch.held, state, &view, &self.zone, &mut scratch.registers);
        for (slot, register) in scratch.signals.iter_mut().zip(&self.signals) {
            *slot = scratch.registers.get(usize::from(*register)).copied().unwrap_or(f64::NAN);
        }
    }
}

/// The samples a window sees: those on the grid and, where the time lies on the grid, the present ones.
struct View<'a> {
    history: &'a History,
    current: Option<&'a Vec<f64>>,
    at: Timestamp,
    step_s: f64,
}

impl View<'_> {
    fn current(&self, signal: u16) -> Option<f64> {
        self.current.and_then(|signals| signals.get(usize::from(signal)).copied())
    }

    /// Calls `visit` with every sample that has a value, oldest first, and its place in the window.
    fn each(&self, signal: u16, samples: u32, mut visit: impl FnMut(usize, f64)) {
        let current = self.current(signal);
        let from_history = samples as usize - usize::from(current.is_some());
        let (older, newer) = self.history.tail(usize::from(signal), from_history);
        for (place, value) in older.iter().chain(newer).chain(current.as_ref()).enumerate() {
            if !value.is_nan() {
                visit(place, *value);
            }
        }
    }

    fn window(&self, window: Window, signal: u16, samples: u32) -> f64 {
        match window {
            Window::Lag => {
                // The compiler refuses empty spans, so there is at least one step to go back.
                let back = samples as usize - usize::from(self.current(signal).is_some());
                self.history.back(usize::from(signal), back).unwrap_or(f64::NAN)
            }
            Window::Mean => self.mean(signal, samples).0,
            Window::Std => {
                let (mean, count) = self.mean(signal, samples);
                let mut sum = 0.0;
                self.each(signal, samples, |_, value| sum += (value - mean) * (value - mean));
                (sum / count).sqrt()
            }
            Window::Slope => self.slope(signal, samples),
        }
    }

    fn mean(&self, signal: u16, samples: u32) -> (f64, f64) {
        let (mut sum, mut count) = (0.0, 0_u32);
        self.each(signal, samples, |_, value| {
            sum += value;
            count += 1;
        });
        (sum / f64::from(count), f64::from(count))
    }

    /// Least-squares slope per second; NaN with fewer than two samples.
    fn slope(&self, signal: u16, samples: u32) -> f64 {
        let (mean, count) = self.mean(signal, samples);
        let mut place_sum = 0.0;
        self.each(signal, samples, |place, _| place_sum += place as f64);
        let place_mean = place_sum / count;
        let (mut products, mut squares) = (0.0, 0.0);
        self.each(signal, samples, |place, value| {
            let offset = place as f64 - place_mean;
            products += offset * (value - mean);
            squares += offset * offset;
        });
        if squares > 0.0 { products / squares / self.step_s } else { f64::NAN }
    }

    fn since_change(&self, signal: u16) -> f64 {
        match (self.history.last_change(usize::from(signal)), self.current(signal)) {
            (Some((held, _)), Some(current)) if held.to_bits() != current.to_bits() => 0.0,
            (Some((_, since)), _) => seconds(self.at.since(since)),
            (None, _) => 0.0,
        }
    }
}

fn seconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e6
}

/// Runs code; operands always lie before their instruction, which the compiler guarantees.
#[allow(clippy::indexing_slicing)] // registers and sensors are numbered by the compiler within these slices
fn run(code: &[Op], values: &[f64], state: &UnitState, view: &View, zone: &ZoneSpec, registers: &mut [f64]) {
    for (index, op) in code.iter().enumerate() {
        let r = |register: Register| registers[usize::from(register)];
        let result = match *op {
            Op::Constant(value) => value,
            Op::Sensor(sensor) => values[usize::from(sensor)],
            Op::Age(sensor) => {
                state.get(usize::from(sensor)).map_or(f64::NAN, |held| seconds(view.at.since(held.event)))
            }
            Op::Hour => zone.hour_of_day(view.at),
            Op::Binary(op, a, b) => binary(op, r(a), r(b)),
            Op::Pair(pair, a, b) => pair_of(pair, r(a), r(b)),
            Op::Call(function, a) => call(function, r(a)),
            Op::Clip(x, low, high) => pair_of(Pair::Min, pair_of(Pair::Max, r(x), r(low)), r(high)),
            Op::If(condition, yes, no) => match r(condition) {
                c if c.is_nan() => f64::NAN,
                0.0 => r(no),
                _ => r(yes),
            },
            Op::OrElse(a, default) => {
                if r(a).is_nan() {
                    default
                } else {
                    r(a)
                }
            }
            Op::Window(window, signal, samples) => view.window(window, signal, samples),
            Op::SinceChange(signal) => view.since_change(signal),
        };
        // Division by zero, overflow and domain errors all mean: no value.
        registers[index] = if result.is_finite() { result } else { f64::NAN };
    }
}

fn truth(condition: bool) -> f64 {
    if condition { 1.0 } else { 0.0 }
}

fn binary(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Subtract => a - b,
        BinaryOp::Multiply => a * b,
        BinaryOp::Divide => a / b,
        BinaryOp::Power => libm::pow(a, b),
        _ if a.is_nan() || b.is_nan() => f64::NAN,
        BinaryOp::Less => truth(a < b),
        BinaryOp::LessEqual => truth(a <= b),
        BinaryOp::Greater => truth(a > b),
        BinaryOp::GreaterEqual => truth(a >= b),
        BinaryOp::Equal => truth(a == b),
        BinaryOp::NotEqual => truth(a != b),
    }
}

fn pair_of(pair: Pair, a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        return f64::NAN;
    }
    match pair {
        Pair::Min => {
            if b < a {
                b
            } else {
                a
            }
        }
        Pair::Max => {
            if b > a {
                b
            } else {
                a
            }
        }
        Pair::And => truth(a != 0.0 && b != 0.0),
        Pair::Or => truth(a != 0.0 || b != 0.0),
    }
}

fn call(function: Function, a: f64) -> f64 {
    match function {
        Function::IsNan => truth(a.is_nan()),
        _ if a.is_nan() => f64::NAN,
        Function::Abs => a.abs(),
        Function::Sqrt => a.sqrt(),
        Function::Exp => libm::exp(a),
        Function::Ln => libm::log(a),
        Function::Sin => libm::sin(a),
        Function::Cos => libm::cos(a),
        Function::Negate => -a,
        Function::Not => truth(a == 0.0),
    }
}
