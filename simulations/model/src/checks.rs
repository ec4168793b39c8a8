//! The reference model, and what must hold at every step. It learns what is so from what owners' disks say, and compares it with
//! what others are told. The first thing that does not hold ends the run.
//!
//! Checked at each commit: no message lost its content, came twice, or came to somebody else; no receipt without the message on
//! the recipient's disk; nothing shown to who has no right to it, that was never said, or that is older than what was shown
//! before; no `open` of one who is long gone; events and messages numbered without a gap; no bound exceeded. At each record that
//! leaves a node: its sequence is a higher one, or it is the very same. After everything has healed: see [`Truth::at_the_end`].

mod errors;
mod messages;

pub use errors::ErrorWatch;

use crate::Who;
use crate::measures::Measures;
use crate::member::{BEGINNING, Member};
use crate::people::CONTACTS_VIEW;
use messages::Letters;
use porchlight_proto::event::{Event, Told, Verdict};
use porchlight_proto::rows::{EventRow, OwnPresenceRow, Status};
use porchlight_proto::{Snapshot, Write, limits};
use porchlight_wire::ids::PrincipalId;
use porchlight_wire::presence::Basic;
use porchlight_wire::record::VerifiedRecord;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How much longer than a lease somebody may be shown as open: what clocks may differ by unnoticed, and what is on its way.
pub const OPEN_SLACK: u64 = limits::CLOCK_TOLERANCE + 5_000;

/// Something that must hold and does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When, in milliseconds of virtual time.
    pub at: u64,
    /// At which node.
    pub node: Who,
    /// Which check.
    pub check: Check,
    /// What was expected, and what is so.
    pub what: String,
}

/// The checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// No accepted message is lost.
    MessageLost,
    /// No message comes twice.
    MessageTwice,
    /// A message comes as it was written, to whom it was written for, in order.
    MessageOther,
    /// No receipt without the message on the recipient's disk.
    ReceiptEarly,
    /// Every message that arrived is known to have.
    ReceiptMissing,
    /// A message's state goes on, and never back from its end.
    MessageState,
    /// Nothing is shown to who has no right to it.
    NoRight,
    /// Nothing is shown that was not said.
    NeverSaid,
    /// Nobody is shown as open who is long gone.
    StaleOpen,
    /// Nothing older is shown after something newer.
    WentBack,
    /// A sequence stands for one record, and only grows.
    Sequence,
    /// Events and messages are numbered without a gap.
    Numbers,
    /// The disk is what the core believes, and nothing is said before it is durable.
    Disk,
    /// No bound is exceeded.
    Limit,
    /// No error is logged.
    ErrorLogged,
    /// No core asks to be woken again and again at one time.
    BusyLoop,
    /// After healing, everybody is shown everybody as they are.
    NotCurrent,
    /// After healing, nothing waits any more.
    StillWaiting,
    /// After healing, traffic is back to its floor.
    Restless,
    /// A command that had to succeed was refused.
    Refused,
}

/// What is so, as the reference model knows it.
#[derive(Debug, Default)]
pub struct Truth {
    people: Vec<Person>,
    by_principal: HashMap<PrincipalId, Who>,
    /// Who was granted whose presence: owner, watcher.
    rights: BTreeMap<(Who, Who), Granted>,
    /// Who used whose invite: owner, watcher. Until it is used up it shows a view for a while.
    invited: BTreeSet<(Who, Who)>,
    letters: Letters,
    /// The lease of all records.
    lease: u64,
    /// The first failure.
    pub failure: Option<Failure>,
}

#[derive(Debug, Default)]
struct Person {
    public: bool,
    /// What they said of themselves, in order; each has its number as its note.
    said: Vec<Said>,
    /// Since when their process or machine is gone, or nobody can reach them.
    gone_since: Option<u64>,
    /// Which part of a divided network they are in, and since when.
    part: (u32, u64),
    /// Since when they can be told things.
    there_since: u64,
    /// Since when they are gone without a goodbye, for the time it takes to notice.
    crashed_at: Option<u64>,
    asleep: bool,
    /// What they were told last of each.
    shown: BTreeMap<Who, Shown>,
    last_event: u64,
    last_message: u64,
    /// How far their wall clock is off.
    skew: u64,
}

#[derive(Clone, Copy, Debug)]
struct Said {
    status: Status,
    at: u64,
}

#[derive(Clone, Copy, Debug)]
struct Granted {
    /// Until when, by the owner's wall clock; none: it still is.
    ended: Option<u64>,
}

#[derive(Clone, Debug)]
struct Shown {
    verdict: Verdict,
    open: bool,
    /// The number of what they said that is shown; none: none is.
    number: Option<usize>,
    /// The highest ever shown.
    highest: usize,
}

impl Truth {
    /// About nobody yet.
    #[must_use]
    pub fn new(lease: u64) -> Self {
        Self {
            lease,
            ..Self::default()
        }
    }

    /// Somebody uses an invite, and may read what it shows.
    pub fn uses_invite(&mut self, owner: Who, watcher: Who) {
        self.invited.insert((owner, watcher));
    }

    /// There is one more node, with what stands on its disk.
    pub fn join(&mut self, member: &Member, disk: &Snapshot) {
        self.by_principal.insert(member.principal, member.who);
        self.people.push(Person {
            public: disk.views.contains_key("public"),
            last_event: disk.newest_event,
            last_message: disk.newest_message,
            ..Person::default()
        });
    }

    /// What stands on a disk as the world begins: whom its owner granted what.
    pub fn begin(&mut self, who: Who, disk: &Snapshot) {
        for contact in disk.contacts.values() {
            if contact.granted.is_some()
                && let Some(watcher) = self.by_principal.get(&contact.principal)
            {
                self.rights.insert((who, *watcher), Granted { ended: None });
            }
        }
    }

    /// Something does not hold.
    pub fn fail(&mut self, at: u64, node: Who, check: Check, what: String) {
        if self.failure.is_none() {
            self.failure = Some(Failure { at, node, check, what });
        }
    }

    /// Who this is.
    #[must_use]
    pub fn who(&self, principal: &PrincipalId) -> Option<Who> {
        self.by_principal.get(principal).copied()
    }

    /// A process began; its disk is as it was left.
    pub fn came_up(&mut self, who: Who, disk: &Snapshot, now: u64) {
        let person = &mut self.people[who as usize];
        person.gone_since = None;
        person.crashed_at = None;
        person.asleep = false;
        person.there_since = now;
        person.shown.values_mut().for_each(|shown| {
            // What clients were told before is not what they are told after a start.
            *shown = Shown {
                verdict: Verdict::UnknownNoRecord,
                open: false,
                number: None,
                highest: shown.highest,
            };
        });
        person.last_event = disk.newest_event;
        person.last_message = disk.newest_message;
    }

    /// A process is gone.
    pub fn went(&mut self, who: Who, now: u64, crashed: bool, lost_power: bool) {
        let person = &mut self.people[who as usize];
        person.gone_since = person.gone_since.or(Some(now));
        person.crashed_at = crashed.then_some(now);
        for shown in person.shown.values_mut() {
            shown.open = false;
            if lost_power {
                // What was merely observed need not outlive it: an older record may be all there is.
                shown.highest = 0;
            }
        }
    }

    /// A machine falls asleep, or wakes up.
    pub fn sleeps(&mut self, who: Who, asleep: bool, now: u64) {
        let person = &mut self.people[who as usize];
        person.asleep = asleep;
        person.gone_since = asleep.then_some(now);
        person.there_since = now;
    }

    /// A node is in another part of the network from now on.
    pub fn parted(&mut self, who: Who, part: u32, now: u64) {
        let person = &mut self.people[who as usize];
        if person.part.0 != part {
            person.part = (part, now);
            person.there_since = now;
        }
    }

    /// A wall clock was set.
    pub fn clock_set(&mut self, who: Who, skew: i64) {
        let person = &mut self.people[who as usize];
        person.skew = person.skew.max(skew.unsigned_abs());
    }

    /// A step reached the disk of `member`.
    pub fn committed(&mut self, member: &Member, writes: &[Write], now: u64, measures: &mut Measures) {
        let who = member.who;
        for write in writes {
            match write {
                Write::PutEvent(row) => self.on_event(member, row, now, measures),
                Write::PutOwnPresence(row) => self.on_said(who, row, now),
                Write::PutContact(row) => {
                    if let Some(watcher) = self.who(&row.principal) {
                        self.on_granted(who, watcher, row.granted.is_some(), member.clock(now).unix.0);
                    }
                }
                Write::DeleteContact(principal) => {
                    if let Some(watcher) = self.who(principal) {
                        self.on_granted(who, watcher, false, member.clock(now).unix.0);
                        self.letters.parted(who, watcher);
                    }
                }
                Write::PutMessage(row) => {
                    let person = &mut self.people[who as usize];
                    person.last_message += 1;
                    if row.number != person.last_message {
                        let what = format!("expected message {}, got {}", person.last_message, row.number);
                        self.fail(now, who, Check::Numbers, what);
                        return;
                    }
                    let there_since = self.people[who as usize].there_since;
                    let other = self.who(&row.contact);
                    let outcome = self.letters.kept(who, other, row, now, there_since, measures);
                    self.judge(now, who, outcome);
                }
                Write::PutHeld(row) => self.letters.held(who, &row.origin.id),
                Write::PutMessageState(row) => {
                    let outcome = self.letters.came_further(who, row, now);
                    self.judge(now, who, outcome);
                }
                _ => {}
            }
        }
        if let Some(disk) = member.snapshot() {
            let over = exceeded(disk);
            if let Some(what) = over {
                self.fail(now, who, Check::Limit, what);
            }
        }
    }

    fn judge(&mut self, now: u64, who: Who, outcome: Result<(), (Check, String)>) {
        if let Err((check, what)) = outcome {
            self.fail(now, who, check, what);
        }
    }

    fn on_said(&mut self, who: Who, row: &OwnPresenceRow, now: u64) {
        let Some(state) = &row.state else { return };
        let Some(number) = state.notes.first().and_then(|note| note.text.parse::<usize>().ok()) else {
            return;
        };
        let said = &mut self.people[who as usize].said;
        if number == said.len() + 1 {
            said.push(Said {
                status: state.status,
                at: now,
            });
        }
    }

    /// The number of what somebody says next.
    #[must_use]
    pub fn next_number(&self, who: Who) -> usize {
        self.people[who as usize].said.len() + 1
    }

    fn on_granted(&mut self, owner: Who, watcher: Who, granted: bool, unix: u64) {
        match (granted, self.rights.get_mut(&(owner, watcher))) {
            (true, _) => {
                self.rights.insert((owner, watcher), Granted { ended: None });
            }
            (false, Some(right)) if right.ended.is_none() => right.ended = Some(unix),
            (false, _) => {}
        }
    }

    fn on_event(&mut self, member: &Member, row: &EventRow, now: u64, measures: &mut Measures) {
        let who = member.who;
        let person = &mut self.people[who as usize];
        person.last_event += 1;
        if row.number != person.last_event {
            let what = format!("expected event {}, got {}", person.last_event, row.number);
            self.fail(now, who, Check::Numbers, what);
            return;
        }
        match &row.event {
            Event::PresenceChanged {
                principal, old, new, ..
            } => {
                if let Some(of) = self.who(principal) {
                    self.on_shown(who, of, old, new, now, measures);
                }
            }
            Event::ContactRemoved { principal, .. }
            | Event::SubscriptionChanged {
                principal, new: None, ..
            } => {
                if let Some(of) = self.who(principal)
                    && let Some(shown) = self.people[who as usize].shown.get_mut(&of)
                {
                    shown.open = false;
                    shown.number = None;
                    shown.verdict = Verdict::UnknownNoRecord;
                }
            }
            _ => {}
        }
    }

    /// A watcher is told something of a presentity.
    fn on_shown(&mut self, who: Who, of: Who, _old: &Told, new: &Told, now: u64, measures: &mut Measures) {
        let open = is_open(new);
        let number = new
            .document
            .as_ref()
            .and_then(|document| document.notes.first())
            .and_then(|note| note.text.parse::<usize>().ok());
        if new.document.is_some() {
            self.may_be_shown(who, of, new, now);
        }
        if let Some(number) = number {
            self.was_said(who, of, number, new, now);
        }
        if open && let Some(since) = self.apart_since(who, of) {
            self.not_stale(who, of, since, now);
        }
        let gone = self.people[of as usize].crashed_at;
        let told_at = number.and_then(|number| self.people[of as usize].said.get(number.checked_sub(1)?));
        let told_at = told_at.map(|said| said.at);
        let person = &mut self.people[who as usize];
        let there_since = person.there_since;
        let before = person.shown.get(&of);
        let highest = before.map_or(0, |before| before.highest);
        if before.is_some_and(|before| before.open)
            && !open
            && new.verdict != Verdict::UnknownNoSource
            && let Some(gone) = gone
            && gone >= there_since
        {
            measures
                .crash_noticed
                .add(measures.bin_of(now), now.saturating_sub(gone));
        }
        if let Some(number) = number {
            if number < highest && new.verdict == Verdict::AsRecorded {
                let what =
                    format!("node {of} said number {highest}, which was shown, and now number {number} is shown");
                self.fail(now, who, Check::WentBack, what);
                return;
            }
            if number > highest
                && let Some(at) = told_at
                && at >= there_since
            {
                measures.notification.add(measures.bin_of(now), now - at);
            }
        }
        person.shown.insert(
            of,
            Shown {
                verdict: new.verdict,
                open,
                number,
                highest: highest.max(number.unwrap_or(0)),
            },
        );
    }

    fn may_be_shown(&mut self, who: Who, of: Who, new: &Told, now: u64) {
        if self.people[of as usize].public {
            return;
        }
        let Some(right) = self.rights.get(&(of, who)) else {
            if self.invited.contains(&(of, who)) {
                return;
            }
            let what = format!("is shown the presence of node {of}, which never granted it");
            self.fail(now, who, Check::NoRight, what);
            return;
        };
        if let (Some(ended), Some(issued)) = (right.ended, new.issued)
            && issued.0 > ended
        {
            let what = format!(
                "is shown what node {of} published at {}, after it took the grant back at {}",
                issued.0.saturating_sub(BEGINNING),
                ended.saturating_sub(BEGINNING)
            );
            self.fail(now, who, Check::NoRight, what);
        }
    }

    fn was_said(&mut self, who: Who, of: Who, number: usize, new: &Told, now: u64) {
        let said = number
            .checked_sub(1)
            .and_then(|at| self.people[of as usize].said.get(at));
        let Some(said) = said.copied() else {
            let what = format!("is shown number {number} of node {of}, which was never said");
            self.fail(now, who, Check::NeverSaid, what);
            return;
        };
        let shown = new.document.as_ref().map(|document| {
            (
                document.basic(),
                document.activities.first().map(String::as_str).unwrap_or_default(),
            )
        });
        let expected = match said.status {
            Status::Open => (Basic::Open, ""),
            Status::Away => (Basic::Open, "away"),
            Status::Busy => (Basic::Open, "busy"),
            Status::Closed => (Basic::Closed, ""),
        };
        // Whoever leaves is closed, whatever they said before.
        let fits = shown.is_some_and(|shown| shown == expected || shown.0 == Basic::Closed);
        if !fits {
            let what = format!(
                "is shown {shown:?} as number {number} of node {of}, which said {:?}",
                said.status
            );
            self.fail(now, who, Check::NeverSaid, what);
        }
    }

    /// Since when no sign of life of `of` can have reached `who`; none: it can.
    fn apart_since(&self, who: Who, of: Who) -> Option<u64> {
        let (watcher, presentity) = (&self.people[who as usize], &self.people[of as usize]);
        let parted = (watcher.part.0 != presentity.part.0).then(|| watcher.part.1.max(presentity.part.1));
        [presentity.gone_since, parted].into_iter().flatten().min()
    }

    fn not_stale(&mut self, who: Who, of: Who, since: u64, now: u64) {
        let skews = self.people[who as usize].skew + self.people[of as usize].skew;
        if now > since + self.lease + OPEN_SLACK + skews {
            let what = format!("still shows node {of} as open, which nobody here can have heard of since {since}");
            self.fail(now, who, Check::StaleOpen, what);
        }
    }

    /// When all that was shown as open before has to be shown so no longer.
    #[must_use]
    pub fn stale_after(&self, now: u64) -> u64 {
        let skew = self.people.iter().map(|person| person.skew).max().unwrap_or(0);
        now + self.lease + OPEN_SLACK + 2 * skew + 1
    }

    /// Nobody shows anybody as open who is long gone.
    pub fn nothing_is_stale(&mut self, now: u64) {
        let open: Vec<(Who, Who)> = self
            .people
            .iter()
            .zip(0..)
            // Who has just woken up is asked first what time it is.
            .filter(|(person, _)| !person.asleep && person.gone_since.is_none() && person.there_since + 1_000 < now)
            .flat_map(|(person, who)| {
                let shown = person.shown.iter().filter(|(_, shown)| shown.open);
                shown.map(move |(of, _)| (who, *of))
            })
            .collect();
        for (who, of) in open {
            if let Some(since) = self.apart_since(who, of) {
                self.not_stale(who, of, since, now);
            }
        }
    }

    /// A record leaves a node: the same sequence never stands for two contents, and none goes back.
    pub fn published(&mut self, member: &mut Member, record: &VerifiedRecord, now: u64) {
        let Some(beacon) = record.beacon() else { return };
        let mut end = [0; 8];
        end.copy_from_slice(&beacon.bytes()[beacon.bytes().len() - 8..]);
        let newest = (beacon.sequence(), end);
        let before = member.published.insert(beacon.pk(), newest);
        let Some(before) = before else {
            // A view has a few addresses at a time; those of long ago are not asked for again.
            while member.published.len() > 64 {
                member.published.pop_first();
            }
            return;
        };
        if before.0 > newest.0 || (before.0 == newest.0 && before.1 != newest.1) {
            let what = format!("published sequence {} after {}", newest.0, before.0);
            self.fail(now, member.who, Check::Sequence, what);
        }
    }

    /// Whether `who` is shown `of` as there; none: nothing was ever shown.
    #[must_use]
    pub fn shows_open(&self, who: Who, of: Who) -> bool {
        self.people[who as usize].shown.get(&of).is_some_and(|shown| shown.open)
    }

    /// Whether what somebody said last means that they are there; before they said anything, they are.
    #[must_use]
    pub fn says_open(&self, who: Who) -> bool {
        let last = self.people[who as usize].said.last();
        last.is_none_or(|said| said.status != Status::Closed)
    }

    /// Since when somebody could be reached without a break.
    #[must_use]
    pub fn there_since(&self, who: Who) -> Option<u64> {
        let person = &self.people[who as usize];
        person.gone_since.is_none().then_some(person.there_since)
    }

    /// Whether the two are in one part of the network.
    #[must_use]
    pub fn together(&self, one: Who, other: Who) -> bool {
        self.people[one as usize].part.0 == self.people[other as usize].part.0
    }

    /// Pairs of an owner and a watcher whose grant stands.
    pub fn watched(&self) -> impl Iterator<Item = (Who, Who)> + '_ {
        let standing = self.rights.iter().filter(|(_, right)| right.ended.is_none());
        standing.map(|(pair, _)| *pair)
    }

    /// Messages accepted, and arrived.
    #[must_use]
    pub fn message_counts(&self) -> (u64, u64) {
        self.letters.counts()
    }

    /// After everything has healed and all nodes are up for long: everybody is shown everybody as they are, every message has
    /// arrived and is known to have, and nothing waits.
    pub fn at_the_end(&mut self, members: &[Member], now: u64) {
        let pairs: Vec<(Who, Who)> = self.watched().collect();
        for (owner, watcher) in pairs {
            let subscribed = members[watcher as usize].snapshot().is_some_and(|disk| {
                let contact = disk.contacts.get(&members[owner as usize].principal);
                contact.is_some_and(|contact| {
                    contact.subscription == Some(porchlight_proto::rows::SubscriptionState::Active)
                })
            });
            if subscribed && let Some(what) = self.not_current(owner, watcher) {
                self.fail(now, watcher, Check::NotCurrent, what);
            }
        }
        let outcome = self.letters.at_the_end(now);
        if let Err((who, check, what)) = outcome {
            self.fail(now, who, check, what);
        }
        for member in members.iter().filter(|member| !member.relay) {
            let Some(disk) = member.snapshot() else { continue };
            let waiting = disk.letters.len();
            if waiting > 0 {
                let letters = disk.letters.values();
                let to: Vec<(Option<Who>, String)> = letters
                    .map(|letter| {
                        (
                            self.who(&letter.to),
                            format!("{:?}", letter.body).chars().take(24).collect(),
                        )
                    })
                    .collect();
                let what = format!("{waiting} letters still wait: {to:?}");
                self.fail(now, member.who, Check::StillWaiting, what);
            }
        }
    }

    fn not_current(&self, owner: Who, watcher: Who) -> Option<String> {
        let said = &self.people[owner as usize].said;
        let shown = self.people[watcher as usize].shown.get(&owner);
        let expected_open = self.says_open(owner);
        let number = (!said.is_empty()).then_some(said.len());
        match shown {
            None => Some(format!("is shown nothing of node {owner}")),
            Some(shown) if shown.open != expected_open || (number.is_some() && shown.number != number) => {
                Some(format!(
                    "is shown number {:?} of node {owner} ({:?}, open: {}), which said number {number:?} last (open: {expected_open})",
                    shown.number, shown.verdict, shown.open
                ))
            }
            Some(_) => None,
        }
    }
}

/// The first bound that a disk exceeds.
fn exceeded(disk: &Snapshot) -> Option<String> {
    let bounds = [
        ("contacts", disk.contacts.len(), limits::CONTACTS),
        ("former contacts", disk.former.len(), limits::FORMER),
        ("views", disk.views.len(), limits::VIEWS),
        ("invites", disk.invites.len(), limits::INVITES),
        ("letters", disk.letters.len(), limits::LETTERS),
        ("parcels", disk.parcels.len(), limits::PARCELS),
        ("messages in the outbox", disk.outbox.len(), limits::OUTBOX),
        ("held messages", disk.held.len(), limits::HELD),
        ("answers", disk.answers.len(), limits::ANSWERS),
        ("letters remembered as taken", disk.taken.len(), limits::TAKEN),
        ("mailboxes kept", disk.kept.len(), limits::KEPT_MAILBOXES),
        ("consumers", disk.consumers.len(), limits::CONSUMERS),
        ("records observed", disk.observed.len(), limits::CONTACTS),
    ];
    bounds
        .into_iter()
        .find(|(_, number, most)| number > most)
        .map(|(what, number, most)| format!("expected at most {most} {what}, got {number}"))
}

/// Whether a watcher who is told this sees an open presentity.
#[must_use]
pub fn is_open(told: &Told) -> bool {
    let document = told.document.as_ref();
    told.verdict == Verdict::AsRecorded && document.is_some_and(|document| document.basic() == Basic::Open)
}

/// The view that the right to be shown presence is about.
pub const VIEW: &str = CONTACTS_VIEW;
