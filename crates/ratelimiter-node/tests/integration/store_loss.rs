//! A store that is killed or frozen: checks are answered all the same, and its return brings
//! everything back.

use std::time::Duration;

use crate::common::bursts::{LIMIT, burst};
use crate::common::{
    PATIENCE, SECOND, Store, all_synced, check, checks, clients, count, counted, eventually,
    failing, key, set, spec, start,
};
use ratelimiter_api::{
    CheckRequest, CheckResponse, CountingMode, DecidedBy, Key, LimitEntry, MAX_LIMIT, NodeClient,
    StoreCircuit, StoreFailurePolicy, layout,
};
use ratelimiter_chaos::reset_counter;
use ratelimiter_cluster::{ClusterPlan, LocalCluster};
use redis::cmd;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The modes whose admissions the store holds one by one; `tests/leased.rs` has the stories of
/// grants.
const MODES: [CountingMode; 3] = [
    CountingMode::Atomic,
    CountingMode::Cached,
    CountingMode::ReadThenWrite,
];
/// Longest wait of a check for the store.
const TIMEOUT: Duration = Duration::from_millis(200);
/// Room for a busy machine.
const MARGIN: Duration = Duration::from_millis(800);
/// Longest time until the nodes are back to normal.
const RECOVERY: Duration = Duration::from_secs(2);

async fn cluster() -> (LocalCluster, Vec<LimitEntry>) {
    let cluster = start(ClusterPlan {
        store_timeout: TIMEOUT,
        ..ClusterPlan::default()
    })
    .await;
    let mut entries = Vec::new();
    for counting in MODES {
        entries.push(set(&cluster, &counted(counting.as_str(), 1000, counting)).await);
    }
    (cluster, entries)
}

/// Many checks at once, of every mode on every node; each is answered in time.
async fn all_checks_are_answered(cluster: &LocalCluster) -> Vec<CheckResponse> {
    let mut flights = JoinSet::new();
    for client in clients(cluster) {
        for counting in MODES {
            for _ in 0..4 {
                let (client, key) = (client.clone(), key(counting.as_str()));
                flights.spawn(async move {
                    let asked = Instant::now();
                    (check(&client, &key).await, asked.elapsed())
                });
            }
        }
    }
    let answers = flights.join_all().await;
    for (answer, took) in &answers {
        assert!(*took < TIMEOUT + MARGIN, "{answer:?} took {took:?}");
    }
    answers.into_iter().map(|(answer, _)| answer).collect()
}

/// A cluster whose counters have admissions.
async fn used_cluster() -> (LocalCluster, Vec<LimitEntry>) {
    let (cluster, entries) = cluster().await;
    let answers = all_checks_are_answered(&cluster).await;
    assert!(answers.iter().all(|a| a.allowed), "{answers:?}");
    (cluster, entries)
}

async fn decided_without_the_store(cluster: &LocalCluster) {
    // First with connections whose death is not noticed yet, then with none.
    for _ in 0..5 {
        let answers = all_checks_are_answered(cluster).await;
        assert!(
            answers
                .iter()
                .all(|a| a.allowed && a.decided_by == DecidedBy::Local),
            "{answers:?}"
        );
    }
    for client in clients(cluster) {
        eventually("the loss is noticed", async || {
            !client.health().await.unwrap().redis_connected
        })
        .await;
        assert!(
            client.limits().await.unwrap().len() >= 3,
            "limits that were read stay"
        );
    }
}

/// Measures from the store's return until every node is as before the loss.
async fn back_to_normal(cluster: &LocalCluster, entries: &[LimitEntry]) {
    let returned = Instant::now();
    let store = Store::of(cluster);
    for client in clients(cluster) {
        eventually("connected, and the store decides", async || {
            let connected = client.health().await.unwrap().redis_connected;
            connected && check(&client, &key("atomic")).await.decided_by == DecidedBy::Store
        })
        .await;
        let limits = client.limits().await.unwrap();
        assert!(
            entries.iter().all(|entry| limits.contains(entry)),
            "{limits:?}"
        );
    }
    eventually("the store has the limits", async || {
        let kept: u64 = store
            .0
            .query(cmd("HLEN").arg(layout::LIMITS), PATIENCE)
            .await
            .unwrap();
        // Beside them the part's own member.
        kept == entries.len() as u64 + 1
    })
    .await;
    let took = returned.elapsed();
    println!("back to normal after {took:?}");
    assert!(took < RECOVERY, "back to normal after {took:?}");
}

/// Everything that any node admitted is in the store, once.
async fn everything_is_flushed(cluster: &LocalCluster, entries: &[LimitEntry]) {
    let (store, clients) = (Store::of(cluster), clients(cluster));
    for entry in entries {
        let mut own = 0;
        for client in &clients {
            own += count(client, &entry.key).await.0;
        }
        eventually("every admission is in the store", async || {
            store.held(entry).await >= own
        })
        .await;
        all_synced(&clients, &entry.key).await;
        assert_eq!(store.held(entry).await, own, "{}", entry.key);
    }
}

#[tokio::test]
async fn a_killed_store_gets_everything_back() {
    let (mut cluster, entries) = used_cluster().await;
    for _ in 0..2 {
        cluster.kill_store();
        decided_without_the_store(&cluster).await;
        cluster.restart_store().await.unwrap();
        back_to_normal(&cluster, &entries).await;
        everything_is_flushed(&cluster, &entries).await;
    }
}

#[tokio::test]
async fn a_frozen_store_goes_on_after_the_thaw() {
    let (cluster, entries) = used_cluster().await;
    for _ in 0..2 {
        cluster.freeze_store().unwrap();
        decided_without_the_store(&cluster).await;
        cluster.thaw_store().unwrap();
        back_to_normal(&cluster, &entries).await;
        everything_is_flushed(&cluster, &entries).await;
    }
}

#[tokio::test]
async fn checks_stop_waiting_for_a_dead_store() {
    const CHECKS: u32 = 100;
    let (cluster, _) = cluster().await;
    let (client, key) = (clients(&cluster).remove(0), key("atomic"));
    cluster.freeze_store().unwrap();
    let started = Instant::now();
    for _ in 0..CHECKS {
        assert_eq!(check(&client, &key).await.decided_by, DecidedBy::Local);
    }
    let took = started.elapsed();
    assert!(
        took < CHECKS * TIMEOUT / 2,
        "most checks waited for the store: {took:?} for {CHECKS}"
    );
    assert_ne!(
        client.health().await.unwrap().store_circuit,
        StoreCircuit::Closed
    );
    cluster.thaw_store().unwrap();
    eventually("the store decides again", async || {
        check(&client, &key).await.decided_by == DecidedBy::Store
    })
    .await;
    assert_eq!(
        client.health().await.unwrap().store_circuit,
        StoreCircuit::Closed
    );
}

#[tokio::test]
async fn an_emptied_store_gets_everything_back() {
    let (cluster, entries) = used_cluster().await;
    everything_is_flushed(&cluster, &entries).await;
    assert_eq!(held(&cluster, &entries).await, [12, 12, 12]);
    Store::of(&cluster).run(&["FLUSHALL"]).await;
    // A limit is set before any node has noticed: the others are not lost for it.
    clients(&cluster)[1]
        .set_limit(&spec("new", 10))
        .await
        .unwrap();
    for client in clients(&cluster) {
        eventually("old and new limits are known", async || {
            let limits = client.limits().await.unwrap();
            limits.len() == 4 && entries.iter().all(|entry| limits.contains(entry))
        })
        .await;
    }
    eventually("every admission is in the store again", async || {
        held(&cluster, &entries).await == [12, 12, 12]
    })
    .await;
    everything_is_flushed(&cluster, &entries).await;
}

async fn held(cluster: &LocalCluster, entries: &[LimitEntry]) -> Vec<u64> {
    let store = Store::of(cluster);
    let mut held = Vec::new();
    for entry in entries {
        held.push(store.held(entry).await);
    }
    held
}

#[tokio::test]
async fn one_lost_counter_comes_back() {
    let (cluster, entries) = cluster().await;
    let store = Store::of(&cluster);
    for entry in &entries {
        assert_eq!(checks(&clients(&cluster), &entry.key, 9).await, 9);
        all_synced(&clients(&cluster), &entry.key).await;
        // As a store does that evicts entries for lack of memory.
        store
            .run(&["DEL", &layout::admissions(&entry.key, entry.epoch)])
            .await;
        // One node has a new admission to flush, so that the counter is there again before the
        // others look.
        assert!(check(&clients(&cluster)[0], &entry.key).await.allowed);
        eventually("every admission is in the store again", async || {
            store.held(entry).await == 10
        })
        .await;
    }
}

/// Six times the limit at once on a key that goes on alone; returns how many were allowed.
async fn allowed(cluster: &LocalCluster) -> u64 {
    burst(cluster, &key("k"), 6).await.tally.allowed
}

/// A cluster whose nodes decide alone about the key without their store.
async fn cluster_of(nodes: usize) -> LocalCluster {
    let plan = ClusterPlan {
        store_timeout: SECOND,
        ..ClusterPlan::nodes(nodes)
    };
    let cluster = plan.start().await.unwrap();
    let (counting, policy) = (CountingMode::Atomic, StoreFailurePolicy::Local);
    set(&cluster, &failing("k", LIMIT as i64, counting, policy)).await;
    cluster
}

#[tokio::test]
async fn an_empty_store_does_not_reset_a_node() {
    let mut cluster = cluster_of(1).await;
    assert_eq!(allowed(&cluster).await, LIMIT);
    for _ in 0..3 {
        cluster.kill_store();
        assert_eq!(allowed(&cluster).await, 0, "the node has its admissions");
        cluster.restart_store().await.unwrap();
        // At once, before a sync can have noticed that this store is empty.
        assert_eq!(allowed(&cluster).await, 0, "the store's count is refused");
    }
}

#[tokio::test]
async fn without_store_each_node_admits_its_limit() {
    let mut cluster = cluster_of(3).await;
    assert_eq!(allowed(&cluster).await, LIMIT);
    cluster.kill_store();
    let without = allowed(&cluster).await + allowed(&cluster).await;
    assert!(
        without <= 2 * LIMIT,
        "{without} more admitted without the store: above three times the limit"
    );
}

#[tokio::test]
async fn failing_open_for_long_fills_no_memory() {
    const COST: u32 = 100;
    let mut cluster = ClusterPlan::nodes(1).start().await.unwrap();
    set(
        &cluster,
        &failing("k", 10, CountingMode::Atomic, StoreFailurePolicy::Allow),
    )
    .await;
    cluster.kill_store();
    let mut callers = JoinSet::new();
    for endpoint in cluster.endpoints().into_iter().cycle().take(8) {
        let request = CheckRequest {
            key: key("k"),
            cost: COST.into(),
        };
        callers.spawn(async move {
            let node = NodeClient::new(endpoint, PATIENCE);
            for _ in 0..MAX_LIMIT / COST / 8 + 50 {
                assert!(node.check(&request).await.unwrap().allowed);
            }
        });
    }
    callers.join_all().await;
    let (remembered, _) = count(&clients(&cluster)[0], &key("k")).await;
    assert_eq!(
        remembered,
        u64::from(MAX_LIMIT),
        "everything was granted, and so much of it is remembered"
    );
    cluster.restart_store().await.unwrap();
    eventually("the store decides again, and knows enough", async || {
        let answer = check(&clients(&cluster)[0], &key("k")).await;
        answer.decided_by == DecidedBy::Store && !answer.allowed
    })
    .await;
    assert!(cluster.shutdown().await, "the node still ends in time");
}

#[tokio::test]
async fn lost_admissions_are_counted_and_sent_again() {
    let cluster = cluster_of(3).await;
    let entry = set(&cluster, &counted("k", 1000, CountingMode::Atomic)).await;
    let (store, clients) = (Store::of(&cluster), clients(&cluster));
    assert_eq!(checks(&clients, &entry.key, 30).await, 30);
    // As a failover does to a replica that lags behind: the last ones are gone.
    let set = layout::admissions(&entry.key, entry.epoch);
    store.run(&["ZREMRANGEBYRANK", &set, "-7", "-1"]).await;
    let lost = async || {
        let mut lost = 0;
        for client in &clients {
            lost += client.health().await.unwrap().store_lost;
        }
        lost
    };
    eventually("the nodes found the loss", async || lost().await == 7).await;
    eventually("every admission is in the store again", async || {
        store.held(&entry).await == 30
    })
    .await;
    all_synced(&clients, &entry.key).await;
    assert_eq!(lost().await, 7, "neither more nor less");
    // Dropped on purpose is not lost.
    reset_counter(&clients, &entry.key).await.unwrap();
    assert_eq!(checks(&clients, &entry.key, 30).await, 30);
    all_synced(&clients, &entry.key).await;
    assert_eq!(lost().await, 7);
}

/// Checks without a pause by every node until the instant; how many were allowed.
async fn hammered(cluster: &LocalCluster, key: &Key, until: Instant) -> JoinSet<u64> {
    let mut callers = JoinSet::new();
    for endpoint in cluster.endpoints() {
        for _ in 0..24 {
            let node = NodeClient::new(endpoint.clone(), PATIENCE);
            let request = CheckRequest::new(key.clone());
            callers.spawn(async move {
                let mut allowed = 0;
                while Instant::now() < until {
                    // A node that was killed admits nothing, or more than its callers know.
                    let answer = node.check(&request).await;
                    allowed += u64::from(answer.is_ok_and(|answer| answer.allowed));
                }
                allowed
            });
        }
    }
    callers
}

#[tokio::test]
async fn lost_counts_admit_a_limit_a_process() {
    const LIMIT: u64 = 50;
    let mut cluster = start(ClusterPlan::default()).await;
    let entry = set(&cluster, &counted("k", LIMIT as i64, CountingMode::Atomic)).await;
    let (store, admissions) = (
        Store::of(&cluster),
        layout::admissions(&entry.key, entry.epoch),
    );
    let until = Instant::now() + 3 * SECOND;
    let callers = hammered(&cluster, &entry.key, until).await;
    while Instant::now() < until {
        store.run(&["DEL", &admissions]).await;
    }
    let evicted: u64 = callers.join_all().await.into_iter().sum();
    println!("{evicted} admitted by 3 processes while their counts were lost all the time");
    assert!((LIMIT..=3 * LIMIT).contains(&evicted), "{evicted}");

    let until = Instant::now() + 6 * SECOND;
    let callers = hammered(&cluster, &entry.key, until).await;
    for node in [0, 1] {
        store.run(&["FLUSHALL"]).await;
        cluster.kill_node(node).unwrap();
        cluster.restart_node(node).await.unwrap();
    }
    let total = evicted + callers.join_all().await.into_iter().sum::<u64>();
    println!("{total} admitted by 5 processes of a window");
    assert!(total <= 5 * LIMIT, "{total}");
}
