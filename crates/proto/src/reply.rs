//! What the core answers to a command: a reply, or why not. `node` turns both into what clients read; nothing here is on disk but in
//! answers that are kept for calls with a key.

use crate::event::{FirstContactProblem, Told};
use crate::examination::Examined;
use crate::health::Condition;
use crate::input::OwnPart;
use crate::messaging::rows::OutboxRow;
use crate::relays::{KeepingInfo, RelayInfo};
use crate::rows::{OwnState, OwnTuple, Projection, ReachLevel, Status, SubscriptionState};
use porchlight_wire::cbor::Value;
use porchlight_wire::grant::Right;
use porchlight_wire::ids::{NodeAddress, NodeId, PrincipalId, RandomId};
use porchlight_wire::presence::{Detail, PresenceDocument};
use porchlight_wire::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The answer to a [`Command`](crate::Command).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// To `CreateInvite`.
    Invite {
        /// Names it.
        id: RandomId,
        /// The `porchlight:` URI.
        uri: String,
        /// The same for a QR code.
        qr: String,
        /// How many may use it.
        uses: u32,
        /// When it ends.
        expires: UnixMillis,
        /// Where those who use it are told to go.
        reach: Vec<NodeAddress>,
    },
    /// To `AddContact`, `UpdateContact` and `RevokeGrant`.
    Contact(ContactInfo),
    /// To `RemoveContact`.
    Removed {
        /// The petname they had.
        contact: String,
        /// Who.
        principal: PrincipalId,
    },
    /// To `CreateView`, `UpdateView` and `DeleteView`.
    View(ViewInfo),
    /// To `ListViews`, by name.
    Views(Vec<ViewInfo>),
    /// To `ListGrants`, by petname.
    Grants(Vec<GrantInfo>),
    /// To `ListWatchers`, by petname.
    Watchers(Vec<WatcherInfo>),
    /// To `ListInvites`, oldest first.
    Invites(Vec<InviteInfo>),
    /// To `RevokeInvite`.
    InviteRevoked {
        /// Which.
        id: RandomId,
    },
    /// To `ListContacts`.
    Contacts(Vec<ContactInfo>),
    /// To `SetPresence` and `ClearPresence`: what holds now.
    Presence(Box<OwnPresence>),
    /// To `ShowPresence`.
    OwnPresences {
        /// As usual.
        usual: Box<OwnPresence>,
        /// For each view, by name.
        views: Vec<ViewPresence>,
    },
    /// To `Fetch`.
    Told(Box<ContactPresence>),
    /// To `Subscribe` and `Unsubscribe`.
    Subscription {
        /// The petname.
        contact: String,
        /// The state it is in now; none: not subscribed.
        state: Option<SubscriptionState>,
    },
    /// To `Poll` and `Unpoll`.
    Poll(PollInfo),
    /// To `ListPolls`, by petname.
    Polls(Vec<PollInfo>),
    /// To `ListPresence`.
    Presences {
        /// Our own, as usual.
        own: Box<OwnPresence>,
        /// The contacts, by petname.
        contacts: Vec<ContactPresence>,
    },
    /// To `Consumer` and `Acknowledge`.
    Consumer {
        /// Up to where it has acknowledged.
        acknowledged: u64,
        /// The newest event there is.
        newest: u64,
    },
    /// To `UseRelay`.
    Relay(RelayInfo),
    /// To `ListRelays`.
    Relays(Vec<RelayInfo>),
    /// To `Keeping`; none: this node keeps none.
    Keeping(Option<KeepingInfo>),
    /// To `SendMessage`.
    MessageQueued {
        /// The petname of the recipient.
        contact: String,
        /// Who.
        principal: PrincipalId,
        /// The message.
        message: RandomId,
        /// Its number among all kept here.
        number: u64,
        /// When it is given up.
        expires: UnixMillis,
    },
    /// To `CancelMessage`.
    MessageCancelled {
        /// Which.
        message: RandomId,
        /// It was on its way already.
        may_have_arrived: bool,
    },
    /// To `RetryMessages`.
    MessagesRetried {
        /// How many messages wait.
        waiting: usize,
    },
    /// To `ListOutbox`: petnames and messages, in the order in which they were written.
    Outbox(Vec<(String, OutboxRow)>),
    /// To `MarkRead`.
    MarkedRead {
        /// The petname.
        contact: String,
        /// How many were marked.
        read: usize,
        /// How many are unread still.
        unread: u64,
    },
    /// To `ListConversations`: petname, who, how many messages are unread, and up to which number all were read.
    Conversations(Vec<(String, PrincipalId, u64, u64)>),
    /// To `Condition`.
    Condition(Box<Condition>),
    /// To `Examine`.
    Examined(Box<Examined>),
    /// To `Stop`.
    Stopping,
}

/// Our own presence as local clients see it: what holds as usual, or for a view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnPresence {
    /// For which view; none: as usual.
    #[serde(default)]
    pub view: Option<String>,
    /// How we are.
    #[serde(flatten)]
    pub state: OwnState,
    /// The status that follows, if this one is over by itself.
    #[serde(default)]
    pub back_to: Option<Status>,
    /// Contact details.
    #[serde(default)]
    pub details: Vec<Detail>,
    /// Means of communication.
    #[serde(default)]
    pub tuples: Vec<OwnTuple>,
    /// Fields that the specification does not know.
    #[serde(default)]
    pub extensions: BTreeMap<String, Value>,
}

/// Our own presence for one view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewPresence {
    /// What the view shows.
    pub projection: Projection,
    /// Which parts are the view's own; the others are the usual ones.
    pub own_parts: BTreeSet<OwnPart>,
    /// What holds for it.
    pub presence: OwnPresence,
    /// What its watchers see of that.
    pub sees: PresenceDocument,
}

/// A contact as local clients see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContactInfo {
    /// Our petname for them.
    pub name: String,
    /// Who they are.
    pub principal: PrincipalId,
    /// What they call themselves.
    pub told_name: Option<String>,
    /// The state of our subscription; none: not subscribed.
    pub subscription: Option<SubscriptionState>,
    /// The view of ours that they hold, or will once the grant is delivered.
    pub view: Option<String>,
    /// Since when they are a contact.
    pub added: UnixMillis,
    /// Letters that wait to be delivered to them.
    pub waiting: u32,
    /// What is in the way of first contact, if anything.
    pub problem: Option<FirstContactProblem>,
    /// Their messages are not taken; and whether they are not to know.
    #[serde(default)]
    pub blocked: Option<bool>,
    /// Since when we have made sure that they are who they say.
    #[serde(default)]
    pub verified: Option<UnixMillis>,
    /// Their node, where their card names one.
    pub node: Option<NodeId>,
    /// We watch what they show to everyone, and they do not know us.
    #[serde(default)]
    pub public: bool,
}

/// A view as local clients see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewInfo {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub projection: Projection,
    /// What grants of it carry.
    pub rights: BTreeSet<Right>,
    /// How much it tells of where our node is.
    pub reach: ReachLevel,
    /// Its current generation.
    pub generation: u64,
    /// The contacts who hold it, or will once their grant is delivered.
    pub contacts: Vec<String>,
    /// Invites whose users will be granted it.
    pub invites: u32,
}

/// A grant of ours as local clients see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GrantInfo {
    /// To whom: our petname for them.
    pub contact: String,
    /// To whom.
    pub principal: PrincipalId,
    /// Names it.
    pub id: RandomId,
    /// Of which view.
    pub view: String,
    /// What it lets them do.
    pub rights: BTreeSet<Right>,
    /// Which generation of the view.
    pub generation: u64,
    /// When it ends, unless it is renewed.
    pub not_after: UnixMillis,
    /// Whether it has reached them.
    pub delivered: bool,
}

/// A watcher as local clients see them (watcher information, RFC 3857).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WatcherInfo {
    /// Our petname for them.
    pub contact: String,
    /// Who.
    pub principal: PrincipalId,
    /// What they see; none: nothing any more.
    pub view: Option<String>,
    /// How far it is.
    pub state: WatcherState,
    /// Whether their node is connected with ours now. Whoever holds a view can also read it unseen.
    pub connected: bool,
    /// Their node, where their card names one.
    pub node: Option<NodeId>,
}

/// The state of a watcher, in RFC 3857's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WatcherState {
    /// Granted, and the grant waits to be delivered.
    Waiting,
    /// They hold the view.
    Active,
    /// Removed, and still to be told so.
    Terminated,
}

/// An invite of ours as local clients see it. The secrets in it are not shown again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InviteInfo {
    /// Names it.
    pub id: RandomId,
    /// The view its users are granted.
    pub view: String,
    /// How many may use it in all.
    pub uses: u32,
    /// How many more may.
    pub uses_left: u32,
    /// Who has: petnames, or short ids of those who are no contacts any more.
    pub used_by: Vec<String>,
    /// When it was made.
    pub created: UnixMillis,
    /// When it ends.
    pub expires: UnixMillis,
}

/// The schedule on which a contact is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PollInfo {
    /// Our petname for them.
    pub name: String,
    /// Who they are.
    pub principal: PrincipalId,
    /// Milliseconds from one time to the next; none: they are not asked.
    pub every: Option<u64>,
    /// When they were asked last, in this run.
    pub polled: Option<UnixMillis>,
    /// When they are asked next.
    pub next: Option<UnixMillis>,
}

/// What is told of a contact's presence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContactPresence {
    /// Our petname for them.
    pub name: String,
    /// Who they are.
    pub principal: PrincipalId,
    /// The state of our subscription; none: not subscribed.
    pub subscription: Option<SubscriptionState>,
    /// What is told, with source, age and how long it holds.
    pub told: Told,
    /// Its age at the time of the answer, in milliseconds since it was issued.
    pub age: Option<u64>,
}

/// Why a command was not done. Nothing was changed. `hint` texts for people live with the command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum CommandError {
    /// No such contact, view or consumer.
    #[error("there is no {what} called '{name}'")]
    NotFound {
        /// What kind of thing.
        what: String,
        /// What it was called.
        name: String,
    },
    /// The name is in use.
    #[error("the name '{name}' is taken by another contact")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// There is one of this name.
    #[error("there is a {what} called '{name}' already")]
    Exists {
        /// What kind of thing.
        what: String,
        /// The name.
        name: String,
    },
    /// It is in use.
    #[error("the {what} '{name}' is in use by {by}")]
    InUse {
        /// What kind of thing.
        what: String,
        /// Its name.
        name: String,
        /// By whom.
        by: String,
    },
    /// There is nothing to take back.
    #[error("'{name}' was granted nothing")]
    NothingGranted {
        /// The petname.
        name: String,
    },
    /// What we hold lets us ask, not be notified.
    #[error("'{name}' lets this node ask for their presence, but not be notified of it")]
    FetchOnly {
        /// The petname.
        name: String,
    },
    /// They are a contact already.
    #[error("{name} is a contact already")]
    AlreadyContact {
        /// The petname.
        name: String,
    },
    /// One's own invite.
    #[error("this invite is your own; give it to someone else")]
    OwnInvite,
    /// The text is no invite that can be read.
    #[error("{0}")]
    InvalidInvite(String),
    /// The invite belongs to another network.
    #[error("this invite is for the network '{theirs}', but this node is in '{ours}'")]
    OtherNetwork {
        /// The invite's.
        theirs: String,
        /// This node's.
        ours: String,
    },
    /// The invite has ended.
    #[error("this invite ended at {ended:?}; ask for a new one")]
    InviteExpired {
        /// When.
        ended: UnixMillis,
    },
    /// The invite's uses are spent.
    #[error("this invite is used up; ask for a new one")]
    InviteUsedUp,
    /// Nobody could be asked.
    #[error("nobody could be reached: {what}")]
    Unreachable {
        /// What was tried.
        what: String,
    },
    /// The network was asked and had nothing.
    #[error("{what}")]
    Nothing {
        /// What was not there, and what to do.
        what: String,
    },
    /// They do not know us: we watch what they show to everyone.
    #[error("'{name}' does not know this node, and can be granted nothing: you watch what they show to everyone")]
    Stranger {
        /// The petname.
        name: String,
    },
    /// They took back what they had granted, or refused to grant anything.
    #[error("'{name}' shows this node nothing any more: they ended it")]
    Ended {
        /// The petname.
        name: String,
    },
    /// We hold no view of theirs.
    #[error("'{name}' has not granted this node a view yet")]
    NotGranted {
        /// The petname.
        name: String,
    },
    /// A parameter is out of bounds.
    #[error("{what}: expected {expected}, got {got}")]
    Invalid {
        /// Which.
        what: String,
        /// What was expected.
        expected: String,
        /// What came.
        got: String,
    },
    /// There is more to tell than a record holds.
    #[error("{what} takes {got} bytes, and a record holds {most}: say less in notes, details or contacts")]
    TooLarge {
        /// What does not fit.
        what: String,
        /// What a record holds.
        most: usize,
        /// What there is.
        got: usize,
    },
    /// A bounded table is full.
    #[error("there is no room for another {what} (at most {limit})")]
    Full {
        /// Of what.
        what: String,
        /// How many.
        limit: usize,
    },
    /// The key was used for another call.
    #[error("the idempotency key '{key}' was used for another call within the last day")]
    KeyInUse {
        /// The key.
        key: String,
    },
    /// This node does not do presence.
    #[error("presence is switched off on this node (presence.enabled in the configuration)")]
    PresenceOff,
    /// They show us nothing, and do not mean to.
    #[error("'{name}' shows this node no presence: they can only be written to")]
    ShowsNothing {
        /// The petname.
        name: String,
    },
    /// This node does not do messages.
    #[error("messages are switched off on this node (messages.enabled in the configuration)")]
    MessagesOff,
    /// Their node does not do messages.
    #[error("'{name}' takes no messages: their card names no keys for them")]
    TakesNoMessages {
        /// The petname.
        name: String,
    },
    /// The node is on its way out.
    #[error("the node is stopping")]
    Stopping,
}
