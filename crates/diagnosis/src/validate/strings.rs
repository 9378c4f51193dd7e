//! Rule 9: strings are data.

use crate::{
    clean::capped,
    result::{Diagnosis, RESULT_SCHEMA},
};

const NAME: usize = 64;
const SENTENCE: usize = 600;

/// Takes control characters out of every string and caps its length.
pub(super) fn clean(diagnosis: &mut Diagnosis) {
    diagnosis.schema = RESULT_SCHEMA.to_owned();
    let engine = &mut diagnosis.engine;
    trim(&mut engine.name, NAME);
    if let Some(model) = &mut engine.model {
        trim(model, NAME);
    }
    if let Some(fallback) = &mut engine.fallback_from {
        trim(&mut fallback.model, NAME);
        trim(&mut fallback.reason, SENTENCE);
    }
    for h in &mut diagnosis.hypotheses {
        trim(&mut h.id, NAME);
        trim(&mut h.entity, NAME);
        trim(&mut h.statement, SENTENCE);
        for link in &mut h.chain {
            trim(&mut link.cause, NAME);
            trim(&mut link.effect, NAME);
        }
    }
    for unknown in &mut diagnosis.unknowns {
        trim(unknown, SENTENCE);
    }
    if let Some(action) = &mut diagnosis.action {
        trim(&mut action.id, NAME);
        for p in &mut action.predict {
            trim(&mut p.entity, NAME);
            trim(&mut p.signal, NAME);
        }
        action.params = std::mem::take(&mut action.params)
            .into_iter()
            .map(|(name, value)| {
                let value = match value {
                    serde_json::Value::String(text) => {
                        serde_json::Value::String(capped(&text, NAME))
                    }
                    other => other,
                };
                (capped(&name, NAME), value)
            })
            .collect();
    }
}

fn trim(text: &mut String, max: usize) {
    *text = capped(text, max);
}
