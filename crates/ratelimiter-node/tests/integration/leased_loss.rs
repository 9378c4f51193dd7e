//! Leased counting when a node or the store is lost: never more than the limit, and grants return.

use std::time::Duration;

use crate::common::bursts::{LIMIT, burst};
use crate::common::{
    PATIENCE, SECOND, Store, WritePause, check, checks, clients, counted, eventually, key,
    primary_of, set, spec, start,
};
use ratelimiter_api::layout::{self, LimitCopy};
use ratelimiter_api::{CheckRequest, CountingMode, DecidedBy, LimitEntry, LimitSpec};
use ratelimiter_cluster::{ClusterPlan, LocalCluster, StoreTopology};
use ratelimiter_store::Link;
use redis::cmd;
use tokio::task::JoinSet;

async fn leased(plan: ClusterPlan) -> LocalCluster {
    let plan = ClusterPlan {
        counting: CountingMode::Leased,
        ..plan
    };
    plan.start().await.unwrap()
}

#[tokio::test]
async fn a_write_pause_costs_availability_and_never_accuracy() {
    let cluster = leased(ClusterPlan::default()).await;
    set(&cluster, &spec("k", LIMIT as i64)).await;
    let first = check(&clients(&cluster)[0], &key("k")).await;
    assert_eq!((first.allowed, first.decided_by), (true, DecidedBy::Lease));
    let pause = WritePause::begin(&cluster).await;
    let during = burst(&cluster, &key("k"), 6).await;
    assert_eq!(during.tally.allowed, 0, "{:?}", during.tally);
    pause.end().await;
    let mut admitted = 1;
    eventually("the rest of the limit is admitted", async || {
        admitted += burst(&cluster, &key("k"), 2).await.tally.allowed;
        admitted >= LIMIT
    })
    .await;
    assert_eq!(admitted, LIMIT);
}

#[tokio::test]
async fn checks_of_a_dead_store_pile_up_nothing() {
    const CHECKS: usize = 500;
    let mut cluster = leased(ClusterPlan::nodes(1)).await;
    set(&cluster, &spec("k", LIMIT as i64)).await;
    let client = clients(&cluster).remove(0);
    assert!(check(&client, &key("k")).await.allowed);
    cluster.kill_store();
    for _ in 0..CHECKS {
        assert_eq!(
            check(&client, &key("k")).await.decided_by,
            DecidedBy::Policy
        );
    }
    // A request that was sent and not answered may have been granted; most of these checks sent
    // none.
    let stranded = client.counters(None).await.unwrap().counters[0]
        .lease
        .unwrap()
        .stranded;
    assert!(
        stranded < CHECKS as u64 / 2,
        "{stranded} requests are to be settled"
    );
}

/// All times are the store's, so that a busy machine makes the test slower and nothing else.
#[tokio::test]
async fn a_dead_nodes_grants_return_in_time() {
    // How long a grant lasts.
    const LEASE: Duration = SECOND;
    const WINDOW: Duration = Duration::from_secs(2);
    let mut cluster = leased(ClusterPlan {
        store_timeout: 5 * SECOND,
        ..ClusterPlan::default()
    })
    .await;
    let limit = LimitSpec {
        window_sec: 2,
        ..counted("k", 10_000, CountingMode::Leased)
    };
    let entry = set(&cluster, &limit).await;
    let mut flights = JoinSet::new();
    for _ in 0..20 {
        let client = cluster.client(0, PATIENCE).unwrap();
        flights.spawn(
            async move { while client.check(&CheckRequest::new(key("k"))).await.is_ok() {} },
        );
    }
    eventually("the node holds grants", async || {
        open_charge(&cluster, &entry).await > 0
    })
    .await;
    cluster.kill_node(0).unwrap();
    let killed = store_time(&cluster).await;
    let stranded = open_charge(&cluster, &entry).await;
    flights.join_all().await;
    let last = ends(&cluster, &entry).await.into_iter().max().unwrap();
    assert!(
        last <= killed + LEASE,
        "a grant ends {:?} after the lease",
        last - killed - LEASE
    );
    let client = clients(&cluster).remove(1);
    let mut asked = killed;
    eventually("all charge of the dead node is back", async || {
        asked = store_time(&cluster).await;
        // The ledger forgets when it is used, and a node that holds a grant uses it with its next.
        check(&client, &key("k")).await;
        let back = ends(&cluster, &entry).await.is_empty();
        assert!(
            back || asked < last + WINDOW + SECOND,
            "held although lease and window are over"
        );
        back
    })
    .await;
    let back = store_time(&cluster).await;
    assert!(
        back >= last + WINDOW,
        "its admissions were still in the window"
    );
    let [due, asked, back] =
        [killed + LEASE + WINDOW, asked, back].map(|at| (at - killed).as_secs_f64());
    println!(
        "{stranded} stranded; asked and back {asked:.3} s and {back:.3} s after the death, due \
         {due:.3} s"
    );
}

/// The store's time.
async fn store_time(cluster: &LocalCluster) -> Duration {
    let (seconds, micros): (u64, u64) = Store::of(cluster)
        .0
        .query(&cmd("TIME"), 5 * SECOND)
        .await
        .unwrap();
    Duration::from_micros(seconds * 1_000_000 + micros)
}

/// When the grants of the first node end that still count.
async fn ends(cluster: &LocalCluster, entry: &LimitEntry) -> Vec<Duration> {
    let [_, ends, _] = layout::leases(&entry.key, entry.epoch);
    let mut counted = cmd("ZRANGEBYSCORE");
    counted
        .arg(&ends)
        .arg("-inf")
        .arg("(+inf")
        .arg("WITHSCORES");
    let counted: Vec<(String, u64)> = Store::of(cluster)
        .0
        .query(&counted, 5 * SECOND)
        .await
        .unwrap();
    let own = counted
        .into_iter()
        .filter(|(grant, _)| grant.starts_with("node-1:"));
    own.map(|(_, end)| Duration::from_micros(end)).collect()
}

/// Charge of a key's grants in the store that no node has settled.
async fn open_charge(cluster: &LocalCluster, entry: &LimitEntry) -> u64 {
    let [grants, ..] = layout::leases(&entry.key, entry.epoch);
    let open: Option<u64> = Store::of(cluster)
        .0
        .query(cmd("HGET").arg(grants).arg("#open"), 5 * SECOND)
        .await
        .unwrap();
    open.unwrap_or(0)
}

#[tokio::test]
async fn a_store_that_restarts_empty_admits_nothing_twice() {
    let mut cluster = leased(ClusterPlan::default()).await;
    let limit = LimitSpec {
        window_sec: 3,
        ..counted("k", LIMIT as i64, CountingMode::Leased)
    };
    set(&cluster, &limit).await;
    let report = burst(&cluster, &key("k"), 6).await;
    assert_eq!(report.tally.allowed, LIMIT);
    let began = tokio::time::Instant::now();
    cluster.kill_store();
    cluster.restart_store().await.unwrap();
    let client = clients(&cluster).remove(2);
    eventually("the store grants again", async || {
        check(&client, &key("k")).await.allowed
    })
    .await;
    assert!(
        began.elapsed() >= 2 * SECOND,
        "admitted again after {:?}",
        began.elapsed()
    );
}

/// In a cluster any node may be the first to bring the limit back, also one that holds no grants.
#[tokio::test]
async fn emptied_primary_grants_nothing_twice() {
    let topology = StoreTopology::Cluster { replicas: false };
    let mut cluster = start(ClusterPlan {
        topology,
        deadline: 2 * PATIENCE,
        ..ClusterPlan::default()
    })
    .await;
    let clients = clients(&cluster);
    let primary = |name: &str| primary_of(name, topology);
    // Another primary has the limits themselves, and keeps them.
    let name = ["a", "b", "c", "d"]
        .into_iter()
        .find(|name| primary(name) != primary("ratelimiter"))
        .unwrap();
    let limit = set(&cluster, &counted(name, 30, CountingMode::Leased)).await;
    let granted =
        checks(&clients[..1], &limit.key, 20).await + checks(&clients[1..], &limit.key, 2).await;
    assert_eq!(granted, 22);
    for client in &clients {
        let before = client.health().await.unwrap();
        eventually("a few syncs have met the copy of the limit", async || {
            client.health().await.unwrap().uptime_ms
                > before.uptime_ms + 3 * before.sync_interval_ms
        })
        .await;
    }
    cluster.kill_member(primary(name)).unwrap();
    cluster.restart_member(primary(name)).await.unwrap();
    let (link, copy) = (Link::new(cluster.store_url()), LimitCopy::of(&limit.key));
    eventually("a node brought the limit back", async || {
        let version = link
            .at(&copy.version)
            .query::<Option<u64>>(cmd("GET").arg(&copy.version), SECOND)
            .await;
        version.is_ok_and(|version| version.is_some())
    })
    .await;
    let more = checks(&clients[1..], &limit.key, 60).await;
    assert!(
        granted + more <= 30,
        "{more} more although {granted} of 30 are taken"
    );
}
