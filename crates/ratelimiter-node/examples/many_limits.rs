//! What very many limits cost a cluster of three nodes, while a detector watches it.
//!
//! ```sh
//! cargo run --release -p ratelimiter-node --example many_limits             # 100,000 limits
//! cargo run --release -p ratelimiter-node --example many_limits -- 10000
//! ```
//!
//! Sets the limits, lets them lie idle without and with a detector, checks every one of them once,
//! and lets them lie in use. Of each phase it prints the share of a core that the busiest node and
//! the store used, and how long `/health` took at most, asked fifty times a second. Ends with an
//! error when the limits took over a minute to reach every node, when idle limits cost a node or
//! the store 3 % of a core, when `/health` took 10 ms beside idle limits, or when the detector
//! found anything.
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot set up its subject has failed"
)]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ratelimiter_api::{CheckRequest, CountingMode, Key, Limit, LimitSpec, NodeClient};
use ratelimiter_cluster::{ClusterPlan, LocalCluster};
use ratelimiter_watch::Detector;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, interval, sleep};

const DEADLINE: Duration = Duration::from_secs(10);
/// How long a phase without load is.
const REST: Duration = Duration::from_secs(10);
/// Limits in one request.
const AT_ONCE: usize = 1_000;
const CALLERS: usize = 4;

/// What one phase cost.
#[derive(Debug)]
struct Cost {
    node: f64,
    store: f64,
    health: Duration,
}

#[tokio::main]
async fn main() -> ExitCode {
    let limits: usize = std::env::args()
        .nth(1)
        .map_or(100_000, |text| text.parse().unwrap());
    let cluster = ClusterPlan::nodes(3).start().await.unwrap();
    let nodes: Vec<NodeClient> = (0..3)
        .map(|node| cluster.client(node, DEADLINE).unwrap())
        .collect();

    let started = Instant::now();
    for first in (0..limits).step_by(AT_ONCE) {
        let some = (first..limits.min(first + AT_ONCE)).map(spec).collect();
        nodes[0].set_limits(some).await.unwrap();
    }
    let last = key(limits - 1);
    for node in &nodes {
        while node
            .counters_of(std::slice::from_ref(&last), None)
            .await
            .unwrap()
            .counters
            .is_empty()
        {
            sleep(Duration::from_millis(20)).await;
        }
    }
    let set = started.elapsed();
    println!(
        "{limits} limits set and known to all nodes in {:.1} s\n",
        set.as_secs_f64()
    );

    println!(
        "{:<22} {:>12} {:>8} {:>16}",
        "", "busiest node", "store", "/health, longest"
    );
    let idle = phase("idle", &cluster, sleep(REST)).await;
    let detector = Detector::start(&cluster.endpoints(), cluster.store_url(), None, None);
    let watched = phase("idle, watched", &cluster, sleep(REST)).await;
    phase("checked once, watched", &cluster, check_all(&nodes, limits)).await;
    phase("in use, watched", &cluster, sleep(2 * REST)).await;

    let found = detector.log().violations;
    println!("\nviolations found: {}", found.len());
    for found in &found {
        println!("  {}", found.violation);
    }
    let cheap = |cost: &Cost| {
        cost.node < 0.03 && cost.store < 0.03 && cost.health < Duration::from_millis(10)
    };
    let well = set < Duration::from_secs(60) && cheap(&idle) && cheap(&watched) && found.is_empty();
    if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn key(number: usize) -> Key {
    Key::new(format!("tenant-{number:06}")).unwrap()
}

fn spec(number: usize) -> LimitSpec {
    let limit = Limit::new(100, 60).unwrap();
    LimitSpec {
        counting: Some(CountingMode::Cached),
        ..LimitSpec::new(key(number), limit)
    }
}

/// One check of each key, at the nodes by turns.
async fn check_all(nodes: &[NodeClient], limits: usize) {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let nodes = nodes.to_vec();
        callers.spawn(async move {
            for number in (caller..limits).step_by(CALLERS) {
                let request = CheckRequest::new(key(number));
                assert!(
                    nodes[number % nodes.len()]
                        .check(&request)
                        .await
                        .unwrap()
                        .allowed
                );
            }
        });
    }
    callers.join_all().await;
}

/// Prints what nodes and store did meanwhile.
async fn phase(name: &str, cluster: &LocalCluster, meanwhile: impl Future<Output = ()>) -> Cost {
    let processes = cluster.process_ids();
    let health = ask_health(cluster.client(2, DEADLINE).unwrap());
    let (before, started) = (
        processes
            .iter()
            .map(|id| processor_time(*id))
            .collect::<Vec<_>>(),
        Instant::now(),
    );
    meanwhile.await;
    let took = started.elapsed().as_secs_f64();
    let shares: Vec<f64> = processes
        .iter()
        .zip(before)
        .map(|(id, before)| (processor_time(*id) - before) / took)
        .collect();
    let (store, nodes) = shares.split_first().unwrap();
    let cost = Cost {
        node: nodes.iter().copied().fold(0.0, f64::max),
        store: *store,
        health: health.longest(),
    };
    println!(
        "{name:<22} {:>10.1} % {:>6.1} % {:>13.1} ms",
        cost.node * 100.0,
        cost.store * 100.0,
        cost.health.as_secs_f64() * 1e3
    );
    cost
}

/// Asks for health until it is dropped.
struct Health {
    longest: Arc<std::sync::Mutex<Duration>>,
    task: AbortHandle,
}

impl Health {
    fn longest(&self) -> Duration {
        *self.longest.lock().unwrap()
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn ask_health(client: NodeClient) -> Health {
    let longest = Arc::new(std::sync::Mutex::new(Duration::ZERO));
    let task = tokio::spawn({
        let longest = Arc::clone(&longest);
        async move {
            let mut ticks = interval(Duration::from_millis(20));
            loop {
                ticks.tick().await;
                let asked = Instant::now();
                client.health().await.unwrap();
                let mut longest = longest.lock().unwrap();
                *longest = longest.max(asked.elapsed());
            }
        }
    });
    Health {
        longest,
        task: task.abort_handle(),
    }
}

/// Seconds of processor time that a process used, in user mode and for it in the kernel.
fn processor_time(process: u32) -> f64 {
    /// The unit of the figures in `stat` on Linux, a second by `sysconf(_SC_CLK_TCK)`.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks: Vec<u64> = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|text| text.parse().unwrap())
        .collect();
    ticks.iter().sum::<u64>() as f64 / TICKS
}
