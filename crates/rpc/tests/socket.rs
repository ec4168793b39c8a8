//! The local API over a real socket, with a handler that is told what to answer: what clients send that they should not,
//! what they do not do that they should, and what the socket is on disk.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "clippy takes the helpers of an integration test for library code"
)]

use porchlight_rpc::methods::{ContactAdd, ContactList, EventsSubscribe, NodeInfo, NodeStop, PresenceGet};
use porchlight_rpc::server::{CALLS, CONNECTIONS, LINE_BYTES, SUBSCRIPTIONS};
use porchlight_rpc::types::{self, Event};
use porchlight_rpc::{BindError, Call, Client, ClientError, Handler, Kind, Method, RpcError, Server};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

/// Nothing takes so long: what would hang fails instead.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of the longest answer the handler gives: a few of them fill a socket.
const LONG: usize = 100_000;

/// A handler that answers by method, and notes what was asked of it.
struct Desk {
    /// Calls that were taken, by method.
    taken: Mutex<Vec<&'static str>>,
    /// Calls of `node.stop` that wait to be let through.
    held: AtomicUsize,
    /// Lets calls of `node.stop` through.
    door: Semaphore,
    /// Where events are pushed to, for each subscription.
    pushes: Mutex<Vec<(String, mpsc::Sender<Event>)>>,
}

impl Desk {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            taken: Mutex::new(Vec::new()),
            held: AtomicUsize::new(0),
            door: Semaphore::new(0),
            pushes: Mutex::new(Vec::new()),
        })
    }

    fn taken(&self, method: &str) -> usize {
        self.taken.lock().unwrap().iter().filter(|it| **it == method).count()
    }

    fn subscriptions(&self) -> Vec<(String, mpsc::Sender<Event>)> {
        self.pushes.lock().unwrap().clone()
    }
}

impl Handler for Desk {
    async fn call(&self, call: Call) -> Result<Value, RpcError> {
        self.taken.lock().unwrap().push(call.method());
        match call {
            Call::NodeStop(_) => {
                self.held.fetch_add(1, Ordering::SeqCst);
                self.door.acquire().await.unwrap().forget();
                self.held.fetch_sub(1, Ordering::SeqCst);
                Ok(json!({"stopping": true}))
            }
            Call::PresenceGet(params) => Err(RpcError::new(
                Kind::NotFound,
                format!("there is no contact called '{}'", params.contact),
            )
            .hint("`porchlight contacts` lists the contacts")),
            Call::PresenceList(_) => Ok(json!({"long": "x".repeat(LONG)})),
            Call::ContactAdd(_) => Err(RpcError::new(Kind::Unreachable, "nobody could be reached")),
            Call::EventsSubscribe(params) if params.consumer == "refused" => {
                Err(RpcError::new(Kind::RateLimited, "there is no room for another"))
            }
            Call::EventsSubscribe(params) => Ok(json!({"consumer": params.consumer, "acknowledged": 0, "newest": 0})),
            _ => Ok(json!({"contacts": []})),
        }
    }

    fn events(&self, consumer: String) -> mpsc::Receiver<Event> {
        let (sender, receiver) = mpsc::channel(8);
        self.pushes.lock().unwrap().push((consumer, sender));
        receiver
    }
}

/// A server on a socket of its own.
struct Site {
    folder: TempDir,
    desk: Arc<Desk>,
    serving: JoinHandle<()>,
}

impl Site {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let desk = Desk::new();
        let server = Server::bind(&folder.path().join("rpc.sock")).unwrap();
        let serving = tokio::spawn(server.serve(Arc::clone(&desk)));
        Self { folder, desk, serving }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("rpc.sock")
    }

    async fn client(&self) -> Client {
        Client::connect(&self.path()).await.unwrap()
    }

    async fn raw(&self) -> Raw {
        Raw::over(UnixStream::connect(self.path()).await.unwrap())
    }

    /// Waits until no connection is being served: each holds the handler, and so do the server and this site.
    async fn all_gone(&self) {
        until(|| Arc::strong_count(&self.desk) == 2).await;
    }
}

/// A client that can send anything.
struct Raw {
    read: Lines<BufReader<OwnedReadHalf>>,
    write: OwnedWriteHalf,
}

impl Raw {
    fn over(stream: UnixStream) -> Self {
        let (read, write) = stream.into_split();
        Self {
            read: BufReader::new(read).lines(),
            write,
        }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.write.write_all(bytes).await.unwrap();
    }

    async fn line(&mut self) -> Option<Value> {
        let line = patiently(self.read.next_line()).await.unwrap()?;
        Some(serde_json::from_str(&line).unwrap())
    }

    async fn answer(&mut self, bytes: &[u8]) -> Value {
        self.send(bytes).await;
        self.line().await.expect("the connection is still there")
    }

    /// Shows that the connection works, and that nothing else was waiting to be read.
    async fn works(&mut self) {
        let answer = self
            .answer(&request(json!("works"), ContactList::NAME, &json!({})))
            .await;
        assert_eq!(
            answer,
            json!({"jsonrpc": "2.0", "id": "works", "result": {"contacts": []}})
        );
    }
}

fn request(id: Value, method: &str, params: &Value) -> Vec<u8> {
    format!(
        "{}\n",
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
    )
    .into_bytes()
}

fn notification(method: &str, params: &Value) -> Vec<u8> {
    format!("{}\n", json!({"jsonrpc": "2.0", "method": method, "params": params})).into_bytes()
}

fn kind(answer: &Value) -> &str {
    answer["error"]["data"]["kind"].as_str().unwrap()
}

fn subscribe(consumer: &str) -> types::EventsSubscribe {
    types::EventsSubscribe {
        consumer: consumer.to_owned(),
        from: None,
    }
}

fn event(number: u64) -> Event {
    Event {
        number,
        at: "2026-01-02T03:04:05.678Z".to_owned(),
        kind: "node.started".to_owned(),
        data: json!({}),
    }
}

async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it hangs")
}

async fn until(mut is_so: impl FnMut() -> bool) {
    patiently(async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Lets everything run that can: the tests run on one thread.
async fn settle() {
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
}

// What clients send.

#[tokio::test]
async fn what_is_no_request_is_answered_and_the_connection_goes_on() {
    let site = Site::open();
    let mut raw = site.raw().await;
    let lines: [(&[u8], i32, &str, Value); 10] = [
        (b"\xff\xfe\x00garbage\n", -32700, "parse_error", Value::Null),
        (b"GET / HTTP/1.1\n", -32700, "parse_error", Value::Null),
        (b"{\n", -32700, "parse_error", Value::Null),
        (b"{} {}\n", -32700, "parse_error", Value::Null),
        (b"{}\n", -32600, "invalid_request", Value::Null),
        (b"5\n", -32600, "invalid_request", Value::Null),
        (b"null\n", -32600, "invalid_request", Value::Null),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":8}\n",
            -32600,
            "invalid_request",
            json!(7),
        ),
        (
            b"{\"id\":\"seven\",\"method\":\"node.info\"}\n",
            -32600,
            "invalid_request",
            json!("seven"),
        ),
        (
            b"{\"jsonrpc\":\"1.0\",\"id\":7,\"method\":\"node.info\"}\n",
            -32600,
            "invalid_request",
            json!(7),
        ),
    ];
    for (line, code, expected, id) in lines {
        let answer = raw.answer(line).await;
        let shown = String::from_utf8_lossy(line);
        assert_eq!(answer["error"]["code"], code, "{shown}: {answer}");
        assert_eq!(kind(&answer), expected, "{shown}: {answer}");
        assert_eq!(answer["id"], id, "{shown}: {answer}");
        assert_eq!(answer["error"]["data"]["retryable"], false);
    }
    raw.send(b"\n   \n\r\n").await;
    raw.works().await;
    assert_eq!(
        site.desk.taken.lock().unwrap().len(),
        1,
        "nothing else reached the handler"
    );
}

#[tokio::test]
async fn a_batch_is_refused_as_a_whole() {
    let site = Site::open();
    let mut raw = site.raw().await;
    let batch = json!([
        {"jsonrpc": "2.0", "id": 1, "method": "contact.list"},
        {"jsonrpc": "2.0", "id": 2, "method": "contact.list"},
    ]);
    let answer = raw.answer(format!("{batch}\n").as_bytes()).await;
    assert_eq!(kind(&answer), "invalid_request");
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("one object per line")
    );
    raw.works().await;
    assert_eq!(site.desk.taken(ContactList::NAME), 1);
}

#[tokio::test]
async fn the_longest_line_is_served_and_a_longer_one_ends_the_connection() {
    let site = Site::open();
    let mut raw = site.raw().await;
    let mut line = request(json!(1), ContactList::NAME, &json!({}));
    line.pop();
    line.resize(LINE_BYTES, b' ');
    line.push(b'\n');
    assert_eq!(raw.answer(&line).await["result"], json!({"contacts": []}));

    line.insert(0, b' ');
    // The server may have gone before everything is sent.
    let _ = raw.write.write_all(&line).await;
    let answer = raw.line().await.unwrap();
    assert_eq!(kind(&answer), "too_large");
    assert_eq!(answer["id"], Value::Null);
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains(&LINE_BYTES.to_string())
    );
    // It is over, be it by an end or by a reset.
    assert!(!matches!(patiently(raw.read.next_line()).await, Ok(Some(_))));
    site.client()
        .await
        .call::<ContactList>(&types::Nothing {})
        .await
        .unwrap();
}

#[tokio::test]
async fn the_client_is_told_that_its_line_is_too_long() {
    let site = Site::open();
    let mut client = site.client().await;
    let params = types::ContactAdd {
        invite: "a".repeat(2 * LINE_BYTES),
        name: None,
        idempotency_key: None,
    };
    let error = patiently(client.call::<ContactAdd>(&params)).await.unwrap_err();
    let ClientError::Refused(error) = error else {
        panic!("{error}");
    };
    assert_eq!(error.data.kind, Kind::TooLarge);
}

#[tokio::test]
async fn half_a_line_is_no_call() {
    let site = Site::open();
    let mut raw = site.raw().await;
    let line = request(json!(1), NodeStop::NAME, &json!({}));
    raw.send(&line[..line.len() - 1]).await;
    raw.write.shutdown().await.unwrap();
    assert_eq!(raw.line().await, None);
    assert_eq!(site.desk.taken(NodeStop::NAME), 0);
}

#[tokio::test]
async fn a_line_may_come_in_pieces_and_many_lines_in_one() {
    let site = Site::open();
    let mut raw = site.raw().await;
    for byte in request(json!(1), ContactList::NAME, &json!({})) {
        raw.send(&[byte]).await;
        settle_a_little().await;
    }
    assert_eq!(raw.line().await.unwrap()["id"], 1);
    let many: Vec<u8> = (2..12)
        .flat_map(|id| request(json!(id), ContactList::NAME, &json!({})))
        .collect();
    raw.send(&many).await;
    let mut ids = BTreeSet::new();
    for _ in 2..12 {
        ids.insert(raw.line().await.unwrap()["id"].as_u64().unwrap());
    }
    assert_eq!(ids, (2..12).collect());
}

/// Lets the server read what was sent.
async fn settle_a_little() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn deep_json_is_refused_without_harm() {
    let site = Site::open();
    let mut raw = site.raw().await;
    let arrays = format!("{}\n", "[".repeat(LINE_BYTES));
    assert_eq!(kind(&raw.answer(arrays.as_bytes()).await), "parse_error");
    let objects = format!("{}1{}", "{\"a\":".repeat(150_000), "}".repeat(150_000));
    let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"contact.list\",\"params\":{objects}}}\n");
    assert!(line.len() <= LINE_BYTES);
    assert_eq!(kind(&raw.answer(line.as_bytes()).await), "parse_error");
    raw.works().await;
}

#[tokio::test]
async fn a_method_that_is_not_there_brings_those_that_are() {
    let site = Site::open();
    let mut raw = site.raw().await;
    let near = raw.answer(&request(json!(1), "presence.got", &json!({}))).await;
    assert_eq!(kind(&near), "method_not_found");
    assert_eq!(near["error"]["code"], -32601);
    let hint = near["error"]["data"]["hint"].as_str().unwrap();
    assert!(hint.contains("presence.get") && !hint.contains("node.info"), "{hint}");

    let far = raw.answer(&request(json!(2), "rm -rf", &json!({}))).await;
    assert!(far["error"]["data"]["hint"].as_str().unwrap().contains("node.info"));

    // What came is shown, but neither whole nor with what a terminal would act on.
    let nasty = format!("\u{1b}[2J{}", "n".repeat(10_000));
    let shown = raw.answer(&request(json!(3), &nasty, &json!({}))).await;
    let message = shown["error"]["message"].as_str().unwrap();
    assert!(message.len() < 200 && !message.contains('\u{1b}'), "{message}");
}

#[tokio::test]
async fn parameters_that_do_not_fit_are_named() {
    let site = Site::open();
    let mut raw = site.raw().await;
    let wrong = [
        (json!({"contct": "alice"}), "contct"),
        (json!({"contact": "alice", "and": 1}), "and"),
        (json!({"contact": 5}), "5"),
        (json!({}), "contact"),
        (Value::Null, "contact"),
        (json!("alice"), "alice"),
        // Parameters have names, so that there can be more of them later.
        (json!(["alice"]), "object"),
    ];
    for (params, named) in wrong {
        let answer = raw.answer(&request(json!(1), PresenceGet::NAME, &params)).await;
        assert_eq!(kind(&answer), "invalid_params", "{params}: {answer}");
        assert_eq!(answer["error"]["code"], -32602);
        assert!(
            answer["error"]["message"].as_str().unwrap().contains(named),
            "{params}: {answer}"
        );
        assert!(
            answer["error"]["data"]["hint"]
                .as_str()
                .unwrap()
                .contains("docs/rpc.md")
        );
    }
    assert_eq!(site.desk.taken(PresenceGet::NAME), 0);
}

#[tokio::test]
async fn a_notification_is_carried_out_and_not_answered() {
    let site = Site::open();
    let mut raw = site.raw().await;
    raw.send(&notification(PresenceGet::NAME, &json!({"contact": "alice"})))
        .await;
    raw.send(&notification("no.such.method", &json!({}))).await;
    raw.send(&notification(PresenceGet::NAME, &json!({"contct": "alice"})))
        .await;
    raw.send(&notification(ContactList::NAME, &json!({}))).await;
    until(|| site.desk.taken(PresenceGet::NAME) == 1 && site.desk.taken(ContactList::NAME) == 1).await;
    settle().await;
    raw.works().await;
    assert_eq!(site.desk.taken(PresenceGet::NAME), 1, "the one that fits");
}

#[tokio::test]
async fn an_id_comes_back_as_it_was() {
    let site = Site::open();
    let mut raw = site.raw().await;
    for id in [
        json!(0),
        json!(-1),
        json!(u64::MAX),
        json!(1.5),
        json!("a \"text\"\n"),
        json!(""),
    ] {
        let answer = raw.answer(&request(id.clone(), ContactList::NAME, &json!({}))).await;
        assert_eq!(answer["id"], id);
    }
}

// What clients do not do.

#[tokio::test]
async fn a_client_that_never_reads_is_not_served_further_and_harms_nobody() {
    const REQUESTS: usize = 1_000;
    let site = Site::open();
    let mut deaf = site.raw().await;
    let flood: Vec<u8> = (0..REQUESTS)
        .flat_map(|id| request(json!(id), "presence.list", &json!({})))
        .collect();
    let (mut other, mut served) = (site.client().await, 0);
    let sending = tokio::spawn(async move {
        // It waits for the server sooner or later, and that is what is wanted.
        let _ = deaf.write.write_all(&flood).await;
        std::future::pending::<()>().await;
        drop(deaf);
    });
    // Answers that wait, and calls that wait for a place among them.
    until(|| site.desk.taken("presence.list") >= 64 + CALLS).await;
    for _ in 0..100 {
        patiently(other.call::<ContactList>(&types::Nothing {})).await.unwrap();
        settle_a_little().await;
        served += 1;
    }
    settle().await;
    let taken = site.desk.taken("presence.list");
    assert_eq!(served, 100);
    assert!(
        taken < REQUESTS / 2,
        "{taken} answers of {LONG} bytes were made for nobody"
    );
    drop(other);
    sending.abort();
    site.all_gone().await;
}

#[tokio::test]
async fn a_client_that_subscribed_and_left_leaves_no_trace() {
    let site = Site::open();
    for _ in 0..2 * CONNECTIONS {
        let mut client = site.client().await;
        patiently(client.call::<EventsSubscribe>(&subscribe("one")))
            .await
            .unwrap();
        drop(client);
        // No event comes, at which its going away would be noticed.
        site.all_gone().await;
    }
    until(|| site.desk.subscriptions().iter().all(|(_, sender)| sender.is_closed())).await;
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_a_call_leaves_no_trace() {
    let site = Site::open();
    let mut raw = site.raw().await;
    raw.send(&request(json!(1), NodeStop::NAME, &json!({}))).await;
    until(|| site.desk.held.load(Ordering::SeqCst) == 1).await;
    drop(raw);
    site.desk.door.add_permits(1);
    site.all_gone().await;
}

#[tokio::test]
async fn who_says_that_nothing_more_comes_is_still_answered() {
    let site = Site::open();
    let mut raw = site.raw().await;
    raw.send(&request(json!(1), NodeStop::NAME, &json!({}))).await;
    raw.write.shutdown().await.unwrap();
    until(|| site.desk.held.load(Ordering::SeqCst) == 1).await;
    settle().await;
    site.desk.door.add_permits(1);
    assert_eq!(raw.line().await.unwrap()["result"], json!({"stopping": true}));
    assert_eq!(raw.line().await, None);
}

// How many at once.

#[tokio::test]
async fn calls_of_one_connection_do_not_wait_for_each_other() {
    let site = Site::open();
    let mut raw = site.raw().await;
    raw.send(&request(json!("slow"), NodeStop::NAME, &json!({}))).await;
    let answer = raw
        .answer(&request(json!("quick"), ContactList::NAME, &json!({})))
        .await;
    assert_eq!(answer["id"], "quick");
    site.desk.door.add_permits(1);
    assert_eq!(raw.line().await.unwrap()["id"], "slow");
}

#[tokio::test]
async fn more_calls_than_may_be_under_way_wait_their_turn() {
    let site = Site::open();
    let mut raw = site.raw().await;
    let calls = 2 * CALLS;
    let all: Vec<u8> = (0..calls)
        .flat_map(|id| request(json!(id), NodeStop::NAME, &json!({})))
        .collect();
    raw.send(&all).await;
    until(|| site.desk.held.load(Ordering::SeqCst) == CALLS).await;
    settle().await;
    assert_eq!(site.desk.taken(NodeStop::NAME), CALLS);
    site.desk.door.add_permits(calls);
    let mut ids = BTreeSet::new();
    for _ in 0..calls {
        ids.insert(raw.line().await.unwrap()["id"].as_u64().unwrap());
    }
    assert_eq!(ids.len(), calls, "each was answered once");
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_a_place_becomes_free() {
    let site = Site::open();
    let mut inside = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut raw = site.raw().await;
        raw.works().await;
        inside.push(raw);
    }
    let mut outside = site.raw().await;
    let line = outside.line().await.unwrap();
    assert_eq!(kind(&line), "rate_limited");
    assert_eq!(line["error"]["data"]["retryable"], true);
    assert_eq!(line["id"], Value::Null);
    assert!(line["error"]["message"].as_str().unwrap().contains("64"), "{line}");
    assert_eq!(outside.line().await, None);
    for raw in &mut inside {
        raw.works().await;
    }

    // The client hears the reason also where the connection was closed before it could ask.
    let mut late = site.client().await;
    settle().await;
    let error = patiently(late.call::<ContactList>(&types::Nothing {}))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ClientError::Refused(error) if error.data.kind == Kind::RateLimited),
        "{error}"
    );

    inside.pop();
    patiently(async {
        while site
            .client()
            .await
            .call::<ContactList>(&types::Nothing {})
            .await
            .is_err()
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

// Events.

#[tokio::test]
async fn events_are_pushed_in_order_after_the_answer_and_between_answers() {
    let site = Site::open();
    let mut client = site.client().await;
    let reply = patiently(client.call::<EventsSubscribe>(&subscribe("doorbell")))
        .await
        .unwrap();
    assert_eq!(reply.consumer, "doorbell");
    until(|| !site.desk.subscriptions().is_empty()).await;
    let (consumer, sender) = site.desk.subscriptions().remove(0);
    assert_eq!(consumer, "doorbell");
    for number in 1..=3 {
        sender.send(event(number)).await.unwrap();
    }
    until(|| sender.capacity() == sender.max_capacity()).await;
    // Those that come before an answer are kept for whoever asks for them.
    patiently(client.call::<ContactList>(&types::Nothing {})).await.unwrap();
    sender.send(event(4)).await.unwrap();
    for number in 1..=4 {
        assert_eq!(patiently(client.next_event()).await.unwrap(), event(number));
    }
}

#[tokio::test]
async fn the_answer_to_a_subscription_comes_before_its_events() {
    let site = Site::open();
    let mut raw = site.raw().await;
    let params = serde_json::to_value(subscribe("doorbell")).unwrap();
    let answer = raw.answer(&request(json!(1), EventsSubscribe::NAME, &params)).await;
    assert_eq!(answer["id"], 1);
    until(|| !site.desk.subscriptions().is_empty()).await;
    let (_, sender) = site.desk.subscriptions().remove(0);
    sender.send(event(1)).await.unwrap();
    let pushed = raw.line().await.unwrap();
    assert_eq!(
        pushed,
        json!({"jsonrpc": "2.0", "method": "event", "params": {
            "number": 1, "at": "2026-01-02T03:04:05.678Z", "kind": "node.started", "data": {},
        }})
    );
}

#[tokio::test]
async fn subscriptions_do_not_take_the_places_of_calls_and_are_bounded() {
    let site = Site::open();
    let mut client = site.client().await;
    for _ in 0..SUBSCRIPTIONS {
        patiently(client.call::<EventsSubscribe>(&subscribe("many")))
            .await
            .unwrap();
    }
    for _ in 0..2 * CALLS {
        let error = patiently(client.call::<EventsSubscribe>(&subscribe("many")))
            .await
            .unwrap_err();
        assert!(
            matches!(&error, ClientError::Refused(error) if error.data.kind == Kind::RateLimited),
            "{error}"
        );
    }
    patiently(client.call::<ContactList>(&types::Nothing {})).await.unwrap();
    // One that the handler refuses takes no place either.
    let mut other = site.client().await;
    for _ in 0..2 * CALLS {
        let _ = patiently(other.call::<EventsSubscribe>(&subscribe("refused")))
            .await
            .unwrap_err();
    }
    patiently(other.call::<EventsSubscribe>(&subscribe("one")))
        .await
        .unwrap();
    drop((client, other));
    site.all_gone().await;
}

#[tokio::test]
async fn a_refused_subscription_pushes_nothing() {
    let site = Site::open();
    let mut client = site.client().await;
    let error = patiently(client.call::<EventsSubscribe>(&subscribe("refused")))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Refused(_)), "{error}");
    patiently(client.call::<ContactList>(&types::Nothing {})).await.unwrap();
    settle().await;
    assert!(site.desk.subscriptions().is_empty());
}

#[tokio::test]
async fn a_subscriber_that_never_reads_holds_up_neither_the_others_nor_the_handler() {
    let site = Site::open();
    let mut deaf = site.client().await;
    patiently(deaf.call::<EventsSubscribe>(&subscribe("deaf")))
        .await
        .unwrap();
    let mut other = site.client().await;
    patiently(other.call::<EventsSubscribe>(&subscribe("other")))
        .await
        .unwrap();
    until(|| site.desk.subscriptions().len() == 2).await;
    let (senders, mut taken) = (site.desk.subscriptions(), 0_u64);
    let big = Event {
        data: json!({"note": "x".repeat(LONG)}),
        ..event(1)
    };
    // Events that wait for the deaf one are bounded: at some point no more are taken.
    while let Ok(permit) = senders[0].1.clone().try_reserve_owned() {
        permit.send(big.clone());
        taken += 1;
        settle_a_little().await;
        assert!(taken < 1_000, "there is no bound");
    }
    for number in 1..=100 {
        senders[1].1.send(event(number)).await.unwrap();
        assert_eq!(patiently(other.next_event()).await.unwrap().number, number);
    }
    drop((deaf, other));
    site.all_gone().await;
    until(|| senders.iter().all(|(_, sender)| sender.is_closed())).await;
}

// Errors.

#[tokio::test]
async fn an_error_reaches_the_client_whole() {
    let site = Site::open();
    let mut raw = site.raw().await;
    let answer = raw
        .answer(&request(json!(9), PresenceGet::NAME, &json!({"contact": "nobody"})))
        .await;
    assert_eq!(
        answer,
        json!({"jsonrpc": "2.0", "id": 9, "error": {
            "code": 1,
            "message": "there is no contact called 'nobody'",
            "data": {
                "kind": "not_found",
                "retryable": false,
                "hint": "`porchlight contacts` lists the contacts",
            },
        }})
    );
    let params = types::OneContact {
        contact: "nobody".to_owned(),
    };
    let error = patiently(site.client().await.call::<PresenceGet>(&params))
        .await
        .unwrap_err();
    let ClientError::Refused(error) = error else {
        panic!("{error}");
    };
    assert_eq!(error.data.kind, Kind::NotFound);
    assert_eq!(error.to_string(), "there is no contact called 'nobody'");
    assert_eq!(
        error.data.hint.as_deref(),
        Some("`porchlight contacts` lists the contacts")
    );

    // Without a hint there is no field for one; and what may succeed later says so.
    let answer = raw
        .answer(&request(json!(10), ContactAdd::NAME, &json!({"invite": "x"})))
        .await;
    assert_eq!(
        answer["error"]["data"],
        json!({"kind": "unreachable", "retryable": true})
    );
}

#[tokio::test]
async fn an_answer_of_another_shape_is_named() {
    let site = Site::open();
    let error = patiently(site.client().await.call::<NodeInfo>(&types::Nothing {}))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Unreadable(_)), "{error}");
}

// The socket.

#[tokio::test]
async fn the_socket_is_for_its_owner_only_and_goes_with_the_server() {
    let site = Site::open();
    let mode = std::fs::metadata(site.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (path, Site { folder, serving, .. }) = (site.path(), site);
    serving.abort();
    assert!(serving.await.unwrap_err().is_cancelled());
    assert!(!path.exists());
    drop(folder);
}

#[tokio::test]
async fn a_socket_that_nobody_listens_on_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rpc.sock");
    // A killed process leaves its socket behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let error = Client::connect(&path).await.unwrap_err();
    assert!(matches!(error, ClientError::NotRunning(_)), "{error}");

    let server = Server::bind(&path).unwrap();
    tokio::spawn(server.serve(Desk::new()));
    let mut client = Client::connect(&path).await.unwrap();
    client.call::<ContactList>(&types::Nothing {}).await.unwrap();
}

#[tokio::test]
async fn a_socket_that_somebody_listens_on_is_left_alone() {
    let site = Site::open();
    let error = Server::bind(&site.path()).unwrap_err();
    assert!(matches!(error, BindError::InUse(_)));
    let message = error.to_string();
    assert!(
        message.contains("already running") && message.contains("porchlight stop"),
        "{message}"
    );
    assert!(message.contains(site.path().to_str().unwrap()), "{message}");
    site.client()
        .await
        .call::<ContactList>(&types::Nothing {})
        .await
        .unwrap();
    // The look whether somebody is there has come and gone like any client.
    site.all_gone().await;
}

#[tokio::test]
async fn what_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rpc.sock");
    std::fs::write(&path, "precious").unwrap();
    let error = Server::bind(&path).unwrap_err();
    assert!(matches!(error, BindError::NotASocket(_)), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");

    let link = folder.path().join("link.sock");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(matches!(Server::bind(&link), Err(BindError::NotASocket(_))));
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[tokio::test]
async fn a_path_that_cannot_be_used_is_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let long = folder.path().join("x".repeat(120));
    let error = Server::bind(&long).unwrap_err();
    assert!(
        matches!(error, BindError::TooLong { bytes, .. } if bytes > 107),
        "{error}"
    );
    assert!(error.to_string().contains("shorter path"), "{error}");

    let nowhere = folder.path().join("no-such-folder").join("rpc.sock");
    let error = Server::bind(&nowhere).unwrap_err();
    assert!(matches!(error, BindError::Io { .. }), "{error}");
    assert!(error.to_string().contains("no-such-folder"), "{error}");
}

#[tokio::test]
async fn a_client_without_a_node_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rpc.sock");
    let error = Client::connect(&path).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::NotRunning(named) if *named == path),
        "{error}"
    );
}

#[tokio::test]
async fn a_client_whose_node_goes_away_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rpc.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let going = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 16];
        stream.read_exact(&mut asked).await.unwrap();
    });
    let mut client = Client::connect(&path).await.unwrap();
    let error = patiently(client.call::<ContactList>(&types::Nothing {}))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Closed | ClientError::Broken(_)), "{error}");
    going.await.unwrap();
}
