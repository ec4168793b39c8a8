//! Secret keys of a principal and its devices. All zeroize on drop, have no `Display` and a redacted `Debug`.
//! Every signature is over `label | 0x00 | bytes`; every verification is strict (RFC 8032 with canonical points).

use crate::ids::{DeviceId, PrincipalId};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rand_core::CryptoRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// The root key of a principal: signs device lists and nothing else.
#[derive(Clone)]
pub struct RootKey(SigningKey);

impl RootKey {
    /// A new one.
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut());
        Self::from_seed(&seed)
    }

    /// The one of this seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Its seed, to be sealed.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The principal whose first root this is.
    ///
    /// # Panics
    ///
    /// Never: the public key of a seed is a point of full order.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "clamping makes the public key a canonical point of full order"
    )]
    pub fn principal(&self) -> PrincipalId {
        PrincipalId::from_bytes(self.0.verifying_key().to_bytes()).expect("the public key of a seed is a principal")
    }

    /// SHA-256 of the public key: what a device list names as the next root.
    #[must_use]
    pub fn commitment(&self) -> [u8; 32] {
        Sha256::digest(self.0.verifying_key().as_bytes()).into()
    }

    pub(crate) fn sign(&self, label: &str, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(&labelled(label, bytes)).to_bytes()
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(redacted)")
    }
}

/// A device's keys: Ed25519 to sign with, X25519 for the hello.
#[derive(Clone)]
pub struct DeviceKeys {
    signing: SigningKey,
    exchange: StaticSecret,
}

impl DeviceKeys {
    /// New ones.
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 64]);
        rng.fill_bytes(bytes.as_mut());
        Self::from_bytes(&bytes)
    }

    /// Those of these 64 bytes: signing seed, then exchange secret.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        let mut secret = Zeroizing::new([0; 32]);
        let (first, second) = bytes.split_at(32);
        seed.copy_from_slice(first);
        secret.copy_from_slice(second);
        Self {
            signing: SigningKey::from_bytes(&seed),
            exchange: StaticSecret::from(*secret),
        }
    }

    /// Their 64 bytes, to be sealed.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 64]> {
        let mut bytes = Zeroizing::new([0; 64]);
        let (first, second) = bytes.split_at_mut(32);
        first.copy_from_slice(self.signing.as_bytes());
        second.copy_from_slice(self.exchange.as_bytes());
        bytes
    }

    /// The device's id.
    #[must_use]
    pub fn id(&self) -> DeviceId {
        DeviceId::of_key(&self.signing_public())
    }

    /// The Ed25519 public key.
    #[must_use]
    pub fn signing_public(&self) -> [u8; 32] {
        self.signing.verifying_key().to_bytes()
    }

    /// The X25519 public key.
    #[must_use]
    pub fn exchange_public(&self) -> [u8; 32] {
        PublicKey::from(&self.exchange).to_bytes()
    }

    /// What X25519 gives this device and the one with this key; none if the key gives everybody the same (RFC 7748 section 6.1).
    pub(crate) fn agree(&self, other: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
        let shared = self.exchange.diffie_hellman(&PublicKey::from(*other));
        shared.was_contributory().then(|| Zeroizing::new(shared.to_bytes()))
    }

    /// Signs bytes without a label: only for a standard that has a beginning of its own, which no label of ours begins as.
    pub(crate) fn sign_plain(&self, bytes: &[u8]) -> [u8; 64] {
        self.signing.sign(bytes).to_bytes()
    }

    pub(crate) fn sign(&self, label: &str, bytes: &[u8]) -> [u8; 64] {
        self.signing.sign(&labelled(label, bytes)).to_bytes()
    }
}

impl fmt::Debug for DeviceKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKeys(redacted)")
    }
}

impl PartialEq for DeviceKeys {
    fn eq(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.to_bytes().as_slice(), other.to_bytes().as_slice()).into()
    }
}

impl Serialize for DeviceKeys {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.to_bytes().as_slice())
    }
}

impl<'de> Deserialize<'de> for DeviceKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes: Zeroizing<[u8; 64]> = Zeroizing::new(serde_bytes::deserialize(deserializer)?);
        Ok(Self::from_bytes(&bytes))
    }
}

/// Whether `signature` over `label | 0 | bytes` is `public`'s, strictly.
pub(crate) fn verify(public: &[u8; 32], label: &str, bytes: &[u8], signature: &[u8; 64]) -> bool {
    verify_plain(public, &labelled(label, bytes), signature)
}

/// Whether `signature` over `bytes` as they are is `public`'s, strictly.
pub(crate) fn verify_plain(public: &[u8; 32], bytes: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(public)
        .is_ok_and(|key| key.verify_strict(bytes, &Signature::from_bytes(signature)).is_ok())
}

/// What is signed: no two labels can make the same bytes, because none of them contains a zero byte.
pub(crate) fn labelled(label: &str, bytes: &[u8]) -> Vec<u8> {
    [label.as_bytes(), &[0], bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    #[test]
    fn secrets_do_not_show() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        assert_eq!(format!("{:?}", RootKey::random(&mut rng)), "RootKey(redacted)");
        assert_eq!(format!("{:?}", DeviceKeys::random(&mut rng)), "DeviceKeys(redacted)");
    }

    #[test]
    fn keys_come_back_from_their_bytes() {
        let mut rng = ChaCha20Rng::from_seed([2; 32]);
        let keys = DeviceKeys::random(&mut rng);
        let again = DeviceKeys::from_bytes(&keys.to_bytes());
        assert_eq!(keys.id(), again.id());
        assert_eq!(keys.exchange_public(), again.exchange_public());
        let root = RootKey::random(&mut rng);
        assert_eq!(RootKey::from_seed(&root.seed()).principal(), root.principal());
    }

    #[test]
    fn a_signature_holds_for_its_label_and_bytes_only() {
        let keys = DeviceKeys::random(&mut ChaCha20Rng::from_seed([3; 32]));
        let signature = keys.sign("porchlight/test/1", b"bytes");
        let public = keys.signing_public();
        assert!(verify(&public, "porchlight/test/1", b"bytes", &signature));
        assert!(!verify(&public, "porchlight/test/2", b"bytes", &signature));
        assert!(!verify(&public, "porchlight/test/1", b"bites", &signature));
        assert!(!verify(&[0; 32], "porchlight/test/1", b"bytes", &signature));
    }
}
