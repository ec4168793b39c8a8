//! The home: the folder with a node's configuration, keys and database. Made once by `init`, opened by `run`, by one process
//! at a time.

use crate::clock::unix_now;
use crate::config::{self, FILE};
use crate::failure::{Exit, Failure};
use anyhow::{Context, Result};
use porchlight_proto::rows::Identity;
use porchlight_store::vault::StoreKey;
use porchlight_store::{DurabilitySetting, Opened, Store};
use porchlight_wire::blind::GenerationKey;
use porchlight_wire::device_list::{DeviceEntry, DeviceList};
use porchlight_wire::envelope::EnvelopeSecretKey;
use porchlight_wire::ids::{NodeId, PrincipalId};
use porchlight_wire::keys::{DeviceKeys, RootKey};
use porchlight_wire::network::Network;
use porchlight_wire::time::UnixMillis;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

const KEY: &str = "key";
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
    home.join(FILE).exists() || home.join(DATABASE).exists() || home.join(KEY).exists()
}

/// Makes a home: keys, configuration, database.
///
/// # Errors
///
/// If there is one already, or it cannot be written.
pub fn create(home: &Path, name: Option<&str>, network: &Network) -> Result<Made> {
    if exists(home) {
        let message = format!("there is a home in {} already", home.display());
        return Err(Failure::new(Exit::Conflict, "conflict", message)
            .hint(format!("to use it: porchlight --home {} run", home.display()))
            .into());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(home)
        .with_context(|| format!("the home {} cannot be made", home.display()))?;
    std::fs::set_permissions(home, std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .with_context(|| format!("the home {} cannot be closed to others", home.display()))?;
    let mut rng = os_rng()?;
    let root = RootKey::random(&mut rng);
    let next_root = RootKey::random(&mut rng);
    let identity = new_identity(&root, &next_root, unix_now(), &mut rng);
    let mut transport = [0; 32];
    rng.fill_bytes(&mut transport);
    let node = porchlight_net::node_id(&transport).context("the transport key cannot be made")?;

    let key = StoreKey::create(&home.join(KEY))?;
    key.seal_root(&home.join(ROOT), &root.seed())?;
    key.seal_root(&home.join(NEXT_ROOT), &next_root.seed())?;
    Store::create(&home.join(DATABASE), &key, &identity, &transport)?;
    // Last, so that a home that was not finished is not taken for one.
    let path = home.join(FILE);
    std::fs::write(&path, config::template(name, network))
        .with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(Made {
        principal: identity.principal,
        node,
    })
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
/// If there is none, another process has it, or it cannot be read.
pub fn open(home: &Path, durability: DurabilitySetting) -> Result<Home> {
    let lock = lock(home)?;
    let key = StoreKey::read(&home.join(KEY))?;
    let opened = Store::open(&home.join(DATABASE), &key, durability)?;
    Ok(Home { opened, _lock: lock })
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

fn new_identity(root: &RootKey, next_root: &RootKey, now: UnixMillis, rng: &mut ChaCha20Rng) -> Identity {
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
