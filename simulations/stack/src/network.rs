//! The network under the nodes: machines by their IP address, connections between them, and what goes wrong. It decides when a
//! parcel arrives, or that it does not; `way` and `pipe` do the waiting.
//!
//! A connection is what TCP makes of packets: nothing is lost or overtaken in it, lost packets make it late, and a cut stalls it
//! until what was sent into it is sent again. Each machine's line is shared by all its connections.

use crate::geography::{Access, Nat};
use crate::pipe::Pipe;
use crate::trace::Trace;
use crate::way::{Parcel, Receiver, Way};
use porchlight_net::links::{Dialling, Incoming, Links, Listener};
use porchlight_wire::ids::Address;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

/// Connections that may wait to be accepted: a usual listener's backlog.
const BACKLOG: usize = 128;

/// When a lost packet is sent again for the first time; then after twice as long each time. As in TCP (RFC 6298) with the minimum
/// that systems use.
const RESEND: Duration = Duration::from_millis(200);

/// The same of the packet that opens a connection.
const RESEND_OPEN: Duration = Duration::from_secs(1);

/// How often that one is sent again. libp2p has given up long before.
const OPENS: u32 = 6;

/// The longest between two times.
const RESEND_MOST: Duration = Duration::from_secs(120);

/// After so long without an answer the sender's system gives a connection up.
const GIVEN_UP: Duration = Duration::from_secs(924);

/// How long a router lets those in to whom something was sent.
const PINHOLE: Duration = Duration::from_secs(60);

/// Bytes of one packet.
const PACKET: usize = 1_400;

/// Ports from here on are given to those who dial.
const EPHEMERAL: u16 = 40_000;

/// Names a cut, to end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CutId(u64);

/// What has crossed the links of a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes sent.
    pub sent: u64,
    /// Bytes received, or on their way.
    pub received: u64,
    /// Connections that it opened.
    pub opened: u64,
    /// Dials that were refused or came to nothing.
    pub failed: u64,
}

#[derive(Debug)]
struct Machine {
    number: u32,
    access: Access,
    /// Counts the starts of its system and program; links of an earlier one do nothing any more.
    boot: u64,
    up: bool,
    listening: BTreeMap<u16, mpsc::Sender<Incoming>>,
    next_port: u16,
    /// Until when its line is taken.
    line_up: Instant,
    line_down: Instant,
    /// Whom its router lets in, and since when.
    spoke_to: BTreeMap<Ipv4Addr, Instant>,
    traffic: Traffic,
}

/// Nothing passes from these to those.
#[derive(Debug)]
struct Cut {
    from: BTreeSet<Ipv4Addr>,
    to: BTreeSet<Ipv4Addr>,
}

#[derive(Debug)]
struct Inner {
    random: ChaCha20Rng,
    machines: BTreeMap<Ipv4Addr, Machine>,
    cuts: BTreeMap<CutId, Cut>,
    last_cut: u64,
    ways: Vec<Weak<Way>>,
    /// How many ways there were when those that are gone were last dropped.
    swept: usize,
}

impl Inner {
    fn is_cut(&self, from: Ipv4Addr, to: Ipv4Addr) -> bool {
        self.cuts
            .values()
            .any(|cut| cut.from.contains(&from) && cut.to.contains(&to))
    }

    fn is_up(&self, ip: Ipv4Addr) -> bool {
        self.machines.get(&ip).is_some_and(|machine| machine.up)
    }

    /// A number from 0 to 1.
    fn chance(&mut self) -> f64 {
        f64::from(self.random.next_u32()) / f64::from(u32::MAX)
    }

    /// How long it takes from one machine to the other without jitter and queues.
    fn takes(&mut self, from: Ipv4Addr, to: Ipv4Addr) -> Duration {
        let (Some(one), Some(other)) = (self.machines.get(&from), self.machines.get(&to)) else {
            return Duration::ZERO;
        };
        let between = one.access.region.way_to(other.access.region);
        let ends = one.access.delay + other.access.delay;
        // Two cities of a region are not one.
        let detour = 0.85 + 0.4 * self.chance();
        between.mul_f64(detour) + ends
    }

    /// When so many bytes arrive that are sent at `now`.
    fn arrival(&mut self, way: &Way, length: usize, now: Instant) -> Instant {
        let luck = self.chance();
        let jitter = self.jitter(way, now);
        let length_u64 = u64::try_from(length).unwrap_or(u64::MAX);
        let mut at = now;
        let mut lost = 0.0;
        if let Some(sender) = self.machines.get_mut(&way.from) {
            sender.traffic.sent += length_u64;
            sender.spoke_to.insert(way.to, now);
            sender.line_up = sender.line_up.max(now) + taking(length_u64, sender.access.up);
            at = sender.line_up;
            lost += f64::from(sender.access.lost_per_mille) / 1_000.0;
        }
        // Most are a little late, few are very late.
        at += way.takes + way.takes.mul_f64(0.02 + 0.05 * jitter * jitter * jitter);
        if let Some(receiver) = self.machines.get_mut(&way.to) {
            receiver.traffic.received += length_u64;
            receiver.line_down = receiver.line_down.max(at) + taking(length_u64, receiver.access.down);
            at = receiver.line_down;
            lost += f64::from(receiver.access.lost_per_mille) / 1_000.0;
        }
        let packets = u32::try_from(length.div_ceil(PACKET).max(1)).unwrap_or(u32::MAX);
        if lost > 0.0 && luck < 1.0 - (1.0 - lost).powf(f64::from(packets)) {
            at += RESEND.max(way.takes * 3);
        }
        at
    }

    /// How late what is sent now is, from 0 to 1.
    fn jitter(&mut self, way: &Way, now: Instant) -> f64 {
        let mut state = way.state();
        match state.sent {
            Some((at, jitter)) if at == now => jitter,
            Some(_) | None => {
                let jitter = self.chance();
                state.sent = Some((now, jitter));
                jitter
            }
        }
    }

    fn sweep(&mut self) {
        if self.ways.len() > 2 * self.swept + 64 {
            self.ways.retain(|way| way.strong_count() > 0);
            self.swept = self.ways.len();
        }
    }

    fn all_ways(&self) -> Vec<Arc<Way>> {
        self.ways.iter().filter_map(Weak::upgrade).collect()
    }
}

/// How long a line is taken by so many bytes.
fn taking(bytes: u64, per_second: u64) -> Duration {
    Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / per_second.max(1))
}

/// When something that was sent into a cut is sent again, for the first time after `now`.
fn sent_again(since: Instant, now: Instant) -> Instant {
    let (mut at, mut wait) = (since, RESEND);
    while at < now {
        at += wait;
        wait = (wait * 2).min(RESEND_MOST);
    }
    at
}

/// All of it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Network {
    inner: Arc<Mutex<Inner>>,
    trace: Trace,
}

impl Network {
    /// Nobody is there yet.
    #[must_use]
    pub fn new(seed: u64, trace: Trace) -> Self {
        Self {
            inner: Arc::new(Mutex::new(Inner {
                random: ChaCha20Rng::seed_from_u64(seed),
                machines: BTreeMap::new(),
                cuts: BTreeMap::new(),
                last_cut: 0,
                ways: Vec::new(),
                swept: 0,
            })),
            trace,
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A machine is there, switched off.
    pub fn add(&self, number: u32, ip: Ipv4Addr, access: Access) {
        let now = Instant::now();
        self.inner().machines.insert(
            ip,
            Machine {
                number,
                access,
                boot: 0,
                up: false,
                listening: BTreeMap::new(),
                next_port: EPHEMERAL,
                line_up: now,
                line_down: now,
                spoke_to: BTreeMap::new(),
                traffic: Traffic::default(),
            },
        );
    }

    /// The machine is up, with a new program. What is sent to connections of an earlier one is answered with a reset.
    pub fn boot(&self, ip: Ipv4Addr) -> Arc<dyn Links> {
        let mut inner = self.inner();
        let mut boot = 0;
        if let Some(machine) = inner.machines.get_mut(&ip) {
            machine.boot += 1;
            machine.up = true;
            boot = machine.boot;
        }
        let now = Instant::now();
        for way in inner.all_ways() {
            if way.to != ip || way.state().receiver != Receiver::Dark {
                continue;
            }
            let since = {
                let mut state = way.state();
                state.receiver = Receiver::Forgot;
                state.held.front().map(|(since, _)| *since)
            };
            if let (Some(since), Some(back)) = (since, way.back()) {
                let at = sent_again(since, now) + way.takes + back.takes;
                back.state().push(at, Parcel::Reset);
            }
        }
        Arc::new(Attached {
            network: self.clone(),
            ip,
            boot,
        })
    }

    /// The program ends without a word, and the system closes its connections for it.
    pub fn program_died(&self, ip: Ipv4Addr) {
        self.end(ip, true);
    }

    /// The machine is without power: nobody is told anything.
    pub fn power_lost(&self, ip: Ipv4Addr) {
        self.end(ip, false);
    }

    fn end(&self, ip: Ipv4Addr, tells: bool) {
        let mut inner = self.inner();
        if let Some(machine) = inner.machines.get_mut(&ip) {
            machine.boot += 1;
            machine.up = tells;
            machine.listening.clear();
            machine.spoke_to.clear();
        }
        let ways = inner.all_ways();
        drop(inner);
        for way in ways {
            if way.from == ip {
                let broken = way
                    .state()
                    .sender_broken
                    .replace(io::ErrorKind::ConnectionAborted)
                    .is_some();
                if tells && !broken {
                    self.send(&way, Parcel::Reset);
                }
                way.state().wake_writer();
            } else if way.to == ip {
                let mut state = way.state();
                state.receiver_broken = Some(io::ErrorKind::ConnectionAborted);
                state.receiver = if tells { Receiver::Gone } else { Receiver::Dark };
                state.coming.clear();
                state.wake_reader();
            }
        }
    }

    /// From now on nothing passes from these machines to those. What is sent waits until it is over.
    pub fn cut(&self, from: BTreeSet<Ipv4Addr>, to: BTreeSet<Ipv4Addr>) -> CutId {
        let mut inner = self.inner();
        inner.last_cut += 1;
        let id = CutId(inner.last_cut);
        inner.cuts.insert(id, Cut { from, to });
        id
    }

    /// A cut is over.
    pub fn heal(&self, cut: CutId) {
        let mut inner = self.inner();
        inner.cuts.remove(&cut);
        let now = Instant::now();
        for way in inner.all_ways() {
            if inner.is_cut(way.from, way.to) {
                continue;
            }
            let held = {
                let mut state = way.state();
                // Whoever has no power hears nothing of it.
                if state.receiver == Receiver::Dark {
                    continue;
                }
                std::mem::take(&mut state.held)
            };
            let Some((since, _)) = held.front() else { continue };
            let (since, mut at) = (*since, sent_again(*since, now));
            if now.duration_since(since) > GIVEN_UP {
                way.state().push(now, Parcel::Reset);
                continue;
            }
            for (_, parcel) in held {
                at = inner.arrival(&way, parcel.len(), at);
                way.state().push(at, parcel);
            }
        }
    }

    /// All connections between these two machines are reset, as by a router that has forgotten them.
    pub fn reset(&self, one: Ipv4Addr, other: Ipv4Addr) {
        let now = Instant::now();
        for way in self.inner().all_ways() {
            if (way.from, way.to) == (one, other) || (way.from, way.to) == (other, one) {
                way.state().push(now, Parcel::Reset);
            }
        }
    }

    /// What has crossed a machine's links.
    #[must_use]
    pub fn traffic(&self, ip: Ipv4Addr) -> Traffic {
        self.inner()
            .machines
            .get(&ip)
            .map_or_else(Traffic::default, |machine| machine.traffic)
    }

    /// Puts something on its way.
    pub(crate) fn send(&self, way: &Arc<Way>, parcel: Parcel) {
        let now = Instant::now();
        let mut inner = self.inner();
        self.witness(&inner, way, &parcel);
        let is_cut = inner.is_cut(way.from, way.to);
        let mut state = way.state();
        match state.receiver {
            Receiver::There => {}
            // Its system answers, and says no more than the other direction says already.
            Receiver::Gone => return,
            Receiver::Dark => {
                state.waiting += parcel.len();
                state.held.push_back((now, parcel));
                return;
            }
            Receiver::Forgot => {
                drop(state);
                if let Some(back) = way.back() {
                    back.state().push(now + way.takes + back.takes, Parcel::Reset);
                }
                return;
            }
        }
        state.waiting += parcel.len();
        if is_cut || !state.held.is_empty() {
            state.held.push_back((now, parcel));
            return;
        }
        drop(state);
        let at = inner.arrival(way, parcel.len(), now);
        way.state().push(at, parcel);
    }

    fn witness(&self, inner: &Inner, way: &Way, parcel: &Parcel) {
        let number = inner.machines.get(&way.from).map_or(u32::MAX, |machine| machine.number);
        match parcel {
            Parcel::Bytes(bytes) => {
                self.trace
                    .bytes(number, format_args!("sends {} to {}", bytes.len(), way.to), bytes)
            }
            Parcel::End => self.trace.note(number, format_args!("closes to {}", way.to)),
            Parcel::Reset => self.trace.note(number, format_args!("resets to {}", way.to)),
        }
    }
}

/// A machine's links, as its program sees them.
struct Attached {
    network: Network,
    ip: Ipv4Addr,
    boot: u64,
}

impl Links for Attached {
    fn listen(&self, at: &Address) -> io::Result<Listener> {
        let (ip, port) = parse(at).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let mut inner = self.network.inner();
        let machine = inner
            .machines
            .get_mut(&self.ip)
            .filter(|machine| machine.boot == self.boot && ip == self.ip)
            .ok_or(io::ErrorKind::AddrNotAvailable)?;
        let (sender, incoming) = mpsc::channel(BACKLOG);
        if machine.listening.get(&port).is_some_and(|other| !other.is_closed()) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        machine.listening.insert(port, sender);
        Ok(Listener {
            address: at.clone(),
            incoming,
        })
    }

    fn dial(&self, to: &Address) -> Dialling {
        let (network, from, boot) = (self.network.clone(), self.ip, self.boot);
        let target = parse(to);
        Box::pin(async move {
            let (to, port) = target.ok_or(io::ErrorKind::AddrNotAvailable)?;
            let dialled = network.dial(from, boot, to, port).await;
            if let Some(machine) = network.inner().machines.get_mut(&from) {
                match &dialled {
                    Ok(_) => machine.traffic.opened += 1,
                    Err(_) => machine.traffic.failed += 1,
                }
            }
            Ok(Box::new(dialled?) as _)
        })
    }
}

/// What became of the packet that opens a connection.
enum Opened {
    /// The other machine took it.
    Taken(Pipe),
    /// Nobody listens there.
    Refused,
    /// It did not arrive, or no answer can.
    Lost,
}

impl Network {
    async fn dial(&self, from: Ipv4Addr, boot: u64, to: Ipv4Addr, port: u16) -> io::Result<Pipe> {
        let takes = {
            let mut inner = self.inner();
            let machine = inner
                .machines
                .get_mut(&from)
                .filter(|machine| machine.boot == boot)
                .ok_or(io::ErrorKind::NetworkDown)?;
            machine.spoke_to.insert(to, Instant::now());
            self.trace.note(machine.number, format_args!("dials {to}:{port}"));
            inner.takes(from, to)
        };
        let mut wait = RESEND_OPEN;
        for _ in 0..OPENS {
            sleep(takes).await;
            match self.open(from, boot, to, port, takes) {
                Opened::Taken(pipe) => {
                    sleep(takes).await;
                    return Ok(pipe);
                }
                Opened::Refused => {
                    sleep(takes).await;
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                Opened::Lost => {
                    sleep(wait).await;
                    wait *= 2;
                }
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    /// The packet that opens a connection arrives, or not.
    fn open(&self, from: Ipv4Addr, boot: u64, to: Ipv4Addr, port: u16, takes: Duration) -> Opened {
        let mut inner = self.inner();
        let now = Instant::now();
        if inner.is_cut(from, to) || inner.is_cut(to, from) || !inner.is_up(to) {
            return Opened::Lost;
        }
        let source = {
            let Some(dialler) = inner.machines.get_mut(&from).filter(|dialler| dialler.boot == boot) else {
                return Opened::Lost;
            };
            let port = dialler.next_port;
            dialler.next_port = port.checked_add(1).unwrap_or(EPHEMERAL);
            port
        };
        let Some(target) = inner.machines.get_mut(&to) else {
            return Opened::Lost;
        };
        let lets_in = match target.access.nat {
            Nat::Open => true,
            Nat::Restricted => target
                .spoke_to
                .get(&from)
                .is_some_and(|at| now.duration_since(*at) <= PINHOLE),
            Nat::Closed => false,
        };
        if !lets_in {
            return Opened::Lost;
        }
        let number = target.number;
        let Some(listener) = target.listening.get(&port).cloned() else {
            return Opened::Refused;
        };
        let Ok(source) = Address::parse(&format!("/ip4/{from}/tcp/{source}")) else {
            return Opened::Lost;
        };
        let (there, back) = Way::pair(from, to, takes);
        inner.ways.push(Arc::downgrade(&there));
        inner.ways.push(Arc::downgrade(&back));
        inner.sweep();
        drop(inner);
        let theirs = Pipe::new(self.clone(), Arc::clone(&back), Arc::clone(&there));
        let ours = Pipe::new(self.clone(), there, back);
        let incoming = Incoming {
            from: source,
            pipe: Box::new(theirs),
        };
        match listener.try_send(incoming) {
            Ok(()) => {
                self.trace.note(number, format_args!("is dialled by {from}"));
                Opened::Taken(ours)
            }
            Err(mpsc::error::TrySendError::Full(_)) => Opened::Lost,
            Err(mpsc::error::TrySendError::Closed(_)) => Opened::Refused,
        }
    }
}

/// The machine and port of an address `/ip4/…/tcp/…`.
fn parse(address: &Address) -> Option<(Ipv4Addr, u16)> {
    let rest = address.as_str().strip_prefix("/ip4/")?;
    let (ip, port) = rest.split_once("/tcp/")?;
    Some((ip.parse().ok()?, port.parse().ok()?))
}
