//! The step about those who mean harm: a stranger alters records and plays them back, in each of the ways in which records
//! travel, and what the nodes made of it is counted.

use super::person::Person;
use super::stage::{NETWORK, PATIENCE, RELAYS, Stage};
use super::teller::Told;
use super::{LUNCH, WRITING};
use crate::clock::unix_now;
use anyhow::{Context, Result, bail, ensure};
use porchlight_net::Hostile;
use porchlight_rpc::methods::{NodeInfo, PresenceList};
use porchlight_rpc::types;
use porchlight_wire::beacon::VerifiedBeacon;
use porchlight_wire::frame::{Refusal, Request, Response};
use porchlight_wire::ids::NodeAddress;
use porchlight_wire::network::Network;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// The last byte of the sequence, and the first of the ciphertext, in a beacon: docs/spec/beacon.md. It ends in the signature.
const SEQUENCE: usize = 149;
const CIPHERTEXT: usize = 244;

/// Until what alice says has passed the relay. It takes a second until gossip counts a newcomer in.
const PASSES: Duration = Duration::from_secs(1);

/// How often alice says something until the stranger has it.
const TRIES: usize = 20;

/// Forgeries under one key until it is shut out.
const SHUT_OUT_AFTER: u64 = 8;

/// Between two looks at the counters.
const LOOK: Duration = Duration::from_millis(20);

pub(super) async fn attacked(stage: &Stage, alice: &mut Person, bob: &mut Person) -> Result<Told> {
    let network = Network::named(NETWORK)?;
    let (relay, bobs) = (address(stage, RELAYS[0]).await?, address(stage, "bob").await?);
    let mut mallory = stranger(&network, std::slice::from_ref(&relay)).await?;
    let (old, _) = taken(&mut mallory, &network, alice, bob, LUNCH).await?;
    let (new, status) = taken(&mut mallory, &network, alice, bob, WRITING).await?;
    ensure!(
        old.pk() == new.pk() && old.sequence() < new.sequence(),
        "expected two records of one view, got {old:?} and {new:?}"
    );
    let altered = altered(new.bytes())?;
    let before = Counted::now(stage).await?;

    // By gossip, to a relay and to bob's own node.
    let gossip = stranger(&network, &[relay.clone(), bobs]).await?;
    for bytes in std::iter::once(old.bytes()).chain(altered.iter().map(Vec::as_slice)) {
        gossip.gossip(new.pk(), bytes.to_vec()).await;
    }
    // By puts into the DHT. A stranger whose key is shut out takes another one.
    let dht = stranger(&network, std::slice::from_ref(&relay)).await?;
    for bytes in std::iter::once(old.bytes()).chain(altered.iter().map(Vec::as_slice)) {
        dht.put(&relay.node, new.pk(), bytes.to_vec()).await;
    }
    // On a stream, until this key is shut out as well.
    let mut stream = stranger(&network, std::slice::from_ref(&relay)).await?;
    let answer = put(&mut stream, &relay, old.bytes()).await;
    ensure!(
        answer == Some(Refusal::Outdated),
        "expected the older record to be refused as outdated, got {answer:?}"
    );
    for bytes in altered.iter().cycle().take(usize::try_from(SHUT_OUT_AFTER)?) {
        let answer = put(&mut stream, &relay, bytes).await;
        ensure!(
            // The last answer is lost when the connection is closed.
            matches!(answer, Some(Refusal::Invalid) | None),
            "expected an altered record to be refused, got {answer:?}"
        );
    }

    let three = u64::try_from(altered.len())?;
    let expected = Counted {
        gossip: before.gossip + three,
        dht: before.dht + three,
        stream: before.stream + SHUT_OUT_AFTER,
        shut_out: before.shut_out + 1,
        at_bobs: before.at_bobs + three,
        at_the_other: before.at_the_other,
    };
    expected.seen(stage).await?;
    let served = served(&network, &relay, &new).await?;
    ensure!(
        served.sequence() >= new.sequence(),
        "expected the relay to serve the newest record, got {served:?} after {new:?}"
    );
    let list = bob.calls.call::<PresenceList>(&types::Nothing {}).await?.contacts;
    let sees = list.iter().find(|told| told.contact == "alice").context("no alice")?;
    let note = sees.notes.first().map(|note| note.text.as_str());
    ensure!(
        sees.status == status && note == Some(WRITING),
        "expected bob to see alice {status} with her note, got {sees:?}"
    );
    alice.set("open", None).await?;
    // The first thing that he is told of her since.
    let next = bob.told("alice has changed", |told| told.contact == "alice").await?;
    ensure!(
        next.status == "open",
        "expected alice's own change to be the next thing bob is told, got {next:?}"
    );
    Ok(Told::new(
        format!(
            "mallory, a stranger, took records of alice's off the network, as anybody can; she cannot read them, or tell \
             whose they are. In one she altered the sequence, the ciphertext and the signature, one bit each, and offered \
             all of these, and an older one as it was, in each way there is. {} counted as forged {three} by gossip, \
             {three} put into the DHT and {SHUT_OUT_AFTER} on a stream, and shut her key out for ten minutes after the \
             eighth; the older one was refused as outdated on the stream, and changed nothing by gossip and DHT. bob's own \
             node, offered the same by gossip, counted {three}. {} counted none: nothing was passed on. bob went on seeing \
             alice {status} with her note, and what he was told next is what she said next.",
            RELAYS[0], RELAYS[1]
        ),
        "status",
        RELAYS[0],
    ))
}

/// Somebody under a new key, connected to these nodes.
async fn stranger(network: &Network, to: &[NodeAddress]) -> Result<Hostile> {
    let stranger = Hostile::connect(crate::home::os_seed()?, network, to).await;
    stranger.context("expected a stranger to be let in")
}

async fn address(stage: &Stage, name: &str) -> Result<NodeAddress> {
    let info = stage.client(name).await?.call::<NodeInfo>(&types::Nothing {}).await?;
    let address = info
        .listening
        .first()
        .with_context(|| format!("{name} listens nowhere"))?;
    address.parse().with_context(|| format!("{name}'s address {address}"))
}

/// Has alice say something, and gives the record that the stranger took of it, and her status in it. Which of those that pass it is, only bob's
/// node can say.
async fn taken(
    mallory: &mut Hostile,
    network: &Network,
    alice: &mut Person,
    bob: &mut Person,
    note: &str,
) -> Result<(VerifiedBeacon, &'static str)> {
    for status in ["away", "busy"].into_iter().cycle().take(TRIES) {
        alice.set(status, Some(note)).await?;
        let told = bob
            .told(&format!("alice is {status}"), |told| {
                told.contact == "alice" && told.status == status
            })
            .await?;
        let passes = timeout(PASSES, async {
            while let Some(bytes) = mallory.hear().await {
                if let Ok(record) = VerifiedBeacon::verify(&bytes, network, unix_now())
                    && Some(record.sequence()) == told.sequence
                {
                    return Some(record);
                }
            }
            None
        });
        if let Ok(Some(record)) = passes.await {
            return Ok((record, status));
        }
    }
    bail!("expected a record of alice's to pass by, and none did")
}

/// The record three times, another bit of it altered in each.
fn altered(bytes: &[u8]) -> Result<[Vec<u8>; 3]> {
    let last = bytes.len().saturating_sub(1);
    let flip = |at: usize| {
        let mut bytes = bytes.to_vec();
        *bytes.get_mut(at).context("a record that is too short")? ^= 1;
        anyhow::Ok(bytes)
    };
    Ok([flip(SEQUENCE)?, flip(CIPHERTEXT)?, flip(last)?])
}

/// What a relay refuses a record with; none if it does not answer.
async fn put(stranger: &mut Hostile, relay: &NodeAddress, bytes: &[u8]) -> Option<Refusal> {
    let request = Request::RecordPut { beacon: bytes.to_vec() };
    let Response::Refused { reason } = stranger.ask(&relay.node, request).await? else {
        return None;
    };
    Some(reason)
}

/// What the relay serves to anybody who asks for the address of this record.
async fn served(network: &Network, relay: &NodeAddress, record: &VerifiedBeacon) -> Result<VerifiedBeacon> {
    let mut anybody = stranger(network, std::slice::from_ref(relay)).await?;
    let request = Request::RecordGet { address: record.pk() };
    let answer = anybody.ask(&relay.node, request).await;
    let Some(Response::Record { beacon: Some(bytes) }) = answer else {
        bail!("expected the relay to serve a record, got {answer:?}");
    };
    VerifiedBeacon::verify(&bytes, network, unix_now()).context("what the relay serves")
}

/// What nodes have counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counted {
    /// Forgeries at the first relay, by the way they came.
    gossip: u64,
    dht: u64,
    stream: u64,
    /// Keys it has shut out.
    shut_out: u64,
    /// Forgeries by gossip at bob's node.
    at_bobs: u64,
    /// Forgeries at the other relay, whichever way they came.
    at_the_other: u64,
}

impl Counted {
    async fn now(stage: &Stage) -> Result<Self> {
        let mut all = Vec::new();
        for name in [RELAYS[0], RELAYS[1], "bob"] {
            let info = stage.client(name).await?.call::<NodeInfo>(&types::Nothing {}).await?;
            all.push(info.counters);
        }
        let count = |node: usize, name: &str| {
            let counters = all.get(node);
            counters
                .and_then(|counters| counters.get(name))
                .copied()
                .unwrap_or_default()
        };
        Ok(Self {
            gossip: count(0, "gossip.forged"),
            dht: count(0, "dht.forged"),
            stream: count(0, "stream.forged"),
            shut_out: count(0, "shut_out"),
            at_bobs: count(2, "gossip.forged"),
            at_the_other: ["gossip.forged", "dht.forged", "stream.forged"]
                .map(|name| count(1, name))
                .iter()
                .sum(),
        })
    }

    /// Waits until it is so.
    async fn seen(self, stage: &Stage) -> Result<()> {
        let mut now = Self::now(stage).await?;
        let patience = timeout(PATIENCE, async {
            while now != self {
                sleep(LOOK).await;
                now = Self::now(stage).await?;
            }
            anyhow::Ok(())
        });
        match patience.await {
            Ok(seen) => seen,
            Err(_) => bail!("expected {self:?}, got {now:?}"),
        }
    }
}
