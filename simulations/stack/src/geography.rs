//! Where machines are, and how far it is between them. One-way times between regions are half the round trips that public
//! measurements of large providers show between their sites; the way from home to the provider comes on top.

use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::time::Duration;

/// A part of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Region {
    /// Western Europe.
    Europe,
    /// The east of North America.
    AmericaEast,
    /// The west of North America.
    AmericaWest,
    /// South America.
    AmericaSouth,
    /// East Asia.
    Asia,
    /// Australia and around.
    Oceania,
}

impl Region {
    /// All of them, in the order of the table below.
    pub const ALL: [Self; 6] = [
        Self::Europe,
        Self::AmericaEast,
        Self::AmericaWest,
        Self::AmericaSouth,
        Self::Asia,
        Self::Oceania,
    ];

    const fn index(self) -> usize {
        match self {
            Self::Europe => 0,
            Self::AmericaEast => 1,
            Self::AmericaWest => 2,
            Self::AmericaSouth => 3,
            Self::Asia => 4,
            Self::Oceania => 5,
        }
    }

    /// The time from one region to another, one way.
    #[must_use]
    pub fn way_to(self, other: Self) -> Duration {
        let row = WAYS.get(self.index());
        let millis = row.and_then(|row| row.get(other.index())).copied().unwrap_or(0);
        Duration::from_millis(millis)
    }
}

/// Milliseconds one way, from row to column.
const WAYS: [[u64; 6]; 6] = [
    [8, 42, 72, 95, 115, 130],
    [42, 8, 32, 58, 85, 100],
    [72, 32, 8, 88, 55, 70],
    [95, 58, 88, 10, 130, 155],
    [115, 85, 55, 130, 15, 60],
    [130, 100, 70, 155, 60, 10],
];

/// What stands between a machine and the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nat {
    /// Nothing: whoever knows the address can dial it.
    Open,
    /// A router that lets in only those to whom something was sent within the last minute.
    Restricted,
    /// A router that lets nobody in.
    Closed,
}

/// What a machine is attached to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Access {
    /// Where.
    pub region: Region,
    /// From here to the provider, one way.
    pub delay: Duration,
    /// Bytes a second that can be sent.
    pub up: u64,
    /// Bytes a second that can be received.
    pub down: u64,
    /// Of a thousand packets, so many are lost.
    pub lost_per_mille: u16,
    /// What lets others in.
    pub nat: Nat,
}

impl Access {
    /// A machine in a data centre.
    #[must_use]
    pub const fn hosted(region: Region) -> Self {
        Self {
            region,
            delay: Duration::from_micros(500),
            up: 125_000_000,
            down: 125_000_000,
            lost_per_mille: 0,
            nat: Nat::Open,
        }
    }

    /// A machine at home: 20 Mbit/s up, 100 Mbit/s down.
    #[must_use]
    pub const fn home(region: Region, nat: Nat) -> Self {
        Self {
            region,
            delay: Duration::from_millis(8),
            up: 2_500_000,
            down: 12_500_000,
            lost_per_mille: 1,
            nat,
        }
    }

    /// The address of the machine with this number: `10.<region and NAT>.<number>`, so that it tells both to whoever reads it.
    #[must_use]
    pub fn ip(&self, number: u16) -> Ipv4Addr {
        let nat = match self.nat {
            Nat::Open => 0,
            Nat::Restricted => 1,
            Nat::Closed => 2,
        };
        let region = u8::try_from(self.region.index()).unwrap_or(0);
        let [high, low] = number.to_be_bytes();
        Ipv4Addr::new(10, region * 16 + nat, high, low)
    }
}
