//! `config check` and `config show`: what the file, the environment and flags come to.

use super::town::{PROGRAM, porchlight, stage};
use porchlight::demo::stage::Stage;
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

/// Runs the program with something in its environment.
fn with_environment(stage: &Stage, name: &str, args: &[&str], variable: (&str, &str)) -> (i32, Value) {
    let output = Command::new(PROGRAM)
        .arg("--home")
        .arg(stage.home(name))
        .args(args)
        .arg("--json")
        .env(variable.0, variable.1)
        .output()
        .unwrap();
    (
        output.status.code().unwrap(),
        serde_json::from_slice(&output.stdout).unwrap(),
    )
}

/// The setting of this key.
fn setting<'a>(shown: &'a Value, key: &str) -> &'a Value {
    let settings = shown["settings"].as_array().unwrap();
    settings.iter().find(|setting| setting["key"] == key).unwrap()
}

fn kinds(report: &Value) -> Vec<&str> {
    let warnings = report["warnings"].as_array().unwrap();
    warnings
        .iter()
        .map(|warning| warning["kind"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_configuration_is_looked_over_before_it_is_used() {
    let stage = stage();
    porchlight(&stage, "alice", &["config", "check"])
        .await
        .failed(5, &["there is no home"]);
    stage.make_home("alice").unwrap();
    let file = stage.home("alice").join("config.toml");
    let text = fs::read_to_string(&file).unwrap();

    let fine = porchlight(&stage, "alice", &["config", "check"]).await;
    assert_eq!(fine.code, 0, "{fine:?}");
    assert!(
        fine.stdout.contains("can be used") && fine.stdout.contains("warning: "),
        "{fine:?}"
    );
    let report = porchlight(&stage, "alice", &["config", "check", "--json"]).await.json();
    assert_eq!(report["usable"], true);
    assert_eq!(
        kinds(&report),
        ["loopback_only", "no_seed_peers"],
        "it is a home of a test"
    );
    assert_eq!(report["overridden"], json!([]));

    // As a relay, by a flag and by the environment.
    let relay = porchlight(&stage, "alice", &["config", "check", "--role", "relay", "--json"])
        .await
        .json();
    assert_eq!(kinds(&relay), ["relay_without_fixed_port", "loopback_only"]);
    assert_eq!(relay["overridden"][0]["key"], "role");
    assert_eq!(relay["overridden"][0]["by"], "--role");
    assert_eq!(relay["overridden"][0]["in_file"], "ordinary");
    let (code, relay) = with_environment(&stage, "alice", &["config", "check"], ("PORCHLIGHT_ROLE", "relay"));
    assert_eq!(code, 0);
    assert_eq!(relay["overridden"][0]["by"], "PORCHLIGHT_ROLE");
    let (code, broken) = with_environment(&stage, "alice", &["config", "check"], ("PORCHLIGHT_LISTEN", "here"));
    assert_eq!((code, &broken["usable"]), (1, &json!(false)));
    assert_eq!(broken["problems"][0]["by"], "PORCHLIGHT_LISTEN");

    // Everything that is wrong, each with its line.
    fs::write(&file, format!("lisen = []\n{text}")).unwrap();
    let text = fs::read_to_string(&file)
        .unwrap()
        .replace("lease = \"6s\"", "lease = \"soon\"");
    let line = text.lines().position(|line| line.starts_with("lease")).unwrap() + 1;
    fs::write(&file, &text).unwrap();
    let wrong = porchlight(&stage, "alice", &["config", "check"]).await;
    assert_eq!(wrong.code, 1, "{wrong:?}");
    assert!(wrong.stdout.contains("line 1: lisen: "), "{wrong:?}");
    assert!(
        wrong.stdout.contains(&format!("line {line}: presence.lease: ")),
        "{wrong:?}"
    );
    let report = porchlight(&stage, "alice", &["config", "check", "--json"]).await;
    assert_eq!(report.code, 1);
    let report = report.json();
    assert_eq!(report["usable"], false);
    assert_eq!(report["problems"][1]["key"], "presence.lease");
    assert_eq!(report["problems"][1]["line"], line);
    // It is what `run` says.
    porchlight(&stage, "alice", &["run"])
        .await
        .failed(2, &["lisen", &format!("line {line}"), "config check"]);
}

#[tokio::test]
async fn what_is_in_force_is_shown_with_where_it_comes_from() {
    let mut stage = stage();
    stage.make_home("alice").unwrap();
    let file = stage.home("alice").join("config.toml");
    let text = fs::read_to_string(&file).unwrap();
    let line = text.lines().position(|line| line.starts_with("lease")).unwrap() + 1;

    // No node runs: what `run` would take.
    let shown = porchlight(&stage, "alice", &["config", "show", "--log", "debug", "--json"])
        .await
        .json();
    assert_eq!(shown.get("taken_at"), None);
    assert_eq!(
        *setting(&shown, "presence.lease"),
        json!({"key": "presence.lease", "value": "6s", "from": "file", "line": line})
    );
    assert_eq!(
        *setting(&shown, "presence.follow"),
        json!({"key": "presence.follow", "value": false, "from": "default"})
    );
    let log = setting(&shown, "log.filter");
    assert_eq!((&log["value"], &log["by"]), (&json!("debug"), &json!("--log")));
    let people = porchlight(&stage, "alice", &["config", "show"]).await;
    assert!(people.stdout.contains(&format!("config.toml:{line}")), "{people:?}");

    // A node runs: what it took, and what has changed since.
    stage.start("alice").await.unwrap();
    fs::write(&file, text.replace("lease = \"6s\"", "lease = \"7s\"")).unwrap();
    let shown = porchlight(&stage, "alice", &["config", "show", "--json"]).await.json();
    assert!(shown["taken_at"].is_string());
    let lease = setting(&shown, "presence.lease");
    assert_eq!((&lease["value"], &lease["in_file"]), (&json!("6s"), &json!("7s")));
    let people = porchlight(&stage, "alice", &["config", "show"]).await;
    assert!(people.stdout.contains("start the node again"), "{people:?}");
    let flags = porchlight(&stage, "alice", &["config", "show", "--role", "relay", "--json"])
        .await
        .json();
    assert_eq!(
        setting(&flags, "presence.lease")["value"],
        "7s",
        "what `run` with these flags would take"
    );
    fs::write(&file, "lisen = []").unwrap();
    let shown = porchlight(&stage, "alice", &["config", "show", "--json"]).await.json();
    assert_eq!(setting(&shown, "presence.lease")["value"], "6s");
    assert!(shown["file_problem"].as_str().unwrap().contains("lisen"));
}
