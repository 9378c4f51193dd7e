//! A node under mixed load for a long time: memory, open files and tasks must not grow after the
//! first minute.
//!
//! ```sh
//! cargo run --release -p ratelimiter-node --example soak             # ten minutes
//! cargo run --release -p ratelimiter-node --example soak -- 2m       # at least 90 s
//! ```
//!
//! The load is checks in every counting mode, on kept connections and on new ones, unknown keys,
//! wrong requests, lists and metrics, limits set, reset and deleted, and a store that closes
//! connections and pauses now and then. Ends with an error when the mean of the last quarter is
//! above the mean of the quarter after the first minute by more than a tenth (memory: and 2 MB;
//! files and tasks: and 5).
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot set up its subject has failed"
)]

use std::process::ExitCode;
use std::time::Duration;

use ratelimiter_api::{CheckRequest, CountingMode, Endpoint, Key, Limit, LimitSpec, NodeClient};
use ratelimiter_cluster::ClusterPlan;
use ratelimiter_store::Link;
use redis::cmd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};

const WARM_UP: Duration = Duration::from_secs(60);
const DEADLINE: Duration = Duration::from_secs(10);
/// Pause of each caller between two requests.
const PACE: Duration = Duration::from_millis(4);

/// One look at the node.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    resident: f64,
    files: f64,
    tasks: f64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let time = std::env::args()
        .nth(1)
        .map_or(Duration::from_secs(600), |t| {
            humantime::parse_duration(&t).unwrap()
        });
    assert!(
        time >= WARM_UP * 3 / 2,
        "at least 90 s: the first minute is not judged"
    );
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let (client, endpoint) = (
        cluster.client(0, DEADLINE).unwrap(),
        cluster.endpoints().remove(0),
    );
    for mode in CountingMode::ALL {
        client.set_limit(&spec(mode.as_str(), mode)).await.unwrap();
    }
    let mut load = JoinSet::new();
    for mode in CountingMode::ALL {
        load.spawn(check(client.clone(), Key::new(mode.as_str()).unwrap()));
    }
    load.spawn(manage(client.clone()));
    load.spawn(odd_requests(endpoint.clone()));
    load.spawn(disturb(Link::new(cluster.store_url())));

    let (started, process) = (Instant::now(), cluster.process_ids()[1]);
    let (mut samples, mut ticks) = (Vec::new(), interval(Duration::from_secs(1)));
    println!(
        "{:>6} {:>12} {:>7} {:>7}",
        "s", "resident MB", "files", "tasks"
    );
    while started.elapsed() < time {
        ticks.tick().await;
        let Some(sample) = look(&endpoint, process).await else {
            continue;
        };
        if samples.len() % 30 == 0 {
            let Sample {
                resident,
                files,
                tasks,
            } = sample;
            println!(
                "{:>6} {:>12.1} {files:>7} {tasks:>7}",
                started.elapsed().as_secs(),
                resident / 1e6
            );
        }
        samples.push((started.elapsed(), sample));
    }
    let judged: Vec<_> = samples
        .into_iter()
        .filter(|(at, _)| *at > WARM_UP)
        .map(|(_, s)| s)
        .collect();
    let quarter = judged.len().div_ceil(4);
    let (first, last) = (&judged[..quarter], &judged[judged.len() - quarter..]);
    let mut grew = false;
    for (name, of, slack) in [
        (
            "resident bytes",
            (|s| s.resident) as fn(&Sample) -> f64,
            2e6,
        ),
        ("open files", |s| s.files, 5.0),
        ("tasks", |s| s.tasks, 5.0),
    ] {
        let mean = |samples: &[Sample]| samples.iter().map(of).sum::<f64>() / samples.len() as f64;
        let (before, after) = (mean(first), mean(last));
        let more = after > before * 1.1 + slack;
        println!(
            "{name}: {before:.0} after the first minute, {after:.0} at the end{}",
            if more { ": GREW" } else { "" }
        );
        grew |= more;
    }
    if grew {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn spec(key: &str, mode: CountingMode) -> LimitSpec {
    LimitSpec {
        counting: Some(mode),
        ..LimitSpec::new(Key::new(key).unwrap(), Limit::new(500, 2).unwrap())
    }
}

async fn check(client: NodeClient, key: Key) {
    let request = CheckRequest::new(key);
    loop {
        // A failure is part of the load: the store is disturbed on purpose.
        let _ = client.check(&request).await;
        sleep(PACE).await;
    }
}

/// Limits come and go, unknown keys are asked for, and everything is listed.
async fn manage(client: NodeClient) {
    for round in 0_u64.. {
        let name = format!("passing-{}", round % 50);
        let key = Key::new(&name).unwrap();
        let _ = client.set_limit(&spec(&name, CountingMode::Atomic)).await;
        let _ = client.check(&CheckRequest::new(key.clone())).await;
        let _ = client
            .check(&CheckRequest::new(
                Key::new(format!("unknown-{round}")).unwrap(),
            ))
            .await;
        let _ = client.reset_counter(&key).await;
        let _ = client.counters(None).await;
        let _ = client.delete_limit(&key).await;
        sleep(10 * PACE).await;
    }
}

/// New connections with wrong, cut and silent requests.
async fn odd_requests(endpoint: Endpoint) {
    for round in 0_u64.. {
        let Ok(mut stream) = TcpStream::connect(endpoint.authority()).await else {
            continue;
        };
        let request: &[u8] = match round % 4 {
            0 => {
                b"POST /check HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: \
                    2\r\n\r\n{}"
            }
            1 => b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
            2 => b"\x16\x03\x01 no HTTP\r\n\r\n",
            _ => b"POST /check HTTP/1.1\r\nhost: loc",
        };
        let _ = stream.write_all(request).await;
        if round % 4 < 3 {
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        sleep(PACE).await;
    }
}

/// The store closes connections every second and pauses writes every ten.
async fn disturb(store: Link) {
    for round in 1_u64.. {
        sleep(Duration::from_secs(1)).await;
        let mut command = cmd("CLIENT");
        match round % 10 {
            0 => command.arg("PAUSE").arg(1500).arg("WRITE"),
            _ => command
                .arg("KILL")
                .arg("TYPE")
                .arg("normal")
                .arg("SKIPME")
                .arg("yes"),
        };
        let _ = store.query::<redis::Value>(&command, DEADLINE).await;
    }
}

async fn look(endpoint: &Endpoint, process: u32) -> Option<Sample> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = kilobytes.trim().trim_end_matches(" kB").parse().ok()?;
    let files = std::fs::read_dir(format!("/proc/{process}/fd"))
        .ok()?
        .count() as f64;
    let tasks = metric(endpoint, "ratelimiter_tasks ").await?;
    Some(Sample {
        resident: kilobytes * 1024.0,
        files,
        tasks,
    })
}

/// A metric of the node, by the start of its line.
async fn metric(endpoint: &Endpoint, start: &str) -> Option<f64> {
    let mut stream = TcpStream::connect(endpoint.authority()).await.ok()?;
    let request = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    answer
        .lines()
        .find_map(|line| line.strip_prefix(start))?
        .trim()
        .parse()
        .ok()
}
