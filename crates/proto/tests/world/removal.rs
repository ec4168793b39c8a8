//! Taking access back: who was removed reads nothing that follows, everybody else notices nothing, and nobody comes back by
//! a door that was left open.

use crate::network::Site;
use crate::{
    Command, CommandError, DAY, Event, HOUR, LEASE, MINUTE, Reply, SECOND, Status, SubscriptionState, Who, World,
};
use porchlight_proto::Input;
use porchlight_proto::input::BeaconSource;
use porchlight_proto::reply::WatcherState;
use porchlight_wire::beacon::VerifiedBeacon;
use porchlight_wire::blind::{Kind, ReadKey};
use porchlight_wire::ids::PrincipalId;
use porchlight_wire::presence::{Basic, PresenceState};

/// Alice with contacts who came by one invite.
pub fn alice_with(world: &mut World, names: &[&str]) -> (Who, Vec<Who>) {
    let alice = world.join("alice");
    let watchers: Vec<Who> = names.iter().map(|name| world.join(name)).collect();
    let invite = world.invite(alice, u32::try_from(names.len() + 1).unwrap());
    for watcher in &watchers {
        world.add(*watcher, &invite).unwrap();
    }
    world.run_for(MINUTE);
    (alice, watchers)
}

pub fn remove(world: &mut World, who: Who, name: &str) -> Result<Reply, CommandError> {
    let contact = name.to_owned();
    world.call(who, Command::RemoveContact { contact })
}

/// What `key` opens of everything that ever left `alice`'s node: sequence and state.
fn readable(world: &World, alice: Who, key: &ReadKey) -> Vec<(u64, PresenceState)> {
    let sent: Vec<&VerifiedBeacon> = world.members[alice].records.values().collect();
    let today = key.epoch(Kind::Presence, world.unix());
    let epochs = (today.0.saturating_sub(10)..today.0 + 3).map(porchlight_wire::blind::Epoch);
    let mut opened = Vec::new();
    for epoch in epochs {
        for beacon in &sent {
            if let Ok(payload) = beacon.open(key, epoch, 0)
                && let Ok(state) = PresenceState::from_bytes(&payload)
            {
                opened.push((beacon.sequence(), state));
            }
        }
    }
    opened
}

pub fn held_by(world: &World, watcher: Who, of: Who) -> ReadKey {
    let principal = world.members[of].principal();
    world.members[watcher].disk.contacts[&principal]
        .held
        .clone()
        .unwrap()
        .read
}

fn subscription_of(world: &World, who: Who, of: Who) -> Option<SubscriptionState> {
    let principal: PrincipalId = world.members[of].principal();
    world.subscription(who, &principal)
}

#[test]
fn rfc2779_5_1_16_who_was_removed_reads_nothing_that_follows() {
    let mut world = World::new(180);
    let (alice, watchers) = alice_with(&mut world, &["bob", "carol"]);
    let (bob, carol) = (watchers[0], watchers[1]);
    let carols = held_by(&world, carol, alice);
    let newest = readable(&world, alice, &carols)
        .into_iter()
        .map(|(sequence, _)| sequence)
        .max();
    assert!(remove(&mut world, alice, "carol").is_ok());
    world.run_for(10 * SECOND);
    world.set(alice, Status::Busy, Some("about carol"));
    world.run_for(2 * DAY);
    // Carol has recorded every byte that left alice's node: what her key opens of it after her removal is the last record.
    let since: Vec<PresenceState> = readable(&world, alice, &carols)
        .into_iter()
        .filter(|(sequence, _)| Some(*sequence) > newest)
        .map(|(_, state)| state)
        .collect();
    assert!(!since.is_empty());
    assert!(
        since
            .iter()
            .all(|state| state.ended && state.document.basic() == Basic::Closed)
    );
    assert!(since.iter().all(|state| state.document.notes.is_empty()));
    assert_eq!(world.sees(bob, alice), "busy");
    let bobs = held_by(&world, bob, alice);
    assert!(
        readable(&world, alice, &bobs)
            .iter()
            .any(|(_, state)| !state.document.notes.is_empty())
    );
}

#[test]
fn rfc2779_5_1_9_who_was_removed_is_told_and_shows_it() {
    let mut world = World::new(181);
    let (alice, watchers) = alice_with(&mut world, &["bob", "carol"]);
    let carol = watchers[1];
    remove(&mut world, alice, "carol").unwrap();
    world.run_for(MINUTE);
    assert_eq!(
        subscription_of(&world, carol, alice),
        Some(SubscriptionState::Cancelled)
    );
    let principal = world.members[alice].principal();
    assert!(world.members[carol].disk.contacts[&principal].held.is_none());
    assert!(world.fetch_error(carol, alice));
    assert!(world.contacts(alice).iter().all(|contact| contact.name != "carol"));
    assert_eq!(
        world.count(alice, |event| matches!(event, Event::ContactRemoved { .. })),
        1
    );
    assert_eq!(
        world.count(alice, |event| matches!(event, Event::WatcherRevoked { .. })),
        1
    );
    // What it was for is done: nothing is left of it.
    assert!(world.members[alice].disk.former.is_empty());
    assert!(world.members[alice].disk.closings.is_empty());
}

#[test]
fn those_who_stay_notice_nothing_of_a_removal() {
    let mut world = World::new(182);
    let (alice, watchers) = alice_with(&mut world, &["bob", "carol", "dave"]);
    world.set(alice, Status::Away, None);
    world.run_for(MINUTE);
    let before: Vec<usize> = watchers.iter().map(|who| world.members[*who].history.len()).collect();
    remove(&mut world, alice, "carol").unwrap();
    world.run_for(10 * MINUTE);
    for (who, from) in watchers.iter().zip(before) {
        if *who != watchers[1] {
            assert!(world.notified_since(*who, alice, from).is_empty());
            assert_eq!(world.sees(*who, alice), "away");
            assert_eq!(subscription_of(&world, *who, alice), Some(SubscriptionState::Active));
        }
    }
    world.set(alice, Status::Open, None);
    world.run_for(5 * SECOND);
    assert_eq!(world.sees(watchers[0], alice), "open");
}

#[test]
fn those_who_were_away_come_back_by_the_grant_that_waited() {
    let mut world = World::new(183);
    let (alice, watchers) = alice_with(&mut world, &["bob", "carol"]);
    let bob = watchers[0];
    world.kill(bob);
    world.run_for(MINUTE);
    remove(&mut world, alice, "carol").unwrap();
    world.run_for(3 * DAY);
    let Reply::Watchers(watching) = world.call(alice, Command::ListWatchers).unwrap() else {
        panic!("watchers");
    };
    assert_eq!(watching[0].state, WatcherState::Waiting);
    world.boot(bob);
    world.run_for(10 * MINUTE);
    assert_eq!(world.sees(bob, alice), "open");
    assert_eq!(subscription_of(&world, bob, alice), Some(SubscriptionState::Active));
}

#[test]
fn a_watcher_whose_grant_was_lost_asks_for_it_and_shows_no_stale_open_meanwhile() {
    let mut world = World::new(184);
    let (alice, watchers) = alice_with(&mut world, &["bob", "carol"]);
    let bob = watchers[0];
    // The grant never arrives: nothing does that is not gossiped or looked up.
    world.faults.lost_requests = 100;
    remove(&mut world, alice, "carol").unwrap();
    world.run_for(MINUTE);
    let lost: Vec<_> = world.members[alice].disk.letters.keys().copied().collect();
    assert!(!lost.is_empty());
    assert_eq!(world.sees(bob, alice), "unknown (view ended)");
    assert_eq!(subscription_of(&world, bob, alice), Some(SubscriptionState::Stale));
    // Not even alice has it any more.
    world.kill(alice);
    world.members[alice].disk.letters.clear();
    world.boot(alice);
    world.faults.lost_requests = 0;
    world.run_for(HOUR);
    assert_eq!(world.sees(bob, alice), "open");
    assert_eq!(subscription_of(&world, bob, alice), Some(SubscriptionState::Active));
}

#[test]
fn who_was_removed_while_away_is_told_by_the_answer_to_their_request() {
    let mut world = World::new(185);
    let (alice, watchers) = alice_with(&mut world, &["bob", "carol"]);
    let carol = watchers[1];
    world.faults.lost_requests = 100;
    remove(&mut world, alice, "carol").unwrap();
    world.run_for(MINUTE);
    world.kill(alice);
    world.members[alice].disk.letters.clear();
    world.members[alice].disk.former.clear();
    world.boot(alice);
    world.faults.lost_requests = 0;
    world.run_for(HOUR);
    assert_eq!(
        subscription_of(&world, carol, alice),
        Some(SubscriptionState::Cancelled)
    );
}

#[test]
fn rfc2779_5_1_13_nobody_comes_back_by_an_invite_that_was_out_when_they_were_removed() {
    let mut world = World::new(186);
    let alice = world.join("alice");
    let (bob, carol) = (world.join("bob"), world.join("carol"));
    let invite = world.invite(alice, 5);
    world.add(bob, &invite).unwrap();
    world.add(carol, &invite).unwrap();
    world.run_for(MINUTE);
    let introductions = world.delivered.clone();
    remove(&mut world, alice, "carol").unwrap();
    world.run_for(MINUTE);
    // The same invite again; and everything that was ever delivered to alice, played back by somebody else.
    let added = world.add(carol, &invite);
    world.run_for(MINUTE);
    let node = world.node_of(Site::Member(bob));
    for (number, (to, request)) in introductions.into_iter().enumerate() {
        if to == alice {
            let exchange = porchlight_proto::input::ExchangeId(8_000_000 + number as u64);
            world.input(
                alice,
                Input::Request {
                    from: node,
                    exchange,
                    request,
                },
            );
        }
    }
    world.run_for(MINUTE);
    assert!(
        world.contacts(alice).iter().all(|contact| contact.name != "carol"),
        "{added:?}"
    );
    // A new invite is a new consent.
    let fresh = world.invite(alice, 1);
    world.add(carol, &fresh).unwrap();
    world.run_for(MINUTE);
    assert!(world.contacts(alice).iter().any(|contact| contact.name == "carol"));
    assert_eq!(subscription_of(&world, carol, alice), Some(SubscriptionState::Active));
    assert_eq!(world.sees(carol, alice), "open");
}

#[test]
fn a_kill_in_the_middle_of_a_removal_leaves_it_done_or_not_begun() {
    for crash in 0..2 {
        let mut world = World::new(187 + crash);
        let (alice, watchers) = alice_with(&mut world, &["bob", "carol"]);
        let (bob, carol) = (watchers[0], watchers[1]);
        let contact = "carol".to_owned();
        world.ask(alice, Command::RemoveContact { contact }, None);
        world.kill(alice);
        world.run_for(u64::from(crash) * LEASE);
        world.boot(alice);
        world.run_for(10 * MINUTE);
        world.set(alice, Status::Busy, None);
        world.run_for(MINUTE);
        assert_eq!(world.sees(bob, alice), "busy");
        assert_eq!(
            subscription_of(&world, carol, alice),
            Some(SubscriptionState::Cancelled)
        );
        assert!(world.members[alice].disk.closings.is_empty());
    }
}

#[test]
fn the_end_of_a_view_is_kept_until_the_network_has_it() {
    let mut world = World::new(190);
    let (alice, watchers) = alice_with(&mut world, &["bob", "carol"]);
    let carol = watchers[1];
    let carols = held_by(&world, carol, alice);
    for relay in 0..world.relays.len() {
        world.relay_goes(relay);
    }
    world.run_for(2 * MINUTE);
    world.kill(carol);
    remove(&mut world, alice, "carol").unwrap();
    world.run_for(10 * MINUTE);
    assert!(!world.members[alice].disk.closings.is_empty());
    world.kill(alice);
    world.boot(alice);
    for relay in 0..world.relays.len() {
        world.relay_comes(relay);
    }
    world.run_for(10 * MINUTE);
    assert!(world.members[alice].disk.closings.is_empty());
    let today = carols.epoch(Kind::Presence, world.unix());
    let pk = carols.blinded(Kind::Presence, today, 0);
    let copy = world.relays[0].shelf.beacon(&pk, world.unix()).cloned().unwrap();
    let state = PresenceState::from_bytes(&copy.open(&carols, today, 0).unwrap()).unwrap();
    assert!(state.ended);
}

#[test]
fn rfc2779_5_1_16_a_record_of_the_old_generation_brings_nothing_back() {
    let mut world = World::new(191);
    let (alice, watchers) = alice_with(&mut world, &["bob", "carol"]);
    let bob = watchers[0];
    let old: Vec<Vec<u8>> = world.members[alice]
        .records
        .values()
        .map(|it| it.bytes().to_vec())
        .collect();
    remove(&mut world, alice, "carol").unwrap();
    world.run_for(MINUTE);
    world.set(alice, Status::Closed, None);
    world.run_for(MINUTE);
    let node = world.node_of(Site::Relay(0));
    for bytes in old {
        world.send_record(bob, &bytes, BeaconSource::Gossip(node));
    }
    world.run_for(MINUTE);
    assert_eq!(world.sees(bob, alice), "closed");
}

#[test]
fn what_was_granted_can_be_taken_back_without_a_removal() {
    let mut world = World::new(192);
    let (alice, watchers) = alice_with(&mut world, &["bob", "carol"]);
    let (bob, carol) = (watchers[0], watchers[1]);
    let contact = "carol".to_owned();
    world
        .call(
            alice,
            Command::RevokeGrant {
                contact: contact.clone(),
            },
        )
        .unwrap();
    world.run_for(MINUTE);
    world.set(carol, Status::Away, None);
    world.set(alice, Status::Busy, None);
    world.run_for(MINUTE);
    assert_eq!(world.sees(alice, carol), "away", "her own subscription goes on");
    assert_eq!(
        subscription_of(&world, carol, alice),
        Some(SubscriptionState::Cancelled)
    );
    assert_eq!(world.sees(bob, alice), "busy");
    let again = world.call(
        alice,
        Command::RevokeGrant {
            contact: contact.clone(),
        },
    );
    assert!(matches!(again, Err(CommandError::NothingGranted { .. })));
    // And given anew: she sees alice once she subscribes again.
    let view = Some("contacts".to_owned());
    world
        .call(
            alice,
            Command::UpdateContact {
                contact,
                name: None,
                view,
            },
        )
        .unwrap();
    world.run_for(MINUTE);
    let contact = "alice".to_owned();
    world.call(carol, Command::Subscribe { contact }).unwrap();
    world.run_for(MINUTE);
    assert_eq!(world.sees(carol, alice), "busy");
}

#[test]
fn grants_are_renewed_before_they_end() {
    let mut world = World::new(193);
    let (alice, watchers) = alice_with(&mut world, &["bob"]);
    let bob = watchers[0];
    let principal = world.members[alice].principal();
    let ends = |world: &World| {
        world.members[bob].disk.contacts[&principal]
            .held
            .clone()
            .unwrap()
            .not_after
    };
    let first = ends(&world);
    let key = held_by(&world, bob, alice);
    // Most of a year later, with both away in between.
    world.stop(alice);
    world.stop(bob);
    world.run_for(350 * DAY);
    world.boot(alice);
    world.boot(bob);
    world.run_for(HOUR);
    assert!(ends(&world) > first.plus(300 * DAY));
    assert!(held_by(&world, bob, alice) == key, "the generation is the same");
    assert_eq!(world.sees(bob, alice), "open");
}

#[test]
fn whoever_is_removed_reads_nothing_by_the_invite_they_came_by() {
    let mut world = World::new(196);
    // One use of the invite is left: its temporary view goes on being published.
    let (alice, watchers) = alice_with(&mut world, &["bob", "carol"]);
    let invite = world.members[alice].disk.invites.values().next().unwrap().clone();
    let temporary = invite.temporary.read_key();
    assert!(!readable(&world, alice, &temporary).is_empty());
    assert!(remove(&mut world, alice, "carol").is_ok());
    // Its last record keeps to the pace of puts.
    world.run_for(MINUTE);
    let before = readable(&world, alice, &temporary).len();
    let (_, last) = readable(&world, alice, &temporary)
        .into_iter()
        .max_by_key(|(sequence, _)| *sequence)
        .unwrap();
    assert_eq!(last.document.basic(), Basic::Closed);
    world.set(alice, Status::Busy, Some("not for carol"));
    world.run_for(2 * HOUR);
    assert_eq!(readable(&world, alice, &temporary).len(), before);
    // Nobody else comes by it either; bob, who did, stays.
    let dave = world.join("dave");
    let uri = porchlight_wire::invite::Invite {
        network: "test".to_owned(),
        principal: world.members[alice].principal(),
        record: invite.record.read_key(),
        reach: Vec::new(),
        token: invite.token.clone(),
        expires: invite.expires,
    };
    assert!(matches!(
        world.add(dave, &uri.to_uri()),
        Err(CommandError::InviteUsedUp | CommandError::Nothing { .. } | CommandError::InviteExpired { .. })
    ));
    assert_eq!(world.sees(watchers[0], alice), "busy");
}

#[test]
fn adding_somebody_again_with_another_view_closes_the_one_they_had() {
    let mut world = World::new(197);
    let (alice, watchers) = alice_with(&mut world, &["bob", "carol"]);
    let (bob, carol) = (watchers[0], watchers[1]);
    let create = Command::CreateView {
        name: "work".to_owned(),
        projection: porchlight_proto::rows::Projection::StatusOnly,
        rights: [
            porchlight_wire::grant::Right::Fetch,
            porchlight_wire::grant::Right::Subscribe,
        ]
        .into(),
        reach: None,
    };
    world.call(alice, create).unwrap();
    let old = held_by(&world, bob, alice);
    // Bob ends it; alice, who still shows him the full view, adds him again with less.
    assert!(remove(&mut world, bob, "alice").is_ok());
    world.run_for(MINUTE);
    let uri = world.invite(bob, 1);
    let add = Command::AddContact {
        invite: uri,
        name: None,
        view: "work".to_owned(),
    };
    world.call(alice, add).unwrap();
    world.run_for(MINUTE);
    let newest = readable(&world, alice, &old)
        .into_iter()
        .map(|(sequence, _)| sequence)
        .max();
    world.set(alice, Status::Busy, Some("for those who see it all"));
    world.run_for(MINUTE);
    let after = readable(&world, alice, &old)
        .into_iter()
        .map(|(sequence, _)| sequence)
        .max();
    assert_eq!(newest, after, "what bob held reads nothing more");
    let told = world.told(carol, alice).told;
    assert_eq!(told.document.unwrap().notes.len(), 1);
    let told = world.told(bob, alice).told;
    assert_eq!((crate::word(&told), told.document.unwrap().notes.len()), ("busy", 0));
}
