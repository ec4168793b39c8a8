//! Named views: what each class of watchers sees, and moving between them.

use crate::removal::{alice_with, held_by};
use crate::{Command, CommandError, HOUR, MINUTE, Reply, Status, SubscriptionState, World};
use porchlight_proto::rows::Projection;
use porchlight_wire::grant::Right;
use std::collections::BTreeSet;

fn create(name: &str, projection: Projection, rights: &[Right]) -> Command {
    Command::CreateView {
        name: name.to_owned(),
        projection,
        rights: rights.iter().copied().collect(),
        reach: None,
    }
}

fn move_to(contact: &str, view: &str) -> Command {
    Command::UpdateContact {
        contact: contact.to_owned(),
        name: None,
        view: Some(view.to_owned()),
    }
}

const BOTH: [Right; 2] = [Right::Fetch, Right::Subscribe];

#[test]
fn rfc2779_2_3_1_different_watchers_see_different_things() {
    let mut world = World::new(200);
    let (alice, watchers) = alice_with(&mut world, &["bob", "carol"]);
    let (bob, carol) = (watchers[0], watchers[1]);
    world
        .call(alice, create("work", Projection::StatusOnly, &BOTH))
        .unwrap();
    world.call(alice, move_to("carol", "work")).unwrap();
    world.run_for(MINUTE);
    let before = held_by(&world, carol, alice);
    assert!(before != held_by(&world, bob, alice));
    world.set(alice, Status::Busy, Some("only for friends"));
    world.run_for(MINUTE);
    let notes = |world: &mut World, who| world.told(who, alice).told.document.unwrap().notes.len();
    assert_eq!((world.sees(bob, alice), world.sees(carol, alice)), ("busy", "busy"));
    assert_eq!((notes(&mut world, bob), notes(&mut world, carol)), (1, 0));
    // And back: the order of grants decides, not the count of a view's generations.
    world.call(alice, move_to("carol", "contacts")).unwrap();
    world.run_for(MINUTE);
    assert_eq!(notes(&mut world, carol), 1);
    assert!(held_by(&world, carol, alice) == held_by(&world, bob, alice));
    for _ in 0..3 {
        world.call(alice, move_to("carol", "work")).unwrap();
        world.run_for(MINUTE);
        assert!(held_by(&world, carol, alice) != held_by(&world, bob, alice));
        world.call(alice, move_to("carol", "contacts")).unwrap();
        world.run_for(MINUTE);
        assert!(held_by(&world, carol, alice) == held_by(&world, bob, alice));
        assert_eq!(world.sees(carol, alice), "busy");
    }
}

#[test]
fn rfc2779_2_3_2_a_view_to_ask_for_is_not_notified() {
    let mut world = World::new(201);
    let (alice, watchers) = alice_with(&mut world, &["bob", "carol"]);
    let carol = watchers[1];
    world
        .call(alice, create("glance", Projection::StatusOnly, &[Right::Fetch]))
        .unwrap();
    world.call(alice, move_to("carol", "glance")).unwrap();
    world.run_for(MINUTE);
    let principal = world.members[alice].principal();
    assert_eq!(world.subscription(carol, &principal), Some(SubscriptionState::Refused));
    let before = world.members[carol].history.len();
    world.set(alice, Status::Busy, Some("not for her"));
    world.run_for(HOUR);
    assert!(world.notified_since(carol, alice, before).is_empty());
    let fetched = world.fetch(carol, alice).unwrap().told;
    assert_eq!(crate::word(&fetched), "busy");
    assert!(fetched.document.unwrap().notes.is_empty());
    let contact = "alice".to_owned();
    let subscribed = world.call(carol, Command::Subscribe { contact });
    assert!(matches!(subscribed, Err(CommandError::FetchOnly { .. })));
}

#[test]
fn invites_and_introductions_grant_the_view_they_name() {
    let mut world = World::new(202);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    for who in [alice, bob] {
        world.call(who, create("work", Projection::StatusOnly, &BOTH)).unwrap();
    }
    let invite = Command::CreateInvite {
        uses: 1,
        expires_in: HOUR,
        view: "work".to_owned(),
    };
    let Reply::Invite { uri, .. } = world.call(alice, invite).unwrap() else {
        panic!("an invite");
    };
    world.run_for(MINUTE);
    let add = Command::AddContact {
        invite: uri,
        name: None,
        view: "work".to_owned(),
    };
    world.call(bob, add).unwrap();
    world.run_for(MINUTE);
    for (who, of) in [(alice, bob), (bob, alice)] {
        world.set(who, Status::Away, Some("not for colleagues"));
        world.run_for(MINUTE);
        let told = world.told(of, who).told;
        assert_eq!(crate::word(&told), "away");
        assert!(told.document.unwrap().notes.is_empty());
    }
    let unknown = Command::AddContact {
        invite: "porchlight:x".to_owned(),
        name: None,
        view: "nobody made it".to_owned(),
    };
    assert!(world.call(bob, unknown).is_err());
}

#[test]
fn a_view_in_use_is_not_deleted_and_one_that_is_not_leaves_nothing() {
    let mut world = World::new(203);
    let (alice, _) = alice_with(&mut world, &["bob"]);
    world.call(alice, create("work", Projection::Full, &BOTH)).unwrap();
    let again = world.call(alice, create("work", Projection::Full, &BOTH));
    assert!(matches!(again, Err(CommandError::Exists { .. })));
    world.call(alice, move_to("bob", "work")).unwrap();
    let name = "work".to_owned();
    let refused = world.call(alice, Command::DeleteView { name: name.clone() });
    assert!(
        matches!(&refused, Err(CommandError::InUse { by, .. }) if by == "bob"),
        "{refused:?}"
    );
    world.call(alice, move_to("bob", "contacts")).unwrap();
    world.call(alice, Command::DeleteView { name }).unwrap();
    let Reply::Views(views) = world.call(alice, Command::ListViews).unwrap() else {
        panic!("views");
    };
    let names: BTreeSet<String> = views.into_iter().map(|view| view.name).collect();
    assert_eq!(names, BTreeSet::from(["contacts".to_owned()]));
    let name = "contacts".to_owned();
    assert!(world.call(alice, Command::DeleteView { name }).is_err());
}

#[test]
fn a_revoked_invite_admits_nobody_and_shows_nothing() {
    let mut world = World::new(204);
    let (alice, bob, carol) = (world.join("alice"), world.join("bob"), world.join("carol"));
    let invite = world.invite(alice, 5);
    world.add(bob, &invite).unwrap();
    world.run_for(MINUTE);
    let Reply::Invites(invites) = world.call(alice, Command::ListInvites).unwrap() else {
        panic!("invites");
    };
    assert_eq!(
        (invites[0].uses_left, invites[0].used_by.clone()),
        (4, vec!["bob".to_owned()])
    );
    let id = invites[0].id;
    world.call(alice, Command::RevokeInvite { invite: id }).unwrap();
    world.run_for(MINUTE);
    assert!(matches!(world.add(carol, &invite), Err(CommandError::InviteUsedUp)));
    assert_eq!(world.sees(bob, alice), "open", "who used it stays");
    assert_eq!(
        world.call(alice, Command::RevokeInvite { invite: id }),
        Ok(Reply::InviteRevoked { id })
    );
}

#[test]
fn a_contact_gets_another_name_and_keeps_everything_else() {
    let mut world = World::new(205);
    let (alice, watchers) = alice_with(&mut world, &["bob", "carol"]);
    let rename = |name: &str| Command::UpdateContact {
        contact: "bob".to_owned(),
        name: Some(name.to_owned()),
        view: None,
    };
    assert!(matches!(
        world.call(alice, rename("carol")),
        Err(CommandError::NameTaken { .. })
    ));
    world.call(alice, rename("Robert")).unwrap();
    world.set(watchers[0], Status::Busy, None);
    world.run_for(MINUTE);
    assert_eq!(world.told(alice, watchers[0]).name, "Robert");
    assert_eq!(world.sees(alice, watchers[0]), "busy");
}

#[test]
fn who_is_granted_it_again_is_notified_again_unless_they_unsubscribed() {
    let mut world = World::new(206);
    let (alice, watchers) = alice_with(&mut world, &["bob", "carol", "dave"]);
    let principal = world.members[alice].principal();
    world
        .call(alice, create("glance", Projection::StatusOnly, &[Right::Fetch]))
        .unwrap();
    let unsubscribe = Command::Unsubscribe {
        contact: "alice".to_owned(),
    };
    world.call(watchers[2], unsubscribe).unwrap();
    // Bob may only ask for a while, carol is shown nothing at all, dave does not want to know.
    let revoke = Command::RevokeGrant {
        contact: "carol".to_owned(),
    };
    world.call(alice, revoke).unwrap();
    for name in ["bob", "dave"] {
        world.call(alice, move_to(name, "glance")).unwrap();
    }
    world.run_for(MINUTE);
    assert_eq!(
        world.subscription(watchers[0], &principal),
        Some(SubscriptionState::Refused)
    );
    assert_eq!(
        world.subscription(watchers[1], &principal),
        Some(SubscriptionState::Cancelled)
    );
    let fetched = world.fetch(watchers[1], alice);
    assert!(matches!(fetched, Err(CommandError::Ended { .. })), "{fetched:?}");
    for name in ["bob", "carol", "dave"] {
        world.call(alice, move_to(name, "contacts")).unwrap();
    }
    world.run_for(MINUTE);
    world.set(alice, Status::Busy, None);
    world.run_for(10 * crate::SECOND);
    assert_eq!(world.sees(watchers[0], alice), "busy");
    assert_eq!(world.sees(watchers[1], alice), "busy");
    assert_eq!(world.subscription(watchers[2], &principal), None);
}

#[test]
fn revoked_and_used_up_invites_make_room_for_others() {
    let mut world = World::new(207);
    let alice = world.join("alice");
    let make = || Command::CreateInvite {
        uses: 1,
        expires_in: HOUR,
        view: "contacts".to_owned(),
    };
    let mut first = None;
    for _ in 0..porchlight_proto::limits::INVITES {
        let Ok(Reply::Invite { id, .. }) = world.call(alice, make()) else {
            panic!("an invite")
        };
        first = first.or(Some(id));
    }
    assert!(matches!(world.call(alice, make()), Err(CommandError::Full { .. })));
    let invite = first.unwrap();
    world.call(alice, Command::RevokeInvite { invite }).unwrap();
    world.call(alice, make()).unwrap();
    assert!(!world.members[alice].disk.invites.contains_key(&invite));
    assert!(matches!(world.call(alice, make()), Err(CommandError::Full { .. })));
}
