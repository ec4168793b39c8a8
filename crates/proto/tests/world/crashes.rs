//! Crashes at every commit point: before the commit, after it, and between two effects. What was promised is still there
//! after the restart, and nothing is said twice in two ways.

use crate::member::{Crash, CrashPoint};
use crate::{Command, Event, HOUR, MINUTE, Reply, SECOND, Status, SubscriptionState, Who, World};
use porchlight_proto::input::{ConsumerStart, NewPresence, Until};
use porchlight_wire::presence::Note;

const POINTS: [CrashPoint; 3] = [
    CrashPoint::BeforeCommit,
    CrashPoint::AfterCommit,
    CrashPoint::AfterOneEffect,
];

/// How many steps without a crash count as the end of a scenario.
const LONGEST: u64 = 200;

impl World {
    /// Lets time pass, and restarts whoever crashed meanwhile.
    pub fn run_restarting(&mut self, millis: u64) {
        let until = self.now + millis;
        while self.now < until {
            self.run_for((until - self.now).min(SECOND));
            self.restart_the_crashed(SECOND);
        }
    }

    fn restart_the_crashed(&mut self, after: u64) {
        for who in 0..self.members.len() {
            if self.members[who].node.is_none() && self.members[who].crashed {
                self.members[who].crashed = false;
                self.run_for(after);
                self.boot(who);
            }
        }
    }

    /// A client that repeats its call with the same key until it is answered.
    pub fn insist(&mut self, who: Who, command: &Command, key: &str) -> Reply {
        for _ in 0..5 {
            let request = self.ask(who, command.clone(), Some(key));
            for _ in 0..200 {
                if let Some(answer) = self.members[who].replies.remove(&request) {
                    return answer.unwrap();
                }
                if self.members[who].node.is_none() {
                    break;
                }
                self.run_for(100);
            }
            self.restart_the_crashed(SECOND);
        }
        panic!("{command:?} was never answered");
    }
}

/// Runs a scenario with a crash of `who` at each of its steps in turn, at each point around the commit.
fn at_every_step(seed: u8, mut scenario: impl FnMut(&mut World, &mut dyn FnMut(&mut World, Who), &str)) {
    for point in POINTS {
        let mut at = 0;
        loop {
            let mut world = World::new(seed);
            let mut planned = None;
            let label = format!("{point:?} at step {at}");
            scenario(
                &mut world,
                &mut |world, who| {
                    world.members[who].plan(Some(Crash { at, point }));
                    planned = Some(who);
                },
                &label,
            );
            let who = planned.expect("a scenario says who crashes");
            if world.members[who].crash.is_some() {
                // The scenario had fewer steps than this: it went through without a crash.
                assert!(at > 2, "hardly a step in it");
                break;
            }
            at += 1;
            assert!(at < LONGEST, "a scenario without an end");
        }
    }
}

fn presence(status: Status, note: &str) -> Command {
    let note = Note {
        lang: None,
        text: note.to_owned(),
    };
    Command::SetPresence(Box::new(NewPresence::status(status, vec![note])))
}

#[test]
fn a_crash_at_any_step_of_publishing_loses_nothing_and_uses_no_sequence_twice() {
    at_every_step(140, |world, plan, label| {
        let (alice, bob) = (world.join("alice"), world.join("bob"));
        world.meet(alice, bob);
        plan(world, alice);
        for (number, status) in [Status::Away, Status::Busy, Status::Closed, Status::Away]
            .into_iter()
            .enumerate()
        {
            let key = format!("key-{number}");
            world.insist(alice, &presence(status, &key), &key);
            let own = world.members[alice].disk.own.clone().unwrap();
            assert_eq!(
                own.state.unwrap().status,
                status,
                "{label}: an answered call is on disk"
            );
            world.run_restarting(7 * SECOND);
        }
        world.run_restarting(2 * MINUTE);
        // The world itself checks every record that leaves for its sequence, and every event for its number.
        assert_eq!(world.contacts(alice).len(), 1, "{label}");
        assert_eq!(world.sees(bob, alice), "away", "{label}");
        assert_eq!(world.sees(alice, bob), "open", "{label}");
        let changes = world.count(alice, |event| matches!(event, Event::OwnPresenceChanged(_)));
        assert_eq!(changes, 4, "{label}: a repeated call does nothing");
    });
}

#[test]
fn a_crash_at_any_step_of_a_status_for_a_while_neither_loses_it_nor_what_was_before() {
    at_every_step(146, |world, plan, label| {
        let (alice, bob) = (world.join("alice"), world.join("bob"));
        world.meet(alice, bob);
        world.set(alice, Status::Busy, None);
        plan(world, alice);
        let mut new = NewPresence::status(Status::Away, Vec::new());
        new.state.as_mut().unwrap().until = Some(Until::In(MINUTE));
        world.insist(alice, &Command::SetPresence(Box::new(new)), "key");
        world.run_restarting(30 * SECOND);
        assert_eq!(world.sees(bob, alice), "away", "{label}");
        world.run_restarting(2 * MINUTE);
        assert_eq!(world.sees(bob, alice), "busy", "{label}");
        let changes = world.count(alice, |event| matches!(event, Event::OwnPresenceChanged(_)));
        assert_eq!(changes, 3, "{label}: each change is told once");
    });
}

#[test]
fn a_crash_at_any_step_of_the_inviter_leaves_one_contact_on_each_side() {
    at_every_step(141, |world, plan, label| {
        let (alice, bob) = (world.join("alice"), world.join("bob"));
        plan(world, alice);
        first_contact(world, alice, bob, label);
    });
}

#[test]
fn a_crash_at_any_step_of_the_newcomer_leaves_one_contact_on_each_side() {
    at_every_step(142, |world, plan, label| {
        let (alice, bob) = (world.join("alice"), world.join("bob"));
        plan(world, bob);
        first_contact(world, alice, bob, label);
    });
}

fn first_contact(world: &mut World, alice: Who, bob: Who, label: &str) {
    let create = Command::CreateInvite {
        uses: 1,
        expires_in: HOUR,
        view: "contacts".to_owned(),
    };
    let Reply::Invite { uri, .. } = world.insist(alice, &create, "the-invite") else {
        panic!("an invite");
    };
    world.run_restarting(3 * SECOND);
    let add = Command::AddContact {
        invite: uri,
        name: Some("Alice".to_owned()),
        view: "contacts".to_owned(),
    };
    let Reply::Contact(added) = world.insist(bob, &add, "the-contact") else {
        panic!("a contact");
    };
    assert_eq!(added.name, "Alice", "{label}");
    world.run_restarting(10 * MINUTE);
    assert_eq!(world.members[alice].disk.invites.len(), 1, "{label}");
    for (one, other) in [(alice, bob), (bob, alice)] {
        let contacts = world.contacts(one);
        assert_eq!(contacts.len(), 1, "{label}");
        let contact = &contacts[0];
        assert_eq!(contact.principal, world.members[other].principal());
        assert_eq!(contact.subscription, Some(SubscriptionState::Active), "{label}");
        assert!(contact.view.is_some(), "{label}");
        assert_eq!((contact.waiting, contact.problem), (0, None), "{label}");
        let added = world.count(one, |event| matches!(event, Event::ContactAdded { .. }));
        assert_eq!(added, 1, "{label}");
        assert_eq!(world.sees(one, other), "open", "{label}");
        // Each still publishes under the generation that the other holds.
        let held = world.members[other].disk.contacts[&world.members[one].principal()]
            .held
            .clone();
        let view = world.members[one].disk.views["contacts"].clone();
        assert_eq!(held.map(|held| held.read), Some(view.key.read_key()), "{label}");
    }
    let used = world.count(alice, |event| matches!(event, Event::InviteUsed { .. }));
    let approved = world.count(alice, |event| matches!(event, Event::WatcherApproved { .. }));
    assert_eq!((used, approved), (1, 1), "{label}");
}

/// A local client that deals with each event once: it remembers the last one in its own store, and acknowledges.
#[derive(Default)]
struct Reader {
    dealt_with: Vec<(u64, Event)>,
}

impl Reader {
    fn read(&mut self, world: &mut World, who: Who) {
        let Some(consumer) = world.members[who].disk.consumers.get("reader").cloned() else {
            let name = "reader".to_owned();
            let from = ConsumerStart::Oldest;
            world.insist(who, &Command::Consumer { name, from }, "a-consumer");
            return;
        };
        let mine = self.dealt_with.last().map_or(0, |(number, _)| *number);
        assert!(
            consumer.acknowledged <= mine,
            "nothing is acknowledged that was not dealt with"
        );
        for (number, row) in world.members[who].log.range(consumer.acknowledged + 1..) {
            if *number > mine {
                self.dealt_with.push((*number, row.event.clone()));
            }
        }
        if let Some((number, _)) = self.dealt_with.last() {
            let name = "reader".to_owned();
            world.ask(who, Command::Acknowledge { name, number: *number }, None);
        }
    }
}

#[test]
fn an_acknowledging_consumer_loses_no_event_and_gets_none_twice_whenever_the_node_crashes() {
    at_every_step(143, |world, plan, label| {
        let (alice, bob) = (world.join("alice"), world.join("bob"));
        let mut reader = Reader::default();
        plan(world, bob);
        let invite = Command::CreateInvite {
            uses: 1,
            expires_in: HOUR,
            view: "contacts".to_owned(),
        };
        let Reply::Invite { uri, .. } = world.insist(alice, &invite, "the-invite") else {
            panic!("an invite");
        };
        world.run_for(SECOND);
        let name = None;
        let view = "contacts".to_owned();
        world.insist(
            bob,
            &Command::AddContact {
                invite: uri,
                name,
                view,
            },
            "the-contact",
        );
        for status in [Status::Away, Status::Busy, Status::Open, Status::Closed] {
            world.set(alice, status, None);
            for _ in 0..4 {
                world.run_restarting(SECOND);
                reader.read(world, bob);
                world.restart_the_crashed(SECOND);
            }
        }
        world.run_restarting(2 * MINUTE);
        reader.read(world, bob);
        world.restart_the_crashed(SECOND);
        world.run_for(SECOND);
        reader.read(world, bob);
        let committed: Vec<(u64, Event)> = world.members[bob]
            .history
            .iter()
            .map(|row| (row.number, row.event.clone()))
            .collect();
        assert_eq!(reader.dealt_with, committed, "{label}");
        let seen = world.notified(bob, alice);
        assert_eq!(seen.last(), Some(&"closed"), "{label}");
    });
}

#[test]
fn the_sequence_goes_on_above_the_ceiling_however_often_a_node_is_killed() {
    let mut world = World::new(144);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    let mut newest = 0;
    for round in 0..30 {
        world.kill(alice);
        // A clock that jumps about is no excuse.
        world.members[alice].skew = if round % 3 == 0 { -20_000 } else { 0 };
        world.boot(alice);
        world.set(alice, if round % 2 == 0 { Status::Busy } else { Status::Away }, None);
        world.run_for(2 * SECOND);
        let sequence = world.members[alice]
            .records
            .values()
            .map(|record| record.sequence())
            .max()
            .unwrap();
        assert!(sequence > newest);
        assert!(
            sequence <= world.members[alice].disk.ceiling,
            "the ceiling is above what was used"
        );
        newest = sequence;
    }
    assert_eq!(world.sees(bob, alice), "away");
}

#[test]
fn refreshing_does_not_cost_a_commit_each_time() {
    let mut world = World::new(145);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    // What bob's records make her write is not what is counted here.
    world.kill(bob);
    world.run_for(5 * MINUTE);
    world.members[alice].plan(None);
    world.run_for(50 * MINUTE);
    let commits = world.members[alice].commits;
    assert!(commits <= 2, "{commits} commits for 50 refreshes");
}

#[test]
fn a_copy_of_the_home_that_is_put_back_is_believed_at_once() {
    let mut world = World::new(97);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    world.run_for(MINUTE);
    world.stop(alice);
    let copy = world.members[alice].disk.clone();
    world.boot(alice);
    world.set(alice, Status::Busy, Some("since the copy"));
    world.run_for(MINUTE);
    assert_eq!(world.sees(bob, alice), "busy");
    world.stop(alice);
    world.run_for(SECOND);
    assert_eq!(world.sees(bob, alice), "closed");
    let member = &mut world.members[alice];
    // The log is in the home too.
    member.history.retain(|row| row.number <= copy.newest_event);
    member.log.retain(|number, _| *number <= copy.newest_event);
    member.disk = copy;
    world.boot(alice);
    world.run_for(MINUTE);
    assert_eq!(world.sees(bob, alice), "open", "as the copy has it");
}
