//! The command line: what a person types, and the exit code they get back.
//!
//! Each subcommand is one module with its `Args` and one function that returns [`Outcome`]. Results go
//! to standard output, everything said about them to standard error, so that pipes stay clean.

pub mod bench;
pub mod check;
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
pub mod exit;
pub mod explain;
pub mod features;
mod generate;
pub mod health;
pub mod input;
pub mod model;
mod mqtt;
pub mod output;
pub mod points;
pub mod predict;
mod publish;
pub mod run;
pub mod seal;
pub mod simulate;
pub mod stats;
mod terminal;
#[cfg(test)]
mod tests;
pub mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use exit::{Failure, Outcome};

/// What `cooltwin` alone and `cooltwin --help` end with.
const EXAMPLES: &str = "\
First steps:
  cooltwin demo                          watch simulated units being predicted
  cooltwin config > cooltwin.toml        the documented configuration, to edit
  cooltwin check --config cooltwin.toml  everything that is wrong with it
  cooltwin run --config cooltwin.toml    predict until stopped

Exit codes: 0 success, 1 failure while running, 64 wrong usage, 78 wrong
configuration or model bundle.";

const RUN_EXAMPLES: &str = "\
The daemon starts even when the broker is away, and connects once it is there.
SIGTERM or Ctrl-C stops it cleanly; SIGHUP reads configuration and bundle again
and keeps the present ones if anything is wrong with the new.

Examples:
  cooltwin run --config /etc/cooltwin/cooltwin.toml
  cooltwin run --set mqtt.url=mqtts://broker:8883
  COOLTWIN__MQTT__URL=mqtts://broker:8883 cooltwin run";

const CHECK_EXAMPLES: &str = "\
Everything that is wrong is said at once, with what to do about it; the exit
code is then 78. Otherwise prints what the daemon would do.

Examples:
  cooltwin check --config /etc/cooltwin/cooltwin.toml
  cooltwin check --config new.toml && sudo systemctl reload cooltwin";

const HEALTH_EXAMPLES: &str = "\
Well is a daemon that is at the broker and answers in time: exit code 0. When it
is not, the broker cannot be reached or says that it is offline, the exit code
is 1; when the configuration is wrong, 78. Sensors that are silent, alarms and
withheld predictions are told and are no failure: a restart would not help.

Examples:
  cooltwin health --config /etc/cooltwin/cooltwin.toml
  cooltwin health --config /etc/cooltwin/cooltwin.toml --json | jq .health.units
  HEALTHCHECK CMD [\"cooltwin\", \"health\", \"--timeout\", \"5\"]   (in a container)";

const WATCH_EXAMPLES: &str = "\
In a terminal, a screen that is renewed in place; q or Ctrl-C ends it. In a pipe
or file, a line for each prediction and whatever else happens. A broker or
daemon that goes away is said to be, and waited for. Nothing is published but
the question for the daemon's health.

With --once the exit code is 1 when the daemon is offline or does not answer, or
the broker cannot be reached; 78 when the configuration is wrong.

Examples:
  cooltwin watch --config /etc/cooltwin/cooltwin.toml
  cooltwin watch --url http://127.0.0.1:8000 --unit 'roof-*'
  cooltwin watch --once --json | jq '.units[] | select(.quality != \"good\")'
  cooltwin watch | tee watched.log";

const EXPLAIN_EXAMPLES: &str = "\
Nothing is sent and no broker is needed. The exit code is 1 when nothing of the
message is used.

Examples:
  cooltwin explain --topic hvac/c1/sensors/UCAIT --payload 21.4
  cooltwin explain -c new.toml -t site/1/state --payload-file message.json
  mosquitto_sub -C 1 -t a/b | cooltwin explain -t a/b --payload-file -";

const POINTS_EXAMPLES: &str = "\
Topics are those of the configuration, targets and tags those of its bundle.
Predictions come first, then the quality: with three targets AV 0 to 3; each
further unit begins at the next multiple of ten.

Examples:
  cooltwin points --units cooler-01,cooler-02 > points.csv
  cooltwin points -c site.toml --unit cooler-01 --format brick > points.ttl
  cooltwin points --unit cooler-01 --format json | jq '.points[].topic'";

const CONFIG_EXAMPLES: &str = "\
Every setting is there with its meaning, its range and its default, ready to be
edited. A setting that is left out has its default.

Examples:
  cooltwin config > cooltwin.toml
  cooltwin config --markdown > configuration.md";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "cooltwin",
    version,
    about = "Predictions for HVAC unit coolers: MQTT sensor readings in, model predictions with their quality out",
    after_help = EXAMPLES,
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Predict until stopped: subscribe to readings, publish predictions
    #[command(after_help = RUN_EXAMPLES)]
    Run(run::Args),
    /// Watch simulated unit coolers being predicted live; needs nothing but this program
    #[cfg(feature = "demo")]
    Demo(demo::Args),
    /// Check configuration and model bundle without starting
    #[command(after_help = CHECK_EXAMPLES)]
    Check(check::Args),
    /// Ask the running daemon over the broker how it is; fails unless it is well
    #[command(after_help = HEALTH_EXAMPLES)]
    Health(health::Args),
    /// Watch the running daemon and its units live in the terminal, over the broker or HTTP
    #[command(after_help = WATCH_EXAMPLES)]
    Watch(watch::Args),
    /// Say what becomes of one message: which rule reads it, what is found, converted and refused
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(explain::Args),
    /// List what is published of units, for gateways: BACnet objects, Haystack, Brick
    #[command(after_help = POINTS_EXAMPLES)]
    Points(points::Args),
    /// Predict from a file of readings, or from a feature matrix
    Predict(predict::Args),
    /// Turn readings into the feature matrix the models see, for training and inspection
    Features(features::Args),
    /// Make readings of simulated unit coolers, as a file or onto a broker
    Simulate(Box<simulate::Args>),
    /// Record the golden vectors and hashes of a bundle, after its models have changed
    Seal(seal::Args),
    /// Measure how fast a bundle is on this machine
    Bench(bench::Args),
    /// Print the documented configuration with every default
    #[command(after_help = CONFIG_EXAMPLES)]
    Config(config::Args),
    /// Print a completion script for a shell
    #[command(hide = true)]
    Completions {
        /// The shell: bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a directory
    #[command(hide = true)]
    Man {
        /// The directory; made if it is not there
        dir: PathBuf,
    },
}

/// Reads the arguments of the process, does what they say, says what went wrong.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::from_clap(&error),
    };
    exit::report(dispatch(cli.command))
}

fn dispatch(command: Command) -> Outcome {
    match command {
        Command::Run(args) => run::run(&args),
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::demo(&args),
        Command::Check(args) => check::check(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Health(args) => health::health(&args),
        Command::Watch(args) => watch::watch(&args),
        Command::Points(args) => points::points(&args),
        Command::Predict(args) => predict::predict(&args),
        Command::Features(args) => features::features(&args),
        Command::Simulate(args) => simulate::simulate(*args),
        Command::Seal(args) => seal::seal(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Config(args) => config::config(&args),
        Command::Completions { shell } => generate::completions(shell),
        Command::Man { dir } => generate::man(&dir),
    }
}
