use std::time::Duration;

use ratelimiter_api::Limit;
use ratelimiter_lease::LeaseTerms;

/// How long a grant lasts on the store's clock.
///
/// Longer than any pause of the store that should go unnoticed, and short beside the windows of
/// most limits: the charge of a node that died is missing for this long beyond the window.
pub(crate) const LEASE: Duration = Duration::from_secs(1);
/// A time in which a grant that was given has ended by every node's clock.
pub(crate) const LEASE_ENDS: Duration = Duration::from_millis(1020);
/// The bound on the difference of rate between a node's clock and the store's: 1 %. Clocks that are
/// disciplined differ by 500 ppm at most.
const DRIFT_PERMILLE: u32 = 10;

/// The terms of a key's grants under its limit.
pub(super) fn terms(limit: Limit) -> LeaseTerms {
    LeaseTerms::new(limit.admissions(), limit.window(), LEASE, DRIFT_PERMILLE)
        .expect("a limit's window is positive")
}
