//! The leases' clock in tests: that of the runtime, which a simulation drives.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use ratelimiter_lease::NodeTime;

/// Before the begin of every runtime, whose virtual time may have advanced far beyond the real one.
static ORIGIN: LazyLock<Instant> = LazyLock::new(|| {
    let before = Instant::now().checked_sub(Duration::from_secs(60));
    before.expect("the machine is up for longer")
});

/// Now.
pub(crate) fn now() -> NodeTime {
    let now = tokio::time::Instant::now().into_std();
    NodeTime::default() + now.duration_since(*ORIGIN)
}
