//! Consent: nobody sees, is seen, or is heard without an invite or a grant.

use crate::member::Member;
use crate::network::Site;
use crate::{Command, HOUR, MINUTE, SECOND, Status, SubscriptionState, Who, World};
use porchlight_proto::Input;
use porchlight_proto::input::ExchangeId;
use porchlight_wire::beacon::VerifiedBeacon;
use porchlight_wire::blind::{Epoch, Kind, ReadKey};
use porchlight_wire::card::{Bundle, SignedCard};
use porchlight_wire::content::Content;
use porchlight_wire::envelope;
use porchlight_wire::frame::{Admission, Refusal, Request, Response};
use porchlight_wire::grant::{Grant, GrantSecrets, Right, SignedGrant};
use porchlight_wire::ids::{PrincipalId, RandomId};
use porchlight_wire::invite::{Invite, InviteToken};
use porchlight_wire::letter::{Letter, LetterBody, RefusalReason};
use porchlight_wire::presence::{Basic, PresenceState};
use porchlight_wire::time::UnixMillis;
use std::collections::BTreeSet;

/// A letter from `from`, sealed to `to`.
pub fn letter(world: &mut World, from: Who, to: Who, body: LetterBody) -> Vec<u8> {
    letter_in_the_name_of(world, from, from, to, body)
}

/// A letter that says it is from `claimed` and is signed by `from`.
fn letter_in_the_name_of(world: &mut World, from: Who, claimed: Who, to: Who, body: LetterBody) -> Vec<u8> {
    let now = world.unix();
    let (sender, recipient) = (&world.members[from].disk.identity, &world.members[to].disk.identity);
    let letter = Letter {
        id: RandomId::from_bytes([9; 16]),
        from: world.members[claimed].principal(),
        from_device: world.members[claimed].disk.identity.device.id(),
        to: recipient.principal,
        to_device: recipient.device.id(),
        created: now,
        body,
    };
    let devices = &world.members[claimed].disk.identity.devices;
    let content = Content::Letter(letter.sign(&sender.device, devices)).to_bytes();
    envelope::seal(&recipient.envelope.public(), &content, &mut world.rng).unwrap()
}

/// Hands a letter to `to` over a connection from `from`'s node, and says what was answered.
pub fn deliver(world: &mut World, from: Who, to: Who, admission: Admission, envelope: Vec<u8>) -> Response {
    let answers = world.answers.len();
    let node = world.node_of(Site::Member(from));
    let request = Request::Deliver { admission, envelope };
    world.input(
        to,
        Input::Request {
            from: node,
            exchange: ExchangeId(9_000_000),
            request,
        },
    );
    world.answers[answers].clone()
}

/// A card of `member`, as its node would make it.
pub fn card(member: &Member, now: UnixMillis) -> SignedCard {
    let identity = &member.disk.identity;
    let bundle = Bundle {
        device: identity.device.id(),
        envelope_key: identity.envelope.public(),
        olm: None,
        addresses: vec![member.address.clone()],
        relays: Vec::new(),
        mailboxes: Vec::new(),
        issued: now,
    };
    bundle.sign(&identity.device, &identity.devices)
}

/// A grant of a view of `member`'s.
pub fn grant(member: &Member, audience: PrincipalId, generation: u64, now: UnixMillis) -> SignedGrant {
    let identity = &member.disk.identity;
    let grant = Grant {
        issuer: identity.principal,
        device: identity.device.id(),
        audience,
        rights: BTreeSet::from([Right::Fetch, Right::Subscribe]),
        not_before: now,
        not_after: now.plus(HOUR),
        sequence: now.0,
        id: RandomId::from_bytes([8; 16]),
        depth: 0,
        secrets: [0; 32],
    };
    let secrets = GrantSecrets {
        view: identity.card.read_key(),
        generation,
    };
    grant.sign(&identity.device, secrets)
}

/// A letter with a grant of `from`'s.
pub fn grant_letter(world: &World, from: Who, to: Who, generation: u64) -> LetterBody {
    let member = &world.members[from];
    let now = world.unix();
    LetterBody::Grant {
        card: member.disk.identity.card.read_key(),
        current: card(member, now),
        name: Some(member.name.clone()),
        grant: grant(member, world.members[to].principal(), generation, now),
        stamps: Vec::new(),
        one_time: None,
    }
}

/// An introduction of `from` to `to`.
pub fn introduction(world: &World, from: Who, to: Who, token: InviteToken) -> LetterBody {
    let member = &world.members[from];
    let now = world.unix();
    LetterBody::Introduce {
        token,
        name: Some(member.name.clone()),
        card: member.disk.identity.card.read_key(),
        current: card(member, now),
        grant: Some(grant(member, world.members[to].principal(), 1, now)),
        stamps: Vec::new(),
        one_time: None,
    }
}

pub const fn refused(reason: Refusal) -> Response {
    Response::Refused { reason }
}

/// Everything that is kept anywhere in the network.
fn all_copies(world: &World) -> Vec<VerifiedBeacon> {
    let shelves = world.relays.iter().map(|relay| &relay.shelf);
    shelves
        .flat_map(|shelf| shelf.beacons().cloned().collect::<Vec<_>>())
        .collect()
}

fn opens_with(world: &World, beacon: &VerifiedBeacon, key: &ReadKey) -> Option<Vec<u8>> {
    let today = key.epoch(beacon.kind(), world.unix());
    let epochs = [today, Epoch(today.0 - 1), Epoch(today.0 + 1)];
    epochs.iter().find_map(|epoch| beacon.open(key, *epoch, 0).ok())
}

#[test]
fn rfc2779_2_5_3_copies_are_readable_only_by_those_who_were_granted_the_view() {
    let mut world = World::new(120);
    let (alice, bob, mallory) = (world.join("alice"), world.join("bob"), world.join("mallory"));
    world.meet(alice, bob);
    world.set(alice, Status::Busy, Some("between the two of us"));
    world.run_for(2 * MINUTE);
    let copies = all_copies(&world);
    assert!(copies.len() > 6);
    let in_clear = |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    for copy in &copies {
        assert!(!in_clear(copy.bytes(), b"between the two"));
        let ids = [alice, bob].map(|who| *world.members[who].principal().as_bytes());
        assert!(
            ids.iter().all(|id| !in_clear(copy.bytes(), id)),
            "no principal is named in clear"
        );
    }
    let notes = |key: &ReadKey| -> usize {
        let states = copies.iter().filter_map(|copy| opens_with(&world, copy, key));
        states
            .filter_map(|payload| PresenceState::from_bytes(&payload).ok())
            .filter(|state| !state.document.notes.is_empty())
            .count()
    };
    let principal = world.members[alice].principal();
    let held = world.members[bob].disk.contacts[&principal].held.clone().unwrap().read;
    // Around the boundary of a day there are copies at two addresses.
    assert!(matches!(notes(&held), 3 | 6), "bob can read every copy");
    let of_mallory = world.members[mallory].disk.identity.card.read_key();
    assert_eq!(notes(&of_mallory), 0);
    assert!(
        copies
            .iter()
            .filter(|copy| opens_with(&world, copy, &of_mallory).is_some())
            .count()
            <= 3,
        "her own card"
    );
}

#[test]
fn rfc2779_3_3_3_whoever_gets_at_the_copies_is_told_nothing_without_a_grant() {
    let mut world = World::new(121);
    let (alice, bob, mallory) = (world.join("alice"), world.join("bob"), world.join("mallory"));
    world.meet(alice, bob);
    // Mallory is in the same topic, connected to the same relays, and gets every byte that is gossiped.
    world.members[mallory].topics = world.network.topics().collect();
    for status in [Status::Busy, Status::Away, Status::Closed] {
        world.set(alice, status, None);
        world.run_for(5 * SECOND);
    }
    let contact = world.members[alice].principal().to_string();
    for command in [
        Command::Fetch {
            contact: contact.clone(),
        },
        Command::Subscribe { contact },
    ] {
        assert!(world.call(mallory, command).is_err());
    }
    assert!(world.members[mallory].shown.is_empty());
    assert!(world.members[mallory].disk.observed.is_empty());
    // She knows where a copy is, and asks for it under a contact of her own.
    let carol = world.join("carol");
    world.meet(mallory, carol);
    let copy = world.members[alice].records.values().next_back().unwrap().clone();
    for relay in &mut world.relays {
        relay.lie = Some(copy.clone());
    }
    let told = world.fetch(mallory, carol).unwrap().told;
    assert_eq!(crate::word(&told), "open", "carol's own, and nothing of alice's");
    assert_eq!(told.document.unwrap().entity, world.members[carol].principal());
}

#[test]
fn before_anybody_was_invited_no_presence_leaves_the_node() {
    let mut world = World::new(122);
    let alice = world.join("alice");
    world.set(alice, Status::Busy, Some("to myself"));
    world.run_for(10 * MINUTE);
    let kinds: BTreeSet<Kind> = world.members[alice]
        .records
        .values()
        .map(VerifiedBeacon::kind)
        .collect();
    assert_eq!(kinds, BTreeSet::from([Kind::Card]));
}

#[test]
fn rfc2779_2_3_7_access_holds_while_the_presentity_is_out_of_contact() {
    let mut world = World::new(123);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    let invite = world.invite(alice, 1);
    world.add(bob, &invite).unwrap();
    world.run_for(MINUTE);
    let carol = world.join("carol");
    world.set(alice, Status::Away, None);
    world.run_for(MINUTE);
    world.stop(alice);
    world.run_for(MINUTE);
    // Alice is gone, and still: who was granted may see, who was not may not, although she holds the invite's text.
    let seen = world.fetch(bob, alice).unwrap();
    assert_eq!(crate::word(&seen.told), "closed");
    assert!(world.add(carol, &invite).is_err());
    assert!(world.fetch_error(carol, alice));
}

#[test]
fn the_temporary_view_of_an_invite_ends_with_its_uses() {
    let mut world = World::new(124);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.set(alice, Status::Away, None);
    let invite = world.invite(alice, 1);
    let temporary = world.members[alice]
        .disk
        .invites
        .values()
        .next()
        .unwrap()
        .temporary
        .read_key();
    let states = |world: &World| -> BTreeSet<Basic> {
        let copies = all_copies(world);
        let opened = copies.iter().filter_map(|copy| opens_with(world, copy, &temporary));
        opened
            .map(|payload| PresenceState::from_bytes(&payload).unwrap().document.basic())
            .collect()
    };
    assert_eq!(
        states(&world),
        BTreeSet::from([Basic::Open]),
        "whoever has the invite can read it"
    );
    world.add(bob, &invite).unwrap();
    world.run_for(MINUTE);
    assert_eq!(
        states(&world),
        BTreeSet::from([Basic::Closed]),
        "and now it is closed for good"
    );
    let before = all_copies(&world);
    for status in [Status::Open, Status::Busy] {
        world.set(alice, status, None);
        world.run_for(2 * MINUTE);
    }
    assert_eq!(states(&world), BTreeSet::from([Basic::Closed]));
    let unmoved = |copies: Vec<VerifiedBeacon>| -> BTreeSet<u64> {
        let of_temporary = copies
            .iter()
            .filter(|copy| opens_with(&world, copy, &temporary).is_some());
        of_temporary.map(VerifiedBeacon::sequence).collect()
    };
    assert_eq!(
        unmoved(before),
        unmoved(all_copies(&world)),
        "nothing more is published there"
    );
}

#[test]
fn rfc2779_5_1_6_a_grant_nobody_asked_for_makes_no_subscription() {
    let mut world = World::new(125);
    let (alice, mallory) = (world.join("alice"), world.join("mallory"));
    let body = grant_letter(&world, mallory, alice, 1);
    let envelope = letter(&mut world, mallory, alice, body);
    let answer = deliver(&mut world, mallory, alice, Admission::Open, envelope);
    assert_eq!(answer, refused(Refusal::NotAdmitted));
    assert_eq!(world.contacts(alice), []);
    world.run_for(MINUTE);
    assert!(world.members[alice].shown.is_empty());
}

#[test]
fn rfc2779_5_1_6_a_contacts_new_grant_does_not_undo_an_unsubscription() {
    let mut world = World::new(126);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    let contact = "bob".to_owned();
    world.call(alice, Command::Unsubscribe { contact }).unwrap();
    let body = grant_letter(&world, bob, alice, 2);
    let envelope = letter(&mut world, bob, alice, body);
    let answer = deliver(&mut world, bob, alice, Admission::Open, envelope);
    assert_eq!(answer, Response::Delivered {});
    let of_bob = world.members[bob].principal();
    assert_eq!(
        world.members[alice].disk.contacts[&of_bob]
            .held
            .as_ref()
            .unwrap()
            .generation,
        2
    );
    assert_eq!(world.subscription(alice, &of_bob), None);
    world.set(bob, Status::Busy, None);
    world.run_for(MINUTE);
    assert!(!world.members[alice].shown.contains_key(&of_bob));
}

#[test]
fn rfc2779_5_3_2_notifications_come_only_from_those_one_subscribed_to() {
    let mut world = World::new(127);
    let (alice, bob, carol, dave) = (
        world.join("alice"),
        world.join("bob"),
        world.join("carol"),
        world.join("dave"),
    );
    // All of them gossip in the one topic of this network; alice knows only bob, and carol whom she unsubscribed from.
    world.meet(alice, bob);
    world.meet(alice, carol);
    world.meet(carol, dave);
    let contact = "carol".to_owned();
    world.call(alice, Command::Unsubscribe { contact }).unwrap();
    let from = world.members[alice].history.len();
    for who in [bob, carol, dave] {
        world.set(who, Status::Busy, None);
        world.run_for(10 * SECOND);
    }
    let notified: Vec<&str> = [bob, carol, dave]
        .into_iter()
        .flat_map(|who| world.notified_since(alice, who, from))
        .collect();
    assert_eq!(notified, ["busy"]);
    assert_eq!(world.members[alice].shown.len(), 1);
}

#[test]
fn a_strangers_letters_are_refused_whatever_they_say() {
    let mut world = World::new(128);
    let (alice, bob, mallory) = (world.join("alice"), world.join("bob"), world.join("mallory"));
    world.meet(alice, bob);
    let before = world.members[alice].disk.clone();
    let token = InviteToken::from_bytes([7; 16]);
    let bodies = [
        introduction(&world, mallory, alice, token.clone()),
        grant_letter(&world, mallory, alice, 1),
        LetterBody::Renew {},
        LetterBody::Ended { sequence: u64::MAX },
        LetterBody::Refused {
            reason: RefusalReason::Refused,
            sequence: u64::MAX,
        },
    ];
    for body in bodies {
        for admission in [Admission::Open, Admission::Token(token.clone())] {
            let envelope = letter(&mut world, mallory, alice, body.clone());
            let answer = deliver(&mut world, mallory, alice, admission, envelope);
            assert_eq!(answer, refused(Refusal::NotAdmitted), "{body:?}");
        }
    }
    // An invite's token lets nothing in but an introduction that shows it too.
    let uri = world.invite(alice, 1);
    let token = Invite::parse(&uri).unwrap().token;
    let other = InviteToken::from_bytes([6; 16]);
    let bodies = [
        introduction(&world, mallory, alice, other),
        grant_letter(&world, mallory, alice, 1),
    ];
    for body in bodies {
        let envelope = letter(&mut world, mallory, alice, body);
        let answer = deliver(&mut world, mallory, alice, Admission::Token(token.clone()), envelope);
        assert_eq!(answer, refused(Refusal::NotAdmitted));
    }
    assert!(before.contacts == world.members[alice].disk.contacts);
    assert_eq!(before.letters, world.members[alice].disk.letters);
}

#[test]
fn rfc2779_5_1_8_a_third_party_cannot_cancel_a_subscription() {
    let mut world = World::new(129);
    let (alice, bob, mallory) = (world.join("alice"), world.join("bob"), world.join("mallory"));
    world.meet(alice, bob);
    world.meet(alice, mallory);
    let of_bob = world.members[bob].principal();
    let endings = [
        LetterBody::Ended { sequence: u64::MAX },
        LetterBody::Refused {
            reason: RefusalReason::Refused,
            sequence: u64::MAX,
        },
    ];
    for body in endings {
        let envelope = letter_in_the_name_of(&mut world, mallory, bob, alice, body.clone());
        let answer = deliver(&mut world, mallory, alice, Admission::Open, envelope);
        assert_eq!(answer, refused(Refusal::Invalid));
        assert_eq!(world.subscription(alice, &of_bob), Some(SubscriptionState::Active));
    }
    // Her own she can end: that is told, and nothing of hers is shown any more.
    let envelope = letter(&mut world, mallory, alice, LetterBody::Ended { sequence: u64::MAX });
    let answer = deliver(&mut world, mallory, alice, Admission::Open, envelope);
    assert_eq!(answer, Response::Delivered {});
    let of_mallory = world.members[mallory].principal();
    assert_eq!(
        world.subscription(alice, &of_mallory),
        Some(SubscriptionState::Cancelled)
    );
    assert_eq!(world.sees(alice, mallory), "unknown (no record)");
    assert_eq!(world.sees(alice, bob), "open");
}

#[test]
fn an_introduction_with_a_grant_or_card_that_does_not_stand_makes_no_contact() {
    let mut world = World::new(130);
    let (alice, bob, mallory) = (world.join("alice"), world.join("bob"), world.join("mallory"));
    let uri = world.invite(alice, 1);
    let token = Invite::parse(&uri).unwrap().token;
    let now = world.unix();
    let (of_alice, of_bob) = (world.members[alice].principal(), world.members[bob].principal());
    let honest = introduction(&world, mallory, alice, token.clone());
    let LetterBody::Introduce { card: key, current, .. } = honest else {
        panic!("an introduction");
    };
    let bad: Vec<(SignedCard, SignedGrant)> = vec![
        // Bob's card, a grant to Bob, a grant by Bob, and a grant of a generation that only temporary views have.
        (
            card(&world.members[bob], now),
            grant(&world.members[mallory], of_alice, 1, now),
        ),
        (current.clone(), grant(&world.members[mallory], of_bob, 1, now)),
        (current.clone(), grant(&world.members[bob], of_alice, 1, now)),
        (current, grant(&world.members[mallory], of_alice, 0, now)),
    ];
    for (current, grant) in bad {
        let body = LetterBody::Introduce {
            token: token.clone(),
            name: None,
            card: key.clone(),
            current,
            grant: Some(grant),
            stamps: Vec::new(),
            one_time: None,
        };
        let envelope = letter(&mut world, mallory, alice, body);
        let answer = deliver(&mut world, mallory, alice, Admission::Token(token.clone()), envelope);
        assert_eq!(answer, refused(Refusal::Invalid));
    }
    assert_eq!(world.contacts(alice), []);
    let unused = world.members[alice].disk.invites.values().next().unwrap();
    assert_eq!(unused.uses_left(), 1);
}

#[test]
fn rfc2779_2_5_2_what_was_taken_back_and_given_again_is_not_undone_by_old_letters() {
    let mut world = World::new(131);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    let contact = || "bob".to_owned();
    world.call(alice, Command::RevokeGrant { contact: contact() }).unwrap();
    world.run_for(MINUTE);
    let show = Command::UpdateContact {
        contact: contact(),
        name: None,
        view: Some("contacts".to_owned()),
    };
    world.call(alice, show).unwrap();
    world.run_for(MINUTE);
    let of_alice = world.members[alice].principal();
    assert_eq!(world.subscription(bob, &of_alice), Some(SubscriptionState::Active));
    // Everything that alice ever sent comes again, in any order.
    let mut recorded: Vec<_> = world.delivered.iter().filter(|(to, _)| *to == bob).cloned().collect();
    assert!(recorded.len() >= 3);
    recorded.reverse();
    for (to, request) in recorded {
        let Request::Deliver { admission, envelope } = request else {
            continue;
        };
        deliver(&mut world, alice, to, admission, envelope);
    }
    world.run_for(MINUTE);
    assert_eq!(world.subscription(bob, &of_alice), Some(SubscriptionState::Active));
    world.set(alice, Status::Busy, None);
    world.run_for(10 * SECOND);
    assert_eq!(world.sees(bob, alice), "busy");
}
