//! [`Delay`] as futures-timer has it, on tokio's clock instead of a thread's: a paused clock drives it, so that libp2p's timers
//! run in virtual time. Only the workspace of simulations is built with it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// What counts as never: timers that are set further away than the clock can count.
const NEVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Is ready once its time is over, and stays so. To be made within a runtime.
pub struct Delay {
    sleep: Pin<Box<Sleep>>,
}

impl Delay {
    /// Over in so long from now.
    pub fn new(duration: Duration) -> Self {
        Self {
            sleep: Box::pin(sleep(duration)),
        }
    }

    /// Over in so long from now instead.
    pub fn reset(&mut self, duration: Duration) {
        let now = Instant::now();
        let at = now.checked_add(duration).unwrap_or_else(|| now + NEVER);
        self.sleep.as_mut().reset(at);
    }
}

impl Future for Delay {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.sleep.as_mut().poll(context)
    }
}

impl fmt::Debug for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Delay")
    }
}
