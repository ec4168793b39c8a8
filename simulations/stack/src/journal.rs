//! What the cores of a world told their clients, in order, for whoever waits for something or measures how long it took.

use crate::os;
use porchlight_proto::event::Event;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// One event.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When, since the beginning.
    pub at: Duration,
    /// At which machine.
    pub machine: u32,
    /// What.
    pub event: Event,
}

/// All events so far. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Journal {
    entries: Arc<Mutex<Vec<Entry>>>,
    length: watch::Sender<usize>,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            entries: Arc::default(),
            length: watch::Sender::new(0),
        }
    }
}

impl Journal {
    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, machine: u32, event: Event) {
        let at = os::elapsed();
        let length = {
            let mut entries = self.entries();
            entries.push(Entry { at, machine, event });
            entries.len()
        };
        self.length.send_replace(length);
    }

    /// How many there are.
    #[must_use]
    pub fn length(&self) -> usize {
        self.entries().len()
    }

    /// What is found among those from this one on.
    pub fn find<T>(&self, from: usize, find: impl FnMut(&Entry) -> Option<T>) -> Option<T> {
        self.entries().get(from..)?.iter().find_map(find)
    }

    /// Goes through all of them.
    pub fn each(&self, mut visit: impl FnMut(&Entry)) {
        for entry in self.entries().iter() {
            visit(entry);
        }
    }

    /// Waits, for so long at most, until there is such an entry among those from this one on.
    pub async fn wait<T>(
        &self,
        from: usize,
        patience: Duration,
        mut find: impl FnMut(&Entry) -> Option<T>,
    ) -> Option<T> {
        let mut length = self.length.subscribe();
        let mut next = from;
        timeout(patience, async {
            loop {
                let known = *length.borrow_and_update();
                if let Some(found) = self.find(next, &mut find) {
                    return Some(found);
                }
                next = next.max(known);
                // The journal itself keeps the sender.
                length.changed().await.ok()?;
            }
        })
        .await
        .ok()
        .flatten()
    }
}
