use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use system_time::system_us;

/// A store's clock that is off by more than the uncertainty of the readings and this has stepped.
const STEP: Duration = Duration::from_millis(20);
/// A step of at least this is counted and logged.
const NOTABLE: Duration = Duration::from_millis(500);
/// A node that starts believes a common clock with a heartbeat this fresh. Without one it waits as
/// long for the others' heartbeats,
const FRESH: Duration = Duration::from_millis(500);
/// and without any believes a store's clock that agrees with its system's as well as this.
const AGREES: Duration = Duration::from_millis(100);
/// The lives of entries in the store, which expire by its raw clock, outlast a step forward of this
/// length.
pub(crate) const BRIDGED: Duration = Duration::from_secs(3600);

/// The common clock as this node estimates it, in microseconds since the Unix epoch.
///
/// All nodes put their admissions on this one time axis. It advances as the nodes' monotonic clocks
/// do, whatever the store's clock does:
///
/// ```text
///   store's clock      ____________/      steps
///   + offset           ‾‾‾‾‾‾‾‾‾‾‾‾\      set by the node that finds the step
///   = common clock     _____________      goes on
/// ```
///
/// A node reads the store's clock and the offset at every sync, and compares their sum with its own
/// estimate. The store read its clock at some instant of the round trip:
///
/// - The sum agrees with one of these instants: nothing is to be done.
/// - It is ahead of all of them by no more than this node may lag: the estimate follows. It lags by
///   at most the shortest round trip so far.
/// - It is further ahead: the store's clock stepped, and the offset is lowered.
/// - It is behind all of them by less than a step: the node's clock is fast, and stands still.
/// - It is further behind: the store's clock stepped back, and the offset is raised.
///
/// So the common clock runs at the store's rate, and no step of it is followed. What a heartbeat
/// carries is true of a past instant: a node that fell behind, since its machine was suspended,
/// catches up with the newest (`at`).
///
/// A node that starts has no clock to compare with. One heartbeat that is old does not tell a
/// store's clock that stepped from a store that takes no writes, nor from an outage of all nodes. A
/// store without any may be a new one, or have lost its state while others run; where its clock
/// agrees with this node's system's, nothing is lost by that. Otherwise the node waits until the
/// store has had a heartbeat of its own for half a second:
///
/// - Heartbeats went on: others run, and the newest is the common clock.
/// - None came: nobody has a clock that ran on. The store's is taken if it agrees with this node's
///   system's. Otherwise the common clock goes on from the last heartbeat: windows go on where they
///   stopped.
#[derive(Debug)]
pub(crate) struct StoreClock {
    origin: Instant,
    origin_us: u64,
    offset_us: AtomicI64,
    last_us: AtomicU64,
    is_read: AtomicBool,
    steps: AtomicU64,
    /// By how much the estimate may lag: the shortest round trip, microseconds.
    lag_us: AtomicU64,
    /// A step that was found and that is not in the offset yet. Held while a reading is taken.
    change: Mutex<Option<OffsetChange>>,
    /// Since when the store has a heartbeat of this node, and the newest of any then: whether
    /// others run is known some time later. For the first use of a reading alone.
    heard: Mutex<Option<(Instant, u64)>>,
}

/// An offset to be set, in place of the one that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetChange {
    pub(crate) seen_us: i64,
    pub(crate) offset_us: i64,
}

/// A reading of the store's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClockReading {
    /// The store's time, microseconds since the Unix epoch.
    raw_us: u64,
    /// What has to be added to it.
    offset_us: i64,
    /// The newest time that a heartbeat carried; zero before the first.
    at_us: u64,
    /// Whether the store had a heartbeat of this node: it takes writes, of others too.
    pub(crate) is_heard: bool,
    /// When it was asked for.
    sent: Instant,
    /// When the answer was there.
    received: Instant,
}

/// The fields of the common clock's hash in the store: offset and newest time.
pub(crate) type ClockFields = (Option<i64>, Option<u64>);

impl ClockReading {
    /// The answer to `TIME`, seconds and microseconds, and the fields of the common clock.
    pub(crate) fn new(
        (seconds, micros): (u64, u64),
        (offset, at): ClockFields,
        sent: Instant,
        received: Instant,
    ) -> Self {
        Self {
            raw_us: seconds * 1_000_000 + micros,
            offset_us: offset.unwrap_or(0),
            at_us: at.unwrap_or(0),
            is_heard: false,
            sent,
            received,
        }
    }

    /// The common clock, as of this reading.
    pub(crate) fn common_us(&self) -> u64 {
        self.raw_us.saturating_add_signed(self.offset_us)
    }

    /// Time from the question to the answer.
    pub(crate) fn round_trip(&self) -> Duration {
        self.received.saturating_duration_since(self.sent)
    }

    /// The offset that makes the common clock this at the reading.
    fn offset_for(&self, common_us: u64) -> OffsetChange {
        OffsetChange {
            seen_us: self.offset_us,
            offset_us: common_us.cast_signed() - self.raw_us.cast_signed(),
        }
    }
}

/// The use that was made of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClockChange {
    /// None: whether the store's clock can be believed is not known yet.
    Wait,
    /// The first: the clock was set by it, by so many microseconds.
    First(i64),
    /// The clock agrees with it, or followed it.
    Slew,
    /// The store's clock stepped by so many microseconds, and its offset is to be set.
    Step(i64),
}

impl StoreClock {
    /// A clock that starts from the system's time.
    pub(crate) fn new() -> Self {
        let origin_us = system_us();
        Self {
            origin: Instant::now(),
            origin_us,
            offset_us: AtomicI64::new(0),
            last_us: AtomicU64::new(0),
            is_read: AtomicBool::new(false),
            steps: AtomicU64::new(0),
            lag_us: AtomicU64::new(0),
            change: Mutex::default(),
            heard: Mutex::default(),
        }
    }

    /// Now, on the common clock.
    pub(crate) fn now_us(&self) -> u64 {
        let now = self.at_us(Instant::now());
        self.last_us.fetch_max(now, Ordering::Relaxed).max(now)
    }

    /// Now, once the common clock was read.
    pub(crate) fn read_us(&self) -> Option<u64> {
        self.is_read().then(|| self.now_us())
    }

    /// By how much this clock may be too early, microseconds.
    pub(crate) fn lag_us(&self) -> u64 {
        self.lag_us.load(Ordering::Relaxed)
    }

    /// Steps of the store's clock by more than half a second so far.
    pub(crate) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
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

    /// The offset to be set in the store, if there is one.
    pub(crate) fn change(&self) -> Option<OffsetChange> {
        *self.change.lock()
    }

    /// Takes a reading of the store's clock, and returns its use.
    pub(crate) fn adjust(&self, reading: ClockReading) -> ClockChange {
        let mut found = self.change.lock();
        let lag_us = micros(reading.round_trip());
        let common_us = reading.common_us();
        if !self.is_read() {
            let Some(first_us) = self.first(reading) else {
                return ClockChange::Wait;
            };
            let by_us = first_us.cast_signed() - self.at_us(reading.received).cast_signed();
            self.offset_us.fetch_add(by_us, Ordering::Relaxed);
            self.last_us
                .store(self.at_us(reading.received), Ordering::Relaxed);
            self.lag_us.store(lag_us, Ordering::Relaxed);
            self.is_read.store(true, Ordering::Release);
            return ClockChange::First(by_us);
        }
        let fell_behind = reading.at_us > self.at_us(reading.received);
        if fell_behind {
            self.advance_to(reading.at_us, reading.received);
        }
        let (sent_us, received_us) = (self.at_us(reading.sent), self.at_us(reading.received));
        let ahead_us = common_us.saturating_sub(received_us);
        let may_lag_us = if fell_behind {
            micros(NOTABLE)
        } else {
            self.lag_us() + micros(STEP)
        };
        let behind_us = sent_us.saturating_sub(common_us);
        let is_step = ahead_us > may_lag_us || behind_us > micros(STEP);
        let before = found.take();
        if !is_step {
            self.advance_to(common_us, reading.received);
            // What was read before holds: this clock stands still until it is caught up with.
            self.offset_us
                .fetch_sub(behind_us.cast_signed(), Ordering::Relaxed);
            self.lag_us.fetch_min(lag_us, Ordering::Relaxed);
            return ClockChange::Slew;
        }
        // Early rather than late: an earlier clock frees nothing too soon.
        let change = reading.offset_for(sent_us);
        *found = Some(change);
        let by_us = change.seen_us - change.offset_us;
        let is_known = before.is_some_and(|before| before.seen_us == change.seen_us);
        if by_us.unsigned_abs() < micros(NOTABLE) || is_known {
            return ClockChange::Slew;
        }
        self.steps.fetch_add(1, Ordering::Relaxed);
        ClockChange::Step(by_us)
    }

    /// The common clock at a reading's answer, or a little earlier; none while it is not known.
    fn first(&self, reading: ClockReading) -> Option<u64> {
        let common_us = reading.common_us();
        let is_fresh = (reading.at_us..=reading.at_us + micros(FRESH)).contains(&common_us);
        // Before the first reading this is the system's clock.
        let earliest_us = self.at_us(reading.sent).saturating_sub(micros(AGREES));
        let latest_us = self.at_us(reading.received) + micros(AGREES);
        let agrees = (earliest_us..=latest_us).contains(&reading.raw_us);
        if is_fresh || agrees && reading.at_us == 0 {
            return Some(common_us);
        }
        let mut heard = self.heard.lock();
        // A store that lost its state meanwhile has to be listened to anew.
        let before = heard.filter(|(_, at_us)| reading.is_heard && *at_us <= reading.at_us);
        let (since, at_us) = before.unwrap_or((reading.sent, reading.at_us));
        *heard = reading.is_heard.then_some((since, at_us));
        if !reading.is_heard || reading.sent < since + FRESH {
            return None;
        }
        let others_run = at_us < reading.at_us;
        let goes_on = reading.at_us > 0 && (others_run || !agrees);
        Some(if goes_on { reading.at_us } else { common_us })
    }

    fn advance_to(&self, common_us: u64, at: Instant) {
        let behind = common_us.saturating_sub(self.at_us(at));
        self.offset_us
            .fetch_add(behind.cast_signed(), Ordering::Relaxed);
    }
}

#[cfg(not(test))]
mod system_time {
    /// The system's clock, microseconds since the Unix epoch.
    pub(super) fn system_us() -> u64 {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
        since.map_or(0, super::micros)
    }
}
#[cfg(test)]
use crate::tests::simulation::clock as system_time;

/// A duration in whole microseconds.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000;
    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    /// A node's clock, and the store's clock and mark that it reads.
    struct Pair {
        clock: StoreClock,
        at: Instant,
        /// The store's clock ahead of the system's.
        ahead_us: i64,
        offset_us: i64,
        mark_us: u64,
    }

    impl Pair {
        fn new() -> Self {
            let (clock, at) = (StoreClock::new(), Instant::now());
            let pair = Self {
                clock,
                at,
                ahead_us: 0,
                offset_us: 0,
                mark_us: 0,
            };
            assert_eq!(pair.read(Duration::ZERO, MS), ClockChange::First(0));
            pair
        }

        /// A reading so long after the start, at the end of such a round trip.
        fn read(&self, after: Duration, trip: Duration) -> ClockChange {
            let received = self.at + after;
            self.clock.adjust(ClockReading {
                raw_us: self.true_us(after).saturating_add_signed(self.ahead_us),
                offset_us: self.offset_us,
                at_us: self.mark_us,
                is_heard: true,
                sent: received - trip,
                received,
            })
        }

        fn true_us(&self, after: Duration) -> u64 {
            self.clock.origin_us + micros(self.at + after - self.clock.origin)
        }

        /// By how much the node's clock is ahead of the true time, microseconds.
        fn error_us(&self, after: Duration) -> i64 {
            self.clock.at_us(self.at + after).cast_signed() - self.true_us(after).cast_signed()
        }
    }

    #[test]
    fn no_step_of_the_store_moves_it() {
        for ahead_us in [-800_000, 800_000, 25_000_000, -25_000_000, 100_000] {
            let mut pair = Pair::new();
            pair.ahead_us = ahead_us;
            pair.read(SECOND, MS);
            assert_eq!(pair.error_us(SECOND), 0, "{ahead_us}");
            let change = pair.clock.change().unwrap();
            assert_eq!(change.seen_us, 0);
            // The reading was taken at the end of the round trip, and counts for its start.
            assert_eq!(change.offset_us, -ahead_us - 1000);
            pair.offset_us = change.offset_us;
            assert_eq!(pair.read(2 * SECOND, MS), ClockChange::Slew);
            assert_eq!((pair.clock.change(), pair.error_us(SECOND)), (None, 0));
        }
    }

    #[test]
    fn notable_step_is_counted_once() {
        let mut pair = Pair::new();
        pair.ahead_us = 25_000_000;
        assert_eq!(pair.read(SECOND, MS), ClockChange::Step(25_001_000));
        assert_eq!(pair.read(2 * SECOND, MS), ClockChange::Slew);
        assert_eq!(pair.clock.steps(), 1);
    }

    #[test]
    fn slow_reading_keeps_the_quick_one() {
        let pair = Pair::new();
        assert_eq!(pair.read(SECOND, SECOND / 2), ClockChange::Slew);
        assert_eq!((pair.error_us(SECOND), pair.clock.change()), (0, None));
    }

    #[test]
    fn slow_first_reading_catches_up_later() {
        let (clock, at) = (StoreClock::new(), Instant::now());
        let pair = Pair {
            clock,
            at,
            ahead_us: 0,
            offset_us: 0,
            mark_us: 0,
        };
        // Read at the start of a round trip of 300 ms.
        pair.clock.adjust(ClockReading {
            raw_us: pair.true_us(Duration::ZERO),
            offset_us: 0,
            at_us: 0,
            is_heard: true,
            sent: at,
            received: at + 300 * MS,
        });
        assert_eq!(pair.error_us(SECOND), -300_000);
        assert_eq!(pair.read(SECOND, MS), ClockChange::Slew);
        assert_eq!(pair.error_us(SECOND), 0);
    }

    #[test]
    fn suspended_node_catches_up_with_heartbeats() {
        let mut pair = Pair::new();
        // An hour passed for the others.
        pair.ahead_us = 3600 * 1_000_000;
        pair.mark_us = pair.true_us(SECOND) + 3600 * S - 200_000;
        assert_eq!(pair.read(SECOND, MS), ClockChange::Slew);
        assert_eq!(pair.error_us(SECOND), 3600 * 1_000_000);
    }

    /// A reading at a node's start: so long after it, with the newest heartbeat so old on the clock
    /// before a step, and whether its own was there; no heartbeat at all where the age is `None`.
    type StartReading = (Duration, Option<Duration>, bool);

    /// The first use of a store's clock that is ahead by so much, by a node that starts.
    fn start(ahead_us: i64, readings: &[StartReading]) -> Option<i64> {
        let (clock, at) = (StoreClock::new(), Instant::now());
        readings.iter().find_map(|(after, age, is_heard)| {
            let true_us = clock.origin_us + micros(at + *after - clock.origin);
            let change = clock.adjust(ClockReading {
                raw_us: true_us.saturating_add_signed(ahead_us),
                offset_us: 0,
                at_us: age.map_or(0, |age| true_us - micros(age)),
                is_heard: *is_heard,
                sent: at + *after,
                received: at + *after,
            });
            match change {
                ClockChange::First(by_us) => Some(by_us),
                ClockChange::Wait => None,
                other => panic!("{other:?}"),
            }
        })
    }

    #[test]
    fn step_while_others_run_is_not_believed() {
        let beating = [0, 200, 400, 600].map(|after| (after * MS, Some(300 * MS), true));
        for ahead_us in [600_000, 800_000, 1_000_000, -800_000, 3_000_000] {
            assert_eq!(start(ahead_us, &beating[..3]), None, "{ahead_us}");
            assert_eq!(start(ahead_us, &beating), Some(-300_000), "{ahead_us}");
        }
    }

    /// The last heartbeat grows older while the store takes no writes.
    #[test]
    fn pause_of_writes_is_no_step() {
        let silent = [0, 400, 800].map(|after| (after * MS, Some((700 + after) * MS), false));
        let resumed = [(1200 * MS, Some(10 * MS), true)];
        assert_eq!(start(0, &silent), None, "nothing is known");
        assert_eq!(start(0, &[&silent[..], &resumed].concat()), Some(0));
    }

    /// Others run, and the store lost their heartbeats twice.
    #[test]
    fn store_that_lost_its_state_is_listened_to_anew() {
        let ahead_us = 25_000_000;
        let again = [
            (Duration::ZERO, None, true),
            (300 * MS, None, false),
            (600 * MS, None, true),
            (900 * MS, Some(100 * MS), true),
        ];
        assert_eq!(
            start(ahead_us, &again),
            None,
            "half a second has not passed"
        );
        let later = (1200 * MS, Some(100 * MS), true);
        let all = [&again[..], &[later]].concat();
        assert_eq!(start(ahead_us, &all), Some(-100_000));
    }

    #[test]
    fn after_an_outage_only_an_agreeing_clock_is_believed() {
        let age = 600 * SECOND;
        let silent = [0, 300, 600].map(|after| (after * MS, Some(age + after * MS), true));
        for (ahead_us, first) in [(0, 0), (3600 * 1_000_000, -600_600_000)] {
            assert_eq!(start(ahead_us, &silent[..2]), None, "{ahead_us}");
            assert_eq!(start(ahead_us, &silent), Some(first), "{ahead_us}");
        }
    }
}
