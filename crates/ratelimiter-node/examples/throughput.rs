//! Checks a second that nodes answer over loopback, in each counting mode, and the scripts that the
//! store runs for them. With the node of an earlier build, both are measured in the same run.
//!
//! ```sh
//! cargo run --release -p ratelimiter-node --example throughput -- \
//!     [ROUNDS] [NODE OF AN EARLIER BUILD] [MODE]...
//! ```
//!
//! `primaries` as a mode compares one store with three primaries: `atomic`, three nodes, 64 keys.
//!
//! Client, nodes and store share the machine: the figures compare the modes with each other and one
//! build with the next, and say little about another machine. So the client does as little as it
//! can, and the processor time that a check takes of each of the three stands beside the rate.
//! Rounds alternate over all rows; a row shows its medians.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use ratelimiter_api::{CountingMode, Endpoint, Key, Limit, LimitSpec};
use ratelimiter_chaos::setup_rate_limit;
use ratelimiter_cluster::{ClusterPlan, LocalCluster, StoreTopology};
use ratelimiter_store::Link;
use redis::{Script, cmd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

type Failure = Box<dyn Error + Send + Sync>;

const CONNECTIONS: usize = 32;
const TIME: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_secs(20);
const STORE_TIMEOUT: Duration = Duration::from_secs(5);
/// A window in a sorted set and nothing else: the floor of the modes that ask the store.
const BARE: &str = "local t = redis.call('TIME') local now = t[1] * 1000000 + t[2] \
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 60000000) \
    if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end \
    redis.call('ZADD', KEYS[1], now, ARGV[2]) return 1";

/// One line of the table.
#[derive(Clone)]
struct Row {
    name: String,
    /// The node of an earlier build.
    earlier: Option<PathBuf>,
    /// `None` calls the bare script.
    counting: Option<CountingMode>,
    limit: i64,
    topology: StoreTopology,
    nodes: usize,
    keys: usize,
    rounds: Vec<Figures>,
}

/// One round of one row.
#[derive(Clone)]
struct Figures {
    rate: f64,
    p50: Duration,
    p99: Duration,
    allowed: f64,
    /// Scripts that the store ran for each check.
    scripts: f64,
    /// Processor time of a check in store, nodes and client.
    times: [Duration; 3],
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let (mut rounds, mut earlier, mut modes) = (3, None, Vec::new());
    for argument in std::env::args().skip(1) {
        if let Ok(number) = argument.parse::<usize>() {
            rounds = number;
        } else if argument.contains('/') {
            earlier = Some(PathBuf::from(argument));
        } else {
            modes.push(argument);
        }
    }
    let mut rows = rows(earlier.as_ref(), &modes);
    println!(
        "{CONNECTIONS} connections, {} s each, medians of {rounds}",
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
        let p50 = median(rounds, |f| micros(f.p50));
        let p99 = median(rounds, |f| micros(f.p99));
        let scripts = median(rounds, |f| f.scripts);
        let [store, nodes, client] = [0, 1, 2].map(|i| median(rounds, |f| micros(f.times[i])));
        println!(
            "{name:<38} {rate:>9.0} {p50:>6.0} us {p99:>6.0} us {allowed:>9.0} {scripts:>13.4}  \
             store {store:>4.1}, node {nodes:>4.1}, client {client:>4.1}"
        );
    }
    Ok(())
}

/// The table's rows: of these modes, or of all counting modes.
fn rows(earlier: Option<&PathBuf>, modes: &[String]) -> Vec<Row> {
    let bare = Row {
        name: String::new(),
        earlier: None,
        counting: None,
        limit: 1_000_000,
        topology: StoreTopology::Single,
        nodes: 1,
        keys: 1,
        rounds: Vec::new(),
    };
    let is_chosen = |mode: &str| modes.iter().any(|name| name == mode);
    let mut rows = Vec::new();
    if is_chosen("primaries") {
        for (name, topology) in [
            ("one store", StoreTopology::Single),
            (
                "three primaries",
                StoreTopology::Cluster { replicas: false },
            ),
        ] {
            rows.push(Row {
                name: format!("atomic, 64 keys, {name}"),
                counting: Some(CountingMode::Atomic),
                topology,
                nodes: 3,
                keys: 64,
                ..bare.clone()
            });
        }
        if modes.len() == 1 {
            return rows;
        }
    }
    for (path, limit) in [
        ("allowed", 1_000_000),
        ("limit 10000", 10_000),
        ("denied", 1),
    ] {
        for counting in CountingMode::ALL {
            if !modes.is_empty() && !is_chosen(counting.as_str()) {
                continue;
            }
            let row = Row {
                name: format!("{counting}, {path}"),
                counting: Some(counting),
                limit,
                ..bare.clone()
            };
            rows.push(row.clone());
            // An earlier build may lack a mode.
            if earlier.is_some() && counting != CountingMode::Leased {
                rows.push(Row {
                    name: format!("{}, earlier", row.name),
                    earlier: earlier.cloned(),
                    ..row
                });
            }
        }
        rows.push(Row {
            name: format!("bare script, {path}"),
            limit,
            ..bare.clone()
        });
    }
    rows
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn median(rounds: &[Figures], figure: impl Fn(&Figures) -> f64) -> f64 {
    let mut figures: Vec<_> = rounds.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

async fn measure(row: &Row) -> Result<Figures, Failure> {
    let plan = ClusterPlan {
        topology: row.topology,
        store_timeout: STORE_TIMEOUT,
        deadline: DEADLINE,
        node_binary: row.earlier.clone(),
        ..ClusterPlan::nodes(row.nodes)
    };
    let cluster = plan.start().await?;
    let mut callers = Vec::new();
    if let Some(counting) = row.counting {
        set_limits(&cluster, row, counting).await?;
        for (i, endpoint) in cluster
            .endpoints()
            .iter()
            .cycle()
            .take(CONNECTIONS)
            .enumerate()
        {
            callers.push(Caller::Node(NodeCaller::open(endpoint, i, row.keys).await?));
        }
    } else {
        for i in 0..CONNECTIONS {
            callers.push(Caller::Store(Box::new(StoreCaller {
                store: Link::new(cluster.store_url()),
                script: Script::new(BARE),
                limit: row.limit,
                caller: i,
            })));
        }
    }
    let before = processor_times(&cluster);
    let started = Instant::now();
    let mut flights = JoinSet::new();
    for mut caller in callers {
        flights.spawn(async move {
            let (mut allowed, mut times) = (0_u64, Vec::new());
            while started.elapsed() < TIME {
                let sent = Instant::now();
                allowed += u64::from(caller.check(times.len()).await?);
                times.push(sent.elapsed());
            }
            Ok::<_, Failure>((allowed, times))
        });
    }
    let (mut allowed, mut times) = (0, Vec::new());
    while let Some(flight) = flights.join_next().await {
        let (some, some_times) = flight??;
        allowed += some;
        times.extend(some_times);
    }
    let checks = times.len();
    let rate = checks as f64 / started.elapsed().as_secs_f64();
    let after = processor_times(&cluster);
    times.sort_unstable();
    let quantile = |percent: usize| times[(checks - 1) * percent / 100];
    Ok(Figures {
        rate,
        p50: quantile(50),
        p99: quantile(99),
        allowed: allowed as f64,
        scripts: scripts(&cluster).await? / checks as f64,
        times: [0, 1, 2].map(|i| (after[i] - before[i]) / checks as u32),
    })
}

async fn set_limits(
    cluster: &LocalCluster,
    row: &Row,
    counting: CountingMode,
) -> Result<(), Failure> {
    let mut clients = Vec::new();
    for node in 0..row.nodes {
        clients.push(cluster.client(node, DEADLINE)?);
    }
    for n in 0..row.keys {
        let spec = LimitSpec {
            counting: Some(counting),
            ..LimitSpec::new(Key::new(format!("k{n}"))?, Limit::new(row.limit, 60)?)
        };
        setup_rate_limit(&clients, &spec).await?;
    }
    Ok(())
}

/// Scripts that all stores ran so far.
async fn scripts(cluster: &LocalCluster) -> Result<f64, Failure> {
    let mut scripts = 0.0;
    for member in 0..cluster.members() {
        let statistics: String = Link::new(cluster.member_url(member)?)
            .query(cmd("INFO").arg("commandstats"), DEADLINE)
            .await?;
        let calls = statistics.lines().find_map(|line| {
            let calls = line.strip_prefix("cmdstat_evalsha:calls=")?;
            calls.split(',').next()?.parse::<f64>().ok()
        });
        scripts += calls.unwrap_or(0.0);
    }
    Ok(scripts)
}

/// Sends one check after the other.
enum Caller {
    Node(NodeCaller),
    Store(Box<StoreCaller>),
}

impl Caller {
    /// Whether the `n`th check is allowed.
    async fn check(&mut self, n: usize) -> Result<bool, Failure> {
        match self {
            Self::Node(caller) => Ok(caller.check(n).await?),
            Self::Store(caller) => caller.check(n).await,
        }
    }
}

/// A caller of the bare script.
struct StoreCaller {
    store: Link,
    script: Script,
    limit: i64,
    caller: usize,
}

impl StoreCaller {
    async fn check(&self, n: usize) -> Result<bool, Failure> {
        let mut call = self.script.key("bare");
        call.arg(self.limit).arg(format!("{}:{n}", self.caller));
        let run = async |mut connection| call.invoke_async::<u64>(&mut connection).await;
        Ok(self.store.at("bare").run(DEADLINE, run).await? == 1)
    }
}

/// A caller of a node.
struct NodeCaller {
    stream: TcpStream,
    answer: Vec<u8>,
    /// The first key, then every seventh, so that callers spread over the keys.
    first: usize,
    keys: usize,
}

impl NodeCaller {
    async fn open(endpoint: &Endpoint, first: usize, keys: usize) -> io::Result<Self> {
        let stream = TcpStream::connect(endpoint.authority()).await?;
        stream.set_nodelay(true)?;
        let mut caller = Self {
            stream,
            answer: Vec::new(),
            first,
            keys,
        };
        caller.check_of("absent").await?;
        Ok(caller)
    }

    async fn check(&mut self, n: usize) -> io::Result<bool> {
        self.check_of(&format!("k{}", (self.first + 7 * n) % self.keys))
            .await
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

/// Processor time so far of stores, nodes and this process; zero where `/proc` does not have it.
fn processor_times(cluster: &LocalCluster) -> [Duration; 3] {
    let ids = cluster.process_ids();
    let (stores, nodes) = ids.split_at(cluster.members());
    [stores, nodes, &[std::process::id()]].map(|ids| ids.iter().map(|id| processor_time(*id)).sum())
}

fn processor_time(process: u32) -> Duration {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // After the name, which is in parentheses, `utime` and `stime` are the 12th and 13th field, in
    // hundredths of a second.
    let fields = status.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
