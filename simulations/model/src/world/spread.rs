//! Gossip, and following. A record that is gossiped reaches everybody in its topic who can be reached over others in it, relay by
//! relay; those who are not in the topic get it where they follow. What nobody expects is counted and not played: a core drops it.

use super::{Job, Wish, World};
use crate::Who;
use crate::measures::Traffic;
use porchlight_proto::Input;
use porchlight_proto::input::BeaconSource;
use porchlight_wire::beacon::{VerifiedBeacon, topic};
use porchlight_wire::blind::BlindedKey;
use porchlight_wire::follow::FollowKey;
use porchlight_wire::ids::NodeId;
use porchlight_wire::network::TopicIndex;
use porchlight_wire::record::VerifiedRecord;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How often each member of a topic gets a record: gossipsub's mesh of six sends it over half of its edges each way.
const COPIES: u64 = 3;

/// Bytes that gossip adds to a record.
const GOSSIP_OVERHEAD: usize = 60;

impl World {
    /// The addresses at which a core expects records are others now.
    pub(super) fn expect(&mut self, who: Who, addresses: BTreeSet<BlindedKey>) {
        let before = std::mem::take(&mut self.member_mut(who).expected);
        let gone: BTreeSet<BlindedKey> = before.difference(&addresses).copied().collect();
        self.forget_interest(who, &gone);
        for address in addresses.difference(&before) {
            self.expecting.entry(*address).or_default().push(who);
        }
        self.member_mut(who).expected = addresses;
    }

    pub(super) fn forget_interest(&mut self, who: Who, addresses: &BTreeSet<BlindedKey>) {
        for address in addresses {
            if let Some(watchers) = self.expecting.get_mut(address) {
                watchers.retain(|watcher| *watcher != who);
                if watchers.is_empty() {
                    self.expecting.remove(address);
                }
            }
        }
    }

    /// A node gossips a record of its own.
    pub(super) fn publish(&mut self, from: Who, beacon: &VerifiedBeacon) {
        let record = VerifiedRecord::from(beacon.clone());
        self.leaves(from, &record);
        let index = topic(&self.network, &beacon.pk());
        let bytes = beacon.bytes().len() + GOSSIP_OVERHEAD;
        let reached = self.spread_among_relays(from, beacon);
        let interested = self.expecting.get(&beacon.pk()).cloned().unwrap_or_default();
        let mut missed = Vec::new();
        for who in interested {
            if who == from || !self.member(who).is_up() {
                continue;
            }
            if self.member(who).topics.contains(&index) {
                let way = self.way_in_topic(from, who, index, &reached);
                match way {
                    Some((by, delay)) => self.deliver_gossip(who, by, delay, beacon),
                    None => missed.push(who),
                }
            }
            // Also where it is in the topic: over no relay may still be directly.
            if !self.member(who).topics.contains(&index) {
                self.deliver_followed(from, who, beacon, &reached);
            }
        }
        if !missed.is_empty() {
            self.spread_among_people(from, beacon, index, &missed);
        }
        let to_relays = reached.len() as u64 * COPIES;
        self.measures
            .travelled_times(self.now, Traffic::Gossip, bytes, COPIES, (self.is_relay(from), true));
        self.measures
            .travelled_times(self.now, Traffic::Gossip, bytes, to_relays, (true, true));
    }

    /// Which relays get a record, and after how long.
    fn spread_among_relays(&mut self, from: Who, beacon: &VerifiedBeacon) -> BTreeMap<Who, u64> {
        let mut reached: BTreeMap<Who, u64> = BTreeMap::new();
        let mut edge: VecDeque<(Who, u64)> = VecDeque::from([(from, 0)]);
        while let Some((at, delay)) = edge.pop_front() {
            let next: Vec<Who> = self.member(at).peers.range(..self.relays).copied().collect();
            for relay in next {
                let frozen = self.member(relay).mischief == Some(crate::scenario::Deed::Freeze);
                if reached.contains_key(&relay) || relay == from || frozen || !self.is_linked(at, relay) {
                    continue;
                }
                let delay = delay + self.one_way(at, relay, beacon.bytes().len());
                reached.insert(relay, delay);
                edge.push_back((relay, delay));
                let now = self.now;
                let member = self.member_mut(relay);
                let unix = member.clock(now + delay).unix;
                member.shelf.put(beacon.clone().into(), unix);
            }
        }
        reached
    }

    /// By whom, and when, a member of the topic gets a record: from its publisher if they are connected, or from a relay.
    fn way_in_topic(
        &mut self,
        from: Who,
        who: Who,
        index: TopicIndex,
        reached: &BTreeMap<Who, u64>,
    ) -> Option<(Who, u64)> {
        let by_relay = {
            let relays = self.member(who).peers.range(..self.relays);
            let mut ways: Vec<(u64, Who)> = relays
                .filter(|relay| self.is_linked(who, **relay))
                .filter_map(|relay| Some((*reached.get(relay)?, *relay)))
                .collect();
            ways.sort_unstable();
            ways.first().copied()
        };
        let directly = self.is_linked(from, who) && self.member(from).topics.contains(&index);
        if directly {
            let delay = self.one_way(from, who, 1_024);
            return Some((from, delay));
        }
        let (delay, relay) = by_relay?;
        let last = self.one_way(relay, who, 1_024);
        Some((relay, delay + last))
    }

    fn deliver_gossip(&mut self, who: Who, by: Who, delay: u64, beacon: &VerifiedBeacon) {
        let bytes = beacon.bytes().len() + GOSSIP_OVERHEAD;
        let roles = (self.is_relay(by), self.is_relay(who));
        self.measures
            .travelled_times(self.now, Traffic::Gossip, bytes, COPIES, roles);
        if self.fate.chance(self.scenario.faults.lose_gossip.part()) {
            return;
        }
        let node = self.member(by).address.node;
        self.send_record(who, delay, beacon.clone(), BeaconSource::Gossip(node));
    }

    /// Those who are in no topic of it get it from whom they follow at.
    fn deliver_followed(&mut self, from: Who, who: Who, beacon: &VerifiedBeacon, reached: &BTreeMap<Who, u64>) {
        let pk = beacon.pk();
        let member = self.member(who);
        let told = |at: &Who| member.followed.get(at).is_some_and(|addresses| addresses.contains(&pk));
        let by = if told(&from) && self.is_linked(from, who) {
            Some((from, 0))
        } else {
            let own = self.own_relay(who).filter(|_| member.follow.contains(&pk));
            let others = member
                .followed
                .keys()
                .copied()
                .filter(|at| told(at) && self.is_linked(*at, who));
            own.into_iter()
                .chain(others)
                .find_map(|relay| Some((relay, *reached.get(&relay)?)))
        };
        let Some((by, delay)) = by else { return };
        let bytes = beacon.bytes().len();
        self.count(by, who, Traffic::Follow, bytes + 20);
        let delay = delay + self.one_way(by, who, bytes);
        let node = self.member(by).address.node;
        self.send_record(who, delay, beacon.clone(), BeaconSource::Follow(node));
    }

    /// Where no relay carries it: from one member of the topic to the next.
    fn spread_among_people(&mut self, from: Who, beacon: &VerifiedBeacon, index: TopicIndex, missed: &[Who]) {
        let mut reached = BTreeSet::from([from]);
        let mut edge = VecDeque::from([(from, 0)]);
        while let Some((at, delay)) = edge.pop_front() {
            let next: Vec<Who> = self.member(at).peers.range(self.relays..).copied().collect();
            for who in next {
                let in_topic = self.member(who).topics.contains(&index);
                if reached.contains(&who) || !in_topic || !self.is_linked(at, who) {
                    continue;
                }
                reached.insert(who);
                let delay = delay + self.one_way(at, who, beacon.bytes().len());
                edge.push_back((who, delay));
                if missed.contains(&who) {
                    self.deliver_gossip(who, at, delay, beacon);
                }
            }
        }
    }

    fn send_record(&mut self, who: Who, after: u64, beacon: VerifiedBeacon, source: BeaconSource) {
        let boot = self.member(who).boot;
        let at = self.plan(after);
        self.queue.plan(
            at,
            Job::Arrival {
                who,
                boot,
                beacon,
                source,
            },
        );
    }

    /// The edge of a node: what does not stand by its own clock does not reach the core. Signatures were checked once, when the
    /// record was made; only a clock that is off can judge otherwise.
    pub(super) fn arrive(&mut self, who: Who, beacon: VerifiedBeacon, source: BeaconSource) {
        let now = self.now;
        let member = self.member(who);
        let unix = member.clock(now).unix;
        let stands = if member.skew == 0 {
            beacon.expires() > unix
        } else {
            VerifiedBeacon::verify(beacon.bytes(), &self.network, unix).is_ok()
        };
        if stands {
            self.input(who, Input::Beacon { beacon, source });
        }
    }

    /// What a node follows at its relay is something else now.
    pub(super) fn follow_at_relay(&mut self, who: Who, addresses: Vec<BlindedKey>) {
        self.member_mut(who).follow = addresses;
        self.plan_live(who);
        let Some(relay) = self.own_relay(who) else { return };
        let now = self.now;
        let unix = self.member(relay).clock(now).unix;
        let there: Vec<VerifiedBeacon> = {
            let shelf = &self.member(relay).shelf;
            let addresses = self.member(who).follow.iter();
            addresses.filter_map(|pk| shelf.beacon(pk, unix)).cloned().collect()
        };
        self.send_there(who, relay, there);
    }

    fn send_there(&mut self, who: Who, by: Who, beacons: Vec<VerifiedBeacon>) {
        let source = BeaconSource::Follow(self.member(by).address.node);
        for beacon in beacons {
            self.count(by, who, Traffic::Follow, beacon.bytes().len() + 20);
            let delay = 2 * self.one_way(by, who, beacon.bytes().len());
            self.send_record(who, delay, beacon, source);
        }
    }

    /// A core wants to follow at one node, or no longer.
    pub(super) fn follow_at(&mut self, who: Who, node: NodeId, wish: Wish) {
        let Some(at) = self.by_node.get(&node).copied() else {
            return;
        };
        if wish.addresses.is_empty() {
            self.wishes.remove(&(who, at));
            self.member_mut(who).followed.remove(&at);
            self.plan_live(who);
            return;
        }
        self.wishes.insert((who, at), wish);
        self.want(who, at);
        let boot = self.member(who).boot;
        let after = if self.is_linked(who, at) {
            self.one_way(who, at, 200)
        } else {
            4 * self.one_way(who, at, 200)
        };
        let time = self.plan(after);
        self.queue.plan(time, Job::Follow { who, boot, at });
    }

    /// A node is asked by a follower: a relay tells anyone, others those who prove that they hold their views.
    pub(super) fn answer_follower(&mut self, who: Who, at: Who) {
        let Some(wish) = self.wishes.get(&(who, at)).cloned() else {
            return;
        };
        let (me, node) = (self.member(who).address.node, self.member(at).address.node);
        let linked = self.is_linked(who, at);
        let admitted: BTreeSet<BlindedKey> = if !linked {
            BTreeSet::new()
        } else if self.is_relay(at) {
            wish.addresses.into_iter().collect()
        } else {
            let served = &self.member(at).served;
            let proven = wish.addresses.into_iter().zip(&wish.proofs);
            proven
                .filter(|(address, proof)| served.get(address).is_some_and(|key| key.admits(&me, &node, proof)))
                .map(|(address, _)| address)
                .collect()
        };
        if admitted.is_empty() {
            let after = if linked {
                self.one_way(at, who, 64)
            } else {
                super::EXCHANGE_TIMEOUT
            };
            self.wishes.remove(&(who, at));
            self.member_mut(who).followed.remove(&at);
            self.tell(who, after, Input::Followed { node, told: false });
            return;
        }
        let unix = self.member(at).clock(self.now).unix;
        let there: Vec<VerifiedBeacon> = {
            let shelf = &self.member(at).shelf;
            admitted
                .iter()
                .filter_map(|pk| shelf.beacon(pk, unix))
                .cloned()
                .collect()
        };
        self.member_mut(who).followed.insert(at, admitted);
        let after = self.one_way(at, who, 64);
        self.tell(who, after, Input::Followed { node, told: true });
        self.plan_live(who);
        self.send_there(who, at, there);
    }

    /// Whom a core lets follow its views; those of ended generations are told no more.
    pub(super) fn serve(&mut self, who: Who, views: BTreeMap<BlindedKey, FollowKey>) {
        let followers: Vec<Who> = self.member(who).peers.iter().copied().collect();
        for follower in followers {
            if let Some(followed) = self.member_mut(follower).followed.get_mut(&who) {
                followed.retain(|address| views.contains_key(address));
            }
        }
        self.member_mut(who).served = views;
    }
}
