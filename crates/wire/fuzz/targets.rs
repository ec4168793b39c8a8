//! What is fuzzed: every decoder of bytes that come from outside, as a function from bytes to whether they were accepted. The fuzz
//! targets beside this file call one each; `tests/corpus.rs` of the crate calls all of them, on the stable toolchain, with the corpus
//! and with what a seeded generator makes of it.
//!
//! None may panic, whatever comes. And what is accepted can be written, and read again as the same: fields that are not known are left
//! out where they are not kept, and nothing else changes.

use porchlight_wire::beacon::VerifiedBeacon;
use porchlight_wire::card::{InviteRecord, SignedCard};
use porchlight_wire::cbor;
use porchlight_wire::content::{Content, OlmPacket};
use porchlight_wire::device_list::SignedDeviceList;
use porchlight_wire::envelope::{self, EnvelopeSecretKey};
use porchlight_wire::frame;
use porchlight_wire::grant::SignedGrant;
use porchlight_wire::ids::{Address, PrincipalId};
use porchlight_wire::invite::Invite;
use porchlight_wire::letter::SignedLetter;
use porchlight_wire::limits::FRAME_BYTES;
use porchlight_wire::mailbox::{Operation, SignedOperation, SignedVoucher, Voucher};
use porchlight_wire::message::{Plaintext, PlaintextBody};
use porchlight_wire::network::Network;
use porchlight_wire::presence::PresenceState;
use porchlight_wire::sheet::VerifiedSheet;
use porchlight_wire::stamp::{STAMP_BYTES, Stamp};
use porchlight_wire::time::UnixMillis;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// A target: its name, which is that of its corpus, and what it does.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// All of them.
pub const TARGETS: [Target; 16] = [
    ("beacon", beacon),
    ("card", card),
    ("content", content),
    ("device_list", device_list),
    ("direct", direct),
    ("envelope", envelope),
    ("frame", frames),
    ("grant", grant),
    ("invite", invite),
    ("letter", letter),
    ("mailbox", mailbox),
    ("message", message),
    ("names", names),
    ("presence", presence),
    ("sheet", sheet),
    ("stamp", stamp),
];

/// The time at which the vectors were made.
const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

/// Holds that what was accepted can be written, and that this is read as the same.
fn again<T, E: Debug>(value: &T, write: impl Fn(&T) -> Vec<u8>, read: impl Fn(&[u8]) -> Result<T, E>) {
    let once = write(value);
    match read(&once) {
        Ok(value) => assert_eq!(write(&value), once, "what was written is read as the same"),
        Err(error) => panic!("what was accepted is not when it is written: {error:?}"),
    }
}

/// The same for what is plain CBOR.
fn again_as_cbor<T: Serialize + DeserializeOwned>(value: &T) {
    again(value, cbor::encode, |bytes| cbor::decode::<T>(bytes, FRAME_BYTES));
}

fn network() -> Option<Network> {
    Network::named("test").ok()
}

/// A beacon, of today or of a day to come; in a network that asks for no work.
pub fn beacon(data: &[u8]) -> bool {
    let Some(network) = network() else { return false };
    let ahead = VerifiedBeacon::verify_ahead(data, &network, NOW);
    if let Ok((beacon, from)) = &ahead {
        assert_eq!(beacon.bytes(), data, "the bytes are kept as they came");
        assert!(*from >= NOW, "it stands from now on, or later");
    }
    match VerifiedBeacon::verify(data, &network, NOW) {
        Ok(beacon) => {
            assert_eq!(
                ahead.map(|(ahead, _)| ahead),
                Ok(beacon),
                "what stands now stands ahead"
            );
            true
        }
        Err(_) => ahead.is_ok(),
    }
}

/// An identity sheet.
pub fn sheet(data: &[u8]) -> bool {
    let Some(network) = network() else { return false };
    let sheet = VerifiedSheet::verify(data, &network, NOW);
    sheet.is_ok_and(|sheet| sheet.bytes() == data)
}

/// What a card's or an invite record's beacon holds.
pub fn card(data: &[u8]) -> bool {
    if let Ok(record) = InviteRecord::from_bytes(data) {
        again(&record, InviteRecord::to_bytes, InviteRecord::from_bytes);
        return true;
    }
    let Ok(card) = SignedCard::from_bytes(data) else {
        return false;
    };
    again(&card, SignedCard::to_bytes, SignedCard::from_bytes);
    if let Ok(devices) = card.devices.verify() {
        let _ = card.verify(&devices.principal, NOW);
    }
    true
}

/// A list of devices.
pub fn device_list(data: &[u8]) -> bool {
    let Ok(list) = cbor::decode::<SignedDeviceList>(data, FRAME_BYTES) else {
        return false;
    };
    again_as_cbor(&list);
    let _ = list.verify();
    true
}

/// What is in an envelope.
pub fn content(data: &[u8]) -> bool {
    let Ok(content) = Content::from_bytes(data) else {
        return false;
    };
    again(&content, Content::to_bytes, Content::from_bytes);
    true
}

/// An Olm message without an envelope.
pub fn direct(data: &[u8]) -> bool {
    let Ok(packet) = OlmPacket::from_padded(data) else {
        return false;
    };
    again(
        &packet,
        |packet| packet.to_padded().unwrap_or_default(),
        OlmPacket::from_padded,
    );
    true
}

/// An envelope, to the key of the vectors.
pub fn envelope(data: &[u8]) -> bool {
    envelope::open(data, &EnvelopeSecretKey::from_bytes(&[8; 32])).is_ok()
}

/// A request or a response.
pub fn frames(data: &[u8]) -> bool {
    let request = frame::decode_request(data);
    if let Ok(request) = &request {
        again(request, frame::encode_request, frame::decode_request);
    }
    let response = frame::decode_response(data);
    if let Ok(response) = &response {
        again(response, frame::encode_response, frame::decode_response);
    }
    request.is_ok() || response.is_ok()
}

/// A grant.
pub fn grant(data: &[u8]) -> bool {
    let Ok(grant) = cbor::decode::<SignedGrant>(data, FRAME_BYTES) else {
        return false;
    };
    again_as_cbor(&grant);
    true
}

/// The text of an invite.
pub fn invite(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let Ok(invite) = Invite::parse(text) else { return false };
    assert_eq!(
        Invite::parse(&invite.to_uri()).map(|again| again.to_uri()),
        Ok(invite.to_uri()),
        "what was read can be written and read again"
    );
    assert!(Invite::parse(&invite.to_qr_text()).is_ok(), "as a QR code, too");
    true
}

/// A letter.
pub fn letter(data: &[u8]) -> bool {
    let Ok(letter) = SignedLetter::from_bytes(data) else {
        return false;
    };
    again(&letter, SignedLetter::to_bytes, SignedLetter::from_bytes);
    true
}

/// What is asked of a relay about a mailbox, and a voucher.
pub fn mailbox(data: &[u8]) -> bool {
    let signature = [7; 64];
    if let Ok(operation) = cbor::decode::<Operation>(data, FRAME_BYTES) {
        again_as_cbor(&operation);
        let signed = SignedOperation {
            operation: data.to_vec(),
            signature,
        };
        assert!(
            signed.verify(operation.owner, operation.relay).is_err(),
            "it is signed by nobody"
        );
        return true;
    }
    let Ok(voucher) = cbor::decode::<Voucher>(data, FRAME_BYTES) else {
        return false;
    };
    again_as_cbor(&voucher);
    let signed = SignedVoucher {
        voucher: data.to_vec(),
        signature,
    };
    assert!(signed.verify(NOW).is_err(), "it is signed by nobody");
    true
}

/// The plaintext of an Olm message: a message, or receipts.
pub fn message(data: &[u8]) -> bool {
    let Ok(plaintext) = Plaintext::from_bytes(data) else {
        return false;
    };
    again(&plaintext, Plaintext::to_bytes, Plaintext::from_bytes);
    if let PlaintextBody::Message(message) = &plaintext.body {
        let _ = message.check(NOW);
        let _ = message.text();
        if let Some(signature) = &message.signature {
            let _ = signature.to_bytes();
        }
    }
    true
}

/// Ids and addresses, as people paste them.
pub fn names(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    if let Ok(principal) = text.parse::<PrincipalId>() {
        assert_eq!(principal.to_string().parse(), Ok(principal));
        return true;
    }
    Address::parse(text).is_ok_and(|address| Address::parse(address.as_str()) == Ok(address))
}

/// What a presence beacon holds.
pub fn presence(data: &[u8]) -> bool {
    let Ok(state) = PresenceState::from_bytes(data) else {
        return false;
    };
    // What is read is kept, and could be published again if it is no larger than any record.
    if let Ok(bytes) = state.to_bytes() {
        let same = PresenceState::from_bytes(&bytes).is_ok_and(|again| again.to_bytes().as_ref() == Ok(&bytes));
        assert!(same, "what was written is read as the same");
    }
    true
}

/// A stamp.
pub fn stamp(data: &[u8]) -> bool {
    let Ok(bytes) = <&[u8; STAMP_BYTES]>::try_from(data) else {
        return false;
    };
    let stamp = Stamp::from_bytes(bytes);
    assert_eq!(&stamp.to_bytes(), bytes, "a stamp is its bytes");
    true
}
