//! The command line with an example for every command. Those that need nothing but an example have it here; the others say
//! theirs, and what is to be known of them, where they are declared.

use clap::Command;

/// Examples by command.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("config", &["config check", "config show"]),
    (
        "config show",
        &[
            "config show",
            "config show --role relay    as `run --role relay` would have it",
        ],
    ),
    ("passphrase", &["passphrase set", "passphrase remove"]),
    (
        "passphrase remove",
        &["passphrase remove    its node then starts without being asked"],
    ),
    ("status", &["status", "status --json | jq -r '.listening[]'"]),
    (
        "health",
        &["health", "health || notify-send porchlight 'something is wrong'"],
    ),
    ("stop", &["stop"]),
    ("id", &["id show"]),
    ("id show", &["id show", "id show --json | jq -r .principal"]),
    ("net", &["net peers", "net diagnose bob"]),
    ("net peers", &["net peers"]),
    (
        "relay",
        &[
            "relay ls",
            "relay test /dns4/relay.example.org/tcp/4110/p2p/12D3KooW...",
        ],
    ),
    ("relay ls", &["relay ls"]),
    (
        "relay test",
        &["relay test /dns4/relay.example.org/tcp/4110/p2p/12D3KooW..."],
    ),
    ("contacts", &["contacts", "contacts --json | jq -r '.contacts[].name'"]),
    (
        "contact",
        &[
            "contact rename bob robert",
            "contact view bob work",
            "contact remove bob",
        ],
    ),
    ("contact rename", &["contact rename bob robert    he is not told"]),
    ("view", &["view list", "view create work", "contact view bob work"]),
    ("view list", &["view list"]),
    ("view delete", &["view delete work"]),
    ("grant", &["grant list", "grant revoke carol"]),
    ("grant list", &["grant list"]),
    ("watchers", &["watchers"]),
    ("subscribe", &["subscribe bob"]),
    ("unsubscribe", &["unsubscribe bob"]),
    ("invite", &["invite new", "invite list", "invite revoke 3nr7azmn..."]),
    ("invite list", &["invite list"]),
    (
        "invite revoke",
        &["invite revoke 3nr7azmnmphr2mtf53iptl7bvi    its id, as `invite list` shows it"],
    ),
    ("presence", &["presence set away -m 'back at four'", "presence show"]),
    ("presence show", &["presence show"]),
    ("outbox", &["outbox"]),
    ("unblock", &["unblock carol"]),
];

/// Gives every command its examples, and lets the words that follow them be broken where the terminal ends.
pub(super) fn with_examples(command: Command) -> Command {
    below(command, &mut Vec::new())
}

fn below(mut command: Command, path: &mut Vec<String>) -> Command {
    let name = path.join(" ");
    let help = command.get_after_help().map(ToString::to_string);
    let own = EXAMPLES
        .iter()
        .find(|(of, _)| *of == name)
        .map(|(_, lines)| listed(lines));
    let help = match (own, help) {
        (Some(own), Some(help)) => Some(format!("{own}\n\n{help}")),
        (own, help) => own.or(help),
    };
    if let Some(help) = help {
        command = command.after_help(flowing(&help));
    }
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for sub in names {
        command = command.mut_subcommand(&sub, |found| {
            path.push(sub.clone());
            let done = below(found, path);
            path.pop();
            done
        });
    }
    command
}

fn listed(lines: &[&str]) -> String {
    let heading = if lines.len() == 1 { "Example:" } else { "Examples:" };
    let lines: Vec<String> = lines.iter().map(|line| format!("\n  porchlight {line}")).collect();
    format!("{heading}{}", lines.concat())
}

/// Paragraphs of words become one line each, to be broken by the terminal's width. What has headings or columns stays.
fn flowing(help: &str) -> String {
    let blocks: Vec<String> = help
        .split("\n\n")
        .map(|block| {
            let is_table = block
                .lines()
                .any(|line| line.trim_end().contains("  ") || line.ends_with(':'));
            if is_table {
                block.to_owned()
            } else {
                block.lines().collect::<Vec<_>>().join(" ")
            }
        })
        .collect();
    blocks.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Args;
    use clap::{CommandFactory, Parser};

    fn all(command: &Command, path: &str, found: &mut Vec<(String, String)>) {
        let help = command.get_after_help().map(ToString::to_string);
        found.push((path.to_owned(), help.unwrap_or_default()));
        for sub in command.get_subcommands() {
            all(sub, format!("{path} {}", sub.get_name()).trim(), found);
        }
    }

    /// The words of a line as a shell takes them, up to what is for the shell or for the reader.
    fn words(line: &str) -> Vec<String> {
        let line = line.split_once("   ").map_or(line, |(line, _)| line);
        let mut words = vec![String::new()];
        let mut quoted = None;
        for c in line.chars() {
            match (quoted, c) {
                (Some(quote), c) if c == quote => quoted = None,
                (None, '\'' | '"') => quoted = Some(c),
                (None, '|' | '>' | '<') => break,
                (None, ' ') => words.push(String::new()),
                (_, c) => words.last_mut().unwrap().push(c),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn every_command_has_an_example_that_it_takes() {
        let mut found = Vec::new();
        all(&with_examples(Args::command()), "", &mut found);
        assert!(found.len() > 60, "{}", found.len());
        for (path, help) in &found {
            assert!(help.contains("Example"), "'{path}' has no example");
            let lines = help
                .lines()
                .filter_map(|line| line.find("porchlight ").map(|at| (line, at)));
            let mut examples = 0;
            for (line, at) in lines.filter(|(line, _)| line.starts_with("  ")) {
                let typed = words(&line[at..]);
                let parsed = Args::try_parse_from(&typed);
                assert!(parsed.is_ok(), "'{path}': {line}: {typed:?}: {}", parsed.unwrap_err());
                examples += usize::from(typed.join(" ").contains(path.split(' ').next().unwrap()));
            }
            assert!(examples > 0, "'{path}' has no example of itself");
        }
        for (path, _) in EXAMPLES {
            assert!(
                found.iter().any(|(known, _)| known == path),
                "there is no command '{path}'"
            );
        }
    }

    #[test]
    fn words_flow_and_columns_stay() {
        let help = "Example:\n  porchlight x    y\n\nSome words\nand more.\n\nA  one\nB  two";
        assert_eq!(
            flowing(help),
            "Example:\n  porchlight x    y\n\nSome words and more.\n\nA  one\nB  two"
        );
    }
}
