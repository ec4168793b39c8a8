//! What is known of those who are away for days: closing records that relays put for them, one each day of a week.

use crate::{DAY, HOUR, MINUTE, SECOND, Status, SubscriptionState, Who, World, word};
use porchlight_proto::event::Told;
use porchlight_wire::network::DEFAULT_NETWORK;
use porchlight_wire::time::UnixMillis;

impl World {
    /// Records of somebody's that a relay is to put on days to come.
    fn left_at(&self, relay: Who) -> usize {
        self.members[relay].disk.left.len()
    }

    /// What somebody is told who asks and knows nothing from before.
    fn told_afresh(&mut self, watcher: Who, of: Who) -> Told {
        let principal = self.id(of);
        self.members[watcher].disk.observed.remove(&principal);
        self.boot(watcher);
        self.run_for(5 * SECOND);
        let told = self.fetch(watcher, of).unwrap().told;
        self.kill(watcher);
        told
    }
}

/// Two friends with mailboxes at two relays.
fn friends(seed: u8) -> (World, Who, Who) {
    let mut world = World::with_keepers(seed, 2);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    world.run_for(MINUTE);
    (world, alice, bob)
}

/// The last day on which somebody who left is known to have left, counted from then.
const LAST: u64 = 8;

#[test]
fn rfc2779_3_2_1_who_left_is_closed_for_a_week_with_the_time_at_which_they_left() {
    // The boundaries of days lie elsewhere in each world.
    for seed in 60..64 {
        let (mut world, alice, bob) = friends(seed);
        world.kill(bob);
        let left = world.unix();
        world.stop(alice);
        world.run_for(2 * DAY);
        for day in 2..LAST {
            world.run_for(12 * HOUR);
            for half in 0..2 {
                let told = world.told_afresh(bob, alice);
                assert_eq!(word(&told), "closed", "seed {seed}, day {day}, half {half}");
                let since = told.issued.unwrap();
                assert!(
                    since >= left && since <= left.plus(MINUTE),
                    "not since then, but {since:?}"
                );
                if half == 0 {
                    world.run_for(12 * HOUR - 5 * SECOND);
                }
            }
        }
        // It is a week's, and no more.
        world.run_for(3 * DAY);
        assert_eq!(word(&world.told_afresh(bob, alice)), "unknown (no record)");
        assert_eq!((world.left_at(0), world.left_at(1)), (0, 0), "what was put is not kept");
    }
}

#[test]
fn a_subscriber_of_one_who_is_away_for_a_week_goes_on_being_told_so() {
    let (mut world, alice, bob) = friends(64);
    world.stop(alice);
    world.run_for(MINUTE);
    let events = world.members[bob].history.len();
    for _ in 0..(7 * 24) {
        world.run_for(HOUR);
        assert_eq!(world.sees(bob, alice), "closed");
        assert_eq!(
            world.subscription(bob, &world.id(alice)),
            Some(SubscriptionState::Active),
            "not stale"
        );
    }
    assert_eq!(world.notified_since(bob, alice, events), [""; 0], "and it is no news");
}

#[test]
fn who_is_back_takes_back_what_was_left() {
    let (mut world, alice, bob) = friends(65);
    world.stop(alice);
    assert!(world.left_at(0) >= 6 && world.left_at(0) == world.left_at(1));
    world.run_for(2 * DAY);
    world.boot(alice);
    world.run_for(MINUTE);
    assert_eq!((world.left_at(0), world.left_at(1)), (0, 0));
    world.set(alice, Status::Busy, None);
    world.run_for(3 * DAY);
    assert_eq!(world.sees(bob, alice), "busy");
    world.kill(bob);
    assert_eq!(word(&world.told_afresh(bob, alice)), "busy");
    // And who then does not say goodbye is not said to have left long ago.
    world.kill(alice);
    world.run_for(HOUR);
    assert_eq!(word(&world.told_afresh(bob, alice)), "closed (lapsed)");
    world.run_for(3 * DAY);
    assert_eq!(word(&world.told_afresh(bob, alice)), "unknown (no record)");
}

#[test]
fn what_a_relay_could_not_be_told_is_outdated_where_it_stands() {
    let (mut world, alice, bob) = friends(66);
    world.stop(alice);
    // One relay is away while she is back, and puts what it has when it is there again.
    world.keeper_dies(0);
    world.run_for(2 * DAY);
    world.boot(alice);
    world.set(alice, Status::Busy, None);
    world.run_for(MINUTE);
    let back = world.unix();
    world.keeper_comes(0);
    for _ in 0..20 {
        world.run_for(3 * HOUR);
        assert_eq!(world.sees(bob, alice), "busy");
    }
    world.kill(bob);
    let told = world.told_afresh(bob, alice);
    assert_eq!(word(&told), "busy");
    assert!(told.issued.unwrap() > back);
}

#[test]
fn what_was_left_outlives_a_kill_of_the_relay_and_the_loss_of_another() {
    let (mut world, alice, bob) = friends(67);
    world.kill(bob);
    world.stop(alice);
    world.keeper_dies(1);
    world.run_for(3 * DAY);
    world.kill(0);
    world.run_for(MINUTE);
    world.boot(0);
    world.run_for(2 * DAY);
    assert_eq!(word(&world.told_afresh(bob, alice)), "closed");
}

#[test]
fn all_views_leave_alike_and_relays_can_tell_them_by_nothing() {
    let (mut world, alice, bob) = friends(68);
    let carol = world.join("carol");
    let public = porchlight_proto::Command::CreateView {
        name: "glance".to_owned(),
        projection: porchlight_proto::rows::Projection::StatusOnly,
        rights: [porchlight_wire::grant::Right::Fetch].into(),
        reach: None,
    };
    world.call(alice, public).unwrap();
    world.meet(alice, carol);
    let update = porchlight_proto::Command::UpdateContact {
        contact: "carol".to_owned(),
        name: None,
        view: Some("glance".to_owned()),
    };
    world.call(alice, update).unwrap();
    world.run_for(MINUTE);
    world.set(
        alice,
        Status::Away,
        Some("a note of some length, which only the first of the two views shows"),
    );
    world.run_for(MINUTE);
    world.stop(alice);
    let rows: Vec<_> = world.members[0].disk.left.values().cloned().collect();
    assert_eq!(rows.len() % 6, 0, "as many of each");
    assert!(rows.len() >= 12);
    assert!(rows.iter().all(|row| row.record.len() == 1_024));
    let moments: std::collections::BTreeSet<UnixMillis> = rows.iter().map(|row| row.due).collect();
    assert_eq!(moments.len(), rows.len(), "each is put at a moment of its own");
    world.kill(bob);
    world.kill(carol);
    world.run_for(4 * DAY);
    assert_eq!(word(&world.told_afresh(bob, alice)), "closed");
    assert_eq!(word(&world.told_afresh(carol, alice)), "closed");
}

#[test]
fn where_records_need_proof_of_work_it_is_done_ahead_one_at_a_time() {
    let mut world = World::with_network_and_keepers(69, DEFAULT_NETWORK);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    world.run_for(20 * MINUTE);
    world.kill(bob);
    world.stop(alice);
    assert_eq!(world.left_at(0), 6);
    world.run_for(5 * DAY);
    assert_eq!(word(&world.told_afresh(bob, alice)), "closed");
}
