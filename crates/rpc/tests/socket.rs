//! The local API over a real socket: what clients send that they should not, what they do not do that they should, and what
//! the socket is on disk.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "clippy takes the helpers of an integration test for library code"
)]

#[path = "socket/crowd.rs"]
mod crowd;
#[path = "socket/errors.rs"]
mod errors;
#[path = "socket/events.rs"]
mod events;
#[path = "../../../tests/api/judge.rs"]
mod judge;
#[path = "socket/place.rs"]
mod place;
#[path = "socket/requests.rs"]
mod requests;
#[path = "socket/silence.rs"]
mod silence;
#[path = "socket/site.rs"]
mod site;
