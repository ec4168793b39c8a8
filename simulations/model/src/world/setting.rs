//! How a world begins: nodes, who knows whom, and when each starts.

use super::life::Habit;
use super::{Job, MANY, World};
use crate::checks::Truth;
use crate::latency::Latency;
use crate::measures::Measures;
use crate::member::{BEGINNING, Member};
use crate::queue::Queue;
use crate::random::Random;
use crate::scenario::{Meeting, Scenario, Whom};
use crate::trace::Trace;
use crate::{SECOND, Who, people};
use porchlight_proto::relay::Mailkeeping;
use porchlight_proto::{Config, Snapshot};
use porchlight_wire::card::SignedCard;
use porchlight_wire::ids::{Address, IdError, NodeAddress, NodeId};
use porchlight_wire::keys::DeviceKeys;
use porchlight_wire::network::{Network, NetworkNameError, SIMULATED_NETWORK};
use porchlight_wire::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A world that cannot be made: a mistake of this program, not of a scenario.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// A node's name cannot be made.
    #[error(transparent)]
    Id(#[from] IdError),
    /// The network's name is none.
    #[error(transparent)]
    Network(#[from] NetworkNameError),
}

/// How long before the world begins everybody made their keys and met: by no clock of it is that in the future.
const LONG_AGO: u64 = 86_400_000;

/// Between the first node's start and the last one's, in a small world.
const START_WITHIN: u64 = 10 * SECOND;

/// The same in a large one: as long as records hold, so that they are not all refreshed at the same time.
const START_WITHIN_OF_MANY: u64 = 60 * SECOND;

impl World {
    /// The world of a scenario as it begins, drawn from a seed.
    ///
    /// # Errors
    ///
    /// Only if this program is wrong about what a node or network may be called.
    pub fn new(scenario: Scenario, seed: u64) -> Result<Self, SettingError> {
        let many = scenario.people + scenario.relays >= MANY;
        let name = if scenario.network.topics == 1 {
            "test"
        } else {
            SIMULATED_NETWORK
        };
        let network = Network::named(name)?;
        let heals_at = scenario.lasts.millis();
        let ends_at = heals_at + scenario.settles.millis();
        let mut world = Self {
            now: 0,
            heals_at,
            ends_at,
            healed: false,
            topics: network.topics().collect(),
            network,
            members: Vec::new(),
            relays: scenario.relays,
            by_node: HashMap::new(),
            latency: Latency::new(&scenario.network),
            random: Random::new(seed, 1),
            fate: Random::new(seed, 2),
            life: Random::new(seed, 3),
            queue: Queue::default(),
            exchanges: BTreeMap::new(),
            last_exchange: 0,
            expecting: HashMap::new(),
            wishes: BTreeMap::new(),
            parts: Vec::new(),
            last_part: 0,
            surrounded: BTreeSet::new(),
            flooded: BTreeMap::new(),
            asked: BTreeMap::new(),
            owners: HashMap::new(),
            mirror: many,
            last_minute: None,
            truth: Truth::new(scenario.nodes.lease.millis()),
            measures: Measures::new(ends_at),
            trace: Trace::new(!many),
            scenario,
        };
        world.settle_down(seed)?;
        world.plan_everything();
        Ok(world)
    }

    /// Makes all nodes, and what stands on their disks.
    fn settle_down(&mut self, seed: u64) -> Result<(), SettingError> {
        let mut random = Random::new(seed, 4);
        let all = self.scenario.relays + self.scenario.people;
        let now = UnixMillis(BEGINNING - LONG_AGO);
        let mut addresses = Vec::new();
        for who in 0..all {
            let node = NodeId::from_bytes(DeviceKeys::random(random.generator()).signing_public())?;
            let address = Address::parse(&format!("/dns/n{who}.example/tcp/4110"))?;
            self.by_node.insert(node, who);
            addresses.push(NodeAddress { node, address });
        }
        self.parts = vec![0; all as usize];
        let reachable: Vec<bool> = (0..all)
            .map(|who| who < self.relays || random.chance(self.scenario.nodes.reachable.part()))
            .collect();
        let mut configs = Vec::new();
        let mut disks: Vec<Snapshot> = Vec::new();
        let mut cards: Vec<Option<SignedCard>> = Vec::new();
        for who in 0..all {
            let seeds: Vec<NodeAddress> = self
                .relays_of(who)
                .into_iter()
                .map(|relay| addresses[relay as usize].clone())
                .collect();
            let config = self.config(who, addresses[who as usize].node, seeds.clone());
            let identity = people::identity(now, &mut random);
            let mut disk = people::home(identity, &config, now, &mut random);
            if self.scenario.celebrity.is_some() && who == self.relays {
                people::publish(&mut disk, &mut random);
            }
            let own = addresses[who as usize].clone();
            let own = if reachable[who as usize] { vec![own] } else { Vec::new() };
            cards.push((who >= self.relays).then(|| people::card(&disk, own, seeds, now)));
            configs.push(config);
            disks.push(disk);
        }
        if self.scenario.meet == Meeting::LongAgo {
            self.introduce(&mut disks, &cards, &mut random);
        }
        let off = self.scenario.faults.clocks_off.map_or(0, crate::scenario::Span::millis);
        for (who, (config, disk)) in (0..all).zip(configs.into_iter().zip(disks)) {
            let address = addresses[who as usize].clone();
            let mut member = Member::new(who, config, address, disk, self.mirror);
            member.reachable = reachable[who as usize];
            member.skew = i64::try_from(random.below(2 * off + 1)).unwrap_or(0) - i64::try_from(off).unwrap_or(0);
            if let Some(disk) = member.snapshot() {
                self.truth.join(&member, disk);
            }
            self.truth.clock_set(who, member.skew);
            self.members.push(member);
        }
        for member in &self.members {
            if let Some(disk) = member.snapshot() {
                self.truth.begin(member.who, disk);
            }
        }
        Ok(())
    }

    fn config(&self, who: Who, node: NodeId, seed_peers: Vec<NodeAddress>) -> Config {
        let relay = who < self.relays;
        let nodes = &self.scenario.nodes;
        Config {
            network: self.network.clone(),
            node,
            name: Some(format!("n{who}")),
            lease: nodes.lease.millis(),
            dht_interval: 30_000,
            external: Vec::new(),
            card_addresses: true,
            presence: true,
            messages: nodes.messages && !relay,
            read_receipts: true,
            follow: nodes.follow && !relay,
            seed_peers,
            mailboxes: if relay { 0 } else { nodes.mailboxes },
            mailkeeping: relay.then(|| Mailkeeping {
                nodes: BTreeSet::new(),
                strangers: true,
                room: 256 << 20,
            }),
        }
    }

    /// Writes onto the disks who knows whom.
    fn introduce(&self, disks: &mut [Snapshot], cards: &[Option<SignedCard>], random: &mut Random) {
        let now = UnixMillis(BEGINNING - LONG_AGO);
        let first = self.relays;
        let pairs = people::acquaintances(self.scenario.people, self.scenario.contacts, random);
        for (one, other) in pairs {
            for (owner, contact) in [(one + first, other + first), (other + first, one + first)] {
                let Some(card) = &cards[contact as usize] else { continue };
                let row = people::contact(&disks[contact as usize], format!("n{contact}"), card, now, random);
                disks[owner as usize].contacts.insert(row.principal, row);
            }
        }
        if self.scenario.celebrity.is_none() {
            return;
        }
        let Some(Some(card)) = cards.get(first as usize) else {
            return;
        };
        for who in first + 1..first + self.scenario.people {
            let row = people::public_contact(&disks[first as usize], format!("n{first}"), card, now);
            disks[who as usize].contacts.entry(row.principal).or_insert(row);
        }
    }

    /// Plans the starts, what people do, what happens, and the end.
    fn plan_everything(&mut self) {
        let all = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        let within = if self.mirror {
            START_WITHIN_OF_MANY
        } else {
            START_WITHIN
        };
        for who in 0..all {
            self.member_mut(who).wanted_up = true;
            let at = if self.is_relay(who) {
                u64::from(who)
            } else {
                SECOND + self.life.below(within)
            };
            self.queue.plan(at, Job::Start(who));
            if !self.is_relay(who) {
                for habit in [Habit::Change, Habit::Write, Habit::Leave] {
                    self.plan_habit(who, habit);
                }
            }
        }
        if self.scenario.celebrity.is_some() {
            self.plan_habit(self.relays, Habit::Celebrity);
        }
        for number in 0..self.scenario.then.len() {
            let at = self.scenario.then[number].at.millis();
            self.queue.plan(at, Job::Happening(number));
        }
        self.queue.plan(self.measures.bin, Job::Sample);
        self.queue.plan(self.heals_at, Job::Heal);
        if self.scenario.meet == Meeting::ByInvite {
            self.plan_meetings();
        }
    }

    /// The nodes that a happening is about.
    pub(super) fn whom(&mut self, whom: Whom) -> Vec<Who> {
        let (relays, people) = (self.relays, self.scenario.people);
        let first = relays;
        let (from, count, wanted) = match whom {
            Whom::Everybody => return (first..first + people).collect(),
            Whom::Person(number) => return vec![first + number.saturating_sub(1).min(people - 1)],
            Whom::Relay(number) => return vec![number.saturating_sub(1).min(relays - 1)],
            Whom::Relays(None) => return (0..relays).collect(),
            Whom::Region(region) => {
                let latency = &self.latency;
                return (first..first + people)
                    .filter(|who| latency.region(*who) + 1 == region)
                    .collect();
            }
            Whom::People(number) => (first, people, number),
            Whom::Relays(Some(number)) => (0, relays, number),
            Whom::Part(share) => (first, people, part_of(people, share.part())),
        };
        let mut drawn: Vec<Who> = (from..from + count).collect();
        let wanted = wanted.min(count) as usize;
        for place in 0..wanted {
            let other = place + self.fate.index(drawn.len() - place);
            drawn.swap(place, other);
        }
        drawn.truncate(wanted);
        drawn.sort_unstable();
        drawn
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a number that fits"
)]
fn part_of(whole: u32, part: f64) -> u32 {
    (f64::from(whole) * part).round() as u32
}
