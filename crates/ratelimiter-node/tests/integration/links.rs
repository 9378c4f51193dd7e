//! Connections that a healthy store closes: every check is still decided by the store, and none is
//! admitted above the limit.

use crate::common::bursts::{allowed, at_once};
use crate::common::{PATIENCE, Store, clients, eventually, failing, key, set, start};
use ratelimiter_api::{CheckRequest, CountingMode, DecidedBy, NodeClient, StoreFailurePolicy};
use ratelimiter_cluster::{ClusterPlan, LocalCluster};
use redis::cmd;

/// The modes that ask the store about every check.
const ASKING: [CountingMode; 2] = [CountingMode::Atomic, CountingMode::ReadThenWrite];
const LIMIT: u64 = 30;

async fn cluster() -> LocalCluster {
    let cluster = start(ClusterPlan {
        store_timeout: PATIENCE / 2,
        ..ClusterPlan::default()
    })
    .await;
    for counting in ASKING {
        let limit = failing(
            counting.as_str(),
            LIMIT as i64,
            counting,
            StoreFailurePolicy::Local,
        );
        set(&cluster, &limit).await;
    }
    cluster
}

/// One check on every node at once; returns how many were allowed. The store decides each of them.
async fn round(clients: &[NodeClient], counting: CountingMode) -> u64 {
    let request = CheckRequest::new(key(counting.as_str()));
    let answers = at_once(clients.iter().cloned(), &request).await;
    assert!(
        answers.iter().all(|a| a.decided_by == DecidedBy::Store),
        "{counting}: {answers:?}"
    );
    allowed(&answers)
}

/// Rounds until twice the limit was asked for, each after `disturb`.
async fn admits_its_limit(
    cluster: &LocalCluster,
    counting: CountingMode,
    rounds: u64,
    disturb: impl AsyncFn(),
) {
    let clients = clients(cluster);
    let mut allowed = 0;
    for _ in 0..rounds {
        disturb().await;
        for _ in 0..(2 * LIMIT).div_ceil(3 * rounds) {
            allowed += round(&clients, counting).await;
        }
    }
    // Of checks in flight at once, reading and then writing admits some too many: at most one a
    // node here.
    let most = if counting == CountingMode::Atomic {
        LIMIT
    } else {
        LIMIT + 2
    };
    assert!(
        (LIMIT..=most).contains(&allowed),
        "{counting}: {allowed} of {LIMIT}"
    );
}

#[tokio::test]
async fn an_idle_disconnect_changes_no_decision() {
    let cluster = cluster().await;
    let store = Store::of(&cluster);
    store.run(&["CONFIG", "SET", "timeout", "1"]).await;
    for counting in ASKING {
        admits_its_limit(&cluster, counting, 2, async || {
            eventually(
                "the store closes the connections of the checks",
                async || {
                    let list: String = store
                        .0
                        .query(cmd("CLIENT").arg("LIST"), PATIENCE)
                        .await
                        .unwrap();
                    // Flushes go on, and a script for the heartbeats of each node; checks run
                    // scripts, or add and expire.
                    let scripts = list.matches("cmd=evalsha").count();
                    scripts <= cluster.endpoints().len() && !list.contains("cmd=pexpire")
                },
            )
            .await;
        })
        .await;
    }
}

#[tokio::test]
async fn killed_connections_change_no_decision() {
    let cluster = cluster().await;
    let store = Store::of(&cluster);
    for counting in ASKING {
        admits_its_limit(&cluster, counting, 20, async || {
            store
                .run(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])
                .await;
        })
        .await;
    }
}
