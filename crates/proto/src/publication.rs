//! What this node keeps published: its views, its card, its invite records. Decides when a record is made, when it goes to
//! gossip and when into the DHT. Called by the core after every input; makes no record a rule of pace forbids.

use crate::absence::Ahead;
use crate::access::{Action, Decision, Resource, Subject, decide};
use crate::clock::Instant;
use crate::input::PutId;
use crate::limits::{CARD_PACE, EPOCH_OVERLAP, GOSSIP_BURST, GOSSIP_REFILL, LONG_REFRESH, RETRY_LAST, SEQUENCE_AHEAD};
use crate::node::{Node, Phase};
use crate::presence::presentity::{document, farewell, project};
use crate::public::PUBLIC_VIEW;
use crate::rows::Projection;
use crate::step::{Effect, Write};
use porchlight_wire::beacon::{BeaconDraft, SealError, VerifiedBeacon, topic};
use porchlight_wire::blind::{BlindedKey, Epoch, Epochs, GenerationKey, Kind, ReadKey};
use porchlight_wire::card::{Bundle, InviteRecord, SignedCard};
use porchlight_wire::grant::Right;
use porchlight_wire::ids::{NodeAddress, PrincipalId, RandomId};
use porchlight_wire::network::TopicIndex;
use porchlight_wire::presence::{Basic, PresenceDocument, PresenceState, Reach};
use porchlight_wire::record::Place;
use porchlight_wire::time::UnixMillis;
use rand_chacha::ChaCha20Rng;
use std::collections::{BTreeMap, BTreeSet};

/// The one slot in use until second devices can be linked.
pub(crate) const SLOT: u8 = 0;

/// Names a publication of this node. In the order in which they are looked after: proofs of work are asked for in it, and
/// after a start contacts come first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    /// A view, by name.
    View(String),
    /// Our card.
    Card,
    /// The invite record of an invite.
    Invite(RandomId),
    /// The temporary view of an invite.
    Temporary(RandomId),
}

/// One publication and its pace.
#[derive(Debug)]
pub(crate) struct Publication {
    key: GenerationKey,
    read: ReadKey,
    kind: Kind,
    clock: Epochs,
    /// Addresses worked out so far: each costs a multiplication on the curve, and is asked for after every input.
    addresses: BTreeMap<Epoch, BlindedKey>,
    /// Views of contacts are gossiped; everything else is only looked up.
    gossip: bool,
    /// The content changed since the last record.
    dirty: bool,
    /// The last record, one beacon for each epoch it was made for.
    beacons: Vec<VerifiedBeacon>,
    /// The newest epoch that the last record was made for.
    epoch: Option<Epoch>,
    refresh_at: Option<Instant>,
    bucket: Bucket,
    put_wanted: bool,
    put_not_before: Instant,
    put_failures: u32,
    /// When the last put was read back somewhere, and how many in a row nobody has kept since, whatever they said.
    stored: Option<UnixMillis>,
    unkept: u32,
    /// Nothing follows this closing record.
    ending: bool,
    /// How to reach our node, as the last record told it.
    pub(crate) reach: Option<Reach>,
}

impl Publication {
    pub(crate) fn new(key: GenerationKey, kind: Kind, gossip: bool) -> Self {
        let read = key.read_key();
        Self {
            clock: read.epochs(kind),
            addresses: BTreeMap::new(),
            key,
            read,
            kind,
            gossip,
            dirty: true,
            beacons: Vec::new(),
            epoch: None,
            refresh_at: None,
            bucket: Bucket::default(),
            put_wanted: false,
            put_not_before: Instant(0),
            put_failures: 0,
            stored: None,
            unkept: 0,
            ending: false,
            reach: None,
        }
    }

    /// The content has changed.
    pub(crate) const fn touch(&mut self) {
        self.dirty = true;
    }

    /// A server may have appeared that does not have the record.
    pub(crate) const fn offer_again(&mut self) {
        self.put_wanted = true;
        self.put_failures = 0;
    }

    /// The next record is the last one: a closing record.
    pub(crate) const fn end(&mut self) {
        self.ending = true;
        self.dirty = true;
    }

    pub(crate) const fn stored_at(&self) -> Option<UnixMillis> {
        self.stored
    }

    pub(crate) const fn unkept(&self) -> u32 {
        self.unkept
    }

    pub(crate) const fn is_gossiped(&self) -> bool {
        self.gossip
    }

    pub(crate) const fn read_key(&self) -> &ReadKey {
        &self.read
    }

    /// The epochs a record is made for at `now`: the current one, and for an hour the one before it.
    fn epochs(&self, now: UnixMillis) -> Vec<Epoch> {
        epochs_in_use(self.clock, now)
    }

    /// The address in `epoch`.
    pub(crate) fn address(&mut self, epoch: Epoch) -> BlindedKey {
        let (read, kind) = (&self.read, self.kind);
        *self
            .addresses
            .entry(epoch)
            .or_insert_with(|| read.blinded(kind, epoch, SLOT))
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) const fn epoch_at(&self, now: UnixMillis) -> Epoch {
        self.clock.at(now)
    }

    pub(crate) const fn start_of(&self, epoch: Epoch) -> UnixMillis {
        self.clock.start(epoch)
    }

    pub(crate) fn seal(
        &self,
        draft: &BeaconDraft<'_>,
        now: UnixMillis,
        rng: &mut ChaCha20Rng,
    ) -> Result<Vec<u8>, SealError> {
        self.key.seal(draft, now, rng)
    }

    /// The addresses in use at `now`.
    pub(crate) fn addresses(&mut self, now: UnixMillis) -> Vec<BlindedKey> {
        let epochs = self.epochs(now);
        // Those of epochs that are over are asked for no more.
        if let Some(oldest) = epochs.iter().min() {
            self.addresses = self.addresses.split_off(oldest);
        }
        epochs.into_iter().map(|epoch| self.address(epoch)).collect()
    }
}

/// The epochs in use at `now`: the current one first, and for an hour after a boundary the one before it.
pub(crate) fn epochs_in_use(clock: Epochs, now: UnixMillis) -> Vec<Epoch> {
    let current = clock.at(now);
    let mut epochs = vec![current];
    let started = clock.start(current);
    if now.since(started) < EPOCH_OVERLAP
        && let Some(before) = current.0.checked_sub(1)
    {
        epochs.push(Epoch(before));
    }
    epochs
}

/// A token bucket for gossip: [`GOSSIP_BURST`] at once, one more each [`GOSSIP_REFILL`].
#[derive(Debug)]
struct Bucket {
    tokens: u32,
    since: Instant,
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            tokens: GOSSIP_BURST,
            since: Instant(0),
        }
    }
}

impl Bucket {
    fn refill(&mut self, now: Instant) {
        let earned = now.since(self.since) / GOSSIP_REFILL;
        if earned == 0 {
            return;
        }
        let tokens = u64::from(self.tokens).saturating_add(earned);
        self.tokens = u32::try_from(tokens).unwrap_or(u32::MAX).min(GOSSIP_BURST);
        self.since = if self.tokens == GOSSIP_BURST {
            now
        } else {
            self.since.plus(earned.saturating_mul(GOSSIP_REFILL))
        };
    }

    fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        if self.tokens == 0 {
            return false;
        }
        if self.tokens == GOSSIP_BURST {
            self.since = now;
        }
        self.tokens -= 1;
        true
    }

    /// When the next token is there.
    const fn ready_at(&self, now: Instant) -> Instant {
        if self.tokens > 0 {
            now
        } else {
            self.since.plus(GOSSIP_REFILL)
        }
    }
}

impl Node {
    /// Brings the set of publications in line with what is on disk: a view that somebody holds, a temporary view and an
    /// invite record for each live invite, and the card.
    pub(crate) fn sync_publications(&mut self) {
        let now = self.clock.unix;
        let mut wanted: BTreeMap<Name, (GenerationKey, Kind, bool)> = BTreeMap::new();
        wanted.insert(Name::Card, (self.disk.identity.card.clone(), Kind::Card, false));
        for (name, view) in &self.disk.views {
            if !self.config.presence {
                break;
            }
            if decide(
                &self.disk,
                &Subject::View(name),
                Action::Fetch,
                Resource::OwnPresence,
                now,
            )
            .allowed()
            {
                let gossip = view.rights.contains(&Right::Subscribe);
                wanted.insert(Name::View(name.clone()), (view.key.clone(), Kind::Presence, gossip));
            }
        }
        for (id, invite) in &self.disk.invites {
            if invite.expires <= now {
                continue;
            }
            wanted.insert(Name::Invite(*id), (invite.record.clone(), Kind::Card, false));
            if !self.config.presence {
                continue;
            }
            if decide(
                &self.disk,
                &Subject::InviteHolder(*id),
                Action::Fetch,
                Resource::OwnPresence,
                now,
            )
            .allowed()
            {
                wanted.insert(Name::Temporary(*id), (invite.temporary.clone(), Kind::Presence, false));
            }
        }
        self.publications
            .retain(|name, publication| wanted.contains_key(name) || publication.ending);
        for (name, (key, kind, gossip)) in wanted {
            self.publications
                .entry(name)
                .or_insert_with(|| Publication::new(key, kind, gossip));
        }
    }

    /// Marks every publication that shows presence as changed.
    pub(crate) fn touch_presence(&mut self) {
        for (name, publication) in &mut self.publications {
            match name {
                Name::View(_) | Name::Temporary(_) => publication.touch(),
                Name::Invite(_) | Name::Card => {}
            }
        }
    }

    /// Marks what shows this view, and its invites' temporary views, as changed.
    pub(crate) fn touch_view(&mut self, view: &str) {
        for (name, publication) in &mut self.publications {
            let shows = match name {
                Name::View(name) => name == view,
                Name::Temporary(id) => self.disk.invites.get(id).is_some_and(|invite| invite.view == view),
                Name::Invite(_) | Name::Card => false,
            };
            if shows {
                publication.touch();
            }
        }
    }

    /// Marks the view that `principal` was granted as changed.
    pub(crate) fn touch_granted(&mut self, principal: &PrincipalId) {
        let contact = self.disk.contacts.get(principal);
        if let Some(granted) = contact.and_then(|contact| contact.granted.as_ref())
            && let Some(publication) = self.publications.get_mut(&Name::View(granted.view.clone()))
        {
            publication.touch();
        }
    }

    /// Marks the card as changed: addresses or relays are others now.
    pub(crate) fn touch_card(&mut self) {
        if let Some(card) = self.publications.get_mut(&Name::Card) {
            card.touch();
        }
    }

    /// Makes and sends what is due.
    pub(crate) fn publish_due(&mut self) {
        let names: Vec<Name> = self.publications.keys().cloned().collect();
        for name in names {
            // Taken out while it is worked on, so that the rest of the node can be used meanwhile.
            let Some(mut publication) = self.publications.remove(&name) else {
                continue;
            };
            self.publish_one(&name, &mut publication);
            let spent = publication.ending && !publication.dirty && !publication.put_wanted;
            if !spent {
                self.publications.insert(name, publication);
            }
        }
    }

    /// When [`publish_due`](Self::publish_due) has something to do next.
    pub(crate) fn next_publication(&self) -> Option<Instant> {
        let now = self.clock.instant;
        let mut next: Option<Instant> = None;
        let mut consider = |at: Instant| next = Some(next.map_or(at, |earliest: Instant| earliest.min(at)));
        for publication in self.publications.values() {
            if publication.dirty {
                let paced = if publication.gossip {
                    publication.bucket.ready_at(now)
                } else {
                    publication.put_not_before
                };
                // A record that waits for its proof of work is woken by that, not by the time.
                if paced > now {
                    consider(paced);
                }
            }
            if let Some(at) = publication.refresh_at
                && !publication.dirty
            {
                consider(at);
            }
            if publication.put_wanted && !publication.beacons.is_empty() {
                consider(publication.put_not_before);
            }
            if publication.epoch.is_some() {
                consider(self.instant_of(next_boundary(publication, self.clock.unix)));
            }
        }
        next
    }

    fn publish_one(&mut self, name: &Name, publication: &mut Publication) {
        let now = self.clock.instant;
        let current = publication.clock.at(self.clock.unix);
        let rolled = publication.epoch.is_some_and(|epoch| epoch < current);
        let refresh = publication.refresh_at.is_some_and(|at| at <= now);
        if publication.dirty || rolled || refresh {
            publication.dirty = true;
            let may = if *name == Name::Card && self.has_nowhere() {
                // The first card would say nothing, and stand in the way of the next one for the pace.
                false
            } else if publication.gossip {
                publication.bucket.refill(now);
                publication.bucket.tokens > 0
            } else {
                publication.put_not_before <= now
            };
            if may && self.make_record(name, publication) {
                publication.bucket.take(now);
                publication.dirty = false;
                publication.put_wanted = true;
                publication.put_failures = 0;
                if publication.gossip {
                    for beacon in publication.beacons.clone() {
                        self.step.effect(Effect::Gossip { beacon });
                    }
                }
            }
        }
        if publication.put_wanted && publication.put_not_before <= now && !publication.beacons.is_empty() {
            publication.put_wanted = false;
            publication.put_not_before = now.plus(match publication.kind {
                Kind::Presence => self.config.dht_interval,
                Kind::Card => self.config.dht_interval.min(CARD_PACE),
            });
            for beacon in publication.beacons.clone() {
                let put = PutId(self.next_id());
                self.puts.insert(put, name.clone());
                let record = beacon.into();
                self.step.effect(Effect::Put { put, record });
            }
        }
    }

    /// Makes a new record for every epoch in use. False if it has to wait for a proof of work.
    fn make_record(&mut self, name: &Name, publication: &mut Publication) -> bool {
        let mut epochs = publication.epochs(self.clock.unix);
        // An invite record is there for the whole life of its invite, although we may be away for all of it; and so is the
        // card that it, or our identity sheet, leads to.
        let until = match name {
            Name::Invite(id) => self.disk.invites.get(id).map(|invite| invite.expires),
            Name::Card => {
                let sheet = Some(self.disk.sheet_until).filter(|until| *until > self.clock.unix);
                self.disk
                    .invites
                    .values()
                    .map(|invite| invite.expires)
                    .chain(sheet)
                    .max()
            }
            Name::View(_) | Name::Temporary(_) => None,
        };
        if let Some(until) = until {
            let last = publication.clock.at(until);
            let first = epochs.first().copied().unwrap_or(last);
            epochs.extend((first.0.saturating_add(1)..=last.0).map(Epoch));
        }
        publication.reach = match name {
            Name::View(view) => self.view_reach(view),
            Name::Temporary(_) | Name::Invite(_) | Name::Card => None,
        };
        let Some((payload, refresh_in, expires)) = self.content(name, publication) else {
            return true;
        };
        if !self.have_work(publication, &epochs) {
            return false;
        }
        let beacons = self.seal_all(publication, &epochs, expires, &payload);
        publication.epoch = epochs
            .iter()
            .max()
            .copied()
            .min(Some(publication.clock.at(self.clock.unix)));
        publication.beacons = beacons;
        publication.refresh_at = Some(self.clock.instant.plus(refresh_in));
        true
    }

    /// The payload of a publication now, after how long it is made again, and until when it may be kept.
    fn content(&self, name: &Name, publication: &Publication) -> Option<(Vec<u8>, u64, UnixMillis)> {
        match name {
            Name::View(view) => {
                if publication.ending {
                    return self.presence_content(farewell(self.disk.identity.principal), None);
                }
                self.presence_content(self.projected(&Subject::View(view))?, publication.reach.clone())
            }
            Name::Temporary(id) => {
                let document = if publication.ending {
                    farewell(self.disk.identity.principal)
                } else {
                    self.projected(&Subject::InviteHolder(*id))?
                };
                self.presence_content(document, None)
            }
            Name::Invite(id) => {
                let invite = self.disk.invites.get(id)?;
                let record = InviteRecord {
                    principal: self.disk.identity.principal,
                    name: self.config.name.clone(),
                    card: self.disk.identity.card.read_key(),
                    view: (invite.uses_left() > 0).then(|| invite.temporary.read_key()),
                    stamps: self.invite_stamps(invite),
                    vouchers: self.invite_vouchers(invite),
                    expires: invite.expires,
                };
                Some((record.to_bytes(), LONG_REFRESH, invite.expires))
            }
            Name::Card => Some((self.own_card().to_bytes(), LONG_REFRESH, UnixMillis(u64::MAX))),
        }
    }

    /// Our document as `subject` is shown it. This is where access rules meet what is published.
    fn projected(&self, subject: &Subject<'_>) -> Option<PresenceDocument> {
        match decide(
            &self.disk,
            subject,
            Action::Fetch,
            Resource::OwnPresence,
            self.clock.unix,
        ) {
            Decision::Allow(projection) => {
                let own = self.own(self.view_of(subject));
                Some(project(document(self.disk.identity.principal, &own), projection))
            }
            Decision::Deny(_) => None,
        }
    }

    /// The view whose watchers a subject is one of, or will be.
    fn view_of<'a>(&'a self, subject: &Subject<'a>) -> Option<&'a str> {
        match subject {
            Subject::View(name) => Some(name),
            Subject::InviteHolder(id) => self.disk.invites.get(id).map(|invite| invite.view.as_str()),
            Subject::Everyone => Some(PUBLIC_VIEW),
            Subject::TokenHolder(..) | Subject::Principal(_) => None,
        }
    }

    pub(crate) fn presence_content(
        &self,
        document: PresenceDocument,
        reach: Option<Reach>,
    ) -> Option<(Vec<u8>, u64, UnixMillis)> {
        let closed = document.basic() == Basic::Closed;
        let state = PresenceState {
            issued: self.clock.unix,
            lease: self.config.lease,
            ended: false,
            document,
            reach,
        };
        let refresh = if closed {
            LONG_REFRESH
        } else {
            self.config.lease / 3 * 2
        };
        let payload = state
            .to_bytes()
            // What the principal says comes before where its node is.
            .or_else(|_| {
                PresenceState {
                    reach: None,
                    ..state.clone()
                }
                .to_bytes()
            })
            .or_else(|error| {
                // Nothing like it can be set. If it was, by a version with other bounds, the status is told all the same.
                tracing::error!(%error, "our own presence does not fit into a record; its status is published alone");
                let document = project(state.document.clone(), Projection::StatusOnly);
                PresenceState {
                    document,
                    reach: None,
                    ..state.clone()
                }
                .to_bytes()
            })
            .inspect_err(|error| tracing::error!(%error, "our own presence does not fit into a record"))
            .ok()?;
        Some((payload, refresh, UnixMillis(u64::MAX)))
    }

    /// Our card as it is now.
    pub(crate) fn own_card(&self) -> SignedCard {
        let addresses: Vec<NodeAddress> = if self.config.card_addresses {
            self.own_addresses()
        } else {
            Vec::new()
        };
        let bundle = Bundle {
            device: self.disk.identity.device.id(),
            envelope_key: self.disk.identity.envelope.public(),
            olm: self.own_olm_keys(),
            addresses,
            relays: self.connected_seeds(),
            mailboxes: self.mailbox_addresses(),
            issued: self.clock.unix,
        };
        bundle.sign(&self.disk.identity.device, &self.disk.identity.devices)
    }

    /// Whether the proofs of work for these epochs (and the next one, for the goodbye) are there; asks for those that
    /// are not.
    fn have_work(&mut self, publication: &mut Publication, epochs: &[Epoch]) -> bool {
        if self.config.network.work_bits() == 0 {
            return true;
        }
        let mut complete = true;
        for epoch in epochs {
            complete &= self.work_for(Place::Beacon(publication.address(*epoch))).is_some();
        }
        // What can wait does not stand in the way of what cannot.
        if complete && let Some(newest) = epochs.iter().max() {
            let upcoming = publication.address(Epoch(newest.0.saturating_add(1)));
            if self.work_for(Place::Beacon(upcoming)).is_some() {
                self.prepare_absence(publication);
            }
        }
        complete
    }

    /// The proof of work for a place, if it is there or none is needed; otherwise it is asked for.
    pub(crate) fn work_for(&mut self, place: Place) -> Option<u64> {
        let bits = self.config.network.work_bits();
        if bits == 0 {
            return Some(0);
        }
        let found = self.work.get(&place).copied();
        if found.is_none() && self.work_asked.insert(place) {
            self.step.effect(Effect::Work { place, bits });
        }
        found
    }

    fn seal_all(
        &mut self,
        publication: &mut Publication,
        epochs: &[Epoch],
        expires: UnixMillis,
        payload: &[u8],
    ) -> Vec<VerifiedBeacon> {
        let mut beacons = Vec::with_capacity(epochs.len());
        for epoch in epochs {
            let pk = publication.address(*epoch);
            // One for each: the same number at two addresses would say that they belong together.
            let sequence = self.next_sequence();
            let draft = BeaconDraft {
                kind: publication.kind,
                epoch: *epoch,
                slot: SLOT,
                sequence,
                expires,
                payload,
                work: self.work.get(&Place::Beacon(pk)).copied().unwrap_or(0),
            };
            let sealed = publication
                .key
                .seal(&draft, self.clock.unix, &mut self.rng)
                .map_err(|error| error.to_string())
                .and_then(|bytes| {
                    // What we would not accept from others is not sent.
                    VerifiedBeacon::verify(&bytes, &self.config.network, self.clock.unix)
                        .map_err(|error| error.to_string())
                });
            match sealed {
                Ok(beacon) => beacons.push(beacon),
                Err(error) => tracing::error!(%error, kind = ?publication.kind, "a record of ours cannot be made"),
            }
        }
        beacons
    }

    /// max(last + 1, Unix milliseconds); a ceiling above it is committed in the same step, so that no restart can use it
    /// again.
    pub(crate) fn next_sequence(&mut self) -> u64 {
        self.sequence = self.sequence.saturating_add(1).max(self.clock.unix.0);
        if self.sequence > self.disk.ceiling {
            self.write(Write::PutCeiling(self.sequence.saturating_add(SEQUENCE_AHEAD)));
        }
        self.sequence
    }

    pub(crate) fn on_worked(&mut self, place: Place, nonce: u64) {
        if self.work_asked.remove(&place) {
            self.work.insert(place, nonce);
            self.forget_old_work();
        }
    }

    /// Proofs of work for epochs that are over are of no use: each publication needs at most nine (the epoch before, the
    /// current one, and those for which closing records are made).
    fn forget_old_work(&mut self) {
        const EACH: usize = 9;
        if self.work.len() <= 2 * EACH * self.publications.len().max(1) {
            return;
        }
        let mut useful = BTreeSet::from([self.own_place()]);
        for publication in self.publications.values_mut() {
            let mut epochs = publication.epochs(self.clock.unix);
            epochs.extend(publication.epoch);
            epochs.extend(epochs.first().map(|current| Epoch(current.0.saturating_add(1))));
            // Also those further ahead: of invites and cards that have to be there while we are away.
            epochs.extend(publication.addresses.keys().copied());
            for epoch in epochs {
                useful.insert(Place::Beacon(publication.address(epoch)));
            }
        }
        self.work.retain(|place, _| useful.contains(place));
    }

    pub(crate) fn on_put_done(&mut self, put: PutId, stored: u32, asked: u32) {
        if let Phase::Leaving(leaving) = &mut self.phase {
            leaving.puts.remove(&put);
        }
        if self.on_left_put(put, stored) || self.on_closing_put(put, stored) || self.on_sheet_put(put, stored, asked) {
            return;
        }
        let Some(name) = self.puts.remove(&put) else {
            return;
        };
        let Some(publication) = self.publications.get_mut(&name) else {
            return;
        };
        if asked == 0 {
            // With nobody to ask, the next relay that connects is the sign to go on; what reached nobody does not count
            // for the pace.
            publication.put_not_before = self.clock.instant;
        } else if stored == 0 {
            // Somebody was asked and nobody kept it: try again soon, then less and less often.
            let wait = self
                .config
                .dht_interval
                .saturating_mul(1 << publication.put_failures.min(6))
                .min(RETRY_LAST.max(self.config.dht_interval));
            publication.put_failures = publication.put_failures.saturating_add(1);
            publication.put_wanted = true;
            publication.put_not_before = self.clock.instant.plus(wait);
            publication.unkept = publication.unkept.saturating_add(1);
        } else {
            publication.unkept = 0;
            publication.stored = Some(self.clock.unix);
        }
    }

    /// Topics of what we publish by gossip.
    pub(crate) fn published_topics(&mut self, topics: &mut BTreeSet<TopicIndex>) {
        let (network, now) = (&self.config.network, self.clock.unix);
        let gossiped = self.publications.values_mut().filter(|publication| publication.gossip);
        topics.extend(
            gossiped
                .flat_map(|publication| publication.addresses(now))
                .map(|pk| topic(network, &pk)),
        );
    }

    /// Closing records of every view, for this epoch and the next: gossiped, and put whatever the pace; and what those who use
    /// an invite while we are away will look for. Closing records of the days that follow go into `ahead`. Returns the puts to wait
    /// for.
    pub(crate) fn say_goodbye(&mut self, ahead: &mut Ahead) -> BTreeSet<PutId> {
        let under_way = self.puts.iter();
        let mut puts: BTreeSet<PutId> = under_way
            .filter(|(_, name)| matches!(name, Name::Card | Name::Invite(_)))
            .map(|(put, _)| *put)
            .collect();
        let names: Vec<Name> = self.publications.keys().cloned().collect();
        for name in names {
            let Some(mut publication) = self.publications.remove(&name) else {
                continue;
            };
            if publication.kind != Kind::Presence {
                if publication.dirty && !self.make_record(&name, &mut publication) {
                    continue;
                }
                if publication.dirty || publication.put_wanted {
                    for beacon in publication.beacons {
                        let put = PutId(self.next_id());
                        puts.insert(put);
                        let record = beacon.into();
                        self.step.effect(Effect::Put { put, record });
                    }
                }
                continue;
            }
            let Some((payload, _, expires)) =
                self.presence_content(farewell(self.disk.identity.principal), publication.reach.clone())
            else {
                continue;
            };
            for beacon in self.closing_records(&mut publication, expires, &payload) {
                if publication.gossip {
                    self.step.effect(Effect::Gossip { beacon: beacon.clone() });
                }
                let put = PutId(self.next_id());
                puts.insert(put);
                let record = beacon.into();
                self.step.effect(Effect::Put { put, record });
            }
            self.closing_records_ahead(&mut publication, ahead);
        }
        puts
    }

    /// The last records of a publication, for this epoch and the next: as many as there is proof of work for, because a
    /// goodbye cannot wait.
    pub(crate) fn closing_records(
        &mut self,
        publication: &mut Publication,
        expires: UnixMillis,
        payload: &[u8],
    ) -> Vec<VerifiedBeacon> {
        let current = publication.clock.at(self.clock.unix);
        // The address of today is the last one, with the highest sequence: shortly before a boundary watchers are told of that of
        // tomorrow too, and whoever asks then finds at today's what is no older than that.
        let mut epochs = vec![Epoch(current.0.saturating_add(1))];
        epochs.extend(publication.epochs(self.clock.unix).into_iter().rev());
        let bits = self.config.network.work_bits();
        epochs.retain(|epoch| {
            let pk = publication.address(*epoch);
            bits == 0 || self.work.contains_key(&Place::Beacon(pk))
        });
        self.seal_all(publication, &epochs, expires, payload)
    }
}

fn next_boundary(publication: &Publication, now: UnixMillis) -> UnixMillis {
    let next = Epoch(publication.clock.at(now).0.saturating_add(1));
    publication.clock.start(next)
}
