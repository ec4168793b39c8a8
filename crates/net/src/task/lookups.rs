//! Lookups and puts, step by step.

use super::Task;
use crate::config::Role;
use crate::convert::{multiaddr_of, node_of, peer_of};
use crate::handle::NetEvent;
use crate::queries::{Lookup, Part, Put};
use crate::records::record_of;
use crate::streams::Asker;
use libp2p::PeerId;
use libp2p::kad::{
    self, GetClosestPeersError, GetClosestPeersOk, GetRecordOk, InboundRequest, PeerRecord, QueryId, QueryResult,
    QueryStats, Quorum, RecordKey,
};
use porchlight_wire::blind::BlindedKey;
use porchlight_wire::frame::{Request, Response};
use porchlight_wire::ids::NodeAddress;
use porchlight_wire::record::{Place, VerifiedRecord};
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

impl Task {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "requests other than puts answer themselves"
    )]
    pub(super) fn on_kad(&mut self, event: kad::Event) {
        match event {
            kad::Event::InboundRequest {
                request:
                    InboundRequest::PutRecord {
                        source,
                        record: Some(record),
                        ..
                    },
            } => self.on_put_request(source, &record),
            kad::Event::OutboundQueryProgressed {
                id,
                result,
                stats,
                step,
                ..
            } => self.on_query(id, result, &stats, step.last),
            // Other requests answer themselves, and the routing table is Kademlia's own.
            _ => {}
        }
    }

    /// Starts a lookup.
    pub(super) fn lookup(&mut self, id: u64, places: &[Place], at: &[NodeAddress]) {
        if self.queries.is_full() {
            self.tell(NetEvent::LookupDone {
                lookup: id,
                answered: 0,
            });
            return;
        }
        let mut lookup = Lookup {
            until: Instant::now() + self.config.timing.lookup,
            queries: 0,
            asked: 0,
            // A relay is a server itself: its own shelf is an answer.
            answered_dht: u32::from(self.config.role == Role::Relay),
            answered_directly: 0,
            copies: BTreeMap::new(),
            last_copy: BTreeMap::new(),
        };
        for place in places {
            let key = RecordKey::from(place.dht_key());
            let query = self.swarm.behaviour_mut().kad.get_record(key);
            let part = Part::Copies {
                lookup: id,
                place: *place,
            };
            self.queries.parts.insert(query, part);
            lookup.queries += 1;
        }
        let beacons: Vec<BlindedKey> = places
            .iter()
            .filter_map(|place| match place {
                Place::Beacon(pk) => Some(*pk),
                Place::Sheet(_) => None,
            })
            .collect();
        let mut nodes: BTreeMap<PeerId, Vec<_>> = BTreeMap::new();
        for node in at {
            if let (Some(peer), Some(address)) = (peer_of(&node.node), multiaddr_of(&node.address))
                && node.node != self.node
            {
                nodes.entry(peer).or_default().push(address);
            }
        }
        lookup.asked = nodes.len() * beacons.len();
        self.queries.lookups.insert(id, lookup);
        for (peer, reach) in nodes {
            for pk in &beacons {
                self.send_to(
                    peer,
                    reach.clone(),
                    Asker::Lookup(id),
                    Request::RecordGet { address: *pk },
                );
            }
        }
        self.end_lookup_if_over(id);
    }

    /// Starts a put: first the servers closest to the address are found.
    pub(super) fn put(&mut self, id: u64, record: VerifiedRecord) {
        self.keep_own(&record);
        if self.queries.is_full() {
            self.tell(NetEvent::PutDone {
                id,
                stored: 0,
                asked: 0,
            });
            return;
        }
        let query = self
            .swarm
            .behaviour_mut()
            .kad
            .get_closest_peers(record.place().dht_key());
        self.queries.parts.insert(query, Part::Closest { put: id });
        let put = Put {
            record,
            asked: 0,
            stored: BTreeSet::new(),
        };
        self.queries.puts.insert(id, put);
    }

    fn on_query(&mut self, query: QueryId, result: QueryResult, stats: &QueryStats, last: bool) {
        let Some(part) = self.queries.parts.get(&query).copied() else {
            return;
        };
        if last {
            self.queries.parts.remove(&query);
        }
        match part {
            Part::Copies { lookup, .. } => self.on_copies(lookup, result, stats, last),
            Part::Closest { put } => {
                if last {
                    self.on_closest(put, result);
                }
            }
            Part::Store { put } => {
                if last {
                    self.on_stored(put);
                }
            }
            Part::ReadBack { put } => self.on_read_back(put, result, last),
            Part::Renewal { place } => {
                if last {
                    self.on_renewal(&place, result);
                }
            }
            Part::Repair => {}
        }
    }

    fn on_copies(&mut self, lookup: u64, result: QueryResult, stats: &QueryStats, last: bool) {
        if let QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(PeerRecord { peer, record }))) = &result {
            match self.swarm.behaviour_mut().kad.store_mut().verify_record(record) {
                Ok(record) => self.found(lookup, peer.as_ref().copied(), record),
                Err(error) if error.is_forgery() => {
                    self.counters.dht.forged += 1;
                    if let Some(peer) = peer {
                        self.forged_by(*peer);
                    }
                }
                Err(_) => self.counters.dht.untimely += 1,
            }
        }
        if last && let Some(under_way) = self.queries.lookups.get_mut(&lookup) {
            under_way.queries = under_way.queries.saturating_sub(1);
            under_way.answered_dht = under_way.answered_dht.max(stats.num_successes());
            self.end_lookup_if_over(lookup);
        }
    }

    /// A lookup came upon a copy.
    fn found(&mut self, lookup: u64, peer: Option<PeerId>, record: VerifiedRecord) {
        let Some(under_way) = self.queries.lookups.get_mut(&lookup) else {
            return;
        };
        if let Some(peer) = peer {
            under_way.last_copy.insert(record.place(), Instant::now());
            under_way
                .copies
                .entry(record.place())
                .or_default()
                .push((peer, record.clone()));
        }
        if let Some(look) = self.probes.looks.get_mut(&lookup) {
            look.found(peer, record);
            return;
        }
        self.tell(NetEvent::Found { lookup, record });
    }

    /// A node that was asked directly has answered, or will not.
    pub(super) fn on_lookup_answer(&mut self, lookup: u64, response: Option<&Response>) {
        if let Some(Response::Record { beacon: Some(bytes) }) = response {
            match self.swarm.behaviour_mut().kad.store_mut().verify(bytes) {
                Ok(beacon) => {
                    self.counters.stream.accepted += 1;
                    self.found(lookup, None, beacon.into());
                }
                Err(error) if error.is_forgery() => self.counters.stream.forged += 1,
                Err(_) => self.counters.stream.untimely += 1,
            }
        }
        if let Some(under_way) = self.queries.lookups.get_mut(&lookup) {
            under_way.asked = under_way.asked.saturating_sub(1);
            under_way.answered_directly += u32::from(matches!(response, Some(Response::Record { .. })));
            self.end_lookup_if_over(lookup);
        }
    }

    /// Ends lookups that have had their time, and queries that wait for nothing but servers that are silent.
    pub(super) fn end_late_lookups(&mut self) {
        let now = Instant::now();
        let kad = &mut self.swarm.behaviour_mut().kad;
        for (id, part) in &self.queries.parts {
            if let Part::Copies { lookup, place } = part
                && let Some(lookup) = self.queries.lookups.get(lookup)
                && let Some(mut query) = kad.query_mut(id)
                && lookup.is_settled(place, query.stats().num_pending(), now)
            {
                query.finish();
            }
        }
        let late: Vec<u64> = self
            .queries
            .lookups
            .iter()
            .filter(|(_, lookup)| lookup.until <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            self.stop_queries(id);
            self.end_lookup(id);
        }
    }

    fn end_lookup_if_over(&mut self, id: u64) {
        if self.queries.lookups.get(&id).is_some_and(Lookup::is_over) {
            self.end_lookup(id);
        }
    }

    /// Stops the queries of a lookup that has had its time. Who has answered them so far has answered.
    fn stop_queries(&mut self, id: u64) {
        let kad = &mut self.swarm.behaviour_mut().kad;
        let parts = self.queries.parts.iter();
        for (query, _) in parts.filter(|(_, part)| matches!(part, Part::Copies { lookup, .. } if *lookup == id)) {
            let Some(mut query) = kad.query_mut(query) else {
                continue;
            };
            if let Some(lookup) = self.queries.lookups.get_mut(&id) {
                lookup.answered_dht = lookup.answered_dht.max(query.stats().num_successes());
            }
            query.finish();
        }
    }

    /// Ends a lookup, and puts right the servers that had an older copy than others.
    fn end_lookup(&mut self, id: u64) {
        let Some(lookup) = self.queries.lookups.remove(&id) else {
            return;
        };
        for (newest, losers) in lookup.outdated() {
            self.counters.repaired += losers.len() as u64;
            let record = record_of(&newest);
            let query = self
                .swarm
                .behaviour_mut()
                .kad
                .put_record_to(record, losers.into_iter(), Quorum::One);
            self.queries.parts.insert(query, Part::Repair);
        }
        let answered = lookup.answered_dht.max(lookup.answered_directly);
        if !self.looked(id, answered) {
            self.tell(NetEvent::LookupDone { lookup: id, answered });
        }
    }

    fn on_closest(&mut self, put: u64, result: QueryResult) {
        let QueryResult::GetClosestPeers(result) = result else {
            return;
        };
        // What was found before the time ran out will do.
        let (Ok(GetClosestPeersOk { peers, .. }) | Err(GetClosestPeersError::Timeout { peers, .. })) = result;
        let servers: Vec<PeerId> = peers.into_iter().map(|peer| peer.peer_id).collect();
        let Some(under_way) = self.queries.puts.get_mut(&put) else {
            return;
        };
        under_way.asked = u32::try_from(servers.len()).unwrap_or(u32::MAX);
        if servers.is_empty() {
            self.end_put(put);
            return;
        }
        // Plain `put_record` would stamp our PeerId on the record, and keep it among our own.
        let record = record_of(&under_way.record);
        let query = self
            .swarm
            .behaviour_mut()
            .kad
            .put_record_to(record, servers.into_iter(), Quorum::All);
        self.queries.parts.insert(query, Part::Store { put });
    }

    fn on_stored(&mut self, put: u64) {
        let Some(under_way) = self.queries.puts.get(&put) else {
            return;
        };
        let key = RecordKey::from(under_way.record.place().dht_key());
        let query = self.swarm.behaviour_mut().kad.get_record(key);
        self.queries.parts.insert(query, Part::ReadBack { put });
    }

    fn on_read_back(&mut self, put: u64, result: QueryResult, last: bool) {
        if let QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(PeerRecord {
            peer: Some(peer),
            record,
        }))) = &result
            && let Ok(copy) = self.swarm.behaviour_mut().kad.store_mut().verify_record(record)
            && let Some(under_way) = self.queries.puts.get_mut(&put)
            && !under_way.record.supersedes(&copy)
        {
            under_way.stored.insert(*peer);
        }
        if last {
            self.end_put(put);
        }
    }

    fn end_put(&mut self, id: u64) {
        let Some(put) = self.queries.puts.remove(&id) else {
            return;
        };
        // A relay is one of the servers.
        let own = u32::from(self.config.role == Role::Relay);
        let stored = u32::try_from(put.stored.len()).unwrap_or(u32::MAX) + own;
        let asked = put.asked + own;
        self.tell(NetEvent::PutDone { id, stored, asked });
    }

    /// Whether a relay among the connected ones is this peer; used to name the source of what was followed.
    pub(super) fn node_name(peer: &PeerId) -> Option<porchlight_wire::ids::NodeId> {
        node_of(peer)
    }
}
