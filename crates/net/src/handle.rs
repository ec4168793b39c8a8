//! What others see of the network: the handle, its commands, its events.

use crate::config::NetConfig;
use crate::links::Links;
use crate::task::Task;
use crate::transport::Carrier;
use porchlight_wire::beacon::VerifiedBeacon;
use porchlight_wire::blind::BlindedKey;
use porchlight_wire::follow::{FollowKey, FollowProof};
use porchlight_wire::frame::{Request, Response};
use porchlight_wire::ids::{Address, NodeAddress, NodeId};
use porchlight_wire::network::TopicIndex;
use porchlight_wire::record::{Place, VerifiedRecord};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Commands that may wait for the task: a burst of what one step of the core asks.
const COMMANDS: usize = 1_024;

/// Events that may wait for the driver before the task holds the rest back.
const EVENTS: usize = 1_024;

/// The network could not be started.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The transport key is none.
    #[error("the transport key is not usable")]
    Key,
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {reason}; is another program using the port? choose another with --listen")]
    Listen {
        /// The address.
        address: Address,
        /// Why.
        reason: String,
    },
    /// Something else about the transport.
    #[error("the network transport could not be set up: {0}")]
    Transport(String),
}

/// The network's task has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the network has stopped")]
pub struct NetStopped;

/// A handle to the network. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Net {
    messages: mpsc::Sender<Message>,
}

/// What reaches the task from its handles.
#[derive(Debug)]
pub(crate) enum Message {
    Command(NetCommand),
    Status(oneshot::Sender<NetStatus>),
    Probe(Probe),
    Stop(oneshot::Sender<()>),
}

impl Net {
    /// Listens, and starts the task. Addresses that are already known are in the first events.
    ///
    /// # Errors
    ///
    /// If an address cannot be listened on, or the transport cannot be set up.
    pub async fn start(config: NetConfig) -> Result<(Self, mpsc::Receiver<NetEvent>), NetError> {
        Self::start_on(config, Carrier::System).await
    }

    /// The same, with connections made of these links instead of TCP and QUIC.
    ///
    /// # Errors
    ///
    /// If an address cannot be listened on, or the transport cannot be set up.
    pub async fn start_over(
        config: NetConfig,
        links: Arc<dyn Links>,
    ) -> Result<(Self, mpsc::Receiver<NetEvent>), NetError> {
        Self::start_on(config, Carrier::Links(links)).await
    }

    async fn start_on(config: NetConfig, carrier: Carrier) -> Result<(Self, mpsc::Receiver<NetEvent>), NetError> {
        let (messages, inbox) = mpsc::channel(COMMANDS);
        let (outbox, events) = mpsc::channel(EVENTS);
        let task = Task::listen(config, carrier, inbox, outbox).await?;
        tokio::spawn(task.run());
        Ok((Self { messages }, events))
    }

    /// Asks the network to do something. Waits while too much is waiting already.
    ///
    /// # Errors
    ///
    /// If the task has ended.
    pub async fn command(&self, command: NetCommand) -> Result<(), NetStopped> {
        self.messages
            .send(Message::Command(command))
            .await
            .map_err(|_| NetStopped)
    }

    /// How the network is.
    ///
    /// # Errors
    ///
    /// If the task has ended.
    pub async fn status(&self) -> Result<NetStatus, NetStopped> {
        let (reply, answer) = oneshot::channel();
        self.messages
            .send(Message::Status(reply))
            .await
            .map_err(|_| NetStopped)?;
        answer.await.map_err(|_| NetStopped)
    }

    /// Asks the DHT for what is at these places, for whoever looks after this node: nothing of it reaches the driver.
    ///
    /// # Errors
    ///
    /// If too many ask at once, or the task has ended.
    pub async fn look(&self, places: Vec<Place>) -> Result<Looked, ProbeError> {
        self.probe(|reply| Probe::Look { places, reply }).await
    }

    /// Dials a node at one address, to see whether it can be reached there. A connection that comes of it stays, as long as
    /// somebody needs it.
    ///
    /// # Errors
    ///
    /// If too many ask at once, or the task has ended.
    pub async fn dial(&self, to: NodeAddress) -> Result<Dialled, ProbeError> {
        self.probe(|reply| Probe::Dial { to, reply }).await
    }

    async fn probe<T>(
        &self,
        probe: impl FnOnce(oneshot::Sender<Result<T, ProbeError>>) -> Probe,
    ) -> Result<T, ProbeError> {
        let (reply, answer) = oneshot::channel();
        self.messages
            .send(Message::Probe(probe(reply)))
            .await
            .map_err(|_| ProbeError::Stopped)?;
        answer.await.map_err(|_| ProbeError::Stopped)?
    }

    /// Closes all connections and ends the task.
    pub async fn stop(&self) {
        let (reply, done) = oneshot::channel();
        if self.messages.send(Message::Stop(reply)).await.is_ok() {
            // A task that is gone already has stopped as well.
            let _ = done.await;
        }
    }
}

/// Something asked for its answer alone.
#[derive(Debug)]
pub(crate) enum Probe {
    /// See [`Net::look`].
    Look {
        places: Vec<Place>,
        reply: oneshot::Sender<Result<Looked, ProbeError>>,
    },
    /// See [`Net::dial`].
    Dial {
        to: NodeAddress,
        reply: oneshot::Sender<Result<Dialled, ProbeError>>,
    },
}

/// A question about the network was not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// Too many at once.
    #[error("too many questions about the network are under way")]
    Busy,
    /// The task has ended.
    #[error("the network has stopped")]
    Stopped,
}

/// What [`Net::look`] came upon.
#[derive(Clone, Debug)]
pub struct Looked {
    /// How many other nodes answered, with a record or without.
    pub answered: u32,
    /// The copies that other nodes have, and which.
    pub copies: Vec<(NodeId, VerifiedRecord)>,
    /// How long it took.
    pub took: Duration,
}

/// What came of [`Net::dial`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// The node answered there, and has proven to be it.
    Reached,
    /// Nobody listens there.
    Refused,
    /// Nothing came back in time.
    TimedOut,
    /// Another node is there.
    OtherNode(Option<NodeId>),
    /// Nothing that this program can dial.
    Undiallable,
    /// Something else.
    Failed(String),
}

/// What can be asked of the network.
#[derive(Debug)]
pub enum NetCommand {
    /// Send a beacon to those who are in its topic now.
    Gossip {
        /// The beacon.
        beacon: VerifiedBeacon,
    },
    /// Put a record into the DHT.
    Put {
        /// Comes back in [`NetEvent::PutDone`].
        id: u64,
        /// The record.
        record: VerifiedRecord,
    },
    /// Ask the DHT for what is at these places, and these nodes for the beacons among it.
    Lookup {
        /// Comes back in [`NetEvent::Found`] and [`NetEvent::LookupDone`].
        id: u64,
        /// Where to look.
        places: Vec<Place>,
        /// Nodes to ask besides.
        at: Vec<NodeAddress>,
    },
    /// Be in exactly these topics. A relay is in all of them anyway.
    Topics {
        /// All of them.
        topics: BTreeSet<TopicIndex>,
    },
    /// Wait for beacons at exactly these addresses: they are kept whatever room there is for others.
    Expect {
        /// All of them.
        addresses: BTreeSet<BlindedKey>,
    },
    /// Follow exactly these addresses at one relay.
    Follow {
        /// All of them; none: stop following.
        addresses: Vec<BlindedKey>,
    },
    /// Follow exactly these addresses at this node.
    FollowAt {
        /// Which node. Comes back in [`NetEvent::Followed`].
        node: NodeId,
        /// Where it may be dialled if it is not connected.
        reach: Vec<Address>,
        /// All of them; none: stop following there.
        addresses: Vec<BlindedKey>,
        /// That we hold the views at these addresses: one for each, or none for a relay.
        proofs: Vec<FollowProof>,
    },
    /// Let those who prove that they hold these views follow them here. A relay lets anyone follow anything.
    Serve {
        /// All of them, with what proves it.
        views: BTreeMap<BlindedKey, FollowKey>,
    },
    /// Send a request to a node.
    Request {
        /// Comes back in [`NetEvent::Response`] or [`NetEvent::ExchangeFailed`].
        exchange: u64,
        /// To whom.
        to: NodeId,
        /// Where it may be dialled.
        addresses: Vec<Address>,
        /// What to send.
        request: Request,
    },
    /// Answer a [`NetEvent::Request`].
    Respond {
        /// Which.
        exchange: u64,
        /// The answer.
        response: Response,
    },
    /// Stay connected to exactly these nodes of contacts.
    Keep {
        /// All of them.
        contacts: Vec<NodeAddress>,
    },
}

/// What happens on the network.
#[derive(Clone, Debug)]
pub enum NetEvent {
    /// A node is connected and has said what it is.
    Connected {
        /// Who.
        node: NodeId,
        /// Whether it is a relay.
        relay: bool,
    },
    /// The last connection to a node is gone.
    Disconnected {
        /// Who.
        node: NodeId,
    },
    /// A node asks something that is for the core to answer: a letter, or something about a mailbox.
    Request {
        /// Who.
        from: NodeId,
        /// To be given back in the answer.
        exchange: u64,
        /// What.
        request: Request,
    },
    /// A request was answered.
    Response {
        /// Which.
        exchange: u64,
        /// The answer.
        response: Response,
    },
    /// A request will not be answered.
    ExchangeFailed {
        /// Which.
        exchange: u64,
        /// Why.
        reason: ExchangeFailure,
    },
    /// A verified beacon that is news.
    Beacon {
        /// The beacon.
        beacon: VerifiedBeacon,
        /// How it came.
        source: BeaconSource,
    },
    /// Whether a node tells us what we follow there by [`NetCommand::FollowAt`].
    Followed {
        /// The node.
        node: NodeId,
        /// True once it has begun to. False if it is not reached, refuses, or has ended it: it is not tried again by itself.
        told: bool,
    },
    /// A lookup found a record; older ones may come too.
    Found {
        /// Which lookup.
        lookup: u64,
        /// The record.
        record: VerifiedRecord,
    },
    /// A lookup has ended.
    LookupDone {
        /// Which.
        lookup: u64,
        /// How many nodes answered, with a record or without.
        answered: u32,
    },
    /// A put has ended.
    PutDone {
        /// Which.
        id: u64,
        /// On how many nodes reading back found it.
        stored: u32,
        /// How many nodes were asked to keep it.
        asked: u32,
    },
    /// Which nodes answered a ping lately has changed.
    Live {
        /// All of them.
        nodes: Vec<LiveNode>,
    },
    /// The node can be dialled here. Addresses that are configured for others are not told.
    Listening {
        /// Where.
        address: Address,
    },
    /// It can no longer be dialled here.
    NotListening {
        /// Where it could.
        address: Address,
    },
}

/// Why a request will not be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeFailure {
    /// The node could not be reached: it has certainly not acted.
    #[error("the node could not be reached: {0}")]
    Unreachable(String),
    /// The connection broke or nothing came in time: it may have acted.
    #[error("no answer came: {0}")]
    Interrupted(String),
}

/// How a beacon came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeaconSource {
    /// By gossip, from this neighbour.
    Gossip(NodeId),
    /// Followed at this node.
    Follow(NodeId),
}

/// A node that answered a ping lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveNode {
    /// Who.
    pub node: NodeId,
    /// Whether it is a relay.
    pub relay: bool,
    /// Topics it is in.
    pub topics: BTreeSet<TopicIndex>,
    /// The addresses that we follow at it: it has said that it tells us.
    pub followed: BTreeSet<BlindedKey>,
}

/// How the network is.
#[derive(Clone, Debug)]
pub struct NetStatus {
    /// This node.
    pub node: NodeId,
    /// Where it can be dialled.
    pub listening: Vec<NodeAddress>,
    /// Who is connected.
    pub peers: Vec<PeerInfo>,
    /// What has happened since the start.
    pub counters: Counters,
    /// Beacons on the shelf.
    pub records: usize,
    /// Topics this node is in.
    pub topics: usize,
    /// Configured seed peers at whose addresses something else answers.
    pub wrong_seeds: Vec<WrongSeed>,
    /// How long ago an event was last dropped because the driver did not keep up.
    pub dropped_ago: Option<Duration>,
}

/// A configured seed peer that is not what it was taken for. One that does not answer is none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongSeed {
    /// The id that is configured.
    pub node: NodeId,
    /// What answered when it was dialled last.
    pub found: FoundInstead,
}

/// What answers where a seed peer of this network should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundInstead {
    /// That node, and it is of another network.
    OtherNetwork,
    /// Another node; its id, if it is one that a node of ours can have.
    OtherNode(Option<NodeId>),
}

/// A connected node.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// Who.
    pub node: NodeId,
    /// Its end of the connection.
    pub address: Option<Address>,
    /// Whether it is a relay.
    pub relay: bool,
    /// Whether it is one of the configured seed peers.
    pub seed: bool,
    /// Whether it is a contact's node.
    pub contact: bool,
    /// Whether it follows presence of ours here.
    pub follows: bool,
    /// Whether it dialled us.
    pub inbound: bool,
    /// The last round trip, in microseconds.
    pub rtt_micros: Option<u64>,
    /// Since when, in milliseconds.
    pub connected_for_ms: u64,
}

/// What became of the beacons that came one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathCounters {
    /// News, and kept.
    pub accepted: u64,
    /// Refused: no honest node can have made them.
    pub forged: u64,
    /// Ignored: expired or too early.
    pub untimely: u64,
    /// Ignored: a newer one, or the same, is known.
    pub outdated: u64,
    /// Ignored: too many of one key in too short a time, or no room.
    pub limited: u64,
}

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Beacons by gossip.
    pub gossip: PathCounters,
    /// Beacons put into or found in the DHT.
    pub dht: PathCounters,
    /// Beacons on framed streams.
    pub stream: PathCounters,
    /// Bytes of beacons taken in, by all paths.
    pub beacon_bytes: u64,
    /// Peers shut out for forging.
    pub shut_out: u64,
    /// Connections closed because nobody needed them.
    pub pruned: u64,
    /// Nodes of other networks that were let go.
    pub other_networks: u64,
    /// Copies put right after a lookup found them outdated.
    pub repaired: u64,
    /// Cards and identity sheets that this relay put into the DHT again.
    pub renewed: u64,
    /// Events dropped because the driver did not keep up.
    pub dropped: u64,
}
