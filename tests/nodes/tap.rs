//! Stands between every node and its clients, whoever they are, and holds each line against the schemas of the API.
//!
//! A node that has come up has its socket moved aside, and a listener of ours takes its place: the library's client, the
//! command line and bare sockets all come through here.

use super::judge::{Line, Talk};
use porchlight::demo::stage::Between;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    pub replies: usize,
    pub errors: usize,
    pub events: usize,
    /// What did not fit.
    pub wrong: Vec<String>,
}

#[derive(Debug)]
struct Listening {
    /// Ends it.
    end: oneshot::Sender<()>,
    /// Says when it has ended.
    ended: Receiver<()>,
}

#[derive(Debug)]
pub struct Tap {
    seen: Arc<Mutex<Seen>>,
    /// By socket.
    listening: Mutex<BTreeMap<PathBuf, Listening>>,
    /// On a thread of its own, so that lines go on while a test waits for a process.
    runtime: Option<Runtime>,
}

impl Tap {
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_io()
            .build()
            .unwrap();
        Self {
            seen: Arc::default(),
            listening: Mutex::default(),
            runtime: Some(runtime),
        }
    }

    pub fn seen(&self) -> Arc<Mutex<Seen>> {
        Arc::clone(&self.seen)
    }
}

impl Between for Tap {
    fn came(&self, socket: &Path) {
        self.gone(socket);
        let aside = socket.with_extension("aside");
        std::fs::rename(socket, &aside).unwrap();
        let runtime = self.runtime.as_ref().unwrap();
        let listener = {
            let _within = runtime.enter();
            UnixListener::bind(socket).unwrap()
        };
        let (end, ending) = oneshot::channel();
        let (has_ended, ended) = sync_channel(1);
        let seen = Arc::clone(&self.seen);
        runtime.spawn(async move {
            tokio::select! {
                () = listen(&listener, &aside, &seen) => {}
                _ = ending => {}
            }
            drop(listener);
            // Nobody waits when the whole tap is dropped.
            let _ = has_ended.send(());
        });
        let listening = Listening { end, ended };
        self.listening.lock().unwrap().insert(socket.to_owned(), listening);
    }

    fn gone(&self, socket: &Path) {
        if let Some(Listening { end, ended }) = self.listening.lock().unwrap().remove(socket) {
            // It may have ended by itself. In either case the socket is free afterwards.
            let _ = end.send(());
            let _ = ended.recv();
        }
    }
}

impl Drop for Tap {
    #[expect(clippy::print_stderr, reason = "a second panic would end the process")]
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        let wrong = std::mem::take(&mut self.seen.lock().unwrap().wrong);
        if std::thread::panicking() {
            eprintln!("what the schemas do not say: {wrong:#?}");
        } else {
            assert!(wrong.is_empty(), "the API is not what its schemas say: {wrong:#?}");
        }
    }
}

async fn listen(listener: &UnixListener, aside: &Path, seen: &Arc<Mutex<Seen>>) {
    while let Ok((client, _)) = listener.accept().await {
        let (aside, seen) = (aside.to_owned(), Arc::clone(seen));
        tokio::spawn(async move {
            // Where the node is gone, the client's connection ends.
            if let Ok(node) = UnixStream::connect(aside).await {
                carry(client, node, &seen).await;
            }
        });
    }
}

async fn carry(client: UnixStream, node: UnixStream, seen: &Mutex<Seen>) {
    let talk = Mutex::new(Talk::default());
    let (from_client, to_client) = client.into_split();
    let (from_node, to_node) = node.into_split();
    let up = lines(from_client, to_node, |line| talk.lock().unwrap().sent(line));
    let down = lines(from_node, to_client, |line| {
        let judged = talk.lock().unwrap().got(line);
        let mut seen = seen.lock().unwrap();
        match judged {
            Ok(Line::Reply) => seen.replies += 1,
            Ok(Line::Error) => seen.errors += 1,
            Ok(Line::Event) => seen.events += 1,
            Err(wrong) => seen.wrong.push(wrong),
        }
    });
    tokio::pin!(up, down);
    tokio::select! {
        // Nothing more is sent: what was asked is still answered.
        () = &mut up => down.await,
        () = &mut down => {}
    }
}

/// Carries lines until there are no more, and says so to the other side.
async fn lines(from: OwnedReadHalf, mut to: OwnedWriteHalf, mut look: impl FnMut(&[u8])) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while let Ok(1..) = from.read_until(b'\n', &mut line).await {
        if line.ends_with(b"\n") {
            look(&line);
        }
        if to.write_all(&line).await.is_err() {
            return;
        }
        line.clear();
    }
    let _ = to.shutdown().await;
}
