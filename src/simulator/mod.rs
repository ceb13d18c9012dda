//! simulator: seeded unit-cooler physics, reported the way a logger would.
//!
//! One simulator serves the command line, the demo, the training data and the tests. The same
//! [`SimulatorConfig`] gives the same rows, bit for bit, on every platform: random numbers come from
//! integer arithmetic, transcendental functions from `libm`, time from the configuration.
//!
//! The way of one row: surroundings (weather, people, supply, operator) -> controller -> plant, in
//! sub-steps of at most ten seconds; then sensors look at the plant, then sensor faults distort the row.
//!
//! Units are of one make (see `plant`): they differ in what happens to them, not in what they are.
//! Hours are counted in UTC. Physical faults act before the sensors, sensor faults on the finished row;
//! a fault on a channel does not spread to channels computed from it (CPPR, MVCV), as if the data point
//! and not the element had failed.
//!
//! What a model can never explain is small and known: sensor noise, the room's humidity, and slow
//! wanders of coil conductance (1.2 percent), duct (0.6 percent) and natural draught (11 m3/h).
//!
//! ```
//! use cooltwin::simulator::{Simulator, SimulatorConfig, format};
//!
//! let config = SimulatorConfig { seed: 7, units: 2, ..SimulatorConfig::default() };
//! let mut simulator = Simulator::new(config)?;
//! let mut text = format::csv_header();
//! for unit in &simulator.next_row().units {
//!     format::csv_row(unit, &mut text);
//! }
//! assert_eq!(text.lines().count(), 3);
//! # Ok::<(), cooltwin::simulator::ConfigError>(())
//! ```

mod control;
mod fault;
pub mod format;
mod plant;
mod random;
mod sensors;
mod surroundings;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use fault::{Channel, FaultKind, FaultParseError, FaultSpec, SENTINEL};

use control::Controller;
use fault::Fault;
use plant::{Plant, Wear};
use sensors::Sensors;
use surroundings::World;

/// Number of channels in a row.
pub const CHANNEL_COUNT: usize = 23;
/// How many of them are inputs; the rest are the targets.
pub const SENSOR_COUNT: usize = 20;
/// Channel ids: the 20 sensors, then the 3 targets UCAOT, UCWOT, UCAF.
pub const CHANNELS: [&str; CHANNEL_COUNT] = [
    "AMBT", "UCTSP", "CPSP", "UCAIT", "CPPR", "UCWF", "CPMC", "MVDP", "CPCF", "UCFS", "MVCV", "UCHV", "CPMV",
    "UCHC", "UCWIT", "UCFMS", "CPDP", "UCWDP", "MVWF", "UCOM", "UCAOT", "UCWOT", "UCAF",
];

/// Most units of one run: far above any building, low enough that a slip of the keyboard cannot
/// fill the memory.
pub const MAX_UNITS: u32 = 10_000;
/// Shortest reporting period; below it a row would be mostly noise.
pub const MIN_STEP: Duration = Duration::from_millis(100);
/// Longest reporting period; beyond it a row says nothing about the one before.
pub const MAX_STEP: Duration = Duration::from_hours(1);
/// Start times are limited to 1970..2200, far from the limits of the calendar.
pub const START_RANGE_US: std::ops::RangeInclusive<i64> = 0..=7_258_118_400_000_000;
/// 2026-01-05T00:00:00Z, a Monday.
pub const DEFAULT_START_US: i64 = 1_767_571_200_000_000;

/// Longest integration step, s: well below the shortest lag that matters (25 s).
const MAX_SUBSTEP_S: f64 = 10.0;
/// Every unit runs this long before its first row, so that no run starts from a resting plant.
const WARM_UP_S: f64 = 2.0 * 3600.0;

/// The values of one row in the order of [`CHANNELS`]; `None`: not reported.
pub type UnitValues = [Option<f64>; CHANNEL_COUNT];

/// What to simulate.
#[derive(Debug, Clone)]
pub struct SimulatorConfig {
    /// Same seed (and same settings), same rows.
    pub seed: u64,
    /// Number of units, 1..=[`MAX_UNITS`]; they are named `cooler-01`, `cooler-02`, ...
    pub units: u32,
    /// Time of row 0, microseconds since 1970-01-01T00:00:00Z, within [`START_RANGE_US`].
    pub start: i64,
    /// Reporting period, [`MIN_STEP`]..=[`MAX_STEP`], whole microseconds.
    pub step: Duration,
    /// What goes wrong, where and when.
    pub faults: Vec<FaultSpec>,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self { seed: 1, units: 1, start: DEFAULT_START_US, step: Duration::from_secs(30), faults: Vec::new() }
    }
}

/// A configuration that cannot be simulated, with every reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("simulator settings: {}", problems.join("; "))]
pub struct ConfigError {
    /// One sentence a problem.
    pub problems: Vec<String>,
}

/// All units at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Number of this row, from 0.
    pub index: u64,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub time_us: i64,
    /// One entry a unit, in the order of their numbers.
    pub units: Vec<UnitRow>,
}

/// One unit at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitRow {
    /// `cooler-01` and so on.
    pub unit: String,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub time_us: i64,
    /// As a logger reports them: noisy, rounded, possibly faulty.
    pub values: UnitValues,
    /// What the targets UCAOT (degC), UCWOT (degC) and UCAF (m3/h) really are: no sensor noise, no
    /// sensor faults; physical faults included.
    pub truth: [f64; 3],
}

/// The simulator: call [`Simulator::next_row`] for ever.
#[derive(Debug)]
pub struct Simulator {
    start_us: i64,
    step_us: i64,
    row: u64,
    units: Vec<Unit>,
}

impl Simulator {
    /// Sets up the units and lets each run for two hours unseen.
    ///
    /// # Errors
    /// [`ConfigError`] with every setting that is out of range and every fault that names no unit of
    /// this run.
    pub fn new(config: SimulatorConfig) -> Result<Self, ConfigError> {
        let problems = problems(&config);
        if !problems.is_empty() {
            return Err(ConfigError { problems });
        }
        let SimulatorConfig { seed, units, start, step, faults } = config;
        let units = (0..units).map(|number| Unit::new(seed, number, start, &faults)).collect();
        // `problems` has bounded the step to an hour.
        Ok(Self { start_us: start, step_us: step.as_micros() as i64, row: 0, units })
    }

    /// The names of the units, in the order of [`Row::units`].
    pub fn unit_names(&self) -> impl Iterator<Item = &str> {
        self.units.iter().map(|unit| unit.name.as_str())
    }

    /// Advance every unit by one reporting period (row 0: by none) and read its sensors.
    pub fn next_row(&mut self) -> Row {
        let index = self.row;
        let elapsed_us = i64::try_from(index).unwrap_or(i64::MAX).saturating_mul(self.step_us);
        let time_us = self.start_us.saturating_add(elapsed_us);
        let step_s = self.step_us as f64 / 1e6;
        let units = self.units.iter_mut().map(|unit| unit.report(index, time_us, step_s)).collect();
        self.row += 1;
        Row { index, time_us, units }
    }
}

fn problems(config: &SimulatorConfig) -> Vec<String> {
    let mut problems = Vec::new();
    if !(1..=MAX_UNITS).contains(&config.units) {
        problems.push(format!("units is {}, expected 1 to {MAX_UNITS}", config.units));
    }
    if !(MIN_STEP..=MAX_STEP).contains(&config.step) {
        problems.push(format!("step is {:?}, expected {MIN_STEP:?} to {MAX_STEP:?}", config.step));
    }
    if !START_RANGE_US.contains(&config.start) {
        problems.push(format!("start is {} us since 1970, expected a time from 1970 to 2200", config.start));
    }
    for fault in &config.faults {
        if !(0.0..=1.0).contains(&fault.severity) {
            problems.push(format!("fault {fault}: severity is {}, expected 0 to 1", fault.severity));
        }
        if let Some(unit) = &fault.unit
            && !(0..config.units).any(|number| unit_name(number) == *unit)
        {
            let last = unit_name(config.units.saturating_sub(1));
            problems.push(format!(
                "fault {fault}: no unit {unit} in this run; there are {} to {last}",
                unit_name(0)
            ));
        }
    }
    problems
}

/// `cooler-01` for unit 0.
fn unit_name(number: u32) -> String {
    format!("cooler-{:02}", u64::from(number) + 1)
}

/// One unit with everything around it.
#[derive(Debug)]
struct Unit {
    name: String,
    world: World,
    controller: Controller,
    plant: Plant,
    sensors: Sensors,
    faults: Vec<Fault>,
}

impl Unit {
    fn new(seed: u64, number: u32, start_us: i64, faults: &[FaultSpec]) -> Self {
        let name = unit_name(number);
        let here = |spec: &FaultSpec| spec.unit.as_ref().is_none_or(|unit| *unit == name);
        let faults = faults.iter().enumerate().filter(|(_, spec)| here(spec));
        let faults = faults.map(|(place, spec)| Fault::new(spec, seed, number, place)).collect();
        let mut world = World::new(seed, number);
        let begin_s = start_us as f64 / 1e6;
        let plant = Plant::at_rest(world.step(begin_s - WARM_UP_S, 0.0).ambient_c);
        let sensors = Sensors::new(seed, number);
        let mut unit = Self { name, world, controller: Controller::default(), plant, sensors, faults };
        unit.advance(begin_s, WARM_UP_S, &Wear::default());
        unit
    }

    /// Move the plant to `time_s`, `span_s` seconds after where it was.
    fn advance(&mut self, time_s: f64, span_s: f64, wear: &Wear) {
        let steps = (span_s / MAX_SUBSTEP_S).ceil().max(1.0);
        let dt_s = span_s / steps;
        for left in (0..steps as u64).rev() {
            let world = self.world.step(time_s - left as f64 * dt_s, dt_s);
            let commands = self.controller.scan(self.plant.room_c, &world, dt_s);
            self.plant.step(&commands, &world, wear, dt_s);
        }
    }

    fn report(&mut self, row: u64, time_us: i64, step_s: f64) -> UnitRow {
        let mut wear = Wear::default();
        for fault in &self.faults {
            fault.wear(row, &mut wear);
        }
        if row > 0 {
            self.advance(time_us as f64 / 1e6, step_s, &wear);
        }
        let mut values = self.sensors.read(&self.plant, self.world.now()).map(Some);
        for fault in &mut self.faults {
            fault.distort(row, step_s, &mut values);
        }
        let truth = [self.plant.air_out_c, self.plant.water_out_c, self.plant.air_m3h];
        UnitRow { unit: self.name.clone(), time_us, values, truth }
    }
}
