//! Messages for those who are away: kept by relays, which may lose, withhold, hide or repeat them, and are killed in between.

use crate::member::{Crash, CrashPoint, Mischief};
use crate::messages::{new_message, numbered};
use crate::network::Site;
use crate::{Command, CommandError, DAY, HOUR, MINUTE, Reply, SECOND, Who, World};
use porchlight_proto::messaging::rows::MessageState;
use porchlight_wire::frame::Request;
use porchlight_wire::ids::RandomId;
use porchlight_wire::time::UnixMillis;

/// Two friends who have written to each other before, with two relays; the second one has gone.
fn one_away(seed: u8) -> (World, Who, Who) {
    let mut world = World::with_keepers(seed, 2);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    world.write(alice, bob, "hello");
    world.write(bob, alice, "hello");
    world.run_for(MINUTE);
    assert!(world.nothing_waits(alice) && world.nothing_waits(bob));
    world.stopped(bob);
    (world, alice, bob)
}

fn all_and_hello(texts: &[String]) -> Vec<String> {
    [&["hello".to_owned()], texts].concat()
}

impl World {
    fn write_all(&mut self, from: Who, to: Who, texts: &[String]) -> Vec<RandomId> {
        texts.iter().map(|text| self.write(from, to, text)).collect()
    }

    fn relays_of(&self, who: Who, id: RandomId) -> usize {
        match self.state(who, id) {
            MessageState::Stored { relays, until } => {
                assert!(until > self.unix(), "it says until when");
                relays.len()
            }
            other => panic!("{other:?}"),
        }
    }

    fn gaps(&self) -> usize {
        let rows = self.members.iter().flat_map(|member| member.messages.values());
        rows.filter(|row| row.after_gap).count()
    }
}

#[test]
fn rfc2779_2_3_7_and_5_4_2_messages_and_receipts_wait_for_two_who_are_never_there_at_once() {
    let (mut world, alice, bob) = one_away(1);
    let texts = numbered(0..100);
    let ids = world.write_all(alice, bob, &texts);
    world.run_for(5 * MINUTE);
    for id in &ids {
        assert_eq!(world.relays_of(alice, *id), 2, "both relays have it");
    }
    assert!(world.kept_at(0) <= 6, "what waited meanwhile went together");
    world.stopped(alice);

    world.back(bob);
    assert_eq!(world.read(bob, alice), all_and_hello(&texts));
    assert_eq!(world.gaps(), 0);
    world.run_for(5 * MINUTE);
    assert!(world.disk_owes_nothing(bob), "the relays have his receipts");
    world.stopped(bob);

    world.back(alice);
    assert!(ids.iter().all(|id| world.state(alice, *id) == MessageState::Delivered));
    assert!(world.nothing_waits(alice));
    // He is read from the same way.
    world.stopped(alice);
    world.back(bob);
    world.write(bob, alice, "all there");
    world.run_for(5 * MINUTE);
    world.stopped(bob);
    world.back(alice);
    assert_eq!(world.read(alice, bob), ["hello", "all there"]);
    world.stopped(alice);
    world.back(bob);
    assert_eq!(
        (world.kept_at(0), world.kept_at(1)),
        (0, 0),
        "what was taken is deleted, and her receipt was the last"
    );
}

impl World {
    fn disk_owes_nothing(&self, who: Who) -> bool {
        let mut rows = self.members[who].disk.conversations.values();
        rows.all(|row| row.owed.is_empty())
    }
}

#[test]
fn a_first_message_waits_for_one_who_is_away() {
    let mut world = World::with_keepers(2, 2);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    world.stopped(bob);
    world.write(alice, bob, "hello");
    world.run_for(MINUTE);
    world.stopped(alice);
    world.back(bob);
    assert_eq!(world.read(bob, alice), ["hello"]);
}

#[test]
fn one_of_two_relays_may_be_destroyed() {
    let (mut world, alice, bob) = one_away(3);
    let texts = numbered(0..80);
    let ids = world.write_all(alice, bob, &texts);
    world.run_for(5 * MINUTE);
    world.stopped(alice);
    // Its disk is gone, too.
    world.members[0].disk.deposits.clear();
    world.members[0].bodies.clear();
    world.members[0].disk.kept.clear();
    world.keeper_dies(0);
    world.back(bob);
    assert_eq!(world.read(bob, alice), all_and_hello(&texts));
    world.run_for(HOUR);
    world.stopped(bob);
    world.back(alice);
    assert!(ids.iter().all(|id| world.state(alice, *id) == MessageState::Delivered));
}

#[test]
fn relays_that_withhold_or_hide_or_repeat_neither_lose_nor_double_a_message() {
    for mischief in [Mischief::Hides, Mischief::Withholds, Mischief::Repeats] {
        let (mut world, alice, bob) = one_away(4);
        world.members[0].mischief = mischief;
        let texts = numbered(0..50);
        let ids = world.write_all(alice, bob, &texts);
        world.run_for(5 * MINUTE);
        world.stopped(alice);
        world.back(bob);
        world.run_for(HOUR);
        assert_eq!(world.read(bob, alice), all_and_hello(&texts), "{mischief:?}");
        world.stopped(bob);
        world.back(alice);
        world.run_for(HOUR);
        let delivered = |id: &RandomId| world.state(alice, *id) == MessageState::Delivered;
        assert!(ids.iter().all(delivered), "{mischief:?}");
    }
}

#[test]
fn what_both_relays_lost_arrives_when_the_two_are_there_at_once() {
    let (mut world, alice, bob) = one_away(5);
    let texts = numbered(0..50);
    let ids = world.write_all(alice, bob, &texts);
    world.run_for(5 * MINUTE);
    for relay in [0, 1] {
        world.members[relay].disk.deposits.clear();
        world.members[relay].bodies.clear();
        world.keeper_dies(relay);
        world.keeper_comes(relay);
    }
    world.back(bob);
    world.run_for(5 * MINUTE);
    assert_eq!(world.read(bob, alice), all_and_hello(&texts));
    assert!(ids.iter().all(|id| world.state(alice, *id) == MessageState::Delivered));
    assert!(world.nothing_waits(alice));
}

#[test]
fn a_message_that_is_taken_back_before_a_relay_has_it_is_not_left() {
    let (mut world, alice, bob) = one_away(6);
    world.keeper_dies(0);
    world.keeper_dies(1);
    let ids = world.write_all(alice, bob, &numbered(0..5));
    world.run_for(MINUTE);
    assert!(ids.iter().all(|id| world.state(alice, *id) == MessageState::Queued));
    world.call(alice, Command::CancelMessage { message: ids[2] }).unwrap();
    world.keeper_comes(0);
    world.keeper_comes(1);
    world.run_for(2 * HOUR);
    world.stopped(alice);
    world.back(bob);
    assert_eq!(world.read(bob, alice), ["hello", "0", "1", "3", "4"]);
    assert_eq!(world.gaps(), 0, "nothing is missed");
}

#[test]
fn what_is_to_go_over_a_connection_only_is_left_nowhere() {
    let (mut world, alice, bob) = one_away(7);
    let mut new = new_message("bob", "for your eyes");
    new.direct_only = true;
    let id = world.write_as(alice, new).unwrap();
    world.write(alice, bob, "and this");
    world.run_for(5 * MINUTE);
    assert_eq!(world.state(alice, id), MessageState::Queued);
    world.back(bob);
    world.run_for(5 * MINUTE);
    // The two go different ways, and neither waits for the other.
    let mut read = world.read(bob, alice);
    read.sort();
    assert_eq!(read, ["and this", "for your eyes", "hello"]);
}

#[test]
fn messages_reach_one_who_comes_back_after_days() {
    let (mut world, alice, bob) = one_away(8);
    let mut texts = Vec::new();
    for day in 0..6 {
        let new = numbered(day * 10..day * 10 + 10);
        world.write_all(alice, bob, &new);
        texts.extend(new);
        world.run_for(HOUR);
        world.stopped(alice);
        world.run_for(23 * HOUR);
        world.back(alice);
    }
    world.stopped(alice);
    world.back(bob);
    assert_eq!(world.read(bob, alice), all_and_hello(&texts));
    assert_eq!(world.gaps(), 0);
}

#[test]
fn rfc2779_5_4_1_what_nobody_fetched_in_time_is_reported() {
    let (mut world, alice, bob) = one_away(9);
    let mut new = new_message("bob", "soon over");
    new.expires_in = Some(DAY);
    let id = world.write_as(alice, new).unwrap();
    world.run_for(DAY + MINUTE);
    assert_eq!(world.state(alice, id), MessageState::Expired);
    assert!(world.nothing_waits(alice));
    world.stopped(alice);
    world.back(bob);
    assert_eq!(
        world.read(bob, alice),
        ["hello"],
        "nor is it shown when it comes too late"
    );
}

#[test]
fn a_crash_at_any_step_of_sender_recipient_or_relay_loses_and_doubles_nothing() {
    for (crashing, steps) in [(0, 40), (2, 60), (3, 60)] {
        for point in [
            CrashPoint::BeforeCommit,
            CrashPoint::AfterCommit,
            CrashPoint::AfterOneEffect,
        ] {
            for at in 0..steps {
                let label = format!("{point:?} of {crashing} at step {at}");
                let (mut world, alice, bob) = one_away(10);
                assert_eq!((alice, bob), (2, 3));
                world.members[crashing].plan(Some(Crash { at, point }));
                for (number, key) in ["a", "b", "c"].into_iter().enumerate() {
                    let command = Command::SendMessage(Box::new(new_message("bob", &number.to_string())));
                    world.insist(alice, &command, key);
                    world.run_restarting(SECOND);
                }
                world.run_restarting(5 * MINUTE);
                world.kill(alice);
                world.run_restarting(MINUTE);
                world.boot(bob);
                world.run_restarting(5 * MINUTE);
                assert_eq!(world.read(bob, alice), all_and_hello(&numbered(0..3)), "{label}");
                world.kill(bob);
                world.run_restarting(MINUTE);
                world.boot(alice);
                world.run_restarting(5 * MINUTE);
                assert!(world.nothing_waits(alice), "{label}");
                if world.members[crashing].crash.is_some() {
                    assert!(at > 5, "hardly a step in it");
                    break;
                }
            }
        }
    }
}

#[test]
fn whoever_writes_more_than_may_wait_is_told() {
    let (mut world, alice, bob) = one_away(11);
    for number in 0..5_000 {
        world.write(alice, bob, &number.to_string());
    }
    let more = world.write_as(alice, new_message("bob", "one more"));
    assert!(matches!(more, Err(CommandError::Full { limit: 5_000, .. })), "{more:?}");
    let Ok(Reply::MessagesRetried { waiting: 5_000 }) = world.call(alice, Command::RetryMessages { contact: None })
    else {
        panic!("all of them wait");
    };
    world.run_for(HOUR);
    world.back(bob);
    world.run_for(HOUR);
    assert_eq!(world.read(bob, alice).len(), 5_001);
    assert!(world.nothing_waits(alice));
}

#[test]
fn what_was_sealed_to_a_key_that_was_replaced_meanwhile_is_opened() {
    let (mut world, alice, bob) = one_away(12);
    world.write(alice, bob, "to the old key");
    world.run_for(5 * MINUTE);
    world.stopped(alice);
    let old = world.members[bob].disk.identity.envelope.public();
    // A week is over for him when he comes back.
    world.members[bob].disk.identity.envelope_since = UnixMillis(world.unix().0 - 8 * DAY);
    world.back(bob);
    let identity = world.members[bob].disk.identity.clone();
    assert_ne!(identity.envelope.public(), old);
    assert_eq!(identity.retired.len(), 1);
    assert_eq!(world.read(bob, alice), ["hello", "to the old key"]);
    world.back(alice);
    world.write(alice, bob, "to the new one");
    world.run_for(5 * MINUTE);
    assert_eq!(world.read(bob, alice), ["hello", "to the old key", "to the new one"]);
    // And what nothing can come for any more is forgotten.
    world.stopped(alice);
    world.stopped(bob);
    world.run_for(50 * DAY);
    world.back(bob);
    let retired = &world.members[bob].disk.identity.retired;
    assert!(retired.iter().all(|retired| retired.key.public() != old));
}

#[test]
fn who_names_no_address_is_written_to_by_their_mailboxes() {
    let mut world = World::with_keepers(13, 2);
    let alice = world.join("alice");
    let bob = world.join_silently("bob");
    world.members[bob].config.card_addresses = false;
    world.boot(bob);
    world.run_for(MINUTE);
    world.meet(alice, bob);
    let id = world.write(alice, bob, "hello");
    world.run_for(5 * MINUTE);
    assert_eq!(world.read(bob, alice), ["hello"]);
    assert_eq!(world.state(alice, id), MessageState::Delivered);
}

#[test]
fn a_relay_that_shows_only_what_came_last_costs_nothing() {
    let (mut world, alice, bob) = one_away(14);
    let texts = numbered(0..120);
    let ids = world.write_all(alice, bob, &texts);
    world.run_for(5 * MINUTE);
    world.stopped(alice);
    // The last envelope at the first relay skips more keys than Olm keeps.
    let last = world.members[0]
        .disk
        .deposits
        .keys()
        .max_by_key(|(_, number)| *number)
        .copied()
        .unwrap();
    world.members[0].disk.deposits.retain(|key, _| *key == last);
    world.members[0].bodies.retain(|key, _| *key == last);
    world.keeper_dies(0);
    world.keeper_dies(1);
    world.keeper_comes(0);
    world.boot(bob);
    world.run_for(MINUTE);
    assert_eq!(world.read(bob, alice), ["hello"], "it is left there for now");
    world.keeper_comes(1);
    world.run_for(10 * MINUTE);
    assert_eq!(world.read(bob, alice), all_and_hello(&texts));
    assert_eq!(world.gaps(), 0);
    world.stopped(bob);
    world.back(alice);
    assert!(ids.iter().all(|id| world.state(alice, *id) == MessageState::Delivered));
}

#[test]
fn what_comes_early_stays_in_its_mailbox_until_what_another_relay_has_was_read() {
    let (mut world, alice, bob) = one_away(16);
    let texts = numbered(0..160);
    for texts in texts.chunks(40) {
        world.write_all(alice, bob, texts);
        world.run_for(5 * MINUTE);
    }
    world.stopped(alice);
    // One relay has lost all but the last envelope, which comes some hundred messages after what was read last: more than Olm keeps keys
    // of. The other one has everything, and is not there at first.
    let disk = &mut world.members[0].disk;
    let last = *disk.deposits.keys().next_back().unwrap();
    assert!(disk.deposits.len() >= 5);
    disk.deposits.retain(|key, _| *key == last);
    world.members[0].bodies.retain(|key, _| *key == last);
    world.keeper_dies(0);
    world.keeper_comes(0);
    world.keeper_dies(1);
    world.back(bob);
    assert_eq!(world.read(bob, alice), ["hello"]);
    assert_eq!(world.kept_at(0), 1, "it stays where it is");
    world.keeper_comes(1);
    world.run_for(5 * MINUTE);
    assert_eq!(world.read(bob, alice), all_and_hello(&texts));
    assert_eq!(world.gaps(), 0);
}

/// Found by the simulation of slow lines: the owner looked only a quarter of an hour later, when their own time had come.
#[test]
fn an_owner_who_did_not_hear_that_something_arrived_is_told_again() {
    let (mut world, alice, bob) = one_away(30);
    world.back(bob);
    // The two reach the relays and not each other; what the relays then say to him is lost.
    world.cut(Site::Member(alice), [Site::Member(bob)]);
    world.run_for(MINUTE);
    let before = world.delivered.len();
    world.write(alice, bob, "are you there?");
    world.run_until("both copies are on their way", |world| {
        let sent = world.delivered[before..].iter();
        sent.filter(|(_, request)| matches!(request, Request::MailboxDeposit { .. }))
            .count()
            == 2
    });
    world.faults.lost_requests = 100;
    world.run_for(SECOND);
    world.faults.lost_requests = 0;
    assert!(world.kept_at(0) > 0 && world.kept_at(1) > 0, "both relays have it");
    assert_eq!(world.read(bob, alice), ["hello"]);
    world.run_for(MINUTE);
    assert_eq!(world.read(bob, alice), ["hello", "are you there?"]);
}
