//! The one registry of the kinds of events. A kind is a line here, and its `data` a type in [`types`].

use crate::schema::Shape;
use crate::types::{self, Event};
use serde::Serialize;
use serde_json::Value;

/// What there is to say about a kind of event.
#[derive(Clone, Copy, Debug)]
pub struct EventInfo {
    /// Its name.
    pub kind: &'static str,
    /// What has happened, in a line.
    pub summary: &'static str,
    /// Its `data` as JSON.
    pub data: Shape,
}

macro_rules! registry {
    ($( $variant:ident $kind:literal ( $data:ident ), $summary:literal; )*) => {
        /// What an event tells, by its kind.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Telling {
            $( #[doc = $summary] $variant(types::$data), )*
        }

        impl Telling {
            /// The kind's name.
            #[must_use]
            pub const fn kind(&self) -> &'static str {
                match self { $( Self::$variant(_) => $kind, )* }
            }

            fn data(&self) -> Value {
                match self { $( Self::$variant(data) => object(data), )* }
            }
        }

        /// All kinds, in the order of the documentation.
        pub const EVENTS: &[EventInfo] = &[
            $( EventInfo { kind: $kind, summary: $summary, data: Shape::of::<types::$data>() }, )*
        ];
    };
}

registry! {
    PresenceChanged "presence.changed" (PresenceChange),
        "What is told of a contact has changed.";
    PresencePolled "presence.polled" (PolledPresence),
        "A poll was told something else of a contact than last time.";
    OwnPresenceChanged "presence.own_changed" (OwnPresenceChange),
        "Our own presence is another one: it was set, cleared, or is over.";
    ContactAdded "contact.added" (NewContact),
        "Someone became a contact.";
    ContactRefused "contact.refused" (RefusedContact),
        "First contact was refused by the other side.";
    SubscriptionChanged "subscription.changed" (SubscriptionChange),
        "The state of a subscription of ours has changed.";
    WatcherApproved "watcher.approved" (WatcherChange),
        "Someone was granted a view of ours.";
    WatcherRevoked "watcher.revoked" (WatcherChange),
        "Someone no longer sees a view of ours.";
    ContactRemoved "contact.removed" (FormerContact),
        "Someone is no longer a contact.";
    InviteRevoked "invite.revoked" (OneInvite),
        "An invite of ours was revoked.";
    InviteUsed "invite.used" (InviteUse),
        "An invite of ours was used.";
    InviteExpired "invite.expired" (OneInvite),
        "An invite of ours ended.";
    MessageReceived "message.received" (ReceivedMessage),
        "A message came, and is the next to be shown.";
    MessageChanged "message.changed" (ChangedMessage),
        "A message of ours has come further, or to its end.";
    LetterDelivered "letter.delivered" (DeliveredLetter),
        "A letter reached the other side.";
    RelayAdded "relay.added" (OneNode),
        "A relay was connected.";
    RelayLost "relay.lost" (OneNode),
        "The connection to a relay was lost.";
    ReachabilityChanged "net.reachability_changed" (Reachability),
        "Whether anyone is connected who could know of our contacts has changed.";
    NodeStarted "node.started" (Happened),
        "The node came up.";
    NodeStopping "node.stopping" (Happened),
        "The node says goodbye.";
    NodeDegraded "node.degraded" (Degraded),
        "The node does not do all that it should, or for other reasons than before.";
    NodeRecovered "node.recovered" (Happened),
        "The node does all that it should again.";
    EventsLost "events.lost" (LostEvents),
        "Events were asked for that are no longer kept.";
}

impl Telling {
    /// The event of this number.
    #[must_use]
    pub fn numbered(&self, number: u64, at: String) -> Event {
        Event {
            number,
            at,
            kind: self.kind().to_owned(),
            data: self.data(),
        }
    }
}

fn object(data: &impl Serialize) -> Value {
    // Nothing of what events tell has keys other than texts, so that all of it is JSON.
    serde_json::to_value(data).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_documented() {
        let page = include_str!("../../../docs/rpc.md");
        for event in EVENTS {
            assert!(
                page.contains(&format!("| `{}", event.kind)) || page.contains(&format!("`, `{}` |", event.kind)),
                "{} is not in docs/rpc.md",
                event.kind
            );
        }
    }
}
