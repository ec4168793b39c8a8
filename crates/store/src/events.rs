//! Reading the log of events, and envelopes in mailboxes, on a connection of its own that never waits for the writer (WAL).

use crate::error::ReadError;
use crate::schema::open_reader;
use crate::tables::{BODIES, EVENTS, numbered};
use crate::vault::Vault;
use porchlight_proto::Write;
use porchlight_proto::rows::{BodyRow, EventRow};
use porchlight_wire::cbor;
use porchlight_wire::limits::FRAME_BYTES;
use porchlight_wire::mailbox::{Held, MailboxId};
use rusqlite::{Connection, OptionalExtension};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The largest event: two documents of presence and their frame.
const EVENT_BYTES: usize = 64 * 1024;

/// Events kept in memory after they were committed: who follows has read all but the last few of them.
const RECENT: usize = 512;

/// The newest events, as they were committed. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Recent {
    events: Arc<Mutex<VecDeque<EventRow>>>,
}

impl Recent {
    /// These were committed.
    pub(crate) fn add<'a>(&self, writes: impl Iterator<Item = &'a Write>) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        for write in writes {
            if let Write::PutEvent(row) = write {
                let follows = events.back().is_none_or(|last| last.number + 1 == row.number);
                if !follows {
                    events.clear();
                }
                events.push_back(row.clone());
                if events.len() > RECENT {
                    events.pop_front();
                }
            } else if let Write::DropEvents { below } = write {
                while events.len() > 1 && events.front().is_some_and(|first| first.number < *below) {
                    events.pop_front();
                }
            }
        }
    }

    /// Those after `number`, if all of them are here; at most so many.
    fn after(&self, number: u64, most: u32) -> Option<Vec<EventRow>> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let first = events.front()?.number;
        let skipped = number.saturating_add(1).checked_sub(first)?;
        let skipped = usize::try_from(skipped).ok()?;
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Some(events.iter().skip(skipped).take(most).cloned().collect())
    }
}

/// Reads events and envelopes. Cheap to clone.
#[derive(Clone)]
pub struct EventReader {
    inner: Arc<Mutex<Inner>>,
    recent: Recent,
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
    pub(crate) fn open(path: &Path, vault: Arc<Vault>, recent: Recent) -> Result<Self, rusqlite::Error> {
        let connection = open_reader(path)?;
        Ok(Self {
            recent,
            inner: Arc::new(Mutex::new(Inner { connection, vault })),
        })
    }

    /// At most `most` events after `number`, in order. The newest ones are in memory.
    ///
    /// # Errors
    ///
    /// If the database cannot be read.
    pub async fn after(&self, number: u64, most: u32) -> Result<Vec<EventRow>, ReadError> {
        match self.recent.after(number, most) {
            Some(recent) => Ok(recent),
            None => self.after_on_disk(number, most).await,
        }
    }

    /// The same, from disk in any case.
    ///
    /// # Errors
    ///
    /// If the database cannot be read.
    pub async fn after_on_disk(&self, number: u64, most: u32) -> Result<Vec<EventRow>, ReadError> {
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
