//! Rows about mailboxes: those of ours at relays, what is on its way to those of others, and, in the relay role, those that are
//! kept here.

use crate::messaging::rows::Owed;
use porchlight_wire::blind::BlindedKey;
use porchlight_wire::ids::{NodeAddress, PrincipalId, RandomId};
use porchlight_wire::mailbox::{MailboxAddress, MailboxId, MailboxKey, Pass, Quota, SignedVoucher, StampBatch};
use porchlight_wire::stamp::{Class, StampKey};
use porchlight_wire::time::UnixMillis;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// A mailbox of ours at a relay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MailboxRow {
    /// Which: the key.
    pub mailbox: MailboxId,
    /// Proves that it is ours.
    pub key: MailboxKey,
    /// Under which stamps for it are minted.
    pub stamp_key: StampKey,
    /// Who keeps it.
    pub relay: NodeAddress,
    /// Lets it be registered there.
    pub voucher: Option<SignedVoucher>,
    /// Until when it is registered; none: it is not yet.
    pub until: Option<UnixMillis>,
    /// What was in it, and may be, when it was registered last.
    pub quotas: Vec<Quota>,
}

/// Stamps for a contact's mailboxes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StampsRow {
    /// Whose: the key.
    pub contact: PrincipalId,
    /// Those that were not used, for each mailbox.
    pub books: Vec<StampBatch>,
}

/// What a parcel carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Item {
    /// A letter of the outbox.
    Letter(RandomId),
    /// Messages and receipts that were left together.
    Batch(RandomId),
}

/// Messages and receipts in one envelope.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BatchContents {
    /// The messages, in the order in which they were written.
    pub messages: Vec<RandomId>,
    /// The receipts.
    pub receipts: Owed,
    /// What is for one mailbox is left there in the order of these: nobody has to skip more keys than Olm keeps.
    pub order: u64,
}

/// An envelope on its way to one mailbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParcelRow {
    /// Names it: the key.
    pub id: RandomId,
    /// What is in it.
    pub item: Item,
    /// The messages and receipts in it; none of a letter.
    #[serde(default)]
    pub batch: Option<BatchContents>,
    /// Whom it is for.
    pub to: PrincipalId,
    /// Where it goes.
    pub at: MailboxAddress,
    /// What admits it; none while work is being done for it.
    pub pass: Option<Pass>,
    /// The envelope, the same each time it is offered; empty once it is stored.
    pub envelope: ByteBuf,
    /// Until when the relay keeps it; none: it has not said that it does.
    pub stored: Option<UnixMillis>,
}

/// A letter that was taken out of a mailbox: it comes again if the relay, or whoever else has the envelope, plays it back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TakenRow {
    /// Who wrote it: the first part of the key.
    pub from: PrincipalId,
    /// Its id: the second part.
    pub letter: RandomId,
    /// Until when it could come again.
    pub until: UnixMillis,
}

/// Why a mailbox is kept here: how much room it gets follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tier {
    /// The administrator listed its owner's node.
    Listed,
    /// The owner of another one vouched for it.
    Vouched {
        /// Which.
        by: MailboxId,
        /// By which voucher.
        voucher: RandomId,
    },
    /// Work was done for it.
    Worked,
}

/// A mailbox that is kept here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptRow {
    /// Which: the key.
    pub mailbox: MailboxId,
    /// Under which its owner mints stamps.
    pub stamp_key: StampKey,
    /// Why it is kept.
    pub tier: Tier,
    /// Until when.
    pub until: UnixMillis,
    /// The number of the envelope that came last.
    pub last: u64,
}

/// An envelope that waits here. Its bytes are beside it on disk, and not in memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DepositRow {
    /// In which mailbox: the first part of the key.
    pub mailbox: MailboxId,
    /// Its number there: the second part.
    pub number: u64,
    /// What it counts as.
    pub class: Class,
    /// How many bytes it has.
    pub bytes: u32,
    /// Until when it is kept.
    pub until: UnixMillis,
}

/// The bytes of an envelope that waits here. Kept outside the snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BodyRow {
    /// In which mailbox: the first part of the key.
    pub mailbox: MailboxId,
    /// Its number there: the second part.
    pub number: u64,
    /// The envelope.
    pub envelope: ByteBuf,
}

/// A record that the owner of a mailbox left here, to be put when its time comes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeftRow {
    /// Of which mailbox: the first part of the key.
    pub mailbox: MailboxId,
    /// Its address: the second part.
    pub pk: BlindedKey,
    /// The beacon.
    pub record: ByteBuf,
    /// When it is put.
    pub due: UnixMillis,
    /// When its time is over.
    pub until: UnixMillis,
}

/// What admitted an envelope here: it admits no other one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpentRow {
    /// To which mailbox: the first part of the key.
    pub mailbox: MailboxId,
    /// The stamp's nonce, or the beginning of the hash of an envelope that came with work: the second part.
    #[serde(with = "serde_bytes")]
    pub mark: [u8; 16],
    /// SHA-256 of the envelope.
    #[serde(with = "serde_bytes")]
    pub envelope: [u8; 32],
    /// What was answered: until when the envelope is kept.
    pub stored: UnixMillis,
    /// When it would be admitted no more anyway.
    pub until: UnixMillis,
}
