use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use ratelimiter_api::{Key, Operation};
use ratelimiter_chaos::{CheckRecord, Release, VolleyReport};

use super::RunClock;
use crate::fault::FaultBand;
use crate::{Phase, PlanStep};

/// Different answers that a record shows.
const SEEN: usize = 8;

/// The records of one step.
#[derive(Clone, Debug)]
pub struct StepRecord {
    /// The phase.
    pub phase: Phase,
    /// The keys to judge, in the order of the plan; none of [`Phase::Probe`].
    pub keys: Vec<Key>,
    /// Start of the step on the wall clock.
    pub began: SystemTime,
    /// Start of the step on the clock of `operations`.
    pub at: Duration,
    /// Length of the step.
    pub took: Duration,
    /// Every check, on one clock for the whole run.
    pub operations: Vec<Operation>,
    /// The fault during the step.
    pub fault: Option<FaultBand>,
    /// From the first request of a burst to its last, and how it was released.
    pub skew: Option<(Duration, Release)>,
    /// Forms of the answers that were neither allowed nor denied.
    pub details: Vec<String>,
    /// Some of the answers as they came, cut short.
    pub seen: BTreeSet<String>,
}

impl StepRecord {
    pub(super) fn new(step: &PlanStep, clock: RunClock) -> Self {
        let at = clock.origin.elapsed();
        Self {
            phase: step.phase,
            keys: match step.phase {
                Phase::Probe => Vec::new(),
                _ => step.keys.clone(),
            },
            began: clock.wall + at,
            at,
            took: Duration::ZERO,
            fault: None,
            operations: Vec::new(),
            skew: None,
            details: Vec::new(),
            seen: BTreeSet::new(),
        }
    }

    pub(super) fn add(&mut self, record: CheckRecord) {
        self.detail(record.detail);
        self.see(record.seen);
        self.operations.push(record.operation);
    }

    fn see(&mut self, answer: String) {
        if !answer.is_empty() && self.seen.len() < SEEN {
            self.seen.insert(answer);
        }
    }

    pub(super) fn detail(&mut self, detail: String) {
        if !detail.is_empty() && !self.details.contains(&detail) {
            self.details.push(detail);
        }
    }

    /// Adds the checks of a burst.
    pub(super) fn add_burst(&mut self, report: VolleyReport) {
        self.operations.extend(report.operations);
        let skew = self.skew.map_or(Duration::ZERO, |(skew, _)| skew);
        self.skew = Some((skew.max(report.start_skew), report.release));
        report
            .details
            .into_iter()
            .for_each(|text| self.detail(text));
        report.seen.into_iter().for_each(|text| self.see(text));
    }
}
