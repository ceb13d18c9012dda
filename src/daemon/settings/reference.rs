//! The reference of all settings as Markdown, written from the table of settings itself.

use std::fmt::Write;

use super::Settings;
use super::table::{Applies, KeySpec};

const HEADER: &str = "\
# Configuration

Every setting with its meaning. This page is printed by `cooltwin config --markdown`, from the table that the program itself
reads its settings by; `cooltwin config` prints the same as a file to edit.

**Where settings come from.** The file named by `--config` (the packaged service reads `/etc/cooltwin/cooltwin.toml`, an instance
`cooltwin@NAME` reads `/etc/cooltwin/NAME.toml`), then environment variables `COOLTWIN__SECTION__KEY`, then `--set SECTION.KEY=VALUE`
on the command line; what comes later wins. What is set nowhere has its default. Without `--config` there is no file.

**What is wrong is said at once**, all of it, with the remedy: `cooltwin check --config FILE` shows it without starting. Unknown
sections and keys are errors, so a slip of the pen is not silently a default. A file that everybody may change is refused.

**Notation.** Durations are texts with their units: `\"100ms\"`, `\"30s\"`, `\"1h 30m\"`, `\"1day\"`. In environment variables and after `--set`
texts stand without quotes. Where a file with a secret or certificate is named, `credential:NAME` means the credential of that
name that systemd has laid out for the service (see [install.md](install.md#tls-and-passwords)).

**Changing settings while the daemon runs**: edit, then `systemctl reload cooltwin`. What is wrong leaves everything as it was.
";

/// Rules are no settings with defaults; they have a page of their own.
const SOURCES: &str = "
## [[source]]

Rules by which other topics, payloads and units of measurement come in, as many as needed, at the end of the file. Taken over by a
reload; where their topics change, the daemon connects anew. See [sources.md](sources.md).
";

/// The reference of every setting.
#[must_use]
pub fn reference() -> String {
    let mut text = HEADER.to_owned();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\nWhat each setting says under \"a change\":\n\n| a change | means |\n|---|---|");
    for applies in [Applies::AtReload, Applies::Reconnecting, Applies::AtRestart, Applies::AtNextStart] {
        let (word, meaning) = words(applies);
        let _ = writeln!(text, "| {word} | {meaning} |");
    }
    for section in Settings::specs() {
        let _ = writeln!(text, "\n## [{}]\n\n{}", section.name, paragraph(section.doc));
        for key in &section.keys {
            write_key(&mut text, section.name, key);
        }
    }
    text.push_str(SOURCES);
    text
}

/// A word for the tables, and what it means.
fn words(applies: Applies) -> (&'static str, &'static str) {
    match applies {
        Applies::AtReload => ("reload", "is taken over by a reload"),
        Applies::Reconnecting => (
            "reload, connects anew",
            "is taken over by a reload, for which the daemon connects to the broker anew",
        ),
        Applies::AtRestart => (
            "restart",
            "needs a restart: a reload with this change is refused, as retained messages would be left behind under the \
             old names",
        ),
        Applies::AtNextStart => {
            ("next start", "needs a restart: a reload takes over the rest and says so in the log")
        }
    }
}

fn write_key(text: &mut String, section: &str, key: &KeySpec) {
    let name = key.key;
    let range = match (&key.range, key.unit) {
        (Some((low, high)), Some(unit)) => format!("{low} to {high} {unit}"),
        (Some((low, high)), None) => format!("{low} to {high}"),
        (None, _) => String::new(),
    };
    let default = match (&key.default, key.unit) {
        (Some(default), Some(unit)) => format!("`{default}` {unit}"),
        (Some(default), None) => format!("`{default}`"),
        (None, _) => "unset".to_owned(),
    };
    let example = key.example.or(key.default.as_deref()).unwrap_or_default();
    let variable = format!("COOLTWIN__{section}__{name}").to_uppercase();
    let bare = example.trim_matches('"');
    let change = words(key.applies).0;
    let doc = paragraph(key.doc);
    let kind = key.type_name;
    let _ = write!(
        text,
        "\n### {section}.{name}\n\n{doc}\n\n| type | range | default | a change |\n|---|---|---|---|\n\
         | {kind} | {range} | {default} | {change} |\n\nExample: `{name} = {example}`, or `{variable}={bare}`\n"
    );
}

/// The lines of a comment, without the blank that each begins with.
fn paragraph(doc: &[&str]) -> String {
    doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join("\n")
}
