//! Completion scripts and manual pages, made from the command line's own definition.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use clap::{Command, CommandFactory};

use super::{Cli, Outcome, output};

/// Prints the completion script of one shell.
pub(super) fn completions(shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "cooltwin", &mut script);
    let mut out = output::bulk();
    out.write_all(&script).and_then(|()| out.flush()).context("writing the completion script")?;
    Ok(())
}

/// Writes `cooltwin.1` and one `cooltwin-COMMAND.1` for every command a user sees.
pub(super) fn man(dir: &Path) -> Outcome {
    fs::create_dir_all(dir).with_context(|| format!("making the directory {}", dir.display()))?;
    let mut root = Cli::command();
    root.build();
    page(&root, "cooltwin", dir)?;
    for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
        if command.get_name() != "help" {
            page(command, &format!("cooltwin-{}", command.get_name()), dir)?;
        }
    }
    Ok(())
}

fn page(command: &Command, name: &str, dir: &Path) -> anyhow::Result<()> {
    let path = dir.join(format!("{name}.1"));
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone())
        .render(&mut text)
        .and_then(|()| fs::write(&path, text))
        .with_context(|| format!("writing {}", path.display()))
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
        assert!(!dir.path().join("cooltwin-man.1").exists());
    }
}
