//! The command line as its users see it: help texts against files, and rules that hold for all of them.

use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory};

use super::*;

/// Set it to write the help texts anew after a change that is meant.
const BLESS: &str = "COOLTWIN_BLESS";

fn commands() -> Vec<Command> {
    let mut root = Cli::command().term_width(100);
    root.build();
    let visible = root.get_subcommands().filter(|command| !command.is_hide_set());
    visible.filter(|command| command.get_name() != "help").cloned().chain([root.clone()]).collect()
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn help_texts_are_the_recorded_ones() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    let mut differing = Vec::new();
    for command in commands() {
        let name = format!("help-{}.txt", command.get_name());
        let help = command.clone().render_long_help().to_string();
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        let text = lines.join("\n") + "\n";
        if std::env::var_os(BLESS).is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(&name), &text).unwrap();
        }
        if fs::read_to_string(folder.join(&name)).unwrap_or_default() != text {
            differing.push(format!("{name} is now:\n{text}"));
        }
    }
    let list = differing.join("\n");
    assert!(differing.is_empty(), "run `{BLESS}=1 cargo test help_texts` if this is meant\n{list}");
}

#[test]
fn every_command_and_option_is_explained() {
    for command in commands() {
        let name = command.get_name();
        assert!(command.get_about().is_some(), "{name} says nothing about itself");
        assert!(command.get_after_help().is_some(), "{name} has no examples");
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{name} does not explain {}", argument.get_id());
        }
    }
}

#[test]
fn examples_fit_a_narrow_terminal() {
    let mut wide = Vec::new();
    for command in commands() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines = help.lines().filter(|line| line.chars().count() > 80);
        wide.extend(lines.map(|line| format!("{}: {line}", command.get_name())));
    }
    assert!(wide.is_empty(), "wider than 80 columns:\n{}", wide.join("\n"));
}
