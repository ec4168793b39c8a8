//! `list`: what scenarios there are.

use crate::say;
use anyhow::{Context, Result};
use clap::Args;
use porchlight_sim_model::scenario::Scenario;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct List {
    /// The folder.
    #[arg(default_value = "scenarios")]
    folder: PathBuf,
}

impl List {
    pub(crate) fn execute(self) -> Result<bool> {
        for path in files(&self.folder)? {
            let scenario = read(&path)?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            say(&format!("{name:<24} {}", scenario.title));
            say(&format!("{:<24} {}", "", scenario.about));
        }
        Ok(true)
    }
}

/// The scenarios in a folder, by name.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| {
        format!(
            "the folder {} cannot be read: expected one with scenarios",
            folder.display()
        )
    })?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    anyhow::ensure!(
        !files.is_empty(),
        "the folder {} has no .toml files in it",
        folder.display()
    );
    Ok(files)
}

/// Reads a scenario.
pub(crate) fn read(path: &Path) -> Result<Scenario> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the scenario {} cannot be read: expected a .toml file", path.display()))?;
    Scenario::parse(&text).with_context(|| format!("{} is no scenario that can be played", path.display()))
}
