//! One machine of the world: its address and line, its disk, and while it is up the node itself: driver, core and network. It is
//! put together as `porchlight run` does it, but for the local API: commands are given to the core directly.

use crate::disk::MemoryDisk;
use crate::geography::Access;
use crate::journal::Journal;
use crate::network::Network;
use crate::os;
use crate::trace::Trace;
use anyhow::{Context, Result};
use porchlight::clock::{TimeSource, millis};
use porchlight::config::Config;
use porchlight::driver::{Core, Driver};
use porchlight::{home, run};
use porchlight_net::{Net, NetEvent, NetStatus, Role, Wall};
use porchlight_proto::{Clock, Command, CommandError, Instant, Node, Reply, Write};
use porchlight_wire::ids::{Address, NodeAddress, NodeId, PrincipalId};
use porchlight_wire::keys::RootKey;
use porchlight_wire::network::{Network as NamedNetwork, SIMULATED_NETWORK};
use porchlight_wire::time::UnixMillis;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Events of the network between it and the driver: as many as the driver takes at once.
const EVENTS: usize = 64;

/// The port that every node listens on.
const PORT: u16 = 4110;

/// The clock of one machine: the world's, and how far it is off.
#[derive(Clone, Debug)]
struct Watch {
    off: Arc<AtomicI64>,
    booted: tokio::time::Instant,
}

impl Watch {
    fn unix(&self) -> UnixMillis {
        let right = i64::try_from((os::BEGINNING + os::elapsed()).as_millis()).unwrap_or(i64::MAX);
        let shown = right.saturating_add(self.off.load(Ordering::Relaxed));
        UnixMillis(u64::try_from(shown).unwrap_or(0))
    }
}

impl TimeSource for Watch {
    fn now(&self) -> Clock {
        Clock {
            instant: Instant(millis(self.booted.elapsed())),
            unix: self.unix(),
        }
    }

    async fn sleep_until(&self, at: Instant) {
        // One millisecond more, because both sides round down.
        tokio::time::sleep_until(self.booted + Duration::from_millis(at.0 + 1)).await;
    }
}

/// The node of a machine that is up.
#[derive(Debug)]
struct Running {
    core: Core,
    net: Net,
    driver: JoinHandle<Result<()>>,
    bridge: JoinHandle<()>,
}

/// What all machines of a world share.
#[derive(Clone, Debug)]
pub struct World {
    /// What connects them.
    pub network: Network,
    /// What happened.
    pub trace: Trace,
    /// What their cores told.
    pub journal: Journal,
}

/// A machine.
#[derive(Debug)]
pub struct Machine {
    world: World,
    number: u32,
    access: Access,
    ip: Ipv4Addr,
    config: Config,
    secret: [u8; 32],
    node: NodeId,
    principal: PrincipalId,
    disk: MemoryDisk,
    off: Arc<AtomicI64>,
    random: ChaCha20Rng,
    running: Option<Running>,
}

impl Machine {
    /// A machine with a new home, switched off.
    ///
    /// # Errors
    ///
    /// If it cannot be put together, which is a fault of the simulation.
    pub fn new(world: &World, number: u16, role: Role, access: Access, seed: u64) -> Result<Self> {
        let mut random = ChaCha20Rng::seed_from_u64(seed);
        let now = UnixMillis(millis(os::BEGINNING + os::elapsed()));
        let (root, next) = (RootKey::random(&mut random), RootKey::random(&mut random));
        let identity = home::new_identity(&root, &next, now, &mut random);
        let principal = identity.principal;
        let mut secret = [0; 32];
        random.fill_bytes(&mut secret);
        let node = porchlight_net::node_id(&secret).context("a transport key cannot be used")?;
        let ip = access.ip(number);
        let mut config = Config {
            name: Some(format!("n{number}")),
            network: NamedNetwork::named(SIMULATED_NETWORK)?,
            role,
            listen: vec![Address::parse(&format!("/ip4/{ip}/tcp/{PORT}"))?],
            ..Config::default()
        };
        // The local network is one that no simulation has.
        config.net.mdns = false;
        let number = u32::from(number);
        let (trace, journal) = (world.trace.clone(), world.journal.clone());
        let witness = move |writes: &[Write]| {
            for write in writes {
                trace.note(number, format_args!("writes {write:?}"));
                if let Write::PutEvent(row) = write {
                    journal.note(number, row.event.clone());
                }
            }
        };
        world.network.add(number, ip, access);
        Ok(Self {
            world: world.clone(),
            number,
            access,
            ip,
            config,
            secret,
            node,
            principal,
            disk: MemoryDisk::new(identity, Arc::new(witness)),
            off: Arc::new(AtomicI64::new(0)),
            random,
            running: None,
        })
    }

    /// What it is called in the trace.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Where it is attached.
    #[must_use]
    pub const fn access(&self) -> &Access {
        &self.access
    }

    /// Its address on the network.
    #[must_use]
    pub const fn ip(&self) -> Ipv4Addr {
        self.ip
    }

    /// Whom it speaks for.
    #[must_use]
    pub const fn principal(&self) -> PrincipalId {
        self.principal
    }

    /// What it does for others.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.config.role
    }

    /// Its disk.
    #[must_use]
    pub const fn disk(&self) -> &MemoryDisk {
        &self.disk
    }

    /// Where its node can be dialled by those whom its router lets in.
    ///
    /// # Errors
    ///
    /// Never: the address is one.
    pub fn address(&self) -> Result<NodeAddress> {
        Ok(NodeAddress {
            node: self.node,
            address: Address::parse(&format!("/ip4/{}/tcp/{PORT}", self.ip))?,
        })
    }

    /// From its next start on its entry points are these.
    pub fn set_seed_peers(&mut self, seed_peers: Vec<NodeAddress>) {
        self.config.seed_peers = seed_peers;
    }

    /// What the owner configured. Holds from the next start on.
    pub const fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    /// Its wall clock is so many milliseconds ahead of the world's, or behind it.
    pub fn set_clock(&self, off: i64) {
        self.off.store(off, Ordering::Relaxed);
    }

    /// Whether its node is up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| !running.driver.is_finished())
    }

    /// Starts the node on what is on the disk.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub async fn start(&mut self) -> Result<()> {
        self.disk.refuse(false);
        if self.is_up() {
            return Ok(());
        }
        self.end();
        self.world.trace.note(self.number, format_args!("starts"));
        let watch = Watch {
            off: Arc::clone(&self.off),
            booted: tokio::time::Instant::now(),
        };
        let links = self.world.network.boot(self.ip);
        let mut net_config = run::net_config(&self.config, &self.secret);
        let wall = watch.clone();
        net_config.wall = Wall::Other(Arc::new(move || wall.unix()));
        let (net, events) = Net::start_over(net_config, links).await?;
        let (told, net_events) = mpsc::channel(EVENTS);
        let bridge = tokio::spawn(bridge(self.world.trace.clone(), self.number, events, told));
        let mut seed = [0; 32];
        self.random.fill_bytes(&mut seed);
        let snapshot = self.disk.look(|content| content.snapshot.clone());
        let core_config = run::core_config(&self.config, self.node);
        let core = Node::restore(snapshot, core_config, seed, watch.now());
        let (driver, core) = Driver::new(core, watch, self.disk.clone(), net.clone(), net_events);
        let (network, ip) = (self.world.network.clone(), self.ip);
        let driver = tokio::spawn(async move {
            let ended = driver.run().await;
            // With it ends the process.
            network.program_died(ip);
            ended
        });
        self.running = Some(Running {
            core,
            net,
            driver,
            bridge,
        });
        Ok(())
    }

    /// Tells the node to say goodbye, and waits until it is gone.
    ///
    /// # Errors
    ///
    /// If it ended by a fault of its own.
    pub async fn stop(&mut self) -> Result<()> {
        if !self.is_up() {
            return Ok(());
        }
        let Some(running) = self.running.take() else {
            return Ok(());
        };
        self.world.trace.note(self.number, format_args!("stops"));
        // One that is stopping already is as good.
        let _ = running.core.command(Command::Stop, None).await;
        let ended = running.driver.await.context("the driver panicked")?;
        running.bridge.abort();
        ended
    }

    /// Kills the process: the system closes its connections, and what was committed stays.
    pub fn kill(&mut self) {
        if !self.is_up() {
            return;
        }
        self.world.trace.note(self.number, format_args!("is killed"));
        self.end();
        self.world.network.program_died(self.ip);
    }

    /// From now on its disk takes no more writes: the node ends with the next one. The next start finds it mended.
    pub fn fill_disk(&mut self) {
        self.world.trace.note(self.number, format_args!("has a full disk"));
        self.disk.refuse(true);
    }

    /// Cuts the power: nobody hears anything, and what was not promised to outlive it is gone.
    pub fn cut_power(&mut self) {
        self.world.trace.note(self.number, format_args!("loses power"));
        self.world.network.power_lost(self.ip);
        self.end();
        self.disk.lose_power();
    }

    fn end(&mut self) {
        if let Some(running) = self.running.take() {
            running.driver.abort();
            running.bridge.abort();
        }
    }

    /// A handle to the core, if it is up.
    #[must_use]
    pub fn core(&self) -> Option<Caller> {
        let running = self.running.as_ref()?;
        Some(Caller {
            trace: self.world.trace.clone(),
            number: self.number,
            core: running.core.clone(),
        })
    }

    /// A handle to the network, if it is up.
    #[must_use]
    pub fn net(&self) -> Option<Net> {
        Some(self.running.as_ref()?.net.clone())
    }

    /// How the network is, if it is up.
    pub async fn net_status(&self) -> Option<NetStatus> {
        self.running.as_ref()?.net.status().await.ok()
    }
}

/// A local client of one node.
#[derive(Clone, Debug)]
pub struct Caller {
    trace: Trace,
    number: u32,
    core: Core,
}

impl Caller {
    /// Has a command done.
    ///
    /// # Errors
    ///
    /// The core's own refusal; or that the node has ended.
    pub async fn call(&self, command: Command) -> Result<Reply, CommandError> {
        let what = format!("{command:?}");
        let reply = self.core.command(command, None).await;
        self.trace
            .note(self.number, format_args!("is asked {what} and answers {reply:?}"));
        reply
    }

    /// Which machine's.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }
}

/// Hands events of the network to the driver, and notes them.
async fn bridge(trace: Trace, number: u32, mut events: mpsc::Receiver<NetEvent>, told: mpsc::Sender<NetEvent>) {
    while let Some(event) = events.recv().await {
        trace.note(number, format_args!("is told {event:?}"));
        if told.send(event).await.is_err() {
            return;
        }
    }
}
