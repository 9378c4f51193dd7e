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
    let mut names = vec![&mut engine.name];
    let mut sentences: Vec<&mut String> = diagnosis.unknowns.iter_mut().collect();
    names.extend(&mut engine.model);
    if let Some(fallback) = &mut engine.fallback_from {
        names.push(&mut fallback.model);
        sentences.push(&mut fallback.reason);
    }
    for h in &mut diagnosis.hypotheses {
        names.extend([&mut h.id, &mut h.entity]);
        sentences.push(&mut h.statement);
        names.extend(
            h.chain
                .iter_mut()
                .flat_map(|c| [&mut c.cause, &mut c.effect]),
        );
    }
    if let Some(action) = &mut diagnosis.action {
        names.push(&mut action.id);
        let predict = action.predict.iter_mut();
        names.extend(predict.flat_map(|p| [&mut p.entity, &mut p.signal]));
        let cleaned = std::mem::take(&mut action.params)
            .into_iter()
            .map(|(name, mut value)| {
                if let serde_json::Value::String(text) = &mut value {
                    *text = capped(text, NAME);
                }
                (capped(&name, NAME), value)
            });
        action.params = cleaned.collect();
    }
    for name in names {
        *name = capped(name, NAME);
    }
    for sentence in sentences {
        *sentence = capped(sentence, SENTENCE);
    }
}
