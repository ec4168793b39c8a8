use super::*;
use porchlight_wire::ids::DeviceId;

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

struct End {
    account: AccountRow,
    sessions: Vec<SessionRow>,
    device: DeviceId,
    principal: PrincipalId,
}

fn end(seed: u8) -> End {
    let root = porchlight_wire::keys::RootKey::from_seed(&[seed; 32]);
    End {
        account: new_account(NOW).unwrap(),
        sessions: Vec::new(),
        device: DeviceId::from_bytes([seed; 16]),
        principal: root.principal(),
    }
}

impl End {
    fn keys(&self) -> OlmKeys {
        OlmKeys {
            identity: self.account.identity,
            fallback: self.account.fallback,
        }
    }

    fn keep(&mut self, row: SessionRow) {
        self.sessions.retain(|known| known.key != row.key);
        self.sessions.insert(0, row);
    }

    fn write(&mut self, to: &Self, text: &str) -> Vec<u8> {
        if self.sessions.is_empty() {
            let begun = begin(&self.account, to.principal, to.device, &to.keys(), NOW).unwrap();
            self.keep(begun);
        }
        let (row, message) = write(&self.sessions[0], text.as_bytes()).unwrap();
        self.keep(row);
        message
    }

    fn read(&mut self, from: &Self, message: &[u8]) -> Result<String, SessionError> {
        let opened = open(
            &self.account,
            self.sessions.iter(),
            (from.principal, from.device),
            Some(from.account.identity),
            message,
            NOW,
        )?;
        self.keep(opened.session);
        if let Some(account) = opened.account {
            self.account = account;
        }
        Ok(String::from_utf8(opened.plaintext).unwrap())
    }
}

#[test]
fn a_session_begins_by_the_card_and_goes_both_ways() {
    let (mut alice, mut bob) = (end(1), end(2));
    let (first, second) = (alice.write(&bob, "one"), alice.write(&bob, "two"));
    assert!(is_pre_key(&first) && is_pre_key(&second), "until she has heard of him");
    assert_eq!(bob.read(&alice, &second).unwrap(), "two", "the later one comes first");
    assert_eq!(bob.read(&alice, &first).unwrap(), "one");
    let answer = bob.write(&alice, "three");
    assert!(!is_pre_key(&answer));
    assert_eq!(alice.read(&bob, &answer).unwrap(), "three");
    assert_eq!((alice.sessions.len(), bob.sessions.len()), (1, 1));
    assert_eq!(alice.sessions[0].key.session, bob.sessions[0].key.session);
}

#[test]
fn what_was_opened_does_not_open_again() {
    let (mut alice, mut bob) = (end(1), end(2));
    let first = alice.write(&bob, "one");
    bob.read(&alice, &first).unwrap();
    // With the session there, a pre-key message on a fallback key cannot begin another one.
    assert!(matches!(bob.read(&alice, &first), Err(SessionError::NoSession)));
    let answer = bob.write(&alice, "two");
    alice.read(&bob, &answer).unwrap();
    assert!(matches!(alice.read(&bob, &answer), Err(SessionError::NoSession)));
}

#[test]
fn somebody_elses_identity_key_begins_nothing() {
    let (mut alice, bob, mallory) = (end(1), end(2), end(3));
    let first = alice.write(&bob, "one");
    let as_mallory = open(
        &bob.account,
        std::iter::empty(),
        (mallory.principal, mallory.device),
        Some(mallory.account.identity),
        &first,
        NOW,
    );
    assert!(matches!(as_mallory, Err(SessionError::Begin(_))));
    let unsaid = open(
        &bob.account,
        std::iter::empty(),
        (alice.principal, alice.device),
        None,
        &first,
        NOW,
    );
    assert!(matches!(unsaid, Err(SessionError::Shape)));
}

#[test]
fn keys_of_small_order_begin_nothing() {
    let (alice, bob) = (end(1), end(2));
    for keys in [
        OlmKeys {
            identity: [0; 32],
            ..bob.keys()
        },
        OlmKeys {
            fallback: [0; 32],
            ..bob.keys()
        },
    ] {
        assert!(begin(&alice.account, bob.principal, bob.device, &keys, NOW).is_err());
    }
}

#[test]
fn a_message_with_truncated_macs_is_refused() {
    let (mut alice, mut bob) = (end(1), end(2));
    // The same keys with the older configuration: a downgrade.
    let mut older = account(&alice.account)
        .unwrap()
        .create_outbound_session(
            SessionConfig::version_1(),
            Curve25519PublicKey::from_bytes(bob.account.identity),
            Curve25519PublicKey::from_bytes(bob.account.fallback),
        )
        .unwrap();
    let OlmMessage::PreKey(message) = older.encrypt("x").unwrap() else {
        panic!("a first message is a pre-key message");
    };
    let bytes = [&[PRE_KEY], message.to_bytes().as_slice()].concat();
    assert!(matches!(bob.read(&alice, &bytes), Err(SessionError::Begin(_))));
    // And within a session that began well.
    let first = alice.write(&bob, "one");
    bob.read(&alice, &first).unwrap();
    assert!(bob.read(&alice, &bytes).is_err());
}

#[test]
fn one_fallback_key_back_still_opens_and_two_back_do_not() {
    let (mut alice, mut bob) = (end(1), end(2));
    let first = alice.write(&bob, "one");
    bob.account = rotate_fallback(&bob.account, NOW).unwrap();
    let mut later = End {
        account: rotate_fallback(&bob.account, NOW).unwrap(),
        sessions: Vec::new(),
        ..end(2)
    };
    assert_eq!(bob.read(&alice, &first).unwrap(), "one");
    assert!(later.read(&alice, &first).is_err());
}

#[test]
fn garbage_does_not_open() {
    let (alice, mut bob) = (end(1), end(2));
    for bytes in [&[][..], &[0], &[1], &[2, 3], &[0; 200], &[1; 200]] {
        assert!(bob.read(&alice, bytes).is_err());
    }
}

/// Whoever steals a session reads on, and is out once both sides have written: the ratchet heals.
#[test]
fn rfc2779_5_4_6_a_stolen_session_opens_nothing_from_before_and_nothing_after_both_have_written() {
    let (mut alice, mut bob) = (end(1), end(2));
    let first = alice.write(&bob, "one");
    bob.read(&alice, &first).unwrap();
    let answer = bob.write(&alice, "two");
    alice.read(&bob, &answer).unwrap();
    let before = alice.write(&bob, "before");
    bob.read(&alice, &before).unwrap();
    // Everything bob has is copied.
    let mut thief = End {
        account: bob.account.clone(),
        sessions: bob.sessions.clone(),
        ..end(2)
    };
    for old in [&first, &before] {
        assert!(thief.read(&alice, old).is_err(), "forward secrecy");
    }
    let read_along = alice.write(&bob, "still read along");
    assert_eq!(thief.read(&alice, &read_along).unwrap(), "still read along");
    bob.read(&alice, &read_along).unwrap();
    // A round trip with keys that the thief does not have.
    let answer = bob.write(&alice, "from bob");
    alice.read(&bob, &answer).unwrap();
    let after = alice.write(&bob, "after");
    assert!(thief.read(&alice, &after).is_err(), "post-compromise security");
    assert_eq!(bob.read(&alice, &after).unwrap(), "after");
}
