//! `cooltwin run`: the daemon.

use std::path::PathBuf;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use super::{Failure, Outcome};
use crate::daemon::clock::WallClock;
use crate::daemon::desk::Desk;
use crate::daemon::reload::{self, Loaded, Refusal};
use crate::daemon::settings::Source;
use crate::daemon::{self, ControlHandle, Controls, DaemonConfig, logging};
use crate::http;

/// Arguments of `cooltwin run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    source: SourceArgs,
}

/// Where the configuration comes from.
#[derive(Debug, clap::Args)]
pub struct SourceArgs {
    /// Configuration file, TOML; `cooltwin config` prints a documented one. Without it, the defaults
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Override one setting, as in `--set mqtt.url=mqtts://broker:8883`; may be given several times
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE", value_parser = parse_override)]
    overrides: Vec<(String, String)>,
}

/// Splits without refusing: what is wrong would be repeated by the parser of arguments, password and all.
#[allow(clippy::unnecessary_wraps, reason = "what the parser of arguments calls must be able to fail")]
fn parse_override(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

impl SourceArgs {
    /// File, environment and overrides together.
    pub(super) fn source(&self) -> Source {
        Source::of_process(self.config.as_deref(), &self.overrides)
    }
}

/// Loads everything or fails with every reason at once.
pub(super) fn load(source: &Source) -> Result<Loaded, Failure> {
    reload::load(source).map_err(|refusals| failure(&refusals))
}

fn failure(refusals: &[Refusal]) -> Failure {
    let list = refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  ");
    let count = refusals.len();
    let plural = if count == 1 { "" } else { "s" };
    Failure::configuration(anyhow::anyhow!("{count} problem{plural} in configuration or bundle:\n  {list}"))
}

/// Runs the daemon until SIGTERM or SIGINT; SIGHUP reloads.
///
/// # Errors
/// Wrong configuration or bundle, or a failure while running.
pub fn run(args: &Args) -> Outcome {
    let source = args.source.source();
    let loaded = match reload::load(&source) {
        Ok(loaded) => loaded,
        Err(refusals) => {
            let failure = failure(&refusals);
            return Err(if daemon::start_refused(&refusals) { failure.told() } else { failure });
        }
    };
    let log_volume = logging::init(&loaded.settings.log, &loaded.settings.instance.name)?;
    // Both tasks on this one thread: neither ever waits while it has the thread, and waking each other across
    // threads would cost more than either's work. Loading at a reload has threads of its own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let (desk, front) = Desk::open();
    http::start(front).context("no thread for HTTP can be started")?;
    let config = DaemonConfig {
        settings: loaded.settings,
        bundle: loaded.bundle,
        source: Some(source),
        clock: WallClock::default(),
        log_volume,
        desk: Some(desk),
        notify_systemd: true,
    };
    let result = runtime.block_on(async {
        let (handle, controls) = Controls::new();
        // Before the daemon starts, so that no signal finds the default action.
        let signals = Signals::listen().context("signals cannot be received")?;
        let forward = tokio::spawn(signals.forward(handle));
        let result = Box::pin(daemon::run(config, controls)).await;
        forward.abort();
        result
    });
    // A reload that still loads must not hold up the exit.
    runtime.shutdown_background();
    Ok(result?)
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Turns signals into requests until the daemon has stopped.
    async fn forward(mut self, handle: ControlHandle) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => {
                    info!("SIGTERM: stopping");
                    handle.stop();
                }
                _ = self.interrupt.recv() => {
                    info!("SIGINT: stopping");
                    handle.stop();
                }
                _ = self.hang_up.recv() => {
                    info!("SIGHUP: reloading");
                    handle.reload();
                }
            }
        }
    }
}
