//! The physics of one unit cooler and its room: hydraulics, fan, coil, heater, air.
//!
//! Every element is a first-order lag solved exactly over a sub-step, so any sub-step is stable.
//! All units are of one make and share these constants: they differ in what happens to them. A
//! reference model trained on some seeds must hold for others; a spread of make would only add
//! an error that no input explains. A site's own spread is what a site's own training is for.

use super::control::Commands;
use super::surroundings::Surroundings;

/// Heat capacity of air per volume flow, kW/K per m3/h (1.2 kg/m3, 1.006 kJ/kgK).
pub(super) const AIR_KW_PER_K_M3H: f64 = 1.2 * 1.006 / 3600.0;
/// Heat capacity of water per volume flow, kW/K per m3/h (999 kg/m3, 4.19 kJ/kgK).
pub(super) const WATER_KW_PER_K_M3H: f64 = 0.999 * 4.19 / 3.6;
/// Largest share by which condensation raises the water-side heat above the air-side sensible heat.
pub(super) const LATENT_LIMIT: f64 = 0.35;
/// Fan speed over motor speed: the belt.
pub(super) const BELT_RATIO: f64 = 0.70;
/// Kv of the fully open mixing valve, m3/h at 1 bar.
const VALVE_KV: f64 = 2.6;
/// Pump rise at full speed and at rest, mbar.
const PUMP_RISE_MBAR: (f64, f64) = (1550.0, 28.0);
/// Suction pressure at full speed and at rest, mbar.
const SUCTION_MBAR: (f64, f64) = (-271.0, 71.0);
/// Valve differential pressure: head at no flow (bar) and circuit resistance (bar per (m3/h)^2).
const VALVE_HEAD_BAR: (f64, f64) = (0.68, 0.39);
/// Coil water pressure drop: static part (mbar) and resistance (mbar per (m3/h)^2).
const COIL_DROP_MBAR: (f64, f64) = (9.0, 39.0);
/// Coil conductance (kW/K) at the reference flows of air and water (m3/h), and their exponents.
const COIL_UA: f64 = 0.15;
const COIL_REFERENCE_M3H: (f64, f64) = (870.0, 0.150);
const COIL_EXPONENTS: (f64, f64) = (0.6, 0.5);
/// Latent share per kelvin of dew point above the coil surface.
const LATENT_PER_K: f64 = 0.05;
/// The coil surface lies this share of the way from water inlet to air inlet temperature.
const SURFACE_SHARE: f64 = 0.3;
/// Air flow per motor speed, m3/h per rpm.
const AIR_PER_RPM: f64 = 0.80;
/// Heater resistance as seen by its meters: 417 V drive 3.05 A.
const HEATER_OHM: f64 = 417.0 / 3.05;
/// First-order lags, s.
const VALVE_LAG_S: f64 = 25.0;
const FAN_LAG_S: f64 = 6.0;
const PUMP_LAG_S: f64 = 5.0;
const AIR_OUTLET_LAG_S: f64 = 35.0;
const HEATER_LAG_S: f64 = 15.0;
/// Water held by the coil and by the inlet pipe, m3; they set the flow-dependent lags.
const COIL_VOLUME_M3: f64 = 0.0015;
const PIPE_VOLUME_M3: f64 = 0.003;
/// How fast standing water takes the temperature of the air around it, s.
const COIL_REST_S: f64 = 180.0;
const PIPE_REST_S: f64 = 1500.0;
/// Room: heat capacity of air and light furnishing (kJ/K), conductance to the surroundings (kW/K).
const ROOM_KJ_PER_K: f64 = 1800.0;
const ROOM_KW_PER_K: f64 = 0.25;

/// How faults bend the physics. The default is a healthy unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wear {
    /// Factor on the coil's conductance.
    pub(super) coil: f64,
    /// Factor on the air flow.
    pub(super) air: f64,
    /// Factor on the belt ratio.
    pub(super) belt: f64,
    /// The valve does not close below this position, and leaks this share of return water
    /// into the coil inlet.
    pub(super) valve_jam: f64,
}

impl Default for Wear {
    fn default() -> Self {
        Self { coil: 1.0, air: 1.0, belt: 1.0, valve_jam: 0.0 }
    }
}

/// The state of the plant, and with it every true value a sensor could look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plant {
    pub(super) room_c: f64,
    pub(super) valve: f64,
    pub(super) motor_rpm: f64,
    pub(super) fan_rpm: f64,
    pub(super) pump: f64,
    pub(super) water_m3h: f64,
    pub(super) bypass_m3h: f64,
    pub(super) valve_bar: f64,
    pub(super) coil_mbar: f64,
    pub(super) suction_mbar: f64,
    pub(super) rise_mbar: f64,
    pub(super) air_m3h: f64,
    pub(super) water_in_c: f64,
    pub(super) water_out_c: f64,
    pub(super) air_out_c: f64,
    pub(super) heater_v: f64,
    pub(super) heater_a: f64,
    pub(super) heater_kw: f64,
    /// Latent heat over sensible heat in the coil at this instant.
    pub(super) latent: f64,
}

impl Plant {
    /// A plant at rest in a room at ambient temperature.
    pub(super) fn at_rest(ambient_c: f64) -> Self {
        Self {
            room_c: ambient_c,
            valve: 0.0,
            motor_rpm: 0.0,
            fan_rpm: 0.0,
            pump: 0.0,
            water_m3h: 0.0,
            bypass_m3h: 0.0,
            valve_bar: 0.0,
            coil_mbar: COIL_DROP_MBAR.0,
            suction_mbar: SUCTION_MBAR.1,
            rise_mbar: PUMP_RISE_MBAR.1,
            air_m3h: 380.0,
            water_in_c: ambient_c,
            water_out_c: ambient_c,
            air_out_c: ambient_c,
            heater_v: 0.0,
            heater_a: 0.0,
            heater_kw: 0.0,
            latent: 0.0,
        }
    }

    /// Advance by `dt_s` seconds.
    pub(super) fn step(&mut self, commands: &Commands, world: &Surroundings, wear: &Wear, dt_s: f64) {
        self.move_water(commands, wear, dt_s);
        self.move_air(commands, world, wear, dt_s);
        self.heat(commands, world, dt_s);
        self.exchange(world, wear, dt_s);
    }

    /// Pump and valve: the flow at which valve and circuit share the head.
    fn move_water(&mut self, commands: &Commands, wear: &Wear, dt_s: f64) {
        let jammed = if wear.valve_jam > 0.0 { commands.valve.max(wear.valve_jam) } else { commands.valve };
        self.valve = lag(self.valve, jammed, VALVE_LAG_S, dt_s);
        self.pump = lag(self.pump, commands.pump, PUMP_LAG_S, dt_s);
        let speed_square = self.pump * self.pump;
        let kv = VALVE_KV * (0.25 * self.valve + 0.75 * self.valve * self.valve);
        let (head, resistance) = VALVE_HEAD_BAR;
        self.valve_bar = head * speed_square / (1.0 + resistance * kv * kv);
        self.water_m3h = kv * self.valve_bar.sqrt();
        self.bypass_m3h = 0.5 * wear.valve_jam * self.water_m3h;
        self.coil_mbar = COIL_DROP_MBAR.0 + COIL_DROP_MBAR.1 * self.water_m3h * self.water_m3h;
        self.rise_mbar = PUMP_RISE_MBAR.1 + (PUMP_RISE_MBAR.0 - PUMP_RISE_MBAR.1) * speed_square;
        self.suction_mbar = SUCTION_MBAR.1 + (SUCTION_MBAR.0 - SUCTION_MBAR.1) * speed_square;
    }

    /// Fan and natural draught; the draught matters only where the fan is slow.
    fn move_air(&mut self, commands: &Commands, world: &Surroundings, wear: &Wear, dt_s: f64) {
        self.motor_rpm = lag(self.motor_rpm, commands.fan_rpm, FAN_LAG_S, dt_s);
        self.fan_rpm = BELT_RATIO * wear.belt * self.motor_rpm;
        let driven = AIR_PER_RPM / BELT_RATIO * self.fan_rpm * world.duct_factor;
        let draught_square = world.draught_m3h * world.draught_m3h;
        let sixth = draught_square * draught_square * draught_square + libm::pow(driven, 6.0);
        self.air_m3h = wear.air * libm::pow(sixth, 1.0 / 6.0);
    }

    fn heat(&mut self, commands: &Commands, world: &Surroundings, dt_s: f64) {
        self.heater_v = if commands.heater { world.mains_v } else { 0.0 };
        self.heater_a = self.heater_v / HEATER_OHM;
        let electric_kw = 3.0_f64.sqrt() * self.heater_v * self.heater_a / 1000.0;
        self.heater_kw = lag(self.heater_kw, electric_kw, HEATER_LAG_S, dt_s);
    }

    /// Coil, outlets, inlet pipe and room.
    fn exchange(&mut self, world: &Surroundings, wear: &Wear, dt_s: f64) {
        let flow_m3s = self.water_m3h / 3600.0;
        let supply_rate = flow_m3s / PIPE_VOLUME_M3;
        let pipe_rate = supply_rate + 1.0 / PIPE_REST_S;
        let pipe_aim_c = (world.supply_c * supply_rate + world.ambient_c / PIPE_REST_S) / pipe_rate;
        self.water_in_c = lag(self.water_in_c, pipe_aim_c, 1.0 / pipe_rate, dt_s);

        // Return water leaking past a jammed valve joins after the inlet sensor.
        let leak = if self.water_m3h > 0.0 { self.bypass_m3h / self.water_m3h } else { 0.0 };
        let coil_in_c = self.water_in_c + leak * (self.water_out_c - self.water_in_c);
        let air_kw_per_k = self.air_m3h * AIR_KW_PER_K_M3H;
        let water_kw_per_k = self.water_m3h * WATER_KW_PER_K_M3H;
        let ua = conductance(self.air_m3h, self.water_m3h) * world.coil_factor * wear.coil;
        let least = air_kw_per_k.min(water_kw_per_k);
        let spread_k = self.room_c - coil_in_c;
        let sensible_kw = effectiveness(ua, air_kw_per_k, water_kw_per_k) * least * spread_k;
        // Share of the largest possible rise the water makes; 1 as the flow vanishes.
        let water_share = if water_kw_per_k > 0.0 {
            effectiveness(ua, air_kw_per_k, water_kw_per_k) * least / water_kw_per_k
        } else {
            1.0
        };
        let surface_c = coil_in_c + SURFACE_SHARE * spread_k;
        let wet = (LATENT_PER_K * (world.dew_point_c - surface_c)).clamp(0.0, LATENT_LIMIT);
        // Condensation fades as the water warms towards the air, so the outlet never passes it.
        self.latent = if spread_k > 0.0 { wet * (1.0 - water_share) } else { 0.0 };
        let water_aim_c = coil_in_c + water_share * (1.0 + self.latent) * spread_k;
        let water_lag_s = 1.0 / (1.0 / COIL_REST_S + flow_m3s / COIL_VOLUME_M3);
        self.water_out_c = lag(self.water_out_c, water_aim_c, water_lag_s, dt_s);

        let air_aim_c = self.room_c + (self.heater_kw - sensible_kw) / air_kw_per_k;
        self.air_out_c = lag(self.air_out_c, air_aim_c, AIR_OUTLET_LAG_S, dt_s);

        let gain_kw = world.load_kw + self.heater_kw - sensible_kw;
        let room_aim_c = world.ambient_c + gain_kw / ROOM_KW_PER_K;
        self.room_c = lag(self.room_c, room_aim_c, ROOM_KJ_PER_K / ROOM_KW_PER_K, dt_s);
    }
}

/// First-order lag over `dt_s`, exact for a constant aim.
fn lag(value: f64, aim: f64, time_constant_s: f64, dt_s: f64) -> f64 {
    value + (aim - value) * (1.0 - libm::exp(-dt_s / time_constant_s))
}

/// Conductance of the clean coil, kW/K.
fn conductance(air_m3h: f64, water_m3h: f64) -> f64 {
    COIL_UA
        * libm::pow(air_m3h / COIL_REFERENCE_M3H.0, COIL_EXPONENTS.0)
        * libm::pow(water_m3h / COIL_REFERENCE_M3H.1, COIL_EXPONENTS.1)
}

/// Effectiveness of a cross-flow exchanger with both fluids unmixed (the usual NTU approximation).
fn effectiveness(ua: f64, air_kw_per_k: f64, water_kw_per_k: f64) -> f64 {
    let least = air_kw_per_k.min(water_kw_per_k);
    if least <= 0.0 {
        return 0.0;
    }
    let ratio = least / air_kw_per_k.max(water_kw_per_k);
    let ntu = ua / least;
    // `expm1` because a valve that is almost closed makes the ratio vanish.
    -libm::expm1(libm::expm1(-ratio * libm::pow(ntu, 0.78)) * libm::pow(ntu, 0.22) / ratio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effectiveness_approaches_its_limits() {
        // A vanishing capacity ratio leaves the evaporator formula 1 - exp(-NTU).
        let ntu: f64 = 1.3;
        let limit = -libm::expm1(-ntu);
        assert!((effectiveness(ntu * 1e-9, 1.0, 1e-9) - limit).abs() < 1e-6);
        assert!(effectiveness(100.0, 1.0, 0.1) > 0.999);
        assert_eq!(effectiveness(1.0, 1.0, 0.0), 0.0);
        // A closing valve passes through every small flow: the water must leave at air temperature.
        for flow in [1e-6_f64, 1e-12, 1e-18, 1e-30] {
            assert!(effectiveness(0.15 * flow.sqrt(), 0.2, flow) > 0.999);
        }
        // Published chart value: NTU = 1, equal capacities, both unmixed: about 0.48.
        assert!((effectiveness(1.0, 1.0, 1.0) - 0.476).abs() < 0.01);
    }

    #[test]
    fn the_coil_has_its_reference_conductance() {
        assert!((conductance(870.0, 0.150) - 0.15).abs() < 1e-12);
    }
}
