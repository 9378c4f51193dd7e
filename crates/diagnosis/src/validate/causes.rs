//! Rules 3 and 4: the support of a cause, and the refutation of an alternative.

use std::collections::HashSet;

use super::AnswerAudit;
use crate::{
    evidence::EvidenceFact,
    result::{Conclusion, Diagnosis, Hypothesis, HypothesisStatus},
};

pub(super) fn check(check: &mut AnswerAudit<'_>, diagnosis: &Diagnosis) {
    for h in &diagnosis.hypotheses {
        match h.status {
            HypothesisStatus::Supported => supported(check, h),
            HypothesisStatus::Refuted => refuted(check, h),
            HypothesisStatus::Open => {}
        }
    }
    if diagnosis.verdict == Conclusion::CauseFound {
        let changed: HashSet<&str> = check
            .evidence
            .changes()
            .map(|(_, c)| c.entity.as_str())
            .collect();
        let considered: HashSet<_> = diagnosis
            .hypotheses
            .iter()
            .map(|h| (&h.entity, h.mechanism))
            .collect();
        if changed.len() > 1 && considered.len() < 2 {
            check.breach(
                4,
                format!(
                    "{} entities changed, and no alternative was considered",
                    changed.len()
                ),
            );
        }
    }
}

fn supported(check: &mut AnswerAudit<'_>, h: &Hypothesis) {
    let own = h
        .supports
        .iter()
        .filter_map(|id| check.evidence.row(*id))
        .any(|row| row.entity() == h.entity && matches!(row.fact, EvidenceFact::Change(_)));
    if !own {
        check.breach(
            3,
            format!(
                "hypothesis {} is supported, and cites no change of {:?} itself in \"for\"",
                h.id, h.entity
            ),
        );
    }
}

fn refuted(check: &mut AnswerAudit<'_>, h: &Hypothesis) {
    if h.against.is_empty() {
        check.breach(
            4,
            format!(
                "hypothesis {} is refuted, and cites nothing in \"against\"",
                h.id
            ),
        );
    }
    // that something else stayed as it was refutes nothing about this entity, unless it should have
    // been hit
    let related = |id: &str| {
        let (Some(at), Some(from)) = (check.graph.index(id), check.graph.index(&h.entity)) else {
            return false;
        };
        at == from
            || check.graph.above(from).contains(&at)
            || check.graph.below(from).contains(&at)
            || check
                .graph
                .below(from)
                .iter()
                .any(|d| check.graph.dependants(*d).contains(&at))
    };
    let idle = h
        .against
        .iter()
        .filter_map(|id| check.evidence.row(*id))
        .find(|row| matches!(row.fact, EvidenceFact::Steady(_)) && !related(row.entity()))
        .map(|row| row.id);
    if let Some(id) = idle {
        check.breach(
            4,
            format!(
                "hypothesis {} is refuted by [{id}], which has nothing to do with it",
                h.id
            ),
        );
    }
}
