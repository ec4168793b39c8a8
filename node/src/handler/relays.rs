//! The calls about relays: which there are, which keep a mailbox of ours, and whether one can be reached.

use super::{Api, count, stopping, unexpected, value};
use crate::clock::millis;
use crate::convert::rpc as convert;
use porchlight_net::Dialled;
use porchlight_proto::relays::RelayInfo;
use porchlight_proto::{Command, Reply};
use porchlight_rpc::{Kind, RpcError, types};
use porchlight_wire::ids::{NodeAddress, NodeId};
use porchlight_wire::mailbox::Quota;
use porchlight_wire::stamp::Class;
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long a node that was reached has to say what it is, and how often it is looked whether it has.
const IDENTIFIES: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "to each command there is one reply that fits; any other is a fault"
)]
impl Api {
    pub(super) async fn list_relays(&self) -> Result<Value, RpcError> {
        let relays = self.relays().await?;
        value(&types::RelayList {
            relays: relays.iter().map(relay).collect(),
        })
    }

    async fn relays(&self) -> Result<Vec<RelayInfo>, RpcError> {
        match self.command(Command::ListRelays, None).await? {
            Reply::Relays(relays) => Ok(relays),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn use_relay(&self, params: types::RelayUse) -> Result<Value, RpcError> {
        let command = Command::UseRelay {
            relay: self.named_relay(&params.relay).await?,
            stop: params.stop.unwrap_or(false),
        };
        match self.command(command, params.idempotency_key).await? {
            Reply::Relay(info) => value(&types::RelayUsed { relay: relay(&info) }),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn keeping(&self) -> Result<Option<types::Keeping>, RpcError> {
        match self.command(Command::Keeping, None).await? {
            Reply::Keeping(keeping) => Ok(keeping.map(|keeping| types::Keeping {
                mailboxes: count(keeping.mailboxes),
                envelopes: count(keeping.envelopes),
                bytes: keeping.bytes,
                room_bytes: keeping.room,
            })),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn test_relay(&self, params: types::RelayTest) -> Result<Value, RpcError> {
        let relay = self.named_relay(&params.relay).await?;
        let began = Instant::now();
        let dialled = self.net.dial(relay.clone()).await.map_err(|error| match error {
            porchlight_net::ProbeError::Busy => RpcError::new(Kind::RateLimited, error.to_string()),
            porchlight_net::ProbeError::Stopped => stopping(),
        })?;
        let reached = dialled == Dialled::Reached;
        let mut is_relay = false;
        while reached && !is_relay && began.elapsed() < IDENTIFIES {
            let status = self.net.status().await.map_err(|_| stopping())?;
            let peer = status.peers.iter().find(|peer| peer.node == relay.node);
            is_relay = peer.is_some_and(|peer| peer.relay);
            if !is_relay {
                tokio::time::sleep(LOOK).await;
            }
        }
        let found = match dialled {
            Dialled::Reached if is_relay => "it answers, and is a relay".to_owned(),
            Dialled::Reached => "it answers, and does not say that it is a relay".to_owned(),
            Dialled::Refused => "nobody listens there".to_owned(),
            Dialled::TimedOut => "nothing came back in time".to_owned(),
            Dialled::OtherNode(Some(other)) => format!("another node is there: {other}"),
            Dialled::OtherNode(None) => "another node is there".to_owned(),
            Dialled::Undiallable => "this program cannot dial such an address".to_owned(),
            Dialled::Failed(reason) => reason,
        };
        value(&types::RelayTested {
            address: relay.to_string(),
            reached,
            is_relay,
            found,
            took_ms: millis(began.elapsed()),
        })
    }

    /// A relay by its address, or by the id of one that is known.
    async fn named_relay(&self, text: &str) -> Result<NodeAddress, RpcError> {
        if let Ok(address) = text.parse::<NodeAddress>() {
            return Ok(address);
        }
        let Ok(node) = text.parse::<NodeId>() else {
            let message =
                format!("relay: expected an address that ends in /p2p/ and an id, or an id alone, got {text:?}");
            return Err(RpcError::new(Kind::InvalidParams, message)
                .hint("`porchlight status` on the relay shows its addresses"));
        };
        let relays = self.relays().await?;
        let known = relays.into_iter().find(|info| info.relay.node == node);
        known.map(|info| info.relay).ok_or_else(|| {
            RpcError::new(Kind::NotFound, format!("no relay {node} is known here"))
                .hint("give its address: `porchlight status` on the relay shows it")
        })
    }
}

fn relay(info: &RelayInfo) -> types::Relay {
    types::Relay {
        node: info.relay.node.to_string(),
        address: info.relay.to_string(),
        connected: info.connected,
        seed: info.seed,
        chosen: info.chosen,
        mailbox: info.mailbox.as_ref().map(|mailbox| types::Mailbox {
            registered_until_at: mailbox.until.map(convert::at),
            quotas: mailbox.quotas.iter().map(quota).collect(),
        }),
    }
}

fn quota(quota: &Quota) -> types::MailboxQuota {
    let class = match quota.class {
        Class::Stranger => "stranger",
        Class::Contact => "contact",
        Class::Invited => "invited",
    };
    types::MailboxQuota {
        class: class.to_owned(),
        envelopes: quota.envelopes,
        most_envelopes: quota.most_envelopes,
        bytes: quota.bytes,
        most_bytes: quota.most_bytes,
    }
}
