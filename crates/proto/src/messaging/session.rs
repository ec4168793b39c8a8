//! Olm sessions (vodozemac): beginning them, writing and reading with them. Nothing here decides who may write; it is given
//! rows and gives rows back, so that what was used up is on disk before anything speaks of it.
//!
//! vodozemac draws its own randomness, for new keys only. That is the one exception to the rule that the core has none of its own.

use super::rows::{self, AccountRow, SessionKey, SessionRow};
use porchlight_wire::card::OlmKeys;
use porchlight_wire::cbor;
use porchlight_wire::ids::{DeviceId, PrincipalId};
use porchlight_wire::time::UnixMillis;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;
use std::sync::Arc;
use vodozemac::Curve25519PublicKey;
use vodozemac::olm::{Account, AccountPickle, OlmMessage, PreKeyMessage, Session, SessionConfig, SessionPickle};

/// Bytes of a pickled account or session: five receiving chains with forty skipped keys each are a tenth of it, an account
/// with all its one-time keys half.
const PICKLE_BYTES: usize = 1 << 20;

/// What stands before the bytes of a pre-key message.
const PRE_KEY: u8 = 0;

/// What stands before the bytes of any other.
const NORMAL: u8 = 1;

/// An Olm message that does not open, a session that cannot begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// What is on our own disk cannot be read.
    #[error("an Olm account or session on disk cannot be read: {0}")]
    Pickle(String),
    /// It begins with neither kind.
    #[error("expected an Olm message")]
    Shape,
    /// No session opens it.
    #[error("no session with this device opens the message")]
    NoSession,
    /// The keys do not fit, or are insecure.
    #[error("no session can begin: {0}")]
    Begin(String),
    /// The session's keys are insecure.
    #[error("the session cannot be written with: {0}")]
    Write(String),
}

/// What came out of an Olm message.
pub(crate) struct OpenedOlm {
    /// The plaintext.
    pub(crate) plaintext: Vec<u8>,
    /// The session as it is now.
    pub(crate) session: SessionRow,
    /// The account as it is now, if a one-time key was used up.
    pub(crate) account: Option<AccountRow>,
}

/// A new account with a first fallback key.
pub(crate) fn new_account(now: UnixMillis) -> Result<AccountRow, SessionError> {
    rotate(Account::new(), now)
}

/// The account with another fallback key. The one before is kept, and opens what was written with it; older ones are forgotten.
pub(crate) fn rotate_fallback(row: &AccountRow, now: UnixMillis) -> Result<AccountRow, SessionError> {
    rotate(account(row)?, now)
}

fn rotate(mut account: Account, now: UnixMillis) -> Result<AccountRow, SessionError> {
    account.generate_fallback_key();
    let fallback = account
        .fallback_key()
        .into_values()
        .next()
        .ok_or_else(|| SessionError::Pickle("no fallback key was made".to_owned()))?;
    account.mark_keys_as_published();
    Ok(AccountRow {
        pickle: pickled(&account.pickle()),
        identity: account.curve25519_key().to_bytes(),
        fallback: fallback.to_bytes(),
        fallback_since: now,
    })
}

/// The account with another one-time key, and the key.
pub(crate) fn one_time_key(row: &AccountRow) -> Result<(AccountRow, [u8; 32]), SessionError> {
    let mut account = account(row)?;
    account.generate_one_time_keys(1);
    let key = account
        .one_time_keys()
        .into_values()
        .next()
        .ok_or_else(|| SessionError::Pickle("no one-time key was made".to_owned()))?;
    account.mark_keys_as_published();
    let row = AccountRow {
        pickle: pickled(&account.pickle()),
        ..row.clone()
    };
    Ok((row, key.to_bytes()))
}

/// Whether the bytes are a pre-key message: then they have to say who sent them.
pub(crate) fn is_pre_key(message: &[u8]) -> bool {
    message.first() == Some(&PRE_KEY)
}

/// Begins a session with a device by the keys in its card, or by a one-time key of its own in place of the fallback key.
pub(crate) fn begin(
    own: &AccountRow,
    principal: PrincipalId,
    device: DeviceId,
    keys: &OlmKeys,
    now: UnixMillis,
) -> Result<SessionRow, SessionError> {
    let session = account(own)?
        .create_outbound_session(
            SessionConfig::version_2(),
            Curve25519PublicKey::from_bytes(keys.identity),
            Curve25519PublicKey::from_bytes(keys.fallback),
        )
        .map_err(|error| SessionError::Begin(error.to_string()))?;
    Ok(SessionRow {
        key: key_of(device, &session),
        principal,
        pickle: kept(session),
        began: now,
        heard: None,
        broken: false,
    })
}

/// Writes with a session: the session as it is then, and the Olm message.
pub(crate) fn write(row: &SessionRow, plaintext: &[u8]) -> Result<(SessionRow, Vec<u8>), SessionError> {
    let mut session = session(row)?;
    let message = session
        .encrypt(plaintext)
        .map_err(|error| SessionError::Write(error.to_string()))?;
    let (kind, bytes) = match &message {
        OlmMessage::PreKey(message) => (PRE_KEY, message.to_bytes()),
        OlmMessage::Normal(message) => (NORMAL, message.to_bytes()),
    };
    let row = SessionRow {
        pickle: kept(session),
        ..row.clone()
    };
    Ok((row, [&[kind], bytes.as_slice()].concat()))
}

/// Opens an Olm message with one of the sessions with its device, or begins a session with it.
/// `identity` is the device's Olm identity key, verified, where the message says it.
pub(crate) fn open<'a>(
    own: &AccountRow,
    sessions: impl Iterator<Item = &'a SessionRow>,
    from: (PrincipalId, DeviceId),
    identity: Option<[u8; 32]>,
    message: &[u8],
    now: UnixMillis,
) -> Result<OpenedOlm, SessionError> {
    let (principal, device) = from;
    let (kind, bytes) = message.split_first().ok_or(SessionError::Shape)?;
    match *kind {
        PRE_KEY => {
            let message = PreKeyMessage::from_bytes(bytes).map_err(|_| SessionError::Shape)?;
            let identity = Curve25519PublicKey::from_bytes(identity.ok_or(SessionError::Shape)?);
            if identity != message.identity_key() {
                return Err(SessionError::Begin("it is by another identity key".to_owned()));
            }
            let id = message.session_id();
            let known = sessions
                .filter(|row| row.principal == principal)
                .find(|row| session(row).is_ok_and(|session| session.session_id() == id));
            if let Some(row) = known {
                return read(row, &OlmMessage::PreKey(message), now);
            }
            let mut account = account(own)?;
            let begun = account
                .create_inbound_session(SessionConfig::version_2(), identity, &message)
                .map_err(|error| SessionError::Begin(error.to_string()))?;
            Ok(OpenedOlm {
                plaintext: begun.plaintext,
                session: SessionRow {
                    key: key_of(device, &begun.session),
                    principal,
                    pickle: kept(begun.session),
                    began: now,
                    heard: Some(now),
                    broken: false,
                },
                account: Some(AccountRow {
                    pickle: pickled(&account.pickle()),
                    ..own.clone()
                }),
            })
        }
        NORMAL => {
            let message = vodozemac::olm::Message::from_bytes(bytes).map_err(|_| SessionError::Shape)?;
            let message = OlmMessage::Normal(message);
            sessions
                .filter(|row| row.principal == principal)
                .find_map(|row| read(row, &message, now).ok())
                .ok_or(SessionError::NoSession)
        }
        _ => Err(SessionError::Shape),
    }
}

fn read(row: &SessionRow, message: &OlmMessage, now: UnixMillis) -> Result<OpenedOlm, SessionError> {
    let mut session = session(row)?;
    let plaintext = session.decrypt(message).map_err(|_| SessionError::NoSession)?;
    Ok(OpenedOlm {
        plaintext,
        session: SessionRow {
            pickle: kept(session),
            heard: Some(now),
            ..row.clone()
        },
        account: None,
    })
}

/// The name of a session: SHA-256 of the id that both ends work out from the keys it began with.
fn key_of(device: DeviceId, session: &Session) -> SessionKey {
    SessionKey {
        device,
        session: porchlight_wire::hash::sha256(session.session_id().as_bytes()),
    }
}

fn account(row: &AccountRow) -> Result<Account, SessionError> {
    unpickled::<AccountPickle>(&row.pickle).map(Account::from_pickle)
}

/// A session to be used, apart from the one in the row: a try that fails leaves that as it is.
fn session(row: &SessionRow) -> Result<Session, SessionError> {
    match &row.pickle {
        rows::SessionPickle::Session(session) => Ok(Session::from_pickle(session.pickle())),
        rows::SessionPickle::Bytes(bytes) => unpickled::<SessionPickle>(bytes).map(Session::from_pickle),
    }
}

fn kept(session: Session) -> rows::SessionPickle {
    rows::SessionPickle::Session(Arc::new(session))
}

/// Pickles stand in rows, and rows are sealed by the store; vodozemac's own encryption of pickles uses one nonce for all.
fn pickled<T: Serialize>(pickle: &T) -> ByteBuf {
    ByteBuf::from(cbor::encode_own(pickle))
}

fn unpickled<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, SessionError> {
    cbor::decode_own(bytes, PICKLE_BYTES).map_err(|error| SessionError::Pickle(error.to_string()))
}

#[cfg(test)]
#[path = "session/tests.rs"]
mod tests;
