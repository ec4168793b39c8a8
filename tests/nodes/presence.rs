//! Notification, fetch, and what is told when someone goes away in one way or another.

use super::town::{alice_and_bob, befriend, join, with_relays};
use porchlight::demo::person::Person;
use porchlight::demo::stage::{RELAYS, Stage};
use porchlight_rpc::types::Told;
use serde_json::json;

fn is<'a>(contact: &'a str, status: &'a str) -> impl Fn(&Told) -> bool + 'a {
    move |told| told.contact == contact && told.status == status
}

#[tokio::test]
async fn rfc2779_3_2_3_every_watcher_is_notified_of_every_settled_state() {
    let mut stage = with_relays().await;
    let mut alice = join(&mut stage, "alice").await;
    let mut watchers = Vec::new();
    for name in ["bob", "carol", "dave"] {
        let mut watcher = join(&mut stage, name).await;
        befriend(&mut alice, &mut watcher).await;
        watcher.told("alice is open", is("alice", "open")).await.unwrap();
        watchers.push(watcher);
    }
    for (status, note) in [
        ("away", Some("at lunch")),
        ("busy", None),
        ("open", Some("guten Tag")),
        ("closed", None),
        ("away", None),
        ("open", None),
    ] {
        alice.set(status, note).await.unwrap();
        for watcher in &mut watchers {
            let told = watcher
                .told(&format!("alice is {status}"), is("alice", status))
                .await
                .unwrap();
            assert_eq!(told.notes.first().map(|note| note.text.as_str()), note, "{told:?}");
            assert!(told.source.is_some() && told.age_ms.is_some(), "{told:?}");
        }
    }
}

#[tokio::test]
async fn rfc2779_3_2_1_presence_is_fetched_while_the_presentity_is_away() {
    let (mut stage, mut alice, mut bob) = alice_and_bob().await;
    alice.set("away", Some("back at four")).await.unwrap();
    bob.told("alice is away", is("alice", "away")).await.unwrap();
    stage.stop("alice").await.unwrap();
    bob.told("alice is closed", is("alice", "closed")).await.unwrap();
    let fetched = bob.fetch("alice").await.unwrap();
    assert_eq!(
        (fetched.status.as_str(), fetched.source.as_deref()),
        ("closed", Some("dht"))
    );
    assert_eq!(fetched.detail, None, "she said goodbye: {fetched:?}");
    stage.start("alice").await.unwrap();
    let told = bob.told("alice is back", is("alice", "away")).await.unwrap();
    assert_eq!(told.notes[0].text, "back at four");
}

#[tokio::test]
async fn rfc2779_3_2_5_a_killed_presentity_is_closed_once_the_lease_is_over() {
    let (mut stage, mut alice, mut bob) = alice_and_bob().await;
    alice.set("busy", Some("still here")).await.unwrap();
    bob.told("alice is still here", is("alice", "busy")).await.unwrap();
    stage.kill("alice").await.unwrap();
    // The first thing told after the kill is that she is closed: nothing says open on the way.
    let told = bob
        .told("alice has gone", |told| told.contact == "alice")
        .await
        .unwrap();
    assert_eq!(
        (told.status.as_str(), told.detail.as_deref()),
        ("closed", Some("lapsed")),
        "{told:?}"
    );
    let fetched = bob.fetch("alice").await.unwrap();
    assert_eq!(fetched.status, "closed", "{fetched:?}");
}

#[tokio::test]
async fn rfc2779_3_2_4_a_watcher_that_lost_contact_says_unknown_never_open() {
    let (mut stage, mut alice, mut bob) = alice_and_bob().await;
    alice.set("busy", Some("still here")).await.unwrap();
    bob.told("alice is still here", is("alice", "busy")).await.unwrap();
    for node in ["relay-1", "relay-2", "alice"] {
        stage.kill(node).await.unwrap();
    }
    let told = bob
        .told("nothing is known", |told| told.contact == "alice")
        .await
        .unwrap();
    if told.status == "closed" {
        // Her lease ended while bob's node still counted as connected; then that, too, is no longer known.
        assert_eq!(told.detail.as_deref(), Some("lapsed"), "{told:?}");
    } else {
        assert_eq!(
            (told.status.as_str(), told.detail.as_deref()),
            ("unknown", Some("no_source")),
            "{told:?}"
        );
    }
}

#[tokio::test]
async fn contacts_that_are_connected_go_on_without_any_relay() {
    let (mut stage, mut alice, mut bob) = alice_and_bob().await;
    stage.connected("bob", "alice").await.unwrap();
    for relay in ["relay-1", "relay-2"] {
        stage.kill(relay).await.unwrap();
    }
    for status in ["away", "busy", "open"] {
        alice.set(status, None).await.unwrap();
        bob.told(&format!("alice is {status}"), is("alice", status))
            .await
            .unwrap();
        bob.set(status, None).await.unwrap();
        alice
            .told(&format!("bob is {status}"), is("bob", status))
            .await
            .unwrap();
    }
}

/// Alice, whose contacts are told as much as this of where her node is, and bob, who follows instead of being in topics, and
/// shows her a view that is in the DHT only: gossip does not reach him.
async fn alice_and_bob_who_follows(reach: &str) -> (Stage, Person, Person) {
    let mut stage = with_relays().await;
    let mut alice = join(&mut stage, "alice").await;
    let told = json!({"view": "contacts", "reach": reach});
    alice.calls.call_raw("view.update", told).await.unwrap();
    stage.make_home("bob").unwrap();
    let file = stage.home("bob").join("config.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("#follow = false"));
    std::fs::write(&file, text.replace("#follow = false", "follow = true")).unwrap();
    let mut bob = join(&mut stage, "bob").await;
    let glance = json!({"view": "glance", "allows": "fetch"});
    bob.calls.call_raw("view.create", glance).await.unwrap();
    let invite = alice.invite().await.unwrap();
    let add = json!({"invite": invite, "view": "glance"});
    bob.calls.call_raw("contact.add", add).await.unwrap();
    bob.subscribed("alice").await.unwrap();
    bob.told("alice is open", is("alice", "open")).await.unwrap();
    stage.connected("bob", "alice").await.unwrap();
    (stage, alice, bob)
}

fn by<'a>(source: &'a str, status: &'a str) -> impl Fn(&Told) -> bool + 'a {
    move |told| is("alice", status)(told) && told.source.as_deref() == Some(source)
}

#[tokio::test]
async fn rfc2779_2_4_1_who_follows_at_the_presentitys_own_node_needs_no_relay() {
    let (mut stage, mut alice, mut bob) = alice_and_bob_who_follows("direct").await;
    alice.set("away", None).await.unwrap();
    bob.told("alice is away", is("alice", "away")).await.unwrap();
    for relay in RELAYS {
        stage.kill(relay).await.unwrap();
    }
    for status in ["busy", "open", "away"] {
        alice.set(status, None).await.unwrap();
        bob.told("alice, by her own node", by("direct", status)).await.unwrap();
    }
    // Also who comes back to a world without relays.
    stage.kill("bob").await.unwrap();
    alice.set("busy", None).await.unwrap();
    stage.start("bob").await.unwrap();
    bob.reconnect(&stage).await.unwrap();
    bob.told("alice, by her own node", by("direct", "busy")).await.unwrap();
}

/// Waits until bob is told of alice by a relay. A lookup may bring the first of what she says: he makes one when he has been cut
/// off, and when a view is new to him.
async fn told_by_a_relay(alice: &mut Person, bob: &mut Person) {
    let now = alice.own().await.unwrap().status;
    // Saying the same again would tell nobody anything.
    let others = ["away", "busy", "open"].into_iter().filter(|status| *status != now);
    for status in others.cycle().take(8) {
        alice.set(status, None).await.unwrap();
        let told = bob.told("what alice says", is("alice", status)).await.unwrap();
        match told.source.as_deref() {
            Some("relay") => return,
            Some("dht") => {}
            other => panic!("expected a relay or the DHT, got {other:?}"),
        }
    }
    panic!("no relay tells bob anything");
}

#[tokio::test]
async fn rfc2779_2_4_1_who_is_not_told_where_the_node_is_follows_at_a_relay_and_then_at_another() {
    let (mut stage, mut alice, mut bob) = alice_and_bob_who_follows("relay").await;
    told_by_a_relay(&mut alice, &mut bob).await;
    for relay in RELAYS {
        stage.kill(relay).await.unwrap();
        told_by_a_relay(&mut alice, &mut bob).await;
        stage.start(relay).await.unwrap();
        stage.connected_to_relays("alice").await.unwrap();
        stage.connected_to_relays("bob").await.unwrap();
    }
}

#[tokio::test]
async fn rfc2779_5_1_7_after_unsubscribing_nothing_reaches_the_subscriber() {
    let (mut stage, mut alice, mut bob) = alice_and_bob().await;
    let mut carol = join(&mut stage, "carol").await;
    befriend(&mut alice, &mut carol).await;
    carol.told("alice is open", is("alice", "open")).await.unwrap();
    bob.unsubscribe("alice").await.unwrap();
    alice.set("away", Some("not for bob any more")).await.unwrap();
    // Carol has it, so it is out; a change of carol's own that bob would be told of later comes first.
    carol.told("alice is away", is("alice", "away")).await.unwrap();
    befriend(&mut bob, &mut carol).await;
    let told = bob.told("someone changed", |_| true).await.unwrap();
    assert_eq!(told.contact, "carol", "{told:?}");
}
