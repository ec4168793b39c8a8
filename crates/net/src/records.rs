//! The DHT's record store: a [`Shelf`] behind libp2p's trait. Whatever is put here was verified; the highest sequence wins
//! by the shelf's own rule, not by who came last. Records of providers are refused: nobody needs them yet.

use libp2p::PeerId;
use libp2p::kad::store::{Error, RecordStore, Result};
use libp2p::kad::{ProviderRecord, Record, RecordKey};
use porchlight_wire::beacon::{BeaconError, VerifiedBeacon};
use porchlight_wire::network::Network;
use porchlight_wire::record::{Place, RecordError, VerifiedRecord};
use porchlight_wire::shelf::{Shelf, ShelfLimits, Shelved};
use porchlight_wire::time::UnixMillis;
use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

/// Wall time, at the edge.
pub(crate) fn unix_now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Verified records, as libp2p's Kademlia wants to see them.
#[derive(Debug)]
pub(crate) struct Records {
    network: Network,
    shelf: Shelf,
}

impl Records {
    pub(crate) const fn new(network: Network, limits: ShelfLimits) -> Self {
        Self {
            network,
            shelf: Shelf::new(limits),
        }
    }

    pub(crate) const fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    pub(crate) const fn shelf_mut(&mut self) -> &mut Shelf {
        &mut self.shelf
    }

    /// Verifies a beacon that came by gossip or on a stream.
    pub(crate) fn verify(&self, bytes: &[u8]) -> std::result::Result<VerifiedBeacon, BeaconError> {
        VerifiedBeacon::verify(bytes, &self.network, unix_now())
    }

    /// Verifies a record of the DHT, and that it is kept under its own address.
    pub(crate) fn verify_record(&self, record: &Record) -> std::result::Result<VerifiedRecord, RecordError> {
        let place = Place::of_dht_key(record.key.as_ref()).ok_or(RecordError::OtherPlace)?;
        VerifiedRecord::verify(&place, &record.value, &self.network, unix_now())
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
        let record = self.shelf.get(&place, unix_now())?;
        Some(Cow::Owned(record_of(record)))
    }

    fn put(&mut self, record: Record) -> Result<()> {
        let Ok(verified) = self.verify_record(&record) else {
            return Err(Error::ValueTooLarge);
        };
        match self.shelf.put(verified, unix_now()) {
            Shelved::New | Shelved::Replaced | Shelved::Same | Shelved::Outdated | Shelved::Expired => Ok(()),
            Shelved::Full => Err(Error::MaxRecords),
        }
    }

    fn remove(&mut self, key: &RecordKey) {
        if let Some(place) = Place::of_dht_key(key.as_ref()) {
            self.shelf.remove(&place);
        }
    }

    fn records(&self) -> Self::RecordsIter<'_> {
        let all: Vec<&VerifiedRecord> = self.shelf.iter().collect();
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
