//! Keys at rest: the home's key, as a file or wrapped under a passphrase, and how values are sealed under it.
//!
//! A home's key has two parts that know nothing of each other: the store key, which a running node holds, and the root
//! seal, which is opened only to sign a device list.
//!
//! A sealed value is nonce 24 | XChaCha20-Poly1305(key of its table, nonce, value), bound to table and row, so that
//! rows cannot be exchanged for one another. Row keys that name people are HMAC-SHA256 of them.

mod disk;
mod files;
mod wrapped;

pub use files::{KeyFileError, KeyFiles, Protection};
pub use wrapped::{Passphrase, PassphraseError, WrappedError};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use disk::write_new;
use files::io_error;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use zeroize::Zeroizing;

const NONCE: usize = 24;
const TABLE: &str = "porchlight/store/1";
const ROW_KEYS: &str = "porchlight/store-keys/1";
const ROOT: &str = "porchlight/root/1";
const ROOT_AAD: &[u8] = b"root";

/// The key that everything in the database is sealed under.
#[derive(Clone)]
pub struct StoreKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreKey(redacted)")
    }
}

impl StoreKey {
    fn cipher(&self, info: &str) -> Cipher {
        Cipher::new(&self.derive(info.as_bytes()))
    }

    fn derive(&self, info: &[u8]) -> Zeroizing<[u8; 32]> {
        derive(self.0.as_slice(), info)
    }
}

/// The key that the root keys are sealed under.
#[derive(Clone)]
struct RootSeal(Zeroizing<[u8; 32]>);

/// Both parts of a home's key.
#[derive(Clone)]
pub struct HomeKey {
    store: StoreKey,
    root: RootSeal,
    /// Whether the store key gives away the root seal, as in older homes.
    older: bool,
}

impl std::fmt::Debug for HomeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HomeKey(redacted)")
    }
}

impl HomeKey {
    fn random() -> Result<Self, KeyFileError> {
        Ok(Self {
            store: StoreKey(Zeroizing::new(random()?)),
            root: RootSeal(Zeroizing::new(random()?)),
            older: false,
        })
    }

    /// The part that a running node needs.
    #[must_use]
    pub fn store(&self) -> &StoreKey {
        &self.store
    }

    /// Seals the root key's seed into a file of its own.
    ///
    /// # Errors
    ///
    /// If it is there already, or cannot be written.
    pub fn seal_root(&self, path: &Path, seed: &[u8; 32]) -> Result<(), KeyFileError> {
        let sealed = self.sealed_root(seed)?;
        write_new(path, &sealed).map_err(|source| io_error(path, "written", source))
    }

    /// Opens the root key's seed.
    ///
    /// # Errors
    ///
    /// If it is not there, or was sealed under another key.
    pub fn open_root(&self, path: &Path) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
        self.open_root_with(path).map(|(seed, _)| seed)
    }

    fn sealed_root(&self, seed: &[u8; 32]) -> Result<Vec<u8>, KeyFileError> {
        Cipher::new(&self.root.0)
            .seal(seed, ROOT_AAD)
            .ok_or(KeyFileError::Randomness)
    }

    /// The root key's seed, and whether it was sealed as older homes have it: under a key that the store key gives away.
    fn open_root_with(&self, path: &Path) -> Result<(Zeroizing<[u8; 32]>, bool), KeyFileError> {
        let sealed = fs::read(path).map_err(|source| io_error(path, "read", source))?;
        let open = |key: &[u8; 32]| {
            let seed = Cipher::new(key).open(&sealed, ROOT_AAD)?;
            seed.as_slice().try_into().ok().map(Zeroizing::new)
        };
        open(&self.root.0)
            .map(|seed| (seed, false))
            .or_else(|| Some((open(&self.store.derive(ROOT.as_bytes()))?, true)))
            .ok_or_else(|| KeyFileError::Sealed { path: path.to_owned() })
    }
}

struct Cipher(XChaCha20Poly1305);

impl Cipher {
    fn new(key: &[u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(key.into()))
    }

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

#[expect(clippy::expect_used, reason = "HKDF-SHA256 gives up to 8,160 bytes; 32 always fit")]
fn derive(key: &[u8], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut derived = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, key)
        .expand(info, derived.as_mut())
        .expect("32 bytes fit");
    derived
}
