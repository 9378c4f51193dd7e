//! How many checks a second one node answers over loopback, in each counting mode, and how many commands its store runs for
//! them. With the node of an earlier build, both are measured in the same run.
//!
//! ```sh
//! cargo run --release -p ratelimiter-node --example throughput -- [ROUNDS] [NODE OF AN EARLIER BUILD]
//! ```
//!
//! Client, node and store share the machine, so that the figures compare the modes with each other and one build with the
//! next, and say little about another machine. Rounds alternate over all rows; a row shows its medians.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use ratelimiter_api::{CheckRequest, CountingMode, Key, Limit, LimitSpec, NodeConnection};
use ratelimiter_cluster::LocalCluster;
use ratelimiter_store::Link;
use redis::{Script, cmd};
use tokio::task::JoinSet;
use tokio::time::Instant;

const CONNECTIONS: usize = 32;
const TIME: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_secs(5);
/// A window in a sorted set and nothing else: the floor of the modes that ask the store.
const BARE: &str = "local t = redis.call('TIME') local now = t[1] * 1000000 + t[2] \
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 60000000) \
    if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end \
    redis.call('ZADD', KEYS[1], now, ARGV[2]) return 1";

/// One line of the table.
struct Row {
    name: String,
    node: Option<PathBuf>,
    counting: Option<CountingMode>,
    limit: i64,
    rounds: Vec<Figures>,
}

/// One round of one row.
struct Figures {
    rate: f64,
    p50: Duration,
    p99: Duration,
    allowed: f64,
    /// Scripts that the store ran for each check.
    scripts: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let rounds: usize = arguments.next().map_or(Ok(3), |n| n.parse())?;
    let earlier = arguments.next().map(PathBuf::from);
    let mut rows = Vec::new();
    for (path, limit) in [("allowed", 1_000_000), ("limit 10000", 10_000), ("denied", 1)] {
        let row = |name: String, node, counting| Row { name, node, counting, limit, rounds: Vec::new() };
        for counting in CountingMode::ALL {
            rows.push(row(format!("{counting}, {path}"), None, Some(*counting)));
            // An earlier build may lack a mode.
            if earlier.is_some() && *counting != CountingMode::Leased {
                rows.push(row(format!("{counting}, {path}, earlier"), earlier.clone(), Some(*counting)));
            }
        }
        rows.push(row(format!("bare script, {path}"), None, None));
    }
    println!("{CONNECTIONS} connections, {} s each, one node, medians of {rounds}", TIME.as_secs());
    for _ in 0..rounds {
        for row in &mut rows {
            let figures = measure(row).await?;
            row.rounds.push(figures);
        }
    }
    println!(
        "{:<38} {:>9} {:>9} {:>9} {:>9} {:>13}",
        "counting, path", "checks/s", "p50", "p99", "allowed", "scripts/check"
    );
    for Row { name, rounds, .. } in &rows {
        let (rate, allowed) = (median(rounds, |f| f.rate), median(rounds, |f| f.allowed));
        let (p50, p99) = (median(rounds, |f| micros(f.p50)), median(rounds, |f| micros(f.p99)));
        let scripts = median(rounds, |f| f.scripts);
        println!("{name:<38} {rate:>9.0} {p50:>6.0} us {p99:>6.0} us {allowed:>9.0} {scripts:>13.4}");
    }
    Ok(())
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn median(rounds: &[Figures], figure: impl Fn(&Figures) -> f64) -> f64 {
    let mut figures: Vec<_> = rounds.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

async fn measure(row: &Row) -> Result<Figures, Box<dyn Error>> {
    let mut builder = LocalCluster::builder().nodes(1).store_timeout(DEADLINE);
    if let Some(node) = &row.node {
        builder = builder.node_binary(node);
    }
    let cluster = builder.start().await?;
    let store = Link::new(cluster.store_url())?;
    let mut callers = JoinSet::new();
    let started;
    if let Some(counting) = row.counting {
        let key = Key::new("k")?;
        let limit = Limit::new(row.limit, 60)?;
        let spec = LimitSpec { counting: Some(counting), ..LimitSpec::new(key.clone(), limit) };
        cluster.client(0, DEADLINE)?.set_limit(&spec).await?;
        let mut connections = Vec::new();
        for endpoint in cluster.endpoints().into_iter().cycle().take(CONNECTIONS) {
            let mut connection = NodeConnection::open(&endpoint, DEADLINE).await?;
            connection.warm(DEADLINE).await?;
            connections.push(connection);
        }
        started = Instant::now();
        for mut connection in connections {
            let request = CheckRequest::new(key.clone());
            callers.spawn(async move {
                let (mut allowed, mut took) = (0_u64, Vec::new());
                while started.elapsed() < TIME {
                    let asked = Instant::now();
                    allowed += u64::from(connection.check(&request, DEADLINE).await?.allowed);
                    took.push(asked.elapsed());
                }
                Ok::<_, Box<dyn Error + Send + Sync>>((allowed, took))
            });
        }
    } else {
        started = Instant::now();
        for caller in 0..CONNECTIONS {
            let (store, limit) = (Link::new(cluster.store_url())?, row.limit);
            callers.spawn(async move {
                let script = Script::new(BARE);
                let (mut allowed, mut took) = (0_u64, Vec::new());
                while started.elapsed() < TIME {
                    let asked = Instant::now();
                    let mut call = script.key("bare");
                    call.arg(limit).arg(format!("{caller}:{}", took.len()));
                    let run = async |mut connection| call.invoke_async::<u64>(&mut connection).await;
                    allowed += store.run(DEADLINE, run).await?;
                    took.push(asked.elapsed());
                }
                Ok::<_, Box<dyn Error + Send + Sync>>((allowed, took))
            });
        }
    }
    let (mut allowed, mut took) = (0, Vec::new());
    while let Some(caller) = callers.join_next().await {
        let (some, times) = caller?.map_err(|e| e.to_string())?;
        allowed += some;
        took.extend(times);
    }
    let rate = took.len() as f64 / started.elapsed().as_secs_f64();
    took.sort_unstable();
    let quantile = |percent: usize| took[(took.len() - 1) * percent / 100];
    let statistics: String = store.query(cmd("INFO").arg("commandstats"), DEADLINE).await?;
    let scripts = statistics
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_evalsha:calls=")?.split(',').next()?.parse::<f64>().ok());
    let (p50, p99) = (quantile(50), quantile(99));
    let scripts = scripts.unwrap_or(0.0) / took.len() as f64;
    Ok(Figures { rate, p50, p99, allowed: allowed as f64, scripts })
}
