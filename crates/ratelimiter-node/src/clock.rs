use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// The store's clock as this node knows it, in microseconds since the Unix epoch.
///
/// All nodes put their admissions on this one time axis. It runs on the node's monotonic clock, corrected by readings
/// of the store's `TIME`, and never goes backwards.
///
/// The store told its time at some instant of the round trip. A clock that is right at one of these instants agrees with
/// the reading and is left alone; any other is moved until it agrees. So a slow reading never spoils what a quick one
/// established, and a clock that runs away is noticed however slow the readings are.
#[derive(Debug)]
pub struct StoreClock {
    origin: Instant,
    origin_us: u64,
    offset_us: AtomicI64,
    read: AtomicBool,
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
            read: AtomicBool::new(false),
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
        let noise = micros(round_trip / 2).cast_signed();
        let error = store_us.cast_signed() - self.at_us(sent + round_trip / 2).cast_signed();
        // The first is all there is to go by.
        let first = !self.read.swap(true, Ordering::Relaxed);
        let correction = if first { error } else { error - error.clamp(-noise, noise) };
        self.offset_us.fetch_add(correction, Ordering::Relaxed);
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
    fn a_slow_reading_does_not_spoil_what_a_quick_one_established() {
        let clock = StoreClock::new();
        let at = Instant::now();
        clock.adjust(clock.at_us(at), at, at);
        let before = clock.at_us(at);
        // Told at the very end of a round trip of a second, so half a second after its middle.
        clock.adjust(before + 1_000_000, at, at + Duration::from_secs(1));
        assert_eq!(clock.at_us(at), before);
    }

    #[test]
    fn a_clock_that_ran_away_is_caught_by_slow_readings_too() {
        let clock = StoreClock::new();
        let at = Instant::now();
        clock.adjust(clock.at_us(at), at, at);
        let before = clock.at_us(at);
        clock.adjust(before + 60_000_000, at, at + Duration::from_secs(1));
        assert_eq!(clock.at_us(at), before + 59_000_000);
    }
}
