//! The public view, and identity sheets. Ours: what stands under our id while there is a view called `public`, and for as long
//! as copies that said so may be kept. Others': principals that are watched or fetched by their bare id, without being
//! asked and without their learning of it. Called by the core for commands, for lookups that end, and after every input.

use crate::access::{Action, Resource, Subject, decide};
use crate::clock::Instant;
use crate::contacts::{check_name, full, newest_card};
use crate::event::{Event, Source};
use crate::input::{PutId, RequestId};
use crate::limits::{CONTACTS, LONG_REFRESH, LOOKUPS, RENEW_SPACING, RETRY_FIRST, RETRY_LAST, SHEET_LIFE};
use crate::log::CallKey;
use crate::node::{Node, Purpose};
use crate::presence::belief::{Received, Record, belief};
use crate::publication::SLOT;
use crate::reply::{CommandError, ContactPresence, Reply};
use crate::rows::{ContactRow, HeldView, SubscriptionState, ViewRow};
use crate::step::{Effect, Write};
use porchlight_wire::beacon::VerifiedBeacon;
use porchlight_wire::blind::{Epoch, ReadKey};
use porchlight_wire::card::SignedCard;
use porchlight_wire::grant::Right;
use porchlight_wire::ids::PrincipalId;
use porchlight_wire::presence::PresenceState;
use porchlight_wire::record::{Place, VerifiedRecord};
use porchlight_wire::sheet::{Public, Sheet, SheetAddress, VerifiedSheet};
use std::collections::BTreeSet;

/// The view that everyone sees who knows our id, while it exists. Nobody is granted it.
pub(crate) const PUBLIC_VIEW: &str = "public";

/// Our identity sheet, and how sending it goes. Volatile: after a restart it is made anew.
#[derive(Debug, Default)]
pub(crate) struct OwnSheet {
    /// The last one made.
    record: Option<VerifiedRecord>,
    /// What it says is no longer so.
    dirty: bool,
    refresh_at: Instant,
    put_wanted: bool,
    not_before: Instant,
    failures: u32,
    put: Option<PutId>,
}

/// What a sheet of somebody else is looked up for.
#[derive(Clone, Debug)]
pub(crate) enum SheetFor {
    /// To fetch their public presence once.
    Fetch {
        /// Who waits.
        request: RequestId,
    },
    /// To watch them from now on.
    Adding(Box<AddingPublic>),
    /// Because the one we go by is old, or its view has ended.
    Renewal,
}

/// A public principal that is being added.
#[derive(Clone, Debug)]
pub(crate) struct AddingPublic {
    pub(crate) request: RequestId,
    pub(crate) key: Option<CallKey>,
    pub(crate) name: Option<String>,
}

/// Our own sheet.
impl Node {
    /// Whether we are public.
    fn is_public(&self) -> bool {
        self.public_view().is_some()
    }

    fn public_view(&self) -> Option<&ViewRow> {
        let view = self.disk.views.get(PUBLIC_VIEW);
        view.filter(|_| self.config.presence)
    }

    /// Where our sheet is kept.
    pub(crate) fn own_place(&self) -> Place {
        Place::Sheet(SheetAddress::of(&self.disk.identity.principal))
    }

    /// What our sheet says is no longer so.
    pub(crate) const fn touch_sheet(&mut self) {
        self.sheet.dirty = true;
    }

    /// A server may have appeared that does not have our sheet.
    pub(crate) const fn offer_sheet_again(&mut self) {
        self.sheet.put_wanted = self.sheet.record.is_some();
        self.sheet.failures = 0;
        self.sheet.not_before = self.clock.instant;
    }

    /// Whether copies of a sheet that called us public may still be kept somewhere.
    fn was_public(&self) -> bool {
        self.disk.sheet_until > self.clock.unix
    }

    /// Makes and sends our sheet when it is due. Once we are no longer public, one that says so takes its place until the
    /// last copy of those before has expired.
    pub(crate) fn sheet_due(&mut self) {
        if !self.is_public() && !self.was_public() {
            self.sheet = OwnSheet::default();
            return;
        }
        let now = self.clock.instant;
        let due = self.sheet.record.is_none() || self.sheet.dirty || self.sheet.refresh_at <= now;
        if due && let Some(work) = self.work_for(self.own_place()) {
            self.sheet.dirty = false;
            self.sheet.refresh_at = now.plus(LONG_REFRESH);
            if let Some(record) = self.make_sheet(work) {
                self.sheet.record = Some(record);
                self.sheet.put_wanted = true;
                self.sheet.not_before = now;
                self.sheet.failures = 0;
            }
        }
        if self.sheet.put_wanted
            && self.sheet.not_before <= now
            && let Some(record) = self.sheet.record.clone()
        {
            let put = PutId(self.next_id());
            self.sheet.put = Some(put);
            self.sheet.put_wanted = false;
            self.step.effect(Effect::Put { put, record });
        }
    }

    /// When [`sheet_due`](Self::sheet_due) has something to do next.
    pub(crate) fn next_sheet(&self) -> Option<Instant> {
        self.sheet.record.as_ref()?;
        let put = self.sheet.put_wanted.then_some(self.sheet.not_before);
        [Some(self.sheet.refresh_at), put].into_iter().flatten().min()
    }

    /// Our sheet as it has to be now.
    fn make_sheet(&mut self, work: u64) -> Option<VerifiedRecord> {
        let principal = self.disk.identity.principal;
        let now = self.clock.unix;
        let public = self.public_view().map(|view| Public {
            name: self.config.name.clone(),
            view: *view.key.read_key().public_part(),
            card: self.disk.identity.card.read_key(),
        });
        let latest = now.plus(SHEET_LIFE);
        let expires = if public.is_some() {
            latest
        } else {
            self.disk.sheet_until.min(latest)
        };
        if public.is_some() {
            self.write(Write::PutSheetUntil(expires));
        }
        let sheet = Sheet {
            device: self.disk.identity.device.id(),
            sequence: self.next_sequence(),
            issued: now,
            expires,
            public,
        };
        let identity = &self.disk.identity;
        let bytes = sheet.sign(&identity.device, principal, &identity.devices, work);
        // What we would not accept from others is not sent.
        VerifiedRecord::verify(&self.own_place(), &bytes, &self.config.network, now)
            .inspect_err(|error| tracing::error!(%error, "our identity sheet cannot be made"))
            .ok()
    }

    /// A put has ended; true if it was our sheet's.
    pub(crate) fn on_sheet_put(&mut self, put: PutId, stored: u32, asked: u32) -> bool {
        if self.sheet.put != Some(put) {
            return false;
        }
        self.sheet.put = None;
        // With nobody to ask, the next relay that connects is the sign to go on.
        if stored == 0 && asked > 0 {
            let wait = RETRY_FIRST
                .saturating_mul(1 << self.sheet.failures.min(10))
                .min(RETRY_LAST);
            self.sheet.failures = self.sheet.failures.saturating_add(1);
            self.sheet.put_wanted = true;
            self.sheet.not_before = self.clock.instant.plus(wait);
        }
        true
    }
}

/// Sheets of others.
impl Node {
    /// A fetch by a bare id, of somebody who is no contact.
    pub(crate) fn fetch_public(&mut self, request: RequestId, of: PrincipalId) -> Result<Option<Reply>, CommandError> {
        self.look_for_sheet(of, SheetFor::Fetch { request })?;
        Ok(None)
    }

    /// Adding by a bare id: they are watched by their public view. They are granted nothing, and not told.
    pub(crate) fn add_public(
        &mut self,
        request: RequestId,
        key: Option<CallKey>,
        principal: PrincipalId,
        name: Option<String>,
    ) -> Result<Option<Reply>, CommandError> {
        if !self.config.presence {
            // They know nothing of us, so there would be nothing but their presence.
            return Err(CommandError::PresenceOff);
        }
        if principal == self.disk.identity.principal {
            return Err(CommandError::OwnInvite);
        }
        self.check_unbound(&principal)?;
        if let Some(name) = &name {
            check_name(name)?;
            self.check_free(name, &principal)?;
        }
        if self.disk.contacts.len() >= CONTACTS {
            return Err(full("contact", CONTACTS));
        }
        let adding = Box::new(AddingPublic { request, key, name });
        self.look_for_sheet(principal, SheetFor::Adding(adding))?;
        Ok(None)
    }

    /// Whether nothing binds us to a principal, so that they can be added by their id.
    fn check_unbound(&self, principal: &PrincipalId) -> Result<(), CommandError> {
        match self.disk.contacts.get(principal) {
            Some(contact) if contact.held.is_some() || contact.granted.is_some() => Err(CommandError::AlreadyContact {
                name: contact.name.clone(),
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// Looks again at the sheet of somebody we watch by it: once a day, and when its view has ended.
    pub(crate) fn renew_public(&mut self, of: &PrincipalId) {
        if !self.config.presence {
            return;
        }
        let now = self.clock.instant;
        let lately = self
            .renewals_asked
            .get(of)
            .is_some_and(|asked| now.since(*asked) < RENEW_SPACING);
        // What finds no room is asked for again by the next round of renewals.
        if !lately && self.look_for_sheet(*of, SheetFor::Renewal).is_ok() {
            self.renewals_asked.insert(*of, now);
        }
    }

    fn look_for_sheet(&mut self, principal: PrincipalId, wanted: SheetFor) -> Result<(), CommandError> {
        if self.lookups.len() + self.adds.len() >= LOOKUPS {
            return Err(full("lookup", LOOKUPS));
        }
        self.start_sheet_lookup(principal, wanted);
        Ok(())
    }

    /// The lookup of a sheet has ended.
    pub(crate) fn on_sheet(
        &mut self,
        principal: PrincipalId,
        wanted: SheetFor,
        found: &[VerifiedSheet],
        answered: u32,
    ) {
        let newest = found.iter().max_by_key(|sheet| sheet.sheet().sequence);
        let public = newest.and_then(|sheet| Some((sheet.clone(), sheet.sheet().public.clone()?, sheet.view()?)));
        match (wanted, public) {
            (SheetFor::Renewal, Some((sheet, public, view))) => self.renewed(&principal, &sheet, &public, view),
            // A principal that is no longer public says so; silence says nothing.
            (SheetFor::Renewal, None) if newest.is_some() && self.is_public_only(&principal) => {
                self.accept_end(&principal, SubscriptionState::Cancelled);
            }
            (SheetFor::Renewal, None) => {}
            (SheetFor::Fetch { request }, Some((_, _, view))) => self.look_for_public(principal, view, request),
            (SheetFor::Adding(adding), Some((sheet, public, _))) => {
                let addresses = self.card_addresses(&public.card);
                let sheet = Box::new(sheet);
                self.start_lookup(addresses, Vec::new(), Purpose::PublicCard { adding, sheet });
            }
            (SheetFor::Fetch { request }, None) => {
                let error = not_public(&principal, answered);
                self.reply(request, Err(error));
            }
            (SheetFor::Adding(adding), None) => {
                let error = not_public(&principal, answered);
                self.reply(adding.request, Err(error));
            }
        }
    }

    /// Whether all that we hold of a contact is their public view: they do not know us.
    pub(crate) fn is_public_only(&self, principal: &PrincipalId) -> bool {
        self.disk
            .contacts
            .get(principal)
            .is_some_and(ContactRow::is_public_only)
    }

    /// The lookup of a public principal's card has ended: they are a contact now, and watched.
    pub(crate) fn on_public_card(
        &mut self,
        adding: AddingPublic,
        sheet: &VerifiedSheet,
        found: &[(VerifiedBeacon, Epoch)],
    ) {
        let principal = sheet.principal();
        let (Some(public), Some(view)) = (&sheet.sheet().public, sheet.view()) else {
            return;
        };
        let Some(card) = newest_card(&principal, &public.card, found, self.clock.unix) else {
            let what =
                "they are public, but the card that says who speaks for them was not found; try again in a minute";
            let error = CommandError::Nothing { what: what.to_owned() };
            return self.reply(adding.request, Err(error));
        };
        // Another call may have added the same principal or taken the name meanwhile.
        let known = self.disk.contacts.get(&principal).map(|contact| contact.name.clone());
        let name = match (&adding.name, known) {
            (Some(name), _) => self.check_free(name, &principal).map(|()| name.clone()),
            (None, Some(known)) => Ok(known),
            (None, None) => Ok(self.free_name(public.name.as_deref(), &principal)),
        };
        let name = match self.check_unbound(&principal).and(name) {
            Ok(name) => name,
            Err(error) => return self.reply(adding.request, Err(error)),
        };
        let row = self.public_contact(sheet, public, view, card, name);
        self.put_contact(row.clone());
        self.tell(Event::ContactAdded {
            contact: row.name.clone(),
            principal,
            by_our_invite: false,
        });
        self.sync_watched();
        self.watch_anew(&principal);
        let info = self.contact_info(&row);
        self.answer(adding.request, adding.key, Reply::Contact(info));
    }

    fn public_contact(
        &self,
        sheet: &VerifiedSheet,
        public: &Public,
        view: ReadKey,
        card: SignedCard,
        name: String,
    ) -> ContactRow {
        ContactRow {
            principal: sheet.principal(),
            name,
            told_name: public.name.clone(),
            added: self.clock.unix,
            card_key: public.card.clone(),
            card,
            held: Some(HeldView {
                read: view,
                generation: sheet.sheet().sequence.max(1),
                // Any grant is a later one.
                sequence: 0,
                rights: BTreeSet::from([Right::Fetch, Right::Subscribe]),
                not_after: sheet.sheet().expires,
                public: true,
            }),
            granted: None,
            subscription: Some(SubscriptionState::Active),
            access_sequence: 0,
            problem: None,
            poll: None,
            verified: None,
            given: None,
            one_time: None,
            blocked: None,
        }
    }

    /// The newest sheet of somebody we watch by it.
    fn renewed(&mut self, principal: &PrincipalId, sheet: &VerifiedSheet, public: &Public, view: ReadKey) {
        let Some(mut row) = self
            .disk
            .contacts
            .get(principal)
            .filter(|row| row.is_public_only())
            .cloned()
        else {
            return;
        };
        let Some(held) = &mut row.held else {
            return;
        };
        let moved = held.read != view;
        held.not_after = held.not_after.max(sheet.sheet().expires);
        if moved {
            held.read = view;
            held.generation = sheet.sheet().sequence.max(1);
            held.not_after = sheet.sheet().expires;
        }
        row.card_key = public.card.clone();
        row.told_name.clone_from(&public.name);
        self.put_contact(row);
        if moved {
            if self.subscription_of(principal) == Some(SubscriptionState::Stale) {
                self.set_subscription(principal, Some(SubscriptionState::Active));
            }
            self.sync_watched();
            self.watch_anew(principal);
        }
    }

    fn look_for_public(&mut self, principal: PrincipalId, read: ReadKey, request: RequestId) {
        let may = decide(
            &self.disk,
            &Subject::Everyone,
            Action::Fetch,
            Resource::PresenceOf(principal),
            self.clock.unix,
        );
        if !may.allowed() {
            let name = principal.short();
            return self.reply(request, Err(CommandError::NotGranted { name }));
        }
        let addresses = self.presence_addresses(&read);
        let purpose = Purpose::PublicPresence {
            request,
            principal,
            read: Box::new(read),
        };
        self.start_lookup(addresses, Vec::new(), purpose);
    }

    /// The lookup of a public presence has ended.
    pub(crate) fn on_public_presence(
        &mut self,
        request: RequestId,
        principal: PrincipalId,
        read: &ReadKey,
        found: &[(VerifiedBeacon, Epoch)],
        answered: u32,
    ) {
        let newest = found
            .iter()
            .filter_map(|(beacon, epoch)| {
                let payload = beacon.open(read, *epoch, SLOT).ok()?;
                let state = PresenceState::from_bytes(&payload).ok()?;
                (state.document.entity == principal).then_some((beacon.sequence(), state))
            })
            .max_by_key(|(sequence, _)| *sequence);
        let record = newest.as_ref().map(|(sequence, state)| Record {
            state,
            sequence: *sequence,
            source: Source::Dht,
            received: Received::Late,
        });
        let told = belief(record.as_ref(), answered > 0, self.clock);
        let contact = self.disk.contacts.get(&principal);
        let presence = ContactPresence {
            name: contact.map_or_else(|| principal.short(), |contact| contact.name.clone()),
            principal,
            subscription: contact.and_then(|contact| contact.subscription),
            age: told.issued.map(|issued| self.clock.unix.since(issued)),
            told,
        };
        self.reply(request, Ok(Reply::Told(Box::new(presence))));
    }
}

fn not_public(principal: &PrincipalId, answered: u32) -> CommandError {
    if answered == 0 {
        return CommandError::Unreachable {
            what: "no relay is connected; check the network, or add a seed peer to the configuration".to_owned(),
        };
    }
    CommandError::Nothing {
        what: format!(
            "nothing is public under {}: they show themselves to contacts only, or were never on this network; ask them \
             for an invite",
            principal.short()
        ),
    }
}
