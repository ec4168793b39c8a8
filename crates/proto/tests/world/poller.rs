//! RFC 2778's poller: a fetcher that asks on a schedule.

use crate::member::identity;
use crate::removal::alice_with;
use crate::{Command, CommandError, DAY, HOUR, MINUTE, Reply, SECOND, Status, Who, World, word};
use porchlight_proto::event::{Event, Told};
use porchlight_proto::limits::{POLL_LEAST, POLL_MOST, POLLS};
use porchlight_proto::reply::PollInfo;
use porchlight_proto::rows::Projection;
use porchlight_wire::grant::Right;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::BTreeSet;

fn poll(world: &mut World, who: Who, every: u64) -> Result<PollInfo, CommandError> {
    let contact = "alice".to_owned();
    match world.call(who, Command::Poll { contact, every })? {
        Reply::Poll(info) => Ok(info),
        other => panic!("not a schedule: {other:?}"),
    }
}

fn unpoll(world: &mut World, who: Who) {
    let contact = "alice".to_owned();
    world.call(who, Command::Unpoll { contact }).unwrap();
}

fn polls(world: &mut World, who: Who) -> Vec<PollInfo> {
    match world.call(who, Command::ListPolls) {
        Ok(Reply::Polls(polls)) => polls,
        other => panic!("no schedules: {other:?}"),
    }
}

/// All that polls told.
fn polled(world: &World, who: Who) -> Vec<Told> {
    let history = &world.members[who].history;
    let told = history.iter().filter_map(|row| match &row.event {
        Event::PresencePolled { told, .. } => Some(Told::clone(told)),
        _ => None,
    });
    told.collect()
}

fn words(world: &World, who: Who) -> Vec<&'static str> {
    polled(world, who).iter().map(word).collect()
}

/// Alice, and bob, who may ask and is not notified.
fn alice_who_may_be_asked(seed: u8) -> (World, Who, Who) {
    let mut world = World::new(seed);
    let (alice, watchers) = alice_with(&mut world, &["bob"]);
    let create = Command::CreateView {
        name: "glance".to_owned(),
        projection: Projection::Full,
        rights: BTreeSet::from([Right::Fetch]),
        reach: None,
    };
    world.call(alice, create).unwrap();
    let moved = Command::UpdateContact {
        contact: "bob".to_owned(),
        name: None,
        view: Some("glance".to_owned()),
    };
    world.call(alice, moved).unwrap();
    world.run_for(MINUTE);
    (world, alice, watchers[0])
}

#[test]
fn rfc2779_2_3_2_who_may_only_ask_polls_and_is_told_what_has_changed() {
    let (mut world, alice, bob) = alice_who_may_be_asked(180);
    world.set(alice, Status::Busy, Some("writing"));
    world.run_for(MINUTE);
    let info = poll(&mut world, bob, 10 * MINUTE).unwrap();
    assert_eq!((info.every, info.polled), (Some(10 * MINUTE), None));
    world.run_for(10 * SECOND);
    assert_eq!(words(&world, bob), ["busy"], "the first time at once");
    assert_eq!(
        polled(&world, bob)[0].document.as_ref().unwrap().notes[0].text,
        "writing"
    );
    let info = &polls(&mut world, bob)[0];
    assert!(info.polled.is_some() && info.next.is_some_and(|next| next > world.unix()));
    world.run_for(2 * HOUR);
    assert_eq!(words(&world, bob), ["busy"], "nothing new is not told");
    world.set(alice, Status::Away, None);
    world.run_for(10 * MINUTE);
    assert_eq!(words(&world, bob), ["busy", "away"]);
    // Nobody is shown as there who was there when asked last.
    world.kill(alice);
    world.run_for(20 * MINUTE);
    assert_eq!(words(&world, bob), ["busy", "away", "closed (lapsed)"]);
}

#[test]
fn rfc2779_5_1_7_after_a_poll_is_stopped_nothing_comes_of_it() {
    let (mut world, alice, bob) = alice_who_may_be_asked(181);
    poll(&mut world, bob, POLL_LEAST).unwrap();
    // What is under way is not told either.
    unpoll(&mut world, bob);
    world.set(alice, Status::Busy, None);
    world.run_for(HOUR);
    assert_eq!(words(&world, bob), Vec::<&str>::new());
    assert_eq!(polls(&mut world, bob), []);
    unpoll(&mut world, bob);
    // Also when it was a contact that went.
    poll(&mut world, bob, POLL_LEAST).unwrap();
    let contact = "alice".to_owned();
    world.call(bob, Command::RemoveContact { contact }).unwrap();
    world.run_for(HOUR);
    assert_eq!(words(&world, bob), Vec::<&str>::new());
    assert_eq!(polls(&mut world, bob), []);
}

#[test]
fn a_schedule_outlives_a_restart() {
    let (mut world, alice, bob) = alice_who_may_be_asked(182);
    poll(&mut world, bob, HOUR).unwrap();
    world.run_for(MINUTE);
    assert_eq!(words(&world, bob), ["open"]);
    world.kill(bob);
    world.set(alice, Status::Busy, None);
    world.run_for(MINUTE);
    world.boot(bob);
    world.run_for(MINUTE);
    assert_eq!(words(&world, bob), ["open", "busy"], "asked at once when it is back");
    assert_eq!(polls(&mut world, bob)[0].every, Some(HOUR));
    // Another pace takes the place of the one before.
    poll(&mut world, bob, 2 * HOUR).unwrap();
    assert_eq!(polls(&mut world, bob).len(), 1);
    assert_eq!(polls(&mut world, bob)[0].every, Some(2 * HOUR));
}

#[test]
fn schedules_are_bounded_in_pace_and_number() {
    let (mut world, alice, bob) = alice_who_may_be_asked(183);
    for every in [0, POLL_LEAST - 1, POLL_MOST + 1, u64::MAX] {
        let refusal = poll(&mut world, bob, every);
        assert!(
            matches!(refusal, Err(CommandError::Invalid { .. })),
            "{every}: {refusal:?}"
        );
    }
    let model = world.members[bob].disk.contacts.values().next().unwrap().clone();
    let (now, mut rng) = (world.unix(), ChaCha20Rng::from_seed([183; 32]));
    world.kill(bob);
    for number in 0..POLLS {
        let mut other = model.clone();
        other.name = format!("other{number}");
        other.principal = identity(now, &mut rng).principal;
        other.poll = Some(DAY);
        world.members[bob].disk.contacts.insert(other.principal, other);
    }
    world.boot(bob);
    world.run_for(MINUTE);
    let refusal = poll(&mut world, bob, HOUR);
    assert!(
        matches!(refusal, Err(CommandError::Full { limit: POLLS, .. })),
        "{refusal:?}"
    );
    let contact = "other1".to_owned();
    world.call(bob, Command::Unpoll { contact }).unwrap();
    poll(&mut world, bob, HOUR).unwrap();
    // Whoever shows nothing any more cannot be asked.
    let contact = "bob".to_owned();
    world.call(alice, Command::RemoveContact { contact }).unwrap();
    world.run_for(MINUTE);
    unpoll(&mut world, bob);
    let refusal = poll(&mut world, bob, HOUR);
    assert!(matches!(refusal, Err(CommandError::Ended { .. })), "{refusal:?}");
}
