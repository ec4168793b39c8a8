//! The only loop around the core: take what is ready, let the core handle it, make the writes durable, then do what it says.
//!
//! Clock, network and disk are passed in, so that a simulation can run the same loop. Only proofs of work take a thread of their
//! own; a network without proof of work asks for none.

use crate::clock::TimeSource;
use crate::convert::{net_command, net_input};
use crate::disk::Disk;
use anyhow::{Context, Result};
use porchlight_net::{Net, NetCommand, NetEvent};
use porchlight_proto::input::{ExchangeId, RequestId};
use porchlight_proto::{Command, CommandError, Effect, Input, Node, Reply, Snapshot, Step};
use porchlight_wire::beacon::find_work;
use porchlight_wire::frame::{Refusal, Response};
use porchlight_wire::mailbox::MailboxId;
use porchlight_wire::record::Place;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Inputs that become one commit at most. More would make the first wait for the last.
const BATCH: usize = 64;

/// How long what nobody waits for waits for something else to be committed with.
const PATIENCE: Duration = Duration::from_millis(10);

/// Calls of local clients that may wait.
const CALLS: usize = 256;

/// Nonces tried between two looks at whether the node is still there.
const WORK_SLICE: u64 = 1 << 18;

/// What a proof of work is for.
#[derive(Clone, Copy, Debug)]
enum WorkFor {
    Place(Place),
    Mailbox([u8; 32]),
}

impl WorkFor {
    const fn as_bytes(&self) -> &[u8; 32] {
        match self {
            Self::Place(place) => place.as_bytes(),
            Self::Mailbox(challenge) => challenge,
        }
    }
}

/// What reaches the driver from its handles.
#[derive(Debug)]
enum Message {
    Command {
        key: Option<String>,
        command: Command,
        reply: oneshot::Sender<Result<Reply, CommandError>>,
    },
    Snapshot(oneshot::Sender<Box<Snapshot>>),
    Health(BTreeSet<String>),
}

/// A handle to the running core. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Core {
    messages: mpsc::Sender<Message>,
    newest_event: watch::Receiver<u64>,
}

/// The driver has ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended;

impl Core {
    /// Has a command done.
    ///
    /// # Errors
    ///
    /// The core's own refusal; or that the node is stopping.
    pub async fn command(&self, command: Command, key: Option<String>) -> Result<Reply, CommandError> {
        let (reply, answer) = oneshot::channel();
        let message = Message::Command { key, command, reply };
        self.messages.send(message).await.map_err(|_| CommandError::Stopping)?;
        answer.await.map_err(|_| CommandError::Stopping)?
    }

    /// A copy of the durable state.
    ///
    /// # Errors
    ///
    /// If the driver has ended.
    pub async fn snapshot(&self) -> Result<Box<Snapshot>, Ended> {
        let (reply, answer) = oneshot::channel();
        self.messages.send(Message::Snapshot(reply)).await.map_err(|_| Ended)?;
        answer.await.map_err(|_| Ended)
    }

    /// Says what this node does not do well, by kind, as of now.
    ///
    /// # Errors
    ///
    /// If the driver has ended.
    pub async fn health(&self, reasons: BTreeSet<String>) -> Result<(), Ended> {
        self.messages.send(Message::Health(reasons)).await.map_err(|_| Ended)
    }

    /// Follows the number of the newest event.
    #[must_use]
    pub fn newest_event(&self) -> watch::Receiver<u64> {
        self.newest_event.clone()
    }
}

/// The loop and what it owns.
pub struct Driver<T, D> {
    core: Node,
    time: T,
    disk: D,
    net: Net,
    net_events: mpsc::Receiver<NetEvent>,
    messages: mpsc::Receiver<Message>,
    replies: BTreeMap<RequestId, oneshot::Sender<Result<Reply, CommandError>>>,
    last_request: u64,
    newest_event: watch::Sender<u64>,
    worked: mpsc::Receiver<(WorkFor, u64)>,
    worker: mpsc::Sender<(WorkFor, u64)>,
    /// Proofs of work that were asked for and are not begun. The core asks once for each place it publishes at, and for few
    /// envelopes at a time.
    work: VecDeque<(WorkFor, u8)>,
    working: bool,
    halted: bool,
}

impl<T, D> std::fmt::Debug for Driver<T, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Driver")
    }
}

impl<T: TimeSource, D: Disk> Driver<T, D> {
    /// A driver around a restored core, and the handle to it.
    pub fn new(core: Node, time: T, disk: D, net: Net, net_events: mpsc::Receiver<NetEvent>) -> (Self, Core) {
        let (sender, messages) = mpsc::channel(CALLS);
        let (newest_event, newest) = watch::channel(core.snapshot().newest_event);
        let (worker, worked) = mpsc::channel(CALLS);
        let handle = Core {
            messages: sender,
            newest_event: newest,
        };
        let driver = Self {
            core,
            time,
            disk,
            net,
            net_events,
            messages,
            replies: BTreeMap::new(),
            last_request: 0,
            newest_event,
            worked,
            worker,
            work: VecDeque::new(),
            working: false,
            halted: false,
        };
        (driver, handle)
    }

    /// Runs until the core says that everything has been said.
    ///
    /// # Errors
    ///
    /// If writes cannot be made durable, or the network ends: the node cannot go on then.
    pub async fn run(mut self) -> Result<()> {
        let mut step = self.core.handle(self.time.now(), Input::Start);
        let mut waits_until = None;
        loop {
            // Everything that is ready shares one commit; and what nobody waits for waits for that of something else.
            let mut taken = 0;
            while taken < BATCH {
                let Some(input) = self.ready() else { break };
                step.merge(self.core.handle(self.time.now(), input));
                taken += 1;
            }
            if step.can_wait() && !step.is_empty() && taken < BATCH {
                let until = *waits_until.get_or_insert_with(|| tokio::time::Instant::now() + PATIENCE);
                let next = tokio::time::timeout_at(until, self.wait()).await;
                if let Ok(input) = next {
                    if let Some(input) = input? {
                        step.merge(self.core.handle(self.time.now(), input));
                    }
                    continue;
                }
            }
            waits_until = None;
            self.finish(step).await?;
            if self.halted {
                self.net.stop().await;
                return Ok(());
            }
            let input = self.wait().await?;
            step = match input {
                Some(input) => self.core.handle(self.time.now(), input),
                None => Step::default(),
            };
        }
    }

    /// An input that is there already.
    fn ready(&mut self) -> Option<Input> {
        if let Ok(event) = self.net_events.try_recv() {
            return Some(net_input(event));
        }
        if let Ok(message) = self.messages.try_recv() {
            return self.on_message(message);
        }
        let (what, nonce) = self.worked.try_recv().ok()?;
        Some(self.on_worked(what, nonce))
    }

    /// The next input; none if something was dealt with that is none.
    async fn wait(&mut self) -> Result<Option<Input>> {
        let deadline = self.core.next_deadline();
        let time = &self.time;
        let asleep = async {
            match deadline {
                Some(at) => time.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = self.net_events.recv() => Ok(Some(net_input(event.context("the network has ended")?))),
            Some(message) = self.messages.recv() => Ok(self.on_message(message)),
            Some((what, nonce)) = self.worked.recv() => Ok(Some(self.on_worked(what, nonce))),
            () = asleep => Ok(Some(Input::Deadline)),
        }
    }

    fn on_worked(&mut self, what: WorkFor, nonce: u64) -> Input {
        self.working = false;
        self.work_on();
        match what {
            WorkFor::Place(place) => Input::Worked { place, nonce },
            WorkFor::Mailbox(challenge) => Input::DayWorked { challenge, nonce },
        }
    }

    fn on_message(&mut self, message: Message) -> Option<Input> {
        match message {
            Message::Command { key, command, reply } => {
                self.last_request += 1;
                let request = RequestId(self.last_request);
                self.replies.insert(request, reply);
                Some(Input::Command {
                    request,
                    idempotency_key: key,
                    command,
                })
            }
            Message::Snapshot(reply) => {
                // Whoever asked may be gone.
                let _ = reply.send(Box::new(self.core.snapshot().clone()));
                None
            }
            Message::Health(reasons) => Some(Input::Health { reasons }),
        }
    }

    /// Commit, then speak.
    async fn finish(&mut self, step: Step) -> Result<()> {
        if step.is_empty() {
            return Ok(());
        }
        let can_wait = step.can_wait();
        let (writes, sealed) = step.into_parts();
        let committed = if can_wait {
            self.disk.commit_unsynced(writes).await
        } else {
            self.disk.commit(writes).await
        };
        let effects = sealed
            .open_after(committed)
            .context("the node stops: what it was about to say could not be kept")?;
        for effect in effects {
            self.perform(effect).await?;
        }
        Ok(())
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what is not for the driver is for the network"
    )]
    async fn perform(&mut self, effect: Effect) -> Result<()> {
        match effect {
            Effect::Reply { request, result } => {
                if let Some(reply) = self.replies.remove(&request) {
                    // A client that went away needs no answer.
                    let _ = reply.send(result);
                }
            }
            Effect::Events { newest } => {
                self.newest_event.send_replace(newest);
            }
            Effect::Work { place, bits } => {
                self.work.push_back((WorkFor::Place(place), bits));
                self.work_on();
            }
            Effect::DayWork { challenge, bits } => {
                self.work.push_back((WorkFor::Mailbox(challenge), bits));
                self.work_on();
            }
            Effect::HandOut {
                exchange,
                mailbox,
                numbers,
            } => self.hand_out(exchange, mailbox, numbers),
            Effect::Halt => self.halted = true,
            other => {
                if let Some(command) = net_command(other) {
                    self.net.command(command).await.context("the network has ended")?;
                }
            }
        }
        Ok(())
    }

    /// Answers with envelopes that are on disk, beside the loop: reading them holds up nothing else.
    fn hand_out(&self, exchange: ExchangeId, mailbox: MailboxId, numbers: Vec<u64>) {
        let read = self.disk.envelopes(mailbox, numbers);
        let net = self.net.clone();
        tokio::spawn(async move {
            let response = match read.await {
                Ok(envelopes) => Response::MailboxEnvelopes { envelopes },
                Err(error) => {
                    tracing::error!(%error, "envelopes in a mailbox cannot be given out");
                    let reason = Refusal::Full;
                    Response::Refused { reason }
                }
            };
            let exchange = exchange.0;
            // A network that has ended answers nobody.
            let _ = net.command(NetCommand::Respond { exchange, response }).await;
        });
    }

    /// Finds proofs of work beside the loop, one after the other: whatever else the machine does goes on.
    fn work_on(&mut self) {
        if self.working {
            return;
        }
        let Some((what, bits)) = self.work.pop_front() else {
            return;
        };
        self.working = true;
        let worker = self.worker.clone();
        tokio::task::spawn_blocking(move || {
            let mut start = 0;
            while !worker.is_closed() {
                if let Some(nonce) = find_work(what.as_bytes(), bits, start, WORK_SLICE) {
                    // A driver that has ended needs no nonce.
                    let _ = worker.blocking_send((what, nonce));
                    return;
                }
                start += WORK_SLICE;
            }
        });
    }
}
