//! Commits: alone, together, too many, and those that fail.

use crate::{Home, sample};
use porchlight_proto::Write;
use porchlight_store::{CommitError, DurabilitySetting, SLOW, Store};
use std::future::{Future, poll_fn};
use std::task::Poll;

fn ceiling(number: u64) -> Vec<Write> {
    vec![Write::PutCeiling(number)]
}

fn consumer(number: u64) -> Vec<Write> {
    vec![Write::PutConsumer(sample::consumer(
        &format!("consumer {number}"),
        number,
    ))]
}

fn seen(number: u64) -> Vec<Write> {
    vec![Write::PutObserved(sample::observed(number, number))]
}

#[tokio::test]
async fn commits_that_wait_together_become_one_transaction() {
    const COMMITS: u64 = 200;
    let home = Home::new();
    let store = home.store();
    // While somebody else holds the file, the first commit waits for it and the others for the first.
    let other = home.sqlite();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut waiting: Vec<_> = (0..COMMITS)
        .map(|number| Box::pin(store.commit(consumer(number))))
        .collect();
    poll_fn(|context| {
        for commit in &mut waiting {
            assert!(
                commit.as_mut().poll(context).is_pending(),
                "answered before it can be on disk"
            );
        }
        Poll::Ready(())
    })
    .await;
    other.execute_batch("ROLLBACK").unwrap();
    for commit in waiting {
        commit.await.unwrap();
    }
    let stats = store.stats();
    assert_eq!(stats.commits, COMMITS);
    assert!(stats.transactions <= 3, "{stats:?}");
    assert_eq!(stats.syncs, stats.transactions);
    assert_eq!(home.snapshot().consumers.len(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_commits_at_once_are_all_on_disk_when_they_are_answered() {
    const TASKS: u64 = 50;
    const EACH: u64 = 20;
    let home = Home::new();
    let store = home.store();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in 0..EACH {
                    store.commit(consumer(task * EACH + number)).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let snapshot = home.snapshot();
    assert_eq!(snapshot.consumers.len() as u64, TASKS * EACH);
    assert!(
        snapshot
            .consumers
            .iter()
            .all(|(name, row)| *name == format!("consumer {}", row.acknowledged))
    );
    assert_eq!(store.stats().commits, TASKS * EACH);
}

#[tokio::test]
async fn more_commits_than_the_queue_holds_wait_for_a_place() {
    const COMMITS: u64 = 1_000;
    let home = Home::new();
    let store = home.store();
    let other = home.sqlite();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let tasks: Vec<_> = (0..COMMITS)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.commit(consumer(number)).await })
        })
        .collect();
    tokio::task::yield_now().await;
    other.execute_batch("ROLLBACK").unwrap();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(home.snapshot().consumers.len() as u64, COMMITS);
}

#[tokio::test]
async fn what_was_merely_observed_costs_no_sync() {
    let home = Home::new();
    let store = home.store();
    for number in 0..5 {
        store.commit(seen(number)).await.unwrap();
    }
    assert_eq!((store.stats().transactions, store.stats().syncs), (5, 0));
    store.commit(ceiling(1)).await.unwrap();
    assert_eq!((store.stats().transactions, store.stats().syncs), (6, 1));
    // One promise among many writes is a promise.
    let mixed = [seen(6), ceiling(2), seen(7)].concat();
    store.commit(mixed).await.unwrap();
    store.commit(seen(8)).await.unwrap();
    assert_eq!((store.stats().transactions, store.stats().syncs), (8, 2));
    assert_eq!(home.snapshot().observed.len(), 8);
}

#[tokio::test]
async fn the_setting_relaxes_every_promise() {
    let home = Home::new();
    let opened = Store::open(&home.database(), home.key().store(), DurabilitySetting::Normal).unwrap();
    opened.store.commit(ceiling(7)).await.unwrap();
    assert_eq!((opened.store.stats().transactions, opened.store.stats().syncs), (1, 0));
    assert_eq!(home.snapshot().ceiling, 7);
}

#[tokio::test]
async fn nothing_to_write_costs_nothing() {
    let home = Home::new();
    let store = home.store();
    store.commit(Vec::new()).await.unwrap();
    assert_eq!(store.stats().transactions, 0);
}

#[tokio::test]
async fn writes_of_one_commit_are_made_in_order() {
    let home = Home::new();
    let store = home.store();
    let row = sample::contact(1, 1);
    let writes = vec![
        Write::PutContact(sample::contact(1, 2)),
        Write::DeleteContact(row.principal),
        Write::PutContact(row.clone()),
        Write::PutContact(sample::contact(2, 2)),
        Write::DeleteContact(sample::principal(2)),
    ];
    store.commit(writes).await.unwrap();
    assert_eq!(home.snapshot().contacts.into_values().collect::<Vec<_>>(), [row]);
}

#[tokio::test]
async fn after_a_commit_that_failed_nothing_of_it_is_there_and_no_other_is_taken() {
    let home = Home::new();
    let store = home.store();
    store.commit(ceiling(1)).await.unwrap();
    home.sqlite()
        .execute_batch("ALTER TABLE consumers RENAME TO away")
        .unwrap();
    let error = store.commit([ceiling(2), consumer(1)].concat()).await.unwrap_err();
    assert!(matches!(error, CommitError::Sqlite(_)), "{error}");
    assert!(error.to_string().contains("consumers"), "{error}");

    // What is in memory and what is on disk differ now: going on would be worse than stopping.
    home.sqlite()
        .execute_batch("ALTER TABLE away RENAME TO consumers")
        .unwrap();
    let error = store.commit(ceiling(3)).await.unwrap_err();
    assert!(matches!(error, CommitError::Closed), "{error}");
    assert_eq!(home.snapshot().ceiling, 1);
    // A node that starts again goes on from what is on disk.
    home.store().commit(ceiling(4)).await.unwrap();
    assert_eq!(home.snapshot().ceiling, 4);
}

#[tokio::test]
async fn whoever_asked_may_be_gone() {
    let home = Home::new();
    let store = home.store();
    let other = home.sqlite();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut forgotten = Box::pin(store.commit(ceiling(5)));
    poll_fn(|context| {
        assert!(forgotten.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
    drop(forgotten);
    other.execute_batch("ROLLBACK").unwrap();
    // Commits are made in the order in which they were asked for.
    store.commit(consumer(1)).await.unwrap();
    assert_eq!(home.snapshot().ceiling, 5);
}

#[tokio::test]
async fn a_transaction_that_hangs_shows_while_it_hangs_and_afterwards() {
    let home = Home::new();
    let store = home.store();
    assert_eq!((store.stats().under_way, store.stats().last_slow), (None, None));
    // Somebody else holds the database, as a slow disk would.
    let other = home.sqlite();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let writer = store.clone();
    let commit = tokio::spawn(async move { writer.commit(vec![Write::PutCeiling(5)]).await });
    while store.stats().under_way.is_none_or(|under_way| under_way < SLOW) {
        tokio::task::yield_now().await;
    }
    other.execute_batch("ROLLBACK").unwrap();
    commit.await.unwrap().unwrap();
    let stats = store.stats();
    assert_eq!(stats.under_way, None);
    assert!(stats.last_slow.unwrap().took >= SLOW);
}
