//! Mailboxes at real relays: for those who are never there at once.

use super::town::{join, porchlight, with_relays};
use porchlight::demo::search::search_folder;
use porchlight::demo::stage::{PATIENCE, RELAYS, Stage};
use porchlight_wire::ids::PrincipalId;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Asks a node the same again until its answer fits.
pub async fn until(stage: &Stage, name: &str, method: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let mut client = stage.client(name).await.unwrap();
    let asked = async {
        loop {
            let answer = client.call_raw(method, json!({})).await.unwrap();
            if fits(&answer) {
                return answer;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, asked)
        .await
        .unwrap_or_else(|_| panic!("{name}: {method} never said so"))
}

/// Waits until a node has its mailboxes at both relays.
pub async fn registered(stage: &Stage, name: &str) {
    until(stage, name, "relay.list", |answer| {
        let relays = answer["relays"].as_array().unwrap();
        let there = |relay: &&Value| relay["mailbox"]["registered_until_at"].is_string();
        relays.iter().filter(there).count() == 2
    })
    .await;
}

/// Waits until so many envelopes are kept at a relay.
pub async fn kept(stage: &Stage, relay: &str, envelopes: u64) {
    until(stage, relay, "node.info", |info| {
        info["keeps"]["envelopes"] == json!(envelopes)
    })
    .await;
}

#[tokio::test]
async fn rfc2779_2_3_7_an_invite_makes_contacts_of_two_who_are_never_there_at_once() {
    let mut stage = with_relays().await;
    let mut alice = join(&mut stage, "alice").await;
    registered(&stage, "alice").await;
    let invite = alice.invite().await.unwrap();
    stage.stop("alice").await.unwrap();

    let bob = join(&mut stage, "bob").await;
    registered(&stage, "bob").await;
    let added = porchlight(&stage, "bob", &["add", &invite, "--wait", "0s", "--json"]).await;
    assert_eq!(added.code, 0, "{added:?}");
    for relay in RELAYS {
        kept(&stage, relay, 1).await;
    }
    stage.stop("bob").await.unwrap();
    // Nor do the relays forget it, when they are killed.
    for relay in RELAYS {
        stage.kill(relay).await.unwrap();
        stage.start(relay).await.unwrap();
    }

    // What lies on their disks names nobody.
    let secrets: Vec<Vec<u8>> = [&alice, &bob]
        .iter()
        .flat_map(|person| {
            let principal: PrincipalId = person.principal.parse().unwrap();
            [principal.as_bytes().to_vec(), person.principal.clone().into_bytes()]
        })
        .chain([b"introduce".to_vec()])
        .collect();
    for relay in RELAYS {
        assert_eq!(search_folder(&stage.home(relay), &secrets).unwrap(), 0, "{relay}");
    }

    stage.start("alice").await.unwrap();
    alice.reconnect(&stage).await.unwrap();
    alice.subscribed("bob").await.unwrap();
    for relay in RELAYS {
        // Her grant took the place of his introduction.
        kept(&stage, relay, 1).await;
    }
    let watchers = porchlight(&stage, "alice", &["watchers", "--json"]).await.json();
    assert_eq!(
        watchers["watchers"][0]["state"], "waiting",
        "he has not said that he has it"
    );
    stage.stop("alice").await.unwrap();

    stage.start("bob").await.unwrap();
    let contacts = until(&stage, "bob", "contact.list", |answer| {
        answer["contacts"][0]["subscription"] == "active"
    })
    .await;
    assert_eq!(contacts["contacts"][0]["name"], "alice");
    for relay in RELAYS {
        kept(&stage, relay, 1).await;
    }
    stage.stop("bob").await.unwrap();
    stage.start("alice").await.unwrap();
    until(&stage, "alice", "watcher.list", |answer| {
        answer["watchers"][0]["state"] == "active"
    })
    .await;
}

#[tokio::test]
async fn relays_are_listed_chosen_and_tested() {
    let mut stage = with_relays().await;
    let _alice = join(&mut stage, "alice").await;
    registered(&stage, "alice").await;
    let listed = porchlight(&stage, "alice", &["relay", "ls"]).await;
    assert_eq!(listed.stdout.matches("seed peer").count(), 2, "{listed:?}");
    assert!(listed.stdout.contains("0 envelopes of 280"), "{listed:?}");
    let json = porchlight(&stage, "alice", &["relay", "ls", "--json"]).await.json();
    let second = json["relays"][1]["node"].as_str().unwrap().to_owned();

    let used = porchlight(&stage, "alice", &["relay", "use", &second, "--json"])
        .await
        .json();
    assert_eq!(used["relay"]["chosen"], true);
    let json = porchlight(&stage, "alice", &["relay", "ls", "--json"]).await.json();
    assert_eq!(json["relays"][0]["node"], second.as_str(), "chosen ones come first");
    let stopped = porchlight(&stage, "alice", &["relay", "use", &second, "--stop", "--json"]).await;
    assert!(stopped.json()["relay"].get("mailbox").is_none(), "{stopped:?}");

    let tested = porchlight(&stage, "alice", &["relay", "test", &second]).await;
    assert_eq!(tested.code, 0, "{tested:?}");
    assert!(tested.stdout.contains("it answers, and is a relay"), "{tested:?}");
    stage.kill("relay-2").await.unwrap();
    until(&stage, "alice", "net.peers", |answer| {
        answer["peers"].as_array().unwrap().len() < 2
    })
    .await;
    let gone = porchlight(&stage, "alice", &["relay", "test", &second, "--json"]).await;
    assert_eq!(gone.code, 6, "{gone:?}");
    let unknown = porchlight(&stage, "alice", &["relay", "test", "nonsense"]).await;
    unknown.failed(2, &["relay: expected an address", "hint: "]);

    let status = porchlight(&stage, "relay-1", &["status"]).await;
    assert!(status.stdout.contains("keeps      1 mailbox for others"), "{status:?}");
}
