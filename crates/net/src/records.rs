//! The DHT's record store: two shelves behind libp2p's trait. One is shared by all, within a quota; the other is for what this
//! node itself publishes or waits for, so that no flood of others' records can stand in its way. Whatever is put here was
//! verified; the highest sequence wins by the shelf's own rule, not by who came last. Records of providers are refused: nobody
//! needs them yet.

use crate::config::Wall;
use libp2p::PeerId;
use libp2p::kad::store::{Error, RecordStore, Result};
use libp2p::kad::{ProviderRecord, Record, RecordKey};
use porchlight_wire::beacon::{BeaconError, VerifiedBeacon};
use porchlight_wire::blind::Kind;
use porchlight_wire::network::Network;
use porchlight_wire::record::{Place, RecordError, VerifiedRecord};
use porchlight_wire::shelf::{Shelf, ShelfLimits, Shelved};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Verified records, as libp2p's Kademlia wants to see them.
#[derive(Debug)]
pub(crate) struct Records {
    network: Network,
    wall: Wall,
    /// Of others, within the quota.
    shared: Shelf,
    /// At the places below. Bounded by what the core publishes and expects.
    own: Shelf,
    published: BTreeSet<Place>,
    expected: BTreeSet<Place>,
}

/// The own shelf refuses nothing: its places are few, and chosen by us.
const UNBOUNDED: ShelfLimits = ShelfLimits {
    records: usize::MAX,
    bytes: usize::MAX,
};

impl Records {
    pub(crate) const fn new(network: Network, limits: ShelfLimits, wall: Wall) -> Self {
        Self {
            network,
            wall,
            shared: Shelf::new(limits),
            own: Shelf::new(UNBOUNDED),
            published: BTreeSet::new(),
            expected: BTreeSet::new(),
        }
    }

    /// Offers a record.
    pub(crate) fn offer(&mut self, record: VerifiedRecord) -> Shelved {
        if self.is_own(&record.place()) {
            self.own.put(record, self.wall.now())
        } else {
            self.shared.put(record, self.wall.now())
        }
    }

    /// Keeps a record of our own, whatever room there is for others.
    pub(crate) fn keep(&mut self, record: VerifiedRecord) -> Shelved {
        self.published.insert(record.place());
        self.offer(record)
    }

    /// Waits for what comes at exactly these places, whatever room there is for others.
    pub(crate) fn expect(&mut self, places: BTreeSet<Place>) {
        let before = std::mem::replace(&mut self.expected, places);
        let moved: Vec<Place> = before.symmetric_difference(&self.expected).copied().collect();
        for place in moved {
            let (from, to) = if self.is_own(&place) {
                (&mut self.shared, &mut self.own)
            } else {
                (&mut self.own, &mut self.shared)
            };
            if let Some(record) = from.get(&place, self.wall.now()).cloned() {
                from.remove(&place);
                to.put(record, self.wall.now());
            }
        }
    }

    fn is_own(&self, place: &Place) -> bool {
        self.expected.contains(place) || self.published.contains(place)
    }

    /// What is at a place, if its time is not over.
    pub(crate) fn at(&self, place: &Place) -> Option<&VerifiedRecord> {
        let now = self.wall.now();
        self.own.get(place, now).or_else(|| self.shared.get(place, now))
    }

    /// Whether there is anything at a place, or we wait for something there: what is put there is nothing new.
    pub(crate) fn knows(&self, place: &Place) -> bool {
        self.is_own(place) || self.at(place).is_some()
    }

    /// Where what is good for weeks is kept: cards, and identity sheets.
    pub(crate) fn lasting(&self) -> Vec<Place> {
        let lasts = |record: &&VerifiedRecord| match record {
            VerifiedRecord::Beacon(beacon) => beacon.kind() == Kind::Card,
            VerifiedRecord::Sheet(_) => true,
        };
        self.shared.iter().filter(lasts).map(VerifiedRecord::place).collect()
    }

    /// How many records there are.
    pub(crate) fn len(&self) -> usize {
        self.own.len() + self.shared.len()
    }

    /// Drops what has expired.
    pub(crate) fn sweep(&mut self) {
        let now = self.wall.now();
        self.shared.sweep(now);
        if self.own.sweep(now) > 0 {
            let own = &self.own;
            self.published.retain(|place| own.get(place, now).is_some());
        }
    }

    /// Verifies a beacon that came by gossip or on a stream.
    pub(crate) fn verify(&self, bytes: &[u8]) -> std::result::Result<VerifiedBeacon, BeaconError> {
        VerifiedBeacon::verify(bytes, &self.network, self.wall.now())
    }

    /// Verifies a record of the DHT, and that it is kept under its own address.
    pub(crate) fn verify_record(&self, record: &Record) -> std::result::Result<VerifiedRecord, RecordError> {
        let place = Place::of_dht_key(record.key.as_ref()).ok_or(RecordError::OtherPlace)?;
        VerifiedRecord::verify(&place, &record.value, &self.network, self.wall.now())
    }
}

/// A record as the DHT carries it: without publisher and lifetime, which nobody could verify and which would say where it came from.
pub(crate) fn record_of(record: &VerifiedRecord) -> Record {
    Record {
        key: RecordKey::from(record.place().dht_key()),
        value: record.bytes().to_vec(),
        publisher: None,
        expires: None,
    }
}

impl RecordStore for Records {
    type RecordsIter<'a> =
        std::iter::Map<std::vec::IntoIter<&'a VerifiedRecord>, fn(&'a VerifiedRecord) -> Cow<'a, Record>>;
    type ProvidedIter<'a> = std::iter::Empty<Cow<'a, ProviderRecord>>;

    fn get(&self, key: &RecordKey) -> Option<Cow<'_, Record>> {
        let place = Place::of_dht_key(key.as_ref())?;
        Some(Cow::Owned(record_of(self.at(&place)?)))
    }

    fn put(&mut self, record: Record) -> Result<()> {
        let Ok(verified) = self.verify_record(&record) else {
            return Err(Error::ValueTooLarge);
        };
        match self.offer(verified) {
            Shelved::New | Shelved::Replaced | Shelved::Same | Shelved::Outdated | Shelved::Expired => Ok(()),
            Shelved::Full => Err(Error::MaxRecords),
        }
    }

    fn remove(&mut self, key: &RecordKey) {
        if let Some(place) = Place::of_dht_key(key.as_ref()) {
            self.own.remove(&place);
            self.shared.remove(&place);
        }
    }

    fn records(&self) -> Self::RecordsIter<'_> {
        let all: Vec<&VerifiedRecord> = self.own.iter().chain(self.shared.iter()).collect();
        all.into_iter().map(|record| Cow::Owned(record_of(record)))
    }

    fn add_provider(&mut self, _record: ProviderRecord) -> Result<()> {
        Err(Error::MaxProvidedKeys)
    }

    fn providers(&self, _key: &RecordKey) -> Vec<ProviderRecord> {
        Vec::new()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        std::iter::empty()
    }

    fn remove_provider(&mut self, _key: &RecordKey, _provider: &PeerId) {}
}
