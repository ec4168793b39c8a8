//! Networks of Porchlight's cores in virtual time: scenarios, the modelled world that plays them, checks, measures and reports.
//!
//! A [`scenario::Scenario`] is read from a TOML file; a [`world::World`] plays it with one seed and gives an
//! [`outcome::Outcome`]. `porchlight-sim` is the only caller. The cores are those of the product, unchanged; around them
//! everything is modelled: links, relays, the DHT, gossip, disks, clocks and people. Nothing here reads a clock, draws
//! randomness but from the seed, or touches libp2p, SQLite or a socket. (Olm draws its own randomness: the program supplies it.)
//!
//! Where to look: [`scenario`] for what can be said, [`world`] for how it is played, [`checks`] for what must hold at every
//! step, [`measures`] for what is counted, [`report`] for the pictures.

#![allow(
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "nodes are named by their index in one table that never shrinks, and a wrong index is a mistake here that should stop a run; \
              of the many things that cores say and write, a world looks at some"
)]

pub mod checks;
pub mod latency;
pub mod measures;
pub mod member;
pub mod outcome;
pub mod people;
pub mod plot;
pub mod queue;
pub mod random;
pub mod report;
pub mod scenario;
pub mod trace;
pub mod world;

/// Names a node of a world: its index. Relays come first.
pub type Who = u32;

/// A second, in milliseconds.
pub const SECOND: u64 = 1_000;

/// A minute, in milliseconds.
pub const MINUTE: u64 = 60 * SECOND;
