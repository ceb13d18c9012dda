use std::io::{BufReader, Cursor, Read};

use super::*;

fn readings(text: &str) -> anyhow::Result<Readings> {
    Readings::new("test", Box::new(Cursor::new(text.as_bytes().to_vec())), ZoneSpec::utc())
}

/// Time, unit, named values.
type Said = (String, String, Vec<(String, f64)>);

fn rows(text: &str) -> anyhow::Result<Vec<Said>> {
    let mut readings = readings(text)?;
    let mut row = Row::default();
    let mut rows = Vec::new();
    while readings.read(&mut row)? {
        let values = row.values.iter().map(|(place, value)| (readings.names()[*place].clone(), *value));
        rows.push((row.time.to_string(), row.unit.clone(), values.collect()));
    }
    Ok(rows)
}

fn message(text: &str) -> String {
    format!("{:#}", rows(text).unwrap_err())
}

#[test]
fn csv_and_json_lines_say_the_same() {
    let csv = rows("time,unit,A,B\n2026-01-05T00:00:30Z,c1,25.5,\n1767571260,c2,,-1e3\n").unwrap();
    let json = rows(concat!(
        r#"{"time":"2026-01-05T01:00:30+01:00","unit":"c1","data":{"A":25.5,"B":null}}"#,
        "\n\n",
        r#"{"timestamp":1767571260,"unit":"c2","B":-1000}"#,
    ))
    .unwrap();
    assert_eq!(csv, json);
    assert_eq!(csv[0], ("2026-01-05T00:00:30Z".to_owned(), "c1".to_owned(), vec![("A".to_owned(), 25.5)]));
    assert_eq!(csv[1], ("2026-01-05T00:01:00Z".to_owned(), "c2".to_owned(), vec![("B".to_owned(), -1000.0)]));
}

#[test]
fn the_unit_may_be_left_out_and_a_byte_order_mark_is_skipped() {
    assert_eq!(rows("\u{feff}time,A\n2026-01-05T00:00:30Z,1\n").unwrap()[0].1, DEFAULT_UNIT);
    let json = "{\"time\":1,\"unit\":\"c1\",\"A\":1}\n{\"time\":2,\"A\":1}\n";
    assert_eq!(rows(json).unwrap()[1].1, DEFAULT_UNIT);
}

#[test]
fn csv_errors_name_line_and_column() {
    let header = "time,unit,UCAIT,UCWIT\n2026-01-05T00:00:00Z,c1,1,2\n";
    assert_eq!(
        message(&format!("{header}2026-01-05T00:00:30Z,c1,1,warm\n")),
        "test: line 3: column 4 (UCWIT): `warm` is no number; leave the cell empty if there was none"
    );
    assert!(message(&format!("{header}yesterday,c1,1,2\n")).contains("line 3: column 1 (time): `yesterday`"));
    assert!(message(&format!("{header}2026-01-05T00:00:30Z,c/1,1,2\n")).contains("column 2 (unit): `c/1`"));
    assert!(
        message(&format!("{header}2026-01-05T00:00:30Z,c1,1\n")).contains("3 cells where the header has 4")
    );
    assert!(message("unit,UCAIT\n").contains("no column is called `time`"));
    assert!(message("time,A,A\n").contains("`A` appears twice"));
    assert!(message("").contains("is empty"));
}

#[test]
fn json_errors_name_line_and_column() {
    let first = "{\"time\":1,\"A\":1}\n";
    assert!(
        message(&format!("{first}{{\"time\":2,\"A\":}}\n")).contains("line 2: column 15: expected value")
    );
    assert!(message(&format!("{first}{{\"A\":1}}")).contains("line 2: `time` is missing"));
    assert!(message(&format!("{first}{{\"time\":2,\"A\":\"x\"}}")).contains("line 2: A: \"x\" is no number"));
    assert!(message(&format!("{first}{{\"time\":\"soon\"}}")).contains("line 2: time: `soon` is no time"));
    assert!(message(&format!("{first}{{\"time\":2,\"unit\":7}}")).contains("unit: 7 is no text"));
    assert!(message(&format!("{first}{{\"time\":2,\"data\":[]}}")).contains("data: [] is no object"));
}

#[test]
fn endless_lines_end() {
    let quote = BufReader::new(Cursor::new(b"time,A\n\"".to_vec()).chain(io::repeat(b'x')));
    let mut csv = Readings::new("test", Box::new(quote), ZoneSpec::utc()).unwrap();
    assert!(format!("{:#}", csv.read(&mut Row::default()).unwrap_err()).contains("a quote is not closed"));
    let brace = BufReader::new(Cursor::new(b"{".to_vec()).chain(io::repeat(b'x')));
    let mut json = Readings::new("test", Box::new(brace), ZoneSpec::utc()).unwrap();
    assert!(format!("{:#}", json.read(&mut Row::default()).unwrap_err()).contains("line 1 is longer"));
}
