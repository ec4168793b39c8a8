//! From disk to a [`Snapshot`].

use crate::error::OpenError;
use crate::schema::sqlite;
use crate::tables::{
    ACCOUNT, ANSWERS, CEILING, CHOSEN_RELAYS, CLOSINGS, CONSUMERS, CONTACTS, CONVERSATIONS, DEPOSITS, FORMER, HELD,
    IDENTITY, INVITES, KEPT, LEFT_HERE, LETTERS, MAILBOXES, NODE, OBSERVED, OUTBOX, OWN, PARCELS, SEALED, SEEN,
    SESSIONS, SHEET_UNTIL, SPENT, STAMPS, TAKEN, TRANSPORT, VIEWS,
};
use crate::vault::Vault;
use porchlight_proto::Snapshot;
use porchlight_proto::messaging::rows::{ConversationRow, HeldRow, OutboxRow, SealedRow, SeenRow, SessionRow};
use porchlight_proto::rows::{
    DepositRow, Identity, KeptRow, LeftRow, MailboxRow, ParcelRow, SpentRow, StampsRow, TakenRow,
};
use porchlight_wire::cbor;
use porchlight_wire::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension};
use serde::de::DeserializeOwned;
use std::path::Path;
use zeroize::Zeroizing;

/// The largest row: a contact with two cards' worth of keys is a tenth of it.
const ROW_BYTES: usize = 1 << 20;

/// Everything but the events, and the transport key.
pub(crate) fn load(
    connection: &Connection,
    vault: &Vault,
    path: &Path,
) -> Result<(Snapshot, Zeroizing<[u8; 32]>), OpenError> {
    let reader = Reader {
        connection,
        vault,
        path,
    };
    let identity: Identity = reader.single(IDENTITY)?.ok_or_else(|| reader.missing("identity"))?;
    let transport: serde_bytes_array::Seed = reader
        .single(TRANSPORT)?
        .ok_or_else(|| reader.missing("transport key"))?;
    let mut snapshot = Snapshot::new(identity);
    snapshot.own = reader.single(OWN)?;
    snapshot.ceiling = reader.single(CEILING)?.unwrap_or(0);
    snapshot.sheet_until = reader.single(SHEET_UNTIL)?.unwrap_or(UnixMillis(0));
    snapshot.views = keyed(reader.rows(VIEWS)?, |row: &porchlight_proto::rows::ViewRow| {
        row.name.clone()
    });
    snapshot.invites = keyed(reader.rows(INVITES)?, |row: &porchlight_proto::rows::InviteRow| row.id);
    snapshot.contacts = keyed(reader.rows(CONTACTS)?, |row: &porchlight_proto::rows::ContactRow| {
        row.principal
    });
    snapshot.former = keyed(reader.rows(FORMER)?, |row: &porchlight_proto::rows::FormerRow| {
        row.principal
    });
    snapshot.closings = keyed(reader.rows(CLOSINGS)?, |row: &porchlight_proto::rows::ClosingRow| {
        row.pk
    });
    snapshot.letters = keyed(reader.rows(LETTERS)?, |row: &porchlight_proto::rows::LetterRow| row.id);
    snapshot.observed = keyed(
        reader.readable_rows(OBSERVED)?,
        |row: &porchlight_proto::rows::ObservedRow| row.principal,
    );
    snapshot.consumers = keyed(reader.rows(CONSUMERS)?, |row: &porchlight_proto::rows::ConsumerRow| {
        row.name.clone()
    });
    snapshot.answers = keyed(reader.rows(ANSWERS)?, |row: &porchlight_proto::rows::AnswerRow| {
        row.key.clone()
    });
    snapshot.chosen_relays = reader.single(CHOSEN_RELAYS)?.unwrap_or_default();
    snapshot.mailboxes = keyed(reader.rows(MAILBOXES)?, |row: &MailboxRow| row.mailbox);
    snapshot.stamps = keyed(reader.rows(STAMPS)?, |row: &StampsRow| row.contact);
    snapshot.parcels = keyed(reader.rows(PARCELS)?, |row: &ParcelRow| row.id);
    snapshot.taken = keyed(reader.rows(TAKEN)?, |row: &TakenRow| (row.from, row.letter));
    snapshot.kept = keyed(reader.rows(KEPT)?, |row: &KeptRow| row.mailbox);
    snapshot.deposits = keyed(reader.rows(DEPOSITS)?, |row: &DepositRow| (row.mailbox, row.number));
    snapshot.spent = keyed(reader.rows(SPENT)?, |row: &SpentRow| (row.mailbox, row.mark));
    snapshot.left = keyed(reader.rows(LEFT_HERE)?, |row: &LeftRow| (row.mailbox, row.pk));
    snapshot.account = reader.single(ACCOUNT)?;
    snapshot.sessions = keyed(reader.rows(SESSIONS)?, |row: &SessionRow| row.key);
    snapshot.outbox = keyed(reader.rows(OUTBOX)?, |row: &OutboxRow| row.message.id);
    snapshot.sealed = keyed(reader.rows(SEALED)?, |row: &SealedRow| row.id);
    snapshot.conversations = keyed(reader.rows(CONVERSATIONS)?, |row: &ConversationRow| row.principal);
    snapshot.seen = keyed(reader.rows(SEEN)?, |row: &SeenRow| row.origin);
    snapshot.held = keyed(reader.rows(HELD)?, |row: &HeldRow| row.origin);
    let newest: Option<i64> = connection
        .query_row("SELECT max(number) FROM messages", [], |row| row.get(0))
        .map_err(|source| sqlite(path, "read", source))?;
    snapshot.newest_message = newest.and_then(|number| u64::try_from(number).ok()).unwrap_or(0);
    let (oldest, newest): (Option<i64>, Option<i64>) = connection
        .query_row("SELECT min(number), max(number) FROM events", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .map_err(|source| sqlite(path, "read", source))?;
    snapshot.newest_event = newest.and_then(|number| u64::try_from(number).ok()).unwrap_or(0);
    snapshot.oldest_event = oldest
        .and_then(|number| u64::try_from(number).ok())
        .unwrap_or_else(|| snapshot.newest_event.saturating_add(1));
    Ok((snapshot, transport.0))
}

/// Whether the database is this key's.
pub(crate) fn check(connection: &Connection, vault: &Vault, path: &Path) -> Result<(), OpenError> {
    let reader = Reader {
        connection,
        vault,
        path,
    };
    let _: Identity = reader.single(IDENTITY)?.ok_or_else(|| reader.missing("identity"))?;
    Ok(())
}

fn keyed<K: Ord, T>(rows: Vec<T>, key: impl Fn(&T) -> K) -> std::collections::BTreeMap<K, T> {
    rows.into_iter().map(|row| (key(&row), row)).collect()
}

struct Reader<'a> {
    connection: &'a Connection,
    vault: &'a Vault,
    path: &'a Path,
}

impl Reader<'_> {
    fn single<T: DeserializeOwned>(&self, name: &'static str) -> Result<Option<T>, OpenError> {
        let sealed: Option<Vec<u8>> = self
            .connection
            .query_row("SELECT value FROM node WHERE name = ?1", [name], |row| row.get(0))
            .optional()
            .map_err(|source| sqlite(self.path, "read", source))?;
        sealed
            .map(|sealed| self.open(NODE, name.as_bytes(), &sealed))
            .transpose()
    }

    /// All rows of a table.
    fn rows<T: DeserializeOwned>(&self, table: &'static str) -> Result<Vec<T>, OpenError> {
        self.each(table).map(|rows| rows.into_iter().collect())?
    }

    /// Those rows of a table that can be read. For what was merely observed: it is looked up again, and one row of it that
    /// was damaged is no reason not to start.
    fn readable_rows<T: DeserializeOwned>(&self, table: &'static str) -> Result<Vec<T>, OpenError> {
        let rows = self.each(table)?;
        let read = rows.into_iter().filter_map(|row| {
            row.inspect_err(|error| tracing::warn!(%error, table, "a row of what was observed is left out"))
                .ok()
        });
        Ok(read.collect())
    }

    /// The rows of a table, each as it can be read or why it cannot.
    fn each<T: DeserializeOwned>(&self, table: &'static str) -> Result<Vec<Result<T, OpenError>>, OpenError> {
        let failed = |source| sqlite(self.path, "read", source);
        let mut statement = self
            .connection
            .prepare(&format!("SELECT id, value FROM {table}"))
            .map_err(failed)?;
        let rows = statement
            .query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?)))
            .map_err(failed)?;
        let mut opened = Vec::new();
        for row in rows {
            let (id, sealed) = row.map_err(failed)?;
            opened.push(self.open(table, &id, &sealed));
        }
        Ok(opened)
    }

    fn open<T: DeserializeOwned>(&self, table: &'static str, row: &[u8], sealed: &[u8]) -> Result<T, OpenError> {
        let value = self.vault.open(table, row, sealed).ok_or(OpenError::Sealed { table })?;
        cbor::decode_own(&value, ROW_BYTES).map_err(|error| OpenError::Unreadable {
            table,
            reason: error.to_string(),
        })
    }

    fn missing(&self, what: &'static str) -> OpenError {
        OpenError::Missing {
            path: self.path.to_owned(),
            what,
        }
    }
}

/// 32 secret bytes in CBOR.
pub(crate) mod serde_bytes_array {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use zeroize::Zeroizing;

    /// A seed.
    pub(crate) struct Seed(pub(crate) Zeroizing<[u8; 32]>);

    impl Serialize for Seed {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(self.0.as_slice())
        }
    }

    impl<'de> Deserialize<'de> for Seed {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let bytes: [u8; 32] = serde_bytes::deserialize(deserializer)?;
            Ok(Self(Zeroizing::new(bytes)))
        }
    }
}
