//! Instructions a row, by callgrind: they do not depend on the machine's mood.

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use serde::Serialize;

use crate::Error;
use crate::competitor::{Competitor, Runner, Task};
use crate::data::Rows;

/// Rows that are counted, at least one call's.
const ROWS: usize = 256;
/// Calls before counting starts: whatever a library does only once is not counted.
const WARM_UP: usize = 2;
/// Sizes of batches that are counted.
pub const BATCHES: [usize; 2] = [1, 1024];
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
    /// Instructions a row, or why there is no number.
    pub instructions: Result<f64, String>,
}

/// What `--count-only` does, under valgrind.
pub fn count_only(competitor: &Competitor, task: &Task<'_>, rows: &Rows) -> Result<(), Error> {
    let mut runner = (competitor.make)(task)?;
    for call in 0..WARM_UP {
        runner.run(rows.stretch(rows.len() / 2 + call * task.batch, task.batch))?;
    }
    cooltwin_peers_counted(runner.as_mut(), rows, task.batch)
}

/// Predicts [`ROWS`] rows. Found by its name, hence neither mangled nor inlined.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
#[inline(never)]
#[allow(clippy::no_mangle_with_rust_abi)] // called from here alone
fn cooltwin_peers_counted(runner: &mut dyn Runner, rows: &Rows, batch: usize) -> Result<(), Error> {
    for start in (0..ROWS.max(batch)).step_by(batch) {
        runner.run(black_box(rows.stretch(start, batch)))?;
    }
    Ok(())
}

/// Runs this program under callgrind for one competitor and all models of a suite.
pub fn count(competitor: &'static str, suite: &str, batch: usize, folder: &Path) -> Result<Count, Error> {
    let out = folder.join("callgrind.out");
    // Whatever is there is from another competitor.
    let _ = fs::remove_file(&out);
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--collect-atstart=no", &format!("--toggle-collect={COUNTED}")]);
    command.arg(format!("--callgrind-out-file={}", out.display())).arg(env::current_exe()?);
    command.arg("--folder").arg(folder).args(["--suite", suite, "--batch", &batch.to_string()]);
    let done = command.args(["--count-only", competitor]).output()?;
    let instructions = if done.status.success() {
        total(&out).map(|total| total / ROWS.max(batch) as f64).map_err(|error| error.to_string())
    } else {
        let text = String::from_utf8_lossy(&done.stderr);
        let said =
            text.lines().find(|line| line.contains("nrecognised instruction") || line.contains("Error:"));
        Err(format!("{}: {}", done.status, said.or(text.lines().last()).unwrap_or("no message").trim()))
    };
    Ok(Count { suite: suite.to_owned(), competitor, batch, instructions })
}

fn total(out: &Path) -> Result<f64, Error> {
    let text = fs::read_to_string(out)?;
    let line = text.lines().find_map(|line| line.strip_prefix("summary:").or(line.strip_prefix("totals:")));
    let total: f64 = line.ok_or("callgrind wrote no summary")?.trim().parse()?;
    if total > 0.0 { Ok(total) } else { Err("callgrind counted nothing".into()) }
}
