use std::time::Duration;

use ratelimiter_api::{CountingMode, DecidedBy, KeyCounter, LimitEntry, StoreFailurePolicy};

use super::{Limiter, POLICY_RETRY_US};
use crate::counter::CounterCell;
use crate::counting::{Known, Undecided};
use crate::decision::{Check, Decision};

/// Leased counting, and its failure policies.
impl Limiter {
    /// Decides by grants, waiting at most `left` for one. None when the counter was replaced, and
    /// the check has to be repeated.
    pub(super) async fn decide_by_lease(
        &self,
        cell: &CounterCell,
        entry: &LimitEntry,
        check: Check,
        left: Duration,
    ) -> Option<Decision> {
        // In a store cluster a limit has a version of its own, beside its grants.
        let version = if self.store.copies_limits() {
            self.limits().version_of(&entry.key)
        } else {
            self.limits().version()
        };
        let known = Known {
            version,
            coming: cell.lock().coming(),
        };
        match self.leases.check(entry, check, known, left).await {
            Ok(decision) => Some(decision),
            Err(Undecided::Replaced) => None,
            Err(Undecided::Changed(change)) => {
                self.limits_mut().change(*change);
                None
            }
            Err(why) => {
                tracing::debug!(key = %entry.key, %why, "the store granted nothing");
                Some(self.decide_beside_grants(cell, entry, check))
            }
        }
    }

    /// Adds the admissions that grants cover to a report of the others.
    pub(super) fn add_grants(&self, counter: &mut KeyCounter, entry: &LimitEntry, at_us: u64) {
        if entry.counting == CountingMode::Leased {
            let start_us = at_us.saturating_sub(entry.limit.window_us());
            counter.lease = self.leases.report(entry, start_us, at_us);
            counter.count += counter.lease.map_or(0, |lease| lease.admitted);
        }
    }

    /// Decides by the failure policy. What it admits is covered by no grant: the store counts it,
    /// like the admissions of the other modes, as soon as it hears of it.
    fn decide_beside_grants(
        &self,
        cell: &CounterCell,
        entry: &LimitEntry,
        check: Check,
    ) -> Decision {
        let now_us = self.clock.now_us();
        let start_us = now_us.saturating_sub(entry.limit.window_us());
        let granted = self
            .leases
            .report(entry, start_us, u64::MAX)
            .map_or(0, |lease| lease.admitted);
        let mut counter = cell.lock();
        let mut alone = counter.decide(0, now_us);
        alone.count += granted;
        let fits = alone.count + u64::from(check.cost) <= u64::from(entry.limit.admissions());
        let (allowed, by) = match entry.on_store_failure {
            StoreFailurePolicy::Local => (fits, DecidedBy::Local),
            StoreFailurePolicy::Allow => (true, DecidedBy::Policy),
            StoreFailurePolicy::Deny => (false, DecidedBy::Policy),
        };
        if allowed && self.memory.has_room(check.cost) {
            counter.add_unsynced(check.admissions(now_us));
        }
        Decision {
            by,
            ..alone.by_policy(allowed, check.cost, POLICY_RETRY_US)
        }
    }
}
