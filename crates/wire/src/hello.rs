//! How the devices of two contacts prove themselves to each other on a connection, before Olm messages go over it without an
//! envelope. By MACs under what X25519 gives both: nobody can show the proof to others, and whoever is no contact sees random bytes.
//! docs/spec/hello.md.

use crate::ids::NodeId;
use crate::keys::DeviceKeys;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const LABEL: &[u8] = b"porchlight/hello/1";

/// What the two sides of a hello show each other. The one who asks is told apart from the one who answers, so that neither can be
/// shown its own.
#[derive(Clone)]
pub struct HelloTags {
    asker: [u8; 32],
    answerer: [u8; 32],
}

/// Both ends of a connection, and what each drew for this hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HelloSides {
    /// The node that asked.
    pub asker: NodeId,
    /// The node that answers.
    pub answerer: NodeId,
    /// What the asking side drew.
    pub asked: [u8; 32],
    /// What the answering side drew.
    pub answered: [u8; 32],
}

impl HelloTags {
    /// Those of our device and the device with this X25519 key; none if the key is one that gives everybody the same.
    #[must_use]
    pub fn of(own: &DeviceKeys, other: &[u8; 32], sides: &HelloSides) -> Option<Self> {
        let shared = own.agree(other)?;
        let salt = [sides.asked, sides.answered].concat();
        let info = [LABEL, &[0], sides.asker.as_bytes(), sides.answerer.as_bytes()].concat();
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(Some(&salt), shared.as_slice())
            .expand(&info, key.as_mut())
            .ok()?;
        Some(Self {
            asker: tag(&key, b"asker")?,
            answerer: tag(&key, b"answerer")?,
        })
    }

    /// What the asking side shows.
    #[must_use]
    pub const fn asker(&self) -> [u8; 32] {
        self.asker
    }

    /// What the answering side shows.
    #[must_use]
    pub const fn answerer(&self) -> [u8; 32] {
        self.answerer
    }

    /// Whether the asking side showed this.
    #[must_use]
    pub fn is_asker(&self, shown: &[u8; 32]) -> bool {
        self.asker.ct_eq(shown).into()
    }

    /// Whether the answering side showed this.
    #[must_use]
    pub fn is_answerer(&self, shown: &[u8; 32]) -> bool {
        self.answerer.ct_eq(shown).into()
    }
}

impl std::fmt::Debug for HelloTags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HelloTags(redacted)")
    }
}

fn tag(key: &[u8; 32], who: &[u8]) -> Option<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(who);
    Some(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    fn keys(seed: u8) -> DeviceKeys {
        DeviceKeys::random(&mut ChaCha20Rng::from_seed([seed; 32]))
    }

    fn sides() -> HelloSides {
        let node = |seed| NodeId::from_bytes(keys(seed).signing_public()).unwrap();
        HelloSides {
            asker: node(7),
            answerer: node(8),
            asked: [1; 32],
            answered: [2; 32],
        }
    }

    #[test]
    fn both_devices_work_out_the_same_and_a_third_does_not() {
        let (alice, bob, mallory) = (keys(1), keys(2), keys(3));
        let here = HelloTags::of(&alice, &bob.exchange_public(), &sides()).unwrap();
        let there = HelloTags::of(&bob, &alice.exchange_public(), &sides()).unwrap();
        assert!(there.is_asker(&here.asker()) && here.is_answerer(&there.answerer()));
        assert!(!there.is_asker(&here.answerer()), "neither is shown its own");
        let third = HelloTags::of(&mallory, &bob.exchange_public(), &sides()).unwrap();
        assert!(!there.is_asker(&third.asker()));
    }

    #[test]
    fn a_proof_holds_between_these_nodes_and_this_once() {
        let (alice, bob) = (keys(1), keys(2));
        let usual = HelloTags::of(&alice, &bob.exchange_public(), &sides()).unwrap();
        let other_ways = [
            HelloSides {
                asked: [9; 32],
                ..sides()
            },
            HelloSides {
                answered: [9; 32],
                ..sides()
            },
            HelloSides {
                asker: sides().answerer,
                ..sides()
            },
            HelloSides {
                answerer: sides().asker,
                ..sides()
            },
        ];
        for other in other_ways {
            let tags = HelloTags::of(&bob, &alice.exchange_public(), &other).unwrap();
            assert!(!tags.is_asker(&usual.asker()) && !tags.is_answerer(&usual.answerer()));
        }
    }

    #[test]
    fn a_key_that_gives_everybody_the_same_is_none() {
        assert!(HelloTags::of(&keys(1), &[0; 32], &sides()).is_none());
    }

    #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
    struct Vector {
        /// The seeds of both devices' keys: 64 bytes each.
        asking_device: String,
        answering_device: String,
        asker: String,
        answerer: String,
        asked: String,
        answered: String,
        asker_tag: String,
        answerer_tag: String,
    }

    #[test]
    fn vectors_are_as_committed() {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        let (alice, bob) = (keys(1), keys(2));
        let tags = HelloTags::of(&alice, &bob.exchange_public(), &sides()).unwrap();
        let made = vec![Vector {
            asking_device: hex(alice.to_bytes().as_slice()),
            answering_device: hex(bob.to_bytes().as_slice()),
            asker: hex(sides().asker.as_bytes()),
            answerer: hex(sides().answerer.as_bytes()),
            asked: hex(&sides().asked),
            answered: hex(&sides().answered),
            asker_tag: hex(&tags.asker()),
            answerer_tag: hex(&tags.answerer()),
        }];
        crate::vectors::check("hello", &made);
    }
}
