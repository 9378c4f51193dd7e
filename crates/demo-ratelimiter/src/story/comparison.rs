use std::collections::BTreeMap;
use std::time::Duration;

use demo_core::{Event, Stage, Table, TableRow};
use ratelimiter_api::{CheckRequest, CountingMode, Key, Limit, LimitSpec, NodeClient};
use ratelimiter_chaos::setup_rate_limit;
use ratelimiter_store::Link;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cluster::DemoCluster;

pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Begins the name of every compared key.
const PREFIX: &str = "compare-";
/// Checks of each mode for its speed: a fixed number, since the nodes may be anyone's.
const CHECKS: usize = 2000;
/// Connections that send them, one check at a time each.
const CONNECTIONS: usize = 6;
/// Limit of the key that they check: far from exhausted.
const AMPLE: i64 = 10_000;
/// Deadline of one check, and of one question to the store.
const DEADLINE: Duration = Duration::from_secs(5);

/// The measurements of one counting mode.
struct ModeResult {
    mode: CountingMode,
    /// Checks of the burst that were allowed, and all of them.
    allowed: u64,
    sent: u64,
    price: ModePrice,
}

/// The price of a counting mode, below the limit.
pub(super) struct ModePrice {
    /// Checks a second.
    rate: f64,
    p99: Duration,
    /// Commands that the store ran for each of these checks; none where it does not tell.
    commands: Option<f64>,
}

impl ModePrice {
    /// The price in the columns of a table: p99 in ms, and commands a check.
    pub(super) fn cells(&self) -> [String; 2] {
        let commands = self.commands.map(|commands| format!("{commands:.2}"));
        [ms(self.p99), commands.unwrap_or_else(|| "unknown".into())]
    }
}

/// Milliseconds, for a table.
pub(super) fn ms(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

/// Whether a key belongs to the comparison, which reports by itself what happens to it.
pub(super) fn compares(key: &Key) -> bool {
    key.as_str().starts_with(PREFIX)
}

/// Sends the burst of the story, and as many calm checks, to a key of each counting mode, and shows
/// the modes in one table.
pub(super) async fn compare(
    stage: &Stage,
    cluster: &DemoCluster,
) -> Result<BTreeMap<CountingMode, ModePrice>, Failure> {
    let mut rows = Vec::new();
    for mode in CountingMode::ALL {
        stage.status(format!("comparing the counting modes: {mode}"), None);
        let row = tokio::select! {
            biased;
            () = stage.cancelled() => None,
            row = measure(cluster, mode) => Some(row),
        };
        // The keys are gone afterwards, whatever became of the measurement.
        for key in keys(mode) {
            let _ = cluster.nodes[0].delete_limit(&key).await;
        }
        let Some(row) = row else {
            return Ok(BTreeMap::new());
        };
        rows.push(row?);
    }
    stage.clear_status();
    stage.emit(Event::Table(table(&rows, cluster.limit)));
    Ok(rows.into_iter().map(|row| (row.mode, row.price)).collect())
}

/// The key of the burst, and the key of the calm checks.
fn keys(mode: CountingMode) -> [Key; 2] {
    ["burst", "calm"].map(|part| {
        Key::new(format!("{PREFIX}{part}-{mode}")).expect("letters and dashes make a key")
    })
}

async fn measure(cluster: &DemoCluster, mode: CountingMode) -> Result<ModeResult, Failure> {
    let [key, calm] = keys(mode);
    set(cluster, &key, cluster.limit, mode).await?;
    let tally = cluster.burst(&key)?.fire().await?.tally;
    Ok(ModeResult {
        mode,
        allowed: tally.allowed,
        sent: tally.sent(),
        price: price(cluster, mode, calm).await?,
    })
}

async fn set(
    cluster: &DemoCluster,
    key: &Key,
    limit: Limit,
    mode: CountingMode,
) -> Result<(), Failure> {
    let spec = LimitSpec {
        counting: Some(mode),
        ..LimitSpec::new(key.clone(), limit)
    };
    setup_rate_limit(&cluster.nodes, &spec).await?;
    Ok(())
}

/// Sends calm checks to a key of a counting mode.
async fn price(cluster: &DemoCluster, mode: CountingMode, key: Key) -> Result<ModePrice, Failure> {
    set(cluster, &key, Limit::new(AMPLE, 60)?, mode).await?;
    let store = Link::new(cluster.store.clone());
    let (before, started) = (commands(&store).await, Instant::now());
    let mut callers = JoinSet::new();
    for endpoint in cluster.endpoints.iter().cycle().take(CONNECTIONS) {
        let (endpoint, request) = (endpoint.clone(), CheckRequest::new(key.clone()));
        callers.spawn(async move {
            let node = NodeClient::new(endpoint, DEADLINE);
            let mut took = Vec::new();
            for _ in 0..CHECKS / CONNECTIONS {
                let asked = Instant::now();
                node.check(&request).await?;
                took.push(asked.elapsed());
            }
            Ok::<_, Failure>(took)
        });
    }
    let mut took = Vec::new();
    while let Some(caller) = callers.join_next().await {
        took.extend(caller??);
    }
    let rate = took.len() as f64 / started.elapsed().as_secs_f64();
    let commands = before
        .zip(commands(&store).await)
        .map(|(before, after)| (after - before) / took.len() as f64);
    took.sort_unstable();
    let p99 = took[(took.len() - 1) * 99 / 100];
    Ok(ModePrice {
        rate,
        p99,
        commands,
    })
}

/// Commands that the store ran so far.
async fn commands(store: &Link) -> Option<f64> {
    let statistics: String = store
        .query(redis::cmd("INFO").arg("stats"), DEADLINE)
        .await
        .ok()?;
    let line = statistics
        .lines()
        .find_map(|line| line.strip_prefix("total_commands_processed:"))?;
    line.trim().parse().ok()
}

fn table(rows: &[ModeResult], limit: Limit) -> Table {
    let sent = rows.first().map_or(0, |row| row.sent);
    let row = |row: &ModeResult| {
        let over = row.allowed.saturating_sub(limit.admissions().into());
        let [p99, commands] = row.price.cells();
        TableRow {
            cells: vec![
                row.mode.to_string(),
                row.allowed.to_string(),
                over.to_string(),
                p99,
                commands,
                format!("{:.0}", row.price.rate),
            ],
            bar: [row.allowed - over, over],
        }
    };
    Table {
        title: format!("{sent} checks at once, limit {limit}; then {CHECKS} calm checks"),
        headings: [
            "counting",
            "allowed",
            "too many",
            "p99 ms",
            "commands/check",
            "checks/s",
        ]
        .map(String::from)
        .to_vec(),
        rows: rows.iter().map(row).collect(),
    }
}
