//! Loss of contact: nodes that die, networks that part, clocks that are wrong.

use crate::network::Site;
use crate::{Command, DAY, HOUR, LEASE, MINUTE, SECOND, Status, World, word};
use porchlight_proto::event::{Source, Verdict};
use porchlight_proto::rows::ReachLevel;
use porchlight_wire::blind::Kind;

#[test]
fn rfc2779_3_2_5_kill_9_of_the_presentity_leads_to_closed_within_the_lease() {
    // Killed at any moment of its refreshing.
    for offset in (0..60).step_by(7) {
        let mut world = World::new(60);
        let (alice, bob) = (world.join("alice"), world.join("bob"));
        world.meet(alice, bob);
        world.run_for(offset * SECOND);
        let before = world.notified(bob, alice).len();
        assert_eq!(world.sees(bob, alice), "open");
        world.kill(alice);
        world.run_for(LEASE + SECOND);
        let told = world.told(bob, alice).told;
        assert_eq!(told.verdict, Verdict::ClosedLapsed, "killed at {offset}");
        assert_eq!(told.holds_until, None);
        assert_eq!(world.notified(bob, alice)[before..], ["closed (lapsed)"]);
        // However long one waits and however often one looks.
        world.run_for(HOUR);
        assert_eq!(word(&world.fetch(bob, alice).unwrap().told), "closed (lapsed)");
        assert_eq!(world.notified(bob, alice)[before..], ["closed (lapsed)"]);
    }
}

#[test]
fn who_was_killed_and_comes_back_is_open_again_at_once() {
    let mut world = World::new(61);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    let before = world.notified(bob, alice).len();
    for _ in 0..5 {
        world.kill(alice);
        world.run_for(10 * SECOND);
        world.boot(alice);
        world.run_for(5 * SECOND);
    }
    assert_eq!(world.sees(bob, alice), "open");
    assert_eq!(
        world.notified(bob, alice).len(),
        before,
        "nobody noticed, the lease held"
    );
    world.kill(alice);
    world.run_for(5 * MINUTE);
    world.boot(alice);
    world.run_for(5 * SECOND);
    assert_eq!(world.notified(bob, alice)[before..], ["closed (lapsed)", "open"]);
}

#[test]
fn rfc2779_3_2_4_a_watcher_that_is_cut_off_knows_that_it_does_not_know() {
    let mut world = World::new(62);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    let everybody = world.everybody_else(bob);
    world.cut(Site::Member(bob), everybody);
    world.run_for(35 * SECOND);
    assert_eq!(world.sees(bob, alice), "unknown (no source)");
    world.set(alice, Status::Busy, None);
    world.run_for(HOUR);
    assert_eq!(world.sees(bob, alice), "unknown (no source)");
    let told = world.fetch(bob, alice).unwrap().told;
    assert_eq!(
        word(&told),
        "unknown (no source)",
        "a fetch that nobody answered is no source"
    );
    assert_eq!(told.document, None);
    world.heal();
    world.run_for(5 * SECOND);
    assert_eq!(world.sees(bob, alice), "busy", "what was missed is asked for");
    assert_eq!(world.told(bob, alice).told.source, Some(Source::Dht));
}

#[test]
fn rfc2779_3_2_4_a_presentity_that_is_cut_off_lapses_and_comes_back() {
    let mut world = World::new(63);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    let before = world.notified(bob, alice).len();
    let everybody = world.everybody_else(alice);
    world.cut(Site::Member(alice), everybody);
    world.run_for(10 * MINUTE);
    assert_eq!(world.sees(bob, alice), "closed (lapsed)");
    assert_eq!(world.sees(alice, bob), "unknown (no source)");
    world.heal();
    world.run_for(2 * MINUTE);
    assert_eq!(world.sees(alice, bob), "open");
    assert_eq!(world.notified(bob, alice)[before..], ["closed (lapsed)", "open"]);
}

#[test]
fn two_halves_of_a_network_each_see_their_own_and_all_of_it_after_healing() {
    let mut world = World::new(64);
    let people: Vec<usize> = (0..4).map(|number| world.join(&format!("p{number}"))).collect();
    for one in 0..4 {
        for other in one + 1..4 {
            world.meet(people[one], people[other]);
        }
    }
    let left = [Site::Member(0), Site::Member(1), Site::Relay(0)];
    let right = [Site::Member(2), Site::Member(3), Site::Relay(1), Site::Relay(2)];
    for site in left {
        world.cut(site, right);
    }
    world.run_for(40 * SECOND);
    world.set(0, Status::Busy, None);
    world.set(2, Status::Away, None);
    world.run_for(10 * MINUTE);
    assert_eq!((world.sees(1, 0), world.sees(3, 2)), ("busy", "away"));
    for (watcher, of) in [(0, 2), (1, 2), (2, 0), (3, 1)] {
        assert_eq!(world.sees(watcher, of), "closed (lapsed)", "{watcher} of {of}");
    }
    world.heal();
    world.run_for(2 * MINUTE);
    for watcher in 1..4 {
        assert_eq!(world.sees(watcher, 0), "busy");
    }
    for watcher in [0, 1, 3] {
        assert_eq!(world.sees(watcher, 2), "away");
    }
}

#[test]
fn contacts_that_reach_each_other_keep_working_when_every_relay_is_gone() {
    let mut world = World::new(65);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    for relay in 0..3 {
        world.relay_goes(relay);
    }
    world.run_for(HOUR);
    let before = world.notified(bob, alice).len();
    for (status, shown) in [(Status::Busy, "busy"), (Status::Away, "away"), (Status::Open, "open")] {
        world.set(alice, status, None);
        world.run_for(3 * SECOND);
        assert_eq!(world.sees(bob, alice), shown);
        assert_eq!(world.told(bob, alice).told.source, Some(Source::Direct));
    }
    assert_eq!(world.notified(bob, alice)[before..], ["busy", "away", "open"]);
    // And when the relays come back, they are given copies without being asked.
    world.set(alice, Status::Busy, None);
    world.run_for(MINUTE);
    world.relay_comes(0);
    world.run_for(2 * MINUTE);
    world.kill(bob);
    world.cut(Site::Member(alice), [Site::Member(bob)]);
    world.boot(bob);
    world.run_for(5 * SECOND);
    assert_eq!(world.sees(bob, alice), "busy");
}

#[test]
fn relays_that_come_back_empty_are_given_copies() {
    let mut world = World::new(66);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    world.set(alice, Status::Closed, None);
    world.run_for(2 * MINUTE);
    for relay in 0..3 {
        world.relay_goes(relay);
        world.relays[relay].shelf = porchlight_wire::shelf::Shelf::new(crate::member::SHELF);
    }
    world.run_for(2 * MINUTE);
    for relay in 0..3 {
        world.relay_comes(relay);
    }
    // A closed record is refreshed every six hours only: it is the new relay that makes her put it again.
    world.run_for(MINUTE);
    assert_eq!(word(&world.fetch(bob, alice).unwrap().told), "closed");
    assert_eq!(world.fetch(bob, alice).unwrap().told.source, Some(Source::Dht));
    let principal = world.members[alice].principal();
    let read = world.members[bob].disk.contacts[&principal].held.clone().unwrap().read;
    let today = read.epoch(Kind::Presence, world.unix());
    let pk = read.blinded(Kind::Presence, today, 0);
    for relay in &world.relays {
        assert!(
            relay.shelf.beacon(&pk, world.unix()).is_some(),
            "every relay has a copy"
        );
    }
}

#[test]
fn what_reached_nobody_is_put_as_soon_as_a_relay_appears() {
    let mut world = World::new(74);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    for relay in 0..3 {
        world.relay_goes(relay);
        world.relays[relay].shelf = porchlight_wire::shelf::Shelf::new(crate::member::SHELF);
    }
    world.kill(alice);
    world.run_for(5 * SECOND);
    world.boot(alice);
    world.run_for(5 * SECOND);
    assert!(world.relays[0].shelf.is_empty());
    world.relay_comes(0);
    world.run_for(3 * SECOND);
    let kinds: Vec<_> = world.relays[0].shelf.beacons().map(|record| record.kind()).collect();
    assert!(
        kinds.contains(&Kind::Card) && kinds.contains(&Kind::Presence),
        "{kinds:?}"
    );
}

#[test]
fn relays_that_refuse_are_tried_again_and_less_and_less_often() {
    let mut world = World::new(67);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    for relay in &mut world.relays {
        relay.stuck = true;
    }
    world.set(alice, Status::Closed, Some("refused at first"));
    world.run_for(10 * MINUTE);
    for relay in &mut world.relays {
        relay.stuck = false;
    }
    world.run_for(6 * MINUTE);
    let principal = world.members[alice].principal();
    let held = world.members[bob].disk.contacts[&principal].held.clone().unwrap();
    let today = held.read.epoch(Kind::Presence, world.unix());
    let pk = held.read.blinded(Kind::Presence, today, 0);
    let newest = world.members[bob].disk.observed[&principal].sequence;
    for relay in &world.relays {
        assert_eq!(
            relay.shelf.beacon(&pk, world.unix()).map(|beacon| beacon.sequence()),
            Some(newest)
        );
    }
}

#[test]
fn one_copy_of_three_is_enough_for_a_fetch_and_the_newest_copy_wins() {
    let mut world = World::new(68);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    world.run_for(MINUTE);
    // Two relays are stuck with what they have.
    world.relays[0].stuck = true;
    world.relays[1].stuck = true;
    world.faults.lost_gossip = 100;
    world.set(alice, Status::Busy, Some("the newest"));
    world.run_for(MINUTE);
    let told = world.fetch(bob, alice).unwrap().told;
    assert_eq!(told.document.unwrap().notes[0].text, "the newest");
}

#[test]
fn a_watcher_that_restarts_shows_what_it_had_as_cached_and_never_past_its_lease() {
    let mut world = World::new(69);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    world.set(alice, Status::Away, None);
    world.run_for(20 * SECOND);
    world.kill(bob);
    world.run_for(5 * SECOND);
    for relay in &mut world.relays {
        relay.shelf = porchlight_wire::shelf::Shelf::new(crate::member::SHELF);
        relay.stuck = true;
    }
    world.kill(alice);
    world.boot(bob);
    world.run_for(2 * SECOND);
    let told = world.told(bob, alice).told;
    assert_eq!((word(&told), told.source), ("away", Some(Source::Cache)));
    world.run_for(LEASE);
    assert_eq!(world.sees(bob, alice), "closed (lapsed)");
}

#[test]
fn a_watcher_that_restarts_before_the_copies_are_renewed_learns_of_a_change_before_the_lease_is_over() {
    let mut world = World::new(73);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    // Her node would tell him at once.
    let (name, reach) = ("contacts".to_owned(), ReachLevel::None);
    world.call(alice, Command::UpdateView { name, reach }).unwrap();
    world.set(alice, Status::Away, None);
    world.run_for(40 * SECOND);
    // The relays refuse for a while, so that who comes up finds the old record, and finds it again.
    world.kill(bob);
    for relay in &mut world.relays {
        relay.stuck = true;
    }
    world.set(alice, Status::Closed, None);
    world.boot(bob);
    world.members[bob].topics.clear();
    world.run_for(8 * SECOND);
    assert_eq!(world.sees(bob, alice), "away");
    for relay in &mut world.relays {
        relay.stuck = false;
    }
    world.run_for(LEASE);
    assert_eq!(world.sees(bob, alice), "closed");
    assert!(!world.notified(bob, alice).contains(&"closed (lapsed)"));
}

#[test]
fn a_closing_record_that_came_too_late_for_the_lease_is_found_after_it() {
    let mut world = World::new(75);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    let before = world.notified(bob, alice).len();
    // She is cut off, lapses, and closes meanwhile; what is gossiped when she is back is lost.
    let everybody = world.everybody_else(alice);
    world.cut(Site::Member(alice), everybody);
    world.run_for(3 * MINUTE);
    world.set(alice, Status::Closed, None);
    world.faults.lost_gossip = 100;
    world.heal();
    world.run_for(5 * MINUTE);
    assert_eq!(world.notified(bob, alice)[before..], ["closed (lapsed)", "closed"]);
}

#[test]
fn one_who_is_gone_for_good_is_asked_for_a_bounded_number_of_times() {
    let mut world = World::new(76);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    world.kill(alice);
    world.run_for(LEASE);
    let asked = world.members[bob].lookups;
    world.run_for(20 * HOUR);
    let asked = world.members[bob].lookups - asked;
    assert!((5..20).contains(&asked), "{asked} lookups");
}

#[test]
fn clocks_that_differ_by_half_a_minute_do_no_harm() {
    for (of_alice, of_bob) in [(25_000, 0), (-25_000, 0), (0, 25_000), (-14_000, 14_000)] {
        let mut world = World::new(70);
        let (alice, bob) = (world.join_silently("alice"), world.join_silently("bob"));
        world.members[alice].skew = of_alice;
        world.members[bob].skew = of_bob;
        world.boot(alice);
        world.boot(bob);
        world.run_for(5 * SECOND);
        world.meet(alice, bob);
        let before = world.notified(bob, alice).len();
        world.run_for(HOUR);
        assert_eq!(
            world.notified(bob, alice)[before..],
            [""; 0],
            "skews {of_alice} and {of_bob}"
        );
        assert_eq!(world.sees(bob, alice), "open");
    }
}

#[test]
fn a_presentity_whose_clock_runs_ahead_is_unknown_until_its_time_has_come() {
    let mut world = World::new(71);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    world.members[alice].skew = 40_000;
    world.set(alice, Status::Busy, None);
    world.run_for(2 * SECOND);
    assert_eq!(world.sees(bob, alice), "unknown (clock)");
    world.run_for(12 * SECOND);
    assert_eq!(world.sees(bob, alice), "busy");
}

#[test]
fn a_clock_set_back_does_not_stop_a_presentity_from_being_heard() {
    let mut world = World::new(72);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    // Her clock was wrong by an hour, and was put right while the node ran.
    world.members[alice].skew = 3_600_000;
    world.set(alice, Status::Away, None);
    world.run_for(5 * SECOND);
    world.members[alice].skew = 0;
    world.set(alice, Status::Busy, None);
    world.run_for(5 * SECOND);
    assert_eq!(world.sees(bob, alice), "busy");
    // And once more across a restart.
    world.kill(alice);
    world.boot(alice);
    world.set(alice, Status::Away, None);
    world.run_for(5 * SECOND);
    assert_eq!(world.sees(bob, alice), "away");
}

#[test]
fn whatever_happens_nobody_is_shown_open_who_is_gone_and_all_is_well_after_healing() {
    for seed in 100..112 {
        let mut world = World::new(seed);
        let people: Vec<usize> = (0..4).map(|number| world.join(&format!("p{number}"))).collect();
        for one in 0..4 {
            for other in one + 1..4 {
                world.meet(people[one], people[other]);
            }
        }
        world.faults.lost_gossip = 20;
        world.faults.lost_answers = 20;
        world.faults.lost_copies = 20;
        let words = [Status::Open, Status::Away, Status::Busy, Status::Closed];
        // Safety: the world checks after every step that nobody is shown open who is long gone.
        for _ in 0..40 {
            let who = world.draw(4) as usize;
            match world.draw(6) {
                0 if world.members[who].node.is_some() => world.kill(who),
                0 | 1 if world.members[who].node.is_none() => world.boot(who),
                2 => {
                    let everybody = world.everybody_else(who);
                    world.cut(Site::Member(who), everybody);
                }
                3 => world.heal(),
                _ if world.members[who].node.is_some() => {
                    let status = words[world.draw(4) as usize];
                    world.set(who, status, None);
                }
                _ => {}
            }
            let pause = u64::from(world.draw(100)) * SECOND;
            world.run_for(pause);
        }
        // Liveness: the faults stop, and everybody sees everybody as they are.
        world.faults = crate::network::Faults::default();
        world.links_change(0);
        for who in &people {
            if world.members[*who].node.is_none() {
                world.boot(*who);
            }
        }
        world.run_for(5 * MINUTE);
        for of in &people {
            let status = world.members[*of]
                .disk
                .own
                .as_ref()
                .and_then(|own| own.state.as_ref())
                .map_or(Status::Open, |state| state.status);
            let shown = match status {
                Status::Open => "open",
                Status::Away => "away",
                Status::Busy => "busy",
                Status::Closed => "closed",
            };
            for watcher in people.iter().filter(|watcher| *watcher != of) {
                assert_eq!(world.sees(*watcher, *of), shown, "seed {seed}: {watcher} of {of}");
            }
        }
    }
}

#[test]
fn a_grant_that_a_wrong_clock_refuses_arrives_once_the_clock_is_right() {
    let mut world = World::new(156);
    let (alice, bob, carol) = (world.join("alice"), world.join("bob"), world.join("carol"));
    world.meet(alice, bob);
    world.meet(alice, carol);
    // Bob's clock is behind by more than is tolerated while carol is removed, so that he cannot take the new grant.
    world.members[bob].skew = -i64::try_from(6 * MINUTE).unwrap();
    let contact = "carol".to_owned();
    world.call(alice, Command::RemoveContact { contact }).unwrap();
    world.run_for(2 * MINUTE);
    world.members[bob].skew = 0;
    world.run_for(10 * MINUTE);
    world.set(alice, Status::Busy, None);
    world.run_for(MINUTE);
    assert_eq!(world.sees(bob, alice), "busy");
}

#[test]
fn a_card_from_the_future_does_not_stand_in_the_way_of_later_ones() {
    let mut world = World::new(157);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    // Alice's clock is far ahead for a moment, in which a letter with her card reaches bob.
    world.members[alice].skew = i64::try_from(20 * DAY).unwrap();
    let show = Command::UpdateContact {
        contact: "bob".to_owned(),
        name: None,
        view: Some("contacts".to_owned()),
    };
    let contact = "bob".to_owned();
    world.call(alice, Command::RevokeGrant { contact }).unwrap();
    world.call(alice, show.clone()).unwrap();
    world.run_for(MINUTE);
    world.stop(alice);
    world.members[alice].skew = 0;
    world.members[alice].move_to("/dns/elsewhere.example/tcp/4110");
    world.boot(alice);
    world.run_for(MINUTE);
    // A letter of today has her card of today.
    let contact = "bob".to_owned();
    world.call(alice, Command::RevokeGrant { contact }).unwrap();
    world.call(alice, show).unwrap();
    world.run_for(MINUTE);
    let card = &world.members[bob].disk.contacts[&world.members[alice].principal()].card;
    let card = card.verify(&world.members[alice].principal(), world.unix()).unwrap();
    assert_eq!(card.bundle.addresses[0], world.members[alice].address);
}
