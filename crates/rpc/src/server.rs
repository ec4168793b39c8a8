//! The server: one task for each connection, with bounds on lines, calls and answers, so that a client that sends too much
//! or reads too little harms only itself.

use crate::error::{Kind, RpcError};
use crate::methods::Call;
use crate::types::Event;
use serde::Deserialize;
use serde_json::{Value, json};
use std::future::{Future, poll_fn};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Bytes of one line. The longest parameter is an invite of a few kilobytes.
pub const LINE_BYTES: usize = 1 << 20;

/// Connections at once.
pub const CONNECTIONS: usize = 64;

/// Calls of one connection under way at once; further lines wait unread.
pub const CALLS: usize = 32;

/// Subscriptions to events of one connection. They last as long as it does, so they are not counted among its calls.
pub const SUBSCRIPTIONS: usize = 8;

/// Answers and pushes that may wait to be written to one connection.
const ANSWERS: usize = 64;

/// The pause after a connection could not be taken: descriptors become free as others end, and not sooner for asking.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a server that ends waits for calls under way to be answered, and for clients to read the answers.
pub const GRACE: Duration = Duration::from_secs(1);

/// The socket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another node answers there.
    #[error("another node is already running on {0}: stop it first (`porchlight stop`), or use another --home")]
    InUse(PathBuf),
    /// The path is taken by something that is no socket.
    #[error("{0} is there and is no socket: move it away, or use another --home")]
    NotASocket(PathBuf),
    /// The path does not fit the operating system's limit.
    #[error(
        "the path {path} is too long for a Unix socket ({bytes} bytes, at most 107): choose a home with a shorter path"
    )]
    TooLong {
        /// The path.
        path: PathBuf,
        /// Its bytes.
        bytes: usize,
    },
    /// Anything else.
    #[error("the socket {path} cannot be made: {source}")]
    Io {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// What answers calls.
pub trait Handler: Send + Sync + 'static {
    /// Answers one call.
    fn call(&self, call: Call) -> impl Future<Output = Result<Value, RpcError>> + Send;

    /// The events of a consumer after those it has acknowledged, as they come. Ends when the receiver is dropped.
    fn events(&self, consumer: String) -> mpsc::Receiver<Event>;
}

/// A bound socket.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
}

impl Server {
    /// Binds the socket for its owner only. A socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    ///
    /// If somebody listens there, something else is there, or it cannot be made.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::fs::FileTypeExt;
        const SUN_PATH: usize = 107;
        let bytes = path.as_os_str().as_bytes().len();
        let io = |source| BindError::Io {
            path: path.to_owned(),
            source,
        };
        if bytes > SUN_PATH {
            return Err(BindError::TooLong {
                path: path.to_owned(),
                bytes,
            });
        }
        if let Ok(metadata) = std::fs::symlink_metadata(path) {
            if !metadata.file_type().is_socket() {
                return Err(BindError::NotASocket(path.to_owned()));
            }
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(BindError::InUse(path.to_owned()));
            }
            std::fs::remove_file(path).map_err(io)?;
        }
        let listener = UnixListener::bind(path).map_err(io)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(io)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }

    /// Serves connections until `end` comes true. Then no more is read, and calls under way have [`GRACE`] to be answered.
    pub async fn serve(self, handler: Arc<impl Handler>, end: impl Future<Output = ()>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let (serving, closing) = watch::channel(());
        let mut connections = JoinSet::new();
        tokio::pin!(end);
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
                () = &mut end => break,
            };
            let Ok((stream, _)) = accepted else {
                // Out of file descriptors, most likely: the next one may find some again.
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            if !is_ours(&stream) {
                tracing::warn!("a process of another user tried the socket");
                continue;
            }
            let handler = Arc::clone(&handler);
            match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    let closing = closing.clone();
                    connections.spawn(async move {
                        connection(stream, handler, closing).await;
                        drop(place);
                    });
                }
                Err(_) => {
                    connections.spawn(turn_away(stream));
                }
            }
        }
        drop(serving);
        let answered = async { while connections.join_next().await.is_some() {} };
        // Who does not read in time is left.
        let _ = timeout(GRACE, answered).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // If it cannot be removed, the next start finds that nobody listens there.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether the other end is a process of the user who owns this one.
fn is_ours(stream: &UnixStream) -> bool {
    let own = std::fs::metadata("/proc/self").map(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata));
    match (stream.peer_cred(), own) {
        (Ok(peer), Ok(own)) => peer.uid() == own,
        // Where there is no /proc, the file's mode has to do.
        (Ok(_), Err(_)) => true,
        (Err(_), _) => false,
    }
}

async fn turn_away(mut stream: UnixStream) {
    let error = RpcError::new(
        Kind::RateLimited,
        format!("there are {CONNECTIONS} connections already"),
    )
    .hint("close some, or come back later");
    let line = format!("{}\n", failure(&Value::Null, &error));
    // Whoever is gone need not be told.
    let _ = stream.write_all(line.as_bytes()).await;
}

#[derive(Deserialize)]
struct Request {
    jsonrpc: Option<String>,
    #[serde(default)]
    id: Value,
    method: String,
    #[serde(default)]
    params: Value,
}

async fn connection(stream: UnixStream, handler: Arc<impl Handler>, closing: watch::Receiver<()>) {
    let (read, write) = stream.into_split();
    let (answers, waiting) = mpsc::channel::<String>(ANSWERS);
    let writer = tokio::spawn(write_lines(write, waiting));
    read_lines(read, handler, answers, closing).await;
    // The writer ends when the last call has answered.
    let _ = writer.await;
}

async fn write_lines(mut write: OwnedWriteHalf, mut waiting: mpsc::Receiver<String>) {
    while let Some(mut line) = waiting.recv().await {
        line.push('\n');
        if write.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read_lines(
    read: OwnedReadHalf,
    handler: Arc<impl Handler>,
    answers: mpsc::Sender<String>,
    mut closing: watch::Receiver<()>,
) {
    let mut read = BufReader::new(read);
    // Dropped when nothing more is read: pushes end then. A client that went away is noticed by that alone, because nobody
    // writes to it while nothing happens.
    let (_reading, ended) = watch::channel(());
    let calls = Arc::new(Semaphore::new(CALLS));
    let subscriptions = Arc::new(Semaphore::new(SUBSCRIPTIONS));
    loop {
        let next = tokio::select! {
            next = next_line(&mut read) => next,
            // Nothing is ever sent: it changes by ending.
            _ = closing.changed() => return,
        };
        let line = match next {
            Ok(Some(line)) => line,
            Ok(None) => return,
            Err(error) => {
                let _ = answers.send(failure(&Value::Null, &error)).await;
                return;
            }
        };
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let request = match parse(&line) {
            Ok(request) => request,
            Err((id, error)) => {
                if answers.send(failure(&id, &error)).await.is_err() {
                    return;
                }
                continue;
            }
        };
        // Reading goes on only while there is a place for another call: a flood waits in the client's own buffers.
        let Ok(place) = Arc::clone(&calls).acquire_owned().await else {
            return;
        };
        let (handler, answers) = (Arc::clone(&handler), answers.clone());
        let (subscriptions, ended) = (Arc::clone(&subscriptions), ended.clone());
        let mut call = Box::pin(async move {
            let subscribed = answer(request, &*handler, &answers, subscriptions).await;
            drop(place);
            if let Some((consumer, _place)) = subscribed {
                push(handler.events(consumer), &answers, ended).await;
            }
        });
        // Begun before the next line is read: a client that sends several messages at once has them sent in that order.
        let begun = poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await;
        if begun.is_pending() {
            tokio::spawn(call);
        }
    }
}

/// One line, of at most [`LINE_BYTES`]; none at the end of the stream.
async fn next_line(read: &mut BufReader<OwnedReadHalf>) -> Result<Option<Vec<u8>>, RpcError> {
    let mut line = Vec::new();
    loop {
        let Ok(available) = read.fill_buf().await else {
            return Ok(None);
        };
        if available.is_empty() {
            // Half a line is no call.
            return Ok(None);
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let taken = end.unwrap_or(available.len());
        if line.len() + taken > LINE_BYTES {
            let message =
                format!("a line may have {LINE_BYTES} bytes, and this one has more; the connection is closed");
            return Err(RpcError::new(Kind::TooLarge, message));
        }
        line.extend(available.iter().take(taken));
        read.consume(taken + usize::from(end.is_some()));
        if end.is_some() {
            return Ok(Some(line));
        }
    }
}

fn parse(line: &[u8]) -> Result<Request, (Value, RpcError)> {
    let value: Value = serde_json::from_slice(line).map_err(|error| {
        let error = RpcError::new(Kind::ParseError, format!("this line is no JSON: {error}"));
        (Value::Null, error)
    })?;
    if value.is_array() {
        let error = RpcError::new(Kind::InvalidRequest, "batches are not served: send one object per line");
        return Err((Value::Null, error));
    }
    let id = value.get("id").cloned().unwrap_or(Value::Null);
    let request: Request = serde_json::from_value(value).map_err(|error| {
        let message = format!("this is no JSON-RPC 2.0 request: {error}");
        (id.clone(), RpcError::new(Kind::InvalidRequest, message))
    })?;
    if request.jsonrpc.as_deref() != Some("2.0") {
        let error = RpcError::new(Kind::InvalidRequest, "expected \"jsonrpc\": \"2.0\"");
        return Err((id, error));
    }
    Ok(request)
}

/// Answers a request. Gives the consumer whose events are to be pushed from now on, if it was subscribed.
async fn answer(
    request: Request,
    handler: &impl Handler,
    answers: &mpsc::Sender<String>,
    subscriptions: Arc<Semaphore>,
) -> Option<(String, OwnedSemaphorePermit)> {
    let id = request.id;
    let mut subscribed = None;
    let result = match Call::parse(&request.method, request.params) {
        Ok(Call::EventsSubscribe(params)) => match subscriptions.try_acquire_owned() {
            Ok(place) => {
                subscribed = Some((params.consumer.clone(), place));
                handler.call(Call::EventsSubscribe(params)).await
            }
            Err(_) => Err(too_many_subscriptions()),
        },
        Ok(call) => handler.call(call).await,
        Err(error) => Err(error),
    };
    if result.is_err() {
        subscribed = None;
    }
    // A notification asks for no answer, not even a bad one (JSON-RPC 2.0, section 4.1).
    if id.is_null() {
        return subscribed;
    }
    let line = match result {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string(),
        Err(error) => failure(&id, &error),
    };
    // Whoever is gone need not be told.
    answers.send(line).await.ok().and(subscribed)
}

fn too_many_subscriptions() -> RpcError {
    RpcError::new(
        Kind::RateLimited,
        format!("there are {SUBSCRIPTIONS} subscriptions on this connection already"),
    )
    .hint("open another connection")
}

/// Pushes events until the client goes away, or does not read: its events stay where they are, to be asked for.
async fn push(mut events: mpsc::Receiver<Event>, answers: &mpsc::Sender<String>, mut ended: watch::Receiver<()>) {
    let pushing = async {
        while let Some(event) = events.recv().await {
            let line = json!({"jsonrpc": "2.0", "method": "event", "params": event}).to_string();
            if answers.send(line).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = pushing => {}
        () = answers.closed() => {}
        // Nothing is ever sent: it changes by ending.
        _ = ended.changed() => {}
    }
}

fn failure(id: &Value, error: &RpcError) -> String {
    json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string()
}
