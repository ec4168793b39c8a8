//! Which connections are made, kept and given up.

use super::town::{Door, config, generation, relay, start};
use porchlight_net::{FoundInstead, Net, NetCommand, NetEvent, NetStatus, Role, WrongSeed, node_id};
use porchlight_wire::ids::Address;

#[tokio::test]
async fn connections_do_not_grow_with_the_network() {
    // A lookup goes to every server, and each connection would stay for gossipsub's sake.
    const SERVERS: usize = 10;
    const NODES: usize = 20;
    const KEPT: usize = 2;
    let mut first = relay(&[]).await;
    let mut servers = Vec::new();
    for _ in 1..SERVERS {
        servers.push(relay(&[&first]).await);
    }
    first
        .status_is("all servers", |status| {
            status.peers.iter().filter(|peer| peer.relay).count() == SERVERS - 1
        })
        .await;
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        let mut config = config(Role::Ordinary, &[&first]);
        config.limits.relays = KEPT;
        let mut node = start(config).await;
        node.status_is("connected", |status| status.peers.iter().any(|peer| peer.relay))
            .await;
        nodes.push(node);
    }
    for node in &mut nodes {
        node.look_up(1, &generation(30)).await;
    }
    for node in &mut nodes {
        let status = node
            .status_is("more connections for a while, and then only those needed", |status| {
                status.peers.len() <= KEPT && status.counters.pruned > 0
            })
            .await;
        assert!(
            status.peers.iter().any(|peer| peer.node == first.node),
            "the seed peer is kept"
        );
    }
}

#[tokio::test]
async fn a_node_of_another_network_is_let_go() {
    // On a local network nodes of all networks find each other, and a seed peer's address may be somebody else's by now.
    let mut relay = relay(&[]).await;
    let mut config = config(Role::Ordinary, &[&relay]);
    config.network = porchlight_wire::network::Network::named("another").unwrap();
    let stranger = start(config).await;
    relay
        .status_is("three visits, and their end", |status| {
            status.counters.other_networks >= 3 && status.peers.is_empty()
        })
        .await;
    assert!(
        stranger
            .net
            .status()
            .await
            .unwrap()
            .peers
            .iter()
            .all(|peer| !peer.relay)
    );
}

#[tokio::test]
async fn a_seed_peer_that_comes_back_is_found_again() {
    let seed_config = config(Role::Relay, &[]);
    let seed = start(seed_config.clone()).await;
    let door = Door::new().await;
    let mut node_config = config(Role::Ordinary, &[]);
    node_config.seed_peers = vec![door.lead_to(&seed)];
    let mut node = start(node_config).await;
    let connected = |event| match event {
        NetEvent::Connected { node, relay: true } => Some(node),
        _ => None,
    };
    assert_eq!(node.event("the seed peer", connected).await, seed.node);
    seed.net.stop().await;
    node.event("the loss", |event| {
        matches!(event, NetEvent::Disconnected { .. }).then_some(())
    })
    .await;
    let seed = start(seed_config).await;
    door.lead_to(&seed);
    assert_eq!(node.event("the seed peer again", connected).await, seed.node);
}

#[tokio::test]
async fn a_seed_peer_is_dialled_where_it_was_configured_even_if_a_contact_names_another_address() {
    let seed_config = config(Role::Relay, &[]);
    let seed = start(seed_config.clone()).await;
    let door = Door::new().await;
    let mut node_config = config(Role::Ordinary, &[]);
    node_config.seed_peers = vec![door.lead_to(&seed)];
    let mut node = start(node_config).await;
    // Nobody listens there.
    let mut elsewhere = seed.address.clone();
    elsewhere.address = Address::parse("/ip4/127.0.0.1/tcp/1").unwrap();
    node.ask(NetCommand::Keep {
        contacts: vec![elsewhere],
    })
    .await;
    let is_there = |status: &NetStatus| status.peers.iter().any(|peer| peer.seed && peer.contact);
    node.status_is("the seed peer, a contact as well", is_there).await;
    seed.net.stop().await;
    node.status_is("the loss", |status| status.peers.is_empty()).await;
    let seed = start(seed_config).await;
    door.lead_to(&seed);
    node.status_is("the seed peer again", is_there).await;
}

#[tokio::test]
async fn contacts_are_kept_connected_and_followed_to_a_new_address() {
    let alice_config = config(Role::Ordinary, &[]);
    let alice = start(alice_config.clone()).await;
    let mut bob = start(config(Role::Ordinary, &[])).await;
    bob.ask(NetCommand::Keep {
        contacts: vec![alice.address.clone()],
    })
    .await;
    bob.status_is("connected to the contact", |status| {
        status.peers.iter().any(|peer| peer.contact)
    })
    .await;
    alice.net.stop().await;
    bob.status_is("the contact gone", |status| status.peers.is_empty())
        .await;
    let alice = start(alice_config).await;
    bob.ask(NetCommand::Keep {
        contacts: vec![alice.address.clone()],
    })
    .await;
    bob.status_is("connected again", |status| status.peers.iter().any(|peer| peer.contact))
        .await;
}

#[tokio::test]
async fn a_port_that_another_node_listens_on_is_an_error_and_not_shared() {
    let first = relay(&[]).await;
    let mut second = config(Role::Relay, &[]);
    second.listen = vec![first.address.address.clone()];
    let error = Net::start(second).await.unwrap_err().to_string();
    assert!(
        error.contains("cannot listen on") && error.contains("choose another"),
        "{error}"
    );
}

#[tokio::test]
async fn a_seed_peer_that_is_something_else_is_told_from_one_that_does_not_answer() {
    let mut other_network = config(Role::Relay, &[]);
    other_network.network = porchlight_wire::network::Network::named("another").unwrap();
    let other_network = start(other_network).await;
    let relay = relay(&[]).await;
    // Its key was made anew, say: the address is right, the id is not.
    let mut renamed = relay.address.clone();
    renamed.node = node_id(&[251; 32]).unwrap();
    // Nobody listens there.
    let mut silent = relay.address.clone();
    silent.node = node_id(&[252; 32]).unwrap();
    silent.address = Address::parse("/ip4/127.0.0.1/tcp/1").unwrap();
    let mut config = config(Role::Ordinary, &[&other_network]);
    config.seed_peers.extend([renamed.clone(), silent]);
    let mut node = start(config).await;
    let wrong = |node, found| WrongSeed { node, found };
    let expected = [
        wrong(other_network.node, FoundInstead::OtherNetwork),
        wrong(renamed.node, FoundInstead::OtherNode(Some(relay.node))),
    ];
    node.status_is("what answers instead", |status| {
        status.wrong_seeds.len() == 2 && expected.iter().all(|seed| status.wrong_seeds.contains(seed))
    })
    .await;
}

#[tokio::test]
async fn a_seed_peer_that_was_something_else_and_is_right_now_is_forgiven() {
    let seed_config = config(Role::Relay, &[]);
    let mut elsewhere = seed_config.clone();
    elsewhere.network = porchlight_wire::network::Network::named("another").unwrap();
    let wrong = start(elsewhere).await;
    let door = Door::new().await;
    let mut node_config = config(Role::Ordinary, &[]);
    node_config.seed_peers = vec![door.lead_to(&wrong)];
    let mut node = start(node_config).await;
    node.status_is("another network", |status| status.wrong_seeds.len() == 1)
        .await;
    wrong.net.stop().await;
    let right = start(seed_config).await;
    door.lead_to(&right);
    node.status_is("the relay, and nothing wrong", |status| {
        status.wrong_seeds.is_empty() && status.peers.iter().any(|peer| peer.seed && peer.relay)
    })
    .await;
}
