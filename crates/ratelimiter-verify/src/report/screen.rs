use std::fmt::Write as _;
use std::time::Duration;

use ratelimiter_invariants::Verdict as Contracted;

use crate::{Judged, Status, Verdict};

/// The verdict as a table for a terminal: one row a key, then one sentence.
pub fn table(verdict: &Verdict) -> String {
    let mut text = String::from(
        "phase      verdict    allowed denied other  in one window  check ms p50/max  skew ms\n",
    );
    for one in &verdict.judged {
        let report = &one.report;
        let tally = report.operations;
        let phase = one.phase.map_or("history", crate::Phase::as_str);
        let window = match report.definite_peak == report.possible_peak {
            true => format!("{} of {}", report.definite_peak, report.contract.max()),
            false => {
                format!(
                    "{}..{} of {}",
                    report.definite_peak,
                    report.possible_peak,
                    report.contract.max()
                )
            }
        };
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

pub(super) fn word(status: Status) -> &'static str {
    match status {
        Status::Passed => "passed",
        Status::Undecided => "undecided",
        Status::Violated => "VIOLATED",
    }
}

pub(super) fn notes(one: &Judged) -> Vec<String> {
    let mut notes = Vec::new();
    if let Contracted::Violated(witness) = &one.report.verdict {
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
    notes.extend(one.findings.iter().map(crate::Finding::text));
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

pub(super) fn sentence(verdict: &Verdict) -> String {
    let (passed, undecided, violated) = (
        verdict.count(Status::Passed),
        verdict.count(Status::Undecided),
        verdict.count(Status::Violated),
    );
    let all = verdict.judged.len();
    let contract = verdict
        .judged
        .first()
        .map(|one| one.report.contract.to_string())
        .unwrap_or_default();
    match verdict.status {
        _ if all == 0 => "Undecided: no check is recorded, and nothing is proved.".to_owned(),
        Status::Passed => format!("Passed: {contract} was kept in all {all} histories."),
        Status::Violated => {
            format!("Violated: {contract} was broken in {violated} of {all} histories.")
        }
        Status::Undecided => {
            format!(
                "Undecided: {contract} was kept in {passed} histories, and {undecided} prove \
                 neither."
            )
        }
    }
}

/// The first witness, drawn in lines of at most `width` columns.
pub fn timelines(verdict: &Verdict, width: usize) -> Option<String> {
    verdict
        .judged
        .iter()
        .find_map(|one| match &one.report.verdict {
            Contracted::Violated(witness) => Some(witness.timeline(width).to_string()),
            _ => None,
        })
}
