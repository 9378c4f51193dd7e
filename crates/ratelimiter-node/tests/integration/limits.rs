//! What one node is told all nodes know: limits, resets, deletions, and who else is there.

use std::collections::HashMap;
use std::time::Duration;

use crate::common::bursts::at_once;
use crate::common::{
    PATIENCE, SECOND, Store, WritePause, all_synced, check, checks, clients, count, counted,
    eventually, key, set, spec, start, throughout,
};
use ratelimiter_api::layout::{self, Heartbeat};
use ratelimiter_api::{
    CheckRequest, CountingMode, DecidedBy, Limit, LimitEntry, LimitSpec, NodeClient, NodeEntry,
    NodeState,
};
use ratelimiter_cluster::{ClusterPlan, LocalCluster};
use redis::cmd;
use tokio::task::JoinSet;

const INTERVAL: Duration = Duration::from_millis(200);

async fn cluster() -> (LocalCluster, Vec<NodeClient>) {
    let cluster = start(ClusterPlan {
        sync_interval: INTERVAL,
        ..ClusterPlan::default()
    })
    .await;
    let clients = clients(&cluster);
    (cluster, clients)
}

/// How long it takes until every node lists exactly these limits.
async fn everybody_lists(clients: &[NodeClient], expected: &[&LimitEntry]) -> Duration {
    let mut longest = Duration::ZERO;
    for client in clients {
        let took = eventually("every node lists the limits", async || {
            let limits = client.limits().await.unwrap();
            limits.len() == expected.len() && expected.iter().all(|e| limits.contains(e))
        });
        longest = longest.max(took.await);
    }
    longest
}

#[tokio::test]
async fn limit_set_on_one_node_reaches_all() {
    let (cluster, clients) = cluster().await;
    let mut known = Vec::new();
    for (i, client) in clients.iter().enumerate() {
        known.push(client.set_limit(&spec(&format!("k{i}"), 5)).await.unwrap());
        let took = everybody_lists(&clients, &known.iter().collect::<Vec<_>>()).await;
        println!("a new limit was known to all after {took:?}, at a sync interval of {INTERVAL:?}");
    }
    for (i, client) in clients.iter().cycle().skip(1).take(3).enumerate() {
        assert_eq!(
            check(client, &key(&format!("k{i}"))).await.limit,
            5,
            "used, not only listed"
        );
    }

    // Changed by another node: the counter goes on.
    assert_eq!(checks(&clients, &key("k0"), 3).await, 3);
    all_synced(&clients, &key("k0")).await;
    known[0] = LimitEntry {
        limit: Limit::new(4, 30).unwrap(),
        ..known[0].clone()
    };
    let changed = clients[2]
        .set_limit(&LimitSpec::new(key("k0"), known[0].limit))
        .await
        .unwrap();
    assert_eq!(changed, known[0], "the same counter under another limit");
    everybody_lists(&clients, &known.iter().collect::<Vec<_>>()).await;
    for client in &clients {
        eventually("four of four were taken", async || {
            !check(client, &key("k0")).await.allowed
        })
        .await;
    }

    // Deleted by a third.
    clients[1].delete_limit(&key("k0")).await.unwrap();
    everybody_lists(&clients, &known[1..].iter().collect::<Vec<_>>()).await;
    for client in &clients {
        let refused = client
            .check(&CheckRequest::new(key("k0")))
            .await
            .unwrap_err()
            .to_string();
        assert!(refused.contains("404"), "{refused}");
    }
    // And set anew: nothing of the old counter is left.
    let anew = set(&cluster, &spec("k0", 5)).await;
    assert_ne!(anew.epoch, changed.epoch);
    assert_eq!(check(&clients[1], &key("k0")).await.remaining, 4);
}

#[tokio::test]
async fn conflicting_limits_converge() {
    let (_cluster, clients) = cluster().await;
    for round in 1..=10 {
        let mut telling = JoinSet::new();
        for (i, client) in clients.iter().cloned().enumerate() {
            telling.spawn(async move {
                for j in 0..4 {
                    client
                        .set_limit(&spec("k", round * 100 + i as i64 * 10 + j))
                        .await
                        .unwrap();
                    // Another may have deleted it a moment ago.
                    if let Err(refused) = client.reset_counter(&key("k")).await {
                        assert!(refused.to_string().contains("404"), "{refused}");
                    }
                }
                if i == 2 {
                    client.delete_limit(&key("k")).await.unwrap();
                }
                // No other test touches this one.
                client
                    .set_limit(&spec(&format!("k{i}"), round))
                    .await
                    .unwrap();
            });
        }
        telling.join_all().await;
        eventually(
            "all nodes have the same limits, the last of each",
            async || {
                let mut lists = Vec::new();
                for client in &clients {
                    lists.push(client.limits().await.unwrap());
                }
                let mine = (0..3).all(|i| {
                    let name = key(&format!("k{i}"));
                    lists[0]
                        .iter()
                        .any(|l| l.key == name && i64::from(l.limit.admissions()) == round)
                });
                mine && lists.windows(2).all(|pair| pair[0] == pair[1])
            },
        )
        .await;
    }
}

#[tokio::test]
async fn set_limit_holds_at_once_on_its_node() {
    let (_cluster, clients) = cluster().await;
    for i in 0..50 {
        let key = key(&format!("k{i}"));
        let client = &clients[i % clients.len()];
        client
            .set_limit(&counted(key.as_str(), 2, CountingMode::Cached))
            .await
            .unwrap();
        // No sync that read the limits before this one was set may forget it, nor what was admitted
        // under it.
        for expected in [true, true, false, false, false] {
            assert_eq!(check(client, &key).await.allowed, expected, "{key}");
        }
    }
}

#[tokio::test]
async fn late_flush_does_not_undo_a_reset() {
    let interval = SECOND;
    let cluster = start(ClusterPlan {
        sync_interval: interval,
        ..ClusterPlan::default()
    })
    .await;
    let clients = clients(&cluster);
    let store = Store::of(&cluster);
    let old = set(&cluster, &spec("k", 10)).await;
    for _ in 0..3 {
        let before = count(&clients[1], &key("k")).await.0;
        let allowed = checks(&clients[1..2], &key("k"), 5).await;
        assert_eq!(count(&clients[1], &key("k")).await.0, before + allowed);
        // Reset through a node that knows nothing of them, most likely before they are flushed.
        let new = clients[0].reset_counter(&key("k")).await.unwrap();
        assert!(new.epoch > old.epoch);
        assert_eq!(new.limit, old.limit);
        everybody_lists(&clients, &[&new]).await;
        // For longer than a flush can be under way.
        throughout(2 * interval, async || {
            assert_eq!(store.held(&new).await, 0);
            for client in &clients {
                assert_eq!(count(client, &key("k")).await, (0, 0));
            }
        })
        .await;
    }
    assert_eq!(
        checks(&clients[1..2], &key("k"), 12).await,
        10,
        "the whole limit is there again"
    );
}

#[tokio::test]
async fn late_node_reads_limits_during_a_pause() {
    let (mut cluster, _) = cluster().await;
    let first = set(&cluster, &spec("first", 5)).await;
    cluster.terminate_node(2).await.unwrap();
    let second = clients(&cluster)[0]
        .set_limit(&spec("second", 5))
        .await
        .unwrap();
    assert_eq!(checks(&clients(&cluster)[..2], &key("first"), 4).await, 4);
    all_synced(&clients(&cluster)[..2], &key("first")).await;
    cluster.restart_node(2).await.unwrap();
    let client = clients(&cluster).remove(2);
    everybody_lists(std::slice::from_ref(&client), &[&first, &second]).await;
    // Its first check of the key asks for the others' admissions.
    assert_eq!(check(&client, &key("first")).await.remaining, 0);

    cluster.kill_node(2).unwrap();
    let pause = WritePause::begin(&cluster).await;
    // Its heartbeat from before still stands in the store: its absence cannot be noticed yet.
    cluster.restart_node(2).await.unwrap();
    everybody_lists(std::slice::from_ref(&client), &[&first, &second]).await;
    let refused = client
        .set_limit(&spec("third", 5))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("503"),
        "what cannot be kept is not set: {refused}"
    );
    pause.end().await;
    client.set_limit(&spec("third", 5)).await.unwrap();
}

fn state(nodes: &[NodeEntry], id: &str) -> Option<NodeState> {
    nodes.iter().find(|n| n.id.as_str() == id).map(|n| n.state)
}

#[tokio::test]
async fn silent_node_turns_suspect_then_down() {
    let (mut cluster, clients) = cluster().await;
    cluster.kill_node(1).unwrap();
    let mut seen = vec![NodeState::Up];
    eventually("it is down", async || {
        let now = state(&clients[0].nodes().await.unwrap().nodes, "node-2").unwrap();
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        now == NodeState::Down
    })
    .await;
    assert_eq!(seen, [NodeState::Up, NodeState::Suspect, NodeState::Down]);
    cluster.restart_node(1).await.unwrap();
    for client in &clients {
        eventually("everybody sees it again", async || {
            state(&client.nodes().await.unwrap().nodes, "node-2") == Some(NodeState::Up)
        })
        .await;
    }
    // Told to stop, it says goodbye and is not waited for.
    assert!(cluster.terminate_node(1).await.unwrap());
    eventually("it is not listed any more", async || {
        state(&clients[0].nodes().await.unwrap().nodes, "node-2").is_none()
    })
    .await;
}

#[tokio::test]
async fn write_pause_makes_no_node_suspect() {
    // Long enough for a machine that is busy with something else to send a heartbeat in time.
    let interval = 2 * INTERVAL;
    let cluster = start(ClusterPlan {
        sync_interval: interval,
        ..ClusterPlan::default()
    })
    .await;
    let clients = clients(&cluster);
    let store = Store::of(&cluster);
    let everybody_is_up = async || {
        for client in &clients {
            let nodes = client.nodes().await.unwrap().nodes;
            assert_eq!(nodes.len(), 3);
            assert!(nodes.iter().all(|n| n.state == NodeState::Up), "{nodes:?}");
            assert!(client.health().await.unwrap().redis_connected);
        }
        // By the heartbeats in the store, too, no node is far behind the others.
        let beats: HashMap<String, String> = store
            .0
            .query(cmd("HGETALL").arg(layout::NODES), PATIENCE)
            .await
            .unwrap();
        let sent = |text: &String| serde_json::from_str::<Heartbeat>(text).unwrap().at_us;
        let sent: Vec<_> = beats.values().map(sent).collect();
        let apart = sent.iter().max().unwrap() - sent.iter().min().unwrap();
        let state = NodeState::of_heartbeat(Duration::from_micros(apart), interval);
        assert_ne!(state, NodeState::Down, "{apart} us apart");
    };
    everybody_is_up().await;
    for held in [1300, 7100] {
        let pause = WritePause::begin(&cluster).await;
        throughout(Duration::from_millis(held), &everybody_is_up).await;
        pause.end().await;
        throughout(5 * interval, &everybody_is_up).await;
    }
}

#[tokio::test]
async fn lost_scripts_are_loaded_again() {
    let cluster = start(ClusterPlan {
        store_timeout: 5 * SECOND,
        ..ClusterPlan::default()
    })
    .await;
    let clients = clients(&cluster);
    let store = Store::of(&cluster);
    let entry = set(&cluster, &counted("k", 100_000, CountingMode::Atomic)).await;
    for i in 0..20_u64 {
        store.run(&["SCRIPT", "FLUSH"]).await;
        // Every node finds out for itself, some of them at the same time.
        let fifteen = clients.iter().cloned().cycle().take(15);
        for answer in at_once(fifteen, &CheckRequest::new(key("k"))).await {
            assert!(
                answer.allowed && answer.decided_by == DecidedBy::Store,
                "{answer:?}"
            );
        }
        assert_eq!(store.held(&entry).await, (i + 1) * 15);
        store.run(&["SCRIPT", "FLUSH"]).await;
        clients[i as usize % 3]
            .reset_counter(&key("other"))
            .await
            .unwrap_err();
        clients[i as usize % 3]
            .set_limit(&spec("another", 1 + i as i64))
            .await
            .unwrap();
    }
}
