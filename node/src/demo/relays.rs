//! What the relays saw: their own figures, and a search of their folders, logs and memory for what they must not know.

use super::conversation::KEPT;
use super::person::Person;
use super::search::{search_file, search_folder, search_memory};
use super::stage::{RELAYS, Stage};
use super::teller::Told;
use super::{BACK, LUNCH, WRITING};
use anyhow::{Context, Result, ensure};
use porchlight_rpc::methods::NodeInfo;
use porchlight_rpc::types;
use porchlight_wire::ids::PrincipalId;

pub(super) async fn saw(stage: &Stage, alice: &Person, bob: &Person) -> Result<Told> {
    let secrets = secrets(alice, bob)?;
    // A search that finds nothing anywhere would prove nothing: at home they have to be found.
    let at_home = memory(stage, "alice", &secrets);
    let mut said = Vec::new();
    for relay in RELAYS {
        let folder = search_folder(&stage.home(relay), &secrets)? + search_file(&stage.log(relay), &secrets)?;
        ensure!(
            folder == 0,
            "expected nothing of alice and bob on {relay}'s disk, found {folder} places"
        );
        let info = stage.client(relay).await?.call::<NodeInfo>(&types::Nothing {}).await?;
        let bytes = info.counters.get("beacon_bytes").copied().unwrap_or_default();
        said.push(format!(
            "{relay} passed on or kept {} KiB in records under {} blinded addresses, from nodes whose network address it \
             knows",
            bytes / 1024,
            info.records
        ));
    }
    let searched = match at_home {
        Ok(at_home) => {
            ensure!(
                at_home > 0,
                "expected the search to find alice's own secrets in her own memory"
            );
            for relay in RELAYS {
                let found = memory(stage, relay, &secrets)?;
                ensure!(
                    found == 0,
                    "expected nothing of alice and bob in {relay}'s memory, found {found} places"
                );
            }
            format!(
                "Their folders, logs and memory were searched for the notes, the messages and alice's and bob's ids: nothing. (The same \
                 search finds them in {at_home} places of alice's own memory.)"
            )
        }
        Err(_) => {
            "Their folders and logs were searched for the notes, the messages and alice's and bob's ids: nothing. (Memory could \
                   not be searched: this system does not allow it.)"
                .to_owned()
        }
    };
    Ok(Told::new(
        format!(
            "{}. {searched} They did see who is connected, from where, and when records changed.",
            said.join("; ")
        ),
        "status",
        "relay-1",
    ))
}

/// The notes and messages of the story, and the ids of both as text and as bytes.
fn secrets(alice: &Person, bob: &Person) -> Result<Vec<Vec<u8>>> {
    let texts = [LUNCH, WRITING, BACK].into_iter().chain(KEPT);
    let mut secrets: Vec<Vec<u8>> = texts.map(|text| text.as_bytes().to_vec()).collect();
    for person in [alice, bob] {
        let principal: PrincipalId = person.principal.parse().context("the principal's id")?;
        secrets.push(person.principal.as_bytes().to_vec());
        secrets.push(principal.as_bytes().to_vec());
    }
    Ok(secrets)
}

fn memory(stage: &Stage, name: &str, secrets: &[Vec<u8>]) -> Result<usize> {
    let pid = stage.pid(name).context("it does not run")?;
    Ok(search_memory(pid, secrets)?)
}
