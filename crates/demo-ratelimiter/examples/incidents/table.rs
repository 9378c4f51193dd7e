//! The results of all runs, as a table.

use std::time::Duration;

use diagnosis::{Change, Evidence, Mechanism};

use crate::incident::{Incident, Plan};
use crate::run::{Judgement, Outcome};

/// The marks around the table in a file.
const BEGIN: &str = "<!-- incidents: begin -->";
const END: &str = "<!-- incidents: end -->";

const HEAD: [&str; 9] = [
    "incident",
    "right cause first",
    "right 2 s after the violation",
    "false causes",
    "no cause",
    "fault to violation",
    "diagnosis",
    "right by chance",
    "largest deviation alone",
];

/// One run in figures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    incident: Incident,
    judgement: Judgement,
    soon: Judgement,
    noticed: Option<Duration>,
    ms: f64,
    chance: f64,
    /// Whether the right entity is the one with the largest deviation; nothing where none is right.
    largest: Option<bool>,
}

impl Figures {
    pub(crate) fn of(plan: &Plan, outcome: &Outcome) -> Self {
        // a guess names any part with any mechanism, or no incident
        let mechanisms = Mechanism::ALL
            .iter()
            .filter(|m| **m != Mechanism::Unexplained)
            .count();
        let answers = outcome.evidence.topology.entities.len() * mechanisms + 1;
        Self {
            incident: plan.incident,
            judgement: Judgement::of(&outcome.answer, plan),
            soon: Judgement::of(&outcome.soon, plan),
            noticed: outcome.noticed,
            ms: outcome.answer.cost.ms,
            chance: 1.0 / answers as f64,
            largest: plan.truth.as_ref().map(|(entity, _)| {
                largest(&outcome.evidence).is_some_and(|change| change.entity == *entity)
            }),
        }
    }
}

/// The change that deviates most, and the earliest of those: what is left without topology and
/// mechanisms.
fn largest(evidence: &Evidence) -> Option<&Change> {
    let changes = evidence.changes().map(|(_, change)| change);
    changes.min_by(|a, b| b.score.total_cmp(&a.score).then(a.onset.cmp(&b.onset)))
}

/// The table: a head, a row an incident, and the sum of those that have a cause.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    /// The rows short of the goal.
    pub(crate) shortfalls: Vec<String>,
}

impl Table {
    pub(crate) fn of(all: &[Figures]) -> Self {
        let mut rows = Vec::new();
        let mut shortfalls = Vec::new();
        for incident in Incident::ALL {
            let runs: Vec<Figures> = all
                .iter()
                .filter(|f| f.incident == incident)
                .copied()
                .collect();
            if runs.is_empty() {
                continue;
            }
            let [right, wrong, _] = counts(&runs);
            if incident.has_cause() && right * 10 < runs.len() * 9 {
                shortfalls.push(format!("{incident}: right in {right} of {}", runs.len()));
            } else if !incident.has_cause() && wrong > 0 {
                shortfalls.push(format!("{incident}: {wrong} false causes"));
            }
            rows.push(row(&incident.to_string(), &runs));
        }
        rows.push(row("all", all));
        Self { rows, shortfalls }
    }

    pub(crate) fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mut text = line(&HEAD.map(String::from));
        text += &format!("|---|{}\n", "--:|".repeat(HEAD.len() - 1));
        text.extend(self.rows.iter().map(|row| line(row)));
        text
    }

    /// `text` with the table in the place that is marked for it; without a mark, the table alone.
    pub(crate) fn within(&self, text: &str) -> String {
        let marked = text
            .split_once(BEGIN)
            .and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
        match marked {
            Some((head, tail)) => format!("{head}{BEGIN}\n{}{END}{tail}", self.markdown()),
            None => self.markdown(),
        }
    }
}

fn row(name: &str, runs: &[Figures]) -> Vec<String> {
    let [right, wrong, none] = counts(runs);
    let seconds = runs
        .iter()
        .filter_map(|f| f.noticed)
        .map(|d| d.as_secs_f64());
    let largest: Vec<bool> = runs.iter().filter_map(|f| f.largest).collect();
    let soon = runs.iter().filter(|f| f.soon == Judgement::Right).count();
    let chance = runs.iter().map(|f| f.chance).sum::<f64>() / runs.len() as f64;
    vec![
        name.to_owned(),
        format!("{right}/{}", runs.len()),
        format!("{soon}/{}", runs.len()),
        wrong.to_string(),
        none.to_string(),
        median(seconds).map_or("-".into(), |s| format!("{s:.2} s")),
        median(runs.iter().map(|f| f.ms)).map_or("-".into(), |ms| format!("{ms:.2} ms")),
        format!("{:.1} %", chance * 100.0),
        if largest.is_empty() {
            "-".into()
        } else {
            format!(
                "{}/{}",
                largest.iter().filter(|right| **right).count(),
                largest.len()
            )
        },
    ]
}

fn counts(runs: &[Figures]) -> [usize; 3] {
    [Judgement::Right, Judgement::FalseCause, Judgement::NoCause]
        .map(|judgement| runs.iter().filter(|f| f.judgement == judgement).count())
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len().checked_sub(1)? as f64 / 2.0;
    Some((values[middle.floor() as usize] + values[middle.ceil() as usize]) / 2.0)
}
