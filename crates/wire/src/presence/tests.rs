use super::*;
use proptest::prelude::*;

fn entity() -> PrincipalId {
    PrincipalId::from_bytes(
        ed25519_dalek::SigningKey::from_bytes(&[1; 32])
            .verifying_key()
            .to_bytes(),
    )
    .unwrap()
}

fn state() -> PresenceState {
    PresenceState {
        issued: UnixMillis(1_790_000_000_000),
        lease: 90_000,
        ended: false,
        document: PresenceDocument {
            entity: entity(),
            tuples: vec![PresenceTuple {
                id: "im".to_owned(),
                basic: Basic::Open,
                contact: Some(ContactAddress {
                    uri: "im:alice@example.org".to_owned(),
                    priority: Some(800),
                }),
                notes: vec![Note {
                    lang: Some("de-AT".to_owned()),
                    text: "im Büro".to_owned(),
                }],
                extra: BTreeMap::new(),
            }],
            notes: vec![Note {
                lang: None,
                text: "back at four".to_owned(),
            }],
            activities: vec!["away".to_owned()],
            extra: BTreeMap::new(),
        },
    }
}

#[test]
fn rfc2779_3_1_2_the_document_identifies_its_presentity() {
    let bytes = state().to_bytes().unwrap();
    assert_eq!(PresenceState::from_bytes(&bytes).unwrap().document.entity, entity());
    // A document without one cannot be read.
    let mut value: Value = cbor::decode(&bytes, 4_096).unwrap();
    let document = value
        .as_map_mut()
        .unwrap()
        .iter_mut()
        .find(|(key, _)| key.as_text() == Some("document"))
        .unwrap();
    document
        .1
        .as_map_mut()
        .unwrap()
        .retain(|(key, _)| key.as_text() != Some("entity"));
    assert!(PresenceState::from_bytes(&cbor::encode(&value)).is_err());
}

#[test]
fn rfc2779_3_1_4_unknown_fields_are_kept() {
    let mut newer = state();
    newer
        .document
        .extra
        .insert("org.example.mood".to_owned(), Value::from("calm"));
    newer.document.tuples[0]
        .extra
        .insert("org.example.camera".to_owned(), Value::Bytes(vec![1, 2, 3]));
    let bytes = newer.to_bytes().unwrap();
    let read = PresenceState::from_bytes(&bytes).unwrap();
    assert_eq!(read, newer);
    assert_eq!(read.to_bytes().unwrap(), bytes);
    // The common fields are what they were.
    assert_eq!(read.document.basic(), Basic::Open);
    assert_eq!(read.document.notes, state().document.notes);
}

#[test]
fn rfc2779_4_4_1_the_minimum_for_messaging_is_a_tuple_with_status_and_address() {
    let read = PresenceState::from_bytes(&state().to_bytes().unwrap()).unwrap();
    let tuple = &read.document.tuples[0];
    assert_eq!(tuple.basic, Basic::Open);
    assert_eq!(tuple.contact.as_ref().unwrap().uri, "im:alice@example.org");
    assert_eq!(tuple.contact.as_ref().unwrap().priority, Some(800));
}

#[test]
fn rfc2779_4_4_2_open_and_closed_are_expressed_per_tuple() {
    let mut two = state();
    let mut phone = two.document.tuples[0].clone();
    phone.id = "phone".to_owned();
    phone.basic = Basic::Closed;
    two.document.tuples.push(phone);
    let read = PresenceState::from_bytes(&two.to_bytes().unwrap()).unwrap();
    let statuses: Vec<Basic> = read.document.tuples.iter().map(|tuple| tuple.basic).collect();
    assert_eq!(statuses, [Basic::Open, Basic::Closed]);
    assert_eq!(read.document.basic(), Basic::Open);
    two.document.tuples[0].basic = Basic::Closed;
    assert_eq!(two.document.basic(), Basic::Closed);
    assert!(
        String::from_utf8_lossy(&two.to_bytes().unwrap()).contains("closed"),
        "the word on the wire is RFC 3863's"
    );
}

#[test]
fn what_is_out_of_bounds_is_named() {
    let check = |change: fn(&mut PresenceState)| {
        let mut changed = state();
        change(&mut changed);
        changed.to_bytes().unwrap_err().to_string()
    };
    assert!(check(|state| state.document.tuples.clear()).contains("tuples"));
    assert!(check(|state| state.document.notes[0].text = "x".repeat(513)).contains("note"));
    assert!(check(|state| state.document.activities[0] = "a way".to_owned()).contains("activity"));
    assert!(check(|state| state.document.notes[0].lang = Some("english!".to_owned())).contains("language"));
    assert!(check(|state| state.lease = 0).contains("lease"));
    assert!(
        check(|state| state.document.tuples[0].contact.as_mut().unwrap().priority = Some(1_001)).contains("priority")
    );
    assert!(
        check(|state| state.document.tuples[0].contact.as_mut().unwrap().uri = "nowhere".to_owned()).contains("URI")
    );
}

#[test]
fn vectors_are_as_committed() {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let mut extended = state();
    extended
        .document
        .extra
        .insert("org.example.mood".to_owned(), Value::from("calm"));
    let made = vec![hex(&state().to_bytes().unwrap()), hex(&extended.to_bytes().unwrap())];
    crate::vectors::check("presence", &made);
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(PresenceState::from_bytes(&bytes).is_err());
    }

    #[test]
    fn round_trip(
        texts in proptest::collection::vec("\\PC{1,40}", 0..8),
        activities in proptest::collection::vec("[a-z-]{1,20}", 0..8),
        open in any::<bool>(),
        lease in 1_u64..86_400_000,
    ) {
        let mut made = state();
        made.lease = lease;
        made.document.notes = texts.into_iter().map(|text| Note { lang: None, text }).collect();
        made.document.activities = activities;
        made.document.tuples[0].basic = if open { Basic::Open } else { Basic::Closed };
        let bytes = made.to_bytes().unwrap();
        prop_assert_eq!(PresenceState::from_bytes(&bytes).unwrap(), made);
    }
}
