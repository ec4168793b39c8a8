//! A member of the world: a core, its disk, and what its process holds besides. Steps are committed here, and crashes
//! happen here.

use crate::LEASE;
use crate::network::Relay;
use porchlight_proto::event::{Event, Told};
use porchlight_proto::input::{LiveNode, RequestId};
use porchlight_proto::messaging::rows::{AccountRow, MessageRow, MessageState};
use porchlight_proto::rows::{EventRow, Identity, SubscriptionState};
use porchlight_proto::{Clock, CommandError, Config, Effect, Input, Node, Reply, Snapshot, Write};
use porchlight_wire::beacon::VerifiedBeacon;
use porchlight_wire::blind::{BlindedKey, GenerationKey};
use porchlight_wire::device_list::{DeviceEntry, DeviceList};
use porchlight_wire::envelope::EnvelopeSecretKey;
use porchlight_wire::follow::{FollowKey, FollowProof};
use porchlight_wire::ids::{Address, NodeAddress, NodeId, PrincipalId};
use porchlight_wire::keys::{DeviceKeys, RootKey};
use porchlight_wire::mailbox::MailboxId;
use porchlight_wire::network::{Network, TopicIndex};
use porchlight_wire::record::{Place, VerifiedRecord};
use porchlight_wire::sheet::VerifiedSheet;
use porchlight_wire::shelf::{Shelf, ShelfLimits};
use porchlight_wire::time::UnixMillis;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// What a simulated node or relay keeps of others' records: more than any test needs.
pub const SHELF: ShelfLimits = ShelfLimits {
    records: 10_000,
    bytes: 64 << 20,
};

/// A crash that is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    /// At which step, counted from when the crash was planned; 0 is the next one.
    pub at: u64,
    pub point: CrashPoint,
}

/// Where around a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// The step was worked out; nothing of it reached the disk.
    BeforeCommit,
    /// The writes are durable; no effect was performed.
    AfterCommit,
    /// The writes are durable; the first effect was performed.
    AfterOneEffect,
}

/// What is to be followed at one node.
#[derive(Clone, Debug)]
pub struct FollowAt {
    pub reach: Vec<Address>,
    pub addresses: Vec<BlindedKey>,
    pub proofs: Vec<FollowProof>,
}

/// One member.
#[derive(Debug)]
pub struct Member {
    pub name: String,
    pub config: Config,
    /// What was committed.
    pub disk: Snapshot,
    /// Events on disk, by number.
    pub log: BTreeMap<u64, EventRow>,
    /// All events ever committed.
    pub history: Vec<EventRow>,
    pub node: Option<Node>,
    /// Counts the starts; what is on its way to an earlier process is lost.
    pub boot: u64,
    pub booted_at: u64,
    /// Since when it is suspended, and for how long it was before, since it booted.
    pub asleep_since: Option<u64>,
    pub slept: u64,
    /// Milliseconds its wall clock is ahead.
    pub skew: i64,
    pub address: NodeAddress,
    pub topics: BTreeSet<TopicIndex>,
    pub follow: Vec<BlindedKey>,
    /// What it wants to follow at which node, with proofs, and what it is told there.
    pub follow_at: BTreeMap<NodeId, FollowAt>,
    pub followed: BTreeMap<NodeId, BTreeSet<BlindedKey>>,
    /// Whom it lets follow at its own node.
    pub served: BTreeMap<BlindedKey, FollowKey>,
    /// How often it asked a node that it follows there.
    pub follow_asked: BTreeMap<NodeId, Vec<u64>>,
    pub keep: BTreeSet<NodeAddress>,
    pub connected: BTreeSet<NodeId>,
    pub live: Vec<LiveNode>,
    /// What its own node serves.
    pub shelf: Shelf,
    pub replies: BTreeMap<RequestId, Result<Reply, CommandError>>,
    last_request: u64,
    pub crash: Option<Crash>,
    pub crashed: bool,
    /// Steps with writes since the last crash was planned.
    pub commits: u64,
    /// Steps with writes that somebody waits for.
    pub urgent: u64,
    /// Every record that ever left the node, by address and sequence.
    pub records: BTreeMap<(BlindedKey, u64), VerifiedBeacon>,
    /// Every identity sheet it sent, by sequence.
    pub sheets: BTreeMap<u64, VerifiedSheet>,
    /// What its clients were told last of each contact.
    pub shown: BTreeMap<PrincipalId, Told>,
    pub last_alive: u64,
    /// All messages ever kept, by number.
    pub messages: BTreeMap<u64, MessageRow>,
    /// How far messages of its own came.
    pub message_states: BTreeMap<u64, MessageState>,
    /// The addresses that its process has asked for, one of each lookup.
    pub looked_up: BTreeSet<Place>,
    /// How many lookups it ever asked for.
    pub lookups: u64,
    /// How many puts it ever asked for.
    pub puts: u64,
    /// Envelopes in mailboxes on its disk.
    pub bodies: BTreeMap<(MailboxId, u64), Vec<u8>>,
    /// How it cheats those whose mailboxes it keeps.
    pub mischief: Mischief,
}

/// What a relay that keeps mailboxes may be up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mischief {
    None,
    /// It says that mailboxes are empty.
    Hides,
    /// It names what is there, and gives out nothing.
    Withholds,
    /// It gives out everything it ever had, however often it is deleted.
    Repeats,
}

impl Member {
    pub fn new(name: &str, network: &Network, relays: &[Relay], now: UnixMillis, rng: &mut ChaCha20Rng) -> Self {
        let identity = identity(now, rng);
        let node = NodeId::from_bytes(DeviceKeys::random(rng).signing_public()).unwrap();
        let address = NodeAddress {
            node,
            address: Address::parse(&format!("/dns/{name}.example/tcp/4110")).unwrap(),
        };
        Self {
            name: name.to_owned(),
            config: Config {
                network: network.clone(),
                node,
                name: Some(name.to_owned()),
                lease: LEASE,
                dht_interval: 30_000,
                external: Vec::new(),
                card_addresses: true,
                presence: true,
                messages: true,
                read_receipts: true,
                follow: false,
                seed_peers: relays.iter().map(|relay| relay.address.clone()).collect(),
                mailboxes: 0,
                mailkeeping: None,
            },
            disk: Snapshot::new(identity),
            log: BTreeMap::new(),
            history: Vec::new(),
            node: None,
            boot: 0,
            booted_at: 0,
            asleep_since: None,
            slept: 0,
            skew: 0,
            address,
            topics: BTreeSet::new(),
            follow: Vec::new(),
            follow_at: BTreeMap::new(),
            followed: BTreeMap::new(),
            served: BTreeMap::new(),
            follow_asked: BTreeMap::new(),
            keep: BTreeSet::new(),
            connected: BTreeSet::new(),
            live: Vec::new(),
            shelf: Shelf::new(SHELF),
            replies: BTreeMap::new(),
            last_request: 0,
            crash: None,
            crashed: false,
            commits: 0,
            urgent: 0,
            records: BTreeMap::new(),
            sheets: BTreeMap::new(),
            shown: BTreeMap::new(),
            last_alive: 0,
            messages: BTreeMap::new(),
            message_states: BTreeMap::new(),
            looked_up: BTreeSet::new(),
            lookups: 0,
            puts: 0,
            bodies: BTreeMap::new(),
            mischief: Mischief::None,
        }
    }

    pub const fn principal(&self) -> PrincipalId {
        self.disk.identity.principal
    }

    pub fn next_request(&mut self) -> RequestId {
        self.last_request += 1;
        RequestId(self.last_request)
    }

    /// A new process that begins with what is on the disk.
    pub fn restore(&mut self, seed: [u8; 32], clock: Clock) {
        self.boot += 1;
        self.asleep_since = None;
        self.slept = 0;
        self.node = Some(Node::restore(self.disk.clone(), self.config.clone(), seed, clock));
    }

    /// From its next start on it can be dialled elsewhere.
    pub fn move_to(&mut self, address: &str) {
        self.address.address = Address::parse(address).unwrap();
    }

    /// Everything that was only in the process is gone.
    pub fn die(&mut self) {
        self.node = None;
        self.topics.clear();
        self.follow.clear();
        self.follow_at.clear();
        self.followed.clear();
        self.served.clear();
        self.keep.clear();
        self.connected.clear();
        self.live.clear();
        self.shelf = Shelf::new(SHELF);
        self.shown.clear();
        self.looked_up.clear();
    }

    /// Plans a crash, and begins to count steps.
    pub fn plan(&mut self, crash: Option<Crash>) {
        self.crash = crash;
        self.crashed = false;
        self.commits = 0;
    }

    /// Handles one input up to the point where the effects may be performed.
    pub fn handle(&mut self, clock: Clock, input: Input) -> Vec<Effect> {
        let Some(node) = &mut self.node else { return Vec::new() };
        let step = node.handle(clock, input);
        if step.writes().is_empty() {
            return step.commit_with(|_| Ok::<_, ()>(())).unwrap();
        }
        let due = self
            .crash
            .filter(|crash| crash.at == self.commits)
            .map(|crash| crash.point);
        self.commits += 1;
        self.urgent += u64::from(!step.can_wait());
        if due == Some(CrashPoint::BeforeCommit) {
            self.crash_now();
            let refused = step.commit_with(|_| Err(()));
            assert!(refused.is_err(), "nothing is said that was not made durable");
            return Vec::new();
        }
        let mut effects = step
            .commit_with(|writes| {
                self.commit(writes);
                Ok::<_, ()>(())
            })
            .unwrap();
        match due {
            Some(CrashPoint::AfterCommit) => {
                self.crash_now();
                return Vec::new();
            }
            Some(CrashPoint::AfterOneEffect) => {
                self.crash_now();
                effects.truncate(1);
            }
            Some(CrashPoint::BeforeCommit) | None => {
                assert!(
                    self.node.as_ref().unwrap().snapshot() == &self.disk,
                    "the disk of {} is not what its core believes",
                    self.name
                );
            }
        }
        effects
    }

    fn crash_now(&mut self) {
        self.crash = None;
        self.crashed = true;
        self.die();
    }

    /// The simulated disk: the fold of `Snapshot::apply`, and events beside it.
    fn commit(&mut self, writes: &[Write]) {
        for write in writes {
            self.disk.apply(write);
            match write {
                Write::PutEvent(row) => self.log_event(row),
                Write::DropEvents { below } => self.log = self.log.split_off(below),
                Write::PutBody(row) => {
                    self.bodies.insert((row.mailbox, row.number), row.envelope.to_vec());
                }
                Write::DeleteBody(mailbox, number) if self.mischief != Mischief::Repeats => {
                    self.bodies.remove(&(*mailbox, *number));
                }
                Write::PutMessage(row) => self.keep_message(row),
                Write::PutMessageState(row) => self.message_comes_further(row.number, &row.state),
                _ => {}
            }
        }
    }

    /// Its disk is replaced by an older copy of it, what is kept beside the snapshot included.
    pub fn go_back_to(&mut self, old: &Snapshot) {
        self.disk = old.clone();
        self.messages.retain(|number, _| *number <= old.newest_message);
        self.message_states.retain(|number, _| *number <= old.newest_message);
        self.history.retain(|row| row.number <= old.newest_event);
        self.log.retain(|number, _| *number <= old.newest_event);
        // Their meaning is another one now: sequences of an old copy may be used again.
        self.records.clear();
        self.sheets.clear();
    }

    /// A message is kept once, under the next number.
    fn keep_message(&mut self, row: &MessageRow) {
        let last = self.messages.keys().next_back().copied().unwrap_or(0);
        assert_eq!(
            row.number,
            last + 1,
            "messages of {} are numbered without a gap",
            self.name
        );
        let twice = self
            .messages
            .values()
            .any(|known| known.message.id == row.message.id && known.message.from == row.message.from);
        assert!(!twice, "{} keeps a message twice", self.name);
        self.messages.insert(row.number, row.clone());
    }

    /// Nothing comes after the end but that it was read.
    fn message_comes_further(&mut self, number: u64, state: &MessageState) {
        if let Some(known) = self.message_states.insert(number, state.clone()) {
            let goes_on = !is_final(&known) || (known == MessageState::Delivered && *state == MessageState::Read);
            assert!(
                goes_on,
                "message {number} of {} went from {known:?} to {state:?}",
                self.name
            );
        }
    }

    fn log_event(&mut self, row: &EventRow) {
        let last = self.history.last().map_or(0, |last| last.number);
        assert_eq!(
            row.number,
            last + 1,
            "events of {} are numbered without a gap",
            self.name
        );
        self.history.push(row.clone());
        self.log.insert(row.number, row.clone());
        match &row.event {
            Event::PresenceChanged {
                principal, new, old, ..
            } => {
                if let Some(shown) = self.shown.get(principal) {
                    assert_eq!(shown.verdict, old.verdict, "an event says what was told before");
                }
                self.shown.insert(*principal, (**new).clone());
            }
            Event::ContactRemoved { principal, .. } => {
                self.shown.remove(principal);
            }
            Event::SubscriptionChanged {
                principal,
                new: None | Some(SubscriptionState::Refused | SubscriptionState::Cancelled),
                ..
            } => {
                self.shown.remove(principal);
            }
            _ => {}
        }
    }

    /// A record leaves the node. The same sequence at the same address must never stand for two contents.
    pub fn record_leaves(&mut self, record: &VerifiedRecord) {
        let beacon = match record {
            VerifiedRecord::Beacon(beacon) => beacon,
            VerifiedRecord::Sheet(sheet) => {
                let before = self.sheets.insert(sheet.sheet().sequence, sheet.clone());
                assert!(before.is_none_or(|before| before == *sheet), "one sequence, one sheet");
                return;
            }
        };
        let place = (beacon.pk(), beacon.sequence());
        if let Some(known) = self.records.get(&place) {
            assert!(known == beacon, "{} used sequence {} twice", self.name, place.1);
            return;
        }
        let newest = self
            .records
            .range((beacon.pk(), 0)..=(beacon.pk(), u64::MAX))
            .next_back()
            .map_or(0, |((_, sequence), _)| *sequence);
        assert!(
            newest < beacon.sequence(),
            "{} went back from sequence {newest} to {}",
            self.name,
            place.1
        );
        self.records.insert(place, beacon.clone());
    }
}

/// The Olm account of the member with this number, the same in all worlds of this process. vodozemac draws its own randomness,
/// and two runs are to be compared.
pub fn account(number: usize, config: &Config) -> AccountRow {
    static ACCOUNTS: Mutex<Vec<AccountRow>> = Mutex::new(Vec::new());
    let mut accounts = ACCOUNTS.lock().unwrap();
    while accounts.len() <= number {
        let mut rng = ChaCha20Rng::from_seed([9; 32]);
        let clock = Clock {
            unix: UnixMillis(crate::BEGINNING),
            ..Clock::default()
        };
        let snapshot = Snapshot::new(identity(clock.unix, &mut rng));
        let mut node = Node::restore(snapshot, config.clone(), [9; 32], clock);
        let _ = node.handle(clock, Input::Start);
        accounts.push(node.snapshot().account.clone().expect("a node makes its account"));
    }
    accounts[number].clone()
}

/// A new principal with one device.
pub fn identity(now: UnixMillis, rng: &mut ChaCha20Rng) -> Identity {
    let root = RootKey::random(rng);
    let device = DeviceKeys::random(rng);
    let list = DeviceList {
        principal: root.principal(),
        sequence: 1,
        previous: [0; 32],
        issued: now,
        devices: vec![DeviceEntry {
            device: device.id(),
            signing: device.signing_public(),
            exchange: device.exchange_public(),
            not_after: now.plus(10 * 365 * crate::DAY),
        }],
        next: RootKey::random(rng).commitment(),
    };
    Identity {
        principal: root.principal(),
        devices: list.sign(&root),
        device,
        envelope: EnvelopeSecretKey::random(rng),
        envelope_since: now,
        retired: Vec::new(),
        card: GenerationKey::random(rng),
    }
}

/// Whether nothing more will come of a message, but that it was read.
const fn is_final(state: &MessageState) -> bool {
    match state {
        MessageState::Queued | MessageState::Sent | MessageState::Stored { .. } => false,
        MessageState::Delivered
        | MessageState::Read
        | MessageState::Failed(_)
        | MessageState::Expired
        | MessageState::Cancelled => true,
    }
}
