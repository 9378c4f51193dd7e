use std::fmt::Write as _;
use std::time::Duration;

use ratelimiter_invariants::Verdict;

use crate::{KeyJudgement, RunStatus, RunVerdict};

/// The verdict as a table for a terminal: one row a key, then one sentence.
pub fn table(verdict: &RunVerdict) -> String {
    let mut text = String::from(
        "phase      verdict    allowed denied other  in one window  check ms p50/max  skew ms\n",
    );
    for one in &verdict.judged {
        let tally = one.report.operations;
        let phase = one.phase_name();
        let window = format!("{} of {}", one.peaks(), one.report.contract.max());
        let latency = format!("{:.1}/{:.1}", ms(one.latency.0), ms(one.latency.1));
        let skew = one
            .skew
            .map_or(String::new(), |skew| format!("{:.2}", ms(skew)));
        let by = if one.barrier { " (barrier)" } else { "" };
        let _ = writeln!(
            text,
            "{phase:<10} {:<10} {:>7} {:>6} {:>5}  {window:<13}  {latency:<17} {skew}{by}",
            word(one.status),
            tally.allowed,
            tally.denied,
            tally.failed + tally.unknown,
        );
        notes(one).into_iter().for_each(|note| {
            let _ = writeln!(text, "           {note}");
        });
    }
    let _ = write!(text, "\n{}", sentence(verdict));
    text
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

pub(super) fn word(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Passed => "passed",
        RunStatus::Undecided => "undecided",
        RunStatus::Violated => "VIOLATED",
    }
}

pub(super) fn notes(one: &KeyJudgement) -> Vec<String> {
    let mut notes = Vec::new();
    if let Verdict::Violated(witness) = &one.report.verdict {
        notes.push(format!("witness: {witness}"));
    }
    if let Some(band) = one.fault {
        let end = band
            .end
            .map_or("on".to_owned(), |end| format!("{:.3} s", end.as_secs_f64()));
        notes.push(format!(
            "fault from {:.3} s to {end} of the run",
            band.start.as_secs_f64()
        ));
    }
    notes.extend(one.findings.iter().map(crate::RunFinding::text));
    if !one.resolution.is_zero() {
        notes.push(format!(
            "for windows shorter by {:.1} ms: the recorded times resolve no more",
            ms(one.resolution)
        ));
    }
    notes.extend(one.undecided.clone());
    notes.extend(
        one.details
            .iter()
            .map(|detail| format!("answers: {detail}")),
    );
    notes
}

pub(super) fn sentence(verdict: &RunVerdict) -> String {
    let (passed, undecided, violated) = (
        verdict.count(RunStatus::Passed),
        verdict.count(RunStatus::Undecided),
        verdict.count(RunStatus::Violated),
    );
    let all = verdict.judged.len();
    let contract = verdict
        .judged
        .first()
        .map(|one| one.report.contract.to_string())
        .unwrap_or_default();
    match verdict.status {
        _ if all == 0 => "Undecided: no check is recorded, and nothing is proved.".to_owned(),
        RunStatus::Passed => format!("Passed: {contract} was kept in all {all} histories."),
        RunStatus::Violated => {
            format!("Violated: {contract} was broken in {violated} of {all} histories.")
        }
        RunStatus::Undecided => {
            format!(
                "Undecided: {contract} was kept in {passed} histories, and {undecided} prove \
                 neither."
            )
        }
    }
}

/// The first witness, drawn in lines of at most `width` columns.
pub fn timelines(verdict: &RunVerdict, width: usize) -> Option<String> {
    verdict
        .judged
        .iter()
        .find_map(|one| match &one.report.verdict {
            Verdict::Violated(witness) => Some(witness.timeline(width).to_string()),
            _ => None,
        })
}
