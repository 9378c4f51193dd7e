//! The record of one fault in, its cells out. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use ratelimiter_api::{Claims, Key, NodeId, Operation, Outcome, millis};
use ratelimiter_invariants::{History, HistoryChecker, HistoryError, Verdict, by_key};

use super::{Cell, CellFigure, CellProperty, CellVerdict, OutagePolicy, StoreCount, TimeBand};
use crate::honesty;

/// The record of one trial. All times are on one clock.
#[derive(Clone, Debug)]
pub struct TrialRecord {
    /// Every check.
    pub operations: Vec<Operation>,
    /// From the injection of the fault to its end.
    pub fault: TimeBand,
    /// Whether the fault is between the limiter and its store, so that failed and denied checks may
    /// have been counted.
    pub is_of_store: bool,
    /// Whether no check can be decided with the store while the fault lasts.
    pub is_outage: bool,
    /// The node that the fault takes away.
    pub victim: Option<NodeId>,
    /// A key that was first checked during the fault.
    pub fresh: Key,
    /// Time from the end of the fault until every node admitted a check on a key without
    /// admissions; `None` when that did not come.
    pub recovered: Option<Duration>,
    /// The measured effects of the fault.
    pub effects: Vec<CellFigure>,
    /// Counts of the store; none where the system does not say how it counts.
    pub counts: Option<Vec<StoreCount>>,
}

/// The means of a judgement of trials.
#[derive(Clone, Debug)]
pub struct TrialJudge {
    /// The checker of the promise.
    pub checker: HistoryChecker,
    /// The checker of the stated bound on admissions, by which an excess is judged.
    pub bound: HistoryChecker,
    /// The failure policy that the system states.
    pub policy: Option<OutagePolicy>,
    /// Deadline of a check.
    pub deadline: Duration,
    /// Longest time from the end of a fault until checks are decided again.
    pub recovers_within: Duration,
}

/// A verdict, its reason and its figures.
type Judged = (CellVerdict, String, Vec<CellFigure>);

fn not_run(why: &str) -> Judged {
    (CellVerdict::NotRun, why.to_owned(), Vec::new())
}

impl TrialJudge {
    /// One cell a property.
    ///
    /// # Errors
    /// When the history makes no sense.
    pub fn cells(&self, trial: &TrialRecord) -> Result<Vec<Cell>, HistoryError> {
        let had_effect = trial.effects.iter().any(|figure| figure.value > 0.0);
        let all = CellProperty::all().iter().map(|&property| {
            let (mut verdict, mut reason, figures) = match property {
                CellProperty::Excess => self.excess(trial)?,
                CellProperty::Denials => self.denials(trial)?,
                CellProperty::Growth => growth(trial),
                CellProperty::Answers => self.answers(trial),
                CellProperty::Policy => self.policy(trial)?,
                CellProperty::Fields => self.fields(trial)?,
                CellProperty::Recovery => self.recovery(trial),
            };
            // A broken property is broken with or without the fault.
            if !had_effect && matches!(verdict, CellVerdict::Held | CellVerdict::Undecided) {
                verdict = CellVerdict::NoEffect;
                reason = "no effect of the fault was measured".to_owned();
            }
            Ok(Cell {
                property,
                verdict,
                reason,
                figures,
            })
        });
        all.collect()
    }

    fn excess(&self, trial: &TrialRecord) -> Result<Judged, HistoryError> {
        // What a limiter admits by a stated policy without its store breaks no promise.
        let by_policy = |op: &Operation| {
            self.policy == Some(OutagePolicy::Allow)
                && trial.is_of_store
                && op.outcome == Outcome::Allowed
                && trial.is_during(op)
        };
        let kept = trial.operations.iter().filter(|op| !by_policy(op));
        let (mut verdict, mut reason) = (CellVerdict::Held, String::new());
        let (mut definite, mut possible, mut permitted) = (0, 0, 0);
        for (key, history) in by_key(kept.cloned())? {
            let report = self.bound.check(&history);
            let (found, why) = match &report.verdict {
                Verdict::Pass => (CellVerdict::Held, String::new()),
                Verdict::Violated(witness) => (CellVerdict::Broken, format!("{key}: {witness}")),
                Verdict::Unknown { possible, .. } => (
                    CellVerdict::Undecided,
                    format!(
                        "{key}: at most {possible} of {} in a window",
                        report.permitted
                    ),
                ),
            };
            if found > verdict {
                (verdict, reason) = (found, why);
            }
            permitted = report.permitted;
            definite = definite.max(report.definite_peak.saturating_sub(permitted));
            possible = possible.max(report.possible_peak.saturating_sub(permitted));
        }
        if verdict == CellVerdict::Held {
            reason = format!("at most {permitted} in any window of every key");
        }
        let figures = vec![
            CellFigure::new("definite excess", definite as f64, permitted as f64),
            CellFigure::new("possible excess", possible as f64, permitted as f64),
        ];
        Ok((verdict, reason, figures))
    }

    fn denials(&self, trial: &TrialRecord) -> Result<Judged, HistoryError> {
        let (mut denied, mut without_cause, mut first) = (0, 0, None);
        for (key, history) in self.lenient(trial)? {
            let report = self.checker.check(&history);
            denied += report.operations.denied;
            without_cause += report.unjustified_denials.len();
            let one = report.unjustified_denials.first();
            first = first.or(one.map(|one| format!("{key}: {one}")));
        }
        let figure = CellFigure::new("denials without cause", without_cause as f64, denied as f64);
        Ok(match first {
            Some(first) => (CellVerdict::Broken, first, vec![figure]),
            None => {
                let reason = format!("each of {denied} denials may have had a full window");
                (CellVerdict::Held, reason, vec![figure])
            }
        })
    }

    /// The histories for judgements about denials: a check that was not admitted while the store
    /// could not be asked may have been counted, and its statements are guesses.
    fn lenient(&self, trial: &TrialRecord) -> Result<BTreeMap<Key, History>, HistoryError> {
        let denies = self.policy != Some(OutagePolicy::Fail);
        let operations = trial.operations.iter().map(|op| {
            let mut op = op.clone();
            let refused = op.outcome == Outcome::Failed
                || op.outcome == Outcome::Denied && denies && trial.is_of_store;
            if trial.is_during(&op) {
                if refused {
                    op.outcome = Outcome::Unknown;
                }
                if trial.is_of_store {
                    op.claims = Claims::default();
                }
            }
            op
        });
        Ok(by_key(operations)?.into_iter().collect())
    }

    fn answers(&self, trial: &TrialRecord) -> Judged {
        let excused =
            |op: &&Operation| Some(&op.node) == trial.victim.as_ref() && trial.is_during(op);
        let asked = trial.operations.iter().filter(|op| !excused(op));
        let (mut all, mut open, mut latest, mut first) = (0, 0, Duration::ZERO, None);
        for op in asked {
            all += 1;
            if op.outcome == Outcome::Unknown {
                open += 1;
                first = first.or(Some(op));
            } else {
                latest = latest.max(op.complete - op.invoke);
            }
        }
        let figures = vec![
            CellFigure::new("checks without an answer", f64::from(open), f64::from(all)),
            CellFigure::new(
                "latest answer, ms",
                millis::of(latest),
                millis::of(self.deadline),
            ),
        ];
        match first {
            Some(op) => {
                let (node, at) = (&op.node, op.invoke.as_secs_f64());
                let reason = format!("{node} did not answer a check sent at {at:.3} s");
                (CellVerdict::Broken, reason, figures)
            }
            None => {
                let reason = format!("all {all} checks were answered");
                (CellVerdict::Held, reason, figures)
            }
        }
    }

    fn policy(&self, trial: &TrialRecord) -> Result<Judged, HistoryError> {
        let Some(policy) = self.policy else {
            return Ok(not_run("the system states no on_store_failure"));
        };
        if !trial.is_outage {
            return Ok(not_run("the store can be asked during this fault"));
        }
        let inside = trial.operations.iter().filter(|op| {
            op.key == trial.fresh
                && op.invoke >= trial.fault.start
                && op.complete <= trial.fault.end
                && op.outcome != Outcome::Unknown
        });
        let inside: Vec<Operation> = inside.cloned().collect();
        let count = |outcome| inside.iter().filter(|op| op.outcome == outcome).count();
        let (allowed, denied) = (count(Outcome::Allowed), count(Outcome::Denied));
        let failed = count(Outcome::Failed);
        let all = inside.len();
        let mut history = History::default();
        inside.into_iter().try_for_each(|op| history.push(op))?;
        let without_cause = self.checker.check(&history).unjustified_denials.len();
        let against = match policy {
            OutagePolicy::Deny => allowed + failed,
            OutagePolicy::Allow => failed + without_cause,
            OutagePolicy::Fail => allowed + denied,
            OutagePolicy::Local => failed,
        };
        let figures = [
            ("answers against the policy", against),
            ("allowed", allowed),
            ("denied", denied),
            ("failed", failed),
        ];
        let figures = figures.map(|(name, n)| CellFigure::new(name, n as f64, all as f64));
        let verdict = match (all, against) {
            (0, _) => CellVerdict::Undecided,
            (_, 0) => CellVerdict::Held,
            _ => CellVerdict::Broken,
        };
        let reason = format!(
            "without the store, {allowed} of {all} checks on a new key were allowed, {denied} \
             denied, {failed} failed"
        );
        Ok((verdict, reason, figures.into()))
    }

    fn fields(&self, trial: &TrialRecord) -> Result<Judged, HistoryError> {
        let stated = trial
            .operations
            .iter()
            .filter(|op| !op.claims.is_empty())
            .count();
        if stated == 0 {
            return Ok(not_run("the answers state nothing about the quota"));
        }
        let mut found = Vec::new();
        for (key, history) in self.lenient(trial)? {
            let contradictions = honesty::contradictions(&history, &self.checker, true);
            found.extend(
                contradictions
                    .into_iter()
                    .map(|text| format!("{key}: {text}")),
            );
        }
        let figure = CellFigure::new("contradictions", found.len() as f64, stated as f64);
        Ok(match found.into_iter().next() {
            Some(first) => (CellVerdict::Broken, first, vec![figure]),
            None => {
                let reason = format!("{stated} statements agree with the answers");
                (CellVerdict::Held, reason, vec![figure])
            }
        })
    }

    fn recovery(&self, trial: &TrialRecord) -> Judged {
        let bound = millis::of(self.recovers_within);
        match trial.recovered {
            Some(time) => (
                CellVerdict::Held,
                format!(
                    "every node admitted a check {:.3} s after the fault",
                    time.as_secs_f64()
                ),
                vec![CellFigure::new(
                    "time to recover, ms",
                    millis::of(time),
                    bound,
                )],
            ),
            None => (
                CellVerdict::Broken,
                format!("after {bound} ms a node still admitted no check on a new key"),
                vec![CellFigure::new("time to recover, ms", bound, bound)],
            ),
        }
    }
}

impl TrialRecord {
    /// Whether a check overlaps the fault or the recovery from it.
    fn is_during(&self, op: &Operation) -> bool {
        let end = self.fault.end + self.recovered.unwrap_or(Duration::MAX / 2);
        op.complete >= self.fault.start && op.invoke <= end
    }
}

/// The store's count of a key against the checks that can have been counted, each at most once.
fn growth(trial: &TrialRecord) -> Judged {
    let Some(counts) = &trial.counts else {
        return not_run("[store] has no count");
    };
    let (mut verdict, mut figure, mut reason) = (CellVerdict::Undecided, None, String::new());
    let mut largest = 0.0;
    for sample in counts {
        let Some(count) = sample.count else { continue };
        let may_count = |op: &&Operation| {
            op.key.as_str() == sample.key
                && op.invoke <= sample.at
                && (matches!(op.outcome, Outcome::Allowed | Outcome::Unknown)
                    || trial.is_of_store && trial.is_during(op))
        };
        let may: u64 = trial
            .operations
            .iter()
            .filter(may_count)
            .map(|op| u64::from(op.cost))
            .sum();
        let share = count as f64 / (may as f64).max(0.5);
        if share > largest {
            largest = share;
            figure = Some(CellFigure::new(
                "count of the store",
                count as f64,
                may as f64,
            ));
            reason = format!(
                "{}: the store counts {count}, and {may} checks can be",
                sample.key
            );
            let is_kept = count.cast_unsigned() <= may;
            verdict = if is_kept {
                CellVerdict::Held
            } else {
                CellVerdict::Broken
            };
        }
    }
    if figure.is_none() {
        reason = "the store counted nothing: does count name the right key?".into();
    }
    (verdict, reason, figure.into_iter().collect())
}
