//! An answer as plain lines of any width.
//!
//! Only a [`Validated`] answer can be rendered. No line holds a control character, even where the
//! evidence does.

use std::collections::HashSet;

use crate::{
    clean::capped,
    evidence::{Change, Evidence, EvidenceFact, EvidenceId, EvidenceRow, rounded},
    figure::{moment, pair, short, with, with_unit},
    result::{EngineKind, Hypothesis, HypothesisStatus, PredictedEffect, Prediction, Remedy},
    validate::Validated,
};

/// Longest line, in characters, before it is wrapped on a screen.
const LONGEST: usize = 1_000;
/// Rows of evidence shown.
const ROWS: usize = 6;

/// The answer in lines: [`summary`], then [`details`].
pub fn render(evidence: &Evidence, answer: &Validated) -> Vec<String> {
    summary(evidence, answer)
        .into_iter()
        .chain(details(evidence, answer))
        .collect()
}

/// The first page: the cause in a sentence, why it is nothing else, the action, and the engine. No
/// ids of rows.
pub fn summary(evidence: &Evidence, answer: &Validated) -> Vec<String> {
    let mut lines = vec![headline(answer)];
    if let Some(fallback) = &answer.engine.fallback_from {
        lines.push(format!(
            "instead of {}: {}",
            fallback.model, fallback.reason
        ));
    }
    lines.extend(alternatives(evidence, answer));
    if let Some(remedy) = &answer.action {
        lines.extend(action(evidence, remedy));
    }
    lines.push(signature(answer));
    lines
        .into_iter()
        .map(|line| clean(&without_ids(&line)))
        .collect()
}

/// The second page: the rows that the answer rests on as before and after, how the cause spread,
/// and the unknowns.
pub fn details(evidence: &Evidence, answer: &Validated) -> Vec<String> {
    let mut lines = rows(evidence, answer);
    lines.extend(answer.cause().and_then(chain));
    lines.extend(
        answer
            .unknowns
            .iter()
            .map(|text| format!("not known: {text}")),
    );
    lines.into_iter().map(|line| clean(&line)).collect()
}

/// The other answer of a pair in a line, when the engines disagree.
pub fn disagreement(answer: &Validated, other: &Validated) -> Option<String> {
    let line = || format!("the {} disagrees: {}", other.engine.name, headline(other));
    (!answer.agrees_with(other)).then(|| clean(&without_ids(&line())))
}

/// Indentation stays, everything else is data.
fn clean(line: &str) -> String {
    let text = line.trim_start_matches(' ');
    format!(
        "{}{}",
        " ".repeat(line.len() - text.len()),
        capped(text, LONGEST)
    )
}

/// A sentence without the citations in it.
fn without_ids(text: &str) -> String {
    let mut parts = text.split(" [");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(']') {
            Some((ids, rest))
                if ids
                    .split([',', ' '])
                    .all(|id| id.is_empty() || id.parse::<EvidenceId>().is_ok()) =>
            {
                plain += rest;
            }
            _ => plain += &format!(" [{part}"),
        }
    }
    plain
}

fn headline(answer: &Validated) -> String {
    let word = |confidence| match confidence {
        0.75.. => "high",
        0.5.. => "medium",
        _ => "low",
    };
    match answer.cause() {
        Some(cause) => format!(
            "{}; confidence {:.2} ({})",
            capital(&cause.statement),
            cause.confidence,
            word(cause.confidence)
        ),
        None => capital(&match answer.unknowns.first() {
            Some(why) => format!("{}: {why}", answer.verdict),
            None => answer.verdict.to_string(),
        }),
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

fn chain(cause: &Hypothesis) -> Option<String> {
    let steps: Vec<String> = cause
        .chain
        .iter()
        .map(|link| format!("{} (+{} s)", link.effect, short(link.lag_s)))
        .collect();
    (!steps.is_empty()).then(|| format!("it spread: {} → {}", cause.entity, steps.join(" → ")))
}

/// The rows the answer rests on: violations, then the cause's support.
fn rows(evidence: &Evidence, answer: &Validated) -> Vec<String> {
    let cited = match answer.cause() {
        Some(cause) => cause.supports.clone(),
        None => answer
            .hypotheses
            .iter()
            .flat_map(|h| h.supports.iter().copied().take(1))
            .collect(),
    };
    let mut seen = HashSet::new();
    let violations = evidence.violations().map(|(id, _)| id).take(2);
    let ids: Vec<EvidenceId> = violations
        .chain(cited)
        .filter(|id| seen.insert(*id))
        .collect();
    let mut lines: Vec<String> = ids
        .iter()
        .take(ROWS)
        .filter_map(|id| evidence.row(*id))
        .map(|r| format!("  {}", row(r)))
        .collect();
    if ids.len() > ROWS {
        let rest: Vec<String> = ids[ROWS..].iter().map(|id| format!("[{id}]")).collect();
        lines.push(format!("  and {}", rest.join(" ")));
    }
    if !lines.is_empty() {
        lines.insert(0, "evidence:".to_owned());
    }
    lines
}

/// One row of evidence as a line.
pub fn row(row: &EvidenceRow) -> String {
    let id = row.id;
    match &row.fact {
        EvidenceFact::Violation(v) => format!(
            "[{id}] {} broke {}: {} where {} is in order, at {} s",
            v.entity,
            v.invariant,
            short(v.observed),
            short(v.bound),
            moment(rounded(v.t))
        ),
        EvidenceFact::Change(c) => {
            let (earliest, onset) = (moment(rounded(c.earliest())), moment(rounded(c.onset)));
            format!(
                "[{id}] {} {}: {}, onset {earliest} to {onset} s",
                c.entity,
                c.signal,
                moved(c)
            )
        }
        EvidenceFact::Steady(s) => {
            format!(
                "[{id}] {} {}: steady at {}",
                s.entity,
                s.signal,
                with_unit(s.median, &s.unit)
            )
        }
        EvidenceFact::Gap(g) => format!(
            "[{id}] {} {}: {} from {} s to {} s",
            g.entity,
            g.signal,
            g.why,
            moment(rounded(g.from)),
            moment(rounded(g.to))
        ),
    }
}

/// Before and after. A signal that moves anyway has no level to be compared with, only a course.
fn moved(change: &Change) -> String {
    let (before, after) = pair(change.before.median, change.extreme());
    let (before, after) = (with(&before, &change.unit), with(&after, &change.unit));
    match change.before.slope {
        None => format!("{before} → {after}"),
        Some(_) => format!("{after} instead of {before}"),
    }
}

fn alternatives(evidence: &Evidence, answer: &Validated) -> Vec<String> {
    let others: Vec<&Hypothesis> = answer
        .hypotheses
        .iter()
        .filter(|h| h.status != HypothesisStatus::Supported)
        .collect();
    if others.is_empty() {
        return Vec::new();
    }
    let heading = if answer.cause().is_some() {
        "not the cause:"
    } else {
        "candidates:"
    };
    let mut lines = vec![heading.to_owned()];
    lines.extend(others.into_iter().map(|h| {
        let who = format!("{} {}", evidence.topology.label(&h.entity), h.mechanism);
        match h
            .against
            .iter()
            .find_map(|id| why(evidence, answer, h, evidence.row(*id)?))
        {
            Some(why) => format!("  {who}: {why}"),
            None => format!("  {who}: possible, confidence {:.2}", h.confidence),
        }
    }));
    lines
}

/// The words of a row against a hypothesis.
fn why(
    evidence: &Evidence,
    answer: &Validated,
    h: &Hypothesis,
    row: &EvidenceRow,
) -> Option<String> {
    let of = |entity: &str| {
        if entity == h.entity {
            "its".into()
        } else {
            evidence.topology.whose(entity)
        }
    };
    let cause = answer
        .cause()
        .filter(|cause| cause.supports.contains(&row.id) && cause.entity == row.entity());
    Some(match &row.fact {
        EvidenceFact::Steady(s) => {
            format!(
                "{} {} stayed at {}",
                of(&s.entity),
                s.signal,
                with_unit(s.median, &s.unit)
            )
        }
        EvidenceFact::Change(c) if cause.is_some() && c.entity != h.entity => {
            format!("it does not explain {} {}", of(&c.entity), c.signal)
        }
        EvidenceFact::Change(c) => {
            format!(
                "{} {} went from {}",
                of(&c.entity),
                c.signal,
                moved(c).replace(" → ", " to ")
            )
        }
        EvidenceFact::Violation(v) => {
            format!(
                "it does not explain why {} broke {}",
                evidence.topology.label(&v.entity),
                v.invariant
            )
        }
        EvidenceFact::Gap(_) => return None,
    })
}

/// Reversibility and risk are the catalogue's, never the engine's.
fn action(evidence: &Evidence, remedy: &Remedy) -> Vec<String> {
    let Some(action) = evidence.actions.iter().find(|a| a.id == remedy.id) else {
        return Vec::new();
    };
    let params: Vec<String> = remedy
        .params
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    let params = if params.is_empty() {
        String::new()
    } else {
        format!(" ({})", params.join(", "))
    };
    let reversible = if action.reversible {
        "reversible"
    } else {
        "cannot be undone"
    };
    let mut lines = vec![format!(
        "to do: {}{params}; {reversible}, {} risk",
        action.label, action.risk
    )];
    let predicted: Vec<String> = remedy.predict.iter().map(prediction).collect();
    if !predicted.is_empty() {
        lines.push(format!("  then {}", predicted.join("; ")));
    }
    lines
}

/// A prediction as a phrase.
fn prediction(p: &Prediction) -> String {
    let what = match p.expect {
        PredictedEffect::Falls => "falls",
        PredictedEffect::Rises => "rises",
        PredictedEffect::Clears => "holds again",
    };
    match p.to {
        Some(to) => format!("{} {} {what} to {}", p.entity, p.signal, short(to)),
        None => format!("{} {} {what}", p.entity, p.signal),
    }
}

fn signature(answer: &Validated) -> String {
    let (engine, cost) = (&answer.engine, &answer.cost);
    let took = if cost.ms < 1_000.0 {
        format!("{:.1} ms", cost.ms)
    } else {
        format!("{:.1} s", cost.ms / 1e3)
    };
    let tokens = match cost.tokens_in + cost.tokens_out {
        0 => String::new(),
        _ => format!(", {} tokens in and {} out", cost.tokens_in, cost.tokens_out),
    };
    match (engine.kind, &engine.model) {
        (EngineKind::Llm, Some(model)) => {
            format!(
                "by the model {model} ({}), checked, in {took}{tokens}",
                engine.name
            )
        }
        _ => format!("by the {} in {took}{tokens}", engine.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn citations_leave_a_sentence_and_other_brackets_stay() {
        assert_eq!(
            without_ids("a rose [E3] to 4 [E4, E5], b [x] fell [E6]"),
            "a rose to 4, b [x] fell"
        );
        assert_eq!(without_ids("an open [E3 end"), "an open [E3 end");
    }
}
