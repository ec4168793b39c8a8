//! Verified records kept by place: the highest sequence wins, within quotas, until they expire. Pure. The record store of
//! the DHT, what relays serve, and the simulated network are all this.

use crate::beacon::VerifiedBeacon;
use crate::blind::BlindedKey;
use crate::record::{Place, VerifiedRecord};
use crate::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};

/// What a shelf may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShelfLimits {
    /// Records.
    pub records: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// What became of a record that was put on a shelf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shelved {
    /// The first at its place.
    New,
    /// It took the place of an older one.
    Replaced,
    /// The very same is there already.
    Same,
    /// A newer one is there.
    Outdated,
    /// There is no room, even after dropping what has expired.
    Full,
    /// Its own time is over.
    Expired,
}

impl Shelved {
    /// Whether the record brought something new and is on the shelf now.
    #[must_use]
    pub const fn is_news(self) -> bool {
        matches!(self, Self::New | Self::Replaced)
    }
}

/// Records by place.
#[derive(Debug)]
pub struct Shelf {
    limits: ShelfLimits,
    records: BTreeMap<Place, VerifiedRecord>,
    by_expiry: BTreeSet<(UnixMillis, Place)>,
    bytes: usize,
}

impl Shelf {
    /// An empty one.
    #[must_use]
    pub const fn new(limits: ShelfLimits) -> Self {
        Self {
            limits,
            records: BTreeMap::new(),
            by_expiry: BTreeSet::new(),
            bytes: 0,
        }
    }

    /// Offers a record.
    pub fn put(&mut self, record: VerifiedRecord, now: UnixMillis) -> Shelved {
        if record.expires() <= now {
            return Shelved::Expired;
        }
        let place = record.place();
        let old = self.records.get(&place);
        match old {
            Some(old) if *old == record => return Shelved::Same,
            Some(old) if !record.supersedes(old) => return Shelved::Outdated,
            Some(_) | None => {}
        }
        let freed = old.map_or(0, |old| old.bytes().len());
        let known = old.is_some();
        if !self.has_room(record.bytes().len(), freed, known) {
            self.sweep(now);
            if !self.has_room(record.bytes().len(), freed, known) {
                return Shelved::Full;
            }
        }
        self.remove(&place);
        self.bytes += record.bytes().len();
        self.by_expiry.insert((record.expires(), place));
        self.records.insert(place, record);
        if known { Shelved::Replaced } else { Shelved::New }
    }

    /// What is at a place, if its time is not over.
    #[must_use]
    pub fn get(&self, place: &Place, now: UnixMillis) -> Option<&VerifiedRecord> {
        self.records.get(place).filter(|record| record.expires() > now)
    }

    /// The beacon at an address, if its time is not over.
    #[must_use]
    pub fn beacon(&self, pk: &BlindedKey, now: UnixMillis) -> Option<&VerifiedBeacon> {
        self.get(&Place::Beacon(*pk), now)?.beacon()
    }

    /// Takes a record off the shelf.
    pub fn remove(&mut self, place: &Place) {
        if let Some(old) = self.records.remove(place) {
            self.by_expiry.remove(&(old.expires(), *place));
            self.bytes -= old.bytes().len();
        }
    }

    /// Drops what has expired; returns how many.
    pub fn sweep(&mut self, now: UnixMillis) -> usize {
        let mut dropped = 0;
        while let Some((expires, place)) = self.by_expiry.first().copied()
            && expires <= now
        {
            self.remove(&place);
            dropped += 1;
        }
        dropped
    }

    /// All records, by place.
    pub fn iter(&self) -> impl Iterator<Item = &VerifiedRecord> {
        self.records.values()
    }

    /// All beacons, by address.
    pub fn beacons(&self) -> impl Iterator<Item = &VerifiedBeacon> {
        self.records.values().filter_map(VerifiedRecord::beacon)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn has_room(&self, bytes: usize, freed: usize, known: bool) -> bool {
        let records = self.records.len() + usize::from(!known);
        records <= self.limits.records && self.bytes - freed + bytes <= self.limits.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beacon::BeaconDraft;
    use crate::blind::{GenerationKey, Kind};
    use crate::network::Network;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

    fn beacon(seed: u8, sequence: u64, expires: UnixMillis) -> VerifiedRecord {
        let key = GenerationKey::from_bytes(&[seed; 64]);
        let draft = BeaconDraft {
            kind: Kind::Presence,
            epoch: key.read_key().epoch(Kind::Presence, NOW),
            slot: 0,
            sequence,
            expires,
            payload: b"open",
            work: 0,
        };
        let bytes = key.seal(&draft, NOW, &mut ChaCha20Rng::from_seed([0; 32])).unwrap();
        VerifiedBeacon::verify(&bytes, &Network::named("test").unwrap(), NOW)
            .unwrap()
            .into()
    }

    const MANY: ShelfLimits = ShelfLimits {
        records: 10,
        bytes: 1 << 20,
    };

    #[test]
    fn rfc2779_3_3_2_the_highest_sequence_wins_whatever_comes_last() {
        let late = UnixMillis(u64::MAX);
        let mut shelf = Shelf::new(MANY);
        let (old, new) = (beacon(1, 1, late), beacon(1, 2, late));
        assert_eq!(shelf.put(old.clone(), NOW), Shelved::New);
        assert_eq!(shelf.put(new.clone(), NOW), Shelved::Replaced);
        assert_eq!(shelf.put(old, NOW), Shelved::Outdated);
        assert_eq!(shelf.put(new.clone(), NOW), Shelved::Same);
        assert_eq!(shelf.get(&new.place(), NOW), Some(&new));
        assert_eq!(shelf.len(), 1);
    }

    #[test]
    fn a_full_shelf_makes_room_only_by_what_expired() {
        let late = UnixMillis(u64::MAX);
        let mut shelf = Shelf::new(ShelfLimits {
            records: 2,
            bytes: 1 << 20,
        });
        let soon = NOW.plus(5_000);
        assert_eq!(shelf.put(beacon(1, 1, soon), NOW), Shelved::New);
        assert_eq!(shelf.put(beacon(2, 1, late), NOW), Shelved::New);
        assert_eq!(shelf.put(beacon(3, 1, late), NOW), Shelved::Full);
        // One that is known can always be renewed.
        assert_eq!(shelf.put(beacon(2, 2, late), NOW), Shelved::Replaced);
        assert_eq!(shelf.put(beacon(3, 1, late), NOW.plus(10_000)), Shelved::New);
        assert_eq!(shelf.len(), 2);
    }

    #[test]
    fn bytes_count_too() {
        let late = UnixMillis(u64::MAX);
        let mut shelf = Shelf::new(ShelfLimits {
            records: 10,
            bytes: 1_500,
        });
        assert_eq!(shelf.put(beacon(1, 1, late), NOW), Shelved::New);
        assert_eq!(shelf.put(beacon(2, 1, late), NOW), Shelved::Full);
        assert_eq!(shelf.put(beacon(1, 2, late), NOW), Shelved::Replaced);
    }

    #[test]
    fn what_expired_is_not_served() {
        let mut shelf = Shelf::new(MANY);
        let beacon = beacon(1, 1, NOW.plus(5_000));
        shelf.put(beacon.clone(), NOW);
        assert!(shelf.get(&beacon.place(), NOW.plus(4_000)).is_some());
        assert!(shelf.get(&beacon.place(), NOW.plus(6_000)).is_none());
        assert_eq!(shelf.put(beacon, NOW.plus(6_000)), Shelved::Expired);
        assert_eq!(shelf.sweep(NOW.plus(6_000)), 1);
        assert!(shelf.is_empty());
    }
}
