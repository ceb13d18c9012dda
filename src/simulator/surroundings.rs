//! What happens to a unit from outside: weather, people, chilled-water supply, the operator.
//!
//! All of it is made of slow random processes and exponential waiting times, with time constants
//! of hours at most, so that two weeks of data see most of what there is to see.

use super::random::{Stream, Wander};

/// Seconds in a day; hours are counted in UTC, which the simulated site lives in.
const DAY_S: f64 = 86_400.0;
/// Occupied hours: loads rise and the pump runs at full speed (7..20 h in the recordings).
const OCCUPIED: std::ops::Range<f64> = 7.0..20.0;
/// Set-points people stay with for hours, degC; others are soon changed again.
const COMFORT_C: std::ops::Range<f64> = 20.0..25.0;
/// The chiller cannot supply colder water than this, degC.
const SUPPLY_FLOOR_C: f64 = 5.2;
/// The supply main is long and mixes, s.
const SUPPLY_LAG_S: f64 = 400.0;
/// Ambient temperatures met in the recordings, degC.
const AMBIENT_RANGE_C: (f64, f64) = (17.8, 33.2);

/// The surroundings of one unit at one instant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings {
    /// Ambient air temperature, degC.
    pub(super) ambient_c: f64,
    /// Heat released in the room, kW.
    pub(super) load_kw: f64,
    /// Chilled-water temperature in the supply main, degC.
    pub(super) supply_c: f64,
    /// Room dew point, degC. Nothing measures it: one of the things a model cannot know.
    pub(super) dew_point_c: f64,
    /// Coil conductance relative to its mean (fin wetting, air distribution); not measured.
    pub(super) coil_factor: f64,
    /// Air flow relative to its mean (doors, duct pressure); not measured.
    pub(super) duct_factor: f64,
    /// Natural draught through the stopped unit, m3/h.
    pub(super) draught_m3h: f64,
    /// Mains voltage, V.
    pub(super) mains_v: f64,
    /// Room set-point, degC.
    pub(super) setpoint_c: f64,
    /// Whether the unit is switched on.
    pub(super) mode_on: bool,
    /// Lowest fan step the operator allows while on, 1..=4.
    pub(super) lowest_step: usize,
    /// Whether the building is occupied.
    pub(super) occupied: bool,
}

impl Surroundings {
    /// An ordinary working hour: every disturbance at its mean.
    pub(super) fn ordinary(setpoint_c: f64) -> Self {
        Self {
            ambient_c: 25.0,
            load_kw: 1.0,
            supply_c: 11.3,
            dew_point_c: 13.8,
            coil_factor: 1.0,
            duct_factor: 1.0,
            draught_m3h: 380.0,
            mains_v: 406.0,
            setpoint_c,
            mode_on: true,
            lowest_step: 1,
            occupied: true,
        }
    }
}

/// The processes behind [`Surroundings`].
#[derive(Debug)]
pub(super) struct World {
    weather: Wander,
    gusts: Wander,
    load: Wander,
    supply: Wander,
    dew_point: Wander,
    coil: Wander,
    duct: Wander,
    draught: Wander,
    mains: Wander,
    chiller: Stream,
    chiller_out: bool,
    chiller_rise_c: f64,
    operator: Stream,
    setpoint_c: f64,
    lowest_step: usize,
    switch: Stream,
    mode_on: bool,
    now: Surroundings,
}

impl World {
    /// The world of unit number `unit` in a run seeded with `seed`.
    pub(super) fn new(seed: u64, unit: u32) -> Self {
        let wander = |purpose: &str, deviation, hours| {
            Wander::new(Stream::new(seed, unit, purpose), deviation, hours * 3600.0)
        };
        let mut operator = Stream::new(seed, unit, "operator");
        let setpoint_c = draw_setpoint(&mut operator);
        Self {
            weather: wander("weather", 1.7, 12.0),
            gusts: wander("gusts", 0.15, 0.2),
            load: wander("load", 0.35, 1.0),
            supply: wander("supply", 2.3, 2.5),
            dew_point: wander("dew-point", 0.45, 4.0),
            coil: wander("coil", 0.012, 3.0),
            duct: wander("duct", 0.006, 1.0),
            draught: wander("draught", 11.0, 0.5),
            mains: wander("mains", 3.0, 1.5),
            chiller: Stream::new(seed, unit, "chiller"),
            chiller_out: false,
            chiller_rise_c: 0.0,
            operator,
            setpoint_c,
            lowest_step: 1,
            switch: Stream::new(seed, unit, "switch"),
            mode_on: true,
            now: Surroundings::ordinary(setpoint_c),
        }
    }

    /// Advance by `dt_s` seconds to the instant `time_s` (seconds since 1970, UTC).
    pub(super) fn step(&mut self, time_s: f64, dt_s: f64) -> Surroundings {
        let hour = time_s.rem_euclid(DAY_S) / 3600.0;
        let occupied = OCCUPIED.contains(&hour);
        self.step_operator(dt_s, occupied);
        self.step_chiller(dt_s);
        let afternoon = libm::cos((hour - 15.0) / 24.0 * std::f64::consts::TAU);
        let ambient_c = 25.8 + 2.6 * afternoon + self.weather.step(dt_s) + self.gusts.step(dt_s);
        let load_kw = if occupied { 1.3 } else { 0.6 } + self.load.step(dt_s);
        let chiller_c = 11.3 + 0.6 * afternoon + self.supply.step(dt_s) + self.chiller_rise_c;
        let mixed = 1.0 - libm::exp(-dt_s / SUPPLY_LAG_S);
        let supply_c = self.now.supply_c + mixed * (chiller_c.max(SUPPLY_FLOOR_C) - self.now.supply_c);
        self.now = Surroundings {
            ambient_c: ambient_c.clamp(AMBIENT_RANGE_C.0, AMBIENT_RANGE_C.1),
            load_kw: load_kw.max(0.0),
            supply_c,
            dew_point_c: 13.8 + 0.2 * (ambient_c - 25.0) + self.dew_point.step(dt_s),
            coil_factor: 1.0 + self.coil.step(dt_s),
            duct_factor: 1.0 + self.duct.step(dt_s),
            draught_m3h: 380.0 + self.draught.step(dt_s),
            mains_v: 406.0 + self.mains.step(dt_s),
            setpoint_c: self.setpoint_c,
            mode_on: self.mode_on,
            lowest_step: self.lowest_step,
            occupied,
        };
        self.now
    }

    /// The surroundings at the instant of the last step.
    pub(super) fn now(&self) -> &Surroundings {
        &self.now
    }

    /// Set-points and fan preferences change every few hours; the unit is off more often at night.
    fn step_operator(&mut self, dt_s: f64, occupied: bool) {
        let mean_h = if COMFORT_C.contains(&self.setpoint_c) { 4.0 } else { 1.2 };
        if self.operator.event(dt_s, mean_h * 3600.0) {
            self.setpoint_c = draw_setpoint(&mut self.operator);
            let preference = self.operator.uniform();
            self.lowest_step = match preference {
                p if p < 0.55 => 1,
                p if p < 0.75 => 2,
                p if p < 0.90 => 3,
                _ => 4,
            };
        }
        let (mean_on_h, mean_off_h) = if occupied { (14.0, 0.7) } else { (8.0, 1.2) };
        let mean_h = if self.mode_on { mean_on_h } else { mean_off_h };
        if self.switch.event(dt_s, mean_h * 3600.0) {
            self.mode_on = !self.mode_on;
        }
    }

    /// More than once a day the chiller stops for an hour and the supply warms up.
    fn step_chiller(&mut self, dt_s: f64) {
        let mean_h = if self.chiller_out { 1.0 } else { 16.0 };
        if self.chiller.event(dt_s, mean_h * 3600.0) {
            self.chiller_out = !self.chiller_out;
        }
        let aim_c = if self.chiller_out { 8.0 } else { 0.0 };
        self.chiller_rise_c += (aim_c - self.chiller_rise_c) * (1.0 - libm::exp(-dt_s / 1800.0));
    }
}

/// Mostly comfort set-points, at times the extremes, in half degrees (12..30 degC).
fn draw_setpoint(operator: &mut Stream) -> f64 {
    let kind = operator.uniform();
    let wish_c = match kind {
        k if k < 0.66 => operator.between(COMFORT_C.start, COMFORT_C.end),
        k if k < 0.79 => operator.between(12.0, COMFORT_C.start),
        _ => operator.between(COMFORT_C.end, 30.0),
    };
    (wish_c * 2.0).round() / 2.0
}
