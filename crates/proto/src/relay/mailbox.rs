//! Mailboxes that are kept here for others: registering them, taking envelopes in, giving them out to their owners. It knows
//! keys, numbers and sizes; it has nothing that opens an envelope, and must not.

use crate::clock::Instant;
use crate::input::ExchangeId;
use crate::limits::{
    DAY, DEPOSIT_BURST, DEPOSIT_REFILL, DEPOSITORS, KEPT_FOR, KEPT_MAILBOXES, MAILBOX_LIFE, NOTICE_RETRY_LAST,
    OWNED_EACH, SPENT_EACH, STAMP_AHEAD, SWEEP_AT_ONCE, SWEEP_EVERY, VOUCHED_EACH, WORKED_MAILBOXES, WORKED_SHARE,
    mailbox_quota,
};
use crate::node::Node;
use crate::relay::Mailkeeping;
use crate::retry::backoff;
use crate::rows::{BodyRow, DepositRow, KeptRow, SpentRow, Tier};
use crate::step::{Effect, Write};
use porchlight_wire::envelope::ENVELOPE_CLASSES;
use porchlight_wire::frame::{Refusal, Request, Response};
use porchlight_wire::hash::sha256;
use porchlight_wire::ids::NodeId;
use porchlight_wire::limits::{MAILBOX_ANSWER_BYTES, MAILBOX_LISTED};
use porchlight_wire::mailbox::{
    Claim, Entry, MailboxError, MailboxId, Operation, Pass, Quota, SignedOperation, What, registration_challenge,
};
use porchlight_wire::stamp::{Class, StampKey, deposit_challenge, is_about_today, is_worked};
use porchlight_wire::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};

/// What a relay remembers besides what is on disk: who is there, and how fast they are.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    /// Connected nodes that have proven to own mailboxes.
    owners: BTreeMap<NodeId, BTreeSet<MailboxId>>,
    /// Mailboxes whose owner was told that something has arrived, or is to be, and has not looked since.
    told: BTreeMap<MailboxId, Notice>,
    /// Which of them an exchange tells of.
    telling: BTreeMap<ExchangeId, MailboxId>,
    /// Until when the tokens of whoever deposits were used up.
    depositors: BTreeMap<NodeId, u64>,
    /// Bytes of all envelopes, and of those in mailboxes that work was done for.
    bytes: u64,
    worked_bytes: u64,
    sweep_at: Instant,
}

/// How far telling an owner that something has arrived has come.
#[derive(Debug, Default)]
struct Notice {
    /// How often it was tried.
    tries: u32,
    /// They had no room for it, or did not answer: they are told again then. None: it is under way, or they know.
    again: Option<Instant>,
}

impl Keeper {
    /// Counts what is there.
    pub(crate) fn of(disk: &crate::Snapshot) -> Self {
        let mut keeper = Self::default();
        for row in disk.deposits.values() {
            let worked = disk
                .kept
                .get(&row.mailbox)
                .is_some_and(|kept| kept.tier == Tier::Worked);
            keeper.bytes += u64::from(row.bytes);
            keeper.worked_bytes += if worked { u64::from(row.bytes) } else { 0 };
        }
        keeper
    }
}

impl Node {
    /// An envelope for somebody's mailbox. The answer leaves once it is on disk.
    pub(crate) fn on_deposit(&mut self, from: NodeId, mailbox: MailboxId, pass: &Pass, envelope: &[u8]) -> Response {
        match self.deposit(from, mailbox, pass, envelope) {
            Ok(until) => Response::MailboxStored { until },
            Err(reason) => Response::Refused { reason },
        }
    }

    fn deposit(
        &mut self,
        from: NodeId,
        mailbox: MailboxId,
        pass: &Pass,
        envelope: &[u8],
    ) -> Result<UnixMillis, Refusal> {
        let duties = self.config.mailkeeping.clone().ok_or(Refusal::NotServed)?;
        self.pace(from)?;
        if !ENVELOPE_CLASSES.contains(&envelope.len()) {
            return Err(Refusal::Size);
        }
        let bytes = u32::try_from(envelope.len()).map_err(|_| Refusal::Size)?;
        let now = self.clock.unix;
        let mut kept = self.kept(&mailbox).ok_or(Refusal::NoMailbox)?.clone();
        let admitted = self.admit(&kept.stamp_key, mailbox, pass, envelope)?;
        let hash = sha256(envelope);
        if let Some(spent) = self.disk.spent.get(&(mailbox, admitted.mark)) {
            // The same again is the same deposit: the answer to the first may have been lost.
            return if spent.envelope == hash {
                Ok(spent.stored)
            } else {
                Err(Refusal::Stamp)
            };
        }
        self.room_for(&duties, &kept, admitted.class, bytes)?;
        let until = now.plus(KEPT_FOR).min(kept.until);
        kept.last = kept.last.saturating_add(1);
        let number = kept.last;
        self.count(&kept, i64::from(bytes));
        self.write(Write::PutKept(kept));
        self.write(Write::PutDeposit(DepositRow {
            mailbox,
            number,
            class: admitted.class,
            bytes,
            until,
        }));
        self.write(Write::PutBody(BodyRow {
            mailbox,
            number,
            envelope: envelope.to_vec().into(),
        }));
        self.write(Write::PutSpent(SpentRow {
            mailbox,
            mark: admitted.mark,
            envelope: hash,
            stored: until,
            until: admitted.until,
        }));
        self.tell_owner(mailbox);
        Ok(until)
    }

    /// Takes a token of whoever deposits: one connection must not keep the disk busy alone.
    fn pace(&mut self, from: NodeId) -> Result<(), Refusal> {
        let now = self.clock.instant.0;
        let depositors = &mut self.keeper.depositors;
        if depositors.len() >= DEPOSITORS && !depositors.contains_key(&from) {
            // Whose tokens are all there again is as good as unknown.
            depositors.retain(|_, credit| *credit > now);
            if depositors.len() >= DEPOSITORS {
                return Err(Refusal::TooMany);
            }
        }
        let credit = depositors.entry(from).or_insert(now);
        let floor = (*credit).max(now);
        if floor - now + DEPOSIT_REFILL > DEPOSIT_BURST * DEPOSIT_REFILL {
            return Err(Refusal::TooMany);
        }
        *credit = floor + DEPOSIT_REFILL;
        Ok(())
    }

    /// What a pass admits to.
    fn admit(&self, key: &StampKey, mailbox: MailboxId, pass: &Pass, envelope: &[u8]) -> Result<Admitted, Refusal> {
        let now = self.clock.unix;
        match pass {
            Pass::Stamp(stamp) => {
                let class = key.class_of(&mailbox, stamp).ok_or(Refusal::Stamp)?;
                let until = stamp.day().end();
                if until <= now || until > now.plus(STAMP_AHEAD) {
                    return Err(Refusal::Time);
                }
                let mark = *stamp.nonce();
                Ok(Admitted { class, mark, until })
            }
            Pass::Work(work) => {
                if !is_about_today(work.day, now) {
                    return Err(Refusal::Time);
                }
                let challenge = deposit_challenge(&mailbox, work.day, envelope);
                if !is_worked(&challenge, work, &self.config.network, now) {
                    return Err(Refusal::Stamp);
                }
                let mut mark = [0; 16];
                mark.copy_from_slice(sha256(envelope).split_at(16).0);
                let class = Class::Stranger;
                // By then no day that is about today is this one.
                let until = work.day.end().plus(2 * DAY);
                Ok(Admitted { class, mark, until })
            }
        }
    }

    fn room_for(&self, duties: &Mailkeeping, kept: &KeptRow, class: Class, bytes: u32) -> Result<(), Refusal> {
        let bytes = u64::from(bytes);
        let quota = self.quota(kept, class);
        if quota.envelopes >= quota.most_envelopes || quota.bytes + bytes > quota.most_bytes {
            return Err(Refusal::Quota);
        }
        let remembered = self
            .disk
            .spent
            .range((kept.mailbox, [0; 16])..=(kept.mailbox, [0xff; 16]));
        if remembered.count() >= SPENT_EACH {
            return Err(Refusal::Quota);
        }
        let worked = kept.tier == Tier::Worked && self.keeper.worked_bytes + bytes > duties.room / WORKED_SHARE;
        if worked || self.keeper.bytes + bytes > duties.room {
            return Err(Refusal::Full);
        }
        Ok(())
    }

    /// What is in a mailbox of one class, and may be.
    fn quota(&self, kept: &KeptRow, class: Class) -> Quota {
        let (most_envelopes, most_bytes) = mailbox_quota(&kept.tier, class);
        let mut quota = Quota {
            class,
            envelopes: 0,
            most_envelopes,
            bytes: 0,
            most_bytes,
        };
        for row in self.deposits_in(&kept.mailbox).filter(|row| row.class == class) {
            quota.envelopes += 1;
            quota.bytes += u64::from(row.bytes);
        }
        quota
    }

    fn deposits_in(&self, mailbox: &MailboxId) -> impl Iterator<Item = &DepositRow> {
        let range = self.disk.deposits.range((*mailbox, 0)..=(*mailbox, u64::MAX));
        range.map(|(_, row)| row)
    }

    /// A mailbox that is kept here, and whose time is not over.
    fn kept(&self, mailbox: &MailboxId) -> Option<&KeptRow> {
        let kept = self.disk.kept.get(mailbox)?;
        (kept.until > self.clock.unix).then_some(kept)
    }

    fn count(&mut self, kept: &KeptRow, bytes: i64) {
        self.keeper.bytes = self.keeper.bytes.saturating_add_signed(bytes);
        if kept.tier == Tier::Worked {
            self.keeper.worked_bytes = self.keeper.worked_bytes.saturating_add_signed(bytes);
        }
    }

    /// Tells a mailbox's owner, if they are there, until they know, and then not again until they look.
    fn tell_owner(&mut self, mailbox: MailboxId) {
        if !self.keeper.told.contains_key(&mailbox) {
            self.tell_owner_now(mailbox);
        }
    }

    fn tell_owner_now(&mut self, mailbox: MailboxId) {
        let owner = self.keeper.owners.iter().find(|(_, owned)| owned.contains(&mailbox));
        let Some(to) = owner.map(|(node, _)| *node) else {
            self.keeper.told.remove(&mailbox);
            return;
        };
        let exchange = ExchangeId(self.next_id());
        let notice = self.keeper.told.entry(mailbox).or_default();
        notice.tries = notice.tries.saturating_add(1);
        notice.again = None;
        self.keeper.telling.insert(exchange, mailbox);
        self.step.effect(Effect::Request {
            exchange,
            to,
            addresses: Vec::new(),
            request: Request::MailboxArrived { mailbox },
        });
    }

    /// An owner was told, or could not be; false if it was about something else. One who had no room for it even is told again: they
    /// would look by themselves only much later.
    pub(crate) fn on_notice_answered(&mut self, exchange: ExchangeId, response: Option<&Response>) -> bool {
        let Some(mailbox) = self.keeper.telling.remove(&exchange) else {
            return false;
        };
        let busy = match response {
            None => true,
            Some(Response::Refused { reason }) => matches!(reason, Refusal::TooMany | Refusal::Full),
            Some(_) => false,
        };
        if let Some(notice) = self.keeper.told.get_mut(&mailbox)
            && busy
        {
            let wait = backoff(notice.tries.saturating_sub(1), NOTICE_RETRY_LAST, &mut self.rng);
            notice.again = Some(self.clock.instant.plus(wait));
        }
        true
    }

    /// Tells those owners again who had no room for it.
    pub(crate) fn notices_due(&mut self) {
        let now = self.clock.instant;
        let told = self.keeper.told.iter();
        let due: Vec<MailboxId> = told
            .filter(|(_, notice)| notice.again.is_some_and(|again| again <= now))
            .map(|(mailbox, _)| *mailbox)
            .collect();
        for mailbox in due {
            self.tell_owner_now(mailbox);
        }
    }

    /// When [`notices_due`](Self::notices_due) has something to do next.
    pub(crate) fn next_notice(&self) -> Option<Instant> {
        self.keeper.told.values().filter_map(|notice| notice.again).min()
    }

    /// A node asks something about a mailbox that it says is its own. What it asked is answered by an effect.
    pub(crate) fn on_operation(&mut self, from: NodeId, exchange: ExchangeId, signed: &SignedOperation) {
        let response = match self.operate(from, exchange, signed) {
            Ok(Some(response)) => response,
            // The driver answers, with what is on disk.
            Ok(None) => return,
            Err(reason) => Response::Refused { reason },
        };
        self.step.effect(Effect::Respond { exchange, response });
    }

    fn operate(
        &mut self,
        from: NodeId,
        exchange: ExchangeId,
        signed: &SignedOperation,
    ) -> Result<Option<Response>, Refusal> {
        let duties = self.config.mailkeeping.clone().ok_or(Refusal::NotServed)?;
        let operation = signed.verify(from, self.config.node).map_err(|error| {
            tracing::debug!(%error, "an operation on a mailbox does not stand");
            Refusal::Invalid
        })?;
        let Operation { mailbox, what, .. } = operation;
        if let What::Register { stamp_key, claim } = what {
            let response = self.keep_mailbox(&duties, from, mailbox, stamp_key, &claim)?;
            self.remember_owner(from, mailbox);
            // Whoever was away is back.
            self.forget_left(&mailbox);
            return Ok(Some(response));
        }
        if self.kept(&mailbox).is_none() {
            return Err(Refusal::NoMailbox);
        }
        self.remember_owner(from, mailbox);
        match what {
            What::Register { .. } => Ok(None),
            What::List { after } => {
                self.keeper.told.remove(&mailbox);
                Ok(Some(self.list(&mailbox, after)))
            }
            What::Get { numbers } => {
                let bodies = self.chosen(&mailbox, &numbers);
                self.step.effect(Effect::HandOut {
                    exchange,
                    mailbox,
                    numbers: bodies,
                });
                Ok(None)
            }
            What::Delete { numbers } => {
                for number in numbers {
                    self.remove_deposit(mailbox, number);
                }
                Ok(Some(Response::MailboxDone {}))
            }
            What::Leave { first, records } => {
                self.pace(from)?;
                let kept = self.kept(&mailbox).ok_or(Refusal::NoMailbox)?.clone();
                self.take_left(&duties, &kept, first, &records).map(Some)
            }
            What::Close {} => {
                self.forget_mailbox(&mailbox);
                Ok(Some(Response::MailboxDone {}))
            }
        }
    }

    fn keep_mailbox(
        &mut self,
        duties: &Mailkeeping,
        from: NodeId,
        mailbox: MailboxId,
        stamp_key: StampKey,
        claim: &Claim,
    ) -> Result<Response, Refusal> {
        let now = self.clock.unix;
        let known = self.kept(&mailbox).cloned();
        let tier = match &known {
            _ if duties.nodes.contains(&from) => Tier::Listed,
            // Whoever is not listed any more keeps what anyone would get, until it is over.
            Some(kept) if kept.tier != Tier::Listed => kept.tier,
            Some(_) | None => self.judge_claim(duties, mailbox, claim)?,
        };
        if known.is_none() {
            let worked = self.disk.kept.values().filter(|kept| kept.tier == Tier::Worked);
            if tier == Tier::Worked && worked.count() >= WORKED_MAILBOXES {
                return Err(Refusal::Quota);
            }
            if self.disk.kept.len() >= KEPT_MAILBOXES {
                return Err(Refusal::Full);
            }
        }
        let kept = KeptRow {
            mailbox,
            stamp_key,
            tier,
            until: now.plus(MAILBOX_LIFE),
            last: known.map_or(0, |kept| kept.last),
        };
        let quotas = Class::ALL.into_iter().map(|class| self.quota(&kept, class)).collect();
        let until = kept.until;
        self.write(Write::PutKept(kept));
        Ok(Response::MailboxRegistered { until, quotas })
    }

    fn judge_claim(&self, duties: &Mailkeeping, mailbox: MailboxId, claim: &Claim) -> Result<Tier, Refusal> {
        let now = self.clock.unix;
        match claim {
            Claim::Known => Err(Refusal::NotAdmitted),
            Claim::Voucher(signed) => {
                let voucher = signed.verify(now).map_err(|error| match error {
                    MailboxError::Over => Refusal::Time,
                    MailboxError::Unreadable(_)
                    | MailboxError::OtherNodes
                    | MailboxError::Signature
                    | MailboxError::TooMany => Refusal::Invalid,
                })?;
                if voucher.relay != self.config.node {
                    return Err(Refusal::Invalid);
                }
                // Whoever got in by a voucher or by work cannot let others in: that would have no end.
                if self.kept(&voucher.by).is_none_or(|kept| kept.tier != Tier::Listed) {
                    return Err(Refusal::NotAdmitted);
                }
                let vouched: Vec<&Tier> = self
                    .disk
                    .kept
                    .values()
                    .map(|kept| &kept.tier)
                    .filter(|tier| matches!(tier, Tier::Vouched { by, .. } if *by == voucher.by))
                    .collect();
                let tier = Tier::Vouched {
                    by: voucher.by,
                    voucher: voucher.id,
                };
                let used = vouched.iter().filter(|other| ***other == tier).count();
                if vouched.len() >= VOUCHED_EACH || used >= usize::from(voucher.uses) {
                    return Err(Refusal::Quota);
                }
                Ok(tier)
            }
            Claim::Work(_) if !duties.strangers => Err(Refusal::NotAdmitted),
            Claim::Work(work) => {
                if !is_about_today(work.day, now) {
                    return Err(Refusal::Time);
                }
                let challenge = registration_challenge(&mailbox, &self.config.node, work.day);
                if !is_worked(&challenge, work, &self.config.network, now) {
                    return Err(Refusal::Stamp);
                }
                Ok(Tier::Worked)
            }
        }
    }

    /// Whose connection this is, for telling them what arrives.
    fn remember_owner(&mut self, node: NodeId, mailbox: MailboxId) {
        if !self.connected.contains_key(&node) {
            return;
        }
        let owned = self.keeper.owners.entry(node).or_default();
        if owned.len() < OWNED_EACH {
            owned.insert(mailbox);
        }
    }

    /// A connection is gone: whoever owned mailboxes there is told nothing any more.
    pub(crate) fn forget_owner(&mut self, node: NodeId) {
        for mailbox in self.keeper.owners.remove(&node).unwrap_or_default() {
            self.keeper.told.remove(&mailbox);
        }
        let told = &self.keeper.told;
        self.keeper.telling.retain(|_, mailbox| told.contains_key(mailbox));
    }

    fn list(&self, mailbox: &MailboxId, after: u64) -> Response {
        let now = self.clock.unix;
        let from = after.saturating_add(1);
        let mut waiting = self
            .disk
            .deposits
            .range((*mailbox, from)..=(*mailbox, u64::MAX))
            .map(|(_, row)| row)
            .filter(|row| row.until > now && after < u64::MAX);
        let entries = waiting
            .by_ref()
            .take(MAILBOX_LISTED)
            .map(|row| Entry {
                number: row.number,
                bytes: row.bytes,
                class: row.class,
            })
            .collect();
        Response::MailboxList {
            entries,
            more: waiting.next().is_some(),
        }
    }

    /// The numbers among those asked for that are there, as far as they fit into one answer.
    fn chosen(&self, mailbox: &MailboxId, numbers: &[u64]) -> Vec<u64> {
        let now = self.clock.unix;
        let mut room = MAILBOX_ANSWER_BYTES;
        let mut chosen = BTreeSet::new();
        for number in numbers {
            let Some(row) = self.disk.deposits.get(&(*mailbox, *number)) else {
                continue;
            };
            let bytes = usize::try_from(row.bytes).unwrap_or(usize::MAX);
            if row.until <= now || chosen.contains(number) || bytes > room {
                continue;
            }
            room -= bytes;
            chosen.insert(*number);
        }
        chosen.into_iter().collect()
    }

    fn remove_deposit(&mut self, mailbox: MailboxId, number: u64) {
        let Some(row) = self.disk.deposits.get(&(mailbox, number)) else {
            return;
        };
        let bytes = i64::from(row.bytes);
        if let Some(kept) = self.disk.kept.get(&mailbox).cloned() {
            self.count(&kept, -bytes);
        }
        self.write(Write::DeleteDeposit(mailbox, number));
        self.write(Write::DeleteBody(mailbox, number));
    }

    fn forget_mailbox(&mut self, mailbox: &MailboxId) {
        let numbers: Vec<u64> = self.deposits_in(mailbox).map(|row| row.number).collect();
        for number in numbers {
            self.remove_deposit(*mailbox, number);
        }
        let spent = self.disk.spent.range((*mailbox, [0; 16])..=(*mailbox, [0xff; 16]));
        let marks: Vec<[u8; 16]> = spent.map(|((_, mark), _)| *mark).collect();
        for mark in marks {
            self.write(Write::DeleteSpent(*mailbox, mark));
        }
        self.forget_left(mailbox);
        self.write(Write::DeleteKept(*mailbox));
        self.keeper.told.remove(mailbox);
    }

    /// Deletes what is over: some at a time, so that nobody waits long.
    pub(crate) fn sweep_due(&mut self) {
        if self.config.mailkeeping.is_none() || self.keeper.sweep_at > self.clock.instant {
            return;
        }
        let now = self.clock.unix;
        let deposits = self.disk.deposits.iter().filter(|(_, row)| row.until <= now);
        let deposits: Vec<(MailboxId, u64)> = deposits.map(|(key, _)| *key).take(SWEEP_AT_ONCE).collect();
        let spent = self.disk.spent.iter().filter(|(_, row)| row.until <= now);
        let spent: Vec<(MailboxId, [u8; 16])> = spent.map(|(key, _)| *key).take(SWEEP_AT_ONCE).collect();
        let kept = self.disk.kept.iter().filter(|(_, row)| row.until <= now);
        // One mailbox can be as much as a whole batch of envelopes.
        let kept: Vec<MailboxId> = kept.map(|(key, _)| *key).take(1).collect();
        let more = deposits.len() == SWEEP_AT_ONCE || spent.len() == SWEEP_AT_ONCE || !kept.is_empty();
        for (mailbox, number) in deposits {
            self.remove_deposit(mailbox, number);
        }
        for (mailbox, mark) in spent {
            self.write(Write::DeleteSpent(mailbox, mark));
        }
        for mailbox in kept {
            self.forget_mailbox(&mailbox);
        }
        let wait = if more { DEPOSIT_REFILL } else { SWEEP_EVERY };
        self.keeper.sweep_at = self.clock.instant.plus(wait);
    }

    /// When [`sweep_due`](Self::sweep_due) has something to do next.
    pub(crate) fn next_sweep(&self) -> Option<Instant> {
        self.config.mailkeeping.as_ref().map(|_| self.keeper.sweep_at)
    }
}

/// What a pass admits to.
struct Admitted {
    class: Class,
    /// What tells the pass from others.
    mark: [u8; 16],
    /// Until when it would be admitted.
    until: UnixMillis,
}
