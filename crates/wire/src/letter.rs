//! Letters: what an envelope carries besides messages. Signed by the sending device, naming both sides. docs/spec/letter.md.

use crate::blind::ReadKey;
use crate::card::SignedCard;
use crate::cbor::{self, CborError};
use crate::device_list::{DeviceList, DeviceListError, SignedDeviceList};
use crate::grant::SignedGrant;
use crate::ids::{DeviceId, PrincipalId, RandomId};
use crate::invite::InviteToken;
use crate::keys::DeviceKeys;
use crate::limits::{LETTER_BYTES, LETTERS_TAKEN, MAILBOXES, STAMPS};
use crate::mailbox::StampBatch;
use crate::name::{NameError, check_name};
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};

const LABEL: &str = "porchlight/letter/1";

/// What a letter says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterBody {
    /// First contact: who I am, how to reach me, and a grant of my own view unless told not to.
    Introduce {
        /// The invite's.
        token: InviteToken,
        /// What I call myself.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        name: Option<String>,
        /// Reads my card.
        card: ReadKey,
        /// My card as it is now, so that the answer needs no lookup.
        current: SignedCard,
        /// A view of mine for you.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        grant: Option<SignedGrant>,
        /// Stamps for my mailboxes.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        stamps: Vec<StampBatch>,
        /// A key of mine that begins one Olm session, for you alone.
        #[serde(with = "serde_bytes", skip_serializing_if = "Option::is_none", default)]
        one_time: Option<[u8; 32]>,
    },
    /// A view of mine for you.
    Grant {
        /// Reads my card.
        card: ReadKey,
        /// My card as it is now.
        current: SignedCard,
        /// What I call myself.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        name: Option<String>,
        /// The grant.
        grant: SignedGrant,
        /// Stamps for my mailboxes.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        stamps: Vec<StampBatch>,
        /// A key of mine that begins one Olm session, for you alone.
        #[serde(with = "serde_bytes", skip_serializing_if = "Option::is_none", default)]
        one_time: Option<[u8; 32]>,
    },
    /// Your view went silent: please send me its current generation.
    Renew {},
    /// I ended what I granted you.
    Ended {
        /// Orders it among the sender's grants: of what was said of access, the highest holds.
        #[serde(default)]
        sequence: u64,
    },
    /// About mailboxes: never answered by itself, except that whoever wants stamps gets some.
    Post {
        /// Stamps for mine.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        stamps: Vec<StampBatch>,
        /// Mine for yours run low.
        #[serde(skip_serializing_if = "is_false", default)]
        wanted: bool,
        /// Letters of yours that I took out of mine.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        taken: Vec<RandomId>,
    },
    /// I refuse what you asked.
    Refused {
        /// Why.
        reason: RefusalReason,
        /// As in [`Ended`](Self::Ended).
        #[serde(default)]
        sequence: u64,
    },
}

/// Why something was refused by letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// The invite's uses are spent.
    InviteUsedUp,
    /// The invite has ended.
    InviteExpired,
    /// The invite is not known.
    InviteUnknown,
    /// It is not wanted.
    Refused,
}

/// A letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Names it among the sender's.
    pub id: RandomId,
    /// Who wrote it.
    pub from: PrincipalId,
    /// On which device.
    pub from_device: DeviceId,
    /// For whom.
    pub to: PrincipalId,
    /// For which device.
    pub to_device: DeviceId,
    /// When it was written.
    pub created: UnixMillis,
    /// What it says.
    pub body: LetterBody,
}

impl Letter {
    /// Signs the letter and puts the sender's device list beside it.
    #[must_use]
    pub fn sign(&self, keys: &DeviceKeys, devices: &SignedDeviceList) -> SignedLetter {
        let letter = cbor::encode(self);
        let signature = keys.sign(LABEL, &letter);
        SignedLetter {
            devices: devices.clone(),
            letter,
            signature,
        }
    }
}

/// A letter as sent: the plaintext of an envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedLetter {
    /// The sender's devices.
    pub devices: SignedDeviceList,
    /// The deterministic CBOR of a [`Letter`].
    #[serde(with = "serde_bytes")]
    pub letter: Vec<u8>,
    /// The sending device's signature over it.
    #[serde(with = "serde_bytes")]
    pub signature: [u8; 64],
}

impl SignedLetter {
    /// The plaintext of an envelope.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// From the plaintext of an envelope. Verify before use.
    ///
    /// # Errors
    ///
    /// If the bytes are no letter.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LetterError> {
        Ok(cbor::decode(bytes, LETTER_BYTES)?)
    }

    /// Checks everything that can be checked without knowing the sender: the list, the signature, that the sender is the
    /// list's principal, and that the letter is for this recipient. Both sides stand inside what is signed, so a letter
    /// passed on to someone else, or in someone else's name, does not stand.
    ///
    /// # Errors
    ///
    /// Says what does not fit.
    pub fn verify(
        &self,
        to: &PrincipalId,
        to_device: &DeviceId,
        now: UnixMillis,
    ) -> Result<(Letter, DeviceList), LetterError> {
        let devices = self.devices.verify()?;
        let letter: Letter = cbor::decode(&self.letter, LETTER_BYTES)?;
        if letter.from != devices.principal {
            return Err(LetterError::OtherSender);
        }
        devices.signed_by(&letter.from_device, LABEL, &self.letter, &self.signature, now)?;
        if letter.to != *to || letter.to_device != *to_device {
            return Err(LetterError::OtherRecipient);
        }
        let (name, stamps, taken) = match &letter.body {
            LetterBody::Introduce { name, stamps, .. } | LetterBody::Grant { name, stamps, .. } => {
                (name.as_deref(), stamps.as_slice(), 0)
            }
            LetterBody::Post { stamps, taken, .. } => (None, stamps.as_slice(), taken.len()),
            LetterBody::Renew {} | LetterBody::Ended { .. } | LetterBody::Refused { .. } => (None, [].as_slice(), 0),
        };
        if let Some(name) = name {
            check_name(name)?;
        }
        let full = stamps.iter().any(|batch| batch.stamps.len() > STAMPS);
        if full || stamps.len() > MAILBOXES || taken > LETTERS_TAKEN {
            return Err(LetterError::TooMany);
        }
        Ok((letter, devices))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(it: &bool) -> bool {
    !*it
}

/// A letter that does not stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LetterError {
    /// The bytes are no letter.
    #[error("the letter cannot be read: {0}")]
    Unreadable(#[from] CborError),
    /// The list or the signature does not stand.
    #[error(transparent)]
    Devices(#[from] DeviceListError),
    /// It is written in the name of another than its device list is of.
    #[error("the letter's sender is not the principal of its device list")]
    OtherSender,
    /// It is for somebody else.
    #[error("the letter is for somebody else")]
    OtherRecipient,
    /// The sender's name is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// More stamps or letters taken than may be.
    #[error("expected at most {MAILBOXES} times {STAMPS} stamps, and {LETTERS_TAKEN} letters taken")]
    TooMany,
}

#[cfg(test)]
#[path = "letter/tests.rs"]
mod tests;
