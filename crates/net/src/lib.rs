//! Porchlight's network adapter: one libp2p swarm in one task; beacons and frames in and out.
//!
//! The only crate that knows libp2p, and none of its types leaves it. It verifies beacons at the edge, keeps and serves
//! them, carries frames between nodes and decides which connections are worth keeping. It cannot read what it carries,
//! and knows nothing of presence, contacts or clients: `node` translates between this crate and the core.
//!
//! [`Net::start`] starts the task; [`Net::command`] and the receiver of [`NetEvent`]s are all there is to it. Wall time and what
//! carries connections can be given to it ([`Wall`], [`links`]); timers and deadlines are tokio's. So a simulation runs all of it
//! in a time of its own.

mod behaviour;
pub mod config;
mod connections;
mod convert;
mod gossip;
pub mod handle;
mod hostile;
mod inbound;
pub mod links;
mod local;
mod pace;
mod pending;
mod queries;
mod records;
mod serve;
mod streams;
mod task;
mod transport;

pub use config::{NetConfig, NetLimits, Role, Timing, Wall};
pub use convert::{Inspected, Scope, inspect, node_id};
pub use handle::{
    BeaconSource, Counters, Dialled, ExchangeFailure, FoundInstead, LiveNode, Looked, Net, NetCommand, NetError,
    NetEvent, NetStatus, NetStopped, PathCounters, PeerInfo, ProbeError, WrongSeed,
};
pub use hostile::Hostile;
