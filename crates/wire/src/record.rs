//! What the DHT keeps: a beacon at its blinded key, or an identity sheet at a hash of its principal's id. Servers and lookups treat
//! both alike: verified, the highest sequence wins, kept until it expires.

use crate::beacon::{BeaconError, VerifiedBeacon};
use crate::blind::BlindedKey;
use crate::network::Network;
use crate::sheet::{SheetAddress, SheetError, VerifiedSheet};
use crate::time::UnixMillis;

/// What stands before the 32 bytes in the DHT key of a beacon.
const BEACONS: &[u8] = b"/beacon/1/";

/// The same for an identity sheet.
const SHEETS: &[u8] = b"/sheet/1/";

/// Where a record is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A beacon, at its blinded key.
    Beacon(BlindedKey),
    /// An identity sheet, at its own.
    Sheet(SheetAddress),
}

impl Place {
    /// The key under which the DHT keeps what is here.
    #[must_use]
    pub fn dht_key(&self) -> Vec<u8> {
        match self {
            Self::Beacon(pk) => [BEACONS, pk.as_bytes()].concat(),
            Self::Sheet(address) => [SHEETS, address.as_bytes()].concat(),
        }
    }

    /// The place of a DHT key; none if it is not one of ours.
    #[must_use]
    pub fn of_dht_key(key: &[u8]) -> Option<Self> {
        if let Some(bytes) = key.strip_prefix(BEACONS) {
            return Some(Self::Beacon(BlindedKey::from_bytes(bytes.try_into().ok()?)));
        }
        let bytes = key.strip_prefix(SHEETS)?;
        Some(Self::Sheet(SheetAddress::from_bytes(bytes.try_into().ok()?)))
    }

    /// Its 32 bytes: what a proof of work is over.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        match self {
            Self::Beacon(pk) => pk.as_bytes(),
            Self::Sheet(address) => address.as_bytes(),
        }
    }
}

/// A record whose every part was checked. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerifiedRecord {
    /// A beacon.
    Beacon(VerifiedBeacon),
    /// An identity sheet.
    Sheet(VerifiedSheet),
}

impl VerifiedRecord {
    /// Verifies what was kept at `place`, and that it belongs there.
    ///
    /// # Errors
    ///
    /// Says what does not fit; [`RecordError::is_forgery`] says what to think of whoever kept it there.
    pub fn verify(place: &Place, bytes: &[u8], network: &Network, now: UnixMillis) -> Result<Self, RecordError> {
        let record = match place {
            Place::Beacon(_) => Self::Beacon(VerifiedBeacon::verify(bytes, network, now)?),
            Place::Sheet(_) => Self::Sheet(VerifiedSheet::verify(bytes, network, now)?),
        };
        if record.place() == *place {
            Ok(record)
        } else {
            Err(RecordError::OtherPlace)
        }
    }

    /// Where it is kept.
    #[must_use]
    pub fn place(&self) -> Place {
        match self {
            Self::Beacon(beacon) => Place::Beacon(beacon.pk()),
            Self::Sheet(sheet) => Place::Sheet(sheet.address()),
        }
    }

    /// The bytes, as received.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Beacon(beacon) => beacon.bytes(),
            Self::Sheet(sheet) => sheet.bytes(),
        }
    }

    /// Its sequence: the higher one is the newer one.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        match self {
            Self::Beacon(beacon) => beacon.sequence(),
            Self::Sheet(sheet) => sheet.sheet().sequence,
        }
    }

    /// Until when it may be kept.
    #[must_use]
    pub fn expires(&self) -> UnixMillis {
        match self {
            Self::Beacon(beacon) => beacon.expires(),
            Self::Sheet(sheet) => sheet.sheet().expires,
        }
    }

    /// SHA-256 of the bytes.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        match self {
            Self::Beacon(beacon) => beacon.hash(),
            Self::Sheet(sheet) => sheet.hash(),
        }
    }

    /// Whether this one replaces `other` at the same place: a higher sequence, or the same one and a lower hash, so that
    /// everybody settles on the same of two.
    #[must_use]
    pub fn supersedes(&self, other: &Self) -> bool {
        self.sequence() > other.sequence() || (self.sequence() == other.sequence() && self.hash() < other.hash())
    }

    /// The beacon, if it is one.
    #[must_use]
    pub const fn beacon(&self) -> Option<&VerifiedBeacon> {
        match self {
            Self::Beacon(beacon) => Some(beacon),
            Self::Sheet(_) => None,
        }
    }
}

impl From<VerifiedBeacon> for VerifiedRecord {
    fn from(beacon: VerifiedBeacon) -> Self {
        Self::Beacon(beacon)
    }
}

/// Why bytes were not accepted at a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It is no beacon that stands.
    #[error(transparent)]
    Beacon(#[from] BeaconError),
    /// It is no sheet that stands.
    #[error(transparent)]
    Sheet(#[from] SheetError),
    /// It belongs elsewhere.
    #[error("it is kept at another place than its own")]
    OtherPlace,
}

impl RecordError {
    /// True where no honest peer can have kept or sent this. False for what clocks and delays explain.
    #[must_use]
    pub const fn is_forgery(&self) -> bool {
        match self {
            Self::Beacon(error) => error.is_forgery(),
            Self::Sheet(error) => error.is_forgery(),
            Self::OtherPlace => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back_from_their_dht_keys() {
        let beacon = Place::Beacon(BlindedKey::from_bytes([9; 32]));
        let principal = crate::keys::RootKey::from_seed(&[1; 32]).principal();
        let sheet = Place::Sheet(SheetAddress::of(&principal));
        assert_ne!(sheet.as_bytes(), principal.as_bytes(), "the id does not show");
        for place in [beacon, sheet] {
            assert_eq!(Place::of_dht_key(&place.dht_key()), Some(place));
        }
        for key in [b"/beacon/1/short".as_slice(), b"/sheet/1/short", b"/other/1/"] {
            assert_eq!(Place::of_dht_key(key), None);
        }
    }
}
