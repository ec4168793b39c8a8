//! Where presence is followed besides in topics and at our own relay, in the order of trying. First at the presentity's own
//! node, where its view tells it and it is connected: over the local network or at its addresses, which the network adapter
//! sees to for the nodes in [`Effect::Keep`]. And while no relay of ours is there, at the relays that contacts name. The only
//! dials of this module are those, few at once, after longer and longer waits.

use crate::clock::Instant;
use crate::limits::{
    ANSWER_PATIENCE, FOLLOW_RETRY_FIRST, FOLLOW_RETRY_LAST, FOLLOWED_NODES, OTHERS_RELAYS, RELAYLESS_PATIENCE,
};
use crate::node::Node;
use crate::publication::SLOT;
use crate::step::Effect;
use porchlight_wire::blind::{BlindedKey, Epoch, Kind};
use porchlight_wire::follow::FollowProof;
use porchlight_wire::ids::{Address, NodeId, PrincipalId};
use porchlight_wire::limits::{FOLLOWED, FOLLOWED_DIRECTLY};
use rand_core::Rng;
use std::collections::{BTreeMap, BTreeSet};

/// All places where we follow, and what has to be waited for.
#[derive(Debug, Default)]
pub(crate) struct Followings {
    at: BTreeMap<NodeId, Following>,
    /// Something that the choice depends on has changed.
    pub(crate) changed: bool,
    /// While there is no relay of our own: when those of contacts are tried, and whether that time has come.
    relayless: Option<(Instant, bool)>,
}

/// One node at which we follow.
#[derive(Debug)]
struct Following {
    whose: Whose,
    /// What it was asked for last.
    addresses: BTreeSet<BlindedKey>,
    /// What it tells us; of an earlier time while it was asked for something else and has not answered.
    held: BTreeSet<BlindedKey>,
    state: State,
    tries: u32,
}

/// Whose node it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// The presentity's own.
    Theirs,
    /// A relay that contacts name.
    Relay,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It was asked, and has until then to answer.
    Asked(Instant),
    /// It tells us.
    Held,
    /// It did not; it is asked again then.
    Waiting(Instant),
}

/// What we want of one node.
#[derive(Debug)]
struct Wish {
    whose: Whose,
    /// Where to dial it, if we may.
    reach: Vec<Address>,
    addresses: BTreeMap<BlindedKey, (PrincipalId, Epoch)>,
}

impl Followings {
    /// Whether what stands at this address is told to us by its presentity's own node.
    pub(crate) fn is_direct(&self, address: &BlindedKey) -> bool {
        self.at
            .values()
            .any(|following| following.whose == Whose::Theirs && following.held.contains(address))
    }

    /// Whether a relay is one that we follow at only because ours are gone.
    fn is_others(&self, node: &NodeId) -> bool {
        self.at
            .get(node)
            .is_some_and(|following| following.whose == Whose::Relay)
    }
}

impl Node {
    /// Chooses anew where to follow, if anything that matters has changed, and asks those whose time has come.
    pub(crate) fn follow_due(&mut self) {
        let due = self.next_following().is_some_and(|at| at <= self.clock.instant);
        if !self.followings.changed && !due {
            return;
        }
        self.followings.changed = false;
        self.end_late_followings();
        let mut wishes = self.wishes_of_contacts();
        let later = self.wishes_of_relays(&mut wishes);
        let gone: Vec<NodeId> = self
            .followings
            .at
            .keys()
            .filter(|node| !wishes.contains_key(node) && !later.contains(node))
            .copied()
            .collect();
        for node in gone {
            self.followings.at.remove(&node);
            self.step.effect(stop(node));
        }
        for (node, wish) in wishes {
            self.follow_at(node, &wish);
        }
        self.follow_at_relay();
        self.send_keep();
    }

    /// When [`follow_due`](Self::follow_due) has something to do next.
    pub(crate) fn next_following(&self) -> Option<Instant> {
        // A relay whose time has come while others are under way waits for their end, which is an input.
        let room = self.relays_under_way() < OTHERS_RELAYS;
        let states = self
            .followings
            .at
            .values()
            .filter_map(|following| match (following.state, following.whose) {
                (State::Asked(until), _) | (State::Waiting(until), Whose::Theirs) => Some(until),
                (State::Waiting(until), Whose::Relay) => Some(until).filter(|_| room),
                (State::Held, _) => None,
            });
        let patience = self.followings.relayless.filter(|(_, come)| !come).map(|(at, _)| at);
        states.chain(patience).min()
    }

    fn relays_under_way(&self) -> usize {
        let under_way = |it: &&Following| match it.state {
            State::Asked(_) | State::Held => it.whose == Whose::Relay,
            State::Waiting(_) => false,
        };
        self.followings.at.values().filter(under_way).count()
    }

    /// A node says whether it tells us what we follow there; or it is not reached, or tells us no longer.
    pub(crate) fn on_followed(&mut self, node: NodeId, told: bool) {
        let wait = self.wait_after(node);
        let now = self.clock.instant;
        let Some(following) = self.followings.at.get_mut(&node) else {
            return;
        };
        if told {
            (following.state, following.tries) = (State::Held, 0);
            following.held.clone_from(&following.addresses);
        } else {
            following.state = State::Waiting(now.plus(wait));
            following.held.clear();
            following.tries = following.tries.saturating_add(1);
        }
        self.followings.changed = true;
    }

    /// Twice as long each time, and not for all nodes at the same time.
    fn wait_after(&mut self, node: NodeId) -> u64 {
        let tries = self.followings.at.get(&node).map_or(0, |following| following.tries);
        let wait = FOLLOW_RETRY_FIRST
            .saturating_mul(1 << tries.min(16))
            .min(FOLLOW_RETRY_LAST);
        wait / 4 * 3 + u64::from(self.rng.next_u32()) % (wait / 2).max(1)
    }

    /// Who was asked and says nothing has refused.
    fn end_late_followings(&mut self) {
        let now = self.clock.instant;
        let late = |following: &Following| matches!(following.state, State::Asked(until) if until <= now);
        let nodes: Vec<NodeId> = self
            .followings
            .at
            .iter()
            .filter(|(_, following)| late(following))
            .map(|(node, _)| *node)
            .collect();
        for node in nodes {
            self.on_followed(node, false);
            self.step.effect(stop(node));
        }
    }

    /// Contacts' own nodes that are connected.
    fn wishes_of_contacts(&self) -> BTreeMap<NodeId, Wish> {
        let mut wishes: BTreeMap<NodeId, Wish> = BTreeMap::new();
        for (principal, addresses) in self.followed_contacts() {
            let told = self.told_reach(&principal).and_then(|reach| reach.node.as_ref());
            let Some(node) = told
                .map(|node| node.id)
                .filter(|node| self.connected.contains_key(node))
            else {
                continue;
            };
            if node == self.config.node || (wishes.len() >= FOLLOWED_NODES && !wishes.contains_key(&node)) {
                continue;
            }
            let wish = wishes.entry(node).or_insert_with(|| Wish {
                whose: Whose::Theirs,
                reach: Vec::new(),
                addresses: BTreeMap::new(),
            });
            add(wish, principal, addresses);
        }
        wishes
    }

    /// Relays that contacts name, while there is no relay of ours: those under way first, then those that were tried least. Gives
    /// back those whose turn is later.
    fn wishes_of_relays(&mut self, wishes: &mut BTreeMap<NodeId, Wish>) -> BTreeSet<NodeId> {
        let now = self.clock.instant;
        let ours = self
            .live
            .iter()
            .any(|live| live.relay && !self.followings.is_others(&live.node));
        if ours {
            self.followings.relayless = None;
            return BTreeSet::new();
        }
        let (at, _) = self
            .followings
            .relayless
            .unwrap_or_else(|| (now.plus(RELAYLESS_PATIENCE), false));
        let come = at <= now;
        self.followings.relayless = Some((at, come));
        if !come {
            return BTreeSet::new();
        }
        let mut named: BTreeMap<NodeId, Wish> = BTreeMap::new();
        for (principal, addresses) in self.followed_contacts() {
            if addresses.keys().any(|address| self.followings.is_direct(address)) {
                continue;
            }
            let in_view = self.told_reach(&principal).into_iter().flat_map(|reach| &reach.relays);
            let in_card = self
                .cards
                .get(&principal)
                .into_iter()
                .flat_map(|card| &card.bundle.relays);
            for relay in in_view.chain(in_card) {
                let known = wishes.contains_key(&relay.node) || self.is_seed(relay.node);
                if known || relay.node == self.config.node {
                    continue;
                }
                let wish = named.entry(relay.node).or_insert_with(|| Wish {
                    whose: Whose::Relay,
                    reach: Vec::new(),
                    addresses: BTreeMap::new(),
                });
                if !wish.reach.contains(&relay.address) && wish.reach.len() < OTHERS_RELAYS {
                    wish.reach.push(relay.address.clone());
                }
                add(wish, principal, addresses.clone());
            }
        }
        let rank = |node: &NodeId| match self.followings.at.get(node).map(|it| (it.state, it.tries)) {
            Some((State::Held | State::Asked(_), _)) => (0, 0),
            Some((State::Waiting(until), tries)) if until <= now => (1, tries),
            Some((State::Waiting(_), tries)) => (2, tries),
            None => (1, 0),
        };
        let mut named: Vec<(NodeId, Wish)> = named.into_iter().take(FOLLOWED_NODES).collect();
        named.sort_by_key(|(node, _)| rank(node));
        let later = named.split_off(named.len().min(OTHERS_RELAYS));
        wishes.extend(named);
        later.into_iter().map(|(node, _)| node).collect()
    }

    /// Asks one node, unless it was asked for just that, or is to be left alone for now.
    fn follow_at(&mut self, node: NodeId, wish: &Wish) {
        let now = self.clock.instant;
        let addresses: BTreeSet<BlindedKey> = wish.addresses.keys().copied().collect();
        let known = self.followings.at.get(&node);
        let tries = known.map_or(0, |known| known.tries);
        let held = known.map(|known| known.held.clone()).unwrap_or_default();
        if let Some(known) = known {
            let settled = match known.state {
                State::Asked(_) | State::Held => known.whose == wish.whose && known.addresses == addresses,
                // What a presentity's node refuses for an old generation, it may not for the next one.
                State::Waiting(until) => until > now && (known.addresses == addresses || wish.whose == Whose::Relay),
            };
            if settled {
                return;
            }
        }
        let proofs = match wish.whose {
            Whose::Theirs => self.proofs(node, &wish.addresses),
            Whose::Relay => Vec::new(),
        };
        self.step.effect(Effect::FollowAt {
            node,
            reach: wish.reach.clone(),
            addresses: addresses.iter().copied().collect(),
            proofs,
        });
        let following = Following {
            whose: wish.whose,
            addresses,
            held,
            state: State::Asked(now.plus(ANSWER_PATIENCE)),
            tries,
        };
        self.followings.at.insert(node, following);
    }

    /// That we hold the views at these addresses, said to `node`.
    fn proofs(&self, node: NodeId, addresses: &BTreeMap<BlindedKey, (PrincipalId, Epoch)>) -> Vec<FollowProof> {
        let proof = |(principal, epoch): &(PrincipalId, Epoch)| {
            let held = self.disk.contacts.get(principal)?.held.as_ref()?;
            let key = held.read.follow_key(Kind::Presence, *epoch, SLOT);
            Some(key.prove(&self.config.node, &node))
        };
        addresses.values().filter_map(proof).collect()
    }

    /// Contacts who are followed, with the addresses at which their records are expected.
    fn followed_contacts(&self) -> Vec<(PrincipalId, BTreeMap<BlindedKey, Epoch>)> {
        let mut contacts: BTreeMap<PrincipalId, BTreeMap<BlindedKey, Epoch>> = BTreeMap::new();
        for (address, (principal, epoch)) in &self.index {
            contacts.entry(*principal).or_default().insert(*address, *epoch);
        }
        // Whoever is watched by their public view alone is not told of it, and what is in the DHT only is not followed.
        contacts.retain(|principal, _| !self.is_public_only(principal) && !self.is_lookup_only(principal));
        contacts.into_iter().collect()
    }
}

fn add(wish: &mut Wish, principal: PrincipalId, addresses: BTreeMap<BlindedKey, Epoch>) {
    // Several contacts may name one node as theirs; those who do so falsely are refused there.
    let limit = match wish.whose {
        Whose::Theirs => FOLLOWED_DIRECTLY,
        Whose::Relay => FOLLOWED,
    };
    for (address, epoch) in addresses {
        if wish.addresses.len() < limit {
            wish.addresses.insert(address, (principal, epoch));
        }
    }
}

/// Follows nothing at a node any more.
const fn stop(node: NodeId) -> Effect {
    Effect::FollowAt {
        node,
        reach: Vec::new(),
        addresses: Vec::new(),
        proofs: Vec::new(),
    }
}
