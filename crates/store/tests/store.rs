//! The store on real disks: what was acknowledged is there, and nothing of it can be read without the key file.

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

#[path = "store/commits.rs"]
mod commits;
#[path = "store/damage.rs"]
mod damage;
#[path = "store/events.rs"]
mod events;
#[path = "store/fold.rs"]
mod fold;
#[path = "store/keys.rs"]
mod keys;
#[path = "store/killed.rs"]
mod killed;
#[path = "store/messages.rs"]
mod messages;
#[path = "store/sample.rs"]
mod sample;
#[path = "store/secrecy.rs"]
mod secrecy;

use porchlight_proto::Snapshot;
use porchlight_proto::rows::Identity;
use porchlight_store::vault::{HomeKey, KeyFiles};
use porchlight_store::{DurabilitySetting, OpenError, Opened, Store};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A home with its key and database, as `init` makes it.
struct Home {
    folder: TempDir,
    identity: Identity,
    transport: [u8; 32],
}

impl Home {
    fn new() -> Self {
        let home = Self {
            folder: tempfile::tempdir().unwrap(),
            identity: sample::identity(1),
            transport: sample::bytes(2),
        };
        let key = home.key_files().create(None).unwrap();
        Store::create(&home.database(), key.store(), &home.identity, &home.transport).unwrap();
        home
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn key_file(&self) -> PathBuf {
        self.path().join("key")
    }

    fn database(&self) -> PathBuf {
        self.path().join("porchlight.db")
    }

    fn key_files(&self) -> KeyFiles {
        KeyFiles {
            plain: self.key_file(),
            wrapped: self.path().join("key.wrapped"),
            roots: Vec::new(),
        }
    }

    fn key(&self) -> HomeKey {
        self.key_files().read().unwrap()
    }

    fn try_open(&self) -> Result<Opened, OpenError> {
        Store::open(&self.database(), self.key().store(), DurabilitySetting::Full)
    }

    fn open(&self) -> Opened {
        self.try_open().unwrap()
    }

    fn store(&self) -> Store {
        self.open().store
    }

    fn snapshot(&self) -> Snapshot {
        self.open().snapshot
    }

    /// A connection as a thief, or a mishap, has one.
    fn sqlite(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.database()).unwrap()
    }

    /// All bytes of the database: the file itself, the write-ahead log and its index.
    fn bytes_on_disk(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in std::fs::read_dir(self.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with("porchlight.db") {
                bytes.extend(std::fs::read(path).unwrap());
            }
        }
        bytes
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    assert!(needle.len() >= 8, "so short a needle may be found by chance");
    haystack.windows(needle.len()).any(|window| window == needle)
}
