//! The step about taking access back: a third person comes, is removed, and learns nothing more.

use super::person::Person;
use super::search::search_memory;
use super::stage::Stage;
use super::teller::{Told, show};
use anyhow::{Result, bail, ensure};
use std::time::Instant;

/// What carol still sees, and what she must not.
const BEFORE: &str = "carol is coming to dinner";
const AFTER: &str = "carol must not know about the party";

pub(super) async fn removed(stage: &mut Stage, alice: &mut Person, bob: &mut Person) -> Result<Told> {
    stage.start("carol").await?;
    stage.connected_to_relays("carol").await?;
    let mut carol = Person::meet(stage, "carol").await?;
    let invite = alice.invite().await?;
    carol.add(&invite).await?;
    carol.subscribed("alice").await?;
    alice.subscribed("carol").await?;
    alice.set("busy", Some(BEFORE)).await?;
    for person in [&mut *bob, &mut carol] {
        person
            .told("alice is busy", |told| told.contact == "alice" && told.status == "busy")
            .await?;
    }
    let start = Instant::now();
    alice.remove("carol").await?;
    carol.cancelled("alice").await?;
    let cancelled = start.elapsed();
    alice.set("away", Some(AFTER)).await?;
    bob.told("alice is away", |told| told.contact == "alice" && told.status == "away")
        .await?;
    if carol.fetch("alice").await.is_ok() {
        bail!("expected alice's view to be closed to carol, but she could still ask for it");
    }
    let searched = match (memory(stage, BEFORE), memory(stage, AFTER)) {
        (Ok(before), Ok(after)) => {
            ensure!(
                before > 0,
                "expected the search to find in carol's memory what she was shown"
            );
            ensure!(
                after == 0,
                "expected nothing of the later note in carol's memory, found {after} places"
            );
            "her node's memory has alice's note from before, and nothing of the one after"
        }
        _ => "her node can no longer ask for it",
    };
    let told = Told::new(
        format!(
            "carol came by an invite of her own and saw alice busy. Then alice removed her: carol was told so {} after, bob \
             saw alice's next status as if nothing had happened, and {searched}. The keys of what she could read were \
             replaced, so that having recorded every byte would not help her.",
            show(cancelled)
        ),
        "watchers",
        "alice",
    );
    stage.stop("carol").await?;
    // Her home is of no use to those who go on with the others.
    stage.forget("carol")?;
    alice.set("open", None).await?;
    bob.told("alice is open", |told| told.contact == "alice" && told.status == "open")
        .await?;
    Ok(told)
}

fn memory(stage: &Stage, note: &str) -> Result<usize> {
    let Some(pid) = stage.pid("carol") else {
        bail!("carol's node is not there");
    };
    Ok(search_memory(pid, &[note.as_bytes().to_vec()])?)
}
