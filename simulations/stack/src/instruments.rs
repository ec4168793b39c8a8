//! Measures of the network itself, from nodes that have a network and no core: how long gossip, puts, lookups and connections take.
//! The model of this network in other simulations draws from what is found here.

use crate::draw::Draw;
use crate::figures::{Spread, part};
use crate::geography::{Access, Nat, Region};
use crate::machine::World;
use crate::os;
use anyhow::{Context, Result};
use porchlight_net::{Dialled, Net, NetCommand, NetConfig, NetEvent, Role, Wall};
use porchlight_wire::beacon::{BeaconDraft, VerifiedBeacon};
use porchlight_wire::blind::{GenerationKey, Kind};
use porchlight_wire::ids::{Address, NodeAddress};
use porchlight_wire::network::{Network, SIMULATED_NETWORK};
use porchlight_wire::record::Place;
use porchlight_wire::time::UnixMillis;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// Instruments in each part of the world.
const EACH: u16 = 2;

/// Numbers from here on are those of instruments.
const NUMBERS: u16 = 60_000;

/// How long an instrument takes to find its place in the network.
const SETTLING: Duration = Duration::from_secs(30);

/// How long one thing may take until it counts as lost.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often each thing is measured.
const ROUNDS: u64 = 40;

/// How long a beacon of an instrument is good for, in milliseconds.
const LIFE: u64 = 3_600_000;

/// What was found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measures {
    /// From the sending of a beacon until somebody else in its topic is told.
    pub gossip_ms: Spread,
    /// Of those in the topic, so many were told.
    pub gossip_heard: f64,
    /// From the asking for a put until it is known how many keep the record.
    pub put_ms: Spread,
    /// Of those who were asked to keep it, so many do.
    pub put_kept: f64,
    /// From the asking for a lookup until the first copy is found.
    pub lookup_first_ms: Spread,
    /// The same until it has ended.
    pub lookup_ms: Spread,
    /// Of the lookups, so many found the record.
    pub lookup_found: f64,
    /// From the beginning of a dial until the other node has proven to be it.
    pub connection_ms: Spread,
}

/// What instruments were told, and when.
#[derive(Debug, Default)]
struct Heard {
    /// By instrument and sequence.
    beacons: BTreeMap<(usize, u64), Duration>,
    /// By lookup.
    found: BTreeMap<u64, Duration>,
    looked: BTreeMap<u64, Duration>,
    /// By put: when, on how many, of how many.
    put: BTreeMap<u64, (Duration, u32, u32)>,
}

/// A node without a core.
struct Instrument {
    net: Net,
}

/// All of them.
struct Bench {
    instruments: Vec<Instrument>,
    relays: Vec<NodeAddress>,
    heard: Arc<Mutex<Heard>>,
    network: Network,
    random: ChaCha20Rng,
}

/// Measures, in a world whose relays are these.
///
/// # Errors
///
/// If an instrument cannot be put together.
pub async fn measure(world: &World, relays: Vec<NodeAddress>, seed: u64) -> Result<Measures> {
    let mut bench = Bench {
        instruments: Vec::new(),
        relays,
        heard: Arc::default(),
        network: Network::named(SIMULATED_NETWORK)?,
        random: ChaCha20Rng::seed_from_u64(seed),
    };
    let numbers = NUMBERS..;
    for (number, region) in numbers.zip(Region::ALL.iter().cycle().take(usize::from(EACH) * Region::ALL.len())) {
        bench.set_up(world, number, Access::home(*region, Nat::Closed)).await?;
    }
    sleep(SETTLING).await;
    let mut measures = Measures::default();
    bench.gossip(&mut measures).await?;
    bench.put_and_look(&mut measures).await?;
    bench.connect(&mut measures).await?;
    for instrument in &bench.instruments {
        instrument.net.stop().await;
    }
    Ok(measures)
}

impl Bench {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn set_up(&mut self, world: &World, number: u16, access: Access) -> Result<()> {
        let mut secret = [0; 32];
        self.random.fill_bytes(&mut secret);
        let mut config = NetConfig::new(secret, self.network.clone(), Role::Ordinary);
        config.wall = Wall::Other(Arc::new(now));
        config.seed_peers = (0..3).filter_map(|_| self.random.pick(&self.relays).cloned()).collect();
        let ip = access.ip(number);
        config.listen = vec![Address::parse(&format!("/ip4/{ip}/tcp/4110"))?];
        world.network.add(u32::from(number), ip, access);
        let (net, events) = Net::start_over(config, world.network.boot(ip)).await?;
        let topics = self.network.topics().collect();
        net.command(NetCommand::Topics { topics }).await?;
        let instrument = self.instruments.len();
        tokio::spawn(hear(Arc::clone(&self.heard), instrument, events));
        self.instruments.push(Instrument { net });
        Ok(())
    }

    fn beacon(&mut self, sequence: u64) -> Result<(GenerationKey, VerifiedBeacon)> {
        let key = GenerationKey::random(&mut self.random);
        let draft = BeaconDraft {
            kind: Kind::Presence,
            epoch: key.read_key().epoch(Kind::Presence, now()),
            slot: 0,
            sequence,
            expires: now().plus(LIFE),
            payload: &[0; 400],
            work: 0,
        };
        let bytes = key
            .seal(&draft, now(), &mut self.random)
            .context("a beacon cannot be sealed")?;
        let beacon = VerifiedBeacon::verify(&bytes, &self.network, now()).context("a beacon does not stand")?;
        Ok((key, beacon))
    }

    async fn gossip(&mut self, measures: &mut Measures) -> Result<()> {
        let mut took = Vec::new();
        for round in 0..ROUNDS {
            let (_, beacon) = self.beacon(round + 1)?;
            let sender = self.random.below(self.instruments.len());
            let Some(instrument) = self.instruments.get(sender) else {
                break;
            };
            let began = os::elapsed();
            instrument.net.command(NetCommand::Gossip { beacon }).await?;
            sleep(PATIENCE).await;
            let heard = self.heard();
            let those =
                (0..self.instruments.len()).filter_map(|instrument| heard.beacons.get(&(instrument, round + 1)));
            took.extend(those.map(|at| at.saturating_sub(began)));
        }
        let rounds = usize::try_from(ROUNDS).unwrap_or(usize::MAX);
        measures.gossip_heard = part(took.len(), rounds * self.instruments.len().saturating_sub(1));
        measures.gossip_ms = Spread::of(took);
        Ok(())
    }

    async fn put_and_look(&mut self, measures: &mut Measures) -> Result<()> {
        let (mut puts, mut firsts, mut lookups) = (Vec::new(), Vec::new(), Vec::new());
        let (mut kept, mut asked) = (0, 0);
        for round in 0..ROUNDS {
            let (_, beacon) = self.beacon(1_000 + round)?;
            let place = Place::Beacon(beacon.pk());
            // Whoever put it has it at hand: another one looks.
            let all = self.instruments.len();
            let putter = self.random.below(all);
            let looker = (putter + 1 + self.random.below(all.saturating_sub(1))) % all.max(1);
            let (Some(putter), Some(looker)) = (self.instruments.get(putter), self.instruments.get(looker)) else {
                break;
            };
            let began = os::elapsed();
            let record = beacon.into();
            putter.net.command(NetCommand::Put { id: round, record }).await?;
            sleep(PATIENCE).await;
            if let Some((at, on, of)) = self.heard().put.get(&round) {
                puts.push(at.saturating_sub(began));
                kept += on;
                asked += of;
            }
            let began = os::elapsed();
            let lookup = NetCommand::Lookup {
                id: round,
                places: vec![place],
                at: Vec::new(),
            };
            looker.net.command(lookup).await?;
            sleep(PATIENCE).await;
            let heard = self.heard();
            firsts.extend(heard.found.get(&round).map(|at| at.saturating_sub(began)));
            lookups.extend(heard.looked.get(&round).map(|at| at.saturating_sub(began)));
        }
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        measures.put_kept = part(count(kept), count(asked));
        measures.lookup_found = part(firsts.len(), lookups.len());
        measures.put_ms = Spread::of(puts);
        measures.lookup_first_ms = Spread::of(firsts);
        measures.lookup_ms = Spread::of(lookups);
        Ok(())
    }

    async fn connect(&mut self, measures: &mut Measures) -> Result<()> {
        let mut took = Vec::new();
        for _ in 0..ROUNDS {
            let instrument = self.random.below(self.instruments.len());
            let relay = self.random.pick(&self.relays).cloned();
            let (Some(instrument), Some(relay)) = (self.instruments.get(instrument), relay) else {
                break;
            };
            let began = os::elapsed();
            if instrument.net.dial(relay).await? == Dialled::Reached {
                took.push(os::elapsed().saturating_sub(began));
            }
            sleep(Duration::from_secs(1)).await;
        }
        measures.connection_ms = Spread::of(took);
        Ok(())
    }
}

fn now() -> UnixMillis {
    UnixMillis(u64::try_from((os::BEGINNING + os::elapsed()).as_millis()).unwrap_or(u64::MAX))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "what is not measured is not of interest")]
async fn hear(heard: Arc<Mutex<Heard>>, instrument: usize, mut events: mpsc::Receiver<NetEvent>) {
    while let Some(event) = events.recv().await {
        let at = os::elapsed();
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            NetEvent::Beacon { beacon, .. } => {
                heard.beacons.entry((instrument, beacon.sequence())).or_insert(at);
            }
            NetEvent::Found { lookup, .. } => {
                heard.found.entry(lookup).or_insert(at);
            }
            NetEvent::LookupDone { lookup, .. } => {
                heard.looked.insert(lookup, at);
            }
            NetEvent::PutDone { id, stored, asked } => {
                heard.put.insert(id, (at, stored, asked));
            }
            _ => {}
        }
    }
}
