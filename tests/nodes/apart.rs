//! Presence and messages apart, with real processes: a node that does one of the two, and an inbox that shows no presence.

use super::town::{Ran, join, porchlight, with_relays};
use porchlight::demo::person::Person;
use porchlight::demo::stage::Stage;
use std::fs;

async fn done(stage: &Stage, name: &str, args: &[&str]) -> Ran {
    let ran = porchlight(stage, name, args).await;
    assert_eq!(ran.code, 0, "{args:?}: {ran:?}");
    ran
}

/// Starts a node in whose configuration a section is switched off.
async fn join_without(stage: &mut Stage, name: &str, section: &str) -> Person {
    stage.make_home(name).unwrap();
    let path = stage.home(name).join("config.toml");
    let text = fs::read_to_string(&path).unwrap();
    let head = format!("[{section}]\n");
    assert!(text.contains(&head));
    fs::write(&path, text.replace(&head, &format!("{head}enabled = false\n"))).unwrap();
    join(stage, name).await
}

/// Makes two people contacts by the command line, with options for either command, and waits until they can write.
async fn meet(stage: &Stage, inviter: &mut Person, newcomer: &mut Person, options: [&[&str]; 2]) {
    let invite = done(
        stage,
        inviter.name(),
        &[&["--json", "invite", "new"], options[0]].concat(),
    )
    .await;
    let uri = invite.json()["uri"].as_str().unwrap().to_owned();
    done(stage, newcomer.name(), &[&["--json", "add", &uri], options[1]].concat()).await;
    inviter
        .happened("they are contacts", "contact.added", |_| true)
        .await
        .unwrap();
}

async fn write_to_each_other(stage: &Stage, one: &str, other: &str) {
    for (from, to) in [(one, other), (other, one)] {
        done(stage, from, &["send", to, "hello", "--wait", "delivered"]).await;
        let inbox = done(stage, to, &["inbox"]).await.stdout;
        assert!(inbox.contains("hello"), "{inbox}");
    }
}

#[tokio::test]
async fn rfc2779_2_1_1_a_node_without_presence_sends_and_takes_messages() {
    let mut stage = with_relays().await;
    let mut alice = join(&mut stage, "alice").await;
    let mut bob = join_without(&mut stage, "bob", "presence").await;
    meet(&stage, &mut bob, &mut alice, [&[], &[]]).await;
    write_to_each_other(&stage, "alice", "bob").await;
    for args in [
        &["presence", "set", "away"][..],
        &["who", "alice"],
        &["poll", "alice", "--every", "1h"],
    ] {
        porchlight(&stage, "bob", args)
            .await
            .failed(4, &["presence is switched off on this node", "presence.enabled"]);
    }
    porchlight(&stage, "alice", &["who", "bob"])
        .await
        .failed(4, &["shows this node no presence", " send NAME"]);
    let status = done(&stage, "bob", &["status"]).await.stdout;
    assert!(status.contains("presence is switched off"), "{status}");
    let watchers = done(&stage, "bob", &["--json", "watchers"]).await.json();
    assert_eq!(watchers["watchers"].as_array().unwrap().len(), 0, "{watchers}");
}

#[tokio::test]
async fn rfc2779_2_1_1_a_node_without_messages_is_seen_and_sees() {
    let mut stage = with_relays().await;
    let mut alice = join(&mut stage, "alice").await;
    let mut bob = join_without(&mut stage, "bob", "messages").await;
    meet(&stage, &mut alice, &mut bob, [&[], &[]]).await;
    done(&stage, "bob", &["presence", "set", "busy"]).await;
    alice.told("bob is busy", |told| told.status == "busy").await.unwrap();
    bob.told("alice is open", |told| told.status == "open").await.unwrap();
    porchlight(&stage, "alice", &["send", "bob", "hello"])
        .await
        .failed(4, &["takes no messages"]);
    porchlight(&stage, "bob", &["send", "alice", "hello"])
        .await
        .failed(4, &["messages are switched off on this node", "messages.enabled"]);
    let status = done(&stage, "bob", &["status"]).await.stdout;
    assert!(status.contains("messages are switched off"), "{status}");
}

#[tokio::test]
async fn rfc2779_2_1_2_who_is_granted_no_view_writes_and_sees_nothing() {
    let mut stage = with_relays().await;
    let mut alice = join(&mut stage, "alice").await;
    let mut bob = join(&mut stage, "bob").await;
    meet(&stage, &mut alice, &mut bob, [&["--view", "none"], &[]]).await;
    write_to_each_other(&stage, "alice", "bob").await;
    done(&stage, "bob", &["presence", "set", "away"]).await;
    alice.told("bob is away", |told| told.status == "away").await.unwrap();
    porchlight(&stage, "bob", &["who", "alice"])
        .await
        .failed(4, &["shows this node no presence"]);
    let views = done(&stage, "alice", &["--json", "view", "list"]).await.json();
    let none = views["views"]
        .as_array()
        .unwrap()
        .iter()
        .find(|view| view["view"] == "none");
    assert_eq!(none.unwrap()["allows"], "nothing", "{views}");
    done(&stage, "alice", &["contact", "view", "bob", "contacts"]).await;
    bob.told("alice is open", |told| told.status == "open").await.unwrap();
    // An address names a contact as its petname does.
    let whoami = done(&stage, "alice", &["--json", "id", "show"]).await.json();
    let address = format!("im:{}", whoami["principal"].as_str().unwrap());
    done(
        &stage,
        "bob",
        &["send", &address, "by your address", "--wait", "delivered"],
    )
    .await;
}
