//! Public names of things: principals, devices, nodes, addresses, and the random ids of grants, letters and invites.
//! Text forms are in docs/spec/ids.md.

use crate::limits::ADDRESS_BYTES;
use data_encoding::BASE32_NOPAD;
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// What stands before a principal's id in text.
const PRINCIPAL_PREFIX: &str = "pl1";

/// What stands before a device's id in text.
const DEVICE_PREFIX: &str = "dev1";

/// libp2p's PeerId of an Ed25519 key: an identity multihash (0x00, 36 bytes) of the key's protobuf form.
const PEER_ID_HEAD: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// Text or bytes that name nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// It does not begin as ids of this kind do.
    #[error("expected {what} (it begins with '{prefix}'), got '{got}'")]
    NotOne {
        /// What was expected.
        what: &'static str,
        /// How it would begin.
        prefix: &'static str,
        /// The beginning of what came.
        got: String,
    },
    /// It is too short or too long: perhaps cut off.
    #[error("expected {what} of {expected} characters, got {got}: copy it whole")]
    Length {
        /// What was expected.
        what: &'static str,
        /// How long it is.
        expected: usize,
        /// How long what came is.
        got: usize,
    },
    /// A character is wrong.
    #[error("this {0} has a typing error: its checksum does not fit")]
    Altered(&'static str),
    /// The bytes are no usable key.
    #[error("expected {0}, got 32 bytes that are no Ed25519 public key of full order")]
    NotAKey(&'static str),
    /// No address.
    #[error("expected an address such as /ip4/192.0.2.1/tcp/4000 of at most {ADDRESS_BYTES} characters, got '{0}'")]
    NotAnAddress(String),
    /// No address with a node.
    #[error("expected an address that ends in /p2p/ and a node's id (12D3KooW…), got '{0}'")]
    NoNode(String),
}

/// Serialises fixed bytes: text for people, a byte string in CBOR.
macro_rules! id_serde {
    ($name:ident, $length:literal, $from:expr) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_bytes(&self.0)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = String::deserialize(deserializer)?;
                    text.parse().map_err(serde::de::Error::custom)
                } else {
                    let bytes: [u8; $length] = serde_bytes::deserialize(deserializer)?;
                    $from(bytes).map_err(serde::de::Error::custom)
                }
            }
        }
    };
}

/// A principal: the Ed25519 public key of its first root (RFC 2778 section 2: a person, group or program). Text: `pl1` and
/// 58 characters of base32 with a checksum.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrincipalId([u8; 32]);

impl PrincipalId {
    /// A principal by its key's bytes.
    ///
    /// # Errors
    ///
    /// If they are no canonical point of the curve, or one of small order.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, IdError> {
        check_point(&bytes, "a principal's id")?;
        Ok(Self(bytes))
    }

    /// The key's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first characters, for tables and logs.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string().chars().take(11).collect()
    }

    fn checksum(&self) -> [u8; 4] {
        let hash = Sha256::new()
            .chain_update(b"porchlight/principal/1\0")
            .chain_update(self.0)
            .finalize();
        let mut sum = [0; 4];
        sum.copy_from_slice(hash.split_at(4).0);
        sum
    }
}

impl fmt::Display for PrincipalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.0.as_slice(), &self.checksum()].concat();
        write!(f, "{PRINCIPAL_PREFIX}{}", base32(&bytes))
    }
}

impl fmt::Debug for PrincipalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl FromStr for PrincipalId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        const WHAT: &str = "a principal's id";
        let bytes: [u8; 36] = unbase32(text, PRINCIPAL_PREFIX, WHAT)?;
        let (key, sum) = bytes.split_at(32);
        let mut id = Self([0; 32]);
        id.0.copy_from_slice(key);
        if sum != id.checksum() {
            return Err(IdError::Altered(WHAT));
        }
        Self::from_bytes(id.0)
    }
}

id_serde!(PrincipalId, 32, PrincipalId::from_bytes);

/// A device: the first 16 bytes of SHA-256 of its signing key. Text: `dev1` and 26 characters of base32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId([u8; 16]);

impl DeviceId {
    /// A device by its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The device that signs with this key.
    #[must_use]
    pub fn of_key(signing_public: &[u8; 32]) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(Sha256::digest(signing_public).split_at(16).0);
        Self(id)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    fn from_checked(bytes: [u8; 16]) -> Result<Self, IdError> {
        Ok(Self(bytes))
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{DEVICE_PREFIX}{}", base32(&self.0))
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for DeviceId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Ok(Self(unbase32(text, DEVICE_PREFIX, "a device's id")?))
    }
}

id_serde!(DeviceId, 16, DeviceId::from_checked);

/// A node: the Ed25519 public key of its transport. Text: libp2p's PeerId (`12D3KooW…`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId([u8; 32]);

impl NodeId {
    /// A node by its key's bytes.
    ///
    /// # Errors
    ///
    /// If they are no canonical point of the curve, or one of small order.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, IdError> {
        check_point(&bytes, "a node's id")?;
        Ok(Self(bytes))
    }

    /// The key's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The last characters, which are where PeerIds differ, for tables and logs.
    #[must_use]
    pub fn short(&self) -> String {
        let text = self.to_string();
        let skip = text.chars().count().saturating_sub(8);
        format!("…{}", text.chars().skip(skip).collect::<String>())
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [PEER_ID_HEAD.as_slice(), &self.0].concat();
        f.write_str(&bs58::encode(bytes).into_string())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl FromStr for NodeId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let none = || IdError::NotOne {
            what: "a node's id",
            prefix: "12D3KooW",
            got: beginning(text),
        };
        let mut bytes = [0; 38];
        let written = bs58::decode(text).onto(&mut bytes).map_err(|_| none())?;
        let key = bytes
            .get(..written)
            .and_then(|bytes| bytes.strip_prefix(&PEER_ID_HEAD))
            .ok_or_else(none)?;
        Self::from_bytes(key.try_into().map_err(|_| none())?)
    }
}

id_serde!(NodeId, 32, NodeId::from_bytes);

/// A transport address without the node: a multiaddr text such as `/ip4/127.0.0.1/tcp/4000`. Printable ASCII, begins with
/// `/`, at most [`ADDRESS_BYTES`], no `/p2p/` in it. Whether it can be dialled only the network adapter can say.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(String);

impl Address {
    /// An address by its text.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let fits = text.len() <= ADDRESS_BYTES
            && text.len() > 1
            && text.starts_with('/')
            && text.bytes().all(|byte| byte.is_ascii_graphic())
            && !text.contains("/p2p/");
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::NotAnAddress(beginning(text)))
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Address {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Address {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(&text)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.0
    }
}

/// An address with the node expected there. Text: `<address>/p2p/<node>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct NodeAddress {
    /// Who has to answer there.
    #[serde(rename = "n")]
    pub node: NodeId,
    /// Where.
    #[serde(rename = "a")]
    pub address: Address,
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/p2p/{}", self.address, self.node)
    }
}

impl FromStr for NodeAddress {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (address, node) = text
            .rsplit_once("/p2p/")
            .ok_or_else(|| IdError::NoNode(beginning(text)))?;
        Ok(Self {
            node: node.parse()?,
            address: Address::parse(address)?,
        })
    }
}

/// 16 random bytes that name a grant, a letter or an invite. Text: 26 characters of base32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RandomId([u8; 16]);

impl RandomId {
    /// A new one.
    pub fn random(rng: &mut impl rand_core::CryptoRng) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// One by its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    fn from_checked(bytes: [u8; 16]) -> Result<Self, IdError> {
        Ok(Self(bytes))
    }
}

impl fmt::Display for RandomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base32(&self.0))
    }
}

impl fmt::Debug for RandomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for RandomId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Ok(Self(unbase32(text, "", "an id")?))
    }
}

id_serde!(RandomId, 16, RandomId::from_checked);

fn check_point(bytes: &[u8; 32], what: &'static str) -> Result<(), IdError> {
    let key = VerifyingKey::from_bytes(bytes).map_err(|_| IdError::NotAKey(what))?;
    // Decompression accepts some encodings that are not canonical: those would give one key two names.
    let canonical = key.to_edwards().compress().to_bytes() == *bytes;
    if key.is_weak() || !canonical {
        return Err(IdError::NotAKey(what));
    }
    Ok(())
}

/// Lower-case base32 without padding.
pub(crate) fn base32(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

fn unbase32<const N: usize>(text: &str, prefix: &'static str, what: &'static str) -> Result<[u8; N], IdError> {
    let text = text.trim();
    let Some(rest) = text.strip_prefix(prefix) else {
        return Err(IdError::NotOne {
            what,
            prefix,
            got: beginning(text),
        });
    };
    let expected = BASE32_NOPAD.encode_len(N);
    if rest.len() != expected {
        return Err(IdError::Length {
            what,
            expected: expected + prefix.len(),
            got: text.chars().count(),
        });
    }
    BASE32_NOPAD
        .decode(rest.to_ascii_uppercase().as_bytes())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(IdError::Altered(what))
}

/// Enough of a text to recognise it in an error, and no more.
fn beginning(text: &str) -> String {
    const SHOWN: usize = 40;
    let mut shown: String = text.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    if text.chars().count() > SHOWN {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cbor;
    use proptest::prelude::*;

    fn key(seed: u8) -> [u8; 32] {
        ed25519_dalek::SigningKey::from_bytes(&[seed; 32])
            .verifying_key()
            .to_bytes()
    }

    #[test]
    fn a_node_has_libp2ps_name() {
        let node = NodeId::from_bytes(key(1)).unwrap();
        let text = node.to_string();
        assert!(text.starts_with("12D3KooW"), "{text}");
        assert_eq!(text.parse::<NodeId>().unwrap(), node);
    }

    #[test]
    fn a_principal_pasted_badly_says_how() {
        let id = PrincipalId::from_bytes(key(2)).unwrap();
        let text = id.to_string();
        assert_eq!(text.parse::<PrincipalId>().unwrap(), id);
        assert_eq!(text.len(), 61);
        assert!(matches!(
            text[..40].parse::<PrincipalId>(),
            Err(IdError::Length {
                expected: 61,
                got: 40,
                ..
            })
        ));
        let other = if text.ends_with('a') { "b" } else { "a" };
        let typo = format!("{}{other}{}", &text[..20], &text[21..]);
        assert!(typo == text || matches!(typo.parse::<PrincipalId>(), Err(IdError::Altered(_))));
        assert!(matches!("alice".parse::<PrincipalId>(), Err(IdError::NotOne { .. })));
    }

    #[test]
    fn keys_of_small_order_name_nobody() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert!(PrincipalId::from_bytes(identity).is_err());
        assert!(NodeId::from_bytes([0; 32]).is_err());
    }

    #[test]
    fn addresses_are_checked() {
        let node = NodeId::from_bytes(key(3)).unwrap();
        let whole = format!("/ip4/127.0.0.1/tcp/4000/p2p/{node}");
        let parsed: NodeAddress = whole.parse().unwrap();
        assert_eq!(parsed.to_string(), whole);
        assert!(Address::parse(&whole).is_err());
        assert!("127.0.0.1:4000".parse::<Address>().is_err());
        assert!("/ip4/127.0.0.1/tcp/4000".parse::<NodeAddress>().is_err());
    }

    #[test]
    fn ids_are_bytes_in_cbor() {
        let id = RandomId::from_bytes([7; 16]);
        let bytes = cbor::encode(&id);
        assert_eq!(bytes.len(), 17);
        assert_eq!(cbor::decode::<RandomId>(&bytes, 17).unwrap(), id);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(text in ".{0,80}") {
            let _ = text.parse::<PrincipalId>();
            let _ = text.parse::<DeviceId>();
            let _ = text.parse::<NodeId>();
            let _ = text.parse::<NodeAddress>();
            let _ = text.parse::<RandomId>();
        }
    }
}
