use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use ratelimiter_api::{CheckRequest, CountingMode, Endpoint, Key, Limit, LimitSpec};
use ratelimiter_cluster::{ClusterPlan, LocalCluster};
use ratelimiter_store::Link;
use redis::cmd;
use serde_json::Value;
use tokio::time::sleep;
use xtask::child::{output, send};
use xtask::project;

use crate::REQUEST;

const CONFIG: &str = "docker/prometheus";
const DASHBOARD: &str = "docker/grafana/dashboards/ratelimiter.json";
/// A key that the nodes must over-admit while the store takes no writes.
const KEY: &str = "observed";
const LIMIT: u32 = 10;
/// The alerts that must fire then.
const EXPECTED: [&str; 3] = ["counter_drift", "ghost_allowing", "store_not_writable"];
/// Milliseconds: longer than the alerts take. It ends with the store if that is sooner.
const PAUSE_MS: u64 = 20_000;
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(200);

/// Prometheus reads its configuration, judges the made-up series of the rules' tests, and answers
/// every query of the dashboard from a real cluster in a write pause.
pub(crate) async fn check() -> anyhow::Result<()> {
    let root = project::root();
    let file = |name: &str| root.join(CONFIG).join(name).display().to_string();
    promtool(&["check", "config", &file("prometheus.yml")])?;
    promtool(&["test", "rules", &file("rules.test.yml")])?;

    let cluster = ClusterPlan {
        progress: |what| eprintln!("{what}"),
        ..ClusterPlan::default()
    }
    .start()
    .await?;
    let prometheus = Prometheus::start(&cluster.endpoints())?;
    prometheus
        .until("every node is scraped", "sum(up) == 3")
        .await?;

    let key = Key::new(KEY)?;
    let limit = Limit::new(LIMIT.into(), 60)?;
    let spec = LimitSpec {
        counting: Some(CountingMode::Cached),
        ..LimitSpec::new(key.clone(), limit)
    };
    cluster.client(0, REQUEST)?.set_limit(&spec).await?;
    every_node_has_the_limit(&cluster, &key).await?;
    check_every_node(&cluster, &key, 1).await?;
    // Nodes export the limits of keys in use.
    let exported = format!("count(ratelimiter_limit{{key=\"{KEY}\"}}) == 3");
    prometheus
        .until("every node exports the limit", &exported)
        .await?;

    let store = Link::new(cluster.store_url());
    store
        .query::<()>(
            cmd("CLIENT").arg("PAUSE").arg(PAUSE_MS).arg("WRITE"),
            REQUEST,
        )
        .await?;
    check_every_node(&cluster, &key, LIMIT - 1).await?;
    for alert in EXPECTED {
        let firing = format!("ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}}");
        prometheus.until(alert, &firing).await?;
    }
    // Now every panel has data.
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(root.join(DASHBOARD))?)?;
    let queries = queries(&dashboard);
    anyhow::ensure!(!queries.is_empty(), "{DASHBOARD} has no queries");
    for query in &queries {
        prometheus.until(query, query).await?;
    }
    println!(
        "{} queries of the dashboard are answered; alerts: {}",
        queries.len(),
        EXPECTED.join(", ")
    );
    Ok(())
}

fn promtool(arguments: &[&str]) -> anyhow::Result<String> {
    output(Command::new("promtool").args(arguments))
        .with_context(|| format!("promtool {}", arguments.join(" ")))
}

async fn every_node_has_the_limit(cluster: &LocalCluster, key: &Key) -> anyhow::Result<()> {
    let started = Instant::now();
    for node in 0..cluster.endpoints().len() {
        let client = cluster.client(node, REQUEST)?;
        while !client.limits().await?.iter().any(|limit| limit.key == *key) {
            anyhow::ensure!(
                started.elapsed() < PATIENCE,
                "node {node} does not have the limit of {key}"
            );
            sleep(POLL).await;
        }
    }
    Ok(())
}

async fn check_every_node(cluster: &LocalCluster, key: &Key, times: u32) -> anyhow::Result<()> {
    for node in 0..cluster.endpoints().len() {
        let client = cluster.client(node, REQUEST)?;
        for _ in 0..times {
            client.check(&CheckRequest::new(key.clone())).await?;
        }
    }
    Ok(())
}

/// The queries of all panels.
fn queries(dashboard: &Value) -> Vec<&str> {
    let panels = dashboard["panels"].as_array().into_iter().flatten();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets
        .filter_map(|target| target["expr"].as_str())
        .collect()
}

/// Prometheus with the project's configuration and this cluster's nodes. Ends when dropped.
struct Prometheus {
    process: Child,
    url: String,
    _directory: tempfile::TempDir,
}

impl Prometheus {
    fn start(nodes: &[Endpoint]) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        configure(directory.path(), nodes)?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut prometheus = Command::new("prometheus");
        prometheus
            .current_dir(directory.path())
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=error");
        let process = prometheus.spawn().context("run prometheus")?;
        Ok(Self {
            process,
            url: format!("http://127.0.0.1:{port}"),
            _directory: directory,
        })
    }

    /// Asks until the answer is not empty.
    async fn until(&self, what: &str, query: &str) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            let answer = promtool(&["query", "instant", &self.url, query]);
            if answer.as_ref().is_ok_and(|answer| !answer.is_empty()) {
                return Ok(());
            }
            anyhow::ensure!(
                started.elapsed() < PATIENCE,
                "not seen: {what} ({query}), but {answer:?}"
            );
            sleep(POLL).await;
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // A process that has ended already takes no signal, and needs none.
        let _ = send("TERM", &self.process);
        let _ = self.process.wait();
    }
}

/// Writes the configuration with these nodes, and an empty database.
fn configure(directory: &Path, nodes: &[Endpoint]) -> anyhow::Result<()> {
    let from: PathBuf = project::root().join(CONFIG);
    std::fs::create_dir_all(directory.join("data"))?;
    std::fs::copy(from.join("rules.yml"), directory.join("rules.yml"))?;
    let text = std::fs::read_to_string(from.join("prometheus.yml"))?;
    std::fs::write(
        directory.join("prometheus.yml"),
        with_targets(&text, nodes)?,
    )?;
    Ok(())
}

fn with_targets(config: &str, nodes: &[Endpoint]) -> anyhow::Result<String> {
    nodes
        .iter()
        .enumerate()
        .try_fold(config.to_owned(), |text, (i, node)| {
            let target = format!("\"node-{0}:800{0}\"", i + 1);
            anyhow::ensure!(
                text.contains(&target),
                "{CONFIG}/prometheus.yml does not scrape {target}"
            );
            Ok(text.replace(&target, &format!("\"{}\"", node.authority())))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_panel_has_a_query() {
        let text = std::fs::read_to_string(project::root().join(DASHBOARD)).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        let panels = dashboard["panels"].as_array().unwrap();
        assert!(
            panels
                .iter()
                .all(|panel| panel["targets"].as_array().is_some_and(|t| !t.is_empty()))
        );
        assert!(queries(&dashboard).len() >= panels.len());
    }

    #[test]
    fn prometheus_scrapes_this_machines_nodes() {
        let text =
            std::fs::read_to_string(project::root().join(CONFIG).join("prometheus.yml")).unwrap();
        let nodes = [1, 2, 3].map(|port| format!("http://127.0.0.1:{port}").parse().unwrap());
        let local = with_targets(&text, &nodes).unwrap();
        assert!(
            local.contains(r#"["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]"#),
            "{local}"
        );
        assert!(with_targets("", &nodes).is_err());
    }
}
