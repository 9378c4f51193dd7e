//! The alternatives to the cause, and the rows that speak against them.

use std::collections::HashSet;

use crate::{
    evidence::{EvidenceId, SignalRole},
    graph::EffectKind,
    offline::{
        rank::{RankedCandidate, SymptomItem},
        say::{its, list, name, stayed},
        view::{ChangeRow, EvidenceView},
    },
    result::{Hypothesis, HypothesisStatus, Mechanism},
};

/// Alternatives shown beside the cause.
const MOST: usize = 4;
/// Confidence left to a refuted alternative.
const RESIDUE: f64 = 0.1;

/// The alternatives to `cause`, best first, without ids and ranks.
pub(super) fn rivals(
    view: &EvidenceView<'_>,
    items: &[SymptomItem],
    cause: &RankedCandidate<'_>,
    others: &[RankedCandidate<'_>],
) -> Vec<Hypothesis> {
    let healthy = ruled_out(view, cause);
    let mut found: Vec<Hypothesis> = Vec::new();
    for other in others {
        let vague = other.case.mechanism == Mechanism::Unexplained;
        let same_entity = other.case.entity == cause.case.entity;
        let entity = view.graph.id(other.case.entity);
        let known = found
            .iter()
            .any(|h| h.mechanism == other.case.mechanism || (vague && h.entity == entity));
        if known || (vague && (same_entity || healthy.iter().any(|h| h.entity == entity))) {
            continue;
        }
        found.push(judged(view, items, cause, other));
    }
    // an alternative refuted by its good health is worth more than a second symptom
    let room = MOST.saturating_sub(healthy.len().min(2));
    found.truncate(room);
    found.extend(healthy.into_iter().take(MOST - found.len()));
    found.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    if found.is_empty() {
        found.extend(minor(view, cause));
    }
    found
}

/// A change too slight for any mechanism, when there is nothing else to set against the cause.
fn minor(view: &EvidenceView<'_>, cause: &RankedCandidate<'_>) -> Option<Hypothesis> {
    let id = view.graph.id(cause.case.entity);
    let (row, change) = view
        .evidence
        .rows
        .iter()
        .filter_map(|row| Some((row, row.change()?)))
        .find(|(_, change)| change.entity != id)?;
    let mut slight = refuted(
        change.entity.clone(),
        Mechanism::Unexplained,
        format!(
            "{} changed as well: {}",
            name(view, view.graph.index(&change.entity)?),
            its(ChangeRow { row, change })
        ),
        Vec::new(),
    );
    slight.status = HypothesisStatus::Open;
    slight.supports = vec![row.id];
    Some(slight)
}

fn judged(
    view: &EvidenceView<'_>,
    items: &[SymptomItem],
    cause: &RankedCandidate<'_>,
    other: &RankedCandidate<'_>,
) -> Hypothesis {
    let against = refuters(view, items, cause, other);
    let mut rival = other.hypothesis(view, HypothesisStatus::Open);
    if against.is_empty() {
        rival.confidence = other.score.min(cause.score);
    } else {
        rival.status = HypothesisStatus::Refuted;
        rival.confidence = (0.3 * other.score).min(RESIDUE);
    }
    rival.against = against;
    rival
}

/// The rows that speak against `other`, given `cause`.
fn refuters(
    view: &EvidenceView<'_>,
    items: &[SymptomItem],
    cause: &RankedCandidate<'_>,
    other: &RankedCandidate<'_>,
) -> Vec<EvidenceId> {
    let mut rows = other.case.against.clone();
    // downstream of the cause, and no earlier
    let downstream = cause.reach[other.case.entity]
        && cause.case.entity != other.case.entity
        && !view.graph.reach(other.case.entity, EffectKind::Fault)[cause.case.entity];
    if downstream && cause.began <= other.case.trigger.onset {
        rows.push(cause.case.trigger.row.id);
    }
    // something the cause explains, this one cannot, and it was there as early
    let unexplained = items.iter().enumerate().filter(|(i, item)| {
        cause.explains[*i]
            && !other.explains[*i]
            && (item.is_violation
                || item.exogenous.is_some()
                || item.seen <= other.case.trigger.onset)
    });
    rows.extend(unexplained.map(|(_, item)| item.row).take(2));
    let support = other.case.support();
    let mut seen = HashSet::new();
    rows.retain(|id| !support.contains(id) && seen.insert(*id));
    rows.truncate(4);
    rows
}

/// Alternatives that would have broken the invariant as well, had they not been as ever:
/// dependencies that were well, load that did not rise.
fn ruled_out(view: &EvidenceView<'_>, cause: &RankedCandidate<'_>) -> Vec<Hypothesis> {
    let Some(violated) = view.first_violated(|_| true) else {
        return Vec::new();
    };

    let mut below = view.graph.below(violated);
    below.sort_by_key(|&e| std::cmp::Reverse(view.graph.dependants(e).len()));
    let well = below
        .into_iter()
        .chain([violated])
        .filter(|&e| e != cause.case.entity)
        .find_map(|e| well(view, e));
    well.into_iter()
        .chain(idle(view, violated, cause))
        .collect()
}

/// "It was this dependency", refuted by everything it reports.
fn well(view: &EvidenceView<'_>, entity: usize) -> Option<Hypothesis> {
    if view.unwell(entity).next().is_some() || view.graph.dependants(entity).is_empty() {
        return None;
    }
    let rows: Vec<_> = [
        (SignalRole::ProgressAge, Mechanism::StoppedAcceptingChanges),
        (SignalRole::Availability, Mechanism::StoppedAnswering),
        (SignalRole::Latency, Mechanism::SlowedDown),
    ]
    .into_iter()
    .filter_map(|(role, mechanism)| Some((view.steady(entity, &[role]).next()?, mechanism)))
    .collect();
    let mechanism = rows.first()?.1;
    let said: Vec<String> = rows
        .iter()
        .take(2)
        .map(|(row, _)| stayed(view, *row))
        .collect();
    Some(refuted(
        view.graph.id(entity).to_owned(),
        mechanism,
        format!("{} failed: no, {}", name(view, entity), list(&said)),
        rows.iter().map(|(row, _)| row.0.id).collect(),
    ))
}

/// "The load rose", refuted by load that did not.
fn idle(
    view: &EvidenceView<'_>,
    violated: usize,
    cause: &RankedCandidate<'_>,
) -> Option<Hypothesis> {
    let rose = view
        .entities()
        .flat_map(|e| view.changes(e))
        .any(|c| c.role == SignalRole::Demand);
    if rose {
        return None;
    }
    let (entity, row) = view
        .entities()
        .filter(|&e| e != cause.case.entity && view.graph.reach(e, EffectKind::Load)[violated])
        .find_map(|e| Some((e, view.steady(e, &[SignalRole::Demand]).next()?)))?;
    Some(refuted(
        view.graph.id(entity).to_owned(),
        if view.decides_locally() {
            Mechanism::LoadOutranPropagation
        } else {
            Mechanism::MoreLoad
        },
        format!("the load rose: no, {}", stayed(view, row)),
        vec![row.0.id],
    ))
}

fn refuted(
    entity: String,
    mechanism: Mechanism,
    statement: String,
    against: Vec<EvidenceId>,
) -> Hypothesis {
    Hypothesis {
        id: String::new(),
        rank: 0,
        entity,
        mechanism,
        statement,
        status: HypothesisStatus::Refuted,
        confidence: 0.02,
        supports: Vec::new(),
        against,
        chain: Vec::new(),
    }
}
