use std::collections::HashSet;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry, Unit};
use ratelimiter_api::{CheckResponse, Key, KeyCounter, StoreCircuit};
use tokio::runtime::Handle;

use crate::clock::micros;
use crate::limiter::GrantMetrics;
use crate::shared::StoreStatus;

/// Seconds; around what a loopback check takes, and up to the longest store timeout.
const CHECK_BUCKETS: [f64; 10] = [
    0.000_1, 0.000_25, 0.001, 0.002_5, 0.01, 0.025, 0.1, 0.25, 1.0, 10.0,
];

/// The node's numbers for Prometheus. Keys are labels: there are only as many as limits were set.
#[derive(Debug)]
pub(crate) struct NodeMetrics {
    registry: Registry,
    checks: Family<CheckLabels, Counter>,
    seen: Mutex<HashSet<CheckLabels>>,
    /// Held while the gauges are set and read: two who ask at once must not get each other's
    /// halves.
    rendering: Mutex<()>,
    check_seconds: Histogram,
    recent: RecentLatency,
    shed: Counter,
    lost: Gauge,
    redirects: Family<RedirectLabel, Gauge>,
    clock_jumps: Gauge,
    remembered: Gauge,
    limit: Family<KeyLabel, Gauge>,
    admissions: Family<KeyLabel, Gauge>,
    unsynced: Family<KeyLabel, Gauge>,
    shared: Family<KeyLabel, Gauge>,
    unspent: Family<KeyLabel, Gauge>,
    stranded: Family<KeyLabel, Gauge>,
    connected: Gauge,
    circuit_open: Gauge,
    tasks: Gauge,
    store_latency: Gauge<f64, std::sync::atomic::AtomicU64>,
    last_write_age: Gauge<f64, std::sync::atomic::AtomicU64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    key: KeyLabelValue,
    decision: &'static str,
    decided_by: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeyLabel {
    key: KeyLabelValue,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RedirectLabel {
    kind: &'static str,
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
    pub(crate) clock_jumps: u64,
    pub(crate) remembered: usize,
    pub(crate) lost: u64,
    /// Answers of the store that were followed by another attempt, over all links.
    pub(crate) redirects: &'a [(&'static str, u64)],
}

impl NodeMetrics {
    pub(crate) fn new(grants: &GrantMetrics) -> Self {
        let mut all = Registry::with_prefix("ratelimiter");
        Self {
            checks: register(&mut all, "checks", "Checks answered"),
            check_seconds: register_seconds(
                &mut all,
                "check_duration",
                "Time to answer a check",
                Histogram::new(CHECK_BUCKETS),
            ),
            clock_jumps: register(
                &mut all,
                "store_clock_jumps",
                "Jumps of the store's clock by more than half a second",
            ),
            remembered: register(
                &mut all,
                "remembered_admissions",
                "Admissions in this node's memory, of all keys",
            ),
            lost: register(
                &mut all,
                "lost_admissions",
                "Admissions that the store had confirmed and lost, since the start; each was sent \
                 again",
            ),
            redirects: register(
                &mut all,
                "store_redirects",
                "Answers of the store that were followed by another attempt, such as MOVED, since \
                 the start",
            ),
            shed: register(
                &mut all,
                "shed_connections",
                "Connections beyond the bounds",
            ),
            limit: register(&mut all, "limit", "Admissions allowed in a window"),
            admissions: register(
                &mut all,
                "admissions",
                "This node's own admissions in the window",
            ),
            unsynced: register(
                &mut all,
                "unsynced_admissions",
                "This node's admissions that the store has not confirmed",
            ),
            shared: register(
                &mut all,
                "shared_admissions",
                "Admissions in the window as the store last counted them",
            ),
            unspent: register(
                &mut all,
                "unspent_admissions",
                "Admissions of leases that the node may still spend",
            ),
            stranded: register(
                &mut all,
                "stranded_admissions",
                "Unspent admissions of leases that the store has yet to take back",
            ),
            connected: register(
                &mut all,
                "store_connected",
                "Whether the store answered the last read",
            ),
            tasks: register(
                &mut all,
                "tasks",
                "Tasks of the node's runtime: its own, and one for each connection",
            ),
            circuit_open: register(
                &mut all,
                "store_circuit_open",
                "Whether checks are decided without asking the store",
            ),
            store_latency: register_seconds(
                &mut all,
                "store_latency",
                "Time the last read took",
                Gauge::default(),
            ),
            last_write_age: register_seconds(
                &mut all,
                "last_write_age",
                "Time since the store confirmed a write",
                Gauge::default(),
            ),
            recent: RecentLatency::new(),
            seen: Mutex::default(),
            rendering: Mutex::default(),
            registry: {
                grants.register(&mut all);
                all
            },
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

    /// Drops the series of keys whose limit is gone, so that there are never more than limits,
    /// asked for or not.
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

    /// The text that Prometheus reads, with gauges as they are now.
    pub(crate) fn render(&self, now: &NodeSnapshot<'_>) -> String {
        let NodeSnapshot {
            counters,
            store,
            circuit,
            last_write,
            clock_jumps,
            remembered,
            lost,
            redirects,
        } = *now;
        for (kind, count) in redirects {
            self.redirects
                .get_or_create(&RedirectLabel { kind })
                .set(count.cast_signed());
        }
        self.lost.set(lost.cast_signed());
        self.clock_jumps.set(clock_jumps.cast_signed());
        self.remembered
            .set(i64::try_from(remembered).unwrap_or(i64::MAX));
        let _rendering = self.rendering.lock();
        for family in [
            &self.limit,
            &self.admissions,
            &self.unsynced,
            &self.shared,
            &self.unspent,
            &self.stranded,
        ] {
            family.clear();
        }
        for counter in counters {
            let label = KeyLabel {
                key: KeyLabelValue(counter.key.clone()),
            };
            let set = |family: &Family<KeyLabel, Gauge>, value: u64| {
                family.get_or_create(&label).set(value.cast_signed());
            };
            set(&self.limit, counter.limit.admissions().into());
            set(&self.admissions, counter.count);
            set(&self.unsynced, counter.unsynced);
            if let Some(lease) = counter.lease {
                set(&self.unspent, lease.unspent);
                set(&self.stranded, lease.stranded);
            }
            // Before the first refresh there is no shared count, which is not a count of zero.
            if let Some(shared) = counter.shared {
                set(&self.shared, shared);
            }
        }
        self.connected.set(store.connected.into());
        let tasks = Handle::try_current().map_or(0, |runtime| runtime.metrics().num_alive_tasks());
        self.tasks.set(tasks.try_into().unwrap_or(i64::MAX));
        self.circuit_open
            .set((circuit != StoreCircuit::Closed).into());
        self.store_latency
            .set(store.latency.map_or(f64::NAN, |d| d.as_secs_f64()));
        self.last_write_age
            .set(last_write.map_or(f64::NAN, |d| d.as_secs_f64()));
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string does not fail");
        text
    }
}

fn register<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

fn register_seconds<M: Metric + Clone>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    metric: M,
) -> M {
    registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
    metric
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
