//! Any text as the body of `POST /predict`: answered with JSON whose numbers are finite and that stays the same however
//! often it is asked for, or refused with a reason.
#![no_main]

use cooltwin::http::Answering;
use cooltwin_fuzz::tiny;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

thread_local! {
    static ANSWERING: Answering = Answering::new(&tiny::bundle());
}

fuzz_target!(|body: &str| {
    ANSWERING.with(|answering| {
        let answer = answering.answer(body);
        // What others ask in between must leave nothing behind.
        let _ = answering.answer(r#"{"R": 20.5, "H": 10, "N": 1000, "D": 2}"#);
        match (answer, answering.answer(body)) {
            (Ok(first), Ok(again)) => {
                let (first, again) = (document(&first), document(&again));
                assert!(first["quality"].is_string(), "{first}");
                assert_eq!(first, again);
            }
            (Err(first), Err(again)) => assert_eq!(first, again),
            (first, again) => panic!("{first:?}, then {again:?}"),
        }
    });
});

/// The answer without what tells the time.
fn document(answer: &[u8]) -> Value {
    let mut document: Value = match serde_json::from_slice(answer) {
        Ok(document) => document,
        Err(error) => panic!("{error}: {}", String::from_utf8_lossy(answer)),
    };
    if let Some(fields) = document.as_object_mut() {
        assert!(fields.remove("latency_ms").is_some_and(|latency| latency.is_number()));
        fields.remove("timestamp");
    }
    document
}
