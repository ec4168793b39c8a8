//! The commands about instant messages.

use super::output::{Output, age, clean, left, since, until};
use crate::clock::millis;
use crate::failure::{Exit, Failure};
use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use porchlight_rpc::methods::{
    ContactBlock, ContactUnblock, EventsSubscribe, MessageCancel, MessageGet, MessageList, MessageMarkRead,
    MessageSearch, MessageSend, OutboxList, OutboxRetry,
};
use porchlight_rpc::types::{self, Message};
use porchlight_wire::ids::RandomId;
use std::io::Read;
use std::time::{Duration, Instant};

/// Bytes of a message that are read from standard input: more than any message has.
const STDIN_BYTES: u64 = 1 << 20;

/// Messages shown at once.
const SHOWN: u32 = 500;

/// What is said to be just now, in milliseconds.
const JUST_NOW: u64 = 1_000;

/// From when on it is said that a message waited, in milliseconds.
const WAITED: u64 = 60_000;

/// Between two looks at how far a message has come.
const LOOK: Duration = Duration::from_millis(100);

/// What may be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum WaitFor {
    /// Their node has taken it, or relays keep it for them.
    Sent,
    /// Relays keep it for them, or they have it.
    Stored,
    /// It is on their disk: there is a receipt.
    Delivered,
    /// They say that they have read it.
    Read,
}

/// How a message may travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Policy {
    /// Over a connection; left with relays while they are away.
    UntilAck,
    /// Only over a connection to their own node.
    DirectOnly,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum MessagesCmd {
    /// Write to a contact.
    #[command(after_help = "\
Examples:
  porchlight send bob 'lunch at one?'
  porchlight send bob 'lunch at one?' --wait delivered --timeout 1m
  fortune | porchlight send bob - --subject 'today'
  porchlight send bob 'I owe you ten' --sign       he can show it to others

The message is kept and offered until it is delivered, for a week unless --ttl says otherwise. While they are away,
relays keep it for them, and cannot read it. With --wait, exit code 0 if it came that far, 6 if not.")]
    Send(Box<SendArgs>),
    /// Messages that came and are unread; showing them marks them as read.
    #[command(
        after_help = "Examples:\n  porchlight inbox\n  porchlight inbox -f         stay, and show those to come\n  porchlight inbox --keep     leave them unread"
    )]
    Inbox {
        /// Stay, and show those to come.
        #[arg(short, long)]
        follow: bool,
        /// Leave them unread.
        #[arg(long)]
        keep: bool,
    },
    /// Messages to and from a contact, the newest last.
    #[command(after_help = "Example:\n  porchlight log bob -n 20")]
    Log {
        /// Their name here.
        name: String,
        /// How many.
        #[arg(short = 'n', long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
        max: u32,
    },
    /// Look for words in your messages, the newest first.
    #[command(after_help = "Example:\n  porchlight search 'lunch friday'    messages with both words")]
    Search {
        /// The words.
        text: String,
        /// How many messages.
        #[arg(short = 'n', long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
        max: u32,
    },
    /// Messages that wait to be delivered.
    Outbox,
    /// Offer what waits now, and not when its turn comes.
    #[command(after_help = "Examples:\n  porchlight retry\n  porchlight retry bob    only what waits for bob")]
    Retry {
        /// Their name here.
        name: Option<String>,
    },
    /// Take back a message that was not delivered yet.
    #[command(after_help = "Example:\n  porchlight cancel 12    its number, as `porchlight outbox` shows it")]
    Cancel {
        /// Its number, or its id.
        message: String,
    },
    /// Take no messages of a contact.
    #[command(after_help = "\
Examples:
  porchlight block carol             her node is told so when she writes
  porchlight block carol --polite    what she writes is taken and dropped; she gets no receipts

What they see of your presence stays as it is.")]
    Block {
        /// Their name here.
        name: String,
        /// They are not to know.
        #[arg(long)]
        polite: bool,
    },
    /// Take messages of a contact again.
    Unblock {
        /// Their name here.
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct SendArgs {
    /// Their name here.
    name: String,
    /// What to say; `-` reads it from standard input.
    text: String,
    /// What it is about.
    #[arg(long)]
    subject: Option<String>,
    /// The message this answers: its number as `inbox` and `log` show it, or its id.
    #[arg(long, value_name = "MESSAGE")]
    reply_to: Option<String>,
    /// Give it up if it is not delivered within this time.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    ttl: Option<Duration>,
    /// How it may travel.
    #[arg(long, value_name = "POLICY", default_value = "until-ack")]
    policy: Policy,
    /// At how many of their relays it is left if they are away: two unless said otherwise.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=4))]
    copies: Option<u8>,
    /// Leave a signature that outsiders can check. You cannot deny it any more.
    #[arg(long)]
    sign: bool,
    /// Wait until it is that far.
    #[arg(long, value_name = "STATE")]
    wait: Option<WaitFor>,
    /// How long to wait.
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

pub(super) async fn messages(out: &Output, command: &MessagesCmd) -> Result<()> {
    match command {
        MessagesCmd::Send(args) => send(out, args).await,
        MessagesCmd::Inbox { follow, keep } => inbox(out, *follow, *keep).await,
        MessagesCmd::Log { name, max } => log(out, name, *max).await,
        MessagesCmd::Search { text, max } => search(out, text, *max).await,
        MessagesCmd::Outbox => outbox(out).await,
        MessagesCmd::Retry { name } => retry(out, name.as_deref()).await,
        MessagesCmd::Cancel { message } => cancel(out, message).await,
        MessagesCmd::Block { name, polite } => block(out, name, *polite).await,
        MessagesCmd::Unblock { name } => unblock(out, name).await,
    }
}

async fn send(out: &Output, args: &SendArgs) -> Result<()> {
    let text = if args.text == "-" {
        let mut text = String::new();
        std::io::stdin()
            .take(STDIN_BYTES)
            .read_to_string(&mut text)
            .context("what to send could not be read from standard input: is it text in UTF-8?")?;
        text
    } else {
        args.text.clone()
    };
    if text.trim().is_empty() {
        let failure = Failure::new(Exit::Usage, "invalid_params", "the message is empty");
        return Err(failure
            .hint("put what you want to say in quotes, or pipe it in with `-`")
            .into());
    }
    let mut client = out.client().await?;
    let in_reply_to = match &args.reply_to {
        Some(message) => Some(message_id(&mut client, message).await?),
        None => None,
    };
    let params = types::MessageSend {
        contact: args.name.clone(),
        text: Some(text),
        bodies: None,
        subject: args.subject.clone(),
        thread: None,
        in_reply_to,
        reply_to: None,
        headers: None,
        expires_in_ms: args.ttl.map(millis),
        policy: match args.policy {
            Policy::UntilAck => None,
            Policy::DirectOnly => Some("direct_only".to_owned()),
        },
        copies: args.copies,
        sign: args.sign.then_some(true),
        idempotency_key: None,
    };
    let queued = client.call::<MessageSend>(&params).await?;
    let Some(wait) = args.wait else {
        if out.json {
            return out.object(&queued);
        }
        let outbox = out.command("outbox");
        let name = clean(&queued.contact);
        return out.words(&format!(
            "queued for {name} as #{}; `{outbox}` shows what waits",
            queued.number
        ));
    };
    let until = Instant::now() + args.timeout;
    let one = types::OneMessage {
        message: queued.message.clone(),
    };
    loop {
        let message = client.call::<MessageGet>(&one).await?.message;
        let state = message.state.as_ref().map_or("queued", |state| state.state.as_str());
        let far = match state {
            "sent" => Some(WaitFor::Sent),
            "stored" => Some(WaitFor::Stored),
            "delivered" => Some(WaitFor::Delivered),
            "read" => Some(WaitFor::Read),
            _ => None,
        };
        if far.is_some_and(|far| far >= wait) {
            if out.json {
                return out.object(&types::MessageGot { message });
            }
            let name = clean(&queued.contact);
            return out.words(&match state {
                "stored" => format!("stored at relays for {name}"),
                "read" => format!("read by {name}"),
                other => format!("{other} to {name}"),
            });
        }
        let over = matches!(state, "failed" | "expired" | "cancelled");
        if over || Instant::now() >= until {
            let name = clean(&queued.contact);
            let said = if over {
                format!("the message to {name} was not delivered: {}", why_not(&message))
            } else {
                let waited = humantime::format_duration(args.timeout);
                format!(
                    "the message to {name} is not that far within {waited}: it is {}",
                    how_far(&message)
                )
            };
            let failure = Failure::new(Exit::Unreachable, "not_delivered", said);
            let hint = match (over, state) {
                (true, _) => format!("`porchlight net diagnose {name}` looks for what is in the way"),
                (false, "delivered") => "they have it, and have not said that they read it".to_owned(),
                (false, _) => "it goes on being offered; `porchlight outbox` shows what waits".to_owned(),
            };
            return Err(failure.hint(hint).into());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Why a message failed, if it did.
fn reason(state: &types::MessageState) -> Option<&'static str> {
    match state.reason.as_deref()? {
        "not_admitted" => Some("they do not know you (any more)"),
        "refused" => Some("they do not take your messages"),
        "invalid" => Some("their node could not make sense of it"),
        "removed" => Some("they are no contact any more"),
        _ => None,
    }
}

/// Why a message was not delivered, that will not be any more.
fn why_not(message: &Message) -> &'static str {
    let state = message.state.as_ref();
    state
        .and_then(reason)
        .unwrap_or_else(|| match state.map(|state| state.state.as_str()) {
            Some("expired") => "there was no receipt within its time",
            Some("cancelled") => "it was taken back",
            _ => "it failed",
        })
}

/// How far a message has come, in a few words.
fn how_far(message: &Message) -> String {
    let Some(state) = &message.state else {
        return if message.unread { "unread" } else { "" }.to_owned();
    };
    let why = reason(state).map_or_else(String::new, |why| format!(": {why}"));
    let kept = match (state.state.as_str(), &state.stored_until_at) {
        ("stored", Some(at)) => {
            let relays = match state.relays.len() {
                1 => "one relay".to_owned(),
                count => format!("{count} relays"),
            };
            format!(
                " at {relays} for {}",
                until(at).map_or_else(|| "some time".to_owned(), left)
            )
        }
        _ => String::new(),
    };
    format!("{}{why}{kept}", state.state)
}

/// Prints messages one after the other, so that they can be read aloud: who, when, how far, and below it what they say.
fn print(out: &Output, messages: &[Message]) -> Result<()> {
    for message in messages {
        let name = clean(&message.contact);
        let who = if message.direction == "in" {
            name
        } else {
            format!("you to {name}")
        };
        let ago = |ms| {
            if ms < JUST_NOW {
                "just now".to_owned()
            } else {
                format!("{} ago", age(ms))
            }
        };
        let (written, came) = (since(&message.created_at), since(&message.at));
        let mut head = format!("#{} {who}", message.number);
        if let Some(written) = written {
            head.push_str(&format!(", {}", ago(written)));
        }
        if let (Some(written), Some(came)) = (written, came)
            && written.saturating_sub(came) > WAITED
        {
            head.push_str(&format!(" (came {})", ago(came)));
        }
        let far = how_far(message);
        if !far.is_empty() {
            head.push_str(&format!(", {far}"));
        }
        if message.signed_by.is_some() {
            head.push_str(", signed");
        }
        if message.after_gap {
            head.push_str(" (something may be missing before this)");
        }
        out.words(&head)?;
        if let Some(subject) = &message.subject {
            out.words(&format!("  [{}]", clean(subject)))?;
        }
        match &message.text {
            Some(text) => {
                for line in text.lines() {
                    out.words(&format!("  {}", clean(line)))?;
                }
            }
            None => {
                let kind = message
                    .bodies
                    .first()
                    .map_or("nothing", |body| body.media_type.as_str());
                out.words(&format!("  ({}; `message.get` has the content)", clean(kind)))?;
            }
        }
    }
    Ok(())
}

async fn inbox(out: &Output, follow: bool, keep: bool) -> Result<()> {
    let mut client = out.client().await?;
    if follow {
        // Before the list, so that nothing falls between the two.
        let subscribe = types::EventsSubscribe {
            consumer: "porchlight-inbox".to_owned(),
            from: Some("now".to_owned()),
        };
        client.call::<EventsSubscribe>(&subscribe).await?;
    }
    let mut last = 0;
    loop {
        let listing = types::MessageListing {
            contact: None,
            after: (last > 0).then_some(last),
            before: None,
            unread: Some(true),
            max: Some(SHOWN),
        };
        let list = client.call::<MessageList>(&listing).await?;
        if out.json && !follow {
            out.object(&list)?;
        } else if out.json {
            for message in &list.messages {
                out.object(message)?;
            }
        } else if list.messages.is_empty() && last == 0 {
            out.words(if follow {
                "nothing new yet; ctrl-c ends"
            } else {
                "nothing new"
            })?;
        } else {
            print(out, &list.messages)?;
        }
        last = list.messages.last().map_or(last, |message| message.number);
        if !keep {
            mark(&mut client, &list.messages).await?;
        }
        if !follow {
            return Ok(());
        }
        if !list.messages.is_empty() {
            // There may be more than fits one answer.
            continue;
        }
        while client.next_event().await?.kind != "message.received" {}
    }
}

async fn mark(client: &mut porchlight_rpc::client::Client, messages: &[Message]) -> Result<()> {
    let mut done = std::collections::BTreeMap::new();
    for message in messages {
        done.insert(message.principal.clone(), message.number);
    }
    for (contact, number) in done {
        let params = types::MessageMarkRead {
            contact,
            up_to: Some(number),
        };
        client.call::<MessageMarkRead>(&params).await?;
    }
    Ok(())
}

async fn log(out: &Output, name: &str, max: u32) -> Result<()> {
    let listing = types::MessageListing {
        contact: Some(name.to_owned()),
        after: None,
        before: None,
        unread: None,
        max: Some(max),
    };
    let list = out.client().await?.call::<MessageList>(&listing).await?;
    shown(out, &list, "no messages yet")
}

async fn search(out: &Output, text: &str, max: u32) -> Result<()> {
    let params = types::MessageSearch {
        text: text.to_owned(),
        before: None,
        max: Some(max),
    };
    let list = out.client().await?.call::<MessageSearch>(&params).await?;
    shown(out, &list, "nothing found")
}

fn shown(out: &Output, list: &types::MessageList, none: &str) -> Result<()> {
    if out.json {
        return out.object(list);
    }
    if list.messages.is_empty() {
        return out.line(none);
    }
    print(out, &list.messages)
}

async fn outbox(out: &Output) -> Result<()> {
    let list = out.client().await?.call::<OutboxList>(&types::Nothing {}).await?;
    if out.json {
        return out.object(&list);
    }
    if list.messages.is_empty() {
        return out.line("nothing waits to be delivered");
    }
    let rows: Vec<Vec<String>> = list
        .messages
        .iter()
        .map(|message| {
            let text = message.text.as_deref().unwrap_or("(no text)");
            vec![
                clean(&message.contact),
                how_far(message),
                since(&message.at).map(age).unwrap_or_default(),
                until(&message.expires_at).map(left).unwrap_or_default(),
                format!("#{}", message.number),
                clean(text.lines().next().unwrap_or_default()),
            ]
        })
        .collect();
    out.table(&["TO", "STATE", "AGE", "EXPIRES IN", "MESSAGE", "TEXT"], &rows)
}

async fn retry(out: &Output, contact: Option<&str>) -> Result<()> {
    let params = types::OutboxRetry {
        contact: contact.map(str::to_owned),
    };
    let retried = out.client().await?.call::<OutboxRetry>(&params).await?;
    if out.json {
        return out.object(&retried);
    }
    out.words(&match retried.waiting {
        0 => "nothing waits to be delivered".to_owned(),
        1 => "1 message is offered now".to_owned(),
        many => format!("{many} messages are offered now"),
    })
}

/// The id of a message that is named by its number, as it is shown, or by its id.
async fn message_id(client: &mut porchlight_rpc::client::Client, named: &str) -> Result<String> {
    let Ok(number) = named.trim_start_matches('#').parse::<u64>() else {
        if named.parse::<RandomId>().is_err() {
            let said = format!(
                "expected a message's number, such as 12, or its id; got '{}'",
                clean(named)
            );
            let failure = Failure::new(Exit::Usage, "invalid_params", said);
            return Err(failure
                .hint("`porchlight outbox`, `porchlight inbox` and `porchlight log NAME` show their numbers")
                .into());
        }
        return Ok(named.to_owned());
    };
    let listing = types::MessageListing {
        contact: None,
        after: Some(number.saturating_sub(1)),
        before: None,
        unread: None,
        max: Some(1),
    };
    let list = client.call::<MessageList>(&listing).await?;
    let found = list.messages.into_iter().find(|message| message.number == number);
    found.map(|message| message.message).ok_or_else(|| {
        let failure = Failure::new(Exit::NotFound, "not_found", format!("there is no message #{number}"));
        failure
            .hint("`porchlight inbox` and `porchlight log NAME` show their numbers")
            .into()
    })
}

async fn cancel(out: &Output, message: &str) -> Result<()> {
    let mut client = out.client().await?;
    let params = types::OneMessage {
        message: message_id(&mut client, message).await?,
    };
    let cancelled = client.call::<MessageCancel>(&params).await?;
    if out.json {
        return out.object(&cancelled);
    }
    out.words(if cancelled.may_have_arrived {
        "taken back; it was on its way already, and may have arrived all the same"
    } else {
        "taken back; it was not sent yet"
    })
}

async fn block(out: &Output, name: &str, polite: bool) -> Result<()> {
    let params = types::ContactBlock {
        contact: name.to_owned(),
        polite: polite.then_some(true),
    };
    let updated = out.client().await?.call::<ContactBlock>(&params).await?;
    if out.json {
        return out.object(&updated);
    }
    let name = clean(&updated.contact.name);
    out.words(&if polite {
        format!("messages of {name} are taken and dropped; they are not told, and get no receipts")
    } else {
        format!("messages of {name} are refused; their node is told so when they write")
    })?;
    out.words("What they see of you stays as it is: `contact view` and `grant revoke` change that.")
}

async fn unblock(out: &Output, name: &str) -> Result<()> {
    let params = types::OneContact {
        contact: name.to_owned(),
    };
    let updated = out.client().await?.call::<ContactUnblock>(&params).await?;
    if out.json {
        return out.object(&updated);
    }
    out.words(&format!("messages of {} are taken again", clean(&updated.contact.name)))
}
