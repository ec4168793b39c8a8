//! Looks for secrets where they must not be: in files, and in the memory of processes. For the demo, and for the tests of
//! whole nodes.

use anyhow::{Context, Result};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// Places in the files of a folder at which one of the secrets stands.
///
/// # Errors
///
/// If a file cannot be read.
pub fn search_folder(folder: &Path, secrets: &[Vec<u8>]) -> Result<usize> {
    let mut found = 0;
    for entry in std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            found += search_file(&entry.path(), secrets)?;
        }
    }
    Ok(found)
}

/// Places in a file at which one of the secrets stands.
///
/// # Errors
///
/// If it cannot be read.
pub fn search_file(path: &Path, secrets: &[Vec<u8>]) -> Result<usize> {
    let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(count(&bytes, secrets))
}

/// Places at which one of the secrets stands in what a process can write: its heap, stacks and data.
///
/// # Errors
///
/// If the process is gone, or the system does not allow to read it.
pub fn search_memory(pid: u32, secrets: &[Vec<u8>]) -> io::Result<usize> {
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
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
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
