//! Rule 7: the action is one of the catalogue.

use super::AnswerAudit;
use crate::{
    evidence::{ActionParams, AttemptResult},
    result::Diagnosis,
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
    // a parameter left out is tried with its default
    let full = |given: &ActionParams| {
        let mut all = given.clone();
        for p in &action.params {
            if let Some(default) = &p.default {
                all.entry(p.name.clone()).or_insert_with(|| default.clone());
            }
        }
        all
    };
    let failed = check.evidence.history.iter().any(|h| {
        h.action == remedy.id
            && h.outcome == AttemptResult::Failed
            && full(&h.params) == full(&remedy.params)
    });
    if failed {
        check.breach(
            7,
            format!(
                "action {:?} was tried with these parameters and failed",
                action.id
            ),
        );
    }
}
