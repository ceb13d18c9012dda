//! Failures and the exit codes they lead to.

use std::process::ExitCode;

use super::output::is_closed_pipe;
use crate::daemon::logging;

/// Something went wrong while running.
pub const RUNTIME: u8 = 1;
/// The command line makes no sense (`EX_USAGE`).
pub const USAGE: u8 = 64;
/// The configuration or the bundle is wrong (`EX_CONFIG`): starting again would not help.
pub const CONFIGURATION: u8 = 78;

/// How a subcommand ends.
pub type Outcome = Result<(), Failure>;

/// A failure with the exit code it leads to.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    error: anyhow::Error,
    is_told: bool,
}

impl Failure {
    /// The command line makes no sense, for a reason that only shows after parsing.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, error: anyhow::Error::msg(message.into()), is_told: false }
    }

    /// The configuration or the bundle is wrong.
    pub fn configuration(error: impl Into<anyhow::Error>) -> Self {
        Self { code: CONFIGURATION, error: error.into(), is_told: false }
    }

    /// The same, and the journal has it already: nothing more is printed.
    #[must_use]
    pub fn told(self) -> Self {
        Self { is_told: true, ..self }
    }

    /// The exit code.
    #[must_use]
    pub fn code(&self) -> u8 {
        self.code
    }

    /// What went wrong.
    #[must_use]
    pub fn error(&self) -> &anyhow::Error {
        &self.error
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { code: RUNTIME, error: error.into(), is_told: false }
    }
}

/// Says what went wrong, if anything, and gives the exit code. A reader that has closed our standard
/// output (`cooltwin simulate | head`) has what it wanted: that is success.
pub(super) fn report(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if is_closed_pipe(&failure.error) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_told {
                complain_of_failure(&format!("{:#}", failure.error));
            }
            ExitCode::from(failure.code)
        }
    }
}

/// Prints what clap has to say: help and versions are success, everything else is wrong usage.
pub(super) fn from_clap(error: &clap::Error) -> ExitCode {
    // Nothing useful can be done if even this cannot be printed.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}

/// One message on standard error.
pub(super) fn complain(message: &str) {
    eprintln!("cooltwin: {message}");
}

/// The same for a failure: the journal takes lines for information unless each has the mark of an error.
fn complain_of_failure(message: &str) {
    if logging::is_journal() {
        eprintln!("<3>cooltwin: {}", message.replace('\n', "\n<3>"));
    } else {
        complain(message);
    }
}
