//! What only the core knows of a contact who cannot be seen or reached: how far it is with them, which letters and messages
//! wait and why, where their records stand, and what a record found there says. The edge asks for it when it diagnoses, looks into the
//! network meanwhile, and asks again with what it found. It changes nothing, and no key leaves the core.

use crate::contacts::newest_card;
use crate::event::Verdict;
use crate::letters::kind_of;
use crate::messaging::rows::MessageState;
use crate::node::Node;
use crate::presence::belief::{Received, Record, belief};
use crate::publication::SLOT;
use crate::reply::{CommandError, ContactInfo, ContactPresence};
use crate::rows::{ContactRow, Item};
use porchlight_wire::beacon::VerifiedBeacon;
use porchlight_wire::blind::{BlindedKey, Epoch};
use porchlight_wire::ids::{NodeAddress, NodeId};
use porchlight_wire::presence::{PresenceState, Reach};
use porchlight_wire::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What is known of a contact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Examined {
    /// The contact, as it is listed.
    pub contact: ContactInfo,
    /// What is told of their presence now.
    pub presence: ContactPresence,
    /// What we hold of theirs.
    pub held: Option<Held>,
    /// Letters that wait to be delivered to them, oldest first.
    pub letters: Vec<WaitingLetter>,
    /// Messages to them that no receipt has come for.
    pub messages: WaitingMessages,
    /// Whether there is a live source: news of them would reach us now.
    pub live: bool,
    /// Where their presence record stands: today's and yesterday's address; none if we hold nothing of theirs.
    pub presence_at: Vec<BlindedKey>,
    /// Where their card stands.
    pub card_at: Vec<BlindedKey>,
    /// The newest presence record among what was found.
    pub record: Option<FoundRecord>,
    /// When the newest card among what was found was issued.
    pub card: Option<UnixMillis>,
    /// Their node and ways to dial it, by the newest card known or found, and by the view of theirs that we watch.
    pub addresses: Vec<NodeAddress>,
    /// Their relays, by the same.
    pub relays: Vec<NodeAddress>,
}

/// What we hold of a contact's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// It is the temporary view of their invite: they have not answered yet.
    pub temporary: bool,
    /// It is in the DHT only: there is nothing to be notified of.
    pub lookup_only: bool,
}

/// A letter that waits to be delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingLetter {
    /// What kind: "introduce", "grant", …
    pub kind: String,
    /// When it was written.
    pub created: UnixMillis,
    /// How often it was offered since this node came up.
    pub tries: u32,
    /// Why it was not taken last.
    pub failure: Option<String>,
    /// Whether a relay keeps a copy, in their mailbox.
    pub stored: bool,
}

/// Messages of ours to a contact that no receipt has come for yet, taken together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingMessages {
    /// How many there are.
    pub count: usize,
    /// How many of them their node took.
    pub sent: usize,
    /// How many of them relays keep for them.
    pub stored: usize,
    /// When the oldest was written.
    pub oldest: Option<UnixMillis>,
    /// The relays that keep some.
    pub relays: BTreeSet<NodeId>,
    /// When the first of those that relays keep is dropped there.
    pub stored_until: Option<UnixMillis>,
}

/// A presence record that was found, judged as if it were all that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FoundRecord {
    /// It does not open by what we hold.
    Unreadable,
    /// It opens.
    Read {
        /// What would be told of it.
        verdict: Verdict,
        /// When it was issued, by their clock.
        issued: UnixMillis,
    },
}

impl Node {
    /// `Command::Examine`.
    pub(crate) fn command_examine(&self, contact: &str, found: &[VerifiedBeacon]) -> Result<Examined, CommandError> {
        let row = self.find_contact(contact)?;
        let principal = row.principal;
        let at = row.held.as_ref().map(|held| self.presence_addresses(&held.read));
        let presence_at = at.unwrap_or_default();
        let card_at = self.card_addresses(&row.card_key);
        let found_card = newest_card(&principal, &row.card_key, &among(found, &card_at), self.clock.unix);
        let issued = found_card
            .as_ref()
            .and_then(|card| card.verify(&principal, self.clock.unix).ok())
            .map(|card| card.bundle.issued);
        let newest = found_card.map(|card| self.newer_card(&principal, &card));
        let card = newest
            .and_then(|card| card.verify(&principal, self.clock.unix).ok())
            .or_else(|| self.card_of(&principal).cloned());
        let (mut addresses, relays) =
            card.map_or_else(Default::default, |card| (card.bundle.addresses, card.bundle.relays));
        for told in self.told_reach(&principal).into_iter().flat_map(Reach::nodes) {
            if !addresses.contains(&told) {
                addresses.push(told);
            }
        }
        let watched = self.watched.get(&principal);
        Ok(Examined {
            contact: self.contact_info(row),
            presence: self.told_of(row),
            held: row.held.as_ref().map(|held| Held {
                temporary: held.generation == 0 && !held.public,
                lookup_only: self.is_lookup_only(&principal),
            }),
            letters: self.letters_waiting_for(row),
            messages: self.messages_waiting_for(row),
            live: watched.is_some_and(|watched| self.has_source(&principal, watched)),
            record: self.judge_found(row, &among(found, &presence_at)),
            card: issued,
            presence_at: presence_at.iter().map(|(pk, _)| *pk).collect(),
            card_at: card_at.iter().map(|(pk, _)| *pk).collect(),
            addresses,
            relays,
        })
    }

    fn letters_waiting_for(&self, contact: &ContactRow) -> Vec<WaitingLetter> {
        let letters = self.disk.letters.values();
        let mut waiting: Vec<WaitingLetter> = letters
            .filter(|letter| letter.to == contact.principal)
            .map(|letter| {
                let (tries, failure) = self.outbox.tried(&letter.id);
                WaitingLetter {
                    kind: kind_of(&letter.body).to_owned(),
                    created: letter.created,
                    tries,
                    failure: failure.map(str::to_owned),
                    stored: self.is_stored(Item::Letter(letter.id)),
                }
            })
            .collect();
        waiting.sort_by_key(|letter| letter.created);
        waiting
    }

    fn messages_waiting_for(&self, contact: &ContactRow) -> WaitingMessages {
        let mut waiting = WaitingMessages::default();
        for row in self
            .disk
            .outbox
            .values()
            .filter(|row| row.message.to == contact.principal)
        {
            waiting.count += 1;
            let written = row.message.created;
            waiting.oldest = Some(waiting.oldest.map_or(written, |oldest| oldest.min(written)));
            match &row.state {
                MessageState::Sent => waiting.sent += 1,
                MessageState::Stored { relays, until } => {
                    waiting.stored += 1;
                    waiting.relays.extend(relays);
                    waiting.stored_until = Some(waiting.stored_until.map_or(*until, |first| first.min(*until)));
                }
                MessageState::Queued
                | MessageState::Delivered
                | MessageState::Read
                | MessageState::Failed(_)
                | MessageState::Expired
                | MessageState::Cancelled => {}
            }
        }
        waiting
    }

    /// The newest that opens; if none does, that there is one.
    fn judge_found(&self, contact: &ContactRow, found: &[(VerifiedBeacon, Epoch)]) -> Option<FoundRecord> {
        let held = contact.held.as_ref()?;
        let readable = found.iter().filter_map(|(beacon, epoch)| {
            let payload = beacon.open(&held.read, *epoch, SLOT).ok()?;
            let state = PresenceState::from_bytes(&payload).ok()?;
            (state.document.entity == contact.principal).then_some((beacon.sequence(), state))
        });
        match readable.max_by_key(|(sequence, _)| *sequence) {
            None => (!found.is_empty()).then_some(FoundRecord::Unreadable),
            Some((sequence, state)) => {
                let record = Record {
                    state: &state,
                    sequence,
                    source: crate::event::Source::Dht,
                    received: Received::Late,
                };
                Some(FoundRecord::Read {
                    verdict: belief(Some(&record), true, self.clock).verdict,
                    issued: state.issued,
                })
            }
        }
    }
}

/// Those that stand at one of the addresses, with its epoch.
fn among(found: &[VerifiedBeacon], at: &[(BlindedKey, Epoch)]) -> Vec<(VerifiedBeacon, Epoch)> {
    found
        .iter()
        .filter_map(|beacon| {
            let (_, epoch) = at.iter().find(|(pk, _)| *pk == beacon.pk())?;
            Some((beacon.clone(), *epoch))
        })
        .collect()
}
