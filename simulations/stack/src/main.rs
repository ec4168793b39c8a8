//! Runs the usual story and prints what it came to, or runs it in several sizes and prints what the network takes, as JSON.

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use porchlight_sim_stack::acts::Faults;
use porchlight_sim_stack::simulate;
use porchlight_sim_stack::story::{Plan, tell};
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The whole node in deterministic virtual time.
#[derive(Debug, Parser)]
#[command(name = "porchlight-sim-stack", args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    story: Story,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Runs the story in several sizes, a process each, and prints what the network takes and what a simulation costs.
    Measure {
        /// How many nodes, relays included.
        #[arg(long, value_delimiter = ',', default_value = "50,100,200,300")]
        sizes: Vec<u16>,
        /// What everything is drawn from.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How long people go on, in virtual seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// All of it as JSON, instead of a table.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Story {
    /// What everything is drawn from: the same seed gives the same run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Relays.
    #[arg(long, default_value_t = 2)]
    relays: u16,
    /// Ordinary nodes.
    #[arg(long, default_value_t = 5)]
    nodes: u16,
    /// Contacts of each, on average.
    #[arg(long, default_value_t = 4)]
    contacts: u16,
    /// How long people go on once they know each other, in virtual seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How long they rest then, in virtual seconds: what was begun takes some.
    #[arg(long, default_value_t = 30)]
    rest: u64,
    /// Everything that can go wrong goes wrong: nodes die and come back, links break, clocks are off.
    #[arg(long)]
    faults: bool,
    /// Measures the network itself at the end.
    #[arg(long)]
    measures: bool,
    /// Writes the trace here as well, to find where two runs part.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// What to log to standard error.
    #[arg(long, default_value = "error")]
    log: String,
}

/// One relay for so many others, when sizes are measured.
const OTHERS: u16 = 10;

fn main() -> Result<()> {
    let args = Args::parse();
    let page = match args.what {
        None => run(&args.story)?,
        Some(What::Measure {
            sizes,
            seed,
            seconds,
            json,
        }) => {
            let pages: Vec<Value> = sizes
                .into_iter()
                .map(|size| run_apart(size, seed, seconds))
                .collect::<Result<_>>()?;
            if !json {
                return table(&pages);
            }
            Value::Array(pages)
        }
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{page:#}")?;
    Ok(())
}

fn run(story: &Story) -> Result<Value> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_new(&story.log)?)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let copy = match &story.trace {
        Some(path) => {
            Some(std::fs::File::create(path).with_context(|| format!("{} cannot be written", path.display()))?)
        }
        None => None,
    };
    let plan = Plan {
        seed: story.seed,
        relays: story.relays,
        nodes: story.nodes,
        contacts: story.contacts,
        time: Duration::from_secs(story.seconds),
        faults: if story.faults { Faults::all() } else { Faults::default() },
        rest: Duration::from_secs(story.rest),
        measures: story.measures,
    };
    let ran = simulate(story.seed, copy, move |world| tell(world, plan))?;
    Ok(json!({
        "seed": story.seed,
        "relays": story.relays,
        "nodes": story.nodes,
        "trace_hash": ran.trace_hash,
        "trace_lines": ran.trace_lines,
        "virtual_seconds": ran.virtual_time.as_secs_f64(),
        "real_seconds": ran.real_time.as_secs_f64(),
        "outcome": ran.result,
    }))
}

/// Runs the story with so many nodes, in a process of its own: each simulates once.
fn run_apart(size: u16, seed: u64, seconds: u64) -> Result<Value> {
    let relays = (size / OTHERS).max(2);
    let output = Command::new(std::env::current_exe()?)
        .args(["--seed", &seed.to_string()])
        .args(["--relays", &relays.to_string()])
        .args(["--nodes", &size.saturating_sub(relays).to_string()])
        .args(["--contacts", "2", "--seconds", &seconds.to_string(), "--measures"])
        .stderr(Stdio::inherit())
        .output()
        .context("this program cannot be run again")?;
    if !output.status.success() {
        bail!("the run with {size} nodes failed: {}", output.status);
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("the run with {size} nodes did not print JSON"))
}

/// What matters most, one line for each size.
fn table(pages: &[Value]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "nodes  relays  virtual s per CPU s: busy, quiet   MiB/node  connections: node, relay   ms p50/p99: gossip  put  lookup  dial"
    )?;
    for page in pages {
        let at = |path: &str| page.pointer(path).and_then(Value::as_f64).unwrap_or(f64::NAN);
        let spread = |name: &str| {
            format!(
                "{:.0}/{:.0}",
                at(&format!("/outcome/measures/{name}/p50")),
                at(&format!("/outcome/measures/{name}/p99"))
            )
        };
        writeln!(
            out,
            "{:5}  {:6}  {:24.1} {:8.1}  {:9.2}  {:17.1} {:8.1}   {:>18} {} {} {}",
            at("/nodes") + at("/relays"),
            at("/relays"),
            at("/outcome/speed/0"),
            at("/outcome/speed/1"),
            at("/outcome/memory_per_node") / 1_048_576.0,
            at("/outcome/connections/0"),
            at("/outcome/connections/1"),
            spread("gossip_ms"),
            spread("put_ms"),
            spread("lookup_ms"),
            spread("connection_ms"),
        )?;
    }
    Ok(())
}
