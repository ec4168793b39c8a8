//! Reading the log of events, on a connection of its own that never waits for the writer (WAL).

use crate::error::ReadError;
use crate::schema::open_reader;
use crate::tables::EVENTS;
use crate::vault::Vault;
use porchlight_proto::rows::EventRow;
use porchlight_wire::cbor;
use rusqlite::Connection;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The largest event: two documents of presence and their frame.
const EVENT_BYTES: usize = 64 * 1024;

/// Reads events. Cheap to clone.
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
}

impl Inner {
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
            events.push(cbor::decode(&value, EVENT_BYTES).map_err(|_| ReadError::Event(number))?);
        }
        Ok(events)
    }
}
