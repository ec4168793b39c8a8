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
            ..PresenceDocument::new(entity(), Vec::new())
        },
        reach: None,
    }
}

fn reach() -> Reach {
    let id = NodeId::from_bytes(
        ed25519_dalek::SigningKey::from_bytes(&[2; 32])
            .verifying_key()
            .to_bytes(),
    )
    .unwrap();
    let address = |text: &str| Address::parse(text).unwrap();
    Reach {
        node: Some(NodeReach {
            id,
            addresses: vec![
                address("/dns4/alice.example.org/tcp/4110"),
                address("/ip6/2001:db8::7/udp/4110/quic-v1"),
            ],
        }),
        relays: vec![NodeAddress {
            node: id,
            address: address("/ip4/203.0.113.7/tcp/4110"),
        }],
    }
}

fn note(lang: Option<&str>, text: &str) -> Note {
    Note {
        lang: lang.map(str::to_owned),
        text: text.to_owned(),
    }
}

fn detail(name: &str, value: &str, kind: Option<&str>) -> Detail {
    Detail {
        name: name.to_owned(),
        value: value.to_owned(),
        kind: kind.map(str::to_owned),
        extra: BTreeMap::new(),
    }
}

fn element(values: &[&str], notes: Vec<Note>) -> RpidElement {
    RpidElement {
        values: values.iter().map(|value| (*value).to_owned()).collect(),
        notes,
        extra: BTreeMap::new(),
    }
}

/// A document with something of everything.
fn rich() -> PresenceState {
    let tuple = |id: &str, basic, uri: &str, priority| PresenceTuple {
        contact: Some(ContactAddress {
            uri: uri.to_owned(),
            priority,
        }),
        ..PresenceTuple::new(id, basic)
    };
    let mut made = state();
    let document = &mut made.document;
    document.tuples = vec![
        PresenceTuple::new("self", Basic::Open),
        tuple("im", Basic::Open, "im:alice@example.org", Some(800)),
        tuple("tel", Basic::Closed, "tel:+43-1-5550123", None),
    ];
    document.notes = vec![
        note(Some("en"), "back at four"),
        note(Some("de-AT"), "um vier wieder da"),
    ];
    document.activities = vec!["away".to_owned(), "meal".to_owned()];
    document.until = Some(UnixMillis(1_790_007_200_000));
    document.mood = Some(element(&["happy", "hungry"], vec![note(None, "the new place")]));
    document.place = Some(element(&["cafe"], Vec::new()));
    document.details = vec![
        detail("fn", "Alice Example", None),
        detail("tel", "+43-1-5550123", Some("work")),
    ];
    made
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
fn rfc2779_4_4_3_a_tuple_can_be_of_any_mode_of_communication() {
    let read = PresenceState::from_bytes(&rich().to_bytes().unwrap()).unwrap();
    let modes: Vec<(&str, Basic)> = read
        .document
        .tuples
        .iter()
        .filter_map(|tuple| Some((tuple.contact.as_ref()?.uri.split_once(':')?.0, tuple.basic)))
        .collect();
    assert_eq!(modes, [("im", Basic::Open), ("tel", Basic::Closed)]);
}

#[test]
fn rfc2779_3_1_1_whatever_is_produced_is_consumed() {
    for made in [state(), rich()] {
        let bytes = made.to_bytes().unwrap();
        let read = PresenceState::from_bytes(&bytes).unwrap();
        assert_eq!(read, made);
        assert_eq!(read.to_bytes().unwrap(), bytes);
    }
}

#[test]
fn rfc2779_3_1_3_it_carries_contact_details_of_the_principal() {
    let read = PresenceState::from_bytes(&rich().to_bytes().unwrap()).unwrap();
    assert_eq!(
        read.document.details,
        [
            detail("fn", "Alice Example", None),
            detail("tel", "+43-1-5550123", Some("work"))
        ]
    );
}

#[test]
fn rfc2779_3_1_6_statuses_and_details_have_the_names_of_ietf_standards() {
    let document = rich().document;
    let known = |list: &[&str], name: &str| list.contains(&name);
    assert!(document.activities.iter().all(|name| known(registry::ACTIVITIES, name)));
    assert!(
        document
            .mood
            .unwrap()
            .values
            .iter()
            .all(|name| known(registry::MOODS, name))
    );
    assert!(
        document
            .place
            .unwrap()
            .values
            .iter()
            .all(|name| known(registry::PLACES, name))
    );
    assert!(
        document
            .details
            .iter()
            .all(|detail| known(registry::DETAILS, &detail.name))
    );
}

#[test]
fn rfc2779_3_1_5_names_of_ones_own_stand_beside_those_of_the_registry() {
    let mut own = rich();
    own.document.activities.push("org.example.juggling".to_owned());
    own.document
        .mood
        .as_mut()
        .unwrap()
        .values
        .push("org.example.hyggelig".to_owned());
    own.document.details.push(detail("org.example.locker", "7", None));
    let read = PresenceState::from_bytes(&own.to_bytes().unwrap()).unwrap();
    assert_eq!(read, own);
}

#[test]
fn rfc2779_3_1_4_unknown_fields_of_nested_maps_are_kept() {
    let extra = || {
        BTreeMap::from([(
            "org.example.more".to_owned(),
            Value::from(vec![Value::from(1), Value::Null]),
        )])
    };
    let mut newer = rich();
    newer.document.mood.as_mut().unwrap().extra = extra();
    newer.document.place.as_mut().unwrap().extra = extra();
    newer.document.details[0].extra = extra();
    newer.document.tuples[1].extra = extra();
    let bytes = newer.to_bytes().unwrap();
    let read = PresenceState::from_bytes(&bytes).unwrap();
    assert_eq!(read, newer);
    assert_eq!(read.to_bytes().unwrap(), bytes);
}

/// The document as the version before knew it.
mod before {
    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    pub(super) struct Document {
        pub(super) entity: PrincipalId,
        pub(super) tuples: Vec<PresenceTuple>,
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        pub(super) notes: Vec<Note>,
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        pub(super) activities: Vec<String>,
        #[serde(flatten)]
        pub(super) extra: BTreeMap<String, Value>,
    }

    #[derive(Debug, Serialize, Deserialize)]
    pub(super) struct State {
        pub(super) issued: UnixMillis,
        pub(super) lease: u64,
        pub(super) document: Document,
    }
}

#[test]
fn rfc2779_3_1_4_the_version_before_reads_a_rich_document_and_passes_all_of_it_on() {
    let made = rich();
    let bytes = made.to_bytes().unwrap();
    let read: before::State = cbor::decode(&bytes, PAYLOAD_BYTES).unwrap();
    assert_eq!(read.document.tuples, made.document.tuples);
    assert_eq!(read.document.notes, made.document.notes);
    assert_eq!(read.document.activities, made.document.activities);
    let unknown: Vec<&str> = read.document.extra.keys().map(String::as_str).collect();
    assert_eq!(unknown, ["details", "mood", "place", "until"]);
    assert_eq!(cbor::encode(&read), bytes);
}

#[test]
fn a_document_of_the_version_before_is_read_as_it_was() {
    // The first two vectors are of that version.
    let vectors: Vec<String> =
        serde_json::from_str(include_str!("../../../../docs/spec/vectors/presence.json")).unwrap();
    for vector in &vectors[..2] {
        let bytes = data_encoding::HEXLOWER.decode(vector.as_bytes()).unwrap();
        let old: before::State = cbor::decode(&bytes, PAYLOAD_BYTES).unwrap();
        let read = PresenceState::from_bytes(&bytes).unwrap();
        assert_eq!(read.document.tuples, old.document.tuples);
        assert_eq!(read.document.extra, old.document.extra);
        assert_eq!(
            (&read.document.mood, &read.document.place, read.document.until),
            (&None, &None, None)
        );
        assert_eq!(read.to_bytes().unwrap(), bytes);
    }
}

#[test]
fn what_is_larger_than_any_beacon_is_refused_as_a_whole() {
    let mut large = rich();
    large.document.notes = (0..8).map(|_| note(None, &"x".repeat(NOTE_BYTES))).collect();
    assert_eq!(large.document.check(), Ok(()), "each part is within its bounds");
    let refused = large.to_bytes().unwrap_err();
    let most = largest_payload();
    assert!(
        matches!(refused, PresenceError::TooLarge { most: said, got } if said == most && got > most),
        "{refused}"
    );
}

#[test]
fn what_has_no_place_in_our_cbor_is_an_error_and_no_panic() {
    for value in [
        Value::Float(0.5),
        Value::Tag(1, Box::new(Value::Null)),
        Value::Map(vec![(Value::Null, Value::Null), (Value::Null, Value::Null)]),
    ] {
        let mut state = state();
        state.document.extra.insert("org.example.odd".to_owned(), value);
        assert!(matches!(state.to_bytes(), Err(PresenceError::Unreadable(_))));
    }
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
    assert!(check(|state| state.document.mood = Some(element(&[], Vec::new()))).contains("mood"));
    assert!(check(|state| state.document.mood = Some(element(&["so so"], Vec::new()))).contains("a mood"));
    assert!(check(|state| state.document.place = Some(element(&["café"], Vec::new()))).contains("a kind of place"));
    assert!(check(|state| state.document.place = Some(element(&["bar"; 9], Vec::new()))).contains("1 to 8"));
    assert!(check(|state| state.document.details = vec![detail("TEL", "1", None)]).contains("small letters"));
    assert!(check(|state| state.document.details = vec![detail("tel", "", None)]).contains("contact detail"));
    assert!(check(|state| state.document.details = vec![detail("tel", "1", Some("at work"))]).contains("type"));
    assert!(check(|state| state.document.details = vec![detail("tel", "1", None); 17]).contains("contact details"));
}

#[test]
fn how_to_reach_a_node_is_bounded_and_said_in_part_or_not_at_all() {
    let with = |reach: Reach| PresenceState {
        reach: Some(reach),
        ..state()
    };
    let node = |addresses: usize| Reach {
        node: Some(NodeReach {
            id: reach().relays[0].node,
            addresses: vec![Address::parse("/ip4/192.0.2.1/tcp/1").unwrap(); addresses],
        }),
        relays: Vec::new(),
    };
    let relays = |relays: usize| Reach {
        node: None,
        relays: vec![reach().relays[0].clone(); relays],
    };
    for good in [reach(), node(VIEW_ADDRESSES), relays(VIEW_RELAYS)] {
        let bytes = with(good.clone()).to_bytes().unwrap();
        assert_eq!(PresenceState::from_bytes(&bytes).unwrap().reach, Some(good));
    }
    for bad in [node(0), node(VIEW_ADDRESSES + 1), relays(VIEW_RELAYS + 1)] {
        assert!(with(bad.clone()).to_bytes().is_err(), "{bad:?}");
        let bytes = cbor::encode(&with(bad));
        assert!(PresenceState::from_bytes(&bytes).is_err());
    }
}

#[test]
fn a_usual_record_with_all_addresses_fits_the_first_size() {
    let mut told = state();
    let address = |n: usize| Address::parse(&format!("/ip4/203.0.113.{n}/udp/41100/quic-v1")).unwrap();
    let mut all = reach();
    all.node.as_mut().unwrap().addresses = (100..100 + VIEW_ADDRESSES).map(address).collect();
    told.reach = Some(all);
    let bytes = told.to_bytes().unwrap().len();
    assert!(
        bytes + 4_096 - largest_payload() <= crate::limits::BEACON_CLASSES[0],
        "{bytes}"
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
    let mut nested = rich();
    nested.document.mood.as_mut().unwrap().extra =
        BTreeMap::from([("org.example.since".to_owned(), Value::from(1_789_999_000_u64))]);
    let mut reached = state();
    reached.reach = Some(reach());
    let made = vec![
        hex(&state().to_bytes().unwrap()),
        hex(&extended.to_bytes().unwrap()),
        hex(&rich().to_bytes().unwrap()),
        hex(&nested.to_bytes().unwrap()),
        hex(&reached.to_bytes().unwrap()),
    ];
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
        details in proptest::collection::vec(("[a-z-]{1,9}", "\\PC{1,30}"), 0..8),
        open in any::<bool>(),
        lease in 1_u64..86_400_000,
    ) {
        let mut made = state();
        made.lease = lease;
        made.document.notes = texts.into_iter().map(|text| Note { lang: None, text }).collect();
        made.document.activities = activities;
        made.document.details = details.iter().map(|(name, value)| detail(name, value, None)).collect();
        made.document.tuples[0].basic = if open { Basic::Open } else { Basic::Closed };
        let bytes = made.to_bytes().unwrap();
        prop_assert_eq!(PresenceState::from_bytes(&bytes).unwrap(), made);
    }
}
