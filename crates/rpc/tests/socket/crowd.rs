//! How much at once.

use crate::site::{Site, kind, patiently, request, settle, until};
use porchlight_rpc::methods::{ContactList, NodeStop};
use porchlight_rpc::server::{CALLS, CONNECTIONS};
use porchlight_rpc::{ClientError, Kind, Method, types};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

#[tokio::test]
async fn calls_of_one_connection_do_not_wait_for_each_other() {
    let site = Site::open();
    let mut raw = site.raw().await;
    raw.send(&request(json!("slow"), NodeStop::NAME, &json!({}))).await;
    let answer = raw
        .answer(&request(json!("quick"), ContactList::NAME, &json!({})))
        .await;
    assert_eq!(answer["id"], "quick");
    site.desk.door.add_permits(1);
    assert_eq!(raw.line().await.unwrap()["id"], "slow");
}

#[tokio::test]
async fn more_calls_than_may_be_under_way_wait_their_turn() {
    let site = Site::open();
    let mut raw = site.raw().await;
    let calls = 2 * CALLS;
    let all: Vec<u8> = (0..calls)
        .flat_map(|id| request(json!(id), NodeStop::NAME, &json!({})))
        .collect();
    raw.send(&all).await;
    until(|| site.desk.held.load(Ordering::SeqCst) == CALLS).await;
    settle().await;
    assert_eq!(site.desk.taken(NodeStop::NAME), CALLS);
    site.desk.door.add_permits(calls);
    let mut ids = BTreeSet::new();
    for _ in 0..calls {
        ids.insert(raw.line().await.unwrap()["id"].as_u64().unwrap());
    }
    assert_eq!(ids.len(), calls, "each was answered once");
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_a_place_becomes_free() {
    let site = Site::open();
    let mut inside = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut raw = site.raw().await;
        raw.works().await;
        inside.push(raw);
    }
    let mut outside = site.raw().await;
    let line = outside.line().await.unwrap();
    assert_eq!(kind(&line), "rate_limited");
    assert_eq!(line["error"]["data"]["retryable"], true);
    assert_eq!(line["id"], Value::Null);
    assert!(line["error"]["message"].as_str().unwrap().contains("64"), "{line}");
    assert_eq!(outside.line().await, None);
    for raw in &mut inside {
        raw.works().await;
    }

    // The client hears the reason also where the connection was closed before it could ask.
    let mut late = site.client().await;
    settle().await;
    let error = patiently(late.call::<ContactList>(&types::Nothing {}))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ClientError::Refused(error) if error.data.kind == Kind::RateLimited),
        "{error}"
    );

    inside.pop();
    patiently(async {
        while site
            .client()
            .await
            .call::<ContactList>(&types::Nothing {})
            .await
            .is_err()
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
