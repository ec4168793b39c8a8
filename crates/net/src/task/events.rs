//! What the swarm reports.

use super::{Task, dialable};
use crate::behaviour::{BehaviourEvent, RELAY_MARKER, kad_protocol, protocol_version};
use crate::config::Role;
use crate::convert::node_of;
use crate::gossip::{Judgement, ident_topic, judge};
use crate::handle::{BeaconSource, FoundInstead, NetEvent};
use libp2p::swarm::{DialError, SwarmEvent};
use libp2p::{PeerId, gossipsub, identify, kad, mdns, ping};
use porchlight_wire::beacon::{VerifiedBeacon, topic};
use porchlight_wire::blind::Kind;
use porchlight_wire::record::{Place, VerifiedRecord};
use porchlight_wire::shelf::Shelved;
use std::collections::BTreeSet;

impl Task {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "libp2p adds kinds of events that concern nobody here"
    )]
    pub(super) fn on_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        if self.answers_dial(&event) {
            return;
        }
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(event)) => self.on_gossip(event),
            SwarmEvent::Behaviour(BehaviourEvent::Inbound(opened)) => self.on_opened(opened),
            SwarmEvent::Behaviour(BehaviourEvent::Kad(event)) => self.on_kad(event),
            SwarmEvent::Behaviour(BehaviourEvent::Identify(event)) => self.on_identify(event),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => self.on_ping(event),
            SwarmEvent::Behaviour(BehaviourEvent::Mdns(event)) => self.on_mdns(event),
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } => {
                if self.connections.is_shut_out(&peer_id) {
                    let _ = self.swarm.disconnect_peer_id(peer_id);
                }
                let address = endpoint.get_remote_address().clone();
                self.connections.connected(peer_id, address, endpoint.is_listener());
                self.send_waiting(peer_id);
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                num_established: 0,
                ..
            } => self.on_gone(&peer_id),
            SwarmEvent::ConnectionClosed { peer_id, endpoint, .. } => {
                self.connections.one_less(&peer_id, endpoint.is_listener());
            }
            SwarmEvent::OutgoingConnectionError {
                peer_id: Some(peer),
                error,
                ..
            } if !self.swarm.is_connected(&peer) => {
                self.dial_failed(peer, &error);
                self.fail_waiting(&peer, &error.to_string());
            }
            SwarmEvent::NewListenAddr { address, .. } => self.on_listening(&address),
            SwarmEvent::ExpiredListenAddr { address, .. } => self.on_not_listening(&address),
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                tracing::warn!(?addresses, ?reason, "the node no longer listens there");
                for address in addresses {
                    self.on_not_listening(&address);
                }
            }
            // Dials of others, and what the behaviours keep to themselves.
            _ => {}
        }
    }

    fn on_gone(&mut self, peer: &PeerId) {
        self.outbound.remove(peer);
        self.followers.drop_peer(peer);
        self.follow_gone(*peer);
        if let Some(state) = self.connections.disconnected(peer)
            && state.identified
            && let Some(node) = node_of(peer)
        {
            self.tell(NetEvent::Disconnected { node });
        }
        self.live_changed();
    }

    /// What a dial that failed says of a seed peer.
    fn dial_failed(&mut self, peer: PeerId, error: &DialError) {
        match error {
            DialError::WrongPeerId { obtained, .. } => {
                let found = FoundInstead::OtherNode(node_of(obtained));
                self.connections.found_instead(peer, Some(found));
            }
            DialError::Transport(_) | DialError::NoAddresses => self.connections.found_instead(peer, None),
            // It was not even dialled.
            DialError::LocalPeerId { .. }
            | DialError::DialPeerConditionFalse(_)
            | DialError::Aborted
            | DialError::Denied { .. } => {}
        }
    }

    fn on_identify(&mut self, event: identify::Event) {
        let identify::Event::Received { peer_id, info, .. } = event else {
            return;
        };
        if info.protocol_version != protocol_version(&self.config.network) {
            self.counters.other_networks += 1;
            self.connections
                .found_instead(peer_id, Some(FoundInstead::OtherNetwork));
            // An error says that it is gone already.
            let _ = self.swarm.disconnect_peer_id(peer_id);
            return;
        }
        self.connections.identified(&peer_id);
        let serves_dht = info
            .protocols
            .iter()
            .any(|protocol| protocol.as_ref() == kad_protocol(&self.config.network));
        let relay = serves_dht && info.protocols.contains(&RELAY_MARKER);
        let seen_at = self
            .connections
            .peers
            .get(&peer_id)
            .and_then(|peer| peer.address.clone());
        if relay {
            for address in dialable(info.listen_addrs, seen_at.as_ref()) {
                self.swarm.behaviour_mut().kad.add_address(&peer_id, address);
            }
        }
        let Some(peer) = self.connections.peers.get_mut(&peer_id) else {
            return;
        };
        let news = !peer.identified || peer.relay != relay;
        peer.identified = true;
        peer.relay = relay;
        if news && let Some(node) = node_of(&peer_id) {
            self.tell(NetEvent::Connected { node, relay });
            self.follow_somewhere();
            self.live_changed();
        }
    }

    /// Somebody is on the local network, or no longer. A contact's node is dialled there at once.
    fn on_mdns(&mut self, event: mdns::Event) {
        match event {
            mdns::Event::Discovered(found) => {
                for (peer, address) in found {
                    if self.local.found(peer, address) {
                        self.connections.try_now(&peer);
                    }
                }
            }
            mdns::Event::Expired(gone) => {
                for (peer, address) in gone {
                    self.local.gone(&peer, &address);
                }
            }
        }
    }

    fn on_ping(&mut self, event: ping::Event) {
        let Some(peer) = self.connections.peers.get_mut(&event.peer) else {
            return;
        };
        match event.result {
            Ok(rtt) => {
                let first = peer.last_pong.is_none();
                peer.pong(rtt);
                if first {
                    self.live_changed();
                }
            }
            // A peer that does not speak ping at all is as deaf as one that is gone.
            Err(_) => {
                if peer.silence() {
                    let _ = self.swarm.disconnect_peer_id(event.peer);
                }
            }
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            } => {
                let behaviour = self.swarm.behaviour_mut();
                let judgement = judge(
                    &self.config.network,
                    &self.topic_names,
                    behaviour.kad.store_mut(),
                    &mut self.pace,
                    &mut self.counters.gossip,
                    &message,
                );
                behaviour.gossip.report_message_validation_result(
                    &message_id,
                    &propagation_source,
                    judgement.acceptance(),
                );
                match judgement {
                    Judgement::News(beacon) => {
                        self.counters.beacon_bytes += beacon.bytes().len() as u64;
                        self.followers.push(&beacon.pk(), beacon.bytes(), &BTreeSet::new());
                        if let Some(node) = node_of(&propagation_source) {
                            let source = BeaconSource::Gossip(node);
                            self.tell(NetEvent::Beacon { beacon, source });
                        }
                    }
                    Judgement::Ignored => {}
                    Judgement::Forged => self.forged_by(propagation_source),
                }
            }
            gossipsub::Event::Subscribed { .. } | gossipsub::Event::Unsubscribed { .. } => self.live_changed(),
            gossipsub::Event::GossipsubNotSupported { .. } | gossipsub::Event::SlowPeer { .. } => {}
        }
    }

    /// Sends a beacon of our own to those in its topic.
    pub(super) fn gossip(&mut self, beacon: &VerifiedBeacon) {
        let news = self.shelve_own(&beacon.clone().into());
        // Contacts who are connected are in the topic too, as a rule: twice the bytes for nothing. What a relay says itself is
        // little.
        let has = if self.publish(beacon) && self.config.role == Role::Ordinary {
            self.in_topic(beacon)
        } else {
            BTreeSet::new()
        };
        if news {
            self.followers.push(&beacon.pk(), beacon.bytes(), &has);
        }
    }

    /// Who is in a beacon's topic: whom gossip brings it.
    fn in_topic(&self, beacon: &VerifiedBeacon) -> BTreeSet<PeerId> {
        let topic = ident_topic(&self.config.network, topic(&self.config.network, &beacon.pk())).hash();
        let peers = self.swarm.behaviour().gossip.all_peers();
        peers
            .filter(|(_, topics)| topics.contains(&&topic))
            .map(|(peer, _)| *peer)
            .collect()
    }

    /// Sends a beacon, of whomever, to those in its topic. False if that was not possible.
    pub(super) fn publish(&mut self, beacon: &VerifiedBeacon) -> bool {
        let topic = ident_topic(&self.config.network, topic(&self.config.network, &beacon.pk()));
        match self.swarm.behaviour_mut().gossip.publish(topic, beacon.bytes()) {
            // Nobody there to hear it, and hearing it twice, are both fine.
            Ok(_) | Err(gossipsub::PublishError::NoPeersSubscribedToTopic | gossipsub::PublishError::Duplicate) => true,
            Err(error) => {
                tracing::debug!(%error, "a beacon was not gossiped");
                false
            }
        }
    }

    /// Keeps a record of our own: a relay serves it, and an old copy that comes back is known to be old.
    pub(super) fn keep_own(&mut self, record: &VerifiedRecord) {
        if self.shelve_own(record)
            && let Some(beacon) = record.beacon()
        {
            self.followers.push(&beacon.pk(), beacon.bytes(), &BTreeSet::new());
        }
    }

    /// Puts a record of our own on the shelf. True if it is news there.
    fn shelve_own(&mut self, record: &VerifiedRecord) -> bool {
        if let Some(beacon) = record.beacon()
            && beacon.kind() == Kind::Card
        {
            self.own_cards.insert(beacon.pk());
        }
        let shelved = self.swarm.behaviour_mut().kad.store_mut().keep(record.clone());
        shelved.is_news()
    }

    /// Whether a record that is put here comes in its pace: that of its place, and if nothing is there yet, that of new
    /// places from whoever brings it.
    pub(super) fn is_in_pace(&mut self, source: PeerId, place: Place) -> bool {
        let known = self.swarm.behaviour_mut().kad.store_mut().knows(&place);
        (known || self.brought.allows(source)) && self.pace.allows(place)
    }

    /// A server of the DHT is asked to keep a record.
    pub(super) fn on_put_request(&mut self, source: PeerId, record: &kad::Record) {
        let records = self.swarm.behaviour_mut().kad.store_mut();
        match records.verify_record(record) {
            Ok(verified) => {
                let place = verified.place();
                if records.at(&place).is_some_and(|known| !verified.supersedes(known)) {
                    self.counters.dht.outdated += 1;
                    return;
                }
                if !self.is_in_pace(source, place) {
                    self.counters.dht.limited += 1;
                    return;
                }
                let shelved = self.swarm.behaviour_mut().kad.store_mut().offer(verified.clone());
                match shelved {
                    Shelved::New | Shelved::Replaced => {
                        self.counters.dht.accepted += 1;
                        self.counters.beacon_bytes += verified.bytes().len() as u64;
                        if let Some(beacon) = verified.beacon() {
                            self.followers.push(&beacon.pk(), beacon.bytes(), &BTreeSet::new());
                        }
                    }
                    Shelved::Same | Shelved::Outdated => self.counters.dht.outdated += 1,
                    Shelved::Full => self.counters.dht.limited += 1,
                    Shelved::Expired => self.counters.dht.untimely += 1,
                }
            }
            Err(error) if error.is_forgery() => {
                self.counters.dht.forged += 1;
                self.forged_by(source);
            }
            Err(_) => self.counters.dht.untimely += 1,
        }
    }
}
