//! Instructions a row, by callgrind: they do not depend on the machine's mood.

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use serde::Serialize;

use crate::Error;
use crate::competitor::{Competitor, Runner, Task};
use crate::data::Rows;
use crate::steps;

/// Rows that are counted by callgrind, whole calls of all sizes.
const ROWS: usize = 256;
/// Rows that are counted by single steps, at least one call's: each instruction takes a microsecond or more.
const STEPPED_ROWS: usize = 32;
/// Calls before counting starts: whatever a library does only once is not counted.
const WARM_UP: usize = 2;
/// Sizes of batches that are counted.
pub const BATCHES: [usize; 2] = [1, 64];
/// The function that callgrind counts in; everything that it calls counts.
const COUNTED: &str = "cooltwin_peers_counted";

/// Instructions of one competitor for all models of a suite.
#[derive(Serialize)]
pub struct Count {
    /// The suite.
    pub suite: String,
    /// The competitor.
    pub competitor: &'static str,
    /// Rows a call.
    pub batch: usize,
    /// Instructions a row.
    pub instructions: Option<f64>,
    /// Why there is no number, if there is none.
    pub failed: Option<String>,
    /// Why they were counted by single steps, if they were.
    pub stepped: Option<String>,
}

/// What `--count-only` does, under valgrind.
pub fn count_only(competitor: &Competitor, task: &Task<'_>, rows: &Rows) -> Result<(), Error> {
    let mut runner = warmed_up(competitor, task, rows)?;
    cooltwin_peers_counted(runner.as_mut(), rows, task.batch, ROWS)
}

/// What `--step-only` does: prints the instructions a row.
pub fn step_only(competitor: &Competitor, task: &Task<'_>, rows: &Rows) -> Result<(), Error> {
    let mut runner = warmed_up(competitor, task, rows)?;
    let count = STEPPED_ROWS.max(task.batch);
    let steps = steps::count(|| cooltwin_peers_counted(runner.as_mut(), rows, task.batch, count))?;
    println!("{}", steps as f64 / count as f64);
    Ok(())
}

fn warmed_up(competitor: &Competitor, task: &Task<'_>, rows: &Rows) -> Result<Box<dyn Runner>, Error> {
    let mut runner = (competitor.make)(task)?;
    for call in 0..WARM_UP {
        runner.run(rows.stretch(rows.len() / 2 + call * task.batch, task.batch))?;
    }
    Ok(runner)
}

/// Predicts `count` rows. Found by its name, hence neither mangled nor inlined.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
#[inline(never)]
#[allow(clippy::no_mangle_with_rust_abi)] // called from here alone
fn cooltwin_peers_counted(
    runner: &mut dyn Runner,
    rows: &Rows,
    batch: usize,
    count: usize,
) -> Result<(), Error> {
    for start in (0..count).step_by(batch) {
        runner.run(black_box(rows.stretch(start, batch)))?;
    }
    Ok(())
}

/// Counts one competitor for all models of a suite: by callgrind, else by single steps.
pub fn count(competitor: &'static str, suite: &str, batch: usize, folder: &Path) -> Result<Count, Error> {
    let out = folder.join("callgrind.out");
    // Whatever is there is from another competitor.
    let _ = fs::remove_file(&out);
    let this = |command: &mut Command, mode: &str| -> Result<Result<String, String>, Error> {
        command.arg("--folder").arg(folder).args(["--suite", suite, "--batch", &batch.to_string()]);
        outcome(command.args([mode, competitor]))
    };
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--collect-atstart=no", &format!("--toggle-collect={COUNTED}")]);
    valgrind.arg(format!("--callgrind-out-file={}", out.display())).arg(env::current_exe()?);
    let (instructions, stepped) = match this(&mut valgrind, "--count-only")? {
        Ok(_) => (total(&out).map(|total| total / ROWS as f64).map_err(|error| error.to_string()), None),
        Err(reason) => {
            let printed = this(&mut Command::new(env::current_exe()?), "--step-only")?;
            (printed.and_then(|text| text.trim().parse().map_err(|_| text)), Some(reason))
        }
    };
    let (instructions, failed) = match instructions {
        Ok(instructions) => (Some(instructions), None),
        Err(reason) => (None, Some(reason)),
    };
    Ok(Count { suite: suite.to_owned(), competitor, batch, instructions, failed, stepped })
}

/// What the command prints, or what it complains about.
fn outcome(command: &mut Command) -> Result<Result<String, String>, Error> {
    let done = command.output()?;
    if done.status.success() {
        return Ok(Ok(String::from_utf8_lossy(&done.stdout).into_owned()));
    }
    let text = String::from_utf8_lossy(&done.stderr);
    let telling = |line: &&str| line.contains("nrecognised instruction") || line.starts_with("Error:");
    let said = text.lines().find(telling).or(text.lines().last()).unwrap_or("no message");
    Ok(Err(format!("{}: {}", done.status, said.trim())))
}

fn total(out: &Path) -> Result<f64, Error> {
    let text = fs::read_to_string(out)?;
    let line = text.lines().find_map(|line| line.strip_prefix("summary:").or(line.strip_prefix("totals:")));
    let total: f64 = line.ok_or("callgrind wrote no summary")?.trim().parse()?;
    if total > 0.0 { Ok(total) } else { Err("callgrind counted nothing".into()) }
}
