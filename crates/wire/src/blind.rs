//! Ed25519 key blinding, as in Tor's rend-spec-v3 appendix A with `K` in the place of the secret. The only module that
//! uses hazardous parts of the curve library. No blinded scalar ever leaves it: with `(A, K)` and one of them, anyone
//! could compute the master scalar.
//!
//! `f = SHA-512("porchlight/blind/1" | 0 | kind | A | K | epoch u64 | slot u8) mod L` and `pk = f * A`. Whoever has
//! `(A, K)` computes `pk`; only who has `a` can sign under it. See docs/spec/blinding.md.

use crate::follow::FollowKey;
use crate::ids::PrincipalId;
use crate::keys::labelled;
use crate::time::UnixMillis;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{SigningKey, VerifyingKey};
use hkdf::Hkdf;
use rand_core::CryptoRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256, Sha512};
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const BLIND: &str = "porchlight/blind/1";
const NONCE: &str = "porchlight/blind-nonce/1";
const CONTENT: &str = "porchlight/beacon-content/1";
const FOLLOW: &str = "porchlight/follow/1";
const SIGNER: &str = "porchlight/beacon-signer/1";
const OFFSET: &str = "porchlight/epoch-offset/1";
const PUBLIC: &str = "porchlight/public-view/1";

/// The kinds of beacon, each with an epoch of its own length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A view's presence: an address for a day.
    Presence,
    /// How to reach a principal, or an invite record: an address for 30 days.
    Card,
}

impl Kind {
    /// Its byte in a beacon's header.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Presence => 1,
            Self::Card => 2,
        }
    }

    /// The kind of this byte.
    #[must_use]
    pub const fn of_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Presence),
            2 => Some(Self::Card),
            _ => None,
        }
    }

    /// Seconds in an epoch.
    #[must_use]
    pub const fn epoch_seconds(self) -> u64 {
        match self {
            Self::Presence => 86_400,
            Self::Card => 30 * 86_400,
        }
    }
}

/// Number of an epoch: floor((Unix seconds + offset) / epoch length). The offset comes from `K`, so that not the whole
/// network moves to new addresses at midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// How the epochs of one key and kind are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epochs {
    offset: u64,
    seconds: u64,
}

impl Epochs {
    /// The epoch that `at` lies in.
    #[must_use]
    pub const fn at(&self, at: UnixMillis) -> Epoch {
        Epoch(at.seconds().saturating_add(self.offset) / self.seconds)
    }

    /// The first instant of `epoch`.
    #[must_use]
    pub const fn start(&self, epoch: Epoch) -> UnixMillis {
        UnixMillis::from_seconds(epoch.0.saturating_mul(self.seconds).saturating_sub(self.offset))
    }
}

/// A beacon's address and verify key: `A` blinded for one kind, epoch and slot. Any 32 bytes; whether it is a key is decided
/// by verifying what is signed under it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlindedKey(pub(crate) [u8; 32]);

impl BlindedKey {
    /// An address by its bytes.
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

impl fmt::Display for BlindedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlindedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for BlindedKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for BlindedKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(serde_bytes::deserialize(deserializer)?))
    }
}

/// 64 bytes that are no key to read with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadKeyError {
    /// `A` is not a canonical encoding of a point.
    #[error("expected the canonical encoding of an Ed25519 point, got 32 other bytes")]
    NotAPoint,
    /// `A` is the identity or has a part of small order, which blinding would not hide.
    #[error("expected a point of the prime-order group, got one with a part of small order")]
    SmallOrder,
}

/// `(A, K)`: the 64 bytes that can find and read the beacons of one generation. A secret: whoever has it can read what is
/// published under it.
#[derive(Clone)]
pub struct ReadKey {
    public: [u8; 32],
    point: EdwardsPoint,
    secret: Zeroizing<[u8; 32]>,
}

impl ReadKey {
    /// The key of 64 bytes, `A` then `K`.
    ///
    /// # Errors
    ///
    /// If `A` is not canonical, is the identity, or is not torsion-free. Checked once, here, on accepting it.
    pub fn from_bytes(bytes: &[u8; 64]) -> Result<Self, ReadKeyError> {
        let (first, second) = bytes.split_at(32);
        let mut public = [0; 32];
        public.copy_from_slice(first);
        let mut secret = Zeroizing::new([0; 32]);
        secret.copy_from_slice(second);
        let point = CompressedEdwardsY(public).decompress().ok_or(ReadKeyError::NotAPoint)?;
        if point.compress().to_bytes() != public {
            return Err(ReadKeyError::NotAPoint);
        }
        if point.is_identity() || !point.is_torsion_free() {
            return Err(ReadKeyError::SmallOrder);
        }
        Ok(Self { public, point, secret })
    }

    /// The key of a principal's public view: `A` stands in its identity sheet, `K` follows from its id, so that whoever
    /// knows the id can read what is published under it.
    ///
    /// # Errors
    ///
    /// As [`ReadKey::from_bytes`].
    pub fn public(view: &[u8; 32], principal: &PrincipalId) -> Result<Self, ReadKeyError> {
        let mut bytes = Zeroizing::new([0; 64]);
        let (first, second) = bytes.split_at_mut(32);
        first.copy_from_slice(view);
        second.copy_from_slice(public_secret(principal).as_slice());
        Self::from_bytes(&bytes)
    }

    /// Its `A`: what stands in an identity sheet.
    #[must_use]
    pub const fn public_part(&self) -> &[u8; 32] {
        &self.public
    }

    /// Its 64 bytes, `A` then `K`.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 64]> {
        let mut bytes = Zeroizing::new([0; 64]);
        let (first, second) = bytes.split_at_mut(32);
        first.copy_from_slice(&self.public);
        second.copy_from_slice(self.secret.as_slice());
        bytes
    }

    /// The address of the beacon of this kind, epoch and slot.
    #[must_use]
    pub fn blinded(&self, kind: Kind, epoch: Epoch, slot: u8) -> BlindedKey {
        BlindedKey((self.point * self.factor(kind, epoch, slot)).compress().to_bytes())
    }

    /// How this key's epochs are counted. Worth keeping where it is asked often: it takes a derivation.
    #[must_use]
    pub fn epochs(&self, kind: Kind) -> Epochs {
        Epochs {
            offset: self.offset(kind),
            seconds: kind.epoch_seconds(),
        }
    }

    /// The epoch that `at` lies in.
    #[must_use]
    pub fn epoch(&self, kind: Kind, at: UnixMillis) -> Epoch {
        self.epochs(kind).at(at)
    }

    /// The first instant of `epoch`.
    #[must_use]
    pub fn epoch_start(&self, kind: Kind, epoch: Epoch) -> UnixMillis {
        self.epochs(kind).start(epoch)
    }

    /// The key of a beacon's ciphertext.
    pub(crate) fn content_key(&self, kind: Kind, epoch: Epoch, slot: u8) -> Zeroizing<[u8; 32]> {
        derive(self.secret.as_slice(), &place(CONTENT, kind, epoch, slot))
    }

    /// What proves to the presentity's own node that one holds this key, for what stands at one address.
    #[must_use]
    pub fn follow_key(&self, kind: Kind, epoch: Epoch, slot: u8) -> FollowKey {
        FollowKey::from_bytes(*derive(self.secret.as_slice(), &place(FOLLOW, kind, epoch, slot)))
    }

    /// Seconds by which this key's epochs begin earlier than those counted from 1970.
    fn offset(&self, kind: Kind) -> u64 {
        let derived = derive(self.secret.as_slice(), &labelled(OFFSET, &[kind.byte()]));
        let mut word = [0; 8];
        word.copy_from_slice(derived.split_at(8).0);
        u64::from_be_bytes(word) % kind.epoch_seconds()
    }

    fn factor(&self, kind: Kind, epoch: Epoch, slot: u8) -> Scalar {
        let hash = Sha512::new()
            .chain_update(labelled(BLIND, &[kind.byte()]))
            .chain_update(self.public)
            .chain_update(self.secret.as_slice())
            .chain_update(epoch.0.to_be_bytes())
            .chain_update([slot])
            .finalize();
        Scalar::from_bytes_mod_order_wide(&hash.into())
    }
}

impl PartialEq for ReadKey {
    fn eq(&self, other: &Self) -> bool {
        (self.public.ct_eq(&other.public) & self.secret.ct_eq(other.secret.as_slice())).into()
    }
}

impl Eq for ReadKey {}

impl fmt::Debug for ReadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadKey(redacted)")
    }
}

impl Serialize for ReadKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.to_bytes().as_slice())
    }
}

impl<'de> Deserialize<'de> for ReadKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes: Zeroizing<[u8; 64]> = Zeroizing::new(serde_bytes::deserialize(deserializer)?);
        Self::from_bytes(&bytes).map_err(serde::de::Error::custom)
    }
}

/// The seed of `A` together with `K`: what a presentity holds of one generation.
#[derive(Clone)]
pub struct GenerationKey {
    seed: Zeroizing<[u8; 32]>,
    secret: Zeroizing<[u8; 32]>,
}

impl GenerationKey {
    /// A new one.
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 64]);
        rng.fill_bytes(bytes.as_mut());
        Self::from_bytes(&bytes)
    }

    /// A new one of `principal`'s public view.
    pub fn random_public(principal: &PrincipalId, rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut());
        Self {
            seed,
            secret: public_secret(principal),
        }
    }

    /// The one of 64 bytes, seed then `K`.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        let (first, second) = bytes.split_at(32);
        let mut key = Self {
            seed: Zeroizing::new([0; 32]),
            secret: Zeroizing::new([0; 32]),
        };
        key.seed.copy_from_slice(first);
        key.secret.copy_from_slice(second);
        key
    }

    /// Its 64 bytes, to be sealed.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 64]> {
        let mut bytes = Zeroizing::new([0; 64]);
        let (first, second) = bytes.split_at_mut(32);
        first.copy_from_slice(self.seed.as_slice());
        second.copy_from_slice(self.secret.as_slice());
        bytes
    }

    /// What a watcher gets of it.
    #[must_use]
    pub fn read_key(&self) -> ReadKey {
        let verifying = SigningKey::from_bytes(&self.seed).verifying_key();
        ReadKey {
            public: verifying.to_bytes(),
            point: verifying.to_edwards(),
            secret: self.secret.clone(),
        }
    }

    /// Signs `label | 0 | bytes` under the blinded key.
    pub(crate) fn sign_blinded(&self, kind: Kind, epoch: Epoch, slot: u8, label: &str, bytes: &[u8]) -> [u8; 64] {
        let read = self.read_key();
        let master = self.expanded();
        let blinded = ExpandedSecretKey {
            scalar: read.factor(kind, epoch, slot) * master.scalar,
            hash_prefix: self.nonce_prefix(&master, kind, epoch, slot),
        };
        let public = VerifyingKey::from(EdwardsPoint::mul_base(&blinded.scalar));
        raw_sign::<Sha512>(&blinded, &labelled(label, bytes), &public).to_bytes()
    }

    /// The key that signs an epoch's records, certified by the blinded key. Derived for each epoch, so that records of two
    /// epochs or two views have nothing in common.
    pub(crate) fn record_signer(&self, kind: Kind, epoch: Epoch, slot: u8) -> SigningKey {
        SigningKey::from_bytes(&derive(self.seed.as_slice(), &place(SIGNER, kind, epoch, slot)))
    }

    fn expanded(&self) -> ExpandedSecretKey {
        let hash = Zeroizing::new(<[u8; 64]>::from(Sha512::digest(self.seed.as_slice())));
        ExpandedSecretKey::from_bytes(&hash)
    }

    /// A nonce prefix of its own for every blinded key, as Tor does: nonces of two keys must never be related.
    fn nonce_prefix(&self, master: &ExpandedSecretKey, kind: Kind, epoch: Epoch, slot: u8) -> [u8; 32] {
        let hash = Sha512::new()
            .chain_update(labelled(NONCE, &master.hash_prefix))
            .chain_update([kind.byte()])
            .chain_update(epoch.0.to_be_bytes())
            .chain_update([slot])
            .finalize();
        let mut prefix = [0; 32];
        prefix.copy_from_slice(hash.split_at(32).0);
        prefix
    }
}

impl PartialEq for GenerationKey {
    fn eq(&self, other: &Self) -> bool {
        (self.seed.ct_eq(other.seed.as_slice()) & self.secret.ct_eq(other.secret.as_slice())).into()
    }
}

impl Eq for GenerationKey {}

impl fmt::Debug for GenerationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GenerationKey(redacted)")
    }
}

impl Serialize for GenerationKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.to_bytes().as_slice())
    }
}

impl<'de> Deserialize<'de> for GenerationKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes: Zeroizing<[u8; 64]> = Zeroizing::new(serde_bytes::deserialize(deserializer)?);
        Ok(Self::from_bytes(&bytes))
    }
}

/// `K` of the public view: no secret to anyone who knows the id.
fn public_secret(principal: &PrincipalId) -> Zeroizing<[u8; 32]> {
    derive(principal.as_bytes(), &labelled(PUBLIC, &[]))
}

fn place(label: &str, kind: Kind, epoch: Epoch, slot: u8) -> Vec<u8> {
    let mut info = labelled(label, &[kind.byte()]);
    info.extend(epoch.0.to_be_bytes());
    info.push(slot);
    info
}

#[expect(clippy::expect_used, reason = "HKDF-SHA256 gives up to 8,160 bytes; 32 always fit")]
fn derive(secret: &[u8], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, secret)
        .expand(info, key.as_mut())
        .expect("32 bytes fit");
    key
}

#[cfg(test)]
#[path = "blind/tests.rs"]
mod tests;
