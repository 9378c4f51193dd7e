//! Starts a cluster, says where it is, and holds it until it is told to end or is killed.
//!
//! `cargo run -p ratelimiter-cluster --example hold [cluster|sentinel]`

use ratelimiter_cluster::{ClusterError, ClusterPlan, StoreTopology};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), ClusterError> {
    let listen = |kind| {
        let what = "listen to signals".into();
        signal(kind).map_err(|source| ClusterError::Io { what, source })
    };
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let topology = match std::env::args().nth(1).as_deref() {
        Some("cluster") => StoreTopology::Cluster { replicas: true },
        Some("sentinel") => StoreTopology::SENTINEL,
        _ => StoreTopology::Single,
    };
    let cluster = ClusterPlan {
        topology,
        progress: |what| eprintln!("{what}"),
        ..ClusterPlan::default()
    }
    .start()
    .await?;
    for id in cluster.process_ids() {
        println!("process {id}");
    }
    println!("directory {}", cluster.directory().display());
    for endpoint in cluster.endpoints() {
        println!("endpoint {endpoint}");
    }
    println!("store {}", cluster.store_url());
    println!("ready");
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    cluster.shutdown().await;
    Ok(())
}
