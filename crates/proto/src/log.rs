//! The log of events for local clients, its consumers, and the answers remembered for idempotency keys.

use crate::contacts::{check_name, full};
use crate::event::Event;
use crate::input::{Command, ConsumerStart};
use crate::limits::{ANSWER_LIFE, ANSWERS, CONSUMERS, EVENTS, EVENTS_SLACK};
use crate::node::Node;
use crate::presence::watcher::not_found;
use crate::reply::{CommandError, Reply};
use crate::rows::{AnswerRow, ConsumerRow, EventRow};
use crate::step::{Effect, Write};
use porchlight_wire::hash::sha256;

/// Characters of an idempotency key: a UUID and then some.
const KEY_CHARACTERS: usize = 64;

impl Node {
    /// Numbers an event and writes it in the transaction of what it tells of.
    pub(crate) fn tell(&mut self, event: Event) {
        self.step.hurry();
        self.tell_patiently(event);
    }

    /// The same for an event that may come some milliseconds later.
    pub(crate) fn tell_patiently(&mut self, event: Event) {
        let number = self.disk.newest_event.saturating_add(1);
        self.write(Write::PutEvent(EventRow {
            number,
            at: self.clock.unix,
            event,
        }));
        self.step.patient_effect(Effect::Events { newest: number });
    }

    /// Drops the oldest events once too many have piled up. A consumer that had not read them is told so when it comes.
    pub(crate) fn trim_events(&mut self) {
        let kept = self
            .disk
            .newest_event
            .saturating_add(1)
            .saturating_sub(self.disk.oldest_event);
        if kept > EVENTS + EVENTS_SLACK {
            let below = self.disk.newest_event.saturating_add(1).saturating_sub(EVENTS);
            self.write(Write::DropEvents { below });
        }
    }

    /// `Command::Consumer`.
    pub(crate) fn command_consumer(&mut self, name: &str, from: ConsumerStart) -> Result<Reply, CommandError> {
        check_name(name)?;
        if let Some(consumer) = self.disk.consumers.get(name) {
            return Ok(Reply::Consumer {
                acknowledged: consumer.acknowledged,
                newest: self.disk.newest_event,
            });
        }
        if self.disk.consumers.len() >= CONSUMERS {
            self.drop_oldest_consumer()?;
        }
        let acknowledged = match from {
            ConsumerStart::Oldest => self.disk.oldest_event.saturating_sub(1),
            ConsumerStart::Now => self.disk.newest_event,
        };
        self.write(Write::PutConsumer(ConsumerRow {
            name: name.to_owned(),
            acknowledged,
            seen: self.clock.unix,
        }));
        Ok(Reply::Consumer {
            acknowledged,
            newest: self.disk.newest_event,
        })
    }

    /// A consumer nobody has heard of for longer than any event is kept makes room for a new one.
    fn drop_oldest_consumer(&mut self) -> Result<(), CommandError> {
        let gone = self
            .disk
            .consumers
            .values()
            .filter(|consumer| consumer.acknowledged.saturating_add(1) < self.disk.oldest_event)
            .min_by_key(|consumer| consumer.seen)
            .map(|consumer| consumer.name.clone())
            .ok_or_else(|| full("consumer of events", CONSUMERS))?;
        self.write(Write::DeleteConsumer(gone));
        Ok(())
    }

    /// `Command::Acknowledge`.
    pub(crate) fn command_acknowledge(&mut self, name: &str, number: u64) -> Result<Reply, CommandError> {
        let Some(consumer) = self.disk.consumers.get(name) else {
            return Err(not_found("consumer of events", name));
        };
        if number > self.disk.newest_event {
            return Err(CommandError::Invalid {
                what: "the event to acknowledge".to_owned(),
                expected: format!("at most {}, the newest there is", self.disk.newest_event),
                got: number.to_string(),
            });
        }
        let mut row = consumer.clone();
        if number > row.acknowledged {
            row.acknowledged = number;
            row.seen = self.clock.unix;
            self.write(Write::PutConsumer(row.clone()));
        }
        Ok(Reply::Consumer {
            acknowledged: row.acknowledged,
            newest: self.disk.newest_event,
        })
    }

    /// Remembers the answer to a call with an idempotency key, in the transaction of what it answers.
    pub(crate) fn remember_answer(&mut self, CallKey { key, call }: CallKey, reply: Reply) {
        let now = self.clock.unix;
        let mut gone: Vec<String> = self
            .disk
            .answers
            .values()
            .filter(|answer| answer.at.plus(ANSWER_LIFE) <= now)
            .map(|answer| answer.key.clone())
            .collect();
        if gone.is_empty() && self.disk.answers.len() >= ANSWERS {
            gone.extend(
                self.disk
                    .answers
                    .values()
                    .min_by_key(|answer| answer.at)
                    .map(|answer| answer.key.clone()),
            );
        }
        for key in gone {
            self.write(Write::DeleteAnswer(key));
        }
        self.write(Write::PutAnswer(AnswerRow {
            key,
            call,
            at: now,
            reply,
        }));
    }
}

/// A client's key for a call, and the call that it stands for.
#[derive(Clone, Debug)]
pub(crate) struct CallKey {
    pub(crate) key: String,
    pub(crate) call: [u8; 32],
}

impl CallKey {
    pub(crate) fn new(key: String, command: &Command) -> Self {
        // A command prints all of its parameters, which is what makes it the same call.
        let call = sha256(format!("{command:?}").as_bytes());
        Self { key, call }
    }
}

/// Idempotency keys: 1 to [`KEY_CHARACTERS`] printable ASCII characters without blanks.
pub(crate) fn valid_key(key: &str) -> Result<(), CommandError> {
    if (1..=KEY_CHARACTERS).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(CommandError::Invalid {
        what: "the idempotency key".to_owned(),
        expected: format!("1 to {KEY_CHARACTERS} printable ASCII characters without blanks"),
        got: format!("{} bytes", key.len()),
    })
}
