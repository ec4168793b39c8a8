//! Events that are pushed.

use crate::site::{Site, event, long_note, patiently, request, settle, settle_a_little, subscribe, until};
use porchlight_rpc::methods::{ContactList, EventsSubscribe};
use porchlight_rpc::server::{CALLS, SUBSCRIPTIONS};
use porchlight_rpc::types::Event;
use porchlight_rpc::{ClientError, Kind, Method, types};
use serde_json::json;

#[tokio::test]
async fn events_are_pushed_in_order_after_the_answer_and_between_answers() {
    let site = Site::open();
    let mut client = site.client().await;
    let reply = patiently(client.call::<EventsSubscribe>(&subscribe("doorbell")))
        .await
        .unwrap();
    assert_eq!(reply.consumer, "doorbell");
    until(|| !site.desk.subscriptions().is_empty()).await;
    let (consumer, sender) = site.desk.subscriptions().remove(0);
    assert_eq!(consumer, "doorbell");
    for number in 1..=3 {
        sender.send(event(number)).await.unwrap();
    }
    until(|| sender.capacity() == sender.max_capacity()).await;
    // Those that come before an answer are kept for whoever asks for them.
    patiently(client.call::<ContactList>(&types::Nothing {})).await.unwrap();
    sender.send(event(4)).await.unwrap();
    for number in 1..=4 {
        assert_eq!(patiently(client.next_event()).await.unwrap(), event(number));
    }
}

#[tokio::test]
async fn the_answer_to_a_subscription_comes_before_its_events() {
    let site = Site::open();
    let mut raw = site.raw().await;
    let params = serde_json::to_value(subscribe("doorbell")).unwrap();
    let answer = raw.answer(&request(json!(1), EventsSubscribe::NAME, &params)).await;
    assert_eq!(answer["id"], 1);
    until(|| !site.desk.subscriptions().is_empty()).await;
    let (_, sender) = site.desk.subscriptions().remove(0);
    sender.send(event(1)).await.unwrap();
    let pushed = raw.line().await.unwrap();
    assert_eq!(
        pushed,
        json!({"jsonrpc": "2.0", "method": "event", "params": {
            "number": 1, "at": "2026-01-02T03:04:05.678Z", "kind": "node.started", "data": {},
        }})
    );
}

#[tokio::test]
async fn subscriptions_do_not_take_the_places_of_calls_and_are_bounded() {
    let site = Site::open();
    let mut client = site.client().await;
    for _ in 0..SUBSCRIPTIONS {
        patiently(client.call::<EventsSubscribe>(&subscribe("many")))
            .await
            .unwrap();
    }
    for _ in 0..2 * CALLS {
        let error = patiently(client.call::<EventsSubscribe>(&subscribe("many")))
            .await
            .unwrap_err();
        assert!(
            matches!(&error, ClientError::Refused(error) if error.data.kind == Kind::RateLimited),
            "{error}"
        );
    }
    patiently(client.call::<ContactList>(&types::Nothing {})).await.unwrap();
    // One that the handler refuses takes no place either.
    let mut other = site.client().await;
    for _ in 0..2 * CALLS {
        let _ = patiently(other.call::<EventsSubscribe>(&subscribe("refused")))
            .await
            .unwrap_err();
    }
    patiently(other.call::<EventsSubscribe>(&subscribe("one")))
        .await
        .unwrap();
    drop((client, other));
    site.all_gone().await;
}

#[tokio::test]
async fn a_refused_subscription_pushes_nothing() {
    let site = Site::open();
    let mut client = site.client().await;
    let error = patiently(client.call::<EventsSubscribe>(&subscribe("refused")))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Refused(_)), "{error}");
    patiently(client.call::<ContactList>(&types::Nothing {})).await.unwrap();
    settle().await;
    assert!(site.desk.subscriptions().is_empty());
}

#[tokio::test]
async fn a_subscriber_that_never_reads_holds_up_neither_the_others_nor_the_handler() {
    let site = Site::open();
    let mut deaf = site.client().await;
    patiently(deaf.call::<EventsSubscribe>(&subscribe("deaf")))
        .await
        .unwrap();
    let mut other = site.client().await;
    patiently(other.call::<EventsSubscribe>(&subscribe("other")))
        .await
        .unwrap();
    until(|| site.desk.subscriptions().len() == 2).await;
    let (senders, mut taken) = (site.desk.subscriptions(), 0_u64);
    let big = Event {
        kind: "presence.own_changed".to_owned(),
        data: json!({"status": "open", "note": long_note()}),
        ..event(1)
    };
    // Events that wait for the deaf one are bounded: at some point no more are taken.
    while let Ok(permit) = senders[0].1.clone().try_reserve_owned() {
        permit.send(big.clone());
        taken += 1;
        settle_a_little().await;
        assert!(taken < 1_000, "there is no bound");
    }
    for number in 1..=100 {
        senders[1].1.send(event(number)).await.unwrap();
        assert_eq!(patiently(other.next_event()).await.unwrap().number, number);
    }
    drop((deaf, other));
    site.all_gone().await;
    until(|| senders.iter().all(|(_, sender)| sender.is_closed())).await;
}
