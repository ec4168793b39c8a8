use super::*;
use crate::vault::Cipher;
use tempfile::TempDir;

/// How a step goes on which the process dies.
#[derive(Clone, Copy, Debug)]
enum Death {
    /// Nothing of it was done.
    Before,
    /// A file is there by half. Renaming and removing know no half.
    Half,
    /// It was done, and nobody heard of it.
    After,
}

/// A disk on which one step is the last one.
struct Dying {
    steps_left: usize,
    death: Death,
}

impl Dying {
    fn step(
        &mut self,
        whole: impl FnOnce() -> io::Result<()>,
        half: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        if self.steps_left > 0 {
            self.steps_left -= 1;
            return whole();
        }
        match self.death {
            Death::Before => {}
            Death::Half => half()?,
            Death::After => whole()?,
        }
        Err(io::Error::other("killed"))
    }
}

impl Disk for Dying {
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let half = &bytes[..bytes.len() / 2];
        self.step(|| Real.write(path, bytes), || Real.write(path, half))
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(|| Real.rename(from, to), || Ok(()))
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.step(|| Real.remove(path), || Ok(()))
    }
}

/// A home's keys in a folder of their own, and something that is sealed under each part.
struct Keys {
    folder: TempDir,
    files: KeyFiles,
    value: Vec<u8>,
}

const SEEDS: [[u8; 32]; 2] = [[1; 32], [2; 32]];

/// What the store would have sealed.
fn store_cipher(key: &StoreKey) -> Cipher {
    key.cipher("test")
}

impl Keys {
    fn files(folder: &TempDir) -> KeyFiles {
        KeyFiles {
            plain: folder.path().join("key"),
            wrapped: folder.path().join("key.wrapped"),
            roots: vec![
                folder.path().join("root.sealed"),
                folder.path().join("next-root.sealed"),
            ],
        }
    }

    fn new(passphrase: Option<&Passphrase>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = Self::files(&folder);
        let key = files.create(None).unwrap();
        if let Some(passphrase) = passphrase {
            files
                .set_passphrase_on(&mut Real, &key, passphrase, Cost::FLOOR)
                .unwrap();
        }
        Self::around(folder, files, &key)
    }

    /// As homes were made before the root seal was a key of its own.
    fn older() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = Self::files(&folder);
        write_new(&files.plain, &[5; OLDER]).unwrap();
        let key = files.read().unwrap();
        Self::around(folder, files, &key)
    }

    fn around(folder: TempDir, files: KeyFiles, key: &HomeKey) -> Self {
        for (path, seed) in files.roots.iter().zip(&SEEDS) {
            key.seal_root(path, seed).unwrap();
        }
        let value = store_cipher(&key.store).seal(b"a row", b"").unwrap();
        Self { folder, files, value }
    }

    /// Holds that this key opens all that is sealed in the home.
    fn opened_by(&self, key: &HomeKey) {
        assert!(store_cipher(&key.store).open(&self.value, b"").is_some());
        for (path, seed) in self.files.roots.iter().zip(&SEEDS) {
            assert_eq!(key.open_root(path).unwrap().as_slice(), seed);
        }
    }

    /// Holds that the home opens by whatever guards it, and says what does.
    fn opens(&self, passphrases: &[&Passphrase]) -> Protection {
        let protection = self.files.protection().unwrap();
        if protection != Protection::Passphrase {
            self.opened_by(&self.files.read().unwrap());
        }
        if protection != Protection::KeyFile {
            let opened = passphrases
                .iter()
                .find_map(|passphrase| self.files.unlock(passphrase).ok());
            self.opened_by(&opened.expect("one of the passphrases opens it"));
        }
        protection
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(Zeroizing::new(text.as_bytes().to_vec())).unwrap()
}

/// Has a change die at each of its steps in each way, and holds that the home opens then, and that the same change finishes.
/// Gives the number of steps.
fn killed_at_each_step(
    home: impl Fn() -> Keys,
    passphrases: &[&Passphrase],
    expected: Protection,
    change: impl Fn(&Keys, &HomeKey, &mut Dying) -> Result<(), KeyFileError>,
) -> usize {
    let key_of = |keys: &Keys| match keys.files.protection().unwrap() {
        Protection::KeyFile | Protection::Both => keys.files.read().unwrap(),
        Protection::Passphrase => passphrases
            .iter()
            .find_map(|passphrase| keys.files.unlock(passphrase).ok())
            .unwrap(),
    };
    for steps_left in 0.. {
        for death in [Death::Before, Death::Half, Death::After] {
            let keys = home();
            let mut dying = Dying { steps_left, death };
            let ended = change(&keys, &key_of(&keys), &mut dying);
            if ended.is_err() {
                // What is there now is what somebody finds who comes back to it.
                keys.opens(passphrases);
                keys.files.tidy().unwrap();
                keys.opens(passphrases);
                let mut alive = Dying {
                    steps_left: usize::MAX,
                    death,
                };
                change(&keys, &key_of(&keys), &mut alive).unwrap();
            }
            assert_eq!(keys.opens(passphrases), expected, "{death:?} at step {steps_left}");
            let guard = if expected == Protection::KeyFile {
                "key"
            } else {
                "key.wrapped"
            };
            assert_eq!(keys.names(), [guard, "next-root.sealed", "root.sealed"], "{death:?}");
            if ended.is_ok() {
                return steps_left;
            }
        }
    }
    unreachable!("it ends with the last step")
}

#[test]
fn a_passphrase_being_set_may_be_killed_at_any_step() {
    let new = passphrase("the new one");
    let steps = killed_at_each_step(
        || Keys::new(None),
        &[&new],
        Protection::Passphrase,
        |keys, key, disk| keys.files.set_passphrase_on(disk, key, &new, Cost::FLOOR),
    );
    assert_eq!(steps, 3, "write, rename, remove");
}

#[test]
fn a_passphrase_being_set_on_an_older_home_may_be_killed_at_any_step() {
    let new = passphrase("the new one");
    let steps = killed_at_each_step(Keys::older, &[&new], Protection::Passphrase, |keys, key, disk| {
        keys.files.set_passphrase_on(disk, key, &new, Cost::FLOOR)
    });
    assert_eq!(
        steps, 9,
        "key, two root keys and wrapped key are replaced, the key removed"
    );
}

#[test]
fn a_passphrase_being_changed_may_be_killed_at_any_step() {
    let (old, new) = (passphrase("the old one"), passphrase("the new one"));
    let steps = killed_at_each_step(
        || Keys::new(Some(&old)),
        &[&old, &new],
        Protection::Passphrase,
        |keys, key, disk| keys.files.set_passphrase_on(disk, key, &new, Cost::FLOOR),
    );
    assert_eq!(steps, 2, "write, rename");
}

#[test]
fn a_passphrase_being_removed_may_be_killed_at_any_step() {
    let old = passphrase("the old one");
    let steps = killed_at_each_step(
        || Keys::new(Some(&old)),
        &[&old],
        Protection::KeyFile,
        |keys, key, disk| keys.files.remove_passphrase_on(disk, key),
    );
    assert_eq!(steps, 3, "write, rename, remove");
}

#[test]
fn the_store_key_does_not_give_away_the_root_seal_once_there_is_a_passphrase() {
    let (old, new) = (passphrase("the old one"), passphrase("the new one"));
    for keys in [Keys::new(None), Keys::older()] {
        let key = keys.files.read().unwrap();
        keys.files
            .set_passphrase_on(&mut Real, &key, &old, Cost::FLOOR)
            .unwrap();
        let whole = keys.files.unlock(&old).unwrap();
        let store = keys.files.unlock_store(&old).unwrap();
        assert_eq!(store.0, whole.store.0);
        let thief = HomeKey {
            root: RootSeal(store.derive(ROOT.as_bytes())),
            store,
            older: true,
        };
        for path in &keys.files.roots {
            assert!(matches!(thief.open_root(path), Err(KeyFileError::Sealed { .. })));
        }
        // The same key, whatever guards it.
        keys.files
            .set_passphrase_on(&mut Real, &whole, &new, Cost::FLOOR)
            .unwrap();
        assert_eq!(keys.opens(&[&new]), Protection::Passphrase);
        let error = keys.files.unlock(&old).unwrap_err();
        assert!(error.to_string().contains("key.wrapped"), "{error}");
        keys.files
            .remove_passphrase_on(&mut Real, &keys.files.unlock(&new).unwrap())
            .unwrap();
        assert_eq!(keys.opens(&[]), Protection::KeyFile);
    }
}

#[test]
fn a_new_home_may_have_a_passphrase_from_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let files = Keys::files(&folder);
    assert!(matches!(files.protection(), Err(KeyFileError::Missing { .. })));
    let passphrase = passphrase("from the start");
    let key = files.create(Some(&passphrase)).unwrap();
    assert_eq!(files.protection().unwrap(), Protection::Passphrase);
    assert_eq!(files.unlock_store(&passphrase).unwrap().0, key.store.0);
    let mode = fs::metadata(&files.wrapped).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(matches!(files.create(Some(&passphrase)), Err(KeyFileError::Io { .. })));
}

#[test]
fn a_disk_that_reads_otherwise_than_was_written_loses_nothing() {
    /// Loses the last byte of what it writes.
    struct Forgetful;
    impl Disk for Forgetful {
        fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
            Real.write(path, &bytes[..bytes.len() - 1])
        }
        fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
            Real.rename(from, to)
        }
        fn remove(&mut self, path: &Path) -> io::Result<()> {
            Real.remove(path)
        }
    }
    let keys = Keys::new(None);
    let key = keys.files.read().unwrap();
    let error = keys
        .files
        .set_passphrase_on(&mut Forgetful, &key, &passphrase("the new one"), Cost::FLOOR)
        .unwrap_err();
    assert!(matches!(error, KeyFileError::Misread { .. }), "{error}");
    assert_eq!(keys.opens(&[]), Protection::KeyFile);
}
