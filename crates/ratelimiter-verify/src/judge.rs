//! Records in, verdict out. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use ratelimiter_api::{Key, Outcome, millis};
use ratelimiter_chaos::Release;
use ratelimiter_invariants::{
    Contract, ContractKind, History, HistoryChecker, HistoryError, Report, Verdict, by_key,
};
use serde::Serialize;

use crate::fault::FaultBand;
use crate::resolution::Resolution;
use crate::{FindingKind, Phase, Plan, RunFinding, SkippedPhase, StepRecord, honesty};

/// Different answers that a doubt shows.
const SEEN: usize = 4;

/// The means of a judgement.
#[derive(Clone, Debug)]
pub struct RunJudge {
    /// The limit that the limiter promises.
    pub limit: Contract,
    /// The checker of that limit.
    pub checker: HistoryChecker,
    /// The kinds of findings that violate; others are only reported.
    pub fail_on: Vec<FindingKind>,
    /// The time from a request to its decision, as the operator states it.
    pub decides_within: Option<Duration>,
    /// Whether the limiter's statements are compared with its answers.
    pub judges_claims: bool,
}

/// The judgement of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// The limit was never reached, so that any limiter would pass.
    NotExercised,
    /// No placement of the decisions breaks the contract, and nothing else is wrong.
    Passed,
    /// Neither is proved.
    Undecided,
    /// The contract is broken, or a finding stands.
    Violated,
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
    /// The part of the limit that the recorded times do not resolve.
    #[serde(flatten)]
    pub resolution: Resolution,
    /// The reason of a judgement that is neither a pass nor a violation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// From the first request to the last answer.
    #[serde(rename = "took_ms", serialize_with = "millis::serialize")]
    pub took: Duration,
    /// Whether a check was denied before any other can have been admitted.
    #[serde(skip)]
    begins_denied: bool,
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

    /// The kinds of its findings.
    pub fn kinds(&self) -> BTreeSet<FindingKind> {
        let excess = matches!(self.report.verdict, Verdict::Violated(_));
        let excess = excess.then_some(FindingKind::Excess);
        excess
            .into_iter()
            .chain(self.findings.iter().map(RunFinding::kind))
            .collect()
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
    /// Reasons to doubt that a limiter was asked, to be read before all else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
    /// The kinds of findings that violate.
    pub fail_on: Vec<FindingKind>,
    /// One judgement a key, in the order of the run.
    pub judged: Vec<KeyJudgement>,
    /// The report on all keys by one grid of windows, where aligned windows are promised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub together: Option<Report>,
    /// Other limits that all records of a run fit, where this one was broken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fits_otherwise: Vec<Contract>,
    /// The phases that were not played, with the reason.
    #[serde(skip)]
    pub not_played: Vec<SkippedPhase>,
}

impl RunVerdict {
    fn of(judged: Vec<KeyJudgement>, fail_on: &[FindingKind]) -> Self {
        // Without a single judgement, or where nothing was exercised, nothing is proved.
        let worst = judged.iter().map(|one| one.status).max();
        Self {
            status: worst
                .filter(|status| *status != RunStatus::NotExercised)
                .unwrap_or(RunStatus::Undecided),
            doubts: Vec::new(),
            fail_on: fail_on.to_vec(),
            judged,
            together: None,
            fits_otherwise: Vec::new(),
            not_played: Vec::new(),
        }
    }

    /// Judgements with this status.
    pub fn count(&self, status: RunStatus) -> usize {
        self.judged
            .iter()
            .filter(|one| one.status == status)
            .count()
    }

    /// Judgements with a finding of this kind.
    pub fn found(&self, kind: FindingKind) -> usize {
        let found = |one: &&KeyJudgement| one.kinds().contains(&kind);
        self.judged.iter().filter(found).count()
    }

    /// Doubts that no single judgement can have.
    fn doubt(&mut self, recorded: &[StepRecord]) {
        let seen: BTreeSet<&str> = recorded
            .iter()
            .flat_map(|record| &record.seen)
            .map(String::as_str)
            .collect();
        let seen = Vec::from_iter(seen.into_iter().take(SEEN)).join("; ");
        let sum = |count: fn(&KeyJudgement) -> u64| self.judged.iter().map(count).sum::<u64>();
        let allowed = sum(|one| one.report.operations.allowed);
        let denied = sum(|one| one.report.operations.denied);
        if denied == 0 && allowed > 0 {
            self.doubts.push(format!(
                "Nothing was ever denied: all {allowed} answers were read as allowed. Is a limiter \
                 in the path, and is its denial read right? Answers: {seen}"
            ));
        }
        if allowed == 0 && denied > 0 {
            self.doubts.push(format!(
                "Nothing was ever allowed: all {denied} answers were read as denied. Is the \
                 request right, and is its answer read right? Answers: {seen}"
            ));
        }
        if !self.doubts.is_empty() {
            self.status = self.status.max(RunStatus::Undecided);
            return;
        }
        // Without {key}, one quota is what the plan supposes: all judgements are of one key.
        let new = |one: &&KeyJudgement| one.key != self.judged[0].key;
        let later = self.judged.iter().filter(new);
        let shared = later.filter(|one| one.begins_denied && one.phase != Some(Phase::Fault));
        let phases: BTreeSet<String> = shared.map(KeyJudgement::phase_name).collect();
        if !phases.is_empty() {
            self.doubts.push(format!(
                "The keys seem to share one quota: new keys were denied from their first check \
                 ({}). Where that is promised, leave {{key}} out of the request.",
                Vec::from_iter(phases).join(", ")
            ));
        }
    }
}

impl RunJudge {
    /// The same judge for histories that may lack checks at any time: of these an excess is proved,
    /// and neither denials nor statements are judged.
    #[must_use]
    pub fn of_incomplete(self) -> Self {
        Self {
            checker: self.checker.incomplete(),
            judges_claims: false,
            ..self
        }
    }

    /// Judges all records of a run.
    ///
    /// # Errors
    /// When a history makes no sense.
    pub fn run(&self, plan: &Plan, recorded: &[StepRecord]) -> Result<RunVerdict, HistoryError> {
        let (mut judged, mut judged_of) = (Vec::new(), Vec::new());
        for (n, record) in recorded.iter().enumerate() {
            let denied = |op: &ratelimiter_api::Operation| op.outcome == Outcome::Denied;
            let reached = record.operations.iter().any(denied);
            // A check on a shared key that was not answered may be decided in a later step.
            let earlier = recorded[..n].iter().flat_map(|record| &record.operations);
            let open = earlier
                .filter(|op| op.outcome == Outcome::Unknown && record.keys.contains(&op.key))
                .chain(&record.operations);
            let mut histories = by_key(open.cloned())?;
            for key in &record.keys {
                let history = histories.remove(key).unwrap_or_default();
                let mut one = KeyJudgement {
                    skew: record.skew.map(|(skew, _)| skew),
                    barrier: matches!(record.skew, Some((_, Release::Barrier))),
                    details: record.details.clone(),
                    fault: record.fault,
                    ..self.key(Some(record.phase), key, &history)
                };
                if one.status == RunStatus::Passed {
                    if let Some(why) = record.fault.and_then(FaultBand::failure) {
                        (one.status, one.reason) = (RunStatus::Undecided, Some(why));
                    } else if !reached && record.phase != Phase::Steady {
                        one.status = RunStatus::NotExercised;
                        one.reason = Some(not_exercised(&one));
                    }
                }
                judged.push(one);
                judged_of.push(history);
            }
        }
        let mut verdict = RunVerdict::of(judged, &self.fail_on);
        let histories = Vec::from_iter(&judged_of);
        if self.limit.kind() == ContractKind::Aligned {
            let report = self.checker.check_together(&histories);
            if matches!(report.verdict, Verdict::Violated(_))
                && self.fail_on.contains(&FindingKind::Excess)
            {
                verdict.status = RunStatus::Violated;
            }
            verdict.together = Some(report);
        }
        verdict.doubt(recorded);
        // A step without a check has no record.
        let played: BTreeSet<Phase> = recorded.iter().map(|r| r.phase).collect();
        let unplayed = plan
            .steps
            .iter()
            .filter(|step| !played.contains(&step.phase))
            .map(|step| SkippedPhase {
                phase: step.phase,
                reason: "the run sent no check of it".to_owned(),
            });
        verdict.not_played = plan.skipped.iter().cloned().chain(unplayed).collect();
        verdict.not_played.dedup_by_key(|skipped| skipped.phase);
        if verdict.status == RunStatus::Violated && verdict.doubts.is_empty() {
            verdict.fits_otherwise = self.checker.fits_otherwise(&histories);
        }
        Ok(verdict)
    }

    /// Judges histories, one key after the other, and frees each as soon as it is judged.
    pub fn histories(&self, histories: impl IntoIterator<Item = (Key, History)>) -> RunVerdict {
        let judged = histories
            .into_iter()
            .map(|(key, history)| self.key(None, &key, &history))
            .collect();
        RunVerdict::of(judged, &self.fail_on)
    }

    fn key(&self, phase: Option<Phase>, key: &Key, history: &History) -> KeyJudgement {
        let report = self.checker.check(history);
        let mut findings = Vec::new();
        if let Some(first) = report.unjustified_denials.first() {
            let denials = report.unjustified_denials.len();
            findings.push(RunFinding::UnderAdmission {
                denials,
                first: first.to_string(),
            });
        }
        if phase == Some(Phase::Return) {
            findings.extend(self.no_return(history));
        }
        let contradictions = self
            .judges_claims
            .then(|| honesty::contradictions(history, self.limit, self.checker.slack()));
        findings.extend(
            contradictions
                .into_iter()
                .flatten()
                .map(|contradiction| RunFinding::Dishonest { contradiction }),
        );
        let (mut resolution, mut reason) = (Resolution::default(), None);
        let answered = report.operations.allowed + report.operations.denied > 0;
        if !answered {
            reason = Some("no check was answered allowed or denied".to_owned());
        } else if let Verdict::Unknown { .. } = report.verdict {
            match self.resolve(history, &report) {
                Ok(resolved) => resolution = resolved,
                Err(why) => reason = Some(why),
            }
        }
        let last = history.spans().map(|(_, complete, _)| complete).max();
        let mut one = KeyJudgement {
            phase,
            key: key.clone(),
            status: RunStatus::Passed,
            report,
            findings,
            resolution,
            reason,
            took: last
                .zip(history.start())
                .map_or(Duration::ZERO, |(last, first)| last - first),
            begins_denied: begins_denied(history),
            skew: None,
            fault: None,
            barrier: false,
            latency: median_and_max(history.latencies().collect()),
            details: Vec::new(),
        };
        one.status = if one.kinds().iter().any(|kind| self.fail_on.contains(kind)) {
            RunStatus::Violated
        } else if one.reason.is_some() {
            RunStatus::Undecided
        } else {
            RunStatus::Passed
        };
        one
    }

    /// The retry at the end of [`Phase::Return`] must be allowed, if the check before it was denied
    /// and the wait was as long as stated. A check without an outcome may have been admitted since.
    fn no_return(&self, history: &History) -> Option<RunFinding> {
        let mut latest = history.iter().rev();
        let (retry, denied) = (latest.next()?, latest.next()?);
        let denied_twice = denied.outcome == Outcome::Denied && retry.outcome == Outcome::Denied;
        let excused = history.iter().any(|op| op.outcome == Outcome::Unknown);
        let stated = denied.claims.retry_after.or(denied.claims.reset);
        let waited = retry.invoke.saturating_sub(denied.complete);
        let due = stated.unwrap_or(self.limit.window());
        (denied_twice && !excused && waited >= due).then_some(RunFinding::NoReturn {
            waited,
            stated: stated.is_some(),
        })
    }
}

fn not_exercised(one: &KeyJudgement) -> String {
    format!(
        "not exercised: none of its {} checks was denied in {:.3} s; more at once (--multiplier), \
         a lower limit or a longer window would reach the limit",
        one.report.operations.allowed,
        one.took.as_secs_f64()
    )
}

/// Whether a check was denied before any other can have been admitted: checks of one burst overlap,
/// and the first to be sent need not be the first to be decided.
fn begins_denied(history: &History) -> bool {
    let is_denied = |outcome: Outcome| outcome == Outcome::Denied;
    let admissible = history.spans().filter(|(.., outcome)| !is_denied(*outcome));
    let earliest = admissible.map(|(invoke, ..)| invoke).min();
    let mut denied = history.spans().filter(|(.., outcome)| is_denied(*outcome));
    denied.any(|(_, complete, _)| earliest.is_none_or(|earliest| complete <= earliest))
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
