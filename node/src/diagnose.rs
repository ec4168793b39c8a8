//! Why a contact cannot be seen or reached: looks at one thing after the other, says of each what was tried and what came,
//! and ends with one conclusion ([`mod@conclude`]). Asked for by `handler`, for `net.diagnose`.
//!
//! A diagnosis goes on by itself once it has begun, so that who asked can be shown each step as it comes; few may be under
//! way at once, and each step has its time.

pub mod conclude;
mod steps;

use crate::clock::{millis, unix_now};
use crate::convert::rpc as convert;
use crate::driver::Core;
use crate::handler::{About, Api};
use conclude::{Facts, Heard, Messages, Reach, Record, Standing, TheirRelays, Uplink, conclude};
use porchlight_net::Net;
use porchlight_proto::event::{Source, Verdict};
use porchlight_proto::examination::Examined;
use porchlight_proto::messaging::rows::{FailureReason, MessageState};
use porchlight_proto::relays::RelayInfo;
use porchlight_proto::{Command, CommandError, Reply};
use porchlight_rpc::types::{Diagnosis, DiagnosisStep, NetDiagnose};
use porchlight_rpc::{Kind, RpcError};
use porchlight_store::{MessageQuery, Store};
use porchlight_wire::beacon::VerifiedBeacon;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::timeout;

/// Diagnoses under way at once: each makes a handful of lookups and dials.
const UNDER_WAY: usize = 4;

/// Diagnoses remembered, so that whoever follows one by its steps is given the last of them.
const REMEMBERED: usize = 16;

/// How long the core and the network task may take to answer. They answer in a millisecond.
const ANSWER: Duration = Duration::from_secs(5);

/// How long a lookup may take. The network gives up on it by itself before that.
const LOOK: Duration = Duration::from_secs(20);

/// Among how many messages, theirs and ours, the last one of ours is looked for.
const LAST_MESSAGES: u32 = 50;

/// How long all dials of a step may take together. The network gives up on each by itself before that.
const DIAL: Duration = Duration::from_secs(15);

/// Diagnoses that are under way, and those that ended last, by whom they are about.
#[derive(Debug, Default)]
pub(crate) struct Diagnoses {
    all: Mutex<BTreeMap<String, watch::Receiver<Diagnosis>>>,
}

impl Diagnoses {
    /// One to be followed: under way, or, for whoever has seen steps of it, ended.
    fn of(&self, contact: &str, seen: bool) -> Option<watch::Receiver<Diagnosis>> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.get(contact)?;
        (seen || is_under_way(known)).then(|| known.clone())
    }

    /// Remembers one that begins; false if too many are under way.
    fn begin(&self, contact: &str, diagnosis: watch::Receiver<Diagnosis>) -> bool {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.values().filter(|known| is_under_way(known)).count() >= UNDER_WAY {
            return false;
        }
        if all.len() >= REMEMBERED {
            all.retain(|_, known| is_under_way(known));
        }
        all.insert(contact.to_owned(), diagnosis);
        true
    }
}

fn is_under_way(diagnosis: &watch::Receiver<Diagnosis>) -> bool {
    diagnosis.borrow().conclusion.is_none() && diagnosis.has_changed().is_ok()
}

impl Api {
    /// `net.diagnose`.
    pub(crate) async fn diagnose(&self, params: NetDiagnose) -> Result<Diagnosis, RpcError> {
        let seen = params.seen.unwrap_or(0);
        let mut followed = match self.diagnoses.of(&params.contact, seen > 0) {
            Some(known) => known,
            None => self.begin_diagnosis(&params.contact).await?,
        };
        let enough = |diagnosis: &Diagnosis| {
            let steps = u32::try_from(diagnosis.steps.len()).unwrap_or(u32::MAX);
            diagnosis.conclusion.is_some() || params.seen.is_some_and(|seen| steps > seen)
        };
        let found = followed.wait_for(enough).await;
        found
            .map(|diagnosis| diagnosis.clone())
            .map_err(|_| RpcError::new(Kind::Internal, "the diagnosis ended without a conclusion"))
    }

    async fn begin_diagnosis(&self, contact: &str) -> Result<watch::Receiver<Diagnosis>, RpcError> {
        let began = Instant::now();
        let command = Command::Examine {
            contact: contact.to_owned(),
            found: Vec::new(),
        };
        let examined = match self.core.command(command, None).await {
            Ok(Reply::Examined(examined)) => Some(*examined),
            Err(CommandError::NotFound { .. }) => None,
            Err(error) => return Err(convert::error(&error)),
            Ok(_) => {
                return Err(RpcError::new(
                    Kind::Internal,
                    "the node answered something else than was asked",
                ));
            }
        };
        let (sender, receiver) = watch::channel(Diagnosis {
            contact: examined
                .as_ref()
                .map_or_else(|| contact.to_owned(), |examined| examined.contact.name.clone()),
            principal: examined.as_ref().map(|examined| examined.contact.principal.to_string()),
            started_at: convert::at(unix_now()),
            took_ms: 0,
            steps: Vec::new(),
            conclusion: None,
        });
        let run = Run {
            about: self.about.clone(),
            core: self.core.clone(),
            net: self.net.clone(),
            store: self.store.clone(),
            sender,
            began,
        };
        let Some(examined) = examined else {
            run.nobody(contact);
            return Ok(receiver);
        };
        if !self.diagnoses.begin(contact, receiver.clone()) {
            return Err(RpcError::new(
                Kind::RateLimited,
                format!("{UNDER_WAY} diagnoses are under way already"),
            )
            .hint("wait until one of them has ended"));
        }
        tokio::spawn(run.through(examined));
        Ok(receiver)
    }
}

/// One diagnosis.
struct Run {
    about: About,
    core: Core,
    net: Net,
    store: Store,
    sender: watch::Sender<Diagnosis>,
    began: Instant,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Ok,
    Failed,
    Skipped,
}

/// What came of a step.
struct Came {
    outcome: Outcome,
    tried: String,
    found: String,
}

impl Came {
    fn new(well: bool, tried: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            outcome: if well { Outcome::Ok } else { Outcome::Failed },
            tried: tried.into(),
            found: found.into(),
        }
    }

    fn skipped(tried: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Skipped,
            ..Self::new(true, tried, found)
        }
    }
}

impl Run {
    /// There is no such contact: nothing else has to be asked.
    fn nobody(&self, contact: &str) {
        let facts = Facts {
            name: contact.to_owned(),
            standing: Standing::NoContact,
            told: Verdict::UnknownNoRecord,
            heard: None,
            uplink: Uplink::Relays,
            lost_relays: Vec::new(),
            clocks_ahead: None,
            record: Record::NotLooked,
            reach: Reach::NoAddress,
            their_relays: TheirRelays::NoneNamed,
            messages: Messages::default(),
            now: unix_now(),
        };
        self.step(
            "contact",
            self.began,
            Came::new(false, "this node's contacts", "none of this name or id"),
        );
        self.end(&facts);
    }

    async fn through(self, examined: Examined) {
        let mut at = Instant::now();
        let mut next = |step: &str, came: Came| {
            self.step(step, at, came);
            at = Instant::now();
        };
        next("contact", steps::contact(&examined));
        next("letters", steps::letters(&examined));
        let refused = self.refused(&examined).await;
        next("messages", steps::messages(&examined, refused));
        let net = within(ANSWER, async { self.net.status().await.ok() }).await;
        next("relays", steps::relays(self.about.role, net.as_ref()));
        let (uplink, came) = self.seed_peers(net.as_ref()).await;
        next("seed_peers", came);
        let (lost_relays, came) = self.own_relays(net.as_ref()).await;
        next("own_relays", came);
        next("source", steps::source(&examined));
        let condition = self.condition().await;
        next("clock", steps::clock(condition.as_ref()));
        let anyone = net.as_ref().is_some_and(|net| !net.peers.is_empty());
        next("own_card", self.own_card(condition.as_ref(), anyone).await);
        let (examined, record, came) = self.record(examined, anyone).await;
        next("record", came);
        let (examined, came) = self.card(examined, anyone).await;
        next("card", came);
        let (reach, came) = self.dial_them(&examined, net.as_ref()).await;
        next("dial", came);
        let (their_relays, came) = self.their_relays(&examined, net.as_ref()).await;
        next("their_relays", came);
        // What has come meanwhile counts: the dial may have brought it.
        let examined = self
            .examine(&examined.contact.principal.to_string(), Vec::new())
            .await
            .unwrap_or(examined);
        next("told", steps::told(&examined));
        self.end(&Facts {
            name: examined.contact.name.clone(),
            standing: conclude::standing(&examined),
            told: examined.presence.told.verdict,
            heard: heard(&examined),
            uplink,
            lost_relays,
            clocks_ahead: condition
                .as_ref()
                .and_then(crate::health::middle_clock)
                .map(|clock| clock.ahead),
            record,
            reach,
            their_relays,
            messages: Messages {
                waiting: examined.messages.count,
                stored: examined.messages.stored,
                stored_until: examined.messages.stored_until,
                refused,
            },
            now: unix_now(),
        });
    }

    fn step(&self, step: &str, began: Instant, came: Came) {
        let step = DiagnosisStep {
            step: step.to_owned(),
            outcome: match came.outcome {
                Outcome::Ok => "ok",
                Outcome::Failed => "failed",
                Outcome::Skipped => "skipped",
            }
            .to_owned(),
            tried: came.tried,
            found: came.found,
            took_ms: millis(began.elapsed()),
        };
        self.sender.send_modify(|diagnosis| {
            diagnosis.steps.push(step);
            diagnosis.took_ms = millis(self.began.elapsed());
        });
    }

    fn end(&self, facts: &Facts) {
        let conclusion = conclude(facts);
        self.sender.send_modify(|diagnosis| {
            diagnosis.took_ms = millis(self.began.elapsed());
            diagnosis.conclusion = Some(conclusion);
        });
    }

    /// What the core knows of the contact, with what was found judged.
    async fn examine(&self, contact: &str, found: Vec<VerifiedBeacon>) -> Option<Examined> {
        let contact = contact.to_owned();
        within(ANSWER, async {
            match self.core.command(Command::Examine { contact, found }, None).await {
                Ok(Reply::Examined(examined)) => Some(*examined),
                _ => None,
            }
        })
        .await
    }

    /// The relays that this node uses.
    async fn relays(&self) -> Vec<RelayInfo> {
        let relays = within(ANSWER, async {
            match self.core.command(Command::ListRelays, None).await {
                Ok(Reply::Relays(relays)) => Some(relays),
                _ => None,
            }
        });
        relays.await.unwrap_or_default()
    }

    /// Why the last message to them was refused, if it was.
    async fn refused(&self, examined: &Examined) -> Option<FailureReason> {
        let query = MessageQuery {
            contact: Some(examined.contact.principal),
            after: None,
            before: None,
            most: LAST_MESSAGES,
        };
        let messages = within(ANSWER, async { self.store.messages().list(query).await.ok() }).await?;
        let ours = messages.into_iter().filter(|(row, _)| row.outgoing);
        let (_, state) = ours.max_by_key(|(row, _)| row.number)?;
        match state?.state {
            MessageState::Failed(reason) => Some(reason),
            MessageState::Queued
            | MessageState::Sent
            | MessageState::Stored { .. }
            | MessageState::Delivered
            | MessageState::Read
            | MessageState::Expired
            | MessageState::Cancelled => None,
        }
    }

    async fn condition(&self) -> Option<porchlight_proto::health::Condition> {
        within(ANSWER, async {
            match self.core.command(Command::Condition, None).await {
                Ok(Reply::Condition(condition)) => Some(*condition),
                _ => None,
            }
        })
        .await
    }
}

/// What was heard of them last that still holds.
fn heard(examined: &Examined) -> Option<Heard> {
    let told = &examined.presence.told;
    Some(Heard {
        issued: told.issued?,
        holds_until: told.holds_until?,
        direct: told.source == Some(Source::Direct),
    })
}

async fn within<T>(time: Duration, answer: impl Future<Output = Option<T>>) -> Option<T> {
    timeout(time, answer).await.ok().flatten()
}
