//! `cooltwin seal`: record a bundle's golden vectors and hashes.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::exit::complain;
use super::input::{Readings, Row};
use super::{Outcome, model};
use crate::bundle::signature::SIGNATURE_FILE;
use crate::bundle::{self, Bundle};
use crate::domain::ZoneSpec;
use crate::folder;

const EXAMPLES: &str = "\
Sealing compiles the bundle, runs the golden readings through it and writes two
files: golden.jsonl, with the features and outputs each line gave, and
bundle.toml, with the hash of every file. The daemon replays the golden lines at
every start and refuses a bundle that does not reproduce them bit for bit.

Examples:
  cooltwin seal my-models --golden readings.csv
  cooltwin seal my-models
      anew, with the readings of its present golden.jsonl

Golden readings are CSV, or JSON lines {\"time\":...,\"unit\":...,\"data\":{...}}
whose data are kept as they are written, wrong values included.";

/// What `cooltwin seal` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder of the model bundle
    #[arg(value_name = "DIR")]
    pub bundle: PathBuf,
    /// Readings to prove the bundle with, as CSV or JSON lines
    #[arg(long, value_name = "FILE")]
    pub golden: Option<PathBuf>,
}

/// Does it.
///
/// # Errors
/// Everything that is wrong with the bundle (78), golden readings that make no sense, files that cannot be
/// written.
pub fn seal(args: &Args) -> Outcome {
    let files = model::files(&args.bundle)?;
    let readings = args.golden.as_deref().map(golden_lines).transpose()?;
    let changed =
        bundle::seal(&files, readings.as_deref()).map_err(|errors| model::wrong(&args.bundle, &errors.0))?;
    let mut sealed = files;
    sealed.0.extend(changed.0.clone());
    // What is written must load: better to fail here than at the next start of the daemon.
    let proven = Bundle::load(&sealed).map_err(|errors| model::wrong(&args.bundle, &errors.0))?;
    folder::write_bundle(&args.bundle, &changed)?;
    complain(&format!(
        "sealed {} {} ({}), proven by {} golden lines",
        proven.identity.id, proven.identity.version, proven.identity.sha256, proven.golden_frames
    ));
    if sealed.0.contains_key(SIGNATURE_FILE) {
        complain(&format!(
            "{SIGNATURE_FILE} is to be made anew if the manifest has changed: minisign -Sm bundle.toml"
        ));
    }
    Ok(())
}

/// Golden readings as JSON lines: as they are, or made from CSV.
fn golden_lines(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    if text.trim_start().starts_with('{') {
        return Ok(text);
    }
    let input = Box::new(std::io::Cursor::new(text.into_bytes()));
    let mut readings = Readings::new(&path.display().to_string(), input, ZoneSpec::utc())?;
    let (mut row, mut lines) = (Row::default(), String::new());
    while readings.read(&mut row)? {
        let names = readings.names();
        let data: serde_json::Map<String, serde_json::Value> = row
            .values
            .iter()
            .filter_map(|(place, value)| Some((names.get(*place)?.clone(), serde_json::json!(value))))
            .collect();
        let line = serde_json::json!({"time": row.time.to_string(), "unit": row.unit, "data": data});
        lines.push_str(&line.to_string());
        lines.push('\n');
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_becomes_json_lines_and_json_lines_stay_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("golden");
        std::fs::write(&path, "time,unit,A,B\n2026-01-05T00:00:00Z,c,1.5,\n").unwrap();
        let lines = golden_lines(&path).unwrap();
        assert_eq!(lines, "{\"data\":{\"A\":1.5},\"time\":\"2026-01-05T00:00:00Z\",\"unit\":\"c\"}\n");
        let odd = "{\"time\":\"x\",\"unit\":\"c\",\"data\":{\"A\":1e999,\"A\":null}}\n";
        std::fs::write(&path, odd).unwrap();
        assert_eq!(golden_lines(&path).unwrap(), odd);
    }

    #[test]
    fn a_changed_bundle_loads_again_once_sealed() {
        let dir = tempfile::tempdir().unwrap();
        let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bundles/tiny");
        let mut files = folder::read_bundle(&tiny).unwrap();
        if let Some(manifest) = files.0.get_mut("bundle.toml") {
            manifest.splice(0..0, b"# changed\n".iter().copied());
        }
        files.0.remove("golden.jsonl");
        folder::write_bundle(dir.path(), &files).unwrap();
        let golden = dir.path().join("readings.csv");
        std::fs::write(&golden, "time,unit,R,H,N,D\n2026-01-01T00:00:00Z,u,10,1,100,2\n").unwrap();
        assert!(model::load(dir.path()).is_err());
        seal(&Args { bundle: dir.path().to_path_buf(), golden: Some(golden) }).unwrap();
        assert_eq!(model::load(dir.path()).unwrap().golden_frames, 1);
        // Sealed anew from its own golden file, not a byte changes.
        let before = folder::read_bundle(dir.path()).unwrap();
        seal(&Args { bundle: dir.path().to_path_buf(), golden: None }).unwrap();
        assert_eq!(folder::read_bundle(dir.path()).unwrap().0, before.0);
    }

    #[test]
    fn a_folder_that_is_no_bundle_is_a_configuration_error() {
        let dir = tempfile::tempdir().unwrap();
        let args = Args { bundle: dir.path().to_path_buf(), golden: None };
        assert_eq!(seal(&args).unwrap_err().code(), crate::cli::exit::CONFIGURATION);
    }
}
