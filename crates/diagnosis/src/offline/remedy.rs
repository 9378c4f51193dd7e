//! The action, and its effects.

use serde_json::Value;

use crate::{
    evidence::{
        ActionParam, ActionParams, AttemptResult, Direction, OperatorAction, ParamDomain,
        SignalRole,
    },
    offline::{
        rank::{RankedCandidate, SymptomItem},
        view::EvidenceView,
    },
    result::{PredictedEffect, Prediction, Remedy},
};

/// The action of the catalogue meant for the mechanism, on the cause itself before anything it
/// reaches, reversible before not, low risk before high. An action that failed is not tried again.
pub(super) fn remedy(
    view: &EvidenceView<'_>,
    items: &[SymptomItem],
    cause: &RankedCandidate<'_>,
) -> Option<Remedy> {
    let within = view.graph.reach(cause.case.entity, cause.case.carries);
    let touches = |a: &OperatorAction, f: &dyn Fn(usize) -> bool| {
        a.touches
            .iter()
            .filter_map(|id| view.graph.index(id))
            .any(f)
    };
    let (action, params) = view
        .evidence
        .actions
        .iter()
        .filter(|a| a.cures.contains(&cause.case.mechanism) && touches(a, &|e| within[e]))
        .filter_map(|a| Some((a, params(a, view.graph.id(cause.case.entity))?)))
        .filter(|(a, params)| {
            !view.evidence.history.iter().any(|h| {
                h.outcome == AttemptResult::Failed && h.action == a.id && h.params == *params
            })
        })
        .min_by_key(|(a, _)| {
            (
                !touches(a, &|e| e == cause.case.entity),
                !a.reversible,
                a.risk,
            )
        })?;

    let violation = items
        .iter()
        .enumerate()
        .filter(|(i, item)| item.is_violation && cause.explains[*i])
        .min_by_key(|(_, item)| item.seen);
    let mut why = vec![cause.case.trigger.row.id];
    why.extend(violation.map(|(_, item)| item.row));
    Some(Remedy {
        id: action.id.clone(),
        params,
        why,
        predict: predictions(view, cause),
    })
}

/// The default of every parameter; where the cause itself can be chosen, the cause.
fn params(action: &OperatorAction, cause: &str) -> Option<ActionParams> {
    let value = |p: &ActionParam| match &p.domain {
        ParamDomain::Choice { options } if options.iter().any(|o| o == cause) => {
            Some(Value::from(cause))
        }
        _ => p.default.clone(),
    };
    action
        .params
        .iter()
        .map(|p| Some((p.name.clone(), value(p)?)))
        .collect()
}

/// Signals that are still off go back to where they were, and the invariants hold again.
fn predictions(view: &EvidenceView<'_>, cause: &RankedCandidate<'_>) -> Vec<Prediction> {
    let mut off: Vec<_> = view
        .entities()
        .filter(|&e| cause.reach[e])
        .flat_map(|e| view.changes(e).map(move |c| (e != cause.case.entity, c)))
        .filter(|(_, c)| {
            let (before, last) = (c.before.median, c.after.last);
            c.is_sustained()
                && !matches!(
                    c.role,
                    SignalRole::Demand
                        | SignalRole::Setting
                        | SignalRole::Uptime
                        | SignalRole::Other
                )
                && c.before.slope.is_none()
                && (last - before).abs() > 0.2 * (c.extreme() - before).abs()
        })
        .collect();
    off.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.score.total_cmp(&a.1.score)));
    let signals = off.into_iter().take(2).map(|(_, c)| Prediction {
        entity: c.entity.clone(),
        signal: c.signal.clone(),
        expect: match c.direction {
            Direction::Up => PredictedEffect::Falls,
            Direction::Down => PredictedEffect::Rises,
        },
        to: Some(c.before.median),
    });
    let invariants = view.evidence.violations().take(1).map(|(_, v)| Prediction {
        entity: v.entity.clone(),
        signal: v.invariant.clone(),
        expect: PredictedEffect::Clears,
        to: None,
    });
    signals.chain(invariants).collect()
}
