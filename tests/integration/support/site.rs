//! All that a fault needs: a broker, a proxy, a daemon behind it, frames, and somebody who counts.
//!
//! `FAULTS_FULL=1` in the environment asks for the full size of every fault, `FAULTS_REPORT=FILE` for a line about
//! each in that file: fault, frames, lost, duplicated, not recognisable, milliseconds to recovery, resident MB.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::observer::UNITS;
use super::{
    Broker, Client, Config, Daemon, Feeder, Namespace, Observer, Proxy, Tally, cooltwin, stderr, tiny_bundle,
};

/// Whether faults are wanted at their full size.
pub(crate) fn is_full() -> bool {
    std::env::var_os("FAULTS_FULL").is_some()
}

/// One of two sizes.
pub(crate) fn scaled<T>(short: T, full: T) -> T {
    if is_full() { full } else { short }
}

/// Adds a line to the report, if one is wanted.
pub(crate) fn report(fault: &str, tally: &Tally, recovery: Option<Duration>, rss: Option<u64>) {
    let mut line = format!(
        "{fault}|{}|{}|{}|{}|",
        tally.frames,
        tally.lost.len(),
        tally.duplicates,
        tally.unrecognisable
    );
    if let Some(recovery) = recovery {
        write!(line, "{}", recovery.as_millis()).unwrap();
    }
    line.push('|');
    if let Some(rss) = rss {
        write!(line, "{:.1}", rss as f64 / 1e6).unwrap();
    }
    println!("{line}");
    if let Some(path) = std::env::var_os("FAULTS_REPORT") {
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}

/// The tiny bundle for sites where things take long: readings stay fresh for an hour.
pub(crate) fn patient_bundle() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy_bundle(dir.path());
    let manifest = dir.path().join("bundle.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("max_age = \"1m\"", "max_age = \"1h\"")).unwrap();
    // What the golden readings give depends on when they grow stale.
    let output = cooltwin(&["seal", dir.path().to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    dir
}

/// A copy of the tiny bundle, to be spoiled.
pub(crate) fn copy_bundle(dir: &Path) {
    for entry in std::fs::read_dir(tiny_bundle()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), dir.join(entry.file_name())).unwrap();
    }
}

fn site_config(url: &str, bundle: &Path) -> Config {
    Config::new(url).path("bundle.path", bundle).set("engine.target_topics", "false")
}

/// Everything, running and subscribed. Fields are dropped in this order.
pub(crate) struct Site {
    pub(crate) feeder: Feeder,
    pub(crate) observer: Observer,
    pub(crate) daemon: Daemon,
    pub(crate) proxy: Proxy,
    pub(crate) broker: Broker,
    pub(crate) config: Config,
    bundle: TempDir,
}

impl Site {
    /// A site with a broker that bounds no queue and remembers nothing.
    pub(crate) fn start() -> Self {
        Self::with(Broker::start_with_settings(""), false, |config| config)
    }

    /// A site with a broker of one's own; with `is_timed` every frame has a time of its own.
    pub(crate) fn with(broker: Broker, is_timed: bool, configure: impl FnOnce(Config) -> Config) -> Self {
        let proxy = Proxy::start(broker.port());
        let url = format!("mqtt://127.0.0.1:{}", proxy.port());
        Self::make(broker, proxy, is_timed, |bundle| configure(site_config(&url, bundle)), Vec::new())
    }

    /// A site with the daemon in a network namespace, without the proxy between.
    pub(crate) fn with_daemon_in(broker: Broker, namespace: &Namespace) -> Self {
        let proxy = Proxy::start(broker.port());
        let url = broker.url();
        let configure = |bundle: &Path| site_config(&url, bundle).set("mqtt.allow_plain", "true");
        Self::make(broker, proxy, false, configure, namespace.prefix())
    }

    fn make(
        broker: Broker,
        proxy: Proxy,
        is_timed: bool,
        configure: impl FnOnce(&Path) -> Config,
        prefix: Vec<String>,
    ) -> Self {
        let bundle = patient_bundle();
        let config = configure(bundle.path());
        let observer = Observer::start(broker.port());
        let daemon = config.start_inside(prefix, &[], &[]);
        // What is fed before the subscription would go nowhere.
        Client::connect(&broker, &["hvac/probe/predictions"]).predict_until_answered("probe");
        let feeder = Feeder::start(broker.port(), is_timed);
        Self { feeder, observer, daemon, proxy, broker, config, bundle }
    }

    /// Folder of the bundle that the daemon runs.
    pub(crate) fn bundle(&self) -> PathBuf {
        self.bundle.path().to_owned()
    }

    /// Starts a regular feed and waits until it flows.
    pub(crate) fn flow(&self, frames_per_second: u64) {
        self.feeder.set_rate(frames_per_second);
        self.observer.wait_seen(self.observer.seen() + frames_per_second / 2);
    }

    /// Waits until the site is served again after a fault that ended at `healed`, ends the feed, and demands a
    /// prediction of every frame. Gives the time from the end of the fault to the first prediction.
    pub(crate) fn settle(&self, fault: &str, healed: Instant) -> (Tally, Duration) {
        // One frame more of each unit: behind it nothing waits any more.
        self.feeder.order(UNITS);
        let recovery =
            super::eventually("a prediction after the fault", || self.observer.service_after(healed));
        let tally = self.finish();
        report(fault, &tally, Some(recovery), Some(self.daemon.rss()));
        assert!(tally.lost.is_empty(), "{fault}: {}", tally.complaint());
        assert!(tally.strange.is_empty(), "{fault}: {}", tally.complaint());
        (tally, recovery)
    }

    /// Ends the feed and counts.
    pub(crate) fn finish(&self) -> Tally {
        self.observer.tally(self.feeder.flush())
    }
}
