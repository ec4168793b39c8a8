//! How fast something may come: a bucket of tokens for each key. For records of one place, for places that one peer brings,
//! and for what strangers can make the task work out.

use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Records at one place that may come at once. A publisher sends five; this many still pass where a slow link has bunched them
/// up.
pub(crate) const RECORDS: u32 = 10;

/// Places that one peer may bring at once by put. A node with the most invites and views brings some 300 as it starts.
pub(crate) const PLACES: u32 = 512;

/// How often who is live may be worked out outside the rounds: a node that comes up and moves from relay to relay needs fewer,
/// and knows at once that it has a source.
pub(crate) const LIVE: u32 = 16;

/// How often one more may come.
const REFILL: Duration = Duration::from_secs(1);

/// Keys whose pace is remembered. More than fit on a relay's shelf cannot matter.
const PACED: usize = 131_072;

/// The pace of each key.
#[derive(Debug)]
pub(crate) struct Pace<K> {
    burst: u32,
    buckets: BTreeMap<K, (u32, Instant)>,
}

impl<K: Ord + Copy> Pace<K> {
    /// So many at once, and one more each second.
    pub(crate) const fn new(burst: u32) -> Self {
        Self {
            burst,
            buckets: BTreeMap::new(),
        }
    }

    /// Takes a token; false if there is none.
    pub(crate) fn allows(&mut self, key: K) -> bool {
        let now = Instant::now();
        if !self.buckets.contains_key(&key) && self.buckets.len() >= PACED {
            return false;
        }
        let (tokens, since) = self.buckets.entry(key).or_insert((self.burst, now));
        let earned = u32::try_from(now.duration_since(*since).as_millis() / REFILL.as_millis()).unwrap_or(u32::MAX);
        if earned > 0 {
            *tokens = tokens.saturating_add(earned).min(self.burst);
            *since = now;
        }
        if *tokens == 0 {
            return false;
        }
        *tokens -= 1;
        true
    }

    /// Forgets keys that have been silent long enough to have all their tokens back.
    pub(crate) fn sweep(&mut self) {
        let full_again = REFILL * self.burst;
        self.buckets.retain(|_, (_, since)| since.elapsed() < full_again);
    }
}
