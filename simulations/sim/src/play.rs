//! `run`: one scenario with one seed.

use crate::{entropy, list, say, say_error};
use anyhow::{Context, Result, bail};
use clap::Args;
use porchlight_sim_model::outcome::{Circumstances, Outcome};
use porchlight_sim_model::scenario::{Scenario, Span, WorldKind};
use porchlight_sim_model::world::World;
use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A scenario, and what is changed of it.
#[derive(Clone, Debug, Args)]
pub(crate) struct Chosen {
    /// The scenario's file.
    pub(crate) file: PathBuf,
    /// The seed that all chance is drawn from.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// So many people instead of what the scenario says.
    #[arg(long)]
    pub(crate) nodes: Option<u32>,
    /// So many seconds instead of what the scenario says.
    #[arg(long)]
    pub(crate) seconds: Option<u64>,
    /// Without these of its happenings, counted from 1; 0 stands for the faults of all the time.
    #[arg(long, value_delimiter = ',')]
    pub(crate) without: Vec<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print everything that goes into the cores and comes out of them, from this second on.
    #[arg(long, value_name = "SECOND")]
    pub(crate) trace: Option<u64>,
}

impl Chosen {
    /// The scenario with its changes.
    pub(crate) fn scenario(&self) -> Result<Scenario> {
        let mut scenario = list::read(&self.file)?;
        scenario = scenario.without(&BTreeSet::from_iter(self.without.iter().copied()));
        if let Some(nodes) = self.nodes {
            scenario = scenario.with_people(nodes);
        }
        if let Some(seconds) = self.seconds {
            scenario.lasts = Span::from_millis(seconds * 1_000);
            scenario.then.retain(|happening| happening.at < scenario.lasts);
        }
        scenario
            .check()
            .context("the scenario cannot be played with these changes")?;
        Ok(scenario)
    }

    /// The arguments that say the same.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            self.file.display().to_string(),
            "--seed".to_owned(),
            self.seed.to_string(),
        ];
        let more = [("--nodes", self.nodes.map(u64::from)), ("--seconds", self.seconds)];
        for (name, value) in more {
            arguments.extend(value.into_iter().flat_map(|value| [name.to_owned(), value.to_string()]));
        }
        if !self.without.is_empty() {
            let numbers: Vec<String> = self.without.iter().map(ToString::to_string).collect();
            arguments.extend(["--without".to_owned(), numbers.join(",")]);
        }
        arguments
    }

    /// The command that plays this.
    pub(crate) fn command(&self) -> String {
        format!("porchlight-sim run {}", self.arguments().join(" "))
    }

    /// Plays it on a thread of its own, whose randomness comes from the seed.
    pub(crate) fn play(&self, trace: Option<u64>) -> Result<Outcome> {
        let scenario = self.scenario()?;
        if scenario.world == WorldKind::Stack {
            bail!("worlds of whole nodes (world = \"stack\") are not in this build; expected world = \"core\"");
        }
        let chosen = self.clone();
        let played = std::thread::Builder::new()
            .name("world".to_owned())
            .spawn(move || chosen.play_here(scenario, trace))
            .context("no thread can be started")?;
        played
            .join()
            .map_err(|_| anyhow::anyhow!("the simulation panicked; again: {}", self.command()))?
    }

    fn play_here(&self, scenario: Scenario, trace: Option<u64>) -> Result<Outcome> {
        entropy::enter(self.seed);
        let began = Instant::now();
        let mut world = World::new(scenario.clone(), self.seed)?;
        if let Some(second) = trace {
            world.print_from(second * 1_000);
        }
        let shows = std::io::stderr().is_terminal() && trace.is_none();
        let mut shown = Instant::now();
        let played = world.play(|now, end| {
            if shows && shown.elapsed() > Duration::from_secs(2) {
                shown = Instant::now();
                say_error(&format!("{} of {} s", now / 1_000, end / 1_000));
            }
        });
        let circumstances = Circumstances {
            file: self.file.display().to_string(),
            seed: self.seed,
            command: self.command(),
            commit: env!("PORCHLIGHT_COMMIT").to_owned(),
            wall_millis: u64::try_from(began.elapsed().as_millis())?,
            memory: peak_memory(),
        };
        Ok(Outcome::new(scenario, played, circumstances))
    }
}

impl Run {
    pub(crate) fn execute(self) -> Result<bool> {
        let outcome = self.chosen.play(self.trace)?;
        if self.json {
            say(&serde_json::to_string(&outcome)?);
        } else {
            say(outcome.summary().trim_end());
        }
        Ok(outcome.failure.is_none())
    }
}

/// The most memory that this process had, in bytes; 0 where the system does not say.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1_024
}
