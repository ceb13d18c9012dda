//! A long time in full flow, with another fault every minute.

use std::time::{Duration, Instant};

use crate::support::{Broker, Direction, Rules, Site, Tally, eventually, report};

/// Frames a second.
const RATE: u64 = 1_000;
/// Time between two faults.
const PERIOD: Duration = Duration::from_mins(1);
/// How long a fault lasts that has a duration: longer than the link needs to notice with the keep-alive here.
const LASTS: Duration = Duration::from_secs(6);
/// Between two looks at the memory.
const SAMPLE: Duration = Duration::from_secs(5);
/// From a daemon's start until its memory has settled: histories and queues have been full once.
const WARM_UP: Duration = Duration::from_mins(3);
/// Growth of resident memory that counts as none, in bytes an hour.
const MAX_SLOPE: f64 = 1e6;
/// Over less time than this a slope is noise and only reported.
const MEANINGFUL: Duration = Duration::from_mins(15);
/// A broker's log of every packet would be a load of its own.
const QUIET: &str = "log_type error\nlog_type notice\nlog_type information\n";

type Fault = (&'static str, fn(&mut Site) -> Instant);

/// Each comes back with the instant at which it ended.
const FAULTS: [Fault; 9] = [
    ("daemon killed", |site| {
        site.daemon.kill();
        site.daemon.restart(&site.config);
        Instant::now()
    }),
    ("broker killed", |site| {
        // What a broker has not saved dies with it, which no daemon can mend: so the frames are saved first.
        site.daemon.freeze();
        site.feeder.feed(500);
        site.broker.save();
        let seen = site.observer.seen();
        site.daemon.thaw();
        site.observer.wait_seen(seen + 100);
        site.broker.kill();
        site.broker.restart();
        Instant::now()
    }),
    ("broker frozen", |site| {
        site.broker.freeze();
        std::thread::sleep(LASTS);
        site.broker.thaw();
        Instant::now()
    }),
    ("daemon frozen", |site| {
        site.daemon.freeze();
        std::thread::sleep(LASTS);
        site.daemon.thaw();
        Instant::now()
    }),
    ("connection cut", |site| {
        site.proxy.cut();
        Instant::now()
    }),
    ("link half open", |site| {
        site.proxy.set_both(Rules { stalled: true, ..Rules::default() });
        std::thread::sleep(LASTS);
        site.proxy.cut();
        site.proxy.set_both(Rules::default());
        Instant::now()
    }),
    ("confirmations lost, then cut", |site| {
        site.proxy.set(Direction::Down, Rules { dropped: true, ..Rules::default() });
        std::thread::sleep(Duration::from_millis(500));
        site.proxy.cut();
        site.proxy.set_both(Rules::default());
        Instant::now()
    }),
    ("slow and lossy link", |site| {
        let delay = Duration::from_millis(50);
        site.proxy.set_both(Rules { delay, rate: 200_000, lost_percent: 10, ..Rules::default() });
        std::thread::sleep(LASTS);
        site.proxy.set_both(Rules::default());
        Instant::now()
    }),
    ("reload", |site| {
        site.daemon.signal("HUP");
        Instant::now()
    }),
];

/// Samples of memory, and the straight line through them.
#[derive(Default)]
struct Memory {
    samples: Vec<(f64, f64)>,
}

impl Memory {
    /// Bytes an hour, by least squares.
    fn slope(&self) -> f64 {
        let count = self.samples.len() as f64;
        let mean = |part: fn(&(f64, f64)) -> f64| self.samples.iter().map(part).sum::<f64>() / count;
        let (hours, bytes) = (mean(|sample| sample.0), mean(|sample| sample.1));
        let (mut covariance, mut variance) = (0.0, 0.0);
        for (hour, size) in &self.samples {
            covariance += (hour - hours) * (size - bytes);
            variance += (hour - hours).powi(2);
        }
        covariance / variance
    }

    fn length(&self) -> Duration {
        let hours = |sample: Option<&(f64, f64)>| sample.map_or(0.0, |sample| sample.0);
        Duration::from_secs_f64((hours(self.samples.last()) - hours(self.samples.first())) * 3600.0)
    }
}

#[test]
#[ignore = "takes the minutes named in FAULTS_SOAK_MINUTES; tests/reliability/run.sh starts it"]
fn a_soak() {
    let minutes = std::env::var("FAULTS_SOAK_MINUTES").map_or(3, |text| text.parse().unwrap());
    let total = PERIOD * minutes;
    let mut site = Site::with(Broker::start_persistent(false, QUIET), false, |config| {
        config.text("log.level", "warn").text("health.interval", "5s")
    });
    let begin = Instant::now();
    let (mut memory, mut started) = (Memory::default(), begin);
    let (mut slowest, mut faults) = (Duration::ZERO, 0);
    while begin.elapsed() < total {
        // A new daemon has a new memory: it is killed in the first third only.
        let (name, fault) = FAULTS[faults % FAULTS.len()];
        let is_late = begin.elapsed() > total / 3;
        let (name, fault) =
            if faults.is_multiple_of(FAULTS.len()) && is_late { FAULTS[4] } else { (name, fault) };
        site.flow(RATE);
        std::thread::sleep(Duration::from_secs(5));
        if name == "broker killed" {
            site.feeder.flush();
        }
        let healed = fault(&mut site);
        site.feeder.set_rate(RATE);
        faults += 1;
        if name == "daemon killed" {
            (memory, started) = (Memory::default(), Instant::now());
        }
        let recovery = eventually("a prediction after the fault", || site.observer.service_after(healed));
        slowest = slowest.max(recovery);
        let minute = begin.elapsed().as_secs_f64() / 60.0;
        let rss = site.daemon.rss() as f64 / 1e6;
        println!("{minute:5.1} min  {name:<30} served again after {recovery:>9.3?}, {rss:.1} MB resident");
        while begin.elapsed() < (PERIOD * faults as u32).min(total) {
            std::thread::sleep(SAMPLE);
            if started.elapsed() > WARM_UP {
                memory.samples.push((begin.elapsed().as_secs_f64() / 3600.0, site.daemon.rss() as f64));
            }
        }
    }
    let rss = site.daemon.rss();
    let tally = site.finish();
    report(&format!("soak: {minutes} min at {RATE}/s, {faults} faults"), &tally, Some(slowest), Some(rss));
    let slope = memory.slope();
    println!(
        "resident memory: {:+.3} MB/h over the last {:.1} min, {} samples",
        slope / 1e6,
        memory.length().as_secs_f64() / 60.0,
        memory.samples.len()
    );
    report("soak: resident MB more an hour", &Tally::default(), None, Some(slope.max(0.0) as u64));
    assert!(tally.lost.is_empty(), "{}", tally.complaint());
    assert!(tally.strange.is_empty(), "{}", tally.complaint());
    assert!(
        memory.length() < MEANINGFUL || slope < MAX_SLOPE,
        "resident memory grows by {:.3} MB an hour",
        slope / 1e6
    );
}
