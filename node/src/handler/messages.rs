//! Calls about instant messages. What waits is the core's; what is kept for good is read from the store.

use super::{Api, unexpected, value};
use crate::convert::messages as convert;
use crate::convert::rpc::at;
use porchlight_proto::reply::ContactInfo;
use porchlight_proto::{Command, Reply};
use porchlight_rpc::{Kind, RpcError, types};
use porchlight_store::{Kept, MessageQuery, ReadError};
use porchlight_wire::ids::PrincipalId;
use serde_json::Value;
use std::collections::BTreeMap;

/// Messages in one answer if the client does not say how many.
const USUAL: u32 = 50;

/// Messages in one answer at most; the store ends a list before, where they are large.
const MOST: u32 = 500;

/// Pages looked through for something unread of one contact: some thousand messages that we wrote without reading an answer.
const PAGES: usize = 20;

/// Petnames, and up to where messages were read, by principal.
struct Known {
    names: BTreeMap<PrincipalId, String>,
    read_to: BTreeMap<PrincipalId, u64>,
}

impl Known {
    fn show(&self, (row, state): &Kept) -> types::Message {
        let name = self.names.get(&row.contact).cloned();
        let state = state
            .as_ref()
            .map(|state| convert::state(&state.state, Some(state.since)));
        let read_to = self.read_to.get(&row.contact).copied().unwrap_or(u64::MAX);
        let unread = !row.outgoing && row.number > read_to;
        convert::kept(row, name.unwrap_or_else(|| row.contact.short()), state, unread)
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "to each command there is one reply that fits; any other is a fault"
)]
impl Api {
    pub(super) async fn send_message(&self, mut params: types::MessageSend) -> Result<Value, RpcError> {
        let key = params.idempotency_key.take();
        let command = Command::SendMessage(Box::new(convert::new_message(params)?));
        match self.command(command, key).await? {
            Reply::MessageQueued {
                contact,
                principal,
                message,
                number,
                expires,
            } => value(&types::MessageQueued {
                contact,
                principal: principal.to_string(),
                message: message.to_string(),
                number,
                expires_at: at(expires),
            }),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn list_messages(&self, params: types::MessageListing) -> Result<Value, RpcError> {
        let most = most(params.max)?;
        let known = self.known().await?;
        let contact = match &params.contact {
            Some(name) => Some(self.whom(name).await?.principal),
            None => None,
        };
        let mut messages = Vec::new();
        if params.unread == Some(true) {
            for (principal, read_to) in &known.read_to {
                if contact.is_none_or(|contact| contact == *principal) {
                    // What we wrote stands between what is unread: page by page, until there is some of that.
                    let mut after = params.after.map_or(*read_to, |after| after.max(*read_to));
                    for _ in 0..PAGES {
                        let query = MessageQuery {
                            contact: Some(*principal),
                            after: Some(after),
                            before: params.before,
                            most,
                        };
                        let page = self.store.messages().list(query).await;
                        let page = page.map_err(|error| unreadable(&error))?;
                        let Some((last, _)) = page.last() else {
                            break;
                        };
                        after = last.number;
                        let came = page.into_iter().filter(|(row, _)| !row.outgoing);
                        let before = messages.len();
                        messages.extend(came);
                        if messages.len() > before {
                            break;
                        }
                    }
                }
            }
            messages.sort_by_key(|(row, _)| row.number);
            messages.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        } else {
            let query = MessageQuery {
                contact,
                after: params.after,
                before: params.before,
                most,
            };
            messages = self
                .store
                .messages()
                .list(query)
                .await
                .map_err(|error| unreadable(&error))?;
        }
        value(&types::MessageList {
            messages: messages.iter().map(|kept| known.show(kept)).collect(),
        })
    }

    pub(super) async fn search_messages(&self, params: types::MessageSearch) -> Result<Value, RpcError> {
        if params.text.trim().is_empty() {
            let message = "text: expected a word to look for, got none";
            return Err(RpcError::new(Kind::InvalidParams, message));
        }
        let known = self.known().await?;
        let most = most(params.max)?;
        let reader = self.store.messages();
        let found = reader.search(params.text, params.before, most);
        let found = found.await.map_err(|error| unreadable(&error))?;
        value(&types::MessageList {
            messages: found.iter().map(|kept| known.show(kept)).collect(),
        })
    }

    pub(super) async fn get_message(&self, params: types::OneMessage) -> Result<Value, RpcError> {
        let id = convert::message_id("message", &params.message)?;
        let kept = self
            .store
            .messages()
            .get(id)
            .await
            .map_err(|error| unreadable(&error))?;
        let Some(kept) = kept else {
            let message = format!("there is no message {}", params.message);
            return Err(RpcError::new(Kind::NotFound, message).hint("message.list shows the newest"));
        };
        value(&types::MessageGot {
            message: self.known().await?.show(&kept),
        })
    }

    pub(super) async fn cancel_message(&self, params: types::OneMessage) -> Result<Value, RpcError> {
        let message = convert::message_id("message", &params.message)?;
        match self.command(Command::CancelMessage { message }, None).await? {
            Reply::MessageCancelled {
                message,
                may_have_arrived,
            } => value(&types::MessageCancelled {
                message: message.to_string(),
                may_have_arrived,
            }),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn mark_read(&self, params: types::MessageMarkRead) -> Result<Value, RpcError> {
        let command = Command::MarkRead {
            contact: params.contact,
            up_to: params.up_to,
        };
        match self.command(command, None).await? {
            Reply::MarkedRead { contact, read, unread } => value(&types::MessagesRead {
                contact,
                read: u64::try_from(read).unwrap_or(u64::MAX),
                unread,
            }),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn list_conversations(&self) -> Result<Value, RpcError> {
        match self.command(Command::ListConversations, None).await? {
            Reply::Conversations(rows) => value(&types::ConversationList {
                conversations: rows
                    .into_iter()
                    .map(|(contact, principal, unread, _)| types::Conversation {
                        contact,
                        principal: principal.to_string(),
                        unread,
                    })
                    .collect(),
            }),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn list_outbox(&self) -> Result<Value, RpcError> {
        match self.command(Command::ListOutbox, None).await? {
            Reply::Outbox(rows) => value(&types::OutboxList {
                messages: rows
                    .into_iter()
                    .map(|(contact, row)| convert::waiting(&row, contact))
                    .collect(),
            }),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn retry_outbox(&self, params: types::OutboxRetry) -> Result<Value, RpcError> {
        let contact = params.contact;
        match self.command(Command::RetryMessages { contact }, None).await? {
            Reply::MessagesRetried { waiting } => value(&types::OutboxRetried {
                waiting: u64::try_from(waiting).unwrap_or(u64::MAX),
            }),
            other => Err(unexpected(&other)),
        }
    }

    async fn whom(&self, name: &str) -> Result<ContactInfo, RpcError> {
        let contacts = self.contacts().await?;
        let id = name.parse::<PrincipalId>().ok();
        let fits = |contact: &ContactInfo| id.map_or(contact.name == name, |id| contact.principal == id);
        contacts.into_iter().find(fits).ok_or_else(|| {
            RpcError::new(Kind::NotFound, format!("there is no contact called '{name}'"))
                .hint("`porchlight contacts` lists them")
        })
    }

    async fn contacts(&self) -> Result<Vec<ContactInfo>, RpcError> {
        match self.command(Command::ListContacts, None).await? {
            Reply::Contacts(contacts) => Ok(contacts),
            other => Err(unexpected(&other)),
        }
    }

    async fn known(&self) -> Result<Known, RpcError> {
        let contacts = self.contacts().await?;
        let conversations = match self.command(Command::ListConversations, None).await? {
            Reply::Conversations(rows) => rows,
            other => return Err(unexpected(&other)),
        };
        Ok(Known {
            names: contacts
                .into_iter()
                .map(|contact| (contact.principal, contact.name))
                .collect(),
            read_to: conversations
                .into_iter()
                .map(|(_, principal, _, read_to)| (principal, read_to))
                .collect(),
        })
    }
}

fn most(asked: Option<u32>) -> Result<u32, RpcError> {
    match asked.unwrap_or(USUAL) {
        most @ 1..=MOST => Ok(most),
        other => Err(RpcError::new(
            Kind::InvalidParams,
            format!("max: expected 1 to {MOST}, got {other}"),
        )),
    }
}

fn unreadable(error: &ReadError) -> RpcError {
    tracing::error!(%error, "messages cannot be read");
    RpcError::new(Kind::Internal, format!("the messages could not be read: {error}"))
}
