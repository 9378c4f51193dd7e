use std::time::Duration;

use ratelimiter_api::DecidedBy;
use tokio::time::Instant;

use super::{Decision, Undecided, admissions};
use crate::shared::{Question, SharedStore, SharedWindow, Span};

/// Reads the count, then adds, in two commands. Every check between another's read and its write sees too few: this is
/// the race that many limiters have, kept here to be shown.
pub(crate) async fn decide(
    store: &SharedStore,
    question: &Question<'_>,
    now_us: u64,
    timeout: Duration,
) -> Result<Decision, Undecided> {
    let started = Instant::now();
    let (known, cost) = (question.known, question.cost);
    let mut span = Span::new(&known.entry, now_us);
    span.witness = known.witness;
    let SharedWindow { count, oldest_us, forgot } = store.window(&span, question.members, timeout).await?;
    if forgot {
        return Err(Undecided::Forgot);
    }
    let allowed = count + u64::from(cost) <= known.room().into();
    if allowed {
        let admissions: Vec<_> = admissions(now_us, question.first_sequence, cost).collect();
        let left = timeout.saturating_sub(started.elapsed());
        store.add(&span, question.members, &admissions, left).await?;
    }
    let count = count + known.unsynced + if allowed { cost.into() } else { 0 };
    Ok(Decision { allowed, count, oldest_us, now_us, by: DecidedBy::Store })
}
