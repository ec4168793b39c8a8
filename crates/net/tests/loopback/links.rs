//! Connections by something else than TCP and QUIC, and a wall clock of one's own: what a simulation passes in.

use super::town::{Running, beacon, config, generation, now, patient, start};
use porchlight_net::links::{Dialling, Incoming, Links, Listener};
use porchlight_net::{Dialled, Net, NetConfig, NetEvent, Role, Wall};
use porchlight_wire::ids::{Address, NodeAddress};
use porchlight_wire::time::UnixMillis;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use tokio::io::duplex;
use tokio::sync::mpsc;

/// Bytes that may wait in a pipe.
const PIPE: usize = 64 << 10;

/// Pipes in memory, and who listens where.
#[derive(Debug, Default)]
struct Cellar {
    listening: Mutex<BTreeMap<Address, mpsc::Sender<Incoming>>>,
}

impl Links for Cellar {
    fn listen(&self, at: &Address) -> io::Result<Listener> {
        let (sender, incoming) = mpsc::channel(8);
        self.listening.lock().unwrap().insert(at.clone(), sender);
        let address = at.clone();
        Ok(Listener { address, incoming })
    }

    fn dial(&self, to: &Address) -> Dialling {
        let listener = self.listening.lock().unwrap().get(to).cloned();
        Box::pin(async move {
            let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
            let (ours, theirs) = duplex(PIPE);
            let from = Address::parse("/ip4/10.0.0.99/tcp/1").unwrap();
            let pipe = Box::new(theirs);
            let listener = listener.ok_or_else(refused)?;
            listener.send(Incoming { from, pipe }).await.map_err(|_| refused())?;
            Ok(Box::new(ours) as _)
        })
    }
}

fn at(address: &str) -> Address {
    Address::parse(address).unwrap()
}

async fn start_in(cellar: &Arc<Cellar>, mut config: NetConfig, address: &str) -> Running {
    config.listen = vec![at(address)];
    let (net, events) = Net::start_over(config, Arc::clone(cellar) as Arc<dyn Links>)
        .await
        .unwrap();
    let status = net.status().await.unwrap();
    Running::of(net, events, &status)
}

#[tokio::test]
async fn nodes_over_other_links_are_as_over_tcp() {
    let cellar = Arc::new(Cellar::default());
    let mut relay = start_in(&cellar, config(Role::Relay, &[]), "/ip4/10.0.0.1/tcp/4110").await;
    assert_eq!(
        relay.address.address,
        at("/ip4/10.0.0.1/tcp/4110"),
        "where it says that it listens"
    );
    let mut alice = start_in(&cellar, config(Role::Ordinary, &[&relay]), "/ip4/10.0.0.2/tcp/4110").await;
    let mut bob = start_in(&cellar, config(Role::Ordinary, &[&relay]), "/ip4/10.0.0.3/tcp/4110").await;
    alice.join(&mut relay).await;
    bob.join(&mut relay).await;
    let seen = bob.net.status().await.unwrap().peers;
    assert_eq!(seen[0].address, Some(at("/ip4/10.0.0.1/tcp/4110")));
    let key = generation(77);
    assert_eq!(alice.put(1, beacon(&key, 5)).await, (1, 1));
    let (found, answered) = bob.look_up(2, &key).await;
    assert_eq!((found.into_iter().collect::<Vec<_>>(), answered), (vec![5], 1));
}

#[tokio::test]
async fn what_nobody_listens_on_is_refused_and_a_node_that_stopped_listens_no_more() {
    let cellar = Arc::new(Cellar::default());
    let relay = start_in(&cellar, config(Role::Relay, &[]), "/ip4/10.0.0.1/tcp/4110").await;
    let alice = start_in(&cellar, config(Role::Ordinary, &[]), "/ip4/10.0.0.2/tcp/4110").await;
    let to = |address: &str| NodeAddress {
        node: relay.node,
        address: at(address),
    };
    let nobody = alice.net.dial(to("/ip4/10.0.0.9/tcp/4110")).await.unwrap();
    assert_eq!(nobody, Dialled::Refused);
    let there = alice.net.dial(to("/ip4/10.0.0.1/tcp/4110")).await.unwrap();
    assert_eq!(there, Dialled::Reached);
    relay.net.stop().await;
    patient("the end of listening", async {
        let listening = cellar.listening.lock().unwrap()[&at("/ip4/10.0.0.1/tcp/4110")].clone();
        listening.closed().await;
    })
    .await;
}

#[tokio::test]
async fn a_record_has_expired_for_whom_the_clock_says_so() {
    let relay = start(config(Role::Relay, &[])).await;
    let mut in_a_week = config(Role::Ordinary, &[&relay]);
    in_a_week.wall = Wall::Other(Arc::new(|| UnixMillis(now().0 + 7 * 86_400_000)));
    let mut alice = start(config(Role::Ordinary, &[&relay])).await;
    let mut carol = start(in_a_week).await;
    for node in [&mut alice, &mut carol] {
        node.event("its relay", |event| {
            matches!(event, NetEvent::Connected { .. }).then_some(())
        })
        .await;
    }
    let key = generation(78);
    assert_eq!(alice.put(1, beacon(&key, 5)).await, (1, 1));
    assert_eq!(alice.look_up(2, &key).await.0.len(), 1);
    let (found, answered) = carol.look_up(3, &key).await;
    assert_eq!(
        (found.len(), answered),
        (0, 1),
        "it answered, with something that is over"
    );
}
