//! Contacts and first contact: how an invite makes two strangers know each other, step by step as in the design's
//! section 5. Each half is idempotent, because either side may crash or repeat itself at any point.

use crate::access::{Action, Decision, Denial, Resource, Subject, decide};
use crate::clock::Instant;
use crate::event::Event;
use crate::grants::{is_newer, state_of};
use crate::input::RequestId;
use crate::limits::{CONTACTS, INVITE_RETRY, INVITE_TRIES, LOOKUPS, NAME_CHARACTERS};
use crate::log::CallKey;
use crate::node::{Adding, Node, Purpose};
use crate::presence::watcher::not_found;
use crate::publication::SLOT;
use crate::reply::{CommandError, ContactInfo, Reply};
use crate::rows::{ContactRow, GrantedView, HeldView, InviteRow, SubscriptionState};
use crate::step::Write;
use porchlight_wire::beacon::VerifiedBeacon;
use porchlight_wire::blind::{BlindedKey, Epoch, Kind, ReadKey};
use porchlight_wire::card::{Card, InviteRecord, SignedCard};
use porchlight_wire::device_list::DeviceList;
use porchlight_wire::frame::{Admission, Refusal};
use porchlight_wire::grant::{Right, SignedGrant};
use porchlight_wire::ids::{NodeId, PrincipalId};
use porchlight_wire::invite::{Invite, InviteToken};
use porchlight_wire::letter::LetterBody;
use porchlight_wire::limits::SKEW;
use porchlight_wire::time::UnixMillis;
use std::collections::BTreeSet;

/// The view that contacts are granted unless told otherwise.
pub(crate) const CONTACTS_VIEW: &str = "contacts";

/// The view of contacts who are shown nothing: an inbox can be written to without a presentity behind it (RFC 2779 2.1.2).
pub(crate) const NO_VIEW: &str = "none";

/// What an introduction brings, once its letter was verified.
pub(crate) struct Introduction<'a> {
    pub(crate) from: PrincipalId,
    pub(crate) devices: &'a DeviceList,
    pub(crate) token: &'a InviteToken,
    pub(crate) name: Option<&'a str>,
    pub(crate) card_key: &'a ReadKey,
    pub(crate) card: &'a SignedCard,
    pub(crate) grant: Option<&'a SignedGrant>,
}

impl Node {
    /// `Command::AddContact`: everything that can be judged without asking anyone; then the invite record is looked up.
    pub(crate) fn command_add_contact(
        &mut self,
        request: RequestId,
        key: Option<CallKey>,
        text: &str,
        name: Option<String>,
        view: String,
    ) -> Result<Option<Reply>, CommandError> {
        if let Ok(principal) = text.trim().parse::<PrincipalId>() {
            if view != CONTACTS_VIEW {
                return Err(CommandError::Invalid {
                    what: "the view".to_owned(),
                    expected: "none, because whoever is added by their id is granted nothing".to_owned(),
                    got: format!("'{view}'"),
                });
            }
            return self.add_public(request, key, principal, name);
        }
        let invite = Invite::parse(text).map_err(|error| CommandError::InvalidInvite(error.to_string()))?;
        if invite.network != self.config.network.name() {
            return Err(CommandError::OtherNetwork {
                theirs: invite.network,
                ours: self.config.network.name().to_owned(),
            });
        }
        if invite.principal == self.disk.identity.principal {
            return Err(CommandError::OwnInvite);
        }
        if let Some(contact) = self.disk.contacts.get(&invite.principal)
            && !may_begin_anew(contact)
        {
            return Err(CommandError::AlreadyContact {
                name: contact.name.clone(),
            });
        }
        if invite.expires <= self.clock.unix {
            return Err(CommandError::InviteExpired { ended: invite.expires });
        }
        if let Some(name) = &name {
            check_name(name)?;
            self.check_free(name, &invite.principal)?;
        }
        self.known_view(&view)?;
        if self.disk.contacts.len() >= CONTACTS {
            return Err(full("contact", CONTACTS));
        }
        if self.lookups.len() + self.adds.len() >= LOOKUPS {
            return Err(full("lookup", LOOKUPS));
        }
        self.look_up_invite(Adding {
            request,
            key,
            invite,
            name,
            view,
            tries: 1,
        });
        Ok(None)
    }

    fn look_up_invite(&mut self, adding: Adding) {
        let addresses = self.card_addresses(&adding.invite.record);
        let reach = adding.invite.reach.clone();
        let adding = Box::new(adding);
        self.start_lookup(addresses, reach, Purpose::InviteRecord { adding });
    }

    /// What is needed was not found. An invite may be used in the moment it is made, before its record has spread, so
    /// the network is asked a few times before the answer is no.
    fn try_again(&mut self, mut adding: Adding, error: CommandError) {
        if adding.tries >= INVITE_TRIES {
            self.reply(adding.request, Err(error));
            return;
        }
        let at = self.clock.instant.plus(INVITE_RETRY << (adding.tries - 1));
        adding.tries += 1;
        self.adds.push((at, adding));
    }

    /// Looks up again the invites whose wait is over.
    pub(crate) fn add_due(&mut self) {
        let now = self.clock.instant;
        for (at, adding) in std::mem::take(&mut self.adds) {
            if at <= now {
                self.look_up_invite(adding);
            } else {
                self.adds.push((at, adding));
            }
        }
    }

    /// When [`add_due`](Self::add_due) has something to do next.
    pub(crate) fn next_add(&self) -> Option<Instant> {
        self.adds.iter().map(|(at, _)| *at).min()
    }

    /// The lookup of an invite record has ended.
    pub(crate) fn on_invite_record(&mut self, adding: Adding, found: &[(VerifiedBeacon, Epoch)], answered: u32) {
        let record = found.iter().find_map(|(beacon, epoch)| {
            let payload = beacon.open(&adding.invite.record, *epoch, SLOT).ok()?;
            let record = InviteRecord::from_bytes(&payload).ok()?;
            (record.principal == adding.invite.principal).then_some(record)
        });
        let error = match record {
            Some(record) if record.view.is_none() => CommandError::InviteUsedUp,
            Some(record) => {
                let addresses = self.card_addresses(&record.card);
                let reach = adding.invite.reach.clone();
                let record = Box::new(record);
                let adding = Box::new(adding);
                self.start_lookup(addresses, reach, Purpose::InviterCard { adding, record });
                return;
            }
            None if answered == 0 => CommandError::Unreachable {
                what: unreachable(&adding.invite),
            },
            None => CommandError::Nothing {
                what:
                    "the network does not know this invite (any more): whoever made it may have ended it, or was not \
                       online long enough to publish it; try again later, or ask for a new one"
                        .to_owned(),
            },
        };
        if matches!(error, CommandError::InviteUsedUp) {
            self.reply(adding.request, Err(error));
        } else {
            self.try_again(adding, error);
        }
    }

    /// The lookup of the inviter's card has ended: they become a contact, and our introduction is on its way.
    pub(crate) fn on_inviter_card(&mut self, adding: Adding, record: &InviteRecord, found: &[(VerifiedBeacon, Epoch)]) {
        let principal = adding.invite.principal;
        let Some(card) = newest_card(&principal, &record.card, found, self.clock.unix) else {
            let what = "the invite was found, but not the card that says how to reach its maker; try again in a minute";
            return self.try_again(adding, CommandError::Nothing { what: what.to_owned() });
        };
        // Another call may have added the same principal or taken the name meanwhile.
        let name = match &adding.name {
            Some(name) => self.check_free(name, &principal).map(|()| name.clone()),
            None => Ok(self.free_name(record.name.as_deref(), &principal)),
        };
        let name = match name {
            Ok(name) => name,
            Err(error) => return self.reply(adding.request, Err(error)),
        };
        if let Some(contact) = self.disk.contacts.get(&principal)
            && !may_begin_anew(contact)
        {
            let name = contact.name.clone();
            return self.reply(adding.request, Err(CommandError::AlreadyContact { name }));
        }
        let held = record.view.clone().map(|read| HeldView {
            read,
            generation: 0,
            sequence: 0,
            rights: BTreeSet::from([Right::Fetch]),
            not_after: adding.invite.expires,
            public: false,
        });
        let (grant, granted) = self.make_grant(principal, &adding.view);
        let state = if held.is_some() {
            SubscriptionState::Provisional
        } else {
            SubscriptionState::Pending
        };
        let row = ContactRow {
            principal,
            name,
            told_name: record.name.clone(),
            added: self.clock.unix,
            card_key: record.card.clone(),
            card,
            held,
            granted: Some(granted),
            subscription: Some(state),
            access_sequence: 0,
            problem: None,
            poll: None,
            verified: None,
            given: None,
            one_time: None,
            blocked: None,
        };
        let body = LetterBody::Introduce {
            token: adding.invite.token.clone(),
            name: self.config.name.clone(),
            card: self.disk.identity.card.read_key(),
            current: self.own_card(),
            grant: Some(grant),
            stamps: Vec::new(),
            one_time: None,
        };
        let before = self
            .disk
            .contacts
            .get(&principal)
            .and_then(|known| known.granted.clone());
        self.drop_letters_to(&principal);
        self.put_contact(row.clone());
        self.forget_former(&principal);
        self.keep_stamps(&principal, &record.stamps);
        if let Some(card) = self.cards.get(&principal).cloned() {
            self.use_vouchers(&record.vouchers, &card);
        }
        if let Some(before) = before
            && before.view != adding.view
        {
            // What they held of another view is not theirs any more.
            self.end_access(&row, &before);
        }
        self.write_letter(principal, body, Admission::Token(adding.invite.token.clone()));
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

    /// Someone shows one of our invites' tokens: judged by the access rules, then made a contact.
    pub(crate) fn accept_introduction(&mut self, introduction: &Introduction<'_>) -> Result<(), Refusal> {
        let from = introduction.from;
        let subject = Subject::TokenHolder(introduction.token, from);
        match decide(
            &self.disk,
            &subject,
            Action::Introduce,
            Resource::Letters,
            self.clock.unix,
        ) {
            Decision::Allow(_) => {}
            Decision::Deny(Denial::UsedUp) => return Err(Refusal::InviteUsedUp),
            Decision::Deny(Denial::Expired) => return Err(Refusal::InviteExpired),
            Decision::Deny(
                Denial::Unknown | Denial::NotSubscribed | Denial::NotGranted | Denial::Blocked | Denial::NotApplicable,
            ) => {
                return Err(Refusal::NotAdmitted);
            }
        }
        let card = introduction
            .card
            .verify(&from, self.clock.unix)
            .map_err(|_| Refusal::Invalid)?;
        let held = match introduction.grant {
            None => None,
            Some(grant) => Some(self.check_grant(grant, introduction.devices).ok_or(Refusal::Invalid)?),
        };
        let Some(invite) = self
            .disk
            .invites
            .values()
            .find(|invite| &invite.token == introduction.token)
        else {
            return Err(Refusal::NotAdmitted);
        };
        let invite = invite.clone();
        let known = self.disk.contacts.get(&from).cloned();
        if known.is_none() && self.disk.contacts.len() >= CONTACTS {
            return Err(Refusal::Full);
        }
        if let Some(contact) = &known
            && contact.granted.is_some()
            && invite.used_by.contains(&from)
            && held.as_ref().is_none_or(|held| !is_newer(held, contact.held.as_ref()))
        {
            // The same introduction again, by them because our answer was lost, or played back by somebody else: it was
            // dealt with, and our grant waits in the outbox until it is delivered.
            return Ok(());
        }
        tracing::debug!(devices = card.devices.devices.len(), "an introduction was accepted");
        self.welcome(introduction, &invite, known, held);
        Ok(())
    }

    /// Makes the newcomer a contact and answers with the real view. Repeated introductions end up here too.
    fn welcome(
        &mut self,
        introduction: &Introduction<'_>,
        invite: &InviteRow,
        known: Option<ContactRow>,
        held: Option<HeldView>,
    ) {
        let from = introduction.from;
        let newcomer = known.is_none();
        let name = match &known {
            Some(contact) => contact.name.clone(),
            None => self.free_name(introduction.name, &from),
        };
        let (grant, granted) = self.make_grant(from, &invite.view);
        let subscription = match (&known, &held) {
            // Making the invite was the consent; whoever unsubscribed since keeps their word.
            (Some(contact), _) if contact.subscription.is_none() && contact.held.is_some() => None,
            (_, Some(held)) => Some(state_of(held)),
            (Some(contact), None) => contact.subscription,
            (None, None) => None,
        };
        let held = match (known.as_ref().and_then(|contact| contact.held.clone()), held) {
            (Some(old), Some(new)) if !is_newer(&new, Some(&old)) => Some(old),
            (old, new) => new.or(old),
        };
        let row = ContactRow {
            principal: from,
            name: name.clone(),
            told_name: introduction.name.map(str::to_owned),
            added: known.as_ref().map_or(self.clock.unix, |contact| contact.added),
            card_key: introduction.card_key.clone(),
            card: self.newer_card(&from, introduction.card),
            access_sequence: known
                .as_ref()
                .map_or(0, |contact| contact.access_sequence)
                .max(held.as_ref().map_or(0, |held| held.sequence)),
            held,
            granted: Some(granted),
            subscription,
            problem: None,
            poll: known.as_ref().and_then(|contact| contact.poll),
            verified: known.as_ref().and_then(|contact| contact.verified),
            given: known.as_ref().and_then(|contact| contact.given),
            one_time: known.as_ref().and_then(|contact| contact.one_time),
            blocked: known.as_ref().and_then(|contact| contact.blocked),
        };
        let old_subscription = known.as_ref().and_then(|contact| contact.subscription);
        self.put_contact(row.clone());
        self.forget_former(&from);
        if let Some(old) = known.as_ref().and_then(|contact| contact.granted.as_ref())
            && old.view != invite.view
        {
            self.end_access(&row, old);
        }
        self.use_invite(invite, &from, &name);
        self.drop_letters_to(&from);
        let body = LetterBody::Grant {
            card: self.disk.identity.card.read_key(),
            current: self.own_card(),
            name: self.config.name.clone(),
            grant,
            stamps: Vec::new(),
            one_time: None,
        };
        self.write_letter(from, body, Admission::Open);
        if newcomer {
            self.tell(Event::ContactAdded {
                contact: name.clone(),
                principal: from,
                by_our_invite: true,
            });
        }
        if row.granted.as_ref().is_some_and(GrantedView::shows) {
            self.tell(Event::WatcherApproved {
                contact: name.clone(),
                principal: from,
                view: invite.view.clone(),
            });
        }
        if old_subscription != subscription {
            self.tell(Event::SubscriptionChanged {
                contact: name,
                principal: from,
                old: old_subscription,
                new: subscription,
            });
        }
        self.sync_watched();
        self.watch_anew(&from);
    }

    /// Counts one use of an invite; the last one ends its temporary view.
    fn use_invite(&mut self, invite: &InviteRow, by: &PrincipalId, name: &str) {
        if invite.used_by.contains(by) {
            return;
        }
        let mut row = invite.clone();
        row.used_by.insert(*by);
        let uses_left = row.uses_left();
        let id = row.id;
        self.write(Write::PutInvite(row));
        if uses_left == 0 {
            self.end_invite_records(&id);
        }
        self.tell(Event::InviteUsed {
            invite: id,
            contact: name.to_owned(),
            uses_left,
        });
    }

    /// Keeps a contact's row and, beside it, its verified card.
    pub(crate) fn put_contact(&mut self, row: ContactRow) {
        self.remember_card(&row);
        self.write(Write::PutContact(row));
        self.interest_changed = true;
    }

    /// Verifies the cards of all contacts on disk.
    pub(crate) fn remember_cards(&mut self) {
        let rows: Vec<ContactRow> = self.disk.contacts.values().cloned().collect();
        for row in &rows {
            self.remember_card(row);
        }
        let now = self.clock.unix;
        let former = self.disk.former.values();
        self.former_cards = former
            .filter_map(|row| Some((row.principal, row.card.verify(&row.principal, now).ok()?)))
            .collect();
    }

    /// The verified card of a contact, or of one who is still to be told that they no longer are.
    pub(crate) fn card_of(&self, principal: &PrincipalId) -> Option<&Card> {
        self.cards.get(principal).or_else(|| self.former_cards.get(principal))
    }

    fn remember_card(&mut self, row: &ContactRow) {
        match row.card.verify(&row.principal, self.clock.unix) {
            Ok(card) => {
                self.cards.insert(row.principal, card);
            }
            Err(error) => {
                tracing::debug!(%error, "the card of a contact no longer stands");
                self.cards.remove(&row.principal);
            }
        }
    }

    /// The newer of the card we know and one that came in a letter: letters may be older than what was looked up.
    pub(crate) fn newer_card(&self, principal: &PrincipalId, came: &SignedCard) -> SignedCard {
        let known = self.disk.contacts.get(principal).zip(self.cards.get(principal));
        // A date ahead of our clock would stand in the way of all that come later.
        let latest = self.clock.unix.plus(SKEW);
        let date = |issued: UnixMillis| if issued > latest { UnixMillis(0) } else { issued };
        let (devices, issued) = came
            .verify(principal, self.clock.unix)
            .map_or((0, UnixMillis(0)), |card| {
                (card.devices.sequence, date(card.bundle.issued))
            });
        match known {
            Some((row, card)) if card.devices.sequence > devices => row.card.clone(),
            Some((row, card)) if date(card.bundle.issued) > issued => row.card.clone(),
            Some(_) | None => came.clone(),
        }
    }

    /// Looks a contact's card up again: its addresses may be others now.
    pub(crate) fn look_for_card(&mut self, principal: &PrincipalId) {
        let contact = self.disk.contacts.get(principal).map(|contact| &contact.card_key);
        let former = self.disk.former.get(principal).map(|former| &former.card_key);
        let Some(card_key) = contact.or(former).cloned() else {
            return;
        };
        if self.lookups.len() >= LOOKUPS {
            return;
        }
        let addresses = self.card_addresses(&card_key);
        let relays = self
            .card_of(principal)
            .map_or_else(Vec::new, |card| card.bundle.relays.clone());
        self.start_lookup(addresses, relays, Purpose::Card { principal: *principal });
    }

    /// A lookup of a contact's card has ended.
    pub(crate) fn on_card_looked_up(&mut self, principal: &PrincipalId, found: &[(VerifiedBeacon, Epoch)]) {
        if let Some(former) = self.disk.former.get(principal) {
            let card = newest_card(principal, &former.card_key, found, self.clock.unix);
            if let Some(card) = card.and_then(|card| card.verify(principal, self.clock.unix).ok()) {
                self.former_cards.insert(*principal, card);
                self.letters_due_to(principal);
            }
            return;
        }
        let Some(contact) = self.disk.contacts.get(principal) else {
            return;
        };
        let Some(card) = newest_card(principal, &contact.card_key, found, self.clock.unix) else {
            return;
        };
        if self.newer_card(principal, &card) == contact.card {
            return;
        }
        let mut row = contact.clone();
        row.card = card;
        self.put_contact(row);
        self.letters_due_to(principal);
    }

    /// Today's and yesterday's address (in epochs of cards) of a card or invite record.
    pub(crate) fn card_addresses(&self, read: &ReadKey) -> Vec<(BlindedKey, Epoch)> {
        let current = read.epoch(Kind::Card, self.clock.unix);
        [Some(current), current.0.checked_sub(1).map(Epoch)]
            .into_iter()
            .flatten()
            .map(|epoch| (read.blinded(Kind::Card, epoch, SLOT), epoch))
            .collect()
    }

    /// `Command::ListContacts`.
    pub(crate) fn command_list_contacts(&self) -> Reply {
        let mut contacts: Vec<ContactInfo> = self.disk.contacts.values().map(|row| self.contact_info(row)).collect();
        contacts.sort_by(|one, other| one.name.cmp(&other.name));
        Reply::Contacts(contacts)
    }

    pub(crate) fn contact_info(&self, row: &ContactRow) -> ContactInfo {
        let waiting = self
            .disk
            .letters
            .values()
            .filter(|letter| letter.to == row.principal)
            .count();
        ContactInfo {
            name: row.name.clone(),
            principal: row.principal,
            told_name: row.told_name.clone(),
            subscription: row.subscription,
            view: row
                .granted
                .as_ref()
                .filter(|granted| granted.shows())
                .map(|granted| granted.view.clone()),
            added: row.added,
            waiting: u32::try_from(waiting).unwrap_or(u32::MAX),
            problem: row.problem,
            blocked: row.blocked,
            verified: row.verified,
            public: row.is_public_only(),
            node: self.card_node(&row.principal),
        }
    }

    /// A contact's node, where their card names one.
    pub(crate) fn card_node(&self, principal: &PrincipalId) -> Option<NodeId> {
        let card = self.cards.get(principal)?;
        card.bundle.addresses.first().map(|address| address.node)
    }

    /// The contact of this petname, principal id, or address: `im:` of an inbox or `pres:` of a presentity (RFC 3859, RFC 3860),
    /// with the id behind it.
    pub(crate) fn find_contact(&self, name: &str) -> Result<&ContactRow, CommandError> {
        let id = ["im:", "pres:"].iter().find_map(|scheme| name.strip_prefix(scheme));
        // An id means whom it names, and nobody who is called so.
        if let Ok(principal) = id.unwrap_or(name).parse::<PrincipalId>() {
            let contact = self.disk.contacts.get(&principal);
            return contact.ok_or_else(|| not_found("contact", name));
        }
        self.disk
            .contacts
            .values()
            .find(|contact| contact.name == name)
            .ok_or_else(|| not_found("contact", name))
    }

    pub(crate) fn check_free(&self, name: &str, principal: &PrincipalId) -> Result<(), CommandError> {
        let taken = self
            .disk
            .contacts
            .values()
            .any(|contact| contact.name == name && contact.principal != *principal);
        if taken {
            return Err(CommandError::NameTaken { name: name.to_owned() });
        }
        Ok(())
    }

    /// A petname that is free: what they call themselves, numbered if need be; else the short id.
    pub(crate) fn free_name(&self, told: Option<&str>, principal: &PrincipalId) -> String {
        let base = told
            .filter(|name| check_name(name).is_ok())
            .map_or_else(|| principal.short(), str::to_owned);
        if self.check_free(&base, principal).is_ok() {
            return base;
        }
        (2..)
            .map(|number: usize| format!("{base}-{number}"))
            .find(|name| self.check_free(name, principal).is_ok())
            .unwrap_or(base)
    }
}

/// The newest card among what a lookup found, by when it was issued.
pub(crate) fn newest_card(
    principal: &PrincipalId,
    read: &ReadKey,
    found: &[(VerifiedBeacon, Epoch)],
    now: UnixMillis,
) -> Option<SignedCard> {
    found
        .iter()
        .filter_map(|(beacon, epoch)| {
            let payload = beacon.open(read, *epoch, SLOT).ok()?;
            let signed = SignedCard::from_bytes(&payload).ok()?;
            let card = signed.verify(principal, now).ok()?;
            (card.bundle.issued <= now.plus(SKEW)).then_some((card.bundle.issued, signed))
        })
        .max_by_key(|(issued, _)| *issued)
        .map(|(_, signed)| signed)
}

/// Whether first contact with them failed, they ended it, or they never knew of us, so that an invite may begin it.
fn may_begin_anew(contact: &ContactRow) -> bool {
    if contact.is_public_only() {
        return true;
    }
    let ended = matches!(
        contact.subscription,
        Some(SubscriptionState::Cancelled | SubscriptionState::Refused)
    );
    (contact.problem.is_some() || ended) && contact.held.as_ref().is_none_or(|held| held.generation == 0)
}

/// Petnames: 1 to [`NAME_CHARACTERS`] characters, none of them a control character, and no blank at either end.
pub(crate) fn check_name(name: &str) -> Result<(), CommandError> {
    let characters = name.chars().count();
    let fits = (1..=NAME_CHARACTERS).contains(&characters)
        && name.trim() == name
        && porchlight_wire::name::check_name(name).is_ok();
    if fits {
        return Ok(());
    }
    Err(CommandError::Invalid {
        what: "the name".to_owned(),
        expected: format!("1 to {NAME_CHARACTERS} printable characters, no blank at either end"),
        got: format!("{name:?}"),
    })
}

pub(crate) fn full(what: &str, limit: usize) -> CommandError {
    CommandError::Full {
        what: what.to_owned(),
        limit,
    }
}

fn unreachable(invite: &Invite) -> String {
    let reach: Vec<String> = invite.reach.iter().map(ToString::to_string).collect();
    let at = if reach.is_empty() {
        "the invite names no address".to_owned()
    } else {
        format!("the invite's addresses did not answer ({})", reach.join(", "))
    };
    format!("no relay is connected, and {at}; check the network, or add a seed peer to the configuration")
}
