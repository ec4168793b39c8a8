//! RFC 2779's rules of messages (sections 4.1, 4.3 and 5.4), by number: what a message says and that all of it arrives, whom it
//! can be from, and how long it is under way.

use crate::messages::new_message;
use crate::{Command, DAY, Event, MINUTE, SECOND, Status, Who, World};
use porchlight_proto::messaging::rows::{FailureReason, MessageState, OutboxRow};
use porchlight_wire::frame::{Refusal, Request, Response};
use porchlight_wire::ids::RandomId;
use porchlight_wire::message::{Body, Message};

/// The longest that anything is under way between two members, one way.
const LONGEST_WAY: u64 = 200;

fn friends(seed: u8) -> (World, Who, Who) {
    let mut world = World::new(seed);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    (world, alice, bob)
}

fn body(media_type: &str, content: &[u8]) -> Body {
    Body {
        media_type: media_type.to_owned(),
        lang: None,
        content: content.to_vec(),
    }
}

impl World {
    /// A message as it is kept by one of the two ends.
    fn kept(&self, who: Who, id: RandomId) -> Option<Message> {
        let rows = self.members[who].messages.values();
        rows.map(|row| &row.message).find(|message| message.id == id).cloned()
    }

    /// Changes a message on the disk of its sender before it is sent: what somebody does whose node is not ours.
    fn meddle(&mut self, from: Who, id: RandomId, change: impl Fn(&mut OutboxRow)) {
        self.kill(from);
        let mut row = self.members[from].disk.outbox.remove(&id).unwrap();
        self.members[from].disk.sealed.remove(&id);
        change(&mut row);
        self.members[from].disk.outbox.insert(row.message.id, row);
        self.boot(from);
    }

    /// Writes a message that its recipient's node cannot be told of yet.
    fn write_while_away(&mut self, from: Who, to: Who, text: &str) -> RandomId {
        self.stop(to);
        let id = self.write(from, to, text);
        self.run_for(SECOND);
        id
    }

    fn refusals(&self, reason: Refusal) -> usize {
        let expected = Response::Refused { reason };
        self.answers.iter().filter(|answer| **answer == expected).count()
    }
}

#[test]
fn rfc2779_4_1_1_whatever_one_writes_is_read_as_it_was_written_whatever_it_is() {
    let (mut world, alice, bob) = friends(31);
    let mut rich = new_message("bob", "preferred");
    rich.subject = Some("the plan".to_owned());
    rich.thread = Some(RandomId::from_bytes([3; 16]));
    rich.bodies.push(body("text/html", b"<p>preferred</p>"));
    rich.sign = true;
    let mut nothing_but_bytes = new_message("bob", "");
    nothing_but_bytes.bodies = vec![body("application/octet-stream", &[0; 40_000])];
    for new in [new_message("bob", "plain"), rich, nothing_but_bytes] {
        let id = world.write_as(alice, new).unwrap();
        world.run_for(5 * SECOND);
        let (written, read) = (world.kept(alice, id).unwrap(), world.kept(bob, id).unwrap());
        assert_eq!(read, written, "the same format at both ends");
        let ends = (read.from, read.to);
        assert_eq!(ends, (world.members[alice].principal(), world.members[bob].principal()));
    }
}

#[test]
fn rfc2779_4_1_2_and_5_4_3_nobody_writes_in_the_name_of_another() {
    let (mut world, alice, bob) = friends(32);
    let carol = world.join("carol");
    world.meet(carol, bob);
    let (principal, stranger) = (world.members[alice].principal(), world.members[carol].principal());
    // Bob knows both; carol puts another's name under what she writes.
    let as_alice = world.write_while_away(carol, bob, "lend me a hundred");
    world.meddle(carol, as_alice, |row| row.message.from = principal);
    world.boot(bob);
    world.run_for(MINUTE);
    assert_eq!(
        world.state(carol, as_alice),
        MessageState::Failed(FailureReason::Invalid)
    );
    assert!(world.refusals(Refusal::Invalid) >= 1);
    assert!(
        world.members[bob].messages.is_empty(),
        "neither from carol nor from alice"
    );
    world.write(carol, bob, "to you");
    world.run_for(MINUTE);
    assert_eq!(
        world.read(bob, carol),
        ["to you"],
        "what she writes in her own name is read"
    );
    let event = world.members[bob].history.iter().find_map(|row| match &row.event {
        Event::MessageReceived(received) => Some((received.contact.clone(), received.principal)),
        _ => None,
    });
    assert_eq!(event, Some(("carol".to_owned(), stranger)));
}

#[test]
fn rfc2779_4_1_3_an_answer_goes_to_the_return_address_or_to_the_sender_where_there_is_none() {
    let (mut world, alice, bob) = friends(33);
    let secretary = world.join("carol");
    world.meet(secretary, bob);
    let address = format!("im:{}", world.members[secretary].principal());
    let mut new = new_message("bob", "answers to my secretary, please");
    new.reply_to = vec![address.clone()];
    let asked = world.write_as(alice, new).unwrap();
    let without = world.write(alice, bob, "answers to me");
    world.run_for(5 * SECOND);
    assert_eq!(world.kept(bob, asked).unwrap().reply_to, [address.as_str()]);
    assert!(world.kept(bob, without).unwrap().reply_to.is_empty());
    // The address is one that can be written to.
    let mut answer = new_message(&address, "gladly");
    answer.in_reply_to = Some(asked);
    world.write_as(bob, answer).unwrap();
    world.run_for(5 * SECOND);
    assert_eq!(world.read(secretary, bob), ["gladly"]);
    assert_eq!(world.read(alice, bob), [""; 0]);
}

#[test]
fn rfc2779_4_1_4_addresses_in_other_media_stand_in_it_in_the_order_of_preference() {
    let (mut world, alice, bob) = friends(34);
    let addresses = [
        "tel:+43-1-23456",
        "mailto:alice@example.org",
        "xmpp:alice@example.org",
        "sip:alice@example.org",
    ];
    let mut new = new_message("bob", "ring me");
    new.reply_to = addresses.map(str::to_owned).to_vec();
    let id = world.write_as(alice, new).unwrap();
    world.run_for(5 * SECOND);
    assert_eq!(world.kept(bob, id).unwrap().reply_to, addresses);
}

#[test]
fn rfc2779_4_1_5_what_is_in_it_is_marked_and_any_bytes_pass() {
    let (mut world, alice, bob) = friends(35);
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let mut new = new_message("bob", "");
    new.bodies = vec![
        body("application/pkcs7-mime; smime-type=enveloped-data", &every_byte),
        body("text/plain; charset=iso-8859-1", b"gr\xfc\xdfe"),
        Body {
            lang: Some("ja".to_owned()),
            ..Body::text("こんにちは 👋 \u{202e}")
        },
    ];
    let bodies = new.bodies.clone();
    let id = world.write_as(alice, new).unwrap();
    world.run_for(5 * SECOND);
    assert_eq!(world.kept(bob, id).unwrap().bodies, bodies);
    let mut unmarked = new_message("bob", "");
    unmarked.bodies = vec![body("", b"what is this?")];
    assert!(world.write_as(alice, unmarked).is_err(), "its type is always said");
}

#[test]
fn rfc2779_4_1_8_headers_and_schemes_that_nobody_knows_are_kept_and_passed_on() {
    let (mut world, alice, bob) = friends(36);
    let mut new = new_message("bob", "from a later version");
    new.reply_to = vec!["carrier-pigeon+v2:loft.7".to_owned()];
    let headers = [("X-Loft", "7"), ("Later.Version", "zwölf"), ("x_1", "")];
    new.headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let (headers, addresses) = (new.headers.clone(), new.reply_to.clone());
    new.sign = true;
    let id = world.write_as(alice, new).unwrap();
    world.run_for(5 * SECOND);
    let read = world.kept(bob, id).unwrap();
    assert_eq!(
        (read.headers, read.reply_to),
        (headers, addresses),
        "and under the signature, too"
    );
}

#[test]
fn rfc2779_4_1_9_an_id_is_random_and_names_one_message_of_one_sender() {
    let (mut world, alice, bob) = friends(37);
    let carol = world.join("carol");
    world.meet(carol, bob);
    let ids: Vec<RandomId> = (0..20)
        .map(|number| world.write(alice, bob, &number.to_string()))
        .collect();
    let different: std::collections::BTreeSet<RandomId> = ids.iter().copied().collect();
    assert_eq!(different.len(), 20);
    world.run_for(5 * SECOND);
    let before = world.members[bob].messages.len();
    // The same id by another sender names another message.
    let hers = world.write_while_away(carol, bob, "the same by chance");
    world.meddle(carol, hers, |row| row.message.id = ids[3]);
    world.boot(bob);
    world.run_for(MINUTE);
    assert_eq!(world.read(bob, carol), ["the same by chance"]);
    // The same id by the same sender names the one that came before.
    let again = world.write_while_away(alice, bob, "not read");
    world.meddle(alice, again, |row| row.message.id = ids[3]);
    world.boot(bob);
    world.run_for(MINUTE);
    assert_eq!(world.members[bob].messages.len(), before + 1);
    assert!(!world.read(bob, alice).contains(&"not read".to_owned()));
}

#[test]
fn rfc2779_4_3_1_and_3_4_1_a_message_and_a_notification_each_take_one_way_and_wait_for_nothing() {
    let (mut world, alice, bob) = friends(38);
    // The session has begun, and the two devices have proven themselves.
    world.write(alice, bob, "0");
    world.run_for(MINUTE);
    world.write(bob, alice, "0");
    world.run_for(MINUTE);
    for number in 1..20 {
        let text = number.to_string();
        let sent = world.now;
        world.write(alice, bob, &text);
        world.run_until("it is shown", |world| world.read(bob, alice).last() == Some(&text));
        assert!(world.now - sent <= LONGEST_WAY, "one way and no more, at {number}");
        world.run_for(10 * SECOND);
        let (status, word) = if number % 2 == 0 {
            (Status::Away, "away")
        } else {
            (Status::Busy, "busy")
        };
        let sent = world.now;
        world.set(alice, status, None);
        world.run_until("he is notified", |world| {
            world.notified(bob, alice).last() == Some(&word)
        });
        assert!(world.now - sent <= LONGEST_WAY, "as fast as a message, at {number}");
    }
    // What is said in a conversation is not slowed down by what was said before.
    let sent = world.now;
    for number in 20..40 {
        world.write(alice, bob, &number.to_string());
    }
    world.run_until("all are shown", |world| world.read(bob, alice).len() == 40);
    assert!(world.now - sent <= 10 * LONGEST_WAY, "a burst goes in a few rounds");
}

#[test]
fn rfc2779_5_4_8_what_is_written_can_be_read_and_a_lost_session_heals_by_itself() {
    let (mut world, alice, bob) = friends(39);
    world.write(alice, bob, "one");
    world.write(bob, alice, "hello");
    world.run_for(MINUTE);
    // His node forgets how it read hers. It is the one that cannot read, and she is the one who is told.
    world.kill(bob);
    world.members[bob].disk.sessions.clear();
    world.boot(bob);
    world.run_for(10 * SECOND);
    let id = world.write(alice, bob, "two");
    world.run_for(MINUTE);
    assert!(
        world.refusals(Refusal::CannotOpen) >= 1,
        "he could not read it at first"
    );
    assert_eq!(world.read(bob, alice), ["one", "two"]);
    assert_eq!(world.state(alice, id), MessageState::Delivered);
    // Hers is gone, too, and both write.
    world.kill(alice);
    world.members[alice].disk.sessions.clear();
    world.boot(alice);
    world.run_for(10 * SECOND);
    world.write(bob, alice, "three");
    world.write(alice, bob, "three");
    world.run_for(5 * MINUTE);
    assert_eq!(world.read(bob, alice), ["one", "two", "three"]);
    assert_eq!(world.read(alice, bob), ["hello", "three"]);
    assert!(world.nothing_waits(alice) && world.nothing_waits(bob));
}

#[test]
fn rfc2779_2_1_3_one_identifier_is_of_an_inbox_and_of_a_presentity() {
    let (mut world, alice, bob) = friends(40);
    let principal = world.members[alice].principal().to_string();
    world.set(alice, Status::Away, None);
    world.run_for(5 * SECOND);
    let told = world.call(
        bob,
        Command::Fetch {
            contact: principal.clone(),
        },
    );
    let Ok(crate::Reply::Told(told)) = told else {
        panic!("{told:?}");
    };
    assert_eq!(crate::word(&told.told), "away");
    world.write_as(bob, new_message(&principal, "by the same id")).unwrap();
    world.run_for(5 * SECOND);
    assert_eq!(world.read(alice, bob), ["by the same id"]);
}

#[test]
fn rfc2779_5_4_3_who_recorded_anothers_messages_cannot_send_them_as_ones_own_or_as_theirs() {
    let (mut world, alice, bob) = friends(41);
    let carol = world.join("carol");
    world.meet(carol, bob);
    world.write(alice, bob, "one");
    world.run_for(5 * SECOND);
    let recorded: Vec<Request> = world
        .delivered
        .iter()
        .filter(|(to, _)| *to == bob)
        .map(|(_, request)| request.clone())
        .collect();
    let before = world.members[bob].messages.clone();
    let from = world.members[carol].config.node;
    for (exchange, request) in (5_000..).zip(recorded) {
        let exchange = porchlight_proto::input::ExchangeId(exchange);
        world.input(
            bob,
            porchlight_proto::Input::Request {
                from,
                exchange,
                request,
            },
        );
        world.run_for(SECOND);
    }
    world.run_for(DAY);
    assert!(
        world.members[bob].messages == before,
        "a contact who has the bytes has nothing by them"
    );
}
