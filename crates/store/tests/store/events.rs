//! The log of events, read beside the writer.

use crate::{Home, sample};
use porchlight_proto::Write;
use porchlight_proto::rows::EventRow;
use porchlight_store::{EventReader, ReadError};

fn put(numbers: std::ops::RangeInclusive<u64>) -> Vec<Write> {
    numbers
        .map(|number| Write::PutEvent(sample::event(number, number)))
        .collect()
}

async fn numbers(reader: &EventReader, after: u64, most: u32) -> Vec<u64> {
    let rows = reader.after(after, most).await.unwrap();
    rows.iter().map(|row| row.number).collect()
}

#[tokio::test]
async fn events_come_in_order_after_a_number_and_no_more_than_asked_for() {
    let home = Home::new();
    let store = home.store();
    let reader = store.events();
    assert_eq!(numbers(&reader, 0, 10).await, [0_u64; 0]);
    store.commit(put(1..=300)).await.unwrap();
    assert_eq!(numbers(&reader, 0, 3).await, [1, 2, 3]);
    assert_eq!(numbers(&reader, 3, 3).await, [4, 5, 6]);
    assert_eq!(numbers(&reader, 298, 10).await, [299, 300]);
    assert_eq!(numbers(&reader, 300, 10).await, [0_u64; 0]);
    assert_eq!(numbers(&reader, u64::MAX, 10).await, [0_u64; 0]);
    assert_eq!(numbers(&reader, 0, 0).await, [0_u64; 0]);
    assert_eq!(numbers(&reader, 0, u32::MAX).await, (1..=300).collect::<Vec<_>>());
    let rows: Vec<EventRow> = reader.after(10, 5).await.unwrap();
    assert_eq!(
        rows,
        (11..=15)
            .map(|number| sample::event(number, number))
            .collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn old_events_go_and_the_numbers_go_on() {
    let home = Home::new();
    let store = home.store();
    store.commit(put(1..=20)).await.unwrap();
    store.commit(vec![Write::DropEvents { below: 11 }]).await.unwrap();
    assert_eq!(numbers(&store.events(), 0, 100).await, (11..=20).collect::<Vec<_>>());
    let snapshot = home.snapshot();
    assert_eq!((snapshot.oldest_event, snapshot.newest_event), (11, 20));
    // Dropping again what is gone changes nothing.
    store.commit(vec![Write::DropEvents { below: 5 }]).await.unwrap();
    store.commit(put(21..=21)).await.unwrap();
    let snapshot = home.snapshot();
    assert_eq!((snapshot.oldest_event, snapshot.newest_event), (11, 21));
}

#[tokio::test]
async fn the_newest_event_stays_because_the_next_number_is_counted_from_it() {
    let home = Home::new();
    let store = home.store();
    store.commit(put(1..=20)).await.unwrap();
    store.commit(vec![Write::DropEvents { below: u64::MAX }]).await.unwrap();
    assert_eq!(numbers(&store.events(), 0, 100).await, [20]);
    let snapshot = home.snapshot();
    assert_eq!((snapshot.oldest_event, snapshot.newest_event), (20, 20));
}

#[tokio::test]
async fn a_reader_waits_for_nobody_who_writes() {
    let home = Home::new();
    let store = home.store();
    store.commit(put(1..=3)).await.unwrap();
    let other = home.sqlite();
    other.execute_batch("BEGIN IMMEDIATE; DELETE FROM events").unwrap();
    assert_eq!(numbers(&store.events(), 0, 10).await, [1, 2, 3]);
    other.execute_batch("ROLLBACK").unwrap();
}

#[tokio::test]
async fn a_reader_outlives_the_store() {
    let home = Home::new();
    let store = home.store();
    store.commit(put(1..=3)).await.unwrap();
    let reader = store.events();
    drop(store);
    assert_eq!(numbers(&reader, 1, 10).await, [2, 3]);
}

#[tokio::test]
async fn an_event_that_was_altered_or_renumbered_is_named() {
    let home = Home::new();
    let store = home.store();
    store.commit(put(1..=3)).await.unwrap();
    home.sqlite()
        .execute("UPDATE events SET number = 9 WHERE number = 2", [])
        .unwrap();
    let error = store.events().after_on_disk(0, 10).await.unwrap_err();
    assert!(matches!(error, ReadError::Event(9)), "{error}");
    assert!(error.to_string().contains('9'), "{error}");
    // Those before it can be had.
    let before = store.events().after_on_disk(0, 2).await.unwrap();
    let before: Vec<u64> = before.iter().map(|row| row.number).collect();
    assert_eq!(before, [1, 3]);
}
