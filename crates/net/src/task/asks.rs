//! Exchanges on framed streams: ours, and those of others.

use super::{Responder, Task, WAITING_FOR_CORE};
use crate::config::Role;
use crate::convert::{multiaddr_of, peer_of};
use crate::handle::{ExchangeFailure, NetEvent};
use crate::serve::record;
use crate::streams::{Answers, Asker, Outgoing, StreamEvent, WAITING, ask};
use libp2p::{Multiaddr, PeerId};
use porchlight_wire::blind::{BlindedKey, Kind};
use porchlight_wire::frame::{ExchangeNumber, Refusal, Request, Response};
use porchlight_wire::ids::{Address, NodeAddress, NodeId};
use porchlight_wire::limits::RELAYS;
use porchlight_wire::record::{Place, VerifiedRecord};
use porchlight_wire::shelf::Shelved;
use std::collections::BTreeSet;
use tokio::sync::mpsc;

/// Peers that requests may wait for at once.
const WAITED_FOR: usize = 256;

impl Task {
    /// A request of the core.
    pub(super) fn request(&mut self, exchange: u64, to: &NodeId, addresses: &[Address], request: Request) {
        let Some(peer) = peer_of(to) else {
            self.fail(Asker::Core(exchange), false, "the node's id is no PeerId");
            return;
        };
        let reach = addresses.iter().filter_map(multiaddr_of).collect();
        self.send_to(peer, reach, Asker::Core(exchange), request);
    }

    /// Sends a request, dialling first if need be.
    pub(super) fn send_to(&mut self, peer: PeerId, reach: Vec<Multiaddr>, asker: Asker, request: Request) {
        if self.swarm.is_connected(&peer) {
            self.send(peer, asker, request);
            return;
        }
        if reach.is_empty() {
            self.fail(asker, false, "no address of it is known");
            return;
        }
        if self.waiting.len() >= WAITED_FOR && !self.waiting.contains_key(&peer) {
            self.fail(asker, false, "too many nodes are being dialled");
            return;
        }
        let waiting = self.waiting.entry(peer).or_default();
        if waiting.len() >= WAITING {
            self.fail(asker, false, "too many requests wait for it");
            return;
        }
        waiting.push(Outgoing { asker, request });
        // A dial that was not even begun reports nothing: nobody would ever answer.
        if let Err(reason) = self.dial(peer, reach) {
            self.fail_waiting(&peer, &reason);
        }
    }

    /// Sends a request to a connected peer.
    pub(super) fn send(&mut self, peer: PeerId, asker: Asker, request: Request) {
        self.connections.touch(&peer);
        let sender = match self.outbound.get(&peer) {
            Some(sender) if !sender.is_closed() => sender.clone(),
            Some(_) | None => {
                let (sender, requests) = mpsc::channel(WAITING);
                let control = self.swarm.behaviour().streams.new_control();
                let reports = self.stream_reports.clone();
                let deadline = self.config.timing.exchange;
                tokio::spawn(ask(peer, control, requests, reports, deadline));
                self.outbound.insert(peer, sender.clone());
                sender
            }
        };
        if sender.try_send(Outgoing { asker, request }).is_err() {
            self.fail(asker, false, "too many requests wait for it");
        }
    }

    /// What waited for a connection to `peer` can go.
    pub(super) fn send_waiting(&mut self, peer: PeerId) {
        for Outgoing { asker, request } in self.waiting.remove(&peer).unwrap_or_default() {
            if let Asker::Follow(round) = asker
                && !self.follow.is_current(&peer, round)
            {
                continue;
            }
            self.send(peer, asker, request);
        }
    }

    /// What waited for a connection to `peer` cannot go.
    pub(super) fn fail_waiting(&mut self, peer: &PeerId, reason: &str) {
        for Outgoing { asker, .. } in self.waiting.remove(peer).unwrap_or_default() {
            self.fail(asker, false, reason);
        }
    }

    fn fail(&mut self, asker: Asker, perhaps: bool, reason: &str) {
        match asker {
            Asker::Core(exchange) => {
                let reason = if perhaps {
                    ExchangeFailure::Interrupted(reason.to_owned())
                } else {
                    ExchangeFailure::Unreachable(reason.to_owned())
                };
                self.tell(NetEvent::ExchangeFailed { exchange, reason });
            }
            Asker::Lookup(lookup) => self.on_lookup_answer(lookup, None),
            Asker::Follow(round) => self.follow_failed(round),
        }
    }

    pub(super) fn on_stream(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Answer { peer, asker, response } => self.on_answer(peer, asker, response),
            StreamEvent::Failed {
                asker, perhaps, reason, ..
            } => self.fail(asker, perhaps, &reason),
            StreamEvent::Asked {
                peer,
                number,
                request,
                answers,
            } => self.on_asked(peer, number, request, answers),
            StreamEvent::OutboundClosed { peer } => {
                if self.outbound.get(&peer).is_some_and(mpsc::Sender::is_closed) {
                    self.outbound.remove(&peer);
                }
            }
            StreamEvent::InboundClosed { peer } => {
                self.followers.drop_gone(&peer);
                if let Some(streams) = self.inbound_streams.get_mut(&peer) {
                    *streams -= 1;
                    if *streams == 0 {
                        self.inbound_streams.remove(&peer);
                    }
                }
            }
        }
    }

    fn on_answer(&mut self, peer: PeerId, asker: Asker, response: Response) {
        self.connections.touch(&peer);
        match asker {
            Asker::Core(exchange) => self.tell(NetEvent::Response { exchange, response }),
            Asker::Lookup(lookup) => self.on_lookup_answer(lookup, Some(&response)),
            Asker::Follow(round) => self.on_followed(peer, round, &response),
        }
    }

    /// A peer asks something. What concerns records is answered here; letters are the core's.
    fn on_asked(&mut self, peer: PeerId, number: ExchangeNumber, request: Request, answers: Answers) {
        self.connections.touch(&peer);
        let response = match request {
            // What needs a memory, or keys, is the core's.
            Request::Deliver { .. }
            | Request::Hello { .. }
            | Request::Prove { .. }
            | Request::Direct { .. }
            | Request::MailboxDeposit { .. }
            | Request::Mailbox(_)
            | Request::MailboxArrived { .. } => {
                self.ask_core(peer, number, request, answers);
                return;
            }
            Request::RecordPut { beacon } => self.take_record(peer, &beacon),
            Request::RecordGet { address } => self.give_record(&address),
            Request::RecordFollow { addresses, proofs } => {
                self.start_follower(peer, number, addresses, &proofs, &answers);
                return;
            }
            Request::Relays {} => self.name_relays(),
        };
        answers.send(number, response);
    }

    fn ask_core(&mut self, peer: PeerId, number: ExchangeNumber, request: Request, answers: Answers) {
        let Some(from) = Self::node_name(&peer) else {
            return;
        };
        if self.asked.len() >= WAITING_FOR_CORE {
            let reason = Refusal::TooMany;
            answers.send(number, Response::Refused { reason });
            return;
        }
        self.last_asked += 1;
        let exchange = self.last_asked;
        self.asked.insert(exchange, Responder { peer, number, answers });
        self.tell(NetEvent::Request {
            from,
            exchange,
            request,
        });
    }

    /// The core's answer to a request of another.
    pub(super) fn respond(&mut self, exchange: u64, response: Response) {
        if let Some(responder) = self.asked.remove(&exchange) {
            self.connections.touch(&responder.peer);
            responder.answers.send(responder.number, response);
        }
    }

    /// `record.put`: a relay keeps the record, and passes presence on by gossip.
    fn take_record(&mut self, peer: PeerId, bytes: &[u8]) -> Response {
        let refused = |reason| Response::Refused { reason };
        if self.config.role != Role::Relay {
            return refused(Refusal::NotServed);
        }
        let records = self.swarm.behaviour_mut().kad.store_mut();
        let beacon = match records.verify(bytes) {
            Ok(beacon) => beacon,
            Err(error) if error.is_forgery() => {
                self.counters.stream.forged += 1;
                self.forged_by(peer);
                return refused(Refusal::Invalid);
            }
            Err(_) => {
                self.counters.stream.untimely += 1;
                return refused(Refusal::Invalid);
            }
        };
        let record = VerifiedRecord::from(beacon.clone());
        let place = record.place();
        let known = records.at(&place);
        if known.is_some_and(|known| *known == record) {
            return Response::RecordKept {};
        }
        if known.is_some_and(|known| !record.supersedes(known)) {
            self.counters.stream.outdated += 1;
            return refused(Refusal::Outdated);
        }
        if !self.is_in_pace(peer, place) {
            self.counters.stream.limited += 1;
            return refused(Refusal::TooMany);
        }
        match self.swarm.behaviour_mut().kad.store_mut().offer(record) {
            Shelved::New | Shelved::Replaced => {
                self.counters.stream.accepted += 1;
                self.counters.beacon_bytes += beacon.bytes().len() as u64;
                self.followers.push(&beacon.pk(), beacon.bytes(), &BTreeSet::new());
                if beacon.kind() == Kind::Presence {
                    self.publish(&beacon);
                }
                Response::RecordKept {}
            }
            Shelved::Same => Response::RecordKept {},
            Shelved::Outdated => {
                self.counters.stream.outdated += 1;
                refused(Refusal::Outdated)
            }
            Shelved::Full => {
                self.counters.stream.limited += 1;
                refused(Refusal::Full)
            }
            Shelved::Expired => {
                self.counters.stream.untimely += 1;
                refused(Refusal::Invalid)
            }
        }
    }

    fn give_record(&mut self, address: &BlindedKey) -> Response {
        record(self.served(address).as_deref())
    }

    /// What is at an address, as far as this node gives it out.
    fn served(&mut self, address: &BlindedKey) -> Option<Vec<u8>> {
        if self.config.role != Role::Relay && !self.own_cards.contains(address) {
            return None;
        }
        let records = self.swarm.behaviour_mut().kad.store_mut();
        records
            .at(&Place::Beacon(*address))
            .map(|record| record.bytes().to_vec())
    }

    fn name_relays(&self) -> Response {
        let relays = self
            .connections
            .relays()
            .into_iter()
            .filter_map(|peer| {
                let state = self.connections.peers.get(&peer)?;
                // Only where we dialled them do we know an address that others can dial.
                let address = state.address.as_ref().filter(|_| !state.inbound)?;
                Some(NodeAddress {
                    node: Self::node_name(&peer)?,
                    address: crate::convert::address_of(address)?,
                })
            })
            .take(RELAYS)
            .collect();
        Response::RelayList { relays }
    }
}
