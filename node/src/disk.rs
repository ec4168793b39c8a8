//! What the driver needs of a store: that writes become durable, and that envelopes, which the core does not hold, are read
//! back. The real one is SQLite; a simulation brings one that can be crashed and looked into.

use porchlight_proto::Write;
use porchlight_store::{CommitError, ReadError, Store};
use porchlight_wire::mailbox::{Held, MailboxId};

/// Keeps what the core writes.
pub trait Disk: Send + Sync + 'static {
    /// Writes could not be made durable.
    type CommitError: std::error::Error + Send + Sync + 'static;

    /// Envelopes could not be read.
    type ReadError: std::error::Error + Send + Sync + 'static;

    /// Makes writes as durable as they promise. Answers when they are. After an error it takes no more writes.
    fn commit(&self, writes: Vec<Write>) -> impl Future<Output = Result<(), Self::CommitError>> + Send;

    /// The same for what nobody waits for, and others repeat: a power cut may take it, unless a later commit made it durable.
    fn commit_unsynced(&self, writes: Vec<Write>) -> impl Future<Output = Result<(), Self::CommitError>> + Send {
        self.commit(writes)
    }

    /// Those of these envelopes in a mailbox kept here that are there. Runs beside the driver's loop.
    fn envelopes(
        &self,
        mailbox: MailboxId,
        numbers: Vec<u64>,
    ) -> impl Future<Output = Result<Vec<Held>, Self::ReadError>> + Send + 'static;
}

impl Disk for Store {
    type CommitError = CommitError;
    type ReadError = ReadError;

    async fn commit(&self, writes: Vec<Write>) -> Result<(), CommitError> {
        Self::commit(self, writes).await
    }

    async fn commit_unsynced(&self, writes: Vec<Write>) -> Result<(), CommitError> {
        Self::commit_unsynced(self, writes).await
    }

    fn envelopes(
        &self,
        mailbox: MailboxId,
        numbers: Vec<u64>,
    ) -> impl Future<Output = Result<Vec<Held>, ReadError>> + Send + 'static {
        let reader = self.events();
        async move { reader.envelopes(mailbox, numbers).await }
    }
}
