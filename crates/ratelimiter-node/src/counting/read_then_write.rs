use std::time::Duration;

use ratelimiter_api::DecidedBy;
use tokio::time::Instant;

use super::{Decision, Undecided};
use crate::admissions::Admission;
use crate::shared::{Members, SharedStore, SharedWindow, Span};

/// Reads the count, then adds, in two commands. Every check between another's read and its write sees too few: this is
/// the race that many limiters have, kept here to be shown.
pub(crate) async fn decide(
    store: &SharedStore,
    span: &Span,
    limit: u32,
    members: &Members,
    admissions: &[Admission],
    timeout: Duration,
) -> Result<Decision, Undecided> {
    let started = Instant::now();
    let cost = admissions.len() as u64;
    let SharedWindow { count: before, oldest_us } = store.window(span, timeout).await?;
    let allowed = before + cost <= u64::from(limit);
    if allowed {
        store.add(span, members, admissions, timeout.saturating_sub(started.elapsed())).await?;
    }
    let count = if allowed { before + cost } else { before };
    Ok(Decision { allowed, count, oldest_us, now_us: span.now_us, by: DecidedBy::Store })
}
