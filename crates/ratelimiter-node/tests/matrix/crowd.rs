//! A crowd before one node: idle connections, slow ones, and a client that takes as many as it
//! gets.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use ratelimiter_api::{Limit, LimitSpec};
use ratelimiter_cluster::ClusterPlan;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};

use crate::world::{MODES, key_of};

/// Time for an answer.
const DEADLINE: Duration = Duration::from_secs(20);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(25);

/// Addresses of the clients. Health is asked from the address of the idle crowd, the worst place to
/// be.
const IDLE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const SLOW: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const GREEDY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const REGULAR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);

/// The size of a crowd.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    /// Connections that send nothing.
    pub(crate) idle: usize,
    /// Connections that send one byte of a request at a time.
    pub(crate) slow: usize,
    /// Connections of the greedy client, each of which checks without a pause.
    pub(crate) greedy: usize,
    /// Time for which everything is there.
    pub(crate) time: Duration,
}

/// Measurements while the crowd was there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// Longest time from the connect for a health check to its answer.
    pub(crate) health: Duration,
    pub(crate) health_asked: usize,
    pub(crate) health_failed: usize,
    /// Checks of a regular client, each on a connection of its own.
    pub(crate) checks: usize,
    pub(crate) checks_failed: usize,
    /// Longest of those checks.
    pub(crate) check: Duration,
    /// Checks answered to the greedy client.
    pub(crate) greedy: usize,
    /// Connections of the idle crowd that the node closed.
    pub(crate) shed: usize,
    /// Largest resident memory of the node, bytes.
    pub(crate) resident: u64,
    /// Most open files of the node.
    pub(crate) files: usize,
    /// Files that the node may open.
    pub(crate) files_allowed: usize,
}

impl Crowd {
    /// Presses on a node of its own, and measures.
    pub(crate) async fn press(self) -> Seen {
        raise_open_files();
        let cluster = ClusterPlan::nodes(1).start().await.unwrap();
        let mode = MODES[1];
        let limit = LimitSpec {
            counting: Some(mode),
            ..LimitSpec::new(key_of(mode), Limit::new(10, 1).unwrap())
        };
        cluster
            .client(0, DEADLINE)
            .unwrap()
            .set_limit(&limit)
            .await
            .unwrap();
        let node: SocketAddr = cluster.endpoints()[0].authority().parse().unwrap();
        let process = cluster.process_ids()[1];

        let mut idle = Vec::with_capacity(self.idle);
        for _ in 0..self.idle {
            idle.push(connect(IDLE, node).await);
        }
        let mut crowd = JoinSet::new();
        for _ in 0..self.slow {
            crowd.spawn(drip(node));
        }
        let mut greedy = JoinSet::new();
        let until = Instant::now() + self.time;
        for _ in 0..self.greedy {
            greedy.spawn(async move {
                let mut answered = 0;
                while Instant::now() < until {
                    let Some(mut stream) = connect(GREEDY, node).await else {
                        break;
                    };
                    while Instant::now() < until
                        && exchange(&mut stream, &check(false)).await.is_some()
                    {
                        answered += 1;
                    }
                }
                answered
            });
        }
        let mut seen = Seen {
            files_allowed: files_allowed(process),
            ..Seen::default()
        };
        let mut looks = interval(LOOK);
        while Instant::now() < until {
            looks.tick().await;
            seen.look(node, process).await;
        }
        drop(crowd);
        seen.greedy = greedy.join_all().await.into_iter().sum();
        for stream in idle.iter_mut().flatten() {
            // Closed connections read as ended at once; open ones stay silent.
            let ended = timeout(Duration::ZERO, stream.read(&mut [0; 1])).await;
            seen.shed += usize::from(ended.is_ok());
        }
        seen
    }
}

impl Seen {
    async fn look(&mut self, node: SocketAddr, process: u32) {
        let (health, took) = ask(
            IDLE,
            node,
            "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        )
        .await;
        self.health_asked += 1;
        self.health_failed += usize::from(health != Some(200));
        self.health = self.health.max(took);
        let (status, took) = ask(REGULAR, node, &check(true)).await;
        self.checks += 1;
        self.checks_failed += usize::from(!matches!(status, Some(200 | 429)));
        self.check = self.check.max(took);
        self.resident = self.resident.max(resident(process));
        self.files = self
            .files
            .max(std::fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count));
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "health: {} answers, {} failures, {:.1} ms at most; regular checks: {}, {} failures, \
             {:.1} ms at most; \
             greedy checks: {}; idle connections closed: {}; node: {:.1} MB resident, {} open \
             files of {}",
            self.health_asked,
            self.health_failed,
            self.health.as_secs_f64() * 1e3,
            self.checks,
            self.checks_failed,
            self.check.as_secs_f64() * 1e3,
            self.greedy,
            self.shed,
            self.resident as f64 / 1e6,
            self.files,
            self.files_allowed,
        )
    }
}

fn check(close: bool) -> String {
    let body = format!(r#"{{"key":"{}"}}"#, MODES[1]);
    let close = if close { "connection: close\r\n" } else { "" };
    format!(
        "POST /check HTTP/1.1\r\nhost: localhost\r\n{close}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn connect(from: Ipv4Addr, to: SocketAddr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().ok()?;
    socket.bind((from, 0).into()).ok()?;
    timeout(DEADLINE, socket.connect(to)).await.ok()?.ok()
}

/// Sends one byte of a request at a time, and never a whole one.
async fn drip(node: SocketAddr) {
    loop {
        if let Some(mut stream) = connect(SLOW, node).await {
            while stream.write_all(b"G").await.is_ok() {
                sleep(4 * LOOK).await;
            }
        }
        sleep(4 * LOOK).await;
    }
}

/// One request on a connection of its own: the status, and the time from the connect to the answer.
async fn ask(from: Ipv4Addr, node: SocketAddr, request: &str) -> (Option<u16>, Duration) {
    let started = Instant::now();
    let status = async { exchange(&mut connect(from, node).await?, request).await };
    (status.await, started.elapsed())
}

/// Sends a request, and reads an answer of less than a packet.
async fn exchange(stream: &mut TcpStream, request: &str) -> Option<u16> {
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = vec![0; 4096];
    let length = timeout(DEADLINE, stream.read(&mut answer))
        .await
        .ok()?
        .ok()?;
    let text = String::from_utf8_lossy(&answer[..length]);
    text.split(' ').nth(1)?.parse().ok()
}

/// Resident memory of a process, bytes; zero where the system does not report it.
pub(crate) fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

fn files_allowed(process: u32) -> usize {
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap_or_default();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(usize::MAX)
}

/// The crowd is as many open files here as it is there.
fn raise_open_files() {
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    setrlimit(Resource::Nofile, files).unwrap();
}
