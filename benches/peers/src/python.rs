//! ONNX Runtime from Python: a process that waits for its turn in each round.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Deserialize;

use crate::Error;
use crate::data::Setup;

/// In tables.
pub const NAME: &str = "ORT from Python";

/// The waiting process.
pub struct Python {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

/// Times of one turn, a list a model, then the list for all models in turn; nanoseconds a call.
#[derive(Deserialize)]
struct Turn {
    times: Vec<Vec<u32>>,
}

impl Python {
    /// Starts it; it loads the models of all suites.
    pub fn start(setup: &Setup, folder: &std::path::Path) -> Result<Python, Error> {
        let [program, arguments @ ..] = setup.python.as_slice() else {
            return Err("no Python was set up".into());
        };
        let mut command = Command::new(program);
        let mut process =
            command.args(arguments).arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (to, from) = (process.stdin.take(), process.stdout.take());
        let (Some(to), Some(from)) = (to, from) else { return Err("Python without pipes".into()) };
        let mut python = Python { process, to, from: BufReader::new(from) };
        python.line()?;
        Ok(python)
    }

    /// Has `calls` calls timed from row `start` on.
    pub fn turn(
        &mut self,
        suite: &str,
        batch: usize,
        start: usize,
        calls: usize,
    ) -> Result<Vec<Vec<u32>>, Error> {
        writeln!(self.to, "{suite} {batch} {start} {calls}")?;
        self.to.flush()?;
        let line = self.line()?;
        Ok(serde_json::from_str::<Turn>(&line)?.times)
    }

    fn line(&mut self) -> Result<String, Error> {
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            return Err("the Python process has ended; its message is above".into());
        }
        Ok(line)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // Gone already, perhaps: then there is nothing to end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
