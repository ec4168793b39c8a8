//! What the owner should know about how the node is connected, in words, with what to do. Asked for by `handler`, for
//! `node.info`. What is wrong with the node as a whole is `health`'s.

use crate::handler::Does;
use porchlight_net::{FoundInstead, NetStatus, Role, WrongSeed};

/// All there is to say.
pub(crate) fn notices(role: Role, seeds: usize, network: &str, does: Does, status: &NetStatus) -> Vec<String> {
    let mut notices = Vec::new();
    if !does.presence {
        notices.push(
            "presence is switched off: this node tells nobody how you are and watches nobody; messages go on. \
             It is presence.enabled in config.toml"
                .to_owned(),
        );
    }
    if !does.messages {
        notices.push(
            "messages are switched off: this node sends and takes none; presence goes on. It is messages.enabled in config.toml"
                .to_owned(),
        );
    }
    if role == Role::Ordinary && !status.peers.iter().any(|peer| peer.relay) {
        let what = if seeds == 0 {
            "this network only: no relay is connected, and no seed peer is configured. This node meets those who are on its local network, or whom it can dial by their invites. Add seed_peers to config.toml, or start with --seed-peer"
        } else if status.wrong_seeds.is_empty() {
            "no relay is connected: none of the configured seed peers answers. Check the network and seed_peers in config.toml; the node goes on trying"
        } else {
            "no relay is connected: no configured seed peer is what seed_peers in config.toml says and answers. The node goes on trying"
        };
        notices.push(what.to_owned());
    }
    notices.extend(status.wrong_seeds.iter().map(|seed| wrong(seed, network)));
    if status.listening.is_empty() {
        notices
            .push("this node listens nowhere: nobody can dial it. Add an address to listen in config.toml".to_owned());
    }
    notices
}

fn wrong(seed: &WrongSeed, network: &str) -> String {
    let node = seed.node;
    match seed.found {
        FoundInstead::OtherNetwork => format!(
            "the seed peer {node} answers, and is of another network than '{network}'. Name a relay of '{network}' in seed_peers in config.toml, or set network to the one that was meant"
        ),
        FoundInstead::OtherNode(Some(other)) => format!(
            "where the seed peer {node} should be another node answers: {other}. If its key was made anew, and whoever runs it says so, put that id into seed_peers in config.toml; or correct the address"
        ),
        FoundInstead::OtherNode(None) => format!(
            "where the seed peer {node} should be another program answers. Correct its address in seed_peers in config.toml"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use porchlight_net::{Counters, node_id};
    use porchlight_wire::ids::NodeAddress;

    fn of(wrong_seeds: Vec<WrongSeed>) -> Vec<String> {
        let node = node_id(&[1; 32]).unwrap();
        let address = "/ip4/203.0.113.7/tcp/4110".parse().unwrap();
        let status = NetStatus {
            node,
            listening: vec![NodeAddress { node, address }],
            peers: Vec::new(),
            counters: Counters::default(),
            records: 0,
            topics: 1,
            wrong_seeds,
            dropped_ago: None,
        };
        let does = Does {
            presence: true,
            messages: true,
        };
        notices(Role::Ordinary, 1, "office", does, &status)
    }

    #[test]
    fn a_seed_peer_that_answers_is_told_from_one_that_does_not() {
        let (node, other) = (node_id(&[2; 32]).unwrap(), node_id(&[3; 32]).unwrap());
        let silent = of(Vec::new());
        assert_eq!(silent.len(), 1);
        assert!(
            silent[0].contains("none of the configured seed peers answers"),
            "{silent:?}"
        );
        for (found, words) in [
            (
                FoundInstead::OtherNetwork,
                vec!["another network than 'office'".to_owned(), node.to_string()],
            ),
            (
                FoundInstead::OtherNode(Some(other)),
                vec![node.to_string(), other.to_string()],
            ),
            (
                FoundInstead::OtherNode(None),
                vec![node.to_string(), "another program".to_owned()],
            ),
        ] {
            let said = of(vec![WrongSeed { node, found }]);
            assert_eq!(said.len(), 2);
            assert!(!said[0].contains("none of the configured"), "{said:?}");
            assert!(words.iter().all(|word| said[1].contains(word)), "{said:?}");
            assert!(said[1].contains("seed_peers in config.toml"), "{said:?}");
        }
    }
}
