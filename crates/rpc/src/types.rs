//! Parameters and replies. Times are RFC 3339 in UTC, in fields that end in `_at`; durations are whole milliseconds, in fields
//! that end in `_ms`. Replies are objects, so that fields can be added; fields without a value are left out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

// The words that some texts are made of, for the schemas.
const ORIGIN: [&str; 4] = ["default", "file", "environment", "flag"];
const HEALTH: [&str; 2] = ["ok", "degraded"];
const REASON: [&str; 12] = [
    "not_answering",
    "store_slow",
    "store_unreadable",
    "listens_nowhere",
    "no_relay",
    "lookups_unanswered",
    "card_not_found",
    "puts_not_stored",
    "no_live_source",
    "clock_off",
    "events_dropped",
    "consumer_behind",
];
const ROLE: [&str; 2] = ["ordinary", "relay"];
const SUBSCRIPTION: [&str; 7] = [
    "provisional",
    "pending",
    "active",
    "stale",
    "cancelled",
    "refused",
    "none",
];
const BLOCKED: [&str; 2] = ["plainly", "politely"];
const PROBLEM: [&str; 5] = [
    "invite_used_up",
    "invite_expired",
    "not_admitted",
    "unreachable",
    "refused",
];
const SHOWS: [&str; 2] = ["all", "status"];
const ALLOWS: [&str; 2] = ["subscribe", "fetch"];
/// What views there are allow: the one that is called `none` nothing.
const ALLOWED: [&str; 3] = ["subscribe", "fetch", "nothing"];
const REACH: [&str; 3] = ["none", "relay", "direct"];
const RIGHT: [&str; 2] = ["fetch", "subscribe"];
const WATCHER: [&str; 3] = ["waiting", "active", "terminated"];
const LETTER: [&str; 6] = ["introduce", "grant", "renew", "ended", "refused", "post"];
const CLASS: [&str; 3] = ["stranger", "contact", "invited"];
const FROM: [&str; 2] = ["oldest", "now"];

/// Declares plain objects of the API.
macro_rules! objects {
    ($( $(#[$doc:meta])* $name:ident { $( $(#[$field_doc:meta])* $field:ident : $type:ty ),* $(,)? } )*) => {$(
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        $(#[$doc])*
        pub struct $name { $( $(#[$field_doc])* pub $field: $type, )* }
    )*};
}

mod messages;
mod network;
mod presence;

pub use messages::*;
pub use network::*;
pub use presence::*;

objects! {
    /// No parameters.
    #[serde(deny_unknown_fields)]
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
        #[schemars(extend("enum" = ROLE))]
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
        /// What it keeps in mailboxes for others; not given if it keeps none.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        keeps: Option<Keeping>,
        /// Our own presence.
        own: OwnPresence,
        /// What has happened on the network since the start, by name.
        counters: BTreeMap<String, u64>,
        /// The process.
        pid: u32,
        /// What the owner should know.
        notices: Vec<String>,
    }
    /// What a relay keeps in mailboxes for others.
    Keeping {
        /// Mailboxes.
        mailboxes: u64,
        /// Envelopes in them.
        envelopes: u64,
        /// Their bytes.
        bytes: u64,
        /// Bytes that may be.
        room_bytes: u64,
    }
    /// The reply to `relay.list`.
    RelayList {
        /// Those that `relay.use` put first, then seed peers, then others that keep a mailbox of this node.
        relays: Vec<Relay>,
    }
    /// A relay.
    Relay {
        /// Its id.
        node: String,
        /// Where it is dialled, its id included.
        address: String,
        /// Whether it is connected, and has said that it is a relay.
        connected: bool,
        /// Whether it is a seed peer.
        seed: bool,
        /// Whether `relay.use` put it first.
        chosen: bool,
        /// The mailbox this node has there.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        mailbox: Option<Mailbox>,
    }
    /// A mailbox of this node.
    Mailbox {
        /// Until when it is registered, unless it is registered again; not given if it is not yet.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        registered_until_at: Option<String>,
        /// What was in it, and may be, when it was registered last.
        quotas: Vec<MailboxQuota>,
    }
    /// How much of one kind is in a mailbox.
    MailboxQuota {
        /// From whom: `contact`, `invited` (whoever holds an invite), or `stranger`.
        #[schemars(extend("enum" = CLASS))]
        class: String,
        /// Envelopes.
        envelopes: u32,
        /// Envelopes that may be.
        most_envelopes: u32,
        /// Their bytes.
        bytes: u64,
        /// Bytes that may be.
        most_bytes: u64,
    }
    /// The parameters of `relay.use`.
    #[serde(deny_unknown_fields)]
    RelayUse {
        /// Its address with its id, as `status` on the relay shows it; or the id of one that `relay.list` shows.
        relay: String,
        /// No longer: the mailbox there is given up.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        stop: Option<bool>,
        /// The same key again gets the same answer.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        idempotency_key: Option<String>,
    }
    /// The reply to `relay.use`.
    RelayUsed {
        /// How it is now. A mailbox is registered after the reply, once the relay is connected.
        relay: Relay,
    }
    /// The parameters of `relay.test`.
    #[serde(deny_unknown_fields)]
    RelayTest {
        /// As in `relay.use`.
        relay: String,
    }
    /// The reply to `relay.test`.
    RelayTested {
        /// What was dialled.
        address: String,
        /// Whether the node answered there, and has proven to be it.
        reached: bool,
        /// Whether it says that it is a relay.
        is_relay: bool,
        /// What was found, for people.
        found: String,
        /// How long it took.
        took_ms: u64,
    }
    /// The reply to `node.health`.
    Health {
        /// `ok`, or `degraded`: there is at least one reason.
        #[schemars(extend("enum" = HEALTH))]
        status: String,
        /// What is not well, and what to do about it.
        reasons: Vec<HealthReason>,
        /// All that was looked at.
        checks: Vec<HealthCheck>,
        /// How long that took.
        took_ms: u64,
    }
    /// Something that is not well.
    HealthReason {
        /// What it is; stays the same between versions.
        #[schemars(extend("enum" = REASON))]
        kind: String,
        /// Which check found it.
        check: String,
        /// What it means.
        message: String,
        /// What to do.
        hint: String,
    }
    /// Something that was looked at.
    HealthCheck {
        /// What.
        check: String,
        /// Whether it is well.
        ok: bool,
        /// What was found.
        found: String,
    }
    /// The `data` of `node.degraded`.
    Degraded {
        /// Kinds of reasons, as in `node.health`.
        #[schemars(extend("items" = json!({"type": "string", "enum": REASON})))]
        reasons: Vec<String>,
    }
    /// The reply to `node.config.get`.
    ConfigGot {
        /// The file.
        file: String,
        /// When the node took it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        taken_at: Option<String>,
        /// All settings, in the order of the file.
        settings: Vec<Setting>,
        /// Why the file cannot be used as it is now.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        file_problem: Option<String>,
    }
    /// A setting.
    Setting {
        /// Its key, with the section: `presence.lease`.
        key: String,
        /// What is in force; not given if nothing is set and nothing is the default.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        value: Option<Value>,
        /// Where it comes from.
        #[schemars(extend("enum" = ORIGIN))]
        from: String,
        /// The flag or the environment variable it comes from.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        by: Option<String>,
        /// The line of the file it comes from.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        line: Option<u32>,
        /// What the file says now, if that is something else.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        in_file: Option<Value>,
    }
    /// The parameters of `invite.create`.
    #[serde(deny_unknown_fields)]
    InviteCreate {
        /// How many may use it; 1 if not given.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[schemars(range(min = 1, max = 100))]
        uses: Option<u32>,
        /// Until it ends; seven days if not given.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[schemars(range(min = 60_000, max = 2_592_000_000_u64))]
        expires_in_ms: Option<u64>,
        /// The view its users are granted; `contacts` if not given. With `none` they are shown nothing, and can write.
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
    #[serde(deny_unknown_fields)]
    ContactAdd {
        /// The invite as pasted.
        invite: String,
        /// The petname; what they call themselves if not given.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        name: Option<String>,
        /// The view they are granted; `contacts` if not given. With `none` they are shown nothing, and can write.
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
        #[schemars(extend("enum" = SUBSCRIPTION))]
        subscription: String,
        /// Whether they hold a view of ours.
        watches_me: bool,
        /// Whether we watch what they show to everyone, and they do not know us.
        public: bool,
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
        /// Since when you have made sure that they are who they say.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        verified_at: Option<String>,
        /// Their messages are not taken: `plainly`, and they are told so, or `politely`, and they are not.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[schemars(extend("enum" = BLOCKED))]
        blocked: Option<String>,
        /// What is in the way of first contact: `invite_used_up`, `invite_expired`, `not_admitted`, `unreachable`, `refused`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[schemars(extend("enum" = PROBLEM))]
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
    #[serde(deny_unknown_fields)]
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
    #[serde(deny_unknown_fields)]
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
    #[serde(deny_unknown_fields)]
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
    #[serde(deny_unknown_fields)]
    ViewCreate {
        /// Its name.
        #[schemars(length(min = 1, max = 64))]
        view: String,
        /// `all` (if not given), or `status`: open, away, busy or closed, and nothing else.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[schemars(extend("enum" = SHOWS))]
        shows: Option<String>,
        /// What holders may: `subscribe` (if not given), or `fetch`: ask, but not be notified.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[schemars(extend("enum" = ALLOWS))]
        allows: Option<String>,
        /// What its holders are told of where this node is: `none`; `relay`: the relays it is connected to; `direct`: its
        /// addresses too, so that they can follow at the node itself. If not given, what the card says, and `none` for a view that
        /// shows the status only, that can only be asked for, or that is called `public`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[schemars(extend("enum" = REACH))]
        reach: Option<String>,
        /// The same key again gets the same answer.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        idempotency_key: Option<String>,
    }
    /// The parameters of `view.update`.
    #[serde(deny_unknown_fields)]
    ViewUpdate {
        /// Its name.
        view: String,
        /// What its holders are told of where this node is from now on: `none`, `relay` or `direct`.
        #[schemars(extend("enum" = REACH))]
        reach: String,
        /// The same key again gets the same answer.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        idempotency_key: Option<String>,
    }
    /// The parameters of `view.delete`.
    #[serde(deny_unknown_fields)]
    ViewDelete {
        /// Its name.
        view: String,
        /// The same key again gets the same answer.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        idempotency_key: Option<String>,
    }
    /// The reply to `view.create`, `view.update` and `view.delete`.
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
        #[schemars(extend("enum" = SHOWS))]
        shows: String,
        /// `subscribe`, `fetch`, or `nothing`: its holders can write, and are shown no presence.
        #[schemars(extend("enum" = ALLOWED))]
        allows: String,
        /// What its holders are told of where this node is: `none`, `relay` or `direct`.
        #[schemars(extend("enum" = REACH))]
        reach: String,
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
        #[schemars(extend("items" = json!({"type": "string", "enum": RIGHT})))]
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
        #[schemars(extend("enum" = WATCHER))]
        state: String,
        /// Whether their node is connected with ours now.
        connected: bool,
        /// Whether their node follows here, now, what they may see. Whoever holds a view can also read it unseen, from relays.
        #[serde(default)]
        follows: bool,
    }
    /// The parameters of `events.subscribe`.
    #[serde(deny_unknown_fields)]
    EventsSubscribe {
        /// The consumer's name.
        #[schemars(length(min = 1, max = 64))]
        consumer: String,
        /// Where a new consumer begins: `oldest` (if not given) or `now`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[schemars(extend("enum" = FROM))]
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
    #[serde(deny_unknown_fields)]
    EventsNext {
        /// The consumer's name.
        #[schemars(length(min = 1, max = 64))]
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
    #[serde(deny_unknown_fields)]
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
    /// The reply to `rpc.discover`: an OpenRPC document.
    Discovered {
        /// The version of OpenRPC.
        openrpc: String,
        /// What this API is called, and its version.
        info: Value,
        /// All methods, each a Method Object.
        methods: Vec<Value>,
        /// What the methods refer to.
        components: Value,
        /// The kinds of events, each with `kind`, `summary`, the schema of `data`, and an example.
        #[serde(rename = "x-events")]
        events: Vec<Value>,
    }
}

// What events tell: the `data` of each kind.
objects! {
    /// Nothing but that it happened.
    Happened {}
    /// Someone who became a contact.
    NewContact {
        /// The petname.
        contact: String,
        /// Who.
        principal: String,
        /// Whether they used an invite of ours; else we used one of theirs.
        by_our_invite: bool,
    }
    /// Someone who is no contact any more.
    FormerContact {
        /// The petname they had.
        contact: String,
        /// Who.
        principal: String,
    }
    /// First contact was refused by the other side.
    RefusedContact {
        /// The petname.
        contact: String,
        /// Who.
        principal: String,
        /// Why: a `problem` as in `contact.list`.
        #[schemars(extend("enum" = PROBLEM))]
        reason: String,
    }
    /// Whether someone sees a view of ours has changed.
    WatcherChange {
        /// The petname.
        contact: String,
        /// Who.
        principal: String,
        /// Which view.
        view: String,
    }
    /// The state of a subscription of ours has changed.
    SubscriptionChange {
        /// The petname.
        contact: String,
        /// Who.
        principal: String,
        /// What it was; `none` if there was none.
        #[schemars(extend("enum" = SUBSCRIPTION))]
        old: String,
        /// What it is; `none` if we ended it.
        #[schemars(extend("enum" = SUBSCRIPTION))]
        new: String,
    }
    /// An invite of ours.
    OneInvite {
        /// Which, as `invite.list` names it.
        invite: String,
    }
    /// An invite of ours was used.
    InviteUse {
        /// Which, as `invite.list` names it.
        invite: String,
        /// By whom: the petname.
        contact: String,
        /// How many more may.
        uses_left: u32,
    }
    /// A letter reached the other side.
    DeliveredLetter {
        /// The petname.
        contact: String,
        /// Which letter.
        letter: String,
        /// What kind: `introduce`, `grant`, `renew`, `ended` or `refused`.
        #[schemars(extend("enum" = LETTER))]
        kind: String,
    }
    /// A node.
    OneNode {
        /// Its id.
        node: String,
    }
    /// Whether anyone is connected who could know of our contacts.
    Reachability {
        /// Whether a relay or a contact's node answers.
        reachable: bool,
    }
    /// Events that are no longer kept.
    LostEvents {
        /// The first number.
        from: u64,
        /// The last number, which is also the number of this event.
        to: u64,
    }
}
