//! The key that envelopes are sealed to: replaced every week, and kept for as long as something sealed to it may still come. Called
//! by `letters` for whatever comes in an envelope.

use crate::clock::Instant;
use crate::limits::{ENVELOPE_KEPT, ENVELOPE_LIFE, RETIRED_KEYS};
use crate::node::Node;
use crate::rows::RetiredKey;
use crate::step::Write;
use porchlight_wire::envelope::{self, EnvelopeError, EnvelopeSecretKey, Opened};

impl Node {
    /// Replaces the key when it is old, and forgets those that nothing can come for any more.
    pub(crate) fn keep_envelope_key(&mut self) {
        let now = self.clock.unix;
        let is_old = self.disk.identity.envelope_since.plus(ENVELOPE_LIFE) <= now;
        let over = |retired: &RetiredKey| retired.since.plus(ENVELOPE_KEPT) <= now;
        if !is_old && !self.disk.identity.retired.iter().any(over) {
            return;
        }
        let mut identity = self.disk.identity.clone();
        identity.retired.retain(|retired| !over(retired));
        if is_old {
            let key = std::mem::replace(&mut identity.envelope, EnvelopeSecretKey::random(&mut self.rng));
            identity.retired.insert(0, RetiredKey { key, since: now });
            identity.retired.truncate(RETIRED_KEYS);
            identity.envelope_since = now;
        }
        self.write(Write::PutIdentity(Box::new(identity)));
        self.touch_card();
    }

    /// When [`keep_envelope_key`](Self::keep_envelope_key) has something to do next.
    pub(crate) fn next_envelope_key(&self) -> Option<Instant> {
        let identity = &self.disk.identity;
        let ends = identity.retired.iter().map(|retired| retired.since.plus(ENVELOPE_KEPT));
        let next = ends.chain([identity.envelope_since.plus(ENVELOPE_LIFE)]).min();
        next.map(|at| self.instant_of(at))
    }

    /// Opens an envelope with the key of today, or one of those before. Nothing outside of an envelope says which it is for.
    pub(crate) fn open_envelope(&self, bytes: &[u8]) -> Result<Opened, EnvelopeError> {
        let identity = &self.disk.identity;
        let mut opened = envelope::open(bytes, &identity.envelope);
        for retired in &identity.retired {
            if !matches!(opened, Err(EnvelopeError::Sealed)) {
                break;
            }
            opened = envelope::open(bytes, &retired.key);
        }
        opened
    }
}
