//! What can be used and will not work well.

use super::Config;
use porchlight_net::{Inspected, Role, Scope, inspect};
use porchlight_wire::ids::Address;
use std::time::Duration;

/// A warning, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// For programs: stays the same.
    pub kind: &'static str,
    /// The key it is about.
    pub key: &'static str,
    /// What will not work well.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// Looks a configuration over.
#[must_use]
pub fn advise(config: &Config) -> Vec<Advice> {
    [
        listening(config),
        fixed_port(config),
        scope(config),
        external(config),
        seed_peers(config),
        seed_peers_here(config),
        card(config),
        lease_and_ping(config),
        live_and_ping(config),
        dht_interval(config),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn advice(kind: &'static str, key: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Advice {
    Advice {
        kind,
        key,
        message: message.into(),
        hint: hint.into(),
    }
}

fn listening(config: &Config) -> Option<Advice> {
    config.listen.is_empty().then(|| {
        advice(
            "listens_nowhere",
            "listen",
            "this node listens nowhere: nobody can dial it, and whoever is to use its invites has to be dialled by it",
            "add an address, such as \"/ip4/0.0.0.0/tcp/0\"",
        )
    })
}

fn fixed_port(config: &Config) -> Option<Advice> {
    if config.role != Role::Relay {
        return None;
    }
    let floating = |address: &&Address| inspect(address).is_some_and(|found| found.port == Some(0));
    let address = config.listen.iter().find(floating)?;
    Some(advice(
        "relay_without_fixed_port",
        "listen",
        format!("{address} takes another port at each start: those who have this relay as a seed peer lose it"),
        "give it a fixed port, such as \"/ip4/0.0.0.0/tcp/4110\"",
    ))
}

/// Where this node can be found in the widest sense.
fn scope(config: &Config) -> Option<Advice> {
    let all: Vec<Inspected> = config
        .listen
        .iter()
        .chain(&config.external)
        .filter_map(inspect)
        .collect();
    if all.is_empty() {
        return None;
    }
    if all.iter().all(|found| found.scope == Scope::Loopback) {
        return Some(advice(
            "loopback_only",
            "listen",
            "all addresses are loopback ones: only programs on this machine can dial this node",
            "listen on \"/ip4/0.0.0.0/tcp/0\", or on an address of this machine that others reach",
        ));
    }
    let near = |found: &Inspected| matches!(found.scope, Scope::Loopback | Scope::Private);
    (config.role == Role::Relay && all.iter().all(near)).then(|| {
        advice(
            "relay_private_only",
            "external",
            "all addresses of this relay are of a private network: only those who are on it can use the relay",
            "name the address that others reach it at in external, if there is one",
        )
    })
}

fn external(config: &Config) -> Option<Advice> {
    let unreachable = |address: &&Address| {
        inspect(address)
            .is_some_and(|found| found.port == Some(0) || matches!(found.scope, Scope::Every | Scope::Loopback))
    };
    let address = config.external.iter().find(unreachable)?;
    Some(advice(
        "external_unreachable",
        "external",
        format!("{address} is announced, and nobody else can dial it"),
        "name the address and port at which others reach this node, or take it out",
    ))
}

fn seed_peers(config: &Config) -> Option<Advice> {
    if config.role == Role::Relay || !config.seed_peers.is_empty() {
        return None;
    }
    let found = if config.net.mdns {
        "this node meets only those on its local network, and those it can dial by their invites"
    } else {
        "this node meets only those it can dial by their invites"
    };
    Some(advice(
        "no_seed_peers",
        "seed_peers",
        format!("no seed peer is named: {found}"),
        "name a relay; `porchlight status` on the relay shows its addresses",
    ))
}

fn seed_peers_here(config: &Config) -> Option<Advice> {
    let near = |address: &Address| inspect(address).is_some_and(|found| found.scope == Scope::Loopback);
    let seed = config.seed_peers.iter().find(|seed| near(&seed.address))?;
    Some(advice(
        "seed_peer_on_loopback",
        "seed_peers",
        format!("{seed} is an address of this machine itself"),
        "if the relay runs elsewhere, take an address of it that this machine can reach",
    ))
}

fn card(config: &Config) -> Option<Advice> {
    (!config.card.addresses).then(|| {
        advice(
            "card_without_addresses",
            "card.addresses",
            "contacts are not told where this node is: what is for it comes by its mailboxes at relays only",
            "set it to true unless that is what you want",
        )
    })
}

fn lease_and_ping(config: &Config) -> Option<Advice> {
    let twice = config.net.ping.saturating_mul(2);
    (config.presence.lease < twice).then(|| {
        advice(
            "lease_shorter_than_two_pings",
            "presence.lease",
            format!(
                "the lease ({}) is shorter than twice net.ping ({}): a connection that broke is noticed only after your \
                 presence has lapsed",
                text(config.presence.lease),
                text(config.net.ping)
            ),
            format!("make it at least {}, or net.ping shorter", text(twice)),
        )
    })
}

fn live_and_ping(config: &Config) -> Option<Advice> {
    let twice = config.net.ping.saturating_mul(2);
    (config.net.live_after_ping < twice).then(|| {
        advice(
            "one_lost_ping_is_enough",
            "net.live_after_ping",
            format!(
                "it ({}) is shorter than twice net.ping ({}): one ping that is lost or late makes everybody unknown for a \
                 moment",
                text(config.net.live_after_ping),
                text(config.net.ping)
            ),
            format!("make it at least {}", text(twice)),
        )
    })
}

fn dht_interval(config: &Config) -> Option<Advice> {
    (config.presence.dht_interval >= config.presence.lease).then(|| {
        advice(
            "dht_slower_than_lease",
            "presence.dht_interval",
            format!(
                "what is in the DHT is put anew every {} at most, and holds for {}: whoever asks in between is told that you \
                 are not there",
                text(config.presence.dht_interval),
                text(config.presence.lease)
            ),
            "make it less than two thirds of presence.lease",
        )
    })
}

fn text(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<&'static str> {
        let config: Config = toml::from_str(text).unwrap();
        assert_eq!(config.check(), [], "{text}");
        advise(&config).into_iter().map(|advice| advice.kind).collect()
    }

    const SEED: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

    #[test]
    fn each_thing_that_will_not_work_well_is_found_by_itself() {
        let seed = format!("seed_peers = [\"/ip4/203.0.113.9/tcp/4110/p2p/{SEED}\"]\n");
        let listen = "listen = [\"/ip4/0.0.0.0/tcp/4110\"]\n";
        let good = format!("{listen}{seed}");
        assert_eq!(kinds(&good), [] as [&str; 0]);
        for (text, expected) in [
            (seed.clone(), "listens_nowhere"),
            (listen.to_owned(), "no_seed_peers"),
            (
                "listen = [\"/ip4/0.0.0.0/tcp/4110\", \"/ip4/0.0.0.0/udp/0/quic-v1\"]\nrole = \"relay\"\n".to_owned(),
                "relay_without_fixed_port",
            ),
            (
                format!("listen = [\"/ip4/127.0.0.1/tcp/0\", \"/ip6/::1/tcp/0\"]\n{seed}"),
                "loopback_only",
            ),
            (
                "listen = [\"/ip4/192.168.1.7/tcp/4110\"]\nrole = \"relay\"\n".to_owned(),
                "relay_private_only",
            ),
            (
                format!("external = [\"/ip4/203.0.113.7/tcp/0\"]\n{good}"),
                "external_unreachable",
            ),
            (
                format!("external = [\"/ip4/0.0.0.0/tcp/9\"]\n{good}"),
                "external_unreachable",
            ),
            (
                format!("seed_peers = [\"/ip4/127.0.0.1/tcp/4110/p2p/{SEED}\"]\n{listen}"),
                "seed_peer_on_loopback",
            ),
            (
                format!("{good}card = {{ addresses = false }}\n"),
                "card_without_addresses",
            ),
            (
                format!("{good}presence = {{ lease = \"15s\", dht_interval = \"5s\" }}\n"),
                "lease_shorter_than_two_pings",
            ),
            (
                format!("{good}net = {{ live_after_ping = \"15s\" }}\n"),
                "one_lost_ping_is_enough",
            ),
            (
                format!("{good}presence = {{ dht_interval = \"90s\" }}\n"),
                "dht_slower_than_lease",
            ),
        ] {
            assert_eq!(kinds(&text), [expected], "{text}");
        }
    }

    #[test]
    fn what_reaches_further_by_another_address_is_fine() {
        let relay = "role = \"relay\"\nlisten = [\"/ip4/192.168.1.7/tcp/4110\"]\n";
        assert_eq!(
            kinds(&format!("{relay}external = [\"/dns4/relay.example.org/tcp/4110\"]\n")),
            [] as [&str; 0]
        );
        let near = kinds(&format!(
            "listen = [\"/ip4/127.0.0.1/tcp/1\", \"/ip4/192.168.1.7/tcp/1\"]\nseed_peers = [\"/dns4/a.example/tcp/1/p2p/{SEED}\"]"
        ));
        assert_eq!(near, [] as [&str; 0]);
    }

    #[test]
    fn the_usual_configuration_lacks_nothing_but_a_seed_peer() {
        let network = porchlight_wire::network::Network::named("home").unwrap();
        assert_eq!(
            kinds(&super::super::template(None, &network, Role::Ordinary)),
            ["no_seed_peers"]
        );
    }
}
