//! From a model's text to a checked answer.

use serde::Deserialize;

use crate::{
    evidence::Evidence,
    result::{AnswerCost, AnswerEngine, Conclusion, Diagnosis, Hypothesis, RESULT_SCHEMA, Remedy},
    validate::{Rejection, Validated, validate},
};

/// The fault of a reply.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ReplyFlaw {
    /// It ends in the middle.
    Unfinished(Rejection),
    /// It is complete, and refused.
    Refused(Rejection),
}

impl ReplyFlaw {
    pub(super) fn into_rejection(self) -> Rejection {
        match self {
            Self::Unfinished(rejection) | Self::Refused(rejection) => rejection,
        }
    }
}

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

/// Reads the first JSON object in the text, past all that stands around it, and checks it.
pub(super) fn check(
    text: &str,
    evidence: &Evidence,
    engine: AnswerEngine,
) -> Result<Validated, ReplyFlaw> {
    let Some(start) = text.find('{') else {
        return Err(ReplyFlaw::Unfinished(Rejection::of(
            1,
            "there is no JSON object in it",
        )));
    };
    let reply: ModelReply = match serde_json::Deserializer::from_str(&text[start..])
        .into_iter()
        .next()
    {
        Some(Ok(reply)) => reply,
        Some(Err(e)) if e.is_eof() => {
            return Err(ReplyFlaw::Unfinished(Rejection::of(
                1,
                "its JSON object has no end",
            )));
        }
        Some(Err(e)) => {
            return Err(ReplyFlaw::Refused(Rejection::of(
                1,
                format!("it does not parse: {e}"),
            )));
        }
        None => {
            return Err(ReplyFlaw::Unfinished(Rejection::of(
                1,
                "there is no JSON object in it",
            )));
        }
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
    validate(evidence, diagnosis).map_err(ReplyFlaw::Refused)
}
