//! Puts frames of simulated units onto a broker and counts the predictions that come back.
//!
//!     load ADDRESS --qos 0|1 --frames N [--units N] [--window N] [--rate N] [--strangers N [--elsewhere]]
//!
//! MQTT has no flow control from end to end: a broker drops what a slow reader does not take. So at most `window`
//! frames are on their way whose prediction has not come back, as with sensors that are many but each wait their
//! turn. What is measured is predictions received, from the first frame sent to the last prediction; one JSON line on
//! standard output tells how many, in what time, and how long the way of one was. With `--rate` frames leave by the clock
//! instead, so that their way is measured and not the queue in front of it; with `--strangers` as many frames a second of units that
//! never come twice flood the broker meanwhile. With `--elsewhere` it carries the same flood to a reader of its own instead, which
//! shows what is the broker's share. Beside the way of a frame it tells what predictions say of the daemon's own part in it.
//!
//! Frames are encoded beforehand except for their timestamps, and packets are written and read in large pieces, so
//! that this program takes little from the cores it shares with those it measures.

mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use cooltwin::simulator::{Simulator, SimulatorConfig, format};
use wire::{Connection, packet, put_publish, put_text};

/// Rows encoded for each unit; then they come again. Enough that neither branch predictors nor caches know them.
const ROWS: usize = 500;
/// Frames before the measurement: connections, caches and windows fill.
const WARM_UP: u64 = 2_000;
/// Largest piece written at once, in frames.
const BATCH: u64 = 64;
/// Silence after which what is missing counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the sender waits for predictions to make room before it looks again.
const PAUSE: Duration = Duration::from_micros(50);

#[derive(Parser)]
struct Arguments {
    /// Broker, HOST:PORT
    address: String,
    /// Quality of service of frames, and of the subscription to predictions
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=1))]
    qos: u8,
    /// Frames to measure
    #[arg(long)]
    frames: u64,
    /// Units they come from in turn
    #[arg(long, default_value_t = 10)]
    units: u32,
    /// Most frames on their way
    #[arg(long, default_value_t = 400)]
    window: u64,
    /// Frames a second; 0 is as many as the window lets
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Frames a second of strange units, each of another
    #[arg(long, default_value_t = 0)]
    strangers: u64,
    /// The strange units' topics are another reader's, and none of the daemon's
    #[arg(long)]
    elsewhere: bool,
}

/// Topic and payload of each frame, without its timestamp.
fn encoded(units: u32) -> Result<Vec<(String, String)>> {
    // The steps are short so that the frames vary as little as those of one afternoon.
    let config = SimulatorConfig { units, step: Duration::from_secs(10), ..SimulatorConfig::default() };
    let mut simulator = Simulator::new(config)?;
    let mut frames = Vec::new();
    for _ in 0..ROWS {
        for row in simulator.next_row().units {
            let mut text = String::new();
            format::frame(&row, &mut text);
            let data = text.find("\"data\"").context("a frame without data")?;
            frames.push((format!("hvac/{}/sensors", row.unit), text.split_off(data)));
        }
    }
    Ok(frames)
}

/// What should have left by now, at `rate` a second since `begin`.
fn due(begin: Instant, rate: u64) -> u64 {
    (begin.elapsed().as_secs_f64() * rate as f64) as u64
}

/// Publishes the frame of another strange unit `rate` times a second until `done`; how many.
fn flood(address: &str, arguments: &Arguments, payload: &str, done: &AtomicBool) -> Result<u64> {
    let mut connection = Connection::open(address, "load-flood")?;
    connection.drain()?;
    let place = if arguments.elsewhere { "elsewhere" } else { "hvac" };
    let (begin, mut sent) = (Instant::now(), 0);
    let mut out = Vec::new();
    while !done.load(Ordering::Relaxed) {
        out.clear();
        let upto = due(begin, arguments.strangers).min(sent + BATCH);
        for number in sent..upto {
            let topic = format!("{place}/stranger-{number}/sensors");
            put_publish(&mut out, arguments.qos, number, &topic, &["{", payload]);
        }
        sent = upto;
        if out.is_empty() {
            std::thread::sleep(PAUSE);
        } else {
            connection.write(&out)?;
        }
    }
    // One more, so that whoever waits for the next one sees that all is done.
    out.clear();
    put_publish(&mut out, arguments.qos, sent, &format!("{place}/stranger-last/sensors"), &["{", payload]);
    connection.write(&out)?;
    Ok(sent + 1)
}

/// Reads and acknowledges what floods the broker elsewhere until `done`; how many.
fn stand_by(address: &str, arguments: &Arguments, done: &AtomicBool) -> Result<u64> {
    let mut connection = subscribed(address, "load-bystander", "elsewhere/+/sensors", arguments.qos)?;
    let (mut acknowledgements, mut read) = (Vec::new(), 0);
    while !done.load(Ordering::Relaxed) {
        acknowledgements.clear();
        connection
            .read(|kind, body| read += u64::from(published(kind, body, &mut acknowledgements).is_some()))?;
        connection.write(&acknowledgements)?;
    }
    Ok(read)
}

/// A connection that reads `filter`.
fn subscribed(address: &str, name: &str, filter: &str, qos: u8) -> Result<Connection> {
    let mut connection = Connection::open(address, name)?;
    let mut subscribe = vec![0, 1];
    put_text(&mut subscribe, filter);
    subscribe.push(qos);
    connection.write(&packet(0x82, &subscribe))?;
    connection.wait_for(0x90)?;
    Ok(connection)
}

/// Topic and payload of a packet, if it is a PUBLISH; `acknowledgements` gets what it asks for.
fn published<'b>(kind: u8, body: &'b [u8], acknowledgements: &mut Vec<u8>) -> Option<(&'b str, &'b [u8])> {
    let (length, rest) = body.split_first_chunk::<2>().filter(|_| kind & 0xF0 == 0x30)?;
    let (topic, mut payload) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    if kind & 0x06 != 0 {
        let (identifier, rest) = payload.split_first_chunk::<2>()?;
        acknowledgements.extend([0x40, 2]);
        acknowledgements.extend(identifier);
        payload = rest;
    }
    Some((std::str::from_utf8(topic).ok()?, payload))
}

/// What a prediction says of the daemon's own part in its way, in microseconds: from the arrival of the frame.
fn own_time(document: &[u8]) -> Option<f64> {
    let document: serde_json::Value = serde_json::from_slice(document).ok()?;
    document.pointer("/latency_us/total")?.as_f64()
}

/// What sender and receiver know in common.
struct Shared {
    sent: AtomicU64,
    received: AtomicU64,
    /// When the frames on their way were sent, by unit.
    under_way: Mutex<BTreeMap<String, VecDeque<Instant>>>,
}

fn send(
    address: &str,
    arguments: &Arguments,
    shared: &Shared,
    frames: &[(String, String)],
    upto: u64,
) -> Result<()> {
    let mut connection = Connection::open(address, "load-sender")?;
    connection.drain()?;
    let mut out = Vec::new();
    let mut last_progress = (Instant::now(), 0);
    let mut sent = shared.sent.load(Ordering::Relaxed);
    let (begin, first) = (Instant::now(), sent);
    while sent < upto {
        let received = shared.received.load(Ordering::Acquire);
        let room = match arguments.rate {
            0 => received + arguments.window,
            rate => first + due(begin, rate),
        };
        let batch = BATCH.min(upto - sent).min(room.saturating_sub(sent));
        if batch == 0 {
            if received != last_progress.1 {
                last_progress = (Instant::now(), received);
            }
            ensure!(
                last_progress.0.elapsed() < PATIENCE,
                "no predictions for {PATIENCE:?}; {sent} frames are sent"
            );
            std::thread::sleep(PAUSE);
            continue;
        }
        out.clear();
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros() as i64;
        let stamp = format!("{{\"timestamp\":\"{}\",", format::rfc3339(now));
        {
            let mut under_way =
                shared.under_way.lock().map_err(|_| anyhow::anyhow!("the receiver has died"))?;
            for number in sent..sent + batch {
                let Some((topic, data)) = frames.get(number as usize % frames.len()) else { break };
                put_publish(&mut out, arguments.qos, number, topic, &[&stamp, data]);
                let unit = topic.split('/').nth(1).unwrap_or_default();
                if let Some(queue) = under_way.get_mut(unit) {
                    queue.push_back(Instant::now());
                } else {
                    under_way.insert(unit.to_owned(), VecDeque::from([Instant::now()]));
                }
            }
        }
        connection.write(&out)?;
        sent += batch;
        shared.sent.store(sent, Ordering::Release);
    }
    Ok(())
}

/// Times of predictions, in microseconds: of the whole way, and the daemon's own.
#[derive(Default)]
struct Times {
    whole: Vec<u64>,
    own: Vec<u64>,
}

/// Receives predictions until `upto` have come or nothing comes any more.
fn receive(connection: &mut Connection, shared: &Shared, upto: u64) -> Result<Times> {
    let mut times = Times::default();
    let mut acknowledgements = Vec::new();
    let mut received = shared.received.load(Ordering::Relaxed);
    while received < upto {
        acknowledgements.clear();
        let mut arrived = Vec::new();
        let is_alive = connection.read(|kind, body| {
            if let Some((topic, payload)) = published(kind, body, &mut acknowledgements) {
                arrived.push((topic.to_owned(), Instant::now(), own_time(payload)));
            }
        })?;
        if !is_alive {
            break;
        }
        let mut under_way = shared.under_way.lock().map_err(|_| anyhow::anyhow!("the sender has died"))?;
        for (topic, at, own) in &arrived {
            let unit = topic.split('/').nth(1).unwrap_or_default();
            if let Some(sent) = under_way.get_mut(unit).and_then(VecDeque::pop_front) {
                times.whole.push(at.duration_since(sent).as_micros() as u64);
                times.own.extend(own.map(|own| own as u64));
            }
        }
        drop(under_way);
        connection.write(&acknowledgements)?;
        received += arrived.len() as u64;
        shared.received.store(received, Ordering::Release);
    }
    Ok(times)
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let frames = encoded(arguments.units)?;
    let mut receiver = subscribed(&arguments.address, "load-receiver", "hvac/+/predictions", arguments.qos)?;
    let shared = Arc::new(Shared {
        sent: AtomicU64::new(0),
        received: AtomicU64::new(0),
        under_way: Mutex::new(BTreeMap::new()),
    });
    let run = |receiver: &mut Connection, upto: u64| -> Result<(f64, Times)> {
        let begin = Instant::now();
        let times = std::thread::scope(|scope| {
            let sender = scope.spawn(|| send(&arguments.address, &arguments, &shared, &frames, upto));
            let times = receive(receiver, &shared, upto)?;
            sender.join().map_err(|_| anyhow::anyhow!("the sender has died"))??;
            Ok::<_, anyhow::Error>(times)
        })?;
        Ok((begin.elapsed().as_secs_f64(), times))
    };
    run(&mut receiver, WARM_UP)?;
    let done = AtomicBool::new(arguments.strangers == 0);
    let payload = frames.first().map(|(_, data)| data.clone()).unwrap_or_default();
    let ((seconds, mut times), strangers, stood_by) = std::thread::scope(|scope| {
        let bystander =
            arguments.elsewhere.then(|| scope.spawn(|| stand_by(&arguments.address, &arguments, &done)));
        let flood = scope.spawn(|| flood(&arguments.address, &arguments, &payload, &done));
        let measured = run(&mut receiver, WARM_UP + arguments.frames);
        done.store(true, Ordering::Relaxed);
        let died = |_| anyhow::anyhow!("the flood has died");
        let strangers = flood.join().map_err(died)??;
        let stood_by = bystander.map_or(Ok(Ok(0)), std::thread::ScopedJoinHandle::join).map_err(died)??;
        Ok::<_, anyhow::Error>((measured?, strangers, stood_by))
    })?;
    let count = times.whole.len() as u64;
    let whole = percentiles(&mut times.whole);
    let own = percentiles(&mut times.own);
    println!(
        "{}",
        serde_json::json!({
            "qos": arguments.qos,
            "frames": arguments.frames,
            "predictions": count,
            "seconds": seconds,
            "per_second": count as f64 / seconds,
            "p50_us": whole[0],
            "p99_us": whole[1],
            "own_p50_us": own[0],
            "own_p99_us": own[1],
            "strangers": strangers,
            "stood_by": stood_by,
        })
    );
    ensure!(count == arguments.frames, "{} predictions are missing", arguments.frames - count);
    Ok(())
}

/// Median and 99th percentile.
fn percentiles(times: &mut [u64]) -> [u64; 2] {
    times.sort_unstable();
    [50, 99].map(|percent| times.get(times.len() * percent / 100).copied().unwrap_or(0))
}
