//! What this node wants of the network: addresses whose records are expected, topics to be in, addresses to follow, and
//! contacts' nodes to stay connected to. Worked out anew when a contact or a view changes, and around epoch boundaries.

use crate::limits::{CLOCK_TOLERANCE, EPOCH_OVERLAP};
use crate::node::Node;
use crate::presence::watcher::is_live;
use crate::publication::{SLOT, epochs_in_use};
use crate::step::Effect;
use porchlight_wire::beacon::topic;
use porchlight_wire::blind::{BlindedKey, Epoch, Kind, ReadKey};
use porchlight_wire::grant::Right;
use porchlight_wire::ids::{NodeAddress, NodeId, PrincipalId};
use porchlight_wire::network::TopicIndex;
use porchlight_wire::presence::Reach;
use porchlight_wire::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};

/// How long before a boundary the coming epoch's address is expected too: a presentity whose clock is ahead of ours is
/// there first.
const AHEAD: u64 = EPOCH_OVERLAP;

impl Node {
    /// Works all of it out, and sends what has changed.
    pub(crate) fn sync_interest(&mut self) {
        let now = self.clock.unix;
        let mut index: BTreeMap<BlindedKey, (PrincipalId, Epoch)> = BTreeMap::new();
        let mut topics: BTreeSet<TopicIndex> = BTreeSet::new();
        let mut by_contact: Vec<(PrincipalId, BTreeSet<TopicIndex>, BTreeSet<BlindedKey>)> = Vec::new();
        let mut boundary: Option<UnixMillis> = None;
        for principal in self.watched.keys() {
            let Some(held) = self
                .disk
                .contacts
                .get(principal)
                .and_then(|contact| contact.held.as_ref())
            else {
                continue;
            };
            let gossiped = held.rights.contains(&Right::Subscribe);
            let (mut own, mut addresses) = (BTreeSet::new(), BTreeSet::new());
            for epoch in expected_epochs(&held.read, now) {
                let pk = held.read.blinded(Kind::Presence, epoch, SLOT);
                index.insert(pk, (*principal, epoch));
                addresses.insert(pk);
                if gossiped {
                    own.insert(topic(&self.config.network, &pk));
                }
            }
            let next = next_change(&held.read, now);
            boundary = Some(boundary.map_or(next, |earliest| earliest.min(next)));
            topics.extend(own.iter().copied());
            by_contact.push((*principal, own, addresses));
        }
        for (principal, own, addresses) in by_contact {
            self.set_watched_places(&principal, own, addresses);
        }
        for publication in self
            .publications
            .values()
            .filter(|publication| publication.is_gossiped())
        {
            let next = next_change(publication.read_key(), now);
            boundary = Some(boundary.map_or(next, |earliest| earliest.min(next)));
        }
        self.index = index;
        self.live_changed = true;
        let from = now.0.saturating_sub(CLOCK_TOLERANCE);
        self.interest_holds = boundary.map(|until| (UnixMillis(from), until));
        self.send_interest(topics);
        self.send_served();
        self.followings.changed = true;
    }

    fn send_interest(&mut self, mut topics: BTreeSet<TopicIndex>) {
        let expected: BTreeSet<BlindedKey> = self.index.keys().copied().collect();
        if expected != self.sent.expected {
            self.sent.expected.clone_from(&expected);
            self.step.effect(Effect::Expect { addresses: expected });
        }
        if self.config.follow {
            topics.clear();
        }
        self.published_topics(&mut topics);
        if topics != self.sent.topics {
            self.sent.topics.clone_from(&topics);
            self.step.effect(Effect::Topics { topics });
        }
    }

    /// What is followed at our own relay: all that no presentity's node tells us itself.
    pub(crate) fn follow_at_relay(&mut self) {
        let mut follow: Vec<BlindedKey> = Vec::new();
        if self.config.follow {
            let direct = |address: &&BlindedKey| !self.followings.is_direct(address);
            follow.extend(self.index.keys().filter(direct));
        }
        if follow != self.sent.follow {
            self.sent.follow.clone_from(&follow);
            self.step.effect(Effect::Follow { addresses: follow });
        }
    }

    /// Whom to stay connected to: the nodes that cards of contacts name, and views that we watch.
    pub(crate) fn send_keep(&mut self) {
        // Whoever is watched by their public view alone is not told of it, not even by a connection.
        let mut seen = BTreeSet::new();
        let keep: Vec<NodeAddress> = self
            .cards
            .keys()
            .filter(|principal| !self.is_public_only(principal))
            .flat_map(|principal| self.nodes_of(principal))
            .chain(self.relays_to_keep().cloned())
            .filter(|address| address.node != self.config.node && seen.insert(address.clone()))
            .collect();
        if keep != self.sent.keep {
            self.sent.keep.clone_from(&keep);
            self.step.effect(Effect::Keep { contacts: keep });
        }
    }

    /// Relays that `net` does not stay connected to by itself, because they are no seed peers.
    fn relays_to_keep(&self) -> impl Iterator<Item = &NodeAddress> {
        let ours = self.disk.mailboxes.values().map(|row| &row.relay);
        ours.chain(&self.disk.chosen_relays)
            .filter(|relay| !self.config.seed_peers.iter().any(|seed| seed.node == relay.node))
    }

    /// Where a contact's node can be dialled, by its card and by the view that we watch.
    pub(crate) fn nodes_of(&self, principal: &PrincipalId) -> impl Iterator<Item = NodeAddress> + '_ {
        let card = self.cards.get(principal);
        let in_card = card.into_iter().flat_map(|card| card.bundle.addresses.iter().cloned());
        let in_view = self.told_reach(principal).into_iter().flat_map(Reach::nodes);
        in_card.chain(in_view)
    }

    /// How to reach a contact's node, as the newest record of the view that we watch tells it.
    pub(crate) fn told_reach(&self, principal: &PrincipalId) -> Option<&Reach> {
        if !is_live(self.subscription_of(principal)) {
            return None;
        }
        self.disk.observed.get(principal)?.state.reach.as_ref()
    }

    /// Whether `node` is named by any contact's card, or by a view that we watch.
    pub(crate) fn is_contact_node(&self, node: NodeId) -> bool {
        self.cards.keys().any(|principal| self.is_node_of(principal, node))
    }

    /// Whether `node` is named by this contact's card, or by the view of theirs that we watch.
    pub(crate) fn is_node_of(&self, principal: &PrincipalId, node: NodeId) -> bool {
        let card = self.cards.get(principal);
        let in_card = card.is_some_and(|card| card.bundle.addresses.iter().any(|address| address.node == node));
        let told = self.told_reach(principal).and_then(|reach| reach.node.as_ref());
        in_card || told.is_some_and(|told| told.id == node)
    }

    /// Someone new is in these topics who may have missed what is published there.
    pub(crate) fn touch_topics(&mut self, newcomers: &BTreeSet<TopicIndex>) {
        if newcomers.is_empty() {
            return;
        }
        let now = self.clock.unix;
        for publication in self
            .publications
            .values_mut()
            .filter(|publication| publication.is_gossiped())
        {
            let addresses = publication.addresses(now);
            let concerned = addresses
                .iter()
                .any(|pk| newcomers.contains(&topic(&self.config.network, pk)));
            if concerned {
                publication.touch();
            }
        }
    }
}

/// The epochs in which a record may come: those in use, and shortly before a boundary the coming one.
pub(crate) fn expected_epochs(read: &ReadKey, now: UnixMillis) -> Vec<Epoch> {
    let clock = read.epochs(Kind::Presence);
    let mut epochs = epochs_in_use(clock, now);
    let coming = clock.at(now.plus(AHEAD));
    if !epochs.contains(&coming) {
        epochs.push(coming);
    }
    epochs
}

/// When [`expected_epochs`] gives another answer next.
fn next_change(read: &ReadKey, now: UnixMillis) -> UnixMillis {
    let clock = read.epochs(Kind::Presence);
    let current = clock.at(now);
    let started = clock.start(current);
    let next = clock.start(Epoch(current.0.saturating_add(1)));
    let opens = UnixMillis(next.0.saturating_sub(AHEAD));
    let closes = started.plus(EPOCH_OVERLAP);
    [closes, opens, next]
        .into_iter()
        .filter(|at| *at > now)
        .min()
        .unwrap_or(next)
}
