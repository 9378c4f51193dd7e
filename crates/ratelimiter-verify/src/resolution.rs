//! The part of a limit that recorded times leave open.
//!
//! A limiter that admits at the very instant at which quota returns is never proved right to the
//! last instant: each check takes a while, and the decision may lie anywhere in it.

use std::time::Duration;

use ratelimiter_api::{Outcome, millis};
use ratelimiter_invariants::{Charging, Contract, ContractKind, Doubt, History, Report, Verdict};
use serde::Serialize;

use crate::RunJudge;

/// The part of a limit that a pass leaves open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Resolution {
    /// The pass holds for windows shorter by this, at most 5 %.
    #[serde(rename = "resolution_ms", serialize_with = "millis::serialize")]
    pub time: Duration,
    /// The pass holds for a bucket larger by this, at most 10 %.
    #[serde(rename = "resolution_admissions")]
    pub admissions: u64,
    /// The operator's statement on which the pass rests.
    #[serde(
        rename = "decides_within_ms",
        skip_serializing_if = "Option::is_none",
        serialize_with = "millis::option::serialize"
    )]
    pub decides_within: Option<Duration>,
}

/// Parts of a window that are tried, in thousandths. A pass may leave open the first ones, up to
/// 5 %; the others say how much is missing.
const PARTS: [u32; 12] = [1, 2, 5, 10, 20, LARGEST, 100, 200, 300, 500, 700, 900];
const LARGEST: u32 = 50;

/// A pass may leave open one admission in so many.
const ADMISSIONS: u64 = 10;

impl Resolution {
    /// The part that either leaves open.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            time: self.time.max(other.time),
            admissions: self.admissions.max(other.admissions),
            decides_within: self.decides_within.or(other.decides_within),
        }
    }
}

impl RunJudge {
    /// The part of a limit that an open verdict on it leaves open, where a pass may do so; else the
    /// reason, with advice.
    pub(crate) fn resolve(&self, history: &History, report: &Report) -> Result<Resolution, String> {
        if !matches!(report.verdict, Verdict::Unknown { .. }) {
            return Ok(Resolution::default());
        }
        let longer = match self.resolution(history, report) {
            Ok(resolution) => return Ok(resolution),
            Err(longer) => longer,
        };
        let limit = &report.contract;
        let at_once = matches!(limit.charging(), Charging::Before | Charging::All)
            && !matches!(limit.kind(), ContractKind::Paced | ContractKind::InFlight);
        if let Some(within) = self.decides_within.filter(|_| at_once) {
            let sooner = decided_within(history, within);
            let whole = self.checker.check(&sooner);
            let judged = whole
                .by_limit()
                .find(|limit| limit.contract == report.contract);
            let judged = judged.unwrap_or(&whole);
            let more_denials = judged.unjustified_denials.len() > report.unjustified_denials.len();
            if more_denials || matches!(judged.verdict, Verdict::Violated(_)) {
                let within = humantime::format_duration(within);
                return Err(format!(
                    "{report}; --decides-within {within} does not fit the answers: with it, \
                     {judged}"
                ));
            }
            if let Ok(resolution) = self.resolution(&sooner, judged) {
                return Ok(Resolution {
                    decides_within: Some(within),
                    ..resolution
                });
            }
        }
        let slowest = history.latencies().max().unwrap_or_default();
        // Checks that take longer than any part that is tried, as in a log of whole seconds.
        let window = limit.window().as_secs_f64();
        let coarse = slowest.as_secs_f64() * 1e3 / f64::from(LARGEST) / window;
        let by_timing = matches!(
            report.verdict,
            Verdict::Unknown {
                why: Doubt::Timing,
                ..
            }
        );
        let coarse = Some(coarse).filter(|longer| by_timing && longer.is_finite() && *longer > 1.0);
        let advice = match (&report.verdict, longer.or(coarse)) {
            (_, Some(longer)) => longer_window(limit, longer, slowest),
            (Verdict::Unknown { why, .. }, None) => repetition(limit, *why),
            _ => String::new(),
        };
        Err(format!("{report}{advice}"))
    }

    /// The part that the times of a history leave open; where it is too large, how many times
    /// longer the window must be for a pass, if that is known.
    fn resolution(&self, history: &History, report: &Report) -> Result<Resolution, Option<f64>> {
        let (possible, max) = match report.verdict {
            Verdict::Unknown { why, .. } if why != Doubt::Timing => return Err(None),
            Verdict::Unknown { possible, .. } => (possible, report.permitted),
            _ => return Ok(Resolution::default()),
        };
        let limit = &report.contract;
        let window = limit.window();
        let part = |thousandths| window * thousandths / 1000;
        let shorter = PARTS.map(|thousandths| window - part(thousandths));
        let open = self
            .checker
            .first_kept(history, limit, shorter)
            .map(|n| PARTS[n]);
        let bucket = matches!(
            limit.kind(),
            ContractKind::TokenBucket | ContractKind::Paced
        );
        let admissions = bucket.then(|| possible.saturating_sub(max));
        match (open, admissions) {
            (Some(open @ ..=LARGEST), _) => Ok(Resolution {
                time: part(open),
                ..Resolution::default()
            }),
            (_, Some(admissions)) if admissions * ADMISSIONS <= max => Ok(Resolution {
                admissions,
                ..Resolution::default()
            }),
            (Some(open), _) => Err(Some(f64::from(open) / f64::from(LARGEST))),
            (None, Some(admissions)) => Err(Some((admissions * ADMISSIONS) as f64 / max as f64)),
            (None, None) => Err(None),
        }
    }
}

/// The advice where no longer window would tell.
fn repetition(limit: &Contract, why: Doubt) -> String {
    let text = match (why, limit.kind()) {
        (Doubt::Outcomes, _) => {
            "checks without an answer may have been admitted: --deadline gives them more time, and \
             --allowed, --denied and --failed name statuses"
        }
        (Doubt::Timing, ContractKind::Fixed | ContractKind::Aligned | ContractKind::TwoPeriod) => {
            "the edge of a window may lie among these checks: --for 5m repeats them, and an edge \
             meets few bursts where a leak meets most"
        }
        (Doubt::Timing, _) => {
            "too many checks overlap: --for 5m repeats them, and --decides-within states how soon \
             each is decided"
        }
    };
    format!("; {text}")
}

fn longer_window(limit: &Contract, longer: f64, slowest: Duration) -> String {
    let missing = (longer * f64::from(LARGEST) / 10.0).min(100.0);
    let enough = Duration::from_secs(limit.window().mul_f64(longer).as_secs() + 1);
    let limit = limit.clone().in_window(enough);
    format!(
        "; the recorded times leave {missing:.0} % of the window open, and a pass 5 %: checks \
         took up to {:.1} ms. A longer window would do, such as --limit '{limit}', or \
         --decides-within, where the limiter decides soon after a request",
        millis::of(slowest)
    )
}

/// The history as it is if every answered check was decided so soon after its request.
fn decided_within(history: &History, within: Duration) -> History {
    let mut sooner = History::default();
    for mut op in history.iter() {
        if op.outcome != Outcome::Unknown {
            op.complete = op.complete.min(op.invoke + within);
        }
        sooner
            .push(op)
            .expect("earlier answers make no other history");
    }
    sooner
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratelimiter_api::{NodeId, Operation};
    use ratelimiter_invariants::HistoryChecker;

    use Outcome::{Allowed, Denied, Unknown};

    /// Checks as request, answer and outcome, against one admission a second.
    fn resolved(
        checks: &[(u64, u64, Outcome)],
        decides_within: Option<u64>,
    ) -> Result<Resolution, String> {
        let mut history = History::default();
        for &(from, to, outcome) in checks {
            let [invoke, complete] = [from, to].map(Duration::from_millis);
            let (key, node) = ("k".parse().unwrap(), NodeId::new("n"));
            history
                .push(Operation::new(key, node, invoke, complete, outcome))
                .unwrap();
        }
        let limit = Contract::new(1, Duration::from_secs(1)).unwrap();
        let judge = RunJudge {
            checker: HistoryChecker::new(limit),
            fail_on: Vec::new(),
            decides_within: decides_within.map(Duration::from_millis),
            fresh: true,
            judges_claims: true,
            deadline: None,
        };
        judge.resolve(&history, &judge.checker.check(&history))
    }

    const SLOW: [(u64, u64, Outcome); 2] = [(0, 100, Allowed), (1000, 1100, Allowed)];

    #[test]
    fn slow_answers_name_the_missing_share_and_a_longer_window() {
        let reason = resolved(&SLOW, None).unwrap_err();
        assert!(reason.contains("leave 10 % of the window open"), "{reason}");
        assert!(reason.contains("--limit '1/3s'"), "{reason}");
    }

    #[test]
    fn every_doubt_comes_with_advice() {
        let no_answer = [(0, 1, Allowed), (10, 11, Unknown)];
        let reason = resolved(&no_answer, None).unwrap_err();
        assert!(reason.contains("; checks without an answer"), "{reason}");
        // Two admissions that overlap for longer than a window.
        let overlapping = [(0, 5_000, Allowed), (1, 5_001, Allowed)];
        let reason = resolved(&overlapping, None).unwrap_err();
        assert!(reason.contains("--limit '1/101s'"), "{reason}");
    }

    #[test]
    fn decision_time_of_the_operator_resolves_slow_answers() {
        let resolution = resolved(&SLOW, Some(10)).unwrap();
        assert_eq!(resolution.time, Duration::from_millis(10));
        assert_eq!(resolution.decides_within, Some(Duration::from_millis(10)));
    }

    #[test]
    fn later_denial_refutes_the_decision_time() {
        let checks = [
            (0, 600, Allowed),
            (1200, 1201, Denied),
            (1300, 1400, Allowed),
        ];
        let reason = resolved(&checks, Some(10)).unwrap_err();
        assert!(
            reason.contains("--decides-within 10ms does not fit"),
            "{reason}"
        );
    }
}
