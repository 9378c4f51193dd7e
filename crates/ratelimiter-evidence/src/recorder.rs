use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use diagnosis::{BuildError, Evidence, EvidenceBuilder, Role, SignalSeries};
use ratelimiter_api::{NodeObservation, Observation};
use ratelimiter_invariants::Violation;

use crate::{CLIENTS, STORE, actions, key_entity, topology, violations};

/// Samples older than this, measured from the newest, are forgotten.
const KEPT: Duration = Duration::from_secs(600);

/// Observations as signals, one series an entity and a quantity.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    series: BTreeMap<(String, &'static str), SignalSeries>,
    /// Every node that was seen, and how often it syncs.
    nodes: BTreeMap<String, Duration>,
    keys: BTreeSet<String>,
    last: Option<(Duration, Client)>,
}

/// How many checks a caller has sent and had denied so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Checks sent.
    pub sent: u64,
    /// Checks denied.
    pub denied: u64,
}

/// Which stretch of the observations an incident is about. All times are those of the observations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// What was before this is not even a baseline.
    pub since: Duration,
    /// When it was noticed.
    pub at: Duration,
    /// What was after this is another story.
    pub until: Duration,
}

/// A quantity: its name, unit and role.
type Quantity = (&'static str, &'static str, Role);

const SENT: Quantity = ("checks sent", "1/s", Role::Demand);
const DENIED: Quantity = ("checks denied", "1/s", Role::Other);
const REACHABLE: Quantity = ("reachable", "", Role::Availability);
const OWN: Quantity = ("own admissions in their windows", "", Role::Volume);
const UNSYNCED: Quantity = ("admissions not confirmed by the store", "", Role::Backlog);
const CHECK_P99: Quantity = ("p99 of checks", "ms", Role::Latency);
const UPTIME: Quantity = ("uptime", "s", Role::Uptime);
const WRITE_AGE: Quantity = ("age of the last confirmed write", "s", Role::ProgressAge);
const READ_TIME: Quantity = ("read time", "ms", Role::Latency);
const HELD: Quantity = ("admissions held in their windows", "", Role::Volume);
const ACCEPTED_AGE: Quantity = ("age of the last accepted write", "s", Role::ProgressAge);
const LIMIT: Quantity = ("limit", "", Role::Setting);

impl Recorder {
    /// A recorder that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one round. `client` is what the callers have done so far, where that is known.
    pub fn observe(&mut self, observation: &Observation, client: Option<Client>) {
        let at = observation.at;
        if let Some(client) = client {
            self.client(at, client);
        }
        for node in &observation.nodes {
            self.node(at, node, observation.span_end_us);
        }
        let store = observation.store.as_ref();
        self.put(at, STORE, REACHABLE, Some(flag(store.is_some())));
        self.put(at, STORE, READ_TIME, store.map(|s| ms(s.latency)));
        self.put(at, STORE, HELD, store.map(|s| s.keys.values().map(|k| k.shared).sum::<u64>() as f64));
        // The store does not say when it last took a write; whoever wrote last does.
        let samples = || observation.nodes.iter().filter_map(|n| n.sample.as_ref());
        let accepted = samples().filter_map(|s| s.last_write_age).min();
        self.put(at, STORE, ACCEPTED_AGE, accepted.map(|age| age.as_secs_f64()));
        for (key, shared) in store.into_iter().flat_map(|s| &s.keys) {
            let entity = key_entity(key);
            self.put(at, &entity, LIMIT, Some(shared.limit.admissions().into()));
            self.keys.insert(entity);
        }
        for series in self.series.values_mut() {
            series.points.retain(|(t, _)| *t + KEPT >= at);
        }
    }

    /// The evidence about an incident: everything that was measured in its time, and what was violated then.
    ///
    /// # Errors
    /// When a violation is about something that was never observed.
    pub fn evidence<'a>(
        &self,
        incident: &str,
        moment: Moment,
        broken: impl IntoIterator<Item = &'a Violation>,
    ) -> Result<Evidence, BuildError> {
        let keys: Vec<String> = self.keys.iter().cloned().collect();
        let nodes: Vec<String> = self.nodes.keys().cloned().collect();
        let mut builder = EvidenceBuilder::new(incident).since(moment.since);
        builder = topology::describe(builder, self.nodes.iter().map(|(n, i)| (n.as_str(), *i)), &keys);
        builder = actions::catalogue(builder, &nodes, &keys);
        for series in self.series.values() {
            let mut series = series.clone();
            series.points.retain(|(t, _)| *t <= moment.until);
            builder = builder.signal(series);
        }
        for violation in broken {
            builder = builder.violation(violations::broken(violation));
        }
        builder.build(moment.at)
    }

    fn client(&mut self, at: Duration, client: Client) {
        if let Some((then, before)) = self.last {
            let seconds = at.saturating_sub(then).as_secs_f64();
            if seconds > 0.0 {
                let rate = |now: u64, before: u64| Some(now.saturating_sub(before) as f64 / seconds);
                self.put(at, CLIENTS, SENT, rate(client.sent, before.sent));
                self.put(at, CLIENTS, DENIED, rate(client.denied, before.denied));
            }
        }
        self.last = Some((at, client));
    }

    fn node(&mut self, at: Duration, node: &NodeObservation, span_end_us: u64) {
        let name = node.node.as_str();
        let sample = node.sample.as_ref();
        let known = self.nodes.get(name).copied().unwrap_or(Duration::from_millis(200));
        self.nodes.insert(name.to_owned(), sample.map_or(known, |s| s.sync_interval));
        let total = |count: fn(&ratelimiter_api::KeySample) -> u64| {
            sample.map(|s| s.keys.values().map(count).sum::<u64>() as f64)
        };
        let seconds = |us: u64| Duration::from_micros(us).as_secs_f64();
        self.put(at, name, REACHABLE, Some(flag(sample.is_some())));
        self.put(at, name, OWN, total(|k| k.admissions));
        self.put(at, name, UNSYNCED, total(|k| k.unsynced));
        self.put(at, name, CHECK_P99, sample.and_then(|s| s.check_p99).map(ms));
        self.put(at, name, UPTIME, sample.map(|s| seconds(span_end_us.saturating_sub(s.started_at_us))));
        let age = sample.and_then(|s| s.last_write_age);
        self.put(at, name, WRITE_AGE, age.map(|age| age.as_secs_f64()));
    }

    fn put(&mut self, at: Duration, entity: &str, (name, unit, role): Quantity, value: Option<f64>) {
        let new = || SignalSeries::new(entity, name, unit, role);
        self.series.entry((entity.to_owned(), name)).or_insert_with(new).push(at, value);
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn flag(value: bool) -> f64 {
    if value { 1.0 } else { 0.0 }
}
