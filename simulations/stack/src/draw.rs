//! Drawing from the seed.

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use std::time::Duration;

/// What can be drawn.
pub(crate) trait Draw {
    /// A number below this one; 0 if there is none.
    fn below(&mut self, bound: usize) -> usize;

    /// One of these; none if there are none.
    fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }
}

impl Draw for ChaCha20Rng {
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.next_u64() % bound).unwrap_or(0)
    }
}

/// A time up to this one.
pub(crate) fn draw(random: &mut ChaCha20Rng, most: Duration) -> Duration {
    let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX).max(1);
    Duration::from_micros(random.next_u64() % micros)
}
