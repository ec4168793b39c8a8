use super::*;
use crate::keys::verify;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

#[derive(serde::Deserialize)]
struct Vector {
    seed: String,
    k: String,
    kind: u8,
    epoch: u64,
    slot: u8,
    a: String,
    pk: String,
    content_key: String,
    offset: u64,
    message: String,
    /// Made with the blinded scalar by the independent program, with a nonce of its own.
    signature: String,
}

fn unhex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}

fn generation(seed: &[u8], k: &[u8]) -> GenerationKey {
    GenerationKey::from_bytes(&[seed, k].concat().try_into().unwrap())
}

/// docs/spec/vectors/blinding.json comes from tests/vectors/blinding.py, which knows nothing of this code: curve
/// arithmetic over Python's integers.
#[test]
fn vectors_of_an_independent_program() {
    let text = include_str!("../../../../docs/spec/vectors/blinding.json");
    let vectors: Vec<Vector> = serde_json::from_str(text).unwrap();
    assert!(vectors.len() >= 8);
    for vector in vectors {
        let kind = Kind::of_byte(vector.kind).unwrap();
        let epoch = Epoch(vector.epoch);
        let key = generation(&unhex(&vector.seed), &unhex(&vector.k));
        let read = key.read_key();
        assert_eq!(read.public.to_vec(), unhex(&vector.a));
        let pk = read.blinded(kind, epoch, vector.slot);
        assert_eq!(pk.to_string(), vector.pk);
        assert_eq!(
            read.content_key(kind, epoch, vector.slot).to_vec(),
            unhex(&vector.content_key)
        );
        assert_eq!(read.offset(kind), vector.offset);
        let message = unhex(&vector.message);
        let theirs: [u8; 64] = unhex(&vector.signature).try_into().unwrap();
        assert!(verify(pk.as_bytes(), "porchlight/test/1", &message, &theirs));
        let ours = key.sign_blinded(kind, epoch, vector.slot, "porchlight/test/1", &message);
        assert!(verify(pk.as_bytes(), "porchlight/test/1", &message, &ours));
    }
}

#[test]
fn points_with_a_part_of_small_order_are_refused() {
    // The identity; the point of order two; a point of order eight; and one with y >= p (a second name of y = 1).
    let identity = {
        let mut bytes = [0; 32];
        bytes[0] = 1;
        bytes
    };
    let mut order_two = [0xff; 32];
    order_two[0] = 0xec;
    order_two[31] = 0x7f;
    let order_eight: [u8; 32] = unhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
        .try_into()
        .unwrap();
    let mut not_canonical = [0xff; 32];
    not_canonical[0] = 0xee;
    not_canonical[31] = 0x7f;
    for (what, public) in [
        ("identity", identity),
        ("order two", order_two),
        ("order eight", order_eight),
        ("not canonical", not_canonical),
    ] {
        let bytes: [u8; 64] = [public, [7; 32]].concat().try_into().unwrap();
        assert!(ReadKey::from_bytes(&bytes).is_err(), "{what}");
    }
    // A good point plus one of order eight verifies nothing that blinding hides.
    let good = generation(&[1; 32], &[2; 32]).read_key();
    let torsion = CompressedEdwardsY(order_eight).decompress().unwrap();
    let mixed = (good.point + torsion).compress().to_bytes();
    let bytes: [u8; 64] = [mixed, [2; 32]].concat().try_into().unwrap();
    assert_eq!(ReadKey::from_bytes(&bytes), Err(ReadKeyError::SmallOrder));
}

#[test]
fn secrets_do_not_show() {
    let key = GenerationKey::random(&mut ChaCha20Rng::from_seed([9; 32]));
    assert_eq!(
        format!("{key:?} {:?}", key.read_key()),
        "GenerationKey(redacted) ReadKey(redacted)"
    );
}

#[test]
fn keys_come_back_from_their_bytes() {
    let key = GenerationKey::random(&mut ChaCha20Rng::from_seed([4; 32]));
    assert_eq!(GenerationKey::from_bytes(&key.to_bytes()), key);
    let read = key.read_key();
    assert_eq!(ReadKey::from_bytes(&read.to_bytes()).unwrap(), read);
    assert_eq!(
        crate::cbor::decode::<ReadKey>(&crate::cbor::encode(&read), 100).unwrap(),
        read
    );
}

proptest! {
    #[test]
    fn an_epoch_holds_its_instants(seed in any::<[u8; 32]>(), seconds in 1_000_000_000_u64..5_000_000_000) {
        let read = generation(&seed, &seed).read_key();
        for kind in [Kind::Presence, Kind::Card] {
            let at = UnixMillis::from_seconds(seconds);
            let epoch = read.epoch(kind, at);
            prop_assert!(read.epoch_start(kind, epoch) <= at);
            prop_assert!(read.epoch_start(kind, Epoch(epoch.0 + 1)) > at);
        }
    }

    #[test]
    fn another_place_is_another_key(seed in any::<[u8; 32]>(), epoch in 0_u64..100_000) {
        let key = generation(&seed, &[5; 32]);
        let read = key.read_key();
        let here = read.blinded(Kind::Presence, Epoch(epoch), 0);
        prop_assert_ne!(here, read.blinded(Kind::Presence, Epoch(epoch + 1), 0));
        prop_assert_ne!(here, read.blinded(Kind::Presence, Epoch(epoch), 1));
        prop_assert_ne!(here, read.blinded(Kind::Card, Epoch(epoch), 0));
        let signature = key.sign_blinded(Kind::Presence, Epoch(epoch), 0, "porchlight/test/1", b"x");
        prop_assert!(verify(here.as_bytes(), "porchlight/test/1", b"x", &signature));
        let other = read.blinded(Kind::Presence, Epoch(epoch + 1), 0);
        prop_assert!(!verify(other.as_bytes(), "porchlight/test/1", b"x", &signature));
    }
}
