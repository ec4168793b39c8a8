//! The real clocks, read at the edge.

use porchlight_proto::{Clock, Instant};
use porchlight_wire::time::UnixMillis;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Gives the core its time.
pub trait TimeSource: Send + 'static {
    /// Both clocks, now.
    fn now(&self) -> Clock;

    /// Waits until the monotonic clock shows `at`.
    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + Send;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct RealTime {
    start: tokio::time::Instant,
}

impl RealTime {
    /// Starts counting.
    #[must_use]
    pub fn start() -> Self {
        Self {
            start: tokio::time::Instant::now(),
        }
    }
}

impl TimeSource for RealTime {
    fn now(&self) -> Clock {
        Clock {
            instant: Instant(millis(self.start.elapsed())),
            unix: unix_now(),
        }
    }

    async fn sleep_until(&self, at: Instant) {
        // One millisecond more, because both sides round down.
        tokio::time::sleep_until(self.start + Duration::from_millis(at.0 + 1)).await;
    }
}

/// The wall clock.
#[must_use]
pub fn unix_now() -> UnixMillis {
    UnixMillis(millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()))
}

/// Whole milliseconds.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A duration as people say it: `now`, `42 s`, `3 min`, `5 h`, `2 d`.
pub(crate) fn age(ms: u64) -> String {
    match ms / 1_000 {
        0 => "now".to_owned(),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// How long ago something was, as people say it.
pub(crate) fn ago(ms: u64) -> String {
    match ms {
        0..1_000 => "just now".to_owned(),
        ms => format!("{} ago", age(ms)),
    }
}
