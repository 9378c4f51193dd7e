use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use ratelimiter_api::layout::Heartbeat;
use ratelimiter_api::{
    ClientError, Endpoint, Key, LimitEntry, NodeClient, NodeCounters, NodeHealth, NodeId,
    NodeObservation, NodeSample, NodeState, Observation,
};
use ratelimiter_store::{Link, StoreUrl};
use tokio::time::{Instant, sleep_until};

use crate::store_side;
use crate::turn::{self, CounterQuery, KeyInterest, KeyTurn};

/// Time from one round to the next.
const OBSERVE_INTERVAL: Duration = Duration::from_millis(200);

/// Time limit of one answer of a node or the store. Longer than a round: a slow one is a gap in few
/// rounds, and a dead one does not hold up the others for long.
const DEADLINE: Duration = Duration::from_millis(500);

/// Samples every node and the store, all about the same span of time.
///
/// A round first asks the store for its clock, then the nodes and then the store about the window
/// before that instant. Nodes answer from their own record of admissions, so their sum and the
/// shared count compare although no two samples are taken at the same moment.
///
/// A round costs nodes and store what the keys in use cost. Up to 1,000 limits are all in every
/// round; of more, only keys in use are, about 1,000 a node and round by turns, and those that
/// [`follow`](Self::follow) names.
#[derive(Debug)]
pub struct Observer {
    nodes: Vec<WatchedNode>,
    link: Link,
    started: Instant,
    /// The time of the next round.
    due: Instant,
    /// The latest reading of the store's clock, and its time.
    clock: Option<(u64, Instant)>,
    interest: KeyInterest,
    /// The limits of the latest round in which the store answered.
    limits: BTreeMap<Key, LimitEntry>,
}

/// A node, and its name once it has answered.
#[derive(Debug)]
struct WatchedNode {
    client: NodeClient,
    name: Option<NodeId>,
}

impl Observer {
    /// An observer of these nodes and their store. Opens nothing.
    pub fn new(endpoints: &[Endpoint], store: StoreUrl) -> Self {
        let node = |e: &Endpoint| WatchedNode {
            client: NodeClient::new(e.clone(), DEADLINE),
            name: None,
        };
        let nodes = endpoints.iter().map(node).collect();
        let started = Instant::now();
        Self {
            nodes,
            link: Link::new(store),
            started,
            due: started,
            clock: None,
            interest: KeyInterest::ALL,
            limits: BTreeMap::new(),
        }
    }

    /// Samples these keys alone, whether they are in use or not.
    #[must_use]
    pub fn only(mut self, keys: Vec<Key>) -> Self {
        self.interest = KeyInterest::Only(keys);
        self
    }

    /// Sends `token` to the nodes. Nodes with an admin token list their keys only with it.
    #[must_use]
    pub fn with_token(mut self, token: Option<&str>) -> Self {
        for node in &mut self.nodes {
            node.client = node.client.clone().with_token(token.map(ToOwned::to_owned));
        }
        self
    }

    /// The origin of [`Observation::at`].
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Samples these keys in every round from now on: the first ones, if not all fit into a
    /// request. Only consecutive rounds show whether a violation of a key lasts.
    pub fn follow<'a>(&mut self, keys: impl Iterator<Item = &'a Key>) {
        self.interest.follow(keys);
    }

    /// Waits until the next round is due, and takes it. Rounds are due every 200 ms after the
    /// first; those that the observer is late for are left out. Intervals that grew by each
    /// wake-up's delay would drift past the nodes' syncs, and slow waves would show in every age
    /// that depends on both.
    pub async fn next(&mut self) -> Observation {
        sleep_until(self.due).await;
        self.due = due_after(self.due, Instant::now());
        self.observe().await
    }

    /// Takes one round of samples.
    pub async fn observe(&mut self) -> Observation {
        let at = self.started.elapsed();
        let asked = Instant::now();
        let contents = store_side::contents(&self.link, DEADLINE).await;
        if let Ok(contents) = &contents {
            self.clock = Some((contents.time_us, asked));
        }
        let span_end_us = self.store_time(asked);

        // The nodes first: the store must hold all admissions that a node reports as confirmed by
        // then.
        let question = self.interest.asked();
        let answers = self.sample_nodes(&question, span_end_us).await;
        let counters = || {
            answers
                .iter()
                .filter_map(|answer| Some(&answer.as_ref().ok()?.counters))
        };
        let turn = KeyTurn::of(question, counters());
        self.interest.advance(&turn);
        let (limits, heartbeats) = match contents {
            Ok(contents) => {
                let limits = match contents.limits {
                    Some(all) => Ok(all),
                    None => store_side::limits(&self.link, &turn.keys(counters()), DEADLINE).await,
                };
                (limits, contents.heartbeats)
            }
            Err(error) => (Err(error), HashMap::new()),
        };
        let store = match limits {
            Ok(mut limits) => {
                limits.retain(|key, _| turn.has(key));
                let counts = store_side::counts(&self.link, &limits, span_end_us, DEADLINE).await;
                self.limits = limits;
                counts
            }
            Err(error) => Err(error),
        };
        let nodes = answers.into_iter().enumerate();
        let nodes = nodes
            .map(|(i, answer)| self.node(i, answer, &turn, &heartbeats))
            .collect();
        let (store, store_error) = split(store);
        Observation {
            at,
            span_end_us,
            nodes,
            store,
            store_error,
        }
    }

    /// The store's clock, estimated while the store does not tell it.
    fn store_time(&self, asked: Instant) -> u64 {
        let micros = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        match self.clock {
            Some((us, at)) => us + micros(asked - at),
            None => SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, micros),
        }
    }

    async fn sample_nodes(
        &self,
        question: &CounterQuery,
        span_end_us: u64,
    ) -> Vec<Result<NodeAnswer, ClientError>> {
        let ask = async |client: &NodeClient| {
            let asked = Instant::now();
            let (counters, health) =
                tokio::try_join!(counters(client, question, span_end_us), client.health())?;
            let latency = asked.elapsed();
            Ok(NodeAnswer {
                counters,
                health,
                latency,
            })
        };
        join_all(self.nodes.iter().map(|node| ask(&node.client))).await
    }

    fn node(
        &mut self,
        index: usize,
        answer: Result<NodeAnswer, ClientError>,
        turn: &KeyTurn,
        heartbeats: &HashMap<NodeId, Heartbeat>,
    ) -> NodeObservation {
        let watched = &mut self.nodes[index];
        if let Ok(answer) = &answer {
            watched.name = Some(answer.counters.node.clone());
        }
        let address = watched.client.endpoint().authority();
        let node = watched
            .name
            .clone()
            .unwrap_or_else(|| NodeId::from(address.as_str()));
        let (sample, error) = split(answer.map(|answer| answer.sample(turn, &self.limits)));
        let interval = sample
            .as_ref()
            .map_or(OBSERVE_INTERVAL, |s| s.sync_interval);
        // While no heartbeat can arrive, the newest is old too: only the distance from the newest
        // counts.
        let newest = heartbeats.values().map(|beat| beat.at_us).max();
        let heartbeat = heartbeats.get(&node).zip(newest).map(|(beat, newest)| {
            NodeState::of_heartbeat(
                Duration::from_micros(newest.saturating_sub(beat.at_us)),
                interval,
            )
        });
        NodeObservation {
            node,
            address,
            heartbeat,
            sample,
            error,
        }
    }
}

/// Both answers of a node.
struct NodeAnswer {
    counters: NodeCounters,
    health: NodeHealth,
    latency: Duration,
}

impl NodeAnswer {
    fn sample(self, turn: &KeyTurn, limits: &BTreeMap<Key, LimitEntry>) -> NodeSample {
        let Self {
            counters,
            health,
            latency,
        } = self;
        NodeSample {
            boot: counters.boot,
            started_at_us: counters.started_at_us,
            latency,
            store_connected: health.redis_connected,
            last_write_age: health.last_write_age_ms.map(Duration::from_millis),
            check_p99: health
                .check_p99_ms
                .map(|ms| Duration::from_secs_f64(ms.max(0.0) / 1e3)),
            sync_interval: Duration::from_millis(health.sync_interval_ms),
            keys: turn::samples(turn, counters.counters, limits),
        }
    }
}

async fn counters(
    client: &NodeClient,
    question: &CounterQuery,
    at_us: u64,
) -> Result<NodeCounters, ClientError> {
    match question {
        CounterQuery::Keys(keys) => client.counters_of(keys, Some(at_us)).await,
        CounterQuery::Page(page) => client.active_counters(page, Some(at_us)).await,
    }
}

/// The first multiple of the interval after `due` that is later than `now`.
fn due_after(due: Instant, now: Instant) -> Instant {
    let passed = now.saturating_duration_since(due).as_nanos() / OBSERVE_INTERVAL.as_nanos();
    due + OBSERVE_INTERVAL * u32::try_from(passed + 1).unwrap_or(u32::MAX)
}

fn split<T, E: ToString>(result: Result<T, E>) -> (Option<T>, Option<String>) {
    match result {
        Ok(value) => (Some(value), None),
        Err(error) => (None, Some(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_rounds_stay_on_their_grid() {
        let (due, ms) = (Instant::now(), Duration::from_millis);
        assert_eq!(due_after(due, due), due + ms(200));
        assert_eq!(
            due_after(due, due + ms(1)),
            due + ms(200),
            "a late wake-up moves no later round"
        );
        assert_eq!(
            due_after(due, due + ms(730)),
            due + ms(800),
            "rounds that were missed are left out"
        );
    }
}
