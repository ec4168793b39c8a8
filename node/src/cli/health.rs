//! `health`: whether the node does what it is there for.

use super::output::{Output, clean};
use crate::failure::Exit;
use anyhow::Result;
use porchlight_rpc::methods::NodeHealth;
use porchlight_rpc::types;
use std::process::ExitCode;

pub(super) async fn health(out: &Output) -> Result<ExitCode> {
    let health = out.client().await?.call::<NodeHealth>(&types::Nothing {}).await?;
    let code = if health.reasons.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(Exit::Degraded as u8)
    };
    if out.json {
        out.object(&health)?;
        return Ok(code);
    }
    out.line(&health.status)?;
    for reason in &health.reasons {
        out.line("")?;
        out.wrapped("", &format!("{}: {}", reason.kind, out.advice(&reason.message)))?;
        out.wrapped("  ", &out.advice(&reason.hint))?;
    }
    out.line("")?;
    for check in &health.checks {
        let word = if check.ok { "ok" } else { "not well" };
        // Nothing of it is cut off: what is not well may stand at its end.
        out.wrapped(&format!("{:<10} {word:<9} ", check.check), &clean(&check.found))?;
    }
    Ok(code)
}
