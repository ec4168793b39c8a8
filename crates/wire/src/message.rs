//! The instant message (RFC 2778 section 2.2), in one format for all (RFC 2779 4.1.1): who it is from and for, where to
//! answer, until when it is of use, and bodies with their media types. Unknown headers are kept and passed on.
//! docs/spec/message.md.

use crate::cbor;
use crate::cose::{self, CoseSignature};
use crate::device_list::{DeviceList, DeviceListError};
use crate::ids::{DeviceId, PrincipalId, RandomId};
use crate::keys::DeviceKeys;
use crate::limits::{
    BODIES, GONE, HEADER_BYTES, HEADER_NAME_BYTES, HEADERS, MEDIA_TYPE_BYTES, MESSAGE_BYTES, MESSAGE_LIFE,
    REPLY_ADDRESSES, SKEW, SUBJECT_BYTES, URI_BYTES,
};
use crate::syntax::{is_address, is_header_name, is_language_tag, is_media_type};
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The external data of a message's signature: it stands for nothing else.
const SIGNATURE_LABEL: &[u8] = b"porchlight/message/1";

/// The media type of plain text, which every client shows.
pub const TEXT_PLAIN: &str = "text/plain; charset=utf-8";

/// One form of a message's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// Its media type (RFC 6838), with parameters if any.
    pub media_type: String,
    /// Its language (BCP 47), if given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lang: Option<String>,
    /// The content, in whatever encoding the media type says; it may be encrypted once more.
    #[serde(with = "serde_bytes")]
    pub content: Vec<u8>,
}

impl Body {
    /// Plain text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self {
            media_type: TEXT_PLAIN.to_owned(),
            lang: None,
            content: text.as_bytes().to_vec(),
        }
    }

    /// The text, if this is text in UTF-8.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        let essence = self.media_type.split(';').next().unwrap_or_default().trim();
        if essence.to_ascii_lowercase().starts_with("text/") {
            std::str::from_utf8(&self.content).ok()
        } else {
            None
        }
    }
}

/// An instant message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Names it among the sender's: 128 random bits (RFC 2779 4.1.9).
    pub id: RandomId,
    /// Who wrote it.
    pub from: PrincipalId,
    /// For whom.
    pub to: PrincipalId,
    /// Where to answer, if not to the sender: URIs of any scheme, the preferred one first (RFC 2779 4.1.3, 4.1.4).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub reply_to: Vec<String>,
    /// When it was written.
    pub created: UnixMillis,
    /// Until when it is of use; it is not delivered later.
    pub expires: UnixMillis,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<String>,
    /// Names the conversation it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub thread: Option<RandomId>,
    /// The message it answers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub in_reply_to: Option<RandomId>,
    /// The same content in several forms (of RFC 2046's multipart/alternative: the first is the preferred one).
    pub bodies: Vec<Body>,
    /// Further headers by name: kept and passed on whether or not they are known (RFC 2779 4.1.8).
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub headers: BTreeMap<String, String>,
    /// The message of the same device to the same recipient that comes before it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub previous: Option<RandomId>,
    /// The sending device's signature, if it wanted to leave one: whoever has the message can show it to others.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signature: Option<CoseSignature>,
}

/// What of a message is signed: everything that it says, nothing of how it travels.
#[derive(Serialize)]
struct Signed<'a> {
    id: RandomId,
    from: PrincipalId,
    to: PrincipalId,
    reply_to: &'a [String],
    created: UnixMillis,
    expires: UnixMillis,
    subject: Option<&'a str>,
    thread: Option<RandomId>,
    in_reply_to: Option<RandomId>,
    bodies: &'a [Body],
    headers: &'a BTreeMap<String, String>,
}

impl Message {
    /// The content as text: the first body that is any.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.bodies.iter().find_map(Body::as_text)
    }

    /// Signs what the message says (RFC 2779 5.4.9) by COSE (RFC 9052), the content detached. It cannot be denied any more.
    pub fn sign(&mut self, keys: &DeviceKeys) {
        self.signature = Some(cose::sign(keys, SIGNATURE_LABEL, &self.signed_bytes()));
    }

    /// Checks the signature, if there is one, and says whose it is.
    ///
    /// # Errors
    ///
    /// If it is not by a device in `devices` that speaks for the sender at `now`.
    pub fn verify_signature(&self, devices: &DeviceList, now: UnixMillis) -> Result<Option<DeviceId>, MessageError> {
        let Some(signature) = &self.signature else {
            return Ok(None);
        };
        if devices.principal != self.from {
            return Err(MessageError::Signature(DeviceListError::NotByRoot));
        }
        let device = cose::verify(signature, devices, SIGNATURE_LABEL, &self.signed_bytes(), now)?;
        Ok(Some(device))
    }

    fn signed_bytes(&self) -> Vec<u8> {
        cbor::encode(&Signed {
            id: self.id,
            from: self.from,
            to: self.to,
            reply_to: &self.reply_to,
            created: self.created,
            expires: self.expires,
            subject: self.subject.as_deref(),
            thread: self.thread,
            in_reply_to: self.in_reply_to,
            bodies: &self.bodies,
            headers: &self.headers,
        })
    }

    /// Checks all bounds, and that the times fit `now`.
    ///
    /// # Errors
    ///
    /// Says what is out of bounds.
    pub fn check(&self, now: UnixMillis) -> Result<(), MessageError> {
        count("bodies", 1, BODIES, self.bodies.len())?;
        count("reply addresses", 0, REPLY_ADDRESSES, self.reply_to.len())?;
        count("headers", 0, HEADERS, self.headers.len())?;
        for address in &self.reply_to {
            length("a reply address", URI_BYTES, address.len())?;
            if !is_address(address) {
                return Err(MessageError::Address(address.clone()));
            }
        }
        if let Some(subject) = &self.subject {
            length("the subject", SUBJECT_BYTES, subject.len())?;
        }
        for body in &self.bodies {
            length("a media type", MEDIA_TYPE_BYTES, body.media_type.len())?;
            if !is_media_type(&body.media_type) {
                return Err(MessageError::MediaType(body.media_type.clone()));
            }
            if let Some(lang) = &body.lang
                && !is_language_tag(lang)
            {
                return Err(MessageError::Language(lang.clone()));
            }
        }
        for (name, value) in &self.headers {
            length("a header's name", HEADER_NAME_BYTES, name.len())?;
            length("a header", HEADER_BYTES, value.len())?;
            if !is_header_name(name) {
                return Err(MessageError::HeaderName(name.clone()));
            }
        }
        length("a message", MESSAGE_BYTES, cbor::encode(self).len())?;
        if self.created > now.plus(SKEW) {
            return Err(MessageError::FromTheFuture);
        }
        if self.expires > self.created.plus(MESSAGE_LIFE) || self.expires < self.created {
            return Err(MessageError::Life);
        }
        Ok(())
    }
}

/// What a recipient confirms, end to end. Never confirmed in turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipts {
    /// Messages that are on the recipient's disk.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub delivered: Vec<RandomId>,
    /// Messages that the recipient says were read.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub read: Vec<RandomId>,
}

/// A message that will never come: it expired, was taken back, or was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// Which.
    pub id: RandomId,
    /// The one before it: what followed the one that is gone follows that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub previous: Option<RandomId>,
}

/// What one Olm message carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaintextBody {
    /// A message.
    Message(Box<Message>),
    /// Receipts for messages of the other side.
    Receipts(Receipts),
}

/// The plaintext of an Olm message. Olm binds keys, not names, so both sides stand in it and are compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plaintext {
    /// Who sent it.
    pub from: PrincipalId,
    /// From which device.
    pub from_device: DeviceId,
    /// To whom.
    pub to: PrincipalId,
    /// To which device.
    pub to_device: DeviceId,
    /// Messages of this device to the recipient that will never come, and that others name as the one before them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub gone: Vec<Gone>,
    /// What it carries.
    pub body: PlaintextBody,
}

impl Plaintext {
    /// The plaintext.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// From the plaintext. Bounds of lists are checked; those of a message, and whom it is from, are left to the caller.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MessageError> {
        let plaintext: Self = cbor::decode(bytes, crate::limits::PLAINTEXT_BYTES)?;
        count("messages that are gone", 0, GONE, plaintext.gone.len())?;
        if let PlaintextBody::Receipts(receipts) = &plaintext.body {
            count("receipts", 0, crate::limits::RECEIPTS, receipts.delivered.len())?;
            count("receipts", 0, crate::limits::RECEIPTS, receipts.read.len())?;
        }
        Ok(plaintext)
    }
}

/// A message or plaintext that does not stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The bytes are none.
    #[error("the message cannot be read: {0}")]
    Unreadable(#[from] cbor::CborError),
    /// Too few or too many of something.
    #[error("expected {least} to {most} {what} in a message, got {got}")]
    Count {
        /// Of what.
        what: &'static str,
        /// The least.
        least: usize,
        /// The most.
        most: usize,
        /// What came.
        got: usize,
    },
    /// Something is too long.
    #[error("expected at most {limit} bytes for {what}, got {got}")]
    TooLong {
        /// What.
        what: &'static str,
        /// The bound.
        limit: usize,
        /// What came.
        got: usize,
    },
    /// A reply address is no URI.
    #[error("expected an address such as 'im:alice@example.org' or 'mailto:alice@example.org' to reply to, got {0:?}")]
    Address(String),
    /// A media type is none.
    #[error("expected a media type such as 'text/plain', got {0:?}")]
    MediaType(String),
    /// A language tag is none.
    #[error("expected a language tag such as 'en' or 'de-AT' (BCP 47), got {0:?}")]
    Language(String),
    /// A header's name is none.
    #[error("expected a header's name of letters, digits and '-', got {0:?}")]
    HeaderName(String),
    /// It was written at a time that has not come.
    #[error("the message is dated in the future")]
    FromTheFuture,
    /// It is of use for too long.
    #[error("expected a message to expire within {} days of being written", MESSAGE_LIFE / 86_400_000)]
    Life,
    /// The signature does not stand.
    #[error("the message's signature does not stand: {0}")]
    Signature(#[from] DeviceListError),
}

const fn count(what: &'static str, least: usize, most: usize, got: usize) -> Result<(), MessageError> {
    if got < least || got > most {
        return Err(MessageError::Count { what, least, most, got });
    }
    Ok(())
}

const fn length(what: &'static str, limit: usize, got: usize) -> Result<(), MessageError> {
    if got > limit {
        return Err(MessageError::TooLong { what, limit, got });
    }
    Ok(())
}

#[cfg(test)]
#[path = "message/tests.rs"]
mod tests;
