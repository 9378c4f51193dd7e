use std::sync::Arc;

use ratelimiter_api::Observation;
use ratelimiter_invariants::{Invariant, Violation, ViolationChange};
use tokio::time::Instant;

/// One observation, and the changes of violations that it caused.
#[derive(Debug)]
pub struct Round {
    /// The observation.
    pub observation: Observation,
    /// The changes of violations.
    pub changes: Vec<ViolationChange>,
}

/// All violations so far, and the latest round.
#[derive(Clone, Debug, Default)]
pub struct ViolationLog {
    /// The latest round.
    pub latest: Option<Arc<Round>>,
    /// Every violation, in the order of their detection.
    pub violations: Vec<LoggedViolation>,
}

/// One violation, with the times of its detection and its end on this process's clock.
#[derive(Clone, Debug)]
pub struct LoggedViolation {
    /// The violation, as of its latest round.
    pub violation: Violation,
    /// The time of its detection.
    pub raised: Instant,
    /// The time of its end; `None` while it lasts.
    pub cleared: Option<Instant>,
}

impl ViolationLog {
    pub(crate) fn note<'a>(
        &mut self,
        round: Arc<Round>,
        active: impl Iterator<Item = &'a Violation>,
    ) {
        let now = Instant::now();
        for change in &round.changes {
            match change {
                ViolationChange::Raised(violation) => {
                    self.violations.push(LoggedViolation {
                        violation: violation.clone(),
                        raised: now,
                        cleared: None,
                    });
                }
                ViolationChange::Cleared(violation) => {
                    if let Some(open) = self.open(violation) {
                        open.violation = violation.clone();
                        open.cleared = Some(now);
                    }
                }
            }
        }
        for violation in active {
            if let Some(open) = self.open(violation) {
                open.violation = violation.clone();
            }
        }
        self.latest = Some(round);
    }

    fn open(&mut self, violation: &Violation) -> Option<&mut LoggedViolation> {
        let same = |f: &&mut LoggedViolation| {
            f.cleared.is_none()
                && f.violation.invariant == violation.invariant
                && f.violation.subject == violation.subject
        };
        self.violations.iter_mut().find(same)
    }

    /// The first violation of an invariant raised after `since`.
    pub fn first(&self, invariant: Invariant, since: Instant) -> Option<&LoggedViolation> {
        self.since(since)
            .find(|f| f.violation.invariant == invariant)
    }

    /// All violations raised after `since`.
    pub fn since(&self, since: Instant) -> impl Iterator<Item = &LoggedViolation> {
        self.violations.iter().filter(move |f| f.raised >= since)
    }
}
