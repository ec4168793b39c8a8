//! What messaging keeps on disk. As with all rows, `store` seals and stores them without looking inside.

use porchlight_wire::cbor;
use porchlight_wire::content::OlmPacket;
use porchlight_wire::ids::{DeviceId, NodeId, PrincipalId, RandomId};
use porchlight_wire::message::{Gone, Message};
use porchlight_wire::time::UnixMillis;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteBuf;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use vodozemac::olm::Session;

/// This device's Olm account (a single row).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRow {
    /// vodozemac's account with its secret keys.
    pub pickle: ByteBuf,
    /// Its identity key.
    #[serde(with = "serde_bytes")]
    pub identity: [u8; 32],
    /// Its newest fallback key.
    #[serde(with = "serde_bytes")]
    pub fallback: [u8; 32],
    /// Since when that is the newest.
    pub fallback_since: UnixMillis,
}

/// Names an Olm session: the other device, and what both ends work out from the keys it began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SessionKey {
    /// The other device.
    pub device: DeviceId,
    /// The session among those with that device.
    #[serde(with = "serde_bytes")]
    pub session: [u8; 32],
}

/// An Olm session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRow {
    /// Names it: the key.
    pub key: SessionKey,
    /// Whose device the other one is.
    pub principal: PrincipalId,
    /// vodozemac's session with its secret keys.
    pub pickle: SessionPickle,
    /// When it began.
    pub began: UnixMillis,
    /// When something was last opened with it; none: never. What was heard last is what is written with.
    pub heard: Option<UnixMillis>,
    /// The other side could not open what was written with it: it is read with and not written with any more.
    pub broken: bool,
}

/// An Olm session as it stands in a row: the bytes that were on disk, or the session itself once it was used. It is encoded when the
/// row is stored, and not for each message: of several writes in one transaction only the last is.
#[derive(Clone)]
pub enum SessionPickle {
    /// As it was read.
    Bytes(ByteBuf),
    /// As it was left when it was used last.
    Session(Arc<Session>),
}

impl SessionPickle {
    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.to_vec(),
            Self::Session(session) => cbor::encode_own(&session.pickle()),
        }
    }
}

impl fmt::Debug for SessionPickle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionPickle")
    }
}

impl PartialEq for SessionPickle {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Session(one), Self::Session(other)) if Arc::ptr_eq(one, other) => true,
            _ => self.to_bytes() == other.to_bytes(),
        }
    }
}

impl Eq for SessionPickle {}

impl Serialize for SessionPickle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.to_bytes())
    }
}

impl<'de> Deserialize<'de> for SessionPickle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ByteBuf::deserialize(deserializer).map(Self::Bytes)
    }
}

/// How a message may travel, as its sender wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryPolicy {
    /// Only over a connection to the recipient's own node; never left with a relay.
    pub direct_only: bool,
    /// At how many of the recipient's relays it is left.
    pub copies: usize,
}

/// How far a message of ours has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MessageState {
    /// It waits on our disk.
    Queued,
    /// The recipient's node took it, and its receipt has not come yet.
    Sent,
    /// Relays keep it for the recipient.
    Stored {
        /// Which.
        relays: BTreeSet<NodeId>,
        /// Until when.
        until: UnixMillis,
    },
    /// It is on the recipient's disk: there is a receipt.
    Delivered,
    /// The recipient says that it was read.
    Read,
    /// It will not be delivered.
    Failed(FailureReason),
    /// No receipt came before its time was over. It may have arrived all the same if it was sent or stored before.
    Expired,
    /// We took it back. It may have arrived all the same if it was sent or stored before.
    Cancelled,
}

/// Why a message will not be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureReason {
    /// The recipient does not know us (any more).
    NotAdmitted,
    /// The recipient does not take messages from us.
    Refused,
    /// The recipient's node could not make sense of it.
    Invalid,
    /// The recipient is no contact any more.
    Removed,
}

/// A message of ours that is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxRow {
    /// The message. Its id is the key.
    pub message: Message,
    /// Its number among all messages kept here.
    pub number: u64,
    /// How it may travel.
    pub policy: DeliveryPolicy,
    /// How far it has come.
    pub state: MessageState,
}

/// A message of ours as it is sent: the same Olm message at each try, in an envelope of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedRow {
    /// The message: the key.
    pub id: RandomId,
    /// The session it was encrypted with.
    pub session: SessionKey,
    /// The Olm message.
    pub packet: OlmPacket,
}

/// A message as it is kept for good, sent or received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRow {
    /// Its number: the key. In the order in which messages were written or shown here.
    pub number: u64,
    /// The contact it is from or for.
    pub contact: PrincipalId,
    /// Whether we wrote it.
    pub outgoing: bool,
    /// The message.
    pub message: Message,
    /// When it was written or came.
    pub at: UnixMillis,
    /// Something may be missing before it: what came before it had not come when it was shown.
    pub after_gap: bool,
    /// The device whose signature on it was checked; none: it is not signed.
    pub signed_by: Option<DeviceId>,
}

/// How far a message of ours has come, beside the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageStateRow {
    /// The message's number: the key.
    pub number: u64,
    /// How far.
    pub state: MessageState,
    /// Since when.
    pub since: UnixMillis,
}

/// What is known of the messages to and from one contact, beside the messages themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationRow {
    /// With whom: the key.
    pub principal: PrincipalId,
    /// The last message we wrote: the one before the next.
    pub last_sent: Option<RandomId>,
    /// Messages of ours that will never come though others may name them as the one before, each with the number of the
    /// newest message when it went.
    pub gone: Vec<(Gone, u64)>,
    /// Messages that were delivered and not read as far as we were told, with their numbers; the newest ones.
    #[serde(with = "numbered_ids")]
    pub unread_there: Vec<(RandomId, u64)>,
    /// Messages that came and were not marked as read, with their numbers; the newest ones.
    #[serde(with = "numbered_ids")]
    pub unread: Vec<(RandomId, u64)>,
    /// How many came since one was last marked as read.
    pub unread_count: u64,
    /// Up to which number everything was marked as read.
    pub read_to: u64,
    /// Receipts we owe.
    pub owed: Owed,
    /// The last message shown of each of their devices.
    pub shown: BTreeMap<DeviceId, RandomId>,
}

impl ConversationRow {
    /// One that begins.
    #[must_use]
    pub const fn new(principal: PrincipalId) -> Self {
        Self {
            principal,
            last_sent: None,
            gone: Vec::new(),
            unread_there: Vec::new(),
            unread: Vec::new(),
            unread_count: 0,
            read_to: 0,
            owed: Owed {
                delivered: BTreeSet::new(),
                read: BTreeSet::new(),
            },
            shown: BTreeMap::new(),
        }
    }
}

/// Ids with numbers as one string of bytes: a row with hundreds of them is written with each message. They are also read as a list.
mod numbered_ids {
    use porchlight_wire::ids::RandomId;
    use serde::de::{Error, SeqAccess, Visitor};
    use serde::{Deserializer, Serializer};
    use std::fmt;

    const ID: usize = 16;
    const ENTRY: usize = ID + 8;

    pub(super) fn serialize<S: Serializer>(ids: &[(RandomId, u64)], serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::with_capacity(ids.len() * ENTRY);
        for (id, number) in ids {
            bytes.extend(id.as_bytes());
            bytes.extend(number.to_be_bytes());
        }
        serializer.serialize_bytes(&bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(RandomId, u64)>, D::Error> {
        deserializer.deserialize_byte_buf(NumberedIds)
    }

    struct NumberedIds;

    impl<'de> Visitor<'de> for NumberedIds {
        type Value = Vec<(RandomId, u64)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("ids of 16 bytes, each with a number of 8")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
            let (entries, rest) = bytes.as_chunks::<ENTRY>();
            if !rest.is_empty() {
                return Err(E::invalid_length(bytes.len(), &self));
            }
            let entry = |entry: &[u8; ENTRY]| {
                let (id, number) = entry.split_first_chunk::<ID>()?;
                let number = <[u8; 8]>::try_from(number).ok()?;
                Some((RandomId::from_bytes(*id), u64::from_be_bytes(number)))
            };
            Ok(entries.iter().filter_map(entry).collect())
        }

        fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Self::Value, E> {
            self.visit_bytes(&bytes)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut ids = Vec::new();
            while let Some(entry) = list.next_element()? {
                ids.push(entry);
            }
            Ok(ids)
        }
    }
}

/// Receipts that were not confirmed to have arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    /// Messages that are on our disk.
    pub delivered: BTreeSet<RandomId>,
    /// Messages that were read.
    pub read: BTreeSet<RandomId>,
}

impl Owed {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.delivered.is_empty() && self.read.is_empty()
    }
}

/// Names a message among those of all devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// The device that sent it.
    pub device: DeviceId,
    /// Its id.
    pub id: RandomId,
}

/// A message that was accepted, until it has expired: it is not accepted again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenRow {
    /// Which: the key.
    pub origin: Origin,
    /// Whose device it is from.
    pub principal: PrincipalId,
    /// The beginning of SHA-256 of the Olm message it came in: the same bytes again cannot be opened again.
    #[serde(with = "serde_bytes")]
    pub hash: [u8; 16],
    /// Until when it could come again.
    pub until: UnixMillis,
    /// It was dropped, as its sender is blocked and is not to know: it is never confirmed.
    pub dropped: bool,
}

/// A message that came before the one that it follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldRow {
    /// Which: the key.
    pub origin: Origin,
    /// The message.
    pub message: Message,
    /// The one that it waits for: the one before it, or before those that will never come.
    pub after: Option<RandomId>,
    /// The device whose signature on it was checked.
    pub signed_by: Option<DeviceId>,
    /// When it came.
    pub came: UnixMillis,
}
