//! The same seed gives the same run, byte for byte, in fresh processes, and another seed another one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "clippy takes the helpers of an integration test for library code"
)]

use serde_json::Value;
use std::process::Command;

/// Runs the program and gives what it prints.
fn run(args: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_porchlight-sim-stack"))
        .args(args)
        .output()
        .expect("the program can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {errors}");
    assert!(errors.is_empty(), "{args:?} logs errors: {errors}");
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

/// The trace's hash and length.
fn trace(page: &Value) -> (String, u64) {
    let hash = page["trace_hash"].as_str().unwrap().to_owned();
    (hash, page["trace_lines"].as_u64().unwrap())
}

#[test]
fn a_seed_is_a_run_in_every_process_and_another_seed_another_run() {
    let first = run(&["--seed", "7"]);
    let again = run(&["--seed", "7"]);
    assert_eq!(trace(&first), trace(&again));
    assert_eq!(first["outcome"]["presence_ms"], again["outcome"]["presence_ms"]);
    let other = run(&["--seed", "8"]);
    assert_ne!(trace(&first).0, trace(&other).0);
    assert!(trace(&first).1 > 5_000, "the trace has what crossed the links: {first}");
}

#[test]
fn a_few_who_met_by_invite_see_each_other_and_write() {
    let page = run(&["--seed", "3", "--nodes", "6", "--relays", "3"]);
    let outcome = &page["outcome"];
    assert_eq!(outcome["befriended"][0], outcome["befriended"][1], "{page:#}");
    assert!(outcome["presence_told"].as_f64().unwrap() > 0.9, "{page:#}");
    assert_eq!(outcome["messages_came"].as_f64().unwrap(), 1.0, "{page:#}");
}

#[test]
#[ignore = "some minutes of work"]
fn a_crowd_is_the_same_in_every_process_too() {
    let crowd = [
        "--seed",
        "5",
        "--nodes",
        "190",
        "--relays",
        "10",
        "--contacts",
        "2",
        "--seconds",
        "20",
    ];
    let (first, again) = std::thread::scope(|scope| {
        let again = scope.spawn(|| run(&crowd));
        (run(&crowd), again.join().unwrap())
    });
    assert_eq!(trace(&first), trace(&again));
    let outcome = &first["outcome"];
    assert_eq!(outcome["befriended"][0], outcome["befriended"][1], "{first:#}");
    assert_eq!(outcome["messages_came"].as_f64().unwrap(), 1.0, "{first:#}");
}

#[test]
fn faults_are_part_of_the_run() {
    let faulty = [
        "--seed",
        "11",
        "--nodes",
        "12",
        "--relays",
        "3",
        "--seconds",
        "120",
        "--faults",
    ];
    let first = run(&faulty);
    assert_eq!(trace(&first), trace(&run(&faulty)));
    let outcome = &first["outcome"];
    assert_eq!(outcome["messages_came"].as_f64().unwrap(), 1.0, "{first:#}");
    assert_eq!(outcome["messages_doubled"], 0, "{first:#}");
    assert_eq!(
        outcome["current"].as_f64().unwrap(),
        1.0,
        "everybody is current once all is healed: {first:#}"
    );
}
