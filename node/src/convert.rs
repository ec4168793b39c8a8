//! Conversions between crates that do not know each other, by hand: the core's inputs and effects against the network's
//! events and commands here, the core's answers against the API's objects in [`rpc`].

pub mod messages;
pub mod presence;
pub mod rpc;

use porchlight_net::{BeaconSource, ExchangeFailure, NetCommand, NetEvent};
use porchlight_proto::input::{self, ExchangeId, LookupId, PutId};
use porchlight_proto::{Effect, Input};

/// What a network event is to the core.
#[must_use]
pub fn net_input(event: NetEvent) -> Input {
    match event {
        NetEvent::Connected { node, relay } => Input::Connected { node, relay },
        NetEvent::Disconnected { node } => Input::Disconnected { node },
        NetEvent::Request {
            from,
            exchange,
            request,
        } => Input::Request {
            from,
            exchange: ExchangeId(exchange),
            request,
        },
        NetEvent::Response { exchange, response } => Input::Response {
            exchange: ExchangeId(exchange),
            response,
        },
        NetEvent::ExchangeFailed { exchange, reason } => Input::ExchangeFailed {
            exchange: ExchangeId(exchange),
            perhaps_processed: matches!(reason, ExchangeFailure::Interrupted(_)),
            reason: reason.to_string(),
        },
        NetEvent::Beacon { beacon, source } => Input::Beacon {
            beacon,
            source: match source {
                BeaconSource::Gossip(node) => input::BeaconSource::Gossip(node),
                BeaconSource::Follow(node) => input::BeaconSource::Follow(node),
            },
        },
        NetEvent::Found { lookup, record } => Input::Found {
            lookup: LookupId(lookup),
            record,
        },
        NetEvent::LookupDone { lookup, answered } => Input::LookupDone {
            lookup: LookupId(lookup),
            answered,
        },
        NetEvent::PutDone { id, stored, asked } => Input::PutDone {
            put: PutId(id),
            stored,
            asked,
        },
        NetEvent::Live { nodes } => Input::Live {
            nodes: nodes
                .into_iter()
                .map(|live| input::LiveNode {
                    node: live.node,
                    relay: live.relay,
                    topics: live.topics,
                    followed: live.followed,
                })
                .collect(),
        },
        NetEvent::Followed { node, told } => Input::Followed { node, told },
        NetEvent::Listening { address } => Input::Listening { address },
        NetEvent::NotListening { address } => Input::NotListening { address },
    }
}

/// What the network has to do for an effect; none if the effect is not for the network.
#[must_use]
pub fn net_command(effect: Effect) -> Option<NetCommand> {
    Some(match effect {
        Effect::Gossip { beacon } => NetCommand::Gossip { beacon },
        Effect::Put { put, record } => NetCommand::Put { id: put.0, record },
        Effect::Lookup { lookup, places, at } => NetCommand::Lookup {
            id: lookup.0,
            places,
            at,
        },
        Effect::Topics { topics } => NetCommand::Topics { topics },
        Effect::Expect { addresses } => NetCommand::Expect { addresses },
        Effect::Follow { addresses } => NetCommand::Follow { addresses },
        Effect::FollowAt {
            node,
            reach,
            addresses,
            proofs,
        } => NetCommand::FollowAt {
            node,
            reach,
            addresses,
            proofs,
        },
        Effect::Serve { views } => NetCommand::Serve { views },
        Effect::Request {
            exchange,
            to,
            addresses,
            request,
        } => NetCommand::Request {
            exchange: exchange.0,
            to,
            addresses,
            request,
        },
        Effect::Respond { exchange, response } => NetCommand::Respond {
            exchange: exchange.0,
            response,
        },
        Effect::Keep { contacts } => NetCommand::Keep { contacts },
        Effect::Reply { .. }
        | Effect::Events { .. }
        | Effect::Work { .. }
        | Effect::DayWork { .. }
        | Effect::HandOut { .. }
        | Effect::Halt => return None,
    })
}
