//! Keys at rest: the key file, and how values are sealed under it.
//!
//! A sealed value is nonce 24 | XChaCha20-Poly1305(key of its table, nonce, value), bound to table, row and schema, so that
//! rows cannot be exchanged for one another. Row keys that name people are HMAC-SHA256 of them.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const NONCE: usize = 24;
const TABLE: &str = "porchlight/store/1";
const ROW_KEYS: &str = "porchlight/store-keys/1";
const ROOT: &str = "porchlight/root/1";

/// The key file cannot be used.
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
    /// It is not 32 bytes.
    #[error(
        "the key file {path} should hold 32 bytes, and holds {got}: restore it from a copy; without it this home cannot be opened"
    )]
    Length {
        /// Which file.
        path: PathBuf,
        /// What it holds.
        got: usize,
    },
    /// What is in it does not open under the key.
    #[error("{path} does not open under this home's key")]
    Sealed {
        /// Which file.
        path: PathBuf,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gives no randomness")]
    Randomness,
}

/// The key that everything at rest is sealed under.
#[derive(Clone)]
pub struct StoreKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreKey(redacted)")
    }
}

impl StoreKey {
    /// Makes a new key file that only its owner can read.
    ///
    /// # Errors
    ///
    /// If it is there already, or cannot be written.
    pub fn create(path: &Path) -> Result<Self, KeyFileError> {
        let key = Self(Zeroizing::new(random()?));
        write_new(path, key.0.as_slice()).map_err(|source| io_error(path, "written", source))?;
        Ok(key)
    }

    /// Reads the key file.
    ///
    /// # Errors
    ///
    /// If it is not there, not of 32 bytes, or readable by others.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let mut file = File::open(path).map_err(|source| io_error(path, "read", source))?;
        let mode = file
            .metadata()
            .map_err(|source| io_error(path, "read", source))?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Exposed {
                path: path.to_owned(),
                mode: mode & 0o777,
            });
        }
        let mut bytes = Zeroizing::new(Vec::new());
        // One byte more than wanted is enough to know that it is too long.
        Read::by_ref(&mut file)
            .take(33)
            .read_to_end(&mut bytes)
            .map_err(|source| io_error(path, "read", source))?;
        let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| KeyFileError::Length {
            path: path.to_owned(),
            got: bytes.len(),
        })?;
        Ok(Self(Zeroizing::new(key)))
    }

    /// Seals the root key's seed into a file of its own.
    ///
    /// # Errors
    ///
    /// If it is there already, or cannot be written.
    pub fn seal_root(&self, path: &Path, seed: &[u8; 32]) -> Result<(), KeyFileError> {
        let sealed = self.cipher(ROOT).seal(seed, b"root").ok_or(KeyFileError::Randomness)?;
        write_new(path, &sealed).map_err(|source| io_error(path, "written", source))
    }

    /// Opens the root key's seed.
    ///
    /// # Errors
    ///
    /// If it is not there, or was sealed under another key.
    pub fn open_root(&self, path: &Path) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
        let sealed = fs::read(path).map_err(|source| io_error(path, "read", source))?;
        self.cipher(ROOT)
            .open(&sealed, b"root")
            .and_then(|seed| seed.as_slice().try_into().ok().map(Zeroizing::new))
            .ok_or_else(|| KeyFileError::Sealed { path: path.to_owned() })
    }

    fn cipher(&self, info: &str) -> Cipher {
        Cipher(XChaCha20Poly1305::new(&(*self.derive(info.as_bytes())).into()))
    }

    #[expect(clippy::expect_used, reason = "HKDF-SHA256 gives up to 8,160 bytes; 32 always fit")]
    fn derive(&self, info: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, self.0.as_slice())
            .expand(info, key.as_mut())
            .expect("32 bytes fit");
        key
    }
}

struct Cipher(XChaCha20Poly1305);

impl Cipher {
    fn seal(&self, value: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
        let nonce: [u8; NONCE] = random().ok()?;
        let payload = Payload { msg: value, aad };
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload).ok()?;
        Some([nonce.as_slice(), &sealed].concat())
    }

    fn open(&self, sealed: &[u8], aad: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE>()?;
        let payload = Payload { msg: rest, aad };
        self.0.decrypt(&XNonce::from(*nonce), payload).ok().map(Zeroizing::new)
    }
}

/// Seals and opens the values of all tables.
pub(crate) struct Vault {
    ciphers: BTreeMap<&'static str, Cipher>,
    row_keys: Zeroizing<[u8; 32]>,
}

impl Vault {
    pub(crate) fn new(key: &StoreKey, tables: &[&'static str]) -> Self {
        Self {
            ciphers: tables
                .iter()
                .map(|table| (*table, key.cipher(&format!("{TABLE}|{table}"))))
                .collect(),
            row_keys: key.derive(ROW_KEYS.as_bytes()),
        }
    }

    /// The key of a row as it stands in the table: tells nobody what it is of, and is the same each time.
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    pub(crate) fn row(&self, table: &'static str, key: &[u8]) -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.row_keys.as_slice()).expect("any length is fine");
        mac.update(table.as_bytes());
        mac.update(&[0]);
        mac.update(key);
        mac.finalize().into_bytes().to_vec()
    }

    pub(crate) fn seal(&self, table: &'static str, row: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        self.ciphers.get(table)?.seal(value, &bound(table, row))
    }

    pub(crate) fn open(&self, table: &'static str, row: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.ciphers.get(table)?.open(sealed, &bound(table, row))
    }
}

fn bound(table: &str, row: &[u8]) -> Vec<u8> {
    [table.as_bytes(), &[0], row].concat()
}

fn random<const N: usize>() -> Result<[u8; N], KeyFileError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| KeyFileError::Randomness)?;
    Ok(bytes)
}

/// Writes a new file for its owner only, and makes sure that it is on disk.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    if let Some(parent) = path.parent() {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

fn io_error(path: &Path, what: &'static str, source: io::Error) -> KeyFileError {
    KeyFileError::Io {
        path: path.to_owned(),
        what,
        source,
    }
}
