//! What the relays saw: their own figures, and a search of their folders, logs and memory for what they must not know.

use super::person::Person;
use super::stage::{RELAYS, Stage};
use super::teller::Told;
use super::{BACK, LUNCH, WRITING};
use anyhow::{Context, Result, ensure};
use porchlight_rpc::methods::NodeInfo;
use porchlight_rpc::types;
use porchlight_wire::ids::PrincipalId;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes read at once.
const CHUNK: usize = 1 << 20;

pub(super) async fn saw(stage: &Stage, alice: &Person, bob: &Person) -> Result<Told> {
    let secrets = secrets(alice, bob)?;
    // A search that finds nothing anywhere would prove nothing: at home they have to be found.
    let at_home = search_memory(stage, "alice", &secrets);
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
                let found = search_memory(stage, relay, &secrets)?;
                ensure!(
                    found == 0,
                    "expected nothing of alice and bob in {relay}'s memory, found {found} places"
                );
            }
            format!(
                "Their folders, logs and memory were searched for the notes and for alice's and bob's ids: nothing. (The same \
                 search finds them in {at_home} places of alice's own memory.)"
            )
        }
        Err(_) => {
            "Their folders and logs were searched for the notes and for alice's and bob's ids: nothing. (Memory could \
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

/// The notes of the story, and the ids of both as text and as bytes.
fn secrets(alice: &Person, bob: &Person) -> Result<Vec<Vec<u8>>> {
    let mut secrets: Vec<Vec<u8>> = [LUNCH, WRITING, BACK].map(|note| note.as_bytes().to_vec()).into();
    for person in [alice, bob] {
        let principal: PrincipalId = person.principal.parse().context("the principal's id")?;
        secrets.push(person.principal.as_bytes().to_vec());
        secrets.push(principal.as_bytes().to_vec());
    }
    Ok(secrets)
}

fn search_folder(folder: &Path, secrets: &[Vec<u8>]) -> Result<usize> {
    let mut found = 0;
    for entry in std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            found += search_file(&entry.path(), secrets)?;
        }
    }
    Ok(found)
}

fn search_file(path: &Path, secrets: &[Vec<u8>]) -> Result<usize> {
    let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(count(&bytes, secrets))
}

/// Searches what a process can write: its heap, stacks and data. Where the system does not allow it, says so.
fn search_memory(stage: &Stage, name: &str, secrets: &[Vec<u8>]) -> Result<usize> {
    let pid = stage.pid(name).context("it does not run")?;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let longest = secrets.iter().map(Vec::len).max().unwrap_or(1);
    let mut found = 0;
    let mut buffer = vec![0; CHUNK];
    for (start, end) in maps.lines().filter_map(writable) {
        let mut at = start;
        while at < end {
            let size = CHUNK.min(usize::try_from(end - at).unwrap_or(CHUNK));
            let Some(part) = buffer.get_mut(..size) else { break };
            match memory.read_at(part, at) {
                Ok(read) if read > 0 => {
                    found += count(part.get(..read).unwrap_or_default(), secrets);
                    // What lies across the border of two chunks is found in the second.
                    let step = if read == CHUNK { read + 1 - longest } else { read };
                    at += u64::try_from(step).unwrap_or(u64::MAX);
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error.into()),
                // A mapping that went away in between, or cannot be read.
                Ok(_) | Err(_) => break,
            }
        }
    }
    Ok(found)
}

/// The bounds of a mapping that can be written.
fn writable(line: &str) -> Option<(u64, u64)> {
    let mut words = line.split_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    if !words.next()?.starts_with("rw") {
        return None;
    }
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
}

fn count(bytes: &[u8], secrets: &[Vec<u8>]) -> usize {
    secrets
        .iter()
        .map(|secret| bytes.windows(secret.len()).filter(|window| window == secret).count())
        .sum()
}
