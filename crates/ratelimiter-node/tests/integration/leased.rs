//! Leased counting on real nodes and a real store: exact, and rarely asks.

use crate::common::bursts::{LIMIT, allowed, at_once, bursts};
use crate::common::{
    PATIENCE, SECOND, Store, check, checks, clients, eventually, key, set, spec, start,
};
use ratelimiter_api::{CheckRequest, CountingMode, Limit};
use ratelimiter_chaos::{Reach, Release, volley};
use ratelimiter_cluster::{ClusterPlan, LocalCluster};
use ratelimiter_invariants::check_history;
use ratelimiter_target::{Check, HttpTarget};
use redis::cmd;

async fn leased() -> LocalCluster {
    start(ClusterPlan {
        counting: CountingMode::Leased,
        store_timeout: 5 * SECOND,
        ..ClusterPlan::default()
    })
    .await
}

/// A grant that a node cannot spend whole would be missed by the checks of others.
#[tokio::test]
async fn bursts_of_mixed_costs_deny_nothing_without_cause() {
    let cluster = leased().await;
    let limit = Limit::new(LIMIT as i64, 60).unwrap();
    let target = HttpTarget::node(&cluster.endpoints(), Reach::ThisMachine).unwrap();
    for i in 0..bursts() {
        let name = format!("k{i}");
        set(&cluster, &spec(&name, LIMIT as i64)).await;
        let check = |n: u32| Check::new(key(&name), 1 + n % 3, PATIENCE);
        let report = volley(
            &target,
            (0..20).map(check).collect(),
            Release::Cork,
            tokio::time::Instant::now(),
        )
        .await
        .unwrap();
        let judged = check_history(&report.operations, limit).unwrap();
        assert!(judged.is_clean(), "burst {i}: {judged}");
    }
}

#[tokio::test]
async fn costly_checks_fill_the_limit() {
    let cluster = leased().await;
    set(&cluster, &spec("k", 100)).await;
    let costly = CheckRequest {
        cost: 7,
        ..CheckRequest::new(key("k"))
    };
    let thirty = clients(&cluster).into_iter().cycle().take(30);
    let allowed = allowed(&at_once(thirty, &costly).await);
    assert!(allowed <= 14, "{allowed}");
    // Once all is settled, the rest is there for the next.
    let mut admitted = 7 * allowed;
    eventually("the limit is used up", async || {
        admitted += u64::from(check(&clients(&cluster)[1], &key("k")).await.allowed);
        admitted == 100
    })
    .await;
    assert!(!check(&clients(&cluster)[2], &key("k")).await.allowed);
}

#[tokio::test]
async fn a_steady_rate_rarely_asks_the_store() {
    let cluster = leased().await;
    set(&cluster, &spec("k", 10_000)).await;
    let store = Store::of(&cluster);
    let asked = async || -> u64 {
        let info: String = store
            .0
            .query(cmd("INFO").arg("commandstats"), 5 * SECOND)
            .await
            .unwrap();
        let line = info
            .lines()
            .find(|line| line.starts_with("cmdstat_evalsha:"))
            .unwrap_or_default();
        line.split(['=', ','])
            .nth(1)
            .map_or(0, |calls| calls.parse().unwrap())
    };
    let before = asked().await;
    let client = clients(&cluster).remove(0);
    let mut allowed = 0;
    for _ in 0..2_000 {
        allowed += u64::from(check(&client, &key("k")).await.allowed);
    }
    assert_eq!(allowed, 2_000);
    let scripts = asked().await - before;
    // Fewer than one for two checks, also on a machine so busy that grants end unspent.
    assert!(scripts < 1_000, "{scripts} scripts for 2000 checks");
}

#[tokio::test]
async fn unspent_grants_return_and_are_reported() {
    let cluster = leased().await;
    set(&cluster, &spec("k", 1_000)).await;
    let client = clients(&cluster).remove(0);
    // Each has connections of its own.
    let many = (0..200).map(|_| cluster.client(0, PATIENCE).unwrap());
    let answers = at_once(many, &CheckRequest::new(key("k"))).await;
    assert_eq!(allowed(&answers), 200);
    eventually("nothing is held back", async || {
        let counters = client.counters(None).await.unwrap().counters;
        let lease = counters[0].lease.unwrap();
        assert_eq!((counters[0].count, lease.admitted), (200, 200));
        assert!(lease.charged >= lease.admitted);
        lease.unspent == 0 && lease.stranded == 0 && lease.charged == 200
    })
    .await;
}

#[tokio::test]
async fn a_reset_through_another_node_holds_at_once() {
    let interval = 5 * SECOND;
    let counting = CountingMode::Leased;
    let plan = ClusterPlan {
        counting,
        sync_interval: interval,
        store_timeout: interval,
        ..ClusterPlan::default()
    };
    let cluster = plan.start().await.unwrap();
    set(&cluster, &spec("k", LIMIT as i64)).await;
    let clients = clients(&cluster);
    let name = key("k");
    assert!(check(&clients[1], &name).await.allowed);
    // Nothing is held that could be spent without the store.
    eventually("the grant is given back", async || {
        let counters = clients[1].counters(None).await.unwrap().counters;
        counters[0]
            .lease
            .is_some_and(|lease| lease.unspent + lease.stranded == 0)
    })
    .await;
    clients[0].reset_counter(&name).await.unwrap();
    let mut admitted = 0;
    eventually("the new counter is used up", async || {
        admitted += checks(&clients[1..], &name, 2).await;
        admitted >= LIMIT
    })
    .await;
    assert_eq!(admitted, LIMIT);
    assert!(
        !check(&clients[0], &name).await.allowed,
        "all count in the new counter, long before the next sync"
    );
}
