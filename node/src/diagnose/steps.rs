//! The steps of a diagnosis: what each tries, and what came of it in words.

use super::conclude::{Reach, Record, TheirRelays, Uplink, counted_as, nodes, why_failed};
use super::{Came, DIAL, LOOK, Run, within};
use crate::clock::{age, ago, unix_now};
use crate::convert::rpc as convert;
use crate::health::middle_clock;
use porchlight_net::{Dialled, FoundInstead, Looked, NetStatus, Role};
use porchlight_proto::event::{Source, Verdict};
use porchlight_proto::examination::{Examined, FoundRecord};
use porchlight_proto::health::Condition;
use porchlight_proto::limits::CLOCK_TOLERANCE;
use porchlight_proto::messaging::rows::FailureReason;
use porchlight_wire::beacon::VerifiedBeacon;
use porchlight_wire::blind::BlindedKey;
use porchlight_wire::ids::NodeAddress;
use porchlight_wire::record::Place;
use tokio::task::JoinSet;

/// Addresses dialled in one step, all at once: a node has a few, one for each of its networks and transports.
const DIALS: usize = 8;

/// How far it is with them.
pub(super) fn contact(examined: &Examined) -> Came {
    let contact = &examined.contact;
    let mut found = vec![format!("subscription {}", convert::subscription(contact.subscription))];
    found.push(match examined.held {
        None => "they have granted nothing".to_owned(),
        Some(held) if held.temporary => "what their invite shows is all we hold".to_owned(),
        Some(_) if contact.public => "what they show to everyone is all we hold".to_owned(),
        Some(held) if held.lookup_only => "they let us ask, not be notified".to_owned(),
        Some(_) => "they have granted a view".to_owned(),
    });
    if let Some(view) = &contact.view {
        found.push(format!("they see the view '{view}'"));
    }
    if contact.blocked.is_some() {
        found.push("their messages are not taken here".to_owned());
    }
    if let Some(problem) = contact.problem {
        found.push(format!("problem: {}", convert::problem(problem)));
    }
    let well = examined.held.is_some_and(|held| !held.temporary) && contact.problem.is_none();
    Came::new(well, "this node's contacts", found.join("; "))
}

/// What waits to be delivered to them.
pub(super) fn letters(examined: &Examined) -> Came {
    let tried = "letters that wait for them";
    let Some(oldest) = examined.letters.first() else {
        return Came::skipped(tried, "none waits");
    };
    let waits = format!(
        "{} for {}, offered {} since this node came up",
        match examined.letters.len() {
            1 => format!("one ({}) waits", oldest.kind),
            more => format!("{more} wait, the oldest ({})", oldest.kind),
        },
        age(unix_now().since(oldest.created)),
        match oldest.tries {
            1 => "once".to_owned(),
            times => format!("{times} times"),
        },
    );
    if examined.letters.iter().all(|letter| letter.stored) {
        return Came::new(true, tried, format!("{waits}; relays keep copies in their mailboxes"));
    }
    let failure = examined.letters.iter().find_map(|letter| letter.failure.as_deref());
    let why = failure.map_or_else(String::new, |failure| format!("; last: {failure}"));
    Came::new(false, tried, format!("{waits}{why}"))
}

/// How far messages to them are.
pub(super) fn messages(examined: &Examined, refused: Option<FailureReason>) -> Came {
    let tried = "messages to them";
    let waiting = &examined.messages;
    let mut found = Vec::new();
    if let Some(oldest) = waiting.oldest {
        found.push(format!(
            "{} not confirmed yet, the oldest of {}",
            counted_as(waiting.count, "one is", "are"),
            ago(unix_now().since(oldest))
        ));
    }
    if let (stored @ 1.., Some(until)) = (waiting.stored, waiting.stored_until) {
        found.push(format!(
            "{} for {} more",
            match (stored, waiting.relays.len()) {
                (1, 1) => "one relay keeps one of them".to_owned(),
                (stored, 1) => format!("one relay keeps {stored} of them"),
                (stored, relays) => format!("{relays} relays keep {}", counted_as(stored, "one of them", "of them")),
            },
            age(until.since(unix_now()))
        ));
    }
    if let Some(reason) = refused {
        found.push(format!("the last one will not be delivered: {}", why_failed(reason)));
    }
    if found.is_empty() {
        return Came::skipped(tried, "none waits, and the last one was not refused");
    }
    // What their node took, or relays keep, is on its way.
    let on_its_way = waiting.stored + waiting.sent >= waiting.count;
    Came::new(on_its_way && refused.is_none(), tried, found.join("; "))
}

/// Own connectivity.
pub(super) fn relays(role: Role, net: Option<&NetStatus>) -> Came {
    let tried = "this node's connections";
    let Some(net) = net else {
        return Came::new(false, tried, "the network task does not answer");
    };
    let relays = net.peers.iter().filter(|peer| peer.relay).count();
    let listens = match net.listening.len() {
        0 => "listens nowhere".to_owned(),
        addresses => format!("listens at {}", counted_as(addresses, "one address", "addresses")),
    };
    let found = format!(
        "{} connected, {} among them; {listens}",
        nodes(net.peers.len()),
        counted_as(relays, "one relay", "relays")
    );
    Came::new(relays > 0 || role == Role::Relay, tried, found)
}

/// Whether news of them would come unasked.
pub(super) fn source(examined: &Examined) -> Came {
    let tried = "somebody live through whom their news come";
    if examined.held.is_none() {
        return Came::skipped(tried, "there is nothing to be notified of");
    }
    let found = if examined.live { "there is" } else { "there is nobody" };
    Came::new(examined.live, tried, found)
}

/// Own clock, against those of contacts.
pub(super) fn clock(condition: Option<&Condition>) -> Came {
    let tried = "this machine's clock, against fresh records of contacts";
    let Some(middle) = condition.and_then(middle_clock) else {
        return Came::skipped(tried, "there is none to compare it with");
    };
    let apart = middle.ahead.unsigned_abs();
    let found = format!("{} s apart", apart / 1_000);
    Came::new(apart < CLOCK_TOLERANCE, tried, found)
}

/// What is told of them in the end.
pub(super) fn told(examined: &Examined) -> Came {
    let told = convert::presence(&examined.presence);
    let mut found = told.status;
    if let Some(detail) = told.detail {
        found.push_str(&format!(" ({detail})"));
    }
    if let Some(source) = examined.presence.told.source {
        found.push_str(match source {
            Source::Direct => ", from their node",
            Source::Gossip => ", by gossip",
            Source::Relay => ", followed at a relay",
            Source::Dht => ", looked up",
            Source::Cache => ", from this node's disk",
        });
    }
    if let Some(old) = examined.presence.age {
        found.push_str(&format!(", issued {}", ago(old)));
    }
    let well = match examined.presence.told.verdict {
        Verdict::AsRecorded | Verdict::Closed => true,
        Verdict::ClosedLapsed
        | Verdict::UnknownNoRecord
        | Verdict::UnknownViewEnded
        | Verdict::UnknownNoSource
        | Verdict::UnknownClock => false,
    };
    Came::new(well, "what is told of them now", found)
}

impl Run {
    /// Who answers where the seed peers should be, if no relay is connected.
    pub(super) async fn seed_peers(&self, net: Option<&NetStatus>) -> (Uplink, Came) {
        let tried = "the seed peers";
        let relay = net.is_some_and(|net| net.peers.iter().any(|peer| peer.relay));
        if relay || self.about.role == Role::Relay {
            return (
                Uplink::Relays,
                Came::skipped(tried, "this node is connected without asking them"),
            );
        }
        let seeds = &self.about.layers.config.seed_peers;
        if seeds.is_empty() {
            let came = Came::new(false, tried, "none is configured: this network only");
            return (Uplink::NoSeedPeers, came);
        }
        let dialled = self.dial(seeds).await;
        let foreign = net.is_some_and(|net| {
            let mut wrong = net.wrong_seeds.iter();
            wrong.any(|seed| matches!(seed.found, FoundInstead::OtherNetwork))
        });
        let other = dialled
            .iter()
            .any(|(_, dialled)| matches!(dialled, Dialled::OtherNode(_)));
        let answers = dialled.iter().any(|(_, dialled)| *dialled == Dialled::Reached);
        let found = if foreign {
            format!("a node of another network than '{}' is there", self.about.network)
        } else {
            in_words(&dialled)
        };
        let came = Came::new(answers && !foreign, dialling(seeds), found.clone());
        if foreign || other {
            return (Uplink::SeedPeersWrong(found), came);
        }
        (Uplink::SeedPeersSilent(found), came)
    }

    /// Whether each relay that this node uses answers; and of those that do not, which and what came instead.
    pub(super) async fn own_relays(&self, net: Option<&NetStatus>) -> (Vec<String>, Came) {
        let tried = "the relays that this node uses, each of them";
        let mut away: Vec<NodeAddress> = self.relays().await.into_iter().map(|info| info.relay).collect();
        let all = away.len();
        let is_connected =
            |relay: &NodeAddress| net.is_some_and(|net| net.peers.iter().any(|peer| peer.node == relay.node));
        away.retain(|relay| !is_connected(relay));
        if all == 0 {
            return (Vec::new(), Came::skipped(tried, "it uses none"));
        }
        if away.is_empty() {
            return (Vec::new(), Came::new(true, tried, "connected to all of them"));
        }
        let dialled = self.dial(&away).await;
        let lost: Vec<String> = dialled
            .iter()
            .filter(|(_, dialled)| *dialled != Dialled::Reached)
            .map(|(relay, dialled)| {
                format!(
                    "{} ({})",
                    relay.address.as_str(),
                    in_words(&[(relay.clone(), dialled.clone())])
                )
            })
            .collect();
        let found = match lost.len() {
            0 => "all of them answer".to_owned(),
            some => format!("{some} of {all} do not answer: {}", lost.join(", ")),
        };
        let came = Came::new(lost.is_empty(), tried, found);
        (lost, came)
    }

    /// Whether our own card is where others look for it.
    pub(super) async fn own_card(&self, condition: Option<&Condition>, anyone: bool) -> Came {
        let tried = "this node's own card in the DHT, as others look for it";
        let Some(condition) = condition.filter(|_| anyone) else {
            return Came::skipped(tried, "there is nobody to ask");
        };
        match self.look(&condition.card).await {
            None => Came::new(false, tried, "no answer in time"),
            Some(looked) => Came::new(!looked.copies.is_empty(), tried, counted(&looked)),
        }
    }

    /// Their presence record, at today's and yesterday's address.
    pub(super) async fn record(&self, examined: Examined, anyone: bool) -> (Examined, Record, Came) {
        let tried = "their presence record in the DHT, at the addresses of today and yesterday";
        if examined.presence_at.is_empty() {
            let came = Came::skipped(tried, "its address is known to those who were granted a view");
            return (examined, Record::NotLooked, came);
        }
        if !anyone {
            return (
                examined,
                Record::NotLooked,
                Came::skipped(tried, "there is nobody to ask"),
            );
        }
        let Some(looked) = self.look(&examined.presence_at).await else {
            return (
                examined,
                Record::NobodyAnswered,
                Came::new(false, tried, "no answer in time"),
            );
        };
        let contact = examined.contact.principal.to_string();
        let judged = self.examine(&contact, beacons(&looked)).await.unwrap_or(examined);
        let (record, well, says) = match (judged.record, looked.answered) {
            (Some(found), _) => (Record::Found(found), is_current(found), format!(": {}", says(found))),
            (None, 0) => (Record::NobodyAnswered, false, String::new()),
            (None, answered) => (Record::Nowhere(answered), false, String::new()),
        };
        let found = format!("{}{says}", counted(&looked));
        (judged, record, Came::new(well, tried, found))
    }

    /// Their card, which says where their node is.
    pub(super) async fn card(&self, examined: Examined, anyone: bool) -> (Examined, Came) {
        let tried = "their card in the DHT, which says where their node is";
        if !anyone {
            return (examined, Came::skipped(tried, "there is nobody to ask"));
        }
        let Some(looked) = self.look(&examined.card_at).await else {
            return (examined, Came::new(false, tried, "no answer in time"));
        };
        let contact = examined.contact.principal.to_string();
        let judged = self.examine(&contact, beacons(&looked)).await.unwrap_or(examined);
        let issued = judged.card.map_or_else(String::new, |issued| {
            format!(
                ": issued {}, names {} and {}",
                ago(unix_now().since(issued)),
                counted_as(judged.addresses.len(), "one address", "addresses"),
                counted_as(judged.relays.len(), "one relay", "relays")
            )
        });
        let came = Came::new(judged.card.is_some(), tried, format!("{}{issued}", counted(&looked)));
        (judged, came)
    }

    /// Their node, at all addresses that are known.
    pub(super) async fn dial_them(&self, examined: &Examined, net: Option<&NetStatus>) -> (Reach, Came) {
        let tried = "their node";
        let addresses = &examined.addresses;
        let is_theirs = |node| addresses.iter().any(|address| address.node == node);
        if let Some(peer) = net.and_then(|net| net.peers.iter().find(|peer| is_theirs(peer.node))) {
            let at = peer.address.as_ref().map_or_else(String::new, |at| format!(" at {at}"));
            return (Reach::Connected, Came::new(true, tried, format!("it is connected{at}")));
        }
        if examined.contact.public {
            let came = Came::skipped(tried, "who is public is watched without their node being dialled");
            return (Reach::NoAddress, came);
        }
        if addresses.is_empty() {
            return (Reach::NoAddress, Came::skipped(tried, "their card names no address"));
        }
        let dialled = self.dial(addresses).await;
        let found = in_words(&dialled);
        let well = dialled.iter().any(|(_, dialled)| *dialled == Dialled::Reached);
        let came = Came::new(well, dialling(addresses), found.clone());
        let reach = if well {
            Reach::Answered
        } else if dialled.iter().all(|(_, dialled)| *dialled == Dialled::Refused) {
            Reach::NobodyListens
        } else {
            Reach::Unanswered(found)
        };
        (reach, came)
    }

    /// The relays that their card names: one that both are connected to carries everything.
    pub(super) async fn their_relays(&self, examined: &Examined, net: Option<&NetStatus>) -> (TheirRelays, Came) {
        let tried = "the relays that their card names";
        let relays = &examined.relays;
        if relays.is_empty() {
            return (TheirRelays::NoneNamed, Came::skipped(tried, "it names none"));
        }
        let shared = net.is_some_and(|net| {
            let is_theirs = |node| relays.iter().any(|relay| relay.node == node);
            net.peers.iter().any(|peer| is_theirs(peer.node))
        });
        if shared {
            let came = Came::new(true, tried, "this node is connected to one of them");
            return (TheirRelays::Answer, came);
        }
        let dialled = self.dial(relays).await;
        let found = in_words(&dialled);
        let well = dialled.iter().any(|(_, dialled)| *dialled == Dialled::Reached);
        let came = Came::new(well, dialling(relays), found.clone());
        let answer = if well {
            TheirRelays::Answer
        } else {
            TheirRelays::Silent(found)
        };
        (answer, came)
    }

    async fn look(&self, at: &[BlindedKey]) -> Option<Looked> {
        let places = at.iter().map(|pk| Place::Beacon(*pk)).collect();
        within(LOOK, async { self.net.look(places).await.ok() }).await
    }

    /// Dials all at once; what did not come in time did not answer.
    async fn dial(&self, addresses: &[NodeAddress]) -> Vec<(NodeAddress, Dialled)> {
        let mut dials = JoinSet::new();
        for address in addresses.iter().take(DIALS).cloned() {
            let net = self.net.clone();
            dials.spawn(async move {
                let dialled = within(DIAL, async {
                    let dialled = net.dial(address.clone()).await;
                    Some(dialled.unwrap_or_else(|error| Dialled::Failed(error.to_string())))
                })
                .await;
                (address, dialled.unwrap_or(Dialled::TimedOut))
            });
        }
        dials.join_all().await
    }
}

/// Which beacons were found, each once for each node that has it.
fn beacons(looked: &Looked) -> Vec<VerifiedBeacon> {
    let records = looked.copies.iter();
    records.filter_map(|(_, record)| record.beacon().cloned()).collect()
}

fn counted(looked: &Looked) -> String {
    match (looked.answered, looked.copies.len()) {
        (0, _) => "nobody answered".to_owned(),
        (1, 0) => "one node answered, and does not have it".to_owned(),
        (answered, 0) => format!("{answered} nodes answered, and none has it"),
        (1, _) => "one node answered, and has it".to_owned(),
        (answered, copies) => format!("{copies} of {answered} nodes that answered have it"),
    }
}

const fn is_current(found: FoundRecord) -> bool {
    matches!(
        found,
        FoundRecord::Read {
            verdict: Verdict::AsRecorded | Verdict::Closed,
            ..
        }
    )
}

fn says(found: FoundRecord) -> String {
    let FoundRecord::Read { verdict, issued } = found else {
        return "it does not open by what we hold".to_owned();
    };
    let what = match verdict {
        Verdict::AsRecorded => "holds",
        Verdict::Closed => "says closed",
        Verdict::ClosedLapsed => "has lapsed",
        Verdict::UnknownViewEnded => "says that the view has ended",
        Verdict::UnknownClock => "comes from the future",
        Verdict::UnknownNoRecord | Verdict::UnknownNoSource => "says nothing",
    };
    format!("the newest {what}, issued {}", ago(unix_now().since(issued)))
}

fn dialling(addresses: &[NodeAddress]) -> String {
    let shown: Vec<&str> = addresses.iter().take(DIALS).map(|at| at.address.as_str()).collect();
    format!("dialling {}", shown.join(", "))
}

/// What dials came to, each kind once with how often it came.
fn in_words(dialled: &[(NodeAddress, Dialled)]) -> String {
    if dialled.iter().any(|(_, dialled)| *dialled == Dialled::Reached) {
        return "it answered".to_owned();
    }
    let mut words: Vec<String> = Vec::new();
    for (_, dialled) in dialled {
        let word = match dialled {
            Dialled::Reached => "it answered".to_owned(),
            Dialled::Refused => "nobody listens there".to_owned(),
            Dialled::TimedOut => "no answer in time".to_owned(),
            Dialled::OtherNode(Some(node)) => format!("another node is there, {node}"),
            Dialled::OtherNode(None) => "something else is there".to_owned(),
            Dialled::Undiallable => "nothing that this program can dial".to_owned(),
            Dialled::Failed(reason) => reason.clone(),
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join("; ")
}
