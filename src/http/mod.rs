//! Asking over HTTP: predictions for readings at hand, what the daemon knows of its units, how it is, what it counted.
//!
//! One thread of its own with a runtime of its own, so that no request ever takes the worker's time, and all of them
//! together one processor at most. Predictions are made here, with a clone of the engine's evaluator that shares its
//! models: the same bits. Everything else is asked at the daemon's desk ([`crate::daemon::desk`]).
//!
//! ```text
//! connection -> guard (host, origin, token) -> route -> predict/   evaluator of this thread
//!  server.rs     guard.rs                      routes.rs asks      desk -> worker
//! ```

mod app;
mod counts;
mod docs;
mod events;
mod guard;
mod metrics;
mod openapi;
mod page;
mod patient;
mod predict;
mod problem;
mod routes;
mod server;

use std::io;

use crate::daemon::desk::Front;
#[cfg(fuzzing)]
pub use predict::Answering;

/// Serves from now on until the daemon has ended, in a thread of its own.
///
/// # Errors
/// There is no thread, or no runtime, to be had.
pub fn start(front: Front) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("http".to_owned()).spawn(move || {
        runtime.block_on(server::serve(front));
    })?;
    Ok(())
}
