//! A failover that forgets: the replica lacks the last admissions when its primary dies, and is
//! promoted.

use std::time::Duration;

use crate::common::{
    PATIENCE, all_synced, check, clients, count, counted, eventually, primary_of, start,
};
use ratelimiter_api::{CountingMode, Key, Limit, LimitEntry, NodeClient, Operation, Outcome};
use ratelimiter_chaos::{Failover, Reach, RedisPause, setup_rate_limit};
use ratelimiter_cluster::{ClusterPlan, StoreTopology};
use ratelimiter_invariants::{Verdict, ViolationNumbers, check_history};
use ratelimiter_store::{Link, StoreUrl};
use ratelimiter_watch::Detector;
use tokio::time::Instant;

/// Admissions before the loss, which the replica has.
const KEPT: u64 = 20;

/// The replica has received every write so far.
async fn replica_has_all(primary: &StoreUrl) {
    let link = Link::new(primary.clone());
    // WAIT asks about the writes of its own connection, and this one follows all others.
    let mut both = redis::pipe();
    both.cmd("SET").arg("{k}").arg(1).ignore();
    both.cmd("WAIT").arg(1).arg(200);
    eventually("the replica has all of them", async || {
        let [replicas]: [u64; 1] = link.at("{k}").pipeline(&both, PATIENCE).await.unwrap();
        replicas == 1
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

/// The callers, and their records.
struct Callers {
    clients: Vec<NodeClient>,
    key: Key,
    started: Instant,
    operations: Vec<Operation>,
}

impl Callers {
    /// One check by one node; whether it was allowed.
    async fn check(&mut self, node: usize) -> bool {
        let invoke = self.started.elapsed();
        let answer = check(&self.clients[node], &self.key).await;
        let outcome = if answer.allowed {
            Outcome::Allowed
        } else {
            Outcome::Denied
        };
        let (key, complete) = (self.key.clone(), self.started.elapsed());
        self.operations
            .push(Operation::new(key, answer.node, invoke, complete, outcome));
        answer.allowed
    }

    /// So many checks, round-robin over the nodes; returns how many were allowed.
    async fn checks(&mut self, how_many: u64) -> u64 {
        let mut allowed = 0;
        for node in (0..self.clients.len())
            .cycle()
            .take(how_many.try_into().unwrap())
        {
            allowed += u64::from(self.check(node).await);
        }
        allowed
    }
}

/// Loses `n` acknowledged admissions on purpose. The nodes report exactly these, the observer
/// likewise, and the callers' records show at most `n` admissions beyond the limit.
async fn forgets(topology: StoreTopology, n: u64) {
    let cluster = start(ClusterPlan {
        topology,
        deadline: 2 * PATIENCE,
        ..ClusterPlan::default()
    })
    .await;
    let clients = clients(&cluster);
    let limit = KEPT + n + 5;
    let spec = counted("k", limit.cast_signed(), CountingMode::Atomic);
    let entry = setup_rate_limit(&clients, &spec).await.unwrap();
    let detector = Detector::start(
        &cluster.endpoints(),
        cluster.store_url(),
        None,
        Some(entry.key.clone()),
    );
    let mut callers = Callers {
        clients: clients.clone(),
        key: entry.key.clone(),
        started: Instant::now(),
        operations: Vec::new(),
    };
    let primary = primary_of("k", topology);
    let primary_url = cluster.member_url(primary).unwrap();

    assert_eq!(callers.checks(KEPT).await, KEPT);
    all_synced(&clients, &entry.key).await;
    replica_has_all(&primary_url).await;
    let failover = Failover::new(cluster.store_url(), "k", Reach::ThisMachine).unwrap();
    let held = failover.hold().await.unwrap();
    assert_eq!(held.primary().to_string(), primary_url.to_string());
    assert_eq!(callers.checks(n).await, n, "the primary acknowledges");
    let predictor = held.acknowledged().await.unwrap();
    println!("{topology:?}, {n} to lose: WAIT 1 200 answered {predictor} beforehand");
    assert_eq!(predictor, 0, "the replica lacks the last ones");
    let report = held.fail_over().await.unwrap();

    let took = eventually("the nodes found the loss", async || {
        lost(&clients).await >= n
    })
    .await;
    println!(
        "{n} lost: {} promoted after {:?}, found {took:?} later",
        report.promoted, report.took
    );
    assert_eq!(lost(&clients).await, n, "neither more nor less");
    all_synced(&clients, &entry.key).await;
    // Until every node denies.
    for node in 0..clients.len() {
        while callers.check(node).await {}
    }
    let total = admitted(&clients, &entry).await;
    println!("{n} lost: {total} admitted of {limit}");
    assert!((limit..=limit + n).contains(&total), "{total} of {limit}");
    assert_eq!(lost(&clients).await, n);

    let most = Limit::new((limit + n).cast_signed(), 60).unwrap();
    let report = check_history(&callers.operations, most).unwrap();
    assert!(matches!(report.verdict, Verdict::Pass), "{report}");
    let forgot = detector.wait(PATIENCE, |log| {
        log.violations
            .iter()
            .find_map(|found| match &found.violation.evidence {
                ViolationNumbers::StoreForgot(forgot) if forgot.lost >= n => Some(forgot.lost),
                _ => None,
            })
    });
    assert_eq!(forgot.await, Some(n), "the observer's number");
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
    let cluster = start(ClusterPlan {
        topology: StoreTopology::SENTINEL,
        ..ClusterPlan::nodes(1)
    })
    .await;
    let pause = RedisPause::new(cluster.store_url(), Reach::ThisMachine).unwrap();
    for pause in [
        pause.clone(),
        pause.clone().at_most(Duration::from_secs(10)),
    ] {
        let refused = pause.inject().await.unwrap_err().to_string();
        assert!(
            refused.contains("500 ms") && refused.contains("down-after-milliseconds"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn single_store_has_no_failover() {
    let single = "redis://127.0.0.1:1".parse().unwrap();
    let refused = Failover::new(single, "k", Reach::ThisMachine)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("redis+sentinel://"), "{refused}");
    let far = "redis+sentinel://10.1.2.3:1/main".parse().unwrap();
    assert!(
        Failover::new(far, "k", Reach::ThisMachine)
            .unwrap_err()
            .to_string()
            .contains("--allow-remote")
    );
}
