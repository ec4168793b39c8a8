//! The core in a world of its own: several nodes in virtual time, a modelled network between them, simulated disks.
//!
//! [`World`] does what the driver and `net` do for one node, for all of them: it hands inputs to the cores in a fixed
//! order, makes each step's writes durable before it performs the effects, and carries beacons and letters with
//! latencies drawn from a seed. Nothing here reads a clock, so every test is the same run each time.
//!
//! After every step it checks what must hold always: the disk equals the fold of the writes and the core's own
//! snapshot, no sequence is used twice, events are numbered without a gap, and nobody is shown as open longer than a
//! lease after the last sign of life.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::print_stderr,
    reason = "this is test code outside of #[test] functions"
)]
#![allow(unreachable_pub, missing_docs, reason = "nothing outside this binary uses it")]

#[path = "world/absence.rs"]
mod absence;
#[path = "world/adversity.rs"]
mod adversity;
#[path = "world/apart.rs"]
mod apart;
#[path = "world/bounds.rs"]
mod bounds;
#[path = "world/consent.rs"]
mod consent;
#[path = "world/crashes.rs"]
mod crashes;
#[path = "world/crowd.rs"]
mod crowd;
#[path = "world/examination.rs"]
mod examination;
#[path = "world/first_contact.rs"]
mod first_contact;
#[path = "world/following.rs"]
mod following;
#[path = "world/forgery.rs"]
mod forgery;
#[path = "world/health.rs"]
mod health;
#[path = "world/keeping.rs"]
mod keeping;
#[path = "world/kept_messages.rs"]
mod kept_messages;
#[path = "world/log.rs"]
mod log;
#[path = "world/mailboxes.rs"]
mod mailboxes;
#[path = "world/member.rs"]
mod member;
#[path = "world/messages.rs"]
mod messages;
#[path = "world/network.rs"]
mod network;
#[path = "world/notification.rs"]
mod notification;
#[path = "world/own.rs"]
mod own;
#[path = "world/poller.rs"]
mod poller;
#[path = "world/public.rs"]
mod public;
#[path = "world/removal.rs"]
mod removal;
#[path = "world/rules_of_messages.rs"]
mod rules_of_messages;
#[path = "world/time.rs"]
mod time;
#[path = "world/views.rs"]
mod views;

use member::Member;
use network::{Faults, Job, Relay, Site};
use porchlight_proto::event::{Event, Told, Verdict};
use porchlight_proto::input::NewPresence;
use porchlight_proto::reply::{ContactInfo, ContactPresence};
use porchlight_proto::rows::{Status, SubscriptionState};
use porchlight_proto::{Clock, Command, CommandError, Input, Instant, Reply};
use porchlight_wire::frame::{Request, Response};
use porchlight_wire::hash::sha256;
use porchlight_wire::network::Network;
use porchlight_wire::presence::Basic;
use porchlight_wire::time::UnixMillis;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};

/// The wall clock when a world begins.
const BEGINNING: u64 = 1_790_000_000_000;

/// The lease of a presence record in these worlds: the one in use while no witness is named.
const LEASE: u64 = 90_000;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// How often a core may ask to be woken at one and the same instant before that counts as a busy loop.
const WAKES_AT_ONE_INSTANT: u32 = 50;

/// Whether everything that goes in and comes out is printed: build with `WORLD_TRACE=1` to read what a failing test did.
const TRACE: bool = option_env!("WORLD_TRACE").is_some();

/// How long a local client waits for an answer, in virtual time.
const PATIENCE: u64 = 2 * MINUTE;

/// Names a member of a world.
type Who = usize;

/// All there is.
struct World {
    now: u64,
    rng: ChaCha20Rng,
    network: Network,
    members: Vec<Member>,
    relays: Vec<Relay>,
    faults: Faults,
    jobs: BTreeMap<(u64, u64), Job>,
    last_job: u64,
    exchanges: BTreeMap<u64, network::Exchange>,
    last_exchange: u64,
    /// Every letter that was sent, and to whom.
    delivered: Vec<(Who, Request)>,
    /// Every answer that was given to a request.
    answers: Vec<Response>,
    /// A running hash over everything that went in and came out, for comparing two runs.
    digest: [u8; 32],
    wakes: (u64, u32),
    /// How many mailboxes those who join have.
    mailboxes: usize,
    /// Whether those who join take messages.
    messages: bool,
}

impl World {
    /// A world with three relays and nobody in it.
    fn new(seed: u8) -> Self {
        Self::with_network(seed, "test", 3)
    }

    fn with_network(seed: u8, network: &str, relays: usize) -> Self {
        let mut rng = ChaCha20Rng::from_seed([seed; 32]);
        let relays = (0..relays).map(|number| Relay::new(number, &mut rng)).collect();
        Self {
            now: 0,
            rng,
            network: Network::named(network).unwrap(),
            members: Vec::new(),
            relays,
            faults: Faults::default(),
            jobs: BTreeMap::new(),
            last_job: 0,
            exchanges: BTreeMap::new(),
            last_exchange: 0,
            delivered: Vec::new(),
            answers: Vec::new(),
            digest: [0; 32],
            wakes: (0, 0),
            mailboxes: 0,
            messages: true,
        }
    }

    /// Someone new, whose node is up and connected.
    fn join(&mut self, name: &str) -> Who {
        let who = self.join_silently(name);
        self.boot(who);
        // Long enough for its card to get into the DHT.
        self.run_for(3 * SECOND);
        who
    }

    /// Someone new, whose node has not been started yet.
    fn join_silently(&mut self, name: &str) -> Who {
        let mut member = Member::new(name, &self.network, &self.relays, self.unix(), &mut self.rng);
        member.config.mailboxes = self.mailboxes;
        member.config.messages = self.messages;
        self.members.push(member);
        let number = self.members.len() - 1;
        let account = member::account(number, &self.members[number].config);
        self.members[number].disk.account = Some(account);
        self.members.len() - 1
    }

    /// The wall clock of whoever has the right time.
    const fn unix(&self) -> UnixMillis {
        UnixMillis(BEGINNING + self.now)
    }

    fn clock_of(&self, who: Who) -> Clock {
        let member = &self.members[who];
        Clock {
            instant: Instant(self.now - member.booted_at - member.slept),
            unix: UnixMillis(self.unix().0.checked_add_signed(member.skew).unwrap()),
        }
    }

    /// Starts a node from what is on its disk.
    fn boot(&mut self, who: Who) {
        assert!(self.members[who].node.is_none(), "it is up already");
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        self.members[who].booted_at = self.now;
        let clock = self.clock_of(who);
        self.members[who].restore(seed, clock);
        self.input(who, Input::Start);
        let address = self.members[who].address.address.clone();
        self.input(who, Input::Listening { address });
        self.links_change(0);
    }

    /// kill -9: the process is gone at once, and says nothing.
    fn kill(&mut self, who: Who) {
        self.members[who].die();
        // The kernel closes its sockets.
        self.links_change(SECOND);
    }

    /// The machine is suspended: its monotonic clock stands still, and nothing reaches it.
    fn suspend(&mut self, who: Who) {
        self.members[who].asleep_since = Some(self.now);
        self.links_change(SECOND);
    }

    /// It wakes up.
    fn wake(&mut self, who: Who) {
        let since = self.members[who].asleep_since.take().expect("it is asleep");
        self.members[who].slept += self.now - since;
        self.links_change(SECOND);
    }

    /// The user ends the node in the orderly way.
    fn stop(&mut self, who: Who) {
        assert_eq!(self.call(who, Command::Stop), Ok(Reply::Stopping));
        self.run_until("the node halts", |world| world.members[who].node.is_none());
        self.links_change(SECOND);
    }

    /// Hands one input to a node, makes its step durable, and performs the effects.
    fn input(&mut self, who: Who, input: Input) {
        if self.members[who].node.is_none() || self.members[who].asleep_since.is_some() {
            return;
        }
        self.note(&format!("{who} < {input:?}"));
        let clock = self.clock_of(who);
        let before = self.members[who].history.len();
        let effects = self.members[who].handle(clock, input);
        if self.members[who].node.is_none() {
            self.note(&format!("{who} crashed"));
            self.links_change(SECOND);
        }
        for event in &self.members[who].history[before..].to_vec() {
            self.note(&format!("{who} | {event:?}"));
        }
        for effect in effects {
            self.note(&format!("{who} > {effect:?}"));
            self.perform(who, effect);
        }
    }

    /// A local client's call, answered in virtual time.
    fn call(&mut self, who: Who, command: Command) -> Result<Reply, CommandError> {
        self.call_with(who, command, None)
    }

    fn call_with(&mut self, who: Who, command: Command, key: Option<&str>) -> Result<Reply, CommandError> {
        let request = self.ask(who, command, key);
        self.run_until("a command is answered", |world| {
            world.members[who].replies.contains_key(&request)
        });
        self.members[who].replies.remove(&request).unwrap()
    }

    /// A local client's call that nobody waits for.
    fn ask(&mut self, who: Who, command: Command, key: Option<&str>) -> porchlight_proto::input::RequestId {
        let request = self.members[who].next_request();
        let idempotency_key = key.map(str::to_owned);
        self.input(
            who,
            Input::Command {
                request,
                idempotency_key,
                command,
            },
        );
        request
    }

    /// Lets `millis` pass.
    fn run_for(&mut self, millis: u64) {
        let until = self.now + millis;
        while self.next_at().is_some_and(|at| at <= until) {
            self.turn();
        }
        self.pass_to(until);
    }

    /// Lets time pass until something is so; fails if it takes longer than anybody would wait.
    fn run_until(&mut self, what: &str, so: impl Fn(&Self) -> bool) {
        let limit = self.now + PATIENCE;
        while !so(self) {
            let at = self.next_at().unwrap_or(u64::MAX);
            assert!(at <= limit, "waited in vain until {what}");
            self.turn();
        }
    }

    fn next_at(&self) -> Option<u64> {
        let job = self.jobs.keys().next().map(|(at, _)| *at);
        let woken = (0..self.members.len()).filter_map(|who| self.wake_of(who)).min();
        [job, woken].into_iter().flatten().min()
    }

    fn wake_of(&self, who: Who) -> Option<u64> {
        let member = &self.members[who];
        let deadline = member.node.as_ref()?.next_deadline()?;
        if member.asleep_since.is_some() {
            return None;
        }
        let at = (member.booted_at + member.slept).saturating_add(deadline.0);
        Some(at.max(self.now))
    }

    /// Does the one thing that comes next.
    fn turn(&mut self) {
        let Some(at) = self.next_at() else { return };
        self.pass_to(at);
        if let Some((key, _)) = self.jobs.first_key_value()
            && key.0 == at
        {
            let (_, job) = self.jobs.pop_first().unwrap();
            self.run(job);
            return;
        }
        let who = (0..self.members.len())
            .find(|who| self.wake_of(*who) == Some(at))
            .unwrap();
        self.wakes = if self.wakes.0 == at {
            (at, self.wakes.1 + 1)
        } else {
            (at, 1)
        };
        assert!(
            self.wakes.1 < WAKES_AT_ONE_INSTANT * u32::try_from(self.members.len()).unwrap(),
            "{} asks to be woken again and again at {at}",
            self.members[who].name
        );
        self.input(who, Input::Deadline);
    }

    fn pass_to(&mut self, at: u64) {
        assert!(at >= self.now);
        self.now = at;
        for member in &mut self.members {
            if member.node.is_some() && member.asleep_since.is_none() {
                member.last_alive = at;
            }
        }
        self.nobody_is_shown_open_who_is_long_gone();
    }

    /// The promise of the whole design: never a stale `open`.
    fn nobody_is_shown_open_who_is_long_gone(&self) {
        for (watcher, principal, told) in self
            .members
            .iter()
            .filter(|member| member.node.is_some() && member.asleep_since.is_none())
            .flat_map(|member| member.shown.iter().map(move |(of, told)| (member, of, told)))
        {
            if !is_open(told) {
                continue;
            }
            let Some(of) = self.members.iter().find(|member| member.principal() == *principal) else {
                continue;
            };
            assert!(
                self.now <= of.last_alive + LEASE + 35 * SECOND + watcher.skew.unsigned_abs() + of.skew.unsigned_abs(),
                "at {} {} still shows {} as open, whose last sign of life was at {}",
                self.now,
                watcher.name,
                of.name,
                of.last_alive
            );
        }
    }

    fn note(&mut self, line: &str) {
        if TRACE {
            eprintln!("{:>10} {line}", self.now);
        }
        let mut bytes = self.digest.to_vec();
        bytes.extend(self.now.to_be_bytes());
        bytes.extend(line.as_bytes());
        self.digest = sha256(&bytes);
    }
}

/// What people do.
impl World {
    /// An invite for `uses` people, as text.
    fn invite(&mut self, who: Who, uses: u32) -> String {
        self.invite_for(who, uses, HOUR)
    }

    fn invite_for(&mut self, who: Who, uses: u32, expires_in: u64) -> String {
        let command = Command::CreateInvite {
            uses,
            expires_in,
            view: "contacts".to_owned(),
        };
        match self.call(who, command) {
            Ok(Reply::Invite { uri, .. }) => {
                // Its records have to get into the DHT.
                self.run_for(SECOND);
                uri
            }
            other => panic!("no invite: {other:?}"),
        }
    }

    fn add(&mut self, who: Who, invite: &str) -> Result<ContactInfo, CommandError> {
        self.add_as(who, invite, None)
    }

    fn add_as(&mut self, who: Who, invite: &str, name: Option<&str>) -> Result<ContactInfo, CommandError> {
        let command = Command::AddContact {
            invite: invite.to_owned(),
            name: name.map(str::to_owned),
            view: "contacts".to_owned(),
        };
        match self.call(who, command)? {
            Reply::Contact(info) => Ok(info),
            other => panic!("not the answer to this question: {other:?}"),
        }
    }

    /// Makes two members contacts of each other, with nothing left to be done.
    fn meet(&mut self, inviter: Who, newcomer: Who) {
        let invite = self.invite(inviter, 1);
        self.add(newcomer, &invite).unwrap();
        let (one, other) = (self.members[inviter].principal(), self.members[newcomer].principal());
        self.run_until("both are subscribed", |world| {
            world.subscription(inviter, &other) == Some(SubscriptionState::Active)
                && world.subscription(newcomer, &one) == Some(SubscriptionState::Active)
        });
        self.run_for(10 * SECOND);
    }

    fn set(&mut self, who: Who, status: Status, note: Option<&str>) {
        let note = note.map(|text| porchlight_wire::presence::Note {
            lang: None,
            text: text.to_owned(),
        });
        let new = NewPresence::status(status, note.into_iter().collect());
        self.call(who, Command::SetPresence(Box::new(new))).unwrap();
    }

    fn contacts(&mut self, who: Who) -> Vec<ContactInfo> {
        match self.call(who, Command::ListContacts) {
            Ok(Reply::Contacts(contacts)) => contacts,
            other => panic!("no contacts: {other:?}"),
        }
    }

    /// What `watcher` is told of `of` right now.
    fn told(&mut self, watcher: Who, of: Who) -> ContactPresence {
        let principal = self.members[of].principal();
        match self.call(watcher, Command::ListPresence) {
            Ok(Reply::Presences { contacts, .. }) => contacts
                .into_iter()
                .find(|contact| contact.principal == principal)
                .expect("a contact"),
            other => panic!("no presence: {other:?}"),
        }
    }

    /// The same in one word.
    fn sees(&mut self, watcher: Who, of: Who) -> &'static str {
        word(&self.told(watcher, of).told)
    }

    fn fetch(&mut self, watcher: Who, of: Who) -> Result<ContactPresence, CommandError> {
        let contact = self.members[of].principal().to_string();
        match self.call(watcher, Command::Fetch { contact })? {
            Reply::Told(told) => Ok(*told),
            other => panic!("not the answer to this question: {other:?}"),
        }
    }

    fn subscription(&self, who: Who, of: &porchlight_wire::ids::PrincipalId) -> Option<SubscriptionState> {
        self.members[who].disk.contacts.get(of)?.subscription
    }

    /// Whether `of` is nobody that `watcher` could ask for.
    fn fetch_error(&mut self, watcher: Who, of: Who) -> bool {
        self.fetch(watcher, of).is_err()
    }

    /// Everything `watcher` was notified of about `of`, in words, oldest first.
    fn notified(&self, watcher: Who, of: Who) -> Vec<&'static str> {
        self.notified_since(watcher, of, 0)
    }

    /// The same without the first `from` events.
    fn notified_since(&self, watcher: Who, of: Who, from: usize) -> Vec<&'static str> {
        let of = self.members[of].principal();
        self.members[watcher].history[from..]
            .iter()
            .filter_map(|row| match &row.event {
                Event::PresenceChanged { principal, new, .. } if *principal == of => Some(word(new)),
                _ => None,
            })
            .collect()
    }

    /// How many events of `who` fit.
    fn count(&self, who: Who, fits: impl Fn(&Event) -> bool) -> usize {
        self.members[who].history.iter().filter(|row| fits(&row.event)).count()
    }

    fn everybody_else(&self, who: Who) -> BTreeSet<Site> {
        let members = (0..self.members.len()).filter(|other| *other != who).map(Site::Member);
        members.chain((0..self.relays.len()).map(Site::Relay)).collect()
    }
}

/// A verdict with its document in one word, as a person would say it.
fn word(told: &Told) -> &'static str {
    let activity = told
        .document
        .as_ref()
        .and_then(|document| document.activities.first())
        .map(String::as_str);
    match (told.verdict, activity) {
        (Verdict::UnknownNoRecord, _) => "unknown (no record)",
        (Verdict::UnknownViewEnded, _) => "unknown (view ended)",
        (Verdict::UnknownNoSource, _) => "unknown (no source)",
        (Verdict::UnknownClock, _) => "unknown (clock)",
        (Verdict::Closed, _) => "closed",
        (Verdict::ClosedLapsed, _) => "closed (lapsed)",
        (Verdict::AsRecorded, Some("away")) => "away",
        (Verdict::AsRecorded, Some("busy")) => "busy",
        (Verdict::AsRecorded, None) => "open",
        (Verdict::AsRecorded, Some(_)) => "an activity of a later version",
    }
}

fn is_open(told: &Told) -> bool {
    told.verdict == Verdict::AsRecorded
        && told
            .document
            .as_ref()
            .is_some_and(|document| document.basic() == Basic::Open)
}
