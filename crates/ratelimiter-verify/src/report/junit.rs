use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use ratelimiter_invariants::Verdict;

use crate::{RunStatus, RunVerdict};

/// The verdict as JUnit XML: one test case a key. A violation is a failure with its witness; an
/// undecided history is an error, since a skipped one would read as green.
///
/// # Errors
/// When the report cannot be written as XML.
pub fn junit(verdict: &RunVerdict) -> Result<String, String> {
    let mut suite = TestSuite::new("ratelimiter-verify");
    for one in &verdict.judged {
        let phase = one.phase_name();
        let mut status = match one.status {
            RunStatus::Passed => TestCaseStatus::success(),
            RunStatus::Undecided => TestCaseStatus::non_success(NonSuccessKind::Error),
            RunStatus::Violated => TestCaseStatus::non_success(NonSuccessKind::Failure),
        };
        if one.status != RunStatus::Passed {
            let mut lines: Vec<String> = one.findings.iter().map(crate::RunFinding::text).collect();
            lines.extend(one.undecided.clone());
            if let Verdict::Violated(witness) = &one.report.verdict {
                lines.push(witness.to_string());
                lines.push(witness.timeline(100).to_string());
            }
            status.set_message(lines.first().cloned().unwrap_or_default());
            status.set_description(lines.join("\n"));
        }
        let mut case = TestCase::new(format!("{phase} {}", one.key), status);
        case.set_classname(phase);
        suite.add_test_case(case);
    }
    let mut report = Report::new("ratelimiter-verify");
    report.add_test_suite(suite);
    report.to_string().map_err(|e| e.to_string())
}
