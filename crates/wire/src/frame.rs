//! The units on a framed stream (`/pl/frames/1`). A stream's opener sends requests; the other end answers on the same
//! stream. On the wire: u32 length, at most [`FRAME_BYTES`], then deterministic CBOR. docs/spec/frame.md.

use crate::blind::BlindedKey;
use crate::cbor::{self, CborError};
use crate::follow::FollowProof;
use crate::ids::NodeAddress;
use crate::invite::InviteToken;
use crate::limits::{FOLLOWED, FRAME_BYTES, MAILBOX_BATCH, MAILBOX_LISTED, RELAYS};
use crate::mailbox::{Entry, Held, MailboxId, Pass, Quota, SignedOperation};
use crate::stamp::Class;
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// Numbers an exchange among those its opener has begun on this stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExchangeNumber(pub u64);

/// What an opener sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestFrame {
    /// Comes back with each response.
    pub exchange: ExchangeNumber,
    /// What is asked.
    pub request: Request,
}

/// What the other end sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseFrame {
    /// Which exchange it belongs to.
    pub exchange: ExchangeNumber,
    /// The answer.
    pub response: Response,
}

/// What lets an envelope in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Admission {
    /// An invite's token.
    Token(InviteToken),
    /// Nothing: the signature inside decides.
    Open,
}

/// What one node asks another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Take this envelope.
    #[serde(rename = "deliver")]
    Deliver {
        /// What lets it in.
        admission: Admission,
        /// The envelope.
        #[serde(with = "serde_bytes")]
        envelope: Vec<u8>,
    },
    /// Draw something for a hello.
    #[serde(rename = "hello")]
    Hello {
        /// What the asking side drew.
        #[serde(with = "serde_bytes")]
        nonce: [u8; 32],
    },
    /// Show that you are a contact's device, as I do.
    #[serde(rename = "hello.prove")]
    Prove {
        /// What the asking side shows.
        #[serde(with = "serde_bytes")]
        tag: [u8; 32],
    },
    /// Take this Olm message, on a connection on which both sides have proven themselves.
    #[serde(rename = "direct")]
    Direct {
        /// The Olm message, padded.
        #[serde(with = "serde_bytes")]
        packet: Vec<u8>,
    },
    /// Keep this beacon, and pass it on.
    #[serde(rename = "record.put")]
    RecordPut {
        /// The beacon.
        #[serde(with = "serde_bytes")]
        beacon: Vec<u8>,
    },
    /// Send what is at this address.
    #[serde(rename = "record.get")]
    RecordGet {
        /// The address.
        address: BlindedKey,
    },
    /// Send what is at these addresses, and what is new there, until told otherwise. Replaces the stream's earlier set.
    #[serde(rename = "record.follow")]
    RecordFollow {
        /// The addresses, at most [`FOLLOWED`].
        addresses: Vec<BlindedKey>,
        /// That whoever asks holds the views at these addresses: one proof for each, in the same order, or none at all. A
        /// relay needs none.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        proofs: Vec<FollowProof>,
    },
    /// Name relays.
    #[serde(rename = "relays")]
    Relays {},
    /// Keep this envelope for whoever owns the mailbox.
    #[serde(rename = "mailbox.deposit")]
    MailboxDeposit {
        /// Which mailbox.
        mailbox: MailboxId,
        /// What admits it.
        pass: Pass,
        /// The envelope.
        #[serde(with = "serde_bytes")]
        envelope: Vec<u8>,
    },
    /// Do this with my mailbox: register, list, get, delete, close.
    #[serde(rename = "mailbox")]
    Mailbox(SignedOperation),
    /// By a relay: something has arrived in your mailbox.
    #[serde(rename = "mailbox.arrived")]
    MailboxArrived {
        /// Which mailbox.
        mailbox: MailboxId,
    },
}

/// What the other answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// The envelope was opened and judged, and what it led to is on disk.
    #[serde(rename = "delivered")]
    Delivered {},
    /// No.
    #[serde(rename = "refused")]
    Refused {
        /// Why.
        reason: Refusal,
    },
    /// What was drawn for a hello.
    #[serde(rename = "hello")]
    Hello {
        /// What the answering side drew.
        #[serde(with = "serde_bytes")]
        nonce: [u8; 32],
    },
    /// What the answering side shows; random bytes to those who are no contact.
    #[serde(rename = "hello.proof")]
    Proof {
        /// The tag.
        #[serde(with = "serde_bytes")]
        tag: [u8; 32],
    },
    /// The beacon is kept.
    #[serde(rename = "record.kept")]
    RecordKept {},
    /// One beacon, or none. Answers `record.get` once, and `record.follow` any number of times.
    #[serde(rename = "record")]
    Record {
        /// The beacon.
        beacon: Option<ByteBuf>,
    },
    /// Relays known.
    #[serde(rename = "relays")]
    RelayList {
        /// At most [`RELAYS`].
        relays: Vec<NodeAddress>,
    },
    /// The envelope is on disk.
    #[serde(rename = "mailbox.stored")]
    MailboxStored {
        /// Until when it is kept, if nobody fetches it before.
        until: UnixMillis,
    },
    /// The mailbox is kept.
    #[serde(rename = "mailbox.registered")]
    MailboxRegistered {
        /// Until when, unless it is registered again.
        until: UnixMillis,
        /// What may be in it, and what is: one entry for each class.
        quotas: Vec<Quota>,
    },
    /// What is in the mailbox.
    #[serde(rename = "mailbox.list")]
    MailboxList {
        /// At most [`MAILBOX_LISTED`], by number.
        entries: Vec<Entry>,
        /// Whether there are others after them.
        more: bool,
    },
    /// Envelopes: as many of those asked for as there are, and fit.
    #[serde(rename = "mailbox.envelopes")]
    MailboxEnvelopes {
        /// At most [`MAILBOX_BATCH`].
        envelopes: Vec<Held>,
    },
    /// It is done, and on disk.
    #[serde(rename = "mailbox.done")]
    MailboxDone {},
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The invite's uses are spent.
    InviteUsedUp,
    /// The invite has ended.
    InviteExpired,
    /// Nothing lets it in.
    NotAdmitted,
    /// The envelope does not open: it may be for a key that was replaced.
    CannotOpen,
    /// What was inside, or the beacon, does not stand.
    Invalid,
    /// A newer beacon is there.
    Outdated,
    /// There is no room.
    Full,
    /// Too much at once: come back later.
    TooMany,
    /// Messages of this sender are not taken.
    Blocked,
    /// This node does not do that.
    NotServed,
    /// The frame could not be read.
    Malformed,
    /// The stamp was not minted for this mailbox, or was used for another envelope; or the work was not done.
    Stamp,
    /// The time of the stamp or the voucher is over, or too far ahead.
    Time,
    /// Envelopes of this size are not kept.
    Size,
    /// The mailbox, or the share of what vouched or worked for it, is full.
    Quota,
    /// There is no such mailbox here.
    NoMailbox,
}

/// A frame that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The bytes are no frame.
    #[error("the frame cannot be read: {0}")]
    Unreadable(#[from] CborError),
    /// A list in it is too long.
    #[error("expected at most {limit} entries in a frame, got {got}")]
    TooMany {
        /// The bound.
        limit: usize,
        /// What came.
        got: usize,
    },
    /// There are proofs, and not one for each address.
    #[error("expected one proof for each of {addresses} addresses, got {proofs}")]
    Proofs {
        /// How many addresses.
        addresses: usize,
        /// How many proofs.
        proofs: usize,
    },
}

/// A request as bytes, without the length before it.
#[must_use]
pub fn encode_request(frame: &RequestFrame) -> Vec<u8> {
    cbor::encode(frame)
}

/// A request from bytes.
///
/// # Errors
///
/// If they are none.
pub fn decode_request(bytes: &[u8]) -> Result<RequestFrame, FrameError> {
    let frame: RequestFrame = cbor::decode(bytes, FRAME_BYTES)?;
    if let Request::RecordFollow { addresses, proofs } = &frame.request {
        at_most(FOLLOWED, addresses.len())?;
        if !proofs.is_empty() && proofs.len() != addresses.len() {
            return Err(FrameError::Proofs {
                addresses: addresses.len(),
                proofs: proofs.len(),
            });
        }
    }
    Ok(frame)
}

/// A response as bytes, without the length before it.
#[must_use]
pub fn encode_response(frame: &ResponseFrame) -> Vec<u8> {
    cbor::encode(frame)
}

/// A response from bytes.
///
/// # Errors
///
/// If they are none.
pub fn decode_response(bytes: &[u8]) -> Result<ResponseFrame, FrameError> {
    let frame: ResponseFrame = cbor::decode(bytes, FRAME_BYTES)?;
    match &frame.response {
        Response::RelayList { relays } => at_most(RELAYS, relays.len())?,
        Response::MailboxRegistered { quotas, .. } => at_most(Class::ALL.len(), quotas.len())?,
        Response::MailboxList { entries, .. } => at_most(MAILBOX_LISTED, entries.len())?,
        Response::MailboxEnvelopes { envelopes } => at_most(MAILBOX_BATCH, envelopes.len())?,
        Response::Delivered {}
        | Response::Refused { .. }
        | Response::Hello { .. }
        | Response::Proof { .. }
        | Response::RecordKept {}
        | Response::Record { .. }
        | Response::MailboxStored { .. }
        | Response::MailboxDone {} => {}
    }
    Ok(frame)
}

const fn at_most(limit: usize, got: usize) -> Result<(), FrameError> {
    if got <= limit {
        Ok(())
    } else {
        Err(FrameError::TooMany { limit, got })
    }
}

#[cfg(test)]
#[path = "frame/tests.rs"]
mod tests;
