//! `who`: who is there, with source and age at every answer.

use super::commands::is_cut_off;
use super::output::{Output, age, clean, left, since, until};
use super::presence::{What, best, language, with};
use crate::clock::ago;
use anyhow::Result;
use porchlight_rpc::methods::{EventsSubscribe, NodeInfo, PresenceGet, PresenceList};
use porchlight_rpc::types::{self, Event, Told};
use std::time::Duration;
use tokio::time::timeout;

const HEAD: &[&str] = &["NAME", "STATUS", "AGE", "VIA", "HOLDS", "NOTE"];

/// The consumer of `--watch`. One name for all, because nothing is acknowledged under it.
const CONSUMER: &str = "porchlight-who";

/// How often ages are drawn anew on a terminal.
const REDRAW: Duration = Duration::from_secs(1);

pub(super) async fn all(out: &Output) -> Result<()> {
    let mut client = out.client().await?;
    let list = client.call::<PresenceList>(&types::Nothing {}).await?;
    if out.json {
        return out.object(&list);
    }
    for line in lines(out, &list) {
        out.words(&line)?;
    }
    let info = client.call::<NodeInfo>(&types::Nothing {}).await?;
    if is_cut_off(&info) {
        out.line("")?;
        for notice in &info.notices {
            out.wrapped("notice: ", &clean(notice))?;
        }
    }
    Ok(())
}

/// A fetch: the network is asked.
pub(super) async fn one(out: &Output, name: &str) -> Result<()> {
    let params = types::OneContact {
        contact: name.to_owned(),
    };
    let got = out.client().await?.call::<PresenceGet>(&params).await?;
    if out.json {
        return out.object(&got);
    }
    for line in described(out, &got.presence) {
        out.words(&line)?;
    }
    Ok(())
}

/// All that is told of one contact: a line for each thing, the most important first.
fn described(out: &Output, told: &Told) -> Vec<String> {
    let mut lines = vec![format!(
        "{} is {}",
        clean(&told.contact),
        out.status(&told.status, &status(told))
    )];
    let what = What {
        notes: &told.notes,
        activities: &told.activities,
        until_at: told.until_at.as_deref(),
        mood: told.mood.as_ref(),
        place: told.place.as_ref(),
        tuples: &told.tuples,
        details: &told.details,
        extensions: &told.extensions,
    };
    let said = what.lines(&told.status);
    if told.detail.as_deref() == Some("lapsed") && !said.is_empty() {
        // What the last record says is how they were, not how they are.
        lines.push("  before that they said".to_owned());
        lines.extend(said.iter().map(|line| format!("    {line}")));
    } else {
        lines.extend(said.iter().map(|line| format!("  {line}")));
    }
    if let (Some(source), Some(ms)) = (&told.source, told.age_ms) {
        let holds = holds(told).map_or_else(String::new, |holds| format!(", holds {holds}"));
        lines.push(format!("  {}, issued {}{holds}", came(source), ago(ms)));
    }
    lines.extend(meaning(told).map(|meaning| format!("  {meaning}")));
    lines
}

/// The status, and what there is to say about it.
fn status(told: &Told) -> String {
    match (&told.detail, told.subscription.as_str()) {
        (_, "provisional" | "pending") if told.sequence.is_none() => {
            format!("{} (waiting for their answer)", told.status)
        }
        (Some(_), "cancelled") => format!("{} (ended by them)", told.status),
        (Some(_), "refused") => format!("{} (not granted)", told.status),
        (Some(_), "none") => format!("{} (not subscribed)", told.status),
        (Some(detail), _) => format!("{} ({})", told.status, detail.replace('_', " ")),
        (None, _) => told.status.clone(),
    }
}

/// How long it holds if nothing new comes.
fn holds(told: &Told) -> Option<String> {
    let ms = told.holds_until_at.as_deref().and_then(until)?;
    (told.status != "unknown").then(|| format!("{} more", left(ms)))
}

/// Every change: a table drawn anew on a terminal, a line each otherwise.
pub(super) async fn watch(out: &Output) -> Result<()> {
    let mut calls = out.client().await?;
    let mut events = out.client().await?;
    let subscribe = types::EventsSubscribe {
        consumer: CONSUMER.to_owned(),
        from: Some("now".to_owned()),
    };
    let newest = events.call::<EventsSubscribe>(&subscribe).await?.newest;
    let list = calls.call::<PresenceList>(&types::Nothing {}).await?;
    let redrawn = out.draws && !out.json;
    if !redrawn {
        if out.json {
            out.object(&list)?;
        } else {
            for line in lines(out, &list) {
                out.line(&line)?;
            }
        }
    }
    let mut drawn: Option<Vec<String>> = None;
    loop {
        if redrawn {
            let list = calls.call::<PresenceList>(&types::Nothing {}).await?;
            let mut now = lines(out, &list);
            now.extend([String::new(), "ctrl-c ends".to_owned()]);
            if drawn.as_ref() != Some(&now) {
                out.draw_over(&now, drawn.is_none())?;
                drawn = Some(now);
            }
            // Either something happened, or only the ages changed: both are drawn.
            if let Ok(event) = timeout(REDRAW, events.next_event()).await {
                event?;
            }
            continue;
        }
        let event = events.next_event().await?;
        if event.kind != "presence.changed" || event.number <= newest {
            continue;
        }
        if out.json {
            out.object(&event)?;
        } else {
            out.line(&changed(out, &event)?)?;
        }
    }
}

fn lines(out: &Output, list: &types::PresenceList) -> Vec<String> {
    let own = &list.own;
    let for_long = match since(&own.since_at) {
        None | Some(0..1_000) => ", since just now".to_owned(),
        Some(ms) => format!(", since {} ago", age(ms)),
    };
    let mut lines = vec![format!(
        "you are {}{}{for_long}",
        out.status(&own.status, &own.status),
        with(own)
    )];
    if list.contacts.is_empty() {
        lines.push(format!(
            "no contacts yet; `{}` makes an invite",
            out.command("invite new")
        ));
        return lines;
    }
    lines.push(String::new());
    let rows: Vec<Vec<String>> = list.contacts.iter().map(|told| row(out, told)).collect();
    lines.extend(out.table_lines(HEAD, &rows));
    lines
}

fn row(out: &Output, told: &Told) -> Vec<String> {
    // There is room for one: the others are shown by `who NAME`.
    let note = best(&told.notes, language().as_deref());
    let mut said: Vec<String> = note.map(|note| clean(&note.text)).into_iter().collect();
    let lapsed = told.detail.as_deref() == Some("lapsed");
    let activities: Vec<&str> = told
        .activities
        .iter()
        .map(String::as_str)
        .filter(|activity| lapsed || *activity != told.status)
        .collect();
    if !activities.is_empty() {
        said.push(format!("[{}]", clean(&activities.join(", "))));
    }
    let mut said = said.join(" / ");
    if lapsed && !said.is_empty() {
        // What the last record says is how they were, not how they are.
        said = format!("before: {said}");
    }
    vec![
        clean(&told.contact),
        out.status(&told.status, &status(told)),
        told.age_ms.map_or_else(|| "-".to_owned(), age),
        told.source.as_deref().map_or("-", via).to_owned(),
        holds(told).unwrap_or_else(|| "-".to_owned()),
        said,
    ]
}

/// How the newest record came, for a column.
fn via(source: &str) -> &str {
    match source {
        "direct" => "their node",
        "dht" => "lookup",
        other => other,
    }
}

/// The same in a sentence.
pub(crate) fn came(source: &str) -> &str {
    match source {
        "direct" => "from their node",
        "gossip" => "by gossip",
        "relay" => "from a relay",
        "dht" => "looked up in the DHT",
        "cache" => "known from before",
        other => other,
    }
}

/// What a verdict means, where its word alone may mislead.
fn meaning(told: &Told) -> Option<&'static str> {
    match told.detail.as_deref()? {
        "lapsed" => {
            Some("lapsed: the last record's lease is over and nothing newer came while this node could have seen it")
        }
        "no_source" => {
            Some("no source: this node is not connected to anyone who could know; what it knew is too old to tell")
        }
        "view_ended" => Some("view ended: the keys you held no longer show anything; new ones were asked for"),
        "no_record" => Some("no record: nothing was found that they published for you"),
        "clock" => Some("clock: their record and this node's clock do not fit together; check the time on both sides"),
        _ => None,
    }
}

fn changed(out: &Output, event: &Event) -> Result<String> {
    let told = |which: &str| -> Result<Told> {
        Ok(serde_json::from_value(
            event.data.get(which).cloned().unwrap_or_default(),
        )?)
    };
    let (old, new) = (told("old")?, told("new")?);
    let cells = row(out, &new);
    let cell = |n: usize| cells.get(n).map(String::as_str).unwrap_or_default();
    let note = if cell(5).is_empty() {
        String::new()
    } else {
        format!("  {}", cell(5))
    };
    Ok(format!(
        "{}  {}  {} -> {}  ({}, issued {}){note}",
        event.at,
        clean(&new.contact),
        old.status,
        cell(1),
        new.source.as_deref().map_or("by the time", came),
        new.age_ms.map_or_else(|| "before".to_owned(), ago),
    ))
}
