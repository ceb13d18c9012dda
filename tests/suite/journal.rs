//! Events and fields of the journal: the program, the catalogue and the documentation tell the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use cooltwin::daemon::logging::{Event, FIELDS};

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name)
}

/// Header lines and text of each entry of the catalogue, by message id.
fn catalogue() -> BTreeMap<String, (BTreeMap<String, String>, String)> {
    let text = std::fs::read_to_string(file("cooltwin.catalog")).unwrap();
    let (comment, entries) = text.split_once("\n-- ").unwrap();
    assert!(comment.lines().all(|line| line.is_empty() || line.starts_with('#')), "{comment}");
    let mut found = BTreeMap::new();
    for entry in entries.split("\n-- ") {
        let (head, body) = entry.split_once("\n\n").unwrap();
        let mut lines = head.lines();
        let id = lines.next().unwrap().to_owned();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        assert!(found.insert(id.clone(), (headers, body.to_owned())).is_none(), "{id} stands there twice");
    }
    found
}

#[test]
fn every_event_is_explained_and_nothing_else() {
    let catalogue = catalogue();
    let explained: BTreeSet<_> = catalogue.keys().map(String::as_str).collect();
    let events: BTreeSet<_> = Event::ALL.iter().map(|event| event.message_id()).collect();
    assert_eq!(explained, events);
    for (id, (headers, body)) in &catalogue {
        assert!(headers["Subject"].len() > 8, "{id}");
        assert_eq!(headers["Defined-By"], "cooltwin", "{id}");
        assert_eq!(headers["Documentation"], "man:cooltwin(1)", "{id}");
        assert!(body.split_whitespace().count() >= 10, "{id} says too little: {body}");
        assert!(body.lines().all(|line| line.len() <= 105), "{id} has lines too long for a terminal");
    }
}

#[test]
fn the_catalogue_speaks_of_fields_that_exist() {
    let mut named = 0;
    for (id, (_, body)) in catalogue() {
        // Odd pieces stand between two signs.
        for field in body.split('@').skip(1).step_by(2) {
            assert!(FIELDS.iter().any(|(name, _)| *name == field), "{id} speaks of @{field}@");
            // journalctl leaves names with digits as they stand.
            assert!(!field.contains(|c: char| c.is_ascii_digit()), "{id} speaks of @{field}@");
            named += 1;
        }
    }
    assert!(named > 10, "only {named} found");
}

/// The tables of `systemd/README.md`.
fn tables() -> String {
    let subjects = catalogue();
    let mut text = String::from("| field | holds |\n|---|---|\n");
    for (name, holds) in FIELDS {
        writeln!(text, "| `{name}` | {holds} |").unwrap();
    }
    text.push_str("\n| event | message id | says |\n|---|---|---|\n");
    for event in Event::ALL {
        assert!(subjects.contains_key(event.message_id()));
        writeln!(text, "| `{event}` | `{}` | {} |", event.message_id(), event.meaning()).unwrap();
    }
    text
}

#[test]
fn the_documentation_lists_events_and_fields() {
    const BEGIN: &str =
        "<!-- made by tests/suite/journal.rs: COOLTWIN_BLESS=1 cargo test --test suite journal -->\n";
    const END: &str = "<!-- end -->\n";
    let path = file("README.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the mark where the tables begin");
    let (present, after) = rest.split_once(END).expect("the mark where they end");
    let wanted = tables();
    if std::env::var_os("COOLTWIN_BLESS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{wanted}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(present, wanted, "COOLTWIN_BLESS=1 cargo test --test suite journal renews it");
}
