//! Questions about the network for their answer alone: what servers have, and what is at an address.

use super::town::{beacon, config, generation, ordinary, relay, start};
use porchlight_net::{Dialled, NetEvent, Role};
use porchlight_wire::ids::{Address, NodeAddress};
use porchlight_wire::record::Place;
use std::time::Duration;
use tokio::net::TcpListener;

#[tokio::test]
async fn a_look_gives_the_copies_of_others_and_how_many_answered() {
    let first = relay(&[]).await;
    let mut second = relay(&[&first]).await;
    second
        .status_is("the relays connected", |status| {
            status.peers.iter().any(|peer| peer.relay)
        })
        .await;
    let mut alice = ordinary(&[&first, &second]).await;
    let (key, other) = (generation(61), generation(62));
    let sent = beacon(&key, 5);
    let place = Place::Beacon(sent.pk());
    assert_eq!(alice.put(1, sent).await, (2, 2));
    let looked = alice.net.look(vec![place]).await.unwrap();
    assert_eq!(looked.answered, 2);
    let mut nodes: Vec<_> = looked.copies.iter().map(|(node, _)| *node).collect();
    nodes.sort();
    let mut servers = [first.node, second.node];
    servers.sort();
    assert_eq!(nodes, servers, "her own copy is not one of the network's");
    let nothing = alice
        .net
        .look(vec![Place::Beacon(beacon(&other, 1).pk())])
        .await
        .unwrap();
    assert_eq!((nothing.copies.len(), nothing.answered), (0, 2));

    // What was looked for that way is none of the driver's business, whose own lookups go on beside it.
    let looking = alice.net.clone();
    let (looked, (found, _)) = tokio::join!(looking.look(vec![place]), alice.look_up(7, &key));
    assert_eq!(looked.unwrap().copies.len(), 2);
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [5]);

    // A relay has it itself; what it is asked is what others have.
    let looked = first.net.look(vec![place]).await.unwrap();
    assert_eq!((looked.answered, looked.copies.len()), (1, 1));
}

#[tokio::test]
async fn with_nobody_to_ask_a_look_says_so() {
    let alone = start(config(Role::Ordinary, &[])).await;
    let looked = alone
        .net
        .look(vec![Place::Beacon(beacon(&generation(63), 1).pk())])
        .await
        .unwrap();
    assert_eq!((looked.answered, looked.copies.len()), (0, 0));
    let relay = relay(&[]).await;
    let looked = relay
        .net
        .look(vec![Place::Beacon(beacon(&generation(63), 1).pk())])
        .await
        .unwrap();
    assert_eq!(looked.answered, 0);
}

#[tokio::test]
async fn a_dial_says_what_is_at_the_address() {
    let mut quick = config(Role::Ordinary, &[]);
    quick.timing.exchange = Duration::from_millis(500);
    let mut alice = start(quick).await;
    let bob = start(config(Role::Ordinary, &[])).await;
    let carol = start(config(Role::Ordinary, &[])).await;

    let at = |address: &Address| NodeAddress {
        node: bob.node,
        address: address.clone(),
    };
    // Nobody listens any more where somebody did.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = Address::parse(&format!("/ip4/127.0.0.1/tcp/{}", gone.local_addr().unwrap().port())).unwrap();
    drop(gone);
    assert_eq!(alice.net.dial(at(&closed)).await.unwrap(), Dialled::Refused);
    // Somebody listens who says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = Address::parse(&format!("/ip4/127.0.0.1/tcp/{}", mute.local_addr().unwrap().port())).unwrap();
    assert_eq!(alice.net.dial(at(&silent)).await.unwrap(), Dialled::TimedOut);
    assert_eq!(
        alice.net.dial(at(&carol.address.address)).await.unwrap(),
        Dialled::OtherNode(Some(carol.node))
    );
    for nothing in ["/ip4/1.2.3/tcp/4", "/unix/x", "/ip4/127.0.0.1/tcp/1/ws"] {
        let nothing = Address::parse(nothing).unwrap();
        assert_eq!(
            alice.net.dial(at(&nothing)).await.unwrap(),
            Dialled::Undiallable,
            "{nothing}"
        );
    }
    let unknown = Address::parse("/dns4/nowhere.invalid/tcp/9").unwrap();
    let failed = alice.net.dial(at(&unknown)).await.unwrap();
    assert!(matches!(failed, Dialled::Failed(_) | Dialled::TimedOut), "{failed:?}");
    let own = NodeAddress {
        node: alice.node,
        address: closed,
    };
    assert!(matches!(alice.net.dial(own).await.unwrap(), Dialled::Failed(_)));
    assert_eq!(alice.net.dial(bob.address.clone()).await.unwrap(), Dialled::Reached);
    // It is a connection like any other.
    let node = bob.node;
    alice
        .event("bob is connected", |event| match event {
            NetEvent::Connected { node: who, .. } => (who == node).then_some(()),
            _ => None,
        })
        .await;
}

#[tokio::test]
async fn a_dial_that_fails_takes_nothing_from_requests_to_the_same_node() {
    use porchlight_net::NetCommand;
    use porchlight_wire::frame::Request;
    let mut alice = start(config(Role::Ordinary, &[])).await;
    let bob = start(config(Role::Relay, &[])).await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = Address::parse(&format!("/ip4/127.0.0.1/tcp/{}", gone.local_addr().unwrap().port())).unwrap();
    drop(gone);
    // A request that waits for its connection, and dials that fail meanwhile.
    for exchange in 0..20 {
        alice
            .ask(NetCommand::Request {
                exchange,
                to: bob.node,
                addresses: vec![bob.address.address.clone()],
                request: Request::RecordGet {
                    address: beacon(&generation(64), 1).pk(),
                },
            })
            .await;
        let at = NodeAddress {
            node: bob.node,
            address: closed.clone(),
        };
        assert_eq!(alice.net.dial(at).await.unwrap(), Dialled::Refused);
    }
    for _ in 0..20 {
        alice
            .event("an answer", |event| match event {
                NetEvent::Response { .. } => Some(()),
                NetEvent::ExchangeFailed { exchange, reason } => panic!("{exchange}: {reason}"),
                _ => None,
            })
            .await;
    }
}
