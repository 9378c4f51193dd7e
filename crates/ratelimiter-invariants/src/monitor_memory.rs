use std::collections::BTreeMap;
use std::time::Duration;

use ratelimiter_api::{Key, Limit, NodeId};

use crate::numbers::micros;
use crate::thresholds::{DEFAULT_SYNC_INTERVAL, write_patience};
use crate::{Invariant, KeyReading, RoundReading};

/// The part of earlier rounds that this one is judged by.
#[derive(Debug, Default)]
pub(crate) struct MonitorMemory {
    /// When the latest round began.
    at: Option<Duration>,
    nodes: BTreeMap<NodeId, NodeMemory>,
    keys: BTreeMap<Key, LimitMemory>,
}

#[derive(Debug)]
struct NodeMemory {
    sync_interval: Duration,
    /// Time since the latest write in which this node was seen to run and to read from the store.
    /// `None` while the store or the node cannot be read.
    unwritten: Option<Duration>,
}

/// A node that answers later than this did not run all the time since it was asked. At least half
/// its sync interval.
const STALL: Duration = Duration::from_millis(50);

/// How long the limits of a key are remembered that rounds do not list: longer than an observer
/// that looks at keys by turns leaves it out.
const KEPT: Duration = Duration::from_secs(60);

impl MonitorMemory {
    /// Adds a round. A node may lag behind the store for the grace of counter drift, and should
    /// write within the write patience.
    pub(crate) fn update(&mut self, round: &RoundReading<'_>) {
        let (at, now_us) = (round.observation.at, round.observation.span_end_us);
        let store_answered = round.observation.store.is_some();
        let gap = self
            .at
            .replace(at)
            .map_or(Duration::ZERO, |before| at.saturating_sub(before));
        self.nodes
            .retain(|node, _| round.nodes().contains_key(node));
        for (node, memory) in &mut self.nodes {
            if !store_answered || round.nodes()[node].sample.is_none() {
                memory.unwritten = None;
            }
        }
        for (node, sample) in round.samples() {
            let memory = self.nodes.entry(node.clone()).or_insert(NodeMemory {
                sync_interval: sample.sync_interval,
                unwritten: None,
            });
            memory.sync_interval = sample.sync_interval;
            let reads_pass = store_answered && sample.store_connected;
            memory.unwritten = reads_pass.then(|| {
                let stalled = sample.latency > STALL.max(sample.sync_interval / 2);
                let Some(before) = memory.unwritten.filter(|_| !stalled) else {
                    return Duration::ZERO;
                };
                let age = round.write_age(sample);
                let before = if age < gap { Duration::ZERO } else { before };
                before + seen_of(gap.min(age), write_patience(sample.sync_interval))
            });
        }
        let lag_us = micros(Invariant::CounterDrift.grace(self.slowest_sync()));
        self.keys.retain(|key, memory| {
            round.lists_key(key) || at.saturating_sub(memory.listed_at) < KEPT
        });
        for (key, counts) in round.keys() {
            match self.keys.get_mut(key) {
                Some(memory) if memory.epoch == counts.epoch => {
                    memory.update(counts, at, now_us, lag_us);
                }
                // nodes that a reset has not reached, in a round in which the store could not be
                // asked
                Some(memory) if memory.epoch > counts.epoch && counts.shared.is_none() => {}
                _ => {
                    self.keys.insert(key.clone(), LimitMemory::new(counts, at));
                }
            }
        }
    }

    /// The sync interval of the slowest node, as last reported.
    pub(crate) fn slowest_sync(&self) -> Duration {
        self.nodes
            .values()
            .map(|node| node.sync_interval)
            .max()
            .unwrap_or(DEFAULT_SYNC_INTERVAL)
    }

    /// Time since its latest write in which a node was seen to run, while its reads and the
    /// observer's passed.
    pub(crate) fn unwritten(&self, node: &NodeId) -> Option<Duration> {
        self.nodes.get(node)?.unwritten
    }

    /// The limit that the admissions of a key's span were granted under: the largest of the span.
    /// `None` where that is not known: the span reaches back to a window of another length, or the
    /// counter is one that was reset.
    pub(crate) fn limit(&self, key: &Key, counts: &KeyReading) -> Option<Limit> {
        let memory = self.keys.get(key)?;
        if memory.unsettled_until_us.is_some() || memory.epoch != counts.epoch {
            return None;
        }
        memory
            .limits
            .iter()
            .map(|seen| seen.limit)
            .max_by_key(Limit::admissions)
    }
}

/// The limits that admissions inside the current span may have been granted under.
///
/// ```text
///   limit 10            limit 5
///   o-----o-----o--x-----o-----o-----o-----o-----> rounds (o), the change (x)
///                        |<-lag->|<----- window ----->|
///                        first round without the 10   from here on 5 is judged by
/// ```
///
/// A limit that was lowered may have been in force until just before the first round that does not
/// show it, and on a node that could not be asked for as long as nodes lag behind the store. It
/// counts until all that has left the window.
#[derive(Debug)]
struct LimitMemory {
    epoch: u64,
    /// The latest round that listed the key.
    listed_at: Duration,
    limits: Vec<LimitSpan>,
    /// Until when spans reach back to a time at which the window had another length.
    unsettled_until_us: Option<u64>,
}

#[derive(Debug)]
struct LimitSpan {
    limit: Limit,
    /// When it may have been in force last; `None` while it is.
    until_us: Option<u64>,
}

impl LimitMemory {
    fn new(counts: &KeyReading, at: Duration) -> Self {
        let mut memory = Self {
            epoch: counts.epoch,
            listed_at: at,
            limits: Vec::new(),
            unsettled_until_us: None,
        };
        memory.see(&counts.limits);
        memory
    }

    fn update(&mut self, counts: &KeyReading, at: Duration, now_us: u64, lag_us: u64) {
        self.listed_at = at;
        let window = counts.limit.window();
        let window_us = counts.limit.window_us();
        if self.limits.iter().any(|seen| seen.limit.window() != window) {
            self.limits.clear();
            self.unsettled_until_us = Some(now_us.saturating_add(lag_us).saturating_add(window_us));
        }
        if self.unsettled_until_us.is_some_and(|until| until <= now_us) {
            self.unsettled_until_us = None;
        }
        for seen in &mut self.limits {
            seen.until_us = seen.until_us.or(Some(now_us.saturating_add(lag_us)));
        }
        self.see(&counts.limits);
        self.limits.retain(|seen| {
            seen.until_us
                .is_none_or(|until| until.saturating_add(window_us) > now_us)
        });
    }

    fn see(&mut self, limits: &[Limit]) {
        for &limit in limits {
            match self.limits.iter_mut().find(|seen| seen.limit == limit) {
                Some(seen) => seen.until_us = None,
                None => self.limits.push(LimitSpan {
                    limit,
                    until_us: None,
                }),
            }
        }
    }
}

/// The part of the time between two rounds that counts towards a patience: at most half of it. A
/// machine that stalls between two rounds stalls nodes and observer alike, and shows nothing about
/// either; an observer that is slow on purpose needs three rounds.
pub(crate) fn seen_of(gap: Duration, patience: Duration) -> Duration {
    gap.min(patience / 2)
}
