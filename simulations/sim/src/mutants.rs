//! `mutants`: whether the checks find what they are there for. Bugs are planted into a copy of the core, all in one build and one
//! switched on at a time by the environment; each is swept for until a check finds it.

use crate::{say, say_error};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use porchlight_sim_model::outcome::Outcome;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the copy has in its root, and the product has not.
const SWITCH: &str = r#"
/// Whether the planted bug of this number is on.
pub(crate) fn mutant(number: u32) -> bool {
    static ON: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    let on = ON.get_or_init(|| {
        let on = std::env::var("PORCHLIGHT_MUTANT").ok();
        on.and_then(|on| on.parse().ok()).unwrap_or(0)
    });
    *on == number
}
"#;

#[derive(Debug, Args)]
pub(crate) struct Mutants {
    /// The bugs.
    #[arg(default_value = "mutants.toml")]
    file: PathBuf,
    /// Where the project is.
    #[arg(long, default_value = "..")]
    project: PathBuf,
    /// Where the copy is made and built.
    #[arg(long, default_value = "target/mutants")]
    at: PathBuf,
    /// Seeds tried of each scenario before a bug counts as not found.
    #[arg(long, default_value_t = 10)]
    seeds: u64,
    /// Only these.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bugs {
    mutant: Vec<Bug>,
}

/// A planted bug.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bug {
    name: String,
    what: String,
    file: PathBuf,
    find: String,
    replace: String,
    scenarios: Vec<String>,
}

impl Mutants {
    pub(crate) fn execute(self) -> Result<bool> {
        let text = std::fs::read_to_string(&self.file)
            .with_context(|| format!("the bugs {} cannot be read", self.file.display()))?;
        let bugs: Bugs =
            toml::from_str(&text).with_context(|| format!("{} does not list bugs", self.file.display()))?;
        self.plant(&bugs.mutant)?;
        let program = self.build()?;
        // With none of them on, the same runs have to hold.
        let mut all_found = true;
        say("| planted bug | found by | scenario | runs it took |");
        say("| --- | --- | --- | --- |");
        for (number, bug) in (1..).zip(&bugs.mutant) {
            if !self.only.is_empty() && !self.only.contains(&bug.name) {
                continue;
            }
            match self.find(&program, number, bug)? {
                Some((check, scenario, runs)) => {
                    say(&format!(
                        "| {}: {} | {check} | {scenario} | {runs} |",
                        bug.name, bug.what
                    ));
                }
                None => {
                    all_found = false;
                    say(&format!("| {}: {} | **not found** | | |", bug.name, bug.what));
                }
            }
        }
        Ok(all_found)
    }

    /// Makes the copy, with all bugs in it.
    fn plant(&self, bugs: &[Bug]) -> Result<()> {
        for part in ["crates/proto", "crates/wire", "simulations/model", "simulations/sim"] {
            copy(&self.project.join(part), &self.at.join(part))?;
        }
        for file in ["Cargo.toml", "simulations/Cargo.toml", "simulations/Cargo.lock"] {
            write_if_other(&self.at.join(file), &std::fs::read(self.project.join(file))?)?;
        }
        let root = "crates/proto/src/lib.rs".to_owned();
        let mut sources = std::collections::BTreeMap::new();
        for (number, bug) in (1..).zip(bugs) {
            let name = bug.file.display().to_string();
            let source = match sources.remove(&name) {
                Some(source) => source,
                None => std::fs::read_to_string(self.project.join(&bug.file))?,
            };
            let places = source.matches(&bug.find).count();
            ensure!(
                places == 1,
                "the bug '{}' cannot be planted: expected its text once in {name}, found it {places} times; \
                 the source has changed, and the bug has to be described anew",
                bug.name
            );
            let planted = bug.replace.replace('@', &number.to_string());
            sources.insert(name, source.replacen(&bug.find, &planted, 1));
        }
        let lib = std::fs::read_to_string(self.project.join(&root))?;
        sources.insert(root, lib + SWITCH);
        for (name, source) in sources {
            write_if_other(&self.at.join(name), source.as_bytes())?;
        }
        Ok(())
    }

    fn build(&self) -> Result<PathBuf> {
        let folder = self.at.join("simulations");
        say_error("building the copy with the planted bugs");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--release", "--locked", "--quiet"])
            .current_dir(&folder)
            .status()
            .context("cargo cannot be started")?;
        if !built.success() {
            bail!("the copy with the planted bugs does not build");
        }
        Ok(std::fs::canonicalize(folder.join("target/release/porchlight-sim"))?)
    }

    /// Which check finds it, in which scenario, and after how many runs.
    fn find(&self, program: &Path, number: u32, bug: &Bug) -> Result<Option<(String, String, u64)>> {
        let mut runs = 0;
        for seed in 1..=self.seeds {
            for scenario in &bug.scenarios {
                runs += 1;
                let output = Command::new(program)
                    .args([
                        "run",
                        &format!("scenarios/{scenario}.toml"),
                        "--seed",
                        &seed.to_string(),
                        "--json",
                    ])
                    .env("PORCHLIGHT_MUTANT", number.to_string())
                    .output()
                    .context("the program with the planted bugs cannot be started")?;
                let outcome: Outcome = serde_json::from_slice(&output.stdout)
                    .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
                if let Some(failure) = outcome.failure {
                    let check = serde_json::to_string(&failure.check)?;
                    return Ok(Some((check.trim_matches('"').to_owned(), scenario.clone(), runs)));
                }
            }
        }
        Ok(None)
    }
}

/// Copies a folder of sources, without touching files that are the same: what is built stays built.
fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("{} cannot be made", to.display()))?;
    for entry in std::fs::read_dir(from).with_context(|| format!("{} cannot be read", from.display()))? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            write_if_other(&target, &std::fs::read(&path)?)?;
        }
    }
    Ok(())
}

fn write_if_other(path: &Path, bytes: &[u8]) -> Result<()> {
    if std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, bytes).with_context(|| format!("{} cannot be written", path.display()))
}
