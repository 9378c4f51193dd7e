//! Orders the candidates: how well the evidence fits the mechanism, and how much of the incident it explains.
//!
//! Walking the dependency graph from the symptom to the furthest anomalous entity finds more causes than any
//! score of single signals. Here it falls out of what is explained: an entity further up reaches more of what
//! changed, and what changed before a candidate did counts against it.

use std::time::Duration;

use crate::{
    evidence::{Change, Role, RowId},
    offline::{
        case::Case,
        view::{View, earliest},
    },
};

/// What is left of a candidate that rests on a single change.
const ALONE: f64 = 0.6;
/// A single change of this score is enough.
const BEYOND_DOUBT: f64 = 20.0;
/// What is left of a candidate that is likely an effect.
const DOWNSTREAM: f64 = 0.6;

/// Something a cause has to explain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub(super) entity: usize,
    pub(super) row: RowId,
    /// The first moment at which it is seen, and how much earlier it may have begun.
    pub(super) seen: Duration,
    slack: Duration,
    weight: f64,
    role: Option<Role>,
}

impl Item {
    fn of(entity: usize, row: RowId, change: &Change, weight: f64) -> Self {
        let (seen, slack) = (change.onset, change.onset_err);
        Self { entity, row, seen, slack, weight, role: Some(change.role) }
    }

    /// Whether it comes from outside: a load, a setting, a restart.
    pub(super) fn is_exogenous(&self) -> bool {
        self.role.is_some_and(Role::is_exogenous)
    }

    pub(super) fn is_violation(&self) -> bool {
        self.role.is_none()
    }
}

/// A candidate with its standing.
#[derive(Debug, Clone)]
pub(super) struct Ranked<'a> {
    pub(super) case: Case<'a>,
    /// When it can have begun at the earliest.
    pub(super) began: Duration,
    /// Which entities it reaches.
    pub(super) reach: Vec<bool>,
    /// The items it explains, by index.
    pub(super) explains: Vec<bool>,
    /// 0 to 1.
    pub(super) score: f64,
}

/// What has to be explained: every violated entity, every entity that changed, and every change from outside.
pub(super) fn items(view: &View<'_>) -> Vec<Item> {
    let mut items = Vec::new();
    for entity in view.entities() {
        let mut violations: Vec<_> = view.violations(entity).collect();
        violations.sort_by_key(|(_, v)| v.t);
        if let Some((row, v)) = violations.first() {
            let (seen, slack) = (v.t, Duration::ZERO);
            items.push(Item { entity, row: row.id, seen, slack, weight: 2.0, role: None });
        }
        let inner = || view.changes(entity).filter(|c| !c.change.role.is_exogenous());
        if let Some(c) = earliest(inner().filter(|c| c.change.is_sustained())) {
            items.push(Item::of(entity, c.row.id, c.change, 1.0));
        } else if let Some(c) = earliest(inner()) {
            items.push(Item::of(entity, c.row.id, c.change, 0.3));
        }
        let outer = view.changes(entity).filter(|c| c.change.role.is_exogenous());
        items.extend(outer.map(|c| Item::of(entity, c.row.id, c.change, 1.0)));
    }
    items
}

/// The candidates, best first.
pub(super) fn rank<'a>(view: &View<'a>, items: &[Item], cases: Vec<Case<'a>>) -> Vec<Ranked<'a>> {
    let mut ranked: Vec<Ranked<'a>> = cases.into_iter().map(|case| weigh(view, items, case)).collect();
    ranked.sort_by(|a, b| {
        b.score
            .total_cmp(&a.score)
            .then(a.began.cmp(&b.began))
            .then(b.case.trigger.change.score.total_cmp(&a.case.trigger.change.score))
    });
    ranked
}

fn weigh<'a>(view: &View<'a>, items: &[Item], case: Case<'a>) -> Ranked<'a> {
    let mut reach = view.graph.reach(case.entity, case.carries);
    for &entity in &case.also_explains {
        reach[entity] = true;
    }
    let support = case.support();
    let began = view
        .changes(case.entity)
        .filter(|c| support.contains(&c.row.id))
        .map(|c| c.change.earliest())
        .min()
        .unwrap_or_else(|| case.trigger.change.earliest());
    let explains: Vec<bool> = items
        .iter()
        .map(|item| support.contains(&item.row) || explains(&case, began, &reach, item))
        .collect();

    let total: f64 = items.iter().map(|i| i.weight).sum();
    let covered: f64 = items.iter().zip(&explains).filter(|(_, e)| **e).map(|(i, _)| i.weight).sum();
    let coverage = if total > 0.0 { covered / total } else { 0.0 };
    let in_time = view.first_violation().is_none_or(|t| began <= t);
    let strength = (1.0 + case.trigger.change.score).ln() / 101_f64.ln();
    let mut score = case.fit.share() * coverage.sqrt() * (0.9 + 0.1 * strength.min(1.0));
    if !in_time {
        score *= 0.3;
    }
    if !is_corroborated(view, &case, began, &reach) {
        score *= ALONE;
    }
    if is_downstream(view, &case, &reach) {
        score *= DOWNSTREAM;
    }
    Ranked { began, reach, explains, score, case }
}

/// Whether the trigger is either beyond doubt or not the only change the case explains: among many signals, one
/// always strays a little.
fn is_corroborated(view: &View<'_>, case: &Case<'_>, began: Duration, reach: &[bool]) -> bool {
    let others = view
        .entities()
        .filter(|&e| reach[e])
        .flat_map(|e| view.changes(e))
        .filter(|c| c.row.id != case.trigger.row.id && c.change.onset >= began);
    case.trigger.change.score >= BEYOND_DOUBT || others.take(1).count() > 0
}

/// Whether something the entity depends on was unwell as early, and the case does not say why: then it is more
/// likely an effect than a cause.
fn is_downstream(view: &View<'_>, case: &Case<'_>, reach: &[bool]) -> bool {
    let trigger = case.trigger.change;
    !trigger.role.is_exogenous()
        && view.graph.below(case.entity).into_iter().filter(|&e| !reach[e]).any(|e| {
            let other = view.changes(e).filter(|c| c.change.role == Role::Other && c.change.is_sustained());
            view.unwell(e).chain(other).any(|c| c.change.earliest() <= trigger.onset)
        })
}

fn explains(case: &Case<'_>, began: Duration, reach: &[bool], item: &Item) -> bool {
    if !reach[item.entity] || item.seen < began {
        return false;
    }
    match item.role {
        // a restart or a new setting is nobody's effect, unless it is the very thing the case is about
        Some(Role::Setting) => false,
        Some(Role::Uptime) => item.entity == case.entity,
        // load may be an effect, of retries for one, but then it comes clearly later
        Some(Role::Demand) => item.seen.saturating_sub(item.slack) > case.trigger.change.onset,
        _ => true,
    }
}
