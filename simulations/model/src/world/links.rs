//! Connections: who wants them, who can have them, who notices when they are gone, and what the cores are told of it.

use super::{Job, World};
use crate::measures::Traffic;
use crate::{SECOND, Who};
use porchlight_proto::Input;
use porchlight_proto::input::LiveNode;
use porchlight_wire::ids::NodeAddress;
use std::collections::BTreeSet;

/// First wait before a node is dialled again; doubled each time.
const REDIAL_FIRST: u64 = SECOND;

/// The longest such wait.
const REDIAL_LAST: u64 = 60 * SECOND;

/// How long it takes until a change of connections is told as a change of who is live.
const LIVE_DELAY: u64 = 50;

/// Relays up to which each is connected to each other one; beyond, to so many neighbours on each side and across.
const FEW_RELAYS: u32 = 40;

/// Bytes that a connection begins with on each side: the handshake, and identify.
const HANDSHAKE: usize = 2_500;

/// Bytes of a ping or its answer, with what encryption, multiplexing and TCP add.
const PING: usize = 110;

impl World {
    /// Whether packets get from one to the other.
    pub(super) fn can_reach(&self, one: Who, other: Who) -> bool {
        one != other
            && self.parts[one as usize] == self.parts[other as usize]
            && self.member(one).is_up()
            && self.member(other).is_up()
    }

    /// Whether the two have a connection that works.
    pub(super) fn is_linked(&self, one: Who, other: Who) -> bool {
        self.member(one).peers.contains(&other) && self.member(other).peers.contains(&one) && self.can_reach(one, other)
    }

    /// A node that has come up connects to its relays.
    pub(super) fn connect_to_relays(&mut self, who: Who) {
        let wanted = self.relays_of(who);
        let member = self.member_mut(who);
        member.wanted.extend(wanted.iter().copied());
        for relay in wanted {
            self.dial_after(who, relay, 0);
        }
    }

    /// The relays that a node is configured with: for an ordinary one some in turn, for a relay others like it.
    pub(super) fn relays_of(&self, who: Who) -> BTreeSet<Who> {
        let relays = self.relays;
        if self.is_relay(who) {
            if relays <= FEW_RELAYS {
                return (0..relays).filter(|other| *other != who).collect();
            }
            let steps = [1, 2, 3, relays / 7, relays / 3, relays / 2];
            return steps
                .into_iter()
                .map(|step| (who + step) % relays)
                .filter(|other| *other != who)
                .collect();
        }
        let each = u32::try_from(self.scenario.nodes.relays_each).unwrap_or(1);
        let first = (who - relays) % relays;
        // The second one is elsewhere, so that not all of them share both.
        let stride = (1 + (who - relays) / relays % relays.saturating_sub(1).max(1)).max(1);
        (0..each).map(|number| (first + number * stride) % relays).collect()
    }

    /// The core says which connections to keep, besides those to relays.
    pub(super) fn keep_connections(&mut self, who: Who, contacts: &[NodeAddress]) {
        let mut wanted = self.relays_of(who);
        wanted.extend(contacts.iter().filter_map(|address| self.by_node.get(&address.node)));
        wanted.extend(self.wishes.range((who, 0)..=(who, Who::MAX)).map(|((_, at), _)| *at));
        wanted.remove(&who);
        let member = self.member_mut(who);
        let before = std::mem::replace(&mut member.wanted, wanted.clone());
        for to in wanted.difference(&before) {
            self.dial_after(who, *to, 0);
        }
        for to in before.difference(&wanted) {
            self.close_if_unwanted(who, *to);
        }
    }

    /// A connection is wanted, and tried.
    pub(super) fn want(&mut self, who: Who, to: Who) {
        if self.member_mut(who).wanted.insert(to) {
            self.dial_after(who, to, 0);
        }
    }

    pub(super) fn close_if_unwanted(&mut self, who: Who, to: Who) {
        let wanted = self.member(who).wanted.contains(&to) || self.member(to).wanted.contains(&who);
        if wanted || !self.member(who).peers.contains(&to) {
            return;
        }
        let after = self.one_way(who, to, 64);
        let boot = self.member(to).boot;
        let at = self.plan(after);
        let peer = who;
        self.queue.plan(at, Job::Lost { who: to, boot, peer });
        // From now on it carries nothing.
        self.member_mut(who).peers.remove(&to);
        self.told_no_more(who, to);
        self.tell_disconnected(who, to);
    }

    fn dial_after(&mut self, who: Who, to: Who, after: u64) {
        let boot = self.member(who).boot;
        let at = self.plan(after);
        self.queue.plan(at, Job::Dial { who, boot, to });
    }

    pub(super) fn dial(&mut self, who: Who, to: Who) {
        let member = self.member(who);
        if !member.wanted.contains(&to) || self.is_linked(who, to) {
            return;
        }
        if self.can_reach(who, to) && self.member(to).reachable {
            let after = 3 * self.one_way(who, to, HANDSHAKE);
            let (boot, to_boot) = (self.member(who).boot, self.member(to).boot);
            let at = self.plan(after);
            self.queue.plan(at, Job::Connect { who, boot, to, to_boot });
            return;
        }
        self.redial(who, to);
    }

    fn redial(&mut self, who: Who, to: Who) {
        let tries = self.member_mut(who).tries.entry(to).or_default();
        *tries += 1;
        let wait = (REDIAL_FIRST << (*tries - 1).min(10)).min(REDIAL_LAST);
        // Not all at the same time.
        let wait = wait / 2 + self.random.below(wait);
        self.dial_after(who, to, wait);
    }

    pub(super) fn connect(&mut self, who: Who, to: Who) {
        if self.is_linked(who, to) {
            return;
        }
        self.count(who, to, Traffic::Connection, HANDSHAKE);
        self.count(to, who, Traffic::Connection, HANDSHAKE);
        for (one, other) in [(who, to), (to, who)] {
            let relay = self.is_relay(other);
            let node = self.member(other).address.node;
            let member = self.member_mut(one);
            member.tries.remove(&other);
            if member.peers.insert(other) {
                self.tell(one, 0, Input::Connected { node, relay });
            } else {
                // The other end began anew before this one noticed: what was followed over the old connection is not any more.
                self.told_no_more(one, other);
            }
            self.plan_live(one);
        }
    }

    /// What was followed at a node is told no more.
    pub(super) fn told_no_more(&mut self, who: Who, at: Who) {
        let told = self.member_mut(who).followed.remove(&at).is_some();
        let wished = self.wishes.remove(&(who, at)).is_some();
        if told || wished {
            let node = self.member(at).address.node;
            self.tell(who, 0, Input::Followed { node, told: false });
        }
    }

    /// A node notices that a connection is gone.
    pub(super) fn lose(&mut self, who: Who, peer: Who) {
        if self.is_linked(who, peer) || !self.member_mut(who).peers.remove(&peer) {
            return;
        }
        self.told_no_more(who, peer);
        self.tell_disconnected(who, peer);
    }

    fn tell_disconnected(&mut self, who: Who, peer: Who) {
        let node = self.member(peer).address.node;
        self.tell(who, 0, Input::Disconnected { node });
        self.plan_live(who);
        if self.member(who).wanted.contains(&peer) {
            self.redial(who, peer);
        }
    }

    /// A node and its peers notice which connections are dead.
    pub(super) fn notice(&mut self, who: Who) {
        let dead: Vec<Who> = {
            let peers = self.member(who).peers.iter().copied();
            peers.filter(|peer| !self.is_linked(who, *peer)).collect()
        };
        for peer in dead {
            if self.member(who).is_up() {
                self.lose(who, peer);
            }
            if self.member(peer).is_up() {
                self.lose(peer, who);
            }
        }
    }

    /// What is told of a node to its peers has changed.
    pub(super) fn peers_see_change(&mut self, who: Who) {
        let peers: Vec<Who> = self.member(who).peers.iter().copied().collect();
        for peer in peers {
            self.plan_live(peer);
        }
    }

    pub(super) fn plan_live(&mut self, who: Who) {
        let member = self.member_mut(who);
        if member.node.is_none() || member.live_planned {
            return;
        }
        member.live_planned = true;
        let boot = member.boot;
        let at = self.plan(LIVE_DELAY);
        self.queue.plan(at, Job::Live { who, boot });
    }

    /// A core is told who is live, if that has changed.
    pub(super) fn report_live(&mut self, who: Who) {
        self.member_mut(who).live_planned = false;
        let own_relay = self.own_relay(who);
        let member = self.member(who);
        let live: Vec<LiveNode> = member
            .peers
            .iter()
            .map(|peer| {
                let other = self.member(*peer);
                let mut followed = member.followed.get(peer).cloned().unwrap_or_default();
                if own_relay == Some(*peer) {
                    followed.extend(&member.follow);
                }
                LiveNode {
                    node: other.address.node,
                    relay: other.relay,
                    topics: if other.relay {
                        self.topics.clone()
                    } else {
                        other.topics.clone()
                    },
                    followed,
                }
            })
            .collect();
        if live != member.live {
            self.member_mut(who).live.clone_from(&live);
            self.input(who, Input::Live { nodes: live });
        }
    }

    /// The relay at which a node follows what it follows at its relay.
    pub(super) fn own_relay(&self, who: Who) -> Option<Who> {
        let member = self.member(who);
        member
            .peers
            .range(..self.relays)
            .find(|relay| self.is_linked(who, **relay))
            .copied()
    }

    /// Pings of all connections for a while, which are not played one by one.
    pub(super) fn count_pings(&mut self, millis: u64) {
        let mut pings = [[0_u64; 2]; 2];
        for member in self.members.iter().filter(|member| member.is_up()) {
            for peer in &member.peers {
                pings[usize::from(member.relay)][usize::from(self.is_relay(*peer))] += 1;
            }
        }
        for (from, row) in pings.into_iter().enumerate() {
            for (to, connections) in row.into_iter().enumerate() {
                // A ping and an answer in each direction every fifteen seconds.
                let times = connections * 2 * millis / (15 * SECOND);
                let now = self.now;
                self.measures
                    .travelled_times(now, Traffic::Connection, PING, times, (from == 1, to == 1));
            }
        }
    }
}
