//! Rule 1: numbers in their ranges, and a verdict that fits the hypotheses.

use std::collections::HashSet;

use super::AnswerAudit;
use crate::result::{Conclusion, Diagnosis, HypothesisStatus};

const MOST_HYPOTHESES: usize = 8;
const MOST_UNKNOWNS: usize = 10;
const MOST_CITES: usize = 40;

pub(super) fn check(check: &mut AnswerAudit<'_>, diagnosis: &Diagnosis) {
    counts(check, diagnosis);
    let mut ids = HashSet::new();
    let mut ranks = HashSet::new();
    for h in &diagnosis.hypotheses {
        if h.id.is_empty() || !ids.insert(&h.id) {
            check.breach(
                1,
                format!("hypothesis id {:?} is empty or used twice", h.id),
            );
        }
        if !ranks.insert(h.rank) || h.rank == 0 || h.rank as usize > diagnosis.hypotheses.len() {
            check.breach(
                1,
                format!(
                    "hypothesis {} has rank {}: ranks are 1, 2, 3 and so on",
                    h.id, h.rank
                ),
            );
        }
        if !(0.0..=1.0).contains(&h.confidence) {
            check.breach(
                1,
                format!(
                    "hypothesis {} has confidence {}: it is between 0 and 1",
                    h.id, h.confidence
                ),
            );
        }
        if h.statement.is_empty() {
            check.breach(1, format!("hypothesis {} has no statement", h.id));
        }
        for link in &h.chain {
            if !(0.0..=1e9).contains(&link.lag_s) {
                check.breach(
                    1,
                    format!("hypothesis {} has a lag of {} s", h.id, link.lag_s),
                );
            }
        }
    }
    for p in diagnosis.action.iter().flat_map(|a| &a.predict) {
        if p.to.is_some_and(|to| !to.is_finite()) {
            check.breach(
                1,
                format!("the prediction for {} is not a number", p.signal),
            );
        }
    }
    verdict(check, diagnosis);
}

fn counts(check: &mut AnswerAudit<'_>, diagnosis: &Diagnosis) {
    let cites = diagnosis
        .hypotheses
        .iter()
        .flat_map(|h| [h.supports.len(), h.against.len(), h.chain.len()])
        .chain(
            diagnosis
                .action
                .iter()
                .flat_map(|a| [a.why.len(), a.predict.len()]),
        )
        .max()
        .unwrap_or(0);
    for (what, n, most) in [
        ("hypotheses", diagnosis.hypotheses.len(), MOST_HYPOTHESES),
        ("unknowns", diagnosis.unknowns.len(), MOST_UNKNOWNS),
        ("citations in one place", cites, MOST_CITES),
    ] {
        if n > most {
            check.breach(1, format!("{n} {what}: at most {most}"));
        }
    }
}

fn verdict(check: &mut AnswerAudit<'_>, diagnosis: &Diagnosis) {
    let supported = diagnosis
        .hypotheses
        .iter()
        .filter(|h| h.status == HypothesisStatus::Supported)
        .count();
    let first = diagnosis.hypotheses.iter().find(|h| h.rank == 1);
    let broken = check.evidence.violations().next().map(|(id, _)| id);
    match (diagnosis.verdict, broken) {
        (Conclusion::CauseFound, None) => {
            check.breach(1, "verdict cause_found, and no invariant was broken");
        }
        (Conclusion::CauseFound, Some(_)) => {
            if first.is_none_or(|h| h.status != HypothesisStatus::Supported) {
                check.breach(
                    1,
                    "verdict cause_found, and the hypothesis of rank 1 is not supported",
                );
            }
        }
        (Conclusion::NoIncident, Some(id)) => {
            check.breach(1, format!("verdict no_incident, and [{id}] is a violation"));
        }
        (Conclusion::NoIncident | Conclusion::Inconclusive, _) => {
            if supported > 0 {
                check.breach(
                    1,
                    "a hypothesis is supported, and the verdict is not cause_found",
                );
            }
            if diagnosis.action.is_some() {
                check.breach(1, "an action without a cause to act on");
            }
        }
    }
}
