//! All chance of a world: one stream of draws from its seed.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Draws from a seed.
#[derive(Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// The stream of this seed; `what` makes streams of one seed differ.
    #[must_use]
    pub fn new(seed: u64, what: u64) -> Self {
        let mut bytes = [0; 32];
        let (first, rest) = bytes.split_at_mut(8);
        first.copy_from_slice(&seed.to_be_bytes());
        rest[..8].copy_from_slice(&what.to_be_bytes());
        Self(ChaCha8Rng::from_seed(bytes))
    }

    /// A number below `limit`; 0 if that is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        // The bias is below one in a billion for every limit used here.
        if limit == 0 { 0 } else { self.0.next_u64() % limit }
    }

    /// An index into something of this length.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    /// From 0 to below 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a float has")]
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether something happens that happens with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.unit() < probability
    }

    /// Milliseconds until the next of events that come by chance, so many milliseconds apart in the mean.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "milliseconds of a few years fit a float exactly, and the result is positive"
    )]
    pub fn wait(&mut self, mean: u64) -> u64 {
        let drawn = -(1.0 - self.unit()).ln() * mean as f64;
        (drawn as u64).max(1)
    }

    /// A draw of the standard normal distribution.
    pub fn normal(&mut self) -> f64 {
        let (radius, angle) = (1.0 - self.unit(), self.unit());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }

    /// 32 bytes, for a core's seed.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        seed
    }

    /// The generator itself, for keys.
    pub const fn generator(&mut self) -> &mut ChaCha8Rng {
        &mut self.0
    }
}
