//! Records and letters that are forged, altered, recorded and played back, outdated or too early: none of them changes
//! what anybody is told.

use crate::consent::{deliver, introduction, letter, refused};
use crate::network::Site;
use crate::{Command, DAY, Event, HOUR, LEASE, MINUTE, SECOND, Status, Who, World};
use porchlight_proto::Input;
use porchlight_proto::event::Source;
use porchlight_proto::input::BeaconSource;
use porchlight_wire::beacon::{BeaconDraft, BeaconError, VerifiedBeacon};
use porchlight_wire::blind::{Epoch, GenerationKey, Kind};
use porchlight_wire::envelope;
use porchlight_wire::frame::{Admission, Refusal, Request, Response};
use porchlight_wire::ids::PrincipalId;
use porchlight_wire::invite::Invite;
use porchlight_wire::letter::LetterBody;
use porchlight_wire::presence::{Basic, Note, PresenceDocument, PresenceState, PresenceTuple};
use porchlight_wire::time::UnixMillis;

/// What a record says that nobody should ever be shown.
const LIE: &str = "this was never said";

/// Two contacts, and a third party that plays its tricks from a connected node.
fn two_and_a_stranger(seed: u8) -> (World, Who, Who, Who) {
    let mut world = World::new(seed);
    let (alice, bob, mallory) = (world.join("alice"), world.join("bob"), world.join("mallory"));
    world.meet(alice, bob);
    (world, alice, bob, mallory)
}

fn lie(entity: PrincipalId, issued: UnixMillis) -> PresenceState {
    PresenceState {
        issued,
        lease: LEASE,
        ended: false,
        document: PresenceDocument {
            notes: vec![Note {
                lang: None,
                text: LIE.to_owned(),
            }],
            ..PresenceDocument::new(entity, vec![PresenceTuple::new("self", Basic::Open)])
        },
        reach: None,
    }
}

/// A record of these contents under `key`, as if made at `now`.
fn seal(
    world: &mut World,
    key: &GenerationKey,
    payload: &[u8],
    sequence: u64,
    epoch: Epoch,
    now: UnixMillis,
) -> Vec<u8> {
    let draft = BeaconDraft {
        kind: Kind::Presence,
        epoch,
        slot: 0,
        sequence,
        expires: UnixMillis(u64::MAX),
        payload,
        work: 0,
    };
    key.seal(&draft, now, &mut world.rng).unwrap()
}

/// The key under which `who` publishes for contacts.
fn view_key(world: &World, who: Who) -> GenerationKey {
    world.members[who].disk.views["contacts"].key.clone()
}

/// Sends a record to `to` over gossip from `by`, and plants it with every relay that will take it.
fn plant(world: &mut World, bytes: &[u8], by: Who, to: Who) {
    let source = BeaconSource::Gossip(world.node_of(Site::Member(by)));
    world.send_record(to, bytes, source);
    let now = world.unix();
    if let Ok(beacon) = VerifiedBeacon::verify(bytes, &world.network, now) {
        for relay in &mut world.relays {
            let _ = relay.shelf.put(beacon.clone().into(), now);
        }
    }
    world.run_for(3 * SECOND);
}

/// What `bob` is told of `alice` is the same before and after, also when he asks.
fn is_unmoved(world: &mut World, alice: Who, bob: Who, shown: &str) {
    let events = world.notified(bob, alice).len();
    assert_eq!(world.sees(bob, alice), shown);
    let fetched = world.fetch(bob, alice).unwrap().told;
    assert_eq!(crate::word(&fetched), shown);
    let lied = fetched
        .document
        .is_some_and(|document| document.notes.iter().any(|note| note.text == LIE));
    assert!(!lied, "the lie was believed");
    assert_eq!(world.notified(bob, alice).len(), events);
}

#[test]
fn rfc2779_5_3_1_an_altered_notification_is_not_shown() {
    let (mut world, alice, bob, mallory) = two_and_a_stranger(80);
    world.set(alice, Status::Busy, None);
    world.run_for(5 * SECOND);
    let record = world.members[alice].records.values().next_back().unwrap().clone();
    let newest = world.members[alice]
        .records
        .values()
        .max_by_key(|record| record.sequence())
        .unwrap()
        .clone();
    let before = world.notified(bob, alice).len();
    for record in [record, newest] {
        // Every part of it in turn: header, key, certificate, sequence, expiry, ciphertext, signature.
        for position in (0..record.bytes().len()).step_by(13) {
            let mut altered = record.bytes().to_vec();
            altered[position] ^= 0x10;
            let source = BeaconSource::Gossip(world.node_of(Site::Member(mallory)));
            world.send_record(bob, &altered, source);
        }
    }
    world.run_for(3 * SECOND);
    assert_eq!(world.notified(bob, alice).len(), before);
    is_unmoved(&mut world, alice, bob, "busy");
}

#[test]
fn rfc2779_2_5_2_a_record_played_back_does_not_bring_back_what_it_said() {
    let (mut world, alice, bob, mallory) = two_and_a_stranger(81);
    world.set(alice, Status::Away, Some("before"));
    world.run_for(5 * SECOND);
    world.set(alice, Status::Closed, None);
    world.run_for(5 * SECOND);
    let recorded: Vec<Vec<u8>> = world.members[alice]
        .records
        .values()
        .map(|record| record.bytes().to_vec())
        .collect();
    assert!(recorded.len() > 3);
    for bytes in &recorded {
        plant(&mut world, bytes, mallory, bob);
    }
    is_unmoved(&mut world, alice, bob, "closed");
    // Nor across a restart of the watcher.
    world.kill(bob);
    world.boot(bob);
    world.run_for(5 * SECOND);
    for bytes in &recorded {
        plant(&mut world, bytes, mallory, bob);
    }
    is_unmoved(&mut world, alice, bob, "closed");
    assert!(!world.notified(bob, alice)[world.notified(bob, alice).len() - 2..].contains(&"away"));
}

#[test]
fn rfc2779_2_5_2_receiving_the_same_again_does_not_lengthen_a_lease() {
    let (mut world, alice, bob, mallory) = two_and_a_stranger(82);
    world.set(alice, Status::Away, None);
    world.run_for(5 * SECOND);
    world.kill(alice);
    let recorded: Vec<Vec<u8>> = world.members[alice]
        .records
        .values()
        .map(|record| record.bytes().to_vec())
        .collect();
    for _ in 0..25 {
        for bytes in &recorded {
            let source = BeaconSource::Gossip(world.node_of(Site::Member(mallory)));
            world.send_record(bob, bytes, source);
        }
        world.run_for(5 * SECOND);
    }
    is_unmoved(&mut world, alice, bob, "closed (lapsed)");
}

#[test]
fn a_record_played_back_to_who_never_saw_it_is_not_shown_as_open() {
    let (mut world, alice, bob, mallory) = two_and_a_stranger(83);
    world.kill(bob);
    world.set(alice, Status::Away, Some("while bob was away"));
    world.run_for(5 * SECOND);
    let record = world.members[alice]
        .records
        .values()
        .max_by_key(|record| record.sequence())
        .unwrap()
        .clone();
    world.kill(alice);
    for relay in &mut world.relays {
        relay.shelf = porchlight_wire::shelf::Shelf::new(crate::member::SHELF);
    }
    world.run_for(3 * MINUTE);
    world.boot(bob);
    world.run_for(5 * SECOND);
    let source = BeaconSource::Gossip(world.node_of(Site::Member(mallory)));
    world.send_record(bob, record.bytes(), source);
    world.run_for(SECOND);
    is_unmoved(&mut world, alice, bob, "closed (lapsed)");
}

#[test]
fn rfc2779_3_3_2_the_highest_sequence_wins_in_whatever_order_records_come() {
    let (mut world, alice, bob, mallory) = two_and_a_stranger(84);
    world.faults.lost_gossip = 100;
    for number in 0..6 {
        world.set(alice, Status::Busy, Some(&format!("number {number}")));
        world.run_for(2 * SECOND);
    }
    let mut records: Vec<VerifiedBeacon> = world.members[alice].records.values().cloned().collect();
    // The newest in the middle, the oldest last.
    records.sort_by_key(|record| (record.sequence() % 7, std::cmp::Reverse(record.sequence())));
    for record in records {
        let source = BeaconSource::Gossip(world.node_of(Site::Member(mallory)));
        let bytes = record.bytes().to_vec();
        world.send_record(bob, &bytes, source);
        world.run_for(SECOND);
    }
    let told = world.told(bob, alice).told;
    assert_eq!(told.document.unwrap().notes[0].text, "number 5");
    assert_eq!(told.source, Some(Source::Gossip));
}

#[test]
fn relays_that_serve_an_outdated_copy_do_not_set_a_watcher_back() {
    let (mut world, alice, bob, _) = two_and_a_stranger(85);
    world.set(alice, Status::Away, None);
    world.run_for(35 * SECOND);
    for relay in &mut world.relays {
        relay.stuck = true;
    }
    world.set(alice, Status::Busy, None);
    world.run_for(5 * SECOND);
    is_unmoved(&mut world, alice, bob, "busy");
}

#[test]
fn rfc2779_5_1_4_what_relays_answer_is_taken_only_if_it_is_the_presentitys() {
    let (mut world, alice, bob, mallory) = two_and_a_stranger(91);
    let carol = world.join("carol");
    world.meet(carol, mallory);
    world.set(alice, Status::Busy, None);
    world.run_for(MINUTE);
    // Every relay adds the record of somebody else to its answer: as good a record as any, but of another.
    let others: Vec<VerifiedBeacon> = [carol, mallory, bob]
        .iter()
        .map(|who| world.members[*who].records.values().next_back().unwrap().clone())
        .collect();
    for other in others {
        for relay in &mut world.relays {
            relay.lie = Some(other.clone());
        }
        is_unmoved(&mut world, alice, bob, "busy");
    }
}

#[test]
fn rfc2779_2_5_1_an_altered_letter_is_refused() {
    let mut world = World::new(92);
    let (alice, bob) = (world.join("alice"), world.join("bob"));
    let invite = world.invite(alice, 1);
    let token = Invite::parse(&invite).unwrap().token;
    let body = introduction(&world, bob, alice, token.clone());
    let envelope = letter(&mut world, bob, alice, body);
    let admission = || Admission::Token(token.clone());
    for position in (2..envelope.len()).step_by(97) {
        let mut altered = envelope.clone();
        altered[position] ^= 1;
        let answer = deliver(&mut world, bob, alice, admission(), altered);
        assert_eq!(answer, refused(Refusal::CannotOpen), "byte {position}");
        // Not faster than anybody may try.
        world.run_for(SECOND);
    }
    // Opened, altered and sealed again by somebody in between who could do that.
    let identity = world.members[alice].disk.identity.clone();
    let signed = envelope::open(&envelope, &identity.envelope).unwrap();
    for position in (0..signed.len()).step_by(41) {
        let mut altered = signed.to_vec();
        altered[position] ^= 1;
        let altered = envelope::seal(&identity.envelope.public(), &altered, &mut world.rng).unwrap();
        let answer = deliver(&mut world, bob, alice, admission(), altered);
        assert_ne!(answer, Response::Delivered {}, "byte {position}");
        assert_ne!(answer, refused(Refusal::TooMany));
        world.run_for(SECOND);
    }
    assert_eq!(world.contacts(alice), []);
    let answer = deliver(&mut world, bob, alice, admission(), envelope);
    assert_eq!(answer, Response::Delivered {}, "as it was written, it is taken");
}

/// Somebody who signs with `key` what says it is Alice's makes nobody believe it.
fn a_forgery_is_not_shown(seed: u8, forger_reads_the_view: bool) {
    let (mut world, alice, bob, mallory) = two_and_a_stranger(seed);
    let carol = world.join("carol");
    world.meet(alice, carol);
    let principal = world.members[alice].principal();
    let read = world.members[carol].disk.contacts[&principal]
        .held
        .clone()
        .unwrap()
        .read;
    let key = if forger_reads_the_view {
        // The 64 bytes that read the view, and a signing key of one's own.
        let mut own = [7; 64];
        own[32..].copy_from_slice(&read.to_bytes()[32..]);
        GenerationKey::from_bytes(&own)
    } else {
        GenerationKey::from_bytes(&[9; 64])
    };
    let now = world.unix();
    let payload = lie(principal, now).to_bytes().unwrap();
    let before = world.notified(bob, alice).len();
    let epoch = key.read_key().epoch(Kind::Presence, now);
    let mut bytes = seal(&mut world, &key, &payload, now.0 + 1, epoch, now);
    plant(&mut world, &bytes, mallory, bob);
    // The same at Alice's address of today.
    let address = read.blinded(Kind::Presence, read.epoch(Kind::Presence, now), 0);
    bytes[2..34].copy_from_slice(address.as_bytes());
    let verdict = VerifiedBeacon::verify(&bytes, &world.network, now);
    assert_eq!(verdict, Err(BeaconError::Certificate));
    plant(&mut world, &bytes, carol, bob);
    assert_eq!(world.notified(bob, alice).len(), before);
    is_unmoved(&mut world, alice, bob, "open");
}

#[test]
fn rfc2779_5_2_4_a_third_party_cannot_forge_a_notification() {
    a_forgery_is_not_shown(86, false);
}

#[test]
fn rfc2779_5_3_3_not_even_a_fellow_watcher_can_write_what_she_can_read() {
    a_forgery_is_not_shown(93, true);
}

#[test]
fn rfc2779_5_1_1_a_record_about_somebody_else_is_not_shown() {
    let (mut world, alice, bob, mallory) = two_and_a_stranger(87);
    let carol = world.join("carol");
    world.meet(bob, carol);
    // Alice herself writes a record that claims to be Carol's, and one that is nothing at all.
    let key = view_key(&world, alice);
    let now = world.unix();
    let epoch = key.read_key().epoch(Kind::Presence, now);
    let claim = lie(world.members[carol].principal(), now).to_bytes().unwrap();
    let before = (world.notified(bob, alice).len(), world.notified(bob, carol).len());
    for (payload, sequence) in [(claim.as_slice(), now.0 + 1), (b"\xa0", now.0 + 2), (b"", now.0 + 3)] {
        let bytes = seal(&mut world, &key, payload, sequence, epoch, now);
        let source = BeaconSource::Gossip(world.node_of(Site::Member(mallory)));
        world.send_record(bob, &bytes, source);
    }
    world.run_for(3 * SECOND);
    assert_eq!(
        (world.notified(bob, alice).len(), world.notified(bob, carol).len()),
        before
    );
    assert_eq!((world.sees(bob, alice), world.sees(bob, carol)), ("open", "open"));
    // What is wrong with its contents does not stop the next good one.
    world.set(alice, Status::Busy, None);
    world.run_for(5 * SECOND);
    assert_eq!(world.sees(bob, alice), "busy");
}

#[test]
fn a_record_from_too_far_ahead_is_not_taken() {
    let (mut world, alice, bob, mallory) = two_and_a_stranger(88);
    let key = view_key(&world, alice);
    let read = key.read_key();
    let now = world.unix();
    let before = world.notified(bob, alice).len();
    let principal = world.members[alice].principal();
    for days in [2, 3, 30] {
        let then = now.plus(days * DAY);
        let payload = lie(principal, then).to_bytes().unwrap();
        let epoch = read.epoch(Kind::Presence, then);
        let bytes = seal(&mut world, &key, &payload, then.0, epoch, then);
        plant(&mut world, &bytes, mallory, bob);
    }
    assert_eq!(world.notified(bob, alice).len(), before);
    is_unmoved(&mut world, alice, bob, "open");
    // Tomorrow's address may be used today, but not believed today if it was issued tomorrow.
    let then = now.plus(HOUR);
    let payload = lie(principal, then).to_bytes().unwrap();
    let epoch = read.epoch(Kind::Presence, now);
    let bytes = seal(&mut world, &key, &payload, now.0 + 1_000, epoch, now);
    let source = BeaconSource::Gossip(world.node_of(Site::Member(mallory)));
    world.send_record(bob, &bytes, source);
    world.run_for(SECOND);
    assert_ne!(world.sees(bob, alice), "open");
}

#[test]
fn rfc2779_2_5_2_letters_played_back_change_nothing() {
    let mut world = World::new(89);
    let (alice, bob, mallory) = (world.join("alice"), world.join("bob"), world.join("mallory"));
    let invite = world.invite_for(alice, 1, DAY);
    world.add(bob, &invite).unwrap();
    world.run_for(MINUTE);
    let recorded: Vec<(Who, Request)> = world.delivered.clone();
    assert!(recorded.len() >= 2, "an introduction and a grant");
    // Both move on: Bob gets a longer grant, and then no longer wants to hear of Alice.
    let envelope = letter(&mut world, bob, alice, LetterBody::Renew {});
    let answer = deliver(&mut world, bob, alice, Admission::Open, envelope);
    assert_eq!(answer, Response::Delivered {});
    world.run_for(MINUTE);
    assert!(world.delivered.len() > recorded.len(), "the longer grant");
    let contact = "alice".to_owned();
    world.call(bob, Command::Unsubscribe { contact }).unwrap();
    world.run_for(MINUTE);
    let before: Vec<_> = [alice, bob].map(|who| world.members[who].disk.contacts.clone()).into();
    let events: Vec<_> = [alice, bob].map(|who| world.members[who].history.len()).into();
    let sent = world.delivered.len();
    for round in 0..3 {
        for (to, request) in &recorded {
            let from = world.node_of(Site::Member(mallory));
            let request = request.clone();
            let exchange = porchlight_proto::input::ExchangeId(1_000_000 + round);
            world.input(
                *to,
                Input::Request {
                    from,
                    exchange,
                    request,
                },
            );
        }
        world.run_for(10 * SECOND);
    }
    let after: Vec<_> = [alice, bob].map(|who| world.members[who].disk.contacts.clone()).into();
    assert!(
        before == after,
        "a contact was changed by a letter that was played back"
    );
    let after: Vec<_> = [alice, bob].map(|who| world.members[who].history.len()).into();
    assert_eq!(events, after);
    assert_eq!(world.delivered.len(), sent, "nothing is sent because of it");
    let used = world.count(alice, |event| matches!(event, Event::InviteUsed { .. }));
    assert_eq!(used, 1);
}

#[test]
fn a_letter_passed_on_to_somebody_else_is_refused() {
    let mut world = World::new(90);
    let (alice, bob, carol) = (world.join("alice"), world.join("bob"), world.join("carol"));
    world.meet(alice, bob);
    let recorded: Vec<(Who, Request)> = world.delivered.clone();
    for (_, request) in recorded {
        let exchange = porchlight_proto::input::ExchangeId(2_000_000);
        let from = world.node_of(Site::Member(bob));
        let answers = world.answers.len();
        world.input(
            carol,
            Input::Request {
                from,
                exchange,
                request,
            },
        );
        let refused = world.answers[answers..].to_vec();
        assert!(
            matches!(
                refused[..],
                [Response::Refused {
                    reason: Refusal::CannotOpen | Refusal::NotAdmitted
                }]
            ),
            "{refused:?}"
        );
    }
    assert_eq!(world.contacts(carol), []);
}
