//! Standard output that ends quietly when nobody reads it any more.

use std::io::{self, BufWriter, ErrorKind, Write};

/// Buffer for bulk output: large enough that a system call a buffer costs nothing.
const BUFFER_BYTES: usize = 64 * 1024;

/// The mark of a write to a standard output that its reader has closed.
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed")]
struct ClosedPipe;

/// Standard output; tells its own closed pipe from that of any socket.
#[derive(Debug)]
pub struct Stdout(io::Stdout);

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(mark)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(mark)
    }
}

fn mark(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::BrokenPipe { io::Error::other(ClosedPipe) } else { error }
}

/// Buffered standard output for results in bulk; flush it at the end.
#[must_use]
pub fn bulk() -> BufWriter<Stdout> {
    BufWriter::with_capacity(BUFFER_BYTES, Stdout(io::stdout()))
}

/// Did this failure come from a standard output that its reader has closed?
pub(super) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .is_some_and(<dyn std::error::Error + Send + Sync>::is::<ClosedPipe>)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_closed_pipe_is_quiet() {
        let ours = anyhow::Error::from(mark(io::Error::from(ErrorKind::BrokenPipe))).context("writing rows");
        assert!(is_closed_pipe(&ours));
        let socket = anyhow::Error::from(io::Error::from(ErrorKind::BrokenPipe)).context("broker");
        assert!(!is_closed_pipe(&socket));
    }
}
