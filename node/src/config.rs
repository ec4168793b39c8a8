//! Configuration: a commented TOML file in the home, which the environment and flags override.

use porchlight_net::Role;
use porchlight_store::DurabilitySetting;
use porchlight_wire::ids::{Address, NodeAddress};
use porchlight_wire::network::{DEFAULT_NETWORK, Network};
use serde::{Deserialize, Deserializer};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file's name in the home.
pub const FILE: &str = "config.toml";

/// A configuration that cannot be used.
#[derive(Debug)]
pub struct ConfigError {
    /// Which file or variable.
    pub place: String,
    /// What is wrong, with line and key where known.
    pub reason: String,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the configuration cannot be used: {}: {}", self.place, self.reason)
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
    /// What stands in our card.
    pub card: Card,
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
    /// How long a record holds.
    #[serde(deserialize_with = "duration")]
    pub lease: Duration,
    /// The least time between two puts of one view into the DHT.
    #[serde(deserialize_with = "duration")]
    pub dht_interval: Duration,
    /// Whether presence is followed at a relay instead of by being in topics.
    pub follow: bool,
}

/// `[card]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Card {
    /// Whether our addresses stand in our card.
    pub addresses: bool,
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
            card: Card::default(),
            net: Net::default(),
            store: Store::default(),
            log: Log::default(),
        }
    }
}

impl Default for Presence {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(90),
            dht_interval: Duration::from_secs(30),
            follow: false,
        }
    }
}

impl Default for Card {
    fn default() -> Self {
        Self { addresses: true }
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
            filter: "warn,libp2p_kad=error,porchlight=info".to_owned(),
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
}

impl Config {
    /// Reads the file of a home, and puts what flags and environment say over it.
    ///
    /// # Errors
    ///
    /// Says which file, line and key, what was expected and what stands there.
    pub fn read(home: &Path, overrides: &Overrides) -> Result<Self, ConfigError> {
        let path = home.join(FILE);
        let place = path.display().to_string();
        let text = std::fs::read_to_string(&path).map_err(|error| ConfigError {
            place: place.clone(),
            reason: format!("it cannot be read: {error}"),
        })?;
        let mut config: Self = toml::from_str(&text).map_err(|error| ConfigError {
            place: place.clone(),
            reason: error.to_string().trim_end().to_owned(),
        })?;
        config.apply(overrides)?;
        config.check().map_err(|reason| ConfigError { place, reason })?;
        Ok(config)
    }

    fn apply(&mut self, overrides: &Overrides) -> Result<(), ConfigError> {
        let flag = |name: &str| {
            let place = format!("--{name}");
            move |reason: String| ConfigError {
                place: place.clone(),
                reason,
            }
        };
        if let Some(text) = &overrides.role {
            self.role = parse_role(text).map_err(flag("role"))?;
        }
        if !overrides.listen.is_empty() {
            self.listen = overrides
                .listen
                .iter()
                .map(|text| Address::parse(text).map_err(|error| flag("listen")(error.to_string())))
                .collect::<Result<_, _>>()?;
        }
        if !overrides.seed_peers.is_empty() {
            self.seed_peers = overrides
                .seed_peers
                .iter()
                .map(|text| text.parse().map_err(|error| flag("seed-peer")(format!("{error}"))))
                .collect::<Result<_, _>>()?;
        }
        if overrides.no_mdns {
            self.net.mdns = false;
        }
        if let Some(filter) = &overrides.log {
            self.log.filter.clone_from(filter);
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let within = |key: &str, value: Duration, least: Duration, most: Duration| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(format!(
                    "{key}: expected {} to {}, got {}",
                    humantime::format_duration(least),
                    humantime::format_duration(most),
                    humantime::format_duration(value)
                ))
            }
        };
        let seconds = Duration::from_secs;
        within("presence.lease", self.presence.lease, seconds(2), seconds(3_600))?;
        within(
            "presence.dht_interval",
            self.presence.dht_interval,
            Duration::from_millis(500),
            seconds(3_600),
        )?;
        within("net.ping", self.net.ping, Duration::from_millis(100), seconds(60))?;
        within(
            "net.live_after_ping",
            self.net.live_after_ping,
            self.net.ping,
            seconds(300),
        )?;
        within(
            "net.heartbeat",
            self.net.heartbeat,
            Duration::from_millis(100),
            seconds(10),
        )?;
        if let Some(name) = &self.name {
            porchlight_wire::name::check_name(name).map_err(|error| format!("name: {error}"))?;
        }
        if !matches!(self.log.format.as_str(), "text" | "json") {
            return Err(format!(
                "log.format: expected 'text' or 'json', got '{}'",
                self.log.format
            ));
        }
        Ok(())
    }
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
pub fn template(name: Option<&str>, network: &Network) -> String {
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
#role = "ordinary"

# Where to listen, as multiaddrs. Port 0 takes any free one; a relay should have a fixed one.
listen = ["/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"]

# Addresses to announce besides those listened on, such as a relay's public one.
#external = ["/dns4/relay.example.org/tcp/4110"]

# Entry points: relays that are always there. `porchlight status` on the relay shows its addresses.
#seed_peers = ["/dns4/relay.example.org/tcp/4110/p2p/12D3KooW..."]

[presence]
# How long a record of yours holds if nothing new comes: after a crash you are seen as closed within it.
#lease = "90s"
# The least time between two puts of one view into the DHT.
#dht_interval = "30s"
# Get presence by following at one relay instead of taking part in gossip: cheaper, but that relay learns which
# addresses you follow.
#follow = false

[card]
# Whether contacts learn this node's addresses, so that they can reach it directly. Without them nobody can deliver
# anything to this node, so nobody can use its invites.
#addresses = true

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
#filter = "warn,libp2p_kad=error,porchlight=info"
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
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(FILE), text).unwrap();
        Config::read(home.path(), &Overrides::default())
    }

    #[test]
    fn what_init_writes_can_be_read() {
        let network = Network::named("home").unwrap();
        let config = read(&template(Some("alice \"a\""), &network)).unwrap();
        assert_eq!(config.name.as_deref(), Some("alice \"a\""));
        assert_eq!(config.network, network);
        assert_eq!(config.presence.lease, Duration::from_secs(90));
        let all_keys = template(None, &network).replace("\n#name", "\nname");
        let uncommented: String = all_keys
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(key) if key.contains(" = ") && !key.starts_with(' ') && !key.contains("12D3KooW...") => key,
                _ => line,
            })
            .map(|line| format!("{line}\n"))
            .collect();
        assert!(read(&uncommented).is_ok(), "{:?}", read(&uncommented).unwrap_err());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, expected) in [
            ("lisen = []", "lisen"),
            ("role = \"server\"", "'ordinary' or 'relay'"),
            ("[presence]\nlease = \"soon\"", "duration"),
            ("[presence]\nlease = \"1s\"", "2s to 1h"),
            ("seed_peers = [\"/ip4/127.0.0.1/tcp/1\"]", "/p2p/"),
            ("network = \"My Net\"", "network name"),
            ("name = ", "line 1"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.reason.contains(expected), "{text}: {}", error.reason);
            assert!(error.place.ends_with(FILE));
        }
    }

    #[test]
    fn flags_come_before_the_file() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(
            home.path().join(FILE),
            "role = \"relay\"\nlisten = [\"/ip4/0.0.0.0/tcp/1\"]",
        )
        .unwrap();
        let overrides = Overrides {
            role: Some("ordinary".to_owned()),
            listen: vec!["/ip4/127.0.0.1/tcp/2".to_owned()],
            seed_peers: Vec::new(),
            no_mdns: false,
            log: Some("debug".to_owned()),
        };
        let config = Config::read(home.path(), &overrides).unwrap();
        assert_eq!(config.log.filter, "debug");
        assert_eq!(config.role, Role::Ordinary);
        assert_eq!(config.listen.first().unwrap().as_str(), "/ip4/127.0.0.1/tcp/2");
    }
}
