//! What a run came to, as numbers.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long something took, over many times: milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// How many times.
    pub count: usize,
    /// The shortest.
    pub least: f64,
    /// Half took no longer.
    pub p50: f64,
    /// Nine of ten took no longer.
    pub p90: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// The longest.
    pub most: f64,
    /// At 0, 5, 10, … 100 per cent of all times, for whoever draws from the distribution.
    pub quantiles: Vec<f64>,
}

impl Spread {
    /// Of these.
    #[must_use]
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |per_mille: usize| -> f64 {
            let last = times.len().saturating_sub(1);
            let index = (last * per_mille).div_ceil(1_000);
            times.get(index).map_or(0.0, |time| round(time.as_secs_f64() * 1_000.0))
        };
        Self {
            count: times.len(),
            least: at(0),
            p50: at(500),
            p90: at(900),
            p99: at(990),
            most: at(1_000),
            quantiles: (0..=20).map(|twentieth| at(twentieth * 50)).collect(),
        }
    }
}

/// To a thousandth: more digits say nothing.
#[must_use]
pub fn round(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

/// What part of all these are; all, if there are none.
#[must_use]
pub fn part(of: usize, all: usize) -> f64 {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    if all == 0 { 1.0 } else { round(number(of) / number(all)) }
}

/// Bytes of memory that this process has, if the system says.
#[must_use]
pub fn memory() -> u64 {
    const PAGE: u64 = 4_096;
    let Ok(text) = std::fs::read_to_string("/proc/self/statm") else {
        return 0;
    };
    let pages: Option<u64> = text.split_whitespace().nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0) * PAGE
}
