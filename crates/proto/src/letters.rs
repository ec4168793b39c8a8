//! Letters: the outbox that offers them until they are delivered, and what becomes of those that come in. A letter is
//! acknowledged only after what it led to is on disk; offering one again is harmless. It is offered over a connection that is up,
//! then by dialling, then left in the recipient's mailboxes.

use crate::clock::Instant;
use crate::contacts::Introduction;
use crate::event::{Event, FirstContactProblem};
use crate::input::ExchangeId;
use crate::limits::{
    CARD_SPACING, FAILURE_CHARACTERS, LETTER_LIFE, LETTERS, LETTERS_IN_FLIGHT, POST_RELAYS, RETRY_LAST, STAMPS_GIVEN,
    STORED_RETRY, STRANGER_BURST, STRANGER_REFILL, TAKEN,
};
use crate::node::Node;
use crate::retry::{Attempts, backoff, jittered};
use crate::rows::{Item, LetterRow, SubscriptionState, TakenRow};
use crate::step::{Effect, Write};
use porchlight_wire::content::Content;
use porchlight_wire::envelope;
use porchlight_wire::frame::{Admission, Refusal, Request, Response};
use porchlight_wire::ids::{Address, NodeId, PrincipalId, RandomId};
use porchlight_wire::letter::{Letter, LetterBody};
use porchlight_wire::limits::{LETTERS_TAKEN, STAMPS};
use std::collections::BTreeMap;

/// How offering the waiting letters goes. Volatile: after a restart every letter is due at once.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    attempts: Attempts<RandomId>,
    /// Why letters were not taken last.
    failures: BTreeMap<RandomId, String>,
    exchanges: BTreeMap<ExchangeId, RandomId>,
    card_asked: BTreeMap<PrincipalId, Instant>,
}

impl Outbox {
    /// How often a letter was offered, and why it was not taken last.
    pub(crate) fn tried(&self, id: &RandomId) -> (u32, Option<&str>) {
        (self.attempts.tries(id), self.failures.get(id).map(String::as_str))
    }
}

impl Node {
    /// Puts a letter into the outbox.
    pub(crate) fn write_letter(&mut self, to: PrincipalId, body: LetterBody, admission: Admission) {
        if self.disk.letters.len() >= LETTERS {
            tracing::warn!("the outbox of letters is full");
            return;
        }
        let body = self.with_one_time_key(&to, body);
        let row = LetterRow {
            id: self.random_id(),
            to,
            body,
            admission,
            created: self.clock.unix,
        };
        self.write(Write::PutLetter(row));
    }

    /// Drops what waits for `to` and speaks of our access rules: a newer letter replaces it. What we ask of them stays, and what
    /// is about mailboxes.
    pub(crate) fn drop_letters_to(&mut self, to: &PrincipalId) {
        let of_access = |body: &LetterBody| !matches!(body, LetterBody::Renew {} | LetterBody::Post { .. });
        self.drop_letters(|letter| letter.to == *to && of_access(&letter.body));
    }

    /// Drops introductions that wait for `to`.
    pub(crate) fn drop_introductions_to(&mut self, to: &PrincipalId) {
        self.drop_letters(|letter| letter.to == *to && matches!(letter.body, LetterBody::Introduce { .. }));
    }

    /// Drops what asks `to` to renew what they granted.
    pub(crate) fn drop_renewals_to(&mut self, to: &PrincipalId) {
        self.drop_letters(|letter| letter.to == *to && matches!(letter.body, LetterBody::Renew {}));
    }

    pub(crate) fn drop_letters(&mut self, which: impl Fn(&LetterRow) -> bool) {
        let ids: Vec<RandomId> = self
            .disk
            .letters
            .values()
            .filter(|letter| which(letter))
            .map(|letter| letter.id)
            .collect();
        for id in ids {
            self.forget_letter(id);
        }
    }

    /// A letter does not wait any more, wherever it was left.
    fn forget_letter(&mut self, id: RandomId) {
        self.write(Write::DeleteLetter(id));
        self.outbox.attempts.forget(&id);
        self.outbox.failures.remove(&id);
        self.drop_parcels(Item::Letter(id));
    }

    /// This letter can be offered now.
    pub(crate) fn letter_due(&mut self, id: &RandomId) {
        self.outbox.attempts.hurry(id);
    }

    /// Everything that waits for the contact whose node this is can be offered now.
    pub(crate) fn letters_due_at(&mut self, node: NodeId) {
        let principals: Vec<PrincipalId> = self
            .cards
            .iter()
            .chain(&self.former_cards)
            .filter(|(_, card)| card.bundle.addresses.iter().any(|address| address.node == node))
            .map(|(principal, _)| *principal)
            .collect();
        for principal in principals {
            self.letters_due_to(&principal);
        }
    }

    /// Everything that waits for `to` can be offered now.
    pub(crate) fn letters_due_to(&mut self, to: &PrincipalId) {
        self.messages_due_to(to);
        for letter in self.disk.letters.values().filter(|letter| letter.to == *to) {
            self.outbox.attempts.hurry(&letter.id);
        }
    }

    /// Offers the letters that are due.
    pub(crate) fn offer_letters(&mut self) {
        let now = self.clock.instant;
        let due: Vec<RandomId> = self
            .disk
            .letters
            .keys()
            .filter(|id| self.outbox.attempts.is_due(id, now))
            .copied()
            .collect();
        for id in due {
            if self.outbox.exchanges.len() >= LETTERS_IN_FLIGHT {
                return;
            }
            self.offer(id);
        }
    }

    /// When [`offer_letters`](Self::offer_letters) has something to do next.
    pub(crate) fn next_letter(&self) -> Option<Instant> {
        if self.outbox.exchanges.len() >= LETTERS_IN_FLIGHT {
            return None;
        }
        self.disk
            .letters
            .keys()
            .filter_map(|id| self.outbox.attempts.next(id, self.clock.instant))
            .min()
    }

    fn offer(&mut self, id: RandomId) {
        let Some(row) = self.disk.letters.get(&id).cloned() else {
            return;
        };
        if row.created.plus(LETTER_LIFE) <= self.clock.unix {
            self.forget_letter(id);
            self.forget_former(&row.to);
            return;
        }
        let Some((to, addresses)) = self.node_of(&row.to) else {
            self.leave_letter(&row);
            self.offer_later(id, &row.to, "their card names no node");
            return;
        };
        let Some(envelope) = self.seal_letter(&row) else {
            self.offer_later(id, &row.to, "it cannot be sealed to them");
            return;
        };
        let exchange = ExchangeId(self.next_id());
        self.outbox.attempts.begin(id);
        self.outbox.exchanges.insert(exchange, id);
        self.step.effect(Effect::Request {
            exchange,
            to,
            addresses,
            request: Request::Deliver {
                admission: row.admission,
                envelope,
            },
        });
    }

    /// The node of a contact, and where it may be dialled.
    pub(crate) fn node_of(&self, principal: &PrincipalId) -> Option<(NodeId, Vec<Address>)> {
        let card = self.card_of(principal)?;
        let node = card.bundle.addresses.first()?.node;
        let addresses = card
            .bundle
            .addresses
            .iter()
            .filter(|address| address.node == node)
            .map(|address| address.address.clone())
            .collect();
        Some((node, addresses))
    }

    fn seal_letter(&mut self, row: &LetterRow) -> Option<Vec<u8>> {
        let card = self.card_of(&row.to)?.clone();
        let mut body = row.body.clone();
        match &mut body {
            // The letter may have waited; what it says about how to reach us is true today.
            LetterBody::Introduce { current, stamps, .. } | LetterBody::Grant { current, stamps, .. } => {
                *current = self.own_card();
                *stamps = self.mint_stamps(STAMPS_GIVEN);
            }
            LetterBody::Renew {} | LetterBody::Ended { .. } | LetterBody::Refused { .. } | LetterBody::Post { .. } => {}
        }
        let letter = Letter {
            id: row.id,
            from: self.disk.identity.principal,
            from_device: self.disk.identity.device.id(),
            to: row.to,
            to_device: card.bundle.device,
            created: row.created,
            body,
        };
        let signed = letter.sign(&self.disk.identity.device, &self.disk.identity.devices);
        let content = Content::Letter(signed).to_bytes();
        envelope::seal(&card.bundle.envelope_key, &content, &mut self.rng)
            .inspect_err(|error| tracing::error!(%error, "a letter of ours cannot be sealed"))
            .ok()
    }

    /// Waits before the next try: twice as long each time, with jitter; and asks where the recipient is now.
    fn offer_later(&mut self, id: RandomId, to: &PrincipalId, failure: &str) {
        let wait = if self.is_stored(Item::Letter(id)) {
            jittered(STORED_RETRY, &mut self.rng)
        } else {
            backoff(self.outbox.attempts.tries(&id), RETRY_LAST, &mut self.rng)
        };
        self.outbox.attempts.at(id, self.clock.instant.plus(wait));
        let failure = failure.chars().take(FAILURE_CHARACTERS).collect();
        self.outbox.failures.insert(id, failure);
        self.ask_for_card(to);
    }

    /// Asks where somebody is now, unless that was asked just now.
    pub(crate) fn ask_for_card(&mut self, to: &PrincipalId) {
        let now = self.clock.instant;
        let asked = self.outbox.card_asked.get(to).copied();
        if asked.is_none_or(|at| now.since(at) >= CARD_SPACING) {
            self.outbox.card_asked.insert(*to, now);
            self.look_for_card(to);
        }
    }

    /// The recipient gave a sign of life, perhaps from a new address: what waits for them may be delivered now.
    pub(crate) fn ask_where_letters_go(&mut self, to: &PrincipalId) {
        if self.disk.letters.values().any(|letter| letter.to == *to) || self.waits_for(to) {
            self.outbox.card_asked.insert(*to, self.clock.instant);
            self.look_for_card(to);
        }
    }

    /// The other side answered one of our letters.
    pub(crate) fn on_response(&mut self, exchange: ExchangeId, response: &Response) {
        if self.on_message_response(exchange, response) {
            return;
        }
        let Some(id) = self.outbox.exchanges.remove(&exchange) else {
            return;
        };
        let Some(row) = self.disk.letters.get(&id).cloned() else {
            return;
        };
        match response {
            Response::Delivered {} => self.letter_delivered(&row),
            Response::Refused { reason } => self.letter_refused(&row, *reason),
            Response::Hello { .. }
            | Response::Proof { .. }
            | Response::RecordKept {}
            | Response::Record { .. }
            | Response::RelayList { .. }
            | Response::MailboxStored { .. }
            | Response::MailboxRegistered { .. }
            | Response::MailboxList { .. }
            | Response::MailboxEnvelopes { .. }
            | Response::MailboxDone {} => self.offer_later(id, &row.to, "their node answered something else"),
        }
    }

    /// One of our letters was not answered.
    pub(crate) fn on_exchange_failed(&mut self, exchange: ExchangeId, perhaps_processed: bool, reason: &str) {
        if self.on_message_failed(exchange, perhaps_processed) {
            return;
        }
        let Some(id) = self.outbox.exchanges.remove(&exchange) else {
            return;
        };
        let Some(row) = self.disk.letters.get(&id).cloned() else {
            return;
        };
        tracing::debug!(
            reason,
            perhaps_processed,
            "a letter was not delivered; it will be offered again"
        );
        self.leave_letter(&row);
        if matches!(row.body, LetterBody::Introduce { .. }) && !self.is_stored(Item::Letter(id)) {
            self.set_problem(&row.to, Some(FirstContactProblem::Unreachable));
        }
        self.offer_later(id, &row.to, reason);
    }

    /// The recipient cannot be reached: the letter is left in their mailboxes, if they have any.
    fn leave_letter(&mut self, row: &LetterRow) {
        let (to, sealed) = (row.to, row.clone());
        self.post(Item::Letter(row.id), None, (to, POST_RELAYS), |node| {
            node.seal_letter(&sealed)
        });
    }

    /// A relay keeps one of our letters. It goes on waiting here: relays lose things, and only the recipient can say that it
    /// is there. What needs no answer is done with.
    pub(crate) fn letter_stored(&mut self, id: &RandomId) {
        let Some(row) = self.disk.letters.get(id).cloned() else {
            return self.drop_parcels(Item::Letter(*id));
        };
        if matches!(row.body, LetterBody::Introduce { .. }) {
            self.set_problem(&row.to, None);
        }
        if !self.is_stored(Item::Letter(*id)) {
            return;
        }
        if matches!(row.body, LetterBody::Post { .. }) {
            return self.forget_letter(*id);
        }
        let later = self.clock.instant.plus(STORED_RETRY);
        self.outbox.attempts.rest(id, later);
    }

    /// A relay will not keep one of our letters.
    pub(crate) fn letter_not_stored(&mut self, id: &RandomId) {
        if let Some(row) = self.disk.letters.get(id).cloned()
            && matches!(row.body, LetterBody::Introduce { .. })
        {
            self.set_problem(&row.to, Some(FirstContactProblem::Unreachable));
        }
    }

    fn letter_delivered(&mut self, row: &LetterRow) {
        self.forget_letter(row.id);
        if matches!(row.body, LetterBody::Introduce { .. }) {
            self.set_problem(&row.to, None);
        }
        if let LetterBody::Introduce { grant: Some(_), .. } | LetterBody::Grant { .. } = row.body {
            // Only now can they read the view: what was gossiped before passed them by.
            self.touch_granted(&row.to);
        }
        self.forget_former(&row.to);
        if let Some(contact) = self.disk.contacts.get(&row.to) {
            let event = Event::LetterDelivered {
                contact: contact.name.clone(),
                letter: row.id,
                kind: kind_of(&row.body).to_owned(),
            };
            self.tell(event);
        }
    }

    fn letter_refused(&mut self, row: &LetterRow, reason: Refusal) {
        let problem = match reason {
            Refusal::InviteUsedUp => FirstContactProblem::InviteUsedUp,
            Refusal::InviteExpired => FirstContactProblem::InviteExpired,
            Refusal::NotAdmitted => FirstContactProblem::NotAdmitted,
            // The card may be another one now, a clock may be wrong, or there was no room: all can be better next time. What
            // never stands is given up when its time is over.
            Refusal::Stamp
            | Refusal::Time
            | Refusal::Size
            | Refusal::Quota
            | Refusal::NoMailbox
            | Refusal::Invalid
            | Refusal::CannotOpen
            | Refusal::Outdated
            | Refusal::Full
            | Refusal::TooMany
            | Refusal::Blocked
            | Refusal::NotServed
            | Refusal::Malformed => {
                if matches!(row.body, LetterBody::Introduce { .. }) {
                    self.set_problem(&row.to, Some(FirstContactProblem::Unreachable));
                }
                self.offer_later(row.id, &row.to, why(reason));
                return;
            }
        };
        self.forget_letter(row.id);
        self.forget_former(&row.to);
        if matches!(row.body, LetterBody::Renew {}) {
            // They do not know us any more: what was granted has ended.
            self.accept_end(&row.to, SubscriptionState::Cancelled);
        }
        if !matches!(row.body, LetterBody::Introduce { .. }) {
            return;
        }
        self.set_problem(&row.to, Some(problem));
        self.set_subscription(&row.to, Some(SubscriptionState::Refused));
        self.sync_watched();
        if let Some(contact) = self.disk.contacts.get(&row.to) {
            let event = Event::ContactRefused {
                contact: contact.name.clone(),
                principal: row.to,
                reason: problem,
            };
            self.tell(event);
        }
    }

    fn set_problem(&mut self, principal: &PrincipalId, problem: Option<FirstContactProblem>) {
        if let Some(contact) = self.disk.contacts.get(principal)
            && contact.problem != problem
        {
            let mut row = contact.clone();
            row.problem = problem;
            self.write(Write::PutContact(row));
        }
    }

    /// An envelope came in over a connection. What is answered leaves only after what it led to is on disk.
    pub(crate) fn on_deliver(&mut self, from: NodeId, admission: &Admission, envelope: &[u8]) -> Response {
        match self.admit_letter(from, admission) {
            Ok(()) => {}
            Err(reason) => return Response::Refused { reason },
        }
        match self.open_letter(Way::Connection(admission), envelope) {
            Ok(()) => Response::Delivered {},
            Err(reason) => Response::Refused { reason },
        }
    }

    /// An envelope was taken out of one of our mailboxes, where the relay has judged what admits it. True if it is done with and
    /// can be deleted there, once this step is on disk.
    pub(crate) fn take_from_mailbox(&mut self, envelope: &[u8]) -> bool {
        self.messaging.from_mailbox = true;
        let opened = self.open_letter(Way::Mailbox, envelope);
        self.messaging.from_mailbox = false;
        match opened {
            Ok(()) => true,
            // There is no room now, a clock is wrong, or messages are switched off: it may be taken later.
            Err(Refusal::Full | Refusal::TooMany | Refusal::Time | Refusal::NotServed) => false,
            Err(
                reason @ (Refusal::InviteUsedUp
                | Refusal::InviteExpired
                | Refusal::NotAdmitted
                | Refusal::CannotOpen
                | Refusal::Invalid
                | Refusal::Outdated
                | Refusal::Blocked
                | Refusal::Malformed
                | Refusal::Stamp
                | Refusal::Size
                | Refusal::Quota
                | Refusal::NoMailbox),
            ) => {
                tracing::debug!(?reason, "a letter in a mailbox is for nothing");
                true
            }
        }
    }

    fn admit_letter(&mut self, from: NodeId, admission: &Admission) -> Result<(), Refusal> {
        // Admission comes first: opening an envelope is work, and a stranger gets only so much of it. Those who show an
        // invite have a share of their own, so that a flood of others does not keep them out.
        let now = self.clock.instant;
        match admission {
            Admission::Token(token) if self.disk.invites.values().any(|invite| &invite.token == token) => {
                spend(&mut self.invited_credit, now)?;
            }
            Admission::Token(_) => return Err(Refusal::NotAdmitted),
            Admission::Open if self.is_contact_node(from) => {}
            Admission::Open => spend(&mut self.stranger_credit, now)?,
        }
        Ok(())
    }

    fn open_letter(&mut self, way: Way<'_>, envelope: &[u8]) -> Result<(), Refusal> {
        let plaintext = self.open_envelope(envelope).map_err(|_| Refusal::CannotOpen)?;
        let signed = match Content::from_bytes(&plaintext).map_err(|_| Refusal::Invalid)? {
            Content::Letter(signed) => signed,
            Content::Olm(packet) => return self.open_olm(&packet),
            Content::Batch(packets) => return self.open_batch(&packets),
        };
        let (letter, devices) = signed
            .verify(
                &self.disk.identity.principal,
                &self.disk.identity.device.id(),
                self.clock.unix,
            )
            .map_err(|error| {
                tracing::debug!(%error, "a letter does not stand");
                Refusal::Invalid
            })?;
        if letter.from == self.disk.identity.principal {
            return Err(Refusal::Invalid);
        }
        let newest = self.card_of(&letter.from).map_or(0, |card| card.devices.sequence);
        if devices.sequence < newest {
            // By a device that may no longer speak for them.
            return Err(Refusal::Outdated);
        }
        match way {
            Way::Connection(admission) => self.take_letter(&letter, &devices, Some(admission)),
            Way::Mailbox => {
                if self.disk.taken.contains_key(&(letter.from, letter.id)) {
                    return Ok(());
                }
                if letter.created.plus(LETTER_LIFE) <= self.clock.unix {
                    // So old that it may have been taken and forgotten.
                    return Err(Refusal::Outdated);
                }
                self.take_letter(&letter, &devices, None)?;
                self.letter_taken(&letter);
                Ok(())
            }
        }
    }

    /// A letter out of a mailbox was dealt with: it is not taken again, and its sender is told, unless the answer tells as much.
    fn letter_taken(&mut self, letter: &Letter) {
        let now = self.clock.unix;
        if self.disk.taken.len() >= TAKEN {
            let over: Vec<TakenRow> = self
                .disk
                .taken
                .values()
                .filter(|row| row.until <= now)
                .cloned()
                .collect();
            let oldest = self.disk.taken.values().min_by_key(|row| row.until).cloned();
            for row in over.into_iter().chain(oldest) {
                self.write(Write::DeleteTaken(row.from, row.letter));
            }
        }
        self.write(Write::PutTaken(TakenRow {
            from: letter.from,
            letter: letter.id,
            until: letter.created.plus(LETTER_LIFE),
        }));
        let confirmed = match &letter.body {
            LetterBody::Grant { .. } | LetterBody::Renew {} | LetterBody::Ended { .. } | LetterBody::Refused { .. } => {
                true
            }
            // The grant is the answer to one, and to the other there is none.
            LetterBody::Introduce { .. } | LetterBody::Post { .. } => false,
        };
        if !confirmed || !self.disk.contacts.contains_key(&letter.from) {
            return;
        }
        let waiting = self.disk.letters.values().find(|row| {
            let room = matches!(&row.body, LetterBody::Post { taken, .. } if taken.len() < LETTERS_TAKEN);
            // What was offered may have been taken: more cannot be said in the same letter.
            row.to == letter.from && room && !self.outbox.attempts.knows(&row.id)
        });
        if let Some(mut row) = waiting.cloned()
            && let LetterBody::Post { taken, .. } = &mut row.body
        {
            taken.push(letter.id);
            self.write(Write::PutLetter(row));
            return;
        }
        let body = LetterBody::Post {
            stamps: Vec::new(),
            wanted: false,
            taken: vec![letter.id],
        };
        self.write_letter(letter.from, body, Admission::Open);
    }

    /// What a contact, or one who was removed, says about mailboxes.
    fn accept_post(&mut self, from: &PrincipalId, wanted: bool, taken: &[RandomId]) {
        for id in taken {
            if let Some(row) = self.disk.letters.get(id).cloned()
                && row.to == *from
            {
                self.letter_delivered(&row);
            }
        }
        let waits =
            self.disk.letters.values().any(
                |row| matches!(&row.body, LetterBody::Post { stamps, .. } if row.to == *from && !stamps.is_empty()),
            );
        if wanted && !waits && self.disk.contacts.contains_key(from) {
            let body = LetterBody::Post {
                stamps: self.mint_stamps(STAMPS),
                wanted: false,
                taken: Vec::new(),
            };
            self.write_letter(*from, body, Admission::Open);
        }
    }

    fn take_letter(
        &mut self,
        letter: &Letter,
        devices: &porchlight_wire::device_list::DeviceList,
        admission: Option<&Admission>,
    ) -> Result<(), Refusal> {
        if let LetterBody::Introduce {
            token,
            name,
            card,
            current,
            grant,
            stamps,
            one_time,
        } = &letter.body
        {
            // Over a connection the token stands outside as well, and has let the letter in.
            if admission.is_some_and(|admission| !matches!(admission, Admission::Token(shown) if shown == token)) {
                return Err(Refusal::NotAdmitted);
            }
            self.accept_introduction(&Introduction {
                from: letter.from,
                devices,
                token,
                name: name.as_deref(),
                card_key: card,
                card: current,
                grant: grant.as_ref(),
            })?;
            self.keep_stamps(&letter.from, stamps);
            self.keep_one_time_key(&letter.from, *one_time);
            return Ok(());
        }
        if let LetterBody::Post { wanted, taken, .. } = &letter.body
            && self.disk.former.contains_key(&letter.from)
        {
            self.accept_post(&letter.from, *wanted, taken);
            return Ok(());
        }
        let may = crate::access::decide(
            &self.disk,
            &crate::access::Subject::Principal(letter.from),
            crate::access::Action::Write,
            crate::access::Resource::Letters,
            self.clock.unix,
        );
        if !may.allowed() {
            return Err(Refusal::NotAdmitted);
        }
        match &letter.body {
            LetterBody::Introduce { .. } => Err(Refusal::NotAdmitted),
            LetterBody::Grant {
                card,
                current,
                name,
                grant,
                stamps,
                one_time,
            } => {
                self.accept_grant(&letter.from, devices, grant, card, current, name.as_deref())?;
                self.keep_stamps(&letter.from, stamps);
                self.keep_one_time_key(&letter.from, *one_time);
                Ok(())
            }
            LetterBody::Post { stamps, wanted, taken } => {
                self.keep_stamps(&letter.from, stamps);
                self.accept_post(&letter.from, *wanted, taken);
                Ok(())
            }
            LetterBody::Renew {} => self.accept_renewal(&letter.from),
            LetterBody::Ended { sequence } => {
                self.accept_end_letter(&letter.from, *sequence, SubscriptionState::Cancelled);
                Ok(())
            }
            LetterBody::Refused { sequence, .. } => {
                self.accept_end_letter(&letter.from, *sequence, SubscriptionState::Refused);
                Ok(())
            }
        }
    }
}

/// How a letter came.
#[derive(Clone, Copy)]
enum Way<'a> {
    /// Over a connection, let in by this.
    Connection(&'a Admission),
    /// Out of a mailbox of ours.
    Mailbox,
}

/// One token out of a bucket that all of one class share; `credit` is until when its tokens were used up.
fn spend(credit: &mut u64, now: Instant) -> Result<(), Refusal> {
    let burst = u64::from(STRANGER_BURST) * STRANGER_REFILL;
    let floor = (*credit).max(now.0);
    if floor.saturating_sub(now.0).saturating_add(STRANGER_REFILL) > burst {
        return Err(Refusal::TooMany);
    }
    *credit = floor.saturating_add(STRANGER_REFILL);
    Ok(())
}

pub(crate) const fn kind_of(body: &LetterBody) -> &'static str {
    match body {
        LetterBody::Introduce { .. } => "introduce",
        LetterBody::Grant { .. } => "grant",
        LetterBody::Renew {} => "renew",
        LetterBody::Ended { .. } => "ended",
        LetterBody::Refused { .. } => "refused",
        LetterBody::Post { .. } => "post",
    }
}

/// What a refusal says, for people.
const fn why(reason: Refusal) -> &'static str {
    match reason {
        Refusal::InviteUsedUp => "their node said that the invite is used up",
        Refusal::InviteExpired => "their node said that the invite has ended",
        Refusal::NotAdmitted => "their node said that nothing lets it in",
        Refusal::CannotOpen => "their node said that it cannot open it; its keys may be others now",
        Refusal::Invalid => "their node said that it does not stand; a clock may be wrong",
        Refusal::Outdated => "their node said that it comes from a device that speaks for us no longer",
        Refusal::Full => "their node said that it has no room",
        Refusal::TooMany => "their node said that too many came at once",
        Refusal::Blocked => "their node said that it takes nothing from us",
        Refusal::NotServed => "their node said that it does not take letters",
        Refusal::Malformed => "their node said that it cannot read it",
        Refusal::Stamp | Refusal::Time | Refusal::Size | Refusal::Quota | Refusal::NoMailbox => {
            "their node answered as a mailbox would"
        }
    }
}
