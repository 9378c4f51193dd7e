//! How long a cluster takes until its store and three nodes are of use, in each topology:
//!
//! `cargo run --release -p ratelimiter-cluster --example ready [runs]`

use std::time::{Duration, Instant};

use ratelimiter_cluster::{ClusterError, ClusterPlan, StoreTopology};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), ClusterError> {
    let runs = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(10);
    for (name, topology) in [
        ("one store", StoreTopology::Single),
        (
            "three primaries",
            StoreTopology::Cluster { replicas: false },
        ),
        (
            "three primaries, three replicas",
            StoreTopology::Cluster { replicas: true },
        ),
        ("primary, replica, three sentinels", StoreTopology::SENTINEL),
    ] {
        let mut times: Vec<Duration> = Vec::new();
        for _ in 0..runs {
            let started = Instant::now();
            let _cluster = ClusterPlan {
                topology,
                ..ClusterPlan::default()
            }
            .start()
            .await?;
            times.push(started.elapsed());
        }
        times.sort_unstable();
        if let [shortest, .., longest] = times[..] {
            let median = times[times.len() / 2];
            println!("{name}: {median:.2?} (median of {runs}), {shortest:.2?} to {longest:.2?}");
        }
    }
    Ok(())
}
