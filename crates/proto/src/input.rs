//! Everything that can wake the core. Closed enums: a new way in is a new variant. What it answers to commands is in `reply`.

use crate::rows::{OwnTuple, Projection, ReachLevel, Status};
use porchlight_wire::beacon::VerifiedBeacon;
use porchlight_wire::blind::BlindedKey;
use porchlight_wire::cbor::Value;
use porchlight_wire::frame::{Request, Response};
use porchlight_wire::grant::Right;
use porchlight_wire::ids::{Address, NodeAddress, NodeId, RandomId};
use porchlight_wire::message::Body;
use porchlight_wire::network::TopicIndex;
use porchlight_wire::presence::{Detail, Note, RpidElement};
use porchlight_wire::record::{Place, VerifiedRecord};
use porchlight_wire::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Names a local client's call until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// Names an exchange of frames with another node, in either direction, until it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExchangeId(pub u64);

/// Names a lookup in the DHT until it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LookupId(pub u64);

/// Names a put into the DHT until it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PutId(pub u64);

/// One thing that happened outside.
#[derive(Clone, Debug)]
pub enum Input {
    /// The node came up: publish, join topics, look up what was missed. The first input, once.
    Start,
    /// A local client asks for something.
    Command {
        /// Comes back in [`Effect::Reply`](crate::Effect::Reply).
        request: RequestId,
        /// A client's own key for this call: the same key again gets the same answer and does nothing.
        idempotency_key: Option<String>,
        /// What is asked.
        command: Command,
    },
    /// A connection to `node` is up and identified.
    Connected {
        /// Who.
        node: NodeId,
        /// Whether it serves as a relay.
        relay: bool,
    },
    /// The last connection to `node` went away.
    Disconnected {
        /// Who.
        node: NodeId,
    },
    /// This node can be dialled here.
    Listening {
        /// One of its addresses.
        address: Address,
    },
    /// This node can no longer be dialled here.
    NotListening {
        /// What was one of its addresses.
        address: Address,
    },
    /// Whether a node tells us what we follow there by [`Effect::FollowAt`](crate::Effect::FollowAt).
    Followed {
        /// The node.
        node: NodeId,
        /// True once it has begun to. False if it is not reached, refuses, or has ended it.
        told: bool,
    },
    /// Another node sent a request; answer it with [`Effect::Respond`](crate::Effect::Respond).
    Request {
        /// Who sent it, proven by the transport.
        from: NodeId,
        /// Comes back in the answer.
        exchange: ExchangeId,
        /// What it asks.
        request: Request,
    },
    /// Another node answered a request of ours.
    Response {
        /// Which of ours.
        exchange: ExchangeId,
        /// What it said.
        response: Response,
    },
    /// A request of ours will not be answered.
    ExchangeFailed {
        /// Which of ours.
        exchange: ExchangeId,
        /// Whether the other side may have acted on it all the same.
        perhaps_processed: bool,
        /// What went wrong, for a person.
        reason: String,
    },
    /// A verified beacon arrived.
    Beacon {
        /// The beacon.
        beacon: VerifiedBeacon,
        /// How it came.
        source: BeaconSource,
    },
    /// A lookup of ours found a record. There may be several, and older ones among them.
    Found {
        /// Which lookup.
        lookup: LookupId,
        /// What it found.
        record: VerifiedRecord,
    },
    /// A lookup of ours ended.
    LookupDone {
        /// Which.
        lookup: LookupId,
        /// How many nodes answered at all, whether or not they had a record. Zero: nobody could be asked.
        answered: u32,
    },
    /// A put of ours ended.
    PutDone {
        /// Which.
        put: PutId,
        /// On how many nodes reading it back found it.
        stored: u32,
        /// How many nodes were asked to keep it.
        asked: u32,
    },
    /// Which nodes answered a ping lately. Replaces the earlier list.
    Live {
        /// All of them.
        nodes: Vec<LiveNode>,
    },
    /// A proof of work that was asked for is found.
    Worked {
        /// For which place.
        place: Place,
        /// The nonce.
        nonce: u64,
    },
    /// A proof of work for an envelope or a mailbox is found.
    DayWorked {
        /// What it is over.
        challenge: [u8; 32],
        /// The nonce.
        nonce: u64,
    },
    /// What the edge finds that this node does not do well, by kind. Replaces the earlier list; empty: all is well.
    Health {
        /// Kinds of reasons.
        reasons: BTreeSet<String>,
    },
    /// The time that [`Node::next_deadline`](crate::Node::next_deadline) named has come.
    Deadline,
}

/// How a beacon came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeaconSource {
    /// By gossip, handed on by this node.
    Gossip(NodeId),
    /// Followed at this node.
    Follow(NodeId),
}

/// A node that answered a ping within the time that counts as live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveNode {
    /// Who.
    pub node: NodeId,
    /// Whether it serves as a relay.
    pub relay: bool,
    /// The topics it is in, as far as known here.
    pub topics: BTreeSet<TopicIndex>,
    /// The addresses that are followed at it: it has said that it tells us what is new there.
    pub followed: BTreeSet<BlindedKey>,
}

/// What a local client can ask for.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Make an invite.
    CreateInvite {
        /// How many may use it.
        uses: u32,
        /// Milliseconds until it ends.
        expires_in: u64,
        /// Which view those who use it are granted.
        view: String,
    },
    /// Use an invite: look up who made it, and introduce ourselves. Or watch somebody who is public, by their bare id.
    AddContact {
        /// The invite or principal id as pasted.
        invite: String,
        /// The petname; none: the name the inviter told, or a short id.
        name: Option<String>,
        /// Which view they are granted.
        view: String,
    },
    /// End it with a contact: they are told, and read nothing that follows.
    RemoveContact {
        /// Petname or principal id.
        contact: String,
    },
    /// Give a contact another petname, another view, or both.
    UpdateContact {
        /// Petname or principal id.
        contact: String,
        /// The new petname.
        name: Option<String>,
        /// The view they are granted from now on.
        view: Option<String>,
    },
    /// Make a view.
    CreateView {
        /// Its name.
        name: String,
        /// What it shows.
        projection: Projection,
        /// What grants of it carry.
        rights: BTreeSet<Right>,
        /// How much it tells of where our node is; none: as usual for such a view.
        reach: Option<ReachLevel>,
    },
    /// Change how much a view tells of where our node is.
    UpdateView {
        /// Its name.
        name: String,
        /// How much.
        reach: ReachLevel,
    },
    /// Delete a view that nobody holds.
    DeleteView {
        /// Its name.
        name: String,
    },
    /// All views.
    ListViews,
    /// What we have granted.
    ListGrants,
    /// Take back what a contact was granted; they stay a contact.
    RevokeGrant {
        /// Petname or principal id.
        contact: String,
    },
    /// Who watches us.
    ListWatchers,
    /// All invites.
    ListInvites,
    /// Let nobody use an invite from now on.
    RevokeInvite {
        /// Which.
        invite: RandomId,
    },
    /// All contacts.
    ListContacts,
    /// Say how we are.
    SetPresence(Box<NewPresence>),
    /// Take back what was said of ourselves.
    ClearPresence {
        /// Of what this view shows instead of the usual; none: as usual.
        view: Option<String>,
        /// Which parts; none: all of it.
        parts: BTreeSet<OwnPart>,
    },
    /// Our own presence in full, as usual and for each view.
    ShowPresence,
    /// Ask the network for a contact's presence now (RFC 2778's fetcher).
    Fetch {
        /// Petname, or the principal id of a contact or of somebody who is public.
        contact: String,
    },
    /// Be notified of a contact's presence.
    Subscribe {
        /// Petname or principal id.
        contact: String,
    },
    /// Stop being notified.
    Unsubscribe {
        /// Petname or principal id.
        contact: String,
    },
    /// Ask for a contact's presence on a schedule (RFC 2778's poller).
    Poll {
        /// Petname or principal id.
        contact: String,
        /// Milliseconds from one time to the next.
        every: u64,
    },
    /// Ask no more on a schedule.
    Unpoll {
        /// Petname or principal id.
        contact: String,
    },
    /// Who is asked on a schedule.
    ListPolls,
    /// Our own presence and that of all contacts, as known here now.
    ListPresence,
    /// Make a consumer of events, or show where it is.
    Consumer {
        /// Its name.
        name: String,
        /// Where a new one begins.
        from: ConsumerStart,
    },
    /// A consumer has dealt with all events up to `number`.
    Acknowledge {
        /// Its name.
        name: String,
        /// The last event dealt with.
        number: u64,
    },
    /// Have a mailbox at this relay rather than at others; or no longer.
    UseRelay {
        /// Which.
        relay: NodeAddress,
        /// No longer.
        stop: bool,
    },
    /// Relays that are known by name, and the mailboxes there.
    ListRelays,
    /// What is kept in mailboxes here.
    Keeping,
    /// Write to a contact.
    SendMessage(Box<NewMessage>),
    /// Take back a message that was not delivered yet.
    CancelMessage {
        /// Which.
        message: RandomId,
    },
    /// Offer what waits now, and not when its turn comes.
    RetryMessages {
        /// For this contact only: petname or principal id.
        contact: Option<String>,
    },
    /// What waits to be delivered.
    ListOutbox,
    /// The messages of a contact were read.
    MarkRead {
        /// Petname or principal id.
        contact: String,
        /// Up to this number; none: all.
        up_to: Option<u64>,
    },
    /// With whom messages were exchanged.
    ListConversations,
    /// Say that a contact is who they say, or that this is not certain any more; or look.
    VerifyContact {
        /// Petname or principal id.
        contact: String,
        /// What to say; none: nothing.
        verified: Option<bool>,
    },
    /// Take no messages of a contact.
    BlockContact {
        /// Petname or principal id.
        contact: String,
        /// Whether they are not to know: what they send is taken and dropped.
        politely: bool,
    },
    /// Take messages of a contact again.
    UnblockContact {
        /// Petname or principal id.
        contact: String,
    },
    /// How the core finds itself.
    Condition,
    /// What is known of a contact who cannot be seen or reached.
    Examine {
        /// Petname or principal id.
        contact: String,
        /// What was found at the addresses that an earlier answer named, to be judged.
        found: Vec<VerifiedBeacon>,
    },
    /// Say goodbye and end.
    Stop,
}

/// What to say of ourselves. A part that is not given stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewPresence {
    /// To the watchers of this view, instead of the usual; none: as usual.
    pub view: Option<String>,
    /// How we are: takes the place of all that was said with the status before.
    pub state: Option<NewState>,
    /// Contact details: all of them.
    pub details: Option<Vec<Detail>>,
    /// Means of communication: all of them.
    pub tuples: Option<Vec<OwnTuple>>,
    /// Fields that the specification does not know: all of them.
    pub extensions: Option<BTreeMap<String, Value>>,
}

impl NewPresence {
    /// A status with notes, as usual and for good.
    #[must_use]
    pub fn status(status: Status, notes: Vec<Note>) -> Self {
        let state = NewState {
            status: Some(status),
            notes,
            activities: Vec::new(),
            mood: None,
            place: None,
            until: None,
        };
        Self {
            state: Some(state),
            ..Self::default()
        }
    }
}

/// How to say that we are.
#[derive(Clone, Debug, PartialEq)]
pub struct NewState {
    /// The status; none: the one that holds.
    pub status: Option<Status>,
    /// Notes with it.
    pub notes: Vec<Note>,
    /// Activities besides that of the status.
    pub activities: Vec<String>,
    /// The mood.
    pub mood: Option<RpidElement>,
    /// The kind of place.
    pub place: Option<RpidElement>,
    /// When it is over, and as it was before; none: it holds until something else is said.
    pub until: Option<Until>,
}

/// When something is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After so many milliseconds.
    In(u64),
    /// At this time.
    At(UnixMillis),
}

/// A part of our own presence that stays or goes as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum OwnPart {
    /// How we are, with notes, activities, mood and place.
    Status,
    /// Contact details.
    Details,
    /// Means of communication.
    Tuples,
    /// Fields that the specification does not know.
    Extensions,
}

impl OwnPart {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Status, Self::Details, Self::Tuples, Self::Extensions];
}

/// A message to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct NewMessage {
    /// For whom: petname or principal id.
    pub contact: String,
    /// What it is about.
    pub subject: Option<String>,
    /// The same content in several forms, the preferred one first.
    pub bodies: Vec<Body>,
    /// Where to answer, if not to us.
    pub reply_to: Vec<String>,
    /// The conversation it belongs to.
    pub thread: Option<RandomId>,
    /// The message it answers.
    pub in_reply_to: Option<RandomId>,
    /// Further headers.
    pub headers: BTreeMap<String, String>,
    /// For how many milliseconds it is of use; none: a week.
    pub expires_in: Option<u64>,
    /// Only over a connection to the recipient's own node.
    pub direct_only: bool,
    /// At how many of the recipient's relays it is left if it cannot be delivered; none: as many as usual.
    pub copies: Option<usize>,
    /// Leave a signature that outsiders can check.
    pub sign: bool,
}

/// Where a new consumer of events begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumerStart {
    /// At the oldest event still kept.
    Oldest,
    /// After the newest.
    Now,
}
