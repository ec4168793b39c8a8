//! Questions about the network that are asked for their answer alone, by whoever looks after this node: what servers have, and
//! whether a node can be dialled at one address.

use super::{Task, plain};
use crate::behaviour::BehaviourEvent;
use crate::convert::{inspect, multiaddr_of, node_of, peer_of};
use crate::handle::{Dialled, Looked, Probe, ProbeError};
use libp2p::core::transport::TransportError;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError, SwarmEvent};
use libp2p::{Multiaddr, PeerId};
use porchlight_wire::ids::{NodeAddress, NodeId};
use porchlight_wire::record::{Place, VerifiedRecord};
use std::collections::BTreeMap;
use std::io;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Looks and dials under way at once: some people who each look at one contact with all its addresses.
const PROBES: usize = 64;

/// The ids of lookups from here on are those of looks. The core counts from 1.
const LOOKS: u64 = 1 << 63;

/// Copies that one look gives: as many as there are servers for a place, at two places and some more.
const COPIES: usize = 64;

type Reply<T> = oneshot::Sender<Result<T, ProbeError>>;

/// A look under way.
#[derive(Debug)]
pub(super) struct Look {
    reply: Reply<Looked>,
    began: Instant,
    copies: Vec<(NodeId, VerifiedRecord)>,
}

impl Look {
    /// A copy at another node; one of our own says nothing about the network.
    pub(super) fn found(&mut self, peer: Option<PeerId>, record: VerifiedRecord) {
        if let Some(node) = peer.as_ref().and_then(node_of)
            && self.copies.len() < COPIES
        {
            self.copies.push((node, record));
        }
    }
}

/// A dial under way.
#[derive(Debug)]
struct Dial {
    reply: Reply<Dialled>,
    until: Instant,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Probes {
    pub(super) looks: BTreeMap<u64, Look>,
    dials: BTreeMap<ConnectionId, Dial>,
    last_look: u64,
}

impl Task {
    pub(super) fn on_probe(&mut self, probe: Probe) {
        let busy = self.probes.looks.len() + self.probes.dials.len() >= PROBES;
        match probe {
            // Whoever asked may be gone: here, and wherever a reply is sent.
            Probe::Look { reply, .. } if busy || self.queries.is_full() => drop(reply.send(Err(ProbeError::Busy))),
            Probe::Dial { reply, .. } if busy => drop(reply.send(Err(ProbeError::Busy))),
            Probe::Look { places, reply } => self.look(&places, reply),
            Probe::Dial { to, reply } => self.probe_dial(&to, reply),
        }
    }

    fn look(&mut self, places: &[Place], reply: Reply<Looked>) {
        self.probes.last_look += 1;
        let id = LOOKS | self.probes.last_look;
        let look = Look {
            reply,
            began: Instant::now(),
            copies: Vec::new(),
        };
        self.probes.looks.insert(id, look);
        self.lookup(id, places, &[]);
        // What is asked here is what others have, also of a relay.
        if let Some(lookup) = self.queries.lookups.get_mut(&id) {
            lookup.answered_dht = 0;
        }
    }

    /// A look has ended; false if it was none.
    pub(super) fn looked(&mut self, lookup: u64, answered: u32) -> bool {
        let Some(look) = self.probes.looks.remove(&lookup) else {
            return false;
        };
        let _ = look.reply.send(Ok(Looked {
            answered,
            copies: look.copies,
            took: look.began.elapsed(),
        }));
        true
    }

    fn probe_dial(&mut self, to: &NodeAddress, reply: Reply<Dialled>) {
        if to.node == self.node {
            let _ = reply.send(Ok(Dialled::Failed("it is this node's own".to_owned())));
            return;
        }
        let known = inspect(&to.address).and_then(|_| Some((peer_of(&to.node)?, multiaddr_of(&to.address)?)));
        let Some((peer, address)) = known else {
            let _ = reply.send(Ok(Dialled::Undiallable));
            return;
        };
        let opts = DialOpts::peer_id(peer)
            .addresses(vec![address])
            // Whatever else is connected or being dialled: it is about this address. A port of its own, because two
            // connections between the same two ends cannot be told apart.
            .condition(PeerCondition::Always)
            .allocate_new_port()
            .build();
        let connection = opts.connection_id();
        match self.swarm.dial(opts) {
            Ok(()) => {
                let until = Instant::now() + self.config.timing.exchange;
                self.probes.dials.insert(connection, Dial { reply, until });
            }
            Err(error) => drop(reply.send(Ok(dialled(&error)))),
        }
    }

    /// Tells whoever waits for a dial what came of it. True if the event is nobody else's: a dial that failed here says
    /// nothing about others to the same node.
    #[expect(clippy::wildcard_enum_match_arm, reason = "only the ends of dials are of interest")]
    pub(super) fn answers_dial(&mut self, event: &SwarmEvent<BehaviourEvent>) -> bool {
        match event {
            SwarmEvent::ConnectionEstablished { connection_id, .. } => {
                if let Some(dial) = self.probes.dials.remove(connection_id) {
                    let _ = dial.reply.send(Ok(Dialled::Reached));
                }
                false
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id, error, ..
            } => match self.probes.dials.remove(connection_id) {
                Some(dial) => {
                    let _ = dial.reply.send(Ok(dialled(error)));
                    true
                }
                None => false,
            },
            _ => false,
        }
    }

    /// Gives up dials that have had their time.
    pub(super) fn end_late_dials(&mut self) {
        let now = Instant::now();
        let late = self.probes.dials.extract_if(.., |_, dial| dial.until <= now);
        for (_, dial) in late {
            let _ = dial.reply.send(Ok(Dialled::TimedOut));
        }
    }
}

/// What a failed dial says.
fn dialled(error: &DialError) -> Dialled {
    match error {
        DialError::WrongPeerId { obtained, .. } => Dialled::OtherNode(node_of(obtained)),
        DialError::NoAddresses => Dialled::Undiallable,
        DialError::Transport(errors) => errors.first().map_or(Dialled::Undiallable, not_transported),
        DialError::LocalPeerId { .. }
        | DialError::DialPeerConditionFalse(_)
        | DialError::Aborted
        | DialError::Denied { .. } => Dialled::Failed(plain(error)),
    }
}

fn not_transported((_, error): &(Multiaddr, TransportError<io::Error>)) -> Dialled {
    match error {
        TransportError::MultiaddrNotSupported(_) => Dialled::Undiallable,
        TransportError::Other(error) => {
            let reason = plain(error);
            match kind_of(&reason) {
                Some(io::ErrorKind::ConnectionRefused) => Dialled::Refused,
                Some(io::ErrorKind::TimedOut) => Dialled::TimedOut,
                // From links that are not the system's.
                _ if reason == io::ErrorKind::ConnectionRefused.to_string() => Dialled::Refused,
                // The transports' own deadlines.
                _ if ["timed out", "imeout"].iter().any(|word| reason.contains(word)) => Dialled::TimedOut,
                _ => Dialled::Failed(reason),
            }
        }
    }
}

/// What the operating system said. The error itself is hidden in wrappings of the transports that show its text alone.
fn kind_of(reason: &str) -> Option<io::ErrorKind> {
    let (_, code) = reason.split_once("(os error ")?;
    let code = code.split(')').next()?.parse().ok()?;
    Some(io::Error::from_raw_os_error(code).kind())
}
