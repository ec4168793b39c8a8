//! What is inside an envelope: a signed letter, or an Olm message. docs/spec/envelope.md.

use crate::cbor::{self, CborError};
use crate::device_list::{DeviceList, DeviceListError, SignedDeviceList};
use crate::ids::DeviceId;
use crate::keys::DeviceKeys;
use crate::letter::SignedLetter;
use crate::limits::{BATCH, DIRECT_CLASSES, LETTER_BYTES};
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};

const LABEL: &str = "porchlight/olm-identity/1";

/// The plaintext of an envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A letter.
    Letter(SignedLetter),
    /// An Olm message.
    Olm(OlmPacket),
    /// Several, in the order in which they were written: what waited for somebody who was away.
    Batch(Vec<OlmPacket>),
}

impl Content {
    /// The plaintext.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// From the plaintext. What is in it is still to be verified.
    ///
    /// # Errors
    ///
    /// If it is none, or has too many Olm messages in it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ContentError> {
        let content = cbor::decode(bytes, LETTER_BYTES)?;
        match &content {
            Self::Batch(packets) if packets.is_empty() || packets.len() > BATCH => {
                Err(ContentError::Count { got: packets.len() })
            }
            Self::Letter(_) | Self::Olm(_) | Self::Batch(_) => Ok(content),
        }
    }
}

/// What was in an envelope is nothing that could stand in one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// The bytes are none.
    #[error("the content of an envelope cannot be read: {0}")]
    Unreadable(#[from] CborError),
    /// The padding is none of ours.
    #[error("expected an Olm message padded with zeros to 512 bytes, or 1, 2, 4, 16 or 64 KiB")]
    Padding,
    /// Too few or too many Olm messages.
    #[error("expected 1 to {BATCH} Olm messages in an envelope, got {got}")]
    Count {
        /// How many came.
        got: usize,
    },
}

/// An Olm message, and what finds the session it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OlmPacket {
    /// The sending device.
    pub device: DeviceId,
    /// Who it speaks for, while the other side may not know yet: as long as the Olm message is a pre-key message.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub identity: Option<OlmIdentity>,
    /// The Olm message.
    #[serde(with = "serde_bytes")]
    pub message: Vec<u8>,
}

impl OlmPacket {
    /// As it goes without an envelope: a length, the packet, and zeros up to one of [`DIRECT_CLASSES`]. None if it is too large.
    #[must_use]
    pub fn to_padded(&self) -> Option<Vec<u8>> {
        let packet = cbor::encode(self);
        let class = DIRECT_CLASSES.into_iter().find(|class| packet.len() + 4 <= *class)?;
        let mut padded = u32::try_from(packet.len()).ok()?.to_be_bytes().to_vec();
        padded.extend(packet);
        padded.resize(class, 0);
        Some(padded)
    }

    /// From that.
    ///
    /// # Errors
    ///
    /// If it has none of the sizes, is padded with something else, or is none.
    pub fn from_padded(bytes: &[u8]) -> Result<Self, ContentError> {
        if !DIRECT_CLASSES.contains(&bytes.len()) {
            return Err(ContentError::Padding);
        }
        let (length, rest) = bytes.split_first_chunk().ok_or(ContentError::Padding)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| ContentError::Padding)?;
        let (packet, padding) = rest.split_at_checked(length).ok_or(ContentError::Padding)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(ContentError::Padding);
        }
        Ok(cbor::decode(packet, LETTER_BYTES)?)
    }
}

/// A device's Olm identity key, signed by the device, with the list that names the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OlmIdentity {
    /// The sender's devices.
    pub devices: SignedDeviceList,
    /// The Curve25519 key.
    #[serde(with = "serde_bytes")]
    pub key: [u8; 32],
    /// The device's signature over it.
    #[serde(with = "serde_bytes")]
    pub signature: [u8; 64],
}

impl OlmIdentity {
    /// Signs an Olm identity key.
    #[must_use]
    pub fn sign(key: [u8; 32], keys: &DeviceKeys, devices: &SignedDeviceList) -> Self {
        Self {
            devices: devices.clone(),
            key,
            signature: keys.sign(LABEL, &key),
        }
    }

    /// Checks that `device` signed the key and stands in the list, and gives the list.
    ///
    /// # Errors
    ///
    /// Says what does not fit.
    pub fn verify(&self, device: &DeviceId, now: UnixMillis) -> Result<DeviceList, DeviceListError> {
        let devices = self.devices.verify()?;
        devices.signed_by(device, LABEL, &self.key, &self.signature, now)?;
        Ok(devices)
    }
}
