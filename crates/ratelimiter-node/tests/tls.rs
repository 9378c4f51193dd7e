//! Stores behind TLS, of a private authority: one, a cluster, and a primary behind sentinels.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

#[path = "integration/common/mod.rs"]
mod common;
#[path = "../../ratelimiter-cluster/tests/support/needs.rs"]
mod needs;

use common::bursts::burst_is_exact;
use common::program::refuses;
use common::{
    PATIENCE, SECOND, Store, all_synced, check, checks, clients, counted, eventually, key, set,
};
use needs::{Missing, trial};
use ratelimiter_api::{CountingMode, DecidedBy, Key, NodeClient};
use ratelimiter_cluster::{
    ClusterError, ClusterPlan, LocalCluster, StoreTopology, make_certificate,
};
use ratelimiter_store::Link;
use redis::cmd;

const CLUSTER: StoreTopology = StoreTopology::Cluster { replicas: false };

/// A cluster behind TLS.
async fn behind_tls(plan: ClusterPlan) -> Result<LocalCluster, Missing> {
    let plan = ClusterPlan {
        tls: true,
        deadline: 2 * PATIENCE,
        ..plan
    };
    let error = match plan.start().await {
        Ok(cluster) => return Ok(cluster),
        Err(error) => error,
    };
    let chosen = std::env::var_os("RATELIMITER_STORE_BIN").is_some();
    match &error {
        // The gate chooses other stores as well.
        ClusterError::NoTls(_) if chosen => Err(Missing(error.to_string())),
        ClusterError::NoTls(_) => Err(Missing::outside_ci(error.to_string())),
        _ => panic!("{error}"),
    }
}

/// Every node asks the store about this key. A use that meets the end of its connection, or
/// sentinels without time, fails at once.
async fn store_decides(clients: &[NodeClient], key: &Key) {
    for client in clients {
        eventually("the store decides", async || {
            check(client, key).await.decided_by == DecidedBy::Store
        })
        .await;
    }
}

/// Closes every connection of clients to every store.
async fn close_all(cluster: &LocalCluster) {
    let mut closed = 0;
    for member in 0..cluster.members() {
        let link = Link::new(cluster.member_url(member).unwrap());
        let mut kill = cmd("CLIENT");
        kill.arg("KILL").arg("TYPE").arg("normal");
        closed += link.query::<u64>(&kill, PATIENCE).await.unwrap();
    }
    assert!(closed > 0);
}

/// Clients that listen to a sentinel.
async fn subscriptions(cluster: &LocalCluster) -> usize {
    let mut subscriptions = 0;
    for sentinel in cluster.store_url().sentinels() {
        let mut list = cmd("CLIENT");
        list.arg("LIST").arg("TYPE").arg("pubsub");
        let listed: String = Link::new(sentinel).query(&list, PATIENCE).await.unwrap();
        subscriptions += listed
            .lines()
            .filter(|client| client.contains(" sub=1 "))
            .count();
    }
    subscriptions
}

async fn counts_are_exact(topology: StoreTopology) -> Result<(), Missing> {
    let plan = ClusterPlan {
        topology,
        counting: CountingMode::Atomic,
        store_timeout: 5 * SECOND,
        password: Some("hunter2".into()),
        ..ClusterPlan::default()
    };
    let mut cluster = behind_tls(plan).await?;
    assert!(cluster.store_url().to_string().starts_with("rediss"));
    let clients = clients(&cluster);
    let many = set(&cluster, &counted("many", 1_000_000, CountingMode::Atomic)).await;
    store_decides(&clients, &many.key).await;
    for name in ["a", "b", "c", "d"] {
        burst_is_exact(&cluster, name, 2).await;
        close_all(&cluster).await;
        store_decides(&clients, &key(name)).await;
    }
    let entry = set(&cluster, &counted("synced", 10, CountingMode::Cached)).await;
    assert_eq!(checks(&clients, &entry.key, 3).await, 3);
    all_synced(&clients, &entry.key).await;
    assert_eq!(Store::of(&cluster).held(&entry).await, 3);
    if matches!(topology, StoreTopology::Sentinel { .. }) {
        eventually("the nodes listen to a sentinel", async || {
            subscriptions(&cluster).await > 0
        })
        .await;
        cluster.kill_member(0).unwrap();
        store_decides(&clients, &many.key).await;
    }
    Ok(())
}

async fn one_store_counts_exactly_over_tls() -> Result<(), Missing> {
    counts_are_exact(StoreTopology::Single).await
}

async fn store_cluster_counts_exactly_over_tls() -> Result<(), Missing> {
    counts_are_exact(CLUSTER).await
}

async fn sentinels_lead_to_primaries_over_tls() -> Result<(), Missing> {
    counts_are_exact(StoreTopology::SENTINEL).await
}

const UNKNOWN: &str =
    "of an authority that is not trusted here: name the file of that authority (--store-ca)";

/// A node that trusts the system's authorities, or those of an unrelated file, does not start.
async fn node_refuses(topology: StoreTopology) -> Result<(), Missing> {
    let plan = ClusterPlan {
        topology,
        password: Some("hunter2".into()),
        ..ClusterPlan::nodes(1)
    };
    let cluster = behind_tls(plan).await?;
    let other = tempfile::tempdir().unwrap();
    make_certificate(other.path()).unwrap();
    let other = other.path().join("certificate.pem");
    let url = cluster
        .store_url()
        .to_string()
        .replace(":***@", ":hunter2@");
    let arguments = ["--listen", "127.0.0.1:0", "--store", &url];
    refuses(&arguments, 1, UNKNOWN).await;
    refuses(
        &[&arguments[..], &["--store-ca", other.to_str().unwrap()]].concat(),
        1,
        UNKNOWN,
    )
    .await;
    Ok(())
}

async fn node_refuses_a_store_of_unknown_authority() -> Result<(), Missing> {
    node_refuses(StoreTopology::Single).await
}

async fn node_refuses_a_cluster_of_unknown_authority() -> Result<(), Missing> {
    node_refuses(CLUSTER).await
}

async fn sentinels_of_unknown_authority_are_refused() -> Result<(), Missing> {
    let plan = ClusterPlan {
        topology: StoreTopology::SENTINEL,
        ..ClusterPlan::nodes(1)
    };
    let cluster = behind_tls(plan).await?;
    let link = Link::new(cluster.store_url().to_string().parse().unwrap());
    // On a busy machine the sentinels may take longer than they have.
    eventually("they are refused", async || {
        let error = link
            .query::<String>(&cmd("PING"), PATIENCE)
            .await
            .unwrap_err();
        assert!(
            error.is_transient() || error.to_string().contains(UNKNOWN),
            "{error}"
        );
        !error.is_transient()
    })
    .await;
    Ok(())
}

async fn port_for_tls_is_named_without_it() -> Result<(), Missing> {
    let cluster = behind_tls(ClusterPlan::nodes(1)).await?;
    let plain = cluster
        .store_url()
        .to_string()
        .replace("rediss://", "redis://");
    let link = Link::new(plain.parse().unwrap());
    let error = link
        .query::<String>(&cmd("PING"), PATIENCE)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("rediss:// is for that"),
        "{error}"
    );
    Ok(())
}

fn main() {
    needs::run(vec![
        trial(
            "one_store_counts_exactly_over_tls",
            one_store_counts_exactly_over_tls,
        ),
        trial(
            "store_cluster_counts_exactly_over_tls",
            store_cluster_counts_exactly_over_tls,
        ),
        trial(
            "sentinels_lead_to_primaries_over_tls",
            sentinels_lead_to_primaries_over_tls,
        ),
        trial(
            "node_refuses_a_store_of_unknown_authority",
            node_refuses_a_store_of_unknown_authority,
        ),
        trial(
            "node_refuses_a_cluster_of_unknown_authority",
            node_refuses_a_cluster_of_unknown_authority,
        ),
        trial(
            "sentinels_of_unknown_authority_are_refused",
            sentinels_of_unknown_authority_are_refused,
        ),
        trial(
            "port_for_tls_is_named_without_it",
            port_for_tls_is_named_without_it,
        ),
    ])
}
