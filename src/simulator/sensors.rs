//! From true values to what a logger reports: noise, cut-offs, rounding, computed channels.

use super::plant::Plant;
use super::random::Stream;
use super::surroundings::Surroundings;
use super::{CHANNEL_COUNT, CHANNELS};

/// Quality of one kind of measuring chain.
#[derive(Debug, Clone, Copy)]
struct Grade {
    /// One standard deviation of the noise.
    noise: f64,
    /// Decimals the logger keeps.
    decimals: i32,
    /// True values below this report exactly 0, and no report is negative. None: no such cut-off.
    cutoff: Option<f64>,
}

const fn grade(noise: f64, decimals: i32) -> Grade {
    Grade { noise, decimals, cutoff: None }
}

const fn gauge(noise: f64, decimals: i32, cutoff: f64) -> Grade {
    Grade { noise, decimals, cutoff: Some(cutoff) }
}

/// A number set by hand or a switch: no noise.
const SETTING: Grade = grade(0.0, 1);
/// Pt100 elements behind good transmitters, reported to a hundredth of a kelvin.
const TEMPERATURE: Grade = grade(0.03, 2);
/// Outlet air is uneven over the duct.
const OUTLET_AIR: Grade = grade(0.06, 2);
/// Magnetic flow meter, m3/h, with the usual low-flow cut-off.
const WATER_FLOW: Grade = gauge(0.0008, 4, 0.003);
/// A closed bypass still shows a trace.
const BYPASS_FLOW: Grade = gauge(0.0005, 4, 0.0);
/// Averaging pitot in the duct.
const AIR_FLOW: Grade = grade(3.5, 1);
const PUMP_PRESSURE: Grade = grade(3.0, 1);
const VALVE_PRESSURE: Grade = gauge(1.0, 1, 0.0);
const COIL_PRESSURE: Grade = grade(0.1, 2);
const SPEED: Grade = gauge(1.5, 1, 5.0);
const VOLTAGE: Grade = gauge(0.5, 1, 2.0);
const CURRENT: Grade = gauge(0.004, 3, 0.02);
/// Computed by the logger from channels it reports: no error of its own but rounding.
const COMPUTED_PRESSURE: Grade = grade(0.0, 1);
const COMPUTED_KV: Grade = grade(0.0, 3);

/// The grade of each channel, in the order of [`CHANNELS`].
const GRADES: [Grade; CHANNEL_COUNT] = [
    TEMPERATURE,
    SETTING,
    PUMP_PRESSURE,
    TEMPERATURE,
    COMPUTED_PRESSURE,
    WATER_FLOW,
    CURRENT,
    VALVE_PRESSURE,
    WATER_FLOW,
    SPEED,
    COMPUTED_KV,
    VOLTAGE,
    VOLTAGE,
    CURRENT,
    TEMPERATURE,
    SPEED,
    PUMP_PRESSURE,
    COIL_PRESSURE,
    BYPASS_FLOW,
    SETTING,
    OUTLET_AIR,
    TEMPERATURE,
    AIR_FLOW,
];

/// Valve pressures below this give no meaningful Kv, mbar; the logger then reports 0.
const KV_LEAST_MBAR: f64 = 5.0;

/// The measuring chain of one unit: one noise stream a channel.
#[derive(Debug)]
pub(super) struct Sensors {
    noise: [Stream; CHANNEL_COUNT],
}

impl Sensors {
    pub(super) fn new(seed: u64, unit: u32) -> Self {
        Self { noise: CHANNELS.map(|channel| Stream::new(seed, unit, channel)) }
    }

    /// One row in the order of [`CHANNELS`].
    pub(super) fn read(&mut self, plant: &Plant, world: &Surroundings) -> [f64; CHANNEL_COUNT] {
        let mut row = true_values(plant, world);
        for ((value, grade), noise) in row.iter_mut().zip(&GRADES).zip(&mut self.noise) {
            *value = report(*value, grade, noise);
        }
        // The logger computes these two from what it reports itself, so the identities hold to rounding.
        let [_, _, suction, _, rise, flow, _, valve_mbar, _, _, kv, .., discharge, _, _, _, _, _, _] =
            &mut row;
        *rise = round(*discharge - *suction, COMPUTED_PRESSURE.decimals);
        *kv = if *valve_mbar < KV_LEAST_MBAR {
            0.0
        } else {
            round(*flow / (*valve_mbar / 1000.0).sqrt(), COMPUTED_KV.decimals)
        };
        row
    }
}

/// What perfect sensors would show, in the order of [`CHANNELS`].
fn true_values(plant: &Plant, world: &Surroundings) -> [f64; CHANNEL_COUNT] {
    [
        world.ambient_c,
        world.setpoint_c,
        plant.suction_mbar,
        plant.room_c,
        plant.rise_mbar,
        plant.water_m3h,
        pump_current(plant),
        plant.valve_bar * 1000.0,
        plant.water_m3h,
        plant.fan_rpm,
        0.0,
        plant.heater_v,
        world.mains_v * plant.pump,
        plant.heater_a,
        plant.water_in_c,
        plant.motor_rpm,
        plant.suction_mbar + plant.rise_mbar,
        plant.coil_mbar,
        plant.bypass_m3h,
        f64::from(u8::from(world.mode_on)),
        plant.air_out_c,
        plant.water_out_c,
        plant.air_m3h,
    ]
}

/// Pump motor current, A: magnetising part plus a part that grows with the flow.
fn pump_current(plant: &Plant) -> f64 {
    plant.pump * (0.58 + 0.42 * plant.water_m3h)
}

fn report(value: f64, grade: &Grade, noise: &mut Stream) -> f64 {
    if grade.noise == 0.0 {
        return round(value, grade.decimals);
    }
    // Drawn even where a cut-off hides it, so that a change of state does not shift the stream.
    let read = value + grade.noise * noise.normal();
    match grade.cutoff {
        Some(cutoff) if value < cutoff => 0.0,
        Some(_) => round(read.max(0.0), grade.decimals),
        None => round(read, grade.decimals),
    }
}

/// The double nearest to `value` with that many decimals, so that its shortest text is short.
fn round(value: f64, decimals: i32) -> f64 {
    let scale = match decimals {
        1 => 10.0,
        2 => 100.0,
        3 => 1000.0,
        _ => 10_000.0,
    };
    // Adding zero turns a negative zero into a plain one.
    (value * scale).round() / scale + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounded_values_print_short() {
        for (value, decimals, text) in [
            (21.346_7, 2, "21.35"),
            (0.300_000_000_004, 1, "0.3"),
            (-0.000_01, 2, "0"),
            (0.123_44, 4, "0.1234"),
            (1116.04, 1, "1116"),
        ] {
            assert_eq!(round(value, decimals).to_string(), text);
        }
    }
}
