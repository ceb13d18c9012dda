//! Any bytes as what a daemon saved for its next start, with the right checksum and the right bundle: refused, or
//! taken up by an engine that then works on.
#![no_main]

use std::cell::RefCell;
use std::time::Duration;

use cooltwin::domain::{Monotonic, Now, Timestamp};
use cooltwin::engine::{Engine, EngineSettings, Input, Snapshot};
use cooltwin_fuzz::tiny;
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};

/// Begins every snapshot.
const MAGIC: &[u8] = b"cooltwin state\n\x01";
/// Units after which a new engine is taken.
const MANY: usize = 100;
/// 2026-03-01.
const NOW_US: i64 = 1_772_366_400_000_000;

thread_local! {
    static ENGINE: RefCell<(Engine, String)> = RefCell::new(engine());
}

fn engine() -> (Engine, String) {
    let bundle = tiny::bundle();
    let sha256 = bundle.identity.sha256.clone();
    (Engine::new(bundle, EngineSettings::default(), || 0), sha256)
}

fuzz_target!(|saved: &[u8]| {
    ENGINE.with_borrow_mut(|(engine, sha256)| {
        let mut body = (sha256.len() as u64).to_le_bytes().to_vec();
        body.extend_from_slice(sha256.as_bytes());
        body.extend_from_slice(saved);
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(Sha256::digest(&body).as_slice());
        bytes.extend_from_slice(&body);
        let Ok(snapshot) = Snapshot::read(&bytes) else { return };
        let at = |seconds: u64| Now {
            wall: Timestamp::from_micros(NOW_US + seconds as i64 * 1_000_000),
            monotonic: Monotonic((1_000 + seconds) * 1_000_000),
        };
        let mut effects = Vec::new();
        if engine.restore(at(0), snapshot, Duration::from_secs(1), &mut effects).is_err() {
            return;
        }
        engine.handle(at(1), Input::Tick, &mut effects);
        for seconds in [2, 40, 4_000] {
            let input = Input::Message {
                topic: "hvac/u/sensors",
                payload: br#"{"R":20,"H":10,"N":1000,"D":2}"#,
                retained: false,
                token: None,
                arrived: at(seconds).monotonic,
            };
            engine.handle(at(seconds), input, &mut effects);
            engine.handle(at(seconds), Input::Tick, &mut effects);
        }
        let units = engine.units();
        if units.good + units.uncertain + units.bad > MANY {
            (*engine, *sha256) = self::engine();
        }
    });
});
