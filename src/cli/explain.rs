//! `cooltwin explain`: what becomes of one message, by the rules of a configuration.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::run::{SourceArgs, load};
use super::{Failure, Outcome, output};
use crate::daemon::reload::Loaded;
use crate::domain::source::{Group, Note};
use crate::domain::{Batch, Births, RejectReason, Rule};

/// Longest payload that is read: the largest that `engine.max_payload_bytes` allows.
const MAX_PAYLOAD_BYTES: u64 = 1024 * 1024;

/// Arguments of `cooltwin explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// Topic of the message
    #[arg(long, short)]
    topic: String,
    /// Payload as text
    #[arg(long, short, allow_hyphen_values = true, required_unless_present_any = ["payload_file", "payload_hex"])]
    payload: Option<String>,
    /// Payload that is no text, in hexadecimal as `mosquitto_sub -F %x` prints it
    #[arg(long, value_name = "HEX", conflicts_with_all = ["payload", "payload_file"])]
    payload_hex: Option<String>,
    /// File with messages that came before, for BIRTHs of Sparkplug: lines of topic and payload as
    /// `mosquitto_sub -F '%t %x'` prints them
    #[arg(long, value_name = "FILE")]
    before: Option<PathBuf>,
    /// File with the payload as it is; `-` for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "payload")]
    payload_file: Option<PathBuf>,
}

/// Says which rule reads a message, what it finds in it, and what becomes of that.
///
/// # Errors
/// Wrong configuration or bundle; a payload that cannot be read; a message of which nothing is used.
pub fn explain(args: &Args) -> Outcome {
    let payload = match (&args.payload, &args.payload_hex, &args.payload_file) {
        (Some(text), ..) => text.clone().into_bytes(),
        (None, Some(hex), _) => bytes_of(hex).ok_or_else(|| {
            Failure::usage("--payload-hex is no hexadecimal: write two of 0-9 and a-f for each byte")
        })?,
        (None, None, Some(file)) => read_payload(file)?,
        (None, None, None) => {
            return Err(Failure::usage("name the payload with --payload, --payload-hex or --payload-file"));
        }
    };
    let before = args.before.as_deref().map_or(Ok(Vec::new()), read_before)?;
    let loaded = load(&args.source.source())?;
    let (text, is_used) = story(&loaded, &before, &args.topic, &payload);
    let mut out = output::bulk();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    if is_used { Ok(()) } else { Err(anyhow::anyhow!("nothing of this message is used").into()) }
}

fn read_payload(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().take(MAX_PAYLOAD_BYTES).read_to_end(&mut bytes).context("standard input")?;
    } else {
        let open = std::fs::File::open(file).with_context(|| file.display().to_string())?;
        open.take(MAX_PAYLOAD_BYTES).read_to_end(&mut bytes).with_context(|| file.display().to_string())?;
    }
    Ok(bytes)
}

/// Messages from a file, each a topic and bytes in hexadecimal; lines that begin with `#` are none.
fn read_before(file: &Path) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let text = String::from_utf8(read_payload(file)?).with_context(|| file.display().to_string())?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let read = |(index, line): (usize, &str)| {
        let message = line.rsplit_once(' ').and_then(|(topic, hex)| Some((topic.to_owned(), bytes_of(hex)?)));
        message.with_context(|| {
            let line = index + 1;
            format!("{} line {line}: no topic with a payload in hexadecimal behind it", file.display())
        })
    };
    Ok(lines.map(read).collect::<anyhow::Result<_>>()?)
}

/// The bytes that a text in hexadecimal stands for.
fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = hex.chars().map(|digit| digit.to_digit(16)).collect();
    let (pairs, rest) = digits.as_ref()?.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| (high << 4 | low) as u8).collect())
}

/// The story of a message, and whether anything of it is used.
fn story(loaded: &Loaded, before: &[(String, Vec<u8>)], topic: &str, payload: &[u8]) -> (String, bool) {
    let engine = &loaded.checked.engine;
    let (mut rules, _) = engine.bind(&loaded.bundle.manifest);
    let mut births = Births::default();
    for (topic, payload) in before {
        // Only for what it tells of its sender; what is wrong with it is no part of this story.
        let _ = rules.read(topic, payload, &mut births, &mut Batch::default());
    }
    let mut batch = Batch::with_notes();
    let mut text = String::new();
    // Writing to a String cannot fail.
    if payload.len() > engine.max_payload_bytes {
        let (is, most) = (payload.len(), engine.max_payload_bytes);
        let _ = writeln!(text, "refused:  payload_too_large: {is} bytes; engine.max_payload_bytes is {most}");
        return (text, false);
    }
    let outcome = rules.read(topic, payload, &mut births, &mut batch);
    match batch.rule().and_then(|index| rules.iter().nth(index)) {
        Some(rule) => write_rule(&mut text, rule),
        None if outcome.is_ok() => {
            let _ = writeln!(text, "rule:     none reads it; what it tells of its sender is used");
        }
        None => {
            let _ =
                writeln!(text, "rule:     none; these are subscribed: {}", rules.filters(None).join(", "));
        }
    }
    for note in batch.notes() {
        write_note(&mut text, note, &loaded.bundle.manifest.channels());
    }
    if let Err(reason) = outcome {
        let _ = writeln!(text, "refused:  {reason}: {}", meaning(reason));
        return (text, false);
    }
    let mut used = 0;
    for group in (0..batch.len()).filter_map(|index| batch.group(index)) {
        used += write_group(&mut text, &group, loaded);
    }
    if births.is_wanted() {
        let _ = writeln!(
            text,
            "asks:     the node for its BIRTH, at most once a minute (rebirth = false: never)"
        );
    }
    for (reason, count) in batch.rejects().iter() {
        let _ = writeln!(text, "not used: {count} x {reason}: {}", meaning(reason));
    }
    if used > 0 {
        let when = if batch.is_frame() || batch.len() > 1 {
            "at once".to_owned()
        } else {
            format!("when the unit has been quiet for {}", humantime::format_duration(engine.settle))
        };
        let _ = writeln!(text, "predicts: {when}");
    }
    (text, used > 0)
}

fn write_rule(text: &mut String, rule: &Rule) {
    let _ = writeln!(text, "rule:     {} ({}) {}", rule.name(), rule.kind().name(), rule.pattern().as_str());
}

fn write_note(text: &mut String, note: &Note, channels: &[&str]) {
    let raw: String = note.raw.chars().take(80).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let _ = match note.outcome {
        Some(Ok((channel, value))) => {
            let sensor = channels.get(channel).copied().unwrap_or_default();
            writeln!(text, "found:    {} = {raw} -> {sensor} = {value}", note.name)
        }
        Some(Err(reason)) => writeln!(text, "found:    {} = {raw} -> {reason}", note.name),
        None => writeln!(text, "found:    {} = {raw} -> ignored", note.name),
    };
}

/// Writes the readings of one unit at one time as they go on. Gives how many are used.
fn write_group(text: &mut String, group: &Group<'_>, loaded: &Loaded) -> usize {
    let manifest = &loaded.bundle.manifest;
    let channels = manifest.channels();
    let time = group.time.map_or_else(|| "the time of its arrival".to_owned(), |time| time.to_string());
    let _ = writeln!(text, "unit:     {} at {time}", group.unit);
    let mut used = 0;
    for reading in group.readings {
        let name = channels.get(reading.channel).copied().unwrap_or_default();
        let accepted =
            reading.value.and_then(|value| loaded.bundle.evaluator.assembler.accept(reading.channel, value));
        let _ = match accepted {
            Ok(value) => {
                used += 1;
                writeln!(text, "  {name} = {value} {}", manifest.unit_of(name).unwrap_or_default())
            }
            Err(reason) => writeln!(text, "  {name}: {reason}: {}", meaning(reason)),
        };
    }
    used
}

/// What a reason means, for somebody who wants to do something about it.
fn meaning(reason: RejectReason) -> &'static str {
    match reason {
        RejectReason::UnknownTopic => "no rule has such topics",
        RejectReason::PayloadTooLarge => "longer than engine.max_payload_bytes",
        RejectReason::MalformedPayload => {
            "not UTF-8, not what the rule's kind of payload is, or nested too deeply"
        }
        RejectReason::UnexpectedShape => "well-formed, but nothing stands where the rule looks",
        RejectReason::TooManyKeys => "more names, entries or times than are read of one message",
        RejectReason::InvalidUnit => "no unit's name stands where the rule looks, or it is unfit for topics",
        RejectReason::TooManyUnits => "more units than engine.max_units",
        RejectReason::UnknownSensor => "the bundle has no such sensor; rename it, or ignore it",
        RejectReason::DuplicateKey => "stands there twice, and nobody knows which holds",
        RejectReason::NotANumber => "not a number; give words such as ON a number with `words`",
        RejectReason::NotFinite => "NaN, infinite, or beyond what a double holds",
        RejectReason::OutOfRange => {
            "outside what the bundle accepts of this sensor; is the unit right (`from`)?"
        }
        RejectReason::InvalidTime => "no time can be read where the rule looks for one",
        RejectReason::FutureTime => "ahead of the clock",
        RejectReason::LateReading => "older than what is held",
        RejectReason::RetainedWithoutTime => "retained, and of unknown age",
        RejectReason::BadQuality => "its source says that it is not good",
        RejectReason::MissingBirth => {
            "what it stands for was said in a BIRTH message; give those that came before with --before"
        }
        RejectReason::SentinelValue => "a number that means: no value, by `invalid` of the rule",
    }
}
