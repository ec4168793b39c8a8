use super::*;
use crate::content::{Content, ContentError, OlmPacket};
use crate::device_list::DeviceEntry;
use crate::keys::RootKey;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);
const LATER: UnixMillis = UnixMillis(1_790_100_000_000);

fn person(seed: u8) -> (DeviceKeys, DeviceList) {
    let mut rng = ChaCha20Rng::from_seed([seed; 32]);
    let root = RootKey::random(&mut rng);
    let keys = DeviceKeys::random(&mut rng);
    let list = DeviceList {
        principal: root.principal(),
        sequence: 1,
        previous: [0; 32],
        issued: NOW,
        devices: vec![DeviceEntry {
            device: keys.id(),
            signing: keys.signing_public(),
            exchange: keys.exchange_public(),
            not_after: LATER,
        }],
        next: [9; 32],
    };
    (keys, list)
}

fn message(from: &DeviceList, to: &DeviceList) -> Message {
    Message {
        id: RandomId::from_bytes([7; 16]),
        from: from.principal,
        to: to.principal,
        reply_to: vec!["im:alice@example.org".to_owned(), "tel:+4312345".to_owned()],
        created: NOW,
        expires: LATER,
        subject: Some("Grüße".to_owned()),
        thread: Some(RandomId::from_bytes([1; 16])),
        in_reply_to: Some(RandomId::from_bytes([2; 16])),
        bodies: vec![
            Body {
                media_type: "text/html".to_owned(),
                lang: Some("de-AT".to_owned()),
                content: "<b>ja</b>".into(),
            },
            Body::text("ja"),
        ],
        headers: BTreeMap::from([("X-Mood".to_owned(), "calm".to_owned())]),
        previous: Some(RandomId::from_bytes([3; 16])),
        signature: None,
    }
}

fn plaintext(keys: &DeviceKeys, to: &DeviceKeys, message: Message) -> Plaintext {
    Plaintext {
        from: message.from,
        from_device: keys.id(),
        to: message.to,
        to_device: to.id(),
        gone: vec![gone()],
        body: PlaintextBody::Message(Box::new(message)),
    }
}

const fn gone() -> Gone {
    Gone {
        id: RandomId::from_bytes([4; 16]),
        previous: Some(RandomId::from_bytes([5; 16])),
    }
}

#[test]
fn rfc2779_4_1_2_to_4_1_8_a_message_says_all_that_it_has_to_and_survives_the_way() {
    let ((keys, alice), (other, bob)) = (person(1), person(2));
    let mut message = message(&alice, &bob);
    message.sign(&keys);
    message.check(NOW).unwrap();
    let sent = plaintext(&keys, &other, message.clone());
    let came = Plaintext::from_bytes(&sent.to_bytes()).unwrap();
    assert_eq!(came, sent);
    assert_eq!(message.text(), Some("<b>ja</b>"), "the first body that is text");
}

#[test]
fn rfc2779_5_4_9_a_signature_stands_for_what_was_said_and_for_nothing_else() {
    let ((keys, alice), (other, bob)) = (person(1), person(2));
    let mut signed = message(&alice, &bob);
    assert_eq!(signed.verify_signature(&alice, NOW).unwrap(), None);
    signed.sign(&keys);
    assert_eq!(signed.verify_signature(&alice, NOW).unwrap(), Some(keys.id()));
    // How it travels is not part of what was said.
    signed.previous = None;
    assert!(signed.verify_signature(&alice, NOW).is_ok());
    let changes: [fn(&mut Message); 7] = [
        |message| message.bodies[1] = Body::text("nein"),
        |message| message.id = RandomId::from_bytes([8; 16]),
        |message| message.subject = None,
        |message| message.created = LATER,
        |message| message.headers.clear(),
        |message| message.reply_to.clear(),
        |message| message.in_reply_to = None,
    ];
    for change in changes {
        let mut altered = signed.clone();
        change(&mut altered);
        assert!(altered.verify_signature(&alice, NOW).is_err());
    }
    let mut to_another = signed.clone();
    to_another.to = alice.principal;
    assert!(to_another.verify_signature(&alice, NOW).is_err());
    assert!(signed.verify_signature(&bob, NOW).is_err(), "by another principal");
    assert!(
        signed.verify_signature(&alice, LATER).is_err(),
        "the device's time is over"
    );
    let mut by_another = message(&alice, &bob);
    by_another.sign(&other);
    assert!(by_another.verify_signature(&alice, NOW).is_err());
}

/// What is wrong, and what makes it so.
type Change = (&'static str, fn(&mut Message));

#[test]
fn what_is_out_of_bounds_is_refused() {
    let ((_, alice), (_, bob)) = (person(1), person(2));
    let changes: [Change; 14] = [
        ("no body", |message| message.bodies.clear()),
        ("too many bodies", |message| {
            message.bodies = vec![Body::text("x"); BODIES + 1]
        }),
        ("too large", |message| {
            message.bodies[1].content = vec![b'x'; MESSAGE_BYTES]
        }),
        ("no media type", |message| {
            message.bodies[1].media_type = "text".to_owned()
        }),
        ("no language", |message| {
            message.bodies[0].lang = Some("de_AT".to_owned())
        }),
        ("no address", |message| message.reply_to = vec!["alice".to_owned()]),
        ("too many addresses", |message| {
            message.reply_to = vec!["im:a".to_owned(); REPLY_ADDRESSES + 1];
        }),
        ("a long subject", |message| {
            message.subject = Some("x".repeat(SUBJECT_BYTES + 1))
        }),
        ("a long header", |message| {
            message.headers.insert("a".to_owned(), "x".repeat(HEADER_BYTES + 1));
        }),
        ("no header's name", |message| {
            message.headers.insert("a b".to_owned(), String::new());
        }),
        ("too many headers", |message| {
            message.headers = (0..=HEADERS)
                .map(|number| (format!("h{number}"), String::new()))
                .collect();
        }),
        ("from the future", |message| message.created = NOW.plus(SKEW + 1)),
        ("for too long", |message| message.expires = NOW.plus(MESSAGE_LIFE + 1)),
        ("expired when written", |message| {
            message.expires = UnixMillis(NOW.0 - 1)
        }),
    ];
    assert!(message(&alice, &bob).check(NOW).is_ok());
    for (what, change) in changes {
        let mut bad = message(&alice, &bob);
        change(&mut bad);
        assert!(bad.check(NOW).is_err(), "{what}");
    }
}

#[test]
fn the_largest_message_fits_the_largest_envelope() {
    let ((keys, alice), (other, bob)) = (person(1), person(2));
    let mut largest = message(&alice, &bob);
    let room = MESSAGE_BYTES - cbor::encode(&largest).len();
    // A longer text has two more bytes of length before it.
    largest.bodies[1].content = vec![b'x'; room];
    largest.check(NOW).unwrap();
    let mut sent = plaintext(&keys, &other, largest);
    sent.gone = vec![gone(); GONE];
    let plaintext = sent.to_bytes();
    assert!(Plaintext::from_bytes(&plaintext).is_ok());
    // Olm adds less than 256 bytes, and eight devices' list and an identity beside it less than 3 KiB.
    assert!(plaintext.len() + 256 + 3_072 < 64_394);
}

#[test]
fn lists_in_a_plaintext_are_bounded() {
    let ((keys, alice), (other, bob)) = (person(1), person(2));
    let mut sent = plaintext(&keys, &other, message(&alice, &bob));
    sent.gone = vec![gone(); GONE + 1];
    assert!(Plaintext::from_bytes(&sent.to_bytes()).is_err());
    sent.gone.clear();
    sent.body = PlaintextBody::Receipts(Receipts {
        delivered: Vec::new(),
        read: vec![RandomId::from_bytes([4; 16]); crate::limits::RECEIPTS + 1],
    });
    assert!(Plaintext::from_bytes(&sent.to_bytes()).is_err());
}

#[test]
fn an_envelope_has_one_to_thirty_two_olm_messages_in_it() {
    let (keys, _) = person(1);
    let packets = |count: usize| {
        let packet = |number: usize| OlmPacket {
            device: keys.id(),
            identity: None,
            message: number.to_be_bytes().to_vec(),
        };
        Content::Batch((0..count).map(packet).collect())
    };
    for count in [1, 32] {
        assert_eq!(Content::from_bytes(&packets(count).to_bytes()), Ok(packets(count)));
    }
    for got in [0, 33] {
        assert_eq!(
            Content::from_bytes(&packets(got).to_bytes()),
            Err(ContentError::Count { got })
        );
    }
}

#[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
struct Vector {
    /// The seed of the signing device's keys: 64 bytes.
    device: String,
    plaintext: String,
    cose_sign1: String,
}

#[test]
fn vectors_are_as_committed() {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let ((keys, alice), (other, bob)) = (person(1), person(2));
    let mut signed = message(&alice, &bob);
    signed.sign(&keys);
    let receipts = Plaintext {
        gone: Vec::new(),
        body: PlaintextBody::Receipts(Receipts {
            delivered: vec![signed.id],
            read: Vec::new(),
        }),
        ..plaintext(&other, &keys, message(&bob, &alice))
    };
    let made = vec![
        Vector {
            device: hex(keys.to_bytes().as_slice()),
            cose_sign1: hex(&signed.signature.as_ref().unwrap().to_bytes()),
            plaintext: hex(&plaintext(&keys, &other, signed).to_bytes()),
        },
        Vector {
            device: hex(other.to_bytes().as_slice()),
            cose_sign1: String::new(),
            plaintext: hex(&receipts.to_bytes()),
        },
    ];
    crate::vectors::check("message", &made);
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Plaintext::from_bytes(&bytes);
        let _ = Content::from_bytes(&bytes);
    }

    #[test]
    fn an_altered_plaintext_is_another_or_none(at in 0..1_000_usize, bit in 0..8_u8) {
        let ((keys, alice), (other, bob)) = (person(1), person(2));
        let sent = plaintext(&keys, &other, message(&alice, &bob));
        let mut bytes = sent.to_bytes();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok(came) = Plaintext::from_bytes(&bytes) {
            prop_assert_ne!(came, sent);
        }
    }
}
