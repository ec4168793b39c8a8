//! What people do and what goes wrong while they do it: drawn from the seed before it begins, and done when its time has come.

use crate::draw::{Draw, draw};
use rand_chacha::ChaCha20Rng;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Between two changes of one person's presence, on average.
const CHANGES: Duration = Duration::from_secs(60);

/// Between two messages of one person, on average.
const MESSAGES: Duration = Duration::from_secs(90);

/// Between two faults of each kind, on average, in a town of ten. In larger ones there are more.
const FAULTS: Duration = Duration::from_secs(40);

/// The shortest time that something is away or cut off.
const SHORTEST: Duration = Duration::from_secs(2);

/// The longest. Longer than a lease without a witness is.
const LONGEST: Duration = Duration::from_secs(120);

/// One thing that happens. Machines are numbered: people first, then relays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Act {
    /// A person says how they are.
    Change(usize),
    /// A person writes to a contact.
    Write(usize),
    /// A node says goodbye and ends.
    Stop(usize),
    /// A process is killed.
    Kill(usize),
    /// A machine loses power.
    CutPower(usize),
    /// A disk is full: the node ends with what it writes next.
    FillDisk(usize),
    /// It comes back.
    Start(usize),
    /// All connections of a machine are reset.
    Reset(usize),
    /// Nothing passes to and from a machine, until the end of the cut with this number.
    Stall(usize, usize),
    /// Nothing passes from one part of the world to another, until the end of the cut with this number. The way back is open.
    CutOneWay(usize),
    /// A cut ends.
    Heal(usize),
    /// A wall clock goes wrong by so many seconds.
    Skew(usize, i64),
}

/// Which kinds of things go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults {
    /// Nodes stop, are killed, lose power or find their disk full, and come back.
    pub churn: bool,
    /// Connections are reset and stall; parts of the world are cut off, one way or both.
    pub links: bool,
    /// Clocks are off by up to twenty seconds.
    pub clocks: bool,
}

impl Faults {
    /// All of them.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            churn: true,
            links: true,
            clocks: true,
        }
    }
}

/// Everything that happens in so long, in order.
pub(crate) fn schedule(
    random: &mut ChaCha20Rng,
    people: usize,
    relays: usize,
    time: Duration,
    faults: Faults,
) -> Vec<(Duration, Act)> {
    let mut acts = Vec::new();
    for person in 0..people {
        for (pace, act) in [(CHANGES, Act::Change(person)), (MESSAGES, Act::Write(person))] {
            let mut at = draw(random, pace);
            while at < time {
                acts.push((at, act));
                at += draw(random, pace * 2);
            }
        }
    }
    let machines = people + relays;
    let pace = FAULTS.mul_f64(10.0 / f64::from(u32::try_from(machines.max(10)).unwrap_or(u32::MAX)));
    let times = |random: &mut ChaCha20Rng| {
        let mut times = Vec::new();
        let mut at = draw(random, pace * 2);
        while at < time {
            times.push((at, SHORTEST + draw(random, LONGEST - SHORTEST)));
            at += draw(random, pace * 2);
        }
        times
    };
    if faults.churn {
        for kind in [Act::Stop, Act::Kill, Act::CutPower, Act::FillDisk] {
            for (at, lasts) in times(random) {
                let machine = random.below(machines);
                acts.push((at, kind(machine)));
                acts.push((at + lasts, Act::Start(machine)));
            }
        }
    }
    if faults.links {
        let mut cut = 0;
        for (at, _) in times(random) {
            acts.push((at, Act::Reset(random.below(machines))));
        }
        for (at, lasts) in times(random) {
            acts.push((at, Act::Stall(random.below(machines), cut)));
            acts.push((at + lasts, Act::Heal(cut)));
            cut += 1;
        }
        for (at, lasts) in times(random) {
            acts.push((at, Act::CutOneWay(cut)));
            acts.push((at + lasts, Act::Heal(cut)));
            cut += 1;
        }
    }
    if faults.clocks {
        for (at, _) in times(random) {
            let off = i64::try_from(random.below(41)).unwrap_or(0) - 20;
            acts.push((at, Act::Skew(random.below(machines), off)));
        }
    }
    acts.sort_unstable();
    // What ends later than the rest ends with it.
    acts.retain(|(at, _)| *at < time);
    acts
}
