use super::*;
use crate::keys::DeviceKeys;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

fn node(seed: u8) -> NodeId {
    let mut rng = ChaCha20Rng::from_seed([seed; 32]);
    NodeId::from_bytes(DeviceKeys::random(&mut rng).signing_public()).unwrap()
}

fn key() -> MailboxKey {
    MailboxKey::from_bytes(&[1; 32])
}

fn voucher() -> Voucher {
    Voucher {
        by: key().id(),
        relay: node(2),
        id: RandomId::from_bytes([4; 16]),
        uses: 3,
        until: NOW.plus(1_000),
    }
}

fn operations() -> Vec<Operation> {
    let day = Day::of(NOW);
    let register = |claim| What::Register {
        stamp_key: StampKey::from_bytes([5; 32]),
        claim,
    };
    [
        register(Claim::Known),
        register(Claim::Voucher(voucher().sign(&key()))),
        register(Claim::Work(DayWork { day, nonce: 6 })),
        What::List { after: 7 },
        What::Get { numbers: vec![8, 9] },
        What::Delete {
            numbers: vec![u64::MAX; MAILBOX_BATCH],
        },
        What::Leave {
            first: true,
            records: vec![vec![7; 1_024].into()],
        },
        What::Close {},
    ]
    .into_iter()
    .map(|what| Operation {
        mailbox: key().id(),
        owner: node(1),
        relay: node(2),
        what,
    })
    .collect()
}

#[test]
fn an_operation_is_good_between_two_nodes_and_by_the_owner_only() {
    for operation in operations() {
        let signed = operation.sign(&key());
        assert_eq!(signed.verify(node(1), node(2)), Ok(operation.clone()));
        // The relay cannot use it at another relay, and nobody who overheard it can use it at this one.
        assert_eq!(signed.verify(node(1), node(3)), Err(MailboxError::OtherNodes));
        assert_eq!(signed.verify(node(3), node(2)), Err(MailboxError::OtherNodes));
        let by_another = operation.sign(&MailboxKey::from_bytes(&[2; 32]));
        assert_eq!(by_another.verify(node(1), node(2)), Err(MailboxError::Signature));
        let mut altered = signed;
        if let Some(byte) = altered.operation.last_mut() {
            *byte ^= 1;
        }
        assert!(altered.verify(node(1), node(2)).is_err());
    }
}

#[test]
fn asking_for_too_much_at_once_is_refused() {
    let operation = Operation {
        what: What::Get {
            numbers: vec![1; MAILBOX_BATCH + 1],
        },
        ..operations().remove(0)
    };
    let signed = operation.sign(&key());
    assert_eq!(signed.verify(node(1), node(2)), Err(MailboxError::TooMany));
}

#[test]
fn a_voucher_ends_and_is_by_its_mailbox() {
    let signed = voucher().sign(&key());
    assert_eq!(signed.verify(NOW), Ok(voucher()));
    assert_eq!(signed.verify(NOW.plus(1_000)), Err(MailboxError::Over));
    let by_another = voucher().sign(&MailboxKey::from_bytes(&[2; 32]));
    assert_eq!(by_another.verify(NOW), Err(MailboxError::Signature));
    let generous = Voucher {
        uses: VOUCHER_USES + 1,
        ..voucher()
    };
    assert_eq!(generous.sign(&key()).verify(NOW), Err(MailboxError::TooMany));
}

#[test]
fn secrets_do_not_show() {
    assert_eq!(format!("{:?}", key()), "MailboxKey(redacted)");
    let shown = format!("{:?}", operations().remove(0));
    assert!(shown.contains("StampKey(redacted)"), "{shown}");
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Vector {
    operation: String,
    signature: String,
}

#[test]
fn vectors_are_as_committed() {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let made: Vec<Vector> = operations()
        .iter()
        .map(|operation| operation.sign(&key()))
        .map(|signed| Vector {
            operation: hex(&signed.operation),
            signature: hex(&signed.signature),
        })
        .collect();
    crate::vectors::check("mailbox", &made);
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let signed = SignedOperation { operation: bytes.clone(), signature: [0; 64] };
        prop_assert!(signed.verify(node(1), node(2)).is_err());
        let signed = SignedVoucher { voucher: bytes, signature: [0; 64] };
        prop_assert!(signed.verify(NOW).is_err());
    }
}
