//! How to reach a principal: the payload of a `card` beacon. And the payload of an invite record, which travels as a `card`
//! beacon too. docs/spec/card.md and docs/spec/invite.md.

use crate::blind::ReadKey;
use crate::cbor::{self, CborError};
use crate::device_list::{DeviceList, DeviceListError, SignedDeviceList};
use crate::envelope::EnvelopePublicKey;
use crate::ids::{DeviceId, NodeAddress, PrincipalId};
use crate::keys::DeviceKeys;
use crate::limits::{ADDRESSES, MAILBOXES, PAYLOAD_BYTES, RELAYS, STAMPS};
use crate::mailbox::{MailboxAddress, SignedVoucher, StampBatch};
use crate::name::{NameError, check_name};
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};

const LABEL: &str = "porchlight/bundle/1";

/// The public keys that begin an Olm session with a device while it is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OlmKeys {
    /// Its identity key (Curve25519).
    #[serde(with = "serde_bytes")]
    pub identity: [u8; 32],
    /// Its fallback key of these days: whoever has no one-time key of it begins with this one.
    #[serde(with = "serde_bytes")]
    pub fallback: [u8; 32],
}

/// What a device says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// Which device.
    pub device: DeviceId,
    /// Where envelopes for it are sealed to.
    pub envelope_key: EnvelopePublicKey,
    /// What begins an Olm session with it; none: it takes no messages.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub olm: Option<OlmKeys>,
    /// Its node and ways to dial it, as its owner configured; may be empty.
    pub addresses: Vec<NodeAddress>,
    /// Relays it keeps connections to.
    pub relays: Vec<NodeAddress>,
    /// Where envelopes for it can be left while it is away.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub mailboxes: Vec<MailboxAddress>,
    /// When it was signed.
    pub issued: UnixMillis,
}

impl Bundle {
    /// Signs the bundle and puts the device list beside it.
    #[must_use]
    pub fn sign(&self, keys: &DeviceKeys, devices: &SignedDeviceList) -> SignedCard {
        let bundle = cbor::encode(self);
        let signature = keys.sign(LABEL, &bundle);
        SignedCard {
            devices: devices.clone(),
            bundle,
            signature,
        }
    }
}

/// A card as sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedCard {
    /// The principal's devices.
    pub devices: SignedDeviceList,
    /// The deterministic CBOR of a [`Bundle`].
    #[serde(with = "serde_bytes")]
    pub bundle: Vec<u8>,
    /// The device's signature over it.
    #[serde(with = "serde_bytes")]
    pub signature: [u8; 64],
}

/// A card whose every part was verified to be one principal's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Whose.
    pub principal: PrincipalId,
    /// Their devices.
    pub devices: DeviceList,
    /// What the publishing device says of itself.
    pub bundle: Bundle,
}

impl SignedCard {
    /// The payload of a beacon.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// From the payload of a beacon. Verify before use.
    ///
    /// # Errors
    ///
    /// If the bytes are no card.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CardError> {
        Ok(cbor::decode(bytes, PAYLOAD_BYTES)?)
    }

    /// Checks that everything is `principal`'s: the list under the root, the bundle under a listed device that still speaks
    /// for them at `now`.
    ///
    /// # Errors
    ///
    /// Says what does not fit.
    pub fn verify(&self, principal: &PrincipalId, now: UnixMillis) -> Result<Card, CardError> {
        let devices = self.devices.verify()?;
        if devices.principal != *principal {
            return Err(CardError::OtherPrincipal);
        }
        let bundle: Bundle = cbor::decode(&self.bundle, PAYLOAD_BYTES)?;
        devices.signed_by(&bundle.device, LABEL, &self.bundle, &self.signature, now)?;
        if bundle.addresses.len() > ADDRESSES || bundle.relays.len() > RELAYS || bundle.mailboxes.len() > MAILBOXES {
            return Err(CardError::TooMany);
        }
        Ok(Card {
            principal: *principal,
            devices,
            bundle,
        })
    }
}

/// The payload of an invite record: what whoever holds the invite may know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteRecord {
    /// Who invites.
    pub principal: PrincipalId,
    /// What they call themselves, if they gave a name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// Reads their card.
    pub card: ReadKey,
    /// Reads the temporary view; none once the uses are spent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub view: Option<ReadKey>,
    /// Stamps for their mailboxes, so that an introduction can be left while they are away. All who hold the invite share them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub stamps: Vec<StampBatch>,
    /// Lets whoever has no relay register a mailbox at the inviter's.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub vouchers: Vec<SignedVoucher>,
    /// When the invite ends.
    pub expires: UnixMillis,
}

impl InviteRecord {
    /// The payload of a beacon.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// From the payload of a beacon.
    ///
    /// # Errors
    ///
    /// If the bytes are no invite record, or its name is none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CardError> {
        let record: Self = cbor::decode(bytes, PAYLOAD_BYTES)?;
        if let Some(name) = &record.name {
            check_name(name)?;
        }
        let full = record.stamps.iter().any(|batch| batch.stamps.len() > STAMPS);
        if full || record.stamps.len() > MAILBOXES || record.vouchers.len() > MAILBOXES {
            return Err(CardError::TooMany);
        }
        Ok(record)
    }
}

/// A card or invite record that does not stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// The bytes are no such thing.
    #[error("the card cannot be read: {0}")]
    Unreadable(#[from] CborError),
    /// The device list, or the device's signature, does not stand.
    #[error(transparent)]
    Devices(#[from] DeviceListError),
    /// It is somebody else's.
    #[error("the card is another principal's")]
    OtherPrincipal,
    /// More addresses, relays, mailboxes or stamps than may be.
    #[error(
        "expected at most {ADDRESSES} addresses, {RELAYS} relays, {MAILBOXES} mailboxes and {STAMPS} stamps for each"
    )]
    TooMany,
    /// The name is none.
    #[error(transparent)]
    Name(#[from] NameError),
}
