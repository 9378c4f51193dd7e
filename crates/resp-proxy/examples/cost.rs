//! The cost of the proxy: `redis-benchmark` to a store directly and through the proxy, in turns, at
//! one and at sixteen commands a pipeline.
//!
//! `cargo run --release -p resp-proxy --example cost` needs `redis-benchmark` on `PATH`. The store,
//! the proxy and the benchmark share the machine's cores, so that the figures of a loaded or small
//! machine are an upper bound.

#[path = "../tests/support/proxy.rs"]
mod proxy;
#[path = "../tests/support/store.rs"]
mod store;

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use crate::proxy::proxy_to;
use crate::store::Store;

type Failure = Box<dyn Error + Send + Sync>;

/// Commands of one measurement.
const COMMANDS: u64 = 300_000;
const ROUNDS: usize = 3;

/// One line of the table.
struct Measurement {
    rate: f64,
    p50: f64,
    p99: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let store = Store::start();
    let address = store.address;
    let proxy = proxy_to(store.url().parse()?).await;
    println!(
        "pipeline  clients  way      commands/s   p50 us   p99 us   CPU of the proxy, us a command"
    );
    for (pipeline, clients) in [(1, 1), (1, 2), (1, 8), (16, 1), (16, 8)] {
        let mut added = Vec::new();
        for _ in 0..ROUNDS {
            let direct = benchmark(address, pipeline, clients).await?;
            let before = cpu()?;
            let through = benchmark(proxy.address(), pipeline, clients).await?;
            let used = (cpu()? - before).as_secs_f64() * 1e6 / COMMANDS as f64;
            print(pipeline, clients, "direct", &direct, "");
            print(
                pipeline,
                clients,
                "through",
                &through,
                &format!("{used:>8.2}"),
            );
            added.push(through.p99 - direct.p99);
        }
        added.sort_by(f64::total_cmp);
        println!(
            "{pipeline:>8}  {clients:>7}  added p99, median of {ROUNDS}: {:.0} us",
            added[ROUNDS / 2]
        );
    }
    println!("{}", proxy.counters());
    Ok(())
}

fn print(pipeline: u32, clients: u32, way: &str, measured: &Measurement, cpu: &str) {
    let Measurement { rate, p50, p99 } = measured;
    println!("{pipeline:>8}  {clients:>7}  {way:<7}  {rate:>10.0}  {p50:>7.0}  {p99:>7.0}  {cpu}");
}

async fn benchmark(
    address: SocketAddr,
    pipeline: u32,
    clients: u32,
) -> Result<Measurement, Failure> {
    let output = tokio::process::Command::new("redis-benchmark")
        .args([
            "-h",
            &address.ip().to_string(),
            "-p",
            &address.port().to_string(),
        ])
        .args([
            "-t",
            "set",
            "-d",
            "32",
            "--csv",
            "-n",
            &COMMANDS.to_string(),
        ])
        .args(["-P", &pipeline.to_string(), "-c", &clients.to_string()])
        .output()
        .await?;
    let text = String::from_utf8_lossy(&output.stdout);
    // "test","rps","avg","min","p50","p95","p99","max", milliseconds.
    let line = text
        .lines()
        .find(|line| line.starts_with("\"SET\""))
        .ok_or("redis-benchmark printed no result")?;
    let figures: Vec<f64> = line
        .split(',')
        .skip(1)
        .map(|f| f.trim_matches('"').parse())
        .collect::<Result<_, _>>()?;
    match figures.as_slice() {
        [rate, _, _, p50, _, p99, ..] => Ok(Measurement {
            rate: *rate,
            p50: p50 * 1e3,
            p99: p99 * 1e3,
        }),
        _ => Err(format!("redis-benchmark printed {line}").into()),
    }
}

/// Processor time of this process, which is the proxy's.
fn cpu() -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .ok_or("no such field")?
        .1
        .split_whitespace()
        .collect();
    // Fields 14 and 15 of the file: user and system time in ticks of 10 ms.
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|f| f.parse::<u64>().ok())
            .ok_or("no such field")
    };
    Ok(Duration::from_millis(10 * (ticks(11)? + ticks(12)?)))
}
