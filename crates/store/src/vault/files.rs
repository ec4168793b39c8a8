//! Where a home's key is: in a key file, or wrapped under a passphrase; and how it goes from one to the other.
//!
//! A change writes the new file whole, beside the old one, reads it back, gives it its name, and only then takes the old one
//! away. Killed in between, both are there, each with the same key: nothing is lost, and the same change again finishes it.

use super::disk::{Disk, Real, remove_if_there, write_new};
use super::wrapped::{Cost, LENGTH, Passphrase, WrappedError, unwrap_all, unwrap_store, wrap};
use super::{HomeKey, ROOT, RootSeal, StoreKey, random};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A key file: store key and root seal.
const PLAIN: usize = 64;

/// A key file of older homes: the store key, which also gives away the root seal.
const OLDER: usize = 32;

/// What is appended to the name of a file that is not whole yet.
const UNFINISHED: &str = "new";

/// The home's key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file system says no.
    #[error("the key file {path} cannot be {what}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What was being done.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// Others can read it.
    #[error(
        "the key file {path} can be read by others (mode {mode:o}): run `chmod 600 {path}`, and consider who has seen it"
    )]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is no key.
    #[error(
        "the key file {path} should hold {PLAIN} bytes, and holds {got}: restore it from a copy; without it this home cannot be opened"
    )]
    Length {
        /// Which file.
        path: PathBuf,
        /// What it holds.
        got: usize,
    },
    /// There is neither a key file nor a wrapped key.
    #[error(
        "the home has no key: neither {plain} nor {wrapped} is there; restore it from a copy, without it this home cannot be opened"
    )]
    Missing {
        /// The key file.
        plain: PathBuf,
        /// The wrapped key.
        wrapped: PathBuf,
    },
    /// A wrapped key does not open.
    #[error("the wrapped key {path} cannot be opened: {source}")]
    Wrapped {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: WrappedError,
    },
    /// What is in it does not open under the key.
    #[error("{path} does not open under this home's key")]
    Sealed {
        /// Which file.
        path: PathBuf,
    },
    /// What was written is not what is on disk.
    #[error("{path} was written and reads otherwise: the disk cannot be trusted; the key stays where it was")]
    Misread {
        /// Which file.
        path: PathBuf,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gives no randomness")]
    Randomness,
}

/// What guards a home's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// A file that only its owner can read.
    KeyFile,
    /// A passphrase.
    Passphrase,
    /// Both: a change from one to the other was not finished.
    Both,
}

/// The files that have to do with a home's key.
#[derive(Clone, Debug)]
pub struct KeyFiles {
    /// The key file.
    pub plain: PathBuf,
    /// The wrapped key.
    pub wrapped: PathBuf,
    /// The sealed root keys.
    pub roots: Vec<PathBuf>,
}

impl KeyFiles {
    /// What guards the key.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn protection(&self) -> Result<Protection, KeyFileError> {
        let is_there = |path: &Path| path.try_exists().map_err(|source| io_error(path, "looked for", source));
        match (is_there(&self.plain)?, is_there(&self.wrapped)?) {
            (true, true) => Ok(Protection::Both),
            (true, false) => Ok(Protection::KeyFile),
            (false, true) => Ok(Protection::Passphrase),
            (false, false) => Err(KeyFileError::Missing {
                plain: self.plain.clone(),
                wrapped: self.wrapped.clone(),
            }),
        }
    }

    /// Makes a new key, wrapped if there is a passphrase.
    ///
    /// # Errors
    ///
    /// If the file is there already, or cannot be written.
    pub fn create(&self, passphrase: Option<&Passphrase>) -> Result<HomeKey, KeyFileError> {
        let key = HomeKey::random()?;
        let (path, bytes) = match passphrase {
            None => (&self.plain, plain(&key)),
            Some(passphrase) => (&self.wrapped, self.wrap(&key, passphrase, Cost::USUAL)?),
        };
        write_new(path, &bytes).map_err(|source| io_error(path, "written", source))?;
        Ok(key)
    }

    /// Reads the key file.
    ///
    /// # Errors
    ///
    /// If it is not there, of a wrong length, or readable by others.
    pub fn read(&self) -> Result<HomeKey, KeyFileError> {
        read_plain(&self.plain)
    }

    /// Opens, of the wrapped key, the part that a running node needs.
    ///
    /// # Errors
    ///
    /// If the passphrase is another one, or the file cannot be read.
    pub fn unlock_store(&self, passphrase: &Passphrase) -> Result<StoreKey, KeyFileError> {
        unwrap_store(&read_wrapped(&self.wrapped)?, passphrase).map_err(|source| self.wrapped_error(source))
    }

    /// Opens the whole of the wrapped key.
    ///
    /// # Errors
    ///
    /// If the passphrase is another one, or the file cannot be read.
    pub fn unlock(&self, passphrase: &Passphrase) -> Result<HomeKey, KeyFileError> {
        unwrap_all(&read_wrapped(&self.wrapped)?, passphrase).map_err(|source| self.wrapped_error(source))
    }

    /// Removes what a change that was killed has left half-written. Only for whoever holds the home.
    ///
    /// # Errors
    ///
    /// If something is there and cannot be removed.
    pub fn tidy(&self) -> Result<(), KeyFileError> {
        for path in [&self.plain, &self.wrapped].into_iter().chain(&self.roots) {
            let path = unfinished(path);
            remove_if_there(&path).map_err(|source| io_error(&path, "removed", source))?;
        }
        Ok(())
    }

    /// Wraps the key under a passphrase, in place of the key file or of an earlier passphrase. The key must be known to be
    /// this home's.
    ///
    /// # Errors
    ///
    /// If a file cannot be written. The home opens as before, or by the new passphrase.
    pub fn set_passphrase(&self, key: &HomeKey, passphrase: &Passphrase) -> Result<(), KeyFileError> {
        self.set_passphrase_on(&mut Real, key, passphrase, Cost::USUAL)
    }

    /// Puts the key into a key file, in place of a passphrase. The key must be known to be this home's.
    ///
    /// # Errors
    ///
    /// If a file cannot be written. The home opens as before, or by the key file.
    pub fn remove_passphrase(&self, key: &HomeKey) -> Result<(), KeyFileError> {
        self.remove_passphrase_on(&mut Real, key)
    }

    fn set_passphrase_on(
        &self,
        disk: &mut impl Disk,
        key: &HomeKey,
        passphrase: &Passphrase,
        cost: Cost,
    ) -> Result<(), KeyFileError> {
        let key = self.apart(disk, key)?;
        replace(disk, &self.wrapped, &self.wrap(&key, passphrase, cost)?)?;
        if self.plain.exists() {
            remove(disk, &self.plain)?;
        }
        Ok(())
    }

    fn remove_passphrase_on(&self, disk: &mut impl Disk, key: &HomeKey) -> Result<(), KeyFileError> {
        replace(disk, &self.plain, &plain(key))?;
        if self.wrapped.exists() {
            remove(disk, &self.wrapped)?;
        }
        Ok(())
    }

    /// The key with a root seal that its store key does not give away, and root keys that are sealed under it: in older
    /// homes this is not yet so.
    fn apart(&self, disk: &mut impl Disk, key: &HomeKey) -> Result<HomeKey, KeyFileError> {
        let mut key = key.clone();
        if key.older {
            key.root = RootSeal(Zeroizing::new(random()?));
            key.older = false;
            // First, so that there is always a key on disk that opens what is sealed under it.
            replace(disk, &self.plain, &plain(&key))?;
        }
        for path in self.roots.iter().filter(|path| path.exists()) {
            let (seed, older) = key.open_root_with(path)?;
            if older {
                replace(disk, path, &key.sealed_root(&seed)?)?;
            }
        }
        Ok(key)
    }

    fn wrap(&self, key: &HomeKey, passphrase: &Passphrase, cost: Cost) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
        wrap(key, passphrase, cost)
            .map(Zeroizing::new)
            .map_err(|source| self.wrapped_error(source))
    }

    fn wrapped_error(&self, source: WrappedError) -> KeyFileError {
        KeyFileError::Wrapped {
            path: self.wrapped.clone(),
            source,
        }
    }
}

/// Puts a whole file in the place of another, or of none.
fn replace(disk: &mut impl Disk, path: &Path, bytes: &[u8]) -> Result<(), KeyFileError> {
    let beside = unfinished(path);
    disk.write(&beside, bytes)
        .map_err(|source| io_error(&beside, "written", source))?;
    let read = Zeroizing::new(fs::read(&beside).map_err(|source| io_error(&beside, "read", source))?);
    if read.as_slice() != bytes {
        return Err(KeyFileError::Misread { path: beside });
    }
    disk.rename(&beside, path)
        .map_err(|source| io_error(path, "written", source))
}

fn remove(disk: &mut impl Disk, path: &Path) -> Result<(), KeyFileError> {
    disk.remove(path).map_err(|source| io_error(path, "removed", source))
}

/// The name of a file that is to take the place of `path`.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_else(|| OsStr::new("key")).to_owned();
    name.push(".");
    name.push(UNFINISHED);
    path.with_file_name(name)
}

fn plain(key: &HomeKey) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([key.store.0.as_slice(), key.root.0.as_slice()].concat())
}

fn read_plain(path: &Path) -> Result<HomeKey, KeyFileError> {
    let bytes = read_at_most(path, PLAIN)?;
    let length = || KeyFileError::Length {
        path: path.to_owned(),
        got: bytes.len(),
    };
    let (store, rest) = bytes.split_first_chunk::<32>().ok_or_else(length)?;
    let store = StoreKey(Zeroizing::new(*store));
    let root = match bytes.len() {
        OLDER => RootSeal(store.derive(ROOT.as_bytes())),
        PLAIN => RootSeal(Zeroizing::new(rest.try_into().map_err(|_| length())?)),
        _ => return Err(length()),
    };
    Ok(HomeKey {
        store,
        root,
        older: bytes.len() == OLDER,
    })
}

fn read_wrapped(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    read_at_most(path, LENGTH)
}

/// Reads a file that only its owner may read. One byte more than wanted is enough to know that it is too long.
fn read_at_most(path: &Path, most: usize) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let failed = |source| io_error(path, "read", source);
    let mut file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Exposed {
            path: path.to_owned(),
            mode: mode & 0o777,
        });
    }
    // With room from the start, so that no part of it is left behind when it grows.
    let mut bytes = Zeroizing::new(Vec::with_capacity(most + 1));
    Read::by_ref(&mut file)
        .take(u64::try_from(most + 1).unwrap_or(u64::MAX))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

pub(super) fn io_error(path: &Path, what: &'static str, source: io::Error) -> KeyFileError {
    KeyFileError::Io {
        path: path.to_owned(),
        what,
        source,
    }
}

#[cfg(test)]
mod tests;
