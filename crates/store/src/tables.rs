//! Which row of which table a write concerns, and what is stored there.

use porchlight_proto::Write;
use porchlight_proto::messaging::rows::{Origin, SessionKey};
use porchlight_wire::cbor;
use porchlight_wire::mailbox::MailboxId;
use serde::Serialize;

/// Single rows by name.
pub(crate) const NODE: &str = "node";
pub(crate) const VIEWS: &str = "views";
pub(crate) const INVITES: &str = "invites";
pub(crate) const CONTACTS: &str = "contacts";
pub(crate) const FORMER: &str = "former";
pub(crate) const CLOSINGS: &str = "closings";
pub(crate) const LETTERS: &str = "letters";
pub(crate) const OBSERVED: &str = "observed";
pub(crate) const EVENTS: &str = "events";
pub(crate) const CONSUMERS: &str = "consumers";
pub(crate) const ANSWERS: &str = "answers";
pub(crate) const MAILBOXES: &str = "mailboxes";
pub(crate) const STAMPS: &str = "stamps";
pub(crate) const PARCELS: &str = "parcels";
pub(crate) const TAKEN: &str = "taken";
pub(crate) const KEPT: &str = "kept";
pub(crate) const DEPOSITS: &str = "deposits";
pub(crate) const BODIES: &str = "bodies";
pub(crate) const SPENT: &str = "spent";
pub(crate) const LEFT_HERE: &str = "left_here";

pub(crate) const SESSIONS: &str = "sessions";
pub(crate) const OUTBOX: &str = "outbox";
pub(crate) const SEALED: &str = "sealed";
pub(crate) const CONVERSATIONS: &str = "conversations";
pub(crate) const SEEN: &str = "seen";
pub(crate) const HELD: &str = "held";
pub(crate) const MESSAGES: &str = "messages";
pub(crate) const MESSAGE_STATES: &str = "message_states";

/// All tables whose values are sealed.
pub(crate) const ALL: [&str; 28] = [
    NODE,
    VIEWS,
    INVITES,
    CONTACTS,
    FORMER,
    CLOSINGS,
    LETTERS,
    OBSERVED,
    EVENTS,
    CONSUMERS,
    ANSWERS,
    MAILBOXES,
    STAMPS,
    PARCELS,
    TAKEN,
    KEPT,
    DEPOSITS,
    BODIES,
    SPENT,
    LEFT_HERE,
    SESSIONS,
    OUTBOX,
    SEALED,
    CONVERSATIONS,
    SEEN,
    HELD,
    MESSAGES,
    MESSAGE_STATES,
];

/// Names of the single rows.
pub(crate) const IDENTITY: &str = "identity";
pub(crate) const TRANSPORT: &str = "transport";
pub(crate) const OWN: &str = "own";
pub(crate) const CEILING: &str = "ceiling";
pub(crate) const SHEET_UNTIL: &str = "sheet_until";
pub(crate) const CHOSEN_RELAYS: &str = "chosen_relays";
pub(crate) const ACCOUNT: &str = "account";

/// The bytes of a row, made when they are needed: of several writes of one row only the last one is stored.
pub(crate) type Encoded<'a> = Box<dyn Fn() -> Vec<u8> + 'a>;

/// A write in terms of tables.
pub(crate) enum Change<'a> {
    /// A single row.
    PutSingle(&'static str, Encoded<'a>),
    /// A row by key.
    Put(&'static str, Vec<u8>, Encoded<'a>),
    /// A row by key, gone.
    Delete(&'static str, Vec<u8>),
    /// An event.
    PutEvent(u64, Encoded<'a>),
    /// A message, which can be found by its id and by its contact.
    PutMessage {
        number: u64,
        id: Vec<u8>,
        contact: Vec<u8>,
        value: Encoded<'a>,
    },
    /// How far the message with this number has come.
    PutMessageState(u64, Encoded<'a>),
    /// Events with lower numbers, gone; the newest stays.
    DropEvents(u64),
}

impl Change<'_> {
    /// The row that is as the last of several changes left it; none if each of them counts.
    pub(crate) fn row(&self) -> Option<(&'static str, Vec<u8>)> {
        match self {
            Self::PutSingle(name, _) => Some((NODE, name.as_bytes().to_vec())),
            Self::Put(table, key, _) | Self::Delete(table, key) => Some((table, key.clone())),
            Self::PutEvent(number, _) => Some((EVENTS, number.to_be_bytes().to_vec())),
            Self::PutMessage { number, .. } => Some((MESSAGES, number.to_be_bytes().to_vec())),
            Self::PutMessageState(number, _) => Some((MESSAGE_STATES, number.to_be_bytes().to_vec())),
            Self::DropEvents(_) => None,
        }
    }
}

fn session_key(key: &SessionKey) -> Vec<u8> {
    [key.device.as_bytes().as_slice(), &key.session].concat()
}

fn origin_key(origin: &Origin) -> Vec<u8> {
    [origin.device.as_bytes().as_slice(), origin.id.as_bytes()].concat()
}

fn put<'a, T: Serialize>(table: &'static str, key: &[u8], row: &'a T) -> Change<'a> {
    Change::Put(table, key.to_vec(), encoded(row))
}

fn encoded<'a, T: Serialize>(row: &'a T) -> Encoded<'a> {
    Box::new(move || cbor::encode_own(row))
}

/// A key of two parts; the first always has the same length.
fn pair(first: &[u8; 32], second: &[u8]) -> Vec<u8> {
    [first.as_slice(), second].concat()
}

/// The key of an envelope in a mailbox.
pub(crate) fn numbered(mailbox: &MailboxId, number: u64) -> Vec<u8> {
    pair(mailbox.as_bytes(), &number.to_be_bytes())
}

/// What a write changes.
pub(crate) fn change(write: &Write) -> Change<'_> {
    match write {
        Write::PutOwnPresence(row) => Change::PutSingle(OWN, encoded(row)),
        Write::PutCeiling(ceiling) => Change::PutSingle(CEILING, encoded(ceiling)),
        Write::PutSheetUntil(until) => Change::PutSingle(SHEET_UNTIL, encoded(until)),
        Write::PutView(row) => put(VIEWS, row.name.as_bytes(), row),
        Write::DeleteView(name) => Change::Delete(VIEWS, name.as_bytes().to_vec()),
        Write::PutInvite(row) => put(INVITES, row.id.as_bytes(), row),
        Write::DeleteInvite(id) => Change::Delete(INVITES, id.as_bytes().to_vec()),
        Write::PutContact(row) => put(CONTACTS, row.principal.as_bytes(), row),
        Write::DeleteContact(principal) => Change::Delete(CONTACTS, principal.as_bytes().to_vec()),
        Write::PutFormer(row) => put(FORMER, row.principal.as_bytes(), row),
        Write::DeleteFormer(principal) => Change::Delete(FORMER, principal.as_bytes().to_vec()),
        Write::PutClosing(row) => put(CLOSINGS, row.pk.as_bytes(), row),
        Write::DeleteClosing(pk) => Change::Delete(CLOSINGS, pk.as_bytes().to_vec()),
        Write::PutLetter(row) => put(LETTERS, row.id.as_bytes(), row),
        Write::DeleteLetter(id) => Change::Delete(LETTERS, id.as_bytes().to_vec()),
        Write::PutObserved(row) => put(OBSERVED, row.principal.as_bytes(), row),
        Write::DeleteObserved(principal) => Change::Delete(OBSERVED, principal.as_bytes().to_vec()),
        Write::PutEvent(row) => Change::PutEvent(row.number, encoded(row)),
        Write::DropEvents { below } => Change::DropEvents(*below),
        Write::PutConsumer(row) => put(CONSUMERS, row.name.as_bytes(), row),
        Write::DeleteConsumer(name) => Change::Delete(CONSUMERS, name.as_bytes().to_vec()),
        Write::PutAnswer(row) => put(ANSWERS, row.key.as_bytes(), row),
        Write::DeleteAnswer(key) => Change::Delete(ANSWERS, key.as_bytes().to_vec()),
        Write::PutChosenRelays(relays) => Change::PutSingle(CHOSEN_RELAYS, encoded(relays)),
        Write::PutMailbox(row) => put(MAILBOXES, row.mailbox.as_bytes(), row),
        Write::DeleteMailbox(mailbox) => Change::Delete(MAILBOXES, mailbox.as_bytes().to_vec()),
        Write::PutStamps(row) => put(STAMPS, row.contact.as_bytes(), row),
        Write::DeleteStamps(contact) => Change::Delete(STAMPS, contact.as_bytes().to_vec()),
        Write::PutParcel(row) => put(PARCELS, row.id.as_bytes(), row),
        Write::DeleteParcel(id) => Change::Delete(PARCELS, id.as_bytes().to_vec()),
        Write::PutTaken(row) => put(TAKEN, &pair(row.from.as_bytes(), row.letter.as_bytes()), row),
        Write::DeleteTaken(from, letter) => Change::Delete(TAKEN, pair(from.as_bytes(), letter.as_bytes())),
        Write::PutKept(row) => put(KEPT, row.mailbox.as_bytes(), row),
        Write::DeleteKept(mailbox) => Change::Delete(KEPT, mailbox.as_bytes().to_vec()),
        Write::PutDeposit(row) => put(DEPOSITS, &numbered(&row.mailbox, row.number), row),
        Write::DeleteDeposit(mailbox, number) => Change::Delete(DEPOSITS, numbered(mailbox, *number)),
        Write::PutBody(row) => put(BODIES, &numbered(&row.mailbox, row.number), row),
        Write::DeleteBody(mailbox, number) => Change::Delete(BODIES, numbered(mailbox, *number)),
        Write::PutLeft(row) => put(LEFT_HERE, &pair(row.mailbox.as_bytes(), row.pk.as_bytes()), row),
        Write::DeleteLeft(mailbox, pk) => Change::Delete(LEFT_HERE, pair(mailbox.as_bytes(), pk.as_bytes())),
        Write::PutSpent(row) => put(SPENT, &pair(row.mailbox.as_bytes(), &row.mark), row),
        Write::DeleteSpent(mailbox, mark) => Change::Delete(SPENT, pair(mailbox.as_bytes(), mark)),
        Write::PutIdentity(row) => Change::PutSingle(IDENTITY, encoded(row)),
        Write::PutAccount(row) => Change::PutSingle(ACCOUNT, encoded(row)),
        Write::PutSession(row) => put(SESSIONS, &session_key(&row.key), row),
        Write::DeleteSession(key) => Change::Delete(SESSIONS, session_key(key)),
        Write::PutOutbox(row) => put(OUTBOX, row.message.id.as_bytes(), row),
        Write::DeleteOutbox(id) => Change::Delete(OUTBOX, id.as_bytes().to_vec()),
        Write::PutSealed(row) => put(SEALED, row.id.as_bytes(), row),
        Write::DeleteSealed(id) => Change::Delete(SEALED, id.as_bytes().to_vec()),
        Write::PutConversation(row) => put(CONVERSATIONS, row.principal.as_bytes(), row),
        Write::PutSeen(row) => put(SEEN, &origin_key(&row.origin), row),
        Write::DeleteSeen(origin) => Change::Delete(SEEN, origin_key(origin)),
        Write::PutHeld(row) => put(HELD, &origin_key(&row.origin), row),
        Write::DeleteHeld(origin) => Change::Delete(HELD, origin_key(origin)),
        Write::PutMessage(row) => Change::PutMessage {
            number: row.number,
            id: row.message.id.as_bytes().to_vec(),
            contact: row.contact.as_bytes().to_vec(),
            value: encoded(row),
        },
        Write::PutMessageState(row) => Change::PutMessageState(row.number, encoded(row)),
    }
}
