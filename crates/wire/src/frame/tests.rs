use super::*;
use crate::ids::{Address, NodeId};
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
        },
        Request::Relays {},
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

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(decode_request(&bytes).is_err());
        prop_assert!(decode_response(&bytes).is_err());
    }
}
