//! Nodes on loopback, and beacons to send between them.

use porchlight_net::{LiveNode, Net, NetCommand, NetConfig, NetEvent, NetStatus, Role, Timing};
use porchlight_wire::beacon::{BeaconDraft, VerifiedBeacon};
use porchlight_wire::blind::{BlindedKey, GenerationKey, Kind};
use porchlight_wire::ids::{Address, NodeAddress, NodeId};
use porchlight_wire::network::{Network, TopicIndex};
use porchlight_wire::record::{Place, VerifiedRecord};
use porchlight_wire::time::UnixMillis;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

/// How long anything may take before a test gives up. Generous: nothing here is about time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at something that does not announce itself.
pub const LOOK: Duration = Duration::from_millis(20);

/// A network without proof of work and with one topic.
pub fn plain() -> Network {
    Network::named("loopback").unwrap()
}

/// Where the DHT keeps the beacon at an address.
pub fn dht_key(pk: &BlindedKey) -> Vec<u8> {
    Place::Beacon(*pk).dht_key()
}

pub fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixMillis(u64::try_from(since.as_millis()).unwrap())
}

/// Paces for tests: everything often.
fn quick() -> Timing {
    Timing {
        ping: Duration::from_millis(200),
        live_after_ping: Duration::from_secs(5),
        heartbeat: Duration::from_millis(100),
        duplicate_cache: Duration::from_secs(1),
        tick: Duration::from_millis(50),
        redial_seed: (Duration::from_millis(100), Duration::from_millis(500)),
        redial_contact: (Duration::from_millis(100), Duration::from_millis(500)),
        grace: Duration::from_millis(300),
        ..Timing::usual()
    }
}

/// A running node.
#[derive(Debug)]
pub struct Running {
    pub net: Net,
    pub node: NodeId,
    pub address: NodeAddress,
    /// Who is live, by the events so far.
    live: Vec<LiveNode>,
    events: mpsc::Receiver<NetEvent>,
}

/// A configuration with a key of its own.
pub fn config(role: Role, seeds: &[&Running]) -> NetConfig {
    static KEYS: AtomicU8 = AtomicU8::new(1);
    let mut config = NetConfig::new([KEYS.fetch_add(1, Ordering::Relaxed); 32], plain(), role);
    config.listen = vec![Address::parse("/ip4/127.0.0.1/tcp/0").unwrap()];
    config.seed_peers = seeds.iter().map(|seed| seed.address.clone()).collect();
    config.timing = quick();
    config
}

pub async fn start(config: NetConfig) -> Running {
    let (net, events) = Net::start(config).await.unwrap();
    let status = net.status().await.unwrap();
    Running::of(net, events, &status)
}

pub async fn relay(seeds: &[&Running]) -> Running {
    start(config(Role::Relay, seeds)).await
}

/// An ordinary node that is connected to all of its seed peers.
pub async fn ordinary(seeds: &[&Running]) -> Running {
    let mut node = start(config(Role::Ordinary, seeds)).await;
    let wanted = seeds.len();
    node.status_is("connected to its seed peers", |status| {
        status.peers.iter().filter(|peer| peer.seed && peer.relay).count() == wanted
    })
    .await;
    node
}

impl Running {
    pub fn of(net: Net, events: mpsc::Receiver<NetEvent>, status: &NetStatus) -> Self {
        Self {
            net,
            node: status.node,
            address: status.listening[0].clone(),
            live: Vec::new(),
            events,
        }
    }

    pub async fn ask(&self, command: NetCommand) {
        self.net.command(command).await.unwrap();
    }

    /// The first event from here on that the function takes.
    pub async fn event<T>(&mut self, what: &str, mut take: impl FnMut(NetEvent) -> Option<T>) -> T {
        patient(what, async {
            loop {
                if let Some(found) = take(self.next().await) {
                    return found;
                }
            }
        })
        .await
    }

    async fn next(&mut self) -> NetEvent {
        let event = self.events.recv().await.expect("the network has ended");
        self.note(&event);
        event
    }

    fn note(&mut self, event: &NetEvent) {
        if let NetEvent::Live { nodes } = event {
            self.live.clone_from(nodes);
        }
    }

    /// Waits until who is live is so.
    pub async fn live_is(&mut self, what: &str, mut fits: impl FnMut(&[LiveNode]) -> bool) {
        let found = timeout(PATIENCE, async {
            while !fits(&self.live) {
                self.next().await;
            }
        })
        .await;
        assert!(found.is_ok(), "expected {what}, got {:?}", self.live);
    }

    /// Waits until the status is so.
    pub async fn status_is(&mut self, what: &str, mut fits: impl FnMut(&NetStatus) -> bool) -> NetStatus {
        let found = timeout(PATIENCE, async {
            loop {
                let status = self.net.status().await.unwrap();
                if fits(&status) {
                    return status;
                }
                // Events have to go somewhere meanwhile, or the network holds back for its driver.
                while let Ok(event) = self.events.try_recv() {
                    self.note(&event);
                }
                sleep(LOOK).await;
            }
        })
        .await;
        match found {
            Ok(status) => status,
            Err(_) => panic!("expected {what}, got {:?}", self.net.status().await),
        }
    }

    /// Joins the one topic, and waits until beacons can come through `relay`.
    pub async fn join(&mut self, relay: &mut Self) {
        self.ask(NetCommand::Topics {
            topics: BTreeSet::from([TopicIndex(0)]),
        })
        .await;
        let (ours, theirs) = (self.node, relay.node);
        self.live_in_topic("the relay in the topic", theirs).await;
        relay.live_in_topic("the node in the topic", ours).await;
    }

    async fn live_in_topic(&mut self, what: &str, node: NodeId) {
        self.live_is(what, |live| {
            live.iter()
                .any(|live| live.node == node && live.topics.contains(&TopicIndex(0)))
        })
        .await;
    }

    /// The next beacon that comes by itself.
    pub async fn beacon(&mut self) -> VerifiedBeacon {
        self.event("a beacon", |event| match event {
            NetEvent::Beacon { beacon, .. } => Some(beacon),
            _ => None,
        })
        .await
    }

    /// Puts a beacon into the DHT; how many keep it, of how many that were asked.
    pub async fn put(&mut self, id: u64, beacon: VerifiedBeacon) -> (u32, u32) {
        self.put_record(id, beacon.into()).await
    }

    /// The same of any record.
    pub async fn put_record(&mut self, id: u64, record: VerifiedRecord) -> (u32, u32) {
        self.ask(NetCommand::Put { id, record }).await;
        self.event("the end of the put", |event| match event {
            NetEvent::PutDone {
                id: done,
                stored,
                asked,
            } if done == id => Some((stored, asked)),
            _ => None,
        })
        .await
    }

    /// Looks a beacon up: the sequences found, and how many answered.
    pub async fn look_up(&mut self, id: u64, key: &GenerationKey) -> (BTreeSet<u64>, u32) {
        let read = key.read_key();
        let pk = read.blinded(Kind::Presence, read.epoch(Kind::Presence, now()), 0);
        self.look_up_at(id, Place::Beacon(pk)).await
    }

    /// The same at any place.
    pub async fn look_up_at(&mut self, id: u64, place: Place) -> (BTreeSet<u64>, u32) {
        let command = NetCommand::Lookup {
            id,
            places: vec![place],
            at: Vec::new(),
        };
        self.ask(command).await;
        let mut found = BTreeSet::new();
        let answered = self
            .event("the end of the lookup", |event| match event {
                NetEvent::Found { lookup, record } if lookup == id => {
                    found.insert(record.sequence());
                    None
                }
                NetEvent::LookupDone { lookup, answered } if lookup == id => Some(answered),
                _ => None,
            })
            .await;
        (found, answered)
    }
}

/// An address that stays while the node behind it stops and starts again. The node's own port might be somebody else's by
/// then.
#[derive(Debug)]
pub struct Door {
    pub address: Address,
    leads_to: watch::Sender<Option<String>>,
}

impl Door {
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (leads_to, behind) = watch::channel(None);
        tokio::spawn(async move {
            while let Ok((mut outside, _)) = listener.accept().await {
                let Some(target) = behind.borrow().clone() else {
                    continue;
                };
                tokio::spawn(async move {
                    if let Ok(mut inside) = TcpStream::connect(target).await {
                        // Either end may break it off.
                        let _ = copy_bidirectional(&mut outside, &mut inside).await;
                    }
                });
            }
        });
        Self {
            address: Address::parse(&format!("/ip4/127.0.0.1/tcp/{port}")).unwrap(),
            leads_to,
        }
    }

    /// Leads to a node, and gives the address that others are to use for it.
    pub fn lead_to(&self, node: &Running) -> NodeAddress {
        let port = node.address.address.as_str().rsplit('/').next().unwrap().to_owned();
        self.leads_to.send_replace(Some(format!("127.0.0.1:{port}")));
        NodeAddress {
            node: node.node,
            address: self.address.clone(),
        }
    }
}

/// The generation of a view.
pub fn generation(seed: u8) -> GenerationKey {
    GenerationKey::from_bytes(&[seed; 64])
}

/// The bytes of a beacon, as made at `made`.
pub fn sealed(key: &GenerationKey, sequence: u64, made: UnixMillis) -> Vec<u8> {
    sealed_as(Kind::Presence, key, sequence, made)
}

fn sealed_as(kind: Kind, key: &GenerationKey, sequence: u64, made: UnixMillis) -> Vec<u8> {
    let draft = BeaconDraft {
        kind,
        epoch: key.read_key().epoch(kind, made),
        slot: 0,
        sequence,
        expires: UnixMillis(u64::MAX),
        payload: b"a test",
        work: 0,
    };
    key.seal(&draft, made, &mut ChaCha20Rng::from_seed([9; 32])).unwrap()
}

/// A beacon that stands.
pub fn beacon(key: &GenerationKey, sequence: u64) -> VerifiedBeacon {
    VerifiedBeacon::verify(&sealed(key, sequence, now()), &plain(), now()).unwrap()
}

/// A card that stands.
pub fn card(key: &GenerationKey, sequence: u64) -> VerifiedBeacon {
    VerifiedBeacon::verify(&sealed_as(Kind::Card, key, sequence, now()), &plain(), now()).unwrap()
}

/// Waits for what has to come; a test fails where it does not.
pub async fn patient<T>(what: &str, coming: impl Future<Output = T>) -> T {
    timeout(PATIENCE, coming)
        .await
        .unwrap_or_else(|_| panic!("expected {what}"))
}
