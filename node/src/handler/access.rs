//! The calls about access rules: views, grants, watchers, invites that are out, and ending it with a contact.

use super::{Api, stopping, unexpected, value};
use crate::convert::presence::shows;
use crate::convert::rpc as convert;
use porchlight_proto::reply::{GrantInfo, InviteInfo, ViewInfo, WatcherInfo, WatcherState};
use porchlight_proto::rows::{Projection, ReachLevel};
use porchlight_proto::{Command, Reply};
use porchlight_rpc::{Kind, RpcError, types};
use porchlight_wire::grant::Right;
use porchlight_wire::ids::{NodeId, RandomId};
use porchlight_wire::safety_number::safety_number;
use serde_json::Value;
use std::collections::BTreeSet;

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "to each command there is one reply that fits; any other is a fault"
)]
impl Api {
    pub(super) async fn list_invites(&self) -> Result<Value, RpcError> {
        match self.command(Command::ListInvites, None).await? {
            Reply::Invites(invites) => value(&types::InviteList {
                invites: invites.iter().map(invite).collect(),
            }),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn revoke_invite(&self, params: types::InviteRevoke) -> Result<Value, RpcError> {
        let invite: RandomId = params.invite.parse().map_err(|_| {
            RpcError::new(
                Kind::InvalidParams,
                format!(
                    "invite: expected an id as invite.list shows it, got {:?}",
                    params.invite
                ),
            )
            .hint("`porchlight invite list` lists the invites")
        })?;
        match self
            .command(Command::RevokeInvite { invite }, params.idempotency_key)
            .await?
        {
            Reply::InviteRevoked { id } => value(&types::InviteRevoked { invite: id.to_string() }),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn update_contact(&self, params: types::ContactUpdate) -> Result<Value, RpcError> {
        let command = Command::UpdateContact {
            contact: params.contact,
            name: params.name,
            view: params.view,
        };
        self.contact_after(command, params.idempotency_key).await
    }

    pub(super) async fn revoke_grant(&self, params: types::ContactRemove) -> Result<Value, RpcError> {
        let contact = params.contact;
        self.contact_after(Command::RevokeGrant { contact }, params.idempotency_key)
            .await
    }

    pub(super) async fn contact_after(&self, command: Command, key: Option<String>) -> Result<Value, RpcError> {
        match self.command(command, key).await? {
            Reply::Contact(info) => value(&types::ContactUpdated {
                contact: convert::contact(&info),
            }),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn verify_contact(&self, params: types::ContactVerify) -> Result<Value, RpcError> {
        let (contact, verified) = (params.contact, params.verified);
        match self.command(Command::VerifyContact { contact, verified }, None).await? {
            Reply::Contact(info) => value(&types::ContactVerified {
                safety_number: safety_number(&self.about.principal, &info.principal),
                contact: info.name,
                principal: info.principal.to_string(),
                verified_at: info.verified.map(convert::at),
            }),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn remove_contact(&self, params: types::ContactRemove) -> Result<Value, RpcError> {
        let contact = params.contact;
        match self
            .command(Command::RemoveContact { contact }, params.idempotency_key)
            .await?
        {
            Reply::Removed { contact, principal } => value(&types::ContactRemoved {
                contact,
                principal: principal.to_string(),
            }),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn create_view(&self, params: types::ViewCreate) -> Result<Value, RpcError> {
        let projection = match params.shows.as_deref() {
            None | Some("all") => Projection::Full,
            Some("status") => Projection::StatusOnly,
            Some(other) => return Err(misfit("shows", "'all' or 'status'", other)),
        };
        let rights = match params.allows.as_deref() {
            None | Some("subscribe") => BTreeSet::from([Right::Fetch, Right::Subscribe]),
            Some("fetch") => BTreeSet::from([Right::Fetch]),
            Some(other) => return Err(misfit("allows", "'subscribe' or 'fetch'", other)),
        };
        let command = Command::CreateView {
            name: params.view,
            projection,
            rights,
            reach: params.reach.as_deref().map(reach_level).transpose()?,
        };
        self.view_after(command, params.idempotency_key).await
    }

    pub(super) async fn update_view(&self, params: types::ViewUpdate) -> Result<Value, RpcError> {
        let command = Command::UpdateView {
            name: params.view,
            reach: reach_level(&params.reach)?,
        };
        self.view_after(command, params.idempotency_key).await
    }

    pub(super) async fn delete_view(&self, params: types::ViewDelete) -> Result<Value, RpcError> {
        let name = params.view;
        self.view_after(Command::DeleteView { name }, params.idempotency_key)
            .await
    }

    async fn view_after(&self, command: Command, key: Option<String>) -> Result<Value, RpcError> {
        match self.command(command, key).await? {
            Reply::View(info) => value(&types::ViewShown { view: view(&info) }),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn list_views(&self) -> Result<Value, RpcError> {
        match self.command(Command::ListViews, None).await? {
            Reply::Views(views) => value(&types::ViewList {
                views: views.iter().map(view).collect(),
            }),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn list_grants(&self) -> Result<Value, RpcError> {
        match self.command(Command::ListGrants, None).await? {
            Reply::Grants(grants) => value(&types::GrantList {
                grants: grants.iter().map(grant).collect(),
            }),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn list_watchers(&self) -> Result<Value, RpcError> {
        match self.command(Command::ListWatchers, None).await? {
            Reply::Watchers(watchers) => {
                // Who follows here is known where the streams are.
                let status = self.net.status().await.map_err(|_| stopping())?;
                let following: BTreeSet<NodeId> = status
                    .peers
                    .iter()
                    .filter(|peer| peer.follows)
                    .map(|peer| peer.node)
                    .collect();
                value(&types::WatcherList {
                    watchers: watchers.iter().map(|info| watcher(info, &following)).collect(),
                })
            }
            other => Err(unexpected(&other)),
        }
    }
}

fn misfit(what: &str, expected: &str, got: &str) -> RpcError {
    RpcError::new(Kind::InvalidParams, format!("{what}: expected {expected}, got {got:?}"))
}

fn invite(info: &InviteInfo) -> types::Invite {
    types::Invite {
        invite: info.id.to_string(),
        view: info.view.clone(),
        uses: info.uses,
        uses_left: info.uses_left,
        used_by: info.used_by.clone(),
        created_at: convert::at(info.created),
        expires_at: convert::at(info.expires),
    }
}

fn reach_level(text: &str) -> Result<ReachLevel, RpcError> {
    match text {
        "none" => Ok(ReachLevel::None),
        "relay" => Ok(ReachLevel::Relay),
        "direct" => Ok(ReachLevel::Direct),
        other => Err(misfit("reach", "'none', 'relay' or 'direct'", other)),
    }
}

fn view(info: &ViewInfo) -> types::View {
    types::View {
        view: info.name.clone(),
        shows: shows(info.projection).to_owned(),
        allows: if info.rights.contains(&Right::Subscribe) {
            "subscribe"
        } else if info.rights.contains(&Right::Fetch) {
            "fetch"
        } else {
            "nothing"
        }
        .to_owned(),
        reach: match info.reach {
            ReachLevel::None => "none",
            ReachLevel::Relay => "relay",
            ReachLevel::Direct => "direct",
        }
        .to_owned(),
        generation: info.generation,
        contacts: info.contacts.clone(),
        invites: info.invites,
    }
}

fn grant(info: &GrantInfo) -> types::Grant {
    let right = |right: &Right| match right {
        Right::Fetch => "fetch".to_owned(),
        Right::Subscribe => "subscribe".to_owned(),
    };
    types::Grant {
        grant: info.id.to_string(),
        contact: info.contact.clone(),
        principal: info.principal.to_string(),
        view: info.view.clone(),
        generation: info.generation,
        rights: info.rights.iter().map(right).collect(),
        expires_at: convert::at(info.not_after),
        delivered: info.delivered,
    }
}

fn watcher(info: &WatcherInfo, following: &BTreeSet<NodeId>) -> types::Watcher {
    types::Watcher {
        contact: info.contact.clone(),
        principal: info.principal.to_string(),
        view: info.view.clone(),
        state: match info.state {
            WatcherState::Waiting => "waiting",
            WatcherState::Active => "active",
            WatcherState::Terminated => "terminated",
        }
        .to_owned(),
        connected: info.connected,
        follows: info.node.is_some_and(|node| following.contains(&node)),
    }
}
