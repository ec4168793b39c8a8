//! The beacon: a signed, encrypted record, of a view (`presence`) or of how to reach a principal (`card`). What the DHT and
//! gossip carry. Everyone can verify one, only holders of its generation can read it. docs/spec/beacon.md has the layout.
//!
//! [`VerifiedBeacon`] can be made in one way only, by [`VerifiedBeacon::verify`]; `net` does that at the edge, once, and
//! everything further in takes the verified type.

use crate::blind::{BlindedKey, Epoch, GenerationKey, Kind, ReadKey};
use crate::keys::{labelled, verify};
use crate::limits::{BEACON_CLASSES, CARD_AHEAD, PRESENCE_AHEAD};
use crate::network::{Network, TopicIndex};
use crate::time::UnixMillis;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use ed25519_dalek::Signer;
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;

/// The version of this layout.
const VERSION: u8 = 1;

const CERT: &str = "porchlight/beacon-cert/1";
const RECORD: &str = "porchlight/beacon/1";
const WORK: &str = "porchlight/work/1";

/// Bytes of a beacon of the smallest class: one that says no more than that its presentity is away fits it.
pub const BEACON_LEAST: usize = BEACON_CLASSES[0];

/// Bytes before the ciphertext.
const HEADER: usize = 1 + 1 + 32 + 8 + 32 + 4 + 64 + 8 + 4 + 64 + 24 + 2;
const SIGNATURE: usize = 64;
const TAG: usize = 16;
/// The length that stands before the payload inside.
const INNER_LENGTH: usize = 2;

/// Certificates end on whole hours: an end that came from the epoch would fall on one second of the day for all addresses of a
/// generation, and tie them together.
const CERTIFICATE_STEP: u64 = 3_600_000;

/// The topic in which beacons at `pk` are gossiped: the first `b` bits of SHA-256("topic" | pk).
#[must_use]
pub fn topic(network: &Network, pk: &BlindedKey) -> TopicIndex {
    let hash = Sha256::new()
        .chain_update(b"topic")
        .chain_update(pk.as_bytes())
        .finalize();
    let mut word = [0; 2];
    word.copy_from_slice(hash.split_at(2).0);
    let bits = u32::from(network.bucket_bits());
    TopicIndex(u16::try_from(u32::from(u16::from_be_bytes(word)) >> (16 - bits.min(16))).unwrap_or(0))
}

/// Why bytes were not accepted as a beacon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BeaconError {
    /// The length is none of the classes, or the parts do not add up to it.
    #[error("expected a beacon of 1024, 2048 or 4096 bytes whose parts add up, got {0} bytes")]
    Length(usize),
    /// A version or kind that is not known here.
    #[error("expected version 1 and kind 1 or 2, got version {version} and kind {kind}")]
    Unknown {
        /// The version byte.
        version: u8,
        /// The kind byte.
        kind: u8,
    },
    /// The signer's certificate is not the blinded key's.
    #[error("the certificate is not by the key of the beacon's address")]
    Certificate,
    /// The signature is not the signer's.
    #[error("the signature is not by the certified key")]
    Signature,
    /// Too few zero bits.
    #[error("expected a proof of work of {0} bits")]
    Work(u8),
    /// It is kept longer than its certificate holds.
    #[error("it expires after its certificate ends")]
    OutlivesCertificate,
    /// Its time is over.
    #[error("it expired {} s ago", .0 / 1000)]
    Expired(u64),
    /// Its certificate ends further ahead than this kind may.
    #[error("it is too early by {} s", .0 / 1000)]
    TooEarly(u64),
}

impl BeaconError {
    /// True where no honest peer can have sent these bytes: reject them and score the sender down. False for what clocks
    /// and delays explain: ignore them.
    #[must_use]
    pub const fn is_forgery(&self) -> bool {
        match self {
            Self::Length(_)
            | Self::Unknown { .. }
            | Self::Certificate
            | Self::Signature
            | Self::Work(_)
            | Self::OutlivesCertificate => true,
            Self::Expired(_) | Self::TooEarly(_) => false,
        }
    }
}

/// A beacon whose lengths, certificate, signature, times and proof of work were checked. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedBeacon {
    bytes: Arc<[u8]>,
    kind: Kind,
    pk: BlindedKey,
    sequence: u64,
    expires: UnixMillis,
}

impl VerifiedBeacon {
    /// Every check that a forwarder, a server and a watcher make, cheap ones first.
    ///
    /// # Errors
    ///
    /// Says which check failed; [`BeaconError::is_forgery`] says what to think of the sender.
    pub fn verify(bytes: &[u8], network: &Network, now: UnixMillis) -> Result<Self, BeaconError> {
        let parts = Parts::split(bytes)?;
        let kind = parts.kind;
        let expires = UnixMillis::from_seconds(u64::from(parts.expires));
        let signer_end = UnixMillis::from_seconds(u64::from(parts.signer_end));
        if expires > signer_end {
            return Err(BeaconError::OutlivesCertificate);
        }
        if expires <= now {
            return Err(BeaconError::Expired(now.since(expires)));
        }
        let latest = now.plus(ahead(kind));
        if signer_end > latest {
            return Err(BeaconError::TooEarly(signer_end.since(latest)));
        }
        if !has_work(parts.pk.as_bytes(), parts.work, network.work_bits()) {
            return Err(BeaconError::Work(network.work_bits()));
        }
        let certified = certified(kind, parts.signer, parts.signer_end);
        if !verify(parts.pk.as_bytes(), CERT, &certified, parts.cert) {
            return Err(BeaconError::Certificate);
        }
        if !verify(parts.signer, RECORD, parts.signed, parts.signature) {
            return Err(BeaconError::Signature);
        }
        Ok(Self {
            kind,
            pk: parts.pk,
            sequence: parts.sequence,
            expires,
            bytes: bytes.into(),
        })
    }

    /// Verifies a beacon of a day to come, as it will be verified then, and says from when on it will stand. What is verified so must
    /// not be shown or sent before, and is verified again then.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify).
    pub fn verify_ahead(bytes: &[u8], network: &Network, now: UnixMillis) -> Result<(Self, UnixMillis), BeaconError> {
        let parts = Parts::split(bytes)?;
        let end = UnixMillis::from_seconds(u64::from(parts.signer_end));
        let from = UnixMillis(end.0.saturating_sub(ahead(parts.kind)));
        let at = from.max(now);
        Ok((Self::verify(bytes, network, at)?, at))
    }

    /// The bytes, as received.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it is of.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its address.
    #[must_use]
    pub const fn pk(&self) -> BlindedKey {
        self.pk
    }

    /// Its sequence: the higher one is the newer one.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Until when it may be kept.
    #[must_use]
    pub const fn expires(&self) -> UnixMillis {
        self.expires
    }

    /// SHA-256 of the bytes: its id on gossip.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.bytes).into()
    }

    /// The payload.
    ///
    /// # Errors
    ///
    /// If `read` is not of the generation it was sealed with, or epoch and slot are not its own.
    pub fn open(&self, read: &ReadKey, epoch: Epoch, slot: u8) -> Result<Vec<u8>, OpenError> {
        if read.blinded(self.kind, epoch, slot) != self.pk {
            return Err(OpenError::OtherAddress);
        }
        let parts = Parts::split(&self.bytes).map_err(|_| OpenError::Sealed)?;
        let cipher = cipher(read, self.kind, epoch, slot);
        let payload = Payload {
            msg: parts.ciphertext,
            aad: parts.header,
        };
        let padded = cipher
            .decrypt(&XNonce::from(*parts.nonce), payload)
            .map_err(|_| OpenError::Sealed)?;
        let (length, rest) = padded.split_first_chunk().ok_or(OpenError::Padding)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (payload, padding) = rest.split_at_checked(length).ok_or(OpenError::Padding)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(OpenError::Padding);
        }
        Ok(payload.to_vec())
    }
}

impl fmt::Debug for VerifiedBeacon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} beacon {:?} #{}", self.kind, self.pk, self.sequence)
    }
}

/// Why a verified beacon was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Its address is not that of this key, epoch and slot.
    #[error("the beacon is at another address than this key has in this epoch and slot")]
    OtherAddress,
    /// The ciphertext does not open.
    #[error("the ciphertext does not open with this key")]
    Sealed,
    /// The payload's length or padding is wrong.
    #[error("the padding inside is not as specified")]
    Padding,
}

/// What a beacon is made of.
#[derive(Debug)]
pub struct BeaconDraft<'a> {
    /// What it is of.
    pub kind: Kind,
    /// For which epoch; may lie ahead of now.
    pub epoch: Epoch,
    /// For which device.
    pub slot: u8,
    /// Higher than any used at this address before.
    pub sequence: u64,
    /// Until when it may be kept; clamped to what the certificate allows.
    pub expires: UnixMillis,
    /// What it tells those who can read it.
    pub payload: &'a [u8],
    /// A nonce for which [`has_work`] holds, if the network asks for work.
    pub work: u64,
}

/// A payload that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a payload of at most {limit} bytes, got {got}")]
pub struct SealError {
    /// The most that fits.
    pub limit: usize,
    /// What was given.
    pub got: usize,
}

impl GenerationKey {
    /// Seals and signs a beacon.
    ///
    /// # Errors
    ///
    /// If the payload is too large.
    pub fn seal(
        &self,
        draft: &BeaconDraft<'_>,
        now: UnixMillis,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, SealError> {
        let (kind, epoch, slot) = (draft.kind, draft.epoch, draft.slot);
        let total = class_for(draft.payload.len())?;
        let read = self.read_key();
        let signer = self.record_signer(kind, epoch, slot);
        let signer_end = seconds(certificate_end(kind, now));
        let signer_public = signer.verifying_key().to_bytes();
        let cert = self.sign_blinded(kind, epoch, slot, CERT, &certified(kind, &signer_public, signer_end));
        let mut witnesses = [0; 64];
        rng.fill_bytes(&mut witnesses);
        let mut nonce = [0; 24];
        rng.fill_bytes(&mut nonce);

        let mut bytes = Vec::with_capacity(total);
        bytes.extend([VERSION, kind.byte()]);
        bytes.extend(read.blinded(kind, epoch, slot).as_bytes());
        bytes.extend(draft.work.to_be_bytes());
        bytes.extend(signer_public);
        bytes.extend(signer_end.to_be_bytes());
        bytes.extend(cert);
        bytes.extend(draft.sequence.to_be_bytes());
        bytes.extend(seconds(draft.expires).min(signer_end).to_be_bytes());
        bytes.extend(witnesses);
        bytes.extend(nonce);
        let sealed = total - HEADER - SIGNATURE;
        bytes.extend(u16::try_from(sealed).unwrap_or(u16::MAX).to_be_bytes());

        let mut padded = Vec::with_capacity(sealed - TAG);
        padded.extend(u16::try_from(draft.payload.len()).unwrap_or(u16::MAX).to_be_bytes());
        padded.extend(draft.payload);
        padded.resize(sealed - TAG, 0);
        let payload = Payload {
            msg: &padded,
            aad: &bytes,
        };
        let ciphertext = cipher(&read, kind, epoch, slot)
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| SealError {
                limit: largest_payload(),
                got: draft.payload.len(),
            })?;
        bytes.extend(ciphertext);
        let signature = signer.sign(&labelled(RECORD, &bytes));
        bytes.extend(signature.to_bytes());
        Ok(bytes)
    }
}

/// Whether SHA-256("porchlight/work/1" | 0 | place | nonce) starts with `bits` zero bits. `place` is the address of a beacon or of
/// an identity sheet.
#[must_use]
pub fn has_work(place: &[u8; 32], nonce: u64, bits: u8) -> bool {
    if bits == 0 {
        return true;
    }
    let hash = Sha256::new()
        .chain_update(WORK)
        .chain_update([0])
        .chain_update(place)
        .chain_update(nonce.to_be_bytes())
        .finalize();
    let mut word = [0; 8];
    word.copy_from_slice(hash.split_at(8).0);
    u64::from_be_bytes(word).leading_zeros() >= u32::from(bits)
}

/// The first nonce from `start` on that is a proof of work, among `tries`.
#[must_use]
pub fn find_work(place: &[u8; 32], bits: u8, start: u64, tries: u64) -> Option<u64> {
    (start..start.saturating_add(tries)).find(|nonce| has_work(place, *nonce, bits))
}

/// When a certificate made now ends: on a whole hour, the same for everyone, and one to two hours before it would be too early for
/// those whose clock is behind. That is after the end of the epoch that follows.
const fn certificate_end(kind: Kind, now: UnixMillis) -> UnixMillis {
    let latest = now.0.saturating_add(ahead(kind)).saturating_sub(CERTIFICATE_STEP);
    UnixMillis(latest - latest % CERTIFICATE_STEP)
}

/// How far ahead a certificate of this kind may end.
const fn ahead(kind: Kind) -> u64 {
    match kind {
        Kind::Presence => PRESENCE_AHEAD,
        Kind::Card => CARD_AHEAD,
    }
}

/// The most a beacon of the largest class can carry.
#[must_use]
pub const fn largest_payload() -> usize {
    4096 - HEADER - SIGNATURE - TAG - INNER_LENGTH
}

fn class_for(payload: usize) -> Result<usize, SealError> {
    BEACON_CLASSES
        .into_iter()
        .find(|class| payload + INNER_LENGTH + TAG + HEADER + SIGNATURE <= *class)
        .ok_or(SealError {
            limit: largest_payload(),
            got: payload,
        })
}

fn seconds(at: UnixMillis) -> u32 {
    u32::try_from(at.seconds()).unwrap_or(u32::MAX)
}

fn certified(kind: Kind, signer: &[u8; 32], signer_end: u32) -> Vec<u8> {
    let mut bytes = vec![kind.byte()];
    bytes.extend(signer);
    bytes.extend(signer_end.to_be_bytes());
    bytes
}

fn cipher(read: &ReadKey, kind: Kind, epoch: Epoch, slot: u8) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&(*read.content_key(kind, epoch, slot)).into())
}

/// The parts of a beacon, by position.
struct Parts<'a> {
    kind: Kind,
    pk: BlindedKey,
    work: u64,
    signer: &'a [u8; 32],
    signer_end: u32,
    cert: &'a [u8; 64],
    sequence: u64,
    expires: u32,
    nonce: &'a [u8; 24],
    header: &'a [u8],
    ciphertext: &'a [u8],
    signed: &'a [u8],
    signature: &'a [u8; 64],
}

impl<'a> Parts<'a> {
    fn split(bytes: &'a [u8]) -> Result<Self, BeaconError> {
        let length = BeaconError::Length(bytes.len());
        if !BEACON_CLASSES.contains(&bytes.len()) {
            return Err(length);
        }
        let (signed, signature) = bytes.split_last_chunk().ok_or(length)?;
        let (header, ciphertext) = signed.split_at_checked(HEADER).ok_or(length)?;
        let mut rest = header;
        let [version, kind] = *take::<2>(&mut rest).ok_or(length)?;
        let (1, Some(kind_known)) = (version, Kind::of_byte(kind)) else {
            return Err(BeaconError::Unknown { version, kind });
        };
        let pk = *take::<32>(&mut rest).ok_or(length)?;
        let work = *take::<8>(&mut rest).ok_or(length)?;
        let signer = take::<32>(&mut rest).ok_or(length)?;
        let signer_end = *take::<4>(&mut rest).ok_or(length)?;
        let cert = take::<64>(&mut rest).ok_or(length)?;
        let sequence = *take::<8>(&mut rest).ok_or(length)?;
        let expires = *take::<4>(&mut rest).ok_or(length)?;
        let _witnesses = take::<64>(&mut rest).ok_or(length)?;
        let nonce = take::<24>(&mut rest).ok_or(length)?;
        let sealed = *take::<2>(&mut rest).ok_or(length)?;
        if usize::from(u16::from_be_bytes(sealed)) != ciphertext.len() {
            return Err(length);
        }
        Ok(Self {
            kind: kind_known,
            pk: BlindedKey::from_bytes(pk),
            work: u64::from_be_bytes(work),
            signer,
            signer_end: u32::from_be_bytes(signer_end),
            cert,
            sequence: u64::from_be_bytes(sequence),
            expires: u32::from_be_bytes(expires),
            nonce,
            header,
            ciphertext,
            signed,
            signature,
        })
    }
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
#[path = "beacon/tests.rs"]
mod tests;
