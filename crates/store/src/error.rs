//! What can go wrong between memory and disk.

use std::path::PathBuf;
use std::sync::Arc;

/// The store cannot be opened or made.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// SQLite says no.
    #[error("the database {path} cannot be {what}: {source}")]
    Sqlite {
        /// Which file.
        path: PathBuf,
        /// What was being done.
        what: &'static str,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// Made by a newer program.
    #[error(
        "the database {path} has schema {found}, and this program knows {known}: use the newer program, or another home"
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// What it has.
        found: u32,
        /// What is known here.
        known: u32,
    },
    /// A row cannot be opened.
    #[error(
        "a row of '{table}' cannot be opened: the key file belongs to another home, or the database was altered or damaged"
    )]
    Sealed {
        /// Of which table.
        table: &'static str,
    },
    /// A row opens, but cannot be read.
    #[error("a row of '{table}' cannot be read: {reason}")]
    Unreadable {
        /// Of which table.
        table: &'static str,
        /// Why.
        reason: String,
    },
    /// A single row is not there.
    #[error("the database {path} has no {what}: it is not a whole home; make a new one with `porchlight init`")]
    Missing {
        /// Which file.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gives no randomness")]
    Randomness,
}

/// Writes could not be made durable. The node has to stop, and go on from what is on disk.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// SQLite says no.
    #[error("what was to be kept could not be written: {0}; is the disk full?")]
    Sqlite(Arc<rusqlite::Error>),
    /// A row cannot be sealed.
    #[error("a row could not be sealed")]
    Seal,
    /// An earlier commit failed, or the store was closed.
    #[error("the store takes no more writes")]
    Closed,
}

/// Events, envelopes or messages could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// SQLite says no.
    #[error("the store could not be read: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A row cannot be opened or read.
    #[error("event {0} cannot be opened")]
    Event(u64),
    /// The same of an envelope in a mailbox.
    #[error("an envelope in a mailbox cannot be opened")]
    Envelope,
    /// The same of a message.
    #[error("message {0} cannot be opened")]
    Message(u64),
    /// The thread that reads is gone.
    #[error("the store is closed")]
    Closed,
}
