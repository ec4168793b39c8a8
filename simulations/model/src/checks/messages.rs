//! The reference model of messages: what was accepted from its writer, and what became of it.

use super::Check;
use crate::Who;
use crate::measures::Measures;
use porchlight_proto::messaging::rows::{MessageRow, MessageState, MessageStateRow};
use porchlight_wire::ids::RandomId;
use std::collections::{BTreeMap, BTreeSet};

/// All messages of a world.
#[derive(Debug, Default)]
pub(super) struct Letters {
    all: BTreeMap<RandomId, Letter>,
    /// By writer and the number it has there.
    numbers: BTreeMap<(Who, u64), RandomId>,
    /// The last one shown of each pair: writer, recipient.
    last: BTreeMap<(Who, Who), u64>,
    /// Who is no contact any more, of whom.
    parted: BTreeSet<(Who, Who)>,
    arrived: u64,
}

#[derive(Debug)]
struct Letter {
    from: Who,
    to: Option<Who>,
    number: u64,
    text: Option<String>,
    accepted: u64,
    expires: u64,
    /// On the recipient's disk, where it waits for those before it.
    held: bool,
    arrived: Option<u64>,
    state: MessageState,
}

type Outcome = Result<(), (Check, String)>;

impl Letters {
    /// A message is on the disk of `who`, written there or come there.
    pub(super) fn kept(
        &mut self,
        who: Who,
        other: Option<Who>,
        row: &MessageRow,
        now: u64,
        there_since: u64,
        measures: &mut Measures,
    ) -> Outcome {
        let id = row.message.id;
        let text = row.message.text().map(str::to_owned);
        if row.outgoing {
            self.numbers.insert((who, row.number), id);
            let letter = Letter {
                from: who,
                to: other,
                number: row.number,
                text,
                accepted: now,
                expires: row.message.expires.0,
                held: false,
                arrived: None,
                state: MessageState::Queued,
            };
            let known = self.all.insert(id, letter).is_some();
            return if known {
                Err((Check::MessageTwice, format!("wrote two messages with the id {id}")))
            } else {
                Ok(())
            };
        }
        let Some(letter) = self.all.get_mut(&id) else {
            return Err((Check::MessageOther, format!("got a message {id} that nobody wrote")));
        };
        if letter.to != Some(who) || other != Some(letter.from) || letter.text != text {
            let what = format!(
                "got a message by {other:?} with the text {text:?}, and node {} wrote {:?} to {:?}",
                letter.from, letter.text, letter.to
            );
            return Err((Check::MessageOther, what));
        }
        if let Some(before) = letter.arrived {
            let what = format!(
                "got message {} of node {} at {before} and again",
                letter.number, letter.from
            );
            return Err((Check::MessageTwice, what));
        }
        letter.arrived = Some(now);
        self.arrived += 1;
        if letter.accepted >= there_since {
            measures.delivery.add(measures.bin_of(now), now - letter.accepted);
        } else {
            measures
                .delivery_after_absence
                .add(measures.bin_of(now), now - there_since);
        }
        let last = self.last.entry((letter.from, who)).or_default();
        let in_order = letter.number > *last;
        if !in_order && !row.after_gap {
            let what = format!(
                "was shown message {} of node {} after number {last}, and told of no gap",
                letter.number, letter.from
            );
            return Err((Check::MessageOther, what));
        }
        *last = (*last).max(letter.number);
        Ok(())
    }

    /// A message is on the disk of `who`, and waits there for those before it.
    pub(super) fn held(&mut self, who: Who, id: &RandomId) {
        if let Some(letter) = self.all.get_mut(id)
            && letter.to == Some(who)
        {
            letter.held = true;
        }
    }

    /// A message of `who` has come further.
    pub(super) fn came_further(&mut self, who: Who, row: &MessageStateRow, now: u64) -> Outcome {
        let id = self.numbers.get(&(who, row.number));
        let Some(letter) = id.and_then(|id| self.all.get_mut(id)) else {
            return Ok(());
        };
        let arrived = matches!(row.state, MessageState::Delivered | MessageState::Read);
        if arrived && letter.arrived.is_none() && !letter.held {
            let what = format!(
                "has a receipt at {now} for message {} that node {:?} does not have",
                row.number, letter.to
            );
            return Err((Check::ReceiptEarly, what));
        }
        let read_at_last = letter.state == MessageState::Delivered && row.state == MessageState::Read;
        if is_final(&letter.state) && letter.state != row.state && !read_at_last {
            let what = format!("message {} went from {:?} to {:?}", row.number, letter.state, row.state);
            return Err((Check::MessageState, what));
        }
        letter.state = row.state.clone();
        Ok(())
    }

    /// The two are no contacts any more: what was on its way may fail.
    pub(super) fn parted(&mut self, one: Who, other: Who) {
        self.parted.insert((one, other));
        self.parted.insert((other, one));
    }

    /// How many were accepted, and arrived.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.all.len() as u64, self.arrived)
    }

    /// Everything that was accepted has arrived, and is known to have.
    pub(super) fn at_the_end(&self, now: u64) -> Result<(), (Who, Check, String)> {
        for letter in self.all.values() {
            let Some(to) = letter.to else { continue };
            let excused = self.parted.contains(&(letter.from, to))
                || letter.expires <= crate::member::BEGINNING + now
                || letter.state == MessageState::Cancelled;
            if excused {
                continue;
            }
            let which = format!(
                "message {} to node {to}, accepted at {}",
                letter.number, letter.accepted
            );
            if letter.arrived.is_none() {
                return Err((
                    letter.from,
                    Check::MessageLost,
                    format!("{which}, is {:?} and never arrived", letter.state),
                ));
            }
            if !matches!(letter.state, MessageState::Delivered | MessageState::Read) {
                return Err((
                    letter.from,
                    Check::ReceiptMissing,
                    format!("{which}, arrived, and is {:?}", letter.state),
                ));
            }
        }
        Ok(())
    }
}

/// Whether nothing more will come of a message, but that it was read.
const fn is_final(state: &MessageState) -> bool {
    match state {
        MessageState::Queued | MessageState::Sent | MessageState::Stored { .. } => false,
        MessageState::Delivered
        | MessageState::Read
        | MessageState::Failed(_)
        | MessageState::Expired
        | MessageState::Cancelled => true,
    }
}
