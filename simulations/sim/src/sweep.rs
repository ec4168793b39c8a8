//! `sweep`: many seeds, a process each, as many at a time as there are processors. The first failure ends it; then what fails is made
//! smaller as long as it fails: fewer people, less time, fewer happenings, no faults.

use crate::play::Chosen;
use crate::{list, say, say_error};
use anyhow::{Context, Result, bail};
use clap::Args;
use porchlight_sim_model::outcome::Outcome;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// How many runs are made at most to make a failure smaller.
const SHRINKS: u32 = 60;

#[derive(Debug, Args)]
pub(crate) struct Sweep {
    /// Scenarios, or folders of them.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// How many seeds of each.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first one.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// So many people instead of what the scenarios say.
    #[arg(long)]
    nodes: Option<u32>,
    /// So many processes at a time; as many as there are processors if not given.
    #[arg(long)]
    jobs: Option<usize>,
    /// Where the outcome of a failure is left.
    #[arg(long, default_value = "failure.json")]
    keep: PathBuf,
    /// Do not look for a smaller one that fails.
    #[arg(long)]
    no_shrink: bool,
}

/// A run in a process of its own.
#[derive(Debug)]
struct Running {
    chosen: Chosen,
    reader: std::thread::JoinHandle<std::io::Result<std::process::Output>>,
}

impl Sweep {
    pub(crate) fn execute(self) -> Result<bool> {
        let mut files = Vec::new();
        for path in &self.files {
            if path.is_dir() {
                files.extend(list::files(path)?);
            } else {
                files.push(path.clone());
            }
        }
        // Mistakes in a scenario are told before anything runs.
        for file in &files {
            list::read(file)?;
        }
        let mut todo = (self.from..self.from + self.seeds).flat_map(|seed| {
            files.iter().map(move |file| Chosen {
                file: file.clone(),
                seed,
                nodes: self.nodes,
                seconds: None,
                without: Vec::new(),
            })
        });
        let all = self.seeds * files.len() as u64;
        let jobs = match self.jobs {
            Some(jobs) => jobs.max(1),
            None => std::thread::available_parallelism()?.get(),
        };
        let (mut running, mut done, mut virtual_millis): (Vec<Running>, u64, u64) = (Vec::new(), 0, 0);
        let (began, mut told) = (Instant::now(), Instant::now());
        loop {
            while running.len() < jobs {
                let Some(chosen) = todo.next() else { break };
                running.push(start(chosen)?);
            }
            if running.is_empty() {
                break;
            }
            let ended = running.iter().position(|run| run.reader.is_finished());
            let Some(ended) = ended else {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            };
            let outcome = running.swap_remove(ended).outcome()?;
            done += 1;
            virtual_millis += outcome.virtual_millis;
            if outcome.failure.is_some() {
                return self.failed(outcome);
            }
            if told.elapsed() > TELL_EVERY {
                told = Instant::now();
                let left = began.elapsed().as_secs() * (all - done) / done;
                say_error(&format!("{done} of {all} runs, none failed; some {left} s left"));
            }
        }
        say(&format!(
            "{done} runs of {} scenarios, {} h of virtual time in {} s: none failed",
            files.len(),
            virtual_millis / 3_600_000,
            began.elapsed().as_secs()
        ));
        Ok(true)
    }

    fn failed(&self, outcome: Outcome) -> Result<bool> {
        say(outcome.summary().trim_end());
        let smallest = if self.no_shrink { outcome } else { shrink(outcome)? };
        std::fs::write(&self.keep, serde_json::to_string(&smallest)?)
            .with_context(|| format!("the outcome cannot be left in {}", self.keep.display()))?;
        say(&format!(
            "kept in {}; porchlight-sim replay plays it again",
            self.keep.display()
        ));
        Ok(false)
    }
}

fn start(chosen: Chosen) -> Result<Running> {
    let program = std::env::current_exe().context("this program cannot find itself")?;
    let child: Child = Command::new(program)
        .arg("run")
        .args(chosen.arguments())
        .arg("--json")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("a run cannot be started")?;
    let reader = std::thread::spawn(move || child.wait_with_output());
    Ok(Running { chosen, reader })
}

impl Running {
    fn outcome(self) -> Result<Outcome> {
        let output = self
            .reader
            .join()
            .map_err(|_| anyhow::anyhow!("the reader of a run panicked"))?
            .context("a run cannot be waited for")?;
        let outcome = serde_json::from_slice(&output.stdout);
        match outcome {
            Ok(outcome) => Ok(outcome),
            Err(_) => bail!(
                "a run ended without an outcome ({}): {}\nagain: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim(),
                self.chosen.command()
            ),
        }
    }
}

/// Makes a failing run smaller as long as the same check fails.
fn shrink(outcome: Outcome) -> Result<Outcome> {
    let Some(failure) = &outcome.failure else {
        return Ok(outcome);
    };
    let check = failure.check;
    let mut best = outcome;
    let mut left = SHRINKS;
    loop {
        let mut smaller = None;
        for chosen in candidates(&best) {
            if left == 0 {
                break;
            }
            left -= 1;
            let tried = start(chosen)?.outcome()?;
            if tried.failure.as_ref().is_some_and(|failure| failure.check == check) {
                smaller = Some(tried);
                break;
            }
        }
        let Some(found) = smaller else { break };
        best = found;
        say_error(&format!("smaller: {}", best.command));
    }
    say(best.summary().trim_end());
    Ok(best)
}

/// Smaller runs that may still fail, the smallest first.
fn candidates(outcome: &Outcome) -> Vec<Chosen> {
    let scenario = &outcome.scenario;
    let words: Vec<&str> = outcome.command.split_whitespace().collect();
    let value = |name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        words.get(at + 1).copied()
    };
    let without: Vec<usize> = value("--without")
        .map(|list| list.split(',').filter_map(|number| number.parse().ok()).collect())
        .unwrap_or_default();
    let base = Chosen {
        file: PathBuf::from(&outcome.file),
        seed: outcome.seed,
        nodes: Some(scenario.people),
        seconds: Some(scenario.lasts.millis() / 1_000),
        without: without.clone(),
    };
    let mut candidates = Vec::new();
    for people in [
        scenario.people / 4,
        scenario.people / 2,
        scenario.people * 3 / 4,
        scenario.people.saturating_sub(1),
    ] {
        if people >= 2 && people < scenario.people {
            candidates.push(Chosen {
                nodes: Some(people),
                ..base.clone()
            });
        }
    }
    // The file's own count: numbers stay the same whatever is left out.
    let all = list::read(&base.file).map_or(0, |scenario| scenario.then.len());
    for number in 0..=all {
        if !without.contains(&number) {
            let mut fewer = without.clone();
            fewer.push(number);
            fewer.sort_unstable();
            candidates.push(Chosen {
                without: fewer,
                ..base.clone()
            });
        }
    }
    let lasts = scenario.lasts.millis() / 1_000;
    let failed_at = outcome.failure.as_ref().map_or(lasts, |failure| failure.at / 1_000 + 1);
    for seconds in [lasts / 2, lasts * 3 / 4, failed_at] {
        if seconds > 20 && seconds < lasts {
            candidates.push(Chosen {
                seconds: Some(seconds),
                ..base.clone()
            });
        }
    }
    candidates
}
