use super::*;
use crate::limits::PAYLOAD_BYTES;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

fn plain() -> Network {
    Network::named("test").unwrap()
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([1; 32])
}

fn key_of(seed: u8) -> GenerationKey {
    key(seed)
}

fn key(seed: u8) -> GenerationKey {
    GenerationKey::from_bytes(&[seed; 64])
}

fn sealed(key: &GenerationKey, sequence: u64, payload: &[u8]) -> Vec<u8> {
    let epoch = key.read_key().epoch(Kind::Presence, NOW);
    let draft = BeaconDraft {
        kind: Kind::Presence,
        epoch,
        slot: 0,
        sequence,
        expires: UnixMillis(u64::MAX),
        payload,
        work: 0,
    };
    key.seal(&draft, NOW, &mut rng()).unwrap()
}

#[test]
fn what_was_sealed_opens() {
    let key = key(3);
    let read = key.read_key();
    for (length, class) in [(0, 1024), (698, 1024), (699, 2048), (1_722, 2048), (3_770, 4096)] {
        let payload = vec![7; length];
        let bytes = sealed(&key, 5, &payload);
        assert_eq!(bytes.len(), class, "{length}");
        let beacon = VerifiedBeacon::verify(&bytes, &plain(), NOW).unwrap();
        assert_eq!((beacon.kind(), beacon.sequence()), (Kind::Presence, 5));
        let epoch = read.epoch(Kind::Presence, NOW);
        assert_eq!(beacon.open(&read, epoch, 0).unwrap(), payload);
        assert_eq!(beacon.open(&read, epoch, 1), Err(OpenError::OtherAddress));
        assert_eq!(
            beacon.open(&key_of(4).read_key(), epoch, 0),
            Err(OpenError::OtherAddress)
        );
    }
}

#[test]
fn a_payload_that_does_not_fit_is_an_error() {
    let key = key(3);
    let epoch = key.read_key().epoch(Kind::Card, NOW);
    let draft = BeaconDraft {
        kind: Kind::Card,
        epoch,
        slot: 0,
        sequence: 1,
        expires: NOW,
        payload: &[0; PAYLOAD_BYTES],
        work: 0,
    };
    assert_eq!(
        key.seal(&draft, NOW, &mut rng()),
        Err(SealError {
            limit: 3_770,
            got: 4_096
        })
    );
}

#[test]
fn rfc2779_2_5_1_altered_beacon_is_refused() {
    let bytes = sealed(&key(3), 1, b"open");
    // Every byte matters; one bit of each is enough to try.
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 1 << (at % 8);
        assert!(VerifiedBeacon::verify(&altered, &plain(), NOW).is_err(), "byte {at}");
    }
}

#[test]
fn rfc2779_5_2_4_forged_beacon_is_refused() {
    // Mallory knows the address and can read the view, but does not have its seed.
    let (alice, mallory) = (key(3), key(4));
    let honest = sealed(&alice, 1, b"open");
    let own = sealed(&mallory, 2, b"closed");
    let mut under_her_address = own.clone();
    under_her_address[2..34].copy_from_slice(&honest[2..34]);
    assert_eq!(
        VerifiedBeacon::verify(&under_her_address, &plain(), NOW),
        Err(BeaconError::Certificate)
    );
    // Her certificate with a record that another key signed.
    let mut with_her_cert = own;
    with_her_cert[..146].copy_from_slice(&honest[..146]);
    assert_eq!(
        VerifiedBeacon::verify(&with_her_cert, &plain(), NOW),
        Err(BeaconError::Signature)
    );
}

#[test]
fn rfc2779_2_5_2_expired_and_too_early_beacons_are_refused() {
    let bytes = sealed(&key(3), 1, b"open");
    let beacon = VerifiedBeacon::verify(&bytes, &plain(), NOW).unwrap();
    let after = VerifiedBeacon::verify(&bytes, &plain(), beacon.expires()).unwrap_err();
    assert!(matches!(after, BeaconError::Expired(_)) && !after.is_forgery());
    let long_before = UnixMillis(beacon.expires().0 - PRESENCE_AHEAD - 1000);
    let before = VerifiedBeacon::verify(&bytes, &plain(), long_before).unwrap_err();
    assert!(matches!(before, BeaconError::TooEarly(_)) && !before.is_forgery());
}

#[test]
fn tomorrows_closing_record_can_be_published_today() {
    let key = key(3);
    let read = key.read_key();
    let tomorrow = Epoch(read.epoch(Kind::Presence, NOW).0 + 1);
    let draft = BeaconDraft {
        kind: Kind::Presence,
        epoch: tomorrow,
        slot: 0,
        sequence: 1,
        expires: UnixMillis(u64::MAX),
        payload: b"closed",
        work: 0,
    };
    let bytes = key.seal(&draft, NOW, &mut rng()).unwrap();
    let beacon = VerifiedBeacon::verify(&bytes, &plain(), NOW).unwrap();
    assert_eq!(beacon.open(&read, tomorrow, 0).unwrap(), b"closed");
    // It still stands at the end of tomorrow.
    let end = UnixMillis(read.epoch_start(Kind::Presence, Epoch(tomorrow.0 + 1)).0 - 1);
    assert!(VerifiedBeacon::verify(&bytes, &plain(), end).is_ok());
}

#[test]
fn the_network_decides_whether_work_is_needed() {
    let default = Network::named(crate::network::DEFAULT_NETWORK).unwrap();
    let key = key(3);
    let read = key.read_key();
    let epoch = read.epoch(Kind::Presence, NOW);
    let pk = read.blinded(Kind::Presence, epoch, 0);
    let work = find_work(pk.as_bytes(), default.work_bits(), 0, u64::MAX).unwrap();
    assert!(!has_work(pk.as_bytes(), work.wrapping_add(1), default.work_bits()) || work == 0);
    let draft = |work| BeaconDraft {
        kind: Kind::Presence,
        epoch,
        slot: 0,
        sequence: 1,
        expires: UnixMillis(u64::MAX),
        payload: b"open",
        work,
    };
    let lazy = key.seal(&draft(work.wrapping_add(1)), NOW, &mut rng()).unwrap();
    assert_eq!(VerifiedBeacon::verify(&lazy, &default, NOW), Err(BeaconError::Work(20)));
    assert!(VerifiedBeacon::verify(&lazy, &plain(), NOW).is_ok());
    let diligent = key.seal(&draft(work), NOW, &mut rng()).unwrap();
    assert!(VerifiedBeacon::verify(&diligent, &default, NOW).is_ok());
}

#[test]
fn of_two_with_one_sequence_the_lower_hash_wins() {
    let key = key(3);
    let record = |sequence, payload: &[u8]| {
        crate::record::VerifiedRecord::from(
            VerifiedBeacon::verify(&sealed(&key, sequence, payload), &plain(), NOW).unwrap(),
        )
    };
    let (one, two) = (record(1, b"one"), record(1, b"two"));
    assert_ne!(one.supersedes(&two), two.supersedes(&one));
    let newer = record(2, b"one");
    assert!(newer.supersedes(&one) && newer.supersedes(&two) && !one.supersedes(&newer));
}

#[test]
fn topics_are_spread() {
    let default = Network::named(crate::network::DEFAULT_NETWORK).unwrap();
    let topics: std::collections::BTreeSet<_> = (0..=255)
        .map(|byte| topic(&default, &BlindedKey::from_bytes([byte; 32])))
        .collect();
    assert!(topics.len() > 50 && topics.iter().all(|topic| topic.0 < 64));
    assert_eq!(topic(&plain(), &BlindedKey::from_bytes([9; 32])), TopicIndex(0));
}

#[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
struct Vector {
    generation: String,
    kind: u8,
    epoch: u64,
    slot: u8,
    sequence: u64,
    now: u64,
    payload: String,
    beacon: String,
}

#[test]
fn vectors_are_as_committed() {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let made: Vec<Vector> = [(Kind::Presence, 1_u8, 0_u8), (Kind::Card, 2, 0), (Kind::Presence, 3, 5)]
        .into_iter()
        .map(|(kind, seed, slot)| {
            let key = key(seed);
            let epoch = key.read_key().epoch(kind, NOW);
            let payload = format!("payload {seed}").into_bytes();
            let draft = BeaconDraft {
                kind,
                epoch,
                slot,
                sequence: u64::from(seed) * 1_000,
                expires: UnixMillis(u64::MAX),
                payload: &payload,
                work: 0,
            };
            Vector {
                generation: hex(key.to_bytes().as_slice()),
                kind: kind.byte(),
                epoch: epoch.0,
                slot,
                sequence: draft.sequence,
                now: NOW.0,
                beacon: hex(&key.seal(&draft, NOW, &mut rng()).unwrap()),
                payload: hex(&payload),
            }
        })
        .collect();
    crate::vectors::check("beacon", &made);
}

proptest! {
    #[test]
    fn rfc2779_3_3_3_a_cache_verifies_what_it_cannot_read(seed in any::<[u8; 32]>(), payload in proptest::collection::vec(any::<u8>(), 16..400)) {
        let key = GenerationKey::from_bytes(&[seed, seed].concat().try_into().unwrap());
        let bytes = sealed(&key, 1, &payload);
        // All that a cache has is the bytes: they verify, and the payload does not show in them.
        prop_assert!(VerifiedBeacon::verify(&bytes, &plain(), NOW).is_ok());
        prop_assert!(!bytes.windows(payload.len()).any(|window| window == payload));
    }

    #[test]
    fn garbage_is_refused(bytes in proptest::collection::vec(any::<u8>(), 1024)) {
        prop_assert!(VerifiedBeacon::verify(&bytes, &plain(), NOW).is_err());
    }
}
