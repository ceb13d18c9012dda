//! The command line: what a person types, and the exit code they get back.
//!
//! Each subcommand is one module with its `Args` and one function that returns [`Outcome`]. Results go
//! to standard output, everything said about them to standard error, so that pipes stay clean.

pub mod check;
pub mod config;
pub mod exit;
pub mod features;
mod generate;
pub mod input;
pub mod model;
mod mqtt;
pub mod output;
mod publish;
pub mod run;
pub mod simulate;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use exit::{Failure, Outcome};

/// What `cooltwin` alone and `cooltwin --help` end with.
const EXAMPLES: &str = "\
First steps:
  cooltwin demo                          watch three simulated unit coolers being predicted, nothing to set up
  cooltwin config > cooltwin.toml        write the documented configuration, then edit it
  cooltwin check --config cooltwin.toml  say everything that is wrong with it
  cooltwin run --config cooltwin.toml    predict until stopped

Exit codes: 0 success, 1 failure while running, 64 wrong usage, 78 wrong configuration or model bundle.";

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
    Run(run::Args),
    /// Check configuration and model bundle without starting
    Check(check::Args),
    /// Print the documented configuration with every default
    Config,
    /// Turn readings into the feature matrix the models see, for training and inspection
    Features(features::Args),
    /// Make readings of simulated unit coolers, as a file or onto a broker
    Simulate(Box<simulate::Args>),
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
        Command::Check(args) => check::check(&args),
        Command::Config => config::config(),
        Command::Features(args) => features::features(&args),
        Command::Simulate(args) => simulate::simulate(*args),
        Command::Completions { shell } => generate::completions(shell),
        Command::Man { dir } => generate::man(&dir),
    }
}
