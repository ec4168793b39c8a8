//! How many connections that others open may be in the making from one address. Without it, somebody who opens them and says
//! nothing takes up all there may be, and nobody else gets in.

use libp2p::PeerId;
use libp2p::core::multiaddr::Protocol;
use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
    dummy,
};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::task::{Context, Poll};

/// From one address at once. Many nodes may stand behind one router; a handshake takes them some round trips.
const FROM_ONE: usize = 32;

/// The part of an IPv6 address that is given to one household: whoever has one address in it has all of them.
const PREFIX: u32 = 64;

/// There are as many from this address as there may be.
#[derive(Debug, thiserror::Error)]
#[error("{FROM_ONE} connections from {from} are being set up already")]
struct TooMany {
    from: IpAddr,
}

/// Connections in the making, by where they come from. Bounded by the limit on all of them together.
#[derive(Debug, Default)]
pub(crate) struct Behaviour {
    from: BTreeMap<ConnectionId, IpAddr>,
    counts: BTreeMap<IpAddr, usize>,
}

impl Behaviour {
    fn begins(&mut self, connection: ConnectionId, from: IpAddr) -> Result<(), TooMany> {
        let count = self.counts.entry(from).or_insert(0);
        if *count >= FROM_ONE {
            return Err(TooMany { from });
        }
        *count += 1;
        self.from.insert(connection, from);
        Ok(())
    }

    /// It is set up, or will not be.
    fn ends(&mut self, connection: ConnectionId) {
        let Some(from) = self.from.remove(&connection) else {
            return;
        };
        if let Some(count) = self.counts.get_mut(&from) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&from);
            }
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        match household(remote) {
            Some(from) => self.begins(connection, from).map_err(ConnectionDenied::new),
            None => Ok(()),
        }
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.ends(connection);
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ListenFailure(failure) = event {
            self.ends(failure.connection_id);
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

/// Whom an address stands for: itself, or the network of one household. None if it names no host by number.
fn household(address: &Multiaddr) -> Option<IpAddr> {
    let first = address.iter().next()?;
    let ip: IpAddr = if let Protocol::Ip4(ip) = first {
        ip.into()
    } else if let Protocol::Ip6(ip) = first {
        IpAddr::from(ip).to_canonical()
    } else {
        return None;
    };
    Some(match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() >> (128 - PREFIX) << (128 - PREFIX)).into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes(behaviour: &mut Behaviour, id: usize, from: &str) -> bool {
        let address: Multiaddr = format!("{from}/tcp/1").parse().unwrap();
        behaviour
            .handle_pending_inbound_connection(ConnectionId::new_unchecked(id), &address, &address)
            .is_ok()
    }

    #[test]
    fn one_address_has_so_many_and_others_theirs() {
        let mut behaviour = Behaviour::default();
        for id in 0..FROM_ONE {
            assert!(comes(&mut behaviour, id, "/ip4/203.0.113.1"));
        }
        assert!(!comes(&mut behaviour, 1_000, "/ip4/203.0.113.1"));
        assert!(!comes(&mut behaviour, 1_000, "/ip6/::ffff:203.0.113.1"));
        assert!(comes(&mut behaviour, 1_001, "/ip4/203.0.113.2"));
        // One that was turned away has not counted, so its end frees nothing.
        behaviour.ends(ConnectionId::new_unchecked(1_000));
        assert!(!comes(&mut behaviour, 1_002, "/ip4/203.0.113.1"));
        behaviour.ends(ConnectionId::new_unchecked(0));
        behaviour.ends(ConnectionId::new_unchecked(0));
        assert!(comes(&mut behaviour, 1_003, "/ip4/203.0.113.1"));
        assert!(!comes(&mut behaviour, 1_004, "/ip4/203.0.113.1"));
    }

    #[test]
    fn all_addresses_of_a_household_are_one() {
        let mut behaviour = Behaviour::default();
        for id in 0..FROM_ONE {
            assert!(comes(&mut behaviour, id, &format!("/ip6/2001:db8::{id:x}")));
        }
        assert!(!comes(&mut behaviour, 1_000, "/ip6/2001:db8:0:0:9::1"));
        assert!(comes(&mut behaviour, 1_001, "/ip6/2001:db8:0:1::1"));
    }

    #[test]
    fn nothing_is_left_of_those_that_ended() {
        let mut behaviour = Behaviour::default();
        for id in 0..FROM_ONE {
            comes(&mut behaviour, id, "/ip4/203.0.113.1");
        }
        for id in 0..FROM_ONE {
            behaviour.ends(ConnectionId::new_unchecked(id));
        }
        assert!(behaviour.from.is_empty() && behaviour.counts.is_empty());
    }
}
