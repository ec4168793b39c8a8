//! What a person sees at a terminal, narrow or wide, with colours or without: nothing runs over the edge, nothing is drawn where a
//! program reads, and where lines are wanted there are lines.

use super::town::{PROGRAM, alice_and_bob, porchlight};
use porchlight::demo::person::Person;
use porchlight::demo::stage::{PATIENCE, Stage};
use porchlight_rpc::methods::WatcherList;
use porchlight_rpc::types;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use unicode_width::UnicodeWidthStr;

const MESSAGE: &str =
    "the manuscript is finished, and nobody but you has read so much as a line of it, 安安; call me when you are back";

/// What the program prints at a terminal of so many columns.
fn seen(home: &Path, args: &[&str], columns: u16, environment: &[(&str, &str)]) -> String {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let slave = File::options().read(true).write(true).open(name).unwrap();
    let size = Winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&slave, size).unwrap();
    let mut child = Command::new(PROGRAM)
        .arg("--home")
        .arg(home)
        .args(args)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(slave.try_clone().unwrap())
        .stderr(slave.try_clone().unwrap())
        .stdout(slave)
        .spawn()
        .unwrap();
    let mut shown = Vec::new();
    // Where nobody has the other end any more, reading ends with an error.
    let _ = File::from(master).read_to_end(&mut shown);
    child.wait().unwrap();
    String::from_utf8(shown).unwrap().replace("\r\n", "\n")
}

/// A line without its colours; nothing else may steer the terminal.
fn plain(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        let (code, after) = after.split_once('m').unwrap();
        assert!(code.chars().all(|c| c.is_ascii_digit() || c == ';'), "{line:?}");
        rest = after;
    }
    plain.push_str(rest);
    assert!(!plain.contains('\u{1b}'), "{line:?}");
    plain
}

/// Alice, who has written to bob, with his answer unread and a message that waits; and he is called by a long name.
async fn written() -> (Stage, Person) {
    let (mut stage, mut alice, mut bob) = alice_and_bob().await;
    bob.set("away", Some("at the printer's, back when it is done"))
        .await
        .unwrap();
    alice.told("bob is away", |told| told.status == "away").await.unwrap();
    for (name, args) in [
        (
            "alice",
            &[
                "send",
                "bob",
                MESSAGE,
                "--subject",
                "the manuscript",
                "--wait",
                "delivered",
            ][..],
        ),
        ("bob", &["send", "alice", "gladly", "--wait", "delivered"]),
    ] {
        assert_eq!(porchlight(&stage, name, args).await.code, 0, "{args:?}");
    }
    stage.kill("bob").await.unwrap();
    let waits = porchlight(&stage, "alice", &["send", "bob", "are you there?", "--wait", "stored"]).await;
    assert_eq!(waits.code, 0, "{waits:?}");
    (stage, alice)
}

#[tokio::test]
async fn nothing_runs_over_the_edge_of_a_terminal_narrow_or_wide() {
    let (stage, _alice) = written().await;
    let home = stage.home("alice");
    let commands: &[&[&str]] = &[
        &["who"],
        &["who", "bob"],
        &["inbox", "--keep"],
        &["log", "bob"],
        &["outbox"],
        &["search", "manuscript"],
        &["relay", "ls"],
        &["contact", "verify", "bob"],
        &["contacts"],
        &["watchers"],
        &["view", "list"],
        &["grant", "list"],
        &["invite", "list"],
        &["invite", "new"],
        &["poll"],
        &["presence", "show"],
        &["net", "peers"],
        &["net", "diagnose", "bob"],
        &["health"],
    ];
    for columns in [40, 80, 200] {
        for args in commands {
            let shown = seen(&home, args, columns, &[]);
            assert!(!shown.is_empty(), "{args:?}");
            for line in shown.lines().map(plain) {
                // An id, an address or a path is not broken: whoever copies it needs it whole. So are columns of them.
                let longest = line.split_whitespace().map(UnicodeWidthStr::width).max().unwrap_or(0);
                let fits = line.width() <= usize::from(columns) || longest > usize::from(columns) / 2 || longest > 50;
                assert!(fits, "{args:?} at {columns} columns: {line}");
            }
        }
    }
}

#[tokio::test]
async fn messages_can_be_read_from_top_to_bottom_and_verified_in_groups() {
    let (stage, _alice) = written().await;
    let home = stage.home("alice");
    let log = seen(&home, &["log", "bob"], 40, &[]);
    let lines: Vec<&str> = log.lines().collect();
    assert!(
        lines[0].starts_with("#1 you to bob, ") && lines[0].ends_with("delivered"),
        "{log}"
    );
    assert_eq!(lines[1], "  [the manuscript]", "{log}");
    assert_eq!(lines[2], "  the manuscript is finished, and nobody", "{log}");
    assert!(
        log.contains("\n#2 bob, ") && log.contains("unread\n  gladly\n"),
        "{log}"
    );
    // All words are there, in order, wherever they were broken.
    let words: Vec<&str> = log.split_whitespace().collect();
    assert!(words.join(" ").contains("stored at 2 relays for 7 d"), "{log}");
    let message: Vec<&str> = MESSAGE.split_whitespace().collect();
    assert!(words.windows(message.len()).any(|part| part == message), "{log}");

    let verify = seen(&home, &["contact", "verify", "bob"], 40, &[]);
    let groups: Vec<&str> = verify.lines().filter(|line| line.starts_with("  ")).collect();
    let digits = |line: &str| {
        line.split_whitespace()
            .all(|group| group.len() == 5 && group.bytes().all(|c| c.is_ascii_digit()))
    };
    assert!(groups.iter().filter(|line| digits(line)).count() == 3, "{verify}");

    let relays = seen(&home, &["relay", "ls"], 40, &[]);
    assert_eq!(relays.matches("\n  known as: seed peer\n").count(), 2, "{relays}");
    assert!(relays.contains("  mailbox: for 30 d\n"), "{relays}");
    let wide = seen(&home, &["relay", "ls"], 200, &[]);
    assert!(wide.starts_with("RELAY ") && wide.lines().count() == 3, "{wide}");

    let invite = seen(&home, &["invite", "new"], 40, &[]);
    assert!(invite.contains("there is a QR code of"), "{invite}");
    let drawn = seen(&home, &["invite", "new"], 200, &[]);
    assert!(drawn.contains('▀') && drawn.contains("\u{1b}[30;107m"), "{drawn}");
}

#[tokio::test]
async fn colours_are_for_terminals_that_want_them_and_lines_for_whoever_wants_lines() {
    let (stage, _alice) = written().await;
    let home = stage.home("alice");
    let coloured = seen(&home, &["who"], 80, &[]);
    assert!(coloured.contains("\u{1b}["), "{coloured}");
    for environment in [&[("NO_COLOR", "1")][..], &[("TERM", "dumb")]] {
        let shown = seen(&home, &["who"], 80, environment);
        assert!(shown.contains("bob") && !shown.contains('\u{1b}'), "{shown}");
    }
    let linear = seen(&home, &["who"], 80, &[("COLUMNS", "1"), ("NO_COLOR", "1")]);
    assert!(
        linear.contains("\nbob\n  status: ") && linear.contains("you are open, since"),
        "{linear}"
    );
    let piped = porchlight(&stage, "alice", &["who"]).await;
    assert!(
        !piped.stdout.contains('\u{1b}') && piped.stdout.contains("NAME  STATUS"),
        "{piped:?}"
    );
    let invite = porchlight(&stage, "alice", &["invite", "new"]).await;
    assert!(
        !invite.stdout.contains('▀') && !invite.stdout.contains("QR"),
        "{invite:?}"
    );
}

#[tokio::test]
async fn who_follows_here_is_told_among_the_watchers() {
    let (mut stage, mut alice, _bob) = alice_and_bob().await;
    let follows = async |alice: &mut Person, expected: bool| {
        let told = timeout(PATIENCE, async {
            loop {
                let list = alice.calls.call::<WatcherList>(&types::Nothing {}).await.unwrap();
                if list.watchers[0].follows == expected {
                    return list;
                }
                sleep(Duration::from_millis(20)).await;
            }
        });
        told.await.unwrap().watchers[0].clone()
    };
    let bob = follows(&mut alice, true).await;
    assert!(bob.contact == "bob" && bob.connected, "{bob:?}");
    let printed = porchlight(&stage, "alice", &["watchers"]).await;
    assert!(printed.stdout.contains("follows here"), "{printed:?}");
    stage.kill("bob").await.unwrap();
    follows(&mut alice, false).await;
}
