//! Reading the log of events, and envelopes in mailboxes, on a connection of its own that never waits for the writer (WAL).

use crate::error::ReadError;
use crate::schema::open_reader;
use crate::tables::{BODIES, EVENTS, numbered};
use crate::vault::Vault;
use porchlight_proto::rows::{BodyRow, EventRow};
use porchlight_wire::cbor;
use porchlight_wire::limits::FRAME_BYTES;
use porchlight_wire::mailbox::{Held, MailboxId};
use rusqlite::{Connection, OptionalExtension};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The largest event: two documents of presence and their frame.
const EVENT_BYTES: usize = 64 * 1024;

/// Reads events and envelopes. Cheap to clone.
#[derive(Clone)]
pub struct EventReader {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    connection: Connection,
    vault: Arc<Vault>,
}

impl std::fmt::Debug for EventReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EventReader")
    }
}

impl EventReader {
    pub(crate) fn open(path: &Path, vault: Arc<Vault>) -> Result<Self, rusqlite::Error> {
        let connection = open_reader(path)?;
        Ok(Self {
            inner: Arc::new(Mutex::new(Inner { connection, vault })),
        })
    }

    /// At most `most` events after `number`, in order.
    ///
    /// # Errors
    ///
    /// If the database cannot be read.
    pub async fn after(&self, number: u64, most: u32) -> Result<Vec<EventRow>, ReadError> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || {
            let inner = inner.lock().map_err(|_| ReadError::Closed)?;
            inner.after(number, most)
        })
        .await
        .map_err(|_| ReadError::Closed)?
    }

    /// Those of these envelopes in a mailbox kept here that are there.
    ///
    /// # Errors
    ///
    /// If the database cannot be read.
    pub async fn envelopes(&self, mailbox: MailboxId, numbers: Vec<u64>) -> Result<Vec<Held>, ReadError> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || {
            let inner = inner.lock().map_err(|_| ReadError::Closed)?;
            inner.envelopes(mailbox, &numbers)
        })
        .await
        .map_err(|_| ReadError::Closed)?
    }
}

impl Inner {
    fn envelopes(&self, mailbox: MailboxId, numbers: &[u64]) -> Result<Vec<Held>, ReadError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT value FROM bodies WHERE id = ?1")?;
        let mut envelopes = Vec::new();
        for number in numbers {
            let id = self.vault.row(BODIES, &numbered(&mailbox, *number));
            let sealed: Option<Vec<u8>> = statement.query_row([&id], |row| row.get(0)).optional()?;
            let Some(sealed) = sealed else {
                continue;
            };
            let value = self.vault.open(BODIES, &id, &sealed).ok_or(ReadError::Envelope)?;
            let row: BodyRow = cbor::decode_own(&value, FRAME_BYTES).map_err(|_| ReadError::Envelope)?;
            envelopes.push(Held {
                number: *number,
                envelope: row.envelope,
            });
        }
        Ok(envelopes)
    }

    fn after(&self, number: u64, most: u32) -> Result<Vec<EventRow>, ReadError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT number, value FROM events WHERE number > ?1 ORDER BY number LIMIT ?2")?;
        let from = i64::try_from(number).unwrap_or(i64::MAX);
        let rows = statement.query_map((from, most), |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
        })?;
        let mut events = Vec::new();
        for row in rows {
            let (number, sealed) = row?;
            let number = u64::try_from(number).unwrap_or(0);
            let value = self
                .vault
                .open(EVENTS, &number.to_be_bytes(), &sealed)
                .ok_or(ReadError::Event(number))?;
            events.push(cbor::decode_own(&value, EVENT_BYTES).map_err(|_| ReadError::Event(number))?);
        }
        Ok(events)
    }
}
