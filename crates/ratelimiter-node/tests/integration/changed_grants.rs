//! Changes of a leased key while its nodes hold grants: after the answer none of these is spent.

use crate::common::raw::{exchange, post};
use crate::common::{PATIENCE, SECOND, Store, clients, counted, eventually, key, set, start};
use ratelimiter_api::{ChangedLimit, CheckRequest, CountingMode, Key};
use ratelimiter_cluster::{ClusterPlan, LocalCluster};
use redis::cmd;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Callers of each node.
const CALLERS: usize = 8;

/// Checks without a pause by every node until the instant; when each allowed one was asked.
fn load(cluster: &LocalCluster, key: &Key, until: Instant) -> JoinSet<Vec<Instant>> {
    let mut callers = JoinSet::new();
    for node in 0..cluster.endpoints().len() {
        for _ in 0..CALLERS {
            let client = cluster.client(node, PATIENCE).unwrap();
            let request = CheckRequest::new(key.clone());
            callers.spawn(async move {
                let mut allowed = Vec::new();
                while Instant::now() < until {
                    let asked = Instant::now();
                    // One that is deleted is refused.
                    if client
                        .check(&request)
                        .await
                        .is_ok_and(|answer| answer.allowed)
                    {
                        allowed.push(asked);
                    }
                }
                allowed
            });
        }
    }
    callers
}

#[tokio::test]
async fn lowered_limit_holds_from_its_answer_on() {
    let cluster = start(ClusterPlan {
        // Nodes learn of the limit long after its answer.
        sync_interval: 4 * SECOND,
        store_timeout: SECOND,
        ..ClusterPlan::default()
    })
    .await;
    // Set through each node, so that each knows it without a sync.
    let spec = counted("k", 100_000, CountingMode::Leased);
    for client in clients(&cluster) {
        client.set_limit(&spec).await.unwrap();
    }
    let callers = load(&cluster, &key("k"), Instant::now() + 3 * SECOND);
    sleep(SECOND).await;
    let lower = post(
        "/limit",
        r#"{"key":"k","limit":10,"window_sec":60,"counting":"leased"}"#,
    );
    let reply = exchange(&cluster.endpoints()[0], &lower).await;
    let answered = Instant::now();
    assert_eq!(reply.status, 200, "{reply:?}");
    let allowed: Vec<_> = callers.join_all().await.into_iter().flatten().collect();
    let answer: ChangedLimit = serde_json::from_slice(&reply.body).unwrap();
    let late = allowed.iter().filter(|asked| **asked >= answered).count();
    println!("{} allowed, {late} of them after {answer:?}", allowed.len());
    assert!(allowed.len() > 10, "the load met the former limit");
    assert_eq!(late, 0, "allowed after the answer");
    assert!(answer.former_grants.is_some(), "{answer:?}");
}

#[tokio::test]
async fn deleted_counter_leaves_nothing_behind() {
    let cluster = start(ClusterPlan::default()).await;
    let entry = set(&cluster, &counted("k", 100_000, CountingMode::Leased)).await;
    let callers = load(&cluster, &entry.key, Instant::now() + 2 * SECOND);
    sleep(SECOND / 2).await;
    clients(&cluster)[0]
        .reset_counter(&entry.key)
        .await
        .unwrap();
    sleep(SECOND / 2).await;
    clients(&cluster)[1].delete_limit(&entry.key).await.unwrap();
    callers.join_all().await;
    eventually("no entry of the key is left", async || {
        let left: Vec<String> = Store::of(&cluster)
            .0
            .query(cmd("KEYS").arg("ratelimiter:*{k}*"), PATIENCE)
            .await
            .unwrap();
        left.is_empty()
    })
    .await;
}
