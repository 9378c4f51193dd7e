use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use demo_core::{Dependency, HealthPoller, HealthSnapshot, Reachability, SubjectNode};
use ratelimiter_api::{Endpoint, NodeClient, NodeEntry};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// What to poll, and how often.
#[derive(Clone, Debug)]
pub struct PollerConfig {
    /// Nodes to ask, the first that answers speaking for all; `http://localhost:8001` to `8003` by
    /// default.
    pub endpoints: Vec<Endpoint>,
    /// Time from one poll to the next; two seconds by default.
    pub interval: Duration,
    /// How long one request may take; five seconds by default.
    pub timeout: Duration,
}

impl Default for PollerConfig {
    fn default() -> Self {
        let local = |port| {
            format!("http://localhost:{port}")
                .parse()
                .expect("the default endpoints are valid")
        };
        Self {
            endpoints: (8001..=8003).map(local).collect(),
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(5),
        }
    }
}

/// Polls the health of a cluster.
#[derive(Debug)]
pub struct RateLimiterHealthPoller {
    nodes: Vec<NodeClient>,
    interval: Duration,
    last: Mutex<HealthSnapshot>,
    stop: CancellationToken,
}

/// The result of a poll, in the words of a rate limiter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RateLimiterHealth {
    /// The nodes; those of an earlier poll where this one found none.
    pub nodes: Vec<SubjectNode>,
    /// Whether the node that answered reaches the store.
    pub redis_connected: bool,
    /// A node is not up, the store is not connected, or the poll failed.
    pub has_issues: bool,
    /// When the last poll ended, seconds since the Unix epoch; absent before the first.
    pub last_updated: Option<u64>,
}

const STORE: &str = "store";

impl RateLimiterHealthPoller {
    /// A poller that has not polled yet.
    pub fn new(config: PollerConfig) -> Self {
        let nodes = config
            .endpoints
            .into_iter()
            .map(|e| NodeClient::new(e, config.timeout))
            .collect();
        Self {
            nodes,
            interval: config.interval,
            last: Mutex::default(),
            stop: CancellationToken::new(),
        }
    }

    /// Polls once, now.
    pub async fn poll(&self) {
        let found = self.ask().await;
        let mut last = self.last();
        last.last_updated = Some(SystemTime::now());
        let Some((nodes, connected)) = found else {
            last.has_issues = true;
            last.dependencies = vec![Dependency {
                name: STORE.into(),
                connected: false,
            }];
            return;
        };
        last.nodes = nodes.into_iter().map(node_health).collect();
        last.dependencies = vec![Dependency {
            name: STORE.into(),
            connected,
        }];
        last.has_issues = !connected || last.nodes.iter().any(|n| n.state != Reachability::Up);
    }

    /// The last snapshot, in the words of a rate limiter.
    pub fn rate_limiter_health(&self) -> RateLimiterHealth {
        let HealthSnapshot {
            nodes,
            dependencies,
            has_issues,
            last_updated,
        } = self.health();
        let since = last_updated.and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok());
        RateLimiterHealth {
            nodes,
            redis_connected: dependencies.iter().any(|d| d.name == STORE && d.connected),
            has_issues,
            last_updated: since.map(|d| d.as_secs()),
        }
    }

    /// The first node that answers both questions.
    async fn ask(&self) -> Option<(Vec<NodeEntry>, bool)> {
        for node in &self.nodes {
            if let (Ok(nodes), Ok(health)) = tokio::join!(node.nodes(), node.health()) {
                return Some((nodes.nodes, health.redis_connected));
            }
        }
        None
    }

    fn last(&self) -> MutexGuard<'_, HealthSnapshot> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HealthPoller for RateLimiterHealthPoller {
    async fn run(&self) {
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let polling = async {
            loop {
                ticks.tick().await;
                self.poll().await;
            }
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            () = polling => {}
        }
    }

    fn health(&self) -> HealthSnapshot {
        self.last().clone()
    }

    fn stop(&self) {
        self.stop.cancel();
    }
}

fn node_health(entry: NodeEntry) -> SubjectNode {
    let state = match entry.state {
        ratelimiter_api::NodeState::Up => Reachability::Up,
        ratelimiter_api::NodeState::Suspect => Reachability::Suspect,
        ratelimiter_api::NodeState::Down => Reachability::Down,
    };
    SubjectNode {
        id: entry.id.to_string(),
        address: entry.address,
        state,
    }
}
