//! What the command line says when something is in the way, and that it says it well.

use super::town::{PROGRAM, alice_and_bob, join, porchlight, stage, with_relays};
use porchlight::demo::stage::PATIENCE;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

#[tokio::test]
async fn init_makes_a_home_for_its_owner_only_and_says_what_to_do_next() {
    let stage = stage();
    let made = porchlight(&stage, "alice", &["init", "--name", "alice"]).await;
    assert_eq!(made.code, 0, "{made:?}");
    assert!(
        made.stdout.contains("next:") && made.stdout.contains(" run"),
        "{made:?}"
    );
    let mode = |path: std::path::PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(stage.home("alice")), 0o700);
    assert_eq!(mode(stage.home("alice").join("key")), 0o600);
    porchlight(&stage, "alice", &["init"])
        .await
        .failed(8, &["there is a home", "hint: "]);
    porchlight(&stage, "eve", &["init", "--name", "two\nlines"])
        .await
        .failed(2, &["--name"]);
    porchlight(&stage, "eve", &["init", "--network", "Not A Network"])
        .await
        .failed(2, &["a-z"]);
}

#[tokio::test]
async fn without_a_node_or_a_home_it_says_how_to_get_one() {
    let stage = stage();
    porchlight(&stage, "alice", &["status"])
        .await
        .failed(3, &["hint: ", "init"]);
    porchlight(&stage, "alice", &["run"])
        .await
        .failed(5, &["there is no home", "init"]);
    stage.make_home("alice").unwrap();
    for command in [
        vec!["status"],
        vec!["who"],
        vec!["stop"],
        vec!["invite", "new"],
        vec!["presence", "set", "open"],
        vec!["events"],
        vec!["rpc", "node.info"],
    ] {
        porchlight(&stage, "alice", &command)
            .await
            .failed(3, &["hint: start it with", " run"]);
    }
    let as_json = porchlight(&stage, "alice", &["status", "--json"]).await;
    assert_eq!(as_json.code, 3);
    let error: serde_json::Value = serde_json::from_str(&as_json.stderr).unwrap();
    assert_eq!(error["error"]["kind"], "not_running");
}

#[tokio::test]
async fn a_second_run_on_one_home_is_refused_and_the_first_goes_on() {
    let mut stage = stage();
    stage.start("alice").await.unwrap();
    porchlight(&stage, "alice", &["run"])
        .await
        .failed(8, &["already running", "hint: ", "stop"]);
    assert_eq!(porchlight(&stage, "alice", &["status"]).await.code, 0);
}

#[tokio::test]
async fn a_socket_path_in_use_is_refused_and_a_left_over_one_is_replaced() {
    let mut stage = stage();
    stage.make_home("alice").unwrap();
    let socket = stage.home("alice").join("rpc.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    porchlight(&stage, "alice", &["run"])
        .await
        .failed(1, &["rpc.sock", "another --home"]);
    drop(listener);
    // Its file is still there, but nobody listens.
    stage.start("alice").await.unwrap();
    stage.kill("alice").await.unwrap();
    fs::remove_file(&socket).unwrap();
    fs::write(&socket, "a letter").unwrap();
    porchlight(&stage, "alice", &["run"])
        .await
        .failed(1, &["no socket", "move it away"]);
    assert_eq!(fs::read_to_string(&socket).unwrap(), "a letter");
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_named_with_its_line() {
    let stage = stage();
    stage.make_home("alice").unwrap();
    let file = stage.home("alice").join("config.toml");
    let good = fs::read_to_string(&file).unwrap();
    for (text, expected) in [
        ("lisen = []", "lisen"),
        ("[presence]\nlease = \"soon\"", "\"soon\""),
        ("name = ", "line 1"),
        ("seed_peers = [\"/ip4/127.0.0.1/tcp/1\"]", "/p2p/"),
        ("[log]\nseed_peers = []", "line 2: log.seed_peers: "),
        ("[log]\nseed_peers = []", "seed_peers stands above all sections"),
    ] {
        fs::write(&file, text).unwrap();
        porchlight(&stage, "alice", &["run"])
            .await
            .failed(2, &["config.toml", expected, "hint: "]);
    }
    fs::write(&file, [0xff, 0xfe]).unwrap();
    porchlight(&stage, "alice", &["run"]).await.failed(2, &["config.toml"]);
    fs::write(&file, good).unwrap();
    porchlight(&stage, "alice", &["run", "--role", "server"])
        .await
        .failed(2, &["--role", "'relay'"]);
    porchlight(&stage, "alice", &["run", "--listen", "localhost:80"])
        .await
        .failed(2, &["--listen"]);
    porchlight(&stage, "alice", &["run", "--seed-peer", "/ip4/127.0.0.1/tcp/1"])
        .await
        .failed(2, &["--seed-peer", "/p2p/"]);
}

#[tokio::test]
async fn a_home_whose_key_or_database_is_broken_is_refused_and_left_alone() {
    let stage = stage();
    stage.make_home("alice").unwrap();
    stage.make_home("bob").unwrap();
    let key = stage.home("alice").join("key");
    let own = fs::read(&key).unwrap();
    fs::write(&key, fs::read(stage.home("bob").join("key")).unwrap()).unwrap();
    porchlight(&stage, "alice", &["run"]).await.failed(1, &["key"]);
    fs::write(&key, own).unwrap();
    let database = stage.home("alice").join("porchlight.db");
    fs::write(
        &database,
        "this is no database, whatever its name says, and it is long enough to be one",
    )
    .unwrap();
    porchlight(&stage, "alice", &["run"])
        .await
        .failed(1, &["porchlight.db"]);
}

#[tokio::test]
async fn without_a_seed_peer_that_answers_the_node_says_so_and_goes_on() {
    let mut relays = with_relays().await;
    let mut alice = join(&mut relays, "alice").await;
    let invite = alice.invite().await.unwrap();
    let address = relays.client("relay-1").await.unwrap();
    drop(address);
    relays.stop("alice").await.unwrap();
    for relay in ["relay-1", "relay-2"] {
        relays.kill(relay).await.unwrap();
    }
    // Bob is told of the same relays, of which none answers any more.
    relays.start("bob").await.unwrap();
    let status = porchlight(&relays, "bob", &["status"]).await;
    assert!(status.stdout.contains("no relay is connected"), "{status:?}");
    porchlight(&relays, "bob", &["add", &invite])
        .await
        .failed(6, &["nobody could be reached", "hint: "]);
    assert_eq!(
        porchlight(&relays, "bob", &["contacts", "--json"]).await.json()["contacts"],
        serde_json::json!([])
    );
    // And when a relay comes back, it works without more ado.
    relays.start_relays().await.unwrap();
    relays.connected_to_relays("bob").await.unwrap();
    relays.start("alice").await.unwrap();
    assert_eq!(porchlight(&relays, "bob", &["add", &invite]).await.code, 0);
}

#[tokio::test]
async fn what_programs_read_is_json_and_what_people_read_is_a_table() {
    let (stage, _alice, _bob) = alice_and_bob().await;
    for (command, key) in [
        (vec!["status"], "listening"),
        (vec!["id", "show"], "principal"),
        (vec!["net", "peers"], "peers"),
        (vec!["contacts"], "contacts"),
        (vec!["invite", "new", "--uses", "3", "--expires", "2h"], "uri"),
        (vec!["presence", "set", "open"], "status"),
        (vec!["who"], "contacts"),
        (vec!["who", "alice"], "presence"),
        (vec!["rpc", "presence.get", "contact=alice"], "presence"),
    ] {
        let people = porchlight(&stage, "bob", &command).await;
        assert_eq!(people.code, 0, "{people:?}");
        assert!(
            !people.stdout.contains('\u{1b}'),
            "no colours where no terminal is: {people:?}"
        );
        let mut with_json = command.clone();
        with_json.push("--json");
        let programs = porchlight(&stage, "bob", &with_json).await;
        assert!(programs.json().get(key).is_some(), "{programs:?}");
    }
    let listening = porchlight(&stage, "bob", &["status", "--json"]).await.json();
    assert!(listening["listening"][0].as_str().unwrap().contains("/p2p/12D3KooW"));
    let who = porchlight(&stage, "bob", &["who"]).await.stdout;
    assert!(
        who.contains("NAME") && who.contains("VIA") && who.contains("AGE"),
        "{who}"
    );
    porchlight(&stage, "bob", &["who", "nobody"])
        .await
        .failed(5, &["nobody", "hint: "]);
    porchlight(&stage, "bob", &["rpc", "presence.got"])
        .await
        .failed(2, &["presence.get"]);
    let first = porchlight(&stage, "bob", &["events", "--consumer", "script", "--json"]).await;
    assert!(first.stdout.lines().count() > 3, "{first:?}");
    let second = porchlight(&stage, "bob", &["events", "--consumer", "script", "--json"]).await;
    assert!(
        second.stdout.lines().count() < 3,
        "acknowledged events do not come again: {second:?}"
    );
}

#[tokio::test]
async fn who_watch_shows_every_change_and_ends_with_the_node() {
    let (mut stage, mut alice, _bob) = alice_and_bob().await;
    let mut watching = Command::new(PROGRAM)
        .arg("--home")
        .arg(stage.home("bob"))
        .args(["who", "--watch"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut shown = async |what: &str| {
        let found = timeout(PATIENCE, async {
            loop {
                let line = lines.next_line().await.unwrap().unwrap();
                if line.contains("alice") && line.contains(what) {
                    return line;
                }
            }
        });
        found.await.unwrap_or_else(|_| panic!("expected a line with '{what}'"))
    };
    shown("open").await;
    for (status, note) in [("away", "one"), ("busy", "two"), ("open", "three")] {
        alice.set(status, Some(note)).await.unwrap();
        assert!(shown(status).await.contains(note));
    }
    stage.stop("alice").await.unwrap();
    shown("closed").await;
    // Nobody is left before a screen that says something and is told nothing any more.
    stage.kill("bob").await.unwrap();
    let ended = timeout(PATIENCE, watching.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    assert!(String::from_utf8(ended.stderr).unwrap().starts_with("error: "));
}

#[tokio::test]
async fn a_node_alone_says_so_where_it_matters() {
    let mut stage = stage();
    stage.start("alice").await.unwrap();
    let who = porchlight(&stage, "alice", &["who"]).await;
    assert!(who.stdout.contains("notice: this network only"), "{who:?}");
    // It greets before it answers.
    let said = fs::read_to_string(stage.log("alice")).unwrap();
    assert!(
        said.contains("this network only") && said.contains("--seed-peer"),
        "{said}"
    );
    let invite = porchlight(&stage, "alice", &["invite", "new"]).await;
    assert!(invite.stdout.contains("warning: no relay is connected"), "{invite:?}");
    assert!(
        invite.stdout.starts_with("porchlight:"),
        "no QR code in a pipe: {invite:?}"
    );
    let drawn = porchlight(&stage, "alice", &["invite", "new", "--qr"]).await;
    assert!(
        !drawn.stdout.starts_with("porchlight:") && drawn.stdout.contains('\u{2588}'),
        "{drawn:?}"
    );
}

#[tokio::test]
async fn what_is_mistyped_is_answered_with_what_was_meant() {
    let mut stage = stage();
    stage.start("alice").await.unwrap();
    for (words, expected) in [
        (&["presence", "set", "away", "-m", ""][..], "the note is empty"),
        (&["presence", "set", "away", "-m", "back", "at", "four"], "in quotes"),
        (&["invite", "new", "--expires", "1y"], "30 days"),
        (&["add", "porchlight:x", "bob"], "after --as"),
    ] {
        porchlight(&stage, "alice", words).await.failed(2, &[expected]);
    }
}

#[tokio::test]
async fn an_invite_is_read_from_standard_input() {
    let mut stage = stage();
    stage.start("alice").await.unwrap();
    let invite = porchlight(&stage, "alice", &["invite", "new"]).await;
    let file = stage.folder().join("invite");
    fs::write(&file, &invite.stdout).unwrap();
    let ran = std::process::Command::new(PROGRAM)
        .arg("--home")
        .arg(stage.home("alice"))
        .args(["add", "-"])
        .stdin(fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(8), "{said}");
    assert!(said.contains("this invite is your own"), "{said}");
}

#[tokio::test]
async fn a_configuration_alone_is_written_where_there_is_none() {
    let stage = stage();
    stage.make_home("alice").unwrap();
    let file = stage.home("alice").join("config.toml");
    porchlight(&stage, "alice", &["init", "--config-only"])
        .await
        .failed(8, &["there is a configuration already"]);
    fs::remove_file(&file).unwrap();
    let ran = porchlight(&stage, "alice", &["init", "--config-only", "--role", "relay"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("\nrole = \"relay\"") && text.contains("/tcp/4110"),
        "{text}"
    );
    assert!(stage.home("alice").join("key").exists());
}
