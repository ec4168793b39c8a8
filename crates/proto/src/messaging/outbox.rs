//! Messages on their way: encrypted once, offered until a receipt comes or their time is over, in order and a few at a time to
//! each contact. Receipts that we owe go the same way. A transport that took a message is not a receipt.

use super::Messaging;
use super::rows::{ConversationRow, FailureReason, MessageState, OutboxRow, Owed, SealedRow, SessionKey, SessionRow};
use super::session::{self, is_pre_key};
use crate::clock::Instant;
use crate::event::FirstContactProblem;
use crate::input::ExchangeId;
use crate::limits::{
    GONE_KEPT, MESSAGES_IN_FLIGHT, MESSAGES_IN_FLIGHT_EACH, RECEIPT_WAIT, RECEIPT_WAIT_LAST, RECEIPTS_GATHER,
    RESET_SPACING, RETRY_LAST, SESSIONS_EACH,
};
use crate::node::Node;
use crate::retry::backoff;
use crate::rows::ContactRow;
use crate::step::{Effect, Write};
use porchlight_wire::content::{Content, OlmIdentity, OlmPacket};
use porchlight_wire::frame::{Admission, Refusal, Request, Response};
use porchlight_wire::ids::{Address, DeviceId, NodeId, PrincipalId, RandomId};
use porchlight_wire::letter::LetterBody;
use porchlight_wire::limits::{GONE, RECEIPTS};
use porchlight_wire::message::{Gone, Plaintext, PlaintextBody, Receipts};
use std::collections::{BTreeMap, BTreeSet};

/// What waits for one contact.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    /// Messages to be offered, by number.
    pub(super) waiting: BTreeMap<u64, RandomId>,
    /// Messages that are being offered.
    in_flight: BTreeMap<u64, RandomId>,
    /// Messages that were taken, or left in mailboxes, and when they are offered again if no receipt comes.
    pub(super) taken: BTreeMap<u64, Taken>,
    /// How often a message was taken.
    times: BTreeMap<u64, u32>,
    /// Whether receipts are owed.
    pub(super) owes: bool,
    /// They wait so long for others to go with them.
    gather_until: Instant,
    /// Whether some are being offered.
    owing: bool,
    /// Receipts as they were written last, if they reached nobody: not each try is to take another of the session's keys.
    pub(super) written: Option<(Owed, SessionKey, OlmPacket)>,
    /// The last exchange came to nothing: what waits is left in mailboxes.
    pub(super) unreachable: bool,
    /// What is being left, and is stored nowhere yet.
    pub(super) leaving: Option<RandomId>,
    /// Messages that the other side has while it has not one that comes before them.
    ahead: BTreeSet<u64>,
    /// Nothing is offered before.
    not_before: Instant,
    tries: u32,
}

#[derive(Debug)]
pub(super) struct Taken {
    pub(super) id: RandomId,
    pub(super) again: Instant,
    /// Its recipient's node took it, and not only a relay.
    there: bool,
}

impl Taken {
    /// What lies in mailboxes.
    pub(super) const fn left(id: RandomId, again: Instant) -> Self {
        let there = false;
        Self { id, again, there }
    }
}

impl Peer {
    /// A message needs nothing any more.
    pub(super) fn forget(&mut self, number: u64) {
        self.waiting.remove(&number);
        self.in_flight.remove(&number);
        self.taken.remove(&number);
        self.times.remove(&number);
    }

    /// Messages after this one that were not taken yet.
    pub(super) fn after(&self, number: u64) -> impl Iterator<Item = RandomId> {
        let waiting = self.waiting.range(number..);
        waiting.chain(self.in_flight.range(number..)).map(|(_, id)| *id)
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty() && self.taken.is_empty() && !self.wants()
    }

    const fn wants(&self) -> bool {
        self.owes || self.owing || self.leaving.is_some()
    }

    /// Whether a message can be offered.
    fn offers(&self, left: &BTreeMap<RandomId, RandomId>) -> bool {
        self.in_flight.len() < MESSAGES_IN_FLIGHT_EACH && self.has_room_for_next(left)
    }

    /// When something can be offered next; none: nothing waits for more than an answer.
    fn next_offer(&self, left: &BTreeMap<RandomId, RandomId>) -> Option<Instant> {
        if self.offers(left) {
            return Some(self.not_before);
        }
        self.wants_to_confirm()
            .then_some(self.not_before.max(self.gather_until))
    }

    /// Whether there is a next message, and its recipient has room for it if something before it is late.
    fn has_room_for_next(&self, left: &BTreeMap<RandomId, RandomId>) -> bool {
        let (Some((next, _)), Some(oldest)) = (self.waiting.first_key_value(), self.oldest(left)) else {
            return false;
        };
        self.has_room(oldest, *next, left)
    }

    /// Whether a message can be left in mailboxes, and will not come so long before one that is being offered now that there is no room
    /// for it.
    pub(super) fn may_be_left(&self, number: u64, left: &BTreeMap<RandomId, RandomId>) -> bool {
        let offered = self.in_flight.keys().next();
        offered.is_none_or(|oldest| self.has_room(*oldest, number, left))
    }

    /// Whether the recipient can have so much of what is between the two while the older one is late: so many messages they can hold
    /// back, and open in another order than that in which they were written.
    fn has_room(&self, older: u64, number: u64, left: &BTreeMap<RandomId, RandomId>) -> bool {
        if older >= number {
            return true;
        }
        let in_flight = self.in_flight.range(older..number).count();
        let ahead = self.ahead.range(older..number).count();
        let in_mailboxes = self.left(left, older..number).take(MESSAGES_IN_FLIGHT_EACH);
        in_flight + ahead + in_mailboxes.count() < MESSAGES_IN_FLIGHT_EACH
    }

    /// Whether what comes before the next message lies in mailboxes, and there is no room for that one before it: it goes the same way.
    pub(super) fn is_behind(&self, left: &BTreeMap<RandomId, RandomId>) -> bool {
        !left.is_empty()
            && !self.waiting.is_empty()
            && !self.has_room_for_next(left)
            && self.left(left, ..).next() == self.oldest(left)
    }

    /// The oldest message that the other side does not have, as far as we know.
    fn oldest(&self, left: &BTreeMap<RandomId, RandomId>) -> Option<u64> {
        let waits = self
            .waiting
            .keys()
            .next()
            .into_iter()
            .chain(self.in_flight.keys().next());
        waits.copied().chain(self.left(left, ..).next()).min()
    }

    /// Messages that lie in mailboxes.
    fn left(
        &self,
        left: &BTreeMap<RandomId, RandomId>,
        range: impl std::ops::RangeBounds<u64>,
    ) -> impl Iterator<Item = u64> {
        let taken = (!left.is_empty()).then(|| self.taken.range(range));
        let taken = taken.into_iter().flatten();
        taken
            .filter(|(_, taken)| !taken.there && left.contains_key(&taken.id))
            .map(|(number, _)| *number)
    }

    /// The other side has a message: what comes before it may be late.
    pub(super) fn is_there(&mut self, number: u64, left: &BTreeMap<RandomId, RandomId>) {
        self.ahead.insert(number);
        match self.oldest(left) {
            Some(oldest) => self.ahead = self.ahead.split_off(&oldest),
            None => self.ahead.clear(),
        }
    }

    pub(super) fn wants_to_confirm(&self) -> bool {
        self.owes && !self.owing
    }
}

/// What was sent and is not answered yet.
#[derive(Debug)]
pub(crate) enum Sending {
    /// A message.
    Message {
        to: PrincipalId,
        number: u64,
        id: RandomId,
        session: SessionKey,
        direct: bool,
    },
    /// Receipts.
    Receipts {
        to: PrincipalId,
        receipts: Owed,
        session: SessionKey,
        direct: bool,
    },
}

impl Sending {
    const fn is_direct(&self) -> bool {
        let (Self::Message { direct, .. } | Self::Receipts { direct, .. }) = self;
        *direct
    }
}

/// Whether this is the answer of one who wants an envelope.
const fn is_unproven(response: &Response) -> bool {
    matches!(
        response,
        Response::Refused {
            reason: Refusal::NotAdmitted | Refusal::NotServed | Refusal::Malformed
        }
    )
}

impl Node {
    /// Everything that waits for `to` can be offered now.
    pub(crate) fn messages_due_to(&mut self, to: &PrincipalId) {
        if let Some(peer) = self.messaging.peers.get_mut(to) {
            peer.not_before = Instant(0);
            peer.tries = 0;
            peer.unreachable = false;
        }
        self.left_due_to(to);
    }

    /// Whether a message or a receipt waits for somebody.
    pub(crate) fn waits_for(&self, to: &PrincipalId) -> bool {
        self.messaging.peers.contains_key(to)
    }

    /// Whether a message is being offered.
    pub(super) fn is_in_flight(&self, id: &RandomId) -> bool {
        let mut sending = self.messaging.sending.values();
        sending.any(|sending| matches!(sending, Sending::Message { id: sent, .. } if sent == id))
    }

    /// Offers what is due.
    pub(super) fn send_due(&mut self) {
        let now = self.clock.instant;
        let all: Vec<PrincipalId> = self.messaging.peers.keys().copied().collect();
        for to in all {
            if let Some(peer) = self.messaging.peers.get_mut(&to) {
                let again: Vec<u64> = peer
                    .taken
                    .iter()
                    .filter(|(_, taken)| taken.again <= now)
                    .map(|(number, _)| *number)
                    .collect();
                for number in again {
                    if let Some(taken) = peer.taken.remove(&number) {
                        peer.waiting.insert(number, taken.id);
                    }
                }
                if peer.is_idle() {
                    self.messaging.peers.remove(&to);
                    continue;
                }
            }
            self.send_to(&to);
            self.leave_waiting(&to);
        }
    }

    /// When [`send_due`](Self::send_due) has something to do next.
    pub(super) fn next_send(&self) -> Option<Instant> {
        let full = self.messaging.sending.len() >= MESSAGES_IN_FLIGHT;
        let peers = self.messaging.peers.values();
        peers
            .flat_map(|peer| {
                let offer = peer.next_offer(&self.messaging.left).filter(|_| !full);
                let again = peer.taken.values().map(|taken| taken.again).min();
                [offer, again]
            })
            .flatten()
            .min()
    }

    fn send_to(&mut self, to: &PrincipalId) {
        loop {
            let Some(peer) = self.messaging.peers.get(to) else {
                return;
            };
            let now = self.clock.instant;
            if peer.next_offer(&self.messaging.left).is_none_or(|at| at > now)
                || self.messaging.sending.len() >= MESSAGES_IN_FLIGHT
            {
                return;
            }
            let sent = if peer.wants_to_confirm() && peer.gather_until <= now {
                self.send_receipts(to)
            } else {
                let first = peer.waiting.first_key_value().map(|(number, id)| (*number, *id));
                first.is_some_and(|(number, id)| self.send_message(to, number, id))
            };
            if !sent {
                self.send_later(to);
                return;
            }
        }
    }

    /// Offers one message. False if it cannot be offered now.
    fn send_message(&mut self, to: &PrincipalId, number: u64, id: RandomId) -> bool {
        let Some(row) = self.disk.outbox.get(&id).cloned() else {
            if let Some(peer) = self.messaging.peers.get_mut(to) {
                peer.forget(number);
            }
            return true;
        };
        let Some((node, addresses)) = self.node_of(to) else {
            self.only_by_mailbox(to);
            return false;
        };
        let Some(sealed) = self.sealed(&row) else {
            return false;
        };
        let Some((request, direct)) = self.carried(to, node, sealed.packet) else {
            return false;
        };
        if let Some(peer) = self.messaging.peers.get_mut(to) {
            peer.waiting.remove(&number);
            peer.in_flight.insert(number, id);
        }
        let sending = Sending::Message {
            to: *to,
            number,
            id,
            session: sealed.session,
            direct,
        };
        self.exchange(sending, node, addresses, request);
        true
    }

    fn exchange(&mut self, sending: Sending, to: NodeId, addresses: Vec<Address>, request: Request) {
        let exchange = ExchangeId(self.next_id());
        self.messaging.sending.insert(exchange, sending);
        self.step.effect(Effect::Request {
            exchange,
            to,
            addresses,
            request,
        });
    }

    /// Their card names no node: what is for them is left in their mailboxes.
    fn only_by_mailbox(&mut self, to: &PrincipalId) {
        if let Some(peer) = self.messaging.peers.get_mut(to) {
            peer.unreachable = true;
        }
    }

    /// An Olm message as it goes over a connection: as it is, once the two devices have proven themselves on it; in an envelope
    /// before that, and whenever it begins a session. The second says which.
    fn carried(&mut self, to: &PrincipalId, node: NodeId, packet: OlmPacket) -> Option<(Request, bool)> {
        let device = self.card_of(to)?.bundle.device;
        if packet.identity.is_none()
            && self.is_proven(node, *to, device)
            && let Some(packet) = packet.to_padded()
        {
            return Some((Request::Direct { packet }, true));
        }
        self.begin_hello(*to, node);
        let envelope = self.seal_content(to, &Content::Olm(packet).to_bytes())?;
        let admission = Admission::Open;
        Some((Request::Deliver { admission, envelope }, false))
    }

    /// The message as it is sent: encrypted at the first try, and the same bytes at each later one.
    pub(super) fn sealed(&mut self, row: &OutboxRow) -> Option<SealedRow> {
        let device = self.card_of(&row.message.to)?.bundle.device;
        let sealed = self.disk.sealed.get(&row.message.id);
        if let Some(sealed) = sealed.filter(|sealed| sealed.session.device == device) {
            return Some(sealed.clone());
        }
        let conversation = self.disk.conversations.get(&row.message.to);
        let gone = conversation.map_or_else(Vec::new, |conversation| {
            let newest = conversation.gone.iter().rev().take(GONE);
            newest.map(|(gone, _)| *gone).collect()
        });
        let body = PlaintextBody::Message(Box::new(row.message.clone()));
        let (session, packet) = self.encrypt(&row.message.to, gone, body)?;
        let sealed = SealedRow {
            id: row.message.id,
            session,
            packet,
        };
        self.write(Write::PutSealed(sealed.clone()));
        Some(sealed)
    }

    /// Encrypts for the device in a contact's card. What of the session was used up is written with it.
    fn encrypt(&mut self, to: &PrincipalId, gone: Vec<Gone>, body: PlaintextBody) -> Option<(SessionKey, OlmPacket)> {
        let card = self.card_of(to)?.clone();
        let device = card.bundle.device;
        let session = match self.session_to_write(&device) {
            Some(row) => row,
            None => {
                let mut keys = card.bundle.olm?;
                let contact = self.disk.contacts.get(to).filter(|contact| contact.one_time.is_some());
                if let Some(contact) = contact.cloned() {
                    keys.fallback = contact.one_time.unwrap_or(keys.fallback);
                    self.put_contact(ContactRow {
                        one_time: None,
                        ..contact
                    });
                }
                let account = self.disk.account.as_ref()?;
                session::begin(account, *to, device, &keys, self.clock.unix)
                    .inspect_err(|error| tracing::warn!(%error, "no session begins with a contact's device"))
                    .ok()?
            }
        };
        let identity = &self.disk.identity;
        let plaintext = Plaintext {
            from: identity.principal,
            from_device: identity.device.id(),
            to: *to,
            to_device: device,
            gone,
            body,
        };
        let (session, message) = session::write(&session, &plaintext.to_bytes())
            .inspect_err(|error| tracing::error!(%error, "a session cannot be written with"))
            .ok()?;
        let key = self.disk.account.as_ref()?.identity;
        let packet = OlmPacket {
            device: identity.device.id(),
            identity: is_pre_key(&message).then(|| OlmIdentity::sign(key, &identity.device, &identity.devices)),
            message,
        };
        let key = session.key;
        self.keep_session(session);
        Some((key, packet))
    }

    /// The session to write to a device with: the one that was heard last, so that both ends come to use the same one.
    fn session_to_write(&self, device: &DeviceId) -> Option<SessionRow> {
        self.sessions_with(device)
            .filter(|row| !row.broken)
            .max_by_key(|row| (row.heard, row.began, row.key))
            .cloned()
    }

    /// All sessions with a device.
    pub(super) fn sessions_with(&self, device: &DeviceId) -> impl Iterator<Item = &SessionRow> + use<'_> {
        let from = SessionKey {
            device: *device,
            session: [0; 32],
        };
        let to = SessionKey {
            device: *device,
            session: [0xff; 32],
        };
        self.disk.sessions.range(from..=to).map(|(_, row)| row)
    }

    /// Writes a session, and drops those with the same device that were not heard for longest, if there are too many.
    pub(super) fn keep_session(&mut self, row: SessionRow) {
        let key = row.key;
        self.write(Write::PutSession(row));
        let mut rows: Vec<(bool, Option<_>, _, SessionKey)> = self
            .sessions_with(&key.device)
            .filter(|row| row.key != key)
            .map(|row| (!row.broken, row.heard, row.began, row.key))
            .collect();
        rows.sort_unstable();
        let over = (rows.len() + 1).saturating_sub(SESSIONS_EACH);
        for (_, _, _, key) in rows.into_iter().take(over) {
            self.write(Write::DeleteSession(key));
        }
    }

    /// Offers receipts. False if they cannot be offered now.
    fn send_receipts(&mut self, to: &PrincipalId) -> bool {
        if self.disk.conversations.get(to).is_none_or(|row| row.owed.is_empty()) {
            if let Some(peer) = self.messaging.peers.get_mut(to) {
                peer.owes = false;
            }
            return true;
        }
        let Some((node, addresses)) = self.node_of(to) else {
            self.only_by_mailbox(to);
            return false;
        };
        let Some((receipts, session, packet)) = self.pack_receipts(to) else {
            return false;
        };
        let Some((request, direct)) = self.carried(to, node, packet) else {
            return false;
        };
        if let Some(peer) = self.messaging.peers.get_mut(to) {
            peer.owing = true;
        }
        let sending = Sending::Receipts {
            to: *to,
            receipts,
            session,
            direct,
        };
        self.exchange(sending, node, addresses, request);
        true
    }

    /// Receipts that are owed, as many as one Olm message takes, encrypted.
    pub(super) fn pack_receipts(&mut self, to: &PrincipalId) -> Option<(Owed, SessionKey, OlmPacket)> {
        let owed = &self.disk.conversations.get(to)?.owed;
        let receipts = Owed {
            delivered: owed.delivered.iter().copied().take(RECEIPTS).collect(),
            read: owed.read.iter().copied().take(RECEIPTS).collect(),
        };
        let written = self.messaging.peers.get(to).and_then(|peer| peer.written.as_ref());
        if let Some((_, session, packet)) = written.filter(|(of, _, _)| *of == receipts)
            && self.disk.sessions.get(session).is_some_and(|row| !row.broken)
        {
            return Some((receipts, *session, packet.clone()));
        }
        let body = PlaintextBody::Receipts(Receipts {
            delivered: receipts.delivered.iter().copied().collect(),
            read: receipts.read.iter().copied().collect(),
        });
        let (session, packet) = self.encrypt(to, Vec::new(), body)?;
        let written = (receipts, session, packet);
        if let Some(peer) = self.messaging.peers.get_mut(to) {
            peer.written = Some(written.clone());
        }
        Some(written)
    }

    /// Waits before the next try: twice as long each time, with jitter; and asks where the recipient is now.
    fn send_later(&mut self, to: &PrincipalId) {
        if let Some(peer) = self.messaging.peers.get_mut(to) {
            let wait = backoff(peer.tries, RETRY_LAST, &mut self.rng);
            peer.tries = peer.tries.saturating_add(1);
            peer.not_before = self.clock.instant.plus(wait);
        }
        self.ask_for_card(to);
    }

    /// One of our exchanges about messages was answered. False if it was none of those.
    pub(crate) fn on_message_response(&mut self, exchange: ExchangeId, response: &Response) -> bool {
        let Some(sending) = self.messaging.sending.remove(&exchange) else {
            return false;
        };
        let (Sending::Message { to, .. } | Sending::Receipts { to, .. }) = &sending;
        // Who is there and has no room for it may have some in a mailbox.
        let has_no_room = matches!(
            response,
            Response::Refused {
                reason: Refusal::TooMany | Refusal::Full
            }
        );
        if let Some(peer) = self.messaging.peers.get_mut(to) {
            peer.unreachable = has_no_room;
            if matches!(sending, Sending::Receipts { .. }) {
                peer.written = None;
            }
        }
        if sending.is_direct() && is_unproven(response) {
            // It goes in an envelope next time.
            self.doubt(&sending);
            return true;
        }
        match sending {
            Sending::Message {
                to,
                number,
                id,
                session,
                ..
            } => self.on_message_answered(&to, number, id, session, response),
            Sending::Receipts {
                to, receipts, session, ..
            } => self.on_receipts_answered(&to, &receipts, session, response),
        }
        true
    }

    /// The other side does not take us for proven on this connection.
    fn doubt(&mut self, sending: &Sending) {
        let (Sending::Message { to, .. } | Sending::Receipts { to, .. }) = sending;
        if let Some((node, _)) = self.node_of(to) {
            self.doubt_hello(node);
        }
        if let Some(peer) = self.messaging.peers.get_mut(to) {
            match sending {
                Sending::Message { number, id, .. } => {
                    if peer.in_flight.remove(number).is_some() {
                        peer.waiting.insert(*number, *id);
                    }
                }
                Sending::Receipts { .. } => peer.owing = false,
            }
        }
    }

    /// One of our exchanges about messages will not be answered. False if it was none of those.
    pub(crate) fn on_message_failed(&mut self, exchange: ExchangeId, perhaps_processed: bool) -> bool {
        let Some(sending) = self.messaging.sending.remove(&exchange) else {
            return false;
        };
        let (Sending::Message { to, .. } | Sending::Receipts { to, .. }) = &sending;
        if let Some(peer) = self.messaging.peers.get_mut(to) {
            peer.unreachable = true;
            if perhaps_processed {
                peer.written = None;
            }
        }
        match sending {
            Sending::Message { to, number, id, .. } => self.offer_again(&to, number, id),
            Sending::Receipts { to, .. } => {
                if let Some(peer) = self.messaging.peers.get_mut(&to) {
                    peer.owing = false;
                }
                self.back_off(&to);
            }
        }
        true
    }

    fn offer_again(&mut self, to: &PrincipalId, number: u64, id: RandomId) {
        if let Some(peer) = self.messaging.peers.get_mut(to)
            && peer.in_flight.remove(&number).is_some()
        {
            peer.waiting.insert(number, id);
        }
        self.back_off(to);
    }

    /// Several exchanges that fail together are one failure.
    fn back_off(&mut self, to: &PrincipalId) {
        let waits = self
            .messaging
            .peers
            .get(to)
            .is_some_and(|peer| peer.not_before > self.clock.instant);
        if !waits {
            self.send_later(to);
        }
    }

    fn on_message_answered(
        &mut self,
        to: &PrincipalId,
        number: u64,
        id: RandomId,
        session: SessionKey,
        response: &Response,
    ) {
        match response {
            Response::Delivered {} => self.on_message_taken(to, number, id),
            Response::Refused { reason } => match reason {
                Refusal::CannotOpen => {
                    self.give_up_session(to, session);
                    self.offer_again(to, number, id);
                }
                // They may not have read our introduction yet.
                Refusal::NotAdmitted if self.is_introducing(to) => self.offer_again(to, number, id),
                Refusal::NotAdmitted => self.finish(&id, MessageState::Failed(FailureReason::NotAdmitted)),
                Refusal::Blocked => self.finish(&id, MessageState::Failed(FailureReason::Refused)),
                Refusal::Invalid => self.finish(&id, MessageState::Failed(FailureReason::Invalid)),
                Refusal::InviteUsedUp
                | Refusal::InviteExpired
                | Refusal::Outdated
                | Refusal::Full
                | Refusal::TooMany
                | Refusal::NotServed
                | Refusal::Malformed
                | Refusal::Stamp
                | Refusal::Time
                | Refusal::Size
                | Refusal::Quota
                | Refusal::NoMailbox => self.offer_again(to, number, id),
            },
            Response::Hello { .. }
            | Response::Proof { .. }
            | Response::RecordKept {}
            | Response::Record { .. }
            | Response::RelayList { .. }
            | Response::MailboxStored { .. }
            | Response::MailboxRegistered { .. }
            | Response::MailboxList { .. }
            | Response::MailboxEnvelopes { .. }
            | Response::MailboxDone {} => self.offer_again(to, number, id),
        }
    }

    /// Their node has it on disk. Only a receipt says so end to end; it is offered again if none comes.
    fn on_message_taken(&mut self, to: &PrincipalId, number: u64, id: RandomId) {
        let now = self.clock.instant;
        let Messaging { peers, left, .. } = &mut self.messaging;
        let Some(peer) = peers.get_mut(to) else {
            return;
        };
        peer.tries = 0;
        if peer.in_flight.remove(&number).is_none() {
            // The receipt was faster.
            return;
        }
        let times = peer.times.entry(number).or_default();
        let wait = RECEIPT_WAIT
            .saturating_mul(1 << (*times).min(10))
            .min(RECEIPT_WAIT_LAST);
        *times = times.saturating_add(1);
        let again = now.plus(wait);
        let taken = Taken { id, again, there: true };
        peer.taken.insert(number, taken);
        peer.is_there(number, left);
        if let Some(mut row) = self.disk.outbox.get(&id).cloned()
            && row.state == MessageState::Queued
        {
            row.state = MessageState::Sent;
            self.write(Write::PutOutbox(row.clone()));
            self.tell_state(&row);
        }
    }

    fn on_receipts_answered(&mut self, to: &PrincipalId, sent: &Owed, session: SessionKey, response: &Response) {
        let Some(peer) = self.messaging.peers.get_mut(to) else {
            return;
        };
        peer.owing = false;
        match response {
            Response::Delivered {} => {
                peer.tries = 0;
                self.confirm_receipts(to, sent);
            }
            Response::Refused {
                reason: Refusal::CannotOpen,
            } => {
                self.give_up_session(to, session);
                self.back_off(to);
            }
            // They want nothing of us: nor do they need to know what came.
            Response::Refused {
                reason: Refusal::NotAdmitted | Refusal::Blocked | Refusal::Invalid,
            } => self.confirm_receipts(to, sent),
            Response::Refused { .. }
            | Response::Hello { .. }
            | Response::Proof { .. }
            | Response::RecordKept {}
            | Response::Record { .. }
            | Response::RelayList { .. }
            | Response::MailboxStored { .. }
            | Response::MailboxRegistered { .. }
            | Response::MailboxList { .. }
            | Response::MailboxEnvelopes { .. }
            | Response::MailboxDone {} => self.back_off(to),
        }
    }

    pub(super) fn confirm_receipts(&mut self, to: &PrincipalId, sent: &Owed) {
        let Some(mut row) = self.disk.conversations.get(to).cloned() else {
            return;
        };
        let less = |owed: &BTreeSet<RandomId>, sent: &BTreeSet<RandomId>| owed.difference(sent).copied().collect();
        row.owed = Owed {
            delivered: less(&row.owed.delivered, &sent.delivered),
            read: less(&row.owed.read, &sent.read),
        };
        if let Some(peer) = self.messaging.peers.get_mut(to) {
            peer.owes = !row.owed.is_empty();
        }
        self.write(Write::PutConversation(row));
    }

    /// The other side cannot open what was written with a session: what waits is encrypted anew with another one. It may have
    /// lost the session, or have been restored from an old copy. Sessions are not given up in quick succession, since each
    /// new one begins with a key that is not replaced for days.
    fn give_up_session(&mut self, to: &PrincipalId, key: SessionKey) {
        let now = self.clock.instant;
        if self.disk.sessions.get(&key).is_some_and(|row| row.broken) {
            return;
        }
        let lately = self.messaging.resets.get(&key.device);
        if lately.is_some_and(|at| now.since(*at) < RESET_SPACING) {
            return;
        }
        tracing::info!("a contact's device cannot open what a session writes; another one begins");
        self.messaging.resets.insert(key.device, now);
        // Others that are older may be lost there, too: one that begins now is not.
        let rows: Vec<SessionRow> = self.sessions_with(&key.device).cloned().collect();
        for row in rows {
            self.write(Write::PutSession(SessionRow { broken: true, ..row }));
        }
        let stale: Vec<RandomId> = self
            .disk
            .sealed
            .values()
            .filter(|sealed| sealed.session.device == key.device)
            .map(|sealed| sealed.id)
            .collect();
        for id in stale {
            self.write(Write::DeleteSealed(id));
            // What was left cannot be opened either.
            self.take_out(&id, false);
        }
        if let Some(peer) = self.messaging.peers.get_mut(to) {
            let taken = std::mem::take(&mut peer.taken);
            peer.waiting
                .extend(taken.into_iter().map(|(number, taken)| (number, taken.id)));
        }
        self.ask_for_card(to);
    }

    pub(super) fn is_introducing(&self, to: &PrincipalId) -> bool {
        let mut letters = self.disk.letters.values();
        let waits = letters.any(|row| row.to == *to && matches!(row.body, LetterBody::Introduce { .. }));
        let contact = self.disk.contacts.get(to);
        waits || contact.is_some_and(|contact| contact.problem == Some(FirstContactProblem::Unreachable))
    }

    /// Receipts have come for messages of ours.
    pub(super) fn on_receipts(&mut self, from: &PrincipalId, receipts: &Receipts) {
        for id in &receipts.delivered {
            let ours = self.disk.outbox.get(id).is_some_and(|row| row.message.to == *from);
            if ours {
                self.finish(id, MessageState::Delivered);
            }
        }
        let Some(mut row) = self.disk.conversations.get(from).cloned() else {
            return;
        };
        let mut read = Vec::new();
        row.unread_there.retain(|(id, number)| {
            let is_read = receipts.read.contains(id);
            if is_read {
                read.push((*id, *number));
            }
            !is_read
        });
        if read.is_empty() {
            return;
        }
        self.write(Write::PutConversation(row));
        for (id, number) in read {
            self.tell_read(from, id, number);
        }
    }

    /// Owes a receipt.
    pub(super) fn owe_delivered(&mut self, row: &mut ConversationRow, id: RandomId) {
        row.owed.delivered.insert(id);
        while row.owed.delivered.len() > GONE_KEPT * 4 {
            // Whoever does not hear of the oldest offers it again, and then it is owed again.
            row.owed.delivered.pop_first();
        }
        let peer = self.messaging.peers.entry(row.principal).or_default();
        if !peer.owes && !peer.owing {
            peer.gather_until = self.clock.instant.plus(RECEIPTS_GATHER);
        } else if row.owed.delivered.len() >= RECEIPTS {
            peer.gather_until = self.clock.instant;
        }
        peer.owes = true;
    }
}
