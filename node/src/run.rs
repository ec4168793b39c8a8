//! `porchlight run`: puts a node together from its home, and keeps it up until it is told to stop.

use crate::clock::{RealTime, TimeSource};
use crate::config::{Config, Layers};
use crate::driver::{Core, Driver};
use crate::handler::{About, Api, Does};
use crate::health;
use crate::home::{self, Home};
use crate::passphrase::Source;
use anyhow::{Context, Result};
use porchlight_net::{Net, NetConfig, NetStatus, Role, Timing};
use porchlight_proto::relay::Mailkeeping;
use porchlight_proto::{Command, Node};
use porchlight_rpc::Server;
use porchlight_wire::ids::NodeId;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;

/// Between two looks at whether another address has come: they come within a millisecond of each other.
const SETTLING: Duration = Duration::from_millis(50);

/// Looks at most, so that a machine whose addresses come and go starts as well.
const SETTLING_LOOKS: u32 = 10;

/// Opens a home for its node. Before the runtime starts, because it may ask for a passphrase, and stretches it.
///
/// # Errors
///
/// Says what is in the way, and what to do.
pub fn open(home: &Path, config: &Config, passphrase: &Source) -> Result<Home> {
    start_logging(config)?;
    home::open(home, config.store.durability, passphrase)
}

/// Runs the node of a home until it is told to stop.
///
/// # Errors
///
/// Says what is in the way, and what to do.
pub async fn run(home: &Path, layers: Layers, home_open: Home) -> Result<()> {
    let config = layers.config.clone();
    let opened = home_open.opened;
    let server = Server::bind(&home::socket(home))?;
    let time = RealTime::start();
    let now = time.now();
    let (net, net_events) = Net::start(net_config(&config, &opened.transport)).await?;
    let node = porchlight_net::node_id(&opened.transport).context("the transport key cannot be used")?;

    let identity = &opened.snapshot.identity;
    let about = About {
        home: home.to_owned(),
        network: config.network.name().to_owned(),
        role: config.role,
        name: config.name.clone(),
        principal: identity.principal,
        device: identity.device.id().to_string(),
        node,
        seeds: config.seed_peers.len(),
        does: Does {
            presence: config.presence.enabled,
            messages: config.messages.enabled,
        },
        layers,
        started: now.unix,
    };
    let core_config = core_config(&config, node);
    let store = opened.store.clone();
    let core = Node::restore(opened.snapshot, core_config, home::os_seed()?, now);
    let (driver, handle) = Driver::new(core, time, opened.store, net.clone(), net_events);
    let api = Api::new(about.clone(), handle.clone(), net.clone(), store);
    greet(&about, &net, home).await?;

    let (up, down) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(Arc::clone(&api), async {
        // Nothing is ever sent: it comes true when the driver has ended.
        let _ = down.await;
    }));
    let watch = tokio::spawn(health::watch(Arc::clone(&api), handle.clone(), config.net.ping));
    tokio::spawn(stop_on_signal(handle));
    let ended = driver.run().await;
    watch.abort();
    drop(up);
    // Waiting makes sure that calls were answered, and the socket is gone, before the process is.
    let _ = serving.await;
    ended
}

/// What the core is told of the configuration, in the node of this transport key.
#[must_use]
pub fn core_config(config: &Config, node: NodeId) -> porchlight_proto::Config {
    porchlight_proto::Config {
        network: config.network.clone(),
        node,
        name: config.name.clone(),
        lease: crate::clock::millis(config.presence.lease),
        dht_interval: crate::clock::millis(config.presence.dht_interval),
        external: config.external.clone(),
        card_addresses: config.card.addresses,
        presence: config.presence.enabled,
        messages: config.messages.enabled,
        read_receipts: config.messages.read_receipts,
        follow: config.presence.follow,
        seed_peers: config.seed_peers.clone(),
        // A relay is there: what is for it needs no place to wait.
        mailboxes: match config.role {
            Role::Ordinary => config.mailboxes.relays,
            Role::Relay => 0,
        },
        mailkeeping: mailkeeping(config),
    }
}

/// What this node keeps for others, if it does.
fn mailkeeping(config: &Config) -> Option<Mailkeeping> {
    let mailboxes = &config.mailboxes;
    (config.role == Role::Relay && mailboxes.keep).then(|| Mailkeeping {
        nodes: mailboxes.nodes.clone(),
        strangers: mailboxes.strangers,
        room: mailboxes.room_mib << 20,
    })
}

/// What the network is told of the configuration.
#[must_use]
pub fn net_config(config: &Config, transport: &[u8; 32]) -> NetConfig {
    let mut net = NetConfig::new(*transport, config.network.clone(), config.role);
    net.listen.clone_from(&config.listen);
    net.external.clone_from(&config.external);
    net.seed_peers.clone_from(&config.seed_peers);
    net.mdns = config.net.mdns;
    net.timing = Timing {
        ping: config.net.ping,
        live_after_ping: config.net.live_after_ping,
        heartbeat: config.net.heartbeat,
        ..Timing::usual()
    };
    net
}

fn start_logging(config: &Config) -> Result<()> {
    let filter = EnvFilter::try_new(&config.log.filter)
        .with_context(|| format!("log.filter: '{}' is no filter", config.log.filter))?;
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colour)
        .with_writer(std::io::stderr);
    // A second start in one process, as in tests, keeps the first one's.
    let _ = if config.log.format == "json" {
        log.json().try_init()
    } else {
        log.try_init()
    };
    Ok(())
}

/// A few lines for whoever started it.
async fn greet(about: &About, net: &Net, home: &Path) -> Result<()> {
    let status = settled(net).await?;
    let mut out = std::io::stdout().lock();
    let role = match about.role {
        Role::Ordinary => "node",
        Role::Relay => "relay",
    };
    writeln!(out, "porchlight {role} in network '{}'", about.network)?;
    writeln!(out, "  principal  {}", about.principal)?;
    for address in &status.listening {
        writeln!(out, "  address    {address}")?;
    }
    writeln!(out, "  socket     {}", home::socket(home).display())?;
    if about.seeds == 0 && about.role == Role::Ordinary {
        writeln!(
            out,
            "  this network only: no seed peer is configured. Only those on the local network, or who can dial this node, find\n  \
             it. For all others add a relay to seed_peers in config.toml, or start with --seed-peer."
        )?;
    }
    writeln!(
        out,
        "ready; stop with ctrl-c or: porchlight --home {} stop",
        home.display()
    )?;
    out.flush()?;
    Ok(())
}

/// How the network is once all addresses are known: one that stands for every interface becomes one after the other.
async fn settled(net: &Net) -> Result<NetStatus> {
    let mut status = net.status().await?;
    for _ in 0..SETTLING_LOOKS {
        tokio::time::sleep(SETTLING).await;
        let now = net.status().await?;
        if now.listening.len() == status.listening.len() {
            return Ok(now);
        }
        status = now;
    }
    Ok(status)
}

/// The first signal says goodbye, the second one ends at once.
async fn stop_on_signal(core: Core) {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tokio::spawn(async move {
        // If it is stopping already, so much the better.
        let _ = core.command(Command::Stop, None).await;
    });
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::warn!("stopped at once, without a goodbye");
    std::process::exit(1);
}
