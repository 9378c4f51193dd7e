//! Counting mode `read-then-write`: reads the count, then adds, in two commands.
//!
//! Every check between another's read and its write counts too few: this is the race that many
//! limiters have, kept here to be shown.

use ratelimiter_api::DecidedBy;
use tokio::time::Instant;

use super::counter::{LocalCounter, in_epoch};
use super::{CheckContext, CheckOutcome, Decision, NoDecision, PendingCheck};
use crate::shared::SharedWindow;

/// Decides one check by two commands to the store.
pub(super) async fn ask(context: &CheckContext, check: &PendingCheck<'_>) -> CheckOutcome {
    let store = &context.store;
    let (started, now_us, limit) = (Instant::now(), context.clock.now_us(), check.entry.limit);
    let cost = u64::from(check.cost.admissions);
    let window = check.counter.lock().window(now_us);
    let SharedWindow {
        count,
        oldest_us,
        forgot,
        arrived,
    } = match store.window(&window, check.left).await {
        Ok(shared) => shared,
        Err(error) => return error.into(),
    };
    if forgot {
        in_epoch(check.counter, check.entry.epoch, LocalCounter::doubt);
        return CheckOutcome::Undecided(NoDecision::Forgot);
    }

    // The node's own admissions count before they arrive there.
    let before = count + window.own.unheard(arrived);
    let allowed = before + cost <= u64::from(limit.admissions());
    if allowed {
        let admissions: Vec<_> = check.cost.at(now_us).collect();
        let left = check.left.saturating_sub(started.elapsed());
        if let Err(error) = store.add(&window, &admissions, left).await {
            return error.into();
        }
        if context.has_room(check.cost.admissions) {
            in_epoch(check.counter, check.entry.epoch, |counter| {
                counter.add_synced(admissions);
            });
        }
    }

    // The read returns the time of the oldest admission alone. One is enough for quota to return,
    // or for a denied check that lacks one; more have surely left a window later.
    let lacks = (before + cost).saturating_sub(limit.admissions().into());
    let leaves_us = oldest_us
        .filter(|_| allowed || lacks == 1)
        .unwrap_or(now_us);
    CheckOutcome::Decided(Decision {
        allowed,
        count: before + if allowed { cost } else { 0 },
        frees_us: leaves_us + limit.window_us(),
        now_us,
        limit,
        by: DecidedBy::Store,
    })
}
