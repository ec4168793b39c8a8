//! Framed streams between nodes.

use super::raw::Raw;
use super::town::{Running, beacon, config, generation, ordinary, relay, start};
use porchlight_net::{BeaconSource, ExchangeFailure, NetCommand, NetEvent, Role};
use porchlight_wire::frame::{Admission, Refusal, Request, Response};

fn letter() -> Request {
    Request::Deliver {
        admission: Admission::Open,
        envelope: vec![7; 2_048],
    }
}

fn to(node: &Running, exchange: u64, request: Request) -> NetCommand {
    NetCommand::Request {
        exchange,
        to: node.node,
        addresses: vec![node.address.address.clone()],
        request,
    }
}

async fn response(node: &mut Running, wanted: u64) -> Response {
    node.event("a response", |event| match event {
        NetEvent::Response { exchange, response } if exchange == wanted => Some(response),
        NetEvent::ExchangeFailed { exchange, reason } if exchange == wanted => panic!("{reason}"),
        _ => None,
    })
    .await
}

/// Answers the next letter that comes; from whom it was.
async fn take_letter(node: &mut Running, answer: Response) -> porchlight_wire::ids::NodeId {
    let (from, exchange) = node
        .event("a letter", |event| match event {
            NetEvent::Request {
                from,
                exchange,
                request,
            } if request == letter() => Some((from, exchange)),
            _ => None,
        })
        .await;
    let response = answer;
    node.ask(NetCommand::Respond { exchange, response }).await;
    from
}

#[tokio::test]
async fn letters_are_exchanged_both_ways_over_one_connection() {
    let mut alice = start(config(Role::Ordinary, &[])).await;
    let mut bob = start(config(Role::Ordinary, &[])).await;
    bob.ask(to(&alice, 1, letter())).await;
    assert_eq!(take_letter(&mut alice, Response::Delivered {}).await, bob.node);
    assert_eq!(response(&mut bob, 1).await, Response::Delivered {});
    // Back again, without an address: the connection is there.
    let request = NetCommand::Request {
        exchange: 2,
        to: bob.node,
        addresses: Vec::new(),
        request: letter(),
    };
    alice.ask(request).await;
    let refused = Response::Refused {
        reason: Refusal::NotAdmitted,
    };
    assert_eq!(take_letter(&mut bob, refused.clone()).await, alice.node);
    assert_eq!(response(&mut alice, 2).await, refused);
    assert_eq!(alice.net.status().await.unwrap().peers.len(), 1);
}

#[tokio::test]
async fn a_node_that_cannot_be_reached_has_certainly_not_acted() {
    let gone = start(config(Role::Ordinary, &[])).await;
    let (node, address) = (gone.node, gone.address.address.clone());
    gone.net.stop().await;
    let mut alice = start(config(Role::Ordinary, &[])).await;
    let request = NetCommand::Request {
        exchange: 1,
        to: node,
        addresses: vec![address],
        request: letter(),
    };
    alice.ask(request).await;
    let reason = alice
        .event("the failure", |event| match event {
            NetEvent::ExchangeFailed { exchange: 1, reason } => Some(reason),
            _ => None,
        })
        .await;
    assert!(matches!(reason, ExchangeFailure::Unreachable(_)), "{reason:?}");
}

#[tokio::test]
async fn a_node_that_went_away_before_it_answered_may_have_acted() {
    let mut alice = start(config(Role::Ordinary, &[])).await;
    let mut bob = start(config(Role::Ordinary, &[])).await;
    bob.ask(to(&alice, 1, letter())).await;
    alice
        .event("the letter", |event| {
            matches!(event, NetEvent::Request { .. }).then_some(())
        })
        .await;
    alice.net.stop().await;
    let reason = bob
        .event("the failure", |event| match event {
            NetEvent::ExchangeFailed { exchange: 1, reason } => Some(reason),
            _ => None,
        })
        .await;
    assert!(matches!(reason, ExchangeFailure::Interrupted(_)), "{reason:?}");
}

#[tokio::test]
async fn a_record_is_put_got_and_followed_at_a_relay() {
    let relay = relay(&[]).await;
    let mut alice = ordinary(&[&relay]).await;
    let mut bob = ordinary(&[&relay]).await;
    let key = generation(21);
    let first = beacon(&key, 1);
    bob.ask(NetCommand::Follow {
        addresses: vec![first.pk()],
    })
    .await;
    let put = |bytes: &[u8]| Request::RecordPut { beacon: bytes.to_vec() };
    alice.ask(to(&relay, 1, put(first.bytes()))).await;
    assert_eq!(response(&mut alice, 1).await, Response::RecordKept {});
    let came = bob
        .event("what is followed", |event| match event {
            NetEvent::Beacon {
                beacon,
                source: BeaconSource::Follow(from),
            } if from == relay.node => Some(beacon),
            _ => None,
        })
        .await;
    assert_eq!(came, first);
    alice.ask(to(&relay, 2, put(beacon(&key, 3).bytes()))).await;
    response(&mut alice, 2).await;
    assert_eq!(bob.beacon().await.sequence(), 3);

    // Older ones and altered ones are refused, and say why.
    alice.ask(to(&relay, 3, put(beacon(&key, 2).bytes()))).await;
    let outdated = Response::Refused {
        reason: Refusal::Outdated,
    };
    assert_eq!(response(&mut alice, 3).await, outdated);
    let mut altered = beacon(&key, 4).bytes().to_vec();
    altered[500] ^= 1;
    alice.ask(to(&relay, 4, put(&altered))).await;
    let invalid = Response::Refused {
        reason: Refusal::Invalid,
    };
    assert_eq!(response(&mut alice, 4).await, invalid);
}

#[tokio::test]
async fn garbage_on_a_stream_ends_that_stream_and_nothing_else() {
    let relay = relay(&[]).await;
    let mut raw = Raw::connected_to(&relay.address).await;
    // No frame; a frame that says it has four gigabytes; half a frame's header and then silence is the other side's to end.
    assert_eq!(raw.write_frames(&[0, 0, 0, 3, 1, 2, 3]).await.len(), 0);
    assert_eq!(raw.write_frames(&[0xff; 64]).await.len(), 0);
    let mut alice = ordinary(&[&relay]).await;
    let key = generation(22);
    assert_eq!(alice.put(1, beacon(&key, 1)).await, (1, 1));
}
