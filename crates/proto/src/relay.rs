//! What a node does for others in the relay role, as far as it needs a memory: mailboxes, and what their owners leave here. Records and gossip are `net`'s.

pub(crate) mod left;
pub(crate) mod mailbox;

use porchlight_wire::ids::NodeId;
use std::collections::BTreeSet;

/// What a relay's administrator configured about mailboxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailkeeping {
    /// Nodes whose owners may have mailboxes here, with the largest quota.
    pub nodes: BTreeSet<NodeId>,
    /// Whether anyone may have a small one who did some work for it.
    pub strangers: bool,
    /// Bytes of envelopes in all.
    pub room: u64,
}
