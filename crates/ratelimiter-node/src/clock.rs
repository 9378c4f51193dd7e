use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;

/// A reading that disagrees by more than this is a jump of the store's clock.
const JUMP: Duration = Duration::from_millis(500);
/// A jump that lasts this long is followed. A pause of the machine, or a clock that is mended at
/// once, is not.
const PERSISTENT: Duration = Duration::from_secs(3);

/// The store's clock as this node estimates it, in microseconds since the Unix epoch.
///
/// All nodes put their admissions on this one time axis. It runs on the node's monotonic clock,
/// corrected by readings of the store's `TIME`.
///
/// The store read its time at some instant of the round trip. A clock that is right at one of these
/// instants agrees with the reading and is left alone; any other is moved until it agrees. So a
/// slow reading never spoils the estimate of a quick one, and a clock that drifts is noticed
/// however slow the readings are.
///
/// A correction never sets the clock back: it stands still until time has caught up, at most
/// `JUMP`. A reading that disagrees by more is a jump of the store's clock, which is followed only
/// once readings have agreed with each other for `PERSISTENT`; then the clock is set anew, also
/// back.
#[derive(Debug)]
pub(crate) struct StoreClock {
    origin: Instant,
    origin_us: u64,
    offset_us: AtomicI64,
    last_us: AtomicU64,
    is_read: AtomicBool,
    jumps: AtomicU64,
    /// Held while a reading is taken.
    jump: Mutex<Option<ClockJump>>,
}

/// A jump of the store's clock that is not followed yet.
#[derive(Clone, Copy, Debug)]
struct ClockJump {
    by_us: i64,
    since: Instant,
}

/// A reading of the store's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClockReading {
    /// The store's time, microseconds since the Unix epoch.
    pub(crate) store_us: u64,
    /// When it was asked for.
    pub(crate) sent: Instant,
    /// When the answer was there.
    pub(crate) received: Instant,
}

impl ClockReading {
    /// The answer to `TIME`: seconds and microseconds.
    pub(crate) fn new((seconds, micros): (u64, u64), sent: Instant, received: Instant) -> Self {
        Self {
            store_us: seconds * 1_000_000 + micros,
            sent,
            received,
        }
    }

    /// Time from the question to the answer.
    pub(crate) fn round_trip(&self) -> Duration {
        self.received.saturating_duration_since(self.sent)
    }
}

/// The use that was made of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClockChange {
    /// The first: the clock was set by it.
    First,
    /// The clock agrees with it.
    Slew,
    /// A jump began, and is not followed yet. Reported once a jump.
    Doubt,
    /// A jump lasted, and the clock was set anew.
    Rebase,
}

impl StoreClock {
    /// A clock that starts from the system's time.
    pub(crate) fn new() -> Self {
        let origin_us = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, micros);
        Self {
            origin: Instant::now(),
            origin_us,
            offset_us: AtomicI64::new(0),
            last_us: AtomicU64::new(0),
            is_read: AtomicBool::new(false),
            jumps: AtomicU64::new(0),
            jump: Mutex::default(),
        }
    }

    /// Now, on the store's clock.
    pub(crate) fn now_us(&self) -> u64 {
        let now = self.at_us(Instant::now());
        self.last_us.fetch_max(now, Ordering::Relaxed).max(now)
    }

    /// Jumps of the store's clock so far.
    pub(crate) fn jumps(&self) -> u64 {
        self.jumps.load(Ordering::Relaxed)
    }

    fn at_us(&self, instant: Instant) -> u64 {
        let local = self.origin_us + micros(instant.saturating_duration_since(self.origin));
        local.saturating_add_signed(self.offset_us.load(Ordering::Relaxed))
    }

    /// Whether it was ever set by the store's. Until then it is the system's clock, which may be
    /// another.
    pub(crate) fn is_read(&self) -> bool {
        self.is_read.load(Ordering::Acquire)
    }

    /// Takes a reading of the store's clock. Returns its use, and by how much it disagreed,
    /// microseconds.
    pub(crate) fn adjust(&self, reading: ClockReading) -> (ClockChange, i64) {
        let ClockReading {
            store_us,
            sent,
            received,
        } = reading;
        let round_trip = reading.round_trip();
        let noise = micros(round_trip / 2).cast_signed();
        let error = store_us.cast_signed() - self.at_us(sent + round_trip / 2).cast_signed();
        let by_us = error - error.clamp(-noise, noise);
        let jump_us = micros(JUMP).cast_signed();
        let mut doubted = self.jump.lock();
        if !self.is_read() {
            // The first is all there is to go by.
            self.rebase(error, received);
            self.is_read.store(true, Ordering::Release);
            return (ClockChange::First, error);
        }
        if by_us.abs() <= jump_us {
            *doubted = None;
            self.offset_us.fetch_add(by_us, Ordering::Relaxed);
            return (ClockChange::Slew, by_us);
        }
        let adjusted = match *doubted {
            Some(jump) if (by_us - jump.by_us).abs() <= jump_us + noise => {
                if received.saturating_duration_since(jump.since) < PERSISTENT {
                    return (ClockChange::Slew, by_us);
                }
                *doubted = None;
                self.rebase(by_us, received);
                ClockChange::Rebase
            }
            _ => {
                *doubted = Some(ClockJump {
                    by_us,
                    since: received,
                });
                self.jumps.fetch_add(1, Ordering::Relaxed);
                ClockChange::Doubt
            }
        };
        (adjusted, by_us)
    }

    fn rebase(&self, by_us: i64, now: Instant) {
        self.offset_us.fetch_add(by_us, Ordering::Relaxed);
        self.last_us.store(self.at_us(now), Ordering::Relaxed);
    }
}

/// A duration in whole microseconds.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000;
    const TRIP: Duration = Duration::from_millis(1);

    /// A clock that has had its first reading, and the instant of it.
    fn clock() -> (StoreClock, Instant) {
        let (clock, at) = (StoreClock::new(), Instant::now());
        clock.adjust(ClockReading {
            store_us: clock.at_us(at),
            sent: at,
            received: at,
        });
        (clock, at)
    }

    /// A quick reading, so long after `at`, of a store's clock that is ahead by so much.
    fn read(clock: &StoreClock, at: Instant, after: Duration, ahead_us: i64) -> ClockChange {
        let local = clock.origin_us + micros(at + after - clock.origin);
        let store_us = local.saturating_add_signed(ahead_us);
        clock
            .adjust(ClockReading {
                store_us,
                sent: at + after,
                received: at + after + TRIP,
            })
            .0
    }

    #[test]
    fn a_small_correction_never_goes_back() {
        let (clock, at) = clock();
        let before = clock.now_us();
        read(&clock, at, TRIP, 400_000);
        let ahead = clock.now_us();
        assert!(ahead >= before + 399_000, "{ahead} {before}");
        read(&clock, at, 2 * TRIP, 0);
        assert!(clock.now_us() >= ahead);
    }

    #[test]
    fn slow_reading_keeps_the_quick_one() {
        let (clock, at) = clock();
        let before = clock.at_us(at);
        // Read at the very end of a round trip of a second, so half a second after its middle.
        clock.adjust(ClockReading {
            store_us: before + S,
            sent: at,
            received: at + Duration::from_secs(1),
        });
        assert_eq!(clock.at_us(at), before);
    }

    #[test]
    fn slow_readings_catch_a_drifting_clock() {
        let (clock, at) = clock();
        let before = clock.at_us(at);
        let received = at + Duration::from_secs(1);
        clock.adjust(ClockReading {
            store_us: before + S + 300_000,
            sent: at,
            received,
        });
        assert_eq!(clock.at_us(at), before + 300_000);
    }

    #[test]
    fn a_jump_that_returns_leaves_no_trace() {
        let (clock, at) = clock();
        let before = clock.at_us(at);
        let second = Duration::from_secs(1);
        assert_eq!(read(&clock, at, second, 25_000_000), ClockChange::Doubt);
        assert_eq!(read(&clock, at, 2 * second, 25_000_000), ClockChange::Slew);
        assert_eq!(read(&clock, at, 3 * second, 0), ClockChange::Slew);
        assert_eq!((clock.at_us(at), clock.jumps()), (before, 1));
    }

    #[test]
    fn a_jump_that_lasts_is_followed_both_ways() {
        let (clock, at) = clock();
        let before = clock.at_us(at);
        let second = Duration::from_secs(1);
        for after in 1..=4 {
            read(&clock, at, after * second, 25_000_000);
        }
        assert!(clock.at_us(at).abs_diff(before + 25 * S) < 2000);
        let ahead = clock.now_us();
        for after in 5..=8 {
            read(&clock, at, after * second, 0);
        }
        assert!(clock.at_us(at).abs_diff(before) < 2000);
        assert!(clock.now_us() < ahead, "the clock was set back");
    }
}
