//! `presence`: saying how you are, and seeing what you have said.

use super::output::{Output, clean, left, until};
use crate::clock::millis;
use crate::failure::{Exit, Failure};
use anyhow::{Context, Result};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, Subcommand, ValueEnum};
use porchlight_rpc::methods::{PresenceClear, PresenceSet, PresenceShow};
use porchlight_rpc::types::{self, Note, RpidElement, Tuple};
use porchlight_wire::presence::registry;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(super) enum PresenceCmd {
    /// Say how you are; contacts are notified.
    #[command(after_help = "\
Examples:
  porchlight presence set away -m 'back at four'
  porchlight presence set busy --activity meeting --for 1h
  porchlight presence set away -m 'at lunch' --note-lang en -m 'zu Tisch' --note-lang de
  porchlight presence set open --view work -m 'on site today'
  porchlight presence set --contact im:alice@example.org --priority 0.8
  porchlight presence set --detail tel/work=+43-1-5550123 --detail fn='Alice Example'
  porchlight presence set --from presence.json

A status replaces the one before with all that was said with it: notes, activities, mood, place and
how long. Contacts (--contact) and details (--detail) stay until they are set again, all of them
together, or cleared.")]
    Set(Box<SetArgs>),
    /// Show what you have said, as usual and for each view.
    Show,
    /// Take back what you have said: of a view, so that its watchers see the usual again, or as usual.
    #[command(after_help = "\
Examples:
  porchlight presence clear                open, without notes; contacts and details stay
  porchlight presence clear details        no contact details any more
  porchlight presence clear --view work    work sees the usual again")]
    Clear {
        /// Which part. None given: all that a view has of its own; without --view, the status.
        parts: Vec<PartArg>,
        /// Of what this view shows instead of the usual.
        #[arg(long, value_name = "VIEW")]
        view: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(super) struct SetArgs {
    /// How you are. If you only say something with it, it stays as it is.
    status: Option<StatusArg>,
    #[command(flatten)]
    notes: Notes,
    /// What you do, such as meal, meeting, travel. May be given several times.
    #[arg(long, value_name = "ACTIVITY")]
    activity: Vec<String>,
    /// How you feel, such as happy, tired. May be given several times.
    #[arg(long, value_name = "MOOD")]
    mood: Vec<String>,
    /// What kind of place you are at, such as office, train. May be given several times.
    #[arg(long, value_name = "PLACE")]
    place: Vec<String>,
    /// For how long; then it is again as it was before.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    long: Option<Duration>,
    /// Until when, such as 2026-01-02T16:00:00+01:00; then it is again as it was before.
    #[arg(long, value_name = "TIME", conflicts_with = "long")]
    until: Option<String>,
    #[command(flatten)]
    contacts: Contacts,
    /// A contact detail by its vCard name, such as tel=+43-1-5550123 or email/work=alice@example.org. All that you give
    /// take the place of those before.
    #[arg(long, value_name = "NAME[/TYPE]=VALUE")]
    detail: Vec<String>,
    /// What this view's watchers see instead of the usual.
    #[arg(long, value_name = "VIEW")]
    view: Option<String>,
    /// Read all of it as JSON, in the form of the method presence.set; - reads standard input.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["status", "note", "activity", "mood", "place", "long", "until", "contact", "detail"]
    )]
    from: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum StatusArg {
    /// There, and ready.
    Open,
    /// Not at the keyboard.
    Away,
    /// There, but do not disturb.
    Busy,
    /// Not there.
    Closed,
}

impl StatusArg {
    const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Away => "away",
            Self::Busy => "busy",
            Self::Closed => "closed",
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum PartArg {
    /// How you are, with notes, activities, mood and place.
    Status,
    /// Contact details.
    Details,
    /// Ways to reach you.
    Contacts,
    /// Fields of other programs.
    Extensions,
}

impl PartArg {
    const fn word(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Details => "details",
            Self::Contacts => "tuples",
            Self::Extensions => "extensions",
        }
    }
}

/// Notes, each with the language that is named after it.
#[derive(Debug)]
pub(super) struct Notes(Vec<Note>);

/// Addresses, each with the priority that is named after it.
#[derive(Debug)]
pub(super) struct Contacts(Vec<(String, Option<f64>)>);

/// The values of an option, each with that of another one that follows it on the command line.
fn paired<T: Clone + Send + Sync + 'static>(
    matches: &ArgMatches,
    first: &str,
    second: &str,
) -> Result<Vec<(String, Option<T>)>, clap::Error> {
    let at = |name: &str| matches.indices_of(name).into_iter().flatten();
    let firsts = matches.get_many::<String>(first).into_iter().flatten().cloned();
    let mut pairs: Vec<(usize, String, Option<T>)> = at(first)
        .zip(firsts)
        .map(|(index, value)| (index, value, None))
        .collect();
    let seconds = matches.get_many::<T>(second).into_iter().flatten().cloned();
    for (index, value) in at(second).zip(seconds) {
        match pairs.iter_mut().rev().find(|(before, ..)| *before < index) {
            Some((_, _, free @ None)) => *free = Some(value),
            _ => {
                let message = format!("--{second} belongs after a --{first}, and only once to each\n");
                return Err(clap::Error::raw(clap::error::ErrorKind::ValueValidation, message));
            }
        }
    }
    Ok(pairs.into_iter().map(|(_, value, with)| (value, with)).collect())
}

impl FromArgMatches for Notes {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let notes = paired(matches, "note", "note-lang")?;
        Ok(Self(
            notes.into_iter().map(|(text, lang)| Note { lang, text }).collect(),
        ))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Notes {
    fn augment_args(command: Command) -> Command {
        command
            .arg(
                Arg::new("note")
                    .short('m')
                    .long("note")
                    .value_name("NOTE")
                    .action(ArgAction::Append)
                    .help("A note with it. May be given several times, in several languages"),
            )
            .arg(
                Arg::new("note-lang")
                    .long("note-lang")
                    .value_name("LANGUAGE")
                    .action(ArgAction::Append)
                    .help("The language of the note before it, such as en or de-AT"),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Contacts {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(paired(matches, "contact", "priority")?))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Contacts {
    fn augment_args(command: Command) -> Command {
        command
            .arg(
                Arg::new("contact")
                    .long("contact")
                    .value_name("URI")
                    .action(ArgAction::Append)
                    .help(
                        "A way to reach you, such as im:alice@example.org. All that you give take the place of those \
                         before",
                    ),
            )
            .arg(
                Arg::new("priority")
                    .long("priority")
                    .value_name("0-1")
                    .value_parser(clap::value_parser!(f64))
                    .action(ArgAction::Append)
                    .help("The priority of the contact before it; higher is preferred"),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl Contacts {
    /// As tuples. What each is named after its scheme: `im`, `im-2`, `tel`.
    fn tuples(&self) -> Vec<Tuple> {
        let mut ids = BTreeSet::new();
        let named = |(uri, priority): &(String, Option<f64>)| {
            let scheme = uri.split(':').next().unwrap_or_default().to_ascii_lowercase();
            let id = (1..)
                .map(|number| {
                    if number == 1 {
                        scheme.clone()
                    } else {
                        format!("{scheme}-{number}")
                    }
                })
                .find(|id| !ids.contains(id))
                .unwrap_or_default();
            ids.insert(id.clone());
            Tuple {
                id,
                status: None,
                contact: Some(uri.clone()),
                priority: *priority,
                notes: Vec::new(),
            }
        };
        self.0.iter().map(named).collect()
    }
}

/// Does one of them.
pub(super) async fn presence(out: &Output, command: &PresenceCmd) -> Result<()> {
    match command {
        PresenceCmd::Set(args) => set(out, args).await,
        PresenceCmd::Show => show(out).await,
        PresenceCmd::Clear { parts, view } => clear(out, parts, view.as_deref()).await,
    }
}

async fn set(out: &Output, args: &SetArgs) -> Result<()> {
    let mut params = match &args.from {
        Some(file) => read(file)?,
        None => args.params()?,
    };
    if args.view.is_some() {
        params.view.clone_from(&args.view);
    }
    let nothing = types::PresenceSet {
        view: params.view.clone(),
        ..types::PresenceSet::default()
    };
    if params == nothing {
        return Err(
            Failure::new(Exit::Usage, "invalid_params", "there is nothing to set".to_owned())
                .hint("as in: porchlight presence set away -m 'back at four'")
                .into(),
        );
    }
    let strange = unknown(&params);
    let set = out.client().await?.call::<PresenceSet>(&params).await?;
    if out.json {
        return out.object(&set);
    }
    out.words(&said(out, &set))?;
    for name in strange {
        out.words(&format!(
            "remark: {name} is no name that others know; watchers see it as it is"
        ))?;
    }
    Ok(())
}

impl SetArgs {
    fn params(&self) -> Result<types::PresenceSet> {
        let element = |values: &[String]| {
            (!values.is_empty()).then(|| RpidElement {
                values: values.to_vec(),
                notes: Vec::new(),
            })
        };
        if self.notes.0.iter().any(|note| note.text.trim().is_empty()) {
            return Err(Failure::new(Exit::Usage, "invalid_params", "the note is empty")
                .hint("leave -m out for a status without a note")
                .into());
        }
        let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
        let details: Vec<types::Detail> = self.detail.iter().map(|text| detail(text)).collect::<Result<_>>()?;
        let tuples = self.contacts.tuples();
        Ok(types::PresenceSet {
            status: self.status.map(|status| status.word().to_owned()),
            notes: (!self.notes.0.is_empty()).then(|| self.notes.0.clone()),
            activities: some(self.activity.clone()),
            mood: element(&self.mood),
            place: element(&self.place),
            for_ms: self.long.map(millis),
            until_at: self.until.clone(),
            tuples: (!tuples.is_empty()).then_some(tuples),
            details: (!details.is_empty()).then_some(details),
            ..types::PresenceSet::default()
        })
    }
}

/// A contact detail as it is given on the command line.
fn detail(text: &str) -> Result<types::Detail> {
    let (name, value) = text.split_once('=').ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            "invalid_params",
            format!("--detail '{text}': expected NAME=VALUE, as in tel=+43-1-5550123"),
        )
    })?;
    let (name, kind) = match name.split_once('/') {
        Some((name, kind)) => (name, Some(kind.to_owned())),
        None => (name, None),
    };
    Ok(types::Detail {
        name: name.to_owned(),
        value: value.to_owned(),
        kind,
    })
}

/// The parameters of `presence.set` from a file.
fn read(file: &Path) -> Result<types::PresenceSet> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("standard input cannot be read")?;
        text
    } else {
        std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?
    };
    serde_json::from_str(&text).map_err(|error| {
        Failure::new(
            Exit::Usage,
            "invalid_params",
            format!(
                "{}: expected the parameters of presence.set as JSON: {error}",
                file.display()
            ),
        )
        .hint("docs/rpc.md, presence.set, has them all")
        .into()
    })
}

/// Names that are neither in the registry nor one's own by their form: mistyped, perhaps.
fn unknown(params: &types::PresenceSet) -> Vec<String> {
    let values = |element: &Option<RpidElement>| element.as_ref().map(|it| it.values.clone()).unwrap_or_default();
    let details = params
        .details
        .iter()
        .flatten()
        .map(|detail| detail.name.to_ascii_lowercase());
    [
        (
            registry::ACTIVITIES,
            "activity",
            params.activities.clone().unwrap_or_default(),
        ),
        (registry::MOODS, "mood", values(&params.mood)),
        (registry::PLACES, "place", values(&params.place)),
        (registry::DETAILS, "detail", details.collect()),
    ]
    .into_iter()
    .flat_map(|(list, what, names)| {
        names
            .into_iter()
            .filter(|name| !registry::is_known(list, name))
            .map(move |name| format!("the {what} '{}'", clean(&name)))
    })
    .collect()
}

async fn clear(out: &Output, parts: &[PartArg], view: Option<&str>) -> Result<()> {
    // What was built up over time is not lost to a short command.
    let parts = match (parts, view) {
        ([], None) => &[PartArg::Status],
        ([], Some(_)) | ([_, ..], _) => parts,
    };
    let params = types::PresenceClear {
        view: view.map(str::to_owned),
        parts: (!parts.is_empty()).then(|| parts.iter().map(|part| part.word().to_owned()).collect()),
        idempotency_key: None,
    };
    let own = out.client().await?.call::<PresenceClear>(&params).await?;
    if out.json {
        return out.object(&own);
    }
    out.words(&said(out, &own))
}

/// What holds now, in a line.
fn said(out: &Output, own: &types::OwnPresence) -> String {
    let whom = own
        .view
        .as_ref()
        .map_or_else(|| "you are".to_owned(), |view| format!("for '{}' you are", clean(view)));
    format!("{whom} {}{}", out.status(&own.status, &own.status), with(own))
}

/// What is said with a status: its first note, and how long it holds.
pub(super) fn with(own: &types::OwnPresence) -> String {
    let note = own
        .note
        .as_ref()
        .map_or_else(String::new, |note| format!(" ({})", clean(&note.text)));
    let back = match (own.until_at.as_deref().map(until), &own.back_to) {
        (Some(Some(ms)), Some(back_to)) => format!(", for {} more, then {back_to} again", left(ms)),
        _ => String::new(),
    };
    format!("{note}{back}")
}

async fn show(out: &Output) -> Result<()> {
    let shown = out.client().await?.call::<PresenceShow>(&types::Nothing {}).await?;
    if out.json {
        return out.object(&shown);
    }
    let own = &shown.own;
    out.words(&said(out, own))?;
    let what = What {
        notes: &own.notes,
        activities: &own.activities,
        until_at: own.until_at.as_deref(),
        mood: own.mood.as_ref(),
        place: own.place.as_ref(),
        tuples: &own.tuples,
        details: &own.details,
        extensions: &own.extensions,
    };
    for line in what.lines(&own.status) {
        out.words(&format!("  {line}"))?;
    }
    for view in &shown.views {
        let shows = if view.shows == "status" {
            ", its status only"
        } else {
            ""
        };
        let own = if view.own_parts.is_empty() {
            "the usual".to_owned()
        } else {
            format!("its own {}", view.own_parts.join(", ").replace("tuples", "contacts"))
        };
        out.line("")?;
        out.words(&format!(
            "view {}: {}, from {own}{shows}",
            clean(&view.view),
            out.status(&view.status, &view.status)
        ))?;
        let what = What {
            notes: &view.notes,
            activities: &view.activities,
            until_at: view.until_at.as_deref(),
            mood: view.mood.as_ref(),
            place: view.place.as_ref(),
            tuples: &view.tuples,
            details: &view.details,
            extensions: &view.extensions,
        };
        for line in what.lines(&view.status) {
            out.words(&format!("  {line}"))?;
        }
    }
    Ok(())
}

/// What a document says besides the status, for people: a line for each thing, its name first.
pub(super) struct What<'a> {
    pub(super) notes: &'a [Note],
    pub(super) activities: &'a [String],
    pub(super) until_at: Option<&'a str>,
    pub(super) mood: Option<&'a RpidElement>,
    pub(super) place: Option<&'a RpidElement>,
    pub(super) tuples: &'a [Tuple],
    pub(super) details: &'a [types::Detail],
    pub(super) extensions: &'a std::collections::BTreeMap<String, serde_json::Value>,
}

impl What<'_> {
    /// The lines, in the order in which one would say it.
    pub(super) fn lines(&self, status: &str) -> Vec<String> {
        let mut lines: Vec<String> = self.notes.iter().map(|it| note("note", it)).collect();
        let activities: Vec<&str> = self
            .activities
            .iter()
            .map(String::as_str)
            .filter(|activity| *activity != status)
            .collect();
        if !activities.is_empty() {
            lines.push(format!("activities: {}", clean(&activities.join(", "))));
        }
        for (name, element) in [("mood", self.mood), ("place", self.place)] {
            if let Some(element) = element {
                lines.push(format!("{name}: {}", clean(&element.values.join(", "))));
                lines.extend(element.notes.iter().map(|it| note(&format!("{name} note"), it)));
            }
        }
        if let Some(at) = self.until_at {
            let left = until(at).map_or_else(|| "over".to_owned(), |ms| format!("{} more", left(ms)));
            lines.push(format!("until: {at} ({left})"));
        }
        lines.extend(self.tuples.iter().flat_map(tuple));
        for detail in self.details {
            let kind = detail
                .kind
                .as_ref()
                .map_or_else(String::new, |kind| format!(" ({kind})"));
            lines.push(clean(&format!("{}{kind}: {}", detail.name, detail.value)));
        }
        for (name, value) in self.extensions {
            lines.push(clean(&format!("{name}: {value}")));
        }
        lines
    }
}

fn note(name: &str, note: &Note) -> String {
    let lang = note.lang.as_ref().map_or_else(String::new, |lang| format!(" ({lang})"));
    clean(&format!("{name}{lang}: {}", note.text))
}

fn tuple(tuple: &Tuple) -> Vec<String> {
    let mut said = vec![tuple.contact.clone().unwrap_or_else(|| tuple.id.clone())];
    said.extend(tuple.status.clone());
    said.extend(tuple.priority.map(|priority| format!("priority {priority}")));
    let mut lines = vec![clean(&format!("contact: {}", said.join(", ")))];
    lines.extend(tuple.notes.iter().map(|it| note("contact note", it)));
    lines
}

/// The note to show where there is room for one: in the language of the one who reads, or the first.
pub(super) fn best<'a>(notes: &'a [Note], language: Option<&str>) -> Option<&'a Note> {
    let speaks = |note: &&Note| {
        let lang = note.lang.as_deref().and_then(|lang| lang.split('-').next());
        lang.zip(language)
            .is_some_and(|(lang, language)| lang.eq_ignore_ascii_case(language))
    };
    notes.iter().find(speaks).or_else(|| notes.first())
}

/// The language of the one who reads, as the environment has it.
pub(super) fn language() -> Option<String> {
    let set = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))?;
    let language = set.split(['_', '.', '@']).next()?;
    (!["C", "POSIX"].contains(&language)).then(|| language.to_owned())
}
