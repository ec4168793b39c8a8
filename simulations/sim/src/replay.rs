//! `replay`: what an outcome tells of, once more.

use crate::play::Chosen;
use crate::say;
use anyhow::{Context, Result};
use clap::Args;
use porchlight_sim_model::outcome::Outcome;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The outcome, as `run --json` printed it or `sweep` left it.
    outcome: PathBuf,
    /// Print everything that goes into the cores and comes out of them, from this second on.
    #[arg(long, value_name = "SECOND")]
    trace: Option<u64>,
}

impl Replay {
    pub(crate) fn execute(self) -> Result<bool> {
        let text = std::fs::read_to_string(&self.outcome)
            .with_context(|| format!("the outcome {} cannot be read", self.outcome.display()))?;
        let before: Outcome = serde_json::from_str(&text)
            .with_context(|| format!("{} is no outcome of this version", self.outcome.display()))?;
        let chosen = chosen(&before)?;
        let now = chosen.play(self.trace)?;
        say(now.summary().trim_end());
        let same = now.trace_hash == before.trace_hash;
        say(if same {
            "the same run: the trace hashes agree"
        } else if now.scenario == before.scenario {
            "another run: the trace hashes differ; the source has changed, or something is not drawn from the seed"
        } else {
            "another run: the scenario's file has changed"
        });
        if before.commit != now.commit {
            say(&format!(
                "it was built from {}, and this from {}",
                before.commit, now.commit
            ));
        }
        Ok(same && now.failure.is_none())
    }
}

/// The arguments of the run that an outcome tells of.
fn chosen(outcome: &Outcome) -> Result<Chosen> {
    #[derive(Debug, clap::Parser)]
    struct Words {
        #[command(flatten)]
        chosen: Chosen,
    }
    let words = outcome.command.split_whitespace().skip(1);
    let words: Words = clap::Parser::try_parse_from(words).context("the outcome's command cannot be understood")?;
    Ok(words.chosen)
}
