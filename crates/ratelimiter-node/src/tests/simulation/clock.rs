//! The clocks of a node in tests: that of leases is the runtime's, which a simulation drives, and
//! that of the system is the one that the simulation has set on its thread.

use std::cell::Cell;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

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

thread_local! {
    static SYSTEM_US: Cell<Option<u64>> = const { Cell::new(None) };
}

/// The system's clock, microseconds since the Unix epoch.
pub(crate) fn system_us() -> u64 {
    SYSTEM_US.get().unwrap_or_else(|| {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        u64::try_from(since.as_micros()).unwrap()
    })
}

/// Sets the system's clock of nodes that start on this thread.
pub(crate) fn set_system(us: u64) {
    SYSTEM_US.set(Some(us));
}
