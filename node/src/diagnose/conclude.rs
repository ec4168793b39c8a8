//! What follows from what a diagnosis found: one conclusion, the cause that comes first, with what to do. Pure.

use crate::clock::ago;
use porchlight_proto::event::{FirstContactProblem, Verdict};
use porchlight_proto::examination::{Examined, FoundRecord, WaitingLetter};
use porchlight_proto::limits::CLOCK_TOLERANCE;
use porchlight_proto::rows::SubscriptionState;
use porchlight_rpc::types::Conclusion;
use porchlight_wire::time::UnixMillis;

/// What was found out.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What the contact is called here, or what was asked for.
    pub name: String,
    /// How far it is with them.
    pub standing: Standing,
    /// What is told of them now.
    pub told: Verdict,
    /// Through whom this node is connected to everyone else.
    pub uplink: Uplink,
    /// By how many milliseconds the clocks of contacts are ahead of ours, in the middle.
    pub clocks_ahead: Option<i64>,
    /// Their presence record in the DHT.
    pub record: Record,
    /// Whether their node can be dialled.
    pub reach: Reach,
    /// The time.
    pub now: UnixMillis,
}

/// How far it is with a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is none of this name or id.
    NoContact,
    /// They did not take our introduction.
    Refused(FirstContactProblem),
    /// They ended it, or granted nothing that one can be notified of.
    Ended,
    /// Our introduction has not been answered; where it is, or why it was not taken last.
    Unanswered(Option<String>),
    /// They hold our view, and have granted nothing.
    NothingGranted,
    /// We hold a view and did not subscribe to it.
    NotSubscribed,
    /// The view we hold went silent or was replaced, and we have asked for the next one; why that was not taken last.
    Stale(Option<String>),
    /// We hold a view.
    Granted,
}

/// Through whom this node is connected to everyone else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uplink {
    /// So many relays; or this is one.
    Relays,
    /// Through none, and no seed peer is configured.
    NoSeedPeers,
    /// Through none: the seed peers do not answer. What dialling them came to.
    SeedPeersSilent(String),
    /// Through none: something else than was configured answers. What.
    SeedPeersWrong(String),
}

/// Their presence record in the DHT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// There was nowhere to look, or nobody to ask.
    NotLooked,
    /// Nobody answered.
    NobodyAnswered,
    /// So many answered, and none has one.
    Nowhere(u32),
    /// One is there.
    Found(FoundRecord),
}

/// Whether their node can be dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It is not known where.
    NoAddress,
    /// It is connected.
    Connected,
    /// It answered just now.
    Answered,
    /// It did not; what came instead.
    Unanswered(String),
}

/// How far it is with a contact, from what the core knows of them.
#[must_use]
pub fn standing(examined: &Examined) -> Standing {
    let contact = &examined.contact;
    let introduction = examined.letters.iter().find(|letter| letter.kind == "introduce");
    let why = |letter: &WaitingLetter| match letter.stored {
        true => Some("a relay keeps it in their mailbox".to_owned()),
        false => letter.failure.clone(),
    };
    match (contact.subscription, contact.problem, examined.held) {
        (Some(SubscriptionState::Refused), Some(problem), _) => Standing::Refused(problem),
        (Some(SubscriptionState::Refused | SubscriptionState::Cancelled), _, _) => Standing::Ended,
        _ if introduction.is_some() => Standing::Unanswered(introduction.and_then(why)),
        (Some(SubscriptionState::Provisional | SubscriptionState::Pending), ..) => Standing::NothingGranted,
        (_, _, None) => Standing::NothingGranted,
        (None, ..) => Standing::NotSubscribed,
        (Some(SubscriptionState::Stale), ..) => Standing::Stale(examined.letters.last().and_then(why)),
        (Some(SubscriptionState::Active), ..) => Standing::Granted,
    }
}

/// The one conclusion.
#[must_use]
pub fn conclude(facts: &Facts) -> Conclusion {
    let name = &facts.name;
    let reached = matches!(facts.reach, Reach::Connected | Reach::Answered);
    // What they have said once stands, whatever the network does now.
    match &facts.standing {
        Standing::NoContact => {
            return bad(
                "not_a_contact",
                format!("'{name}' is no contact of this node"),
                "`porchlight contacts` lists the contacts; `porchlight add INVITE` makes one",
            );
        }
        Standing::Refused(problem) => {
            return bad(
                "introduction_refused",
                format!("{name}'s node did not take the introduction: {}", refused(*problem)),
                "ask them for a new invite, and use it with `porchlight add`",
            );
        }
        Standing::Ended => {
            return bad(
                "ended_by_them",
                format!("{name} took back what this node could see: they removed you, or show you nothing any more"),
                "ask them for a new invite, or forget them with `porchlight contact remove`",
            );
        }
        Standing::NotSubscribed => {
            return bad(
                "not_subscribed",
                format!("{name} could be seen, but this node is not subscribed to them"),
                "`porchlight subscribe NAME` has you notified; `porchlight who NAME` asks once",
            );
        }
        Standing::Unanswered(_) | Standing::NothingGranted | Standing::Stale(_) | Standing::Granted => {}
    }
    if !reached && let Some(cut_off) = cut_off(facts) {
        return cut_off;
    }
    if let Some(clock) = clock(facts) {
        return clock;
    }
    match &facts.standing {
        Standing::Unanswered(why) => {
            let why = why.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
            bad(
                "not_answered",
                format!("{name}'s node has not answered the introduction yet{why}"),
                "it goes on being offered while this node runs: to their node, or to their mailbox if they have one; ask them \
                 whether their node runs",
            )
        }
        Standing::NothingGranted => bad(
            "nothing_granted",
            format!("{name} is a contact, and has granted this node nothing to see yet"),
            "ask them to show you a view: `porchlight contact view NAME VIEW` at their node",
        ),
        Standing::Stale(why) => stale(facts, why.as_deref()),
        Standing::NoContact | Standing::Refused(_) | Standing::Ended | Standing::NotSubscribed | Standing::Granted => {
            seen(facts, reached)
        }
    }
}

/// What follows if a view is held and the network is there.
fn seen(facts: &Facts, reached: bool) -> Conclusion {
    let name = &facts.name;
    match (facts.told, &facts.record) {
        (_, Record::Found(FoundRecord::Unreadable))
        | (
            _,
            Record::Found(FoundRecord::Read {
                verdict: Verdict::UnknownViewEnded,
                ..
            }),
        )
        | (Verdict::UnknownViewEnded, _) => stale(facts, None),
        (Verdict::AsRecorded, _) if reached => good(
            "reachable",
            format!("nothing is in the way: {name} is shown as they say, and their node can be reached directly"),
            "there is nothing to do",
        ),
        (Verdict::AsRecorded, _) => good(
            "seen_not_reached",
            format!(
                "{name} is seen, through relays: their node cannot be dialled from here ({}), so that letters go to its \
                 mailbox, or wait until it dials this one",
                unreached(&facts.reach)
            ),
            "there is nothing to do for presence; for a direct way, one of the two has to listen where the other can dial it",
        ),
        (Verdict::Closed, _)
        | (
            _,
            Record::Found(FoundRecord::Read {
                verdict: Verdict::Closed,
                ..
            }),
        ) => away(facts, reached),
        (
            _,
            Record::Found(FoundRecord::Read {
                verdict: Verdict::AsRecorded,
                issued,
            }),
        ) => bad(
            "no_source",
            format!(
                "{name} is there (their record of {} is in the DHT), but nobody is connected through whom news of them would \
                 come by itself",
                ago(facts.now.since(*issued))
            ),
            "`porchlight who NAME` asks now; a relay that both of you use, in seed_peers, brings news by itself",
        ),
        (_, Record::NobodyAnswered) => bad(
            "lookups_unanswered",
            format!("the nodes that are connected answer no lookups, so that nothing can be found of {name}"),
            "try another relay; `porchlight net peers` shows which are connected",
        ),
        _ if reached => bad(
            "silent",
            format!("{name}'s node answers, but no current record of theirs is to be found"),
            "their node may have just started: look again in a minute; if it goes on, ask them what `porchlight health` says",
        ),
        (_, Record::Found(FoundRecord::Read { issued, .. })) => lapsed(facts, Some(*issued)),
        (Verdict::ClosedLapsed, _) => lapsed(facts, None),
        (_, Record::Nowhere(answered)) => bad(
            "record_nowhere",
            format!(
                "{name}'s record is nowhere: {} answered and none has one; they have been away for over two days, or are in \
                 another network",
                nodes(*answered)
            ),
            "ask them whether their node runs, and which relays it uses",
        ),
        (_, Record::NotLooked) => bad(
            "not_looked",
            format!("nobody could be asked for {name}'s record"),
            "`porchlight health` says what this node lacks",
        ),
    }
}

fn cut_off(facts: &Facts) -> Option<Conclusion> {
    let name = &facts.name;
    match &facts.uplink {
        Uplink::Relays => None,
        Uplink::NoSeedPeers => Some(bad(
            "cut_off",
            format!(
                "this node is cut off: no relay is connected, no seed peer is configured, and {name}'s node is not reached"
            ),
            "add seed_peers to config.toml, or start with --seed-peer",
        )),
        Uplink::SeedPeersSilent(what) => Some(bad(
            "cut_off",
            format!("this node is cut off: no relay is connected, and its seed peers do not answer ({what})"),
            "look at this machine's network, and whether those relays run; the node goes on trying",
        )),
        Uplink::SeedPeersWrong(what) => Some(bad(
            "wrong_seed_peer",
            format!("this node is cut off: where its seed peers should be, something else answers ({what})"),
            "correct seed_peers, or the network, in config.toml",
        )),
    }
}

fn clock(facts: &Facts) -> Option<Conclusion> {
    let ahead = facts.clocks_ahead.unwrap_or(0);
    if facts.told != Verdict::UnknownClock && ahead.unsigned_abs() < CLOCK_TOLERANCE {
        return None;
    }
    let by = match ahead.unsigned_abs() / 1_000 {
        0 => String::new(),
        seconds => format!(", by {seconds} s"),
    };
    Some(bad(
        "clock_off",
        format!(
            "the clocks of this machine and of {}'s do not fit together{by}",
            facts.name
        ),
        "set the clock that is wrong, and have it kept right (NTP)",
    ))
}

fn stale(facts: &Facts, why: Option<&str>) -> Conclusion {
    let why = why.map_or_else(String::new, |why| format!(" ({why})"));
    bad(
        "view_replaced",
        format!(
            "the view that {} granted has ended or gone silent, and the next one has not come yet{why}",
            facts.name
        ),
        "this node asks for it until their node is reached; ask them whether their node runs",
    )
}

fn away(facts: &Facts, reached: bool) -> Conclusion {
    let name = &facts.name;
    let since = match facts.record {
        Record::Found(FoundRecord::Read { issued, .. }) => {
            format!("; their record is of {}", ago(facts.now.since(issued)))
        }
        Record::NotLooked | Record::NobodyAnswered | Record::Nowhere(_) | Record::Found(FoundRecord::Unreadable) => {
            String::new()
        }
    };
    if reached {
        return good(
            "away",
            format!("{name} says closed: their node runs and answers, and that is what they show{since}"),
            "there is nothing to do",
        );
    }
    good(
        "away",
        format!("{name} is away: their node said goodbye and closed{since}"),
        "wait until they are back; this node is told by itself",
    )
}

fn lapsed(facts: &Facts, issued: Option<UnixMillis>) -> Conclusion {
    let name = &facts.name;
    let last = issued.map_or_else(String::new, |issued| {
        format!(" (the last one is of {})", ago(facts.now.since(issued)))
    });
    bad(
        "lapsed",
        format!(
            "{name}'s node has gone without a goodbye: its last record has lapsed{last}, and it does not answer ({})",
            unreached(&facts.reach)
        ),
        "it was switched off, or lost its network; this node is told when it is back",
    )
}

fn unreached(reach: &Reach) -> String {
    match reach {
        Reach::NoAddress => "their card names no address".to_owned(),
        Reach::Connected | Reach::Answered => "it answers".to_owned(),
        Reach::Unanswered(what) => what.clone(),
    }
}

const fn refused(problem: FirstContactProblem) -> &'static str {
    match problem {
        FirstContactProblem::InviteUsedUp => "the invite is used up",
        FirstContactProblem::InviteExpired => "the invite has ended",
        FirstContactProblem::NotAdmitted => "it does not know the invite any more",
        FirstContactProblem::Unreachable => "it could not be reached",
        FirstContactProblem::Refused => "they said no",
    }
}

fn nodes(count: u32) -> String {
    match count {
        1 => "one node".to_owned(),
        more => format!("{more} nodes"),
    }
}

fn good(kind: &str, message: String, hint: &str) -> Conclusion {
    Conclusion {
        kind: kind.to_owned(),
        ok: true,
        message,
        hint: hint.to_owned(),
    }
}

fn bad(kind: &str, message: String, hint: &str) -> Conclusion {
    Conclusion {
        ok: false,
        ..good(kind, message, hint)
    }
}

#[cfg(test)]
mod tests;
