//! `events`: what has happened, in order.

use super::output::{Output, clean};
use anyhow::Result;
use porchlight_rpc::events::EVENTS;
use porchlight_rpc::methods::{EventsAck, EventsNext, EventsSubscribe};
use porchlight_rpc::types::{self, Event};
use serde_json::Value;

/// The consumer of those who give none: it never acknowledges, so everything that is kept is printed.
const ANONYMOUS: &str = "porchlight-events";

/// How long the node may hold a call before it answers that nothing came.
const WAIT_MS: u64 = 30_000;

pub(super) async fn events(out: &Output, follow: bool, consumer: Option<&str>) -> Result<()> {
    match consumer {
        Some(consumer) => acknowledged(out, follow, consumer).await,
        None => printed(out, follow).await,
    }
}

/// Prints what is kept, and what is pushed.
async fn printed(out: &Output, follow: bool) -> Result<()> {
    let mut client = out.client().await?;
    let subscribe = types::EventsSubscribe {
        consumer: ANONYMOUS.to_owned(),
        from: Some("oldest".to_owned()),
    };
    let newest = client.call::<EventsSubscribe>(&subscribe).await?.newest;
    let mut last = 0;
    while follow || last < newest {
        let event = client.next_event().await?;
        last = event.number;
        print(out, &event)?;
    }
    Ok(())
}

/// Goes on where the consumer left off. Acknowledged is what was printed.
async fn acknowledged(out: &Output, follow: bool, consumer: &str) -> Result<()> {
    let mut client = out.client().await?;
    loop {
        let next = types::EventsNext {
            consumer: consumer.to_owned(),
            max: None,
            wait_ms: follow.then_some(WAIT_MS),
        };
        let batch = client.call::<EventsNext>(&next).await?;
        for event in &batch.events {
            print(out, event)?;
        }
        if let Some(last) = batch.events.last() {
            let ack = types::EventsAck {
                consumer: consumer.to_owned(),
                number: last.number,
            };
            client.call::<EventsAck>(&ack).await?;
        }
        if !follow && !batch.more {
            return Ok(());
        }
    }
}

/// What we are now, for whom, and why.
fn own_changed(event: &Event) -> String {
    let text = |path: &str| event.data.pointer(path).and_then(|value| value.as_str()).map(clean);
    let note = text("/note/text").map_or_else(String::new, |note| format!(" ({note})"));
    let view = text("/own/view").map_or_else(String::new, |view| format!(" for {view}"));
    let cause = match text("/cause").as_deref() {
        Some("over") => ", as before",
        Some("cleared") => ", cleared",
        _ => "",
    };
    format!("{}{note}{view}{cause}", text("/status").unwrap_or_default())
}

fn print(out: &Output, event: &Event) -> Result<()> {
    if out.json {
        return out.object(event);
    }
    let text = |key: &str| {
        event
            .data
            .get(key)
            .and_then(|value| value.as_str())
            .map(clean)
            .unwrap_or_default()
    };
    let told = |which: &str| {
        let value = |path: &str| {
            event
                .data
                .pointer(&format!("/{which}{path}"))
                .and_then(|value| value.as_str())
        };
        let note = value("/notes/0/text").map_or_else(String::new, |note| format!(" ({})", clean(note)));
        let cause = value("/detail").map_or_else(String::new, |detail| format!(" ({})", detail.replace('_', " ")));
        format!("{}{cause}{note}", value("/status").unwrap_or_default())
    };
    let rest = match event.kind.as_str() {
        "presence.changed" => format!("{}  {} -> {}", text("contact"), told("old"), told("new")),
        "presence.polled" => format!("{}  {}", text("contact"), told("presence")),
        "subscription.changed" => format!("{}  {} -> {}", text("contact"), text("old"), text("new")),
        "presence.own_changed" => own_changed(event),
        "contact.added" | "contact.removed" | "invite.used" => text("contact"),
        "watcher.approved" | "watcher.revoked" => format!("{}  {}", text("contact"), text("view")),
        "contact.refused" => format!("{}  {}", text("contact"), text("reason")),
        "letter.delivered" => format!("{}  {}", text("contact"), text("kind")),
        "relay.added" | "relay.lost" => text("node"),
        "invite.expired" | "invite.revoked" => text("invite"),
        "node.degraded" => clean(&reasons(event)),
        "net.reachability_changed" => match event.data.get("reachable").and_then(Value::as_bool) {
            Some(true) => "somebody who could know of contacts is connected".to_owned(),
            Some(false) | None => "nobody who could know of contacts is connected".to_owned(),
        },
        _ if event.data.as_object().is_some_and(serde_json::Map::is_empty) => String::new(),
        _ => clean(&event.data.to_string()),
    };
    let widest = EVENTS.iter().map(|info| info.kind.len()).max().unwrap_or(0);
    let line = format!("{:>6}  {}  {:<widest$}  {rest}", event.number, event.at, event.kind);
    out.line(line.trim_end())
}

fn reasons(event: &Event) -> String {
    let reasons = event.data.get("reasons").and_then(Value::as_array);
    let reasons: Vec<&str> = reasons.into_iter().flatten().filter_map(Value::as_str).collect();
    reasons.join(", ")
}
