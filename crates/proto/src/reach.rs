//! How our node can be reached, and who is told: views say it each for itself, the card as the configuration has it. And what
//! the network adapter may serve to those who follow here, because their view tells them where.

use crate::access::{Action, Resource, Subject, decide};
use crate::interest::expected_epochs;
use crate::node::Node;
use crate::public::PUBLIC_VIEW;
use crate::publication::{Name, SLOT};
use crate::rows::{Projection, ReachLevel, ViewRow};
use crate::step::Effect;
use porchlight_wire::blind::{BlindedKey, Kind};
use porchlight_wire::follow::FollowKey;
use porchlight_wire::grant::Right;
use porchlight_wire::ids::{Address, NodeAddress};
use porchlight_wire::limits::{ADDRESSES, VIEW_ADDRESSES, VIEW_RELAYS};
use porchlight_wire::presence::{NodeReach, Reach};
use std::collections::{BTreeMap, BTreeSet};

impl Node {
    /// How much a view tells of where our node is.
    pub(crate) fn reach_level(&self, view: &ViewRow) -> ReachLevel {
        view.reach.unwrap_or_else(|| self.usual_reach(view))
    }

    /// Unless told otherwise a view says what our card says: whoever was granted a view holds the card too. The exceptions are
    /// made to show little, or are seen by people whom we do not know.
    fn usual_reach(&self, view: &ViewRow) -> ReachLevel {
        let little = match view.projection {
            Projection::Full => !view.rights.contains(&Right::Subscribe),
            Projection::StatusOnly => true,
        };
        if little || view.name == PUBLIC_VIEW {
            ReachLevel::None
        } else if self.config.card_addresses {
            ReachLevel::Direct
        } else {
            ReachLevel::Relay
        }
    }

    /// What a view tells now of where our node is.
    pub(crate) fn view_reach(&self, view: &str) -> Option<Reach> {
        let level = self.reach_level(self.disk.views.get(view)?);
        let (node, relays) = match level {
            ReachLevel::None => return None,
            ReachLevel::Relay => (None, self.connected_seeds()),
            ReachLevel::Direct => (self.own_node(), self.connected_seeds()),
        };
        let relays: Vec<NodeAddress> = relays.into_iter().take(VIEW_RELAYS).collect();
        (node.is_some() || !relays.is_empty()).then_some(Reach { node, relays })
    }

    fn own_node(&self) -> Option<NodeReach> {
        let mut addresses: Vec<Address> = self.own_addresses().into_iter().map(|own| own.address).collect();
        addresses.truncate(VIEW_ADDRESSES);
        (!addresses.is_empty()).then_some(NodeReach {
            id: self.config.node,
            addresses,
        })
    }

    /// Where our node is has changed: card and views that tell it are made again. A relay that is gone is no reason, because it
    /// may come back.
    pub(crate) fn touch_reach(&mut self) {
        self.touch_card();
        let told: Vec<(Name, Option<Reach>)> = self
            .disk
            .views
            .keys()
            .map(|view| (Name::View(view.clone()), self.view_reach(view)))
            .collect();
        for (name, reach) in told {
            if let Some(publication) = self.publications.get_mut(&name)
                && publication.reach != reach
            {
                publication.touch();
            }
        }
    }

    /// Whether this node is still finding out where it is.
    pub(crate) fn has_nowhere(&self) -> bool {
        self.config.card_addresses && self.own_addresses().is_empty() && self.connected_seeds().is_empty()
    }

    /// Where this node can be dialled: what somebody configured for others comes first, then what others can dial from
    /// anywhere, then what they can from the same network, and last what only this machine can.
    pub(crate) fn own_addresses(&self) -> Vec<NodeAddress> {
        let external = &self.config.external;
        let mut listening: Vec<_> = self.listening.iter().filter(|it| !external.contains(it)).collect();
        listening.sort_by_key(|address| reached_from(address));
        external
            .iter()
            .chain(listening)
            .take(ADDRESSES)
            .cloned()
            .map(|address| NodeAddress {
                node: self.config.node,
                address,
            })
            .collect()
    }

    /// Seed peers we are connected to, at most two.
    pub(crate) fn connected_seeds(&self) -> Vec<NodeAddress> {
        let mut seen = BTreeSet::new();
        self.config
            .seed_peers
            .iter()
            .filter(|seed| self.connected.contains_key(&seed.node) && seen.insert(seed.node))
            .take(2)
            .cloned()
            .collect()
    }

    /// Tells the network adapter what may be followed here, and with which proof, if that has changed.
    pub(crate) fn send_served(&mut self) {
        let now = self.clock.unix;
        let mut served: BTreeMap<BlindedKey, FollowKey> = BTreeMap::new();
        for (name, view) in &self.disk.views {
            let direct = match self.reach_level(view) {
                ReachLevel::None | ReachLevel::Relay => false,
                ReachLevel::Direct => view.rights.contains(&Right::Subscribe),
            };
            let seen = || {
                let subject = Subject::View(name);
                decide(&self.disk, &subject, Action::Fetch, Resource::OwnPresence, now).allowed()
            };
            if !direct || !seen() {
                continue;
            }
            let Some(publication) = self.publications.get_mut(&Name::View(name.clone())) else {
                continue;
            };
            for epoch in expected_epochs(publication.read_key(), now) {
                let key = publication.read_key().follow_key(Kind::Presence, epoch, SLOT);
                served.insert(publication.address(epoch), key);
            }
        }
        let addresses: BTreeSet<BlindedKey> = served.keys().copied().collect();
        if addresses != self.sent.served {
            self.sent.served = addresses;
            self.step.effect(Effect::Serve { views: served });
        }
    }
}

/// From how far away an address can be dialled: 0 from anywhere, 1 from the same network, 2 from this machine only. A name is
/// taken for one that everybody can look up.
fn reached_from(address: &Address) -> u8 {
    let text = address.as_str();
    let begins = |with: &[&str]| with.iter().any(|start| text.starts_with(start));
    if begins(&["/ip4/127.", "/ip6/::1/"]) {
        return 2;
    }
    let second = text.strip_prefix("/ip4/172.").and_then(|rest| rest.split('.').next());
    let in_172 = second.and_then(|part| part.parse::<u8>().ok());
    let private = in_172.is_some_and(|part| (16..32).contains(&part))
        || begins(&[
            "/ip4/10.",
            "/ip4/192.168.",
            "/ip4/169.254.",
            "/ip6/fc",
            "/ip6/fd",
            "/ip6/fe80:",
        ]);
    u8::from(private)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_by_how_far_they_reach() {
        for (text, far) in [
            ("/ip4/203.0.113.7/tcp/4110", 0),
            ("/ip4/172.15.0.1/tcp/4110", 0),
            ("/ip4/172.32.0.1/tcp/4110", 0),
            ("/dns4/alice.example.org/tcp/4110", 0),
            ("/ip6/2001:db8::1/udp/4110/quic-v1", 0),
            ("/ip4/10.0.0.7/tcp/4110", 1),
            ("/ip4/172.16.0.1/tcp/4110", 1),
            ("/ip4/192.168.1.7/udp/4110/quic-v1", 1),
            ("/ip4/169.254.3.4/tcp/4110", 1),
            ("/ip6/fd00::1/tcp/4110", 1),
            ("/ip6/fe80::1/tcp/4110", 1),
            ("/ip4/127.0.0.1/tcp/4110", 2),
            ("/ip6/::1/tcp/4110", 2),
        ] {
            assert_eq!(reached_from(&Address::parse(text).unwrap()), far, "{text}");
        }
    }
}
