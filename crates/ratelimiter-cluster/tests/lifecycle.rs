//! A real store and real nodes: they start, they can be broken, and nothing is left behind however
//! the owner ends.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ratelimiter_api::{Key, Limit, LimitSpec, NodeState};
use ratelimiter_cluster::{
    ClusterError, ClusterPlan, LocalCluster, ProgramPlan, ProgramSite, Proxies, node_binary,
};
use ratelimiter_store::Link;
use redis::cmd;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// Polls until `holds`, with a deadline far beyond the expected time.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + 20 * SECOND;
    while !holds().await {
        assert!(Instant::now() < until, "not within 20 s: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

async fn start(plan: ClusterPlan) -> LocalCluster {
    plan.start().await.unwrap()
}

/// One column of the table of processes; empty for a process that does not exist.
fn ps(column: &str, id: u32) -> String {
    let output = Command::new("ps")
        .args(["-ww", "-o", column, "-p", &id.to_string()])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Whether a process runs; one that has ended and was not collected yet does not.
fn runs(id: u32) -> bool {
    let state = ps("stat=", id);
    !state.is_empty() && !state.starts_with('Z')
}

async fn nothing_is_left(processes: &[u32], directory: &Path) {
    eventually("all processes are gone", async || {
        !processes.iter().any(|id| runs(*id))
    })
    .await;
    eventually("the directory is gone", async || !directory.exists()).await;
}

#[tokio::test]
async fn program_that_ends_leaves_no_child() {
    let site = ProgramSite::new(0).unwrap();
    let file = site.directory().join("child");
    let script = format!(
        "sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait",
        file.display()
    );
    let plan = ProgramPlan {
        name: "parent".into(),
        command: ["sh", "-c", &script].map(ToOwned::to_owned).into(),
        environment: Vec::new(),
        directory: None,
    };
    let mut program = site.start(plan).unwrap();
    eventually("the child has started", async || file.exists()).await;
    let child = std::fs::read_to_string(&file).unwrap();
    let child = child.trim().parse().unwrap();
    assert!(runs(child));
    program.terminate(20 * SECOND).await;
    eventually("the child is gone", async || !runs(child)).await;
}

#[tokio::test]
async fn dropped_cluster_leaves_nothing() {
    let cluster = start(ClusterPlan::nodes(3)).await;
    let (processes, directory) = (cluster.process_ids(), cluster.directory().to_owned());
    assert_eq!(processes.len(), 4);
    assert!(processes.iter().all(|id| runs(*id)));
    let client = cluster.client(0, SECOND).unwrap();
    let nodes = client.nodes().await.unwrap().nodes;
    assert_eq!(nodes.len(), 3);
    assert!(nodes.iter().all(|n| n.state == NodeState::Up));
    drop(cluster);
    nothing_is_left(&processes, &directory).await;
}

#[tokio::test]
async fn an_orderly_shutdown_ends_every_node_by_itself() {
    let cluster = start(ClusterPlan::nodes(2)).await;
    let (processes, directory) = (cluster.process_ids(), cluster.directory().to_owned());
    assert!(cluster.shutdown().await);
    nothing_is_left(&processes, &directory).await;
}

#[tokio::test]
async fn killed_node_comes_back_at_its_address() {
    let mut cluster = start(ClusterPlan::nodes(2)).await;
    let before = cluster.endpoints();
    let client = cluster.client(0, SECOND).unwrap();
    cluster.kill_node(1).unwrap();
    eventually("node-1 sees node-2 down", async || {
        client
            .nodes()
            .await
            .unwrap()
            .nodes
            .iter()
            .any(|n| n.id.as_str() == "node-2" && n.state == NodeState::Down)
    })
    .await;
    cluster.restart_node(1).await.unwrap();
    assert_eq!(cluster.endpoints(), before);
    assert!(matches!(
        cluster.kill_node(2),
        Err(ClusterError::NoSuchNode(2))
    ));
}

#[tokio::test]
async fn empty_store_gets_its_limits_back() {
    let mut cluster = start(ClusterPlan::nodes(2)).await;
    let client = cluster.client(0, 2 * SECOND).unwrap();
    let spec = LimitSpec::new(Key::new("kept").unwrap(), Limit::new(10, 60).unwrap());
    client.set_limit(&spec).await.unwrap();
    cluster.kill_store();
    eventually("the loss is noticed", async || {
        !client.health().await.unwrap().redis_connected
    })
    .await;
    cluster.restart_store().await.unwrap();
    let link = Link::new(cluster.store_url());
    eventually("the limit is in the store again", async || {
        let kept: Result<u64, _> = link
            .query(
                cmd("HEXISTS").arg("{ratelimiter}:limits").arg("kept"),
                SECOND,
            )
            .await;
        kept.is_ok_and(|n| n == 1)
    })
    .await;
}

#[tokio::test]
async fn one_node_can_lose_its_link_alone() {
    let cluster = start(ClusterPlan {
        password: Some("secret".into()),
        proxies: Some(Proxies::PerNode),
        ..ClusterPlan::nodes(2)
    })
    .await;
    let clients = [0, 1].map(|node| cluster.client(node, SECOND).unwrap());
    let connected = async |node: usize| clients[node].health().await.unwrap().redis_connected;
    let refused = cluster
        .rules()
        .add("link=node-2 do=refuse".parse().unwrap());
    eventually("node-2 misses the store", async || !connected(1).await).await;
    assert!(connected(0).await);
    assert_eq!(cluster.proxies()[1].name(), "node-2");
    drop(refused);
    eventually("node-2 reaches the store again", async || {
        connected(1).await
    })
    .await;
}

#[tokio::test]
async fn one_proxy_holds_the_writes_of_all() {
    let cluster = start(ClusterPlan {
        proxies: Some(Proxies::Shared),
        ..ClusterPlan::nodes(2)
    })
    .await;
    let [behind, also_behind] = [0, 1].map(|node| cluster.node_store_url(node).unwrap());
    assert_eq!(behind.to_string(), also_behind.to_string());
    let [behind, direct] = [behind, cluster.store_url()].map(Link::new);
    let write = async |link: &Link| {
        link.query::<()>(cmd("SET").arg("k").arg(1), SECOND / 2)
            .await
    };
    let held = cluster
        .rules()
        .add("class=write,script do=hold".parse().unwrap());
    assert!(write(&behind).await.is_err(), "a write passed the proxy");
    write(&direct).await.unwrap();
    let effects = held.heal().effects;
    assert!(effects > 0, "no command of the nodes was held");
    eventually("writes pass", async || write(&behind).await.is_ok()).await;
}

#[tokio::test]
async fn failed_start_is_explained_and_leaves_nothing() {
    assert!(matches!(
        ClusterPlan::nodes(0).start().await,
        Err(ClusterError::Nodes(0))
    ));
    let error_with_node = async |path: &str| {
        let plan = ClusterPlan {
            node_binary: Some(path.into()),
            ..ClusterPlan::default()
        };
        plan.start().await.unwrap_err()
    };
    let error = error_with_node("/nowhere/node").await.to_string();
    assert!(error.contains("/nowhere/node"), "{error}");
    let error = error_with_node("/bin/false").await;
    assert!(matches!(error, ClusterError::Exited { .. }), "{error}");
}

/// The example `hold`, which owns a cluster and says where it is.
struct Owner {
    child: Child,
    processes: Vec<u32>,
    directory: PathBuf,
}

impl Owner {
    fn start() -> Self {
        let node = node_binary().unwrap();
        let mut child = Command::new(node.with_file_name("examples").join("hold"))
            .env("RATELIMITER_NODE_BIN", node)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut processes, mut directory) = (Vec::new(), PathBuf::new());
        for line in BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
        {
            match line.split_once(' ') {
                Some(("process", id)) => processes.push(id.parse().unwrap()),
                Some(("directory", path)) => directory = path.into(),
                _ if line == "ready" => break,
                _ => {}
            }
        }
        Self {
            child,
            processes,
            directory,
        }
    }
}

#[tokio::test]
async fn an_owner_that_is_killed_leaves_nothing_behind() {
    let mut owner = Owner::start();
    assert_eq!(owner.processes.len(), 4);
    assert!(owner.directory.is_dir() && owner.processes.iter().all(|id| runs(*id)));
    owner.child.kill().unwrap();
    owner.child.wait().unwrap();
    nothing_is_left(&owner.processes, &owner.directory).await;
}

#[tokio::test]
async fn a_killed_guardian_and_owner_leave_nothing_behind() {
    let mut owner = Owner::start();
    let group = ps("pgid=", owner.processes[0]);
    assert!(
        Command::new("kill")
            .args(["-KILL", &group])
            .status()
            .unwrap()
            .success()
    );
    eventually("the guardian is gone", async || {
        !runs(group.parse().unwrap())
    })
    .await;
    owner.child.kill().unwrap();
    owner.child.wait().unwrap();
    nothing_is_left(&owner.processes, &owner.directory).await;
}

/// Where the system can bind a process to its owner without a third one.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn killed_guardians_and_owner_leave_no_process() {
    let mut owner = Owner::start();
    let group = ps("pgid=", owner.processes[0]);
    let members = Command::new("ps")
        .args(["-eo", "pid=,pgid=,comm="])
        .output()
        .unwrap();
    let members = String::from_utf8_lossy(&members.stdout).into_owned();
    let guardians = members.lines().filter_map(|line| {
        let [id, of, name] = line
            .split_whitespace()
            .collect::<Vec<_>>()
            .try_into()
            .ok()?;
        (of == group && name == "sh").then(|| id.to_owned())
    });
    let guardians: Vec<String> = guardians.collect();
    assert_eq!(guardians.len(), 3, "{members}");
    Command::new("kill")
        .arg("-KILL")
        .args(&guardians)
        .status()
        .unwrap();
    eventually("the guardians are gone", async || {
        !guardians.iter().any(|id| runs(id.parse().unwrap()))
    })
    .await;
    assert!(owner.processes.iter().all(|id| runs(*id)));
    owner.child.kill().unwrap();
    owner.child.wait().unwrap();
    eventually("all processes are gone", async || {
        !owner.processes.iter().any(|id| runs(*id))
    })
    .await;
    // No guardian is left to remove it; a helper of one may have done so before it ended.
    let removed = std::fs::remove_dir_all(&owner.directory);
    assert!(removed.is_ok() || !owner.directory.exists(), "{removed:?}");
}

#[tokio::test]
async fn secrets_are_no_arguments_of_processes() {
    let cluster = start(ClusterPlan {
        password: Some("store-s3cret".into()),
        admin_token: Some("node-s3cret".into()),
        ..ClusterPlan::nodes(1)
    })
    .await;
    for id in cluster.process_ids() {
        let arguments = ps("args=", id);
        assert!(
            arguments.contains("127.0.0.1") && !arguments.contains("s3cret"),
            "{arguments}"
        );
    }
    let spec = LimitSpec::new(Key::new("k").unwrap(), Limit::new(10, 60).unwrap());
    let client = cluster.client(0, SECOND).unwrap();
    client.set_limit(&spec).await.unwrap();
    assert!(!format!("{cluster:?}").contains("s3cret"), "{cluster:?}");
}

#[tokio::test]
async fn terminated_owner_leaves_nothing_behind() {
    for signal in ["-TERM", "-INT"] {
        let mut owner = Owner::start();
        Command::new("kill")
            .args([signal, &owner.child.id().to_string()])
            .status()
            .unwrap();
        assert!(owner.child.wait().unwrap().success());
        nothing_is_left(&owner.processes, &owner.directory).await;
    }
}
