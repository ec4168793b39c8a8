//! Instant messages (RFC 2778 section 2.2): what local clients ask for, and what holds while the node is up. `outbox` brings
//! messages to their recipients, `leaving` leaves them in mailboxes, `inbox` takes in what comes, `session` is Olm.
//!
//! A message is accepted from a client, or from another node, by one transaction: its row, the session it was encrypted with,
//! and the event that tells of it. Nothing speaks of it before.

mod inbox;
mod leaving;
mod outbox;
pub mod rows;
mod session;

use crate::clock::Instant;
use crate::event::{Event, MessageChange};
use crate::input::NewMessage;
use crate::limits::{
    FALLBACK_LIFE, GONE_KEPT, MESSAGE_DEFAULT_LIFE, OUTBOX, OUTBOX_PER_CONTACT, POST_RELAYS, STORED_RETRY,
};
use crate::node::Node;
use crate::reply::{CommandError, Reply};
use crate::rows::ContactRow;
use crate::step::Write;
use outbox::{Peer, Sending, Taken};
use porchlight_wire::card::OlmKeys;
use porchlight_wire::ids::{DeviceId, PrincipalId, RandomId};
use porchlight_wire::letter::LetterBody;
use porchlight_wire::limits::MAILBOXES;
use porchlight_wire::message::{Gone, Message};
use porchlight_wire::time::UnixMillis;
use rows::{
    ConversationRow, DeliveryPolicy, FailureReason, MessageRow, MessageState, MessageStateRow, Origin, OutboxRow,
    SessionKey,
};
use std::collections::{BTreeMap, BTreeSet};

/// How messaging goes. Volatile: after a restart everything that waits is due at once.
#[derive(Debug, Default)]
pub(crate) struct Messaging {
    /// Contacts for whom something waits.
    peers: BTreeMap<PrincipalId, Peer>,
    /// What was sent and not answered yet.
    sending: BTreeMap<crate::input::ExchangeId, Sending>,
    /// What was left in mailboxes together.
    batches: BTreeMap<RandomId, leaving::Batch>,
    /// In which batch a message was left.
    left: BTreeMap<RandomId, RandomId>,
    /// When messages of ours expire.
    expiries: BTreeSet<(UnixMillis, RandomId)>,
    /// Which message came in an Olm message.
    hashes: BTreeMap<[u8; 16], Origin>,
    /// When what was accepted need not be remembered any more.
    forgets: BTreeSet<(UnixMillis, Origin)>,
    /// How many messages of a contact are remembered.
    seen: BTreeMap<PrincipalId, usize>,
    /// Messages that came early out of a mailbox, and since when.
    early: BTreeMap<Origin, Instant>,
    /// Whether what is being opened comes out of a mailbox.
    pub(crate) from_mailbox: bool,
    /// Whether what was opened last was a message.
    pub(crate) took_message: bool,
    /// When sessions with a device were last given up.
    resets: BTreeMap<DeviceId, Instant>,
}

impl Node {
    /// Takes up what is on disk.
    pub(crate) fn restore_messages(&mut self) {
        let waiting: Vec<(PrincipalId, u64, RandomId, UnixMillis)> = self
            .disk
            .outbox
            .values()
            .map(|row| (row.message.to, row.number, row.message.id, row.message.expires))
            .collect();
        self.restore_batches();
        let later = self.clock.instant.plus(STORED_RETRY);
        for (to, number, id, expires) in waiting {
            let batch = self.messaging.left.get(&id).copied();
            let peer = self.messaging.peers.entry(to).or_default();
            if batch.is_some() {
                peer.taken.insert(number, Taken::left(id, later));
            } else {
                peer.waiting.insert(number, id);
            }
            self.messaging.expiries.insert((expires, id));
        }
        let owing: Vec<PrincipalId> = self
            .disk
            .conversations
            .values()
            .filter(|row| !row.owed.is_empty())
            .map(|row| row.principal)
            .collect();
        for to in owing {
            self.messaging.peers.entry(to).or_default().owes = true;
        }
        for row in self.disk.seen.values() {
            self.messaging.hashes.insert(row.hash, row.origin);
            *self.messaging.seen.entry(row.principal).or_default() += 1;
            self.messaging.forgets.insert((row.until, row.origin));
        }
    }

    /// Makes the Olm account of a home that has none, and replaces the fallback key when it is old.
    pub(crate) fn keep_account(&mut self) {
        if !self.config.messages {
            return;
        }
        let now = self.clock.unix;
        let made = match &self.disk.account {
            None => session::new_account(now),
            Some(row) if row.fallback_since.plus(FALLBACK_LIFE) <= now => session::rotate_fallback(row, now),
            Some(_) => return,
        };
        match made {
            Ok(row) => {
                self.write(Write::PutAccount(row));
                self.touch_card();
            }
            Err(error) => tracing::error!(%error, "no Olm account could be made: this node takes no messages"),
        }
    }

    /// A letter that hands out a view hands out a key with it that begins one session: with it a session does not begin by the key
    /// that all others use too.
    pub(crate) fn with_one_time_key(&mut self, to: &PrincipalId, mut body: LetterBody) -> LetterBody {
        if let LetterBody::Introduce { one_time, .. } | LetterBody::Grant { one_time, .. } = &mut body
            && let Some(account) = self.disk.account.as_ref().filter(|_| self.config.messages)
            && let Some(contact) = self.disk.contacts.get(to).cloned()
            && !self.has_session_with(to)
        {
            // One for each contact: whoever asks again and again must not use up those of others.
            *one_time = contact.given;
            if contact.given.is_none() {
                match session::one_time_key(account) {
                    Ok((row, key)) => {
                        *one_time = Some(key);
                        self.write(Write::PutAccount(row));
                        let given = Some(key);
                        self.put_contact(ContactRow { given, ..contact });
                    }
                    Err(error) => tracing::error!(%error, "no one-time key could be made"),
                }
            }
        }
        body
    }

    fn has_session_with(&self, principal: &PrincipalId) -> bool {
        let mut sessions = self.disk.sessions.values();
        sessions.any(|session| session.principal == *principal)
    }

    /// Keeps the first one-time key of a contact until a session begins. With a session there is no need of another, and it may be one
    /// that was used already, in a letter that came again.
    pub(crate) fn keep_one_time_key(&mut self, from: &PrincipalId, key: Option<[u8; 32]>) {
        let Some(row) = self.disk.contacts.get(from).cloned() else {
            return;
        };
        let known = self.has_session_with(from);
        if key.is_some() && !known && row.one_time.is_none() {
            self.put_contact(ContactRow { one_time: key, ..row });
        }
    }

    /// What begins a session with this device: stands in its card.
    pub(crate) fn own_olm_keys(&self) -> Option<OlmKeys> {
        let account = self.disk.account.as_ref().filter(|_| self.config.messages)?;
        Some(OlmKeys {
            identity: account.identity,
            fallback: account.fallback,
        })
    }

    /// Does what has become due.
    pub(crate) fn messages_due(&mut self) {
        self.keep_account();
        self.expire_messages();
        self.forget_seen();
        self.show_held();
        self.send_due();
    }

    /// When [`messages_due`](Self::messages_due) has something to do next.
    pub(crate) fn next_message(&self) -> Option<Instant> {
        let now = self.clock.unix;
        let account = self
            .disk
            .account
            .as_ref()
            .filter(|_| self.config.messages)
            .map(|row| self.instant_of(row.fallback_since.plus(FALLBACK_LIFE)));
        let expiry = self.messaging.expiries.first().map(|(at, _)| self.instant_of(*at));
        let held = self.next_held();
        debug_assert!(now.0 > 0, "the wall clock was read");
        [account, expiry, held, self.next_send()].into_iter().flatten().min()
    }

    /// `Command::SendMessage`.
    pub(crate) fn command_send_message(&mut self, new: NewMessage) -> Result<Reply, CommandError> {
        if !self.config.messages {
            return Err(CommandError::MessagesOff);
        }
        let contact = self.find_contact(&new.contact)?.clone();
        let takes = self
            .card_of(&contact.principal)
            .is_none_or(|card| card.bundle.olm.is_some());
        if contact.is_public_only() {
            return Err(CommandError::Stranger { name: contact.name });
        }
        if !takes {
            return Err(CommandError::TakesNoMessages { name: contact.name });
        }
        let full = |what: &str, limit: usize| CommandError::Full {
            what: what.to_owned(),
            limit,
        };
        if self.disk.outbox.len() >= OUTBOX {
            return Err(full("message that waits to be delivered", OUTBOX));
        }
        let waiting = self
            .disk
            .outbox
            .values()
            .filter(|row| row.message.to == contact.principal);
        if waiting.count() >= OUTBOX_PER_CONTACT {
            return Err(full("message that waits for one contact", OUTBOX_PER_CONTACT));
        }
        let mut conversation = self.conversation(&contact.principal);
        let now = self.clock.unix;
        let mut message = Message {
            id: self.random_id(),
            from: self.disk.identity.principal,
            to: contact.principal,
            reply_to: new.reply_to,
            created: now,
            expires: now.plus(new.expires_in.unwrap_or(MESSAGE_DEFAULT_LIFE)),
            subject: new.subject,
            thread: new.thread,
            in_reply_to: new.in_reply_to,
            bodies: new.bodies,
            headers: new.headers,
            // One that takes another way holds up nothing, and waits for nothing.
            previous: conversation.last_sent.filter(|_| !new.direct_only),
            signature: None,
        };
        if new.sign {
            message.sign(&self.disk.identity.device);
        }
        message.check(now).map_err(|error| CommandError::Invalid {
            what: "the message".to_owned(),
            expected: "one within its bounds".to_owned(),
            got: error.to_string(),
        })?;
        let number = self.disk.newest_message.saturating_add(1);
        if !new.direct_only {
            conversation.last_sent = Some(message.id);
        }
        self.write(Write::PutConversation(conversation));
        let row = OutboxRow {
            message: message.clone(),
            number,
            policy: DeliveryPolicy {
                direct_only: new.direct_only,
                copies: new.copies.unwrap_or(POST_RELAYS).clamp(1, MAILBOXES),
            },
            state: MessageState::Queued,
        };
        self.write(Write::PutMessage(MessageRow {
            number,
            contact: contact.principal,
            outgoing: true,
            message: message.clone(),
            at: now,
            after_gap: false,
            signed_by: new.sign.then(|| self.disk.identity.device.id()),
        }));
        self.messaging.expiries.insert((message.expires, message.id));
        let peer = self.messaging.peers.entry(contact.principal).or_default();
        peer.waiting.insert(number, message.id);
        self.write(Write::PutOutbox(row.clone()));
        self.tell_state(&row);
        Ok(Reply::MessageQueued {
            contact: contact.name,
            principal: contact.principal,
            message: message.id,
            number,
            expires: message.expires,
        })
    }

    /// `Command::CancelMessage`.
    pub(crate) fn command_cancel_message(&mut self, id: &RandomId) -> Result<Reply, CommandError> {
        let Some(row) = self.disk.outbox.get(id).cloned() else {
            return Err(CommandError::NotFound {
                what: "message that waits to be delivered".to_owned(),
                name: id.to_string(),
            });
        };
        let offered = self.is_in_flight(id) || self.messaging.left.contains_key(id);
        let may_have_arrived = row.state != MessageState::Queued || offered;
        self.finish(id, MessageState::Cancelled);
        Ok(Reply::MessageCancelled {
            message: *id,
            may_have_arrived,
        })
    }

    /// `Command::RetryMessages`: everything that waits for a contact, or for all, is offered now.
    pub(crate) fn command_retry_messages(&mut self, contact: Option<&str>) -> Result<Reply, CommandError> {
        let only = match contact {
            Some(name) => Some(self.find_contact(name)?.principal),
            None => None,
        };
        let whom: Vec<PrincipalId> = self
            .messaging
            .peers
            .keys()
            .filter(|principal| only.is_none_or(|only| only == **principal))
            .copied()
            .collect();
        for principal in &whom {
            self.messages_due_to(principal);
            self.look_for_card(principal);
        }
        let waiting = self
            .disk
            .outbox
            .values()
            .filter(|row| only.is_none_or(|only| only == row.message.to))
            .count();
        Ok(Reply::MessagesRetried { waiting })
    }

    /// `Command::ListOutbox`.
    pub(crate) fn command_list_outbox(&self) -> Reply {
        let mut rows: Vec<OutboxRow> = self.disk.outbox.values().cloned().collect();
        rows.sort_by_key(|row| row.number);
        let named = rows.into_iter().map(|row| {
            let name = self.name_of(&row.message.to);
            (name, row)
        });
        Reply::Outbox(named.collect())
    }

    /// `Command::MarkRead`: everything of a contact up to a number.
    pub(crate) fn command_mark_read(&mut self, contact: &str, up_to: Option<u64>) -> Result<Reply, CommandError> {
        let contact = self.find_contact(contact)?.clone();
        let mut row = self.conversation(&contact.principal);
        let up_to = up_to.unwrap_or(self.disk.newest_message).min(self.disk.newest_message);
        let read: Vec<RandomId> = row
            .unread
            .iter()
            .filter(|(_, number)| *number <= up_to)
            .map(|(id, _)| *id)
            .collect();
        row.unread.retain(|(_, number)| *number > up_to);
        row.unread_count = if row.unread.is_empty() {
            0
        } else {
            u64::try_from(row.unread.len()).unwrap_or(u64::MAX)
        };
        if up_to > row.read_to {
            row.read_to = up_to;
            if self.config.read_receipts && contact.blocked.is_none() {
                row.owed.read.extend(read.iter().copied());
                while row.owed.read.len() > GONE_KEPT * 4 {
                    // Who takes no receipts for so long does not learn of the oldest.
                    row.owed.read.pop_first();
                }
                self.messaging.peers.entry(contact.principal).or_default().owes |= !read.is_empty();
            }
            self.write(Write::PutConversation(row.clone()));
        }
        Ok(Reply::MarkedRead {
            contact: contact.name,
            read: read.len(),
            unread: row.unread_count,
        })
    }

    /// `Command::ListConversations`: with whom messages were exchanged, and how many of theirs are unread.
    pub(crate) fn command_list_conversations(&self) -> Reply {
        let rows = self.disk.conversations.values().map(|row| {
            (
                self.name_of(&row.principal),
                row.principal,
                row.unread_count,
                row.read_to,
            )
        });
        Reply::Conversations(rows.collect())
    }

    /// `Command::VerifyContact`.
    pub(crate) fn command_verify(&mut self, contact: &str, verified: Option<bool>) -> Result<Reply, CommandError> {
        let row = self.find_contact(contact)?.clone();
        let since = match verified {
            None => row.verified,
            Some(false) => None,
            Some(true) => row.verified.or(Some(self.clock.unix)),
        };
        if since != row.verified {
            self.put_contact(ContactRow {
                verified: since,
                ..row.clone()
            });
        }
        let row = self.find_contact(&row.name)?;
        Ok(Reply::Contact(self.contact_info(row)))
    }

    /// `Command::BlockContact`.
    pub(crate) fn command_block(&mut self, contact: &str, politely: bool) -> Result<Reply, CommandError> {
        let row = self.find_contact(contact)?.clone();
        self.put_contact(ContactRow {
            blocked: Some(politely),
            ..row.clone()
        });
        let row = self.find_contact(&row.name)?;
        Ok(Reply::Contact(self.contact_info(row)))
    }

    /// `Command::UnblockContact`.
    pub(crate) fn command_unblock(&mut self, contact: &str) -> Result<Reply, CommandError> {
        let row = self.find_contact(contact)?.clone();
        self.put_contact(ContactRow {
            blocked: None,
            ..row.clone()
        });
        let row = self.find_contact(&row.name)?;
        Ok(Reply::Contact(self.contact_info(row)))
    }

    /// A contact was removed: nothing goes to them any more, and what came is kept.
    pub(crate) fn end_messages(&mut self, principal: &PrincipalId) {
        let waiting: Vec<RandomId> = self
            .disk
            .outbox
            .values()
            .filter(|row| row.message.to == *principal)
            .map(|row| row.message.id)
            .collect();
        for id in waiting {
            self.finish(&id, MessageState::Failed(FailureReason::Removed));
        }
        let sessions: Vec<SessionKey> = self
            .disk
            .sessions
            .values()
            .filter(|row| row.principal == *principal)
            .map(|row| row.key)
            .collect();
        for key in sessions {
            self.write(Write::DeleteSession(key));
        }
        // What was confirmed is shown.
        self.show_all_held(principal);
        if self.disk.conversations.contains_key(principal) {
            // Should they come back, what came before is not unread again.
            self.write(Write::PutConversation(ConversationRow {
                read_to: self.disk.newest_message,
                ..ConversationRow::new(*principal)
            }));
        }
        self.end_batches(principal);
        self.messaging.peers.remove(principal);
    }

    /// A message of ours has come to its end.
    fn finish(&mut self, id: &RandomId, state: MessageState) {
        let Some(mut row) = self.disk.outbox.get(id).cloned() else {
            return;
        };
        row.state = state;
        self.write(Write::DeleteOutbox(*id));
        if self.disk.sealed.contains_key(id) {
            self.write(Write::DeleteSealed(*id));
        }
        self.messaging.expiries.remove(&(row.message.expires, *id));
        self.take_out(id, row.state == MessageState::Delivered);
        let Messaging { peers, left, .. } = &mut self.messaging;
        if let Some(peer) = peers.get_mut(&row.message.to) {
            peer.forget(row.number);
            if row.state == MessageState::Delivered {
                peer.is_there(row.number, left);
            }
        }
        let mut conversation = self.conversation(&row.message.to);
        if row.state == MessageState::Delivered {
            conversation.gone.retain(|(_, since)| *since >= row.number);
            conversation.unread_there.push((*id, row.number));
            keep_newest(&mut conversation.unread_there);
        } else {
            let gone = Gone {
                id: *id,
                previous: row.message.previous,
            };
            conversation.gone.push((gone, self.disk.newest_message));
            keep_newest(&mut conversation.gone);
            self.seal_anew_after(&row);
        }
        self.write(Write::PutConversation(conversation));
        self.tell_state(&row);
    }

    /// What was sealed before one went that it follows does not say so yet: where it still waits, it is sealed anew.
    fn seal_anew_after(&mut self, gone: &OutboxRow) {
        let Some(peer) = self.messaging.peers.get(&gone.message.to) else {
            return;
        };
        let sealed: Vec<RandomId> = peer
            .after(gone.number)
            .filter(|id| self.disk.sealed.contains_key(id))
            .collect();
        for id in sealed {
            self.write(Write::DeleteSealed(id));
        }
    }

    /// Keeps how far a message of ours has come, and tells of it.
    fn tell_state(&mut self, row: &OutboxRow) {
        self.write(Write::PutMessageState(MessageStateRow {
            number: row.number,
            state: row.state.clone(),
            since: self.clock.unix,
        }));
        let event = Event::MessageChanged(MessageChange {
            contact: self.name_of(&row.message.to),
            principal: row.message.to,
            message: row.message.id,
            number: row.number,
            state: row.state.clone(),
        });
        // Whoever is asked to send it has an answer; that it was taken, or is there, is not what a person waits for.
        self.tell_patiently(event);
    }

    fn expire_messages(&mut self) {
        while let Some((at, id)) = self.messaging.expiries.first().copied()
            && at <= self.clock.unix
        {
            self.messaging.expiries.pop_first();
            self.finish(&id, MessageState::Expired);
        }
    }

    /// The conversation with a contact, or one that begins.
    fn conversation(&self, principal: &PrincipalId) -> ConversationRow {
        let known = self.disk.conversations.get(principal);
        known.cloned().unwrap_or_else(|| ConversationRow::new(*principal))
    }

    fn name_of(&self, principal: &PrincipalId) -> String {
        let contact = self.disk.contacts.get(principal);
        contact.map_or_else(|| principal.short(), |contact| contact.name.clone())
    }
}

/// Lists that are kept for what may still refer to them stay short: the oldest go first.
fn keep_newest<T>(list: &mut Vec<T>) {
    if list.len() > GONE_KEPT {
        let over = list.len() - GONE_KEPT;
        list.drain(..over);
    }
}
