use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use ratelimiter_api::{Endpoint, NodeClient, NodeId, NodeState};
use ratelimiter_store::StoreUrl;
use resp_proxy::{RespProxy, RuleSet};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::certificate::{CERTIFICATE, make_certificate};
use crate::guardian::Guardian;
use crate::links::Links;
use crate::process::{POLL, Process, QUESTION};
use crate::secret::Secret;
use crate::stores::{StoreLayout, Stores};
use crate::{ClusterError, ClusterPlan, StoreBinary, StoreTopology, ports};

/// How long a node may take to flush and end when it is asked to.
const TERMINATE: Duration = Duration::from_secs(3);
/// A port found free can be taken before it is used; then all are chosen again.
const ATTEMPTS: usize = 3;

/// One store and some nodes, running on this machine's loopback interface until dropped.
#[derive(Debug)]
pub struct LocalCluster {
    // Dropped in this order: the processes, then the guardian with the rest of its group, then the
    // directory.
    nodes: Vec<Member>,
    links: Links,
    stores: Stores,
    guardian: Guardian,
    directory: TempDir,
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
    pub(crate) async fn start(
        plan: &ClusterPlan,
        binary: &StoreBinary,
        node: &Path,
    ) -> Result<Self, ClusterError> {
        let mut attempt = 1;
        loop {
            match Self::try_start(plan, binary, node).await {
                Err(ClusterError::Exited { log, .. })
                    if attempt < ATTEMPTS && log.contains("in use") =>
                {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn try_start(
        plan: &ClusterPlan,
        binary: &StoreBinary,
        node: &Path,
    ) -> Result<Self, ClusterError> {
        let directory = tempfile::Builder::new()
            .prefix("ratelimiter-cluster-")
            .tempdir()
            .map_err(ClusterError::io("create a temporary directory"))?;
        let guardian = Guardian::start(directory.path()).map_err(ClusterError::io("start sh"))?;
        let topology = plan.topology;
        if plan.tls {
            make_certificate(directory.path())?;
        }
        let ports = ports::free(plan.nodes + topology.ports());
        let (node_ports, store_ports) = ports.split_at(plan.nodes);
        let stores = Stores::start(&StoreLayout {
            topology,
            binary,
            password: plan.password.as_deref(),
            tls: plan.tls,
            ports: store_ports,
            group: guardian.group(),
            directory: directory.path(),
        })?;
        let login = plan
            .password
            .as_ref()
            .map(|p| format!(":{p}@"))
            .unwrap_or_default();
        let scheme = if plan.tls { "rediss" } else { "redis" };
        let single = |address| format!("{scheme}://{login}{address}");
        let mut cluster = Self {
            nodes: Vec::new(),
            links: Links::default(),
            stores,
            guardian,
            directory,
            binary: binary.clone(),
            deadline: plan.deadline,
            admin_token: plan.admin_token.clone().map(Secret),
        };
        let until = Instant::now() + plan.deadline;
        cluster
            .stores
            .ready(until)
            .await
            .map_err(|error| match error {
                ClusterError::Exited { log, .. } if plan.tls && log.contains("tls") => {
                    ClusterError::NoTls(binary.to_string())
                }
                other => other,
            })?;
        let ids: Vec<_> = (1..=plan.nodes).map(|i| format!("node-{i}")).collect();
        let first = cluster.stores.first();
        cluster.links = Links::start(plan.proxies, &ids, &single(first)).await?;
        for (i, (id, port)) in ids.iter().zip(node_ports).enumerate() {
            let store = match topology {
                StoreTopology::Single => single(cluster.links.address(i, first)),
                StoreTopology::Cluster { .. } | StoreTopology::Sentinel { .. } => {
                    cluster.stores.node_url(&login)
                }
            };
            cluster.add_node(plan, id, *port, &store, node)?;
        }
        cluster.healthy(until).await?;
        Ok(cluster)
    }

    fn add_node(
        &mut self,
        plan: &ClusterPlan,
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
            ("--counting", plan.counting.to_string()),
            ("--sync-interval", ms(plan.sync_interval)),
            ("--store-timeout", ms(plan.store_timeout)),
        ]
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .collect();
        if let Some(policy) = plan.on_store_failure {
            arguments.extend(["--on-store-failure".into(), policy.to_string()]);
        }
        let mut environment = vec![("RATELIMITER_STORE", Secret(store.to_owned()))];
        environment.extend(
            self.admin_token
                .clone()
                .map(|token| ("RATELIMITER_ADMIN_TOKEN", token)),
        );
        let (group, directory) = (self.guardian.group(), self.directory.path());
        let mut url: StoreUrl = store.parse()?;
        if plan.tls {
            let authority = directory.join(CERTIFICATE);
            url = url.trusting(&authority)?;
            arguments.extend(["--store-ca".into(), authority.display().to_string()]);
        }
        let process = Process::start(id, binary, arguments, environment, group, directory)?;
        let (id, endpoint, store) = (NodeId::from(id), Endpoint::from(address), url);
        self.nodes.push(Member {
            id,
            endpoint,
            store,
            process,
        });
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
        self.stores.url.clone()
    }

    /// One process of the store, counted from 0, by its own URL: the primaries come first, then
    /// their replicas in the same order, as they were at the start.
    ///
    /// # Errors
    /// When there is no such store.
    pub fn member_url(&self, store: usize) -> Result<StoreUrl, ClusterError> {
        self.stores.member(store)
    }

    /// Number of processes of the store, without sentinels.
    pub fn members(&self) -> usize {
        self.stores.stores.len()
    }

    /// The URL by which a node, counted from 0, reaches the store: that of its proxy, if there is
    /// one.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn node_store_url(&self, node: usize) -> Result<StoreUrl, ClusterError> {
        self.nodes
            .get(node)
            .map(|member| member.store.clone())
            .ok_or(ClusterError::NoSuchNode(node))
    }

    /// The fault proxies: one a node in their order, a single one for all, or none.
    pub fn proxies(&self) -> &[RespProxy] {
        &self.links.proxies
    }

    /// The rules that all proxies follow. A rule with `link=node-1` concerns that node's link
    /// alone.
    pub fn rules(&self) -> &RuleSet {
        &self.links.rules
    }

    /// Which store runs.
    pub fn store_binary(&self) -> &StoreBinary {
        &self.binary
    }

    /// The ids of the processes that run: the store's first, then its sentinels' and the nodes'.
    pub fn process_ids(&self) -> Vec<u32> {
        let Stores {
            stores, sentinels, ..
        } = &self.stores;
        stores
            .iter()
            .chain(sentinels)
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
        self.nodes
            .get_mut(node)
            .map(|n| &mut n.process)
            .ok_or(ClusterError::NoSuchNode(node))
    }

    /// Kills the store without warning: the first of its processes. It keeps nothing on disk.
    pub fn kill_store(&mut self) {
        self.stores.stores[0].kill();
    }

    /// Starts the store again where it was, empty, and waits until it answers.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub async fn restart_store(&mut self) -> Result<(), ClusterError> {
        self.restart_member(0).await
    }

    /// Kills one process of the store without warning.
    ///
    /// # Errors
    /// When there is no such store.
    pub fn kill_member(&mut self, store: usize) -> Result<(), ClusterError> {
        let member = self
            .stores
            .stores
            .get_mut(store)
            .ok_or(ClusterError::NoSuchStore(store))?;
        member.kill();
        Ok(())
    }

    /// Starts one process of the store again where it was, empty, and waits until it answers.
    ///
    /// # Errors
    /// When there is no such store, or it does not answer in time.
    pub async fn restart_member(&mut self, store: usize) -> Result<(), ClusterError> {
        self.stores
            .stores
            .get_mut(store)
            .ok_or(ClusterError::NoSuchStore(store))?
            .restart()?;
        self.stores
            .answers(store, Instant::now() + self.deadline)
            .await
    }

    /// Stops the store's process (SIGSTOP): connections stay open and nothing is answered.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn freeze_store(&self) -> Result<(), ClusterError> {
        self.freeze_member(0)
    }

    /// Lets a frozen store go on.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn thaw_store(&self) -> Result<(), ClusterError> {
        self.thaw_member(0)
    }

    /// Stops one process of the store (SIGSTOP): connections stay open and nothing is answered.
    ///
    /// # Errors
    /// When there is no such store, or the signal cannot be sent.
    pub fn freeze_member(&self, store: usize) -> Result<(), ClusterError> {
        self.member_process(store)?.signal(Signal::STOP)
    }

    /// Lets a frozen process of the store go on.
    ///
    /// # Errors
    /// When there is no such store, or the signal cannot be sent.
    pub fn thaw_member(&self, store: usize) -> Result<(), ClusterError> {
        self.member_process(store)?.signal(Signal::CONT)
    }

    fn member_process(&self, store: usize) -> Result<&Process, ClusterError> {
        self.stores
            .stores
            .get(store)
            .ok_or(ClusterError::NoSuchStore(store))
    }

    /// Ends everything in order: the nodes flush, then the store goes. True when every node ended
    /// by itself.
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

    /// Every node that runs is healthy, and every node sees as many up as there are.
    async fn healthy(&mut self, until: Instant) -> Result<(), ClusterError> {
        let running = self
            .nodes
            .iter()
            .filter(|n| n.process.id().is_some())
            .count();
        for node in self.nodes.iter_mut().filter(|n| n.process.id().is_some()) {
            let client = NodeClient::new(node.endpoint.clone(), QUESTION);
            loop {
                let why = match (client.health().await, client.nodes().await) {
                    (Ok(health), _) if health.node != node.id => {
                        format!("{} answers at its address", health.node)
                    }
                    (Ok(health), Ok(seen)) => {
                        let up = seen
                            .nodes
                            .iter()
                            .filter(|n| n.state == NodeState::Up)
                            .count();
                        if health.redis_connected && up >= running {
                            break;
                        }
                        format!(
                            "store connected: {}, nodes up: {up} of {running}",
                            health.redis_connected
                        )
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

async fn wait(
    until: Instant,
    deadline: Duration,
    process: &Process,
    why: String,
) -> Result<(), ClusterError> {
    if Instant::now() >= until {
        return Err(ClusterError::NotHealthy {
            name: process.name().to_owned(),
            deadline,
            why,
        });
    }
    sleep(POLL).await;
    Ok(())
}
