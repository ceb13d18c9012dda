use super::*;

fn decoder() -> Decoder {
    Decoder::new(["A", "B", "C"], PayloadKeys::default(), ZoneSpec::utc())
}

/// Time in microseconds, readings by channel, unknown keys.
type Frame = (Option<i64>, Vec<(usize, Result<f64, RejectReason>)>, u64);

fn frame(text: &str) -> Result<Frame, RejectReason> {
    let mut decoder = decoder();
    let decoded = decoder.frame(text.as_bytes())?;
    let readings = decoded.readings.iter().map(|reading| (reading.channel, reading.value)).collect();
    Ok((decoded.time.map(Timestamp::as_micros), readings, decoded.unknown))
}

#[test]
fn flat_and_nested_frames() {
    assert_eq!(frame(r#"{"A":1,"B":-2.5e1}"#), Ok((None, vec![(0, Ok(1.0)), (1, Ok(-25.0))], 0)));
    let nested = r#"{"timestamp":"1970-01-01T00:00:01Z","A":7,"data":{"B":3,"X":4}}"#;
    assert_eq!(frame(nested), Ok((Some(1_000_000), vec![(1, Ok(3.0))], 1)));
    assert_eq!(frame(r#"{"time":1.5,"unit":"c1","C":0}"#), Ok((Some(1_500_000), vec![(2, Ok(0.0))], 0)));
}

#[test]
fn one_bad_value_costs_only_its_sensor() {
    for (text, reason) in [
        ("1e999", RejectReason::NotFinite),
        ("NaN", RejectReason::NotFinite),
        ("-Infinity", RejectReason::NotFinite),
        ("null", RejectReason::NotANumber),
        ("true", RejectReason::NotANumber),
        ("\"21.5\"", RejectReason::NotANumber),
        ("[1]", RejectReason::NotANumber),
        ("{}", RejectReason::NotANumber),
    ] {
        let got = frame(&format!(r#"{{"A":{text},"B":2}}"#));
        assert_eq!(got, Ok((None, vec![(0, Err(reason)), (1, Ok(2.0))], 0)), "{text}");
    }
}

#[test]
fn words_inside_strings_are_left_alone() {
    assert_eq!(
        frame(r#"{"X":"NaN \" NaN","A":NaN}"#),
        Ok((None, vec![(0, Err(RejectReason::NotFinite))], 1))
    );
}

#[test]
fn duplicates_leave_no_value() {
    let got = frame(r#"{"A":1,"B":2,"A":1}"#).unwrap();
    assert_eq!(got.1, vec![(0, Err(RejectReason::DuplicateKey)), (1, Ok(2.0))]);
}

#[test]
fn payloads_that_are_no_frame() {
    for text in ["", "{", "{\"A\":1}x", "{A:1}", "hello", "\u{0}"] {
        assert_eq!(frame(text), Err(RejectReason::MalformedPayload), "{text:?}");
    }
    for text in ["[1,2]", "3", "null", "\"x\""] {
        assert_eq!(frame(text), Err(RejectReason::UnexpectedShape), "{text:?}");
    }
    assert_eq!(decoder().frame(&[0xff, 0xfe]), Err(RejectReason::MalformedPayload));
    let deep = format!("{{\"A\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
    assert_eq!(frame(&deep), Err(RejectReason::MalformedPayload));
    let many: Vec<String> = (0..2000).map(|i| format!("\"k{i}\":1")).collect();
    assert_eq!(frame(&format!("{{{}}}", many.join(","))), Err(RejectReason::TooManyKeys));
    assert_eq!(frame(r#"{"A":1,"timestamp":"soon"}"#), Err(RejectReason::InvalidTime));
}

#[test]
fn single_readings() {
    let mut decoder = decoder();
    let value = |decoder: &mut Decoder, text: &str| {
        decoder.reading(1, text.as_bytes()).map(|d| (d.time.map(Timestamp::as_micros), d.readings[0].value))
    };
    assert_eq!(value(&mut decoder, " 21.5\n"), Ok((None, Ok(21.5))));
    assert_eq!(value(&mut decoder, "nan"), Ok((None, Err(RejectReason::NotFinite))));
    assert_eq!(value(&mut decoder, "on"), Ok((None, Err(RejectReason::NotANumber))));
    assert_eq!(value(&mut decoder, r#"{"value":4,"time":2}"#), Ok((Some(2_000_000), Ok(4.0))));
    assert_eq!(value(&mut decoder, r#"{"state":4}"#), Err(RejectReason::UnexpectedShape));
    assert_eq!(value(&mut decoder, "{"), Err(RejectReason::MalformedPayload));
}

#[test]
fn values_can_stand_deeper() {
    let keys = PayloadKeys { value: "/reading/v".to_owned(), ..PayloadKeys::default() };
    let mut decoder = Decoder::new(["A"], keys, ZoneSpec::utc());
    let got = decoder.reading(0, br#"{"reading":{"v":5}}"#).unwrap();
    assert_eq!(got.readings[0].value, Ok(5.0));
}

proptest::proptest! {
    #[test]
    fn no_bytes_can_hurt(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let mut decoder = decoder();
        let _ = decoder.frame(&bytes);
        let _ = decoder.reading(0, &bytes);
    }

    #[test]
    fn numbers_survive_to_the_bit(value in proptest::num::f64::NORMAL) {
        let mut decoder = decoder();
        let text = serde_json::to_string(&value).unwrap();
        let got = decoder.reading(0, text.as_bytes()).unwrap().readings[0].value.unwrap();
        proptest::prop_assert_eq!(got.to_bits(), value.to_bits());
    }
}
