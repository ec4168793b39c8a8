//! Events and their consumers, idempotency keys, and what is on disk.

use crate::network::Site;
use crate::{Command, CommandError, DAY, Event, HOUR, MINUTE, Reply, SECOND, Status, World};
use porchlight_proto::input::{ConsumerStart, NewPresence};
use porchlight_proto::limits::{ANSWERS, CONSUMERS, EVENTS, EVENTS_SLACK};
use porchlight_proto::{Input, Node};
use porchlight_wire::ids::NodeId;
use porchlight_wire::keys::DeviceKeys;

fn consumer(name: &str, from: ConsumerStart) -> Command {
    let name = name.to_owned();
    Command::Consumer { name, from }
}

fn acknowledge(name: &str, number: u64) -> Command {
    let name = name.to_owned();
    Command::Acknowledge { name, number }
}

fn create_invite() -> Command {
    Command::CreateInvite {
        uses: 1,
        expires_in: HOUR,
        view: "contacts".to_owned(),
    }
}

#[test]
fn the_same_key_again_gets_the_same_answer_and_does_nothing() {
    let mut world = World::new(160);
    let alice = world.join("alice");
    let first = world.call_with(alice, create_invite(), Some("key-1")).unwrap();
    let again = world.call_with(alice, create_invite(), Some("key-1")).unwrap();
    assert_eq!(first, again);
    assert_eq!(world.members[alice].disk.invites.len(), 1);
    let other = world.call_with(alice, create_invite(), Some("key-2")).unwrap();
    assert_ne!(first, other);
    // Also after a restart, and for a day.
    world.kill(alice);
    world.boot(alice);
    world.run_for(HOUR / 2);
    assert_eq!(world.call_with(alice, create_invite(), Some("key-1")).unwrap(), first);
    assert_eq!(world.members[alice].disk.invites.len(), 2);
    world.run_for(DAY);
    world.call_with(alice, create_invite(), Some("key-3")).unwrap();
    assert_ne!(world.call_with(alice, create_invite(), Some("key-1")).unwrap(), first);
}

#[test]
fn a_call_repeated_while_it_is_under_way_gets_the_answer_of_the_first() {
    let mut world = World::new(161);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    let invite = world.invite(alice, 1);
    let add = Command::AddContact {
        invite,
        name: None,
        view: "contacts".to_owned(),
    };
    let first = world.ask(bob, add.clone(), Some("add"));
    world.run_for(100);
    let second = world.ask(bob, add.clone(), Some("add"));
    world.run_for(10 * SECOND);
    let third = world.call_with(bob, add, Some("add"));
    let first = world.members[bob].replies.remove(&first).unwrap();
    let second = world.members[bob].replies.remove(&second).unwrap();
    assert!(matches!(first, Ok(Reply::Contact(_))));
    assert_eq!(first, second);
    assert_eq!(first, third);
    assert_eq!(world.count(bob, |event| matches!(event, Event::ContactAdded { .. })), 1);
}

#[test]
fn a_refusal_is_not_remembered() {
    let mut world = World::new(162);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    let contact = "bob".to_owned();
    let unsubscribe = Command::Unsubscribe { contact };
    assert!(world.call_with(alice, unsubscribe.clone(), Some("key")).is_err());
    world.meet(alice, bob);
    assert!(world.call_with(alice, unsubscribe, Some("key")).is_ok());
}

#[test]
fn keys_are_bounded_in_length_and_number() {
    let mut world = World::new(163);
    let alice = world.join("alice");
    for bad in ["", "a b", "schlüssel", &"k".repeat(65)] {
        let refused = world.call_with(alice, Command::ListContacts, Some(bad));
        assert!(matches!(refused, Err(CommandError::Invalid { .. })), "{bad:?}");
    }
    for number in 0..ANSWERS + 50 {
        let key = format!("{number}{}", "k".repeat(50));
        world.call_with(alice, Command::ListContacts, Some(&key)).unwrap();
        world.run_for(10);
    }
    assert_eq!(world.members[alice].disk.answers.len(), ANSWERS);
    let oldest = format!("0{}", "k".repeat(50));
    assert!(
        !world.members[alice].disk.answers.contains_key(&oldest),
        "the oldest gave way"
    );
}

#[test]
fn a_consumer_begins_where_it_says_and_goes_on_from_what_it_acknowledged() {
    let mut world = World::new(164);
    let alice = world.join("alice");
    let newest = world.members[alice].disk.newest_event;
    assert!(newest > 0);
    let acknowledged = |reply: Result<Reply, CommandError>| match reply {
        Ok(Reply::Consumer { acknowledged, newest }) => (acknowledged, newest),
        other => panic!("no consumer: {other:?}"),
    };
    let oldest = world.call(alice, consumer("from-oldest", ConsumerStart::Oldest));
    assert_eq!(acknowledged(oldest), (0, newest));
    let now = world.call(alice, consumer("from-now", ConsumerStart::Now));
    assert_eq!(acknowledged(now), (newest, newest));
    world.set(alice, Status::Busy, None);
    let moved = world.call(alice, acknowledge("from-oldest", 2));
    assert_eq!(acknowledged(moved), (2, newest + 1));
    // Never back, never beyond, and not for nobody.
    let back = world.call(alice, acknowledge("from-oldest", 1));
    assert_eq!(acknowledged(back), (2, newest + 1));
    let beyond = world.call(alice, acknowledge("from-oldest", newest + 2));
    assert!(matches!(beyond, Err(CommandError::Invalid { .. })));
    let nobody = world.call(alice, acknowledge("nobody", 1));
    assert!(matches!(nobody, Err(CommandError::NotFound { .. })));
    // Where one is does not change by asking, also after a restart.
    world.kill(alice);
    world.boot(alice);
    for from in [ConsumerStart::Oldest, ConsumerStart::Now] {
        let shown = world.call(alice, consumer("from-oldest", from));
        assert_eq!(acknowledged(shown).0, 2);
    }
}

#[test]
fn old_events_are_dropped_and_a_consumer_left_behind_makes_room() {
    let mut world = World::new(165);
    let alice = world.join("alice");
    for number in 0..CONSUMERS {
        let name = format!("consumer {number}");
        world.call(alice, consumer(&name, ConsumerStart::Oldest)).unwrap();
    }
    let refused = world.call(alice, consumer("one more", ConsumerStart::Now));
    assert!(matches!(refused, Err(CommandError::Full { limit: CONSUMERS, .. })));

    let node = world.members[alice].config.seed_peers[0].node;
    while world.members[alice].disk.newest_event <= EVENTS + EVENTS_SLACK {
        world.input(alice, Input::Connected { node, relay: true });
        world.input(alice, Input::Disconnected { node });
    }
    let (oldest, kept) = (
        world.members[alice].disk.oldest_event,
        world.members[alice].log.len() as u64,
    );
    assert!(oldest > 1, "the oldest were dropped");
    assert!(kept <= EVENTS + EVENTS_SLACK);
    assert_eq!(world.members[alice].log.keys().next(), Some(&oldest));

    world.call(alice, consumer("one more", ConsumerStart::Oldest)).unwrap();
    assert_eq!(world.members[alice].disk.consumers.len(), CONSUMERS);
    assert_eq!(world.members[alice].disk.consumers["one more"].acknowledged, oldest - 1);
}

#[test]
fn a_restored_node_is_what_was_on_disk() {
    let mut world = World::new(166);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    world.invite(alice, 3);
    world.set(alice, Status::Busy, Some("a note"));
    world.call(alice, consumer("app", ConsumerStart::Oldest)).unwrap();
    world.run_for(MINUTE);
    for who in [alice, bob] {
        // After every step the world has compared the fold of all writes with the core's own snapshot.
        let member = &world.members[who];
        let clock = world.clock_of(who);
        let restored = Node::restore(member.disk.clone(), member.config.clone(), [1; 32], clock);
        assert!(restored.snapshot() == &member.disk);
        assert_eq!(
            restored.next_deadline(),
            None,
            "a node that was not started wants nothing"
        );
    }
}

#[test]
fn a_stopping_node_refuses_what_comes_and_answers_what_is_under_way() {
    let mut world = World::new(167);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    let invite = world.invite(alice, 2);
    world.meet(alice, bob);
    let contact = "alice".to_owned();
    let fetch = world.ask(bob, Command::Fetch { contact }, None);
    let carols = world.ask(
        bob,
        Command::AddContact {
            invite,
            name: None,
            view: "contacts".to_owned(),
        },
        None,
    );
    let stop = world.ask(bob, Command::Stop, None);
    let late = world.ask(bob, Command::ListContacts, None);
    world.run_for(10 * SECOND);
    assert!(world.members[bob].node.is_none(), "it has halted");
    assert_eq!(world.members[bob].replies[&stop], Ok(Reply::Stopping));
    assert_eq!(world.members[bob].replies[&fetch], Err(CommandError::Stopping));
    assert_eq!(world.members[bob].replies[&late], Err(CommandError::Stopping));
    assert!(world.members[bob].replies.contains_key(&carols));
    assert_eq!(world.sees(alice, bob), "closed");
    assert_eq!(world.members[bob].history.last().unwrap().event, Event::NodeStopping);
}

#[test]
fn a_node_that_stops_while_nobody_can_be_reached_halts_all_the_same() {
    let mut world = World::new(168);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    let everybody = world.everybody_else(bob);
    world.cut(Site::Member(bob), everybody);
    world.faults.lost_copies = 100;
    world.ask(bob, Command::Stop, None);
    world.run_for(5 * SECOND);
    assert!(world.members[bob].node.is_none());
}

#[test]
fn strangers_who_call_themselves_relays_are_no_events() {
    let mut world = World::new(170);
    let alice = world.join("alice");
    let before = world.members[alice].disk.newest_event;
    for _ in 0..100 {
        let node = NodeId::from_bytes(DeviceKeys::random(&mut world.rng).signing_public()).unwrap();
        world.input(alice, Input::Connected { node, relay: true });
        world.input(alice, Input::Disconnected { node });
    }
    assert_eq!(world.members[alice].disk.newest_event, before);
    let seed = world.members[alice].config.seed_peers[0].node;
    world.input(alice, Input::Disconnected { node: seed });
    assert!(
        world.members[alice].disk.newest_event > before,
        "one's own seed peer is worth one"
    );
}

#[test]
fn a_key_stands_for_one_call_only() {
    let mut world = World::new(171);
    let alice = world.join("alice");
    let Ok(Reply::Invite { uri, .. }) = world.call_with(alice, create_invite(), Some("key")) else {
        panic!("an invite")
    };
    let set = |status| Command::SetPresence(Box::new(NewPresence::status(status, Vec::new())));
    let other = world.call_with(alice, set(Status::Busy), Some("key"));
    assert!(matches!(&other, Err(CommandError::KeyInUse { key }) if key == "key"));
    assert!(!format!("{other:?}").contains(&uri));
    assert!(world.call_with(alice, set(Status::Busy), Some("status")).is_ok());
    assert!(world.call_with(alice, set(Status::Busy), Some("status")).is_ok());
    let changed = world.call_with(alice, set(Status::Away), Some("status"));
    assert!(matches!(changed, Err(CommandError::KeyInUse { .. })));
}

#[test]
fn relays_that_a_put_leads_to_are_no_reason_for_another_put() {
    let mut world = World::new(171);
    let alice = world.join("alice");
    world.run_for(5 * MINUTE);
    let puts = |world: &World| world.members[alice].puts;
    let node = NodeId::from_bytes(DeviceKeys::random(&mut world.rng).signing_public()).unwrap();
    let meet = |world: &mut World| {
        world.input(alice, Input::Connected { node, relay: true });
        world.run_for(40 * SECOND);
        world.input(alice, Input::Disconnected { node });
        world.run_for(40 * SECOND);
    };
    let before = puts(&world);
    meet(&mut world);
    let offered = puts(&world);
    assert!(
        offered > before,
        "one that was never met may not have what is published"
    );
    for _ in 0..5 {
        meet(&mut world);
    }
    assert_eq!(puts(&world), offered, "one that is met again is offered nothing");
    let seed = world.members[alice].config.seed_peers[0].node;
    world.input(alice, Input::Disconnected { node: seed });
    world.input(
        alice,
        Input::Connected {
            node: seed,
            relay: true,
        },
    );
    world.run_for(40 * SECOND);
    assert!(puts(&world) > offered, "one's own seed peer may have started anew");
}
