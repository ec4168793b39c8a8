//! What the core keeps on disk. Every row is a keyed value; `store` seals and stores it without looking inside.

mod mailboxes;
mod own;

pub use mailboxes::{
    BatchContents, BodyRow, DepositRow, Item, KeptRow, LeftRow, MailboxRow, ParcelRow, SpentRow, StampsRow, TakenRow,
    Tier,
};
pub use own::{OwnPresenceRow, OwnState, OwnTuple, Status};

use crate::event::{Event, FirstContactProblem, Source};
use crate::reply::Reply;
use porchlight_wire::blind::{BlindedKey, GenerationKey, ReadKey};
use porchlight_wire::card::SignedCard;
use porchlight_wire::device_list::SignedDeviceList;
use porchlight_wire::envelope::EnvelopeSecretKey;
use porchlight_wire::frame::Admission;
use porchlight_wire::grant::Right;
use porchlight_wire::ids::{PrincipalId, RandomId};
use porchlight_wire::invite::InviteToken;
use porchlight_wire::keys::DeviceKeys;
use porchlight_wire::letter::LetterBody;
use porchlight_wire::presence::PresenceState;
use porchlight_wire::time::UnixMillis;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::BTreeSet;

/// Who this node speaks for. Written once, when the home is made. The root key is not here: it is sealed apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The principal.
    pub principal: PrincipalId,
    /// The newest device list.
    pub devices: SignedDeviceList,
    /// This device's keys.
    pub device: DeviceKeys,
    /// Opens envelopes.
    pub envelope: EnvelopeSecretKey,
    /// Since when it is that one.
    #[serde(default)]
    pub envelope_since: UnixMillis,
    /// Those before it, the newest first: something sealed to them may still come.
    #[serde(default)]
    pub retired: Vec<RetiredKey>,
    /// The card's generation.
    pub card: GenerationKey,
}

/// A key for envelopes that no card names any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetiredKey {
    /// The key.
    pub key: EnvelopeSecretKey,
    /// Since when it is replaced.
    pub since: UnixMillis,
}

/// How much of the document a view shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Projection {
    /// All of it.
    Full,
    /// The status, in one of four words; nothing else.
    StatusOnly,
}

/// How much a view tells of where our node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ReachLevel {
    /// Nothing.
    None,
    /// The relays it is connected to.
    Relay,
    /// Its addresses, and the relays: its watchers can follow here.
    Direct,
}

/// A view with its current generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewRow {
    /// Its name: the key.
    pub name: String,
    /// Counts the generations up.
    pub generation: u64,
    /// The current generation.
    pub key: GenerationKey,
    /// What it shows.
    pub projection: Projection,
    /// What grants of it carry. Without [`Right::Subscribe`] it is in the DHT only, for those who ask.
    pub rights: BTreeSet<Right>,
    /// What its watchers see instead of the usual; none: nothing.
    #[serde(default)]
    pub own: Option<OwnPresenceRow>,
    /// How much it tells of where our node is; none: as usual for such a view.
    #[serde(default)]
    pub reach: Option<ReachLevel>,
}

impl ViewRow {
    /// Whether it is the view of those who are to see nothing: its grants carry no right, and it is never published.
    #[must_use]
    pub fn shows_nothing(&self) -> bool {
        self.rights.is_empty()
    }
}

/// An invite of ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InviteRow {
    /// Names it: the key.
    pub id: RandomId,
    /// Admits an introduction.
    pub token: InviteToken,
    /// The generation of its invite record.
    pub record: GenerationKey,
    /// The generation of its temporary view.
    pub temporary: GenerationKey,
    /// The view its users are granted.
    pub view: String,
    /// How many may use it in all.
    pub uses: u32,
    /// Who has.
    pub used_by: BTreeSet<PrincipalId>,
    /// Who may not, or not again: they were removed while it was there.
    pub barred: BTreeSet<PrincipalId>,
    /// When it was made.
    pub created: UnixMillis,
    /// When it ends.
    pub expires: UnixMillis,
}

impl InviteRow {
    /// How many more may use it.
    #[must_use]
    pub fn uses_left(&self) -> u32 {
        self.uses
            .saturating_sub(u32::try_from(self.used_by.len()).unwrap_or(u32::MAX))
    }
}

/// The state of our subscription to a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SubscriptionState {
    /// We read the inviter's temporary view until the real one is granted.
    Provisional,
    /// We asked and wait for the grant.
    Pending,
    /// Granted, and notified.
    Active,
    /// Granted, but the view went silent.
    Stale,
    /// Ended by them.
    Cancelled,
    /// Refused by them.
    Refused,
}

/// A view of theirs that we hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldView {
    /// Finds and reads it.
    pub read: ReadKey,
    /// Which generation of it, by their count. 0: an invite's temporary view.
    pub generation: u64,
    /// The sequence of the grant it came by: a lower one never replaces a higher one.
    pub sequence: u64,
    /// What we may do with it.
    pub rights: BTreeSet<Right>,
    /// When the right ends.
    pub not_after: UnixMillis,
    /// It is the public view, found by their identity sheet; nobody granted it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub public: bool,
}

/// A view of ours that they hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GrantedView {
    /// Which view.
    pub view: String,
    /// Which of its generations.
    pub generation: u64,
    /// The grant.
    pub grant: RandomId,
    /// When it ends.
    pub not_after: UnixMillis,
    /// What it carries; none, in rows of before this was kept: what the view's grants carry. Without any right it shows nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rights: Option<BTreeSet<Right>>,
}

impl GrantedView {
    /// Whether who holds it can see anything by it.
    #[must_use]
    pub fn shows(&self) -> bool {
        self.rights.as_ref().is_none_or(|rights| !rights.is_empty())
    }
}

/// A contact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContactRow {
    /// Who: the key.
    pub principal: PrincipalId,
    /// Our petname; unique.
    pub name: String,
    /// What they call themselves.
    pub told_name: Option<String>,
    /// Since when.
    pub added: UnixMillis,
    /// Reads their card.
    pub card_key: ReadKey,
    /// Their card as last verified.
    pub card: SignedCard,
    /// What we hold of theirs.
    pub held: Option<HeldView>,
    /// What they hold of ours.
    pub granted: Option<GrantedView>,
    /// Our subscription; none: not subscribed.
    pub subscription: Option<SubscriptionState>,
    /// The highest sequence of what they said of our access: what is lower was said before it.
    #[serde(default)]
    pub access_sequence: u64,
    /// What is in the way of first contact.
    pub problem: Option<FirstContactProblem>,
    /// Every how many milliseconds we ask for their presence; none: not on a schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<u64>,
    /// Since when we have made sure that they are who they say; none: we have not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<UnixMillis>,
    /// A key of ours that begins one Olm session, as they were given it.
    #[serde(with = "serde_bytes", default, skip_serializing_if = "Option::is_none")]
    pub given: Option<[u8; 32]>,
    /// A key of theirs that begins one Olm session, while none has begun.
    #[serde(with = "serde_bytes", default, skip_serializing_if = "Option::is_none")]
    pub one_time: Option<[u8; 32]>,
    /// Their messages are not taken; and whether they are not to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<bool>,
}

impl ContactRow {
    /// Whether all that binds us is their public view: they do not know us.
    #[must_use]
    pub fn is_public_only(&self) -> bool {
        self.granted.is_none() && self.held.as_ref().is_some_and(|held| held.public)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(it: &bool) -> bool {
    !*it
}

/// One who was removed and is still to be told so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FormerRow {
    /// Who: the key.
    pub principal: PrincipalId,
    /// What our petname for them was.
    pub name: String,
    /// Reads their card.
    pub card_key: ReadKey,
    /// Their card as last verified.
    pub card: SignedCard,
}

/// The last record of a generation that was ended, until the network has it. The key that signed it is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClosingRow {
    /// Its address: the key.
    pub pk: BlindedKey,
    /// The beacon.
    pub beacon: ByteBuf,
}

/// A letter that waits to be delivered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LetterRow {
    /// Names it: the key.
    pub id: RandomId,
    /// To whom.
    pub to: PrincipalId,
    /// What it says.
    pub body: LetterBody,
    /// What lets it in.
    pub admission: Admission,
    /// When it was written.
    pub created: UnixMillis,
}

/// The newest record of a contact's presence that was seen: what was merely observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObservedRow {
    /// Whose: the key.
    pub principal: PrincipalId,
    /// Of which generation of their view; sequences are compared within it.
    pub generation: u64,
    /// The record's sequence.
    pub sequence: u64,
    /// What it said.
    pub state: PresenceState,
    /// How it came.
    pub source: Source,
    /// When it first came, by our wall clock.
    pub received: UnixMillis,
}

/// An event with its number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventRow {
    /// Its number: the key; strictly increasing.
    pub number: u64,
    /// When.
    pub at: UnixMillis,
    /// What.
    pub event: Event,
}

/// A named reader of events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConsumerRow {
    /// Its name: the key.
    pub name: String,
    /// Up to where it has acknowledged.
    pub acknowledged: u64,
    /// When it last did.
    pub seen: UnixMillis,
}

/// The answer that was given to a call with an idempotency key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerRow {
    /// The key.
    pub key: String,
    /// SHA-256 of the call that was answered: the key stands for no other.
    #[serde(with = "serde_bytes", default)]
    pub call: [u8; 32],
    /// When it was given.
    pub at: UnixMillis,
    /// The answer.
    pub reply: Reply,
}
