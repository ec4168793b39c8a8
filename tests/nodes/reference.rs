//! What the program says about itself: the API's description, completions, man pages.

use super::town::{porchlight, stage};
use porchlight_rpc::METHODS;
use porchlight_rpc::methods::RpcDiscover;
use porchlight_rpc::types;
use serde_json::Value;
use std::process::Command;

#[tokio::test]
async fn the_api_is_described_the_same_by_the_program_by_a_node_and_in_the_documentation() {
    let mut stage = stage();
    let printed = porchlight(&stage, "nobody", &["openrpc"]).await;
    assert_eq!(printed.code, 0, "{printed:?}");
    let kept: Value = serde_json::from_str(include_str!("../../docs/rpc/openrpc.json")).unwrap();
    assert!(printed.json() == kept, "docs/rpc/openrpc.json is another one");
    let in_a_line = porchlight(&stage, "nobody", &["openrpc", "--json"]).await;
    assert_eq!(in_a_line.stdout.lines().count(), 1);
    assert!(in_a_line.json() == kept);

    stage.start("alice").await.unwrap();
    let mut client = stage.client("alice").await.unwrap();
    let served = client.call::<RpcDiscover>(&types::Nothing {}).await.unwrap();
    assert_eq!(served.methods.len(), METHODS.len());
    assert!(serde_json::to_value(served).unwrap() == kept);
}

#[tokio::test]
async fn bash_completes_commands_options_and_methods() {
    let stage = stage();
    let script = stage.folder().join("completions");
    let printed = porchlight(&stage, "nobody", &["completions", "bash"]).await;
    assert_eq!(printed.code, 0, "{printed:?}");
    std::fs::write(&script, printed.stdout).unwrap();
    for (typed, expected) in [
        (&["pres"][..], &["presence"][..]),
        (&["invite", "re"], &["revoke"]),
        (&["--home", "x", "who", "--w"], &["--watch"]),
        (&["presence", "set", "aw"], &["away"]),
        (
            &["rpc", "presence.s"],
            &["presence.set", "presence.show", "presence.subscribe"],
        ),
        (&["--json", "rpc", "invite.re"], &["invite.revoke"]),
    ] {
        let shown = Command::new("bash")
            .args(["--norc", "-c"])
            .arg(
                "source \"$1\"; shift; COMP_WORDS=(porchlight \"$@\"); COMP_CWORD=$#; \
                 _porchlight porchlight \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"; \
                 printf '%s\\n' \"${COMPREPLY[@]}\"",
            )
            .arg("bash")
            .arg(&script)
            .args(typed)
            .output()
            .unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        let mut words: Vec<&str> = shown.lines().collect();
        words.sort_unstable();
        assert_eq!(words, expected, "{typed:?}");
    }
}

#[tokio::test]
async fn every_shell_gets_a_script_that_names_what_there_is() {
    let stage = stage();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let printed = porchlight(&stage, "nobody", &["completions", shell]).await;
        assert_eq!(printed.code, 0, "{printed:?}");
        for word in ["unsubscribe", "seed-peer"] {
            assert!(printed.stdout.contains(word), "{shell} does not know {word}");
        }
        // The last two complete commands and options only.
        if matches!(shell, "bash" | "zsh" | "fish") {
            for method in METHODS {
                assert!(
                    printed.stdout.contains(method.name),
                    "{shell} does not know {}",
                    method.name
                );
            }
        }
    }
    porchlight(&stage, "nobody", &["completions", "cmd"])
        .await
        .failed(2, &["cmd", "bash"]);
}

#[tokio::test]
async fn the_manual_is_written_where_it_is_wanted() {
    let stage = stage();
    let main = porchlight(&stage, "nobody", &["man"]).await;
    assert!(main.stdout.contains(".SH \"EXIT CODES\""), "{main:?}");
    let folder = stage.folder().join("share/man1");
    let there = folder.to_str().unwrap();
    let written = porchlight(&stage, "nobody", &["man", "--dir", there, "--json"])
        .await
        .json();
    let mut files: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let mut named: Vec<&str> = written["pages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|page| page.as_str().unwrap())
        .collect();
    named.sort_unstable();
    assert_eq!(files, named);
    assert_eq!(
        std::fs::read_to_string(folder.join("porchlight.1")).unwrap().trim_end(),
        main.stdout.trim_end()
    );
    let rpc = std::fs::read_to_string(folder.join("porchlight-rpc.1")).unwrap();
    assert!(rpc.contains("porchlight rpc node.info"), "{rpc}");
    let taken = folder.join("porchlight.1");
    porchlight(&stage, "nobody", &["man", "--dir", taken.to_str().unwrap()])
        .await
        .failed(1, &["porchlight.1", "cannot be written", "hint: "]);
}
