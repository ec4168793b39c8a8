//! Taking access back, and showing different people different things.

use super::town::{befriend, join, porchlight, with_relays};
use porchlight::demo::person::Person;
use porchlight::demo::search::search_memory;
use porchlight::demo::stage::{NETWORK, PATIENCE, RELAYS, Stage};
use porchlight::passphrase::Source;
use porchlight_net::Hostile;
use porchlight_rpc::methods::NodeInfo;
use porchlight_rpc::types::{self, Told};
use porchlight_store::DurabilitySetting;
use porchlight_wire::beacon::VerifiedBeacon;
use porchlight_wire::blind::{Epoch, Kind, ReadKey};
use porchlight_wire::frame::{Request, Response};
use porchlight_wire::ids::NodeAddress;
use porchlight_wire::network::Network;
use porchlight_wire::presence::PresenceState;
use porchlight_wire::time::UnixMillis;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, timeout};

fn is<'a>(contact: &'a str, status: &'a str) -> impl Fn(&Told) -> bool + 'a {
    move |told| told.contact == contact && told.status == status
}

async fn three() -> (Stage, Person, Person, Person) {
    let mut stage = with_relays().await;
    let mut alice = join(&mut stage, "alice").await;
    let mut bob = join(&mut stage, "bob").await;
    let mut carol = join(&mut stage, "carol").await;
    for watcher in [&mut bob, &mut carol] {
        befriend(&mut alice, watcher).await;
        watcher.told("alice is open", is("alice", "open")).await.unwrap();
    }
    (stage, alice, bob, carol)
}

#[tokio::test]
async fn rfc2779_5_1_16_who_was_removed_learns_nothing_more_and_the_others_notice_nothing() {
    const SECRET: &str = "nothing for carol to know";
    let (mut stage, mut alice, mut bob, mut carol) = three().await;
    alice.remove("carol").await.unwrap();
    carol.cancelled("alice").await.unwrap();
    alice.set("busy", Some(SECRET)).await.unwrap();
    let told = bob.told("alice is busy", |told| told.contact == "alice").await.unwrap();
    assert_eq!((told.status.as_str(), told.notes[0].text.as_str()), ("busy", SECRET));
    carol.fetch("alice").await.unwrap_err();
    if let Ok(places) = search_memory(stage.pid("bob").unwrap(), &[SECRET.as_bytes().to_vec()]) {
        assert!(places > 0, "the search is a search");
        let at_carols = search_memory(stage.pid("carol").unwrap(), &[SECRET.as_bytes().to_vec()]).unwrap();
        assert_eq!(at_carols, 0);
    }
    let contacts = porchlight(&stage, "carol", &["contacts", "--json"]).await.json();
    assert_eq!(contacts["contacts"][0]["subscription"], "cancelled");
    // Everything holds after a restart, and a new invite is a new beginning.
    stage.kill("alice").await.unwrap();
    stage.start("alice").await.unwrap();
    alice.reconnect(&stage).await.unwrap();
    alice.set("away", None).await.unwrap();
    bob.told("alice is away", is("alice", "away")).await.unwrap();
    let invite = alice.invite().await.unwrap();
    carol.add(&invite).await.unwrap();
    carol.subscribed("alice").await.unwrap();
    carol.told("alice is away", is("alice", "away")).await.unwrap();
}

/// What somebody holds of a contact's, as it lies in their home.
fn held(stage: &Stage, name: &str, of: &Person) -> ReadKey {
    let home = porchlight::home::open(&stage.home(name), DurabilitySetting::Full, &Source::Terminal).unwrap();
    let contact = &home.opened.snapshot.contacts[&of.principal.parse().unwrap()];
    contact.held.as_ref().unwrap().read.clone()
}

fn unix_now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixMillis(u64::try_from(since.as_millis()).unwrap())
}

/// Epochs around today's.
fn epochs(key: &ReadKey) -> [Epoch; 3] {
    let today = key.epoch(Kind::Presence, unix_now());
    [Epoch(today.0 - 1), today, Epoch(today.0 + 1)]
}

/// What a key opens of recorded bytes, with its sequence.
fn opened(key: &ReadKey, network: &Network, bytes: &[u8]) -> Option<(u64, PresenceState)> {
    let beacon = VerifiedBeacon::verify(bytes, network, unix_now()).unwrap();
    let payload = epochs(key).iter().find_map(|epoch| beacon.open(key, *epoch, 0).ok())?;
    Some((beacon.sequence(), PresenceState::from_bytes(&payload).unwrap()))
}

async fn hear(recorder: &mut Hostile) -> Vec<u8> {
    let heard = timeout(PATIENCE, recorder.hear()).await;
    heard.expect("something passes by").unwrap()
}

#[tokio::test]
async fn rfc2779_5_1_16_who_was_removed_and_records_every_byte_reads_nothing_that_follows() {
    const BEFORE: &str = "carol may know this";
    let (mut stage, mut alice, mut bob, _) = three().await;
    // Somebody with carol's keys takes every record that passes by either relay.
    stage.stop("carol").await.unwrap();
    let key = held(&stage, "carol", &alice);
    let network = Network::named(NETWORK).unwrap();
    let mut relays: Vec<NodeAddress> = Vec::new();
    for relay in RELAYS {
        let mut node = stage.client(relay).await.unwrap();
        let info = node.call::<NodeInfo>(&types::Nothing {}).await.unwrap();
        relays.push(info.listening[0].parse().unwrap());
    }
    let mut recorder = Hostile::connect([7; 32], &network, &relays).await.unwrap();
    alice.set("busy", Some(BEFORE)).await.unwrap();
    // The search is a search: with the keys, what passes is read.
    loop {
        let bytes = hear(&mut recorder).await;
        if opened(&key, &network, &bytes).is_some_and(|(_, state)| state.document.notes[0].text == BEFORE) {
            break;
        }
    }
    alice.remove("carol").await.unwrap();
    let mut newest = 0;
    for (status, note) in [
        ("away", "the first thing that follows"),
        ("busy", "the second"),
        ("open", "the third"),
    ] {
        alice.set(status, Some(note)).await.unwrap();
        newest = bob.told(note, is("alice", status)).await.unwrap().sequence.unwrap();
    }
    // Until the last of it has passed, and the end of what carol could read.
    let (mut passed, mut ended, mut recorded) = (false, false, 0);
    let patience = Instant::now() + PATIENCE;
    while !(passed && ended) {
        assert!(Instant::now() < patience, "passed: {passed}, ended: {ended}");
        let bytes = hear(&mut recorder).await;
        recorded += 1;
        passed |= VerifiedBeacon::verify(&bytes, &network, unix_now()).unwrap().sequence() == newest;
        if let Some((_, state)) = opened(&key, &network, &bytes) {
            ended |= state.ended;
            // What was on its way when she was removed is as she saw it before.
            let before = state.document.notes.first().is_none_or(|note| note.text == BEFORE);
            assert!(before, "{state:?}");
        }
    }
    assert!(recorded >= 4, "{recorded}");
    // Nor is there anything else at the places that she can work out.
    for relay in &relays {
        for epoch in epochs(&key) {
            let address = key.blinded(Kind::Presence, epoch, 0);
            // A relay may have what was there before until the end of it reaches that relay too.
            loop {
                let answer = recorder.ask(&relay.node, Request::RecordGet { address }).await;
                let Some(Response::Record { beacon }) = answer else {
                    panic!("expected an answer, got {answer:?}");
                };
                let Some((_, state)) = beacon.map(|bytes| opened(&key, &network, &bytes).unwrap()) else {
                    break;
                };
                if state.ended {
                    assert!(state.document.notes.is_empty(), "{state:?}");
                    break;
                }
                assert_eq!(state.document.notes[0].text, BEFORE);
                assert!(Instant::now() < patience, "it is still there: {state:?}");
            }
        }
    }
}

#[tokio::test]
async fn rfc2779_5_1_16_who_was_removed_while_away_is_told_when_they_are_back() {
    let (mut stage, mut alice, mut bob, mut carol) = three().await;
    for name in ["bob", "carol"] {
        stage.stop(name).await.unwrap();
    }
    alice.remove("carol").await.unwrap();
    // Killed right after: what was promised is on disk.
    stage.kill("alice").await.unwrap();
    stage.start("alice").await.unwrap();
    alice.reconnect(&stage).await.unwrap();
    alice.set("busy", None).await.unwrap();
    let listed = porchlight(&stage, "alice", &["watchers", "--json"]).await.json();
    let states: Vec<&str> = listed["watchers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|watcher| watcher["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["waiting", "terminated"], "{listed}");
    stage.start("carol").await.unwrap();
    carol.reconnect(&stage).await.unwrap();
    carol.cancelled("alice").await.unwrap();
    stage.start("bob").await.unwrap();
    bob.reconnect(&stage).await.unwrap();
    bob.told("alice is busy", is("alice", "busy")).await.unwrap();
}

#[tokio::test]
async fn rfc2779_2_3_1_views_by_command_line_show_each_what_they_may_see() {
    let (stage, mut alice, mut bob, mut carol) = three().await;
    let made = porchlight(&stage, "alice", &["view", "create", "work", "--shows", "status"]).await;
    assert_eq!(made.code, 0, "{made:?}");
    let moved = porchlight(&stage, "alice", &["contact", "view", "carol", "work"]).await;
    assert_eq!(moved.code, 0, "{moved:?}");
    carol.subscribed("alice").await.unwrap();
    alice.set("busy", Some("for friends")).await.unwrap();
    let told = bob.told("alice is busy", is("alice", "busy")).await.unwrap();
    assert_eq!(told.notes[0].text, "for friends");
    let told = carol.told("alice is busy", is("alice", "busy")).await.unwrap();
    assert!(told.notes.is_empty(), "{told:?}");
    let views = porchlight(&stage, "alice", &["view", "list"]).await;
    assert!(
        views.stdout.contains("work") && views.stdout.contains("carol"),
        "{views:?}"
    );
    let deleted = porchlight(&stage, "alice", &["view", "delete", "work"]).await;
    deleted.failed(8, &["in use by carol", "contact view"]);
    let unknown = porchlight(&stage, "alice", &["contact", "view", "carol", "wrok"]).await;
    unknown.failed(5, &["no view called 'wrok'", "view list"]);
    let revoked = porchlight(&stage, "alice", &["grant", "revoke", "carol"]).await;
    assert_eq!(revoked.code, 0, "{revoked:?}");
    carol.cancelled("alice").await.unwrap();
    let grants = porchlight(&stage, "alice", &["grant", "list", "--json"]).await.json();
    assert_eq!(grants["grants"].as_array().unwrap().len(), 1, "{grants}");
}

#[tokio::test]
async fn an_invite_that_was_revoked_lets_nobody_in() {
    let mut stage = with_relays().await;
    let mut alice = join(&mut stage, "alice").await;
    let mut bob = join(&mut stage, "bob").await;
    let invite = alice.invite().await.unwrap();
    let listed = porchlight(&stage, "alice", &["invite", "list", "--json"]).await.json();
    let id = listed["invites"][0]["invite"].as_str().unwrap().to_owned();
    assert_eq!(listed["invites"][0]["uses_left"], 1);
    let revoked = porchlight(&stage, "alice", &["invite", "revoke", &id]).await;
    assert_eq!(revoked.code, 0, "{revoked:?}");
    // Whether or not the network has heard of it yet: alice's node has.
    if bob.add(&invite).await.is_ok() {
        bob.happened("be refused", "contact.refused", |_| true).await.unwrap();
    }
    let contacts = porchlight(&stage, "alice", &["contacts", "--json"]).await.json();
    assert_eq!(contacts["contacts"].as_array().unwrap().len(), 0, "{contacts}");
    let nonsense = porchlight(&stage, "alice", &["invite", "revoke", "x"]).await;
    nonsense.failed(2, &["invite list"]);
}

#[tokio::test]
async fn rfc2779_2_5_4_who_is_public_is_seen_by_whoever_knows_the_id() {
    let mut stage = with_relays().await;
    let mut alice = join(&mut stage, "alice").await;
    let mut bob = join(&mut stage, "bob").await;
    let id = alice.principal.clone();
    porchlight(&stage, "bob", &["who", &id])
        .await
        .failed(5, &["nothing is public", "ask them for an invite"]);
    let made = porchlight(&stage, "alice", &["view", "create", "public", "--shows", "status"]).await;
    assert!(
        made.stdout.contains("you are public") && made.stdout.contains(&id),
        "{made:?}"
    );
    alice.set("busy", Some("not for everyone")).await.unwrap();
    // The sheet is on its way: one who asks too early asks again.
    let mut added = porchlight(&stage, "bob", &["add", &id, "--as", "news"]).await;
    while added.code == 5 {
        added = porchlight(&stage, "bob", &["add", &id, "--as", "news"]).await;
    }
    assert!(
        added.stdout.contains("you watch what news shows to everyone"),
        "{added:?}"
    );
    let told = bob.told("alice is busy", is("news", "busy")).await.unwrap();
    assert!(told.notes.is_empty());
    alice.set("away", None).await.unwrap();
    bob.told("alice is away", is("news", "away")).await.unwrap();
    let contacts = porchlight(&stage, "alice", &["contacts", "--json"]).await.json();
    assert_eq!(contacts["contacts"].as_array().unwrap().len(), 0);
    let ended = porchlight(&stage, "alice", &["view", "delete", "public"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    bob.cancelled("news").await.unwrap();
}
