//! The one task that owns the swarm. Whatever wakes it is an arm of [`Task::run`]; each arm is one call.

mod asks;
mod events;
mod following;
mod lookups;
mod probes;
mod renewals;
#[cfg(test)]
mod tests;

use crate::behaviour::{Behaviour, RELAY_MARKER};
use crate::config::{NetConfig, Role};
use crate::connections::{Connections, Room};
use crate::convert::{address_of, is_loopback, is_unspecified, keypair, multiaddr_of, node_address, node_of, peer_of};
use crate::gossip::{Topics, ident_topic};
use crate::handle::{Counters, LiveNode, Message, NetCommand, NetError, NetEvent, NetStatus, PeerInfo, WrongSeed};
use crate::inbound::Opened;
use crate::local::Local;
use crate::pace::{LIVE, PLACES, Pace, RECORDS};
use crate::queries::Queries;
use crate::serve::Followers;
use crate::streams::{Answers, Budget, Outgoing, StreamEvent, serve};
use crate::transport::{Carrier, swarm};
use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{DialError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm};
use libp2p_stream::IncomingStreams;
use porchlight_wire::blind::BlindedKey;
use porchlight_wire::follow::FollowKey;
use porchlight_wire::frame::ExchangeNumber;
use porchlight_wire::ids::{Address, NodeId};
use porchlight_wire::network::TopicIndex;
use porchlight_wire::record::Place;
use probes::Probes;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What streams may report before they wait.
const STREAM_EVENTS: usize = 1_024;

/// Events held back for the driver. Beyond it beacons are dropped: what is lost is looked up again.
const HELD_BACK: usize = 8_192;

/// Requests of others that may wait for the core's answer.
const WAITING_FOR_CORE: usize = 1_024;

/// Where an answer of the core goes.
struct Responder {
    peer: PeerId,
    number: ExchangeNumber,
    answers: Answers,
}

pub(crate) struct Task {
    config: NetConfig,
    node: NodeId,
    swarm: Swarm<Behaviour>,
    _relay_marker: Option<IncomingStreams>,

    inbox: mpsc::Receiver<Message>,
    outbox: mpsc::Sender<NetEvent>,
    held_back: VecDeque<NetEvent>,
    stream_events: mpsc::Receiver<StreamEvent>,
    stream_reports: mpsc::Sender<StreamEvent>,

    connections: Connections,
    queries: Queries,
    probes: Probes,
    renewals: renewals::Renewals,
    followers: Followers,
    pace: Pace<Place>,
    /// Places that peers have brought by put.
    brought: Pace<PeerId>,
    counters: Counters,
    last_dropped: Option<Instant>,

    /// Streams we opened, by peer.
    outbound: BTreeMap<PeerId, mpsc::Sender<Outgoing>>,
    /// Requests that wait for a connection.
    waiting: BTreeMap<PeerId, Vec<Outgoing>>,
    /// Requests of others that wait for the core.
    asked: BTreeMap<u64, Responder>,
    last_asked: u64,
    inbound_streams: BTreeMap<PeerId, usize>,
    answers: Budget,
    forgeries: BTreeMap<PeerId, u32>,

    topics: BTreeSet<TopicIndex>,
    topic_names: Topics,
    local: Local,
    follow: following::Following,
    /// What proves to us that someone holds a view of ours, and what nobody can prove.
    views: BTreeMap<BlindedKey, FollowKey>,
    nobodys: FollowKey,
    own_cards: BTreeSet<BlindedKey>,
    listening: BTreeSet<Address>,
    /// Who is live, as it was told last, how often that is worked out, and whether it may have changed since.
    live: Vec<LiveNode>,
    live_peers: Vec<PeerId>,
    live_pace: Pace<()>,
    live_changed: bool,
}

impl Task {
    /// Sets up the transport and listens; returns once every address is bound.
    pub(crate) async fn listen(
        config: NetConfig,
        carrier: Carrier,
        inbox: mpsc::Receiver<Message>,
        outbox: mpsc::Sender<NetEvent>,
    ) -> Result<Self, NetError> {
        let key = keypair(&config.transport_secret).ok_or(NetError::Key)?;
        let node = node_of(&key.public().to_peer_id()).ok_or(NetError::Key)?;
        let mut swarm = swarm(&config, key, carrier)?;
        let mut control = swarm.behaviour().streams.new_control();
        let taken = |_| NetError::Transport("a protocol is registered twice".to_owned());
        let relay_marker = match config.role {
            Role::Relay => Some(control.accept(RELAY_MARKER).map_err(taken)?),
            Role::Ordinary => None,
        };
        for address in config.external.iter().filter_map(multiaddr_of) {
            swarm.add_external_address(address);
        }
        let listening = bind(&mut swarm, &config.listen).await?;
        let (stream_reports, stream_events) = mpsc::channel(STREAM_EVENTS);
        let mut task = Self {
            connections: Connections::new(config.limits.relays, config.timing.grace),
            followers: Followers::new(config.limits.followed),
            node,
            swarm,
            _relay_marker: relay_marker,
            inbox,
            outbox,
            held_back: VecDeque::new(),
            stream_events,
            stream_reports,
            queries: Queries::default(),
            probes: Probes::default(),
            renewals: renewals::Renewals::default(),
            pace: Pace::new(RECORDS),
            brought: Pace::new(PLACES),
            counters: Counters::default(),
            last_dropped: None,
            outbound: BTreeMap::new(),
            waiting: BTreeMap::new(),
            asked: BTreeMap::new(),
            last_asked: 0,
            inbound_streams: BTreeMap::new(),
            answers: Budget::new(config.limits.answer_bytes),
            forgeries: BTreeMap::new(),
            topics: BTreeSet::new(),
            topic_names: Topics::of(&config.network),
            local: Local::default(),
            follow: following::Following::default(),
            views: BTreeMap::new(),
            nobodys: FollowKey::from_bytes(rand::random()),
            own_cards: BTreeSet::new(),
            listening: BTreeSet::new(),
            live: Vec::new(),
            live_peers: Vec::new(),
            live_pace: Pace::new(LIVE),
            live_changed: false,
            config,
        };
        for address in listening {
            task.on_listening(&address);
        }
        task.want_seeds();
        if task.config.role == Role::Relay {
            let all = task.config.network.topics().collect();
            task.join(all);
        }
        Ok(task)
    }

    /// The loop.
    pub(crate) async fn run(mut self) {
        let mut tick = tokio::time::interval(self.config.timing.tick);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let outbox = self.outbox.clone();
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm(event),
                message = self.inbox.recv() => match message {
                    Some(Message::Command(command)) => self.on_command(command),
                    Some(Message::Status(reply)) => { let _ = reply.send(self.status()); }
                    Some(Message::Probe(probe)) => self.on_probe(probe),
                    Some(Message::Stop(done)) => {
                        self.close().await;
                        let _ = done.send(());
                        return;
                    }
                    None => return,
                },
                Some(event) = self.stream_events.recv() => self.on_stream(event),
                permit = outbox.reserve(), if !self.held_back.is_empty() => match permit {
                    Ok(permit) => if let Some(event) = self.held_back.pop_front() { permit.send(event) },
                    Err(_) => return,
                },
                _ = tick.tick() => self.on_tick(),
            }
        }
    }

    fn on_command(&mut self, command: NetCommand) {
        match command {
            NetCommand::Gossip { beacon } => self.gossip(&beacon),
            NetCommand::Put { id, record } => self.put(id, record),
            NetCommand::Lookup { id, places, at } => self.lookup(id, &places, &at),
            NetCommand::Topics { topics } => {
                if self.config.role == Role::Ordinary {
                    self.join(topics);
                }
            }
            NetCommand::Expect { addresses } => {
                let places = addresses.into_iter().map(Place::Beacon).collect();
                self.swarm.behaviour_mut().kad.store_mut().expect(places);
            }
            NetCommand::Follow { addresses } => self.set_follow(addresses),
            NetCommand::FollowAt {
                node,
                reach,
                addresses,
                proofs,
            } => self.set_follow_at(node, &reach, addresses, proofs),
            NetCommand::Serve { views } => self.set_served(views),
            NetCommand::Request {
                exchange,
                to,
                addresses,
                request,
            } => self.request(exchange, &to, &addresses, request),
            NetCommand::Respond { exchange, response } => self.respond(exchange, response),
            NetCommand::Keep { contacts } => {
                let mut nodes: BTreeMap<PeerId, Vec<Multiaddr>> = BTreeMap::new();
                for contact in contacts {
                    if let (Some(peer), Some(address)) = (peer_of(&contact.node), multiaddr_of(&contact.address)) {
                        nodes.entry(peer).or_default().push(address);
                    }
                }
                self.connections.want_contacts(nodes, self.config.timing.redial_contact);
            }
        }
    }

    /// What comes back again and again: dials, deadlines, what has expired, who is live.
    fn on_tick(&mut self) {
        for (peer, addresses) in self.connections.due_dials() {
            if let Err(reason) = self.dial(peer, addresses) {
                tracing::trace!(%peer, %reason, "not dialled");
            }
        }
        for peer in self.local.strangers() {
            if let Err(reason) = self.dial(peer, Vec::new()) {
                tracing::trace!(%peer, %reason, "not dialled");
            }
        }
        for peer in self.follow.peers() {
            self.connections.touch(&peer);
        }
        self.end_late_lookups();
        self.end_late_dials();
        let serves = self.config.role == Role::Relay;
        // An eighth of each is left free, for dials of ours and for who comes.
        let most = |limit: u32| usize::try_from(limit - limit / 8).unwrap_or(usize::MAX);
        let room = Room {
            peers: most(self.config.limits.connections),
            incoming: most(self.config.limits.incoming()),
        };
        for peer in self.connections.dispensable(serves, room) {
            self.counters.pruned += 1;
            // An error says that it is gone already.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        self.swarm.behaviour_mut().kad.store_mut().sweep();
        self.pace.sweep();
        self.brought.sweep();
        self.renew_due();
        self.follow_somewhere();
        if self.live_changed || self.answering() != self.live_peers {
            self.tell_live();
        }
    }

    fn want_seeds(&mut self) {
        for seed in self.config.seed_peers.clone() {
            if let (Some(peer), Some(address)) = (peer_of(&seed.node), multiaddr_of(&seed.address))
                && seed.node != self.node
            {
                self.connections
                    .want_seed(peer, address, self.config.timing.redial_seed);
            }
        }
    }

    /// Dials, unless a dial to it is under way: on the local network, where it is there, and at these addresses. Says why
    /// not if that is not even begun.
    fn dial(&mut self, peer: PeerId, mut addresses: Vec<Multiaddr>) -> Result<(), String> {
        addresses.splice(0..0, self.local.addresses(&peer).iter().cloned());
        let opts = DialOpts::peer_id(peer)
            .addresses(addresses)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .build();
        match self.swarm.dial(opts) {
            Ok(()) | Err(DialError::DialPeerConditionFalse(_)) => Ok(()),
            Err(error) => Err(plain(&error)),
        }
    }

    fn join(&mut self, topics: BTreeSet<TopicIndex>) {
        let network = self.config.network.clone();
        for index in self.topics.difference(&topics) {
            self.swarm
                .behaviour_mut()
                .gossip
                .unsubscribe(&ident_topic(&network, *index));
        }
        for index in topics.difference(&self.topics) {
            if let Err(error) = self
                .swarm
                .behaviour_mut()
                .gossip
                .subscribe(&ident_topic(&network, *index))
            {
                tracing::warn!(%error, topic = index.0, "a topic could not be joined");
            }
        }
        self.topics = topics;
    }

    fn on_listening(&mut self, address: &Multiaddr) {
        if is_unspecified(address) {
            return;
        }
        if let Some(address) = address_of(address)
            && self.listening.insert(address.clone())
        {
            self.tell(NetEvent::Listening { address });
        }
    }

    fn on_not_listening(&mut self, address: &Multiaddr) {
        if let Some(address) = address_of(address)
            && self.listening.remove(&address)
        {
            self.tell(NetEvent::NotListening { address });
        }
    }

    /// Gives an event to the driver, or holds it back until there is room.
    fn tell(&mut self, event: NetEvent) {
        if self.held_back.len() >= HELD_BACK && matches!(event, NetEvent::Beacon { .. }) {
            self.counters.dropped += 1;
            self.last_dropped = Some(Instant::now());
            return;
        }
        self.held_back.push_back(event);
    }

    /// Peers that have answered a ping lately.
    fn answering(&self) -> Vec<PeerId> {
        let now = Instant::now();
        self.connections
            .peers
            .iter()
            .filter(|(_, state)| {
                state
                    .last_pong
                    .is_some_and(|at| now.duration_since(at) <= self.config.timing.live_after_ping)
            })
            .map(|(peer, _)| *peer)
            .collect()
    }

    /// Who is live may have changed: it is told now, or with the next round if it changes often. It is much to work out, and
    /// strangers can make it change as often as they like.
    fn live_changed(&mut self) {
        if self.live_pace.allows(()) {
            self.tell_live();
        } else {
            self.live_changed = true;
        }
    }

    /// Who is live, if that has changed since it was told last.
    fn tell_live(&mut self) {
        self.live_changed = false;
        self.live_peers = self.answering();
        let mut topics: BTreeMap<PeerId, BTreeSet<TopicIndex>> = self
            .swarm
            .behaviour()
            .gossip
            .all_peers()
            .map(|(peer, topics)| {
                let topics = topics
                    .into_iter()
                    .filter_map(|topic| self.topic_names.index(topic))
                    .collect();
                (*peer, topics)
            })
            .collect();
        let live: Vec<LiveNode> = self
            .live_peers
            .iter()
            .filter_map(|peer| {
                Some(LiveNode {
                    node: node_of(peer)?,
                    relay: self.connections.peers.get(peer)?.relay,
                    topics: topics.remove(peer).unwrap_or_default(),
                    followed: self.follow.held(peer),
                })
            })
            .collect();
        if live != self.live {
            self.live.clone_from(&live);
            self.tell(NetEvent::Live { nodes: live });
        }
    }

    fn status(&mut self) -> NetStatus {
        let records = self.swarm.behaviour_mut().kad.store_mut().len();
        let peers = self
            .connections
            .peers
            .iter()
            .filter_map(|(peer, state)| {
                Some(PeerInfo {
                    node: node_of(peer)?,
                    address: state.address.as_ref().and_then(address_of),
                    relay: state.relay,
                    seed: self.connections.is_seed(peer),
                    contact: self.connections.is_contact(peer),
                    follows: self.followers.follows(peer, |address| self.views.contains_key(address)),
                    inbound: state.inbound,
                    rtt_micros: state.rtt.map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)),
                    connected_for_ms: u64::try_from(state.since.elapsed().as_millis()).unwrap_or(u64::MAX),
                })
            })
            .collect();
        let announced = self.config.external.iter().chain(self.listening.iter());
        NetStatus {
            node: self.node,
            listening: announced
                .filter_map(|address| node_address(self.node, &multiaddr_of(address)?))
                .collect(),
            peers,
            counters: self.counters,
            records,
            topics: self.topics.len(),
            wrong_seeds: self
                .connections
                .wrong_seeds
                .iter()
                .filter_map(|(peer, found)| {
                    Some(WrongSeed {
                        node: node_of(peer)?,
                        found: *found,
                    })
                })
                .collect(),
            dropped_ago: self.last_dropped.map(|at| at.elapsed()),
        }
    }

    /// Closes every connection and waits, for a moment, until what was to be sent is sent.
    async fn close(&mut self) {
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closed = async {
            while self.swarm.connected_peers().next().is_some() {
                self.swarm.select_next_some().await;
            }
        };
        // Whoever does not let go within a moment will notice by themselves.
        let _ = tokio::time::timeout(Duration::from_secs(1), closed).await;
    }

    fn on_opened(&mut self, Opened { peer, stream }: Opened) {
        // One stream for each direction is all an honest peer opens; a second one may overlap with the end of the first.
        let streams = self.inbound_streams.entry(peer).or_insert(0);
        if *streams >= 2 {
            return;
        }
        *streams += 1;
        let reports = self.stream_reports.clone();
        let at_once = self.config.limits.exchanges_per_peer;
        let budget = self.answers.clone();
        tokio::spawn(async move {
            serve(peer, stream, reports.clone(), at_once, budget).await;
            let _ = reports.send(StreamEvent::InboundClosed { peer }).await;
        });
    }

    /// Counts a forgery against whoever sent it, and shuts them out if there were too many.
    fn forged_by(&mut self, peer: PeerId) {
        let count = self.forgeries.entry(peer).or_insert(0);
        *count += 1;
        if *count >= self.config.limits.forgeries {
            self.forgeries.remove(&peer);
            self.counters.shut_out += 1;
            self.connections.shut_out(peer);
            tracing::info!(%peer, "a peer that sends forged beacons is shut out for a while");
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        if self.forgeries.len() > HELD_BACK {
            self.forgeries.clear();
        }
    }
}

/// Binds all addresses, and waits until each listener has said where it is.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "only listeners matter before the loop has begun"
)]
async fn bind(swarm: &mut Swarm<Behaviour>, addresses: &[Address]) -> Result<Vec<Multiaddr>, NetError> {
    let mut pending: HashMap<ListenerId, Address> = HashMap::new();
    for address in addresses {
        let failed = |reason: String| NetError::Listen {
            address: address.clone(),
            reason,
        };
        let multiaddr = multiaddr_of(address).ok_or_else(|| failed("it is no multiaddr".to_owned()))?;
        let id = swarm.listen_on(multiaddr).map_err(|error| failed(plain(&error)))?;
        pending.insert(id, address.clone());
    }
    let mut bound = Vec::new();
    while !pending.is_empty() {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { listener_id, address } => {
                pending.remove(&listener_id);
                bound.push(address);
            }
            SwarmEvent::ListenerClosed {
                listener_id,
                reason: Err(error),
                ..
            } => {
                if let Some(address) = pending.remove(&listener_id) {
                    let reason = error.to_string();
                    return Err(NetError::Listen { address, reason });
                }
            }
            _ => {}
        }
    }
    Ok(bound)
}

/// The innermost reason of a transport's error: the rest is libp2p's own nesting.
fn plain(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// Addresses of a server that Kademlia may dial: few, and none on loopback unless we are on the same machine.
fn dialable(addresses: Vec<Multiaddr>, seen_at: Option<&Multiaddr>) -> Vec<Multiaddr> {
    const MOST: usize = 8;
    let same_machine = seen_at.is_some_and(is_loopback);
    addresses
        .into_iter()
        .filter(|address| !is_unspecified(address) && (same_machine || !is_loopback(address)))
        .take(MOST)
        .collect()
}
