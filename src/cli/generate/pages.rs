//! The manual pages: one for every command in section 1, the configuration in section 5.

use std::fmt::Write;

use anyhow::Context;
use clap::Command;
use clap::builder::Resettable;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use crate::daemon::settings::{KeySpec, Settings};

/// What stands in the middle of a page's head.
const MANUAL: &str = "cooltwin";
/// Pages bear no date: the same sources give the same bytes. Not empty, or the arguments behind it would move up.
const NO_DATE: &str = " ";

/// Files a package installs or the service uses, with what they are.
const FILES: [(&str, &str); 5] = [
    ("/etc/cooltwin/cooltwin.toml", "Configuration of cooltwin.service; every setting is explained in it."),
    ("/etc/cooltwin/NAME.toml", "Configuration of the further instance cooltwin@NAME.service."),
    ("/etc/cooltwin/cooltwin.env", "Environment of the service, for secrets; readable by root alone."),
    (
        "/usr/share/cooltwin/models/unit-cooler/",
        "The reference models, used when the configuration names no others.",
    ),
    ("/var/lib/cooltwin/", "What the service saves for a warm start."),
];

/// The page of the program as a whole.
pub(super) fn program(root: &Command) -> anyhow::Result<String> {
    let mut rest = Roff::new();
    help_sections(&mut rest, root);
    rest.control("SH", ["ENVIRONMENT"]);
    let variables = [
        ("COOLTWIN__SECTION__KEY", "Overrides the setting KEY of SECTION, as in COOLTWIN__MQTT__URL."),
        (
            "COOLTWIN_KERNEL",
            "The kernel that evaluates tree ensembles, instead of the fastest one for each model.",
        ),
    ];
    for (name, meaning) in variables {
        rest.control("TP", []).text([bold(name)]).text([roman(meaning)]);
    }
    files(&mut rest);
    see_also(
        &mut rest,
        &[("cooltwin.toml", "5"), ("systemctl", "1"), ("journalctl", "1"), ("mosquitto", "8")],
    );
    // `cooltwin help` has no page of its own.
    let shown = root.clone().mut_subcommand("help", |help| help.hide(true));
    page(&shown, "cooltwin", &rest)
}

/// The page of one command.
pub(super) fn command(command: &Command) -> anyhow::Result<String> {
    let mut rest = Roff::new();
    help_sections(&mut rest, command);
    see_also(&mut rest, &[("cooltwin", "1"), ("cooltwin.toml", "5")]);
    page(command, &format!("cooltwin-{}", command.get_name()), &rest)
}

/// The page of the configuration file, from the table of settings.
pub(super) fn configuration() -> String {
    let mut page = Roff::new();
    page.control("TH", ["COOLTWIN.TOML", "5", NO_DATE, source().as_str(), MANUAL]);
    page.control("SH", ["NAME"]).text([roman("cooltwin.toml - configuration of the cooltwin daemon")]);
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(
        "A TOML file. A setting that is left out has its default. The environment variable COOLTWIN__SECTION__KEY \
         overrides a setting.",
    )]);
    page.control("PP", []).text([
        bold("cooltwin check"),
        roman(" says everything that is wrong with a file. "),
        bold("systemctl reload cooltwin"),
        roman(" takes up changes while running; a file with mistakes is refused, and what runs stays as it was."),
    ]);
    for section in Settings::specs() {
        page.control("SH", [format!("[{}]", section.name).as_str()]);
        page.text([roman(joined(section.doc))]);
        for key in &section.keys {
            setting(&mut page, key);
        }
    }
    files(&mut page);
    see_also(&mut page, &[("cooltwin", "1"), ("cooltwin-check", "1"), ("cooltwin-config", "1")]);
    page.render()
}

fn setting(page: &mut Roff, key: &KeySpec) {
    let mut facts = format!("Type: {}", key.type_name);
    if let Some((low, high)) = &key.range {
        // Writing to a String cannot fail.
        let _ = write!(facts, "; {low} to {high}");
    }
    let _ = match (&key.default, key.example) {
        (Some(default), _) => write!(facts, ". Default: {default}"),
        (None, Some(example)) => write!(facts, ". Default: unset. Example: {example}"),
        (None, None) => write!(facts, ". Default: unset"),
    };
    page.control("TP", []).text([bold(key.key)]).text([roman(joined(key.doc))]);
    page.control("br", []).text([roman(facts)]);
}

/// Name, synopsis, description and options as the parser of arguments has them, then what is ours.
fn page(command: &Command, name: &str, rest: &Roff) -> anyhow::Result<String> {
    // Its own section for these would be called EXTRA, with all lines run together.
    let bare = command.clone().after_help(Resettable::Reset).version(Resettable::Reset);
    let man = Man::new(bare).title(name.to_uppercase()).date(NO_DATE).source(source()).manual(MANUAL);
    let mut text = Vec::new();
    man.render(&mut text).with_context(|| format!("the manual page of {name} cannot be made"))?;
    let mut text = String::from_utf8(text).context("a manual page is not UTF-8")?;
    // Each part begins with the same definitions.
    let rest = rest.render();
    text.push_str(rest.find(".SH").and_then(|start| rest.get(start..)).unwrap_or_default());
    Ok(text)
}

/// What the help ends with: blocks under a title of their own as they are, everything else as text.
fn help_sections(page: &mut Roff, command: &Command) {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let mut are_notes_open = false;
    for paragraph in help.split("\n\n") {
        let mut lines = paragraph.lines().peekable();
        let title = lines.next_if(|line| line.ends_with(':') && paragraph.contains("\n  "));
        if let Some(title) = title {
            page.control("SH", [title.trim_end_matches(':').to_uppercase().as_str()]);
        } else if !are_notes_open {
            page.control("SH", ["NOTES"]);
        } else {
            page.control("PP", []);
        }
        are_notes_open = title.is_none();
        let is_drawn = title.is_some() || paragraph.contains("\n ");
        if is_drawn {
            page.control("nf", []);
        }
        for line in lines {
            page.text([roman(line)]);
        }
        if is_drawn {
            page.control("fi", []);
        }
    }
}

fn files(page: &mut Roff) {
    page.control("SH", ["FILES"]);
    for (path, meaning) in FILES {
        page.control("TP", []).text([italic(path)]).text([roman(meaning)]);
    }
}

fn see_also(page: &mut Roff, pages: &[(&str, &str)]) {
    page.control("SH", ["SEE ALSO"]);
    for (index, (name, section)) in pages.iter().enumerate() {
        let end = if index + 1 == pages.len() { "" } else { "," };
        page.text([bold(*name), roman(format!("({section}){end}"))]);
    }
}

fn source() -> String {
    format!("cooltwin {}", env!("CARGO_PKG_VERSION"))
}

fn joined(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    fn root() -> Command {
        let mut root = Cli::command();
        root.build();
        root
    }

    #[test]
    fn examples_keep_their_lines_and_notes_flow() {
        let root = root();
        let text = command(root.find_subcommand("check").unwrap()).unwrap();
        let examples = text.split_once(".SH EXAMPLES\n.nf\n").unwrap().1.split_once("\n.fi\n").unwrap().0;
        assert_eq!(examples.lines().count(), 2, "{examples}");
        assert!(text.contains(".SH NOTES\nEverything that is wrong"), "{text}");
        assert!(text.starts_with(".ie") && text.matches(".ie").count() == 1, "{text}");
        assert!(!text.contains("EXTRA") && !text.contains(".SH VERSION"), "{text}");
    }

    #[test]
    fn the_program_names_its_files_and_codes() {
        let text = program(&root()).unwrap();
        assert!(text.contains(".TH COOLTWIN 1 \" \" \"cooltwin "), "{text}");
        assert!(text.contains("cooltwin\\-run") && !text.contains("cooltwin\\-help"), "{text}");
        for part in
            [".SH \"FIRST STEPS\"", "Exit codes: 0 success", ".SH FILES", ".SH ENVIRONMENT", "cooltwin.toml"]
        {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn every_setting_is_in_the_page_of_the_configuration() {
        let text = configuration();
        for section in Settings::specs() {
            let head = format!(".SH [{}]\n", section.name);
            let part = text.split_once(head.as_str()).unwrap().1.split("\n.SH").next().unwrap();
            for key in section.keys {
                assert!(
                    part.contains(&format!(".TP\n\\fB{}\\fR\n", key.key)),
                    "{} is not in\n{part}",
                    key.key
                );
            }
        }
    }
}
