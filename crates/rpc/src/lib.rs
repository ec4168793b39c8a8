//! Porchlight's local API: JSON-RPC 2.0, one object per line, on a Unix socket.
//!
//! [`methods`] is the one registry; the server, the client and the command line are made from it. The crate knows nothing
//! of the core: ids are texts here, and `node` converts.

pub mod client;
pub mod error;
pub mod events;
pub mod methods;
pub mod schema;
pub mod server;
pub mod types;

pub use client::{Client, ClientError};
pub use error::{Kind, RpcError};
pub use methods::{Call, METHODS, Method, MethodInfo};
pub use server::{BindError, Handler, Server};
