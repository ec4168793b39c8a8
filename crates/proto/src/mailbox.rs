//! Our own mailboxes: having them at relays we are connected to, and taking out what is in them. An envelope is deleted at the
//! relay only after what it led to is on disk; a relay that repeats, withholds or loses envelopes can do no more than that.

use crate::clock::Instant;
use crate::input::ExchangeId;
use crate::limits::{
    COLLECT_AGAIN, COLLECT_EVERY, COLLECT_KEPT, COLLECT_ROUNDS, DAY, MAILBOX_LIFE, RELAY_PATIENCE, RETRY_FIRST,
    RETRY_LAST, STAMP_LIFE,
};
use crate::node::Node;
use crate::publication::Name;
use crate::rows::{InviteRow, MailboxRow};
use crate::step::{Effect, Write};
use porchlight_wire::card::Card;
use porchlight_wire::frame::{Refusal, Request, Response};
use porchlight_wire::hash::sha256;
use porchlight_wire::ids::{NodeAddress, NodeId, RandomId};
use porchlight_wire::limits::{MAILBOX_ANSWER_BYTES, MAILBOX_BATCH, MAILBOXES, VOUCHER_USES};
use porchlight_wire::mailbox::{
    Claim, Entry, Held, MailboxAddress, MailboxId, MailboxKey, Operation, Quota, SignedVoucher, StampBatch, Voucher,
    What, registration_challenge,
};
use porchlight_wire::stamp::{Class, Day, DayWork, Stamp, StampKey};
use porchlight_wire::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};

/// Stamps in an invite record for each use, so that one that goes wrong is not the last; and at most.
const INVITE_STAMPS: (u32, u32) = (2, 8);

/// How going to our mailboxes goes. Volatile: after a restart each is gone to as soon as its relay is connected.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    visits: BTreeMap<MailboxId, Visit>,
    exchanges: BTreeMap<ExchangeId, (MailboxId, Asked)>,
    /// Relays that would not have us, and until when they are not asked again.
    unwilling: BTreeMap<NodeId, Instant>,
    /// Work that is being done for registrations.
    work: BTreeMap<[u8; 32], (MailboxId, Day)>,
}

/// One mailbox, while its relay is connected.
#[derive(Debug, Default)]
struct Visit {
    not_before: Instant,
    tries: u32,
    /// Registered over this connection.
    registered: bool,
    /// A question is under way.
    busy: bool,
    /// Something arrived since it was last looked.
    again: bool,
    /// Something had to stay.
    stayed: bool,
    /// Something else was taken since: what stayed may have waited for that.
    moved: bool,
    /// Work that was done for it and not shown yet.
    work: Option<DayWork>,
    /// Work was shown.
    worked: bool,
    /// How often it was looked in this visit.
    rounds: u32,
    /// What was dealt with, or could not be had, in this visit.
    done: BTreeSet<u64>,
    /// Up to this number nothing more is to be had in this visit.
    after: u64,
}

#[derive(Debug)]
enum Asked {
    Register,
    List,
    Get(Vec<u64>),
    Delete,
    Close,
}

impl Node {
    /// Goes to those mailboxes that are due, and has new ones if there are too few.
    pub(crate) fn mailboxes_due(&mut self) {
        if self.config.mailboxes == 0 {
            return;
        }
        self.choose_relays();
        let now = self.clock.instant;
        let rows: Vec<MailboxRow> = self.disk.mailboxes.values().cloned().collect();
        for row in rows {
            if !self.connected.contains_key(&row.relay.node) {
                continue;
            }
            let visit = self.collector.visits.entry(row.mailbox).or_default();
            if visit.busy || visit.not_before > now {
                continue;
            }
            if visit.registered {
                visit.rounds = 0;
                visit.done.clear();
                visit.after = 0;
                self.look(&row);
            } else {
                self.register(&row);
            }
        }
    }

    /// When [`mailboxes_due`](Self::mailboxes_due) has something to do next.
    pub(crate) fn next_collection(&self) -> Option<Instant> {
        let connected = |row: &&MailboxRow| self.connected.contains_key(&row.relay.node);
        self.disk
            .mailboxes
            .values()
            .filter(connected)
            .filter_map(|row| match self.collector.visits.get(&row.mailbox) {
                None => Some(self.clock.instant),
                Some(visit) if visit.busy => None,
                Some(visit) => Some(visit.not_before),
            })
            .min()
    }

    /// Makes up for missing mailboxes at relays that are connected: those the user chose, then seed peers in their order.
    fn choose_relays(&mut self) {
        let (now, unix) = (self.clock.instant, self.clock.unix);
        let fresh = unix.plus(MAILBOX_LIFE - RELAY_PATIENCE);
        let gone: Vec<MailboxId> = self
            .disk
            .mailboxes
            .values()
            .filter(|row| row.until.is_some_and(|until| until <= unix))
            .filter(|row| !self.connected.contains_key(&row.relay.node))
            .map(|row| row.mailbox)
            .collect();
        for mailbox in gone {
            self.forget_own_mailbox(mailbox);
        }
        // One whose relay was not seen for days is kept, but does not count any more.
        let alive =
            self.disk.mailboxes.values().filter(|row| {
                self.connected.contains_key(&row.relay.node) || row.until.is_none_or(|until| until > fresh)
            });
        let mut missing = self.config.mailboxes.saturating_sub(alive.count());
        let mut room = MAILBOXES.saturating_sub(self.disk.mailboxes.len());
        self.collector.unwilling.retain(|_, until| *until > now);
        let chosen = self.disk.chosen_relays.iter().map(|relay| (relay, true));
        let seeds = self.config.seed_peers.iter().map(|relay| (relay, false));
        let candidates: Vec<(NodeAddress, bool)> = chosen
            .take(self.config.mailboxes)
            .chain(seeds)
            .filter(|(relay, _)| self.connected.get(&relay.node) == Some(&true))
            .filter(|(relay, _)| !self.collector.unwilling.contains_key(&relay.node))
            .map(|(relay, chosen)| (relay.clone(), chosen))
            .collect();
        for (relay, chosen) in candidates {
            // A chosen one takes the place of another, which is given up once this one is there.
            if room > 0 && (missing > 0 || chosen) && self.make_mailbox(relay, None) {
                missing = missing.saturating_sub(1);
                room -= 1;
            }
        }
    }

    /// This relay may be asked again.
    pub(crate) fn be_willing(&mut self, relay: NodeId) {
        self.collector.unwilling.remove(&relay);
    }

    /// The user does not want this relay: what is in our mailbox there is given up, and others have their own copies.
    pub(crate) fn leave_mailboxes_at(&mut self, relay: NodeId) {
        self.collector.unwilling.insert(relay, self.clock.instant.plus(DAY));
        let there = self.disk.mailboxes.values().filter(|row| row.relay.node == relay);
        let there: Vec<MailboxRow> = there.cloned().collect();
        for row in there {
            self.close_mailbox(&row);
        }
    }

    fn close_mailbox(&mut self, row: &MailboxRow) {
        self.operate_on(row, What::Close {}, Asked::Close);
        self.forget_own_mailbox(row.mailbox);
    }

    /// Whether there are enough mailboxes at relays that come before this one's.
    fn is_surplus(&self, mailbox: MailboxId) -> bool {
        let open = self.open_mailboxes().into_iter();
        let there = open.filter(|row| self.connected.contains_key(&row.relay.node));
        there.map(|row| row.mailbox).position(|other| other == mailbox) >= Some(self.config.mailboxes)
    }

    /// A new mailbox of ours, still to be registered. False if there is one at that relay.
    fn make_mailbox(&mut self, relay: NodeAddress, voucher: Option<SignedVoucher>) -> bool {
        if self.disk.mailboxes.values().any(|row| row.relay.node == relay.node) {
            return false;
        }
        let key = MailboxKey::random(&mut self.rng);
        let stamp_key = StampKey::random(&mut self.rng);
        self.write(Write::PutMailbox(MailboxRow {
            mailbox: key.id(),
            key,
            stamp_key,
            relay,
            voucher,
            until: None,
            quotas: Vec::new(),
        }));
        self.interest_changed = true;
        true
    }

    /// An invite's vouchers are for whoever has too few mailboxes of their own.
    pub(crate) fn use_vouchers(&mut self, vouchers: &[SignedVoucher], card: &Card) {
        for signed in vouchers {
            if self.disk.mailboxes.len() >= self.config.mailboxes {
                return;
            }
            let Ok(voucher) = signed.verify(self.clock.unix) else {
                continue;
            };
            let known = card.bundle.mailboxes.iter().find(|at| at.mailbox == voucher.by);
            if let Some(at) = known
                && at.relay.node == voucher.relay
            {
                self.make_mailbox(at.relay.clone(), Some(signed.clone()));
            }
        }
    }

    fn forget_own_mailbox(&mut self, mailbox: MailboxId) {
        self.write(Write::DeleteMailbox(mailbox));
        self.collector.visits.remove(&mailbox);
        self.collector.work.retain(|_, (of, _)| *of != mailbox);
        self.interest_changed = true;
        self.mailboxes_changed();
    }

    /// Where our mailboxes are stands in our card; stamps for them in the records of invites.
    fn mailboxes_changed(&mut self) {
        for (name, publication) in &mut self.publications {
            match name {
                Name::Card | Name::Invite(_) => publication.touch(),
                Name::View(_) | Name::Temporary(_) => {}
            }
        }
    }

    fn register(&mut self, row: &MailboxRow) {
        let Some(visit) = self.collector.visits.get_mut(&row.mailbox) else {
            return;
        };
        let claim = match (visit.work.take(), &row.voucher) {
            (Some(work), _) => {
                visit.worked = true;
                Claim::Work(work)
            }
            (None, Some(voucher)) if row.until.is_none() => Claim::Voucher(voucher.clone()),
            (None, _) => Claim::Known,
        };
        let stamp_key = row.stamp_key.clone();
        self.operate_on(row, What::Register { stamp_key, claim }, Asked::Register);
    }

    fn look(&mut self, row: &MailboxRow) {
        let mut after = 0;
        if let Some(visit) = self.collector.visits.get_mut(&row.mailbox) {
            visit.again = false;
            visit.rounds = visit.rounds.saturating_add(1);
            after = visit.after;
        }
        self.operate_on(row, What::List { after }, Asked::List);
    }

    fn operate_on(&mut self, row: &MailboxRow, what: What, asked: Asked) {
        let operation = Operation {
            mailbox: row.mailbox,
            owner: self.config.node,
            relay: row.relay.node,
            what,
        };
        let request = Request::Mailbox(operation.sign(&row.key));
        let exchange = ExchangeId(self.next_id());
        if let Some(visit) = self.collector.visits.get_mut(&row.mailbox) {
            visit.busy = true;
        }
        self.collector.exchanges.insert(exchange, (row.mailbox, asked));
        self.step.effect(Effect::Request {
            exchange,
            to: row.relay.node,
            addresses: vec![row.relay.address.clone()],
            request,
        });
    }

    /// A relay says that something has arrived.
    pub(crate) fn on_arrived(&mut self, from: NodeId, mailbox: MailboxId) -> Response {
        let known = self.disk.mailboxes.get(&mailbox);
        if known.is_none_or(|row| row.relay.node != from) {
            let reason = Refusal::NoMailbox;
            return Response::Refused { reason };
        }
        let soon = self.clock.instant.plus(COLLECT_AGAIN);
        if let Some(visit) = self.collector.visits.get_mut(&mailbox) {
            visit.again = true;
            // A relay that says so all the time makes us no busier than this.
            visit.not_before = visit.not_before.min(soon);
        }
        Response::MailboxDone {}
    }

    /// A relay is connected, or no longer.
    pub(crate) fn mailboxes_of(&mut self, relay: NodeId) {
        let at = self.disk.mailboxes.values().filter(|row| row.relay.node == relay);
        for row in at {
            self.collector.visits.remove(&row.mailbox);
        }
        let visits = &self.collector.visits;
        self.collector
            .exchanges
            .retain(|_, (mailbox, _)| visits.contains_key(mailbox));
    }

    /// A relay answered; false if it was about something else.
    pub(crate) fn on_mailbox_response(&mut self, exchange: ExchangeId, response: &Response) -> bool {
        let Some((mailbox, asked)) = self.collector.exchanges.remove(&exchange) else {
            return false;
        };
        let Some(row) = self.disk.mailboxes.get(&mailbox).cloned() else {
            return true;
        };
        if let Some(visit) = self.collector.visits.get_mut(&mailbox) {
            visit.busy = false;
        }
        match (asked, response) {
            (Asked::Register, Response::MailboxRegistered { until, quotas }) => self.registered(row, *until, quotas),
            (Asked::Register, Response::Refused { reason }) => self.not_registered(&row, *reason),
            (Asked::List, Response::MailboxList { entries, more }) => self.listed(&row, entries, *more),
            (Asked::Get(numbers), Response::MailboxEnvelopes { envelopes }) => self.got(&row, &numbers, envelopes),
            (Asked::Delete, Response::MailboxDone {}) => self.look_again(&row),
            (Asked::Close, _) => {}
            (Asked::List | Asked::Get(_) | Asked::Delete, Response::Refused { reason }) => {
                if matches!(reason, Refusal::NoMailbox)
                    && let Some(visit) = self.collector.visits.get_mut(&mailbox)
                {
                    // It has lost it, or was away for too long.
                    visit.registered = false;
                }
                self.collect_later(mailbox);
            }
            // Nonsense.
            (Asked::Register | Asked::List | Asked::Get(_) | Asked::Delete, _) => self.collect_later(mailbox),
        }
        true
    }

    /// A relay will not answer; false if it was about something else.
    pub(crate) fn on_mailbox_failed(&mut self, exchange: ExchangeId) -> bool {
        let Some((mailbox, _)) = self.collector.exchanges.remove(&exchange) else {
            return false;
        };
        if let Some(visit) = self.collector.visits.get_mut(&mailbox) {
            visit.busy = false;
        }
        self.collect_later(mailbox);
        true
    }

    fn collect_later(&mut self, mailbox: MailboxId) {
        let now = self.clock.instant;
        if let Some(visit) = self.collector.visits.get_mut(&mailbox) {
            let wait = RETRY_FIRST.saturating_mul(1 << visit.tries.min(10)).min(RETRY_LAST);
            visit.tries = visit.tries.saturating_add(1);
            visit.not_before = now.plus(wait);
        }
    }

    fn registered(&mut self, mut row: MailboxRow, until: UnixMillis, quotas: &[Quota]) {
        let now = self.clock.instant;
        if let Some(visit) = self.collector.visits.get_mut(&row.mailbox) {
            visit.registered = true;
            visit.tries = 0;
            visit.not_before = now;
            visit.worked = false;
        }
        let was_there = row.until.is_some_and(|until| until > self.clock.unix);
        // Whatever it promises, we come back before.
        row.until = Some(until.min(self.clock.unix.plus(MAILBOX_LIFE)));
        row.quotas = quotas.to_vec();
        self.write(Write::PutMailbox(row));
        if !was_there {
            self.mailboxes_changed();
        }
    }

    fn not_registered(&mut self, row: &MailboxRow, reason: Refusal) {
        let now = self.clock.instant;
        let Some(visit) = self.collector.visits.get_mut(&row.mailbox) else {
            return;
        };
        let may_work = match reason {
            Refusal::NotAdmitted | Refusal::Quota | Refusal::Time | Refusal::Stamp | Refusal::Invalid => !visit.worked,
            Refusal::Full | Refusal::TooMany | Refusal::Outdated | Refusal::CannotOpen => {
                return self.collect_later(row.mailbox);
            }
            Refusal::InviteUsedUp
            | Refusal::InviteExpired
            | Refusal::Blocked
            | Refusal::NotServed
            | Refusal::Malformed
            | Refusal::Size
            | Refusal::NoMailbox => false,
        };
        if may_work {
            let day = Day::of(self.clock.unix);
            let challenge = registration_challenge(&row.mailbox, &row.relay.node, day);
            let bits = self.config.network.mailbox_work_bits();
            if bits == 0 {
                visit.work = Some(DayWork { day, nonce: 0 });
                visit.not_before = now;
                return;
            }
            // Nothing is to be done until the work is.
            visit.not_before = now.plus(DAY);
            self.collector.work.insert(challenge, (row.mailbox, day));
            self.step.effect(Effect::DayWork { challenge, bits });
            return;
        }
        self.collector.unwilling.insert(row.relay.node, now.plus(DAY));
        if row.until.is_none() {
            // Another relay may take its place.
            self.forget_own_mailbox(row.mailbox);
        } else {
            visit.not_before = now.plus(DAY);
        }
    }

    /// Work for a registration is done; false if it was for something else.
    pub(crate) fn on_registration_work(&mut self, challenge: &[u8; 32], nonce: u64) -> bool {
        let Some((mailbox, day)) = self.collector.work.remove(challenge) else {
            return false;
        };
        let now = self.clock.instant;
        if let Some(visit) = self.collector.visits.get_mut(&mailbox) {
            visit.work = Some(DayWork { day, nonce });
            visit.not_before = now;
        }
        true
    }

    /// A relay says what is in a mailbox, or a part of it.
    fn listed(&mut self, row: &MailboxRow, entries: &[Entry], more: bool) {
        let Some(visit) = self.collector.visits.get_mut(&row.mailbox) else {
            return;
        };
        let mut room = MAILBOX_ANSWER_BYTES;
        let mut numbers = Vec::new();
        for entry in entries.iter().filter(|entry| !visit.done.contains(&entry.number)) {
            let bytes = usize::try_from(entry.bytes).unwrap_or(usize::MAX);
            if numbers.len() >= MAILBOX_BATCH || bytes > room {
                break;
            }
            room -= bytes;
            numbers.push(entry.number);
        }
        if visit.rounds > COLLECT_ROUNDS {
            // There may be more than that: it is gone to again, after a pause that a relay without end cannot shorten.
            visit.again |= !numbers.is_empty();
            return self.visited(row.mailbox);
        }
        let last = entries.iter().map(|entry| entry.number).max();
        if numbers.is_empty()
            && more
            && let Some(last) = last.filter(|last| *last > visit.after)
        {
            // All of these have to stay, or cannot be had; what comes after them may be.
            visit.after = last;
            return self.look(row);
        }
        if numbers.is_empty() {
            self.visited(row.mailbox);
            if entries.is_empty() && self.is_surplus(row.mailbox) {
                self.close_mailbox(row);
            }
            return;
        }
        let what = What::Get {
            numbers: numbers.clone(),
        };
        self.operate_on(row, what, Asked::Get(numbers));
    }

    /// Envelopes came. What each leads to is written in this step, and the step's effects, which delete it, follow that.
    fn got(&mut self, row: &MailboxRow, asked: &[u64], envelopes: &[Held]) {
        let mut finished = Vec::new();
        for held in envelopes {
            let wanted = asked.contains(&held.number) && !finished.contains(&held.number);
            if !wanted {
                continue;
            }
            if self.take_from_mailbox(&held.envelope) {
                finished.push(held.number);
            } else if let Some(visit) = self.collector.visits.get_mut(&row.mailbox) {
                visit.stayed = true;
            }
        }
        if let Some(visit) = self.collector.visits.get_mut(&row.mailbox) {
            visit.moved |= visit.stayed && !finished.is_empty();
            // What did not come now is asked for in the next visit.
            visit.done.extend(asked);
        }
        if finished.is_empty() {
            return self.look_again(row);
        }
        let what = What::Delete { numbers: finished };
        self.operate_on(row, what, Asked::Delete);
    }

    fn look_again(&mut self, row: &MailboxRow) {
        if self.collector.visits.contains_key(&row.mailbox) {
            self.look(row);
        }
    }

    /// There is nothing more to be had now.
    fn visited(&mut self, mailbox: MailboxId) {
        let now = self.clock.instant;
        if let Some(visit) = self.collector.visits.get_mut(&mailbox) {
            let moved = std::mem::take(&mut visit.moved);
            let wait = match (visit.again || moved, std::mem::take(&mut visit.stayed)) {
                (true, _) => COLLECT_AGAIN,
                (false, true) => COLLECT_KEPT,
                (false, false) => COLLECT_EVERY,
            };
            visit.tries = 0;
            visit.not_before = now.plus(wait);
            visit.done.clear();
        }
    }

    /// Whether the relay has answered, over the connection that there is, that it keeps this mailbox.
    pub(crate) fn is_registered(&self, mailbox: MailboxId) -> bool {
        let visit = self.collector.visits.get(&mailbox);
        visit.is_some_and(|visit| visit.registered)
    }

    /// Our mailboxes that others may use, those at chosen relays first.
    fn open_mailboxes(&self) -> Vec<&MailboxRow> {
        let now = self.clock.unix;
        let order: Vec<NodeId> = self
            .disk
            .chosen_relays
            .iter()
            .chain(&self.config.seed_peers)
            .map(|relay| relay.node)
            .collect();
        let rank = |row: &MailboxRow| order.iter().position(|node| *node == row.relay.node);
        let open = self.disk.mailboxes.values();
        let mut open: Vec<&MailboxRow> = open.filter(|row| row.until.is_some_and(|until| until > now)).collect();
        open.sort_by_key(|row| rank(row).unwrap_or(usize::MAX));
        open.truncate(MAILBOXES);
        open
    }

    /// What our card says of our mailboxes.
    pub(crate) fn mailbox_addresses(&self) -> Vec<MailboxAddress> {
        let open = self.open_mailboxes().into_iter();
        open.map(|row| MailboxAddress {
            mailbox: row.mailbox,
            relay: row.relay.clone(),
        })
        .collect()
    }

    /// New stamps for each of our mailboxes, to be handed to one contact.
    pub(crate) fn mint_stamps(&mut self, each: usize) -> Vec<StampBatch> {
        let day = Day::of(self.clock.unix.plus(STAMP_LIFE));
        let keys: Vec<(MailboxId, StampKey)> = self
            .open_mailboxes()
            .into_iter()
            .map(|row| (row.mailbox, row.stamp_key.clone()))
            .collect();
        keys.into_iter()
            .map(|(mailbox, key)| {
                let nonces = (0..each).map(|_| *self.random_id().as_bytes());
                let stamps = nonces.map(|nonce| key.mint(&mailbox, nonce, day, Class::Contact));
                let stamps = stamps.collect();
                StampBatch { mailbox, stamps }
            })
            .collect()
    }

    /// The stamps in the record of an invite: the same each time it is made.
    pub(crate) fn invite_stamps(&self, invite: &InviteRow) -> Vec<StampBatch> {
        let count = invite.uses_left().saturating_mul(INVITE_STAMPS.0).min(INVITE_STAMPS.1);
        let day = Day::of(invite.expires);
        let stamps = |row: &MailboxRow| -> Vec<Stamp> {
            let nonces = (0..count).map(|number| derived(invite, row.mailbox, "stamp", number));
            let minted = nonces.map(|nonce| row.stamp_key.mint(&row.mailbox, nonce, day, Class::Invited));
            minted.collect()
        };
        self.open_mailboxes()
            .into_iter()
            .map(|row| StampBatch {
                mailbox: row.mailbox,
                stamps: stamps(row),
            })
            .filter(|batch| !batch.stamps.is_empty())
            .collect()
    }

    /// The vouchers in the record of an invite: the same each time it is made.
    pub(crate) fn invite_vouchers(&self, invite: &InviteRow) -> Vec<SignedVoucher> {
        let uses = u8::try_from(invite.uses).unwrap_or(u8::MAX).min(VOUCHER_USES);
        if invite.uses_left() == 0 {
            return Vec::new();
        }
        let open = self.open_mailboxes().into_iter();
        open.map(|row| {
            let voucher = Voucher {
                by: row.mailbox,
                relay: row.relay.node,
                id: RandomId::from_bytes(derived(invite, row.mailbox, "voucher", 0)),
                uses,
                until: invite.expires,
            };
            voucher.sign(&row.key)
        })
        .collect()
    }
}

/// Sixteen bytes for an invite that are the same each time, and tell nothing to who does not know its token.
fn derived(invite: &InviteRow, mailbox: MailboxId, what: &str, number: u32) -> [u8; 16] {
    let token = invite.token.as_bytes();
    let parts = [what.as_bytes(), &[0], token, mailbox.as_bytes(), &number.to_be_bytes()];
    let mut bytes = [0; 16];
    bytes.copy_from_slice(sha256(&parts.concat()).split_at(16).0);
    bytes
}
