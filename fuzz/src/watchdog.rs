//! Ends the process when one input takes too long by the processor's time. libFuzzer's own limit goes by the clock on
//! the wall, so a process that was paused or starved by others looks to it like one that hangs.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// What one input may take, seconds; most take less than a millisecond.
const LIMIT_SECONDS: u64 = 5;

static INPUTS: AtomicU64 = AtomicU64::new(0);

/// Another input begins.
pub fn next_input() {
    INPUTS.fetch_add(1, Relaxed);
}

/// Watches from now on.
pub fn start() {
    thread::spawn(|| {
        let mut seen = (0, 0);
        loop {
            thread::sleep(Duration::from_millis(500));
            let (input, used) = (INPUTS.load(Relaxed), used_nanoseconds());
            if input != seen.0 {
                seen = (input, used);
            } else if input > 0 && used > seen.1 + LIMIT_SECONDS * 1_000_000_000 {
                eprintln!("one input took {LIMIT_SECONDS} s of processor time");
                std::process::abort();
            }
        }
    });
}

/// What the main thread, which runs the inputs, has had of the processor.
fn used_nanoseconds() -> u64 {
    let text = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_else(|| {
        eprintln!("/proc/self/schedstat cannot be read: nobody would notice a hang");
        std::process::abort();
    })
}
