//! `net diagnose`: why a contact cannot be seen or reached, each step as it comes.

use super::output::{Output, clean};
use crate::failure::Exit;
use anyhow::Result;
use porchlight_rpc::methods::NetDiagnose;
use porchlight_rpc::types::{self, Conclusion, DiagnosisStep};
use std::process::ExitCode;

/// Columns of a step's name and outcome, with the blanks after them.
const LABELS: usize = 24;

pub(super) async fn diagnose(out: &Output, name: &str) -> Result<ExitCode> {
    let mut client = out.client().await?;
    let mut shown = 0;
    loop {
        let params = types::NetDiagnose {
            contact: name.to_owned(),
            seen: (!out.json).then(|| u32::try_from(shown).unwrap_or(u32::MAX)),
        };
        let so_far = client.call::<NetDiagnose>(&params).await?;
        if out.json {
            out.object(&so_far)?;
        } else {
            for step in so_far.steps.iter().skip(shown) {
                print(out, step)?;
            }
            shown = shown.max(so_far.steps.len());
        }
        let Some(conclusion) = &so_far.conclusion else { continue };
        if !out.json {
            out.line("")?;
            out.wrapped("", &format!("{}: {}", conclusion.kind, out.advice(&conclusion.message)))?;
            out.wrapped("  ", &out.advice(&conclusion.hint))?;
            for also in &conclusion.also {
                out.wrapped("also: ", &out.advice(also))?;
            }
        }
        return Ok(code(conclusion));
    }
}

fn print(out: &Output, step: &DiagnosisStep) -> Result<()> {
    let label = format!("{:<13} {:<8}", step.step, step.outcome);
    let took = match step.took_ms {
        0..100 => String::new(),
        ms => format!(" ({:.1} s)", std::time::Duration::from_millis(ms).as_secs_f64()),
    };
    let text = format!("{}: {}{took}", clean(&step.tried), clean(&step.found));
    out.wrapped(&format!("{label:<LABELS$}"), &text)
}

fn code(conclusion: &Conclusion) -> ExitCode {
    match conclusion.kind.as_str() {
        _ if conclusion.ok => ExitCode::SUCCESS,
        "not_a_contact" => ExitCode::from(Exit::NotFound as u8),
        _ => ExitCode::from(Exit::Degraded as u8),
    }
}
