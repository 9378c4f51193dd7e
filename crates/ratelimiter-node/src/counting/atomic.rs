use std::time::Duration;

use ratelimiter_api::DecidedBy;

use super::{Decision, Undecided};
use crate::clock::micros;
use crate::shared::{Question, SharedStore, Verdict};

/// One script call: exact, at the price of a round trip, and of the store's availability.
///
/// The script refuses to count a check that reaches it late, so what the store postponed does not count after the caller
/// was told something else. The last quarter of the timeout is left for the answer to come back in.
pub(crate) async fn decide(
    store: &SharedStore,
    question: &Question<'_>,
    timeout: Duration,
) -> Result<Decision, Undecided> {
    let late_us = question.span.now_us + micros(timeout) / 4 * 3;
    let counted = store.check(question, late_us, timeout).await?;
    let allowed = match counted.verdict {
        Verdict::Allowed => true,
        Verdict::Denied => false,
        Verdict::Late => return Err(Undecided::Late),
        Verdict::Forgot => return Err(Undecided::Forgot),
    };
    let (count, oldest_us, now_us) = (counted.count, counted.oldest_us, counted.now_us);
    Ok(Decision { allowed, count, oldest_us, now_us, by: DecidedBy::Store })
}
