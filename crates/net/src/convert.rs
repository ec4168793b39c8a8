//! Between libp2p's names and ours. Private to this crate.

use libp2p::core::multiaddr::Protocol;
use libp2p::identity::{Keypair, PublicKey, ed25519};
use libp2p::{Multiaddr, PeerId};
use porchlight_wire::ids::{Address, NodeAddress, NodeId};
use std::net::{IpAddr, SocketAddr};

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

/// How far an address reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every address of this machine: something to listen on, not to dial.
    Every,
    /// This machine only.
    Loopback,
    /// A network of its own, which others cannot dial into.
    Private,
    /// Everywhere.
    Global,
    /// A name, whatever stands behind it.
    Name,
}

/// What an address says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// How far it reaches.
    pub scope: Scope,
    /// The port; none where a name stands for whole addresses.
    pub port: Option<u16>,
}

/// Takes an address apart; none if it is nothing that this program can listen on or dial.
#[must_use]
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all there is in multiaddrs, what is named is what the transports take"
)]
pub fn inspect(address: &Address) -> Option<Inspected> {
    let multiaddr = multiaddr_of(address)?;
    let mut parts = multiaddr.iter();
    let scope = match parts.next()? {
        Protocol::Ip4(ip) if ip.is_unspecified() => Scope::Every,
        Protocol::Ip4(ip) if ip.is_loopback() => Scope::Loopback,
        Protocol::Ip4(ip) if ip.is_private() || ip.is_link_local() || is_shared(ip) => Scope::Private,
        Protocol::Ip6(ip) if ip.is_unspecified() => Scope::Every,
        Protocol::Ip6(ip) if ip.is_loopback() => Scope::Loopback,
        Protocol::Ip6(ip) if ip.is_unique_local() || ip.is_unicast_link_local() => Scope::Private,
        Protocol::Ip4(_) | Protocol::Ip6(_) => Scope::Global,
        Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) => Scope::Name,
        Protocol::Dnsaddr(_) => {
            let scope = Scope::Name;
            return parts.next().is_none().then_some(Inspected { scope, port: None });
        }
        _ => return None,
    };
    let port = match (parts.next()?, parts.next(), parts.next()) {
        (Protocol::Tcp(port), None, None) | (Protocol::Udp(port), Some(Protocol::QuicV1), None) => Some(port),
        _ => return None,
    };
    Some(Inspected { scope, port })
}

/// Addresses that a provider shares among its customers (RFC 6598).
fn is_shared(ip: std::net::Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    first == 100 && second & 0b1100_0000 == 0b0100_0000
}

pub(crate) fn is_loopback(multiaddr: &Multiaddr) -> bool {
    multiaddr.iter().any(|part| {
        matches!(part, Protocol::Ip4(ip) if ip.is_loopback()) || matches!(part, Protocol::Ip6(ip) if ip.is_loopback())
    })
}

/// The TCP socket address to listen on, if it is one.
pub(crate) fn tcp_socket(multiaddr: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = multiaddr.iter();
    let first = parts.next()?;
    let host: IpAddr = if let Protocol::Ip4(ip) = first {
        ip.into()
    } else if let Protocol::Ip6(ip) = first {
        ip.into()
    } else {
        return None;
    };
    let (Some(Protocol::Tcp(port)), None) = (parts.next(), parts.next()) else {
        return None;
    };
    Some(SocketAddr::new(host, port))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_how_far_it_reaches() {
        let inspected = |text: &str| inspect(&Address::parse(text).unwrap()).map(|found| (found.scope, found.port));
        for (text, expected) in [
            ("/ip4/0.0.0.0/tcp/0", (Scope::Every, Some(0))),
            ("/ip6/::/udp/4110/quic-v1", (Scope::Every, Some(4110))),
            ("/ip4/127.0.0.1/tcp/4110", (Scope::Loopback, Some(4110))),
            ("/ip6/::1/tcp/1", (Scope::Loopback, Some(1))),
            ("/ip4/192.168.1.7/tcp/1", (Scope::Private, Some(1))),
            ("/ip4/100.64.0.1/tcp/1", (Scope::Private, Some(1))),
            ("/ip4/169.254.9.9/tcp/1", (Scope::Private, Some(1))),
            ("/ip6/fd00::1/tcp/1", (Scope::Private, Some(1))),
            ("/ip6/fe80::1/tcp/1", (Scope::Private, Some(1))),
            ("/ip4/100.63.0.1/tcp/1", (Scope::Global, Some(1))),
            ("/ip4/203.0.113.9/udp/9/quic-v1", (Scope::Global, Some(9))),
            ("/dns4/relay.example.org/tcp/4110", (Scope::Name, Some(4110))),
            ("/dnsaddr/relay.example.org", (Scope::Name, None)),
        ] {
            assert_eq!(inspected(text), Some(expected), "{text}");
        }
        for text in [
            "/ip4/1.2.3/tcp/4",
            "/ip4/1.2.3.4",
            "/ip4/1.2.3.4/udp/9",
            "/ip4/1.2.3.4/tcp/9/ws",
            "/ip4/1.2.3.4/tcp/99999",
            "/dnsaddr/example.org/tcp/1",
            "/unix/tmp",
            "/tcp/9",
        ] {
            assert_eq!(inspected(text), None, "{text}");
        }
    }
}
