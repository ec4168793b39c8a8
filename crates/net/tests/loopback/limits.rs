//! Bounds: on connections, on streams, on what one stream may ask.

use super::raw::{Frames, Raw};
use super::town::{LOOK, beacon, config, dht_key, generation, now, ordinary, patient, plain, relay, sealed, start};
use porchlight_net::{ExchangeFailure, NetCommand, NetEvent, Role, node_id};
use porchlight_wire::blind::GenerationKey;
use porchlight_wire::frame::{Admission, Refusal, Request, Response};
use porchlight_wire::ids::{Address, NodeAddress};
use porchlight_wire::limits::FRAME_BYTES;
use porchlight_wire::time::UnixMillis;
use std::net::{SocketAddr, TcpListener};
use tokio::net::TcpSocket;
use tokio::time::sleep;

fn letter() -> Request {
    Request::Deliver {
        admission: Admission::Open,
        envelope: vec![7; 100],
    }
}

fn refused(reason: Refusal) -> Response {
    Response::Refused { reason }
}

/// Whether the stream is served: a question that every node answers is answered.
async fn is_served(frames: &mut Frames, exchange: u64) -> bool {
    frames.ask(exchange, Request::Relays {}).await;
    frames.answer().await == Some((exchange, Response::RelayList { relays: Vec::new() }))
}

#[tokio::test]
async fn others_open_no_more_than_their_share_of_the_connections() {
    let mut small = config(Role::Relay, &[]);
    small.limits.connections = 8;
    let mut relay = start(small).await;
    let mut let_in = Vec::new();
    for _ in 0..10 {
        let_in.extend(Raw::try_connect(&relay.address, &plain(), &[]).await);
    }
    assert_eq!(let_in.len(), 6);
    // The rest is for those the node itself wants to reach.
    let other = start(config(Role::Ordinary, &[])).await;
    relay
        .ask(NetCommand::Keep {
            contacts: vec![other.address.clone()],
        })
        .await;
    relay
        .status_is("the contact besides the others", |status| {
            status.peers.len() == 7 && status.peers.iter().any(|peer| peer.contact)
        })
        .await;
}

#[tokio::test]
async fn when_there_are_too_many_connections_only_those_too_many_are_closed() {
    let mut small = config(Role::Relay, &[]);
    small.limits.connections = 24;
    let mut relay = start(small).await;
    let mut others = Vec::new();
    // As many as others may have open, so that it is the contacts that make it too many.
    for _ in 0..16 {
        others.push(Raw::connected_to(&relay.address).await);
    }
    let mut contacts = Vec::new();
    for _ in 0..7 {
        contacts.push(start(config(Role::Ordinary, &[])).await);
    }
    relay
        .ask(NetCommand::Keep {
            contacts: contacts.iter().map(|contact| contact.address.clone()).collect(),
        })
        .await;
    let status = relay
        .status_is("all contacts, within the budget", |status| {
            status.peers.iter().filter(|peer| peer.contact).count() == 7 && status.peers.len() <= 21
        })
        .await;
    assert_eq!((status.peers.len(), status.counters.pruned), (21, 2));
}

#[tokio::test]
async fn connections_from_one_address_that_say_nothing_keep_nobody_else_out() {
    // More than may be pending in all. They come from another address of this machine than the one who speaks.
    const SILENT: usize = 300;
    let relay = start(config(Role::Ordinary, &[])).await;
    let port = relay.address.address.as_str().rsplit('/').next().unwrap();
    let target: SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        let socket = TcpSocket::new_v4().unwrap();
        // Other tests dial from ports of all addresses at once.
        socket.set_reuseaddr(true).unwrap();
        socket.set_reuseport(true).unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        silent.push(socket.connect(target).await.unwrap());
    }
    assert!(Raw::try_connect(&relay.address, &plain(), &[]).await.is_some());
    assert_eq!(silent.len(), SILENT);
}

#[tokio::test]
async fn strangers_who_do_nothing_make_room_for_who_comes() {
    let mut small = config(Role::Relay, &[]);
    small.limits.connections = 16;
    let relay = start(small).await;
    // More than may be connected at once, one after the other: all get in, and none leaves by itself.
    let mut connected = Vec::new();
    for _ in 0..16 {
        let newcomer = patient("room for one more", async {
            loop {
                if let Some(newcomer) = Raw::try_connect(&relay.address, &plain(), &[]).await {
                    return newcomer;
                }
                sleep(LOOK).await;
            }
        });
        connected.push(newcomer.await);
    }
}

#[tokio::test]
async fn a_request_that_cannot_even_be_dialled_fails_and_does_not_wait_for_ever() {
    // Somebody who takes connections and never says a word: dials hang there until they run out of time.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::parse(&format!("/ip4/127.0.0.1/tcp/{}", silent.local_addr().unwrap().port())).unwrap();
    let nobody = |n: u8| NodeAddress {
        node: node_id(&[n; 32]).unwrap(),
        address: address.clone(),
    };
    let mut node = start(config(Role::Ordinary, &[])).await;
    // As many as may be dialled at once, and some more.
    for n in 100..180 {
        let NodeAddress { node: to, address } = nobody(n);
        let request = NetCommand::Request {
            exchange: u64::from(n),
            to,
            addresses: vec![address],
            request: letter(),
        };
        node.ask(request).await;
    }
    let (exchange, reason) = node
        .event("a failure", |event| match event {
            NetEvent::ExchangeFailed { exchange, reason } => Some((exchange, reason)),
            _ => None,
        })
        .await;
    assert_eq!(exchange, 164, "the first that there was no room for");
    assert!(matches!(reason, ExchangeFailure::Unreachable(_)), "{reason:?}");
}

#[tokio::test]
async fn a_peer_has_two_streams_at_most() {
    let relay = relay(&[]).await;
    let mut raw = Raw::connected_to(&relay.address).await;
    let mut first = raw.frames().await;
    assert!(is_served(&mut first, 1).await);
    let mut second = raw.frames().await;
    assert!(is_served(&mut second, 1).await);
    let mut third = raw.frames().await;
    assert!(!is_served(&mut third, 1).await);
    assert!(is_served(&mut first, 2).await);
    assert!(is_served(&mut second, 2).await);
    drop(first);
    while !is_served(&mut raw.frames().await, 1).await {}
}

#[tokio::test]
async fn a_stream_has_so_many_open_exchanges_at_most() {
    let mut strict = config(Role::Ordinary, &[]);
    strict.limits.exchanges_per_peer = 2;
    let mut node = start(strict).await;
    let mut raw = Raw::connected_to(&node.address).await;
    let mut frames = raw.frames().await;
    for exchange in 1..=3 {
        frames.ask(exchange, letter()).await;
    }
    assert_eq!(frames.answer().await, Some((3, refused(Refusal::TooMany))));
    // One that is answered makes room for another.
    let asked = |event| match event {
        NetEvent::Request { exchange, .. } => Some(exchange),
        _ => None,
    };
    let exchange = node.event("a letter", asked).await;
    let response = Response::Delivered {};
    node.ask(NetCommand::Respond { exchange, response }).await;
    assert_eq!(frames.answer().await, Some((1, Response::Delivered {})));
    frames.ask(4, letter()).await;
    node.event("the second letter", asked).await;
    let exchange = node.event("the fourth letter", asked).await;
    let response = refused(Refusal::NotAdmitted);
    node.ask(NetCommand::Respond { exchange, response }).await;
    assert_eq!(frames.answer().await, Some((4, refused(Refusal::NotAdmitted))));
    // A number that is in use would not be counted: the stream ends.
    frames.ask(2, letter()).await;
    assert_eq!(frames.answer().await, None);
}

#[tokio::test]
async fn frames_that_are_none_end_their_stream_only() {
    let relay = relay(&[]).await;
    let mut raw = Raw::connected_to(&relay.address).await;
    let mut good = raw.frames().await;
    assert!(is_served(&mut good, 1).await);
    let too_long = u32::try_from(FRAME_BYTES + 1).unwrap().to_be_bytes();
    for bad in [&[0, 0, 0, 0][..], &[0, 0, 0, 3, 1, 2, 3], &[0xff; 64], &too_long] {
        // One stream at a time is left for it: the one before may not have been seen to end yet.
        let mut tries = 0;
        while !raw.write_frames(bad).await.is_empty() {
            tries += 1;
            assert!(tries < 100, "no answer is expected to {bad:?}");
        }
    }
    // A frame of the greatest length is read.
    let mut longest = vec![0; FRAME_BYTES + 4];
    longest[..4].copy_from_slice(&u32::try_from(FRAME_BYTES).unwrap().to_be_bytes());
    assert!(raw.write_frames(&longest).await.is_empty());
    assert!(is_served(&mut good, 2).await);
}

#[tokio::test]
async fn rfc2779_5_2_4_what_does_not_stand_is_refused_on_a_stream() {
    let mut strict = config(Role::Relay, &[]);
    strict.limits.shelf.records = 1;
    let mut relay = start(strict).await;
    let mut raw = Raw::connected_to(&relay.address).await;
    let mut frames = raw.frames().await;
    let key = generation(71);
    let good = sealed(&key, 3, now());
    let mut altered = good.clone();
    altered[500] ^= 1;
    let mut wrongly_signed = good.clone();
    wrongly_signed[1_023] ^= 1;
    // Signed and certified, but by the key of another address.
    let mut of_another = sealed(&generation(72), 3, now());
    of_another[2..34].copy_from_slice(&good[2..34]);
    let expired = sealed(&key, 9, UnixMillis(now().0 - 3 * 86_400_000));
    let too_early = sealed(&key, 9, UnixMillis(now().0 + 3 * 86_400_000));
    let cases = [
        (&altered, refused(Refusal::Invalid)),
        (&wrongly_signed, refused(Refusal::Invalid)),
        (&of_another, refused(Refusal::Invalid)),
        (&expired, refused(Refusal::Invalid)),
        (&too_early, refused(Refusal::Invalid)),
        (&good, Response::RecordKept {}),
        (&good, Response::RecordKept {}),
        (&sealed(&key, 2, now()), refused(Refusal::Outdated)),
        (&sealed(&generation(72), 1, now()), refused(Refusal::Full)),
    ];
    for (exchange, (beacon, response)) in (1..).zip(cases) {
        let beacon = beacon.clone();
        frames.ask(exchange, Request::RecordPut { beacon }).await;
        assert_eq!(frames.answer().await, Some((exchange, response)));
    }
    let status = relay.status_is("one record", |status| status.records == 1).await;
    let stream = status.counters.stream;
    let counted = (stream.forged, stream.untimely, stream.outdated, stream.limited);
    assert_eq!(counted, (3, 2, 1, 1));
}

#[tokio::test]
async fn an_ordinary_node_keeps_and_serves_nothing_for_others() {
    let relay = relay(&[]).await;
    let mut node = ordinary(&[&relay]).await;
    let mut raw = Raw::connected_to(&node.address).await;
    let mut frames = raw.frames().await;
    let some = beacon(&generation(73), 1);
    let put = Request::RecordPut {
        beacon: some.bytes().to_vec(),
    };
    frames.ask(1, put).await;
    assert_eq!(frames.answer().await, Some((1, refused(Refusal::NotServed))));
    let follow = Request::RecordFollow {
        addresses: vec![some.pk()],
        proofs: Vec::new(),
    };
    frames.ask(2, follow).await;
    assert_eq!(frames.answer().await, Some((2, refused(Refusal::NotServed))));
    // Relays that it dialled itself it does name, to those who look for some.
    frames.ask(3, Request::Relays {}).await;
    let relays = vec![relay.address.clone()];
    assert_eq!(frames.answer().await, Some((3, Response::RelayList { relays })));
    node.status_is("nothing kept", |status| status.records == 0).await;
}

#[tokio::test]
async fn a_shelf_full_of_others_records_stands_in_nobodys_way() {
    // Neither has room for others: as if strangers had filled both.
    let mut full = config(Role::Relay, &[]);
    full.limits.shelf.records = 0;
    let mut relay = start(full).await;
    let mut watcher = config(Role::Ordinary, &[&relay]);
    watcher.limits.shelf.records = 0;
    let mut bob = start(watcher).await;
    let mut alice = ordinary(&[&relay]).await;
    alice.join(&mut relay).await;
    bob.join(&mut relay).await;
    let key = generation(60);
    let expected = NetCommand::Expect {
        addresses: [beacon(&key, 1).pk()].into(),
    };
    bob.ask(expected).await;
    for sequence in 1..=3 {
        alice
            .ask(NetCommand::Gossip {
                beacon: beacon(&key, sequence),
            })
            .await;
        assert_eq!(bob.beacon().await.sequence(), sequence);
    }
    let status = bob
        .status_is("what was waited for is kept", |status| status.records == 1)
        .await;
    assert_eq!(status.counters.gossip.limited, 0);
    // What nobody here waits for reaches the core as well, and is not kept.
    let other = generation(61);
    alice
        .ask(NetCommand::Gossip {
            beacon: beacon(&other, 9),
        })
        .await;
    assert_eq!(bob.beacon().await.sequence(), 9);
    assert_eq!(bob.net.status().await.unwrap().records, 1);
    assert_eq!(relay.net.status().await.unwrap().records, 0);
}

#[tokio::test]
async fn one_peer_cannot_fill_the_shelf_by_puts() {
    // Of new places at once; one more comes each second, so that on a slow machine it takes some more to see the end of them.
    const PLACES: u64 = 512;
    const ENOUGH: u64 = 20 * PLACES;
    let mut relay = relay(&[]).await;
    let raw = Raw::connected_to(&relay.address).await;
    let mut sent: u64 = 0;
    let counters = loop {
        let mut seed = [7; 64];
        seed[..8].copy_from_slice(&sent.to_be_bytes());
        let one = beacon(&GenerationKey::from_bytes(&seed), 1);
        raw.put(dht_key(&one.pk()), one.bytes().to_vec()).await;
        sent += 1;
        let status = relay
            .status_is("it was judged", |status| {
                status.counters.dht.accepted + status.counters.dht.limited == sent
            })
            .await;
        if status.counters.dht.limited > 0 {
            break status.counters.dht;
        }
        assert!(sent < ENOUGH, "nothing was turned away");
    };
    assert!(counters.accepted >= PLACES, "{counters:?}");
    // Another peer brings its own.
    let other = Raw::connected_to(&relay.address).await;
    let one = beacon(&generation(62), 1);
    other.put(dht_key(&one.pk()), one.bytes().to_vec()).await;
    relay
        .status_is("it was kept", |status| status.counters.dht.accepted > counters.accepted)
        .await;
}

/// Records of one place until one is turned away, each newer than those before. More come at once on a slow machine: one more
/// is let through each second.
const SOME: std::ops::Range<u64> = 1..1_000;

#[tokio::test]
async fn records_of_one_place_put_into_the_dht_have_a_pace() {
    let mut relay = relay(&[]).await;
    let raw = Raw::connected_to(&relay.address).await;
    let key = generation(63);
    for sequence in SOME {
        let one = beacon(&key, sequence);
        raw.put(dht_key(&one.pk()), one.bytes().to_vec()).await;
        let status = relay
            .status_is("it was judged", |status| {
                status.counters.dht.accepted + status.counters.dht.limited == sequence
            })
            .await;
        if status.counters.dht.limited > 0 {
            return;
        }
    }
    panic!("nothing was turned away");
}

#[tokio::test]
async fn records_of_one_place_put_on_a_stream_have_a_pace_before_they_are_passed_on() {
    let relay = relay(&[]).await;
    let mut raw = Raw::connected_to(&relay.address).await;
    let mut frames = raw.frames().await;
    let key = generation(64);
    for sequence in SOME {
        let put = Request::RecordPut {
            beacon: beacon(&key, sequence).bytes().to_vec(),
        };
        frames.ask(sequence, put).await;
        let (_, response) = frames.answer().await.unwrap();
        if response != (Response::RecordKept {}) {
            assert_eq!(response, refused(Refusal::TooMany));
            assert_eq!(relay.net.status().await.unwrap().counters.stream.limited, 1);
            return;
        }
    }
    panic!("nothing was turned away");
}
