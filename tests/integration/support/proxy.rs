//! A TCP proxy that does to a connection what networks do: delays, cuts, loses a direction, stalls, tears
//! packets to pieces, is slow. And it counts who connects.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Read at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// Chunks that wait to be passed on in one direction; then the proxy reads no more, as a full line would not. More than
/// a client has under way at once, should each packet come alone.
const CHUNKS: usize = 1_024;
/// How often rules are looked at while there is nothing to do.
const LOOK: Duration = Duration::from_millis(5);
/// What TCP waits at least before it sends a lost segment again.
const RETRANSMISSION: Duration = Duration::from_millis(200);

/// What happens to the bytes of one direction.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rules {
    /// They arrive so much later.
    pub(crate) delay: Duration,
    /// They do not arrive until this is over.
    pub(crate) stalled: bool,
    /// They never arrive. What comes later does, so packets are torn: follow it with a cut.
    pub(crate) dropped: bool,
    /// They arrive in pieces of at most so many bytes; 0: as they came.
    pub(crate) pieces: usize,
    /// So many bytes a second; 0: as fast as they come.
    pub(crate) rate: usize,
    /// So many of a hundred chunks are lost once and come with the delay of a retransmission.
    pub(crate) lost_percent: u64,
}

/// Directions, as the client sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the client to the broker.
    Up,
    /// From the broker to the client.
    Down,
}

#[derive(Default)]
struct Control {
    up: Mutex<Rules>,
    down: Mutex<Rules>,
    /// Where connections go; the broker may move.
    target: Mutex<Option<SocketAddr>>,
    /// New connections are accepted and closed at once.
    is_refusing: AtomicBool,
    stop: AtomicBool,
    connects: Mutex<Vec<Instant>>,
    open: Mutex<Vec<TcpStream>>,
    taken: [AtomicU64; 2],
    passed: [AtomicU64; 2],
    /// Counts cuts; connections of an older number are over.
    cuts: AtomicU64,
}

impl Control {
    fn rules(&self, direction: Direction) -> &Mutex<Rules> {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }
}

/// A running proxy, ended when dropped.
pub(crate) struct Proxy {
    port: u16,
    control: Arc<Control>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// In front of a port on 127.0.0.1.
    pub(crate) fn start(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let control = Arc::new(Control::default());
        *control.target.lock().unwrap() = Some(SocketAddr::from(([127, 0, 0, 1], target)));
        let shared = control.clone();
        let thread = Some(std::thread::spawn(move || accept(&listener, &shared)));
        Self { port, control, thread }
    }

    /// Its port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Changes what happens in one direction, at once and for all connections.
    pub(crate) fn set(&self, direction: Direction, rules: Rules) {
        *self.control.rules(direction).lock().unwrap() = rules;
    }

    /// The same for both directions.
    pub(crate) fn set_both(&self, rules: Rules) {
        self.set(Direction::Up, rules);
        self.set(Direction::Down, rules);
    }

    /// Ends all connections, with whatever was on its way.
    pub(crate) fn cut(&self) {
        self.control.cuts.fetch_add(1, Ordering::Release);
        for stream in self.control.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Whether new connections end at once.
    pub(crate) fn refuse(&self, is_refusing: bool) {
        self.control.is_refusing.store(is_refusing, Ordering::Release);
    }

    /// When somebody connected, from the first on.
    pub(crate) fn connects(&self) -> Vec<Instant> {
        self.control.connects.lock().unwrap().clone()
    }

    /// Bytes that have come in at the beginning of one direction.
    pub(crate) fn taken(&self, direction: Direction) -> u64 {
        self.control.taken[direction as usize].load(Ordering::Acquire)
    }

    /// Bytes that have arrived at the end of one direction.
    pub(crate) fn passed(&self, direction: Direction) -> u64 {
        self.control.passed[direction as usize].load(Ordering::Acquire)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.control.stop.store(true, Ordering::Release);
        self.cut();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, control: &Arc<Control>) {
    while !control.stop.load(Ordering::Acquire) {
        let Ok((client, _)) = listener.accept() else {
            std::thread::sleep(LOOK);
            continue;
        };
        control.connects.lock().unwrap().push(Instant::now());
        let target = *control.target.lock().unwrap();
        let target = target.filter(|_| !control.is_refusing.load(Ordering::Acquire));
        let Some(Ok(server)) = target.map(TcpStream::connect) else { continue };
        for stream in [&client, &server] {
            stream.set_nonblocking(false).unwrap();
            stream.set_nodelay(true).unwrap();
            control.open.lock().unwrap().push(stream.try_clone().unwrap());
        }
        let (client_too, server_too) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        pump(client, server_too, Direction::Up, control);
        pump(server, client_too, Direction::Down, control);
    }
}

/// Starts the two threads of one direction: one reads and notes when, the other passes on.
fn pump(from: TcpStream, to: TcpStream, direction: Direction, control: &Arc<Control>) {
    let (sender, receiver) = sync_channel(CHUNKS);
    let shared = control.clone();
    std::thread::spawn(move || take(from, &sender, &shared.taken[direction as usize]));
    let control = control.clone();
    std::thread::spawn(move || {
        pass(&to, direction, &receiver, &control);
        // Whatever ended one direction ends the other: a half-closed connection is of use to nobody in MQTT.
        let _ = to.shutdown(Shutdown::Both);
    });
}

fn take(mut from: TcpStream, sender: &SyncSender<(Instant, Vec<u8>)>, taken: &AtomicU64) {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                taken.fetch_add(count as u64, Ordering::Release);
                if sender.send((Instant::now(), buffer[..count].to_vec())).is_err() {
                    let _ = from.shutdown(Shutdown::Both);
                    return;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

fn pass(to: &TcpStream, direction: Direction, chunks: &Receiver<(Instant, Vec<u8>)>, control: &Control) {
    let rules = || *control.rules(direction).lock().unwrap();
    let cuts = control.cuts.load(Ordering::Acquire);
    let is_over = || control.stop.load(Ordering::Acquire) || control.cuts.load(Ordering::Acquire) != cuts;
    // Deterministic: the same chunks are lost in every run.
    let mut dice = 0x9E37_79B9_7F4A_7C15_u64;
    loop {
        let (came, chunk) = match chunks.recv_timeout(LOOK) {
            Ok(chunk) => chunk,
            Err(RecvTimeoutError::Timeout) if is_over() => return,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        let again = if dice % 100 < rules().lost_percent { RETRANSMISSION } else { Duration::ZERO };
        while came.elapsed() < rules().delay + again || rules().stalled {
            if is_over() {
                return;
            }
            std::thread::sleep(
                (rules().delay + again)
                    .saturating_sub(came.elapsed())
                    .clamp(Duration::from_micros(200), LOOK),
            );
        }
        if rules().dropped {
            continue;
        }
        if write(to, &chunk, rules()).is_err() {
            return;
        }
        control.passed[direction as usize].fetch_add(chunk.len() as u64, Ordering::Release);
    }
}

fn write(mut to: &TcpStream, chunk: &[u8], rules: Rules) -> std::io::Result<()> {
    if rules.pieces == 0 && rules.rate == 0 {
        return to.write_all(chunk);
    }
    // A slow line passes on a little at a time.
    let pieces = if rules.pieces == 0 { (rules.rate / 100).max(1) } else { rules.pieces };
    for piece in chunk.chunks(pieces) {
        to.write_all(piece)?;
        if rules.rate > 0 {
            std::thread::sleep(Duration::from_secs_f64(piece.len() as f64 / rules.rate as f64));
        } else {
            // Lets the other side read this piece alone.
            std::thread::yield_now();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::eventually;

    /// A proxy before a server that sends back what it gets, in the sizes it got it.
    fn echo() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    while let Ok(count @ 1..) = stream.read(&mut buffer) {
                        if stream.write_all(&buffer[..count]).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Proxy::start(port)
    }

    fn connect(proxy: &Proxy) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    fn answer(stream: &mut TcpStream, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Whether nothing can be read for a while.
    fn is_silent(stream: &TcpStream) -> bool {
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let result = stream.peek(&mut [0]);
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        matches!(result, Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }

    #[test]
    fn passes_on_all_bytes_in_order() {
        let proxy = echo();
        let mut stream = connect(&proxy);
        let sent: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        let mut writer = stream.try_clone().unwrap();
        let copy = sent.clone();
        let writing = std::thread::spawn(move || writer.write_all(&copy).unwrap());
        assert_eq!(answer(&mut stream, sent.len()), sent);
        writing.join().unwrap();
        eventually("the count", || (proxy.passed(Direction::Up) == sent.len() as u64).then_some(()));
        assert_eq!(proxy.connects().len(), 1);
    }

    #[test]
    fn delays_without_being_slow() {
        let proxy = echo();
        let mut stream = connect(&proxy);
        let delay = Duration::from_millis(150);
        proxy.set(Direction::Up, Rules { delay, ..Rules::default() });
        let begin = Instant::now();
        for _ in 0..10 {
            stream.write_all(b"0123456789").unwrap();
            std::thread::sleep(Duration::from_millis(10));
        }
        answer(&mut stream, 1);
        assert!(begin.elapsed() >= delay, "{:?}", begin.elapsed());
        assert_eq!(answer(&mut stream, 99).len(), 99);
    }

    #[test]
    fn stalls_one_direction_and_lets_go() {
        let proxy = echo();
        let mut stream = connect(&proxy);
        proxy.set(Direction::Down, Rules { stalled: true, ..Rules::default() });
        stream.write_all(b"hello").unwrap();
        assert!(is_silent(&stream));
        eventually("the way up", || (proxy.passed(Direction::Up) == 5).then_some(()));
        proxy.set_both(Rules::default());
        assert_eq!(answer(&mut stream, 5), b"hello");
    }

    #[test]
    fn drops_a_direction() {
        let proxy = echo();
        let mut stream = connect(&proxy);
        proxy.set(Direction::Up, Rules { dropped: true, ..Rules::default() });
        stream.write_all(b"lost").unwrap();
        assert!(is_silent(&stream));
        proxy.set_both(Rules::default());
        stream.write_all(b"found").unwrap();
        assert_eq!(answer(&mut stream, 5), b"found");
    }

    #[test]
    fn loses_chunks_only_for_the_time_of_a_retransmission() {
        let proxy = echo();
        let mut stream = connect(&proxy);
        proxy.set(Direction::Up, Rules { lost_percent: 100, ..Rules::default() });
        let begin = Instant::now();
        stream.write_all(b"again").unwrap();
        assert_eq!(answer(&mut stream, 5), b"again");
        assert!(begin.elapsed() >= RETRANSMISSION, "{:?}", begin.elapsed());
    }

    #[test]
    fn tears_to_pieces() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap().port());
        proxy.set(Direction::Up, Rules { pieces: 1, rate: 200, ..Rules::default() });
        let mut client = connect(&proxy);
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"0123456789").unwrap();
        let (mut got, mut reads, mut buffer) = (Vec::new(), 0, [0; 100]);
        while got.len() < 10 {
            let count = server.read(&mut buffer).unwrap();
            got.extend_from_slice(&buffer[..count]);
            reads += 1;
        }
        assert_eq!(got, b"0123456789");
        assert!(reads > 1, "all came at once");
    }

    #[test]
    fn is_as_slow_as_told() {
        let proxy = echo();
        let mut stream = connect(&proxy);
        proxy.set(Direction::Up, Rules { rate: 20_000, ..Rules::default() });
        let begin = Instant::now();
        stream.write_all(&[7; 6_000]).unwrap();
        assert_eq!(answer(&mut stream, 6_000).len(), 6_000);
        assert!(begin.elapsed() >= Duration::from_millis(290), "{:?}", begin.elapsed());
    }

    #[test]
    fn cuts_and_refuses_and_counts() {
        let proxy = echo();
        let mut stream = connect(&proxy);
        stream.write_all(b"hello").unwrap();
        answer(&mut stream, 5);
        proxy.cut();
        assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)), "the connection lives");
        proxy.refuse(true);
        let mut refused = connect(&proxy);
        assert!(matches!(refused.read(&mut [0]), Ok(0) | Err(_)), "it was not refused");
        proxy.refuse(false);
        let mut stream = connect(&proxy);
        stream.write_all(b"hello").unwrap();
        assert_eq!(answer(&mut stream, 5), b"hello");
        assert_eq!(proxy.connects().len(), 3);
    }
}
