//! The local network: nodes that mDNS has found on it, and where. It has one service name for all, so programs and networks
//! that are none of ours show up too: each is looked at once, and costs nothing more.

use libp2p::{Multiaddr, PeerId};
use std::collections::BTreeMap;

/// Nodes remembered: more than a home or an office has. A flood of announcements goes no further.
const NODES: usize = 64;

/// Addresses remembered of one node: two transports on a few interfaces.
const ADDRESSES: usize = 8;

/// Nodes looked at in one round of the connection manager.
const AT_ONCE: usize = 4;

/// One node on the local network.
#[derive(Debug, Default)]
struct Found {
    addresses: Vec<Multiaddr>,
    looked_at: bool,
}

/// All that were found and are still there.
#[derive(Debug, Default)]
pub(crate) struct Local {
    nodes: BTreeMap<PeerId, Found>,
}

impl Local {
    /// mDNS says that `peer` is at `address`. True if that is news.
    pub(crate) fn found(&mut self, peer: PeerId, address: Multiaddr) -> bool {
        if self.nodes.len() >= NODES && !self.nodes.contains_key(&peer) {
            return false;
        }
        let found = self.nodes.entry(peer).or_default();
        if found.addresses.len() >= ADDRESSES || found.addresses.contains(&address) {
            return false;
        }
        found.addresses.push(address);
        true
    }

    /// It is no longer there.
    pub(crate) fn gone(&mut self, peer: &PeerId, address: &Multiaddr) {
        if let Some(found) = self.nodes.get_mut(peer) {
            found.addresses.retain(|known| known != address);
            if found.addresses.is_empty() {
                self.nodes.remove(peer);
            }
        }
    }

    /// Where `peer` is on the local network.
    pub(crate) fn addresses(&self, peer: &PeerId) -> &[Multiaddr] {
        self.nodes.get(peer).map_or(&[], |found| &found.addresses)
    }

    /// Some nodes that were not looked at yet. Each comes once: who they are is known from then on.
    pub(crate) fn strangers(&mut self) -> Vec<PeerId> {
        let strangers = self.nodes.iter_mut().filter(|(_, found)| !found.looked_at);
        strangers
            .take(AT_ONCE)
            .map(|(peer, found)| {
                found.looked_at = true;
                *peer
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/192.0.2.1/tcp/{port}").parse().unwrap()
    }

    #[test]
    fn each_is_looked_at_once_and_a_flood_goes_no_further() {
        let mut local = Local::default();
        for _ in 0..1_000 {
            local.found(PeerId::random(), address(1));
        }
        let one = PeerId::random();
        assert!(!local.found(one, address(1)), "there is no room");
        let mut seen = 0;
        loop {
            let some = local.strangers();
            assert!(some.len() <= AT_ONCE);
            if some.is_empty() {
                break;
            }
            seen += some.len();
        }
        assert_eq!(seen, NODES);
        let known = *local.nodes.keys().next().unwrap();
        assert!(!local.found(known, address(1)), "it is known");
        for port in 2..100 {
            local.found(known, address(port));
        }
        assert_eq!(local.addresses(&known).len(), ADDRESSES);
        assert!(local.strangers().is_empty());
        for port in 1..100 {
            local.gone(&known, &address(port));
        }
        assert!(local.addresses(&known).is_empty());
        assert!(local.found(one, address(1)), "there is room again");
    }
}
