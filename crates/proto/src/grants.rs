//! Grants: what others let us see, and what we let them see. A grant of ours waits in the outbox until it is delivered; one
//! that is about to end is renewed in time. Called by the core for letters that come in, and after every input.

use crate::clock::Instant;
use crate::contacts::NO_VIEW;
use crate::limits::{GRANT_LIFE, RENEW_ASK, RENEW_GIVE, RENEW_SPACING, RENEWAL_CHECK};
use crate::node::Node;
use crate::presence::watcher::is_live;
use crate::rows::{ContactRow, GrantedView, HeldView, Projection, SubscriptionState, ViewRow};
use crate::step::Write;
use porchlight_wire::blind::{GenerationKey, ReadKey};
use porchlight_wire::card::SignedCard;
use porchlight_wire::device_list::DeviceList;
use porchlight_wire::frame::{Admission, Refusal};
use porchlight_wire::grant::{Grant, GrantSecrets, Right, SignedGrant};
use porchlight_wire::ids::PrincipalId;
use porchlight_wire::letter::LetterBody;
use std::collections::BTreeSet;

impl Node {
    /// A contact grants us a view.
    pub(crate) fn accept_grant(
        &mut self,
        from: &PrincipalId,
        devices: &DeviceList,
        grant: &SignedGrant,
        card_key: &ReadKey,
        card: &SignedCard,
        name: Option<&str>,
    ) -> Result<(), Refusal> {
        let held = self.check_grant(grant, devices).ok_or(Refusal::Invalid)?;
        card.verify(from, self.clock.unix).map_err(|_| Refusal::Invalid)?;
        let Some(contact) = self.disk.contacts.get(from) else {
            return Err(Refusal::NotAdmitted);
        };
        let mut row = contact.clone();
        if held.sequence <= row.access_sequence || !is_newer(&held, row.held.as_ref()) {
            // An older grant that arrives late, or again: it was dealt with.
            return Ok(());
        }
        row.access_sequence = held.sequence;
        let moved = row.held.as_ref().is_none_or(|old| old.read != held.read);
        row.held = Some(held);
        row.card_key = card_key.clone();
        row.card = self.newer_card(from, card);
        row.told_name = name.map(str::to_owned).or(row.told_name);
        row.problem = None;
        // Whoever subscribed once and was then refused, ended, or only let ask, goes on when they are granted it again. Whoever
        // unsubscribed does not.
        let resumes = row.subscription.is_some();
        self.put_contact(row);
        // That they answered says that our introduction arrived, even if its acknowledgement was lost.
        self.drop_introductions_to(from);
        if moved {
            // What was gossiped before they could read our view passed them by.
            self.touch_granted(from);
        }
        if resumes {
            let state = self.state_by_rights(from);
            self.set_subscription(from, Some(state));
        }
        if moved {
            self.sync_watched();
            self.watch_anew(from);
        }
        Ok(())
    }

    /// A contact says that they ended or refused what they granted. What is older than what they last said of it was played
    /// back, or is late.
    pub(crate) fn accept_end_letter(&mut self, from: &PrincipalId, sequence: u64, state: SubscriptionState) {
        let Some(mut row) = self.disk.contacts.get(from).cloned() else {
            return;
        };
        if sequence <= row.access_sequence {
            return;
        }
        row.access_sequence = sequence;
        self.put_contact(row);
        self.accept_end(from, state);
    }

    /// What a contact granted has ended.
    pub(crate) fn accept_end(&mut self, from: &PrincipalId, state: SubscriptionState) {
        // Whoever asked them to renew it has the answer: out of a mailbox they would never confirm what they refuse.
        self.drop_renewals_to(from);
        if is_live(self.subscription_of(from)) {
            self.set_subscription(from, Some(state));
        }
        if let Some(contact) = self.disk.contacts.get(from)
            && contact.held.is_some()
        {
            let mut row = contact.clone();
            row.held = None;
            self.put_contact(row);
            self.write(Write::DeleteObserved(*from));
        }
        self.sync_watched();
    }

    /// A contact lost track of our view: send them its current generation again.
    pub(crate) fn accept_renewal(&mut self, from: &PrincipalId) -> Result<(), Refusal> {
        let granted = self.disk.contacts.get(from).and_then(|contact| contact.granted.clone());
        let Some(granted) = granted else {
            return Err(Refusal::NotAdmitted);
        };
        // One that is on its way already is the answer: asking again and again makes no more of them.
        if !self.grant_waits(from) {
            self.give_grant(from, &granted.view);
        }
        Ok(())
    }

    /// Grants a contact the current generation of one of our views. The letter waits until it is delivered; it takes the place
    /// of an older one, also of what an introduction that still waits has with it.
    pub(crate) fn give_grant(&mut self, to: &PrincipalId, view: &str) {
        let (grant, granted) = self.make_grant(*to, view);
        if let Some(contact) = self.disk.contacts.get(to) {
            let mut row = contact.clone();
            row.granted = Some(granted);
            self.put_contact(row);
        }
        let waiting = self
            .disk
            .letters
            .values()
            .find(|letter| letter.to == *to && matches!(letter.body, LetterBody::Introduce { .. }));
        let introduction = waiting.map(|letter| (letter.body.clone(), letter.admission.clone()));
        self.drop_letters_to(to);
        if let Some((LetterBody::Introduce { token, name, .. }, admission)) = introduction {
            let body = LetterBody::Introduce {
                token,
                name,
                card: self.disk.identity.card.read_key(),
                current: self.own_card(),
                grant: Some(grant),
                stamps: Vec::new(),
                one_time: None,
            };
            self.write_letter(*to, body, admission);
        } else {
            let body = LetterBody::Grant {
                card: self.disk.identity.card.read_key(),
                current: self.own_card(),
                name: self.config.name.clone(),
                grant,
                stamps: Vec::new(),
                one_time: None,
            };
            self.write_letter(*to, body, Admission::Open);
        }
    }

    /// What a live subscription becomes by the grant we hold now.
    fn state_by_rights(&self, principal: &PrincipalId) -> SubscriptionState {
        let held = self
            .disk
            .contacts
            .get(principal)
            .and_then(|contact| contact.held.as_ref());
        held.map_or(SubscriptionState::Pending, state_of)
    }

    /// Renews in time what we granted and what was granted to us.
    pub(crate) fn renew_due(&mut self) {
        if self.renewals_at > self.clock.instant {
            return;
        }
        self.renewals_at = self.clock.instant.plus(RENEWAL_CHECK);
        let now = self.clock.unix;
        let contacts: Vec<ContactRow> = self.disk.contacts.values().cloned().collect();
        for contact in contacts {
            if let Some(granted) = &contact.granted
                && (granted.not_after <= now.plus(RENEW_GIVE) || self.has_other_rights(granted))
            {
                self.give_grant(&contact.principal, &granted.view);
            }
            let ends = contact
                .held
                .as_ref()
                .is_some_and(|held| held.generation > 0 && held.not_after <= now.plus(RENEW_ASK));
            if ends || contact.subscription == Some(SubscriptionState::Stale) {
                self.ask_renewal(&contact.principal);
            }
        }
    }

    /// Whether a grant carries something else than one that is made now: presence was switched on or off since.
    fn has_other_rights(&self, granted: &GrantedView) -> bool {
        let Some(view) = self.disk.views.get(&granted.view) else {
            return false;
        };
        let carries = granted.rights.as_ref().unwrap_or(&view.rights);
        *carries != self.rights_of(view)
    }

    /// What grants of a view carry now. Where presence is switched off nothing is shown to anybody.
    fn rights_of(&self, view: &ViewRow) -> BTreeSet<Right> {
        if self.config.presence {
            view.rights.clone()
        } else {
            BTreeSet::new()
        }
    }

    /// When [`renew_due`](Self::renew_due) has something to do next.
    pub(crate) const fn next_renewal(&self) -> Instant {
        self.renewals_at
    }

    /// Asks a contact for the current generation of the view they granted us.
    pub(crate) fn ask_renewal(&mut self, of: &PrincipalId) {
        if self.is_public_only(of) {
            return self.renew_public(of);
        }
        let now = self.clock.instant;
        let waits = self
            .disk
            .letters
            .values()
            .any(|letter| letter.to == *of && matches!(letter.body, LetterBody::Renew {}));
        let lately = self
            .renewals_asked
            .get(of)
            .is_some_and(|asked| now.since(*asked) < RENEW_SPACING);
        if waits || lately {
            return;
        }
        let contacts = &self.disk.contacts;
        self.renewals_asked
            .retain(|principal, _| contacts.contains_key(principal));
        self.renewals_asked.insert(*of, now);
        self.write_letter(*of, LetterBody::Renew {}, Admission::Open);
    }

    /// The view that a verified grant makes real; none if the grant does not stand.
    pub(crate) fn check_grant(&self, grant: &SignedGrant, issuer: &DeviceList) -> Option<HeldView> {
        let checked = grant
            .verify(issuer, &self.disk.identity.principal, self.clock.unix)
            .inspect_err(|error| tracing::debug!(%error, "a grant does not stand"))
            .ok()?;
        // Generation 0 is what temporary views are held as; nobody can grant it.
        (grant.secrets.generation > 0).then(|| HeldView {
            read: grant.secrets.view.clone(),
            generation: grant.secrets.generation,
            sequence: checked.sequence,
            rights: checked.rights,
            not_after: checked.not_after,
            public: false,
        })
    }

    /// A grant of the current generation of one of our views.
    pub(crate) fn make_grant(&mut self, audience: PrincipalId, view: &str) -> (SignedGrant, GrantedView) {
        let view = self.ensure_view(view);
        let not_after = self.clock.unix.plus(GRANT_LIFE);
        let id = self.random_id();
        let rights = self.rights_of(&view);
        let grant = Grant {
            issuer: self.disk.identity.principal,
            device: self.disk.identity.device.id(),
            audience,
            rights: rights.clone(),
            not_before: self.clock.unix,
            not_after,
            sequence: self.next_sequence(),
            id,
            depth: 0,
            secrets: [0; 32],
        };
        let signed = grant.sign(
            &self.disk.identity.device,
            GrantSecrets {
                view: view.key.read_key(),
                generation: view.generation,
            },
        );
        let granted = GrantedView {
            view: view.name,
            generation: view.generation,
            grant: id,
            not_after,
            rights: Some(rights),
        };
        (signed, granted)
    }

    /// The view of this name; made if it is not there yet.
    pub(crate) fn ensure_view(&mut self, name: &str) -> ViewRow {
        if let Some(view) = self.disk.views.get(name) {
            return view.clone();
        }
        let rights = if name == NO_VIEW {
            BTreeSet::new()
        } else {
            BTreeSet::from([Right::Fetch, Right::Subscribe])
        };
        let view = ViewRow {
            name: name.to_owned(),
            generation: 1,
            key: GenerationKey::random(&mut self.rng),
            projection: Projection::Full,
            rights,
            own: None,
            reach: None,
        };
        self.write(Write::PutView(view.clone()));
        self.interest_changed = true;
        view
    }
}

/// The state of a subscription under this grant: one that lets us ask only, or shows nothing, makes no subscription.
pub(crate) fn state_of(held: &HeldView) -> SubscriptionState {
    if held.rights.contains(&Right::Subscribe) {
        SubscriptionState::Active
    } else {
        SubscriptionState::Refused
    }
}

/// Whether a grant is a later one than that in use, by the order in which their issuer made them: one that is played back
/// changes nothing. What an invite's temporary view was held as gives way to any.
pub(crate) fn is_newer(new: &HeldView, old: Option<&HeldView>) -> bool {
    old.is_none_or(|old| old.generation == 0 || new.sequence > old.sequence)
}
