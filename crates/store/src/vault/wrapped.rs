//! A home's key wrapped under a passphrase, as bytes.
//!
//! ```text
//! header 32: "plkey" | version 1 | 1: Argon2id, version 0x13 | lanes 1 | memory in KiB 4 | passes 4 | salt 16
//! store  72: nonce 24 | XChaCha20-Poly1305(HKDF(stretched, "porchlight/wrap-store/1"), store key 32)
//! root   72: nonce 24 | XChaCha20-Poly1305(HKDF(stretched, "porchlight/wrap-root/1"), root seal 32)
//! ```
//!
//! Numbers are big-endian; the header is associated data of both parts. Whoever opens the store's part learns nothing of the
//! other.

use super::{Cipher, HomeKey, NONCE, RootSeal, StoreKey, derive, random};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroizing;

const MAGIC: &[u8; 5] = b"plkey";
const VERSION: u8 = 1;
const ARGON2ID: u8 = 1;
const SALT: usize = 16;
const HEADER: usize = 32;
const PART: usize = NONCE + 32 + 16;

/// How long the whole of it is.
pub(super) const LENGTH: usize = HEADER + 2 * PART;

const STORE_PART: &str = "porchlight/wrap-store/1";
const ROOT_PART: &str = "porchlight/wrap-root/1";

/// The longest passphrase, in bytes: some pages of a book are not typed without a mistake.
const LONGEST: usize = 1_024;

/// Blocks of Argon2 have one KiB.
const BLOCKS_A_MIB: u32 = 1_024;

/// The passphrase cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PassphraseError {
    /// There is nothing.
    #[error("the passphrase is empty")]
    Empty,
    /// It is longer than anyone types.
    #[error("the passphrase has {0} bytes, and may have {LONGEST}")]
    TooLong(usize),
}

/// A passphrase. Its bytes are taken as they come: two ways of writing the same letter are two passphrases.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(redacted)")
    }
}

impl Passphrase {
    /// The longest one, in bytes.
    pub const LONGEST: usize = LONGEST;

    /// Takes these bytes as a passphrase.
    ///
    /// # Errors
    ///
    /// If there are none, or too many.
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Result<Self, PassphraseError> {
        match bytes.len() {
            0 => Err(PassphraseError::Empty),
            1..=LONGEST => Ok(Self(bytes)),
            more => Err(PassphraseError::TooLong(more)),
        }
    }
}

/// What a guess at the passphrase costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    /// Memory, in KiB.
    memory: u32,
    /// Passes over it.
    passes: u32,
    /// Lanes, one after the other here.
    lanes: u32,
}

impl Cost {
    /// 64 MiB and three passes, as RFC 9106 has them for machines with little memory; one lane, because nobody here would
    /// run more of them side by side. A fifth of a second on a small machine of today.
    pub(super) const USUAL: Self = Self {
        memory: 64 * BLOCKS_A_MIB,
        passes: 3,
        lanes: 1,
    };

    /// Less than this is no protection: what OWASP names as the least for Argon2id.
    pub(super) const FLOOR: Self = Self {
        memory: 19 * BLOCKS_A_MIB,
        passes: 2,
        lanes: 1,
    };

    /// More than this is no file of ours: it would keep a small machine busy for seconds, or out of memory.
    const CEILING: Self = Self {
        memory: 256 * BLOCKS_A_MIB,
        passes: 16,
        lanes: 4,
    };

    fn is_within_bounds(self) -> bool {
        (Self::FLOOR.memory..=Self::CEILING.memory).contains(&self.memory)
            && (Self::FLOOR.passes..=Self::CEILING.passes).contains(&self.passes)
            && (Self::FLOOR.lanes..=Self::CEILING.lanes).contains(&self.lanes)
    }
}

/// A wrapped key cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WrappedError {
    /// It is something else, or cut off.
    #[error("it is no wrapped key: expected {LENGTH} bytes that begin with 'plkey', got {0}")]
    Shape(usize),
    /// A newer program made it.
    #[error("it has version {0}, and this program knows {VERSION}: use the newer program")]
    Newer(u8),
    /// Its way of stretching is not known, or asks for too little or too much.
    #[error(
        "it asks for {memory} KiB of memory, {passes} passes and {lanes} lanes of stretching (kind {kind}), which no program \
         of ours does: it was altered or damaged"
    )]
    Cost {
        /// Which function.
        kind: u8,
        /// Memory.
        memory: u32,
        /// Passes.
        passes: u32,
        /// Lanes.
        lanes: u32,
    },
    /// The passphrase is another one, or the bytes were altered.
    #[error("the passphrase does not open it")]
    Passphrase,
    /// There is not enough memory to stretch the passphrase.
    #[error("stretching the passphrase takes {0} KiB of memory, and there is not as much")]
    Memory(u32),
    /// The operating system gave no randomness.
    #[error("the operating system gives no randomness")]
    Randomness,
}

/// Wraps a home's key under a passphrase, with a new salt.
pub(super) fn wrap(key: &HomeKey, passphrase: &Passphrase, cost: Cost) -> Result<Vec<u8>, WrappedError> {
    let salt: [u8; SALT] = random().map_err(|_| WrappedError::Randomness)?;
    let header = header(cost, &salt);
    let stretched = stretch(passphrase, cost, &salt)?;
    let part = |label: &str, secret: &[u8; 32]| {
        part_cipher(&stretched, label)
            .seal(secret, &header)
            .ok_or(WrappedError::Randomness)
    };
    let store = part(STORE_PART, &key.store.0)?;
    let root = part(ROOT_PART, &key.root.0)?;
    Ok([header.as_slice(), &store, &root].concat())
}

/// Opens the part that a running node needs, and nothing else.
pub(super) fn unwrap_store(bytes: &[u8], passphrase: &Passphrase) -> Result<StoreKey, WrappedError> {
    let wrapped = Wrapped::read(bytes)?;
    let stretched = stretch(passphrase, wrapped.cost, wrapped.salt)?;
    wrapped.open(&stretched, STORE_PART, wrapped.store).map(StoreKey)
}

/// Opens all of it.
pub(super) fn unwrap_all(bytes: &[u8], passphrase: &Passphrase) -> Result<HomeKey, WrappedError> {
    let wrapped = Wrapped::read(bytes)?;
    let stretched = stretch(passphrase, wrapped.cost, wrapped.salt)?;
    Ok(HomeKey {
        store: StoreKey(wrapped.open(&stretched, STORE_PART, wrapped.store)?),
        root: RootSeal(wrapped.open(&stretched, ROOT_PART, wrapped.root)?),
        older: false,
    })
}

/// A wrapped key, taken apart.
struct Wrapped<'a> {
    header: &'a [u8; HEADER],
    cost: Cost,
    salt: &'a [u8; SALT],
    store: &'a [u8],
    root: &'a [u8],
}

impl<'a> Wrapped<'a> {
    /// Takes it apart. What it asks for is looked at before anything is done.
    fn read(bytes: &'a [u8]) -> Result<Self, WrappedError> {
        let shape = WrappedError::Shape(bytes.len());
        let (header, rest) = bytes.split_first_chunk::<HEADER>().ok_or(shape)?;
        let (magic, fields) = header.split_first_chunk::<5>().ok_or(shape)?;
        let (&[version, kind, lanes], fields) = fields.split_first_chunk::<3>().ok_or(shape)?;
        if magic != MAGIC {
            return Err(shape);
        }
        if version != VERSION {
            return Err(WrappedError::Newer(version));
        }
        let (memory, fields) = fields.split_first_chunk::<4>().ok_or(shape)?;
        let (passes, salt) = fields.split_first_chunk::<4>().ok_or(shape)?;
        let salt: &[u8; SALT] = salt.try_into().map_err(|_| shape)?;
        let cost = Cost {
            memory: u32::from_be_bytes(*memory),
            passes: u32::from_be_bytes(*passes),
            lanes: u32::from(lanes),
        };
        if kind != ARGON2ID || !cost.is_within_bounds() {
            return Err(WrappedError::Cost {
                kind,
                memory: cost.memory,
                passes: cost.passes,
                lanes: cost.lanes,
            });
        }
        if rest.len() != 2 * PART {
            return Err(shape);
        }
        let (store, root) = rest.split_at(PART);
        Ok(Self {
            header,
            cost,
            salt,
            store,
            root,
        })
    }

    fn open(&self, stretched: &[u8; 32], label: &str, part: &[u8]) -> Result<Zeroizing<[u8; 32]>, WrappedError> {
        part_cipher(stretched, label)
            .open(part, self.header)
            .and_then(|secret| secret.as_slice().try_into().ok().map(Zeroizing::new))
            .ok_or(WrappedError::Passphrase)
    }
}

fn header(cost: Cost, salt: &[u8; SALT]) -> Vec<u8> {
    let lanes = u8::try_from(cost.lanes).unwrap_or(u8::MAX);
    [
        MAGIC.as_slice(),
        &[VERSION, ARGON2ID, lanes],
        &cost.memory.to_be_bytes(),
        &cost.passes.to_be_bytes(),
        salt,
    ]
    .concat()
}

fn part_cipher(stretched: &[u8; 32], label: &str) -> Cipher {
    Cipher::new(&derive(stretched, label.as_bytes()))
}

/// Argon2id over memory that is wiped afterwards.
fn stretch(passphrase: &Passphrase, cost: Cost, salt: &[u8; SALT]) -> Result<Zeroizing<[u8; 32]>, WrappedError> {
    let no_room = WrappedError::Memory(cost.memory);
    let params = Params::new(cost.memory, cost.passes, cost.lanes, Some(32)).map_err(|_| no_room)?;
    let mut blocks = Zeroizing::new(Vec::new());
    blocks.try_reserve_exact(params.block_count()).map_err(|_| no_room)?;
    blocks.resize(params.block_count(), Block::new());
    let mut stretched = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(&passphrase.0, salt, stretched.as_mut(), blocks.as_mut_slice())
        .map_err(|_| no_room)?;
    Ok(stretched)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small cost, for tests that stretch often.
    const QUICK: Cost = Cost::FLOOR;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.as_bytes().to_vec())).unwrap()
    }

    fn wrapped(text: &str) -> (HomeKey, Vec<u8>) {
        let key = HomeKey::random().unwrap();
        let bytes = wrap(&key, &passphrase(text), QUICK).unwrap();
        (key, bytes)
    }

    #[test]
    fn what_is_wrapped_opens_under_its_passphrase_only() {
        let (key, bytes) = wrapped("correct horse");
        assert_eq!(bytes.len(), LENGTH);
        let opened = unwrap_all(&bytes, &passphrase("correct horse")).unwrap();
        assert_eq!(opened.store.0, key.store.0);
        assert_eq!(opened.root.0, key.root.0);
        let store = unwrap_store(&bytes, &passphrase("correct horse")).unwrap();
        assert_eq!(store.0, key.store.0);
        for other in ["correct hors", "correct horse ", "Correct horse"] {
            assert_eq!(
                unwrap_store(&bytes, &passphrase(other)).unwrap_err(),
                WrappedError::Passphrase
            );
        }
        let (_, again) = wrapped("correct horse");
        assert_ne!(bytes[..HEADER], again[..HEADER], "each has its own salt");
    }

    #[test]
    fn an_altered_byte_anywhere_is_refused() {
        let (_, bytes) = wrapped("correct horse");
        let passphrase = passphrase("correct horse");
        // Of the parts a byte each of nonce, ciphertext and tag; of the header every one.
        let places = (0..HEADER).chain([32, 60, 80, 103, 104, 130, 160, 175]);
        for place in places {
            let mut altered = bytes.clone();
            altered[place] ^= 1;
            assert!(unwrap_all(&altered, &passphrase).is_err(), "byte {place}");
        }
        for length in [0, 4, 31, 32, LENGTH - 1] {
            assert_eq!(
                unwrap_store(&bytes[..length], &passphrase).unwrap_err(),
                WrappedError::Shape(length)
            );
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(
            unwrap_store(&longer, &passphrase).unwrap_err(),
            WrappedError::Shape(LENGTH + 1)
        );
    }

    #[test]
    fn parts_cannot_be_exchanged() {
        let (_, bytes) = wrapped("correct horse");
        let swapped = [&bytes[..HEADER], &bytes[HEADER + PART..], &bytes[HEADER..HEADER + PART]].concat();
        assert_eq!(
            unwrap_store(&swapped, &passphrase("correct horse")).unwrap_err(),
            WrappedError::Passphrase
        );
    }

    #[test]
    fn what_asks_for_too_much_or_too_little_is_refused_before_it_is_done() {
        let (_, bytes) = wrapped("correct horse");
        let with = |place: usize, value: &[u8]| {
            let mut planted = bytes.clone();
            planted[place..place + value.len()].copy_from_slice(value);
            planted
        };
        for planted in [
            with(6, &[2]),
            with(7, &[0]),
            with(7, &[5]),
            with(8, &u32::MAX.to_be_bytes()),
            with(8, &(256 * 1_024 + 1_u32).to_be_bytes()),
            with(8, &(19 * 1_024 - 1_u32).to_be_bytes()),
            with(8, &0_u32.to_be_bytes()),
            with(12, &u32::MAX.to_be_bytes()),
            with(12, &17_u32.to_be_bytes()),
            with(12, &1_u32.to_be_bytes()),
        ] {
            let error = unwrap_store(&planted, &passphrase("correct horse")).unwrap_err();
            assert!(matches!(error, WrappedError::Cost { .. }), "{error}");
        }
        let newer = unwrap_store(&with(5, &[2]), &passphrase("correct horse")).unwrap_err();
        assert_eq!(newer, WrappedError::Newer(2));
        assert!(Cost::USUAL.is_within_bounds());
    }

    #[test]
    fn a_passphrase_is_neither_empty_nor_endless() {
        let new = |length: usize| Passphrase::new(Zeroizing::new(vec![b'a'; length]));
        assert_eq!(new(0).unwrap_err(), PassphraseError::Empty);
        assert!(new(LONGEST).is_ok());
        assert_eq!(new(LONGEST + 1).unwrap_err(), PassphraseError::TooLong(LONGEST + 1));
        assert_eq!(format!("{:?}", new(8).unwrap()), "Passphrase(redacted)");
    }

    /// Made by an independent implementation: `tests/vectors/wrapped_key.py`.
    #[test]
    fn what_another_program_wrapped_opens() {
        let text = include_str!("../../../../tests/vectors/wrapped_key.hex").trim();
        let bytes: Vec<u8> = (0..text.len() / 2)
            .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let key = unwrap_all(&bytes, &passphrase("a lamp on the porch")).unwrap();
        assert_eq!(key.store.0.as_slice(), [7; 32]);
        assert_eq!(key.root.0.as_slice(), [9; 32]);
    }
}
