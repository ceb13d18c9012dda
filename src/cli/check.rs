//! `cooltwin check`: everything `run` would check, without starting.

use std::fmt::Write as _;
use std::io::Write;

use super::run::{SourceArgs, load};
use super::{Outcome, output};
use crate::daemon::reload::Loaded;

/// Arguments of `cooltwin check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    source: SourceArgs,
}

/// Checks configuration, the files it names, and the bundle with its golden vectors.
///
/// # Errors
/// Every problem found, with the exit code for wrong configuration.
pub fn check(args: &Args) -> Outcome {
    let loaded = load(&args.source.source())?;
    for warning in &loaded.checked.warnings {
        eprintln!("warning: {warning}");
    }
    let mut out = output::bulk();
    out.write_all(summary(&loaded).as_bytes())?;
    out.flush()?;
    Ok(())
}

fn summary(loaded: &Loaded) -> String {
    let Loaded { settings, checked, bundle, signed_by } = loaded;
    let identity = &bundle.identity;
    let mut text = String::from("configuration OK\n");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "broker:     {} as {}", checked.broker, settings.client_id());
    let _ = writeln!(
        text,
        "bundle:     {} {} ({}) in {}",
        identity.id,
        identity.version,
        identity.sha256,
        checked.bundle_path.display()
    );
    let _ = match signed_by {
        Some(signer) => writeln!(text, "signed by:  {signer}"),
        None => writeln!(text, "signed by:  not asked for (bundle.public_key)"),
    };
    write_rules(&mut text, loaded);
    for (filter, _) in settings.subscriptions(checked) {
        let _ = writeln!(text, "subscribes: {filter}");
    }
    for output in settings.publications(checked) {
        let note = output.note.map_or_else(String::new, |note| format!(" ({note})"));
        let _ = writeln!(text, "publishes:  {}{note}", output.topic);
    }
    text
}

/// Each rule with its filter, and which rules before it take a part of its topics.
fn write_rules(text: &mut String, loaded: &Loaded) {
    let engine = &loaded.checked.engine;
    let (rules, _) = engine.bind(&loaded.bundle.manifest);
    let rules: Vec<_> = rules.iter().collect();
    let overlaps = engine.overlaps();
    for (index, rule) in rules.iter().enumerate() {
        let taken = overlaps.iter().filter(|overlap| overlap.second == index);
        let taken: Vec<_> =
            taken.filter_map(|overlap| rules.get(overlap.first)).map(|earlier| earlier.name()).collect();
        let kind = rule.kind().name();
        // Writing to a String cannot fail.
        let _ = write!(text, "source:     {} ({kind}) {}", rule.name(), rule.filter());
        let _ = match taken.as_slice() {
            [] => writeln!(text),
            names => writeln!(text, "; what {} leave of it", names.join(", ")),
        };
    }
}
