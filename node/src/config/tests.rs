use super::settings::SETTINGS;
use super::*;

fn read_with(text: &str, overrides: &Overrides) -> Result<Layers, ConfigError> {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join(FILE), text).unwrap();
    Layers::read(home.path(), overrides)
}

fn read(text: &str) -> Result<Layers, ConfigError> {
    read_with(text, &Overrides::default())
}

/// The template with every key set to what it says is the default.
fn uncommented() -> String {
    let network = Network::named("home").unwrap();
    let peer = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
    template(None, &network, Role::Ordinary)
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if key.contains(" = ") && !key.starts_with(' ') => key.replace("12D3KooW...", peer),
            _ => line.to_owned(),
        })
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn what_init_writes_can_be_read() {
    let network = Network::named("home").unwrap();
    let config = read(&template(Some("alice \"a\""), &network, Role::Ordinary))
        .unwrap()
        .config;
    assert_eq!(config.name.as_deref(), Some("alice \"a\""));
    assert_eq!(config.network, network);
    assert_eq!(config.presence.lease, Duration::from_secs(90));
    assert!(read(&uncommented()).is_ok(), "{}", read(&uncommented()).unwrap_err());
}

#[test]
fn every_setting_of_the_file_is_listed_with_its_default() {
    let layers = read(&uncommented()).unwrap();
    let listed: BTreeSet<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
    assert_eq!(listed.len(), SETTINGS.len());
    let sections: BTreeSet<&str> = listed.iter().filter_map(|key| Some(key.split_once('.')?.0)).collect();
    let written: BTreeSet<&str> = layers
        .lines
        .keys()
        .map(String::as_str)
        .filter(|key| !sections.contains(key))
        .collect();
    assert_eq!(listed, written);
    for setting in SETTINGS {
        let (written, default) = ((setting.value)(&layers.config), (setting.value)(&Config::default()));
        // Of these the file gives an example, or more than nothing.
        if !["name", "network", "listen", "external", "seed_peers"].contains(&setting.key) {
            assert_eq!(written, default, "{}", setting.key);
        }
    }
}

#[test]
fn what_is_wrong_is_named_with_its_line_and_key() {
    for (text, line, key, expected) in [
        ("lisen = []", 1, Some("lisen"), "`listen`"),
        ("\n[nat]\nping = 1", 3, Some("nat.ping"), "`net`"),
        ("role = \"server\"", 1, Some("role"), "'ordinary' or 'relay'"),
        ("[presence]\nlease = \"soon\"", 2, Some("presence.lease"), "duration"),
        ("[presence]\n\nlease = \"1s\"", 3, Some("presence.lease"), "2s to 1h"),
        (
            "seed_peers = [\"/ip4/127.0.0.1/tcp/1\"]",
            1,
            Some("seed_peers"),
            "/p2p/",
        ),
        (
            "\nlisten = [\n\"/ip4/1.2.3/tcp/1\"]",
            2,
            Some("listen"),
            "/ip4/1.2.3/tcp/1",
        ),
        ("network = \"My Net\"", 1, Some("network"), "network name"),
        ("[log]\nfilter = \"a=b=c\"", 2, Some("log.filter"), "no filter"),
        ("[card]\naddresses = \"yes\"", 2, Some("card.addresses"), "boolean"),
        ("\n\nname = ", 3, None, ""),
        ("name = \"a\"\nname = \"b\"", 2, None, "duplicate"),
    ] {
        let error = read(text).unwrap_err();
        let [problem] = error.problems.as_slice() else {
            panic!("{text}: {error}");
        };
        assert_eq!(problem.origin, Origin::File(Some(line)), "{text}");
        assert_eq!(problem.key.as_deref(), key, "{text}");
        assert!(problem.message.contains(expected), "{text}: {error}");
        assert!(error.to_string().contains(FILE) && error.to_string().contains(&format!("line {line}: ")));
    }
}

#[test]
fn everything_that_is_wrong_is_named_at_once() {
    let error = read("role = \"server\"\nlisen = []\n[net]\nping = 3\nheartbeat = \"1s\"\n").unwrap_err();
    let keys: Vec<_> = error.problems.iter().map(|problem| problem.key.as_deref()).collect();
    assert_eq!(keys, [Some("role"), Some("lisen"), Some("net.ping")]);
    let error = read("[presence]\nlease = \"1s\"\n[net]\nping = \"2h\"\n").unwrap_err();
    assert_eq!(
        error.problems.len(),
        3,
        "the lease, the ping, and what has to be longer than it: {error}"
    );
}

#[test]
fn flags_and_environment_come_before_the_file() {
    let overrides = Overrides {
        role: Some("ordinary".to_owned()),
        listen: vec!["/ip4/127.0.0.1/tcp/2".to_owned()],
        log: Some("debug".to_owned()),
        by_environment: BTreeSet::from(["role".to_owned()]),
        ..Overrides::default()
    };
    let text = "role = \"relay\"\nlisten = [\"/ip4/0.0.0.0/tcp/1\"]";
    let layers = read_with(text, &overrides).unwrap();
    assert_eq!(layers.config.log.filter, "debug");
    assert_eq!(layers.config.role, Role::Ordinary);
    assert_eq!(layers.config.listen.first().unwrap().as_str(), "/ip4/127.0.0.1/tcp/2");
    assert_eq!(layers.in_file.role, Role::Relay);
    assert_eq!(layers.origin("role"), Origin::Variable("PORCHLIGHT_ROLE"));
    assert_eq!(layers.origin("listen"), Origin::Flag("--listen"));
    assert_eq!(layers.origin("log.filter"), Origin::Flag("--log"));
    assert_eq!(layers.line("role"), Some(1));
    assert_eq!(layers.origin("presence.lease"), Origin::Default);
    let file_only = read(text).unwrap();
    assert_eq!(file_only.origin("listen"), Origin::File(Some(2)));

    let wrong = Overrides {
        role: Some("server".to_owned()),
        seed_peers: vec!["/ip4/127.0.0.1/tcp/1".to_owned()],
        by_environment: BTreeSet::from(["seed_peer".to_owned()]),
        ..Overrides::default()
    };
    let error = read_with(text, &wrong).unwrap_err().to_string();
    assert!(error.contains("--role: role: expected"), "{error}");
    assert!(error.contains("PORCHLIGHT_SEED_PEERS: seed_peers: "), "{error}");
}

#[test]
fn what_init_writes_for_a_relay_is_one_with_a_fixed_port() {
    let network = Network::named("home").unwrap();
    let config = read(&template(None, &network, Role::Relay)).unwrap().config;
    assert_eq!(config.role, Role::Relay);
    let listen: Vec<&str> = config.listen.iter().map(Address::as_str).collect();
    assert_eq!(listen, ["/ip4/0.0.0.0/tcp/4110", "/ip4/0.0.0.0/udp/4110/quic-v1"]);
    assert!(
        advice::advise(&config)
            .iter()
            .all(|advice| advice.kind != "relay_without_fixed_port")
    );
}

#[test]
fn an_address_without_a_port_is_told_what_it_lacks() {
    for address in ["/ip4/203.0.113.7", "/dns4/relay.example.org"] {
        let error = read(&format!("external = [\"{address}\"]")).unwrap_err().to_string();
        assert!(
            error.contains("names no port") && error.contains(&format!("{address}/tcp/4110")),
            "{error}"
        );
    }
}
