use std::fs::File;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ratelimiter_api::{Endpoint, NodeClient, NodeId, NodeState};
use ratelimiter_store::{Link, StoreUrl};
use redis::cmd;
use resp_proxy::{RespProxy, RuleSet};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::guardian::Guardian;
use crate::links::Links;
use crate::process::{Environment, POLL, Process};
use crate::secret::Secret;
use crate::{ClusterBuilder, ClusterError, StoreBinary, ports};

/// How long a node may take to flush and end when it is asked to.
const TERMINATE: Duration = Duration::from_secs(3);
/// How long one question to a process that is starting may take.
const QUESTION: Duration = Duration::from_secs(1);
/// A port found free can be taken before it is used; then all are chosen again.
const ATTEMPTS: usize = 3;

/// One store and some nodes, running on this machine's loopback interface until dropped.
#[derive(Debug)]
pub struct LocalCluster {
    // Dropped in this order: the processes, then the guardian with the rest of its group, then the directory.
    nodes: Vec<Member>,
    links: Links,
    store: Process,
    guardian: Guardian,
    directory: TempDir,
    url: StoreUrl,
    binary: StoreBinary,
    deadline: Duration,
    admin_token: Option<Secret>,
}

#[derive(Debug)]
struct Member {
    id: NodeId,
    endpoint: Endpoint,
    store: StoreUrl,
    process: Process,
}

impl LocalCluster {
    /// What to start: three nodes in cached mode, unless told otherwise.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::new()
    }

    pub(crate) async fn start(
        options: ClusterBuilder,
        binary: StoreBinary,
        node: PathBuf,
    ) -> Result<Self, ClusterError> {
        let mut attempt = 1;
        loop {
            match Self::try_start(&options, &binary, &node).await {
                Err(ClusterError::Exited { log, .. }) if attempt < ATTEMPTS && log.contains("in use") => {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn try_start(
        options: &ClusterBuilder,
        binary: &StoreBinary,
        node: &Path,
    ) -> Result<Self, ClusterError> {
        let directory = tempfile::Builder::new()
            .prefix("ratelimiter-cluster-")
            .tempdir()
            .map_err(ClusterError::io("create a temporary directory"))?;
        let guardian = Guardian::start(directory.path()).map_err(ClusterError::io("start sh"))?;
        let ports = ports::free(options.nodes + 1);
        let login = options.password.as_ref().map(|p| format!(":{p}@")).unwrap_or_default();
        let store_address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports[0]));
        let url = |address| format!("redis://{login}{address}");

        let mut arguments: Vec<String> = Vec::new();
        if let Some(password) = &options.password {
            let file = directory.path().join("store.conf");
            configure(&file, password).map_err(ClusterError::io(format!("write {}", file.display())))?;
            arguments.push(file.display().to_string());
        }
        let fixed =
            ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no", "--port"]
                .map(String::from);
        arguments.extend(fixed);
        arguments.push(ports[0].to_string());
        arguments.extend(["--dir".into(), directory.path().display().to_string()]);
        let group = guardian.group();
        let store =
            Process::start("store", binary.path(), arguments, Environment::new(), group, directory.path())?;
        let mut cluster = Self {
            nodes: Vec::new(),
            links: Links::default(),
            store,
            guardian,
            directory,
            url: url(store_address).parse()?,
            binary: binary.clone(),
            deadline: options.deadline,
            admin_token: options.admin_token.clone().map(Secret),
        };
        let until = Instant::now() + options.deadline;
        cluster.store_answers(until).await?;
        let ids: Vec<_> = (1..=options.nodes).map(|i| format!("node-{i}")).collect();
        let rules = options.rules.clone();
        cluster.links = Links::start(options.proxies, rules, &ids, &url(store_address)).await?;
        for (i, (id, port)) in ids.iter().zip(&ports[1..]).enumerate() {
            let address = cluster.links.address(i, store_address);
            cluster.add_node(options, id, *port, &url((options.store_route)(i, address)), node)?;
        }
        cluster.healthy(until).await?;
        Ok(cluster)
    }

    fn add_node(
        &mut self,
        options: &ClusterBuilder,
        id: &str,
        port: u16,
        store: &str,
        binary: &Path,
    ) -> Result<(), ClusterError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let ms = |d: Duration| format!("{}ms", d.as_millis());
        let mut arguments: Vec<String> = [
            ("--id", id.to_owned()),
            ("--listen", address.to_string()),
            ("--counting", options.counting.to_string()),
            ("--sync-interval", ms(options.sync_interval)),
            ("--store-timeout", ms(options.store_timeout)),
        ]
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .collect();
        if let Some(policy) = options.on_store_failure {
            arguments.extend(["--on-store-failure".into(), policy.to_string()]);
        }
        let mut environment = vec![("RATELIMITER_STORE", Secret(store.to_owned()))];
        environment.extend(self.admin_token.clone().map(|token| ("RATELIMITER_ADMIN_TOKEN", token)));
        let (group, directory) = (self.guardian.group(), self.directory.path());
        let process = Process::start(id, binary, arguments, environment, group, directory)?;
        let (id, endpoint, store) = (NodeId::from(id), Endpoint::from(address), store.parse()?);
        self.nodes.push(Member { id, endpoint, store, process });
        Ok(())
    }

    /// Where the nodes listen.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.nodes.iter().map(|n| n.endpoint.clone()).collect()
    }

    /// A client of one node, counted from 0.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn client(&self, node: usize, deadline: Duration) -> Result<NodeClient, ClusterError> {
        let member = self.nodes.get(node).ok_or(ClusterError::NoSuchNode(node))?;
        Ok(NodeClient::new(member.endpoint.clone(), deadline)
            .with_token(self.admin_token.clone().map(|token| token.0)))
    }

    /// The store's URL, with its password if it has one.
    pub fn store_url(&self) -> StoreUrl {
        self.url.clone()
    }

    /// The URL by which a node, counted from 0, reaches the store: that of its proxy, if there is one.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn node_store_url(&self, node: usize) -> Result<StoreUrl, ClusterError> {
        self.nodes.get(node).map(|member| member.store.clone()).ok_or(ClusterError::NoSuchNode(node))
    }

    /// The fault proxies: one a node in their order, a single one for all, or none.
    pub fn proxies(&self) -> &[RespProxy] {
        &self.links.proxies
    }

    /// The rules that all proxies follow. A rule with `link=node-1` concerns that node's link alone.
    pub fn rules(&self) -> &RuleSet {
        &self.links.rules
    }

    /// Which store runs.
    pub fn store_binary(&self) -> &StoreBinary {
        &self.binary
    }

    /// The ids of the processes that run: the store's first, then the nodes'.
    pub fn process_ids(&self) -> Vec<u32> {
        std::iter::once(&self.store)
            .chain(self.nodes.iter().map(|n| &n.process))
            .filter_map(Process::id)
            .collect()
    }

    /// Where the processes write; gone when the cluster is.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Kills a node without warning.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn kill_node(&mut self, node: usize) -> Result<(), ClusterError> {
        self.process(node)?.kill();
        Ok(())
    }

    /// Asks a node to end and waits until it has; true when it ended by itself.
    ///
    /// # Errors
    /// When there is no such node.
    pub async fn terminate_node(&mut self, node: usize) -> Result<bool, ClusterError> {
        Ok(self.process(node)?.terminate(TERMINATE).await)
    }

    /// Starts a node again where it was, and waits until all nodes are healthy.
    ///
    /// # Errors
    /// When there is no such node, or it is not healthy in time.
    pub async fn restart_node(&mut self, node: usize) -> Result<(), ClusterError> {
        self.process(node)?.restart()?;
        self.healthy(Instant::now() + self.deadline).await
    }

    fn process(&mut self, node: usize) -> Result<&mut Process, ClusterError> {
        self.nodes.get_mut(node).map(|n| &mut n.process).ok_or(ClusterError::NoSuchNode(node))
    }

    /// Kills the store without warning. It keeps nothing on disk.
    pub fn kill_store(&mut self) {
        self.store.kill();
    }

    /// Starts the store again where it was, empty, and waits until it answers.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub async fn restart_store(&mut self) -> Result<(), ClusterError> {
        self.store.restart()?;
        self.store_answers(Instant::now() + self.deadline).await
    }

    /// Stops the store's process (SIGSTOP): connections stay open and nothing is answered.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn freeze_store(&self) -> Result<(), ClusterError> {
        self.store.signal(Signal::STOP)
    }

    /// Lets a frozen store go on.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn thaw_store(&self) -> Result<(), ClusterError> {
        self.store.signal(Signal::CONT)
    }

    /// Ends everything in order: the nodes flush, then the store goes. True when every node ended by itself.
    pub async fn shutdown(mut self) -> bool {
        for node in &self.nodes {
            // One that is gone already has nothing to flush.
            let _ = node.process.signal(Signal::TERM);
        }
        let mut orderly = true;
        for node in &mut self.nodes {
            orderly &= node.process.terminate(TERMINATE).await;
        }
        orderly
    }

    async fn store_answers(&mut self, until: Instant) -> Result<(), ClusterError> {
        let link = Link::new(self.url.clone())?;
        loop {
            let why = match link.query::<String>(&cmd("PING"), QUESTION).await {
                Ok(_) => return self.store.still_runs(),
                Err(error) => error.to_string(),
            };
            self.store.still_runs()?;
            wait(until, self.deadline, &self.store, why).await?;
        }
    }

    /// Every node that runs is healthy, and every node sees as many up as there are.
    async fn healthy(&mut self, until: Instant) -> Result<(), ClusterError> {
        let running = self.nodes.iter().filter(|n| n.process.id().is_some()).count();
        for node in self.nodes.iter_mut().filter(|n| n.process.id().is_some()) {
            let client = NodeClient::new(node.endpoint.clone(), QUESTION);
            loop {
                let why = match (client.health().await, client.nodes().await) {
                    (Ok(health), _) if health.node != node.id => {
                        format!("{} answers at its address", health.node)
                    }
                    (Ok(health), Ok(seen)) => {
                        let up = seen.nodes.iter().filter(|n| n.state == NodeState::Up).count();
                        if health.redis_connected && up >= running {
                            break;
                        }
                        format!("store connected: {}, nodes up: {up} of {running}", health.redis_connected)
                    }
                    (Err(error), _) | (_, Err(error)) => error.to_string(),
                };
                node.process.still_runs()?;
                wait(until, self.deadline, &node.process, why).await?;
            }
        }
        Ok(())
    }
}

/// Writes a configuration with a password that only this user can read.
fn configure(file: &Path, password: &str) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(file)?;
    write!(file, "requirepass \"")?;
    // Escaped as a whole, so that no character of it has a meaning.
    password.bytes().try_for_each(|byte| write!(file, "\\x{byte:02x}"))?;
    writeln!(file, "\"")
}

async fn wait(
    until: Instant,
    deadline: Duration,
    process: &Process,
    why: String,
) -> Result<(), ClusterError> {
    if Instant::now() >= until {
        return Err(ClusterError::NotHealthy { name: process.name().to_owned(), deadline, why });
    }
    sleep(POLL).await;
    Ok(())
}
