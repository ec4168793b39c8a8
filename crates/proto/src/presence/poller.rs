//! The poller (RFC 2778 section 2.2): a fetcher that asks on a schedule, and tells when the answer is another one than last
//! time. For whoever lets us ask and not be notified, and for those of whom an answer now and then is enough.

use crate::clock::Instant;
use crate::contacts::full;
use crate::event::{Event, Told};
use crate::limits::{BACKGROUND_LOOKUPS, DAY, POLL_LEAST, POLL_MOST, POLLS};
use crate::node::{AskedBy, Node};
use crate::reply::{CommandError, ContactPresence, PollInfo, Reply};
use crate::rows::ContactRow;
use crate::step::Write;
use porchlight_wire::ids::PrincipalId;
use porchlight_wire::time::UnixMillis;

/// What is held in memory about one schedule.
#[derive(Debug)]
pub(crate) struct Polled {
    next: Instant,
    looking: bool,
    /// When it was last answered, and what was told then.
    at: Option<UnixMillis>,
    told: Option<Told>,
}

impl Polled {
    const fn due(now: Instant) -> Self {
        Self {
            next: now,
            looking: false,
            at: None,
            told: None,
        }
    }
}

impl Node {
    /// `Command::Poll`: from now on, the first time at once.
    pub(crate) fn command_poll(&mut self, contact: &str, every: u64) -> Result<Reply, CommandError> {
        if !(POLL_LEAST..=POLL_MOST).contains(&every) {
            return Err(CommandError::Invalid {
                what: "how often to ask".to_owned(),
                expected: format!("every {} s to {} days", POLL_LEAST / 1_000, POLL_MOST / DAY),
                got: format!("{} s", every / 1_000),
            });
        }
        let contact = self.find_contact(contact)?.clone();
        Self::check_held(&contact)?;
        let others = self.disk.contacts.values().filter(|contact| contact.poll.is_some());
        if contact.poll.is_none() && others.count() >= POLLS {
            return Err(full("contact to poll", POLLS));
        }
        let row = ContactRow {
            poll: Some(every),
            ..contact
        };
        self.polls.insert(row.principal, Polled::due(self.clock.instant));
        let info = self.poll_info(&row);
        self.write(Write::PutContact(row));
        Ok(Reply::Poll(info))
    }

    /// `Command::Unpoll`: nothing that was asked for surfaces from this step on.
    pub(crate) fn command_unpoll(&mut self, contact: &str) -> Result<Reply, CommandError> {
        let contact = self.find_contact(contact)?.clone();
        self.polls.remove(&contact.principal);
        let row = ContactRow { poll: None, ..contact };
        let info = self.poll_info(&row);
        if self.disk.contacts.get(&row.principal) != Some(&row) {
            self.write(Write::PutContact(row));
        }
        Ok(Reply::Poll(info))
    }

    /// `Command::ListPolls`.
    pub(crate) fn command_list_polls(&self) -> Reply {
        let polled = self.disk.contacts.values().filter(|contact| contact.poll.is_some());
        let mut polls: Vec<PollInfo> = polled.map(|contact| self.poll_info(contact)).collect();
        polls.sort_by(|one, other| one.name.cmp(&other.name));
        Reply::Polls(polls)
    }

    /// Takes up the schedules that are on disk. Whoever is polled is asked at once, because nobody knows what was missed.
    pub(crate) fn start_polls(&mut self) {
        let now = self.clock.instant;
        let wanted = |contact: &&ContactRow| self.config.presence && contact.poll.is_some();
        let polled = self.disk.contacts.values().filter(wanted);
        self.polls = polled.map(|contact| (contact.principal, Polled::due(now))).collect();
    }

    /// Asks where it is time.
    pub(crate) fn poll_due(&mut self) {
        let now = self.clock.instant;
        let due = self
            .polls
            .iter()
            .filter(|(_, polled)| polled.next <= now && !polled.looking);
        let due: Vec<PrincipalId> = due.map(|(principal, _)| *principal).collect();
        for principal in due {
            let contact = self.disk.contacts.get(&principal);
            let Some(every) = contact.and_then(|contact| contact.poll) else {
                self.polls.remove(&principal);
                continue;
            };
            let held = contact.is_some_and(|contact| contact.held.is_some());
            // What finds no room waits: every lookup that ends comes by here again.
            if self.lookups.len() >= BACKGROUND_LOOKUPS {
                return;
            }
            if let Some(polled) = self.polls.get_mut(&principal) {
                polled.next = now.plus(every);
                polled.looking = held;
            }
            self.look_for(&principal, AskedBy::Schedule);
        }
    }

    /// When [`poll_due`](Self::poll_due) has something to do next.
    pub(crate) fn next_poll(&self) -> Option<Instant> {
        if self.lookups.len() >= BACKGROUND_LOOKUPS {
            return None;
        }
        let waiting = self.polls.values().filter(|polled| !polled.looking);
        waiting.map(|polled| polled.next).min()
    }

    /// What was asked for on schedule is answered.
    pub(crate) fn on_polled(&mut self, principal: &PrincipalId, answer: Result<ContactPresence, CommandError>) {
        let now = self.clock.unix;
        let Some(polled) = self.polls.get_mut(principal) else {
            return;
        };
        polled.looking = false;
        // They took back what they had granted meanwhile: the subscription's state says so.
        let Ok(presence) = answer else {
            return;
        };
        polled.at = Some(now);
        let new = presence.told;
        let same = |known: &Told| known.verdict == new.verdict && known.document == new.document;
        if polled.told.as_ref().is_some_and(same) {
            return;
        }
        polled.told = Some(new.clone());
        self.tell(Event::PresencePolled {
            contact: presence.name,
            principal: *principal,
            told: Box::new(new),
        });
    }

    fn poll_info(&self, contact: &ContactRow) -> PollInfo {
        let polled = self.polls.get(&contact.principal);
        PollInfo {
            name: contact.name.clone(),
            principal: contact.principal,
            every: contact.poll,
            polled: polled.and_then(|polled| polled.at),
            next: polled.map(|polled| self.clock.unix.plus(polled.next.since(self.clock.instant))),
        }
    }
}
