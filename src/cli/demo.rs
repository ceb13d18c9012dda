//! `cooltwin demo`: everything in one process, over real MQTT, for somebody who has nothing yet.
//!
//! A broker on a free loopback port, simulated units that publish to it, the very daemon that `cooltwin run`
//! starts, and a subscriber whose view is drawn on the terminal. Only the clock is special: the simulation
//! runs many times faster than real time, and the daemon goes by its time.

mod board;
pub(super) mod broker;
mod feed;
mod page;
mod screen;
mod view;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use rumqttc::{Event, EventLoop, Packet, QoS};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::exit::complain;
use super::mqtt::Address;
use super::{Failure, Outcome, model, terminal};
use crate::bundle::Bundle;
use crate::daemon::logging::LogVolume;
use crate::daemon::settings::Settings;
use crate::daemon::{self, Controls, DaemonConfig};
use crate::simulator::{DEFAULT_START_US, FaultKind, FaultSpec, Simulator, SimulatorConfig};

use board::{Board, FaultPlan, Target};
use feed::{HISTORY_ROWS, STEP, SimulatedClock};
use page::Page;
use screen::Frame;
use view::{Style, View};

/// The simulation starts at nine in the morning: people have come, the units work.
const START_US: i64 = DEFAULT_START_US + 9 * 3_600 * 1_000_000;
/// The fault sets in after this time, or at half time of a shorter demo.
const FAULT_AFTER: Duration = Duration::from_secs(12);
/// A third of the air is lost: a filter overdue for months, visible at once.
const FAULT_SEVERITY: f64 = 0.3;
/// Rows on their way to the view; beyond it the simulation waits for the view.
const ROWS_WAITING: usize = 64;
/// Longest wait for the daemon to be online; it takes a fraction of a second.
const START_PATIENCE: Duration = Duration::from_secs(10);
/// Longest wait for the daemon to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// Name of the demo's daemon; stands in its topics.
const INSTANCE: &str = "demo";

const EXAMPLES: &str = "\
The view shows, for each unit, its latest inputs and for each target the
prediction, what the sensor measured, what the simulation knows to be true, and
the residual: measured minus predicted. After a while a filter clogs on the last
unit; watch the residual of its air flow move away while the others stay. The
same is drawn over time by the live page, on the first free port from 8000 on.

Examples:
  cooltwin demo
  cooltwin demo --units 5 --speed 300
  cooltwin demo --seconds 20 --json | head -3

NO_COLOR=1 leaves out colours. Without a terminal plain lines are printed.";

/// What `cooltwin demo` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Number of simulated unit coolers
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub units: u32,
    /// How many times faster than real time
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=3000))]
    pub speed: u32,
    /// End after this many seconds instead of at Ctrl-C
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub seconds: Option<u32>,
    /// One JSON line for each prediction, with the truth beside it, instead of the view
    #[arg(long)]
    pub json: bool,
    /// Folder of the model bundle [default: models/unit-cooler, or the installed one]
    #[arg(long, value_name = "DIR")]
    pub bundle: Option<PathBuf>,
    /// Do not serve HTTP and the live page
    #[arg(long)]
    pub no_http: bool,
    /// Start of the random numbers: same seed, same day
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Args {
    /// Real time between two rows.
    fn pause(&self) -> Duration {
        STEP / self.speed.max(1)
    }

    /// The filter that clogs, on the last unit.
    fn fault(&self) -> FaultSpec {
        let half_time = self.seconds.map(|seconds| Duration::from_secs(u64::from(seconds)) / 2);
        let after = half_time.map_or(FAULT_AFTER, |half_time| half_time.min(FAULT_AFTER));
        FaultSpec {
            kind: FaultKind::CloggedFilter,
            severity: FAULT_SEVERITY,
            from_row: HISTORY_ROWS + (after.as_secs_f64() / self.pause().as_secs_f64()) as u64,
            unit: Some(format!("cooler-{:02}", self.units)),
        }
    }
}

/// Does it.
///
/// # Errors
/// No usable bundle (78), a broker or daemon that does not start, or not one prediction.
pub fn demo(args: &Args) -> Outcome {
    let path = model::locate(args.bundle.as_deref())?;
    let bundle = model::load(&path)?;
    let fault = args.fault();
    let simulator = Simulator::new(SimulatorConfig {
        seed: args.seed,
        units: args.units,
        start: START_US,
        step: STEP,
        faults: vec![fault.clone()],
    })
    .map_err(|error| Failure::usage(error.to_string()))?;
    let port = broker::start()?;
    let view = view(args, &bundle, &fault, port);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the asynchronous runtime")?;
    runtime.block_on(session(args, settings(port, &path), bundle, simulator, port, view))?;
    Ok(())
}

fn view(args: &Args, bundle: &Bundle, fault: &FaultSpec, port: u16) -> View {
    let targets = bundle.manifest.targets.iter();
    let targets = targets.map(|target| Target { name: target.name.clone(), unit: target.unit.clone() });
    let plan = FaultPlan {
        unit: fault.unit.clone().unwrap_or_default(),
        from_row: fault.from_row,
        name: format!("{}:{}", fault.kind, fault.severity),
    };
    let style = match (args.json, terminal::is_drawable()) {
        (true, _) => Style::Json,
        (false, true) => Style::Screen,
        (false, false) => Style::Lines,
    };
    let frame = Frame {
        port,
        page: None,
        speed: f64::from(args.speed),
        bundle: format!("{} {}", bundle.identity.id, bundle.identity.version),
        with_colour: terminal::is_coloured(),
    };
    View::new(Board::new(targets.collect(), Some(plan)), frame, style)
}

async fn session(
    args: &Args,
    mut settings: Settings,
    bundle: Bundle,
    simulator: Simulator,
    port: u16,
    mut view: View,
) -> anyhow::Result<()> {
    let broker = Address::new("127.0.0.1", port);
    let clock = SimulatedClock::new(START_US);
    let (watcher, mut watcher_loop) = broker.client("demo-view");
    let status = format!("cooltwin/{INSTANCE}/status");
    for topic in ["hvac/+/predictions", status.as_str()] {
        watcher.subscribe(topic, QoS::AtMostOnce).await.context("subscribing")?;
    }
    wait_for(&mut watcher_loop, |packet| matches!(packet, Packet::SubAck(_))).await.context("subscribing")?;

    let (handle, controls) = Controls::new();
    let page = if args.no_http { None } else { Some(Page::serve(&mut settings)?) };
    let (desk, page) = page.unzip();
    let config = DaemonConfig {
        settings,
        bundle,
        source: None,
        clock: clock.wall_clock(),
        log_volume: LogVolume::default(),
        desk,
        notify_systemd: false,
    };
    let page = page.map(Page::make_way);
    let mut daemon = tokio::spawn(daemon::run(config, controls));
    tokio::select! {
        online = wait_for(&mut watcher_loop, |packet| is_online(packet, &status)) => {
            online.context("waiting for the daemon")?;
        }
        ended = &mut daemon => bail!("the daemon ended by itself: {ended:?}"),
    }
    if let Some(page) = page {
        view.served_at(page::wait_for(page).await);
    }

    let (sender, feeder_loop) = broker.client("demo-units");
    let drive = tokio::spawn(drive(feeder_loop));
    let (sent_tx, sent) = mpsc::channel(ROWS_WAITING);
    let mut feeder = tokio::spawn(feed::feed(simulator, clock, args.pause(), sender, sent_tx));
    let (arrived_tx, arrived) = mpsc::channel(ROWS_WAITING);
    let watching = tokio::spawn(watch(watcher_loop, arrived_tx));

    let result = tokio::select! {
        shown = view.show(sent, arrived) => shown,
        stopped = end(args.seconds) => stopped,
        ended = &mut daemon => Err(anyhow!("the daemon ended by itself: {ended:?}")),
        ended = &mut feeder => Err(anyhow!("the simulation ended by itself: {ended:?}")),
    };
    for task in [drive, watching] {
        task.abort();
    }
    feeder.abort();
    handle.stop();
    // A daemon that has failed was said so above; one that hangs must not keep the terminal.
    if timeout(STOP_PATIENCE, daemon).await.is_err() {
        complain("the daemon did not stop in time");
    }
    view.close()?;
    result
}

/// The daemon's settings: all defaults but where the broker is and what it is called.
fn settings(port: u16, bundle: &Path) -> Settings {
    let mut settings = Settings::default();
    INSTANCE.clone_into(&mut settings.instance.name);
    settings.mqtt.url = format!("mqtt://127.0.0.1:{port}");
    settings.bundle.path = Some(bundle.to_path_buf());
    settings
}

/// Polls until a packet comes that is waited for.
async fn wait_for(event_loop: &mut EventLoop, wanted: impl Fn(&Packet) -> bool) -> anyhow::Result<()> {
    let found = async {
        loop {
            match event_loop.poll().await {
                Ok(Event::Incoming(packet)) if wanted(&packet) => return Ok::<(), anyhow::Error>(()),
                Ok(_) => {}
                Err(error) => bail!("the demo's broker went away: {error}"),
            }
        }
    };
    timeout(START_PATIENCE, found).await.map_err(|_| anyhow!("nothing after {START_PATIENCE:?}"))?
}

fn is_online(packet: &Packet, status: &str) -> bool {
    matches!(packet, Packet::Publish(publish) if publish.topic == status && &publish.payload[..] == b"online")
}

/// Keeps a connection going that only sends.
async fn drive(mut event_loop: EventLoop) {
    while event_loop.poll().await.is_ok() {}
}

/// Passes on what is published.
async fn watch(mut event_loop: EventLoop, arrived: mpsc::Sender<view::Arrived>) {
    while let Ok(event) = event_loop.poll().await {
        let Event::Incoming(Packet::Publish(publish)) = event else { continue };
        let arrival = view::Arrived { payload: publish.payload.to_vec(), at: Instant::now() };
        if arrived.send(arrival).await.is_err() {
            return;
        }
    }
}

/// Waits for Ctrl-C, a termination signal, or the end of the time.
async fn end(seconds: Option<u32>) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("listening for signals")?;
    let time_is_up = async {
        match seconds {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(u64::from(seconds))).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        stopped = tokio::signal::ctrl_c() => stopped.context("listening for Ctrl-C"),
        _ = terminate.recv() => Ok(()),
        () = time_is_up => Ok(()),
    }
}
