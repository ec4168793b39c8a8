//! Presence between contacts: who is notified of what, and what a fetcher is answered.

use crate::network::Site;
use crate::{
    Command, CommandError, DAY, Event, HOUR, LEASE, MINUTE, Reply, SECOND, Status, SubscriptionState, Who, World, word,
};
use porchlight_proto::event::{Source, Verdict};
use porchlight_proto::input::BeaconSource;
use porchlight_wire::beacon::BeaconDraft;
use porchlight_wire::blind::Kind;
use porchlight_wire::cbor::Value;
use porchlight_wire::presence::{Basic, Note, PresenceState};

/// A presentity with so many watchers, all of them contacts.
fn presentity_with_watchers(world: &mut World, watchers: usize) -> (Who, Vec<Who>) {
    let alice = world.join("alice");
    let watchers: Vec<Who> = (0..watchers)
        .map(|number| world.join(&format!("watcher{number}")))
        .collect();
    let invite = world.invite(alice, u32::try_from(watchers.len()).unwrap());
    for watcher in &watchers {
        world.add(*watcher, &invite).unwrap();
    }
    world.run_for(MINUTE);
    (alice, watchers)
}

#[test]
fn rfc2779_3_2_3_every_watcher_is_notified_of_every_settled_state() {
    let mut world = World::new(40);
    let (alice, watchers) = presentity_with_watchers(&mut world, 5);
    let seen: Vec<usize> = watchers
        .iter()
        .map(|watcher| world.notified(*watcher, alice).len())
        .collect();
    let states = [Status::Away, Status::Busy, Status::Closed, Status::Open, Status::Away];
    for status in states {
        world.set(alice, status, None);
        world.run_for(3 * SECOND);
    }
    for (watcher, before) in watchers.iter().zip(seen) {
        let notified = world.notified(*watcher, alice);
        assert_eq!(notified[before..], ["away", "busy", "closed", "open", "away"]);
    }
}

#[test]
fn rfc2779_3_2_3_a_watcher_who_missed_the_gossip_is_notified_all_the_same() {
    let mut world = World::new(41);
    let (alice, watchers) = presentity_with_watchers(&mut world, 1);
    world.faults.lost_gossip = 100;
    world.set(alice, Status::Busy, None);
    world.run_for(LEASE + 5 * SECOND);
    assert_eq!(world.sees(watchers[0], alice), "busy");
    assert_eq!(world.told(watchers[0], alice).told.source, Some(Source::Dht));
    let notified = world.notified(watchers[0], alice);
    assert!(!notified.contains(&"closed (lapsed)"), "{notified:?}");
}

#[test]
fn a_presentity_whose_records_come_only_by_lookup_is_shown_without_a_break() {
    let mut world = World::new(42);
    let (alice, watchers) = presentity_with_watchers(&mut world, 1);
    world.faults.lost_gossip = 100;
    let before = world.notified(watchers[0], alice).len();
    world.run_for(2 * HOUR);
    assert_eq!(world.notified(watchers[0], alice)[before..], [""; 0]);
}

#[test]
fn rfc2779_4_4_2_each_status_word_is_open_or_closed_with_its_activity_and_note() {
    let mut world = World::new(43);
    let (alice, watchers) = presentity_with_watchers(&mut world, 1);
    let words = [
        (Status::Open, Basic::Open, None),
        (Status::Away, Basic::Open, Some("away")),
        (Status::Busy, Basic::Open, Some("busy")),
        (Status::Closed, Basic::Closed, None),
    ];
    for (status, basic, activity) in words {
        let text = format!("about being {status:?}, à bientôt");
        world.set(alice, status, Some(&text));
        world.run_for(3 * SECOND);
        let told = world.told(watchers[0], alice).told;
        let document = told.document.unwrap();
        assert_eq!(document.entity, world.members[alice].principal());
        assert_eq!(document.basic(), basic);
        assert_eq!(document.tuples.len(), 1);
        assert_eq!(document.tuples[0].basic, basic);
        let activities: Vec<&str> = document.activities.iter().map(String::as_str).collect();
        assert_eq!(activities, activity.as_slice());
        assert_eq!(document.notes, [Note { lang: None, text }]);
    }
}

#[test]
fn rfc2779_4_4_1_every_notification_has_the_minimum_that_messaging_needs() {
    let mut world = World::new(57);
    let (alice, watchers) = presentity_with_watchers(&mut world, 1);
    for status in [Status::Closed, Status::Open, Status::Busy] {
        world.set(alice, status, None);
        world.run_for(3 * SECOND);
        let document = world.told(watchers[0], alice).told.document.unwrap();
        assert_eq!(document.check(), Ok(()));
        assert_eq!(document.entity, world.members[alice].principal(), "whose it is");
        assert!(!document.tuples[0].id.is_empty(), "what the status is of");
        let basic = if status == Status::Closed {
            Basic::Closed
        } else {
            Basic::Open
        };
        assert_eq!(document.tuples[0].basic, basic, "and the status itself");
    }
}

#[test]
fn rfc2779_2_3_3_a_fetch_shows_what_a_notification_shows() {
    let mut world = World::new(55);
    let (alice, watchers) = presentity_with_watchers(&mut world, 2);
    let (subscriber, fetcher) = (watchers[0], watchers[1]);
    world.call(fetcher, unsubscribe("alice")).unwrap();
    for (status, note) in [
        (Status::Busy, Some("one")),
        (Status::Closed, Some("two")),
        (Status::Open, None),
    ] {
        world.set(alice, status, note);
        world.run_for(MINUTE);
        let notified = world.told(subscriber, alice).told;
        let fetched = world.fetch(fetcher, alice).unwrap().told;
        assert_eq!(
            (fetched.verdict, fetched.document),
            (notified.verdict, notified.document)
        );
    }
}

#[test]
fn rfc2779_3_1_4_what_a_later_version_adds_is_kept_and_does_not_spoil_the_base() {
    let mut world = World::new(56);
    let (alice, watchers) = presentity_with_watchers(&mut world, 1);
    let bob = watchers[0];
    // Her next refresh is far off.
    world.run_for(20 * SECOND);
    let mut document = world.told(bob, alice).told.document.unwrap();
    document.activities = vec!["steering-a-boat".to_owned(), "away".to_owned()];
    let extra = || [("org.example.tea".to_owned(), Value::Text("green".to_owned()))].into();
    document.extra = extra();
    document.tuples[0].extra = extra();
    let now = world.unix();
    let state = PresenceState {
        issued: now,
        lease: LEASE,
        ended: false,
        document: document.clone(),
        reach: None,
    };
    let key = world.members[alice].disk.views["contacts"].key.clone();
    let draft = BeaconDraft {
        kind: Kind::Presence,
        epoch: key.read_key().epoch(Kind::Presence, now),
        slot: 0,
        sequence: now.0,
        expires: now.plus(HOUR),
        payload: &state.to_bytes().unwrap(),
        work: 0,
    };
    let bytes = key.seal(&draft, now, &mut world.rng).unwrap();
    let source = BeaconSource::Gossip(world.node_of(Site::Member(alice)));
    world.send_record(bob, &bytes, source);
    world.run_for(SECOND);
    let told = world.told(bob, alice).told;
    assert_eq!(told.verdict, Verdict::AsRecorded);
    assert_eq!(told.document, Some(document), "every field, known or not");
    world.set(alice, Status::Busy, None);
    world.run_for(3 * SECOND);
    assert_eq!(world.sees(bob, alice), "busy");
}

#[test]
fn fast_changes_are_coalesced_and_the_last_one_arrives() {
    let mut world = World::new(44);
    let (alice, watchers) = presentity_with_watchers(&mut world, 1);
    world.run_for(10 * SECOND);
    let records = world.members[alice].records.len();
    let notified = world.notified(watchers[0], alice).len();
    for round in 0..50 {
        let status = if round % 2 == 0 { Status::Away } else { Status::Busy };
        world.set(alice, status, Some(&format!("round {round}")));
        world.run_for(20);
    }
    world.run_for(3 * SECOND);
    let told = world.told(watchers[0], alice).told;
    assert_eq!(told.document.unwrap().notes[0].text, "round 49");
    let sent = world.members[alice].records.len() - records;
    assert!(sent <= 8, "{sent} records for a second of changes, the bucket holds 5");
    let notified = world.notified(watchers[0], alice).len() - notified;
    assert!((2..=8).contains(&notified), "{notified} notifications");
}

#[test]
fn setting_the_same_again_says_nothing() {
    let mut world = World::new(45);
    let (alice, watchers) = presentity_with_watchers(&mut world, 1);
    world.set(alice, Status::Away, Some("back soon"));
    world.run_for(5 * SECOND);
    let (events, notified) = (
        world.members[alice].history.len(),
        world.notified(watchers[0], alice).len(),
    );
    world.set(alice, Status::Away, Some("back soon"));
    world.run_for(5 * SECOND);
    assert_eq!(world.members[alice].history.len(), events);
    assert_eq!(world.notified(watchers[0], alice).len(), notified);
}

#[test]
fn a_restart_restores_the_last_status() {
    let mut world = World::new(46);
    let (alice, watchers) = presentity_with_watchers(&mut world, 1);
    world.set(alice, Status::Busy, Some("writing"));
    world.run_for(MINUTE);
    world.stop(alice);
    world.run_for(10 * SECOND);
    assert_eq!(world.sees(watchers[0], alice), "closed");
    world.boot(alice);
    world.run_for(10 * SECOND);
    let told = world.told(watchers[0], alice).told;
    assert_eq!(word(&told), "busy");
    assert_eq!(told.document.unwrap().notes[0].text, "writing");
}

#[test]
fn rfc2779_3_2_1_a_fetch_after_a_clean_end_says_closed() {
    let mut world = World::new(47);
    let (alice, watchers) = presentity_with_watchers(&mut world, 1);
    let bob = watchers[0];
    world.call(bob, unsubscribe("alice")).unwrap();
    world.set(alice, Status::Busy, Some("not to be seen later"));
    world.run_for(MINUTE);
    world.stop(alice);
    world.run_for(3 * HOUR);
    let told = world.fetch(bob, alice).unwrap();
    assert_eq!(told.told.verdict, Verdict::Closed);
    assert_eq!(told.told.source, Some(Source::Dht));
    let age = told.age.unwrap();
    assert!((3 * HOUR..3 * HOUR + 10 * SECOND).contains(&age), "{age}");
    assert_eq!(told.told.document.unwrap().notes, []);
    // The next day's address was seen to as well.
    world.run_for(20 * HOUR);
    assert_eq!(word(&world.fetch(bob, alice).unwrap().told), "closed");
}

#[test]
fn rfc2779_3_3_1_a_fetch_is_answered_from_copies_with_source_and_age() {
    let mut world = World::new(48);
    let (alice, watchers) = presentity_with_watchers(&mut world, 1);
    let bob = watchers[0];
    world.call(bob, unsubscribe("alice")).unwrap();
    world.set(alice, Status::Away, Some("lunch"));
    world.run_for(MINUTE);
    world.kill(alice);
    world.run_for(20 * SECOND);
    let told = world.fetch(bob, alice).unwrap();
    assert_eq!(word(&told.told), "away", "the lease still holds");
    assert_eq!(told.told.source, Some(Source::Dht));
    assert_eq!(told.told.document.as_ref().unwrap().notes[0].text, "lunch");
    assert_eq!(told.age, Some(world.unix().since(told.told.issued.unwrap())));
    assert!(told.told.holds_until.unwrap() <= told.told.issued.unwrap().plus(LEASE));
    world.run_for(LEASE);
    assert_eq!(word(&world.fetch(bob, alice).unwrap().told), "closed (lapsed)");
}

#[test]
fn a_fetch_of_one_who_granted_nothing_and_of_nobody_is_refused() {
    let mut world = World::new(49);
    let (alice, watchers) = presentity_with_watchers(&mut world, 1);
    let contact = "nobody".to_owned();
    let refused = world.call(watchers[0], Command::Fetch { contact });
    assert!(matches!(refused, Err(CommandError::NotFound { .. })));
    // A grant that has run out covers nothing any more.
    world.run_for(SECOND);
    world.kill(alice);
    world.kill(watchers[0]);
    let principal = world.members[alice].principal();
    let now = world.unix();
    let row = world.members[watchers[0]].disk.contacts.get_mut(&principal).unwrap();
    row.held.as_mut().unwrap().not_after = now;
    world.boot(watchers[0]);
    world.run_for(5 * SECOND);
    assert!(matches!(
        world.fetch(watchers[0], alice),
        Err(CommandError::NotGranted { .. })
    ));
    // Whoever granted it is asked to renew it, as soon as they are there.
    world.boot(alice);
    world.set(alice, Status::Busy, None);
    world.run_for(HOUR);
    assert_eq!(world.sees(watchers[0], alice), "busy");
    assert!(world.fetch(watchers[0], alice).is_ok());
}

#[test]
fn rfc2779_5_1_7_nothing_reaches_who_has_unsubscribed() {
    let mut world = World::new(50);
    let (alice, watchers) = presentity_with_watchers(&mut world, 2);
    let (bob, carol) = (watchers[0], watchers[1]);
    let ended = world.call(bob, unsubscribe("alice")).unwrap();
    let contact = "alice".to_owned();
    assert_eq!(ended, Reply::Subscription { contact, state: None });
    let before = world.notified(bob, alice).len();
    for status in [Status::Busy, Status::Away, Status::Closed, Status::Open] {
        world.set(alice, status, None);
        world.run_for(MINUTE);
    }
    world.kill(alice);
    world.run_for(10 * MINUTE);
    assert_eq!(world.notified(bob, alice).len(), before);
    assert!(world.notified(carol, alice).ends_with(&["open", "closed (lapsed)"]));
    // Also not after a restart.
    world.kill(bob);
    world.boot(bob);
    world.boot(alice);
    world.run_for(10 * MINUTE);
    assert_eq!(world.notified(bob, alice).len(), before);
    assert_eq!(world.told(bob, alice).subscription, None);

    // And she may change her mind.
    let contact = "alice".to_owned();
    world.call(bob, Command::Subscribe { contact }).unwrap();
    world.run_for(10 * SECOND);
    assert_eq!(world.sees(bob, alice), "open");
    assert!(world.notified(bob, alice).len() > before);
}

#[test]
fn changes_of_a_subscription_are_told() {
    let mut world = World::new(51);
    let (_, watchers) = presentity_with_watchers(&mut world, 1);
    let bob = watchers[0];
    for _ in 0..2 {
        world.call(bob, unsubscribe("alice")).unwrap();
    }
    let contact = "alice".to_owned();
    world.call(bob, Command::Subscribe { contact }).unwrap();
    let changes: Vec<_> = world.members[bob]
        .history
        .iter()
        .filter_map(|row| match row.event {
            Event::SubscriptionChanged { old, new, .. } => Some((old, new)),
            _ => None,
        })
        .collect();
    let (provisional, active) = (Some(SubscriptionState::Provisional), Some(SubscriptionState::Active));
    assert_eq!(changes, [(provisional, active), (active, None), (None, active)]);
}

#[test]
fn presence_follows_through_a_relay_for_a_node_that_is_in_no_topic() {
    let mut world = World::new(52);
    let alice = world.join("alice");
    let bob = world.join_silently("bob");
    world.members[bob].config.follow = true;
    world.boot(bob);
    world.run_for(5 * SECOND);
    world.meet(alice, bob);
    // Only the relays see both, and gossip does not reach him: he is in the topic of his own view only, which in this
    // network happens to be hers too.
    world.members[bob].topics.clear();
    world.cut(Site::Member(alice), [Site::Member(bob)]);
    world.run_for(MINUTE);
    assert!(!world.members[bob].follow.is_empty());
    for (status, shown) in [
        (Status::Busy, "busy"),
        (Status::Away, "away"),
        (Status::Closed, "closed"),
    ] {
        world.set(alice, status, None);
        world.run_for(5 * SECOND);
        assert_eq!(world.sees(bob, alice), shown);
        assert_eq!(world.told(bob, alice).told.source, Some(Source::Relay));
    }
}

#[test]
fn a_contact_of_hundreds_is_looked_up_although_not_all_lookups_fit_at_once() {
    let mut world = World::new(53);
    let (alice, watchers) = presentity_with_watchers(&mut world, 1);
    let bob = watchers[0];
    // Bob knows 300 more, who are away for good: copies of one contact under other principals.
    let model = world.members[bob].disk.contacts[&world.members[alice].principal()].clone();
    world.kill(bob);
    for number in 0..300 {
        let identity = crate::member::identity(world.unix(), &mut world.rng);
        let mut row = model.clone();
        row.principal = identity.principal;
        row.name = format!("contact {number}");
        row.held.as_mut().unwrap().read = identity.card.read_key();
        world.members[bob].disk.contacts.insert(row.principal, row);
    }
    world.set(alice, Status::Busy, None);
    // She does not gossip again before her refresh; what bob learns at his start he learns by lookups.
    world.run_for(5 * SECOND);
    world.boot(bob);
    let asked = world.members[bob].looked_up.len();
    assert!(asked <= 96, "{asked} lookups at once");
    assert!(world.fetch(bob, alice).is_ok(), "there is room for what the user asks");
    world.run_for(20 * SECOND);
    let asked = world.members[bob].looked_up.len();
    assert!(asked >= 301, "only {asked} of 301 contacts were looked up");
    assert_eq!(world.sees(bob, alice), "busy");
}

#[test]
fn a_subscription_whose_view_went_silent_is_stale_and_active_again_when_it_is_not() {
    let mut world = World::new(54);
    let (alice, watchers) = presentity_with_watchers(&mut world, 1);
    let bob = watchers[0];
    world.kill(alice);
    world.run_for(2 * DAY);
    assert_eq!(world.told(bob, alice).subscription, Some(SubscriptionState::Active));
    world.run_for(3 * HOUR);
    assert_eq!(world.told(bob, alice).subscription, Some(SubscriptionState::Stale));
    assert_eq!(world.sees(bob, alice), "closed (lapsed)");
    world.boot(alice);
    world.run_for(2 * MINUTE);
    assert_eq!(world.told(bob, alice).subscription, Some(SubscriptionState::Active));
    assert_eq!(world.sees(bob, alice), "open");
}

fn unsubscribe(contact: &str) -> Command {
    Command::Unsubscribe {
        contact: contact.to_owned(),
    }
}

#[test]
fn a_fetch_with_nobody_to_ask_is_answered_by_whoever_is_connected() {
    let mut world = World::with_network(96, "test", 1);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    world.relay_goes(0);
    world.run_for(MINUTE);
    world.set(alice, Status::Busy, None);
    world.run_for(MINUTE);
    assert_eq!(world.sees(bob, alice), "busy");
    let fetched = world.fetch(bob, alice).unwrap().told;
    assert_eq!(word(&fetched), "busy");
    assert_eq!(fetched.source, Some(Source::Direct));
}
