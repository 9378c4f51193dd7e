//! Counting mode `cached`: the node decides, from its own admissions, which are exact, and the
//! others' as of the last sync.

use ratelimiter_api::DecidedBy;
use tokio::time::Instant;

use super::counter::{LocalCounter, OtherAdmissions};
use super::{CheckContext, CheckCost, CheckOutcome, Decision, PendingCheck};

/// Decides a check of a key that was not checked lately: reads its shared count first, so that the
/// check does not decide without the others' admissions. Without an answer in time the last count
/// has to do.
pub(super) async fn ask(context: &CheckContext, check: &PendingCheck<'_>) -> CheckOutcome {
    let window = check.counter.lock().window(context.clock.now_us());
    let circuit = context.store.circuits.of(&window.set);
    if let Some(pass) = circuit.pass(Instant::now()) {
        let shared = context.store.window(&window, check.left);
        let shared = shared.await;
        let answered = shared.as_ref().err().is_none_or(|e| !e.is_transient());
        pass.report(answered, Instant::now());
        match shared {
            Ok(shared) => drop(check.counter.lock().refresh(&window, shared)),
            Err(error) => {
                tracing::debug!(key = %check.entry.key, %error, "the shared count is not known");
            }
        }
    }
    let now_us = context.clock.now_us();
    CheckOutcome::Decided(decide(
        context,
        &mut check.counter.lock(),
        now_us,
        check.cost,
    ))
}

/// Decides and remembers under one lock, so that two checks never take the same last admission. A
/// node without room to remember an admission does not admit it.
pub(super) fn decide(
    context: &CheckContext,
    counter: &mut LocalCounter,
    now_us: u64,
    cost: CheckCost,
) -> Decision {
    let decision = counter.decide(cost.admissions, now_us);
    if !decision.allowed {
        return decision;
    }
    if !context.has_room(cost.admissions) {
        return decision.by_policy(false, cost.admissions);
    }
    counter.add_unsynced(cost.at(now_us));
    decision
}

impl LocalCounter {
    /// The decision about a check that costs `admissions`. The caller remembers these.
    pub(super) fn decide(&self, admissions: u32, now_us: u64) -> Decision {
        let (limit, window_us) = (self.entry.limit, self.entry.limit.window_us());
        let start_us = now_us.saturating_sub(window_us);
        let others = self.others.at(now_us, window_us);
        let before = self.log.count(start_us, u64::MAX) + others.count;
        let after = before + u64::from(admissions);
        let excess = after.saturating_sub(limit.admissions().into());
        let frees_us = if excess > 0 {
            self.frees(excess, others, now_us)
        } else {
            let oldest_us = [self.log.oldest_after(start_us), others.oldest_us];
            oldest_us.into_iter().flatten().min().unwrap_or(now_us) + window_us
        };
        Decision {
            allowed: excess == 0,
            count: if excess == 0 { after } else { before },
            frees_us,
            now_us,
            limit,
            by: DecidedBy::Local,
        }
    }

    /// The earliest time at which `excess` admissions have surely left the window. Of the others'
    /// admissions only the time of the oldest is known, and that all of them leave a window after
    /// the last sync at the latest.
    fn frees(&self, excess: u64, others: OtherAdmissions, now_us: u64) -> u64 {
        let window_us = self.entry.limit.window_us();
        let start_us = now_us.saturating_sub(window_us);
        let oldest = others.oldest_us.map(|at| (1, at + window_us));
        let all = (others.count > 0).then_some((others.count, others.as_of_us + window_us));
        [Some((0, now_us)), oldest, all]
            .into_iter()
            .flatten()
            .filter_map(|(left, at_us)| match excess.saturating_sub(left) {
                0 => Some(at_us),
                own => Some(at_us.max(self.log.nth_after(start_us, own)? + window_us)),
            })
            .min()
            .unwrap_or(now_us + window_us)
    }
}
