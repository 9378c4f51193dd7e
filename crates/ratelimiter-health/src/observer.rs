use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use ratelimiter_api::layout::Heartbeat;
use ratelimiter_api::{
    ClientError, Counters, Endpoint, KeySample, NodeClient, NodeHealth, NodeId, NodeObservation, NodeSample,
    NodeState, Observation,
};
use ratelimiter_store::{Link, StoreError, StoreUrl};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::store_side::{self, Contents};

/// Time from one round to the next.
pub const OBSERVE_INTERVAL: Duration = Duration::from_millis(200);

/// How long a node or the store may take to answer. Longer than a round: one that is slow is a gap in few rounds, and
/// one that is gone does not hold up the others for long.
const DEADLINE: Duration = Duration::from_millis(500);

/// Samples every node and the store, all about the same span of time.
///
/// A round first asks the store for its clock, then the nodes and then the store about the window before that instant.
/// Nodes answer from their own record of admissions, so their sum and the shared count compare although no two
/// samples are taken at the same moment.
#[derive(Debug)]
pub struct Observer {
    nodes: Vec<Seen>,
    link: Link,
    started: Instant,
    /// The store's clock when it last told it, and when that was.
    clock: Option<(u64, Instant)>,
}

/// A node and its name, which is known once it has answered.
#[derive(Debug)]
struct Seen {
    client: NodeClient,
    name: Option<NodeId>,
}

impl Observer {
    /// An observer of these nodes and their store. Opens nothing.
    ///
    /// # Errors
    /// When the store's URL contradicts itself.
    pub fn new(endpoints: &[Endpoint], store: StoreUrl) -> Result<Self, StoreError> {
        let seen = |e: &Endpoint| Seen { client: NodeClient::new(e.clone(), DEADLINE), name: None };
        let nodes = endpoints.iter().map(seen).collect();
        Ok(Self { nodes, link: Link::new(store)?, started: Instant::now(), clock: None })
    }

    /// Sends `token` to the nodes: those with an admin token list their keys for nothing less.
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

    /// Takes one round of samples.
    pub async fn observe(&mut self) -> Observation {
        let at = self.started.elapsed();
        let asked = Instant::now();
        let contents = store_side::contents(&self.link, DEADLINE).await;
        if let Ok(contents) = &contents {
            self.clock = Some((contents.time_us, asked));
        }
        let span_end_us = self.store_time(asked);

        // The nodes first: the store must hold all admissions that a node reports as confirmed by then.
        let samples = self.sample_nodes(span_end_us).await;
        let store = match &contents {
            Ok(known) => store_side::counts(&self.link, &known.limits, span_end_us, DEADLINE).await,
            Err(error) => Err(error.clone()),
        };
        let heartbeats = contents.map(|c: Contents| c.heartbeats).unwrap_or_default();
        let nodes = samples.into_iter().enumerate().map(|(i, s)| self.node(i, s, &heartbeats)).collect();
        let (store, store_error) = split(store);
        Observation { at, span_end_us, nodes, store, store_error }
    }

    /// Observes every [`OBSERVE_INTERVAL`] until the receiver is dropped.
    pub async fn run(mut self, observations: mpsc::Sender<Observation>) {
        let mut ticks = interval(OBSERVE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let observation = self.observe().await;
            if observations.send(observation).await.is_err() {
                break;
            }
        }
    }

    /// The store's clock, estimated while the store does not tell it.
    fn store_time(&self, asked: Instant) -> u64 {
        let micros = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        match self.clock {
            Some((us, at)) => us + micros(asked - at),
            None => SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, micros),
        }
    }

    async fn sample_nodes(&self, span_end_us: u64) -> Vec<Result<NodeAnswer, ClientError>> {
        let mut asking = JoinSet::new();
        for (i, node) in self.nodes.iter().enumerate() {
            let client = node.client.clone();
            asking.spawn(async move {
                let asked = Instant::now();
                let answers = tokio::try_join!(client.counters(Some(span_end_us)), client.health());
                let latency = asked.elapsed();
                (i, answers.map(|(counters, health)| NodeAnswer { counters, health, latency }))
            });
        }
        let mut answers = asking.join_all().await;
        answers.sort_by_key(|(i, _)| *i);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    fn node(
        &mut self,
        index: usize,
        answer: Result<NodeAnswer, ClientError>,
        heartbeats: &HashMap<NodeId, Heartbeat>,
    ) -> NodeObservation {
        let seen = &mut self.nodes[index];
        if let Ok(answer) = &answer {
            seen.name = Some(answer.counters.node.clone());
        }
        let address = seen.client.endpoint().authority();
        let node = seen.name.clone().unwrap_or_else(|| NodeId::from(address.as_str()));
        let (sample, error) = split(answer.map(NodeAnswer::sample));
        let interval = sample.as_ref().map_or(OBSERVE_INTERVAL, |s| s.sync_interval);
        // While no heartbeat can arrive, the newest is old too: only the distance from the newest counts.
        let newest = heartbeats.values().map(|beat| beat.at_us).max();
        let heartbeat = heartbeats.get(&node).zip(newest).map(|(beat, newest)| {
            NodeState::of_heartbeat(Duration::from_micros(newest.saturating_sub(beat.at_us)), interval)
        });
        NodeObservation { node, address, heartbeat, sample, error }
    }
}

/// Both answers of a node.
struct NodeAnswer {
    counters: Counters,
    health: NodeHealth,
    latency: Duration,
}

impl NodeAnswer {
    fn sample(self) -> NodeSample {
        let Self { counters, health, latency } = self;
        let keys = counters.counters.into_iter().map(|c| {
            let sample = KeySample {
                limit: c.limit,
                epoch: c.epoch,
                admissions: c.count,
                unsynced: c.unsynced,
                lost: c.lost,
                leased: c.lease.map_or(0, |lease| lease.admitted),
            };
            (c.key, sample)
        });
        NodeSample {
            boot: counters.boot,
            started_at_us: counters.started_at_us,
            latency,
            store_connected: health.redis_connected,
            last_write_age: health.last_write_age_ms.map(Duration::from_millis),
            check_p99: health.check_p99_ms.map(|ms| Duration::from_secs_f64(ms.max(0.0) / 1e3)),
            sync_interval: Duration::from_millis(health.sync_interval_ms),
            keys: keys.collect(),
        }
    }
}

fn split<T, E: ToString>(result: Result<T, E>) -> (Option<T>, Option<String>) {
    match result {
        Ok(value) => (Some(value), None),
        Err(error) => (None, Some(error.to_string())),
    }
}
