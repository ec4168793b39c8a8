//! The presence document: RFC 2778's presence information (section 2.4) in RFC 3863's vocabulary, with activities, mood and
//! place in RPID's (RFC 4480), and contact details under vCard's property names (RFC 6350); and its lease. Unknown fields
//! are kept and passed on. docs/spec/presence.md; its registry is in [`registry`].

pub mod registry;

use crate::beacon::largest_payload;
use crate::cbor::{self, CborError, Value};
use crate::ids::{Address, NodeAddress, NodeId, PrincipalId};
use crate::limits::{
    ACTIVITIES, DETAIL_BYTES, DETAILS, EXTENSION_DEPTH, EXTENSIONS, LANGUAGE_BYTES, LEASE_MAX, NOTE_BYTES, NOTES,
    PAYLOAD_BYTES, RPID_VALUES, TOKEN_BYTES, TUPLES, URI_BYTES, VIEW_ADDRESSES, VIEW_RELAYS,
};
use crate::syntax::is_language_tag;
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// RFC 2778's OPEN and CLOSED.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Basic {
    /// The inbox, or whatever the tuple is about, accepts communication.
    Open,
    /// It does not.
    Closed,
}

/// A human-readable note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Its language (BCP 47), if given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lang: Option<String>,
    /// The text, at most [`NOTE_BYTES`].
    pub text: String,
}

/// A communication address (RFC 2778's contact address).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactAddress {
    /// A URI, at most [`URI_BYTES`].
    pub uri: String,
    /// Priority in thousandths, 0 to 1000 (RFC 3863's 0.000 to 1.000).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub priority: Option<u16>,
}

/// A presence tuple: a status, and optionally an address and notes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PresenceTuple {
    /// Names the tuple within the document.
    pub id: String,
    /// OPEN or CLOSED.
    pub basic: Basic,
    /// The address the status is of.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub contact: Option<ContactAddress>,
    /// Notes on it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<Note>,
    /// Fields not known here.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// What RPID says in an element with values and notes: a mood, or a kind of place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RpidElement {
    /// What it is, 1 to [`RPID_VALUES`]: names of the registry, or others, which are kept.
    pub values: Vec<String>,
    /// Notes on it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<Note>,
    /// Fields not known here.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// A contact detail of the principal: a property of a vCard (RFC 6350).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    /// The property's name in small letters: `fn`, `tel`, `email`, …
    pub name: String,
    /// Its value, 1 to [`DETAIL_BYTES`].
    pub value: String,
    /// The property's type (vCard's TYPE): `work`, `home`, `cell`, …
    #[serde(rename = "type", skip_serializing_if = "Option::is_none", default)]
    pub kind: Option<String>,
    /// Fields not known here.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// What a presentity tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PresenceDocument {
    /// The presentity.
    pub entity: PrincipalId,
    /// The tuples, 1 to [`TUPLES`].
    pub tuples: Vec<PresenceTuple>,
    /// Notes on the presentity as a whole.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<Note>,
    /// RPID activities by their names: `away`, `busy`, …. Names not known here are kept.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub activities: Vec<String>,
    /// Until when status, activities, mood and place are expected to last (RPID's `until`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<UnixMillis>,
    /// RPID's mood.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mood: Option<RpidElement>,
    /// RPID's place-type.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<RpidElement>,
    /// Contact details of the principal, at most [`DETAILS`].
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub details: Vec<Detail>,
    /// Fields not known here.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

impl PresenceDocument {
    /// A document of these tuples and nothing else.
    #[must_use]
    pub const fn new(entity: PrincipalId, tuples: Vec<PresenceTuple>) -> Self {
        Self {
            entity,
            tuples,
            notes: Vec::new(),
            activities: Vec::new(),
            until: None,
            mood: None,
            place: None,
            details: Vec::new(),
            extra: BTreeMap::new(),
        }
    }

    /// OPEN if any tuple is.
    #[must_use]
    pub fn basic(&self) -> Basic {
        if self.tuples.iter().any(|tuple| tuple.basic == Basic::Open) {
            Basic::Open
        } else {
            Basic::Closed
        }
    }

    /// Checks all bounds.
    ///
    /// # Errors
    ///
    /// Names the first thing that is out of bounds.
    pub fn check(&self) -> Result<(), PresenceError> {
        within("tuples", self.tuples.len(), 1, TUPLES)?;
        check_notes(&self.notes)?;
        within("activities", self.activities.len(), 0, ACTIVITIES)?;
        for activity in &self.activities {
            check_token("an activity", activity)?;
        }
        if let Some(mood) = &self.mood {
            mood.check("a mood")?;
        }
        if let Some(place) = &self.place {
            place.check("a kind of place")?;
        }
        within("contact details", self.details.len(), 0, DETAILS)?;
        for detail in &self.details {
            detail.check()?;
        }
        check_extra(&self.extra)?;
        for tuple in &self.tuples {
            tuple.check()?;
        }
        Ok(())
    }
}

impl RpidElement {
    fn check(&self, what: &'static str) -> Result<(), PresenceError> {
        within("values of mood or place", self.values.len(), 1, RPID_VALUES)?;
        for value in &self.values {
            check_token(what, value)?;
        }
        check_notes(&self.notes)?;
        check_extra(&self.extra)
    }
}

impl Detail {
    fn check(&self) -> Result<(), PresenceError> {
        check_token("the name of a contact detail", &self.name)?;
        // vCard's names are the same in capitals and small letters; in one form only they can be compared.
        if self.name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(PresenceError::NotSmall(self.name.clone()));
        }
        within("bytes of a contact detail", self.value.len(), 1, DETAIL_BYTES)?;
        if let Some(kind) = &self.kind {
            check_token("the type of a contact detail", kind)?;
        }
        check_extra(&self.extra)
    }
}

impl PresenceTuple {
    /// A status of this name, without address and notes.
    #[must_use]
    pub fn new(id: &str, basic: Basic) -> Self {
        Self {
            id: id.to_owned(),
            basic,
            contact: None,
            notes: Vec::new(),
            extra: BTreeMap::new(),
        }
    }

    fn check(&self) -> Result<(), PresenceError> {
        check_token("a tuple's id", &self.id)?;
        check_notes(&self.notes)?;
        check_extra(&self.extra)?;
        let Some(contact) = &self.contact else {
            return Ok(());
        };
        within("bytes of an address", contact.uri.len(), 3, URI_BYTES)?;
        let uri = contact.uri.bytes().all(|byte| byte.is_ascii_graphic()) && contact.uri.contains(':');
        if !uri {
            return Err(PresenceError::NotAUri(contact.uri.clone()));
        }
        within(
            "the priority in thousandths",
            contact.priority.unwrap_or(0).into(),
            0,
            1_000,
        )
    }
}

/// The payload of a presence beacon: the document with its lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PresenceState {
    /// When it was issued, by the presentity's clock.
    pub issued: UnixMillis,
    /// For how many milliseconds it holds.
    pub lease: u64,
    /// The last record of this generation of the view: whoever still may see it holds the next one, or asks for it.
    #[serde(skip_serializing_if = "is_false", default)]
    pub ended: bool,
    /// What it tells.
    pub document: PresenceDocument,
    /// How to reach the presentity's node, if the view tells that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reach: Option<Reach>,
}

/// How to reach the presentity's node, as far as a view tells it. For nodes, not for people: no part of the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// The node itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub node: Option<NodeReach>,
    /// Relays it is connected to, at most [`VIEW_RELAYS`].
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub relays: Vec<NodeAddress>,
}

/// A node, and where it can be dialled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReach {
    /// Who has to answer there.
    pub id: NodeId,
    /// Where, the best first: 1 to [`VIEW_ADDRESSES`].
    pub addresses: Vec<Address>,
}

impl Reach {
    /// The node's addresses, each with its id.
    pub fn nodes(&self) -> impl Iterator<Item = NodeAddress> + '_ {
        let with_id = |node: &NodeReach, address: &Address| NodeAddress {
            node: node.id,
            address: address.clone(),
        };
        self.node
            .iter()
            .flat_map(move |node| node.addresses.iter().map(move |address| with_id(node, address)))
    }

    fn check(&self) -> Result<(), PresenceError> {
        if let Some(node) = &self.node {
            within("addresses of a node", node.addresses.len(), 1, VIEW_ADDRESSES)?;
        }
        within("relays of a node", self.relays.len(), 0, VIEW_RELAYS)
    }
}

impl PresenceState {
    /// The payload of a beacon.
    ///
    /// # Errors
    ///
    /// If the document is out of bounds, or as a whole larger than any beacon.
    pub fn to_bytes(&self) -> Result<Vec<u8>, PresenceError> {
        self.check()?;
        let bytes = cbor::try_encode(self)?;
        let (got, most) = (bytes.len(), largest_payload());
        if got > most {
            return Err(PresenceError::TooLarge { got, most });
        }
        Ok(bytes)
    }

    /// From the payload of a beacon.
    ///
    /// # Errors
    ///
    /// If the bytes are none, or out of bounds.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PresenceError> {
        let state: Self = cbor::decode(bytes, PAYLOAD_BYTES)?;
        state.check()?;
        Ok(state)
    }

    fn check(&self) -> Result<(), PresenceError> {
        if !(1..=LEASE_MAX).contains(&self.lease) {
            return Err(PresenceError::Lease(self.lease));
        }
        if let Some(reach) = &self.reach {
            reach.check()?;
        }
        self.document.check()
    }
}

/// Presence that cannot be read or is out of bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PresenceError {
    /// The bytes are no presence, or the presence cannot be made into bytes.
    #[error("presence cannot be read or written: {0}")]
    Unreadable(#[from] CborError),
    /// As a whole it is larger than any beacon.
    #[error("expected at most {most} bytes in all, got {got}")]
    TooLarge {
        /// What a beacon holds.
        most: usize,
        /// What there is.
        got: usize,
    },
    /// A number is out of bounds.
    #[error("{what}: expected {least} to {most}, got {got}")]
    OutOfBounds {
        /// Of what.
        what: &'static str,
        /// The least.
        least: usize,
        /// The most.
        most: usize,
        /// What there is.
        got: usize,
    },
    /// A name of an activity, a tuple or the like is none.
    #[error("expected {what} of printable ASCII without blanks, got {got:?}")]
    NotAToken {
        /// What it should be.
        what: &'static str,
        /// What it is.
        got: String,
    },
    /// The name of a contact detail has capitals.
    #[error("expected the name of a contact detail in small letters, got {0:?}")]
    NotSmall(String),
    /// A communication address is no URI.
    #[error("expected a URI such as im:alice@example.org, got {0:?}")]
    NotAUri(String),
    /// A language tag is none.
    #[error("expected a language tag such as 'en' or 'de-AT' (BCP 47), got {0:?}")]
    NotALanguage(String),
    /// The lease is none or too long.
    #[error("expected a lease of 1 ms to a day, got {0} ms")]
    Lease(u64),
}

fn within(what: &'static str, got: usize, least: usize, most: usize) -> Result<(), PresenceError> {
    if (least..=most).contains(&got) {
        Ok(())
    } else {
        Err(PresenceError::OutOfBounds { what, least, most, got })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(it: &bool) -> bool {
    !*it
}

fn check_extra(extra: &BTreeMap<String, Value>) -> Result<(), PresenceError> {
    // What is kept is wrapped again, on disk and in events: what nests as deep as may be could not be read back there.
    let depth = extra.values().map(depth).max().unwrap_or(0);
    within("levels of an unknown field", depth, 0, EXTENSION_DEPTH)?;
    within("unknown fields", extra.len(), 0, EXTENSIONS)
}

fn check_notes(notes: &[Note]) -> Result<(), PresenceError> {
    within("notes", notes.len(), 0, NOTES)?;
    for note in notes {
        within("bytes of a note", note.text.len(), 1, NOTE_BYTES)?;
        if let Some(lang) = &note.lang
            && !is_language_tag(lang)
        {
            return Err(PresenceError::NotALanguage(lang.chars().take(LANGUAGE_BYTES).collect()));
        }
    }
    Ok(())
}

/// How many arrays and maps are inside one another. Decoding has bounded it already.
fn depth(value: &Value) -> usize {
    let inner = if let Some(items) = value.as_array() {
        items.iter().map(depth).max()
    } else if let Some(entries) = value.as_map() {
        entries.iter().map(|(key, value)| depth(key).max(depth(value))).max()
    } else {
        return 0;
    };
    1 + inner.unwrap_or(0)
}

fn check_token(what: &'static str, token: &str) -> Result<(), PresenceError> {
    if (1..=TOKEN_BYTES).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(PresenceError::NotAToken {
        what,
        got: token.chars().take(TOKEN_BYTES).collect(),
    })
}

#[cfg(test)]
#[path = "presence/tests.rs"]
mod tests;
