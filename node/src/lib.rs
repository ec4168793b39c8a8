//! The `porchlight` node: configuration, command line, the driver loop around the core, and all conversions between the
//! crates that do not know each other.

pub mod cli;
pub mod clock;
pub mod config;
pub mod convert;
pub mod demo;
pub mod diagnose;
pub mod disk;
pub mod driver;
pub mod failure;
pub mod handler;
pub mod health;
pub mod home;
mod notices;
pub mod passphrase;
pub mod run;
mod terminal;
