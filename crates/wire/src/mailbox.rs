//! Mailboxes: how one is named, how its owner proves to be it, and what is asked of the relay that keeps it. A relay learns a key,
//! times and sizes; nothing here names a principal. docs/spec/mailbox.md.

use crate::beacon::BEACON_LEAST;
use crate::cbor::{self, CborError};
use crate::hash::sha256;
use crate::ids::{NodeAddress, NodeId, RandomId};
use crate::keys::{labelled, verify};
use crate::limits::{LEFT_BATCH, MAILBOX_BATCH, VOUCHER_USES};
use crate::stamp::{Class, Day, DayWork, Stamp, StampKey};
use crate::time::UnixMillis;
use ed25519_dalek::{Signer, SigningKey};
use rand_core::CryptoRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteBuf;
use std::fmt;
use zeroize::Zeroizing;

const OPERATION: &str = "porchlight/mailbox/1";
const VOUCHER: &str = "porchlight/voucher/1";

/// What a proof of work for a registration is over begins with this.
const WORK: &[u8] = b"porchlight/mailbox-registration/1\0";

/// Bytes of an operation: a registration with a voucher, or a full list of numbers, and as much again; or records to be put later.
const OPERATION_BYTES: usize = 1_024 + LEFT_BATCH * (BEACON_LEAST + 8);

/// Bytes of a voucher's statement: twice what the fields need.
const VOUCHER_BYTES: usize = 512;

/// A mailbox, by the public key of its owner for it. Random for each device and relay, so that two relays know unrelated names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxId([u8; 32]);

impl MailboxId {
    /// A mailbox by its bytes. Those that are no key name one that nobody can own.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for MailboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for MailboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MailboxId(")?;
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…)")
    }
}

impl Serialize for MailboxId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for MailboxId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(serde_bytes::deserialize(deserializer)?))
    }
}

/// The key of a mailbox's owner for it.
#[derive(Clone)]
pub struct MailboxKey(SigningKey);

impl MailboxKey {
    /// A new one.
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut());
        Self::from_bytes(&seed)
    }

    /// The one of this seed.
    #[must_use]
    pub fn from_bytes(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The mailbox it owns.
    #[must_use]
    pub fn id(&self) -> MailboxId {
        MailboxId(self.0.verifying_key().to_bytes())
    }

    fn sign(&self, label: &str, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(&labelled(label, bytes)).to_bytes()
    }
}

impl fmt::Debug for MailboxKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MailboxKey(redacted)")
    }
}

impl PartialEq for MailboxKey {
    fn eq(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.0.as_bytes().as_slice(), other.0.as_bytes().as_slice()).into()
    }
}

impl Serialize for MailboxKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0.as_bytes())
    }
}

impl<'de> Deserialize<'de> for MailboxKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seed: Zeroizing<[u8; 32]> = Zeroizing::new(serde_bytes::deserialize(deserializer)?);
        Ok(Self::from_bytes(&seed))
    }
}

/// Where envelopes for a device can be left.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MailboxAddress {
    /// Which mailbox.
    pub mailbox: MailboxId,
    /// The relay that keeps it.
    pub relay: NodeAddress,
}

/// Stamps for one mailbox, as they are handed out by its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StampBatch {
    /// Which mailbox.
    pub mailbox: MailboxId,
    /// The stamps.
    pub stamps: Vec<Stamp>,
}

/// What a mailbox's owner asks of its relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Which mailbox.
    pub mailbox: MailboxId,
    /// The owner's node. The transport proves it, so nobody else can play the operation back.
    pub owner: NodeId,
    /// The relay. It cannot play the operation back at another.
    pub relay: NodeId,
    /// What.
    pub what: What,
}

/// The operations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Keep this mailbox, or keep it for longer.
    Register {
        /// Under which stamps for it are minted.
        stamp_key: StampKey,
        /// Why it should.
        claim: Claim,
    },
    /// Say what is there, from after this number on.
    List {
        /// The last number known.
        after: u64,
    },
    /// Give out these envelopes.
    Get {
        /// At most [`MAILBOX_BATCH`].
        numbers: Vec<u64>,
    },
    /// Delete these envelopes.
    Delete {
        /// At most [`MAILBOX_BATCH`].
        numbers: Vec<u64>,
    },
    /// Put these records when their time comes: the owner is away, and they say so. Registering the mailbox again ends it.
    Leave {
        /// Whether they take the place of all that were left before, or stand beside them.
        first: bool,
        /// Presence beacons of the smallest class, at most [`LEFT_BATCH`].
        records: Vec<ByteBuf>,
    },
    /// Forget this mailbox and all that is in it.
    Close {},
}

/// Why a relay should keep a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// The relay's administrator has listed the owner's node, or it is registered already.
    Known,
    /// The owner of another mailbox there vouches for it.
    Voucher(SignedVoucher),
    /// Work was done for it: good for a small quota.
    Work(DayWork),
}

impl Operation {
    /// Signs the operation.
    #[must_use]
    pub fn sign(&self, key: &MailboxKey) -> SignedOperation {
        let operation = cbor::encode(self);
        let signature = key.sign(OPERATION, &operation);
        SignedOperation { operation, signature }
    }
}

/// An operation as sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedOperation {
    /// The deterministic CBOR of an [`Operation`].
    #[serde(with = "serde_bytes")]
    pub operation: Vec<u8>,
    /// The mailbox key's signature over it.
    #[serde(with = "serde_bytes")]
    pub signature: [u8; 64],
}

impl SignedOperation {
    /// Checks that it is by the mailbox's owner, from this node and for this relay.
    ///
    /// # Errors
    ///
    /// Says what does not fit.
    pub fn verify(&self, from: NodeId, relay: NodeId) -> Result<Operation, MailboxError> {
        let operation: Operation = cbor::decode(&self.operation, OPERATION_BYTES)?;
        if operation.owner != from || operation.relay != relay {
            return Err(MailboxError::OtherNodes);
        }
        if !verify(
            operation.mailbox.as_bytes(),
            OPERATION,
            &self.operation,
            &self.signature,
        ) {
            return Err(MailboxError::Signature);
        }
        let (count, most) = match &operation.what {
            What::Get { numbers } | What::Delete { numbers } => (numbers.len(), MAILBOX_BATCH),
            What::Leave { records, .. } => (records.len(), LEFT_BATCH),
            What::Register { .. } | What::List { .. } | What::Close {} => (0, 0),
        };
        if count > most {
            return Err(MailboxError::TooMany);
        }
        Ok(operation)
    }
}

/// The owner of a mailbox vouches for others at its relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voucher {
    /// Whose mailbox vouches.
    pub by: MailboxId,
    /// At which relay.
    pub relay: NodeId,
    /// Names the voucher.
    pub id: RandomId,
    /// How many mailboxes may register with it; at most [`VOUCHER_USES`]. A relay may allow fewer.
    pub uses: u8,
    /// Until when.
    pub until: UnixMillis,
}

impl Voucher {
    /// Signs the voucher.
    #[must_use]
    pub fn sign(&self, key: &MailboxKey) -> SignedVoucher {
        let voucher = cbor::encode(self);
        let signature = key.sign(VOUCHER, &voucher);
        SignedVoucher { voucher, signature }
    }
}

/// A voucher as sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedVoucher {
    /// The deterministic CBOR of a [`Voucher`].
    #[serde(with = "serde_bytes")]
    pub voucher: Vec<u8>,
    /// Its mailbox key's signature over it.
    #[serde(with = "serde_bytes")]
    pub signature: [u8; 64],
}

impl SignedVoucher {
    /// Checks that the voucher stands at `now`. Whether whoever vouches is registered is for the relay to say.
    ///
    /// # Errors
    ///
    /// Says what does not fit.
    pub fn verify(&self, now: UnixMillis) -> Result<Voucher, MailboxError> {
        let voucher: Voucher = cbor::decode(&self.voucher, VOUCHER_BYTES)?;
        if !verify(voucher.by.as_bytes(), VOUCHER, &self.voucher, &self.signature) {
            return Err(MailboxError::Signature);
        }
        if voucher.until <= now {
            return Err(MailboxError::Over);
        }
        if voucher.uses > VOUCHER_USES {
            return Err(MailboxError::TooMany);
        }
        Ok(voucher)
    }
}

/// What a proof of work is over that lets a mailbox be registered at this relay on this day.
#[must_use]
pub fn registration_challenge(mailbox: &MailboxId, relay: &NodeId, day: Day) -> [u8; 32] {
    let parts = [WORK, relay.as_bytes(), mailbox.as_bytes(), &day.0.to_be_bytes()];
    sha256(&parts.concat())
}

/// What admits an envelope to a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// A stamp of the owner's.
    Stamp(Stamp),
    /// Work: for the small queue of strangers.
    Work(DayWork),
}

/// How much of one class a mailbox holds, and may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Of which class.
    pub class: Class,
    /// Envelopes that are there.
    pub envelopes: u32,
    /// Envelopes that may be.
    pub most_envelopes: u32,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that may be.
    pub most_bytes: u64,
}

/// An envelope that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number in the mailbox; the later one is the higher one.
    pub number: u64,
    /// Its bytes.
    pub bytes: u32,
    /// What it counts as.
    pub class: Class,
}

/// An envelope that is given out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Its number.
    pub number: u64,
    /// The envelope.
    pub envelope: ByteBuf,
}

/// An operation or voucher that does not stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailboxError {
    /// The bytes are no such thing.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] CborError),
    /// It is from or for another node.
    #[error("it was signed for another pair of nodes")]
    OtherNodes,
    /// The signature is not the mailbox's.
    #[error("the signature is not the mailbox's")]
    Signature,
    /// Its time is over.
    #[error("its time is over")]
    Over,
    /// It asks for too much at once.
    #[error("expected at most {MAILBOX_BATCH} numbers, {LEFT_BATCH} records, or {VOUCHER_USES} uses")]
    TooMany,
}

#[cfg(test)]
#[path = "mailbox/tests.rs"]
mod tests;
