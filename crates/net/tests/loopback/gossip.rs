//! What passes on topics, and what does not.

use super::raw::Raw;
use super::town::{LOOK, beacon, config, dht_key, generation, now, ordinary, relay, sealed, start};
use porchlight_net::{BeaconSource, NetCommand, NetEvent, Role};
use porchlight_wire::network::Network;
use porchlight_wire::time::UnixMillis;
use tokio::time::sleep;

#[tokio::test]
async fn a_beacon_reaches_the_members_of_its_topic_through_a_relay() {
    let mut relay = relay(&[]).await;
    let mut alice = ordinary(&[&relay]).await;
    let mut bob = ordinary(&[&relay]).await;
    alice.join(&mut relay).await;
    bob.join(&mut relay).await;
    let key = generation(1);
    let sent = beacon(&key, 7);
    alice.ask(NetCommand::Gossip { beacon: sent.clone() }).await;
    let (came, source) = bob
        .event("the beacon", |event| match event {
            NetEvent::Beacon { beacon, source } => Some((beacon, source)),
            _ => None,
        })
        .await;
    assert_eq!(came, sent);
    assert_eq!(source, BeaconSource::Gossip(relay.node));
    // Whoever comes later asks: the relay has kept it.
    let (found, _) = bob.look_up(1, &key).await;
    assert!(found.contains(&7));
}

#[tokio::test]
async fn rfc2779_5_2_4_what_does_not_stand_is_refused_by_the_forwarder() {
    let mut relay = relay(&[]).await;
    let mut bob = ordinary(&[&relay]).await;
    bob.join(&mut relay).await;
    let key = generation(2);
    let good = sealed(&key, 3, now());
    let mut altered = good.clone();
    altered[200] ^= 1;
    let mut wrongly_signed = good.clone();
    let last = wrongly_signed.len() - 1;
    wrongly_signed[last] ^= 1;
    // For a day that is over; and certified for longer than a record may stand.
    let expired = sealed(&key, 9, UnixMillis(now().0 - 3 * 86_400_000));
    let too_early = sealed(&key, 9, UnixMillis(now().0 + 3 * 86_400_000));

    let raw = Raw::connected_to(&relay.address).await;
    for untimely in [&expired, &too_early] {
        raw.publish(untimely).await;
    }
    relay
        .status_is("two untimely ones counted", |status| {
            status.counters.gossip.untimely == 2
        })
        .await;
    for forged in [&altered, &wrongly_signed] {
        raw.publish(forged).await;
    }
    relay
        .status_is("two forgeries counted", |status| status.counters.gossip.forged == 2)
        .await;
    // What comes after them is the first thing that arrives.
    raw.publish(&good).await;
    assert_eq!(bob.beacon().await.sequence(), 3);
    assert_eq!(relay.net.status().await.unwrap().records, 1);
}

#[tokio::test]
async fn whoever_forges_again_and_again_is_shut_out() {
    let mut relay = relay(&[]).await;
    let raw = Raw::connected_to(&relay.address).await;
    let limit = config(Role::Relay, &[]).limits.forgeries;
    for n in 0..limit {
        let key = beacon(&generation(5), 1).pk();
        raw.put(dht_key(&key), format!("forgery {n}").into_bytes()).await;
    }
    relay
        .status_is("the forger shut out", |status| {
            status.counters.shut_out == 1 && status.peers.is_empty()
        })
        .await;
}

#[tokio::test]
async fn rfc2779_2_5_2_a_replay_after_the_duplicate_cache_is_not_news() {
    let mut relay = relay(&[]).await;
    let mut bob = ordinary(&[&relay]).await;
    bob.join(&mut relay).await;
    let key = generation(3);
    let old = sealed(&key, 1, now());
    let raw = Raw::connected_to(&relay.address).await;
    raw.publish(&old).await;
    assert_eq!(bob.beacon().await.sequence(), 1);
    // Played back until gossipsub has forgotten it and asks us.
    loop {
        raw.try_publish(0, &old).await;
        if relay.net.status().await.unwrap().counters.gossip.outdated > 0 {
            break;
        }
        sleep(LOOK).await;
    }
    raw.publish(&sealed(&key, 2, now())).await;
    assert_eq!(bob.beacon().await.sequence(), 2, "the replay did not come before it");
}

#[tokio::test]
async fn a_key_that_is_too_fast_is_not_passed_on() {
    let mut relay = relay(&[]).await;
    let raw = Raw::connected_to(&relay.address).await;
    let key = generation(4);
    for sequence in 1..=30 {
        raw.publish(&sealed(&key, sequence, now())).await;
    }
    relay
        .status_is("some of them limited", |status| status.counters.gossip.limited > 0)
        .await;
}

#[tokio::test]
async fn all_topics_of_the_default_network_are_known_to_those_who_connect() {
    let network = Network::named("porchlight").unwrap();
    let mut config_of_relay = config(Role::Relay, &[]);
    config_of_relay.network = network.clone();
    let relay = start(config_of_relay).await;
    let mut config_of_node = config(Role::Ordinary, &[&relay]);
    config_of_node.network = network.clone();
    let mut node = start(config_of_node).await;
    let all = network.topics().collect::<std::collections::BTreeSet<_>>();
    node.event("the relay in all topics", |event| match event {
        NetEvent::Live { nodes } => nodes.iter().any(|live| live.topics == all).then_some(()),
        _ => None,
    })
    .await;
}
