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

/// What stands behind the sections: rules have no defaults that could be listed.
const SOURCES: &str = "
# Other topics, payloads and units of measurement come in by rules, as many as needed, here at the end of the file.
# docs/sources.md tells what they can do; /usr/share/doc/cooltwin/examples/sources has one for each kind of payload.
#
#   [[source]]
#   name = \"ahu\"
#   topic = \"site/+/ahu/{unit}/{sensor}/state\"
#   kind = \"number\"
#   [source.rename]
#   room_temp = \"UCAIT\"
#   [source.sensors]
#   UCAIT = { from = \"degF\", invalid = [-999] }
#
# `cooltwin explain --config FILE --topic TOPIC --payload PAYLOAD` says what becomes of a message.
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
    text.push_str(SOURCES);
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
