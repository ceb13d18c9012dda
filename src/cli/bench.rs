//! `cooltwin bench`: how fast a bundle is on this machine.

mod host;
mod kernels;
mod measure;
mod report;

use std::path::PathBuf;
use std::time::Instant;

use super::{Outcome, model, output};
use crate::simulator::{Simulator, SimulatorConfig};

use measure::{Runs, Workload};
use report::Report;

/// Fewest measured runs: below it a 99th percentile says nothing.
const MIN_RUNS: u32 = 1_000;
/// Most measured runs: ten million samples are 80 MB, a gateway's memory should not be the limit.
const MAX_RUNS: u32 = 10_000_000;

const EXAMPLES: &str = "\
Measured are single rows in one thread, each row different from the one before
(repeating one row flatters any model up to twofold): each model, all models
together, the assembly of the feature vector, and the whole street from the
bytes of a frame to the bytes of the prediction document. Times include one
reading of the clock, whose cost is stated.

Examples:
  cooltwin bench
  cooltwin bench --bundle my-models --runs 100000
  cooltwin bench --json > bench.json
  cooltwin bench --kernels
  COOLTWIN_KERNEL=walk cooltwin bench";

/// What `cooltwin bench` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder of the model bundle [default: models/unit-cooler, or the installed one]
    #[arg(long, value_name = "DIR")]
    pub bundle: Option<PathBuf>,
    /// Measured runs of each kind
    #[arg(
        long,
        default_value_t = 10_000,
        value_parser = clap::value_parser!(u32).range(i64::from(MIN_RUNS)..=i64::from(MAX_RUNS))
    )]
    pub runs: u32,
    /// Unmeasured runs before them
    #[arg(long, default_value_t = 100)]
    pub warm_up: u32,
    /// One JSON document instead of the table
    #[arg(long)]
    pub json: bool,
    /// Every tree kernel on every model as well: which there are, which was chosen and why, how fast each is
    #[arg(long)]
    pub kernels: bool,
}

/// Does it.
///
/// # Errors
/// A bundle that is not usable (78), output that cannot be written.
pub fn bench(args: &Args) -> Outcome {
    let path = model::locate(args.bundle.as_deref())?;
    let files = model::files(&path)?;
    let memory_before = host::resident_bytes();
    let start = Instant::now();
    let mut bundle = model::load_files(&path, &files)?;
    let load = start.elapsed();
    let memory_after = host::resident_bytes();
    let runs = Runs { warm_up: args.warm_up, measured: args.runs };
    let workload = Workload::new(&bundle, Simulator::new(SimulatorConfig::default())?);
    let mut lines = measure::models(&mut bundle, &files, &workload, runs)?;
    lines.extend(measure::vectors(&mut bundle, &workload, runs)?);
    let kernels =
        if args.kernels { kernels::measure(&mut bundle, &files, &workload, args.runs)? } else { Vec::new() };
    let (identity, times) = (bundle.identity.clone(), bundle.load_times);
    lines.push(measure::street(bundle, &workload, runs)?);
    let report = Report {
        bundle: identity,
        host: host::describe(),
        warm_up: args.warm_up,
        runs: args.runs,
        timer_overhead_ns: measure::timer_overhead_ns(),
        load_ms: load.as_secs_f64() * 1e3,
        load_steps: report::LoadSteps::of(times),
        resident_mb: memory_after.map(mega),
        resident_by_load_mb: memory_after.zip(memory_before).map(|(after, before)| mega(after - before)),
        lines,
        kernels,
    };
    report.write(args.json, &mut output::bulk())?;
    Ok(())
}

fn mega(bytes: f64) -> f64 {
    bytes / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Bundle;

    #[test]
    fn the_reference_bundle_is_measured_stage_by_stage() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/unit-cooler");
        let files = model::files(&path).unwrap();
        let mut bundle = Bundle::load(&files).unwrap();
        let workload = Workload::new(&bundle, Simulator::new(SimulatorConfig::default()).unwrap());
        let runs = Runs { warm_up: 2, measured: 20 };
        let models = measure::models(&mut bundle, &files, &workload, runs).unwrap();
        let names: Vec<&str> = models.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["ucaot.onnx", "ucwot.onnx", "ucaf.onnx", "all models"]);
        let vectors = measure::vectors(&mut bundle, &workload, runs).unwrap();
        let street = measure::street(bundle, &workload, runs).unwrap();
        let all = models.iter().chain(&vectors).chain([&street]);
        assert!(all.into_iter().all(|line| line.ns.count == 20 && line.ns.mean > 0.0));
    }
}
