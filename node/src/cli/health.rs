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
        out.line(&format!("\n{}: {}", reason.kind, clean(&reason.message)))?;
        out.line(&format!("  {}", clean(&reason.hint)))?;
    }
    out.line("")?;
    let rows: Vec<Vec<String>> = health
        .checks
        .iter()
        .map(|check| {
            let word = if check.ok { "ok" } else { "not well" };
            vec![check.check.clone(), word.to_owned(), clean(&check.found)]
        })
        .collect();
    out.table(&["CHECK", "IS", "FOUND"], &rows)?;
    Ok(code)
}
