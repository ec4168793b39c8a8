//! Clients of a node that do what they should not: they are refused or slowed, and nobody else notices.

use super::town::alice_and_bob;
use porchlight::demo::stage::PATIENCE;
use porchlight_rpc::server::{CONNECTIONS, LINE_BYTES};
use porchlight_rpc::types::Told;
use serde_json::{Value, json};
use std::path::PathBuf;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// What one line that is far too long has.
const FAR_TOO_LONG: usize = 100 << 20;

/// A client that can send anything. Past what stands between nodes and clients in tests: that would read, and it
/// understands only what is well formed.
struct Client(BufReader<UnixStream>);

impl Client {
    async fn connect(socket: &PathBuf) -> Self {
        Self(BufReader::new(UnixStream::connect(socket).await.unwrap()))
    }

    async fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.get_mut().write_all(bytes).await.is_ok()
    }

    /// The next line; none once the connection is over, be it by an end or a reset.
    async fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.0.read_line(&mut line).await {
            Ok(1..) => Some(serde_json::from_str(&line).unwrap()),
            Ok(0) | Err(_) => None,
        }
    }

    async fn kind(&mut self) -> String {
        let line = self.line().await.unwrap();
        line["error"]["data"]["kind"].as_str().unwrap().to_owned()
    }
}

fn call(method: &str, params: &Value) -> Vec<u8> {
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    format!("{request}\n").into_bytes()
}

/// The most memory that the process ever had, in bytes.
fn peak_memory(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kilobytes: usize = line.trim().trim_end_matches(" kB").parse().unwrap();
    kilobytes << 10
}

#[tokio::test]
async fn clients_that_misbehave_are_refused_or_slowed_and_nobody_else_notices() {
    const THOUSAND: usize = 1_000;
    let (stage, mut alice, mut bob) = alice_and_bob().await;
    let is = |status: &'static str| move |told: &Told| told.contact == "alice" && told.status == status;
    let socket = porchlight::home::socket(&stage.home("bob")).with_extension("aside");
    let before = peak_memory(stage.pid("bob").unwrap());

    let mut garbage = Client::connect(&socket).await;
    assert!(garbage.send(b"\x00\xff\xfe no JSON at all\n{\"jsonrpc\":\n[]\n").await);
    assert_eq!(garbage.kind().await, "parse_error");
    assert_eq!(garbage.kind().await, "parse_error");
    assert_eq!(garbage.kind().await, "invalid_request");

    let mut half = Client::connect(&socket).await;
    let begun = call("node.stop", &json!({}));
    assert!(half.send(&begun[..begun.len() - 1]).await);

    let mut long = Client::connect(&socket).await;
    let piece = vec![b'x'; LINE_BYTES];
    let mut sent = 0;
    while sent < FAR_TOO_LONG && long.send(&piece).await {
        sent += piece.len();
    }
    assert!(sent < FAR_TOO_LONG, "the node has read all of it");
    // Where the refusal was lost in the reset, the end of the connection says as much.
    if let Some(refused) = long.line().await {
        assert_eq!(refused["error"]["data"]["kind"], "too_large");
        assert_eq!(long.line().await, None);
    }

    // One that asks for all events, then for more than it ever reads.
    let mut deaf = Client::connect(&socket).await;
    assert!(
        deaf.send(&call(
            "events.subscribe",
            &json!({"consumer": "deaf", "from": "oldest"})
        ))
        .await
    );
    let flood: Vec<u8> = (0..THOUSAND).flat_map(|_| call("rpc.discover", &json!({}))).collect();
    let deaf = tokio::spawn(async move {
        // It waits for the node sooner or later, and that is what is wanted.
        deaf.send(&flood).await;
        std::future::pending::<()>().await;
    });

    let mut inside = Vec::new();
    let mut outside = 0;
    for _ in 0..THOUSAND {
        let mut one = Client::connect(&socket).await;
        // Those inside are told nothing before they ask.
        one.send(&call("identity.show", &json!({}))).await;
        match one.line().await {
            Some(line) if line["error"].is_null() => inside.push(one),
            Some(line) => {
                assert_eq!(line["error"]["data"]["kind"], "rate_limited", "{line}");
                outside += 1;
            }
            None => outside += 1,
        }
    }
    assert!(
        inside.len() < CONNECTIONS && outside > THOUSAND - CONNECTIONS,
        "{outside}"
    );

    // Bob's own clients, who were there before, go on, and so does his node.
    for status in ["away", "busy", "open"] {
        alice.set(status, None).await.unwrap();
        bob.told(&format!("alice is {status}"), is(status)).await.unwrap();
        bob.set(status, None).await.unwrap();
        let told = alice
            .told(&format!("bob is {status}"), |told| told.status == status)
            .await;
        assert_eq!(told.unwrap().contact, "bob");
    }
    let more = peak_memory(stage.pid("bob").unwrap()) - before;
    assert!(more < FAR_TOO_LONG / 2, "the node took {more} bytes more for them");

    // Half a line was no call, and who comes once they have gone finds a place.
    deaf.abort();
    drop((inside, half, garbage));
    let served = timeout(PATIENCE, async {
        loop {
            let mut late = Client::connect(&socket).await;
            late.send(&call("node.info", &json!({}))).await;
            match late.line().await {
                Some(line) if line["error"].is_null() => return line,
                Some(_) | None => tokio::task::yield_now().await,
            }
        }
    });
    assert_eq!(served.await.expect("a place")["result"]["own"]["status"], "open");
}
