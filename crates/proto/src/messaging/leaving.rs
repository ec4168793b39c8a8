//! Messages and receipts for a contact who cannot be reached: what waits is left in their mailboxes, several in one envelope, one
//! envelope after the other. It goes on waiting here until a receipt comes, since relays lose things. `post` does the carrying.

use super::outbox::Taken;
use super::rows::{MessageState, OutboxRow, Owed};
use crate::limits::{POST_RELAYS, RECEIPT_WAIT, STORED_RETRY};
use crate::node::Node;
use crate::rows::{BatchContents, Item};
use crate::step::Write;
use porchlight_wire::cbor;
use porchlight_wire::content::{Content, OlmPacket};
use porchlight_wire::envelope::{self, ENVELOPE_CONTENT, ENVELOPE_CONTENT_USUAL};
use porchlight_wire::ids::{PrincipalId, RandomId};
use porchlight_wire::limits::BATCH;
use std::collections::BTreeMap;

/// Bytes of an envelope's content that are not Olm messages, generously: a map, a word and a length.
const AROUND: usize = 32;

/// What was left together.
#[derive(Debug)]
pub(super) struct Batch {
    to: PrincipalId,
    messages: BTreeMap<u64, RandomId>,
    receipts: Owed,
}

impl Node {
    /// Takes up what is on disk.
    pub(super) fn restore_batches(&mut self) {
        for parcel in self.disk.parcels.values() {
            let (Item::Batch(id), Some(contents)) = (parcel.item, &parcel.batch) else {
                continue;
            };
            let numbered = contents.messages.iter().filter_map(|message| {
                let row = self.disk.outbox.get(message)?;
                Some((row.number, *message))
            });
            let batch = self.messaging.batches.entry(id).or_insert_with(|| Batch {
                to: parcel.to,
                messages: numbered.collect(),
                receipts: contents.receipts.clone(),
            });
            let messages: Vec<RandomId> = batch.messages.values().copied().collect();
            self.messaging
                .left
                .extend(messages.into_iter().map(|message| (message, id)));
        }
        let unstored: Vec<(PrincipalId, RandomId)> = self
            .messaging
            .batches
            .iter()
            .filter(|(id, _)| self.stored_at(Item::Batch(**id)).is_none())
            .map(|(id, batch)| (batch.to, *id))
            .collect();
        for (to, id) in unstored {
            self.messaging.peers.entry(to).or_default().leaving = Some(id);
        }
    }

    /// Leaves what waits for a contact who cannot be reached, unless something else is being left for them: what comes meanwhile
    /// goes together.
    pub(super) fn leave_waiting(&mut self, to: &PrincipalId) {
        let Some(peer) = self.messaging.peers.get_mut(to) else {
            return;
        };
        if !peer.unreachable && !peer.is_behind(&self.messaging.left) {
            return;
        }
        // They would not know us yet, and throw it away.
        if self.is_introducing(to) {
            return;
        }
        let Some(peer) = self.messaging.peers.get_mut(to) else {
            return;
        };
        let again = self.clock.instant.plus(STORED_RETRY);
        let left = &self.messaging.left;
        for (number, id) in peer.waiting.extract_if(.., |_, id| left.contains_key(id)) {
            peer.taken.insert(number, Taken::left(id, again));
        }
        if peer.leaving.is_some() || (peer.waiting.is_empty() && !peer.wants_to_confirm()) || !self.can_post(to) {
            return;
        }
        let Some((contents, packets, copies)) = self.pack(to) else {
            return;
        };
        let content = match <[OlmPacket; 1]>::try_from(packets) {
            Ok([packet]) => Content::Olm(packet),
            Err(packets) => Content::Batch(packets),
        };
        let content = content.to_bytes();
        let id = self.random_id();
        let item = Item::Batch(id);
        self.post(item, Some(&contents), (*to, copies), |node| {
            node.seal_content(to, &content)
        });
        if !self.is_posted(item) {
            return;
        }
        let Some(peer) = self.messaging.peers.get_mut(to) else {
            return;
        };
        let mut messages = BTreeMap::new();
        for (number, message) in peer.waiting.extract_if(.., |_, id| contents.messages.contains(id)) {
            peer.taken.insert(number, Taken::left(message, again));
            messages.insert(number, message);
        }
        peer.leaving = Some(id);
        peer.written = None;
        self.messaging
            .left
            .extend(messages.values().map(|message| (*message, id)));
        let batch = Batch {
            to: *to,
            messages,
            receipts: contents.receipts,
        };
        self.messaging.batches.insert(id, batch);
    }

    /// As much of what waits as one envelope holds, and at how many relays it is left.
    fn pack(&mut self, to: &PrincipalId) -> Option<(BatchContents, Vec<OlmPacket>, usize)> {
        let (mut contents, mut packets) = (BatchContents::default(), Vec::new());
        let mut room = ENVELOPE_CONTENT - AROUND;
        let peer = self.messaging.peers.get(to)?;
        if peer.wants_to_confirm()
            && let Some((receipts, _, packet)) = self.pack_receipts(to)
        {
            room = room.saturating_sub(cbor::encode(&packet).len());
            packets.push(packet);
            contents.receipts = receipts;
            contents.order = self.disk.newest_message;
        }
        let peer = self.messaging.peers.get(to)?;
        let waiting: Vec<OutboxRow> = peer
            .waiting
            .iter()
            .take_while(|(number, _)| peer.may_be_left(**number, &self.messaging.left))
            .filter_map(|(_, id)| self.disk.outbox.get(id))
            .filter(|row| !row.policy.direct_only)
            .take(BATCH - packets.len())
            .cloned()
            .collect();
        let copies = waiting.first().map_or(POST_RELAYS, |row| row.policy.copies);
        let mut usual = packets.len();
        let mut numbers = Vec::new();
        for row in waiting.into_iter().take_while(|row| row.policy.copies == copies) {
            let Some(sealed) = self.sealed(&row) else {
                break;
            };
            let bytes = cbor::encode(&sealed.packet).len();
            if bytes > room {
                break;
            }
            room -= bytes;
            packets.push(sealed.packet);
            contents.messages.push(row.message.id);
            numbers.push(row.number);
            if ENVELOPE_CONTENT - room <= ENVELOPE_CONTENT_USUAL {
                usual = packets.len();
            }
        }
        if usual * 2 > packets.len() {
            // An envelope of a quarter of the size holds most of it: the rest goes in the next one, and of a mailbox's room, which
            // is counted in bytes, less is taken.
            let receipts = packets.len() - contents.messages.len();
            packets.truncate(usual);
            contents.messages.truncate(usual - receipts);
            numbers.truncate(usual - receipts);
        }
        contents.order = numbers.last().copied().unwrap_or(contents.order);
        (!packets.is_empty()).then_some((contents, packets, copies))
    }

    /// An envelope with this for the device in a contact's card.
    pub(super) fn seal_content(&mut self, to: &PrincipalId, content: &[u8]) -> Option<Vec<u8>> {
        let key = self.card_of(to)?.bundle.envelope_key.clone();
        envelope::seal(&key, content, &mut self.rng)
            .inspect_err(|error| tracing::error!(%error, "a message of ours cannot be sealed"))
            .ok()
    }

    /// A relay keeps a batch.
    pub(crate) fn batch_stored(&mut self, id: &RandomId) {
        let stored = self.stored_at(Item::Batch(*id));
        let (Some(batch), Some((relays, until))) = (self.messaging.batches.get_mut(id), stored) else {
            // What was in it has come to its end meanwhile.
            return self.drop_parcels(Item::Batch(*id));
        };
        let (to, receipts) = (batch.to, std::mem::take(&mut batch.receipts));
        let messages: Vec<RandomId> = batch.messages.values().copied().collect();
        if let Some(peer) = self.messaging.peers.get_mut(&to)
            && peer.leaving == Some(*id)
        {
            peer.leaving = None;
        }
        // If the relay loses them, the messages come again and are confirmed again.
        self.confirm_receipts(&to, &receipts);
        if messages.is_empty() {
            if self.is_stored(Item::Batch(*id)) {
                self.drop_batch(id);
            }
            return;
        }
        for message in messages {
            if let Some(mut row) = self.disk.outbox.get(&message).cloned() {
                row.state = MessageState::Stored {
                    relays: relays.clone(),
                    until,
                };
                self.write(Write::PutOutbox(row.clone()));
                self.tell_state(&row);
            }
        }
    }

    /// One of the relays does not keep a batch, or no longer.
    pub(crate) fn batch_not_stored(&mut self, id: &RandomId) {
        if self.stored_at(Item::Batch(*id)).is_none() {
            self.dissolve(id);
        }
    }

    /// What is in a batch waits anew.
    fn dissolve(&mut self, id: &RandomId) {
        let Some(batch) = self.messaging.batches.get(id) else {
            return;
        };
        let (to, messages) = (batch.to, batch.messages.clone());
        self.drop_batch(id);
        for (number, message) in messages {
            self.messaging.left.remove(&message);
            if let Some(peer) = self.messaging.peers.get_mut(&to)
                && peer.taken.remove(&number).is_some()
            {
                peer.waiting.insert(number, message);
            }
            if let Some(mut row) = self.disk.outbox.get(&message).cloned()
                && matches!(row.state, MessageState::Stored { .. })
            {
                row.state = MessageState::Queued;
                self.write(Write::PutOutbox(row.clone()));
                self.tell_state(&row);
            }
        }
    }

    fn drop_batch(&mut self, id: &RandomId) {
        self.drop_parcels(Item::Batch(*id));
        if let Some(batch) = self.messaging.batches.remove(id)
            && let Some(peer) = self.messaging.peers.get_mut(&batch.to)
            && peer.leaving == Some(*id)
        {
            peer.leaving = None;
        }
    }

    /// A message of ours does not wait any more. If it did not arrive, others that were to be left with it go without it.
    pub(super) fn take_out(&mut self, message: &RandomId, arrived: bool) {
        let Some(id) = self.messaging.left.remove(message) else {
            return;
        };
        let Some(batch) = self.messaging.batches.get_mut(&id) else {
            return;
        };
        batch.messages.retain(|_, other| other != message);
        if batch.messages.is_empty() && batch.receipts.is_empty() {
            self.drop_batch(&id);
        } else if !arrived && self.stored_at(Item::Batch(id)).is_none() {
            self.dissolve(&id);
        }
    }

    /// Nothing is left for this one any more.
    pub(super) fn end_batches(&mut self, to: &PrincipalId) {
        let batches = self.messaging.batches.iter();
        let ids: Vec<RandomId> = batches
            .filter(|(_, batch)| batch.to == *to)
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.drop_batch(&id);
        }
    }

    /// A contact gave a sign of life. They take what is stored out of their mailboxes themselves: it is offered only if that
    /// leads to nothing.
    pub(super) fn left_due_to(&mut self, to: &PrincipalId) {
        let (now, soon) = (self.clock.instant, self.clock.instant.plus(RECEIPT_WAIT));
        let Some(peer) = self.messaging.peers.get_mut(to) else {
            return;
        };
        for taken in peer.taken.values_mut() {
            if let Some(id) = self.messaging.left.get(&taken.id) {
                let due = if peer.leaving == Some(*id) { now } else { soon };
                taken.again = taken.again.min(due);
            }
        }
    }
}
