//! Configuration: a commented TOML file in the home, which the environment and flags override.

pub mod advice;
mod file;
pub mod settings;

use file::Lines;
use porchlight_net::{Role, inspect};
use porchlight_store::DurabilitySetting;
use porchlight_wire::ids::{Address, NodeAddress, NodeId};
use porchlight_wire::network::{DEFAULT_NETWORK, Network};
use serde::{Deserialize, Deserializer};
use settings::{Origin, setting};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// The port that `init --role relay` writes: one of a relay's own, so that its address stays the same.
const RELAY_PORT: u16 = 4110;

/// The file's name in the home.
pub const FILE: &str = "config.toml";

/// Mailboxes of one node at most: senders use no more than two.
const MAILBOX_RELAYS: usize = 2;

/// The largest room for others' envelopes, in mebibytes: a tebibyte.
const MOST_ROOM: u64 = 1 << 20;

/// Something in a configuration that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it was said.
    pub origin: Origin,
    /// The key, unless the file is no TOML.
    pub key: Option<String>,
    /// What was expected, and what stands there.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.origin {
            Origin::File(Some(line)) => write!(f, "line {line}: ")?,
            Origin::Variable(name) | Origin::Flag(name) => write!(f, "{name}: ")?,
            Origin::File(None) | Origin::Default => {}
        }
        match &self.key {
            Some(key) => write!(f, "{key}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug)]
pub struct ConfigError {
    /// The file.
    pub path: PathBuf,
    /// All that is wrong.
    pub problems: Vec<Problem>,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the configuration cannot be used: {}", self.path.display())?;
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// What the owner configured.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What new contacts are told as our name.
    pub name: Option<String>,
    /// The network.
    #[serde(deserialize_with = "network")]
    pub network: Network,
    /// `ordinary` or `relay`.
    #[serde(deserialize_with = "role")]
    pub role: Role,
    /// Where to listen.
    pub listen: Vec<Address>,
    /// Addresses to announce besides those listened on.
    pub external: Vec<Address>,
    /// Entry points.
    #[serde(deserialize_with = "seed_peers")]
    pub seed_peers: Vec<NodeAddress>,
    /// How presence is published and received.
    pub presence: Presence,
    /// Instant messages.
    pub messages: Messages,
    /// What stands in our card.
    pub card: Card,
    /// Mailboxes: this node's at relays, and, in the relay role, those it keeps for others.
    pub mailboxes: Mailboxes,
    /// How the network is found, and its paces.
    pub net: Net,
    /// How the store keeps its promises.
    pub store: Store,
    /// Logging, to standard error.
    pub log: Log,
}

/// `[presence]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Presence {
    /// Whether this node tells our presence, and watches that of others.
    pub enabled: bool,
    /// How long a record holds.
    #[serde(deserialize_with = "duration")]
    pub lease: Duration,
    /// The least time between two puts of one view into the DHT.
    #[serde(deserialize_with = "duration")]
    pub dht_interval: Duration,
    /// Whether presence is followed at a relay instead of by being in topics.
    pub follow: bool,
}

/// `[messages]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Messages {
    /// Whether this node sends and takes them.
    pub enabled: bool,
    /// Whether senders are told when their messages were read.
    pub read_receipts: bool,
}

/// `[card]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Card {
    /// Whether our addresses stand in our card.
    pub addresses: bool,
}

/// `[mailboxes]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mailboxes {
    /// At how many relays this node has one.
    pub relays: usize,
    /// In the relay role: whether it keeps mailboxes for others.
    pub keep: bool,
    /// In the relay role: nodes that may have large ones.
    #[serde(deserialize_with = "nodes")]
    pub nodes: BTreeSet<NodeId>,
    /// In the relay role: whether others may have small ones.
    pub strangers: bool,
    /// In the relay role: mebibytes of envelopes in all.
    pub room_mib: u64,
}

/// `[net]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Net {
    /// Whether this node is announced on the local network, and others are looked for there.
    pub mdns: bool,
    /// Between two pings on a connection.
    #[serde(deserialize_with = "duration")]
    pub ping: Duration,
    /// How long an answered ping makes its node a live source.
    #[serde(deserialize_with = "duration")]
    pub live_after_ping: Duration,
    /// Gossipsub's heartbeat.
    #[serde(deserialize_with = "duration")]
    pub heartbeat: Duration,
}

/// `[store]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// `full` or `normal`.
    #[serde(deserialize_with = "durability")]
    pub durability: DurabilitySetting,
}

/// `[log]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// What to log, as tracing filters have it: `info`, `debug`, `porchlight_net=trace`.
    pub filter: String,
    /// `text` or `json`.
    pub format: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: None,
            network: default_network(),
            role: Role::Ordinary,
            listen: Vec::new(),
            external: Vec::new(),
            seed_peers: Vec::new(),
            presence: Presence::default(),
            messages: Messages::default(),
            card: Card::default(),
            mailboxes: Mailboxes::default(),
            net: Net::default(),
            store: Store::default(),
            log: Log::default(),
        }
    }
}

impl Default for Presence {
    fn default() -> Self {
        Self {
            enabled: true,
            lease: Duration::from_secs(90),
            dht_interval: Duration::from_secs(30),
            follow: false,
        }
    }
}

impl Default for Messages {
    fn default() -> Self {
        Self {
            enabled: true,
            read_receipts: true,
        }
    }
}

impl Default for Card {
    fn default() -> Self {
        Self { addresses: true }
    }
}

impl Default for Mailboxes {
    fn default() -> Self {
        Self {
            relays: MAILBOX_RELAYS,
            keep: true,
            nodes: BTreeSet::new(),
            strangers: true,
            room_mib: 256,
        }
    }
}

impl Default for Net {
    fn default() -> Self {
        Self {
            mdns: true,
            ping: Duration::from_secs(10),
            live_after_ping: Duration::from_secs(30),
            heartbeat: Duration::from_secs(1),
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            durability: DurabilitySetting::Full,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            filter: "warn,libp2p_kad=error,libp2p_gossipsub=error,porchlight=info".to_owned(),
            format: "text".to_owned(),
        }
    }
}

/// What flags and environment say; none: the file decides.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--role`
    pub role: Option<String>,
    /// `--listen`
    pub listen: Vec<String>,
    /// `--seed-peer`
    pub seed_peers: Vec<String>,
    /// `--no-mdns`
    pub no_mdns: bool,
    /// `--log`
    pub log: Option<String>,
    /// Which of them, as [`settings::Override::id`] names them, the environment says.
    pub by_environment: BTreeSet<String>,
}

impl Overrides {
    /// Whether there is one of this id.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        match id {
            "role" => self.role.is_some(),
            "listen" => !self.listen.is_empty(),
            "seed_peer" => !self.seed_peers.is_empty(),
            "no_mdns" => self.no_mdns,
            "log" => self.log.is_some(),
            _ => false,
        }
    }
}

/// A configuration with all that it was made of.
#[derive(Clone, Debug)]
pub struct Layers {
    /// The file.
    pub path: PathBuf,
    /// What is in force.
    pub config: Config,
    /// What the file says by itself.
    pub in_file: Config,
    lines: Lines,
    overrides: Overrides,
}

impl Layers {
    /// Reads the file of a home, and puts what flags and environment say over it.
    ///
    /// # Errors
    ///
    /// Says of everything that cannot be used where it stands, what was expected and what was found.
    pub fn read(home: &Path, overrides: &Overrides) -> Result<Self, ConfigError> {
        let path = home.join(FILE);
        let failed = |problems| ConfigError {
            path: path.clone(),
            problems,
        };
        let text = std::fs::read_to_string(&path).map_err(|error| {
            failed(vec![Problem {
                origin: Origin::File(None),
                key: None,
                message: format!("it cannot be read: {error}"),
            }])
        })?;
        let (in_file, lines) = file::parse(&text).map_err(|faults| {
            let problems = faults.into_iter().map(|fault| Problem {
                origin: Origin::File(fault.line),
                key: fault.key,
                message: fault.message,
            });
            failed(problems.collect())
        })?;
        let mut layers = Self {
            path: path.clone(),
            config: in_file.clone(),
            in_file,
            lines,
            overrides: overrides.clone(),
        };
        let mut wrong = layers.config.apply(overrides);
        wrong.extend(layers.config.check());
        if wrong.is_empty() {
            return Ok(layers);
        }
        let problems = wrong.into_iter().map(|(key, message)| Problem {
            origin: layers.origin(key),
            key: Some(key.to_owned()),
            message,
        });
        Err(failed(problems.collect()))
    }

    /// Where a key's value comes from.
    #[must_use]
    pub fn origin(&self, key: &str) -> Origin {
        if let Some(by) = setting(key).and_then(|setting| setting.override_by)
            && self.overrides.has(by.id)
        {
            return if self.overrides.by_environment.contains(by.id) {
                Origin::Variable(by.variable)
            } else {
                Origin::Flag(by.flag)
            };
        }
        self.line(key).map_or(Origin::Default, |line| Origin::File(Some(line)))
    }

    /// Where the file says something of a key.
    #[must_use]
    pub fn line(&self, key: &str) -> Option<usize> {
        self.lines.get(key).copied()
    }
}

impl Config {
    /// Puts what flags and environment say over what the file says. Gives what cannot be used of it, by key.
    fn apply(&mut self, overrides: &Overrides) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        if let Some(text) = &overrides.role {
            match parse_role(text) {
                Ok(role) => self.role = role,
                Err(error) => wrong.push(("role", error)),
            }
        }
        if !overrides.listen.is_empty() {
            match overrides.listen.iter().map(|text| Address::parse(text)).collect() {
                Ok(listen) => self.listen = listen,
                Err(error) => wrong.push(("listen", error.to_string())),
            }
        }
        if !overrides.seed_peers.is_empty() {
            match overrides.seed_peers.iter().map(|text| text.parse()).collect() {
                Ok(seed_peers) => self.seed_peers = seed_peers,
                Err(error) => wrong.push(("seed_peers", format!("{error}"))),
            }
        }
        if overrides.no_mdns {
            self.net.mdns = false;
        }
        if let Some(filter) = &overrides.log {
            self.log.filter.clone_from(filter);
        }
        wrong
    }

    /// What cannot be used, by key.
    fn check(&self) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        let mut within = |key: &'static str, value: Duration, least: Duration, most: Duration| {
            if !(least..=most).contains(&value) {
                let message = format!(
                    "expected {} to {}, got {}",
                    humantime::format_duration(least),
                    humantime::format_duration(most),
                    humantime::format_duration(value)
                );
                wrong.push((key, message));
            }
        };
        let (seconds, milliseconds) = (Duration::from_secs, Duration::from_millis);
        let (presence, net) = (&self.presence, &self.net);
        within("presence.lease", presence.lease, seconds(2), seconds(3_600));
        within(
            "presence.dht_interval",
            presence.dht_interval,
            milliseconds(500),
            seconds(3_600),
        );
        within("net.ping", net.ping, milliseconds(100), seconds(60));
        within("net.live_after_ping", net.live_after_ping, net.ping, seconds(300));
        within("net.heartbeat", net.heartbeat, milliseconds(100), seconds(10));
        if let Some(name) = &self.name
            && let Err(error) = porchlight_wire::name::check_name(name)
        {
            wrong.push(("name", error.to_string()));
        }
        let listen = self.listen.iter().map(|address| ("listen", address));
        let external = self.external.iter().map(|address| ("external", address));
        let seed_peers = self.seed_peers.iter().map(|seed| ("seed_peers", &seed.address));
        for (key, address) in listen.chain(external).chain(seed_peers) {
            if lacks_port(address) {
                wrong.push((
                    key,
                    format!("{address} names no port; expected something like {address}/tcp/4110 or {address}/udp/4110/quic-v1"),
                ));
            } else if inspect(address).is_none() {
                wrong.push((
                    key,
                    format!(
                        "{address} is nothing this program can listen on or dial; expected something like \
                         /ip4/0.0.0.0/tcp/4110, /dns4/relay.example.org/tcp/4110 or /ip4/0.0.0.0/udp/4110/quic-v1"
                    ),
                ));
            }
        }
        let mailboxes = &self.mailboxes;
        if mailboxes.relays > MAILBOX_RELAYS {
            let message = format!("expected 0 to {MAILBOX_RELAYS}, got {}", mailboxes.relays);
            wrong.push(("mailboxes.relays", message));
        }
        if !(1..=MOST_ROOM).contains(&mailboxes.room_mib) {
            let message = format!("expected 1 to {MOST_ROOM}, got {}", mailboxes.room_mib);
            wrong.push(("mailboxes.room_mib", message));
        }
        if let Err(error) = EnvFilter::try_new(&self.log.filter) {
            wrong.push(("log.filter", format!("'{}' is no filter: {error}", self.log.filter)));
        }
        if !matches!(self.log.format.as_str(), "text" | "json") {
            wrong.push((
                "log.format",
                format!("expected 'text' or 'json', got '{}'", self.log.format),
            ));
        }
        wrong
    }
}

/// Whether an address is a host alone.
fn lacks_port(address: &Address) -> bool {
    let mut parts = address.as_str().split('/').skip(1);
    let host = parts
        .next()
        .is_some_and(|kind| matches!(kind, "ip4" | "ip6" | "dns" | "dns4" | "dns6"));
    host && parts.next().is_some() && parts.next().is_none()
}

/// Where the home is unless told otherwise.
#[must_use]
pub fn default_home() -> PathBuf {
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(PathBuf::from(home).join(".local/share"))
    });
    data.unwrap_or_else(|| PathBuf::from(".")).join("porchlight")
}

/// The file that `init` writes: every key with its default and what it means.
#[must_use]
pub fn template(name: Option<&str>, network: &Network, role: Role) -> String {
    let (role, port) = match role {
        Role::Ordinary => ("#role = \"ordinary\"", 0),
        Role::Relay => ("role = \"relay\"", RELAY_PORT),
    };
    let name = match name {
        Some(name) => format!("name = {}", toml::Value::from(name)),
        None => "#name = \"alice\"".to_owned(),
    };
    format!(
        r#"# Porchlight's configuration. Lines with a '#' before a key show its default. Environment variables (PORCHLIGHT_ROLE,
# PORCHLIGHT_LISTEN, PORCHLIGHT_SEED_PEERS, PORCHLIGHT_NO_MDNS, PORCHLIGHT_LOG) come before what stands here, and flags before both.

# What new contacts are told as your name; it becomes their petname for you if it is free.
{name}

# The network to be in. All nodes of a network agree on its name.
network = "{network}"

# "ordinary", or "relay": serve others by keeping and passing on what they publish.
{role}

# Where to listen, as multiaddrs. Port 0 takes any free one; a relay should have a fixed one.
listen = ["/ip4/0.0.0.0/tcp/{port}", "/ip4/0.0.0.0/udp/{port}/quic-v1"]

# Addresses to announce besides those listened on, such as a relay's public one.
#external = ["/dns4/relay.example.org/tcp/4110"]

# Entry points: relays that are always there. `porchlight status` on the relay shows its addresses.
#seed_peers = ["/dns4/relay.example.org/tcp/4110/p2p/12D3KooW..."]

[presence]
# Whether this node tells your presence and watches that of others. Messages work without it.
#enabled = true
# How long a record of yours holds if nothing new comes: after a crash you are seen as closed within it.
#lease = "90s"
# The least time between two puts of one view into the DHT.
#dht_interval = "30s"
# Get presence by following at one relay instead of taking part in gossip: cheaper, but that relay learns which
# addresses you follow.
#follow = false

[messages]
# Whether this node sends and takes instant messages. Presence works without them.
#enabled = true
# Whether senders are told when you mark their messages as read. That a message has arrived they are always told.
#read_receipts = true

[card]
# Whether contacts learn this node's addresses, so that they can reach it directly. Without them what is for this node
# comes by its mailboxes at relays only. Views say the same unless `porchlight view set` says otherwise.
#addresses = true

[mailboxes]
# At how many relays this node has a mailbox, where letters wait for it while it is away.
#relays = 2
# In the relay role: whether to keep mailboxes for others; for which nodes large ones, whose owners may also let their
# friends in; whether for others small ones; and how much in all.
#keep = true
#nodes = []
#strangers = true
#room_mib = 256

[net]
# Announce this node on the local network, and look for others there: contacts on one network segment find each other
# without relay or seed peer. Whoever is on it can see that this node runs, and its id.
#mdns = true
# Between two pings on a connection, and how long an answered one makes its node a live source.
#ping = "10s"
#live_after_ping = "30s"
#heartbeat = "1s"

[store]
# "full": what was promised outlives a power cut. "normal": it outlives a crash of the program, and is faster.
#durability = "full"

[log]
# To standard error. A filter such as "info", "debug" or "warn,porchlight_net=trace"; "text" or "json".
#filter = "warn,libp2p_kad=error,libp2p_gossipsub=error,porchlight=info"
#format = "text"
"#,
        network = network.name()
    )
}

#[expect(clippy::expect_used, reason = "the default network's name is one")]
fn default_network() -> Network {
    Network::named(DEFAULT_NETWORK).expect("the default network has a name")
}

fn network<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Network, D::Error> {
    let name = String::deserialize(deserializer)?;
    Network::named(&name).map_err(serde::de::Error::custom)
}

fn role<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Role, D::Error> {
    parse_role(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

fn parse_role(text: &str) -> Result<Role, String> {
    match text {
        "ordinary" => Ok(Role::Ordinary),
        "relay" => Ok(Role::Relay),
        other => Err(format!("expected 'ordinary' or 'relay', got '{other}'")),
    }
}

fn nodes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<NodeId>, D::Error> {
    Vec::<String>::deserialize(deserializer)?
        .iter()
        .map(|text| text.parse().map_err(serde::de::Error::custom))
        .collect()
}

fn seed_peers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<NodeAddress>, D::Error> {
    Vec::<String>::deserialize(deserializer)?
        .iter()
        .map(|text| text.parse().map_err(serde::de::Error::custom))
        .collect()
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text)
        .map_err(|_| serde::de::Error::custom(format!("expected a duration such as \"90s\" or \"2h\", got \"{text}\"")))
}

fn durability<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DurabilitySetting, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "full" => Ok(DurabilitySetting::Full),
        "normal" => Ok(DurabilitySetting::Normal),
        other => Err(serde::de::Error::custom(format!(
            "expected 'full' or 'normal', got '{other}'"
        ))),
    }
}

#[cfg(test)]
mod tests;
