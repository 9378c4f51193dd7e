use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use xshell::{Shell, cmd};

use crate::child::{self, output};
use crate::{project, talk};

const CONFIG: &str = "docker/prometheus";
const DASHBOARD: &str = "docker/grafana/dashboards/ratelimiter.json";
/// A key that the nodes must over-admit while the store takes no writes.
const KEY: &str = "observed";
const LIMIT: u64 = 10;
/// What must be seen then.
const EXPECTED: [&str; 3] = ["counter_drift", "ghost_allowing", "store_not_writable"];
/// Longer than it takes to be noticed; it ends with the store if that is sooner.
const PAUSE_MS: u64 = 20_000;
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(200);

/// What this step needs of a machine.
pub(crate) fn needs() -> anyhow::Result<()> {
    for program in ["promtool", "prometheus"] {
        output(Command::new(program).arg("--version"))
            .with_context(|| format!("{program} is missing (`apt-get install prometheus`)"))?;
    }
    Ok(())
}

/// Prometheus reads its configuration, judges made-up series as the rules' tests say, and answers every query of the
/// dashboard from a real cluster that is put through a write pause.
pub(crate) fn run(shell: &Shell) -> anyhow::Result<()> {
    cmd!(shell, "promtool check config {CONFIG}/prometheus.yml").run()?;
    cmd!(shell, "promtool test rules {CONFIG}/rules.test.yml").run()?;

    cmd!(shell, "cargo build --package ratelimiter-node --package ratelimiter-cluster --example hold --bins")
        .run()?;
    let cluster = Cluster::start()?;
    let prometheus = Prometheus::start(&cluster)?;
    prometheus.until("every node is scraped", "sum(up) == 3")?;

    let limit = json!({"key": KEY, "limit": LIMIT, "window_sec": 60, "counting": "cached"});
    talk::http(cluster.nodes[0], "POST", "/limit", Some(&limit))?;
    prometheus
        .until("every node knows the limit", &format!("count(ratelimiter_limit{{key=\"{KEY}\"}}) == 3"))?;
    cluster.check(1)?;

    talk::store(cluster.store, &format!("CLIENT PAUSE {PAUSE_MS} WRITE"))?;
    cluster.check(LIMIT - 1)?;
    for alert in EXPECTED {
        prometheus.until(alert, &format!("ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}}"))?;
    }
    // Now there is something to be seen in every panel.
    let dashboard: Value = serde_json::from_str(&shell.read_file(DASHBOARD)?)?;
    let queries = queries(&dashboard);
    anyhow::ensure!(!queries.is_empty(), "{DASHBOARD} asks nothing");
    for query in &queries {
        prometheus.until(query, query)?;
    }
    println!(
        "{} queries of the dashboard are answered, and {} are noticed",
        queries.len(),
        EXPECTED.join(", ")
    );
    Ok(())
}

/// What the panels ask.
fn queries(dashboard: &Value) -> Vec<&str> {
    let panels = dashboard["panels"].as_array().into_iter().flatten();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets.filter_map(|target| target["expr"].as_str()).collect()
}

/// A process that ends with its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // In order first, so that it can end what it started. What fails here has ended already.
        let _ = child::send("TERM", &self.0);
        let _ = self.0.wait();
    }
}

/// The local cluster of `ratelimiter-cluster`, held by its example.
struct Cluster {
    _process: Running,
    nodes: Vec<u16>,
    store: u16,
}

impl Cluster {
    fn start() -> anyhow::Result<Self> {
        let built = project::target_dir()?.join("debug");
        let mut hold = Command::new(built.join("examples/hold"));
        hold.env("RATELIMITER_NODE_BIN", built.join("ratelimiter-node")).stdout(Stdio::piped());
        let mut process = Running(hold.spawn().context("cannot run the cluster's example")?);
        let says = process.0.stdout.take().context("the cluster says nothing")?;
        let (mut nodes, mut store) = (Vec::new(), None);
        for line in BufReader::new(says).lines() {
            let line = line?;
            match line.split_once(' ') {
                Some(("endpoint", url)) => nodes.extend(port_of(url)),
                Some(("store", url)) => store = port_of(url),
                _ if line == "ready" => break,
                _ => {}
            }
        }
        Ok(Self { _process: process, nodes, store: store.context("the cluster did not start")? })
    }

    /// So many checks at every node.
    fn check(&self, times: u64) -> anyhow::Result<()> {
        for node in &self.nodes {
            for _ in 0..times {
                talk::http(*node, "POST", "/check", Some(&json!({"key": KEY})))?;
            }
        }
        Ok(())
    }
}

fn port_of(url: &str) -> Option<u16> {
    url.trim_end_matches('/').rsplit_once(':')?.1.parse().ok()
}

/// Prometheus with our configuration, but for where the nodes are.
struct Prometheus {
    _process: Running,
    port: u16,
}

impl Prometheus {
    fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        let directory = project::target_dir()?.join("observability");
        configure(&directory, &cluster.nodes)?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut prometheus = Command::new("prometheus");
        prometheus
            .arg(format!("--config.file={}", directory.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=error");
        Ok(Self { _process: Running(prometheus.spawn().context("cannot run prometheus")?), port })
    }

    /// Asks until there is an answer that is not empty.
    fn until(&self, what: &str, query: &str) -> anyhow::Result<()> {
        let path = format!("/api/v1/query?query={}", talk::encoded(query));
        let started = Instant::now();
        loop {
            let answer = talk::http(self.port, "GET", &path, None);
            let result = answer.as_ref().ok().and_then(|answer| answer["data"]["result"].as_array());
            if result.is_some_and(|result| !result.is_empty()) {
                return Ok(());
            }
            anyhow::ensure!(started.elapsed() < PATIENCE, "not seen: {what} ({query}), but {answer:?}");
            std::thread::sleep(POLL);
        }
    }
}

/// Writes the configuration with the nodes of this machine, and an empty database.
fn configure(directory: &Path, nodes: &[u16]) -> anyhow::Result<()> {
    let from = project::root().join(CONFIG);
    let database: PathBuf = directory.join("data");
    if database.exists() {
        std::fs::remove_dir_all(&database)?;
    }
    std::fs::create_dir_all(&database)?;
    std::fs::copy(from.join("rules.yml"), directory.join("rules.yml"))?;
    let text = std::fs::read_to_string(from.join("prometheus.yml"))?;
    std::fs::write(directory.join("prometheus.yml"), with_targets(&text, nodes)?)?;
    Ok(())
}

fn with_targets(config: &str, nodes: &[u16]) -> anyhow::Result<String> {
    nodes.iter().enumerate().try_fold(config.to_owned(), |text, (i, port)| {
        let target = format!("\"node-{}:8001\"", i + 1);
        anyhow::ensure!(text.contains(&target), "{CONFIG}/prometheus.yml does not scrape {target}");
        Ok(text.replace(&target, &format!("\"127.0.0.1:{port}\"")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_panels_of_the_dashboard_ask_something() {
        let text = std::fs::read_to_string(project::root().join(DASHBOARD)).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        let panels = dashboard["panels"].as_array().unwrap();
        assert!(panels.iter().all(|panel| panel["targets"].as_array().is_some_and(|t| !t.is_empty())));
        assert!(queries(&dashboard).len() >= panels.len());
    }

    #[test]
    fn prometheus_is_pointed_at_the_nodes_of_this_machine() {
        let text = std::fs::read_to_string(project::root().join(CONFIG).join("prometheus.yml")).unwrap();
        let local = with_targets(&text, &[1, 2, 3]).unwrap();
        assert!(local.contains(r#"["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]"#), "{local}");
        assert!(with_targets("", &[1]).is_err());
    }

    #[test]
    fn a_port_is_read_from_a_url() {
        assert_eq!(port_of("http://127.0.0.1:8001/"), Some(8001));
        assert_eq!(port_of("redis://:secret@127.0.0.1:6379"), Some(6379));
        assert_eq!(port_of("nonsense"), None);
    }
}
