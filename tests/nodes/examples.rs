//! Programs of others, as examples/ has them: that they run, and that the pages about them quote what is there.

use super::town::{alice_and_bob, join, porchlight, with_relays};
use porchlight_rpc::methods::MessageList;
use porchlight_rpc::types;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

const DOORBELL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/doorbell.py");

#[tokio::test]
async fn the_doorbell_rings_answers_once_and_goes_on_where_it_left_off() {
    let (stage, mut alice, mut bob) = alice_and_bob().await;
    bob.set("away", None).await.unwrap();
    let rings = |times: &str| {
        Command::new("python3")
            .arg(DOORBELL)
            .arg("--home")
            .arg(stage.home("bob"))
            .args(["--times", times, "--answer", "back at four"])
            .env_remove("PORCHLIGHT_HOME")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    };
    let mut child = rings("2");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async || {
        timeout(porchlight::demo::stage::PATIENCE, lines.next_line())
            .await
            .unwrap()
            .unwrap()
    };
    assert_eq!(next().await.unwrap(), "alice is open");
    alice.set("busy", Some("writing")).await.unwrap();
    assert_eq!(next().await.unwrap(), "alice: open -> busy (writing)");
    let sent = porchlight(
        &stage,
        "alice",
        &["send", "bob", "lunch at one?", "--wait", "delivered"],
    )
    .await;
    assert_eq!(sent.code, 0, "{sent:?}");
    assert_eq!(next().await.unwrap(), "alice writes: lunch at one?");
    assert!(child.wait().await.unwrap().success());

    // What happened while it was not running is told when it runs again.
    alice.set("away", None).await.unwrap();
    bob.told("alice is away", |told| told.status == "away").await.unwrap();
    let again = rings("1").wait_with_output().await.unwrap();
    let said = String::from_utf8(again.stdout).unwrap();
    assert_eq!(said, "alice is away\nalice: busy -> away\n");

    let listing = types::MessageListing {
        contact: Some("alice".to_owned()),
        after: None,
        before: None,
        unread: None,
        max: None,
    };
    let messages = bob.calls.call::<MessageList>(&listing).await.unwrap().messages;
    let answers: Vec<Option<&str>> = messages
        .iter()
        .filter(|message| message.direction == "out")
        .map(|message| message.text.as_deref())
        .collect();
    assert_eq!(answers, [Some("back at four")]);
}

#[tokio::test]
async fn without_a_node_the_doorbell_says_what_to_do() {
    let mut stage = with_relays().await;
    join(&mut stage, "alice").await;
    stage.stop("alice").await.unwrap();
    let ran = Command::new("python3")
        .arg(DOORBELL)
        .arg("--home")
        .arg(stage.home("alice"))
        .output();
    let ran = ran.await.unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(!ran.status.success() && said.contains("porchlight run"), "{said}");
}

#[test]
fn the_tour_quotes_the_example() {
    let example = include_str!("../../examples/doorbell.py");
    let tour = include_str!("../../docs/api-tour.md");
    let quoted: Vec<&str> = tour
        .split("```python\n")
        .skip(1)
        .filter_map(|block| block.split("```").next())
        .collect();
    assert!(quoted.len() > 3, "{quoted:?}");
    for block in quoted {
        assert!(
            example.contains(block),
            "examples/doorbell.py has it otherwise:\n{block}"
        );
    }
}
