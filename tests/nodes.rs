//! Whole nodes: real processes on real sockets with real databases, driven over the local API and the command line.
//!
//! What can be shown in virtual time is shown in `crates/proto/tests`; here is what only processes can show.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "clippy takes the helpers of an integration test for library code"
)]

#[path = "nodes/access.rs"]
mod access;
#[path = "nodes/apart.rs"]
mod apart;
#[path = "nodes/api.rs"]
mod api;
#[path = "nodes/clients.rs"]
mod clients;
#[path = "nodes/command_line.rs"]
mod command_line;
#[path = "nodes/configuration.rs"]
mod configuration;
#[path = "nodes/crashes.rs"]
mod crashes;
#[path = "nodes/demo.rs"]
mod demo;
#[path = "nodes/diagnose.rs"]
mod diagnose;
#[path = "nodes/examples.rs"]
mod examples;
#[path = "nodes/first_contact.rs"]
mod first_contact;
#[path = "nodes/health.rs"]
mod health;
#[path = "api/judge.rs"]
mod judge;
#[path = "nodes/mailboxes.rs"]
mod mailboxes;
#[path = "nodes/messages.rs"]
mod messages;
#[path = "nodes/passphrase.rs"]
mod passphrase;
#[path = "nodes/presence.rs"]
mod presence;
#[path = "nodes/reference.rs"]
mod reference;
#[path = "nodes/rich.rs"]
mod rich;
#[path = "nodes/secrecy.rs"]
mod secrecy;
#[path = "nodes/tap.rs"]
mod tap;
#[path = "nodes/terminal.rs"]
mod terminal;
#[path = "nodes/town.rs"]
mod town;
#[path = "nodes/transports.rs"]
mod transports;
#[path = "nodes/whole_town.rs"]
mod whole_town;
