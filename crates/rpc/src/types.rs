//! Parameters and replies. Times are RFC 3339 in UTC, in fields that end in `_at`; durations are whole milliseconds, in fields
//! that end in `_ms`. Replies are objects, so that fields can be added; fields without a value are left out.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Declares plain objects of the API.
macro_rules! objects {
    ($( $(#[$doc:meta])* $name:ident { $( $(#[$field_doc:meta])* $field:ident : $type:ty ),* $(,)? } )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $( $(#[$field_doc])* pub $field: $type, )* }
    )*};
}

objects! {
    /// No parameters.
    Nothing {}
    /// The reply to `node.stop`.
    Stopping {
        /// True.
        stopping: bool,
    }
    /// The reply to `identity.show`.
    IdentityShown {
        /// The principal's id.
        principal: String,
        /// What new contacts are told.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        name: Option<String>,
        /// This device's id.
        device: String,
        /// This node's id.
        node: String,
        /// The network's name.
        network: String,
    }
    /// The reply to `node.info`.
    NodeInfo {
        /// The program's version.
        version: String,
        /// This node's id.
        node: String,
        /// The network's name.
        network: String,
        /// `ordinary` or `relay`.
        role: String,
        /// The principal's id.
        principal: String,
        /// What new contacts are told.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        name: Option<String>,
        /// The home's folder.
        home: String,
        /// Addresses, node's id included, under which others can dial this node.
        listening: Vec<String>,
        /// When it came up.
        started_at: String,
        /// For how long it has been up.
        uptime_ms: u64,
        /// Connected nodes.
        peers: u64,
        /// Connected relays.
        relays: u64,
        /// Contacts.
        contacts: u64,
        /// Beacons kept.
        records: u64,
        /// Topics it is in.
        topics: u64,
        /// Our own presence.
        own: OwnPresence,
        /// What has happened on the network since the start, by name.
        counters: BTreeMap<String, u64>,
        /// The process.
        pid: u32,
        /// What the owner should know.
        notices: Vec<String>,
    }
    /// Our own presence.
    OwnPresence {
        /// `open`, `away`, `busy` or `closed`.
        status: String,
        /// A note with it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        note: Option<Note>,
        /// Since when.
        since_at: String,
    }
    /// A note.
    Note {
        /// Its language (BCP 47).
        #[serde(skip_serializing_if = "Option::is_none", default)]
        lang: Option<String>,
        /// The text.
        text: String,
    }
    /// The parameters of `invite.create`.
    InviteCreate {
        /// How many may use it; 1 if not given.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        uses: Option<u32>,
        /// Until it ends; seven days if not given.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        expires_in_ms: Option<u64>,
        /// The view its users are granted; `contacts` if not given.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        view: Option<String>,
        /// The same key again gets the same answer.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        idempotency_key: Option<String>,
    }
    /// The reply to `invite.create`.
    InviteCreated {
        /// Names it.
        invite: String,
        /// The `porchlight:` URI.
        uri: String,
        /// The same in capitals, for a QR code.
        qr: String,
        /// How many may use it.
        uses: u32,
        /// When it ends.
        expires_at: String,
        /// Where its users are told to go.
        reach: Vec<String>,
        /// What the owner should know.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        warning: Option<String>,
    }
    /// The parameters of `contact.add`.
    ContactAdd {
        /// The invite as pasted.
        invite: String,
        /// The petname; what they call themselves if not given.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        name: Option<String>,
        /// The view they are granted; `contacts` if not given.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        view: Option<String>,
        /// The same key again gets the same answer.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        idempotency_key: Option<String>,
    }
    /// The reply to `contact.add`.
    ContactAdded {
        /// The contact.
        contact: Contact,
    }
    /// A contact.
    Contact {
        /// Our petname.
        name: String,
        /// Their principal's id.
        principal: String,
        /// `provisional`, `pending`, `active`, `stale`, `cancelled`, `refused`, or `none`.
        subscription: String,
        /// Whether they hold a view of ours.
        watches_me: bool,
        /// Which.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        view: Option<String>,
        /// What they call themselves.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        told_name: Option<String>,
        /// Since when they are a contact.
        added_at: String,
        /// Letters that wait to be delivered to them.
        waiting: u32,
        /// What is in the way of first contact: `invite_used_up`, `invite_expired`, `not_admitted`, `unreachable`, `refused`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        problem: Option<String>,
    }
    /// The reply to `contact.list`.
    ContactList {
        /// By petname.
        contacts: Vec<Contact>,
    }
    /// The reply to `invite.list`.
    InviteList {
        /// Oldest first.
        invites: Vec<Invite>,
    }
    /// An invite of ours.
    Invite {
        /// Names it.
        invite: String,
        /// The view its users are granted.
        view: String,
        /// How many may use it in all.
        uses: u32,
        /// How many more may; 0 also if it was revoked.
        uses_left: u32,
        /// Who has: petnames, or short ids of those who are no contacts any more.
        used_by: Vec<String>,
        /// When it was made.
        created_at: String,
        /// When it ends.
        expires_at: String,
    }
    /// The parameters of `invite.revoke`.
    InviteRevoke {
        /// Which, as `invite.list` names it.
        invite: String,
        /// The same key again gets the same answer.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        idempotency_key: Option<String>,
    }
    /// The reply to `invite.revoke`.
    InviteRevoked {
        /// Which.
        invite: String,
    }
    /// The parameters of `contact.update`.
    ContactUpdate {
        /// Petname or principal's id.
        contact: String,
        /// The new petname.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        name: Option<String>,
        /// The view they are granted from now on.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        view: Option<String>,
        /// The same key again gets the same answer.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        idempotency_key: Option<String>,
    }
    /// The reply to `contact.update` and `grant.revoke`.
    ContactUpdated {
        /// The contact as it is now.
        contact: Contact,
    }
    /// The parameters of `contact.remove` and `grant.revoke`.
    ContactRemove {
        /// Petname or principal's id.
        contact: String,
        /// The same key again gets the same answer.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        idempotency_key: Option<String>,
    }
    /// The reply to `contact.remove`.
    ContactRemoved {
        /// The petname they had.
        contact: String,
        /// Who.
        principal: String,
    }
    /// The parameters of `view.create`.
    ViewCreate {
        /// Its name.
        view: String,
        /// `all` (if not given), or `status`: open, away, busy or closed, and nothing else.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        shows: Option<String>,
        /// What holders may: `subscribe` (if not given), or `fetch`: ask, but not be notified.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        allows: Option<String>,
        /// The same key again gets the same answer.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        idempotency_key: Option<String>,
    }
    /// The parameters of `view.delete`.
    ViewDelete {
        /// Its name.
        view: String,
        /// The same key again gets the same answer.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        idempotency_key: Option<String>,
    }
    /// The reply to `view.create` and `view.delete`.
    ViewShown {
        /// The view.
        view: View,
    }
    /// The reply to `view.list`.
    ViewList {
        /// By name.
        views: Vec<View>,
    }
    /// A view of ours.
    View {
        /// Its name.
        view: String,
        /// `all` or `status`.
        shows: String,
        /// `subscribe` or `fetch`.
        allows: String,
        /// Counts how often its keys were replaced, from 1.
        generation: u64,
        /// The contacts who hold it, or will once their grant is delivered.
        contacts: Vec<String>,
        /// Invites whose users will be granted it.
        invites: u32,
    }
    /// The reply to `grant.list`.
    GrantList {
        /// By petname.
        grants: Vec<Grant>,
    }
    /// A grant of ours.
    Grant {
        /// Names it.
        grant: String,
        /// To whom: our petname for them.
        contact: String,
        /// To whom.
        principal: String,
        /// Of which view.
        view: String,
        /// Which generation of it.
        generation: u64,
        /// What it lets them do: `fetch`, `subscribe`.
        rights: Vec<String>,
        /// When it ends, unless it is renewed, which the node does by itself.
        expires_at: String,
        /// Whether it has reached them.
        delivered: bool,
    }
    /// The reply to `watcher.list`.
    WatcherList {
        /// By petname.
        watchers: Vec<Watcher>,
    }
    /// A watcher of ours (watcher information, RFC 3857). Whoever holds a view can also read it unseen.
    Watcher {
        /// Our petname for them.
        contact: String,
        /// Who.
        principal: String,
        /// What they see; nothing any more if not given.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        view: Option<String>,
        /// `waiting` (the grant is not delivered yet), `active`, or `terminated` (removed, and still to be told so).
        state: String,
        /// Whether their node is connected with ours now.
        connected: bool,
    }
    /// The parameters of `presence.set`.
    PresenceSet {
        /// `open`, `away`, `busy` or `closed`.
        status: String,
        /// A note; none if not given.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        note: Option<Note>,
        /// The same key again gets the same answer.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        idempotency_key: Option<String>,
    }
    /// The reply to `presence.set`.
    PresenceWasSet {
        /// The status.
        status: String,
        /// The note.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        note: Option<Note>,
    }
    /// A contact, by petname or principal's id.
    OneContact {
        /// Which.
        contact: String,
    }
    /// The reply to `presence.get`.
    PresenceGot {
        /// What is to be believed.
        presence: Told,
    }
    /// What is told of a contact's presence.
    Told {
        /// The petname.
        contact: String,
        /// Who.
        principal: String,
        /// The state of our subscription; `none` if there is none. Left out in events, which tell of its changes by
        /// themselves.
        #[serde(skip_serializing_if = "String::is_empty", default)]
        subscription: String,
        /// `open`, `away`, `busy`, `closed` or `unknown`.
        status: String,
        /// More on `closed`: `lapsed`. On `unknown`: `no_record`, `no_source`, `clock`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        detail: Option<String>,
        /// Notes.
        notes: Vec<Note>,
        /// RPID activities.
        activities: Vec<String>,
        /// How the newest record came: `direct`, `gossip`, `relay`, `dht` or `cache`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        source: Option<String>,
        /// Its age at the time of this answer.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        age_ms: Option<u64>,
        /// When it was issued, by their clock.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        issued_at: Option<String>,
        /// Until when it holds if nothing new comes.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        holds_until_at: Option<String>,
        /// Its sequence.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        sequence: Option<u64>,
    }
    /// The reply to `presence.subscribe` and `presence.unsubscribe`.
    Subscription {
        /// The petname.
        contact: String,
        /// The state now; `none` if there is no subscription.
        subscription: String,
    }
    /// The reply to `presence.list`.
    PresenceList {
        /// Our own.
        own: OwnPresence,
        /// The contacts', by petname.
        contacts: Vec<Told>,
    }
    /// The reply to `net.peers`.
    PeerList {
        /// Connected nodes.
        peers: Vec<Peer>,
    }
    /// A connected node.
    Peer {
        /// Its id.
        node: String,
        /// Its end of the connection.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        address: Option<String>,
        /// Whether it is a relay.
        relay: bool,
        /// Whether it is a configured seed peer.
        seed: bool,
        /// The petname of the contact whose node it is.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        contact: Option<String>,
        /// `in` or `out`: who dialled.
        direction: String,
        /// The last round trip.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        rtt_ms: Option<f64>,
        /// Since when.
        connected_for_ms: u64,
    }
    /// The parameters of `events.subscribe`.
    EventsSubscribe {
        /// The consumer's name.
        consumer: String,
        /// Where a new consumer begins: `oldest` (if not given) or `now`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        from: Option<String>,
    }
    /// The reply to `events.subscribe`.
    EventsSubscribed {
        /// The consumer's name.
        consumer: String,
        /// Up to where it has acknowledged.
        acknowledged: u64,
        /// The newest event there is.
        newest: u64,
    }
    /// The parameters of `events.next`.
    EventsNext {
        /// The consumer's name.
        consumer: String,
        /// At most so many; 100 if not given.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        max: Option<u32>,
        /// How long to wait for the first one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        wait_ms: Option<u64>,
    }
    /// The reply to `events.next`.
    EventBatch {
        /// Those after the consumer's acknowledged number.
        events: Vec<Event>,
        /// The newest event there is.
        newest: u64,
        /// Whether there are more.
        more: bool,
    }
    /// The parameters of `events.ack`.
    EventsAck {
        /// The consumer's name.
        consumer: String,
        /// The last event dealt with.
        number: u64,
    }
    /// The reply to `events.ack`.
    EventsAcked {
        /// Up to where it has acknowledged now.
        acknowledged: u64,
    }
    /// An event.
    Event {
        /// Strictly increasing.
        number: u64,
        /// When.
        at: String,
        /// What kind.
        kind: String,
        /// What it tells.
        data: Value,
    }
}
