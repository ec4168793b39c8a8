//! kill -9 at bad moments, a disk that refuses, and what is there afterwards.

use super::town::{PROGRAM, alice_and_bob, befriend, join, stage_of, with_relays};
use porchlight::clock::{RealTime, TimeSource};
use porchlight::config;
use porchlight::demo::person::Person;
use porchlight::demo::stage::{PATIENCE, Stage};
use porchlight::driver::Driver;
use porchlight::home;
use porchlight::passphrase::Source;
use porchlight_net::{Net, NetConfig, Role};
use porchlight_proto::Node;
use porchlight_rpc::Client;
use porchlight_rpc::methods::{EventsAck, EventsNext, EventsSubscribe, PresenceSet};
use porchlight_rpc::types::{self, Event};
use porchlight_store::DurabilitySetting;
use porchlight_wire::network::Network;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn presence(note: &str) -> types::PresenceSet {
    types::PresenceSet {
        status: Some("busy".to_owned()),
        note: Some(types::Note {
            lang: None,
            text: note.to_owned(),
        }),
        ..types::PresenceSet::default()
    }
}

#[tokio::test]
async fn rfc2779_2_5_2_a_kill_in_the_middle_of_publishing_reuses_no_sequence_and_loses_nothing_promised() {
    let (mut stage, mut alice, mut bob) = alice_and_bob().await;
    let mut last_sequence = 0;
    for round in 0..4 {
        // Sets one presence after the other; the process is killed once some were answered, in the middle of another.
        let mut calls = stage.client("alice").await.unwrap();
        let mut promised = 0;
        while promised < 1 + round {
            calls
                .call::<PresenceSet>(&presence(&format!("round {round}, {promised}")))
                .await
                .unwrap();
            promised += 1;
        }
        let mut another = stage.client("alice").await.unwrap();
        let underway = presence(&format!("round {round}, {promised}"));
        let call = another.call::<PresenceSet>(&underway);
        let (_, killed) = tokio::join!(call, stage.kill("alice"));
        killed.unwrap();
        stage.start("alice").await.unwrap();
        alice.reconnect(&stage).await.unwrap();
        let own = alice.own().await.unwrap().note.unwrap().text;
        let kept = [
            format!("round {round}, {}", promised - 1),
            format!("round {round}, {promised}"),
        ];
        assert!(kept.contains(&own), "promised was one of {kept:?}, kept was {own}");
        // What bob is told grows in sequence, and one sequence never says two things.
        let mut said: BTreeMap<u64, String> = BTreeMap::new();
        loop {
            let told = bob
                .told("alice is busy again", |told| told.contact == "alice")
                .await
                .unwrap();
            let (Some(sequence), Some(note)) = (told.sequence, told.notes.first()) else {
                continue;
            };
            assert!(sequence >= last_sequence, "{told:?}");
            last_sequence = sequence;
            let before = said.insert(sequence, note.text.clone());
            assert!(before.is_none_or(|before| before == note.text), "{told:?}");
            if note.text == own {
                break;
            }
        }
    }
}

/// Takes what is there for a consumer and acknowledges it.
async fn consume(client: &mut Client, consumer: &str) -> Vec<Event> {
    let next = types::EventsNext {
        consumer: consumer.to_owned(),
        max: Some(1_000),
        wait_ms: None,
    };
    let events = client.call::<EventsNext>(&next).await.unwrap().events;
    if let Some(last) = events.last() {
        let ack = types::EventsAck {
            consumer: consumer.to_owned(),
            number: last.number,
        };
        client.call::<EventsAck>(&ack).await.unwrap();
    }
    events
}

#[tokio::test]
async fn a_consumer_that_acknowledges_loses_and_repeats_no_event_across_kills() {
    let mut stage = with_relays().await;
    let mut alice = join(&mut stage, "alice").await;
    let subscribe = types::EventsSubscribe {
        consumer: "audit".to_owned(),
        from: Some("oldest".to_owned()),
    };
    alice.calls.call::<EventsSubscribe>(&subscribe).await.unwrap();
    let mut numbers = Vec::new();
    let mut notes = Vec::new();
    for round in 0..4 {
        let mut calls = stage.client("alice").await.unwrap();
        for change in 0..5 {
            calls
                .call::<PresenceSet>(&presence(&format!("{round}.{change}")))
                .await
                .unwrap();
            if change == 2 {
                let mut own = stage.client("alice").await.unwrap();
                take(consume(&mut own, "audit").await, &mut numbers, &mut notes);
            }
        }
        stage.kill("alice").await.unwrap();
        stage.start("alice").await.unwrap();
    }
    let mut own = stage.client("alice").await.unwrap();
    take(consume(&mut own, "audit").await, &mut numbers, &mut notes);
    let first = numbers[0];
    let expected: Vec<u64> = (first..).take(numbers.len()).collect();
    assert_eq!(numbers, expected, "each number once, in order");
    let expected: Vec<String> = (0..4)
        .flat_map(|round| (0..5).map(move |change| format!("{round}.{change}")))
        .collect();
    assert_eq!(notes, expected, "every change that was answered is an event");
}

fn take(events: Vec<Event>, numbers: &mut Vec<u64>, notes: &mut Vec<String>) {
    for event in events {
        numbers.push(event.number);
        if event.kind == "presence.own_changed" {
            notes.push(event.data["note"]["text"].as_str().unwrap().to_owned());
        }
    }
}

async fn restart(stage: &mut Stage, person: &mut Person) {
    let name = person.name().to_owned();
    stage.kill(&name).await.unwrap();
    stage.start(&name).await.unwrap();
    person.reconnect(stage).await.unwrap();
}

#[tokio::test]
async fn a_kill_in_the_middle_of_a_grant_leaves_both_sides_contacts_in_the_end() {
    let mut stage = with_relays().await;
    let mut alice = join(&mut stage, "alice").await;
    for (newcomer, inviter_dies) in [("bob", true), ("carol", false), ("dave", true)] {
        let mut friend = join(&mut stage, newcomer).await;
        let invite = alice.invite().await.unwrap();
        // The introduction is on its way when one of them dies.
        friend.add(&invite).await.unwrap();
        if inviter_dies {
            restart(&mut stage, &mut alice).await;
        } else {
            restart(&mut stage, &mut friend).await;
        }
        alice.subscribed(newcomer).await.unwrap();
        friend.subscribed("alice").await.unwrap();
    }
    restart(&mut stage, &mut alice).await;
    for name in ["bob", "carol", "dave"] {
        alice.subscribed(name).await.unwrap();
    }
}

/// A program that runs the one under test; while `refuses` is there, no file of its grows beyond some hundred kilobytes.
fn program_on_a_disk(folder: &Path, refuses: &Path) -> PathBuf {
    let path = folder.join("porchlight-on-a-disk");
    let script = format!(
        "#!/bin/sh\nif [ -e '{}' ]; then trap '' XFSZ; ulimit -f 1000; fi\nexec '{PROGRAM}' \"$@\"\n",
        refuses.display()
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    path
}

#[tokio::test]
async fn a_disk_that_refuses_ends_the_node_before_it_says_what_it_could_not_keep() {
    const MANY: usize = 10_000;
    let folder = tempfile::tempdir().unwrap();
    let refuses = folder.path().join("refuses");
    let mut stage = stage_of(program_on_a_disk(folder.path(), &refuses));
    stage.start_relays().await.unwrap();
    let mut alice = join(&mut stage, "alice").await;
    let mut bob = join(&mut stage, "bob").await;
    befriend(&mut alice, &mut bob).await;
    stage.stop("alice").await.unwrap();
    std::fs::write(&refuses, "").unwrap();
    stage.start("alice").await.unwrap();
    alice.reconnect(&stage).await.unwrap();
    let mut said = 0;
    while said < MANY && alice.set("busy", Some(&format!("change {said}"))).await.is_ok() {
        said += 1;
    }
    assert!((1..MANY).contains(&said), "{said}");
    assert!(!stage.ends("alice").await.unwrap().success());
    let log = std::fs::read_to_string(stage.log("alice")).unwrap();
    assert!(log.contains("is the disk full?"), "{log}");

    std::fs::remove_file(&refuses).unwrap();
    stage.start("alice").await.unwrap();
    alice.reconnect(&stage).await.unwrap();
    let kept = alice.own().await.unwrap().note.unwrap().text;
    assert_eq!(kept, format!("change {}", said - 1), "the last that was promised");
    alice.set("away", None).await.unwrap();
    let notes = RefCell::new(Vec::new());
    bob.told("alice is away", |told| {
        notes
            .borrow_mut()
            .extend(told.notes.iter().map(|note| note.text.clone()));
        told.status == "away"
    })
    .await
    .unwrap();
    assert!(!notes.borrow().contains(&format!("change {said}")), "{notes:?}");
}

#[tokio::test]
async fn a_node_whose_network_task_has_ended_ends_too_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("alice");
    let network = Network::named("porchlight-test").unwrap();
    home::create(&at, &config::template(Some("alice"), &network, Role::Ordinary), None).unwrap();
    let opened = home::open(&at, DurabilitySetting::Normal, &Source::Terminal)
        .unwrap()
        .opened;
    let time = RealTime::start();
    let transport = NetConfig::new(*opened.transport, network.clone(), Role::Ordinary);
    let (net, events) = Net::start(transport).await.unwrap();
    let core = porchlight_proto::Config {
        network,
        node: porchlight_net::node_id(&opened.transport).unwrap(),
        name: None,
        lease: 90_000,
        dht_interval: 30_000,
        external: Vec::new(),
        card_addresses: true,
        follow: false,
        seed_peers: Vec::new(),
        mailboxes: 0,
        mailkeeping: None,
        presence: true,
        messages: true,
        read_receipts: true,
    };
    let core = Node::restore(opened.snapshot, core, [7; 32], time.now());
    let (driver, handle) = Driver::new(core, time, opened.store, net.clone(), events);
    let running = tokio::spawn(driver.run());
    // It is up, and has nothing to do.
    handle.snapshot().await.unwrap();
    net.stop().await;
    let ended = tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap();
    assert_eq!(ended.unwrap_err().to_string(), "the network has ended");
    assert!(handle.snapshot().await.is_err(), "nobody is left to answer");
}
