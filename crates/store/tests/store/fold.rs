//! What is loaded is what `Snapshot::apply` makes of the writes, however they are cut into commits.

use crate::{Home, sample};
use porchlight_proto::{Snapshot, Write};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A write of each kind, with few keys, so that rows are often replaced and deleted.
fn write(kind: u8, key: u64, seed: u64, newest: u64) -> Write {
    let name = format!("key {key}");
    match kind {
        0 => Write::PutOwnPresence(sample::own(seed)),
        1 => Write::PutCeiling(seed),
        2 => Write::PutView(sample::view(&name, seed)),
        3 => Write::PutInvite(sample::invite(key, seed)),
        4 => Write::DeleteInvite(sample::id(key)),
        5 => Write::PutContact(sample::contact(key, seed)),
        6 => Write::DeleteContact(sample::principal(key)),
        7 => Write::PutLetter(sample::letter(key, seed)),
        8 => Write::DeleteLetter(sample::id(key)),
        9 => Write::PutObserved(sample::observed(key, seed)),
        10 => Write::DeleteObserved(sample::principal(key)),
        // The core numbers events one by one.
        11..=13 => Write::PutEvent(sample::event(newest + 1, seed)),
        14 => Write::DropEvents {
            below: (newest + 2).saturating_sub(key),
        },
        15 => Write::PutConsumer(sample::consumer(&name, seed)),
        16 => Write::DeleteConsumer(name),
        17 => Write::PutAnswer(sample::answer(&name, seed)),
        18 => Write::DeleteAnswer(name),
        19 => Write::DeleteView(name),
        20 => Write::PutFormer(sample::former(key, seed)),
        21 => Write::DeleteFormer(sample::principal(key)),
        22 => Write::PutClosing(sample::closing(key, seed)),
        _ => Write::DeleteClosing(sample::closing(key, seed).pk),
    }
}

const KINDS: u8 = 24;

fn commits() -> impl Strategy<Value = Vec<Vec<(u8, u64, u64)>>> {
    let one = (0..KINDS, 0..4_u64, prop_oneof![0..1_000_u64, Just(u64::MAX / 2)]);
    prop::collection::vec(prop::collection::vec(one, 0..8), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_loaded_is_the_fold_of_what_was_written(commits in commits()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let home = Home::new();
        let opened = home.open();
        let mut expected = opened.snapshot.clone();
        let mut events = BTreeMap::new();
        prop_assert_eq!(&expected, &Snapshot::new(home.identity.clone()));
        let mut store = opened.store;
        for commit in commits {
            let mut writes = Vec::new();
            for (kind, key, seed) in commit {
                let write = write(kind, key, seed, expected.newest_event);
                expected.apply(&write);
                if let Write::PutEvent(row) = &write {
                    events.insert(row.number, row.clone());
                }
                writes.push(write);
            }
            runtime.block_on(store.commit(writes)).unwrap();
            let loaded = home.open();
            prop_assert_eq!(&loaded.snapshot, &expected);
            prop_assert_eq!(loaded.transport.as_slice(), home.transport.as_slice());
            // Half of the commits are made by a store that was just opened.
            if expected.newest_event.is_multiple_of(2) {
                store = loaded.store;
            }
        }
        let kept: Vec<_> = events.range(expected.oldest_event..).map(|(_, row)| row.clone()).collect();
        let read = runtime.block_on(store.events().after(0, u32::MAX)).unwrap();
        prop_assert_eq!(read, kept);
    }
}

/// The property above is only as good as its rows: each kind of write has to be among them.
#[test]
fn every_kind_of_write_is_tried() {
    let kinds: std::collections::BTreeSet<String> = (0..KINDS)
        .map(|kind| {
            let shown = format!("{:?}", write(kind, 1, 1, 1));
            shown.split(['(', ' ']).next().unwrap().to_owned()
        })
        .collect();
    assert_eq!(kinds.len(), 22, "{kinds:?}");
}
