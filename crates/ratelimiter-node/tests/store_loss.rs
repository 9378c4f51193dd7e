//! A store that is killed or frozen: checks are answered all the same, and its return brings everything back.
#![expect(clippy::unwrap_used, reason = "a test that cannot set up its subject has failed")]

mod common;

use std::time::Duration;

use common::{
    PATIENCE, SECOND, Store, all_synced, check, checks, clients, count, counted, eventually, failing, key,
    set, spec,
};
use ratelimiter_api::{
    CheckRequest, CheckResponse, CountingMode, DecidedBy, Key, LimitEntry, MAX_LIMIT, NodeClient,
    NodeConnection, StoreFailurePolicy, layout,
};
use ratelimiter_chaos::{Burst, Scope};
use ratelimiter_cluster::LocalCluster;
use ratelimiter_node::{Config, Node};
use redis::cmd;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a check waits for the store.
const TIMEOUT: Duration = Duration::from_millis(200);
/// What a busy machine may add to that.
const MARGIN: Duration = Duration::from_millis(800);
/// How long the nodes may take to be back to normal.
const RECOVERY: Duration = Duration::from_secs(2);

async fn cluster() -> (LocalCluster, Vec<LimitEntry>) {
    let cluster = LocalCluster::builder().store_timeout(TIMEOUT).start().await.unwrap();
    let mut entries = Vec::new();
    for counting in CountingMode::ALL {
        entries.push(set(&cluster, &counted(counting.as_str(), 1000, *counting)).await);
    }
    (cluster, entries)
}

/// Many checks at once, of every mode on every node; each is answered in time.
async fn everybody_is_answered(cluster: &LocalCluster) -> Vec<CheckResponse> {
    let mut flights = JoinSet::new();
    for client in clients(cluster) {
        for counting in CountingMode::ALL {
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

async fn decided_without_the_store(cluster: &LocalCluster) {
    // First with connections that nobody knows to be dead, then with none.
    for _ in 0..5 {
        let answers = everybody_is_answered(cluster).await;
        assert!(answers.iter().all(|a| a.allowed && a.decided_by == DecidedBy::Local), "{answers:?}");
    }
    for client in clients(cluster) {
        eventually("the loss is noticed", async || !client.health().await.unwrap().redis_connected).await;
        assert!(client.limits().await.unwrap().len() >= 3, "what is known stays known");
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
        assert!(entries.iter().all(|entry| limits.contains(entry)), "{limits:?}");
    }
    eventually("the store has the limits", async || {
        let kept: u64 = store.0.query(cmd("HLEN").arg(layout::LIMITS), PATIENCE).await.unwrap();
        kept == entries.len() as u64
    })
    .await;
    let took = returned.elapsed();
    println!("back to normal after {took:?}");
    assert!(took < RECOVERY, "back to normal after {took:?}");
}

/// Everything that any node admitted is in the store, once.
async fn everything_is_told(cluster: &LocalCluster, entries: &[LimitEntry]) {
    let (store, clients) = (Store::of(cluster), clients(cluster));
    for entry in entries {
        let mut own = 0;
        for client in &clients {
            own += count(client, &entry.key).await.0;
        }
        eventually("every admission is in the store", async || store.held(entry).await >= own).await;
        all_synced(&clients, &entry.key).await;
        assert_eq!(store.held(entry).await, own, "{}", entry.key);
    }
}

#[tokio::test]
async fn a_killed_store_stops_nobody_and_gets_everything_back_when_it_returns_empty() {
    let (mut cluster, entries) = cluster().await;
    assert!(everybody_is_answered(&cluster).await.iter().all(|a| a.allowed));
    for _ in 0..2 {
        cluster.kill_store();
        decided_without_the_store(&cluster).await;
        cluster.restart_store().await.unwrap();
        back_to_normal(&cluster, &entries).await;
        everything_is_told(&cluster, &entries).await;
    }
}

#[tokio::test]
async fn a_frozen_store_stops_nobody_and_goes_on_where_it_was() {
    let (cluster, entries) = cluster().await;
    assert!(everybody_is_answered(&cluster).await.iter().all(|a| a.allowed));
    for _ in 0..2 {
        cluster.freeze_store().unwrap();
        decided_without_the_store(&cluster).await;
        cluster.thaw_store().unwrap();
        back_to_normal(&cluster, &entries).await;
        everything_is_told(&cluster, &entries).await;
    }
}

#[tokio::test]
async fn a_store_that_is_emptied_while_it_runs_is_told_again() {
    let (cluster, entries) = cluster().await;
    assert!(everybody_is_answered(&cluster).await.iter().all(|a| a.allowed));
    everything_is_told(&cluster, &entries).await;
    let held: Vec<u64> = held(&cluster, &entries).await;
    assert!(held.iter().all(|n| *n == 12), "{held:?}");
    Store::of(&cluster).run(&["FLUSHALL"]).await;
    // Somebody sets a limit before any node has noticed: the others are not lost for it.
    clients(&cluster)[1].set_limit(&spec("new", 10)).await.unwrap();
    for client in clients(&cluster) {
        eventually("old and new limits are known", async || {
            let limits = client.limits().await.unwrap();
            limits.len() == 4 && entries.iter().all(|entry| limits.contains(entry))
        })
        .await;
    }
    eventually("every admission is in the store again", async || {
        self::held(&cluster, &entries).await == [12, 12, 12]
    })
    .await;
    everything_is_told(&cluster, &entries).await;
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
async fn one_counter_that_the_store_lost_is_told_again() {
    let (cluster, entries) = cluster().await;
    let store = Store::of(&cluster);
    for entry in &entries {
        assert_eq!(checks(&clients(&cluster), &entry.key, 9).await, 9);
        all_synced(&clients(&cluster), &entry.key).await;
        // As a store does that evicts what it has no memory for.
        store.run(&["DEL", &layout::admissions(&entry.key, entry.epoch)]).await;
        // One node has something new to tell, so that the counter is there again before the others look.
        assert!(check(&clients(&cluster)[0], &entry.key).await.allowed);
        eventually("every admission is in the store again", async || store.held(entry).await == 10).await;
    }
}

async fn burst(cluster: &LocalCluster, key: &Key) -> u64 {
    let burst = Burst::new(cluster.endpoints(), key.clone(), 10, 6, Scope::ThisMachine).unwrap();
    burst.fire().await.unwrap().tally.allowed
}

#[tokio::test]
async fn a_store_that_returns_empty_does_not_make_a_node_forget_what_it_admitted() {
    let mut cluster = LocalCluster::builder().nodes(1).store_timeout(SECOND).start().await.unwrap();
    set(&cluster, &failing("k", 10, CountingMode::Atomic, StoreFailurePolicy::Local)).await;
    let key = key("k");
    assert_eq!(burst(&cluster, &key).await, 10);
    for _ in 0..3 {
        cluster.kill_store();
        assert_eq!(burst(&cluster, &key).await, 0, "the node knows its own admissions");
        cluster.restart_store().await.unwrap();
        // At once, before a sync can have noticed that this store knows nothing.
        assert_eq!(burst(&cluster, &key).await, 0, "the store's count is not believed");
    }
}

#[tokio::test]
async fn a_store_that_is_killed_makes_the_nodes_admit_at_most_their_limit_each() {
    let mut cluster = LocalCluster::builder().store_timeout(SECOND).start().await.unwrap();
    set(&cluster, &failing("k", 10, CountingMode::Atomic, StoreFailurePolicy::Local)).await;
    let with = burst(&cluster, &key("k")).await;
    cluster.kill_store();
    let without = burst(&cluster, &key("k")).await + burst(&cluster, &key("k")).await;
    assert_eq!(with, 10);
    assert!(with + without <= 30, "{without} more admitted without the store: above three times the limit");
}

#[tokio::test]
async fn a_node_that_has_not_reached_the_store_does_not_claim_that_there_is_no_limit() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let store = format!("redis://{nobody}").parse().unwrap();
    let node = Node::bind(Config::new("n", "127.0.0.1:0".parse().unwrap(), store).unwrap()).await.unwrap();
    let client = NodeClient::new(node.address().into(), PATIENCE);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(node.run(shutdown.clone()));
    let refused = client.check(&CheckRequest::new(key("k"))).await.unwrap_err().to_string();
    assert!(refused.contains("503") && refused.contains("not known yet"), "{refused}");
    shutdown.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn failing_open_for_long_fills_no_memory() {
    const COST: u32 = 100;
    let mut cluster = LocalCluster::builder().nodes(1).start().await.unwrap();
    set(&cluster, &failing("k", 10, CountingMode::Atomic, StoreFailurePolicy::Allow)).await;
    cluster.kill_store();
    let mut callers = JoinSet::new();
    for endpoint in cluster.endpoints().into_iter().cycle().take(8) {
        let request = CheckRequest { key: key("k"), cost: COST.into() };
        callers.spawn(async move {
            let mut connection = NodeConnection::open(&endpoint, PATIENCE).await.unwrap();
            for _ in 0..MAX_LIMIT / COST / 8 + 50 {
                assert!(connection.check(&request, PATIENCE).await.unwrap().allowed);
            }
        });
    }
    callers.join_all().await;
    let (remembered, _) = count(&clients(&cluster)[0], &key("k")).await;
    assert_eq!(remembered, u64::from(MAX_LIMIT), "everything was granted, and so much of it is remembered");
    cluster.restart_store().await.unwrap();
    eventually("the store decides again, and knows enough", async || {
        let answer = check(&clients(&cluster)[0], &key("k")).await;
        answer.decided_by == DecidedBy::Store && !answer.allowed
    })
    .await;
    assert!(cluster.shutdown().await, "the node still ends in time");
}
