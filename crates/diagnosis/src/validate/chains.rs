//! Rule 5: cause before effect, and a way from one to the other.

use std::time::Duration;

use super::AnswerAudit;
use crate::{
    evidence::{EvidenceId, EvidenceRow, SignalRole, rounded},
    graph::EffectKind,
    result::{ChainStep, Diagnosis, Hypothesis, Mechanism},
};

pub(super) fn check(check: &mut AnswerAudit<'_>, diagnosis: &Diagnosis) {
    for h in &diagnosis.hypotheses {
        let mut from = h.entity.as_str();
        for link in &h.chain {
            if link.cause != from {
                check.breach(
                    5,
                    format!(
                        "the chain of hypothesis {} jumps from {from:?} to {:?}",
                        h.id, link.cause
                    ),
                );
            }
            from = &link.effect;
            path(check, h, link);
            order(check, h, link);
        }
    }
}

/// How an effect of the hypothesis travels: with the load only when the cause is one of load or of
/// settings.
pub(super) fn carries(check: &AnswerAudit<'_>, h: &Hypothesis) -> EffectKind {
    let by_kind = matches!(
        h.mechanism,
        Mechanism::LoadOutranPropagation | Mechanism::MoreLoad | Mechanism::ConfigurationChanged
    );
    let by_rows = h
        .supports
        .iter()
        .filter_map(|id| check.evidence.row(*id))
        .any(|row| {
            row.entity() == h.entity
                && row.change().is_some_and(|c| {
                    matches!(
                        c.role,
                        SignalRole::Demand | SignalRole::Setting | SignalRole::Other
                    )
                })
        });
    if by_kind || by_rows {
        EffectKind::Load
    } else {
        EffectKind::Fault
    }
}

fn path(check: &mut AnswerAudit<'_>, h: &Hypothesis, link: &ChainStep) {
    let ends = (
        check.graph.index(&link.cause),
        check.graph.index(&link.effect),
    );
    if let (Some(cause), Some(effect)) = ends
        && !check.graph.reach(cause, carries(check, h))[effect]
    {
        check.breach(
            5,
            format!(
                "no dependency leads from {:?} to {:?}",
                link.cause, link.effect
            ),
        );
    }
}

fn order(check: &mut AnswerAudit<'_>, h: &Hypothesis, link: &ChainStep) {
    // of the cause itself, the rows cited count; of the entities between, all rows
    let cited: &[EvidenceId] = if link.cause == h.entity {
        &h.supports
    } else {
        &[]
    };
    let ends = (
        begun(check, &link.cause, cited),
        begun(check, &link.effect, &[]),
    );
    let (Some((earliest, _)), Some((_, latest))) = ends else {
        return;
    };
    if earliest > latest {
        check.breach(
            5,
            format!(
                "{:?} changed at {} s at the earliest, after {:?} at {} s: it cannot be the cause",
                link.cause,
                rounded(earliest),
                link.effect,
                rounded(latest)
            ),
        );
        return;
    }
    let most = latest.saturating_sub(earliest).as_secs_f64();
    if link.lag_s > most * 1.01 + 0.001 {
        check.breach(
            5,
            format!(
                "a lag of {} s from {:?} to {:?}: their onsets allow {most} s at most",
                link.lag_s, link.cause, link.effect
            ),
        );
    }
}

/// The times between which something began at an entity, by the rows cited of it, or by all.
fn begun(
    check: &AnswerAudit<'_>,
    entity: &str,
    cited: &[EvidenceId],
) -> Option<(Duration, Duration)> {
    let all = || check.evidence.rows.iter().filter(|r| r.entity() == entity);
    let times = |only_cited: bool| {
        all()
            .filter(|r| !only_cited || cited.contains(&r.id))
            .filter_map(EvidenceRow::began)
            .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    };
    times(true).or_else(|| times(false))
}
