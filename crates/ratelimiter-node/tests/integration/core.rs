//! Defects of counting and limits, one story each: large windows, many idle keys, late changes and
//! lost deletions.

use crate::common::{
    PATIENCE, SECOND, Store, all_synced, check, checks, clients, counted, eventually, key, set,
    spec, start, throughout,
};
use ratelimiter_api::{
    ActivePage, CheckRequest, CountingMode, Limit, LimitEntry, LimitSpec, MAX_COST, NodeClient,
    layout,
};
use ratelimiter_cluster::{ClusterPlan, LocalCluster};
use redis::cmd;
use tokio::time::Instant;

#[tokio::test]
async fn atomic_obeys_a_limit_that_another_node_changed() {
    let interval = 5 * SECOND;
    let cluster = start(ClusterPlan {
        sync_interval: interval,
        store_timeout: interval,
        ..ClusterPlan::default()
    })
    .await;
    set(&cluster, &counted("k", 100, CountingMode::Atomic)).await;
    let clients = clients(&cluster);
    assert!(check(&clients[1], &key("k")).await.allowed);
    for lowered in [20, 5] {
        clients[0]
            .set_limit(&counted("k", lowered, CountingMode::Atomic))
            .await
            .unwrap();
        let answer = check(&clients[1], &key("k")).await;
        assert_eq!(
            i64::from(answer.limit),
            lowered,
            "long before the next sync"
        );
    }
    assert_eq!(
        checks(&clients[1..], &key("k"), 20).await,
        2,
        "five of the window are taken"
    );
    clients[0].reset_counter(&key("k")).await.unwrap();
    assert_eq!(
        checks(&clients[1..], &key("k"), 20).await,
        5,
        "the new counter holds at once too"
    );
    clients[0].delete_limit(&key("k")).await.unwrap();
    let refused = clients[1]
        .check(&CheckRequest::new(key("k")))
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("404"), "{refused}");
}

#[tokio::test]
async fn cost_above_the_limit_is_refused() {
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let client = &clients(&cluster)[0];
    for counting in CountingMode::ALL {
        let name = counting.as_str();
        set(&cluster, &counted(name, 10, counting)).await;
        let costly = CheckRequest {
            cost: 11,
            ..CheckRequest::new(key(name))
        };
        let refused = client.check(&costly).await.unwrap_err().to_string();
        assert!(
            refused.contains("422") && refused.contains("above the limit of 10"),
            "{counting}: {refused}"
        );
    }
}

#[tokio::test]
async fn a_costly_check_gets_its_waiting_time() {
    let cluster = start(ClusterPlan {
        store_timeout: 5 * SECOND,
        ..ClusterPlan::nodes(1)
    })
    .await;
    let client = &clients(&cluster)[0];
    let modes = [
        CountingMode::Atomic,
        CountingMode::Cached,
        CountingMode::ReadThenWrite,
    ];
    let costly = |mode: CountingMode| CheckRequest {
        cost: 5,
        ..CheckRequest::new(key(mode.as_str()))
    };
    for mode in modes {
        let limit = LimitSpec::new(key(mode.as_str()), Limit::new(10, 2).unwrap());
        set(
            &cluster,
            &LimitSpec {
                counting: Some(mode),
                ..limit
            },
        )
        .await;
    }
    for mode in modes {
        assert_eq!(
            checks(std::slice::from_ref(client), &key(mode.as_str()), 10).await,
            10
        );
        let denied = client.check(&costly(mode)).await.unwrap();
        assert!(!denied.allowed && denied.reset_ms > 0, "{mode}: {denied:?}");
        // Time itself is what is promised here.
        tokio::time::sleep(std::time::Duration::from_millis(denied.reset_ms)).await;
        let later = client.check(&costly(mode)).await.unwrap();
        assert!(later.allowed, "{mode}: refused again: {later:?}");
    }
}

#[tokio::test]
async fn reset_and_delete_remove_stored_admissions() {
    let cluster = ClusterPlan::default().start().await.unwrap();
    let (store, clients) = (Store::of(&cluster), clients(&cluster));
    let old = set(&cluster, &spec("k", 100)).await;
    assert_eq!(checks(&clients, &key("k"), 30).await, 30);
    all_synced(&clients, &key("k")).await;
    assert_eq!(store.held(&old).await, 30);
    let new = clients[0].reset_counter(&key("k")).await.unwrap();
    eventually("the old set is gone", async || store.held(&old).await == 0).await;
    assert!(check(&clients[0], &key("k")).await.allowed);
    all_synced(&clients, &key("k")).await;
    clients[1].delete_limit(&key("k")).await.unwrap();
    eventually("the new set is gone", async || store.held(&new).await == 0).await;
}

#[tokio::test]
async fn reset_and_delete_remove_stored_grants() {
    let cluster = start(ClusterPlan {
        store_timeout: 5 * SECOND,
        ..ClusterPlan::nodes(1)
    })
    .await;
    let (store, client) = (Store::of(&cluster), clients(&cluster).remove(0));
    let entries = async |entry: &LimitEntry| -> u64 {
        let names = layout::counter(&entry.key, entry.epoch);
        store
            .0
            .query(cmd("EXISTS").arg(&names), PATIENCE)
            .await
            .unwrap()
    };
    let mut entry = set(&cluster, &counted("k", 100, CountingMode::Leased)).await;
    for reset in [true, false] {
        assert!(check(&client, &key("k")).await.allowed);
        assert!(entries(&entry).await > 0, "a grant was given");
        let old = entry.clone();
        if reset {
            entry = client.reset_counter(&key("k")).await.unwrap();
        } else {
            client.delete_limit(&key("k")).await.unwrap();
        }
        // For longer than the node holds an unspent grant before it settles it.
        throughout(SECOND / 4, async || assert_eq!(entries(&old).await, 0)).await;
    }
}

/// A day's window of many keys, each checked once: they are in use until tomorrow, and cost nothing
/// until the next check.
#[tokio::test]
async fn keys_checked_once_cost_the_store_little() {
    const KEYS: usize = 2000;
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let (store, client) = (Store::of(&cluster), clients(&cluster).remove(0));
    let limit = |i: usize| {
        let limit = LimitSpec::new(key(&format!("key-{i}")), Limit::new(10, 86_400).unwrap());
        LimitSpec {
            counting: Some([CountingMode::Cached, CountingMode::Leased][i % 2]),
            ..limit
        }
    };
    for thousand in 0..KEYS / 1000 {
        let limits = (1000 * thousand..1000 * (thousand + 1))
            .map(limit)
            .collect();
        client.set_limits(limits).await.unwrap();
    }
    for i in 0..KEYS {
        let request = CheckRequest::new(key(&format!("key-{i}")));
        assert!(client.check(&request).await.unwrap().allowed);
    }
    // Five syncs a second used to ask three questions about every key in use.
    eventually("the store is left in peace", async || {
        let (before, started) = (commands(&store).await, Instant::now());
        tokio::time::sleep(SECOND).await;
        let rate = (commands(&store).await - before) as f64 / started.elapsed().as_secs_f64();
        rate < 1000.0
    })
    .await;
    let counters = client
        .active_counters(&ActivePage::default(), None)
        .await
        .unwrap()
        .counters;
    assert_eq!(
        counters.iter().map(|counter| counter.count).sum::<u64>(),
        KEYS as u64,
        "none is forgotten"
    );
}

/// Commands that the store ran so far.
async fn commands(store: &Store) -> u64 {
    let info: String = store
        .0
        .query(cmd("INFO").arg("stats"), PATIENCE)
        .await
        .unwrap();
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("total_commands_processed:"))
        .unwrap();
    line.trim().parse().unwrap()
}

async fn set_many(client: &NodeClient, limits: std::ops::Range<usize>) {
    let limits = limits.map(|i| spec(&format!("key-{i}"), 10)).collect();
    client.set_limits(limits).await.unwrap();
}

#[tokio::test]
async fn idle_limits_cost_the_store_nothing() {
    let cluster = ClusterPlan::default().start().await.unwrap();
    let (store, clients) = (Store::of(&cluster), clients(&cluster));
    for thousand in 0..3 {
        set_many(&clients[0], 1000 * thousand..1000 * (thousand + 1)).await;
    }
    for client in &clients {
        eventually("every node lists all", async || {
            client.limits().await.unwrap().len() == 3000
        })
        .await;
    }
    let (before, started) = (commands(&store).await, Instant::now());
    tokio::time::sleep(2 * SECOND).await;
    let rate = (commands(&store).await - before) as f64 / started.elapsed().as_secs_f64();
    // Three nodes with five syncs a second; each idle limit used to add three commands to each.
    assert!(rate < 300.0, "{rate:.0} commands a second");
    assert!(check(&clients[2], &key("key-2999")).await.allowed);
    assert_eq!(
        clients[2]
            .active_counters(&ActivePage::default(), None)
            .await
            .unwrap()
            .counters
            .len(),
        1
    );
    let some = clients[1]
        .counters_of(&[key("key-7"), key("key-1"), key("absent")], None)
        .await
        .unwrap();
    assert_eq!(
        some.counters
            .iter()
            .map(|c| c.key.as_str())
            .collect::<Vec<_>>(),
        ["key-1", "key-7"]
    );
}

#[tokio::test]
async fn a_deletion_survives_the_loss_of_the_store() {
    let mut cluster = ClusterPlan::default().start().await.unwrap();
    for name in ["kept", "deleted"] {
        set(&cluster, &spec(name, 10)).await;
    }
    for round in 0..3 {
        let clients = clients(&cluster);
        // The others have not read the deletion when the store loses it, and one of them may be the
        // first to restore.
        clients[round].delete_limit(&key("deleted")).await.unwrap();
        cluster.kill_store();
        cluster.restart_store().await.unwrap();
        let store = Store::of(&cluster);
        for client in &clients {
            eventually("only the other limit is left", async || {
                let limits = client.limits().await.unwrap();
                let kept: u64 = store
                    .0
                    .query(cmd("HLEN").arg(layout::LIMITS), PATIENCE)
                    .await
                    .unwrap();
                // Beside it the own member of the hash.
                limits.len() == 1 && limits[0].key == key("kept") && kept == 2
            })
            .await;
        }
        set(&cluster, &spec("deleted", 10)).await;
    }
}

/// A store that restarts empty is given a large window again, and no check of another key waits for
/// it.
///
/// `RATELIMITER_ADMISSIONS=400000` plays it with as many before and after the loss.
#[tokio::test]
async fn resending_a_large_window_delays_no_key() {
    let admissions: usize =
        std::env::var("RATELIMITER_ADMISSIONS").map_or(10_000, |text| text.parse().unwrap());
    let mut cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let large = LimitSpec::new(key("large"), Limit::new(1_000_000, 86_400).unwrap());
    set(
        &cluster,
        &LimitSpec {
            counting: Some(CountingMode::Cached),
            ..large
        },
    )
    .await;
    set(&cluster, &counted("other", 1_000_000, CountingMode::Cached)).await;
    let fill = async |cluster: &LocalCluster| {
        let node = clients(cluster).remove(0);
        let request = CheckRequest {
            key: key("large"),
            cost: MAX_COST.into(),
        };
        for _ in 0..admissions / MAX_COST as usize {
            assert!(node.check(&request).await.unwrap().allowed);
        }
    };
    fill(&cluster).await;
    let client = clients(&cluster).remove(0);
    let unsynced = async || {
        let of = client.counters_of(&[key("large")], None).await.unwrap();
        of.counters[0].unsynced
    };
    eventually("all is in the store", async || unsynced().await == 0).await;
    cluster.kill_store();
    fill(&cluster).await;
    cluster.restart_store().await.unwrap();
    let mut longest = std::time::Duration::ZERO;
    eventually("all is in the store again", async || {
        let asked = Instant::now();
        check(&client, &key("other")).await;
        longest = longest.max(asked.elapsed());
        unsynced().await == 0
    })
    .await;
    println!(
        "{admissions} + {admissions} admissions: the longest check of another key took {longest:?}"
    );
    let held = client
        .counters_of(&[key("large")], None)
        .await
        .unwrap()
        .counters[0]
        .count;
    assert_eq!(
        held,
        2 * (admissions - admissions % MAX_COST as usize) as u64
    );
    assert!(longest < 2 * SECOND, "{longest:?}");
}
