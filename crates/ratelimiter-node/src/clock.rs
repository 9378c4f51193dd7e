use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// A reading is used when the round trip it took was shorter than this, or when there is none yet: half of the round
/// trip bounds its error.
const GOOD_ROUND_TRIP: Duration = Duration::from_millis(20);

/// The store's clock as this node knows it, in microseconds since the Unix epoch.
///
/// All nodes put their admissions on this one time axis. It runs on the node's monotonic clock, corrected by readings
/// of the store's `TIME`, and never goes backwards.
#[derive(Debug)]
pub struct StoreClock {
    origin: Instant,
    origin_us: u64,
    offset_us: AtomicI64,
    synced: AtomicU64,
    last_us: AtomicU64,
}

impl StoreClock {
    /// A clock that starts from the system's time.
    pub fn new() -> Self {
        let origin_us = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, micros);
        Self {
            origin: Instant::now(),
            origin_us,
            offset_us: AtomicI64::new(0),
            synced: AtomicU64::new(0),
            last_us: AtomicU64::new(0),
        }
    }

    /// Now, on the store's clock.
    pub fn now_us(&self) -> u64 {
        let now = self.at_us(Instant::now());
        self.last_us.fetch_max(now, Ordering::Relaxed).max(now)
    }

    fn at_us(&self, instant: Instant) -> u64 {
        let local = self.origin_us + micros(instant.saturating_duration_since(self.origin));
        local.saturating_add_signed(self.offset_us.load(Ordering::Relaxed))
    }

    /// Takes a reading of the store's clock that was asked for at `sent` and is known since `received`.
    pub fn adjust(&self, store_us: u64, sent: Instant, received: Instant) {
        let round_trip = received.saturating_duration_since(sent);
        let first = self.synced.fetch_add(1, Ordering::Relaxed) == 0;
        if first || round_trip < GOOD_ROUND_TRIP {
            let known = self.at_us(sent + round_trip / 2);
            let error = store_us.cast_signed() - known.cast_signed();
            // Readings carry the noise of the network: only an error larger than that noise is one of the clock.
            if error.unsigned_abs() > micros(round_trip) / 2 {
                self.offset_us.fetch_add(error, Ordering::Relaxed);
            }
        }
    }
}

impl Default for StoreClock {
    fn default() -> Self {
        Self::new()
    }
}

/// A duration in whole microseconds.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_moves_the_clock_and_it_never_goes_back() {
        let clock = StoreClock::new();
        let before = clock.now_us();
        let at = Instant::now();
        clock.adjust(before + 5_000_000, at, at + Duration::from_millis(1));
        let ahead = clock.now_us();
        assert!(ahead >= before + 4_990_000, "{ahead} {before}");
        let at = Instant::now();
        clock.adjust(before, at, at + Duration::from_millis(1));
        assert!(clock.now_us() >= ahead);
    }

    #[test]
    fn a_slow_reading_is_not_believed_after_a_good_one() {
        let clock = StoreClock::new();
        let at = Instant::now();
        clock.adjust(clock.now_us(), at, at);
        let before = clock.now_us();
        clock.adjust(before + 60_000_000, at, at + Duration::from_secs(1));
        assert!(clock.now_us() < before + 30_000_000);
    }
}
