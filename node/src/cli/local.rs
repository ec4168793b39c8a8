//! The commands that work on a home itself: they make it, change what guards it, and open it for its node.

use super::output::Output;
use crate::config::{Layers, Overrides, template};
use crate::failure::{Exit, Failure};
use crate::home::{self, Home, PassphraseChange};
use crate::passphrase::Source;
use crate::run;
use anyhow::Result;
use porchlight_net::Role;
use porchlight_wire::network::{DEFAULT_NETWORK, Network};
use serde_json::json;
use std::path::Path;

/// What a new home's configuration is to say.
#[derive(Debug)]
pub(super) struct NewHome<'a> {
    name: Option<&'a str>,
    network: Network,
    role: Role,
}

impl<'a> NewHome<'a> {
    /// From what the command line says.
    pub(super) fn of(name: Option<&'a str>, network: Option<&str>, role: Role) -> Result<Self> {
        if let Some(name) = name {
            porchlight_wire::name::check_name(name)
                .map_err(|error| Failure::new(Exit::Usage, "invalid_params", format!("--name: {error}")))?;
        }
        let network = Network::named(network.unwrap_or(DEFAULT_NETWORK))
            .map_err(|error| Failure::new(Exit::Usage, "invalid_params", format!("--network: {error}")))?;
        Ok(Self { name, network, role })
    }

    fn config(&self) -> String {
        template(self.name, &self.network, self.role)
    }
}

/// Writes the configuration alone, where there is none.
pub(super) fn write_config(out: &Output, home: &NewHome<'_>) -> Result<()> {
    let path = home::write_config(&out.home, &home.config())?;
    if out.json {
        return out.object(&json!({"config": path.display().to_string()}));
    }
    out.words(&format!("wrote {}", path.display()))?;
    if home::exists_beside_config(&out.home) {
        return out
            .line("the keys and the database in the home are as they were; the configuration says the usual again");
    }
    out.words("there are no keys beside it: `porchlight init` makes them, in a folder without a configuration")
}

pub(super) fn init(out: &Output, new: &NewHome<'_>, passphrase: Option<&Source>) -> Result<()> {
    // Before anybody is asked for a passphrase.
    home::refuse_existing(&out.home)?;
    let passphrase = passphrase.map(Source::take_new).transpose()?;
    let made = home::create(&out.home, &new.config(), passphrase.as_ref())?;
    let network = &new.network;
    let home = out.home.display();
    if out.json {
        return out.object(&json!({
            "home": home.to_string(),
            "principal": made.principal.to_string(),
            "node": made.node.to_string(),
            "network": network.name(),
            "passphrase": passphrase.is_some(),
        }));
    }
    out.words(&format!("made {home}"))?;
    out.words(&format!("  principal  {}", made.principal))?;
    out.words(&format!("  network    {}", network.name()))?;
    out.words(&format!(
        "  config     {}",
        out.home.join(crate::config::FILE).display()
    ))?;
    if passphrase.is_some() {
        out.words(
            "its key is wrapped under the passphrase, which `run` asks for. Keep both this folder and the passphrase:",
        )?;
        out.words("without either of them nobody can speak for you again, and nobody can give it back to you.")?;
    } else {
        out.words("keep this folder to yourself: whoever has it speaks for you, and nobody can give it back to you.")?;
    }
    out.line("")?;
    out.line("next:")?;
    if new.role == Role::Relay {
        out.words("  see that others reach its port (4110, TCP and UDP), and name the address at which they do in config.toml")?;
        out.words("  (external), if that is not this machine's own; then")?;
        out.words(&format!("  {}", out.command("run")))?;
        return out.words(&format!(
            "  {}    in another terminal, shows the addresses that others put into their seed_peers",
            out.command("status")
        ));
    }
    out.words("  put a seed peer into config.toml (seed_peers), or give one with --seed-peer; then")?;
    out.words(&format!("  {}", out.command("run")))?;
    out.words(&format!(
        "  {}    in another terminal, to invite someone",
        out.command("invite new")
    ))
}

/// Reads the configuration and opens the home, asking for its passphrase if it has one.
pub(super) fn open(out: &Output, overrides: &Overrides, passphrase: &Source) -> Result<(Layers, Home)> {
    home::refuse_missing(&out.home)?;
    let layers = Layers::read(&out.home, overrides).map_err(|error| {
        Failure::new(Exit::Usage, "invalid_config", error.to_string()).hint(format!(
            "mend it and start again; `{}` looks it over, `porchlight run --help` shows the flags",
            out.command("config check")
        ))
    })?;
    let home = run::open(&out.home, &layers.config, passphrase)?;
    Ok((layers, home))
}

pub(super) fn set_passphrase(out: &Output, old: Option<&Path>, new: Option<&Path>) -> Result<()> {
    home::refuse_missing(&out.home)?;
    let change = home::set_passphrase(&out.home, &Source::of(old), &Source::of(new))?;
    changed(out, change)
}

pub(super) fn remove_passphrase(out: &Output, file: Option<&Path>) -> Result<()> {
    home::refuse_missing(&out.home)?;
    let change = home::remove_passphrase(&out.home, &Source::of(file))?;
    changed(out, change)
}

fn changed(out: &Output, change: PassphraseChange) -> Result<()> {
    if out.json {
        let has_one = matches!(change, PassphraseChange::Set | PassphraseChange::Replaced);
        return out.object(&json!({"home": out.home.display().to_string(), "passphrase": has_one}));
    }
    match change {
        PassphraseChange::Set => {
            out.words("the home's key is wrapped under the passphrase now, which `run` asks for.")?;
            out.words(
                "copies of the folder from before still have the key in clear, and a disk may keep what was removed from it.",
            )
        }
        PassphraseChange::Replaced => {
            out.words("the home's key is wrapped under the new passphrase now.")?;
            out.words("copies of the folder from before still open by the old one.")
        }
        PassphraseChange::Removed => {
            out.words("the home has no passphrase any more: whoever has the folder speaks for you.")
        }
        PassphraseChange::NothingToRemove => out.words("the home has no passphrase; nothing was changed."),
    }
}
