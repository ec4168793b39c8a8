//! `relay`: which relays there are, which keep a mailbox of ours, and whether one can be reached.

use super::output::{Output, clean, left, until};
use crate::failure::Exit;
use anyhow::Result;
use clap::Subcommand;
use porchlight_rpc::methods::{RelayList, RelayTest, RelayUse};
use porchlight_rpc::types;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(super) enum RelayCmd {
    /// Relays that are known by name, and the mailboxes this node has there.
    #[command(after_help = "\
MAILBOX  for how long the relay has promised to keep it; the node renews it before
HOLDS    envelopes that were in it when it was registered last, and that may be")]
    Ls,
    /// Have a mailbox at this relay rather than at others.
    #[command(after_help = "\
Examples:
  porchlight relay use /dns4/relay.example.org/tcp/4110/p2p/12D3KooW...
  porchlight relay use 12D3KooW... --stop      give the mailbox there up; what is in it is lost

`porchlight status` on the relay shows its addresses. The node stays connected to it from now on.")]
    Use {
        /// Its address with its id, or the id of one that `relay ls` shows.
        relay: String,
        /// No longer.
        #[arg(long)]
        stop: bool,
    },
    /// Dial a relay, and see whether it is one.
    #[command(after_help = "Exit code 0 if it is, 6 if not.")]
    Test {
        /// Its address with its id, or the id of one that `relay ls` shows.
        relay: String,
    },
}

pub(super) async fn relay(out: &Output, command: &RelayCmd) -> Result<ExitCode> {
    match command {
        RelayCmd::Ls => list(out).await?,
        RelayCmd::Use { relay, stop } => choose(out, relay, *stop).await?,
        RelayCmd::Test { relay } => return test(out, relay).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(out: &Output) -> Result<()> {
    let list = out.client().await?.call::<RelayList>(&types::Nothing {}).await?;
    if out.json {
        return out.object(&list);
    }
    if list.relays.is_empty() {
        return out.words(&format!(
            "no relay is known by name; put one into config.toml (seed_peers), or name one with `{}`",
            out.command("relay use ADDRESS")
        ));
    }
    let rows: Vec<Vec<String>> = list.relays.iter().map(row).collect();
    out.table(&["RELAY", "KNOWN AS", "IS", "MAILBOX", "HOLDS", "ADDRESS"], &rows)
}

fn row(relay: &types::Relay) -> Vec<String> {
    let known = match (relay.chosen, relay.seed) {
        (true, true) => "chosen, seed peer",
        (true, false) => "chosen",
        (false, true) => "seed peer",
        (false, false) => "an invite's",
    };
    let (kept, holds) = match &relay.mailbox {
        None => ("none".to_owned(), String::new()),
        Some(mailbox) => {
            let kept = match mailbox.registered_until_at.as_deref().and_then(until) {
                Some(ms) => format!("for {}", left(ms)),
                None => "not yet".to_owned(),
            };
            (kept, holds(mailbox))
        }
    };
    vec![
        relay.node.clone(),
        known.to_owned(),
        if relay.connected { "connected" } else { "not connected" }.to_owned(),
        kept,
        holds,
        // Its id stands in the first column.
        relay.address.split("/p2p/").next().unwrap_or_default().to_owned(),
    ]
}

fn holds(mailbox: &types::Mailbox) -> String {
    let (held, most) = mailbox.quotas.iter().fold((0_u64, 0_u64), |(held, most), quota| {
        (
            held + u64::from(quota.envelopes),
            most + u64::from(quota.most_envelopes),
        )
    });
    format!("{held} envelopes of {most}")
}

async fn choose(out: &Output, relay: &str, stop: bool) -> Result<()> {
    let params = types::RelayUse {
        relay: relay.to_owned(),
        stop: stop.then_some(true),
        idempotency_key: None,
    };
    let used = out.client().await?.call::<RelayUse>(&params).await?;
    if out.json {
        return out.object(&used);
    }
    let list = out.command("relay ls");
    if stop {
        return out.words(&format!("{} keeps no mailbox for this node any more", used.relay.node));
    }
    out.words(&format!(
        "{} comes before other relays from now on; `{list}` shows when it keeps a mailbox",
        used.relay.node
    ))
}

async fn test(out: &Output, relay: &str) -> Result<ExitCode> {
    let params = types::RelayTest {
        relay: relay.to_owned(),
    };
    let tested = out.client().await?.call::<RelayTest>(&params).await?;
    let code = if tested.is_relay {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(Exit::Unreachable as u8)
    };
    if out.json {
        out.object(&tested)?;
    } else {
        let found = clean(&tested.found);
        out.words(&format!("{}: {found} ({} ms)", tested.address, tested.took_ms))?;
    }
    Ok(code)
}
