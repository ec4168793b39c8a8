//! How long things take between two nodes. One way takes half of all packets the time that the scenario says for near or far;
//! the others are spread around it by a log-normal distribution, which is what measured Internet paths look like. A line
//! that is narrow adds the time its bytes take.

use crate::Who;
use crate::random::Random;
use crate::scenario::NetworkSettings;

/// The quantile that `spread` is about: one in twenty is slower. In standard deviations of the normal distribution.
const ONE_IN_TWENTY: f64 = 1.645;

/// The latencies of a world.
#[derive(Debug)]
pub struct Latency {
    regions: u32,
    near: f64,
    far: f64,
    sigma: f64,
    /// Bytes per millisecond.
    line: Option<u64>,
    /// Milliseconds more each way, for those with slow lines.
    slow: std::collections::BTreeMap<Who, u64>,
}

impl Latency {
    /// Those of a scenario.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "milliseconds")]
    pub fn new(settings: &NetworkSettings) -> Self {
        Self {
            regions: settings.regions,
            near: settings.near.millis() as f64,
            far: settings.far.millis() as f64,
            sigma: settings.spread.max(1.0).ln() / ONE_IN_TWENTY,
            line: settings.line.map(|kilobytes| u64::from(kilobytes).max(1)),
            slow: std::collections::BTreeMap::new(),
        }
    }

    /// The region of a node: they are dealt out in turn.
    #[must_use]
    pub const fn region(&self, who: Who) -> u32 {
        who % self.regions
    }

    /// How long `bytes` take from one to the other.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number of milliseconds, capped"
    )]
    pub fn one_way(&self, from: Who, to: Who, bytes: usize, random: &mut Random) -> u64 {
        let half = if self.region(from) == self.region(to) {
            self.near
        } else {
            self.far
        };
        let drawn = (half * (self.sigma * random.normal()).exp()).min(60_000.0) as u64;
        let line = self.line.map_or(0, |line| bytes as u64 / line);
        let slow = |who| self.slow.get(&who).copied().unwrap_or(0);
        drawn.max(1) + line + slow(from) + slow(to)
    }

    /// The lines of a node are slower by so much each way; 0: no longer.
    pub fn set_slow(&mut self, who: Who, by: u64) {
        if by == 0 {
            self.slow.remove(&who);
        } else {
            self.slow.insert(who, by);
        }
    }
}
