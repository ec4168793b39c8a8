//! First contact by invite, end to end.

use crate::consent::{deliver, introduction, letter};
use crate::network::Site;
use crate::{Command, CommandError, DAY, Event, HOUR, MINUTE, SECOND, Status, SubscriptionState, World, word};
use porchlight_proto::event::{FirstContactProblem, Source};
use porchlight_wire::frame::{Admission, Response};
use porchlight_wire::invite::Invite;

#[test]
fn rfc2779_2_2_1_two_who_never_heard_of_each_other_meet_by_an_invite() {
    let mut world = World::new(1);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    let invite = world.invite(alice, 1);
    let added = world.add(bob, &invite).unwrap();
    assert_eq!(added.name, "alice", "the name told becomes the petname");
    assert_eq!(added.subscription, Some(SubscriptionState::Provisional));
    world.run_for(10_000);

    for (one, other) in [(alice, bob), (bob, alice)] {
        let contacts = world.contacts(one);
        assert_eq!(contacts.len(), 1);
        assert_eq!(contacts[0].principal, world.members[other].principal());
        assert_eq!(contacts[0].name, world.members[other].name);
        assert_eq!(contacts[0].subscription, Some(SubscriptionState::Active));
        assert!(contacts[0].view.is_some());
        assert_eq!((contacts[0].waiting, contacts[0].problem), (0, None));
        assert_eq!(world.sees(one, other), "open");
    }
    world.set(alice, Status::Busy, Some("in a meeting"));
    world.run_for(2_000);
    assert_eq!(world.sees(bob, alice), "busy");
}

#[test]
fn the_petname_is_the_users_own_or_the_name_told_numbered_if_it_is_taken() {
    let mut world = World::new(2);
    let me = world.join("me");
    let (first, second, third) = (world.join("sam"), world.join("sam"), world.join("sam"));
    let invites: Vec<String> = [first, second, third].map(|who| world.invite(who, 1)).into();
    assert_eq!(world.add(me, &invites[0]).unwrap().name, "sam");
    assert_eq!(world.add(me, &invites[1]).unwrap().name, "sam-2");
    let taken = world.add_as(me, &invites[2], Some("sam-2"));
    assert_eq!(
        taken,
        Err(CommandError::NameTaken {
            name: "sam-2".to_owned()
        })
    );
    let chosen = world.add_as(me, &invites[2], Some("Sam from work")).unwrap();
    assert_eq!(chosen.name, "Sam from work");
    assert_eq!(chosen.told_name.as_deref(), Some("sam"));
    for bad in ["", " sam", "sa\u{7}m", &"s".repeat(65)] {
        let refused = world.add_as(me, &invites[2], Some(bad));
        assert!(matches!(
            refused,
            Err(CommandError::AlreadyContact { .. } | CommandError::Invalid { .. })
        ));
    }
}

#[test]
fn rfc2779_3_2_2_a_subscription_asked_for_while_the_inviter_is_away_is_granted_when_she_is_back() {
    let mut world = World::new(3);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    let invite = world.invite_for(alice, 1, DAY);
    world.set(alice, Status::Away, None);
    world.run_for(35 * SECOND);
    world.stop(alice);
    world.run_for(HOUR);

    let added = world.add(bob, &invite).unwrap();
    assert_eq!(added.subscription, Some(SubscriptionState::Provisional));
    assert_eq!(added.waiting, 1);
    world.run_for(MINUTE);
    let waiting = &world.contacts(bob)[0];
    assert_eq!(waiting.subscription, Some(SubscriptionState::Provisional));
    assert_eq!(waiting.problem, Some(FirstContactProblem::Unreachable));
    assert_eq!(
        world.sees(bob, alice),
        "closed",
        "she said goodbye, and her temporary view tells"
    );

    world.boot(alice);
    world.run_for(6 * MINUTE);
    let info = &world.contacts(bob)[0];
    assert_eq!(info.subscription, Some(SubscriptionState::Active));
    assert_eq!((info.waiting, info.problem), (0, None));
    assert_eq!(world.sees(bob, alice), "away", "a restart restores the last status");
    assert_eq!(world.sees(alice, bob), "open");
}

#[test]
fn an_inviter_who_comes_back_at_another_address_is_found_there() {
    let mut world = World::new(17);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    let invite = world.invite_for(alice, 1, DAY);
    world.stop(alice);
    world.run_for(HOUR);
    world.add(bob, &invite).unwrap();
    world.run_for(MINUTE);
    world.members[alice].move_to("/dns/alice.example/tcp/4999");
    world.boot(alice);
    world.run_for(5 * MINUTE);
    assert_eq!(world.contacts(bob)[0].subscription, Some(SubscriptionState::Active));
    assert_eq!(world.contacts(alice).len(), 1);
    assert_eq!((world.sees(bob, alice), world.sees(alice, bob)), ("open", "open"));
}

#[test]
fn an_inviter_who_is_there_but_not_reachable_is_seen_through_the_temporary_view() {
    let mut world = World::new(4);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.set(alice, Status::Busy, Some("not for strangers"));
    let invite = world.invite(alice, 1);
    world.cut(Site::Member(alice), [Site::Member(bob)]);
    world.add(bob, &invite).unwrap();
    world.run_for(5 * SECOND);
    let told = world.told(bob, alice);
    assert_eq!(told.subscription, Some(SubscriptionState::Provisional));
    assert_eq!(word(&told.told), "busy");
    assert_eq!(told.told.source, Some(Source::Dht));
    assert_eq!(
        told.told.document.unwrap().notes,
        [],
        "a temporary view shows the status only"
    );
    world.set(alice, Status::Away, None);
    world.run_for(2 * MINUTE);
    assert_eq!(world.sees(bob, alice), "away", "it is asked for on a schedule");
    world.heal();
    world.run_for(6 * MINUTE);
    assert_eq!(world.told(bob, alice).subscription, Some(SubscriptionState::Active));
}

#[test]
fn a_used_up_invite_says_so_before_anything_is_done() {
    let mut world = World::new(5);
    let (alice, bob, carol) = (world.join("alice"), world.join("bob"), world.join("carol"));
    let invite = world.invite(alice, 1);
    world.add(bob, &invite).unwrap();
    world.run_for(MINUTE);
    assert_eq!(world.add(carol, &invite), Err(CommandError::InviteUsedUp));
    assert_eq!(world.contacts(carol), []);
    assert_eq!(world.contacts(alice).len(), 1);
}

#[test]
fn rfc2779_5_1_5_of_two_who_race_for_the_last_use_one_is_refused_and_told() {
    let mut world = World::new(6);
    let (alice, bob, carol) = (world.join("alice"), world.join("bob"), world.join("carol"));
    let invite = world.invite(alice, 1);
    for who in [bob, carol] {
        let invite = invite.clone();
        world.ask(
            who,
            Command::AddContact {
                invite,
                name: None,
                view: "contacts".to_owned(),
            },
            None,
        );
    }
    world.run_for(MINUTE);
    let (of_bob, of_carol) = (world.contacts(bob)[0].clone(), world.contacts(carol)[0].clone());
    let (winner, loser, lost) = if of_bob.problem.is_none() {
        (of_bob, carol, of_carol)
    } else {
        (of_carol, bob, of_bob)
    };
    assert_eq!(winner.subscription, Some(SubscriptionState::Active));
    assert_eq!(lost.subscription, Some(SubscriptionState::Refused));
    assert_eq!(lost.problem, Some(FirstContactProblem::InviteUsedUp));
    assert_eq!(lost.waiting, 0);
    let refusals = world.count(loser, |event| matches!(event, Event::ContactRefused { .. }));
    assert_eq!(refusals, 1);
    let contacts = world.contacts(alice);
    assert_eq!(contacts.len(), 1, "{contacts:?}");

    // Another invite mends it.
    let invite = world.invite(alice, 1);
    world.add(loser, &invite).unwrap();
    world.run_for(MINUTE);
    let mended = &world.contacts(loser)[0];
    assert_eq!(
        (mended.subscription, mended.problem),
        (Some(SubscriptionState::Active), None)
    );
    assert_eq!(world.sees(loser, alice), "open");
    assert_eq!(world.sees(alice, loser), "open");
}

#[test]
fn an_expired_invite_is_refused_by_the_newcomers_node_and_by_the_inviters() {
    let mut world = World::new(7);
    let (alice, bob, carol) = (world.join("alice"), world.join("bob"), world.join("carol"));
    let invite = world.invite_for(alice, 3, 10 * MINUTE);
    // Carol's clock is behind: to her the invite still holds.
    world.members[carol].skew = -600_000;
    world.run_for(11 * MINUTE);
    assert!(matches!(
        world.add(bob, &invite),
        Err(CommandError::InviteExpired { .. })
    ));
    assert_eq!(
        world.count(alice, |event| matches!(event, Event::InviteExpired { .. })),
        1
    );
    let late = world.add(carol, &invite);
    assert!(
        matches!(late, Err(CommandError::Nothing { .. })),
        "its record has expired in the DHT: {late:?}"
    );
    assert_eq!(world.contacts(alice), []);
}

#[test]
fn an_introduction_that_comes_after_the_invite_has_ended_is_refused_and_told() {
    let mut world = World::new(8);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    let invite = world.invite_for(alice, 3, 10 * MINUTE);
    world.run_for(5 * MINUTE);
    world.cut(Site::Member(alice), [Site::Member(bob)]);
    world.add(bob, &invite).unwrap();
    world.run_for(10 * MINUTE);
    world.heal();
    world.run_for(6 * MINUTE);
    let info = &world.contacts(bob)[0];
    assert_eq!(info.subscription, Some(SubscriptionState::Refused));
    assert_eq!(info.problem, Some(FirstContactProblem::NotAdmitted));
    assert_eq!(world.contacts(alice), []);
}

#[test]
fn ones_own_invite_and_that_of_a_contact_are_refused() {
    let mut world = World::new(9);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    let invite = world.invite(alice, 5);
    assert_eq!(world.add(alice, &invite), Err(CommandError::OwnInvite));
    world.add(bob, &invite).unwrap();
    world.run_for(MINUTE);
    let again = world.add(bob, &invite);
    assert_eq!(
        again,
        Err(CommandError::AlreadyContact {
            name: "alice".to_owned()
        })
    );
    assert_eq!(world.contacts(alice).len(), 1);
}

#[test]
fn an_invite_of_another_network_names_both() {
    let mut world = World::new(10);
    let bob = world.join("bob");
    let mut elsewhere = World::with_network(10, "elsewhere", 3);
    let alice = elsewhere.join("alice");
    let invite = elsewhere.invite(alice, 1);
    let refused = world.add(bob, &invite);
    let (theirs, ours) = ("elsewhere".to_owned(), "test".to_owned());
    assert_eq!(refused, Err(CommandError::OtherNetwork { theirs, ours }));
}

#[test]
fn an_invite_that_was_cut_off_says_so() {
    let mut world = World::new(11);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    let invite = world.invite(alice, 1);
    let refused = world.add(bob, &invite[..invite.len() - 7]);
    assert!(
        matches!(&refused, Err(CommandError::InvalidInvite(text)) if text.contains("cut off")),
        "{refused:?}"
    );
    let refused = world.add(bob, "hello");
    assert!(matches!(refused, Err(CommandError::InvalidInvite(_))));
}

#[test]
fn with_nobody_to_ask_the_answer_says_what_was_tried() {
    let mut world = World::with_network(12, "test", 1);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    let invite = world.invite(alice, 1);
    world.relay_goes(0);
    world.run_for(5 * SECOND);
    let refused = world.add(bob, &invite);
    assert!(
        matches!(&refused, Err(CommandError::Unreachable { what }) if what.contains("relay0.example")),
        "{refused:?}"
    );
    world.relay_comes(0);
    world.relays[0].shelf = porchlight_wire::shelf::Shelf::new(crate::member::SHELF);
    world.kill(alice);
    world.run_for(5 * SECOND);
    assert!(matches!(world.add(bob, &invite), Err(CommandError::Nothing { .. })));
}

#[test]
fn two_meet_without_any_relay_at_the_addresses_of_the_invite() {
    let mut world = World::with_network(13, "test", 0);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    let invite = world.invite(alice, 1);
    world.add(bob, &invite).unwrap();
    world.run_for(10 * SECOND);
    assert_eq!(world.sees(alice, bob), "open");
    assert_eq!(world.sees(bob, alice), "open");
    world.set(bob, Status::Away, None);
    world.run_for(2 * SECOND);
    assert_eq!(world.sees(alice, bob), "away");
    assert_eq!(world.told(alice, bob).told.source, Some(Source::Direct));
}

#[test]
fn both_see_each_other_at_once_although_no_copy_of_the_new_views_was_kept() {
    let mut world = World::new(18);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    let invite = world.invite(alice, 1);
    world.add(bob, &invite).unwrap();
    world.faults.lost_copies = 100;
    world.run_for(3 * SECOND);
    assert_eq!((world.sees(bob, alice), world.sees(alice, bob)), ("open", "open"));
}

#[test]
fn who_introduces_themselves_anew_with_the_same_invite_uses_it_once() {
    let mut world = World::new(19);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    let invite = world.invite(alice, 2);
    let token = Invite::parse(&invite).unwrap().token;
    for _ in 0..3 {
        let body = introduction(&world, bob, alice, token.clone());
        let envelope = letter(&mut world, bob, alice, body);
        let answer = deliver(&mut world, bob, alice, Admission::Token(token.clone()), envelope);
        assert_eq!(answer, Response::Delivered {});
        world.run_for(MINUTE);
    }
    let of_alice = &world.members[alice].disk;
    assert_eq!(of_alice.invites.values().next().unwrap().uses_left(), 1);
    assert_eq!(of_alice.contacts.len(), 1);
    assert_eq!(world.count(alice, |event| matches!(event, Event::InviteUsed { .. })), 1);
    assert_eq!(
        world.count(alice, |event| matches!(event, Event::ContactAdded { .. })),
        1
    );
}

#[test]
fn two_who_use_each_others_invites_at_once_become_one_contact_each() {
    let mut world = World::new(14);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    let (of_alice, of_bob) = (world.invite(alice, 1), world.invite(bob, 1));
    for (who, invite) in [(alice, of_bob), (bob, of_alice)] {
        world.ask(
            who,
            Command::AddContact {
                invite,
                name: None,
                view: "contacts".to_owned(),
            },
            None,
        );
    }
    world.run_for(MINUTE);
    for (one, other) in [(alice, bob), (bob, alice)] {
        let contacts = world.contacts(one);
        assert_eq!(contacts.len(), 1);
        assert_eq!(contacts[0].subscription, Some(SubscriptionState::Active));
        assert_eq!((contacts[0].waiting, contacts[0].problem), (0, None));
        assert_eq!(world.sees(one, other), "open");
    }
}

#[test]
fn first_contact_comes_about_although_a_third_of_everything_is_lost() {
    for seed in 20..30 {
        let mut world = World::new(seed);
        let (alice, bob) = (world.join("alice"), world.join("bob"));
        let invite = world.invite(alice, 1);
        world.faults.lost_requests = 33;
        world.faults.lost_answers = 33;
        world.faults.lost_gossip = 33;
        world.faults.lost_copies = 33;
        world.add(bob, &invite).unwrap();
        world.run_for(20 * MINUTE);
        for (one, other) in [(alice, bob), (bob, alice)] {
            let contacts = world.contacts(one);
            assert_eq!(contacts[0].subscription, Some(SubscriptionState::Active), "seed {seed}");
            assert_eq!((contacts[0].waiting, contacts[0].problem), (0, None), "seed {seed}");
            let added = world.count(one, |event| matches!(event, Event::ContactAdded { .. }));
            assert_eq!(added, 1, "seed {seed}");
            assert_eq!(world.sees(one, other), "open", "seed {seed}");
        }
        let used = world.count(alice, |event| matches!(event, Event::InviteUsed { .. }));
        assert_eq!(used, 1, "a repeated introduction costs no second use");
        let approved = world.count(alice, |event| matches!(event, Event::WatcherApproved { .. }));
        assert_eq!(approved, 1, "a repeated introduction is told once");
    }
}

#[test]
fn rfc2779_5_1_11_the_presentity_learns_who_watches_when_it_begins_and_afterwards() {
    let mut world = World::new(15);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    let invite = world.invite(alice, 2);
    let approved = |world: &World, who| world.count(who, |event| matches!(event, Event::WatcherApproved { .. }));
    assert_eq!(approved(&world, alice), 0);
    world.add(bob, &invite).unwrap();
    world.run_for(10 * SECOND);
    let of_bob = world.members[bob].principal();
    let events = world.members[alice].history.clone();
    assert!(events.iter().any(|row| matches!(
        &row.event,
        Event::WatcherApproved { contact, principal, view } if contact == "bob" && *principal == of_bob && view == "contacts"
    )));
    world.kill(alice);
    world.boot(alice);
    let contact = &world.contacts(alice)[0];
    assert!(contact.view.is_some());
    assert_eq!(contact.principal, of_bob);
}

#[test]
fn rfc2779_5_1_10_the_state_of_a_subscription_can_be_asked_for_at_any_time() {
    let mut world = World::new(16);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    let invite = world.invite(alice, 1);
    world.cut(Site::Member(alice), [Site::Member(bob)]);
    world.add(bob, &invite).unwrap();
    let states = |world: &mut World| {
        let listed = world.contacts(bob)[0].subscription;
        assert_eq!(world.told(bob, alice).subscription, listed);
        listed
    };
    assert_eq!(states(&mut world), Some(SubscriptionState::Provisional));
    world.heal();
    world.run_for(6 * MINUTE);
    assert_eq!(states(&mut world), Some(SubscriptionState::Active));
    let contact = "alice".to_owned();
    world.call(bob, Command::Unsubscribe { contact }).unwrap();
    assert_eq!(states(&mut world), None);
    world.run_for(HOUR);
    assert_eq!(world.contacts(alice).len(), 1);
}
