//! What the files tell those who have no key file: how many rows there are and how long, and nothing of what is in them.

use crate::{Home, contains, sample};
use porchlight_proto::Write;
use porchlight_wire::cbor;
use porchlight_wire::presence::Note;
use std::collections::BTreeSet;

const PETNAME: &str = "petname of 31, 63";
const NOTE: &str = "back from the dentist at four";
const CONSUMER: &str = "consumer-of-doorbells";
const IDEMPOTENCY_KEY: &str = "4f1c0c2e-idempotent";
const VIEW: &str = "view-of-the-family";

/// Every text and key that must not be found, each with what it is.
fn secrets(home: &Home) -> Vec<(&'static str, Vec<u8>)> {
    let identity = &home.identity;
    let contact = sample::contact(31, 63);
    let invite = sample::invite(32, 64);
    let view = sample::generation(65);
    let held = contact.held.as_ref().unwrap();
    vec![
        ("device keys", identity.device.to_bytes()[..32].to_vec()),
        ("device keys", identity.device.to_bytes()[32..].to_vec()),
        ("envelope key", identity.envelope.to_bytes().to_vec()),
        ("card key", identity.card.to_bytes()[..32].to_vec()),
        ("card key", identity.card.to_bytes()[32..].to_vec()),
        ("own principal", identity.principal.as_bytes().to_vec()),
        ("own principal's text", identity.principal.to_string().into_bytes()),
        ("transport key", home.transport.to_vec()),
        ("a view's key", view.to_bytes()[..32].to_vec()),
        ("a view's secret", view.to_bytes()[32..].to_vec()),
        ("a contact's principal", contact.principal.as_bytes().to_vec()),
        ("a contact's petname", PETNAME.into()),
        ("what a contact calls itself", contact.told_name.unwrap().into_bytes()),
        ("a contact's card key", contact.card_key.to_bytes().to_vec()),
        ("a read key", held.read.to_bytes()[..32].to_vec()),
        ("a read key", held.read.to_bytes()[32..].to_vec()),
        ("an invite's id", invite.id.as_bytes().to_vec()),
        ("an invite's token", invite.token.as_bytes().to_vec()),
        ("an invite's record", invite.record.to_bytes()[..32].to_vec()),
        ("a note", NOTE.into()),
        ("a note in an event", sample::note(67).text.into_bytes()),
        ("a consumer's name", CONSUMER.into()),
        ("an idempotency key", IDEMPOTENCY_KEY.into()),
        ("a view's name", VIEW.into()),
        ("an address of a contact", b"node-63.example".to_vec()),
        ("an activity's name", b"activities".to_vec()),
        ("a field's name", b"told_name".to_vec()),
    ]
}

fn writes() -> Vec<Write> {
    let mut own = sample::own(1);
    own.state.as_mut().unwrap().notes = vec![Note {
        lang: None,
        text: NOTE.to_owned(),
    }];
    vec![
        Write::PutOwnPresence(own),
        Write::PutView(sample::view(VIEW, 65)),
        Write::PutInvite(sample::invite(32, 64)),
        Write::PutContact(sample::contact(31, 63)),
        Write::PutLetter(sample::letter(33, 65)),
        Write::PutObserved(sample::observed(31, 66)),
        Write::PutEvent(sample::event(1, 67)),
        Write::PutConsumer(sample::consumer(CONSUMER, 1)),
        Write::PutAnswer(sample::answer(IDEMPOTENCY_KEY, 69)),
    ]
}

/// What is written, in clear: what the files would hold if nothing were sealed.
fn in_clear(home: &Home) -> Vec<u8> {
    let mut bytes = [cbor::encode(&home.identity), home.transport.to_vec()].concat();
    bytes.extend(home.identity.principal.to_string().bytes());
    for write in writes() {
        bytes.extend(match write {
            Write::PutOwnPresence(row) => cbor::encode(&row),
            Write::PutView(row) => cbor::encode(&row),
            Write::PutInvite(row) => cbor::encode(&row),
            Write::PutContact(row) => [cbor::encode(&row), row.card.bundle].concat(),
            Write::PutLetter(row) => cbor::encode(&row),
            Write::PutObserved(row) => cbor::encode(&row),
            Write::PutEvent(row) => cbor::encode(&row),
            Write::PutConsumer(row) => cbor::encode(&row),
            Write::PutAnswer(row) => cbor::encode(&row),
            other => panic!("{other:?} is not among them"),
        });
    }
    bytes
}

#[tokio::test]
async fn no_file_holds_a_secret_in_clear() {
    let home = Home::new();
    let clear = in_clear(&home);
    let secrets = secrets(&home);
    for (what, secret) in &secrets {
        assert!(contains(&clear, secret), "{what} is looked for in vain everywhere");
    }
    let store = home.store();
    store.commit(writes()).await.unwrap();
    // While the node runs, much of it is in the write-ahead log only; afterwards it is in the database.
    let running = home.bytes_on_disk();
    drop(store);
    home.sqlite()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    let closed = home.bytes_on_disk();
    for files in [running, closed] {
        assert!(
            contains(&files, b"transport"),
            "the search is a search: names of single rows are in clear"
        );
        for (what, secret) in &secrets {
            assert!(!contains(&files, secret), "{what} is on disk in clear");
        }
    }
    assert_eq!(home.snapshot().contacts.values().next().unwrap().name, PETNAME);
}

#[tokio::test]
async fn a_row_looks_different_each_time_it_is_written() {
    let home = Home::new();
    let store = home.store();
    let mut values = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for _ in 0..5 {
        store
            .commit(vec![Write::PutContact(sample::contact(1, 1))])
            .await
            .unwrap();
        let (id, value): (Vec<u8>, Vec<u8>) = home
            .sqlite()
            .query_row("SELECT id, value FROM contacts", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        ids.insert(id);
        values.insert(value);
    }
    assert_eq!((ids.len(), values.len()), (1, 5));
}

#[tokio::test]
async fn two_homes_with_the_same_contact_have_nothing_in_common() {
    let (one, two) = (Home::new(), Home::new());
    let mut ids = BTreeSet::new();
    for home in [&one, &two] {
        // The same principal is in two tables of each.
        let writes = vec![
            Write::PutContact(sample::contact(1, 1)),
            Write::PutObserved(sample::observed(1, 1)),
        ];
        home.store().commit(writes).await.unwrap();
        for table in ["contacts", "observed"] {
            let id: Vec<u8> = home
                .sqlite()
                .query_row(&format!("SELECT id FROM {table}"), [], |row| row.get(0))
                .unwrap();
            ids.insert(id);
        }
    }
    assert_eq!(ids.len(), 4);
}
