//! Relays as the user sees them: which there are, which keep a mailbox of ours, and which shall.

use crate::contacts::full;
use crate::limits::CHOSEN_RELAYS;
use crate::node::Node;
use crate::reply::{CommandError, Reply};
use crate::rows::MailboxRow;
use crate::step::Write;
use porchlight_wire::ids::NodeAddress;
use porchlight_wire::mailbox::Quota;
use porchlight_wire::time::UnixMillis;
use serde::{Deserialize, Serialize};

/// A relay as local clients see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RelayInfo {
    /// Who, and where.
    pub relay: NodeAddress,
    /// Whether it is connected, and has said that it is a relay.
    pub connected: bool,
    /// Whether the configuration names it as an entry point.
    pub seed: bool,
    /// Whether the user put it before others.
    pub chosen: bool,
    /// The mailbox we have there.
    pub mailbox: Option<MailboxInfo>,
}

/// A mailbox of ours as local clients see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MailboxInfo {
    /// Until when it is registered, unless it is registered again; none: it is not yet.
    pub until: Option<UnixMillis>,
    /// What was in it, and may be, when it was registered last.
    pub quotas: Vec<Quota>,
}

/// How much a relay keeps for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepingInfo {
    /// Mailboxes.
    pub mailboxes: usize,
    /// Envelopes in them.
    pub envelopes: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that may be.
    pub room: u64,
}

impl Node {
    /// `Command::Keeping`.
    pub(crate) fn command_keeping(&self) -> Reply {
        let keeping = self.config.mailkeeping.as_ref().map(|duties| KeepingInfo {
            mailboxes: self.disk.kept.len(),
            envelopes: self.disk.deposits.len(),
            bytes: self.disk.deposits.values().map(|row| u64::from(row.bytes)).sum(),
            room: duties.room,
        });
        Reply::Keeping(keeping)
    }

    /// `Command::UseRelay`.
    pub(crate) fn command_use_relay(&mut self, relay: NodeAddress, stop: bool) -> Result<Reply, CommandError> {
        let mut chosen = self.disk.chosen_relays.clone();
        chosen.retain(|other| other.node != relay.node);
        if stop {
            self.leave_mailboxes_at(relay.node);
        } else {
            if relay.node == self.config.node {
                return Err(CommandError::Invalid {
                    what: "the relay".to_owned(),
                    expected: "another node".to_owned(),
                    got: "this node".to_owned(),
                });
            }
            if chosen.len() >= CHOSEN_RELAYS {
                return Err(full("chosen relay", CHOSEN_RELAYS));
            }
            chosen.insert(0, relay.clone());
            self.be_willing(relay.node);
        }
        if chosen != self.disk.chosen_relays {
            self.write(Write::PutChosenRelays(chosen));
            self.interest_changed = true;
        }
        Ok(Reply::Relay(self.relay_info(&relay)))
    }

    /// `Command::ListRelays`: those chosen, then seed peers, then whoever else keeps a mailbox of ours.
    pub(crate) fn command_list_relays(&self) -> Reply {
        let mailboxes = self.disk.mailboxes.values().map(|row| &row.relay);
        let all = self
            .disk
            .chosen_relays
            .iter()
            .chain(&self.config.seed_peers)
            .chain(mailboxes);
        let mut relays: Vec<RelayInfo> = Vec::new();
        for relay in all {
            if relays.iter().all(|info| info.relay.node != relay.node) {
                relays.push(self.relay_info(relay));
            }
        }
        Reply::Relays(relays)
    }

    fn relay_info(&self, relay: &NodeAddress) -> RelayInfo {
        let at = |row: &&MailboxRow| row.relay.node == relay.node;
        let mailbox = self.disk.mailboxes.values().find(at).map(|row| MailboxInfo {
            until: row.until,
            quotas: row.quotas.clone(),
        });
        RelayInfo {
            relay: relay.clone(),
            connected: self.connected.get(&relay.node) == Some(&true),
            seed: self.config.seed_peers.iter().any(|seed| seed.node == relay.node),
            chosen: self.disk.chosen_relays.iter().any(|chosen| chosen.node == relay.node),
            mailbox,
        }
    }
}
