//! The public view: seen by whoever knows the id, announced by an identity sheet, and off unless its owner wants it.

use crate::network::Site;
use crate::{Command, CommandError, DAY, HOUR, MINUTE, Reply, SECOND, Status, SubscriptionState, Who, World, word};
use porchlight_proto::event::Event;
use porchlight_proto::reply::ContactInfo;
use porchlight_proto::rows::Projection;
use porchlight_wire::grant::Right;
use std::collections::BTreeSet;

fn go_public(world: &mut World, who: Who, projection: Projection) {
    let create = Command::CreateView {
        name: "public".to_owned(),
        projection,
        rights: BTreeSet::from([Right::Fetch, Right::Subscribe]),
        reach: None,
    };
    world.call(who, create).unwrap();
    world.run_for(5 * SECOND);
}

fn stop_being_public(world: &mut World, who: Who) {
    let name = "public".to_owned();
    world.call(who, Command::DeleteView { name }).unwrap();
    world.run_for(10 * SECOND);
}

/// Alice and bob, with leases long enough that weeks go by quickly.
fn join_for_weeks(world: &mut World) -> (Who, Who) {
    let (alice, bob) = (world.join_silently("alice"), world.join_silently("bob"));
    for who in [alice, bob] {
        world.members[who].config.lease = 6 * HOUR;
        world.boot(who);
    }
    world.run_for(3 * SECOND);
    (alice, bob)
}

/// Adds somebody by nothing but their id.
fn add_by_id(world: &mut World, who: Who, of: Who) -> Result<ContactInfo, CommandError> {
    let id = world.members[of].principal().to_string();
    world.add(who, &id)
}

#[test]
fn rfc2779_5_1_3_whoever_knows_the_id_can_fetch_and_watch_without_being_known() {
    let mut world = World::new(220);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    go_public(&mut world, alice, Projection::StatusOnly);
    world.set(alice, Status::Away, Some("not for everyone"));
    world.run_for(MINUTE);
    let fetched = world.fetch(bob, alice).unwrap();
    assert_eq!(word(&fetched.told), "away");
    assert!(fetched.told.document.unwrap().notes.is_empty());
    assert!(world.contacts(bob).is_empty(), "a fetch leaves nothing behind");
    let added = add_by_id(&mut world, bob, alice).unwrap();
    assert_eq!(added.name, "alice", "as the sheet says");
    assert_eq!(added.subscription, Some(SubscriptionState::Active));
    world.run_for(10 * SECOND);
    assert_eq!(world.sees(bob, alice), "away");
    for (status, shown) in [(Status::Busy, "busy"), (Status::Open, "open")] {
        world.set(alice, status, None);
        world.run_for(5 * SECOND);
        assert_eq!(world.sees(bob, alice), shown);
    }
    // She learns nothing of it: no letter, no contact, no connection that he opened.
    assert!(world.contacts(alice).is_empty());
    assert!(world.delivered.is_empty());
    assert!(world.members[bob].keep.is_empty());
    world.stop(alice);
    world.run_for(5 * SECOND);
    assert_eq!(world.sees(bob, alice), "closed");
    assert_eq!(word(&world.fetch(bob, alice).unwrap().told), "closed");
}

#[test]
fn rfc2779_5_1_14_who_is_not_public_shows_nothing_to_anonymous_watchers() {
    let mut world = World::new(221);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    let carol = world.join("carol");
    world.meet(alice, carol);
    assert!(matches!(world.fetch(bob, alice), Err(CommandError::Nothing { .. })));
    assert!(matches!(
        add_by_id(&mut world, bob, alice),
        Err(CommandError::Nothing { .. })
    ));
    assert!(world.members[alice].sheets.is_empty());
    go_public(&mut world, alice, Projection::Full);
    assert!(world.fetch(bob, alice).is_ok());
    stop_being_public(&mut world, alice);
    assert!(matches!(world.fetch(bob, alice), Err(CommandError::Nothing { .. })));
    assert_eq!(world.sees(carol, alice), "open", "contacts notice nothing");
}

#[test]
fn one_who_stops_being_public_is_not_seen_by_those_who_watched() {
    let mut world = World::new(222);
    let (alice, bob) = join_for_weeks(&mut world);
    go_public(&mut world, alice, Projection::Full);
    add_by_id(&mut world, bob, alice).unwrap();
    world.run_for(10 * SECOND);
    let read = world.members[bob].disk.contacts[&world.members[alice].principal()]
        .held
        .clone()
        .unwrap()
        .read;
    stop_being_public(&mut world, alice);
    world.run_for(MINUTE);
    let principal = world.members[alice].principal();
    assert_eq!(world.subscription(bob, &principal), Some(SubscriptionState::Cancelled));
    world.set(alice, Status::Busy, Some("among ourselves"));
    world.run_for(HOUR);
    assert!(world.notified(bob, alice).iter().all(|told| *told != "busy"));
    // The sheet that took the place of the first one stays until the last copy of it must have expired.
    for (_, sheet) in world.members[alice].sheets.iter().skip(1) {
        assert!(sheet.sheet().public.is_none());
    }
    world.run_for(31 * DAY);
    let sent = world.members[alice].sheets.len();
    world.run_for(DAY);
    assert_eq!(world.members[alice].sheets.len(), sent, "and no longer");
    // Public again: another key, so that what was recorded in between stays closed to who had the first one.
    go_public(&mut world, alice, Projection::Full);
    let sheet = world.members[alice].sheets.values().last().unwrap().clone();
    assert!(sheet.view().unwrap() != read);
    assert!(world.fetch(bob, alice).is_ok());
}

#[test]
fn whoever_watches_by_id_follows_the_sheet() {
    let mut world = World::new(223);
    let (alice, bob) = join_for_weeks(&mut world);
    go_public(&mut world, alice, Projection::Full);
    add_by_id(&mut world, bob, alice).unwrap();
    world.run_for(10 * SECOND);
    // While bob is away she stops being public and begins again: what he holds reads nothing any more.
    world.stop(bob);
    stop_being_public(&mut world, alice);
    go_public(&mut world, alice, Projection::Full);
    world.set(alice, Status::Busy, None);
    // Long enough for the DHT to have it.
    world.run_for(MINUTE);
    world.boot(bob);
    world.run_for(2 * MINUTE);
    assert_eq!(world.sees(bob, alice), "busy");
    // And for months, across the ends of sheets.
    for _ in 0..70 {
        world.run_for(DAY);
    }
    world.set(alice, Status::Away, None);
    world.run_for(MINUTE);
    assert_eq!(world.sees(bob, alice), "away");
}

#[test]
fn a_public_principal_can_still_become_a_contact_and_the_other_way_round() {
    let mut world = World::new(224);
    let (alice, bob, carol) = (world.join("alice"), world.join("bob"), world.join("carol"));
    go_public(&mut world, alice, Projection::StatusOnly);
    for who in [bob, carol] {
        add_by_id(&mut world, who, alice).unwrap();
    }
    assert!(matches!(
        add_by_id(&mut world, bob, alice),
        Err(CommandError::AlreadyContact { .. })
    ));
    // They use her invite, or she uses theirs: the grant counts from then on.
    let invite = world.invite(alice, 1);
    world.add(bob, &invite).unwrap();
    let theirs = world.invite(carol, 1);
    world.add(alice, &theirs).unwrap();
    world.run_for(MINUTE);
    world.set(alice, Status::Busy, Some("for contacts"));
    world.run_for(MINUTE);
    for who in [bob, carol] {
        let told = world.told(who, alice).told;
        assert_eq!(word(&told), "busy");
        assert_eq!(told.document.unwrap().notes.len(), 1, "{}", world.members[who].name);
    }
    assert_eq!(world.contacts(alice).len(), 2);
}

#[test]
fn the_public_view_is_granted_to_nobody_and_nobody_watched_by_id_is_granted_one() {
    let mut world = World::new(225);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    let fetch_only = Command::CreateView {
        name: "public".to_owned(),
        projection: Projection::Full,
        rights: BTreeSet::from([Right::Fetch]),
        reach: None,
    };
    assert!(matches!(
        world.call(alice, fetch_only),
        Err(CommandError::Invalid { .. })
    ));
    go_public(&mut world, alice, Projection::Full);
    let invite = Command::CreateInvite {
        uses: 1,
        expires_in: HOUR,
        view: "public".to_owned(),
    };
    assert!(matches!(world.call(alice, invite), Err(CommandError::Invalid { .. })));
    add_by_id(&mut world, bob, alice).unwrap();
    let show = Command::UpdateContact {
        contact: "alice".to_owned(),
        name: None,
        view: Some("contacts".to_owned()),
    };
    assert!(matches!(world.call(bob, show), Err(CommandError::Stranger { .. })));
    let remove = Command::RemoveContact {
        contact: "alice".to_owned(),
    };
    world.call(bob, remove).unwrap();
    world.run_for(HOUR);
    assert!(world.delivered.is_empty(), "nobody was told, because nobody knew");
    assert!(world.contacts(bob).is_empty());
}

#[test]
fn nobody_to_ask_is_an_answer_of_its_own() {
    let mut world = World::new(226);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    go_public(&mut world, alice, Projection::Full);
    let everybody = world.everybody_else(bob);
    world.cut(Site::Member(bob), everybody);
    world.run_for(2 * MINUTE);
    assert!(matches!(world.fetch(bob, alice), Err(CommandError::Unreachable { .. })));
    assert!(matches!(
        add_by_id(&mut world, bob, alice),
        Err(CommandError::Unreachable { .. })
    ));
    world.heal();
    world.run_for(10 * SECOND);
    assert!(add_by_id(&mut world, bob, alice).is_ok());
    let mine = world.members[bob].principal().to_string();
    assert!(matches!(world.add(bob, &mine), Err(CommandError::OwnInvite)));
}

#[test]
fn the_sheet_comes_back_after_a_restart_and_a_kill() {
    let mut world = World::new(227);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    go_public(&mut world, alice, Projection::Full);
    let before = world.members[alice].sheets.len();
    world.kill(alice);
    for relay in &mut world.relays {
        relay.shelf = porchlight_wire::shelf::Shelf::new(crate::member::SHELF);
    }
    world.boot(alice);
    world.run_for(5 * SECOND);
    assert!(world.members[alice].sheets.len() > before);
    assert_eq!(word(&world.fetch(bob, alice).unwrap().told), "open");
    let stopping = world.count(alice, |event| matches!(event, Event::NodeStopping));
    assert_eq!(stopping, 0);
    let Ok(Reply::Views(views)) = world.call(alice, Command::ListViews) else {
        panic!("views")
    };
    assert!(views.iter().any(|view| view.name == "public"));
}

#[test]
fn with_proof_of_work_the_sheet_waits_for_it() {
    let mut world = World::with_network(228, "porchlight", 3);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    go_public(&mut world, alice, Projection::Full);
    world.run_for(10 * SECOND);
    assert_eq!(word(&world.fetch(bob, alice).unwrap().told), "open");
    // Refreshed for days, with the same proof.
    world.run_for(3 * DAY);
    assert_eq!(word(&world.fetch(bob, alice).unwrap().told), "open");
}
