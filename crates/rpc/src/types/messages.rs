//! Instant messages in the API: what is written, what came, and how far it has come.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

// The words that some texts are made of, for the schemas.
const DIRECTION: [&str; 2] = ["in", "out"];
const STATE: [&str; 8] = [
    "queued",
    "sent",
    "stored",
    "delivered",
    "read",
    "failed",
    "expired",
    "cancelled",
];
const POLICY: [&str; 2] = ["until_ack", "direct_only"];
const REASON: [&str; 4] = ["not_admitted", "refused", "invalid", "removed"];

/// The content of a message is given as `text` or as `bodies`.
fn content_in_one_way() -> Value {
    json!([
        {"required": ["text"], "properties": {"text": {"type": "string"}}},
        {"required": ["bodies"], "properties": {"bodies": {"type": "array"}}},
    ])
}

objects! {
    /// One form of a message's content, to be sent.
    #[serde(deny_unknown_fields)]
    Body {
        /// Its media type (RFC 6838).
        media_type: String,
        /// Its language (BCP 47).
        #[serde(skip_serializing_if = "Option::is_none", default)]
        lang: Option<String>,
        /// The content, if it is text.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        text: Option<String>,
        /// The content as base64 (RFC 4648 section 4), if it is not.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        base64: Option<String>,
    }
    /// One form of a message's content, as it is kept.
    KeptBody {
        /// Its media type (RFC 6838).
        media_type: String,
        /// Its language (BCP 47).
        #[serde(skip_serializing_if = "Option::is_none", default)]
        lang: Option<String>,
        /// The content, if it is text.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        text: Option<String>,
        /// The content as base64 (RFC 4648 section 4), if it is not.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        base64: Option<String>,
    }
    /// To `message.send`.
    #[serde(deny_unknown_fields)]
    #[schemars(extend("oneOf" = content_in_one_way()))]
    MessageSend {
        /// Petname or principal id.
        contact: String,
        /// The content as plain text; or give `bodies`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        text: Option<String>,
        /// The content in one to four forms, the preferred one first.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        bodies: Option<Vec<Body>>,
        /// What it is about.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        subject: Option<String>,
        /// The conversation it belongs to, as another message's `thread`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        thread: Option<String>,
        /// The message it answers.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        in_reply_to: Option<String>,
        /// Where to answer, if not to us: URIs, the preferred one first.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        reply_to: Option<Vec<String>>,
        /// Further headers.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        headers: Option<BTreeMap<String, String>>,
        /// For how long it is of use: a week if not given, two at most.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[schemars(range(max = 1_209_600_000_u64))]
        expires_in_ms: Option<u64>,
        /// `until_ack`, if not given: it is offered until there is a receipt, and left with relays while they are away. Or
        /// `direct_only`: only over a connection to their node.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[schemars(extend("enum" = POLICY))]
        policy: Option<String>,
        /// At how many of their relays it is left: two if not given.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[schemars(range(min = 1, max = 4))]
        copies: Option<u8>,
        /// Leave a signature that outsiders can check. It cannot be denied any more.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        sign: Option<bool>,
        /// The same key again gets the same answer and writes nothing.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        idempotency_key: Option<String>,
    }
    /// The reply to `message.send`.
    MessageQueued {
        /// The petname of the recipient.
        contact: String,
        /// Who.
        principal: String,
        /// The message.
        message: String,
        /// Its number among all kept here.
        number: u64,
        /// When it is given up.
        expires_at: String,
    }
    /// How far a message of ours has come.
    MessageState {
        /// `queued`, `sent`, `stored`, `delivered`, `read`, `failed`, `expired` or `cancelled`.
        #[schemars(extend("enum" = STATE))]
        state: String,
        /// Why it failed: `not_admitted`, `refused`, `invalid`, `removed`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[schemars(extend("enum" = REASON))]
        reason: Option<String>,
        /// The relays that keep it.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        relays: Vec<String>,
        /// Until when they keep it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        stored_until_at: Option<String>,
        /// Since when.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        since_at: Option<String>,
    }
    /// A message, sent or received.
    Message {
        /// Its id.
        message: String,
        /// Its number among all kept here, in the order in which they were written or shown.
        number: u64,
        /// The petname of the contact it is from or for; the beginning of their id if they are none any more.
        contact: String,
        /// Who.
        principal: String,
        /// `in` or `out`.
        #[schemars(extend("enum" = DIRECTION))]
        direction: String,
        /// When it was written, by its sender's clock.
        created_at: String,
        /// When it was written or came, by ours.
        at: String,
        /// Until when it is of use.
        expires_at: String,
        /// What it is about.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        subject: Option<String>,
        /// The first of the bodies that is text.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        text: Option<String>,
        /// All bodies.
        bodies: Vec<KeptBody>,
        /// The conversation it belongs to.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        thread: Option<String>,
        /// The message it answers.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        in_reply_to: Option<String>,
        /// Where to answer, if not to its sender.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        reply_to: Vec<String>,
        /// Further headers.
        #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
        headers: BTreeMap<String, String>,
        /// How far it has come, if we wrote it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        state: Option<MessageState>,
        /// Whether it is unread, if it came.
        unread: bool,
        /// Something may be missing before it.
        after_gap: bool,
        /// The device whose signature on it was checked; not signed if not given.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        signed_by: Option<String>,
        /// That signature: a `COSE_Sign1` (RFC 9052) with detached payload, as base64.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        signature: Option<String>,
    }
    /// To `message.list`.
    #[serde(deny_unknown_fields)]
    MessageListing {
        /// Only those to and from this contact: petname or principal id.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        contact: Option<String>,
        /// Only those with higher numbers; then the oldest of them come first.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        after: Option<u64>,
        /// Only those with lower numbers.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        before: Option<u64>,
        /// Only those that came and are unread.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        unread: Option<bool>,
        /// At most so many: 50 if not given, 500 at most.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[schemars(range(min = 1, max = 500))]
        max: Option<u32>,
    }
    /// To `message.search`.
    #[serde(deny_unknown_fields)]
    MessageSearch {
        /// Words, all of which are in the subject or a body that is text, whatever the case.
        text: String,
        /// Only those with lower numbers.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        before: Option<u64>,
        /// At most so many: 50 if not given, 500 at most.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[schemars(range(min = 1, max = 500))]
        max: Option<u32>,
    }
    /// The reply to `message.list` and `message.search`.
    MessageList {
        /// By number; found ones the newest first.
        messages: Vec<Message>,
    }
    /// To `message.get` and `message.cancel`.
    #[serde(deny_unknown_fields)]
    OneMessage {
        /// Its id.
        message: String,
    }
    /// The reply to `message.get`.
    MessageGot {
        /// The message.
        message: Message,
    }
    /// The reply to `message.cancel`.
    MessageCancelled {
        /// Its id.
        message: String,
        /// It was on its way already.
        may_have_arrived: bool,
    }
    /// To `message.mark_read`.
    #[serde(deny_unknown_fields)]
    MessageMarkRead {
        /// Petname or principal id.
        contact: String,
        /// Up to the message with this number; all if not given.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        up_to: Option<u64>,
    }
    /// The reply to `message.mark_read`.
    MessagesRead {
        /// The petname.
        contact: String,
        /// How many were marked.
        read: u64,
        /// How many are unread still.
        unread: u64,
    }
    /// A conversation.
    Conversation {
        /// The petname.
        contact: String,
        /// Who.
        principal: String,
        /// How many of their messages are unread.
        unread: u64,
    }
    /// The reply to `message.conversations`.
    ConversationList {
        /// By principal.
        conversations: Vec<Conversation>,
    }
    /// The reply to `outbox.list`.
    OutboxList {
        /// In the order in which they were written.
        messages: Vec<Message>,
    }
    /// To `outbox.retry`.
    #[serde(deny_unknown_fields)]
    OutboxRetry {
        /// Only what waits for this contact: petname or principal id.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        contact: Option<String>,
    }
    /// The reply to `outbox.retry`.
    OutboxRetried {
        /// How many messages wait.
        waiting: u64,
    }
    /// To `contact.verify`.
    #[serde(deny_unknown_fields)]
    ContactVerify {
        /// Petname or principal id.
        contact: String,
        /// The numbers were compared and are the same; or `false`: that is not certain any more. Not given: nothing changes.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        verified: Option<bool>,
    }
    /// The reply to `contact.verify`.
    ContactVerified {
        /// The petname.
        contact: String,
        /// Who.
        principal: String,
        /// Sixty digits that they see too, if nobody is in between: twelve groups of five.
        safety_number: String,
        /// Since when you have made sure.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        verified_at: Option<String>,
    }
    /// To `contact.block`.
    #[serde(deny_unknown_fields)]
    ContactBlock {
        /// Petname or principal id.
        contact: String,
        /// They are not to know: what they send is taken and dropped.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        polite: Option<bool>,
    }
    /// A message that came.
    ReceivedMessage {
        /// The petname of the sender.
        contact: String,
        /// Who.
        principal: String,
        /// Its id.
        message: String,
        /// Its number among all kept here.
        number: u64,
        /// Its text; the beginning, if it is long.
        text: String,
        /// Whether there is more of it.
        cut: bool,
        /// What it is about.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        subject: Option<String>,
        /// The media type of its preferred body.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        media_type: Option<String>,
        /// When it was written, by its sender's clock.
        created_at: String,
        /// Something may be missing before it.
        after_gap: bool,
        /// Whether there is a signature, which was checked.
        signed: bool,
        /// How many messages of theirs are unread, this one among them.
        unread: u64,
    }
    /// How far a message of ours has come.
    ChangedMessage {
        /// The petname of the recipient.
        contact: String,
        /// Who.
        principal: String,
        /// Its id.
        message: String,
        /// Its number among all kept here.
        number: u64,
        /// How far.
        state: MessageState,
    }
}
