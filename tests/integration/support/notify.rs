//! The ear of systemd: what the daemon sends to the socket named in `NOTIFY_SOCKET`.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Longest datagram: a status line.
const MAX_DATAGRAM_BYTES: usize = 16 * 1024;
/// How often the listening thread looks whether it may end.
const STOP_CHECK: Duration = Duration::from_millis(50);

/// Listens until dropped.
pub(super) struct Notify {
    lines: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Notify {
    pub(super) fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(STOP_CHECK)).unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (heard, is_stopped) = (lines.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
            while !is_stopped.load(Ordering::Relaxed) {
                let Ok(length) = socket.recv(&mut buffer) else { continue };
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                heard.lock().unwrap().extend(text.lines().map(str::to_owned));
            }
        });
        Self { lines, stop, thread: Some(thread) }
    }

    /// All that was heard, line by line.
    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

impl Drop for Notify {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
