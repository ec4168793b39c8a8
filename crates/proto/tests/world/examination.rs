//! What a core knows of a contact who cannot be seen or reached, and how it judges what was found of them.

use crate::network::Site;
use crate::{Command, CommandError, LEASE, MINUTE, Reply, SECOND, Who, World};
use porchlight_proto::event::Verdict;
use porchlight_proto::examination::{Examined, FoundRecord, Held};
use porchlight_wire::beacon::VerifiedBeacon;

fn examine(world: &mut World, who: Who, contact: &str, found: Vec<VerifiedBeacon>) -> Result<Examined, CommandError> {
    let contact = contact.to_owned();
    match world.call(who, Command::Examine { contact, found })? {
        Reply::Examined(examined) => Ok(*examined),
        other => panic!("{other:?}"),
    }
}

/// What the relays have at the addresses that an examination named.
fn look(world: &World, examined: &Examined) -> Vec<VerifiedBeacon> {
    let at = examined.presence_at.iter().chain(&examined.card_at);
    at.filter_map(|pk| {
        let mut relays = world.relays.iter();
        relays.find_map(|relay| relay.shelf.beacon(pk, world.unix()).cloned())
    })
    .collect()
}

#[test]
fn of_a_contact_who_is_there_it_is_known_where_their_records_stand_and_what_they_say() {
    let mut world = World::new(240);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    world.run_for(MINUTE);
    let known = examine(&mut world, alice, "bob", Vec::new()).unwrap();
    assert_eq!((known.live, known.record, known.card), (true, None, None));
    assert_eq!(
        known.held,
        Some(Held {
            temporary: false,
            lookup_only: false
        })
    );
    assert!(known.letters.is_empty() && !known.addresses.is_empty());
    let found = look(&world, &known);
    let judged = examine(&mut world, alice, "bob", found).unwrap();
    let Some(FoundRecord::Read { verdict, issued }) = judged.record else {
        panic!("{judged:?}");
    };
    assert_eq!(verdict, Verdict::AsRecorded);
    assert!(world.unix().since(issued) <= LEASE);
    assert!(judged.card.is_some());

    // What stands elsewhere is not theirs, whatever it is.
    let of_bob = examine(&mut world, bob, "alice", Vec::new()).unwrap();
    let of_alice = look(&world, &of_bob);
    let judged = examine(&mut world, alice, "bob", of_alice).unwrap();
    assert_eq!((judged.record, judged.card), (None, None));
    let nobody = examine(&mut world, alice, "carol", Vec::new());
    assert!(matches!(nobody, Err(CommandError::NotFound { .. })));
}

#[test]
fn what_is_found_of_one_who_was_killed_has_lapsed_and_of_one_who_stopped_is_closed() {
    let mut world = World::new(241);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    world.run_for(MINUTE);
    let verdict = |world: &mut World| {
        let known = examine(world, alice, "bob", Vec::new()).unwrap();
        let found = look(world, &known);
        match examine(world, alice, "bob", found).unwrap().record {
            Some(FoundRecord::Read { verdict, .. }) => verdict,
            other => panic!("{other:?}"),
        }
    };
    world.kill(bob);
    world.run_for(LEASE + MINUTE);
    assert_eq!(verdict(&mut world), Verdict::ClosedLapsed);
    world.boot(bob);
    world.run_for(MINUTE);
    world.stop(bob);
    world.run_for(MINUTE);
    assert_eq!(verdict(&mut world), Verdict::Closed);
}

#[test]
fn a_letter_that_waits_says_how_often_it_was_offered_and_why_it_was_not_taken() {
    let mut world = World::new(242);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    let invite = world.invite(bob, 1);
    world.run_for(10 * SECOND);
    world.cut(Site::Member(bob), [Site::Member(alice)]);
    world.add(alice, &invite).unwrap();
    world.run_for(MINUTE);
    let known = examine(&mut world, alice, "bob", Vec::new()).unwrap();
    assert!(known.held.is_none_or(|held| held.temporary), "{known:?}");
    assert_eq!(known.letters.len(), 1);
    let letter = &known.letters[0];
    assert_eq!(letter.kind, "introduce");
    assert!(letter.tries > 1, "{letter:?}");
    assert!(
        letter.failure.as_ref().is_some_and(|failure| !failure.is_empty()),
        "{letter:?}"
    );
    world.heal();
    world.run_for(10 * MINUTE);
    let known = examine(&mut world, alice, "bob", Vec::new()).unwrap();
    assert!(known.letters.is_empty(), "{known:?}");
    assert!(known.held.is_some_and(|held| !held.temporary), "{known:?}");
}
