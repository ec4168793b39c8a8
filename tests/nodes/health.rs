//! Whether a node knows how it is: that it is well, that it is cut off, and that it is well again.

use super::town::{alice_and_bob, porchlight, stage};
use porchlight::demo::person::Person;
use porchlight_rpc::methods::NodeHealth;
use porchlight_rpc::types::{self, Health};
use std::fs;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Asks until the answer is as expected.
async fn health_is(person: &mut Person, what: &str, fits: impl Fn(&Health) -> bool) -> Health {
    let mut last = None;
    let asked = timeout(Duration::from_secs(60), async {
        loop {
            let health = person.calls.call::<NodeHealth>(&types::Nothing {}).await.unwrap();
            if fits(&health) {
                return health;
            }
            last = Some(health);
            sleep(Duration::from_millis(20)).await;
        }
    });
    match asked.await {
        Ok(health) => health,
        Err(_) => panic!("expected {what}, got {last:?}"),
    }
}

fn has(health: &Health, kind: &str) -> bool {
    health.reasons.iter().any(|reason| reason.kind == kind)
}

#[tokio::test]
async fn a_node_that_is_cut_off_says_so_and_says_when_it_is_well_again() {
    let (mut stage, mut alice, _bob) = alice_and_bob().await;
    let health = health_is(&mut alice, "all to be well", |health| health.status == "ok").await;
    let lookups = health.checks.iter().find(|check| check.check == "lookups").unwrap();
    assert!(lookups.found.contains("have this node's card"), "{health:?}");
    let ran = porchlight(&stage, "alice", &["health"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stdout.starts_with("ok\n") && ran.stdout.contains("sources"),
        "{ran:?}"
    );

    for name in ["relay-1", "relay-2", "bob"] {
        stage.kill(name).await.unwrap();
    }
    let health = health_is(&mut alice, "to be cut off", |health| {
        has(health, "no_relay") && has(health, "no_live_source")
    })
    .await;
    assert_eq!(health.status, "degraded");
    let source = health
        .reasons
        .iter()
        .find(|reason| reason.kind == "no_live_source")
        .unwrap();
    assert!(source.message.contains("bob"), "{source:?}");
    alice
        .happened("be degraded", "node.degraded", |data| {
            data["reasons"]
                .as_array()
                .unwrap()
                .iter()
                .any(|kind| kind == "no_relay")
        })
        .await
        .unwrap();
    let ran = porchlight(&stage, "alice", &["health"]).await;
    assert_eq!(ran.code, 7, "{ran:?}");
    assert!(
        ran.stdout.starts_with("degraded\n") && ran.stdout.contains("no_relay: "),
        "{ran:?}"
    );
    let ran = porchlight(&stage, "alice", &["health", "--json"]).await;
    assert_eq!((ran.code, &ran.json()["status"]), (7, &"degraded".into()));

    stage.start_relays().await.unwrap();
    stage.start("bob").await.unwrap();
    health_is(&mut alice, "all to be well again", |health| health.status == "ok").await;
    alice.happened("recover", "node.recovered", |_| true).await.unwrap();
}

#[tokio::test]
async fn a_node_alone_says_what_it_lacks() {
    let mut stage = stage();
    stage.make_home("alice").unwrap();
    let file = stage.home("alice").join("config.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        text.replace("listen = [\"/ip4/127.0.0.1/tcp/0\"]", "listen = []"),
    )
    .unwrap();
    stage.start("alice").await.unwrap();
    let ran = porchlight(&stage, "alice", &["health"]).await;
    assert_eq!(ran.code, 7, "{ran:?}");
    assert!(ran.stdout.contains("listens_nowhere: "), "{ran:?}");
    assert!(
        ran.stdout.contains("no_relay: ") && ran.stdout.contains("--seed-peer"),
        "{ran:?}"
    );
    stage.stop("alice").await.unwrap();
    porchlight(&stage, "alice", &["health"])
        .await
        .failed(3, &["hint: start it with"]);
}
