//! The one registry of methods. A method is a line here: everything else is made from it.

use crate::error::{Kind, RpcError};
use crate::types;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A method, as a type: its name, parameters and reply.
pub trait Method {
    /// As on the wire.
    const NAME: &'static str;
    /// Its parameters.
    type Params: Serialize + DeserializeOwned + Send;
    /// Its reply.
    type Reply: Serialize + DeserializeOwned + Send;
}

/// What there is to say about a method.
#[derive(Clone, Copy, Debug)]
pub struct MethodInfo {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// Parameters that can be tried.
    pub example: &'static str,
}

macro_rules! registry {
    ($( $variant:ident $name:literal ( $params:ident ) -> $reply:ident, $summary:literal, $example:literal; )*) => {
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
            $( MethodInfo { name: $name, summary: $summary, example: $example }, )*
        ];
    };
}

registry! {
    NodeInfo "node.info" (Nothing) -> NodeInfo,
        "How the node is: who, where, with whom connected, what it has seen.", "{}";
    NodeStop "node.stop" (Nothing) -> Stopping,
        "Say goodbye to all watchers and end the node.", "{}";
    IdentityShow "identity.show" (Nothing) -> IdentityShown,
        "Who this node speaks for.", "{}";
    InviteCreate "invite.create" (InviteCreate) -> InviteCreated,
        "Make an invite; those who use it become contacts.", r#"{"uses": 1, "expires_in_ms": 604800000}"#;
    InviteList "invite.list" (Nothing) -> InviteList,
        "The invites that are out. Their secrets are not shown again.", "{}";
    InviteRevoke "invite.revoke" (InviteRevoke) -> InviteRevoked,
        "Let nobody use an invite from now on; those who did stay contacts.", r#"{"invite": "ryf3ou2pz5hrflduld5ybex6ki"}"#;
    ContactAdd "contact.add" (ContactAdd) -> ContactAdded,
        "Use an invite.", r#"{"invite": "porchlight:ae...", "name": "alice"}"#;
    ContactList "contact.list" (Nothing) -> ContactList,
        "All contacts.", "{}";
    ContactUpdate "contact.update" (ContactUpdate) -> ContactUpdated,
        "Give a contact another petname, another view, or both.", r#"{"contact": "bob", "view": "work"}"#;
    ContactRemove "contact.remove" (ContactRemove) -> ContactRemoved,
        "End it with a contact: they are told, and read nothing that follows.", r#"{"contact": "bob"}"#;
    ViewList "view.list" (Nothing) -> ViewList,
        "All views, and who holds them.", "{}";
    ViewCreate "view.create" (ViewCreate) -> ViewShown,
        "Make a view: a class of watchers, and what they see.", r#"{"view": "work", "shows": "status"}"#;
    ViewDelete "view.delete" (ViewDelete) -> ViewShown,
        "Delete a view that nobody holds.", r#"{"view": "work"}"#;
    GrantList "grant.list" (Nothing) -> GrantList,
        "What was granted to whom, and whether it has reached them.", "{}";
    GrantRevoke "grant.revoke" (ContactRemove) -> ContactUpdated,
        "Take back what a contact was granted; they stay a contact.", r#"{"contact": "bob"}"#;
    WatcherList "watcher.list" (Nothing) -> WatcherList,
        "Who watches, with which view, and how far it is.", "{}";
    PresenceSet "presence.set" (PresenceSet) -> PresenceWasSet,
        "Say how you are; contacts are notified.", r#"{"status": "away", "note": {"text": "back at four", "lang": "en"}}"#;
    PresenceGet "presence.get" (OneContact) -> PresenceGot,
        "Ask the network for a contact's presence now (a fetch).", r#"{"contact": "alice"}"#;
    PresenceSubscribe "presence.subscribe" (OneContact) -> Subscription,
        "Be notified of a contact's presence.", r#"{"contact": "alice"}"#;
    PresenceUnsubscribe "presence.unsubscribe" (OneContact) -> Subscription,
        "Stop being notified of a contact's presence.", r#"{"contact": "alice"}"#;
    PresenceList "presence.list" (Nothing) -> PresenceList,
        "Your own presence and that of all contacts, as known here now.", "{}";
    NetPeers "net.peers" (Nothing) -> PeerList,
        "Connected nodes.", "{}";
    EventsSubscribe "events.subscribe" (EventsSubscribe) -> EventsSubscribed,
        "Make a consumer of events, and have events pushed on this connection.", r#"{"consumer": "my-program", "from": "now"}"#;
    EventsNext "events.next" (EventsNext) -> EventBatch,
        "Events after those the consumer has acknowledged; waits for the first one if asked to.", r#"{"consumer": "my-program", "max": 100, "wait_ms": 30000}"#;
    EventsAck "events.ack" (EventsAck) -> EventsAcked,
        "Acknowledge events: they are not given to this consumer again.", r#"{"consumer": "my-program", "number": 42}"#;
}

fn misfit(method: &str, error: impl std::fmt::Display) -> RpcError {
    RpcError::new(
        Kind::InvalidParams,
        format!("the parameters of {method} do not fit: {error}"),
    )
    .hint(format!("see docs/rpc.md, {method}"))
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
    fn every_example_is_a_call() {
        for method in METHODS {
            let params: Value = serde_json::from_str(method.example).unwrap();
            let call = Call::parse(method.name, params).unwrap_or_else(|error| panic!("{}: {error}", method.name));
            assert_eq!(call.method(), method.name);
        }
    }

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
        let error = Call::parse("presence.got", Value::Null).unwrap_err();
        assert_eq!(error.data.kind, Kind::MethodNotFound);
        assert!(error.data.hint.unwrap().contains("presence.get"));
    }
}
