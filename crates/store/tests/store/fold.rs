//! What is loaded is what `Snapshot::apply` makes of the writes, however they are cut into commits.

use crate::{Home, messages, sample};
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
        23 => Write::DeleteClosing(sample::closing(key, seed).pk),
        24 => Write::PutMailbox(sample::own_mailbox(key, seed)),
        25 => Write::DeleteMailbox(sample::mailbox_id(key)),
        26 => Write::PutStamps(sample::stamps(key, seed)),
        27 => Write::DeleteStamps(sample::principal(key)),
        28 => Write::PutParcel(sample::parcel(key, seed)),
        29 => Write::DeleteParcel(sample::id(key)),
        30 => Write::PutTaken(sample::taken(key, seed)),
        31 => Write::DeleteTaken(sample::principal(key), sample::id(key)),
        32 => Write::PutKept(sample::kept(key, seed)),
        33 => Write::DeleteKept(sample::mailbox_id(key)),
        34 => Write::PutDeposit(sample::deposit(key, seed)),
        35 => Write::DeleteDeposit(sample::mailbox_id(key % 2), key),
        36 => Write::PutBody(sample::body(key, seed)),
        37 => Write::DeleteBody(sample::mailbox_id(key % 2), key),
        38 => Write::PutSpent(sample::spent(key, seed)),
        39 => Write::DeleteSpent(sample::mailbox_id(key % 2), sample::bytes(key)),
        40 => Write::PutChosenRelays(sample::chosen(seed)),
        41 => Write::PutSession(messages::session(key, seed)),
        42 => Write::DeleteSession(messages::session(key, seed).key),
        43 => Write::PutOutbox(messages::outgoing(key, seed)),
        44 => Write::DeleteOutbox(sample::id(key)),
        45 => Write::PutSealed(messages::sealed(key, seed)),
        46 => Write::DeleteSealed(sample::id(key)),
        47 => Write::PutConversation(messages::conversation(key, seed)),
        48 => Write::PutIdentity(Box::new(sample::identity(seed))),
        49 => Write::PutSeen(messages::seen(key, seed)),
        50 => Write::DeleteSeen(messages::origin(key)),
        51 => Write::PutHeld(messages::held(key, seed)),
        52 => Write::DeleteHeld(messages::origin(key)),
        53 => Write::PutMessage(messages::kept(key, seed)),
        54 => Write::PutMessageState(messages::state(key, seed)),
        55 => Write::PutLeft(sample::left(key, seed)),
        56 => Write::DeleteLeft(sample::mailbox_id(key % 2), sample::left(key, seed).pk),
        _ => Write::PutAccount(messages::account(seed)),
    }
}

const KINDS: u8 = 58;

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
        let mut bodies = BTreeMap::new();
        prop_assert_eq!(&expected, &Snapshot::new(home.identity.clone()));
        let mut store = opened.store;
        for commit in commits {
            let mut writes = Vec::new();
            for (kind, key, seed) in commit {
                let write = write(kind, key, seed, expected.newest_event);
                expected.apply(&write);
                match &write {
                    Write::PutEvent(row) => {
                        events.insert(row.number, row.clone());
                    }
                    Write::PutBody(row) => {
                        bodies.insert(row.number, row.envelope.clone());
                    }
                    Write::DeleteBody(_, number) => {
                        bodies.remove(number);
                    }
                    _ => {}
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
        for of in 0..2 {
            let asked: Vec<u64> = (0..4).filter(|number| number % 2 == of).collect();
            let there: Vec<_> = asked.iter().filter_map(|number| Some((*number, bodies.get(number)?.clone()))).collect();
            let read = runtime.block_on(store.events().envelopes(sample::mailbox_id(of), asked)).unwrap();
            let read: Vec<_> = read.into_iter().map(|held| (held.number, held.envelope)).collect();
            prop_assert_eq!(read, there);
        }
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
    assert_eq!(kinds.len(), 56, "{kinds:?}");
}
