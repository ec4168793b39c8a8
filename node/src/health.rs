//! Whether the node does what it is there for: what was measured, and what follows from it. Not whether the process is up.

use crate::clock::{millis, unix_now};
use crate::driver::Core;
use crate::handler::Api;
use porchlight_net::{NetStatus, Role};
use porchlight_proto::health::{ClockOf, Condition, What};
use porchlight_proto::{Command, Reply};
use porchlight_rpc::types::{Health, HealthCheck, HealthReason};
use porchlight_store::{SLOW, StoreStats};
use porchlight_wire::record::Place;
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// How long the core and the disk may take to answer. They answer in a millisecond; whoever waits longer has given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// For how long something that happened counts: long enough that whoever looks once in a while sees it.
const LATELY: Duration = Duration::from_secs(600);

/// Puts in a row that nobody kept, from which on they are not taken for an accident.
const UNKEPT: u32 = 2;

/// How far clocks may be apart, in milliseconds. A third of what is tolerated before presence becomes unknown.
const CLOCK: u64 = 10_000;

/// How many events a consumer may be behind: half of those that are kept.
const BEHIND: u64 = porchlight_proto::limits::EVENTS / 2;

/// A consumer that has not acknowledged for a week has been given up, in milliseconds.
const GIVEN_UP: u64 = 7 * 86_400_000;

/// Consumers of the command line, which acknowledge nothing.
const OWN_CONSUMERS: &str = "porchlight-";

/// Names in one sentence.
const NAMED: usize = 5;

/// Between two looks of the watch, in pings: a node that lost its relays has noticed by then.
const WATCH: u32 = 3;

/// What was measured.
#[derive(Debug)]
pub struct Measured {
    /// The node's role.
    pub role: Role,
    /// Seed peers configured.
    pub seeds: usize,
    /// The network; none: it did not answer.
    pub net: Option<NetStatus>,
    /// The core; none: it did not answer in time.
    pub condition: Option<Condition>,
    /// The writer.
    pub store: StoreStats,
    /// Why events cannot be read, if so.
    pub unreadable: Option<String>,
    /// How a lookup of our own card went: how many answered, and how many had it. None: it was not tried.
    pub card: Option<(u32, usize)>,
    /// The time, as milliseconds since 1970.
    pub now: u64,
}

/// Something that is not well.
struct Bad {
    kind: &'static str,
    message: String,
    hint: String,
}

fn bad(kind: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Option<Bad> {
    Some(Bad {
        kind,
        message: message.into(),
        hint: hint.into(),
    })
}

/// What follows from what was measured.
#[must_use]
pub fn judge(measured: &Measured) -> Health {
    let looked_at: [(&str, (String, Option<Bad>)); 10] = [
        ("core", core(measured)),
        ("store", store(measured)),
        ("listening", listening(measured)),
        ("relays", relays(measured)),
        ("lookups", lookups(measured)),
        ("puts", puts(measured)),
        ("sources", sources(measured)),
        ("clock", clock(measured)),
        ("events", events(measured)),
        ("consumers", consumers(measured)),
    ];
    let mut checks = Vec::new();
    let mut reasons = Vec::new();
    for (check, (found, bad)) in looked_at {
        checks.push(HealthCheck {
            check: check.to_owned(),
            ok: bad.is_none(),
            found,
        });
        reasons.extend(bad.map(|bad| HealthReason {
            kind: bad.kind.to_owned(),
            check: check.to_owned(),
            message: bad.message,
            hint: bad.hint,
        }));
    }
    Health {
        status: if reasons.is_empty() { "ok" } else { "degraded" }.to_owned(),
        reasons,
        checks,
        took_ms: 0,
    }
}

type Found = (String, Option<Bad>);

fn unknown() -> Found {
    ("not known: the node's inside does not answer".to_owned(), None)
}

fn core(measured: &Measured) -> Found {
    if measured.condition.is_some() && measured.net.is_some() {
        return ("it answers".to_owned(), None);
    }
    let what = if measured.net.is_some() { "core" } else { "network task" };
    (
        format!("the {what} does not answer within {} s", PATIENCE.as_secs()),
        bad(
            "not_answering",
            format!("the node's {what} does not answer: nothing is published, taken in or answered"),
            "look at the node's log and at the disk; if it goes on, stop the node and start it again: nothing that was promised is lost",
        ),
    )
}

fn store(measured: &Measured) -> Found {
    let seconds = |duration: Duration| format!("{:.1} s", duration.as_secs_f64());
    let slow = |took: &str| {
        bad(
            "store_slow",
            format!("the disk is slow: {took}; whatever is set or sent waits for it"),
            "look whether the disk is busy or failing; `[store] durability = \"normal\"` waits for it less often",
        )
    };
    if let Some(reason) = &measured.unreadable {
        return (
            "events cannot be read".to_owned(),
            bad(
                "store_unreadable",
                format!("events cannot be read from the database: {reason}"),
                "look at the disk and the node's log; restore the home from a copy if the database is damaged",
            ),
        );
    }
    if let Some(under_way) = measured.store.under_way.filter(|under_way| *under_way >= SLOW) {
        let found = format!("a commit has been under way for {}", seconds(under_way));
        return (found.clone(), slow(&found));
    }
    if let Some(last) = measured.store.last_slow.filter(|last| last.ago < LATELY) {
        let found = format!("a commit took {}, {} s ago", seconds(last.took), last.ago.as_secs());
        return (found.clone(), slow(&found));
    }
    (format!("{} commits, none of them slow", measured.store.commits), None)
}

fn listening(measured: &Measured) -> Found {
    let Some(net) = &measured.net else { return unknown() };
    match net.listening.len() {
        0 => (
            "nowhere".to_owned(),
            bad(
                "listens_nowhere",
                "this node listens nowhere: nobody can dial it",
                "add an address to listen in config.toml; `porchlight config check` says more",
            ),
        ),
        1 => ("at one address".to_owned(), None),
        more => (format!("at {more} addresses"), None),
    }
}

fn relays(measured: &Measured) -> Found {
    let Some(net) = &measured.net else { return unknown() };
    let relays = net.peers.iter().filter(|peer| peer.relay).count();
    let found = match relays {
        0 => "none is connected".to_owned(),
        1 => "one is connected".to_owned(),
        more => format!("{more} are connected"),
    };
    if relays > 0 || measured.role == Role::Relay {
        return (found, None);
    }
    let bad = if measured.seeds == 0 {
        bad(
            "no_relay",
            "no relay is connected, and no seed peer is configured: this node meets only those it can dial, or who are on its local network",
            "add seed_peers to config.toml, or start with --seed-peer",
        )
    } else if !net.wrong_seeds.is_empty() {
        bad(
            "no_relay",
            "no relay is connected: a configured seed peer is not what seed_peers says, and what is published reaches only those who are connected",
            "`porchlight status` says what answers instead; correct seed_peers or network in config.toml",
        )
    } else {
        bad(
            "no_relay",
            "no relay is connected: none of the configured seed peers answers, and what is published reaches only those who are connected",
            "look at this machine's network, and at seed_peers in config.toml; the node goes on trying",
        )
    };
    (found, bad)
}

fn lookups(measured: &Measured) -> Found {
    let Some((answered, copies)) = measured.card else {
        return ("not tried: nobody to ask".to_owned(), None);
    };
    if answered == 0 {
        return (
            "nobody answers".to_owned(),
            bad(
                "lookups_unanswered",
                "other nodes are connected, and none of them answers lookups: what was missed cannot be found",
                "if it goes on, try another relay; `porchlight net peers` shows which are connected",
            ),
        );
    }
    let stored = measured
        .condition
        .as_ref()
        .is_some_and(|condition| condition.publications.iter().any(card_was_stored));
    let found = format!("{answered} answered, {copies} have this node's card");
    if copies == 0 && stored {
        return (
            found,
            bad(
                "card_not_found",
                "this node's card is not where others look for it, although it was stored: new contacts and those who lost this node's address do not find it",
                "it is put again when a relay connects, and every six hours; if it goes on, look at the relays' status",
            ),
        );
    }
    (found, None)
}

fn card_was_stored(published: &porchlight_proto::health::Published) -> bool {
    published.what == What::Card && published.stored.is_some() && published.unkept == 0
}

fn puts(measured: &Measured) -> Found {
    let Some(condition) = &measured.condition else {
        return unknown();
    };
    let all = condition.publications.len();
    let stored = condition.publications.iter().filter(|it| it.stored.is_some()).count();
    let found = format!("{stored} of {all} records were stored and read back");
    let unkept: BTreeSet<String> = condition
        .publications
        .iter()
        .filter(|it| it.unkept >= UNKEPT)
        .map(|it| match &it.what {
            What::Card => "the card".to_owned(),
            What::View(view) => format!("the view '{view}'"),
            What::Invite => "an invite".to_owned(),
        })
        .collect();
    if unkept.is_empty() {
        return (found, None);
    }
    let what = named(unkept.iter().map(String::as_str));
    (
        found,
        bad(
            "puts_not_stored",
            format!(
                "servers were asked to keep {what}, and did not: whoever comes later, or asks while this node is away, finds nothing"
            ),
            "the relays may be full, or this machine's clock may be off; the node goes on trying",
        ),
    )
}

fn sources(measured: &Measured) -> Found {
    let Some(condition) = &measured.condition else {
        return unknown();
    };
    let all = condition.sources.len();
    let without: Vec<&str> = condition
        .sources
        .iter()
        .filter(|source| !source.live)
        .map(|source| source.contact.as_str())
        .collect();
    let found = format!("live for {} of {all} contacts", all - without.len());
    if without.is_empty() {
        return (found, None);
    }
    (
        found,
        bad(
            "no_live_source",
            format!(
                "nobody is connected through whom news of {} would come: they are shown as unknown",
                named(without.into_iter())
            ),
            "`porchlight contacts` and `porchlight net peers` show who is connected",
        ),
    )
}

fn clock(measured: &Measured) -> Found {
    let Some(condition) = &measured.condition else {
        return unknown();
    };
    let clocks = &condition.clocks;
    let Some(middle) = middle_clock(condition) else {
        return ("no fresh record to compare it with".to_owned(), None);
    };
    let seconds = middle.ahead.unsigned_abs() / 1_000;
    let (side, other) = if middle.ahead > 0 {
        ("behind", "ahead")
    } else {
        ("ahead", "behind")
    };
    if middle.ahead.unsigned_abs() < CLOCK {
        return (format!("within {} s of others'", seconds + 1), None);
    }
    let message = if clocks.len() == 1 {
        format!(
            "the clocks of this machine and of {} are {seconds} s apart: this one is {side}, or theirs is {other}",
            middle.contact
        )
    } else {
        format!("this machine's clock is {seconds} s {side} of those of most contacts")
    };
    (
        format!("{seconds} s {side}"),
        bad(
            "clock_off",
            format!("{message}; beyond 30 s, presence becomes unknown, and records are refused"),
            "set the clock, and have it kept right (NTP)",
        ),
    )
}

/// The clock in the middle of all that are known, by how far they are ahead of ours.
pub(crate) fn middle_clock(condition: &Condition) -> Option<&ClockOf> {
    let mut clocks: Vec<&ClockOf> = condition.clocks.iter().collect();
    clocks.sort_by_key(|clock| clock.ahead);
    clocks.get(clocks.len() / 2).copied()
}

fn events(measured: &Measured) -> Found {
    let Some(net) = &measured.net else { return unknown() };
    match net.dropped_ago.filter(|ago| *ago < LATELY) {
        None => ("none was dropped lately".to_owned(), None),
        Some(ago) => (
            format!(
                "{} dropped since the start, the last {} s ago",
                net.counters.dropped,
                ago.as_secs()
            ),
            bad(
                "events_dropped",
                "records came faster than this node takes them in, and some were dropped; they are looked up again",
                "a slow disk or a busy machine does that; look at both",
            ),
        ),
    }
}

fn consumers(measured: &Measured) -> Found {
    let Some(condition) = &measured.condition else {
        return unknown();
    };
    let behind: Vec<_> = condition
        .consumers
        .iter()
        .filter(|lag| !lag.consumer.starts_with(OWN_CONSUMERS))
        .filter(|lag| measured.now.saturating_sub(lag.seen.0) < GIVEN_UP)
        .collect();
    let most = behind.iter().map(|lag| lag.behind).max();
    let late: Vec<&str> = behind
        .iter()
        .filter(|lag| lag.behind > BEHIND)
        .map(|lag| lag.consumer.as_str())
        .collect();
    let found = match most {
        None => "there is none".to_owned(),
        Some(most) => format!("{}, at most {most} events behind", behind.len()),
    };
    if late.is_empty() {
        return (found, None);
    }
    (
        found,
        bad(
            "consumer_behind",
            format!(
                "of the events that are kept, more than half wait for {}: what is older than the newest {} will be lost to it",
                named(late.into_iter()),
                porchlight_proto::limits::EVENTS
            ),
            "see that the program which reads them runs and acknowledges (events.ack)",
        ),
    )
}

/// Some names, as a person would say them.
fn named<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let mut text = names.join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

impl Api {
    /// Measures and judges. With `look`, the network is asked for our own card as others would.
    pub(crate) async fn health(&self, look: bool) -> Health {
        let began = Instant::now();
        let (net, condition, unreadable) = tokio::join!(
            within(async { self.net.status().await.ok() }),
            within(async {
                match self.core.command(Command::Condition, None).await {
                    Ok(Reply::Condition(condition)) => Some(*condition),
                    _ => None,
                }
            }),
            self.unreadable(),
        );
        let relays = net.as_ref().is_some_and(|net| net.peers.iter().any(|peer| peer.relay));
        let card = match &condition {
            Some(condition) if look && relays => {
                let places = condition.card.iter().map(|pk| Place::Beacon(*pk)).collect();
                let looked = self.net.look(places).await.ok();
                looked.map(|looked| (looked.answered, looked.copies.len()))
            }
            _ => None,
        };
        let measured = Measured {
            role: self.about.role,
            seeds: self.about.seeds,
            net,
            condition,
            store: self.store.stats(),
            unreadable,
            card,
            now: unix_now().0,
        };
        Health {
            took_ms: millis(began.elapsed()),
            ..judge(&measured)
        }
    }

    /// Why events cannot be read, if so.
    async fn unreadable(&self) -> Option<String> {
        let before_newest = self.core.newest_event().borrow().saturating_sub(1);
        match timeout(PATIENCE, self.events.after_on_disk(before_newest, 1)).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("nothing came within {} s", PATIENCE.as_secs())),
        }
    }
}

async fn within<T>(answer: impl Future<Output = Option<T>>) -> Option<T> {
    timeout(PATIENCE, answer).await.ok().flatten()
}

/// Looks again and again, and has the core tell what has changed. A reason has to be there twice in a row, so that a relay
/// which comes and goes is no news. The network is not asked: that would be a lookup each time, from every node.
pub(crate) async fn watch(api: Arc<Api>, core: Core, ping: Duration) {
    let mut before = BTreeSet::new();
    loop {
        sleep(ping.saturating_mul(WATCH)).await;
        let health = api.health(false).await;
        let now: BTreeSet<String> = health.reasons.into_iter().map(|reason| reason.kind).collect();
        let lasting = now.intersection(&before).cloned().collect();
        if core.health(lasting).await.is_err() {
            return;
        }
        before = now;
    }
}

#[cfg(test)]
mod tests;
