//! Between libp2p's names and ours. Private to this crate.

use libp2p::core::multiaddr::Protocol;
use libp2p::identity::{Keypair, PublicKey, ed25519};
use libp2p::{Multiaddr, PeerId};
use porchlight_wire::ids::{Address, NodeAddress, NodeId};

/// The node whose transport has this Ed25519 seed; none for a seed that libp2p does not take, which there is none of.
#[must_use]
pub fn node_id(transport_secret: &[u8; 32]) -> Option<NodeId> {
    node_of(&keypair(transport_secret)?.public().to_peer_id())
}

pub(crate) fn keypair(transport_secret: &[u8; 32]) -> Option<Keypair> {
    Keypair::ed25519_from_bytes(*transport_secret).ok()
}

/// The node of a PeerId; none if it is not of an Ed25519 key.
pub(crate) fn node_of(peer: &PeerId) -> Option<NodeId> {
    let multihash = *peer.as_ref();
    let key = PublicKey::try_decode_protobuf(multihash.digest()).ok()?;
    NodeId::from_bytes(key.try_into_ed25519().ok()?.to_bytes()).ok()
}

pub(crate) fn peer_of(node: &NodeId) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(node.as_bytes()).ok()?;
    Some(PublicKey::from(key).to_peer_id())
}

pub(crate) fn multiaddr_of(address: &Address) -> Option<Multiaddr> {
    address.as_str().parse().ok()
}

/// The address without the node at its end.
pub(crate) fn address_of(multiaddr: &Multiaddr) -> Option<Address> {
    let bare: Multiaddr = multiaddr
        .iter()
        .filter(|part| !matches!(part, Protocol::P2p(_)))
        .collect();
    Address::parse(&bare.to_string()).ok()
}

pub(crate) fn is_loopback(multiaddr: &Multiaddr) -> bool {
    multiaddr.iter().any(|part| {
        matches!(part, Protocol::Ip4(ip) if ip.is_loopback()) || matches!(part, Protocol::Ip6(ip) if ip.is_loopback())
    })
}

/// Whether it names no particular host.
pub(crate) fn is_unspecified(multiaddr: &Multiaddr) -> bool {
    multiaddr.iter().any(|part| {
        matches!(part, Protocol::Ip4(ip) if ip.is_unspecified())
            || matches!(part, Protocol::Ip6(ip) if ip.is_unspecified())
    })
}

pub(crate) fn node_address(node: NodeId, multiaddr: &Multiaddr) -> Option<NodeAddress> {
    Some(NodeAddress {
        node,
        address: address_of(multiaddr)?,
    })
}
