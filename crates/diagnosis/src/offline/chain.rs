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
    let mut violated: Vec<(Duration, usize)> = view
        .entities()
        .filter(|&e| e != start && cause.reach[e])
        .filter_map(|e| Some((view.violations(e).map(|(_, v)| v.t).min()?, e)))
        .collect();
    violated.sort_unstable();
    // a violation at the cause itself needs no path: then to the entity hit hardest
    let end = if view.violations(start).next().is_some() {
        hardest_hit(view, cause)
    } else {
        None
    };
    let path = end.or(violated.first().map(|v| v.1)).and_then(|end| {
        // through the entity that changed most, where there is a choice
        view.graph.path(start, end, cause.case.carries, |e| {
            view.changes(e)
                .map(|c| (c.change.score * 1e3) as i64)
                .max()
                .map_or(1, |score| -score)
        })
    });
    let Some(path) = path else { return Vec::new() };

    // only entities seen to change, and only in an order in which one can have caused the next
    let mut steps: Vec<(usize, EffectOnset)> = Vec::new();
    for &entity in path[1..].iter().rev() {
        let Some(seen) = seen(view, entity, cause.began) else {
            continue;
        };
        if steps
            .last()
            .is_none_or(|(_, next)| seen.earliest <= next.onset)
        {
            steps.push((entity, seen));
        }
    }
    steps.reverse();
    let mut from = (start, cause.case.trigger.change.onset);
    let mut links = Vec::new();
    for (entity, seen) in thinned(steps) {
        links.push(ChainStep {
            cause: view.graph.id(from.0).to_owned(),
            effect: view.graph.id(entity).to_owned(),
            lag_s: crate::evidence::rounded(seen.onset.saturating_sub(from.1)),
        });
        from = (entity, seen.onset);
    }
    links
}

/// At most so many steps, evenly spread, the last one among them.
fn thinned<T>(steps: Vec<T>) -> impl Iterator<Item = T> {
    let every = steps.len().div_ceil(MOST).max(1);
    let last = steps.len().saturating_sub(1);
    steps
        .into_iter()
        .enumerate()
        .filter(move |(i, _)| (last - i).is_multiple_of(every))
        .map(|(_, step)| step)
}

/// When an effect shows at an entity.
#[derive(Debug, Clone, Copy)]
struct EffectOnset {
    earliest: Duration,
    onset: Duration,
}

fn seen(view: &EvidenceView<'_>, entity: usize, began: Duration) -> Option<EffectOnset> {
    let change = earliest(view.changes(entity).filter(|c| c.change.onset >= began));
    let times = view.violations(entity).map(|(_, v)| v.t);
    let violation = || times.filter(|t| *t >= began).min();
    change
        .map(|c| EffectOnset {
            earliest: c.change.earliest(),
            onset: c.change.onset,
        })
        .or_else(|| {
            violation().map(|t| EffectOnset {
                earliest: t,
                onset: t,
            })
        })
}

fn hardest_hit(view: &EvidenceView<'_>, cause: &RankedCandidate<'_>) -> Option<usize> {
    let hit = strongest(
        view.entities()
            .filter(|&e| e != cause.case.entity && cause.reach[e])
            .flat_map(|e| view.changes(e))
            .filter(|c| {
                c.change.is_sustained() && !c.change.is_exogenous() && c.change.onset >= cause.began
            }),
    )?;
    view.graph.index(&hit.change.entity)
}
