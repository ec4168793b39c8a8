//! The command line: a client of the local API, and the way to start a node.
//!
//! Everything except what works on a home itself (`init`, `run`, `config`, `passphrase`, and `demo`) or is about the program
//! (`openrpc`, `completions`, `man`) talks to a running node over its
//! socket; nothing here reads a database or a key.

mod access;
mod add;
mod commands;
mod config;
mod diagnose;
mod events;
mod examples;
mod health;
mod local;
mod messages;
mod output;
mod poll;
mod presence;
mod reference;
mod relays;
mod who;

pub(crate) use who::came;

use crate::config::{Overrides, default_home};
use crate::failure::{Exit, Failure};
use crate::passphrase::{FILE_VARIABLE, Source};
use access::{ContactCmd, GrantCmd, ViewCmd};
use anyhow::Context;
use clap::builder::FalseyValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use output::Output;
use porchlight_net::Role;
use porchlight_proto::limits::{INVITE_LIFE_MAX, INVITE_LIFE_MIN};
use presence::PresenceCmd;
use reference::MethodName;
use relays::RelayCmd;
use serde_json::json;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const ABOUT: &str = "Presence without a server: tell whom you choose that you are there, and see who is there for you.";

const EXAMPLES: &str = "\
Examples:
  porchlight demo                              see it work, in one command
  porchlight init --name alice                 make keys and a configuration
  porchlight run                               bring the node up
  porchlight invite new                        make an invite, and send it to a friend
  porchlight add 'porchlight:...' --as bob     use an invite
  porchlight who                               who is there for you
  porchlight presence set away -m 'at lunch'   say how you are

Exit codes:
  0  done
  1  something failed
  2  wrong usage
  3  no node is running for this home
  4  not granted, or another passphrase
  5  there is no such thing, or no longer
  6  nobody could be reached, or not in time
  7  something is not as it should be (`health`, `net diagnose`)
  8  it collides with something that is there

Environment:
  PORCHLIGHT_HOME             the home, as --home
  PORCHLIGHT_ROLE, PORCHLIGHT_LISTEN, PORCHLIGHT_SEED_PEERS, PORCHLIGHT_NO_MDNS, PORCHLIGHT_LOG
                              for `run` and `config`, as their flags; before the configuration's file
  PORCHLIGHT_PASSPHRASE_FILE  the file whose first line is the home's passphrase
  NO_COLOR                    no colours
  COLUMNS                     the width of the terminal. With 1, each row of a table is a block of lines,
                              to be read from top to bottom";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "porchlight", version, about = ABOUT, after_help = EXAMPLES, propagate_version = true)]
pub struct Args {
    /// The folder with keys, configuration and database.
    #[arg(long, global = true, env = "PORCHLIGHT_HOME", value_name = "DIR")]
    home: Option<PathBuf>,

    /// Print JSON, for programs.
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Cmd,

    /// Which arguments the environment gave.
    #[arg(skip)]
    by_environment: BTreeSet<String>,
}

/// What comes before the configuration's file.
#[derive(Debug, clap::Args)]
struct RunFlags {
    /// `ordinary`, or `relay`: serve others.
    #[arg(long, env = "PORCHLIGHT_ROLE")]
    role: Option<String>,
    /// Where to listen, instead of what the configuration says. May be given several times.
    #[arg(long, value_name = "MULTIADDR", env = "PORCHLIGHT_LISTEN", value_delimiter = ',')]
    listen: Vec<String>,
    /// An entry point, instead of those in the configuration. May be given several times.
    #[arg(long, value_name = "MULTIADDR", env = "PORCHLIGHT_SEED_PEERS", value_delimiter = ',')]
    seed_peer: Vec<String>,
    /// Do not announce this node on the local network, nor look for others there.
    #[arg(long, env = "PORCHLIGHT_NO_MDNS", value_parser = FalseyValueParser::new())]
    no_mdns: bool,
    /// What to log, such as `debug` or `warn,porchlight_net=trace`.
    #[arg(long, value_name = "FILTER", env = "PORCHLIGHT_LOG")]
    log: Option<String>,
}

/// What can be done.
#[derive(Debug, Subcommand)]
enum Cmd {
    /// Make a home: keys and a configuration.
    #[command(after_help = "\
Examples:
  porchlight --home ~/porch init --name alice
  porchlight init --passphrase                 ask for a passphrase, which `run` then needs
  porchlight --home relay init --role relay    a relay, with a fixed port
  porchlight init --config-only                the commented configuration alone

Without a passphrase the key is a file in the home, and the node can start by itself.")]
    Init {
        /// What new contacts are told as your name.
        #[arg(long)]
        name: Option<String>,
        /// The network to be in; all its nodes agree on the name.
        #[arg(long)]
        network: Option<String>,
        /// What the node is to be: `ordinary`, or `relay`: serve others.
        #[arg(long, default_value = "ordinary")]
        role: RoleArg,
        /// Write the commented configuration alone, and no keys: into a home whose configuration is gone.
        #[arg(long, conflicts_with_all = ["passphrase", "passphrase_file"])]
        config_only: bool,
        /// Wrap the key under a passphrase, and ask for it.
        #[arg(long)]
        passphrase: bool,
        /// Wrap the key under a passphrase: the first line of this file.
        #[arg(long, value_name = "FILE", env = FILE_VARIABLE)]
        passphrase_file: Option<PathBuf>,
    },
    /// Bring the node up, until ctrl-c or `porchlight stop`.
    #[command(after_help = "\
Examples:
  porchlight run
  porchlight run --role relay --listen /ip4/0.0.0.0/tcp/4110
  porchlight run --seed-peer /dns4/relay.example.org/tcp/4110/p2p/12D3KooW...")]
    Run {
        #[command(flatten)]
        flags: RunFlags,
        /// The file whose first line is the home's passphrase, instead of asking for it.
        #[arg(long, value_name = "FILE", env = FILE_VARIABLE)]
        passphrase_file: Option<PathBuf>,
    },
    /// The configuration: look it over, show what is in force.
    Config {
        #[command(subcommand)]
        command: ConfigCmd,
    },
    /// The passphrase of a home whose node is stopped: set, change, remove.
    Passphrase {
        #[command(subcommand)]
        command: PassphraseCmd,
    },
    /// How the node is: where it can be dialled, with whom it is connected, what it has seen.
    Status,
    /// Whether the node does what it is there for; if not, why, and what to do.
    #[command(after_help = "\
Looks at what works, not at whether the process is up: whether relays are connected and answer, what was
published can be found, news of contacts would come, the disk keeps up, the clock is right.

Exit code 0 if all is well, 7 if not, 3 if no node runs.")]
    Health,
    /// Say goodbye to all watchers and end the node.
    Stop,
    /// Who this node speaks for.
    Id {
        #[command(subcommand)]
        command: IdCmd,
    },
    /// The network as this node sees it.
    Net {
        #[command(subcommand)]
        command: NetCmd,
    },
    /// Relays: which keep a mailbox for this node while it is away.
    Relay {
        #[command(subcommand)]
        command: RelayCmd,
    },
    /// Your contacts: whether you see them, and whether they see you.
    Contacts,
    /// One contact: remove, rename, show another view.
    Contact {
        #[command(subcommand)]
        command: ContactCmd,
    },
    /// Views: classes of watchers, and what they see of you.
    View {
        #[command(subcommand)]
        command: ViewCmd,
    },
    /// What you have granted to whom.
    Grant {
        #[command(subcommand)]
        command: GrantCmd,
    },
    /// Who watches you.
    Watchers,
    /// Ask for a contact's presence on a schedule; without a name, show who is asked.
    #[command(after_help = "\
Examples:
  porchlight poll alice --every 10m    ask now, and every ten minutes
  porchlight poll                      who is asked, and when
  porchlight poll alice --stop

What was found is an event, `presence.polled`, whenever it is something else than last time. Contacts who let
you ask but do not notify you can be watched by it; for others `subscribe` is sooner and costs less.")]
    Poll {
        /// Their name here.
        name: Option<String>,
        /// How often to ask.
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, requires = "name",
            conflicts_with = "stop")]
        every: Option<Duration>,
        /// Ask no more.
        #[arg(long, requires = "name")]
        stop: bool,
    },
    /// Be notified of a contact's presence.
    Subscribe {
        /// Their name here.
        name: String,
    },
    /// Stop being notified of a contact's presence. They go on seeing yours.
    Unsubscribe {
        /// Their name here.
        name: String,
    },
    /// Invites: how others become contacts.
    Invite {
        #[command(subcommand)]
        command: InviteCmd,
    },
    /// Use an invite that you were given, or watch somebody public by their id.
    #[command(after_help = "\
Examples:
  porchlight add 'porchlight:aeaq...' --as bob
  porchlight add pl1... --as news                  what they show to everyone; they are not told
  porchlight add 'porchlight:aeaq...' --wait 0s    do not wait for their answer
  porchlight add - < invite.txt                    others on this machine do not see it

An invite is a secret, and what is on the command line, others on this machine can see.")]
    Add {
        /// The invite: the whole line that begins with 'porchlight:'; or a principal id; or - for standard input.
        invite: String,
        /// Your own name for them here, which nobody else is told. If not given: what they call themselves.
        #[arg(long = "as", value_name = "NAME")]
        name: Option<String>,
        /// What they see of you; 'none' is nothing: you can write to each other.
        #[arg(long, default_value = "contacts", value_name = "VIEW")]
        view: String,
        /// How long to wait for their answer.
        #[arg(long, default_value = "20s", value_parser = humantime::parse_duration)]
        wait: Duration,
    },
    /// Your own presence.
    Presence {
        #[command(subcommand)]
        command: PresenceCmd,
    },
    /// Who is there: all contacts as known here, or one, asked of the network now.
    #[command(after_help = "\
Examples:
  porchlight who            all, as known here now
  porchlight who alice      ask the network for alice now, and show all she says
  porchlight who --watch    stay, and show every change

AGE     how long ago the newest record was issued
VIA     how it came: their node (a connection to it), gossip, or a relay that
        this node follows at; lookup: the DHT was asked; cache: known before
HOLDS   how long it holds if nothing new comes: then they count as closed (lapsed)")]
    Who {
        /// One contact, or the id of somebody public.
        name: Option<String>,
        /// Stay, and show every change.
        #[arg(long, conflicts_with = "name")]
        watch: bool,
    },
    #[command(flatten)]
    Messages(messages::MessagesCmd),
    /// What has happened: events in order, each given once to a consumer that acknowledges.
    #[command(after_help = "\
Examples:
  porchlight events                              all events that are kept
  porchlight events -f                           and those to come
  porchlight events -f --consumer notifier       go on where 'notifier' left off, and acknowledge")]
    Events {
        /// Stay, and print those to come.
        #[arg(short, long)]
        follow: bool,
        /// Go on where this consumer left off, and acknowledge what was printed.
        #[arg(long, value_name = "NAME")]
        consumer: Option<String>,
    },
    /// Call a method of the local API.
    #[command(after_help = "\
Examples:
  porchlight rpc node.info
  porchlight rpc presence.set status=away note='{\"text\":\"at lunch\"}'

A value is read as JSON if it is JSON, and as text otherwise. Without METHOD: lists the methods.")]
    Rpc {
        /// The method.
        #[arg(value_parser = MethodName, hide_possible_values = true)]
        method: Option<String>,
        /// Its parameters.
        #[arg(value_name = "KEY=VALUE")]
        params: Vec<String>,
    },
    /// The local API as an OpenRPC document, from which documentation and clients can be made. Needs no node.
    #[command(after_help = "Example:\n  porchlight openrpc > openrpc.json")]
    Openrpc,
    /// Completions of commands, options and methods for a shell.
    #[command(after_help = "\
Examples:
  porchlight completions bash > ~/.local/share/bash-completion/completions/porchlight
  porchlight completions zsh > ~/.local/share/zsh/site-functions/_porchlight
  porchlight completions fish > ~/.config/fish/completions/porchlight.fish
  porchlight completions elvish >> ~/.config/elvish/rc.elv
  porchlight completions powershell >> $PROFILE

The folder has to be there; for zsh it has to be in fpath, before compinit is run. New shells have them.")]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// The manual as man pages: the main one, or all of them into a folder.
    #[command(after_help = "\
Examples:
  porchlight man | man -l -
  porchlight man --dir ~/.local/share/man/man1

After the second, `man porchlight` and `man porchlight-invite-new` show them.")]
    Man {
        /// Write a page for each command into this folder.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// See it work: two relays and two people as real processes, through the whole story.
    #[command(after_help = "Examples:\n  porchlight demo\n  porchlight demo --keep    leave it running to play with")]
    Demo {
        /// Leave it running, with its homes named.
        #[arg(long)]
        keep: bool,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleArg {
    /// For oneself.
    Ordinary,
    /// For others.
    Relay,
}

impl RoleArg {
    const fn role(self) -> Role {
        match self {
            Self::Ordinary => Role::Ordinary,
            Self::Relay => Role::Relay,
        }
    }
}

#[derive(Debug, Subcommand)]
enum ConfigCmd {
    /// Whether the file can be used, and what will not work well. Takes the flags of `run`, and its environment.
    #[command(after_help = "\
Examples:
  porchlight config check
  porchlight config check --role relay     as `run --role relay` would find it

Exit code 0 if it can be used, with warnings or without; 1 if not.")]
    Check {
        #[command(flatten)]
        flags: RunFlags,
    },
    /// What is in force and where it comes from: in the running node, or, without one or with flags, what `run` takes.
    Show {
        #[command(flatten)]
        flags: RunFlags,
    },
}

#[derive(Debug, Subcommand)]
enum PassphraseCmd {
    /// Wrap the home's key under a passphrase, in place of the key file or of an earlier passphrase.
    #[command(after_help = "\
Examples:
  porchlight passphrase set
  porchlight passphrase set --old-passphrase-file old --passphrase-file new

If it is killed in between, the home has both; the same command again finishes it.")]
    Set {
        /// The file whose first line is the passphrase so far, instead of asking for it.
        #[arg(long, value_name = "FILE")]
        old_passphrase_file: Option<PathBuf>,
        /// The file whose first line is the new passphrase, instead of asking for it twice.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Put the home's key into a key file, so that its node can start by itself.
    Remove {
        /// The file whose first line is the passphrase, instead of asking for it.
        #[arg(long, value_name = "FILE", env = FILE_VARIABLE)]
        passphrase_file: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
enum IdCmd {
    /// Show the ids of principal, device and node.
    Show,
}

#[derive(Debug, Subcommand)]
enum NetCmd {
    /// Connected nodes.
    Peers,
    /// Why a contact cannot be seen or reached: step by step, with one conclusion and what to do.
    #[command(after_help = "\
Example:
  porchlight net diagnose bob

Looks at the contact and the letters that wait for them, at this node's own connections and clock, asks the network for
their records, and dials their node. docs/troubleshooting.md says what each conclusion means.

Exit code 0 if they are shown as they say, 5 if there is no such contact, 7 if something is in the way.")]
    Diagnose {
        /// Their name here, or their id.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
enum InviteCmd {
    /// Make an invite, and show it as a link and a QR code.
    #[command(after_help = "\
Examples:
  porchlight invite new                       for one person, good for seven days
  porchlight invite new --uses 20 --expires 2h")]
    New {
        /// How many may use it.
        #[arg(long, default_value_t = 1)]
        uses: u32,
        /// How long it is good for.
        #[arg(long, default_value = "7d", value_name = "TIME", value_parser = invite_life)]
        expires: Duration,
        /// What those who use it see of you; 'none' is nothing: you can write to each other.
        #[arg(long, default_value = "contacts", value_name = "VIEW")]
        view: String,
        /// Draw the QR code also where there is no terminal, or one that is too narrow.
        #[arg(long, conflicts_with = "no_qr")]
        qr: bool,
        /// Draw no QR code.
        #[arg(long)]
        no_qr: bool,
    },
    /// The invites that are out.
    List,
    /// Let nobody use an invite from now on.
    Revoke {
        /// Its id, as `invite list` shows it.
        invite: String,
    },
}

impl Args {
    /// Reads the command line. Ends the process if it cannot be used, or asks for help.
    #[must_use]
    pub fn read() -> Self {
        let matches = examples::with_examples(Self::command())
            .try_get_matches()
            .unwrap_or_else(|error| refuse(&error));
        let mut args = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        let mut at = &matches;
        while let Some((_, below)) = at.subcommand() {
            at = below;
        }
        let by_environment = at
            .ids()
            .map(clap::Id::as_str)
            .filter(|id| at.value_source(id) == Some(ValueSource::EnvVariable));
        args.by_environment = by_environment.map(str::to_owned).collect();
        args
    }

    fn overrides(&self, flags: &RunFlags) -> Overrides {
        Overrides {
            role: flags.role.clone(),
            listen: flags.listen.clone(),
            seed_peers: flags.seed_peer.clone(),
            no_mdns: flags.no_mdns,
            log: flags.log.clone(),
            by_environment: self.by_environment.clone(),
        }
    }

    fn home(&self) -> PathBuf {
        self.home.clone().unwrap_or_else(default_home)
    }
}

/// Says what is wrong with the command line, with what was perhaps meant, or the help that was asked for; and ends.
fn refuse(error: &clap::Error) -> ! {
    // Where it cannot be said there is nobody to tell.
    let _ = error.print();
    let words: Vec<String> = std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    if let Some(meant) = meant(error, &words) {
        let _ = writeln!(std::io::stderr(), "\nhint: {meant}");
    }
    std::process::exit(error.exit_code())
}

/// What somebody meant who left something out, as far as one can tell.
fn meant(error: &clap::Error, words: &[String]) -> Option<&'static str> {
    let said = |word: &str| words.iter().any(|said| said == word);
    let is_option =
        |context: ContextKind| matches!(error.get(context), Some(ContextValue::String(word)) if word.starts_with('-'));
    let is_misplaced = error.kind() == ErrorKind::UnknownArgument && !is_option(ContextKind::InvalidArg);
    let is_no_status = error.kind() == ErrorKind::InvalidValue
        && matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(name)) if name.contains("STATUS"));
    if said("presence") && (said("-m") || said("--note")) && (is_misplaced || is_no_status) {
        return Some("a note of several words stands in quotes, as in: porchlight presence set away -m 'back at four'");
    }
    if said("add") && is_misplaced {
        return Some("the invite is one word, in quotes; your own name for them goes after --as");
    }
    None
}

/// How long an invite is good for.
fn invite_life(text: &str) -> Result<Duration, String> {
    let (least, most) = (
        Duration::from_millis(INVITE_LIFE_MIN),
        Duration::from_millis(INVITE_LIFE_MAX),
    );
    let life =
        humantime::parse_duration(text).map_err(|error| format!("{error}; expected something like 12h or 7d"))?;
    if (least..=most).contains(&life) {
        Ok(life)
    } else {
        Err("expected one minute (1m) to 30 days (30d)".to_owned())
    }
}

/// Does what the command line says.
///
/// # Errors
///
/// For [`fail`] to show.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what needs no running node is named here; all else is asked of one"
)]
pub fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let out = Output::new(args.json, args.home());
    match &args.command {
        Cmd::Init {
            name,
            network,
            role,
            config_only,
            passphrase,
            passphrase_file,
        } => {
            let source = Source::of(passphrase_file.as_deref());
            let wanted = *passphrase || passphrase_file.is_some();
            let home = local::NewHome::of(name.as_deref(), network.as_deref(), role.role())?;
            if *config_only {
                local::write_config(&out, &home)?;
            } else {
                local::init(&out, &home, wanted.then_some(&source))?;
            }
        }
        Cmd::Run { flags, passphrase_file } => {
            let source = Source::of(passphrase_file.as_deref());
            let (layers, home) = local::open(&out, &args.overrides(flags), &source)?;
            let runtime = match layers.config.role {
                Role::Relay => runtime()?,
                Role::Ordinary => runtime_of_one_thread()?,
            };
            runtime.block_on(crate::run::run(&out.home, layers, home))?;
        }
        Cmd::Config {
            command: ConfigCmd::Check { flags },
        } => return config::check(&out, &args.overrides(flags)),
        Cmd::Config {
            command: ConfigCmd::Show { flags },
        } => runtime()?.block_on(config::show(&out, &args.overrides(flags)))?,
        Cmd::Passphrase {
            command:
                PassphraseCmd::Set {
                    old_passphrase_file,
                    passphrase_file,
                },
        } => local::set_passphrase(&out, old_passphrase_file.as_deref(), passphrase_file.as_deref())?,
        Cmd::Passphrase {
            command: PassphraseCmd::Remove { passphrase_file },
        } => local::remove_passphrase(&out, passphrase_file.as_deref())?,
        Cmd::Openrpc => reference::api(&out)?,
        Cmd::Completions { shell } => reference::completions(&out, *shell)?,
        Cmd::Man { dir } => reference::manual(&out, dir.as_deref())?,
        Cmd::Demo { keep } => return runtime()?.block_on(crate::demo::run(*keep, args.json)),
        Cmd::Health => return runtime()?.block_on(health::health(&out)),
        Cmd::Relay { command } => return runtime()?.block_on(relays::relay(&out, command)),
        Cmd::Net {
            command: NetCmd::Diagnose { name },
        } => return runtime()?.block_on(diagnose::diagnose(&out, name)),
        asked => runtime()?.block_on(ask(&out, asked))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What an ordinary node runs on: a message passes half a dozen tasks, and waking another thread for each costs more than what they do.
/// The disk, and proofs of work, have threads of their own. A relay has hundreds of connections, and takes all cores.
fn runtime_of_one_thread() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot start")
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot start")
}

/// Does what is asked of a running node.
async fn ask(out: &Output, command: &Cmd) -> anyhow::Result<()> {
    match command {
        Cmd::Status => commands::status(out).await?,
        Cmd::Stop => commands::stop(out).await?,
        Cmd::Id { command: IdCmd::Show } => commands::id(out).await?,
        Cmd::Net { command: NetCmd::Peers } => commands::peers(out).await?,
        Cmd::Contacts => commands::contacts(out).await?,
        Cmd::Invite {
            command:
                InviteCmd::New {
                    uses,
                    expires,
                    view,
                    qr,
                    no_qr,
                },
        } => {
            let wanted = (*qr || *no_qr).then_some(*qr);
            commands::invite(out, *uses, *expires, view, wanted).await?;
        }
        Cmd::Invite {
            command: InviteCmd::List,
        } => access::invites(out).await?,
        Cmd::Invite {
            command: InviteCmd::Revoke { invite },
        } => access::revoke_invite(out, invite).await?,
        Cmd::Contact { command } => access::contact(out, command).await?,
        Cmd::View { command } => access::view(out, command).await?,
        Cmd::Grant { command } => access::grant(out, command).await?,
        Cmd::Watchers => access::watchers(out).await?,
        Cmd::Poll {
            name: Some(name),
            every,
            stop,
        } => poll::poll(out, name, *every, *stop).await?,
        Cmd::Poll { name: None, .. } => poll::list(out).await?,
        Cmd::Subscribe { name } => access::subscribe(out, name, true).await?,
        Cmd::Unsubscribe { name } => access::subscribe(out, name, false).await?,
        Cmd::Add {
            invite,
            name,
            view,
            wait,
        } => add::add(out, invite, name.as_deref(), view, *wait).await?,
        Cmd::Presence { command } => presence::presence(out, command).await?,
        Cmd::Who { name: Some(name), .. } => who::one(out, name).await?,
        Cmd::Who { watch: true, .. } => who::watch(out).await?,
        Cmd::Who { .. } => who::all(out).await?,
        Cmd::Messages(command) => messages::messages(out, command).await?,
        Cmd::Events { follow, consumer } => events::events(out, *follow, consumer.as_deref()).await?,
        Cmd::Rpc { method, params } => commands::rpc(out, method.as_deref(), params).await?,
        // These were dealt with before.
        Cmd::Init { .. }
        | Cmd::Health
        | Cmd::Relay { .. }
        | Cmd::Net {
            command: NetCmd::Diagnose { .. },
        }
        | Cmd::Run { .. }
        | Cmd::Config { .. }
        | Cmd::Passphrase { .. }
        | Cmd::Openrpc
        | Cmd::Completions { .. }
        | Cmd::Man { .. }
        | Cmd::Demo { .. } => {}
    }
    Ok(())
}

/// Shows an error on standard error, and gives the exit code for it.
#[must_use]
pub fn fail(args: &Args, error: &anyhow::Error) -> ExitCode {
    // Whoever reads has seen enough, as `head` does.
    if error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    {
        return ExitCode::SUCCESS;
    }
    let mut failure = Failure::of(error);
    if failure.exit == Exit::NotRunning && failure.hint.is_none() {
        let home = args.home();
        failure.hint = Some(if crate::home::exists(&home) {
            "start it with: `porchlight run`".to_owned()
        } else {
            format!(
                "there is no home in {}; make one with: `porchlight init`",
                home.display()
            )
        });
    }
    failure.hint = failure.hint.map(|hint| output::commands_in(&hint, &args.home()));
    // Where standard error is closed there is nobody to tell.
    let _ = show(args.json, &failure);
    ExitCode::from(failure.exit as u8)
}

fn show(as_json: bool, failure: &Failure) -> std::io::Result<()> {
    let mut err = std::io::stderr().lock();
    if as_json {
        let error = json!({"kind": failure.kind, "message": failure.message, "hint": failure.hint});
        return writeln!(err, "{}", json!({"error": error}));
    }
    writeln!(err, "error: {}", failure.message)?;
    if let Some(hint) = &failure.hint {
        writeln!(err, "hint: {hint}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_was_left_out_is_guessed() {
        let meant_by = |line: &[&str]| {
            let words: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
            let error = Args::try_parse_from(line).unwrap_err();
            meant(&error, &words)
        };
        let note = meant_by(&["porchlight", "presence", "set", "away", "-m", "back", "at", "four"]);
        assert!(note.unwrap().contains("quotes"));
        let note = meant_by(&["porchlight", "presence", "set", "-m", "back", "at", "four"]);
        assert!(note.unwrap().contains("quotes"));
        let name = meant_by(&["porchlight", "add", "porchlight:x", "bob"]);
        assert!(name.unwrap().contains("--as"));
        assert_eq!(meant_by(&["porchlight", "add", "porchlight:x", "--az", "bob"]), None);
        assert_eq!(meant_by(&["porchlight", "presence", "set", "gone"]), None);
    }

    #[test]
    fn an_invite_lives_as_long_as_one_may() {
        assert_eq!(invite_life("30d"), Ok(Duration::from_secs(30 * 86_400)));
        for bad in ["1y", "59s", "soon"] {
            assert!(invite_life(bad).unwrap_err().contains("expected"), "{bad}");
        }
    }

    #[test]
    fn every_command_of_the_readme_is_one() {
        for line in [
            "porchlight --home d init --name alice --network home",
            "porchlight --home d run --role relay --listen /ip4/0.0.0.0/tcp/1 --listen /ip4/0.0.0.0/tcp/2",
            "porchlight invite new --uses 3 --expires 7d",
            "porchlight add porchlight:x --as bob",
            "porchlight presence set away -m lunch",
            "porchlight presence set away -m lunch --note-lang en -m Jause --note-lang de-AT --activity meal --mood happy --place cafe --for 2h --view work",
            "porchlight presence set --contact im:alice@example.org --priority 0.8 --contact tel:+43 --detail tel/work=+43",
            "porchlight presence set --from - --view work",
            "porchlight presence clear",
            "porchlight presence clear --view work",
            "porchlight presence set away --until 2026-01-02T16:00:00+01:00",
            "porchlight presence clear details contacts",
            "porchlight presence show",
            "porchlight poll",
            "porchlight poll alice --every 10m",
            "porchlight poll alice --stop",
            "porchlight who --watch --json",
            "porchlight events -f --consumer c",
            "porchlight rpc presence.get contact=alice",
            "porchlight config check --role relay",
            "porchlight relay ls",
            "porchlight relay use /ip4/127.0.0.1/tcp/1/p2p/x --stop",
            "porchlight relay test x",
            "porchlight --home relay init --role relay",
            "porchlight add -",
            "porchlight invite new --no-qr",
            "porchlight net diagnose bob",
        ] {
            assert!(Args::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_belongs_to_nothing_is_refused() {
        for line in [
            "porchlight presence set away --note-lang en -m lunch",
            "porchlight presence set away -m lunch --note-lang en --note-lang de",
            "porchlight presence set --priority 0.8",
            "porchlight poll alice --every 10m --stop",
            "porchlight poll --stop",
            "porchlight presence set away --from -",
            "porchlight presence set away --for 1h --until 2026-01-02T03:04:05Z",
        ] {
            assert!(Args::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
