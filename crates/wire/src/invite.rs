//! The invite: a `porchlight:` URI that makes two strangers contacts. docs/spec/invite.md.
//!
//! Bytes: version u8, total length u16, deterministic CBOR of the fields, the first 4 bytes of SHA-256 of all before. Text:
//! `porchlight:` and base32 without padding, in either case, so that a QR code can use its alphanumeric mode. The length
//! tells a cut-off from a typing error.

use crate::blind::ReadKey;
use crate::cbor::{self, CborError};
use crate::ids::{Address, NodeAddress, NodeId, PrincipalId, base32};
use crate::limits::{INVITE_CHARACTERS, REACH};
use crate::network::Network;
use crate::time::UnixMillis;
use data_encoding::BASE32_NOPAD;
use rand_core::CryptoRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt;

/// What an invite begins with.
pub const SCHEME: &str = "porchlight:";

const VERSION: u8 = 1;
const HEAD: usize = 3;
const CHECKSUM: usize = 4;

/// What admits an introduction: 16 random bytes, secret. Compared in constant time, `Debug` shows nothing.
#[derive(Clone, PartialOrd, Ord)]
pub struct InviteToken([u8; 16]);

impl InviteToken {
    /// A new one.
    pub fn random(rng: &mut impl CryptoRng) -> Self {
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
}

impl PartialEq for InviteToken {
    fn eq(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.0.as_slice(), other.0.as_slice()).into()
    }
}

impl Eq for InviteToken {}

impl fmt::Debug for InviteToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InviteToken(redacted)")
    }
}

impl Serialize for InviteToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for InviteToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(serde_bytes::deserialize(deserializer)?))
    }
}

/// What an invite says.
#[derive(Clone, PartialEq, Debug)]
pub struct Invite {
    /// The network's name.
    pub network: String,
    /// Who invites.
    pub principal: PrincipalId,
    /// Reads the invite record.
    pub record: ReadKey,
    /// Where to go: relays, or the inviter's own addresses. At most [`REACH`].
    pub reach: Vec<NodeAddress>,
    /// Admits the introduction.
    pub token: InviteToken,
    /// When it ends.
    pub expires: UnixMillis,
}

/// The fields, with short names: every byte makes the QR code larger.
#[derive(Serialize, Deserialize)]
struct Fields {
    #[serde(rename = "n")]
    network: String,
    #[serde(rename = "p")]
    principal: PrincipalId,
    #[serde(rename = "r")]
    record: ReadKey,
    #[serde(rename = "a")]
    reach: Vec<(NodeId, Address)>,
    #[serde(rename = "t")]
    token: InviteToken,
    /// Unix seconds.
    #[serde(rename = "e")]
    expires: u64,
}

/// A text that is no usable invite.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// It does not begin as invites do.
    #[error("this is not an invite: expected a text that begins with '{SCHEME}', got '{0}'")]
    NotAnInvite(String),
    /// The end is missing.
    #[error("this invite is cut off: {came} of {expected} characters came; copy it whole, in one piece")]
    CutOff {
        /// How many characters it has.
        expected: usize,
        /// How many there are.
        came: usize,
    },
    /// A character is wrong.
    #[error("this invite was altered on the way: its checksum does not fit; copy it again from where it was made")]
    Altered,
    /// Made by another version.
    #[error("this invite is of version {0}, and this program reads version 1; a newer program may read it")]
    Version(u8),
    /// Longer than any invite.
    #[error("this text is too long for an invite: expected at most {INVITE_CHARACTERS} characters, got {0}")]
    TooLong(usize),
    /// Whole, but not as an invite should be.
    #[error("this invite cannot be read: {0}")]
    Malformed(String),
}

impl From<CborError> for InviteError {
    fn from(error: CborError) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl Invite {
    /// The URI, in small letters.
    #[must_use]
    pub fn to_uri(&self) -> String {
        format!("{SCHEME}{}", base32(&self.to_bytes()))
    }

    /// The URI in capitals, which a QR code holds in fewer modules.
    #[must_use]
    pub fn to_qr_text(&self) -> String {
        self.to_uri().to_ascii_uppercase()
    }

    /// Reads what was pasted. White space and line breaks anywhere, and quotes or brackets around it, do not matter.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the text, for the person who pasted it.
    pub fn parse(text: &str) -> Result<Self, InviteError> {
        if text.len() > INVITE_CHARACTERS {
            return Err(InviteError::TooLong(text.chars().count()));
        }
        let compact: String = text
            .chars()
            .filter(|c| !c.is_whitespace() && !matches!(c, '<' | '>' | '"' | '\''))
            .collect();
        let encoded = compact
            .get(..SCHEME.len())
            .filter(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
            .and_then(|_| compact.get(SCHEME.len()..))
            .ok_or_else(|| InviteError::NotAnInvite(compact.chars().take(24).collect()))?;
        let bytes = decode_prefix(encoded)?;
        Self::from_bytes(&bytes, compact.chars().count())
    }

    fn to_bytes(&self) -> Vec<u8> {
        let fields = cbor::encode(&Fields {
            network: self.network.clone(),
            principal: self.principal,
            record: self.record.clone(),
            reach: self.reach.iter().map(|at| (at.node, at.address.clone())).collect(),
            token: self.token.clone(),
            expires: self.expires.seconds(),
        });
        let total = HEAD + fields.len() + CHECKSUM;
        let mut bytes = vec![VERSION];
        bytes.extend(u16::try_from(total).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend(fields);
        bytes.extend(checksum(&bytes));
        bytes
    }

    fn from_bytes(bytes: &[u8], came: usize) -> Result<Self, InviteError> {
        let short = InviteError::CutOff {
            expected: SCHEME.len() + BASE32_NOPAD.encode_len(HEAD + CHECKSUM),
            came,
        };
        let (head, _) = bytes.split_first_chunk::<HEAD>().ok_or(short)?;
        let [version, high, low] = *head;
        if version != VERSION {
            return Err(InviteError::Version(version));
        }
        let total = usize::from(u16::from_be_bytes([high, low]));
        let expected = SCHEME.len() + BASE32_NOPAD.encode_len(total);
        if bytes.len() < total {
            return Err(InviteError::CutOff { expected, came });
        }
        if bytes.len() > total || total < HEAD + CHECKSUM {
            return Err(InviteError::Altered);
        }
        let (covered, sum) = bytes.split_at(total - CHECKSUM);
        if sum != checksum(covered) {
            return Err(InviteError::Altered);
        }
        let fields: Fields = cbor::decode(covered.get(HEAD..).unwrap_or_default(), INVITE_CHARACTERS)?;
        if fields.reach.len() > REACH {
            return Err(InviteError::Malformed(format!("expected at most {REACH} addresses")));
        }
        Network::named(&fields.network).map_err(|error| InviteError::Malformed(error.to_string()))?;
        Ok(Self {
            network: fields.network,
            principal: fields.principal,
            record: fields.record,
            reach: fields
                .reach
                .into_iter()
                .map(|(node, address)| NodeAddress { node, address })
                .collect(),
            token: fields.token,
            expires: UnixMillis::from_seconds(fields.expires),
        })
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(Sha256::digest(bytes).split_at(CHECKSUM).0);
    sum
}

/// Decodes as much base32 as there is, so that a text cut off anywhere still tells how long it was.
fn decode_prefix(encoded: &str) -> Result<Vec<u8>, InviteError> {
    let upper = encoded.to_ascii_uppercase();
    let mut length = upper.len();
    // Lengths that no whole number of bytes has: drop what is too much.
    while !matches!(length % 8, 0 | 2 | 4 | 5 | 7) {
        length -= 1;
    }
    let whole = upper.get(..length).ok_or(InviteError::Altered)?;
    match BASE32_NOPAD.decode(whole.as_bytes()) {
        Ok(bytes) => Ok(bytes),
        // The last character of a cut-off text may hold bits that belong to a byte that is missing.
        Err(_) => {
            let block = length - length % 8;
            let blocks = upper.get(..block).ok_or(InviteError::Altered)?;
            BASE32_NOPAD.decode(blocks.as_bytes()).map_err(|_| InviteError::Altered)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blind::GenerationKey;
    use proptest::prelude::*;

    fn invite() -> Invite {
        let key = |seed: u8| {
            ed25519_dalek::SigningKey::from_bytes(&[seed; 32])
                .verifying_key()
                .to_bytes()
        };
        let reach = |seed, text: &str| NodeAddress {
            node: NodeId::from_bytes(key(seed)).unwrap(),
            address: Address::parse(text).unwrap(),
        };
        Invite {
            network: "porchlight".to_owned(),
            principal: PrincipalId::from_bytes(key(1)).unwrap(),
            record: GenerationKey::from_bytes(&[2; 64]).read_key(),
            reach: vec![
                reach(3, "/ip4/203.0.113.7/tcp/4110"),
                reach(4, "/dns4/relay.example.org/tcp/4110"),
            ],
            token: InviteToken::from_bytes([5; 16]),
            expires: UnixMillis::from_seconds(1_790_000_000),
        }
    }

    #[test]
    fn an_invite_comes_back_however_it_was_pasted() {
        let invite = invite();
        let uri = invite.to_uri();
        assert!(uri.len() < 560, "{} characters", uri.len());
        let broken = format!("  <{}\n {}>\n", &uri[..100], &uri[100..]);
        for text in [uri.clone(), invite.to_qr_text(), broken, format!("\"{uri}\"")] {
            assert_eq!(Invite::parse(&text).unwrap(), invite);
        }
    }

    #[test]
    fn a_cut_off_invite_says_so_wherever_it_was_cut() {
        let uri = invite().to_uri();
        for length in SCHEME.len()..uri.len() {
            match Invite::parse(&uri[..length]) {
                Err(InviteError::CutOff { came, expected }) => {
                    assert_eq!(came, length);
                    assert!(
                        expected == uri.len() || length < SCHEME.len() + 8,
                        "{length}: {expected}"
                    );
                }
                other => panic!("cut at {length}: {other:?}"),
            }
        }
    }

    #[test]
    fn other_texts_say_what_they_are() {
        let uri = invite().to_uri();
        assert!(matches!(
            Invite::parse("https://example.org"),
            Err(InviteError::NotAnInvite(_))
        ));
        assert!(matches!(Invite::parse(""), Err(InviteError::NotAnInvite(_))));
        assert!(matches!(
            Invite::parse(&"x".repeat(5_000)),
            Err(InviteError::TooLong(5_000))
        ));
        let mut altered = uri.clone().into_bytes();
        altered[60] = if altered[60] == b'a' { b'b' } else { b'a' };
        assert_eq!(
            Invite::parse(std::str::from_utf8(&altered).unwrap()),
            Err(InviteError::Altered)
        );
        assert_eq!(Invite::parse(&format!("{uri}aaaaaaaa")), Err(InviteError::Altered));
        assert_eq!(format!("{:?}", invite().token), "InviteToken(redacted)");
    }

    #[test]
    fn vectors_are_as_committed() {
        crate::vectors::check("invite", &vec![invite().to_uri()]);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(text in "\\PC{0,120}") {
            prop_assert!(Invite::parse(&text).is_err());
            let with_scheme = format!("porchlight:{text}");
            prop_assert!(Invite::parse(&with_scheme).is_err());
        }
    }
}
