//! `cooltwin simulate`: readings of simulated unit coolers, to standard output or onto a broker.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;

use super::mqtt::Asked;
use super::publish::{self, Style};
use super::{Failure, Outcome, output};
use crate::domain::{Timestamp, ZoneSpec};
use crate::simulator::{DEFAULT_START_US, FaultKind, FaultSpec, Simulator, SimulatorConfig, format};

/// Rows of a file when `--rows` is not given: one day of half-minutes.
const DEFAULT_ROWS: u64 = 2880;

const EXAMPLES: &str = "\
Examples:
  cooltwin simulate --units 2 --rows 120 > readings.csv
      one hour of two units, always the same bytes for the same seed
  cooltwin simulate --rows 2880 --fault fouled-coil:0.3:1440 --format jsonl
      a day in which the coil has lost 30 percent of its conductance from noon
  cooltwin simulate --mqtt mqtt://localhost:1883 --units 3
      three units in real time on a broker, a frame each 30 s, until Ctrl-C
  cooltwin simulate --mqtt mqtt://localhost --step 1s --as readings --qos 1
      every sensor of one unit as a message of its own, once a second

Time on a broker: at speed 1 the payloads carry the simulated time, which starts
now and keeps step with the clock. At any other speed it would run ahead of the
clock, and receivers refuse times from the future (cooltwin beyond 60 s); so
payloads then carry no time and the receiver uses the time of arrival. With
`--timestamps simulated` they carry it nevertheless: the run is then laid into
the past so that its last row (--rows) is measured now.";

/// What `cooltwin simulate` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Start of the random numbers: same seed, same readings, on every machine
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Number of unit coolers, named cooler-01, cooler-02, ...
    #[arg(long, default_value_t = 1)]
    pub units: u32,
    /// Number of rows for each unit [default: 2880 for files, endless on a broker]
    #[arg(long)]
    pub rows: Option<u64>,
    /// Simulated time from row to row
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    pub step: Duration,
    /// Time of the first row, as 2026-01-05T00:00:00Z [default: that for files, now on a broker]
    #[arg(long, value_name = "RFC3339")]
    pub start: Option<String>,
    /// What goes wrong, how strongly (0 to 1), from which row on, and in which unit (all if left out);
    /// may be given several times
    #[arg(long = "fault", value_name = "KIND:SEVERITY:FROM_ROW[:UNIT]", long_help = fault_help())]
    pub faults: Vec<FaultSpec>,
    /// Form of the rows on standard output
    #[arg(long, value_enum, default_value_t = Form::Csv, conflicts_with = "mqtt")]
    pub format: Form,
    /// Publish to this broker instead of printing: `mqtt://[USER:PASSWORD@]HOST[:PORT]`
    #[arg(long, value_name = "URL")]
    pub mqtt: Option<Asked>,
    /// How publishing goes about it.
    #[command(flatten)]
    pub style: Style,
}

/// Form of rows on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A header and one line for each unit and instant
    Csv,
    /// One JSON object for each unit and instant
    Jsonl,
}

fn fault_help() -> String {
    format!(
        "What goes wrong, how strongly (0 to 1), from which row on, and in which unit (all if left out); \
         may be given several times. Kinds: {}",
        FaultKind::NAMES
    )
}

/// Does it.
///
/// # Errors
/// Settings that cannot be simulated (usage), a broker that cannot be reached, output that cannot be
/// written.
pub fn simulate(args: Args) -> Outcome {
    let start_us = match &args.start {
        Some(text) => Some(parse_start(text)?),
        None => None,
    };
    let Args { seed, units, rows, step, faults, .. } = args;
    let config = |start| SimulatorConfig { seed, units, start, step, faults };
    let simulator =
        |config| Simulator::new(config).map_err(|error| Failure::usage(format!("simulate: {error}")));
    if let Some(asked) = &args.mqtt {
        let broker = asked.address()?;
        let start_us = args.style.start_us(start_us, wall_us(), rows, step).map_err(Failure::usage)?;
        return publish::publish(simulator(config(start_us))?, step, rows, broker, &args.style);
    }
    let simulator = simulator(config(start_us.unwrap_or(DEFAULT_START_US)))?;
    let mut out = output::bulk();
    write_rows(simulator, rows.unwrap_or(DEFAULT_ROWS), args.format, &mut out)
        .and_then(|()| out.flush())
        .context("writing the rows")?;
    Ok(())
}

/// The wall clock in microseconds since 1970.
pub(super) fn wall_us() -> i64 {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since_1970.map_or(0, |passed| i64::try_from(passed.as_micros()).unwrap_or(i64::MAX))
}

fn parse_start(text: &str) -> Result<i64, Failure> {
    Timestamp::parse(text, &ZoneSpec::utc()).map(Timestamp::as_micros).ok_or_else(|| {
        Failure::usage(format!("--start: `{text}` is no time: expected RFC 3339, as 2026-01-05T00:00:00Z"))
    })
}

fn write_rows(mut simulator: Simulator, rows: u64, form: Form, out: &mut impl Write) -> std::io::Result<()> {
    let mut text = match form {
        Form::Csv => format::csv_header(),
        Form::Jsonl => String::new(),
    };
    for _ in 0..rows {
        for unit in &simulator.next_row().units {
            match form {
                Form::Csv => format::csv_row(unit, &mut text),
                Form::Jsonl => format::jsonl_row(unit, &mut text),
            }
        }
        out.write_all(text.as_bytes())?;
        text.clear();
    }
    out.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::input::{Readings, Row};

    fn simulator() -> Simulator {
        Simulator::new(SimulatorConfig { units: 2, ..SimulatorConfig::default() }).unwrap()
    }

    #[test]
    fn both_forms_read_back_alike() {
        let mut read = Vec::new();
        for form in [Form::Csv, Form::Jsonl] {
            let mut bytes = Vec::new();
            write_rows(simulator(), 5, form, &mut bytes).unwrap();
            let input = Box::new(std::io::Cursor::new(bytes));
            let mut readings = Readings::new("rows", input, ZoneSpec::utc()).unwrap();
            let (mut row, mut rows) = (Row::default(), Vec::new());
            while readings.read(&mut row).unwrap() {
                let named =
                    row.values.iter().map(|(place, value)| (readings.names()[*place].clone(), *value));
                let mut named: Vec<_> = named.collect();
                named.sort_by(|a, b| a.0.cmp(&b.0));
                rows.push((row.time, row.unit.clone(), named));
            }
            read.push(rows);
        }
        assert_eq!(read[0].len(), 10);
        assert_eq!(read[0], read[1]);
    }

    #[test]
    fn a_start_that_is_no_time_is_wrong_usage() {
        assert_eq!(parse_start("tomorrow").unwrap_err().code(), crate::cli::exit::USAGE);
    }
}
