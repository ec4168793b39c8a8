//! Reading the messages that are kept, on a connection of its own that never waits for the writer (WAL).

use crate::commit::integer;
use crate::error::ReadError;
use crate::schema::open_reader;
use crate::tables::{MESSAGE_STATES, MESSAGES};
use crate::vault::Vault;
use porchlight_proto::messaging::rows::{MessageRow, MessageStateRow};
use porchlight_wire::cbor;
use porchlight_wire::ids::{PrincipalId, RandomId};
use rusqlite::{Connection, OptionalExtension, Row};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The largest row: a message and a few words beside it.
const MESSAGE_BYTES: usize = 64 * 1024;

/// Bytes of messages in one list: what a client reads at once.
const LIST_BYTES: usize = 2 << 20;

/// Messages that one search looks through at most: some seconds' work.
const SEARCHED: u64 = 200_000;

/// Which messages are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessageQuery {
    /// Only those to and from this principal.
    pub contact: Option<PrincipalId>,
    /// Only those with higher numbers.
    pub after: Option<u64>,
    /// Only those with lower numbers.
    pub before: Option<u64>,
    /// At most so many: the newest of those that fit, or the oldest if `after` is given.
    pub most: u32,
}

/// Reads messages. Cheap to clone.
#[derive(Clone)]
pub struct MessageReader {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    connection: Connection,
    vault: Arc<Vault>,
}

impl std::fmt::Debug for MessageReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MessageReader")
    }
}

/// A message with how far it has come, if it is one of ours.
pub type Kept = (MessageRow, Option<MessageStateRow>);

impl MessageReader {
    pub(crate) fn open(path: &Path, vault: Arc<Vault>) -> Result<Self, rusqlite::Error> {
        let connection = open_reader(path)?;
        Ok(Self {
            inner: Arc::new(Mutex::new(Inner { connection, vault })),
        })
    }

    /// Messages by number, lowest first.
    ///
    /// # Errors
    ///
    /// If the database cannot be read.
    pub async fn list(&self, query: MessageQuery) -> Result<Vec<Kept>, ReadError> {
        self.read(move |inner| inner.list(&query)).await
    }

    /// The message with this id. Ids are unique among one principal's: of several, the oldest here, so that nobody puts theirs
    /// before one of ours.
    ///
    /// # Errors
    ///
    /// If the database cannot be read.
    pub async fn get(&self, id: RandomId) -> Result<Option<Kept>, ReadError> {
        self.read(move |inner| inner.get(&id)).await
    }

    /// The newest messages, at most `most`, that have every word of `text` in them, whatever the case; newest first. Looks
    /// through the 200,000 newest before `before`.
    ///
    /// # Errors
    ///
    /// If the database cannot be read.
    pub async fn search(&self, text: String, before: Option<u64>, most: u32) -> Result<Vec<Kept>, ReadError> {
        self.read(move |inner| inner.search(&text, before, most)).await
    }

    async fn read<T: Send + 'static>(
        &self,
        what: impl FnOnce(&Inner) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || {
            let inner = inner.lock().map_err(|_| ReadError::Closed)?;
            what(&inner)
        })
        .await
        .map_err(|_| ReadError::Closed)?
    }
}

impl Inner {
    fn list(&self, query: &MessageQuery) -> Result<Vec<Kept>, ReadError> {
        let order = if query.after.is_some() { "ASC" } else { "DESC" };
        let after = integer(query.after.unwrap_or(0));
        let before = integer(query.before.unwrap_or(u64::MAX));
        let mut rows = match &query.contact {
            Some(principal) => {
                let mut statement = self.connection.prepare_cached(&format!(
                    "SELECT number, value FROM messages WHERE contact = ?1 AND number > ?2 AND number < ?3 \
                     ORDER BY number {order} LIMIT ?4"
                ))?;
                let contact = self.vault.row(MESSAGES, principal.as_bytes());
                let rows = statement.query_map((contact, after, before, query.most), numbered)?;
                within_bytes(rows)?
            }
            None => {
                let mut statement = self.connection.prepare_cached(&format!(
                    "SELECT number, value FROM messages WHERE number > ?1 AND number < ?2 \
                     ORDER BY number {order} LIMIT ?3"
                ))?;
                let rows = statement.query_map((after, before, query.most), numbered)?;
                within_bytes(rows)?
            }
        };
        if query.after.is_none() {
            rows.reverse();
        }
        rows.into_iter()
            .map(|(number, sealed)| self.kept(number, &sealed))
            .collect()
    }

    fn get(&self, id: &RandomId) -> Result<Option<Kept>, ReadError> {
        let found = self
            .connection
            .prepare_cached("SELECT number, value FROM messages WHERE id = ?1 ORDER BY number LIMIT 1")?
            .query_row([self.vault.row(MESSAGES, id.as_bytes())], numbered)
            .optional()?;
        found.map(|(number, sealed)| self.kept(number, &sealed)).transpose()
    }

    fn search(&self, text: &str, before: Option<u64>, most: u32) -> Result<Vec<Kept>, ReadError> {
        let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut statement = self
            .connection
            .prepare_cached("SELECT number, value FROM messages WHERE number < ?1 ORDER BY number DESC LIMIT ?2")?;
        let rows = statement.query_map((integer(before.unwrap_or(u64::MAX)), integer(SEARCHED)), numbered)?;
        let mut found = Vec::new();
        for row in rows {
            let (number, sealed) = row?;
            let row = self.message(number, &sealed)?;
            let texts = row.message.bodies.iter().filter_map(|body| body.as_text());
            let all = texts
                .chain(row.message.subject.as_deref())
                .collect::<Vec<_>>()
                .join("\n");
            let all = all.to_lowercase();
            if words.iter().all(|word| all.contains(word.as_str())) {
                let state = self.state(number)?;
                found.push((row, state));
                if found.len() >= most {
                    break;
                }
            }
        }
        Ok(found)
    }

    fn kept(&self, number: u64, sealed: &[u8]) -> Result<Kept, ReadError> {
        Ok((self.message(number, sealed)?, self.state(number)?))
    }

    fn message(&self, number: u64, sealed: &[u8]) -> Result<MessageRow, ReadError> {
        let value = self
            .vault
            .open(MESSAGES, &number.to_be_bytes(), sealed)
            .ok_or(ReadError::Message(number))?;
        cbor::decode_own(&value, MESSAGE_BYTES).map_err(|_| ReadError::Message(number))
    }

    fn state(&self, number: u64) -> Result<Option<MessageStateRow>, ReadError> {
        let sealed: Option<Vec<u8>> = self
            .connection
            .prepare_cached("SELECT value FROM message_states WHERE number = ?1")?
            .query_row([integer(number)], |row| row.get(0))
            .optional()?;
        let Some(sealed) = sealed else { return Ok(None) };
        let value = self
            .vault
            .open(MESSAGE_STATES, &number.to_be_bytes(), &sealed)
            .ok_or(ReadError::Message(number))?;
        cbor::decode_own(&value, MESSAGE_BYTES)
            .map(Some)
            .map_err(|_| ReadError::Message(number))
    }
}

fn numbered(row: &Row<'_>) -> Result<(u64, Vec<u8>), rusqlite::Error> {
    let number: i64 = row.get(0)?;
    Ok((u64::try_from(number).unwrap_or(0), row.get(1)?))
}

/// The rows up to a bound of bytes, one at least.
fn within_bytes(rows: impl Iterator<Item = rusqlite::Result<(u64, Vec<u8>)>>) -> rusqlite::Result<Vec<(u64, Vec<u8>)>> {
    let (mut kept, mut bytes) = (Vec::new(), 0);
    for row in rows {
        let row = row?;
        bytes += row.1.len();
        if bytes > LIST_BYTES && !kept.is_empty() {
            break;
        }
        kept.push(row);
    }
    Ok(kept)
}
