//! The commands about access: views, grants, watchers, the invites that are out, and ending it with a contact.

use super::output::{Output, age, clean, left, since, until};
use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use porchlight_rpc::methods::{
    ContactRemove, ContactUpdate, ContactVerify, GrantList, GrantRevoke, IdentityShow, InviteList, InviteRevoke,
    PresenceSubscribe, PresenceUnsubscribe, ViewCreate, ViewDelete, ViewList, ViewUpdate, WatcherList,
};
use porchlight_rpc::types;

/// Groups of a safety number that are read in one breath.
const GROUPS_IN_A_LINE: usize = 4;

/// The view that everyone sees who knows the id.
const PUBLIC: &str = "public";

#[derive(Debug, Subcommand)]
pub(super) enum ContactCmd {
    /// End it with a contact: they are told, and see nothing of you from now on.
    #[command(after_help = "\
Example:
  porchlight contact remove carol

The keys of what they could see are replaced, and everybody else who sees it is sent the new ones. What they have seen,
they have seen; they also know the addresses your node has had.")]
    Remove {
        /// Their name here.
        name: String,
    },
    /// Give a contact another name here.
    Rename {
        /// Their name here.
        name: String,
        /// The new one.
        new: String,
    },
    /// Make sure that a contact is who they say: compare a number with them.
    #[command(after_help = "\
Examples:
  porchlight contact verify carol         the number; she sees the same one for you
  porchlight contact verify carol --ok    you have compared it, by telephone or face to face
  porchlight contact verify carol --undo

Whoever passed her invite on could have put in one of their own. If the numbers are the same, nobody did.")]
    Verify {
        /// Their name here.
        name: String,
        /// You have compared it, and it is the same.
        #[arg(long)]
        ok: bool,
        /// It is not certain any more.
        #[arg(long, conflicts_with = "ok")]
        undo: bool,
    },
    /// Show a contact another view of you.
    #[command(after_help = "Example:\n  porchlight contact view carol work")]
    View {
        /// Their name here.
        name: String,
        /// The view; `porchlight view list` lists them. 'none' is nothing: you can write to each other.
        view: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ViewCmd {
    /// All views, and who holds them.
    List,
    /// Make a view: a class of watchers, and what they see.
    #[command(after_help = "\
Examples:
  porchlight view create work --shows status       open, away, busy or closed, no more
  porchlight view create glance --allows fetch     they can ask, and are not notified
  porchlight view create public --shows status     for everyone who knows your id: you are public
  porchlight invite new --view work                whoever uses it sees that much")]
    Create {
        /// Its name.
        name: String,
        /// What it shows.
        #[arg(long, default_value = "all")]
        shows: Shows,
        /// What its holders may do.
        #[arg(long, default_value = "subscribe")]
        allows: Allows,
        /// What its holders are told of where this node is; if not given, what your card says, and nothing for a view that
        /// shows little or that everyone sees.
        #[arg(long)]
        reach: Option<Reach>,
    },
    /// Say how much a view tells of where this node is.
    #[command(after_help = "\
Examples:
  porchlight view set contacts --reach relay     they find you through your relays only
  porchlight view set work --reach direct        they can follow at this node itself")]
    Set {
        /// Its name.
        name: String,
        /// What its holders are told from now on.
        #[arg(long)]
        reach: Reach,
    },
    /// Delete a view that nobody holds.
    Delete {
        /// Its name.
        name: String,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Reach {
    /// Nothing.
    None,
    /// The relays it is connected to.
    Relay,
    /// Its addresses, and the relays.
    Direct,
}

impl Reach {
    fn text(self) -> String {
        match self {
            Self::None => "none",
            Self::Relay => "relay",
            Self::Direct => "direct",
        }
        .to_owned()
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Shows {
    /// Everything you say.
    All,
    /// Open, away, busy or closed, and nothing else.
    Status,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Allows {
    /// Be notified, and ask.
    Subscribe,
    /// Ask.
    Fetch,
}

#[derive(Debug, Subcommand)]
pub(super) enum GrantCmd {
    /// What was granted to whom, and whether it has reached them.
    List,
    /// Take back what a contact may see; they stay a contact.
    #[command(after_help = "\
Example:
  porchlight grant revoke carol

`porchlight contact view carol contacts` gives it back.")]
    Revoke {
        /// Their name here.
        name: String,
    },
}

pub(super) async fn contact(out: &Output, command: &ContactCmd) -> Result<()> {
    match command {
        ContactCmd::Remove { name } => remove(out, name).await,
        ContactCmd::Verify { name, ok, undo } => verify(out, name, *ok, *undo).await,
        ContactCmd::Rename { name, new } => {
            let said = format!("{} is called {} from now on", clean(name), clean(new));
            update(out, name, Some(new.clone()), None, &said).await
        }
        ContactCmd::View { name, view } => {
            let said = format!("{} is shown the view '{}' from now on", clean(name), clean(view));
            update(out, name, None, Some(view.clone()), &said).await
        }
    }
}

async fn verify(out: &Output, name: &str, ok: bool, undo: bool) -> Result<()> {
    let params = types::ContactVerify {
        contact: name.to_owned(),
        verified: (ok || undo).then_some(ok),
    };
    let verified = out.client().await?.call::<ContactVerify>(&params).await?;
    if out.json {
        return out.object(&verified);
    }
    let name = clean(&verified.contact);
    if !ok {
        out.words(&format!("You and {name} both see this, if nobody is in between:"))?;
        let groups: Vec<&str> = verified.safety_number.split(' ').collect();
        for line in groups.chunks(GROUPS_IN_A_LINE) {
            out.words(&format!("  {}", line.join(" ")))?;
        }
    }
    out.words(&match verified.verified_at.as_deref().and_then(since) {
        Some(_) if ok => format!("{name} is verified"),
        Some(ms) => format!("verified {} ago", age(ms)),
        None => format!(
            "not verified; once you have compared it with {name}: `{}`",
            out.command(&format!("contact verify {name} --ok"))
        ),
    })
}

async fn remove(out: &Output, name: &str) -> Result<()> {
    let params = types::ContactRemove {
        contact: name.to_owned(),
        idempotency_key: None,
    };
    let removed = out.client().await?.call::<ContactRemove>(&params).await?;
    if out.json {
        return out.object(&removed);
    }
    out.words(&format!(
        "{} is no contact any more: they see nothing of you from now on, and are told so when their node is reached. \
         Invites that they used have ended.",
        clean(&removed.contact)
    ))
}

async fn update(out: &Output, contact: &str, name: Option<String>, view: Option<String>, said: &str) -> Result<()> {
    let params = types::ContactUpdate {
        contact: contact.to_owned(),
        name,
        view,
        idempotency_key: None,
    };
    let updated = out.client().await?.call::<ContactUpdate>(&params).await?;
    if out.json {
        return out.object(&updated);
    }
    out.words(said)
}

pub(super) async fn view(out: &Output, command: &ViewCmd) -> Result<()> {
    let mut client = out.client().await?;
    match command {
        ViewCmd::List => {
            let list = client.call::<ViewList>(&types::Nothing {}).await?;
            if out.json {
                return out.object(&list);
            }
            let rows: Vec<Vec<String>> = list.views.iter().map(view_row).collect();
            out.table(
                &["VIEW", "SHOWS", "HOLDERS MAY", "TELLS WHERE", "CONTACTS", "INVITES"],
                &rows,
            )
        }
        ViewCmd::Create {
            name,
            shows,
            allows,
            reach,
        } => {
            let params = types::ViewCreate {
                view: name.clone(),
                shows: Some(match shows {
                    Shows::All => "all".to_owned(),
                    Shows::Status => "status".to_owned(),
                }),
                allows: Some(match allows {
                    Allows::Subscribe => "subscribe".to_owned(),
                    Allows::Fetch => "fetch".to_owned(),
                }),
                reach: reach.map(Reach::text),
                idempotency_key: None,
            };
            let made = client.call::<ViewCreate>(&params).await?;
            if out.json {
                return out.object(&made);
            }
            if name == PUBLIC {
                let id = client.call::<IdentityShow>(&types::Nothing {}).await?.principal;
                out.words("you are public: whoever knows your id can see this view, and you cannot see who does")?;
                out.words(&format!("  your id: {id}"))?;
                return out.words(&format!("  {} ends it", out.command("view delete public")));
            }
            out.words(&format!("made the view '{}'", clean(name)))?;
            let quoted = clean(name);
            out.words(&format!("  {}", out.command(&format!("contact view NAME '{quoted}'"))))?;
            out.words(&format!("  {}", out.command(&format!("invite new --view '{quoted}'"))))
        }
        ViewCmd::Set { name, reach } => {
            let params = types::ViewUpdate {
                view: name.clone(),
                reach: reach.text(),
                idempotency_key: None,
            };
            let changed = client.call::<ViewUpdate>(&params).await?;
            if out.json {
                return out.object(&changed);
            }
            let told = match reach {
                Reach::None => "nothing of where this node is",
                Reach::Relay => "the relays of this node",
                Reach::Direct => "the addresses of this node, and its relays",
            };
            out.words(&format!("the view '{}' tells {told}, from now on", clean(name)))
        }
        ViewCmd::Delete { name } => {
            let params = types::ViewDelete {
                view: name.clone(),
                idempotency_key: None,
            };
            let deleted = client.call::<ViewDelete>(&params).await?;
            if out.json {
                return out.object(&deleted);
            }
            out.words(&format!("deleted the view '{}'", clean(name)))
        }
    }
}

fn view_row(view: &types::View) -> Vec<String> {
    let contacts: Vec<String> = view.contacts.iter().map(|name| clean(name)).collect();
    vec![
        clean(&view.view),
        view.shows.clone(),
        view.allows.clone(),
        view.reach.clone(),
        if view.view == PUBLIC {
            "everyone".to_owned()
        } else if contacts.is_empty() {
            "-".to_owned()
        } else {
            contacts.join(", ")
        },
        view.invites.to_string(),
    ]
}

pub(super) async fn grant(out: &Output, command: &GrantCmd) -> Result<()> {
    let mut client = out.client().await?;
    match command {
        GrantCmd::List => {
            let list = client.call::<GrantList>(&types::Nothing {}).await?;
            if out.json {
                return out.object(&list);
            }
            if list.grants.is_empty() {
                return out.line("nothing was granted to anyone");
            }
            let rows: Vec<Vec<String>> = list.grants.iter().map(grant_row).collect();
            out.table(&["CONTACT", "VIEW", "MAY", "REACHED THEM", "RENEWED BEFORE"], &rows)
        }
        GrantCmd::Revoke { name } => {
            let params = types::ContactRemove {
                contact: name.clone(),
                idempotency_key: None,
            };
            let updated = client.call::<GrantRevoke>(&params).await?;
            if out.json {
                return out.object(&updated);
            }
            out.words(&format!(
                "{} sees nothing of you from now on, and stays a contact",
                clean(&updated.contact.name)
            ))
        }
    }
}

fn grant_row(grant: &types::Grant) -> Vec<String> {
    vec![
        clean(&grant.contact),
        clean(&grant.view),
        grant.rights.join(", "),
        if grant.delivered { "yes" } else { "not yet" }.to_owned(),
        until(&grant.expires_at).map_or_else(|| "-".to_owned(), |ms| format!("in {}", left(ms))),
    ]
}

pub(super) async fn watchers(out: &Output) -> Result<()> {
    let list = out.client().await?.call::<WatcherList>(&types::Nothing {}).await?;
    if out.json {
        return out.object(&list);
    }
    if list.watchers.is_empty() {
        return out.line("nobody watches");
    }
    let rows: Vec<Vec<String>> = list
        .watchers
        .iter()
        .map(|watcher| {
            vec![
                clean(&watcher.contact),
                watcher.view.as_deref().map_or_else(|| "-".to_owned(), clean),
                watcher.state.clone(),
                match (watcher.follows, watcher.connected) {
                    (true, _) => "follows here",
                    (false, true) => "connected",
                    (false, false) => "-",
                }
                .to_owned(),
                match watcher.state.as_str() {
                    "waiting" => "their grant waits until their node is reached",
                    "terminated" => "removed; told as soon as their node is reached",
                    _ => "",
                }
                .to_owned(),
            ]
        })
        .collect();
    out.table(&["WATCHER", "VIEW", "STATE", "NOW", "REMARKS"], &rows)
}

pub(super) async fn invites(out: &Output) -> Result<()> {
    let list = out.client().await?.call::<InviteList>(&types::Nothing {}).await?;
    if out.json {
        return out.object(&list);
    }
    if list.invites.is_empty() {
        return out.words(&format!(
            "no invite is out; make one with `{}`",
            out.command("invite new")
        ));
    }
    let rows: Vec<Vec<String>> = list
        .invites
        .iter()
        .map(|invite| {
            let used: Vec<String> = invite.used_by.iter().map(|name| clean(name)).collect();
            vec![
                invite.invite.clone(),
                clean(&invite.view),
                format!("{} of {}", invite.uses_left, invite.uses),
                since(&invite.created_at).map_or_else(String::new, age),
                until(&invite.expires_at).map_or_else(|| "-".to_owned(), |ms| format!("in {}", left(ms))),
                if used.is_empty() {
                    "-".to_owned()
                } else {
                    used.join(", ")
                },
            ]
        })
        .collect();
    out.table(&["INVITE", "VIEW", "USES LEFT", "MADE", "ENDS", "USED BY"], &rows)
}

pub(super) async fn revoke_invite(out: &Output, invite: &str) -> Result<()> {
    let params = types::InviteRevoke {
        invite: invite.to_owned(),
        idempotency_key: None,
    };
    let revoked = out.client().await?.call::<InviteRevoke>(&params).await?;
    if out.json {
        return out.object(&revoked);
    }
    out.words("nobody can use this invite any more; those who did stay contacts")
}

pub(super) async fn subscribe(out: &Output, name: &str, on: bool) -> Result<()> {
    let params = types::OneContact {
        contact: name.to_owned(),
    };
    let mut client = out.client().await?;
    let now = if on {
        client.call::<PresenceSubscribe>(&params).await?
    } else {
        client.call::<PresenceUnsubscribe>(&params).await?
    };
    if out.json {
        return out.object(&now);
    }
    out.words(&match now.subscription.as_str() {
        "none" => format!("you are not notified of {} any more", clean(&now.contact)),
        "active" => format!("you are notified of {}", clean(&now.contact)),
        state => format!("your subscription to {} is {state}", clean(&now.contact)),
    })
}
