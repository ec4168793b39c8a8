//! The units on a framed stream (`/pl/frames/1`). A stream's opener sends requests; the other end answers on the same
//! stream. On the wire: u32 length, at most [`FRAME_BYTES`], then deterministic CBOR. docs/spec/frame.md.

use crate::blind::BlindedKey;
use crate::cbor::{self, CborError};
use crate::ids::NodeAddress;
use crate::invite::InviteToken;
use crate::limits::{FOLLOWED, FRAME_BYTES, RELAYS};
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
    },
    /// Name relays.
    #[serde(rename = "relays")]
    Relays {},
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
    /// This node does not do that.
    NotServed,
    /// The frame could not be read.
    Malformed,
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
    if let Request::RecordFollow { addresses } = &frame.request {
        at_most(FOLLOWED, addresses.len())?;
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
    if let Response::RelayList { relays } = &frame.response {
        at_most(RELAYS, relays.len())?;
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
