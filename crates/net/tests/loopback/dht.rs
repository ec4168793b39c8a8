//! Records in the DHT: what servers take, what a put may say, which copy wins.

use super::raw::Raw;
use super::town::{beacon, card, config, dht_key, generation, now, ordinary, plain, relay, sealed, start};
use libp2p::Multiaddr;
use libp2p::kad::{KBucketKey, RecordKey};
use libp2p::multiaddr::Protocol;
use porchlight_net::{NetCommand, NetEvent, Role};
use porchlight_wire::device_list::{DeviceEntry, DeviceList};
use porchlight_wire::frame::{Request, Response};
use porchlight_wire::ids::PrincipalId;
use porchlight_wire::keys::{DeviceKeys, RootKey};
use porchlight_wire::record::{Place, VerifiedRecord};
use porchlight_wire::sheet::{Sheet, SheetAddress};
use porchlight_wire::time::UnixMillis;

#[tokio::test]
async fn rfc2779_3_3_1_what_is_put_is_kept_by_servers_and_found_by_others() {
    let first = relay(&[]).await;
    let mut second = relay(&[&first]).await;
    second
        .status_is("the relays connected", |status| {
            status.peers.iter().any(|peer| peer.relay)
        })
        .await;
    let mut alice = ordinary(&[&first, &second]).await;
    let mut bob = ordinary(&[&second]).await;
    let key = generation(11);
    assert_eq!(bob.look_up(1, &key).await.0.len(), 0);
    let (stored, asked) = alice.put(1, beacon(&key, 5)).await;
    assert_eq!((stored, asked), (2, 2));
    let (found, answered) = bob.look_up(2, &key).await;
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [5]);
    assert!(answered > 0);
}

#[tokio::test]
async fn with_nobody_to_ask_a_put_and_a_lookup_say_so() {
    let mut alone = start(config(Role::Ordinary, &[])).await;
    let key = generation(12);
    assert_eq!(alone.put(1, beacon(&key, 1)).await, (0, 0));
    assert_eq!(alone.look_up(2, &key).await.1, 0);
}

#[tokio::test]
async fn a_put_that_was_acknowledged_but_refused_does_not_count_as_stored() {
    // A server without room: libp2p acknowledges what its store refuses.
    let mut full = config(Role::Relay, &[]);
    full.limits.shelf.records = 0;
    let full = start(full).await;
    let mut alice = ordinary(&[&full]).await;
    let key = generation(13);
    let raw = Raw::connected_to(&full.address).await;
    let sent = beacon(&key, 1);
    assert!(
        raw.put(dht_key(&sent.pk()), sent.bytes().to_vec()).await,
        "the trap: acknowledged"
    );
    assert_eq!(raw.get(dht_key(&sent.pk())).await.len(), 0, "and not kept");
    assert_eq!(alice.put(1, sent).await, (0, 1));
}

#[tokio::test]
async fn rfc2779_3_3_2_the_newest_copy_wins_and_outdated_ones_are_put_right() {
    // Two servers that do not know each other, with two versions of one record.
    let one = relay(&[]).await;
    let other = relay(&[]).await;
    let key = generation(14);
    ordinary(&[&one]).await.put(1, beacon(&key, 1)).await;
    ordinary(&[&other]).await.put(1, beacon(&key, 2)).await;
    let mut bob = ordinary(&[&one, &other]).await;
    let (found, _) = bob.look_up(1, &key).await;
    assert!(found.contains(&2), "{found:?}");
    bob.status_is("the old copy repaired", |status| status.counters.repaired == 1)
        .await;
    let raw = Raw::connected_to(&one.address).await;
    let pk = beacon(&key, 2).pk();
    loop {
        let copies = raw.get(dht_key(&pk)).await;
        if copies.iter().any(|copy| copy.value == sealed_two(&key)) {
            break;
        }
    }
    // An old copy that is put again does not come back.
    assert!(raw.put(dht_key(&pk), beacon(&key, 1).bytes().to_vec()).await);
    let copies = raw.get(dht_key(&pk)).await;
    assert!(copies.iter().all(|copy| copy.value == sealed_two(&key)));
}

#[tokio::test]
async fn those_closest_to_an_address_cannot_hide_what_others_have() {
    const OUTDATED: usize = 12;
    let key = generation(18);
    let (old, new) = (beacon(&key, 1), beacon(&key, 2));
    let place = dht_key(&old.pk());
    let mut servers = Vec::new();
    for _ in 0..=OUTDATED {
        servers.push(relay(&[]).await);
    }
    // The only one who has the newest is the last to be asked.
    servers.sort_by_cached_key(|server| {
        let address: Multiaddr = server.address.to_string().parse().unwrap();
        let Some(Protocol::P2p(peer)) = address.iter().last() else {
            panic!("expected a PeerId in {address}");
        };
        KBucketKey::from(peer).distance(&KBucketKey::new(RecordKey::from(place.clone())))
    });
    for (n, server) in servers.iter().enumerate() {
        let record = if n < OUTDATED { &old } else { &new };
        let raw = Raw::connected_to(&server.address).await;
        assert!(raw.put(place.clone(), record.bytes().to_vec()).await);
    }
    let all: Vec<_> = servers.iter().collect();
    let mut node = ordinary(&all).await;
    let (found, answered) = node.look_up(1, &key).await;
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(answered as usize, servers.len());
    node.status_is("the old copies repaired", |status| {
        status.counters.repaired == OUTDATED as u64
    })
    .await;
}

fn sealed_two(key: &porchlight_wire::blind::GenerationKey) -> Vec<u8> {
    beacon(key, 2).bytes().to_vec()
}

#[tokio::test]
async fn what_does_not_stand_is_refused_by_the_server() {
    let mut relay = relay(&[]).await;
    let raw = Raw::connected_to(&relay.address).await;
    let key = generation(15);
    let good = beacon(&key, 3);
    let mut altered = good.bytes().to_vec();
    altered[300] ^= 1;
    let expired = sealed(&key, 9, UnixMillis(now().0 - 3 * 86_400_000));
    let elsewhere = beacon(&generation(16), 3);
    raw.put(dht_key(&good.pk()), altered).await;
    raw.put(dht_key(&good.pk()), elsewhere.bytes().to_vec()).await;
    relay
        .status_is("two forgeries counted", |status| status.counters.dht.forged == 2)
        .await;
    raw.put(dht_key(&good.pk()), expired).await;
    relay
        .status_is("an expired one counted", |status| status.counters.dht.untimely == 1)
        .await;
    let status = relay.net.status().await.unwrap();
    assert_eq!(status.records, 0, "none of them is kept");
    raw.put(dht_key(&good.pk()), good.bytes().to_vec()).await;
    relay.status_is("the good one kept", |status| status.records == 1).await;
}

#[tokio::test]
async fn records_do_not_say_who_published_them() {
    let relay = relay(&[]).await;
    let mut alice = ordinary(&[&relay]).await;
    let key = generation(17);
    let sent = beacon(&key, 1);
    assert_eq!(alice.put(1, sent.clone()).await, (1, 1));
    let raw = Raw::connected_to(&relay.address).await;
    let copies = raw.get(dht_key(&sent.pk())).await;
    assert_eq!(copies.len(), 1);
    assert_eq!(copies[0].publisher, None);
    assert_eq!(copies[0].expires, None);
    // Nor does a server take over what somebody else claims.
    assert!(raw.put(dht_key(&sent.pk()), beacon(&key, 2).bytes().to_vec()).await);
    assert_eq!(raw.get(dht_key(&sent.pk())).await[0].publisher, None);
}

#[tokio::test]
async fn an_ordinary_node_does_not_give_out_its_own_presence_record() {
    // Who could ask any node for a record would find out whose address it is.
    let relay = relay(&[]).await;
    let mut alice = ordinary(&[&relay]).await;
    let mut mallory = ordinary(&[&relay]).await;
    let key = generation(18);
    let sent = beacon(&key, 1);
    alice.put(1, sent.clone()).await;
    let request = |to: &super::town::Running, exchange| NetCommand::Request {
        exchange,
        to: to.node,
        addresses: vec![to.address.address.clone()],
        request: Request::RecordGet { address: sent.pk() },
    };
    mallory.ask(request(&alice, 1)).await;
    let answer = answer_to(&mut mallory, 1).await;
    assert!(!matches!(answer, Response::Record { beacon: Some(_) }), "{answer:?}");
    mallory.ask(request(&relay, 2)).await;
    let answer = answer_to(&mut mallory, 2).await;
    assert!(matches!(answer, Response::Record { beacon: Some(_) }), "{answer:?}");
}

async fn answer_to(node: &mut super::town::Running, wanted: u64) -> Response {
    node.event("an answer", |event| match event {
        NetEvent::Response { exchange, response } if exchange == wanted => Some(response),
        NetEvent::ExchangeFailed { exchange, reason } if exchange == wanted => panic!("{reason}"),
        _ => None,
    })
    .await
}

/// The identity sheet of the principal of this seed.
fn sheet(seed: u8, sequence: u64) -> (PrincipalId, Vec<u8>) {
    let root = RootKey::from_seed(&[seed; 32]);
    let keys = DeviceKeys::from_bytes(&[seed; 64]);
    let devices = DeviceList {
        principal: root.principal(),
        sequence: 1,
        previous: [0; 32],
        issued: now(),
        devices: vec![DeviceEntry {
            device: keys.id(),
            signing: keys.signing_public(),
            exchange: keys.exchange_public(),
            not_after: now().plus(86_400_000),
        }],
        next: [0; 32],
    };
    let sheet = Sheet {
        device: keys.id(),
        sequence,
        issued: now(),
        expires: now().plus(86_400_000),
        public: None,
    };
    let bytes = sheet.sign(&keys, root.principal(), &devices.sign(&root), 0);
    (root.principal(), bytes)
}

#[tokio::test]
async fn an_identity_sheet_is_kept_at_its_principals_id_and_nowhere_else() {
    let mut server = relay(&[]).await;
    let mut alice = ordinary(&[&server]).await;
    let mut bob = ordinary(&[&server]).await;
    let (principal, bytes) = sheet(1, 5);
    let place = Place::Sheet(SheetAddress::of(&principal));
    let record = VerifiedRecord::verify(&place, &bytes, &plain(), now()).unwrap();
    assert_eq!(alice.put_record(1, record).await, (1, 1));
    let raw = Raw::connected_to(&server.address).await;
    // Another's, an older one, one that was altered, and a beacon where a sheet belongs: none of them takes its place.
    let (_, anothers) = sheet(2, 9);
    let (_, older) = sheet(1, 4);
    let mut altered = sheet(1, 9).1;
    let last = altered.len() - 1;
    altered[last] ^= 1;
    let beacon = beacon(&generation(17), 9).bytes().to_vec();
    for bytes in [anothers, older, altered, beacon] {
        raw.put(place.dht_key(), bytes).await;
    }
    let (found, answered) = bob.look_up_at(1, place).await;
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [5]);
    assert!(answered > 0);
    server
        .status_is("the forgeries were counted", |status| status.counters.dht.forged == 3)
        .await;
}

#[tokio::test]
async fn cards_are_put_again_by_relays_and_reach_servers_that_come_later() {
    let mut first = config(Role::Relay, &[]);
    first.timing.renew = std::time::Duration::from_millis(300);
    let mut first = start(first).await;
    let key = generation(21);
    let (lasting, passing) = (card(&key, 1), beacon(&key, 2));
    let mut alice = ordinary(&[&first]).await;
    alice.put(1, lasting.clone()).await;
    alice.put(2, passing.clone()).await;
    // Their owner has gone before the second one comes.
    alice.net.stop().await;
    let mut second = relay(&[&first]).await;
    second.status_is("the card", |status| status.records == 1).await;
    let raw = Raw::connected_to(&second.address).await;
    let copies = raw.get(dht_key(&lasting.pk())).await;
    assert!(copies.iter().any(|copy| copy.value == lasting.bytes()));
    // More than one round passes, and presence is in none of them.
    first
        .status_is("several rounds", |status| status.counters.renewed >= 3)
        .await;
    assert_eq!(second.net.status().await.unwrap().records, 1);
}
