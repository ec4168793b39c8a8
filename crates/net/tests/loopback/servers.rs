//! Servers of the DHT that break the rules, and what they get to see.

use super::raw::{Guise, Raw};
use super::town::{beacon, config, dht_key, generation, start};
use porchlight_net::Role;
use std::time::Duration;

#[tokio::test]
async fn a_record_says_nothing_of_whose_it_is_to_the_server_that_is_to_keep_it() {
    let mut raw = Raw::waiting(Guise::Refusing).await;
    let mut config = config(Role::Ordinary, &[]);
    config.seed_peers = vec![raw.address.clone()];
    let mut node = start(config).await;
    node.status_is("connected to a relay, as it seems", |status| {
        status.peers.iter().any(|peer| peer.relay)
    })
    .await;
    let sent = beacon(&generation(81), 1);
    let (stored, asked) = node.put(1, sent.clone()).await;
    // Acknowledged, not kept, and seen to be so.
    assert_eq!((stored, asked), (0, 1));
    let given = raw.be_given().await;
    assert_eq!(given.key.as_ref(), dht_key(&sent.pk()));
    assert_eq!(given.value, sent.bytes());
    assert_eq!(given.publisher, None);
    assert_eq!(given.expires, None);
}

#[tokio::test]
async fn a_server_that_never_answers_does_not_hide_that_others_did() {
    let relay = super::town::relay(&[]).await;
    let mute = Raw::waiting(Guise::Mute).await;
    let mut config = config(Role::Ordinary, &[&relay]);
    config.seed_peers.push(mute.address.clone());
    config.timing.lookup = Duration::from_secs(2);
    let mut node = start(config).await;
    node.status_is("connected to both", |status| {
        status.peers.iter().filter(|peer| peer.relay).count() == 2
    })
    .await;
    let (found, answered) = node.look_up(1, &generation(82)).await;
    assert_eq!((found.len(), answered), (0, 1));
}
