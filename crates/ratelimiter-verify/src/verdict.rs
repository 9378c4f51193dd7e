//! The verdict on a run, and on each key of it.

use std::collections::BTreeSet;
use std::time::Duration;

use ratelimiter_api::{Key, Operation, millis};
use ratelimiter_invariants::{Contract, ContractKind, Report, Verdict};
use serde::Serialize;

use crate::fault::FaultBand;
use crate::resolution::Resolution;
use crate::{DefectHypothesis, FindingKind, Phase, RunFinding, SkippedPhase, StepRecord};

/// Different answers that a doubt shows.
const SEEN: usize = 4;

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
    pub(crate) begins_denied: bool,
    /// Whether an excess is no finding, but a remark: a proxy may be trusted to state addresses.
    #[serde(skip)]
    pub(crate) is_remark: bool,
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

    /// The kinds of its findings; none of a remark.
    pub fn kinds(&self) -> BTreeSet<FindingKind> {
        if self.is_remark {
            return BTreeSet::new();
        }
        let violated = |report: &Report| matches!(report.verdict, Verdict::Violated(_));
        let excess = self.report.by_limit().any(violated);
        let excess = excess.then_some(FindingKind::Excess);
        excess
            .into_iter()
            .chain(self.findings.iter().map(RunFinding::kind))
            .collect()
    }

    /// Whether its calls wait instead of being denied, and have reached the limit.
    pub(crate) fn is_paced(&self) -> bool {
        let report = &self.report;
        report.contract.kind() == ContractKind::Paced && report.possible_peak >= report.permitted
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
    /// The reason why the records are partial, where they are. Such a run never passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
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
    /// The known class of defects that fits the facts, where one fits alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hypothesis: Option<DefectHypothesis>,
    /// The phases that were not played, with the reason.
    #[serde(skip)]
    pub not_played: Vec<SkippedPhase>,
}

impl RunVerdict {
    pub(crate) fn of(judged: Vec<KeyJudgement>, fail_on: &[FindingKind]) -> Self {
        // Without a single judgement, or where nothing was exercised, nothing is proved.
        let worst = judged.iter().map(|one| one.status).max();
        Self {
            status: worst
                .filter(|status| *status != RunStatus::NotExercised)
                .unwrap_or(RunStatus::Undecided),
            partial: None,
            doubts: Vec::new(),
            fail_on: fail_on.to_vec(),
            judged,
            together: None,
            fits_otherwise: Vec::new(),
            hypothesis: None,
            not_played: Vec::new(),
        }
    }

    /// The checks of the judgement at a place, of a run. A limit that counts several keys together
    /// is judged once, by all checks.
    pub fn operations(&self, recorded: &[StepRecord], place: usize) -> Vec<Operation> {
        let mut keys = recorded
            .iter()
            .flat_map(|record| record.keys.iter().map(move |key| (record, key)));
        let of_key = |(record, key): (&StepRecord, &Key)| {
            let checks = record.operations.iter();
            checks.filter(|op| op.key == *key).cloned().collect()
        };
        if keys.clone().count() == self.judged.len() {
            return keys.nth(place).map_or(Vec::new(), of_key);
        }
        let all = recorded.iter().flat_map(|record| &record.operations);
        all.cloned().collect()
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

    /// The same verdict on a run that ended early. It is no pass, since checks are missing.
    #[must_use]
    pub fn partial(self, reason: String) -> Self {
        Self {
            status: self.status.max(RunStatus::Undecided),
            partial: Some(reason),
            ..self
        }
    }

    /// Doubts that no single judgement can have.
    pub(crate) fn doubt(&mut self, recorded: &[StepRecord]) {
        let seen: BTreeSet<&str> = recorded
            .iter()
            .flat_map(|record| &record.seen)
            .map(String::as_str)
            .collect();
        let seen = Vec::from_iter(seen.into_iter().take(SEEN)).join("; ");
        let sum = |count: fn(&KeyJudgement) -> u64| self.judged.iter().map(count).sum::<u64>();
        let allowed = sum(|one| one.report.operations.allowed);
        let denied = sum(|one| one.report.operations.denied);
        if denied == 0 && allowed > 0 && !self.judged.iter().any(KeyJudgement::is_paced) {
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
