//! What was found, as Markdown or as JSON.

use std::collections::BTreeMap;
use std::fs;
use std::thread::available_parallelism;

use cooltwin::inference::EnsembleInfo;
use serde::Serialize;

use crate::Error;
use crate::counts::{BATCHES, Count};
use crate::data::{Rows, Setup, Suite};
use crate::measure::{Difference, SPIN, Series};
use crate::promises::{self, Bar};
use crate::{ort, ours, python};

/// Everything a run has found.
#[derive(Serialize)]
pub struct Report {
    machine: BTreeMap<&'static str, String>,
    versions: BTreeMap<String, String>,
    rows: String,
    models: Vec<String>,
    /// Who did not take part, and why.
    pub missing: Vec<(String, String)>,
    /// Who took part, and how.
    pub competitors: Vec<String>,
    /// How far predictions agree.
    pub agreement: BTreeMap<&'static str, Difference>,
    /// Times.
    pub tables: Vec<Table>,
    /// Instructions.
    pub counts: Vec<Count>,
    /// Promises.
    pub bars: Vec<Bar>,
}

/// Times of one suite and size of batches.
#[derive(Serialize)]
pub struct Table {
    /// The suite.
    pub suite: String,
    /// Rows a call.
    pub batch: usize,
    columns: Vec<String>,
    lines: Vec<Line>,
}

/// Times of one competitor, nanoseconds a row, in the order of the columns.
#[derive(Serialize)]
struct Line {
    competitor: &'static str,
    calls: usize,
    p50: Vec<f64>,
    p95: Vec<f64>,
    p99: Vec<f64>,
    /// What p99 lies above p50 in the median round, a share of p50.
    excess: Vec<f64>,
    /// To cooltwin's medians.
    ratio: Vec<f64>,
}

impl Table {
    /// Sorts the series into lines.
    pub fn new(suite: &Suite, batch: usize, series: &[Series]) -> Table {
        let columns: Vec<Option<usize>> = (0..suite.models.len()).map(Some).chain([None]).collect();
        let mut names: Vec<&'static str> = Vec::new();
        for one in series {
            if !names.contains(&one.competitor) {
                names.push(one.competitor);
            }
        }
        let each = |name: &str, value: &dyn Fn(&Series) -> f64| -> Vec<f64> {
            let find =
                |model: &Option<usize>| series.iter().find(|s| s.competitor == name && s.model == *model);
            columns.iter().map(|model| find(model).map_or(f64::NAN, value)).collect()
        };
        let of = |name: &str, share: f64| each(name, &|series| series.quantile(share));
        let ours = of(ours::NAME, 0.5);
        let line = |name: &'static str| {
            let p50 = of(name, 0.5);
            let ratio = p50.iter().zip(&ours).map(|(theirs, ours)| theirs / ours).collect();
            let calls = series.iter().find(|series| series.competitor == name).map_or(0, Series::calls);
            let excess = each(name, &|series| series.excess);
            Line { competitor: name, calls, p50, p95: of(name, 0.95), p99: of(name, 0.99), excess, ratio }
        };
        let lines = names.into_iter().map(line).collect();
        let labels = suite.models.iter().map(|model| model.name.clone()).chain(["all three".to_owned()]);
        Table { suite: suite.name.clone(), batch, columns: labels.collect(), lines }
    }

    fn line(&self, competitor: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.competitor == competitor)
    }

    /// Of all models together: p50 and p99 of a competitor, nanoseconds a row.
    pub fn all(&self, competitor: &str) -> (f64, f64) {
        self.line(competitor).map_or((f64::NAN, f64::NAN), |line| (last(&line.p50), last(&line.p99)))
    }

    /// Of all models together: what p99 lies above p50 in the median round, a share of p50.
    pub fn excess(&self, competitor: &str) -> f64 {
        self.line(competitor).map_or(f64::NAN, |line| last(&line.excess))
    }

    fn print(&self) {
        println!("\n### {}, {}\n", self.suite, rows_in_words(self.batch));
        let clock = if self.batch == 1 { "wall" } else { "processor" };
        println!("ns of {clock} time a row, median; in brackets how many times cooltwin's\n");
        println!("| | {} | calls |", self.columns.join(" | "));
        println!("|---|{}---:|", "---:|".repeat(self.columns.len()));
        for line in self.lines.iter().filter(|line| line.competitor != SPIN) {
            let cells = line.p50.iter().zip(&line.ratio);
            let cells: Vec<String> = cells.map(|(p50, ratio)| format!("{p50:.0} ({ratio:.2})")).collect();
            println!("| {} | {} | {} |", line.competitor, cells.join(" | "), line.calls);
        }
        if self.batch == 1 {
            self.print_tails();
        }
    }

    fn print_tails(&self) {
        println!("\np50 / p95 / p99 of single rows, ns\n");
        println!("| | {} |", self.columns.join(" | "));
        println!("|---|{}", "---:|".repeat(self.columns.len()));
        for name in [ours::NAME, SPIN, ours::EMPTY, ort::RUN, python::NAME] {
            let Some(line) = self.line(name) else { continue };
            let cells = line.p50.iter().zip(&line.p95).zip(&line.p99);
            let cells: Vec<String> =
                cells.map(|((p50, p95), p99)| format!("{p50:.0} / {p95:.0} / {p99:.0}")).collect();
            println!("| {name} | {} |", cells.join(" | "));
        }
    }
}

fn last(values: &[f64]) -> f64 {
    values.last().copied().unwrap_or(f64::NAN)
}

/// The size of batches as headings have it.
pub fn rows_in_words(batch: usize) -> String {
    if batch == 1 { "single rows".to_owned() } else { format!("batches of {batch} rows") }
}

impl Report {
    /// A report about nothing yet.
    pub fn new(setup: &Setup, rows: &Rows) -> Result<Report, Error> {
        let mut models = Vec::new();
        for suite in &setup.suites {
            models.push(format!("{}: {}", suite.name, suite.description));
            for files in &suite.models {
                for ensemble in ours::describe(files, setup.features)? {
                    let EnsembleInfo { trees, max_leaves, max_depth, kernel, reason, .. } = ensemble;
                    let (suite, model) = (&suite.name, &files.name);
                    let shape = format!("{trees} trees, {max_leaves} leaves, depth {max_depth}");
                    models.push(format!("{suite} {model}: {shape}; {kernel}: {reason}"));
                }
            }
        }
        let share = rows.share_with_nan() * 100.0;
        let rows = format!(
            "{} different rows, {share:.1} percent with a missing value; {}",
            rows.len(),
            setup.rows_from
        );
        Ok(Report {
            machine: machine(),
            versions: setup.versions.clone(),
            rows,
            models,
            missing: setup.missing.clone().into_iter().collect(),
            competitors: Vec::new(),
            agreement: BTreeMap::new(),
            tables: Vec::new(),
            counts: Vec::new(),
            bars: Vec::new(),
        })
    }

    /// Fills in the promises.
    pub fn judge(&mut self) {
        self.bars = self.tables.iter().flat_map(promises::of).collect();
    }

    /// As one JSON document.
    pub fn print_json(&self) -> Result<(), Error> {
        println!("{}", serde_json::to_string_pretty(self)?);
        Ok(())
    }

    /// As Markdown.
    pub fn print(&self) {
        println!("## cooltwin beside its peers\n");
        self.machine.iter().for_each(|(what, value)| println!("- {what}: {value}"));
        let versions: Vec<String> =
            self.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        println!("- versions: {}\n- rows: {}", versions.join(", "), self.rows);
        self.models.iter().for_each(|line| println!("- {line}"));
        println!("- taking part: {}", self.competitors.join("; "));
        self.print_agreement();
        self.missing.iter().for_each(|(name, reason)| println!("- NOT MEASURED: {name}: {reason}"));
        self.tables.iter().for_each(Table::print);
        self.print_counts();
        println!("\n### Promises\n\n| models | what | promised | measured | |\n|---|---|---|---|---|");
        for Bar { suite, what, promised, measured, holds } in &self.bars {
            let verdict = if *holds { "holds" } else { "DOES NOT HOLD" };
            println!("| {suite} | {what} | {promised} | {measured} | {verdict} |");
        }
    }

    fn print_agreement(&self) {
        let others = self.agreement.iter().filter(|(name, _)| **name != ours::NAME);
        let (equal, near): (Vec<_>, Vec<_>) = others.partition(|(_, difference)| difference.differing == 0);
        let compared = self.agreement.get(ours::NAME).map_or(0, |difference| difference.compared);
        let names: Vec<&str> = equal.iter().map(|(name, _)| **name).collect();
        println!(
            "- predictions compared with each, in batches of all sizes: {compared}; 0 differing bits: {}",
            names.join("; ")
        );
        for (name, Difference { differing, worst, .. }) in near {
            println!("- {name}: {differing} differ, by {worst:e} at most");
        }
    }

    fn print_counts(&self) {
        if self.counts.is_empty() {
            return;
        }
        println!("\n### Instructions a row, all three, by callgrind\n");
        println!("| models | | {} |", BATCHES.map(rows_in_words).join(" | "));
        println!("|---|---|{}", "---:|".repeat(BATCHES.len()));
        let mut order: Vec<(&str, &str)> = Vec::new();
        for count in &self.counts {
            if !order.contains(&(&count.suite, count.competitor)) {
                order.push((&count.suite, count.competitor));
            }
        }
        for (suite, competitor) in order {
            let mine =
                self.counts.iter().filter(|count| count.suite == suite && count.competitor == competitor);
            let cell = |count: &Count| match (count.instructions, &count.failed) {
                (Some(instructions), _) if count.stepped.is_some() => format!("{instructions:.0} (stepped)"),
                (Some(instructions), _) => format!("{instructions:.0}"),
                (None, reason) => reason.clone().unwrap_or_default(),
            };
            println!("| {suite} | {competitor} | {} |", mine.map(cell).collect::<Vec<_>>().join(" | "));
        }
        let stepped =
            self.counts.iter().filter_map(|count| Some((count.competitor, count.stepped.as_ref()?)));
        for (competitor, reason) in stepped.collect::<BTreeMap<_, _>>() {
            println!("\n{competitor} was counted by single steps; under callgrind: {reason}");
        }
    }
}

fn cpu_lines() -> Vec<(String, String)> {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect()
}

/// Whether the processor has a feature, by the kernel's name for it.
pub fn has_flag(flag: &str) -> bool {
    cpu_lines().iter().any(|(key, value)| {
        matches!(key.as_str(), "flags" | "Features") && value.split(' ').any(|found| found == flag)
    })
}

fn machine() -> BTreeMap<&'static str, String> {
    let name =
        cpu_lines().into_iter().find(|(key, _)| key == "model name").map_or_else(String::new, |pair| pair.1);
    let flags: Vec<&str> =
        ["avx2", "avx512f", "avx512vbmi", "asimd"].into_iter().filter(|flag| has_flag(flag)).collect();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = available_parallelism().map_or(0, usize::from);
    BTreeMap::from([
        ("processor", format!("{name}, {cores} cores, {}", flags.join(" "))),
        ("load before the run", load.split(' ').next().unwrap_or_default().to_owned()),
        ("kernel forced", std::env::var(ours::KERNEL_VARIABLE).unwrap_or_else(|_| "no".to_owned())),
    ])
}
