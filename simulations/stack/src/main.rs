//! Runs the usual story and prints what it came to, as JSON.

use anyhow::{Context, Result};
use clap::Parser;
use porchlight_sim_stack::acts::Faults;
use porchlight_sim_stack::simulate;
use porchlight_sim_stack::story::{Plan, tell};
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// The whole node in deterministic virtual time.
#[derive(Debug, Parser)]
#[command(name = "porchlight-sim-stack")]
struct Args {
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
    /// Everything that can go wrong goes wrong: nodes die and come back, links break, clocks are off.
    #[arg(long)]
    faults: bool,
    /// Writes the trace here as well, to find where two runs part.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// What to log to standard error.
    #[arg(long, default_value = "error")]
    log: String,
}

fn main() -> Result<()> {
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_new(&args.log)?)
        .with_writer(std::io::stderr)
        .init();
    let copy = match &args.trace {
        Some(path) => {
            Some(std::fs::File::create(path).with_context(|| format!("{} cannot be written", path.display()))?)
        }
        None => None,
    };
    let plan = Plan {
        seed: args.seed,
        relays: args.relays,
        nodes: args.nodes,
        contacts: args.contacts,
        time: Duration::from_secs(args.seconds),
        faults: if args.faults { Faults::all() } else { Faults::default() },
    };
    let told = plan.clone();
    let ran = simulate(args.seed, copy, move |world| tell(world, told))?;
    let page = json!({
        "seed": args.seed,
        "relays": args.relays,
        "nodes": args.nodes,
        "trace_hash": ran.trace_hash,
        "trace_lines": ran.trace_lines,
        "virtual_seconds": ran.virtual_time.as_secs_f64(),
        "real_seconds": ran.real_time.as_secs_f64(),
        "outcome": ran.result,
    });
    let mut out = std::io::stdout().lock();
    writeln!(out, "{page:#}")?;
    Ok(())
}
