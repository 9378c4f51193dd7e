//! Records in, verdict out. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use ratelimiter_api::{Key, Outcome, millis};
use ratelimiter_chaos::Release;
use ratelimiter_invariants::{
    Contract, Doubt, History, HistoryChecker, HistoryError, Report, Verdict, by_key,
};
use serde::Serialize;

use crate::fault::FaultBand;
use crate::{Phase, StepRecord, honesty};

/// The largest share of a window that may lie below the resolution of the recorded times in a pass:
/// 5 %.
const RESOLUTION: u32 = 20;

/// The judgement of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// No placement of the decisions breaks the contract, and nothing else is wrong.
    Passed,
    /// Neither is proved.
    Undecided,
    /// The contract is broken, or a finding stands.
    Violated,
}

/// A defect beside over-admission.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
pub enum RunFinding {
    /// Denials that no placement of the other checks justifies.
    UnderAdmission {
        /// Number of denials.
        denials: usize,
        /// The first of them, in words.
        first: String,
    },
    /// The quota did not return when it should have.
    NoReturn {
        /// The wait before the retry.
        #[serde(rename = "waited_ms", serialize_with = "millis::serialize")]
        waited: Duration,
        /// Whether the limiter had stated it.
        stated: bool,
    },
    /// A header field contradicts the answers.
    Dishonest {
        /// The contradiction.
        contradiction: String,
    },
}

impl RunFinding {
    /// The finding in words.
    pub fn text(&self) -> String {
        match self {
            Self::UnderAdmission { denials: 1, first } => {
                format!("1 denial without cause: {first}")
            }
            Self::UnderAdmission { denials, first } => {
                format!("{denials} denials without cause, the first: {first}")
            }
            Self::NoReturn { waited, stated } => {
                let by = if *stated {
                    "as the limiter stated"
                } else {
                    "longer than a window"
                };
                format!("denied again after {:.3} s, {by}", waited.as_secs_f64())
            }
            Self::Dishonest { contradiction } => contradiction.clone(),
        }
    }
}

/// One key of one step, judged.
#[derive(Clone, Debug, Serialize)]
pub struct KeyJudgement {
    /// The phase; `None` for a history from a file.
    pub phase: Option<Phase>,
    /// The key.
    pub key: Key,
    /// The judgement.
    pub status: RunStatus,
    /// The contract's report.
    pub report: Report,
    /// The other defects.
    pub findings: Vec<RunFinding>,
    /// The part of the window that the recorded times cannot resolve: the pass holds for windows
    /// shorter by this.
    #[serde(rename = "resolution_ms", serialize_with = "millis::serialize")]
    pub resolution: Duration,
    /// The reason of an undecided judgement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undecided: Option<String>,
    /// From the first request of a burst to its last.
    #[serde(
        rename = "start_skew_ms",
        skip_serializing_if = "Option::is_none",
        serialize_with = "millis::option::serialize"
    )]
    pub skew: Option<Duration>,
    /// The fault during the phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<FaultBand>,
    /// Whether the burst fell back to the barrier.
    pub barrier: bool,
    /// Median and largest latency of a check.
    #[serde(rename = "latency_ms", serialize_with = "pair")]
    pub latency: (Duration, Duration),
    /// Forms of the answers that were neither allowed nor denied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

fn pair<S: serde::Serializer>(value: &(Duration, Duration), to: S) -> Result<S::Ok, S::Error> {
    to.collect_map([
        ("median", millis::of(value.0)),
        ("max", millis::of(value.1)),
    ])
}

impl KeyJudgement {
    /// The name of the phase, or that this is a history from a file.
    pub fn phase_name(&self) -> String {
        self.phase
            .map_or("history".to_owned(), |phase| phase.to_string())
    }

    /// The largest cost admitted in one window: a number, or a range where it is in doubt.
    pub fn peaks(&self) -> String {
        let (definite, possible) = (self.report.definite_peak, self.report.possible_peak);
        if definite == possible {
            definite.to_string()
        } else {
            format!("{definite}..{possible}")
        }
    }
}

/// The verdict on a run.
#[derive(Clone, Debug, Serialize)]
pub struct RunVerdict {
    /// The worst of all judgements.
    pub status: RunStatus,
    /// One judgement a key, in the order of the run.
    pub judged: Vec<KeyJudgement>,
}

/// Judges all records of a run.
///
/// # Errors
/// When a history makes no sense.
pub fn judge(
    recorded: &[StepRecord],
    checker: HistoryChecker,
    contract: Contract,
) -> Result<RunVerdict, HistoryError> {
    let mut judged = Vec::new();
    for record in recorded {
        let mut histories = by_key(record.operations.iter().cloned())?;
        for key in &record.keys {
            let history = histories.remove(key).unwrap_or_default();
            let mut one = KeyJudgement {
                skew: record.skew.map(|(skew, _)| skew),
                barrier: matches!(record.skew, Some((_, Release::Barrier))),
                details: record.details.clone(),
                fault: record.fault,
                ..judge_key(Some(record.phase), key, &history, checker, contract)
            };
            if let Some(why) = record.fault.and_then(FaultBand::failure)
                && one.status == RunStatus::Passed
            {
                one.status = RunStatus::Undecided;
                one.undecided = Some(why);
            }
            judged.push(one);
        }
    }
    Ok(RunVerdict::of(judged))
}

/// Judges histories, one key after the other, and frees each as soon as it is judged.
pub fn judge_history(
    histories: BTreeMap<Key, History>,
    checker: HistoryChecker,
    contract: Contract,
) -> RunVerdict {
    let judged = histories
        .into_iter()
        .map(|(key, history)| judge_key(None, &key, &history, checker, contract))
        .collect();
    RunVerdict::of(judged)
}

impl RunVerdict {
    fn of(judged: Vec<KeyJudgement>) -> Self {
        // Without a single judgement nothing is proved.
        let status = judged
            .iter()
            .map(|one| one.status)
            .max()
            .unwrap_or(RunStatus::Undecided);
        Self { status, judged }
    }

    /// Judgements with this status.
    pub fn count(&self, status: RunStatus) -> usize {
        self.judged
            .iter()
            .filter(|one| one.status == status)
            .count()
    }
}

fn judge_key(
    phase: Option<Phase>,
    key: &Key,
    history: &History,
    checker: HistoryChecker,
    contract: Contract,
) -> KeyJudgement {
    let report = checker.check(history);
    let mut findings = Vec::new();
    if let Some(first) = report.unjustified_denials.first() {
        let denials = report.unjustified_denials.len();
        findings.push(RunFinding::UnderAdmission {
            denials,
            first: first.to_string(),
        });
    }
    if phase == Some(Phase::Return) {
        findings.extend(no_return(history));
    }
    let contradictions = honesty::contradictions(history, contract);
    findings.extend(
        contradictions
            .into_iter()
            .map(|contradiction| RunFinding::Dishonest { contradiction }),
    );
    let (mut resolution, mut undecided) = (Duration::ZERO, None);
    let answered = report.operations.allowed + report.operations.denied > 0;
    match &report.verdict {
        _ if !answered => undecided = Some("no check was answered allowed or denied".to_owned()),
        Verdict::Unknown { why, .. } => match resolved(history, checker, contract, *why) {
            Some(unresolved) => resolution = unresolved,
            None => undecided = Some(report.to_string()),
        },
        Verdict::Pass | Verdict::Violated(_) => {}
    }
    let status = match &report.verdict {
        Verdict::Violated(_) => RunStatus::Violated,
        _ if !findings.is_empty() => RunStatus::Violated,
        _ if undecided.is_some() => RunStatus::Undecided,
        _ => RunStatus::Passed,
    };
    KeyJudgement {
        phase,
        key: key.clone(),
        status,
        report,
        findings,
        resolution,
        undecided,
        skew: None,
        fault: None,
        barrier: false,
        latency: median_and_max(history.latencies().collect()),
        details: Vec::new(),
    }
}

fn median_and_max(mut latencies: Vec<Duration>) -> (Duration, Duration) {
    let max = latencies.iter().max().copied().unwrap_or_default();
    let middle = latencies.len() / 2;
    let median = if latencies.is_empty() {
        max
    } else {
        *latencies.select_nth_unstable(middle).1
    };
    (median, max)
}

/// The smallest part of the window, of a few, without which the contract is kept for certain. A
/// limiter that admits at the very instant at which quota returns is never proved right for the
/// whole window: each check takes a while, and the decision may lie anywhere in it.
fn resolved(
    history: &History,
    checker: HistoryChecker,
    contract: Contract,
    why: Doubt,
) -> Option<Duration> {
    if why == Doubt::Outcomes {
        return None;
    }
    let window = contract.window();
    let unresolved = [1000, 500, 200, 100, 50, RESOLUTION].map(|part| window / part);
    let kept = checker.first_kept(history, unresolved.map(|unresolved| window - unresolved))?;
    Some(unresolved[kept])
}

/// The retry at the end of [`Phase::Return`] must be allowed, if the check before it was denied.
fn no_return(history: &History) -> Option<RunFinding> {
    let mut latest = history.iter().rev();
    let (retry, denied) = (latest.next()?, latest.next()?);
    let denied_twice = denied.outcome == Outcome::Denied && retry.outcome == Outcome::Denied;
    let stated = denied.claims.retry_after.or(denied.claims.reset).is_some();
    let waited = retry.invoke.saturating_sub(denied.complete);
    denied_twice.then_some(RunFinding::NoReturn { waited, stated })
}
