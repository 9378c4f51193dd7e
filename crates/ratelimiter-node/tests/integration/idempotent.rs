//! What is told again after a failure is not counted twice, and what was given up is not counted
//! later.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::common::{
    PATIENCE, SECOND, Store, WritePause, all_synced, check, checks, clients, count, eventually,
    failing, key, set, spec, start, throughout,
};
use ratelimiter_api::{CountingMode, LimitEntry, StoreFailurePolicy};
use ratelimiter_cluster::{ClusterPlan, LocalCluster};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const ADMISSIONS: usize = 330;

/// The store holds exactly these admissions, and goes on holding exactly these while the nodes go
/// on telling it.
async fn holds_exactly(cluster: &LocalCluster, entry: &LimitEntry, admissions: u64) {
    let store = Store::of(cluster);
    let clients = clients(cluster);
    all_synced(&clients, &entry.key).await;
    throughout(SECOND, async || {
        assert_eq!(store.held(entry).await, admissions);
    })
    .await;
    let mut own = 0;
    for client in &clients {
        own += count(client, &entry.key).await.0;
    }
    assert_eq!(own, admissions, "the nodes and the store agree");
}

#[tokio::test]
async fn long_write_pause_adds_no_admissions() {
    let cluster = ClusterPlan::default().start().await.unwrap();
    let entry = set(&cluster, &spec("k", 1000)).await;
    let (store, clients) = (Store::of(&cluster), clients(&cluster));
    let before = ADMISSIONS / 10;
    assert_eq!(checks(&clients, &key("k"), before).await, before as u64);
    all_synced(&clients, &key("k")).await;

    let pause = WritePause::begin(&cluster).await;
    let during = ADMISSIONS - before;
    assert_eq!(
        checks(&clients, &key("k"), during).await,
        during as u64,
        "cached goes on deciding"
    );
    throughout(8 * SECOND, async || {
        assert_eq!(store.held(&entry).await, before as u64);
    })
    .await;
    pause.end().await;

    let released = Instant::now();
    while released.elapsed() < PATIENCE && store.held(&entry).await != ADMISSIONS as u64 {
        assert!(store.held(&entry).await <= ADMISSIONS as u64);
    }
    holds_exactly(&cluster, &entry, ADMISSIONS as u64).await;
    // Healed: a key with quota left is not denied.
    assert_eq!(checks(&clients, &key("k"), 600).await, 600);
}

#[tokio::test]
async fn connections_cut_mid_flush_add_no_admissions() {
    let cluster = ClusterPlan::default().start().await.unwrap();
    let entry = set(&cluster, &spec("k", 1000)).await;
    let (store, clients) = (Store::of(&cluster), clients(&cluster));
    for _ in 0..3 {
        // Not leased: the connection that would renew it is cut as well.
        store.run(&["CLIENT", "PAUSE", "1500", "WRITE"]).await;
        let paused = Instant::now();
        assert_eq!(
            checks(&clients, &key("k"), ADMISSIONS / 3).await,
            ADMISSIONS as u64 / 3
        );
        while paused.elapsed() < Duration::from_millis(1500) {
            store.run(&["CLIENT", "KILL", "TYPE", "normal"]).await;
            sleep(SECOND / 10).await;
        }
    }
    // And cut while writes pass: some flushes arrive and are never confirmed.
    throughout(SECOND, async || {
        store.run(&["CLIENT", "KILL", "TYPE", "normal"]).await;
        assert!(store.held(&entry).await <= ADMISSIONS as u64);
    })
    .await;
    holds_exactly(&cluster, &entry, ADMISSIONS as u64).await;
}

/// Callers that go on through a pause, and what they were told.
async fn through_a_pause(policy: StoreFailurePolicy) {
    let cluster = start(ClusterPlan {
        store_timeout: SECOND,
        ..ClusterPlan::default()
    })
    .await;
    let entry = set(
        &cluster,
        &failing("k", 100_000, CountingMode::Atomic, policy),
    )
    .await;
    let (done, told) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let mut callers = JoinSet::new();
    for client in clients(&cluster).into_iter().cycle().take(30) {
        let (done, told) = (Arc::clone(&done), Arc::clone(&told));
        callers.spawn(async move {
            while !done.load(Ordering::Relaxed) {
                told.fetch_add(
                    check(&client, &key("k")).await.allowed.into(),
                    Ordering::Relaxed,
                );
            }
        });
    }
    let some_more = async || {
        let before = told.load(Ordering::Relaxed);
        eventually("checks are admitted", async || {
            told.load(Ordering::Relaxed) > before + 100
        })
        .await;
    };
    some_more().await;
    for held in [1500, 2200] {
        let pause = WritePause::begin(&cluster).await;
        sleep(Duration::from_millis(held)).await;
        pause.end().await;
        some_more().await;
    }
    done.store(true, Ordering::Relaxed);
    callers.join_all().await;
    holds_exactly(&cluster, &entry, told.load(Ordering::Relaxed)).await;
}

#[tokio::test]
async fn checks_denied_in_a_pause_stay_uncounted() {
    through_a_pause(StoreFailurePolicy::Deny).await;
}

#[tokio::test]
async fn checks_admitted_in_a_pause_count_once() {
    through_a_pause(StoreFailurePolicy::Local).await;
}
