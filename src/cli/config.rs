//! `cooltwin config`: the documented configuration.

use std::io::Write;

use super::{Outcome, output};
use crate::daemon::settings;

/// Arguments of `cooltwin config`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the reference of all settings as Markdown instead of a file to edit
    #[arg(long)]
    markdown: bool,
}

/// Prints the complete documented configuration with every default.
///
/// # Errors
/// When it cannot be written.
pub fn config(args: &Args) -> Outcome {
    let text = if args.markdown { settings::reference() } else { settings::template() };
    let mut out = output::bulk();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}
