//! A node that starts while its store is absent.

use crate::common::{PATIENCE, check, clients, counted, eventually, failing, key, set};
use ratelimiter_api::{CheckRequest, CountingMode, DecidedBy, NodeClient, StoreFailurePolicy};
use ratelimiter_cluster::ClusterPlan;
use ratelimiter_node::{Config, NodeServer, NodeSettings};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

fn settings(store: &str) -> NodeSettings {
    NodeSettings::new("n", "127.0.0.1:0".parse().unwrap(), store.parse().unwrap())
}

/// A store at an address with no listener.
fn absent_store() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("redis://{}", listener.local_addr().unwrap())
}

/// A node in this process.
struct RunningNode {
    client: NodeClient,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

impl RunningNode {
    async fn start(settings: NodeSettings) -> Self {
        let config = Config::new(settings).unwrap();
        let node = NodeServer::bind(config).await.unwrap();
        let client = NodeClient::new(node.address().into(), PATIENCE);
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(node.run(shutdown.clone()));
        Self {
            client,
            shutdown,
            running,
        }
    }

    /// The reason why a check of this key is not decided.
    async fn refusal(&self, name: &str) -> String {
        let check = CheckRequest::new(key(name));
        self.client.check(&check).await.unwrap_err().to_string()
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.running.await.unwrap();
    }
}

#[tokio::test]
async fn a_node_without_limits_answers_unavailable() {
    let node = RunningNode::start(settings(&absent_store())).await;
    let refused = node.refusal("k").await;
    assert!(
        refused.contains("503") && refused.contains("not known yet"),
        "{refused}"
    );
    node.end().await;
}

#[tokio::test]
async fn failing_open_holds_at_start() {
    let node = RunningNode::start(NodeSettings {
        on_store_failure: Some(StoreFailurePolicy::Allow),
        ..settings(&absent_store())
    });
    let node = node.await;
    for _ in 0..3 {
        let answer = check(&node.client, &key("unknown")).await;
        assert_eq!(
            (answer.allowed, answer.limit, answer.decided_by),
            (true, 0, DecidedBy::Policy)
        );
    }
    node.end().await;
}

#[tokio::test]
async fn limits_of_a_file_hold_at_start() {
    let mut cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let kept = set(&cluster, &counted("kept", 7, CountingMode::Cached)).await;
    let url = cluster.store_url().to_string();
    cluster.freeze_store().unwrap();
    let limits = vec![
        failing("closed", 5, CountingMode::Atomic, StoreFailurePolicy::Deny),
        failing("open", 5, CountingMode::Atomic, StoreFailurePolicy::Allow),
        failing("own", 5, CountingMode::Cached, StoreFailurePolicy::Local),
        failing("kept", 5, CountingMode::Cached, StoreFailurePolicy::Local),
    ];
    let node = RunningNode::start(NodeSettings {
        on_store_failure: Some(StoreFailurePolicy::Local),
        limits,
        ..settings(&url)
    });
    let node = node.await;
    let mut allowed = [0; 4];
    for _ in 0..8 {
        for (allowed, name) in allowed.iter_mut().zip(["closed", "open", "own", "kept"]) {
            *allowed += u64::from(check(&node.client, &key(name)).await.allowed);
        }
    }
    assert_eq!(allowed, [0, 8, 5, 5]);
    let unknown = node.refusal("unknown").await;
    assert!(unknown.contains("503"), "{unknown}");
    cluster.thaw_store().unwrap();
    eventually("the store's limits and the file's are one", async || {
        let limits = node.client.limits().await.unwrap();
        limits.len() == 4 && limits.contains(&kept)
    })
    .await;
    assert!(
        !check(&node.client, &key("own")).await.allowed,
        "its counter goes on"
    );
    let other = clients(&cluster).remove(0);
    eventually("the other node reads them", async || {
        other.limits().await.unwrap().len() == 4
    })
    .await;
    eventually("and the admissions made without the store", async || {
        !check(&other, &key("own")).await.allowed
    })
    .await;
    node.end().await;
    assert!(cluster.terminate_node(0).await.unwrap());
}
