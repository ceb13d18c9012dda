//! A broker of our own on a free loopback port, for as long as the process lives.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};

/// Longest wait until the broker listens; it takes milliseconds.
const START_PATIENCE: Duration = Duration::from_secs(5);
/// Pause between two looks whether it listens.
const LOOK_PAUSE: Duration = Duration::from_millis(2);
/// Ports tried: between finding a free port and using it somebody else may take it.
const ATTEMPTS: usize = 3;
/// Clients at once: the daemon, the simulation, the view, and people who look in.
const MAX_CLIENTS: usize = 64;
/// Bytes of one topic filter's log segment, and segments kept: bounds what the demo holds in memory.
const SEGMENT_BYTES: usize = 256 * 1024;
/// See [`SEGMENT_BYTES`].
const SEGMENTS: usize = 4;

/// Starts a broker and gives its port once it listens.
pub(in crate::cli) fn start() -> anyhow::Result<u16> {
    let mut last = anyhow!("no port was tried");
    for _ in 0..ATTEMPTS {
        match start_once() {
            Ok(port) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(last.context("starting the demo's own broker"))
}

fn start_once() -> anyhow::Result<u16> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .context("finding a free port on 127.0.0.1")?
        .port();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let (ended_tx, ended) = mpsc::channel();
    // The broker has no way to be stopped: its threads end with the process.
    thread::Builder::new()
        .name("broker".to_owned())
        .spawn(move || {
            let end = Broker::new(configuration(address)).start();
            // Nobody listens any more once the broker has been seen to work.
            let _ = ended_tx.send(end.err().map(|error| error.to_string()));
        })
        .context("starting a thread")?;
    let start = Instant::now();
    while start.elapsed() < START_PATIENCE {
        if let Ok(end) = ended.try_recv() {
            bail!("the broker on port {port} ended: {}", end.unwrap_or_default());
        }
        if TcpStream::connect(address).is_ok() {
            return Ok(port);
        }
        thread::sleep(LOOK_PAUSE);
    }
    bail!("nothing listens on port {port} after {START_PATIENCE:?}")
}

fn configuration(listen: SocketAddr) -> Config {
    let connections = ConnectionSettings {
        connection_timeout_ms: 10_000,
        max_payload_size: 256 * 1024,
        max_inflight_count: 100,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    let server = ServerSettings {
        name: "demo".to_owned(),
        listen,
        tls: None,
        next_connection_delay_ms: 1,
        connections,
    };
    let router = RouterConfig {
        max_connections: MAX_CLIENTS,
        max_outgoing_packet_count: 200,
        max_segment_size: SEGMENT_BYTES,
        max_segment_count: SEGMENTS,
        ..RouterConfig::default()
    };
    Config { router, v4: Some(HashMap::from([("demo".to_owned(), server)])), ..Config::default() }
}
