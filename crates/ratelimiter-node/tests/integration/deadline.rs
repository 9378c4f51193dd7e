//! One check waits for the store once, whatever the store does.

use std::time::Duration;

use crate::common::{
    PATIENCE, SECOND, check, clients, counted, eventually, key, primary_of, set, start,
};
use ratelimiter_api::{CountingMode, DecidedBy, Key, NodeClient};
use ratelimiter_cluster::{ClusterPlan, Proxies, StoreTopology};
use tokio::time::Instant;

/// Longest wait of a check for the store: large beside the delays of a busy machine.
const TIMEOUT: Duration = Duration::from_millis(600);
/// Two waits would take twice the timeout.
const BOUND: Duration = Duration::from_millis(900);

async fn timed(client: &NodeClient, key: &Key) -> (DecidedBy, Duration) {
    let asked = Instant::now();
    let answer = check(client, key).await;
    (answer.decided_by, asked.elapsed())
}

#[tokio::test]
async fn two_slow_answers_share_one_deadline() {
    let cluster = start(ClusterPlan {
        proxies: Some(Proxies::PerNode),
        // Longer than the checks below take, and shorter than a limit's set-up may take.
        sync_interval: 3 * SECOND,
        store_timeout: TIMEOUT,
        ..ClusterPlan::nodes(2)
    })
    .await;
    let clients = clients(&cluster);
    set(&cluster, &counted("k", 100, CountingMode::Atomic)).await;
    assert_eq!(
        check(&clients[1], &key("k")).await.decided_by,
        DecidedBy::Store
    );
    let _slow = cluster.rules().add(
        "link=node-2 command=EVALSHA do=delay by=500ms"
            .parse()
            .unwrap(),
    );
    // The first answer is that the counter is another one, and the second would come after the
    // deadline.
    clients[0].reset_counter(&key("k")).await.unwrap();
    let (by, took) = timed(&clients[1], &key("k")).await;
    assert_ne!(by, DecidedBy::Store);
    assert!(took < BOUND, "{took:?} at a store timeout of {TIMEOUT:?}");
}

#[tokio::test]
async fn silent_primary_delays_only_its_keys() {
    let topology = StoreTopology::Cluster { replicas: true };
    let cluster = start(ClusterPlan {
        topology,
        store_timeout: TIMEOUT,
        deadline: 2 * PATIENCE,
        ..ClusterPlan::default()
    })
    .await;
    let clients = clients(&cluster);
    let limits = primary_of("ratelimiter", topology);
    let key_of = |primary: usize| {
        let mut names = (0..).map(|n| format!("k{n}"));
        key(&names
            .find(|name| primary_of(name, topology) == primary)
            .unwrap())
    };
    let silent = (limits + 1) % 3;
    let (its, another) = (key_of(silent), key_of((limits + 2) % 3));
    for key in [&its, &another] {
        set(
            &cluster,
            &counted(key.as_str(), 1_000_000, CountingMode::Atomic),
        )
        .await;
    }
    cluster.freeze_member(silent).unwrap();
    let followed = eventually("the nodes follow the replica", async || {
        let mut by_store = 0;
        for client in &clients {
            let (by, took) = timed(client, &its).await;
            assert!(took < BOUND, "{took:?} at a store timeout of {TIMEOUT:?}");
            by_store += usize::from(by == DecidedBy::Store);
            let (by, took) = timed(client, &another).await;
            assert_eq!(by, DecidedBy::Store, "its primary answers");
            assert!(took < TIMEOUT, "{took:?}");
        }
        by_store == clients.len()
    })
    .await;
    println!("the store decided again {followed:?} after its primary was frozen");
    cluster.thaw_member(silent).unwrap();
}
