//! A server with a handler that is told what to answer, and a client that can send anything.

use crate::judge::Talk;
use porchlight_rpc::methods::ContactList;
use porchlight_rpc::types::Event;
use porchlight_rpc::{Call, Client, Handler, Kind, Method, RpcError, Server, types};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

/// Nothing takes so long: what would hang fails instead.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of the longest answer the handler gives: a few of them fill a socket.
pub(crate) const LONG: usize = 100_000;

/// A handler that answers by method, and notes what was asked of it.
pub(crate) struct Desk {
    /// Calls that were taken, by method.
    pub(crate) taken: Mutex<Vec<&'static str>>,
    /// Calls of `node.stop` that wait to be let through.
    pub(crate) held: AtomicUsize,
    /// Lets calls of `node.stop` through.
    pub(crate) door: Semaphore,
    /// Where events are pushed to, for each subscription.
    pub(crate) pushes: Mutex<Vec<(String, mpsc::Sender<Event>)>>,
}

impl Desk {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            taken: Mutex::new(Vec::new()),
            held: AtomicUsize::new(0),
            door: Semaphore::new(0),
            pushes: Mutex::new(Vec::new()),
        })
    }

    pub(crate) fn taken(&self, method: &str) -> usize {
        self.taken.lock().unwrap().iter().filter(|it| **it == method).count()
    }

    pub(crate) fn subscriptions(&self) -> Vec<(String, mpsc::Sender<Event>)> {
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
            Call::PresenceList(_) => {
                let own = json!({"status": "open", "note": long_note(), "since_at": "2026-01-02T03:04:05.678Z"});
                Ok(json!({"own": own, "contacts": []}))
            }
            Call::ContactAdd(_) => Err(RpcError::new(Kind::Unreachable, "nobody could be reached")),
            Call::EventsSubscribe(params) if params.consumer == "refused" => {
                Err(RpcError::new(Kind::RateLimited, "there is no room for another"))
            }
            Call::EventsSubscribe(params) => Ok(json!({"consumer": params.consumer, "acknowledged": 0, "newest": 0})),
            Call::ContactList(_) => Ok(json!({"contacts": []})),
            Call::NodeInfo(_) => Ok(json!({"this": "is none of its replies"})),
            _ => Err(RpcError::new(Kind::Internal, "nobody asks for that here")),
        }
    }

    fn events(&self, consumer: String) -> mpsc::Receiver<Event> {
        let (sender, receiver) = mpsc::channel(8);
        self.pushes.lock().unwrap().push((consumer, sender));
        receiver
    }
}

/// A server on a socket of its own.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    pub(crate) desk: Arc<Desk>,
    pub(crate) serving: JoinHandle<()>,
    /// Dropped, it ends the server.
    pub(crate) end: oneshot::Sender<()>,
}

impl Site {
    pub(crate) fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let desk = Desk::new();
        let server = Server::bind(&folder.path().join("rpc.sock")).unwrap();
        let (end, ended) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.serve(Arc::clone(&desk), async {
            let _ = ended.await;
        }));
        Self {
            folder,
            desk,
            serving,
            end,
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("rpc.sock")
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.path()).await.unwrap()
    }

    pub(crate) async fn raw(&self) -> Raw {
        Raw::over(UnixStream::connect(self.path()).await.unwrap())
    }

    /// Waits until no connection is being served: each holds the handler, and so do the server and this site.
    pub(crate) async fn all_gone(&self) {
        until(|| Arc::strong_count(&self.desk) == 2).await;
    }
}

/// A client that can send anything.
pub(crate) struct Raw {
    pub(crate) read: Lines<BufReader<OwnedReadHalf>>,
    pub(crate) write: OwnedWriteHalf,
    /// What is held against the schemas of what was sent and answered.
    talk: Talk,
    /// The beginning of a line that is to be sent.
    begun: Vec<u8>,
}

impl Raw {
    pub(crate) fn over(stream: UnixStream) -> Self {
        let (read, write) = stream.into_split();
        Self {
            read: BufReader::new(read).lines(),
            write,
            talk: Talk::default(),
            begun: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.begun.extend_from_slice(bytes);
        while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.begun.drain(..=end).collect();
            self.talk.sent(&line);
        }
        self.write.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn line(&mut self) -> Option<Value> {
        let line = patiently(self.read.next_line()).await.unwrap()?;
        self.talk.got(line.as_bytes()).unwrap();
        Some(serde_json::from_str(&line).unwrap())
    }

    pub(crate) async fn answer(&mut self, bytes: &[u8]) -> Value {
        self.send(bytes).await;
        self.line().await.expect("the connection is still there")
    }

    /// Shows that the connection works, and that nothing else was waiting to be read.
    pub(crate) async fn works(&mut self) {
        let answer = self
            .answer(&request(json!("works"), ContactList::NAME, &json!({})))
            .await;
        assert_eq!(
            answer,
            json!({"jsonrpc": "2.0", "id": "works", "result": {"contacts": []}})
        );
    }
}

pub(crate) fn request(id: Value, method: &str, params: &Value) -> Vec<u8> {
    format!(
        "{}\n",
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
    )
    .into_bytes()
}

pub(crate) fn notification(method: &str, params: &Value) -> Vec<u8> {
    format!("{}\n", json!({"jsonrpc": "2.0", "method": method, "params": params})).into_bytes()
}

pub(crate) fn kind(answer: &Value) -> &str {
    answer["error"]["data"]["kind"].as_str().unwrap()
}

pub(crate) fn subscribe(consumer: &str) -> types::EventsSubscribe {
    types::EventsSubscribe {
        consumer: consumer.to_owned(),
        from: None,
    }
}

pub(crate) fn event(number: u64) -> Event {
    Event {
        number,
        at: "2026-01-02T03:04:05.678Z".to_owned(),
        kind: "node.started".to_owned(),
        data: json!({}),
    }
}

/// A note of [`LONG`] bytes.
pub(crate) fn long_note() -> Value {
    json!({"text": "x".repeat(LONG)})
}

pub(crate) async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it hangs")
}

pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    patiently(async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Lets everything run that can: the tests run on one thread.
pub(crate) async fn settle() {
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
}

/// Lets the server read what was sent.
pub(crate) async fn settle_a_little() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}
