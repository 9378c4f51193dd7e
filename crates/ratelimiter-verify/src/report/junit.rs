use std::collections::BTreeMap;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use ratelimiter_invariants::Verdict;

use crate::{RunStatus, RunVerdict};

/// The verdict as JUnit XML, valid for `junit-10.xsd` of Jenkins' xUnit plugin: one test case a
/// key, and one a phase that was not played, with the same names in every run of one plan. A
/// violation is a failure with its witness; an undecided history is an error, since a skipped one
/// would read as green; a phase that was not played, or reached no limit, is skipped. A run that
/// ended early is an error of its own. The suite's output is the hypothesis, where there is one.
///
/// # Errors
/// When the report cannot be written as XML.
pub fn junit(verdict: &RunVerdict) -> Result<String, String> {
    let mut suite = TestSuite::new("ratelimiter-verify");
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut add = |phase: String, status: TestCaseStatus, took: Duration| {
        let place = places.entry(phase.clone()).or_default();
        *place += 1;
        let mut case = TestCase::new(format!("{phase} {place}"), status);
        case.set_classname(phase).set_time(took);
        suite.add_test_case(case);
    };
    for one in &verdict.judged {
        let mut status = match one.status {
            RunStatus::NotExercised => TestCaseStatus::skipped(),
            RunStatus::Passed => TestCaseStatus::success(),
            RunStatus::Undecided => TestCaseStatus::non_success(NonSuccessKind::Error),
            RunStatus::Violated => TestCaseStatus::non_success(NonSuccessKind::Failure),
        };
        if one.status != RunStatus::Passed {
            let mut lines: Vec<String> = one.findings.iter().map(crate::RunFinding::text).collect();
            lines.extend(one.reason.clone());
            if let Verdict::Violated(witness) = &one.report.verdict {
                lines.push(witness.to_string());
                lines.push(witness.timeline(100).to_string());
            }
            status.set_message(lines.first().cloned().unwrap_or_default());
            status.set_description(lines.join("\n"));
        }
        add(one.phase_name(), status, one.took);
    }
    if let Some(cause) = &verdict.partial {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_message(format!("partial: {cause}"));
        add("run".to_owned(), status, Duration::ZERO);
    }
    for skipped in &verdict.not_played {
        let mut status = TestCaseStatus::skipped();
        status.set_message(skipped.reason.clone());
        add(skipped.phase.to_string(), status, Duration::ZERO);
    }
    if let Some(lines) = super::hypothesis(verdict) {
        suite.set_system_out(lines);
    }
    let took = verdict.judged.iter().map(|one| one.took).sum();
    suite.set_time(took);
    let mut report = Report::new("ratelimiter-verify");
    report.set_time(took).add_test_suite(suite);
    let text = report.to_string().map_err(|e| e.to_string())?;
    // The name of this attribute in the schema; the first place is that of the suite.
    Ok(text.replacen(" disabled=", " skipped=", 1))
}
