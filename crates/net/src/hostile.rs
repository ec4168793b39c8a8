//! A node that keeps none of our rules: it takes whatever passes, and offers whatever bytes it likes, in each of the ways in
//! which records travel. The demo and tests attack nodes with it. No node that keeps the rules has any of this: it speaks
//! the same protocols with the same settings, by a loop of its own instead of the task's.

use crate::behaviour::{Behaviour, BehaviourEvent, FRAMES};
use crate::config::{NetConfig, Role};
use crate::convert::{keypair, multiaddr_of, peer_of};
use crate::gossip::ident_topic;
use crate::handle::NetError;
use crate::streams::{Frames, framed};
use futures::{SinkExt, StreamExt};
use libp2p::bytes::Bytes;
use libp2p::kad::{self, QueryId, QueryResult, Quorum, Record, RecordKey};
use libp2p::swarm::SwarmEvent;
use libp2p::{PeerId, Swarm, SwarmBuilder, gossipsub, noise, tcp, yamux};
use libp2p_stream::Control;
use porchlight_wire::beacon::topic;
use porchlight_wire::blind::BlindedKey;
use porchlight_wire::frame::{ExchangeNumber, Request, RequestFrame, Response, decode_response, encode_request};
use porchlight_wire::ids::{NodeAddress, NodeId};
use porchlight_wire::network::Network;
use porchlight_wire::record::Place;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// What it remembers of what passed. More is forgotten.
const REMEMBERED: usize = 65_536;

/// Acts that may wait.
const ACTS: usize = 16;

/// How long the other side may take to let it in, or to answer.
const PATIENCE: Duration = Duration::from_secs(20);

enum Act {
    Gossip(BlindedKey, Vec<u8>, oneshot::Sender<bool>),
    Put(PeerId, BlindedKey, Vec<u8>, oneshot::Sender<bool>),
}

/// A handle to it. It is gone with the handle.
pub struct Hostile {
    acts: mpsc::Sender<Act>,
    control: Control,
    heard: mpsc::Receiver<Vec<u8>>,
    /// Streams to nodes that were asked something, and how often.
    streams: BTreeMap<NodeId, (Frames, u64)>,
}

impl std::fmt::Debug for Hostile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hostile")
    }
}

impl Hostile {
    /// Connects to all of these under the key of this seed, and waits until each has said in which topics it is.
    ///
    /// # Errors
    ///
    /// If one of them does not let it in.
    pub async fn connect(transport_secret: [u8; 32], network: &Network, to: &[NodeAddress]) -> Result<Self, NetError> {
        let mut swarm = swarm(&NetConfig::new(transport_secret, network.clone(), Role::Ordinary))?;
        for topic in network.topics() {
            // One that cannot be joined is one that nothing is heard in.
            let _ = swarm.behaviour_mut().gossip.subscribe(&ident_topic(network, topic));
        }
        let mut missing = BTreeSet::new();
        for node in to {
            let (Some(peer), Some(address)) = (peer_of(&node.node), multiaddr_of(&node.address)) else {
                return Err(NetError::Transport(format!("{node} cannot be dialled")));
            };
            swarm
                .dial(address)
                .map_err(|error| NetError::Transport(error.to_string()))?;
            missing.insert(peer);
        }
        let control = swarm.behaviour().streams.new_control();
        let (acts, inbox) = mpsc::channel(ACTS);
        let (hears, heard) = mpsc::channel(REMEMBERED);
        let (ready, is_ready) = oneshot::channel();
        tokio::spawn(run(swarm, network.clone(), inbox, hears, missing, ready));
        match timeout(PATIENCE, is_ready).await {
            Ok(Ok(())) => Ok(Self {
                acts,
                control,
                heard,
                streams: BTreeMap::new(),
            }),
            Ok(Err(_)) | Err(_) => Err(NetError::Transport("the other side does not let it in".to_owned())),
        }
    }

    /// The next record that passes by gossip, once each.
    pub async fn hear(&mut self) -> Option<Vec<u8>> {
        self.heard.recv().await
    }

    /// A record that has passed already, if there is one it has not given out.
    pub fn heard(&mut self) -> Option<Vec<u8>> {
        self.heard.try_recv().ok()
    }

    /// Sends bytes to all it is connected to, in the topic of this address. False if they did not even go out.
    pub async fn gossip(&self, address: BlindedKey, bytes: Vec<u8>) -> bool {
        let (reply, answer) = oneshot::channel();
        let sent = self.acts.send(Act::Gossip(address, bytes, reply)).await.is_ok();
        sent && answer.await.unwrap_or(false)
    }

    /// Asks a server of the DHT to keep bytes at an address. Whether it said that it does: libp2p's servers say so whatever
    /// becomes of them.
    pub async fn put(&self, server: &NodeId, address: BlindedKey, bytes: Vec<u8>) -> bool {
        let Some(peer) = peer_of(server) else {
            return false;
        };
        let (reply, answer) = oneshot::channel();
        let sent = self.acts.send(Act::Put(peer, address, bytes, reply)).await.is_ok();
        sent && matches!(timeout(PATIENCE, answer).await, Ok(Ok(true)))
    }

    /// Asks something on a framed stream; none if there is no answer.
    pub async fn ask(&mut self, node: &NodeId, request: Request) -> Option<Response> {
        let answered = timeout(PATIENCE, self.exchange(node, request)).await;
        let answer = answered.ok().flatten();
        if answer.is_none() {
            self.streams.remove(node);
        }
        answer
    }

    async fn exchange(&mut self, node: &NodeId, request: Request) -> Option<Response> {
        if !self.streams.contains_key(node) {
            let stream = self.control.open_stream(peer_of(node)?, FRAMES).await.ok()?;
            self.streams.insert(*node, (framed(stream), 0));
        }
        let (frames, asked) = self.streams.get_mut(node)?;
        *asked += 1;
        let exchange = ExchangeNumber(*asked);
        let frame = encode_request(&RequestFrame { exchange, request });
        frames.send(Bytes::from(frame)).await.ok()?;
        let bytes = frames.next().await?.ok()?;
        Some(decode_response(&bytes).ok()?.response)
    }
}

fn swarm(config: &NetConfig) -> Result<Swarm<Behaviour>, NetError> {
    let key = keypair(&config.transport_secret).ok_or(NetError::Key)?;
    let behaviour = Behaviour::new(config, &key.public()).map_err(NetError::Transport)?;
    let swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(
            tcp::Config::default().nodelay(true),
            noise::Config::new,
            yamux::Config::default,
        )
        .map_err(|error| NetError::Transport(error.to_string()))?
        .with_behaviour(|_| behaviour)
        .map_err(|error| NetError::Transport(error.to_string()))?
        .with_swarm_config(|swarm| swarm.with_idle_connection_timeout(Duration::from_secs(86_400)))
        .build();
    Ok(swarm)
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "libp2p adds kinds of events that concern nobody here"
)]
async fn run(
    mut swarm: Swarm<Behaviour>,
    network: Network,
    mut inbox: mpsc::Receiver<Act>,
    hears: mpsc::Sender<Vec<u8>>,
    mut missing: BTreeSet<PeerId>,
    ready: oneshot::Sender<()>,
) {
    let mut ready = Some(ready);
    let mut puts: HashMap<QueryId, oneshot::Sender<bool>> = HashMap::new();
    loop {
        tokio::select! {
            act = inbox.recv() => match act {
                None => return,
                Some(Act::Gossip(address, bytes, reply)) => {
                    let topic = ident_topic(&network, topic(&network, &address));
                    let published = swarm.behaviour_mut().gossip.publish(topic, bytes);
                    // Whoever asked may be gone.
                    let _ = reply.send(published.is_ok());
                }
                Some(Act::Put(peer, address, bytes, reply)) => {
                    let record = Record::new(RecordKey::from(Place::Beacon(address).dht_key()), bytes);
                    let kad = &mut swarm.behaviour_mut().kad;
                    puts.insert(kad.put_record_to(record, std::iter::once(peer), Quorum::One), reply);
                }
            },
            event = swarm.select_next_some() => match event {
                SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Message { message, .. })) => {
                    let _ = hears.try_send(message.data);
                }
                SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Subscribed { peer_id, .. })) => {
                    missing.remove(&peer_id);
                    if missing.is_empty() && let Some(ready) = ready.take() {
                        let _ = ready.send(());
                    }
                }
                SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed {
                    id,
                    result: QueryResult::PutRecord(done),
                    ..
                })) => {
                    if let Some(reply) = puts.remove(&id) {
                        let _ = reply.send(done.is_ok());
                    }
                }
                _ => {}
            },
        }
    }
}
