//! The watcher (RFC 2778 section 2.2): takes in records of contacts we are subscribed to, asks for what was missed, and
//! tells local clients when what is to be believed has changed. Subscriber and fetcher in one.

use crate::access::{Action, Resource, Subject, decide};
use crate::clock::Instant;
use crate::event::{Event, Source, Told, Verdict};
use crate::input::{BeaconSource, LookupId, RequestId};
use crate::limits::{
    BACKGROUND_LOOKUPS, CARD_REPAIR_LAST, CARD_SPACING, DAY, LAPSED_LOOKUPS, LOOKUP_LIVE, LOOKUP_SPACING, LOOKUPS,
    PROVISIONAL_POLL, RETRY_LAST,
};
use crate::node::{AskedBy, Node, Purpose};
use crate::presence::belief::{Received, Record, belief, lease_end};
use crate::public::SheetFor;
use crate::publication::SLOT;
use crate::reply::{CommandError, ContactPresence, Reply};
use crate::rows::{ContactRow, ObservedRow, SubscriptionState};
use crate::step::Write;
use porchlight_wire::beacon::VerifiedBeacon;
use porchlight_wire::blind::{BlindedKey, Epoch, Kind, ReadKey};
use porchlight_wire::ids::PrincipalId;
use porchlight_wire::network::TopicIndex;
use porchlight_wire::presence::{Basic, PresenceState};
use porchlight_wire::record::Place;
use porchlight_wire::sheet::SheetAddress;
use porchlight_wire::time::UnixMillis;
use std::collections::BTreeSet;

/// After how long without any record an active subscription counts as stale: by then every copy has expired.
const STALE_AFTER: u64 = 50 * 3_600_000;

/// What is held in memory about one subscription.
#[derive(Debug)]
pub(crate) struct Watched {
    received: Received,
    /// The record was on our disk when the node came up.
    from_disk: bool,
    told: Told,
    /// Topics in which its records are gossiped.
    topics: BTreeSet<TopicIndex>,
    /// Where its records are expected.
    addresses: BTreeSet<BlindedKey>,
    had_source: bool,
    /// For a view that is only in the DHT: until when the last answered lookup counts as a live source.
    lookup_live_until: Option<Instant>,
    looking: bool,
    not_before: Instant,
    repair_at: Option<Instant>,
    poll_at: Option<Instant>,
    /// When to look up their card, because they are there but not connected; and how often that was done.
    card_at: Option<Instant>,
    card_tries: u32,
    /// Lookups in a row that were answered, while no record of the view we hold is known yet.
    misses: u32,
}

impl Watched {
    /// Whether the newest record reached this process, and not an earlier one.
    pub(crate) const fn came_in_this_run(&self) -> bool {
        !self.from_disk
    }
}

impl Node {
    /// Brings the table of watched contacts in line with the subscriptions.
    pub(crate) fn sync_watched(&mut self) {
        let subscribed: BTreeSet<PrincipalId> = self
            .disk
            .contacts
            .values()
            .filter(|contact| self.config.presence && is_live(contact.subscription))
            .map(|contact| contact.principal)
            .collect();
        self.watched.retain(|principal, _| subscribed.contains(principal));
        for principal in subscribed {
            if self.watched.contains_key(&principal) {
                continue;
            }
            let told = self.believe(&principal, Received::Late, true, false);
            self.watched.insert(
                principal,
                Watched {
                    received: Received::Late,
                    from_disk: true,
                    told,
                    topics: BTreeSet::new(),
                    addresses: BTreeSet::new(),
                    had_source: false,
                    lookup_live_until: None,
                    looking: false,
                    not_before: Instant(0),
                    repair_at: None,
                    poll_at: Some(self.clock.instant),
                    card_at: None,
                    card_tries: 0,
                    misses: 0,
                },
            );
        }
    }

    /// The view that `principal`'s subscription reads has become another one: start afresh with it.
    pub(crate) fn watch_anew(&mut self, principal: &PrincipalId) {
        if let Some(watched) = self.watched.get_mut(principal) {
            watched.poll_at = Some(self.clock.instant);
            watched.repair_at = None;
            watched.looking = false;
            watched.not_before = Instant(0);
            watched.lookup_live_until = None;
            watched.misses = 0;
        }
    }

    /// The topics in which `principal`'s records are gossiped, and the addresses at which they stand, as computed from the view
    /// we hold.
    pub(crate) fn set_watched_places(
        &mut self,
        principal: &PrincipalId,
        topics: BTreeSet<TopicIndex>,
        addresses: BTreeSet<BlindedKey>,
    ) {
        if let Some(watched) = self.watched.get_mut(principal) {
            watched.topics = topics;
            watched.addresses = addresses;
        }
    }

    /// A beacon came in unasked.
    pub(crate) fn on_beacon(&mut self, beacon: &VerifiedBeacon, source: BeaconSource) {
        let Some((principal, epoch)) = self.index.get(&beacon.pk()).copied() else {
            return;
        };
        let source = match source {
            BeaconSource::Gossip(node) | BeaconSource::Follow(node) if self.is_node_of(&principal, node) => {
                Source::Direct
            }
            BeaconSource::Gossip(_) => Source::Gossip,
            BeaconSource::Follow(_) => Source::Relay,
        };
        if self.take_in(&principal, epoch, beacon, source) {
            self.reconsider(&principal);
        }
    }

    /// Judges a record and keeps it if it is newer than what we have. The local subscription manager's filter is here:
    /// nothing passes without a live subscription and a grant that covers it.
    fn take_in(&mut self, principal: &PrincipalId, epoch: Epoch, beacon: &VerifiedBeacon, source: Source) -> bool {
        let may = decide(
            &self.disk,
            &Subject::Principal(*principal),
            Action::Notify,
            Resource::PresenceOf(*principal),
            self.clock.unix,
        );
        if !may.allowed() {
            return false;
        }
        // What is no newer than what we have is not opened: that costs more than all else here, and most records come several times.
        let held = self
            .disk
            .contacts
            .get(principal)
            .and_then(|contact| contact.held.as_ref());
        if let Some(known) = self.disk.observed.get(principal)
            && held.is_some_and(|held| held.generation == known.generation)
            && known.sequence >= beacon.sequence()
        {
            return false;
        }
        let Some((state, generation)) = self.read_record(principal, epoch, beacon) else {
            return false;
        };
        let received = match source {
            Source::Direct | Source::Gossip | Source::Relay => Received::Live(self.clock.instant),
            Source::Dht | Source::Cache => Received::Late,
        };
        let record = Record {
            state: &state,
            sequence: beacon.sequence(),
            source,
            received,
        };
        let repair_at = self.repair_time(&record, self.clock.unix);
        let ended = state.ended;
        if self.told_reach(principal) != state.reach.as_ref() {
            self.followings.changed = true;
        }
        self.write(Write::PutObserved(ObservedRow {
            principal: *principal,
            generation,
            sequence: beacon.sequence(),
            state,
            source,
            received: self.clock.unix,
        }));
        if let Some(watched) = self.watched.get_mut(principal) {
            watched.received = received;
            watched.from_disk = false;
            watched.repair_at = repair_at;
        }
        match self.subscription_of(principal) {
            Some(SubscriptionState::Active) if ended => {
                self.set_subscription(principal, Some(SubscriptionState::Stale));
                self.ask_renewal(principal);
            }
            Some(SubscriptionState::Stale) if !ended => {
                self.set_subscription(principal, Some(SubscriptionState::Active));
            }
            _ => {}
        }
        true
    }

    /// Shortly before the lease of a record is over we ask whether a newer one was missed, and again until it is over; then
    /// less and less often for [`LAPSED_LOOKUPS`], because a closing record is not refreshed like an open one. None for a
    /// closed record: it does not lapse. `came` is when the record first came, by our wall clock.
    fn repair_time(&self, record: &Record<'_>, came: UnixMillis) -> Option<Instant> {
        if record.state.document.basic() == Basic::Closed {
            return None;
        }
        let lease = record.state.lease;
        let left = lease_end(record, self.clock).since(self.clock.unix);
        let wait = if left > 0 {
            left.saturating_sub(lease / 6)
        } else {
            // By whichever clock is behind, so that one that runs ahead does not keep us asking.
            let past = self.clock.unix.since(record.state.issued.min(came).plus(lease));
            if past >= LAPSED_LOOKUPS {
                return None;
            }
            past
        };
        Some(self.clock.instant.plus(wait.max(LOOKUP_SPACING)))
    }

    /// Opens a record with the view we hold of `principal`, and checks that it is about them.
    fn read_record(
        &self,
        principal: &PrincipalId,
        epoch: Epoch,
        beacon: &VerifiedBeacon,
    ) -> Option<(PresenceState, u64)> {
        let held = self.disk.contacts.get(principal)?.held.as_ref()?;
        let payload = beacon
            .open(&held.read, epoch, SLOT)
            .inspect_err(|error| tracing::debug!(%error, "a record of a contact does not open"))
            .ok()?;
        let state = PresenceState::from_bytes(&payload)
            .inspect_err(|error| tracing::debug!(%error, "a record of a contact cannot be read"))
            .ok()?;
        if state.document.entity != *principal {
            tracing::debug!("a record of a contact is about someone else");
            return None;
        }
        Some((state, held.generation))
    }

    /// Whether there is a live source for `principal`'s presence: a relay or their own node, that is with us in a topic of theirs
    /// or tells us what is new at an address of theirs.
    pub(crate) fn has_source(&self, principal: &PrincipalId, watched: &Watched) -> bool {
        if self.is_lookup_only(principal) {
            return watched
                .lookup_live_until
                .is_some_and(|until| until > self.clock.instant);
        }
        self.live.iter().any(|live| {
            let gossiped = |topic| live.topics.contains(topic) && self.sent.topics.contains(topic);
            let told = watched.topics.iter().any(gossiped) || !watched.addresses.is_disjoint(&live.followed);
            told && (live.relay || self.is_node_of(principal, live.node))
        })
    }

    /// Whether what we hold of `principal` is published in the DHT only.
    pub(crate) fn is_lookup_only(&self, principal: &PrincipalId) -> bool {
        self.disk
            .contacts
            .get(principal)
            .and_then(|contact| contact.held.as_ref())
            .is_some_and(|held| !held.rights.contains(&porchlight_wire::grant::Right::Subscribe))
    }

    fn believe(&self, principal: &PrincipalId, received: Received, from_disk: bool, live: bool) -> Told {
        let record = self.disk.observed.get(principal).map(|row| Record {
            state: &row.state,
            sequence: row.sequence,
            source: if from_disk { Source::Cache } else { row.source },
            received,
        });
        belief(record.as_ref(), live, self.clock)
    }

    /// Works out anew what is told of `principal`, and tells it if it has changed.
    pub(crate) fn reconsider(&mut self, principal: &PrincipalId) {
        let Some(mut watched) = self.watched.remove(principal) else {
            return;
        };
        let live = self.has_source(principal, &watched);
        if live && !watched.had_source && !self.is_lookup_only(principal) {
            // We were cut off: something may have been missed.
            watched.poll_at = Some(self.clock.instant);
        }
        watched.had_source = live;
        watched.lookup_live_until = watched.lookup_live_until.filter(|until| *until > self.clock.instant);
        let told = self.believe(principal, watched.received, watched.from_disk, live);
        let changed = told.verdict != watched.told.verdict || told.document != watched.told.document;
        if told.verdict == Verdict::ClosedLapsed && watched.told.verdict == Verdict::AsRecorded {
            // Perhaps it is we who missed something, asleep or behind a network that said nothing.
            watched.poll_at = Some(self.clock.instant);
        }
        let apart = told.verdict == Verdict::AsRecorded
            && told
                .document
                .as_ref()
                .is_some_and(|document| document.basic() == Basic::Open)
            && !self.is_connected(principal)
            && !self.is_public_only(principal);
        if !apart {
            watched.card_at = None;
            watched.card_tries = 0;
        } else if watched.card_at.is_none() {
            watched.card_at = Some(self.clock.instant);
        }
        let old = std::mem::replace(&mut watched.told, told.clone());
        self.watched.insert(*principal, watched);
        if changed && let Some(contact) = self.disk.contacts.get(principal) {
            let event = Event::PresenceChanged {
                contact: contact.name.clone(),
                principal: *principal,
                old: Box::new(old),
                new: Box::new(told),
            };
            self.tell(event);
            self.ask_where_letters_go(principal);
        }
    }

    /// Works out anew what is told of those of whom the time has changed it.
    pub(crate) fn watch_overdue(&mut self) {
        let due: Vec<PrincipalId> = self
            .watched
            .iter()
            .filter(|(_, watched)| self.is_due(watched))
            .map(|(principal, _)| *principal)
            .collect();
        for principal in due {
            self.reconsider(&principal);
        }
    }

    /// Does what the time asks of the watcher: leases that are over, repairs, polls, silence.
    pub(crate) fn watch_due(&mut self) {
        let now = self.clock.instant;
        let principals: Vec<PrincipalId> = self.watched.keys().copied().collect();
        for principal in principals {
            if self.live_changed || self.watched.get(&principal).is_some_and(|watched| self.is_due(watched)) {
                self.reconsider(&principal);
            }
            let Some(watched) = self.watched.get_mut(&principal) else {
                continue;
            };
            let repair = watched.repair_at.is_some_and(|at| at <= now);
            let poll = watched.poll_at.is_some_and(|at| at <= now);
            // What finds no room waits: every lookup that ends comes by here again.
            let room = self.lookups.len() < BACKGROUND_LOOKUPS;
            if (repair || poll) && room && !watched.looking && watched.not_before <= now {
                watched.repair_at = watched.repair_at.filter(|at| *at > now);
                watched.poll_at = watched.poll_at.filter(|at| *at > now);
                watched.not_before = now.plus(LOOKUP_SPACING);
                self.look_for(&principal, AskedBy::Subscription);
            }
            self.find_node(&principal);
            self.notice_silence(&principal);
        }
    }

    /// A contact who is there may be at another address than we know: its node is looked up, less and less often, until
    /// it is connected. Relays carry presence meanwhile.
    fn find_node(&mut self, principal: &PrincipalId) {
        let now = self.clock.instant;
        let connected = self.is_connected(principal);
        let Some(watched) = self.watched.get_mut(principal) else {
            return;
        };
        if watched.card_at.is_none_or(|at| at > now) {
            return;
        }
        if connected {
            watched.card_at = None;
            watched.card_tries = 0;
            return;
        }
        let wait = CARD_SPACING
            .saturating_mul(1 << watched.card_tries.min(10))
            .min(CARD_REPAIR_LAST);
        watched.card_tries = watched.card_tries.saturating_add(1);
        watched.card_at = Some(now.plus(wait));
        self.look_for_card(principal);
    }

    /// Whether a node of `principal` is connected.
    pub(crate) fn is_connected(&self, principal: &PrincipalId) -> bool {
        self.nodes_of(principal)
            .any(|address| self.connected.contains_key(&address.node))
    }

    /// Whether time alone changes what is told.
    fn is_due(&self, watched: &Watched) -> bool {
        watched.told.holds_until.is_some_and(|at| at <= self.clock.unix)
            || watched
                .lookup_live_until
                .is_some_and(|until| until <= self.clock.instant)
    }

    /// An active subscription whose view went silent is shown as stale.
    fn notice_silence(&mut self, principal: &PrincipalId) {
        if self.subscription_of(principal) != Some(SubscriptionState::Active) {
            return;
        }
        let silent = self
            .disk
            .observed
            .get(principal)
            .is_some_and(|row| row.received.plus(STALE_AFTER) <= self.clock.unix);
        let connected = self.watched.get(principal).is_some_and(|watched| watched.had_source);
        if silent && connected {
            self.set_subscription(principal, Some(SubscriptionState::Stale));
            self.ask_renewal(principal);
        }
    }

    /// When [`watch_due`](Self::watch_due) has something to do next.
    pub(crate) fn next_watch(&self) -> Option<Instant> {
        let room = self.lookups.len() < BACKGROUND_LOOKUPS;
        self.watched
            .iter()
            .filter_map(|(principal, watched)| {
                let lookup = [watched.repair_at, watched.poll_at]
                    .into_iter()
                    .flatten()
                    .min()
                    .filter(|_| room && !watched.looking)
                    .map(|at| at.max(watched.not_before));
                let over = watched.told.holds_until.map(|at| self.instant_of(at));
                let source = watched.lookup_live_until.filter(|until| *until > self.clock.instant);
                let silent = self
                    .disk
                    .observed
                    .get(principal)
                    .map(|row| row.received.plus(STALE_AFTER))
                    .filter(|at| *at > self.clock.unix)
                    .map(|at| self.instant_of(at));
                [lookup, over, source, silent, watched.card_at]
                    .into_iter()
                    .flatten()
                    .min()
            })
            .min()
    }

    /// Asks the network for `principal`'s newest record: today's and yesterday's address.
    pub(crate) fn look_for(&mut self, principal: &PrincipalId, by: AskedBy) {
        let Some(held) = self
            .disk
            .contacts
            .get(principal)
            .and_then(|contact| contact.held.as_ref())
        else {
            return;
        };
        if self.lookups.len() >= LOOKUPS {
            return;
        }
        let addresses = self.presence_addresses(&held.read);
        if let Some(watched) = self.watched.get_mut(principal) {
            watched.looking = true;
        }
        self.start_lookup(
            addresses,
            Vec::new(),
            Purpose::Presence {
                principal: *principal,
                by,
            },
        );
    }

    /// Today's and yesterday's address of a view, with their epochs.
    pub(crate) fn presence_addresses(&self, read: &ReadKey) -> Vec<(BlindedKey, Epoch)> {
        let today = read.epoch(Kind::Presence, self.clock.unix);
        [Some(today), today.0.checked_sub(1).map(Epoch)]
            .into_iter()
            .flatten()
            .map(|epoch| (read.blinded(Kind::Presence, epoch, SLOT), epoch))
            .collect()
    }

    /// A lookup for presence has ended.
    pub(crate) fn on_presence_looked_up(
        &mut self,
        principal: &PrincipalId,
        by: AskedBy,
        found: &[(VerifiedBeacon, Epoch)],
        answered: u32,
    ) {
        let now = self.clock.instant;
        let lookup_only = self.is_lookup_only(principal);
        if let Some(watched) = self.watched.get_mut(principal) {
            watched.looking = false;
            if answered > 0 {
                watched.lookup_live_until = Some(now.plus(LOOKUP_LIVE));
            }
            if lookup_only {
                watched.poll_at = Some(now.plus(PROVISIONAL_POLL));
            }
        }
        let newest = found.iter().max_by_key(|(beacon, _)| beacon.sequence());
        for (beacon, epoch) in found {
            self.take_in(principal, *epoch, beacon, Source::Dht);
        }
        if !lookup_only {
            self.ask_again(principal, answered);
        }
        self.reconsider(principal);
        match by {
            AskedBy::Subscription => {}
            AskedBy::Fetcher(request) => {
                let result = self.fetched(principal, newest, answered);
                self.reply(request, result.map(|presence| Reply::Told(Box::new(presence))));
            }
            AskedBy::Schedule => {
                let result = self.fetched(principal, newest, answered);
                self.on_polled(principal, result);
            }
        }
    }

    /// A lookup is not the last one while there may be something newer than what we know. The first record of a view that
    /// was granted just now may not be in the DHT yet: ask again, less and less often. Of one we know, ask again before its
    /// lease is over.
    fn ask_again(&mut self, principal: &PrincipalId, answered: u32) {
        let held = self
            .disk
            .contacts
            .get(principal)
            .and_then(|contact| contact.held.as_ref());
        let known = self.disk.observed.get(principal);
        let missing = held.is_some_and(|held| known.is_none_or(|row| row.generation != held.generation));
        let now = self.clock.instant;
        let received = self.watched.get(principal).map(|watched| watched.received);
        let repair_at = known.zip(received).and_then(|(row, received)| {
            let record = Record {
                state: &row.state,
                sequence: row.sequence,
                source: row.source,
                received,
            };
            self.repair_time(&record, row.received)
        });
        if let Some(watched) = self.watched.get_mut(principal) {
            watched.repair_at = watched.repair_at.or(repair_at);
            watched.misses = match (missing, answered) {
                (false, _) => 0,
                // Nobody could be asked: a source that comes up is the sign to ask again.
                (true, 0) => return,
                (true, _) => watched.misses.saturating_add(1),
            };
            if missing {
                let wait = LOOKUP_SPACING.saturating_mul(1 << (watched.misses - 1).min(8));
                watched.poll_at = Some(now.plus(wait.min(RETRY_LAST)));
            }
        }
    }

    /// The answer to a fetch: what the lookup found, or what is known here if that is newer.
    fn fetched(
        &self,
        principal: &PrincipalId,
        newest: Option<&(VerifiedBeacon, Epoch)>,
        answered: u32,
    ) -> Result<ContactPresence, CommandError> {
        let Some(contact) = self.disk.contacts.get(principal) else {
            return Err(not_found("contact", &principal.to_string()));
        };
        let may = decide(
            &self.disk,
            &Subject::Principal(*principal),
            Action::Fetch,
            Resource::PresenceOf(*principal),
            self.clock.unix,
        );
        if !may.allowed() {
            return Err(CommandError::NotGranted {
                name: contact.name.clone(),
            });
        }
        let looked_up = newest.and_then(|(beacon, epoch)| {
            let (state, _) = self.read_record(principal, *epoch, beacon)?;
            Some((state, beacon.sequence()))
        });
        let known = self.disk.observed.get(principal);
        let watched = self.watched.get(principal);
        let live = answered > 0 || watched.is_some_and(|watched| self.has_source(principal, watched));
        let told = match &looked_up {
            // A copy on our own shelf, when nobody could be asked, is no news of what came by itself.
            Some((state, sequence)) if known.is_none_or(|row| newer(*sequence, row.sequence, answered)) => {
                let record = Record {
                    state,
                    sequence: *sequence,
                    source: Source::Dht,
                    received: Received::Late,
                };
                belief(Some(&record), live, self.clock)
            }
            Some(_) | None => {
                let (received, from_disk) =
                    watched.map_or((Received::Late, true), |watched| (watched.received, watched.from_disk));
                self.believe(principal, received, from_disk, live)
            }
        };
        Ok(self.presence_of(contact, told))
    }

    /// `Command::Fetch`.
    pub(crate) fn command_fetch(&mut self, request: RequestId, contact: &str) -> Result<Option<Reply>, CommandError> {
        if let Ok(principal) = contact.parse::<PrincipalId>()
            && !self.disk.contacts.contains_key(&principal)
        {
            return self.fetch_public(request, principal);
        }
        let contact = self.find_contact(contact)?;
        let principal = contact.principal;
        if contact.held.is_none() && contact.granted.is_none() {
            // We know each other no longer; what they show to everyone we may see as well.
            return self.fetch_public(request, principal);
        }
        Self::check_held(contact)?;
        if self.lookups.len() >= LOOKUPS {
            return Err(CommandError::Full {
                what: "lookup".to_owned(),
                limit: LOOKUPS,
            });
        }
        self.look_for(&principal, AskedBy::Fetcher(request));
        Ok(None)
    }

    /// Whether we hold a view of a contact to ask with.
    pub(crate) fn check_held(contact: &ContactRow) -> Result<(), CommandError> {
        let name = || contact.name.clone();
        match (&contact.held, contact.subscription) {
            (Some(held), _) if held.rights.is_empty() => Err(CommandError::ShowsNothing { name: name() }),
            (Some(_), _) => Ok(()),
            (None, Some(SubscriptionState::Cancelled | SubscriptionState::Refused)) => {
                Err(CommandError::Ended { name: name() })
            }
            (None, _) => Err(CommandError::NotGranted { name: name() }),
        }
    }

    /// `Command::Subscribe`: consent is given here, by the local user, and nowhere else.
    pub(crate) fn command_subscribe(&mut self, contact: &str) -> Result<Option<Reply>, CommandError> {
        let contact = self.find_contact(contact)?;
        let (principal, name) = (contact.principal, contact.name.clone());
        if !is_live(contact.subscription) {
            let state = match &contact.held {
                None if contact.problem.is_some() => {
                    return Err(CommandError::NotGranted { name });
                }
                None => SubscriptionState::Pending,
                Some(held) if held.generation == 0 => SubscriptionState::Provisional,
                Some(held) if held.rights.is_empty() => return Err(CommandError::ShowsNothing { name }),
                Some(held) if !held.rights.contains(&porchlight_wire::grant::Right::Subscribe) => {
                    return Err(CommandError::FetchOnly { name });
                }
                Some(_) => SubscriptionState::Active,
            };
            self.set_subscription(&principal, Some(state));
            self.sync_watched();
        }
        Ok(Some(Reply::Subscription {
            contact: name,
            state: self.subscription_of(&principal),
        }))
    }

    /// `Command::Unsubscribe`: nothing of theirs surfaces from this step on.
    pub(crate) fn command_unsubscribe(&mut self, contact: &str) -> Result<Option<Reply>, CommandError> {
        let contact = self.find_contact(contact)?;
        let (principal, name) = (contact.principal, contact.name.clone());
        if contact.subscription.is_some() {
            self.set_subscription(&principal, None);
            self.write(Write::DeleteObserved(principal));
            self.sync_watched();
        }
        Ok(Some(Reply::Subscription {
            contact: name,
            state: None,
        }))
    }

    /// `Command::ListPresence`.
    pub(crate) fn command_list_presence(&self) -> Reply {
        let mut contacts: Vec<ContactPresence> = self
            .disk
            .contacts
            .values()
            .map(|contact| self.told_of(contact))
            .collect();
        contacts.sort_by(|one, other| one.name.cmp(&other.name));
        Reply::Presences {
            own: Box::new(self.own_presence(None)),
            contacts,
        }
    }

    /// What is told of a contact now.
    pub(crate) fn told_of(&self, contact: &ContactRow) -> ContactPresence {
        let told = self
            .watched
            .get(&contact.principal)
            .map_or_else(|| belief(None, false, self.clock), |watched| watched.told.clone());
        self.presence_of(contact, told)
    }

    fn presence_of(&self, contact: &ContactRow, told: Told) -> ContactPresence {
        ContactPresence {
            name: contact.name.clone(),
            principal: contact.principal,
            subscription: contact.subscription,
            age: told.issued.map(|issued| self.clock.unix.since(issued)),
            told,
        }
    }

    pub(crate) fn subscription_of(&self, principal: &PrincipalId) -> Option<SubscriptionState> {
        self.disk.contacts.get(principal)?.subscription
    }

    /// Changes the state of a subscription, and tells it.
    pub(crate) fn set_subscription(&mut self, principal: &PrincipalId, new: Option<SubscriptionState>) {
        let Some(contact) = self.disk.contacts.get(principal) else {
            return;
        };
        let old = contact.subscription;
        if old == new {
            return;
        }
        let mut row = contact.clone();
        row.subscription = new;
        let event = Event::SubscriptionChanged {
            contact: row.name.clone(),
            principal: *principal,
            old,
            new,
        };
        self.write(Write::PutContact(row));
        self.interest_changed = true;
        self.tell(event);
    }

    /// The monotonic instant at which the wall clock will show `at`, if neither jumps.
    pub(crate) fn instant_of(&self, at: UnixMillis) -> Instant {
        self.clock.instant.plus(at.since(self.clock.unix))
    }

    /// Starts the lookup of an identity sheet.
    pub(crate) fn start_sheet_lookup(&mut self, principal: PrincipalId, wanted: SheetFor) {
        let purpose = Purpose::Sheet { principal, wanted };
        let place = Place::Sheet(SheetAddress::of(&principal));
        self.ask_network(vec![place], Vec::new(), Vec::new(), purpose);
    }

    /// Starts a lookup of beacons.
    pub(crate) fn start_lookup(
        &mut self,
        addresses: Vec<(BlindedKey, Epoch)>,
        at: Vec<porchlight_wire::ids::NodeAddress>,
        purpose: Purpose,
    ) {
        let places = addresses.iter().map(|(pk, _)| Place::Beacon(*pk)).collect();
        self.ask_network(places, addresses, at, purpose);
    }

    fn ask_network(
        &mut self,
        places: Vec<Place>,
        addresses: Vec<(BlindedKey, Epoch)>,
        at: Vec<porchlight_wire::ids::NodeAddress>,
        purpose: Purpose,
    ) {
        let lookup = LookupId(self.next_id());
        self.step.effect(crate::step::Effect::Lookup { lookup, places, at });
        self.lookups.insert(
            lookup,
            crate::node::Lookup {
                purpose,
                addresses,
                found: Vec::new(),
                sheets: Vec::new(),
            },
        );
    }
}

/// Whether a subscription in this state is served at all.
pub(crate) const fn is_live(state: Option<SubscriptionState>) -> bool {
    match state {
        Some(
            SubscriptionState::Provisional
            | SubscriptionState::Pending
            | SubscriptionState::Active
            | SubscriptionState::Stale,
        ) => true,
        Some(SubscriptionState::Cancelled | SubscriptionState::Refused) | None => false,
    }
}

/// Whether what a lookup found says more than what is known here.
const fn newer(found: u64, known: u64, answered: u32) -> bool {
    found > known || (found == known && answered > 0)
}

pub(crate) fn not_found(what: &str, name: &str) -> CommandError {
    CommandError::NotFound {
        what: what.to_owned(),
        name: name.to_owned(),
    }
}

const _: () = assert!(STALE_AFTER > DAY, "a view may be silent for a day without being stale");
