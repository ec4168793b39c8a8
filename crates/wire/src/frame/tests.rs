use super::*;
use crate::ids::{Address, NodeId};
use crate::stamp::{Day, DayWork, Stamp};
use proptest::prelude::*;

fn requests() -> Vec<Request> {
    vec![
        Request::Deliver {
            admission: Admission::Token(InviteToken::from_bytes([1; 16])),
            envelope: vec![2; 4],
        },
        Request::Deliver {
            admission: Admission::Open,
            envelope: vec![],
        },
        Request::RecordPut { beacon: vec![3; 4] },
        Request::RecordGet {
            address: BlindedKey::from_bytes([4; 32]),
        },
        Request::RecordFollow {
            addresses: vec![BlindedKey::from_bytes([5; 32]); 2],
            proofs: Vec::new(),
        },
        Request::RecordFollow {
            addresses: vec![BlindedKey::from_bytes([5; 32]); 2],
            proofs: vec![FollowProof::from_bytes([8; 32]); 2],
        },
        Request::Relays {},
        Request::MailboxDeposit {
            mailbox: MailboxId::from_bytes([8; 32]),
            pass: Pass::Stamp(Stamp::from_bytes(&[9; 35])),
            envelope: vec![10; 4],
        },
        Request::MailboxDeposit {
            mailbox: MailboxId::from_bytes([8; 32]),
            pass: Pass::Work(DayWork {
                day: Day(20_000),
                nonce: 11,
            }),
            envelope: vec![10; 4],
        },
        Request::Mailbox(SignedOperation {
            operation: vec![12; 4],
            signature: [13; 64],
        }),
        Request::MailboxArrived {
            mailbox: MailboxId::from_bytes([8; 32]),
        },
    ]
}

fn responses() -> Vec<Response> {
    let node = NodeId::from_bytes(
        ed25519_dalek::SigningKey::from_bytes(&[6; 32])
            .verifying_key()
            .to_bytes(),
    )
    .unwrap();
    let relay = NodeAddress {
        node,
        address: Address::parse("/ip4/203.0.113.7/tcp/4110").unwrap(),
    };
    vec![
        Response::Delivered {},
        Response::Refused {
            reason: Refusal::InviteUsedUp,
        },
        Response::RecordKept {},
        Response::Record { beacon: None },
        Response::Record {
            beacon: Some(ByteBuf::from(vec![7; 4])),
        },
        Response::RelayList { relays: vec![relay] },
        Response::MailboxStored {
            until: UnixMillis(1_790_000_000_000),
        },
        Response::MailboxRegistered {
            until: UnixMillis(1_790_000_000_000),
            quotas: vec![Quota {
                class: Class::Contact,
                envelopes: 1,
                most_envelopes: 2,
                bytes: 2_048,
                most_bytes: 4_096,
            }],
        },
        Response::MailboxList {
            entries: vec![Entry {
                number: 14,
                bytes: 2_048,
                class: Class::Stranger,
            }],
            more: true,
        },
        Response::MailboxEnvelopes {
            envelopes: vec![Held {
                number: 14,
                envelope: ByteBuf::from(vec![15; 4]),
            }],
        },
        Response::MailboxDone {},
        Response::Refused {
            reason: Refusal::NoMailbox,
        },
    ]
}

#[test]
fn frames_come_back_and_vectors_are_as_committed() {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let mut made = Vec::new();
    for request in requests() {
        let frame = RequestFrame {
            exchange: ExchangeNumber(9),
            request,
        };
        let bytes = encode_request(&frame);
        assert_eq!(decode_request(&bytes).unwrap(), frame);
        made.push(hex(&bytes));
    }
    for response in responses() {
        let frame = ResponseFrame {
            exchange: ExchangeNumber(9),
            response,
        };
        let bytes = encode_response(&frame);
        assert_eq!(decode_response(&bytes).unwrap(), frame);
        made.push(hex(&bytes));
    }
    crate::vectors::check("frame", &made);
}

#[test]
fn following_too_much_is_refused() {
    let frame = RequestFrame {
        exchange: ExchangeNumber(1),
        request: Request::RecordFollow {
            addresses: vec![BlindedKey::from_bytes([5; 32]); FOLLOWED + 1],
            proofs: Vec::new(),
        },
    };
    assert_eq!(
        decode_request(&encode_request(&frame)),
        Err(FrameError::TooMany {
            limit: FOLLOWED,
            got: FOLLOWED + 1
        })
    );
}

#[test]
fn a_relay_that_says_too_much_is_not_read() {
    let entry = Entry {
        number: 1,
        bytes: 2_048,
        class: Class::Contact,
    };
    let held = Held {
        number: 1,
        envelope: ByteBuf::new(),
    };
    for response in [
        Response::MailboxList {
            entries: vec![entry; MAILBOX_LISTED + 1],
            more: false,
        },
        Response::MailboxEnvelopes {
            envelopes: vec![held; MAILBOX_BATCH + 1],
        },
    ] {
        let frame = ResponseFrame {
            exchange: ExchangeNumber(1),
            response,
        };
        assert!(matches!(
            decode_response(&encode_response(&frame)),
            Err(FrameError::TooMany { .. })
        ));
    }
}

#[test]
fn there_is_one_proof_for_each_address_or_none() {
    for proofs in [1, 3] {
        let frame = RequestFrame {
            exchange: ExchangeNumber(1),
            request: Request::RecordFollow {
                addresses: vec![BlindedKey::from_bytes([5; 32]); 2],
                proofs: vec![FollowProof::from_bytes([8; 32]); proofs],
            },
        };
        let refused = FrameError::Proofs { addresses: 2, proofs };
        assert_eq!(decode_request(&encode_request(&frame)), Err(refused));
    }
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(decode_request(&bytes).is_err());
        prop_assert!(decode_response(&bytes).is_err());
    }
}
