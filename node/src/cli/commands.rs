//! The commands that ask once and print once.

use super::output::{Output, age, clean, since};
use super::presence::with;
use crate::clock::millis;
use crate::failure::{Exit, Failure};
use anyhow::{Context, Result};
use porchlight_rpc::methods::{ContactList, IdentityShow, InviteCreate, METHODS, NetPeers, NodeInfo, NodeStop};
use porchlight_rpc::{client::ClientError, types};
use qrcode::{EcLevel, QrCode};
use serde_json::{Map, Value};
use std::time::Duration;

pub(super) async fn stop(out: &Output) -> Result<()> {
    let mut client = out.client().await?;
    let stopping = client.call::<NodeStop>(&types::Nothing {}).await?;
    // The node closes the connection when it has said goodbye.
    while let Ok(_event) = client.next_event().await {}
    if out.json {
        return out.object(&stopping);
    }
    out.words("stopped, after a goodbye to those who watch")
}

pub(super) async fn id(out: &Output) -> Result<()> {
    let shown = out.client().await?.call::<IdentityShow>(&types::Nothing {}).await?;
    if out.json {
        return out.object(&shown);
    }
    out.words(&format!("principal  {}", shown.principal))?;
    if let Some(name) = &shown.name {
        out.words(&format!("name       {}  (what new contacts are told)", clean(name)))?;
    }
    out.words(&format!("device     {}", shown.device))?;
    out.words(&format!("node       {}", shown.node))?;
    out.words(&format!("network    {}", shown.network))
}

pub(super) async fn status(out: &Output) -> Result<()> {
    let info = out.client().await?.call::<NodeInfo>(&types::Nothing {}).await?;
    if out.json {
        return out.object(&info);
    }
    out.words(&format!(
        "{} in network '{}', {}, porchlight {}",
        if info.role == "relay" { "relay" } else { "node" },
        info.network,
        if info.uptime_ms < 1_000 {
            "just started".to_owned()
        } else {
            format!("up for {}", age(info.uptime_ms))
        },
        info.version
    ))?;
    out.words(&format!("  home       {}", info.home))?;
    out.words(&format!("  principal  {}", info.principal))?;
    for address in &info.listening {
        out.words(&format!("  address    {address}"))?;
    }
    out.words(&format!(
        "  presence   {}{}",
        out.status(&info.own.status, &info.own.status),
        with(&info.own)
    ))?;
    out.words(&format!(
        "  connected  {}, {} of them; {}; {}; {} kept",
        some(info.peers, "node"),
        some(info.relays, "relay"),
        some(info.contacts, "contact"),
        some(info.topics, "topic"),
        some(info.records, "record"),
    ))?;
    if let Some(keeps) = &info.keeps {
        out.words(&format!(
            "  keeps      {} for others, with {} of {} KiB; there is room for {} MiB",
            some(keeps.mailboxes, "mailbox"),
            some(keeps.envelopes, "envelope"),
            keeps.bytes >> 10,
            keeps.room_bytes >> 20,
        ))?;
    }
    let seen: Vec<String> = info
        .counters
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    if !seen.is_empty() {
        out.words(&format!("  seen       {}", seen.join(", ")))?;
    }
    for notice in &info.notices {
        out.words(&format!("  notice     {notice}"))?;
    }
    Ok(())
}

/// So many things.
fn some(count: u64, thing: &str) -> String {
    if count == 1 {
        format!("1 {thing}")
    } else if thing.ends_with('x') {
        format!("{count} {thing}es")
    } else {
        format!("{count} {thing}s")
    }
}

pub(super) async fn peers(out: &Output) -> Result<()> {
    let list = out.client().await?.call::<NetPeers>(&types::Nothing {}).await?;
    if out.json {
        return out.object(&list);
    }
    if list.peers.is_empty() {
        let status = out.command("status");
        return out.words(&format!(
            "not connected to anyone; `{status}` shows where this node listens"
        ));
    }
    let rows: Vec<Vec<String>> = list
        .peers
        .iter()
        .map(|peer| {
            let kind = match (peer.relay, peer.seed) {
                (true, true) => "relay, seed peer",
                (true, false) => "relay",
                (false, _) => "node",
            };
            vec![
                peer.node.clone(),
                kind.to_owned(),
                peer.contact.as_deref().map(clean).unwrap_or_default(),
                peer.direction.clone(),
                peer.rtt_ms.map_or_else(|| "-".to_owned(), |rtt| format!("{rtt:.1} ms")),
                age(peer.connected_for_ms),
                peer.address.clone().unwrap_or_default(),
            ]
        })
        .collect();
    out.table(
        &["NODE", "KIND", "CONTACT", "DIALLED", "PING", "SINCE", "ADDRESS"],
        &rows,
    )
}

pub(super) async fn contacts(out: &Output) -> Result<()> {
    let list = out.client().await?.call::<ContactList>(&types::Nothing {}).await?;
    if out.json {
        return out.object(&list);
    }
    if list.contacts.is_empty() {
        return out.words(&format!(
            "no contacts yet; make an invite with `{}`, or use one with `{}`",
            out.command("invite new"),
            out.command("add INVITE")
        ));
    }
    let rows: Vec<Vec<String>> = list
        .contacts
        .iter()
        .map(|contact| {
            let mut remarks = Vec::new();
            if contact.public {
                remarks.push("public: does not know you".to_owned());
            }
            if let Some(problem) = &contact.problem {
                remarks.push(problem_text(problem).to_owned());
            }
            match contact.blocked.as_deref() {
                Some("politely") => remarks.push("blocked, politely".to_owned()),
                Some(_) => remarks.push("blocked".to_owned()),
                None => {}
            }
            if contact.verified_at.is_some() {
                remarks.push("verified".to_owned());
            }
            if contact.waiting > 0 {
                remarks.push(format!("{} waiting to be delivered", contact.waiting));
            }
            if let Some(told) = contact.told_name.as_ref().filter(|told| **told != contact.name) {
                remarks.push(format!("calls itself '{}'", clean(told)));
            }
            vec![
                clean(&contact.name),
                contact.subscription.clone(),
                contact.view.as_deref().map_or_else(|| "-".to_owned(), clean),
                since(&contact.added_at).map_or_else(String::new, age),
                contact.principal.clone(),
                remarks.join("; "),
            ]
        })
        .collect();
    out.table(
        &["NAME", "SUBSCRIPTION", "SEES VIEW", "ADDED", "PRINCIPAL", "REMARKS"],
        &rows,
    )
}

/// What is in the way of first contact, for people.
pub(super) fn problem_text(problem: &str) -> &str {
    match problem {
        "invite_used_up" => "the invite is used up: ask for a new one",
        "invite_expired" => "the invite has ended: ask for a new one",
        "not_admitted" => "their node did not admit us: ask for a new invite",
        "unreachable" => "their node cannot be reached; it goes on being tried",
        "refused" => "they said no",
        other => other,
    }
}

pub(super) async fn invite(out: &Output, uses: u32, expires: Duration, view: &str, qr: Option<bool>) -> Result<()> {
    let params = types::InviteCreate {
        uses: Some(uses),
        expires_in_ms: Some(millis(expires)),
        view: Some(view.to_owned()),
        idempotency_key: None,
    };
    let mut client = out.client().await?;
    let made = client.call::<InviteCreate>(&params).await?;
    if out.json {
        return out.object(&made);
    }
    let code = QrCode::with_error_correction_level(made.qr.as_bytes(), EcLevel::L).context("the QR code")?;
    if let Some(drawn) = out.qr(&code, qr) {
        if drawn.contains('\n') {
            out.line(&drawn)?;
        } else {
            out.words(&drawn)?;
        }
    }
    out.line(&made.uri)?;
    out.line("")?;
    let people = if made.uses == 1 {
        "one person".to_owned()
    } else {
        format!("{} people", made.uses)
    };
    let long = age(millis(expires));
    let good = format!(
        "good for {people}, for {long}. Whoever has it can become your contact, and sees your status (no notes) until it is \
         used up, so send it only to them;"
    );
    out.wrapped("", &good)?;
    out.words("they type: porchlight add '<the line above>'")?;
    if let Some(warning) = &made.warning {
        return out.wrapped("warning: ", warning);
    }
    if !is_cut_off(&client.call::<NodeInfo>(&types::Nothing {}).await?) {
        return Ok(());
    }
    let at = match &made.reach[..] {
        [] => String::new(),
        reach => {
            let at: Vec<&str> = reach.iter().filter_map(|at| at.split("/p2p/").next()).collect();
            format!(", at {}", at.join(" or "))
        }
    };
    out.wrapped(
        "warning: ",
        &format!(
            "no relay is connected: whoever uses this invite has to be able to dial this node directly{at}. Connect a relay \
             (seed_peers in config.toml), and make another, for people who are elsewhere"
        ),
    )
}

/// Whether a node that should be connected to a relay is not.
pub(super) fn is_cut_off(info: &types::NodeInfo) -> bool {
    info.relays == 0 && info.role == "ordinary"
}

pub(super) async fn rpc(out: &Output, method: Option<&str>, params: &[String]) -> Result<()> {
    let Some(method) = method else {
        let rows: Vec<Vec<String>> = METHODS
            .iter()
            .map(|method| vec![method.name.to_owned(), method.summary.to_owned()])
            .collect();
        return out.table(&["METHOD", "WHAT IT DOES"], &rows);
    };
    let mut object = Map::new();
    for param in params {
        let (key, text) = param.split_once('=').ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                "invalid_params",
                format!("'{param}': expected KEY=VALUE, as in contact=alice"),
            )
        })?;
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
        object.insert(key.to_owned(), value);
    }
    let result: Result<Value, ClientError> = out.client().await?.call_raw(method, Value::Object(object)).await;
    let result = result?;
    if out.json {
        return out.object(&result);
    }
    out.pretty(&result)
}
