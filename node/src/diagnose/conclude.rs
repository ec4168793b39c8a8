//! What follows from what a diagnosis found: one conclusion, the cause that comes first, with what to do. Pure.

use crate::clock::{age, ago};
use porchlight_proto::event::{FirstContactProblem, Verdict};
use porchlight_proto::examination::{Examined, FoundRecord, WaitingLetter};
use porchlight_proto::limits::CLOCK_TOLERANCE;
use porchlight_proto::messaging::rows::FailureReason;
use porchlight_proto::rows::SubscriptionState;
use porchlight_rpc::types::Conclusion;
use porchlight_wire::time::UnixMillis;

/// How late a record may come before it is missed: the network takes its time, and clocks differ.
const RENEWAL_TOLERANCE: u64 = 5_000;

/// What was found out.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What the contact is called here, or what was asked for.
    pub name: String,
    /// How far it is with them.
    pub standing: Standing,
    /// What is told of them now.
    pub told: Verdict,
    /// What was heard of them last, if it still holds.
    pub heard: Option<Heard>,
    /// Through whom this node is connected to everyone else.
    pub uplink: Uplink,
    /// Relays that this node uses and that do not answer, in words.
    pub lost_relays: Vec<String>,
    /// By how many milliseconds the clocks of contacts are ahead of ours, in the middle.
    pub clocks_ahead: Option<i64>,
    /// Their presence record in the DHT.
    pub record: Record,
    /// Whether their node can be dialled.
    pub reach: Reach,
    /// Whether the relays that their card names answer.
    pub their_relays: TheirRelays,
    /// How far messages to them are.
    pub messages: Messages,
    /// The time.
    pub now: UnixMillis,
}

/// What was heard last of somebody who is shown as they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// When it was issued.
    pub issued: UnixMillis,
    /// Until when it holds if nothing newer comes.
    pub holds_until: UnixMillis,
    /// It came from their own node.
    pub direct: bool,
}

impl Heard {
    /// When they say it again if they are there: at two thirds of the time for which it holds.
    fn renewed(&self) -> UnixMillis {
        self.issued.plus(self.holds_until.since(self.issued) / 3 * 2)
    }
}

/// Messages to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// Those that no receipt has come for.
    pub waiting: usize,
    /// Those of them that relays keep.
    pub stored: usize,
    /// Until when relays keep the first of them.
    pub stored_until: Option<UnixMillis>,
    /// Why the last one will not be delivered, if that is so.
    pub refused: Option<FailureReason>,
}

/// Whether the relays that a contact's card names answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TheirRelays {
    /// It names none.
    NoneNamed,
    /// One of them does.
    Answer,
    /// None of them does; what came instead.
    Silent(String),
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
    /// It did not, and nothing listens at any of its addresses.
    NobodyListens,
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

/// The one conclusion, and what else should be known.
#[must_use]
pub fn conclude(facts: &Facts) -> Conclusion {
    let cause = cause(facts);
    let also = also(facts, &cause.kind);
    Conclusion { also, ..cause }
}

fn cause(facts: &Facts) -> Conclusion {
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
        (Verdict::AsRecorded, _)
            if reached
                && let Some(reason @ (FailureReason::Refused | FailureReason::NotAdmitted)) =
                    facts.messages.refused =>
        {
            bad(
                "messages_refused",
                format!(
                    "{name} is shown as they say, and their node can be reached; but it did not take the last message: {}",
                    why_failed(reason)
                ),
                "`porchlight log NAME` shows which; ask them, another way, whether they mean it",
            )
        }
        (Verdict::AsRecorded, _) if reached => good(
            "reachable",
            format!("nothing is in the way: {name} is shown as they say, and their node can be reached directly"),
            "there is nothing to do",
        ),
        (Verdict::AsRecorded, _) if is_missed(facts) => not_answering(facts),
        (Verdict::AsRecorded, _) => good(
            "seen_not_reached",
            format!(
                "{name} is seen, through relays{}: their node cannot be dialled from here ({}), so that letters and \
                 messages go to its mailbox, or wait until it dials this one",
                last_heard(facts),
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
                nodes(usize::try_from(*answered).unwrap_or(usize::MAX))
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

/// Whether somebody who is shown as they say, and not reached, should have been: what they said came from their node or nothing
/// listens where it was, or they have not said it again in time.
fn is_missed(facts: &Facts) -> bool {
    let Some(heard) = &facts.heard else { return false };
    let was_there = heard.direct || facts.reach == Reach::NobodyListens;
    was_there || heard.renewed().plus(RENEWAL_TOLERANCE) < facts.now
}

fn last_heard(facts: &Facts) -> String {
    facts.heard.map_or_else(String::new, |heard| {
        format!(
            " (last heard of {}, which holds for {} more)",
            ago(facts.now.since(heard.issued)),
            still(heard.holds_until.since(facts.now))
        )
    })
}

fn not_answering(facts: &Facts) -> Conclusion {
    let name = &facts.name;
    let due = facts.heard.map_or_else(String::new, |heard| {
        if facts.now < heard.renewed() {
            format!("; the next is due in {}", still(heard.renewed().since(facts.now)))
        } else {
            format!("; the next was due {}", ago(facts.now.since(heard.renewed())))
        }
    });
    bad(
        "not_answering",
        format!(
            "{name}'s node does not answer ({}), though what it said last holds{}{due}",
            unreached(&facts.reach),
            last_heard(facts)
        ),
        "if it stopped without a goodbye, they are shown as closed (lapsed) when that is over: look again then; if it is only \
         seen through relays, nothing is wrong",
    )
}

/// A time to come, of a second at least: what holds for less is as good as over.
fn still(ms: u64) -> String {
    age(ms.max(1_000))
}

/// What is not the cause, and should be known all the same.
fn also(facts: &Facts, kind: &str) -> Vec<String> {
    let mut also = Vec::new();
    let messages = &facts.messages;
    if let Some(reason) = messages.refused
        && kind != "messages_refused"
    {
        also.push(format!(
            "the last message to them will not be delivered: {}",
            why_failed(reason)
        ));
    }
    let here = messages.waiting - messages.stored.min(messages.waiting);
    if let (stored @ 1.., Some(until)) = (messages.stored, messages.stored_until) {
        also.push(format!(
            "relays keep {} for them, for {} more; `porchlight outbox` shows which",
            counted_as(stored, "one message", "messages"),
            still(until.since(facts.now))
        ));
    }
    if here > 0 {
        also.push(format!(
            "{} for their receipt and {} not at relays; `porchlight outbox` shows how long each is kept",
            counted_as(here, "one message waits", "messages wait"),
            if here == 1 { "is" } else { "are" }
        ));
    }
    let reached = matches!(facts.reach, Reach::Connected | Reach::Answered);
    if let (false, TheirRelays::Silent(what)) = (reached, &facts.their_relays) {
        also.push(format!(
            "none of the relays that their card names answers ({what}): nothing can be left for them there"
        ));
    }
    // Where all are lost, that is the cause.
    if facts.uplink == Uplink::Relays && !facts.lost_relays.is_empty() {
        also.push(format!(
            "of the relays that this node uses, {} not answer: {}; with no other left it would be cut off",
            counted_as(facts.lost_relays.len(), "one does", "do"),
            facts.lost_relays.join(", ")
        ));
    }
    also
}

/// Why a message will not be delivered.
pub(super) const fn why_failed(reason: FailureReason) -> &'static str {
    match reason {
        FailureReason::NotAdmitted => "their node does not know you (any more)",
        FailureReason::Refused => "they do not take your messages",
        FailureReason::Invalid => "their node could not make sense of it",
        FailureReason::Removed => "they were no contact any more",
    }
}

/// A count in words: `one node`, `3 nodes`.
pub(super) fn counted_as(count: usize, one: &str, more: &str) -> String {
    match count {
        1 => one.to_owned(),
        count => format!("{count} {more}"),
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
        Reach::NobodyListens => "nobody listens there".to_owned(),
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

/// So many nodes, in words.
pub(super) fn nodes(count: usize) -> String {
    counted_as(count, "one node", "nodes")
}

fn good(kind: &str, message: String, hint: &str) -> Conclusion {
    Conclusion {
        kind: kind.to_owned(),
        ok: true,
        message,
        hint: hint.to_owned(),
        also: Vec::new(),
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
