//! Lookups and puts: several queries of Kademlia make one of ours. A lookup asks for all addresses at once, verifies every
//! copy, and puts right the servers whose copy was outdated. A put finds the servers, gives them the record, and reads it
//! back: that a server acknowledged says nothing, because libp2p acknowledges what was refused too.

use libp2p::PeerId;
use libp2p::kad::QueryId;
use porchlight_wire::record::{Place, VerifiedRecord};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

/// Copies of one record after which a query is ended early: by then the newest is among them.
pub(crate) const ENOUGH_COPIES: usize = 8;

/// Lookups and puts under way at once; more are answered as if nobody could be asked.
pub(crate) const UNDER_WAY: usize = 512;

/// What a query of Kademlia is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Of a lookup: the copies at one place.
    Copies { lookup: u64, place: Place },
    /// Of a put: the servers closest to the place.
    Closest { put: u64 },
    /// Of a put: giving them the record.
    Store { put: u64 },
    /// Of a put: reading it back.
    ReadBack { put: u64 },
    /// Of a lookup that is over: correcting outdated copies.
    Repair,
}

/// A lookup under way.
#[derive(Debug)]
pub(crate) struct Lookup {
    pub(crate) until: Instant,
    /// Queries of Kademlia not yet over.
    pub(crate) queries: usize,
    /// Nodes asked directly that have not answered.
    pub(crate) asked: usize,
    /// Nodes that answered, by DHT (the most of any query) and directly.
    pub(crate) answered_dht: u32,
    pub(crate) answered_directly: u32,
    /// Copies seen at each place, and who had them.
    pub(crate) copies: BTreeMap<Place, Vec<(PeerId, VerifiedRecord)>>,
}

impl Lookup {
    pub(crate) const fn is_over(&self) -> bool {
        self.queries == 0 && self.asked == 0
    }

    /// The newest copy at each place, and who had an older one.
    pub(crate) fn outdated(&self) -> Vec<(VerifiedRecord, Vec<PeerId>)> {
        self.copies
            .values()
            .filter_map(|copies| {
                let mut newest = copies.first()?.1.clone();
                for (_, copy) in copies {
                    if copy.supersedes(&newest) {
                        newest = copy.clone();
                    }
                }
                let losers: Vec<PeerId> = copies
                    .iter()
                    .filter(|(_, copy)| newest.supersedes(copy))
                    .map(|(peer, _)| *peer)
                    .collect();
                (!losers.is_empty()).then_some((newest, losers))
            })
            .collect()
    }
}

/// A put under way.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) record: VerifiedRecord,
    pub(crate) asked: u32,
    /// Servers on which reading back found this record or a newer one.
    pub(crate) stored: BTreeSet<PeerId>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Queries {
    pub(crate) parts: HashMap<QueryId, Part>,
    pub(crate) lookups: BTreeMap<u64, Lookup>,
    pub(crate) puts: BTreeMap<u64, Put>,
}

impl Queries {
    pub(crate) fn is_full(&self) -> bool {
        self.lookups.len() + self.puts.len() >= UNDER_WAY
    }
}
