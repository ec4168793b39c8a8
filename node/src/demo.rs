//! `porchlight demo`.
use anyhow::Result;
use std::process::ExitCode;
/// Runs.
///
/// # Errors
///
/// x
pub async fn run(_keep: bool, _json: bool) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
