//! A town: sixteen people and four relays, each a process of its own. What each is shown, and what goes on when relays die
//! and people come and go.

use super::town::stage;
use porchlight::demo::person::Person;
use porchlight::demo::stage::Stage;
use porchlight_rpc::Client;
use porchlight_rpc::methods::{ContactAdd, EventsNext, EventsSubscribe, InviteCreate, PresenceList, ViewCreate};
use porchlight_rpc::types::{self, Told};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use tokio::task::JoinHandle;
use tokio::time::sleep;

const PEOPLE: [&str; 16] = [
    "ada", "ben", "cleo", "dora", "emil", "fay", "gus", "hana", "ivo", "june", "kai", "lena", "milo", "nora", "otto",
    "pia",
];

/// Relays that nobody's configuration names.
const FURTHER: [&str; 2] = ["relay-3", "relay-4"];

/// A view of the status alone.
const WORK: &str = "work";

/// Between two looks of those who look whether anybody is shown as there for too long.
const LOOK: Duration = Duration::from_millis(250);

/// What one shows another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// Status and notes.
    All,
    /// The status alone.
    Status,
    /// They do not know each other.
    Nothing,
}

fn everybody() -> Range<usize> {
    0..PEOPLE.len()
}

/// Who sees what: one's neighbours everything, two further away the status, eleven nothing. It is the same both ways.
fn shown(one: usize, other: usize) -> Shown {
    match (one + PEOPLE.len() - other) % PEOPLE.len() {
        1 | 15 => Shown::All,
        5 | 11 => Shown::Status,
        _ => Shown::Nothing,
    }
}

/// Whose presence somebody sees, and how much of it.
fn seen_by(watcher: usize) -> impl Iterator<Item = (usize, Shown)> {
    everybody()
        .map(move |other| (other, shown(other, watcher)))
        .filter(|(_, shown)| *shown != Shown::Nothing)
}

fn note(who: usize, round: &str) -> String {
    format!("{} {round}", PEOPLE[who])
}

/// Somebody who remembers all that they were told.
struct Townsman {
    person: Person,
    heard: RefCell<BTreeMap<String, Vec<Told>>>,
    /// How much of it was asked for, by contact.
    asked: BTreeMap<String, usize>,
}

impl Townsman {
    /// Waits until the contact is told to be so, after what was asked for last.
    async fn hears(&mut self, of: usize, status: &str, detail: Option<&str>) -> Told {
        let contact = PEOPLE[of];
        let what = format!("{contact} is {status} {detail:?}");
        loop {
            let asked = self.asked.entry(contact.to_owned()).or_default();
            if let Some(heard) = self.heard.borrow().get(contact) {
                let fits = |told: &Told| told.status == status && told.detail.as_deref() == detail;
                if let Some(at) = heard.iter().skip(*asked).position(fits) {
                    *asked += at + 1;
                    return heard[*asked - 1].clone();
                }
            }
            let heard = &self.heard;
            let listen = |told: &Told| {
                heard
                    .borrow_mut()
                    .entry(told.contact.clone())
                    .or_default()
                    .push(told.clone());
                told.contact == contact
            };
            self.person.told(&what, listen).await.unwrap();
        }
    }
}

/// Looks at a node again and again, and holds that it shows nobody as there for longer than their record holds.
async fn never_stale(home: PathBuf, stop: Arc<AtomicBool>) -> usize {
    let mut answers = 0;
    // Past what stands between the node and its clients: here it would only cost time.
    let socket = porchlight::home::socket(&home).with_extension("aside");
    while !stop.load(Ordering::Relaxed) {
        if let Ok(mut node) = Client::connect(&socket).await {
            while !stop.load(Ordering::Relaxed) {
                let asked = SystemTime::now();
                let Ok(list) = node.call::<PresenceList>(&types::Nothing {}).await else {
                    break;
                };
                for told in &list.contacts {
                    if ["open", "away", "busy"].contains(&told.status.as_str()) {
                        let until = told.holds_until_at.as_deref().unwrap();
                        let until = humantime::parse_rfc3339(until).unwrap();
                        // Times in answers are whole milliseconds.
                        assert!(
                            until + Duration::from_millis(1) > asked,
                            "{}: stale: {told:?}",
                            home.display()
                        );
                    }
                }
                answers += 1;
                sleep(LOOK).await;
            }
        }
        sleep(LOOK).await;
    }
    answers
}

struct Town {
    stage: Stage,
    people: Vec<Townsman>,
    /// Whose nodes do not run.
    away: BTreeSet<usize>,
    stop: Arc<AtomicBool>,
    looking: Vec<JoinHandle<usize>>,
}

impl Town {
    async fn build() -> Self {
        let mut stage = stage();
        stage.start_relays().await.unwrap();
        for relay in FURTHER {
            stage.start_further_relay(relay).await.unwrap();
        }
        let mut people = Vec::new();
        let stop = Arc::new(AtomicBool::new(false));
        let mut looking = Vec::new();
        for name in PEOPLE {
            stage.start(name).await.unwrap();
            people.push(Townsman {
                person: Person::meet(&stage, name).await.unwrap(),
                heard: RefCell::default(),
                asked: BTreeMap::new(),
            });
            looking.push(tokio::spawn(never_stale(stage.home(name), Arc::clone(&stop))));
        }
        for name in PEOPLE {
            stage.connected_to_relays(name).await.unwrap();
        }
        let mut town = Self {
            stage,
            people,
            away: BTreeSet::new(),
            stop,
            looking,
        };
        town.meet().await;
        town
    }

    /// Everybody makes the acquaintance of whom they are to see.
    async fn meet(&mut self) {
        for townsman in &mut self.people {
            let params = types::ViewCreate {
                view: WORK.to_owned(),
                shows: Some("status".to_owned()),
                allows: None,
                reach: None,
                idempotency_key: None,
            };
            townsman.person.calls.call::<ViewCreate>(&params).await.unwrap();
        }
        for one in everybody() {
            for step in [1, 5] {
                let other = (one + step) % PEOPLE.len();
                let view = (shown(one, other) == Shown::Status).then(|| WORK.to_owned());
                let params = types::InviteCreate {
                    uses: None,
                    expires_in_ms: None,
                    view: view.clone(),
                    idempotency_key: None,
                };
                let invite = self.people[one]
                    .person
                    .calls
                    .call::<InviteCreate>(&params)
                    .await
                    .unwrap()
                    .uri;
                let params = types::ContactAdd {
                    invite,
                    name: None,
                    view,
                    idempotency_key: None,
                };
                let added = self.people[other]
                    .person
                    .calls
                    .call::<ContactAdd>(&params)
                    .await
                    .unwrap();
                assert_eq!(added.contact.name, PEOPLE[one]);
            }
        }
        for one in everybody() {
            for (other, _) in seen_by(one) {
                self.people[one].person.subscribed(PEOPLE[other]).await.unwrap();
            }
        }
    }

    fn present(&self) -> Vec<usize> {
        everybody().filter(|who| !self.away.contains(who)).collect()
    }

    /// Everybody who is there changes to a status, with a note.
    async fn all_become(&mut self, status: &str, round: &str) {
        for who in self.present() {
            let note = note(who, round);
            self.people[who].person.set(status, Some(&note)).await.unwrap();
        }
    }

    /// Everybody who is there is told so of all whom they see, except for some pairs.
    async fn all_hear(&mut self, status: &str, round: &str, but: &[(usize, usize)]) {
        for watcher in self.present() {
            for (of, _) in seen_by(watcher) {
                if !self.away.contains(&of) && !but.contains(&(watcher, of)) {
                    self.hears_round(watcher, of, status, round).await;
                }
            }
        }
    }

    /// Somebody is told what another became in a round, and no more of it than they may see.
    async fn hears_round(&mut self, watcher: usize, of: usize, status: &str, round: &str) {
        let told = self.people[watcher].hears(of, status, None).await;
        let notes: Vec<&str> = told.notes.iter().map(|note| note.text.as_str()).collect();
        match shown(of, watcher) {
            Shown::All => assert_eq!(notes, [note(of, round)], "{told:?}"),
            Shown::Status => assert_eq!(notes, [""; 0], "{told:?}"),
            Shown::Nothing => panic!("{} is told of {told:?}", PEOPLE[watcher]),
        }
    }

    async fn returns(&mut self, who: usize) {
        self.stage.start(PEOPLE[who]).await.unwrap();
        self.people[who].person.reconnect(&self.stage).await.unwrap();
        self.away.remove(&who);
    }

    /// All that ever was told at somebody's node, as it stands in the log.
    async fn log_of(&self, who: usize) -> Vec<types::Event> {
        let consumer = "audit".to_owned();
        let mut node = self.stage.client(PEOPLE[who]).await.unwrap();
        let from = Some("oldest".to_owned());
        let subscribe = types::EventsSubscribe {
            consumer: consumer.clone(),
            from,
        };
        let mut other = self.stage.client(PEOPLE[who]).await.unwrap();
        other.call::<EventsSubscribe>(&subscribe).await.unwrap();
        let next = types::EventsNext {
            consumer,
            max: Some(1_000),
            wait_ms: None,
        };
        let batch = node.call::<EventsNext>(&next).await.unwrap();
        assert!(!batch.more, "the log is longer than this looks at");
        batch.events
    }
}

fn mentions(events: &[types::Event], text: &str) -> bool {
    events.iter().any(|event| event.data.to_string().contains(text))
}

#[tokio::test]
async fn rfc2779_3_2_3_in_a_town_everybody_is_told_all_they_may_see_and_no_more_whoever_comes_and_goes() {
    const BEN: usize = 1;
    const CLEO: usize = 2;
    const DORA: usize = 3;
    const JUNE: usize = 9;
    assert_eq!(shown(CLEO, DORA), Shown::All);
    let june = PEOPLE[JUNE];
    let mut town = Town::build().await;
    for (status, round) in [("away", "first"), ("busy", "second")] {
        town.all_become(status, round).await;
        town.all_hear(status, round, &[]).await;
    }

    // Both relays that anybody's configuration names, and one of the others.
    for relay in ["relay-1", "relay-2", "relay-3"] {
        town.stage.kill(relay).await.unwrap();
    }
    town.all_become("away", "third").await;
    town.all_hear("away", "third", &[]).await;
    // The one that is left has become everybody's relay.
    for name in PEOPLE {
        town.stage.connected_to_a_relay(name).await.unwrap();
    }

    // One goes and says so, another is killed.
    town.stage.stop(PEOPLE[DORA]).await.unwrap();
    town.stage.kill(june).await.unwrap();
    town.away.extend([DORA, JUNE]);
    for (who, detail) in [(DORA, None), (JUNE, Some("lapsed"))] {
        for (watcher, _) in seen_by(who) {
            let told = town.people[watcher].hears(who, "closed", detail).await;
            assert!(told.holds_until_at.is_none(), "{told:?}");
            // What is asked of the relay that is left is as true as what was told.
            let fetched = town.people[watcher].person.fetch(PEOPLE[who]).await.unwrap();
            assert_eq!(
                (fetched.status.as_str(), fetched.source.as_deref()),
                ("closed", Some("dht")),
                "{fetched:?}"
            );
        }
    }

    // Meanwhile life goes on, and one who is away is not told that the keys of what she sees were replaced.
    town.people[CLEO].person.remove(PEOPLE[BEN]).await.unwrap();
    town.people[BEN].person.cancelled(PEOPLE[CLEO]).await.unwrap();
    let removed = [(BEN, CLEO), (CLEO, BEN)];
    town.all_become("busy", "fourth").await;
    town.all_hear("busy", "fourth", &removed).await;

    // Both come back under the same keys: they are as they left, and are told what they missed.
    for who in [DORA, JUNE] {
        let before = town.people[who].person.principal.clone();
        town.returns(who).await;
        for (watcher, _) in seen_by(who) {
            town.hears_round(watcher, who, "away", "third").await;
        }
        for (of, _) in seen_by(who) {
            town.hears_round(who, of, "busy", "fourth").await;
        }
        let after = Person::meet(&town.stage, PEOPLE[who]).await.unwrap().principal;
        assert_eq!(after, before);
    }
    town.all_become("open", "fifth").await;
    town.all_hear("open", "fifth", &removed).await;

    for watcher in everybody() {
        let events = town.log_of(watcher).await;
        for of in everybody() {
            let knows = of == watcher || shown(of, watcher) != Shown::Nothing;
            let told_of = events
                .iter()
                .any(|event| event.kind == "presence.changed" && event.data["contact"] == PEOPLE[of]);
            assert_eq!(told_of, knows && of != watcher, "{} of {}", PEOPLE[watcher], PEOPLE[of]);
            let reads = of == watcher || shown(of, watcher) == Shown::All;
            for round in ["first", "second", "third", "fourth", "fifth"] {
                let missed = removed.contains(&(watcher, of)) && ["fourth", "fifth"].contains(&round)
                    || [DORA, JUNE].contains(&of) && round == "fourth";
                let told = mentions(&events, &note(of, round));
                assert_eq!(told, reads && !missed, "{} of {}, {round}", PEOPLE[watcher], PEOPLE[of]);
            }
        }
    }

    town.stop.store(true, Ordering::Relaxed);
    for looking in town.looking.drain(..) {
        let answers = looking.await.unwrap();
        assert!(answers > 0, "nobody looked");
    }
}
