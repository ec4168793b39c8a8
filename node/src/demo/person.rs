//! One person with a node: calls to it, and the notifications they get. For the demo, and for the tests of whole nodes.

use super::stage::{PATIENCE, Stage};
use anyhow::{Context, Result, anyhow};
use porchlight_rpc::Client;
use porchlight_rpc::methods::{
    ContactAdd, ContactList, ContactRemove, ContactUpdate, EventsAck, EventsSubscribe, IdentityShow, InviteCreate,
    PresenceGet, PresenceList, PresenceSet, PresenceUnsubscribe,
};
use porchlight_rpc::types::{self, Told};
use serde_json::Value;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// The consumer of events. It is durable, so nothing is missed while the node is away.
const CONSUMER: &str = "demo";

/// Between two looks at something that does not announce itself.
const LOOK: Duration = Duration::from_millis(20);

/// A person with a running node.
#[derive(Debug)]
pub struct Person {
    name: String,
    /// For calls.
    pub calls: Client,
    events: Client,
    /// What must not be found anywhere but with them and their contacts.
    pub principal: String,
}

impl Person {
    /// Meets the person whose node runs on this stage.
    ///
    /// # Errors
    ///
    /// If the node does not answer.
    pub async fn meet(stage: &Stage, name: &str) -> Result<Self> {
        let mut calls = stage.client(name).await?;
        let principal = calls.call::<IdentityShow>(&types::Nothing {}).await?.principal;
        Ok(Self {
            name: name.to_owned(),
            calls,
            events: subscribed(stage, name).await?,
            principal,
        })
    }

    /// Takes up again after their node was started anew.
    ///
    /// # Errors
    ///
    /// If the node does not answer.
    pub async fn reconnect(&mut self, stage: &Stage) -> Result<()> {
        self.calls = stage.client(&self.name).await?;
        self.events = subscribed(stage, &self.name).await?;
        Ok(())
    }

    /// What they are called here.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes an invite for one.
    ///
    /// # Errors
    ///
    /// If the node refuses.
    pub async fn invite(&mut self) -> Result<String> {
        self.invite_for(1).await
    }

    /// Makes an invite for several.
    ///
    /// # Errors
    ///
    /// If the node refuses.
    pub async fn invite_for(&mut self, uses: u32) -> Result<String> {
        let params = types::InviteCreate {
            uses: Some(uses),
            expires_in_ms: None,
            view: None,
            idempotency_key: None,
        };
        Ok(self.calls.call::<InviteCreate>(&params).await?.uri)
    }

    /// Uses an invite; gives the name of the new contact.
    ///
    /// # Errors
    ///
    /// If the node refuses.
    pub async fn add(&mut self, invite: &str) -> Result<String> {
        let params = types::ContactAdd {
            invite: invite.to_owned(),
            name: None,
            view: None,
            idempotency_key: None,
        };
        Ok(self.calls.call::<ContactAdd>(&params).await?.contact.name)
    }

    /// Sets the presence.
    ///
    /// # Errors
    ///
    /// If the node refuses.
    pub async fn set(&mut self, status: &str, note: Option<&str>) -> Result<()> {
        let params = types::PresenceSet {
            status: Some(status.to_owned()),
            note: note.map(|text| types::Note {
                lang: None,
                text: text.to_owned(),
            }),
            ..types::PresenceSet::default()
        };
        self.calls.call::<PresenceSet>(&params).await?;
        Ok(())
    }

    /// Their own presence.
    ///
    /// # Errors
    ///
    /// If the node refuses.
    pub async fn own(&mut self) -> Result<types::OwnPresence> {
        Ok(self.calls.call::<PresenceList>(&types::Nothing {}).await?.own)
    }

    /// Stops being notified of a contact.
    ///
    /// # Errors
    ///
    /// If the node refuses.
    pub async fn unsubscribe(&mut self, contact: &str) -> Result<()> {
        let params = types::OneContact {
            contact: contact.to_owned(),
        };
        self.calls.call::<PresenceUnsubscribe>(&params).await?;
        Ok(())
    }

    /// Ends it with a contact.
    ///
    /// # Errors
    ///
    /// If the node refuses.
    pub async fn remove(&mut self, contact: &str) -> Result<()> {
        let params = types::ContactRemove {
            contact: contact.to_owned(),
            idempotency_key: None,
        };
        self.calls.call::<ContactRemove>(&params).await?;
        Ok(())
    }

    /// Shows a contact another view.
    ///
    /// # Errors
    ///
    /// If the node refuses.
    pub async fn show(&mut self, contact: &str, view: &str) -> Result<()> {
        let params = types::ContactUpdate {
            contact: contact.to_owned(),
            name: None,
            view: Some(view.to_owned()),
            idempotency_key: None,
        };
        self.calls.call::<ContactUpdate>(&params).await?;
        Ok(())
    }

    /// Waits until a contact has ended our subscription to them.
    ///
    /// # Errors
    ///
    /// If they do not in good time.
    pub async fn cancelled(&mut self, contact: &str) -> Result<()> {
        let what = format!("be told that {contact} ended it");
        self.happened(&what, "subscription.changed", |data| {
            data.get("contact").is_some_and(|it| it == contact) && data.get("new").is_some_and(|new| new == "cancelled")
        })
        .await?;
        Ok(())
    }

    /// Asks the network for a contact.
    ///
    /// # Errors
    ///
    /// If the node refuses.
    pub async fn fetch(&mut self, contact: &str) -> Result<Told> {
        let params = types::OneContact {
            contact: contact.to_owned(),
        };
        Ok(self.calls.call::<PresenceGet>(&params).await?.presence)
    }

    /// The next notification that fits. Every event before it is acknowledged too.
    ///
    /// # Errors
    ///
    /// If it does not come, with what was told instead.
    pub async fn told(&mut self, what: &str, fits: impl Fn(&Told) -> bool) -> Result<Told> {
        let told = |data: &Value| serde_json::from_value::<Told>(data.get("new")?.clone()).ok();
        let data = self
            .happened(&format!("be told that {what}"), "presence.changed", |data| {
                told(data).is_some_and(|told| fits(&told))
            })
            .await?;
        told(&data).context("a notification that cannot be read")
    }

    /// The next event of this kind that fits, as its data. Every event before it is acknowledged too.
    ///
    /// # Errors
    ///
    /// If it does not come, with what was told instead.
    pub async fn happened(&mut self, what: &str, kind: &str, fits: impl Fn(&Value) -> bool) -> Result<Value> {
        let found = timeout(PATIENCE, async {
            loop {
                let event = self.events.next_event().await?;
                let ack = types::EventsAck {
                    consumer: CONSUMER.to_owned(),
                    number: event.number,
                };
                self.calls.call::<EventsAck>(&ack).await?;
                if event.kind == kind && fits(&event.data) {
                    return anyhow::Ok(event.data);
                }
            }
        })
        .await;
        match found {
            Ok(data) => data,
            Err(_) => Err(self.untold(what).await),
        }
    }

    /// What was seen instead.
    async fn untold(&mut self, what: &str) -> anyhow::Error {
        let seen = match self.calls.call::<PresenceList>(&types::Nothing {}).await {
            Ok(list) => format!("{:?}", list.contacts),
            Err(error) => error.to_string(),
        };
        anyhow!("expected {} to {what}; told was {seen}", self.name)
    }

    /// Waits until the subscription to a contact is active, and they see us too.
    ///
    /// # Errors
    ///
    /// If it is not in good time.
    pub async fn subscribed(&mut self, contact: &str) -> Result<()> {
        let expected = format!("expected {} and {contact} to see each other", self.name);
        timeout(PATIENCE, async {
            loop {
                let list = self.calls.call::<ContactList>(&types::Nothing {}).await?.contacts;
                let both = |known: &types::Contact| {
                    known.name == contact && known.subscription == "active" && known.watches_me
                };
                if list.iter().any(both) {
                    return Ok(());
                }
                sleep(LOOK).await;
            }
        })
        .await
        .context(expected)?
    }
}

async fn subscribed(stage: &Stage, name: &str) -> Result<Client> {
    let mut events = stage.client(name).await?;
    let params = types::EventsSubscribe {
        consumer: CONSUMER.to_owned(),
        from: Some("oldest".to_owned()),
    };
    events.call::<EventsSubscribe>(&params).await?;
    Ok(events)
}
