//! A node of the world: a core, its disk, its clocks, and what its process holds besides. Steps are committed here, and
//! processes die here. What travels between nodes is in `world`.

use crate::Who;
use crate::scenario::Deed;
use porchlight_proto::input::{LiveNode, RequestId};
use porchlight_proto::step::Durability;
use porchlight_proto::{Clock, Config, Effect, Input, Instant, Node, Snapshot, Write};
use porchlight_wire::blind::BlindedKey;
use porchlight_wire::follow::FollowKey;
use porchlight_wire::ids::{NodeAddress, PrincipalId};
use porchlight_wire::mailbox::MailboxId;
use porchlight_wire::network::TopicIndex;
use porchlight_wire::shelf::{Shelf, ShelfLimits};
use porchlight_wire::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};

/// The wall clock of whoever has the right time, when a world begins. Days and epochs of the nodes begin elsewhere.
pub const BEGINNING: u64 = 1_790_000_000_000;

/// What a relay keeps of others' records: as much as the product's relays do by default, and more than small worlds need.
const RELAY_SHELF: ShelfLimits = ShelfLimits {
    records: 1_000_000,
    bytes: 4 << 30,
};

/// What an ordinary node serves: its own records.
const OWN_SHELF: ShelfLimits = ShelfLimits {
    records: 64,
    bytes: 256 << 10,
};

/// One node.
#[derive(Debug)]
pub struct Member {
    /// Its index.
    pub who: Who,
    /// Whether it serves as a relay.
    pub relay: bool,
    /// How its owner configured it.
    pub config: Config,
    /// Where it can be dialled.
    pub address: NodeAddress,
    /// Whether others can dial it at all.
    pub reachable: bool,
    /// Whom it speaks for.
    pub principal: PrincipalId,
    /// The process, while it runs.
    pub node: Option<Box<Node>>,
    /// What outlives the process.
    pub disk: Disk,
    /// Counts the starts: what is on its way to an earlier process is lost.
    pub boot: u32,
    /// When this process began.
    pub booted_at: u64,
    /// Since when the machine is suspended.
    pub asleep_since: Option<u64>,
    /// For how long it was, since the process began.
    pub slept: u64,
    /// Milliseconds its wall clock is ahead.
    pub skew: i64,
    /// When the core is woken next, as planned; the greatest number: it is not.
    pub wake_planned: u64,
    /// Wakes at one and the same time, and that time.
    pub wakes: (u64, u32),
    /// Nodes that it believes to be connected to.
    pub peers: BTreeSet<Who>,
    /// Nodes that it wants to be connected to: relays, and whom the core names.
    pub wanted: BTreeSet<Who>,
    /// How often in a row each of them was dialled in vain.
    pub tries: BTreeMap<Who, u32>,
    /// Whether a new list of live nodes is on its way to the core.
    pub live_planned: bool,
    /// Live nodes as the core was told last.
    pub live: Vec<LiveNode>,
    /// Topics it is in.
    pub topics: BTreeSet<TopicIndex>,
    /// Addresses whose records it expects.
    pub expected: BTreeSet<BlindedKey>,
    /// What it follows at its relay.
    pub follow: Vec<BlindedKey>,
    /// What it is told by nodes at which it follows.
    pub followed: BTreeMap<Who, BTreeSet<BlindedKey>>,
    /// Whom it lets follow its own views.
    pub served: BTreeMap<BlindedKey, FollowKey>,
    /// What it serves: a relay the records of all, others their own.
    pub shelf: Shelf,
    /// Records that left it: the newest sequence at each address, with the end of its signature.
    pub published: BTreeMap<BlindedKey, (u64, [u8; 8])>,
    /// What it is up to, as a relay: one of the deeds of relays.
    pub mischief: Option<Deed>,
    /// Whether the people of this node want it to be up.
    pub wanted_up: bool,
    last_request: u64,
}

/// What outlives a process.
#[derive(Debug)]
pub enum Disk {
    /// Every write is folded into a snapshot, as a database would.
    Kept(Box<Kept>),
    /// For large worlds: what the core holds is what is on disk, since it changes both by the same function. Taken from the
    /// core as the process dies.
    Mirror(Option<Box<Snapshot>>),
}

/// A disk that is written to.
#[derive(Debug)]
pub struct Kept {
    /// Everything that was written.
    pub written: Snapshot,
    /// What a power cut leaves.
    pub synced: Snapshot,
    /// Whether the two may differ.
    pub dirty: bool,
    /// Nothing in mailboxes is ever deleted.
    pub hoards: bool,
    /// Envelopes in mailboxes kept here.
    pub bodies: BTreeMap<(MailboxId, u64), Vec<u8>>,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// The process alone: what was written stays.
    Killed,
    /// The machine: what was not synced is gone.
    PowerCut,
}

/// Where around a commit a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// The step was worked out; nothing of it reached the disk.
    BeforeCommit,
    /// The writes are durable; nothing was said.
    AfterCommit,
    /// The writes are durable; one thing was said.
    AfterOneEffect,
}

impl Member {
    /// A node that was never started.
    #[must_use]
    pub fn new(who: Who, config: Config, address: NodeAddress, disk: Snapshot, mirror: bool) -> Self {
        let relay = config.mailkeeping.is_some();
        let principal = disk.identity.principal;
        let disk = if mirror {
            Disk::Mirror(Some(Box::new(disk)))
        } else {
            Disk::Kept(Box::new(Kept {
                synced: disk.clone(),
                written: disk,
                dirty: false,
                hoards: false,
                bodies: BTreeMap::new(),
            }))
        };
        Self {
            who,
            relay,
            config,
            address,
            reachable: true,
            principal,
            node: None,
            disk,
            boot: 0,
            booted_at: 0,
            asleep_since: None,
            slept: 0,
            skew: 0,
            wake_planned: u64::MAX,
            wakes: (0, 0),
            peers: BTreeSet::new(),
            wanted: BTreeSet::new(),
            tries: BTreeMap::new(),
            live_planned: false,
            live: Vec::new(),
            topics: BTreeSet::new(),
            expected: BTreeSet::new(),
            follow: Vec::new(),
            followed: BTreeMap::new(),
            served: BTreeMap::new(),
            shelf: Shelf::new(if relay { RELAY_SHELF } else { OWN_SHELF }),
            published: BTreeMap::new(),
            mischief: None,
            wanted_up: false,
            last_request: 0,
        }
    }

    /// Whether its process runs and its machine is awake.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.node.is_some() && self.asleep_since.is_none()
    }

    /// Both clocks of this node.
    #[must_use]
    pub fn clock(&self, now: u64) -> Clock {
        Clock {
            instant: Instant(now.saturating_sub(self.booted_at + self.slept)),
            unix: UnixMillis((BEGINNING + now).saturating_add_signed(self.skew)),
        }
    }

    /// When the core wants to be woken, on the clock of the world.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        let deadline = self.node.as_ref()?.next_deadline()?;
        Some((self.booted_at + self.slept).saturating_add(deadline.0))
    }

    /// The core's durable state, or what it will begin with.
    #[must_use]
    pub fn snapshot(&self) -> Option<&Snapshot> {
        match (&self.node, &self.disk) {
            (Some(node), _) => Some(node.snapshot()),
            (None, Disk::Kept(kept)) => Some(&kept.written),
            (None, Disk::Mirror(snapshot)) => snapshot.as_deref(),
        }
    }

    /// Names the next call of a local client.
    pub const fn next_request(&mut self) -> RequestId {
        self.last_request += 1;
        RequestId(self.last_request)
    }

    /// A new process, which begins with what is on the disk.
    pub fn start(&mut self, seed: [u8; 32], now: u64) {
        let snapshot = match &mut self.disk {
            Disk::Kept(kept) => Some(kept.written.clone()),
            Disk::Mirror(snapshot) => snapshot.take().map(|snapshot| *snapshot),
        };
        let Some(snapshot) = snapshot else { return };
        self.boot += 1;
        self.booted_at = now;
        self.asleep_since = None;
        self.slept = 0;
        self.wake_planned = u64::MAX;
        let node = Node::restore(snapshot, self.config.clone(), seed, self.clock(now));
        self.node = Some(Box::new(node));
    }

    /// Everything that was only in the process is gone.
    pub fn die(&mut self, death: Death) {
        let node = self.node.take();
        match &mut self.disk {
            Disk::Kept(kept) => {
                if death == Death::PowerCut && kept.dirty {
                    kept.written.clone_from(&kept.synced);
                    kept.dirty = false;
                }
            }
            Disk::Mirror(snapshot) => *snapshot = node.map(|node| Box::new(node.snapshot().clone())),
        }
        self.peers.clear();
        self.wanted.clear();
        self.tries.clear();
        self.live.clear();
        self.live_planned = false;
        self.topics.clear();
        self.expected.clear();
        self.follow.clear();
        self.followed.clear();
        self.served.clear();
        // Records are kept in memory alone, by relays too.
        self.shelf = Shelf::new(if self.relay { RELAY_SHELF } else { OWN_SHELF });
    }

    /// Hands one input to the core. Its effects come out once its writes are on the disk; not at all, or only the first, if it
    /// dies at `crash`.
    pub fn handle(&mut self, now: u64, input: Input, crash: Option<CrashPoint>) -> Handled {
        let clock = self.clock(now);
        let Some(node) = &mut self.node else {
            return Handled::default();
        };
        let step = node.handle(clock, input);
        if step.writes().is_empty() {
            let effects = step.commit_with(|_| Ok::<_, ()>(())).unwrap_or_default();
            return Handled {
                effects,
                ..Handled::default()
            };
        }
        if crash == Some(CrashPoint::BeforeCommit) {
            let refused = step.commit_with(|_| Err(()));
            return Handled {
                died: true,
                spoke_too_soon: refused.is_ok(),
                ..Handled::default()
            };
        }
        let full = step.durability() == Some(Durability::Full);
        let mut writes = Vec::new();
        let disk = &mut self.disk;
        let mut effects = step
            .commit_with(|committed| {
                if let Disk::Kept(kept) = disk {
                    kept.commit(committed, full);
                }
                writes = committed.to_vec();
                Ok::<_, ()>(())
            })
            .unwrap_or_default();
        match crash {
            Some(CrashPoint::AfterCommit) => effects.clear(),
            Some(CrashPoint::AfterOneEffect) => effects.truncate(1),
            Some(CrashPoint::BeforeCommit) | None => {}
        }
        Handled {
            writes,
            effects,
            died: crash.is_some(),
            spoke_too_soon: false,
        }
    }

    /// Whether the disk is what the core believes it to be.
    #[must_use]
    pub fn disk_agrees(&self) -> bool {
        match (&self.node, &self.disk) {
            (Some(node), Disk::Kept(kept)) => *node.snapshot() == kept.written,
            _ => true,
        }
    }
}

impl Kept {
    fn commit(&mut self, writes: &[Write], full: bool) {
        if full && self.dirty {
            self.synced.clone_from(&self.written);
        }
        for write in writes {
            self.written.apply(write);
            if full {
                self.synced.apply(write);
            }
            match write {
                Write::PutBody(row) => {
                    self.bodies.insert((row.mailbox, row.number), row.envelope.to_vec());
                }
                Write::DeleteBody(mailbox, number) if !self.hoards => {
                    self.bodies.remove(&(*mailbox, *number));
                }
                _ => {}
            }
        }
        self.dirty = !full;
    }
}

/// What an input led to.
#[derive(Debug, Default)]
pub struct Handled {
    /// What was committed.
    pub writes: Vec<Write>,
    /// What is to be done.
    pub effects: Vec<Effect>,
    /// The process died at the commit.
    pub died: bool,
    /// Effects came out of a step that was not committed.
    pub spoke_too_soon: bool,
}
