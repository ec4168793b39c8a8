//! Our own presence in full: what is said, for a while or for good, as usual or to one view; and what stays.

use crate::removal::alice_with;
use crate::{Command, CommandError, DAY, HOUR, LEASE, MINUTE, Reply, SECOND, Status, Who, World, word};
use porchlight_proto::event::{Event, OwnCause};
use porchlight_proto::input::{NewPresence, NewState, OwnPart, Until};
use porchlight_proto::limits::TIMED_NESTED;
use porchlight_proto::reply::{OwnPresence, ViewPresence};
use porchlight_proto::rows::{OwnTuple, Projection};
use porchlight_wire::cbor::Value;
use porchlight_wire::grant::Right;
use porchlight_wire::presence::{Basic, ContactAddress, Detail, Note, PresenceDocument, RpidElement};
use std::collections::{BTreeMap, BTreeSet};

fn note(lang: &str, text: &str) -> Note {
    Note {
        lang: Some(lang.to_owned()),
        text: text.to_owned(),
    }
}

fn detail(name: &str, value: &str) -> Detail {
    Detail {
        name: name.to_owned(),
        value: value.to_owned(),
        kind: Some("work".to_owned()),
        extra: BTreeMap::new(),
    }
}

fn tuple(id: &str, basic: Option<Basic>, uri: &str) -> OwnTuple {
    OwnTuple {
        id: id.to_owned(),
        basic,
        contact: Some(ContactAddress {
            uri: uri.to_owned(),
            priority: Some(500),
        }),
        notes: vec![note("en", "in the evening")],
    }
}

fn element(value: &str) -> RpidElement {
    RpidElement {
        values: vec![value.to_owned()],
        notes: vec![note("en", "since this morning")],
        extra: BTreeMap::new(),
    }
}

/// A status for a while, with a note.
fn timed(status: Status, text: &str, millis: u64) -> NewPresence {
    let mut new = NewPresence::status(status, vec![note("en", text)]);
    new.state.as_mut().unwrap().until = Some(Until::In(millis));
    new
}

/// Something of everything.
fn everything() -> NewPresence {
    NewPresence {
        view: None,
        state: Some(NewState {
            status: Some(Status::Away),
            notes: vec![note("en", "at lunch"), note("de", "zu Tisch")],
            activities: vec!["meal".to_owned(), "org.example.juggling".to_owned()],
            mood: Some(element("happy")),
            place: Some(element("cafe")),
            until: Some(Until::In(2 * HOUR)),
        }),
        details: Some(vec![detail("tel", "+43-1-5550123"), detail("fn", "Alice")]),
        tuples: Some(vec![
            tuple("im", None, "im:alice@example.org"),
            tuple("tel", Some(Basic::Closed), "tel:+43-1-5550123"),
        ]),
        extensions: Some(BTreeMap::from([("org.example.tea".to_owned(), Value::from("green"))])),
    }
}

fn to_view(view: &str, mut new: NewPresence) -> NewPresence {
    new.view = Some(view.to_owned());
    new
}

fn say(world: &mut World, who: Who, new: NewPresence) -> OwnPresence {
    match world.call(who, Command::SetPresence(Box::new(new))) {
        Ok(Reply::Presence(own)) => *own,
        other => panic!("not set: {other:?}"),
    }
}

fn refused(world: &mut World, who: Who, new: NewPresence) -> String {
    match world.call(who, Command::SetPresence(Box::new(new))) {
        Err(error @ (CommandError::Invalid { .. } | CommandError::TooLarge { .. })) => error.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

fn clear(world: &mut World, who: Who, view: Option<&str>, parts: &[OwnPart]) -> OwnPresence {
    let command = Command::ClearPresence {
        view: view.map(str::to_owned),
        parts: parts.iter().copied().collect(),
    };
    match world.call(who, command) {
        Ok(Reply::Presence(own)) => *own,
        other => panic!("not cleared: {other:?}"),
    }
}

fn shown(world: &mut World, who: Who) -> (OwnPresence, Vec<ViewPresence>) {
    match world.call(who, Command::ShowPresence) {
        Ok(Reply::OwnPresences { usual, views }) => (*usual, views),
        other => panic!("not shown: {other:?}"),
    }
}

fn document(world: &mut World, watcher: Who, of: Who) -> PresenceDocument {
    world.told(watcher, of).told.document.expect("a document")
}

fn texts(document: &PresenceDocument) -> Vec<&str> {
    document.notes.iter().map(|note| note.text.as_str()).collect()
}

/// Alice, who shows carol another view than bob.
fn alice_with_a_view(seed: u8, projection: Projection, rights: &[Right]) -> (World, Who, Who, Who) {
    let mut world = World::new(seed);
    let (alice, watchers) = alice_with(&mut world, &["bob", "carol"]);
    let create = Command::CreateView {
        name: "work".to_owned(),
        projection,
        rights: rights.iter().copied().collect(),
        reach: None,
    };
    world.call(alice, create).unwrap();
    let show = Command::UpdateContact {
        contact: "carol".to_owned(),
        name: None,
        view: Some("work".to_owned()),
    };
    world.call(alice, show).unwrap();
    world.run_for(MINUTE);
    (world, alice, watchers[0], watchers[1])
}

const BOTH: [Right; 2] = [Right::Fetch, Right::Subscribe];

fn causes(world: &World, who: Who) -> Vec<(OwnCause, Option<String>, Status)> {
    let history = &world.members[who].history;
    let changes = history.iter().filter_map(|row| match &row.event {
        Event::OwnPresenceChanged(change) => Some(change),
        _ => None,
    });
    changes
        .map(|change| (change.cause, change.own.view.clone(), change.own.state.status))
        .collect()
}

#[test]
fn rfc2779_3_1_1_all_that_is_said_reaches_the_watcher() {
    let mut world = World::new(160);
    let (alice, watchers) = alice_with(&mut world, &["bob"]);
    say(&mut world, alice, everything());
    world.run_for(5 * SECOND);
    let set_at = world.unix().0 - 5 * SECOND;
    let told = document(&mut world, watchers[0], alice);
    assert_eq!(texts(&told), ["at lunch", "zu Tisch"]);
    assert_eq!(told.activities, ["away", "meal", "org.example.juggling"]);
    assert_eq!(told.mood, Some(element("happy")));
    assert_eq!(told.place, Some(element("cafe")));
    assert!(told.until.unwrap().0.abs_diff(set_at + 2 * HOUR) < SECOND);
    assert_eq!(told.details, [detail("tel", "+43-1-5550123"), detail("fn", "Alice")]);
    let tuples: Vec<(&str, Basic)> = told
        .tuples
        .iter()
        .map(|tuple| (tuple.id.as_str(), tuple.basic))
        .collect();
    assert_eq!(
        tuples,
        [("self", Basic::Open), ("im", Basic::Open), ("tel", Basic::Closed)]
    );
    assert_eq!(
        told.tuples[1].contact,
        tuple("im", None, "im:alice@example.org").contact
    );
    assert_eq!(told.tuples[1].notes, [note("en", "in the evening")]);
    assert_eq!(told.extra["org.example.tea"], Value::from("green"));
}

#[test]
fn rfc2779_3_1_3_contact_details_stay_when_the_status_changes() {
    let mut world = World::new(161);
    let (alice, watchers) = alice_with(&mut world, &["bob"]);
    say(&mut world, alice, everything());
    world.set(alice, Status::Busy, None);
    world.run_for(5 * SECOND);
    let told = document(&mut world, watchers[0], alice);
    assert_eq!(told.details.len(), 2);
    assert_eq!(told.tuples.len(), 3);
    assert_eq!(told.extra.len(), 1);
    // What was said with the status went with it.
    assert_eq!(
        (told.notes.len(), told.mood, told.place, told.until),
        (0, None, None, None)
    );
    assert_eq!(told.activities, ["busy"]);
    // And they go when they are set again, or cleared.
    let fewer = NewPresence {
        details: Some(vec![detail("email", "alice@example.org")]),
        ..NewPresence::default()
    };
    say(&mut world, alice, fewer);
    world.run_for(5 * SECOND);
    let told = document(&mut world, watchers[0], alice);
    assert_eq!(told.details, [detail("email", "alice@example.org")]);
    assert_eq!(told.activities, ["busy"], "nothing was said of the status");
    clear(&mut world, alice, None, &[OwnPart::Tuples, OwnPart::Extensions]);
    world.run_for(5 * SECOND);
    let told = document(&mut world, watchers[0], alice);
    assert_eq!((told.tuples.len(), told.details.len(), told.extra.len()), (1, 1, 0));
    clear(&mut world, alice, None, &[]);
    world.run_for(5 * SECOND);
    let told = document(&mut world, watchers[0], alice);
    assert_eq!(told, PresenceDocument::new(told.entity, vec![told.tuples[0].clone()]));
    assert_eq!(world.sees(watchers[0], alice), "open");
}

#[test]
fn rfc2779_4_4_3_each_way_of_reaching_has_a_status_and_who_is_closed_is_closed_by_all() {
    let mut world = World::new(162);
    let (alice, watchers) = alice_with(&mut world, &["bob"]);
    let new = NewPresence {
        tuples: Some(vec![
            tuple("im", Some(Basic::Open), "im:alice@example.org"),
            tuple("tel", Some(Basic::Closed), "tel:+43-1-5550123"),
        ]),
        ..NewPresence::default()
    };
    say(&mut world, alice, new);
    let statuses = |world: &mut World| {
        world.run_for(5 * SECOND);
        let told = document(world, watchers[0], alice);
        told.tuples.iter().map(|tuple| tuple.basic).collect::<Vec<_>>()
    };
    assert_eq!(statuses(&mut world), [Basic::Open, Basic::Open, Basic::Closed]);
    world.set(alice, Status::Closed, None);
    assert_eq!(statuses(&mut world), [Basic::Closed; 3]);
    assert_eq!(world.sees(watchers[0], alice), "closed");
    world.set(alice, Status::Away, None);
    assert_eq!(statuses(&mut world), [Basic::Open, Basic::Open, Basic::Closed]);
}

#[test]
fn rfc2779_2_3_3_a_fetch_shows_all_that_a_notification_shows() {
    let mut world = World::new(163);
    let (alice, watchers) = alice_with(&mut world, &["bob", "carol"]);
    let contact = "alice".to_owned();
    world.call(watchers[1], Command::Unsubscribe { contact }).unwrap();
    say(&mut world, alice, everything());
    world.run_for(MINUTE);
    let notified = world.told(watchers[0], alice).told;
    let fetched = world.fetch(watchers[1], alice).unwrap().told;
    assert_eq!(notified.document.as_ref().unwrap().details.len(), 2);
    assert_eq!(
        (fetched.verdict, fetched.document),
        (notified.verdict, notified.document)
    );
}

#[test]
fn a_status_for_a_while_goes_back_by_itself() {
    let mut world = World::new(164);
    let (alice, watchers) = alice_with(&mut world, &["bob"]);
    let bob = watchers[0];
    world.set(alice, Status::Busy, Some("writing"));
    let own = say(&mut world, alice, timed(Status::Away, "back at four", 2 * HOUR));
    let until = own.state.until.unwrap();
    assert_eq!((until, own.back_to), (world.unix().plus(2 * HOUR), Some(Status::Busy)));
    world.run_for(2 * HOUR - MINUTE);
    let told = document(&mut world, bob, alice);
    assert_eq!((world.sees(bob, alice), told.until), ("away", Some(until)));
    world.run_for(2 * MINUTE);
    assert_eq!(world.sees(bob, alice), "busy");
    let told = document(&mut world, bob, alice);
    assert_eq!((texts(&told), told.until), (vec!["writing"], None));
    let (usual, _) = shown(&mut world, alice);
    assert_eq!((usual.state.since, usual.back_to), (until, None));
    assert_eq!(
        causes(&world, alice),
        [
            (OwnCause::Set, None, Status::Busy),
            (OwnCause::Set, None, Status::Away),
            (OwnCause::Over, None, Status::Busy)
        ]
    );
    // Once.
    world.run_for(DAY);
    assert_eq!(causes(&world, alice).len(), 3);
}

#[test]
fn it_goes_back_also_after_a_restart_and_when_the_time_passed_meanwhile() {
    for (seed, stopped_for, clean) in [(165, MINUTE, true), (166, 3 * HOUR, true), (167, 3 * HOUR, false)] {
        let mut world = World::new(seed);
        let (alice, watchers) = alice_with(&mut world, &["bob"]);
        world.set(alice, Status::Busy, Some("writing"));
        let own = say(&mut world, alice, timed(Status::Away, "back at four", HOUR));
        world.run_for(MINUTE);
        if clean {
            world.stop(alice);
        } else {
            world.kill(alice);
        }
        world.run_for(stopped_for);
        let records = world.members[alice].records.len();
        world.boot(alice);
        world.run_for(10 * SECOND);
        if stopped_for < HOUR {
            assert_eq!(world.sees(watchers[0], alice), "away");
            world.run_for(HOUR);
        }
        assert_eq!(world.sees(watchers[0], alice), "busy");
        let (usual, _) = shown(&mut world, alice);
        assert_eq!(usual.state.since, own.state.until.unwrap());
        assert!(world.members[alice].records.len() > records);
        if stopped_for > HOUR {
            let away = world
                .notified(watchers[0], alice)
                .iter()
                .filter(|word| **word == "away")
                .count();
            assert_eq!(away, 1, "nobody was told again what was over");
        }
    }
}

#[test]
fn what_is_said_meanwhile_ends_it() {
    let mut world = World::new(168);
    let (alice, watchers) = alice_with(&mut world, &["bob"]);
    let bob = watchers[0];
    world.set(alice, Status::Busy, None);
    say(&mut world, alice, timed(Status::Away, "for an hour", HOUR));
    world.run_for(MINUTE);
    world.set(alice, Status::Open, Some("early"));
    world.run_for(3 * HOUR);
    assert_eq!(world.sees(bob, alice), "open");
    // Of two in a row, the first one knows what was before.
    world.set(alice, Status::Busy, None);
    say(&mut world, alice, timed(Status::Away, "for an hour", HOUR));
    say(&mut world, alice, timed(Status::Closed, "for two", 2 * HOUR));
    world.run_for(HOUR + MINUTE);
    assert_eq!(world.sees(bob, alice), "closed");
    world.run_for(HOUR);
    assert_eq!(world.sees(bob, alice), "busy");
    // What is shorter ends first, and the longer one goes on.
    say(&mut world, alice, timed(Status::Closed, "a holiday", DAY));
    let own = say(&mut world, alice, timed(Status::Away, "a call in it", HOUR));
    assert_eq!(own.back_to, Some(Status::Closed));
    world.run_for(HOUR + MINUTE);
    assert_eq!(world.sees(bob, alice), "closed");
    assert_eq!(shown(&mut world, alice).0.back_to, Some(Status::Busy));
    say(&mut world, alice, timed(Status::Away, "another", HOUR));
    world.kill(alice);
    world.run_for(DAY);
    world.boot(alice);
    world.run_for(MINUTE);
    assert_eq!(world.sees(bob, alice), "busy", "both were over when she came back");
    // Details are no part of it.
    say(&mut world, alice, timed(Status::Away, "for an hour", HOUR));
    let new = NewPresence {
        details: Some(vec![detail("tel", "1")]),
        ..NewPresence::default()
    };
    say(&mut world, alice, new);
    world.run_for(MINUTE);
    assert_eq!(world.sees(bob, alice), "away");
    world.run_for(HOUR);
    assert_eq!(world.sees(bob, alice), "busy");
    assert_eq!(document(&mut world, bob, alice).details.len(), 1);
}

#[test]
fn there_is_an_end_to_what_holds_inside_one_another() {
    let mut world = World::new(176);
    let (alice, watchers) = alice_with(&mut world, &["bob"]);
    world.set(alice, Status::Busy, None);
    let nested = u64::try_from(TIMED_NESTED).unwrap();
    for hours in (1..=nested).rev() {
        say(&mut world, alice, timed(Status::Away, "inside", (hours + 1) * HOUR));
    }
    let before = shown(&mut world, alice);
    let new = Command::SetPresence(Box::new(timed(Status::Closed, "too deep", HOUR)));
    let refusal = world.call(alice, new);
    assert!(
        matches!(
            refusal,
            Err(CommandError::Full {
                limit: TIMED_NESTED,
                ..
            })
        ),
        "{refusal:?}"
    );
    assert_eq!(shown(&mut world, alice), before);
    // One that outlasts them all takes their place.
    say(&mut world, alice, timed(Status::Closed, "longer", DAY));
    world.run_for(DAY + MINUTE);
    assert_eq!(world.sees(watchers[0], alice), "busy");
}

#[test]
fn who_never_said_anything_goes_back_to_open() {
    let mut world = World::new(169);
    let (alice, watchers) = alice_with(&mut world, &["bob"]);
    let own = say(&mut world, alice, timed(Status::Away, "a moment", MINUTE));
    assert_eq!(own.back_to, Some(Status::Open));
    world.run_for(2 * MINUTE);
    assert_eq!(world.sees(watchers[0], alice), "open");
    assert!(document(&mut world, watchers[0], alice).notes.is_empty());
}

#[test]
fn rfc2779_5_2_3_different_subscribers_are_told_different_things() {
    let (mut world, alice, bob, carol) = alice_with_a_view(170, Projection::Full, &BOTH);
    let mut usual = NewPresence::status(Status::Away, vec![note("en", "in the garden")]);
    usual.details = Some(vec![detail("tel", "private")]);
    say(&mut world, alice, usual);
    let mut work = NewPresence::status(Status::Busy, vec![note("en", "in a meeting")]);
    work.details = Some(vec![detail("tel", "office")]);
    say(&mut world, alice, to_view("work", work));
    world.run_for(5 * SECOND);
    assert_eq!((world.sees(bob, alice), world.sees(carol, alice)), ("away", "busy"));
    let (at_home, at_work) = (document(&mut world, bob, alice), document(&mut world, carol, alice));
    assert_eq!(
        (texts(&at_home), texts(&at_work)),
        (vec!["in the garden"], vec!["in a meeting"])
    );
    assert_eq!(
        (&*at_home.details[0].value, &*at_work.details[0].value),
        ("private", "office")
    );
    // The same by a fetch.
    assert_eq!(world.fetch(carol, alice).unwrap().told.document, Some(at_work));

    // What the view has not of its own is the usual, and follows it.
    clear(&mut world, alice, Some("work"), &[OwnPart::Details]);
    let notified = world.notified(bob, alice).len();
    world.run_for(5 * SECOND);
    assert_eq!(document(&mut world, carol, alice).details[0].value, "private");
    assert_eq!(world.sees(carol, alice), "busy");
    assert_eq!(world.notified(bob, alice).len(), notified, "it is no business of his");
    world.set(alice, Status::Open, None);
    world.run_for(5 * SECOND);
    assert_eq!((world.sees(bob, alice), world.sees(carol, alice)), ("open", "busy"));
    // It outlives a restart, and a change of the view's keys.
    world.kill(alice);
    world.boot(alice);
    let contact = "bob".to_owned();
    world.call(alice, Command::RemoveContact { contact }).unwrap();
    world.run_for(2 * MINUTE);
    assert_eq!(world.sees(carol, alice), "busy");
    let own = clear(&mut world, alice, Some("work"), &[]);
    assert_eq!(own.state.status, Status::Open);
    world.run_for(5 * SECOND);
    assert_eq!(world.sees(carol, alice), "open");
    assert_eq!(world.members[alice].disk.views["work"].own, None);
}

#[test]
fn rfc2779_5_2_3_a_view_goes_back_to_the_usual_by_itself() {
    let (mut world, alice, bob, carol) = alice_with_a_view(171, Projection::Full, &BOTH);
    world.set(alice, Status::Open, None);
    let own = say(
        &mut world,
        alice,
        to_view("work", timed(Status::Closed, "weekend", HOUR)),
    );
    assert_eq!((own.view.as_deref(), own.back_to), (Some("work"), Some(Status::Open)));
    world.run_for(MINUTE);
    assert_eq!((world.sees(bob, alice), world.sees(carol, alice)), ("open", "closed"));
    world.kill(alice);
    world.run_for(HOUR);
    world.boot(alice);
    world.set(alice, Status::Away, None);
    world.run_for(MINUTE);
    assert_eq!((world.sees(bob, alice), world.sees(carol, alice)), ("away", "away"));
    assert_eq!(
        world.members[alice].disk.views["work"].own, None,
        "nothing is left of it"
    );
}

#[test]
fn rfc2779_5_2_3_a_view_of_the_status_shows_the_word_of_what_is_said_to_it_and_no_more() {
    let (mut world, alice, bob, carol) = alice_with_a_view(172, Projection::StatusOnly, &BOTH);
    say(&mut world, alice, everything());
    world.run_for(5 * SECOND);
    let told = document(&mut world, carol, alice);
    let word_only = |told: &PresenceDocument| PresenceDocument {
        activities: told.activities.clone(),
        ..PresenceDocument::new(told.entity, vec![told.tuples[0].clone()])
    };
    assert_eq!(told, word_only(&told));
    assert_eq!(told.activities, ["away"]);
    say(
        &mut world,
        alice,
        to_view("work", timed(Status::Busy, "not to be seen", HOUR)),
    );
    world.run_for(5 * SECOND);
    let told = document(&mut world, carol, alice);
    assert_eq!((world.sees(carol, alice), &told), ("busy", &word_only(&told)));
    assert_eq!(world.sees(bob, alice), "away");
}

#[test]
fn an_invite_shows_the_status_that_its_view_shows() {
    let (mut world, alice, _, _) = alice_with_a_view(173, Projection::Full, &BOTH);
    let dave = world.join("dave");
    world.set(alice, Status::Open, None);
    let busy = NewPresence::status(Status::Busy, vec![note("en", "not for those who are invited")]);
    say(&mut world, alice, to_view("work", busy));
    let invite = Command::CreateInvite {
        uses: 1,
        expires_in: HOUR,
        view: "work".to_owned(),
    };
    let Reply::Invite { uri, .. } = world.call(alice, invite).unwrap() else {
        panic!("an invite");
    };
    world.run_for(MINUTE);
    world.stop(alice);
    // Her goodbye is what is left; before it, the record said what the view says.
    let before = world.members[alice].records.len();
    world.boot(alice);
    world.run_for(MINUTE);
    assert!(world.members[alice].records.len() > before);
    world.kill(alice);
    world.add(dave, &uri).unwrap();
    world.run_for(10 * SECOND);
    let told = world.told(dave, alice).told;
    assert_eq!(word(&told), "busy");
    assert!(told.document.unwrap().notes.is_empty());
}

#[test]
fn what_fits_no_record_and_was_set_all_the_same_leaves_the_status() {
    let mut world = World::new(177);
    let (alice, watchers) = alice_with(&mut world, &["bob"]);
    world.set(alice, Status::Busy, None);
    world.kill(alice);
    let own = world.members[alice].disk.own.as_mut().unwrap();
    own.state.as_mut().unwrap().notes = vec![note("en", &"x".repeat(500)); 8];
    world.boot(alice);
    world.run_for(10 * LEASE);
    assert_eq!(world.sees(watchers[0], alice), "busy");
    assert!(document(&mut world, watchers[0], alice).notes.is_empty());
}

#[test]
fn rfc2779_5_1_3_the_public_view_may_say_something_else() {
    let mut world = World::new(178);
    let (alice, watchers) = alice_with(&mut world, &["bob"]);
    let stranger = world.join("stranger");
    let create = Command::CreateView {
        name: "public".to_owned(),
        projection: Projection::Full,
        rights: BOTH.into_iter().collect(),
        reach: None,
    };
    world.call(alice, create).unwrap();
    let id = world.members[alice].principal().to_string();
    world.run_for(5 * SECOND);
    world.add(stranger, &id).unwrap();
    say(&mut world, alice, everything());
    let mut public = NewPresence::status(Status::Closed, vec![note("en", "write to the office")]);
    (public.details, public.tuples, public.extensions) = (Some(Vec::new()), Some(Vec::new()), Some(BTreeMap::new()));
    say(&mut world, alice, to_view("public", public));
    world.run_for(MINUTE);
    assert_eq!(
        (world.sees(watchers[0], alice), world.sees(stranger, alice)),
        ("away", "closed")
    );
    let told = document(&mut world, stranger, alice);
    assert_eq!(texts(&told), ["write to the office"]);
    assert_eq!((told.tuples.len(), told.details.len(), told.extra.len()), (1, 0, 0));
    assert_eq!((told.mood, told.place, told.until), (None, None, None));
    assert_eq!(document(&mut world, watchers[0], alice).details.len(), 2);
}

#[test]
fn what_is_shown_of_oneself_is_what_each_view_sees() {
    let (mut world, alice, bob, carol) = alice_with_a_view(174, Projection::StatusOnly, &BOTH);
    say(&mut world, alice, everything());
    let mut work = NewPresence::status(Status::Busy, vec![note("en", "kept")]);
    work.details = Some(Vec::new());
    say(&mut world, alice, to_view("work", work));
    world.run_for(5 * SECOND);
    let (usual, views) = shown(&mut world, alice);
    assert_eq!((usual.view, usual.details.len()), (None, 2));
    let names: Vec<_> = views
        .iter()
        .map(|view| view.presence.view.as_deref().unwrap())
        .collect();
    assert_eq!(names, ["contacts", "work"]);
    assert_eq!(views[0].own_parts, BTreeSet::new());
    assert_eq!(views[1].own_parts, BTreeSet::from([OwnPart::Status, OwnPart::Details]));
    assert_eq!(views[0].sees, document(&mut world, bob, alice));
    assert_eq!(views[1].sees, document(&mut world, carol, alice));
    assert_eq!(
        views[1].presence.state.notes,
        [note("en", "kept")],
        "what was said, whatever is shown"
    );
}

#[test]
fn what_cannot_be_told_is_not_set() {
    let (mut world, alice, _, carol) = alice_with_a_view(175, Projection::Full, &BOTH);
    let before = shown(&mut world, alice);
    let long = |count| (0..count).map(|_| note("en", &"x".repeat(500))).collect::<Vec<_>>();
    let with = |change: &dyn Fn(&mut NewPresence)| {
        let mut new = NewPresence::status(Status::Open, Vec::new());
        change(&mut new);
        new
    };
    let mut deep = Value::Null;
    for _ in 0..20 {
        deep = Value::Array(vec![deep]);
    }
    let cases: [(NewPresence, &str); 11] = [
        (
            NewPresence::status(Status::Open, long(8)),
            "bytes, and a record holds 3770",
        ),
        (
            NewPresence::status(Status::Open, vec![note("en", "")]),
            "bytes of a note",
        ),
        (
            with(&|new| new.state.as_mut().unwrap().activities = vec!["busy".to_owned()]),
            "which are statuses",
        ),
        (
            with(&|new| new.state.as_mut().unwrap().until = Some(Until::In(999))),
            "1 s to",
        ),
        (
            with(&|new| new.state.as_mut().unwrap().until = Some(Until::At(world.unix()))),
            "got 0 s",
        ),
        (
            with(&|new| new.state.as_mut().unwrap().until = Some(Until::In(u64::MAX))),
            "366 days",
        ),
        (
            with(&|new| new.tuples = Some(vec![tuple("self", None, "im:a@b")])),
            "'self'",
        ),
        (
            with(&|new| new.tuples = Some(vec![tuple("im", None, "im:a@b"); 2])),
            "a different one for each",
        ),
        (
            with(&|new| new.tuples = Some((0..8).map(|n| tuple(&format!("t{n}"), None, "im:a@b")).collect())),
            "tuples",
        ),
        (
            with(&|new| new.extensions = Some(BTreeMap::from([("mood".to_owned(), Value::Null)]))),
            "org.example",
        ),
        (
            with(&|new| new.extensions = Some(BTreeMap::from([("org.example.deep".to_owned(), deep.clone())]))),
            "levels of an unknown field",
        ),
    ];
    for (new, said) in cases {
        let error = refused(&mut world, alice, new);
        assert!(error.contains(said), "{error}");
    }
    assert_eq!(shown(&mut world, alice), before);
    let unknown = to_view("wrok", NewPresence::status(Status::Open, Vec::new()));
    let refusal = world.call(alice, Command::SetPresence(Box::new(unknown)));
    assert!(matches!(refusal, Err(CommandError::NotFound { .. })), "{refusal:?}");

    // Each layer fits alone, and not together; also not later, when it has gone back.
    say(&mut world, alice, NewPresence::status(Status::Open, long(5)));
    say(&mut world, alice, timed(Status::Away, "short", HOUR));
    let details = || Some((0..8).map(|_| detail("note", &"y".repeat(200))).collect::<Vec<_>>());
    let new = NewPresence {
        details: details(),
        ..NewPresence::default()
    };
    let error = refused(&mut world, alice, to_view("work", new.clone()));
    assert!(error.contains("as 'work' shows it"), "{error}");
    assert!(refused(&mut world, alice, new.clone()).starts_with("the presence takes "));
    world.set(alice, Status::Open, None);
    say(&mut world, alice, to_view("work", new));
    let error = refused(&mut world, alice, NewPresence::status(Status::Open, long(5)));
    assert!(error.contains("as 'work' shows it"), "{error}");
    world.run_for(5 * SECOND);
    assert_eq!(document(&mut world, carol, alice).details.len(), 8);
}
