//! Porchlight's network adapter: one libp2p swarm in one task; beacons and frames in and out.
//!
//! The only crate that knows libp2p, and none of its types leaves it. It verifies beacons at the edge, keeps and serves
//! them, carries frames between nodes and decides which connections are worth keeping. It cannot read what it carries,
//! and knows nothing of presence, contacts or clients: `node` translates between this crate and the core.
//!
//! [`Net::start`] starts the task; [`Net::command`] and the receiver of [`NetEvent`]s are all there is to it.

mod behaviour;
pub mod config;
mod connections;
mod convert;
mod gossip;
pub mod handle;
mod hostile;
mod inbound;
mod local;
mod pace;
mod pending;
mod queries;
mod records;
mod serve;
mod streams;
mod task;

pub use config::{NetConfig, NetLimits, Role, Timing};
pub use convert::{Inspected, Scope, inspect, node_id};
pub use handle::{
    BeaconSource, Counters, Dialled, ExchangeFailure, FoundInstead, LiveNode, Looked, Net, NetCommand, NetError,
    NetEvent, NetStatus, NetStopped, PathCounters, PeerInfo, ProbeError, WrongSeed,
};
pub use hostile::Hostile;
