//! How a node takes part in the network. Durations and limits are configuration, so that tests can shorten them.

use porchlight_wire::ids::{Address, NodeAddress};
use porchlight_wire::network::Network;
use porchlight_wire::shelf::ShelfLimits;
use porchlight_wire::time::UnixMillis;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a node does for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nothing but for itself and its contacts: a client of the DHT, in the topics it needs.
    Ordinary,
    /// Serves the DHT, is in all topics, keeps and serves beacons.
    Relay,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct NetConfig {
    /// The Ed25519 seed of the node's transport key.
    pub transport_secret: [u8; 32],
    /// The network to join: it is part of every protocol name.
    pub network: Network,
    /// What to do for others.
    pub role: Role,
    /// Where to listen.
    pub listen: Vec<Address>,
    /// Addresses to announce besides those listened on, such as a relay's public one.
    pub external: Vec<Address>,
    /// Entry points.
    pub seed_peers: Vec<NodeAddress>,
    /// Whether to announce this node on the local network, and look for others there.
    pub mdns: bool,
    /// What says when a record has expired, or comes too early.
    pub wall: Wall,
    /// Paces and deadlines.
    pub timing: Timing,
    /// Bounds.
    pub limits: NetLimits,
}

impl NetConfig {
    /// With the usual paces and bounds of `role`, listening nowhere yet, and unseen on the local network.
    #[must_use]
    pub const fn new(transport_secret: [u8; 32], network: Network, role: Role) -> Self {
        Self {
            transport_secret,
            network,
            role,
            listen: Vec::new(),
            external: Vec::new(),
            seed_peers: Vec::new(),
            mdns: false,
            wall: Wall::System,
            timing: Timing::usual(),
            limits: NetLimits::usual(role),
        }
    }
}

/// Tells the wall time.
#[derive(Clone)]
pub enum Wall {
    /// The machine's clock.
    System,
    /// Another one, such as that of a simulated machine.
    Other(Arc<dyn Fn() -> UnixMillis + Send + Sync>),
}

impl Wall {
    /// What it shows now.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        match self {
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
            }
            Self::Other(clock) => clock(),
        }
    }
}

impl std::fmt::Debug for Wall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Other(_) => "Other",
        })
    }
}

/// Paces and deadlines.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between two pings on a connection.
    pub ping: Duration,
    /// How long an answered ping makes its node a live source.
    pub live_after_ping: Duration,
    /// Gossipsub's heartbeat.
    pub heartbeat: Duration,
    /// How long gossipsub itself remembers what it has seen. Replays after that are ours to catch.
    pub duplicate_cache: Duration,
    /// Between two rounds of the connection manager.
    pub tick: Duration,
    /// First and longest wait before a seed peer is dialled again.
    pub redial_seed: (Duration, Duration),
    /// First and longest wait before a contact's node is dialled again.
    pub redial_contact: (Duration, Duration),
    /// How long a connection nobody needs is left open: a lookup may come back to it.
    pub grace: Duration,
    /// How long a lookup or put may take.
    pub lookup: Duration,
    /// How long an exchange may take.
    pub exchange: Duration,
    /// In which time a relay puts each card that it keeps into the DHT again.
    pub renew: Duration,
}

impl Timing {
    /// The usual ones.
    #[must_use]
    pub const fn usual() -> Self {
        Self {
            ping: Duration::from_secs(10),
            live_after_ping: Duration::from_secs(30),
            heartbeat: Duration::from_secs(1),
            duplicate_cache: Duration::from_secs(60),
            tick: Duration::from_millis(500),
            redial_seed: (Duration::from_secs(1), Duration::from_secs(60)),
            redial_contact: (Duration::from_secs(2), Duration::from_secs(300)),
            grace: Duration::from_secs(20),
            lookup: Duration::from_secs(10),
            exchange: Duration::from_secs(10),
            // Twenty servers have each card: together they put it every hour, so that it outlives servers that come and go.
            renew: Duration::from_secs(20 * 3_600),
        }
    }
}

/// Bounds.
#[derive(Clone, Copy, Debug)]
pub struct NetLimits {
    /// Established connections in all; more are refused.
    pub connections: u32,
    /// Relays that an ordinary node stays connected to.
    pub relays: usize,
    /// Beacons kept.
    pub shelf: ShelfLimits,
    /// Exchanges that one peer may have open with us.
    pub exchanges_per_peer: usize,
    /// Addresses followed by all peers together.
    pub followed: usize,
    /// Bytes of answers that wait to be written, to all peers together, beyond the small share that each stream has.
    pub answer_bytes: usize,
    /// Forged beacons until a peer is shut out.
    pub forgeries: u32,
}

impl NetLimits {
    /// Connections that others may open: a part is left for those this node wants to reach.
    #[must_use]
    pub const fn incoming(&self) -> u32 {
        self.connections - self.connections / 4
    }

    /// The usual ones of a role.
    #[must_use]
    pub const fn usual(role: Role) -> Self {
        match role {
            Role::Ordinary => Self {
                connections: 256,
                relays: 3,
                shelf: ShelfLimits {
                    records: 8_192,
                    bytes: 16 << 20,
                },
                exchanges_per_peer: 32,
                followed: 4_096,
                answer_bytes: 8 << 20,
                forgeries: 8,
            },
            Role::Relay => Self {
                connections: 2_048,
                relays: 16,
                shelf: ShelfLimits {
                    records: 131_072,
                    bytes: 256 << 20,
                },
                exchanges_per_peer: 32,
                followed: 131_072,
                answer_bytes: 64 << 20,
                forgeries: 8,
            },
        }
    }
}
