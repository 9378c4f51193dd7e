//! How the cause leads to the violation.

use std::time::Duration;

use crate::{
    offline::{
        rank::RankedCandidate,
        view::{EvidenceView, earliest, strongest},
    },
    result::ChainStep,
};

/// Steps shown of a long way.
const MOST: usize = 8;

/// The steps from the cause to the first violation it reaches, by way of entities that changed.
pub(super) fn chain(view: &EvidenceView<'_>, cause: &RankedCandidate<'_>) -> Vec<ChainStep> {
    let start = cause.case.entity;
    let violated = view.first_violated(|e| e != start && cause.reach[e]);
    // a violation at the cause itself needs no path: then to the entity hit hardest
    let end = if view.violations(start).next().is_some() {
        hardest_hit(view, cause)
    } else {
        None
    };
    let path = end.or(violated).and_then(|end| {
        // through the entity that changed most, where there is a choice
        view.graph.path(start, end, cause.case.carries, |e| {
            view.changes(e)
                .map(|c| (c.score * 1e3) as i64)
                .max()
                .map_or(1, |score| -score)
        })
    });
    let Some(path) = path else { return Vec::new() };

    // only entities seen to change, and only in an order in which one can have caused the next
    let mut steps: Vec<(usize, Duration)> = Vec::new();
    for &entity in path[1..].iter().rev() {
        if let Some((earliest, onset)) = seen(view, entity, cause.began)
            && steps.last().is_none_or(|(_, next)| earliest <= *next)
        {
            steps.push((entity, onset));
        }
    }
    steps.reverse();
    let mut from = (start, cause.case.trigger.onset);
    let mut links = Vec::new();
    // at most so many steps, evenly spread, the last one among them
    let every = steps.len().div_ceil(MOST).max(1);
    let last = steps.len().saturating_sub(1);
    let thinned = steps.into_iter().enumerate();
    for (_, (entity, onset)) in thinned.filter(|(i, _)| (last - i).is_multiple_of(every)) {
        links.push(ChainStep {
            cause: view.graph.id(from.0).to_owned(),
            effect: view.graph.id(entity).to_owned(),
            lag_s: crate::evidence::rounded(onset.saturating_sub(from.1)),
        });
        from = (entity, onset);
    }
    links
}

/// The times between which an effect began at an entity: its first change, or its first violation.
fn seen(view: &EvidenceView<'_>, entity: usize, began: Duration) -> Option<(Duration, Duration)> {
    let change = earliest(view.changes(entity).filter(|c| c.onset >= began)).map(|c| c.row);
    let violations = view.violations(entity).filter(|(_, v)| v.t >= began);
    let violation = || violations.min_by_key(|(_, v)| v.t).map(|v| v.0);
    change.or_else(violation)?.began()
}

fn hardest_hit(view: &EvidenceView<'_>, cause: &RankedCandidate<'_>) -> Option<usize> {
    let hit = strongest(
        view.entities()
            .filter(|&e| e != cause.case.entity && cause.reach[e])
            .flat_map(|e| view.changes(e))
            .filter(|c| c.is_sustained() && !c.is_exogenous() && c.onset >= cause.began),
    )?;
    view.graph.index(&hit.entity)
}
