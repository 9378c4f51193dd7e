//! Rule 2: everything named exists.

use super::{AnswerAudit, numbers};
use crate::{
    evidence::EvidenceId,
    result::{Diagnosis, PredictedEffect},
};

pub(super) fn check(check: &mut AnswerAudit<'_>, diagnosis: &Diagnosis) {
    for h in &diagnosis.hypotheses {
        let place = format!("hypothesis {}", h.id);
        entity(check, &place, &h.entity);
        rows(check, &place, h.supports.iter().chain(&h.against));
        for link in &h.chain {
            entity(check, &place, &link.cause);
            entity(check, &place, &link.effect);
        }
        rows(check, &place, &numbers::inline(&h.statement));
    }
    for text in &diagnosis.unknowns {
        rows(check, "an unknown", &numbers::inline(text));
    }
    if let Some(action) = &diagnosis.action {
        rows(check, "the action", &action.why);
        for p in &action.predict {
            entity(check, "a prediction", &p.entity);
            let known = match p.expect {
                PredictedEffect::Clears => check
                    .evidence
                    .violations()
                    .any(|(_, v)| v.entity == p.entity && v.invariant == p.signal),
                PredictedEffect::Falls | PredictedEffect::Rises => check
                    .evidence
                    .rows
                    .iter()
                    .any(|r| r.entity() == p.entity && r.signal() == Some(&p.signal)),
            };
            if !known {
                let what = if p.expect == PredictedEffect::Clears {
                    "violation"
                } else {
                    "signal"
                };
                check.breach(
                    2,
                    format!(
                        "a prediction names {what} {:?} of {:?}, which does not exist",
                        p.signal, p.entity
                    ),
                );
            }
        }
    }
}

fn entity(check: &mut AnswerAudit<'_>, place: &str, id: &str) {
    if check.graph.index(id).is_none() {
        check.breach(
            2,
            format!("{place} names entity {id:?}, which does not exist"),
        );
    }
}

fn rows<'r>(
    check: &mut AnswerAudit<'_>,
    place: &str,
    ids: impl IntoIterator<Item = &'r EvidenceId>,
) {
    for id in ids {
        if check.evidence.row(*id).is_none() {
            check.breach(2, format!("{place} cites {id}, which does not exist"));
        }
    }
}
