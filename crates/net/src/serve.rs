//! What this node answers to others' frames by itself: records, following, relays. A relay answers anyone, within quotas; an
//! ordinary node gives out its own cards and invite records, and presence to those who prove that they hold the view, lest its
//! address be tied to its presence records.

use crate::streams::Answers;
use libp2p::PeerId;
use porchlight_wire::blind::BlindedKey;
use porchlight_wire::frame::{ExchangeNumber, Refusal, Response};
use serde_bytes::ByteBuf;
use std::collections::{BTreeMap, BTreeSet};

/// One who follows: where to send what is new.
#[derive(Debug)]
struct Follower {
    number: ExchangeNumber,
    answers: Answers,
    addresses: BTreeSet<BlindedKey>,
}

/// All who follow something here.
#[derive(Debug)]
pub(crate) struct Followers {
    by_peer: BTreeMap<PeerId, Follower>,
    by_address: BTreeMap<BlindedKey, BTreeSet<PeerId>>,
    followed: usize,
    limit: usize,
}

impl Followers {
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            by_peer: BTreeMap::new(),
            by_address: BTreeMap::new(),
            followed: 0,
            limit,
        }
    }

    /// Replaces what `peer` follows. False if there is no room for so much.
    pub(crate) fn follow(
        &mut self,
        peer: PeerId,
        number: ExchangeNumber,
        answers: Answers,
        addresses: Vec<BlindedKey>,
    ) -> bool {
        self.drop_peer(&peer);
        let addresses: BTreeSet<BlindedKey> = addresses.into_iter().collect();
        if self.followed + addresses.len() > self.limit {
            return false;
        }
        if addresses.is_empty() {
            return true;
        }
        self.followed += addresses.len();
        for address in &addresses {
            self.by_address.entry(*address).or_default().insert(peer);
        }
        let follower = Follower {
            number,
            answers,
            addresses,
        };
        self.by_peer.insert(peer, follower);
        true
    }

    /// Sends a beacon to all who follow its address, but for those who have it already. One who does not keep up loses their
    /// following, and their stream by whose end they find out.
    pub(crate) fn push(&mut self, pk: &BlindedKey, beacon: &[u8], has: &BTreeSet<PeerId>) {
        let Some(peers) = self.by_address.get(pk) else {
            return;
        };
        let mut slow = Vec::new();
        for peer in peers.difference(has) {
            if let Some(follower) = self.by_peer.get(peer)
                && !follower.answers.send(follower.number, record(Some(beacon)))
            {
                follower.answers.end();
                slow.push(*peer);
            }
        }
        for peer in slow {
            self.drop_peer(&peer);
        }
    }

    /// Whether `peer` follows one of these addresses.
    pub(crate) fn follows(&self, peer: &PeerId, one_of: impl Fn(&BlindedKey) -> bool) -> bool {
        let follower = self.by_peer.get(peer);
        follower.is_some_and(|follower| !follower.answers.is_gone() && follower.addresses.iter().any(one_of))
    }

    /// A stream of `peer` is gone. What it follows on another one stays.
    pub(crate) fn drop_gone(&mut self, peer: &PeerId) {
        if self
            .by_peer
            .get(peer)
            .is_some_and(|follower| follower.answers.is_gone())
        {
            self.drop_peer(peer);
        }
    }

    /// Nobody follows any other address than these from now on.
    pub(crate) fn keep_only(&mut self, may: impl Fn(&BlindedKey) -> bool) {
        self.by_address.retain(|address, _| may(address));
        let mut silent = Vec::new();
        for (peer, follower) in &mut self.by_peer {
            let before = follower.addresses.len();
            follower.addresses.retain(|address| may(address));
            self.followed -= before - follower.addresses.len();
            if follower.addresses.is_empty() {
                let reason = Refusal::NotServed;
                follower.answers.send(follower.number, Response::Refused { reason });
                silent.push(*peer);
            }
        }
        for peer in silent {
            self.by_peer.remove(&peer);
        }
    }

    pub(crate) fn drop_peer(&mut self, peer: &PeerId) {
        let Some(follower) = self.by_peer.remove(peer) else {
            return;
        };
        self.followed -= follower.addresses.len();
        for address in follower.addresses {
            if let Some(peers) = self.by_address.get_mut(&address) {
                peers.remove(peer);
                if peers.is_empty() {
                    self.by_address.remove(&address);
                }
            }
        }
    }
}

/// The answer that carries a beacon, or none.
pub(crate) fn record(beacon: Option<&[u8]>) -> Response {
    Response::Record {
        beacon: beacon.map(|bytes| ByteBuf::from(bytes.to_vec())),
    }
}
