//! The key file, and what is sealed under it beside the database.

use crate::{Home, sample};
use porchlight_store::vault::KeyFileError;
use porchlight_store::{OpenError, Store};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_key_file_is_for_its_owner_only() {
    let home = Home::new();
    assert_eq!(mode(&home.key_file()), 0o600);
    assert_eq!(fs::metadata(home.key_file()).unwrap().len(), 64);
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let home = Home::new();
    for bad in [0o640, 0o604, 0o644, 0o620, 0o601, 0o777] {
        fs::set_permissions(home.key_file(), Permissions::from_mode(bad)).unwrap();
        let error = home.key_files().read().unwrap_err();
        assert!(
            matches!(error, KeyFileError::Exposed { mode, .. } if mode == bad),
            "{error}"
        );
        let message = error.to_string();
        assert!(
            message.contains(&format!("{bad:o}")) && message.contains("chmod 600"),
            "{message}"
        );
    }
    for good in [0o600, 0o400] {
        fs::set_permissions(home.key_file(), Permissions::from_mode(good)).unwrap();
        home.key_files().read().unwrap();
    }
}

#[test]
fn a_key_file_of_another_length_is_refused() {
    let home = Home::new();
    for (length, got) in [(0, 0), (31, 31), (33, 33), (63, 63), (1_000_000, 65)] {
        fs::write(home.key_file(), vec![7; length]).unwrap();
        let error = home.key_files().read().unwrap_err();
        assert!(
            matches!(error, KeyFileError::Length { got: it, .. } if it == got),
            "{error}"
        );
        assert!(error.to_string().contains("64 bytes"), "{error}");
    }
}

#[test]
fn a_key_file_that_is_not_there_is_named() {
    let home = Home::new();
    fs::remove_file(home.key_file()).unwrap();
    let error = home.key_files().read().unwrap_err();
    assert!(matches!(error, KeyFileError::Io { .. }), "{error}");
    assert!(error.to_string().contains("/key"), "{error}");
}

#[test]
fn a_key_file_is_never_written_over() {
    let home = Home::new();
    let before = fs::read(home.key_file()).unwrap();
    let error = home.key_files().create(None).unwrap_err();
    assert!(matches!(error, KeyFileError::Io { .. }), "{error}");
    assert_eq!(fs::read(home.key_file()).unwrap(), before);
}

#[test]
fn two_homes_have_two_keys_and_none_shows() {
    let (one, two) = (Home::new(), Home::new());
    let bytes = fs::read(one.key_file()).unwrap();
    assert_ne!(bytes, fs::read(two.key_file()).unwrap());
    assert_eq!(format!("{:?}", one.key()), "HomeKey(redacted)");
}

#[test]
fn the_root_key_opens_under_its_own_key_file_only() {
    let (home, other) = (Home::new(), Home::new());
    let path = home.path().join("root.sealed");
    let seed: [u8; 32] = sample::bytes(77);
    home.key().seal_root(&path, &seed).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(home.key().open_root(&path).unwrap().as_slice(), seed.as_slice());

    let sealed = fs::read(&path).unwrap();
    assert!(!crate::contains(&sealed, &seed[..16]));
    let error = other.key().open_root(&path).unwrap_err();
    assert!(matches!(error, KeyFileError::Sealed { .. }), "{error}");
    assert!(error.to_string().contains("root.sealed"), "{error}");

    // It is written once.
    assert!(matches!(
        home.key().seal_root(&path, &seed),
        Err(KeyFileError::Io { .. })
    ));
    for altered in [&sealed[..sealed.len() - 1], &sealed[..10], &[]] {
        fs::write(&path, altered).unwrap();
        assert!(matches!(home.key().open_root(&path), Err(KeyFileError::Sealed { .. })));
    }
    for place in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[place] ^= 1;
        fs::write(&path, altered).unwrap();
        assert!(
            matches!(home.key().open_root(&path), Err(KeyFileError::Sealed { .. })),
            "byte {place}"
        );
    }
}

#[test]
fn whose_database_it_is_can_be_told_without_changing_it() {
    let (home, other) = (Home::new(), Home::new());
    Store::check(&home.database(), home.key().store()).unwrap();
    let error = Store::check(&home.database(), other.key().store()).unwrap_err();
    assert!(matches!(error, OpenError::Sealed { .. }), "{error}");
}
