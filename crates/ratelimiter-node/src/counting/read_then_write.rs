use std::time::Duration;

use ratelimiter_api::DecidedBy;
use tokio::time::Instant;

use super::Undecided;
use crate::decision::Decision;
use crate::shared::{Question, SharedStore, SharedWindow};

/// Reads the count, then adds, in two commands. Every check between another's read and its write
/// sees too few: this is the race that many limiters have, kept here to be shown.
pub(crate) async fn decide(
    store: &SharedStore,
    question: &Question<'_>,
    timeout: Duration,
) -> Result<Decision, Undecided> {
    let started = Instant::now();
    let (span, cost, limit) = (question.span, question.check.cost, question.entry.limit);
    let SharedWindow {
        count,
        oldest_us,
        forgot,
        arrived,
    } = store.window(span, question.members, timeout).await?;
    if forgot {
        return Err(Undecided::Forgot);
    }
    // What this node admitted by itself counts before it arrives there.
    let before = count + span.own.unheard(arrived);
    let allowed = before + u64::from(cost) <= u64::from(limit.admissions());
    if allowed {
        let admissions: Vec<_> = question.check.admissions(span.now_us).collect();
        store
            .add(
                question,
                &admissions,
                timeout.saturating_sub(started.elapsed()),
            )
            .await?;
    }
    let count = before + if allowed { cost.into() } else { 0 };
    // The read returns the time of the oldest admission alone. One is enough for quota to return,
    // or for a denied check that lacks one; more have surely left a window later.
    let lacks = (before + u64::from(cost)).saturating_sub(limit.admissions().into());
    let leaves_us = oldest_us
        .filter(|_| allowed || lacks == 1)
        .unwrap_or(span.now_us);
    let frees_us = leaves_us + limit.window_us();
    Ok(Decision {
        allowed,
        count,
        frees_us,
        now_us: span.now_us,
        limit,
        by: DecidedBy::Store,
    })
}
