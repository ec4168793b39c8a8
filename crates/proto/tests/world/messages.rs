//! Instant messages: once, in order, and their senders know what became of them; whatever is lost, killed or played back.

use crate::member::{Crash, CrashPoint};
use crate::network::Site;
use crate::{Command, CommandError, DAY, Event, HOUR, MINUTE, Reply, SECOND, Who, World};
use porchlight_proto::input::{ExchangeId, Input, NewMessage};
use porchlight_proto::messaging::rows::{ConversationRow, FailureReason, MessageState};
use porchlight_proto::rows::Status;
use porchlight_wire::frame::{Refusal, Request, Response};
use porchlight_wire::ids::RandomId;
use porchlight_wire::message::{Body, TEXT_PLAIN};
use std::collections::BTreeMap;

pub fn new_message(contact: &str, text: &str) -> NewMessage {
    NewMessage {
        contact: contact.to_owned(),
        subject: None,
        bodies: vec![Body::text(text)],
        reply_to: Vec::new(),
        thread: None,
        in_reply_to: None,
        headers: BTreeMap::new(),
        expires_in: None,
        direct_only: false,
        copies: None,
        sign: false,
    }
}

impl World {
    /// Writes to somebody by name.
    pub fn write(&mut self, from: Who, to: Who, text: &str) -> RandomId {
        let contact = self.members[to].name.clone();
        self.write_as(from, new_message(&contact, text)).unwrap()
    }

    pub fn write_as(&mut self, from: Who, new: NewMessage) -> Result<RandomId, CommandError> {
        match self.call(from, Command::SendMessage(Box::new(new)))? {
            Reply::MessageQueued { message, .. } => Ok(message),
            other => panic!("{other:?}"),
        }
    }

    /// The texts that came from somebody, in the order in which they were shown.
    pub fn read(&self, who: Who, from: Who) -> Vec<String> {
        let rows = self.members[who].messages.values();
        rows.filter(|row| !row.outgoing && row.contact == self.members[from].principal())
            .map(|row| row.message.text().unwrap().to_owned())
            .collect()
    }

    /// How far a message came, as its sender was told.
    pub fn state(&self, who: Who, id: RandomId) -> MessageState {
        let member = &self.members[who];
        let row = member.messages.values().find(|row| row.message.id == id).unwrap();
        member.message_states[&row.number].clone()
    }

    /// All states of a message that its sender was told of, in order.
    pub fn states(&self, who: Who, id: RandomId) -> Vec<MessageState> {
        let history = self.members[who].history.iter();
        history
            .filter_map(|row| match &row.event {
                Event::MessageChanged(change) if change.message == id => Some(change.state.clone()),
                _ => None,
            })
            .collect()
    }

    pub fn nothing_waits(&self, who: Who) -> bool {
        let disk = &self.members[who].disk;
        disk.outbox.is_empty() && disk.sealed.is_empty() && disk.parcels.is_empty()
    }
}

fn friends(seed: u8) -> (World, Who, Who) {
    let mut world = World::new(seed);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    (world, alice, bob)
}

pub fn numbered(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[test]
fn each_side_commits_a_message_once_at_once_and_what_follows_when_there_is_time() {
    let (mut world, alice, bob) = friends(21);
    for (from, to) in [(alice, bob), (bob, alice), (alice, bob)] {
        world.write(from, to, "hello");
        world.run_for(5 * SECOND);
    }
    let urgent = |world: &World| (world.members[alice].urgent, world.members[bob].urgent);
    let (by_alice, by_bob) = urgent(&world);
    let id = world.write(alice, bob, "one more");
    world.run_for(5 * SECOND);
    assert_eq!(world.state(alice, id), MessageState::Delivered);
    // His second one is that he sends a receipt. That the message was taken, that it is there and that she knows is noted besides.
    assert_eq!(urgent(&world), (by_alice + 1, by_bob + 2));
}

#[test]
fn rfc2779_4_2_1_and_5_4_2_a_message_comes_once_and_its_sender_learns_how_far_it_came() {
    let (mut world, alice, bob) = friends(1);
    let id = world.write(alice, bob, "hello");
    world.run_for(5 * SECOND);
    assert_eq!(world.read(bob, alice), ["hello"]);
    let states = world.states(alice, id);
    assert_eq!(states.first(), Some(&MessageState::Queued));
    assert_eq!(states.last(), Some(&MessageState::Delivered));
    let command = Command::MarkRead {
        contact: "alice".to_owned(),
        up_to: None,
    };
    let Ok(Reply::MarkedRead { read: 1, unread: 0, .. }) = world.call(bob, command.clone()) else {
        panic!("one message was marked as read");
    };
    world.run_for(5 * SECOND);
    assert_eq!(world.state(alice, id), MessageState::Read);
    // Marking again tells nobody anything.
    let before = world.delivered.len();
    world.call(bob, command).unwrap();
    world.run_for(MINUTE);
    let receipts = world.delivered[before..].iter();
    assert_eq!(receipts.filter(|(to, _)| *to == alice).count(), 0);
    assert!(world.nothing_waits(alice) && world.nothing_waits(bob));
}

#[test]
fn rfc2779_5_4_4_an_answer_names_what_it_answers_and_where_to_answer_is_told() {
    let (mut world, alice, bob) = friends(2);
    let thread = RandomId::from_bytes([5; 16]);
    let mut new = new_message("bob", "lunch?");
    new.subject = Some("today".to_owned());
    new.thread = Some(thread);
    new.reply_to = vec!["im:alice@example.org".to_owned()];
    new.headers.insert("X-Place".to_owned(), "outside".to_owned());
    new.bodies.push(Body {
        media_type: "application/x-encrypted".to_owned(),
        lang: Some("de".to_owned()),
        content: vec![0, 0xff, 7],
    });
    new.sign = true;
    let id = world.write_as(alice, new).unwrap();
    world.run_for(5 * SECOND);
    let came = world.members[bob].messages[&1].clone();
    assert_eq!(came.message.id, id);
    assert_eq!(came.signed_by, Some(world.members[alice].disk.identity.device.id()));
    assert_eq!(came.message.subject.as_deref(), Some("today"));
    assert_eq!(came.message.reply_to, ["im:alice@example.org"]);
    assert_eq!(came.message.headers["X-Place"], "outside");
    assert_eq!(came.message.bodies[1].content, [0, 0xff, 7]);
    assert_eq!(came.message.bodies[0].media_type, TEXT_PLAIN);
    let mut answer = new_message("alice", "gladly");
    answer.in_reply_to = Some(id);
    answer.thread = came.message.thread;
    world.write_as(bob, answer).unwrap();
    world.run_for(5 * SECOND);
    let answer = world.members[alice].messages[&2].message.clone();
    assert_eq!((answer.in_reply_to, answer.thread), (Some(id), Some(thread)));
    assert_eq!(answer.signature, None, "nothing is signed unless it is asked for");
}

#[test]
fn what_is_written_while_the_other_is_away_comes_in_order_when_both_are_there() {
    let (mut world, alice, bob) = friends(3);
    world.stop(bob);
    let ids: Vec<RandomId> = (0..100)
        .map(|number| world.write(alice, bob, &number.to_string()))
        .collect();
    world.run_for(DAY);
    assert!(ids.iter().all(|id| world.state(alice, *id) == MessageState::Queued));
    // She restarts, too.
    world.kill(alice);
    world.run_for(MINUTE);
    world.boot(alice);
    world.boot(bob);
    world.run_for(10 * MINUTE);
    assert_eq!(world.read(bob, alice), numbered(0..100));
    assert!(ids.iter().all(|id| world.state(alice, *id) == MessageState::Delivered));
    assert!(world.nothing_waits(alice));
}

#[test]
fn rfc2779_5_4_2_a_lossy_network_neither_loses_doubles_nor_reorders() {
    let (mut world, alice, bob) = friends(4);
    world.faults.lost_requests = 30;
    world.faults.lost_answers = 30;
    for number in 0..60 {
        world.write(alice, bob, &number.to_string());
        world.write(bob, alice, &number.to_string());
        world.run_for(300);
    }
    world.run_for(2 * HOUR);
    assert_eq!(world.read(bob, alice), numbered(0..60));
    assert_eq!(world.read(alice, bob), numbered(0..60));
    world.faults.lost_requests = 0;
    world.faults.lost_answers = 0;
    world.run_for(7 * HOUR);
    assert!(
        world.nothing_waits(alice) && world.nothing_waits(bob),
        "receipts came, too"
    );
    let gaps = world.members.iter().flat_map(|member| member.messages.values());
    assert_eq!(gaps.filter(|row| row.after_gap).count(), 0);
}

#[test]
fn a_crash_at_any_step_of_the_sender_loses_and_doubles_nothing() {
    crash_at_every_step(5, |_, alice, _| alice);
}

#[test]
fn a_crash_at_any_step_of_the_recipient_loses_and_doubles_nothing() {
    crash_at_every_step(6, |_, _, bob| bob);
}

/// Two messages and an answer, with a crash of one of the two at each of its steps, at each point around the commit.
fn crash_at_every_step(seed: u8, who: impl Fn(&World, Who, Who) -> Who) {
    for point in [
        CrashPoint::BeforeCommit,
        CrashPoint::AfterCommit,
        CrashPoint::AfterOneEffect,
    ] {
        for at in 0.. {
            let label = format!("{point:?} at step {at}");
            let (mut world, alice, bob) = friends(seed);
            let crashing = who(&world, alice, bob);
            world.members[crashing].plan(Some(Crash { at, point }));
            for (from, text, key) in [(alice, "one", "a"), (alice, "two", "b"), (bob, "three", "c")] {
                let contact = if from == alice { "bob" } else { "alice" };
                let command = Command::SendMessage(Box::new(new_message(contact, text)));
                world.insist(from, &command, key);
                world.run_restarting(SECOND);
            }
            world.run_restarting(5 * MINUTE);
            let went_through = world.members[crashing].crash.is_some();
            assert_eq!(world.read(bob, alice), ["one", "two"], "{label}");
            assert_eq!(world.read(alice, bob), ["three"], "{label}");
            assert!(world.nothing_waits(alice) && world.nothing_waits(bob), "{label}");
            if went_through {
                assert!(at > 5, "hardly a step in it");
                break;
            }
        }
    }
}

#[test]
fn who_is_restored_from_an_old_copy_goes_on_by_a_new_session() {
    let (mut world, alice, bob) = friends(7);
    world.write(alice, bob, "one");
    world.write(bob, alice, "two");
    world.run_for(5 * SECOND);
    let old = world.members[alice].disk.clone();
    for text in ["three", "four"] {
        world.write(alice, bob, text);
        world.run_for(5 * SECOND);
        world.write(bob, alice, text);
        world.run_for(5 * SECOND);
    }
    world.kill(alice);
    world.members[alice].go_back_to(&old);
    world.boot(alice);
    world.run_for(10 * SECOND);
    world.write(bob, alice, "five");
    world.write(alice, bob, "six");
    // What bob wrote before "five" is lost: it waits for that in vain.
    world.run_for(15 * MINUTE);
    assert_eq!(
        world.read(alice, bob),
        ["two", "five"],
        "what was there before stays gone"
    );
    assert_eq!(world.read(bob, alice), ["one", "three", "four", "six"]);
    // And on from there.
    world.write(bob, alice, "seven");
    world.write(alice, bob, "eight");
    world.run_for(MINUTE);
    assert_eq!(world.read(alice, bob).last().unwrap(), "seven");
    assert_eq!(world.read(bob, alice).last().unwrap(), "eight");
    assert!(world.nothing_waits(alice) && world.nothing_waits(bob));
}

#[test]
fn who_lost_everything_since_an_old_copy_is_shown_that_something_is_missing() {
    let (mut world, alice, bob) = friends(8);
    world.write(alice, bob, "one");
    world.run_for(5 * SECOND);
    let old = world.members[bob].disk.clone();
    world.write(alice, bob, "two");
    world.run_for(5 * SECOND);
    world.kill(bob);
    world.members[bob].go_back_to(&old);
    world.boot(bob);
    world.run_for(10 * SECOND);
    world.write(alice, bob, "three");
    world.run_for(5 * MINUTE);
    assert_eq!(world.read(bob, alice), ["one"], "it waits for the one before it");
    world.run_for(15 * MINUTE);
    assert_eq!(world.read(bob, alice), ["one", "three"]);
    let rows: Vec<bool> = world.members[bob].messages.values().map(|row| row.after_gap).collect();
    assert_eq!(rows, [false, true], "and is shown as what may not be all");
}

#[test]
fn rfc2779_5_4_1_a_message_that_was_not_delivered_in_time_is_reported() {
    let (mut world, alice, bob) = friends(9);
    world.stop(bob);
    let mut short = new_message("bob", "dinner?");
    short.expires_in = Some(HOUR);
    let id = world.write_as(alice, short).unwrap();
    let later = world.write(alice, bob, "tomorrow, then");
    world.run_for(2 * HOUR);
    assert_eq!(world.states(alice, id), [MessageState::Queued, MessageState::Expired]);
    world.boot(bob);
    world.run_for(10 * MINUTE);
    assert_eq!(world.read(bob, alice), ["tomorrow, then"], "and it is not missed");
    assert!(!world.members[bob].messages[&1].after_gap);
    assert_eq!(world.state(alice, later), MessageState::Delivered);
}

#[test]
fn a_message_is_taken_back_while_it_waits() {
    let (mut world, alice, bob) = friends(10);
    world.write(alice, bob, "zero");
    world.run_for(5 * SECOND);
    world.stop(bob);
    let ids: Vec<RandomId> = (1..5)
        .map(|number| world.write(alice, bob, &number.to_string()))
        .collect();
    for id in [ids[0], ids[2]] {
        let Ok(Reply::MessageCancelled { .. }) = world.call(alice, Command::CancelMessage { message: id }) else {
            panic!("it is taken back");
        };
        assert_eq!(world.state(alice, id), MessageState::Cancelled);
    }
    let again = world.call(alice, Command::CancelMessage { message: ids[0] });
    assert!(matches!(again, Err(CommandError::NotFound { .. })), "{again:?}");
    world.boot(bob);
    world.run_for(10 * MINUTE);
    assert_eq!(world.read(bob, alice), ["zero", "2", "4"]);
    let rows = world.members[bob].messages.values();
    assert_eq!(rows.filter(|row| row.after_gap).count(), 0, "nothing is missed");
}

#[test]
fn rfc2779_5_4_10_who_is_blocked_plainly_is_told_so() {
    let (mut world, alice, bob) = friends(11);
    let command = Command::BlockContact {
        contact: "alice".to_owned(),
        politely: false,
    };
    world.call(bob, command).unwrap();
    let id = world.write(alice, bob, "hello?");
    world.run_for(MINUTE);
    assert_eq!(world.state(alice, id), MessageState::Failed(FailureReason::Refused));
    assert_eq!(world.read(bob, alice), [""; 0]);
    assert!(world.members[bob].disk.seen.is_empty(), "it costs nothing");
    let contact = "alice".to_owned();
    world.call(bob, Command::UnblockContact { contact }).unwrap();
    world.write(alice, bob, "hello");
    world.run_for(MINUTE);
    assert_eq!(world.read(bob, alice), ["hello"]);
}

#[test]
fn rfc2779_5_4_10_who_is_blocked_politely_sees_what_they_would_see_of_one_who_does_not_look() {
    let (mut world, alice, bob) = friends(12);
    let command = Command::BlockContact {
        contact: "alice".to_owned(),
        politely: true,
    };
    world.call(bob, command).unwrap();
    let id = world.write(alice, bob, "hello?");
    world.run_for(DAY);
    assert_eq!(world.state(alice, id), MessageState::Sent, "taken, and no receipt");
    assert_eq!(world.read(bob, alice), [""; 0]);
    let refused = world
        .answers
        .iter()
        .filter(|answer| matches!(answer, Response::Refused { .. }));
    assert_eq!(refused.count(), 0, "however often it is offered");
    world.run_for(7 * DAY);
    assert_eq!(world.state(alice, id), MessageState::Expired);
    let contact = "alice".to_owned();
    world.call(bob, Command::UnblockContact { contact }).unwrap();
    world.write(alice, bob, "hello");
    world.run_for(MINUTE);
    assert_eq!(world.read(bob, alice), ["hello"]);
}

#[test]
fn rfc2779_2_3_5_who_was_removed_cannot_write() {
    let (mut world, alice, bob) = friends(13);
    world.write(alice, bob, "one");
    world.run_for(5 * SECOND);
    world.cut(Site::Member(alice), world.everybody_else(alice));
    let contact = "alice".to_owned();
    world.call(bob, Command::RemoveContact { contact }).unwrap();
    let disk = &world.members[bob].disk;
    assert!(disk.sessions.is_empty());
    let left = &disk.conversations[&world.members[alice].principal()];
    let read = disk.newest_message;
    assert_eq!(
        *left,
        ConversationRow {
            read_to: read,
            ..ConversationRow::new(left.principal)
        },
        "nothing but that what came is read, should they come back"
    );
    let id = world.write(alice, bob, "two");
    world.heal();
    world.run_for(20 * MINUTE);
    assert_eq!(world.state(alice, id), MessageState::Failed(FailureReason::NotAdmitted));
    assert_eq!(world.read(bob, alice), ["one"], "what came before is kept");
}

#[test]
fn what_waits_for_one_who_is_removed_has_failed() {
    let (mut world, alice, bob) = friends(14);
    world.stop(bob);
    let id = world.write(alice, bob, "one");
    let contact = "bob".to_owned();
    world.call(alice, Command::RemoveContact { contact }).unwrap();
    assert_eq!(world.state(alice, id), MessageState::Failed(FailureReason::Removed));
    assert!(world.nothing_waits(alice));
}

#[test]
fn rfc2779_2_1_1_presence_works_where_messages_are_switched_off() {
    let mut world = World::new(15);
    let alice = world.join("alice");
    let bob = world.join_silently("bob");
    world.members[bob].config.messages = false;
    world.boot(bob);
    world.run_for(3 * SECOND);
    world.meet(alice, bob);
    world.set(bob, Status::Busy, Some("no messages please"));
    world.run_for(5 * SECOND);
    assert_eq!(world.sees(alice, bob), "busy");
    let refused = world.write_as(alice, new_message("bob", "hello"));
    assert!(
        matches!(refused, Err(CommandError::TakesNoMessages { .. })),
        "{refused:?}"
    );
    let refused = world.write_as(bob, new_message("alice", "hello"));
    assert!(matches!(refused, Err(CommandError::MessagesOff)), "{refused:?}");
}

#[test]
fn rfc2779_5_4_7_what_is_played_back_or_altered_changes_nothing() {
    let (mut world, alice, bob) = friends(16);
    world.write(alice, bob, "one");
    world.run_for(5 * SECOND);
    world.write(bob, alice, "two");
    world.run_for(5 * SECOND);
    world.write(alice, bob, "three");
    world.run_for(5 * SECOND);
    let shown = world.members[bob].messages.clone();
    let recorded: Vec<Request> = world
        .delivered
        .iter()
        .filter(|(to, _)| *to == bob)
        .map(|(_, request)| request.clone())
        .collect();
    assert!(recorded.len() >= 2);
    let stranger = world.join("mallory");
    let from = world.members[stranger].config.node;
    // At once, and after everything has expired.
    for _ in 0..2 {
        for (number, request) in recorded.iter().enumerate() {
            let mut altered = request.clone();
            if let Request::Deliver { envelope, .. } = &mut altered {
                let at = envelope.len() / 2;
                envelope[at] ^= 1;
            }
            for (request, exchange) in [(request.clone(), 1_000), (altered, 2_000)] {
                let exchange = ExchangeId(exchange + u64::try_from(number).unwrap());
                world.input(
                    bob,
                    Input::Request {
                        from,
                        exchange,
                        request,
                    },
                );
            }
            world.run_for(SECOND);
        }
        assert!(world.members[bob].messages == shown);
        world.run_for(20 * DAY);
    }
    assert!(world.members[bob].disk.seen.is_empty(), "it is not remembered for ever");
    world.write(alice, bob, "four");
    world.run_for(MINUTE);
    assert_eq!(world.read(bob, alice), ["one", "three", "four"]);
}

#[test]
fn a_stranger_with_everything_but_the_contact_is_not_admitted() {
    let (mut world, alice, bob) = friends(17);
    let mallory = world.join("mallory");
    // Mallory has got hold of bob's card and takes him for a contact. Bob does not know her.
    let row = world.members[alice].disk.contacts[&world.members[bob].principal()].clone();
    world.kill(mallory);
    world.members[mallory].disk.contacts.insert(row.principal, row);
    world.boot(mallory);
    world.run_for(5 * SECOND);
    let id = world.write(mallory, bob, "hello");
    world.run_for(MINUTE);
    assert_eq!(
        world.state(mallory, id),
        MessageState::Failed(FailureReason::NotAdmitted)
    );
    assert!(world.members[bob].messages.is_empty() && world.members[bob].disk.sessions.is_empty());
    let refusals = world.answers.iter().filter(|answer| {
        matches!(
            answer,
            Response::Refused {
                reason: Refusal::NotAdmitted
            }
        )
    });
    assert!(refusals.count() >= 1);
}

#[test]
fn both_write_first_at_the_same_time_and_come_to_use_one_session() {
    let (mut world, alice, bob) = friends(18);
    world.cut(Site::Member(alice), [Site::Member(bob)]);
    world.write(alice, bob, "a");
    world.write(bob, alice, "b");
    world.heal();
    world.run_for(10 * MINUTE);
    for round in 0..3 {
        world.write(alice, bob, &format!("a{round}"));
        world.run_for(SECOND);
        world.write(bob, alice, &format!("b{round}"));
        world.run_for(5 * SECOND);
    }
    assert_eq!(world.read(bob, alice), ["a", "a0", "a1", "a2"]);
    assert_eq!(world.read(alice, bob), ["b", "b0", "b1", "b2"]);
    let written: Vec<_> = [alice, bob]
        .map(|who| {
            let sessions = world.members[who].disk.sessions.values();
            sessions.max_by_key(|row| (row.heard, row.began)).unwrap().key.session
        })
        .into();
    assert_eq!(written[0], written[1]);
}

#[test]
fn keys_that_begin_a_session_are_replaced_and_sessions_still_begin() {
    let (mut world, alice, bob) = friends(19);
    let first = world.members[bob].disk.account.clone().unwrap();
    world.stop(alice);
    world.stop(bob);
    world.run_for(40 * DAY);
    world.boot(alice);
    world.boot(bob);
    world.run_for(10 * MINUTE);
    let account = world.members[bob].disk.account.clone().unwrap();
    assert_ne!(account.fallback, first.fallback);
    assert_eq!(account.identity, first.identity);
    world.write(alice, bob, "hello");
    world.run_for(10 * MINUTE);
    assert_eq!(world.read(bob, alice), ["hello"]);
}

#[test]
fn what_is_out_of_bounds_is_refused_to_its_writer() {
    let (mut world, alice, _) = friends(20);
    let mut large = new_message("bob", "");
    large.bodies[0].content = vec![b'x'; 60_000];
    let mut long = new_message("bob", "x");
    long.expires_in = Some(15 * DAY);
    let mut empty = new_message("bob", "x");
    empty.bodies.clear();
    for new in [large, long, empty] {
        let refused = world.write_as(alice, new);
        assert!(matches!(refused, Err(CommandError::Invalid { .. })), "{refused:?}");
    }
    let refused = world.write_as(alice, new_message("carol", "x"));
    assert!(matches!(refused, Err(CommandError::NotFound { .. })), "{refused:?}");
    assert!(world.members[alice].messages.is_empty());
}

/// How messages and receipts came to somebody: in envelopes, and without.
fn ways(world: &World, to: Who) -> (usize, usize) {
    let to_them = world.delivered.iter().filter(|(whom, _)| *whom == to);
    let (mut sealed, mut direct) = (0, 0);
    for (_, request) in to_them {
        match request {
            Request::Deliver { .. } => sealed += 1,
            Request::Direct { .. } => direct += 1,
            _ => {}
        }
    }
    (sealed, direct)
}

#[test]
fn between_devices_that_have_proven_themselves_messages_need_no_envelope() {
    let (mut world, alice, bob) = friends(21);
    // The first ones begin the session, and go in envelopes.
    world.write(alice, bob, "0");
    world.run_for(MINUTE);
    world.write(bob, alice, "0");
    world.run_for(MINUTE);
    world.write(alice, bob, "1");
    world.run_for(MINUTE);
    let (sealed, direct) = ways(&world, bob);
    for number in 2..10 {
        world.write(alice, bob, &number.to_string());
        world.run_for(SECOND);
    }
    let (later_sealed, later_direct) = ways(&world, bob);
    assert_eq!(later_sealed, sealed, "none of them in an envelope");
    assert!(later_direct >= direct + 8);
    assert_eq!(world.read(bob, alice), numbered(0..10));
    // After a restart they prove themselves again.
    world.kill(bob);
    world.run_for(MINUTE);
    world.boot(bob);
    world.run_for(5 * MINUTE);
    for number in 10..20 {
        world.write(alice, bob, &number.to_string());
        world.run_for(SECOND);
    }
    assert_eq!(world.read(bob, alice), numbered(0..20));
    assert!(ways(&world, bob).1 > later_direct, "and then need no envelopes again");
}

/// Asks a member's node something, as the node of another.
fn asked(world: &mut World, from: Who, to: Who, request: Request) -> Response {
    let from = world.node_of(Site::Member(from));
    let exchange = ExchangeId(7_000_000);
    world.input(
        to,
        Input::Connected {
            node: from,
            relay: false,
        },
    );
    let answers = world.answers.len();
    world.input(
        to,
        Input::Request {
            from,
            exchange,
            request,
        },
    );
    world.answers[answers].clone()
}

#[test]
fn a_stranger_gets_nothing_by_a_hello_and_nothing_in_without_one() {
    let (mut world, alice, bob) = friends(22);
    let mallory = world.join("mallory");
    world.write(alice, bob, "0");
    world.run_for(MINUTE);
    world.write(bob, alice, "0");
    world.run_for(MINUTE);
    world.write(alice, bob, "1");
    world.run_for(MINUTE);
    world.write(alice, bob, "2");
    world.run_for(MINUTE);
    let recorded = world.delivered.iter().rev().find_map(|(_, request)| match request {
        Request::Direct { packet } => Some(packet.clone()),
        _ => None,
    });
    let mut proofs = Vec::new();
    for _ in 0..2 {
        let nonce = asked(&mut world, mallory, bob, Request::Hello { nonce: [1; 32] });
        assert!(matches!(nonce, Response::Hello { .. }), "{nonce:?}");
        let Response::Proof { tag } = asked(&mut world, mallory, bob, Request::Prove { tag: [2; 32] }) else {
            panic!("an answer as any other");
        };
        proofs.push(tag);
    }
    assert_ne!(proofs[0], proofs[1], "random bytes");
    let packet = recorded.expect("one that went without an envelope");
    let answer = asked(&mut world, mallory, bob, Request::Direct { packet });
    let reason = Refusal::NotAdmitted;
    assert_eq!(answer, Response::Refused { reason });
    for packet in [Vec::new(), vec![0; 512], vec![0xff; 1_024], vec![1; 700]] {
        let answer = asked(&mut world, mallory, bob, Request::Direct { packet });
        assert!(matches!(answer, Response::Refused { .. }), "{answer:?}");
    }
}

#[test]
fn a_session_begins_by_a_key_that_was_handed_to_one_contact_alone() {
    let (mut world, alice, bob) = friends(23);
    let carol = world.join("carol");
    world.meet(alice, carol);
    let key = |world: &World, who: Who, of: Who| {
        let of = world.members[of].principal();
        world.members[who].disk.contacts[&of].one_time
    };
    let (bobs, carols) = (key(&world, bob, alice), key(&world, carol, alice));
    assert!(bobs.is_some() && carols.is_some() && bobs != carols);
    world.write(bob, alice, "hello");
    world.write(carol, alice, "hello");
    world.run_for(MINUTE);
    assert_eq!(world.read(alice, bob), ["hello"]);
    assert_eq!(world.read(alice, carol), ["hello"]);
    assert_eq!(
        (key(&world, bob, alice), key(&world, carol, alice)),
        (None, None),
        "used up"
    );
}
