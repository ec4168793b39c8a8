//! The hello: the devices of two contacts prove themselves on a connection, so that Olm messages may go over it without an envelope.
//! `outbox` asks whether a node is proven and begins a hello where it is not; a connection that ends takes the proof with it.
//! Nobody learns anything from a hello who is no contact: the answer to them is random.

use crate::input::ExchangeId;
use crate::limits::HELLO_TRIES;
use crate::node::Node;
use crate::step::Effect;
use porchlight_wire::content::OlmPacket;
use porchlight_wire::frame::{Refusal, Request, Response};
use porchlight_wire::hello::{HelloSides, HelloTags};
use porchlight_wire::ids::{DeviceId, NodeId, PrincipalId};
use rand_core::Rng;
use std::collections::{BTreeMap, BTreeSet};

/// Who was proven on which connection, and what is under way. Volatile, as connections are.
#[derive(Debug, Default)]
pub(crate) struct Hellos {
    proven: BTreeMap<NodeId, Proven>,
    /// What we asked.
    asking: BTreeMap<ExchangeId, Asking>,
    /// What others asked us, and what we drew.
    asked: BTreeMap<NodeId, HelloSides>,
    /// Nodes that are being asked, or that did not prove anything on this connection: they are not asked again.
    tried: BTreeSet<NodeId>,
}

/// Whose device a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Proven {
    principal: PrincipalId,
    device: DeviceId,
}

#[derive(Debug)]
enum Asking {
    /// For what the other side draws.
    Nonce {
        to: PrincipalId,
        node: NodeId,
        asked: [u8; 32],
    },
    /// For its tag.
    Proof {
        whose: Proven,
        node: NodeId,
        tags: HelloTags,
    },
}

impl Node {
    /// Whether this node has proven to be this device of this contact.
    pub(crate) fn is_proven(&self, node: NodeId, principal: PrincipalId, device: DeviceId) -> bool {
        self.hellos.proven.get(&node) == Some(&Proven { principal, device })
    }

    /// Asks a contact's node for proof, once for each connection.
    pub(crate) fn begin_hello(&mut self, to: PrincipalId, node: NodeId) {
        if !self.connected.contains_key(&node) || self.hellos.proven.contains_key(&node) {
            return;
        }
        if !self.hellos.tried.insert(node) {
            return;
        }
        let asked = self.draw();
        let exchange = ExchangeId(self.next_id());
        let asking = Asking::Nonce { to, node, asked };
        self.hellos.asking.insert(exchange, asking);
        self.ask_node(exchange, node, Request::Hello { nonce: asked });
    }

    /// One of our questions was answered. False if it was about something else.
    pub(crate) fn on_hello_response(&mut self, exchange: ExchangeId, response: &Response) -> bool {
        let Some(asking) = self.hellos.asking.remove(&exchange) else {
            return false;
        };
        match (asking, response) {
            (Asking::Nonce { to, node, asked }, Response::Hello { nonce }) => self.prove(to, node, asked, *nonce),
            (Asking::Proof { whose, node, tags }, Response::Proof { tag })
                if tags.is_answerer(tag) && self.connected.contains_key(&node) =>
            {
                self.hellos.proven.insert(node, whose);
            }
            // They do not do this, or are somebody else. What we have for them goes in envelopes.
            (Asking::Nonce { .. } | Asking::Proof { .. }, _) => {}
        }
        true
    }

    /// One of our questions will not be answered. False if it was about something else.
    pub(crate) fn on_hello_failed(&mut self, exchange: ExchangeId) -> bool {
        self.hellos.asking.remove(&exchange).is_some()
    }

    fn prove(&mut self, to: PrincipalId, node: NodeId, asked: [u8; 32], answered: [u8; 32]) {
        let sides = HelloSides {
            asker: self.config.node,
            answerer: node,
            asked,
            answered,
        };
        let Some((whose, tags)) = self.tags_with(&to, &sides) else {
            return;
        };
        let exchange = ExchangeId(self.next_id());
        let tag = tags.asker();
        self.hellos.asking.insert(exchange, Asking::Proof { whose, node, tags });
        self.ask_node(exchange, node, Request::Prove { tag });
    }

    /// What we and the device in a contact's card show each other.
    fn tags_with(&self, principal: &PrincipalId, sides: &HelloSides) -> Option<(Proven, HelloTags)> {
        let card = self.card_of(principal)?;
        let device = card.bundle.device;
        let exchange = card.devices.device(&device)?.exchange;
        let tags = HelloTags::of(&self.disk.identity.device, &exchange, sides)?;
        let principal = *principal;
        Some((Proven { principal, device }, tags))
    }

    /// Somebody asks for proof.
    pub(crate) fn on_hello(&mut self, from: NodeId, asked: [u8; 32]) -> Response {
        if !self.config.messages || !self.connected.contains_key(&from) {
            let reason = Refusal::NotServed;
            return Response::Refused { reason };
        }
        let answered = self.draw();
        let sides = HelloSides {
            asker: from,
            answerer: self.config.node,
            asked,
            answered,
        };
        self.hellos.asked.insert(from, sides);
        Response::Hello { nonce: answered }
    }

    /// Somebody shows proof. Whether it is any good shows only to who can judge our answer.
    pub(crate) fn on_prove(&mut self, from: NodeId, shown: &[u8; 32]) -> Response {
        let Some(sides) = self.hellos.asked.remove(&from) else {
            return Response::Proof { tag: self.draw() };
        };
        let contacts: Vec<PrincipalId> = self
            .cards
            .iter()
            .filter(|(_, card)| card.bundle.addresses.iter().any(|address| address.node == from))
            .map(|(principal, _)| *principal)
            .take(HELLO_TRIES)
            .collect();
        let tags = contacts
            .iter()
            .filter_map(|principal| self.tags_with(principal, &sides));
        let proven = tags.into_iter().find(|(_, tags)| tags.is_asker(shown));
        let Some((whose, tags)) = proven else {
            return Response::Proof { tag: self.draw() };
        };
        self.hellos.proven.insert(from, whose);
        Response::Proof { tag: tags.answerer() }
    }

    /// An Olm message came without an envelope: only on a connection whose other end has proven to be the device that wrote it.
    pub(crate) fn on_direct(&mut self, from: NodeId, packet: &[u8]) -> Response {
        let Ok(packet) = OlmPacket::from_padded(packet) else {
            let reason = Refusal::Malformed;
            return Response::Refused { reason };
        };
        let proven = self.hellos.proven.get(&from).copied();
        let is_theirs = proven
            .is_some_and(|proven| proven.device == packet.device && self.disk.contacts.contains_key(&proven.principal));
        // What begins a session goes in an envelope, whichever way.
        if !is_theirs || packet.identity.is_some() {
            let reason = Refusal::NotAdmitted;
            return Response::Refused { reason };
        }
        match self.open_olm(&packet) {
            Ok(()) => Response::Delivered {},
            Err(reason) => Response::Refused { reason },
        }
    }

    /// The other side does not take us for proven. It is not asked again on this connection.
    pub(crate) fn doubt_hello(&mut self, node: NodeId) {
        self.hellos.proven.remove(&node);
        self.hellos.tried.insert(node);
    }

    /// A connection has ended.
    pub(crate) fn forget_hello(&mut self, node: NodeId) {
        self.hellos.proven.remove(&node);
        self.hellos.asked.remove(&node);
        self.hellos.tried.remove(&node);
        let of_this = |asking: &Asking| match asking {
            Asking::Nonce { node: of, .. } | Asking::Proof { node: of, .. } => *of == node,
        };
        self.hellos.asking.retain(|_, asking| !of_this(asking));
    }

    fn draw(&mut self) -> [u8; 32] {
        let mut drawn = [0; 32];
        self.rng.fill_bytes(&mut drawn);
        drawn
    }

    fn ask_node(&mut self, exchange: ExchangeId, to: NodeId, request: Request) {
        self.step.effect(Effect::Request {
            exchange,
            to,
            addresses: Vec::new(),
            request,
        });
    }
}
