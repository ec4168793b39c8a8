//! Days and epochs, proof of work, and that one seed is one run.

use crate::network::Site;
use crate::{Command, DAY, HOUR, MINUTE, SECOND, Status, SubscriptionState, Who, World, word};
use porchlight_proto::event::Source;
use porchlight_wire::beacon::VerifiedBeacon;
use porchlight_wire::blind::{Epoch, Kind, ReadKey};
use porchlight_wire::network::DEFAULT_NETWORK;
use std::collections::BTreeSet;

/// The view of `of` that `watcher` holds.
fn held(world: &World, watcher: Who, of: Who) -> ReadKey {
    let principal = world.members[of].principal();
    world.members[watcher].disk.contacts[&principal]
        .held
        .clone()
        .unwrap()
        .read
}

/// Lets time pass until so many milliseconds before the next boundary of this view.
fn run_until_before_boundary(world: &mut World, view: &ReadKey, before: u64) {
    let now = world.unix();
    let today = view.epoch(Kind::Presence, now.plus(before));
    let boundary = view.epoch_start(Kind::Presence, Epoch(today.0 + 1));
    world.run_for(boundary.since(now) - before);
}

fn sequences_at(world: &World, who: Who, view: &ReadKey, epoch: Epoch) -> Vec<u64> {
    let pk = view.blinded(Kind::Presence, epoch, 0);
    let records = world.members[who].records.values().filter(|record| record.pk() == pk);
    records.map(VerifiedBeacon::sequence).collect()
}

#[test]
fn records_go_on_across_the_boundary_of_a_day() {
    let mut world = World::new(200);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    let before = (world.notified(bob, alice).len(), world.notified(alice, bob).len());
    for hour in 0..50 {
        world.run_for(HOUR);
        if hour % 5 == 0 {
            assert_eq!(
                word(&world.fetch(bob, alice).unwrap().told),
                "open",
                "after {hour} hours"
            );
        }
    }
    let after = (world.notified(bob, alice).len(), world.notified(alice, bob).len());
    assert_eq!(before, after, "nobody noticed a boundary");
}

#[test]
fn for_an_hour_after_the_boundary_both_addresses_are_in_use() {
    let mut world = World::new(201);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    let view = held(&world, bob, alice);
    run_until_before_boundary(&mut world, &view, 10 * SECOND);
    let today = view.epoch(Kind::Presence, world.unix());
    let tomorrow = Epoch(today.0 + 1);
    assert_eq!(
        sequences_at(&world, alice, &view, tomorrow),
        [0; 0],
        "not before its time"
    );
    world.run_for(20 * SECOND);
    world.set(alice, Status::Busy, None);
    world.run_for(SECOND);
    let (old, new) = (
        sequences_at(&world, alice, &view, today),
        sequences_at(&world, alice, &view, tomorrow),
    );
    assert_eq!(
        old.last().unwrap().abs_diff(*new.last().unwrap()),
        1,
        "one state under both addresses, each with a sequence of its own"
    );
    // A fetcher whose clock is half a minute behind still asks at the old one.
    world.members[bob].skew = -25_000;
    assert_eq!(word(&world.fetch(bob, alice).unwrap().told), "busy");
    world.run_for(HOUR + MINUTE);
    world.members[bob].skew = 0;
    let last = sequences_at(&world, alice, &view, today).len();
    world.set(alice, Status::Away, None);
    world.run_for(SECOND);
    assert_eq!(
        sequences_at(&world, alice, &view, today).len(),
        last,
        "the old address is given up"
    );
    assert_eq!(world.sees(bob, alice), "away");
}

#[test]
fn a_watcher_that_comes_up_just_after_the_boundary_finds_what_was_put_before_it() {
    let mut world = World::new(202);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    let view = held(&world, bob, alice);
    run_until_before_boundary(&mut world, &view, 2 * MINUTE);
    world.set(alice, Status::Busy, None);
    world.kill(bob);
    world.run_for(90 * SECOND);
    world.kill(alice);
    world.run_for(35 * SECOND);
    world.boot(bob);
    world.run_for(3 * SECOND);
    assert_eq!(world.sees(bob, alice), "busy", "the lease has not run out");
    world.run_for(2 * MINUTE);
    assert_eq!(world.sees(bob, alice), "closed (lapsed)");
}

#[test]
fn who_leaves_shortly_before_the_boundary_is_found_where_one_asks_before_and_after_it() {
    let mut world = World::new(206);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    let view = held(&world, bob, alice);
    run_until_before_boundary(&mut world, &view, 10 * MINUTE);
    world.stop(alice);
    world.run_for(SECOND);
    assert_eq!(world.sees(bob, alice), "closed");
    for _ in 0..3 {
        // The goodbye stands at two addresses, and reached him from both: what he finds at those that he asks is no older.
        let told = world.fetch(bob, alice).unwrap().told;
        assert_eq!((word(&told), told.source), ("closed", Some(Source::Dht)));
        world.run_for(9 * MINUTE);
    }
}

#[test]
fn who_left_yesterday_is_closed_today() {
    let mut world = World::new(203);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    let view = held(&world, bob, alice);
    run_until_before_boundary(&mut world, &view, MINUTE);
    world.stop(alice);
    world.kill(bob);
    let principal = world.members[alice].principal();
    world.members[bob].disk.observed.remove(&principal);
    for hours in [1, 5, 15] {
        world.run_for(hours * HOUR);
        world.boot(bob);
        world.run_for(5 * SECOND);
        let told = world.fetch(bob, alice).unwrap().told;
        assert_eq!((word(&told), told.source), ("closed", Some(Source::Dht)));
        world.kill(bob);
        world.members[bob].disk.observed.remove(&principal);
    }
}

#[test]
fn an_inviter_may_be_away_for_weeks() {
    // The boundaries of a card's and an invite record's epochs lie elsewhere in each world.
    for seed in 204..210 {
        let mut world = World::new(seed);
        let (alice, bob) = (world.join("alice"), world.join("bob"));
        let invite = world.invite_for(alice, 1, 29 * DAY);
        world.run_for(MINUTE);
        world.stop(alice);
        world.run_for(28 * DAY);
        let added = world.add(bob, &invite);
        assert!(added.is_ok(), "seed {seed}: {added:?}");
        assert_eq!(added.unwrap().subscription, Some(SubscriptionState::Provisional));
        world.boot(alice);
        world.run_for(6 * MINUTE);
        assert_eq!(
            world.contacts(bob)[0].subscription,
            Some(SubscriptionState::Active),
            "seed {seed}"
        );
        assert_eq!(world.sees(bob, alice), "open");
    }
}

#[test]
fn a_network_with_proof_of_work_and_many_topics() {
    let mut world = World::with_network(211, DEFAULT_NETWORK, 2);
    assert!(world.network.work_bits() > 0);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    assert_eq!((world.sees(alice, bob), world.sees(bob, alice)), ("open", "open"));
    for (status, shown) in [
        (Status::Busy, "busy"),
        (Status::Closed, "closed"),
        (Status::Away, "away"),
    ] {
        world.set(alice, status, None);
        world.run_for(3 * SECOND);
        assert_eq!(world.sees(bob, alice), shown);
        assert_eq!(world.told(bob, alice).told.source, Some(Source::Direct));
    }
    assert!(world.members[bob].topics.len() < 5, "only in the topics it needs");
    let views = [held(&world, bob, alice), held(&world, alice, bob)];

    // Across the boundary: the topic changes, and the work for the next day is done in time.
    run_until_before_boundary(&mut world, &views[0], 2 * HOUR);
    let before = (world.notified(bob, alice).len(), world.members[bob].topics.clone());
    let mut topics = BTreeSet::new();
    for _ in 0..25 {
        world.run_for(10 * MINUTE);
        topics.extend(world.members[bob].topics.iter().copied());
        assert_eq!(world.sees(bob, alice), "away");
    }
    assert_eq!(
        world.notified(bob, alice).len(),
        before.0,
        "nobody noticed the boundary"
    );
    assert!(topics.len() > before.1.len(), "the next day has a topic of its own");

    world.stop(alice);
    world.run_for(5 * SECOND);
    assert_eq!(word(&world.fetch(bob, alice).unwrap().told), "closed");
    world.run_for(22 * HOUR);
    assert_eq!(
        word(&world.fetch(bob, alice).unwrap().told),
        "closed",
        "also at the next day's address"
    );
}

/// A bit of everything, under faults.
fn eventful(seed: u8) -> World {
    let mut world = World::new(seed);
    // Olm draws its keys from the operating system.
    world.messages = false;
    let (alice, bob, carol) = (world.join("alice"), world.join("bob"), world.join("carol"));
    world.faults.lost_gossip = 10;
    world.faults.lost_answers = 10;
    world.meet(alice, bob);
    world.meet(carol, alice);
    world.set(alice, Status::Busy, Some("one"));
    world.run_for(MINUTE);
    world.kill(bob);
    world.set(carol, Status::Away, None);
    world.run_for(2 * MINUTE);
    world.boot(bob);
    let everybody = world.everybody_else(carol);
    world.cut(Site::Member(carol), everybody);
    world.run_for(2 * MINUTE);
    world.heal();
    let contact = "alice".to_owned();
    world.call(bob, Command::Unsubscribe { contact }).unwrap();
    world.stop(alice);
    world.run_for(MINUTE);
    world
}

#[test]
fn one_seed_is_one_run() {
    let (first, second, other) = (eventful(212), eventful(212), eventful(213));
    assert_eq!(first.digest, second.digest);
    for (one, other) in first.members.iter().zip(&second.members) {
        assert!(one.disk == other.disk);
        assert_eq!(one.history, other.history);
        assert!(one.records == other.records, "to the byte");
    }
    assert_ne!(first.digest, other.digest);
}

#[test]
fn the_first_answer_after_a_sleep_is_not_from_before_it() {
    let mut world = World::new(210);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    assert_eq!(world.sees(bob, alice), "open");
    world.suspend(bob);
    world.run_for(MINUTE);
    world.kill(alice);
    world.run_for(8 * HOUR);
    world.wake(bob);
    assert_ne!(world.sees(bob, alice), "open");
}

#[test]
fn rfc2779_3_2_3_whoever_slept_across_the_boundary_of_a_day_is_notified_again() {
    let mut world = World::new(211);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    let view = held(&world, bob, alice);
    run_until_before_boundary(&mut world, &view, 2 * HOUR);
    world.suspend(bob);
    world.run_for(4 * HOUR);
    world.wake(bob);
    world.run_for(10 * SECOND);
    assert_eq!(world.sees(bob, alice), "open");
    for (status, shown) in [(Status::Busy, "busy"), (Status::Away, "away"), (Status::Open, "open")] {
        world.set(alice, status, None);
        world.run_for(3 * SECOND);
        assert_eq!(world.sees(bob, alice), shown, "by gossip, not by a lookup later on");
    }
}

#[test]
fn a_clock_that_is_put_right_finds_the_addresses_of_today() {
    let mut world = World::new(212);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    let day = i64::try_from(3 * DAY).unwrap();
    for skew in [day, 0, -day, 0] {
        world.members[bob].skew = skew;
        world.run_for(30 * MINUTE);
    }
    for (status, shown) in [(Status::Busy, "busy"), (Status::Open, "open")] {
        world.set(alice, status, None);
        world.run_for(3 * SECOND);
        assert_eq!(world.sees(bob, alice), shown);
    }
}

#[test]
fn the_addresses_of_two_days_have_nothing_in_common() {
    let mut world = World::new(213);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    let view = held(&world, bob, alice);
    for _ in 0..3 {
        world.run_for(DAY);
    }
    world.stop(alice);
    let today = view.epoch(Kind::Presence, world.unix());
    let mut seen: BTreeSet<u64> = BTreeSet::new();
    let mut days = 0;
    for epoch in today.0 - 3..=today.0 + 1 {
        let sequences = sequences_at(&world, alice, &view, Epoch(epoch));
        days += usize::from(!sequences.is_empty());
        for sequence in sequences {
            assert!(seen.insert(sequence), "one sequence at two addresses");
        }
    }
    assert!(days >= 4);
    // Nor does the end of a certificate give the hour away at which the days of this view begin.
    let (start, hour) = (view.epoch_start(Kind::Presence, today), HOUR);
    assert_ne!(start.0 % hour, 0, "this view's days do not begin on the hour");
    let records = world.members[alice].records.values();
    for beacon in records.filter(|beacon| beacon.kind() == Kind::Presence) {
        assert_eq!(beacon.expires().0 % hour, 0);
    }
}
