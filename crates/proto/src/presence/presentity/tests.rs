use super::*;
use porchlight_wire::cbor::Value;
use porchlight_wire::presence::{ContactAddress, Detail, Note, RpidElement};
use porchlight_wire::time::UnixMillis;
use std::collections::BTreeMap;

fn principal() -> PrincipalId {
    porchlight_wire::keys::RootKey::from_seed(&[7; 32]).principal()
}

/// A document with something in every field.
fn full(first: Basic, activities: &[&str]) -> PresenceDocument {
    let notes = vec![Note {
        lang: None,
        text: "secret".to_owned(),
    }];
    let extra: BTreeMap<String, Value> = [("org.example.secret".to_owned(), Value::Null)].into();
    let element = RpidElement {
        values: vec!["secret".to_owned()],
        notes: notes.clone(),
        extra: extra.clone(),
    };
    let tuple = |id: &str, basic| PresenceTuple {
        id: id.to_owned(),
        basic,
        contact: Some(ContactAddress {
            uri: "im:secret@example.org".to_owned(),
            priority: Some(1),
        }),
        notes: notes.clone(),
        extra: extra.clone(),
    };
    PresenceDocument {
        entity: principal(),
        tuples: vec![tuple("secret", first), tuple("secret-too", Basic::Closed)],
        notes: notes.clone(),
        activities: activities.iter().map(|activity| (*activity).to_owned()).collect(),
        until: Some(UnixMillis(1)),
        mood: Some(element.clone()),
        place: Some(element),
        details: vec![Detail {
            name: "tel".to_owned(),
            value: "secret".to_owned(),
            kind: None,
            extra: extra.clone(),
        }],
        extra,
    }
}

#[test]
fn status_only_is_one_of_four_words_and_nothing_else() {
    for (basic, activities, kept) in [
        (Basic::Open, &["secret"][..], &[][..]),
        (Basic::Open, &["away", "secret"], &["away"]),
        (Basic::Open, &["secret", "busy"], &["busy"]),
        (Basic::Closed, &["secret"], &[]),
    ] {
        let shown = project(full(basic, activities), Projection::StatusOnly);
        let expected = PresenceDocument {
            activities: kept.iter().map(|activity| (*activity).to_owned()).collect(),
            ..PresenceDocument::new(principal(), vec![PresenceTuple::new("self", basic)])
        };
        assert_eq!(shown, expected);
    }
}

#[test]
fn all_is_all() {
    let document = full(Basic::Open, &["meal"]);
    assert_eq!(project(document.clone(), Projection::Full), document);
}
