//! The throughput of atomic checks on one and on three primaries, with many keys, in one run:
//!
//! `cargo run --release -p ratelimiter-node --example primaries [seconds]`
//!
//! Everything shares the cores of this machine: the figures compare the cost of a check, and say
//! nothing about how three machines scale.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ratelimiter_api::{CheckRequest, CountingMode, Key, Limit, LimitSpec};
use ratelimiter_chaos::setup_rate_limit;
use ratelimiter_cluster::{ClusterPlan, StoreTopology};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const PATIENCE: Duration = Duration::from_secs(20);
const KEYS: usize = 64;
/// Checks in flight on each node.
const FLIGHTS: usize = 16;

async fn measure(topology: StoreTopology, time: Duration) -> Result<f64, Failure> {
    let cluster = ClusterPlan {
        topology,
        counting: CountingMode::Atomic,
        store_timeout: Duration::from_secs(2),
        deadline: PATIENCE,
        ..ClusterPlan::default()
    }
    .start()
    .await?;
    let clients: Result<Vec<_>, _> = (0..3).map(|node| cluster.client(node, PATIENCE)).collect();
    let clients = clients?;
    let mut keys = Vec::new();
    for n in 0..KEYS {
        let key = Key::new(format!("key-{n}"))?;
        setup_rate_limit(
            &clients,
            &LimitSpec::new(key.clone(), Limit::new(1_000_000, 600)?),
        )
        .await?;
        keys.push(key);
    }
    let keys = Arc::new(keys);
    let done = Arc::new(AtomicU64::new(0));
    let until = Instant::now() + time;
    let mut flights = Vec::new();
    for (node, client) in clients.iter().enumerate() {
        for flight in 0..FLIGHTS {
            let (client, keys, done) = (client.clone(), Arc::clone(&keys), Arc::clone(&done));
            flights.push(tokio::spawn(async move {
                let mut n = node * FLIGHTS + flight;
                while Instant::now() < until {
                    client
                        .check(&CheckRequest::new(keys[n % KEYS].clone()))
                        .await?;
                    done.fetch_add(1, Ordering::Relaxed);
                    n += 7;
                }
                Ok::<_, Failure>(())
            }));
        }
    }
    for flight in flights {
        flight.await??;
    }
    Ok(done.load(Ordering::Relaxed) as f64 / time.as_secs_f64())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let seconds = std::env::args().nth(1).map_or(Ok(5), |text| text.parse())?;
    let time = Duration::from_secs(seconds);
    println!("atomic, {KEYS} keys, three nodes, {FLIGHTS} checks in flight each, {seconds} s");
    for (name, topology) in [
        ("one store", StoreTopology::Single),
        (
            "three primaries",
            StoreTopology::Cluster { replicas: false },
        ),
    ] {
        println!("{name:>16}: {:.0} checks/s", measure(topology, time).await?);
    }
    Ok(())
}
