//! `porchlight demo`: the whole story with real processes on this machine, told while it happens.
//!
//! It uses nothing that others cannot use: it starts the program it is part of, and talks to it over the local API; in one
//! step it is also the stranger who attacks, over the network. A step that does not come true ends it with what was expected
//! and what was seen.

mod attack;
mod conversation;
pub mod person;
mod relays;
mod removal;
pub mod search;
pub mod stage;
mod teller;

use crate::cli::came;
use anyhow::{Context, Result, anyhow, ensure};
use person::Person;
use stage::{LEASE, Stage};
use std::process::ExitCode;
use std::time::Instant;
use teller::{Teller, Told, show};

/// The notes of the story. The relays are searched for them afterwards.
const LUNCH: &str = "at lunch with Grace Hopper";
const WRITING: &str = "writing the third chapter";
const BACK: &str = "back from the printer";

/// Runs the demo.
///
/// # Errors
///
/// If a process cannot be started, or a step does not come true.
pub async fn run(keep: bool, json: bool) -> Result<ExitCode> {
    let program = std::env::current_exe().context("this program cannot be found")?;
    let mut stage = Stage::set(program)?;
    let mut teller = Teller::new(json);
    let told = tokio::select! {
        told = story(&mut stage, &mut teller) => told,
        _ = tokio::signal::ctrl_c() => return Err(interrupted(stage).await),
    };
    if let Err(error) = told {
        let folder = stage.leave_folder();
        return Err(error.context(format!(
            "the demo did not come true (what its nodes logged is in {})",
            folder.display()
        )));
    }
    teller.end(&stage, keep)?;
    if keep {
        stage.leave_running();
    } else {
        stage.strike().await;
    }
    Ok(ExitCode::SUCCESS)
}

/// Clears up after a ctrl-c. Whoever presses it again does not want to wait for that.
async fn interrupted(stage: Stage) -> anyhow::Error {
    let folder = stage.folder().to_owned();
    tokio::select! {
        () = stage.strike() => anyhow!("stopped by ctrl-c; its nodes have ended, and nothing of them is left"),
        _ = tokio::signal::ctrl_c() => {
            anyhow!("stopped by a second ctrl-c; its nodes were killed, and what is left of them is in {}", folder.display())
        }
    }
}

async fn story(stage: &mut Stage, teller: &mut Teller) -> Result<()> {
    teller.begin(stage)?;
    teller
        .step("Two relays and two people come up.", come_up(stage))
        .await?;
    let mut alice = Person::meet(stage, "alice").await?;
    let mut bob = Person::meet(stage, "bob").await?;
    teller
        .step("alice invites bob.", first_contact(&mut alice, &mut bob))
        .await?;
    teller
        .step(
            "alice's status changes; bob is notified.",
            changes(&mut alice, &mut bob),
        )
        .await?;
    teller
        .step(
            "A stranger alters alice's records and plays them back.",
            attack::attacked(stage, &mut alice, &mut bob),
        )
        .await?;
    teller
        .step(
            "carol comes, and alice removes her again.",
            removal::removed(stage, &mut alice, &mut bob),
        )
        .await?;
    teller
        .step(
            "alice and bob write to each other.",
            conversation::talked(&mut alice, &mut bob),
        )
        .await?;
    teller
        .step(
            "bob is killed; relays keep what alice writes.",
            conversation::kept(stage, &mut alice, &mut bob),
        )
        .await?;
    teller
        .step(
            "alice stops; bob asks the DHT for her.",
            stopped(stage, &mut alice, &mut bob),
        )
        .await?;
    teller
        .step("alice comes back.", back(stage, &mut alice, &mut bob))
        .await?;
    teller
        .step(
            "alice is killed (kill -9), and cannot say goodbye.",
            killed(stage, &mut bob),
        )
        .await?;
    teller
        .step("alice starts again after the kill.", again(stage, &mut alice, &mut bob))
        .await?;
    teller
        .step("What the two relays saw meanwhile.", relays::saw(stage, &alice, &bob))
        .await?;
    teller
        .step(
            "Both relays are gone; alice and bob go on.",
            alone(stage, &mut alice, &mut bob),
        )
        .await
}

async fn come_up(stage: &mut Stage) -> Result<Told> {
    stage.start_relays().await?;
    stage.start("alice").await?;
    stage.start("bob").await?;
    for name in ["alice", "bob"] {
        stage.connected_to_relays(name).await?;
    }
    Ok(Told::new(
        "Four processes, each with keys and a database of its own. alice and bob found the network through the relays, \
         which serve as seed peers.",
        "net peers",
        "alice",
    ))
}

async fn first_contact(alice: &mut Person, bob: &mut Person) -> Result<Told> {
    let invite = alice.invite().await?;
    let start = Instant::now();
    let name = bob.add(&invite).await?;
    ensure!(
        name == "alice",
        "expected the invite to tell the name 'alice', got '{name}'"
    );
    bob.told("alice is open", |told| told.contact == "alice" && told.status == "open")
        .await?;
    let saw = start.elapsed();
    alice
        .told("bob is open", |told| told.contact == "bob" && told.status == "open")
        .await?;
    bob.subscribed("alice").await?;
    alice.subscribed("bob").await?;
    Ok(Told::new(
        format!(
            "bob pasted her invite and saw her open after {}; she sees him too. No server, no account: the invite had \
             what he needed to find her and to be let in.",
            show(saw)
        ),
        "contacts",
        "bob",
    ))
}

async fn changes(alice: &mut Person, bob: &mut Person) -> Result<Told> {
    let mut took = Vec::new();
    for (status, note) in [("away", Some(LUNCH)), ("busy", Some(WRITING)), ("open", None)] {
        let start = Instant::now();
        alice.set(status, note).await?;
        let told = bob
            .told(&format!("alice is {status}"), |told| {
                told.contact == "alice" && told.status == status
            })
            .await?;
        let with = told.notes.first().map(|note| note.text.as_str());
        ensure!(with == note, "expected the note {note:?} with '{status}', got {with:?}");
        let source = told.source.unwrap_or_default();
        took.push(format!("{status} after {} ({})", show(start.elapsed()), came(&source)));
    }
    Ok(Told::new(
        format!("bob was notified of each, note included: {}.", took.join(", ")),
        "events",
        "bob",
    ))
}

async fn stopped(stage: &mut Stage, alice: &mut Person, bob: &mut Person) -> Result<Told> {
    alice.set("away", Some(LUNCH)).await?;
    bob.told("alice is away", |told| told.status == "away").await?;
    let start = Instant::now();
    stage.stop("alice").await?;
    bob.told("alice is closed", |told| {
        told.status == "closed" && told.detail.is_none()
    })
    .await?;
    let notified = start.elapsed();
    let asked = Instant::now();
    let fetched = bob.fetch("alice").await?;
    ensure!(
        fetched.status == "closed" && fetched.source.as_deref() == Some("dht"),
        "expected 'closed' from the DHT, got '{}' from {:?}",
        fetched.status,
        fetched.source
    );
    Ok(Told::new(
        format!(
            "bob was told '{}' {} after; with her node gone he fetched her last record from the DHT in {}: closed, \
             {} old.",
            "closed",
            show(notified),
            show(asked.elapsed()),
            show(std::time::Duration::from_millis(fetched.age_ms.unwrap_or_default())),
        ),
        "who alice",
        "bob",
    ))
}

async fn back(stage: &mut Stage, alice: &mut Person, bob: &mut Person) -> Result<Told> {
    let start = Instant::now();
    stage.start("alice").await?;
    let told = bob
        .told("alice is there again", |told| {
            told.contact == "alice" && told.status == "away"
        })
        .await?;
    let saw = start.elapsed();
    alice.reconnect(stage).await?;
    alice.set("open", Some(BACK)).await?;
    bob.told("alice is open", |told| told.status == "open").await?;
    Ok(Told::new(
        format!(
            "bob saw her {} after her node was started, away as she had left it ({}), and then '{BACK}'.",
            show(saw),
            came(&told.source.unwrap_or_default())
        ),
        "who",
        "bob",
    ))
}

async fn killed(stage: &mut Stage, bob: &mut Person) -> Result<Told> {
    let start = Instant::now();
    stage.kill("alice").await?;
    let told = bob
        .told("alice is closed, lapsed", |told| {
            told.contact == "alice" && told.status != "open"
        })
        .await?;
    ensure!(
        told.status == "closed" && told.detail.as_deref() == Some("lapsed"),
        "expected 'closed (lapsed)', got '{}' {:?}",
        told.status,
        told.detail
    );
    let after = start.elapsed();
    let fetched = bob.fetch("alice").await?;
    ensure!(
        fetched.status == "closed",
        "expected a fetch to say 'closed' too, got '{}'",
        fetched.status
    );
    Ok(Told::new(
        format!(
            "bob was told 'closed (lapsed)' {} after the kill: her last record held for {} and nothing renewed it. (The \
             lease is short for the demo; 90 s is usual.)",
            show(after),
            show(LEASE)
        ),
        "who alice",
        "bob",
    ))
}

async fn again(stage: &mut Stage, alice: &mut Person, bob: &mut Person) -> Result<Told> {
    let start = Instant::now();
    stage.start("alice").await?;
    bob.told("alice is open", |told| told.contact == "alice" && told.status == "open")
        .await?;
    let saw = start.elapsed();
    alice.reconnect(stage).await?;
    alice.subscribed("bob").await?;
    Ok(Told::new(
        format!(
            "bob saw her {} after: contacts, grants and sequence numbers had outlived the kill.",
            show(saw)
        ),
        "status",
        "alice",
    ))
}

async fn alone(stage: &mut Stage, alice: &mut Person, bob: &mut Person) -> Result<Told> {
    stage.connected("bob", "alice").await?;
    for relay in stage::RELAYS {
        stage.kill(relay).await?;
    }
    let start = Instant::now();
    alice.set("busy", Some(WRITING)).await?;
    let told = bob
        .told("alice is busy", |told| told.contact == "alice" && told.status == "busy")
        .await?;
    let took = start.elapsed();
    // Left as it was found, for those who go on with it.
    stage.start_relays().await?;
    Ok(Told::new(
        format!(
            "bob was notified within {} ({}): contacts that are connected need nobody else. The relays are up again.",
            show(took),
            came(&told.source.unwrap_or_default())
        ),
        "net peers",
        "bob",
    ))
}
