//! Health of the cluster for the screen: which nodes are up, and whether the store is connected.

use std::time::{Duration, SystemTime};

use demo_core::{Dependency, HealthPoller, HealthSnapshot, Reachability, SubjectNode};
use parking_lot::Mutex;
use ratelimiter_api::{Endpoint, NodeClient, NodeEntry};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Time limit of one request.
const DEADLINE: Duration = Duration::from_secs(5);

/// Polls the health of a cluster. The first node that answers reports for all.
#[derive(Debug)]
pub(crate) struct ClusterPoller {
    nodes: Vec<NodeClient>,
    interval: Duration,
    last: Mutex<HealthSnapshot>,
    stop: CancellationToken,
}

impl ClusterPoller {
    /// A poller of these nodes, once an interval. It has not polled yet.
    pub(crate) fn new(endpoints: &[Endpoint], interval: Duration) -> Self {
        let node = |endpoint: &Endpoint| NodeClient::new(endpoint.clone(), DEADLINE);
        Self {
            nodes: endpoints.iter().map(node).collect(),
            interval,
            last: Mutex::default(),
            stop: CancellationToken::new(),
        }
    }

    /// Polls once, now.
    async fn poll(&self) {
        let answer = self.ask().await;
        let connected = answer.as_ref().is_some_and(|(_, connected)| *connected);
        let mut last = self.last.lock();
        last.last_updated = Some(SystemTime::now());
        last.dependencies = vec![Dependency {
            name: "store".into(),
            connected,
        }];
        if let Some((nodes, _)) = answer {
            last.nodes = nodes.into_iter().map(node_health).collect();
        }
        last.has_issues = !connected || last.nodes.iter().any(|n| n.state != Reachability::Up);
    }

    /// The nodes, and whether the store is connected, from the first node that answers both
    /// questions.
    async fn ask(&self) -> Option<(Vec<NodeEntry>, bool)> {
        for node in &self.nodes {
            if let (Ok(nodes), Ok(health)) = tokio::join!(node.nodes(), node.health()) {
                return Some((nodes.nodes, health.redis_connected));
            }
        }
        None
    }
}

impl HealthPoller for ClusterPoller {
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
        self.last.lock().clone()
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ratelimiter_cluster::{ClusterPlan, LocalCluster};
    use tokio::time::{Instant, sleep};

    use super::*;

    async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !holds().await {
            assert!(Instant::now() < deadline, "not within 20 s: {what}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn poller(cluster: &LocalCluster) -> ClusterPoller {
        ClusterPoller::new(&cluster.endpoints(), Duration::from_millis(50))
    }

    fn store_connected(health: &HealthSnapshot) -> bool {
        matches!(&health.dependencies[..], [store] if store.name == "store" && store.connected)
    }

    #[tokio::test]
    async fn lost_cluster_keeps_its_last_nodes() {
        let mut cluster = ClusterPlan::nodes(3).start().await.unwrap();
        let poller = poller(&cluster);
        assert_eq!(poller.health().last_updated, None);
        poller.poll().await;
        let well = poller.health();
        assert!(!well.has_issues && well.last_updated.is_some(), "{well:?}");
        assert!(store_connected(&well), "{well:?}");
        assert_eq!(
            well.nodes.iter().map(|n| n.id.as_str()).collect::<Vec<_>>(),
            ["node-1", "node-2", "node-3"]
        );

        cluster.kill_node(0).unwrap();
        until("a second node reports the loss of the first", async || {
            poller.poll().await;
            let nodes = poller.health().nodes;
            nodes
                .iter()
                .any(|n| n.id == "node-1" && n.state == Reachability::Down)
        })
        .await;
        assert!(store_connected(&poller.health()) && poller.health().has_issues);

        cluster.kill_node(1).unwrap();
        cluster.kill_node(2).unwrap();
        poller.poll().await;
        let gone = poller.health();
        assert!(gone.has_issues && !store_connected(&gone));
        assert_eq!(gone.nodes.len(), 3);
    }

    #[tokio::test]
    async fn lost_store_is_an_issue() {
        let mut cluster = ClusterPlan::nodes(1).start().await.unwrap();
        let poller = Arc::new(poller(&cluster));
        let running = tokio::spawn({
            let poller = Arc::clone(&poller);
            async move { poller.run().await }
        });
        until("the first poll", async || store_connected(&poller.health())).await;
        cluster.kill_store();
        until("the loss is reported", async || {
            !store_connected(&poller.health())
        })
        .await;
        assert!(poller.health().has_issues);
        poller.stop();
        running.await.unwrap();
    }
}
