//! Scenarios: what happens in a network, told in a TOML file that reads like sentences. docs/simulation.md teaches how to write
//! one. Read by `porchlight-sim`; nothing here knows how it is played.

mod words;

pub use words::{Share, Span, Whom};

use crate::{MINUTE, SECOND};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The most nodes of one world: what the design aims at.
pub const NODES: u32 = 1_000_000;

/// A scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// Its name for people.
    pub title: String,
    /// What it shows, in a sentence or two.
    pub about: String,
    /// Which world plays it.
    #[serde(default)]
    pub world: WorldKind,
    /// How many people there are, each with a node.
    pub people: u32,
    /// How many relays there are besides.
    #[serde(default = "three")]
    pub relays: u32,
    /// How many contacts each of them has.
    #[serde(default = "eight")]
    pub contacts: u32,
    /// How they came to be contacts.
    #[serde(default)]
    pub meet: Meeting,
    /// How long it lasts.
    pub lasts: Span,
    /// How long everything has to come right after that, with no fault left.
    #[serde(default = "five_minutes")]
    pub settles: Span,
    /// What people do all the time.
    #[serde(default)]
    pub habits: Habits,
    /// How their nodes are configured.
    #[serde(default)]
    pub nodes: NodeSettings,
    /// The network between them.
    #[serde(default)]
    pub network: NetworkSettings,
    /// What goes wrong all the time.
    #[serde(default)]
    pub faults: Faults,
    /// One presentity whom very many watch.
    pub celebrity: Option<Celebrity>,
    /// What happens at certain times.
    #[serde(default)]
    pub then: Vec<Happening>,
}

/// Which world plays a scenario.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorldKind {
    /// Cores over a modelled network.
    #[default]
    Core,
    /// Whole nodes with libp2p over a memory transport.
    Stack,
}

/// How people came to be contacts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Meeting {
    /// They have been for long: it stands on their disks when the world begins.
    #[default]
    LongAgo,
    /// They meet by invites as the world begins. For small worlds.
    ByInvite,
}

/// What people do all the time. Times are means of a draw; none: they do not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Habits {
    /// Each changes their presence this often.
    pub change_presence_every: Option<Span>,
    /// Each writes to one of their contacts this often.
    pub write_every: Option<Span>,
    /// Each is there for so long...
    pub online_for: Option<Span>,
    /// ...and then away for so long.
    pub offline_for: Option<Span>,
    /// Which share of departures are orderly; the others are crashes.
    #[serde(default = "all")]
    pub leave_orderly: Share,
    /// The length of a day in which most are there by day and few by night; none: all hours are alike.
    pub day: Option<Span>,
}

/// How nodes are configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct NodeSettings {
    /// The lease of a presence record.
    pub lease: Span,
    /// Whether they send and take messages.
    pub messages: bool,
    /// How many mailboxes each has at relays.
    pub mailboxes: usize,
    /// Whether they follow presence at a relay rather than by being in topics.
    pub follow: bool,
    /// To how many relays each is connected.
    pub relays_each: usize,
    /// Whether they can be dialled, so that contacts connect to each other.
    pub reachable: Share,
}

/// The network between the nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct NetworkSettings {
    /// Regions of the world that nodes are in, in turn.
    pub regions: u32,
    /// One way within a region, half of all packets.
    pub near: Span,
    /// One way between regions, half of all packets.
    pub far: Span,
    /// How much slower the slow ones are: one in twenty takes so many times the half's time.
    pub spread: f64,
    /// Kilobytes per second of each node's line; none: it never fills.
    pub line: Option<u32>,
    /// How many gossip topics there are: 1 or 64, as the two kinds of networks have.
    pub topics: u32,
}

/// What goes wrong all the time, until the end of the scenario.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Faults {
    /// Of gossiped records, how many do not arrive.
    pub lose_gossip: Share,
    /// Of requests, how many do not arrive.
    pub lose_requests: Share,
    /// Of answers, how many do not arrive.
    pub lose_answers: Share,
    /// Of copies in the DHT, how many are not kept though that was acknowledged.
    pub lose_copies: Share,
    /// Of commits, at how many the process dies: before it, after it, or after one thing was said.
    pub crash_at_commits: Share,
    /// Of commits, how many the disk refuses; the node ends then, as it must.
    pub refuse_commits: Share,
    /// How far clocks are off, either way.
    pub clocks_off: Option<Span>,
    /// How long a crashed node is down.
    pub down: Option<Span>,
}

/// One presentity whom very many watch by their public view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Celebrity {
    /// How often they change their presence.
    pub changes_every: Span,
}

/// What happens at a certain time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Happening {
    /// When.
    pub at: Span,
    /// To whom, or by whom.
    pub who: Whom,
    /// What.
    pub does: Deed,
    /// For how long; none: until the scenario ends, or for good.
    #[serde(rename = "for")]
    pub lasts: Option<Span>,
    /// Again and again.
    pub every: Option<Span>,
    /// Until when it is done again.
    pub until: Option<Span>,
    /// By how much; what it means depends on what is done.
    pub by: Option<Span>,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Deed {
    /// The process is killed, and starts again after `for`.
    #[serde(rename = "crash")]
    Crash,
    /// The machine loses its power, and what was not synced; it starts again after `for`.
    #[serde(rename = "lose power")]
    LosePower,
    /// The owner ends the node in the orderly way, and starts it again after `for`.
    #[serde(rename = "leave")]
    Leave,
    /// The machine is suspended for `for`.
    #[serde(rename = "sleep")]
    Sleep,
    /// They can reach nobody but each other for `for`.
    #[serde(rename = "are cut off")]
    CutOff,
    /// Each of them can reach nobody at all for `for`.
    #[serde(rename = "lose the network")]
    LoseNetwork,
    /// Their lines are slower by `by` each way for `for`.
    #[serde(rename = "get slow lines")]
    Slow,
    /// Their wall clocks jump ahead by `by`.
    #[serde(rename = "set the clock ahead")]
    ClockAhead,
    /// Their wall clocks jump back by `by`.
    #[serde(rename = "set the clock back")]
    ClockBack,
    /// They change their presence.
    #[serde(rename = "change presence")]
    ChangePresence,
    /// Each writes to a contact.
    #[serde(rename = "write")]
    Write,
    /// Each takes back what one contact was granted.
    #[serde(rename = "revoke a contact")]
    Revoke,
    /// Each removes one contact.
    #[serde(rename = "remove a contact")]
    Remove,
    /// Each is sent a hundred envelopes a second by a stranger, for `for`.
    #[serde(rename = "are flooded")]
    Flooded,
    /// Relays go on serving what they have, and take and pass on nothing, for `for`.
    #[serde(rename = "freeze")]
    Freeze,
    /// Relays say that mailboxes are empty, for `for`.
    #[serde(rename = "hide mail")]
    HideMail,
    /// Relays name what is in mailboxes and give nothing out, for `for`.
    #[serde(rename = "withhold mail")]
    WithholdMail,
    /// Relays give out what was deleted, for `for`.
    #[serde(rename = "repeat mail")]
    RepeatMail,
    /// Relays that stand around their keys take their records and keep none, for `for`.
    #[serde(rename = "are surrounded")]
    Surrounded,
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    ///
    /// Says in which line what was expected.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text).map_err(|error| ScenarioError::Unreadable(error.to_string()))?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Checks what no single field can say.
    ///
    /// # Errors
    ///
    /// Says what does not fit, and what would.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let wrong = |what: String| Err(ScenarioError::Wrong(what));
        if self.people == 0 || self.people > NODES {
            return wrong(format!("`people` is {}: expected 1 to {NODES}", self.people));
        }
        if self.relays == 0 {
            return wrong("`relays` is 0: expected at least 1, because the DHT and gossip are theirs".to_owned());
        }
        if self.contacts >= self.people && self.people > 1 {
            return wrong(format!(
                "`contacts` is {}: expected fewer than there are people ({})",
                self.contacts, self.people
            ));
        }
        if self.nodes.relays_each == 0 || self.nodes.relays_each > self.relays as usize {
            return wrong(format!(
                "`nodes.relays-each` is {}: expected 1 to {}, as many as there are relays",
                self.nodes.relays_each, self.relays
            ));
        }
        if ![1, 64].contains(&self.network.topics) {
            return wrong(format!("`network.topics` is {}: expected 1 or 64", self.network.topics));
        }
        if self.network.regions == 0 {
            return wrong("`network.regions` is 0: expected at least 1".to_owned());
        }
        if self.habits.online_for.is_some() != self.habits.offline_for.is_some() {
            return wrong("`habits`: expected both or none of `online-for` and `offline-for`".to_owned());
        }
        for (number, happening) in self.then.iter().enumerate() {
            self.check_happening(happening)
                .map_err(|what| ScenarioError::Wrong(format!("`then` number {}: {what}", number + 1)))?;
        }
        Ok(())
    }

    fn check_happening(&self, happening: &Happening) -> Result<(), String> {
        let Happening { at, who, does, .. } = happening;
        if *at >= self.lasts {
            return Err(format!(
                "it happens at {at}, and the scenario lasts {} only",
                self.lasts
            ));
        }
        let of_relays = matches!(
            does,
            Deed::Freeze | Deed::HideMail | Deed::WithholdMail | Deed::RepeatMail
        );
        let relays = matches!(who, Whom::Relays(_) | Whom::Relay(_));
        if of_relays && !relays {
            return Err(format!(
                "`who` is \"{who}\": only relays can do that, as in \"2 relays\" or \"relay 1\""
            ));
        }
        let of_people = matches!(
            does,
            Deed::ChangePresence | Deed::Write | Deed::Revoke | Deed::Remove | Deed::Flooded | Deed::Surrounded
        );
        if of_people && relays {
            return Err(format!(
                "`who` is \"{who}\": only people can do that, as in \"10%\" or \"person 3\""
            ));
        }
        if let Whom::Person(number) = who
            && (*number == 0 || *number > self.people)
        {
            return Err(format!("there is no person {number}: expected 1 to {}", self.people));
        }
        if let Whom::Relay(number) = who
            && (*number == 0 || *number > self.relays)
        {
            return Err(format!("there is no relay {number}: expected 1 to {}", self.relays));
        }
        let needs_by = matches!(does, Deed::Slow | Deed::ClockAhead | Deed::ClockBack);
        if needs_by && happening.by.is_none() {
            return Err("expected `by`, as in by = \"40s\"".to_owned());
        }
        if happening.every.is_some_and(|every| every.millis() == 0) {
            return Err("`every` is 0s: expected at least 1ms".to_owned());
        }
        Ok(())
    }

    /// The same with another number of people, and no more contacts than fit.
    #[must_use]
    pub fn with_people(mut self, people: u32) -> Self {
        self.people = people;
        self.contacts = self.contacts.min(people.saturating_sub(1));
        for happening in &mut self.then {
            if let Whom::Person(number) = &mut happening.who {
                *number = (*number).min(people);
            }
        }
        self
    }

    /// The same without some of its happenings, by their numbers counted from 1; 0 stands for the faults of all the time.
    #[must_use]
    pub fn without(mut self, left_out: &BTreeSet<usize>) -> Self {
        let mut number = 0;
        self.then.retain(|_| {
            number += 1;
            !left_out.contains(&number)
        });
        if left_out.contains(&0) {
            self.faults = Faults::default();
        }
        self
    }
}

impl Default for NodeSettings {
    fn default() -> Self {
        Self {
            lease: Span::from_millis(90 * SECOND),
            messages: true,
            mailboxes: 2,
            follow: false,
            relays_each: 2,
            reachable: Share::of(0.7),
        }
    }
}

impl Default for NetworkSettings {
    fn default() -> Self {
        Self {
            regions: 3,
            near: Span::from_millis(15),
            far: Span::from_millis(70),
            spread: 3.0,
            line: None,
            topics: 1,
        }
    }
}

/// A scenario that cannot be played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// It is no TOML, or a field is not what it should be.
    #[error("{0}")]
    Unreadable(String),
    /// The fields do not fit together.
    #[error("{0}")]
    Wrong(String),
}

const fn three() -> u32 {
    3
}

const fn eight() -> u32 {
    8
}

const fn all() -> Share {
    Share::of(1.0)
}

const fn five_minutes() -> Span {
    Span::from_millis(5 * MINUTE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
title = "Small"
about = "Two people."
people = 2
contacts = 1
lasts = "1min"
"#;

    fn with(more: &str) -> Result<Scenario, String> {
        Scenario::parse(&format!("{SMALL}{more}")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_small_scenario_has_defaults_for_the_rest() {
        let scenario = with("").unwrap();
        assert_eq!(scenario.lasts, Span::from_millis(60_000));
        assert_eq!(scenario.world, WorldKind::Core);
        assert_eq!((scenario.relays, scenario.nodes.relays_each), (3, 2));
    }

    #[test]
    fn happenings_read_like_sentences() {
        let scenario = with(
            "[[then]]\nat = \"10s\"\nwho = \"50%\"\ndoes = \"crash\"\nfor = \"20s\"\n\
             [[then]]\nat = \"30s\"\nwho = \"relay 2\"\ndoes = \"hide mail\"\n",
        )
        .unwrap();
        assert_eq!(scenario.then[0].does, Deed::Crash);
        assert_eq!(scenario.then[0].who, Whom::Part(Share::of(0.5)));
        assert_eq!(scenario.then[1].who, Whom::Relay(2));
        assert_eq!(scenario.without(&BTreeSet::from([1])).then.len(), 1);
    }

    #[test]
    fn mistakes_are_told_with_their_line_and_what_was_expected() {
        for (more, expected) in [
            (
                "[[then]]\nat = \"10s\"\nwho = \"everybody\"\ndoes = \"crsh\"\n",
                vec!["line 10", "crsh", "crash"],
            ),
            (
                "[[then]]\nat = \"10 parsecs\"\nwho = \"everybody\"\ndoes = \"crash\"\n",
                vec!["line 8", "as in \"90s\""],
            ),
            (
                "[[then]]\nat = \"10s\"\nwho = \"the cat\"\ndoes = \"crash\"\n",
                vec!["line 9", "the cat", "relay 1"],
            ),
            ("[faults]\nlose-gossip = \"200%\"\n", vec!["line 8", "0% to 100%"]),
            (
                "[habits]\nsleep-every = \"1h\"\n",
                vec!["line 8", "sleep-every", "write-every"],
            ),
            ("[habits]\nonline-for = \"1h\"\n", vec!["offline-for"]),
            (
                "[[then]]\nat = \"2min\"\nwho = \"everybody\"\ndoes = \"crash\"\n",
                vec!["number 1", "lasts 1min"],
            ),
            (
                "[[then]]\nat = \"2s\"\nwho = \"everybody\"\ndoes = \"freeze\"\n",
                vec!["only relays"],
            ),
            (
                "[[then]]\nat = \"2s\"\nwho = \"person 3\"\ndoes = \"crash\"\n",
                vec!["no person 3", "1 to 2"],
            ),
            (
                "[[then]]\nat = \"2s\"\nwho = \"person 1\"\ndoes = \"set the clock ahead\"\n",
                vec!["by = \"40s\""],
            ),
        ] {
            let error = with(more).unwrap_err();
            for part in expected {
                assert!(error.contains(part), "{error}\nlacks {part:?}");
            }
        }
    }
}
