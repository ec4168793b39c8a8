//! Reports: one HTML file with pictures and no reference to elsewhere, made of the outcomes of runs. Several outcomes of one
//! scenario at different sizes show how its cost grows.

use crate::measures::{Measures, TRAFFIC, Times, Traffic};
use crate::outcome::Outcome;
use crate::plot::{Chart, Series, bars, escaped, map};
use std::collections::BTreeMap;
use std::fmt::Write;

const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem;text-align:right;border-bottom:1px solid #ddd}\
td:first-child,th:first-child{text-align:left}svg{width:100%;height:auto}code{background:#f4f4f4;padding:.1rem .3rem}\
.bad{color:#b00;font-weight:bold}h2{margin-top:3rem;border-top:1px solid #ccc;padding-top:1rem}";

/// The report on these outcomes.
#[must_use]
pub fn html(outcomes: &[Outcome]) -> String {
    let mut page = format!(
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Porchlight: simulations</title><style>{STYLE}</style>\
         <h1>Porchlight: simulations</h1><p>{} runs. Times are virtual; the same seed gives the same run.</p>",
        outcomes.len()
    );
    overview(&mut page, outcomes);
    let mut by_title: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        by_title.entry(&outcome.scenario.title).or_default().push(outcome);
    }
    for (title, mut runs) in by_title {
        runs.sort_by_key(|outcome| (outcome.scenario.people, outcome.seed));
        let _ = write!(page, "<h2>{}</h2>", escaped(title));
        if let Some(first) = runs.first() {
            let _ = write!(page, "<p>{}</p>", escaped(&first.scenario.about));
        }
        let mut sizes: Vec<u32> = runs.iter().map(|outcome| outcome.scenario.people).collect();
        sizes.dedup();
        if sizes.len() > 1 {
            growth(&mut page, &runs);
        }
        if let Some(largest) = runs.last() {
            one(&mut page, largest);
        }
    }
    page.push_str("</html>\n");
    page
}

/// A line for each run.
fn overview(page: &mut String, outcomes: &[Outcome]) {
    page.push_str(
        "<table><tr><th>scenario</th><th>people</th><th>seed</th><th>told p50</th><th>told p99</th><th>message p50</th>\
         <th>message p99</th><th>crash p50</th><th>crash p99</th><th>falsely offline</th><th>KiB/node/h</th>\
         <th>virtual s/s</th><th>bytes/node</th></tr>",
    );
    for outcome in outcomes {
        let measures = &outcome.measures;
        let failed = if outcome.failure.is_some() {
            " <span class='bad'>failed</span>"
        } else {
            ""
        };
        let _ = write!(
            page,
            "<tr><td>{}{failed}</td><td>{}</td><td>{}</td>",
            escaped(&outcome.scenario.title),
            outcome.scenario.people,
            outcome.seed
        );
        for times in [&measures.notification, &measures.delivery, &measures.crash_noticed] {
            for part in [0.5, 0.99] {
                let _ = write!(page, "<td>{}</td>", millis(times.all.quantile(part)));
            }
        }
        let rate = measures.false_offline_rate();
        let _ = write!(
            page,
            "<td>{}</td><td>{:.0}</td><td>{:.1}</td><td>{}</td></tr>",
            rate.map_or_else(|| "–".to_owned(), |rate| format!("{:.4}%", rate * 100.0)),
            kilobytes_per_hour(measures),
            pace(outcome),
            outcome.memory / u64::from(outcome.scenario.people + outcome.scenario.relays)
        );
    }
    page.push_str("</table>");
}

/// How the cost of a scenario grows with its size.
fn growth(page: &mut String, runs: &[&Outcome]) {
    let line = |name: &str, value: &dyn Fn(&Outcome) -> f64| Series {
        name: name.to_owned(),
        points: runs
            .iter()
            .map(|run| (f64::from(run.scenario.people), value(run)))
            .collect(),
    };
    let people = |run: &Outcome| f64::from(run.scenario.people);
    let hours = |run: &Outcome| float(run.measures.up_time) / 3_600_000.0;
    let seconds = |run: &Outcome| float(run.virtual_millis) / 1_000.0;
    let costs = Chart {
        title: "Cost of one node against the size of the network".to_owned(),
        across: "people".to_owned(),
        up: "per node".to_owned(),
        log: (true, true),
        series: vec![
            line("bytes an hour", &|run| kilobytes_per_hour(&run.measures) * 1_024.0),
            line("inputs an hour", &|run| {
                float(run.measures.inputs) / hours(run).max(1e-9)
            }),
            line("memory, bytes", &|run| float(run.memory) / people(run)),
            line("µs of CPU a second", &|run| {
                float(run.wall_millis) * 1_000.0 / seconds(run).max(1e-9) / people(run)
            }),
        ],
    };
    let told = Chart {
        title: "Notification against the size of the network".to_owned(),
        across: "people".to_owned(),
        up: "ms".to_owned(),
        log: (true, true),
        series: vec![
            line("p50", &|run| {
                float(run.measures.notification.all.quantile(0.5).unwrap_or(0))
            }),
            line("p99", &|run| {
                float(run.measures.notification.all.quantile(0.99).unwrap_or(0))
            }),
        ],
    };
    for chart in [costs, told] {
        let _ = write!(page, "<h3>{}</h3>{}", escaped(&chart.title), chart.svg());
    }
}

/// Everything about one run.
fn one(page: &mut String, outcome: &Outcome) {
    let measures = &outcome.measures;
    let scenario = &outcome.scenario;
    let _ = write!(
        page,
        "<p>{} people, {} relays, {} contacts each, seed {}, built from {}. Again: <code>{}</code></p>\
         <p>Trace <code>{}</code>; {} inputs, {} commits with {} rows.</p>",
        scenario.people,
        scenario.relays,
        scenario.contacts,
        outcome.seed,
        escaped(&outcome.commit),
        escaped(&outcome.command),
        outcome.trace_hash,
        measures.inputs,
        measures.commits,
        measures.writes
    );
    if let Some(failure) = &outcome.failure {
        let _ = write!(
            page,
            "<p class='bad'>Failed at {} ms, node {}: {}</p>",
            failure.at,
            failure.node,
            escaped(&failure.what)
        );
    }
    let times = [
        (
            "From a change of presence to each watcher being told",
            &measures.notification,
        ),
        (
            "From a message being accepted to the recipient having it",
            &measures.delivery,
        ),
        (
            "From a recipient's return to what waited being there",
            &measures.delivery_after_absence,
        ),
        ("From a crash to each watcher being told", &measures.crash_noticed),
    ];
    for (title, times) in times {
        if times.all.count() > 0 {
            let _ = write!(page, "<h3>{title}</h3>{}", over_time(title, times, measures.bin));
        }
    }
    if measures.false_offline_rate().is_some() {
        let _ = write!(page, "<h3>What is shown against what is so</h3>{}", agreement(measures));
    }
    let _ = write!(
        page,
        "<h3>Traffic of ordinary nodes</h3>{}",
        traffic_over_time(measures, scenario.people)
    );
    let _ = write!(
        page,
        "<h3>Load by role</h3>{}",
        by_role(measures, scenario.people, scenario.relays)
    );
    traffic_table(page, measures);
    if !outcome.map.is_empty() {
        let title = "Connections at the end: relays inside, people around them";
        let nodes = scenario.people + scenario.relays;
        let _ = write!(
            page,
            "<h3>{title}</h3>{}",
            map(title, nodes, scenario.relays, &outcome.map)
        );
    }
}

fn over_time(title: &str, times: &Times, bin: u64) -> String {
    let line = |name: &str, part: f64| Series {
        name: name.to_owned(),
        points: times
            .bins
            .iter()
            .filter_map(|(number, histogram)| Some((minute(*number, bin), float(histogram.quantile(part)?))))
            .collect(),
    };
    Chart {
        title: title.to_owned(),
        across: "minutes".to_owned(),
        up: "ms".to_owned(),
        log: (false, true),
        series: vec![line("p50", 0.5), line("p90", 0.9), line("p99", 0.99)],
    }
    .svg()
}

fn agreement(measures: &Measures) -> String {
    let points = |value: &dyn Fn(usize) -> Option<f64>| {
        (0..measures.agreement.len())
            .filter_map(|bin| Some((minute(bin, measures.bin), value(bin)?)))
            .collect()
    };
    let share = |part: u64, whole: u64| (whole > 0).then(|| float(part) / float(whole) * 100.0);
    let falsely = points(&|bin| share(measures.agreement[bin].falsely_offline, measures.agreement[bin].there));
    let still = points(&|bin| share(measures.agreement[bin].still_open, measures.agreement[bin].gone));
    Chart {
        title: "What is shown against what is so".to_owned(),
        across: "minutes".to_owned(),
        up: "%".to_owned(),
        log: (false, false),
        series: vec![
            Series {
                name: "there, shown as not".to_owned(),
                points: falsely,
            },
            Series {
                name: "gone, not yet noticed".to_owned(),
                points: still,
            },
        ],
    }
    .svg()
}

fn traffic_over_time(measures: &Measures, people: u32) -> String {
    let seconds = float(measures.bin) / 1_000.0;
    let series = TRAFFIC
        .iter()
        .filter_map(|what| Some((what, measures.bytes_over_time.get(what)?)))
        .map(|(what, bins)| Series {
            name: what.name().to_owned(),
            points: bins
                .iter()
                .take(crate::measures::BINS)
                .enumerate()
                .map(|(bin, bytes)| (minute(bin, measures.bin), float(*bytes) / seconds / f64::from(people)))
                .collect(),
        });
    Chart {
        title: "Traffic of ordinary nodes".to_owned(),
        across: "minutes".to_owned(),
        up: "bytes sent a second by each".to_owned(),
        log: (false, false),
        series: series.collect(),
    }
    .svg()
}

fn by_role(measures: &Measures, people: u32, relays: u32) -> String {
    let seconds = float(measures.bin) * float(crate::measures::BINS as u64) / 1_000.0;
    let rows = [("people send", 0, people), ("relays send", 1, relays)]
        .into_iter()
        .map(|(name, role, number)| (name.to_owned(), parts(&measures.sent[role], number, seconds)))
        .chain(
            [("people receive", 0, people), ("relays receive", 1, relays)]
                .into_iter()
                .map(|(name, role, number)| (name.to_owned(), parts(&measures.received[role], number, seconds))),
        );
    let rows: Vec<(String, Vec<f64>)> = rows.collect();
    let names: Vec<&str> = TRAFFIC.iter().map(|what| what.name()).collect();
    bars("Load by role", "bytes a second of each node", &names, &rows)
}

fn parts(table: &BTreeMap<Traffic, crate::measures::Amount>, number: u32, seconds: f64) -> Vec<f64> {
    let each = f64::from(number.max(1)) * seconds;
    TRAFFIC
        .iter()
        .map(|what| table.get(what).map_or(0.0, |amount| float(amount.bytes) / each))
        .collect()
}

fn traffic_table(page: &mut String, measures: &Measures) {
    page.push_str("<table><tr><th>kind</th><th>KiB per node and hour</th></tr>");
    for (what, bytes) in measures.bytes_per_node_hour() {
        let _ = write!(page, "<tr><td>{}</td><td>{:.1}</td></tr>", what.name(), bytes / 1_024.0);
    }
    page.push_str("</table>");
}

fn kilobytes_per_hour(measures: &Measures) -> f64 {
    measures.bytes_per_node_hour().values().sum::<f64>() / 1_024.0
}

fn pace(outcome: &Outcome) -> f64 {
    float(outcome.virtual_millis) / float(outcome.wall_millis.max(1))
}

fn millis(value: Option<u64>) -> String {
    value.map_or_else(|| "–".to_owned(), |millis| format!("{millis} ms"))
}

fn minute(bin: usize, millis: u64) -> f64 {
    float(bin as u64) * float(millis) / 60_000.0
}

#[expect(clippy::cast_precision_loss, reason = "numbers for a picture")]
const fn float(value: u64) -> f64 {
    value as f64
}
