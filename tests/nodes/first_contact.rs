//! Invites between real nodes, and what is in the way of them.

use super::town::{alice_and_bob, join, porchlight, with_relays};
use porchlight::demo::person::Person;
use porchlight::demo::stage::RELAYS;
use porchlight_wire::invite::Invite;
use porchlight_wire::time::UnixMillis;

#[tokio::test]
async fn rfc2779_2_2_1_two_who_never_met_find_each_other_by_an_invite_alone() {
    let mut stage = with_relays().await;
    let mut alice = join(&mut stage, "alice").await;
    let _bob = join(&mut stage, "bob").await;
    let invite = alice.invite().await.unwrap();
    let added = porchlight(&stage, "bob", &["add", &invite, "--as", "my friend"]).await;
    assert_eq!(added.code, 0, "{added:?}");
    assert!(added.stdout.contains("my friend is a contact now"), "{added:?}");
    alice.subscribed("bob").await.unwrap();
    let contacts = porchlight(&stage, "bob", &["contacts", "--json"]).await.json();
    assert_eq!(contacts["contacts"][0]["name"], "my friend");
    assert_eq!(contacts["contacts"][0]["told_name"], "alice");
}

#[tokio::test]
async fn the_loss_of_one_relay_of_two_keeps_nobody_out() {
    let mut stage = with_relays().await;
    let mut alice = join(&mut stage, "alice").await;
    let invite = alice.invite().await.unwrap();
    stage.kill(RELAYS[0]).await.unwrap();
    // One who comes only now, by an invite of before.
    stage.start("bob").await.unwrap();
    stage.connected_to_a_relay("bob").await.unwrap();
    let mut bob = Person::meet(&stage, "bob").await.unwrap();
    bob.add(&invite).await.unwrap();
    bob.subscribed("alice").await.unwrap();
    alice.set("busy", Some("all the same")).await.unwrap();
    let told = bob.told("alice is busy", |told| told.status == "busy").await.unwrap();
    assert_eq!(told.notes[0].text, "all the same");
    stage.stop("alice").await.unwrap();
    bob.told("alice is closed", |told| told.status == "closed")
        .await
        .unwrap();
    let fetched = bob.fetch("alice").await.unwrap();
    assert_eq!(
        (fetched.status.as_str(), fetched.source.as_deref()),
        ("closed", Some("dht"))
    );
}

#[tokio::test]
async fn an_introduction_waits_for_an_inviter_who_is_away() {
    let mut stage = with_relays().await;
    let mut alice = join(&mut stage, "alice").await;
    let mut bob = join(&mut stage, "bob").await;
    let invite = alice.invite().await.unwrap();
    // The record has to be out before she goes.
    let seen = porchlight(&stage, "bob", &["add", &invite, "--wait", "0s", "--json"]).await;
    assert_eq!(seen.code, 0, "{seen:?}");
    alice.subscribed("bob").await.unwrap();
    let second = alice.invite_for(2).await.unwrap();
    let mut carol = join(&mut stage, "carol").await;
    carol.add(&second).await.unwrap();
    alice.subscribed("carol").await.unwrap();
    stage.stop("alice").await.unwrap();
    let _dave = join(&mut stage, "dave").await;
    let added = porchlight(&stage, "dave", &["add", &second, "--wait", "0s"]).await;
    assert_eq!(added.code, 0, "{added:?}");
    assert!(added.stdout.contains("has not answered yet"), "{added:?}");
    stage.start("alice").await.unwrap();
    alice.reconnect(&stage).await.unwrap();
    alice.subscribed("dave").await.unwrap();
    bob.told("alice is back", |told| told.contact == "alice" && told.status == "open")
        .await
        .unwrap();
}

#[tokio::test]
async fn an_invite_that_cannot_be_used_says_why_and_what_to_do() {
    let (mut stage, mut alice, _bob) = alice_and_bob().await;
    let _carol = join(&mut stage, "carol").await;
    let invite = alice.invite().await.unwrap();

    let cut_off = &invite[..invite.len() - 40];
    porchlight(&stage, "carol", &["add", cut_off])
        .await
        .failed(2, &["hint: paste the whole line"]);
    porchlight(&stage, "carol", &["add", "https://example.org"])
        .await
        .failed(2, &["porchlight:"]);

    let mut expired = Invite::parse(&invite).unwrap();
    expired.expires = UnixMillis(1_000);
    porchlight(&stage, "carol", &["add", &expired.to_uri()])
        .await
        .failed(5, &["1970", "ask for a new one", "hint: "]);

    let mut elsewhere = Invite::parse(&invite).unwrap();
    "another".clone_into(&mut elsewhere.network);
    porchlight(&stage, "carol", &["add", &elsewhere.to_uri()])
        .await
        .failed(8, &["'another'", "hint: "]);

    porchlight(&stage, "alice", &["add", &invite])
        .await
        .failed(8, &["your own"]);

    // Used once, which is as often as it may be.
    assert_eq!(porchlight(&stage, "carol", &["add", &invite]).await.code, 0);
    alice.subscribed("carol").await.unwrap();
    let _dave = join(&mut stage, "dave").await;
    let used_up = porchlight(&stage, "dave", &["add", &invite]).await;
    used_up.failed(5, &["used up", "hint: "]);
    // Already a contact.
    let again = alice.invite().await.unwrap();
    porchlight(&stage, "carol", &["add", &again])
        .await
        .failed(8, &["alice", "already"]);
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused_before_anything_happens() {
    let (mut stage, _alice, mut bob) = alice_and_bob().await;
    let mut carol = join(&mut stage, "carol").await;
    let invite = carol.invite().await.unwrap();
    porchlight(&stage, "bob", &["add", &invite, "--as", "alice"])
        .await
        .failed(8, &["'alice' is taken", "hint: "]);
    let added = porchlight(&stage, "bob", &["add", &invite, "--as", "carol"]).await;
    assert_eq!(added.code, 0, "the invite was not used up: {added:?}");
    bob.subscribed("carol").await.unwrap();
}
