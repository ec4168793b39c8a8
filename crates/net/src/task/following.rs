//! Following, from both ends: at our own relay and at the nodes that the core names; and who may follow here.

use super::Task;
use crate::config::Role;
use crate::convert::{multiaddr_of, node_of, peer_of};
use crate::handle::{BeaconSource, NetEvent};
use crate::serve::record;
use crate::streams::{Answers, Asker};
use libp2p::{Multiaddr, PeerId};
use porchlight_wire::blind::BlindedKey;
use porchlight_wire::follow::{FollowKey, FollowProof};
use porchlight_wire::frame::{ExchangeNumber, Refusal, Request, Response};
use porchlight_wire::ids::{Address, NodeId};
use porchlight_wire::limits::{FOLLOWED, FOLLOWED_DIRECTLY};
use porchlight_wire::record::Place;
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

/// What we follow, and where.
#[derive(Debug, Default)]
pub(super) struct Following {
    /// At our own relay, whichever that is.
    own: Vec<BlindedKey>,
    relay: Option<PeerId>,
    /// At the nodes that the core names.
    named: BTreeMap<PeerId, Named>,
    /// What peers were asked for, and tell us.
    told: BTreeMap<PeerId, Told>,
    last_round: u64,
    /// Relays that have no room for us, and when they may be asked again.
    unwilling: BTreeMap<PeerId, Instant>,
}

/// What the core wants to follow at one node.
#[derive(Debug)]
struct Named {
    addresses: Vec<BlindedKey>,
    proofs: Vec<FollowProof>,
}

/// What one peer was asked for last, and what it tells us.
#[derive(Debug)]
struct Told {
    /// Tells the answers to the last request from those to earlier ones.
    round: u64,
    asked: BTreeSet<BlindedKey>,
    answered: bool,
    /// What it has said that it tells us; of an earlier request while the last one is not answered.
    held: BTreeSet<BlindedKey>,
}

impl Following {
    /// What a peer tells us.
    pub(super) fn held(&self, peer: &PeerId) -> BTreeSet<BlindedKey> {
        self.told.get(peer).map(|told| told.held.clone()).unwrap_or_default()
    }

    /// Whether this is the number of the last request to a peer: what waited while a newer one was made is not sent.
    pub(super) fn is_current(&self, peer: &PeerId, round: u64) -> bool {
        self.told.get(peer).is_some_and(|told| told.round == round)
    }

    /// All that we follow at, or try to.
    pub(super) fn peers(&self) -> Vec<PeerId> {
        self.told.keys().copied().collect()
    }

    /// What a peer is to be asked for: all there is to follow at it, at once. A relay that is also named is asked as a relay.
    fn wanted(&self, peer: &PeerId) -> (Vec<BlindedKey>, Vec<FollowProof>) {
        let own: &[BlindedKey] = if self.relay == Some(*peer) { &self.own } else { &[] };
        match self.named.get(peer) {
            Some(named) if own.is_empty() => (named.addresses.clone(), named.proofs.clone()),
            Some(named) => {
                let all: BTreeSet<BlindedKey> = own.iter().chain(&named.addresses).copied().collect();
                (all.into_iter().take(FOLLOWED).collect(), Vec::new())
            }
            None => (own.to_vec(), Vec::new()),
        }
    }
}

impl Task {
    /// Follow exactly these at our own relay.
    pub(super) fn set_follow(&mut self, mut addresses: Vec<BlindedKey>) {
        if addresses.len() > FOLLOWED {
            // A relay would not even read a longer list.
            tracing::warn!(limit = FOLLOWED, got = addresses.len(), "too many addresses to follow");
            addresses.truncate(FOLLOWED);
        }
        if addresses == self.follow.own {
            return;
        }
        self.follow.own = addresses;
        match self.follow.relay {
            Some(relay) => {
                if self.follow.own.is_empty() {
                    self.follow.relay = None;
                }
                self.ask_to_follow(relay, Vec::new());
            }
            None => self.follow_somewhere(),
        }
    }

    /// Follow exactly these at this node.
    pub(super) fn set_follow_at(
        &mut self,
        node: NodeId,
        reach: &[Address],
        addresses: Vec<BlindedKey>,
        proofs: Vec<FollowProof>,
    ) {
        let Some(peer) = peer_of(&node) else {
            self.tell(NetEvent::Followed { node, told: false });
            return;
        };
        if addresses.is_empty() {
            self.follow.named.remove(&peer);
        } else {
            self.follow.named.insert(peer, Named { addresses, proofs });
        }
        self.ask_to_follow(peer, reach.iter().filter_map(multiaddr_of).collect());
    }

    /// Follows at the first relay that is connected and willing, if there is something to follow.
    pub(super) fn follow_somewhere(&mut self) {
        if self.follow.own.is_empty() || self.follow.relay.is_some() {
            return;
        }
        let now = Instant::now();
        self.follow.unwilling.retain(|_, later| *later > now);
        let mut relays = self.connections.relays().into_iter();
        let Some(relay) = relays.find(|relay| !self.follow.unwilling.contains_key(relay)) else {
            return;
        };
        self.follow.relay = Some(relay);
        self.ask_to_follow(relay, Vec::new());
    }

    /// Asks a peer for all that is to be followed at it, in the place of what it was asked before.
    fn ask_to_follow(&mut self, peer: PeerId, reach: Vec<Multiaddr>) {
        let (addresses, proofs) = self.follow.wanted(&peer);
        let known = self.follow.told.remove(&peer);
        self.follow.last_round += 1;
        let round = self.follow.last_round;
        if addresses.is_empty() {
            if known.is_some() && self.swarm.is_connected(&peer) {
                self.send(peer, Asker::Follow(round), Request::RecordFollow { addresses, proofs });
                self.live_changed();
            }
            return;
        }
        let told = Told {
            round,
            asked: addresses.iter().copied().collect(),
            answered: false,
            held: known.map(|known| known.held).unwrap_or_default(),
        };
        self.follow.told.insert(peer, told);
        self.send_to(
            peer,
            reach,
            Asker::Follow(round),
            Request::RecordFollow { addresses, proofs },
        );
    }

    /// A peer answers what it was asked to tell us.
    pub(super) fn on_followed(&mut self, peer: PeerId, round: u64, response: &Response) {
        let Some(told) = self.follow.told.get_mut(&peer).filter(|told| told.round == round) else {
            // Of a set that is followed no longer.
            return;
        };
        let Response::Record { beacon } = response else {
            if self.follow.relay == Some(peer) {
                // It has no room for us: another may.
                let later = Instant::now() + self.config.timing.redial_seed.1;
                self.follow.unwilling.insert(peer, later);
            }
            self.follow_ended(peer);
            return;
        };
        if !told.answered {
            // The first answer carries nothing, and says that others will follow.
            told.answered = true;
            told.held.clone_from(&told.asked);
            if self.follow.named.contains_key(&peer) {
                self.tell_followed(&peer, true);
            }
            self.live_changed();
        }
        let Some(bytes) = beacon else {
            return;
        };
        let asked = |pk: &BlindedKey| self.follow.told.get(&peer).is_some_and(|told| told.asked.contains(pk));
        let records = self.swarm.behaviour_mut().kad.store_mut();
        match records.verify(bytes) {
            // What was not asked for is none of our business.
            Ok(beacon) if !asked(&beacon.pk()) => {}
            Ok(beacon) => {
                if records.offer(beacon.clone().into()).is_news() {
                    self.counters.stream.accepted += 1;
                    if let Some(node) = node_of(&peer) {
                        let source = BeaconSource::Follow(node);
                        self.tell(NetEvent::Beacon { beacon, source });
                    }
                } else {
                    self.counters.stream.outdated += 1;
                }
            }
            Err(error) if error.is_forgery() => {
                self.counters.stream.forged += 1;
                self.forged_by(peer);
            }
            Err(_) => self.counters.stream.untimely += 1,
        }
    }

    /// A request to be told, by its number, came to nothing or has ended.
    pub(super) fn follow_failed(&mut self, round: u64) {
        let of = |(peer, told): (&PeerId, &Told)| (told.round == round).then_some(*peer);
        if let Some(peer) = self.follow.told.iter().find_map(of) {
            self.follow_ended(peer);
        }
    }

    /// What is followed at a peer no longer comes. The next round looks for another relay; where else is the core's to say.
    pub(super) fn follow_ended(&mut self, peer: PeerId) {
        let told = self.follow.told.remove(&peer);
        if self.follow.relay == Some(peer) {
            self.follow.relay = None;
        }
        if self.follow.named.remove(&peer).is_some() {
            self.tell_followed(&peer, false);
        }
        if told.is_some() {
            self.live_changed();
        }
    }

    /// A peer is gone, and what was followed at it. Should it come back, it may have room for us.
    pub(super) fn follow_gone(&mut self, peer: PeerId) {
        self.follow.unwilling.remove(&peer);
        self.follow_ended(peer);
    }

    fn tell_followed(&mut self, peer: &PeerId, told: bool) {
        if let Some(node) = node_of(peer) {
            self.tell(NetEvent::Followed { node, told });
        }
    }

    /// Who may follow here, but for a relay, which tells anyone. Those who may no longer are told nothing more.
    pub(super) fn set_served(&mut self, views: BTreeMap<BlindedKey, FollowKey>) {
        if self.config.role != Role::Relay {
            self.followers.keep_only(|address| views.contains_key(address));
        }
        self.views = views;
    }

    /// A peer wants to be told what is new. An ordinary node tells those who prove that they hold the view, and says to all
    /// others what it says of addresses that it does not have: it takes as long, too.
    pub(super) fn start_follower(
        &mut self,
        peer: PeerId,
        number: ExchangeNumber,
        addresses: Vec<BlindedKey>,
        proofs: &[FollowProof],
        answers: &Answers,
    ) {
        let refused = |reason| Response::Refused { reason };
        let addresses = match self.config.role {
            Role::Relay => addresses,
            Role::Ordinary => self.admitted(&peer, addresses, proofs),
        };
        if addresses.is_empty() && self.config.role != Role::Relay {
            self.followers.drop_peer(&peer);
            answers.send(number, refused(Refusal::NotServed));
            return;
        }
        let records = self.swarm.behaviour_mut().kad.store_mut();
        let now: Vec<Vec<u8>> = addresses
            .iter()
            .filter_map(|address| records.at(&Place::Beacon(*address)))
            .map(|record| record.bytes().to_vec())
            .collect();
        if !self.followers.follow(peer, number, answers.clone(), addresses) {
            answers.send(number, refused(Refusal::TooMany));
            return;
        }
        let mut kept_up = answers.send(number, record(None));
        for beacon in now {
            kept_up = kept_up && answers.send(number, record(Some(&beacon)));
        }
        if !kept_up {
            // Whoever got a part of it would take it for all. By the end of the stream they find out.
            answers.end();
            self.followers.drop_peer(&peer);
        }
    }

    /// Of these addresses, those for which `peer` proves that it holds the view. Each costs the same, whether or not it is one
    /// of ours, and only so many are looked at.
    fn admitted(&self, peer: &PeerId, addresses: Vec<BlindedKey>, proofs: &[FollowProof]) -> Vec<BlindedKey> {
        let Some(follower) = node_of(peer) else {
            return Vec::new();
        };
        let none = FollowProof::from_bytes([0; 32]);
        let proofs = proofs.iter().chain(std::iter::repeat(&none));
        let mut admitted = Vec::new();
        for (address, proof) in addresses.into_iter().zip(proofs).take(FOLLOWED_DIRECTLY) {
            let known = self.views.get(&address);
            let proven = known.unwrap_or(&self.nobodys).admits(&follower, &self.node, proof);
            if proven && known.is_some() {
                admitted.push(address);
            }
        }
        admitted
    }
}
