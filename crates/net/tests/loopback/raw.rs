//! A libp2p peer without any of our rules: what a hostile or broken program could send, and what it would see.

use super::town::{LOOK, patient, plain};
use libp2p::bytes::Bytes;
use libp2p::futures::{AsyncReadExt, AsyncWriteExt, SinkExt, StreamExt};
use libp2p::gossipsub::{self, IdentTopic};
use libp2p::kad::store::MemoryStore;
use libp2p::kad::{self, GetRecordOk, InboundRequest, QueryId, QueryResult, Quorum, Record, RecordKey};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol, Swarm, SwarmBuilder, identify, noise, ping, tcp, yamux};
use libp2p_stream::{Control, IncomingStreams};
use porchlight_wire::frame::{ExchangeNumber, Request, RequestFrame, Response, decode_response, encode_request};
use porchlight_wire::ids::{Address, NodeAddress, NodeId};
use porchlight_wire::limits::FRAME_BYTES;
use porchlight_wire::network::Network;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt};

/// What a raw peer remembers for its test. More is forgotten.
const REMEMBERED: usize = 4_096;

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    gossip: gossipsub::Behaviour,
    kad: kad::Behaviour<MemoryStore>,
    streams: libp2p_stream::Behaviour,
}

/// What a raw peer pretends to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guise {
    /// An ordinary node.
    Ordinary,
    /// A relay that acknowledges every record and keeps none.
    Refusing,
    /// A relay that takes every question and answers none.
    Mute,
}

enum Do {
    Publish(IdentTopic, Vec<u8>, oneshot::Sender<bool>),
    LeaveAndJoin(IdentTopic, usize),
    Put(Record, oneshot::Sender<bool>),
    Get(RecordKey, oneshot::Sender<Vec<Record>>),
}

/// A handle to the raw peer.
pub struct Raw {
    pub address: NodeAddress,
    commands: mpsc::Sender<Do>,
    control: Control,
    other: Option<PeerId>,
    network: Network,
    /// What came by gossip.
    heard: mpsc::Receiver<Vec<u8>>,
    /// What was put here.
    given: mpsc::Receiver<Record>,
}

impl Raw {
    /// A raw peer that is connected to `to`, and in the one topic.
    pub async fn connected_to(to: &NodeAddress) -> Self {
        Self::try_connect(to, &plain(), &[])
            .await
            .expect("the connection is kept")
    }

    /// A raw peer that is connected to `to` and in the topics of `network`, after those of other names; none if the other
    /// side closes the connection before it has said what it is.
    pub async fn try_connect(to: &NodeAddress, network: &Network, other_topics: &[String]) -> Option<Self> {
        let mut swarm = swarm(network, other_topics).await;
        let address: Multiaddr = to.to_string().parse().unwrap();
        let Some(libp2p::multiaddr::Protocol::P2p(other)) = address.iter().last() else {
            panic!("expected a PeerId in {address}");
        };
        swarm.dial(address.clone()).unwrap();
        let connected = patient("an end of the dial", async {
            loop {
                match swarm.select_next_some().await {
                    SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { .. })) => return true,
                    SwarmEvent::ConnectionClosed { .. } | SwarmEvent::OutgoingConnectionError { .. } => return false,
                    _ => {}
                }
            }
        });
        if !connected.await {
            return None;
        }
        // Not before: Kademlia would dial as well, and two dials between the same two ends are in each other's way.
        swarm.behaviour_mut().kad.add_address(&other, address);
        Some(Self::run(swarm, Some(other), network))
    }

    /// A raw peer that waits to be dialled.
    pub async fn waiting(guise: Guise) -> Self {
        let mut swarm = swarm(&plain(), &[]).await;
        let mut control = swarm.behaviour().streams.new_control();
        if guise != Guise::Ordinary {
            hold(control.accept(StreamProtocol::new("/pl/relay/1")).unwrap());
        }
        match guise {
            Guise::Ordinary => {}
            Guise::Refusing => swarm.behaviour_mut().kad.set_mode(Some(kad::Mode::Server)),
            Guise::Mute => hold(control.accept(kad_protocol(&plain())).unwrap()),
        }
        Self::run(swarm, None, &plain())
    }

    fn run(swarm: Swarm<Behaviour>, other: Option<PeerId>, network: &Network) -> Self {
        let key = swarm.local_peer_id().to_bytes();
        // The PeerId of an Ed25519 key ends in the key.
        let node = NodeId::from_bytes(key[key.len() - 32..].try_into().unwrap()).unwrap();
        let listening = swarm.listeners().next().unwrap().to_string();
        let address = NodeAddress {
            node,
            address: Address::parse(&listening).unwrap(),
        };
        let control = swarm.behaviour().streams.new_control();
        let (commands, inbox) = mpsc::channel(16);
        let (hears, heard) = mpsc::channel(REMEMBERED);
        let (gives, given) = mpsc::channel(REMEMBERED);
        tokio::spawn(run(swarm, inbox, other, hears, gives));
        Self {
            address,
            commands,
            control,
            other,
            network: network.clone(),
            heard,
            given,
        }
    }

    /// Publishes bytes in the first topic, as soon as the other side is in it.
    pub async fn publish(&self, bytes: &[u8]) {
        self.publish_in(0, bytes).await;
    }

    /// Publishes bytes in a topic, as soon as the other side is in it.
    pub async fn publish_in(&self, topic: u16, bytes: &[u8]) {
        patient("somebody in the topic", async {
            while !self.try_publish(topic, bytes).await {
                sleep(LOOK).await;
            }
        })
        .await;
    }

    /// Publishes bytes; false if gossipsub did not send them, because nobody is in the topic or it just did.
    pub async fn try_publish(&self, topic: u16, bytes: &[u8]) -> bool {
        let (reply, answer) = oneshot::channel();
        let topic = IdentTopic::new(topic_name(&self.network, topic));
        let publish = Do::Publish(topic, bytes.to_vec(), reply);
        self.commands.send(publish).await.unwrap();
        answer.await.unwrap()
    }

    /// Leaves the first topic and comes back, so many times.
    pub async fn leave_and_join(&self, times: usize) {
        let topic = IdentTopic::new(topic_name(&self.network, 0));
        self.commands.send(Do::LeaveAndJoin(topic, times)).await.unwrap();
    }

    /// The next thing that comes by gossip.
    pub async fn hear(&mut self) -> Vec<u8> {
        patient("something by gossip", self.heard.recv()).await.unwrap()
    }

    /// The next record that is put here.
    pub async fn be_given(&mut self) -> Record {
        patient("a record", self.given.recv()).await.unwrap()
    }

    /// Puts a record at the other side; whether that was acknowledged.
    pub async fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let (reply, answer) = oneshot::channel();
        let mut record = Record::new(key, value);
        record.publisher = Some(PeerId::random());
        self.commands.send(Do::Put(record, reply)).await.unwrap();
        patient("the end of a put", answer).await.unwrap()
    }

    /// What the other side has under a key.
    pub async fn get(&self, key: Vec<u8>) -> Vec<Record> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Do::Get(RecordKey::from(key), reply)).await.unwrap();
        patient("the end of a get", answer).await.unwrap()
    }

    /// Writes bytes on a new framed stream, and gives what comes back until the other side closes it.
    pub async fn write_frames(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.stream().await;
        stream.write_all(bytes).await.unwrap();
        stream.flush().await.unwrap();
        let mut back = Vec::new();
        // An error is another way to be closed.
        let _ = patient("the end of the stream", stream.read_to_end(&mut back)).await;
        back
    }

    /// A new framed stream to the other side.
    pub async fn frames(&mut self) -> Frames {
        let codec = LengthDelimitedCodec::builder()
            .max_frame_length(FRAME_BYTES)
            .new_codec();
        Frames(Framed::new(self.stream().await.compat(), codec))
    }

    async fn stream(&mut self) -> Stream {
        let opening = self
            .control
            .open_stream(self.other.unwrap(), StreamProtocol::new("/pl/frames/1"));
        patient("a stream", opening).await.unwrap()
    }
}

/// A framed stream that a raw peer opened.
pub struct Frames(Framed<Compat<Stream>, LengthDelimitedCodec>);

impl Frames {
    /// Asks something; whatever comes back is for [`Self::answer`].
    pub async fn ask(&mut self, exchange: u64, request: Request) {
        let exchange = ExchangeNumber(exchange);
        let bytes = encode_request(&RequestFrame { exchange, request });
        // A stream that is closed shows by what it answers.
        let _ = self.0.send(Bytes::from(bytes)).await;
    }

    /// The next answer and the number of what it answers; none once the stream is closed.
    pub async fn answer(&mut self) -> Option<(u64, Response)> {
        let bytes = patient("an answer", self.0.next()).await?.ok()?;
        let frame = decode_response(&bytes).unwrap();
        Some((frame.exchange.0, frame.response))
    }
}

/// Takes streams, reads nothing, and keeps them open.
fn hold(mut streams: IncomingStreams) {
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Some(stream) = streams.next().await {
            held.push(stream);
        }
    });
}

fn kad_protocol(network: &Network) -> StreamProtocol {
    StreamProtocol::try_from_owned(format!("/pl/{}/kad/1", network.name())).unwrap()
}

fn topic_name(network: &Network, topic: u16) -> String {
    format!("/pl/{}/{}/{topic}", network.name(), network.bucket_bits())
}

async fn swarm(network: &Network, other_topics: &[String]) -> Swarm<Behaviour> {
    let settings = gossipsub::ConfigBuilder::default()
        .protocol_id_prefix(format!("/pl/{}/meshsub", network.name()))
        .validation_mode(gossipsub::ValidationMode::Anonymous)
        .message_id_fn(never_the_same)
        .heartbeat_interval(Duration::from_millis(100))
        .build()
        .unwrap();
    let mut gossip = gossipsub::Behaviour::new(gossipsub::MessageAuthenticity::Anonymous, settings).unwrap();
    let topics = network.topics().map(|index| topic_name(network, index.0));
    for topic in other_topics.iter().cloned().chain(topics) {
        gossip.subscribe(&IdentTopic::new(topic)).unwrap();
    }
    let mut kad_settings = kad::Config::new(kad_protocol(network));
    kad_settings
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        // What is seen of a record is what came with it.
        .set_record_ttl(None);
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default().nodelay(true),
            noise::Config::new,
            yamux::Config::default,
        )
        .unwrap()
        .with_behaviour(|key| {
            let peer = key.public().to_peer_id();
            Behaviour {
                identify: identify::Behaviour::new(identify::Config::new(
                    format!("/pl/{}/1", network.name()),
                    key.public(),
                )),
                ping: ping::Behaviour::default(),
                gossip,
                kad: kad::Behaviour::with_config(peer, MemoryStore::new(peer), kad_settings),
                streams: libp2p_stream::Behaviour::new(),
            }
        })
        .unwrap()
        .with_swarm_config(|swarm| swarm.with_idle_connection_timeout(Duration::from_secs(600)))
        .build();
    swarm.behaviour_mut().kad.set_mode(Some(kad::Mode::Client));
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    while swarm.listeners().next().is_none() {
        swarm.select_next_some().await;
    }
    swarm
}

/// A new id at each look, so that this side never takes a replay for a duplicate.
fn never_the_same(_: &gossipsub::Message) -> gossipsub::MessageId {
    static LAST: AtomicU64 = AtomicU64::new(0);
    gossipsub::MessageId::from(LAST.fetch_add(1, Ordering::Relaxed).to_be_bytes().to_vec())
}

async fn run(
    mut swarm: Swarm<Behaviour>,
    mut inbox: mpsc::Receiver<Do>,
    other: Option<PeerId>,
    hears: mpsc::Sender<Vec<u8>>,
    gives: mpsc::Sender<Record>,
) {
    let mut puts: HashMap<QueryId, oneshot::Sender<bool>> = HashMap::new();
    let mut gets: HashMap<QueryId, (Vec<Record>, oneshot::Sender<Vec<Record>>)> = HashMap::new();
    loop {
        tokio::select! {
            command = inbox.recv() => match command {
                None => return,
                Some(Do::Publish(topic, bytes, reply)) => {
                    let published = swarm.behaviour_mut().gossip.publish(topic, bytes);
                    let _ = reply.send(published.is_ok());
                }
                Some(Do::LeaveAndJoin(topic, times)) => {
                    for _ in 0..times {
                        assert!(swarm.behaviour_mut().gossip.unsubscribe(&topic));
                        assert!(swarm.behaviour_mut().gossip.subscribe(&topic).unwrap());
                    }
                }
                Some(Do::Put(record, reply)) => {
                    let query = swarm.behaviour_mut().kad.put_record_to(record, other.into_iter(), Quorum::One);
                    puts.insert(query, reply);
                }
                Some(Do::Get(key, reply)) => {
                    let query = swarm.behaviour_mut().kad.get_record(key);
                    gets.insert(query, (Vec::new(), reply));
                }
            },
            event = swarm.select_next_some() => match event {
                SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Message { message, .. })) => {
                    let _ = hears.try_send(message.data);
                }
                SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::InboundRequest {
                    request: InboundRequest::PutRecord { record: Some(record), .. },
                })) => {
                    let _ = gives.try_send(record);
                }
                SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed { id, result, step, .. })) => {
                    match result {
                        QueryResult::PutRecord(done) => {
                            if let Some(reply) = puts.remove(&id) {
                                let _ = reply.send(done.is_ok());
                            }
                        }
                        QueryResult::GetRecord(found) => {
                            if let (Ok(GetRecordOk::FoundRecord(found)), Some((records, _))) = (found, gets.get_mut(&id)) {
                                records.push(found.record);
                            }
                            if step.last && let Some((records, reply)) = gets.remove(&id) {
                                let _ = reply.send(records);
                            }
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
        }
    }
}
