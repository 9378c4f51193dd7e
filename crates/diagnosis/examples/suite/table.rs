//! What came of all runs, as tables.

use diagnosis::{Conclusion, Validated};

use crate::baseline::SCORERS;
use crate::scenario::{Scenario, Setting};

/// One run, judged.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    pub(crate) setting: Setting,
    /// Whether the right entity comes first, and among the first three.
    first: bool,
    third: bool,
    /// Whether a cause was named, how surely, and whether rightly.
    named: Option<(f64, bool)>,
    /// Whether each of the simple scorers has the right entity first.
    pub(crate) scorers: Vec<bool>,
}

impl Judged {
    pub(crate) fn new(scenario: &Scenario, answer: &Validated) -> Self {
        let truth = scenario.truth();
        let right = |entity: &str| truth == Some(entity);
        let mut order: Vec<&str> = Vec::new();
        for h in answer.hypotheses.iter().filter(|h| !h.supports.is_empty()) {
            if !order.contains(&h.entity.as_str()) {
                order.push(&h.entity);
            }
        }
        let cause = answer
            .cause()
            .filter(|_| answer.verdict == Conclusion::CauseFound);
        let first = |scorer: &fn(&Scenario) -> Vec<usize>| {
            scorer(scenario).first().copied() == scenario.cause
        };
        Self {
            setting: scenario.setting,
            first: order.first().copied().is_some_and(right),
            third: order.iter().take(3).copied().any(right),
            named: cause.map(|h| (h.confidence, right(&h.entity))),
            scorers: SCORERS.iter().map(|(_, scorer)| first(scorer)).collect(),
        }
    }

    pub(crate) fn is_right(&self) -> bool {
        if self.setting.kind.is_some() {
            self.first
        } else {
            self.named.is_none()
        }
    }
}

/// A row: its name, and which runs it is about.
type Row<'a> = (String, Box<dyn Fn(&Setting) -> bool + 'a>);

fn rows<'a>(topology: bool) -> Vec<Row<'a>> {
    let with = if topology { "with topology" } else { "without" };
    let mut rows: Vec<Row<'a>> = vec![(
        format!("**{with}**"),
        Box::new(move |s| s.topology == topology),
    )];
    for kind in crate::kind::Kind::ALL {
        let name = format!("{with}: {kind:?}").to_lowercase();
        rows.push((
            name,
            Box::new(move |s| s.topology == topology && s.kind == Some(kind)),
        ));
    }
    type Trait = fn(&Setting) -> bool;
    let traits: [(&str, Trait); 5] = [
        ("fine samples", |s| !s.coarse && !s.spliced),
        ("coarse samples", |s| s.coarse && !s.spliced),
        ("spliced halves", |s| s.spliced),
        ("roles declared", |s| s.roles),
        ("no roles", |s| !s.roles),
    ];
    for (name, has) in traits {
        rows.push((
            format!("{with}: {name}"),
            Box::new(move |s| s.topology == topology && has(s)),
        ));
    }
    rows
}

/// How often the right entity comes first, ours beside the scorers.
pub(crate) fn accuracy(all: &[Judged]) -> String {
    let scorers = SCORERS.map(|(name, _)| name).join(" | ");
    let mut text = format!(
        "| runs | n | right cause first | among three | cause named | {scorers} |\n|---|{}\n",
        "--:|".repeat(7)
    );
    for (name, is_in) in rows(true).into_iter().chain(rows(false)) {
        let runs: Vec<&Judged> = all
            .iter()
            .filter(|j| j.setting.kind.is_some() && is_in(&j.setting))
            .collect();
        let n = runs.len();
        if n == 0 {
            continue;
        }
        let share = |count: usize| format!("{:.0} %", 100.0 * count as f64 / n as f64);
        let mut cells = vec![
            name,
            n.to_string(),
            share(runs.iter().filter(|j| j.first).count()),
            share(runs.iter().filter(|j| j.third).count()),
            share(runs.iter().filter(|j| j.named.is_some()).count()),
        ];
        cells.extend(
            (0..SCORERS.len()).map(|i| share(runs.iter().filter(|j| j.scorers[i]).count())),
        );
        text += &format!("| {} |\n", cells.join(" | "));
    }
    text
}

/// How often a cause is named where there is none.
pub(crate) fn silence(all: &[Judged]) -> String {
    let mut text = "| runs without a fault | n | causes named |\n|---|--:|--:|\n".to_owned();
    type Trait = fn(&Setting) -> bool;
    let rows: [(&str, Trait); 4] = [
        ("**all**", |_| true),
        ("fine samples", |s| !s.coarse && !s.spliced),
        ("coarse samples", |s| s.coarse && !s.spliced),
        ("spliced halves", |s| s.spliced),
    ];
    for (name, is_in) in rows {
        let runs: Vec<&Judged> = all
            .iter()
            .filter(|j| j.setting.kind.is_none() && is_in(&j.setting))
            .collect();
        let named = runs.iter().filter(|j| j.named.is_some()).count();
        text += &format!(
            "| {name} | {} | {named} ({:.1} %) |\n",
            runs.len(),
            100.0 * named as f64 / runs.len().max(1) as f64
        );
    }
    text
}

/// How often a named cause is right, by the confidence given.
pub(crate) fn reliability(all: &[Judged]) -> String {
    let mut text = "| confidence | causes named | right |\n|---|--:|--:|\n".to_owned();
    for low in [0.8, 0.6, 0.4, 0.2, 0.0] {
        let named: Vec<bool> = all
            .iter()
            .filter_map(|j| j.named)
            .filter(|(c, _)| *c >= low && (*c < low + 0.2 || low > 0.7))
            .map(|(_, right)| right)
            .collect();
        if named.is_empty() {
            continue;
        }
        let right = named.iter().filter(|r| **r).count();
        text += &format!(
            "| {low:.1} to {:.1} | {} | {:.0} % |\n",
            low + 0.2,
            named.len(),
            100.0 * right as f64 / named.len() as f64
        );
    }
    text
}
