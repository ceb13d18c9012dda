//! Completion scripts and manual pages, made from the definitions of the command line and the settings themselves.

mod pages;

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;

use super::{Cli, Outcome, output};

/// Prints the completion script of one shell.
pub(super) fn completions(shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "cooltwin", &mut script);
    let mut out = output::bulk();
    out.write_all(&script).and_then(|()| out.flush()).context("writing the completion script")?;
    Ok(())
}

/// Writes `cooltwin.1`, one `cooltwin-COMMAND.1` for every command a user sees, and `cooltwin.toml.5`.
pub(super) fn man(dir: &Path) -> Outcome {
    fs::create_dir_all(dir).with_context(|| format!("making the directory {}", dir.display()))?;
    let mut root = Cli::command();
    root.build();
    write(dir, "cooltwin.1", &pages::program(&root)?)?;
    for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
        if command.get_name() != "help" {
            write(dir, &format!("cooltwin-{}.1", command.get_name()), &pages::command(command)?)?;
        }
    }
    write(dir, "cooltwin.toml.5", &pages::configuration())?;
    Ok(())
}

fn write(dir: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = dir.join(name);
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_visible_command_has_a_page() {
        let dir = tempfile::tempdir().unwrap();
        man(dir.path()).unwrap();
        let text = fs::read_to_string(dir.path().join("cooltwin-simulate.1")).unwrap();
        assert!(text.contains("\\-\\-seed"), "{text}");
        assert!(dir.path().join("cooltwin.1").exists());
        assert!(dir.path().join("cooltwin.toml.5").exists());
        assert!(!dir.path().join("cooltwin-man.1").exists());
    }
}
