//! Reading the file: everything that is wrong with it, each with its line and key.

use super::Config;
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

/// Lines of keys, each by its name with sections (`presence.lease`).
pub(super) type Lines = BTreeMap<String, usize>;

/// Something wrong with the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Where, counted from 1.
    pub(super) line: Option<usize>,
    /// What it is about, unless the file is no TOML.
    pub(super) key: Option<String>,
    /// What is wrong.
    pub(super) message: String,
}

/// Reads the text of a configuration.
pub(super) fn parse(text: &str) -> Result<(Config, Lines), Vec<Fault>> {
    let no_toml = |error: &toml::de::Error| {
        vec![Fault {
            line: error.span().map(|span| line_of(text, span.start)),
            key: None,
            message: error.message().to_owned(),
        }]
    };
    let spanned = DeTable::parse(text).map_err(|error| no_toml(&error))?;
    let table: Table = text.parse().map_err(|error| no_toml(&error))?;
    let mut lines = Lines::new();
    collect_lines(text, "", spanned.get_ref(), &mut lines);
    // Each key alone, because reading them together ends at the first that does not fit.
    let mut faults: Vec<Fault> = leaves("", &table)
        .into_iter()
        .filter_map(|(key, alone)| {
            let error = Config::deserialize(Value::Table(alone)).err()?;
            let mut message = error.message().to_owned();
            if let Some(top) = of_no_section(&table, &key) {
                message.push_str(&format!(
                    "; {top} stands above all sections, before the first line in brackets"
                ));
            }
            Some(Fault {
                line: lines.get(&key).copied(),
                key: Some(key),
                message,
            })
        })
        .collect();
    if faults.is_empty() {
        match Config::deserialize(Value::Table(table)) {
            Ok(config) => return Ok((config, lines)),
            Err(error) => faults = no_toml(&error),
        }
    }
    faults.sort_by_key(|fault| fault.line);
    Err(faults)
}

fn collect_lines(text: &str, above: &str, table: &DeTable<'_>, lines: &mut Lines) {
    for (key, value) in table {
        let name = format!("{above}{}", key.get_ref());
        if let DeValue::Table(below) = Spanned::get_ref(value) {
            collect_lines(text, &format!("{name}."), below, lines);
        }
        lines.insert(name, line_of(text, key.span().start));
    }
}

/// Every key with a value of its own, and a table with nothing but it.
fn leaves(above: &str, table: &Table) -> Vec<(String, Table)> {
    let mut found = Vec::new();
    for (key, value) in table {
        let name = format!("{above}{key}");
        let below = value.as_table().filter(|below| !below.is_empty());
        let Some(below) = below else {
            found.push((name, Table::from_iter([(key.clone(), value.clone())])));
            continue;
        };
        for (leaf, alone) in leaves(&format!("{name}."), below) {
            found.push((leaf, Table::from_iter([(key.clone(), Value::Table(alone))])));
        }
    }
    found
}

/// The name of a key that is in a section, where it is unknown, and would be known outside of all of them: it was perhaps
/// written at the end of the file.
fn of_no_section<'a>(table: &Table, key: &'a str) -> Option<&'a str> {
    let (section, name) = key.split_once('.')?;
    let value = table.get(section)?.get(name)?.clone();
    let alone = Table::from_iter([(name.to_owned(), value)]);
    Config::deserialize(Value::Table(alone)).is_ok().then_some(name)
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}
