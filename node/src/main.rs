//! The binary: reads the command line and does what it says.

use porchlight::cli::{Args, execute, fail};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = Args::read();
    execute(&args).unwrap_or_else(|error| fail(&args, &error))
}
