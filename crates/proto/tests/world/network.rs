//! The network between the members: relays that keep copies and pass gossip on, links with latencies, and faults.

use crate::member::{FollowAt, Mischief, SHELF};
use crate::{SECOND, Who, World};
use porchlight_proto::input::{BeaconSource, ExchangeId, LiveNode, LookupId, PutId};
use porchlight_proto::{Effect, Input};
use porchlight_wire::beacon::{VerifiedBeacon, find_work, topic};
use porchlight_wire::blind::BlindedKey;
use porchlight_wire::frame::{Refusal, Request, Response};
use porchlight_wire::ids::{Address, NodeAddress, NodeId};
use porchlight_wire::keys::DeviceKeys;
use porchlight_wire::mailbox::{Entry, Held, MailboxId};
use porchlight_wire::network::TopicIndex;
use porchlight_wire::record::{Place, VerifiedRecord};
use porchlight_wire::shelf::Shelf;
use porchlight_wire::stamp::Class;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use std::collections::{BTreeMap, BTreeSet};

/// How long an exchange is waited for.
const EXCHANGE_TIMEOUT: u64 = 10 * SECOND;

/// How long a silent link counts as live: the ping that is not answered any more.
const PING_TIMEOUT: u64 = 30 * SECOND;

/// A place in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Site {
    Member(Who),
    Relay(usize),
}

/// A relay: a server of the DHT that is in all topics.
#[derive(Debug)]
pub struct Relay {
    pub address: NodeAddress,
    pub shelf: Shelf,
    pub up: bool,
    /// Frozen: it serves what it has and accepts nothing new.
    pub stuck: bool,
    /// It answers with this, whatever it is asked for.
    pub lie: Option<VerifiedBeacon>,
}

impl Relay {
    pub fn new(number: usize, rng: &mut ChaCha20Rng) -> Self {
        Self {
            address: NodeAddress {
                node: NodeId::from_bytes(DeviceKeys::random(rng).signing_public()).unwrap(),
                address: Address::parse(&format!("/dns/relay{number}.example/tcp/4110")).unwrap(),
            },
            shelf: Shelf::new(SHELF),
            up: true,
            stuck: false,
            lie: None,
        }
    }
}

/// What goes wrong in the network.
#[derive(Debug, Default)]
pub struct Faults {
    /// Pairs that cannot reach each other.
    cut: BTreeSet<(Site, Site)>,
    /// The same, as far as the links' ends have noticed.
    noticed: BTreeSet<(Site, Site)>,
    /// Of 100 gossiped records, how many do not arrive.
    pub lost_gossip: u32,
    /// Of 100 requests, how many do not arrive.
    pub lost_requests: u32,
    /// Of 100 answers, how many do not arrive.
    pub lost_answers: u32,
    /// Of 100 copies in the DHT, how many are not kept.
    pub lost_copies: u32,
    /// Of 100 requests to those who are no relays, how many find no room and are refused before they reach the core.
    pub refused: u32,
}

/// An exchange under way, by the number the answering side knows it by.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    from: Who,
    boot: u64,
    number: ExchangeId,
}

/// Something that will happen.
#[derive(Debug)]
pub enum Job {
    /// An input for one process of a member.
    Input { who: Who, boot: u64, input: Input },
    /// A record reaches a node, as bytes.
    Arrival {
        who: Who,
        boot: u64,
        bytes: Vec<u8>,
        source: BeaconSource,
    },
    /// Servers are asked for records.
    Lookup {
        who: Who,
        boot: u64,
        lookup: LookupId,
        places: Vec<Place>,
        at: Vec<NodeAddress>,
    },
    /// Servers are asked to keep a record.
    Put {
        who: Who,
        boot: u64,
        put: PutId,
        record: VerifiedRecord,
    },
    /// A request arrives.
    Request {
        to: Who,
        exchange: u64,
        from: NodeId,
        request: Request,
    },
    /// A node is asked to tell what is new at some addresses.
    Follow { who: Who, boot: u64, at: NodeId },
    /// Links may have changed.
    Links,
    /// The ends of links notice which ones are dead.
    Notice,
}

impl World {
    /// Cuts `one` off from `others`.
    pub fn cut(&mut self, one: Site, others: impl IntoIterator<Item = Site>) {
        for other in others {
            self.faults.cut.insert(pair(one, other));
        }
        self.schedule(PING_TIMEOUT, Job::Notice);
    }

    /// Everybody can reach everybody again.
    pub fn heal(&mut self) {
        self.faults.cut.clear();
        self.faults.noticed.clear();
        self.links_change(0);
    }

    pub fn relay_goes(&mut self, relay: usize) {
        self.relays[relay].up = false;
        self.links_change(SECOND);
    }

    pub fn relay_comes(&mut self, relay: usize) {
        self.relays[relay].up = true;
        self.links_change(0);
    }

    pub fn links_change(&mut self, after: u64) {
        self.schedule(after, Job::Links);
    }

    pub fn schedule(&mut self, after: u64, job: Job) {
        self.last_job += 1;
        self.jobs.insert((self.now + after, self.last_job), job);
    }

    /// A record as bytes, on its way to a member's edge.
    pub fn send_record(&mut self, to: Who, bytes: &[u8], source: BeaconSource) {
        let boot = self.members[to].boot;
        let after = self.latency();
        let bytes = bytes.to_vec();
        self.schedule(
            after,
            Job::Arrival {
                who: to,
                boot,
                bytes,
                source,
            },
        );
    }

    /// Does what a core says.
    pub fn perform(&mut self, who: Who, effect: Effect) {
        let boot = self.members[who].boot;
        match effect {
            Effect::Reply { request, result } => {
                self.members[who].replies.insert(request, result);
            }
            Effect::Events { newest } => {
                let committed = self.members[who].history.last().map_or(0, |row| row.number);
                assert!(newest <= committed, "events are announced after they are on disk");
            }
            Effect::Gossip { beacon } => {
                self.members[who].record_leaves(&beacon.clone().into());
                let now = self.unix();
                self.members[who].shelf.put(beacon.clone().into(), now);
                self.spread(who, &beacon);
            }
            Effect::Put { put, record } => {
                self.members[who].record_leaves(&record);
                self.members[who].puts += 1;
                let now = self.unix();
                self.members[who].shelf.put(record.clone(), now);
                let after = self.latency();
                self.schedule(after, Job::Put { who, boot, put, record });
            }
            Effect::Lookup { lookup, places, at } => {
                self.members[who].looked_up.extend(places.first());
                self.members[who].lookups += 1;
                let after = self.latency();
                let job = Job::Lookup {
                    who,
                    boot,
                    lookup,
                    places,
                    at,
                };
                self.schedule(after, job);
            }
            Effect::Topics { topics } => {
                self.members[who].topics = topics;
                self.links_change(50);
            }
            // Shelves have room for all in this world.
            Effect::Expect { .. } => {}
            Effect::Follow { addresses } => {
                self.members[who].follow = addresses;
                self.links_change(50);
                self.serve_followed(who);
            }
            Effect::FollowAt {
                node,
                reach,
                addresses,
                proofs,
            } => {
                let follow = FollowAt {
                    reach,
                    addresses,
                    proofs,
                };
                self.follow_at(who, node, follow);
            }
            Effect::Serve { views } => {
                let node = self.members[who].address.node;
                for member in &mut self.members {
                    if let Some(followed) = member.followed.get_mut(&node) {
                        followed.retain(|address| views.contains_key(address));
                    }
                }
                self.members[who].served = views;
            }
            Effect::Work { place, bits } => {
                let nonce = find_work(place.as_bytes(), bits, 0, u64::MAX).unwrap();
                self.tell(who, 500, Input::Worked { place, nonce });
            }
            Effect::DayWork { challenge, bits } => {
                let nonce = find_work(&challenge, bits, 0, u64::MAX).unwrap();
                self.tell(who, 500, Input::DayWorked { challenge, nonce });
            }
            Effect::HandOut {
                exchange,
                mailbox,
                numbers,
            } => self.hand_out(who, exchange, mailbox, &numbers),
            Effect::Request {
                exchange,
                to,
                addresses,
                request,
            } => self.send_request(who, exchange, to, &addresses, request),
            Effect::Respond { exchange, response } => self.send_answer(who, exchange, response),
            Effect::Keep { contacts } => {
                self.members[who].keep = contacts.into_iter().collect();
                self.links_change(50);
            }
            Effect::Halt => {
                self.members[who].die();
                self.links_change(50);
            }
        }
    }

    pub fn run(&mut self, job: Job) {
        match job {
            Job::Input { who, boot, input } => {
                if self.members[who].boot == boot {
                    self.input(who, input);
                }
            }
            Job::Arrival {
                who,
                boot,
                bytes,
                source,
            } => {
                if self.members[who].boot == boot {
                    self.arrive(who, &bytes, source);
                }
            }
            Job::Lookup {
                who,
                boot,
                lookup,
                places,
                at,
            } => {
                if self.members[who].boot == boot {
                    self.look_up(who, lookup, &places, &at);
                }
            }
            Job::Put { who, boot, put, record } => {
                let done = self.keep_copies(who, put, &record);
                if self.members[who].boot == boot {
                    self.tell(who, 0, done);
                }
            }
            Job::Request {
                to,
                exchange,
                from,
                request,
            } => {
                let exchange = ExchangeId(exchange);
                if !self.is_relay(Site::Member(to)) && self.chance(self.faults.refused) {
                    let reason = Refusal::TooMany;
                    return self.send_answer(to, exchange, Response::Refused { reason });
                }
                self.input(
                    to,
                    Input::Request {
                        from,
                        exchange,
                        request,
                    },
                );
            }
            Job::Follow { who, boot, at } => {
                if self.members[who].boot == boot {
                    self.answer_follower(who, at);
                }
            }
            Job::Links => self.refresh_links(),
            Job::Notice => {
                self.faults.noticed = self.faults.cut.clone();
                self.refresh_links();
            }
        }
    }

    /// The edge: what does not stand as a beacon does not reach the core.
    fn arrive(&mut self, who: Who, bytes: &[u8], source: BeaconSource) {
        let now = self.clock_of(who).unix;
        if let Ok(beacon) = VerifiedBeacon::verify(bytes, &self.network, now) {
            self.members[who].shelf.put(beacon.clone().into(), now);
            self.input(who, Input::Beacon { beacon, source });
        }
    }

    /// Gossip reaches everyone in the topic who can be reached over others in it.
    fn spread(&mut self, from: Who, beacon: &VerifiedBeacon) {
        let topic = topic(&self.network, &beacon.pk());
        let mut reached = BTreeSet::from([Site::Member(from)]);
        let mut edge = vec![(Site::Member(from), 0)];
        while let Some((at, delay)) = edge.pop() {
            for next in self.sites() {
                if reached.contains(&next) || !self.is_linked(at, next) || !self.is_in(next, topic) {
                    continue;
                }
                reached.insert(next);
                let delay = delay + self.latency();
                edge.insert(0, (next, delay));
                let source = BeaconSource::Gossip(self.node_of(at));
                if let Site::Member(who) = next
                    && !self.chance(self.faults.lost_gossip)
                {
                    let boot = self.members[who].boot;
                    let bytes = beacon.bytes().to_vec();
                    self.schedule(
                        delay,
                        Job::Arrival {
                            who,
                            boot,
                            bytes,
                            source,
                        },
                    );
                }
            }
        }
        self.pass_to_followers(beacon, &reached);
        self.pass_to_those_who_follow_at(from, beacon, &reached);
    }

    /// The presentity's own node, and relays of others, pass on what is followed there. Whoever is in the topic has it already.
    fn pass_to_those_who_follow_at(&mut self, from: Who, beacon: &VerifiedBeacon, reached: &BTreeSet<Site>) {
        let relays = reached.iter().copied().filter(|site| matches!(site, Site::Relay(_)));
        let tellers: Vec<Site> = relays.chain([Site::Member(from)]).collect();
        for who in 0..self.members.len() {
            for teller in &tellers {
                let node = self.node_of(*teller);
                let followed = self.members[who].followed.get(&node);
                let told = followed.is_some_and(|followed| followed.contains(&beacon.pk()));
                if told && !reached.contains(&Site::Member(who)) && self.is_linked(*teller, Site::Member(who)) {
                    self.send_record(who, beacon.bytes(), BeaconSource::Follow(node));
                }
            }
        }
    }

    fn follow_at(&mut self, who: Who, at: NodeId, follow: FollowAt) {
        if follow.addresses.is_empty() {
            self.members[who].followed.remove(&at);
            self.members[who].follow_at.remove(&at);
            self.links_change(50);
            return;
        }
        let (now, boot) = (self.now, self.members[who].boot);
        self.members[who].follow_asked.entry(at).or_default().push(now);
        self.members[who].follow_at.insert(at, follow);
        let after = self.latency();
        self.schedule(after, Job::Follow { who, boot, at });
    }

    /// A node is asked by a follower: a relay tells anyone, a member those who prove that they hold its views.
    fn answer_follower(&mut self, who: Who, at: NodeId) {
        let Some(follow) = self.members[who].follow_at.get(&at).cloned() else {
            return;
        };
        let follower = Site::Member(who);
        let site = self.sites().into_iter().find(|site| self.node_of(*site) == at);
        let reached = site.filter(|site| {
            let dialled = follow.reach.contains(&self.address_of(*site).address);
            self.is_up(*site) && self.can_reach(follower, *site) && (dialled || self.is_linked(follower, *site))
        });
        let me = self.members[who].address.node;
        let admitted: BTreeSet<BlindedKey> = match reached {
            Some(Site::Relay(_)) => follow.addresses.into_iter().collect(),
            Some(Site::Member(other)) => {
                let served = &self.members[other].served;
                let proven = follow.addresses.into_iter().zip(&follow.proofs);
                proven
                    .filter(|(address, proof)| served.get(address).is_some_and(|key| key.admits(&me, &at, proof)))
                    .map(|(address, _)| address)
                    .collect()
            }
            None => BTreeSet::new(),
        };
        let (Some(site), false) = (reached, admitted.is_empty()) else {
            let after = if reached.is_some() { 50 } else { EXCHANGE_TIMEOUT };
            self.members[who].follow_at.remove(&at);
            self.members[who].followed.remove(&at);
            self.tell(who, after, Input::Followed { node: at, told: false });
            return;
        };
        let now = self.unix();
        let shelf = match site {
            Site::Member(other) => &self.members[other].shelf,
            Site::Relay(relay) => &self.relays[relay].shelf,
        };
        let there: Vec<VerifiedBeacon> = admitted
            .iter()
            .filter_map(|pk| shelf.beacon(pk, now))
            .cloned()
            .collect();
        self.members[who].followed.insert(at, admitted);
        self.tell(who, 50, Input::Followed { node: at, told: true });
        self.links_change(50);
        for beacon in there {
            self.send_record(who, beacon.bytes(), BeaconSource::Follow(at));
        }
    }

    /// Relays pass on what their clients follow.
    fn pass_to_followers(&mut self, beacon: &VerifiedBeacon, reached: &BTreeSet<Site>) {
        for who in 0..self.members.len() {
            let follows = self.members[who].follow.contains(&beacon.pk());
            let relay = reached
                .iter()
                .copied()
                .find(|site| matches!(site, Site::Relay(_)) && self.is_linked(*site, Site::Member(who)));
            if let (true, Some(relay)) = (follows, relay) {
                let source = BeaconSource::Follow(self.node_of(relay));
                self.send_record(who, beacon.bytes(), source);
            }
        }
    }

    /// Who begins to follow is sent what there is.
    fn serve_followed(&mut self, who: Who) {
        let now = self.unix();
        let relay = (0..self.relays.len()).find(|relay| self.is_linked(Site::Relay(*relay), Site::Member(who)));
        let Some(relay) = relay else { return };
        let source = BeaconSource::Follow(self.relays[relay].address.node);
        for pk in self.members[who].follow.clone() {
            if let Some(beacon) = self.relays[relay].shelf.beacon(&pk, now).cloned() {
                self.send_record(who, beacon.bytes(), source);
            }
        }
    }

    fn look_up(&mut self, who: Who, lookup: LookupId, places: &[Place], at: &[NodeAddress]) {
        let now = self.unix();
        let mut found = Vec::new();
        let mut answered = 0;
        for site in self.sites() {
            let asked = matches!(site, Site::Relay(_)) || at.contains(self.address_of(site));
            if !asked || site == Site::Member(who) || !self.can_reach(Site::Member(who), site) {
                continue;
            }
            answered += 1;
            if let Site::Relay(relay) = site {
                found.extend(self.relays[relay].lie.clone().map(VerifiedRecord::from));
            }
            let shelf = match site {
                Site::Member(other) => &self.members[other].shelf,
                Site::Relay(relay) => &self.relays[relay].shelf,
            };
            found.extend(places.iter().filter_map(|place| shelf.get(place, now)).cloned());
        }
        // Answers come in whatever order the network likes.
        for last in (1..found.len()).rev() {
            let other = self.draw(u32::try_from(last).unwrap() + 1) as usize;
            found.swap(last, other);
        }
        let clock = self.clock_of(who).unix;
        let delay = self.latency();
        for record in found {
            if let Ok(record) = VerifiedRecord::verify(&record.place(), record.bytes(), &self.network, clock) {
                self.tell(who, delay, Input::Found { lookup, record });
            }
        }
        self.tell(who, delay, Input::LookupDone { lookup, answered });
    }

    fn keep_copies(&mut self, who: Who, put: PutId, record: &VerifiedRecord) -> Input {
        let now = self.unix();
        let (mut stored, mut asked) = (0, 0);
        for relay in 0..self.relays.len() {
            // A relay that puts is one of the servers.
            let itself = self.node_of(Site::Member(who)) == self.relays[relay].address.node;
            if !itself && !self.can_reach(Site::Member(who), Site::Relay(relay)) {
                continue;
            }
            asked += 1;
            if self.relays[relay].stuck || self.chance(self.faults.lost_copies) {
                continue;
            }
            let _ = self.relays[relay].shelf.put(record.clone(), now);
            if self.relays[relay].shelf.get(&record.place(), now) == Some(record) {
                stored += 1;
            }
        }
        Input::PutDone { put, stored, asked }
    }

    fn send_request(&mut self, from: Who, number: ExchangeId, to: NodeId, addresses: &[Address], request: Request) {
        let boot = self.members[from].boot;
        let target = (0..self.members.len()).find(|who| self.members[*who].address.node == to);
        let lost = self.chance(self.faults.lost_requests);
        let reached = target.filter(|who| {
            let (one, other) = (Site::Member(from), Site::Member(*who));
            let dials = addresses.contains(&self.members[*who].address.address);
            !lost && (self.is_linked(one, other) || (dials && self.can_reach(one, other)))
        });
        let Some(to) = reached else {
            let input = failed(number, false);
            self.tell(from, EXCHANGE_TIMEOUT, input);
            return;
        };
        self.delivered.push((to, request.clone()));
        self.last_exchange += 1;
        let exchange = self.last_exchange;
        self.exchanges.insert(exchange, Exchange { from, boot, number });
        let after = self.latency();
        let from_node = self.members[from].address.node;
        self.schedule(
            after,
            Job::Request {
                to,
                exchange,
                from: from_node,
                request,
            },
        );
        // Dropped by the core if an answer came.
        self.tell(from, EXCHANGE_TIMEOUT, failed(number, true));
    }

    /// The driver's part: what is on disk is given out.
    fn hand_out(&mut self, who: Who, exchange: ExchangeId, mailbox: MailboxId, numbers: &[u64]) {
        let bodies = &self.members[who].bodies;
        let held = |number: &u64| {
            let envelope = bodies.get(&(mailbox, *number))?.clone().into();
            let number = *number;
            Some(Held { number, envelope })
        };
        let envelopes = if self.members[who].mischief == Mischief::Repeats {
            let all = bodies.range((mailbox, 0)..=(mailbox, u64::MAX));
            all.filter_map(|((_, number), _)| held(number)).take(32).collect()
        } else {
            numbers.iter().filter_map(held).collect()
        };
        self.send_answer(who, exchange, Response::MailboxEnvelopes { envelopes });
    }

    /// What a relay that cheats says instead.
    fn twisted(&self, by: Who, response: Response) -> Response {
        let member = &self.members[by];
        match (member.mischief, response) {
            (Mischief::Hides, Response::MailboxList { .. }) => Response::MailboxList {
                entries: Vec::new(),
                more: false,
            },
            (Mischief::Withholds, Response::MailboxEnvelopes { .. }) => {
                let envelopes = Vec::new();
                Response::MailboxEnvelopes { envelopes }
            }
            (Mischief::Repeats, Response::MailboxList { .. }) => Response::MailboxList {
                entries: member
                    .bodies
                    .iter()
                    .map(|((_, number), body)| Entry {
                        number: *number,
                        bytes: u32::try_from(body.len()).unwrap(),
                        class: Class::Contact,
                    })
                    .collect(),
                more: false,
            },
            (_, response) => response,
        }
    }

    fn send_answer(&mut self, from: Who, exchange: ExchangeId, response: Response) {
        let response = self.twisted(from, response);
        self.answers.push(response.clone());
        let Some(under_way) = self.exchanges.remove(&exchange.0) else {
            return;
        };
        let reachable = self.can_reach(Site::Member(from), Site::Member(under_way.from));
        if !reachable || self.chance(self.faults.lost_answers) {
            return;
        }
        let after = self.latency();
        let input = Input::Response {
            exchange: under_way.number,
            response,
        };
        let (who, boot) = (under_way.from, under_way.boot);
        self.schedule(after, Job::Input { who, boot, input });
    }

    /// An input for the process of `who` that runs now.
    pub fn tell(&mut self, who: Who, after: u64, input: Input) {
        let boot = self.members[who].boot;
        self.schedule(after, Job::Input { who, boot, input });
    }

    /// Tells everybody what has become of their connections.
    fn refresh_links(&mut self) {
        for who in 0..self.members.len() {
            if self.members[who].node.is_none() {
                continue;
            }
            let linked: BTreeMap<NodeId, LiveNode> = self
                .sites()
                .into_iter()
                .filter(|site| self.seems_linked(Site::Member(who), *site))
                .map(|site| (self.node_of(site), self.live_node(who, site)))
                .collect();
            let nodes: BTreeSet<NodeId> = linked.keys().copied().collect();
            let before = std::mem::replace(&mut self.members[who].connected, nodes.clone());
            for node in before.difference(&nodes) {
                self.members[who].followed.remove(node);
                if self.members[who].follow_at.remove(node).is_some() {
                    self.tell(
                        who,
                        0,
                        Input::Followed {
                            node: *node,
                            told: false,
                        },
                    );
                }
                self.tell(who, 0, Input::Disconnected { node: *node });
            }
            for node in nodes.difference(&before) {
                let relay = linked[node].relay;
                self.tell(who, 0, Input::Connected { node: *node, relay });
            }
            let live: Vec<LiveNode> = linked.into_values().collect();
            if live != self.members[who].live {
                self.members[who].live.clone_from(&live);
                self.tell(who, 0, Input::Live { nodes: live });
            }
        }
    }

    fn live_node(&self, who: Who, site: Site) -> LiveNode {
        let node = self.node_of(site);
        let member = &self.members[who];
        let mut followed = member.followed.get(&node).cloned().unwrap_or_default();
        if matches!(site, Site::Relay(_)) && self.own_relay(who) == Some(site) {
            followed.extend(&member.follow);
        }
        LiveNode {
            followed,
            node,
            relay: self.is_relay(site),
            topics: match site {
                Site::Member(who) if !self.is_relay(site) => self.members[who].topics.clone(),
                Site::Member(_) | Site::Relay(_) => self.network.topics().collect(),
            },
        }
    }

    /// A relay's shelf is one site, and its core, if it has one, another.
    fn is_relay(&self, site: Site) -> bool {
        match site {
            Site::Member(who) => self.members[who].config.mailkeeping.is_some(),
            Site::Relay(_) => true,
        }
    }

    /// The relay at which a member follows what it follows at its relay.
    fn own_relay(&self, who: Who) -> Option<Site> {
        let mut relays = (0..self.relays.len()).map(Site::Relay);
        relays.find(|relay| self.is_linked(*relay, Site::Member(who)))
    }

    pub fn node_of(&self, site: Site) -> NodeId {
        self.address_of(site).node
    }

    fn address_of(&self, site: Site) -> &NodeAddress {
        match site {
            Site::Member(who) => &self.members[who].address,
            Site::Relay(relay) => &self.relays[relay].address,
        }
    }

    fn sites(&self) -> Vec<Site> {
        let relays = (0..self.relays.len()).map(Site::Relay);
        (0..self.members.len()).map(Site::Member).chain(relays).collect()
    }

    fn is_up(&self, site: Site) -> bool {
        match site {
            Site::Member(who) => self.members[who].node.is_some() && self.members[who].asleep_since.is_none(),
            Site::Relay(relay) => self.relays[relay].up,
        }
    }

    fn is_in(&self, site: Site, topic: TopicIndex) -> bool {
        match site {
            Site::Member(who) => self.members[who].topics.contains(&topic),
            Site::Relay(_) => true,
        }
    }

    /// Whether one can dial the other.
    fn can_reach(&self, one: Site, other: Site) -> bool {
        self.node_of(one) != self.node_of(other)
            && self.is_up(one)
            && self.is_up(other)
            && !self.faults.cut.contains(&pair(one, other))
    }

    /// Whether the two keep a connection: with relays always, with other members if one of them asked for it.
    fn is_wanted(&self, one: Site, other: Site) -> bool {
        match (one, other) {
            (Site::Member(one), Site::Member(other)) => {
                let (one, other) = (&self.members[one], &self.members[other]);
                one.config.mailkeeping.is_some()
                    || other.config.mailkeeping.is_some()
                    || one.keep.contains(&other.address)
                    || other.keep.contains(&one.address)
            }
            // A relay that a member follows at it has dialled, whether or not it is a seed peer.
            (Site::Relay(relay), Site::Member(who)) | (Site::Member(who), Site::Relay(relay)) => {
                let (member, address) = (&self.members[who], &self.relays[relay].address);
                member.config.seed_peers.contains(address) || member.followed.contains_key(&address.node)
            }
            (Site::Relay(_), Site::Relay(_)) => true,
        }
    }

    fn is_linked(&self, one: Site, other: Site) -> bool {
        self.can_reach(one, other) && self.is_wanted(one, other)
    }

    /// Whether the two believe that they are connected.
    fn seems_linked(&self, one: Site, other: Site) -> bool {
        self.node_of(one) != self.node_of(other)
            && self.is_up(one)
            && self.is_up(other)
            && self.is_wanted(one, other)
            && !self.faults.noticed.contains(&pair(one, other))
    }

    fn latency(&mut self) -> u64 {
        20 + u64::from(self.draw(180))
    }

    pub fn draw(&mut self, below: u32) -> u32 {
        self.rng.next_u32() % below
    }

    fn chance(&mut self, of_hundred: u32) -> bool {
        of_hundred > 0 && self.draw(100) < of_hundred
    }
}

fn failed(exchange: ExchangeId, perhaps_processed: bool) -> Input {
    Input::ExchangeFailed {
        exchange,
        perhaps_processed,
        reason: "no answer".to_owned(),
    }
}

fn pair(one: Site, other: Site) -> (Site, Site) {
    (one.min(other), one.max(other))
}
