//! From a model's text to a checked answer.

use serde::Deserialize;

use super::{exchange::ModelText, failure::ModelFailure};
use crate::{
    evidence::Evidence,
    result::{AnswerCost, AnswerEngine, Conclusion, Diagnosis, Hypothesis, RESULT_SCHEMA, Remedy},
    validate::{Rejection, Validated, validate},
};

#[derive(Deserialize)]
struct ModelReply {
    verdict: Conclusion,
    #[serde(default)]
    hypotheses: Vec<Hypothesis>,
    #[serde(default)]
    action: Option<Remedy>,
    #[serde(default)]
    unknowns: Vec<String>,
}

/// Reads the first JSON object in the text, past all that stands around it, and checks it. One that
/// ends in the middle of a stream without an end was cut.
pub(super) fn check(
    received: &ModelText,
    evidence: &Evidence,
    engine: AnswerEngine,
) -> Result<Validated, ModelFailure> {
    let refused = |what: &str| Err(ModelFailure::Refused(Rejection::of(1, what)));
    let text = &received.text;
    let object = text.find('{').and_then(|start| {
        serde_json::Deserializer::from_str(&text[start..])
            .into_iter()
            .next()
    });
    let reply: ModelReply = match object {
        Some(Ok(reply)) => reply,
        Some(Err(e)) if !e.is_eof() => return refused(&format!("it does not parse: {e}")),
        _ if !received.complete => return Err(ModelFailure::Cut),
        Some(Err(_)) => return refused("its JSON object has no end"),
        None => return refused("there is no JSON object in it"),
    };
    // ids and ranks follow from the place, whatever the model has put there
    let hypotheses = (1..).zip(reply.hypotheses).map(|(rank, h)| Hypothesis {
        id: format!("H{rank}"),
        rank,
        ..h
    });
    let diagnosis = Diagnosis {
        schema: RESULT_SCHEMA.to_owned(),
        engine,
        verdict: reply.verdict,
        hypotheses: hypotheses.collect(),
        action: reply.action,
        unknowns: reply.unknowns,
        cost: AnswerCost::default(),
    };
    validate(evidence, diagnosis).map_err(ModelFailure::Refused)
}
