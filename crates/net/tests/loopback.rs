//! The network adapter on loopback: real swarms on real sockets, and a raw libp2p peer that keeps no rules.
//!
//! Each trap of libp2p that this crate is built around has a test here that falls into it if the guard is taken away.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::wildcard_enum_match_arm,
    missing_debug_implementations,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "clippy takes the helpers of an integration test for library code"
)]

#[path = "loopback/connections.rs"]
mod connections;
#[path = "loopback/dht.rs"]
mod dht;
#[path = "loopback/direct.rs"]
mod direct;
#[path = "loopback/following.rs"]
mod following;
#[path = "loopback/gossip.rs"]
mod gossip;
#[path = "loopback/limits.rs"]
mod limits;
#[path = "loopback/links.rs"]
mod links;
#[path = "loopback/probes.rs"]
mod probes;
#[path = "loopback/raw.rs"]
mod raw;
#[path = "loopback/servers.rs"]
mod servers;
#[path = "loopback/streams.rs"]
mod streams;
#[path = "loopback/topics.rs"]
mod topics;
#[path = "loopback/town.rs"]
mod town;
