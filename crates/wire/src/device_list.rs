//! The devices of a principal, signed by its root, hash-chained, naming the next root. docs/spec/device-list.md.

use crate::cbor::{self, CborError};
use crate::ids::{DeviceId, PrincipalId};
use crate::keys::{RootKey, verify};
use crate::limits::DEVICES;
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const LABEL: &str = "porchlight/device-list/1";

/// Bytes of a list: each device needs some 150.
const LIST_BYTES: usize = 2_048;

/// One device of a principal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceEntry {
    /// The device: derived from its signing key.
    pub device: DeviceId,
    /// Its Ed25519 public key.
    #[serde(with = "serde_bytes")]
    pub signing: [u8; 32],
    /// Its X25519 public key, for the hello.
    #[serde(with = "serde_bytes")]
    pub exchange: [u8; 32],
    /// Until when it speaks for the principal.
    pub not_after: UnixMillis,
}

/// The devices of a principal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceList {
    /// Whose.
    pub principal: PrincipalId,
    /// The higher one is the newer one.
    pub sequence: u64,
    /// SHA-256 of the previous signed list; zeros in the first.
    #[serde(with = "serde_bytes")]
    pub previous: [u8; 32],
    /// When it was signed.
    pub issued: UnixMillis,
    /// The devices, at most [`DEVICES`].
    pub devices: Vec<DeviceEntry>,
    /// SHA-256 of the next root's public key, so that a stolen root cannot move the identity.
    #[serde(with = "serde_bytes")]
    pub next: [u8; 32],
}

impl DeviceList {
    /// Signs the list.
    #[must_use]
    pub fn sign(&self, root: &RootKey) -> SignedDeviceList {
        let list = cbor::encode(self);
        let signature = root.sign(LABEL, &list);
        SignedDeviceList { list, signature }
    }

    /// The entry of a device.
    #[must_use]
    pub fn device(&self, id: &DeviceId) -> Option<&DeviceEntry> {
        self.devices.iter().find(|entry| entry.device == *id)
    }

    /// Whether `signature` over `label | 0 | bytes` is by a device of this list that speaks for the principal at `now`.
    pub(crate) fn signed_by(
        &self,
        device: &DeviceId,
        label: &str,
        bytes: &[u8],
        signature: &[u8; 64],
        now: UnixMillis,
    ) -> Result<(), DeviceListError> {
        let entry = self.device(device).ok_or(DeviceListError::NotListed(*device))?;
        if entry.not_after <= now {
            return Err(DeviceListError::Ended(*device));
        }
        if !verify(&entry.signing, label, bytes, signature) {
            return Err(DeviceListError::NotByDevice(*device));
        }
        Ok(())
    }
}

/// A list's bytes as signed, and the signature. Serialises as sent; verify before use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedDeviceList {
    /// The deterministic CBOR of a [`DeviceList`].
    #[serde(with = "serde_bytes")]
    pub list: Vec<u8>,
    /// The root's signature over it.
    #[serde(with = "serde_bytes")]
    pub signature: [u8; 64],
}

impl SignedDeviceList {
    /// Checks the signature under the principal that the list names, and that every device is named after its key.
    ///
    /// # Errors
    ///
    /// Says what does not fit.
    pub fn verify(&self) -> Result<DeviceList, DeviceListError> {
        let list: DeviceList = cbor::decode(&self.list, LIST_BYTES)?;
        if !verify(list.principal.as_bytes(), LABEL, &self.list, &self.signature) {
            return Err(DeviceListError::NotByRoot);
        }
        if list.devices.is_empty() || list.devices.len() > DEVICES {
            return Err(DeviceListError::Count(list.devices.len()));
        }
        if let Some(entry) = list
            .devices
            .iter()
            .find(|entry| DeviceId::of_key(&entry.signing) != entry.device)
        {
            return Err(DeviceListError::Misnamed(entry.device));
        }
        Ok(list)
    }

    /// SHA-256 of list and signature: what the next list names as `previous`.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::new()
            .chain_update(&self.list)
            .chain_update(self.signature)
            .finalize()
            .into()
    }
}

/// A device list, or a signature by one of its devices, that does not stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceListError {
    /// The bytes are no device list.
    #[error("the device list cannot be read: {0}")]
    Unreadable(#[from] CborError),
    /// Not signed by the principal it names.
    #[error("the device list is not signed by the principal it names")]
    NotByRoot,
    /// None, or too many.
    #[error("expected 1 to {DEVICES} devices, got {0}")]
    Count(usize),
    /// A device's id does not come from its key.
    #[error("{0} is not named after its key")]
    Misnamed(DeviceId),
    /// The device is not in the list.
    #[error("{0} is not in its principal's device list")]
    NotListed(DeviceId),
    /// The device's time is over.
    #[error("{0} no longer speaks for its principal")]
    Ended(DeviceId),
    /// The signature is not the device's.
    #[error("the signature is not by {0}")]
    NotByDevice(DeviceId),
}
