use ratelimiter_lease::NodeTime;
use rustix::time::{ClockId, clock_gettime};

/// This node's clock for leases. It goes on while the machine is suspended, as the store's does
/// elsewhere: a clock that stood still meanwhile would let a node spend grants that have ended.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// Now.
pub(crate) fn now() -> NodeTime {
    let time = clock_gettime(CLOCK);
    NodeTime::from_micros(
        time.tv_sec.cast_unsigned() * 1_000_000 + time.tv_nsec.cast_unsigned() / 1000,
    )
}
