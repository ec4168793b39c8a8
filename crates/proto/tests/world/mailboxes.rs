//! Mailboxes: letters for those who are away. Here the relays have cores that keep mailboxes, and some of them cheat.

use crate::member::{Crash, CrashPoint, Member, Mischief};
use crate::network::Site;
use crate::{Command, DAY, HOUR, MINUTE, SECOND, Status, SubscriptionState, Who, World};
use porchlight_proto::relay::Mailkeeping;
use porchlight_proto::rows::Tier;
use porchlight_proto::{Input, Reply};
use porchlight_wire::ids::PrincipalId;
use porchlight_wire::letter::LetterBody;
use std::collections::BTreeSet;

impl World {
    /// A world whose relays keep mailboxes. Their cores are its first members.
    pub fn with_keepers(seed: u8, relays: usize) -> Self {
        Self::with_network(seed, "test", relays).keeping()
    }

    /// The same with one relay in a network of this name.
    pub fn with_network_and_keepers(seed: u8, network: &str) -> Self {
        Self::with_network(seed, network, 1).keeping()
    }

    fn keeping(self) -> Self {
        let mut world = self;
        let relays = world.relays.len();
        for relay in 0..relays {
            let now = world.unix();
            let network = world.network.clone();
            let mut keeper = Member::new(&format!("relay{relay}"), &network, &[], now, &mut world.rng);
            keeper.address = world.relays[relay].address.clone();
            keeper.config.node = keeper.address.node;
            keeper.config.mailkeeping = Some(Mailkeeping {
                nodes: BTreeSet::new(),
                strangers: true,
                room: 64 << 20,
            });
            world.members.push(keeper);
            world.boot(relay);
        }
        world.mailboxes = 2;
        world.run_for(SECOND);
        world
    }

    /// The process of a relay is gone, and what it had in memory.
    pub fn keeper_dies(&mut self, relay: usize) {
        self.relays[relay].up = false;
        self.kill(relay);
        self.run_for(2 * SECOND);
    }

    pub fn keeper_comes(&mut self, relay: usize) {
        self.relays[relay].up = true;
        self.boot(relay);
        self.run_for(2 * SECOND);
    }

    pub fn id(&self, who: Who) -> PrincipalId {
        self.members[who].principal()
    }

    pub fn stopped(&mut self, who: Who) {
        self.stop(who);
        self.run_for(MINUTE);
    }

    pub fn back(&mut self, who: Who) {
        self.boot(who);
        self.run_for(MINUTE);
    }

    /// Letters that wait at `who` for `to`.
    fn waiting(&self, who: Who, to: Who) -> usize {
        let to = self.id(to);
        self.members[who]
            .disk
            .letters
            .values()
            .filter(|row| row.to == to)
            .count()
    }

    /// The same that are stored at so many relays each.
    pub fn stored(&self, who: Who, to: Who) -> usize {
        let to = self.id(to);
        let parcels = self.members[who].disk.parcels.values();
        parcels.filter(|row| row.to == to && row.stored.is_some()).count()
    }

    /// Envelopes that wait at a relay.
    pub fn kept_at(&self, relay: usize) -> usize {
        assert_eq!(
            self.members[relay].disk.deposits.len(),
            self.members[relay].bodies.len(),
            "each envelope has its body"
        );
        self.members[relay].disk.deposits.len()
    }

    fn is_active(&self, who: Who, of: Who) -> bool {
        self.subscription(who, &self.id(of)) == Some(SubscriptionState::Active)
    }

    /// Bob takes part after Alice has gone, and leaves before she is back: the two are never there at once.
    fn meet_in_turns(&mut self, alice: Who, bob: Who) {
        let invite = self.invite_for(alice, 1, 10 * DAY);
        self.stopped(alice);
        self.boot(bob);
        self.run_for(MINUTE);
        self.add(bob, &invite).unwrap();
        self.run_for(MINUTE);
        self.stopped(bob);
        self.back(alice);
        self.stopped(alice);
        self.back(bob);
    }
}

fn renews(body: &LetterBody) -> bool {
    matches!(body, LetterBody::Renew {})
}

#[test]
fn a_node_has_mailboxes_at_two_relays_and_says_so_in_its_card() {
    let mut world = World::with_keepers(1, 3);
    let alice = world.join("alice");
    let rows: Vec<_> = world.members[alice].disk.mailboxes.values().cloned().collect();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.until.is_some()));
    // Two relays that compare notes have nothing in common: neither the name nor the key that stamps are minted under.
    assert_ne!(rows[0].mailbox, rows[1].mailbox);
    assert_ne!(rows[0].stamp_key, rows[1].stamp_key);
    let bob = world.join("bob");
    world.meet(alice, bob);
    let card = &world.members[bob].disk.contacts[&world.id(alice)].card;
    let card = card.verify(&world.id(alice), world.unix()).unwrap();
    assert_eq!(card.bundle.mailboxes.len(), 2);
    // Each has stamps for the other's.
    for (who, of) in [(alice, bob), (bob, alice)] {
        let stamps = &world.members[who].disk.stamps[&world.id(of)];
        assert_eq!(stamps.books.len(), 2, "{}", world.members[who].name);
        assert!(stamps.books.iter().all(|book| book.stamps.len() >= 16));
    }
}

#[test]
fn rfc2779_2_3_7_an_invite_is_used_while_its_maker_is_away() {
    let mut world = World::with_keepers(2, 2);
    let alice = world.join("alice");
    let bob = world.join_silently("bob");
    let invite = world.invite_for(alice, 1, 10 * DAY);
    world.stopped(alice);

    world.boot(bob);
    world.run_for(MINUTE);
    world.add(bob, &invite).unwrap();
    world.run_for(MINUTE);
    // It lies at both relays, and nobody reports a problem.
    assert_eq!(world.stored(bob, alice), 2);
    assert_eq!((world.kept_at(0), world.kept_at(1)), (1, 1));
    assert_eq!(world.contacts(bob)[0].problem, None);
    world.stopped(bob);

    world.back(alice);
    assert_eq!(
        world.contacts(alice)[0].name,
        "bob",
        "bob is a contact of hers, although he is gone"
    );
    assert!(world.is_active(alice, bob));
    let invites = &world.members[alice].disk.invites;
    assert_eq!(
        invites.values().next().unwrap().uses_left(),
        0,
        "two copies are one use"
    );
    world.stopped(alice);

    world.back(bob);
    assert!(world.is_active(bob, alice), "her grant waited for him");
    assert_eq!(
        world.stored(bob, alice),
        0,
        "what needs no answer is done with once it is stored"
    );
    assert_eq!(
        (world.kept_at(0), world.kept_at(1)),
        (1, 1),
        "what was taken is deleted"
    );

    world.back(alice);
    assert_eq!(world.waiting(alice, bob), 0, "she knows that he has her grant");
    world.run_for(10 * MINUTE);
    assert_eq!((world.waiting(alice, bob), world.waiting(bob, alice)), (0, 0));
    assert_eq!((world.kept_at(0), world.kept_at(1)), (0, 0));
    world.set(alice, Status::Away, None);
    world.run_for(10 * SECOND);
    assert_eq!(world.sees(bob, alice), "away");
}

#[test]
fn who_stays_a_contact_is_moved_on_and_who_was_removed_is_told_although_nobody_is_there_at_once() {
    let mut world = World::with_keepers(3, 2);
    let (alice, bob, carol) = (world.join("alice"), world.join("bob"), world.join("carol"));
    world.meet(alice, bob);
    world.meet(alice, carol);
    world.stopped(bob);
    world.stopped(carol);
    let contact = "carol".to_owned();
    world.call(alice, Command::RemoveContact { contact }).unwrap();
    world.run_for(MINUTE);
    world.stopped(alice);

    world.back(bob);
    let held = world.members[bob].disk.contacts[&world.id(alice)].held.clone().unwrap();
    assert_eq!(held.generation, 2, "he was moved on by what lay in his mailbox");
    world.back(carol);
    assert_eq!(
        world.subscription(carol, &world.id(alice)),
        Some(SubscriptionState::Cancelled)
    );
    world.stopped(bob);
    world.stopped(carol);

    world.back(alice);
    assert_eq!(
        (world.waiting(alice, bob), world.waiting(alice, carol)),
        (0, 0),
        "both have confirmed"
    );
    assert!(world.members[alice].disk.former.is_empty());
}

#[test]
fn one_relay_that_withholds_or_hides_or_loses_is_made_up_for_by_the_other() {
    for mischief in [Mischief::Hides, Mischief::Withholds] {
        let mut world = World::with_keepers(4, 2);
        let (alice, bob) = (world.join("alice"), world.join_silently("bob"));
        world.members[0].mischief = mischief;
        world.meet_in_turns(alice, bob);
        assert!(world.is_active(bob, alice), "{mischief:?}");
    }
    let mut world = World::with_keepers(4, 2);
    let (alice, bob) = (world.join("alice"), world.join_silently("bob"));
    let invite = world.invite_for(alice, 1, 10 * DAY);
    world.stopped(alice);
    world.back(bob);
    world.add(bob, &invite).unwrap();
    world.run_for(MINUTE);
    // The disk of the first is gone.
    world.members[0].disk.deposits.clear();
    world.members[0].bodies.clear();
    world.keeper_dies(0);
    world.keeper_comes(0);
    world.stopped(bob);
    world.back(alice);
    assert_eq!(world.contacts(alice).len(), 1);
}

#[test]
fn what_relays_only_said_to_keep_still_arrives_when_the_two_are_there_at_once() {
    let mut world = World::with_keepers(5, 2);
    let (alice, bob) = (world.join("alice"), world.join_silently("bob"));
    world.members[0].mischief = Mischief::Hides;
    world.members[1].mischief = Mischief::Hides;
    world.meet_in_turns(alice, bob);
    assert!(!world.is_active(bob, alice));
    assert_eq!(world.stored(bob, alice), 2, "both said so");
    world.back(alice);
    // Within the time after which somebody for whom everything is stored is dialled again.
    world.run_for(7 * HOUR);
    assert!(world.is_active(bob, alice) && world.is_active(alice, bob));
}

#[test]
fn a_relay_that_repeats_everything_leads_to_nothing_twice() {
    let mut world = World::with_keepers(6, 2);
    let (alice, bob) = (world.join("alice"), world.join_silently("bob"));
    world.members[0].mischief = Mischief::Repeats;
    world.members[1].mischief = Mischief::Repeats;
    world.meet_in_turns(alice, bob);
    assert!(world.is_active(bob, alice));
    world.back(alice);
    world.run_for(HOUR);
    let (events, grants) = (
        world.members[alice].history.len(),
        world.members[bob].disk.contacts.clone(),
    );
    let looked = world.delivered.len();
    world.run_for(3 * HOUR);
    assert_eq!(world.members[alice].history.len(), events, "no event tells of it again");
    assert_eq!(world.members[bob].disk.contacts, grants);
    // Each visit of a mailbox that only repeats ends by itself.
    let visits = world.delivered.len() - looked;
    assert!(visits < 3_000, "{visits} requests in three hours");
}

#[test]
fn a_replayed_request_for_renewal_is_answered_once() {
    let mut world = World::with_keepers(7, 2);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    world.members[0].mischief = Mischief::Repeats;
    world.members[1].mischief = Mischief::Repeats;
    world.stopped(alice);
    // Half a year later her grant is about to end, and he asks for another one while she is away.
    world.stopped(bob);
    let of_alice = world.id(alice);
    let row = world.members[bob].disk.contacts.get_mut(&of_alice).unwrap();
    row.held.as_mut().unwrap().not_after = porchlight_wire::time::UnixMillis(crate::BEGINNING + 20 * DAY);
    world.back(bob);
    world.run_for(MINUTE);
    assert!(world.members[bob].disk.letters.values().any(|row| renews(&row.body)));
    world.stopped(bob);
    world.back(alice);
    world.back(bob);
    world.run_for(HOUR);
    let sequence = |world: &World| {
        let alice = world.id(alice);
        world.members[bob].disk.contacts[&alice].held.clone().unwrap().sequence
    };
    let first = sequence(&world);
    world.run_for(5 * HOUR);
    assert_eq!(sequence(&world), first, "no grant follows another");
}

#[test]
fn a_relay_that_is_killed_between_commit_and_answer_has_the_envelope_once() {
    for point in [
        CrashPoint::BeforeCommit,
        CrashPoint::AfterCommit,
        CrashPoint::AfterOneEffect,
    ] {
        let mut world = World::with_keepers(8, 1);
        let (alice, bob) = (world.join("alice"), world.join_silently("bob"));
        world.mailboxes = 1;
        let invite = world.invite_for(alice, 1, 10 * DAY);
        world.stopped(alice);
        world.back(bob);
        let before = world.members[0].disk.spent.len();
        world.members[0].plan(Some(Crash { at: 0, point }));
        world.add(bob, &invite).unwrap();
        world.run_for(MINUTE);
        assert!(world.members[0].crashed, "{point:?}");
        world.relays[0].up = false;
        world.run_for(MINUTE);
        world.keeper_comes(0);
        world.run_for(HOUR);
        assert_eq!(world.kept_at(0), 1, "{point:?}");
        assert_eq!(world.members[0].disk.spent.len(), before + 1, "one stamp was spent");
        assert_eq!(world.stored(bob, alice), 1);
        world.stopped(bob);
        world.back(alice);
        assert_eq!(world.contacts(alice).len(), 1, "{point:?}");
    }
}

#[test]
fn an_owner_that_is_killed_before_it_has_committed_gets_the_envelope_again() {
    for at in 0..12 {
        for point in [CrashPoint::BeforeCommit, CrashPoint::AfterCommit] {
            let mut world = World::with_keepers(9, 1);
            let (alice, bob) = (world.join("alice"), world.join_silently("bob"));
            let invite = world.invite_for(alice, 1, 10 * DAY);
            world.stopped(alice);
            world.back(bob);
            world.add(bob, &invite).unwrap();
            world.run_for(MINUTE);
            world.stopped(bob);
            world.members[alice].plan(Some(Crash { at, point }));
            world.back(alice);
            if world.members[alice].node.is_none() {
                world.back(alice);
            }
            world.members[alice].plan(None);
            assert_eq!(world.contacts(alice).len(), 1, "{point:?} at {at}");
            let uses_left = world.members[alice].disk.invites.values().next().unwrap().uses_left();
            assert_eq!(uses_left, 0);
            world.stopped(alice);
            world.back(bob);
            assert!(world.is_active(bob, alice), "{point:?} at {at}");
        }
    }
}

#[test]
fn a_letter_that_nobody_fetched_in_time_is_left_again() {
    let mut world = World::with_keepers(10, 2);
    let (alice, bob) = (world.join("alice"), world.join_silently("bob"));
    let invite = world.invite_for(alice, 1, 20 * DAY);
    world.stopped(alice);
    world.back(bob);
    world.add(bob, &invite).unwrap();
    world.run_for(9 * DAY);
    assert_eq!(
        (world.kept_at(0), world.kept_at(1)),
        (1, 1),
        "the first copies were swept, and new ones left"
    );
    world.stopped(bob);
    world.back(alice);
    assert_eq!(world.contacts(alice).len(), 1);
}

#[test]
fn stamps_that_run_low_are_filled_up_and_without_any_work_is_done() {
    let mut world = World::with_keepers(11, 2);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    let of_alice = world.id(alice);
    // He has none left, by whatever accident.
    world.stopped(bob);
    world.members[bob].disk.stamps.clear();
    world.stopped(alice);
    world.back(bob);
    let contact = "alice".to_owned();
    let view = Some("other".to_owned());
    let create = Command::CreateView {
        name: "other".to_owned(),
        projection: porchlight_proto::rows::Projection::Full,
        rights: BTreeSet::from([
            porchlight_wire::grant::Right::Subscribe,
            porchlight_wire::grant::Right::Fetch,
        ]),
        reach: None,
    };
    world.call(bob, create).unwrap();
    let update = Command::UpdateContact {
        contact,
        name: None,
        view,
    };
    assert!(matches!(world.call(bob, update), Ok(Reply::Contact(_))));
    world.run_for(10 * MINUTE);
    assert!(world.stored(bob, alice) >= 2, "by work");
    let classes: BTreeSet<_> = world.members[0].disk.deposits.values().map(|row| row.class).collect();
    assert_eq!(classes.len(), 1, "all in the queue of strangers: {classes:?}");
    world.back(alice);
    world.run_for(10 * MINUTE);
    let books = &world.members[bob].disk.stamps[&of_alice].books;
    assert!(books.iter().all(|book| book.stamps.len() >= 16), "she sent some");
}

#[test]
fn a_newcomer_without_a_relay_gets_a_mailbox_at_the_inviters_by_a_voucher() {
    let mut world = World::with_keepers(12, 1);
    let alice = world.join_silently("alice");
    let listed = world.members[alice].address.node;
    let mailkeeping = world.members[0].config.mailkeeping.as_mut().unwrap();
    mailkeeping.nodes.insert(listed);
    // Nobody gets in by work.
    mailkeeping.strangers = false;
    world.keeper_dies(0);
    world.keeper_comes(0);
    world.back(alice);
    let bob = world.join_silently("bob");
    world.members[bob].config.seed_peers.clear();
    world.back(bob);
    assert_eq!(world.members[bob].disk.mailboxes.len(), 0);
    world.meet(alice, bob);
    let rows: Vec<_> = world.members[bob].disk.mailboxes.values().collect();
    assert_eq!(rows.len(), 1);
    assert!(rows[0].until.is_some(), "it is registered");
    let kept = world.members[0].disk.kept.values();
    let tiers: Vec<Tier> = kept.map(|row| row.tier).collect();
    assert!(tiers.contains(&Tier::Listed));
    assert!(
        tiers.iter().any(|tier| matches!(tier, Tier::Vouched { .. })),
        "{tiers:?}"
    );
    // A third one, whom nobody knows, has none.
    let carol = world.join("carol");
    world.run_for(HOUR);
    assert_eq!(world.members[carol].disk.mailboxes.len(), 0);
}

#[test]
fn a_relay_that_lost_its_disk_is_registered_at_again() {
    let mut world = World::with_keepers(13, 2);
    let (alice, bob) = (world.join("alice"), world.join_silently("bob"));
    world.keeper_dies(0);
    let keeper = &mut world.members[0];
    keeper.disk.kept.clear();
    keeper.disk.deposits.clear();
    keeper.disk.spent.clear();
    keeper.bodies.clear();
    world.keeper_comes(0);
    world.run_for(10 * MINUTE);
    assert_eq!(world.members[0].disk.kept.len(), 1);
    world.meet_in_turns(alice, bob);
    assert!(world.is_active(bob, alice));
}

#[test]
fn what_a_relay_has_on_its_disk_names_nobody() {
    let mut world = World::with_keepers(14, 2);
    let (alice, bob) = (world.join("alice"), world.join_silently("bob"));
    let invite = world.invite_for(alice, 1, 10 * DAY);
    world.stopped(alice);
    world.back(bob);
    world.add(bob, &invite).unwrap();
    world.run_for(MINUTE);
    assert_eq!(world.kept_at(0), 1);
    let (alice, bob) = (&world.members[alice].disk.identity, &world.members[bob].disk.identity);
    for keeper in &world.members[..2] {
        let bodies: Vec<u8> = keeper.bodies.values().flatten().copied().collect();
        let rows = porchlight_wire::cbor::encode(&(
            keeper.disk.kept.values().collect::<Vec<_>>(),
            keeper.disk.deposits.values().collect::<Vec<_>>(),
            keeper.disk.spent.values().collect::<Vec<_>>(),
        ));
        let disk = [bodies, rows].concat();
        for secret in [
            alice.principal.as_bytes().as_slice(),
            bob.principal.as_bytes(),
            alice.device.id().as_bytes(),
            bob.device.id().as_bytes(),
            alice.envelope.public().as_bytes(),
            b"introduce",
        ] {
            assert!(!disk.windows(secret.len()).any(|part| part == secret));
        }
    }
}

#[test]
fn a_push_by_a_node_that_is_not_the_relay_is_refused() {
    let mut world = World::with_keepers(15, 2);
    let (alice, mallory) = (world.join("alice"), world.join("mallory"));
    let row = world.members[alice].disk.mailboxes.values().next().unwrap().clone();
    let answers = world.answers.len();
    let request = porchlight_wire::frame::Request::MailboxArrived { mailbox: row.mailbox };
    let input = Input::Request {
        from: world.node_of(Site::Member(mallory)),
        exchange: porchlight_proto::input::ExchangeId(7_000_000),
        request,
    };
    world.input(alice, input);
    assert_eq!(
        world.answers[answers],
        porchlight_wire::frame::Response::Refused {
            reason: porchlight_wire::frame::Refusal::NoMailbox
        }
    );
}

#[test]
fn a_chosen_relay_takes_the_place_of_another_which_is_given_up_once_it_is_empty() {
    let mut world = World::with_keepers(16, 3);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    let at = |world: &World| -> BTreeSet<usize> {
        let rows = world.members[alice].disk.mailboxes.values();
        rows.map(|row| (0..3).find(|relay| world.relays[*relay].address == row.relay).unwrap())
            .collect()
    };
    // Those that were connected first.
    let before = at(&world);
    assert_eq!(before.len(), 2);
    let chosen = (0..3).find(|relay| !before.contains(relay)).unwrap();
    let relay = world.relays[chosen].address.clone();
    let command = |stop| Command::UseRelay {
        relay: relay.clone(),
        stop,
    };
    assert!(matches!(world.call(alice, command(false)), Ok(Reply::Relay(_))));
    world.run_for(HOUR);
    let after = at(&world);
    assert!(after.contains(&chosen) && after.len() == 2, "{after:?}");
    let given_up = *before.difference(&after).next().unwrap();
    let bobs = &world.members[bob].disk.mailboxes;
    let left = &world.members[given_up].disk.kept;
    assert!(left.keys().all(|id| bobs.contains_key(id)), "hers was closed");
    // Bob has learned of it, and what he leaves comes to her.
    world.stopped(alice);
    let contact = "alice".to_owned();
    world.call(bob, Command::RemoveContact { contact }).unwrap();
    world.run_for(MINUTE);
    world.stopped(bob);
    world.back(alice);
    assert_eq!(
        world.subscription(alice, &world.id(bob)),
        Some(SubscriptionState::Cancelled)
    );
    assert!(matches!(world.call(alice, command(true)), Ok(Reply::Relay(_))));
    assert!(!at(&world).contains(&chosen), "given up at once");
    world.run_for(HOUR);
    assert_eq!(at(&world), before, "another one has taken its place");
}

/// Found by the simulation of revoking under load: the question waited on, and was left again and again, for a month.
#[test]
fn who_asked_to_renew_what_was_taken_back_asks_no_more_once_they_are_told() {
    let mut world = World::with_keepers(31, 2);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    world.meet(alice, bob);
    // The two reach the relays and not each other, so that letters go by mailboxes, and the record that says that a view has ended
    // is there before the letter that says why.
    world.cut(Site::Member(alice), [Site::Member(bob)]);
    world.run_for(MINUTE);
    let contact = "bob".to_owned();
    world.call(alice, Command::RevokeGrant { contact }).unwrap();
    world.run_until("he asks for it again", |world| {
        let letters = &world.members[bob].disk.letters;
        letters.values().any(|row| matches!(row.body, LetterBody::Renew {}))
    });
    world.run_for(5 * MINUTE);
    let cancelled = Some(SubscriptionState::Cancelled);
    assert_eq!(world.subscription(bob, &world.id(alice)), cancelled);
    assert_eq!(world.waiting(bob, alice), 0);
}
