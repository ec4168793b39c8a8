//! `porchlight-sim`: networks of nodes in virtual time, the same seed giving the same run.

mod entropy;
mod list;
mod mutants;
mod play;
mod replay;
mod report;
mod sweep;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Plays scenarios: networks of nodes in virtual time, the same seed giving the same run.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show the scenarios in a folder.
    List(list::List),
    /// Play a scenario once.
    Run(play::Run),
    /// Play again what an outcome tells of, and say whether it is the same.
    Replay(replay::Replay),
    /// Play scenarios with many seeds, a process each, until one fails; then find a smaller one that fails.
    Sweep(sweep::Sweep),
    /// Make one HTML file with pictures of outcomes.
    Report(report::Report),
    /// Plant bugs into a copy of the core, and see which check finds each.
    Mutants(mutants::Mutants),
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.what {
        What::List(list) => list.execute(),
        What::Run(run) => run.execute(),
        What::Replay(replay) => replay.execute(),
        What::Sweep(sweep) => sweep.execute(),
        What::Report(report) => report.execute(),
        What::Mutants(mutants) => mutants.execute(),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            say_error(&format!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}

/// A line for whoever ran this.
#[expect(clippy::print_stdout, reason = "the program's output")]
fn say(line: &str) {
    println!("{line}");
}

/// A line beside the output.
#[expect(clippy::print_stderr, reason = "what is no result of the program")]
fn say_error(line: &str) {
    eprintln!("{line}");
}
