//! Two clocks, as values: one drives timers, the other judges expiry. The driver reads them; skew can be simulated.

use porchlight_wire::time::UnixMillis;

/// Milliseconds on a monotonic clock with an origin of its own (the start of the process). Drives timers and nothing
/// else: it means nothing after a restart or to another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(pub u64);

impl Instant {
    /// This instant plus `millis`, saturating.
    #[must_use]
    pub const fn plus(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this instant; 0 if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Clock {
    /// Monotonic time, for timers and for how long something was held.
    pub instant: Instant,
    /// Wall time, for what is written into records and read out of them.
    pub unix: UnixMillis,
}
