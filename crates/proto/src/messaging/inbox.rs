//! What comes in: Olm messages are opened, judged, and shown in the order in which they were written. What was accepted is on
//! disk, with the session it used up, before it is confirmed.

use super::keep_newest;
use super::rows::{HeldRow, MessageRow, MessageState, MessageStateRow, Origin, SeenRow, SessionRow};
use super::session;
use crate::access::{Action, Denial, Resource, Subject, decide};
use crate::clock::Instant;
use crate::event::{Event, MessageChange, MessageReceived};
use crate::limits::{EARLY, EARLY_WAIT, HELD, HELD_EACH, HOLD_BACK, MESSAGE_IN_EVENT, SEEN_EACH, SEEN_LEAST};
use crate::node::Node;
use crate::step::Write;
use porchlight_wire::content::OlmPacket;
use porchlight_wire::frame::Refusal;
use porchlight_wire::hash::sha256;
use porchlight_wire::ids::{DeviceId, PrincipalId, RandomId};
use porchlight_wire::limits::SKEW;
use porchlight_wire::message::{Gone, Message, MessageError, Plaintext, PlaintextBody};
use porchlight_wire::time::UnixMillis;
use std::collections::BTreeMap;

impl Node {
    /// An Olm message came in, whichever way. What is answered leaves only after what it led to is on disk.
    pub(crate) fn open_olm(&mut self, packet: &OlmPacket) -> Result<(), Refusal> {
        let now = self.clock.unix;
        if !self.config.messages || self.disk.account.is_none() {
            return Err(Refusal::NotServed);
        }
        let digest = sha256(&packet.message);
        let mut hash = [0; 16];
        hash.copy_from_slice(digest.split_at(16).0);
        if let Some(origin) = self.messaging.hashes.get(&hash).copied() {
            self.messaging.took_message = true;
            // The same bytes again: our answer, or our receipt, was lost.
            self.confirm_again(&origin);
            return Ok(());
        }
        let (from, identity) = self.sender_of(packet)?;
        let account = self.disk.account.as_ref().ok_or(Refusal::NotServed)?;
        // The one that was heard last comes first: to try another one costs two operations on the curve.
        let mut sessions: Vec<&SessionRow> = self.sessions_with(&packet.device).collect();
        sessions.sort_by_key(|row| std::cmp::Reverse((row.heard, row.began)));
        let opened = session::open(
            account,
            sessions.into_iter(),
            (from, packet.device),
            identity,
            &packet.message,
            now,
        )
        .map_err(|error| {
            tracing::debug!(%error, "an Olm message does not open");
            Refusal::CannotOpen
        })?;
        let plaintext = Plaintext::from_bytes(&opened.plaintext).map_err(|_| Refusal::Invalid)?;
        let own = &self.disk.identity;
        let for_us = plaintext.to == own.principal && plaintext.to_device == own.device.id();
        if plaintext.from != from || plaintext.from_device != packet.device || !for_us {
            return Err(Refusal::Invalid);
        }
        match &plaintext.body {
            PlaintextBody::Receipts(receipts) => self.on_receipts(&from, receipts),
            PlaintextBody::Message(message) => {
                self.messaging.took_message = true;
                if !self.take_message(&plaintext, message, hash)? {
                    return Ok(());
                }
            }
        }
        if let Some(account) = opened.account {
            self.write(Write::PutAccount(account));
        }
        self.keep_session(opened.session);
        Ok(())
    }

    /// Several Olm messages came in together. Those that can be taken are; if there was no room for one, they are to come again,
    /// and it does no harm to the others.
    pub(crate) fn open_batch(&mut self, packets: &[OlmPacket]) -> Result<(), Refusal> {
        let mut result = Ok(());
        for packet in packets {
            match self.open_olm(packet) {
                Ok(()) => {}
                Err(reason @ (Refusal::Full | Refusal::TooMany)) => return Err(reason),
                Err(reason) => result = Err(reason),
            }
        }
        result
    }

    /// Who sent an Olm message, and the identity key it has to be by where it begins a session.
    fn sender_of(&mut self, packet: &OlmPacket) -> Result<(PrincipalId, Option<[u8; 32]>), Refusal> {
        let (from, identity) = match &packet.identity {
            Some(identity) => {
                let devices = identity
                    .verify(&packet.device, self.clock.unix)
                    .map_err(|_| Refusal::Invalid)?;
                let newest = self.card_of(&devices.principal).map_or(0, |card| card.devices.sequence);
                if devices.sequence < newest {
                    return Err(Refusal::Outdated);
                }
                (devices.principal, Some(identity.key))
            }
            None => {
                let mut known = self.sessions_with(&packet.device);
                let principal = known.next().map(|row| row.principal);
                // Nobody we know has such a device, or we lost the session: they begin another one.
                (principal.ok_or(Refusal::CannotOpen)?, None)
            }
        };
        let subject = Subject::Principal(from);
        match decide(&self.disk, &subject, Action::Write, Resource::Inbox, self.clock.unix) {
            crate::access::Decision::Allow(_) => {}
            crate::access::Decision::Deny(Denial::Blocked) if self.blocks_politely(&from) => {}
            crate::access::Decision::Deny(Denial::Blocked) => return Err(Refusal::Blocked),
            crate::access::Decision::Deny(_) => return Err(Refusal::NotAdmitted),
        }
        // Of its many possible devices a principal has one in its card. Others would each cost us sessions and more.
        let device = self.card_of(&from).map(|card| card.bundle.device);
        if device.is_some_and(|device| device != packet.device) {
            self.ask_for_card(&from);
            return Err(Refusal::Outdated);
        }
        Ok((from, identity))
    }

    fn blocks_politely(&self, principal: &PrincipalId) -> bool {
        let contact = self.disk.contacts.get(principal);
        contact.is_some_and(|contact| contact.blocked == Some(true))
    }

    /// Judges a message and takes it in. False if nothing of it is to be kept, the session included.
    fn take_message(&mut self, plaintext: &Plaintext, message: &Message, hash: [u8; 16]) -> Result<bool, Refusal> {
        let now = self.clock.unix;
        let from = plaintext.from;
        let origin = Origin {
            device: plaintext.from_device,
            id: message.id,
        };
        if message.from != from || message.to != plaintext.to {
            return Err(Refusal::Invalid);
        }
        match message.check(now) {
            Ok(()) => {}
            // One of the two clocks is wrong, and may be put right.
            Err(MessageError::FromTheFuture) => return Err(Refusal::Time),
            Err(error) => {
                tracing::debug!(%error, "a message is out of bounds");
                return Err(Refusal::Invalid);
            }
        }
        let signed_by = match self.card_of(&from) {
            Some(card) => message
                .verify_signature(&card.devices, now)
                .map_err(|_| Refusal::Invalid)?,
            None => None,
        };
        if message.expires <= now || self.disk.seen.contains_key(&origin) {
            // Its sender gives it up by itself; or it came before, in other bytes. These can be opened once, too.
            self.know_again(&origin, from, hash);
            self.confirm_again(&origin);
            self.show_after_gone(&origin, &plaintext.gone);
            return Ok(true);
        }
        if self.messaging.seen.get(&from).is_some_and(|count| *count >= SEEN_EACH) {
            return Err(Refusal::TooMany);
        }
        if self.is_early(&origin, message, &plaintext.gone) {
            return Err(Refusal::TooMany);
        }
        let seen = SeenRow {
            origin,
            principal: from,
            hash,
            // By their clock and by ours; and for so long that who sends more than this in a day has to wait.
            until: UnixMillis(message.expires.0.max(now.0.saturating_add(SEEN_LEAST))).plus(SKEW),
            // Taken as any other is: no receipt will come, as if its recipient were away.
            dropped: self.blocks_politely(&from),
        };
        let dropped = seen.dropped;
        self.remember(seen);
        if dropped {
            return Ok(true);
        }
        let mut conversation = self.conversation(&from);
        self.owe_delivered(&mut conversation, message.id);
        self.write(Write::PutConversation(conversation));
        let held = HeldRow {
            origin,
            message: message.clone(),
            after: before(message.previous, &plaintext.gone),
            signed_by,
            came: now,
        };
        if self.comes_next(&held) {
            self.show(&held, false);
        } else {
            self.write(Write::PutHeld(held));
        }
        self.show_after_gone(&origin, &plaintext.gone);
        Ok(true)
    }

    /// Remembers what was accepted.
    fn remember(&mut self, row: SeenRow) {
        self.messaging.hashes.insert(row.hash, row.origin);
        self.messaging.forgets.insert((row.until, row.origin));
        *self.messaging.seen.entry(row.principal).or_default() += 1;
        self.write(Write::PutSeen(row));
    }

    /// A message came in other bytes than before, or after its time: the same bytes again are known, too.
    fn know_again(&mut self, origin: &Origin, from: PrincipalId, hash: [u8; 16]) {
        match self.disk.seen.get(origin).cloned() {
            Some(row) => {
                self.messaging.hashes.remove(&row.hash);
                self.messaging.hashes.insert(hash, *origin);
                self.write(Write::PutSeen(SeenRow { hash, ..row }));
            }
            None => self.remember(SeenRow {
                origin: *origin,
                principal: from,
                hash,
                until: self.clock.unix.plus(SKEW),
                // It is too late for it to be delivered.
                dropped: true,
            }),
        }
    }

    /// Whether a message out of a mailbox comes so early that opening it now could cost us those before it: Olm keeps forty keys
    /// of what was skipped, and only so many can wait for those before them. They may lie in another mailbox, and it stays in this one for some minutes.
    fn is_early(&mut self, origin: &Origin, message: &Message, gone: &[Gone]) -> bool {
        let held = HeldRow {
            origin: *origin,
            message: message.clone(),
            after: before(message.previous, gone),
            signed_by: None,
            came: self.clock.unix,
        };
        // What follows one that waits here costs no keys; it costs room, of which some is left for what comes over a connection.
        let has_room = self.held_of(origin.device).count() < HELD_EACH / 2;
        let follows = has_room && held.after.is_some_and(|after| self.is_here(origin, after));
        if !self.messaging.from_mailbox || self.comes_next(&held) || follows {
            self.messaging.early.remove(origin);
            return false;
        }
        let now = self.clock.instant;
        if self.messaging.early.len() >= EARLY && !self.messaging.early.contains_key(origin) {
            return false;
        }
        let since = *self.messaging.early.entry(*origin).or_insert(now);
        let early = now.since(since) < EARLY_WAIT;
        if !early {
            self.messaging.early.remove(origin);
        }
        early
    }

    /// Whether a message of the same device has come, shown or not.
    fn is_here(&self, origin: &Origin, id: RandomId) -> bool {
        let device = origin.device;
        self.disk.seen.contains_key(&Origin { device, id })
    }

    /// What waits for a message that will never come waits for the one before that.
    fn show_after_gone(&mut self, origin: &Origin, gone: &[Gone]) {
        let waiting: Vec<HeldRow> = self
            .held_of(origin.device)
            .filter(|row| before(row.after, gone) != row.after)
            .cloned()
            .collect();
        for mut row in waiting {
            row.after = before(row.after, gone);
            self.write(Write::PutHeld(row));
        }
        while let Some(next) = self.next_of(origin.device) {
            self.write(Write::DeleteHeld(next.origin));
            self.show(&next, false);
        }
    }

    /// A message that was accepted came again: it is confirmed again.
    fn confirm_again(&mut self, origin: &Origin) {
        let Some(seen) = self.disk.seen.get(origin).cloned() else {
            return;
        };
        if seen.dropped || !self.disk.contacts.contains_key(&seen.principal) {
            return;
        }
        let mut conversation = self.conversation(&seen.principal);
        self.owe_delivered(&mut conversation, origin.id);
        self.write(Write::PutConversation(conversation));
    }

    /// Whether what a message follows was shown.
    fn comes_next(&self, row: &HeldRow) -> bool {
        let Some(after) = row.after else {
            return true;
        };
        let conversation = self.disk.conversations.get(&row.message.from);
        let shown = conversation.and_then(|conversation| conversation.shown.get(&row.origin.device));
        let before = Origin {
            device: row.origin.device,
            id: after,
        };
        let was_shown = self.disk.seen.contains_key(&before) && !self.disk.held.contains_key(&before);
        shown == Some(&after) || was_shown
    }

    /// Shows all that is held of somebody, with a mark that something may be missing.
    pub(super) fn show_all_held(&mut self, principal: &PrincipalId) {
        let mut held: Vec<HeldRow> = self
            .disk
            .held
            .values()
            .filter(|row| row.message.from == *principal)
            .cloned()
            .collect();
        held.sort_by_key(|row| (row.message.created, row.came, row.origin));
        for row in held {
            self.write(Write::DeleteHeld(row.origin));
            self.show_one(&row, true);
        }
    }

    /// Shows a message, and then those that waited for it.
    fn show(&mut self, row: &HeldRow, after_gap: bool) {
        self.show_one(row, after_gap);
        self.show_following(row.origin.device, row.origin.id);
    }

    /// Shows those that waited for `id`, one after the other.
    fn show_following(&mut self, device: DeviceId, id: RandomId) {
        let mut shown = id;
        while let Some(next) = self.follower_of(device, shown) {
            self.write(Write::DeleteHeld(next.origin));
            self.show_one(&next, false);
            shown = next.origin.id;
        }
    }

    fn next_of(&self, device: DeviceId) -> Option<HeldRow> {
        self.held_of(device).find(|row| self.comes_next(row)).cloned()
    }

    fn follower_of(&self, device: DeviceId, id: RandomId) -> Option<HeldRow> {
        let mut held = self.held_of(device);
        held.find(|row| row.after == Some(id)).cloned()
    }

    fn held_of(&self, device: DeviceId) -> impl Iterator<Item = &HeldRow> {
        let origin = |bytes| Origin {
            device,
            id: RandomId::from_bytes(bytes),
        };
        let of_device = self.disk.held.range(origin([0; 16])..=origin([0xff; 16]));
        of_device.map(|(_, row)| row)
    }

    fn show_one(&mut self, row: &HeldRow, after_gap: bool) {
        let message = &row.message;
        let mut conversation = self.conversation(&message.from);
        let known = conversation.shown.get(&row.origin.device).copied();
        let number = self.disk.newest_message.saturating_add(1);
        // One that comes late stands where it came, and those after it are not thrown back.
        if known.is_none() || known == row.after || after_gap {
            // Of devices that they have no longer nothing comes.
            conversation.shown.clear();
            conversation.shown.insert(row.origin.device, row.origin.id);
        }
        conversation.unread.push((row.origin.id, number));
        conversation.unread_count = conversation.unread_count.saturating_add(1);
        keep_newest(&mut conversation.unread);
        let principal = conversation.principal;
        let unread = conversation.unread_count;
        self.write(Write::PutConversation(conversation));
        self.write(Write::PutMessage(MessageRow {
            number,
            contact: principal,
            outgoing: false,
            message: message.clone(),
            at: self.clock.unix,
            after_gap,
            signed_by: row.signed_by,
        }));
        let text = message.text().unwrap_or_default();
        let shown: String = text.chars().take(MESSAGE_IN_EVENT).collect();
        let event = Event::MessageReceived(Box::new(MessageReceived {
            contact: self.name_of(&principal),
            principal,
            message: message.id,
            number,
            cut: shown.len() < text.len(),
            text: shown,
            subject: message.subject.clone(),
            media_type: message.bodies.first().map(|body| body.media_type.clone()),
            created: message.created,
            after_gap,
            signed: row.signed_by.is_some(),
            unread,
        }));
        self.tell(event);
    }

    /// Shows what waited long enough, or too much of it, with a mark that something may be missing.
    pub(super) fn show_held(&mut self) {
        loop {
            let now = self.clock.unix;
            let mut counts: BTreeMap<DeviceId, usize> = BTreeMap::new();
            for origin in self.disk.held.keys() {
                *counts.entry(origin.device).or_default() += 1;
            }
            let full = self.disk.held.len() > HELD;
            let too_many = |origin: &Origin| full || counts.get(&origin.device).is_some_and(|count| *count > HELD_EACH);
            let overdue = self
                .disk
                .held
                .values()
                .filter(|row| row.came.plus(HOLD_BACK) <= now || too_many(&row.origin))
                .min_by_key(|row| (row.message.created, row.came, row.origin))
                .cloned();
            let Some(row) = overdue else {
                return;
            };
            self.write(Write::DeleteHeld(row.origin));
            self.show(&row, true);
        }
    }

    /// When [`show_held`](Self::show_held) has something to do next.
    pub(super) fn next_held(&self) -> Option<Instant> {
        let first = self.disk.held.values().map(|row| row.came).min();
        first.map(|came| self.instant_of(came.plus(HOLD_BACK)))
    }

    /// What could only come again after it has expired need not be remembered.
    pub(super) fn forget_seen(&mut self) {
        while let Some((until, origin)) = self.messaging.forgets.first().copied()
            && until <= self.clock.unix
        {
            self.messaging.forgets.pop_first();
            if let Some(row) = self.disk.seen.get(&origin) {
                self.messaging.hashes.remove(&row.hash);
                if let Some(count) = self.messaging.seen.get_mut(&row.principal) {
                    *count = count.saturating_sub(1);
                }
                self.write(Write::DeleteSeen(origin));
            }
        }
    }

    /// A message of ours was read there.
    pub(super) fn tell_read(&mut self, from: &PrincipalId, message: RandomId, number: u64) {
        self.write(Write::PutMessageState(MessageStateRow {
            number,
            state: MessageState::Read,
            since: self.clock.unix,
        }));
        let event = Event::MessageChanged(MessageChange {
            contact: self.name_of(from),
            principal: *from,
            message,
            number,
            state: MessageState::Read,
        });
        self.tell(event);
    }
}

/// The one before, where those between will never come.
fn before(mut id: Option<RandomId>, gone: &[Gone]) -> Option<RandomId> {
    // Each step takes another entry, or the list goes round in a circle.
    for _ in 0..=gone.len() {
        match gone.iter().find(|gone| Some(gone.id) == id) {
            Some(gone) => id = gone.previous,
            None => return id,
        }
    }
    None
}
