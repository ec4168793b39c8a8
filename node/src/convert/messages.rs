//! Instant messages as objects of the API, and back.

use super::rpc::at;
use data_encoding::BASE64;
use porchlight_proto::event::{MessageChange, MessageReceived};
use porchlight_proto::input::NewMessage;
use porchlight_proto::messaging::rows::{FailureReason, MessageRow, MessageState, OutboxRow};
use porchlight_rpc::{Kind, RpcError, types};
use porchlight_wire::ids::RandomId;
use porchlight_wire::limits::MESSAGE_LIFE;
use porchlight_wire::message::{Body, Message};
use porchlight_wire::time::UnixMillis;

/// What a client wants to have written.
///
/// # Errors
///
/// If an id, or the content of a body, cannot be read.
pub fn new_message(params: types::MessageSend) -> Result<NewMessage, RpcError> {
    let bodies = match (params.text, params.bodies) {
        (Some(text), None) => vec![Body::text(&text)],
        (None, Some(bodies)) => bodies.into_iter().map(body).collect::<Result<_, _>>()?,
        _ => {
            let message = "expected either text or bodies";
            return Err(
                RpcError::new(Kind::InvalidParams, message).hint("`text` is for plain text, `bodies` for all else")
            );
        }
    };
    if let Some(life) = params.expires_in_ms.filter(|life| *life > MESSAGE_LIFE) {
        let message = format!("expires_in_ms: expected at most {MESSAGE_LIFE} (two weeks), got {life}");
        return Err(RpcError::new(Kind::InvalidParams, message));
    }
    let direct_only = match params.policy.as_deref() {
        None | Some("until_ack") => false,
        Some("direct_only") => true,
        Some(other) => {
            let message = format!("policy: expected until_ack or direct_only, got {other:?}");
            return Err(RpcError::new(Kind::InvalidParams, message));
        }
    };
    if let Some(copies) = params.copies.filter(|copies| !(1..=4).contains(copies)) {
        let message = format!("copies: expected 1 to 4, got {copies}");
        return Err(RpcError::new(Kind::InvalidParams, message));
    }
    Ok(NewMessage {
        contact: params.contact,
        subject: params.subject,
        bodies,
        reply_to: params.reply_to.unwrap_or_default(),
        thread: params.thread.map(|id| message_id("thread", &id)).transpose()?,
        in_reply_to: params
            .in_reply_to
            .map(|id| message_id("in_reply_to", &id))
            .transpose()?,
        headers: params.headers.unwrap_or_default(),
        expires_in: params.expires_in_ms,
        direct_only,
        copies: params.copies.map(usize::from),
        sign: params.sign.unwrap_or(false),
    })
}

fn body(body: types::Body) -> Result<Body, RpcError> {
    let content = match (body.text, body.base64) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(base64)) => BASE64.decode(base64.as_bytes()).map_err(|error| {
            RpcError::new(
                Kind::InvalidParams,
                format!("bodies: expected base64, got something else: {error}"),
            )
        })?,
        _ => {
            let message = "bodies: expected either text or base64 in each";
            return Err(RpcError::new(Kind::InvalidParams, message));
        }
    };
    Ok(Body {
        media_type: body.media_type,
        lang: body.lang,
        content,
    })
}

/// An id of a message.
///
/// # Errors
///
/// If it is none.
pub fn message_id(what: &str, text: &str) -> Result<RandomId, RpcError> {
    text.parse().map_err(|_| {
        RpcError::new(
            Kind::InvalidParams,
            format!("{what}: expected a message's id, got {text:?}"),
        )
        .hint("message.send and message.list show ids")
    })
}

/// A message that is kept.
#[must_use]
pub fn kept(row: &MessageRow, contact: String, state: Option<types::MessageState>, unread: bool) -> types::Message {
    types::Message {
        number: row.number,
        contact,
        principal: row.contact.to_string(),
        direction: if row.outgoing { "out" } else { "in" }.to_owned(),
        at: at(row.at),
        state,
        unread,
        after_gap: row.after_gap,
        signed_by: row.signed_by.map(|device| device.to_string()),
        ..written(&row.message)
    }
}

/// A message that waits.
#[must_use]
pub fn waiting(row: &OutboxRow, contact: String) -> types::Message {
    types::Message {
        number: row.number,
        contact,
        principal: row.message.to.to_string(),
        state: Some(state(&row.state, None)),
        ..written(&row.message)
    }
}

fn written(message: &Message) -> types::Message {
    let id = |id: RandomId| id.to_string();
    types::Message {
        message: id(message.id),
        number: 0,
        contact: String::new(),
        principal: String::new(),
        direction: "out".to_owned(),
        created_at: at(message.created),
        at: at(message.created),
        expires_at: at(message.expires),
        subject: message.subject.clone(),
        text: message.text().map(str::to_owned),
        bodies: message.bodies.iter().map(shown).collect(),
        thread: message.thread.map(id),
        in_reply_to: message.in_reply_to.map(id),
        reply_to: message.reply_to.clone(),
        headers: message.headers.clone(),
        state: None,
        unread: false,
        after_gap: false,
        signed_by: None,
        signature: message
            .signature
            .as_ref()
            .map(|signature| BASE64.encode(&signature.to_bytes())),
    }
}

fn shown(body: &Body) -> types::KeptBody {
    let text = body.as_text();
    types::KeptBody {
        media_type: body.media_type.clone(),
        lang: body.lang.clone(),
        text: text.map(str::to_owned),
        base64: text.is_none().then(|| BASE64.encode(&body.content)),
    }
}

/// How far a message has come.
#[must_use]
pub fn state(state: &MessageState, since: Option<UnixMillis>) -> types::MessageState {
    let word = match state {
        MessageState::Queued => "queued",
        MessageState::Sent => "sent",
        MessageState::Stored { .. } => "stored",
        MessageState::Delivered => "delivered",
        MessageState::Read => "read",
        MessageState::Failed(_) => "failed",
        MessageState::Expired => "expired",
        MessageState::Cancelled => "cancelled",
    };
    let (relays, until) = match state {
        MessageState::Stored { relays, until } => (relays.iter().map(ToString::to_string).collect(), Some(at(*until))),
        MessageState::Queued
        | MessageState::Sent
        | MessageState::Delivered
        | MessageState::Read
        | MessageState::Failed(_)
        | MessageState::Expired
        | MessageState::Cancelled => (Vec::new(), None),
    };
    types::MessageState {
        state: word.to_owned(),
        reason: reason(state).map(str::to_owned),
        relays,
        stored_until_at: until,
        since_at: since.map(at),
    }
}

const fn reason(state: &MessageState) -> Option<&'static str> {
    match state {
        MessageState::Failed(FailureReason::NotAdmitted) => Some("not_admitted"),
        MessageState::Failed(FailureReason::Refused) => Some("refused"),
        MessageState::Failed(FailureReason::Invalid) => Some("invalid"),
        MessageState::Failed(FailureReason::Removed) => Some("removed"),
        MessageState::Queued
        | MessageState::Sent
        | MessageState::Stored { .. }
        | MessageState::Delivered
        | MessageState::Read
        | MessageState::Expired
        | MessageState::Cancelled => None,
    }
}

/// The event of a message that came.
#[must_use]
pub fn received(event: &MessageReceived) -> types::ReceivedMessage {
    types::ReceivedMessage {
        contact: event.contact.clone(),
        principal: event.principal.to_string(),
        message: event.message.to_string(),
        number: event.number,
        text: event.text.clone(),
        cut: event.cut,
        subject: event.subject.clone(),
        media_type: event.media_type.clone(),
        created_at: at(event.created),
        after_gap: event.after_gap,
        signed: event.signed,
        unread: event.unread,
    }
}

/// The event of a message of ours that came further.
#[must_use]
pub fn changed(event: &MessageChange) -> types::ChangedMessage {
    types::ChangedMessage {
        contact: event.contact.clone(),
        principal: event.principal.to_string(),
        message: event.message.to_string(),
        number: event.number,
        state: state(&event.state, None),
    }
}
