//! Connections by something else than the machine's own TCP and QUIC: a simulation gives them. Whatever carries them, noise and
//! yamux run on top of it as they do over TCP, so everything above is the same.
//!
//! [`Net::start_over`](crate::Net::start_over) takes an implementation of [`Links`]; the adapter below makes a transport of
//! libp2p from it. Nothing here may know what carries the bytes.

use crate::convert::{address_of, multiaddr_of};
use futures::future::{Ready, ready};
use libp2p::Multiaddr;
use libp2p::core::Transport;
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use porchlight_wire::ids::Address;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

/// A stream of bytes in both directions, between two nodes.
pub trait Pipe: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Pipe for T {}

/// A dial under way. Nothing of it happens before it is polled.
pub type Dialling = Pin<Box<dyn Future<Output = io::Result<Box<dyn Pipe>>> + Send>>;

/// Where a node listens, and who comes. Dropping it ends the listening.
#[derive(Debug)]
pub struct Listener {
    /// The address that others dial.
    pub address: Address,
    /// Connections that others open.
    pub incoming: mpsc::Receiver<Incoming>,
}

/// A connection that another node opened.
pub struct Incoming {
    /// Its end, as it looks from here.
    pub from: Address,
    /// The connection.
    pub pipe: Box<dyn Pipe>,
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming")
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

/// What one node's connections are made of.
pub trait Links: Send + Sync {
    /// Listens.
    ///
    /// # Errors
    ///
    /// If this address cannot be listened on.
    fn listen(&self, at: &Address) -> io::Result<Listener>;

    /// Dials. An address that nobody listens on is [`io::ErrorKind::ConnectionRefused`].
    fn dial(&self, to: &Address) -> Dialling;
}

/// A connection as noise takes it.
type Carried = Compat<Box<dyn Pipe>>;

/// [`Links`] as a transport of libp2p.
pub(crate) struct LinkTransport {
    links: Arc<dyn Links>,
    /// Listeners that have not been announced yet.
    fresh: VecDeque<(ListenerId, Multiaddr)>,
    listeners: Vec<(ListenerId, Multiaddr, mpsc::Receiver<Incoming>)>,
}

impl LinkTransport {
    pub(crate) const fn new(links: Arc<dyn Links>) -> Self {
        Self {
            links,
            fresh: VecDeque::new(),
            listeners: Vec::new(),
        }
    }
}

impl Transport for LinkTransport {
    type Output = Carried;
    type Error = io::Error;
    type ListenerUpgrade = Ready<io::Result<Carried>>;
    type Dial = Pin<Box<dyn Future<Output = io::Result<Carried>> + Send>>;

    fn listen_on(&mut self, id: ListenerId, at: Multiaddr) -> Result<(), TransportError<io::Error>> {
        let Some(address) = address_of(&at) else {
            return Err(TransportError::MultiaddrNotSupported(at));
        };
        let listener = self.links.listen(&address).map_err(TransportError::Other)?;
        let bound = multiaddr_of(&listener.address).ok_or(TransportError::MultiaddrNotSupported(at))?;
        self.fresh.push_back((id, bound.clone()));
        self.listeners.push((id, bound, listener.incoming));
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.fresh.retain(|(fresh, _)| *fresh != id);
        let before = self.listeners.len();
        self.listeners.retain(|(listener, ..)| *listener != id);
        self.listeners.len() < before
    }

    fn dial(&mut self, to: Multiaddr, _: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        let Some(address) = address_of(&to) else {
            return Err(TransportError::MultiaddrNotSupported(to));
        };
        let dialling = self.links.dial(&address);
        Ok(Box::pin(async move { Ok(dialling.await?.compat()) }))
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        if let Some((listener_id, listen_addr)) = self.fresh.pop_front() {
            return Poll::Ready(TransportEvent::NewAddress {
                listener_id,
                listen_addr,
            });
        }
        let mut over = None;
        for (id, address, incoming) in &mut self.listeners {
            match incoming.poll_recv(context) {
                Poll::Ready(Some(Incoming { from, pipe })) => {
                    let Some(send_back_addr) = multiaddr_of(&from) else {
                        // Nobody could say where it comes from; the swarm has to know.
                        context.waker().wake_by_ref();
                        continue;
                    };
                    return Poll::Ready(TransportEvent::Incoming {
                        listener_id: *id,
                        upgrade: ready(Ok(pipe.compat())),
                        local_addr: address.clone(),
                        send_back_addr,
                    });
                }
                Poll::Ready(None) => {
                    over = Some(*id);
                    break;
                }
                Poll::Pending => {}
            }
        }
        if let Some(listener_id) = over {
            self.remove_listener(listener_id);
            return Poll::Ready(TransportEvent::ListenerClosed {
                listener_id,
                reason: Ok(()),
            });
        }
        Poll::Pending
    }
}
