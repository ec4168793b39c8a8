//! What is counted and timed in a run: traffic by kind and role, latencies as histograms over time, and how well what people see
//! agrees with what is so. Filled by `world`, shown by `report`, kept as JSON.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many steps of time the pictures have.
pub const BINS: usize = 60;

/// How many buckets a histogram has for each doubling: a bucket is some nine percent wide.
const PER_DOUBLING: f64 = 8.0;

/// What travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Traffic {
    /// Records by gossip.
    Gossip,
    /// Records to those who follow, at a relay or directly.
    Follow,
    /// Records put into the DHT.
    DhtPut,
    /// Lookups in the DHT, and their answers.
    DhtLookup,
    /// Letters and messages in envelopes over a connection.
    Envelope,
    /// Olm messages over a connection.
    Direct,
    /// Hellos.
    Hello,
    /// Everything about mailboxes.
    Mailbox,
    /// Pings, and what is said when a connection begins.
    Connection,
}

/// All kinds, in the order of pictures.
pub const TRAFFIC: [Traffic; 9] = [
    Traffic::Gossip,
    Traffic::Follow,
    Traffic::DhtPut,
    Traffic::DhtLookup,
    Traffic::Envelope,
    Traffic::Direct,
    Traffic::Hello,
    Traffic::Mailbox,
    Traffic::Connection,
];

impl Traffic {
    /// Its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gossip => "gossip",
            Self::Follow => "following",
            Self::DhtPut => "DHT, putting",
            Self::DhtLookup => "DHT, looking up",
            Self::Envelope => "envelopes",
            Self::Direct => "direct messages",
            Self::Hello => "hellos",
            Self::Mailbox => "mailboxes",
            Self::Connection => "connections",
        }
    }
}

/// How much travelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Frames or records.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Times in buckets that grow with them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    buckets: BTreeMap<u16, u64>,
    count: u64,
    total: u64,
    most: u64,
}

impl Histogram {
    /// Adds one, in milliseconds.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the logarithm of a positive number of 64 bits, times eight, fits 16 bits"
    )]
    pub fn add(&mut self, millis: u64) {
        let bucket = ((millis as f64 + 1.0).log2() * PER_DOUBLING) as u16;
        *self.buckets.entry(bucket).or_default() += 1;
        self.count += 1;
        self.total = self.total.saturating_add(millis);
        self.most = self.most.max(millis);
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The greatest.
    #[must_use]
    pub const fn most(&self) -> u64 {
        self.most
    }

    /// The mean.
    #[must_use]
    pub fn mean(&self) -> u64 {
        self.total.checked_div(self.count).unwrap_or(0)
    }

    /// The time that this part of all (0 to 1) does not exceed, up to the width of a bucket; none if there are none.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "numbers of things, and milliseconds"
    )]
    pub fn quantile(&self, part: f64) -> Option<u64> {
        let rank = (part * self.count as f64).ceil().max(1.0) as u64;
        let mut passed = 0;
        for (bucket, number) in &self.buckets {
            passed += number;
            if passed >= rank {
                let upper = (f64::from(*bucket + 1) / PER_DOUBLING).exp2() - 1.0;
                return Some((upper as u64).min(self.most));
            }
        }
        None
    }

    /// Takes another one in.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, number) in &other.buckets {
            *self.buckets.entry(*bucket).or_default() += number;
        }
        self.count += other.count;
        self.total = self.total.saturating_add(other.total);
        self.most = self.most.max(other.most);
    }
}

/// The same over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// Of the whole run.
    pub all: Histogram,
    /// Of each step of time.
    pub bins: BTreeMap<usize, Histogram>,
}

/// Who of two was right how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// Pairs of a watcher and a presentity who is there and says so that were looked at.
    pub there: u64,
    /// Of them, those that the watcher was shown as not there.
    pub falsely_offline: u64,
    /// Pairs whose presentity is gone.
    pub gone: u64,
    /// Of them, those that were still shown as there.
    pub still_open: u64,
}

/// Everything that is measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// Milliseconds of virtual time in one bin.
    pub bin: u64,
    /// From a change of presence to each watcher who was there being told.
    pub notification: Times,
    /// From a message being accepted to it being on the disk of a recipient who was there.
    pub delivery: Times,
    /// The same for recipients who were away: from when they came back.
    pub delivery_after_absence: Times,
    /// From a process being killed to each watcher being told that it is not there.
    pub crash_noticed: Times,
    /// Traffic sent by ordinary nodes, and by relays.
    pub sent: [BTreeMap<Traffic, Amount>; 2],
    /// Traffic received by the same.
    pub received: [BTreeMap<Traffic, Amount>; 2],
    /// Bytes sent by all ordinary nodes in each bin, by kind.
    pub bytes_over_time: BTreeMap<Traffic, Vec<u64>>,
    /// Agreement of what is shown with what is so, in each bin.
    pub agreement: Vec<Agreement>,
    /// Node-milliseconds that ordinary nodes were up.
    pub up_time: u64,
    /// Inputs handled by cores.
    pub inputs: u64,
    /// Steps with writes.
    pub commits: u64,
    /// Rows written.
    pub writes: u64,
    /// Messages accepted, and arrived.
    pub messages: (u64, u64),
    /// Deaths of processes.
    pub deaths: u64,
    /// Lookups in the DHT by ordinary nodes.
    pub lookups: u64,
}

impl Measures {
    /// For a run that lasts so long.
    #[must_use]
    pub fn new(lasts: u64) -> Self {
        Self {
            bin: (lasts / BINS as u64).max(1),
            agreement: vec![Agreement::default(); BINS + 1],
            ..Self::default()
        }
    }

    /// The bin of a time.
    #[must_use]
    pub fn bin_of(&self, now: u64) -> usize {
        usize::try_from(now / self.bin).unwrap_or(BINS).min(BINS)
    }

    /// Something went from one node to another; `relay` says which of the two are relays.
    pub fn travelled(&mut self, now: u64, what: Traffic, bytes: usize, (from, to): (bool, bool)) {
        self.travelled_times(now, what, bytes, 1, (from, to));
    }

    /// The same so many times.
    pub fn travelled_times(&mut self, now: u64, what: Traffic, bytes: usize, times: u64, (from, to): (bool, bool)) {
        let all = bytes as u64 * times;
        let sent = self.sent[usize::from(from)].entry(what).or_default();
        sent.count += times;
        sent.bytes += all;
        let received = self.received[usize::from(to)].entry(what).or_default();
        received.count += times;
        received.bytes += all;
        if !from {
            let bin = self.bin_of(now);
            let over_time = self.bytes_over_time.entry(what).or_insert_with(|| vec![0; BINS + 1]);
            over_time[bin] += all;
        }
    }

    /// Bytes that an ordinary node sends and receives in an hour, by kind.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "bytes for a picture")]
    pub fn bytes_per_node_hour(&self) -> BTreeMap<Traffic, f64> {
        let hours = self.up_time as f64 / 3_600_000.0;
        let bytes =
            |table: &BTreeMap<Traffic, Amount>, what: &Traffic| table.get(what).map_or(0, |amount| amount.bytes);
        TRAFFIC
            .iter()
            .map(|what| {
                let both = bytes(&self.sent[0], what) + bytes(&self.received[0], what);
                (*what, if hours > 0.0 { both as f64 / hours } else { 0.0 })
            })
            .collect()
    }

    /// How often somebody who is there is shown as not there, of all who are there.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts for a rate")]
    pub fn false_offline_rate(&self) -> Option<f64> {
        let there: u64 = self.agreement.iter().map(|bin| bin.there).sum();
        let falsely: u64 = self.agreement.iter().map(|bin| bin.falsely_offline).sum();
        (there > 0).then(|| falsely as f64 / there as f64)
    }
}

impl Times {
    /// Adds one that ended now.
    pub fn add(&mut self, bin: usize, millis: u64) {
        self.all.add(millis);
        self.bins.entry(bin).or_default().add(millis);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_a_bucket() {
        let mut histogram = Histogram::default();
        for millis in 1..=1_000 {
            histogram.add(millis);
        }
        for (part, exact) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0)] {
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let told = histogram.quantile(part).unwrap() as f64;
            assert!(told >= exact && told <= exact * 1.1 + 1.0, "{part}: {told}");
        }
        assert_eq!(histogram.quantile(1.0), Some(1_000));
        assert_eq!(
            (histogram.count(), histogram.most(), histogram.mean()),
            (1_000, 1_000, 500)
        );
        assert_eq!(Histogram::default().quantile(0.5), None);
    }
}
