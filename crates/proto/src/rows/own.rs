//! Our own presence on disk, in layers: what is told as usual, and, beside a view, what its watchers see instead.

use porchlight_wire::cbor::Value;
use porchlight_wire::presence::{Basic, ContactAddress, Detail, Note, RpidElement};
use porchlight_wire::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Our own status as a person says it: OPEN with RPID activities, or CLOSED.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Status {
    /// There.
    Open,
    /// OPEN with the activity `away`.
    Away,
    /// OPEN with the activity `busy`.
    Busy,
    /// Not there.
    Closed,
}

/// How we are: what is said in one breath, and replaced by what is said next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "StoredState")]
pub struct OwnState {
    /// The status.
    pub status: Status,
    /// Notes with it, one for each language.
    pub notes: Vec<Note>,
    /// Activities besides that of the status.
    pub activities: Vec<String>,
    /// The mood.
    pub mood: Option<RpidElement>,
    /// The kind of place.
    pub place: Option<RpidElement>,
    /// When it was set.
    pub since: UnixMillis,
    /// When it is over by itself.
    pub until: Option<UnixMillis>,
}

impl OwnState {
    /// A status and nothing more.
    #[must_use]
    pub const fn new(status: Status, since: UnixMillis) -> Self {
        Self {
            status,
            notes: Vec::new(),
            activities: Vec::new(),
            mood: None,
            place: None,
            since,
            until: None,
        }
    }
}

/// A means of communication of ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnTuple {
    /// Names it.
    pub id: String,
    /// Its status; none: that of the principal. Whatever it is, it is CLOSED while the principal is.
    pub basic: Option<Basic>,
    /// Where it is reached.
    pub contact: Option<ContactAddress>,
    /// Notes on it.
    pub notes: Vec<Note>,
}

/// One layer of our own presence. What a view's layer does not have is that of the usual one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "StoredOwn")]
pub struct OwnPresenceRow {
    /// How we are.
    pub state: Option<OwnState>,
    /// How it was before, where `state` ends by itself: what comes back first is last. Each holds longer than the one after
    /// it; when the first is over, or there is none, it is as if nothing had been set.
    pub before: Vec<OwnState>,
    /// Contact details. These and what follows stay until they are set anew.
    pub details: Option<Vec<Detail>>,
    /// Means of communication.
    pub tuples: Option<Vec<OwnTuple>>,
    /// Fields that the specification does not know.
    pub extensions: Option<BTreeMap<String, Value>>,
}

impl OwnPresenceRow {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A state as it is read: before there were notes in several languages, a row had one.
#[derive(Deserialize)]
struct StoredState {
    status: Status,
    #[serde(default)]
    note: Option<Note>,
    #[serde(default)]
    notes: Vec<Note>,
    #[serde(default)]
    activities: Vec<String>,
    #[serde(default)]
    mood: Option<RpidElement>,
    #[serde(default)]
    place: Option<RpidElement>,
    #[serde(default)]
    since: UnixMillis,
    #[serde(default)]
    until: Option<UnixMillis>,
}

impl From<StoredState> for OwnState {
    fn from(stored: StoredState) -> Self {
        Self {
            status: stored.status,
            notes: stored.note.into_iter().chain(stored.notes).collect(),
            activities: stored.activities,
            mood: stored.mood,
            place: stored.place,
            since: stored.since,
            until: stored.until,
        }
    }
}

/// A layer as it is read: before there were layers, a row was a state.
#[derive(Deserialize)]
struct StoredOwn {
    #[serde(default)]
    state: Option<OwnState>,
    #[serde(default)]
    before: Vec<OwnState>,
    #[serde(default)]
    details: Option<Vec<Detail>>,
    #[serde(default)]
    tuples: Option<Vec<OwnTuple>>,
    #[serde(default)]
    extensions: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    status: Option<Status>,
    #[serde(default)]
    note: Option<Note>,
    #[serde(default)]
    since: UnixMillis,
}

impl From<StoredOwn> for OwnPresenceRow {
    fn from(stored: StoredOwn) -> Self {
        let old = stored.status.map(|status| OwnState {
            notes: stored.note.into_iter().collect(),
            ..OwnState::new(status, stored.since)
        });
        Self {
            state: stored.state.or(old),
            before: stored.before,
            details: stored.details,
            tuples: stored.tuples,
            extensions: stored.extensions,
        }
    }
}
