//! Puts frames of simulated units onto a broker and counts the predictions that come back.
//!
//!     load ADDRESS --qos 0|1 --frames N [--units N] [--window N]
//!
//! MQTT has no flow control from end to end: a broker drops what a slow reader does not take. So at most `window`
//! frames are on their way whose prediction has not come back, as with sensors that are many but each wait their
//! turn. What is measured is predictions received, from the first frame sent to the last prediction; one JSON line on
//! standard output tells how many, in what time, and how long the way of one was.
//!
//! Frames are encoded beforehand except for their timestamps, and packets are written and read in large pieces, so
//! that this program takes little from the cores it shares with those it measures.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use cooltwin::simulator::{Simulator, SimulatorConfig, format};

/// Rows encoded for each unit; then they come again. Enough that neither branch predictors nor caches know them.
const ROWS: usize = 500;
/// Frames before the measurement: connections, caches and windows fill.
const WARM_UP: u64 = 2_000;
/// Largest piece written at once, in frames.
const BATCH: u64 = 64;
/// Read buffer; many packets at a time.
const BUFFER_BYTES: usize = 256 * 1024;
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
}

/// A connection to the broker, as little as it takes: MQTT 3.1.1, section 2 and 3.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Connection {
    fn open(address: &str, name: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("no broker at {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let id = format!("{name}-{}", std::process::id());
        let mut connect = vec![0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0];
        put_text(&mut connect, &id);
        let mut connection = Self { stream, buffer: vec![0; BUFFER_BYTES], filled: 0 };
        connection.write(&packet(0x10, &connect))?;
        connection.wait_for(0x20)?;
        Ok(connection)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    fn wait_for(&mut self, wanted: u8) -> Result<()> {
        let mut found = false;
        while !found {
            self.read(|kind, _| found |= kind & 0xF0 == wanted)?;
        }
        Ok(())
    }

    /// Reads what is there and hands on each whole packet: first byte and body. `false` after a long silence.
    fn read(&mut self, mut take: impl FnMut(u8, &[u8])) -> Result<bool> {
        let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
        match self.stream.read(room) {
            Ok(0) => bail!("the broker closed the connection"),
            Ok(count) => self.filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let mut rest = self.buffer.get(..self.filled).unwrap_or_default();
        while let Some((kind, body, length)) = split(rest) {
            take(kind, body);
            rest = rest.get(length..).unwrap_or_default();
        }
        let used = self.filled - rest.len();
        self.buffer.copy_within(used..self.filled, 0);
        self.filled -= used;
        Ok(true)
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u16).to_be_bytes());
    out.extend(text.as_bytes());
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind];
    put_length(&mut packet, body.len());
    packet.extend(body);
    packet
}

fn put_length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let more = if length > 127 { 128 } else { 0 };
        out.push((length % 128) as u8 | more);
        length /= 128;
        if length == 0 {
            return;
        }
    }
}

/// The first whole packet: first byte, body, and bytes in all.
fn split(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (mut length, mut at) = (0_usize, 1);
    loop {
        let digit = *bytes.get(at)?;
        length |= usize::from(digit & 127) << (7 * (at - 1));
        at += 1;
        if digit & 128 == 0 {
            return Some((*bytes.first()?, bytes.get(at..at + length)?, at + length));
        }
    }
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
    let mut acknowledgements =
        Connection { stream: connection.stream.try_clone()?, buffer: vec![0; BUFFER_BYTES], filled: 0 };
    // Nobody reads them, but a full socket would stop the broker. Ends with the connection.
    std::thread::spawn(move || while acknowledgements.read(|_, _| {}).is_ok() {});
    let mut out = Vec::new();
    let mut last_progress = (Instant::now(), 0);
    let mut sent = shared.sent.load(Ordering::Relaxed);
    while sent < upto {
        let received = shared.received.load(Ordering::Acquire);
        let batch = BATCH.min(upto - sent).min((received + arguments.window).saturating_sub(sent));
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
                let identifier = if arguments.qos == 0 { 0 } else { 2 };
                out.push(if arguments.qos == 0 { 0x30 } else { 0x32 });
                put_length(&mut out, 2 + topic.len() + identifier + stamp.len() + data.len());
                put_text(&mut out, topic);
                if arguments.qos == 1 {
                    out.extend(((number % 65_535) as u16 + 1).to_be_bytes());
                }
                out.extend(stamp.as_bytes());
                out.extend(data.as_bytes());
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

/// Receives predictions until `upto` have come or nothing comes any more; times of each, in microseconds.
fn receive(connection: &mut Connection, shared: &Shared, upto: u64) -> Result<Vec<u64>> {
    let mut times = Vec::new();
    let mut acknowledgements = Vec::new();
    let mut received = shared.received.load(Ordering::Relaxed);
    while received < upto {
        acknowledgements.clear();
        let mut topics = Vec::new();
        let is_alive = connection.read(|kind, body| {
            if kind & 0xF0 != 0x30 {
                return;
            }
            let Some((length, rest)) = body.split_first_chunk::<2>() else { return };
            let length = usize::from(u16::from_be_bytes(*length));
            if kind & 0x06 != 0
                && let Some(identifier) = rest.get(length..length + 2)
            {
                acknowledgements.extend([0x40, 2]);
                acknowledgements.extend(identifier);
            }
            topics.push(String::from_utf8_lossy(rest.get(..length).unwrap_or_default()).into_owned());
        })?;
        if !is_alive {
            break;
        }
        let mut under_way = shared.under_way.lock().map_err(|_| anyhow::anyhow!("the sender has died"))?;
        for topic in &topics {
            let unit = topic.split('/').nth(1).unwrap_or_default();
            if let Some(sent) = under_way.get_mut(unit).and_then(VecDeque::pop_front) {
                times.push(sent.elapsed().as_micros() as u64);
            }
        }
        drop(under_way);
        connection.write(&acknowledgements)?;
        received += topics.len() as u64;
        shared.received.store(received, Ordering::Release);
    }
    Ok(times)
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let frames = encoded(arguments.units)?;
    let mut receiver = Connection::open(&arguments.address, "load-receiver")?;
    let mut subscribe = vec![0, 1];
    put_text(&mut subscribe, "hvac/+/predictions");
    subscribe.push(arguments.qos);
    receiver.write(&packet(0x82, &subscribe))?;
    receiver.wait_for(0x90)?;
    let shared = Arc::new(Shared {
        sent: AtomicU64::new(0),
        received: AtomicU64::new(0),
        under_way: Mutex::new(BTreeMap::new()),
    });
    let run = |receiver: &mut Connection, upto: u64| -> Result<(f64, Vec<u64>)> {
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
    let (seconds, mut times) = run(&mut receiver, WARM_UP + arguments.frames)?;
    times.sort_unstable();
    let percentile = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or(0);
    println!(
        "{}",
        serde_json::json!({
            "qos": arguments.qos,
            "frames": arguments.frames,
            "predictions": times.len(),
            "seconds": seconds,
            "per_second": times.len() as f64 / seconds,
            "p50_us": percentile(50),
            "p99_us": percentile(99),
        })
    );
    ensure!(
        times.len() as u64 == arguments.frames,
        "{} predictions are missing",
        arguments.frames - times.len() as u64
    );
    Ok(())
}
