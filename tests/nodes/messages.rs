//! Instant messages between real processes: there and back, while one is away, and through kill -9 of both and of relays.

use super::mailboxes::{kept, registered, until};
use super::town::{Ran, alice_and_bob, porchlight};
use porchlight::demo::person::Person;
use porchlight::demo::search::{search_folder, search_memory};
use porchlight::demo::stage::{RELAYS, Stage};
use porchlight_rpc::methods::{MessageGet, MessageList, OutboxList};
use porchlight_rpc::types;
use porchlight_wire::ids::PrincipalId;
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
        shown.starts_with("#1 alice, ") && shown.ends_with(", unread\n  lunch at one?\n"),
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
        "1",
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
async fn two_compare_their_safety_number() {
    let (stage, _, _) = alice_and_bob().await;
    let number = |ran: Ran| ran.json()["safety_number"].as_str().unwrap().to_owned();
    let hers = number(done(&stage, "alice", &["--json", "contact", "verify", "bob"]).await);
    let his = number(done(&stage, "bob", &["--json", "contact", "verify", "alice"]).await);
    assert_eq!(hers, his);
    let shown = done(&stage, "alice", &["contact", "verify", "bob"]).await.stdout;
    assert!(shown.contains(&hers[..23]) && shown.contains("not verified"), "{shown}");
    let said = done(&stage, "alice", &["contact", "verify", "bob", "--ok"])
        .await
        .stdout;
    assert_eq!(said, "bob is verified\n");
    let contacts = done(&stage, "alice", &["--json", "contacts"]).await.json();
    assert!(contacts["contacts"][0]["verified_at"].is_string(), "{contacts}");
    let undone = done(&stage, "alice", &["--json", "contact", "verify", "bob", "--undo"])
        .await
        .json();
    assert!(undone.get("verified_at").is_none(), "{undone}");
}

#[tokio::test]
async fn rfc2779_5_4_10_a_block_by_the_command_line() {
    let (stage, _, _) = alice_and_bob().await;
    let blocked = done(&stage, "bob", &["--json", "block", "alice"]).await.json();
    assert_eq!(blocked["contact"]["blocked"], "plainly");
    porchlight(&stage, "alice", &["send", "bob", "hello?", "--wait", "delivered"])
        .await
        .failed(6, &["was not delivered: they do not take your messages"]);
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

/// Waits until everything that waits at somebody is stored at as many relays.
async fn stored_at(stage: &Stage, name: &str, relays: usize) {
    until(stage, name, "outbox.list", |answer| {
        let stored = |message: &Value| {
            let at = message["state"]["relays"].as_array();
            message["state"]["state"] == "stored" && at.is_some_and(|at| at.len() == relays)
        };
        answer["messages"].as_array().unwrap().iter().all(stored)
    })
    .await;
}

#[tokio::test]
async fn rfc2779_5_4_2_messages_for_one_who_is_away_outlive_everybody_and_relays_read_nothing() {
    let (mut stage, mut alice, mut bob) = alice_and_bob().await;
    registered(&stage, "alice").await;
    registered(&stage, "bob").await;
    // The cards with the mailboxes in them have to be known.
    done(
        &stage,
        "alice",
        &["send", "bob", "are you there?", "--wait", "delivered"],
    )
    .await;
    stage.kill("bob").await.unwrap();

    let texts: Vec<String> = (0..10)
        .map(|number| format!("nobody's business, number {number}"))
        .collect();
    for text in &texts {
        done(&stage, "alice", &["send", "bob", text]).await;
    }
    let last = done(&stage, "alice", &["send", "bob", "over", "--wait", "stored"]).await;
    assert_eq!(last.stdout, "stored at relays for bob\n");
    stored_at(&stage, "alice", 2).await;
    let outbox = done(&stage, "alice", &["outbox"]).await.stdout;
    assert!(outbox.contains("stored at 2 relays for 7 d"), "{outbox}");

    let mut secrets = vec![b"nobody's business".to_vec()];
    for person in [&alice, &bob] {
        let principal: PrincipalId = person.principal.parse().unwrap();
        secrets.push(principal.as_bytes().to_vec());
        secrets.push(person.principal.clone().into_bytes());
    }
    // The search is a search: at home they are found.
    let at_home = search_memory(stage.pid("alice").unwrap(), &secrets);
    if let Ok(places) = &at_home {
        assert!(*places > 0);
    }
    for relay in RELAYS {
        assert_eq!(search_folder(&stage.home(relay), &secrets).unwrap(), 0, "{relay}");
        if at_home.is_ok() {
            assert_eq!(
                search_memory(stage.pid(relay).unwrap(), &secrets).unwrap(),
                0,
                "{relay}"
            );
        }
    }

    // The sender goes, one relay is destroyed, and the other one is killed.
    stage.kill("alice").await.unwrap();
    stage.kill(RELAYS[0]).await.unwrap();
    stage.kill(RELAYS[1]).await.unwrap();
    stage.start(RELAYS[1]).await.unwrap();
    stage.start("bob").await.unwrap();
    bob.reconnect(&stage).await.unwrap();
    let expected: Vec<String> = ["are you there?".to_owned()]
        .into_iter()
        .chain(texts)
        .chain(["over".to_owned()])
        .collect();
    received(&mut bob, &expected).await;
    assert_eq!(self::texts(&mut bob, "alice").await, expected);
    // What was taken is deleted, and his receipts wait for her.
    kept(&stage, RELAYS[1], 1).await;
    stage.stop("bob").await.unwrap();
    stage.start("alice").await.unwrap();
    alice.reconnect(&stage).await.unwrap();
    until(&stage, "alice", "outbox.list", |answer| {
        answer["messages"].as_array().unwrap().is_empty()
    })
    .await;
    let log = done(&stage, "alice", &["--json", "log", "bob"]).await.json();
    for message in log["messages"].as_array().unwrap() {
        assert_eq!(message["state"]["state"], "delivered", "{message}");
    }
}
