//! The page of a scorecard: every fault against every property, and each trial with its drawing.

use std::cmp::Reverse;
use std::time::Duration;

use clap::ValueEnum;
use maud::{Markup, html};
use ratelimiter_api::Operation;
use ratelimiter_invariants::{History, HistoryChecker, Report};

use super::drawing::{Drawing, LimitCurve, ShadedTime};
use super::parts::{latencies, legend, listed};
use super::{MOST_BYTES, MOST_LABELLED, about, command_line, shell};
use crate::report::summary::{scorecard_lines, told, without_effect};
use crate::torture::{
    Cell, CellChange, CellFigure, CellProperty, CellVerdict, FaultTrial, Scorecard, TimeBand,
};

/// The scorecard as one page. `operations` are the checks of each trial, in its order; a trial
/// without any has no drawing. `changes` are those since an earlier scorecard.
pub fn scorecard_page(
    card: &Scorecard,
    operations: &[Vec<Operation>],
    checker: &HistoryChecker,
    changes: &[CellChange],
) -> String {
    let worst = card.worst();
    let (headline, lines) = scorecard_lines(card);
    let mut trials = Vec::from_iter(card.trials.iter().enumerate());
    trials.sort_by_key(|(_, trial)| Reverse(trial.worst()));
    let mut size = 0;
    let each = Vec::from_iter(trials.iter().map(|(n, one)| {
        let operations = operations.get(*n).map_or(&[][..], Vec::as_slice);
        let markup = trial(one, operations, checker, size);
        size += markup.0.len();
        markup
    }));
    let has_counts = card.trials.iter().any(|trial| !trial.counts.is_empty());
    let content = html! {
        h1 { (symbol(worst)) (headline) }
        @for line in lines { p { (line) } }
        h2 { "The promise" }
        ul {
            @for limit in checker.promise().limits() {
                li { code { (limit) } ": " (limit.sentence()) }
            }
            @if let Some(policy) = &card.policy { li { "without its store: " code { (policy) } } }
        }
        dl {
            dt { "system" } dd { (card.system) }
            dt { "store" } dd { (card.store.as_deref().unwrap_or("not known")) }
            dt { "date" } dd { (card.date) }
            dt { "made by" } dd { (card.tool) ", " (card.platform) ", seed " (card.seed) }
            dt { "repeat with" } dd { code { (command_line(&card.command)) } }
        }
        @if !changes.is_empty() {
            h2 { "Since the earlier scorecard" }
            ul {
                @for one in changes { li { (told(one)) } }
            }
        }
        h2 { "Every fault against every property" }
        (matrix(card))
        ul.legend {
            @for verdict in CellVerdict::value_variants() {
                li { (symbol(*verdict)) (verdict.as_str()) ": " small { (about(verdict)) } }
            }
        }
        ul { @for property in CellProperty::all() {
            li { b { (property.as_str()) } ": " small { (about(property)) } }
        } }
        h2 { "Each fault" }
        (legend(true, has_counts))
        @for one in &each { (one) }
    };
    shell(&headline, &content)
}

fn matrix(card: &Scorecard) -> Markup {
    html! {
        p.filter { label {
            input #only type="checkbox"; " only faults with a broken or undecided cell"
        } }
        table.matrix {
            tr {
                th scope="row" { "fault" }
                @for property in CellProperty::all() { th scope="col" { (property.as_str()) } }
            }
            @for trial in &card.trials {
                tr.calm[trial.worst() < CellVerdict::Undecided] {
                    th scope="row" { (trial.fault) }
                    @for property in CellProperty::all() {
                        @if let Some(cell) = trial.cell(*property) {
                            @let told = format!("{}: {}", cell.verdict.as_str(), cell.reason);
                            td.(class(cell.verdict)) {
                                a href={ "#" (anchor(&trial.fault)) } data-t=(told)
                                    aria-label={ (property.as_str()) " " (told) } {
                                    (symbol(cell.verdict))
                                }
                            }
                        } @else { td {} }
                    }
                }
            }
        }
    }
}

/// One fault: its cells, its effects, and the checks under it.
fn trial(
    trial: &FaultTrial,
    operations: &[Operation],
    checker: &HistoryChecker,
    size: usize,
) -> Markup {
    let worst = trial.worst();
    let first = operations.iter().map(|op| op.invoke).min();
    let span = |band: TimeBand| {
        let since = |time: Duration| time.saturating_sub(first.unwrap_or_default()).as_secs_f64();
        format!(
            "from {:.3} s to {:.3} s",
            since(band.start),
            since(band.end)
        )
    };
    let calm = worst < CellVerdict::Undecided;
    html! {
        details.(class(worst)).calm[calm] id=(anchor(&trial.fault)) {
            summary {
                (symbol(worst)) b { (trial.fault) } " "
                small { (trial.about) "; " (worst.as_str()) }
            }
            ul { @for cell in &trial.cells { (line(cell)) } }
            p {
                @if without_effect(trial) { "No effect of the fault was measured." }
                @else { "Effects: " (figures(&trial.effects)) "." }
                @if let (Some(asked), Some(felt)) = (trial.requested, trial.measured) {
                    " Asked for " (span(asked)) ", measured " (span(felt)) "."
                }
            }
            @if operations.is_empty() || size > MOST_BYTES {
                p { small { "The checks are not drawn here." } }
            } @else {
                (drawing(trial, operations, checker, size < MOST_LABELLED))
            }
            @if !trial.repeat.is_empty() {
                p { "Repeat with " code { (command_line(&trial.repeat)) } }
            }
            @if let (Some(path), Some(digest)) = (&trial.history, &trial.history_sha256) {
                p { small { (path) ", SHA-256 " (digest) } }
            }
        }
    }
}

fn line(cell: &Cell) -> Markup {
    html! {
        li {
            (symbol(cell.verdict)) b { (cell.property.as_str()) } " " (cell.verdict.as_str()) ": "
            (cell.reason)
            @if !cell.figures.is_empty() { " " small { "(" (figures(&cell.figures)) ")" } }
        }
    }
}

/// The checks of a trial, and the use of the limit by its fullest key.
fn drawing(
    trial: &FaultTrial,
    operations: &[Operation],
    checker: &HistoryChecker,
    labelled: bool,
) -> Markup {
    let (key, history, report) = fullest(operations, checker);
    let bands = [("asked", trial.requested), ("felt", trial.measured)];
    let shaded = bands.into_iter().filter_map(|(class, band)| {
        let band = band?;
        Some(ShadedTime {
            class,
            start: band.start,
            end: Some(band.end),
        })
    });
    let counts = trial.counts.iter().filter(|count| count.key == key);
    let counts = counts.filter_map(|count| Some((count.at, u64::try_from(count.count?).ok()?)));
    let drawing = Drawing {
        operations,
        report: &report,
        shaded: shaded.collect(),
        curves: report
            .by_limit()
            .map(|report| LimitCurve {
                contract: &report.contract,
                permitted: report.permitted,
                over_time: checker.limit_use(&report.contract, &history),
            })
            .collect(),
        counts: counts.collect(),
        labelled,
    };
    html! {
        (drawing.markup())
        p { small {
            "The lanes have all checks; the curve is that of the key that used most, " (key) "."
        } }
        (latencies(operations))
        @if let Some(witness) = report.verdict.witness() { (listed(witness)) }
    }
}

/// The key that used most of the limit, with its history and the report on it.
fn fullest(operations: &[Operation], checker: &HistoryChecker) -> (String, History, Report) {
    let mut keys = std::collections::BTreeMap::<String, Vec<Operation>>::new();
    for op in operations {
        let key = match checker.promise().is_by_key() {
            true => op.key.to_string(),
            false => "all keys".to_owned(),
        };
        keys.entry(key).or_default().push(op.clone());
    }
    let judged = keys.into_iter().map(|(key, operations)| {
        let history = History::try_from(&operations[..]).unwrap_or_default();
        let report = checker.check(&history);
        (key, history, report)
    });
    let use_of = |(_, _, report): &(String, History, Report)| {
        let violated = report.verdict.witness().is_some();
        (violated, report.definite_peak, report.possible_peak)
    };
    judged.max_by_key(use_of).unwrap_or_else(|| {
        let history = History::default();
        let report = checker.check(&history);
        (String::new(), history, report)
    })
}

fn symbol(verdict: CellVerdict) -> Markup {
    html! { span class={ "sym " (class(verdict)) } aria-hidden="true" { (verdict.symbol()) } }
}

fn class(verdict: CellVerdict) -> String {
    verdict.as_str().replace(' ', "-")
}

/// A name without signs that mean something in an address.
fn anchor(fault: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    format!("fault-{}", fault.chars().map(letter).collect::<String>())
}

fn number(figure: &CellFigure) -> String {
    let short = |value: f64| format!("{}", (value * 100.0).round() / 100.0);
    match figure.of {
        Some(of) => format!("{} of {}", short(figure.value), short(of)),
        None => short(figure.value),
    }
}

fn figures(figures: &[CellFigure]) -> String {
    let text = |figure: &CellFigure| format!("{} {}", figure.name, number(figure));
    Vec::from_iter(figures.iter().map(text)).join(", ")
}
