//! The home: the folder with a node's configuration, keys and database. Made once by `init`, opened by `run`, by one process
//! at a time.

use crate::clock::unix_now;
use crate::config::FILE;
use crate::failure::{Exit, Failure};
use crate::passphrase::{Source, show};
use anyhow::{Context, Result};
use porchlight_proto::rows::Identity;
use porchlight_store::vault::{HomeKey, KeyFileError, KeyFiles, Passphrase, Protection, StoreKey, WrappedError};
use porchlight_store::{DurabilitySetting, Opened, Store};
use porchlight_wire::blind::GenerationKey;
use porchlight_wire::device_list::{DeviceEntry, DeviceList};
use porchlight_wire::envelope::EnvelopeSecretKey;
use porchlight_wire::ids::{NodeId, PrincipalId};
use porchlight_wire::keys::{DeviceKeys, RootKey};
use porchlight_wire::time::UnixMillis;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

const KEY: &str = "key";
const WRAPPED_KEY: &str = "key.wrapped";
const ROOT: &str = "root.sealed";
const NEXT_ROOT: &str = "next-root.sealed";
const DATABASE: &str = "porchlight.db";
const LOCK: &str = "lock";
const SOCKET: &str = "rpc.sock";

/// How long a device speaks for its principal: until a new list is signed. Ten years, because signing one needs a command
/// that does not exist yet.
const DEVICE_LIFE: u64 = 10 * 365 * 86_400_000;

/// What `init` made.
#[derive(Debug)]
pub struct Made {
    /// The principal.
    pub principal: PrincipalId,
    /// The node.
    pub node: NodeId,
}

/// The socket of a home.
#[must_use]
pub fn socket(home: &Path) -> PathBuf {
    home.join(SOCKET)
}

/// Whether there is a home.
#[must_use]
pub fn exists(home: &Path) -> bool {
    home.join(FILE).exists() || exists_beside_config(home)
}

/// Whether there is something of a home besides its configuration.
#[must_use]
pub fn exists_beside_config(home: &Path) -> bool {
    home.join(DATABASE).exists() || key_files(home).protection().is_ok()
}

/// Says that there is a home already, if there is one.
///
/// # Errors
///
/// That it is there.
pub fn refuse_existing(home: &Path) -> Result<()> {
    if exists(home) {
        let message = format!("there is a home in {} already", home.display());
        return Err(Failure::new(Exit::Conflict, "conflict", message)
            .hint(format!("to use it: porchlight --home {} run", home.display()))
            .into());
    }
    Ok(())
}

/// Says that there is no home, if there is none.
///
/// # Errors
///
/// That it is not there.
pub fn refuse_missing(home: &Path) -> Result<()> {
    if exists(home) {
        return Ok(());
    }
    let message = format!("there is no home in {}", home.display());
    Err(Failure::new(Exit::NotFound, "not_found", message)
        .hint(format!("make one with: porchlight --home {} init", home.display()))
        .into())
}

fn key_files(home: &Path) -> KeyFiles {
    KeyFiles {
        plain: home.join(KEY),
        wrapped: home.join(WRAPPED_KEY),
        roots: vec![home.join(ROOT), home.join(NEXT_ROOT)],
    }
}

/// Makes a home: keys, database, and the text of its configuration. With a passphrase, its key is wrapped under it.
///
/// # Errors
///
/// If there is one already, or it cannot be written.
pub fn create(home: &Path, config: &str, passphrase: Option<&Passphrase>) -> Result<Made> {
    refuse_existing(home)?;
    make_folder(home)?;
    let mut rng = os_rng()?;
    let root = RootKey::random(&mut rng);
    let next_root = RootKey::random(&mut rng);
    let identity = new_identity(&root, &next_root, unix_now(), &mut rng);
    let mut transport = [0; 32];
    rng.fill_bytes(&mut transport);
    let node = porchlight_net::node_id(&transport).context("the transport key cannot be made")?;

    let key = key_files(home).create(passphrase)?;
    key.seal_root(&home.join(ROOT), &root.seed())?;
    key.seal_root(&home.join(NEXT_ROOT), &next_root.seed())?;
    Store::create(&home.join(DATABASE), key.store(), &identity, &transport)?;
    // Last, so that a home that was not finished is not taken for one.
    write_config(home, config)?;
    Ok(Made {
        principal: identity.principal,
        node,
    })
}

/// Writes the configuration of a home that has none, making its folder if need be.
///
/// # Errors
///
/// If there is one, or it cannot be written.
pub fn write_config(home: &Path, config: &str) -> Result<PathBuf> {
    make_folder(home)?;
    let path = home.join(FILE);
    let cannot = || format!("{} cannot be written", path.display());
    match File::create_new(&path) {
        Ok(mut file) => file.write_all(config.as_bytes()).with_context(cannot)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let message = format!("there is a configuration already: {}", path.display());
            return Err(Failure::new(Exit::Conflict, "conflict", message)
                .hint("move it away to have another one written")
                .into());
        }
        Err(error) => return Err(error).with_context(cannot),
    }
    Ok(path)
}

fn make_folder(home: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(home)
        .with_context(|| format!("the home {} cannot be made", home.display()))?;
    std::fs::set_permissions(home, std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .with_context(|| format!("the home {} cannot be closed to others", home.display()))
}

/// An open home. Whoever holds it is the only one.
#[derive(Debug)]
pub struct Home {
    /// Store, snapshot and transport key.
    pub opened: Opened,
    /// Held as long as the home is.
    _lock: File,
}

/// Opens a home.
///
/// # Errors
///
/// If there is none, another process has it, it cannot be read, or the passphrase is another one.
pub fn open(home: &Path, durability: DurabilitySetting, passphrase: &Source) -> Result<Home> {
    let lock = lock(home)?;
    let key = store_key(home, passphrase)?;
    let opened = Store::open(&home.join(DATABASE), &key, durability)?;
    Ok(Home { opened, _lock: lock })
}

/// The part of the home's key that a running node needs.
fn store_key(home: &Path, passphrase: &Source) -> Result<StoreKey> {
    let files = key_files(home);
    files.tidy()?;
    match (files.protection()?, passphrase) {
        (Protection::KeyFile, Source::Terminal) => Ok(files.read()?.store().clone()),
        // Whoever gives a passphrase believes that there is one.
        (Protection::KeyFile, Source::File(file)) => Err(Failure::new(
            Exit::Usage,
            "no_passphrase",
            format!(
                "a passphrase was given ({}), and this home has none: its key is in {}",
                file.display(),
                files.plain.display()
            ),
        )
        .hint(format!(
            "set one with: porchlight --home {} passphrase set; or start without giving one",
            home.display()
        ))
        .into()),
        (Protection::Passphrase, _) => unlock(home, passphrase, |given| files.unlock_store(given)),
        (Protection::Both, _) => Err(Failure::new(
            Exit::Conflict,
            "passphrase_unfinished",
            format!(
                "there are {} and {}: a passphrase was being set or removed, and that was not finished",
                files.plain.display(),
                files.wrapped.display()
            ),
        )
        .hint(format!(
            "nothing is lost; finish it with one of: porchlight --home {0} passphrase set; porchlight --home {0} passphrase remove",
            home.display()
        ))
        .into()),
    }
}

/// Asks for the passphrase until it opens, as often as may be.
fn unlock<T>(home: &Path, source: &Source, open: impl Fn(&Passphrase) -> Result<T, KeyFileError>) -> Result<T> {
    let prompt = format!("passphrase of {}", home.display());
    let mut tries = source.tries();
    loop {
        tries = tries.saturating_sub(1);
        match open(&source.take(&prompt)?) {
            Err(KeyFileError::Wrapped {
                source: WrappedError::Passphrase,
                ..
            }) => {
                let message = format!("the passphrase does not open the home {}", home.display());
                if tries == 0 {
                    return Err(Failure::new(Exit::Denied, "wrong_passphrase", message)
                        .hint("give the right one; without it nobody can open this home, and nobody can give it back")
                        .into());
                }
                show(&message)?;
            }
            opened => return Ok(opened?),
        }
    }
}

/// What a change of the passphrase came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassphraseChange {
    /// There was none, and there is one.
    Set,
    /// There was another one.
    Replaced,
    /// There was one, and there is none.
    Removed,
    /// There was none.
    NothingToRemove,
}

/// Wraps the home's key under a new passphrase, in place of its key file or of the passphrase so far.
///
/// # Errors
///
/// If a node runs on the home, the passphrase so far is another one, or something cannot be written. The home opens by what
/// opened it before, or by the new passphrase.
pub fn set_passphrase(home: &Path, so_far: &Source, new: &Source) -> Result<PassphraseChange> {
    let _lock = lock(home)?;
    let files = key_files(home);
    files.tidy()?;
    let (key, change) = match files.protection()? {
        Protection::KeyFile | Protection::Both => (files.read()?, PassphraseChange::Set),
        Protection::Passphrase => (
            unlock(home, so_far, |given| files.unlock(given))?,
            PassphraseChange::Replaced,
        ),
    };
    must_be_of(home, &files, &key)?;
    files.set_passphrase(&key, &new.take_new()?)?;
    Ok(change)
}

/// Puts the home's key into a key file, in place of the passphrase.
///
/// # Errors
///
/// If a node runs on the home, the passphrase is another one, or something cannot be written. The home opens by what opened
/// it before, or by the key file.
pub fn remove_passphrase(home: &Path, so_far: &Source) -> Result<PassphraseChange> {
    let _lock = lock(home)?;
    let files = key_files(home);
    files.tidy()?;
    let key = match files.protection()? {
        Protection::KeyFile => return Ok(PassphraseChange::NothingToRemove),
        Protection::Both => files.read()?,
        Protection::Passphrase => unlock(home, so_far, |given| files.unlock(given))?,
    };
    must_be_of(home, &files, &key)?;
    files.remove_passphrase(&key)?;
    Ok(PassphraseChange::Removed)
}

/// Before a key takes the place of another, it has to be this home's.
fn must_be_of(home: &Path, files: &KeyFiles, key: &HomeKey) -> Result<()> {
    let database = home.join(DATABASE);
    Store::check(&database, key.store()).map_err(|error| {
        let both = matches!(files.protection(), Ok(Protection::Both));
        let failure = Failure::new(Exit::Failed, "failed", format!("nothing was changed: {error}"));
        if both {
            failure.hint(format!(
                "{} may be the key of another home: move it away, and this home opens by its passphrase",
                files.plain.display()
            ))
        } else {
            failure
        }
        .into()
    })
}

fn lock(home: &Path) -> Result<File> {
    let path = home.join(LOCK);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("{} cannot be opened", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            let message = format!("another node is already running with the home {}", home.display());
            Err(Failure::new(Exit::Conflict, "conflict", message)
                .hint(format!(
                    "use it (porchlight --home {0} status), stop it (porchlight --home {0} stop), or choose another --home",
                    home.display()
                ))
                .into())
        }
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("{} cannot be locked", path.display()))
        }
    }
}

/// Who a new home speaks for: fresh keys, listed under `root`.
pub fn new_identity(root: &RootKey, next_root: &RootKey, now: UnixMillis, rng: &mut ChaCha20Rng) -> Identity {
    let device = DeviceKeys::random(rng);
    let list = DeviceList {
        principal: root.principal(),
        sequence: 1,
        previous: [0; 32],
        issued: now,
        devices: vec![DeviceEntry {
            device: device.id(),
            signing: device.signing_public(),
            exchange: device.exchange_public(),
            not_after: now.plus(DEVICE_LIFE),
        }],
        next: next_root.commitment(),
    };
    Identity {
        principal: root.principal(),
        devices: list.sign(root),
        device,
        envelope: EnvelopeSecretKey::random(rng),
        envelope_since: now,
        retired: Vec::new(),
        card: GenerationKey::random(rng),
    }
}

/// Randomness from the operating system, stretched.
///
/// # Errors
///
/// If the operating system gives none.
pub fn os_rng() -> Result<ChaCha20Rng> {
    Ok(ChaCha20Rng::from_seed(os_seed()?))
}

/// 32 random bytes from the operating system.
///
/// # Errors
///
/// If it gives none.
pub fn os_seed() -> Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("the operating system gives no randomness: {error}"))?;
    Ok(seed)
}
