//! Why a contact cannot be seen or reached: that the causes are told apart, step by step.

use super::town::{alice_and_bob, join, porchlight, with_relays};
use porchlight::demo::person::Person;
use porchlight_rpc::methods::{ContactBlock, NetDiagnose, NodeHealth};
use porchlight_rpc::types::{self, Diagnosis};
use std::time::Duration;
use tokio::time::{sleep, timeout};

fn kind(diagnosis: &Diagnosis) -> &str {
    diagnosis
        .conclusion
        .as_ref()
        .map_or("none", |conclusion| &conclusion.kind)
}

fn outcome<'a>(diagnosis: &'a Diagnosis, step: &str) -> &'a str {
    let found = diagnosis.steps.iter().find(|known| known.step == step);
    found.map_or("none", |step| &step.outcome)
}

async fn diagnose(person: &mut Person, contact: &str, seen: Option<u32>) -> Diagnosis {
    let params = types::NetDiagnose {
        contact: contact.to_owned(),
        seen,
    };
    person.calls.call::<NetDiagnose>(&params).await.unwrap()
}

/// Asks until the conclusion is as expected.
async fn concluded(person: &mut Person, contact: &str, expected: &str) -> Diagnosis {
    let mut last = None;
    let asked = timeout(Duration::from_secs(60), async {
        loop {
            let diagnosis = diagnose(person, contact, None).await;
            if kind(&diagnosis) == expected {
                return diagnosis;
            }
            last = Some(diagnosis);
            sleep(Duration::from_millis(50)).await;
        }
    });
    match asked.await {
        Ok(diagnosis) => diagnosis,
        Err(_) => panic!("expected {expected}, got {last:#?}"),
    }
}

#[tokio::test]
async fn one_who_is_there_is_told_from_one_who_was_killed_and_from_being_cut_off_oneself() {
    let (mut stage, mut alice, _bob) = alice_and_bob().await;
    let there = concluded(&mut alice, "bob", "reachable").await;
    for step in ["contact", "relays", "source", "own_card", "card", "dial", "told"] {
        assert_eq!(outcome(&there, step), "ok", "{step}: {there:#?}");
    }
    assert_eq!(outcome(&there, "seed_peers"), "skipped", "{there:#?}");
    let ran = porchlight(&stage, "alice", &["net", "diagnose", "bob"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("\nreachable: nothing is in the way"), "{ran:?}");

    stage.kill("bob").await.unwrap();
    let lapsed = |told: &types::Told| told.contact == "bob" && told.detail.as_deref() == Some("lapsed");
    alice.told("bob has lapsed", lapsed).await.unwrap();
    let gone = concluded(&mut alice, "bob", "lapsed").await;
    assert_eq!(outcome(&gone, "relays"), "ok", "{gone:#?}");
    assert_eq!(outcome(&gone, "record"), "failed", "{gone:#?}");
    assert_eq!(outcome(&gone, "dial"), "failed", "{gone:#?}");
    let ran = porchlight(&stage, "alice", &["net", "diagnose", "bob"]).await;
    assert_eq!(ran.code, 7, "{ran:?}");
    assert!(ran.stdout.contains("nobody listens there"), "{ran:?}");

    for relay in ["relay-1", "relay-2"] {
        stage.kill(relay).await.unwrap();
    }
    let cut_off = concluded(&mut alice, "bob", "cut_off").await;
    assert_eq!(outcome(&cut_off, "relays"), "failed", "{cut_off:#?}");
    let seeds = cut_off.steps.iter().find(|step| step.step == "seed_peers").unwrap();
    assert!(seeds.found.contains("nobody listens there"), "{seeds:?}");
    let ran = porchlight(&stage, "alice", &["net", "diagnose", "bob", "--json"]).await;
    assert_eq!(ran.code, 7, "{ran:?}");

    // Without any relay, one who can be dialled is still seen.
    stage.start("bob").await.unwrap();
    stage.connected("bob", "alice").await.unwrap();
    let direct = concluded(&mut alice, "bob", "reachable").await;
    assert_eq!(outcome(&direct, "relays"), "failed", "{direct:#?}");
    assert_eq!(outcome(&direct, "own_relays"), "failed", "{direct:#?}");
}

fn also(diagnosis: &Diagnosis) -> String {
    let conclusion = diagnosis.conclusion.as_ref();
    conclusion.map_or_else(String::new, |conclusion| conclusion.also.join("\n"))
}

#[tokio::test]
async fn one_killed_while_what_they_said_still_holds_is_said_not_to_answer_and_what_waits_for_them_is_told() {
    let (mut stage, mut alice, _bob) = alice_and_bob().await;
    // What bob says is to hold for longer than this test takes.
    stage.stop("bob").await.unwrap();
    let config = stage.home("bob").join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    assert!(text.contains("lease = \"6s\""), "{text}");
    std::fs::write(&config, text.replace("lease = \"6s\"", "lease = \"1h\"")).unwrap();
    stage.start("bob").await.unwrap();
    concluded(&mut alice, "bob", "reachable").await;

    stage.kill("bob").await.unwrap();
    let gone = concluded(&mut alice, "bob", "not_answering").await;
    let conclusion = gone.conclusion.as_ref().unwrap();
    assert!(!conclusion.ok, "{gone:#?}");
    assert!(
        conclusion.message.contains("nobody listens there")
            && conclusion.message.contains("which holds for 59 min more"),
        "{gone:#?}"
    );
    assert_eq!(outcome(&gone, "told"), "ok", "{gone:#?}");
    assert_eq!(outcome(&gone, "messages"), "skipped", "{gone:#?}");
    assert_eq!(outcome(&gone, "own_relays"), "ok", "{gone:#?}");
    assert_eq!(also(&gone), "", "{gone:#?}");

    let ran = porchlight(&stage, "alice", &["send", "bob", "are you there?", "--wait", "stored"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    stage.kill("relay-2").await.unwrap();
    let with_message = timeout(Duration::from_secs(60), async {
        loop {
            let found = diagnose(&mut alice, "bob", None).await;
            if outcome(&found, "own_relays") == "failed" {
                return found;
            }
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(kind(&with_message), "not_answering", "{with_message:#?}");
    assert_eq!(outcome(&with_message, "messages"), "ok", "{with_message:#?}");
    let said = also(&with_message);
    assert!(said.contains("relays keep one message for them"), "{said}");
    assert!(
        said.contains("of the relays that this node uses, one does not answer: "),
        "{said}"
    );
    let ran = porchlight(&stage, "alice", &["net", "diagnose", "bob"]).await;
    assert_eq!(ran.code, 7, "{ran:?}");
    assert!(ran.stdout.contains("\nalso: relays keep one message"), "{ran:?}");
}

#[tokio::test]
async fn messages_that_are_refused_are_told() {
    let (stage, mut alice, mut bob) = alice_and_bob().await;
    concluded(&mut alice, "bob", "reachable").await;
    let block = types::ContactBlock {
        contact: "alice".to_owned(),
        polite: None,
    };
    bob.calls.call::<ContactBlock>(&block).await.unwrap();
    let ran = porchlight(
        &stage,
        "alice",
        &["send", "bob", "are you there?", "--wait", "delivered"],
    )
    .await;
    assert_eq!(ran.code, 6, "{ran:?}");
    assert!(
        ran.stderr.contains("was not delivered: they do not take your messages"),
        "{ran:?}"
    );
    let refused = concluded(&mut alice, "bob", "messages_refused").await;
    assert_eq!(outcome(&refused, "messages"), "failed", "{refused:#?}");
    let at_bobs = concluded(&mut bob, "alice", "reachable").await;
    let contact = at_bobs.steps.iter().find(|step| step.step == "contact").unwrap();
    assert!(
        contact.found.contains("their messages are not taken here"),
        "{at_bobs:#?}"
    );
}

#[tokio::test]
async fn one_who_stopped_is_away_and_one_who_removed_us_has_ended_it() {
    let (mut stage, mut alice, mut bob) = alice_and_bob().await;
    stage.stop("bob").await.unwrap();
    let away = |told: &types::Told| told.contact == "bob" && told.status == "closed";
    alice.told("bob is closed", away).await.unwrap();
    let found = concluded(&mut alice, "bob", "away").await;
    assert_eq!(outcome(&found, "dial"), "failed", "{found:#?}");
    assert_eq!(outcome(&found, "record"), "ok", "{found:#?}");

    stage.start("bob").await.unwrap();
    bob.reconnect(&stage).await.unwrap();
    bob.remove("alice").await.unwrap();
    alice.cancelled("bob").await.unwrap();
    concluded(&mut alice, "bob", "ended_by_them").await;
}

/// Waits until relays keep all that they publish.
async fn all_is_stored(person: &mut Person) {
    let stored = timeout(Duration::from_secs(60), async {
        loop {
            let health = person.calls.call::<NodeHealth>(&types::Nothing {}).await.unwrap();
            let puts = health.checks.iter().find(|check| check.check == "puts").unwrap();
            let mut words = puts.found.split(' ');
            let (stored, all) = (words.next().unwrap(), words.nth(1).unwrap());
            if stored == all {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    });
    stored.await.unwrap();
}

#[tokio::test]
async fn one_who_never_answered_is_told_from_nobody() {
    let mut stage = with_relays().await;
    let mut alice = join(&mut stage, "alice").await;
    let mut bob = join(&mut stage, "bob").await;
    let invite = bob.invite().await.unwrap();
    all_is_stored(&mut bob).await;
    stage.kill("bob").await.unwrap();
    alice.add(&invite).await.unwrap();
    let waiting = concluded(&mut alice, "bob", "not_answered").await;
    assert_eq!(outcome(&waiting, "letters"), "failed", "{waiting:#?}");
    let nobody = concluded(&mut alice, "carol", "not_a_contact").await;
    assert_eq!(nobody.steps.len(), 1, "{nobody:#?}");
    let ran = porchlight(&stage, "alice", &["net", "diagnose", "carol"]).await;
    assert_eq!(ran.code, 5, "{ran:?}");
}

#[tokio::test]
async fn a_diagnosis_is_followed_by_its_steps() {
    let (_stage, mut alice, _bob) = alice_and_bob().await;
    let mut seen = 0;
    loop {
        let so_far = diagnose(&mut alice, "bob", Some(seen)).await;
        let steps = u32::try_from(so_far.steps.len()).unwrap();
        if so_far.conclusion.is_some() {
            assert_eq!(so_far.steps.last().unwrap().step, "told");
            break;
        }
        assert!(steps > seen, "{so_far:#?}");
        seen = steps;
    }
    // Who has seen all of it is given the end again, and no other diagnosis.
    let ended = diagnose(&mut alice, "bob", Some(seen)).await;
    let again = diagnose(&mut alice, "bob", Some(14)).await;
    assert_eq!(again, ended);
    let anew = diagnose(&mut alice, "bob", Some(0)).await;
    assert_ne!(anew.started_at, ended.started_at);
}

#[tokio::test]
async fn a_seed_peer_that_is_another_is_named() {
    let (mut stage, mut alice, _bob) = alice_and_bob().await;
    for name in ["bob", "relay-1", "relay-2"] {
        stage.kill(name).await.unwrap();
    }
    concluded(&mut alice, "bob", "cut_off").await;
    // Another key where the relay was.
    std::fs::remove_dir_all(stage.home("relay-1")).unwrap();
    stage.start("relay-1").await.unwrap();
    let wrong = concluded(&mut alice, "bob", "wrong_seed_peer").await;
    assert!(
        wrong
            .conclusion
            .as_ref()
            .unwrap()
            .message
            .contains("another node is there, 12D3"),
        "{wrong:#?}"
    );
}
