//! Any text as a time, as a zone, and its bytes as a number of seconds: what is understood is printed and read again
//! as the same.
#![no_main]

use cooltwin::domain::{Timestamp, ZoneSpec};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (f64, &str)| {
    let (number, text) = input;
    let utc = ZoneSpec::utc();
    let (first, rest) = text.split_once('|').unwrap_or((text, text));
    let zone = ZoneSpec::parse(rest).unwrap_or_else(|_| utc.clone());
    for time in [Timestamp::from_epoch_number(number), Timestamp::parse(first, &zone)].into_iter().flatten() {
        assert_eq!(Timestamp::parse(&time.to_string(), &zone), Some(time), "{time}");
        let hour = zone.hour_of_day(time);
        assert!((0.0..24.0).contains(&hour), "{hour}");
    }
});
