//! Rows of messaging, made from a number, and that they are found again.

use crate::{Home, sample};
use porchlight_proto::Write;
use porchlight_proto::messaging::rows::{
    AccountRow, ConversationRow, DeliveryPolicy, HeldRow, MessageRow, MessageState, MessageStateRow, Origin, OutboxRow,
    SealedRow, SeenRow, SessionKey, SessionPickle, SessionRow,
};
use porchlight_store::MessageQuery;
use porchlight_wire::content::OlmPacket;
use porchlight_wire::ids::{DeviceId, RandomId};
use porchlight_wire::message::{Body, Gone, Message};
use porchlight_wire::time::UnixMillis;
use serde_bytes::ByteBuf;
use std::collections::BTreeMap;

pub fn account(seed: u64) -> AccountRow {
    AccountRow {
        pickle: ByteBuf::from(sample::bytes::<64>(seed)),
        identity: sample::bytes(seed),
        fallback: sample::bytes(seed + 1),
        fallback_since: UnixMillis(seed),
    }
}

pub fn session(key: u64, seed: u64) -> SessionRow {
    SessionRow {
        key: SessionKey {
            device: DeviceId::from_bytes(sample::bytes(key)),
            session: sample::bytes(key),
        },
        principal: sample::principal(key),
        pickle: SessionPickle::Bytes(ByteBuf::from(sample::bytes::<64>(seed))),
        began: UnixMillis(seed),
        heard: seed.is_multiple_of(2).then_some(UnixMillis(seed)),
        broken: seed.is_multiple_of(3),
    }
}

fn message(key: u64, text: &str) -> Message {
    Message {
        id: sample::id(key),
        from: sample::principal(key),
        to: sample::principal(key + 1),
        reply_to: Vec::new(),
        created: UnixMillis(key),
        expires: UnixMillis(key + 1),
        subject: None,
        thread: None,
        in_reply_to: None,
        bodies: vec![Body::text(text)],
        headers: BTreeMap::new(),
        previous: None,
        signature: None,
    }
}

pub fn outgoing(key: u64, seed: u64) -> OutboxRow {
    OutboxRow {
        message: message(key, "on its way"),
        number: seed,
        policy: DeliveryPolicy {
            direct_only: seed.is_multiple_of(2),
            copies: 2,
        },
        state: MessageState::Queued,
    }
}

pub fn sealed(key: u64, seed: u64) -> SealedRow {
    SealedRow {
        id: sample::id(key),
        session: session(key, seed).key,
        packet: OlmPacket {
            device: session(key, seed).key.device,
            identity: None,
            message: sample::bytes::<64>(seed).to_vec(),
        },
    }
}

pub fn conversation(key: u64, seed: u64) -> ConversationRow {
    let gone = Gone {
        id: sample::id(seed),
        previous: Some(sample::id(key)),
    };
    let mut row = ConversationRow::new(sample::principal(key));
    row.gone = vec![(gone, seed)];
    row.unread = vec![(sample::id(seed), seed)];
    row.owed.delivered.insert(sample::id(seed));
    row.shown
        .insert(DeviceId::from_bytes(sample::bytes(key)), sample::id(seed));
    row
}

pub fn origin(key: u64) -> Origin {
    Origin {
        device: DeviceId::from_bytes(sample::bytes(key)),
        id: sample::id(key),
    }
}

pub fn seen(key: u64, seed: u64) -> SeenRow {
    SeenRow {
        origin: origin(key),
        principal: sample::principal(key),
        hash: sample::bytes(seed),
        until: UnixMillis(seed),
        dropped: false,
    }
}

pub fn held(key: u64, seed: u64) -> HeldRow {
    HeldRow {
        origin: origin(key),
        message: message(key, "early"),
        after: Some(sample::id(seed)),
        signed_by: None,
        came: UnixMillis(seed),
    }
}

pub fn kept(key: u64, seed: u64) -> MessageRow {
    MessageRow {
        number: key + 1,
        contact: sample::principal(key),
        outgoing: false,
        message: message(key, "kept"),
        at: UnixMillis(seed),
        after_gap: seed.is_multiple_of(2),
        signed_by: None,
    }
}

pub fn state(key: u64, seed: u64) -> MessageStateRow {
    MessageStateRow {
        number: key + 1,
        state: MessageState::Delivered,
        since: UnixMillis(seed),
    }
}

fn written(number: u64, contact: u64, text: &str) -> Write {
    Write::PutMessage(MessageRow {
        number,
        contact: sample::principal(contact),
        message: message(number, text),
        ..kept(number, 1)
    })
}

#[tokio::test]
async fn messages_are_listed_found_and_searched() {
    let home = Home::new();
    let store = home.open().store;
    let texts = [
        "Hello Alice",
        "hello Bob",
        "good bye, alice",
        "something else",
        "ÄPFEL und Alice",
    ];
    for (number, text) in (1..).zip(texts) {
        store.commit(vec![written(number, number % 2, text)]).await.unwrap();
    }
    store.commit(vec![Write::PutMessageState(state(0, 7))]).await.unwrap();
    let messages = store.messages();
    let numbers = |rows: Vec<porchlight_store::Kept>| rows.into_iter().map(|(row, _)| row.number).collect::<Vec<_>>();
    let query = MessageQuery {
        most: 3,
        ..MessageQuery::default()
    };
    assert_eq!(numbers(messages.list(query).await.unwrap()), [3, 4, 5], "the newest");
    let older = MessageQuery {
        before: Some(3),
        ..query
    };
    assert_eq!(numbers(messages.list(older).await.unwrap()), [1, 2]);
    let on = MessageQuery {
        after: Some(1),
        ..query
    };
    assert_eq!(numbers(messages.list(on).await.unwrap()), [2, 3, 4], "on from there");
    let of_one = MessageQuery {
        contact: Some(sample::principal(1)),
        ..query
    };
    assert_eq!(numbers(messages.list(of_one).await.unwrap()), [1, 3, 5]);
    let (row, how_far) = messages.get(sample::id(1)).await.unwrap().unwrap();
    assert_eq!((row.number, how_far.unwrap().state), (1, MessageState::Delivered));
    assert!(messages.get(RandomId::from_bytes([0; 16])).await.unwrap().is_none());
    let found = messages.search("alice".to_owned(), None, 10).await.unwrap();
    assert_eq!(numbers(found), [5, 3, 1], "whatever the case, newest first");
    let found = messages.search("alice äpfel".to_owned(), None, 10).await.unwrap();
    assert_eq!(numbers(found), [5], "every word");
    let found = messages.search("alice".to_owned(), Some(5), 1).await.unwrap();
    assert_eq!(numbers(found), [3]);
}
