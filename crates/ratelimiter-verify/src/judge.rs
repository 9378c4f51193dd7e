//! Records in, verdict out. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use ratelimiter_api::{Key, Operation, Outcome, StatedTime};
use ratelimiter_chaos::Release;
use ratelimiter_invariants::{
    Contract, ContractKind, History, HistoryChecker, HistoryError, Verdict, by_key,
};

use crate::fault::FaultBand;
use crate::resolution::Resolution;
use crate::verdict::{KeyJudgement, RunStatus, RunVerdict};
use crate::{FindingKind, Phase, Plan, RunFinding, SkippedPhase, StepRecord, honesty, hypothesis};

/// The means of a judgement.
#[derive(Clone, Debug)]
pub struct RunJudge {
    /// The checker of the limiter's promise.
    pub checker: HistoryChecker,
    /// The kinds of findings that violate; others are only reported.
    pub fail_on: Vec<FindingKind>,
    /// The time from a request to its decision, as the operator states it.
    pub decides_within: Option<Duration>,
    /// Whether no quota was used before the records. Otherwise all of it may have been.
    pub fresh: bool,
    /// Whether the limiter's statements are compared with its answers.
    pub judges_claims: bool,
    /// The deadline of the checks of a run: those without an answer by then are a finding, but
    /// under a fault.
    pub deadline: Option<Duration>,
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
            let denied = |op: &Operation| op.outcome == Outcome::Denied;
            let reached = record.operations.iter().any(denied);
            // A check on a shared key that was not answered may be decided in a later step.
            let earlier = recorded[..n].iter().flat_map(|record| &record.operations);
            let open = earlier
                .filter(|op| op.outcome == Outcome::Unknown && record.keys.contains(&op.key))
                .chain(&record.operations);
            if !self.checker.promise().is_by_key() {
                continue;
            }
            let mut histories = by_key(open.cloned())?;
            for key in &record.keys {
                let history = histories.remove(key).unwrap_or_default();
                let mut one = KeyJudgement {
                    skew: record.skew.map(|(skew, _)| skew),
                    barrier: matches!(record.skew, Some((_, Release::Barrier))),
                    details: record.details.clone(),
                    fault: record.fault,
                    ..self.key(
                        Some(record.phase),
                        key,
                        &history,
                        self.hang(record, Some(key)),
                    )
                };
                if record.phase == Phase::Forged
                    && !plan.untrusted
                    && one.status != RunStatus::Passed
                {
                    one.reason = Some(remark(&one));
                    (one.status, one.is_remark) = (RunStatus::NotExercised, true);
                }
                if one.status == RunStatus::Passed {
                    if let Some(why) = record.fault.and_then(FaultBand::failure) {
                        (one.status, one.reason) = (RunStatus::Undecided, Some(why));
                    } else if !(reached || one.is_paced()) && record.phase != Phase::Steady {
                        one.status = RunStatus::NotExercised;
                        one.reason = Some(not_exercised(&one));
                    }
                }
                if !one.is_remark {
                    judged_of.push(history);
                }
                judged.push(one);
            }
        }
        if !self.checker.promise().is_by_key() {
            let mut all = History::default();
            let operations = recorded.iter().flat_map(|record| &record.operations);
            operations.cloned().try_for_each(|op| all.push(op))?;
            let hangs = recorded.iter().filter_map(|record| self.hang(record, None));
            let mut one = self.shared(&all, hangs);
            if one.status == RunStatus::Passed && one.report.operations.denied == 0 {
                one.status = RunStatus::NotExercised;
                one.reason = Some(not_exercised(&one));
            }
            judged.push(one);
        }
        let mut verdict = RunVerdict::of(judged, &self.fail_on);
        let histories = Vec::from_iter(&judged_of);
        let aligned = |limit: &Contract| limit.kind() == ContractKind::Aligned;
        if self.checker.promise().limits().iter().any(aligned) {
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
        let nodes = recorded.iter().flat_map(|record| &record.operations);
        let nodes = BTreeSet::from_iter(nodes.map(|op| &op.node)).len();
        if verdict.status == RunStatus::Violated && verdict.doubts.is_empty() {
            verdict.fits_otherwise = self.checker.fits_otherwise(&histories);
        }
        verdict.hypothesis = hypothesis::of(&verdict, nodes);
        Ok(verdict)
    }

    /// Judges histories, one key after the other, and frees each as soon as it is judged. Where a
    /// limit counts several keys together, they are one history.
    ///
    /// # Errors
    /// When there are more checks than a history can hold.
    pub fn histories(
        &self,
        histories: impl IntoIterator<Item = (Key, History)>,
    ) -> Result<RunVerdict, HistoryError> {
        if !self.checker.promise().is_by_key() {
            let mut all = History::default();
            for (_, history) in histories {
                history.iter().try_for_each(|op| all.push(op))?;
            }
            let one = self.shared(&all, []);
            return Ok(RunVerdict::of(vec![one], &self.fail_on));
        }
        let judged = histories
            .into_iter()
            .map(|(key, history)| self.key(None, &key, &history, []))
            .collect();
        Ok(RunVerdict::of(judged, &self.fail_on))
    }

    /// The judgement of all keys together.
    fn shared(
        &self,
        history: &History,
        hangs: impl IntoIterator<Item = RunFinding>,
    ) -> KeyJudgement {
        let key = Key::new("all keys").expect("a short text is a key");
        self.key(None, &key, history, hangs)
    }

    /// The checks of a step that were not answered by their deadline, of one key or of all. A call
    /// whose caller left or whose node was killed needs no answer.
    fn hang(&self, record: &StepRecord, key: Option<&Key>) -> Option<RunFinding> {
        let deadline = self.deadline?;
        if matches!(record.phase, Phase::Fault | Phase::HangUp | Phase::Killed) {
            return None;
        }
        let hangs = |op: &&Operation| {
            op.outcome == Outcome::Unknown
                && op.complete - op.invoke >= deadline
                && key.is_none_or(|key| op.key == *key)
        };
        let checks = record.operations.iter().filter(hangs).count();
        (checks > 0).then_some(RunFinding::Hang { checks, deadline })
    }

    fn key(
        &self,
        phase: Option<Phase>,
        key: &Key,
        history: &History,
        hangs: impl IntoIterator<Item = RunFinding>,
    ) -> KeyJudgement {
        let report = self.checker.check(history);
        let mut findings = Vec::from_iter(hangs);
        if let Some(first) = report.unjustified_denials.first() {
            let denials = report.unjustified_denials.len();
            findings.push(RunFinding::UnderAdmission {
                denials,
                first: first.to_string(),
            });
        }
        let waits = report.by_limit().filter_map(|limit| limit.waits);
        findings.extend(waits.map(|waits| RunFinding::LongWait {
            waits: waits.to_string(),
        }));
        if phase == Some(Phase::Return) {
            findings.extend(self.no_return(history));
        }
        let contradictions = self
            .judges_claims
            .then(|| honesty::contradictions(history, &self.checker, self.fresh));
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
        } else {
            for limit in report.by_limit() {
                if limit.possible_peak == 0 && !limit.contract.by().is_empty() {
                    let why = format!("no check has the labels of '{}'", limit.contract);
                    reason = reason.or(Some(why));
                }
                match self.resolve(history, limit) {
                    Ok(resolved) => resolution = resolution.and(resolved),
                    Err(why) => reason = reason.or(Some(why)),
                }
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
            is_remark: false,
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
        let due = stated.map_or(self.checker.promise().memory(), StatedTime::wait);
        (denied_twice && !excused && waited >= due).then_some(RunFinding::NoReturn {
            waited,
            stated: stated.is_some(),
        })
    }
}

/// What forged addresses showed of a limiter that may trust them.
fn remark(one: &KeyJudgement) -> String {
    let seen = match &one.report.verdict {
        Verdict::Violated(_) => format!(
            "{} of {} were admitted when each check stated another address: callers evade the \
             limit, unless a proxy before it replaces X-Forwarded-For and its kin",
            one.peaks(),
            one.report.contract.max()
        ),
        _ => "forged addresses changed the answers".to_owned(),
    };
    format!("{seen}; --untrusted makes this a finding")
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
    denied.any(|(_, complete, _)| earliest.is_none_or(|earliest| complete < earliest))
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
