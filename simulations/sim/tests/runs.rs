//! The program as a whole: the same seed gives the same run in another process, another seed another one; failures and mistakes
//! are told so that something can be done about them.

#![allow(
    clippy::unwrap_used,
    reason = "clippy takes the helpers of an integration test for library code"
)]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_porchlight-sim"))
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .output()
        .unwrap()
}

fn outcome(arguments: &[&str]) -> Value {
    let output = sim(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).unwrap()
}

const DAY: [&str; 6] = [
    "run",
    "scenarios/a-day-in-the-life.toml",
    "--nodes",
    "12",
    "--seconds",
    "300",
];

#[test]
fn two_processes_make_the_same_run_of_one_seed_and_another_of_another() {
    let seed = |seed| outcome(&[DAY.as_slice(), &["--seed", seed]].concat());
    let (one, again, other) = (seed("7"), seed("7"), seed("8"));
    assert_eq!(one["trace_hash"], again["trace_hash"]);
    assert_eq!(one["measures"], again["measures"]);
    assert_ne!(one["trace_hash"], other["trace_hash"]);
    // Something was done in it, messages with their Olm keys among it.
    assert!(
        one["measures"]["messages"][1].as_u64().unwrap() > 10,
        "{}",
        one["measures"]["messages"]
    );
}

#[test]
fn an_outcome_can_be_played_again() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("outcome.json");
    let one = outcome(&[DAY.as_slice(), &["--seed", "3"]].concat());
    std::fs::write(&path, one.to_string()).unwrap();
    let replayed = sim(&["replay", path.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&replayed.stdout).into_owned();
    assert!(replayed.status.success() && said.contains("the same run"), "{said}");
    let mut changed = one;
    changed["trace_hash"] = "0".into();
    std::fs::write(&path, changed.to_string()).unwrap();
    let replayed = sim(&["replay", path.to_str().unwrap()]);
    assert_eq!(replayed.status.code(), Some(1));
}

#[test]
fn every_scenario_can_be_read() {
    let list = sim(&["list"]);
    let said = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(list.status.success() && said.contains("A day in the life"), "{said}");
}

#[test]
fn mistakes_are_told_with_what_was_expected() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("wrong.toml");
    let small = "title = \"x\"\nabout = \"x\"\npeople = 3\ncontacts = 1\nlasts = \"1min\"\n";
    let path = path.to_str().unwrap();
    for (more, expected) in [
        ("wrold = \"core\"\n", vec!["line 6", "wrold", "world"]),
        ("world = \"stack\"\n", vec!["not in this build", "core"]),
    ] {
        std::fs::write(path, format!("{small}{more}")).unwrap();
        let output = sim(&["run", path]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2));
        for part in expected {
            assert!(said.contains(part), "{said}\nlacks {part}");
        }
    }
    let output = sim(&["run", "scenarios/none.toml"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("expected a .toml file"));
}
