//! What the node tells its local clients: numbered rows, written in the transaction of what they tell of.

use crate::messaging::rows::MessageState;
use crate::reply::OwnPresence;
use crate::rows::SubscriptionState;
use porchlight_wire::ids::{NodeId, PrincipalId, RandomId};
use porchlight_wire::presence::PresenceDocument;
use porchlight_wire::time::UnixMillis;
use serde::{Deserialize, Serialize};

/// One event, with all that a client needs to act on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The node came up.
    NodeStarted,
    /// The node says goodbye.
    NodeStopping,
    /// What is told of a contact has changed.
    PresenceChanged {
        /// The petname.
        contact: String,
        /// Who.
        principal: PrincipalId,
        /// What was told before.
        old: Box<Told>,
        /// What is told now.
        new: Box<Told>,
    },
    /// What a poll was told of a contact is something else than last time.
    PresencePolled {
        /// The petname.
        contact: String,
        /// Who.
        principal: PrincipalId,
        /// What was told.
        told: Box<Told>,
    },
    /// Our own presence is another one: as usual, or as a view shows it.
    OwnPresenceChanged(Box<OwnPresenceChange>),
    /// Someone became a contact.
    ContactAdded {
        /// The petname.
        contact: String,
        /// Who.
        principal: PrincipalId,
        /// Whether they used an invite of ours (else we used one of theirs).
        by_our_invite: bool,
    },
    /// First contact was refused by the other side.
    ContactRefused {
        /// The petname.
        contact: String,
        /// Who.
        principal: PrincipalId,
        /// Why.
        reason: FirstContactProblem,
    },
    /// Someone was granted a view of ours (watcher information, RFC 3857).
    WatcherApproved {
        /// The petname.
        contact: String,
        /// Who.
        principal: PrincipalId,
        /// Which view.
        view: String,
    },
    /// Someone is no longer a contact.
    ContactRemoved {
        /// The petname they had.
        contact: String,
        /// Who.
        principal: PrincipalId,
    },
    /// Someone no longer sees a view of ours.
    WatcherRevoked {
        /// The petname.
        contact: String,
        /// Who.
        principal: PrincipalId,
        /// Which view.
        view: String,
    },
    /// An invite of ours was revoked.
    InviteRevoked {
        /// Which.
        invite: RandomId,
    },
    /// An invite of ours was used.
    InviteUsed {
        /// Which.
        invite: RandomId,
        /// By whom (petname).
        contact: String,
        /// How many more may.
        uses_left: u32,
    },
    /// An invite of ours ended.
    InviteExpired {
        /// Which.
        invite: RandomId,
    },
    /// The state of a subscription of ours has changed.
    SubscriptionChanged {
        /// The petname.
        contact: String,
        /// Who.
        principal: PrincipalId,
        /// What it was; none: there was none.
        old: Option<SubscriptionState>,
        /// What it is; none: ended by us.
        new: Option<SubscriptionState>,
    },
    /// A letter reached the other side.
    LetterDelivered {
        /// The petname.
        contact: String,
        /// Which letter.
        letter: RandomId,
        /// What kind: "introduce", "grant", …
        kind: String,
    },
    /// A message of ours has come further, or to its end.
    MessageChanged(MessageChange),
    /// A message came, and is the next to be shown.
    MessageReceived(Box<MessageReceived>),
    /// A relay was connected.
    RelayAdded {
        /// Which.
        node: NodeId,
    },
    /// The connection to a relay was lost.
    RelayLost {
        /// Which.
        node: NodeId,
    },
    /// Whether anyone is live for us has changed.
    ReachabilityChanged {
        /// Whether a relay or a contact's node answers.
        reachable: bool,
    },
    /// This node does not do all that it should.
    NodeDegraded {
        /// Kinds of reasons.
        reasons: Vec<String>,
    },
    /// It does again.
    NodeRecovered,
}

/// A change of our own presence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnPresenceChange {
    /// Why.
    #[serde(default)]
    pub cause: OwnCause,
    /// What holds now.
    #[serde(flatten)]
    pub own: OwnPresence,
}

/// Why our own presence is another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OwnCause {
    /// It was set.
    #[default]
    Set,
    /// What was set was taken back.
    Cleared,
    /// What held for a while is over.
    Over,
}

/// How far a message of ours has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageChange {
    /// The petname of the recipient.
    pub contact: String,
    /// Who.
    pub principal: PrincipalId,
    /// Which message.
    pub message: RandomId,
    /// Its number among all kept here.
    pub number: u64,
    /// How far.
    pub state: MessageState,
}

/// A message that came, as far as a client needs it to show it. All of it is read by its id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageReceived {
    /// The petname of the sender.
    pub contact: String,
    /// Who.
    pub principal: PrincipalId,
    /// Its id.
    pub message: RandomId,
    /// Its number among all kept here.
    pub number: u64,
    /// Its text; the beginning, if it is long.
    pub text: String,
    /// Whether there is more of it.
    pub cut: bool,
    /// Its subject.
    pub subject: Option<String>,
    /// The media type of its preferred body.
    pub media_type: Option<String>,
    /// When it was written, by the sender's clock.
    pub created: UnixMillis,
    /// Something may be missing before it.
    pub after_gap: bool,
    /// Whether there is a signature, which was checked.
    pub signed: bool,
    /// How many messages of theirs are unread, this one among them.
    pub unread: u64,
}

/// What a watcher is told: the result of [`belief`](crate::presence::belief()).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// The verdict.
    pub verdict: Verdict,
    /// The document, where there is a record at all and it is not unknown.
    pub document: Option<PresenceDocument>,
    /// How the newest record came; none without a record.
    pub source: Option<Source>,
    /// When it was issued, by the presentity's clock.
    pub issued: Option<UnixMillis>,
    /// Until when the verdict holds if nothing new comes; none: until something happens.
    pub holds_until: Option<UnixMillis>,
    /// The record's sequence.
    pub sequence: Option<u64>,
}

/// The first line that fits of the design's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// No record is known.
    UnknownNoRecord,
    /// The view we held has ended, and we do not hold the next one (yet).
    UnknownViewEnded,
    /// There is a record, but no live source: it may be we who are cut off.
    UnknownNoSource,
    /// The record's issue time lies too far in the future.
    UnknownClock,
    /// The record says CLOSED.
    Closed,
    /// The lease is over.
    ClosedLapsed,
    /// As recorded: OPEN, with its activities.
    AsRecorded,
}

/// How a record came to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Source {
    /// From the presentity's own node.
    Direct,
    /// By gossip, through another node.
    Gossip,
    /// Followed at a relay.
    Relay,
    /// By a lookup.
    Dht,
    /// From our own disk, after a restart.
    Cache,
}

/// Why first contact does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FirstContactProblem {
    /// The invite's uses are spent.
    InviteUsedUp,
    /// The invite has ended.
    InviteExpired,
    /// The other side does not know the invite (any more).
    NotAdmitted,
    /// The other side could not be reached yet; it goes on being tried.
    Unreachable,
    /// The other side answered something that does not fit.
    Refused,
}
