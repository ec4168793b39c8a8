//! Which connections are worth keeping. libp2p keeps every connection alive that gossipsub has a stream on, and every
//! lookup in the DHT leaves some behind: without this, a node's connections grow with the network. Pure bookkeeping; the
//! task does what it says.

use crate::handle::FoundInstead;
use libp2p::{Multiaddr, PeerId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Pings in a row without an answer until a connection counts as dead.
const DEAF: u32 = 2;

/// What is known of a connected peer.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) since: Instant,
    pub(crate) inbound: bool,
    /// Of its connections, those it opened.
    incoming: usize,
    pub(crate) address: Option<Multiaddr>,
    /// Identify came.
    pub(crate) identified: bool,
    pub(crate) relay: bool,
    pub(crate) rtt: Option<Duration>,
    pub(crate) last_pong: Option<Instant>,
    deaf: u32,
    /// Until when somebody may still need it.
    pub(crate) needed_until: Instant,
}

impl Peer {
    pub(crate) fn pong(&mut self, rtt: Duration) {
        self.rtt = Some(rtt);
        self.last_pong = Some(Instant::now());
        self.deaf = 0;
    }

    /// Notes a ping that failed; true if the connection is to be given up.
    pub(crate) const fn silence(&mut self) -> bool {
        self.deaf += 1;
        self.deaf >= DEAF
    }
}

/// A peer we want to be connected to.
#[derive(Debug)]
struct Wanted {
    addresses: Vec<Multiaddr>,
    first: Duration,
    last: Duration,
    tries: u32,
    not_before: Instant,
}

/// How much may be in use before others' connections are closed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Peers in all.
    pub(crate) peers: usize,
    /// Connections that others opened.
    pub(crate) incoming: usize,
}

/// All connections, and those wanted.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(crate) peers: BTreeMap<PeerId, Peer>,
    wanted: BTreeMap<PeerId, Wanted>,
    seeds: BTreeMap<PeerId, Vec<Multiaddr>>,
    /// Of the seed peers, those at whose addresses something else answered when they were dialled last.
    pub(crate) wrong_seeds: BTreeMap<PeerId, FoundInstead>,
    contacts: BTreeSet<PeerId>,
    shut_out: BTreeMap<PeerId, Instant>,
    relays_wanted: usize,
    grace: Duration,
}

/// How long a peer that forged stays shut out.
const SHUT_OUT: Duration = Duration::from_secs(600);

/// Peers remembered as shut out.
const SHUT_OUT_MAX: usize = 1_024;

impl Connections {
    pub(crate) const fn new(relays_wanted: usize, grace: Duration) -> Self {
        Self {
            peers: BTreeMap::new(),
            wanted: BTreeMap::new(),
            seeds: BTreeMap::new(),
            wrong_seeds: BTreeMap::new(),
            contacts: BTreeSet::new(),
            shut_out: BTreeMap::new(),
            relays_wanted,
            grace,
        }
    }

    /// Stay connected to this seed peer, at this address or those named before.
    pub(crate) fn want_seed(&mut self, peer: PeerId, address: Multiaddr, pace: (Duration, Duration)) {
        let addresses = self.seeds.entry(peer).or_default();
        addresses.push(address);
        let addresses = addresses.clone();
        self.want(peer, addresses, pace);
    }

    /// Stay connected to exactly these nodes of contacts.
    pub(crate) fn want_contacts(&mut self, nodes: BTreeMap<PeerId, Vec<Multiaddr>>, pace: (Duration, Duration)) {
        let contacts: BTreeSet<PeerId> = nodes.keys().copied().collect();
        let seeds = &self.seeds;
        self.wanted
            .retain(|peer, _| seeds.contains_key(peer) || contacts.contains(peer));
        self.contacts = contacts;
        for (peer, mut addresses) in nodes {
            // A seed peer stays one, where it was configured to be, even if it is a contact's node as well.
            addresses.extend(self.seeds.get(&peer).into_iter().flatten().cloned());
            self.want(peer, addresses, pace);
        }
    }

    fn want(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, (first, last): (Duration, Duration)) {
        let now = Instant::now();
        let wanted = self.wanted.entry(peer).or_insert_with(|| Wanted {
            addresses: Vec::new(),
            first,
            last,
            tries: 0,
            not_before: now,
        });
        if addresses.iter().any(|address| !wanted.addresses.contains(address)) {
            // A new address is worth a try at once, and a patient one.
            wanted.not_before = now;
            wanted.tries = 0;
        }
        wanted.addresses = addresses;
    }

    /// This peer was seen somewhere: if we want it, it is worth a try at once.
    pub(crate) fn try_now(&mut self, peer: &PeerId) {
        if let Some(wanted) = self.wanted.get_mut(peer) {
            wanted.not_before = Instant::now();
            wanted.tries = 0;
        }
    }

    /// Peers to dial now, with their addresses. Each is given a new date first, so that a dial that never ends is not
    /// repeated without pause.
    pub(crate) fn due_dials(&mut self) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let now = Instant::now();
        let mut due = Vec::new();
        for (peer, wanted) in &mut self.wanted {
            if self.peers.contains_key(peer) || wanted.not_before > now {
                continue;
            }
            let wait = wanted.first.saturating_mul(1 << wanted.tries.min(16)).min(wanted.last);
            let jitter = rand::random_range(0.75..1.25);
            wanted.not_before = now + wait.mul_f64(jitter);
            wanted.tries = wanted.tries.saturating_add(1);
            due.push((*peer, wanted.addresses.clone()));
        }
        due
    }

    /// One more connection with a peer. What is remembered of where it is, is of the first.
    pub(crate) fn connected(&mut self, peer: PeerId, address: Multiaddr, inbound: bool) {
        let now = Instant::now();
        let state = self.peers.entry(peer).or_insert(Peer {
            since: now,
            inbound,
            incoming: 0,
            address: Some(address),
            identified: false,
            relay: false,
            rtt: None,
            last_pong: None,
            deaf: 0,
            needed_until: now + self.grace,
        });
        state.incoming += usize::from(inbound);
    }

    /// One of several connections with a peer is gone.
    pub(crate) fn one_less(&mut self, peer: &PeerId, inbound: bool) {
        if let Some(state) = self.peers.get_mut(peer) {
            state.incoming = state.incoming.saturating_sub(usize::from(inbound));
        }
    }

    /// It has said that it is of this network: the next dial, if it has to be, is a first one again. One of another network
    /// is dialled less and less often.
    pub(crate) fn identified(&mut self, peer: &PeerId) {
        self.wrong_seeds.remove(peer);
        if let Some(wanted) = self.wanted.get_mut(peer) {
            wanted.tries = 0;
            wanted.not_before = Instant::now() + wanted.first;
        }
    }

    /// A peer was dialled, and something else answered, or nothing. Remembered of seed peers only.
    pub(crate) fn found_instead(&mut self, peer: PeerId, found: Option<FoundInstead>) {
        match found {
            Some(found) if self.seeds.contains_key(&peer) => {
                self.wrong_seeds.insert(peer, found);
            }
            Some(_) => {}
            None => {
                self.wrong_seeds.remove(&peer);
            }
        }
    }

    pub(crate) fn disconnected(&mut self, peer: &PeerId) -> Option<Peer> {
        self.peers.remove(peer)
    }

    /// Somebody is dealing with this peer: leave the connection open for a while.
    pub(crate) fn touch(&mut self, peer: &PeerId) {
        let until = Instant::now() + self.grace;
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.needed_until = until;
        }
    }

    pub(crate) fn is_seed(&self, peer: &PeerId) -> bool {
        self.seeds.contains_key(peer)
    }

    pub(crate) fn is_contact(&self, peer: &PeerId) -> bool {
        self.contacts.contains(peer)
    }

    /// Connected relays, those configured first, then by age.
    pub(crate) fn relays(&self) -> Vec<PeerId> {
        let mut relays: Vec<(bool, Instant, PeerId)> = self
            .peers
            .iter()
            .filter(|(_, state)| state.relay)
            .map(|(peer, state)| (!self.seeds.contains_key(peer), state.since, *peer))
            .collect();
        relays.sort();
        relays.into_iter().map(|(.., peer)| peer).collect()
    }

    /// Connections nobody needs: not to a seed peer, a contact, one of the relays we want, nor in use within the grace.
    /// Those that others opened to a relay are theirs to close, until there are too many, of all or of those: then as many go
    /// as there are too many, those first that have not even said what they are, then those that have not been needed for
    /// longest. Who keeps asking something stays longer, and not for ever, or a few could keep all places.
    pub(crate) fn dispensable(&self, serves: bool, room: Room) -> Vec<PeerId> {
        let now = Instant::now();
        let kept: BTreeSet<PeerId> = self.relays().into_iter().take(self.relays_wanted).collect();
        let mut dispensable = Vec::new();
        let mut theirs = Vec::new();
        let (mut peers, mut incoming) = (0_usize, 0_usize);
        for (peer, state) in &self.peers {
            let ours = self.is_seed(peer) || self.is_contact(peer) || kept.contains(peer);
            // Somebody else's wish to be connected counts while there is room: a relay's clients, or a watcher whom we do
            // not know as a contact.
            let wished = state.inbound && (serves || !state.relay);
            if !ours && !wished && state.needed_until <= now {
                dispensable.push(*peer);
                continue;
            }
            peers += 1;
            incoming += state.incoming;
            if !ours && wished && state.since + self.grace <= now {
                theirs.push((state.identified, state.needed_until, *peer, state.incoming));
            }
        }
        theirs.sort();
        for (_, _, peer, its) in theirs {
            if peers <= room.peers && incoming <= room.incoming {
                break;
            }
            peers -= 1;
            incoming -= its;
            dispensable.push(peer);
        }
        dispensable
    }

    /// Shuts a peer out for a while.
    pub(crate) fn shut_out(&mut self, peer: PeerId) {
        let now = Instant::now();
        self.shut_out.retain(|_, until| *until > now);
        if self.shut_out.len() < SHUT_OUT_MAX {
            self.shut_out.insert(peer, now + SHUT_OUT);
        }
    }

    pub(crate) fn is_shut_out(&self, peer: &PeerId) -> bool {
        self.shut_out.get(peer).is_some_and(|until| *until > Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(20);

    /// So many peers, each connected by itself an hour ago, with so many connections, and silent since.
    fn idle(peers: usize, each: usize) -> (Connections, Vec<PeerId>) {
        let mut connections = Connections::new(0, GRACE);
        let ids: Vec<PeerId> = (0..peers).map(|_| PeerId::random()).collect();
        let long_ago = Instant::now().checked_sub(Duration::from_secs(3_600)).unwrap();
        for id in &ids {
            for _ in 0..each {
                connections.connected(*id, Multiaddr::empty(), true);
            }
            let state = connections.peers.get_mut(id).unwrap();
            state.identified = true;
            (state.since, state.needed_until) = (long_ago, long_ago + GRACE);
        }
        (connections, ids)
    }

    const fn room(peers: usize, incoming: usize) -> Room {
        Room { peers, incoming }
    }

    #[test]
    fn others_are_left_while_there_is_room_of_both_kinds() {
        let (connections, _) = idle(6, 1);
        assert!(connections.dispensable(true, room(6, 6)).is_empty());
        assert_eq!(connections.dispensable(true, room(5, 6)).len(), 1);
        assert_eq!(connections.dispensable(true, room(6, 4)).len(), 2);
    }

    #[test]
    fn a_peer_with_two_connections_takes_two_places() {
        let (mut connections, ids) = idle(6, 2);
        assert_eq!(connections.dispensable(true, room(6, 9)).len(), 2);
        connections.one_less(&ids[0], true);
        connections.one_less(&ids[1], true);
        connections.one_less(&ids[2], true);
        assert!(connections.dispensable(true, room(6, 9)).is_empty());
    }

    #[test]
    fn who_has_not_said_what_it_is_goes_first_then_who_did_nothing_for_longest() {
        let (mut connections, ids) = idle(4, 1);
        connections.touch(&ids[0]);
        connections.touch(&ids[1]);
        connections.peers.get_mut(&ids[0]).unwrap().identified = false;
        let later = connections.peers[&ids[2]].needed_until + Duration::from_secs(1);
        connections.peers.get_mut(&ids[2]).unwrap().needed_until = later;
        assert_eq!(connections.dispensable(true, room(4, 1)), [ids[0], ids[3], ids[2]]);
    }

    #[test]
    fn who_came_just_now_has_time_and_who_keeps_asking_has_not_for_ever() {
        let (mut connections, ids) = idle(2, 1);
        connections.peers.get_mut(&ids[0]).unwrap().since = Instant::now();
        connections.touch(&ids[1]);
        assert_eq!(connections.dispensable(true, room(2, 0)), [ids[1]]);
    }
}
