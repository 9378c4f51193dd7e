//! The analyser that needs nothing but the evidence.

mod case;
mod chain;
mod mechanisms;
mod rank;
mod remedy;
mod rivals;
mod say;
mod view;

use std::time::Instant;

use crate::{
    evidence::{Evidence, RowId},
    result::{Basis, Cost, Diagnosis, Engine, EngineKind, Hypothesis, RESULT_SCHEMA, Status, Step, Verdict},
    validate::{Validated, validate},
};
use case::MOST_CITED;
use rank::{Item, Ranked, items, rank};
use view::{Changed, View, strongest};

/// What the analyser calls itself.
const NAME: &str = "offline analyser";
/// A cause is named from this score on.
const ENOUGH: f64 = 0.5;
/// No evidence makes certain.
const MOST: f64 = 0.95;

/// Diagnoses an incident from its evidence. Pure: the same evidence gives the same answer.
pub fn analyse(evidence: &Evidence) -> Diagnosis {
    let view = View::new(evidence);
    if evidence.violations().next().is_none() {
        return no_incident(&view);
    }
    let items = items(&view);
    let ranked = rank(&view, &items, mechanisms::cases(&view));
    match ranked.split_first() {
        Some((cause, others)) if confidence(cause, others) >= ENOUGH => found(&view, &items, cause, others),
        _ => inconclusive(&view, &ranked),
    }
}

/// Analyses, times and validates.
pub fn diagnose(evidence: &Evidence) -> Validated {
    let started = Instant::now();
    let mut diagnosis = analyse(evidence);
    diagnosis.cost = Cost::of(started.elapsed());
    validate(evidence, diagnosis).unwrap_or_else(|rejection| {
        // the validator is the judge of this engine too: an answer it refuses is not shown
        let mut empty = answer(Verdict::Inconclusive);
        empty.unknowns.push(format!("the analysis did not pass its own check: {rejection}"));
        empty.cost = Cost::of(started.elapsed());
        Validated::without_claims(empty)
    })
}

fn answer(verdict: Verdict) -> Diagnosis {
    Diagnosis {
        schema: RESULT_SCHEMA.to_owned(),
        engine: Engine { kind: EngineKind::Offline, name: NAME.to_owned(), model: None, fallback_from: None },
        verdict,
        hypotheses: Vec::new(),
        reasoning: Vec::new(),
        action: None,
        unknowns: Vec::new(),
        cost: Cost::default(),
    }
}

fn no_incident(view: &View<'_>) -> Diagnosis {
    let mut diagnosis = answer(Verdict::NoIncident);
    diagnosis.reasoning.push(step(Basis::Inferred, "no invariant was broken".to_owned(), Vec::new()));
    if let Some(c) = strongest(view.entities().flat_map(|e| view.changes(e))) {
        let text = format!("{}, and every invariant held", say::went(view, c));
        diagnosis.reasoning.push(step(Basis::Observed, text, vec![c.row.id]));
    }
    diagnosis
}

fn inconclusive(view: &View<'_>, ranked: &[Ranked<'_>]) -> Diagnosis {
    let mut diagnosis = answer(Verdict::Inconclusive);
    let mut seen: Vec<usize> = Vec::new();
    let open = ranked.iter().filter(|r| {
        let new = !seen.contains(&r.case.entity);
        seen.push(r.case.entity);
        new
    });
    diagnosis.hypotheses = open.take(5).map(|r| hypothesis(view, r, Status::Open)).collect();
    number(&mut diagnosis.hypotheses);
    diagnosis.reasoning = violations(view);
    diagnosis.unknowns = unknowns(view, None);
    let why = if ranked.is_empty() {
        "an invariant was broken, and no signal left its normal range"
    } else {
        "no candidate explains enough of what changed"
    };
    diagnosis.unknowns.insert(0, why.to_owned());
    diagnosis
}

fn found(view: &View<'_>, items: &[Item], cause: &Ranked<'_>, others: &[Ranked<'_>]) -> Diagnosis {
    let mut diagnosis = answer(Verdict::CauseFound);
    let mut first = hypothesis(view, cause, Status::Supported);
    first.confidence = confidence(cause, others).min(MOST);
    first.chain = chain::chain(view, cause);
    let rivals = rivals::rivals(view, items, cause, others);

    diagnosis.reasoning = violations(view);
    diagnosis.reasoning.extend(effects(view, cause, &first));
    if view.trust.topology {
        diagnosis.reasoning.push(everything(view, items, cause));
    }
    diagnosis.reasoning.extend(
        rivals
            .iter()
            .filter(|r| r.status == Status::Refuted && !r.supports.is_empty())
            .filter_map(|r| rivals::why_not(view, r))
            .map(|(text, cites)| step(Basis::Inferred, text, cites)),
    );
    diagnosis.hypotheses.push(first);
    diagnosis.hypotheses.extend(rivals);
    number(&mut diagnosis.hypotheses);
    diagnosis.action = remedy::remedy(view, items, cause);
    diagnosis.unknowns = unknowns(view, Some(cause));
    if diagnosis.action.is_none() && !view.evidence.actions.is_empty() {
        diagnosis
            .unknowns
            .push(format!("an action: none is left in the catalogue for what {}", cause.case.mechanism));
    }
    diagnosis
}

/// The score, less where another entity comes close.
fn confidence(cause: &Ranked<'_>, others: &[Ranked<'_>]) -> f64 {
    let second = others.iter().find(|o| o.case.entity != cause.case.entity).map_or(0.0, |o| o.score);
    cause.score * cause.certainty * (1.0 - 0.4 * (second / cause.score.max(1e-9)).powi(4))
}

fn hypothesis(view: &View<'_>, ranked: &Ranked<'_>, status: Status) -> Hypothesis {
    Hypothesis {
        id: String::new(),
        rank: 0,
        entity: view.graph.id(ranked.case.entity).to_owned(),
        mechanism: ranked.case.mechanism,
        statement: ranked.case.statement.clone(),
        status,
        confidence: ranked.score.min(MOST),
        supports: ranked.case.cited(),
        against: ranked.case.against.iter().copied().take(MOST_CITED).collect(),
        chain: Vec::new(),
    }
}

fn number(hypotheses: &mut [Hypothesis]) {
    for (rank, h) in (1..).zip(hypotheses) {
        h.rank = rank;
        h.id = format!("H{rank}");
        h.confidence = (h.confidence * 100.0).round() / 100.0;
    }
}

fn step(kind: Basis, text: String, cites: Vec<RowId>) -> Step {
    Step { kind, text, cites }
}

fn violations(view: &View<'_>) -> Vec<Step> {
    let mut rows: Vec<_> = view.entities().flat_map(|e| view.violations(e)).collect();
    rows.sort_by_key(|(row, v)| (v.t, row.id));
    rows.into_iter().take(2).map(|v| step(Basis::Observed, say::broke(view, v), vec![v.0.id])).collect()
}

/// What was seen at the entities along the chain, the strongest change of each.
fn effects(view: &View<'_>, cause: &Ranked<'_>, first: &Hypothesis) -> Vec<Step> {
    first
        .chain
        .iter()
        .filter_map(|link| view.graph.index(&link.effect))
        .filter_map(|e| strongest(view.changes(e).filter(|c| c.change.onset >= cause.began)))
        .take(3)
        .map(|c: Changed<'_>| step(Basis::Observed, say::went(view, c), vec![c.row.id]))
        .collect()
}

/// How much of what changed the cause accounts for.
fn everything(view: &View<'_>, items: &[Item], cause: &Ranked<'_>) -> Step {
    let left: Vec<&Item> = items
        .iter()
        .zip(&cause.explains)
        .filter(|(_, explained)| !**explained)
        .map(|(item, _)| item)
        .collect();
    let mut cites = vec![cause.case.trigger.row.id];
    let id = say::name(view, cause.case.entity);
    let text = if left.is_empty() {
        format!(
            "everything that changed lies where an effect of {id} can reach, and none of it began earlier"
        )
    } else {
        cites.extend(left.iter().map(|item| item.row).take(4));
        let rows: Vec<String> = cites[1..].iter().map(|id| format!("[{id}]")).collect();
        format!("most of what changed lies where an effect of {id} can reach; not so {}", say::list(&rows))
    };
    step(Basis::Inferred, text, cites)
}

/// What the order of the candidates could not rest on, and what was not seen, nearest to the cause first.
fn unknowns(view: &View<'_>, cause: Option<&Ranked<'_>>) -> Vec<String> {
    let mut unknown = Vec::new();
    if !view.trust.topology {
        unknown.push(
            "no dependencies lead from what changed to what was violated: deviations decided".to_owned(),
        );
    }
    if !view.trust.onsets {
        unknown.push("which change came first: they began together, as the invariant was broken".to_owned());
    }
    let near = |e: &usize| cause.is_none_or(|c| c.case.entity != *e);
    let mut entities: Vec<usize> = view.entities().collect();
    entities.sort_by_key(near);
    unknown.extend(entities.into_iter().flat_map(|e| view.gaps(e)).take(3).map(|(row, gap)| {
        format!("{} of {}: {} [{}]", say::word(&gap.signal), say::word(&gap.entity), gap.why, row.id)
    }));
    unknown
}
