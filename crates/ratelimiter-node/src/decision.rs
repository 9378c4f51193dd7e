use ratelimiter_api::{DecidedBy, Limit};

use crate::admissions::Admission;

/// What one check asks for: as many admissions as it costs, by names that no other has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Check {
    pub(crate) cost: u32,
    pub(crate) first_sequence: u64,
}

impl Check {
    /// Its admissions, when it is admitted at `at_us`.
    pub(crate) fn admissions(self, at_us: u64) -> impl Iterator<Item = Admission> {
        (0..u64::from(self.cost)).map(move |i| Admission {
            at_us,
            sequence: self.first_sequence + i,
        })
    }
}

/// What was decided about one check, and what the node has to remember of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) allowed: bool,
    /// Admissions in the window after the check, as far as the decider knew.
    pub(crate) count: u64,
    /// When a denied check would fit, or the oldest admission leaves the window; microseconds on
    /// the store's clock.
    pub(crate) frees_us: u64,
    /// Time of the decision, likewise.
    pub(crate) now_us: u64,
    /// The limit that the decision is about.
    pub(crate) limit: Limit,
    pub(crate) by: DecidedBy,
}

impl Decision {
    /// The same facts, with the decision of the failure policy about a check of `cost`. A denial
    /// although there is quota ends after `retry_us`, when the store may be back.
    pub(crate) fn by_policy(self, allowed: bool, cost: u32, retry_us: u64) -> Self {
        let cost = u64::from(cost);
        let before = if self.allowed {
            self.count.saturating_sub(cost)
        } else {
            self.count
        };
        let frees_us = if self.allowed && !allowed {
            self.now_us + retry_us
        } else {
            self.frees_us.max(self.now_us + 1)
        };
        let count = before + if allowed { cost } else { 0 };
        Self {
            allowed,
            count,
            frees_us,
            by: DecidedBy::Policy,
            ..self
        }
    }
}
