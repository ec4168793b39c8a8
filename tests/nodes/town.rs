//! What the tests of whole nodes share: a stage with two relays, and people on it.

use porchlight::demo::person::Person;
use porchlight::demo::stage::Stage;
use serde_json::Value;
use std::process::Output;
use tokio::process::Command;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_porchlight");

/// An empty stage.
pub fn stage() -> Stage {
    Stage::set(PROGRAM.into()).unwrap()
}

/// A stage with both relays up.
pub async fn with_relays() -> Stage {
    let mut stage = stage();
    stage.start_relays().await.unwrap();
    stage
}

/// Starts a node, and waits until it is connected to both relays.
pub async fn join(stage: &mut Stage, name: &str) -> Person {
    stage.start(name).await.unwrap();
    stage.connected_to_relays(name).await.unwrap();
    Person::meet(stage, name).await.unwrap()
}

/// Makes two people contacts of each other.
pub async fn befriend(one: &mut Person, other: &mut Person) {
    let invite = one.invite().await.unwrap();
    other.add(&invite).await.unwrap();
    let (name, other_name) = (one.name().to_owned(), other.name().to_owned());
    one.subscribed(&other_name).await.unwrap();
    other.subscribed(&name).await.unwrap();
}

/// Two relays, alice and bob, who are contacts.
pub async fn alice_and_bob() -> (Stage, Person, Person) {
    let mut stage = with_relays().await;
    let mut alice = join(&mut stage, "alice").await;
    let mut bob = join(&mut stage, "bob").await;
    befriend(&mut alice, &mut bob).await;
    let open = |told: &porchlight_rpc::types::Told| told.status == "open";
    bob.told("alice is open", open).await.unwrap();
    alice.told("bob is open", open).await.unwrap();
    (stage, alice, bob)
}

/// What a command of the command line did.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// What it printed with `--json`.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Holds that it failed with this code, and that each of the texts stands in what it said.
    pub fn failed(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for text in texts {
            assert!(self.stderr.contains(text), "expected '{text}' in {self:?}");
        }
        assert!(self.stderr.starts_with("error: "), "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
    }
}

/// Runs the program with the home of `name`.
pub async fn porchlight(stage: &Stage, name: &str, args: &[&str]) -> Ran {
    let output: Output = Command::new(PROGRAM)
        .arg("--home")
        .arg(stage.home(name))
        .args(args)
        .env_remove("PORCHLIGHT_HOME")
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
