//! The presentity (RFC 2778 section 2.1): our own presence put together from its layers, the document it makes, and its
//! projections.

use crate::rows::{OwnPresenceRow, OwnState, OwnTuple, Projection, Status};
use porchlight_wire::cbor::Value;
use porchlight_wire::ids::PrincipalId;
use porchlight_wire::presence::registry::{AWAY, BUSY};
use porchlight_wire::presence::{Basic, Detail, PresenceDocument, PresenceTuple};
use porchlight_wire::time::UnixMillis;
use std::collections::BTreeMap;

/// The id of the tuple that stands for the principal as a whole.
pub const SELF: &str = "self";

/// What holds of our own presence, for one view or as usual.
#[derive(Clone, Debug, PartialEq)]
pub struct Own {
    /// How we are.
    pub state: OwnState,
    /// Contact details.
    pub details: Vec<Detail>,
    /// Means of communication.
    pub tuples: Vec<OwnTuple>,
    /// Fields that the specification does not know.
    pub extensions: BTreeMap<String, Value>,
}

impl Own {
    /// The layers put together: what a view's layer has comes before what is told as usual. Who never said anything is open
    /// since `started`.
    #[must_use]
    pub fn of(usual: Option<&OwnPresenceRow>, view: Option<&OwnPresenceRow>, started: UnixMillis) -> Self {
        /// The first layer that has it.
        fn first<T: Clone>(
            layers: [Option<&OwnPresenceRow>; 2],
            part: impl Fn(&OwnPresenceRow) -> Option<&T>,
        ) -> Option<T> {
            layers.into_iter().flatten().find_map(part).cloned()
        }
        let layers = [view, usual];
        Self {
            state: first(layers, |row| row.state.as_ref()).unwrap_or_else(|| OwnState::new(Status::Open, started)),
            details: first(layers, |row| row.details.as_ref()).unwrap_or_default(),
            tuples: first(layers, |row| row.tuples.as_ref()).unwrap_or_default(),
            extensions: first(layers, |row| row.extensions.as_ref()).unwrap_or_default(),
        }
    }
}

/// The full document of what holds.
#[must_use]
pub fn document(principal: PrincipalId, own: &Own) -> PresenceDocument {
    let state = &own.state;
    let (basic, activity) = match state.status {
        Status::Open => (Basic::Open, None),
        Status::Away => (Basic::Open, Some(AWAY)),
        Status::Busy => (Basic::Open, Some(BUSY)),
        Status::Closed => (Basic::Closed, None),
    };
    let tuples = own.tuples.iter().map(|tuple| PresenceTuple {
        // Who is closed is closed by every means: a presentity is OPEN if any tuple is.
        basic: match basic {
            Basic::Open => tuple.basic.unwrap_or(basic),
            Basic::Closed => basic,
        },
        contact: tuple.contact.clone(),
        notes: tuple.notes.clone(),
        ..PresenceTuple::new(&tuple.id, basic)
    });
    PresenceDocument {
        notes: state.notes.clone(),
        activities: activity
            .map(str::to_owned)
            .into_iter()
            .chain(state.activities.iter().cloned())
            .collect(),
        until: state.until,
        mood: state.mood.clone(),
        place: state.place.clone(),
        details: own.details.clone(),
        extra: own.extensions.clone(),
        ..PresenceDocument::new(
            principal,
            std::iter::once(PresenceTuple::new(SELF, basic)).chain(tuples).collect(),
        )
    }
}

/// The document of one who left.
#[must_use]
pub fn farewell(principal: PrincipalId) -> PresenceDocument {
    PresenceDocument::new(principal, vec![PresenceTuple::new(SELF, Basic::Closed)])
}

/// What a view shows of the document. Done before encryption: what is left out never leaves the node.
#[must_use]
pub fn project(document: PresenceDocument, projection: Projection) -> PresenceDocument {
    match projection {
        Projection::Full => document,
        // Made anew from the little it keeps, so that a field that is added to documents is left out until someone decides
        // otherwise.
        Projection::StatusOnly => PresenceDocument {
            activities: document
                .activities
                .iter()
                .filter(|activity| [AWAY, BUSY].contains(&activity.as_str()))
                .cloned()
                .collect(),
            ..PresenceDocument::new(document.entity, vec![PresenceTuple::new(SELF, document.basic())])
        },
    }
}

#[cfg(test)]
#[path = "presentity/tests.rs"]
mod tests;
