//! What admits an envelope to a mailbox: a stamp, minted by the mailbox's owner under a key shared with the relay, or a proof of
//! work for those who have none. docs/spec/stamp.md.

use crate::beacon::{find_work, has_work};
use crate::hash::sha256;
use crate::mailbox::MailboxId;
use crate::network::Network;
use crate::time::UnixMillis;
use hmac::{Hmac, KeyInit, Mac};
use rand_core::CryptoRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

/// Bytes of a stamp.
pub const STAMP_BYTES: usize = 35;

/// What a stamp's code is over begins with this.
const LABEL: &[u8] = b"porchlight/stamp/1\0";

/// What a proof of work for an envelope is over begins with this.
const WORK: &[u8] = b"porchlight/mailbox-work/1\0";

/// Milliseconds of a day.
const DAY: u64 = 86_400_000;

/// A day, counted from 1970-01-01 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(pub u16);

impl Day {
    /// The day of this moment. Days beyond the year 2149 are all the last one.
    #[must_use]
    pub fn of(at: UnixMillis) -> Self {
        Self(u16::try_from(at.0 / DAY).unwrap_or(u16::MAX))
    }

    /// When it is over.
    #[must_use]
    pub fn end(self) -> UnixMillis {
        UnixMillis((u64::from(self.0) + 1) * DAY)
    }
}

/// What an envelope in a mailbox counts as. Each class has a quota of its own, so that a flood of one leaves the others room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// By somebody who has no stamp.
    Stranger,
    /// By a contact.
    Contact,
    /// By somebody who was invited.
    Invited,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Stranger, Self::Contact, Self::Invited];

    const fn byte(self) -> u8 {
        match self {
            Self::Stranger => 0,
            Self::Contact => 1,
            Self::Invited => 2,
        }
    }
}

/// The key under which a mailbox's owner mints stamps and its relay checks them.
#[derive(Clone)]
pub struct StampKey(Zeroizing<[u8; 32]>);

impl StampKey {
    /// A new one.
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut());
        Self(bytes)
    }

    /// The one of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A stamp for one envelope to `mailbox`, good until the end of `day`. `nonce` must never be used for another.
    #[must_use]
    pub fn mint(&self, mailbox: &MailboxId, nonce: [u8; 16], day: Day, class: Class) -> Stamp {
        let mut code = [0; 16];
        let mac = self.mac(mailbox, &nonce, day, class.byte()).finalize().into_bytes();
        code.copy_from_slice(mac.split_at(16).0);
        Stamp {
            nonce,
            day,
            class: class.byte(),
            code,
        }
    }

    /// The class that `stamp` admits to; none if it was not minted under this key for this mailbox. Whether its time is over,
    /// or it was used, is for the caller.
    #[must_use]
    pub fn class_of(&self, mailbox: &MailboxId, stamp: &Stamp) -> Option<Class> {
        let class = match stamp.class {
            1 => Class::Contact,
            2 => Class::Invited,
            _ => return None,
        };
        self.mac(mailbox, &stamp.nonce, stamp.day, stamp.class)
            .verify_truncated_left(&stamp.code)
            .ok()?;
        Some(class)
    }

    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    fn mac(&self, mailbox: &MailboxId, nonce: &[u8; 16], day: Day, class: u8) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice()).expect("any key will do");
        mac.update(LABEL);
        mac.update(mailbox.as_bytes());
        mac.update(nonce);
        mac.update(&day.0.to_be_bytes());
        mac.update(&[class]);
        mac
    }
}

impl fmt::Debug for StampKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StampKey(redacted)")
    }
}

impl PartialEq for StampKey {
    fn eq(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.0.as_slice(), other.0.as_slice()).into()
    }
}

impl Eq for StampKey {}

impl Serialize for StampKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0.as_slice())
    }
}

impl<'de> Deserialize<'de> for StampKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes: Zeroizing<[u8; 32]> = Zeroizing::new(serde_bytes::deserialize(deserializer)?);
        Ok(Self(bytes))
    }
}

/// Admits one envelope to one mailbox. Whoever has it can use it, so it is as secret as a key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    nonce: [u8; 16],
    day: Day,
    class: u8,
    code: [u8; 16],
}

impl Stamp {
    /// What tells it from others of its mailbox.
    #[must_use]
    pub const fn nonce(&self) -> &[u8; 16] {
        &self.nonce
    }

    /// The last day on which it is good.
    #[must_use]
    pub const fn day(&self) -> Day {
        self.day
    }

    /// Its 35 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; STAMP_BYTES] {
        let mut bytes = [0; STAMP_BYTES];
        let parts = self
            .nonce
            .into_iter()
            .chain(self.day.0.to_be_bytes())
            .chain([self.class])
            .chain(self.code);
        for (place, byte) in bytes.iter_mut().zip(parts) {
            *place = byte;
        }
        bytes
    }

    /// One by its bytes. Any 35 are one; whether it stands is for the relay to say.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; STAMP_BYTES]) -> Self {
        let mut stamp = Self {
            nonce: [0; 16],
            day: Day(0),
            class: 0,
            code: [0; 16],
        };
        let (nonce, rest) = bytes.split_at(16);
        let (day, rest) = rest.split_at(2);
        let (class, code) = rest.split_at(1);
        stamp.nonce.copy_from_slice(nonce);
        let mut number = [0; 2];
        number.copy_from_slice(day);
        stamp.day = Day(u16::from_be_bytes(number));
        stamp.class = class.first().copied().unwrap_or(0);
        stamp.code.copy_from_slice(code);
        stamp
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stamp(until {:?}, redacted)", self.day)
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.to_bytes())
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes: [u8; STAMP_BYTES] = serde_bytes::deserialize(deserializer)?;
        Ok(Self::from_bytes(&bytes))
    }
}

/// A proof of work, good on one day for one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayWork {
    /// The day it was done for.
    pub day: Day,
    /// What makes the hash begin with zeros.
    pub nonce: u64,
}

/// What a proof of work is over that admits this envelope to this mailbox on this day.
#[must_use]
pub fn deposit_challenge(mailbox: &MailboxId, day: Day, envelope: &[u8]) -> [u8; 32] {
    let parts = [WORK, mailbox.as_bytes(), &day.0.to_be_bytes(), &sha256(envelope)];
    sha256(&parts.concat())
}

/// Finds a nonce for a challenge among `tries` from `start`, as for the address of a beacon.
#[must_use]
pub fn find_day_work(challenge: &[u8; 32], bits: u8, start: u64, tries: u64) -> Option<u64> {
    find_work(challenge, bits, start, tries)
}

/// Whether `work` was done for `challenge`, and its day is today, or a day before or after, for clocks that differ.
#[must_use]
pub fn is_worked(challenge: &[u8; 32], work: &DayWork, network: &Network, now: UnixMillis) -> bool {
    is_about_today(work.day, now) && has_work(challenge, work.nonce, network.mailbox_work_bits())
}

/// Whether a day is today, yesterday or tomorrow.
#[must_use]
pub fn is_about_today(day: Day, now: UnixMillis) -> bool {
    day.0.abs_diff(Day::of(now).0) <= 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::MailboxKey;
    use proptest::prelude::*;

    const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

    fn mailbox(seed: u8) -> MailboxId {
        MailboxKey::from_bytes(&[seed; 32]).id()
    }

    fn stamp() -> Stamp {
        StampKey::from_bytes([7; 32]).mint(&mailbox(1), [3; 16], Day::of(NOW), Class::Contact)
    }

    #[test]
    fn a_stamp_admits_to_the_mailbox_and_class_it_was_minted_for() {
        let key = StampKey::from_bytes([7; 32]);
        assert_eq!(key.class_of(&mailbox(1), &stamp()), Some(Class::Contact));
        assert_eq!(key.class_of(&mailbox(2), &stamp()), None);
        assert_eq!(StampKey::from_bytes([8; 32]).class_of(&mailbox(1), &stamp()), None);
        for altered in 0..STAMP_BYTES {
            let mut bytes = stamp().to_bytes();
            bytes[altered] ^= 1;
            assert_eq!(
                key.class_of(&mailbox(1), &Stamp::from_bytes(&bytes)),
                None,
                "byte {altered}"
            );
        }
        // Strangers have no stamps, not even well-made ones.
        let stranger = key.mint(&mailbox(1), [3; 16], Day::of(NOW), Class::Stranger);
        assert_eq!(key.class_of(&mailbox(1), &stranger), None);
    }

    #[test]
    fn work_is_for_one_envelope_one_mailbox_and_one_day() {
        let network = Network::named(crate::network::DEFAULT_NETWORK).unwrap();
        let bits = network.mailbox_work_bits();
        let day = Day::of(NOW);
        let challenge = deposit_challenge(&mailbox(1), day, b"envelope");
        let nonce = find_day_work(&challenge, bits, 0, u64::MAX).unwrap();
        let work = DayWork { day, nonce };
        assert!(is_worked(&challenge, &work, &network, NOW));
        for other in [
            deposit_challenge(&mailbox(2), day, b"envelope"),
            deposit_challenge(&mailbox(1), day, b"another"),
            deposit_challenge(&mailbox(1), Day(day.0 + 1), b"envelope"),
        ] {
            assert!(!is_worked(&other, &work, &network, NOW));
        }
        assert!(is_worked(&challenge, &work, &network, NOW.plus(DAY)));
        assert!(!is_worked(&challenge, &work, &network, NOW.plus(2 * DAY)));
    }

    #[test]
    fn days_begin_at_midnight() {
        assert_eq!(Day::of(UnixMillis(DAY - 1)), Day(0));
        assert_eq!(Day::of(UnixMillis(DAY)), Day(1));
        assert_eq!(Day(0).end(), UnixMillis(DAY));
        assert_eq!(Day::of(UnixMillis(u64::MAX)), Day(u16::MAX));
    }

    #[test]
    fn secrets_do_not_show() {
        assert_eq!(format!("{:?}", StampKey::from_bytes([7; 32])), "StampKey(redacted)");
        assert!(format!("{:?}", stamp()).contains("redacted"));
    }

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Vector {
        key: String,
        mailbox: String,
        stamp: String,
        challenge: String,
    }

    #[test]
    fn vectors_are_as_committed() {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        let made = vec![Vector {
            key: hex(&[7; 32]),
            mailbox: hex(mailbox(1).as_bytes()),
            stamp: hex(&stamp().to_bytes()),
            challenge: hex(&deposit_challenge(&mailbox(1), Day::of(NOW), b"envelope")),
        }];
        crate::vectors::check("stamp", &made);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_stamp_and_none_stands(bytes in proptest::collection::vec(any::<u8>(), STAMP_BYTES)) {
            let bytes: [u8; STAMP_BYTES] = bytes.try_into().unwrap();
            let stamp = Stamp::from_bytes(&bytes);
            prop_assert_eq!(stamp.to_bytes(), bytes);
            prop_assert_eq!(StampKey::from_bytes([7; 32]).class_of(&mailbox(1), &stamp), None);
        }
    }
}
