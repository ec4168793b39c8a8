//! Topics, and what passes on them: names, the filter that admits exactly the network's topics, message ids, scores, and
//! the judgement of each message before it is passed on.

use crate::handle::PathCounters;
use crate::pace::Pace;
use crate::records::Records;
use libp2p::gossipsub::{
    IdentTopic, Message, MessageAcceptance, MessageId, PeerScoreParams, PeerScoreThresholds, TopicHash,
    TopicScoreParams, TopicSubscriptionFilter,
};
use porchlight_wire::beacon::{VerifiedBeacon, topic};
use porchlight_wire::blind::Kind;
use porchlight_wire::network::{Network, TopicIndex};
use porchlight_wire::record::{Place, VerifiedRecord};
use porchlight_wire::shelf::Shelved;
use std::collections::HashMap;

/// The name of a topic: `/pl/<network>/<b>/<index>`.
pub(crate) fn topic_name(network: &Network, index: TopicIndex) -> String {
    format!("/pl/{}/{}/{}", network.name(), network.bucket_bits(), index.0)
}

pub(crate) fn ident_topic(network: &Network, index: TopicIndex) -> IdentTopic {
    IdentTopic::new(topic_name(network, index))
}

/// The names of all topics of a network, read once.
#[derive(Clone, Debug)]
pub(crate) struct Topics(HashMap<TopicHash, TopicIndex>);

impl Topics {
    pub(crate) fn of(network: &Network) -> Self {
        let named = |index| (ident_topic(network, index).hash(), index);
        Self(network.topics().map(named).collect())
    }

    /// The index of a topic of this network.
    pub(crate) fn index(&self, topic: &TopicHash) -> Option<TopicIndex> {
        self.0.get(topic).copied()
    }
}

/// A message's id: SHA-256 of its topic and what it carries, so that the same beacon is the same message whoever sends it.
/// Without the topic, a beacon sent in a wrong one would make gossipsub take the right one for a duplicate.
pub(crate) fn message_id(message: &Message) -> MessageId {
    use porchlight_wire::hash::sha256;
    let placed = [message.topic.as_str().as_bytes(), &[0], &message.data].concat();
    MessageId::from(sha256(&placed).to_vec())
}

/// Admits exactly the topics of the network. libp2p's own default admits a hundred of any name, and ignores all of a
/// peer's subscriptions once there is one more.
#[derive(Clone, Debug)]
pub(crate) struct TopicFilter {
    topics: Topics,
}

impl TopicFilter {
    pub(crate) fn new(network: &Network) -> Self {
        Self {
            topics: Topics::of(network),
        }
    }
}

impl TopicSubscriptionFilter for TopicFilter {
    fn can_subscribe(&mut self, topic: &TopicHash) -> bool {
        self.topics.index(topic).is_some()
    }
}

/// Only what is invalid counts. Deficits of delivery say nothing where a topic may be silent for hours, and many honest
/// nodes share an address behind one router.
pub(crate) fn score_parameters(network: &Network) -> (PeerScoreParams, PeerScoreThresholds) {
    let topic_scores = TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.0,
        first_message_deliveries_weight: 0.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -10.0,
        invalid_message_deliveries_decay: 0.9,
        ..TopicScoreParams::default()
    };
    let scores = PeerScoreParams {
        topics: network
            .topics()
            .map(|index| (ident_topic(network, index).hash(), topic_scores.clone()))
            .collect(),
        ip_colocation_factor_weight: 0.0,
        ..PeerScoreParams::default()
    };
    (scores, PeerScoreThresholds::default())
}

/// What was made of a gossiped message.
pub(crate) enum Judgement {
    /// News: passed on, kept, told.
    News(VerifiedBeacon),
    /// Neither passed on nor held against anyone.
    Ignored,
    /// No honest node can have made it.
    Forged,
}

impl Judgement {
    pub(crate) const fn acceptance(&self) -> MessageAcceptance {
        match self {
            Self::News(_) => MessageAcceptance::Accept,
            Self::Ignored => MessageAcceptance::Ignore,
            Self::Forged => MessageAcceptance::Reject,
        }
    }
}

/// Judges a gossiped message: verified, in its topic, not too fast, and newer than what is known. The last is what catches
/// a replay after gossipsub's own memory has run out.
pub(crate) fn judge(
    network: &Network,
    topics: &Topics,
    records: &mut Records,
    pace: &mut Pace<Place>,
    counters: &mut PathCounters,
    message: &Message,
) -> Judgement {
    let beacon = match records.verify(&message.data) {
        Ok(beacon) => beacon,
        Err(error) if error.is_forgery() => {
            counters.forged += 1;
            return Judgement::Forged;
        }
        Err(_) => {
            counters.untimely += 1;
            return Judgement::Ignored;
        }
    };
    let in_its_topic = topics.index(&message.topic) == Some(topic(network, &beacon.pk()));
    if !in_its_topic || beacon.kind() != Kind::Presence {
        counters.forged += 1;
        return Judgement::Forged;
    }
    let record = VerifiedRecord::from(beacon.clone());
    let place = Place::Beacon(beacon.pk());
    let known = records.at(&place);
    if known.is_some_and(|known| *known == record || !record.supersedes(known)) {
        counters.outdated += 1;
        return Judgement::Ignored;
    }
    if !pace.allows(place) {
        counters.limited += 1;
        return Judgement::Ignored;
    }
    if records.offer(record) == Shelved::Full {
        // There is no room to keep it. That stands in nobody's way: it is passed on all the same, at its pace.
        counters.limited += 1;
    }
    counters.accepted += 1;
    Judgement::News(beacon)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_topics_of_the_network_are_admitted() {
        // Without a limit on their number: libp2p's own filter ignores all of a peer's topics once there are too many.
        let network = Network::named("porchlight").unwrap();
        let mut filter = TopicFilter::new(&network);
        for index in network.topics() {
            assert!(filter.can_subscribe(&ident_topic(&network, index).hash()));
        }
        for n in 0..200 {
            assert!(!filter.can_subscribe(&TopicHash::from_raw(format!("/other/{n}"))));
        }
    }

    #[test]
    fn topic_names_come_back() {
        let network = Network::named("porchlight").unwrap();
        let topics = Topics::of(&network);
        for index in network.topics() {
            assert_eq!(topics.index(&ident_topic(&network, index).hash()), Some(index));
        }
        for name in [
            "/pl/porchlight/6/64",
            "/pl/porchlight/6/007",
            "/pl/other/6/1",
            "/pl/porchlight/7/1",
        ] {
            assert_eq!(topics.index(&TopicHash::from_raw(name)), None, "{name}");
        }
    }
}
