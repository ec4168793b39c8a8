//! What all nodes of one named network agree on. The constants come from a built-in table by name, so that two nodes
//! never disagree in silence.

use serde::{Deserialize, Serialize};

/// The name of the network that a node joins unless told otherwise.
pub const DEFAULT_NETWORK: &str = "porchlight";

/// The name of the network that simulations are of: as the default one, without the work, which would only burn time there.
pub const SIMULATED_NETWORK: &str = "simulated";

/// Networks with constants of their own: name, bucket bits, work bits. Any other name means one topic and no work.
const TABLE: [(&str, u8, u8); 2] = [(DEFAULT_NETWORK, 6, 20), (SIMULATED_NETWORK, 6, 0)];

/// Characters of a network's name: it stands in protocol names and topics.
const NAME_MAX: usize = 32;

/// A network's name with its constants. Names: 1 to 32 characters of `a-z`, `0-9` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    name: String,
    bucket_bits: u8,
    work_bits: u8,
}

/// The name cannot be a network's name.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("'{0}' is no network name: expected 1 to 32 characters of a-z, 0-9 and '-'")]
pub struct NetworkNameError(pub String);

impl Network {
    /// The network called `name`. The default one has 2^6 topics and 20 bits of work, the one of simulations as many topics and no
    /// work, any other has one topic and no work.
    ///
    /// # Errors
    ///
    /// If the name is empty, too long or has other characters.
    pub fn named(name: &str) -> Result<Self, NetworkNameError> {
        let fits = (1..=NAME_MAX).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !fits {
            return Err(NetworkNameError(name.chars().take(NAME_MAX).collect()));
        }
        let (bucket_bits, work_bits) = TABLE
            .iter()
            .find(|(known, ..)| *known == name)
            .map_or((0, 0), |(_, bucket_bits, work_bits)| (*bucket_bits, *work_bits));
        Ok(Self {
            name: name.to_owned(),
            bucket_bits,
            work_bits,
        })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `b`: topics are numbered by the first `b` bits of SHA-256("topic" | pk).
    #[must_use]
    pub const fn bucket_bits(&self) -> u8 {
        self.bucket_bits
    }

    /// Leading zero bits asked of a beacon's proof of work.
    #[must_use]
    pub const fn work_bits(&self) -> u8 {
        self.work_bits
    }

    /// Leading zero bits asked of a proof of work that registers a mailbox, or admits an envelope without a stamp: four times the
    /// work of a beacon, because what it buys is room on somebody's disk.
    #[must_use]
    pub const fn mailbox_work_bits(&self) -> u8 {
        if self.work_bits == 0 { 0 } else { self.work_bits + 2 }
    }

    /// All topics of the network.
    pub fn topics(&self) -> impl Iterator<Item = TopicIndex> + use<> {
        (0..1_u16 << self.bucket_bits).map(TopicIndex)
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkNameError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::named(&name)
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.name
    }
}

/// The number of a gossip topic within a network: below 2^b.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TopicIndex(pub u16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_come_from_the_table() {
        let default = Network::named(DEFAULT_NETWORK).unwrap();
        assert_eq!((default.bucket_bits(), default.work_bits()), (6, 20));
        assert_eq!(default.topics().count(), 64);
        assert_eq!(default.mailbox_work_bits(), 22);
        let simulated = Network::named(SIMULATED_NETWORK).unwrap();
        assert_eq!((simulated.bucket_bits(), simulated.work_bits()), (6, 0));
        let other = Network::named("home-9").unwrap();
        assert_eq!((other.bucket_bits(), other.work_bits()), (0, 0));
        assert_eq!(other.topics().count(), 1);
        assert_eq!(other.mailbox_work_bits(), 0);
    }

    #[test]
    fn names_are_checked() {
        for name in ["", "Home", "a b", "a/b", &"a".repeat(33)] {
            assert!(Network::named(name).is_err(), "{name}");
        }
    }
}
