//! Databases that are not as they were left: under another key, altered, cut off, replaced, or from the future.

use crate::{Home, sample};
use porchlight_proto::Write;
use porchlight_store::{DurabilitySetting, OpenError, Store};
use std::fs;

/// Tables whose rows are found by a hash, and hold what was promised.
const KEYED: [&str; 6] = ["views", "invites", "contacts", "letters", "consumers", "answers"];

/// A home with two rows in every table, closed.
async fn furnished() -> Home {
    let home = Home::new();
    let store = home.store();
    for number in 1..=2 {
        let name = format!("key {number}");
        let writes = vec![
            Write::PutOwnPresence(sample::own(number)),
            Write::PutCeiling(number),
            Write::PutView(sample::view(&name, number)),
            Write::PutInvite(sample::invite(number, number)),
            Write::PutContact(sample::contact(number, number)),
            Write::PutLetter(sample::letter(number, number)),
            Write::PutObserved(sample::observed(number, number)),
            Write::PutEvent(sample::event(number, number)),
            Write::PutConsumer(sample::consumer(&name, number)),
            Write::PutAnswer(sample::answer(&name, number)),
        ];
        store.commit(writes).await.unwrap();
    }
    drop(store);
    home
}

/// The files are whole only once everything is in the one.
fn settle(home: &Home) {
    home.sqlite()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
}

fn sealed_in(home: &Home, expected: &str) {
    let error = home.try_open().unwrap_err();
    assert!(
        matches!(error, OpenError::Sealed { table } if table == expected),
        "{expected}: {error}"
    );
    assert!(error.to_string().contains(expected), "{error}");
}

#[tokio::test]
async fn another_homes_key_opens_nothing() {
    let (home, other) = (furnished().await, Home::new());
    let error = Store::open(&home.database(), other.key().store(), DurabilitySetting::Full).unwrap_err();
    assert!(matches!(error, OpenError::Sealed { table: "node" }), "{error}");
    assert!(error.to_string().contains("key file"), "{error}");
    // And nothing was changed by the attempt.
    assert_eq!(home.snapshot().contacts.len(), 2);
}

#[tokio::test]
async fn a_row_that_was_altered_is_noticed() {
    for table in KEYED {
        let home = furnished().await;
        let (id, mut value): (Vec<u8>, Vec<u8>) = home
            .sqlite()
            .query_row(&format!("SELECT id, value FROM {table} LIMIT 1"), [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        let last = value.len() - 1;
        value[last] ^= 1;
        home.sqlite()
            .execute(&format!("UPDATE {table} SET value = ?1 WHERE id = ?2"), (value, id))
            .unwrap();
        sealed_in(&home, table);
    }
}

#[tokio::test]
async fn a_row_that_was_cut_off_or_emptied_is_noticed() {
    for length in [0, 1, 23, 24, 39] {
        let home = furnished().await;
        home.sqlite()
            .execute("UPDATE contacts SET value = substr(value, 1, ?1)", [length])
            .unwrap();
        sealed_in(&home, "contacts");
    }
}

#[tokio::test]
async fn rows_that_were_swapped_are_noticed() {
    for table in KEYED {
        let home = furnished().await;
        home.sqlite()
            .execute_batch(&format!(
                "CREATE TEMP TABLE two AS SELECT id, value FROM {table};
                 UPDATE {table} SET value = (SELECT value FROM two WHERE two.id <> {table}.id);"
            ))
            .unwrap();
        sealed_in(&home, table);
    }
}

#[tokio::test]
async fn a_row_under_another_key_or_in_another_table_is_noticed() {
    let home = furnished().await;
    home.sqlite()
        .execute_batch("UPDATE contacts SET id = randomblob(32) WHERE rowid = (SELECT min(rowid) FROM contacts)")
        .unwrap();
    sealed_in(&home, "contacts");

    // Both name principals, but a hash of one table means nothing in another, and neither does its value.
    let home = furnished().await;
    home.sqlite()
        .execute_batch("DELETE FROM contacts; INSERT INTO contacts SELECT * FROM observed")
        .unwrap();
    sealed_in(&home, "contacts");

    let home = furnished().await;
    home.sqlite()
        .execute_batch("UPDATE node SET value = (SELECT value FROM node WHERE name = 'ceiling') WHERE name = 'own'")
        .unwrap();
    sealed_in(&home, "node");
}

#[tokio::test]
async fn a_row_of_what_was_merely_observed_that_cannot_be_read_is_left_out() {
    for damage in [
        "UPDATE observed SET value = substr(value, 1, 39) WHERE rowid = (SELECT min(rowid) FROM observed)",
        "UPDATE observed SET value = x'' WHERE rowid = (SELECT min(rowid) FROM observed)",
        "UPDATE observed SET id = randomblob(32) WHERE rowid = (SELECT min(rowid) FROM observed)",
    ] {
        let home = furnished().await;
        home.sqlite().execute_batch(damage).unwrap();
        let snapshot = home.snapshot();
        assert_eq!((snapshot.observed.len(), snapshot.contacts.len()), (1, 2), "{damage}");
    }
}

#[tokio::test]
async fn a_row_that_is_missing_is_named_where_it_has_to_be_there() {
    for (name, what) in [("identity", "identity"), ("transport", "transport key")] {
        let home = furnished().await;
        home.sqlite()
            .execute("DELETE FROM node WHERE name = ?1", [name])
            .unwrap();
        let error = home.try_open().unwrap_err();
        assert!(
            matches!(error, OpenError::Missing { what: it, .. } if it == what),
            "{error}"
        );
        assert!(error.to_string().contains("porchlight.db"), "{error}");
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named_and_not_made() {
    let home = Home::new();
    fs::remove_file(home.database()).unwrap();
    let error = home.try_open().unwrap_err();
    assert!(matches!(error, OpenError::Sqlite { .. }), "{error}");
    assert!(error.to_string().contains("porchlight.db"), "{error}");
    assert!(!home.database().exists());
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let home = Home::new();
    let garbage = sample::bytes::<8192>(5);
    fs::write(home.database(), garbage).unwrap();
    let error = home.try_open().unwrap_err();
    assert!(matches!(error, OpenError::Sqlite { .. }), "{error}");
    let message = error.to_string();
    assert!(
        message.contains("porchlight.db") && message.contains("not a database"),
        "{message}"
    );
    assert_eq!(fs::read(home.database()).unwrap(), garbage);
}

#[tokio::test]
async fn a_database_that_was_emptied_is_no_home() {
    let home = Home::new();
    fs::write(home.database(), []).unwrap();
    let error = home.try_open().unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
    assert!(error.to_string().contains("not a whole home"), "{error}");
}

#[tokio::test]
async fn a_database_that_was_cut_off_anywhere_is_never_taken_for_a_whole_one() {
    let home = furnished().await;
    settle(&home);
    let whole = fs::read(home.database()).unwrap();
    let snapshot = home.snapshot();
    let lengths = (1..=40)
        .map(|part| whole.len() * part / 41)
        .chain([1, 15, 16, 99, 100, 4_095, 4_096, 4_097]);
    for length in lengths {
        let cut = Home {
            folder: tempfile::tempdir().unwrap(),
            identity: home.identity.clone(),
            transport: home.transport,
        };
        fs::copy(home.key_file(), cut.key_file()).unwrap();
        fs::write(cut.database(), &whole[..length]).unwrap();
        match cut.try_open() {
            // The end of the last page is read as zeros if it is missing, and no row opens that was made of them.
            Err(OpenError::Sealed { .. }) if whole.len() - length < 4_096 => {}
            Err(error) => assert!(error.to_string().contains("porchlight.db"), "{length}: {error}"),
            // Unless nothing stood there.
            Ok(opened) => assert_eq!(opened.snapshot, snapshot, "cut at {length} of {}", whole.len()),
        }
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_both_numbers_and_left_as_it_is() {
    let home = furnished().await;
    home.sqlite().pragma_update(None, "user_version", 99).unwrap();
    let error = home.try_open().unwrap_err();
    assert!(
        matches!(
            error,
            OpenError::Newer {
                found: 99,
                known: 5,
                ..
            }
        ),
        "{error}"
    );
    let message = error.to_string();
    assert!(
        message.contains("schema 99") && message.contains("knows 5"),
        "{message}"
    );
    let found: u32 = home
        .sqlite()
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(found, 99);
    home.sqlite().pragma_update(None, "user_version", 5).unwrap();
    assert_eq!(home.snapshot().contacts.len(), 2);
}

#[tokio::test]
async fn a_home_is_not_made_over_another() {
    let home = furnished().await;
    let before = home.snapshot();
    let error = Store::create(&home.database(), home.key().store(), &sample::identity(9), &[0; 32]).unwrap_err();
    assert!(matches!(error, OpenError::Sqlite { .. }), "{error}");
    assert_eq!(home.snapshot(), before);
}

#[tokio::test]
async fn the_database_is_in_the_mode_that_lets_readers_read_beside_the_writer() {
    let home = furnished().await;
    let mode: String = home
        .sqlite()
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
}
