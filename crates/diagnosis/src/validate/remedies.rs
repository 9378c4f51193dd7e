//! Rule 7: the action is one of the catalogue.

use super::AnswerAudit;
use crate::{
    evidence::AttemptResult,
    result::{Diagnosis, Remedy},
};

pub(super) fn check(check: &mut AnswerAudit<'_>, diagnosis: &Diagnosis) {
    let Some(remedy) = &diagnosis.action else {
        return;
    };
    let Some(action) = check.evidence.actions.iter().find(|a| a.id == remedy.id) else {
        check.breach(7, format!("action {:?} is not in the catalogue", remedy.id));
        return;
    };
    for (name, value) in &remedy.params {
        match action.params.iter().find(|p| p.name == *name) {
            None => check.breach(
                7,
                format!("action {:?} has no parameter {name:?}", action.id),
            ),
            Some(p) if !p.domain.accepts(value) => {
                check.breach(
                    7,
                    format!("action {:?} does not take {value} for {name:?}", action.id),
                );
            }
            Some(_) => {}
        }
    }
    for p in &action.params {
        if p.default.is_none() && !remedy.params.contains_key(&p.name) {
            check.breach(
                7,
                format!("action {:?} needs a value for {:?}", action.id, p.name),
            );
        }
    }
    if failed_already(check, remedy) {
        check.breach(
            7,
            format!(
                "action {:?} was tried with these parameters and failed",
                action.id
            ),
        );
    }
}

/// Whether the same was tried; a parameter left out is tried with its default.
fn failed_already(check: &AnswerAudit<'_>, remedy: &Remedy) -> bool {
    let Some(action) = check.evidence.actions.iter().find(|a| a.id == remedy.id) else {
        return false;
    };
    let full = |given: &crate::evidence::ActionParams| {
        let mut all = given.clone();
        for p in &action.params {
            if let Some(default) = &p.default {
                all.entry(p.name.clone()).or_insert_with(|| default.clone());
            }
        }
        all
    };
    check.evidence.history.iter().any(|h| {
        h.action == remedy.id
            && h.outcome == AttemptResult::Failed
            && full(&h.params) == full(&remedy.params)
    })
}
