use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use parking_lot::Mutex;

/// How far back a percentile looks: between one and two of these.
const HALF: Duration = Duration::from_millis(2500);

/// Percentiles of recent durations: two histograms, of which the older is dropped every [`HALF`].
#[derive(Debug)]
pub(crate) struct RecentLatency(Mutex<LatencyHalves>);

#[derive(Debug)]
struct LatencyHalves {
    now: Histogram<u64>,
    before: Histogram<u64>,
    since: Instant,
}

impl RecentLatency {
    pub(crate) fn new() -> Self {
        // One microsecond to one minute with two digits: 1 % is more than enough for a threshold.
        let empty = Histogram::new_with_bounds(1, 60_000_000, 2).expect("the bounds are valid");
        Self(Mutex::new(LatencyHalves {
            now: empty.clone(),
            before: empty,
            since: Instant::now(),
        }))
    }

    pub(crate) fn record(&self, took: Duration) {
        let mut halves = self.0.lock();
        halves.rotate(Instant::now());
        halves.now.saturating_record(crate::clock::micros(took));
    }

    /// The 99th percentile, or nothing when nothing was recorded lately.
    pub(crate) fn p99(&self) -> Option<Duration> {
        let mut halves = self.0.lock();
        halves.rotate(Instant::now());
        let mut both = halves.before.clone();
        both.add(&halves.now).expect("both have the same bounds");
        (!both.is_empty()).then(|| Duration::from_micros(both.value_at_quantile(0.99)))
    }
}

impl LatencyHalves {
    fn rotate(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.since);
        if age >= HALF {
            std::mem::swap(&mut self.now, &mut self.before);
            self.now.reset();
            if age >= 2 * HALF {
                self.before.reset();
            }
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_percent_decides() {
        let recent = RecentLatency::new();
        assert_eq!(recent.p99(), None);
        (0..95).for_each(|_| recent.record(Duration::from_millis(1)));
        (0..5).for_each(|_| recent.record(Duration::from_millis(200)));
        let p99 = recent.p99().unwrap();
        assert!(
            p99 > Duration::from_millis(190) && p99 < Duration::from_millis(210),
            "{p99:?}"
        );
    }
}
