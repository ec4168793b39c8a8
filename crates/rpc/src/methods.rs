//! The one registry of methods. A method is a line here: everything else is made from it.

use crate::error::{Kind, RpcError};
use crate::schema::Shape;
use crate::types;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A method, as a type: its name, parameters and reply.
pub trait Method {
    /// As on the wire.
    const NAME: &'static str;
    /// Its parameters.
    type Params: Serialize + DeserializeOwned + JsonSchema + Send;
    /// Its reply.
    type Reply: Serialize + DeserializeOwned + JsonSchema + Send;
}

/// What there is to say about a method.
#[derive(Clone, Copy, Debug)]
pub struct MethodInfo {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// The errors that are its own; those of [`ANY_METHOD`] come besides.
    pub errors: &'static [Kind],
    /// Its parameters as JSON.
    pub params: Shape,
    /// Its reply as JSON.
    pub reply: Shape,
}

/// What any method can answer, whatever it does.
pub const ANY_METHOD: &[Kind] = &[Kind::InvalidParams, Kind::Internal, Kind::ShuttingDown];

macro_rules! registry {
    ($( $variant:ident $name:literal ( $params:ident ) -> $reply:ident, [$($error:ident),*], $summary:literal; )*) => {
        $(
            #[doc = $summary]
            #[derive(Clone, Copy, Debug)]
            pub struct $variant;

            impl Method for $variant {
                const NAME: &'static str = $name;
                type Params = types::$params;
                type Reply = types::$reply;
            }
        )*

        /// A call of a known method with parameters that fit.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Call {
            $( #[doc = $summary] $variant(types::$params), )*
        }

        impl Call {
            /// Reads a call.
            ///
            /// # Errors
            ///
            /// If there is no such method, or the parameters do not fit.
            pub fn parse(method: &str, params: Value) -> Result<Self, RpcError> {
                let params = if params.is_null() { Value::Object(serde_json::Map::new()) } else { params };
                match method {
                    // A list would be read as fields in the order of their declaration, which is no promise of ours.
                    $( $name if params.is_array() => Err(misfit(method, "expected an object, got an array")), )*
                    $( $name => serde_json::from_value(params).map(Self::$variant).map_err(|error| misfit(method, error)), )*
                    _ => Err(unknown(method)),
                }
            }

            /// The method's name.
            #[must_use]
            pub const fn method(&self) -> &'static str {
                match self { $( Self::$variant(_) => $name, )* }
            }
        }

        /// All methods, in the order of the documentation.
        pub const METHODS: &[MethodInfo] = &[
            $( MethodInfo {
                name: $name,
                summary: $summary,
                errors: &[$(Kind::$error),*],
                params: Shape::of::<types::$params>(),
                reply: Shape::of::<types::$reply>(),
            }, )*
        ];
    };
}

registry! {
    NodeInfo "node.info" (Nothing) -> NodeInfo, [],
        "How the node is: who, where, with whom connected, what it has seen.";
    NodeStop "node.stop" (Nothing) -> Stopping, [],
        "Say goodbye to all watchers and end the node.";
    NodeHealth "node.health" (Nothing) -> Health, [],
        "Whether the node does what it is there for; if not, why, and what to do.";
    NodeConfigGet "node.config.get" (Nothing) -> ConfigGot, [],
        "The configuration that is in force, and where each value comes from.";
    IdentityShow "identity.show" (Nothing) -> IdentityShown, [],
        "Who this node speaks for.";
    InviteCreate "invite.create" (InviteCreate) -> InviteCreated, [NotFound, Conflict, RateLimited],
        "Make an invite; those who use it become contacts.";
    InviteList "invite.list" (Nothing) -> InviteList, [],
        "The invites that are out. Their secrets are not shown again.";
    InviteRevoke "invite.revoke" (InviteRevoke) -> InviteRevoked, [NotFound, Conflict],
        "Let nobody use an invite from now on; those who did stay contacts.";
    ContactAdd "contact.add" (ContactAdd) -> ContactAdded,
        [InvalidInvite, Expired, UsedUp, Denied, Conflict, Unreachable, NotFound, RateLimited],
        "Use an invite.";
    ContactList "contact.list" (Nothing) -> ContactList, [],
        "All contacts.";
    ContactUpdate "contact.update" (ContactUpdate) -> ContactUpdated, [NotFound, Conflict],
        "Give a contact another petname, another view, or both.";
    ContactRemove "contact.remove" (ContactRemove) -> ContactRemoved, [NotFound, Conflict, RateLimited],
        "End it with a contact: they are told, and read nothing that follows.";
    ViewList "view.list" (Nothing) -> ViewList, [],
        "All views, and who holds them.";
    ViewCreate "view.create" (ViewCreate) -> ViewShown, [Conflict, RateLimited],
        "Make a view: a class of watchers, and what they see.";
    ViewUpdate "view.update" (ViewUpdate) -> ViewShown, [NotFound, Conflict],
        "Say how much a view tells of where this node is.";
    ViewDelete "view.delete" (ViewDelete) -> ViewShown, [NotFound, Conflict],
        "Delete a view that nobody holds.";
    GrantList "grant.list" (Nothing) -> GrantList, [],
        "What was granted to whom, and whether it has reached them.";
    GrantRevoke "grant.revoke" (ContactRemove) -> ContactUpdated, [NotFound, Conflict],
        "Take back what a contact was granted; they stay a contact.";
    WatcherList "watcher.list" (Nothing) -> WatcherList, [],
        "Who watches, with which view, and how far it is.";
    PresenceSet "presence.set" (PresenceSet) -> OwnPresence,
        [NotFound, Denied, Conflict, TooLarge, RateLimited],
        "Say how you are, as usual or to one view, for good or for a while; watchers are notified.";
    PresenceClear "presence.clear" (PresenceClear) -> OwnPresence, [NotFound, Denied, Conflict, TooLarge],
        "Take back what you have said, or what a view shows instead.";
    PresenceShow "presence.show" (Nothing) -> PresenceShown, [],
        "What you have said, as usual, and what each view sees of it.";
    PresenceGet "presence.get" (OneContact) -> PresenceGot, [NotFound, Denied, Unreachable, RateLimited],
        "Ask the network for a contact's presence now (a fetch).";
    PresenceSubscribe "presence.subscribe" (OneContact) -> Subscription, [NotFound, Denied],
        "Be notified of a contact's presence.";
    PresenceUnsubscribe "presence.unsubscribe" (OneContact) -> Subscription, [NotFound],
        "Stop being notified of a contact's presence.";
    PresencePoll "presence.poll" (PresencePoll) -> Poll, [NotFound, Denied, RateLimited],
        "Ask for a contact's presence on a schedule (a poller), and be told when it is another one than last time.";
    PresenceUnpoll "presence.unpoll" (OneContact) -> Poll, [NotFound],
        "Ask for a contact's presence on a schedule no more.";
    PresencePolls "presence.polls" (Nothing) -> PollList, [],
        "Who is asked on a schedule, and when.";
    PresenceList "presence.list" (Nothing) -> PresenceList, [],
        "Your own presence and that of all contacts, as known here now.";
    MessageSend "message.send" (MessageSend) -> MessageQueued, [NotFound, Denied, RateLimited, Conflict],
        "Write to a contact. It is kept until it is delivered or its time is over.";
    MessageList "message.list" (MessageListing) -> MessageList, [NotFound],
        "Messages, sent and received.";
    MessageGet "message.get" (OneMessage) -> MessageGot, [NotFound],
        "One message, with how far it has come.";
    MessageSearch "message.search" (MessageSearch) -> MessageList, [],
        "Messages with certain words in them, the newest first.";
    MessageMarkRead "message.mark_read" (MessageMarkRead) -> MessagesRead, [NotFound],
        "The messages of a contact were read; they are told so, unless the configuration says otherwise.";
    MessageCancel "message.cancel" (OneMessage) -> MessageCancelled, [NotFound],
        "Take back a message that was not delivered yet.";
    MessageConversations "message.conversations" (Nothing) -> ConversationList, [],
        "With whom messages were exchanged, and how many are unread.";
    OutboxList "outbox.list" (Nothing) -> OutboxList, [],
        "Messages that wait to be delivered.";
    OutboxRetry "outbox.retry" (OutboxRetry) -> OutboxRetried, [NotFound],
        "Offer what waits now, and not when its turn comes.";
    ContactVerify "contact.verify" (ContactVerify) -> ContactVerified, [NotFound],
        "The safety number of you and a contact; and that you have compared it with them.";
    ContactBlock "contact.block" (ContactBlock) -> ContactUpdated, [NotFound],
        "Take no messages of a contact: plainly, or without their knowing.";
    ContactUnblock "contact.unblock" (OneContact) -> ContactUpdated, [NotFound],
        "Take messages of a contact again.";
    NetPeers "net.peers" (Nothing) -> PeerList, [],
        "Connected nodes.";
    RelayList "relay.list" (Nothing) -> RelayList, [],
        "Relays that are known by name, and the mailboxes this node has there.";
    RelayUse "relay.use" (RelayUse) -> RelayUsed, [NotFound, Conflict, RateLimited],
        "Have a mailbox at this relay rather than at others; or no longer.";
    RelayTest "relay.test" (RelayTest) -> RelayTested, [NotFound, RateLimited],
        "Dial a relay, and see whether it is one.";
    NetDiagnose "net.diagnose" (NetDiagnose) -> Diagnosis, [RateLimited],
        "Why a contact cannot be seen or reached, step by step, with one conclusion.";
    EventsSubscribe "events.subscribe" (EventsSubscribe) -> EventsSubscribed, [RateLimited],
        "Make a consumer of events, and have events pushed on this connection.";
    EventsNext "events.next" (EventsNext) -> EventBatch, [RateLimited],
        "Events after those the consumer has acknowledged; waits for the first one if asked to.";
    EventsAck "events.ack" (EventsAck) -> EventsAcked, [NotFound],
        "Acknowledge events: they are not given to this consumer again.";
    RpcDiscover "rpc.discover" (Nothing) -> Discovered, [],
        "This API as an OpenRPC document, with all schemas.";
}

fn misfit(method: &str, error: impl std::fmt::Display) -> RpcError {
    RpcError::new(
        Kind::InvalidParams,
        format!("the parameters of {method} do not fit: {error}"),
    )
    .hint(format!("{}; see docs/rpc.md, {method}", takes(method)))
}

/// Which parameters a method takes, for people.
fn takes(method: &str) -> String {
    let schema = METHODS
        .iter()
        .find(|known| known.name == method)
        .map(|known| known.params.read());
    let field = |name: &str| schema.as_ref().and_then(|schema| schema.get(name));
    let needed = field("required").and_then(Value::as_array);
    let needed: Vec<&str> = needed.into_iter().flatten().filter_map(Value::as_str).collect();
    let others = field("properties").and_then(Value::as_object);
    let others: Vec<&str> = others
        .into_iter()
        .flat_map(|others| others.keys())
        .map(String::as_str)
        .filter(|name| !needed.contains(name))
        .collect();
    match (&needed[..], &others[..]) {
        ([], []) => "it takes no parameters".to_owned(),
        (_, []) => format!("it takes {}", needed.join(", ")),
        ([], _) => format!("it may take {}", others.join(", ")),
        _ => format!("it takes {}, and may take {}", needed.join(", "), others.join(", ")),
    }
}

fn unknown(method: &str) -> RpcError {
    let shown: String = method.chars().filter(|c| !c.is_control()).take(64).collect();
    let namespace = method.split('.').next().unwrap_or_default();
    let near: Vec<&str> = METHODS
        .iter()
        .map(|known| known.name)
        .filter(|name| name.split('.').next() == Some(namespace))
        .collect();
    let error = RpcError::new(Kind::MethodNotFound, format!("there is no method '{shown}'"));
    if near.is_empty() {
        let all: Vec<&str> = METHODS.iter().map(|known| known.name).collect();
        error.hint(format!("there are {}", all.join(", ")))
    } else {
        error.hint(format!("near it: {}", near.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_documented() {
        let page = include_str!("../../../docs/rpc.md");
        for method in METHODS {
            assert!(
                page.contains(&format!("### {}", method.name)),
                "{} is not in docs/rpc.md",
                method.name
            );
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let error = Call::parse("presence.get", serde_json::json!({"contct": "alice"})).unwrap_err();
        assert_eq!(error.data.kind, Kind::InvalidParams);
        assert!(error.message.contains("contct"), "{}", error.message);
        assert!(error.data.hint.unwrap().starts_with("it takes contact; "));
        let hint = |method: &str| {
            let error = Call::parse(method, serde_json::json!({"no such": 1})).unwrap_err();
            error.data.hint.unwrap().split(';').next().unwrap().to_owned()
        };
        assert_eq!(hint("node.info"), "it takes no parameters");
        assert_eq!(hint("events.ack"), "it takes consumer, number");
        assert_eq!(
            hint("invite.create"),
            "it may take expires_in_ms, idempotency_key, uses, view"
        );
        assert_eq!(hint("view.delete"), "it takes view, and may take idempotency_key");
        let error = Call::parse("presence.got", Value::Null).unwrap_err();
        assert_eq!(error.data.kind, Kind::MethodNotFound);
        assert!(error.data.hint.unwrap().contains("presence.get"));
    }
}
