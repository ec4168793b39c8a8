//! `report`: outcomes as one HTML file with pictures, and the numbers beside it as JSON.

use crate::say;
use anyhow::{Context, Result};
use clap::Args;
use porchlight_sim_model::outcome::Outcome;
use porchlight_sim_model::report::html;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// Outcomes, as `run --json` printed them.
    #[arg(required = true)]
    outcomes: Vec<PathBuf>,
    /// The file to write; the numbers go into one with the ending `.json` beside it.
    #[arg(long, default_value = "report.html")]
    to: PathBuf,
}

impl Report {
    pub(crate) fn execute(self) -> Result<bool> {
        let mut outcomes: Vec<Outcome> = Vec::new();
        for path in &self.outcomes {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("the outcome {} cannot be read", path.display()))?;
            let outcome = serde_json::from_str(&text)
                .with_context(|| format!("{} is no outcome of this version", path.display()))?;
            outcomes.push(outcome);
        }
        let numbers = self.to.with_extension("json");
        std::fs::write(&self.to, html(&outcomes))
            .with_context(|| format!("{} cannot be written", self.to.display()))?;
        std::fs::write(&numbers, serde_json::to_string(&outcomes)?)
            .with_context(|| format!("{} cannot be written", numbers.display()))?;
        say(&format!(
            "{} runs in {}, their numbers in {}",
            outcomes.len(),
            self.to.display(),
            numbers.display()
        ));
        Ok(true)
    }
}
