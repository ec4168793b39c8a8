//! What no test can make the system do: addresses that come and go with the network a machine is in, and a driver that does not
//! keep up.

use super::*;
use crate::handle::BeaconSource;
use porchlight_wire::beacon::{BeaconDraft, VerifiedBeacon};
use porchlight_wire::blind::{GenerationKey, Kind};
use porchlight_wire::network::Network;
use porchlight_wire::time::UnixMillis;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// What waits for the driver.
fn told(task: &mut Task) -> Vec<(bool, String)> {
    let events = task.held_back.drain(..);
    events
        .filter_map(|event| {
            if let NetEvent::Listening { address } = event {
                Some((true, address.to_string()))
            } else if let NetEvent::NotListening { address } = event {
                Some((false, address.to_string()))
            } else {
                None
            }
        })
        .collect()
}

#[tokio::test]
async fn an_address_that_is_gone_is_forgotten_and_told() {
    let mut config = NetConfig::new([250; 32], Network::named("loopback").unwrap(), Role::Ordinary);
    config.external = vec![Address::parse("/dns4/node.example.org/tcp/4110").unwrap()];
    let (_commands, inbox) = mpsc::channel(1);
    let (outbox, _events) = mpsc::channel(1);
    let mut task = Task::listen(config, Carrier::System, inbox, outbox).await.unwrap();
    assert_eq!(told(&mut task), []);
    let listener_id = ListenerId::next();
    let (first, second) = ("/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.2/tcp/1");
    for address in [first, second] {
        let address = address.parse().unwrap();
        task.on_swarm(SwarmEvent::NewListenAddr { listener_id, address });
    }
    assert_eq!(told(&mut task), [(true, first.to_owned()), (true, second.to_owned())]);
    for _ in 0..2 {
        let address = first.parse().unwrap();
        task.on_swarm(SwarmEvent::ExpiredListenAddr { listener_id, address });
    }
    assert_eq!(told(&mut task), [(false, first.to_owned())]);
    assert_eq!(task.status().listening.len(), 2, "the second, and the configured one");
    task.on_swarm(SwarmEvent::ListenerClosed {
        listener_id,
        addresses: vec![second.parse().unwrap()],
        reason: Ok(()),
    });
    assert_eq!(told(&mut task), [(false, second.to_owned())]);
    assert_eq!(task.status().listening.len(), 1);
}

fn beacon() -> VerifiedBeacon {
    let now = UnixMillis(1_790_000_000_000);
    let key = GenerationKey::from_bytes(&[1; 64]);
    let draft = BeaconDraft {
        kind: Kind::Presence,
        epoch: key.read_key().epoch(Kind::Presence, now),
        slot: 0,
        sequence: 1,
        expires: UnixMillis(u64::MAX),
        payload: b"open",
        work: 0,
    };
    let bytes = key.seal(&draft, now, &mut ChaCha20Rng::from_seed([0; 32])).unwrap();
    VerifiedBeacon::verify(&bytes, &Network::named("loopback").unwrap(), now).unwrap()
}

#[tokio::test]
async fn beacons_that_a_driver_does_not_take_are_dropped_and_counted_and_nothing_else_is() {
    let config = NetConfig::new([249; 32], Network::named("loopback").unwrap(), Role::Ordinary);
    let (_commands, inbox) = mpsc::channel(1);
    let (outbox, _events) = mpsc::channel(1);
    let mut task = Task::listen(config, Carrier::System, inbox, outbox).await.unwrap();
    let node = task.node;
    let news = || NetEvent::Beacon {
        beacon: beacon(),
        source: BeaconSource::Gossip(node),
    };
    for _ in 0..HELD_BACK {
        task.tell(news());
    }
    assert_eq!((task.status().counters.dropped, task.status().dropped_ago), (0, None));
    // What was asked for, and what has happened, is told however much waits.
    task.tell(NetEvent::LookupDone { lookup: 7, answered: 0 });
    for _ in 0..3 {
        task.tell(news());
    }
    assert_eq!(task.status().counters.dropped, 3);
    assert!(task.status().dropped_ago.is_some());
    assert_eq!(task.held_back.len(), HELD_BACK + 1);
    assert!(matches!(
        task.held_back.back(),
        Some(NetEvent::LookupDone { lookup: 7, .. })
    ));
    // Once there is room again, beacons are told again.
    task.held_back.clear();
    task.tell(news());
    assert_eq!((task.status().counters.dropped, task.held_back.len()), (3, 1));
}
