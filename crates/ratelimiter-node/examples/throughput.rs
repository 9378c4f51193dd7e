//! How many checks a second one node answers over loopback, in each counting mode.
//!
//! ```sh
//! cargo run --release -p ratelimiter-node --example throughput
//! ```
//!
//! Client, node and store share the machine, so that the figures compare the modes with each other and one build with the
//! next, and say little about another machine.

use std::error::Error;
use std::time::Duration;

use ratelimiter_api::{CheckRequest, CountingMode, Key, Limit, LimitSpec, NodeConnection};
use ratelimiter_cluster::LocalCluster;
use tokio::task::JoinSet;
use tokio::time::Instant;

const CONNECTIONS: usize = 32;
const TIME: Duration = Duration::from_secs(2);
const DEADLINE: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("{CONNECTIONS} connections, {} s each, one node", TIME.as_secs());
    println!("{:<17} {:>10} {:>10} {:>10} {:>10}", "counting", "checks/s", "p50", "p99", "allowed");
    for counting in CountingMode::ALL {
        for (path, limit) in [("allowed", 1_000_000), ("denied", 1)] {
            let cluster = LocalCluster::builder().nodes(1).store_timeout(DEADLINE).start().await?;
            let spec = LimitSpec {
                counting: Some(*counting),
                ..LimitSpec::new(Key::new(path)?, Limit::new(limit, 60)?)
            };
            cluster.client(0, DEADLINE)?.set_limit(&spec).await?;
            measure(&cluster, *counting, &spec.key).await?;
        }
    }
    Ok(())
}

async fn measure(cluster: &LocalCluster, counting: CountingMode, key: &Key) -> Result<(), Box<dyn Error>> {
    let mut callers = JoinSet::new();
    let mut connections = Vec::new();
    for endpoint in cluster.endpoints().into_iter().cycle().take(CONNECTIONS) {
        let mut connection = NodeConnection::open(&endpoint, DEADLINE).await?;
        connection.warm(DEADLINE).await?;
        connections.push(connection);
    }
    let started = Instant::now();
    for mut connection in connections {
        let request = CheckRequest::new(key.clone());
        callers.spawn(async move {
            let (mut allowed, mut took) = (0_u64, Vec::new());
            while started.elapsed() < TIME {
                let asked = Instant::now();
                allowed += u64::from(connection.check(&request, DEADLINE).await?.allowed);
                took.push(asked.elapsed());
            }
            Ok::<_, ratelimiter_api::ClientError>((allowed, took))
        });
    }
    let (mut allowed, mut took) = (0, Vec::new());
    while let Some(caller) = callers.join_next().await {
        let (some, times) = caller??;
        allowed += some;
        took.extend(times);
    }
    let rate = took.len() as f64 / started.elapsed().as_secs_f64();
    took.sort_unstable();
    let quantile = |percent: usize| format!("{} us", took[(took.len() - 1) * percent / 100].as_micros());
    let words = counting.as_str();
    println!("{words:<17} {rate:>10.0} {:>10} {:>10} {allowed:>10}", quantile(50), quantile(99));
    Ok(())
}
