use std::collections::HashSet;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use ratelimiter_api::{CheckResponse, Key, KeyCounter, StoreCircuit};
use tokio::runtime::Handle;

use crate::limiter::GrantMetrics;
use crate::shared::StoreStatus;

/// Seconds; around what a loopback check takes, and up to the longest store timeout.
const CHECK_BUCKETS: [f64; 10] = [
    0.000_1, 0.000_25, 0.001, 0.002_5, 0.01, 0.025, 0.1, 0.25, 1.0, 10.0,
];

/// The node's numbers for Prometheus. Keys are labels: there are only as many as limits were set.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    checks: Family<CheckLabels, Counter>,
    seen: Mutex<HashSet<CheckLabels>>,
    /// Held while the gauges are set and read: two who ask at once must not get each other's
    /// halves.
    rendering: Mutex<()>,
    check_seconds: Histogram,
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
    key: KeyValue,
    decision: &'static str,
    decided_by: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeyLabel {
    key: KeyValue,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RedirectLabel {
    kind: &'static str,
}

/// A key as a label, without copying its text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct KeyValue(Key);

impl prometheus_client::encoding::EncodeLabelValue for KeyValue {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.as_str().encode(encoder)
    }
}

/// The node's state at one instant. Only keys in use have counters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot<'a> {
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

impl Metrics {
    pub(crate) fn new(grants: &GrantMetrics) -> Self {
        let mut registry = Registry::with_prefix("ratelimiter");
        let metrics = Self {
            checks: Family::default(),
            seen: Mutex::default(),
            rendering: Mutex::default(),
            check_seconds: Histogram::new(CHECK_BUCKETS),
            shed: Counter::default(),
            lost: Gauge::default(),
            redirects: Family::default(),
            clock_jumps: Gauge::default(),
            remembered: Gauge::default(),
            limit: Family::default(),
            admissions: Family::default(),
            unsynced: Family::default(),
            shared: Family::default(),
            unspent: Family::default(),
            stranded: Family::default(),
            connected: Gauge::default(),
            circuit_open: Gauge::default(),
            tasks: Gauge::default(),
            store_latency: Gauge::default(),
            last_write_age: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("checks", "Checks answered", metrics.checks.clone());
        let took = metrics.check_seconds.clone();
        registry.register_with_unit(
            "check_duration",
            "Time to answer a check",
            Unit::Seconds,
            took,
        );
        let jumps = metrics.clock_jumps.clone();
        registry.register(
            "store_clock_jumps",
            "Jumps of the store's clock by more than half a second",
            jumps,
        );
        let remembered = metrics.remembered.clone();
        registry.register(
            "remembered_admissions",
            "Admissions in this node's memory, of all keys",
            remembered,
        );
        registry.register(
            "lost_admissions",
            "Admissions that the store had confirmed and lost, since the start; each was sent \
             again",
            metrics.lost.clone(),
        );
        registry.register(
            "store_redirects",
            "Answers of the store that were followed by another attempt, such as MOVED, since the \
             start",
            metrics.redirects.clone(),
        );
        registry.register(
            "shed_connections",
            "Connections beyond the bounds",
            metrics.shed.clone(),
        );
        registry.register(
            "limit",
            "Admissions allowed in a window",
            metrics.limit.clone(),
        );
        registry.register(
            "admissions",
            "This node's own admissions in the window",
            metrics.admissions.clone(),
        );
        registry.register(
            "unsynced_admissions",
            "This node's admissions that the store has not confirmed",
            metrics.unsynced.clone(),
        );
        let shared = metrics.shared.clone();
        registry.register(
            "shared_admissions",
            "Admissions in the window as the store last counted them",
            shared,
        );
        let unspent = metrics.unspent.clone();
        registry.register(
            "unspent_admissions",
            "Admissions of leases that the node may still spend",
            unspent,
        );
        let stranded = metrics.stranded.clone();
        registry.register(
            "stranded_admissions",
            "Unspent admissions of leases that the store has yet to take back",
            stranded,
        );
        grants.register(&mut registry);
        let connected = metrics.connected.clone();
        registry.register(
            "store_connected",
            "Whether the store answered the last read",
            connected,
        );
        registry.register(
            "tasks",
            "Tasks of the node's runtime: its own, and one for each connection",
            metrics.tasks.clone(),
        );
        let circuit = metrics.circuit_open.clone();
        registry.register(
            "store_circuit_open",
            "Whether checks are decided without asking the store",
            circuit,
        );
        let latency = metrics.store_latency.clone();
        registry.register_with_unit(
            "store_latency",
            "Time the last read took",
            Unit::Seconds,
            latency,
        );
        let age = metrics.last_write_age.clone();
        registry.register_with_unit(
            "last_write_age",
            "Time since the store confirmed a write",
            Unit::Seconds,
            age,
        );
        Self {
            registry,
            ..metrics
        }
    }

    /// A check was answered.
    pub(crate) fn checked(&self, key: &Key, response: &CheckResponse, took: Duration) {
        let labels = CheckLabels {
            key: KeyValue(key.clone()),
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
    pub(crate) fn render(&self, now: &Snapshot<'_>) -> String {
        let Snapshot {
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
                key: KeyValue(counter.key.clone()),
            };
            self.limit
                .get_or_create(&label)
                .set(counter.limit.admissions().into());
            self.admissions
                .get_or_create(&label)
                .set(counter.count.cast_signed());
            self.unsynced
                .get_or_create(&label)
                .set(counter.unsynced.cast_signed());
            if let Some(lease) = counter.lease {
                self.unspent
                    .get_or_create(&label)
                    .set(lease.unspent.cast_signed());
                self.stranded
                    .get_or_create(&label)
                    .set(lease.stranded.cast_signed());
            }
            // Before the first refresh there is no shared count, which is not a count of zero.
            if let Some(shared) = counter.shared {
                self.shared.get_or_create(&label).set(shared.cast_signed());
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
