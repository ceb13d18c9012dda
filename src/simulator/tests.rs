//! The identities of the real recordings, determinism, and every fault doing what it says.

use super::plant::{AIR_KW_PER_K_M3H, BELT_RATIO, LATENT_LIMIT, WATER_KW_PER_K_M3H};
use super::random::fnv1a;
use super::*;

/// A day and a half at 30 s: all hours, modes and most set-points.
const LONG: usize = 4320;

fn simulate(seed: u64, units: u32, rows: usize, faults: &[&str]) -> Vec<UnitRow> {
    let faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
    let config = SimulatorConfig { seed, units, faults, ..SimulatorConfig::default() };
    let mut simulator = Simulator::new(config).unwrap();
    (0..rows).flat_map(|_| simulator.next_row().units).collect()
}

fn csv(rows: &[UnitRow]) -> String {
    let mut text = format::csv_header();
    for row in rows {
        format::csv_row(row, &mut text);
    }
    text
}

fn place(id: &str) -> usize {
    CHANNELS.iter().position(|channel| *channel == id).unwrap()
}

fn get(row: &UnitRow, id: &str) -> f64 {
    row.values[place(id)].unwrap()
}

/// Mean of (faulty - healthy) over the rows that pass `pick`.
fn shift(
    healthy: &[UnitRow],
    faulty: &[UnitRow],
    of: impl Fn(&UnitRow) -> f64,
    pick: impl Fn(&UnitRow) -> bool,
) -> f64 {
    let pairs: Vec<f64> =
        healthy.iter().zip(faulty).filter(|(h, f)| pick(h) && pick(f)).map(|(h, f)| of(f) - of(h)).collect();
    assert!(pairs.len() > 100, "only {} rows to compare", pairs.len());
    pairs.iter().sum::<f64>() / pairs.len() as f64
}

#[test]
fn the_valve_obeys_its_kv() {
    for row in simulate(3, 2, LONG, &[]) {
        let bar = get(&row, "MVDP") / 1000.0;
        let flow = get(&row, "MVCV") * bar.sqrt();
        // Half a unit of the last decimal of Kv.
        if bar >= 0.005 {
            assert!((get(&row, "UCWF") - flow).abs() <= 0.000_5 * bar.sqrt() + 1e-9, "{row:?}");
        }
        assert!(bar > -1e-9 && bar < 0.69);
    }
}

#[test]
fn pump_pressures_and_flows_belong_together() {
    for row in simulate(4, 2, LONG, &[]) {
        let rise = get(&row, "CPDP") - get(&row, "CPSP");
        assert!((get(&row, "CPPR") - rise).abs() < 0.05 + 1e-9, "{row:?}");
        assert!((get(&row, "CPCF") - get(&row, "UCWF")).abs() < 0.008, "{row:?}");
        let flow = get(&row, "UCWF");
        assert!((get(&row, "UCWDP") - 9.0 - 39.0 * flow * flow).abs() < 0.7, "{row:?}");
    }
}

#[test]
fn fan_heater_and_mode_belong_together() {
    for row in simulate(5, 2, LONG, &[]) {
        let motor = get(&row, "UCFMS");
        if motor > 100.0 {
            assert!((get(&row, "UCFS") / motor - BELT_RATIO).abs() < 0.02 + 3.0 / motor, "{row:?}");
        }
        if motor > 1000.0 {
            assert!((get(&row, "UCAF") / motor - 0.80).abs() < 0.04, "{row:?}");
        }
        let (volts, amperes) = (get(&row, "UCHV"), get(&row, "UCHC"));
        assert_eq!(volts > 0.0, amperes > 0.0, "{row:?}");
        if volts > 0.0 {
            assert!((volts / amperes - 417.0 / 3.05).abs() < 1.5, "{row:?}");
        }
        if get(&row, "UCOM") == 0.0 {
            assert_eq!((volts, get(&row, "MVWF") > 0.01), (0.0, false), "{row:?}");
        }
    }
}

#[test]
fn channels_stay_in_and_cover_their_ranges() {
    // Channel, hard limits (the table's range widened by noise), and what a month must reach.
    let table = [
        ("AMBT", 17.5, 33.5, 20.0, 30.0),
        ("UCTSP", 12.0, 30.0, 15.0, 28.0),
        ("CPSP", -316.0, 90.0, -265.0, 60.0),
        ("UCAIT", 13.0, 36.0, 19.5, 29.0),
        ("CPPR", 0.0, 1592.0, 40.0, 1540.0),
        ("UCWF", 0.0, 1.1, 0.0, 0.80),
        ("CPMC", 0.0, 1.02, 0.0, 0.9),
        ("MVDP", 0.0, 715.0, 0.0, 640.0),
        ("UCFS", 0.0, 990.0, 0.0, 970.0),
        ("MVCV", 0.0, 3.1, 0.0, 2.4),
        ("UCHV", 0.0, 425.0, 0.0, 400.0),
        ("CPMV", 0.0, 425.0, 0.0, 405.0),
        ("UCHC", 0.0, 3.15, 0.0, 2.9),
        ("UCWIT", 5.0, 33.0, 7.5, 25.0),
        ("UCFMS", 0.0, 1405.0, 0.0, 1390.0),
        ("CPDP", 80.0, 1317.0, 105.0, 1270.0),
        ("UCWDP", 6.0, 56.0, 9.2, 30.0),
        ("MVWF", 0.0, 0.005, 0.0, 0.000_5),
        ("UCOM", 0.0, 1.0, 0.0, 1.0),
        ("UCAOT", 8.0, 47.0, 15.5, 38.0),
        ("UCWOT", 7.0, 36.0, 13.0, 27.0),
        ("UCAF", 300.0, 1160.0, 390.0, 1110.0),
    ];
    let rows = simulate(6, 8, 10_000, &[]);
    for (id, low, high, reach_low, reach_high) in table {
        let values = || rows.iter().map(|row| get(row, id));
        let (least, most) =
            (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        assert!(least >= low && most <= high, "{id}: {least}..{most} leaves {low}..{high}");
        assert!(least <= reach_low && most >= reach_high, "{id}: {least}..{most} does not cover its range");
    }
}

#[test]
fn water_takes_what_air_gives() {
    let mut unit = Unit::new(8, 0, DEFAULT_START_US, &[]);
    let (mut steady, mut wet, mut before, mut calm) = (0, 0, unit.plant, 0);
    for row in 1..LONG as u64 {
        let time_us = DEFAULT_START_US + i64::try_from(row).unwrap() * 30_000_000;
        unit.report(row, time_us, 30.0);
        let now = unit.plant;
        let still = (now.water_m3h - before.water_m3h).abs() < 0.01
            && (now.water_in_c - before.water_in_c).abs() < 0.08
            && (now.air_m3h - before.air_m3h).abs() < 15.0
            && (now.heater_kw - before.heater_kw).abs() < 0.01;
        calm = if still { calm + 1 } else { 0 };
        before = now;
        // Ten rows are five minutes: several times every lag at this flow.
        if calm < 10 || now.water_m3h < 0.1 {
            continue;
        }
        let air_kw = now.air_m3h * AIR_KW_PER_K_M3H * (now.room_c - now.air_out_c) + now.heater_kw;
        let water_kw = now.water_m3h * WATER_KW_PER_K_M3H * (now.water_out_c - now.water_in_c);
        let share = water_kw / air_kw - 1.0;
        assert!((-0.03..LATENT_LIMIT + 0.03).contains(&share), "latent share {share}");
        assert!((share - now.latent).abs() < 0.03, "latent share {share} against {}", now.latent);
        steady += 1;
        wet += usize::from(now.latent > 0.02);
    }
    assert!(steady > 300 && wet > 30, "{steady} steady rows, {wet} with a wet coil");
}

#[test]
fn same_seed_same_bytes_and_another_seed_others() {
    let first = csv(&simulate(9, 2, 200, &[]));
    assert_eq!(first, csv(&simulate(9, 2, 200, &[])));
    assert_ne!(first, csv(&simulate(10, 2, 200, &[])));
    // One more unit does not disturb the first.
    let alone: Vec<String> = simulate(9, 1, 200, &[]).iter().map(|row| format!("{row:?}")).collect();
    let among: Vec<String> =
        simulate(9, 3, 200, &[]).iter().step_by(3).map(|row| format!("{row:?}")).collect();
    assert_eq!(alone, among);
}

/// If this changes without a change to the simulator, the platform's arithmetic differs.
#[test]
fn the_first_rows_are_these_very_bytes() {
    let text = csv(&simulate(42, 2, 500, &[]));
    assert_eq!(fnv1a(text.as_bytes()), 0xc86b_480f_6d70_b609, "digest is {:#018x}", fnv1a(text.as_bytes()));
}

#[test]
fn numbers_read_back_exactly() {
    for row in simulate(12, 1, 50, &[]) {
        let mut text = String::new();
        format::csv_row(&row, &mut text);
        let read: Vec<f64> = text.trim_end().split(',').skip(2).map(|cell| cell.parse().unwrap()).collect();
        assert_eq!(read, row.values.map(Option::unwrap));
    }
}

#[test]
fn rows_before_the_onset_and_faults_of_no_severity_change_nothing() {
    let kinds = [
        "fouled-coil",
        "clogged-filter",
        "belt-slip",
        "stuck-valve",
        "drift-UCAOT",
        "flatline-UCWF",
        "dropped-sensor",
        "swapped-columns",
        "sentinel",
    ];
    let healthy = simulate(13, 2, 300, &[]);
    for kind in kinds {
        let faulty = simulate(13, 2, 300, &[&format!("{kind}:0.5:120")]);
        assert_eq!(healthy[..240], faulty[..240], "{kind} acts before its onset");
        assert_ne!(healthy[240..], faulty[240..], "{kind} does nothing");
        assert_eq!(healthy, simulate(13, 2, 300, &[&format!("{kind}:0:120")]), "{kind} of severity 0 acts");
        let second = simulate(13, 2, 300, &[&format!("{kind}:0.5:120:cooler-02")]);
        assert!(healthy.iter().step_by(2).eq(second.iter().step_by(2)), "{kind} strikes the wrong unit");
    }
}

#[test]
fn physical_faults_move_what_they_should() {
    let healthy = simulate(14, 2, LONG, &[]);
    let run = |fault: &str| simulate(14, 2, LONG, &[fault]);
    let cooling = |row: &UnitRow| {
        get(row, "UCWF") > 0.1 && get(row, "UCHV") == 0.0 && row.values[place("UCOM")] == Some(1.0)
    };
    // The controller works against the fault, so compare what the coil makes of what it gets.
    let cooled = |row: &UnitRow| (get(row, "UCAIT") - row.truth[0]) / (get(row, "UCAIT") - get(row, "UCWIT"));
    let fouled = shift(&healthy, &run("fouled-coil:0.3:0"), cooled, cooling);
    assert!((-0.3..-0.02).contains(&fouled), "cooling share moved by {fouled}");
    let clogged =
        shift(&healthy, &run("clogged-filter:0.1:0"), |row| get(row, "UCAF") / get(row, "UCFMS"), cooling);
    assert!((-0.15..-0.05).contains(&clogged), "air per rpm moved by {clogged}");
    let slipping =
        shift(&healthy, &run("belt-slip:0.3:0"), |row| get(row, "UCFS") / get(row, "UCFMS"), cooling);
    assert!((slipping + 0.3 * BELT_RATIO).abs() < 0.01, "belt ratio moved by {slipping}");
    let stuck = run("stuck-valve:0.3:0");
    let leaking = shift(&healthy, &stuck, |row| get(row, "MVWF"), cooling);
    assert!(leaking > 0.03, "bypass flow moved by {leaking}");
    let open = |row: &&UnitRow| get(row, "CPMV") > 200.0 && get(row, "UCWF") < 0.05;
    assert!(
        stuck.iter().filter(open).count() < healthy.iter().filter(open).count() / 4,
        "the stuck valve closes"
    );
}

#[test]
fn sensor_faults_move_what_they_should() {
    let healthy = simulate(15, 1, 600, &[]);
    let run = |fault: &str| simulate(15, 1, 600, &[fault]);
    let late = |rows: Vec<UnitRow>, id: &str| -> Vec<Option<f64>> {
        rows.iter().skip(300).map(|row| row.values[place(id)]).collect()
    };
    let drift = run("drift-UCAOT:0.1:100");
    for (row, (one, other)) in healthy.iter().zip(&drift).enumerate() {
        let grown = if row < 100 { 0.0 } else { ((row as f64 - 99.0) / 120.0).min(1.0) };
        assert!((get(other, "UCAOT") - get(one, "UCAOT") - 0.5 * grown).abs() < 1e-4, "row {row}");
        assert_eq!(one.truth, other.truth);
    }
    let frozen = late(run("flatline-UCAIT:1:100"), "UCAIT");
    assert!(frozen.iter().all(|value| *value == healthy[100].values[place("UCAIT")]));
    let dropped = late(run("dropped-UCWIT:0.5:100"), "UCWIT").iter().filter(|value| value.is_none()).count();
    assert!((100..200).contains(&dropped), "{dropped} of 300 dropped");
    assert!(late(run("sentinel-UCWF:1:100"), "UCWF").iter().all(|value| *value == Some(SENTINEL)));
    assert_eq!(late(run("swapped-UCAIT-UCWIT:1:100"), "UCAIT"), late(healthy, "UCWIT"));
}

#[test]
fn faults_parse_print_and_fail_with_a_remedy() {
    for (text, printed) in [
        ("fouled-coil:0.3:240", "fouled-coil:0.3:240"),
        ("belt_slip:1:0:cooler-02", "belt-slip:1:0:cooler-02"),
        ("drift-ucaot:0.1:5", "drift-UCAOT:0.1:5"),
        ("flatline:1:5", "flatline-UCWIT:1:5"),
        ("dropped-sensor:1:5", "dropped-UCWIT:1:5"),
        ("swapped-columns:1:5", "swapped-UCAIT-UCWIT:1:5"),
        ("sentinel-UCAF:0.01:5", "sentinel-UCAF:0.01:5"),
    ] {
        assert_eq!(text.parse::<FaultSpec>().unwrap().to_string(), printed);
    }
    for (text, expected) in [
        ("fouled-coil", "KIND:SEVERITY:FROM_ROW"),
        ("fouled-coil:0.3", "fouled-coil:0.3:240"),
        ("fouled-coil:0.3:1:", "KIND:SEVERITY:FROM_ROW"),
        ("rust:0.3:1", "the kinds are fouled-coil, clogged-filter, belt-slip, stuck-valve, drift-SENSOR"),
        ("drift-XYZ:0.3:1", "unknown sensor `XYZ`"),
        ("drift:0.3:1", "unknown fault kind `drift`"),
        ("belt-slip:30:1", "0 (healthy) to 1"),
        ("belt-slip:NaN:1", "0 (healthy) to 1"),
        ("belt-slip:1:-4", "first affected row"),
    ] {
        let message = text.parse::<FaultSpec>().unwrap_err().to_string();
        assert!(message.contains(expected), "{text}: {message}");
    }
}

#[test]
fn bad_settings_are_reported_together() {
    let config = SimulatorConfig {
        units: 0,
        start: -1,
        step: Duration::ZERO,
        faults: vec!["fouled-coil:0.3:0:cooler-09".parse().unwrap()],
        ..SimulatorConfig::default()
    };
    let error = Simulator::new(config).unwrap_err();
    assert_eq!(error.problems.len(), 4, "{error}");
    assert!(error.to_string().contains("no unit cooler-09"), "{error}");
}

#[test]
fn times_advance_by_the_step_and_any_step_works() {
    for millis in [100_u32, 1000, 7001, 3_600_000] {
        let step = Duration::from_millis(millis.into());
        let mut simulator = Simulator::new(SimulatorConfig { step, ..SimulatorConfig::default() }).unwrap();
        for row in 0..50_i64 {
            let now = simulator.next_row();
            assert_eq!(now.time_us, DEFAULT_START_US + row * i64::from(millis) * 1000);
            assert!(now.units[0].values.iter().flatten().all(|value| value.is_finite()));
        }
    }
}
