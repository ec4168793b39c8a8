//! More topics than libp2p's own limit, and beacons in the wrong one.

use super::raw::Raw;
use super::town::{beacon, config, generation, now, start};
use porchlight_net::{NetCommand, NetEvent, Role};
use porchlight_wire::beacon::{BeaconDraft, VerifiedBeacon, find_work, topic};
use porchlight_wire::blind::Kind;
use porchlight_wire::network::{DEFAULT_NETWORK, Network};
use porchlight_wire::time::UnixMillis;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::time::Duration;

/// The only network with more than one topic. It wants work.
fn network() -> Network {
    Network::named(DEFAULT_NETWORK).unwrap()
}

fn worked(seed: u8) -> VerifiedBeacon {
    let network = network();
    let key = generation(seed);
    let epoch = key.read_key().epoch(Kind::Presence, now());
    let pk = key.read_key().blinded(Kind::Presence, epoch, 0);
    let draft = BeaconDraft {
        kind: Kind::Presence,
        epoch,
        slot: 0,
        sequence: 1,
        expires: UnixMillis(u64::MAX),
        payload: b"a test",
        work: find_work(pk.as_bytes(), network.work_bits(), 0, u64::MAX).unwrap(),
    };
    let bytes = key.seal(&draft, now(), &mut ChaCha20Rng::from_seed([9; 32])).unwrap();
    VerifiedBeacon::verify(&bytes, &network, now()).unwrap()
}

#[tokio::test]
async fn a_node_in_more_topics_than_libp2p_lets_pass_still_gets_its_beacons() {
    let mut config = config(Role::Relay, &[]);
    config.network = network();
    let mut relay = start(config).await;
    let others: Vec<String> = (0..100).map(|n| format!("/of/another/program/{n}")).collect();
    let mut raw = Raw::try_connect(&relay.address, &network(), &others).await.unwrap();
    let node = raw.address.node;
    relay
        .live_is("the peer in all topics of the network", |live| {
            live.iter()
                .any(|live| live.node == node && live.topics.len() == network().topics().count())
        })
        .await;
    let sent = worked(91);
    relay.ask(NetCommand::Gossip { beacon: sent.clone() }).await;
    assert_eq!(raw.hear().await, sent.bytes());
}

#[tokio::test]
async fn a_beacon_in_the_wrong_topic_is_refused_and_does_not_keep_it_out_of_the_right_one() {
    let mut config = config(Role::Relay, &[]);
    config.network = network();
    let mut relay = start(config).await;
    let sent = worked(92);
    let right = topic(&network(), &sent.pk()).0;
    let hostile = Raw::try_connect(&relay.address, &network(), &[]).await.unwrap();
    hostile.publish_in(right ^ 1, sent.bytes()).await;
    relay
        .status_is("a forgery", |status| status.counters.gossip.forged == 1)
        .await;
    let honest = Raw::try_connect(&relay.address, &network(), &[]).await.unwrap();
    honest.publish_in(right, sent.bytes()).await;
    relay
        .status_is("the beacon", |status| status.counters.gossip.accepted == 1)
        .await;
}

#[tokio::test]
async fn one_who_leaves_and_joins_all_the_time_does_not_make_a_node_count_all_the_time() {
    const TIMES: usize = 500;
    let mut calm = config(Role::Relay, &[]);
    // So rarely that a test that takes all the time it has sees far fewer rounds than changes.
    calm.timing.tick = Duration::from_secs(1);
    let mut relay = start(calm).await;
    let raw = Raw::connected_to(&relay.address).await;
    let node = raw.address.node;
    relay
        .live_is("the peer in the topic", |live| {
            live.iter().any(|live| live.node == node && live.topics.len() == 1)
        })
        .await;
    raw.leave_and_join(TIMES).await;
    let mark = beacon(&generation(93), 1);
    raw.publish(mark.bytes()).await;
    let mut told = 0;
    relay
        .event("what was published after it", |event| {
            told += usize::from(matches!(event, NetEvent::Live { .. }));
            matches!(event, NetEvent::Beacon { beacon, .. } if beacon == mark).then_some(())
        })
        .await;
    assert!(told < TIMES / 5, "{told}");
}
