//! The trace of a run: a running hash over everything that went into the cores and came out of them. Two runs are the same run if
//! and only if their hashes agree. On demand the same is printed, to read what a failing run did.

use crate::Who;
use porchlight_proto::input::{BeaconSource, RequestId};
use porchlight_proto::{Effect, Input, Write};
use porchlight_wire::frame::{RequestFrame, ResponseFrame, encode_request, encode_response};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// The trace of one run.
#[derive(Debug)]
pub struct Trace {
    hash: Sha256,
    /// Whether records and frames are hashed as they are; else by their sizes and numbers, which is cheaper.
    thorough: bool,
    /// What is printed, and from when on; none: nothing.
    pub print_from: Option<u64>,
}

impl Trace {
    /// An empty one.
    #[must_use]
    pub fn new(thorough: bool) -> Self {
        Self {
            hash: Sha256::new(),
            thorough,
            print_from: None,
        }
    }

    /// An input went into a core.
    pub fn input(&mut self, now: u64, who: Who, input: &Input) {
        self.print(now, who, '<', input);
        self.entry(now, who, input_tag(input), self.input_detail(input));
    }

    /// A write reached a disk.
    pub fn write(&mut self, now: u64, who: Who, write: &Write) {
        self.print(now, who, '|', write);
        // The rows that others see are in what is sent; the rest follows from inputs. Which rows, and that events agree, is enough.
        let detail = if let Write::PutEvent(row) = write {
            row.number
        } else {
            0
        };
        self.entry(now, who, 100 + write_tag(write), detail);
    }

    /// An effect came out of a core.
    pub fn effect(&mut self, now: u64, who: Who, effect: &Effect) {
        self.print(now, who, '>', effect);
        let (tag, detail) = self.effect_detail(effect);
        self.entry(now, who, 200 + tag, detail);
    }

    /// Something happened to a node.
    pub fn fate(&mut self, now: u64, who: Who, what: &str) {
        self.print(now, who, '!', &what);
        self.entry(now, who, 255, number(what.as_bytes()));
    }

    /// The hash of everything so far.
    #[must_use]
    pub fn digest(&self) -> String {
        self.hash
            .clone()
            .finalize()
            .iter()
            .fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
    }

    fn entry(&mut self, now: u64, who: Who, tag: u8, detail: u64) {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&now.to_be_bytes());
        bytes[8..12].copy_from_slice(&who.to_be_bytes());
        bytes[12] = tag;
        bytes[16..].copy_from_slice(&detail.to_be_bytes());
        self.hash.update(bytes);
    }

    #[expect(clippy::print_stderr, reason = "that is what was asked for")]
    fn print(&self, now: u64, who: Who, mark: char, what: &dyn std::fmt::Debug) {
        if self.print_from.is_some_and(|from| now >= from) {
            eprintln!("{now:>10} {who:>5} {mark} {what:?}");
        }
    }

    fn input_detail(&self, input: &Input) -> u64 {
        match input {
            Input::Beacon { beacon, source } => {
                let (kind, node) = match source {
                    BeaconSource::Gossip(node) => (1, node),
                    BeaconSource::Follow(node) => (2, node),
                };
                kind ^ number(node.as_bytes()) ^ number(beacon.bytes())
            }
            Input::Found { record, lookup } => lookup.0 ^ number(record.bytes()),
            Input::LookupDone { lookup, answered } => lookup.0 << 16 | u64::from(*answered),
            Input::PutDone { put, stored, .. } => put.0 << 16 | u64::from(*stored),
            Input::Request { exchange, request, .. } if self.thorough => {
                let exchange = porchlight_wire::frame::ExchangeNumber(exchange.0);
                let request = request.clone();
                sum(&encode_request(&RequestFrame { exchange, request }))
            }
            Input::Response { exchange, response } if self.thorough => {
                let exchange = porchlight_wire::frame::ExchangeNumber(exchange.0);
                let response = response.clone();
                sum(&encode_response(&ResponseFrame { exchange, response }))
            }
            Input::Request { exchange, .. } | Input::Response { exchange, .. } => exchange.0,
            Input::ExchangeFailed { exchange, .. } => exchange.0,
            Input::Connected { node, .. } | Input::Disconnected { node } | Input::Followed { node, .. } => {
                number(node.as_bytes())
            }
            Input::Command {
                request: RequestId(request),
                ..
            } => *request,
            Input::Live { nodes } => nodes.len() as u64,
            Input::Start
            | Input::Listening { .. }
            | Input::NotListening { .. }
            | Input::Worked { .. }
            | Input::DayWorked { .. }
            | Input::Health { .. }
            | Input::Deadline => 0,
        }
    }

    fn effect_detail(&self, effect: &Effect) -> (u8, u64) {
        match effect {
            Effect::Reply { request, result } => (1, request.0 << 1 | u64::from(result.is_ok())),
            Effect::Events { newest } => (2, *newest),
            Effect::Gossip { beacon } => (3, number(beacon.bytes())),
            Effect::Put { put, record } => (4, put.0 ^ number(record.bytes())),
            Effect::Lookup { lookup, places, .. } => (5, lookup.0 << 16 | places.len() as u64),
            Effect::Topics { topics } => (6, topics.len() as u64),
            Effect::Expect { addresses } => (7, addresses.len() as u64),
            Effect::Follow { addresses } => (8, addresses.len() as u64),
            Effect::FollowAt { node, addresses, .. } => (9, number(node.as_bytes()) ^ addresses.len() as u64),
            Effect::Serve { views } => (10, views.len() as u64),
            Effect::Request { exchange, to, .. } => (11, exchange.0 ^ number(to.as_bytes())),
            Effect::Respond { exchange, .. } => (12, exchange.0),
            Effect::HandOut { exchange, numbers, .. } => (13, exchange.0 << 16 | numbers.len() as u64),
            Effect::Keep { contacts } => (14, contacts.len() as u64),
            Effect::Work { bits, .. } => (15, u64::from(*bits)),
            Effect::DayWork { bits, .. } => (16, u64::from(*bits)),
            Effect::Halt => (17, 0),
        }
    }
}

/// The last eight bytes: of a signed record these are of its signature, and thus of all of it.
fn number(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    let tail = &bytes[bytes.len().saturating_sub(8)..];
    word[..tail.len()].copy_from_slice(tail);
    u64::from_be_bytes(word)
}

/// A number that all of these bytes have part in.
fn sum(bytes: &[u8]) -> u64 {
    number(&Sha256::digest(bytes))
}

const fn input_tag(input: &Input) -> u8 {
    match input {
        Input::Start => 1,
        Input::Command { .. } => 2,
        Input::Connected { .. } => 3,
        Input::Disconnected { .. } => 4,
        Input::Listening { .. } => 5,
        Input::NotListening { .. } => 6,
        Input::Followed { .. } => 7,
        Input::Request { .. } => 8,
        Input::Response { .. } => 9,
        Input::ExchangeFailed { .. } => 10,
        Input::Beacon { .. } => 11,
        Input::Found { .. } => 12,
        Input::LookupDone { .. } => 13,
        Input::PutDone { .. } => 14,
        Input::Live { .. } => 15,
        Input::Worked { .. } => 16,
        Input::DayWorked { .. } => 17,
        Input::Health { .. } => 18,
        Input::Deadline => 19,
    }
}

/// Tells the writes apart that say most of what a core decided.
const fn write_tag(write: &Write) -> u8 {
    match write {
        Write::PutEvent(_) => 1,
        Write::PutObserved(_) => 2,
        Write::PutContact(_) => 3,
        Write::PutMessage(_) => 4,
        Write::PutMessageState(_) => 5,
        Write::PutOwnPresence(_) => 6,
        Write::PutView(_) => 7,
        Write::PutLetter(_) => 8,
        Write::PutCeiling(_) => 9,
        Write::PutDeposit(_) => 10,
        _ => 0,
    }
}
