//! The numbers as a table or as JSON.

use std::fmt::Write as _;
use std::io::Write;

use anyhow::Context;
use serde::Serialize;

use super::host::Host;
use super::kernels;
use crate::bundle::LoadTimes;
use crate::cli::stats::Summary;
use crate::domain::ModelIdentity;

/// Everything measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) bundle: ModelIdentity,
    pub(super) host: Host,
    pub(super) warm_up: u32,
    pub(super) runs: u32,
    /// Median cost of reading the clock once, ns; every time below contains it.
    pub(super) timer_overhead_ns: f64,
    /// Loading the bundle: models, features, hashes, replay of the golden lines.
    pub(super) load_ms: f64,
    /// The steps of it.
    #[serde(rename = "load_steps_ms")]
    pub(super) load_steps: LoadSteps,
    /// Resident memory of the process with the bundle loaded.
    pub(super) resident_mb: Option<f64>,
    /// What loading added to it.
    pub(super) resident_by_load_mb: Option<f64>,
    pub(super) lines: Vec<Line>,
    /// All kernels on all models, where they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) kernels: Vec<kernels::Table>,
}

/// Where the time of loading went, in ms. The first load of the process: nothing was in any cache of it.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct LoadSteps {
    /// Decoding the models, checking them, laying out their kernels.
    pub(super) models: f64,
    /// Manifest, reference and feature programs.
    pub(super) features: f64,
    /// Comparing the files with their hashes.
    pub(super) hashes: f64,
    /// Replaying the golden lines.
    pub(super) golden: f64,
}

impl LoadSteps {
    pub(super) fn of(times: LoadTimes) -> Self {
        let [models, features, hashes, golden] =
            [times.models, times.features, times.hashes, times.golden].map(|ns| ns as f64 / 1e6);
        Self { models, features, hashes, golden }
    }
}

/// One thing measured.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    /// What.
    pub(super) name: String,
    /// Decoding and compiling the model alone, ms.
    pub(super) load_ms: Option<f64>,
    /// Size of the model file, bytes.
    pub(super) file_bytes: Option<usize>,
    /// Nanoseconds for one row.
    pub(super) ns: Summary,
    /// Rows a second, one thread.
    pub(super) per_second: f64,
}

impl Line {
    pub(super) fn new(name: impl Into<String>, ns: Summary) -> Self {
        Self { name: name.into(), load_ms: None, file_bytes: None, ns, per_second: 1e9 / ns.mean }
    }
}

impl Report {
    pub(super) fn write(&self, as_json: bool, out: &mut impl Write) -> anyhow::Result<()> {
        let text = if as_json { serde_json::to_string_pretty(self)? + "\n" } else { self.table() };
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("writing the report")
    }

    pub(super) fn table(&self) -> String {
        let Self { bundle, host, .. } = self;
        let mut text = String::new();
        let _ = writeln!(text, "bundle   {} {} ({})", bundle.id, bundle.version, bundle.sha256);
        let _ = writeln!(
            text,
            "host     {}, {} cores, {}, {}; cooltwin {}{}",
            host.cpu,
            host.cores,
            host.architecture,
            host.os,
            host.version,
            if host.optimised { "" } else { ", NOT OPTIMISED: build with --release" }
        );
        let _ = writeln!(
            text,
            "method   {} warm-up and {} measured runs of single rows, rotating, one thread; each time contains \
             one reading of the clock, {:.0} ns",
            self.warm_up, self.runs, self.timer_overhead_ns
        );
        let memory = match (self.resident_mb, self.resident_by_load_mb) {
            (Some(all), Some(added)) => {
                format!("memory {all:.1} MB resident, {added:.1} MB of it by loading")
            }
            _ => "memory not known on this system".to_owned(),
        };
        let LoadSteps { models, features, hashes, golden } = self.load_steps;
        let _ = writeln!(
            text,
            "load     {:.1} ms: models {models:.1}, features {features:.1}, hashes {hashes:.1}, golden \
             replay {golden:.1}; {memory}\n",
            self.load_ms
        );
        let _ = writeln!(
            text,
            "{:<24} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10} {:>8}",
            "times in us", "load ms", "mean", "std", "min", "max", "p50", "p95", "p99", "rows/s", "file kB"
        );
        for line in &self.lines {
            let _ = writeln!(text, "{}", row(line));
        }
        text.push_str(&kernels::text(&self.kernels));
        text
    }
}

fn row(line: &Line) -> String {
    let Summary { mean, std, min, max, p50, p95, p99, .. } = line.ns;
    let mut text = format!("{:<24}", line.name);
    let _ = write!(text, " {:>8}", line.load_ms.map_or("-".to_owned(), |ms| format!("{ms:.1}")));
    for ns in [mean, std, min, max, p50, p95, p99] {
        let _ = write!(text, " {:>8.2}", ns / 1e3);
    }
    let size = line.file_bytes.map_or("-".to_owned(), |bytes| format!("{:.0}", bytes as f64 / 1e3));
    let _ = write!(text, " {:>10.0} {size:>8}", line.per_second);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_and_json_show_the_same_lines() {
        let ns = Summary::of(&[1000.0, 2000.0, 3000.0]).unwrap();
        let report = Report {
            bundle: ModelIdentity { id: "m".into(), version: "1".into(), sha256: "ab".into() },
            host: super::super::host::describe(),
            warm_up: 100,
            runs: 3,
            timer_overhead_ns: 20.0,
            load_ms: 12.5,
            load_steps: LoadSteps::of(LoadTimes { models: 7_000_000, ..LoadTimes::default() }),
            resident_mb: Some(14.0),
            resident_by_load_mb: Some(3.0),
            lines: vec![Line { load_ms: Some(3.5), file_bytes: Some(400_000), ..Line::new("UCAOT", ns) }],
            kernels: Vec::new(),
        };
        let table = report.table();
        assert!(table.contains("load     12.5 ms: models 7.0, features 0.0"), "{table}");
        let last = table.lines().last().unwrap();
        let cells: Vec<&str> = last.split_whitespace().collect();
        let want = ["UCAOT", "3.5", "2.00", "1.00", "1.00", "3.00", "2.00", "3.00", "3.00", "500000", "400"];
        assert_eq!(cells, want);
        let mut json = Vec::new();
        report.write(true, &mut json).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["lines"][0]["ns"]["p50"], 2000.0);
    }
}
