//! What each counting mode promises about how much it admits, and holds: under bursts, and while
//! the store takes no writes.

use crate::common::bursts::{LIMIT, allowed, at_once, burst};
use crate::common::{
    PATIENCE, SECOND, Store, WritePause, all_synced, check, clients, counted, eventually, failing,
    key, set, spec, start,
};
use ratelimiter_api::{
    CheckRequest, CountingMode, DecidedBy, NodeClient, StoreCircuit, StoreFailurePolicy,
};
use ratelimiter_cluster::{ClusterPlan, LocalCluster};
use ratelimiter_invariants::{Verdict, check_history};
use tokio::task::JoinSet;

const NODES: u64 = 3;

/// Three nodes that wait for their store however busy the machine is.
async fn patient(counting: CountingMode) -> LocalCluster {
    start(ClusterPlan {
        counting,
        store_timeout: 5 * SECOND,
        ..ClusterPlan::default()
    })
    .await
}

#[tokio::test]
async fn costly_check_is_admitted_whole() {
    let cluster = patient(CountingMode::Atomic).await;
    let entry = set(&cluster, &spec("k", 100)).await;
    let costly = CheckRequest {
        cost: 7,
        ..CheckRequest::new(key("k"))
    };
    let thirty = clients(&cluster).into_iter().cycle().take(30);
    assert_eq!(allowed(&at_once(thirty, &costly).await), 14);
    assert_eq!(Store::of(&cluster).held(&entry).await, 98);
    assert_eq!(check(&clients(&cluster)[1], &key("k")).await.remaining, 1);
}

#[tokio::test]
async fn cached_admits_at_most_the_limit_each() {
    let cluster = patient(CountingMode::Cached).await;
    for (i, multiplier) in [2, 3, 6, 20].into_iter().enumerate() {
        let name = format!("k{i}");
        let entry = set(&cluster, &spec(&name, LIMIT as i64)).await;
        let report = burst(&cluster, &key(&name), multiplier).await;
        let most = NODES * LIMIT;
        assert!(
            (LIMIT..=most).contains(&report.tally.allowed),
            "x{multiplier}: {:?}",
            report.tally
        );
        // Once every node has read it, none admits any more.
        all_synced(&clients(&cluster), &key(&name)).await;
        assert_eq!(Store::of(&cluster).held(&entry).await, report.tally.allowed);
        for client in clients(&cluster) {
            eventually("the others' admissions are known", async || {
                !check(&client, &key(&name)).await.allowed
            })
            .await;
        }
    }
}

#[tokio::test]
async fn read_then_write_keeps_its_stated_bound() {
    const IN_FLIGHT: u64 = 6;
    let cluster = patient(CountingMode::ReadThenWrite).await;
    for i in 0..10 {
        let name = format!("k{i}");
        set(&cluster, &spec(&name, LIMIT as i64)).await;
        let mut callers = JoinSet::new();
        for endpoint in cluster
            .endpoints()
            .into_iter()
            .cycle()
            .take(IN_FLIGHT as usize)
        {
            let request = CheckRequest::new(key(&name));
            callers.spawn(async move {
                let node = NodeClient::new(endpoint, PATIENCE);
                let mut allowed = 0;
                for _ in 0..20 {
                    allowed += u64::from(node.check(&request).await.unwrap().allowed);
                }
                allowed
            });
        }
        let allowed: u64 = callers.join_all().await.into_iter().sum();
        assert!(
            (LIMIT..=LIMIT + IN_FLIGHT).contains(&allowed),
            "{allowed} allowed"
        );
    }
}

#[tokio::test]
async fn sequential_checks_get_exactly_the_limit() {
    let cluster = patient(CountingMode::Atomic).await;
    for counting in [CountingMode::Atomic, CountingMode::ReadThenWrite] {
        let name = counting.as_str();
        set(&cluster, &counted(name, LIMIT as i64, counting)).await;
        let clients = clients(&cluster);
        for i in 0..3 * LIMIT {
            let answer = check(&clients[(i % NODES) as usize], &key(name)).await;
            assert_eq!(
                (answer.allowed, answer.decided_by),
                (i < LIMIT, DecidedBy::Store),
                "check {i}"
            );
        }
    }
}

/// While writes are held back, and when they pass again.
async fn admitted_in_a_pause(counting: CountingMode, policy: StoreFailurePolicy) -> (u64, u64) {
    let cluster = start(ClusterPlan {
        store_timeout: 2 * SECOND,
        ..ClusterPlan::default()
    })
    .await;
    let entry = set(&cluster, &failing("k", LIMIT as i64, counting, policy)).await;
    let pause = WritePause::begin(&cluster).await;
    let during = burst(&cluster, &key("k"), 20).await.tally.allowed;
    assert_eq!(Store::of(&cluster).held(&entry).await, 0, "the pause held");
    pause.end().await;
    for client in clients(&cluster) {
        eventually("checks ask the store again", async || {
            client.health().await.unwrap().store_circuit == StoreCircuit::Closed
        })
        .await;
    }
    // At once, before the nodes have told the store all that was decided without it.
    let after = burst(&cluster, &key("k"), 20).await;
    all_synced(&clients(&cluster), &key("k")).await;
    // The other modes have a race of their own in a burst.
    if counting == CountingMode::Atomic {
        let history = check_history(&after.operations, entry.limit).unwrap();
        assert!(
            !matches!(history.verdict, Verdict::Violated(_)),
            "{history}"
        );
    }
    (during, after.tally.allowed)
}

#[tokio::test]
async fn local_policy_admits_the_limit_each() {
    for counting in [CountingMode::Atomic, CountingMode::ReadThenWrite] {
        let (during, after) = admitted_in_a_pause(counting, StoreFailurePolicy::Local).await;
        assert_eq!(
            during,
            NODES * LIMIT,
            "{counting}: every node has its own count"
        );
        assert_eq!(
            after, 0,
            "{counting}: nobody forgets what was admitted meanwhile"
        );
    }
}

#[tokio::test]
async fn failing_closed_admits_nothing_until_writes_pass_again() {
    for counting in [CountingMode::Atomic, CountingMode::ReadThenWrite] {
        let (during, _) = admitted_in_a_pause(counting, StoreFailurePolicy::Deny).await;
        assert_eq!(during, 0, "{counting}");
    }
}

#[tokio::test]
async fn failing_open_admits_everything_until_writes_pass_again() {
    for counting in [CountingMode::Atomic, CountingMode::ReadThenWrite] {
        let (during, after) = admitted_in_a_pause(counting, StoreFailurePolicy::Allow).await;
        assert_eq!(during, 20 * LIMIT, "{counting}");
        assert_eq!(after, 0, "{counting}: what was admitted counts");
    }
}

#[tokio::test]
async fn cached_keeps_its_bound_in_a_pause() {
    let (during, after) = admitted_in_a_pause(CountingMode::Cached, StoreFailurePolicy::Deny).await;
    assert_eq!((during, after), (NODES * LIMIT, 0));
}

#[tokio::test]
async fn answers_name_the_decider() {
    use StoreFailurePolicy::{Allow, Deny, Local};
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    for (name, policy) in [("l", Local), ("a", Allow), ("d", Deny)] {
        set(
            &cluster,
            &failing(name, LIMIT as i64, CountingMode::Atomic, policy),
        )
        .await;
    }
    let pause = WritePause::begin(&cluster).await;
    for (name, by, allowed) in [
        ("l", DecidedBy::Local, true),
        ("a", DecidedBy::Policy, true),
        ("d", DecidedBy::Policy, false),
    ] {
        let answer = check(&clients(&cluster)[0], &key(name)).await;
        assert_eq!((answer.decided_by, answer.allowed), (by, allowed), "{name}");
        assert_eq!(
            u64::from(answer.remaining),
            LIMIT - u64::from(allowed),
            "{name}"
        );
    }
    pause.end().await;
    for name in ["l", "a", "d"] {
        eventually("the store decides again", async || {
            check(&clients(&cluster)[0], &key(name)).await.decided_by == DecidedBy::Store
        })
        .await;
    }
}
