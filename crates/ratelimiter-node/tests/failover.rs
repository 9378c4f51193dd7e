//! A failover that forgets: the replica lacks the last admissions when its primary dies, and is promoted.
#![expect(clippy::unwrap_used, reason = "a test that cannot set up its subject has failed")]

mod common;

use std::time::Duration;

use common::{PATIENCE, all_synced, check, checks, clients, count, counted, eventually};
use ratelimiter_api::{CountingMode, DecidedBy, LimitEntry, NodeClient};
use ratelimiter_chaos::{RedisPause, Scope, setup_rate_limit};
use ratelimiter_cluster::{LocalCluster, StoreTopology};
use ratelimiter_store::{Link, StoreUrl, slot_of};
use redis::cmd;

/// Admissions before the loss, which the replica has.
const KEPT: u64 = 20;

/// Replicas that have received everything: an answer below their number predicts a loss.
async fn acknowledged(primary: &StoreUrl) -> u64 {
    let link = Link::new(primary.clone()).unwrap();
    // WAIT asks about the writes of its own connection, and these follow all others.
    let mut write = cmd("SET");
    write.arg("predictor:{k}").arg(1).arg("PX").arg(1000);
    link.query::<()>(&write, PATIENCE).await.unwrap();
    link.query(cmd("WAIT").arg(1).arg(200), PATIENCE).await.unwrap()
}

async fn replica_is_cut_off(replica: &StoreUrl) {
    let link = Link::new(replica.clone()).unwrap();
    eventually("the replica has lost its primary", async || {
        let info: String = link.query(cmd("INFO").arg("replication"), PATIENCE).await.unwrap();
        info.contains("master_link_status:down") || info.contains("role:master")
    })
    .await;
}

async fn lost(clients: &[NodeClient]) -> u64 {
    let mut lost = 0;
    for client in clients {
        lost += client.health().await.unwrap().store_lost;
    }
    lost
}

/// Admissions of all nodes in the window.
async fn admitted(clients: &[NodeClient], entry: &LimitEntry) -> u64 {
    let mut admitted = 0;
    for client in clients {
        admitted += count(client, &entry.key).await.0;
    }
    admitted
}

/// Loses `n` acknowledged admissions on purpose; the nodes report exactly these, and admit at most `n` beyond the limit.
async fn forgets(topology: StoreTopology, n: u64) {
    let mut cluster =
        LocalCluster::builder().topology(topology).deadline(2 * PATIENCE).start().await.unwrap();
    let clients = clients(&cluster);
    let limit = KEPT + n + 5;
    let spec = counted("k", limit.cast_signed(), CountingMode::Atomic);
    let entry = setup_rate_limit(&clients, &spec).await.unwrap();
    let primary = usize::from(slot_of("k")) * topology.primaries() / 16_384;
    let primary = if topology.primaries() == 1 { 0 } else { primary };
    let replica = primary + topology.primaries();
    let (primary_url, replica_url) =
        (cluster.member_url(primary).unwrap(), cluster.member_url(replica).unwrap());

    assert_eq!(checks(&clients, &entry.key, KEPT.try_into().unwrap()).await, KEPT);
    all_synced(&clients, &entry.key).await;
    eventually("the replica has all of them", async || acknowledged(&primary_url).await == 1).await;
    let hold = RedisPause::new(replica_url.clone(), Scope::ThisMachine).unwrap().inject().await.unwrap();
    assert_eq!(checks(&clients, &entry.key, n.try_into().unwrap()).await, n, "the primary acknowledges");
    let predictor = acknowledged(&primary_url).await;
    println!("{topology:?}, {n} to lose: WAIT 1 200 answered {predictor} beforehand");
    assert_eq!(predictor, 0, "the replica lacks the last ones");
    cluster.kill_member(primary).unwrap();
    replica_is_cut_off(&replica_url).await;
    drop(hold);

    let took = eventually("the nodes found the loss", async || lost(&clients).await >= n).await;
    println!("{n} lost: found {took:?} after the kill");
    assert_eq!(lost(&clients).await, n, "neither more nor less");
    eventually("the store decides again", async || {
        let answer = check(&clients[0], &entry.key).await;
        answer.decided_by == DecidedBy::Store
    })
    .await;
    all_synced(&clients, &entry.key).await;
    // Until every node denies.
    for client in &clients {
        while check(client, &entry.key).await.allowed {}
    }
    let total = admitted(&clients, &entry).await;
    println!("{n} lost: {total} admitted of {limit}");
    assert!((limit..=limit + n).contains(&total), "{total} of {limit}");
    assert_eq!(lost(&clients).await, n);
}

#[tokio::test]
async fn sentinel_failover_loses_exactly_one() {
    forgets(StoreTopology::SENTINEL, 1).await;
}

#[tokio::test]
async fn sentinel_failover_loses_exactly_ten() {
    forgets(StoreTopology::SENTINEL, 10).await;
}

#[tokio::test]
async fn cluster_failover_loses_exactly_hundred() {
    forgets(StoreTopology::Cluster { replicas: true }, 100).await;
}

#[tokio::test]
async fn long_pause_under_sentinels_is_refused() {
    let cluster = LocalCluster::builder().nodes(1).topology(StoreTopology::SENTINEL).start().await.unwrap();
    let pause = RedisPause::new(cluster.store_url(), Scope::ThisMachine).unwrap();
    for pause in [pause.clone(), pause.clone().at_most(Duration::from_secs(10))] {
        let refused = pause.inject().await.unwrap_err().to_string();
        assert!(refused.contains("500 ms") && refused.contains("down-after-milliseconds"), "{refused}");
    }
}
