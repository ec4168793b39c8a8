//! A disk in memory: the fold of what was committed. It outlives its node. A crash of the process loses nothing of it; a power cut
//! loses what was never promised to outlive one; and it can be made to refuse.

use porchlight::disk::Disk;
use porchlight_proto::messaging::rows::{MessageRow, MessageStateRow};
use porchlight_proto::rows::{BodyRow, EventRow, Identity};
use porchlight_proto::step::Durability;
use porchlight_proto::{Snapshot, Write};
use porchlight_wire::mailbox::{Held, MailboxId};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::sleep;

/// What a commit takes that has to outlive a power cut: one sync of a usual solid-state disk.
const SYNC: Duration = Duration::from_millis(4);

/// Writes that no power cut has to spare may wait for the next sync. As many as SQLite checkpoints by itself.
const UNSYNCED: usize = 1_000;

/// The disk says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the simulated disk is full")]
pub struct Full;

/// What is on it.
#[derive(Clone, Debug)]
pub struct Content {
    /// The core's state.
    pub snapshot: Snapshot,
    /// Events by number.
    pub events: BTreeMap<u64, EventRow>,
    /// Messages by number.
    pub messages: BTreeMap<u64, MessageRow>,
    /// How far messages of its own have come.
    pub message_states: BTreeMap<u64, MessageStateRow>,
    bodies: BTreeMap<(MailboxId, u64), BodyRow>,
}

impl Content {
    const fn new(identity: Identity) -> Self {
        Self {
            snapshot: Snapshot::new(identity),
            events: BTreeMap::new(),
            messages: BTreeMap::new(),
            message_states: BTreeMap::new(),
            bodies: BTreeMap::new(),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what is kept beside the snapshot is all that is named; the snapshot takes the rest"
    )]
    fn apply(&mut self, write: &Write) {
        self.snapshot.apply(write);
        match write {
            Write::PutEvent(row) => {
                self.events.insert(row.number, row.clone());
            }
            Write::DropEvents { below } => {
                let below = (*below).min(self.snapshot.newest_event);
                self.events = self.events.split_off(&below);
            }
            Write::PutBody(row) => {
                self.bodies.insert((row.mailbox, row.number), row.clone());
            }
            Write::DeleteBody(mailbox, number) => {
                self.bodies.remove(&(*mailbox, *number));
            }
            Write::PutMessage(row) => {
                self.messages.insert(row.number, row.clone());
            }
            Write::PutMessageState(row) => {
                self.message_states.insert(row.number, row.clone());
            }
            _ => {}
        }
    }
}

#[derive(Debug)]
struct Inner {
    /// What a process finds that starts now.
    current: Content,
    /// What outlives a power cut, and what came since.
    durable: Content,
    unsynced: Vec<Write>,
    refuses: bool,
}

impl Inner {
    fn sync(&mut self) {
        for write in std::mem::take(&mut self.unsynced) {
            self.durable.apply(&write);
        }
    }
}

/// What is done with every commit, before anything is said of it.
pub(crate) type Witness = Arc<dyn Fn(&[Write]) + Send + Sync>;

/// The disk of one machine. Cheap to clone.
#[derive(Clone)]
pub struct MemoryDisk {
    inner: Arc<Mutex<Inner>>,
    witness: Witness,
}

impl std::fmt::Debug for MemoryDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryDisk")
    }
}

impl MemoryDisk {
    /// The disk of a new home.
    pub(crate) fn new(identity: Identity, witness: Witness) -> Self {
        Self {
            inner: Arc::new(Mutex::new(Inner {
                current: Content::new(identity.clone()),
                durable: Content::new(identity),
                unsynced: Vec::new(),
                refuses: false,
            })),
            witness,
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at what a process finds that starts now.
    pub fn look<T>(&self, look: impl FnOnce(&Content) -> T) -> T {
        look(&self.inner().current)
    }

    /// The power goes: what was not promised is gone.
    pub fn lose_power(&self) {
        let mut inner = self.inner();
        inner.unsynced.clear();
        inner.current = inner.durable.clone();
    }

    /// From now on it takes writes, or refuses them.
    pub fn refuse(&self, refuses: bool) {
        self.inner().refuses = refuses;
    }
}

impl Disk for MemoryDisk {
    type CommitError = Full;
    type ReadError = Infallible;

    async fn commit(&self, writes: Vec<Write>) -> Result<(), Full> {
        let Some(durability) = writes.iter().map(Write::durability).max() else {
            return Ok(());
        };
        if durability == Durability::Full {
            sleep(SYNC).await;
        }
        let mut inner = self.inner();
        if inner.refuses {
            return Err(Full);
        }
        (self.witness)(&writes);
        for write in &writes {
            inner.current.apply(write);
        }
        inner.unsynced.extend(writes);
        if durability == Durability::Full || inner.unsynced.len() > UNSYNCED {
            inner.sync();
        }
        Ok(())
    }

    fn envelopes(
        &self,
        mailbox: MailboxId,
        numbers: Vec<u64>,
    ) -> impl Future<Output = Result<Vec<Held>, Infallible>> + Send + 'static {
        let held = self.look(|content| {
            numbers
                .into_iter()
                .filter_map(|number| {
                    let body = content.bodies.get(&(mailbox, number))?;
                    Some(Held {
                        number,
                        envelope: body.envelope.clone(),
                    })
                })
                .collect()
        });
        async move { Ok(held) }
    }
}
