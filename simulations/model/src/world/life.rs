//! People and fate: what everybody does now and then, and what the scenario says that happens.

use super::{Job, World};
use crate::checks::Check;
use crate::member::{Death, Disk};
use crate::scenario::{Deed, Span};
use crate::{MINUTE, SECOND, Who, people};
use porchlight_proto::input::{ExchangeId, NewMessage, NewPresence, RequestId};
use porchlight_proto::rows::Status;
use porchlight_proto::{Command, CommandError, Input, Reply};
use porchlight_wire::frame::{Admission, Request};
use porchlight_wire::ids::NodeId;
use porchlight_wire::keys::DeviceKeys;
use porchlight_wire::message::Body;
use porchlight_wire::presence::Note;
use std::collections::BTreeMap;

/// Envelopes in a second of a flood.
const FLOOD: u64 = 100;

/// Between two meetings of a world whose people meet by invites.
const MEETINGS_APART: u64 = 200;

/// What people do again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    /// Change their presence.
    Change,
    /// Write to a contact.
    Write,
    /// Go away.
    Leave,
    /// Come back.
    Return,
    /// Change their presence, which very many watch.
    Celebrity,
}

/// What a local client asked for and waits for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    /// To change presence: never refused.
    Presence,
    /// An invite for somebody.
    InviteFor(Who),
    /// To use an invite of somebody.
    Use,
    /// Something that may be refused.
    Else,
}

impl World {
    pub(super) fn plan_habit(&mut self, who: Who, habit: Habit) {
        let habits = &self.scenario.habits;
        let mean = match habit {
            Habit::Change => habits.change_presence_every,
            Habit::Write => habits.write_every,
            Habit::Leave => habits.online_for,
            Habit::Return => habits.offline_for,
            Habit::Celebrity => self.scenario.celebrity.map(|celebrity| celebrity.changes_every),
        };
        let Some(mean) = mean.map(Span::millis) else { return };
        let mean = self.by_the_hour(who, habit, mean);
        let after = self.life.wait(mean);
        let at = self.plan(after);
        if at < self.heals_at {
            self.queue.plan(at, Job::Habit { who, habit });
        }
    }

    /// By day people stay longer and come back sooner than by night; each region has its own noon.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "milliseconds, scaled by at most two"
    )]
    fn by_the_hour(&self, who: Who, habit: Habit, mean: u64) -> u64 {
        let Some(day) = self.scenario.habits.day else {
            return mean;
        };
        let region = f64::from(self.latency.region(who)) / f64::from(self.scenario.network.regions);
        let hour = self.now as f64 / day.millis().max(1) as f64 + region;
        let daylight = (hour * std::f64::consts::TAU).sin();
        let factor = match habit {
            Habit::Leave => 1.0 + 0.8 * daylight,
            Habit::Return => 1.0 - 0.8 * daylight,
            Habit::Change | Habit::Write | Habit::Celebrity => 1.0,
        };
        ((mean as f64 * factor) as u64).max(SECOND)
    }

    pub(super) fn follow_habit(&mut self, who: Who, habit: Habit) {
        if self.healed {
            return;
        }
        match habit {
            Habit::Change | Habit::Celebrity => {
                self.change_presence(who);
                self.plan_habit(who, habit);
            }
            Habit::Write => {
                self.write_to_somebody(who);
                self.plan_habit(who, habit);
            }
            Habit::Leave => {
                let orderly = self.scenario.habits.leave_orderly.part();
                self.member_mut(who).wanted_up = false;
                if self.life.chance(orderly) {
                    self.leave(who);
                } else {
                    self.die(who, Death::Killed, true);
                }
                self.plan_habit(who, Habit::Return);
            }
            Habit::Return => {
                self.member_mut(who).wanted_up = true;
                self.start(who);
                self.plan_habit(who, Habit::Leave);
            }
        }
    }

    /// A local client's call.
    fn call(&mut self, who: Who, command: Command, asked: Asked) {
        if !self.member(who).is_up() {
            return;
        }
        let request = self.member_mut(who).next_request();
        self.asked.insert((who, request), asked);
        self.input(
            who,
            Input::Command {
                request,
                idempotency_key: None,
                command,
            },
        );
    }

    pub(super) fn replied(&mut self, who: Who, request: RequestId, result: Result<Reply, CommandError>) {
        let Some(asked) = self.asked.remove(&(who, request)) else {
            return;
        };
        match (asked, result) {
            (Asked::InviteFor(other), Ok(Reply::Invite { uri, .. })) => {
                let at = self.plan(2 * SECOND);
                self.queue.plan(
                    at,
                    Job::Use {
                        who: other,
                        from: who,
                        invite: uri,
                    },
                );
            }
            // Whoever is on the way out says so.
            (_, Ok(_)) | (Asked::Else, Err(_)) | (_, Err(CommandError::Stopping)) => {}
            (Asked::Presence | Asked::InviteFor(_) | Asked::Use, Err(error)) => {
                let quiet = matches!(asked, Asked::Use) && !self.healed && self.goes_wrong();
                if !quiet {
                    let what = format!("was refused: {error}");
                    self.truth.fail(self.now, who, Check::Refused, what);
                }
            }
        }
    }

    /// Whether anything goes wrong in this world that may be in the way of a call that asks others.
    fn goes_wrong(&self) -> bool {
        self.scenario.faults != crate::scenario::Faults::default() || !self.scenario.then.is_empty()
    }

    pub(super) fn use_invite(&mut self, who: Who, from: Who, invite: String) {
        let command = Command::AddContact {
            invite,
            name: Some(format!("n{from}")),
            view: people::CONTACTS_VIEW.to_owned(),
        };
        self.truth.uses_invite(from, who);
        self.call(who, command, Asked::Use);
    }

    /// Everybody meets their acquaintances, one after the other.
    pub(super) fn plan_meetings(&mut self) {
        let pairs = people::acquaintances(self.scenario.people, self.scenario.contacts, &mut self.life);
        for (number, (one, other)) in (0_u64..).zip(pairs) {
            let at = 15 * SECOND + number * MEETINGS_APART;
            let (one, other) = (one + self.relays, other + self.relays);
            self.queue.plan(at, Job::Meet { who: one, other });
        }
    }

    pub(super) fn meet(&mut self, who: Who, other: Who) {
        let command = Command::CreateInvite {
            uses: 1,
            expires_in: 60 * MINUTE,
            view: people::CONTACTS_VIEW.to_owned(),
        };
        self.call(who, command, Asked::InviteFor(other));
    }

    /// Says the next thing of oneself: its number is its note, so that it is known again wherever it is shown.
    fn change_presence(&mut self, who: Who) {
        let number = self.truth.next_number(who);
        let statuses = [Status::Open, Status::Away, Status::Busy, Status::Open, Status::Closed];
        let status = statuses[self.life.index(statuses.len())];
        let note = Note {
            lang: None,
            text: number.to_string(),
        };
        let new = NewPresence::status(status, vec![note]);
        self.call(who, Command::SetPresence(Box::new(new)), Asked::Presence);
    }

    fn write_to_somebody(&mut self, who: Who) {
        let Some(contact) = self.some_contact(who) else { return };
        self.life.below(2);
        let text = format!("from {who} at {}", self.now);
        let new = NewMessage {
            contact,
            subject: None,
            bodies: vec![Body::text(&text)],
            reply_to: Vec::new(),
            thread: None,
            in_reply_to: None,
            headers: BTreeMap::new(),
            expires_in: None,
            direct_only: false,
            copies: None,
            sign: false,
        };
        self.call(who, Command::SendMessage(Box::new(new)), Asked::Else);
    }

    /// One of those whom somebody granted something, drawn.
    fn some_contact(&mut self, who: Who) -> Option<String> {
        let contacts: Vec<String> = {
            let disk = self.member(who).snapshot()?;
            let granted = disk.contacts.values().filter(|contact| contact.granted.is_some());
            granted.map(|contact| contact.principal.to_string()).collect()
        };
        let drawn = self.life.index(contacts.len());
        contacts.get(drawn).cloned()
    }

    fn leave(&mut self, who: Who) {
        self.call(who, Command::Stop, Asked::Else);
    }

    pub(super) fn happen(&mut self, number: usize) {
        if self.healed {
            return;
        }
        let Some(happening) = self.scenario.then.get(number).cloned() else {
            return;
        };
        let whom = self.whom(happening.who);
        if let Some(every) = happening.every {
            let until = happening.until.map_or(self.heals_at, Span::millis);
            let at = self.plan(every.millis());
            if at < until {
                self.queue.plan(at, Job::Happening(number));
            }
        }
        self.trace.fate(self.now, number.try_into().unwrap_or(0), "happens");
        if happening.does == Deed::CutOff {
            self.last_part += 1;
        }
        for who in whom {
            self.befall(who, happening.does, happening.lasts, happening.by.unwrap_or_default());
        }
        if matches!(happening.does, Deed::CutOff | Deed::LoseNetwork) {
            let at = self.truth.stale_after(self.now);
            self.queue.plan(at, Job::Stale);
        }
    }

    fn befall(&mut self, who: Who, what: Deed, lasts: Option<Span>, by: Span) {
        let now = self.now;
        let until = lasts.map_or(self.heals_at, |lasts| now + lasts.millis());
        let shift = i64::try_from(by.millis()).unwrap_or(i64::MAX);
        match what {
            Deed::Crash | Deed::LosePower => {
                let death = if what == Deed::Crash {
                    Death::Killed
                } else {
                    Death::PowerCut
                };
                self.die(who, death, true);
                self.member_mut(who).wanted_up = true;
                self.queue.plan(until, Job::Start(who));
            }
            Deed::Leave => {
                self.leave(who);
                self.queue.plan(until, Job::Start(who));
            }
            Deed::Sleep => {
                self.member_mut(who).asleep_since = Some(now);
                self.truth.sleeps(who, true, now);
                let at = self.truth.stale_after(now);
                self.queue.plan(at, Job::Stale);
            }
            Deed::CutOff => self.moves_to(who, self.last_part),
            Deed::LoseNetwork => {
                self.last_part += 1;
                self.moves_to(who, self.last_part);
            }
            Deed::Slow => self.latency.set_slow(who, by.millis()),
            Deed::ClockAhead => self.set_clock(who, shift),
            Deed::ClockBack => self.set_clock(who, -shift),
            Deed::ChangePresence => {
                // Not all in the same millisecond.
                let after = self.life.below(SECOND);
                let habit = Habit::Celebrity;
                self.queue.plan(now + after, Job::Once { who, habit });
            }
            Deed::Write => {
                let after = self.life.below(SECOND);
                let habit = Habit::Write;
                self.queue.plan(now + after, Job::Once { who, habit });
            }
            Deed::Revoke => {
                if let Some(contact) = self.some_contact(who) {
                    self.call(who, Command::RevokeGrant { contact }, Asked::Else);
                }
            }
            Deed::Remove => {
                if let Some(contact) = self.some_contact(who) {
                    self.call(who, Command::RemoveContact { contact }, Asked::Else);
                }
            }
            Deed::Flooded => {
                self.flooded.insert(who, until);
                self.queue.plan(now, Job::Flood { who, until });
            }
            Deed::Freeze | Deed::HideMail | Deed::WithholdMail | Deed::RepeatMail => {
                let member = self.member_mut(who);
                member.mischief = Some(what);
                if what == Deed::RepeatMail
                    && let Disk::Kept(kept) = &mut member.disk
                {
                    kept.hoards = true;
                }
            }
            Deed::Surrounded => {
                self.surrounded.insert(who);
                let places: Vec<_> = self.member(who).shelf.iter().map(|record| record.place()).collect();
                for place in places {
                    self.owners.insert(place, who);
                }
            }
        }
        let at_once = matches!(
            what,
            Deed::Crash
                | Deed::LosePower
                | Deed::Leave
                | Deed::ChangePresence
                | Deed::Write
                | Deed::Revoke
                | Deed::Remove
                | Deed::Flooded
                | Deed::ClockAhead
                | Deed::ClockBack
        );
        if !at_once && until < self.heals_at {
            self.queue.plan(until, Job::Over { who, what });
        }
    }

    /// Something is done once that is a habit otherwise.
    pub(super) fn do_once(&mut self, who: Who, habit: Habit) {
        match habit {
            Habit::Write => self.write_to_somebody(who),
            Habit::Change | Habit::Celebrity | Habit::Leave | Habit::Return => self.change_presence(who),
        }
    }

    pub(super) fn is_over(&mut self, who: Who, what: Deed) {
        match what {
            Deed::Sleep => self.wakes_up(who),
            Deed::CutOff | Deed::LoseNetwork => self.moves_to(who, 0),
            Deed::Slow => self.latency.set_slow(who, 0),
            Deed::Freeze | Deed::HideMail | Deed::WithholdMail | Deed::RepeatMail => {
                self.member_mut(who).mischief = None;
            }
            Deed::Surrounded => {
                self.surrounded.remove(&who);
            }
            _ => {}
        }
    }

    /// A node is in another part of the network. Its connections into others are noticed to be dead when pings fail.
    fn moves_to(&mut self, who: Who, part: u32) {
        if self.parts[who as usize] == part {
            return;
        }
        self.parts[who as usize] = part;
        self.truth.parted(who, part, self.now);
        let after = self.ping_timeout();
        let at = self.plan(after);
        self.queue.plan(at, Job::Notice(who));
    }

    fn set_clock(&mut self, who: Who, by: i64) {
        let member = self.member_mut(who);
        member.skew = member.skew.saturating_add(by);
        let skew = member.skew;
        self.truth.clock_set(who, skew);
    }

    pub(super) fn wakes_up(&mut self, who: Who) {
        let now = self.now;
        let member = self.member_mut(who);
        let Some(since) = member.asleep_since.take() else {
            return;
        };
        member.slept += now - since;
        member.wake_planned = u64::MAX;
        member.live_planned = false;
        self.truth.sleeps(who, false, now);
        self.plan_wake(who);
        self.plan_live(who);
        // Connections that were given up by the other side are noticed as soon as they are used.
        self.queue.plan(now + SECOND, Job::Notice(who));
    }

    /// A stranger sends what is no envelope of anybody, again and again.
    pub(super) fn flood(&mut self, who: Who, until: u64) {
        if self.now >= until || self.healed {
            return;
        }
        let stranger = NodeId::from_bytes(DeviceKeys::random(self.fate.generator()).signing_public());
        if let Ok(from) = stranger {
            self.last_exchange += 1;
            let exchange = ExchangeId(self.last_exchange);
            let envelope = vec![u8::try_from(self.fate.below(256)).unwrap_or(0); 4_096];
            let request = Request::Deliver {
                admission: Admission::Open,
                envelope,
            };
            self.input(
                who,
                Input::Request {
                    from,
                    exchange,
                    request,
                },
            );
        }
        let at = self.plan(1_000 / FLOOD);
        self.queue.plan(at, Job::Flood { who, until });
    }
}
