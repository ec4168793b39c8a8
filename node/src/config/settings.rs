//! All settings, each with its value as text and where it comes from.

use super::Config;
use crate::convert::rpc::role;
use serde_json::Value;
use std::time::Duration;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The file, at this line.
    File(Option<usize>),
    /// An environment variable.
    Variable(&'static str),
    /// A flag of the command line.
    Flag(&'static str),
}

/// What can be set.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The key, with its section.
    pub key: &'static str,
    /// The flag and the environment variable that come before the file, if there are some.
    pub override_by: Option<Override>,
    /// Its value, as TOML and JSON both have it; none if it is not set.
    pub value: fn(&Config) -> Value,
}

/// What comes before the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Override {
    /// How clap names it.
    pub id: &'static str,
    /// The flag.
    pub flag: &'static str,
    /// The environment variable.
    pub variable: &'static str,
}

const fn set(key: &'static str, value: fn(&Config) -> Value) -> Setting {
    Setting {
        key,
        override_by: None,
        value,
    }
}

const fn with(
    key: &'static str,
    id: &'static str,
    flag: &'static str,
    variable: &'static str,
    value: fn(&Config) -> Value,
) -> Setting {
    Setting {
        key,
        override_by: Some(Override { id, flag, variable }),
        value,
    }
}

/// All settings, in the order of the file.
pub const SETTINGS: &[Setting] = &[
    set("name", |config| Value::from(config.name.clone())),
    set("network", |config| Value::from(config.network.name())),
    with("role", "role", "--role", "PORCHLIGHT_ROLE", |config| {
        Value::from(role(config.role))
    }),
    with("listen", "listen", "--listen", "PORCHLIGHT_LISTEN", |config| {
        texts(&config.listen)
    }),
    set("external", |config| texts(&config.external)),
    with(
        "seed_peers",
        "seed_peer",
        "--seed-peer",
        "PORCHLIGHT_SEED_PEERS",
        |config| texts(&config.seed_peers),
    ),
    set("presence.enabled", |config| Value::from(config.presence.enabled)),
    set("presence.lease", |config| time(config.presence.lease)),
    set("presence.dht_interval", |config| time(config.presence.dht_interval)),
    set("presence.follow", |config| Value::from(config.presence.follow)),
    set("messages.enabled", |config| Value::from(config.messages.enabled)),
    set("messages.read_receipts", |config| {
        Value::from(config.messages.read_receipts)
    }),
    set("card.addresses", |config| Value::from(config.card.addresses)),
    set("mailboxes.relays", |config| Value::from(config.mailboxes.relays)),
    set("mailboxes.keep", |config| Value::from(config.mailboxes.keep)),
    set("mailboxes.nodes", |config| {
        config.mailboxes.nodes.iter().map(ToString::to_string).collect()
    }),
    set("mailboxes.strangers", |config| Value::from(config.mailboxes.strangers)),
    set("mailboxes.room_mib", |config| Value::from(config.mailboxes.room_mib)),
    with("net.mdns", "no_mdns", "--no-mdns", "PORCHLIGHT_NO_MDNS", |config| {
        Value::from(config.net.mdns)
    }),
    set("net.ping", |config| time(config.net.ping)),
    set("net.live_after_ping", |config| time(config.net.live_after_ping)),
    set("net.heartbeat", |config| time(config.net.heartbeat)),
    set("store.durability", |config| {
        Value::from(match config.store.durability {
            porchlight_store::DurabilitySetting::Full => "full",
            porchlight_store::DurabilitySetting::Normal => "normal",
        })
    }),
    with("log.filter", "log", "--log", "PORCHLIGHT_LOG", |config| {
        Value::from(config.log.filter.clone())
    }),
    set("log.format", |config| Value::from(config.log.format.clone())),
];

/// The setting of this key.
#[must_use]
pub fn setting(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

fn texts<T: ToString>(values: &[T]) -> Value {
    values.iter().map(ToString::to_string).collect()
}

fn time(duration: Duration) -> Value {
    Value::from(humantime::format_duration(duration).to_string())
}
