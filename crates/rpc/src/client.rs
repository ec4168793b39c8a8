//! The client: the command line, the demo and the tests are made of it.

use crate::error::RpcError;
use crate::methods::Method;
use crate::types::Event;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// A call that brought no reply.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no node is running for this home (nobody listens on {0})")]
    NotRunning(PathBuf),
    /// The connection broke.
    #[error("the connection to the node broke: {0}")]
    Broken(#[from] io::Error),
    /// The node went away.
    #[error("the node closed the connection")]
    Closed,
    /// The node said no.
    #[error("{0}")]
    Refused(RpcError),
    /// The answer cannot be read.
    #[error("the node's answer cannot be read: {0}")]
    Unreadable(String),
}

/// A connection to a node. Calls are made one after another.
#[derive(Debug)]
pub struct Client {
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
    last: u64,
    /// Events that were pushed while an answer was awaited. Bounded by what the server pushes between two answers.
    pushed: VecDeque<Event>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    ///
    /// If nobody listens there.
    pub async fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path)
            .await
            .map_err(|_| ClientError::NotRunning(path.to_owned()))?;
        let (read, write) = stream.into_split();
        Ok(Self {
            read: BufReader::new(read),
            write,
            last: 0,
            pushed: VecDeque::new(),
        })
    }

    /// Calls a method.
    ///
    /// # Errors
    ///
    /// If the node refuses, goes away, or answers something else.
    pub async fn call<M: Method>(&mut self, params: &M::Params) -> Result<M::Reply, ClientError> {
        let params = serde_json::to_value(params).map_err(|error| ClientError::Unreadable(error.to_string()))?;
        let result = self.call_raw(M::NAME, params).await?;
        serde_json::from_value(result).map_err(|error| ClientError::Unreadable(error.to_string()))
    }

    /// Calls a method by name.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub async fn call_raw(&mut self, method: &str, params: Value) -> Result<Value, ClientError> {
        self.last += 1;
        let id = self.last;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let written = self.write.write_all(format!("{request}\n").as_bytes()).await;
        loop {
            let mut line = match self.line().await {
                Ok(line) => line,
                // A node that closes a connection says why before it does; only if it did not, the broken pipe is all there is.
                Err(error) => return Err(written.err().map_or(error, ClientError::Broken)),
            };
            if let Some(event) = take_event(&mut line) {
                self.pushed.push_back(event?);
                continue;
            }
            let answered = line
                .get("id")
                .is_some_and(|answered| *answered == json!(id) || answered.is_null());
            if !answered {
                continue;
            }
            if let Some(error) = line.get_mut("error").map(Value::take) {
                let error =
                    serde_json::from_value(error).map_err(|error| ClientError::Unreadable(error.to_string()))?;
                return Err(ClientError::Refused(error));
            }
            return Ok(line.get_mut("result").map(Value::take).unwrap_or_default());
        }
    }

    /// The next event that is pushed, after `events.subscribe`.
    ///
    /// # Errors
    ///
    /// If the node goes away.
    pub async fn next_event(&mut self) -> Result<Event, ClientError> {
        loop {
            if let Some(event) = self.pushed.pop_front() {
                return Ok(event);
            }
            let mut line = self.line().await?;
            if let Some(event) = take_event(&mut line) {
                return event;
            }
        }
    }

    async fn line(&mut self) -> Result<Value, ClientError> {
        let mut line = String::new();
        if self.read.read_line(&mut line).await? == 0 {
            return Err(ClientError::Closed);
        }
        serde_json::from_str(&line).map_err(|error| ClientError::Unreadable(error.to_string()))
    }
}

fn take_event(line: &mut Value) -> Option<Result<Event, ClientError>> {
    if line.get("method").and_then(Value::as_str) != Some("event") {
        return None;
    }
    let params = line.get_mut("params").map(Value::take).unwrap_or_default();
    Some(serde_json::from_value(params).map_err(|error| ClientError::Unreadable(error.to_string())))
}
