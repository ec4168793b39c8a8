//! All that is on disk but the events, as one value. `store` loads it, the core changes it only by [`Snapshot::apply`],
//! and a simulated disk is the fold of that function.

use crate::messaging::rows::{
    AccountRow, ConversationRow, HeldRow, Origin, OutboxRow, SealedRow, SeenRow, SessionKey, SessionRow,
};
use crate::rows::{
    AnswerRow, ClosingRow, ConsumerRow, ContactRow, DepositRow, FormerRow, Identity, InviteRow, KeptRow, LeftRow,
    LetterRow, MailboxRow, ObservedRow, OwnPresenceRow, ParcelRow, SpentRow, StampsRow, TakenRow, ViewRow,
};
use crate::step::Write;
use porchlight_wire::blind::BlindedKey;
use porchlight_wire::ids::{NodeAddress, PrincipalId, RandomId};
use porchlight_wire::mailbox::MailboxId;
use porchlight_wire::time::UnixMillis;
use std::collections::BTreeMap;

/// The state of a node on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Who this node speaks for; never changed by a write.
    pub identity: Identity,
    /// Our own presence.
    pub own: Option<OwnPresenceRow>,
    /// Sequences up to this one may have been used.
    pub ceiling: u64,
    /// Until when identity sheets that called us public may be kept; long over if we never were.
    pub sheet_until: UnixMillis,
    /// Views by name.
    pub views: BTreeMap<String, ViewRow>,
    /// Invites by id.
    pub invites: BTreeMap<RandomId, InviteRow>,
    /// Contacts by principal.
    pub contacts: BTreeMap<PrincipalId, ContactRow>,
    /// Those who are still to be told that they were removed, by principal.
    pub former: BTreeMap<PrincipalId, FormerRow>,
    /// Last records of ended generations, by address.
    pub closings: BTreeMap<BlindedKey, ClosingRow>,
    /// Letters that wait, by id.
    pub letters: BTreeMap<RandomId, LetterRow>,
    /// The newest records seen, by principal.
    pub observed: BTreeMap<PrincipalId, ObservedRow>,
    /// Consumers of events by name.
    pub consumers: BTreeMap<String, ConsumerRow>,
    /// Answers by idempotency key.
    pub answers: BTreeMap<String, AnswerRow>,
    /// Relays to keep mailboxes at before others, by the user's choice.
    pub chosen_relays: Vec<NodeAddress>,
    /// Our mailboxes at relays.
    pub mailboxes: BTreeMap<MailboxId, MailboxRow>,
    /// Stamps for contacts' mailboxes, by principal.
    pub stamps: BTreeMap<PrincipalId, StampsRow>,
    /// Envelopes on their way to mailboxes, by id.
    pub parcels: BTreeMap<RandomId, ParcelRow>,
    /// Letters that were taken out of our mailboxes, by sender and id.
    pub taken: BTreeMap<(PrincipalId, RandomId), TakenRow>,
    /// Mailboxes kept here for others.
    pub kept: BTreeMap<MailboxId, KeptRow>,
    /// Envelopes that wait in them, by mailbox and number.
    pub deposits: BTreeMap<(MailboxId, u64), DepositRow>,
    /// What has admitted an envelope, by mailbox and mark.
    pub spent: BTreeMap<(MailboxId, [u8; 16]), SpentRow>,
    /// Records that owners of mailboxes left here, by mailbox and address.
    pub left: BTreeMap<(MailboxId, BlindedKey), LeftRow>,
    /// The oldest event kept; 1 if there never was one.
    pub oldest_event: u64,
    /// The newest event's number; 0: there never was one.
    pub newest_event: u64,
    /// This device's Olm account; none: it was never asked for.
    pub account: Option<AccountRow>,
    /// Olm sessions by device and session.
    pub sessions: BTreeMap<SessionKey, SessionRow>,
    /// Messages of ours on their way, by id.
    pub outbox: BTreeMap<RandomId, OutboxRow>,
    /// The same as they are sent, by id.
    pub sealed: BTreeMap<RandomId, SealedRow>,
    /// What is known of the messages with a contact, by principal.
    pub conversations: BTreeMap<PrincipalId, ConversationRow>,
    /// Messages that were accepted and have not expired.
    pub seen: BTreeMap<Origin, SeenRow>,
    /// Messages that came before the one that they follow.
    pub held: BTreeMap<Origin, HeldRow>,
    /// The newest message's number; 0: there never was one. Messages themselves are kept outside.
    pub newest_message: u64,
}

impl Snapshot {
    /// The state of a new home.
    #[must_use]
    pub const fn new(identity: Identity) -> Self {
        Self {
            identity,
            own: None,
            ceiling: 0,
            sheet_until: UnixMillis(0),
            views: BTreeMap::new(),
            invites: BTreeMap::new(),
            contacts: BTreeMap::new(),
            former: BTreeMap::new(),
            closings: BTreeMap::new(),
            letters: BTreeMap::new(),
            observed: BTreeMap::new(),
            consumers: BTreeMap::new(),
            answers: BTreeMap::new(),
            chosen_relays: Vec::new(),
            mailboxes: BTreeMap::new(),
            stamps: BTreeMap::new(),
            parcels: BTreeMap::new(),
            taken: BTreeMap::new(),
            kept: BTreeMap::new(),
            deposits: BTreeMap::new(),
            spent: BTreeMap::new(),
            left: BTreeMap::new(),
            oldest_event: 1,
            newest_event: 0,
            account: None,
            sessions: BTreeMap::new(),
            outbox: BTreeMap::new(),
            sealed: BTreeMap::new(),
            conversations: BTreeMap::new(),
            seen: BTreeMap::new(),
            held: BTreeMap::new(),
            newest_message: 0,
        }
    }

    /// Makes one change.
    pub fn apply(&mut self, write: &Write) {
        match write {
            Write::PutOwnPresence(row) => self.own = Some(row.clone()),
            Write::PutCeiling(ceiling) => self.ceiling = *ceiling,
            Write::PutSheetUntil(until) => self.sheet_until = *until,
            Write::PutView(row) => {
                self.views.insert(row.name.clone(), row.clone());
            }
            Write::DeleteView(name) => {
                self.views.remove(name);
            }
            Write::PutInvite(row) => {
                self.invites.insert(row.id, row.clone());
            }
            Write::DeleteInvite(id) => {
                self.invites.remove(id);
            }
            Write::PutContact(row) => {
                self.contacts.insert(row.principal, row.clone());
            }
            Write::DeleteContact(principal) => {
                self.contacts.remove(principal);
            }
            Write::PutFormer(row) => {
                self.former.insert(row.principal, row.clone());
            }
            Write::DeleteFormer(principal) => {
                self.former.remove(principal);
            }
            Write::PutClosing(row) => {
                self.closings.insert(row.pk, row.clone());
            }
            Write::DeleteClosing(pk) => {
                self.closings.remove(pk);
            }
            Write::PutLetter(row) => {
                self.letters.insert(row.id, row.clone());
            }
            Write::DeleteLetter(id) => {
                self.letters.remove(id);
            }
            Write::PutObserved(row) => {
                self.observed.insert(row.principal, row.clone());
            }
            Write::DeleteObserved(principal) => {
                self.observed.remove(principal);
            }
            Write::PutEvent(row) => self.newest_event = self.newest_event.max(row.number),
            Write::DropEvents { below } => {
                self.oldest_event = self.oldest_event.max((*below).min(self.newest_event));
            }
            Write::PutConsumer(row) => {
                self.consumers.insert(row.name.clone(), row.clone());
            }
            Write::DeleteConsumer(name) => {
                self.consumers.remove(name);
            }
            Write::PutAnswer(row) => {
                self.answers.insert(row.key.clone(), row.clone());
            }
            Write::DeleteAnswer(key) => {
                self.answers.remove(key);
            }
            Write::PutChosenRelays(relays) => self.chosen_relays.clone_from(relays),
            Write::PutMailbox(row) => {
                self.mailboxes.insert(row.mailbox, row.clone());
            }
            Write::DeleteMailbox(mailbox) => {
                self.mailboxes.remove(mailbox);
            }
            Write::PutStamps(row) => {
                self.stamps.insert(row.contact, row.clone());
            }
            Write::DeleteStamps(contact) => {
                self.stamps.remove(contact);
            }
            Write::PutParcel(row) => {
                self.parcels.insert(row.id, row.clone());
            }
            Write::DeleteParcel(id) => {
                self.parcels.remove(id);
            }
            Write::PutTaken(row) => {
                self.taken.insert((row.from, row.letter), row.clone());
            }
            Write::DeleteTaken(from, letter) => {
                self.taken.remove(&(*from, *letter));
            }
            Write::PutKept(row) => {
                self.kept.insert(row.mailbox, row.clone());
            }
            Write::DeleteKept(mailbox) => {
                self.kept.remove(mailbox);
            }
            Write::PutDeposit(row) => {
                self.deposits.insert((row.mailbox, row.number), row.clone());
            }
            Write::DeleteDeposit(mailbox, number) => {
                self.deposits.remove(&(*mailbox, *number));
            }
            Write::PutBody(_) | Write::DeleteBody(..) => {}
            Write::PutLeft(row) => {
                self.left.insert((row.mailbox, row.pk), row.clone());
            }
            Write::DeleteLeft(mailbox, pk) => {
                self.left.remove(&(*mailbox, *pk));
            }
            Write::PutSpent(row) => {
                self.spent.insert((row.mailbox, row.mark), row.clone());
            }
            Write::DeleteSpent(mailbox, mark) => {
                self.spent.remove(&(*mailbox, *mark));
            }
            Write::PutIdentity(row) => self.identity = *row.clone(),
            Write::PutAccount(row) => self.account = Some(row.clone()),
            Write::PutSession(row) => {
                self.sessions.insert(row.key, row.clone());
            }
            Write::DeleteSession(key) => {
                self.sessions.remove(key);
            }
            Write::PutOutbox(row) => {
                self.outbox.insert(row.message.id, row.clone());
            }
            Write::DeleteOutbox(id) => {
                self.outbox.remove(id);
            }
            Write::PutSealed(row) => {
                self.sealed.insert(row.id, row.clone());
            }
            Write::DeleteSealed(id) => {
                self.sealed.remove(id);
            }
            Write::PutConversation(row) => {
                self.conversations.insert(row.principal, row.clone());
            }
            Write::PutSeen(row) => {
                self.seen.insert(row.origin, row.clone());
            }
            Write::DeleteSeen(origin) => {
                self.seen.remove(origin);
            }
            Write::PutHeld(row) => {
                self.held.insert(row.origin, row.clone());
            }
            Write::DeleteHeld(origin) => {
                self.held.remove(origin);
            }
            Write::PutMessage(row) => self.newest_message = self.newest_message.max(row.number),
            // Kept beside the message.
            Write::PutMessageState(_) => {}
        }
    }
}
