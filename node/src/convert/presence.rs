//! Presence information as objects of the API, and back: documents, our own presence, and fields that the specification does
//! not know.

use super::rpc::{at, note, status};
use porchlight_proto::input::{NewPresence, NewState, OwnPart, Until};
use porchlight_proto::presence::presentity::SELF;
use porchlight_proto::reply::{OwnPresence, PollInfo, ViewPresence};
use porchlight_proto::rows::{OwnTuple, Projection};
use porchlight_rpc::types;
use porchlight_rpc::{Kind, RpcError};
use porchlight_wire::cbor::Value as Cbor;
use porchlight_wire::presence::{
    Basic, ContactAddress, Detail, Note, PresenceDocument, PresenceTuple, RpidElement, registry,
};
use porchlight_wire::time::UnixMillis;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

/// What a document tells besides status and notes, in the fields of the API.
#[derive(Debug, Default)]
pub struct Rich {
    /// Notes on the presentity.
    pub notes: Vec<types::Note>,
    /// Activities, that of the status among them.
    pub activities: Vec<String>,
    /// Until when it is expected to last.
    pub until_at: Option<String>,
    /// The mood.
    pub mood: Option<types::RpidElement>,
    /// The kind of place.
    pub place: Option<types::RpidElement>,
    /// Means of communication.
    pub tuples: Vec<types::Tuple>,
    /// Contact details.
    pub details: Vec<types::Detail>,
    /// Fields that the specification does not know.
    pub extensions: BTreeMap<String, Value>,
}

impl Rich {
    /// What a document tells. A tuple that only repeats the status is left out.
    #[must_use]
    pub fn of(document: &PresenceDocument) -> Self {
        let basic = document.basic();
        let says_more = |tuple: &&PresenceTuple| {
            tuple.id != SELF || tuple.contact.is_some() || !tuple.notes.is_empty() || tuple.basic != basic
        };
        Self {
            notes: document.notes.iter().map(note).collect(),
            activities: document.activities.clone(),
            until_at: document.until.map(at),
            mood: document.mood.as_ref().map(element),
            place: document.place.as_ref().map(element),
            tuples: document
                .tuples
                .iter()
                .filter(says_more)
                .map(|tuple| types::Tuple {
                    id: tuple.id.clone(),
                    status: Some(basic_word(tuple.basic).to_owned()),
                    contact: tuple.contact.as_ref().map(|contact| contact.uri.clone()),
                    priority: tuple.contact.as_ref().and_then(priority),
                    notes: tuple.notes.iter().map(note).collect(),
                })
                .collect(),
            details: document.details.iter().map(detail).collect(),
            extensions: document
                .extra
                .iter()
                .map(|(name, value)| (name.clone(), from_cbor(value)))
                .collect(),
        }
    }
}

/// The word for a document as recorded: OPEN, unless an activity says more.
#[must_use]
pub fn recorded(document: &PresenceDocument) -> &'static str {
    let has = |activity: &str| document.activities.iter().any(|known| known == activity);
    match document.basic() {
        Basic::Closed => "closed",
        Basic::Open if has(registry::BUSY) => "busy",
        Basic::Open if has(registry::AWAY) => "away",
        Basic::Open => "open",
    }
}

/// Our own presence.
#[must_use]
pub fn own(own: &OwnPresence) -> types::OwnPresence {
    let state = &own.state;
    types::OwnPresence {
        view: own.view.clone(),
        status: status(state.status).to_owned(),
        note: state.notes.first().map(note),
        since_at: at(state.since),
        until_at: state.until.map(at),
        back_to: own.back_to.map(|back_to| status(back_to).to_owned()),
        notes: state.notes.iter().map(note).collect(),
        activities: state.activities.clone(),
        mood: state.mood.as_ref().map(element),
        place: state.place.as_ref().map(element),
        tuples: own
            .tuples
            .iter()
            .map(|tuple| types::Tuple {
                id: tuple.id.clone(),
                status: tuple.basic.map(|basic| basic_word(basic).to_owned()),
                contact: tuple.contact.as_ref().map(|contact| contact.uri.clone()),
                priority: tuple.contact.as_ref().and_then(priority),
                notes: tuple.notes.iter().map(note).collect(),
            })
            .collect(),
        details: own.details.iter().map(detail).collect(),
        extensions: own
            .extensions
            .iter()
            .map(|(name, value)| (name.clone(), from_cbor(value)))
            .collect(),
    }
}

/// What a view's watchers see.
#[must_use]
pub fn view(view: &ViewPresence) -> types::ViewPresence {
    let rich = Rich::of(&view.sees);
    types::ViewPresence {
        view: view.presence.view.clone().unwrap_or_default(),
        shows: shows(view.projection).to_owned(),
        own_parts: view.own_parts.iter().map(|one| part(*one).to_owned()).collect(),
        since_at: at(view.presence.state.since),
        back_to: view.presence.back_to.map(|back_to| status(back_to).to_owned()),
        status: recorded(&view.sees).to_owned(),
        notes: rich.notes,
        activities: rich.activities,
        until_at: rich.until_at,
        mood: rich.mood,
        place: rich.place,
        tuples: rich.tuples,
        details: rich.details,
        extensions: rich.extensions,
    }
}

/// The schedule on which a contact is asked.
#[must_use]
pub fn poll(info: &PollInfo) -> types::Poll {
    types::Poll {
        contact: info.name.clone(),
        principal: info.principal.to_string(),
        every_ms: info.every,
        polled_at: info.polled.map(at),
        next_at: info.next.map(at),
    }
}

/// What to set.
///
/// # Errors
///
/// If something about it cannot be said.
pub fn new_presence(params: types::PresenceSet) -> Result<NewPresence, RpcError> {
    let bare = types::PresenceSet {
        view: None,
        details: None,
        tuples: None,
        extensions: None,
        idempotency_key: None,
        ..params.clone()
    };
    let state = if bare == types::PresenceSet::default() {
        None
    } else {
        Some(new_state(bare)?)
    };
    Ok(NewPresence {
        view: params.view,
        state,
        details: params
            .details
            .map(|details| details.into_iter().map(new_detail).collect()),
        tuples: params
            .tuples
            .map(|tuples| tuples.into_iter().map(new_tuple).collect::<Result<_, _>>())
            .transpose()?,
        extensions: params
            .extensions
            .map(|extensions| {
                extensions
                    .into_iter()
                    .map(|(name, value)| Ok((name, to_cbor(value)?)))
                    .collect::<Result<_, RpcError>>()
            })
            .transpose()?,
    })
}

fn new_state(params: types::PresenceSet) -> Result<NewState, RpcError> {
    let notes = match (params.note, params.notes) {
        (Some(_), Some(_)) => return Err(misfit("expected note or notes, got both")),
        (Some(note), None) => vec![note],
        (None, notes) => notes.unwrap_or_default(),
    };
    let until = match (params.for_ms, params.until_at) {
        (Some(_), Some(_)) => return Err(misfit("expected for_ms or until_at, got both")),
        (Some(millis), None) => Some(Until::In(millis)),
        (None, Some(at)) => Some(Until::At(time("until_at", &at)?)),
        (None, None) => None,
    };
    Ok(NewState {
        status: params.status.as_deref().map(super::rpc::parse_status).transpose()?,
        notes: notes.into_iter().map(new_note).collect(),
        activities: params.activities.unwrap_or_default(),
        mood: params.mood.map(new_element),
        place: params.place.map(new_element),
        until,
    })
}

/// A part of our own presence, from its word.
///
/// # Errors
///
/// If it is none.
pub fn parse_part(word: &str) -> Result<OwnPart, RpcError> {
    OwnPart::ALL
        .into_iter()
        .find(|known| part(*known) == word)
        .ok_or_else(|| {
            misfit(format!(
                "parts: expected status, details, tuples or extensions, got {word:?}"
            ))
        })
}

const fn part(part: OwnPart) -> &'static str {
    match part {
        OwnPart::Status => "status",
        OwnPart::Details => "details",
        OwnPart::Tuples => "tuples",
        OwnPart::Extensions => "extensions",
    }
}

/// What a view shows, as its word.
#[must_use]
pub const fn shows(projection: Projection) -> &'static str {
    match projection {
        Projection::Full => "all",
        Projection::StatusOnly => "status",
    }
}

fn element(element: &RpidElement) -> types::RpidElement {
    types::RpidElement {
        values: element.values.clone(),
        notes: element.notes.iter().map(note).collect(),
    }
}

fn new_element(element: types::RpidElement) -> RpidElement {
    RpidElement {
        values: element.values,
        notes: element.notes.into_iter().map(new_note).collect(),
        extra: BTreeMap::new(),
    }
}

fn new_note(note: types::Note) -> Note {
    Note {
        lang: note.lang,
        text: note.text,
    }
}

fn detail(detail: &Detail) -> types::Detail {
    types::Detail {
        name: detail.name.clone(),
        value: detail.value.clone(),
        kind: detail.kind.clone(),
    }
}

fn new_detail(detail: types::Detail) -> Detail {
    Detail {
        // vCard's names are the same in capitals and small letters.
        name: detail.name.to_ascii_lowercase(),
        value: detail.value,
        kind: detail.kind,
        extra: BTreeMap::new(),
    }
}

fn new_tuple(tuple: types::Tuple) -> Result<OwnTuple, RpcError> {
    let basic = match tuple.status.as_deref() {
        None => None,
        Some("open") => Some(Basic::Open),
        Some("closed") => Some(Basic::Closed),
        Some(other) => {
            return Err(misfit(format!(
                "the status of a tuple: expected open, closed or none, got {other:?}"
            )));
        }
    };
    let contact = match (tuple.contact, tuple.priority) {
        (None, None) => None,
        (None, Some(_)) => return Err(misfit("a tuple's priority: expected a contact that it is of")),
        (Some(uri), priority) => Some(ContactAddress {
            uri,
            priority: priority.map(thousandths).transpose()?,
        }),
    };
    Ok(OwnTuple {
        id: tuple.id,
        basic,
        contact,
        notes: tuple.notes.into_iter().map(new_note).collect(),
    })
}

const fn basic_word(basic: Basic) -> &'static str {
    match basic {
        Basic::Open => "open",
        Basic::Closed => "closed",
    }
}

fn priority(contact: &ContactAddress) -> Option<f64> {
    contact.priority.map(|thousandths| f64::from(thousandths) / 1_000.0)
}

/// A priority of 0 to 1 in thousandths.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is between 0 and 1 is between 0 and 1,000 thousandths"
)]
fn thousandths(priority: f64) -> Result<u16, RpcError> {
    if (0.0..=1.0).contains(&priority) {
        Ok((priority * 1_000.0).round() as u16)
    } else {
        Err(misfit(format!("priority: expected 0 to 1, got {priority}")))
    }
}

/// A time of the API.
///
/// # Errors
///
/// If it is none.
pub fn time(field: &str, text: &str) -> Result<UnixMillis, RpcError> {
    let no_time = || {
        misfit(format!(
            "{field}: expected a time such as 2026-01-02T16:00:00Z, got {text:?}"
        ))
    };
    let (text, ahead) = zone(text);
    let at = humantime::parse_rfc3339_weak(&text).map_err(|_| no_time())?;
    let since = crate::clock::millis(at.duration_since(UNIX_EPOCH).unwrap_or_default());
    let utc = i64::try_from(since).ok().and_then(|since| since.checked_sub(ahead));
    utc.and_then(|utc| u64::try_from(utc).ok())
        .map(UnixMillis)
        .ok_or_else(no_time)
}

/// A time without its offset from UTC, as if it were in UTC, and the offset in milliseconds.
fn zone(text: &str) -> (String, i64) {
    let offset = text
        .split_at_checked(text.len().saturating_sub(6))
        .and_then(|(time, offset)| {
            let (sign, rest) = offset
                .strip_prefix('+')
                .map(|rest| (1, rest))
                .or_else(|| offset.strip_prefix('-').map(|rest| (-1, rest)))?;
            let (hours, minutes) = rest.split_once(':')?;
            let two = |digits: &str| (digits.len() == 2).then(|| digits.parse::<u8>().ok()).flatten();
            let (hours, minutes) = (two(hours)?, two(minutes)?);
            let minutes = i64::from(hours) * 60 + i64::from(minutes);
            (minutes < 24 * 60).then(|| (format!("{time}Z"), sign * minutes * 60_000))
        });
    offset.unwrap_or_else(|| (text.to_owned(), 0))
}

/// A value of CBOR as JSON. Byte strings, which JSON has not, are shown as hex.
fn from_cbor(value: &Cbor) -> Value {
    match value {
        Cbor::Bool(it) => Value::Bool(*it),
        Cbor::Integer(it) => {
            let number = i128::from(*it);
            u64::try_from(number)
                .map(Value::from)
                .or_else(|_| i64::try_from(number).map(Value::from))
                .unwrap_or_else(|_| Value::from(number.to_string()))
        }
        Cbor::Text(it) => Value::from(it.as_str()),
        Cbor::Bytes(it) => Value::from(it.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        Cbor::Array(items) => Value::from(items.iter().map(from_cbor).collect::<Vec<_>>()),
        Cbor::Map(entries) => Value::from(
            entries
                .iter()
                .map(|(key, value)| {
                    let key = from_cbor(key);
                    let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
                    (key, from_cbor(value))
                })
                .collect::<Map<_, _>>(),
        ),
        Cbor::Null => Value::Null,
        // Nothing of what follows is in a document.
        Cbor::Float(it) => Value::from(*it),
        Cbor::Tag(_, it) => from_cbor(it),
        _ => Value::from("?"),
    }
}

/// A value of JSON as CBOR.
fn to_cbor(value: Value) -> Result<Cbor, RpcError> {
    Ok(match value {
        Value::Null => Cbor::Null,
        Value::Bool(it) => Cbor::Bool(it),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(it), _) => Cbor::from(it),
            (None, Some(it)) => Cbor::from(it),
            (None, None) => return Err(misfit(format!("extensions: expected whole numbers, got {number}"))),
        },
        Value::String(it) => Cbor::Text(it),
        Value::Array(items) => Cbor::Array(items.into_iter().map(to_cbor).collect::<Result<_, _>>()?),
        Value::Object(entries) => Cbor::Map(
            entries
                .into_iter()
                .map(|(key, value)| Ok((Cbor::Text(key), to_cbor(value)?)))
                .collect::<Result<_, RpcError>>()?,
        ),
    })
}

fn misfit(message: impl Into<String>) -> RpcError {
    RpcError::new(Kind::InvalidParams, message.into()).hint("see docs/rpc.md, presence.set")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(params: Value) -> Result<NewPresence, RpcError> {
        new_presence(serde_json::from_value(params).unwrap())
    }

    #[test]
    fn what_cannot_be_set_is_named() {
        for (params, said) in [
            (json!({"status": "asleep"}), "open, away"),
            (
                json!({"status": "open", "note": {"text": "x"}, "notes": []}),
                "got both",
            ),
            (
                json!({"status": "open", "for_ms": 1, "until_at": "2026-01-01T00:00:00Z"}),
                "got both",
            ),
            (json!({"status": "open", "until_at": "at four"}), "until_at"),
            (json!({"tuples": [{"id": "im", "priority": 0.5}]}), "priority"),
            (
                json!({"tuples": [{"id": "im", "contact": "im:a@b", "priority": 1.5}]}),
                "0 to 1",
            ),
            (json!({"tuples": [{"id": "im", "status": "away"}]}), "open, closed"),
            (json!({"extensions": {"org.example.x": 0.5}}), "whole numbers"),
        ] {
            let error = set(params.clone()).unwrap_err();
            assert_eq!(error.data.kind, Kind::InvalidParams);
            assert!(error.message.contains(said), "{params}: {}", error.message);
        }
    }

    #[test]
    fn what_is_not_given_is_not_touched_and_what_is_empty_is_emptied() {
        let new = set(json!({"details": []})).unwrap();
        assert_eq!(new.details, Some(Vec::new()));
        assert!(new.state.is_none() && new.tuples.is_none() && new.extensions.is_none());
        let new = set(json!({"status": "away"})).unwrap();
        assert!(new.state.is_some() && new.details.is_none());
        let new = set(json!({"note": {"text": "x"}})).unwrap();
        assert!(
            new.state
                .is_some_and(|state| state.status.is_none() && state.notes.len() == 1)
        );
        assert_eq!(set(json!({})).unwrap(), NewPresence::default());
    }

    #[test]
    fn extensions_come_back_as_they_were_given() {
        let given = json!({"a": [1, -2, "three", null, true, {"b": {}}], "c": u64::MAX});
        assert_eq!(from_cbor(&to_cbor(given.clone()).unwrap()), given);
        assert_eq!(from_cbor(&Cbor::Bytes(vec![1, 0xab])), json!("01ab"));
    }

    #[test]
    fn times_may_have_an_offset() {
        let utc = time("until_at", "2026-01-02T15:00:00Z").unwrap();
        for same in [
            "2026-01-02T16:00:00+01:00",
            "2026-01-02T09:30:00.000-05:30",
            "2026-01-02 15:00:00",
        ] {
            assert_eq!(time("until_at", same).unwrap(), utc, "{same}");
        }
        for none in [
            "",
            "16:00",
            "2026-01-02T16:00:00+1:00",
            "2026-01-02T16:00:00+24:00",
            "+01:00",
            "öäüß",
        ] {
            assert!(time("until_at", none).is_err(), "{none}");
        }
    }

    #[test]
    fn priorities_are_kept_to_a_thousandth() {
        for given in [0.0, 0.001, 0.8, 0.999, 1.0] {
            let contact = ContactAddress {
                uri: "im:a@b".to_owned(),
                priority: Some(thousandths(given).unwrap()),
            };
            assert_eq!(priority(&contact), Some(given));
        }
        assert!(thousandths(f64::NAN).is_err());
    }
}
