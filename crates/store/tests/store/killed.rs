//! Whatever was acknowledged before the process was killed is there afterwards, and no commit is there by half.
//!
//! The process that is killed is this test binary, run once more with [`HOME`] set.

use crate::sample;
use porchlight_proto::Write;
use porchlight_store::vault::KeyFiles;
use porchlight_store::{DurabilitySetting, Store};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Names the home that the child commits to.
const HOME: &str = "PORCHLIGHT_STORE_TEST_HOME";

/// Says in the child's output that a commit was acknowledged.
const MARK: &str = "acknowledged ";

/// Tasks that commit at the same time.
const TASKS: u64 = 8;

/// What one commit consists of: rows in several tables, and an event.
fn commit(number: u64) -> Vec<Write> {
    vec![
        Write::PutConsumer(sample::consumer(&format!("consumer {number}"), number)),
        Write::PutObserved(sample::observed(number, number)),
        Write::PutAnswer(sample::answer(&format!("answer {number}"), number)),
        Write::PutEvent(sample::event(number + 1, number)),
    ]
}

fn open(home: &Path) -> porchlight_store::Opened {
    let files = KeyFiles {
        plain: home.join("key"),
        wrapped: home.join("key.wrapped"),
        roots: Vec::new(),
    };
    let key = files.read().unwrap();
    Store::open(&home.join("porchlight.db"), key.store(), DurabilitySetting::Full).unwrap()
}

/// Not a test of its own: what the killed process does. Without [`HOME`] it does nothing.
#[test]
fn the_child_commits_until_it_is_killed() {
    let Some(home) = std::env::var_os(HOME).map(PathBuf::from) else {
        return;
    };
    let opened = open(&home);
    let first = opened
        .snapshot
        .consumers
        .values()
        .map(|row| row.acknowledged + 1)
        .max()
        .unwrap_or(0);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let store = opened.store.clone();
                tokio::spawn(async move {
                    for round in 0.. {
                        let number = first + round * TASKS + task;
                        store.commit(commit(number)).await.unwrap();
                        let mut out = std::io::stdout().lock();
                        // Nobody reads any more once the parent has seen enough.
                        let _ = writeln!(out, "{MARK}{number}");
                        let _ = out.flush();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// Runs the child, and kills it once it has acknowledged so many commits. Gives all that it has acknowledged.
fn run_and_kill(home: &Path, after: usize) -> BTreeSet<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::the_child_commits_until_it_is_killed", "--nocapture"])
        .env(HOME, home)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = BTreeSet::new();
    let mut killed = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // The last line may have been cut off: whoever did not hear it all was not told.
        let Some((_, number)) = line.split_once(MARK) else {
            continue;
        };
        if let (false, Ok(number)) = (killed, number.parse()) {
            acknowledged.insert(number);
        }
        if acknowledged.len() >= after && !killed {
            // SIGKILL, in the middle of whatever it is doing.
            child.kill().unwrap();
            killed = true;
        }
    }
    let status = child.wait().unwrap();
    assert!(killed && !status.success(), "it ended by itself: {status}");
    acknowledged
}

#[test]
fn what_was_acknowledged_outlives_kill_9_and_nothing_is_there_by_half() {
    let home = crate::Home::new();
    let mut acknowledged = BTreeSet::new();
    for after in [1, 7, 40, 150, 3, 300] {
        acknowledged.extend(run_and_kill(home.path(), after));
        let opened = open(home.path());
        let there: BTreeSet<u64> = opened.snapshot.consumers.values().map(|row| row.acknowledged).collect();
        let missing: Vec<_> = acknowledged.difference(&there).collect();
        assert!(missing.is_empty(), "acknowledged, and gone: {missing:?}");

        let mut expected = opened.snapshot.clone();
        expected.observed.clear();
        expected.answers.clear();
        for write in there.iter().flat_map(|number| commit(*number)) {
            expected.apply(&write);
        }
        expected.oldest_event = opened.snapshot.oldest_event;
        assert_eq!(opened.snapshot, expected, "every commit is there whole or not at all");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let events = runtime.block_on(opened.store.events().after(0, u32::MAX)).unwrap();
        assert_eq!(events.iter().map(|row| row.number - 1).collect::<BTreeSet<_>>(), there);
    }
    assert!(acknowledged.len() >= 501);
}
