//! Calls about our own presence, the list of everybody's, and polls.

use super::{Api, unexpected, value};
use crate::convert::presence as convert;
use crate::convert::rpc::presence as told;
use porchlight_proto::{Command, Reply};
use porchlight_rpc::RpcError;
use porchlight_rpc::types;
use serde_json::Value;

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "to each command there is one reply that fits; any other is a fault"
)]
impl Api {
    pub(super) async fn set_presence(&self, mut params: types::PresenceSet) -> Result<Value, RpcError> {
        let key = params.idempotency_key.take();
        let command = Command::SetPresence(Box::new(convert::new_presence(params)?));
        self.own_presence(command, key).await
    }

    pub(super) async fn clear_presence(&self, params: types::PresenceClear) -> Result<Value, RpcError> {
        let parts = params.parts.into_iter().flatten();
        let command = Command::ClearPresence {
            view: params.view,
            parts: parts.map(|word| convert::parse_part(&word)).collect::<Result<_, _>>()?,
        };
        self.own_presence(command, params.idempotency_key).await
    }

    async fn own_presence(&self, command: Command, key: Option<String>) -> Result<Value, RpcError> {
        match self.command(command, key).await? {
            Reply::Presence(own) => value(&convert::own(&own)),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn show_presence(&self) -> Result<Value, RpcError> {
        match self.command(Command::ShowPresence, None).await? {
            Reply::OwnPresences { usual, views } => value(&types::PresenceShown {
                own: convert::own(&usual),
                views: views.iter().map(convert::view).collect(),
            }),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn poll(&self, params: types::PresencePoll) -> Result<Value, RpcError> {
        self.schedule(Command::Poll {
            contact: params.contact,
            every: params.every_ms,
        })
        .await
    }

    pub(super) async fn unpoll(&self, params: types::OneContact) -> Result<Value, RpcError> {
        self.schedule(Command::Unpoll {
            contact: params.contact,
        })
        .await
    }

    async fn schedule(&self, command: Command) -> Result<Value, RpcError> {
        match self.command(command, None).await? {
            Reply::Poll(info) => value(&convert::poll(&info)),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn list_polls(&self) -> Result<Value, RpcError> {
        match self.command(Command::ListPolls, None).await? {
            Reply::Polls(polls) => value(&types::PollList {
                polls: polls.iter().map(convert::poll).collect(),
            }),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn list_presence(&self) -> Result<types::PresenceList, RpcError> {
        match self.command(Command::ListPresence, None).await? {
            Reply::Presences { own, contacts } => Ok(types::PresenceList {
                own: convert::own(&own),
                contacts: contacts.iter().map(told).collect(),
            }),
            other => Err(unexpected(&other)),
        }
    }
}
