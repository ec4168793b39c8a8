//! Setting our own presence: as usual, or what one view shows instead; for good, or for a while, after which it goes back
//! by itself. Called by the core for commands, and after every input for what is over. What is told of it is
//! [`presentity`](super::presentity)'s.

use super::presentity::{Own, SELF, document, project};
use crate::clock::Instant;
use crate::contacts::{CONTACTS_VIEW, full};
use crate::event::{Event, OwnCause, OwnPresenceChange};
use crate::input::{NewPresence, NewState, OwnPart, Until};
use crate::limits::{DAY, TIMED_LEAST, TIMED_MOST, TIMED_NESTED};
use crate::node::Node;
use crate::presence::watcher::not_found;
use crate::reply::{CommandError, OwnPresence, Reply, ViewPresence};
use crate::rows::{OwnPresenceRow, OwnState, OwnTuple, Status, ViewRow};
use crate::step::Write;
use porchlight_wire::cbor::Value;
use porchlight_wire::limits::LEASE_MAX;
use porchlight_wire::presence::registry::{AWAY, BUSY};
use porchlight_wire::presence::{PresenceError, PresenceState};
use porchlight_wire::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};

impl Node {
    /// What holds of our own presence, for a view or as usual.
    pub(crate) fn own(&self, view: Option<&str>) -> Own {
        let layer = view.and_then(|view| self.disk.views.get(view)?.own.as_ref());
        Own::of(self.disk.own.as_ref(), layer, self.started)
    }

    /// The same as local clients see it.
    pub(crate) fn own_presence(&self, view: Option<&str>) -> OwnPresence {
        let own = self.own(view);
        let back_to = own.state.until.map(|_| self.after(view).state.status);
        OwnPresence {
            view: view.map(str::to_owned),
            state: own.state,
            back_to,
            details: own.details,
            tuples: own.tuples,
            extensions: own.extensions,
        }
    }

    /// What will hold when the state that holds now is over.
    fn after(&self, view: Option<&str>) -> Own {
        let back = |row: &OwnPresenceRow| OwnPresenceRow {
            state: row.before.last().cloned(),
            ..row.clone()
        };
        let usual = self.disk.own.as_ref();
        let layer = view.and_then(|view| self.disk.views.get(view)?.own.as_ref());
        match layer {
            Some(layer) if layer.state.is_some() => Own::of(usual, Some(&back(layer)), self.started),
            Some(_) | None => Own::of(usual.map(back).as_ref(), layer, self.started),
        }
    }

    /// `Command::SetPresence`.
    pub(crate) fn command_set_presence(&mut self, new: NewPresence) -> Result<Reply, CommandError> {
        let NewPresence {
            view,
            state,
            details,
            tuples,
            extensions,
        } = new;
        let mut row = self.layer(view.as_deref())?;
        if let Some(new) = state {
            self.change_state(view.as_deref(), &mut row, new)?;
        }
        if let Some(tuples) = &tuples {
            check_tuples(tuples)?;
        }
        if let Some(extensions) = &extensions {
            check_extensions(extensions)?;
        }
        row.details = details.or(row.details);
        row.tuples = tuples.or(row.tuples);
        row.extensions = extensions.or(row.extensions);
        self.check_fits(view.as_deref(), &row)?;
        self.put_layer(view.as_deref(), row, OwnCause::Set);
        Ok(Reply::Presence(Box::new(self.own_presence(view.as_deref()))))
    }

    /// `Command::ClearPresence`: parts of a layer go; none named: all of it.
    pub(crate) fn command_clear_presence(
        &mut self,
        view: Option<&str>,
        parts: &BTreeSet<OwnPart>,
    ) -> Result<Reply, CommandError> {
        let mut row = self.layer(view)?;
        for part in OwnPart::ALL {
            if !parts.is_empty() && !parts.contains(&part) {
                continue;
            }
            match part {
                OwnPart::Status => (row.state, row.before) = (None, Vec::new()),
                OwnPart::Details => row.details = None,
                OwnPart::Tuples => row.tuples = None,
                OwnPart::Extensions => row.extensions = None,
            }
        }
        self.check_fits(view, &row)?;
        self.put_layer(view, row, OwnCause::Cleared);
        Ok(Reply::Presence(Box::new(self.own_presence(view))))
    }

    /// `Command::ShowPresence`.
    pub(crate) fn command_show_presence(&mut self) -> Reply {
        self.ensure_view(CONTACTS_VIEW);
        let principal = self.disk.identity.principal;
        let shown = |row: &ViewRow| {
            let layer = row.own.as_ref();
            ViewPresence {
                projection: row.projection,
                own_parts: layer.map(parts_of).unwrap_or_default(),
                presence: self.own_presence(Some(&row.name)),
                sees: project(document(principal, &self.own(Some(&row.name))), row.projection),
            }
        };
        Reply::OwnPresences {
            usual: Box::new(self.own_presence(None)),
            views: self.disk.views.values().map(shown).collect(),
        }
    }

    /// Goes back to what was before, where a state is over.
    pub(crate) fn presence_due(&mut self) {
        let now = self.clock.unix;
        let over = |row: Option<&OwnPresenceRow>| ends(row).is_some_and(|until| until <= now);
        let views = self.disk.views.values().filter(|row| over(row.own.as_ref()));
        let mut layers: Vec<Option<String>> = views.map(|row| Some(row.name.clone())).collect();
        if over(self.disk.own.as_ref()) {
            layers.push(None);
        }
        for view in layers {
            let Ok(mut row) = self.layer(view.as_deref()) else {
                continue;
            };
            // What was over meanwhile too, while this node was stopped, does not come back.
            while let Some(since) = ends(Some(&row)).filter(|until| *until <= now) {
                row.state = row.before.pop().map(|before| OwnState { since, ..before });
            }
            self.put_layer(view.as_deref(), row, OwnCause::Over);
        }
    }

    /// When [`presence_due`](Self::presence_due) has something to do next.
    pub(crate) fn next_presence(&self) -> Option<Instant> {
        let views = self.disk.views.values().map(|row| row.own.as_ref());
        std::iter::once(self.disk.own.as_ref())
            .chain(views)
            .filter_map(ends)
            .min()
            .map(|until| self.instant_of(until))
    }

    /// The layer of a view, or the usual one, as it is on disk.
    fn layer(&mut self, view: Option<&str>) -> Result<OwnPresenceRow, CommandError> {
        let Some(name) = view else {
            return Ok(self.disk.own.clone().unwrap_or_default());
        };
        if name != CONTACTS_VIEW && !self.disk.views.contains_key(name) {
            return Err(not_found("view", name));
        }
        Ok(self.ensure_view(name).own.unwrap_or_default())
    }

    fn change_state(&self, view: Option<&str>, row: &mut OwnPresenceRow, new: NewState) -> Result<(), CommandError> {
        let state = self.state_of(view, new)?;
        row.before.extend(row.state.take());
        match state.until {
            None => row.before.clear(),
            // What is over by then does not come back.
            Some(until) => row.before.retain(|before| before.until.is_none_or(|its| its > until)),
        }
        let timed = row.before.iter().filter(|before| before.until.is_some()).count();
        if timed >= TIMED_NESTED {
            return Err(full("status for a while inside another", TIMED_NESTED));
        }
        row.state = Some(state);
        Ok(())
    }

    /// A state as it is kept. It is not since now that we are as we were already.
    fn state_of(&self, view: Option<&str>, new: NewState) -> Result<OwnState, CommandError> {
        let now = self.clock.unix;
        let until = match new.until {
            None => None,
            Some(Until::In(millis)) => Some(now.plus(millis)),
            Some(Until::At(at)) => Some(at),
        };
        if let Some(until) = until {
            let long = until.since(now);
            if !(TIMED_LEAST..=TIMED_MOST).contains(&long) {
                return Err(CommandError::Invalid {
                    what: "how long it holds".to_owned(),
                    expected: format!("{} s to {} days", TIMED_LEAST / 1_000, TIMED_MOST / DAY),
                    got: format!("{} s", long / 1_000),
                });
            }
        }
        let status = new.status.unwrap_or_else(|| self.own(view).state.status);
        Ok(OwnState {
            status,
            notes: new.notes,
            activities: activities(status, new.activities)?,
            mood: new.mood,
            place: new.place,
            since: now,
            until,
        })
    }

    /// Whether everybody who would see a layer can be told of it, now and when it is over.
    fn check_fits(&self, view: Option<&str>, row: &OwnPresenceRow) -> Result<(), CommandError> {
        let none = OwnPresenceRow::default();
        let Some(view) = view else {
            let views = self.disk.views.values();
            let layers = views.filter_map(|view| Some((Some(view.name.as_str()), view.own.as_ref()?)));
            return std::iter::once((None, &none))
                .chain(layers)
                .try_for_each(|(name, layer)| self.check_layers(row, name, layer));
        };
        let usual = self.disk.own.as_ref().unwrap_or(&none);
        self.check_layers(usual, Some(view), row)
    }

    fn check_layers(
        &self,
        usual: &OwnPresenceRow,
        view: Option<&str>,
        layer: &OwnPresenceRow,
    ) -> Result<(), CommandError> {
        for layer in states_to_come(layer) {
            // Only where the layer has no state of its own that of the usual one matters.
            let usual = match layer.state {
                Some(_) => vec![usual.clone()],
                None => states_to_come(usual),
            };
            for usual in usual {
                let own = Own::of(Some(&usual), Some(&layer), self.started);
                self.check_document(&own).map_err(|error| out_of_bounds(view, error))?;
            }
        }
        Ok(())
    }

    /// What others could not read is not set.
    fn check_document(&self, own: &Own) -> Result<(), PresenceError> {
        let state = PresenceState {
            issued: self.clock.unix,
            lease: LEASE_MAX,
            ended: false,
            document: document(self.disk.identity.principal, own),
            reach: None,
        };
        PresenceState::from_bytes(&state.to_bytes()?).map(|_| ())
    }

    /// Keeps a layer, and has it published and told, if it is another one.
    fn put_layer(&mut self, view: Option<&str>, mut row: OwnPresenceRow, cause: OwnCause) {
        let known = match view {
            None => self.disk.own.clone(),
            Some(view) => self.disk.views.get(view).and_then(|view| view.own.clone()),
        }
        .unwrap_or_default();
        if let (Some(old), Some(new)) = (&known.state, &mut row.state) {
            let since = new.since;
            new.since = old.since;
            if new != old {
                new.since = since;
            }
        }
        if row == known {
            return;
        }
        match view {
            None => {
                self.write(Write::PutOwnPresence(row));
                self.touch_presence();
            }
            Some(view) => {
                let own = (!row.is_empty()).then_some(row);
                let row = ViewRow {
                    own,
                    ..self.ensure_view(view)
                };
                self.write(Write::PutView(row));
                self.touch_view(view);
            }
        }
        let change = OwnPresenceChange {
            cause,
            own: self.own_presence(view),
        };
        self.tell(Event::OwnPresenceChanged(Box::new(change)));
    }
}

/// Why a document cannot be told, to whoever set it.
fn out_of_bounds(view: Option<&str>, error: PresenceError) -> CommandError {
    let what = view.map_or_else(
        || "the presence".to_owned(),
        |view| format!("the presence as '{view}' shows it"),
    );
    if let PresenceError::TooLarge { most, got } = error {
        return CommandError::TooLarge { what, most, got };
    }
    CommandError::Invalid {
        what,
        expected: "a document within its bounds".to_owned(),
        got: error.to_string(),
    }
}

/// When the state of a layer is over by itself.
fn ends(row: Option<&OwnPresenceRow>) -> Option<UnixMillis> {
    row?.state.as_ref()?.until
}

/// A layer as it is now, and as it will be each time that a state is over.
fn states_to_come(row: &OwnPresenceRow) -> Vec<OwnPresenceRow> {
    let mut layers = vec![row.clone()];
    let mut now = row.clone();
    while ends(Some(&now)).is_some() {
        now.state = now.before.pop();
        layers.push(now.clone());
    }
    layers
}

fn parts_of(row: &OwnPresenceRow) -> BTreeSet<OwnPart> {
    let has = |part: &OwnPart| match part {
        OwnPart::Status => row.state.is_some(),
        OwnPart::Details => row.details.is_some(),
        OwnPart::Tuples => row.tuples.is_some(),
        OwnPart::Extensions => row.extensions.is_some(),
    };
    OwnPart::ALL.into_iter().filter(has).collect()
}

/// Activities besides that of the status. `away` and `busy` are said by the status alone, so that there is one place to look.
fn activities(status: Status, activities: Vec<String>) -> Result<Vec<String>, CommandError> {
    let said = match status {
        Status::Away => Some(AWAY),
        Status::Busy => Some(BUSY),
        Status::Open | Status::Closed => None,
    };
    let mut besides: Vec<String> = Vec::with_capacity(activities.len());
    for activity in activities {
        if Some(activity.as_str()) == said || besides.contains(&activity) {
            continue;
        }
        if [AWAY, BUSY].contains(&activity.as_str()) {
            return Err(CommandError::Invalid {
                what: "an activity".to_owned(),
                expected: "one besides away and busy, which are statuses".to_owned(),
                got: format!("'{activity}'"),
            });
        }
        besides.push(activity);
    }
    Ok(besides)
}

fn check_tuples(tuples: &[OwnTuple]) -> Result<(), CommandError> {
    let mut ids = BTreeSet::from([SELF]);
    match tuples.iter().find(|tuple| !ids.insert(&tuple.id)) {
        None => Ok(()),
        Some(twice) => Err(CommandError::Invalid {
            what: "the ids of tuples".to_owned(),
            expected: format!("a different one for each, and none of them '{SELF}'"),
            got: format!("'{}' twice", twice.id),
        }),
    }
}

fn check_extensions(extensions: &BTreeMap<String, Value>) -> Result<(), CommandError> {
    let own = |name: &str| name.contains('.') && name.bytes().all(|byte| byte.is_ascii_graphic());
    match extensions.keys().find(|name| !own(name)) {
        None => Ok(()),
        Some(name) => Err(CommandError::Invalid {
            what: "the name of an extension".to_owned(),
            expected: "one that begins with a domain of your own the other way round, such as org.example.tea"
                .to_owned(),
            got: format!("'{name}'"),
        }),
    }
}
