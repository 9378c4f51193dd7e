//! The failure policy: the decision about a check that the store did not decide.

use ratelimiter_api::{CountingMode, DecidedBy, StoreFailurePolicy};

use super::counter::CounterCell;
use super::{CheckCost, Decision, Limiter, cached};

/// Time after which a client that was denied with quota left may try again.
const RETRY_US: u64 = 1_000_000;

impl Limiter {
    /// The decision of the failure policy. The store counts what it admits when it is flushed, for
    /// `leased` keys beside the grants.
    pub(super) fn decide_by_policy(&self, counter: &CounterCell, cost: CheckCost) -> Decision {
        let now_us = self.context.clock.now_us();
        let entry = counter.lock().entry.clone();
        let granted = match entry.counting {
            CountingMode::Leased => self.leases.admitted(&entry, now_us),
            _ => 0,
        };
        let mut counter = counter.lock();
        let policy = counter.entry.on_store_failure;
        if policy == StoreFailurePolicy::Local && granted == 0 {
            return cached::decide(&self.context, &mut counter, now_us, cost);
        }
        let mut alone = counter.decide(cost.admissions, now_us);
        alone.count += granted;
        let fits = alone.allowed && alone.count <= u64::from(alone.limit.admissions());
        let (allowed, by) = match policy {
            StoreFailurePolicy::Local => (fits, DecidedBy::Local),
            StoreFailurePolicy::Allow => (true, DecidedBy::Policy),
            StoreFailurePolicy::Deny => (false, DecidedBy::Policy),
        };
        if allowed && self.context.has_room(cost.admissions) {
            counter.add_unsynced(cost.at(now_us));
        }
        Decision {
            by,
            ..alone.by_policy(allowed, cost.admissions)
        }
    }
}

impl Decision {
    /// The same facts with the decision of the failure policy about a check that costs
    /// `admissions`. A denial although there is quota ends when the store may be back.
    pub(super) fn by_policy(self, allowed: bool, admissions: u32) -> Self {
        let cost = u64::from(admissions);
        let before = if self.allowed {
            self.count.saturating_sub(cost)
        } else {
            self.count
        };
        let frees_us = if self.allowed && !allowed {
            self.now_us + RETRY_US
        } else {
            self.frees_us.max(self.now_us + 1)
        };
        Self {
            allowed,
            count: before + if allowed { cost } else { 0 },
            frees_us,
            by: DecidedBy::Policy,
            ..self
        }
    }
}
