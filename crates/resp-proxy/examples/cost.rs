//! The cost of the proxy beside a bare relay that copies bytes: processor time a command, and
//! memory of idle connections.
//!
//! `cargo run --release -p resp-proxy --example cost [PROGRAM]` needs Linux, `redis-benchmark` on
//! `PATH` and some 12,000 open files. PROGRAM is another build of resp-proxy, measured in the same
//! run. All ways are taken in turns, five times, and the medians are printed. Rates depend on the
//! load of the machine; processor time hardly does.

#[path = "../tests/support/store.rs"]
mod store;

use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use resp_proxy::RespProxy;
use tokio::net::TcpListener;

use crate::store::Store;

type Failure = Box<dyn Error + Send + Sync>;

const ROUNDS: usize = 5;
const CLIENTS: &str = "50";
/// Commands a pipeline, and of one measurement.
const PIPELINES: [(u32, u64); 3] = [(1, 100_000), (16, 800_000), (64, 1_600_000)];
const IDLE: usize = 5000;
/// A rule that looks at every command and fits none.
const NEVER: &str = "class=write prefix=never: do=hold";

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["relay", store] => serve(relay(store.parse()?)),
        ["proxy", store, ref rules @ ..] => serve(proxy(store, rules)),
        [] => measure(None),
        [program] => measure(Some(program)),
        _ => Err("usage: cost [PROGRAM]".into()),
    }
}

/// One thread, as the program has.
fn serve(serving: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serving)
}

async fn proxy(store: &str, rules: &[&str]) -> Result<(), Failure> {
    let listening = RespProxy::builder(format!("redis://{store}").parse()?);
    let proxy = listening.listen((Ipv4Addr::LOCALHOST, 0).into()).await?;
    let mut guards = Vec::new();
    for rule in rules {
        guards.push(proxy.inject(rule.parse()?));
    }
    println!("{}", proxy.address());
    std::future::pending().await
}

/// The least that anything between client and store does.
async fn relay(store: SocketAddr) -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (mut client, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut store = tokio::net::TcpStream::connect(store).await?;
            client.set_nodelay(true)?;
            store.set_nodelay(true)?;
            tokio::io::copy_bidirectional(&mut client, &mut store).await
        });
    }
}

/// A way to the store, by a process between unless it is direct.
struct Way {
    name: String,
    process: Option<Child>,
    address: SocketAddr,
}

impl Way {
    fn direct(store: &Store) -> Self {
        Self {
            name: "direct".to_owned(),
            process: None,
            address: store.address,
        }
    }

    /// This program itself, with these arguments, or another.
    fn by(name: &str, command: &mut Command) -> Result<Self, Failure> {
        let mut process = command.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let output = process.stdout.as_mut().ok_or("no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let address = line.split_whitespace().next().ok_or("no address")?;
        Ok(Self {
            name: name.to_owned(),
            address: address.parse()?,
            process: Some(process),
        })
    }

    /// Processor time of the process so far.
    fn cpu(&self) -> Result<Duration, Failure> {
        let Some(process) = &self.process else {
            return Ok(Duration::ZERO);
        };
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id()))?;
        let (_, fields) = stat.rsplit_once(')').ok_or("no such field")?;
        // Fields 14 and 15 of the file: user and system time in ticks of 10 ms.
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: Vec<u64> = ticks.map(str::parse).collect::<Result<_, _>>()?;
        Ok(Duration::from_millis(10 * ticks.iter().sum::<u64>()))
    }

    /// Resident memory of the process, bytes.
    fn resident(&self) -> Result<u64, Failure> {
        let process = self.process.as_ref().ok_or("no process")?;
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", process.id()))?;
        let pages: u64 = statm.split_whitespace().nth(1).ok_or("no field")?.parse()?;
        Ok(pages * 4096)
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn ways(store: &Store, other: Option<&str>) -> Result<Vec<Way>, Failure> {
    let own = std::env::current_exe()?;
    let this = |arguments: &[&str]| {
        let mut command = Command::new(&own);
        command.args(arguments);
        command
    };
    let address = store.address.to_string();
    let mut ways = vec![
        Way::direct(store),
        Way::by("bare relay", &mut this(&["relay", &address]))?,
        Way::by("no rule", &mut this(&["proxy", &address]))?,
        Way::by(
            "rule that never fits",
            &mut this(&["proxy", &address, NEVER]),
        )?,
    ];
    if let Some(other) = other {
        let mut command = Command::new(other);
        command.args(["--listen", "127.0.0.1:0", "--store", &store.url()]);
        ways.push(Way::by("other program", &mut command)?);
    }
    Ok(ways)
}

fn measure(other: Option<&str>) -> Result<(), Failure> {
    let store = Store::start();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{CLIENTS} connections, medians of {ROUNDS}, load before: {load}");
    println!(
        "pipeline  way                    commands/s   p99 us   CPU us a command   of the relay"
    );
    let ways_taken = ways(&store, other)?;
    for (pipeline, commands) in PIPELINES {
        let mut figures = vec![Vec::new(); ways_taken.len()];
        for _ in 0..ROUNDS {
            for (way, figures) in ways_taken.iter().zip(&mut figures) {
                let before = way.cpu()?;
                let (rate, p99) = benchmark(way.address, pipeline, commands)?;
                let used = (way.cpu()? - before).as_secs_f64() * 1e6 / commands as f64;
                figures.push([rate, p99, used]);
            }
        }
        let relay = median(&figures[1], 2);
        for (way, figures) in ways_taken.iter().zip(&figures) {
            let [rate, p99, used] = [0, 1, 2].map(|at| median(figures, at));
            println!(
                "{pipeline:>8}  {:<21}  {rate:>10.0}  {p99:>7.0}  {used:>17.2}  {:>12.2}",
                way.name,
                used / relay
            );
        }
    }
    drop(ways_taken);
    println!("\nmemory of {IDLE} idle connections, each after one PING");
    for way in ways(&store, other)?.iter().skip(1) {
        let before = way.resident()?;
        let clients = idle(way.address)?;
        let grown = way.resident()? - before;
        println!(
            "{:<21}  {:>8.1} KiB each",
            way.name,
            grown as f64 / 1024.0 / IDLE as f64
        );
        drop(clients);
    }
    Ok(())
}

fn median(figures: &[[f64; 3]], at: usize) -> f64 {
    let mut sorted: Vec<f64> = figures.iter().map(|figure| figure[at]).collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Connections that have had an answer and wait.
fn idle(address: SocketAddr) -> Result<Vec<TcpStream>, Failure> {
    let mut clients = Vec::new();
    for _ in 0..IDLE {
        let mut client = TcpStream::connect(address)
            .map_err(|e| format!("{e}: some 12,000 open files are needed (ulimit -n 12000)"))?;
        client.write_all(b"PING\r\n")?;
        client.read_exact(&mut [0; 7])?;
        clients.push(client);
    }
    Ok(clients)
}

/// Commands a second, and the 99th percentile in us.
fn benchmark(address: SocketAddr, pipeline: u32, commands: u64) -> Result<(f64, f64), Failure> {
    let output = Command::new("redis-benchmark")
        .args(["-h", &address.ip().to_string()])
        .args(["-p", &address.port().to_string()])
        .args(["-t", "set", "-d", "32", "--csv", "-c", CLIENTS])
        .args(["-P", &pipeline.to_string(), "-n", &commands.to_string()])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    // "test","rps","avg","min","p50","p95","p99","max", milliseconds.
    let line = text.lines().find(|line| line.starts_with("\"SET\""));
    let line = line.ok_or("redis-benchmark printed no result")?;
    let figures = line.split(',').skip(1).map(|f| f.trim_matches('"').parse());
    match figures.collect::<Result<Vec<f64>, _>>()?.as_slice() {
        [rate, _, _, _, _, p99, ..] => Ok((*rate, p99 * 1e3)),
        _ => Err(format!("redis-benchmark printed {line}").into()),
    }
}
