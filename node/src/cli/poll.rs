//! `poll`: asking for a contact's presence on a schedule.

use super::output::{Output, age, clean, left, since, until};
use crate::clock::millis;
use crate::failure::{Exit, Failure};
use anyhow::Result;
use porchlight_rpc::methods::{PresencePoll, PresencePolls, PresenceUnpoll};
use porchlight_rpc::types;
use std::time::Duration;

const HEAD: &[&str] = &["NAME", "EVERY", "ASKED", "AGAIN IN"];

/// Begins, changes or stops one.
pub(super) async fn poll(out: &Output, name: &str, every: Option<Duration>, stop: bool) -> Result<()> {
    let contact = name.to_owned();
    let poll = match every {
        Some(every) => {
            let every_ms = millis(every);
            let params = types::PresencePoll { contact, every_ms };
            out.client().await?.call::<PresencePoll>(&params).await?
        }
        None if stop => {
            out.client()
                .await?
                .call::<PresenceUnpoll>(&types::OneContact { contact })
                .await?
        }
        None => {
            let failure = Failure::new(
                Exit::Usage,
                "invalid_params",
                "it is not said how often to ask".to_owned(),
            );
            return Err(failure.hint("give --every TIME, or --stop to ask no more").into());
        }
    };
    if out.json {
        return out.object(&poll);
    }
    let name = clean(&poll.contact);
    out.words(&match poll.every_ms {
        Some(every) => format!("{name} is asked every {}", left(every)),
        None => format!("{name} is not asked any more"),
    })
}

/// Shows all.
pub(super) async fn list(out: &Output) -> Result<()> {
    let list = out.client().await?.call::<PresencePolls>(&types::Nothing {}).await?;
    if out.json {
        return out.object(&list);
    }
    if list.polls.is_empty() {
        let command = out.command("poll NAME --every 10m");
        return out.words(&format!("nobody is asked on a schedule; `{command}` begins one"));
    }
    let rows: Vec<Vec<String>> = list.polls.iter().map(row).collect();
    out.table(HEAD, &rows)
}

fn row(poll: &types::Poll) -> Vec<String> {
    let none = || "-".to_owned();
    let ago = |ms| {
        if ms < 1_000 {
            "just now".to_owned()
        } else {
            format!("{} ago", age(ms))
        }
    };
    vec![
        clean(&poll.contact),
        poll.every_ms.map_or_else(none, left),
        poll.polled_at.as_deref().and_then(since).map_or_else(none, ago),
        poll.next_at.as_deref().and_then(until).map_or_else(none, left),
    ]
}
