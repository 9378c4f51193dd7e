use std::cmp::Reverse;
use std::fmt::Write as _;
use std::time::Duration;

use clap::ValueEnum as _;
use outside_text::clean_line;
use ratelimiter_invariants::{Contract, Verdict};

use crate::run::advice;
use crate::{FindingKind, KeyJudgement, Phase, RunStatus, RunVerdict};

/// The verdict as a table for a terminal: doubts, one row a key, then the headlines.
pub fn table(verdict: &RunVerdict) -> String {
    // Each is one line, whatever the answers in it hold.
    let doubts = verdict.doubts.iter().map(|doubt| clean_line(doubt));
    let mut text = Vec::from_iter(doubts).join("\n");
    if !text.is_empty() {
        text.push_str("\n\n");
    }
    let of_file = verdict.judged.iter().all(|one| one.phase.is_none());
    let last = if of_file { "key" } else { "skew ms" };
    let _ = writeln!(
        text,
        "phase      verdict       allowed denied other  in one window  check ms p50/max  {last}"
    );
    for one in shown(verdict) {
        let tally = one.report.operations;
        let phase = one.phase_name();
        let window = format!("{} of {}", one.peaks(), one.report.contract.max());
        let latency = format!("{:.1}/{:.1}", ms(one.latency.0), ms(one.latency.1));
        let last = match one.skew {
            _ if of_file => one.key.to_string(),
            Some(skew) => format!("{:.2}", ms(skew)),
            None => String::new(),
        };
        let by = if one.barrier { " (barrier)" } else { "" };
        let _ = writeln!(
            text,
            "{phase:<10} {:<13} {:>7} {:>6} {:>5}  {window:<13}  {latency:<17} {last}{by}",
            word(one.status),
            tally.allowed,
            tally.denied,
            tally.failed + tally.unknown,
        );
        notes(one).into_iter().for_each(|note| {
            let _ = writeln!(text, "           {}", clean_line(&note));
        });
    }
    let more = verdict.judged.len().saturating_sub(ROWS);
    if more > 0 {
        let _ = writeln!(text, "... and {more} more, none of them worse");
    }
    let _ = write!(text, "\n{}", headlines(verdict).join("\n"));
    text
}

/// The hypothesis in two lines: the class with the facts for it, and what would decide.
pub fn hypothesis(verdict: &RunVerdict) -> Option<String> {
    let one = verdict.hypothesis.as_ref()?;
    let (class, facts) = (one.class, one.facts.join("; "));
    Some(format!(
        "Seems to be {class} ({DEFECTS}#{class}): {facts}.\nTo decide: {}.\n",
        one.decide
    ))
}

/// The document of the known defects.
const DEFECTS: &str = "docs/defects.md";

/// Rows of a table: records of others may have a million keys.
const ROWS: usize = 100;

/// The judgements in their order; of many the worst.
fn shown(verdict: &RunVerdict) -> Vec<&KeyJudgement> {
    let mut shown = Vec::from_iter(&verdict.judged);
    if shown.len() > ROWS {
        shown.sort_by_key(|one| Reverse(one.status));
        shown.truncate(ROWS);
    }
    shown
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

pub(super) fn word(status: RunStatus) -> &'static str {
    match status {
        RunStatus::NotExercised => "not exercised",
        RunStatus::Passed => "passed",
        RunStatus::Undecided => "undecided",
        RunStatus::Violated => "VIOLATED",
    }
}

/// A status as a sign that tells it without colour.
pub(super) fn symbol(status: RunStatus) -> &'static str {
    match status {
        RunStatus::NotExercised => "\u{2013}",
        RunStatus::Passed => "\u{2713}",
        RunStatus::Undecided => "?",
        RunStatus::Violated => "\u{2717}",
    }
}

pub(super) fn notes(one: &KeyJudgement) -> Vec<String> {
    let mut notes = Vec::new();
    let witnesses = one
        .report
        .by_limit()
        .filter_map(|limit| limit.verdict.witness());
    notes.extend(witnesses.map(|witness| format!("witness: {witness}")));
    if let Some(band) = one.fault {
        let end = band
            .end
            .map_or("on".to_owned(), |end| format!("{:.3} s", end.as_secs_f64()));
        notes.push(format!(
            "fault from {:.3} s to {end} of the run",
            band.start.as_secs_f64()
        ));
        notes.push(band.effect.text());
    }
    notes.extend(one.findings.iter().map(crate::RunFinding::text));
    if one.report.denied_seem_charged {
        notes.push(
            "denied checks seem to be charged: with them, every denial has a cause \
             (charge=all states that)"
                .to_owned(),
        );
    }
    if !one.resolution.time.is_zero() {
        notes.push(format!(
            "for windows shorter by {:.1} ms: the recorded times resolve no more",
            ms(one.resolution.time)
        ));
    }
    if one.resolution.admissions > 0 {
        notes.push(format!(
            "for a bucket larger by {}: the burst outlasted the return of tokens, and the recorded \
             times resolve no more",
            one.resolution.admissions
        ));
    }
    if let Some(within) = one.resolution.decides_within {
        notes.push(format!(
            "if every check is decided within {} of its request, as --decides-within states",
            humantime::format_duration(within)
        ));
    }
    if one.report.operations.failed > 0 {
        notes.push(format!(
            "{} failed: not admitted, but perhaps charged, so that they may justify a denial",
            one.report.operations.failed
        ));
    }
    notes.extend(one.reason.clone());
    notes.extend(
        one.details
            .iter()
            .map(|detail| format!("answers: {detail}{}", advice(detail))),
    );
    notes
}

/// The verdict in sentences: one for each kind of finding that violates, or one.
pub(super) fn headlines(verdict: &RunVerdict) -> Vec<String> {
    let Some(first) = verdict.judged.first() else {
        return vec!["Undecided: no check is recorded, and nothing is proved.".to_owned()];
    };
    let all = verdict.judged.len();
    let mut limits: Vec<String> = first
        .report
        .by_limit()
        .map(|one| in_words(&one.contract))
        .collect();
    limits.sort_unstable();
    let limit = limits.join(" and ");
    let (passed, undecided, idle) = (
        verdict.count(RunStatus::Passed),
        verdict.count(RunStatus::Undecided),
        verdict
            .judged
            .iter()
            .filter(|one| one.status == RunStatus::NotExercised && !one.is_remark)
            .count(),
    );
    let found = |kind: &FindingKind| {
        let found = verdict.found(*kind);
        let place = format!("in {found} of {all} histories");
        let text = match kind {
            FindingKind::Excess => format!("more than {limit} was admitted {place}."),
            FindingKind::Denials => {
                format!("stricter than {limit}: checks were denied without cause {place}.")
            }
            FindingKind::Waits => format!("calls waited longer than {limit} states {place}."),
            FindingKind::Hangs => format!("checks were not answered by their deadline {place}."),
            FindingKind::Claims => {
                format!("the limiter's statements contradict its answers {place}.")
            }
        };
        let fails = verdict.fail_on.contains(kind);
        let word = if fails {
            "Violated"
        } else {
            "Not failed on, as told"
        };
        (found > 0).then(|| format!("{word}: {text}"))
    };
    let partial = verdict.partial.iter();
    let mut lines: Vec<String> = partial
        .map(|cause| format!("Partial: {cause}. Checks are missing."))
        .collect();
    lines.extend(FindingKind::value_variants().iter().filter_map(found));
    let together = verdict.together.as_ref().map(|report| &report.verdict);
    if let (Some(Verdict::Violated(witness)), 0) = (together, verdict.found(FindingKind::Excess)) {
        lines.push(format!(
            "More than {limit} was admitted by any grid of windows for all keys together; {witness}"
        ));
    }
    if !verdict.fits_otherwise.is_empty() {
        let others = verdict.fits_otherwise.iter();
        let others = Vec::from_iter(others.map(|limit| format!("'{limit}'"))).join(" or ");
        lines.push(format!("All records fit --limit {others}: was that meant?"));
    }
    match verdict.status {
        RunStatus::Passed if lines.is_empty() => {
            let played = if verdict.not_played.is_empty() {
                ""
            } else {
                " what was played"
            };
            lines.push(format!(
                "Passed{played}: {limit} was kept in {passed} histories."
            ));
        }
        RunStatus::Passed | RunStatus::Violated => {}
        _ if verdict.partial.is_some() && undecided == 0 => lines.push(format!(
            "Undecided: {limit} was kept in {passed} histories up to then."
        )),
        RunStatus::Undecided | RunStatus::NotExercised => lines.push(format!(
            "Undecided: {limit} was kept in {passed} histories, and {undecided} prove neither."
        )),
    }
    let remarks = verdict.judged.iter().filter(|one| one.is_remark);
    let remarks = remarks.filter_map(|one| Some(format!("Remark: {}.", one.reason.as_ref()?)));
    lines.extend(remarks);
    if idle > 0 {
        lines.push(format!(
            "Not exercised: {idle} histories, which never reached the limit."
        ));
    }
    if !verdict.not_played.is_empty() {
        let phases: Vec<_> = verdict
            .not_played
            .iter()
            .map(|s| s.phase.to_string())
            .collect();
        lines.push(format!("Not played: {}.", phases.join(", ")));
    }
    if verdict.status == RunStatus::Passed {
        lines.extend(power(verdict));
    }
    lines
}

/// A limit with the name of its form.
fn in_words(limit: &Contract) -> String {
    let (text, form) = (limit.to_string(), limit.kind().to_string());
    if text.contains(&form) {
        text
    } else {
        format!("{text} {form}")
    }
}

/// How much the bursts of a pass could have missed.
fn power(verdict: &RunVerdict) -> Option<String> {
    let of_bursts =
        |one: &&KeyJudgement| one.phase == Some(Phase::Burst) && one.status == RunStatus::Passed;
    let bursts: Vec<_> = verdict.judged.iter().filter(of_bursts).collect();
    let skew = bursts.iter().filter_map(|one| one.skew).max()?;
    let missed = |share: f64| 100.0 * (1.0 - share).powf(bursts.len() as f64);
    Some(format!(
        "{} bursts, each sent within {:.2} ms: a race that shows in half of all bursts would have \
         been missed with a probability of {:.0} %, one that shows in a tenth with {:.0} %.",
        bursts.len(),
        ms(skew),
        missed(0.5),
        missed(0.1)
    ))
}

/// The first witness, drawn in lines of at most `width` columns; none where it is in doubt that a
/// limiter was asked.
pub fn timelines(verdict: &RunVerdict, width: usize) -> Option<String> {
    if !verdict.doubts.is_empty() {
        return None;
    }
    let mut judged = verdict.judged.iter().filter(|one| !one.is_remark);
    judged.find_map(|one| Some(one.report.verdict.witness()?.timeline(width).to_string()))
}
