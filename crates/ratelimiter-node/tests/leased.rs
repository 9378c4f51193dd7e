//! Leased counting on real nodes and a real store: exact, and rarely asks.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

mod common;

use std::time::Duration;

use common::bursts::{LIMIT, allowed, at_once, burst, bursts};
use common::{
    PATIENCE, SECOND, Store, WritePause, check, checks, clients, counted, eventually, key,
    primary_of, set, spec,
};
use ratelimiter_api::layout::{self, LimitCopy};
use ratelimiter_api::{CheckRequest, CountingMode, DecidedBy, Limit, LimitEntry, LimitSpec};
use ratelimiter_chaos::{Reach, Release, volley};
use ratelimiter_cluster::{ClusterPlan, LocalCluster, StoreTopology};
use ratelimiter_invariants::check_history;
use ratelimiter_store::Link;
use ratelimiter_target::{Check, HttpTarget};
use redis::cmd;
use tokio::task::JoinSet;

async fn leased() -> LocalCluster {
    ClusterPlan {
        counting: CountingMode::Leased,
        store_timeout: 5 * SECOND,
        ..ClusterPlan::default()
    }
    .start()
    .await
    .unwrap()
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
        let check = |n: u32| Check {
            key: key(&name),
            cost: 1 + n % 3,
            deadline: PATIENCE,
        };
        let report = volley(
            &target,
            (0..20).map(check).collect(),
            Release::LastByte,
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
async fn a_write_pause_costs_availability_and_never_accuracy() {
    let cluster = ClusterPlan {
        counting: CountingMode::Leased,
        ..ClusterPlan::default()
    }
    .start()
    .await
    .unwrap();
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

#[tokio::test]
async fn checks_of_a_dead_store_pile_up_nothing() {
    const CHECKS: usize = 500;
    let mut cluster = ClusterPlan {
        counting: CountingMode::Leased,
        ..ClusterPlan::nodes(1)
    }
    .start()
    .await
    .unwrap();
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
    let mut cluster = leased().await;
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
    let mut counted = cmd("ZRANGE");
    counted.arg(&ends).arg(0).arg(-1).arg("WITHSCORES");
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
    let mut cluster = ClusterPlan {
        counting: CountingMode::Leased,
        ..ClusterPlan::default()
    }
    .start()
    .await
    .unwrap();
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
    let mut cluster = ClusterPlan {
        topology,
        deadline: 2 * PATIENCE,
        ..ClusterPlan::default()
    }
    .start()
    .await
    .unwrap();
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
