use super::*;
use crate::simulator::{Simulator, SimulatorConfig, format};

/// A board after `rows` rows whose residual of UCAF jumps by -100 when the fault sets in at row 40.
pub(in crate::cli::demo) fn played(rows: u64) -> Board {
    played_with(rows, 2)
}

/// The same with more units.
pub(in crate::cli::demo) fn played_with(rows: u64, units: u32) -> Board {
    let targets = [("UCAOT", "degC"), ("UCWOT", "degC"), ("UCAF", "m3/h")];
    let targets = targets.map(|(name, unit)| Target { name: name.to_owned(), unit: unit.to_owned() });
    let fault =
        FaultPlan { unit: "cooler-02".to_owned(), from_row: 40, name: "clogged-filter:0.3".to_owned() };
    let mut board = Board::new(targets.to_vec(), Some(fault));
    let mut simulator = Simulator::new(SimulatorConfig { units, ..SimulatorConfig::default() }).unwrap();
    for _ in 0..rows {
        let row = simulator.next_row();
        let at = Duration::from_millis(250 * row.index);
        board.sent(row.clone(), at);
        for unit in &row.units {
            let shift = if row.index >= 40 && unit.unit == "cooler-02" { 100.0 } else { 0.0 };
            let measured = |name| value_of(unit, name).unwrap();
            let document = json!({
                "time": format::rfc3339(unit.time_us), "unit": unit.unit, "quality": "good", "reasons": [],
                "UCAOT": measured("UCAOT") + 0.1, "UCWOT": measured("UCWOT"),
                "UCAF": measured("UCAF") + 5.0 + shift, "latency_us": {"total": 20.0},
            });
            let bytes = serde_json::to_vec(&document).unwrap();
            assert!(board.predicted(&bytes, at + Duration::from_millis(1)).is_some());
        }
    }
    board
}

#[test]
fn a_fault_is_marked_where_it_is_and_nowhere_else() {
    let healthy = played(40);
    assert!(healthy.units.iter().flat_map(|unit| &unit.targets).all(|target| !target.is_marked()));
    let board = played(70);
    let marked = |unit: usize| board.units[unit].targets.iter().map(TargetBoard::is_marked);
    assert_eq!(marked(0).collect::<Vec<_>>(), [false, false, false]);
    assert_eq!(marked(1).collect::<Vec<_>>(), [false, false, true]);
    assert!((board.units[1].targets[2].smoothed().unwrap() + 105.0).abs() < 1e-6);
    let summary = board.summary(Duration::from_secs(18));
    assert!(summary.starts_with("140 predictions for 2 units in 18 s"), "{summary}");
    assert!(summary.ends_with("cooler-02 UCAF by -105.0 m3/h"), "{summary}");
    assert!(board.is_faulty("cooler-02") && !board.is_faulty("cooler-01"));
}

#[test]
fn rates_and_latencies() {
    let board = played(40);
    assert!((board.rate(Duration::from_millis(250 * 39)) - 8.0).abs() <= 1.0);
    let (daemon, round_trip) = board.latencies();
    assert_eq!(daemon.unwrap().p50, 20.0);
    assert!((round_trip.unwrap().p50 - 1000.0).abs() < 1.0);
}

#[test]
fn what_is_none_of_ours_is_left_alone() {
    let mut board = played(1);
    for payload in [&b""[..], b"{}", b"[1]", br#"{"unit":"x","time":"2026-01-05T00:00:00Z"}"#] {
        assert_eq!(board.predicted(payload, Duration::ZERO), None);
    }
    assert_eq!(board.predictions, 2);
}
