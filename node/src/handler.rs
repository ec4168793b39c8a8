//! Answers the calls of local clients: commands go to the core, questions about the network to the network, and events are
//! read from the store.

mod access;
mod messages;
mod presence;
mod relays;

use crate::clock::{millis, unix_now};
use crate::config::{Layers, Overrides};
use crate::convert::rpc as convert;
use crate::diagnose::Diagnoses;
use crate::driver::Core;
use crate::notices::notices;
use porchlight_net::{Counters, Net, PathCounters, Role};
use porchlight_proto::input::ConsumerStart;
use porchlight_proto::{Command, Reply};
use porchlight_rpc::schema::{Examples, openrpc};
use porchlight_rpc::types::{self, Event};
use porchlight_rpc::{Call, Handler, Kind, RpcError};
use porchlight_store::{EventReader, Store};
use porchlight_wire::ids::{NodeId, PrincipalId};
use porchlight_wire::time::UnixMillis;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Events in one answer at most.
const MOST_EVENTS: u32 = 1_000;

/// The longest a client may have its call wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Events pushed ahead of a client that reads slowly.
const PUSHED_AHEAD: usize = 64;

/// The default life of an invite.
const INVITE_LIFE: u64 = 7 * 86_400_000;

/// The view that contacts are granted unless told otherwise.
const CONTACTS_VIEW: &str = "contacts";

/// What does not change while the node is up.
#[derive(Clone, Debug)]
pub struct About {
    /// The home's folder.
    pub home: PathBuf,
    /// The network's name.
    pub network: String,
    /// The node's role.
    pub role: Role,
    /// What new contacts are told.
    pub name: Option<String>,
    /// The principal.
    pub principal: PrincipalId,
    /// The device's id.
    pub device: String,
    /// The node.
    pub node: NodeId,
    /// Whether seed peers are configured.
    pub seeds: usize,
    /// Whether presence, and messages, are switched on.
    pub does: Does,
    /// The configuration.
    pub layers: Layers,
    /// When it came up.
    pub started: UnixMillis,
}

/// What of the two a node does: each works without the other (RFC 2779 2.1.1).
#[derive(Clone, Copy, Debug)]
pub struct Does {
    /// Tells our presence, and watches that of others.
    pub presence: bool,
    /// Sends and takes messages.
    pub messages: bool,
}

/// Answers calls.
#[derive(Debug)]
pub struct Api {
    pub(crate) about: About,
    up_since: Instant,
    pub(crate) core: Core,
    pub(crate) net: Net,
    pub(crate) store: Store,
    pub(crate) events: EventReader,
    pub(crate) diagnoses: Diagnoses,
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "to each command there is one reply that fits; any other is a fault"
)]
impl Api {
    /// An API over a running node.
    #[must_use]
    pub fn new(about: About, core: Core, net: Net, store: Store) -> Arc<Self> {
        let events = store.events();
        Arc::new(Self {
            about,
            up_since: Instant::now(),
            core,
            net,
            store,
            events,
            diagnoses: Diagnoses::default(),
        })
    }

    async fn command(&self, command: Command, key: Option<String>) -> Result<Reply, RpcError> {
        self.core
            .command(command, key)
            .await
            .map_err(|error| convert::error(&error))
    }

    async fn answer(&self, call: Call) -> Result<Value, RpcError> {
        match call {
            Call::NodeInfo(_) => value(&self.info().await?),
            Call::NodeStop(_) => {
                self.command(Command::Stop, None).await?;
                value(&types::Stopping { stopping: true })
            }
            Call::NodeHealth(_) => value(&self.health(true).await),
            Call::NodeConfigGet(_) => self.config().await,
            Call::IdentityShow(_) => value(&types::IdentityShown {
                principal: self.about.principal.to_string(),
                name: self.about.name.clone(),
                device: self.about.device.clone(),
                node: self.about.node.to_string(),
                network: self.about.network.clone(),
            }),
            Call::InviteCreate(params) => self.create_invite(params).await,
            Call::ContactAdd(params) => {
                let command = Command::AddContact {
                    invite: params.invite,
                    name: params.name,
                    view: params.view.unwrap_or_else(|| CONTACTS_VIEW.to_owned()),
                };
                match self.command(command, params.idempotency_key).await? {
                    Reply::Contact(info) => value(&types::ContactAdded {
                        contact: convert::contact(&info),
                    }),
                    other => Err(unexpected(&other)),
                }
            }
            Call::ContactList(_) => match self.command(Command::ListContacts, None).await? {
                Reply::Contacts(contacts) => value(&types::ContactList {
                    contacts: contacts.iter().map(convert::contact).collect(),
                }),
                other => Err(unexpected(&other)),
            },
            Call::InviteList(_) => self.list_invites().await,
            Call::InviteRevoke(params) => self.revoke_invite(params).await,
            Call::ContactUpdate(params) => self.update_contact(params).await,
            Call::ContactRemove(params) => self.remove_contact(params).await,
            Call::ViewList(_) => self.list_views().await,
            Call::ViewCreate(params) => self.create_view(params).await,
            Call::ViewUpdate(params) => self.update_view(params).await,
            Call::ViewDelete(params) => self.delete_view(params).await,
            Call::GrantList(_) => self.list_grants().await,
            Call::GrantRevoke(params) => self.revoke_grant(params).await,
            Call::WatcherList(_) => self.list_watchers().await,
            Call::PresenceSet(params) => self.set_presence(params).await,
            Call::PresenceClear(params) => self.clear_presence(params).await,
            Call::PresenceShow(_) => self.show_presence().await,
            Call::PresenceGet(params) => match self
                .command(
                    Command::Fetch {
                        contact: params.contact,
                    },
                    None,
                )
                .await?
            {
                Reply::Told(told) => value(&types::PresenceGot {
                    presence: convert::presence(&told),
                }),
                other => Err(unexpected(&other)),
            },
            Call::PresenceSubscribe(params) => {
                self.subscription(Command::Subscribe {
                    contact: params.contact,
                })
                .await
            }
            Call::PresenceUnsubscribe(params) => {
                self.subscription(Command::Unsubscribe {
                    contact: params.contact,
                })
                .await
            }
            Call::PresencePoll(params) => self.poll(params).await,
            Call::PresenceUnpoll(params) => self.unpoll(params).await,
            Call::PresencePolls(_) => self.list_polls().await,
            Call::PresenceList(_) => value(&self.list_presence().await?),
            Call::MessageSend(params) => self.send_message(params).await,
            Call::MessageList(params) => self.list_messages(params).await,
            Call::MessageGet(params) => self.get_message(params).await,
            Call::MessageSearch(params) => self.search_messages(params).await,
            Call::MessageMarkRead(params) => self.mark_read(params).await,
            Call::MessageCancel(params) => self.cancel_message(params).await,
            Call::MessageConversations(_) => self.list_conversations().await,
            Call::OutboxList(_) => self.list_outbox().await,
            Call::OutboxRetry(params) => self.retry_outbox(params).await,
            Call::ContactVerify(params) => self.verify_contact(params).await,
            Call::ContactBlock(params) => {
                self.contact_after(
                    Command::BlockContact {
                        contact: params.contact,
                        politely: params.polite.unwrap_or(false),
                    },
                    None,
                )
                .await
            }
            Call::ContactUnblock(params) => {
                let contact = params.contact;
                self.contact_after(Command::UnblockContact { contact }, None).await
            }
            Call::NetPeers(_) => self.peers().await,
            Call::RelayList(_) => self.list_relays().await,
            Call::RelayUse(params) => self.use_relay(params).await,
            Call::RelayTest(params) => self.test_relay(params).await,
            Call::NetDiagnose(params) => value(&self.diagnose(params).await?),
            Call::EventsSubscribe(params) => {
                let from = match params.from.as_deref() {
                    None | Some("oldest") => ConsumerStart::Oldest,
                    Some("now") => ConsumerStart::Now,
                    Some(other) => {
                        let message = format!("from: expected 'oldest' or 'now', got {other:?}");
                        return Err(RpcError::new(Kind::InvalidParams, message));
                    }
                };
                let (acknowledged, newest) = self.consumer(&params.consumer, from).await?;
                value(&types::EventsSubscribed {
                    consumer: params.consumer,
                    acknowledged,
                    newest,
                })
            }
            Call::EventsNext(params) => self.next_events(params).await,
            Call::EventsAck(params) => {
                let command = Command::Acknowledge {
                    name: params.consumer,
                    number: params.number,
                };
                match self.command(command, None).await? {
                    Reply::Consumer { acknowledged, .. } => value(&types::EventsAcked { acknowledged }),
                    other => Err(unexpected(&other)),
                }
            }
            Call::RpcDiscover(_) => value(&openrpc(&Examples::kept())),
        }
    }

    async fn create_invite(&self, params: types::InviteCreate) -> Result<Value, RpcError> {
        let command = Command::CreateInvite {
            uses: params.uses.unwrap_or(1),
            expires_in: params.expires_in_ms.unwrap_or(INVITE_LIFE),
            view: params.view.unwrap_or_else(|| CONTACTS_VIEW.to_owned()),
        };
        match self.command(command, params.idempotency_key).await? {
            Reply::Invite {
                id,
                uri,
                qr,
                uses,
                expires,
                reach,
            } => value(&types::InviteCreated {
                invite: id.to_string(),
                uri,
                qr,
                uses,
                expires_at: convert::at(expires),
                warning: reach.is_empty().then(|| {
                    "this node is connected to no relay and listens nowhere, so nobody can find it by this invite: add a \
                     seed peer or an address to listen on to the configuration, and make another"
                        .to_owned()
                }),
                reach: reach.iter().map(ToString::to_string).collect(),
            }),
            other => Err(unexpected(&other)),
        }
    }

    async fn subscription(&self, command: Command) -> Result<Value, RpcError> {
        match self.command(command, None).await? {
            Reply::Subscription { contact, state } => value(&types::Subscription {
                contact,
                subscription: convert::subscription(state).to_owned(),
            }),
            other => Err(unexpected(&other)),
        }
    }

    async fn config(&self) -> Result<Value, RpcError> {
        let home = self.about.home.clone();
        let read = tokio::task::spawn_blocking(move || Layers::read(&home, &Overrides::default()));
        let now = read.await.map_err(|_| stopping())?;
        let layers = &self.about.layers;
        value(&types::ConfigGot {
            file: layers.path.display().to_string(),
            taken_at: Some(convert::at(self.about.started)),
            settings: convert::settings(layers, now.as_ref().ok().map(|now| &now.in_file)),
            file_problem: now.err().map(|error| error.to_string()),
        })
    }

    async fn info(&self) -> Result<types::NodeInfo, RpcError> {
        let status = self.net.status().await.map_err(|_| stopping())?;
        let presence = self.list_presence().await?;
        let relays = status.peers.iter().filter(|peer| peer.relay).count();
        let about = &self.about;
        Ok(types::NodeInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: about.node.to_string(),
            network: about.network.clone(),
            role: convert::role(about.role).to_owned(),
            principal: about.principal.to_string(),
            name: about.name.clone(),
            home: about.home.display().to_string(),
            listening: status.listening.iter().map(ToString::to_string).collect(),
            started_at: convert::at(about.started),
            uptime_ms: millis(self.up_since.elapsed()),
            peers: count(status.peers.len()),
            relays: count(relays),
            contacts: count(presence.contacts.len()),
            records: count(status.records),
            topics: count(status.topics),
            keeps: self.keeping().await?,
            own: presence.own,
            counters: counters(&status.counters),
            pid: std::process::id(),
            notices: notices(about.role, about.seeds, &about.network, about.does, &status),
        })
    }

    async fn peers(&self) -> Result<Value, RpcError> {
        let status = self.net.status().await.map_err(|_| stopping())?;
        let Reply::Contacts(contacts) = self.command(Command::ListContacts, None).await? else {
            return Err(stopping());
        };
        let peers = status
            .peers
            .iter()
            .map(|peer| types::Peer {
                node: peer.node.to_string(),
                address: peer.address.as_ref().map(ToString::to_string),
                relay: peer.relay,
                seed: peer.seed,
                contact: contacts
                    .iter()
                    .find(|contact| contact.node == Some(peer.node))
                    .map(|contact| contact.name.clone()),
                follows: peer.follows,
                direction: if peer.inbound { "in" } else { "out" }.to_owned(),
                rtt_ms: peer
                    .rtt_micros
                    .map(|micros| f64::from(u32::try_from(micros).unwrap_or(u32::MAX)) / 1000.0),
                connected_for_ms: peer.connected_for_ms,
            })
            .collect();
        value(&types::PeerList { peers })
    }

    async fn consumer(&self, name: &str, from: ConsumerStart) -> Result<(u64, u64), RpcError> {
        let command = Command::Consumer {
            name: name.to_owned(),
            from,
        };
        match self.command(command, None).await? {
            Reply::Consumer { acknowledged, newest } => Ok((acknowledged, newest)),
            other => Err(unexpected(&other)),
        }
    }

    async fn next_events(&self, params: types::EventsNext) -> Result<Value, RpcError> {
        let most = params.max.unwrap_or(100).clamp(1, MOST_EVENTS);
        let wait = Duration::from_millis(params.wait_ms.unwrap_or(0)).min(LONGEST_WAIT);
        let (acknowledged, _) = self.consumer(&params.consumer, ConsumerStart::Oldest).await?;
        let mut newest = self.core.newest_event();
        if *newest.borrow_and_update() <= acknowledged && !wait.is_zero() {
            // Either something comes, or the time is over: both are answered.
            let _ = tokio::time::timeout(wait, newest.wait_for(|newest| *newest > acknowledged)).await;
        }
        let events = read_events(&self.events, acknowledged, most).await?;
        let newest = *newest.borrow();
        let last = events.last().map_or(acknowledged, |event| event.number);
        value(&types::EventBatch {
            more: last < newest && !events.is_empty(),
            events,
            newest,
        })
    }
}

impl Handler for Api {
    async fn call(&self, call: Call) -> Result<Value, RpcError> {
        self.answer(call).await
    }

    fn events(&self, consumer: String) -> mpsc::Receiver<Event> {
        let (sender, receiver) = mpsc::channel(PUSHED_AHEAD);
        let pusher = Pusher {
            core: self.core.clone(),
            events: self.events.clone(),
            sender,
        };
        tokio::spawn(pusher.run(consumer));
        receiver
    }
}

/// Pushes events to one connection.
struct Pusher {
    core: Core,
    events: EventReader,
    sender: mpsc::Sender<Event>,
}

impl Pusher {
    async fn run(self, consumer: String) {
        let command = Command::Consumer {
            name: consumer,
            from: ConsumerStart::Oldest,
        };
        let Ok(Reply::Consumer { acknowledged, .. }) = self.core.command(command, None).await else {
            return;
        };
        let mut at = acknowledged;
        let mut newest = self.core.newest_event();
        loop {
            let Ok(events) = read_events(&self.events, at, MOST_EVENTS).await else {
                return;
            };
            for event in events {
                at = event.number;
                if self.sender.send(event).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                changed = newest.wait_for(|newest| *newest > at) => if changed.is_err() { return },
                () = self.sender.closed() => return,
            }
        }
    }
}

/// Events after `number`. Where some are no longer kept, the first one says so.
async fn read_events(reader: &EventReader, number: u64, most: u32) -> Result<Vec<Event>, RpcError> {
    let rows = reader.after(number, most).await.map_err(|error| {
        tracing::error!(%error, "events cannot be read");
        RpcError::new(Kind::Internal, error.to_string())
    })?;
    let mut events: Vec<Event> = rows.iter().map(convert::event).collect();
    if let Some(first) = events.first()
        && first.number > number + 1
    {
        let last_lost = first.number - 1;
        events.insert(0, convert::lost(number + 1, last_lost, unix_now()));
    }
    Ok(events)
}

fn value<T: Serialize>(reply: &T) -> Result<Value, RpcError> {
    serde_json::to_value(reply).map_err(|error| RpcError::new(Kind::Internal, error.to_string()))
}

/// What was answered is not logged: it may hold an invite.
fn unexpected(_reply: &Reply) -> RpcError {
    tracing::error!("the core answered something else than was asked");
    RpcError::new(Kind::Internal, "the node answered something else than was asked")
}

fn stopping() -> RpcError {
    RpcError::new(Kind::ShuttingDown, "the node is stopping")
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn counters(counters: &Counters) -> BTreeMap<String, u64> {
    let path = |name: &str, path: &PathCounters| {
        [
            (format!("{name}.accepted"), path.accepted),
            (format!("{name}.forged"), path.forged),
            (format!("{name}.untimely"), path.untimely),
            (format!("{name}.outdated"), path.outdated),
            (format!("{name}.limited"), path.limited),
        ]
    };
    path("gossip", &counters.gossip)
        .into_iter()
        .chain(path("dht", &counters.dht))
        .chain(path("stream", &counters.stream))
        .chain([
            ("beacon_bytes".to_owned(), counters.beacon_bytes),
            ("shut_out".to_owned(), counters.shut_out),
            ("pruned".to_owned(), counters.pruned),
            ("other_networks".to_owned(), counters.other_networks),
            ("repaired".to_owned(), counters.repaired),
            ("renewed".to_owned(), counters.renewed),
            ("dropped".to_owned(), counters.dropped),
        ])
        .collect()
}
