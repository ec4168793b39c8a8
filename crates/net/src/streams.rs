//! Framed streams (`/pl/frames/1`): one long-lived stream for each peer and direction, carrying exchanges by number.
//! Whoever opened a stream asks, the other end answers on it. One task for each stream; what it sends and what waits for
//! it is bounded, so a slow peer slows only itself.

use crate::behaviour::FRAMES;
use futures::{SinkExt, StreamExt};
use libp2p::bytes::Bytes;
use libp2p::{PeerId, Stream};
use porchlight_wire::frame::{
    ExchangeNumber, Refusal, Request, RequestFrame, Response, ResponseFrame, decode_request, decode_response,
    encode_request, encode_response,
};
use porchlight_wire::limits::{FOLLOWED, FRAME_BYTES};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt};
use tokio_util::sync::CancellationToken;

/// Requests that may wait for one peer's stream.
pub(crate) const WAITING: usize = 64;

/// Answers that may wait to be written to one peer: all that it may follow, at once, and as much again of what is new.
pub(crate) const ANSWERS: usize = 2 * FOLLOWED;

/// What an answer costs besides the beacon in it.
const ANSWER_BYTES: usize = 256;

/// Bytes of answers that one stream may have waiting whatever others have: a few beacons of the largest size, as many as there
/// are between two writes to somebody who reads. With as many streams as there may be, it is as much again as all share.
const OWN_BYTES: usize = 16 << 10;

/// What an entry in the list of a mailbox costs.
const ENTRY_BYTES: usize = 64;

/// How long one answer may take to be written: whoever does not read that long loses the stream.
const WRITE: Duration = Duration::from_secs(10);

/// How often deadlines of open exchanges are looked at.
const WATCH: Duration = Duration::from_millis(500);

/// Who inside the task waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// The core, by its own number.
    Core(u64),
    /// A lookup, by its number.
    Lookup(u64),
    /// What we follow, by the number of the request. Answered any number of times.
    Follow(u64),
}

impl Asker {
    const fn follows(self) -> bool {
        match self {
            Self::Follow(_) => true,
            Self::Core(_) | Self::Lookup(_) => false,
        }
    }
}

/// One request on its way to a peer.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) asker: Asker,
    pub(crate) request: Request,
}

/// What streams report to the swarm's task.
#[derive(Debug)]
pub(crate) enum StreamEvent {
    /// An answer to a request of ours.
    Answer {
        peer: PeerId,
        asker: Asker,
        response: Response,
    },
    /// No answer will come.
    Failed {
        asker: Asker,
        /// Whether the request may have been acted on.
        perhaps: bool,
        reason: String,
    },
    /// A peer asks something.
    Asked {
        peer: PeerId,
        number: ExchangeNumber,
        request: Request,
        answers: Answers,
    },
    /// The stream we opened to a peer is gone.
    OutboundClosed { peer: PeerId },
    /// A stream that a peer opened is gone.
    InboundClosed { peer: PeerId },
}

/// Where the answers to requests on one stream go.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    frames: mpsc::Sender<Waiting>,
    own: Budget,
    shared: Budget,
    end: CancellationToken,
}

/// Bytes of answers that wait to be written: on one stream, or beyond its own share to all peers together. Those who do not
/// read can neither fill the memory nor keep answers from those who do.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    used: Arc<AtomicUsize>,
    limit: usize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            used: Arc::new(AtomicUsize::new(0)),
            limit,
        }
    }

    /// Takes so many bytes; none if there are not as many left.
    fn take(&self, bytes: usize) -> Option<Charge> {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        let charge = Charge {
            used: Arc::clone(&self.used),
            bytes,
        };
        (before + bytes <= self.limit).then_some(charge)
    }
}

/// Bytes taken from a [`Budget`], until they are written or given up.
#[derive(Debug)]
struct Charge {
    used: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// An answer that waits to be written.
#[derive(Debug)]
struct Waiting {
    frame: ResponseFrame,
    _charge: Charge,
}

impl Answers {
    /// Sends an answer; false if the stream is gone or its other end does not keep up.
    pub(crate) fn send(&self, exchange: ExchangeNumber, response: Response) -> bool {
        let bytes = match &response {
            Response::Record { beacon: Some(beacon) } => ANSWER_BYTES + beacon.len(),
            Response::Record { beacon: None }
            | Response::Delivered {}
            | Response::Refused { .. }
            | Response::Hello { .. }
            | Response::Proof { .. }
            | Response::RecordKept {}
            | Response::MailboxStored { .. }
            | Response::MailboxRegistered { .. }
            | Response::MailboxDone {}
            | Response::RelayList { .. } => ANSWER_BYTES,
            Response::MailboxList { entries, .. } => ANSWER_BYTES + entries.len() * ENTRY_BYTES,
            Response::MailboxEnvelopes { envelopes } => {
                let bodies: usize = envelopes.iter().map(|held| held.envelope.len()).sum();
                ANSWER_BYTES + bodies
            }
        };
        let Some(charge) = self.own.take(bytes).or_else(|| self.shared.take(bytes)) else {
            return false;
        };
        let frame = ResponseFrame { exchange, response };
        self.frames.try_send(Waiting { frame, _charge: charge }).is_ok()
    }

    /// Whether the stream is gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.frames.is_closed()
    }

    /// Ends the stream, with what waits to be written on it.
    pub(crate) fn end(&self) {
        self.end.cancel();
    }
}

pub(crate) type Frames = Framed<Compat<Stream>, LengthDelimitedCodec>;

pub(crate) fn framed(stream: Stream) -> Frames {
    let codec = LengthDelimitedCodec::builder()
        .max_frame_length(FRAME_BYTES)
        .new_codec();
    Framed::new(stream.compat(), codec)
}

/// Runs the stream we open to `peer`: until it breaks, or nobody can send to it any more.
pub(crate) async fn ask(
    peer: PeerId,
    mut control: libp2p_stream::Control,
    mut requests: mpsc::Receiver<Outgoing>,
    events: mpsc::Sender<StreamEvent>,
    deadline: Duration,
) {
    let mut open: BTreeMap<ExchangeNumber, (Asker, Instant)> = BTreeMap::new();
    let opened = timeout(deadline, control.open_stream(peer, FRAMES)).await;
    let reason = match opened {
        Ok(Ok(stream)) => exchange(peer, framed(stream), &mut requests, &mut open, &events, deadline).await,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the other side did not take a stream in time".to_owned(),
    };
    requests.close();
    for (asker, _) in open.into_values() {
        report(&events, asker, true, &reason).await;
    }
    while let Some(outgoing) = requests.recv().await {
        report(&events, outgoing.asker, false, &reason).await;
    }
    // A task that is gone needs no news.
    let _ = events.send(StreamEvent::OutboundClosed { peer }).await;
}

async fn report(events: &mpsc::Sender<StreamEvent>, asker: Asker, perhaps: bool, reason: &str) {
    let failed = StreamEvent::Failed {
        asker,
        perhaps,
        reason: reason.to_owned(),
    };
    let _ = events.send(failed).await;
}

/// Sends requests and hands out answers. Returns why it ended.
async fn exchange(
    peer: PeerId,
    mut frames: Frames,
    requests: &mut mpsc::Receiver<Outgoing>,
    open: &mut BTreeMap<ExchangeNumber, (Asker, Instant)>,
    events: &mpsc::Sender<StreamEvent>,
    deadline: Duration,
) -> String {
    let mut last = 0;
    let mut watch = tokio::time::interval(WATCH);
    loop {
        tokio::select! {
            outgoing = requests.recv() => {
                let Some(Outgoing { asker, request }) = outgoing else {
                    return "the connection is no longer needed".to_owned();
                };
                last += 1;
                let number = ExchangeNumber(last);
                let frame = RequestFrame { exchange: number, request };
                if asker.follows() {
                    // A new set of addresses replaces the one before.
                    open.retain(|_, (other, _)| !other.follows());
                }
                open.insert(number, (asker, Instant::now() + deadline));
                let sent = timeout(deadline, frames.send(Bytes::from(encode_request(&frame)))).await;
                match sent {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => return error.to_string(),
                    Err(_) => return "the other side does not read".to_owned(),
                }
            }
            read = frames.next() => {
                let bytes = match read {
                    Some(Ok(bytes)) => bytes,
                    Some(Err(error)) => return error.to_string(),
                    None => return "the other side closed the stream".to_owned(),
                };
                let Ok(frame) = decode_response(&bytes) else {
                    return "the other side sent something that is no frame".to_owned();
                };
                let asker = match open.get(&frame.exchange) {
                    Some((asker, _)) if asker.follows() && matches!(frame.response, Response::Record { .. }) => {
                        Some(*asker)
                    }
                    Some(_) => open.remove(&frame.exchange).map(|(asker, _)| asker),
                    None => None,
                };
                if let Some(asker) = asker {
                    let answer = StreamEvent::Answer { peer, asker, response: frame.response };
                    if events.send(answer).await.is_err() {
                        return "the network has stopped".to_owned();
                    }
                }
            }
            _ = watch.tick() => {
                let now = Instant::now();
                let late: Vec<ExchangeNumber> = open
                    .iter()
                    .filter(|(_, (asker, until))| !asker.follows() && *until <= now)
                    .map(|(number, _)| *number)
                    .collect();
                for number in late {
                    if let Some((asker, _)) = open.remove(&number) {
                        report(events, asker, true, "no answer came in time").await;
                    }
                }
            }
        }
    }
}

/// Runs a stream that `peer` opened: hands its requests to the task, writes the answers.
pub(crate) async fn serve(
    peer: PeerId,
    stream: Stream,
    events: mpsc::Sender<StreamEvent>,
    at_once: usize,
    shared: Budget,
) {
    let (frames, waiting) = mpsc::channel(ANSWERS);
    let end = CancellationToken::new();
    let answers = Answers {
        frames,
        own: Budget::new(OWN_BYTES),
        shared,
        end: end.clone(),
    };
    end.run_until_cancelled(hand_on(peer, framed(stream), events, at_once, answers, waiting))
        .await;
}

async fn hand_on(
    peer: PeerId,
    mut frames: Frames,
    events: mpsc::Sender<StreamEvent>,
    at_once: usize,
    answers: Answers,
    mut waiting: mpsc::Receiver<Waiting>,
) {
    let mut open: BTreeSet<ExchangeNumber> = BTreeSet::new();
    loop {
        tokio::select! {
            answer = waiting.recv() => {
                let Some(answer) = answer else { return };
                open.remove(&answer.frame.exchange);
                let written = frames.send(Bytes::from(encode_response(&answer.frame)));
                if !matches!(timeout(WRITE, written).await, Ok(Ok(()))) {
                    return;
                }
            }
            read = frames.next() => {
                let Some(Ok(bytes)) = read else { return };
                // Bytes that are no frame end the stream: what follows could not be told apart either.
                let Ok(frame) = decode_request(&bytes) else { return };
                if open.len() >= at_once {
                    let refused = ResponseFrame {
                        exchange: frame.exchange,
                        response: Response::Refused { reason: Refusal::TooMany },
                    };
                    let written = frames.send(Bytes::from(encode_response(&refused)));
                    if !matches!(timeout(WRITE, written).await, Ok(Ok(()))) {
                        return;
                    }
                    continue;
                }
                // Two with one number could not be told apart, nor counted.
                if !open.insert(frame.exchange) {
                    return;
                }
                let asked = StreamEvent::Asked {
                    peer,
                    number: frame.exchange,
                    request: frame.request,
                    answers: answers.clone(),
                };
                if events.send(asked).await.is_err() {
                    return;
                }
            }
        }
    }
}
