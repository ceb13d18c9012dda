//! The documented configuration file, written from the table of settings itself.

use std::fmt::Write;

use super::Settings;
use super::table::KeySpec;

const HEADER: &str = "\
# Configuration of cooltwin. Every setting stands here with its meaning, type and default;
# a line that is left out, or starts with #, means the default.
#
# An environment variable overrides each: COOLTWIN__SECTION__KEY, as in COOLTWIN__MQTT__URL.
# `cooltwin check --config FILE` says everything that is wrong with a file, without starting.
";

/// The complete documented configuration with every default.
#[must_use]
pub fn template() -> String {
    let mut text = HEADER.to_owned();
    for section in Settings::specs() {
        // Writing to a String cannot fail.
        let _ = writeln!(text);
        for line in section.doc {
            let _ = writeln!(text, "#{line}");
        }
        let _ = writeln!(text, "[{}]", section.name);
        for key in &section.keys {
            write_key(&mut text, key);
        }
    }
    text
}

fn write_key(text: &mut String, key: &KeySpec) {
    let _ = writeln!(text);
    for line in key.doc {
        let _ = writeln!(text, "#{line}");
    }
    let _ = write!(text, "# Type: {}", key.type_name);
    if let Some((low, high)) = &key.range {
        let _ = write!(text, "; {low} to {high}");
    }
    let _ = match (&key.default, key.example) {
        (Some(default), _) => writeln!(text, ". Default: {default}\n{} = {default}", key.key),
        (None, Some(example)) => writeln!(text, ". Default: unset\n# {} = {example}", key.key),
        (None, None) => writeln!(text, ". Default: unset\n# {} =", key.key),
    };
}
