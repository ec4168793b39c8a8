//! More than somebody has room for at once: what a crowd writes to them, what a relay could not tell them of, and more in a mailbox
//! than one list names.

use crate::messages::numbered;
use crate::network::Site;
use crate::{DAY, MINUTE, SECOND, Who, World};
use porchlight_proto::messaging::rows::MessageState;
use porchlight_proto::rows::DepositRow;
use porchlight_wire::stamp::Class;
use porchlight_wire::time::UnixMillis;

/// Two friends with two relays, who have written to each other, and cannot reach each other directly any more.
fn apart(seed: u8) -> (World, Who, Who) {
    let mut world = World::with_keepers(seed, 2);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    world.write(alice, bob, "hello");
    world.run_for(MINUTE);
    world.cut(Site::Member(alice), [Site::Member(bob)]);
    world.run_for(MINUTE);
    (world, alice, bob)
}

#[test]
fn rfc2779_5_4_2_a_relay_tells_again_who_had_no_room_to_be_told() {
    let (mut world, alice, bob) = apart(1);
    world.faults.refused = 100;
    let id = world.write(alice, bob, "anybody there?");
    world.run_for(20 * SECOND);
    assert!(world.kept_at(0) > 0 && world.kept_at(1) > 0);
    world.faults.refused = 0;
    // Long before he would look by himself.
    world.run_for(2 * MINUTE);
    assert_eq!(world.read(bob, alice), ["hello", "anybody there?"]);
    world.run_for(2 * MINUTE);
    assert_eq!(world.state(alice, id), MessageState::Delivered);
}

#[test]
fn a_relay_does_not_go_on_telling_one_who_knows() {
    let (mut world, alice, bob) = apart(2);
    world.faults.refused = 100;
    world.write(alice, bob, "anybody there?");
    world.run_for(30 * MINUTE);
    let told = |world: &World| {
        let arrived = |request: &&_| matches!(request, (to, porchlight_wire::frame::Request::MailboxArrived { .. }) if *to == bob);
        world.delivered.iter().filter(arrived).count()
    };
    let tries = told(&world);
    assert!(tries < 120, "once a minute from each of two relays: {tries}");
    world.faults.refused = 0;
    world.run_for(5 * MINUTE);
    let tries = told(&world);
    world.run_for(30 * MINUTE);
    assert_eq!(told(&world), tries);
}

#[test]
fn what_lies_behind_more_than_one_list_names_is_found() {
    let (mut world, alice, bob) = apart(3);
    world.stopped(bob);
    // A relay that lost what was in three hundred envelopes, and still has them on its books.
    let mailbox = *world.members[0].disk.kept.keys().next().unwrap();
    let until = UnixMillis(world.unix().0 + DAY);
    let of_bob = |world: &World| -> Vec<_> { world.members[bob].disk.mailboxes.keys().copied().collect() };
    let mailbox = of_bob(&world)
        .into_iter()
        .find(|of_bob| world.members[0].disk.kept.contains_key(of_bob))
        .unwrap_or(mailbox);
    world.keeper_dies(0);
    world.keeper_dies(1);
    let keeper = &mut world.members[0].disk;
    let kept = keeper.kept.get_mut(&mailbox).unwrap();
    let first = kept.last + 1;
    kept.last += 300;
    for number in first..first + 300 {
        let row = DepositRow {
            mailbox,
            number,
            class: Class::Invited,
            bytes: 2_048,
            until,
        };
        keeper.deposits.insert((mailbox, number), row);
    }
    world.keeper_comes(0);
    world.write(alice, bob, "behind all that");
    world.run_for(MINUTE);
    world.stopped(alice);
    world.back(bob);
    assert_eq!(world.read(bob, alice), ["hello", "behind all that"]);
}

#[test]
fn rfc2779_5_4_2_a_thousand_messages_of_one_who_was_met_just_now_wait_for_one_who_is_away() {
    let mut world = World::with_keepers(4, 2);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    world.stopped(bob);
    let texts = numbered(0..1_000);
    let ids: Vec<_> = texts.iter().map(|text| world.write(alice, bob, text)).collect();
    world.run_for(10 * MINUTE);
    for id in &ids {
        let state = world.state(alice, *id);
        assert!(
            matches!(&state, MessageState::Stored { relays, .. } if relays.len() == 2),
            "{state:?}"
        );
    }
    world.stopped(alice);
    world.back(bob);
    world.run_for(MINUTE);
    assert_eq!(world.read(bob, alice), texts);
}

#[test]
fn rfc2779_5_4_2_what_a_crowd_writes_to_one_arrives_once_and_in_order() {
    let mut world = World::with_keepers(5, 2);
    let bob = world.join("bob");
    let crowd: Vec<Who> = (0..10).map(|number| world.join(&format!("sender{number}"))).collect();
    for sender in &crowd {
        world.meet(bob, *sender);
    }
    // Most of what comes finds no room, whichever way it comes.
    world.faults.refused = 70;
    let texts = numbered(0..100);
    for part in texts.chunks(20) {
        for sender in &crowd {
            for text in part {
                world.write(*sender, bob, text);
            }
        }
        world.run_for(SECOND);
    }
    world.run_for(MINUTE);
    world.faults.refused = 0;
    world.run_for(3 * MINUTE);
    for sender in &crowd {
        assert!(
            world.read(bob, *sender) == texts,
            "{} of 100 in order",
            in_order(&world.read(bob, *sender))
        );
    }
    let rows = world.members[bob].messages.values();
    assert_eq!(
        rows.filter(|row| row.after_gap).count(),
        0,
        "nothing is shown before what it follows"
    );
    world.run_for(5 * MINUTE);
    for sender in &crowd {
        assert!(world.nothing_waits(*sender), "and each of them knows");
    }
}

/// How many there are before the first that is not the next.
fn in_order(texts: &[String]) -> usize {
    let numbered = texts.iter().enumerate();
    numbered
        .take_while(|(number, text)| **text == number.to_string())
        .count()
}
