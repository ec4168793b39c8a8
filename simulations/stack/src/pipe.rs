//! One end of a connection, as a node's network reads and writes it.

use crate::network::Network;
use crate::way::{Parcel, Receiver, WINDOW, Way};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Bytes that are sent at once at most. Larger writes go in several parts.
const PARCEL: usize = 64 << 10;

/// One end of a connection.
pub(crate) struct Pipe {
    network: Network,
    outgoing: Arc<Way>,
    incoming: Arc<Way>,
    /// Until what comes next is there.
    asleep: Option<Pin<Box<Sleep>>>,
    said_all: bool,
}

impl Pipe {
    pub(crate) const fn new(network: Network, outgoing: Arc<Way>, incoming: Arc<Way>) -> Self {
        Self {
            network,
            outgoing,
            incoming,
            asleep: None,
            said_all: false,
        }
    }

    fn sleep_until(&mut self, at: Instant, context: &mut Context<'_>) -> Poll<()> {
        let asleep = match &mut self.asleep {
            Some(asleep) => {
                if asleep.deadline() != at {
                    asleep.as_mut().reset(at);
                }
                asleep
            }
            None => self.asleep.insert(Box::pin(sleep_until(at))),
        };
        asleep.as_mut().poll(context)
    }

    fn say_all(&mut self) {
        if !self.said_all {
            self.said_all = true;
            if self.outgoing.state().sender_broken.is_none() {
                self.network.send(&self.outgoing, Parcel::End);
            }
        }
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let way = Arc::clone(&this.incoming);
        loop {
            let mut state = way.state();
            if let Some(kind) = state.receiver_broken {
                return Poll::Ready(Err(kind.into()));
            }
            let Some((at, _)) = state.coming.front() else {
                state.reader = Some(context.waker().clone());
                return Poll::Pending;
            };
            let at = *at;
            if at > Instant::now() {
                state.reader = Some(context.waker().clone());
                drop(state);
                if this.sleep_until(at, context).is_pending() {
                    return Poll::Pending;
                }
                continue;
            }
            let read = state.read;
            match state.coming.front() {
                Some((_, Parcel::Bytes(bytes))) => {
                    let rest = bytes.get(read..).unwrap_or(&[]);
                    let (length, now) = (bytes.len(), rest.len().min(buffer.remaining()));
                    buffer.put_slice(rest.get(..now).unwrap_or(&[]));
                    state.read += now;
                    state.waiting = state.waiting.saturating_sub(now);
                    if state.read >= length {
                        state.coming.pop_front();
                        state.read = 0;
                    }
                    state.wake_writer();
                    return Poll::Ready(Ok(()));
                }
                // It stays the last thing there is to read.
                Some((_, Parcel::End)) => return Poll::Ready(Ok(())),
                Some((_, Parcel::Reset)) => {
                    state.receiver_broken = Some(io::ErrorKind::ConnectionReset);
                    drop(state);
                    let mut outgoing = this.outgoing.state();
                    outgoing.sender_broken = Some(io::ErrorKind::ConnectionReset);
                    outgoing.wake_writer();
                }
                None => {}
            }
        }
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.said_all {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let length = {
            let mut state = self.outgoing.state();
            if let Some(kind) = state.sender_broken {
                return Poll::Ready(Err(kind.into()));
            }
            let room = WINDOW.saturating_sub(state.waiting);
            if room == 0 {
                state.writer = Some(context.waker().clone());
                return Poll::Pending;
            }
            room.min(bytes.len()).min(PARCEL)
        };
        let bytes = bytes.get(..length).unwrap_or(&[]);
        self.network.send(&self.outgoing, Parcel::Bytes(bytes.to_vec()));
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.say_all();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.say_all();
        let mut state = self.incoming.state();
        if state.receiver == Receiver::There {
            state.receiver = Receiver::Gone;
            state.coming.clear();
            state.held.clear();
            state.waiting = 0;
            state.wake_writer();
        }
    }
}
