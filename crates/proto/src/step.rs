//! Commit, then speak: a [`Step`] is what one or more inputs led to. Its writes can be read; its effects come out only
//! after the writes were made durable.

use crate::input::{ExchangeId, LookupId, PutId, RequestId};
use crate::messaging::rows::{
    AccountRow, ConversationRow, HeldRow, MessageRow, MessageStateRow, Origin, OutboxRow, SealedRow, SeenRow,
    SessionKey, SessionRow,
};
use crate::reply::{CommandError, Reply};
use crate::rows::{
    AnswerRow, BodyRow, ClosingRow, ConsumerRow, ContactRow, DepositRow, EventRow, FormerRow, Identity, InviteRow,
    KeptRow, LeftRow, LetterRow, MailboxRow, ObservedRow, OwnPresenceRow, ParcelRow, SpentRow, StampsRow, TakenRow,
    ViewRow,
};
use porchlight_wire::beacon::VerifiedBeacon;
use porchlight_wire::blind::BlindedKey;
use porchlight_wire::follow::{FollowKey, FollowProof};
use porchlight_wire::frame::{Request, Response};
use porchlight_wire::ids::{Address, NodeAddress, NodeId, PrincipalId, RandomId};
use porchlight_wire::mailbox::MailboxId;
use porchlight_wire::network::TopicIndex;
use porchlight_wire::record::{Place, VerifiedRecord};
use porchlight_wire::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};

/// One change of what is on disk: a keyed upsert or a delete.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Our own presence (a single row).
    PutOwnPresence(OwnPresenceRow),
    /// Sequences up to this one may have been used (a single row).
    PutCeiling(u64),
    /// Identity sheets that call us public may be kept until then (a single row).
    PutSheetUntil(UnixMillis),
    /// By name.
    PutView(ViewRow),
    /// By name.
    DeleteView(String),
    /// By id.
    PutInvite(InviteRow),
    /// By id.
    DeleteInvite(RandomId),
    /// By principal.
    PutContact(ContactRow),
    /// By principal.
    DeleteContact(PrincipalId),
    /// By principal.
    PutFormer(FormerRow),
    /// By principal.
    DeleteFormer(PrincipalId),
    /// By address.
    PutClosing(ClosingRow),
    /// By address.
    DeleteClosing(BlindedKey),
    /// By id.
    PutLetter(LetterRow),
    /// By id.
    DeleteLetter(RandomId),
    /// By principal.
    PutObserved(ObservedRow),
    /// By principal.
    DeleteObserved(PrincipalId),
    /// By number. Events are kept outside the snapshot.
    PutEvent(EventRow),
    /// All events with numbers below this one, but never the newest: the next number is counted from it.
    DropEvents {
        /// The first that stays.
        below: u64,
    },
    /// By name.
    PutConsumer(ConsumerRow),
    /// By name.
    DeleteConsumer(String),
    /// By key.
    PutAnswer(AnswerRow),
    /// By key.
    DeleteAnswer(String),
    /// Relays to keep mailboxes at before others (a single row).
    PutChosenRelays(Vec<NodeAddress>),
    /// By mailbox.
    PutMailbox(MailboxRow),
    /// By mailbox.
    DeleteMailbox(MailboxId),
    /// By principal.
    PutStamps(StampsRow),
    /// By principal.
    DeleteStamps(PrincipalId),
    /// By id.
    PutParcel(ParcelRow),
    /// By id.
    DeleteParcel(RandomId),
    /// By principal and letter.
    PutTaken(TakenRow),
    /// By principal and letter.
    DeleteTaken(PrincipalId, RandomId),
    /// By mailbox.
    PutKept(KeptRow),
    /// By mailbox.
    DeleteKept(MailboxId),
    /// By mailbox and number.
    PutDeposit(DepositRow),
    /// By mailbox and number.
    DeleteDeposit(MailboxId, u64),
    /// By mailbox and number. Bodies are kept outside the snapshot.
    PutBody(BodyRow),
    /// By mailbox and number.
    DeleteBody(MailboxId, u64),
    /// By mailbox and address.
    PutLeft(LeftRow),
    /// By mailbox and address.
    DeleteLeft(MailboxId, BlindedKey),
    /// By mailbox and mark.
    PutSpent(SpentRow),
    /// By mailbox and mark.
    DeleteSpent(MailboxId, [u8; 16]),
    /// This device's Olm account (a single row).
    PutAccount(AccountRow),
    /// Replaces keys of our own that are replaced regularly.
    PutIdentity(Box<Identity>),
    /// By device and session.
    PutSession(SessionRow),
    /// By device and session.
    DeleteSession(SessionKey),
    /// By id.
    PutOutbox(OutboxRow),
    /// By id.
    DeleteOutbox(RandomId),
    /// By id.
    PutSealed(SealedRow),
    /// By id.
    DeleteSealed(RandomId),
    /// By principal.
    PutConversation(ConversationRow),
    /// By device and id.
    PutSeen(SeenRow),
    /// By device and id.
    DeleteSeen(Origin),
    /// By device and id.
    PutHeld(HeldRow),
    /// By device and id.
    DeleteHeld(Origin),
    /// By number. Messages are kept outside the snapshot.
    PutMessage(MessageRow),
    /// By number, beside the message.
    PutMessageState(MessageStateRow),
}

/// What was promised when a write's step speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// Outlives kill -9: for what was merely observed.
    Normal,
    /// Outlives a power cut: for what others or the user were promised.
    Full,
}

impl Write {
    /// What this write promises.
    #[must_use]
    pub const fn durability(&self) -> Durability {
        match self {
            Self::PutObserved(_) | Self::DeleteObserved(_) | Self::PutEvent(_) | Self::DropEvents { .. } => {
                Durability::Normal
            }
            Self::PutOwnPresence(_)
            | Self::PutCeiling(_)
            | Self::PutSheetUntil(_)
            | Self::PutView(_)
            | Self::DeleteView(_)
            | Self::PutInvite(_)
            | Self::DeleteInvite(_)
            | Self::PutContact(_)
            | Self::DeleteContact(_)
            | Self::PutFormer(_)
            | Self::DeleteFormer(_)
            | Self::PutClosing(_)
            | Self::DeleteClosing(_)
            | Self::PutLetter(_)
            | Self::DeleteLetter(_)
            | Self::PutConsumer(_)
            | Self::DeleteConsumer(_)
            | Self::PutAnswer(_)
            | Self::DeleteAnswer(_)
            | Self::PutChosenRelays(_)
            | Self::PutMailbox(_)
            | Self::DeleteMailbox(_)
            | Self::PutStamps(_)
            | Self::DeleteStamps(_)
            | Self::PutParcel(_)
            | Self::DeleteParcel(_)
            | Self::PutTaken(_)
            | Self::DeleteTaken(..)
            | Self::PutKept(_)
            | Self::DeleteKept(_)
            | Self::PutDeposit(_)
            | Self::DeleteDeposit(..)
            | Self::PutBody(_)
            | Self::DeleteBody(..)
            | Self::PutLeft(_)
            | Self::DeleteLeft(..)
            | Self::PutSpent(_)
            | Self::DeleteSpent(..)
            | Self::PutIdentity(_)
            | Self::PutAccount(_)
            | Self::PutSession(_)
            | Self::DeleteSession(_)
            | Self::PutOutbox(_)
            | Self::DeleteOutbox(_)
            | Self::PutSealed(_)
            | Self::DeleteSealed(_)
            | Self::PutConversation(_)
            | Self::PutSeen(_)
            | Self::DeleteSeen(_)
            | Self::PutHeld(_)
            | Self::DeleteHeld(_)
            | Self::PutMessage(_)
            | Self::PutMessageState(_) => Durability::Full,
        }
    }
}

/// Something to be done outside, once the step's writes are durable.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Answer a local client.
    Reply {
        /// Whose call.
        request: RequestId,
        /// The answer.
        result: Result<Reply, CommandError>,
    },
    /// There are events up to this number.
    Events {
        /// The newest.
        newest: u64,
    },
    /// Send a beacon to those who are there now.
    Gossip {
        /// The beacon.
        beacon: VerifiedBeacon,
    },
    /// Put a record into the DHT for those who come later.
    Put {
        /// Comes back in `PutDone`.
        put: PutId,
        /// The record.
        record: VerifiedRecord,
    },
    /// Ask the DHT for what is at these places, and these nodes for the beacons among it.
    Lookup {
        /// Comes back in `Found` and `LookupDone`.
        lookup: LookupId,
        /// Where to look.
        places: Vec<Place>,
        /// Nodes to ask besides.
        at: Vec<NodeAddress>,
    },
    /// Be in exactly these topics.
    Topics {
        /// All of them.
        topics: BTreeSet<TopicIndex>,
    },
    /// Wait for beacons at exactly these addresses: a flood of others' records must not stand in their way.
    Expect {
        /// All of them.
        addresses: BTreeSet<BlindedKey>,
    },
    /// Follow exactly these addresses at one's relay.
    Follow {
        /// All of them.
        addresses: Vec<BlindedKey>,
    },
    /// Follow exactly these addresses at this node: the presentity's own, or another's relay. Comes back in
    /// [`Input::Followed`](crate::Input::Followed).
    FollowAt {
        /// Which node.
        node: NodeId,
        /// Where it may be dialled if it is not connected.
        reach: Vec<Address>,
        /// All of them; none: stop following there.
        addresses: Vec<BlindedKey>,
        /// That we hold the views at these addresses: one for each, or none for a relay.
        proofs: Vec<FollowProof>,
    },
    /// Let those who prove that they hold these views follow them here, and nobody else.
    Serve {
        /// What proves it for each address.
        views: BTreeMap<BlindedKey, FollowKey>,
    },
    /// Find a proof of work.
    Work {
        /// For this place.
        place: Place,
        /// With so many leading zero bits.
        bits: u8,
    },
    /// Send a request to a node, dialling if need be.
    Request {
        /// Comes back with the answer.
        exchange: ExchangeId,
        /// To whom.
        to: NodeId,
        /// Where it may be dialled.
        addresses: Vec<Address>,
        /// What to send.
        request: Request,
    },
    /// Answer a request.
    Respond {
        /// Which.
        exchange: ExchangeId,
        /// The answer.
        response: Response,
    },
    /// Answer a request with these envelopes, as they are on disk.
    HandOut {
        /// Which.
        exchange: ExchangeId,
        /// Out of which mailbox.
        mailbox: MailboxId,
        /// By their numbers: few enough for one answer.
        numbers: Vec<u64>,
    },
    /// Find a proof of work for an envelope or a mailbox.
    DayWork {
        /// What it is over. Comes back in `DayWorked`.
        challenge: [u8; 32],
        /// With so many leading zero bits.
        bits: u8,
    },
    /// Keep connections to exactly these nodes of contacts, and relays that keep our mailboxes.
    Keep {
        /// All of them; several entries of one node are its addresses.
        contacts: Vec<NodeAddress>,
    },
    /// Everything has been said: end the process.
    Halt,
}

/// What inputs led to: writes, and effects that stay private until the writes are durable.
#[derive(Debug, Default)]
#[must_use = "a step's writes must be made durable and its effects performed"]
pub struct Step {
    writes: Vec<Write>,
    effects: Vec<Effect>,
    /// Something in it is waited for.
    urgent: bool,
}

impl Step {
    /// What has to be made durable, in order.
    #[must_use]
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// The strongest promise among the writes; none if there are none.
    #[must_use]
    pub fn durability(&self) -> Option<Durability> {
        self.writes.iter().map(Write::durability).max()
    }

    /// Whether there is nothing to make durable and nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.effects.is_empty()
    }

    /// Whether nobody waits for it: it may be committed with a later one, or by itself some milliseconds later, and without a sync.
    /// What would be lost by a power cut then is what others repeat.
    #[must_use]
    pub const fn can_wait(&self) -> bool {
        !self.urgent
    }

    /// Appends what a later input led to, so that both are committed at once.
    pub fn merge(&mut self, later: Self) {
        self.urgent |= later.urgent;
        self.writes.extend(later.writes);
        self.effects.extend(later.effects);
    }

    /// Gives the effects out, if `commit` made the writes durable.
    ///
    /// # Errors
    ///
    /// Whatever `commit` fails with. The effects are gone then: the node must stop, and go on from what is on disk.
    pub fn commit_with<E>(self, commit: impl FnOnce(&[Write]) -> Result<(), E>) -> Result<Vec<Effect>, E> {
        if !self.writes.is_empty() {
            commit(&self.writes)?;
        }
        Ok(self.effects)
    }

    /// Splits the step for a commit that is awaited: the writes, and the effects under a seal that
    /// [`Sealed::open_after`] breaks only for a successful result.
    pub fn into_parts(self) -> (Vec<Write>, Sealed) {
        (self.writes, Sealed { effects: self.effects })
    }

    pub(crate) fn write(&mut self, write: Write) {
        self.writes.push(write);
    }

    pub(crate) fn effect(&mut self, effect: Effect) {
        self.urgent = true;
        self.effects.push(effect);
    }

    /// The same for what nobody waits for.
    pub(crate) fn patient_effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Somebody waits for what was written.
    pub(crate) const fn hurry(&mut self) {
        self.urgent = true;
    }
}

/// Effects whose writes are on their way to the disk.
#[derive(Debug)]
#[must_use = "sealed effects are lost if they are not opened after the commit"]
pub struct Sealed {
    effects: Vec<Effect>,
}

impl Sealed {
    /// The effects, if the commit succeeded.
    ///
    /// # Errors
    ///
    /// The commit's own error; the effects are gone then.
    pub fn open_after<E>(self, committed: Result<(), E>) -> Result<Vec<Effect>, E> {
        committed.map(|()| self.effects)
    }
}
