//! Messages under load: real nodes on loopback, driven through their sockets as an application would. Prints a line of JSON for each
//! run, with the keys that the scripts for other systems use.
//!
//! `cargo bench --workspace --bench load -- [--quick] [--normal] [W1] [W2] [W5] [W6] [crowd]`; docs/performance.md says what each is.

#![allow(
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a missing field of an answer is null, and ends the run"
)]

use anyhow::{Context, Result, bail, ensure};
use porchlight::demo::person::Person;
use porchlight::demo::stage::{PATIENCE, RELAYS, Stage};
use porchlight_rpc::Client;
use serde_json::{Value, json};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Bytes of a message's text.
const TEXT: usize = 200;

/// Calls under way at once where a workload sends as fast as it can.
const WINDOW: usize = 64;

/// Events taken before they are acknowledged.
const ACKNOWLEDGED: u64 = 64;

/// How much is done.
struct Size {
    warm_up: usize,
    round_trips: usize,
    pipelined: usize,
    kept: usize,
    senders: usize,
}

const FULL: Size = Size {
    warm_up: 200,
    round_trips: 2_000,
    pipelined: 4_000,
    kept: 1_000,
    senders: 20,
};

const QUICK: Size = Size {
    warm_up: 5,
    round_trips: 20,
    pipelined: 100,
    kept: 50,
    senders: 3,
};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` adds one of its own.
    let words: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| *word != "--bench")
        .collect();
    let size = if words.contains(&"--quick") { &QUICK } else { &FULL };
    let wanted = |name: &str| words.iter().all(|word| word.starts_with("--")) || words.contains(&name);
    for word in &words {
        ensure!(
            ["--quick", "--normal", "W1", "W2", "W5", "W6", "crowd"].contains(word),
            "expected some of --quick, --normal, W1, W2, W5, W6 and crowd, got {word:?}"
        );
    }
    let normal = words.contains(&"--normal");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if wanted("W1") || wanted("W2") {
            let mut pair = Pair::meet_with(normal).await?;
            if wanted("W1") {
                pair.one_to_one(size).await?;
            }
            if wanted("W2") {
                pair.pipelined(size).await?;
            }
            pair.stage.strike().await;
        }
        if wanted("W5") {
            cold_start().await?;
        }
        if wanted("W6") {
            for variant in ["relays_stay_up", "relays_killed_after_storing", "one_relay_destroyed"] {
                away(size, variant).await?;
            }
        }
        if wanted("crowd") {
            crowd(size).await?;
        }
        Ok(())
    })
}

/// Two people who are each other's contacts, with two relays.
struct Pair {
    stage: Stage,
    alice: Talker,
    bob: Talker,
}

impl Pair {
    async fn meet() -> Result<Self> {
        Self::meet_with(false).await
    }

    /// The same; `normal`: what was acknowledged survives the end of a process, and not that of the machine.
    async fn meet_with(normal: bool) -> Result<Self> {
        let mut stage = Stage::set(env!("CARGO_BIN_EXE_porchlight").into())?;
        stage.start_relays().await?;
        for name in ["alice", "bob"] {
            stage.make_home(name)?;
            if normal {
                let path = stage.home(name).join("config.toml");
                let config = std::fs::read_to_string(&path)?;
                let (full, normal) = ("#durability = \"full\"", "durability = \"normal\"");
                ensure!(config.contains(full), "expected {full} in a new home's config.toml");
                std::fs::write(&path, config.replace(full, normal))?;
            }
            stage.start(name).await?;
            stage.connected_to_relays(name).await?;
            has_mailboxes(&mut stage.client(name).await?).await?;
        }
        let mut alice = Person::meet(&stage, "alice").await?;
        let mut bob = Person::meet(&stage, "bob").await?;
        let invite = alice.invite().await?;
        bob.add(&invite).await?;
        bob.subscribed("alice").await?;
        alice.subscribed("bob").await?;
        let mut pair = Self {
            alice: Talker::come(&stage, "alice", "bob").await?,
            bob: Talker::come(&stage, "bob", "alice").await?,
            stage,
        };
        // Both have sessions that have been answered.
        for _ in 0..2 {
            pair.alice.send("hello").await?;
            pair.bob.receive().await?;
            pair.bob.send("hello").await?;
            pair.alice.receive().await?;
        }
        Ok(pair)
    }

    fn cpu(&self) -> Result<Duration> {
        let pids = self.stage.names().filter_map(|name| self.stage.pid(name));
        pids.map(cpu_of).sum()
    }

    /// W1: a message, the application's answer, and the next.
    async fn one_to_one(&mut self, size: &Size) -> Result<()> {
        let mut took = Vec::new();
        let (mut cpu, mut begun) = (Duration::ZERO, Instant::now());
        for number in 0..size.warm_up + size.round_trips {
            if number == size.warm_up {
                (cpu, begun) = (self.cpu()?, Instant::now());
            }
            let start = Instant::now();
            self.alice.send(&text(number)).await?;
            let came = self.bob.receive().await?;
            self.bob.send(&format!("receipt {}", number_of(&came)?)).await?;
            let receipt = self.alice.receive().await?;
            ensure!(
                receipt == format!("receipt {number}"),
                "expected receipt {number}, got {receipt}"
            );
            if number >= size.warm_up {
                took.push(start.elapsed());
            }
        }
        let (cpu, all) = (self.cpu()? - cpu, begun.elapsed());
        took.sort_unstable();
        print(&json!({
            "w": "W1", "n": size.round_trips,
            "p50_us": micros(quantile(&took, 50)?), "p99_us": micros(quantile(&took, 99)?),
            "rt_per_s": rate(size.round_trips, all),
            "all_cpu_us_per_rt": micros(cpu) / u128::try_from(size.round_trips)?,
            "disk_sync_us": micros(disk_sync(self.stage.folder())?),
        }))
    }

    /// W2: one sends as fast as it is let, the other counts.
    async fn pipelined(&mut self, size: &Size) -> Result<()> {
        let cpu = self.cpu()?;
        let start = Instant::now();
        let socket = self.stage.home("alice").join("rpc.sock");
        let sending = send_all(&socket, size.pipelined);
        let counting = self.bob.count(size.pipelined);
        let (sent, seen) = tokio::join!(sending, counting);
        sent?;
        let (seen, took) = (seen?, start.elapsed());
        let cpu = self.cpu()? - cpu;
        print(&json!({
            "w": "W2", "n": size.pipelined, "received": seen.received, "lost": seen.lost, "dup": seen.dup,
            "out_of_order": seen.out_of_order, "msgs_per_s": rate(size.pipelined, took),
            "all_cpu_s_per_1k": cpu.as_secs_f64() * 1_000.0 / size.pipelined as f64,
        }))
    }
}

/// W5: from starting both nodes until the first message has come. Homes, accounts and the network are there.
async fn cold_start() -> Result<()> {
    let mut pair = Pair::meet().await?;
    for name in ["alice", "bob"] {
        pair.stage.stop(name).await?;
    }
    let start = Instant::now();
    pair.stage.start("bob").await?;
    pair.stage.start("alice").await?;
    let answers = start.elapsed();
    let mut alice = Talker::come(&pair.stage, "alice", "bob").await?;
    let mut bob = Talker::come(&pair.stage, "bob", "alice").await?;
    alice.send("first").await?;
    while bob.receive().await? != "first" {}
    print(&json!({
        "w": "W5", "both_answer_ms": millis(answers), "first_msg_ms": millis(start.elapsed()),
    }))?;
    pair.stage.strike().await;
    Ok(())
}

/// W6: one is away, the other writes, the one comes back.
async fn away(size: &Size, variant: &str) -> Result<()> {
    let mut pair = Pair::meet().await?;
    pair.stage.stop("bob").await?;
    let cpu = pair.cpu()?;
    let start = Instant::now();
    send_all(&pair.stage.home("alice").join("rpc.sock"), size.kept).await?;
    let mut calls = pair.stage.client("alice").await?;
    timeout(10 * PATIENCE, async {
        loop {
            let waiting = calls.call_raw("outbox.list", json!({})).await?;
            let waiting = waiting["messages"].as_array().context("a list")?;
            let at_both = |message: &&Value| message["state"]["relays"].as_array().is_some_and(|at| at.len() == 2);
            if waiting.len() == size.kept && waiting.iter().all(|message| at_both(&message)) {
                return Ok::<_, anyhow::Error>(());
            }
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .context("the relays never had everything")??;
    let stored = start.elapsed();
    // Only relays can bring them.
    pair.stage.kill("alice").await?;
    match variant {
        "relays_stay_up" => {}
        "relays_killed_after_storing" => {
            for relay in RELAYS {
                pair.stage.kill(relay).await?;
                pair.stage.start(relay).await?;
            }
        }
        "one_relay_destroyed" => {
            pair.stage.kill(RELAYS[0]).await?;
            std::fs::remove_dir_all(pair.stage.home(RELAYS[0]))?;
        }
        other => bail!("no such variant: {other}"),
    }
    let start = Instant::now();
    pair.stage.start("bob").await?;
    let mut bob = Talker::come(&pair.stage, "bob", "alice").await?;
    let seen = bob.count(size.kept).await?;
    let took = start.elapsed();
    let used = pair.cpu()?.saturating_sub(cpu);
    print(&json!({
        "w": "W6", "variant": variant, "n": size.kept, "received": seen.received, "lost": seen.lost, "dup": seen.dup,
        "out_of_order": seen.out_of_order, "store_ms": millis(stored), "recv_all_ms": millis(took),
        "all_cpu_s_per_1k": used.as_secs_f64() * 1_000.0 / size.kept as f64,
    }))?;
    pair.stage.strike().await;
    Ok(())
}

/// Many who write to one at once, each as fast as they are let.
async fn crowd(size: &Size) -> Result<()> {
    let mut stage = Stage::set(env!("CARGO_BIN_EXE_porchlight").into())?;
    stage.start_relays().await?;
    stage.start("bob").await?;
    stage.connected_to_relays("bob").await?;
    let mut bob = Person::meet(&stage, "bob").await?;
    let names: Vec<String> = (0..size.senders).map(|number| format!("sender-{number}")).collect();
    for name in &names {
        stage.start(name).await?;
        stage.connected_to_relays(name).await?;
        let mut sender = Person::meet(&stage, name).await?;
        sender.add(&bob.invite().await?).await?;
        sender.subscribed("bob").await?;
    }
    let mut bob = Talker::come(&stage, "bob", "").await?;
    let start = Instant::now();
    let mut sending = JoinSet::new();
    for name in &names {
        let socket = stage.home(name).join("rpc.sock");
        let count = size.kept;
        sending.spawn(async move { send_all(&socket, count).await });
    }
    let sending = async {
        while let Some(sent) = sending.join_next().await {
            sent??;
        }
        Ok::<_, anyhow::Error>(())
    };
    let counting = async {
        let (mut next, mut dup, mut out_of_order, mut received) = (BTreeMap::new(), 0, 0, 0);
        while next.values().sum::<usize>() < size.senders * size.kept {
            let (contact, text) = bob.receive_from().await?;
            let Ok(number) = number_of(&text) else {
                continue;
            };
            received += 1;
            let expected = next.entry(contact).or_insert(0);
            match number.cmp(expected) {
                Ordering::Equal => *expected += 1,
                Ordering::Less => dup += 1,
                Ordering::Greater => out_of_order += 1,
            }
        }
        Ok::<_, anyhow::Error>((received, dup, out_of_order))
    };
    let (sent, seen) = tokio::join!(sending, counting);
    sent?;
    let (received, dup, out_of_order) = seen?;
    let took = start.elapsed();
    let count = size.senders * size.kept;
    print(&json!({
        "w": "crowd", "senders": size.senders, "n": count, "received": received, "lost": count - (received - dup), "dup": dup,
        "out_of_order": out_of_order, "msgs_per_s": rate(count, took),
    }))?;
    stage.strike().await;
    Ok(())
}

/// An application: one connection for calls, one for events.
struct Talker {
    contact: String,
    calls: Client,
    events: Client,
    taken: u64,
}

/// What became of a number of messages.
struct Seen {
    received: usize,
    lost: usize,
    dup: usize,
    out_of_order: usize,
}

impl Talker {
    async fn come(stage: &Stage, name: &str, contact: &str) -> Result<Self> {
        let mut events = stage.client(name).await?;
        let subscribe = json!({"consumer": "load"});
        events.call_raw("events.subscribe", subscribe).await?;
        Ok(Self {
            contact: contact.to_owned(),
            calls: stage.client(name).await?,
            events,
            taken: 0,
        })
    }

    async fn send(&mut self, text: &str) -> Result<()> {
        let message = json!({"contact": self.contact, "text": text});
        self.calls.call_raw("message.send", message).await?;
        Ok(())
    }

    async fn receive(&mut self) -> Result<String> {
        Ok(self.receive_from().await?.1)
    }

    /// From whom the next message is, and what it says.
    async fn receive_from(&mut self) -> Result<(String, String)> {
        loop {
            let event = timeout(PATIENCE, self.events.next_event())
                .await
                .context("nothing comes any more")??;
            self.taken += 1;
            if self.taken.is_multiple_of(ACKNOWLEDGED) {
                let ack = json!({"consumer": "load", "number": event.number});
                self.events.call_raw("events.ack", ack).await?;
            }
            if event.kind == "message.received" {
                let word = |name: &str| event.data[name].as_str().unwrap_or_default().to_owned();
                return Ok((word("contact"), word("text")));
            }
        }
    }

    /// Takes in what comes until the last one has.
    async fn count(&mut self, expected: usize) -> Result<Seen> {
        let (mut seen, mut last) = (BTreeSet::new(), None);
        let (mut received, mut out_of_order) = (0, 0);
        while seen.len() < expected {
            let text = self.receive().await?;
            let Ok(number) = number_of(&text) else {
                continue;
            };
            received += 1;
            out_of_order += usize::from(last.is_some_and(|last| number <= last));
            last = Some(number);
            seen.insert(number);
        }
        Ok(Seen {
            received,
            lost: expected - seen.len(),
            dup: received - seen.len(),
            out_of_order,
        })
    }
}

/// Somebody sends bob so many messages, a window of calls at a time.
async fn send_all(socket: &Path, count: usize) -> Result<()> {
    let socket = UnixStream::connect(socket).await?;
    let (read, mut write) = socket.into_split();
    let mut answers = BufReader::new(read).lines();
    let (mut next, mut under_way, mut done) = (0, 0, 0);
    while done < count {
        let mut lines = String::new();
        while under_way < WINDOW && next < count {
            let params = json!({"contact": "bob", "text": text(next)});
            let call = json!({"jsonrpc": "2.0", "id": next, "method": "message.send", "params": params});
            lines.push_str(&format!("{call}\n"));
            next += 1;
            under_way += 1;
        }
        write.write_all(lines.as_bytes()).await?;
        let answer = answers.next_line().await?.context("the node goes on answering")?;
        let answer: Value = serde_json::from_str(&answer)?;
        if answer.get("error").is_some() {
            bail!("a message was not taken: {answer}");
        }
        under_way -= 1;
        done += 1;
    }
    Ok(())
}

async fn has_mailboxes(client: &mut Client) -> Result<()> {
    let asking = async {
        loop {
            let list = client.call_raw("relay.list", json!({})).await?;
            let relays = list["relays"].as_array().context("a list")?;
            let there = |relay: &&Value| relay["mailbox"]["registered_until_at"].is_string();
            if relays.iter().filter(there).count() == RELAYS.len() {
                return Ok(());
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, asking).await.context("no mailboxes at both relays")?
}

/// A text with a number in front.
fn text(number: usize) -> String {
    format!("{number:08}{:>1$}", "", TEXT - 8)
}

fn number_of(text: &str) -> Result<usize> {
    let digits = text.get(..8).context("a text with a number in front")?;
    Ok(digits.parse()?)
}

/// User and system time of a process, in units of the clock's tick, which Linux reports as 1/100 s.
fn cpu_of(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may have blanks in it.
    let (_, fields) = stat.rsplit_once(") ").context("/proc/PID/stat")?;
    let ticks = |at: usize| -> Result<u64> { Ok(fields.split(' ').nth(at).context("/proc/PID/stat")?.parse()?) };
    Ok(Duration::from_millis(10 * (ticks(11)? + ticks(12)?)))
}

/// What it takes the disk to make four kilobytes durable: the median of 50.
fn disk_sync(folder: &Path) -> Result<Duration> {
    let path = folder.join("sync");
    let mut file = File::create(&path)?;
    let mut took = Vec::new();
    for _ in 0..50 {
        file.write_all(&[0; 4_096])?;
        let start = Instant::now();
        file.sync_data()?;
        took.push(start.elapsed());
    }
    std::fs::remove_file(&path)?;
    took.sort_unstable();
    quantile(&took, 50)
}

fn quantile(sorted: &[Duration], percent: usize) -> Result<Duration> {
    let at = sorted.len() * percent / 100;
    sorted
        .get(at.min(sorted.len().saturating_sub(1)))
        .copied()
        .context("something measured")
}

fn micros(time: Duration) -> u128 {
    time.as_micros()
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

fn rate(count: usize, time: Duration) -> u64 {
    (count as f64 / time.as_secs_f64()) as u64
}

fn print(line: &Value) -> Result<()> {
    let mut line = line.clone();
    line["peer"] = json!("porchlight");
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(())
}
