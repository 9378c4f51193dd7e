use std::collections::HashSet;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use ratelimiter_api::{CheckResponse, Key, KeyCounter, StoreCircuit};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::clock::micros;
use crate::limiter::GrantMetrics;
use crate::shared::StoreStatus;

/// Seconds; around what a loopback check takes, and up to the longest store timeout.
const CHECK_BUCKETS: [f64; 10] = [
    0.000_1, 0.000_25, 0.001, 0.002_5, 0.01, 0.025, 0.1, 0.25, 1.0, 10.0,
];

/// The node's numbers for Prometheus that grow with its checks; a [`NodeSnapshot`] has the others.
/// Keys are labels: there are only as many as limits were set.
#[derive(Debug)]
pub(crate) struct NodeMetrics {
    checks: Family<CheckLabels, Counter>,
    seen: Mutex<HashSet<CheckLabels>>,
    check_seconds: Histogram,
    recent: RecentLatency,
    shed: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    key: KeyLabelValue,
    decision: &'static str,
    decided_by: &'static str,
}

/// A key as a label, without copying its text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct KeyLabelValue(Key);

impl prometheus_client::encoding::EncodeLabelValue for KeyLabelValue {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.as_str().encode(encoder)
    }
}

/// The node's state at one instant. Only keys in use have counters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeSnapshot<'a> {
    pub(crate) counters: &'a [KeyCounter],
    pub(crate) store: StoreStatus,
    pub(crate) circuit: StoreCircuit,
    pub(crate) last_write: Option<Duration>,
    pub(crate) clock_steps: u64,
    pub(crate) evicts: bool,
    pub(crate) quarantined: usize,
    pub(crate) remembered: usize,
    pub(crate) lost: u64,
    /// Answers of the store that were followed by another attempt, over all links.
    pub(crate) redirects: &'a [(&'static str, u64)],
    pub(crate) grants: &'a GrantMetrics,
}

/// The value of a gauge, where it is known.
type KeyGauge = fn(&KeyCounter) -> Option<u64>;

impl NodeMetrics {
    pub(crate) fn new() -> Self {
        Self {
            checks: Family::default(),
            seen: Mutex::default(),
            check_seconds: Histogram::new(CHECK_BUCKETS),
            recent: RecentLatency::new(),
            shed: Counter::default(),
        }
    }

    /// A check was answered.
    pub(crate) fn checked(&self, key: &Key, response: &CheckResponse, took: Duration) {
        let labels = CheckLabels {
            key: KeyLabelValue(key.clone()),
            decision: if response.allowed {
                "allowed"
            } else {
                "denied"
            },
            decided_by: response.decided_by.as_str(),
        };
        // A series is noted when it begins, so that most checks need no lock of their own here.
        let known = self
            .checks
            .get(&labels)
            .map(|checks| checks.inc())
            .is_some();
        if !known {
            self.checks.get_or_create(&labels).inc();
            self.seen.lock().insert(labels);
        }
        self.check_seconds.observe(took.as_secs_f64());
        self.recent.record(took);
    }

    /// The 99th percentile of the last checks' durations; nothing without checks.
    pub(crate) fn check_p99(&self) -> Option<Duration> {
        self.recent.p99()
    }

    /// A connection came for which there was no place.
    pub(crate) fn shed(&self) {
        self.shed.inc();
    }

    /// Drops the series of keys whose limit is gone: there are never more keys than limits.
    pub(crate) fn retain(&self, has_limit: impl Fn(&Key) -> bool) {
        let mut seen = self.seen.lock();
        seen.retain(|labels| {
            let keep = has_limit(&labels.key.0);
            if !keep {
                self.checks.remove(labels);
            }
            keep
        });
    }

    /// The text that Prometheus reads.
    pub(crate) fn render(&self, now: &NodeSnapshot<'_>) -> String {
        let mut all = Registry::with_prefix("ratelimiter");
        all.register("checks", "Checks answered", self.checks.clone());
        all.register_with_unit(
            "check_duration",
            "Time to answer a check",
            Unit::Seconds,
            self.check_seconds.clone(),
        );
        all.register(
            "shed_connections",
            "Connections beyond the bounds",
            self.shed.clone(),
        );
        now.grants.register(&mut all);
        now.register(&mut all);
        let mut text = String::new();
        encode(&mut text, &all).expect("writing to a string does not fail");
        text
    }
}

impl NodeSnapshot<'_> {
    fn register(&self, all: &mut Registry) {
        let tasks = Handle::try_current().map_or(0, |runtime| runtime.metrics().num_alive_tasks());
        for (name, help, value) in [
            (
                "store_clock_jumps",
                "Steps of the store's clock by more than half a second",
                self.clock_steps,
            ),
            (
                "store_evicts",
                "Whether the store drops entries when its memory is full",
                self.evicts.into(),
            ),
            (
                "store_quarantined",
                "Entries of the store that had a wrong type and were put aside",
                self.quarantined as u64,
            ),
            (
                "remembered_admissions",
                "Admissions in this node's memory, of all keys",
                self.remembered as u64,
            ),
            (
                "lost_admissions",
                "Admissions that the store had confirmed and lost, since the start; each was sent \
                 again",
                self.lost,
            ),
            (
                "store_connected",
                "Whether the store answered the last read",
                self.store.connected.into(),
            ),
            (
                "store_circuit_open",
                "Whether checks are decided without asking the store",
                (self.circuit != StoreCircuit::Closed).into(),
            ),
            (
                "tasks",
                "Tasks of the node's runtime: its own, and one for each connection",
                tasks as u64,
            ),
        ] {
            all.register(name, help, ConstGauge::new(value));
        }
        for (name, help, time) in [
            (
                "store_latency",
                "Time the last read took",
                self.store.latency,
            ),
            (
                "last_write_age",
                "Time since the store confirmed a write",
                self.last_write,
            ),
        ] {
            let seconds = time.map_or(f64::NAN, |time| time.as_secs_f64());
            all.register_with_unit(name, help, Unit::Seconds, ConstGauge::new(seconds));
        }
        let redirects = Family::<[(&str, &str); 1], Gauge>::default();
        for (kind, count) in self.redirects {
            redirects
                .get_or_create(&[("kind", *kind)])
                .set(count.cast_signed());
        }
        all.register(
            "store_redirects",
            "Answers of the store that were followed by another attempt, such as MOVED, since the \
             start",
            redirects,
        );
        self.register_keys(all);
    }

    /// A gauge for each key in use. One whose value is not known is left out: it is not zero.
    fn register_keys(&self, all: &mut Registry) {
        let gauges: [(&str, &str, KeyGauge); 6] = [
            ("limit", "Admissions allowed in a window", |counter| {
                Some(counter.limit.admissions().into())
            }),
            (
                "admissions",
                "This node's own admissions in the window",
                |counter| Some(counter.count),
            ),
            (
                "unsynced_admissions",
                "This node's admissions that the store has not confirmed",
                |counter| Some(counter.unsynced),
            ),
            (
                "shared_admissions",
                "Admissions in the window as the store last counted them",
                |counter| counter.shared,
            ),
            (
                "unspent_admissions",
                "Admissions of leases that the node may still spend",
                |counter| Some(counter.lease?.unspent),
            ),
            (
                "stranded_admissions",
                "Unspent admissions of leases that the store has yet to take back",
                |counter| Some(counter.lease?.stranded),
            ),
        ];
        for (name, help, value) in gauges {
            let family = Family::<[(&str, KeyLabelValue); 1], Gauge>::default();
            for counter in self.counters {
                if let Some(value) = value(counter) {
                    let key = KeyLabelValue(counter.key.clone());
                    family
                        .get_or_create(&[("key", key)])
                        .set(value.cast_signed());
                }
            }
            all.register(name, help, family);
        }
    }
}

/// How far back a percentile looks: between one and two of these.
const HALF: Duration = Duration::from_millis(2500);

/// Percentiles of recent durations: two histograms, of which the older is dropped every [`HALF`].
#[derive(Debug)]
struct RecentLatency(Mutex<LatencyHalves>);

#[derive(Debug)]
struct LatencyHalves {
    now: hdrhistogram::Histogram<u64>,
    before: hdrhistogram::Histogram<u64>,
    since: Instant,
}

impl RecentLatency {
    fn new() -> Self {
        // One microsecond to one minute with two digits: 1 % is more than enough for a threshold.
        let empty = hdrhistogram::Histogram::new_with_bounds(1, 60_000_000, 2)
            .expect("the bounds are valid");
        Self(Mutex::new(LatencyHalves {
            now: empty.clone(),
            before: empty,
            since: Instant::now(),
        }))
    }

    fn record(&self, took: Duration) {
        let mut halves = self.0.lock();
        halves.rotate(Instant::now());
        halves.now.saturating_record(micros(took));
    }

    /// The 99th percentile, or nothing when nothing was recorded lately.
    fn p99(&self) -> Option<Duration> {
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
