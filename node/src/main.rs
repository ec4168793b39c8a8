//! The binary: reads the command line and does what it says.

use clap::Parser;
use porchlight::cli::{Args, execute};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return porchlight::cli::fail(&args, &anyhow::Error::new(error).context("the runtime cannot start"));
        }
    };
    match runtime.block_on(execute(&args)) {
        Ok(code) => code,
        Err(error) => porchlight::cli::fail(&args, &error),
    }
}
