//! The part of a limit that recorded times leave open.
//!
//! A limiter that admits at the very instant at which quota returns is never proved right to the
//! last instant: each check takes a while, and the decision may lie anywhere in it.

use std::time::Duration;

use ratelimiter_api::{Outcome, millis};
use ratelimiter_invariants::{Contract, ContractKind, Doubt, History, Report, Verdict};
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

impl RunJudge {
    /// The part of the limit that an open verdict leaves open, where a pass may do so; else the
    /// reason, with advice.
    pub(crate) fn resolve(&self, history: &History, report: &Report) -> Result<Resolution, String> {
        let longer = match self.resolution(history, report) {
            Ok(resolution) => return Ok(resolution),
            Err(longer) => longer,
        };
        if let Some(within) = self.decides_within {
            let sooner = decided_within(history, within);
            let judged = self.checker.check(&sooner);
            let more_denials = judged.unjustified_denials.len() > report.unjustified_denials.len();
            if more_denials || matches!(judged.verdict, Verdict::Violated(_)) {
                let within = humantime::format_duration(within);
                return Err(format!(
                    "{report}; --decides-within {within} does not fit the answers: with it, \
                     {judged}"
                ));
            }
            if let Ok(resolution) = self.resolution(&sooner, &judged) {
                return Ok(Resolution {
                    decides_within: Some(within),
                    ..resolution
                });
            }
        }
        let slowest = history.latencies().max().unwrap_or_default();
        // Checks that take longer than any part that is tried, as in a log of whole seconds.
        let coarse =
            slowest.as_secs_f64() * 1e3 / f64::from(LARGEST) / self.limit.window().as_secs_f64();
        let by_timing = matches!(
            report.verdict,
            Verdict::Unknown {
                why: Doubt::Timing,
                ..
            }
        );
        let longer = longer.or(Some(coarse).filter(|longer| by_timing && *longer > 1.0));
        let advice = longer.map(|longer| self.advice(longer, slowest));
        Err(format!("{report}{}", advice.unwrap_or_default()))
    }

    /// The part that the times of a history leave open; where it is too large, how many times
    /// longer the window must be for a pass, if that is known.
    fn resolution(&self, history: &History, report: &Report) -> Result<Resolution, Option<f64>> {
        let (possible, max) = match report.verdict {
            Verdict::Unknown { why, .. } if why != Doubt::Timing => return Err(None),
            Verdict::Unknown { possible, .. } => (possible, u64::from(self.limit.max())),
            _ => return Ok(Resolution::default()),
        };
        let window = self.limit.window();
        let part = |thousandths| window * thousandths / 1000;
        let shorter = PARTS.map(|thousandths| window - part(thousandths));
        let open = self.checker.first_kept(history, shorter).map(|n| PARTS[n]);
        let admissions =
            Some(possible - max).filter(|_| self.limit.kind() == ContractKind::TokenBucket);
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

    fn advice(&self, longer: f64, slowest: Duration) -> String {
        let window = self.limit.window();
        let missing = (longer * f64::from(LARGEST) / 10.0).min(100.0);
        let enough = Duration::from_secs(window.mul_f64(longer).as_secs() + 1);
        let limit = Contract::new(self.limit.max(), enough).map_or_else(
            |_| String::new(),
            |limit| limit.of_kind(self.limit.kind()).to_string(),
        );
        format!(
            "; the recorded times leave {missing:.0} % of the window open, and a pass 5 %: checks \
             took up to {:.1} ms. A longer window would do, such as --limit '{limit}', or \
             --decides-within, where the limiter decides soon after a request",
            millis::of(slowest)
        )
    }
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

    use Outcome::{Allowed, Denied};

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
            limit,
            checker: HistoryChecker::new(limit),
            fail_on: Vec::new(),
            decides_within: decides_within.map(Duration::from_millis),
            judges_claims: true,
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
