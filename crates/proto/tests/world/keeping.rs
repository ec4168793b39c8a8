//! What a relay admits to the mailboxes it keeps, and what it refuses: asked by hand, frame by frame.

use crate::network::Site;
use crate::{DAY, HOUR, MINUTE, SECOND, Who, World};
use porchlight_proto::Input;
use porchlight_proto::input::ExchangeId;
use porchlight_wire::beacon::BeaconDraft;
use porchlight_wire::blind::{Epoch, GenerationKey, Kind};
use porchlight_wire::frame::{Refusal, Request, Response};
use porchlight_wire::ids::{NodeId, RandomId};
use porchlight_wire::keys::DeviceKeys;
use porchlight_wire::mailbox::{
    Claim, Entry, MailboxId, MailboxKey, Operation, Pass, SignedVoucher, Voucher, What, registration_challenge,
};
use porchlight_wire::stamp::{Class, Day, DayWork, Stamp, StampKey, deposit_challenge, find_day_work};
use porchlight_wire::time::UnixMillis;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_bytes::ByteBuf;

/// The relay's core is the first member.
const RELAY: Who = 0;

const KIB: usize = 1_024;

/// Somebody who is no member of the world.
struct Owner {
    node: NodeId,
    key: MailboxKey,
    stamps: StampKey,
    minted: u8,
}

fn node(seed: u8) -> NodeId {
    let mut rng = ChaCha20Rng::from_seed([seed; 32]);
    NodeId::from_bytes(DeviceKeys::random(&mut rng).signing_public()).unwrap()
}

impl Owner {
    fn new(seed: u8) -> Self {
        Self {
            node: node(seed),
            key: MailboxKey::from_bytes(&[seed; 32]),
            stamps: StampKey::from_bytes([seed; 32]),
            minted: 0,
        }
    }

    fn id(&self) -> MailboxId {
        self.key.id()
    }

    fn stamp_until(&mut self, day: Day, class: Class) -> Pass {
        self.minted += 1;
        Pass::Stamp(self.stamps.mint(&self.id(), [self.minted; 16], day, class))
    }

    fn stamp(&mut self, world: &World) -> Pass {
        self.stamp_until(Day::of(world.unix().plus(30 * DAY)), Class::Contact)
    }

    fn asks(&self, world: &mut World, what: What) -> Response {
        let operation = Operation {
            mailbox: self.id(),
            owner: self.node,
            relay: world.node_of(Site::Member(RELAY)),
            what,
        };
        world.frame(self.node, Request::Mailbox(operation.sign(&self.key)))
    }

    fn registers(&self, world: &mut World, claim: Claim) -> Response {
        let stamp_key = self.stamps.clone();
        self.asks(world, What::Register { stamp_key, claim })
    }

    fn works(&self, world: &World) -> Claim {
        let day = Day::of(world.unix());
        let relay = world.node_of(Site::Member(RELAY));
        let challenge = registration_challenge(&self.id(), &relay, day);
        let bits = world.network.mailbox_work_bits();
        let nonce = find_day_work(&challenge, bits, 0, u64::MAX).unwrap();
        Claim::Work(DayWork { day, nonce })
    }

    fn list(&self, world: &mut World) -> Vec<Entry> {
        match self.asks(world, What::List { after: 0 }) {
            Response::MailboxList { entries, .. } => entries,
            other => panic!("no list: {other:?}"),
        }
    }

    fn voucher(&self, world: &World, uses: u8) -> SignedVoucher {
        let voucher = Voucher {
            by: self.id(),
            relay: world.node_of(Site::Member(RELAY)),
            id: RandomId::from_bytes([uses; 16]),
            uses,
            until: world.unix().plus(DAY),
        };
        voucher.sign(&self.key)
    }
}

impl World {
    /// What the relay answers to a frame.
    fn frame(&mut self, from: NodeId, request: Request) -> Response {
        let before = self.answers.len();
        let input = Input::Request {
            from,
            exchange: ExchangeId(9_000_000),
            request,
        };
        self.input(RELAY, input);
        self.answers[before].clone()
    }

    fn deposit(&mut self, from: u8, mailbox: MailboxId, pass: Pass, envelope: Vec<u8>) -> Response {
        let request = Request::MailboxDeposit {
            mailbox,
            pass,
            envelope,
        };
        self.frame(node(from), request)
    }

    fn stranger(&self, mailbox: MailboxId, envelope: &[u8]) -> Pass {
        let day = Day::of(self.unix());
        let challenge = deposit_challenge(&mailbox, day, envelope);
        let bits = self.network.mailbox_work_bits();
        let nonce = find_day_work(&challenge, bits, 0, u64::MAX).unwrap();
        Pass::Work(DayWork { day, nonce })
    }

    fn list_node(&mut self, node: NodeId) {
        let keeper = &mut self.members[RELAY];
        keeper.config.mailkeeping.as_mut().unwrap().nodes.insert(node);
        self.keeper_dies(0);
        self.keeper_comes(0);
    }
}

fn refused(response: &Response) -> Refusal {
    match response {
        Response::Refused { reason } => *reason,
        other => panic!("not refused: {other:?}"),
    }
}

fn is_stored(response: &Response) -> bool {
    matches!(response, Response::MailboxStored { .. })
}

fn envelope(number: u8) -> Vec<u8> {
    vec![number; 2 * KIB]
}

fn registered(world: &mut World, seed: u8) -> Owner {
    let owner = Owner::new(seed);
    let claim = owner.works(world);
    let answer = owner.registers(world, claim);
    assert!(matches!(answer, Response::MailboxRegistered { .. }), "{answer:?}");
    owner
}

#[test]
fn a_deposit_that_is_repeated_is_the_same_one_also_after_a_restart_and_after_it_was_fetched() {
    let mut world = World::with_keepers(20, 1);
    let mut owner = registered(&mut world, 1);
    let stamp = owner.stamp(&world);
    let first = world.deposit(2, owner.id(), stamp.clone(), envelope(1));
    assert!(is_stored(&first));
    world.run_for(MINUTE);
    assert_eq!(world.deposit(3, owner.id(), stamp.clone(), envelope(1)), first);
    world.keeper_dies(0);
    world.keeper_comes(0);
    assert_eq!(world.deposit(2, owner.id(), stamp.clone(), envelope(1)), first);
    let listed = owner.list(&mut world);
    assert_eq!(listed.len(), 1);
    let numbers = vec![listed[0].number];
    let got = owner.asks(
        &mut world,
        What::Get {
            numbers: numbers.clone(),
        },
    );
    let Response::MailboxEnvelopes { envelopes } = got else {
        panic!("no envelopes");
    };
    assert_eq!(envelopes[0].envelope.to_vec(), envelope(1));
    assert_eq!(
        owner.asks(&mut world, What::Delete { numbers }),
        Response::MailboxDone {}
    );
    assert_eq!(world.deposit(2, owner.id(), stamp, envelope(1)), first);
    assert_eq!(owner.list(&mut world), [], "it does not come back");
    assert!(world.members[RELAY].bodies.is_empty());
}

#[test]
fn a_stamp_admits_one_envelope_to_its_own_mailbox_until_its_day_is_over() {
    let mut world = World::with_keepers(21, 1);
    let mut owner = registered(&mut world, 1);
    let other = registered(&mut world, 2);
    let stamp = owner.stamp(&world);
    assert!(is_stored(&world.deposit(3, owner.id(), stamp.clone(), envelope(1))));
    let again = world.deposit(3, owner.id(), stamp.clone(), envelope(2));
    assert_eq!(refused(&again), Refusal::Stamp);
    let elsewhere = world.deposit(3, other.id(), stamp, envelope(3));
    assert_eq!(refused(&elsewhere), Refusal::Stamp);
    let invented = Pass::Stamp(Stamp::from_bytes(&[1; 35]));
    let forged = world.deposit(3, owner.id(), invented, envelope(4));
    assert_eq!(refused(&forged), Refusal::Stamp);

    let today = Day::of(world.unix());
    let over = owner.stamp_until(Day(today.0 - 1), Class::Contact);
    let late = world.deposit(3, owner.id(), over, envelope(5));
    assert_eq!(refused(&late), Refusal::Time);
    // What would have to be remembered for years is not admitted either.
    let far = owner.stamp_until(Day(today.0 + 400), Class::Contact);
    let early = world.deposit(3, owner.id(), far, envelope(6));
    assert_eq!(refused(&early), Refusal::Time);
    let last = owner.stamp_until(today, Class::Contact);
    assert!(is_stored(&world.deposit(3, owner.id(), last, envelope(7))));
    assert_eq!(owner.list(&mut world).len(), 2);
}

#[test]
fn what_has_no_mailbox_or_no_known_size_is_refused_truthfully() {
    let mut world = World::with_keepers(22, 1);
    let mut owner = registered(&mut world, 1);
    let (one, other) = (owner.stamp(&world), owner.stamp(&world));
    let nowhere = world.deposit(3, Owner::new(9).id(), one, envelope(1));
    assert_eq!(refused(&nowhere), Refusal::NoMailbox);
    let odd = world.deposit(3, owner.id(), other, vec![0; 3_000]);
    assert_eq!(refused(&odd), Refusal::Size);
    assert_eq!(owner.list(&mut world), []);
    // A node that is no relay keeps nothing.
    let alice = world.join("alice");
    let request = Request::MailboxDeposit {
        mailbox: owner.id(),
        pass: owner.stamp(&world),
        envelope: envelope(1),
    };
    let before = world.answers.len();
    let input = Input::Request {
        from: node(3),
        exchange: ExchangeId(9_000_001),
        request,
    };
    world.input(alice, input);
    assert_eq!(refused(&world.answers[before].clone()), Refusal::NotServed);
}

#[test]
fn a_flood_of_strangers_leaves_the_room_of_contacts_free() {
    let mut world = World::with_keepers(23, 1);
    let mut owner = registered(&mut world, 1);
    let mut stored = 0;
    for number in 0..40 {
        let envelope = envelope(number);
        let pass = world.stranger(owner.id(), &envelope);
        // Each from another node: no pace stands in the way.
        match world.deposit(100 + number, owner.id(), pass, envelope) {
            Response::MailboxStored { .. } => stored += 1,
            other => assert_eq!(refused(&other), Refusal::Quota),
        }
    }
    assert_eq!(stored, 16);
    // An invite that got around floods its own queue.
    let today = Day::of(world.unix());
    for number in 0..70_u8 {
        let stamp = owner.stamp_until(today, Class::Invited);
        let answer = world.deposit(10 + number, owner.id(), stamp, envelope(number));
        assert_eq!(is_stored(&answer), number < 64, "{number}");
    }
    let stamp = owner.stamp(&world);
    assert!(is_stored(&world.deposit(3, owner.id(), stamp, envelope(1))));
}

#[test]
fn a_full_mailbox_refuses_and_has_room_again_once_its_owner_has_fetched() {
    let mut world = World::with_keepers(24, 1);
    let mut owner = registered(&mut world, 1);
    let large = || vec![7; 64 * KIB];
    let mut spare = None;
    for number in 0..33 {
        let stamp = owner.stamp(&world);
        let answer = world.deposit(number, owner.id(), stamp.clone(), large());
        if number < 32 {
            assert!(is_stored(&answer), "{number}: {answer:?}");
        } else {
            assert_eq!(refused(&answer), Refusal::Quota);
            spare = Some(stamp);
        }
    }
    let listed: Vec<u64> = owner.list(&mut world).iter().map(|entry| entry.number).collect();
    assert_eq!(listed.len(), 32);
    // An answer fits into a frame, whatever is asked for.
    let got = owner.asks(
        &mut world,
        What::Get {
            numbers: listed.clone(),
        },
    );
    let Response::MailboxEnvelopes { envelopes } = got else {
        panic!("no envelopes");
    };
    assert_eq!(envelopes.len(), 1);
    let numbers = vec![envelopes[0].number];
    assert_eq!(
        owner.asks(&mut world, What::Delete { numbers }),
        Response::MailboxDone {}
    );
    // What was refused is not spent.
    let answer = world.deposit(3, owner.id(), spare.unwrap(), large());
    assert!(is_stored(&answer));
}

#[test]
fn one_node_cannot_deposit_faster_than_its_pace_whomever_it_writes_to() {
    let mut world = World::with_keepers(25, 1);
    let mut owners = [registered(&mut world, 1), registered(&mut world, 2)];
    let mut stored = 0;
    for number in 0..100_usize {
        let owner = &mut owners[number % 2];
        let stamp = owner.stamp(&world);
        let mailbox = owner.id();
        match world.deposit(3, mailbox, stamp, envelope(1)) {
            Response::MailboxStored { .. } => stored += 1,
            other => assert_eq!(refused(&other), Refusal::TooMany),
        }
    }
    assert_eq!(stored, 64);
    let stamp = owners[0].stamp(&world);
    assert!(is_stored(&world.deposit(4, owners[0].id(), stamp, envelope(2))));
    world.run_for(2 * SECOND);
    let stamp = owners[0].stamp(&world);
    assert!(is_stored(&world.deposit(3, owners[0].id(), stamp, envelope(3))));
}

#[test]
fn only_the_owner_lists_fetches_and_deletes() {
    let mut world = World::with_keepers(26, 1);
    let mut owner = registered(&mut world, 1);
    let stamp = owner.stamp(&world);
    assert!(is_stored(&world.deposit(3, owner.id(), stamp, envelope(1))));
    let relay = world.node_of(Site::Member(RELAY));
    for what in [
        What::List { after: 0 },
        What::Get { numbers: vec![1] },
        What::Delete { numbers: vec![1] },
        What::Close {},
        What::Register {
            stamp_key: StampKey::from_bytes([9; 32]),
            claim: Claim::Known,
        },
    ] {
        let operation = |owner_node, relay| Operation {
            mailbox: owner.id(),
            owner: owner_node,
            relay,
            what: what.clone(),
        };
        // By another key; played back by another node; meant for another relay.
        for (from, signed) in [
            (
                node(4),
                operation(node(4), relay).sign(&MailboxKey::from_bytes(&[4; 32])),
            ),
            (node(4), operation(owner.node, relay).sign(&owner.key)),
            (owner.node, operation(owner.node, node(5)).sign(&owner.key)),
        ] {
            let answer = world.frame(from, Request::Mailbox(signed));
            assert_eq!(refused(&answer), Refusal::Invalid, "{what:?}");
        }
    }
    assert_eq!(owner.list(&mut world).len(), 1);
    assert_eq!(owner.asks(&mut world, What::Close {}), Response::MailboxDone {});
    assert_eq!(
        refused(&owner.asks(&mut world, What::List { after: 0 })),
        Refusal::NoMailbox
    );
    let disk = &world.members[RELAY].disk;
    assert!(disk.kept.is_empty() && disk.deposits.is_empty() && disk.spent.is_empty());
    assert!(world.members[RELAY].bodies.is_empty());
}

#[test]
fn a_mailbox_is_registered_by_the_administrators_list_a_voucher_or_work() {
    let mut world = World::with_network_and_keepers(27, "porchlight");
    let owner = Owner::new(1);
    assert_eq!(
        refused(&owner.registers(&mut world, Claim::Known)),
        Refusal::NotAdmitted
    );
    let unworked = Claim::Work(DayWork {
        day: Day::of(world.unix()),
        nonce: 0,
    });
    assert_eq!(refused(&owner.registers(&mut world, unworked)), Refusal::Stamp);
    let worked = owner.works(&world);
    // Work is for one mailbox, and for one day.
    assert_eq!(
        refused(&Owner::new(2).registers(&mut world, worked.clone())),
        Refusal::Stamp
    );
    let most = |response: Response| match response {
        Response::MailboxRegistered { quotas, .. } => {
            quotas
                .iter()
                .find(|quota| quota.class == Class::Contact)
                .unwrap()
                .most_bytes
        }
        other => panic!("not registered: {other:?}"),
    };
    let small = most(owner.registers(&mut world, worked.clone()));
    let without_work = Pass::Work(DayWork {
        day: Day::of(world.unix()),
        nonce: 1,
    });
    let cheap = world.deposit(3, owner.id(), without_work, envelope(1));
    assert_eq!(refused(&cheap), Refusal::Stamp, "a stranger has to work as well");
    // Whoever is registered needs no claim to stay so.
    assert_eq!(most(owner.registers(&mut world, Claim::Known)), small);
    // Only those whom the administrator knows can let others in.
    let friend = Owner::new(3);
    let by_worked = Claim::Voucher(owner.voucher(&world, 5));
    assert_eq!(refused(&friend.registers(&mut world, by_worked)), Refusal::NotAdmitted);

    world.list_node(owner.node);
    let large = most(owner.registers(&mut world, Claim::Known));
    assert!(large > small);
    let voucher = owner.voucher(&world, 2);
    let medium = most(friend.registers(&mut world, Claim::Voucher(voucher.clone())));
    assert!(small < medium && medium < large);
    for (seed, fits) in [(4, true), (5, false)] {
        let answer = Owner::new(seed).registers(&mut world, Claim::Voucher(voucher.clone()));
        assert_eq!(
            matches!(answer, Response::MailboxRegistered { .. }),
            fits,
            "a voucher for two"
        );
    }
    let further = Claim::Voucher(friend.voucher(&world, 5));
    assert_eq!(
        refused(&Owner::new(6).registers(&mut world, further)),
        Refusal::NotAdmitted
    );
    // Many vouchers are no way around what one mailbox can vouch for.
    let mut vouched = 2;
    for uses in 3..100 {
        let claim = Claim::Voucher(owner.voucher(&world, uses));
        match Owner::new(100 + uses).registers(&mut world, claim) {
            Response::MailboxRegistered { .. } => vouched += 1,
            other => assert_eq!(refused(&other), Refusal::Quota),
        }
    }
    assert_eq!(vouched, 32);
    world.run_for(2 * DAY);
    let late = Owner::new(7).registers(&mut world, Claim::Voucher(voucher));
    assert_eq!(refused(&late), Refusal::Time);
    assert_eq!(refused(&Owner::new(8).registers(&mut world, worked)), Refusal::Time);
}

#[test]
fn mailboxes_that_nothing_but_work_speaks_for_leave_most_of_the_room_to_others() {
    let mut world = World::with_keepers(28, 1);
    world.members[RELAY].config.mailkeeping.as_mut().unwrap().room = 8 * 16 * KIB as u64;
    let mut listed = Owner::new(1);
    world.list_node(listed.node);
    assert!(matches!(
        listed.registers(&mut world, Claim::Known),
        Response::MailboxRegistered { .. }
    ));
    let mut worked = registered(&mut world, 2);
    let envelope = || vec![0; 16 * KIB];
    for number in 0..3 {
        let stamp = worked.stamp(&world);
        let answer = world.deposit(3, worked.id(), stamp, envelope());
        assert_eq!(is_stored(&answer), number < 2, "a quarter is two of eight");
    }
    for number in 0..7 {
        let stamp = listed.stamp(&world);
        let answer = world.deposit(4, listed.id(), stamp, envelope());
        if number < 6 {
            assert!(is_stored(&answer), "{number}");
        } else {
            assert_eq!(refused(&answer), Refusal::Full);
        }
    }
    // What is there is counted again after a restart.
    world.keeper_dies(0);
    world.keeper_comes(0);
    let stamp = listed.stamp(&world);
    assert_eq!(
        refused(&world.deposit(4, listed.id(), stamp, envelope())),
        Refusal::Full
    );
    let numbers = listed.list(&mut world).iter().map(|entry| entry.number).collect();
    listed.asks(&mut world, What::Delete { numbers });
    let stamp = listed.stamp(&world);
    assert!(is_stored(&world.deposit(4, listed.id(), stamp, envelope())));
}

#[test]
fn what_is_over_is_swept() {
    let mut world = World::with_keepers(29, 1);
    let mut owner = registered(&mut world, 1);
    let soon = owner.stamp_until(Day::of(world.unix()), Class::Contact);
    assert!(is_stored(&world.deposit(3, owner.id(), soon, envelope(1))));
    let later = owner.stamp(&world);
    assert!(is_stored(&world.deposit(3, owner.id(), later, envelope(2))));
    world.run_for(DAY + HOUR);
    assert_eq!(world.members[RELAY].disk.spent.len(), 1, "the one whose day is over");
    assert_eq!(owner.list(&mut world).len(), 2);
    world.run_for(6 * DAY);
    assert_eq!(owner.list(&mut world), []);
    assert!(world.members[RELAY].bodies.is_empty());
    world.run_for(25 * DAY);
    let disk = &world.members[RELAY].disk;
    assert!(
        disk.kept.is_empty() && disk.spent.is_empty(),
        "nobody registered it again"
    );
}

/// A closing record of the day that is so many days ahead, by somebody with this seed, as it is made when that day begins.
fn closing(world: &World, seed: u8, days: u64) -> ByteBuf {
    let key = GenerationKey::from_bytes(&[seed; 64]);
    let read = key.read_key();
    let today = read.epoch(Kind::Presence, world.unix());
    let epoch = Epoch(today.0 + days);
    let draft = BeaconDraft {
        kind: Kind::Presence,
        epoch,
        slot: 0,
        sequence: 1,
        expires: UnixMillis(u64::MAX),
        payload: b"away",
        work: 0,
    };
    let begins = read.epoch_start(Kind::Presence, epoch).max(world.unix());
    let mut rng = ChaCha20Rng::from_seed([seed; 32]);
    ByteBuf::from(key.seal(&draft, begins, &mut rng).unwrap())
}

#[test]
fn what_is_left_is_checked_before_it_is_kept_and_bounded() {
    let mut world = World::with_keepers(110, 1);
    let owner = Owner::new(1);
    let leave = |first: bool, records: Vec<ByteBuf>| What::Leave { first, records };
    let refused = |reason| Response::Refused { reason };
    let record = closing(&world, 1, 3);
    let none = owner.asks(&mut world, leave(true, vec![record]));
    assert_eq!(none, refused(Refusal::NoMailbox));
    let claim = owner.works(&world);
    owner.registers(&mut world, claim);
    for days in [0, 1, 2, 7] {
        let record = closing(&world, 1, days);
        assert_eq!(
            owner.asks(&mut world, leave(false, vec![record])),
            Response::MailboxDone {}
        );
    }
    assert_eq!(world.members[RELAY].disk.left.len(), 4);
    // What nobody could use, or would stand too late.
    let mut altered = closing(&world, 1, 3);
    altered[900] ^= 1;
    assert_eq!(
        owner.asks(&mut world, leave(false, vec![altered])),
        refused(Refusal::Invalid)
    );
    let late = closing(&world, 1, 11);
    assert_eq!(owner.asks(&mut world, leave(false, vec![late])), refused(Refusal::Time));
    let short = ByteBuf::from(vec![1; 100]);
    assert_eq!(
        owner.asks(&mut world, leave(false, vec![short])),
        refused(Refusal::Size)
    );
    assert_eq!(world.members[RELAY].disk.left.len(), 4, "and what was there stays");
    // For whom nothing but work speaks a few are kept.
    let many: Vec<ByteBuf> = (2..34).map(|seed| closing(&world, seed, 3)).collect();
    assert_eq!(
        owner.asks(&mut world, leave(false, many.clone())),
        Response::MailboxDone {}
    );
    let more: Vec<ByteBuf> = (34..50).map(|seed| closing(&world, seed, 3)).collect();
    assert_eq!(owner.asks(&mut world, leave(false, more)), refused(Refusal::Quota));
    assert_eq!(world.members[RELAY].disk.left.len(), 36);
    // The same again is the same, and the first of a new set takes the place of all.
    assert_eq!(owner.asks(&mut world, leave(false, many)), Response::MailboxDone {});
    assert_eq!(world.members[RELAY].disk.left.len(), 36);
    let record = closing(&world, 1, 4);
    assert_eq!(
        owner.asks(&mut world, leave(true, vec![record])),
        Response::MailboxDone {}
    );
    assert_eq!(world.members[RELAY].disk.left.len(), 1);
    // Nobody else can leave anything there, and who is back has nothing there any more.
    let stranger = Owner {
        key: owner.key.clone(),
        ..Owner::new(2)
    };
    let record = closing(&world, 1, 5);
    let operation = Operation {
        mailbox: owner.id(),
        owner: owner.node,
        relay: world.node_of(Site::Member(RELAY)),
        what: leave(true, vec![record]),
    };
    let played_back = world.frame(stranger.node, Request::Mailbox(operation.sign(&owner.key)));
    assert_eq!(played_back, refused(Refusal::Invalid));
    owner.registers(&mut world, Claim::Known);
    assert!(world.members[RELAY].disk.left.is_empty());
}
