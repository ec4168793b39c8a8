//! The modelled world: nodes with real cores, in virtual time, and one queue of what will happen. It hands inputs to the cores,
//! makes each step durable before its effects are performed, and tells the checks about both. `links` has connections, `spread`
//! gossip and following, `dht` the DHT, `exchanges` requests, `life` people and faults.

mod dht;
mod exchanges;
mod life;
mod links;
mod setting;
mod spread;

use crate::checks::{Check, ErrorWatch, Failure, Truth};
use crate::latency::Latency;
use crate::measures::{Measures, Traffic};
use crate::member::{CrashPoint, Death, Member};
use crate::queue::Queue;
use crate::random::Random;
use crate::scenario::Scenario;
use crate::trace::Trace;
use crate::{MINUTE, SECOND, Who};
use exchanges::Exchange;
use life::{Asked, Habit};
use porchlight_proto::input::{BeaconSource, LookupId, PutId, RequestId};
use porchlight_proto::{Effect, Input};
use porchlight_wire::beacon::VerifiedBeacon;
use porchlight_wire::blind::BlindedKey;
use porchlight_wire::ids::{NodeAddress, NodeId};
use porchlight_wire::network::{Network, TopicIndex};
use porchlight_wire::record::{Place, VerifiedRecord};
pub use setting::SettingError;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How long a process waits for an answer.
const EXCHANGE_TIMEOUT: u64 = 10 * SECOND;

/// How long a silent connection counts as one: the ping that is not answered any more.
const PING_TIMEOUT: u64 = 30 * SECOND;

/// Nodes from which on disks are not kept apart from the cores, and frames are not hashed byte by byte.
const MANY: u32 = 5_000;

/// How often a core may ask to be woken at one and the same time before that counts as a busy loop.
const WAKES_AT_ONE_TIME: u32 = 50;

/// The lookups and requests that each node may make in the last minute, in the mean, if its traffic is back at its floor. A node
/// with contacts looks into its mailboxes and looks up cards and leases now and then.
const FLOOR: f64 = 6.0;

/// Something that will happen.
#[derive(Debug)]
enum Job {
    /// A core asked to be woken.
    Wake(Who),
    /// An input for one process.
    Input { who: Who, boot: u32, input: Box<Input> },
    /// A record reaches a process.
    Arrival {
        who: Who,
        boot: u32,
        beacon: VerifiedBeacon,
        source: BeaconSource,
    },
    /// Servers of the DHT are asked.
    Lookup {
        who: Who,
        boot: u32,
        lookup: LookupId,
        places: Vec<Place>,
        at: Vec<NodeAddress>,
    },
    /// Servers of the DHT are asked to keep a record.
    Put {
        who: Who,
        boot: u32,
        put: PutId,
        record: VerifiedRecord,
    },
    /// A node asks another one to be told what is new at some addresses.
    Follow { who: Who, boot: u32, at: Who },
    /// A connection is tried.
    Dial { who: Who, boot: u32, to: Who },
    /// A connection is up.
    Connect { who: Who, boot: u32, to: Who, to_boot: u32 },
    /// A node notices that a connection is gone.
    Lost { who: Who, boot: u32, peer: Who },
    /// A node notices which of its connections are dead.
    Notice(Who),
    /// A core is told who is live.
    Live { who: Who, boot: u32 },
    /// A node starts.
    Start(Who),
    /// A habit.
    Habit { who: Who, habit: Habit },
    /// One of the scenario's happenings.
    Happening(usize),
    /// The end of something that lasts.
    Over { who: Who, what: crate::scenario::Deed },
    /// One more envelope of a flood.
    Flood { who: Who, until: u64 },
    /// Somebody uses an invite.
    Use { who: Who, from: Who, invite: String },
    /// Two people meet: the first one invites the second.
    Meet { who: Who, other: Who },
    /// Something is done once that is a habit otherwise.
    Once { who: Who, habit: Habit },
    /// Nobody may be shown as open any more who was gone for long.
    Stale,
    /// What people see is compared with what is so.
    Sample,
    /// All faults end, and everybody is up.
    Heal,
    /// The last minute begins.
    LastMinute,
}

/// What is asked of a node at which something is followed.
#[derive(Clone, Debug)]
struct Wish {
    addresses: Vec<BlindedKey>,
    proofs: Vec<porchlight_wire::follow::FollowProof>,
}

/// All there is.
#[derive(Debug)]
pub struct World {
    scenario: Scenario,
    now: u64,
    /// When faults end.
    heals_at: u64,
    ends_at: u64,
    healed: bool,
    network: Network,
    topics: BTreeSet<TopicIndex>,
    members: Vec<Member>,
    relays: u32,
    by_node: HashMap<NodeId, Who>,
    latency: Latency,
    /// Chance of the network, of what goes wrong, and of people, apart from each other.
    random: Random,
    fate: Random,
    life: Random,
    queue: Queue<Job>,
    exchanges: BTreeMap<u64, Exchange>,
    last_exchange: u64,
    /// Who expects records at an address.
    expecting: HashMap<BlindedKey, Vec<Who>>,
    /// What nodes want to follow at which node.
    wishes: BTreeMap<(Who, Who), Wish>,
    /// The part of the network that each node is in.
    parts: Vec<u32>,
    last_part: u32,
    /// People around whose keys Sybils stand.
    surrounded: BTreeSet<Who>,
    /// Until when they are flooded.
    flooded: BTreeMap<Who, u64>,
    /// Calls of local clients that are not answered.
    asked: BTreeMap<(Who, RequestId), Asked>,
    /// Whose records these are, for what is modelled around their keys.
    owners: HashMap<Place, Who>,
    mirror: bool,
    /// Lookups and requests since the last minute began.
    last_minute: Option<u64>,
    truth: Truth,
    measures: Measures,
    trace: Trace,
}

/// What a run came to.
#[derive(Debug)]
pub struct Played {
    /// The first check that did not hold.
    pub failure: Option<Failure>,
    /// Everything that was measured.
    pub measures: Measures,
    /// The hash of the trace.
    pub trace_hash: String,
    /// How far virtual time came.
    pub virtual_millis: u64,
    /// Who was connected to whom at the end, for a map.
    pub map: Vec<(Who, Who)>,
    /// How many of the nodes are relays; they come first.
    pub relays: u32,
}

impl World {
    /// Plays it to the end, or to the first check that does not hold.
    #[must_use]
    pub fn play(mut self, mut progress: impl FnMut(u64, u64)) -> Played {
        let _watch = ErrorWatch::begin();
        let mut told = 0;
        while let Some(at) = self.queue.next_at() {
            if at > self.ends_at || self.truth.failure.is_some() {
                break;
            }
            let Some((at, job)) = self.queue.pop() else { break };
            self.now = at;
            if at >= told {
                progress(at, self.ends_at);
                told = at + SECOND;
            }
            self.run(job);
        }
        if self.truth.failure.is_none() {
            self.now = self.ends_at;
            self.finish();
        }
        self.measures.messages = self.truth.message_counts();
        Played {
            failure: self.truth.failure.take(),
            trace_hash: self.trace.digest(),
            virtual_millis: self.now,
            map: self.map(),
            relays: self.relays,
            measures: self.measures,
        }
    }

    /// Prints everything that goes in and out from this time on.
    pub const fn print_from(&mut self, at: u64) {
        self.trace.print_from = Some(at);
    }

    /// Who was connected to whom; of a large world only a part, as much as a picture can show.
    fn map(&self) -> Vec<(Who, Who)> {
        const LINES: usize = 4_000;
        let people = self.members.iter().filter(|member| member.node.is_some());
        let pairs = people.flat_map(|member| {
            let later = member.peers.iter().filter(|peer| **peer > member.who);
            later.map(|peer| (member.who, *peer))
        });
        pairs.take(LINES).collect()
    }

    fn finish(&mut self) {
        let now = self.now;
        let up = self
            .members
            .iter()
            .filter(|member| !member.relay && member.node.is_some());
        self.measures.up_time += up.map(|member| now - member.booted_at).sum::<u64>();
        self.truth.at_the_end(&self.members, self.now);
        let people = self.members.len().saturating_sub(self.relays as usize);
        if let Some(number) = self.last_minute {
            #[expect(clippy::cast_precision_loss, reason = "counts for a mean")]
            let mean = number as f64 / people.max(1) as f64;
            if mean > FLOOR {
                let what = format!(
                    "expected at most {FLOOR} lookups and requests of each node in the last minute, got {mean:.1}"
                );
                self.truth.fail(self.now, 0, Check::Restless, what);
            }
        }
    }

    fn run(&mut self, job: Job) {
        match job {
            Job::Wake(who) => self.wake(who),
            Job::Input { who, boot, input } => {
                if self.runs(who, boot) {
                    self.input(who, *input);
                }
            }
            Job::Arrival {
                who,
                boot,
                beacon,
                source,
            } => {
                if self.runs(who, boot) {
                    self.arrive(who, beacon, source);
                }
            }
            Job::Lookup {
                who,
                boot,
                lookup,
                places,
                at,
            } => {
                if self.runs(who, boot) {
                    self.look_up(who, lookup, &places, &at);
                }
            }
            Job::Put { who, boot, put, record } => {
                let done = self.keep_copies(who, put, &record);
                if self.runs(who, boot) {
                    self.tell(who, 0, done);
                }
            }
            Job::Follow { who, boot, at } => {
                if self.runs(who, boot) {
                    self.answer_follower(who, at);
                }
            }
            Job::Dial { who, boot, to } => {
                if self.runs(who, boot) {
                    self.dial(who, to);
                }
            }
            Job::Connect { who, boot, to, to_boot } => {
                if self.runs(who, boot) && self.runs(to, to_boot) && self.can_reach(who, to) {
                    self.connect(who, to);
                }
            }
            Job::Lost { who, boot, peer } => {
                if self.runs(who, boot) {
                    self.lose(who, peer);
                }
            }
            Job::Notice(who) => self.notice(who),
            Job::Live { who, boot } => {
                if self.runs(who, boot) {
                    self.report_live(who);
                }
            }
            Job::Start(who) => self.start(who),
            Job::Habit { who, habit } => self.follow_habit(who, habit),
            Job::Happening(number) => self.happen(number),
            Job::Over { who, what } => self.is_over(who, what),
            Job::Flood { who, until } => self.flood(who, until),
            Job::Use { who, from, invite } => self.use_invite(who, from, invite),
            Job::Meet { who, other } => self.meet(who, other),
            Job::Once { who, habit } => self.do_once(who, habit),
            Job::Stale => self.truth.nothing_is_stale(self.now),
            Job::Sample => self.sample(),
            Job::Heal => self.heal(),
            Job::LastMinute => self.last_minute = Some(0),
        }
    }

    fn member(&self, who: Who) -> &Member {
        &self.members[who as usize]
    }

    fn member_mut(&mut self, who: Who) -> &mut Member {
        &mut self.members[who as usize]
    }

    /// Whether that process of a node still runs.
    fn runs(&self, who: Who, boot: u32) -> bool {
        let member = self.member(who);
        member.boot == boot && member.is_up()
    }

    const fn plan(&self, after: u64) -> u64 {
        self.now + after
    }

    /// An input for the process of `who` that runs now.
    fn tell(&mut self, who: Who, after: u64, input: Input) {
        let boot = self.member(who).boot;
        let at = self.plan(after);
        let input = Box::new(input);
        self.queue.plan(at, Job::Input { who, boot, input });
    }

    /// Hands one input to a core, makes its step durable, and performs the effects.
    fn input(&mut self, who: Who, input: Input) {
        if !self.member(who).is_up() {
            return;
        }
        let now = self.now;
        self.trace.input(now, who, &input);
        self.measures.inputs += 1;
        let crash = self.crash_point();
        let handled = self.members[who as usize].handle(now, input, crash);
        for write in &handled.writes {
            self.trace.write(now, who, write);
        }
        if handled.spoke_too_soon {
            self.truth
                .fail(now, who, Check::Disk, "spoke of what was not committed".to_owned());
        }
        if !handled.writes.is_empty() {
            self.measures.commits += 1;
            self.measures.writes += handled.writes.len() as u64;
            let member = &self.members[who as usize];
            self.truth.committed(member, &handled.writes, now, &mut self.measures);
            if !member.disk_agrees() {
                let what = "the disk is not what the core believes".to_owned();
                self.truth.fail(now, who, Check::Disk, what);
            }
        }
        for line in ErrorWatch::take() {
            self.truth.fail(now, who, Check::ErrorLogged, line);
        }
        for effect in handled.effects {
            self.trace.effect(now, who, &effect);
            self.perform(who, effect);
        }
        if handled.died {
            self.die(who, Death::Killed, true);
            let down = self
                .scenario
                .faults
                .down
                .map_or(10 * SECOND, crate::scenario::Span::millis);
            let after = self.fate.wait(down);
            self.queue.plan(now + after, Job::Start(who));
        }
        self.plan_wake(who);
    }

    /// Whether the process dies at the next commit, and where around it.
    fn crash_point(&mut self) -> Option<CrashPoint> {
        if self.healed {
            return None;
        }
        let faults = &self.scenario.faults;
        let (crash, refuse) = (faults.crash_at_commits.part(), faults.refuse_commits.part());
        if self.fate.chance(refuse) {
            // The disk refuses: nothing of the step may come out, and the node ends.
            return Some(CrashPoint::BeforeCommit);
        }
        if !self.fate.chance(crash) {
            return None;
        }
        Some(match self.fate.below(3) {
            0 => CrashPoint::BeforeCommit,
            1 => CrashPoint::AfterCommit,
            _ => CrashPoint::AfterOneEffect,
        })
    }

    fn plan_wake(&mut self, who: Who) {
        let now = self.now;
        let member = &mut self.members[who as usize];
        if !member.is_up() {
            return;
        }
        let Some(deadline) = member.deadline() else { return };
        let at = deadline.max(now);
        if at < member.wake_planned {
            member.wake_planned = at;
            self.queue.plan(at, Job::Wake(who));
        }
    }

    fn wake(&mut self, who: Who) {
        let now = self.now;
        let member = self.member_mut(who);
        if member.wake_planned != now {
            return;
        }
        member.wake_planned = u64::MAX;
        if !member.is_up() {
            return;
        }
        if member.deadline().is_none_or(|deadline| deadline > now) {
            self.plan_wake(who);
            return;
        }
        member.wakes = if member.wakes.0 == now {
            (now, member.wakes.1 + 1)
        } else {
            (now, 1)
        };
        if member.wakes.1 > WAKES_AT_ONE_TIME {
            let what = format!("asked to be woken {WAKES_AT_ONE_TIME} times at one time");
            self.truth.fail(now, who, Check::BusyLoop, what);
            return;
        }
        self.input(who, Input::Deadline);
    }

    fn start(&mut self, who: Who) {
        let seed = self.fate.seed();
        let now = self.now;
        let member = self.member_mut(who);
        if member.node.is_some() || !member.wanted_up {
            return;
        }
        member.start(seed, now);
        self.trace.fate(now, who, "starts");
        if let Some(disk) = self.members[who as usize].snapshot() {
            self.truth.came_up(who, disk, now);
        }
        self.input(who, Input::Start);
        if self.member(who).reachable {
            let address = self.member(who).address.address.clone();
            self.input(who, Input::Listening { address });
        }
        self.connect_to_relays(who);
    }

    /// The process is gone, or the whole machine is.
    fn die(&mut self, who: Who, death: Death, crashed: bool) {
        let now = self.now;
        let member = self.member_mut(who);
        if member.node.is_none() {
            return;
        }
        let peers: Vec<Who> = member.peers.iter().copied().collect();
        let expected = member.expected.clone();
        let up = now - member.booted_at;
        let (asleep, relay) = (member.asleep_since.is_some(), member.relay);
        member.die(death);
        self.trace.fate(now, who, "is gone");
        if !relay {
            self.measures.up_time += up;
        }
        if crashed {
            self.measures.deaths += 1;
        }
        self.forget_interest(who, &expected);
        self.truth.went(who, now, crashed, death == Death::PowerCut);
        self.asked.retain(|(asker, _), _| *asker != who);
        // The kernel of a machine that runs closes its sockets; one that is gone is missed when it answers no ping.
        let silent = death == Death::PowerCut || asleep;
        for peer in peers {
            let after = if silent {
                self.ping_timeout()
            } else {
                self.one_way(who, peer, 64)
            };
            let boot = self.member(peer).boot;
            let at = self.plan(after);
            self.queue.plan(
                at,
                Job::Lost {
                    who: peer,
                    boot,
                    peer: who,
                },
            );
        }
        let at = self.truth.stale_after(now);
        self.queue.plan(at, Job::Stale);
    }

    fn ping_timeout(&mut self) -> u64 {
        // Pings are sent every fifteen seconds, and the first may just have been answered.
        PING_TIMEOUT / 2 + self.random.below(PING_TIMEOUT / 2)
    }

    fn one_way(&mut self, from: Who, to: Who, bytes: usize) -> u64 {
        self.latency.one_way(from, to, bytes, &mut self.random)
    }

    fn is_relay(&self, who: Who) -> bool {
        who < self.relays
    }

    /// Counts what went from one to another.
    fn count(&mut self, from: Who, to: Who, what: Traffic, bytes: usize) {
        let roles = (self.is_relay(from), self.is_relay(to));
        self.measures.travelled(self.now, what, bytes, roles);
    }

    /// Does what a core says.
    fn perform(&mut self, who: Who, effect: Effect) {
        let boot = self.member(who).boot;
        match effect {
            Effect::Reply { request, result } => self.replied(who, request, result),
            Effect::Events { newest } => {
                let committed = self.member(who).snapshot().map_or(0, |disk| disk.newest_event);
                if newest > committed {
                    let what = format!("announced event {newest}, and {committed} is on disk");
                    self.truth.fail(self.now, who, Check::Disk, what);
                }
            }
            Effect::Gossip { beacon } => self.publish(who, &beacon),
            Effect::Put { put, record } => {
                self.leaves(who, &record);
                let relay = self.random.below(u64::from(self.relays));
                let hops = self.dht_hops();
                let after = self.dht_delay(who, u32::try_from(relay).unwrap_or(0), hops + 1);
                let at = self.plan(after);
                self.queue.plan(at, Job::Put { who, boot, put, record });
            }
            Effect::Lookup { lookup, places, at } => {
                self.looks_up(who);
                let relay = self.random.below(u64::from(self.relays));
                let hops = self.dht_hops();
                let after = self.dht_delay(who, u32::try_from(relay).unwrap_or(0), hops);
                let time = self.plan(after);
                let job = Job::Lookup {
                    who,
                    boot,
                    lookup,
                    places,
                    at,
                };
                self.queue.plan(time, job);
            }
            Effect::Topics { topics } => {
                self.member_mut(who).topics = topics;
                self.peers_see_change(who);
            }
            Effect::Expect { addresses } => self.expect(who, addresses),
            Effect::Follow { addresses } => self.follow_at_relay(who, addresses),
            Effect::FollowAt {
                node,
                reach: _,
                addresses,
                proofs,
            } => self.follow_at(who, node, Wish { addresses, proofs }),
            Effect::Serve { views } => self.serve(who, views),
            Effect::Work { place, .. } => self.tell(who, 500, Input::Worked { place, nonce: 0 }),
            Effect::DayWork { challenge, .. } => self.tell(who, 500, Input::DayWorked { challenge, nonce: 0 }),
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
            Effect::Keep { contacts } => self.keep_connections(who, &contacts),
            Effect::Halt => {
                self.die(who, Death::Killed, false);
                if self.healed {
                    // Whoever was on the way out as the world healed comes back as all do.
                    let at = self.plan(SECOND);
                    self.queue.plan(at, Job::Start(who));
                }
            }
        }
    }

    /// A lookup or request by an ordinary node, for the floor.
    fn looks_up(&mut self, who: Who) {
        if !self.is_relay(who) {
            self.measures.lookups += 1;
        }
        self.asks(who);
    }

    const fn asks(&mut self, who: Who) {
        if who >= self.relays
            && let Some(number) = &mut self.last_minute
        {
            *number += 1;
        }
    }

    /// A record leaves a node: it is checked, and its own copy is served from now on.
    fn leaves(&mut self, who: Who, record: &VerifiedRecord) {
        let now = self.now;
        let member = &mut self.members[who as usize];
        self.truth.published(member, record, now);
        let unix = member.clock(now).unix;
        member.shelf.put(record.clone(), unix);
        if !self.surrounded.is_empty() {
            self.owners.insert(record.place(), who);
        }
    }

    /// What people see is compared with what is so, at some pairs of a large world and all of a small one.
    fn sample(&mut self) {
        const PAIRS: usize = 4_000;
        // Who has just come is not expected to be seen at once, nor to see.
        const GRACE: u64 = 30 * SECOND;
        let now = self.now;
        let pairs: Vec<(Who, Who)> = self.truth.watched().collect();
        let step = (pairs.len() / PAIRS).max(1);
        let bin = self.measures.bin_of(now);
        for (owner, watcher) in pairs.into_iter().step_by(step) {
            let settled = |since: Option<u64>| since.is_some_and(|since| since + GRACE <= now);
            if !settled(self.truth.there_since(watcher)) || !self.truth.together(owner, watcher) {
                continue;
            }
            let open = self.truth.shows_open(watcher, owner);
            let agreement = &mut self.measures.agreement[bin];
            match self.truth.there_since(owner) {
                Some(since) if settled(Some(since)) && self.truth.says_open(owner) => {
                    agreement.there += 1;
                    agreement.falsely_offline += u64::from(!open);
                }
                None => {
                    agreement.gone += 1;
                    agreement.still_open += u64::from(open);
                }
                Some(_) => {}
            }
        }
        let every = self.measures.bin;
        self.count_pings(every);
        if now + every <= self.ends_at {
            self.queue.plan(now + every, Job::Sample);
        }
    }

    fn heal(&mut self) {
        let now = self.now;
        self.healed = true;
        self.surrounded.clear();
        self.flooded.clear();
        for who in 0..u32::try_from(self.members.len()).unwrap_or(u32::MAX) {
            self.latency.set_slow(who, 0);
            self.parts[who as usize] = 0;
            self.truth.parted(who, 0, now);
            let member = self.member_mut(who);
            member.mischief = None;
            member.wanted_up = true;
            if member.asleep_since.is_some() {
                self.wakes_up(who);
            }
            if self.member(who).node.is_none() {
                let after = self.life.below(10 * SECOND);
                self.queue.plan(now + after, Job::Start(who));
            }
        }
        self.scenario.faults = crate::scenario::Faults::default();
        self.queue.plan(self.ends_at.saturating_sub(MINUTE), Job::LastMinute);
    }
}
