//! Leaving envelopes in the mailboxes of others. Whatever is to reach a contact who cannot be reached hands over an item and a
//! way to seal it; what comes of it is told by `letter_stored` and `batch_stored`. Knows nothing of what is inside.

use crate::clock::Instant;
use crate::input::ExchangeId;
use crate::limits::{
    DAY, KEPT_LEAST, PARCEL_LIFE, PARCEL_WORKS, PARCELS, PARCELS_IN_FLIGHT, POST_RETRY_LAST, RECEIPT_TRIES,
    STAMPS_KEPT, STAMPS_LOW,
};
use crate::node::Node;
use crate::retry::{Attempts, backoff};
use crate::rows::{BatchContents, Item, ParcelRow, StampsRow};
use crate::step::{Effect, Write};
use porchlight_wire::frame::{Admission, Refusal, Request, Response};
use porchlight_wire::ids::{NodeId, PrincipalId, RandomId};
use porchlight_wire::letter::LetterBody;
use porchlight_wire::limits::MAILBOXES;
use porchlight_wire::mailbox::{MailboxAddress, MailboxId, Pass, StampBatch};
use porchlight_wire::stamp::{Day, DayWork, Stamp, deposit_challenge};
use porchlight_wire::time::UnixMillis;
use rand_core::Rng;
use std::collections::{BTreeMap, BTreeSet};

/// How leaving the parcels goes. Volatile: after a restart each that is not stored is due at once.
#[derive(Debug, Default)]
pub(crate) struct Post {
    attempts: Attempts<RandomId>,
    exchanges: BTreeMap<ExchangeId, RandomId>,
    /// Work that is being done, and for which parcel and day.
    work: BTreeMap<[u8; 32], (RandomId, Day)>,
    /// Mailboxes that are not there, and until when nobody looks again.
    missing: BTreeMap<MailboxId, Instant>,
    /// When contacts were asked for stamps.
    asked: BTreeMap<PrincipalId, Instant>,
}

impl Node {
    /// Leaves an item in so many mailboxes of `to`, except in those in which it is. `seal` makes one envelope for each: two relays
    /// that compare theirs see nothing in common.
    pub(crate) fn post(
        &mut self,
        item: Item,
        batch: Option<&BatchContents>,
        (to, copies): (PrincipalId, usize),
        mut seal: impl FnMut(&mut Self) -> Option<Vec<u8>>,
    ) {
        let mut usable = self.usable_mailboxes(&to);
        usable.truncate(copies);
        for at in usable {
            let there = self.parcels_of(item).any(|parcel| parcel.at.mailbox == at.mailbox);
            if there || self.disk.parcels.len() >= PARCELS {
                continue;
            }
            let Some(envelope) = seal(self) else {
                continue;
            };
            let pass = self.take_stamp(&to, at.mailbox).map(Pass::Stamp);
            let id = self.random_id();
            self.write(Write::PutParcel(ParcelRow {
                id,
                item,
                batch: batch.cloned(),
                to,
                at,
                pass,
                envelope: envelope.into(),
                stored: None,
            }));
        }
    }

    /// The mailboxes of `to` that something can be left in.
    fn usable_mailboxes(&mut self, to: &PrincipalId) -> Vec<MailboxAddress> {
        let now = self.clock.instant;
        self.post.missing.retain(|_, until| *until > now);
        let known = self
            .card_of(to)
            .map_or(&[][..], |card| card.bundle.mailboxes.as_slice());
        let usable = known.iter().filter(|at| !self.post.missing.contains_key(&at.mailbox));
        usable.cloned().collect()
    }

    /// Whether something can be left for `to` now.
    pub(crate) fn can_post(&mut self, to: &PrincipalId) -> bool {
        // Letters have room of their own.
        let batches = self.disk.parcels.values().filter(|parcel| parcel.batch.is_some());
        batches.count() < PARCELS / 2 && !self.usable_mailboxes(to).is_empty()
    }

    /// Whether an item is on its way to mailboxes, and stored in all of those.
    pub(crate) fn is_stored(&self, item: Item) -> bool {
        let mut parcels = self.parcels_of(item).peekable();
        parcels.peek().is_some() && parcels.all(|parcel| parcel.stored.is_some())
    }

    /// An item needs not be left anywhere any more. Copies that are stored stay where they are: their recipient knows them.
    pub(crate) fn drop_parcels(&mut self, item: Item) {
        let ids: Vec<RandomId> = self.parcels_of(item).map(|parcel| parcel.id).collect();
        for id in ids {
            self.drop_parcel(id);
        }
    }

    fn drop_parcel(&mut self, id: RandomId) {
        self.write(Write::DeleteParcel(id));
        self.post.attempts.forget(&id);
        self.post.work.retain(|_, (of, _)| *of != id);
    }

    /// The mailboxes in which an item is stored: at which relays, and until when at one of them at least.
    pub(crate) fn stored_at(&self, item: Item) -> Option<(BTreeSet<NodeId>, UnixMillis)> {
        let stored = self
            .parcels_of(item)
            .filter_map(|parcel| Some((parcel.at.relay.node, parcel.stored?)));
        let (relays, until): (BTreeSet<NodeId>, Vec<UnixMillis>) = stored.unzip();
        Some((relays, until.into_iter().max()?))
    }

    /// Whether an item is on its way to a mailbox, or in one.
    pub(crate) fn is_posted(&self, item: Item) -> bool {
        self.parcels_of(item).next().is_some()
    }

    fn parcels_of(&self, item: Item) -> impl Iterator<Item = &ParcelRow> {
        self.disk.parcels.values().filter(move |parcel| parcel.item == item)
    }

    /// Offers the parcels that are due.
    pub(crate) fn parcels_due(&mut self) {
        let now = self.clock.instant;
        let over: Vec<(RandomId, Item)> = self
            .disk
            .parcels
            .values()
            .filter(|parcel| parcel.stored.is_some_and(|until| until <= self.clock.unix))
            .map(|parcel| (parcel.id, parcel.item))
            .collect();
        for (id, item) in over {
            // Nobody fetched it in time: it is left anew, with another stamp.
            self.drop_parcel(id);
            match item {
                Item::Letter(letter) => self.letter_due(&letter),
                Item::Batch(batch) => self.batch_not_stored(&batch),
            }
        }
        let firsts = self.first_of_each_mailbox();
        let waiting: Vec<ParcelRow> = self
            .disk
            .parcels
            .values()
            .filter(|parcel| parcel.stored.is_none() && is_next(parcel, &firsts))
            .filter(|parcel| self.post.attempts.is_due(&parcel.id, now))
            .cloned()
            .collect();
        for parcel in waiting {
            match &parcel.pass {
                Some(pass) if self.post.exchanges.len() < PARCELS_IN_FLIGHT => {
                    let pass = pass.clone();
                    self.send_parcel(&parcel, pass);
                }
                Some(_) => {}
                None => self.work_for_parcel(parcel),
            }
        }
    }

    /// When [`parcels_due`](Self::parcels_due) has something to do next.
    pub(crate) fn next_parcel(&self) -> Option<Instant> {
        let full = self.post.exchanges.len() >= PARCELS_IN_FLIGHT;
        let busy = self.post.work.len() >= PARCEL_WORKS;
        let firsts = self.first_of_each_mailbox();
        self.disk
            .parcels
            .values()
            .filter_map(|parcel| {
                if let Some(until) = parcel.stored {
                    return Some(self.instant_of(until));
                }
                let blocked = if parcel.pass.is_some() { full } else { busy };
                let worked_on = self.post.work.values().any(|(id, _)| *id == parcel.id);
                if blocked || worked_on || !is_next(parcel, &firsts) {
                    return None;
                }
                self.post.attempts.next(&parcel.id, self.clock.instant)
            })
            .min()
    }

    /// Of batches that wait for one mailbox, the first.
    fn first_of_each_mailbox(&self) -> BTreeMap<MailboxId, u64> {
        let mut firsts = BTreeMap::new();
        for parcel in self.disk.parcels.values().filter(|parcel| parcel.stored.is_none()) {
            if let Some(batch) = &parcel.batch {
                let first = firsts.entry(parcel.at.mailbox).or_insert(batch.order);
                *first = batch.order.min(*first);
            }
        }
        firsts
    }

    fn send_parcel(&mut self, parcel: &ParcelRow, pass: Pass) {
        let exchange = ExchangeId(self.next_id());
        self.post.attempts.begin(parcel.id);
        self.post.exchanges.insert(exchange, parcel.id);
        self.step.effect(Effect::Request {
            exchange,
            to: parcel.at.relay.node,
            addresses: vec![parcel.at.relay.address.clone()],
            request: Request::MailboxDeposit {
                mailbox: parcel.at.mailbox,
                pass,
                envelope: parcel.envelope.to_vec(),
            },
        });
    }

    /// Without a stamp: work is done for it, a few at a time, so that what else needs work gets its turn.
    fn work_for_parcel(&mut self, mut parcel: ParcelRow) {
        if self.post.work.values().any(|(id, _)| *id == parcel.id) {
            return;
        }
        let day = Day::of(self.clock.unix);
        let bits = self.config.network.mailbox_work_bits();
        if bits == 0 {
            parcel.pass = Some(Pass::Work(DayWork { day, nonce: 0 }));
            self.write(Write::PutParcel(parcel));
        } else if self.post.work.len() < PARCEL_WORKS {
            let challenge = deposit_challenge(&parcel.at.mailbox, day, &parcel.envelope);
            self.post.work.insert(challenge, (parcel.id, day));
            self.step.effect(Effect::DayWork { challenge, bits });
        }
    }

    /// Work for a parcel is done.
    pub(crate) fn on_parcel_work(&mut self, challenge: &[u8; 32], nonce: u64) {
        let Some((id, day)) = self.post.work.remove(challenge) else {
            return;
        };
        if let Some(parcel) = self.disk.parcels.get(&id) {
            let mut parcel = parcel.clone();
            parcel.pass = Some(Pass::Work(DayWork { day, nonce }));
            self.write(Write::PutParcel(parcel));
        }
    }

    /// A relay answered; false if it was about something else.
    pub(crate) fn on_parcel_response(&mut self, exchange: ExchangeId, response: &Response) -> bool {
        let Some(id) = self.post.exchanges.remove(&exchange) else {
            return false;
        };
        let Some(parcel) = self.disk.parcels.get(&id).cloned() else {
            return true;
        };
        match response {
            Response::MailboxStored { until } => self.parcel_stored(parcel, *until),
            Response::Refused { reason } => self.parcel_refused(parcel, *reason),
            Response::Delivered {}
            | Response::Hello { .. }
            | Response::Proof { .. }
            | Response::RecordKept {}
            | Response::Record { .. }
            | Response::RelayList { .. }
            | Response::MailboxRegistered { .. }
            | Response::MailboxList { .. }
            | Response::MailboxEnvelopes { .. }
            | Response::MailboxDone {} => self.post_later(id),
        }
        true
    }

    /// A relay will not answer; false if it was about something else.
    pub(crate) fn on_parcel_failed(&mut self, exchange: ExchangeId) -> bool {
        let Some(id) = self.post.exchanges.remove(&exchange) else {
            return false;
        };
        self.post_later(id);
        true
    }

    fn parcel_stored(&mut self, mut parcel: ParcelRow, until: UnixMillis) {
        self.post.attempts.forget(&parcel.id);
        // A relay may say that it keeps it for years; we look again after some time all the same.
        let until = until.min(self.clock.unix.plus(PARCEL_LIFE));
        if until <= self.clock.unix.plus(KEPT_LEAST) {
            // What it kept of this deposit is gone, or nearly.
            parcel.pass = self.take_stamp(&parcel.to, parcel.at.mailbox).map(Pass::Stamp);
            self.write(Write::PutParcel(parcel.clone()));
            return self.post_later(parcel.id);
        }
        let item = parcel.item;
        parcel.stored = Some(until);
        parcel.envelope.clear();
        self.write(Write::PutParcel(parcel));
        match item {
            Item::Letter(letter) => self.letter_stored(&letter),
            Item::Batch(batch) => self.batch_stored(&batch),
        }
    }

    fn parcel_refused(&mut self, mut parcel: ParcelRow, reason: Refusal) {
        match reason {
            // This one is of no use; another may be.
            Refusal::Stamp | Refusal::Time | Refusal::NotAdmitted | Refusal::Invalid => {
                parcel.pass = self.take_stamp(&parcel.to, parcel.at.mailbox).map(Pass::Stamp);
                let id = parcel.id;
                self.write(Write::PutParcel(parcel));
                self.post_later(id);
            }
            Refusal::NoMailbox | Refusal::NotServed | Refusal::Size | Refusal::Malformed => {
                // The card may name others by now.
                self.post
                    .missing
                    .insert(parcel.at.mailbox, self.clock.instant.plus(DAY));
                let (to, item) = (parcel.to, parcel.item);
                self.drop_parcel(parcel.id);
                self.look_for_card(&to);
                match item {
                    Item::Letter(letter) => self.letter_not_stored(&letter),
                    Item::Batch(batch) => self.batch_not_stored(&batch),
                }
            }
            Refusal::Quota
            | Refusal::Full
            | Refusal::TooMany
            | Refusal::InviteUsedUp
            | Refusal::InviteExpired
            | Refusal::CannotOpen
            | Refusal::Blocked
            | Refusal::Outdated => self.post_later(parcel.id),
        }
    }

    /// A relay is connected: what is for mailboxes there can be offered now.
    pub(crate) fn parcels_due_at(&mut self, relay: NodeId) {
        let there = self
            .disk
            .parcels
            .values()
            .filter(|parcel| parcel.at.relay.node == relay);
        for parcel in there {
            self.post.attempts.hurry(&parcel.id);
        }
    }

    fn post_later(&mut self, id: RandomId) {
        let is_receipts = |parcel: &ParcelRow| parcel.batch.as_ref().is_some_and(|batch| batch.messages.is_empty());
        let of_receipts = self.disk.parcels.get(&id).filter(|parcel| is_receipts(parcel));
        if let Some(item) = of_receipts.map(|parcel| parcel.item)
            && self.post.attempts.tries(&id) >= RECEIPT_TRIES
        {
            // Whoever misses them offers what they are for again.
            self.drop_parcel(id);
            if let Item::Batch(batch) = item {
                self.batch_not_stored(&batch);
            }
            return;
        }
        let wait = backoff(self.post.attempts.tries(&id), POST_RETRY_LAST, &mut self.rng);
        self.post.attempts.at(id, self.clock.instant.plus(wait));
    }

    /// A stamp for a contact's mailbox, which is spent by this. If they run low, more are asked for.
    fn take_stamp(&mut self, of: &PrincipalId, mailbox: MailboxId) -> Option<Stamp> {
        let today = Day::of(self.clock.unix);
        let mut row = self.disk.stamps.get(of).cloned().unwrap_or(StampsRow {
            contact: *of,
            books: Vec::new(),
        });
        let book = row.books.iter_mut().find(|book| book.mailbox == mailbox);
        let (stamp, left) = match book {
            None => (None, 0),
            Some(book) => {
                book.stamps.retain(|stamp| stamp.day() >= today);
                // Several may hold the same ones, from one invite: whoever takes them in order takes what others took.
                let count = u32::try_from(book.stamps.len()).unwrap_or(u32::MAX).max(1);
                let chosen = usize::try_from(self.rng.next_u32() % count).unwrap_or(0);
                let stamp = (chosen < book.stamps.len()).then(|| book.stamps.swap_remove(chosen));
                (stamp, book.stamps.len())
            }
        };
        if stamp.is_some() {
            self.write(Write::PutStamps(row));
        }
        if left < STAMPS_LOW {
            self.want_stamps(of);
        }
        stamp
    }

    /// Asks a contact for stamps: once they have answered, or once a day.
    fn want_stamps(&mut self, of: &PrincipalId) {
        let now = self.clock.instant;
        let known = self
            .disk
            .contacts
            .get(of)
            .is_some_and(|contact| contact.held.as_ref().is_some_and(|held| held.generation > 0));
        let lately = self.post.asked.get(of).is_some_and(|at| now.since(*at) < DAY);
        // Before they have answered us for the first time there is nothing to ask for: their answer has stamps with it.
        if !known || lately {
            return;
        }
        let contacts = &self.disk.contacts;
        self.post.asked.retain(|principal, _| contacts.contains_key(principal));
        self.post.asked.insert(*of, now);
        let body = LetterBody::Post {
            stamps: Vec::new(),
            wanted: true,
            taken: Vec::new(),
        };
        self.write_letter(*of, body, Admission::Open);
    }

    /// Stamps of one who is no contact, and has nothing more to be told, are of no use.
    pub(crate) fn forget_stamps(&mut self, of: &PrincipalId) {
        let needed = self.disk.contacts.contains_key(of) || self.disk.former.contains_key(of);
        if !needed && self.disk.stamps.contains_key(of) {
            self.write(Write::DeleteStamps(*of));
        }
    }

    /// Keeps stamps that a contact handed out. What is for mailboxes they no longer have is of no use.
    pub(crate) fn keep_stamps(&mut self, from: &PrincipalId, batches: &[StampBatch]) {
        if batches.is_empty() {
            return;
        }
        self.post.asked.remove(from);
        let named: BTreeSet<MailboxId> = batches.iter().map(|batch| batch.mailbox).collect();
        let card = self.card_of(from);
        let in_card = |mailbox: &MailboxId| {
            card.is_some_and(|card| card.bundle.mailboxes.iter().any(|at| at.mailbox == *mailbox))
        };
        let mut books: Vec<StampBatch> = self.disk.stamps.get(from).map_or_else(Vec::new, |row| {
            let useful = row.books.iter();
            useful
                .filter(|book| named.contains(&book.mailbox) || in_card(&book.mailbox))
                .cloned()
                .collect()
        });
        for batch in batches.iter().take(MAILBOXES) {
            match books.iter_mut().find(|book| book.mailbox == batch.mailbox) {
                Some(book) => book.stamps.extend(batch.stamps.iter().cloned()),
                None => books.insert(0, batch.clone()),
            }
        }
        books.truncate(MAILBOXES);
        for book in &mut books {
            // The newest are good for longest.
            let too_many = book.stamps.len().saturating_sub(STAMPS_KEPT);
            book.stamps.drain(..too_many);
        }
        self.write(Write::PutStamps(StampsRow { contact: *from, books }));
    }
}

/// Whether nothing that waits for the same mailbox is to be left there before.
fn is_next(parcel: &ParcelRow, firsts: &BTreeMap<MailboxId, u64>) -> bool {
    parcel
        .batch
        .as_ref()
        .is_none_or(|batch| firsts.get(&parcel.at.mailbox) == Some(&batch.order))
}
