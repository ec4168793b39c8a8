//! What clients do not do that they should.

use crate::site::{LONG, Site, patiently, request, settle, settle_a_little, subscribe, until};
use porchlight_rpc::methods::{ContactList, EventsSubscribe, NodeStop};
use porchlight_rpc::server::{CALLS, CONNECTIONS};
use porchlight_rpc::{Method, types};
use serde_json::json;
use std::sync::atomic::Ordering;
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn a_client_that_never_reads_is_not_served_further_and_harms_nobody() {
    const REQUESTS: usize = 1_000;
    let site = Site::open();
    let mut deaf = site.raw().await;
    let flood: Vec<u8> = (0..REQUESTS)
        .flat_map(|id| request(json!(id), "presence.list", &json!({})))
        .collect();
    let (mut other, mut served) = (site.client().await, 0);
    let sending = tokio::spawn(async move {
        // It waits for the server sooner or later, and that is what is wanted.
        let _ = deaf.write.write_all(&flood).await;
        std::future::pending::<()>().await;
        drop(deaf);
    });
    // Answers that wait, and calls that wait for a place among them.
    until(|| site.desk.taken("presence.list") >= 64 + CALLS).await;
    for _ in 0..100 {
        patiently(other.call::<ContactList>(&types::Nothing {})).await.unwrap();
        settle_a_little().await;
        served += 1;
    }
    settle().await;
    let taken = site.desk.taken("presence.list");
    assert_eq!(served, 100);
    assert!(
        taken < REQUESTS / 2,
        "{taken} answers of {LONG} bytes were made for nobody"
    );
    drop(other);
    sending.abort();
    site.all_gone().await;
}

#[tokio::test]
async fn a_client_that_subscribed_and_left_leaves_no_trace() {
    let site = Site::open();
    for _ in 0..2 * CONNECTIONS {
        let mut client = site.client().await;
        patiently(client.call::<EventsSubscribe>(&subscribe("one")))
            .await
            .unwrap();
        drop(client);
        // No event comes, at which its going away would be noticed.
        site.all_gone().await;
    }
    until(|| site.desk.subscriptions().iter().all(|(_, sender)| sender.is_closed())).await;
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_a_call_leaves_no_trace() {
    let site = Site::open();
    let mut raw = site.raw().await;
    raw.send(&request(json!(1), NodeStop::NAME, &json!({}))).await;
    until(|| site.desk.held.load(Ordering::SeqCst) == 1).await;
    drop(raw);
    site.desk.door.add_permits(1);
    site.all_gone().await;
}

#[tokio::test]
async fn who_says_that_nothing_more_comes_is_still_answered() {
    let site = Site::open();
    let mut raw = site.raw().await;
    raw.send(&request(json!(1), NodeStop::NAME, &json!({}))).await;
    raw.write.shutdown().await.unwrap();
    until(|| site.desk.held.load(Ordering::SeqCst) == 1).await;
    settle().await;
    site.desk.door.add_permits(1);
    assert_eq!(raw.line().await.unwrap()["result"], json!({"stopping": true}));
    assert_eq!(raw.line().await, None);
}

#[tokio::test]
async fn what_is_under_way_when_the_server_ends_is_answered() {
    let site = Site::open();
    let mut raw = site.raw().await;
    raw.send(&request(json!(1), NodeStop::NAME, &json!({}))).await;
    until(|| site.desk.held.load(Ordering::SeqCst) == 1).await;
    let Site { desk, serving, end, .. } = site;
    drop(end);
    settle().await;
    // What comes now is not read any more.
    raw.send(&request(json!(2), ContactList::NAME, &json!({}))).await;
    desk.door.add_permits(1);
    patiently(serving).await.unwrap();
    assert_eq!(raw.line().await.unwrap()["id"], 1);
    assert!(!matches!(patiently(raw.read.next_line()).await, Ok(Some(_))));
    assert_eq!(desk.taken(ContactList::NAME), 0);
}
