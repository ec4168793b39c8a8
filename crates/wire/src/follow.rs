//! The proof of holding a view, for those who follow at the presentity's own node: a MAC under a key that follows from `K`, over
//! who follows and at which node. Whoever does not hold the view can neither make one nor use another's. docs/spec/blinding.md,
//! docs/spec/frame.md.

use crate::ids::NodeId;
use crate::keys::labelled;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Sha256;
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const PROOF: &str = "porchlight/follow-proof/1";

/// What proofs for one address are made with: derived from a read key for a kind, an epoch and a slot
/// ([`ReadKey::follow_key`](crate::blind::ReadKey::follow_key)). Says nothing of the read key.
#[derive(Clone)]
pub struct FollowKey(Zeroizing<[u8; 32]>);

impl FollowKey {
    /// The key of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// That `follower` holds the view, said to `at` only. The connection proves both ids, and the key is of one epoch: so a
    /// recorded proof is of use to nobody else, nowhere else, and for no longer.
    #[must_use]
    pub fn prove(&self, follower: &NodeId, at: &NodeId) -> FollowProof {
        FollowProof(self.mac(follower, at).finalize().into_bytes().into())
    }

    /// Whether that was proven. Takes as long for a wrong proof as for a right one.
    #[must_use]
    pub fn admits(&self, follower: &NodeId, at: &NodeId, proof: &FollowProof) -> bool {
        self.prove(follower, at) == *proof
    }

    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    fn mac(&self, follower: &NodeId, at: &NodeId) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice()).expect("any length");
        mac.update(&labelled(PROOF, follower.as_bytes()));
        mac.update(at.as_bytes());
        mac
    }
}

impl fmt::Debug for FollowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FollowKey(redacted)")
    }
}

/// What a [`FollowKey`] makes: 32 bytes. Compared in constant time.
#[derive(Clone, Copy)]
pub struct FollowProof([u8; 32]);

impl FollowProof {
    /// A proof by its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl PartialEq for FollowProof {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for FollowProof {}

impl fmt::Debug for FollowProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FollowProof")
    }
}

impl Serialize for FollowProof {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for FollowProof {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(serde_bytes::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blind::{Epoch, GenerationKey, Kind};
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Vector {
        k: String,
        kind: u8,
        epoch: u64,
        slot: u8,
        follow_key: String,
        follower: String,
        at: String,
        proof: String,
    }

    fn node(seed: u8) -> NodeId {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        NodeId::from_bytes(key.verifying_key().to_bytes()).unwrap()
    }

    fn key(secret: u8, epoch: u64) -> FollowKey {
        let mut bytes = [1; 64];
        bytes[32..].fill(secret);
        let read = GenerationKey::from_bytes(&bytes).read_key();
        read.follow_key(Kind::Presence, Epoch(epoch), 0)
    }

    #[test]
    fn a_proof_is_of_one_view_epoch_follower_and_node() {
        let (bob, alice, eve) = (node(1), node(2), node(3));
        let proof = key(7, 20_000).prove(&bob, &alice);
        assert!(key(7, 20_000).admits(&bob, &alice, &proof));
        assert!(!key(8, 20_000).admits(&bob, &alice, &proof), "another view");
        assert!(!key(7, 20_001).admits(&bob, &alice, &proof), "another day");
        assert!(!key(7, 20_000).admits(&eve, &alice, &proof), "another follower");
        assert!(!key(7, 20_000).admits(&bob, &eve, &proof), "another node");
        assert!(!key(7, 20_000).admits(&alice, &bob, &proof), "the other way round");
    }

    #[test]
    fn vectors_are_as_committed() {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        let made: Vec<Vector> = [(7, 20_000), (7, 20_001), (9, 0)]
            .into_iter()
            .map(|(secret, epoch)| {
                let key = key(secret, epoch);
                Vector {
                    k: hex(&[secret; 32]),
                    kind: Kind::Presence.byte(),
                    epoch,
                    slot: 0,
                    follow_key: hex(key.0.as_slice()),
                    follower: hex(node(1).as_bytes()),
                    at: hex(node(2).as_bytes()),
                    proof: hex(&key.prove(&node(1), &node(2)).0),
                }
            })
            .collect();
        crate::vectors::check("follow", &made);
    }
}
