//! Following at the presentity's own node: who proves to hold the view is told, and to everybody else there is nothing.

use super::raw::{Frames, Raw};
use super::town::{Running, beacon, config, generation, now, ordinary, relay, start};
use porchlight_net::{BeaconSource, NetCommand, NetEvent, Role};
use porchlight_wire::beacon::VerifiedBeacon;
use porchlight_wire::blind::{BlindedKey, GenerationKey, Kind};
use porchlight_wire::follow::{FollowKey, FollowProof};
use porchlight_wire::frame::{Refusal, Request, Response};
use porchlight_wire::ids::{Address, NodeId};
use porchlight_wire::limits::FOLLOWED_DIRECTLY;
use std::collections::BTreeMap;

/// The address of a view's presence today, and what proves that one holds it.
fn place(key: &GenerationKey) -> (BlindedKey, FollowKey) {
    let read = key.read_key();
    let epoch = read.epoch(Kind::Presence, now());
    (
        read.blinded(Kind::Presence, epoch, 0),
        read.follow_key(Kind::Presence, epoch, 0),
    )
}

fn proof(key: &GenerationKey, follower: &NodeId, at: &NodeId) -> FollowProof {
    place(key).1.prove(follower, at)
}

async fn serves(node: &Running, keys: &[GenerationKey]) {
    let views: BTreeMap<BlindedKey, FollowKey> = keys.iter().map(place).collect();
    node.ask(NetCommand::Serve { views }).await;
}

async fn says(node: &Running, beacon: &VerifiedBeacon) {
    let beacon = beacon.clone();
    node.ask(NetCommand::Gossip { beacon }).await;
}

fn following(follower: &Running, at: &Running, key: &GenerationKey, reach: Vec<Address>) -> NetCommand {
    NetCommand::FollowAt {
        node: at.node,
        reach,
        addresses: vec![place(key).0],
        proofs: vec![proof(key, &follower.node, &at.node)],
    }
}

/// Whether the node at which something is followed tells it.
async fn followed(node: &mut Running) -> (NodeId, bool) {
    let answer = |event| match event {
        NetEvent::Followed { node, told } => Some((node, told)),
        _ => None,
    };
    node.event("whether it is told", answer).await
}

async fn told(node: &mut Running) -> (VerifiedBeacon, BeaconSource) {
    let news = |event| match event {
        NetEvent::Beacon { beacon, source } => Some((beacon, source)),
        _ => None,
    };
    node.event("a beacon", news).await
}

#[tokio::test]
async fn rfc2779_2_4_1_who_holds_the_view_follows_at_the_node_itself_and_no_relay_is_there() {
    let alice = ordinary(&[]).await;
    let mut bob = ordinary(&[]).await;
    let key = generation(120);
    serves(&alice, std::slice::from_ref(&key)).await;
    says(&alice, &beacon(&key, 1)).await;
    // They are not connected: the node is dialled where it was said to be.
    let reach = vec![alice.address.address.clone()];
    bob.ask(following(&bob, &alice, &key, reach)).await;
    assert_eq!(followed(&mut bob).await, (alice.node, true));
    let source = BeaconSource::Follow(alice.node);
    assert_eq!(told(&mut bob).await, (beacon(&key, 1), source));
    bob.live_is("a source for what is followed", |live| {
        live.iter()
            .any(|live| live.node == alice.node && live.followed.contains(&place(&key).0))
    })
    .await;
    for sequence in 2..5 {
        says(&alice, &beacon(&key, sequence)).await;
        assert_eq!(told(&mut bob).await, (beacon(&key, sequence), source));
    }
    let stop = NetCommand::FollowAt {
        node: alice.node,
        reach: Vec::new(),
        addresses: Vec::new(),
        proofs: Vec::new(),
    };
    bob.ask(stop).await;
    bob.live_is("nothing followed", |live| {
        live.iter().all(|live| live.followed.is_empty())
    })
    .await;
}

#[tokio::test]
async fn what_gossip_brings_is_not_told_again() {
    let mut relay = relay(&[]).await;
    let mut alice = ordinary(&[&relay]).await;
    let mut bob = ordinary(&[&relay]).await;
    alice.join(&mut relay).await;
    bob.join(&mut relay).await;
    let key = generation(121);
    serves(&alice, std::slice::from_ref(&key)).await;
    let reach = vec![alice.address.address.clone()];
    bob.ask(following(&bob, &alice, &key, reach)).await;
    assert_eq!(followed(&mut bob).await, (alice.node, true));
    let bobs = bob.node;
    alice
        .live_is("bob in the topic", |live| {
            live.iter().any(|live| live.node == bobs && !live.topics.is_empty())
        })
        .await;
    for sequence in 1..4 {
        says(&alice, &beacon(&key, sequence)).await;
        assert_eq!(told(&mut bob).await.0, beacon(&key, sequence));
    }
    let status = bob.net.status().await.unwrap();
    assert_eq!(status.counters.stream.accepted + status.counters.stream.outdated, 0);
}

async fn answer(frames: &mut Frames, exchange: u64, addresses: &[BlindedKey], proofs: &[FollowProof]) -> Response {
    let follow = Request::RecordFollow {
        addresses: addresses.to_vec(),
        proofs: proofs.to_vec(),
    };
    frames.ask(exchange, follow).await;
    let (number, response) = frames.answer().await.unwrap();
    assert_eq!(number, exchange);
    response
}

#[tokio::test]
async fn a_stranger_who_knows_the_nodes_address_and_not_the_view_gets_nothing() {
    let alice = ordinary(&[]).await;
    let mut raw = Raw::connected_to(&alice.address).await;
    let (eve, key) = (raw.address.node, generation(122));
    serves(&alice, std::slice::from_ref(&key)).await;
    says(&alice, &beacon(&key, 1)).await;
    let (there, nowhere) = (place(&key).0, place(&generation(123)).0);
    let mut frames = raw.frames().await;
    let refused = Response::Refused {
        reason: Refusal::NotServed,
    };
    let bobs = proof(&key, &beacon_node(), &alice.node);
    let elsewhere = proof(&key, &eve, &beacon_node());
    let tries: Vec<Vec<FollowProof>> = vec![
        Vec::new(),
        vec![FollowProof::from_bytes([0; 32])],
        vec![proof(&generation(124), &eve, &alice.node)],
        // What another follower sent to alice, and what she herself sent to another node.
        vec![bobs],
        vec![elsewhere],
    ];
    let mut exchange = 0;
    for proofs in tries {
        for address in [there, nowhere] {
            exchange += 1;
            // Word for word the same, whether or not she has what is asked for.
            assert_eq!(answer(&mut frames, exchange, &[address], &proofs).await, refused);
        }
    }
    // Nothing comes later either: whatever she says next, the next answer is to the next question.
    says(&alice, &beacon(&key, 2)).await;
    frames.ask(99, Request::RecordGet { address: there }).await;
    assert_eq!(frames.answer().await, Some((99, Response::Record { beacon: None })));
    // The same stranger, once let in: it is the proof that decides. What is not proven is left out.
    let proofs = [proof(&key, &eve, &alice.node), bobs];
    let follows = answer(&mut frames, 100, &[there, nowhere], &proofs).await;
    assert_eq!(follows, Response::Record { beacon: None });
    let Some((100, Response::Record { beacon: Some(bytes) })) = frames.answer().await else {
        panic!("expected a beacon");
    };
    assert_eq!(bytes.as_slice(), beacon(&key, 2).bytes());
}

#[tokio::test]
async fn of_many_addresses_an_ordinary_node_looks_at_a_few() {
    let alice = ordinary(&[]).await;
    let mut raw = Raw::connected_to(&alice.address).await;
    let (bob, key) = (raw.address.node, generation(130));
    serves(&alice, std::slice::from_ref(&key)).await;
    let mut frames = raw.frames().await;
    let others: Vec<BlindedKey> = (0..FOLLOWED_DIRECTLY)
        .map(|n| BlindedKey::from_bytes([u8::try_from(n).unwrap(); 32]))
        .collect();
    let proofs = vec![proof(&key, &bob, &alice.node); FOLLOWED_DIRECTLY + 1];
    let after: Vec<BlindedKey> = others.iter().copied().chain([place(&key).0]).collect();
    let refused = Response::Refused {
        reason: Refusal::NotServed,
    };
    assert_eq!(answer(&mut frames, 1, &after, &proofs).await, refused);
    let among: Vec<BlindedKey> = after.into_iter().skip(1).collect();
    let follows = answer(&mut frames, 2, &among, &proofs[1..]).await;
    assert_eq!(follows, Response::Record { beacon: None });
}

/// A node that is nobody here.
fn beacon_node() -> NodeId {
    porchlight_net::node_id(&[119; 32]).unwrap()
}

#[tokio::test]
async fn a_view_that_is_served_no_longer_is_followed_no_longer() {
    let alice = ordinary(&[]).await;
    let mut bob = ordinary(&[]).await;
    let (old, new) = (generation(125), generation(126));
    serves(&alice, std::slice::from_ref(&old)).await;
    let reach = vec![alice.address.address.clone()];
    bob.ask(following(&bob, &alice, &old, reach.clone())).await;
    assert_eq!(followed(&mut bob).await, (alice.node, true));
    serves(&alice, std::slice::from_ref(&new)).await;
    assert_eq!(followed(&mut bob).await, (alice.node, false));
    // He is told nothing of the old one, and of the new one once he holds it.
    says(&alice, &beacon(&old, 1)).await;
    says(&alice, &beacon(&new, 1)).await;
    bob.ask(following(&bob, &alice, &new, reach)).await;
    assert_eq!(followed(&mut bob).await, (alice.node, true));
    assert_eq!(told(&mut bob).await.0, beacon(&new, 1));
}

#[tokio::test]
async fn who_cannot_be_reached_or_is_gone_is_said_to_tell_nothing() {
    let alice = ordinary(&[]).await;
    let mut bob = ordinary(&[]).await;
    let key = generation(127);
    serves(&alice, std::slice::from_ref(&key)).await;
    bob.ask(following(&bob, &alice, &key, Vec::new())).await;
    assert_eq!(followed(&mut bob).await, (alice.node, false), "no address is known");
    let reach = vec![alice.address.address.clone()];
    bob.ask(following(&bob, &alice, &key, reach.clone())).await;
    assert_eq!(followed(&mut bob).await, (alice.node, true));
    alice.net.stop().await;
    assert_eq!(followed(&mut bob).await, (alice.node, false));
    bob.ask(following(&bob, &alice, &key, reach)).await;
    assert_eq!(followed(&mut bob).await, (alice.node, false), "nobody listens there");
}

#[tokio::test]
async fn at_a_relay_that_is_named_and_ones_own_all_is_followed_at_once() {
    let relay = start(config(Role::Relay, &[])).await;
    let mut bob = ordinary(&[&relay]).await;
    let (one, other) = (generation(128), generation(129));
    for key in [&one, &other] {
        says(&relay, &beacon(key, 1)).await;
    }
    bob.ask(NetCommand::Follow {
        addresses: vec![place(&one).0],
    })
    .await;
    assert_eq!(told(&mut bob).await.0, beacon(&one, 1));
    // Whether as a contact's own node, with a proof, or as a contact's relay, without one.
    bob.ask(following(&bob, &relay, &other, Vec::new())).await;
    assert_eq!(told(&mut bob).await.0, beacon(&other, 1));
    bob.live_is("both followed", |live| live.iter().any(|live| live.followed.len() == 2))
        .await;
    for key in [&one, &other] {
        says(&relay, &beacon(key, 2)).await;
        assert_eq!(told(&mut bob).await.0, beacon(key, 2));
    }
}
