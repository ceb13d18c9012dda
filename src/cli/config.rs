//! `cooltwin config`: the documented configuration.

use std::io::Write;

use super::{Outcome, output};
use crate::daemon::settings;

/// Prints the complete documented configuration with every default.
///
/// # Errors
/// When it cannot be written.
pub fn config() -> Outcome {
    let mut out = output::bulk();
    out.write_all(settings::template().as_bytes())?;
    out.flush()?;
    Ok(())
}
