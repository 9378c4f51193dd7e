//! The analyser that needs nothing but the evidence.

mod case;
mod chain;
mod mechanisms;
mod rank;
mod remedy;
mod rivals;
mod say;
mod view;

use std::{collections::HashSet, time::Instant};

use crate::{
    evidence::Evidence,
    figure::word,
    result::{
        AnswerCost, AnswerEngine, Conclusion, Diagnosis, EngineKind, Hypothesis, HypothesisStatus,
        RESULT_SCHEMA,
    },
    validate::{Validated, validate},
};
use rank::{MOST, RankedCandidate, SymptomItem, items, rank};
use view::EvidenceView;

/// The analyser's name in an answer.
const NAME: &str = "offline analyser";
/// A cause is named from this score on.
const ENOUGH: f64 = 0.5;

/// Diagnoses an incident from its evidence. Pure: the same evidence gives the same answer.
pub fn analyse(evidence: &Evidence) -> Diagnosis {
    let view = EvidenceView::new(evidence);
    if evidence.violations().next().is_none() {
        return answer(Conclusion::NoIncident);
    }
    let items = items(&view);
    let ranked = rank(&view, &items, mechanisms::cases(&view));
    match ranked.split_first() {
        Some((cause, others)) if confidence(cause, others) >= ENOUGH => {
            found(&view, &items, cause, others)
        }
        _ => inconclusive(&view, &ranked),
    }
}

/// Analyses, times and validates.
pub fn diagnose(evidence: &Evidence) -> Validated {
    let started = Instant::now();
    let mut diagnosis = analyse(evidence);
    diagnosis.cost = AnswerCost::of(started.elapsed());
    validate(evidence, diagnosis).unwrap_or_else(|rejection| {
        // the validator is the judge of this engine too: an answer it refuses is not shown
        let mut empty = answer(Conclusion::Inconclusive);
        empty.unknowns.push(format!(
            "the analysis did not pass its own check: {rejection}"
        ));
        empty.cost = AnswerCost::of(started.elapsed());
        Validated::without_claims(empty)
    })
}

fn answer(verdict: Conclusion) -> Diagnosis {
    Diagnosis {
        schema: RESULT_SCHEMA.to_owned(),
        engine: AnswerEngine {
            kind: EngineKind::Offline,
            name: NAME.to_owned(),
            model: None,
            fallback_from: None,
        },
        verdict,
        hypotheses: Vec::new(),
        action: None,
        unknowns: Vec::new(),
        cost: AnswerCost::default(),
    }
}

fn inconclusive(view: &EvidenceView<'_>, ranked: &[RankedCandidate<'_>]) -> Diagnosis {
    let mut diagnosis = answer(Conclusion::Inconclusive);
    let mut seen = HashSet::new();
    let open = ranked.iter().filter(|r| seen.insert(r.case.entity));
    diagnosis.hypotheses = open
        .take(5)
        .map(|r| r.hypothesis(view, HypothesisStatus::Open))
        .collect();
    number(&mut diagnosis.hypotheses);
    diagnosis.unknowns = unknowns(view, None);
    let why = if ranked.is_empty() {
        "an invariant was broken, and no signal left its normal range"
    } else {
        "no candidate explains enough of what changed"
    };
    diagnosis.unknowns.insert(0, why.to_owned());
    diagnosis
}

fn found(
    view: &EvidenceView<'_>,
    items: &[SymptomItem],
    cause: &RankedCandidate<'_>,
    others: &[RankedCandidate<'_>],
) -> Diagnosis {
    let mut diagnosis = answer(Conclusion::CauseFound);
    let mut first = cause.hypothesis(view, HypothesisStatus::Supported);
    first.confidence = confidence(cause, others).min(MOST);
    first.chain = chain::chain(view, cause);
    let rivals = rivals::rivals(view, items, cause, others);

    diagnosis.hypotheses.push(first);
    diagnosis.hypotheses.extend(rivals);
    number(&mut diagnosis.hypotheses);
    diagnosis.action = remedy::remedy(view, items, cause);
    diagnosis.unknowns = unknowns(view, Some(cause));
    if diagnosis.action.is_none() && !view.evidence.actions.is_empty() {
        diagnosis.unknowns.push(format!(
            "an action: none is left in the catalogue for what {}",
            cause.case.mechanism
        ));
    }
    diagnosis
}

/// The score, less where another entity comes close.
fn confidence(cause: &RankedCandidate<'_>, others: &[RankedCandidate<'_>]) -> f64 {
    let second = others
        .iter()
        .find(|o| o.case.entity != cause.case.entity)
        .map_or(0.0, |o| o.score);
    cause.score * cause.certainty * (1.0 - 0.4 * (second / cause.score.max(1e-9)).powi(4))
}

fn number(hypotheses: &mut [Hypothesis]) {
    for (rank, h) in (1..).zip(hypotheses) {
        h.rank = rank;
        h.id = format!("H{rank}");
        h.confidence = (h.confidence * 100.0).round() / 100.0;
    }
}

/// The grounds that the order of the candidates had to do without, and the gaps, nearest to the
/// cause first.
fn unknowns(view: &EvidenceView<'_>, cause: Option<&RankedCandidate<'_>>) -> Vec<String> {
    let mut unknown = Vec::new();
    if !view.trust.topology {
        unknown.push(
            "no dependencies lead from what changed to what was violated: deviations decided"
                .to_owned(),
        );
    }
    if !view.trust.onsets {
        unknown.push(
            "which change came first: they began together, as the invariant was broken".to_owned(),
        );
    }
    let near = |e: &usize| cause.is_none_or(|c| c.case.entity != *e);
    let mut entities: Vec<usize> = view.entities().collect();
    entities.sort_by_key(near);
    unknown.extend(
        entities
            .into_iter()
            .flat_map(|e| view.gaps(e))
            .take(3)
            .map(|(row, gap)| {
                format!(
                    "{} of {}: {} [{}]",
                    word(&gap.signal),
                    word(&gap.entity),
                    gap.why,
                    row.id
                )
            }),
    );
    unknown
}
