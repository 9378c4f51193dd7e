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
    now_us: u64,
    timeout: Duration,
) -> Result<Decision, Undecided> {
    let counted = store.check(question, now_us + micros(timeout) / 4 * 3, timeout).await?;
    let allowed = match counted.verdict {
        Verdict::Allowed => true,
        Verdict::Denied => false,
        Verdict::Late => return Err(Undecided::Late),
        Verdict::Forgot => return Err(Undecided::Forgot),
    };
    let (oldest_us, now_us) = (counted.oldest_us, counted.now_us);
    let count = counted.count + question.known.unsynced;
    Ok(Decision { allowed, count, oldest_us, now_us, by: DecidedBy::Store })
}
