//! Tells the story: what happened, how long it took, and how one sees it. Lines for people, or an object each.

use super::stage::{LEASE, Stage};
use anyhow::{Context, Result};
use serde_json::json;
use std::future::Future;
use std::io::Write;
use std::time::{Duration, Instant};

/// The columns that text is wrapped to.
const WIDTH: usize = 96;

/// What a step has to tell.
#[derive(Debug)]
pub(super) struct Told {
    text: String,
    /// A command of `porchlight` and the home it is for.
    see: (String, String),
}

impl Told {
    pub(super) fn new(text: impl Into<String>, see: &str, home: &str) -> Self {
        Self {
            text: text.into(),
            see: (see.to_owned(), home.to_owned()),
        }
    }
}

/// Where the story is told.
#[derive(Debug)]
pub(super) struct Teller {
    json: bool,
    steps: usize,
    start: Instant,
}

impl Teller {
    pub(super) fn new(json: bool) -> Self {
        Self {
            json,
            steps: 0,
            start: Instant::now(),
        }
    }

    pub(super) fn begin(&self, stage: &Stage) -> Result<()> {
        if self.json {
            return say(&json!({"folder": stage.folder(), "lease_ms": crate::clock::millis(LEASE)}).to_string());
        }
        say("Porchlight's demo: four real nodes on this machine, two relays and two people.")?;
        say("To look on from another terminal while it runs:")?;
        say("")?;
        say(&format!("  P={}", stage.program().display()))?;
        say(&format!("  D={}", stage.folder().display()))?;
        say("")
    }

    /// One step: runs it, and tells how it went.
    pub(super) async fn step(&mut self, title: &str, part: impl Future<Output = Result<Told>>) -> Result<()> {
        self.steps += 1;
        if !self.json {
            say(&format!("{}. {title}", self.steps))?;
        }
        let start = Instant::now();
        let told = part.await.with_context(|| format!("step {}: {title}", self.steps))?;
        let took = start.elapsed();
        let (see, home) = &told.see;
        if self.json {
            return say(&json!({
                "step": self.steps,
                "title": title,
                "told": told.text,
                "took_ms": crate::clock::millis(took),
                "see": {"home": home, "command": see},
            })
            .to_string());
        }
        for line in wrap(&told.text) {
            say(&format!("   {line}"))?;
        }
        say(&format!(
            "   took {}; see it with: $P --home $D/{home} {see}",
            show(took)
        ))?;
        say("")
    }

    /// All came true: how to go on.
    pub(super) fn end(&self, stage: &Stage, keep: bool) -> Result<()> {
        if self.json {
            return say(&json!({
                "steps": self.steps,
                "took_ms": crate::clock::millis(self.start.elapsed()),
                "kept": keep,
                "folder": stage.folder(),
            })
            .to_string());
        }
        say(&format!(
            "All {} steps came true, in {}.",
            self.steps,
            show(self.start.elapsed())
        ))?;
        say("")?;
        let program = stage.program().display();
        if keep {
            let folder = stage.folder().display();
            say("The nodes go on running. Their homes:")?;
            for name in stage.names() {
                say(&format!("  {}", stage.home(name).display()))?;
            }
            say("Try:")?;
            say(&format!("  P={program}"))?;
            say(&format!("  D={folder}"))?;
            say("  $P --home $D/bob who --watch")?;
            say("  $P --home $D/alice presence set away -m 'having tea'")?;
            say("To stop all of them, and to leave nothing behind:")?;
            say(&format!(
                "  for h in {folder}/*/; do {program} --home \"$h\" stop; done; rm -r {folder}"
            ))?;
        } else {
            say("To play with these four nodes: demo --keep. To go on with a node of your own:")?;
            say(&format!("  P={program}"))?;
            say("  $P init --name YOU            keys and a configuration")?;
            say("  $P run --seed-peer MULTIADDR  a relay of your network; `$P status` there shows its address")?;
            say("  $P invite new                 in another terminal: send it to a friend")?;
        }
        Ok(())
    }
}

/// A time, short.
pub(super) fn show(time: Duration) -> String {
    match time.as_millis() {
        millis @ 0..1_000 => format!("{millis} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}

/// Lines of a text, broken at spaces.
fn wrap(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < WIDTH => {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
