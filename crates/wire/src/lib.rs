//! Porchlight's objects as bytes.
//!
//! Everything that crosses the network or is handed from one principal to another is defined here, once: ids and
//! keys, key blinding, beacons, device lists, cards, grants, invites, letters, messages, envelopes, the presence
//! document and the frames of a stream. `net` verifies and carries these objects, `proto` judges them, `store` keeps them.
//!
//! The crate is pure: no I/O, no clock and no randomness of its own. Time and randomness are arguments. Bytes
//! from outside never panic and are bounded before they are decoded ([`limits`]).

pub mod beacon;
pub mod blind;
pub mod card;
pub mod cbor;
pub mod content;
pub mod cose;
pub mod device_list;
pub mod envelope;
pub mod follow;
pub mod frame;
pub mod grant;
pub mod hash;
pub mod hello;
pub mod ids;
pub mod invite;
pub mod keys;
pub mod letter;
pub mod limits;
pub mod mailbox;
pub mod message;
pub mod name;
pub mod network;
pub mod presence;
pub mod record;
pub mod safety_number;
pub mod sheet;
pub mod shelf;
pub mod stamp;
mod syntax;
pub mod time;

#[cfg(test)]
mod vectors;
