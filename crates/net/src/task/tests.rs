//! What no test can make the system do: addresses that come and go with the network a machine is in.

use super::*;
use porchlight_wire::network::Network;

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
    let mut task = Task::listen(config, inbox, outbox).await.unwrap();
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
