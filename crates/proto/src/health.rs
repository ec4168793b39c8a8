//! How the core finds itself: what it has tried and not managed, and what it would notice if it were cut off. For whoever asks
//! whether the node does what it is there for; it changes nothing. What the edge makes of it comes back as an input, and
//! is told to local clients when it changes.

use crate::event::{Event, Source};
use crate::limits::{REASON_BYTES, REASONS};
use crate::node::{Node, Phase};
use crate::publication::Name;
use porchlight_wire::blind::{BlindedKey, Kind};
use porchlight_wire::ids::PrincipalId;
use porchlight_wire::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How the core finds itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// What is kept published.
    pub publications: Vec<Published>,
    /// Where our card stands now.
    pub card: Vec<BlindedKey>,
    /// Contacts whose presence should reach us unasked, and whether it would.
    pub sources: Vec<SourceOf>,
    /// How far the clocks of contacts are ahead of ours, as their fresh records say.
    pub clocks: Vec<ClockOf>,
    /// Consumers of events, and how far they are behind.
    pub consumers: Vec<Lag>,
    /// When the oldest letter that waits was written.
    pub oldest_letter: Option<UnixMillis>,
}

/// Something that is kept published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// What: a view, an invite, or the card.
    pub what: What,
    /// When the last put was read back somewhere.
    pub stored: Option<UnixMillis>,
    /// Puts in a row, since, that servers were asked to keep and nobody kept.
    pub unkept: u32,
}

/// What is published.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum What {
    /// Our card.
    Card,
    /// A view, by name.
    View(String),
    /// An invite: its record or its temporary view.
    Invite,
}

/// Whether a contact's presence would reach us.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceOf {
    /// The petname.
    pub contact: String,
    /// Whether there is a live source.
    pub live: bool,
}

/// How far somebody's clock is ahead of ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClockOf {
    /// The petname.
    pub contact: String,
    /// By so many milliseconds: when the newest record was issued by their clock, less when it came by ours.
    pub ahead: i64,
}

/// How far a consumer is behind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lag {
    /// Its name.
    pub consumer: String,
    /// Events it has not acknowledged.
    pub behind: u64,
    /// When it last acknowledged some.
    pub seen: UnixMillis,
}

impl Node {
    /// `Command::Condition`.
    pub(crate) fn command_condition(&self) -> Condition {
        let newest = self.disk.newest_event;
        Condition {
            publications: self
                .publications
                .iter()
                .map(|(name, publication)| Published {
                    what: match name {
                        Name::Card => What::Card,
                        Name::View(view) => What::View(view.clone()),
                        Name::Invite(_) | Name::Temporary(_) => What::Invite,
                    },
                    stored: publication.stored_at(),
                    unkept: publication.unkept(),
                })
                .collect(),
            card: crate::publication::epochs_in_use(
                self.disk.identity.card.read_key().epochs(Kind::Card),
                self.clock.unix,
            )
            .into_iter()
            .map(|epoch| {
                let read = self.disk.identity.card.read_key();
                read.blinded(Kind::Card, epoch, crate::publication::SLOT)
            })
            .collect(),
            sources: self.sources(),
            clocks: self.clocks(),
            consumers: self
                .disk
                .consumers
                .values()
                .map(|row| Lag {
                    consumer: row.name.clone(),
                    behind: newest.saturating_sub(row.acknowledged),
                    seen: row.seen,
                })
                .collect(),
            oldest_letter: self.disk.letters.values().map(|letter| letter.created).min(),
        }
    }

    /// Of those whose views are only asked for there is nothing to be expected.
    fn sources(&self) -> Vec<SourceOf> {
        self.watched
            .iter()
            .filter(|(principal, _)| !self.is_lookup_only(principal))
            .filter_map(|(principal, watched)| {
                let contact = self.disk.contacts.get(principal)?;
                contact.held.as_ref()?;
                Some(SourceOf {
                    contact: contact.name.clone(),
                    live: self.has_source(principal, watched),
                })
            })
            .collect()
    }

    /// Only what came as it was issued says something about clocks.
    fn clocks(&self) -> Vec<ClockOf> {
        let fresh = |principal: &PrincipalId| {
            let watched = self.watched.get(principal)?;
            let row = self.disk.observed.get(principal)?;
            let as_issued = match row.source {
                Source::Direct | Source::Gossip => watched.came_in_this_run(),
                Source::Relay | Source::Dht | Source::Cache => false,
            };
            let ahead = i128::from(row.state.issued.0) - i128::from(row.received.0);
            as_issued.then_some(i64::try_from(ahead).unwrap_or(i64::MAX))
        };
        self.disk
            .contacts
            .values()
            .filter_map(|contact| {
                Some(ClockOf {
                    contact: contact.name.clone(),
                    ahead: fresh(&contact.principal)?,
                })
            })
            .collect()
    }

    /// What the edge makes of it: told when it changes. Every run begins as one that is well.
    pub(crate) fn on_health(&mut self, reasons: BTreeSet<String>) {
        if !matches!(self.phase, Phase::Up) {
            return;
        }
        let reasons: BTreeSet<String> = reasons
            .into_iter()
            .filter(|reason| reason.len() <= REASON_BYTES)
            .take(REASONS)
            .collect();
        if reasons == self.degraded {
            return;
        }
        self.degraded.clone_from(&reasons);
        if reasons.is_empty() {
            self.tell(Event::NodeRecovered);
        } else {
            let reasons = reasons.into_iter().collect();
            self.tell(Event::NodeDegraded { reasons });
        }
    }
}
