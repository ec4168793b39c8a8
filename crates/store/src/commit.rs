//! The writer: one thread, one connection. Commits that wait together become one transaction, synced to disk if any of them
//! promised as much.

use crate::error::{CommitError, OpenError};
use crate::events::{EventReader, Recent};
use crate::load::{check, load, serde_bytes_array::Seed};
use crate::messages::MessageReader;
use crate::schema::{open, open_reader, sqlite};
use crate::tables::{ALL, Change, EVENTS, IDENTITY, MESSAGE_STATES, MESSAGES, NODE, TRANSPORT, change};
use crate::vault::{StoreKey, Vault};
use crate::{DurabilitySetting, Opened};
use porchlight_proto::Write;
use porchlight_proto::rows::Identity;
use porchlight_proto::step::Durability;
use porchlight_wire::cbor;
use rusqlite::{Connection, Transaction};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// Commits that may wait for the writer. The driver waits for each of its own, so few ever do.
const WAITING: usize = 256;

/// Commits that become one transaction at most: enough to share a disk sync, few enough that nobody waits long.
const GROUP: usize = 128;

/// A transaction that takes longer is slow: whoever sets their presence waits for it, and so does everything else.
pub const SLOW: Duration = Duration::from_secs(1);

/// A handle to the store. Cheap to clone; the writer ends when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Store {
    jobs: SyncSender<Job>,
    events: EventReader,
    messages: MessageReader,
    stats: Arc<Counters>,
}

/// What the writer has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreStats {
    /// Commits that were asked for.
    pub commits: u64,
    /// Transactions they became.
    pub transactions: u64,
    /// Transactions that were synced to disk.
    pub syncs: u64,
    /// For how long the transaction at hand has been under way.
    pub under_way: Option<Duration>,
    /// The last one that was [slow](SLOW).
    pub last_slow: Option<Slow>,
}

/// A transaction that was slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slow {
    /// How long it took.
    pub took: Duration,
    /// How long ago it ended.
    pub ago: Duration,
}

#[derive(Debug, Default)]
struct Counters {
    commits: AtomicU64,
    transactions: AtomicU64,
    syncs: AtomicU64,
    times: Mutex<Times>,
}

/// When transactions began and ended.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    began: Option<Instant>,
    slow: Option<(Instant, Duration)>,
}

impl Counters {
    /// Nothing that holds this lock can panic; if something did, its times would still be times.
    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn began(&self) {
        self.times().began = Some(Instant::now());
    }

    fn ended(&self) {
        let mut times = self.times();
        if let Some(began) = times.began.take()
            && began.elapsed() >= SLOW
        {
            times.slow = Some((Instant::now(), began.elapsed()));
        }
    }
}

#[derive(Debug)]
struct Job {
    writes: Vec<Write>,
    durability: Durability,
    done: oneshot::Sender<Result<(), CommitError>>,
}

impl Store {
    /// Makes the database of a new home.
    ///
    /// # Errors
    ///
    /// If it is there already, or cannot be written.
    pub fn create(path: &Path, key: &StoreKey, identity: &Identity, transport: &[u8; 32]) -> Result<(), OpenError> {
        let failed = |source| sqlite(path, "made", source);
        let connection = open(path, true)?;
        let vault = Vault::new(key, &ALL);
        let transport = Seed(Zeroizing::new(*transport));
        for (name, value) in [
            (IDENTITY, Zeroizing::new(cbor::encode_own(identity))),
            (TRANSPORT, Zeroizing::new(cbor::encode_own(&transport))),
        ] {
            let sealed = vault.seal(NODE, name.as_bytes(), &value).ok_or(OpenError::Randomness)?;
            connection
                .execute("INSERT INTO node (name, value) VALUES (?1, ?2)", (name, sealed))
                .map_err(failed)?;
        }
        connection.close().map_err(|(_, source)| failed(source))
    }

    /// Opens the database of a home, and starts the writer.
    ///
    /// # Errors
    ///
    /// If it cannot be read, was sealed under another key, or was made by a newer program.
    pub fn open(path: &Path, key: &StoreKey, setting: DurabilitySetting) -> Result<Opened, OpenError> {
        let connection = open(path, false)?;
        let vault = Arc::new(Vault::new(key, &ALL));
        let (snapshot, transport) = load(&connection, &vault, path)?;
        let recent = Recent::default();
        let events = EventReader::open(path, Arc::clone(&vault), recent.clone());
        let events = events.map_err(|source| sqlite(path, "opened", source))?;
        let messages =
            MessageReader::open(path, Arc::clone(&vault)).map_err(|source| sqlite(path, "opened", source))?;
        let (jobs, queue) = sync_channel(WAITING);
        let stats = Arc::new(Counters::default());
        let writer = Writer {
            connection,
            vault,
            setting,
            synced: true,
            recent,
            stats: Arc::clone(&stats),
        };
        thread::spawn(move || writer.run(&queue));
        Ok(Opened {
            store: Self {
                jobs,
                events,
                messages,
                stats,
            },
            snapshot,
            transport,
        })
    }

    /// Whether the database of a home opens under this key. Changes nothing.
    ///
    /// # Errors
    ///
    /// If it does not, or cannot be read.
    pub fn check(path: &Path, key: &StoreKey) -> Result<(), OpenError> {
        let connection = open_reader(path).map_err(|source| sqlite(path, "opened", source))?;
        check(&connection, &Vault::new(key, &ALL), path)
    }

    /// Makes writes as durable as they promise. Answers when they are.
    ///
    /// # Errors
    ///
    /// If they could not be written. The store takes no more writes then: what is in memory and what is on disk differ.
    pub async fn commit(&self, writes: Vec<Write>) -> Result<(), CommitError> {
        let durability = writes.iter().map(Write::durability).max();
        self.commit_as(writes, durability).await
    }

    /// Makes writes outlive the process, whatever they are: for what nothing was promised about, and would only be learned again
    /// if a power cut took it.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
    pub async fn commit_unsynced(&self, writes: Vec<Write>) -> Result<(), CommitError> {
        let durability = (!writes.is_empty()).then_some(Durability::Normal);
        self.commit_as(writes, durability).await
    }

    async fn commit_as(&self, writes: Vec<Write>, durability: Option<Durability>) -> Result<(), CommitError> {
        let Some(durability) = durability else {
            return Ok(());
        };
        let (done, answer) = oneshot::channel();
        let job = Job {
            writes,
            durability,
            done,
        };
        let jobs = self.jobs.clone();
        // The queue is a bounded one of the standard library: a full one is waited for off the runtime's threads.
        match jobs.try_send(job) {
            Ok(()) => {}
            Err(std::sync::mpsc::TrySendError::Full(job)) => {
                tokio::task::spawn_blocking(move || jobs.send(job))
                    .await
                    .map_err(|_| CommitError::Closed)?
                    .map_err(|_| CommitError::Closed)?;
            }
            Err(std::sync::mpsc::TrySendError::Disconnected(_)) => return Err(CommitError::Closed),
        }
        answer.await.map_err(|_| CommitError::Closed)?
    }

    /// Reads events.
    #[must_use]
    pub fn events(&self) -> EventReader {
        self.events.clone()
    }

    /// Reads messages.
    #[must_use]
    pub fn messages(&self) -> MessageReader {
        self.messages.clone()
    }

    /// What the writer has done.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let times = *self.stats.times();
        StoreStats {
            commits: self.stats.commits.load(Ordering::Relaxed),
            transactions: self.stats.transactions.load(Ordering::Relaxed),
            syncs: self.stats.syncs.load(Ordering::Relaxed),
            under_way: times.began.map(|began| began.elapsed()),
            last_slow: times.slow.map(|(ended, took)| Slow {
                took,
                ago: ended.elapsed(),
            }),
        }
    }
}

struct Writer {
    connection: Connection,
    vault: Arc<Vault>,
    setting: DurabilitySetting,
    /// Whether SQLite is set to sync each transaction.
    synced: bool,
    /// What was committed last, for those who follow events.
    recent: Recent,
    stats: Arc<Counters>,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            let mut group = vec![first];
            while group.len() < GROUP
                && let Ok(next) = queue.try_recv()
            {
                group.push(next);
            }
            self.stats.began();
            let result = self.commit(&group);
            self.stats.ended();
            let failed = result.is_err();
            if let Err(error) = &result {
                tracing::error!(%error, "a commit failed; the store takes no more writes");
            }
            for job in group {
                // Whoever asked may be gone; their writes are on disk all the same.
                let _ = job.done.send(result.clone());
            }
            if failed {
                return;
            }
        }
    }

    fn commit(&mut self, group: &[Job]) -> Result<(), CommitError> {
        let failed = |error| CommitError::Sqlite(Arc::new(error));
        let sync =
            self.setting == DurabilitySetting::Full && group.iter().any(|job| job.durability == Durability::Full);
        if sync != self.synced {
            let mode = if sync { "FULL" } else { "NORMAL" };
            self.connection
                .pragma_update(None, "synchronous", mode)
                .map_err(failed)?;
            self.synced = sync;
        }
        let transaction = self.connection.transaction().map_err(failed)?;
        for change in last_of_each_row(group) {
            apply(&transaction, &self.vault, change)?;
        }
        transaction.commit().map_err(failed)?;
        self.recent.add(group.iter().flat_map(|job| &job.writes));
        if group.iter().flat_map(|job| &job.writes).any(replaces_keys) {
            // The write-ahead log still has what was replaced, until it is written over. A reader in the way only puts it off.
            let _: Result<(), _> = self
                .connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        }
        let commits = u64::try_from(group.len()).unwrap_or(u64::MAX);
        self.stats.commits.fetch_add(commits, Ordering::Relaxed);
        self.stats.transactions.fetch_add(1, Ordering::Relaxed);
        self.stats.syncs.fetch_add(u64::from(sync), Ordering::Relaxed);
        Ok(())
    }
}

/// Whether keys that could read or sign what was published are gone by this write.
const fn replaces_keys(write: &Write) -> bool {
    // A generation that ends is closed in the same step.
    matches!(
        write,
        Write::PutClosing(_) | Write::DeleteView(_) | Write::DeleteInvite(_) | Write::PutIdentity(_)
    )
}

/// What is to be changed, in order. Of several changes of one row only the last one is made: a conversation is written with each
/// message, and a session several times.
fn last_of_each_row(group: &[Job]) -> Vec<Change<'_>> {
    let mut rows = BTreeSet::new();
    let mut changes: Vec<Change<'_>> = group
        .iter()
        .rev()
        .flat_map(|job| job.writes.iter().rev())
        .map(change)
        .filter(|change| change.row().is_none_or(|row| rows.insert(row)))
        .collect();
    changes.reverse();
    changes
}

fn apply(transaction: &Transaction<'_>, vault: &Vault, change: Change<'_>) -> Result<(), CommitError> {
    let failed = |error| CommitError::Sqlite(Arc::new(error));
    match change {
        Change::PutSingle(name, value) => {
            let sealed = vault.seal(NODE, name.as_bytes(), &value()).ok_or(CommitError::Seal)?;
            transaction
                .prepare_cached(
                    "INSERT INTO node (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
                )
                .and_then(|mut statement| statement.execute((name, sealed)))
                .map_err(failed)?;
        }
        Change::Put(table, key, value) => {
            let row = vault.row(table, &key);
            let sealed = vault.seal(table, &row, &value()).ok_or(CommitError::Seal)?;
            transaction
                .prepare_cached(&format!(
                    "INSERT INTO {table} (id, value) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET value = ?2"
                ))
                .and_then(|mut statement| statement.execute((row, sealed)))
                .map_err(failed)?;
        }
        Change::Delete(table, key) => {
            transaction
                .prepare_cached(&format!("DELETE FROM {table} WHERE id = ?1"))
                .and_then(|mut statement| statement.execute([vault.row(table, &key)]))
                .map_err(failed)?;
        }
        Change::PutEvent(number, value) => {
            let sealed = vault
                .seal(EVENTS, &number.to_be_bytes(), &value())
                .ok_or(CommitError::Seal)?;
            transaction
                .prepare_cached(
                    "INSERT INTO events (number, value) VALUES (?1, ?2) ON CONFLICT (number) DO UPDATE SET value = ?2",
                )
                .and_then(|mut statement| statement.execute((integer(number), sealed)))
                .map_err(failed)?;
        }
        Change::PutMessage {
            number,
            id,
            contact,
            value,
        } => {
            let sealed = vault
                .seal(MESSAGES, &number.to_be_bytes(), &value())
                .ok_or(CommitError::Seal)?;
            let (id, contact) = (vault.row(MESSAGES, &id), vault.row(MESSAGES, &contact));
            transaction
                .prepare_cached(
                    "INSERT INTO messages (number, id, contact, value) VALUES (?1, ?2, ?3, ?4) \
                     ON CONFLICT (number) DO UPDATE SET id = ?2, contact = ?3, value = ?4",
                )
                .and_then(|mut statement| statement.execute((integer(number), id, contact, sealed)))
                .map_err(failed)?;
        }
        Change::PutMessageState(number, value) => {
            let sealed = vault
                .seal(MESSAGE_STATES, &number.to_be_bytes(), &value())
                .ok_or(CommitError::Seal)?;
            transaction
                .prepare_cached(
                    "INSERT INTO message_states (number, value) VALUES (?1, ?2) \
                     ON CONFLICT (number) DO UPDATE SET value = ?2",
                )
                .and_then(|mut statement| statement.execute((integer(number), sealed)))
                .map_err(failed)?;
        }
        Change::DropEvents(below) => {
            transaction
                .prepare_cached("DELETE FROM events WHERE number < min(?1, (SELECT max(number) FROM events))")
                .and_then(|mut statement| statement.execute([integer(below)]))
                .map_err(failed)?;
        }
    }
    Ok(())
}

/// Event numbers as SQLite has integers: 2^63 events will not happen.
pub(crate) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
