//! `config`: whether the file can be used, what is in force, and where it comes from.

use super::output::{Output, clean};
use crate::config::advice::advise;
use crate::config::settings::SETTINGS;
use crate::config::{ConfigError, FILE, Layers, Overrides};
use crate::convert::rpc as convert;
use crate::failure::{Exit, Failure};
use crate::home;
use anyhow::Result;
use porchlight_rpc::Client;
use porchlight_rpc::client::ClientError;
use porchlight_rpc::methods::NodeConfigGet;
use porchlight_rpc::types::{self, Setting};
use serde::Serialize;
use serde_json::Value;
use std::process::ExitCode;

/// What `check` says to programs.
#[derive(Debug, Serialize)]
struct Report {
    file: String,
    usable: bool,
    problems: Vec<ProblemShown>,
    warnings: Vec<Warning>,
    overridden: Vec<Setting>,
}

/// What makes the configuration unusable.
#[derive(Debug, Serialize)]
struct ProblemShown {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    from: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    message: String,
}

/// What will not work well.
#[derive(Debug, Serialize)]
struct Warning {
    kind: &'static str,
    key: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    message: String,
    hint: String,
}

/// Looks the configuration over. One that can be used and will not work well is fine, and said to be so.
pub(super) fn check(out: &Output, overrides: &Overrides) -> Result<ExitCode> {
    home::refuse_missing(&out.home)?;
    match Layers::read(&out.home, overrides) {
        Ok(layers) => usable(out, &layers)?,
        Err(error) => {
            unusable(out, error)?;
            return Ok(ExitCode::from(Exit::Failed as u8));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn unusable(out: &Output, error: ConfigError) -> Result<()> {
    if !out.json {
        return out.line(&error.to_string());
    }
    let problems = error.problems.into_iter().map(|problem| {
        let (from, by, line) = convert::origin(&problem.origin);
        ProblemShown {
            key: problem.key,
            from,
            by,
            line,
            message: problem.message,
        }
    });
    out.object(&Report {
        file: error.path.display().to_string(),
        usable: false,
        problems: problems.collect(),
        warnings: Vec::new(),
        overridden: Vec::new(),
    })
}

fn usable(out: &Output, layers: &Layers) -> Result<()> {
    let warnings: Vec<Warning> = advise(&layers.config)
        .into_iter()
        .map(|advice| Warning {
            kind: advice.kind,
            key: advice.key,
            line: layers.line(advice.key),
            message: advice.message,
            hint: advice.hint,
        })
        .collect();
    let overridden: Vec<Setting> = convert::settings(layers, Some(&layers.in_file))
        .into_iter()
        .filter(|setting| setting.by.is_some())
        .collect();
    let file = layers.path.display().to_string();
    if out.json {
        return out.object(&Report {
            file,
            usable: true,
            problems: Vec::new(),
            warnings,
            overridden,
        });
    }
    let said = match warnings.len() {
        0 => "can be used",
        1 => "can be used, with a warning",
        _ => "can be used, with warnings",
    };
    out.words(&format!("{file} {said}"))?;
    for setting in &overridden {
        let by = setting.by.as_deref().unwrap_or_default();
        let value = text(setting.value.as_ref());
        let in_file = match &setting.in_file {
            Some(in_file) => format!("; otherwise it is {}", text(Some(in_file))),
            None => String::new(),
        };
        out.words(&format!("  {} is {value} by {by}{in_file}", setting.key))?;
    }
    for warning in &warnings {
        let line = warning.line.map_or_else(String::new, |line| format!("line {line}: "));
        out.words(&format!("warning: {line}{}: {}", warning.key, warning.message))?;
        out.words(&format!("  {}", warning.hint))?;
    }
    Ok(())
}

/// What is in force: in the running node if there is one, and otherwise, or with flags, what `run` would have.
pub(super) async fn show(out: &Output, overrides: &Overrides) -> Result<()> {
    home::refuse_missing(&out.home)?;
    let got = match running(out, has_flags(overrides)).await? {
        Some(got) => got,
        None => from_file(out, overrides)?,
    };
    if out.json {
        return out.object(&got);
    }
    match &got.taken_at {
        Some(at) => out.words(&format!("in force in the node that runs since {at}"))?,
        None => out.words(&format!("what `{}` takes now", out.command("run")))?,
    }
    out.line("")?;
    let rows: Vec<Vec<String>> = SETTINGS
        .iter()
        .filter_map(|setting| got.settings.iter().find(|got| got.key == setting.key))
        .map(|setting| {
            vec![
                setting.key.clone(),
                text(setting.value.as_ref()),
                from(setting),
                remark(setting, got.taken_at.is_some()),
            ]
        })
        .collect();
    out.table(&["KEY", "VALUE", "FROM", "REMARK"], &rows)?;
    if let Some(problem) = &got.file_problem {
        out.words(&format!("\nthe file cannot be used any more: {}", clean(problem)))?;
    }
    Ok(())
}

async fn running(out: &Output, with_flags: bool) -> Result<Option<types::ConfigGot>> {
    if with_flags {
        return Ok(None);
    }
    let mut client = match Client::connect(&home::socket(&out.home)).await {
        Ok(client) => client,
        Err(ClientError::NotRunning(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(Some(client.call::<NodeConfigGet>(&types::Nothing {}).await?))
}

fn from_file(out: &Output, overrides: &Overrides) -> Result<types::ConfigGot> {
    let layers = Layers::read(&out.home, overrides).map_err(|error| {
        let hint = format!(
            "`{}` says the same for programs with --json",
            out.command("config check")
        );
        Failure::new(Exit::Usage, "invalid_config", error.to_string()).hint(hint)
    })?;
    Ok(types::ConfigGot {
        file: layers.path.display().to_string(),
        taken_at: None,
        settings: convert::settings(&layers, Some(&layers.in_file)),
        file_problem: None,
    })
}

/// A value as the file would have it.
fn text(value: Option<&Value>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| clean(&value.to_string()))
}

fn from(setting: &Setting) -> String {
    match (&setting.by, setting.line) {
        (Some(by), _) => by.clone(),
        (None, Some(line)) => format!("{FILE}:{line}"),
        (None, None) => setting.from.clone(),
    }
}

fn remark(setting: &Setting, runs: bool) -> String {
    let Some(in_file) = &setting.in_file else {
        return String::new();
    };
    let in_file = text(Some(in_file));
    if setting.by.is_some() {
        format!("otherwise {in_file}")
    } else if runs {
        format!("the file has {in_file} now: start the node again to have it")
    } else {
        String::new()
    }
}

/// Whether anything comes before the file that the command line itself says.
fn has_flags(overrides: &Overrides) -> bool {
    SETTINGS
        .iter()
        .filter_map(|setting| setting.override_by)
        .any(|by| overrides.has(by.id) && !overrides.by_environment.contains(by.id))
}
