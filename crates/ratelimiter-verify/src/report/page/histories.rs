//! The page of a run: the verdict, and each history with its drawing, the worst first.

use maud::{Markup, html};
use ratelimiter_api::{Operation, Outcome};
use ratelimiter_invariants::{Contract, ContractKind, History, HistoryChecker};

use super::drawing::{Drawing, LimitCurve, ShadedTime, range};
use super::parts::{latencies, legend, listed};
use super::{MOST_BYTES, MOST_LABELLED, RunFacts, about, class, shell, symbol};
use crate::report::named;
use crate::report::screen::{headlines, hypothesis, notes, word};
use crate::report::summary::capitalized;
use crate::{KeyJudgement, RunStatus, RunVerdict};

/// Histories of one status that are open at first.
const OPEN: usize = 2;
/// Rows of a list: records of others may have a million keys.
const ROWS: usize = 500;

/// The verdict as one page. `operations` gives the checks of the judgement at a place; one
/// without any has no drawing.
pub fn page(
    verdict: &RunVerdict,
    operations: impl Fn(usize) -> Vec<Operation>,
    checker: &HistoryChecker,
    facts: RunFacts<'_>,
) -> String {
    let lines = [verdict.doubts.clone(), headlines(verdict)].concat();
    let named = named(&verdict.judged);
    let shown = &named[..named.len().min(ROWS)];
    let mut size = 0;
    let mut group = |status: RunStatus| {
        let of_status = shown.iter().filter(|one| one.2.status == status);
        let of_status = Vec::from_iter(of_status);
        let folded = matches!(status, RunStatus::Passed | RunStatus::NotExercised);
        let each = of_status.iter().enumerate().map(|(n, (name, place, one))| {
            let drawn = size <= MOST_BYTES;
            let operations = if drawn {
                operations(*place)
            } else {
                Vec::new()
            };
            let open = !folded && n < OPEN;
            let markup = history(name, one, &operations, checker, size, open);
            size += markup.0.len();
            markup
        });
        let each = html! { @for one in each { (one) } };
        html! {
            @if folded && !of_status.is_empty() {
                details.(class(status)) {
                    summary { (symbol(status)) (of_status.len()) " " (spoken(status)) }
                    (each)
                }
            } @else {
                (each)
            }
        }
    };
    let status = capitalized(word(verdict.status));
    let (sentence, lines) = match lines.iter().position(|line| line.starts_with(&status)) {
        Some(at) => (lines[at].clone(), [&lines[..at], &lines[at + 1..]].concat()),
        None => (format!("{status}."), lines),
    };
    let title = format!("{}: {}", spoken(verdict.status), checker.promise().first());
    let content = html! {
        h1 { (symbol(verdict.status)) (sentence) }
        @for line in &lines { p { (line) } }
        @for line in hypothesis(verdict).iter().flat_map(|lines| lines.lines()) {
            p { (line) }
        }
        h2 { "The promise" }
        ul {
            @for limit in checker.promise().limits() {
                li { code { (limit) } ": " (limit.sentence()) }
            }
        }
        p { small {
            "Every check is one line of history.jsonl: the time of its request, the time of its "
            "answer, the outcome. A history is all checks on one key, or of one file. The limiter "
            "decided each somewhere between the two times; a verdict holds wherever that was."
        } }
        (facts.markup())
        h2 { "Histories" }
        p { small { (explained(verdict, checker)) } }
        (legend(verdict.judged.iter().any(|one| one.fault.is_some()), false))
        @for status in [
            RunStatus::Violated,
            RunStatus::Undecided,
            RunStatus::Passed,
            RunStatus::NotExercised,
        ] { (group(status)) }
        @if named.len() > ROWS {
            p { (named.len() - ROWS) " more histories, none of them worse, are in verdict.json." }
        }
        @if !verdict.not_played.is_empty() {
            h2 { "Not played" }
            ul {
                @for skipped in &verdict.not_played {
                    li { b { (skipped.phase) } ": " (skipped.reason) }
                }
            }
        }
    };
    shell(&title, &content)
}

fn spoken(status: RunStatus) -> String {
    word(status).to_lowercase()
}

/// One history: its numbers, its findings, and the drawing unless the page is large already.
fn history(
    name: &str,
    one: &KeyJudgement,
    operations: &[Operation],
    checker: &HistoryChecker,
    size: usize,
    open: bool,
) -> Markup {
    let (tally, report) = (one.report.operations, &one.report);
    let undecided = tally.failed + tally.unknown;
    html! {
        details.(class(one.status)) open[open] {
            summary {
                (symbol(one.status)) b { (name) } " "
                small {
                    (one.peaks()) " of " (report.permitted) " " (extent(report.contract.kind()))
                    "; " (tally.allowed) " allowed, " (tally.denied) " denied"
                    @if undecided > 0 { ", " (undecided) " without decision" }
                    "; " (spoken(one.status))
                }
            }
            @if let Some(phase) = &one.phase { p { small { (about(phase)) "." } } }
            ul { @for note in notes(one) { li { (note) } } }
            @if operations.is_empty() {
                p { small {
                    "Not drawn here: history.jsonl has its checks, on the key " (one.key) "."
                } }
            } @else {
                (drawing(one, operations, checker, size < MOST_LABELLED))
                (latencies(operations))
            }
            @if let Some(witness) = report.verdict.witness() { (listed(witness)) }
        }
    }
}

fn drawing(
    one: &KeyJudgement,
    operations: &[Operation],
    checker: &HistoryChecker,
    labelled: bool,
) -> Markup {
    let history = History::try_from(operations).unwrap_or_default();
    let curves = one.report.by_limit().map(|report| LimitCurve {
        contract: &report.contract,
        permitted: report.permitted,
        over_time: checker.limit_use(&report.contract, &history),
    });
    let mut shaded = Vec::new();
    if let Some(band) = one.fault {
        shaded.push(ShadedTime {
            class: "asked",
            start: band.start,
            end: band.end,
        });
        let slow = band.effect.slow();
        let felt = operations.iter().filter(|op| {
            let decided = matches!(op.outcome, Outcome::Allowed | Outcome::Denied);
            op.complete > band.start && (!decided || op.complete - op.invoke > slow)
        });
        if let Some(start) = felt.clone().map(|op| op.invoke).min() {
            shaded.push(ShadedTime {
                class: "felt",
                start: start.max(band.start),
                end: felt.map(|op| op.complete).max(),
            });
        }
    }
    Drawing {
        operations,
        report: &one.report,
        shaded,
        curves: curves.collect(),
        counts: Vec::new(),
        labelled,
    }
    .markup()
}

/// The peak of a limit, named by its form.
fn extent(kind: ContractKind) -> &'static str {
    match kind {
        ContractKind::Sliding | ContractKind::Fixed | ContractKind::Aligned => "in one window",
        ContractKind::TokenBucket => "tokens",
        ContractKind::TwoPeriod => "by the estimate",
        ContractKind::Paced => "released at once",
        ContractKind::InFlight => "in flight at once",
    }
}

/// The words of the list.
fn explained(verdict: &RunVerdict, checker: &HistoryChecker) -> String {
    let limit = verdict
        .judged
        .first()
        .map_or(10, |one| one.report.permitted);
    let has_edges = |limit: &Contract| {
        let kind = limit.kind();
        matches!(
            kind,
            ContractKind::Fixed | ContractKind::Aligned | ContractKind::TwoPeriod
        )
    };
    let edges = if checker.promise().limits().iter().any(has_edges) {
        " The first number supposes the edges of windows that suit the limiter best, since these \
         are not known."
    } else {
        ""
    };
    format!(
        "The worst come first. \"{limit} of {limit}\" is the most that counted at once, and the \
         limit; \"{}\" means surely the first number and possibly the second, since each check was \
         decided somewhere between its request and its answer.{edges} \"Without decision\" are \
         checks that failed (refused for another reason than quota) or had no answer in time.",
        range(limit, limit + 1),
    )
}
