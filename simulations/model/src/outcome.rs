//! What a run came to, as JSON: for scripts, for `replay`, and for reports.

use crate::checks::Failure;
use crate::measures::Measures;
use crate::scenario::Scenario;
use crate::world::Played;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// The outcome of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The scenario as it was played, changes included.
    pub scenario: Scenario,
    /// The file it came from.
    pub file: String,
    /// The seed.
    pub seed: u64,
    /// The command that plays the same again.
    pub command: String,
    /// The version of the source it was built from, if that was known.
    pub commit: String,
    /// The first check that did not hold.
    pub failure: Option<Failure>,
    /// Two runs with the same hash are the same run.
    pub trace_hash: String,
    /// How far virtual time came, in milliseconds.
    pub virtual_millis: u64,
    /// How long that took, in milliseconds of a real clock.
    pub wall_millis: u64,
    /// The most memory that the process used, in bytes.
    pub memory: u64,
    /// Everything that was measured.
    pub measures: Measures,
    /// Who was connected to whom at the end; relays come first.
    pub map: Vec<(u32, u32)>,
}

/// What the program knows of a run and the world does not.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// The file the scenario came from.
    pub file: String,
    /// The seed.
    pub seed: u64,
    /// The command that plays the same again.
    pub command: String,
    /// The version of the source.
    pub commit: String,
    /// Milliseconds it took.
    pub wall_millis: u64,
    /// Bytes of memory at most.
    pub memory: u64,
}

impl Outcome {
    /// Puts together what the world and the program know.
    #[must_use]
    pub fn new(scenario: Scenario, played: Played, circumstances: Circumstances) -> Self {
        Self {
            scenario,
            file: circumstances.file,
            seed: circumstances.seed,
            command: circumstances.command,
            commit: circumstances.commit,
            failure: played.failure,
            trace_hash: played.trace_hash,
            virtual_millis: played.virtual_millis,
            wall_millis: circumstances.wall_millis,
            memory: circumstances.memory,
            measures: played.measures,
            map: played.map,
        }
    }

    /// The same for a terminal.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut text = String::new();
        let measures = &self.measures;
        let _ = writeln!(
            text,
            "{}: {} people, {} relays, seed {}",
            self.scenario.title, self.scenario.people, self.scenario.relays, self.seed
        );
        let times = [
            ("told of a change", &measures.notification),
            ("message delivered", &measures.delivery),
            ("... after absence", &measures.delivery_after_absence),
            ("crash noticed", &measures.crash_noticed),
        ];
        for (what, times) in times {
            if times.all.count() > 0 {
                let quantile = |part| times.all.quantile(part).unwrap_or(0);
                let _ = writeln!(
                    text,
                    "  {what:<18} {:>8} times, p50 {:>6} ms, p99 {:>6} ms, at most {:>7} ms",
                    times.all.count(),
                    quantile(0.5),
                    quantile(0.99),
                    times.all.most()
                );
            }
        }
        if let Some(rate) = measures.false_offline_rate() {
            let _ = writeln!(
                text,
                "  falsely offline    {:.4}% of looks at somebody who is there",
                rate * 100.0
            );
        }
        let (written, arrived) = measures.messages;
        if written > 0 {
            let _ = writeln!(text, "  messages           {written} accepted, {arrived} arrived");
        }
        let per_hour: f64 = measures.bytes_per_node_hour().values().sum();
        let _ = writeln!(
            text,
            "  traffic            {:.1} KiB per node and hour",
            per_hour / 1024.0
        );
        #[expect(clippy::cast_precision_loss, reason = "milliseconds for a ratio")]
        let pace = self.virtual_millis as f64 / self.wall_millis.max(1) as f64;
        let _ = writeln!(
            text,
            "  {:.1} s of virtual time in {:.1} s ({pace:.1} per second), {} inputs, {} MiB",
            self.virtual_seconds(),
            Self::seconds(self.wall_millis),
            measures.inputs,
            self.memory >> 20
        );
        let _ = writeln!(text, "  trace {}", self.trace_hash);
        if let Some(failure) = &self.failure {
            let check = serde_json::to_string(&failure.check).unwrap_or_default();
            let _ = writeln!(
                text,
                "FAILED at {:.3} s, node {}: {} {}\n  source: {}\n  again:  {}",
                Self::seconds(failure.at),
                failure.node,
                check.trim_matches('"'),
                failure.what,
                self.commit,
                self.command
            );
        }
        text
    }

    fn virtual_seconds(&self) -> f64 {
        Self::seconds(self.virtual_millis)
    }

    #[expect(clippy::cast_precision_loss, reason = "milliseconds for people")]
    fn seconds(millis: u64) -> f64 {
        millis as f64 / 1_000.0
    }
}
