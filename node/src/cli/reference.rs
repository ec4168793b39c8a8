//! What the program can say about itself without a node: the API's description, completions for shells, pages of the manual.

use super::Args;
use super::examples::with_examples;
use super::output::Output;
use crate::failure::{Exit, Failure};
use anyhow::{Context, Result};
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use porchlight_rpc::METHODS;
use porchlight_rpc::schema::{Examples, openrpc};
use serde_json::json;
use std::ffi::OsStr;
use std::fmt::Write;
use std::path::Path;

/// The program's name, as it is typed.
const PROGRAM: &str = "porchlight";

/// The name of a method. Shells complete those there are; any text is taken, because the node knows best what is near to one
/// that is none.
#[derive(Clone, Copy, Debug)]
pub(super) struct MethodName;

impl TypedValueParser for MethodName {
    type Value = String;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let methods = METHODS.iter();
        Some(Box::new(
            methods.map(|method| PossibleValue::new(method.name).help(method.summary)),
        ))
    }
}

pub(super) fn api(out: &Output) -> Result<()> {
    let document = openrpc(&Examples::kept());
    if out.json {
        return out.object(&document);
    }
    out.line(&serde_json::to_string_pretty(&document)?)
}

pub(super) fn completions(out: &Output, shell: Shell) -> Result<()> {
    let mut command = with_examples(Args::command());
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, PROGRAM, &mut script);
    let mut script = String::from_utf8(script)?;
    if shell == Shell::Fish {
        script.push_str(&fish_values(&command, &mut Vec::new())?);
    }
    out.line(script.trim_end())
}

/// The values of arguments without an option, which the generated script leaves out for fish.
fn fish_values(command: &Command, path: &mut Vec<String>) -> Result<String> {
    let mut lines = String::new();
    let condition = match path.split_first() {
        Some((first, [])) => format!("__fish_{PROGRAM}_using_subcommand {first}"),
        Some((first, rest)) => {
            let rest = rest.join(" ");
            format!("__fish_{PROGRAM}_using_subcommand {first}; and __fish_seen_subcommand_from {rest}")
        }
        None => format!("__fish_{PROGRAM}_needs_command"),
    };
    for arg in command.get_positionals() {
        for value in arg.get_value_parser().possible_values().into_iter().flatten() {
            let help = value.get_help().map(ToString::to_string).unwrap_or_default();
            let help = help.replace('\\', "\\\\").replace('\'', "\\'");
            writeln!(
                lines,
                "complete -c {PROGRAM} -n \"{condition}\" -f -a '{}' -d '{help}'",
                value.get_name()
            )?;
        }
    }
    for below in command.get_subcommands() {
        path.push(below.get_name().to_owned());
        lines.push_str(&fish_values(below, path)?);
        path.pop();
    }
    Ok(lines)
}

pub(super) fn manual(out: &Output, folder: Option<&Path>) -> Result<()> {
    let mut command = with_examples(Args::command()).disable_help_subcommand(true);
    command.build();
    let Some(folder) = folder else {
        return out.line(String::from_utf8(page(&command)?)?.trim_end());
    };
    let mut pages = Vec::new();
    all_pages(&command, &mut pages)?;
    let cannot = |error: std::io::Error| {
        let message = format!("{} cannot be written: {error}", folder.display());
        Failure::new(Exit::Failed, "failed", message).hint("give a folder of yours with --dir")
    };
    std::fs::create_dir_all(folder).map_err(cannot)?;
    for (name, text) in &pages {
        std::fs::write(folder.join(name), text).map_err(cannot)?;
    }
    if out.json {
        let names: Vec<&String> = pages.iter().map(|(name, _)| name).collect();
        return out.object(&json!({"folder": folder, "pages": names}));
    }
    out.words(&format!("wrote {} pages into {}", pages.len(), folder.display()))
}

/// The pages of a command and all below it, by the names of their files.
fn all_pages(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    pages.push((Man::new(command.clone()).get_filename(), page(command)?));
    command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
        .try_for_each(|below| all_pages(below, pages))
}

/// A page of the manual.
fn page(command: &Command) -> Result<Vec<u8>> {
    // Without a date, which has to be there: the same program gives the same pages.
    let man = Man::new(command.clone())
        .date("\"\"")
        .source(concat!("Porchlight ", env!("CARGO_PKG_VERSION")))
        .manual("Porchlight");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    if let Some(help) = command.get_after_help() {
        sections(&help.to_string()).to_writer(&mut text).context("a page")?;
    }
    Ok(text)
}

/// What stands after the help, with its headings as sections. Examples and tables keep their lines.
fn sections(help: &str) -> Roff {
    let mut roff = Roff::new();
    for (number, block) in help.split("\n\n").enumerate() {
        let mut lines: Vec<&str> = block.lines().collect();
        let heading = lines.first().and_then(|line| line.strip_suffix(':'));
        match heading {
            Some(heading) => {
                roff.control("SH", [heading.to_uppercase().as_str()]);
                lines.remove(0);
            }
            None if number == 0 => {
                roff.control("SH", ["NOTES"]);
            }
            None => {
                roff.control("PP", []);
            }
        }
        let literal = lines.iter().any(|line| line.contains("  "));
        if literal {
            roff.control("nf", []);
        }
        for line in lines {
            roff.text([roman(line)]);
        }
        if literal {
            roff.control("fi", []);
        }
    }
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All commands by the names of their pages, with the names of their options.
    fn commands(command: &Command, found: &mut Vec<(String, Vec<String>)>) {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        let options = command.get_opts().filter_map(Arg::get_long).map(str::to_owned);
        found.push((format!("{name}.1"), options.collect()));
        for below in command.get_subcommands() {
            commands(below, found);
        }
    }

    #[test]
    fn every_command_has_a_page_with_its_options_and_nothing_else_has_one() {
        let mut command = with_examples(Args::command()).disable_help_subcommand(true);
        command.build();
        let (mut expected, mut pages) = (Vec::new(), Vec::new());
        commands(&command, &mut expected);
        all_pages(&command, &mut pages).unwrap();
        let names = |all: Vec<&String>| all.into_iter().cloned().collect::<Vec<String>>();
        assert_eq!(
            names(pages.iter().map(|(name, _)| name).collect()),
            names(expected.iter().map(|(name, _)| name).collect())
        );
        assert!(pages.iter().any(|(name, _)| name == "porchlight-invite-new.1"));
        for ((name, page), (_, options)) in pages.iter().zip(&expected) {
            let page = String::from_utf8(page.clone()).unwrap();
            assert!(page.contains(".SH NAME\n"), "{name}");
            for option in options {
                let written = format!("\\-\\-{}", option.replace('-', "\\-"));
                assert!(page.contains(&written), "{option} is not in {name}");
            }
        }
    }

    #[test]
    fn headings_become_sections_and_tables_keep_their_lines() {
        let page = sections("Examples:\n  a  b\n  c\n\nSome words\nand more.\n\nExit codes:\n  0  done").to_roff();
        assert_eq!(
            page,
            ".SH EXAMPLES\n.nf\n  a  b\n  c\n.fi\n.PP\nSome words\nand more.\n.SH \"EXIT CODES\"\n.nf\n  0  done\n.fi\n"
        );
        assert!(sections("Just words.").to_roff().starts_with(".SH NOTES\nJust words."));
    }

    #[test]
    fn a_method_that_is_not_there_is_left_to_the_node() {
        let args = with_examples(Args::command())
            .try_get_matches_from(["porchlight", "rpc", "presence.got"])
            .unwrap();
        let (_, rpc) = args.subcommand().unwrap();
        assert_eq!(rpc.get_one::<String>("method").unwrap(), "presence.got");
    }
}
