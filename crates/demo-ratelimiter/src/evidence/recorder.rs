use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use diagnosis::{BuildError, Evidence, EvidenceBuilder, SignalSeries};
use ratelimiter_api::{NodeObservation, NodeSample, Observation};
use ratelimiter_invariants::{RoundReading, Subject, Violation};

use super::quantity::Quantity;
use super::{CLIENTS, STORE, actions, key_entity, topology, violations};

/// Samples older than this, measured from the newest, are forgotten.
const KEPT: Duration = Duration::from_secs(600);
/// The largest number of keys recorded: the first ones observed.
const MOST_KEYS: usize = 200;
/// The largest number of keys in evidence: those that are violated or had another limit, and the
/// first of the rest.
const MOST_TOLD: usize = 16;
/// Sync interval of a node that has not reported its own.
const SYNC_INTERVAL: Duration = Duration::from_millis(200);

/// Observations as signals, one series an entity and a quantity.
///
/// Memory is bounded: the last ten minutes of the nodes that are observed, and of at most 200 keys.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    series: BTreeMap<(String, &'static str), SignalSeries>,
    /// Sync interval of every node observed.
    nodes: BTreeMap<String, Duration>,
    keys: BTreeSet<String>,
    last: Option<Client>,
}

/// The number of checks that the callers have sent so far, and of those denied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Time of the count, on the observations' clock. A round takes time, with a slow store more of
    /// it, and checks sent meanwhile are no surge.
    pub at: Duration,
    /// Checks sent.
    pub sent: u64,
    /// Checks denied.
    pub denied: u64,
}

/// The part of the observations that an incident is about, on the observations' clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Beginning of the baseline.
    pub since: Duration,
    /// Time at which the incident was noticed.
    pub at: Duration,
    /// End of the incident.
    pub until: Duration,
}

impl Recorder {
    /// A recorder without observations.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one round, with the callers' count where it is known.
    pub fn observe(&mut self, observation: &Observation, client: Option<Client>) {
        let at = observation.at;
        if let Some(client) = client {
            self.client(at, client);
        }
        for node in &observation.nodes {
            self.node(at, node, observation.span_end_us);
        }
        let store = observation.store.as_ref();
        self.put(at, STORE, Quantity::REACHABLE, Some(flag(store.is_some())));
        self.put(at, STORE, Quantity::READ_TIME, store.map(|s| ms(s.latency)));
        let samples = || observation.nodes.iter().filter_map(|n| n.sample.as_ref());
        let lost = samples()
            .flat_map(|s| s.keys.values())
            .map(|key| key.lost)
            .sum::<u64>();
        self.put(
            at,
            STORE,
            Quantity::LOST,
            samples().next().map(|_| lost as f64),
        );
        let held = store.map(|s| s.keys.values().map(|k| k.shared).sum::<u64>() as f64);
        self.put(at, STORE, Quantity::HELD, held);
        // The store holds all confirmed admissions of the same span; a node without a sample is a
        // gap.
        let whole = observation.nodes.iter().all(|n| n.sample.is_some());
        let counts = || samples().flat_map(|s| s.keys.values());
        let confirmed = counts()
            .map(|key| key.admissions.saturating_sub(key.unsynced))
            .sum::<u64>() as f64;
        let unconfirmed = held
            .filter(|_| whole)
            .map(|held| (held - confirmed).max(0.0));
        self.put(at, STORE, Quantity::UNCONFIRMED, unconfirmed);
        // The store does not report its last write; the nodes report theirs.
        let accepted = RoundReading::new(observation).accepted_age();
        self.put(
            at,
            STORE,
            Quantity::ACCEPTED_AGE,
            accepted.map(|age| age.as_secs_f64()),
        );
        for (key, shared) in store.into_iter().flat_map(|s| &s.keys) {
            let entity = key_entity(key);
            if self.keys.len() < MOST_KEYS || self.keys.contains(&entity) {
                self.put(
                    at,
                    &entity,
                    Quantity::LIMIT,
                    Some(shared.limit.admissions().into()),
                );
                self.put(
                    at,
                    &entity,
                    Quantity::WINDOW,
                    Some(shared.limit.window().as_secs_f64()),
                );
                self.keys.insert(entity);
            }
        }
        self.forget(at);
    }

    /// The evidence about an incident: the measurements and the violations of its time.
    ///
    /// # Errors
    /// When a violation is about a node that was never observed.
    pub fn evidence<'a>(
        &self,
        incident: &str,
        moment: Moment,
        broken: impl IntoIterator<Item = &'a Violation>,
    ) -> Result<Evidence, BuildError> {
        let broken = violations::firsts(broken);
        let within: Vec<SignalSeries> = self
            .series
            .values()
            .map(|series| {
                let mut series = series.clone();
                series
                    .points
                    .retain(|(t, _)| (moment.since..=moment.until).contains(t));
                series
            })
            .collect();
        let keys = self.told(&broken, &within);
        let nodes: Vec<String> = self.nodes.keys().cloned().collect();
        let mut builder = EvidenceBuilder::new(incident).guard(guard(moment, &broken));
        builder = topology::describe(
            builder,
            self.nodes.iter().map(|(n, i)| (n.as_str(), *i)),
            &keys,
        );
        builder = actions::catalogue(builder, &nodes, &keys);
        for series in within {
            if !self.keys.contains(&series.entity) || keys.contains(&series.entity) {
                builder = builder.signal(series);
            }
        }
        for violation in broken {
            builder = builder.violation(violations::broken(violation));
        }
        builder.build(moment.at)
    }

    /// The keys that the evidence is about.
    fn told(&self, broken: &[&Violation], within: &[SignalSeries]) -> Vec<String> {
        let mut told: BTreeSet<String> = broken
            .iter()
            .filter_map(|violation| match &violation.subject {
                Subject::Key(key) => Some(key_entity(key)),
                Subject::Node(_) | Subject::Store => None,
            })
            .collect();
        let changed = |series: &&SignalSeries| {
            self.keys.contains(&series.entity)
                && series.points.windows(2).any(|pair| pair[0].1 != pair[1].1)
        };
        told.extend(
            within
                .iter()
                .filter(changed)
                .map(|series| series.entity.clone()),
        );
        let room = MOST_TOLD.saturating_sub(told.len());
        let rest: Vec<String> = self.keys.difference(&told).take(room).cloned().collect();
        told.extend(rest);
        told.into_iter().collect()
    }

    fn client(&mut self, at: Duration, client: Client) {
        if let Some(before) = self.last {
            let seconds = client.at.saturating_sub(before.at).as_secs_f64();
            if seconds > 0.0 {
                let rate =
                    |now: u64, before: u64| Some(now.saturating_sub(before) as f64 / seconds);
                self.put(at, CLIENTS, Quantity::SENT, rate(client.sent, before.sent));
                self.put(
                    at,
                    CLIENTS,
                    Quantity::DENIED,
                    rate(client.denied, before.denied),
                );
            }
        }
        self.last = Some(client);
    }

    fn node(&mut self, at: Duration, node: &NodeObservation, span_end_us: u64) {
        let name = node.node.as_str();
        if name != node.address && self.nodes.remove(&node.address).is_some() {
            // Its name is its address until it reports another.
            self.series.retain(|(entity, _), _| *entity != node.address);
        }
        let sample = node.sample.as_ref();
        let known = self.nodes.get(name).copied().unwrap_or(SYNC_INTERVAL);
        self.nodes
            .insert(name.to_owned(), sample.map_or(known, |s| s.sync_interval));
        let seconds = |us: u64| Duration::from_micros(us).as_secs_f64();
        let uptime = |s: &NodeSample| seconds(span_end_us.saturating_sub(s.started_at_us));
        let total = |s: &NodeSample, count: fn(&ratelimiter_api::KeySample) -> u64| {
            s.keys.values().map(count).sum::<u64>() as f64
        };
        self.put(at, name, Quantity::REACHABLE, Some(flag(sample.is_some())));
        self.put(
            at,
            name,
            Quantity::OWN,
            sample.map(|s| total(s, |k| k.admissions)),
        );
        self.put(
            at,
            name,
            Quantity::UNSYNCED,
            sample.map(|s| total(s, |k| k.unsynced)),
        );
        self.put(
            at,
            name,
            Quantity::CHECK_P99,
            sample.and_then(|s| s.check_p99).map(ms),
        );
        self.put(at, name, Quantity::UPTIME, sample.map(uptime));
        let age = sample.and_then(|s| s.last_write_age);
        self.put(
            at,
            name,
            Quantity::WRITE_AGE,
            age.map(|age| age.as_secs_f64()),
        );
        self.put(
            at,
            name,
            Quantity::UNANSWERED,
            sample.map(|s| flag(!s.store_connected)),
        );
    }

    fn put(&mut self, at: Duration, entity: &str, quantity: Quantity, value: Option<f64>) {
        self.series
            .entry((entity.to_owned(), quantity.name))
            .or_insert_with(|| quantity.of(entity))
            .push(at, value);
    }

    /// Rounds come in order: the oldest samples are first.
    fn forget(&mut self, now: Duration) {
        self.series.retain(|_, series| {
            let old = series.points.partition_point(|(t, _)| *t + KEPT < now);
            series.points.drain(..old);
            !series.points.is_empty()
        });
        let Self {
            series,
            nodes,
            keys,
            ..
        } = self;
        nodes.retain(|node, _| series.contains_key(&(node.clone(), Quantity::REACHABLE.name)));
        keys.retain(|key| series.contains_key(&(key.clone(), Quantity::LIMIT.name)));
    }
}

/// How long before the moment the baseline ends: a third of the time, and longer where what was
/// noticed had been going on for longer, for graces can be long; a baseline there has to be.
fn guard(moment: Moment, broken: &[&Violation]) -> Duration {
    let before = moment.at.saturating_sub(moment.since);
    let noticed = broken
        .iter()
        .filter(|violation| violation.detected_at <= moment.at);
    let going_on = noticed
        .map(|violation| moment.at.saturating_sub(violation.first_seen))
        .max();
    (before / 3)
        .max(going_on.unwrap_or_default() + SYNC_INTERVAL)
        .min(before.mul_f64(0.6))
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn flag(value: bool) -> f64 {
    if value { 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use ratelimiter_api::{Key, Limit, SharedCount, StoreSample};

    use super::*;

    #[test]
    fn memory_is_bounded_in_time_and_in_keys() {
        let mut recorder = Recorder::new();
        let limit = Limit::new(10, 1).unwrap();
        // every round shows ten keys that were never seen before
        for round in 0..4_000_u32 {
            let keys = (0..10).map(|n| {
                let shared = SharedCount {
                    limit,
                    epoch: 1,
                    shared: 1,
                    grants: None,
                };
                (Key::new(format!("k{}", round * 10 + n)).unwrap(), shared)
            });
            let store = StoreSample {
                latency: Duration::ZERO,
                keys: keys.collect(),
            };
            recorder.observe(
                &Observation {
                    at: Duration::from_millis(200) * round,
                    span_end_us: 0,
                    nodes: Vec::new(),
                    store: Some(store),
                    store_error: None,
                },
                None,
            );
        }
        assert!(
            recorder.keys.len() <= MOST_KEYS,
            "{} keys",
            recorder.keys.len()
        );
        let rounds = 600 * 5 + 1;
        assert!(
            recorder
                .series
                .values()
                .all(|series| series.points.len() <= rounds)
        );
        assert!(
            recorder.series.len() <= 6 + 2 * MOST_KEYS,
            "{} series",
            recorder.series.len()
        );
    }
}
