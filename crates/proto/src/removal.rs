//! Taking access back. Whoever holds a generation of a view can read what is published under it, so a right is taken back by
//! ending the generation: its last record is signed, its keys are destroyed, and everybody else is granted the next one.

use crate::clock::Instant;
use crate::contacts::full;
use crate::event::Event;
use crate::input::PutId;
use crate::limits::{CLOSING_DELAY, FORMER, RETRY_LAST};
use crate::node::Node;
use crate::presence::presentity::farewell;
use crate::publication::{Name, Publication};
use crate::reply::{CommandError, Reply};
use crate::retry::{Attempts, backoff};
use crate::rows::{ClosingRow, ContactRow, FormerRow, GrantedView, InviteRow, ViewRow};
use crate::step::{Effect, Write};
use porchlight_wire::beacon::VerifiedBeacon;
use porchlight_wire::blind::{BlindedKey, GenerationKey, Kind};
use porchlight_wire::frame::Admission;
use porchlight_wire::grant::Right;
use porchlight_wire::ids::PrincipalId;
use porchlight_wire::letter::LetterBody;
use porchlight_wire::presence::PresenceState;
use porchlight_wire::time::UnixMillis;
use serde_bytes::ByteBuf;
use std::collections::{BTreeMap, BTreeSet};

/// How sending the last records of ended generations goes. Volatile: after a restart each is due at once.
#[derive(Debug, Default)]
pub(crate) struct Closings {
    attempts: Attempts<BlindedKey>,
    /// Those that are still to be gossiped.
    ungossiped: BTreeSet<BlindedKey>,
    puts: BTreeMap<PutId, BlindedKey>,
}

impl Node {
    /// `Command::RemoveContact`: they are told that it has ended, and read nothing that follows.
    pub(crate) fn command_remove_contact(&mut self, contact: &str) -> Result<Reply, CommandError> {
        let contact = self.find_contact(contact)?.clone();
        let principal = contact.principal;
        if contact.granted.is_some() && self.disk.former.len() >= FORMER {
            return Err(full("contact who is still to be told of their removal", FORMER));
        }
        self.bar(&principal);
        self.drop_letters(|letter| letter.to == principal);
        self.end_messages(&principal);
        self.write(Write::DeleteContact(principal));
        if self.disk.observed.contains_key(&principal) {
            self.write(Write::DeleteObserved(principal));
        }
        if let Some(granted) = &contact.granted {
            self.end_access(&contact, granted);
        }
        let card = self.cards.remove(&principal);
        if contact.granted.is_some() {
            if let Some(card) = card {
                self.former_cards.insert(principal, card);
            }
            self.write(Write::PutFormer(FormerRow {
                principal,
                name: contact.name.clone(),
                card_key: contact.card_key.clone(),
                card: contact.card.clone(),
            }));
            let sequence = self.next_sequence();
            self.write_letter(principal, LetterBody::Ended { sequence }, Admission::Open);
        }
        self.forget_stamps(&principal);
        self.tell(Event::ContactRemoved {
            contact: contact.name.clone(),
            principal,
        });
        self.sync_watched();
        self.interest_changed = true;
        Ok(Reply::Removed {
            contact: contact.name,
            principal,
        })
    }

    /// `Command::RevokeGrant`: they stay a contact, and see nothing of ours any more.
    pub(crate) fn command_revoke_grant(&mut self, contact: &str) -> Result<Reply, CommandError> {
        let contact = self.find_contact(contact)?.clone();
        let Some(granted) = contact.granted.clone() else {
            return Err(CommandError::NothingGranted { name: contact.name });
        };
        let principal = contact.principal;
        self.bar(&principal);
        self.put_contact(ContactRow {
            granted: None,
            ..contact.clone()
        });
        self.drop_letters_to(&principal);
        self.end_access(&contact, &granted);
        let sequence = self.next_sequence();
        self.write_letter(principal, LetterBody::Ended { sequence }, Admission::Open);
        let contact = self.find_contact(&contact.name)?;
        Ok(Reply::Contact(self.contact_info(contact)))
    }

    /// Nobody gets back in by an invite that is out already. Those they used end: whoever has one can read its temporary view.
    fn bar(&mut self, principal: &PrincipalId) {
        let rows: Vec<InviteRow> = self.disk.invites.values().cloned().collect();
        for mut row in rows {
            let id = row.id;
            let used = row.used_by.contains(principal) && row.uses_left() > 0;
            if row.barred.insert(*principal) {
                self.write(Write::PutInvite(row));
            }
            if used {
                self.end_invite(&id);
            }
        }
    }

    /// The view that `contact` was granted moves on without them.
    pub(crate) fn end_access(&mut self, contact: &ContactRow, granted: &GrantedView) {
        self.next_generation(&granted.view);
        if !granted.shows() {
            return;
        }
        self.tell(Event::WatcherRevoked {
            contact: contact.name.clone(),
            principal: contact.principal,
            view: granted.view.clone(),
        });
    }

    /// Ends the current generation of a view, and grants the next one to all who hold the view by then.
    pub(crate) fn next_generation(&mut self, name: &str) {
        let Some(view) = self.disk.views.get(name).cloned() else {
            return;
        };
        if view.shows_nothing() {
            // It was never published: there is nothing to keep from anybody.
            return;
        }
        self.close(&view);
        let key = GenerationKey::random(&mut self.rng);
        self.write(Write::PutView(ViewRow {
            generation: view.generation.saturating_add(1),
            key,
            ..view
        }));
        let holders: Vec<PrincipalId> = self
            .disk
            .contacts
            .values()
            .filter(|contact| contact.granted.as_ref().is_some_and(|granted| granted.view == name))
            .map(|contact| contact.principal)
            .collect();
        for principal in holders {
            self.give_grant(&principal, name);
        }
        self.interest_changed = true;
    }

    /// Makes the last records of a generation: for this epoch and the next. They are kept until the network has them.
    pub(crate) fn close(&mut self, view: &ViewRow) {
        let gossip = view.rights.contains(&Right::Subscribe);
        let mut publication = self
            .publications
            .remove(&Name::View(view.name.clone()))
            .unwrap_or_else(|| Publication::new(view.key.clone(), Kind::Presence, gossip));
        let state = PresenceState {
            issued: self.clock.unix,
            lease: self.config.lease,
            ended: true,
            document: farewell(self.disk.identity.principal),
            reach: None,
        };
        let Ok(payload) = state.to_bytes() else {
            return;
        };
        for beacon in self.closing_records(&mut publication, UnixMillis(u64::MAX), &payload) {
            // Whoever is moved on has a moment to do so: a view that ends under them would be shown as unknown meanwhile.
            let at = self.clock.instant.plus(CLOSING_DELAY);
            self.closings.attempts.at(beacon.pk(), at);
            if gossip {
                self.closings.ungossiped.insert(beacon.pk());
            }
            self.write(Write::PutClosing(ClosingRow {
                pk: beacon.pk(),
                beacon: ByteBuf::from(beacon.bytes()),
            }));
        }
    }

    /// Sends what is due of the last records.
    pub(crate) fn closings_due(&mut self) {
        let now = self.clock.instant;
        let due: Vec<ClosingRow> = self
            .disk
            .closings
            .values()
            .filter(|row| self.closings.attempts.is_due(&row.pk, now))
            .cloned()
            .collect();
        for row in due {
            let Ok(beacon) = VerifiedBeacon::verify(&row.beacon, &self.config.network, self.clock.unix) else {
                // Its time is over, and with it every older record of its generation.
                self.forget_closing(&row.pk);
                continue;
            };
            let put = PutId(self.next_id());
            let after_restart = !self.closings.attempts.knows(&row.pk);
            self.closings.attempts.begin(row.pk);
            if self.closings.ungossiped.remove(&row.pk) || after_restart {
                self.step.effect(Effect::Gossip { beacon: beacon.clone() });
            }
            self.closings.puts.insert(put, row.pk);
            let record = beacon.into();
            self.step.effect(Effect::Put { put, record });
        }
    }

    /// When [`closings_due`](Self::closings_due) has something to do next.
    pub(crate) fn next_closing(&self) -> Option<Instant> {
        self.disk
            .closings
            .keys()
            .filter_map(|pk| self.closings.attempts.next(pk, self.clock.instant))
            .min()
    }

    /// A put has ended; true if it was one of a last record.
    pub(crate) fn on_closing_put(&mut self, put: PutId, stored: u32) -> bool {
        let Some(pk) = self.closings.puts.remove(&put) else {
            return false;
        };
        if stored > 0 {
            self.forget_closing(&pk);
            return true;
        }
        let wait = backoff(self.closings.attempts.tries(&pk), RETRY_LAST, &mut self.rng);
        self.closings.attempts.at(pk, self.clock.instant.plus(wait));
        true
    }

    /// A relay appeared: what nobody kept so far may be kept now.
    pub(crate) fn closings_again(&mut self) {
        self.closings.attempts.hurry_all();
    }

    fn forget_closing(&mut self, pk: &BlindedKey) {
        self.closings.attempts.forget(pk);
        self.closings.ungossiped.remove(pk);
        self.write(Write::DeleteClosing(*pk));
    }

    /// Whoever was removed has been told, or is a contact again.
    pub(crate) fn forget_former(&mut self, principal: &PrincipalId) {
        self.former_cards.remove(principal);
        if self.disk.former.contains_key(principal) {
            self.write(Write::DeleteFormer(*principal));
        }
        self.forget_stamps(principal);
    }
}
