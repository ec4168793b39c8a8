use super::*;
use crate::beacon::find_work;
use crate::blind::{Epoch, GenerationKey, Kind};
use crate::device_list::DeviceEntry;
use crate::keys::RootKey;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);
const DAY: u64 = 86_400_000;

fn plain() -> Network {
    Network::named("test").unwrap()
}

struct Person {
    root: RootKey,
    keys: DeviceKeys,
    view: GenerationKey,
    devices: SignedDeviceList,
}

fn person(seed: u8) -> Person {
    let root = RootKey::from_seed(&[seed; 32]);
    let keys = DeviceKeys::from_bytes(&[seed; 64]);
    let list = DeviceList {
        principal: root.principal(),
        sequence: 1,
        previous: [0; 32],
        issued: NOW,
        devices: vec![DeviceEntry {
            device: keys.id(),
            signing: keys.signing_public(),
            exchange: keys.exchange_public(),
            not_after: NOW.plus(365 * DAY),
        }],
        next: [7; 32],
    };
    let view = GenerationKey::random_public(&root.principal(), &mut ChaCha20Rng::from_seed([seed; 32]));
    let devices = list.sign(&root);
    Person {
        root,
        keys,
        view,
        devices,
    }
}

impl Person {
    fn principal(&self) -> PrincipalId {
        self.root.principal()
    }

    fn sheet(&self, sequence: u64) -> Sheet {
        Sheet {
            device: self.keys.id(),
            sequence,
            issued: NOW,
            expires: NOW.plus(30 * DAY),
            public: Some(Public {
                name: Some("alice".to_owned()),
                view: *self.view.read_key().public_part(),
                card: GenerationKey::from_bytes(&[5; 64]).read_key(),
            }),
        }
    }

    fn signed(&self, sheet: &Sheet) -> Vec<u8> {
        sheet.sign(&self.keys, self.principal(), &self.devices, 0)
    }
}

#[test]
fn whoever_knows_the_id_can_read_the_public_view() {
    let alice = person(1);
    let bytes = alice.signed(&alice.sheet(9));
    let sheet = VerifiedSheet::verify(&bytes, &plain(), NOW).unwrap();
    assert_eq!(sheet.principal(), alice.principal());
    assert_eq!(sheet.sheet(), &alice.sheet(9));
    let read = sheet.view().unwrap();
    let epoch = read.epoch(Kind::Presence, NOW);
    let own = alice.view.read_key();
    assert_eq!(
        read.blinded(Kind::Presence, epoch, 0),
        own.blinded(Kind::Presence, epoch, 0)
    );
    // And nobody can who does not: another principal's secret leads elsewhere.
    let other = ReadKey::public(own.public_part(), &person(2).principal()).unwrap();
    let somewhere = other.blinded(Kind::Presence, Epoch(epoch.0), 0);
    assert_ne!(somewhere, read.blinded(Kind::Presence, epoch, 0));
}

#[test]
fn a_withdrawn_sheet_shows_nothing_and_takes_the_others_place() {
    let alice = person(1);
    let public = VerifiedSheet::verify(&alice.signed(&alice.sheet(9)), &plain(), NOW).unwrap();
    let withdrawn = Sheet {
        public: None,
        ..alice.sheet(10)
    };
    let withdrawn = VerifiedSheet::verify(&alice.signed(&withdrawn), &plain(), NOW).unwrap();
    assert!(withdrawn.view().is_none());
    let record = |sheet: VerifiedSheet| crate::record::VerifiedRecord::Sheet(sheet);
    assert!(record(withdrawn).supersedes(&record(public)));
}

#[test]
fn what_somebody_else_signed_or_altered_is_a_forgery() {
    let (alice, mallory) = (person(1), person(2));
    // In alice's name, by a device of her own, or with her own list.
    let sheet = mallory.sheet(9);
    for devices in [&alice.devices, &mallory.devices] {
        let forged = sheet.sign(&mallory.keys, alice.principal(), devices, 0);
        let error = VerifiedSheet::verify(&forged, &plain(), NOW).unwrap_err();
        assert!(error.is_forgery(), "{error}");
    }
    let bytes = alice.signed(&alice.sheet(9));
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        let verified = VerifiedSheet::verify(&altered, &plain(), NOW);
        // `work` is bound by the network's constant alone, which is none here.
        assert!(
            verified.is_err() || verified.unwrap().sheet() == &alice.sheet(9),
            "byte {at}"
        );
    }
}

#[test]
fn times_are_bounded_at_both_ends() {
    let alice = person(1);
    let late = Sheet {
        expires: NOW.plus(SHEET_AHEAD + 1),
        ..alice.sheet(9)
    };
    let error = VerifiedSheet::verify(&alice.signed(&late), &plain(), NOW).unwrap_err();
    assert!(matches!(error, SheetError::TooEarly(_)) && !error.is_forgery());
    let over = NOW.plus(30 * DAY);
    let error = VerifiedSheet::verify(&alice.signed(&alice.sheet(9)), &plain(), over).unwrap_err();
    assert!(matches!(error, SheetError::Expired(_)) && !error.is_forgery());
}

#[test]
fn the_network_decides_whether_work_is_needed() {
    let default = Network::named(crate::network::DEFAULT_NETWORK).unwrap();
    let alice = person(1);
    let work = find_work(
        SheetAddress::of(&alice.principal()).as_bytes(),
        default.work_bits(),
        0,
        u64::MAX,
    )
    .unwrap();
    let with = |work| {
        alice
            .sheet(9)
            .sign(&alice.keys, alice.principal(), &alice.devices, work)
    };
    assert!(VerifiedSheet::verify(&with(work), &default, NOW).is_ok());
    let lazy = VerifiedSheet::verify(&with(work.wrapping_add(1)), &default, NOW);
    assert_eq!(lazy, Err(SheetError::Work(default.work_bits())));
}

#[test]
fn a_key_of_small_order_and_a_disguised_name_are_refused() {
    let alice = person(1);
    let mut sheet = alice.sheet(9);
    sheet.public.as_mut().unwrap().view = [0; 32];
    let refused = VerifiedSheet::verify(&alice.signed(&sheet), &plain(), NOW);
    assert_eq!(refused, Err(SheetError::View));
    let mut sheet = alice.sheet(9);
    sheet.public.as_mut().unwrap().name = Some("\u{202e}ecila".to_owned());
    let refused = VerifiedSheet::verify(&alice.signed(&sheet), &plain(), NOW);
    assert!(matches!(refused, Err(SheetError::Name(_))));
}

#[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
struct Vector {
    principal: String,
    sequence: u64,
    now: u64,
    public: bool,
    sheet: String,
}

#[test]
fn vectors_are_as_committed() {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let alice = person(1);
    let made: Vec<Vector> = [true, false]
        .into_iter()
        .map(|public| {
            let mut sheet = alice.sheet(9);
            sheet.public = sheet.public.filter(|_| public);
            Vector {
                principal: alice.principal().to_string(),
                sequence: sheet.sequence,
                now: NOW.0,
                public,
                sheet: hex(&alice.signed(&sheet)),
            }
        })
        .collect();
    crate::vectors::check("sheet", &made);
    for vector in made {
        let bytes = data_encoding::HEXLOWER.decode(vector.sheet.as_bytes()).unwrap();
        let sheet = VerifiedSheet::verify(&bytes, &plain(), UnixMillis(vector.now)).unwrap();
        assert_eq!(sheet.view().is_some(), vector.public);
    }
}

proptest! {
    #[test]
    fn garbage_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..SHEET_BYTES + 2)) {
        prop_assert!(VerifiedSheet::verify(&bytes, &plain(), NOW).is_err());
    }
}
