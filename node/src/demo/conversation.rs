//! The steps about messages: a conversation, and one whose recipient, sender and one relay are killed in between.

use super::person::Person;
use super::search::search_folder;
use super::stage::{PATIENCE, RELAYS, Stage};
use super::teller::{Told, show};
use anyhow::{Context, Result, ensure};
use porchlight_rpc::methods::{MessageList, MessageSend, OutboxList, PresenceList, RelayList};
use porchlight_rpc::types;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// What alice writes while bob is away. The relays are searched for it.
pub(super) const KEPT: [&str; 3] = [
    "the manuscript is finished",
    "nobody has read it yet",
    "call me when you are back",
];

/// Between two looks at something that is not told by an event.
const LOOK: Duration = Duration::from_millis(50);

pub(super) async fn talked(alice: &mut Person, bob: &mut Person) -> Result<Told> {
    let start = Instant::now();
    let question = alice.write("bob", "lunch at one?", None).await?;
    bob.receives("lunch at one?").await?;
    let came = start.elapsed();
    alice.learns(&question, "delivered").await?;
    let confirmed = start.elapsed();
    let answer = bob.write("alice", "gladly", Some(&question)).await?;
    alice.receives("gladly").await?;
    bob.learns(&answer, "delivered").await?;
    Ok(Told::new(
        format!(
            "bob had her question after {}, and she his receipt after {}: only he could give it, since nobody in between \
             can open what she wrote. His answer names her question.",
            show(came),
            show(confirmed)
        ),
        "log bob",
        "alice",
    ))
}

pub(super) async fn kept(stage: &mut Stage, alice: &mut Person, bob: &mut Person) -> Result<Told> {
    for person in [&mut *alice, &mut *bob] {
        person.has_mailboxes().await?;
    }
    stage.kill("bob").await?;
    let start = Instant::now();
    for text in KEPT {
        alice.write("bob", text, None).await?;
    }
    alice.everything_stored().await?;
    let stored = start.elapsed();
    let secrets = KEPT.map(|text| text.as_bytes().to_vec());
    for relay in RELAYS {
        let found = search_folder(&stage.home(relay), &secrets)?;
        ensure!(
            found == 0,
            "expected nothing readable on {relay}'s disk, found {found} places"
        );
    }
    stage.kill("alice").await?;
    for relay in RELAYS {
        stage.kill(relay).await?;
    }
    stage.start(RELAYS[1]).await?;
    let start = Instant::now();
    stage.start("bob").await?;
    bob.reconnect(stage).await?;
    for text in KEPT {
        bob.receives(text).await?;
    }
    let came = start.elapsed();
    let seen = bob.texts_from("alice").await?;
    ensure!(
        seen.iter().filter(|text| KEPT.contains(&text.as_str())).count() == KEPT.len(),
        "expected each message once, got {seen:?}"
    );
    stage.start(RELAYS[0]).await?;
    stage.start("alice").await?;
    alice.reconnect(stage).await?;
    alice.nothing_waits().await?;
    for name in ["alice", "bob"] {
        stage.connected_to_relays(name).await?;
    }
    bob.sees_open("alice").await?;
    alice.sees_open("bob").await?;
    Ok(Told::new(
        format!(
            "bob was killed, and alice wrote {} messages: two relays had them after {}, sealed. Then alice and both relays were \
             killed, and only one of the relays came back. bob had all of them, once and in order, {} after his node was \
             started; alice learnt so when she was back.",
            KEPT.len(),
            show(stored),
            show(came)
        ),
        "inbox --keep",
        "bob",
    ))
}

impl Person {
    /// Writes to a contact; gives the message's id.
    async fn write(&mut self, contact: &str, text: &str, answers: Option<&str>) -> Result<String> {
        let params = types::MessageSend {
            contact: contact.to_owned(),
            text: Some(text.to_owned()),
            bodies: None,
            subject: None,
            thread: None,
            in_reply_to: answers.map(str::to_owned),
            reply_to: None,
            headers: None,
            expires_in_ms: None,
            policy: None,
            copies: None,
            sign: None,
            idempotency_key: None,
        };
        Ok(self.calls.call::<MessageSend>(&params).await?.message)
    }

    /// Waits for the next message, which has to be this one.
    async fn receives(&mut self, text: &str) -> Result<()> {
        let data = self
            .happened(&format!("receive '{text}'"), "message.received", |_| true)
            .await?;
        let came = data.get("text").and_then(|text| text.as_str()).unwrap_or_default();
        ensure!(came == text, "expected the message '{text}', got '{came}'");
        Ok(())
    }

    /// Waits until a message has come so far.
    async fn learns(&mut self, message: &str, state: &str) -> Result<()> {
        self.happened(&format!("learn that a message is {state}"), "message.changed", |data| {
            let now = data.get("state").and_then(|it| it.get("state"));
            data.get("message").is_some_and(|it| it == message) && now.is_some_and(|it| it == state)
        })
        .await?;
        Ok(())
    }

    async fn texts_from(&mut self, contact: &str) -> Result<Vec<String>> {
        let listing = types::MessageListing {
            contact: Some(contact.to_owned()),
            after: None,
            before: None,
            unread: None,
            max: None,
        };
        let list = self.calls.call::<MessageList>(&listing).await?.messages;
        let came = list.into_iter().filter(|message| message.direction == "in");
        Ok(came.filter_map(|message| message.text).collect())
    }

    /// Waits until both relays have a mailbox of theirs.
    async fn has_mailboxes(&mut self) -> Result<()> {
        self.comes_true("have mailboxes at both relays", async |person| {
            let list = person.calls.call::<RelayList>(&types::Nothing {}).await?;
            let there = list.relays.iter().filter_map(|relay| relay.mailbox.as_ref());
            Ok(there.filter(|mailbox| mailbox.registered_until_at.is_some()).count() == RELAYS.len())
        })
        .await
    }

    /// Waits until both relays have everything that waits.
    async fn everything_stored(&mut self) -> Result<()> {
        self.comes_true("have everything stored at both relays", async |person| {
            let list = person.calls.call::<OutboxList>(&types::Nothing {}).await?;
            let at_both = |message: &types::Message| {
                let state = message.state.as_ref();
                state.is_some_and(|state| state.state == "stored" && state.relays.len() == RELAYS.len())
            };
            Ok(list.messages.iter().all(at_both))
        })
        .await
    }

    /// Waits until a contact is shown as open.
    async fn sees_open(&mut self, contact: &str) -> Result<()> {
        self.comes_true(&format!("see {contact} open"), async |person| {
            let list = person.calls.call::<PresenceList>(&types::Nothing {}).await?;
            let is_open = |told: &types::Told| told.contact == contact && told.status == "open";
            Ok(list.contacts.iter().any(is_open))
        })
        .await
    }

    async fn nothing_waits(&mut self) -> Result<()> {
        self.comes_true("have receipts for everything", async |person| {
            let list = person.calls.call::<OutboxList>(&types::Nothing {}).await?;
            Ok(list.messages.is_empty())
        })
        .await
    }

    async fn comes_true(&mut self, what: &str, mut look: impl AsyncFnMut(&mut Self) -> Result<bool>) -> Result<()> {
        let looking = async {
            while !look(self).await? {
                sleep(LOOK).await;
            }
            Ok::<_, anyhow::Error>(())
        };
        let looked = timeout(PATIENCE, looking).await;
        looked.with_context(|| format!("expected to {what}, and that did not come true"))?
    }
}
