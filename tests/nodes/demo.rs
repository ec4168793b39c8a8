//! The demo itself, as somebody runs it.

use super::town::PROGRAM;
use porchlight::demo::stage::PATIENCE;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command as Now, Stdio};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// The demo while it runs. Whatever becomes of the test, nothing is left of it.
struct Demo {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    folder: PathBuf,
}

impl Demo {
    async fn begin(args: &[&str]) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["--json", "demo"])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut demo = Self {
            child,
            lines,
            folder: PathBuf::new(),
        };
        let begun = demo.line().await.unwrap();
        demo.folder = begun["folder"].as_str().unwrap().into();
        demo
    }

    async fn line(&mut self) -> Option<Value> {
        let line = timeout(2 * PATIENCE, self.lines.next_line()).await;
        let line = line.expect("another line").unwrap()?;
        Some(serde_json::from_str(&line).unwrap())
    }

    fn homes(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap());
        let homes = entries.filter(|entry| entry.file_type().unwrap().is_dir());
        let mut homes: Vec<String> = homes.map(|home| home.file_name().into_string().unwrap()).collect();
        homes.sort();
        homes
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        for process in processes(&self.folder) {
            // One that has ended meanwhile needs no end.
            let _ = Now::new("sh").args(["-c", &format!("kill -9 {process}")]).status();
        }
        // It may be gone, as it should be.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The processes that were started with something in this folder.
fn processes(folder: &Path) -> Vec<u32> {
    let folder = folder.to_str().unwrap().as_bytes();
    if folder.is_empty() {
        return Vec::new();
    }
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.windows(folder.len()).any(|part| part == folder)
    })
    .collect()
}

#[tokio::test]
#[ignore = "the demo is told with times, and needs the machine to itself: test.sh runs it by itself"]
async fn the_demo_comes_true_and_keeps_what_can_be_stopped() {
    let mut demo = Demo::begin(&["--keep"]).await;
    let mut steps = 0;
    let end = loop {
        let line = demo.line().await.expect("an end that comes true");
        if line["kept"].is_boolean() {
            break line;
        }
        steps += 1;
        assert_eq!(line["step"], steps);
        assert!(!line["told"].as_str().unwrap().is_empty(), "{line}");
    };
    assert_eq!((&end["steps"], &end["kept"]), (&steps.into(), &true.into()));
    assert!(timeout(PATIENCE, demo.child.wait()).await.unwrap().unwrap().success());
    // Of those who came and went nothing is there to stumble over.
    assert_eq!(demo.homes(), ["alice", "bob", "relay-1", "relay-2"]);
    assert_eq!(processes(&demo.folder).len(), 4);
    for home in demo.homes() {
        let mut stop = Command::new(PROGRAM);
        stop.arg("--home").arg(demo.folder.join(&home)).arg("stop");
        assert!(stop.output().await.unwrap().status.success(), "{home}");
    }
}

#[tokio::test]
async fn a_demo_that_is_interrupted_leaves_nothing() {
    let mut demo = Demo::begin(&[]).await;
    // Two relays and two people are up.
    assert_eq!(demo.line().await.unwrap()["step"], 1);
    let pid = demo.child.id().unwrap();
    let interrupted = Now::new("sh").args(["-c", &format!("kill -INT {pid}")]).status();
    assert!(interrupted.unwrap().success());
    let status = timeout(PATIENCE, demo.child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(1));
    assert_eq!(processes(&demo.folder), [0; 0]);
    assert!(!demo.folder.exists(), "{:?}", demo.homes());
}
