//! Every table is bounded, and what does not fit is refused with the bound in the answer.

use crate::consent::{deliver, grant_letter, introduction, letter, refused};
use crate::member::identity;
use crate::network::Site;
use crate::{Command, CommandError, HOUR, MINUTE, SECOND, SubscriptionState, Who, World};
use porchlight_proto::Input;
use porchlight_proto::input::LiveNode;
use porchlight_proto::limits::{
    CONTACTS, INVITE_LIFE_MAX, INVITE_LIFE_MIN, INVITE_USES, INVITES, LISTENING, LIVE_NODES, LOOKUPS, STRANGER_BURST,
    STRANGER_REFILL,
};
use porchlight_wire::frame::{Admission, Refusal, Response};
use porchlight_wire::ids::{Address, NodeId};
use porchlight_wire::invite::Invite;
use porchlight_wire::keys::DeviceKeys;
use porchlight_wire::record::Place;
use std::collections::BTreeSet;

fn create(uses: u32, expires_in: u64, view: &str) -> Command {
    let view = view.to_owned();
    Command::CreateInvite { uses, expires_in, view }
}

/// Gives `who` so many contacts that they have as many as can be.
fn fill_contacts(world: &mut World, who: Who, up_to: usize) {
    let model = world.members[who].disk.contacts.values().next().unwrap().clone();
    let now = world.unix();
    world.kill(who);
    while world.members[who].disk.contacts.len() < up_to {
        let mut row = model.clone();
        row.principal = identity(now, &mut world.rng).principal;
        row.name = row.principal.to_string();
        row.held = None;
        row.subscription = None;
        world.members[who].disk.contacts.insert(row.principal, row);
    }
    world.boot(who);
    world.run_for(5 * SECOND);
}

#[test]
fn what_an_invite_may_be_is_said_in_the_refusal() {
    let mut world = World::new(180);
    let alice = world.join("alice");
    for (uses, life) in [
        (0, HOUR),
        (INVITE_USES + 1, HOUR),
        (1, INVITE_LIFE_MIN - 1),
        (1, INVITE_LIFE_MAX + 1),
    ] {
        let refused = world.call(alice, create(uses, life, "contacts"));
        assert!(
            matches!(refused, Err(CommandError::Invalid { .. })),
            "{uses} uses for {life} ms"
        );
    }
    let refused = world.call(alice, create(1, HOUR, "no such view"));
    assert!(matches!(refused, Err(CommandError::NotFound { .. })));
    for (uses, life) in [(1, INVITE_LIFE_MIN), (INVITE_USES, INVITE_LIFE_MAX)] {
        assert!(world.call(alice, create(uses, life, "contacts")).is_ok());
    }
}

#[test]
fn invites_are_bounded_and_ended_ones_make_room() {
    let mut world = World::new(181);
    let alice = world.join("alice");
    for _ in 0..INVITES {
        world.call(alice, create(1, 10 * MINUTE, "contacts")).unwrap();
    }
    let full = world.call(alice, create(1, HOUR, "contacts"));
    assert!(matches!(full, Err(CommandError::Full { limit: INVITES, .. })));
    world.run_for(11 * MINUTE);
    assert_eq!(world.members[alice].disk.invites.len(), 0);
    assert!(world.call(alice, create(1, HOUR, "contacts")).is_ok());
}

#[test]
fn contacts_are_bounded_on_either_side_of_first_contact() {
    let mut world = World::new(182);
    let (alice, bob, carol) = (world.join("alice"), world.join("bob"), world.join("carol"));
    world.meet(alice, bob);
    let (of_alice, of_carol) = (world.invite(alice, 1), world.invite(carol, 1));
    fill_contacts(&mut world, alice, CONTACTS);
    let full = world.add(alice, &of_carol);
    assert!(matches!(full, Err(CommandError::Full { limit: CONTACTS, .. })));
    // Carol is refused for now, and goes on trying.
    world.add(carol, &of_alice).unwrap();
    world.run_for(MINUTE);
    assert_eq!(world.members[alice].disk.contacts.len(), CONTACTS);
    let waiting = &world.contacts(carol)[0];
    assert_eq!(waiting.waiting, 1);
    assert_eq!(waiting.subscription, Some(SubscriptionState::Provisional));
}

#[test]
fn a_flood_of_strangers_letters_is_bounded_and_stops_nobody_else() {
    let mut world = World::new(183);
    let (alice, bob, carol, mallory) = (
        world.join("alice"),
        world.join("bob"),
        world.join("carol"),
        world.join("mallory"),
    );
    world.meet(alice, bob);
    let invite = world.invite(alice, 1);
    let body = grant_letter(&world, mallory, alice, 1);
    let envelope = letter(&mut world, mallory, alice, body);
    let mut tried = 0;
    for _ in 0..1_000 {
        match deliver(&mut world, mallory, alice, Admission::Open, envelope.clone()) {
            Response::Refused {
                reason: Refusal::NotAdmitted,
            } => tried += 1,
            other => assert_eq!(other, refused(Refusal::TooMany)),
        }
    }
    assert_eq!(tried, STRANGER_BURST);
    // One more each time.
    world.run_for(3 * STRANGER_REFILL);
    for _ in 0..3 {
        let answer = deliver(&mut world, mallory, alice, Admission::Open, envelope.clone());
        assert_eq!(answer, refused(Refusal::NotAdmitted));
    }
    let answer = deliver(&mut world, mallory, alice, Admission::Open, envelope.clone());
    assert_eq!(answer, refused(Refusal::TooMany));
    // Contacts and holders of an invite are heard in the middle of it.
    let body = grant_letter(&world, bob, alice, 7);
    let of_bob = letter(&mut world, bob, alice, body);
    let answer = deliver(&mut world, bob, alice, Admission::Open, of_bob);
    assert_eq!(answer, Response::Delivered {});
    let token = Invite::parse(&invite).unwrap().token;
    let body = introduction(&world, carol, alice, token.clone());
    let of_carol = letter(&mut world, carol, alice, body);
    let answer = deliver(&mut world, carol, alice, Admission::Token(token), of_carol);
    assert_eq!(answer, Response::Delivered {});
}

#[test]
fn a_flood_by_the_holder_of_an_invite_is_bounded_too() {
    let mut world = World::new(188);
    let (alice, bob, mallory) = (world.join("alice"), world.join("bob"), world.join("mallory"));
    let invite = world.invite(alice, 5);
    let token = Invite::parse(&invite).unwrap().token;
    let body = grant_letter(&world, mallory, alice, 1);
    let envelope = letter(&mut world, mallory, alice, body);
    let mut tried = 0;
    for _ in 0..1_000 {
        let admission = Admission::Token(token.clone());
        if deliver(&mut world, mallory, alice, admission, envelope.clone()) != refused(Refusal::TooMany) {
            tried += 1;
        }
    }
    assert_eq!(tried, STRANGER_BURST);
    // Whoever is turned away because of it tries again.
    world.add(bob, &invite).unwrap();
    world.run_for(MINUTE);
    assert_eq!(world.contacts(bob)[0].subscription, Some(SubscriptionState::Active));
}

#[test]
fn garbage_in_an_envelope_is_a_refusal() {
    let mut world = World::new(184);
    let (alice, mallory) = (world.join("alice"), world.join("mallory"));
    let invite = world.invite(alice, 1);
    let token = Invite::parse(&invite).unwrap().token;
    for bytes in [Vec::new(), vec![0; 10], vec![1; 2_048], vec![0xff; 70_000]] {
        for admission in [Admission::Open, Admission::Token(token.clone())] {
            let answer = deliver(&mut world, mallory, alice, admission, bytes.clone());
            assert_eq!(answer, refused(Refusal::CannotOpen));
        }
    }
    let identity = world.members[alice].disk.identity.clone();
    for bytes in [b"".as_slice(), b"\xa0", &[0x80; 100]] {
        let sealed = porchlight_wire::envelope::seal(&identity.envelope.public(), bytes, &mut world.rng).unwrap();
        let answer = deliver(&mut world, mallory, alice, Admission::Token(token.clone()), sealed);
        assert_eq!(answer, refused(Refusal::Invalid));
    }
}

#[test]
fn lookups_for_commands_are_bounded() {
    let mut world = World::new(185);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    let fetch = || Command::Fetch {
        contact: "alice".to_owned(),
    };
    let asked: Vec<_> = (0..LOOKUPS + 5).map(|_| world.ask(bob, fetch(), None)).collect();
    let full = asked
        .iter()
        .filter(|request| {
            matches!(
                world.members[bob].replies.get(request),
                Some(Err(CommandError::Full { limit: LOOKUPS, .. }))
            )
        })
        .count();
    assert_eq!(full, 5);
    world.run_for(5 * SECOND);
    assert!(
        asked
            .iter()
            .all(|request| world.members[bob].replies.contains_key(request))
    );
    assert!(world.call(bob, fetch()).is_ok());
}

#[test]
fn what_the_network_tells_is_bounded() {
    let mut world = World::new(186);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    for number in 0..10 * LISTENING {
        let address = Address::parse(&format!("/ip4/192.0.2.1/tcp/{}", 4_000 + number)).unwrap();
        world.input(alice, Input::Listening { address });
    }
    let nodes: Vec<LiveNode> = (0..2 * LIVE_NODES)
        .map(|_| LiveNode {
            followed: BTreeSet::new(),
            node: NodeId::from_bytes(DeviceKeys::random(&mut world.rng).signing_public()).unwrap(),
            relay: true,
            topics: BTreeSet::new(),
        })
        .collect();
    world.input(alice, Input::Live { nodes });
    world.run_for(MINUTE);
    // Its card still fits, and it is still heard.
    world.links_change(0);
    world.run_for(MINUTE);
    let invite = world.invite(alice, 1);
    let carol = world.join("carol");
    world.add(carol, &invite).unwrap();
    world.run_for(MINUTE);
    assert_eq!(world.sees(carol, alice), "open");
    assert!(world.contacts(carol)[0].node == Some(world.node_of(Site::Member(alice))));
}

#[test]
fn addresses_that_are_gone_make_room_for_new_ones_and_configured_ones_come_first() {
    let mut world = World::with_network(188, "test", 0);
    let alice = world.join("alice");
    let numbered = |number: usize| Address::parse(&format!("/ip4/192.0.2.1/tcp/{}", 4_000 + number)).unwrap();
    // A laptop in so many networks, one after the other.
    for number in 0..2 * LISTENING {
        let address = numbered(number);
        world.input(
            alice,
            Input::Listening {
                address: address.clone(),
            },
        );
        world.input(alice, Input::NotListening { address });
    }
    let own = world.members[alice].address.address.clone();
    world.input(alice, Input::NotListening { address: own });
    world.input(
        alice,
        Input::Listening {
            address: numbered(9_000),
        },
    );
    let reach = |world: &mut World| -> Vec<Address> {
        let invite = Invite::parse(&world.invite(alice, 1)).unwrap();
        invite.reach.into_iter().map(|node| node.address).collect()
    };
    assert_eq!(reach(&mut world), [numbered(9_000)]);
    let external = Address::parse("/ip4/198.51.100.7/tcp/4110").unwrap();
    world.kill(alice);
    world.members[alice].config.external = vec![external.clone()];
    world.boot(alice);
    let own = world.members[alice].address.address.clone();
    world.input(
        alice,
        Input::Listening {
            address: external.clone(),
        },
    );
    assert_eq!(reach(&mut world), [external, own]);
}

#[test]
fn answers_to_questions_never_asked_are_ignored() {
    let mut world = World::new(187);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    let before = world.members[alice].disk.clone();
    let beacon = world.members[bob].records.values().next().unwrap().clone();
    let exchange = porchlight_proto::input::ExchangeId(77_777);
    let lookup = porchlight_proto::input::LookupId(77_777);
    let put = porchlight_proto::input::PutId(77_777);
    let pk = beacon.pk();
    for input in [
        Input::Response {
            exchange,
            response: Response::Delivered {},
        },
        Input::ExchangeFailed {
            exchange,
            perhaps_processed: true,
            reason: String::new(),
        },
        Input::Found {
            lookup,
            record: beacon.into(),
        },
        Input::LookupDone { lookup, answered: 3 },
        Input::PutDone {
            put,
            stored: 0,
            asked: 3,
        },
        Input::Worked {
            place: Place::Beacon(pk),
            nonce: 0,
        },
        Input::Start,
        Input::Deadline,
    ] {
        world.input(alice, input);
    }
    assert!(world.members[alice].disk == before);
}
