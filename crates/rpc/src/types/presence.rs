//! Presence in the API: what is set, shown and told.

use super::{SHOWS, SUBSCRIPTION};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

// The words that some texts are made of, for the schemas.
const STATUS: [&str; 4] = ["open", "away", "busy", "closed"];
const BASIC: [&str; 2] = ["open", "closed"];
const PART: [&str; 4] = ["status", "details", "tuples", "extensions"];
const CAUSE: [&str; 3] = ["set", "cleared", "over"];
const TOLD_STATUS: [&str; 5] = ["open", "away", "busy", "closed", "unknown"];
const DETAIL: [&str; 5] = ["lapsed", "no_record", "view_ended", "no_source", "clock"];
const SOURCE: [&str; 5] = ["direct", "gossip", "relay", "dht", "cache"];

objects! {
    /// Our own presence: what was said, as usual or for a view.
    OwnPresence {
        /// For which view; as usual if not given.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        view: Option<String>,
        /// `open`, `away`, `busy` or `closed`.
        #[schemars(extend("enum" = STATUS))]
        status: String,
        /// The first of the notes.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        note: Option<Note>,
        /// Since when.
        since_at: String,
        /// When it is over by itself.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        until_at: Option<String>,
        /// The status that follows then.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[schemars(extend("enum" = STATUS))]
        back_to: Option<String>,
        /// Notes with it.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        notes: Vec<Note>,
        /// Activities besides that of the status.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        activities: Vec<String>,
        /// The mood.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        mood: Option<RpidElement>,
        /// The kind of place.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        place: Option<RpidElement>,
        /// Ways to reach us.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        tuples: Vec<Tuple>,
        /// Contact details.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        details: Vec<Detail>,
        /// Fields that the specification does not know, by name.
        #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
        extensions: BTreeMap<String, Value>,
    }
    /// A note.
    #[serde(deny_unknown_fields)]
    Note {
        /// Its language (BCP 47).
        #[serde(skip_serializing_if = "Option::is_none", default)]
        lang: Option<String>,
        /// The text.
        text: String,
    }
    /// A mood, or a kind of place (RPID, RFC 4480).
    #[serde(deny_unknown_fields)]
    RpidElement {
        /// What it is, such as `happy`, `office`; one or several.
        values: Vec<String>,
        /// Notes on it.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        notes: Vec<Note>,
    }
    /// A way to be reached (RFC 2778's presence tuple).
    #[serde(deny_unknown_fields)]
    Tuple {
        /// Names it.
        id: String,
        /// `open` or `closed`; where it is to be set, that of the principal if not given.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[schemars(extend("enum" = BASIC))]
        status: Option<String>,
        /// A URI.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        contact: Option<String>,
        /// 0 to 1, to a thousandth; higher is preferred.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[schemars(range(min = 0, max = 1))]
        priority: Option<f64>,
        /// Notes on it.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        notes: Vec<Note>,
    }
    /// A contact detail: a property of a vCard (RFC 6350).
    #[serde(deny_unknown_fields)]
    Detail {
        /// Its name: `fn`, `tel`, `email`, ...
        name: String,
        /// Its value.
        value: String,
        /// Its type: `work`, `home`, ...
        #[serde(rename = "type", skip_serializing_if = "Option::is_none", default)]
        kind: Option<String>,
    }
    /// The parameters of `presence.set`. Whatever is given down to `until_at` takes the place of all that was said with the
    /// status before; `tuples`, `details` and `extensions` stay as they are if they are not given.
    #[derive(Default)]
    #[serde(deny_unknown_fields)]
    PresenceSet {
        /// `open`, `away`, `busy` or `closed`; if anything is said with it, down to `until_at`, and it is not given, the one
        /// that holds.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[schemars(extend("enum" = STATUS))]
        status: Option<String>,
        /// A note, in one language.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        note: Option<Note>,
        /// Notes, one for each language.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        notes: Option<Vec<Note>>,
        /// Activities besides that of the status.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        activities: Option<Vec<String>>,
        /// The mood.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        mood: Option<RpidElement>,
        /// The kind of place.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        place: Option<RpidElement>,
        /// For how long, after which it is as it was before.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[schemars(range(min = 1_000, max = 31_622_400_000_u64))]
        for_ms: Option<u64>,
        /// The same as a time.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        until_at: Option<String>,
        /// What this view's watchers see instead of the usual.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        view: Option<String>,
        /// Ways to reach us: all of them.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        tuples: Option<Vec<Tuple>>,
        /// Contact details: all of them.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        details: Option<Vec<Detail>>,
        /// Fields that the specification does not know: all of them. Their names have a dot.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        extensions: Option<BTreeMap<String, Value>>,
        /// The same key again gets the same answer.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        idempotency_key: Option<String>,
    }
    /// The parameters of `presence.clear`.
    #[serde(deny_unknown_fields)]
    PresenceClear {
        /// Of what this view shows instead of the usual; as usual if not given.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        view: Option<String>,
        /// Which parts: `status`, `details`, `tuples`, `extensions`; all of them if not given.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[schemars(extend("items" = json!({"type": "string", "enum": PART})))]
        parts: Option<Vec<String>>,
        /// The same key again gets the same answer.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        idempotency_key: Option<String>,
    }
    /// The reply to `presence.show`.
    PresenceShown {
        /// As usual.
        own: OwnPresence,
        /// For each view, by name.
        views: Vec<ViewPresence>,
    }
    /// What a view's watchers see of us.
    ViewPresence {
        /// Its name.
        view: String,
        /// `all` or `status`.
        #[schemars(extend("enum" = SHOWS))]
        shows: String,
        /// Which parts are the view's own: `status`, `details`, `tuples`, `extensions`. The others are the usual ones.
        #[schemars(extend("items" = json!({"type": "string", "enum": PART})))]
        own_parts: Vec<String>,
        /// Since when it is so.
        since_at: String,
        /// The status that follows, if this one is over by itself.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[schemars(extend("enum" = STATUS))]
        back_to: Option<String>,
        /// `open`, `away`, `busy` or `closed`.
        #[schemars(extend("enum" = STATUS))]
        status: String,
        /// Notes.
        notes: Vec<Note>,
        /// RPID activities.
        activities: Vec<String>,
        /// Until when status, activities, mood and place are expected to last.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        until_at: Option<String>,
        /// The mood.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        mood: Option<RpidElement>,
        /// The kind of place.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        place: Option<RpidElement>,
        /// Ways to reach them, each with a status of its own.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        tuples: Vec<Tuple>,
        /// Contact details.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        details: Vec<Detail>,
        /// Fields that the specification does not know, by name.
        #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
        extensions: BTreeMap<String, Value>,
    }
    /// A contact, by petname or principal's id.
    #[serde(deny_unknown_fields)]
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
        #[schemars(extend("enum" = SUBSCRIPTION))]
        subscription: String,
        /// `open`, `away`, `busy`, `closed` or `unknown`.
        #[schemars(extend("enum" = TOLD_STATUS))]
        status: String,
        /// More on `closed`: `lapsed`. On `unknown`: `no_record`, `view_ended`, `no_source`, `clock`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[schemars(extend("enum" = DETAIL))]
        detail: Option<String>,
        /// Notes.
        notes: Vec<Note>,
        /// RPID activities.
        activities: Vec<String>,
        /// Until when status, activities, mood and place are expected to last.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        until_at: Option<String>,
        /// The mood.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        mood: Option<RpidElement>,
        /// The kind of place.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        place: Option<RpidElement>,
        /// Ways to reach them, each with a status of its own.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        tuples: Vec<Tuple>,
        /// Contact details.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        details: Vec<Detail>,
        /// Fields that the specification does not know, by name.
        #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
        extensions: BTreeMap<String, Value>,
        /// How the newest record came: `direct`, `gossip`, `relay`, `dht` or `cache`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[schemars(extend("enum" = SOURCE))]
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
        #[schemars(extend("enum" = SUBSCRIPTION))]
        subscription: String,
    }
    /// The parameters of `presence.poll`.
    #[serde(deny_unknown_fields)]
    PresencePoll {
        /// Which contact.
        contact: String,
        /// From one time to the next.
        #[schemars(range(min = 60_000, max = 604_800_000_u64))]
        every_ms: u64,
    }
    /// The schedule on which a contact is asked.
    Poll {
        /// The petname.
        contact: String,
        /// Who.
        principal: String,
        /// From one time to the next; not given if they are not asked.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        every_ms: Option<u64>,
        /// When they were asked last, since the node came up.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        polled_at: Option<String>,
        /// When they are asked next.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        next_at: Option<String>,
    }
    /// The reply to `presence.polls`.
    PollList {
        /// By petname.
        polls: Vec<Poll>,
    }
    /// The reply to `presence.list`.
    PresenceList {
        /// Our own.
        own: OwnPresence,
        /// The contacts', by petname.
        contacts: Vec<Told>,
    }
}

// What events tell.
objects! {
    /// What is told of a contact has changed.
    PresenceChange {
        /// The petname.
        contact: String,
        /// Who.
        principal: String,
        /// As told before.
        old: Box<Told>,
        /// As told now.
        new: Box<Told>,
    }
    /// What a poll was told of a contact is something else than last time.
    PolledPresence {
        /// The petname.
        contact: String,
        /// Who.
        principal: String,
        /// As told when they were asked.
        presence: Box<Told>,
    }
    /// Our own presence is another one: as usual, or as a view shows it.
    OwnPresenceChange {
        /// `open`, `away`, `busy` or `closed`.
        #[schemars(extend("enum" = STATUS))]
        status: String,
        /// The first of the notes.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        note: Option<Note>,
        /// Why: `set`, `cleared`, or `over` (what held for a while is).
        #[schemars(extend("enum" = CAUSE))]
        cause: String,
        /// All of it.
        own: Box<OwnPresence>,
    }
}
