//! The `porchlight` node: configuration, command line, the driver loop around the core, and all conversions between
//! the crates that do not know each other.

pub mod cli;
pub mod config;
