//! The usual story: relays and people who become contacts by invite, change their presence and write to each other, with what goes
//! wrong meanwhile. Everything that is drawn comes from the seed.

use crate::acts::{Act, Faults, schedule};
use crate::draw::{Draw, draw};
use crate::figures::{Spread, memory, part, round};
use crate::geography::{Access, Nat, Region};
use crate::instruments::{Measures, measure};
use crate::journal::Entry;
use crate::machine::{Caller, Machine, World};
use crate::network::CutId;
use crate::os;
use anyhow::{Context, Result};
use porchlight_net::Role;
use porchlight_proto::event::{Event, Verdict};
use porchlight_proto::input::{NewMessage, NewPresence};
use porchlight_proto::rows::Status;
use porchlight_proto::{Command, CommandError, Reply};
use porchlight_wire::ids::{NodeAddress, RandomId};
use porchlight_wire::message::Body;
use porchlight_wire::presence::Note;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// How long all relays take to come up, and then all others.
const COMING_UP: Duration = Duration::from_secs(10);

/// How long people wait before they look each other's invites up.
const SETTLING: Duration = Duration::from_secs(20);

/// How long everybody rests after faults: until a letter or message that nobody could take is offered again, and what was believed of somebody who
/// was away is looked up anew.
const RECOVERY: Duration = Duration::from_secs(900);

/// How often an invite is tried.
const TRIES: u32 = 5;

/// How long an invite is good for.
const INVITE: u64 = 86_400_000;

/// Relays that a node is given as entry points.
const SEED_PEERS: usize = 3;

/// What is to happen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// What everything is drawn from.
    pub seed: u64,
    /// Relays.
    pub relays: u16,
    /// Others.
    pub nodes: u16,
    /// Contacts of each of these, on average.
    pub contacts: u16,
    /// How long they go on once they know each other.
    pub time: Duration,
    /// What goes wrong meanwhile.
    pub faults: Faults,
    /// How long they rest then, and do nothing.
    pub rest: Duration,
    /// Whether the network itself is measured at the end.
    pub measures: bool,
}

/// What it came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Pairs that became contacts, of how many.
    pub befriended: (usize, usize),
    /// From the answer to an invite being used until the other side is told of its new contact.
    pub first_contact_ms: Spread,
    /// From the change of a presence until a watcher is told.
    pub presence_ms: Spread,
    /// Of the watchers who were to be told, so many were.
    pub presence_told: f64,
    /// From the writing of a message until the other is told.
    pub message_ms: Spread,
    /// Of the messages, so many came.
    pub messages_came: f64,
    /// So many were shown more than once.
    pub messages_doubled: usize,
    /// Of all pairs of watcher and contact, so many were told at the end what holds.
    pub current: f64,
    /// Connections of an ordinary node, and of a relay, at the end.
    pub connections: (f64, f64),
    /// Bytes that an ordinary node, and a relay, sent in a second while everybody went on with their lives.
    pub bytes_per_second: (f64, f64),
    /// The same after that, while nobody did anything.
    pub bytes_per_second_quiet: (f64, f64),
    /// Bytes of memory for each node.
    pub memory_per_node: u64,
    /// Virtual seconds that a second of one processor brought: while everybody went on with their lives, and after.
    pub speed: (f64, f64),
    /// What the network itself takes, if it was measured.
    pub measures: Option<Measures>,
}

/// Everybody, and what was said.
struct Town {
    world: World,
    plan: Plan,
    random: ChaCha20Rng,
    relays: Vec<Machine>,
    people: Vec<Machine>,
    pairs: Vec<(usize, usize)>,
    said: Said,
    cuts: BTreeMap<usize, Vec<CutId>>,
}

/// What was set and written, and when.
#[derive(Clone, Debug, Default)]
struct Said {
    inner: Arc<Mutex<Sayings>>,
}

#[derive(Debug, Default)]
struct Sayings {
    /// By its note.
    presences: BTreeMap<String, (u32, Duration)>,
    messages: BTreeMap<RandomId, Duration>,
}

/// Tells the story.
///
/// # Errors
///
/// If a node does not start or ends by itself.
pub async fn tell(world: World, plan: Plan) -> Result<Outcome> {
    let before = memory();
    let mut town = Town::build(world, plan)?;
    town.come_up().await?;
    let (befriended, contacts) = town.befriend().await;
    let sent = town.sent();
    let (began, worked) = (Instant::now(), os::worked());
    town.live().await?;
    let lively = (speed(began, worked), town.rates(sent, began));
    let (began, worked, sent) = (Instant::now(), os::worked(), town.sent());
    if town.plan.faults == Faults::default() {
        sleep(town.plan.rest).await;
    } else {
        town.mend().await?;
        sleep(RECOVERY.max(town.plan.rest)).await;
    }
    let quiet = (speed(began, worked), town.rates(sent, began));
    let mut outcome = town.outcome(befriended, contacts).await;
    outcome.bytes_per_second = lively.1;
    outcome.bytes_per_second_quiet = quiet.1;
    let all = u64::try_from(town.people.len() + town.relays.len()).unwrap_or(1);
    outcome.memory_per_node = memory().saturating_sub(before) / all.max(1);
    outcome.speed = (lively.0, quiet.0);
    if town.plan.measures {
        let relays = town.relays.iter().map(Machine::address).collect::<Result<_>>()?;
        outcome.measures = Some(measure(&town.world, relays, town.plan.seed).await?);
    }
    Ok(outcome)
}

/// Virtual seconds for each that a processor has worked.
fn speed(began: Instant, worked: Duration) -> f64 {
    let worked = os::worked().saturating_sub(worked).as_secs_f64();
    round(began.elapsed().as_secs_f64() / worked.max(0.001))
}

fn per(bytes: u64, nodes: usize, seconds: f64) -> f64 {
    let each = bytes / u64::try_from(nodes.max(1)).unwrap_or(u64::MAX);
    round(f64::from(u32::try_from(each).unwrap_or(u32::MAX)) / seconds)
}

impl Town {
    fn build(world: World, plan: Plan) -> Result<Self> {
        let mut random = ChaCha20Rng::seed_from_u64(plan.seed);
        let mut relays = Vec::new();
        let mut numbers = 0..;
        let regions = Region::ALL.iter().cycle();
        for (number, region) in numbers.by_ref().take(usize::from(plan.relays)).zip(regions) {
            let seed = random.next_u64();
            relays.push(Machine::new(
                &world,
                number,
                Role::Relay,
                Access::hosted(*region),
                seed,
            )?);
        }
        let addresses: Vec<NodeAddress> = relays.iter().map(Machine::address).collect::<Result<_>>()?;
        for (index, relay) in relays.iter_mut().enumerate() {
            // Each knows some that came before it.
            let known = addresses.iter().take(index).rev().take(SEED_PEERS).cloned();
            relay.set_seed_peers(known.collect());
        }
        let mut people = Vec::new();
        for number in numbers.by_ref().take(usize::from(plan.nodes)) {
            let region = *random.pick(&Region::ALL).context("there are regions")?;
            let nat = *random
                .pick(&[Nat::Open, Nat::Restricted, Nat::Closed])
                .context("there are kinds")?;
            let seed = random.next_u64();
            let mut person = Machine::new(&world, number, Role::Ordinary, Access::home(region, nat), seed)?;
            let mut seeds = BTreeSet::new();
            while seeds.len() < SEED_PEERS.min(addresses.len()) {
                seeds.extend(random.pick(&addresses).cloned());
            }
            person.set_seed_peers(seeds.into_iter().collect());
            people.push(person);
        }
        let pairs = pairs(&mut random, people.len(), usize::from(plan.contacts));
        Ok(Self {
            world,
            plan,
            random,
            relays,
            people,
            pairs,
            said: Said::default(),
            cuts: BTreeMap::new(),
        })
    }

    async fn come_up(&mut self) -> Result<()> {
        let began = Instant::now();
        for group in [&mut self.relays, &mut self.people] {
            let mut times: Vec<Duration> = group.iter().map(|_| draw(&mut self.random, COMING_UP)).collect();
            times.sort_unstable();
            let from = Instant::now();
            for (machine, after) in group.iter_mut().zip(times) {
                sleep_until(from + after).await;
                machine.start().await?;
            }
        }
        tracing::info!(took = ?began.elapsed(), "all are up");
        sleep(SETTLING).await;
        Ok(())
    }

    /// Makes all pairs contacts. Gives how many, and how long each took.
    async fn befriend(&mut self) -> (usize, Vec<Duration>) {
        let mut under_way = JoinSet::new();
        for (one, other) in self.pairs.clone() {
            let callers = self.people.get(one).zip(self.people.get(other));
            let Some((inviter, invited)) = callers.and_then(|(one, other)| one.core().zip(other.core())) else {
                continue;
            };
            let after = draw(&mut self.random, SETTLING);
            let world = self.world.clone();
            under_way.spawn(async move {
                sleep(after).await;
                meet(&world, &inviter, &invited).await
            });
        }
        let mut took = Vec::new();
        while let Some(met) = under_way.join_next().await {
            match met {
                Ok(Ok(time)) => took.push(time),
                Ok(Err(error)) => tracing::warn!(%error, "two did not become contacts"),
                Err(error) => tracing::error!(%error, "a meeting broke off"),
            }
        }
        (took.len(), took)
    }

    /// Everybody changes their presence and writes to others, whatever goes wrong meanwhile.
    async fn live(&mut self) -> Result<()> {
        let (people, relays) = (self.people.len(), self.relays.len());
        let acts = schedule(&mut self.random, people, relays, self.plan.time, self.plan.faults);
        let began = Instant::now();
        for (number, (at, act)) in acts.into_iter().enumerate() {
            sleep_until(began + at).await;
            self.act(number, act).await?;
        }
        sleep_until(began + self.plan.time).await;
        Ok(())
    }

    async fn act(&mut self, number: usize, act: Act) -> Result<()> {
        tracing::debug!(?act, "happens");
        match act {
            Act::Change(person) => {
                if let Some(caller) = self.people.get(person).and_then(Machine::core) {
                    tokio::spawn(change(caller, number, self.said.clone()));
                }
            }
            Act::Write(person) => {
                let others: Vec<usize> = self.contacts_of(person);
                let to = self.random.pick(&others).and_then(|to| self.people.get(*to));
                let caller = self.people.get(person).and_then(Machine::core);
                if let (Some(caller), Some(to)) = (caller, to) {
                    let contact = to.principal().to_string();
                    tokio::spawn(write(caller, contact, number, self.said.clone()));
                }
            }
            Act::Stop(machine) => {
                // Its disk may be full.
                if let Err(error) = self.with(machine, Machine::stop).await {
                    tracing::warn!(%error, "a node did not end well");
                }
            }
            Act::Kill(machine) => {
                if let Some(machine) = self.machine(machine) {
                    machine.kill();
                }
            }
            Act::CutPower(machine) => {
                if let Some(machine) = self.machine(machine) {
                    machine.cut_power();
                }
            }
            Act::FillDisk(machine) => {
                if let Some(machine) = self.machine(machine) {
                    machine.fill_disk();
                }
            }
            Act::Start(machine) => self.with(machine, Machine::start).await?,
            Act::Reset(machine) => {
                let ip = self.machine(machine).map(|machine| machine.ip());
                for other in ip.map_or_else(BTreeSet::new, |ip| self.ips(|machine| machine.ip() != ip)) {
                    self.world.network.reset(ip.unwrap_or(other), other);
                }
            }
            Act::Stall(machine, cut) => {
                if let Some(ip) = self.machine(machine).map(|machine| machine.ip()) {
                    let (this, others) = (BTreeSet::from([ip]), self.ips(|machine| machine.ip() != ip));
                    let network = &self.world.network;
                    let both = vec![network.cut(this.clone(), others.clone()), network.cut(others, this)];
                    self.cuts.insert(cut, both);
                }
            }
            Act::CutOneWay(cut) => {
                let from = self.random.pick(&Region::ALL).copied();
                let here = self.ips(|machine| Some(machine.access().region) == from);
                let there = self.ips(|machine| Some(machine.access().region) != from);
                let one_way = vec![self.world.network.cut(here, there)];
                self.cuts.insert(cut, one_way);
            }
            Act::Heal(cut) => self.heal(cut),
            Act::Skew(machine, seconds) => {
                if let Some(machine) = self.machine(machine) {
                    machine.set_clock(seconds * 1_000);
                }
            }
        }
        Ok(())
    }

    fn heal(&mut self, cut: usize) {
        for cut in self.cuts.remove(&cut).unwrap_or_default() {
            self.world.network.heal(cut);
        }
    }

    /// Everything that went wrong is over.
    async fn mend(&mut self) -> Result<()> {
        let cuts: Vec<usize> = self.cuts.keys().copied().collect();
        for cut in cuts {
            self.heal(cut);
        }
        for machine in self.relays.iter_mut().chain(&mut self.people) {
            machine.set_clock(0);
            machine.start().await?;
        }
        Ok(())
    }

    /// People first, then relays.
    fn machine(&mut self, number: usize) -> Option<&mut Machine> {
        self.people.iter_mut().chain(&mut self.relays).nth(number)
    }

    async fn with(&mut self, number: usize, what: impl AsyncFnOnce(&mut Machine) -> Result<()>) -> Result<()> {
        match self.machine(number) {
            Some(machine) => what(machine).await,
            None => Ok(()),
        }
    }

    /// The addresses of those that fit.
    fn ips(&self, fits: impl Fn(&Machine) -> bool) -> BTreeSet<Ipv4Addr> {
        let all = self.people.iter().chain(&self.relays);
        all.filter(|machine| fits(machine)).map(Machine::ip).collect()
    }

    fn contacts_of(&self, person: usize) -> Vec<usize> {
        let pairs = self.pairs.iter();
        pairs
            .filter_map(|(one, other)| match person {
                _ if person == *one => Some(*other),
                _ if person == *other => Some(*one),
                _ => None,
            })
            .collect()
    }

    /// Bytes that all ordinary nodes, and all relays, have sent.
    fn sent(&self) -> (u64, u64) {
        let of = |machines: &[Machine]| {
            let sent = machines
                .iter()
                .map(|machine| self.world.network.traffic(machine.ip()).sent);
            sent.sum()
        };
        (of(&self.people), of(&self.relays))
    }

    /// Of all pairs of watcher and contact, the part in which the watcher is told what the contact says.
    async fn current(&self) -> f64 {
        let mut says = BTreeMap::new();
        let mut believes = Vec::new();
        for caller in self.people.iter().filter_map(Machine::core) {
            let Ok(Reply::Presences { own, contacts }) = caller.call(Command::ListPresence).await else {
                continue;
            };
            let note = own.state.notes.first().map(|note| note.text.clone());
            says.insert(caller.number(), note);
            believes.extend(contacts.into_iter().map(|contact| (caller.number(), contact)));
        }
        let numbers: BTreeMap<_, _> = self
            .people
            .iter()
            .map(|person| (person.principal(), person.number()))
            .collect();
        let mut right = 0;
        for (watcher, contact) in &believes {
            let told = contact.told.document.as_ref();
            let told = told
                .and_then(|document| document.notes.first())
                .map(|note| note.text.clone());
            let said = numbers.get(&contact.principal).and_then(|number| says.get(number));
            if said == Some(&told) && contact.told.verdict == Verdict::AsRecorded {
                right += 1;
            } else {
                tracing::warn!(watcher, contact = ?numbers.get(&contact.principal), ?said, told = ?contact.told, "not current");
            }
        }
        part(right, believes.len())
    }

    /// Bytes that an ordinary node, and a relay, sent in a second since then.
    fn rates(&self, (people, relays): (u64, u64), since: Instant) -> (f64, f64) {
        let seconds = since.elapsed().as_secs_f64();
        let (now_people, now_relays) = self.sent();
        (
            per(now_people - people, self.people.len(), seconds),
            per(now_relays - relays, self.relays.len(), seconds),
        )
    }

    async fn outcome(&self, befriended: usize, contacts: Vec<Duration>) -> Outcome {
        let numbers: BTreeMap<u32, usize> = self.people.iter().map(Machine::number).zip(0..).collect();
        let (mut presences, mut messages, mut doubled) = (BTreeMap::new(), BTreeMap::new(), 0);
        let (expected, written) = {
            let said = self.said.inner.lock().unwrap_or_else(PoisonError::into_inner);
            self.world.journal.each(|entry| {
                doubled += note_arrival(entry, &said, &mut presences, &mut messages);
            });
            let changed = said.presences.values();
            let people = changed.filter_map(|(number, _)| numbers.get(number));
            let watchers: usize = people.map(|person| self.contacts_of(*person).len()).sum();
            (watchers, said.messages.len())
        };
        let (told, came) = (presences.len(), messages.len());
        Outcome {
            befriended: (befriended, self.pairs.len()),
            first_contact_ms: Spread::of(contacts),
            presence_ms: Spread::of(presences.into_values().collect()),
            presence_told: part(told, expected),
            message_ms: Spread::of(messages.into_values().collect()),
            messages_came: part(came, written),
            messages_doubled: doubled,
            current: self.current().await,
            connections: (connections(&self.people).await, connections(&self.relays).await),
            bytes_per_second: (0.0, 0.0),
            bytes_per_second_quiet: (0.0, 0.0),
            memory_per_node: 0,
            speed: (0.0, 0.0),
            measures: None,
        }
    }
}

/// What an entry of the journal says of something that was set or written: how long it took to come there. Gives 1 for a message
/// that had come before.
#[expect(clippy::wildcard_enum_match_arm, reason = "two kinds of events are of interest here")]
fn note_arrival(
    entry: &Entry,
    said: &Sayings,
    presences: &mut BTreeMap<(String, u32), Duration>,
    messages: &mut BTreeMap<RandomId, Duration>,
) -> usize {
    match &entry.event {
        Event::PresenceChanged { new, .. } => {
            let note = new.document.as_ref().and_then(|document| document.notes.first());
            if let Some((text, (_, at))) = note.and_then(|note| said.presences.get_key_value(&note.text)) {
                presences
                    .entry((text.clone(), entry.machine))
                    .or_insert_with(|| entry.at.saturating_sub(*at));
            }
        }
        Event::MessageReceived(received) => {
            if let Some(at) = said.messages.get(&received.message) {
                let took = entry.at.saturating_sub(*at);
                if messages.contains_key(&received.message) {
                    return 1;
                }
                messages.insert(received.message, took);
            }
        }
        _ => {}
    }
    0
}

async fn connections(machines: &[Machine]) -> f64 {
    let mut sum = 0;
    for machine in machines {
        sum += machine.net_status().await.map_or(0, |status| status.peers.len());
    }
    round(
        f64::from(u32::try_from(sum).unwrap_or(u32::MAX))
            / f64::from(u32::try_from(machines.len().max(1)).unwrap_or(u32::MAX)),
    )
}

/// One invites the other. Gives how long it took until the inviter was told.
async fn meet(world: &World, inviter: &Caller, invited: &Caller) -> Result<Duration, CommandError> {
    let invite = Command::CreateInvite {
        uses: 1,
        expires_in: INVITE,
        view: "contacts".to_owned(),
    };
    let Reply::Invite { uri, id, .. } = inviter.call(invite).await? else {
        return Err(CommandError::Stopping);
    };
    let before = os::elapsed();
    let from = world.journal.length();
    let mut tries = 0;
    loop {
        let add = Command::AddContact {
            invite: uri.clone(),
            name: None,
            view: "contacts".to_owned(),
        };
        tries += 1;
        match invited.call(add).await {
            Ok(_) => break,
            Err(error) if tries >= TRIES => return Err(error),
            Err(_) => sleep(Duration::from_secs(5)).await,
        }
    }
    let used = |entry: &Entry| {
        let is_used = matches!(&entry.event, Event::InviteUsed { invite, .. } if *invite == id);
        is_used.then_some(entry.at)
    };
    let patience = Duration::from_secs(120);
    let told = world.journal.wait(from, patience, used).await;
    told.map(|at| at.saturating_sub(before)).ok_or(CommandError::Stopping)
}

async fn change(caller: Caller, number: usize, said: Said) {
    let text = format!("change {number}");
    let at = os::elapsed();
    {
        let mut said = said.inner.lock().unwrap_or_else(PoisonError::into_inner);
        said.presences.insert(text.clone(), (caller.number(), at));
    }
    let status = if number.is_multiple_of(2) {
        Status::Open
    } else {
        Status::Away
    };
    let presence = NewPresence::status(status, vec![Note { lang: None, text }]);
    if let Err(error) = caller.call(Command::SetPresence(Box::new(presence))).await {
        tracing::warn!(%error, "a presence was not set");
    }
}

async fn write(caller: Caller, contact: String, number: usize, said: Said) {
    let at = os::elapsed();
    let message = NewMessage {
        contact,
        subject: None,
        bodies: vec![Body::text(&format!("message {number}"))],
        reply_to: Vec::new(),
        thread: None,
        in_reply_to: None,
        headers: BTreeMap::new(),
        expires_in: None,
        direct_only: false,
        copies: None,
        sign: false,
    };
    match caller.call(Command::SendMessage(Box::new(message))).await {
        Ok(Reply::MessageQueued { message, .. }) => {
            let mut said = said.inner.lock().unwrap_or_else(PoisonError::into_inner);
            said.messages.insert(message, at);
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "a message was not taken"),
    }
}

/// So many contacts for each, on average: a ring, so that nobody is alone, and others at random.
fn pairs(random: &mut ChaCha20Rng, people: usize, contacts: usize) -> Vec<(usize, usize)> {
    let mut pairs = BTreeSet::new();
    if people < 2 {
        return Vec::new();
    }
    for person in 0..people {
        let next = (person + 1) % people;
        pairs.insert((person.min(next), person.max(next)));
    }
    let most = people * (people - 1) / 2;
    let wanted = (people * contacts / 2).min(most);
    while pairs.len() < wanted {
        let (one, other) = (random.below(people), random.below(people));
        if one != other {
            pairs.insert((one.min(other), one.max(other)));
        }
    }
    pairs.into_iter().collect()
}
