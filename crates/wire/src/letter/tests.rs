use super::*;
use crate::blind::GenerationKey;
use crate::card::{Bundle, Card, CardError};
use crate::device_list::DeviceEntry;
use crate::envelope::EnvelopeSecretKey;
use crate::grant::{Grant, GrantError, GrantSecrets, Right};
use crate::ids::{Address, NodeAddress, NodeId};
use crate::keys::RootKey;
use crate::mailbox::MailboxId;
use crate::stamp::Stamp;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::BTreeSet;

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);
const LATER: UnixMillis = UnixMillis(1_790_100_000_000);

/// A principal with one device.
struct Person {
    principal: PrincipalId,
    keys: DeviceKeys,
    devices: SignedDeviceList,
    envelope: EnvelopeSecretKey,
    card: GenerationKey,
}

fn person(seed: u8) -> Person {
    let mut rng = ChaCha20Rng::from_seed([seed; 32]);
    let root = RootKey::random(&mut rng);
    let keys = DeviceKeys::random(&mut rng);
    let list = DeviceList {
        principal: root.principal(),
        sequence: 1,
        previous: [0; 32],
        issued: NOW,
        devices: vec![DeviceEntry {
            device: keys.id(),
            signing: keys.signing_public(),
            exchange: keys.exchange_public(),
            not_after: LATER,
        }],
        next: RootKey::random(&mut rng).commitment(),
    };
    Person {
        principal: root.principal(),
        devices: list.sign(&root),
        envelope: EnvelopeSecretKey::random(&mut rng),
        card: GenerationKey::random(&mut rng),
        keys,
    }
}

impl Person {
    fn signed_card(&self) -> SignedCard {
        let bundle = Bundle {
            device: self.keys.id(),
            envelope_key: self.envelope.public(),
            olm: None,
            addresses: vec![NodeAddress {
                node: NodeId::from_bytes(self.keys.signing_public()).unwrap(),
                address: Address::parse("/ip4/127.0.0.1/tcp/4110").unwrap(),
            }],
            relays: Vec::new(),
            mailboxes: Vec::new(),
            issued: NOW,
        };
        bundle.sign(&self.keys, &self.devices)
    }

    fn grant_for(&self, audience: &Self) -> SignedGrant {
        let grant = Grant {
            issuer: self.principal,
            device: self.keys.id(),
            audience: audience.principal,
            rights: BTreeSet::from([Right::Fetch, Right::Subscribe]),
            not_before: NOW,
            not_after: LATER,
            sequence: 7,
            id: RandomId::from_bytes([1; 16]),
            depth: 0,
            secrets: [0; 32],
        };
        let secrets = GrantSecrets {
            view: GenerationKey::from_bytes(&[6; 64]).read_key(),
            generation: 1,
        };
        grant.sign(&self.keys, secrets)
    }

    fn introduction_to(&self, other: &Self) -> Letter {
        Letter {
            id: RandomId::from_bytes([2; 16]),
            from: self.principal,
            from_device: self.keys.id(),
            to: other.principal,
            to_device: other.keys.id(),
            created: NOW,
            body: LetterBody::Introduce {
                token: InviteToken::from_bytes([3; 16]),
                name: Some("bob".to_owned()),
                card: self.card.read_key(),
                current: self.signed_card(),
                grant: Some(self.grant_for(other)),
                stamps: Vec::new(),
                one_time: None,
            },
        }
    }
}

#[test]
fn a_letter_reaches_its_reader_as_written() {
    let (alice, bob) = (person(1), person(2));
    let letter = bob.introduction_to(&alice);
    let bytes = letter.sign(&bob.keys, &bob.devices).to_bytes();
    let signed = SignedLetter::from_bytes(&bytes).unwrap();
    let (read, devices) = signed.verify(&alice.principal, &alice.keys.id(), NOW).unwrap();
    assert_eq!(read, letter);
    assert_eq!(devices.principal, bob.principal);
}

#[test]
fn a_letter_for_another_or_in_anothers_name_does_not_stand() {
    let (alice, bob, carol) = (person(1), person(2), person(3));
    let signed = bob.introduction_to(&alice).sign(&bob.keys, &bob.devices);
    assert_eq!(
        signed.verify(&carol.principal, &carol.keys.id(), NOW),
        Err(LetterError::OtherRecipient)
    );
    let mut in_bobs_name = bob.introduction_to(&alice);
    in_bobs_name.from_device = carol.keys.id();
    let forged = in_bobs_name.sign(&carol.keys, &carol.devices);
    assert_eq!(
        forged.verify(&alice.principal, &alice.keys.id(), NOW),
        Err(LetterError::OtherSender)
    );
    let with_bobs_list = in_bobs_name.sign(&carol.keys, &bob.devices);
    assert!(matches!(
        with_bobs_list.verify(&alice.principal, &alice.keys.id(), NOW),
        Err(LetterError::Devices(DeviceListError::NotListed(_)))
    ));
    assert!(matches!(
        signed.verify(&alice.principal, &alice.keys.id(), LATER),
        Err(LetterError::Devices(DeviceListError::Ended(_)))
    ));
}

fn stamps(count: usize) -> StampBatch {
    StampBatch {
        mailbox: MailboxId::from_bytes([6; 32]),
        stamps: vec![Stamp::from_bytes(&[7; 35]); count],
    }
}

#[test]
fn a_letter_with_more_stamps_than_may_be_does_not_stand() {
    let (alice, bob) = (person(1), person(2));
    for (batches, each, taken, stands) in [
        (MAILBOXES, STAMPS, LETTERS_TAKEN, true),
        (MAILBOXES + 1, 1, 0, false),
        (1, STAMPS + 1, 0, false),
        (0, 0, LETTERS_TAKEN + 1, false),
    ] {
        let mut letter = bob.introduction_to(&alice);
        letter.body = LetterBody::Post {
            stamps: vec![stamps(each); batches],
            wanted: false,
            taken: vec![RandomId::from_bytes([8; 16]); taken],
        };
        let signed = letter.sign(&bob.keys, &bob.devices);
        let verified = signed.verify(&alice.principal, &alice.keys.id(), NOW);
        assert_eq!(verified.is_ok(), stands, "{batches} {each} {taken}");
    }
}

#[test]
fn a_name_that_would_disguise_itself_is_refused() {
    let (alice, bob) = (person(1), person(2));
    let mut letter = bob.introduction_to(&alice);
    if let LetterBody::Introduce { name, .. } = &mut letter.body {
        *name = Some("bob\u{202e}ecila".to_owned());
    }
    let signed = letter.sign(&bob.keys, &bob.devices);
    assert!(matches!(
        signed.verify(&alice.principal, &alice.keys.id(), NOW),
        Err(LetterError::Name(_))
    ));
}

#[test]
fn a_grant_holds_for_its_audience_issuer_time_and_secrets() {
    let (alice, bob, carol) = (person(1), person(2), person(3));
    let issuer = bob.devices.verify().unwrap();
    let grant = bob.grant_for(&alice);
    assert!(grant.verify(&issuer, &alice.principal, NOW).is_ok());
    assert_eq!(
        grant.verify(&issuer, &carol.principal, NOW),
        Err(GrantError::OtherAudience)
    );
    assert_eq!(
        grant.verify(&carol.devices.verify().unwrap(), &alice.principal, NOW),
        Err(GrantError::OtherIssuer)
    );
    // A minute before it was made is forgiven to a clock, an hour is not.
    assert!(
        grant
            .verify(&issuer, &alice.principal, UnixMillis(NOW.0 - 60_000))
            .is_ok()
    );
    assert_eq!(
        grant.verify(&issuer, &alice.principal, UnixMillis(NOW.0 - 3_600_000)),
        Err(GrantError::NotYet)
    );
    let mut other_secrets = grant.clone();
    other_secrets.secrets.generation = 2;
    assert_eq!(
        other_secrets.verify(&issuer, &alice.principal, NOW),
        Err(GrantError::OtherSecrets)
    );
    let mut altered = grant;
    let last = altered.grant.len() - 1;
    altered.grant[last] ^= 1;
    assert!(altered.verify(&issuer, &alice.principal, NOW).is_err());
}

#[test]
fn rfc2779_5_1_1_a_card_is_its_principals_or_nobodys() {
    let (alice, bob) = (person(1), person(2));
    let signed = SignedCard::from_bytes(&alice.signed_card().to_bytes()).unwrap();
    let card: Card = signed.verify(&alice.principal, NOW).unwrap();
    assert_eq!(card.bundle.envelope_key, alice.envelope.public());
    assert_eq!(signed.verify(&bob.principal, NOW), Err(CardError::OtherPrincipal));
    let mut altered = signed.clone();
    altered.bundle[40] ^= 1;
    assert!(altered.verify(&alice.principal, NOW).is_err());
    let mut bobs_bundle = bob.signed_card();
    bobs_bundle.devices = alice.devices.clone();
    assert!(matches!(
        bobs_bundle.verify(&alice.principal, NOW),
        Err(CardError::Devices(DeviceListError::NotListed(_)))
    ));
}

#[test]
fn a_card_fits_a_beacon() {
    assert!(
        person(1).signed_card().to_bytes().len() <= 3_770,
        "{}",
        person(1).signed_card().to_bytes().len()
    );
}

#[test]
fn a_device_list_is_its_roots() {
    let alice = person(1);
    let list = alice.devices.verify().unwrap();
    assert_eq!(list.principal, alice.principal);
    let mut altered = alice.devices.clone();
    altered.list[30] ^= 1;
    assert!(altered.verify().is_err());
    let root = RootKey::from_seed(&[9; 32]);
    let mut misnamed = list;
    misnamed.principal = root.principal();
    misnamed.devices[0].device = DeviceId::from_bytes([0; 16]);
    assert!(matches!(
        misnamed.sign(&root).verify(),
        Err(DeviceListError::Misnamed(_))
    ));
    misnamed.devices.clear();
    assert_eq!(misnamed.sign(&root).verify(), Err(DeviceListError::Count(0)));
}

#[test]
fn vectors_are_as_committed() {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let (alice, bob) = (person(1), person(2));
    crate::vectors::check("device_list", &vec![hex(&cbor::encode(&alice.devices))]);
    crate::vectors::check("card", &vec![hex(&alice.signed_card().to_bytes())]);
    crate::vectors::check("grant", &vec![hex(&cbor::encode(&bob.grant_for(&alice)))]);
    let letters: Vec<String> = [
        bob.introduction_to(&alice).body,
        LetterBody::Grant {
            card: bob.card.read_key(),
            current: bob.signed_card(),
            name: None,
            grant: bob.grant_for(&alice),
            stamps: Vec::new(),
            one_time: None,
        },
        LetterBody::Renew {},
        LetterBody::Ended { sequence: 1 },
        LetterBody::Refused {
            reason: RefusalReason::Refused,
            sequence: 2,
        },
        LetterBody::Post {
            stamps: vec![stamps(2)],
            wanted: true,
            taken: vec![RandomId::from_bytes([8; 16])],
        },
        LetterBody::Grant {
            card: bob.card.read_key(),
            current: bob.signed_card(),
            name: None,
            grant: bob.grant_for(&alice),
            stamps: vec![stamps(1)],
            one_time: None,
        },
    ]
    .into_iter()
    .map(|body| {
        let mut letter = bob.introduction_to(&alice);
        letter.body = body;
        let bytes = letter.sign(&bob.keys, &bob.devices).to_bytes();
        let signed = SignedLetter::from_bytes(&bytes).unwrap();
        assert_eq!(
            signed.verify(&alice.principal, &alice.keys.id(), NOW).unwrap().0,
            letter
        );
        hex(&bytes)
    })
    .collect();
    crate::vectors::check("letter", &letters);
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(SignedLetter::from_bytes(&bytes).is_err());
        prop_assert!(SignedCard::from_bytes(&bytes).is_err());
        prop_assert!(crate::card::InviteRecord::from_bytes(&bytes).is_err());
        prop_assert!(cbor::decode::<SignedGrant>(&bytes, 400).is_err());
        prop_assert!(cbor::decode::<SignedDeviceList>(&bytes, 400).is_err());
    }

    #[test]
    fn an_altered_letter_never_stands(at in 0_usize..2_000, bit in 0_u8..8) {
        let (alice, bob) = (person(1), person(2));
        let mut bytes = bob.introduction_to(&alice).sign(&bob.keys, &bob.devices).to_bytes();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let stands = SignedLetter::from_bytes(&bytes)
            .is_ok_and(|signed| signed.verify(&alice.principal, &alice.keys.id(), NOW).is_ok());
        prop_assert!(!stands);
    }
}
