//! The guides name what there is, and nothing else: settings, alarms, exit codes, reasons, causes, words of the status line.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cooltwin::cli::exit;
use cooltwin::daemon::settings::Settings;
use cooltwin::domain::AlarmId;

/// What people read to install and run it.
const GUIDES: [&str; 8] = [
    "README.md",
    "docs/bundle.md",
    "docs/install.md",
    "docs/mqtt.md",
    "docs/operations.md",
    "docs/reliability.md",
    "docs/security.md",
    "systemd/README.md",
];

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// What stands in back-ticks.
fn quoted(text: &str) -> BTreeSet<&str> {
    // Every second part lies between two; blocks of code have three and are left out.
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

/// The rows of the table that begins with this header, cell by cell.
fn table<'t>(text: &'t str, header: &str) -> Vec<Vec<&'t str>> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with(header)).skip(2);
    let mut rows = Vec::new();
    while let Some(row) = lines.next().filter(|line| line.starts_with('|')) {
        rows.push(row.trim_matches('|').split(" | ").map(str::trim).collect());
    }
    assert!(!rows.is_empty(), "there is no table {header}");
    rows
}

/// The texts that stand behind `=> "` in a source file, from the line with `begin` to that with `end`.
fn names(file: &str, begin: &str, end: &str) -> Vec<String> {
    let source = read(file);
    let body = source.split_once(begin).unwrap_or_else(|| panic!("{file}: no {begin}")).1;
    let body = body.split_once(end).map_or(body, |(body, _)| body);
    let names: Vec<_> =
        body.split("=> \"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect();
    assert!(names.len() > 5, "{file}: {names:?}");
    names
}

fn settings() -> BTreeSet<String> {
    let specs = Settings::specs();
    specs.iter().flat_map(|spec| spec.keys.iter().map(|key| format!("{}.{}", spec.name, key.key))).collect()
}

#[test]
fn settings_that_the_guides_name_exist() {
    let settings = settings();
    let sections: BTreeSet<&str> = Settings::specs().iter().map(|spec| spec.name).collect();
    let mut unknown = Vec::new();
    let mut seen = 0;
    for guide in GUIDES {
        let text = read(guide);
        for word in quoted(&text) {
            let name = word.split([' ', '=']).next().unwrap_or_default();
            let Some((section, key)) = name.split_once('.') else { continue };
            let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            if !sections.contains(section) || !is_key || name == "bundle.toml" {
                continue;
            }
            seen += 1;
            if !settings.contains(name) {
                unknown.push(format!("{guide}: {name}"));
            }
        }
    }
    assert!(seen > 30, "only {seen} settings were found in the guides");
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn variables_that_the_guides_name_exist() {
    let variables: BTreeSet<_> = settings()
        .iter()
        .map(|name| format!("COOLTWIN__{}", name.replace('.', "__")).to_uppercase())
        .collect();
    let mut seen = 0;
    for guide in GUIDES.iter().chain(&["packaging/image/README.md", "packaging/image/compose.yaml"]) {
        let text = read(guide);
        for (position, _) in text.match_indices("COOLTWIN__") {
            let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
            let name: String = text[position..].chars().take_while(|c| is_part(*c)).collect();
            if name.starts_with("COOLTWIN__SECTION") {
                continue;
            }
            seen += 1;
            assert!(variables.contains(&name), "{guide}: {name}");
        }
    }
    assert!(seen > 5, "only {seen} variables were found");
}

#[test]
fn every_alarm_is_explained_and_no_other() {
    let all: BTreeSet<_> = AlarmId::OF_DAEMON.iter().chain(&AlarmId::OF_UNIT).map(|id| id.name()).collect();
    for (guide, header) in
        [("docs/operations.md", "| alarm | severity |"), ("docs/mqtt.md", "| alarm | of | raised when |")]
    {
        let text = read(guide);
        let rows = table(&text, header);
        let told: BTreeSet<_> = rows.iter().flat_map(|row| quoted(row[0])).collect();
        assert_eq!(told, all, "{guide}");
    }
}

#[test]
fn every_exit_code_is_explained_and_no_other() {
    let all =
        ["0".to_owned(), exit::RUNTIME.to_string(), exit::USAGE.to_string(), exit::CONFIGURATION.to_string()];
    let text = read("docs/operations.md");
    let told: Vec<_> = table(&text, "| code | means |").into_iter().map(|row| row[0]).collect();
    assert_eq!(told, all);
    let health: BTreeSet<_> = table(&text, "| exit code | means |").into_iter().map(|row| row[0]).collect();
    assert_eq!(health, all.iter().map(String::as_str).collect());
}

#[test]
fn every_verdict_of_health_is_explained() {
    let text = read("docs/operations.md");
    let rows = table(&text, "| exit code | means |");
    let told: BTreeSet<_> = rows.iter().flat_map(|row| quoted(row[2])).collect();
    let source = read("src/cli/health.rs");
    let verdicts: Vec<_> = source
        .split("ill(")
        .skip(1)
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split_once('"'))
        .map(|(word, _)| word)
        .collect();
    assert!(verdicts.len() >= 4, "{verdicts:?}");
    for verdict in verdicts {
        assert!(told.contains(verdict), "{verdict} is not explained");
    }
}

#[test]
fn reasons_and_causes_are_explained() {
    let text = read("docs/mqtt.md");
    let told: BTreeSet<&str> =
        quoted(&text).into_iter().map(|word| word.split(':').next().unwrap_or_default()).collect();
    let sources = [
        ("src/domain/quality.rs", "fn code(", "fn subject("),
        ("src/domain/reject.rs", "fn name(", "mod tests"),
        ("src/daemon/mqtt/error.rs", "fn kind(", "fn from_io("),
    ];
    for (file, begin, end) in sources {
        for name in names(file, begin, end) {
            assert!(told.contains(name.as_str()), "docs/mqtt.md does not explain {name} of {file}");
        }
    }
}

#[test]
fn every_part_of_the_status_line_is_explained() {
    let text = read("docs/operations.md");
    let quoted = quoted(&text);
    let source = read("src/daemon/worker/link.rs");
    let body = source.split_once("fn update_status").expect("it writes the status line").1;
    let parts: Vec<_> =
        body.split("push_str(\"; ").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0)).collect();
    assert!(parts.len() >= 5, "{parts:?}");
    for part in parts {
        assert!(quoted.contains(part), "`; {part}` is not explained");
    }
    let others = read("src/daemon/mod.rs") + &read("src/daemon/worker/lifecycle.rs");
    for begin in ["connecting to ", "no connection to ", "connected to ", "start refused: ", "stopping"] {
        assert!(
            body.contains(begin)
                || others.contains(&format!("status(\"{begin}"))
                || others.contains(&format!("status(&format!(\"{begin}")),
            "{begin}"
        );
        assert!(quoted.iter().any(|word| word.starts_with(begin)), "`{begin}` is not explained");
    }
}

#[test]
fn links_between_the_guides_lead_somewhere() {
    let anchor = |heading: &str| {
        let plain = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = plain.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>()
    };
    let mut broken = Vec::new();
    for guide in GUIDES.iter().chain(&[
        "docs/configuration.md",
        "docs/http.md",
        "docs/schemas/README.md",
        "ARCHITECTURE.md",
    ]) {
        let text = read(guide);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(guide);
        for target in text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0)) {
            if target.contains("://") {
                continue;
            }
            let (file, place) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { folder.clone() } else { folder.with_file_name("").join(file) };
            let is_there = path.exists();
            let headings = fs::read_to_string(&path).unwrap_or_default();
            let has_place = place.is_empty()
                || headings.lines().any(|line| line.starts_with('#') && anchor(line) == place);
            if !is_there || !has_place {
                broken.push(format!("{guide}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
