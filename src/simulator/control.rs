//! The unit's own controller: a PI valve, fan steps, an electric heater with hysteresis, a pump.

use super::surroundings::Surroundings;

/// Motor speeds of the fan steps, rpm; step 0 is standstill.
const FAN_STEPS_RPM: [f64; 5] = [0.0, 500.0, 700.0, 1085.0, 1395.0];
/// Cooling demand (0..1) above which steps 2, 3 and 4 are wanted.
const STEP_UP_DEMAND: [f64; 3] = [0.30, 0.60, 0.85];
/// A step is left only this much below the demand that called it, so that the fan does not hunt.
const STEP_HYSTERESIS: f64 = 0.15;
/// Shortest stay in a fan step, s.
const STEP_DWELL_S: f64 = 600.0;
/// Proportional gain of the valve, per K.
const VALVE_GAIN: f64 = 0.14;
/// Integral time of the valve, s.
const VALVE_INTEGRAL_S: f64 = 1500.0;
/// The valve closes below the first demand and opens again above the second: a valve seat does not
/// throttle to zero, and without the gap the valve would hunt.
const VALVE_BAND: (f64, f64) = (0.12, 0.24);
/// Largest valve position with the pump at full speed; commissioning limits the flow to about
/// 0.8 m3/h with it. At reduced speed the valve may open fully.
const VALVE_LIMIT_FULL: f64 = 0.655;
/// Heater on and off when the room is this much below its set-point, K.
const HEATER_BAND_K: (f64, f64) = (0.2, 1.2);
/// The pump stops when there was no demand for this long, s.
const PUMP_OVERRUN_S: f64 = 900.0;
/// Pump speed outside occupied hours, as a share of full speed.
const PUMP_NIGHT_SPEED: f64 = 0.62;

/// What the controller asks of the plant.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Commands {
    /// Valve position, 0..1.
    pub(super) valve: f64,
    /// Fan motor speed, rpm.
    pub(super) fan_rpm: f64,
    /// Pump speed, 0..1.
    pub(super) pump: f64,
    /// Heater contactor.
    pub(super) heater: bool,
}

/// Controller state of one unit.
#[derive(Debug, Default)]
pub(super) struct Controller {
    integral: f64,
    open: bool,
    step: usize,
    step_age_s: f64,
    heater: bool,
    idle_s: f64,
}

impl Controller {
    /// One scan of the controller after `dt_s` seconds with the room at `room_c` degC.
    pub(super) fn scan(&mut self, room_c: f64, world: &Surroundings, dt_s: f64) -> Commands {
        if !world.mode_on {
            *self = Self { idle_s: PUMP_OVERRUN_S, step_age_s: STEP_DWELL_S, ..Self::default() };
            return Commands::default();
        }
        let warm_k = room_c - world.setpoint_c;
        self.heater = -warm_k > if self.heater { HEATER_BAND_K.0 } else { HEATER_BAND_K.1 };
        let demand = if self.heater { self.stop_cooling() } else { self.cooling_demand(warm_k, dt_s) };
        self.idle_s = if demand > 0.0 { 0.0 } else { self.idle_s + dt_s };
        self.stage_fan(demand, world.lowest_step, dt_s);
        let (pump, valve_limit) =
            if world.occupied { (1.0, VALVE_LIMIT_FULL) } else { (PUMP_NIGHT_SPEED, 1.0) };
        Commands {
            valve: demand * valve_limit,
            fan_rpm: FAN_STEPS_RPM.get(self.step).copied().unwrap_or_default(),
            pump: if self.idle_s < PUMP_OVERRUN_S { pump } else { 0.0 },
            heater: self.heater,
        }
    }

    /// PI with the integral clamped to the range of the valve (no wind-up).
    fn cooling_demand(&mut self, warm_k: f64, dt_s: f64) -> f64 {
        self.integral = (self.integral + VALVE_GAIN * warm_k * dt_s / VALVE_INTEGRAL_S).clamp(0.0, 1.0);
        let demand = (VALVE_GAIN * warm_k + self.integral).clamp(0.0, 1.0);
        self.open = demand > if self.open { VALVE_BAND.0 } else { VALVE_BAND.1 };
        if self.open { demand } else { 0.0 }
    }

    /// Never heat and cool at once.
    fn stop_cooling(&mut self) -> f64 {
        self.integral = 0.0;
        self.open = false;
        0.0
    }

    fn stage_fan(&mut self, demand: f64, lowest: usize, dt_s: f64) {
        self.step_age_s += dt_s;
        if self.heater {
            // Heating wants warm air more than much air: the lowest step, at once.
            self.step = 1;
            return;
        }
        let wanted =
            |margin: f64| 1 + STEP_UP_DEMAND.iter().filter(|level| demand > **level - margin).count();
        let step = self.step.clamp(wanted(0.0), wanted(STEP_HYSTERESIS)).max(lowest);
        if step != self.step && self.step_age_s >= STEP_DWELL_S {
            self.step = step;
            self.step_age_s = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hot_room_opens_the_valve_and_raises_the_fan() {
        let mut controller = Controller::default();
        let mut commands = Commands::default();
        for _ in 0..500 {
            commands = controller.scan(30.0, &Surroundings::ordinary(20.0), 10.0);
        }
        assert_eq!(commands.valve, VALVE_LIMIT_FULL);
        assert_eq!(commands.fan_rpm, 1395.0);
        assert_eq!(commands.pump, 1.0);
        assert!(!commands.heater);
    }

    #[test]
    fn the_heater_has_hysteresis() {
        let mut controller = Controller::default();
        let mut heater_at = |room_c| controller.scan(room_c, &Surroundings::ordinary(24.0), 10.0).heater;
        assert!(!heater_at(23.0));
        assert!(heater_at(22.7));
        assert!(heater_at(23.7));
        assert!(!heater_at(23.9));
        assert!(!heater_at(23.5));
    }

    #[test]
    fn the_pump_overruns_and_then_stops() {
        let mut controller = Controller::default();
        controller.scan(26.0, &Surroundings::ordinary(24.0), 10.0);
        let running = (0..200)
            .filter(|_| controller.scan(22.0, &Surroundings::ordinary(24.0), 10.0).pump > 0.0)
            .count();
        // The integral has to run empty first, then the overrun counts.
        assert!((89..130).contains(&running), "{running} scans");
    }

    #[test]
    fn switched_off_means_everything_off() {
        let mut controller = Controller::default();
        controller.scan(30.0, &Surroundings::ordinary(20.0), 10.0);
        let commands =
            controller.scan(30.0, &Surroundings { mode_on: false, ..Surroundings::ordinary(20.0) }, 10.0);
        assert_eq!((commands.valve, commands.fan_rpm, commands.pump), (0.0, 0.0, 0.0));
        assert!(!commands.heater);
    }
}
