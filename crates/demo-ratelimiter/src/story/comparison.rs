use std::time::Duration;

use demo_core::{Stage, Tone};
use ratelimiter_api::{CheckRequest, CountingMode, Key, Limit, LimitSpec, NodeClient};
use ratelimiter_chaos::{Burst, setup_rate_limit};
use ratelimiter_store::Link;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cluster::DemoCluster;

type Failure = Box<dyn std::error::Error + Send + Sync>;

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
    /// Checks a second, below the limit.
    rate: f64,
    p99: Duration,
    /// Commands that the store ran for each of these checks; none where it does not tell.
    commands: Option<f64>,
}

/// Whether a key belongs to the comparison, which reports by itself what happens to it.
pub(super) fn compares(key: &Key) -> bool {
    key.as_str().starts_with(PREFIX)
}

/// Sends the burst of the story, and as many calm checks, to a key of each counting mode, and shows
/// the modes in one table.
pub(super) async fn compare(stage: &Stage, cluster: &DemoCluster) -> Result<(), Failure> {
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
        let Some(row) = row else { return Ok(()) };
        rows.push(row?);
    }
    stage.clear_status();
    for ModeResult {
        mode,
        allowed,
        sent,
        rate,
        ..
    } in &rows
    {
        let detail = format!(
            "of {sent}, limit {}; {rate:.0} checks/s",
            cluster.limit.admissions()
        );
        stage.measured(
            format!("burst allowed with {mode}"),
            *allowed as f64,
            "requests",
            detail,
        );
    }
    stage.say(Tone::Plain, table(&rows, cluster.limit));
    Ok(())
}

/// The key of the burst, and the key of the calm checks.
fn keys(mode: CountingMode) -> [Key; 2] {
    ["burst", "calm"].map(|part| {
        Key::new(format!("{PREFIX}{part}-{mode}")).expect("letters and dashes make a key")
    })
}

async fn measure(cluster: &DemoCluster, mode: CountingMode) -> Result<ModeResult, Failure> {
    let [burst, calm] = keys(mode);
    let ample = Limit::new(AMPLE, 60)?;
    for (key, limit) in [(&burst, cluster.limit), (&calm, ample)] {
        let spec = LimitSpec {
            counting: Some(mode),
            ..LimitSpec::new(key.clone(), limit)
        };
        setup_rate_limit(&cluster.nodes, &spec).await?;
    }
    let burst = Burst::new(
        cluster.endpoints.clone(),
        burst,
        cluster.limit,
        cluster.multiplier,
        cluster.scope,
    )?;
    let tally = burst.fire().await?.tally;

    let store = Link::new(cluster.store.clone());
    let (before, started) = (commands(&store).await, Instant::now());
    let mut callers = JoinSet::new();
    for endpoint in cluster.endpoints.iter().cycle().take(CONNECTIONS) {
        let (endpoint, request) = (endpoint.clone(), CheckRequest::new(calm.clone()));
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
    Ok(ModeResult {
        mode,
        allowed: tally.allowed,
        sent: tally.sent(),
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

fn table(rows: &[ModeResult], limit: Limit) -> String {
    let sent = rows.first().map_or(0, |row| row.sent);
    let mut lines = vec![
        format!(
            "the same burst in every counting mode: {sent} checks at once, limit {limit}; then \
             {CHECKS} calm checks"
        ),
        format!(
            "{:<16} {:>7} {:>9} {:>9} {:>8} {:>15}",
            "counting", "allowed", "too many", "checks/s", "p99 ms", "store commands"
        ),
    ];
    for ModeResult {
        mode,
        allowed,
        rate,
        p99,
        commands,
        ..
    } in rows
    {
        let over = allowed.saturating_sub(limit.admissions().into());
        let commands = commands.map_or("unknown".into(), |commands| {
            format!("{commands:.2} a check")
        });
        let (mode, p99) = (mode.as_str(), p99.as_secs_f64() * 1e3);
        lines.push(format!(
            "{mode:<16} {allowed:>7} {over:>9} {rate:>9.0} {p99:>8.1} {commands:>15}"
        ));
    }
    lines.join("\n")
}
