//! What a core finds of itself, and that what the edge makes of it is told when it changes.

use crate::network::Site;
use crate::{Command, Event, MINUTE, Reply, SECOND, Who, World};
use porchlight_proto::Input;
use porchlight_proto::health::{Condition, What};
use porchlight_proto::input::ConsumerStart;
use porchlight_proto::limits::{REASON_BYTES, REASONS};
use std::collections::BTreeSet;

fn condition(world: &mut World, who: Who) -> Condition {
    match world.call(who, Command::Condition).unwrap() {
        Reply::Condition(condition) => *condition,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_node_that_is_well_finds_nothing() {
    let mut world = World::new(230);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    world.run_for(MINUTE);
    let found = condition(&mut world, alice);
    let stored = found.publications.iter().filter(|published| published.stored.is_some());
    assert_eq!(stored.count(), found.publications.len());
    let what: BTreeSet<&What> = found.publications.iter().map(|published| &published.what).collect();
    let view = What::View("contacts".to_owned());
    assert_eq!(what, BTreeSet::from([&What::Card, &view, &What::Invite]));
    assert!(
        found
            .sources
            .iter()
            .all(|source| source.live && source.contact == "bob")
    );
    assert_eq!(found.sources.len(), 1);
    assert_eq!(found.clocks.len(), 1);
    assert!(found.clocks[0].ahead.unsigned_abs() < SECOND, "{found:?}");
    // Where the card stands, it is found.
    let card = world.members[alice].disk.identity.card.read_key();
    assert_eq!(
        found.card,
        [card.blinded(
            porchlight_wire::blind::Kind::Card,
            card.epoch(porchlight_wire::blind::Kind::Card, world.unix()),
            0
        )]
    );
}

#[test]
fn puts_that_nobody_kept_are_counted_until_one_is_kept() {
    let mut world = World::new(231);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    world.run_for(MINUTE);
    world.faults.lost_copies = 100;
    world.run_for(5 * MINUTE);
    let view = |found: &Condition| {
        let view = What::View("contacts".to_owned());
        found.publications.iter().find(|it| it.what == view).unwrap().clone()
    };
    let before = view(&condition(&mut world, alice));
    assert!(before.unkept >= 2, "{before:?}");
    let last_stored = before.stored.unwrap();
    assert!(last_stored < world.unix());
    world.faults.lost_copies = 0;
    world.run_for(5 * MINUTE);
    let after = view(&condition(&mut world, alice));
    assert_eq!(after.unkept, 0);
    assert!(after.stored.unwrap() > last_stored);
}

#[test]
fn without_a_live_source_it_is_named_whose_presence_would_not_come() {
    let mut world = World::new(232);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    world.run_for(MINUTE);
    let others = (0..3).map(Site::Relay).chain([Site::Member(bob)]);
    world.cut(Site::Member(alice), others.collect::<Vec<_>>());
    world.run_for(MINUTE);
    let found = condition(&mut world, alice);
    assert!(found.sources.iter().all(|source| !source.live), "{found:?}");
    assert_eq!(found.sources.len(), 1);
    world.heal();
    world.run_for(MINUTE);
    assert!(condition(&mut world, alice).sources.iter().all(|source| source.live));
    // Whoever is not watched needs no source.
    let contact = "bob".to_owned();
    world.call(alice, Command::Unsubscribe { contact }).unwrap();
    assert_eq!(condition(&mut world, alice).sources, []);
}

#[test]
fn a_clock_that_is_off_shows_in_fresh_records() {
    let mut world = World::new(233);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    let behind = 20 * SECOND;
    world.members[alice].skew = -i64::try_from(behind).unwrap();
    world.run_for(2 * MINUTE);
    let ahead = condition(&mut world, alice).clocks[0].ahead;
    assert!(ahead.abs_diff(i64::try_from(behind).unwrap()) < SECOND, "{ahead}");
    let ahead = condition(&mut world, bob).clocks[0].ahead;
    assert!(ahead.abs_diff(-i64::try_from(behind).unwrap()) < SECOND, "{ahead}");
    // What is only known from before says nothing about clocks.
    world.kill(bob);
    world.kill(alice);
    world.boot(alice);
    world.run_for(SECOND);
    assert_eq!(condition(&mut world, alice).clocks, []);
}

#[test]
fn consumers_are_behind_by_what_they_have_not_acknowledged() {
    let mut world = World::new(234);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    let name = "doorbell".to_owned();
    let from = ConsumerStart::Now;
    world.call(alice, Command::Consumer { name, from }).unwrap();
    let newest = world.members[alice].history.last().unwrap().number;
    world.meet(alice, bob);
    let told = world.members[alice].history.last().unwrap().number - newest;
    assert!(told > 2);
    let found = condition(&mut world, alice);
    assert_eq!(found.consumers[0].behind, told);
    let acknowledge = Command::Acknowledge {
        name: "doorbell".to_owned(),
        number: newest + told,
    };
    world.call(alice, acknowledge).unwrap();
    assert_eq!(condition(&mut world, alice).consumers[0].behind, 0);
}

#[test]
fn what_the_edge_finds_is_told_when_it_changes() {
    let mut world = World::new(235);
    let alice = world.join("alice");
    let say = |world: &mut World, reasons: &[&str]| {
        let reasons = reasons.iter().map(|&reason| reason.to_owned()).collect();
        world.input(alice, Input::Health { reasons });
    };
    let told = |world: &World| -> Vec<Event> {
        let rows = world.members[alice].history.iter();
        rows.map(|row| row.event.clone())
            .filter(|event| matches!(event, Event::NodeDegraded { .. } | Event::NodeRecovered))
            .collect()
    };
    let degraded = |reasons: &[&str]| Event::NodeDegraded {
        reasons: reasons.iter().map(|&reason| reason.to_owned()).collect(),
    };
    say(&mut world, &[]);
    assert_eq!(told(&world), [], "it began well");
    say(&mut world, &["no_relay"]);
    say(&mut world, &["no_relay"]);
    say(&mut world, &["store_slow", "no_relay"]);
    say(&mut world, &[]);
    say(&mut world, &[]);
    assert_eq!(
        told(&world),
        [
            degraded(&["no_relay"]),
            degraded(&["no_relay", "store_slow"]),
            Event::NodeRecovered
        ]
    );
    // However much it is said to be.
    let long = "x".repeat(REASON_BYTES + 1);
    say(&mut world, &[&long]);
    let many: Vec<String> = (0..REASONS + 10).map(|number| format!("reason {number}")).collect();
    say(&mut world, &many.iter().map(String::as_str).collect::<Vec<_>>());
    match told(&world).last() {
        Some(Event::NodeDegraded { reasons }) => assert_eq!(reasons.len(), REASONS),
        other => panic!("{other:?}"),
    }
}
