//! Instant messages between real processes: there and back, while one is away, and through kill -9 of both.

use super::town::{Ran, alice_and_bob, porchlight};
use porchlight::demo::person::Person;
use porchlight::demo::stage::Stage;
use porchlight_rpc::methods::{MessageGet, MessageList, OutboxList};
use porchlight_rpc::types;
use serde_json::Value;

async fn done(stage: &Stage, name: &str, args: &[&str]) -> Ran {
    let ran = porchlight(stage, name, args).await;
    assert_eq!(ran.code, 0, "{args:?}: {ran:?}");
    ran
}

/// The texts of all messages with a contact, in the order in which they were written or shown.
async fn texts(person: &mut Person, contact: &str) -> Vec<String> {
    let listing = types::MessageListing {
        contact: Some(contact.to_owned()),
        after: None,
        before: None,
        unread: None,
        max: Some(500),
    };
    let list = person.calls.call::<MessageList>(&listing).await.unwrap();
    list.messages.into_iter().map(|message| message.text.unwrap()).collect()
}

/// Waits for the events of messages with these texts, which have to come in this order and once each.
async fn received(person: &mut Person, expected: &[String]) {
    for text in expected {
        let came = person.happened(text, "message.received", |_| true).await.unwrap();
        assert_eq!(came["text"].as_str(), Some(text.as_str()), "{came}");
    }
}

fn state_is<'a>(state: &'a str, message: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |data| data["state"]["state"] == state && data["message"] == message
}

#[tokio::test]
async fn rfc2779_2_4_3_and_4_2_1_a_conversation_by_the_command_line() {
    let (stage, mut alice, mut bob) = alice_and_bob().await;
    let sent = done(
        &stage,
        "alice",
        &["--json", "send", "bob", "lunch at one?", "--wait", "delivered"],
    )
    .await;
    let sent = sent.json();
    let id = sent["message"]["message"].as_str().unwrap().to_owned();
    assert_eq!(sent["message"]["state"]["state"], "delivered");
    let came = bob.happened("a message", "message.received", |_| true).await.unwrap();
    assert_eq!(
        (came["text"].as_str(), came["unread"].as_u64()),
        (Some("lunch at one?"), Some(1))
    );
    let kept = done(&stage, "bob", &["--json", "inbox", "--keep"]).await.json();
    assert_eq!(kept["messages"][0]["unread"], true);
    let shown = done(&stage, "bob", &["inbox"]).await.stdout;
    assert!(
        shown.starts_with("alice, ") && shown.ends_with(", unread\n  lunch at one?\n"),
        "{shown}"
    );
    assert_eq!(done(&stage, "bob", &["inbox"]).await.stdout, "nothing new\n");
    alice
        .happened("bob has read it", "message.changed", state_is("read", &id))
        .await
        .unwrap();
    let words = [
        "--json",
        "send",
        "alice",
        "gladly",
        "--reply-to",
        &id,
        "--sign",
        "--wait",
        "delivered",
    ];
    let answer = done(&stage, "bob", &words).await.json();
    let one = types::OneMessage {
        message: answer["message"]["message"].as_str().unwrap().to_owned(),
    };
    let got = alice.calls.call::<MessageGet>(&one).await.unwrap().message;
    assert_eq!(got.in_reply_to.as_deref(), Some(id.as_str()));
    assert!(got.signed_by.is_some() && got.signature.is_some(), "{got:?}");
    let log = done(&stage, "alice", &["log", "bob"]).await.stdout;
    assert!(
        log.contains("you to bob, ") && log.contains(", read\n  lunch at one?\n"),
        "{log}"
    );
    assert!(
        log.contains("bob, ") && log.ends_with(", unread, signed\n  gladly\n"),
        "{log}"
    );
    let found = done(&stage, "alice", &["--json", "search", "LUNCH one"]).await.json();
    assert_eq!(found["messages"].as_array().unwrap().len(), 1);
    assert_eq!(
        done(&stage, "alice", &["search", "dinner"]).await.stdout,
        "nothing found\n"
    );
    assert_eq!(
        done(&stage, "alice", &["outbox"]).await.stdout,
        "nothing waits to be delivered\n"
    );
}

#[tokio::test]
async fn rfc2779_5_4_10_a_block_by_the_command_line() {
    let (stage, _, _) = alice_and_bob().await;
    let blocked = done(&stage, "bob", &["--json", "block", "alice"]).await.json();
    assert_eq!(blocked["contact"]["blocked"], "plainly");
    porchlight(&stage, "alice", &["send", "bob", "hello?", "--wait", "delivered"])
        .await
        .failed(6, &["failed: they do not take your messages"]);
    done(&stage, "bob", &["unblock", "alice"]).await;
    done(&stage, "alice", &["send", "bob", "hello", "--wait", "delivered"]).await;
    porchlight(&stage, "alice", &["send", "carol", "hello"])
        .await
        .failed(5, &["carol"]);
}

#[tokio::test]
async fn rfc2779_5_4_2_messages_outlive_kills_of_both_and_come_once_in_order() {
    let (mut stage, mut alice, mut bob) = alice_and_bob().await;
    stage.kill("bob").await.unwrap();
    let expected: Vec<String> = (0..20).map(|number| format!("number {number}")).collect();
    for (number, text) in expected.iter().enumerate() {
        done(&stage, "alice", &["--json", "send", "bob", text]).await;
        if number == 10 {
            stage.kill("alice").await.unwrap();
            stage.start("alice").await.unwrap();
            alice.reconnect(&stage).await.unwrap();
        }
    }
    let waiting = alice.calls.call::<OutboxList>(&types::Nothing {}).await.unwrap();
    assert_eq!(waiting.messages.len(), 20, "nothing that was accepted is lost");
    stage.start("bob").await.unwrap();
    bob.reconnect(&stage).await.unwrap();
    done(&stage, "alice", &["retry", "bob"]).await;
    received(&mut bob, &expected).await;
    // Killed as soon as they are told of, and asked again.
    stage.kill("bob").await.unwrap();
    stage.start("bob").await.unwrap();
    bob.reconnect(&stage).await.unwrap();
    done(&stage, "alice", &["retry", "bob"]).await;
    let last = &waiting.messages.last().unwrap().message;
    let told = alice.happened(
        "the last one is delivered",
        "message.changed",
        state_is("delivered", last),
    );
    told.await.unwrap();
    assert_eq!(texts(&mut bob, "alice").await, expected);
    // And on, the other way.
    done(&stage, "bob", &["send", "alice", "all there", "--wait", "delivered"]).await;
    received(&mut alice, &["all there".to_owned()]).await;
    assert_eq!(texts(&mut bob, "alice").await.len(), 21);
}
