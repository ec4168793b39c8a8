//! The envelope: the sealed form of letters and messages on every path. HPKE (RFC 9180) in base mode with X-Wing
//! (ML-KEM-768 and X25519), HKDF-SHA256 and ChaCha20-Poly1305. Nothing outside it names a principal. docs/spec/envelope.md.

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, setup_receiver, setup_sender_with_rng};
use rand_core::CryptoRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use zeroize::Zeroizing;

/// Bytes of an X-Wing public key.
pub const PUBLIC_KEY_BYTES: usize = 1216;

/// The sizes an envelope can have: an observer learns one of four.
pub const ENVELOPE_CLASSES: [usize; 4] = [2 * 1024, 4 * 1024, 16 * 1024, 64 * 1024];

const VERSION: u8 = 1;
const SUITE: u8 = 1;
const INFO: &[u8] = b"porchlight/envelope/1";
const HEAD: usize = 2;
const ENCAPSULATED: usize = 1120;
const TAG: usize = 16;
const INNER_LENGTH: usize = 4;

type PublicKey = <XWing as Kem>::PublicKey;
type PrivateKey = <XWing as Kem>::PrivateKey;

/// An envelope that cannot be made or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The content is too large.
    #[error("expected at most {limit} bytes to seal, got {got}")]
    TooLarge {
        /// The most that fits.
        limit: usize,
        /// What was given.
        got: usize,
    },
    /// No envelope of a known size, version and suite.
    #[error("expected an envelope of 2, 4, 16 or 64 KiB with version 1 and suite 1")]
    Shape,
    /// It is not for this key, or was altered.
    #[error("the envelope does not open with this key")]
    Sealed,
    /// Length or padding inside are wrong.
    #[error("the padding inside is not as specified")]
    Padding,
    /// The bytes are no X-Wing public key.
    #[error("expected an X-Wing public key of {PUBLIC_KEY_BYTES} bytes")]
    NotAKey,
}

/// Where envelopes are sealed to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnvelopePublicKey(Vec<u8>);

impl EnvelopePublicKey {
    /// A key by its 1,216 bytes.
    ///
    /// # Errors
    ///
    /// If they are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        PublicKey::from_bytes(bytes).map_err(|_| EnvelopeError::NotAKey)?;
        Ok(Self(bytes.to_vec()))
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for EnvelopePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnvelopePublicKey(")?;
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…)")
    }
}

impl Serialize for EnvelopePublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for EnvelopePublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes: Vec<u8> = serde_bytes::deserialize(deserializer)?;
        Self::from_bytes(&bytes).map_err(serde::de::Error::custom)
    }
}

/// What opens envelopes: the 32-byte seed of an X-Wing key pair.
#[derive(Clone)]
pub struct EnvelopeSecretKey(Zeroizing<[u8; 32]>);

impl EnvelopeSecretKey {
    /// A new one.
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut());
        Self(seed)
    }

    /// The one of this seed.
    #[must_use]
    pub fn from_bytes(seed: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*seed))
    }

    /// Its seed, to be sealed.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.0.clone()
    }

    /// Where envelopes for it are sealed to.
    #[must_use]
    pub fn public(&self) -> EnvelopePublicKey {
        EnvelopePublicKey(XWing::sk_to_pk(&self.private()).to_bytes().to_vec())
    }

    #[expect(clippy::expect_used, reason = "any 32 bytes are an X-Wing seed")]
    fn private(&self) -> PrivateKey {
        PrivateKey::from_bytes(self.0.as_slice()).expect("32 bytes are a seed")
    }
}

impl fmt::Debug for EnvelopeSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnvelopeSecretKey(redacted)")
    }
}

impl PartialEq for EnvelopeSecretKey {
    fn eq(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.0.as_slice(), other.0.as_slice()).into()
    }
}

impl Serialize for EnvelopeSecretKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0.as_slice())
    }
}

impl<'de> Deserialize<'de> for EnvelopeSecretKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seed: Zeroizing<[u8; 32]> = Zeroizing::new(serde_bytes::deserialize(deserializer)?);
        Ok(Self(seed))
    }
}

const OVERHEAD: usize = HEAD + ENCAPSULATED + TAG + INNER_LENGTH;

/// Bytes of content that the largest envelope holds.
pub const ENVELOPE_CONTENT: usize = 64 * 1024 - OVERHEAD;

/// Bytes of content that the one of the next smaller size holds: a quarter of it.
pub const ENVELOPE_CONTENT_USUAL: usize = 16 * 1024 - OVERHEAD;

/// Seals `plaintext` to a key.
///
/// # Errors
///
/// If it is too large.
pub fn seal(to: &EnvelopePublicKey, plaintext: &[u8], rng: &mut impl CryptoRng) -> Result<Vec<u8>, EnvelopeError> {
    let too_large = EnvelopeError::TooLarge {
        limit: ENVELOPE_CONTENT,
        got: plaintext.len(),
    };
    let total = ENVELOPE_CLASSES
        .into_iter()
        .find(|class| plaintext.len() + OVERHEAD <= *class)
        .ok_or(too_large)?;
    let mut padded = Zeroizing::new(Vec::with_capacity(total));
    padded.extend(u32::try_from(plaintext.len()).map_err(|_| too_large)?.to_be_bytes());
    padded.extend(plaintext);
    padded.resize(total - HEAD - ENCAPSULATED - TAG, 0);

    let public = PublicKey::from_bytes(&to.0).map_err(|_| EnvelopeError::NotAKey)?;
    let (encapsulated, mut context) =
        setup_sender_with_rng::<ChaCha20Poly1305, HkdfSha256, XWing>(&OpModeS::Base, &public, INFO, rng)
            .map_err(|_| EnvelopeError::NotAKey)?;
    let head = [VERSION, SUITE];
    let ciphertext = context.seal(&padded, &head).map_err(|_| too_large)?;
    let mut envelope = Vec::with_capacity(total);
    envelope.extend(head);
    envelope.extend_from_slice(&encapsulated.to_bytes());
    envelope.extend(ciphertext);
    Ok(envelope)
}

/// What was in an envelope; wiped when it is no longer needed.
pub type Opened = Zeroizing<Vec<u8>>;

/// Opens an envelope.
///
/// # Errors
///
/// If it is none, is not for this key, or was altered.
pub fn open(envelope: &[u8], key: &EnvelopeSecretKey) -> Result<Opened, EnvelopeError> {
    if !ENVELOPE_CLASSES.contains(&envelope.len()) {
        return Err(EnvelopeError::Shape);
    }
    let (head, rest) = envelope.split_at_checked(HEAD).ok_or(EnvelopeError::Shape)?;
    if head != [VERSION, SUITE] {
        return Err(EnvelopeError::Shape);
    }
    let (encapsulated, ciphertext) = rest.split_at_checked(ENCAPSULATED).ok_or(EnvelopeError::Shape)?;
    let encapsulated = <XWing as Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| EnvelopeError::Sealed)?;
    let mut context =
        setup_receiver::<ChaCha20Poly1305, HkdfSha256, XWing>(&OpModeR::Base, &key.private(), &encapsulated, INFO)
            .map_err(|_| EnvelopeError::Sealed)?;
    let padded = Zeroizing::new(context.open(ciphertext, head).map_err(|_| EnvelopeError::Sealed)?);
    let (length, rest) = padded.split_first_chunk().ok_or(EnvelopeError::Padding)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| EnvelopeError::Padding)?;
    let (plaintext, padding) = rest.split_at_checked(length).ok_or(EnvelopeError::Padding)?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(EnvelopeError::Padding);
    }
    Ok(Zeroizing::new(plaintext.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::from_seed([5; 32])
    }

    #[test]
    fn what_was_sealed_opens_in_one_of_four_sizes() {
        let key = EnvelopeSecretKey::random(&mut rng());
        for (length, class) in [(0, 2048), (906, 2048), (907, 4096), (15_000, 16_384), (64_394, 65_536)] {
            let plaintext = vec![3; length];
            let envelope = seal(&key.public(), &plaintext, &mut rng()).unwrap();
            assert_eq!(envelope.len(), class, "{length}");
            assert_eq!(*open(&envelope, &key).unwrap(), plaintext);
        }
        assert!(matches!(
            seal(&key.public(), &vec![0; 64_395], &mut rng()),
            Err(EnvelopeError::TooLarge {
                limit: 64_394,
                got: 64_395
            })
        ));
    }

    #[test]
    fn rfc2779_2_5_3_only_the_recipient_opens_it() {
        let (alice, bob) = (
            EnvelopeSecretKey::from_bytes(&[1; 32]),
            EnvelopeSecretKey::from_bytes(&[2; 32]),
        );
        let envelope = seal(&alice.public(), b"for alice", &mut rng()).unwrap();
        assert_eq!(open(&envelope, &bob).unwrap_err(), EnvelopeError::Sealed);
        let mut altered = envelope.clone();
        altered[1_500] ^= 1;
        assert_eq!(open(&altered, &alice).unwrap_err(), EnvelopeError::Sealed);
        let mut other_suite = envelope;
        other_suite[1] = 2;
        assert_eq!(open(&other_suite, &alice).unwrap_err(), EnvelopeError::Shape);
    }

    #[test]
    fn secrets_do_not_show() {
        assert_eq!(
            format!("{:?}", EnvelopeSecretKey::from_bytes(&[1; 32])),
            "EnvelopeSecretKey(redacted)"
        );
    }

    #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
    struct Vector {
        seed: String,
        public: String,
        plaintext: String,
        envelope: String,
    }

    #[test]
    fn vectors_are_as_committed() {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        let key = EnvelopeSecretKey::from_bytes(&[8; 32]);
        let envelope = seal(&key.public(), b"a letter", &mut rng()).unwrap();
        let made = vec![Vector {
            seed: hex(&[8; 32]),
            public: hex(key.public().as_bytes()),
            plaintext: hex(b"a letter"),
            envelope: hex(&envelope),
        }];
        crate::vectors::check("envelope", &made);
    }

    proptest! {
        #[test]
        fn garbage_never_opens(bytes in proptest::collection::vec(any::<u8>(), 2048)) {
            let key = EnvelopeSecretKey::from_bytes(&[1; 32]);
            prop_assert!(open(&bytes, &key).is_err());
            let mut shaped = bytes;
            shaped[0] = 1;
            shaped[1] = 1;
            prop_assert!(open(&shaped, &key).is_err());
        }
    }
}
