//! Homes whose key is wrapped under a passphrase.

use super::town::{PROGRAM, befriend, join, porchlight, stage, with_relays};
use porchlight::demo::search::{search_folder, search_memory};
use porchlight::demo::stage::Stage;
use porchlight_rpc::types::Told;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PASSPHRASE: &str = "a lamp that burns all night";

fn write(path: &Path, text: &str) {
    let mut file = File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// A file with a passphrase, and its path as an argument.
fn file(stage: &Stage, name: &str, text: &str) -> String {
    let path = stage.folder().join(name);
    write(&path, text);
    path.to_str().unwrap().to_owned()
}

/// What is in a home, but for the database, its log and the lock.
fn key_files(home: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(home)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("key") || name.contains("root"))
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_node_with_a_passphrase_does_all_that_others_do_and_shows_it_to_nobody() {
    let mut stage = with_relays().await;
    write(
        &stage.passphrase_file("alice"),
        &format!("{PASSPHRASE}\nthis line is no part of it\n"),
    );
    let mut alice = join(&mut stage, "alice").await;
    assert_eq!(
        key_files(&stage.home("alice")),
        ["key.wrapped", "next-root.sealed", "root.sealed"]
    );
    let mut bob = join(&mut stage, "bob").await;
    befriend(&mut alice, &mut bob).await;
    alice.set("busy", Some("with a key of her own")).await.unwrap();
    let busy = |told: &Told| told.status == "busy";
    bob.told("alice is busy", busy).await.unwrap();

    let secrets = vec![PASSPHRASE.as_bytes().to_vec()];
    assert_eq!(search_folder(&stage.home("alice"), &secrets).unwrap(), 0);
    if let Ok(places) = search_memory(stage.pid("alice").unwrap(), &secrets) {
        assert_eq!(places, 0, "the passphrase is wiped once the key is open");
    }
    // Killed, and back with what it knew.
    stage.kill("alice").await.unwrap();
    stage.start("alice").await.unwrap();
    alice.reconnect(&stage).await.unwrap();
    assert_eq!(alice.own().await.unwrap().status, "busy");
    alice.subscribed("bob").await.unwrap();

    // A passphrase cannot be taken from under a node that runs.
    let given = stage.passphrase_file("alice").to_str().unwrap().to_owned();
    porchlight(&stage, "alice", &["passphrase", "remove", "--passphrase-file", &given])
        .await
        .failed(8, &["already running", "stop"]);
}

#[tokio::test]
async fn what_is_wrong_with_a_passphrase_is_said_with_what_to_do() {
    let stage = stage();
    let good = file(&stage, "good", PASSPHRASE);
    let made = porchlight(&stage, "alice", &["init", "--passphrase-file", &good, "--json"]).await;
    assert_eq!(made.json()["passphrase"], true, "{made:?}");

    let wrong = file(&stage, "wrong", "a lamp that burns all day");
    porchlight(&stage, "alice", &["run", "--passphrase-file", &wrong])
        .await
        .failed(4, &["does not open", "hint: "]);
    // Nobody sits at a terminal here.
    porchlight(&stage, "alice", &["run"])
        .await
        .failed(2, &["no terminal", "--passphrase-file", "PORCHLIGHT_PASSPHRASE_FILE"]);
    porchlight(&stage, "bob", &["init", "--passphrase"])
        .await
        .failed(2, &["no terminal", "--passphrase-file"]);
    assert!(
        !stage.home("bob").exists(),
        "nothing is made before the passphrase is there"
    );

    for (text, expected) in [
        ("", "is empty"),
        ("\na second line", "is empty"),
        ("short", "at least 8"),
        ("\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}", "has 7 characters"),
        (&"long".repeat(300), "may have 1024"),
    ] {
        let bad = file(&stage, "bad", text);
        porchlight(&stage, "bob", &["init", "--passphrase-file", &bad])
            .await
            .failed(2, &[expected]);
    }
    fs::set_permissions(&good, fs::Permissions::from_mode(0o640)).unwrap();
    porchlight(&stage, "alice", &["run", "--passphrase-file", &good])
        .await
        .failed(2, &["640", "chmod 600"]);
    porchlight(&stage, "alice", &["run", "--passphrase-file", "/nowhere"])
        .await
        .failed(2, &["/nowhere", "cannot be read"]);

    // A key that was planted asks for all memory there is: it gets none.
    fs::set_permissions(&good, fs::Permissions::from_mode(0o600)).unwrap();
    let wrapped = stage.home("alice").join("key.wrapped");
    let own = fs::read(&wrapped).unwrap();
    let mut planted = own.clone();
    planted[8..12].copy_from_slice(&u32::MAX.to_be_bytes());
    fs::write(&wrapped, &planted).unwrap();
    porchlight(&stage, "alice", &["run", "--passphrase-file", &good])
        .await
        .failed(1, &["key.wrapped", "4294967295 KiB"]);
    fs::write(&wrapped, &own[..100]).unwrap();
    porchlight(&stage, "alice", &["run", "--passphrase-file", &good])
        .await
        .failed(1, &["key.wrapped", "100"]);

    // A home without a passphrase is not taken for one with it.
    stage.make_home("carol").unwrap();
    porchlight(&stage, "carol", &["run", "--passphrase-file", &good])
        .await
        .failed(2, &["this home has none", "passphrase set"]);
}

#[tokio::test]
async fn a_passphrase_is_set_changed_and_removed_and_the_node_stays_who_it_is() {
    let mut stage = stage();
    stage.start("alice").await.unwrap();
    let principal = porchlight(&stage, "alice", &["id", "show", "--json"]).await.json()["principal"].clone();
    stage.stop("alice").await.unwrap();
    let (old, new) = (
        file(&stage, "old", PASSPHRASE),
        file(&stage, "new", "another lamp altogether"),
    );
    let run_by = |stage: &Stage, text: Option<&str>| match text {
        Some(text) => write(&stage.passphrase_file("alice"), text),
        None => fs::remove_file(stage.passphrase_file("alice")).unwrap(),
    };
    let home = stage.home("alice");
    let key = fs::read(home.join("key")).unwrap();

    let set = porchlight(&stage, "alice", &["passphrase", "set", "--passphrase-file", &old]).await;
    assert_eq!(set.code, 0, "{set:?}");
    assert_eq!(key_files(&home), ["key.wrapped", "next-root.sealed", "root.sealed"]);
    assert_eq!(
        search_folder(&home, &[key[..32].to_vec(), key[32..].to_vec()]).unwrap(),
        0,
        "the key is nowhere in clear"
    );

    // Whoever does not know the one so far sets no other.
    porchlight(
        &stage,
        "alice",
        &[
            "passphrase",
            "set",
            "--old-passphrase-file",
            &new,
            "--passphrase-file",
            &new,
        ],
    )
    .await
    .failed(4, &["does not open"]);
    let changed = porchlight(
        &stage,
        "alice",
        &[
            "passphrase",
            "set",
            "--old-passphrase-file",
            &old,
            "--passphrase-file",
            &new,
            "--json",
        ],
    )
    .await;
    assert_eq!(changed.json()["passphrase"], true, "{changed:?}");
    porchlight(&stage, "alice", &["run", "--passphrase-file", &old])
        .await
        .failed(4, &["does not open"]);
    run_by(&stage, Some("another lamp altogether"));
    stage.start("alice").await.unwrap();
    let now = porchlight(&stage, "alice", &["id", "show", "--json"]).await.json()["principal"].clone();
    assert_eq!(now, principal);
    stage.stop("alice").await.unwrap();

    // As it is when it was killed in between: the key is in both, and either way goes on.
    fs::write(home.join("key"), &key).unwrap();
    fs::set_permissions(home.join("key"), fs::Permissions::from_mode(0o600)).unwrap();
    porchlight(&stage, "alice", &["run", "--passphrase-file", &new])
        .await
        .failed(8, &["not finished", "passphrase set", "passphrase remove"]);
    // A key of another home beside it is not taken for this one's.
    stage.make_home("bob").unwrap();
    fs::copy(stage.home("bob").join("key"), home.join("key")).unwrap();
    for change in ["set", "remove"] {
        porchlight(&stage, "alice", &["passphrase", change, "--passphrase-file", &new])
            .await
            .failed(1, &["nothing was changed", "another home"]);
    }
    fs::write(home.join("key"), &key).unwrap();
    let removed = porchlight(&stage, "alice", &["passphrase", "remove"]).await;
    assert_eq!(removed.code, 0, "{removed:?}");
    assert_eq!(key_files(&home), ["key", "next-root.sealed", "root.sealed"]);
    assert_eq!(fs::read(home.join("key")).unwrap(), key);
    run_by(&stage, None);
    stage.start("alice").await.unwrap();
    let again = porchlight(&stage, "alice", &["passphrase", "remove"]).await;
    again.failed(8, &["already running"]);
    stage.stop("alice").await.unwrap();
    let again = porchlight(&stage, "alice", &["passphrase", "remove"]).await;
    assert!(
        again.code == 0 && again.stdout.contains("has no passphrase"),
        "{again:?}"
    );
}

/// Runs the program at a terminal of its own, and types a line for each prompt. Gives its exit code, what it said on standard
/// error, and what the terminal showed.
fn at_a_terminal(home: PathBuf, args: &[&str], lines: &[(&str, &str)]) -> (i32, String, String) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let slave = File::options().read(true).write(true).open(name).unwrap();
    let mut person = File::from(master);
    let mut child = Command::new(PROGRAM)
        .arg("--home")
        .arg(home)
        .args(args)
        .env_clear()
        .stdin(slave)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let mut said = Vec::new();
    for (prompt, line) in lines {
        let mut byte = [0];
        // Of what was said since the last line: one prompt may be the same as the one before.
        let since = said.len();
        while !said[since..].ends_with(format!("{prompt}: ").as_bytes()) {
            assert_eq!(stderr.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&said));
            said.extend(byte);
        }
        person.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
    stderr.read_to_end(&mut said).unwrap();
    let code = child.wait().unwrap().code().unwrap();
    // Where nobody has the other end any more, reading ends with an error.
    let mut shown = Vec::new();
    let _ = person.read_to_end(&mut shown);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (code, text(said), text(shown))
}

#[tokio::test]
async fn at_a_terminal_it_is_asked_for_and_not_shown() {
    let stage = stage();
    let home = || stage.home("alice");
    let (code, said, shown) = at_a_terminal(
        home(),
        &["init", "--passphrase"],
        &[
            ("new passphrase", PASSPHRASE),
            ("the same again", "a lamp that burns all nigth"),
            ("new passphrase", PASSPHRASE),
            ("the same again", PASSPHRASE),
        ],
    );
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("two passphrases"), "{said}");
    assert!(!shown.contains("lamp") && !said.contains("lamp"), "{shown} {said}");

    // Mistyped once, and then not.
    let (code, said, shown) = at_a_terminal(
        home(),
        &["passphrase", "remove"],
        &[("alice", "a lamp that burns all nigth"), ("alice", PASSPHRASE)],
    );
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("does not open"), "{said}");
    assert!(!shown.contains("lamp"), "{shown}");

    let (code, said, _) = at_a_terminal(
        home(),
        &["passphrase", "set"],
        &[("new passphrase", PASSPHRASE), ("the same again", PASSPHRASE)],
    );
    assert_eq!(code, 0, "{said}");
    let wrong = ("alice", "not this one");
    let (code, said, _) = at_a_terminal(home(), &["run"], &[wrong, wrong, wrong]);
    assert_eq!(code, 4, "{said}");
    let (code, said, _) = at_a_terminal(home(), &["run"], &[("alice", "half a\u{3}")]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("interrupted"), "{said}");
}
