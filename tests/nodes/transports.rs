//! QUIC, and the local network without anybody else.

use super::town::{PROGRAM, befriend, join, stage, stage_of};
use porchlight::demo::person::Person;
use porchlight::demo::stage::{PATIENCE, RELAYS, Stage};
use porchlight_rpc::methods::{NetPeers, NodeInfo};
use porchlight_rpc::types::{self, Told};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Between two looks at something that does not announce itself.
const LOOK: Duration = Duration::from_millis(20);

/// Makes the home of a node, with other lines in its configuration.
fn home_with(stage: &Stage, name: &str, changes: &[(&str, &str)]) {
    stage.make_home(name).unwrap();
    let path = stage.home(name).join("config.toml");
    let mut text = std::fs::read_to_string(&path).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{from} is not in {text}");
        text = text.replace(from, to);
    }
    std::fs::write(&path, text).unwrap();
}

fn is<'a>(contact: &'a str, status: &'a str) -> impl Fn(&Told) -> bool + 'a {
    move |told| told.contact == contact && told.status == status
}

#[tokio::test]
async fn a_network_of_quic_alone_does_all_that_one_of_tcp_does() {
    let mut stage = stage();
    for name in [RELAYS[0], RELAYS[1], "alice", "bob"] {
        let quic = [("\"/ip4/127.0.0.1/tcp/0\"", "\"/ip4/127.0.0.1/udp/0/quic-v1\"")];
        home_with(&stage, name, &quic);
    }
    stage.start_relays().await.unwrap();
    let mut alice = join(&mut stage, "alice").await;
    let mut bob = join(&mut stage, "bob").await;
    befriend(&mut alice, &mut bob).await;
    alice.set("busy", Some("over UDP")).await.unwrap();
    let told = bob.told("alice is busy", is("alice", "busy")).await.unwrap();
    assert_eq!(told.notes[0].text, "over UDP");
    let fetched = bob.fetch("alice").await.unwrap();
    assert_eq!(fetched.status, "busy");
    let peers = bob.calls.call::<NetPeers>(&types::Nothing {}).await.unwrap().peers;
    assert!(peers.len() >= 2);
    for peer in peers {
        assert!(peer.address.as_ref().unwrap().contains("/quic-v1"), "{peer:?}");
    }
    stage.stop("alice").await.unwrap();
    bob.told("alice is closed", is("alice", "closed")).await.unwrap();
}

/// A network namespace with one interface of its own. It is gone with the process that holds it.
struct Segment {
    holder: Child,
}

impl Segment {
    /// None where this is not allowed.
    fn new() -> Option<Self> {
        let setup = "ip link set lo up && ip link add lan type veth peer name end && ip link set end up \
                     && ip addr add 192.0.2.10/24 dev lan && ip link set lan up && ip route add 224.0.0.0/4 dev lan \
                     && echo ready && exec cat";
        let mut holder = Command::new("unshare")
            .args(["--map-root-user", "--net", "sh", "-c", setup])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut line = String::new();
        BufReader::new(holder.stdout.take()?).read_line(&mut line).ok()?;
        if line != "ready\n" {
            // It has ended already, or will with this.
            let _ = holder.kill();
            let _ = holder.wait();
            return None;
        }
        Some(Self { holder })
    }

    /// How many packets went out to groups in here: announcements, and questions who else is there.
    fn said_to_groups(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/net/netstat", self.holder.id())).unwrap();
        // A line of names, then one of values.
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("IpExt: "));
        let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
        let at = names.split(' ').position(|name| name == "OutMcastPkts").unwrap();
        values.split(' ').nth(at).unwrap().parse().unwrap()
    }

    /// A program that runs the one under test in here, with these words after what it is started with.
    fn program(&self, folder: &Path, words: &str) -> PathBuf {
        let enter = ["/usr/bin/nsenter", "/bin/nsenter"]
            .into_iter()
            .find(|path| Path::new(path).exists())
            .unwrap();
        let path = folder.join("porchlight-in-here");
        let script = format!(
            "#!/bin/sh\nexec {enter} --target {} --user --net --preserve-credentials '{PROGRAM}' \"$@\" {words}\n",
            self.holder.id()
        );
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        path
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // One that is gone already needs no end.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[tokio::test]
async fn two_nodes_on_one_segment_find_each_other_without_relay_or_seed_peer() {
    let Some(segment) = Segment::new() else {
        eprintln!("SHOWS NOTHING: no network namespace can be made here (unshare --map-root-user --net, ip)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut stage = stage_of(segment.program(folder.path(), ""));
    for name in ["alice", "bob"] {
        let changes = [
            (
                "\"/ip4/127.0.0.1/tcp/0\"",
                "\"/ip4/0.0.0.0/tcp/0\", \"/ip4/0.0.0.0/udp/0/quic-v1\"",
            ),
            ("mdns = false", "mdns = true"),
        ];
        home_with(&stage, name, &changes);
    }
    let mut people = Vec::new();
    for name in ["alice", "bob"] {
        stage.start(name).await.unwrap();
        people.push(Person::meet(&stage, name).await.unwrap());
    }
    let [alice, bob] = &mut people[..] else {
        panic!("two people")
    };
    befriend(alice, bob).await;
    alice.set("busy", Some("nobody in between")).await.unwrap();
    let told = bob.told("alice is busy", is("alice", "busy")).await.unwrap();
    assert_eq!(told.source.as_deref(), Some("direct"));
    // Both come back at other ports. Nobody is there to ask: they find each other's new place on the segment alone.
    let before = alice
        .calls
        .call::<NodeInfo>(&types::Nothing {})
        .await
        .unwrap()
        .listening;
    for name in ["alice", "bob"] {
        stage.kill(name).await.unwrap();
    }
    for (name, person) in ["alice", "bob"].into_iter().zip([&mut *alice, &mut *bob]) {
        stage.start(name).await.unwrap();
        person.reconnect(&stage).await.unwrap();
    }
    let after = alice.calls.call::<NodeInfo>(&types::Nothing {}).await.unwrap();
    assert!(after.listening.iter().all(|address| !before.contains(address)));
    assert_eq!(after.relays, 0);
    alice.set("away", None).await.unwrap();
    bob.told("alice is away", is("alice", "away")).await.unwrap();
}

#[tokio::test]
async fn without_mdns_nothing_is_said_on_the_local_network() {
    let (Some(loud), Some(silent)) = (Segment::new(), Segment::new()) else {
        eprintln!("SHOWS NOTHING: no network namespace can be made here (unshare --map-root-user --net, ip)");
        return;
    };
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut stages = [
        stage_of(silent.program(folders[0].path(), "--no-mdns")),
        stage_of(loud.program(folders[1].path(), "")),
    ];
    // The one that is to be silent comes first: whatever the other has had time to say, it had more.
    for stage in &mut stages {
        let changes = [
            ("\"/ip4/127.0.0.1/tcp/0\"", "\"/ip4/0.0.0.0/tcp/0\""),
            ("mdns = false", "mdns = true"),
        ];
        home_with(stage, "alice", &changes);
        stage.start("alice").await.unwrap();
    }
    timeout(PATIENCE, async {
        while loud.said_to_groups() < 3 {
            sleep(LOOK).await;
        }
    })
    .await
    .expect("a node with mDNS announces itself");
    stages[0].stop("alice").await.unwrap();
    assert_eq!(silent.said_to_groups(), 0);
}
