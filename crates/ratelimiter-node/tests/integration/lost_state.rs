//! A store that loses parts of its state, or all of it together with a node: never more than the
//! limit of a leased key, and no limit is gone for good.

use crate::common::{
    PATIENCE, Store, check, checks, clients, counted, eventually, key, set, start,
};
use ratelimiter_api::{CountingMode, LimitEntry, NodeClient, layout};
use ratelimiter_cluster::{ClusterPlan, LocalCluster};
use ratelimiter_node::{Config, NodeServer, NodeSettings};
use redis::cmd;
use rustix::process::{Pid, Signal, kill_process};
use tokio_util::sync::CancellationToken;

const LIMIT: usize = 10;

/// A node of its own process, as after a restart: it knows nothing of the cluster but its file.
async fn fresh_node(cluster: &LocalCluster, new_store: Vec<String>, has_file: bool) -> NodeClient {
    let spec = counted("k", LIMIT as i64, CountingMode::Leased);
    let settings = NodeSettings {
        limits: if has_file {
            vec![spec.clone()]
        } else {
            Vec::new()
        },
        new_store,
        ..NodeSettings::new("fresh", "127.0.0.1:0".parse().unwrap(), cluster.store_url())
    };
    let node = NodeServer::bind(Config::new(settings).unwrap())
        .await
        .unwrap();
    let client = NodeClient::new(node.address().into(), PATIENCE);
    tokio::spawn(node.run(CancellationToken::new()));
    eventually("the node has its store", async || {
        client
            .health()
            .await
            .is_ok_and(|health| health.redis_connected)
    })
    .await;
    if !has_file {
        client.set_limit(&spec).await.unwrap();
    }
    eventually("the store has the limit", async || {
        let entry: Option<String> = Store::of(cluster)
            .0
            .query(cmd("HGET").arg(layout::LIMITS).arg("k"), PATIENCE)
            .await
            .unwrap();
        entry.is_some()
    })
    .await;
    client
}

async fn run_id(cluster: &LocalCluster) -> String {
    let info: String = Store::of(cluster)
        .0
        .query(cmd("INFO").arg("server"), PATIENCE)
        .await
        .unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix("run_id:"));
    line.unwrap().trim().to_owned()
}

/// The store restarts empty, and a fresh node is the first to use it.
async fn restarted_with_a_node(has_file: bool) {
    let mut cluster = start(ClusterPlan::nodes(1)).await;
    set(&cluster, &counted("k", LIMIT as i64, CountingMode::Leased)).await;
    let old = clients(&cluster);
    let before = run_id(&cluster).await;
    assert_eq!(checks(&old, &key("k"), 20).await, LIMIT as u64);
    let process = Pid::from_raw(cluster.process_ids()[1].cast_signed()).unwrap();
    kill_process(process, Signal::STOP).unwrap();
    cluster.kill_store();
    cluster.restart_store().await.unwrap();
    // The word that the store is new was about the one before.
    let fresh = fresh_node(&cluster, vec![before], has_file).await;
    let granted = checks(std::slice::from_ref(&fresh), &key("k"), 20).await;
    kill_process(process, Signal::CONT).unwrap();
    assert_eq!(granted, 0, "all of the limit is taken");
    assert_eq!(checks(&[fresh, old[0].clone()], &key("k"), 20).await, 0);
}

#[tokio::test]
async fn empty_store_and_fresh_file_grant_nothing() {
    restarted_with_a_node(true).await;
}

#[tokio::test]
async fn empty_store_and_fresh_limit_grant_nothing() {
    restarted_with_a_node(false).await;
}

#[tokio::test]
async fn store_named_new_grants_at_once() {
    let cluster = start(ClusterPlan::nodes(1)).await;
    let run_id = run_id(&cluster).await;
    let fresh = fresh_node(&cluster, vec![run_id], true).await;
    assert!(check(&fresh, &key("k")).await.allowed);
}

#[tokio::test]
async fn missing_part_of_a_ledger_is_a_loss() {
    let cluster = start(ClusterPlan::default()).await;
    let clients = clients(&cluster);
    for part in 0..3 {
        let spec = counted(&format!("part-{part}"), LIMIT as i64, CountingMode::Leased);
        let entry = set(&cluster, &spec).await;
        assert_eq!(checks(&clients[..1], &entry.key, 6).await, 6);
        let lost = layout::leases(&entry.key, entry.epoch)[part].clone();
        Store::of(&cluster).run(&["DEL", &lost]).await;
        let more = checks(&clients[1..], &entry.key, 40).await;
        assert_eq!(more, 0, "{lost}: {more} more although 6 are in the window");
    }
}

#[tokio::test]
async fn whole_lost_ledger_is_a_loss() {
    let cluster = start(ClusterPlan::default()).await;
    let clients = clients(&cluster);
    let entry = set(&cluster, &counted("k", LIMIT as i64, CountingMode::Leased)).await;
    assert_eq!(checks(&clients[..1], &entry.key, 20).await, LIMIT as u64);
    let parts = layout::counter(&entry.key, entry.epoch);
    let words = std::iter::once("DEL").chain(parts.iter().map(String::as_str));
    Store::of(&cluster).run(&words.collect::<Vec<_>>()).await;
    assert_eq!(checks(&clients[1..], &entry.key, 40).await, 0);
}

async fn restored(cluster: &LocalCluster, entries: &[LimitEntry]) {
    eventually("the store has all limits again", async || {
        let limits: Vec<Option<String>> = Store::of(cluster)
            .0
            .query(cmd("HMGET").arg(layout::LIMITS).arg("a").arg("l"), PATIENCE)
            .await
            .unwrap();
        limits.iter().all(Option::is_some)
    })
    .await;
    for client in clients(cluster) {
        eventually("every node has all limits", async || {
            let limits = client.limits().await.unwrap();
            limits.len() == entries.len() && entries.iter().all(|e| limits.contains(e))
        })
        .await;
    }
}

#[tokio::test]
async fn no_lost_part_of_the_limits_loses_a_limit() {
    for lost in [
        layout::LIMITS,
        layout::LIMITS_VERSION,
        layout::LIMITS_CHANGED,
        layout::LIMITS_DELETED,
        layout::LIMITS_STATE,
        layout::NODES,
        layout::CLOCK,
    ] {
        let mut cluster = start(ClusterPlan::nodes(2)).await;
        let mut entries = Vec::new();
        for (name, mode) in [("a", CountingMode::Atomic), ("l", CountingMode::Leased)] {
            entries.push(set(&cluster, &counted(name, LIMIT as i64, mode)).await);
        }
        assert_eq!(
            checks(&clients(&cluster), &key("l"), 20).await,
            LIMIT as u64
        );
        Store::of(&cluster).run(&["DEL", lost]).await;
        // A node that starts afterwards knows nothing of before.
        cluster.kill_node(0).unwrap();
        cluster.restart_node(0).await.unwrap();
        restored(&cluster, &entries).await;
        assert_eq!(
            checks(&clients(&cluster), &key("l"), 20).await,
            0,
            "{lost}: all of the limit is taken"
        );
        let changed = clients(&cluster)[0]
            .set_limit(&counted("new", 5, CountingMode::Cached))
            .await
            .unwrap();
        assert!(changed.epoch > entries[1].epoch, "{lost}: versions go on");
    }
}
