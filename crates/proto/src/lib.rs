//! Porchlight's core as a deterministic state machine.
//!
//! [`Node::handle`] takes a clock reading and one [`Input`] and returns a [`Step`]: what has to be made durable, and
//! what may be done once it is. The driver in `node` and the simulations are its only callers. The core knows
//! presence, access and first contact; it does no I/O, reads no clock, draws randomness only from the seed it was
//! given, and never learns what a socket, a database or a JSON value is.
//!
//! Where to look: [`input`] for everything that can wake it, [`step`] for everything that can leave it, [`rows`] for
//! what it keeps on disk, [`access`] for who may do what, [`presence`] for what is published and what is told.

mod absence;
pub mod access;
pub mod clock;
mod contacts;
mod envelope_keys;
pub mod event;
pub mod examination;
mod grants;
pub mod health;
mod hello;
pub mod input;
mod interest;
mod invites;
mod letters;
pub mod limits;
mod log;
mod mailbox;
pub mod messaging;
pub mod node;
mod post;
pub mod presence;
mod public;
mod publication;
mod reach;
pub mod relay;
pub mod relays;
mod removal;
pub mod reply;
mod retry;
pub mod rows;
pub mod snapshot;
pub mod step;
mod views;

pub use clock::{Clock, Instant};
pub use input::{Command, Input};
pub use node::{Config, Node};
pub use reply::{CommandError, Reply};
pub use snapshot::Snapshot;
pub use step::{Effect, Step, Write};
