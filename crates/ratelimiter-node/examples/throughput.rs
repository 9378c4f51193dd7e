//! How many checks a second one node answers over loopback, in each counting mode, and how many
//! scripts its store runs for them. With the node of an earlier build, both are measured in the
//! same run.
//!
//! ```sh
//! cargo run --release -p ratelimiter-node --example throughput -- [ROUNDS] [NODE OF AN EARLIER BUILD] [MODE]...
//! ```
//!
//! Client, node and store share the machine, so that the figures compare the modes with each other
//! and one build with the next, and say little about another machine. So the client does as little
//! as it can, and the processor time that a check takes of each of the three stands beside the
//! rate. Rounds alternate over all rows; a row shows its medians.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use ratelimiter_api::{CountingMode, Endpoint, Key, Limit, LimitSpec};
use ratelimiter_cluster::{ClusterPlan, LocalCluster};
use ratelimiter_store::Link;
use redis::{Script, cmd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
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
    /// Processor time of a check in store, node and client.
    spent: [Duration; 3],
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let rounds: usize = arguments.next().map_or(Ok(3), |n| n.parse())?;
    let earlier = arguments.next().map(PathBuf::from);
    let modes: Vec<String> = arguments.collect();
    let wanted =
        |mode: &&CountingMode| modes.is_empty() || modes.iter().any(|name| name == mode.as_str());
    let mut rows = Vec::new();
    for (path, limit) in [
        ("allowed", 1_000_000),
        ("limit 10000", 10_000),
        ("denied", 1),
    ] {
        let row = |name: String, node, counting| Row {
            name,
            node,
            counting,
            limit,
            rounds: Vec::new(),
        };
        for counting in CountingMode::ALL.iter().filter(wanted) {
            rows.push(row(format!("{counting}, {path}"), None, Some(*counting)));
            // An earlier build may lack a mode.
            if earlier.is_some() && *counting != CountingMode::Leased {
                rows.push(row(
                    format!("{counting}, {path}, earlier"),
                    earlier.clone(),
                    Some(*counting),
                ));
            }
        }
        rows.push(row(format!("bare script, {path}"), None, None));
    }
    println!(
        "{CONNECTIONS} connections, {} s each, one node, medians of {rounds}",
        TIME.as_secs()
    );
    for _ in 0..rounds {
        for row in &mut rows {
            let figures = measure(row).await?;
            row.rounds.push(figures);
        }
    }
    println!(
        "{:<38} {:>9} {:>9} {:>9} {:>9} {:>13}  processor time of a check, us",
        "counting, path", "checks/s", "p50", "p99", "allowed", "scripts/check"
    );
    for Row { name, rounds, .. } in &rows {
        let (rate, allowed) = (median(rounds, |f| f.rate), median(rounds, |f| f.allowed));
        let (p50, p99) = (
            median(rounds, |f| micros(f.p50)),
            median(rounds, |f| micros(f.p99)),
        );
        let scripts = median(rounds, |f| f.scripts);
        let [store, node, client] = [0, 1, 2].map(|who| median(rounds, |f| micros(f.spent[who])));
        println!(
            "{name:<38} {rate:>9.0} {p50:>6.0} us {p99:>6.0} us {allowed:>9.0} {scripts:>13.4}  \
             store {store:>4.1}, node {node:>4.1}, client {client:>4.1}"
        );
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
    let plan = ClusterPlan {
        store_timeout: DEADLINE,
        node_binary: row.node.clone(),
        ..ClusterPlan::nodes(1)
    };
    let cluster = plan.start().await?;
    let store = Link::new(cluster.store_url());
    let mut callers = JoinSet::new();
    let (started, before);
    if let Some(counting) = row.counting {
        let key = Key::new("k")?;
        let limit = Limit::new(row.limit, 60)?;
        let spec = LimitSpec {
            counting: Some(counting),
            ..LimitSpec::new(key.clone(), limit)
        };
        cluster.client(0, DEADLINE)?.set_limit(&spec).await?;
        let endpoint = cluster.endpoints().remove(0);
        let mut callers_of_node = Vec::new();
        for _ in 0..CONNECTIONS {
            callers_of_node.push(Caller::open(&endpoint).await?);
        }
        before = processor_times(&cluster);
        started = Instant::now();
        for mut caller in callers_of_node {
            callers.spawn(async move {
                let (mut allowed, mut took) = (0_u64, Vec::new());
                while started.elapsed() < TIME {
                    let asked = Instant::now();
                    allowed += u64::from(caller.check().await?);
                    took.push(asked.elapsed());
                }
                Ok::<_, Box<dyn Error + Send + Sync>>((allowed, took))
            });
        }
    } else {
        before = processor_times(&cluster);
        started = Instant::now();
        for caller in 0..CONNECTIONS {
            let (store, limit) = (Link::new(cluster.store_url()), row.limit);
            callers.spawn(async move {
                let script = Script::new(BARE);
                let (mut allowed, mut took) = (0_u64, Vec::new());
                while started.elapsed() < TIME {
                    let asked = Instant::now();
                    let mut call = script.key("bare");
                    call.arg(limit).arg(format!("{caller}:{}", took.len()));
                    let run =
                        async |mut connection| call.invoke_async::<u64>(&mut connection).await;
                    allowed += store.at("bare").run(DEADLINE, run).await?;
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
    let after = processor_times(&cluster);
    let spent = [0, 1, 2].map(|who| (after[who] - before[who]) / took.len().max(1) as u32);
    took.sort_unstable();
    let quantile = |percent: usize| took[(took.len() - 1) * percent / 100];
    let statistics: String = store
        .query(cmd("INFO").arg("commandstats"), DEADLINE)
        .await?;
    let scripts = statistics.lines().find_map(|line| {
        line.strip_prefix("cmdstat_evalsha:calls=")?
            .split(',')
            .next()?
            .parse::<f64>()
            .ok()
    });
    let (p50, p99) = (quantile(50), quantile(99));
    let scripts = scripts.unwrap_or(0.0) / took.len() as f64;
    Ok(Figures {
        rate,
        p50,
        p99,
        allowed: allowed as f64,
        scripts,
        spent,
    })
}

/// A connection that sends one check after the other.
struct Caller {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Caller {
    async fn open(endpoint: &Endpoint) -> io::Result<Self> {
        let stream = TcpStream::connect(endpoint.authority()).await?;
        stream.set_nodelay(true)?;
        let mut caller = Self {
            stream,
            answer: Vec::new(),
        };
        caller.check_of("absent").await?;
        Ok(caller)
    }

    /// Whether a check of the measured key is allowed.
    async fn check(&mut self) -> io::Result<bool> {
        self.check_of("k").await
    }

    async fn check_of(&mut self, key: &str) -> io::Result<bool> {
        let body = format!("{{\"key\":\"{key}\"}}");
        let length = body.len();
        let request = format!(
            "POST /check HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.answer.clear();
        // Every answer is one JSON object, which holds no other.
        while self.answer.last() != Some(&b'}') {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.answer.starts_with(b"HTTP/1.1 200"))
    }
}

/// Processor time so far of store, node and this process; zero where `/proc` does not have it.
fn processor_times(cluster: &LocalCluster) -> [Duration; 3] {
    let ids = cluster.process_ids();
    [ids[0], ids[1], std::process::id()].map(|process| {
        let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // After the name, which is in parentheses, `utime` and `stime` are the 12th and 13th field,
        // in hundredths of a second.
        let fields = status
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(11)
            .take(2);
        Duration::from_millis(
            fields
                .filter_map(|ticks| ticks.parse::<u64>().ok())
                .sum::<u64>()
                * 10,
        )
    })
}
