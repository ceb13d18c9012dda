//! cooltwin beside other runtimes for tree ensembles, in one process and one run. `run.sh` prepares and starts it.

mod competitor;
mod compiled;
mod counts;
mod data;
mod lightgbm;
mod measure;
mod ort;
mod ours;
mod promises;
mod python;
mod report;
mod steps;

use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, iter};

use competitor::{Agreement, Competitor, Task};
use counts::Count;
use data::{Rows, Setup};
use measure::{LONGEST_STRETCH, SIZES, Size, measure, tasks, verify};
use python::Python;
use report::{Report, Table};

/// Anything that ends the run.
pub type Error = Box<dyn std::error::Error>;

const USAGE: &str = "usage: cooltwin-peers --folder DIR [--json] [--rounds PERCENT] [--suite NAME] \
                     [--without-counts] [--without-python] \
                     [--count-only|--step-only COMPETITOR --suite NAME [--batch N]]";

struct Arguments {
    folder: PathBuf,
    json: bool,
    percent: usize,
    suite: Option<String>,
    batch: usize,
    counts: bool,
    python: bool,
    count_only: Option<String>,
    step_only: Option<String>,
}

fn arguments() -> Result<Arguments, Error> {
    let mut found = Arguments {
        folder: PathBuf::new(),
        json: false,
        percent: 100,
        suite: None,
        batch: 1,
        counts: true,
        python: true,
        count_only: None,
        step_only: None,
    };
    let mut rest = env::args().skip(1);
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{argument} wants a value; {USAGE}"));
        match argument.as_str() {
            "--json" => found.json = true,
            "--without-counts" => found.counts = false,
            "--without-python" => found.python = false,
            "--folder" => found.folder = value()?.into(),
            "--rounds" => found.percent = value()?.parse()?,
            "--suite" => found.suite = Some(value()?),
            "--batch" => found.batch = value()?.parse()?,
            "--count-only" => found.count_only = Some(value()?),
            "--step-only" => found.step_only = Some(value()?),
            _ => return Err(format!("unknown argument {argument}; {USAGE}").into()),
        }
    }
    Ok(found)
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| run(&arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("Error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether everything holds that is promised.
fn run(arguments: &Arguments) -> Result<bool, Error> {
    let mut setup = Setup::read(&arguments.folder)?;
    if let Some(wanted) = &arguments.suite {
        setup.suites.retain(|suite| suite.name == *wanted);
    }
    if setup.suites.is_empty() {
        return Err("there is no such suite".into());
    }
    let rows = Rows::read(&setup.rows, setup.features, LONGEST_STRETCH)?;
    if let Some(name) = arguments.count_only.as_ref().or(arguments.step_only.as_ref()) {
        let competitor = competitor(&setup, name, arguments.count_only.is_some())?;
        let task =
            Task { suite: &setup.suites[0], model: None, batch: arguments.batch, features: setup.features };
        let count = if arguments.count_only.is_some() { counts::count_only } else { counts::step_only };
        return count(&competitor, &task, &rows).map(|()| true);
    }

    let mut competitors = competitors(&setup)?;
    let mut report = Report::new(&setup, &rows)?;
    for suite in &setup.suites {
        for Size { batch, .. } in SIZES {
            let task = Task { suite, model: None, batch, features: setup.features };
            say(&format!("comparing predictions: {}, batches of {batch}", suite.name));
            verify(&competitors, &task, &rows, &mut report.missing, &mut report.agreement)?;
            // Who is missing once is missing everywhere: tables compare the same competitors.
            competitors.retain(|competitor| report.missing.iter().all(|(name, _)| name != competitor.name));
        }
    }
    report.competitors = competitors.iter().map(|one| format!("{}: {}", one.name, one.what)).collect();
    let mut python = start_python(arguments, &setup, &mut report);
    for suite in &setup.suites {
        for size in SIZES {
            let size = Size { rounds: (size.rounds * arguments.percent / 100).max(1), ..size };
            say(&format!("timing: {}, batches of {}, {} rounds", suite.name, size.batch, size.rounds));
            let tasks = tasks(&setup, suite, size.batch);
            let series = measure(&competitors, &tasks, size, &rows, python.as_mut())?;
            report.tables.push(Table::new(suite, size.batch, &series));
        }
    }
    if arguments.counts {
        report.counts = count_all(&competitors, &setup, arguments)?;
    }
    report.judge();
    if arguments.json {
        report.print_json()?;
    } else {
        report.print();
    }
    Ok(report.bars.iter().all(|bar| bar.holds))
}

/// By name. `counted`: to run under callgrind.
fn competitor(setup: &Setup, name: &str, counted: bool) -> Result<Competitor, Error> {
    if let Some(ours) = ours::cooltwin(name)? {
        return Ok(ours);
    }
    match name {
        ort::RUN => ort::plain(&setup.onnxruntime),
        ort::BOUND => ort::bound(&setup.onnxruntime),
        lightgbm::NAME => lightgbm::competitor(&setup.lightgbm),
        compiled::TREELITE => Ok(compiled::treelite()),
        compiled::LLEAVES => Ok(compiled::lleaves(counted)),
        ours::EMPTY => Ok(ours::empty()),
        _ => Err(format!("there is no competitor {name}; the tables name them").into()),
    }
}

/// In the order of the tables; cooltwin first, since the others are compared with it.
fn competitors(setup: &Setup) -> Result<Vec<Competitor>, Error> {
    let peers = [ort::RUN, ort::BOUND, lightgbm::NAME, compiled::TREELITE, compiled::LLEAVES];
    let peers = peers.into_iter().filter(|name| !setup.missing.contains_key(*name)).map(str::to_owned);
    let ours = iter::once(ours::NAME.to_owned());
    let names = ours.chain(peers).chain(ours::kernels()).chain([ours::EMPTY.to_owned()]);
    names.map(|name| competitor(setup, &name, false)).collect()
}

fn start_python(arguments: &Arguments, setup: &Setup, report: &mut Report) -> Option<Python> {
    if !arguments.python {
        report.missing.push((python::NAME.to_owned(), "left out by --without-python".to_owned()));
        return None;
    }
    let python = Python::start(setup, &arguments.folder);
    python.map_err(|error| report.missing.push((python::NAME.to_owned(), error.to_string()))).ok()
}

fn count_all(competitors: &[Competitor], setup: &Setup, arguments: &Arguments) -> Result<Vec<Count>, Error> {
    let mut counts = Vec::new();
    for suite in &setup.suites {
        for batch in counts::BATCHES {
            say(&format!("counting instructions: {}, batches of {batch}", suite.name));
            // cooltwin's kernels are there by their names.
            let predicting = competitors.iter().filter(|one| one.agreement != Agreement::None);
            for competitor in predicting.filter(|competitor| competitor.name != ours::NAME) {
                counts.push(counts::count(competitor.name, &suite.name, batch, &arguments.folder)?);
            }
        }
    }
    Ok(counts)
}

fn say(text: &str) {
    eprintln!("==> {text}");
}
