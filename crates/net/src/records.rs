//! The DHT's record store: a [`Shelf`] behind libp2p's trait. Whatever is put here was verified; the highest sequence wins
//! by the shelf's own rule, not by who came last. Records of providers are refused: nobody needs them yet.

use libp2p::PeerId;
use libp2p::kad::store::{Error, RecordStore, Result};
use libp2p::kad::{ProviderRecord, Record, RecordKey};
use porchlight_wire::beacon::{BeaconError, VerifiedBeacon, dht_key, pk_of_dht_key};
use porchlight_wire::network::Network;
use porchlight_wire::shelf::{Shelf, ShelfLimits, Shelved};
use porchlight_wire::time::UnixMillis;
use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

/// Wall time, at the edge.
pub(crate) fn unix_now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Verified beacons, as libp2p's Kademlia wants to see them.
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

    /// Verifies bytes that came from outside.
    pub(crate) fn verify(&self, bytes: &[u8]) -> std::result::Result<VerifiedBeacon, BeaconError> {
        VerifiedBeacon::verify(bytes, &self.network, unix_now())
    }

    /// Verifies a record of the DHT, and that it is kept under its own address.
    pub(crate) fn verify_record(&self, record: &Record) -> std::result::Result<VerifiedBeacon, BeaconError> {
        let beacon = self.verify(&record.value)?;
        if pk_of_dht_key(record.key.as_ref()) == Some(beacon.pk()) {
            Ok(beacon)
        } else {
            Err(BeaconError::Certificate)
        }
    }
}

/// A beacon as a record: without publisher and lifetime, which nobody could verify and which would say where it came from.
pub(crate) fn record_of(beacon: &VerifiedBeacon) -> Record {
    Record {
        key: RecordKey::from(dht_key(&beacon.pk())),
        value: beacon.bytes().to_vec(),
        publisher: None,
        expires: None,
    }
}

impl RecordStore for Records {
    type RecordsIter<'a> =
        std::iter::Map<std::vec::IntoIter<&'a VerifiedBeacon>, fn(&'a VerifiedBeacon) -> Cow<'a, Record>>;
    type ProvidedIter<'a> = std::iter::Empty<Cow<'a, ProviderRecord>>;

    fn get(&self, key: &RecordKey) -> Option<Cow<'_, Record>> {
        let pk = pk_of_dht_key(key.as_ref())?;
        let beacon = self.shelf.get(&pk, unix_now())?;
        Some(Cow::Owned(record_of(beacon)))
    }

    fn put(&mut self, record: Record) -> Result<()> {
        let Ok(beacon) = self.verify_record(&record) else {
            return Err(Error::ValueTooLarge);
        };
        match self.shelf.put(beacon, unix_now()) {
            Shelved::New | Shelved::Replaced | Shelved::Same | Shelved::Outdated | Shelved::Expired => Ok(()),
            Shelved::Full => Err(Error::MaxRecords),
        }
    }

    fn remove(&mut self, key: &RecordKey) {
        if let Some(pk) = pk_of_dht_key(key.as_ref()) {
            self.shelf.remove(&pk);
        }
    }

    fn records(&self) -> Self::RecordsIter<'_> {
        let all: Vec<&VerifiedBeacon> = self.shelf.iter().collect();
        all.into_iter().map(|beacon| Cow::Owned(record_of(beacon)))
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
