//! Rule 8: no more confidence than the evidence can bear.

use super::{AnswerAudit, chains::carries};
use crate::{
    evidence::EvidenceFact,
    result::{Diagnosis, Hypothesis},
};

const WITHOUT_A_PATH: f64 = 0.5;
const WITH_A_CLOSE_RIVAL: f64 = 0.6;
const WITH_A_GAP: f64 = 0.7;
/// A rival with at least this share of the confidence is close.
const CLOSE: f64 = 0.5;

pub(super) fn apply(check: &AnswerAudit<'_>, diagnosis: &mut Diagnosis) {
    let given: Vec<f64> = diagnosis.hypotheses.iter().map(|h| h.confidence).collect();
    for (i, h) in diagnosis.hypotheses.iter_mut().enumerate() {
        let rival = given
            .iter()
            .enumerate()
            .filter(|(j, _)| *j != i)
            .map(|(_, c)| *c)
            .fold(0.0, f64::max);
        let mut cap: f64 = 1.0;
        if !reaches_a_violation(check, h) {
            cap = cap.min(WITHOUT_A_PATH);
        }
        if rival >= CLOSE * given[i] {
            cap = cap.min(WITH_A_CLOSE_RIVAL);
        }
        if check
            .evidence
            .rows
            .iter()
            .any(|r| r.entity() == h.entity && matches!(r.fact, EvidenceFact::Gap(_)))
        {
            cap = cap.min(WITH_A_GAP);
        }
        h.confidence = h.confidence.min(cap);
    }
}

fn reaches_a_violation(check: &AnswerAudit<'_>, h: &Hypothesis) -> bool {
    let Some(at) = check.graph.index(&h.entity) else {
        return false;
    };
    let reach = check.graph.reach(at, carries(check, h));
    check
        .evidence
        .violations()
        .any(|(_, v)| check.graph.index(&v.entity).is_some_and(|e| reach[e]))
}
