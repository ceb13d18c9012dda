//! What cooltwin promises beside its peers, and whether it holds.

use std::env;

use serde::Serialize;

use crate::measure::SPIN;
use crate::report::{Table, has_flag, rows_in_words};
use crate::{ort, ours, python};

/// What ONNX Runtime took on the machine that the promised times were stated for, all three targets, microseconds.
const STATED_ORT_US: f64 = 33.0;

/// One promise.
#[derive(Serialize)]
pub struct Bar {
    /// The suite it is about.
    pub suite: String,
    /// What is promised.
    pub what: String,
    /// How much.
    pub promised: String,
    /// What was found.
    pub measured: String,
    /// Whether it is kept.
    pub holds: bool,
}

/// The promises that a table answers.
pub fn of(table: &Table) -> Vec<Bar> {
    let (ours, _) = table.all(ours::NAME);
    let at_least = |peer: &str, factor: f64| {
        let times = table.all(peer).0 / ours;
        let what = format!("all three, {}: times as fast as {peer}", rows_in_words(table.batch));
        let measured = if times.is_nan() { "not measured".to_owned() } else { format!("{times:.1}") };
        bar(table, what, format!("at least {factor}"), measured, times >= factor)
    };
    match table.batch {
        1 => {
            let mut bars =
                vec![at_least(ort::RUN, 10.0), at_least(ort::BOUND, 8.0), at_least(python::NAME, 20.0)];
            bars.extend(times_promised(table));
            bars.extend(tail_promised(table));
            bars
        }
        1024 => vec![at_least(ort::RUN, 6.0)],
        _ => Vec::new(),
    }
}

fn bar(table: &Table, what: String, promised: String, measured: String, holds: bool) -> Bar {
    Bar { suite: table.suite.clone(), what, promised, measured, holds }
}

/// The stated times, on a machine as fast as ONNX Runtime shows this one to be.
fn times_promised(table: &Table) -> Vec<Bar> {
    let (ours, theirs) = (table.all(ours::NAME).0 / 1000.0, table.all(ort::RUN).0 / 1000.0);
    let within = |stated: f64, which: &str| {
        let limit = stated * theirs / STATED_ORT_US;
        let what =
            format!("all three, single rows: {stated} us where ONNX Runtime takes {STATED_ORT_US}{which}");
        bar(table, what, format!("at most {limit:.2} us"), format!("{ours:.2} us"), ours <= limit)
    };
    let mut bars = vec![within(3.5, "")];
    let kernel = env::var(ours::KERNEL_VARIABLE).unwrap_or_default();
    if has_flag("avx512vbmi") && (matches!(kernel.as_str(), "" | "auto") || kernel.contains("avx512")) {
        bars.push(within(2.7, ", with AVX-512"));
    }
    bars
}

/// What p99 lies above p50, beside a loop that is as long and does the same work every time: over all calls, and in
/// the median round, which shows a machine that is busy now and then without its spells.
fn tail_promised(table: &Table) -> [Bar; 2] {
    let overall = |name: &str| table.all(name).1 / table.all(name).0 - 1.0;
    let judge = |which: &str, ours: f64, noise: f64| {
        let (ours, noise) = (ours * 100.0, noise * 100.0);
        let what =
            format!("all three, single rows: percent that p99 lies above p50, beyond a spin as long{which}");
        let measured = format!("{:.1} ({ours:.1} and {noise:.1})", ours - noise);
        bar(table, what, "at most 2".to_owned(), measured, ours - noise <= 2.0)
    };
    [
        judge(", over all calls", overall(ours::NAME), overall(SPIN)),
        judge(", in the median round", table.excess(ours::NAME), table.excess(SPIN)),
    ]
}
