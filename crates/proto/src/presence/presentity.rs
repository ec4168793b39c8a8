//! The presentity (RFC 2778 section 2.1): our own document, and its projections.

use crate::rows::{OwnPresenceRow, Projection, Status};
use porchlight_wire::ids::PrincipalId;
use porchlight_wire::presence::registry::{AWAY, BUSY};
use porchlight_wire::presence::{Basic, PresenceDocument, PresenceTuple};

/// The id of the one tuple that stands for the principal as a whole.
const TUPLE: &str = "self";

/// The full document for a status.
#[must_use]
pub fn document(principal: PrincipalId, own: &OwnPresenceRow) -> PresenceDocument {
    let (basic, activity) = match own.status {
        Status::Open => (Basic::Open, None),
        Status::Away => (Basic::Open, Some(AWAY)),
        Status::Busy => (Basic::Open, Some(BUSY)),
        Status::Closed => (Basic::Closed, None),
    };
    PresenceDocument {
        notes: own.note.iter().cloned().collect(),
        activities: activity.into_iter().map(str::to_owned).collect(),
        ..PresenceDocument::new(principal, vec![PresenceTuple::new(TUPLE, basic)])
    }
}

/// The document of one who left.
#[must_use]
pub fn farewell(principal: PrincipalId) -> PresenceDocument {
    PresenceDocument::new(principal, vec![PresenceTuple::new(TUPLE, Basic::Closed)])
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
            ..PresenceDocument::new(document.entity, vec![PresenceTuple::new(TUPLE, document.basic())])
        },
    }
}

#[cfg(test)]
#[path = "presentity/tests.rs"]
mod tests;
