//! What a watcher is told: a pure function of record, age and own connectivity. Called by the watcher whenever one of
//! them has changed; it must never see anything else, and never say `open` on the strength of an old record.

use crate::clock::{Clock, Instant};
use crate::event::{Source, Told, Verdict};
use crate::limits::CLOCK_TOLERANCE;
use porchlight_wire::presence::{Basic, PresenceState};
use porchlight_wire::time::UnixMillis;

/// The newest record of a presentity, as it reached us.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What it says.
    pub state: &'a PresenceState,
    /// Its sequence.
    pub sequence: u64,
    /// How it came.
    pub source: Source,
    /// When it came.
    pub received: Received,
}

/// When a record came, in the terms its lease is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// As it was issued, while we listened: the lease runs on our monotonic clock from the first receipt, and ends at
    /// the latest [`CLOCK_TOLERANCE`] after what the wall clocks say.
    Live(Instant),
    /// Looked up, or from our own disk: only the wall clocks can say how old it is.
    Late,
}

/// When the lease of `record` is over. On the wall clock, as of `clock`.
#[must_use]
pub fn lease_end(record: &Record<'_>, clock: Clock) -> UnixMillis {
    let by_wall = record.state.issued.plus(record.state.lease);
    match record.received {
        Received::Late => by_wall,
        Received::Live(first) => {
            let left = first.plus(record.state.lease).since(clock.instant);
            let by_receipt = clock.unix.plus(left);
            by_receipt.min(by_wall.plus(CLOCK_TOLERANCE))
        }
    }
}

/// What a watcher is told. `live` says whether there is a live source for this presentity.
#[must_use]
pub fn belief(record: Option<&Record<'_>>, live: bool, clock: Clock) -> Told {
    let Some(record) = record else {
        return Told {
            verdict: Verdict::UnknownNoRecord,
            document: None,
            source: None,
            issued: None,
            holds_until: None,
            sequence: None,
        };
    };
    let issued = record.state.issued;
    let believable_from = UnixMillis(issued.0.saturating_sub(CLOCK_TOLERANCE));
    let over = lease_end(record, clock);
    let (verdict, holds_until) = if !live {
        (Verdict::UnknownNoSource, None)
    } else if record.state.ended {
        (Verdict::UnknownViewEnded, None)
    } else if clock.unix < believable_from {
        (Verdict::UnknownClock, Some(believable_from))
    } else if record.state.document.basic() == Basic::Closed {
        (Verdict::Closed, None)
    } else if over <= clock.unix {
        (Verdict::ClosedLapsed, None)
    } else {
        (Verdict::AsRecorded, Some(over))
    };
    let shown = match verdict {
        Verdict::UnknownNoRecord | Verdict::UnknownViewEnded | Verdict::UnknownNoSource | Verdict::UnknownClock => None,
        Verdict::Closed | Verdict::ClosedLapsed | Verdict::AsRecorded => Some(record.state.document.clone()),
    };
    Told {
        verdict,
        document: shown,
        source: Some(record.source),
        issued: Some(issued),
        holds_until,
        sequence: Some(record.sequence),
    }
}

#[cfg(test)]
#[path = "belief/tests.rs"]
mod tests;
