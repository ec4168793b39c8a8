//! Presence: what is published of ours, and what a watcher is told of theirs.

pub mod belief;
pub(crate) mod following;
mod own;
pub(crate) mod poller;
pub mod presentity;
pub mod watcher;

pub use belief::{Received, Record, belief};
