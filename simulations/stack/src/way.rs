//! One direction of a connection: what was sent and has not arrived, in order, with when it arrives. What the network is like is
//! decided in `network`; here bytes wait for their time.

use std::collections::VecDeque;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Waker;
use std::time::Duration;
use tokio::time::Instant;

/// Bytes that may be under way in one direction before the sender has to wait: a usual socket's buffers.
pub(crate) const WINDOW: usize = 256 << 10;

/// What is under way.
#[derive(Debug)]
pub(crate) enum Parcel {
    Bytes(Vec<u8>),
    /// The sender has said all.
    End,
    /// The sender's machine knows nothing of this connection any more.
    Reset,
}

impl Parcel {
    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::End | Self::Reset => 0,
        }
    }
}

/// What the receiving machine does with what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receiver {
    /// It takes it.
    There,
    /// Its program has closed the connection: it is dropped, and the other direction says so.
    Gone,
    /// It has no power: nothing is answered.
    Dark,
    /// It is up again and knows nothing of the connection: it answers with a reset.
    Forgot,
}

#[derive(Debug)]
pub(crate) struct State {
    /// On its way, and when it arrives.
    pub(crate) coming: VecDeque<(Instant, Parcel)>,
    /// Of the first parcel, so much was read.
    pub(crate) read: usize,
    /// Sent into a cut, and when: it is sent again once the cut is over.
    pub(crate) held: VecDeque<(Instant, Parcel)>,
    /// Bytes in both.
    pub(crate) waiting: usize,
    /// When the last parcel arrives: none overtakes another.
    pub(crate) last: Instant,
    /// When a parcel was sent last, and how late it is: what is sent together arrives together.
    pub(crate) sent: Option<(Instant, f64)>,
    pub(crate) receiver: Receiver,
    /// The sender's own end is broken.
    pub(crate) sender_broken: Option<io::ErrorKind>,
    /// The receiver's own end is broken.
    pub(crate) receiver_broken: Option<io::ErrorKind>,
    pub(crate) reader: Option<Waker>,
    pub(crate) writer: Option<Waker>,
}

impl State {
    pub(crate) fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    pub(crate) fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }

    /// Puts a parcel on its way, to arrive at that time or with what was sent before.
    pub(crate) fn push(&mut self, at: Instant, parcel: Parcel) {
        let at = at.max(self.last);
        self.last = at;
        self.coming.push_back((at, parcel));
        if self.coming.len() == 1 {
            self.wake_reader();
        }
    }
}

/// One direction of a connection.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) from: Ipv4Addr,
    pub(crate) to: Ipv4Addr,
    /// How long it takes without jitter and queues.
    pub(crate) takes: Duration,
    pub(crate) back: OnceLock<Weak<Self>>,
    state: Mutex<State>,
}

impl Way {
    /// Both directions of a connection.
    pub(crate) fn pair(from: Ipv4Addr, to: Ipv4Addr, takes: Duration) -> (Arc<Self>, Arc<Self>) {
        let there = Arc::new(Self::new(from, to, takes));
        let back = Arc::new(Self::new(to, from, takes));
        // Each is set here, once.
        let _ = there.back.set(Arc::downgrade(&back));
        let _ = back.back.set(Arc::downgrade(&there));
        (there, back)
    }

    fn new(from: Ipv4Addr, to: Ipv4Addr, takes: Duration) -> Self {
        Self {
            from,
            to,
            takes,
            back: OnceLock::new(),
            state: Mutex::new(State {
                coming: VecDeque::new(),
                read: 0,
                held: VecDeque::new(),
                waiting: 0,
                last: Instant::now(),
                sent: None,
                receiver: Receiver::There,
                sender_broken: None,
                receiver_broken: None,
                reader: None,
                writer: None,
            }),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The other direction, while anybody has it.
    pub(crate) fn back(&self) -> Option<Arc<Self>> {
        self.back.get()?.upgrade()
    }
}
