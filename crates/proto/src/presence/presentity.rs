//! The presentity (RFC 2778 section 2.1): our own document, and its projections.

use crate::rows::{OwnPresenceRow, Projection, Status};
use porchlight_wire::ids::PrincipalId;
use porchlight_wire::presence::{Basic, PresenceDocument, PresenceTuple};
use std::collections::BTreeMap;

/// The id of the one tuple that stands for the principal as a whole.
const TUPLE: &str = "self";

/// The RPID activity (RFC 4480 section 3.2) of one who stepped away.
pub const AWAY: &str = "away";

/// The RPID activity of one who is there and does not want to be disturbed.
pub const BUSY: &str = "busy";

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
        entity: principal,
        tuples: vec![tuple(basic)],
        notes: own.note.iter().cloned().collect(),
        activities: activity.into_iter().map(str::to_owned).collect(),
        extra: BTreeMap::new(),
    }
}

/// The document of one who left.
#[must_use]
pub fn farewell(principal: PrincipalId) -> PresenceDocument {
    PresenceDocument {
        entity: principal,
        tuples: vec![tuple(Basic::Closed)],
        notes: Vec::new(),
        activities: Vec::new(),
        extra: BTreeMap::new(),
    }
}

/// What a view shows of the document. Done before encryption: what is left out never leaves the node.
#[must_use]
pub fn project(mut document: PresenceDocument, projection: Projection) -> PresenceDocument {
    match projection {
        Projection::Full => document,
        Projection::StatusOnly => {
            for tuple in &mut document.tuples {
                tuple.contact = None;
                tuple.notes.clear();
                tuple.extra.clear();
            }
            document.notes.clear();
            document.extra.clear();
            document
        }
    }
}

fn tuple(basic: Basic) -> PresenceTuple {
    PresenceTuple {
        id: TUPLE.to_owned(),
        basic,
        contact: None,
        notes: Vec::new(),
        extra: BTreeMap::new(),
    }
}
