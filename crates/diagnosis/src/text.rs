//! An answer as plain lines, of any width.
//!
//! Only a [`Validated`] answer can be rendered. No line holds a control character, whatever the evidence holds.

use crate::{
    clean::capped,
    evidence::{Change, Evidence, Fact, Row, RowId, rounded},
    figure::{figure, with_unit},
    result::{EngineKind, Expect, Hypothesis, Prediction, Remedy, Status, Verdict, confidence_word},
    validate::Validated,
};

/// Longest line, in characters, before it is wrapped by whoever shows it.
const LONGEST: usize = 1_000;
/// Rows of evidence shown.
const ROWS: usize = 6;

/// The answer in lines: engine, verdict, evidence, alternatives, action, cost.
pub fn render(evidence: &Evidence, answer: &Validated) -> Vec<String> {
    let mut lines = vec![engine(answer)];
    if let Some(fallback) = &answer.engine.fallback_from {
        lines.push(format!("instead of: {}, {}", fallback.model, fallback.reason));
    }
    lines.push(verdict(answer));
    if let Some(cause) = answer.cause() {
        lines.push(format!("  {}", cause.statement));
        lines.extend(chain(cause));
    }
    lines.extend(rows(evidence, answer));
    lines.extend(alternatives(answer));
    if let Some(remedy) = &answer.action {
        lines.extend(action(evidence, remedy));
    }
    lines.extend(answer.unknowns.iter().map(|text| format!("unknown: {text}")));
    lines.push(cost(answer));
    lines.into_iter().map(|line| indent_kept(&line)).collect()
}

/// Both answers of a pair, when the engines disagree: the one that stands, then the other in two lines.
pub fn render_with_other(evidence: &Evidence, answer: &Validated, other: &Validated) -> Vec<String> {
    let mut lines = render(evidence, answer);
    if !answer.agrees_with(other) {
        let at = lines.len() - 1;
        let differing = [format!("the {} disagrees: {}", other.engine.name, verdict(other))]
            .into_iter()
            .chain(other.cause().map(|cause| format!("  {}", cause.statement)));
        lines.splice(at..at, differing.map(|line| indent_kept(&line)));
    }
    lines
}

fn indent_kept(line: &str) -> String {
    let indent = line.len() - line.trim_start_matches(' ').len();
    format!("{}{}", " ".repeat(indent), capped(line.trim_start_matches(' '), LONGEST))
}

fn engine(answer: &Validated) -> String {
    let engine = &answer.engine;
    let kind = match engine.kind {
        EngineKind::Offline => "offline",
        EngineKind::Llm => "llm",
    };
    match &engine.model {
        Some(model) => format!("engine: {} ({kind}, {model})", engine.name),
        None => format!("engine: {} ({kind})", engine.name),
    }
}

fn verdict(answer: &Validated) -> String {
    match answer.cause() {
        Some(cause) if answer.verdict == Verdict::CauseFound => format!(
            "{}, confidence {} ({:.2}): {}, {}",
            answer.verdict,
            confidence_word(cause.confidence),
            cause.confidence,
            cause.entity,
            cause.mechanism
        ),
        _ => answer.verdict.to_string(),
    }
}

fn chain(cause: &Hypothesis) -> Option<String> {
    let steps: Vec<String> =
        cause.chain.iter().map(|link| format!("{} (+{} s)", link.effect, link.lag_s)).collect();
    (!steps.is_empty()).then(|| format!("  {} → {}", cause.entity, steps.join(" → ")))
}

/// The rows the answer rests on: violations, then what supports the cause.
fn rows(evidence: &Evidence, answer: &Validated) -> Vec<String> {
    let mut ids: Vec<RowId> = evidence.violations().map(|(id, _)| id).take(2).collect();
    let cited = match answer.cause() {
        Some(cause) => cause.supports.clone(),
        None => answer.hypotheses.iter().flat_map(|h| h.supports.iter().copied().take(1)).collect(),
    };
    for id in cited {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let mut lines: Vec<String> =
        ids.iter().take(ROWS).filter_map(|id| evidence.row(*id)).map(|r| format!("  {}", row(r))).collect();
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
pub fn row(row: &Row) -> String {
    let id = row.id;
    match &row.fact {
        Fact::Violation(v) => format!(
            "[{id}] {} broke {}: {} where {} is in order, at {} s",
            v.entity,
            v.invariant,
            figure(v.observed),
            figure(v.bound),
            rounded(v.t)
        ),
        Fact::Change(c) => format!(
            "[{id}] {} {}: {}, onset {} to {} s",
            c.entity,
            c.signal,
            moved(c),
            rounded(c.earliest()),
            rounded(c.onset)
        ),
        Fact::Steady(s) => {
            format!("[{id}] {} {}: steady at {}", s.entity, s.signal, with_unit(s.median, &s.unit))
        }
        Fact::Gap(g) => format!(
            "[{id}] {} {}: {} from {} s to {} s",
            g.entity,
            g.signal,
            g.why,
            rounded(g.from),
            rounded(g.to)
        ),
    }
}

/// Before and after. What moves anyway has no level to be compared with, only where it was going.
fn moved(change: &Change) -> String {
    let before = with_unit(change.before.median, &change.unit);
    let after = with_unit(change.extreme(), &change.unit);
    match change.before.slope {
        None => format!("{before} → {after}"),
        Some(_) => format!("{after} instead of {before}"),
    }
}

fn alternatives(answer: &Validated) -> Vec<String> {
    let others: Vec<&Hypothesis> =
        answer.hypotheses.iter().filter(|h| h.status != Status::Supported).collect();
    if others.is_empty() {
        return Vec::new();
    }
    let heading = if answer.cause().is_some() { "alternatives:" } else { "candidates:" };
    let mut lines = vec![heading.to_owned()];
    lines.extend(others.into_iter().map(|h| {
        let against: Vec<String> = h.against.iter().map(|id| format!("[{id}]")).collect();
        let standing = match h.status {
            Status::Refuted => format!("refuted by {}", against.join(" ")),
            Status::Open | Status::Supported if against.is_empty() => "open".to_owned(),
            Status::Open | Status::Supported => format!("open, against it {}", against.join(" ")),
        };
        format!("  {}, {} ({:.2}): {standing}", h.entity, h.mechanism, h.confidence)
    }));
    lines
}

/// Reversibility and risk are the catalogue's, whatever the engine says.
fn action(evidence: &Evidence, remedy: &Remedy) -> Vec<String> {
    let Some(action) = evidence.actions.iter().find(|a| a.id == remedy.id) else { return Vec::new() };
    let params: Vec<String> = remedy.params.iter().map(|(name, value)| format!("{name} {value}")).collect();
    let params = if params.is_empty() { String::new() } else { format!(" ({})", params.join(", ")) };
    let reversible = if action.reversible { "reversible" } else { "cannot be undone" };
    let mut lines = vec![format!("action: {}{params}, {reversible}, {} risk", action.label, action.risk)];
    let predicted: Vec<String> = remedy.predict.iter().map(prediction).collect();
    if !predicted.is_empty() {
        lines.push(format!("  predicted: {}", predicted.join("; ")));
    }
    lines
}

/// A prediction as a phrase.
pub fn prediction(p: &Prediction) -> String {
    let what = match p.expect {
        Expect::Falls => "falls",
        Expect::Rises => "rises",
        Expect::Clears => "holds again",
    };
    match p.to {
        Some(to) => format!("{} {} {what} to {}", p.entity, p.signal, figure(to)),
        None => format!("{} {} {what}", p.entity, p.signal),
    }
}

fn cost(answer: &Validated) -> String {
    let cost = &answer.cost;
    if cost.tokens_in + cost.tokens_out == 0 {
        format!("took {:.1} ms", cost.ms)
    } else {
        format!("took {:.1} ms, {} tokens in, {} tokens out", cost.ms, cost.tokens_in, cost.tokens_out)
    }
}
