//! Who counts: a consumer with a persistent session of its own, and a feeder whose frames carry numbers.
//!
//! A frame's number stands in its reading of `T`, which is no input of the tiny bundle's model: a prediction
//! tells it again as its residual and the predicted value, measured minus predicted.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rumqttc::QoS;
use rumqttc::mqttbytes::v4::{Packet, PubAck, Publish, Subscribe};
use serde_json::Value;

use super::wire::Wire;
use crate::documents;

/// Units that the frames come from in turn.
pub(crate) const UNITS: u64 = 8;
/// Difference of `T` between two frames: 25 million numbers within what the bundle accepts.
const STEP: f64 = 1e-5;
/// `T` of frame 0: the lowest value that the bundle accepts.
const LOWEST: f64 = -50.0;
/// Frames on their way to the broker without its confirmation.
const WINDOW: usize = 500;
/// Pause before connecting again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);
/// How long the feeder listens for confirmations before it looks whether the next frame is due.
const PACE: Duration = Duration::from_millis(2);
/// Nothing new for so long, and what is missing counts as lost.
const GIVE_UP: Duration = Duration::from_mins(1);
/// So many documents are held against their schema one by one, and behind them each of so many: thousands come a second.
const LOOK_AT: u64 = 1_000;
const LOOK_AT_EACH: u64 = 16;

/// The frame of a number; with `time` it has a time of its own.
fn frame(number: u64, time: Option<Duration>) -> String {
    let measured = LOWEST + number as f64 * STEP;
    let time = time.map_or_else(String::new, |time| format!(r#""timestamp":{},"#, time.as_micros()));
    format!(r#"{{{time}"R":20,"H":10,"N":1000,"D":2,"T":{measured:.5}}}"#)
}

/// The number of the frame that a prediction was made of.
fn number(document: &Value) -> Option<u64> {
    let measured = document["residuals"]["T"].as_f64()? + document["T"].as_f64()?;
    Some(((measured - LOWEST) / STEP).round() as u64)
}

/// What came for one frame.
#[derive(Debug, Clone, Copy, Default)]
struct Arrival {
    count: u32,
    /// Seconds since the observer began.
    first_at: f32,
    /// Time of the first document, hashed: equal for one that is the same or of the same event.
    time: u64,
}

#[derive(Debug, Default)]
struct Record {
    arrivals: Vec<Arrival>,
    seen: u64,
    duplicates: u64,
    unrecognisable: u64,
    strange: Vec<String>,
    last_new: Option<Instant>,
    documents: u64,
}

/// What became of the frames.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// Frames fed.
    pub(crate) frames: u64,
    /// Numbers of those without a prediction.
    pub(crate) lost: Vec<u64>,
    /// Predictions beyond the first of a frame.
    pub(crate) duplicates: u64,
    /// Of them those with another time than the first, so that nothing tells that they are duplicates.
    pub(crate) unrecognisable: u64,
    /// Documents that belong to no frame, or are not what their schema says.
    pub(crate) strange: Vec<String>,
}

impl Tally {
    /// What was lost, in a few words.
    pub(crate) fn complaint(&self) -> String {
        let first: Vec<_> = self.lost.iter().take(20).collect();
        format!(
            "{} of {} frames have no prediction, the first of them {first:?}, the last {:?}; {} duplicates, {} of \
             them not to be recognised; strange: {:?}",
            self.lost.len(),
            self.frames,
            self.lost.last(),
            self.duplicates,
            self.unrecognisable,
            self.strange,
        )
    }
}

/// The consumer. Connects again whenever it must; acknowledges what it has noted.
pub(crate) struct Observer {
    record: Arc<Mutex<Record>>,
    begin: Instant,
    subscribed: Arc<AtomicU64>,
    paused: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap()
}

impl Observer {
    /// Connects, subscribes to all predictions, and returns when that is confirmed.
    pub(crate) fn start(port: u16) -> Self {
        let mut observer = Self {
            record: Arc::default(),
            begin: Instant::now(),
            subscribed: Arc::default(),
            paused: Arc::default(),
            stop: Arc::default(),
            thread: None,
        };
        let (record, begin) = (observer.record.clone(), observer.begin);
        let (subscribed, paused, stop) =
            (observer.subscribed.clone(), observer.paused.clone(), observer.stop.clone());
        observer.thread = Some(std::thread::spawn(move || {
            while !stop.load(Ordering::Acquire) {
                // An error is a connection lost, which is what these tests do.
                let _ = observe(port, &record, begin, &subscribed, &paused, &stop);
                std::thread::sleep(RECONNECT_PAUSE);
            }
        }));
        observer.wait_subscribed(1);
        observer
    }

    /// Waits until it has subscribed for the `count`-th time: once a connection.
    pub(crate) fn wait_subscribed(&self, count: u64) {
        super::eventually("the observer to subscribe", || {
            (self.subscribed.load(Ordering::Acquire) >= count).then_some(())
        });
    }

    /// Reads nothing more, or goes on.
    pub(crate) fn pause(&self, is_paused: bool) {
        self.paused.store(is_paused, Ordering::Release);
    }

    /// Frames that have their prediction.
    pub(crate) fn seen(&self) -> u64 {
        lock(&self.record).seen
    }

    /// Waits until so many frames have their prediction.
    pub(crate) fn wait_seen(&self, count: u64) {
        super::eventually(&format!("predictions of {count} frames"), || (self.seen() >= count).then_some(()));
    }

    /// Time from `instant` to the first prediction of a frame that had none.
    pub(crate) fn service_after(&self, instant: Instant) -> Option<Duration> {
        let from = (instant - self.begin).as_secs_f32();
        let record = lock(&self.record);
        let after = record.arrivals.iter().filter(|arrival| arrival.count > 0 && arrival.first_at >= from);
        let first = after.map(|arrival| arrival.first_at).reduce(f32::min)?;
        Some(Duration::from_secs_f32(first - from))
    }

    /// Waits until all frames below `frames` have come, or nothing new comes any more.
    pub(crate) fn tally(&self, frames: u64) -> Tally {
        let begin = Instant::now();
        loop {
            let record = lock(&self.record);
            let is_quiet = record.last_new.is_none_or(|last| last.elapsed() > GIVE_UP);
            if record.seen >= frames || (is_quiet && begin.elapsed() > GIVE_UP) {
                let has_come = |number: u64| {
                    record.arrivals.get(number as usize).is_some_and(|arrival| arrival.count > 0)
                };
                return Tally {
                    frames,
                    lost: (0..frames).filter(|number| !has_come(*number)).collect(),
                    duplicates: record.duplicates,
                    unrecognisable: record.unrecognisable,
                    strange: record.strange.clone(),
                };
            }
            drop(record);
            std::thread::sleep(super::LOOK_AGAIN);
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn observe(
    port: u16,
    record: &Mutex<Record>,
    begin: Instant,
    subscribed: &AtomicU64,
    paused: &AtomicBool,
    stop: &AtomicBool,
) -> io::Result<()> {
    let mut wire = Wire::open(port, "observer", false)?;
    let mut subscribe = Subscribe::new("hvac/+/predictions", QoS::AtLeastOnce);
    subscribe.pkid = 1;
    wire.push(&Packet::Subscribe(subscribe));
    wire.flush()?;
    while !stop.load(Ordering::Acquire) {
        if paused.load(Ordering::Acquire) {
            std::thread::sleep(super::LOOK_AGAIN);
            continue;
        }
        match wire.next()? {
            Some(Packet::Publish(publish)) => {
                note(&mut lock(record), &publish, begin);
                wire.push(&Packet::PubAck(PubAck::new(publish.pkid)));
                wire.flush()?;
            }
            Some(Packet::SubAck(_)) => {
                subscribed.fetch_add(1, Ordering::Release);
            }
            _ => {}
        }
    }
    Ok(())
}

fn note(record: &mut Record, publish: &Publish, begin: Instant) {
    record.documents += 1;
    if (record.documents <= LOOK_AT || record.documents.is_multiple_of(LOOK_AT_EACH))
        && let Err(error) = documents::check(&publish.topic, &publish.payload)
        && record.strange.len() < 10
    {
        record.strange.push(error);
    }
    let document: Value = serde_json::from_slice(&publish.payload).unwrap_or_default();
    let number = number(&document).filter(|number| {
        publish.topic == format!("hvac/unit-{}/predictions", number % UNITS) && *number < 25_000_000
    });
    let Some(number) = number else {
        // Others make sure that the daemon serves before the first frame is fed.
        if publish.topic != "hvac/probe/predictions" && record.strange.len() < 10 {
            record.strange.push(format!("{}: {document}", publish.topic));
        }
        return;
    };
    let position = number as usize;
    if record.arrivals.len() <= position {
        record.arrivals.resize(position + 1, Arrival::default());
    }
    let mut hasher = DefaultHasher::new();
    document["time"].as_str().hash(&mut hasher);
    let time = hasher.finish();
    let arrival = &mut record.arrivals[position];
    arrival.count += 1;
    if arrival.count == 1 {
        arrival.first_at = begin.elapsed().as_secs_f32();
        arrival.time = time;
        record.seen += 1;
        record.last_new = Some(Instant::now());
    } else {
        let is_unrecognisable = arrival.time != time;
        record.duplicates += 1;
        record.unrecognisable += u64::from(is_unrecognisable);
    }
}

#[derive(Default)]
struct Orders {
    /// Frames to be sent, all told.
    wanted: AtomicU64,
    confirmed: AtomicU64,
    /// Frames a second, besides those wanted.
    rate: AtomicU64,
    stop: AtomicBool,
}

/// Publishes frames with QoS 1 until the broker has each; connects again whenever it must.
pub(crate) struct Feeder {
    orders: Arc<Orders>,
    thread: Option<JoinHandle<()>>,
}

impl Feeder {
    /// Feeds nothing yet. With `is_timed` each frame has a time of its own.
    pub(crate) fn start(port: u16, is_timed: bool) -> Self {
        let orders = Arc::new(Orders::default());
        let shared = orders.clone();
        let thread = Some(std::thread::spawn(move || {
            let mut sender =
                Sender { port, is_timed, next: 0, open: VecDeque::new(), last_time: Duration::ZERO };
            while !shared.stop.load(Ordering::Acquire) {
                let _ = sender.send(&shared);
                std::thread::sleep(RECONNECT_PAUSE);
            }
        }));
        Self { orders, thread }
    }

    /// Feeds so many frames more and waits until the broker has them.
    pub(crate) fn feed(&self, frames: u64) {
        self.order(frames);
        self.flush();
    }

    /// Feeds so many frames more, without waiting.
    pub(crate) fn order(&self, frames: u64) {
        self.orders.wanted.fetch_add(frames, Ordering::Release);
    }

    /// Feeds so many frames a second from now on.
    pub(crate) fn set_rate(&self, frames_per_second: u64) {
        self.orders.rate.store(frames_per_second, Ordering::Release);
    }

    /// Stops the regular feed, waits until the broker has all frames, and says how many there are.
    pub(crate) fn flush(&self) -> u64 {
        self.set_rate(0);
        // The thread may be about to order what the old rate made due.
        std::thread::sleep(PACE * 10);
        super::eventually("the broker to confirm the frames", || {
            let wanted = self.orders.wanted.load(Ordering::Acquire);
            (self.orders.confirmed.load(Ordering::Acquire) >= wanted).then_some(wanted)
        })
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.orders.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Sender {
    port: u16,
    is_timed: bool,
    next: u64,
    /// Sent and not confirmed.
    open: VecDeque<Publish>,
    last_time: Duration,
}

impl Sender {
    /// Sends what is wanted until the connection ends.
    fn send(&mut self, orders: &Orders) -> io::Result<()> {
        let mut wire = Wire::open(self.port, &format!("feeder-{}", std::process::id()), true)?;
        wire.set_pause(PACE)?;
        for publish in &mut self.open {
            publish.dup = true;
            wire.push(&Packet::Publish(publish.clone()));
        }
        let (mut since, mut rate, mut ordered) = (Instant::now(), 0, 0);
        while !orders.stop.load(Ordering::Acquire) {
            let new_rate = orders.rate.load(Ordering::Acquire);
            if new_rate != rate {
                (since, rate, ordered) = (Instant::now(), new_rate, 0);
            }
            let due = (since.elapsed().as_secs_f64() * rate as f64) as u64;
            let wanted = orders.wanted.fetch_add(due - ordered, Ordering::AcqRel) + due - ordered;
            ordered = due;
            while self.next < wanted && self.open.len() < WINDOW {
                let publish = self.publish();
                wire.push(&Packet::Publish(publish.clone()));
                self.open.push_back(publish);
            }
            wire.flush()?;
            while let Some(packet) = wire.next()? {
                if let Packet::PubAck(ack) = packet {
                    self.open.retain(|publish| publish.pkid != ack.pkid);
                    orders.confirmed.store(self.next - self.open.len() as u64, Ordering::Release);
                    if self.open.len() < WINDOW / 2 && self.next < wanted {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    fn publish(&mut self) -> Publish {
        // Strictly ascending: two frames of one unit in one microsecond would be one event.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        self.last_time = now.max(self.last_time + Duration::from_micros(1));
        let payload = frame(self.next, self.is_timed.then_some(self.last_time));
        let topic = format!("hvac/unit-{}/sensors", self.next % UNITS);
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload);
        publish.pkid = (self.next % 60_000) as u16 + 1;
        self.next += 1;
        publish
    }
}
