//! Porchlight's store: makes the core's writes durable, in SQLite, on one thread.
//!
//! The only owner of rusqlite. `node` opens it and hands it every step's writes; the answer comes when they are as durable
//! as they promised ([`porchlight_proto::step::Durability`]). It does not look inside rows: it seals and stores them.
//! Committing writes and loading gives the same snapshot as folding
//! [`Snapshot::apply`](porchlight_proto::Snapshot::apply) over them.

mod commit;
mod error;
mod events;
mod load;
mod messages;
mod schema;
mod tables;
pub mod vault;

pub use commit::{SLOW, Slow, Store, StoreStats};
pub use error::{CommitError, OpenError, ReadError};
pub use events::EventReader;
pub use messages::{Kept, MessageQuery, MessageReader};

use porchlight_proto::Snapshot;
use zeroize::Zeroizing;

/// How much of what is promised is kept through a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurabilitySetting {
    /// All of it: one disk sync for each group of commits that promises something.
    Full,
    /// What outlives kill -9. Faster; a power cut may take the last moments.
    Normal,
}

/// What opening a store gives.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// What is on disk.
    pub snapshot: Snapshot,
    /// The seed of the node's transport key.
    pub transport: Zeroizing<[u8; 32]>,
}
