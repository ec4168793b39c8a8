//! All that presence can say, from one command line to the other.

use super::town::{Ran, alice_and_bob, porchlight};
use porchlight::demo::stage::Stage;
use serde_json::json;
use std::fs;

async fn done(stage: &Stage, name: &str, args: &[&str]) -> Ran {
    let ran = porchlight(stage, name, args).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    ran
}

#[tokio::test]
async fn rfc2779_3_1_1_what_one_command_line_says_the_other_shows() {
    let (stage, mut alice, mut bob) = alice_and_bob().await;
    let set = [
        "presence",
        "set",
        "away",
        "-m",
        "back at four",
        "--note-lang",
        "en",
        "-m",
        "um vier wieder da",
        "--note-lang",
        "de",
        "--activity",
        "meal",
        "--mood",
        "happy",
        "--place",
        "cafe",
        "--for",
        "2h",
        "--contact",
        "im:alice@example.org",
        "--priority",
        "0.8",
        "--contact",
        "tel:+43-1-5550123",
        "--detail",
        "tel/work=+43-1-5550123",
        "--detail",
        "FN=Alice Example",
    ];
    let ran = done(&stage, "alice", &set).await;
    assert_eq!(
        ran.stdout, "you are away (back at four), for 2 h more, then open again\n",
        "no remark: every name is known"
    );
    let told = bob.told("alice is away", |told| told.status == "away").await.unwrap();
    let notes: Vec<_> = told
        .notes
        .iter()
        .map(|note| (note.lang.as_deref().unwrap_or_default(), note.text.as_str()))
        .collect();
    assert_eq!(notes, [("en", "back at four"), ("de", "um vier wieder da")]);
    assert_eq!(told.activities, ["away", "meal"]);
    assert!(told.until_at.is_some());
    let shown = done(&stage, "bob", &["who", "alice"]).await.stdout;
    let lines: Vec<&str> = shown.lines().map(str::trim_start).collect();
    assert_eq!(
        lines[..5],
        [
            "alice is away",
            "note (en): back at four",
            "note (de): um vier wieder da",
            "activities: meal",
            "mood: happy"
        ],
        "{shown}"
    );
    assert!(
        lines[6].starts_with("until: 2") && lines[6].ends_with("more)"),
        "{shown}"
    );
    for line in [
        "place: cafe",
        "contact: im:alice@example.org, open, priority 0.8",
        "contact: tel:+43-1-5550123, open",
        "tel (work): +43-1-5550123",
        "fn: Alice Example",
    ] {
        assert!(lines.contains(&line), "expected '{line}' in {shown}");
    }
    assert!(lines.last().unwrap().contains(", issued "), "{shown}");
    let table = done(&stage, "bob", &["who"]).await.stdout;
    assert_eq!(table.lines().count(), 4, "one line for each contact: {table}");
    assert!(!table.contains("5550123"), "the table keeps short: {table}");

    // A plain status keeps contacts and details, and nothing else.
    done(&stage, "alice", &["presence", "set", "busy"]).await;
    let told = bob.told("alice is busy", |told| told.status == "busy").await.unwrap();
    assert_eq!((told.tuples.len(), told.details.len()), (2, 2), "{told:?}");
    assert!(
        told.notes.is_empty() && told.mood.is_none() && told.until_at.is_none(),
        "{told:?}"
    );
    done(&stage, "alice", &["presence", "clear", "details", "contacts"]).await;
    let told = bob
        .told("her details are gone", |told| told.details.is_empty())
        .await
        .unwrap();
    assert_eq!((told.status.as_str(), told.tuples.len()), ("busy", 0), "{told:?}");
    let own = alice.own().await.unwrap();
    assert_eq!((own.status.as_str(), own.details.len()), ("busy", 0));
}

#[tokio::test]
async fn a_status_for_a_while_goes_back_and_both_sides_are_told() {
    let (mut stage, mut alice, mut bob) = alice_and_bob().await;
    done(&stage, "alice", &["presence", "set", "busy", "-m", "writing"]).await;
    bob.told("alice is busy", |told| told.status == "busy").await.unwrap();
    done(&stage, "alice", &["presence", "set", "away", "--for", "1s"]).await;
    let over = alice
        .happened("be told that it is over", "presence.own_changed", |data| {
            data["cause"] == "over"
        })
        .await
        .unwrap();
    assert_eq!(
        (&over["status"], &over["own"]["notes"][0]["text"]),
        (&json!("busy"), &json!("writing"))
    );
    bob.told("alice is away", |told| told.status == "away").await.unwrap();
    let told = bob
        .told("alice is busy again", |told| told.status == "busy")
        .await
        .unwrap();
    assert_eq!(told.notes[0].text, "writing");
    // What is over when the node comes up again is over.
    done(&stage, "alice", &["presence", "set", "away", "--for", "1s"]).await;
    stage.kill("alice").await.unwrap();
    stage.start("alice").await.unwrap();
    alice.reconnect(&stage).await.unwrap();
    alice
        .happened("be told that it is over", "presence.own_changed", |data| {
            data["cause"] == "over"
        })
        .await
        .unwrap();
    assert_eq!(alice.own().await.unwrap().status, "busy");
}

#[tokio::test]
async fn rfc2779_5_2_3_a_view_is_told_something_else_and_oneself_is_shown_both() {
    let (stage, mut alice, mut bob) = alice_and_bob().await;
    done(&stage, "alice", &["view", "create", "work"]).await;
    alice.show("bob", "work").await.unwrap();
    bob.subscribed("alice").await.unwrap();
    let file = stage.home("alice").join("presence.json");
    let from = json!({
        "status": "busy",
        "notes": [{"text": "on site", "lang": "en"}],
        "mood": {"values": ["serious"], "notes": [{"text": "it is Monday"}]},
        "tuples": [{"id": "desk", "status": "closed", "contact": "tel:17", "notes": [{"text": "after ten"}]}],
        "extensions": {"org.example.desk": {"floor": 3}},
    });
    fs::write(&file, from.to_string()).unwrap();
    let file = file.to_str().unwrap();
    let ran = done(&stage, "alice", &["presence", "set", "--from", file, "--view", "work"]).await;
    assert_eq!(ran.stdout, "for 'work' you are busy (on site)\n");
    let told = bob.told("alice is busy", |told| told.status == "busy").await.unwrap();
    assert_eq!(told.mood.unwrap().notes[0].text, "it is Monday");
    let tuple = &told.tuples[0];
    assert_eq!(
        (tuple.id.as_str(), tuple.status.as_deref(), tuple.contact.as_deref()),
        ("desk", Some("closed"), Some("tel:17"))
    );
    assert_eq!(told.extensions["org.example.desk"], json!({"floor": 3}));
    let shown = done(&stage, "alice", &["presence", "show"]).await.stdout;
    for line in [
        "you are open",
        "view contacts: open, from the usual",
        "view work: busy, from its own status, contacts, extensions",
        "  note (en): on site",
        "  contact: tel:17, closed",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "expected '{line}' in {shown}");
    }
    let shown = done(&stage, "alice", &["presence", "show", "--json"]).await.json();
    assert_eq!(
        (&shown["own"]["status"], &shown["views"][1]["status"]),
        (&json!("open"), &json!("busy"))
    );
    done(&stage, "alice", &["presence", "clear", "--view", "work"]).await;
    let told = bob.told("alice is open", |told| told.status == "open").await.unwrap();
    assert!(told.tuples.is_empty() && told.extensions.is_empty(), "{told:?}");
}

#[tokio::test]
async fn what_cannot_be_said_is_named_and_what_is_mistyped_is_remarked() {
    let (stage, mut alice, mut bob) = alice_and_bob().await;
    for (args, said) in [
        (vec!["set"], "nothing to set"),
        (vec!["set", "away", "--activity", "busy"], "which are statuses"),
        (vec!["set", "away", "--for", "10ms"], "how long it holds"),
        (vec!["set", "away", "-m", "x", "--note-lang", "deutsch!"], "language"),
        (vec!["set", "--contact", "nowhere"], "a URI"),
        (vec!["set", "--contact", "im:a@b", "--priority", "2"], "0 to 1"),
        (vec!["set", "--detail", "tel"], "NAME=VALUE"),
        (vec!["set", "--detail", "tel="], "contact detail"),
        (vec!["set", "away", "--until", "four"], "until_at: expected a time"),
    ] {
        let args: Vec<&str> = ["presence"].into_iter().chain(args).collect();
        porchlight(&stage, "alice", &args).await.failed(2, &[said]);
    }
    porchlight(&stage, "alice", &["presence", "set", "away", "--view", "wrok"])
        .await
        .failed(5, &["no view called 'wrok'", "view list"]);
    porchlight(&stage, "alice", &["presence", "set", "--from", "/nowhere/at-all.json"])
        .await
        .failed(1, &["/nowhere/at-all.json"]);
    let bad = stage.home("alice").join("bad.json");
    fs::write(&bad, r#"{"statsu": "away"}"#).unwrap();
    porchlight(&stage, "alice", &["presence", "set", "--from", bad.to_str().unwrap()])
        .await
        .failed(2, &["statsu", "presence.set"]);
    // Each of them may be as long, and all of them fit no record.
    let long: Vec<_> = (0..8).map(|_| json!({"text": "x".repeat(512)})).collect();
    let long = json!({"status": "away", "notes": long});
    fs::write(&bad, long.to_string()).unwrap();
    porchlight(&stage, "alice", &["presence", "set", "--from", bad.to_str().unwrap()])
        .await
        .failed(
            2,
            &["the presence takes 4", "a record holds 3770", "nothing was changed"],
        );
    assert_eq!(alice.own().await.unwrap().status, "open", "none of it was set");
    let ran = done(&stage, "alice", &["presence", "set", "-m", "only a note"]).await;
    assert_eq!(ran.stdout, "you are open (only a note)\n", "the status stays");
    let told = bob
        .told("alice has a note", |told| !told.notes.is_empty())
        .await
        .unwrap();
    assert_eq!(
        (told.status.as_str(), told.notes[0].text.as_str()),
        ("open", "only a note")
    );
    let ran = done(&stage, "alice", &["presence", "set", "away", "--activity", "meel"]).await;
    assert!(
        ran.stdout
            .contains("remark: the activity 'meel' is no name that others know"),
        "{ran:?}"
    );
    let own = ["presence", "set", "away", "--activity", "org.example.juggling"];
    assert!(!done(&stage, "alice", &own).await.stdout.contains("remark"));
}
