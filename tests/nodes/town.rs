//! What the tests of whole nodes share: a stage with two relays, and people on it.

use super::judge::SCHEMAS;
use super::tap::Tap;
use porchlight::demo::person::Person;
use porchlight::demo::stage::Stage;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Output;
use tokio::process::Command;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_porchlight");

/// An empty stage. Whatever is said to its nodes is held against the schemas of the API.
pub fn stage() -> Stage {
    stage_of(PROGRAM.into())
}

/// One whose nodes are of another program.
pub fn stage_of(program: PathBuf) -> Stage {
    Stage::set(program).unwrap().overheard_by(Tap::new())
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
    let ran = Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    if ran.code == 0 && args.contains(&"--json") {
        let words: Vec<&str> = args.iter().copied().filter(|word| *word != "--json").collect();
        check_printed(&words, &ran.stdout);
    }
    ran
}

/// What a command prints with `--json` if all goes well.
enum Prints<'a> {
    /// The reply of a method.
    Reply(&'a str),
    /// Events, one in each line.
    Events,
    /// Something of its own: it calls no method.
    Own,
}

/// Holds what a command printed as JSON against the schema of what it prints.
fn check_printed(words: &[&str], stdout: &str) {
    let prints = match words {
        ["init" | "passphrase" | "man", ..] | ["config", "check", ..] => Prints::Own,
        ["config", "show", ..] => Prints::Reply("node.config.get"),
        ["openrpc"] => Prints::Reply("rpc.discover"),
        ["status"] => Prints::Reply("node.info"),
        ["health"] => Prints::Reply("node.health"),
        ["stop"] => Prints::Reply("node.stop"),
        ["id", "show"] => Prints::Reply("identity.show"),
        ["net", "peers"] => Prints::Reply("net.peers"),
        ["relay", "ls"] => Prints::Reply("relay.list"),
        ["relay", "use", ..] => Prints::Reply("relay.use"),
        ["relay", "test", _] => Prints::Reply("relay.test"),
        ["net", "diagnose", _] => Prints::Reply("net.diagnose"),
        ["contacts"] => Prints::Reply("contact.list"),
        ["contact", "remove", _] => Prints::Reply("contact.remove"),
        ["contact", "rename" | "view", ..] => Prints::Reply("contact.update"),
        ["contact", "verify", ..] => Prints::Reply("contact.verify"),
        ["view", "list"] => Prints::Reply("view.list"),
        ["view", "set", ..] => Prints::Reply("view.update"),
        ["view", "create", ..] => Prints::Reply("view.create"),
        ["view", "delete", _] => Prints::Reply("view.delete"),
        ["grant", "list"] => Prints::Reply("grant.list"),
        ["grant", "revoke", _] => Prints::Reply("grant.revoke"),
        ["watchers"] => Prints::Reply("watcher.list"),
        ["send", .., "--wait", _] => Prints::Reply("message.get"),
        ["send", ..] => Prints::Reply("message.send"),
        ["inbox" | "log", ..] => Prints::Reply("message.list"),
        ["search", ..] => Prints::Reply("message.search"),
        ["outbox"] => Prints::Reply("outbox.list"),
        ["retry", ..] => Prints::Reply("outbox.retry"),
        ["cancel", _] => Prints::Reply("message.cancel"),
        ["block", ..] => Prints::Reply("contact.block"),
        ["unblock", _] => Prints::Reply("contact.unblock"),
        ["poll"] => Prints::Reply("presence.polls"),
        ["poll", _, "--stop"] => Prints::Reply("presence.unpoll"),
        ["poll", ..] => Prints::Reply("presence.poll"),
        ["subscribe", _] => Prints::Reply("presence.subscribe"),
        ["unsubscribe", _] => Prints::Reply("presence.unsubscribe"),
        ["invite", "new", ..] => Prints::Reply("invite.create"),
        ["invite", "list"] => Prints::Reply("invite.list"),
        ["invite", "revoke", _] => Prints::Reply("invite.revoke"),
        ["add", ..] => Prints::Reply("contact.add"),
        ["presence", "set", ..] => Prints::Reply("presence.set"),
        ["presence", "clear", ..] => Prints::Reply("presence.clear"),
        ["presence", "show"] => Prints::Reply("presence.show"),
        ["who"] => Prints::Reply("presence.list"),
        ["who", _] => Prints::Reply("presence.get"),
        ["events", ..] => Prints::Events,
        ["rpc", method, ..] => Prints::Reply(method),
        _ => panic!(
            "say in tests/nodes/town.rs what `porchlight {} --json` prints",
            words.join(" ")
        ),
    };
    for line in stdout.lines() {
        let printed: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let fits = match prints {
            Prints::Reply(method) => SCHEMAS.reply(method, &printed),
            Prints::Events => SCHEMAS.event(&printed),
            Prints::Own => Ok(()),
        };
        fits.unwrap_or_else(|error| panic!("{words:?} printed {line}: {error}"));
    }
}
