use std::time::Duration;

use ratelimiter_api::DecidedBy;

use super::{Decision, Undecided};
use crate::shared::{ScriptArgs, SharedStore};

/// One script call: exact, at the price of a round trip, and of the store's availability.
///
/// The script refuses to count a check that reaches it after its deadline, so what the store postponed does not
/// count later what the caller was told long before.
pub(crate) async fn decide(
    store: &SharedStore,
    args: ScriptArgs<'_>,
    timeout: Duration,
) -> Result<Decision, Undecided> {
    let counted = store.check(args, timeout).await?;
    let allowed = counted.allowed.ok_or(Undecided::Late)?;
    let (count, oldest_us, now_us) = (counted.count, counted.oldest_us, counted.now_us);
    Ok(Decision { allowed, count, oldest_us, now_us, by: DecidedBy::Store })
}
