//! The DHT, whose servers are the relays. A lookup takes some hops, more in a larger network, and asks the servers closest to the
//! key; a put finds them the same way.

use super::World;
use crate::Who;
use crate::measures::Traffic;
use porchlight_proto::Input;
use porchlight_proto::input::{LookupId, PutId};
use porchlight_wire::hash::sha256;
use porchlight_wire::ids::NodeAddress;
use porchlight_wire::record::{Place, VerifiedRecord};

/// Copies of a record, and servers asked: Kademlia's k.
const COPIES: usize = 20;

/// Bytes of a question and of an answer without a record.
const QUESTION: usize = 150;

/// Of those closest to a key that is surrounded, how many of twenty are not Sybils.
const HONEST: usize = 3;

impl World {
    /// Hops of a lookup: one for each eightfold of servers, since each answer names those that are three bits closer.
    pub(super) const fn dht_hops(&self) -> u64 {
        let mut hops = 1;
        let mut servers = self.relays / 20;
        while servers > 0 {
            servers /= 8;
            hops += 1;
        }
        hops
    }

    /// How long so many hops take from `who`.
    pub(super) fn dht_delay(&mut self, who: Who, relay: Who, hops: u64) -> u64 {
        (0..hops).map(|_| 2 * self.one_way(who, relay, QUESTION)).sum()
    }

    /// The servers closest to a place.
    fn servers(&self, place: &Place) -> Vec<Who> {
        let relays = self.relays;
        if relays as usize <= COPIES {
            return (0..relays).collect();
        }
        let key = word(place.as_bytes());
        let mut by_distance: Vec<(u64, Who)> = (0..relays)
            .map(|relay| (key ^ word(&sha256(self.member(relay).address.node.as_bytes())), relay))
            .collect();
        by_distance.select_nth_unstable(COPIES - 1);
        by_distance.truncate(COPIES);
        by_distance.sort_unstable();
        by_distance.into_iter().map(|(_, relay)| relay).collect()
    }

    /// Whether a server drops what is put there, because it is a Sybil around that key.
    fn is_sybil(&self, place: &Place, number: usize) -> bool {
        let owner = self.owners.get(place);
        owner.is_some_and(|owner| self.surrounded.contains(owner)) && number >= HONEST.min(self.relays as usize / 3)
    }

    pub(super) fn look_up(&mut self, who: Who, lookup: LookupId, places: &[Place], at: &[NodeAddress]) {
        let mut found: Vec<VerifiedRecord> = Vec::new();
        let mut answered = 0;
        for place in places {
            for (number, relay) in self.servers(place).into_iter().enumerate() {
                if !self.can_reach(who, relay) {
                    continue;
                }
                answered += 1;
                let unix = self.member(relay).clock(self.now).unix;
                let record = self.member(relay).shelf.get(place, unix).cloned();
                let record = record.filter(|_| !self.is_sybil(place, number));
                let bytes = record.as_ref().map_or(0, |record| record.bytes().len());
                self.count(who, relay, Traffic::DhtLookup, QUESTION);
                self.count(relay, who, Traffic::DhtLookup, QUESTION + bytes);
                found.extend(record);
            }
        }
        for address in at {
            let Some(node) = self.by_node.get(&address.node).copied() else {
                continue;
            };
            if !self.can_reach(who, node) || !self.member(node).reachable {
                continue;
            }
            answered += 1;
            let unix = self.member(node).clock(self.now).unix;
            let shelf = &self.member(node).shelf;
            found.extend(places.iter().filter_map(|place| shelf.get(place, unix)).cloned());
        }
        // Answers come in whatever order the network likes, and most are the same.
        for last in (1..found.len()).rev() {
            let other = self.random.index(last + 1);
            found.swap(last, other);
        }
        let mut told: Vec<(Place, u64)> = Vec::new();
        let unix = self.member(who).clock(self.now).unix;
        let off = self.member(who).skew != 0;
        for record in found {
            let key = (record.place(), record.sequence());
            let stands = record.expires() > unix
                && (!off || VerifiedRecord::verify(&key.0, record.bytes(), &self.network, unix).is_ok());
            if stands && !told.contains(&key) {
                told.push(key);
                self.tell(who, 0, Input::Found { lookup, record });
            }
        }
        self.tell(who, 0, Input::LookupDone { lookup, answered });
    }

    pub(super) fn keep_copies(&mut self, who: Who, put: PutId, record: &VerifiedRecord) -> Input {
        let place = record.place();
        let (mut stored, mut asked) = (0, 0);
        for (number, relay) in self.servers(&place).into_iter().enumerate() {
            if !self.can_reach(who, relay) {
                continue;
            }
            asked += 1;
            self.count(who, relay, Traffic::DhtPut, QUESTION + record.bytes().len());
            self.count(relay, who, Traffic::DhtPut, QUESTION);
            let frozen = self.member(relay).mischief == Some(crate::scenario::Deed::Freeze);
            let lost = self.fate.chance(self.scenario.faults.lose_copies.part());
            if frozen || lost || self.is_sybil(&place, number) {
                continue;
            }
            let now = self.now;
            let member = self.member_mut(relay);
            let unix = member.clock(now).unix;
            member.shelf.put(record.clone(), unix);
            stored += u32::from(member.shelf.get(&place, unix) == Some(record));
        }
        Input::PutDone { put, stored, asked }
    }
}

fn word(bytes: &[u8; 32]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[..8]);
    u64::from_be_bytes(word)
}
