//! A relay puts cards and identity sheets that it keeps into the DHT again: their owners may be away for weeks, and the servers that
//! were closest to an address when they left may be others by then. When each is put is drawn at random, and says nothing of whose
//! it is. Presence is not put again: a copy that outlives what replaced it is worse than none.

use super::Task;
use crate::config::Role;
use crate::queries::Part;
use crate::records::record_of;
use libp2p::PeerId;
use libp2p::kad::{GetClosestPeersError, GetClosestPeersOk, QueryResult, Quorum};
use porchlight_wire::record::Place;
use rand::seq::SliceRandom;
use std::time::{Duration, Instant};

/// Searches for servers that are under way for this at once: what nodes ask for comes first.
const AT_ONCE: usize = 4;

/// One round: everything that was kept when it began, in an order drawn at random.
#[derive(Debug, Default)]
pub(super) struct Renewals {
    waiting: Vec<Place>,
    every: Duration,
    next: Option<Instant>,
    under_way: usize,
}

impl Task {
    /// Begins with what is next, if it is time.
    pub(super) fn renew_due(&mut self) {
        if self.config.role != Role::Relay || self.renewals.under_way >= AT_ONCE || self.queries.is_full() {
            return;
        }
        let now = Instant::now();
        let round = self.config.timing.renew;
        if self.renewals.waiting.is_empty() {
            let begins = *self.renewals.next.get_or_insert(now + round);
            if begins > now {
                return;
            }
            let mut places = self.swarm.behaviour_mut().kad.store_mut().lasting();
            places.shuffle(&mut rand::rng());
            let count = u32::try_from(places.len()).unwrap_or(u32::MAX).max(1);
            self.renewals.every = round / count;
            self.renewals.next = Some(now + self.renewals.every);
            self.renewals.waiting = places;
            return;
        }
        if self.renewals.next.is_none_or(|next| next <= now)
            && let Some(place) = self.renewals.waiting.pop()
        {
            self.renewals.next = Some(now + self.renewals.every);
            self.renewals.under_way += 1;
            let kad = &mut self.swarm.behaviour_mut().kad;
            let query = kad.get_closest_peers(place.dht_key());
            self.queries.parts.insert(query, Part::Renewal { place });
        }
    }

    /// The servers closest to a place are found: they are given what is kept here now.
    pub(super) fn on_renewal(&mut self, place: &Place, result: QueryResult) {
        self.renewals.under_way = self.renewals.under_way.saturating_sub(1);
        let QueryResult::GetClosestPeers(result) = result else {
            return;
        };
        let (Ok(GetClosestPeersOk { peers, .. }) | Err(GetClosestPeersError::Timeout { peers, .. })) = result;
        let servers: Vec<PeerId> = peers.into_iter().map(|peer| peer.peer_id).collect();
        let kad = &mut self.swarm.behaviour_mut().kad;
        let Some(record) = kad.store_mut().at(place).map(record_of) else {
            // Its time is over.
            return;
        };
        if servers.is_empty() {
            return;
        }
        let query = kad.put_record_to(record, servers.into_iter(), Quorum::One);
        self.queries.parts.insert(query, Part::Repair);
        self.counters.renewed += 1;
    }
}
