//! Trying again: how often something was offered to somebody who may not be there, and when it is next. For letters, envelopes
//! for mailboxes, last records and messages. Volatile by intention: after a restart everything is due at once.

use crate::clock::Instant;
use crate::limits::RETRY_FIRST;
use rand_core::Rng;
use std::collections::BTreeMap;

/// How trying goes, for each of several things. What was never tried is due at once.
#[derive(Debug)]
pub(crate) struct Attempts<K>(BTreeMap<K, Attempt>);

#[derive(Debug, Default)]
struct Attempt {
    not_before: Instant,
    tries: u32,
    in_flight: bool,
}

impl<K> Default for Attempts<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> Attempts<K> {
    /// Whether it is to be tried now.
    pub(crate) fn is_due(&self, key: &K, now: Instant) -> bool {
        self.0
            .get(key)
            .is_none_or(|attempt| !attempt.in_flight && attempt.not_before <= now)
    }

    /// When it is to be tried; none while it is being tried.
    pub(crate) fn next(&self, key: &K, now: Instant) -> Option<Instant> {
        match self.0.get(key) {
            None => Some(now),
            Some(attempt) if attempt.in_flight => None,
            Some(attempt) => Some(attempt.not_before),
        }
    }

    /// Whether it was tried, or is to be later than at once.
    pub(crate) fn knows(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    /// How often it was tried.
    pub(crate) fn tries(&self, key: &K) -> u32 {
        self.0.get(key).map_or(0, |attempt| attempt.tries)
    }

    /// It is being tried.
    pub(crate) fn begin(&mut self, key: K) {
        let attempt = self.0.entry(key).or_default();
        attempt.in_flight = true;
        attempt.tries = attempt.tries.saturating_add(1);
    }

    /// It is tried at this time, and not before.
    pub(crate) fn at(&mut self, key: K, at: Instant) {
        let attempt = self.0.entry(key).or_default();
        attempt.in_flight = false;
        attempt.not_before = at;
    }

    /// It need not be tried before this time, unless it is being tried.
    pub(crate) fn rest(&mut self, key: &K, until: Instant) {
        if let Some(attempt) = self.0.get_mut(key)
            && !attempt.in_flight
        {
            attempt.not_before = attempt.not_before.max(until);
        }
    }

    /// What keeps it from being tried may be over.
    pub(crate) fn hurry(&mut self, key: &K) {
        if let Some(attempt) = self.0.get_mut(key) {
            attempt.not_before = Instant(0);
        }
    }

    /// The same for everything that was tried.
    pub(crate) fn hurry_all(&mut self) {
        for attempt in self.0.values_mut().filter(|attempt| attempt.tries > 0) {
            attempt.not_before = Instant(0);
        }
    }

    /// There is nothing more to try.
    pub(crate) fn forget(&mut self, key: &K) {
        self.0.remove(key);
    }
}

/// How long to wait after so many tries: twice as long each time, up to `last`; somewhere between that and half of it, so that those
/// who failed together do not come back together.
pub(crate) fn backoff(tries: u32, last: u64, rng: &mut impl Rng) -> u64 {
    // A shift by more would be beyond any bound.
    jittered(RETRY_FIRST.saturating_mul(1 << tries.min(16)).min(last), rng)
}

/// Somewhere between this and half of it.
pub(crate) fn jittered(wait: u64, rng: &mut impl Rng) -> u64 {
    let part = u64::from(rng.next_u32() % 1_000);
    wait / 2 + wait / 2 * part / 1_000
}
