//! The core's answers, errors and events as objects of the API.

use super::presence::{Rich, own, recorded};
use crate::config::settings::{Origin, SETTINGS};
use crate::config::{Config, Layers};
use porchlight_proto::CommandError;
use porchlight_proto::event::{Event, FirstContactProblem, OwnCause, OwnPresenceChange, Source, Told, Verdict};
use porchlight_proto::reply::{ContactInfo, ContactPresence};
use porchlight_proto::rows::{EventRow, Status, SubscriptionState};
use porchlight_rpc::events::Telling;
use porchlight_rpc::types;
use porchlight_rpc::{Kind, RpcError};
use porchlight_wire::ids::{PrincipalId, RandomId};
use porchlight_wire::presence::Note;
use porchlight_wire::time::UnixMillis;
use serde_json::Value;
use std::time::{Duration, UNIX_EPOCH};

/// A node's role.
#[must_use]
pub const fn role(role: porchlight_net::Role) -> &'static str {
    match role {
        porchlight_net::Role::Ordinary => "ordinary",
        porchlight_net::Role::Relay => "relay",
    }
}

/// Where a setting comes from: the word for it, the flag or variable, the line of the file.
#[must_use]
pub const fn origin(origin: &Origin) -> (&'static str, Option<&'static str>, Option<usize>) {
    match origin {
        Origin::Default => ("default", None, None),
        Origin::File(line) => ("file", None, *line),
        Origin::Variable(name) => ("environment", Some(*name), None),
        Origin::Flag(name) => ("flag", Some(*name), None),
    }
}

/// All settings as they are in force, and what the file says where it says otherwise.
#[must_use]
pub fn settings(layers: &Layers, in_file: Option<&Config>) -> Vec<types::Setting> {
    let said = |value: Value| (!value.is_null()).then_some(value);
    SETTINGS
        .iter()
        .map(|setting| {
            let (from, by, line) = origin(&layers.origin(setting.key));
            let value = (setting.value)(&layers.config);
            let in_file = in_file.map(setting.value).filter(|in_file| *in_file != value);
            types::Setting {
                key: setting.key.to_owned(),
                value: said(value),
                from: from.to_owned(),
                by: by.map(str::to_owned),
                line: line.and_then(|line| u32::try_from(line).ok()),
                in_file: in_file.and_then(said),
            }
        })
        .collect()
}

/// A time as RFC 3339.
#[must_use]
pub fn at(time: UnixMillis) -> String {
    // Years beyond 9999 cannot be written; nothing that was checked lies there.
    const LAST: u64 = 253_402_300_799_000;
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(time.0.min(LAST))).to_string()
}

/// A status as its word.
#[must_use]
pub const fn status(status: Status) -> &'static str {
    match status {
        Status::Open => "open",
        Status::Away => "away",
        Status::Busy => "busy",
        Status::Closed => "closed",
    }
}

/// A status from its word.
///
/// # Errors
///
/// If it is none.
pub fn parse_status(word: &str) -> Result<Status, RpcError> {
    match word {
        "open" => Ok(Status::Open),
        "away" => Ok(Status::Away),
        "busy" => Ok(Status::Busy),
        "closed" => Ok(Status::Closed),
        other => Err(RpcError::new(
            Kind::InvalidParams,
            format!("status: expected open, away, busy or closed, got {other:?}"),
        )),
    }
}

/// The state of a subscription as its word.
#[must_use]
pub const fn subscription(state: Option<SubscriptionState>) -> &'static str {
    match state {
        Some(SubscriptionState::Provisional) => "provisional",
        Some(SubscriptionState::Pending) => "pending",
        Some(SubscriptionState::Active) => "active",
        Some(SubscriptionState::Stale) => "stale",
        Some(SubscriptionState::Cancelled) => "cancelled",
        Some(SubscriptionState::Refused) => "refused",
        None => "none",
    }
}

/// What is in the way of first contact, as its word.
#[must_use]
pub const fn problem(problem: FirstContactProblem) -> &'static str {
    match problem {
        FirstContactProblem::InviteUsedUp => "invite_used_up",
        FirstContactProblem::InviteExpired => "invite_expired",
        FirstContactProblem::NotAdmitted => "not_admitted",
        FirstContactProblem::Unreachable => "unreachable",
        FirstContactProblem::Refused => "refused",
    }
}

/// A note.
#[must_use]
pub fn note(note: &Note) -> types::Note {
    types::Note {
        lang: note.lang.clone(),
        text: note.text.clone(),
    }
}

/// A contact.
#[must_use]
pub fn contact(info: &ContactInfo) -> types::Contact {
    types::Contact {
        name: info.name.clone(),
        principal: info.principal.to_string(),
        subscription: subscription(info.subscription).to_owned(),
        watches_me: info.view.is_some(),
        public: info.public,
        view: info.view.clone(),
        told_name: info.told_name.clone(),
        added_at: at(info.added),
        waiting: info.waiting,
        verified_at: info.verified.map(at),
        blocked: info
            .blocked
            .map(|politely| if politely { "politely" } else { "plainly" }.to_owned()),
        problem: info.problem.map(|it| problem(it).to_owned()),
    }
}

/// What is told of a contact.
#[must_use]
pub fn presence(presence: &ContactPresence) -> types::Told {
    types::Told {
        contact: presence.name.clone(),
        principal: presence.principal.to_string(),
        subscription: subscription(presence.subscription).to_owned(),
        age_ms: presence.age,
        ..told(&presence.told)
    }
}

fn told(told: &Told) -> types::Told {
    let (word, detail) = match told.verdict {
        Verdict::UnknownNoRecord => ("unknown", Some("no_record")),
        Verdict::UnknownViewEnded => ("unknown", Some("view_ended")),
        Verdict::UnknownNoSource => ("unknown", Some("no_source")),
        Verdict::UnknownClock => ("unknown", Some("clock")),
        Verdict::Closed => ("closed", None),
        Verdict::ClosedLapsed => ("closed", Some("lapsed")),
        Verdict::AsRecorded => (told.document.as_ref().map_or("open", recorded), None),
    };
    let source = told.source.map(|source| match source {
        Source::Direct => "direct",
        Source::Gossip => "gossip",
        Source::Relay => "relay",
        Source::Dht => "dht",
        Source::Cache => "cache",
    });
    let rich = told.document.as_ref().map(Rich::of).unwrap_or_default();
    types::Told {
        contact: String::new(),
        principal: String::new(),
        subscription: String::new(),
        status: word.to_owned(),
        detail: detail.map(str::to_owned),
        notes: rich.notes,
        activities: rich.activities,
        until_at: rich.until_at,
        mood: rich.mood,
        place: rich.place,
        tuples: rich.tuples,
        details: rich.details,
        extensions: rich.extensions,
        source: source.map(str::to_owned),
        age_ms: None,
        issued_at: told.issued.map(at),
        holds_until_at: told.holds_until.map(at),
        sequence: told.sequence,
    }
}

/// An event.
#[must_use]
pub fn event(row: &EventRow) -> types::Event {
    telling(&row.event, row.at).numbered(row.number, at(row.at))
}

fn telling(event: &Event, when: UnixMillis) -> Telling {
    match event {
        Event::NodeStarted => Telling::NodeStarted(types::Happened {}),
        Event::NodeStopping => Telling::NodeStopping(types::Happened {}),
        Event::PresenceChanged {
            contact,
            principal,
            old,
            new,
        } => Telling::PresenceChanged(types::PresenceChange {
            contact: contact.clone(),
            principal: principal.to_string(),
            old: told_then(contact, principal, old, when),
            new: told_then(contact, principal, new, when),
        }),
        Event::PresencePolled {
            contact,
            principal,
            told,
        } => Telling::PresencePolled(types::PolledPresence {
            contact: contact.clone(),
            principal: principal.to_string(),
            presence: told_then(contact, principal, told, when),
        }),
        Event::OwnPresenceChanged(change) => Telling::OwnPresenceChanged(own_change(change, when)),
        Event::ContactAdded {
            contact,
            principal,
            by_our_invite,
        } => Telling::ContactAdded(types::NewContact {
            contact: contact.clone(),
            principal: principal.to_string(),
            by_our_invite: *by_our_invite,
        }),
        Event::ContactRefused {
            contact,
            principal,
            reason,
        } => Telling::ContactRefused(types::RefusedContact {
            contact: contact.clone(),
            principal: principal.to_string(),
            reason: problem(*reason).to_owned(),
        }),
        Event::WatcherApproved {
            contact,
            principal,
            view,
        } => Telling::WatcherApproved(watcher(contact, principal, view)),
        Event::ContactRemoved { contact, principal } => Telling::ContactRemoved(types::FormerContact {
            contact: contact.clone(),
            principal: principal.to_string(),
        }),
        Event::WatcherRevoked {
            contact,
            principal,
            view,
        } => Telling::WatcherRevoked(watcher(contact, principal, view)),
        Event::InviteRevoked { invite } => Telling::InviteRevoked(one_invite(invite)),
        Event::InviteUsed {
            invite,
            contact,
            uses_left,
        } => Telling::InviteUsed(types::InviteUse {
            invite: invite.to_string(),
            contact: contact.clone(),
            uses_left: *uses_left,
        }),
        Event::InviteExpired { invite } => Telling::InviteExpired(one_invite(invite)),
        Event::SubscriptionChanged {
            contact,
            principal,
            old,
            new,
        } => Telling::SubscriptionChanged(types::SubscriptionChange {
            contact: contact.clone(),
            principal: principal.to_string(),
            old: subscription(*old).to_owned(),
            new: subscription(*new).to_owned(),
        }),
        Event::LetterDelivered { contact, letter, kind } => Telling::LetterDelivered(types::DeliveredLetter {
            contact: contact.clone(),
            letter: letter.to_string(),
            kind: kind.clone(),
        }),
        Event::MessageReceived(received) => Telling::MessageReceived(super::messages::received(received)),
        Event::MessageChanged(change) => Telling::MessageChanged(super::messages::changed(change)),
        Event::RelayAdded { node } => Telling::RelayAdded(types::OneNode { node: node.to_string() }),
        Event::RelayLost { node } => Telling::RelayLost(types::OneNode { node: node.to_string() }),
        Event::ReachabilityChanged { reachable } => {
            Telling::ReachabilityChanged(types::Reachability { reachable: *reachable })
        }
        Event::NodeDegraded { reasons } => Telling::NodeDegraded(types::Degraded {
            reasons: reasons.clone(),
        }),
        Event::NodeRecovered => Telling::NodeRecovered(types::Happened {}),
    }
}

/// What was told of a contact when an event happened.
fn told_then(contact: &str, principal: &PrincipalId, it: &Told, when: UnixMillis) -> Box<types::Told> {
    Box::new(types::Told {
        contact: contact.to_owned(),
        principal: principal.to_string(),
        age_ms: it.issued.map(|issued| when.since(issued)),
        ..told(it)
    })
}

fn own_change(change: &OwnPresenceChange, when: UnixMillis) -> types::OwnPresenceChange {
    let mut own = own(&change.own);
    if change.own.state.since == UnixMillis::default() {
        // Before states had a time of their own, that of the event was meant.
        own.since_at = at(when);
    }
    let cause = match change.cause {
        OwnCause::Set => "set",
        OwnCause::Cleared => "cleared",
        OwnCause::Over => "over",
    };
    types::OwnPresenceChange {
        status: own.status.clone(),
        note: own.note.clone(),
        cause: cause.to_owned(),
        own: Box::new(own),
    }
}

fn watcher(contact: &str, principal: &PrincipalId, view: &str) -> types::WatcherChange {
    types::WatcherChange {
        contact: contact.to_owned(),
        principal: principal.to_string(),
        view: view.to_owned(),
    }
}

fn one_invite(invite: &RandomId) -> types::OneInvite {
    types::OneInvite {
        invite: invite.to_string(),
    }
}

/// Says that the events of these numbers are no longer kept, in place of the last of them.
#[must_use]
pub fn lost(from: u64, to: u64, when: UnixMillis) -> types::Event {
    Telling::EventsLost(types::LostEvents { from, to }).numbered(to, at(when))
}

/// What to type to see the things of this kind.
fn listed_by(what: &str) -> &'static str {
    match what {
        "view" => "`porchlight view list` lists the views",
        "invite" => "`porchlight invite list` lists the invites",
        "message that waits to be delivered" => "`porchlight outbox` shows what waits",
        "consumer of events" => "`porchlight events --consumer NAME` makes one",
        _ => "`porchlight contacts` lists the contacts",
    }
}

/// A refusal of the core, with what to do about it.
#[must_use]
pub fn error(error: &CommandError) -> RpcError {
    let (kind, hint) = match error {
        CommandError::NotFound { what, .. } => (Kind::NotFound, listed_by(what)),
        CommandError::NameTaken { .. } => (
            Kind::Conflict,
            "choose another (`porchlight add INVITE --as NAME`); `porchlight contacts` lists the names in use",
        ),
        CommandError::AlreadyContact { .. } => (Kind::Conflict, "there is nothing to add"),
        CommandError::Exists { .. } => (Kind::Conflict, "choose another name"),
        CommandError::InUse { .. } => (
            Kind::Conflict,
            "move them with `porchlight contact view NAME VIEW`, revoke the invites, and try again",
        ),
        CommandError::PresenceOff => (Kind::Denied, "set presence.enabled = true, and restart the node"),
        CommandError::ShowsNothing { .. } => (Kind::Denied, "write to them with `porchlight send NAME`"),
        CommandError::MessagesOff => (Kind::Denied, "set messages.enabled = true, and restart the node"),
        CommandError::TakesNoMessages { .. } => (
            Kind::Denied,
            "their node does not do messages, or its owner switched them off; ask them by another way",
        ),
        CommandError::NothingGranted { .. } => (Kind::Conflict, "there is nothing to take back"),
        CommandError::FetchOnly { .. } => (Kind::Denied, "ask with `porchlight who NAME`"),
        CommandError::OwnInvite => (Kind::Conflict, "whoever gets it types `porchlight add` with it"),
        CommandError::InvalidInvite(_) => (
            Kind::InvalidInvite,
            "paste the whole line that begins with 'porchlight:'",
        ),
        CommandError::OtherNetwork { .. } => (
            Kind::Conflict,
            "make a home in that network with `porchlight init --network NAME`, or ask for an invite for this one",
        ),
        CommandError::InviteExpired { .. } => (
            Kind::Expired,
            "whoever invited you can make another with `porchlight invite new`",
        ),
        CommandError::InviteUsedUp => (
            Kind::UsedUp,
            "whoever invited you can make another with `porchlight invite new`",
        ),
        CommandError::Unreachable { .. } => (
            Kind::Unreachable,
            "`porchlight status` shows who is connected; nothing was changed, so just try again",
        ),
        CommandError::Nothing { .. } => (
            Kind::NotFound,
            "nothing was changed; if it was made just now, try again in a moment; otherwise ask them for a new invite",
        ),
        CommandError::NotGranted { .. } => (
            Kind::Denied,
            "wait for their node to answer; `porchlight contacts` shows the state",
        ),
        CommandError::Invalid { .. } => (
            Kind::InvalidParams,
            "--help of the command, and docs/rpc.md, say what it takes",
        ),
        CommandError::TooLarge { .. } => (
            Kind::TooLarge,
            "nothing was changed; `porchlight presence show` shows what there is",
        ),
        CommandError::Full { .. } => (Kind::RateLimited, "remove some, or wait until some have ended"),
        CommandError::Ended { .. } => (
            Kind::Denied,
            "ask them for a new invite, or forget them with `porchlight contact remove NAME`",
        ),
        CommandError::Stranger { .. } => (Kind::Conflict, "ask them for an invite, or send them one of yours"),
        CommandError::KeyInUse { .. } => (
            Kind::Conflict,
            "make a new key for each call; repeat one only with the same call",
        ),
        CommandError::Stopping => (
            Kind::ShuttingDown,
            "what it printed says why; `porchlight run` starts it again",
        ),
    };
    let message = if let CommandError::InviteExpired { ended } = error {
        format!("this invite ended at {}; ask for a new one", at(*ended))
    } else {
        error.to_string()
    };
    RpcError::new(kind, message).hint(hint)
}
