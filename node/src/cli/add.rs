//! `add`: uses an invite, and waits for what comes of it.

use super::commands::problem_text;
use super::output::{Output, clean};
use crate::failure::{Exit, Failure};
use anyhow::{Context, Result};
use porchlight_rpc::Client;
use porchlight_rpc::methods::{ContactAdd, ContactList, EventsSubscribe, PresenceList};
use porchlight_rpc::types::{self, Contact, Told};
use porchlight_wire::ids::PrincipalId;
use std::io::{BufRead, IsTerminal, Read, Write};
use std::time::Duration;
use tokio::time::timeout;

/// The consumer that waits. One name for all, because nothing is acknowledged under it.
const CONSUMER: &str = "porchlight-add";

/// The invite is to be read from standard input.
const STANDARD_INPUT: &str = "-";

/// Bytes of a line with an invite on standard input: an invite has less than a tenth of it.
const LONGEST_LINE: u64 = 16 * 1024;

pub(super) async fn add(out: &Output, invite: &str, name: Option<&str>, view: &str, wait: Duration) -> Result<()> {
    let invite = if invite == STANDARD_INPUT {
        from_standard_input()?
    } else {
        invite.to_owned()
    };
    if let Some(wrong) = mistyped(invite.trim()) {
        return Err(wrong.into());
    }
    let mut client = out.client().await?;
    let params = types::ContactAdd {
        invite: invite.trim().to_owned(),
        name: name.map(str::to_owned),
        view: Some(view.to_owned()),
        idempotency_key: None,
    };
    let added = client.call::<ContactAdd>(&params).await?.contact;
    // An answer that does not come in time is no failure: the introduction goes on being offered.
    let contact = timeout(wait, settled(out, &added.principal))
        .await
        .unwrap_or(Ok(added))?;
    let seen = told(&mut client, &contact.principal).await?;
    if out.json {
        out.object(&types::ContactAdded {
            contact: contact.clone(),
        })?;
    } else if contact
        .problem
        .as_deref()
        .is_none_or(|problem| problem == "unreachable")
    {
        out.words(&describe(&contact, seen.as_ref()))?;
    }
    match contact.problem.as_deref() {
        None | Some("unreachable") => Ok(()),
        Some(problem) => Err(refused(&contact, problem).into()),
    }
}

/// What is wrong with a text that was meant to be somebody's id.
fn mistyped(text: &str) -> Option<Failure> {
    text.starts_with("pl1").then(|| text.parse::<PrincipalId>().err())??;
    let said = "this id is not whole, or has a typing error";
    let failure = Failure::new(Exit::Usage, "invalid_invite", said);
    Some(failure.hint("copy all of it; at their node `id show` shows it"))
}

/// The invite, from wherever other programs cannot see it.
fn from_standard_input() -> Result<String> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        // Where there is nobody to read it, the invite is read all the same.
        let _ = writeln!(std::io::stderr(), "paste the invite, and press enter:");
    }
    let mut line = String::new();
    stdin
        .lock()
        .take(LONGEST_LINE)
        .read_line(&mut line)
        .context("standard input cannot be read")?;
    Ok(line)
}

/// The contact, once the other side has answered one way or the other.
async fn settled(out: &Output, principal: &str) -> Result<Contact> {
    let mut events = out.client().await?;
    let subscribe = types::EventsSubscribe {
        consumer: CONSUMER.to_owned(),
        from: Some("now".to_owned()),
    };
    events.call::<EventsSubscribe>(&subscribe).await?;
    let mut calls = out.client().await?;
    loop {
        let list = calls.call::<ContactList>(&types::Nothing {}).await?.contacts;
        if let Some(contact) = list.into_iter().find(|contact| contact.principal == principal) {
            let refused = contact
                .problem
                .as_deref()
                .is_some_and(|problem| problem != "unreachable");
            let seen = match contact.subscription.as_str() {
                // Granted, and something was heard of them.
                "active" => told(&mut calls, principal)
                    .await?
                    .is_some_and(|told| told.status != "unknown"),
                "refused" => true,
                _ => false,
            };
            if refused || seen {
                return Ok(contact);
            }
        }
        events.next_event().await?;
    }
}

async fn told(client: &mut Client, principal: &str) -> Result<Option<Told>> {
    let list = client.call::<PresenceList>(&types::Nothing {}).await?;
    Ok(list.contacts.into_iter().find(|told| told.principal == principal))
}

fn describe(contact: &Contact, told: Option<&Told>) -> String {
    let name = clean(&contact.name);
    match contact.subscription.as_str() {
        "active" | "stale" if contact.public => {
            let status = told.map_or("unknown", |told| told.status.as_str());
            format!(
                "you watch what {name} shows to everyone, and nobody is told so. {name} is {status}. To be seen by them, use \
                 an invite."
            )
        }
        "active" | "stale" => match told.map(|told| told.status.as_str()) {
            None | Some("unknown") => format!(
                "{name} is a contact now, and has let you see them; nothing was heard of them yet. `porchlight who` shows \
                 when it was."
            ),
            Some(status) if contact.watches_me && contact.waiting == 0 => {
                format!("{name} is a contact now: you see each other. {name} is {status}.")
            }
            Some(status) => format!(
                "{name} is a contact now, and is {status}. They see you as soon as what you grant them has reached their \
                 node."
            ),
        },
        _ => format!(
            "waiting for {name}: their node has not answered yet. Your introduction goes on being offered while your node \
             runs; `porchlight contacts` shows when it was taken, `porchlight net diagnose '{name}'` what is in the way."
        ),
    }
}

fn refused(contact: &Contact, problem: &str) -> Failure {
    let exit = match problem {
        "invite_used_up" | "invite_expired" => Exit::NotFound,
        _ => Exit::Denied,
    };
    Failure::new(
        exit,
        problem,
        format!("{} did not take the introduction", clean(&contact.name)),
    )
    .hint(problem_text(problem))
}
