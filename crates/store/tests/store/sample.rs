//! Rows of every kind, made from a number: the same number, the same row.

use porchlight_proto::event::{Event, FirstContactProblem, OwnCause, OwnPresenceChange, Source, Told, Verdict};
use porchlight_proto::messaging::rows::Owed;
use porchlight_proto::reply::{ContactInfo, OwnPresence, Reply};
use porchlight_proto::rows::{
    AnswerRow, BatchContents, BodyRow, ClosingRow, ConsumerRow, ContactRow, DepositRow, EventRow, FormerRow,
    GrantedView, HeldView, Identity, InviteRow, Item, KeptRow, LeftRow, LetterRow, MailboxRow, ObservedRow,
    OwnPresenceRow, OwnState, OwnTuple, ParcelRow, Projection, ReachLevel, SpentRow, StampsRow, Status,
    SubscriptionState, TakenRow, Tier, ViewRow,
};
use porchlight_wire::blind::{BlindedKey, GenerationKey};
use porchlight_wire::card::{Bundle, SignedCard};
use porchlight_wire::cbor::Value;
use porchlight_wire::device_list::{DeviceEntry, DeviceList};
use porchlight_wire::envelope::EnvelopeSecretKey;
use porchlight_wire::frame::Admission;
use porchlight_wire::grant::{Grant, GrantSecrets, Right, SignedGrant};
use porchlight_wire::ids::{Address, NodeAddress, NodeId, PrincipalId, RandomId};
use porchlight_wire::invite::InviteToken;
use porchlight_wire::keys::{DeviceKeys, RootKey};
use porchlight_wire::letter::{LetterBody, RefusalReason};
use porchlight_wire::mailbox::{MailboxAddress, MailboxId, MailboxKey, Pass, Quota, StampBatch, Voucher};
use porchlight_wire::presence::{
    Basic, ContactAddress, Detail, Note, PresenceDocument, PresenceState, PresenceTuple, RpidElement,
};
use porchlight_wire::stamp::{Class, Day, DayWork, Stamp, StampKey};
use porchlight_wire::time::UnixMillis;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_bytes::ByteBuf;
use std::collections::{BTreeMap, BTreeSet};

/// A day in 2026.
const TODAY: UnixMillis = UnixMillis(1_790_000_000_000);

pub fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub fn bytes<const N: usize>(seed: u64) -> [u8; N] {
    let mut bytes = [0; N];
    rng(seed).fill_bytes(&mut bytes);
    bytes
}

pub fn principal(seed: u64) -> PrincipalId {
    RootKey::random(&mut rng(seed)).principal()
}

pub fn id(seed: u64) -> RandomId {
    RandomId::from_bytes(bytes(seed))
}

pub fn identity(seed: u64) -> Identity {
    let mut rng = rng(seed);
    let (root, next, device) = (
        RootKey::random(&mut rng),
        RootKey::random(&mut rng),
        DeviceKeys::random(&mut rng),
    );
    let list = DeviceList {
        principal: root.principal(),
        sequence: 1,
        previous: [0; 32],
        issued: TODAY,
        devices: vec![DeviceEntry {
            device: device.id(),
            signing: device.signing_public(),
            exchange: device.exchange_public(),
            not_after: TODAY.plus(1),
        }],
        next: next.commitment(),
    };
    Identity {
        principal: root.principal(),
        devices: list.sign(&root),
        device,
        envelope: EnvelopeSecretKey::random(&mut rng),
        envelope_since: TODAY,
        retired: Vec::new(),
        card: GenerationKey::random(&mut rng),
    }
}

pub fn generation(seed: u64) -> GenerationKey {
    GenerationKey::random(&mut rng(seed))
}

fn node_address(seed: u64) -> NodeAddress {
    NodeAddress {
        node: NodeId::from_bytes(DeviceKeys::random(&mut rng(seed)).signing_public()).unwrap(),
        address: Address::parse(&format!("/dns/node-{seed}.example/tcp/4110")).unwrap(),
    }
}

fn card(seed: u64) -> SignedCard {
    let identity = identity(seed);
    let bundle = Bundle {
        device: identity.device.id(),
        envelope_key: identity.envelope.public(),
        olm: None,
        addresses: vec![node_address(seed)],
        relays: (0..seed % 3).map(node_address).collect(),
        mailboxes: Vec::new(),
        issued: UnixMillis(seed),
    };
    bundle.sign(&identity.device, &identity.devices)
}

fn grant(seed: u64) -> SignedGrant {
    let identity = identity(seed);
    let grant = Grant {
        issuer: identity.principal,
        device: identity.device.id(),
        audience: principal(seed + 1),
        rights: BTreeSet::from([Right::Fetch, Right::Subscribe]),
        not_before: TODAY,
        not_after: UnixMillis(u64::MAX),
        sequence: seed,
        id: id(seed),
        depth: 0,
        secrets: [0; 32],
    };
    let secrets = GrantSecrets {
        view: generation(seed).read_key(),
        generation: seed,
    };
    grant.sign(&identity.device, secrets)
}

fn maybe<T>(seed: u64, bit: u32, value: impl FnOnce() -> T) -> Option<T> {
    (seed >> bit & 1 == 1).then(value)
}

pub fn note(seed: u64) -> Note {
    Note {
        lang: maybe(seed, 1, || "de-AT".to_owned()),
        text: format!("note number {seed}: späte Jause ☕"),
    }
}

fn element(value: &str, seed: u64) -> RpidElement {
    RpidElement {
        values: vec![value.to_owned()],
        notes: vec![note(seed)],
        extra: BTreeMap::new(),
    }
}

fn detail(name: &str, seed: u64) -> Detail {
    Detail {
        name: name.to_owned(),
        value: format!("+43 {seed}"),
        kind: maybe(seed, 0, || "work".to_owned()),
        extra: BTreeMap::new(),
    }
}

fn document(seed: u64) -> PresenceDocument {
    PresenceDocument {
        entity: principal(seed),
        tuples: vec![PresenceTuple {
            id: "t1".to_owned(),
            basic: if seed.is_multiple_of(2) {
                Basic::Open
            } else {
                Basic::Closed
            },
            contact: maybe(seed, 2, || ContactAddress {
                uri: format!("im:person-{seed}@example.org"),
                priority: Some(800),
            }),
            notes: Vec::new(),
            extra: BTreeMap::new(),
        }],
        notes: vec![note(seed)],
        activities: vec!["busy".to_owned()],
        until: maybe(seed, 3, || TODAY),
        mood: maybe(seed, 4, || element("happy", seed)),
        place: maybe(seed, 5, || element("cafe", seed)),
        details: (0..seed % 3).map(|number| detail("tel", number)).collect(),
        extra: BTreeMap::from([(
            "org.example.tea".to_owned(),
            Value::Array(vec![
                Value::Text("green".to_owned()),
                Value::Integer(seed.into()),
                Value::Null,
            ]),
        )]),
    }
}

fn told(seed: u64) -> Box<Told> {
    Box::new(Told {
        verdict: if seed.is_multiple_of(2) {
            Verdict::AsRecorded
        } else {
            Verdict::ClosedLapsed
        },
        document: maybe(seed, 0, || document(seed)),
        source: maybe(seed, 1, || Source::Gossip),
        issued: maybe(seed, 2, || TODAY),
        holds_until: None,
        sequence: maybe(seed, 3, || u64::MAX),
    })
}

pub fn own(seed: u64) -> OwnPresenceRow {
    OwnPresenceRow {
        state: maybe(seed, 0, || own_state(seed)),
        before: (0..seed % 2).map(own_state).collect(),
        details: maybe(seed, 2, || vec![detail("fn", seed)]),
        tuples: maybe(seed, 3, || {
            vec![OwnTuple {
                id: "im".to_owned(),
                basic: maybe(seed, 0, || Basic::Closed),
                contact: None,
                notes: vec![note(seed)],
            }]
        }),
        extensions: maybe(seed, 4, || {
            BTreeMap::from([("org.example.tea".to_owned(), Value::Null)])
        }),
    }
}

fn own_state(seed: u64) -> OwnState {
    OwnState {
        notes: (0..seed % 3).map(|more| note(seed + more)).collect(),
        activities: vec!["meal".to_owned()],
        mood: maybe(seed, 2, || element("happy", seed)),
        place: maybe(seed, 3, || element("cafe", seed)),
        until: maybe(seed, 4, || TODAY),
        ..OwnState::new(
            [Status::Open, Status::Away, Status::Busy, Status::Closed][(seed % 4) as usize],
            UnixMillis(seed),
        )
    }
}

fn own_presence(seed: u64) -> OwnPresence {
    let row = own(seed);
    OwnPresence {
        view: maybe(seed, 5, || "work".to_owned()),
        state: own_state(seed),
        back_to: maybe(seed, 6, || Status::Busy),
        details: row.details.unwrap_or_default(),
        tuples: row.tuples.unwrap_or_default(),
        extensions: row.extensions.unwrap_or_default(),
    }
}

pub fn view(name: &str, seed: u64) -> ViewRow {
    ViewRow {
        name: name.to_owned(),
        generation: seed,
        key: generation(seed),
        projection: if seed.is_multiple_of(2) {
            Projection::Full
        } else {
            Projection::StatusOnly
        },
        rights: BTreeSet::from([Right::Fetch]),
        own: maybe(seed, 1, || own(seed)),
        reach: maybe(seed, 2, || ReachLevel::Direct),
    }
}

pub fn invite(key: u64, seed: u64) -> InviteRow {
    InviteRow {
        id: id(key),
        token: InviteToken::from_bytes(bytes(seed)),
        record: generation(seed),
        temporary: generation(seed + 1),
        view: "contacts".to_owned(),
        uses: u32::MAX,
        used_by: (0..seed % 5).map(principal).collect(),
        barred: (5..5 + seed % 3).map(principal).collect(),
        created: TODAY,
        expires: UnixMillis(seed),
    }
}

pub fn contact(key: u64, seed: u64) -> ContactRow {
    ContactRow {
        principal: principal(key),
        name: format!("petname of {key}, {seed}"),
        told_name: maybe(seed, 0, || format!("told name {seed}")),
        added: UnixMillis(seed),
        card_key: generation(seed).read_key(),
        card: card(seed),
        held: maybe(seed, 1, || HeldView {
            read: generation(seed + 2).read_key(),
            generation: seed,
            sequence: seed,
            rights: BTreeSet::from([Right::Fetch]),
            not_after: UnixMillis(u64::MAX),
            public: seed % 2 == 1,
        }),
        granted: maybe(seed, 2, || GrantedView {
            view: "contacts".to_owned(),
            generation: 1,
            grant: id(seed),
            not_after: TODAY,
            rights: maybe(seed, 3, || BTreeSet::from([Right::Fetch])),
        }),
        subscription: maybe(seed, 3, || SubscriptionState::Active),
        access_sequence: seed,
        problem: maybe(seed, 4, || FirstContactProblem::NotAdmitted),
        poll: maybe(seed, 5, || seed),
        verified: maybe(seed, 4, || UnixMillis(seed)),
        given: maybe(seed, 2, || bytes(seed)),
        one_time: maybe(seed, 3, || bytes(seed)),
        blocked: None,
    }
}

pub fn former(key: u64, seed: u64) -> FormerRow {
    FormerRow {
        principal: principal(key),
        name: format!("former petname {seed}"),
        card_key: generation(seed).read_key(),
        card: card(seed),
    }
}

pub fn closing(key: u64, seed: u64) -> ClosingRow {
    ClosingRow {
        pk: BlindedKey::from_bytes(bytes(key)),
        beacon: ByteBuf::from(bytes::<32>(seed)),
    }
}

pub fn letter(key: u64, seed: u64) -> LetterRow {
    let body = match seed % 6 {
        0 => LetterBody::Introduce {
            token: InviteToken::from_bytes(bytes(seed)),
            name: maybe(seed, 3, || format!("introduced {seed}")),
            card: generation(seed).read_key(),
            current: card(seed),
            grant: maybe(seed, 4, || grant(seed)),
            stamps: vec![stamp_batch(seed)],
            one_time: None,
        },
        1 => LetterBody::Grant {
            card: generation(seed).read_key(),
            current: card(seed),
            name: None,
            grant: grant(seed),
            stamps: Vec::new(),
            one_time: None,
        },
        2 => LetterBody::Renew {},
        3 => LetterBody::Ended { sequence: seed },
        4 => LetterBody::Post {
            stamps: vec![stamp_batch(seed)],
            wanted: true,
            taken: vec![id(seed)],
        },
        _ => LetterBody::Refused {
            reason: RefusalReason::InviteUsedUp,
            sequence: seed,
        },
    };
    LetterRow {
        id: id(key),
        to: principal(seed),
        body,
        admission: if seed.is_multiple_of(2) {
            Admission::Token(InviteToken::from_bytes(bytes(seed)))
        } else {
            Admission::Open
        },
        created: TODAY,
    }
}

pub fn mailbox_id(key: u64) -> MailboxId {
    MailboxKey::from_bytes(&bytes(key)).id()
}

fn mailbox_address(key: u64) -> MailboxAddress {
    MailboxAddress {
        mailbox: mailbox_id(key),
        relay: node_address(key),
    }
}

fn stamp(seed: u64) -> Stamp {
    StampKey::from_bytes(bytes(seed)).mint(&mailbox_id(seed), bytes(seed), Day(20_000), Class::Contact)
}

fn stamp_batch(seed: u64) -> StampBatch {
    StampBatch {
        mailbox: mailbox_id(seed),
        stamps: (0..seed % 3).map(stamp).collect(),
    }
}

pub fn own_mailbox(key: u64, seed: u64) -> MailboxRow {
    let voucher = Voucher {
        by: mailbox_id(seed),
        relay: node_address(seed).node,
        id: id(seed),
        uses: 1,
        until: TODAY,
    };
    MailboxRow {
        mailbox: mailbox_id(key),
        key: MailboxKey::from_bytes(&bytes(key)),
        stamp_key: StampKey::from_bytes(bytes(seed)),
        relay: node_address(seed),
        voucher: maybe(seed, 0, || voucher.sign(&MailboxKey::from_bytes(&bytes(seed)))),
        until: maybe(seed, 1, || UnixMillis(seed)),
        quotas: (0..seed % 3)
            .map(|bytes| Quota {
                class: Class::Invited,
                envelopes: 1,
                most_envelopes: u32::MAX,
                bytes,
                most_bytes: u64::MAX,
            })
            .collect(),
    }
}

pub fn stamps(key: u64, seed: u64) -> StampsRow {
    StampsRow {
        contact: principal(key),
        books: (0..seed % 3).map(stamp_batch).collect(),
    }
}

pub fn parcel(key: u64, seed: u64) -> ParcelRow {
    ParcelRow {
        id: id(key),
        item: if seed.is_multiple_of(2) {
            Item::Letter(id(seed))
        } else {
            Item::Batch(id(seed))
        },
        batch: maybe(seed, 2, || BatchContents {
            messages: vec![id(seed), id(seed + 1)],
            receipts: Owed {
                delivered: [id(seed)].into(),
                read: [id(key)].into(),
            },
            order: seed,
        }),
        to: principal(seed),
        at: mailbox_address(seed),
        pass: match seed % 3 {
            0 => None,
            1 => Some(Pass::Stamp(stamp(seed))),
            _ => Some(Pass::Work(DayWork {
                day: Day(20_000),
                nonce: seed,
            })),
        },
        envelope: ByteBuf::from(bytes::<64>(seed)),
        stored: maybe(seed, 1, || UnixMillis(seed)),
    }
}

pub fn taken(key: u64, seed: u64) -> TakenRow {
    TakenRow {
        from: principal(key),
        letter: id(key),
        until: UnixMillis(seed),
    }
}

pub fn kept(key: u64, seed: u64) -> KeptRow {
    KeptRow {
        mailbox: mailbox_id(key),
        stamp_key: StampKey::from_bytes(bytes(seed)),
        tier: match seed % 3 {
            0 => Tier::Listed,
            1 => Tier::Vouched {
                by: mailbox_id(seed),
                voucher: id(seed),
            },
            _ => Tier::Worked,
        },
        until: UnixMillis(seed),
        last: seed,
    }
}

pub fn deposit(key: u64, seed: u64) -> DepositRow {
    DepositRow {
        mailbox: mailbox_id(key % 2),
        number: key,
        class: Class::ALL[(seed % 3) as usize],
        bytes: 2_048,
        until: UnixMillis(seed),
    }
}

pub fn body(key: u64, seed: u64) -> BodyRow {
    BodyRow {
        mailbox: mailbox_id(key % 2),
        number: key,
        envelope: ByteBuf::from(bytes::<2_048>(seed)),
    }
}

pub fn left(key: u64, seed: u64) -> LeftRow {
    LeftRow {
        mailbox: mailbox_id(key % 2),
        pk: closing(key, seed).pk,
        record: ByteBuf::from(bytes::<1_024>(seed)),
        due: UnixMillis(seed),
        until: TODAY,
    }
}

pub fn spent(key: u64, seed: u64) -> SpentRow {
    SpentRow {
        mailbox: mailbox_id(key % 2),
        mark: bytes(key),
        envelope: bytes(seed),
        stored: UnixMillis(seed),
        until: TODAY,
    }
}

pub fn chosen(seed: u64) -> Vec<NodeAddress> {
    (0..seed % 3).map(node_address).collect()
}

pub fn observed(key: u64, seed: u64) -> ObservedRow {
    ObservedRow {
        principal: principal(key),
        generation: seed % 3,
        sequence: seed,
        state: PresenceState {
            issued: TODAY,
            lease: 90_000,
            ended: seed.is_multiple_of(7),
            document: document(seed),
            reach: None,
        },
        source: Source::Relay,
        received: UnixMillis(seed),
    }
}

pub fn consumer(name: &str, seed: u64) -> ConsumerRow {
    ConsumerRow {
        name: name.to_owned(),
        acknowledged: seed,
        seen: TODAY,
    }
}

pub fn answer(key: &str, seed: u64) -> AnswerRow {
    let reply = match seed % 4 {
        0 => Reply::Stopping,
        1 => Reply::Presence(Box::new(own_presence(seed))),
        2 => Reply::Invite {
            id: id(seed),
            uri: format!("porchlight:answered{seed}"),
            qr: format!("PORCHLIGHT:ANSWERED{seed}"),
            uses: 1,
            expires: TODAY,
            reach: vec![node_address(seed)],
        },
        _ => Reply::Contact(ContactInfo {
            name: format!("answered {seed}"),
            principal: principal(seed),
            told_name: None,
            subscription: Some(SubscriptionState::Provisional),
            view: Some("contacts".to_owned()),
            added: TODAY,
            waiting: 1,
            problem: None,
            blocked: None,
            verified: maybe(seed, 4, || UnixMillis(seed)),
            node: Some(node_address(seed).node),
            public: false,
        }),
    };
    AnswerRow {
        key: key.to_owned(),
        call: bytes(seed),
        at: UnixMillis(seed),
        reply,
    }
}

pub fn event(number: u64, seed: u64) -> EventRow {
    let contact = format!("told of {seed}");
    let event = match seed % 7 {
        0 => Event::NodeStarted,
        1 => Event::PresenceChanged {
            contact,
            principal: principal(seed),
            old: told(seed),
            new: told(seed + 1),
        },
        2 => Event::ContactAdded {
            contact,
            principal: principal(seed),
            by_our_invite: true,
        },
        3 => Event::SubscriptionChanged {
            contact,
            principal: principal(seed),
            old: None,
            new: Some(SubscriptionState::Pending),
        },
        4 => Event::OwnPresenceChanged(Box::new(OwnPresenceChange {
            cause: OwnCause::Over,
            own: own_presence(seed),
        })),
        5 => Event::RelayLost {
            node: node_address(seed).node,
        },
        _ => Event::InviteUsed {
            invite: id(seed),
            contact,
            uses_left: 0,
        },
    };
    EventRow {
        number,
        at: UnixMillis(seed),
        event,
    }
}
