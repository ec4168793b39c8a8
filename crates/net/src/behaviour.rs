//! The composed behaviour, and how each part of it is set.

use crate::config::{NetConfig, Role};
use crate::gossip::{TopicFilter, message_id, score_parameters};
use crate::inbound;
use crate::pending;
use crate::records::Records;
use libp2p::identity::PublicKey;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{PeerId, StreamProtocol, connection_limits, gossipsub, identify, kad, mdns, ping};
use porchlight_wire::network::Network;
use std::num::NonZeroUsize;
use std::time::Duration;

/// Framed streams.
pub(crate) const FRAMES: StreamProtocol = StreamProtocol::new("/pl/frames/1");

/// Nobody speaks this: that identify lists it says "I am a relay".
pub(crate) const RELAY_MARKER: StreamProtocol = StreamProtocol::new("/pl/relay/1");

/// Connections that others are setting up at once, at least. One address has a share of them.
const PENDING_INCOMING: u32 = 256;

/// What identify says of the program: the same for all, so that it tells nobody apart.
const AGENT: &str = "porchlight";

/// Copies of a record in the DHT, and peers in a bucket: Kademlia's k.
const REPLICATION: NonZeroUsize = NonZeroUsize::new(20).expect("20 is not zero");

/// Servers that a query of Kademlia waits for at once, as long as there are others to ask: its alpha.
pub(crate) const AT_ONCE: NonZeroUsize = NonZeroUsize::new(3).expect("3 is not zero");

/// The behaviours of a node.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) limits: connection_limits::Behaviour,
    pub(crate) pending: pending::Behaviour,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) kad: kad::Behaviour<Records>,
    pub(crate) gossip: gossipsub::Behaviour<gossipsub::IdentityTransform, TopicFilter>,
    pub(crate) mdns: Toggle<mdns::tokio::Behaviour>,
    pub(crate) inbound: inbound::Behaviour,
    pub(crate) streams: libp2p_stream::Behaviour,
}

impl Behaviour {
    pub(crate) fn new(config: &NetConfig, key: &PublicKey) -> Result<Self, String> {
        Ok(Self {
            limits: limits(config),
            pending: pending::Behaviour::default(),
            identify: identify(&config.network, key),
            ping: ping::Behaviour::new(
                ping::Config::new()
                    .with_interval(config.timing.ping)
                    .with_timeout(config.timing.live_after_ping / 2),
            ),
            kad: kad(config, key.to_peer_id()),
            gossip: gossip(config)?,
            mdns: mdns(config, key.to_peer_id()).into(),
            inbound: inbound::Behaviour::default(),
            streams: libp2p_stream::Behaviour::new(),
        })
    }
}

fn limits(config: &NetConfig) -> connection_limits::Behaviour {
    let all = config.limits.connections;
    connection_limits::Behaviour::new(
        connection_limits::ConnectionLimits::default()
            .with_max_established(Some(all))
            // A part is kept free, so that strangers cannot keep us from dialling those we need.
            .with_max_established_incoming(Some(config.limits.incoming()))
            .with_max_established_per_peer(Some(2))
            // Silent ones are gone after the handshake's time.
            .with_max_pending_incoming(Some(PENDING_INCOMING.max(all / 4)))
            .with_max_pending_outgoing(Some(64)),
    )
}

fn identify(network: &Network, key: &PublicKey) -> identify::Behaviour {
    identify::Behaviour::new(
        identify::Config::new(protocol_version(network), key.clone())
            .with_agent_version(AGENT.to_owned())
            .with_push_listen_addr_updates(true)
            .with_cache_size(0),
    )
}

/// What identify says of nodes of this network: others are none of our business.
pub(crate) fn protocol_version(network: &Network) -> String {
    format!("/pl/{}/1", network.name())
}

/// Without a network there is nobody to announce this node to; it goes on without.
fn mdns(config: &NetConfig, peer: PeerId) -> Option<mdns::tokio::Behaviour> {
    if !config.mdns {
        return None;
    }
    mdns::tokio::Behaviour::new(mdns::Config::default(), peer)
        .inspect_err(|error| tracing::warn!(%error, "the local network is not searched for nodes"))
        .ok()
}

/// The name of the network's DHT protocol.
pub(crate) fn kad_protocol(network: &Network) -> String {
    format!("/pl/{}/kad/1", network.name())
}

fn kad(config: &NetConfig, peer: PeerId) -> kad::Behaviour<Records> {
    let protocol = StreamProtocol::try_from_owned(kad_protocol(&config.network))
        .unwrap_or(StreamProtocol::new("/pl/unnamed/kad/1"));
    let mut settings = kad::Config::new(protocol);
    settings
        .set_replication_factor(REPLICATION)
        .set_kbucket_size(REPLICATION)
        .set_parallelism(AT_ONCE)
        .set_query_timeout(config.timing.lookup)
        .set_substreams_timeout(config.timing.exchange.min(config.timing.lookup))
        // Only what was verified enters the store, and nothing is replicated behind our back: an old copy that a server
        // passes on by itself would outlive what replaced it.
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None)
        .set_record_ttl(None)
        .set_caching(kad::Caching::Disabled)
        .set_periodic_bootstrap_interval(Some(Duration::from_secs(300)));
    let store = Records::new(config.network.clone(), config.limits.shelf, config.wall.clone());
    let mut behaviour = kad::Behaviour::with_config(peer, store, settings);
    // Never by libp2p's own guess, which waits for an external address that a node at home never has.
    behaviour.set_mode(Some(match config.role {
        Role::Relay => kad::Mode::Server,
        Role::Ordinary => kad::Mode::Client,
    }));
    behaviour
}

fn gossip(config: &NetConfig) -> Result<gossipsub::Behaviour<gossipsub::IdentityTransform, TopicFilter>, String> {
    let settings = gossipsub::ConfigBuilder::default()
        .protocol_id_prefix(format!("/pl/{}/meshsub", config.network.name()))
        .validate_messages()
        .validation_mode(gossipsub::ValidationMode::Anonymous)
        .message_id_fn(message_id)
        .heartbeat_interval(config.timing.heartbeat)
        .heartbeat_initial_delay(config.timing.heartbeat)
        .duplicate_cache_time(config.timing.duplicate_cache)
        .flood_publish(true)
        .build()
        .map_err(|error| error.to_string())?;
    let mut behaviour = gossipsub::Behaviour::new_with_subscription_filter(
        // The beacon's own signature is what counts; gossipsub's would name the node that published it.
        gossipsub::MessageAuthenticity::Anonymous,
        settings,
        TopicFilter::new(&config.network),
    )?;
    let (scores, thresholds) = score_parameters(&config.network);
    behaviour.with_peer_score(scores, thresholds)?;
    Ok(behaviour)
}
