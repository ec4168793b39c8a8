//! The swarm over what carries its connections: the machine's TCP and QUIC, or [`Links`]. The only place where the two differ.

use crate::behaviour::Behaviour;
use crate::config::NetConfig;
use crate::convert::{multiaddr_of, tcp_socket};
use crate::handle::NetError;
use crate::links::{LinkTransport, Links};
use libp2p::core::Transport;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::{Swarm, SwarmBuilder, noise, swarm, tcp, yamux};
use porchlight_wire::ids::Address;
use std::sync::Arc;
use std::time::Duration;

/// Idle connections are closed by the connection manager, which knows what they are for; libp2p's own clock is set so far
/// away that it never decides.
const NEVER_IDLE: Duration = Duration::from_secs(365 * 86_400);

/// How long a connection may take to be set up. Whoever opens one and says nothing takes up a place for no longer.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// What carries connections.
pub(crate) enum Carrier {
    /// TCP and QUIC of this machine.
    System,
    /// Whatever this is.
    Links(Arc<dyn Links>),
}

/// A swarm that listens nowhere yet.
pub(crate) fn swarm(config: &NetConfig, key: Keypair, carrier: Carrier) -> Result<Swarm<Behaviour>, NetError> {
    let behaviour = Behaviour::new(config, &key.public()).map_err(NetError::Transport)?;
    match carrier {
        Carrier::System => {
            untaken(&config.listen)?;
            over_system(key, behaviour)
        }
        Carrier::Links(links) => over_links(&key, behaviour, links),
    }
}

fn over_system(key: Keypair, behaviour: Behaviour) -> Result<Swarm<Behaviour>, NetError> {
    Ok(SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(
            tcp::Config::default().nodelay(true),
            noise::Config::new,
            yamux::Config::default,
        )
        .map_err(|error| NetError::Transport(error.to_string()))?
        .with_quic()
        .with_dns()
        .map_err(|error| NetError::Transport(error.to_string()))?
        .with_behaviour(|_| behaviour)
        .map_err(|error| NetError::Transport(error.to_string()))?
        .with_swarm_config(|swarm| swarm.with_idle_connection_timeout(NEVER_IDLE))
        .with_connection_timeout(HANDSHAKE)
        .build())
}

fn over_links(key: &Keypair, behaviour: Behaviour, links: Arc<dyn Links>) -> Result<Swarm<Behaviour>, NetError> {
    let noise = noise::Config::new(key).map_err(|error| NetError::Transport(error.to_string()))?;
    // The same upgrades as over TCP.
    let transport = LinkTransport::new(links)
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default())
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
    Ok(Swarm::new(
        TransportTimeout::new(transport, HANDSHAKE).boxed(),
        behaviour,
        key.public().to_peer_id(),
        swarm::Config::with_tokio_executor().with_idle_connection_timeout(NEVER_IDLE),
    ))
}

/// That no other program listens on these ports. libp2p lets several listeners share a port, and the system would give each of
/// them some of the connections.
fn untaken(addresses: &[Address]) -> Result<(), NetError> {
    for address in addresses {
        let socket = multiaddr_of(address).as_ref().and_then(tcp_socket);
        if let Some(socket) = socket.filter(|socket| socket.port() != 0) {
            std::net::TcpListener::bind(socket).map_err(|error| NetError::Listen {
                address: address.clone(),
                reason: error.to_string(),
            })?;
        }
    }
    Ok(())
}
