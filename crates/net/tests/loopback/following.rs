//! Following at a relay: all of it comes, and whoever is not followed finds out.

use super::raw::{Frames, Raw};
use super::town::{beacon, config, generation, now, ordinary, plain, relay, start};
use porchlight_net::{BeaconSource, NetCommand, NetEvent, Role};
use porchlight_wire::beacon::{BeaconDraft, VerifiedBeacon};
use porchlight_wire::blind::{GenerationKey, Kind};
use porchlight_wire::frame::{Refusal, Request, Response};
use porchlight_wire::limits::FOLLOWED;
use porchlight_wire::time::UnixMillis;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::BTreeSet;

/// The first beacons of so many generations.
fn beacons(many: usize) -> Vec<VerifiedBeacon> {
    let first_of = |n: usize| {
        let mut bytes = [0; 64];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        beacon(&GenerationKey::from_bytes(&bytes), 1)
    };
    (0..many).map(first_of).collect()
}

/// A beacon of the largest size.
fn large(key: &GenerationKey, sequence: u64) -> VerifiedBeacon {
    let draft = BeaconDraft {
        kind: Kind::Presence,
        epoch: key.read_key().epoch(Kind::Presence, now()),
        slot: 0,
        sequence,
        expires: UnixMillis(u64::MAX),
        payload: &[1; 3_500],
        work: 0,
    };
    let bytes = key.seal(&draft, now(), &mut ChaCha20Rng::from_seed([9; 32])).unwrap();
    VerifiedBeacon::verify(&bytes, &plain(), now()).unwrap()
}

fn put(beacon: &VerifiedBeacon) -> Request {
    Request::RecordPut {
        beacon: beacon.bytes().to_vec(),
    }
}

fn follow(beacons: &[VerifiedBeacon]) -> Request {
    Request::RecordFollow {
        addresses: beacons.iter().map(VerifiedBeacon::pk).collect(),
        proofs: Vec::new(),
    }
}

fn following(beacons: &[VerifiedBeacon]) -> NetCommand {
    NetCommand::Follow {
        addresses: beacons.iter().map(VerifiedBeacon::pk).collect(),
    }
}

async fn carries(frames: &mut Frames, exchange: u64, beacon: &VerifiedBeacon) {
    let answer = frames.answer().await;
    let Some((number, Response::Record { beacon: Some(bytes) })) = answer else {
        panic!("expected a beacon, got {answer:?}");
    };
    assert_eq!((number, bytes.as_slice()), (exchange, beacon.bytes()));
}

async fn says(frames: &mut Frames, exchange: u64, response: Response) {
    assert_eq!(frames.answer().await, Some((exchange, response)));
}

#[tokio::test]
async fn as_many_as_may_be_followed_all_come() {
    let mut relay = relay(&[]).await;
    let beacons = beacons(FOLLOWED);
    for beacon in &beacons {
        relay.ask(NetCommand::Gossip { beacon: beacon.clone() }).await;
    }
    relay
        .status_is("all beacons on the shelf", |status| status.records == FOLLOWED)
        .await;
    let mut node = ordinary(&[&relay]).await;
    // One more than a relay takes does not mean that nothing is followed.
    let mut addresses: Vec<_> = beacons.iter().map(VerifiedBeacon::pk).collect();
    addresses.push(beacon(&generation(61), 1).pk());
    node.ask(NetCommand::Follow { addresses }).await;
    let mut missing: BTreeSet<_> = beacons.iter().map(VerifiedBeacon::pk).collect();
    node.event("all that is followed", |event| {
        if let NetEvent::Beacon {
            beacon,
            source: BeaconSource::Follow(_),
        } = event
        {
            missing.remove(&beacon.pk());
        }
        missing.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn where_a_relay_has_no_room_another_is_asked() {
    let mut full = config(Role::Relay, &[]);
    full.limits.followed = 1;
    let full = start(full).await;
    let roomy = relay(&[]).await;
    let beacons = beacons(2);
    // A seed peer is preferred, so the full one is asked first.
    let mut node = ordinary(&[&full]).await;
    node.ask(following(&beacons)).await;
    node.ask(NetCommand::Keep {
        contacts: vec![roomy.address.clone()],
    })
    .await;
    node.ask(NetCommand::Request {
        exchange: 1,
        to: roomy.node,
        addresses: vec![roomy.address.address.clone()],
        request: put(&beacons[0]),
    })
    .await;
    let from = node
        .event("what is followed", |event| match event {
            NetEvent::Beacon {
                source: BeaconSource::Follow(from),
                ..
            } => Some(from),
            _ => None,
        })
        .await;
    assert_eq!(from, roomy.node);
}

#[tokio::test]
async fn one_that_follows_and_does_not_read_finds_the_stream_ended() {
    let relay = relay(&[]).await;
    let mut raw = Raw::connected_to(&relay.address).await;
    let key = generation(62);
    let mut follower = raw.frames().await;
    follower.ask(1, follow(&[large(&key, 1)])).await;
    says(&mut follower, 1, Response::Record { beacon: None }).await;
    // More than a stream's window and the relay's patience together hold.
    let mut other = raw.frames().await;
    let many = 2 * FOLLOWED as u64 + 200;
    for sequence in 1..=many {
        // The relay's own: what others bring has a pace.
        let beacon = large(&key, sequence);
        relay.ask(NetCommand::Gossip { beacon }).await;
    }
    let mut came = 0;
    while follower.answer().await.is_some() {
        came += 1;
    }
    assert!(came < many, "{came}");
    // The other stream is still good, and there is room for a new one that follows.
    other.ask(1, Request::Relays {}).await;
    says(&mut other, 1, Response::RelayList { relays: Vec::new() }).await;
    let mut again = raw.frames().await;
    again.ask(1, follow(&[large(&key, 1)])).await;
    says(&mut again, 1, Response::Record { beacon: None }).await;
    carries(&mut again, 1, &large(&key, many)).await;
}

#[tokio::test]
async fn the_end_of_an_old_stream_does_not_end_what_is_followed_on_a_new_one() {
    let relay = relay(&[]).await;
    let mut raw = Raw::connected_to(&relay.address).await;
    let first = beacon(&generation(63), 1);
    let mut old = raw.frames().await;
    old.ask(1, Request::Relays {}).await;
    says(&mut old, 1, Response::RelayList { relays: Vec::new() }).await;
    let mut new = raw.frames().await;
    new.ask(1, follow(std::slice::from_ref(&first))).await;
    says(&mut new, 1, Response::Record { beacon: None }).await;
    drop(old);
    // Two streams are what a peer may open: that a third is answered shows that the relay has seen the end of the first.
    let mut third = loop {
        let mut third = raw.frames().await;
        third.ask(1, put(&first)).await;
        if let Some(answer) = third.answer().await {
            assert_eq!(answer, (1, Response::RecordKept {}));
            break third;
        }
    };
    carries(&mut new, 1, &first).await;
    third.ask(2, put(&beacon(&generation(63), 2))).await;
    carries(&mut new, 1, &beacon(&generation(63), 2)).await;
}

#[tokio::test]
async fn a_new_set_of_addresses_takes_the_place_of_the_old_one_within_the_limit() {
    let mut roomy = config(Role::Relay, &[]);
    roomy.limits.followed = 3;
    let relay = start(roomy).await;
    let mut raw = Raw::connected_to(&relay.address).await;
    let mut frames = raw.frames().await;
    let beacons = beacons(4);
    let nothing = || Response::Record { beacon: None };
    frames.ask(1, follow(&beacons[..3])).await;
    says(&mut frames, 1, nothing()).await;
    frames.ask(2, follow(&beacons)).await;
    let refused = Response::Refused {
        reason: Refusal::TooMany,
    };
    says(&mut frames, 2, refused).await;
    frames.ask(3, follow(&beacons[1..])).await;
    says(&mut frames, 3, nothing()).await;
    frames.ask(4, put(&beacons[0])).await;
    says(&mut frames, 4, Response::RecordKept {}).await;
    // What is followed comes with or without the answer to its put before it, but nothing of the first.
    frames.ask(5, put(&beacons[3])).await;
    carries(&mut frames, 3, &beacons[3]).await;
    says(&mut frames, 5, Response::RecordKept {}).await;
}

#[tokio::test]
async fn who_keeps_up_is_answered_while_others_who_do_not_read_take_up_all_there_is() {
    // As if they had: nothing is left of what all share.
    let mut taken = config(Role::Relay, &[]);
    taken.limits.answer_bytes = 0;
    let relay = start(taken).await;
    let mut raw = Raw::connected_to(&relay.address).await;
    let mut frames = raw.frames().await;
    let key = generation(65);
    frames.ask(1, follow(&[large(&key, 1)])).await;
    says(&mut frames, 1, Response::Record { beacon: None }).await;
    for sequence in 1..=20 {
        let beacon = large(&key, sequence);
        relay.ask(NetCommand::Gossip { beacon: beacon.clone() }).await;
        carries(&mut frames, 1, &beacon).await;
    }
    // One stream's own share holds a few of them, not all that may wait.
    for sequence in 21..=1_000 {
        let beacon = large(&key, sequence);
        relay.ask(NetCommand::Gossip { beacon }).await;
    }
    let mut came = 20;
    while frames.answer().await.is_some() {
        came += 1;
    }
    assert!(came < 1_000, "{came}");
}
