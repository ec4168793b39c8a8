//! Lookups and puts: several queries of Kademlia make one of ours. A lookup asks for all addresses at once, verifies every
//! copy, and puts right the servers whose copy was outdated. A put finds the servers, gives them the record, and reads it
//! back: that a server acknowledged says nothing, because libp2p acknowledges what was refused too.

use crate::behaviour::AT_ONCE;
use libp2p::PeerId;
use libp2p::kad::QueryId;
use porchlight_wire::record::{Place, VerifiedRecord};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;
use tokio::time::Instant;

/// Copies of the newest record at which a query need not wait for servers that are silent, provided that nobody is left to be
/// asked. Not before: a few servers that are closest to an address are asked first, and could hide what others have.
const ENOUGH_COPIES: usize = 8;

/// How long no further copy has come by then: one that is there answers within a few round trips.
const SILENCE: Duration = Duration::from_secs(1);

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
    /// The servers closest to a place at which something is kept that is put again.
    Renewal { place: Place },
    /// Giving servers what they do not have, or an older copy of: after a lookup, or to put it again.
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
    /// When the last of them came.
    pub(crate) last_copy: BTreeMap<Place, Instant>,
}

impl Lookup {
    pub(crate) const fn is_over(&self) -> bool {
        self.queries == 0 && self.asked == 0
    }

    /// Whether a query that has so many servers to wait for is not worth waiting. While there are others to ask, it waits for
    /// as many as it may at once: if there are fewer, all were asked.
    pub(crate) fn is_settled(&self, place: &Place, silent: u32, now: Instant) -> bool {
        let all_asked = usize::try_from(silent).is_ok_and(|silent| silent < AT_ONCE.get());
        let waited = self.last_copy.get(place).is_some_and(|last| *last + SILENCE <= now);
        let agreed = self.copies.get(place).is_some_and(|copies| {
            let newest = newest(copies);
            copies.iter().filter(|(_, copy)| Some(copy) == newest).count() >= ENOUGH_COPIES
        });
        all_asked && waited && agreed
    }

    /// The newest copy at each place, and who had an older one.
    pub(crate) fn outdated(&self) -> Vec<(VerifiedRecord, Vec<PeerId>)> {
        self.copies
            .values()
            .filter_map(|copies| {
                let newest = newest(copies)?.clone();
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

fn newest(copies: &[(PeerId, VerifiedRecord)]) -> Option<&VerifiedRecord> {
    let copies = copies.iter().map(|(_, copy)| copy);
    copies.reduce(|newest, copy| if copy.supersedes(newest) { copy } else { newest })
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

#[cfg(test)]
mod tests {
    use super::*;
    use porchlight_wire::beacon::{BeaconDraft, VerifiedBeacon};
    use porchlight_wire::blind::{GenerationKey, Kind};
    use porchlight_wire::network::Network;
    use porchlight_wire::time::UnixMillis;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

    fn record(sequence: u64) -> VerifiedRecord {
        let key = GenerationKey::from_bytes(&[1; 64]);
        let draft = BeaconDraft {
            kind: Kind::Presence,
            epoch: key.read_key().epoch(Kind::Presence, NOW),
            slot: 0,
            sequence,
            expires: UnixMillis(u64::MAX),
            payload: b"open",
            work: 0,
        };
        let bytes = key.seal(&draft, NOW, &mut ChaCha20Rng::from_seed([0; 32])).unwrap();
        VerifiedBeacon::verify(&bytes, &Network::named("test").unwrap(), NOW)
            .unwrap()
            .into()
    }

    #[test]
    fn a_query_is_settled_once_all_were_asked_and_enough_agree_on_the_newest() {
        let began = Instant::now();
        let place = record(1).place();
        let mut lookup = Lookup {
            until: began,
            queries: 1,
            asked: 0,
            answered_dht: 0,
            answered_directly: 0,
            copies: BTreeMap::new(),
            last_copy: BTreeMap::from([(place, began)]),
        };
        let copy = |sequence| (PeerId::random(), record(sequence));
        lookup.copies.insert(place, (0..8).map(|_| copy(1)).collect());
        let later = began + SILENCE;
        assert!(lookup.is_settled(&place, 2, later));
        assert!(
            !lookup.is_settled(&place, 3, later),
            "somebody who may have it was perhaps not asked"
        );
        assert!(!lookup.is_settled(&place, 2, began), "somebody may be answering");
        lookup.copies.entry(place).or_default().push(copy(2));
        assert!(!lookup.is_settled(&place, 2, later), "eight old ones say nothing");
        let more = (0..7).map(|_| copy(2));
        lookup.copies.entry(place).or_default().extend(more);
        assert!(lookup.is_settled(&place, 2, later));
    }
}
